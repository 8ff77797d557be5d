"""Equilibrium relay: hand numbers, dendrites that agree, and how far a surprise gets."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from brian2 import Network, StateMonitor, ms
from small_networks import (
    BOTH,
    SYNAPSE,
    assert_state,
    chain,
    first_difference,
    graph,
    orthogonal,
    outside,
    random_weights,
    setting,
    state,
)

from bioplastic.cells import phi
from bioplastic.circuit import Circuit, CircuitError, Feedback, Population, Projection, Weights
from bioplastic.events import Event, Kind, Schedule, Timing
from bioplastic.life import Life
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.spiking.models import model
from bioplastic.spiking.network import build
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import random_patterns
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")
RULE = EquilibriumRelay(theta=1.0, gain=0.5, eta=0.1, eta_apical=0.2)
# exp(-1/20) = 0.951229425, exp(1/20) - 1 = 0.051271096, exp(1/10) - 1 = 0.105170918
# phi(1) - phi(0) = 0.5/2^(1/4) = 0.420448208, with gain 0.5 and a tenth of a spike to a step: E grows by 0.0210224104
GROWN = 0.0210224104


# ------------------------------------------------------------------------------------------ by hand


def both_fire(step, rule, *, apical, mismatch, **changes):
    """Both cells have V = 0, so they fire at 1/2: P = 0.96 + 0.05 = 1.01. Cell 0 -> cell 1, at hops 2 and 1."""
    before = state(
        x=[0.5, 0.25], P=[0.96, 0.96], A=np.exp(0.1) * np.array(apical), E=mismatch, w=0.3 * SYNAPSE, fb=0.4 * SYNAPSE
    )
    by_hand = {
        "V": [0, 0.3 * 0.51271096],
        "A": [apical[0] + 0.4 * 1.05170918, apical[1]],  # the spike of cell 1, through the old weight
        "x": [0.475614712 + 0.51271096, 0.237807356 + 0.51271096],
        "P": [0.01, 0.01],
        "E": [mismatch[0], mismatch[1]],
        "bias": [0, 0],
        "abias": [0, 0],
        "w": 0.3 * SYNAPSE,
        "fb": 0.4 * SYNAPSE,
    }
    return step(rule, before, outside(**({"hops": [2, 1]} | changes))), by_hand


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_spike_of_the_downstream_cell_by_hand(step, sign):
    """Its basal dendrite learns from the cell upstream; its apical one has no neighbour here but learns its bias."""
    after, by_hand = both_fire(step, RULE, apical=[0, sign], mismatch=[0, sign * 0.99])
    by_hand |= {
        # cell 0: its apical dendrite is at 0 when the mismatch is read
        "E": [0, sign * (0.99 + GROWN - 1)],
        "bias": [0, sign * 0.1],
        "abias": [0, -sign * 0.2],
        "w": (0.3 + sign * 0.1 * 0.475614712) * SYNAPSE,  # trace of the upstream cell, before this step's spike
    }
    assert_state(after, by_hand)


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_spike_of_the_upstream_cell_by_hand(step, sign):
    """Its apical dendrite learns from the cell downstream, the other way round than a basal one would."""
    after, by_hand = both_fire(step, RULE, apical=[sign, 0], mismatch=[sign * 0.99, 0])
    by_hand |= {
        "E": [sign * (0.99 + GROWN - 1), 0],
        "bias": [sign * 0.1, 0],
        "abias": [-sign * 0.2, 0],
        "fb": (0.4 - sign * 0.2 * 0.237807356) * SYNAPSE,  # trace of the downstream cell
    }
    assert_state(after, by_hand)


@pytest.mark.parametrize("step", BOTH)
def test_a_fixed_synapse_learns_in_neither_direction(step):
    fixed = {"plastic": np.zeros((2, 2))}
    after, by_hand = both_fire(step, RULE, apical=[1, 1], mismatch=[0.99, 0.99], **fixed)
    by_hand |= {"E": [0.99 + GROWN - 1] * 2, "bias": [0.1, 0.1], "abias": [-0.2, -0.2]}
    assert_state(after, by_hand)


@pytest.mark.parametrize("step", BOTH)
def test_without_a_window_there_is_no_mismatch(step):
    after, by_hand = both_fire(step, RULE, apical=[1, 1], mismatch=[0.99, 0.99], window=0)
    assert_state(after, by_hand)


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("window", [0, 1])
def test_an_error_source_compares_its_soma_whatever_its_apical_dendrite_says(step, sign, window):
    """E = +-(0.96 + 0.1/2); no gain, and its apical bias stays."""
    before = state(A=[0, np.exp(0.1)], E=[0, sign * 0.96], x=[0.5, 0], w=0.3 * SYNAPSE)
    imposed = outside(target=[0, (1 + sign) / 2], clamp=[0, 1], window=window)
    after = step(RULE, before, imposed)
    np.testing.assert_allclose(after.E, [0, sign * 0.01], atol=1e-9)
    np.testing.assert_allclose(after.bias, [0, sign * 0.1], atol=1e-9)
    np.testing.assert_array_equal(after.abias, [0, 0])
    np.testing.assert_allclose(after.w, (0.3 + sign * 0.0475614712) * SYNAPSE, atol=1e-9)
    np.testing.assert_allclose(after.P, [0.05, (1 + sign) / 20], atol=1e-9)  # what it does is the outcome


def test_bad_apical_rate():
    with pytest.raises(UnitError, match=re.escape("eta_apical = -0.1 is outside what is allowed: 0 or more.")):
        EquilibriumRelay(eta_apical=-0.1)


# ------------------------------------------------------------------------------------------ dendrites that agree


def test_agreeing_feedback_of_one_cell_by_hand():
    """x -> h -> y. Two stimuli, so the line through two points is exact: V is -1 and 1, the rate of y 0.5 -+ 0.3799."""
    ends = (Projection("x", "h"), Projection("h", "y"))
    circuit = Circuit((Population("x", 1, "input"), Population("h", 1), Population("y", 1, "error source")), ends)
    weights = Weights(
        {"x_to_h": np.array([[2.0]]), "h_to_y": np.array([[2.0]])}, {"h": np.array([-1.0]), "y": np.array([-1.0])}
    )
    stimuli = np.array([[0.0], [1.0]])
    exact = agreeing_feedback(circuit, weights, stimuli, ridge=0)
    # phi(+-1) = 0.5 +- 0.420448208; V of y = 2 phi - 1 = +-0.840896415, whose fourth power is 1/2
    d = 0.5 * 0.840896415 / 1.5**0.25
    np.testing.assert_allclose(exact.weights["h_to_y"], [[1 / d]], rtol=1e-8)
    np.testing.assert_allclose(exact.bias["h"], [-0.5 / d], rtol=1e-8)
    # with a ridge: covariance d over variance d^2 + ridge
    ridged = agreeing_feedback(circuit, weights, stimuli, ridge=0.05)
    np.testing.assert_allclose(ridged.weights["h_to_y"], [[d / (d**2 + 0.05)]], rtol=1e-8)
    np.testing.assert_array_equal(exact.weights["x_to_h"], [[0.0]])  # inputs have nothing to learn


def test_agreeing_feedback_is_the_least_squares_fit_to_all_downstream_neighbours():
    """a has three targets on the graph, two of them one hop, one two hops from an error source."""
    circuit, rng = graph(), np.random.default_rng(0)
    weights, stimuli, ridge = random_weights(circuit, rng), rng.random((40, 5)), 0.02
    fitted = agreeing_feedback(circuit, weights, stimuli, ridge)
    v: dict[str, np.ndarray] = {}
    r = {"senses": stimuli}
    for name in ("a", "b", "c", "out", "other"):
        sources = [p for p in circuit.projections if p.target == name]
        v[name] = sum(r[p.source] @ weights.forward[p.name].T for p in sources) + weights.bias[name]
        r[name] = phi(v[name])
    for name, targets in {"a": ["c", "other", "b"], "b": ["c"], "c": ["out"]}.items():
        regressors = np.concatenate([r[t] for t in targets], axis=1)
        rows, columns = regressors.shape
        # a ridge is data of its own: one row per weight; the intercept has none
        design = np.block(
            [
                [regressors, np.ones((rows, 1))],
                [np.sqrt(ridge * rows) * np.eye(columns), np.zeros((columns, 1))],
            ]
        )
        wanted = np.concatenate([v[name], np.zeros((columns, v[name].shape[1]))])
        solution = np.linalg.lstsq(design, wanted)[0]
        found = np.concatenate([fitted.weights[f"{name}_to_{t}"] for t in targets])
        np.testing.assert_allclose(found, solution[:-1], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fitted.bias[name], solution[-1], rtol=1e-8)
    fitted.check(circuit)
    for name in ("senses_to_a", "senses_to_b"):
        assert not fitted.weights[name].any()


def test_agreeing_feedback_with_several_inputs_and_a_dead_end():
    """Stimuli are split over the input populations in order; a cell without a downstream neighbour says its mean."""
    populations = (
        Population("p", 2, "input"),
        Population("q", 1, "input"),
        Population("h", 1),
        Population("end", 1),
        Population("y", 2, "error source"),
    )
    ends = [Projection("p", "h"), Projection("q", "h"), Projection("h", "y"), Projection("h", "end", plastic=False)]
    circuit = Circuit(populations, tuple(ends))
    weights = Weights(
        {
            "p_to_h": np.array([[1.0, 0.0]]),
            "q_to_h": np.array([[10.0]]),
            "h_to_y": np.ones((2, 1)),
            "h_to_end": np.ones((1, 1)),
        },
        {"h": np.zeros(1), "end": np.array([0.5]), "y": np.zeros(2)},
    )
    stimuli = np.array([[0.1, 0.9, -0.01], [0.2, 0.5, -0.02]])  # V of h is 0 for both
    fitted = agreeing_feedback(circuit, weights, stimuli)
    np.testing.assert_allclose(fitted.bias["h"], [0], atol=1e-12)
    np.testing.assert_allclose(fitted.bias["end"], [1.0])  # phi(0) + 0.5
    fitted.check(circuit)


def test_agreeing_feedback_needs_an_acyclic_circuit():
    populations = (Population("x", 1, "input"), Population("h", 1), Population("y", 1, "error source"))
    circuit = Circuit(populations, tuple(Projection(*p) for p in (("x", "h"), ("h", "y"), ("y", "h"))))
    weights = Weights({p.name: np.ones((1, 1)) for p in circuit.projections}, {"h": np.zeros(1), "y": np.zeros(1)})
    with pytest.raises(CircuitError, match="form a cycle where none is allowed"):
        agreeing_feedback(circuit, weights, np.ones((2, 1)))


REST = chain("sabo", size=24)


def mismatch_at_rest(rule, weights, feedback, stimuli, n_rounds: int = 1) -> np.ndarray:
    """Mean |mean of phi(A) - phi(V)| by round and hidden population, without any outcome; the window stays open."""
    built = build(REST, rule, weights, feedback=feedback)
    built.cells.window = 1
    watched = StateMonitor(built.cells, ["V", "A"], record=True, when="before_thresholds", order=-1)
    network = Network(*built.objects, watched)
    for stimulus in np.tile(stimuli, (n_rounds, 1)):
        built.population("s").target = stimulus
        network.run(100 * ms, namespace={})
    difference = (phi(watched.A[:]) - phi(watched.V[:])).reshape(REST.n_cells, n_rounds, len(stimuli), 100)
    mean = np.abs(difference[..., 50:].mean(axis=-1)).mean(axis=-1)
    return np.array([mean[REST.slices[p.name]].mean(axis=0) for p in REST.hidden]).T


def test_dendrites_agree_at_rest():
    """Local equilibrium: without an outcome the mismatch is small with fitted feedback, at every hop."""
    weights, stimuli = orthogonal(REST), np.random.default_rng(1).random((3, 24))
    fitted = agreeing_feedback(REST, weights, stimuli)
    frozen = EquilibriumRelay()
    agreed = mismatch_at_rest(frozen, weights, fitted, stimuli)
    handed = mismatch_at_rest(frozen, weights, Feedback(weights.forward), stimuli)
    assert agreed.max() < 0.08  # the error of a soft fit, and of a mean over 50 ms of ripple
    assert agreed.max() < 0.5 * handed.min()


def test_apical_dendrites_learn_to_agree():
    weights, stimuli = orthogonal(REST), np.random.default_rng(1).random((2, 24))
    feedback = Feedback(weights.forward)
    frozen = mismatch_at_rest(EquilibriumRelay(theta=0.3), weights, feedback, stimuli, n_rounds=2)
    learning = EquilibriumRelay(theta=0.3, eta_apical=0.01)
    learned = mismatch_at_rest(learning, weights, feedback, stimuli, n_rounds=3)
    assert np.all(np.diff(learned, axis=0) < 0)  # at every hop, in every round
    assert np.all(learned[-1] < 0.6 * learned[0])
    assert np.all(np.abs(frozen[-1] / frozen[0] - 1) < 0.2)


# ------------------------------------------------------------------------------------------ how far a surprise gets


def test_with_frozen_somata_an_outcome_is_noticed_one_hop_upstream_and_no_farther():
    """No forward weight learns, so all somata but the error source's do what they did: for ever, to the bit."""
    plain = setting(EquilibriumRelay(theta=0.02, eta_apical=0.05))
    here, there = plain.course(150), replace(plain, outcome=8).course(150)
    for name in "abcd":
        np.testing.assert_array_equal(here.fired[name], there.fired[name])
    assert not np.array_equal(here.fired["o"], there.fired["o"])
    for projection in ("s_to_a", "a_to_b", "b_to_c", "c_to_d"):
        # hop 1 is d, whose own update is that of its apical weights, those of d_to_o
        np.testing.assert_array_equal(here.fb[projection], there.fb[projection])
        assert projection == "s_to_a" or np.any(here.fb[projection])
    for name in "abc":
        np.testing.assert_array_equal(here.abias[name], there.abias[name])
        assert np.any(here.abias[name])
    assert not np.array_equal(here.fb["d_to_o"], there.fb["d_to_o"])
    assert not np.array_equal(here.abias["d"], there.abias["d"])


def test_an_update_differs_only_after_the_neighbours_spikes_and_these_only_after_its_update():
    """The light cone: what hop h does is all that hop h + 1 can notice, and it does otherwise only once it learned."""
    plain = setting(EquilibriumRelay(theta=0.02, eta=0.5, eta_apical=0.05))
    here, there = plain.course(250), replace(plain, outcome=8).course(250)

    def first_update(name: str) -> float:
        by_synapse = {p.name: "w" for p in plain.circuit.projections if p.target == name}
        by_synapse |= {p.name: "fb" for p in plain.circuit.projections if p.source == name}
        changes = [(getattr(here, k)[p], getattr(there, k)[p]) for p, k in by_synapse.items()]
        changes += [(getattr(here, k)[name], getattr(there, k)[name]) for k in ("bias", "abias")]
        return min(first_difference(a, b) for a, b in changes)

    update = {name: first_update(name) for name in "odcba"}
    fires = {name: first_difference(here.fired[name], there.fired[name]) for name in "odcba"}
    assert all(np.isfinite(update[name]) for name in "odcb")  # the cascade got as far as three hops
    for downstream, upstream in pairwise("odcba"):
        assert update[upstream] > fires[downstream]
    for name in "dcba":
        # strictly, where there is something to compare: inf for both is a population that was never told
        assert fires[name] > update[name] or np.isinf(fires[name])


def test_two_steps_per_hop_is_the_speed_limit():
    """Other weights into o are noticed by d in step 2; its bias moves V in step 3, and c hears of it in step 4."""
    plain = setting(EquilibriumRelay(theta=0.02, eta=0.5, eta_apical=0.05))
    here, there = plain.course(10), plain.perturbed("d_to_o").course(10)
    for name, first in {"d": 2, "c": 4, "b": 6, "a": 8}.items():
        assert np.all(here.bias[name][0])  # every cell has sent an error spike
        for course in ("bias", "abias"):
            a, b = getattr(here, course)[name][: first - 1], getattr(there, course)[name][: first - 1]
            np.testing.assert_array_equal(a, b)


def test_one_hop_per_occurrence_while_a_change_moves_no_spike_within_its_occurrence():
    """What changed against the sham run, after each of two occurrences, for a small and for a large learning rate."""
    names = ["x", "h5", "h4", "h3", "h2", "h1", "y"]
    sizes, roles = [16, *[32] * 5, 4], ["input", *["hidden"] * 5, "error source"]
    circuit = Circuit(
        tuple(Population(*of) for of in zip(names, sizes, roles, strict=True)),
        tuple(Projection(a, b) for a, b in pairwise(names)),
    )
    task, weights = random_patterns(6, 16, 4, seed=0), orthogonal(circuit)
    feedback = agreeing_feedback(circuit, weights, task.stimuli)
    spec = ModelSpec(circuit, RULE, 6, 6, n_steps=100, n_snapshots=2)
    runtime = model(spec, task, compiled=False)

    def changed_hops(eta: float, n_occurrences: int) -> list[list[int]]:
        rule = EquilibriumRelay(theta=1.0, eta=eta, eta_apical=eta)
        schedule = Schedule.of([Event(5, 5, Kind.RARE)] * n_occurrences)
        timing = Timing(lead=300 * ms)
        life = Life(schedule, rule, weights, timing, feedback, snapshots=range(n_occurrences))
        real, sham = runtime.live(life), runtime.live(replace(life, schedule=schedule.sham()))
        per_occurrence = zip(real.snapshots, sham.snapshots, strict=True)
        hop = dict(zip([p.name for p in circuit.projections], circuit.hops, strict=True))
        return [
            sorted(int(hop[name]) for name, w in a.forward.items() if np.any(w != b.forward[name]))
            for a, b in per_occurrence
        ]

    assert changed_hops(1e-3, 2) == [[0, 1], [0, 1, 2]]
    assert changed_hops(0.1, 1) == [[0, 1, 2]]  # it is no law: a large change is noticed at once
