"""Models that live schedules: compiled lives against runtime ones, the front, other rules, and what is refused."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import brian2
import numpy as np
import pytest
from brian2 import defaultclock, ms, second
from small_networks import chain_of_hops, orthogonal

from bioplastic.cells import phi
from bioplastic.circuit import Circuit, CircuitError, Feedback, Population, Projection, Weights
from bioplastic.compiled import build as compiling
from bioplastic.compiled.toolchain import NO_COMPILER, CompilationError, compiler
from bioplastic.events import Event, Kind, Schedule, ScheduleError, Timing, probes, random_life
from bioplastic.hippocampus import Hippocampus, Target
from bioplastic.life import Life, Lived, SpikeTrain
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking.health import ActivityError
from bioplastic.spiking.models import Model, model
from bioplastic.spiking.network import flat
from bioplastic.spiking.results import count_error_spikes, snapshot_weights
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import random_patterns
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")
TASK = random_patterns(6, 16, 4, seed=0)
TIMING = Timing(lead=200 * ms)
RULE = ErrorRelay(theta=0.3, tau_e=5 * second, gain=0.9, eta=0.01)
COMPILED = pytest.mark.skipif(compiler() is None, reason="no C++ compiler")


CHAIN = chain_of_hops(4)
WEIGHTS = orthogonal(CHAIN)
SPEC = ModelSpec(
    CHAIN, RULE, n_stimuli=6, n_outcomes=6, n_steps=2**14, n_snapshots=3, record_spikes=True, restoring=True
)
RARE = Event(5, 5, Kind.RARE)


def a_life(*events: Event, **changes) -> Life:
    return replace(Life(Schedule.of(events or [Event(0, 0)]), RULE, WEIGHTS, TIMING), **changes)


def mixed(n_events: int = 8, **changes) -> Life:
    """A life in which one event in four is the rare one."""
    schedule = random_life(TASK, event_fraction=0.25, n_events=n_events, seed=0)
    return a_life(schedule=schedule, **changes)


def with_bias(population: str, value: float) -> Weights:
    return Weights(WEIGHTS.forward, {**WEIGHTS.bias, population: np.full_like(WEIGHTS.bias[population], value)})


def change(lived: Lived, start: Weights = WEIGHTS) -> dict[str, float]:
    """Size of the weight change by projection."""
    return {name: float(np.linalg.norm(w - start.forward[name])) for name, w in lived.weights.forward.items()}


def assert_same(one: Lived, other: Lived) -> None:
    """To the bit."""
    np.testing.assert_array_equal(one.prediction, other.prediction)
    assert_same_spikes(one, other)
    for here, there in zip([*one.snapshots, one.weights], [*other.snapshots, other.weights], strict=True):
        assert_close(here, there, atol=0)
    for name, fb in one.feedback.weights.items():
        np.testing.assert_array_equal(fb, other.feedback.weights[name], err_msg=name)


def assert_same_spikes(one: Lived, other: Lived) -> None:
    for name, what in (("spikes", ("time", "cell")), ("error_spikes", ("time", "cell", "sign"))):
        for column in what:
            here, there = (getattr(getattr(lived, name), column) for lived in (one, other))
            np.testing.assert_array_equal(here, there, err_msg=f"{column} of {name}")


def assert_close(one: Weights, other: Weights, atol: float = 1e-12) -> None:
    for here, there in ((one.forward, other.forward), (one.bias, other.bias)):
        assert set(here) == set(there)
        for name, values in here.items():
            np.testing.assert_allclose(values, there[name], rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def compiled(cache_dir, cpp_compiler) -> Model:
    """The one model that all tests of compiled lives share; 20 s the first time."""
    return model(SPEC, TASK, compiled=True)


@pytest.fixture(scope="module")
def runtime() -> Model:
    return model(SPEC, TASK, compiled=False)


# ------------------------------------------------------------------------------------------ lives


def test_compiled_lives_are_those_of_runtime_mode(compiled, runtime):
    """Every spike and error spike at the same step; numbers to rounding, which the compiler may do in another order."""
    life = mixed(snapshots=[1, 7])
    fast, slow = compiled.live(life), runtime.live(life)
    assert len(fast.spikes.time) > 5000
    assert len(fast.error_spikes.time) > 100
    assert_same_spikes(fast, slow)
    np.testing.assert_array_equal(fast.onset, slow.onset)
    np.testing.assert_array_equal(fast.error_signal, slow.error_signal)
    np.testing.assert_allclose(fast.prediction, slow.prediction, rtol=0, atol=1e-12)
    for here, there in zip([*fast.snapshots, fast.weights], [*slow.snapshots, slow.weights], strict=True):
        assert_close(here, there)
    assert min(change(fast).values()) > 1e-3  # there was something to compare at every hop


def test_lives_at_once_are_those_one_after_another(compiled):
    lives = [mixed(seed=seed, snapshots=[seed]) for seed in range(3)]
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(compiled.live, lives))
    for one, life in zip(at_once, lives, strict=True):
        assert_same(one, compiled.live(life))


def test_snapshots_are_the_weights_of_shorter_lives(compiled):
    events = [Event(k, k) for k in range(4)] + [RARE]
    whole = compiled.live(a_life(*events, snapshots=[0, 2, 4]))
    rows = [flat(CHAIN, snapshot.forward) for snapshot in whole.snapshots]
    for row, n_events in zip(rows, (1, 3, 5), strict=True):
        shorter = compiled.live(a_life(*events[:n_events]))
        np.testing.assert_array_equal(row, flat(CHAIN, shorter.weights.forward))
    assert len(np.unique(rows, axis=0)) == 3
    np.testing.assert_array_equal(rows[-1], flat(CHAIN, whole.weights.forward))


def test_snapshots_in_runtime_mode(runtime):
    life = a_life(RARE, RARE, snapshots=[0, 1])
    lived, shorter = runtime.live(life), runtime.live(a_life(RARE))
    for snapshot, there in zip(lived.snapshots, (shorter.weights, lived.weights), strict=True):
        np.testing.assert_array_equal(flat(CHAIN, snapshot.forward), flat(CHAIN, there.forward))
        assert_close(snapshot, there)
    biases = [np.concatenate(list(w.bias.values())) for w in (life.weights, shorter.weights, lived.weights)]
    assert not np.array_equal(biases[0], biases[1])
    assert not np.array_equal(biases[1], biases[2])


def test_what_a_runtime_life_leaves_is_its_own(runtime):
    """Brian2 frees what a view looks at, together with the monitor."""
    lived = runtime.live(a_life())
    for array in (lived.spikes.time, lived.error_spikes.time):
        assert array.size
        assert array.flags.owndata


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
def test_a_life_may_have_a_task_of_its_own(mode, request):
    """Rows 4 and 5 of the task as rows 0 and 1 of a smaller one: the same life. The next one has the model's again."""
    lives = request.getfixturevalue(mode)
    small = replace(
        TASK, stimuli=TASK.stimuli[4:], outcomes=TASK.outcomes[4:], label=np.arange(2), held_out=TASK.held_out[4:],
        rare_label=1,
    )  # fmt: skip
    wanted = lives.live(a_life(Event(4, 5), Event(5, 4)))
    assert_same(lives.live(a_life(Event(0, 1), Event(1, 0), task=small)), wanted)
    assert_same(lives.live(a_life(Event(4, 5), Event(5, 4))), wanted)
    assert lives.live(a_life(Event(0, 1), Event(1, 0))).prediction[0] != pytest.approx(wanted.prediction[0], abs=1e-3)


def test_lives_leave_no_trace(compiled):
    """A model is not changed by what it lives, nor is the life."""
    before = {name: w.copy() for name, w in WEIGHTS.forward.items()}
    first = compiled.live(mixed())
    compiled.live(a_life(RARE, rule=replace(RULE, eta=0.5), seed=4))
    assert_same(first, compiled.live(mixed()))
    for name, w in WEIGHTS.forward.items():
        np.testing.assert_array_equal(w, before[name])


def test_the_seed_sets_the_spikes(compiled):
    one, other = compiled.live(a_life(seed=0)), compiled.live(a_life(seed=1))
    assert not np.array_equal(one.spikes.time, other.spikes.time)
    assert len(one.spikes.time) == pytest.approx(len(other.spikes.time), rel=0.05)


def test_predictions_are_those_of_a_rate_network(compiled):
    lived = compiled.live(a_life(schedule=probes(np.arange(6)), rule=replace(RULE, eta=0.0)))
    h = TASK.stimuli
    for projection in CHAIN.projections:
        h = phi(h @ WEIGHTS.forward[projection.name].T + WEIGHTS.bias[projection.target])
    assert np.sqrt(np.mean((lived.prediction - h) ** 2)) < 0.09
    assert np.sqrt(np.mean((lived.prediction - h[::-1]) ** 2)) > 0.18  # they are not alike for all stimuli
    assert lived.error_spikes.time.size == 0  # nothing happens, so nothing is wrong
    assert max(change(lived).values()) == 0


def test_frozen_weights_stay_to_the_bit(compiled):
    lived = compiled.live(mixed(rule=replace(RULE, eta=0.0), snapshots=[3]))
    assert_close(lived.snapshots[0], WEIGHTS, atol=0)
    assert_close(lived.weights, WEIGHTS, atol=0)
    assert (lived.error_signal.sum(axis=0) > 0).all()  # though errors got to every hop


def test_what_a_life_leaves_is_not_brian2s_memory(runtime, monkeypatch):
    """Brian2 2.10 and later free the memory of monitors and synapses with them, whoever still looks at it."""
    networks, run = [], brian2.Network.run

    def remembered(network, *arguments, **options):
        networks.append(network)
        run(network, *arguments, **options)

    monkeypatch.setattr(brian2.Network, "run", remembered)
    lived = runtime.live(a_life(RARE))
    [network] = networks
    forward, feedback = lived.weights.forward["h1_to_y"], lived.feedback.weights["h1_to_y"]
    for left, owner, variable in (
        *((lived.error_spikes.time, "errors", "t"), (lived.spikes.time, "spikes", "t")),
        *((forward, "cells_synapses", "w"), (feedback, "cells_synapses", "fb")),
    ):
        assert left.size
        assert not np.shares_memory(left, network[owner].variables[variable].get_value()), f"{owner}.{variable}"


def test_projections_that_do_not_learn_stay(runtime):
    fixed = replace(CHAIN, projections=tuple(replace(p, plastic=p.name != "h2_to_h1") for p in CHAIN.projections))
    lived = model(replace(SPEC, circuit=fixed), TASK, compiled=False).live(a_life(RARE))
    assert {name for name, size in change(lived).items() if size == 0} == {"h2_to_h1"}


def test_a_sham_event_changes_next_to_nothing(compiled):
    for seed in range(3):
        real = a_life(RARE, RARE, seed=seed)
        sham = change(compiled.live(replace(real, schedule=real.schedule.sham())))
        rare = change(compiled.live(real))
        assert all(sham[name] < 0.4 * rare[name] for name in rare), seed
        assert sham["x_to_h3"] < 0.1 * rare["x_to_h3"], seed


def test_life_and_sham_are_one_until_the_rare_event(compiled):
    events = [Event(0, 0), Event(1, 1), RARE]
    real = a_life(*events, snapshots=[1])
    sham = replace(real, schedule=real.schedule.sham())
    one, other = compiled.live(real), compiled.live(sham)
    assert_close(one.snapshots[0], other.snapshots[0], atol=0)
    np.testing.assert_array_equal(one.prediction, other.prediction)  # the last is made before the outcome is known
    assert change(one) != change(other)


def test_salience_reaches_further(compiled):
    def last_hop(salience: float) -> int:
        lived = compiled.live(a_life(replace(RARE, salience=salience)))
        return int(np.flatnonzero(lived.error_signal.sum(axis=0)).max())

    assert last_hop(0.2) < last_hop(2)


def test_a_brief_outcome_changes_nothing_beyond_a_front():
    circuit = chain_of_hops(12)
    weights = orthogonal(circuit)
    long_chain = model(ModelSpec(circuit, RULE, 6, 6, n_steps=200, n_snapshots=0), TASK, compiled=False)
    rule = ErrorRelay(theta=0.3, eta=0.01)
    fronts = []
    for outcome in (20 * ms, 100 * ms, 400 * ms):
        timing = Timing(lead=300 * ms, outcome=outcome)
        lived = long_chain.live(Life(Schedule.of([RARE]), rule, weights, timing))
        reached = []
        for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
            w, b = lived.weights.forward[projection.name], lived.weights.bias[projection.target]
            if np.any(w != weights.forward[projection.name]) or np.any(b != weights.bias[projection.target]):
                reached.append(int(hop))
        assert sorted(reached) == list(range(len(reached)))  # no hole: whatever is beyond the front is as it was
        assert np.flatnonzero(lived.error_signal[0]).tolist() == sorted(reached)
        fronts.append(len(reached))
    assert fronts[0] < fronts[1] < fronts[2] < 12


def test_error_spikes_are_counted_by_event_and_hop():
    cells = np.array([66, 66, 50, 16, 50])  # y, y, h1, h3, h1
    spikes = SpikeTrain(np.array([0.0, 0.1, 0.299, 0.3, 0.5]), cells, np.array([1, -1, 1, 1, 1]))
    found = count_error_spikes(CHAIN, np.array([0.0, 0.3]), spikes)
    np.testing.assert_array_equal(found, [[2, 1, 0, 0], [0, 1, 0, 1]])


def test_error_spikes_of_cells_that_no_weight_reaches_are_not_counted():
    """Cell 0 is the input, 1 y, 2 at the dead end, 3 one hop upstream, where no projection ends."""
    populations = (
        Population("x", 1, "input"),
        Population("y", 1, "error source"),
        Population("end", 1),
        Population("start", 1),
    )
    ends = (Projection("x", "y"), Projection("x", "end", plastic=False), Projection("start", "y"))
    spikes = SpikeTrain(np.array([0.0, 0.1, 0.2]), np.array([1, 2, 3]), np.array([1, 1, 1]))
    np.testing.assert_array_equal(count_error_spikes(Circuit(populations, ends), np.zeros(1), spikes), [[1]])


def test_weights_at_a_snapshot_by_hand():
    """Cells 0 and 1 are inputs, 2 and 3 outputs; an error spike is worth 0.5, the last comes too late."""
    circuit = Circuit((Population("x", 2, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    life = a_life(rule=ErrorRelay(theta=1, eta=0.5), snapshots=[0])
    life = replace(life, weights=Weights({"x_to_y": np.zeros((2, 2))}, {"y": np.array([1.0, 2.0])}))
    spikes = SpikeTrain(np.array([0.1, 0.2, 0.4, 0.401]), np.array([2, 3, 2, 2]), np.array([1, -1, 1, 1]))
    (snapshot,) = snapshot_weights(circuit, life, np.array([0.0, 0.4]), spikes, [np.ones(4)])
    np.testing.assert_array_equal(snapshot.forward["x_to_y"], np.ones((2, 2)))
    np.testing.assert_allclose(snapshot.bias["y"], [2.0, 1.5])


# ------------------------------------------------------------------------------------------ restoring forces


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
def test_what_was_learned_fades_with_its_time_constant(mode, request):
    """A surprise ends at 350 ms; five probes later, at 2100 ms, it has been pulled 18 times, at 400 ... 2100 ms."""
    events = [RARE, *[Event(0, -1, Kind.PROBE)] * 5]
    life = a_life(*events, snapshots=[0], rule=replace(RULE, tau_e=10 * ms), tau_w=2 * second)
    lived = request.getfixturevalue(mode).live(life)
    start = flat(CHAIN, WEIGHTS.forward)
    learned, left = flat(CHAIN, lived.snapshots[0].forward) - start, flat(CHAIN, lived.weights.forward) - start
    assert np.linalg.norm(learned) > 0.01
    np.testing.assert_allclose(left, learned * np.exp(-18 * 0.1 / 2), rtol=0, atol=1e-12)


def test_a_snapshot_has_the_pull_of_its_step(runtime):
    """The second event ends at 700 ms, when weights are pulled."""
    whole = runtime.live(a_life(RARE, RARE, RARE, snapshots=[1], tau_w=1 * second))
    shorter = runtime.live(a_life(RARE, RARE, tau_w=1 * second))
    np.testing.assert_array_equal(flat(CHAIN, whole.snapshots[0].forward), flat(CHAIN, shorter.weights.forward))


def test_without_a_time_constant_restoring_changes_nothing(runtime):
    plain = model(replace(SPEC, restoring=False), TASK, compiled=False)
    assert_same(plain.live(a_life(RARE)), runtime.live(a_life(RARE)))


def test_a_time_constant_needs_a_model_made_for_it():
    plain = model(replace(SPEC, restoring=False), TASK, compiled=False)
    message = (
        "the life pulls its weights back with tau_w = 3. s, but the model was made without; make it with "
        "ModelSpec(..., restoring=True)."
    )
    with pytest.raises(CompilationError, match=re.escape(message)):
        plain.live(a_life(tau_w=3 * second))


@pytest.mark.parametrize(
    ("tau_w", "message"),
    [
        (0 * second, "tau_w = 0 ms is outside what is allowed: more than 0 ms."),
        (-1 * second, "tau_w = -1000 ms is outside what is allowed: more than 0 ms."),
        (5, "tau_w = 5 has no unit; it needs a time such as 10*ms."),
        (np.nan * second, "tau_w is NaN; give a number in ms."),
    ],
)
def test_bad_time_constant(tau_w, message):
    with pytest.raises(UnitError) as caught:
        a_life(tau_w=tau_w)
    assert str(caught.value) == message


# ------------------------------------------------------------------------------------------ other rules

WARM = {"theta": 0.3, "tau_e": 5 * second, "gain": 0.9, "eta": 0.01}
OTHERS = [
    LearnedFeedback(**WARM, decay=0.01),
    RadiusRelay(**WARM, radius=2),
    Broadcast(**WARM),
    EquilibriumRelay(**WARM, eta_apical=0.01),
]


def feedback_for(rule) -> Feedback | None:
    if isinstance(rule, Broadcast):
        return random_broadcast(CHAIN, 1)
    return agreeing_feedback(CHAIN, WEIGHTS, TASK.stimuli) if isinstance(rule, EquilibriumRelay) else None


@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: type(rule).__name__)
def test_every_rule_lives_and_leaves_its_feedback(rule):
    given = feedback_for(rule)
    lived = model(replace(SPEC, rule=rule), TASK, compiled=False).live(a_life(RARE, rule=rule, feedback=given))
    sizes = change(lived)
    assert (sizes["x_to_h3"] == 0) == isinstance(rule, RadiusRelay)  # h3 is three hops from y
    assert min(size for name, size in sizes.items() if name != "x_to_h3") > 0
    lived.feedback.check(CHAIN, broadcast=isinstance(rule, Broadcast))
    given = given or Feedback(WEIGHTS.forward)
    same = {name: np.array_equal(w, given.weights[name]) for name, w in lived.feedback.weights.items()}
    assert set(same) == set(given.weights)
    if isinstance(rule, LearnedFeedback):
        assert not any(same.values())
    elif isinstance(rule, EquilibriumRelay):
        assert same == {"x_to_h3": True, "h3_to_h2": False, "h2_to_h1": False, "h1_to_y": False}
        assert not any(np.array_equal(lived.feedback.bias[name], given.bias[name]) for name in ("h1", "h2", "h3"))
    else:
        assert all(same.values())


def test_the_window_is_open_while_there_is_an_outcome(runtime):
    """Fed back by the forward weights, dendrites disagree all the time; error spikes come with outcomes only."""
    rule = EquilibriumRelay(theta=0.1, eta=0.0)
    lived = model(replace(SPEC, rule=rule), TASK, compiled=False).live(
        a_life(RARE, Event(0, -1, Kind.PROBE), rule=rule)
    )
    assert lived.error_spikes.time.min() > 0.2
    assert lived.error_spikes.time.max() < 0.321
    assert (lived.error_signal[0] > 20).all()


@pytest.mark.slow
@COMPILED
@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: type(rule).__name__)
def test_compiled_lives_of_other_rules_are_those_of_runtime_mode(rule):
    spec = replace(SPEC, rule=rule)
    life = mixed(6, rule=rule, feedback=feedback_for(rule), tau_w=10 * second, snapshots=[3])
    fast, slow = model(spec, TASK, compiled=True).live(life), model(spec, TASK, compiled=False).live(life)
    assert len(fast.error_spikes.time) > 100
    assert_same_spikes(fast, slow)
    for here, there in zip([*fast.snapshots, fast.weights], [*slow.snapshots, slow.weights], strict=True):
        assert_close(here, there)
    ours, theirs = (Weights(lived.feedback.weights, lived.feedback.bias) for lived in (fast, slow))
    assert_close(ours, theirs)


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            Weights({name: w * 1e6 for name, w in WEIGHTS.forward.items()}, WEIGHTS.bias),
            r"the activity of population 'h3' diverged at about 0\.[01] s \(mean \|V\| = .*\)\. Lower the",
        ),
        (with_bias("h2", -20.0), r"population 'h2' went silent at about 1\.1 s: its cells are driven"),
    ],
    ids=["diverged", "silent"],
)
def test_unhealthy_activity_names_the_population(mode, weights, message, request):
    life = a_life(*[Event(0, 0)] * 6, weights=weights, rule=replace(RULE, eta=0.0))
    with pytest.raises(ActivityError, match=message):
        request.getfixturevalue(mode).live(life)


def test_learning_that_diverges_is_noticed(compiled):
    life = a_life(*[RARE] * 4, rule=replace(RULE, eta=1e8))
    with pytest.raises(ActivityError, match=r"the activity of population '\w+' diverged .* Lower the learning rate"):
        compiled.live(life)


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"schedule": Schedule.of([Event(0, 0)] * 600)},
            CompilationError,
            "a life of 21001 steps and 0 snapshots does not fit a model made for 16384 steps and 3 snapshots",
        ),
        (
            {"schedule": Schedule.of([Event(0, 0)] * 4), "snapshots": [0, 1, 2, 3]},
            CompilationError,
            "a life of 141 steps and 4 snapshots does not fit",
        ),
        (
            {"timing": Timing(resolution=5 * ms)},
            CompilationError,
            "the life's timing has resolution 5. ms, the model 10. ms; make the model with the timing's resolution.",
        ),
        ({"schedule": Schedule.of([Event(6, 0)])}, ScheduleError, "stimulus = 6, but the task has 6: give an index"),
        ({"schedule": Schedule.of([Event(-1, 0)])}, ScheduleError, "stimulus = -1, but the task has 6"),
        ({"schedule": Schedule.of([Event(0, 6)])}, ScheduleError, "outcome = 6, but the task has 6"),
        ({"snapshots": [1]}, ScheduleError, "snapshots = [1]; give different events, 0 to 0, in rising order."),
        ({"snapshots": [0, 0]}, ScheduleError, "snapshots = [0, 0]; give different events"),
        ({"weights": Weights({}, WEIGHTS.bias)}, CircuitError, "weights: missing ['h1_to_y'"),
        (
            {"feedback": Feedback({"x_to_h3": np.zeros((16, 16))})},
            CircuitError,
            "feedback weights: missing ['h1_to_y', 'h2_to_h1', 'h3_to_h2'], unknown [].",
        ),
        (
            {"rule": EquilibriumRelay()},
            CompilationError,
            "rule is EquilibriumRelay, the model was made for ErrorRelay; make a model for each kind of rule.",
        ),
        (
            {"task": random_patterns(7, 16, 4, seed=0)},
            CompilationError,
            "the life's task has 7 stimuli for 16 cells, the model room for 6 for 16; make the model with",
        ),
        (
            {"task": random_patterns(6, 16, 5, seed=0)},
            CompilationError,
            "the life's task has 6 outcomes for 5 cells, the model room for 6 for 4",
        ),
        (
            {"task": random_patterns(2, 16, 4, seed=0), "schedule": Schedule.of([Event(2, 0)])},
            ScheduleError,
            "stimulus = 2, but the task has 2",
        ),
        ({"rule": Backprop(0.1)}, CompilationError, "the life's rule is Backprop, the model was made for ErrorRelay"),
        ({"rule": RadiusRelay(radius=2)}, CompilationError, "the life's rule is RadiusRelay, the model was made for"),
        ({"rule": Broadcast()}, CompilationError, "the life's rule is Broadcast, the model was made for ErrorRelay"),
    ],
)
def test_a_life_that_does_not_fit(mode, changes, error, message, request):
    with pytest.raises(error, match=re.escape(message)):
        request.getfixturevalue(mode).live(a_life(**changes))


def test_a_rule_that_broadcasts_needs_its_feedback():
    broadcasting = model(replace(SPEC, rule=Broadcast()), TASK, compiled=False)
    message = (
        "a rule that broadcasts needs weights from the error source to every hidden population; give "
        "feedback=random_broadcast(circuit, seed) from bioplastic.rules.broadcast."
    )
    with pytest.raises(CircuitError, match=re.escape(message)):
        broadcasting.live(a_life(rule=Broadcast()))


@pytest.mark.parametrize(("n_stimuli", "n_inputs", "n_outputs"), [(7, 16, 4), (6, 15, 4), (6, 16, 5)])
def test_a_task_that_does_not_fit(n_stimuli, n_inputs, n_outputs):
    task = random_patterns(n_stimuli, n_inputs, n_outputs, seed=0)
    message = (
        f"the task's stimuli ({n_stimuli}, {n_inputs}) and outcomes ({n_stimuli}, {n_outputs}) do not fit the circuit, "
        "which needs (6, 16) and (6, 4)."
    )
    with pytest.raises(CircuitError, match=re.escape(message)):
        model(SPEC, task)


# ------------------------------------------------------------------------------------------ compiler and cache


def test_without_a_compiler_lives_run_in_runtime_mode(monkeypatch):
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    slow = model(SPEC, TASK)
    assert not slow.compiled
    assert change(slow.live(a_life(RARE)))["h1_to_y"] > 0
    with pytest.raises(CompilationError, match=re.escape(NO_COMPILER)):
        model(SPEC, TASK, compiled=True)
    for package in ("apt install g++ make", "xcode-select --install", "cxx-compiler"):
        assert package in NO_COMPILER


@COMPILED
def test_a_compiled_model_is_kept(compiled, monkeypatch):
    found = compiler()

    def must_not_run(*arguments, **options):
        raise AssertionError(f"{arguments} was started")

    monkeypatch.setattr(compiling, "compiler", lambda: found)
    monkeypatch.setattr(subprocess, "run", must_not_run)
    # Only the equations of a rule are compiled: other parameters need no other program.
    again = model(replace(SPEC, rule=ErrorRelay(theta=2.0)), random_patterns(6, 16, 4, seed=1))
    assert again.compiled
    with pytest.raises(AssertionError, match="was started"):  # but another size does
        model(replace(SPEC, n_steps=2**13), TASK)


def test_settings_of_brian2_are_as_before(runtime):
    defaultclock.dt = 0.25 * ms
    device = brian2.get_device()
    runtime.live(a_life())
    assert float(defaultclock.dt / ms) == 0.25
    assert brian2.get_device() is device


def test_reward_weighs_the_error_of_each_output_cell():
    def errors(reward: list[float] | None) -> np.ndarray:
        """Signed error spikes of the four output cells, whose errors change nothing and go nowhere."""
        task = replace(TASK, reward=None if reward is None else np.tile(reward, (len(TASK.outcomes), 1)))
        lived = model(SPEC, task, compiled=False).live(a_life(Event(0, 3), rule=replace(RULE, eta=0.0, gain=0.0)))
        errors = lived.error_spikes
        at_output = errors.cell >= CHAIN.slices["y"].start
        cells = errors.cell[at_output] - CHAIN.slices["y"].start
        return np.bincount(cells, weights=errors.sign[at_output], minlength=4)

    plain, mixed_up = errors(None), errors([1.0, -1.0, 0.0, 0.5])
    assert (np.abs(plain) >= 4).all()
    np.testing.assert_array_equal(errors([1.0] * 4), plain)
    assert mixed_up[0] == plain[0]
    assert mixed_up[1] == pytest.approx(-plain[1], abs=2)  # the prediction is an average of noisy looks
    assert mixed_up[2] == 0
    assert mixed_up[3] == pytest.approx(plain[3] / 2, abs=2)


@pytest.mark.parametrize(
    "rule", [RULE, LearnedFeedback(), RadiusRelay(), EquilibriumRelay()], ids=lambda r: type(r).__name__
)
def test_prediction_is_what_the_mismatch_reads(rule):
    # Many cells with small weights: V is all but constant. Read before it decays, it would be 1.05 instead of 1.
    circuit = Circuit((Population("x", 400, "input"), Population("y", 1, "error source")), (Projection("x", "y"),))
    task = replace(random_patterns(1, 400, 1, seed=0), stimuli=np.full((1, 400), 0.5))
    weights = Weights({"x_to_y": np.full((1, 400), 2 / 400)}, {"y": np.zeros(1)})
    spec = ModelSpec(circuit, rule, 1, 1, 2**10, n_snapshots=0)
    long = Timing(lead=600 * ms)
    lived = model(spec, task, compiled=False).live(Life(probes(np.array([0])), rule, weights, long))
    assert lived.prediction[0, 0] == pytest.approx(phi(1.0), abs=0.002)


def test_a_rule_may_not_take_a_name_that_a_life_needs():
    code = replace(RULE.code, cell_equations="smoothing : 1 (shared, constant)")
    rule = type("Smooth", (type(RULE),), {"code": code})()
    with pytest.raises(ValueError, match="Smooth: the name smoothing is taken; call the rule's variable otherwise"):
        model(replace(SPEC, rule=rule), TASK, compiled=False).live(a_life(Event(0, 3), rule=rule))


def test_reward_and_hippocampus_do_not_go_together():
    spec = ModelSpec(CHAIN, RULE, 6, 6, 2**10, hippocampus=Hippocampus((Target("x"),), surprise="y"))
    task = replace(TASK, reward=np.zeros_like(TASK.outcomes))
    with pytest.raises(CompilationError, match="reward that is not 1, but the model has a hippocampus"):
        Model(spec, task, None).live(a_life())
