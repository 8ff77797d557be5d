"""The two-compartment neuron: its numbers by hand, its weight change against the integral, and that it learns."""

import numpy as np
import pytest
from bioplastic_models import urbanczik_senn as model
from brian2 import Network, NetworkOperation, SpikeMonitor, StateMonitor, ms, mV, nS, pA, second, seed

pytestmark = pytest.mark.usefixtures("numpy_target")


def alone(*, spikes: list[float], inputs: list[int] | None = None, teacher: float = 0.0) -> Network:
    """The network with input spikes of one's own, at the given times in ms."""
    network = model.network()
    network["inputs"].set_spikes(inputs or [0] * len(spikes), np.array(spikes) * ms, period=model.PATTERN)
    network["neuron"].teacher = teacher
    return network


def test_rate_and_slope_at_the_threshold_by_hand() -> None:
    network = model.network()
    neuron = network["neuron"]
    neuron.V = (630 * -55 - 30 * -70) / 600 * mV  # so that V* = -55 mV
    assert neuron.prediction[0] / mV == pytest.approx(-55)
    assert float(neuron.predicted_rate[0]) == pytest.approx(100)  # 150 Hz/(1 + 1/2)
    assert neuron.h[0] == pytest.approx(5 / 3)  # 15 mV/(3 mV)/(1 + 2)


@pytest.mark.parametrize(
    ("phase", "conductance", "potential"), [(0.0, 162, -57.692), (0.125, 306, -47.872), (0.375, 18, -72.581)]
)
def test_matching_potential_by_hand(phase: float, conductance: float, potential: float) -> None:
    t = np.array([phase * 0.2])
    assert 540 * -75 / (540 + conductance) == pytest.approx(potential, abs=1e-3)
    assert 1e3 * model.matching_potential(t)[0] == pytest.approx(potential, abs=1e-3)


def test_conductances_settle_where_the_teacher_wants_them() -> None:
    network = alone(spikes=[], teacher=1)
    network.run(50 * ms, namespace={})
    assert network["neuron"].g_inh[0] / nS == pytest.approx(540, rel=1e-3)


def test_response_of_the_dendrite_to_one_spike_by_hand() -> None:
    # A current of 90 pA that decays in 3 ms, into 30 nS and 10 ms: 3/7 * 3 mV * (exp(-t/10 ms) - exp(-t/3 ms)).
    network = alone(spikes=[1.0])
    monitor = StateMonitor(network["neuron"], "V", record=0)
    network.add(monitor)
    network["synapses"].rate = 0 * pA * nS
    network.run(30 * ms, namespace={})
    t = monitor.t / ms - 1.1
    after = t >= 0
    expected = np.where(after, 3 / 7 * 3 * (np.exp(-t / 10) - np.exp(-t / 3)), 0)
    assert np.abs(monitor.V[0] / mV + 70 - expected).max() < 0.03 * expected.max()
    assert expected.max() == pytest.approx(0.5374, abs=1e-3)  # at 70/7*3/10... = 30/7 ln(10/3) = 5.16 ms


def test_trace_at_the_synapse_is_the_response_of_the_dendrite() -> None:
    network = alone(spikes=[1.0, 4.0, 5.5])
    dendrite = StateMonitor(network["neuron"], "V", record=0)
    trace = StateMonitor(network["synapses"], "psp", record=[0, 1])
    network.add(dendrite, trace)
    network["synapses"].rate = 0 * pA * nS
    network.run(30 * ms, namespace={})
    response = np.asarray(dendrite.V[0] / mV) + 70
    assert response.max() > 1
    assert np.asarray(trace.psp[0]) * 90e-12 * 1e3 == pytest.approx(response, abs=0.03 * response.max())
    assert not trace.psp[1].any()


def test_weight_change_is_the_integral_of_the_rule() -> None:
    seed(3)
    network = model.network()
    neuron, synapses = network["neuron"], network["synapses"]
    potential = StateMonitor(neuron, "prediction", record=0)
    somatic, presynaptic = SpikeMonitor(neuron), SpikeMonitor(network["inputs"])
    network.add(potential, somatic, presynaptic)
    network.run(100 * ms, namespace={})
    assert somatic.num_spikes > 3
    dt = 0.1
    t = np.arange(1000) * dt
    v = np.asarray(potential.prediction[0] / mV)
    surprise = -0.15 / (1 + 0.5 * np.exp((-55 - v) / 3)) * dt  # expected spikes in a step, of which none came
    surprise[np.rint(somatic.t / ms / dt).astype(int)] += 1
    surprise *= 5 / (1 + 2 * np.exp((v + 55) / 3))
    for i in presynaptic.i[:5]:  # the first to fire
        since = t - (np.asarray(presynaptic.t / ms)[np.asarray(presynaptic.i) == i])[:, None]
        kernel = np.where(since > 0, 3 / 7 / 30 * (np.exp(-since / 10) - np.exp(-since / 3)), 0).sum(0)
        filtered = 1 - np.exp(-(100 - t) / 100)  # the part of a surprise at t that has passed the filter
        change = 0.17 * 15 * 300 * (surprise * kernel * filtered).sum()
        assert abs(change) > 0.5
        assert float(synapses.w[i] / pA) - 90 == pytest.approx(change, rel=0.05)


def test_weights_stand_still_without_a_learning_rate() -> None:
    network = model.network()
    network["synapses"].rate = 0 * pA * nS
    network.run(40 * ms, namespace={})
    assert np.all(np.asarray(network["synapses"].w / pA) == 90)


def test_without_a_teacher_the_soma_follows_the_dendrite() -> None:
    network = model.network()
    network["neuron"].teacher = 0
    monitor = StateMonitor(network["neuron"], ["U", "prediction"], record=0)
    network.add(monitor)
    network.run(60 * ms, namespace={})
    difference = np.asarray((monitor.U[0] - monitor.prediction[0]) / mV)
    assert np.sqrt(np.square(difference[100:]).mean()) < 0.5


def test_pattern_is_the_same_in_every_presentation_and_differs_between_seeds() -> None:
    network = model.network()
    spikes = SpikeMonitor(network["inputs"])
    Network(network["inputs"], spikes).run(2 * model.PATTERN, namespace={})
    step, index = np.rint(spikes.t / model.DT).astype(int), np.asarray(spikes.i)
    first = step < 2000
    assert set(zip(index[first], step[first], strict=True)) == set(zip(index[~first], step[~first] - 2000, strict=True))
    assert len(model.pattern(0)[0]) == pytest.approx(400, abs=80)  # 200 inputs at 10 Hz for 0.2 s
    assert not np.array_equal(model.pattern(0)[1], model.pattern(1)[1])


def test_network_has_nothing_hidden_in_an_operation() -> None:
    objects = model.network().objects
    assert len(objects) == 3
    assert not [x for x in objects if isinstance(x, NetworkOperation)]


@pytest.mark.slow
def test_dendrite_learns_to_predict_the_soma() -> None:
    seed(0)
    network = model.network()
    monitor = StateMonitor(network["neuron"], ["U", "prediction"], record=0, dt=0.5 * ms)
    network.add(monitor)
    network.run(4 * second, namespace={})
    soma, prediction = (np.asarray(x[0] / mV).reshape(20, 400) for x in (monitor.U, monitor.prediction))
    assert np.corrcoef(soma[0], prediction[0])[0, 1] < 0.5
    assert np.corrcoef(soma[-1], prediction[-1])[0, 1] > 0.9
    assert np.square(soma - prediction).mean(1)[-1] < np.square(soma - prediction).mean(1)[0] / 3
