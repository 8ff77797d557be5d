"""The error relay: hand numbers, Brian2 against the NumPy reference, locality to the bit, limits."""

from dataclasses import dataclass, fields
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import EventMonitor, Network, SpikeMonitor, StateMonitor, ms, second

from bioplastic.cells import CellParameters, phi
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.rules.error_relay import ErrorRelay, State, reference_step
from bioplastic.spiking import build, cell_group, flat, synapse_group, unflat
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")
PARAMETERS = CellParameters()
FINE = ErrorRelay(theta=0.02, eta=0.05, gain=1.0)  # an error spike at the least mismatch


# ------------------------------------------------------------------------------------------ one error spike, by hand


def one_step_in_brian2(rule: ErrorRelay, before: State, outside: dict[str, np.ndarray], steps: int = 1) -> State:
    """Cell 0 projects to cell 1."""
    cells = cell_group(2, rule)
    synapses = synapse_group(cells, cells, rule)
    synapses.connect(i=0, j=1)
    synapses.w, synapses.fb, synapses.plastic = before.w[1, 0], outside["fb"][1, 0], outside["plastic"][1, 0]
    for name in ("V", "A", "x", "P", "E", "bias"):
        setattr(cells, name, getattr(before, name))
    for name in ("target", "clamp", "predicts"):
        setattr(cells, name, outside[name])
    Network(cells, synapses).run(steps * ms, namespace={})
    after = {name: np.array(getattr(cells, name)[:]) for name in ("V", "A", "x", "P", "E", "bias")}
    return State(**after, w=np.array([[0, 0], [synapses.w[0], 0]]))


def one_step_in_numpy(rule: ErrorRelay, before: State, outside: dict[str, np.ndarray]) -> State:
    return reference_step(before, rule, PARAMETERS, **outside)[0]


@pytest.mark.parametrize("step", [one_step_in_brian2, one_step_in_numpy])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_error_spike_by_hand(step, sign):
    """Cell 0 fires while cell 1, clamped, exceeds its threshold.

    Cell 1: err = +-(1 - 1/2), so E = +-(0.96 + 100 Hz 1 ms 0.5) = +-1.01, beyond theta = 1: one error spike.
    exp(-1/20) = 0.951229425, exp(1/20) - 1 = 0.051271096, exp(1/10) - 1 = 0.105170918.
    """
    rule = ErrorRelay(theta=1.0, gain=0.5, eta=0.1)
    synapse = np.array([[0, 0], [1.0, 0]])
    before = State(
        V=np.zeros(2),
        A=np.zeros(2),
        x=np.array([0.5, 0.0]),
        P=np.array([0.95, 0.0]),
        E=np.array([0.0, sign * 0.96]),
        bias=np.zeros(2),
        w=0.3 * synapse,
    )
    outside = {
        "target": np.array([0.6, (1 + sign) / 2]),
        "clamp": np.ones(2),
        "predicts": np.array([0.0, 1.0]),
        "fb": 0.4 * synapse,
        "plastic": synapse,
    }
    after = step(rule, before, outside)
    by_hand = {
        "V": [0, 0.3 * 0.51271096],  # the old weight, times (exp(1/20) - 1)/0.1
        "A": [sign * 0.5 * 0.4 * 1.05170918, 0],  # gain fb theta (exp(1/10) - 1)/0.1
        "x": [0.5 * 0.951229425 + 0.51271096, 0],
        "P": [0.95 + 0.06 - 1, 0.1 * (1 + sign) / 2],
        "E": [0, sign * 0.01],
        "bias": [0, sign * 0.1],
        "w": [[0, 0], [0.3 + sign * 0.1 * 0.5 * 0.951229425, 0]],  # the trace before this step's spike
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(getattr(after, name), expected, rtol=0, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("step", [one_step_in_brian2, one_step_in_numpy])
def test_just_below_threshold_nothing_happens(step):
    rule = ErrorRelay(theta=1.0, gain=0.5, eta=0.1, tau_e=10 * ms)
    synapse = np.array([[0, 0], [1.0, 0]])
    zero = np.zeros(2)
    before = State(zero, zero, np.array([0.5, 0]), zero, np.array([0, 1.04]), zero, 0.3 * synapse)
    outside = {"target": np.array([0, 1.0]), "clamp": np.ones(2), "predicts": np.array([0, 1.0])}
    after = step(rule, before, outside | {"fb": 0.4 * synapse, "plastic": synapse})
    # E = 1.04 exp(-1/10) + 0.05 = 0.941030894 + 0.05: the leak has taken it back below theta
    np.testing.assert_allclose(after.E, [0, 0.991030894], atol=1e-8)
    np.testing.assert_array_equal(after.w, before.w)
    np.testing.assert_array_equal(after.bias, zero)
    np.testing.assert_array_equal(after.A, zero)


# ------------------------------------------------------------------------------------------ a spike train


def graph() -> Circuit:
    """Senses to a and b, both to c, c and a to two error sources; the weights from senses to b do not learn."""
    populations = (
        Population("senses", 5, "input"),
        Population("a", 6),
        Population("b", 4),
        Population("c", 5),
        Population("out", 3, "error source"),
        Population("other", 2, "error source"),
    )
    ends = [("senses", "a"), ("a", "c"), ("b", "c"), ("c", "out"), ("a", "other"), ("a", "b")]
    return Circuit(populations, (*(Projection(*pair) for pair in ends), Projection("senses", "b", plastic=False)))


def random_weights(circuit: Circuit, rng: np.random.Generator) -> Weights:
    return Weights(
        {p.name: rng.normal(0, 0.7, circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(0, 0.3, p.size) for p in circuit.populations if p.role != "input"},
    )


def matrix(circuit: Circuit, by_projection: dict[str, np.ndarray]) -> np.ndarray:
    """All weights as one matrix (post, pre) over all cells."""
    whole = np.zeros((circuit.n_cells, circuit.n_cells))
    for p in circuit.projections:
        whole[circuit.slices[p.target], circuit.slices[p.source]] = by_projection[p.name]
    return whole


@pytest.mark.parametrize(
    "rule",
    [
        ErrorRelay(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02),
        ErrorRelay(theta=1.0, gain=1.3, eta=0.05),
        ErrorRelay(theta=0.05, gain=1.0),
    ],
    ids=["leak", "no leak", "frozen"],
)
def test_brian2_follows_the_reference(rule):
    circuit, rng, n_steps = graph(), np.random.default_rng(1), 300
    weights = random_weights(circuit, rng)
    feedback = random_weights(circuit, rng).forward
    spiking = build(circuit, rule, weights, feedback=feedback, seed=3)
    cells, synapses = spiking.objects
    target = rng.random(circuit.n_cells)
    clamp = np.zeros(circuit.n_cells)
    for population in (*circuit.inputs, *circuit.error_sources):
        clamp[circuit.slices[population.name]] = 1
    cells.target, cells.clamp = target, clamp
    now = State(
        **{name: np.array(getattr(cells, name)[:]) for name in ("V", "A", "x", "P", "E", "bias")},
        w=matrix(circuit, weights.forward),
    )
    plastic = matrix(circuit, {p.name: np.full(circuit.shape(p), float(p.plastic)) for p in circuit.projections})
    outside = {"target": target, "clamp": clamp, "predicts": np.array(cells.predicts[:])}
    outside |= {"fb": matrix(circuit, feedback), "plastic": plastic}
    spikes, errors = SpikeMonitor(cells), EventMonitor(cells, "error", variables=["E"])
    Network(*spiking.objects, spikes, errors).run(n_steps * ms, namespace={})
    spiked, erred = [], []
    for step in range(n_steps):
        now, spike, error = reference_step(now, rule, PARAMETERS, **outside)
        spiked += [(step, i) for i in np.flatnonzero(spike)]
        erred += [(step, i, error[i]) for i in np.flatnonzero(error)]
    assert len(spiked) > 300
    assert len({i for _, i, _ in erred}) > 10  # relayed, not only at the error sources
    when = np.round(spikes.t / ms).astype(int)
    assert list(zip(when.tolist(), spikes.i[:].tolist(), strict=True)) == spiked
    when = np.round(errors.t / ms).astype(int)
    sign = np.sign(errors.E[:]).astype(int)
    assert list(zip(when.tolist(), errors.i[:].tolist(), sign.tolist(), strict=True)) == erred
    for name in ("V", "A", "x", "P", "E", "bias"):
        np.testing.assert_allclose(getattr(cells, name)[:], getattr(now, name), rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(matrix(circuit, unflat(circuit, np.array(synapses.w[:]))), now.w, rtol=1e-10, atol=1e-12)
    fixed = unflat(circuit, np.array(synapses.w[:]))["senses_to_b"]
    np.testing.assert_array_equal(fixed, weights.forward["senses_to_b"])
    assert (np.array_equal(now.w, matrix(circuit, weights.forward))) == (rule.eta == 0)


# ------------------------------------------------------------------------------------------ locality


def chain(names: str, size: int = 6) -> Circuit:
    roles = ["input", *["hidden"] * (len(names) - 2), "error source"]
    return Circuit(
        tuple(Population(n, size, role) for n, role in zip(names, roles, strict=True)),
        tuple(Projection(a, b) for a, b in pairwise(names)),
    )


@dataclass
class Setting:
    """A chain in which everything can be set before it runs."""

    circuit: Circuit
    weights: Weights
    feedback: dict[str, np.ndarray]
    abias: dict[str, float]
    held: tuple[str, ...] = ()  # populations whose somata the outside world holds, and which send no error spikes

    def changes(self, steps: int) -> SimpleNamespace:
        """Weight changes by projection, and bias changes by population, after some steps."""
        spiking = build(self.circuit, FINE, self.weights, feedback=self.feedback, seed=5)
        cells, synapses = spiking.objects
        rng = np.random.default_rng(7)
        cells.target = rng.random(self.circuit.n_cells)
        for population in self.circuit.populations:
            if population.role == "error source":
                spiking.population(population.name).clamp = 1
        for name in self.held:
            spiking.population(name).clamp = 1
            spiking.population(name).predicts = 0
        for name, value in self.abias.items():
            spiking.population(name).abias = value
        cells.E = rng.choice([-0.05, 0.05], self.circuit.n_cells) * cells.predicts[:]
        w, bias = np.array(synapses.w[:]), np.array(cells.bias[:])
        Network(*spiking.objects).run(steps * ms, namespace={})
        moved = cells.bias[:] - bias
        return SimpleNamespace(
            forward=unflat(self.circuit, synapses.w[:] - w),
            bias={name: moved[where] for name, where in self.circuit.slices.items()},
        )

    def perturbed(self, projection: str) -> "Setting":
        """The same with other forward and feedback weights in one projection."""
        other = np.random.default_rng(11).normal(0, 1, self.weights.forward[projection].shape)
        weights = Weights({**self.weights.forward, projection: other}, self.weights.bias)
        return Setting(self.circuit, weights, {**self.feedback, projection: other}, self.abias, self.held)


def setting(**options) -> Setting:
    circuit = chain("sabcdo")
    weights = random_weights(circuit, np.random.default_rng(2))
    return Setting(circuit, weights, dict(weights.forward), **{"abias": {}, **options})


def test_a_change_downstream_travels_one_hop_per_step():
    """Before the difference can have arrived, the update far upstream is the same to the bit."""
    plain = setting()
    other = plain.perturbed("d_to_o")
    # d's apical dendrite gets another signal in step 1 and reads it in step 2; from there it takes one step a hop.
    first_step = {"c_to_d": 2, "b_to_c": 3, "a_to_b": 4, "s_to_a": 5}
    for steps in range(1, 5):
        here, there = plain.changes(steps), other.changes(steps)
        for projection, first in first_step.items():
            if steps < first:
                target = projection[-1]
                np.testing.assert_array_equal(here.forward[projection], there.forward[projection])
                np.testing.assert_array_equal(here.bias[target], there.bias[target])
                assert np.all(here.bias[target])  # every cell has sent an error spike, so there is something to compare
    here, there = plain.changes(30), other.changes(30)
    for projection in first_step:  # and later it does arrive: the test would notice a leak
        assert not np.array_equal(here.forward[projection], there.forward[projection]), projection


@pytest.mark.parametrize(
    ("held", "driven", "other_weights", "same", "differs"),
    [
        # b's spikes are held and it sends no error spikes: nothing downstream of b can matter for the weights into a
        ("b", "a", "b_to_c", "s_to_a", "b_to_c"),
        ("b", "a", "c_to_d", "s_to_a", "c_to_d"),
        # a's spikes are held: nothing upstream of a can matter for the weights from a
        ("a", "b", "s_to_a", "a_to_b", "s_to_a"),
    ],
)
def test_only_neighbours_matter(held, driven, other_weights, same, differs):
    """While a neighbour's signals are the same, what lies behind it changes nothing, to the bit."""
    plain = setting(held=(held,), abias={driven: 0.4})
    other = plain.perturbed(other_weights)
    here, there = plain.changes(200), other.changes(200)
    assert np.abs(here.forward[same]).max() > 0.01
    np.testing.assert_array_equal(here.forward[same], there.forward[same])
    np.testing.assert_array_equal(here.bias[driven], there.bias[driven])
    # what was perturbed is at work: where it belongs, the updates do differ (unless the cells are held)
    target = differs.split("_to_")[1]
    assert target == held or not np.array_equal(here.forward[differs], there.forward[differs])


def test_a_neighbour_does_matter():
    plain = setting(abias={"b": 0.4})
    here, there = plain.changes(200), plain.perturbed("a_to_b").changes(200)
    assert not np.array_equal(here.forward["s_to_a"], there.forward["s_to_a"])


# ------------------------------------------------------------------------------------------ limits


def lived(rule: ErrorRelay, outcome: np.ndarray | None, steps: int = 300) -> tuple[Weights, Weights, np.ndarray]:
    """Weights before and after, and what the error source predicted before the outcome, in a chain of 4 hops."""
    circuit = chain("sabco")
    weights = random_weights(circuit, np.random.default_rng(2))
    spiking = build(circuit, rule, weights)
    cells, synapses = spiking.objects
    spiking.population("s").target = 0.5
    out = spiking.population("o")
    potential = StateMonitor(cells, "V", record=np.arange(circuit.n_cells)[circuit.slices["o"]])
    network = Network(*spiking.objects, potential)
    network.run(300 * ms, namespace={})
    prediction = phi(potential.V[:, 100:]).mean(axis=1)  # single spikes leave a ripple on V
    if outcome is not None:
        out.clamp = 1
        out.target = prediction if outcome is ... else outcome
    network.run(steps * ms, namespace={})
    bias = np.array(cells.bias[:])
    after = Weights(
        unflat(circuit, np.array(synapses.w[:])),
        {p.name: bias[circuit.slices[p.name]] for p in circuit.populations if p.role != "input"},
    )
    return weights, after, prediction


def size(before: Weights, after: Weights) -> float:
    return float(np.sqrt(sum(np.sum((after.forward[k] - before.forward[k]) ** 2) for k in before.forward)))


def assert_same(before: Weights, after: Weights) -> None:
    for a, b in ((before.forward, after.forward), (before.bias, after.bias)):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_no_outcome_no_change():
    before, after, _ = lived(ErrorRelay(theta=0.1, eta=0.05), outcome=None)
    assert_same(before, after)


def test_frozen_weights_stay():
    before, after, _ = lived(ErrorRelay(theta=0.1, eta=0.0), outcome=np.linspace(0.1, 0.9, 6))
    assert_same(before, after)


def test_the_predicted_outcome_changes_little():
    rule = ErrorRelay(theta=1.0, eta=0.01)
    before, after, prediction = lived(rule, outcome=...)
    surprising = np.where(prediction > 0.5, prediction - 0.4, prediction + 0.4)
    assert size(before, after) < 0.1 * size(*lived(rule, surprising)[:2])


def test_no_gain_changes_only_the_weights_into_the_error_source():
    before, after, _ = lived(ErrorRelay(theta=0.1, eta=0.01, gain=0.0), outcome=np.linspace(0.1, 0.9, 6))
    changed = {name for name in before.forward if not np.array_equal(before.forward[name], after.forward[name])}
    assert changed == {"c_to_o"}


def test_one_step_of_error_spikes_goes_downhill():
    """The outcome pulls the prediction towards itself."""
    outcome = np.linspace(0.2, 0.8, 6)
    rule = ErrorRelay(theta=0.3, eta=0.002)
    before, after, prediction = lived(rule, outcome)
    rate = {}
    for name, weights in (("before", before), ("after", after)):
        h = np.full(6, 0.5)
        for projection in ("s_to_a", "a_to_b", "b_to_c", "c_to_o"):
            h = phi(weights.forward[projection] @ h + weights.bias[projection[-1]])
        rate[name] = h
    np.testing.assert_allclose(rate["before"], prediction, atol=0.15)
    assert np.sum((rate["after"] - outcome) ** 2) < 0.9 * np.sum((rate["before"] - outcome) ** 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": 0}, "theta = 0 is outside what is allowed: more than 0."),
        ({"theta": np.nan}, "theta is NaN; give a number."),
        ({"theta": 1 * ms}, "theta = 1. ms is in s; it needs no unit."),
        ({"tau_e": 30}, "tau_e = 30 has no unit; it needs a time such as 10*ms."),
        ({"tau_e": 0 * second}, "tau_e = 0 ms is outside what is allowed: more than 0 ms."),
        ({"gain": -0.1}, "gain = -0.1 is outside what is allowed: 0 or more."),
        ({"eta": -1e-3}, "eta = -0.001 is outside what is allowed: 0 or more."),
        ({"eta": np.inf}, "eta = inf is infinite; give a finite number."),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        ErrorRelay(**arguments)
    assert str(caught.value) == message


def test_leak_is_one_over_its_time_constant():
    assert float(ErrorRelay(tau_e=4 * second).leak) == 0.25
    assert float(ErrorRelay().leak) == 0.0


def test_flat_is_the_order_of_the_synapses():
    circuit = graph()
    weights = random_weights(circuit, np.random.default_rng(0)).forward
    synapses = build(circuit, ErrorRelay()).synapses
    w = flat(circuit, weights)
    np.testing.assert_array_equal(w, matrix(circuit, weights)[synapses.j[:], synapses.i[:]])
    for name, back in unflat(circuit, w).items():
        np.testing.assert_array_equal(back, weights[name])


def test_reference_leaves_its_argument_alone():
    state = State(*(np.full(2, 0.5) for _ in range(6)), w=np.full((2, 2), 0.5))
    copy = {f.name: getattr(state, f.name).copy() for f in fields(state)}
    half = np.full((2, 2), 0.5)
    outside = {"target": np.ones(2), "clamp": np.ones(2), "predicts": np.ones(2), "fb": half, "plastic": half}
    reference_step(state, ErrorRelay(theta=0.01, eta=1.0), PARAMETERS, **outside)
    for name, before in copy.items():
        np.testing.assert_array_equal(getattr(state, name), before)
