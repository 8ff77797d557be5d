"""Lives in the rate twin: event by event against the references, many at once, what stays, what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brian2 import Hz, second  # noqa: E402 (torch may be absent)
from small_twins import LOCAL, TASK, assert_same, chain, graph, random_weights, rare_life  # noqa: E402

from bioplastic.cells import phi  # noqa: E402
from bioplastic.circuit import Circuit, Feedback, Population, Projection, Weights  # noqa: E402
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION, Event, Kind, Schedule, ScheduleError, probes  # noqa: E402
from bioplastic.hippocampus import Memory, Replay  # noqa: E402
from bioplastic.life import Life  # noqa: E402
from bioplastic.rules import backprop, latent_equilibrium, predictive_coding  # noqa: E402
from bioplastic.rules.backprop import Backprop  # noqa: E402
from bioplastic.rules.error_relay import ErrorRelay  # noqa: E402
from bioplastic.rules.latent_equilibrium import LatentEquilibrium  # noqa: E402
from bioplastic.rules.predictive_coding import PredictiveCoding  # noqa: E402
from bioplastic.tasks import random_patterns  # noqa: E402
from bioplastic.twin import live  # noqa: E402


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (Backprop(eta=0.05, depth=2, attenuation=0.8), backprop),
        (Backprop(eta=0.05, kept=0.2), backprop),
        (PredictiveCoding(eta=0.05, steps=6, step_size=0.3), predictive_coding),
        (PredictiveCoding(eta=0.05, steps=2, step_size=0.3, fixed_prediction=True), predictive_coding),
        (LatentEquilibrium(eta=0.1, dt=0.25, duration=2.0), latent_equilibrium),
    ],
)
def test_a_life_is_the_reference_event_by_event(rule, reference):
    task = replace(TASK, stimuli=np.random.default_rng(0).random(TASK.stimuli.shape))  # no entries of equal size
    circuit, schedule, weights = chain(4), rare_life(), random_weights(chain(4))
    (lived,) = live(circuit, task, [Life(schedule, rule, weights, snapshots=[0, 4])])
    w = [weights.forward[p.name].copy() for p in circuit.projections]
    b = [weights.bias[p.target].copy() for p in circuit.projections]
    for event, (stimulus, outcome) in enumerate(zip(schedule.stimulus, schedule.outcome, strict=True)):
        h = task.stimuli[stimulus]
        for a, c in zip(w, b, strict=True):
            h = phi(a @ h + c)
        np.testing.assert_allclose(lived.prediction[event], h, rtol=1e-10)
        changed, moved = reference.reference_update(w, b, task.stimuli[stimulus], TASK.outcomes[outcome], rule)
        w = [a + change for a, change in zip(w, changed, strict=True)]
        b = [a + change for a, change in zip(b, moved, strict=True)]
        if event == 0 and not isinstance(rule, Backprop):
            signal = [np.abs(change).sum() / rule.eta for change in moved[::-1]]
            if isinstance(rule, PredictiveCoding):
                np.testing.assert_allclose(lived.error_signal[0], signal, rtol=1e-9, atol=1e-15)
            else:  # the integral of |error| is no less than that of the error
                assert (lived.error_signal[0] >= np.array(signal) * (1 - 1e-9)).all()
        if event in (0, 4):
            snapshot = lived.snapshots[(0, 4).index(event)]
            for projection, a in zip(circuit.projections, w, strict=True):
                np.testing.assert_allclose(snapshot.forward[projection.name], a, rtol=1e-10)
    for projection, a, c in zip(circuit.projections, w, b, strict=True):
        np.testing.assert_allclose(lived.weights.forward[projection.name], a, rtol=1e-10)
        np.testing.assert_allclose(lived.weights.bias[projection.target], c, rtol=1e-10)
    assert len(lived.snapshots) == 2


@pytest.mark.parametrize(
    "rules",
    [
        [Backprop(eta=0.1), Backprop(eta=0.05, depth=0), Backprop(eta=0.2, attenuation=0.3), Backprop()],
        [Backprop(eta=0.1, kept=0.2), Backprop(eta=0.05, depth=0, kept=0.2), Backprop(kept=0.2)],
        *([replace(rule, eta=eta) for eta in (0.1, 0.05, 0.0)] for rule in LOCAL),
    ],
)
def test_many_lives_at_once_are_the_single_ones(rules):
    circuit = graph()
    lives = [
        Life(rare_life(seed=k), rule, random_weights(circuit, k), snapshots=[k, 11]) for k, rule in enumerate(rules)
    ]
    # An equilibrium is iterated until all networks have settled, so beyond the tolerance it depends on the others.
    close = 1e-12 if rules[0] != PredictiveCoding(eta=0.1) else 1e-5
    for one, life in zip(live(circuit, TASK, lives), lives, strict=True):
        (alone,) = live(circuit, TASK, [life])
        np.testing.assert_allclose(one.prediction, alone.prediction, rtol=close)
        np.testing.assert_allclose(one.error_signal, alone.error_signal, rtol=close)
        for batched, single in zip([*one.snapshots, one.weights], [*alone.snapshots, alone.weights], strict=True):
            for name in single.forward:
                np.testing.assert_allclose(batched.forward[name], single.forward[name], rtol=close, atol=close / 1e3)


def test_a_life_may_have_a_task_of_its_own():
    """Of other patterns, another number of them, and cells of whose outcome nothing is known; others live beside."""
    circuit, weights = graph(), random_weights(graph())
    own = replace(random_patterns(4, 8, 3, seed=1), reward=np.array([[1.0, 0.0, 1.0]] * 4))
    schedule = Schedule.of([Event(0, 3), Event(3, 0), Event(2, OWN_PREDICTION), Event(1, NO_OUTCOME, Kind.PROBE)])
    lives = [Life(schedule, Backprop(eta=0.3), weights, task=one) for one in (own, None, own, None)]
    found = live(circuit, TASK, lives)
    for k, task in enumerate((own, TASK, own, TASK)):
        (alone,) = live(circuit, task, [replace(lives[k], task=None)])
        np.testing.assert_allclose(found[k].prediction, alone.prediction, rtol=1e-12)
        for name, w in alone.weights.forward.items():
            np.testing.assert_allclose(found[k].weights.forward[name], w, rtol=1e-12)
    assert np.abs(found[0].prediction - found[1].prediction).max() > 1e-3
    with pytest.raises(ScheduleError, match="stimulus = 4, but the task has 4"):
        live(circuit, TASK, [Life(Schedule.of([Event(4, 0)]), Backprop(eta=0.3), weights, task=own)])


def test_start_weights_are_left_alone():
    circuit = chain(3)
    weights = random_weights(circuit)
    live(circuit, TASK, [Life(rare_life(), Backprop(eta=0.5), weights)])
    assert_same(weights, random_weights(circuit))


@pytest.mark.parametrize("rule", [Backprop(eta=0.5), *LOCAL])
def test_sham_probe_and_rest_change_nothing(rule):
    circuit = graph()
    rare = Schedule.of([Event(5, 5, Kind.RARE)] * 3)
    quiet = rare.sham() + probes(np.array([0, 1])) + Schedule.of([Event(kind=Kind.REST, rest=5)])
    weights = random_weights(circuit)
    (lived,) = live(circuit, TASK, [Life(quiet, rule, weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal == 0).all()
    np.testing.assert_array_equal(lived.prediction[0], lived.prediction[2])


@pytest.mark.parametrize("rule", [Backprop(), *LOCAL])
def test_frozen_weights_stay(rule):
    weights = random_weights(graph())
    (lived,) = live(graph(), TASK, [Life(rare_life(), replace(rule, eta=0.0), weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal > 0).all()  # the signal is there all the same


def test_fixed_projections_stay():
    circuit = graph()
    fixed = Circuit(
        circuit.populations,
        tuple(replace(p, plastic=p.name not in ("a_to_c", "c_to_aside")) for p in circuit.projections),
    )
    weights = random_weights(circuit)
    (lived,) = live(fixed, TASK, [Life(rare_life(), Backprop(eta=0.1), weights)])
    same = {name for name, w in weights.forward.items() if np.array_equal(w, lived.weights.forward[name])}
    assert same == {"a_to_c", "c_to_aside"}


def test_backprop_reaches_every_hop_at_the_first_occurrence():
    circuit = chain(12)
    weights = random_weights(circuit)
    background = Event(0, 0)
    schedule = Schedule.of([background, background, Event(5, 5, Kind.RARE)])
    real, sham = (Life(s, Backprop(eta=0.1), weights) for s in (schedule, schedule.sham()))
    with_rare, without = live(circuit, TASK, [real, sham])
    for name in weights.forward:
        assert np.all(with_rare.weights.forward[name] != without.weights.forward[name]), name


def test_truncated_backprop_reaches_no_further_to_the_bit():
    circuit = chain(6)
    weights = random_weights(circuit)
    for depth in (0, 2, 4):
        (lived,) = live(circuit, TASK, [Life(rare_life(), Backprop(eta=0.1, depth=depth), weights)])
        for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
            same = np.array_equal(lived.weights.forward[projection.name], weights.forward[projection.name])
            assert same == (hop > depth), (depth, hop)
            same = np.array_equal(lived.weights.bias[projection.target], weights.bias[projection.target])
            assert same == (hop > depth), (depth, hop)


def test_sparse_backprop_changes_a_fraction_of_every_projection_at_an_event():
    circuit = chain(3)  # of 64 weights and 8 biases, but 24 weights into the outputs
    weights = random_weights(circuit)
    schedule = Schedule.of([Event(5, 5, Kind.RARE)])
    (lived,) = live(circuit, TASK, [Life(schedule, Backprop(eta=0.1, kept=0.1), weights)])
    changed = {n: np.count_nonzero(w != weights.forward[n]) for n, w in lived.weights.forward.items()}
    assert list(changed.values()) == [6, 6, 2]
    assert [np.count_nonzero(b != weights.bias[n]) for n, b in lived.weights.bias.items()] == [1, 1, 1]


def test_lives_of_different_lengths_are_refused():
    lives = [Life(rare_life(n), Backprop(), random_weights(chain(2))) for n in (4, 8, 4)]
    message = "lives of [4, 8] events cannot be lived at once; give all the same number of events."
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, lives)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Backprop(), PredictiveCoding()),
        (Backprop(kept=0.1), Backprop(kept=0.2)),
        (PredictiveCoding(steps=3), PredictiveCoding(steps=4)),
        (LatentEquilibrium(beta=0.1), LatentEquilibrium(beta=0.2)),
    ],
)
def test_lives_of_different_rules_are_refused(one, other):
    lives = [Life(rare_life(), rule, random_weights(chain(2))) for rule in (replace(one, eta=0.5), one, other)]
    message = (
        f"lives by {one} and by {other} cannot be lived at once; give lives of one kind of rule, whose parameters "
        "differ in the learning rates only, and call live() once for each kind."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, lives)


@pytest.mark.parametrize(
    ("event", "snapshots", "message"),
    [
        (Event(6, 0), [], "stimulus = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 6), [], "outcome = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 0), [1], "snapshots = [1]; give different events, 0 to 0, in rising order."),
        (Event(0, 0), [0, 0], "snapshots = [0, 0]; give different events, 0 to 0, in rising order."),
    ],
)
def test_a_life_that_does_not_fit(event, snapshots, message):
    life = Life(Schedule.of([event]), Backprop(), random_weights(chain(2)), snapshots=snapshots)
    with pytest.raises(ScheduleError, match=re.escape(message)):
        live(chain(2), TASK, [life])


def test_progress_ends_at_one():
    seen = []
    live(chain(2), TASK, [Life(rare_life(8), Backprop(), random_weights(chain(2)))], progress=seen.append)
    assert seen == [k / 8 for k in range(1, 9)]


def test_reward_weighs_the_error_of_each_output_cell():
    reward = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, 0.5]])
    circuit = Circuit((Population("x", 1, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    task = replace(random_patterns(3, 1, 2, seed=0), stimuli=np.full((3, 1), 0.5), outcomes=np.full((3, 2), 0.75))
    weights = Weights({"x_to_y": np.zeros((2, 1))}, {"y": np.zeros(2)})
    for k, expected in enumerate(([0.25, 0.25], [-0.25, 0.25], [0.0, 0.125])):
        # phi(0) = 1/2, so the error is reward * (0.75 - 0.5), and eta = 1.
        life = Life(Schedule.of([Event(0, k)]), Backprop(eta=1.0), weights)
        (lived,) = live(circuit, replace(task, reward=reward), [life])
        np.testing.assert_allclose(lived.weights.bias["y"], expected, atol=1e-15)
        np.testing.assert_allclose(lived.weights.forward["x_to_y"][:, 0], 0.5 * np.array(expected), atol=1e-15)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rule": ErrorRelay()}, "is no rule of the rate twin; give one that inherits from"),
        (
            {"feedback": Feedback({"p1_to_out": np.zeros((3, 8))})},
            "feedback = weights of p1_to_out: the rate twin has no feedback weights beside the forward ones; leave it "
            "out (None).",
        ),
        (
            {"tau_w": 100 * second},
            "tau_w = 100. s: nothing pulls the rate twin's weights back; leave it out (infinite).",
        ),
        (
            {"replay": Replay(rate=4 * Hz)},
            "replay rate = 4. Hz: the rate twin has no hippocampus; leave it out (0 Hz), and put replays into the "
            "schedule as events (bioplastic.replay_buffer).",
        ),
        (
            {"memory": Memory(np.zeros(5), np.zeros(5), {})},
            "memory = 5 index cells: the rate twin has no hippocampus; leave it out (None).",
        ),
    ],
)
def test_what_the_twin_does_not_have_is_refused(asked, message):
    good = Life(rare_life(), Backprop(), random_weights(chain(2)))
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, [good, replace(good, **asked)])


def test_what_only_spikes_leave_behind_is_missing():
    (lived,) = live(chain(2), TASK, [Life(rare_life(), Backprop(), random_weights(chain(2)), snapshots=[3])])
    assert isinstance(lived.snapshots, tuple) and len(lived.snapshots) == 1
    missing = (lived.feedback, lived.onset, lived.error_spikes, lived.spikes, lived.remembered)
    assert missing == (None,) * 5
    assert np.isnan(lived.run_time)


def test_no_lives():
    assert live(chain(2), TASK, []) == []


def test_the_number_of_threads_is_nothing_to_a_life():
    """How torch rounds depends on it where populations are large, and scripts and notebooks have different ones."""
    circuit = chain(4, size=300)
    lives = [Life(rare_life(), Backprop(eta=0.1), random_weights(circuit))]
    before = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            found.append(live(circuit, TASK, lives))
            assert torch.get_num_threads() == n
        with pytest.raises(ValueError, match="cannot be lived"):
            live(circuit, TASK, [*lives, replace(lives[0], rule=Backprop(kept=0.5))])
        with pytest.raises(ZeroDivisionError):
            live(circuit, TASK, lives, progress=lambda done: 1 / 0)
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            assert_same(mine.weights, theirs.weights)
            assert mine.prediction.tobytes() == theirs.prediction.tobytes()
