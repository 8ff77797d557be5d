"""Attention, one-shot memory and replay: in a network of six cells of one's own, and in whole lives."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from bioplastic_models import chain
from brian2 import EventMonitor, Hz, Network, NeuronGroup, SpikeMonitor, StateMonitor, TimedArray, ms, mV, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.circuit import Circuit, CircuitError, Population, Projection, Weights
from bioplastic.events import Event, Kind, Schedule, ScheduleError, Timing
from bioplastic.hippocampus.circuit import HippocampalCircuit, build
from bioplastic.hippocampus.equations import CONTROL_STEP, HAZARD, HELD, RECALL_EQUATIONS, RECALLED
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay, Target
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking import CompilationError, Life, Lived, Model, ModelSpec, cell_group, model
from bioplastic.tasks import digits
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")

SMALL = Hippocampus((Target("x"), Target("y", 100 * ms)), "y", n_index=12)
"""Three memories of four index cells, two for each target."""


def changed(**changes) -> Hippocampus:
    return replace(SMALL, **changes)


def memories(n: int, hippocampus: Hippocampus = SMALL, **options) -> Memory:
    """Of four cells of x and two of y."""
    rng = np.random.default_rng(0)
    return Memory.of(hippocampus, {"x": rng.random((n, 4)), "y": rng.random((n, 2))}, **options)


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ()}, r"targets = \[\]; give at least one population, and each once"),
        ({"targets": (Target("x"), Target("x"))}, r"targets = \['x', 'x'\]; give at least one population, and each on"),
        ({"n_index": 0}, "n_index = 0 index cells have no room for one assembly of 4 cells.*give 4 or more"),
        ({"n_index": 3}, "n_index = 3 index cells have no room for one assembly of 4 cells.*give 4 or more"),
        ({"assembly": 3}, "assembly = 3 cells for 2 targets; each target needs the same.*give a multiple of 2"),
        ({"assembly": 0}, "assembly = 0 cells for 2 targets; each target needs the same.*give a multiple of 2"),
    ],
)
def test_an_index_layer_without_room(changes, message):
    with pytest.raises(CircuitError, match=message):
        changed(**changes)


@pytest.mark.parametrize("name", ["hold_per_error", "longest_hold", "plateau_latency", "tau_elig", "tag_hold"])
def test_times_need_their_unit_and_are_positive(name):
    with pytest.raises(UnitError, match=f"{name} = 60 has no unit; it needs a time such as 10"):
        changed(**{name: 60})
    with pytest.raises(UnitError, match=f"{name} = 0 ms is outside what is allowed: more than 0 ms"):
        changed(**{name: 0 * ms})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignition": -1 * ms}, "ignition = -1 ms is outside what is allowed: 0 ms or more"),
        ({"tau_fade": 3 * mV}, "tau_fade = 3. mV is in .*; it needs a time such as"),
        ({"tau_tag": -1 * second}, "tau_tag = -1000 ms is outside what is allowed: more than 0 ms"),
        ({"tau_tired": 0 * second}, "tau_tired = 0 ms is outside what is allowed: more than 0 ms"),
        ({"restore": 1.5}, "restore = 1.5 is outside what is allowed: 0 to 1"),
        ({"ripple": (0 * ms, 80 * ms)}, r"ripple\[0\] = 0 ms is outside what is allowed: more than 0 ms"),
        ({"ripple": (80 * ms, 60 * ms)}, r"ripple\[1\] = 60 ms is outside what is allowed: 80 ms or more"),
        ({"outcome": 100 * ms}, "outcome = 100 ms is outside what is allowed: 120 ms or more"),
    ],
)
def test_parameters_out_of_range(changes, message):
    with pytest.raises(UnitError, match=message):
        changed(**changes)


@pytest.mark.parametrize("never", ["tau_fade", "tau_tag"])
def test_memories_and_tags_may_stay_for_ever(never):
    assert np.isinf(float(getattr(changed(**{never: np.inf * second}), never)))


def test_bad_onset():
    with pytest.raises(UnitError, match="onset of target 'y' = -5 ms is outside what is allowed: 0 ms or more"):
        Target("y", -5 * ms)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.3}, "replay rate = 0.3 has no unit; it needs Hz"),
        ({"rate": -1 * Hz}, "replay rate = -1 Hz is outside what is allowed: 0 Hz or more"),
        ({"compression": 0.0}, "compression = 0 is outside what is allowed: more than 0"),
        ({"compression": 2 * ms}, "compression = 2. ms is in .*; it needs no unit"),
    ],
)
def test_a_replay_out_of_range(arguments, message):
    with pytest.raises(UnitError, match=message):
        Replay(**arguments)


def test_a_replay_rate_above_what_fits():
    """A reactivation takes 100 ms to the outcome, 120 ms of it, and 100 ms of silence: 320 ms."""
    message = "replay rate = 3.125 Hz is more than fits: a reactivation takes 0.32 s; ask for less than 3.125 Hz, or"
    with pytest.raises(UnitError, match=message):
        start_values(SMALL, Replay(3.125 * Hz))
    start_values(SMALL, Replay(3.12 * Hz))
    start_values(SMALL, Replay(3.125 * Hz, compression=1.1))


def test_a_replay_of_a_target_that_is_none():
    with pytest.raises(CircuitError, match="replay of 'z' only, which is no target; targets: x, y"):
        start_values(SMALL, Replay(0.2 * Hz, only=("x", "z")))


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"x": np.ones((4, 4)), "y": np.ones((4, 2))}, "4 memories do not fit a capacity of 3; give fewer, or n_index"),
        ({"x": np.ones((2, 4))}, "patterns are missing for target 'y'; given: x"),
        ({"x": np.ones((2, 4)), "y": np.ones((1, 2))}, "patterns: 1 for target 'y', 2 for 'x'; give one of each per"),
    ],
)
def test_memories_that_cannot_be(patterns, message):
    with pytest.raises(CircuitError, match=message):
        Memory.of(SMALL, patterns)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: replace(m, tag=m.tag[:-1]), r"memory: tag has shape \(11,\), but the hippocampus n_index = 12"),
        (lambda m: replace(m, weights={"x": m.weights["x"]}), r"of target 'y' should have 6 rows.*: x \(6, 4\)"),
        (lambda m: replace(m, weights=m.weights | {"x": np.ones((5, 4))}), "weights of target 'x' should have 6 rows"),
    ],
)
def test_a_memory_of_another_hippocampus(spoil, message):
    with pytest.raises(CircuitError, match=message):
        start_values(SMALL, Replay(), spoil(memories(2)))


def test_populations_that_do_not_exist():
    cells = cell_group(6, ErrorRelay(), recall=True)
    there = {"x": cells[:4], "y": cells[4:]}
    with pytest.raises(CircuitError, match="target 'z' of the hippocampus does not exist; known populations: x, y"):
        build(changed(targets=(Target("z"), Target("y"))), there)
    with pytest.raises(CircuitError, match="surprise 'z' of the hippocampus does not exist; known populations: x, y"):
        build(changed(surprise="z"), there)


def test_cells_that_no_memory_can_drive():
    cells = cell_group(6, ErrorRelay())
    message = "cells of target 'x' have no variable 'recalled'; add RECALL_EQUATIONS to their equations, or make th"
    with pytest.raises(CircuitError, match=message):
        build(SMALL, {"x": cells[:4], "y": cells[4:]})


def test_cells_that_are_never_surprised():
    cells = NeuronGroup(6, RECALL_EQUATIONS)
    with pytest.raises(CircuitError, match="cells of surprise 'y' have no event 'error'; make them with cell_grou"):
        build(SMALL, {"x": cells[:4], "y": cells[4:]})


TASK = digits()
TIMING = Timing(lead=200 * ms)
CHAIN = Circuit((Population("x", 64, "input"), Population("y", 10, "error source")), (Projection("x", "y"),))
RULE = ErrorRelay()
"""It does not learn, so that the prediction stays at 1/2, a surprise of 1/4 in each cell of y."""
HIPPOCAMPUS = Hippocampus((Target("x"), Target("y", TIMING.lead)), "y")
SPEC = replace(ModelSpec.roomy(CHAIN, RULE, TASK, 2**17, n_snapshots=0, hippocampus=HIPPOCAMPUS), record_spikes=True)
NOTHING = Weights({"x_to_y": np.zeros((10, 64))}, {"y": np.zeros(10)})


def a_life(schedule: Schedule, **changes) -> Life:
    return replace(Life(schedule, TIMING, RULE, NOTHING), **changes)


def a_rest(length: Quantity) -> Schedule:
    return Schedule.of([Event(kind=Kind.REST, rest=round(float(length / TIMING.resolution)))])


def ideal(stimuli: np.ndarray, **options) -> Memory:
    return Memory.of(HIPPOCAMPUS, {"x": TASK.stimuli[stimuli], "y": TASK.outcomes[TASK.label[stimuli]]}, **options)


EVENT = Schedule.of([Event(0, 0)])
REPLAY = Replay(0.4 * Hz)


def with_hidden_cells() -> Circuit:
    populations = (CHAIN.populations[0], Population("h", 5), CHAIN.populations[1])
    return Circuit(populations, (Projection("x", "h"), Projection("h", "y")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": (Target("h"),)}, "target 'h' of the hippocampus is hidden; .* give inputs and error sources"),
        ({"targets": (Target("z"),)}, "target 'z' of the hippocampus does not exist; known populations: x, h, y"),
        ({"surprise": "z"}, "surprise 'z' of the hippocampus does not exist; known populations: x, h, y"),
        ({"surprise": "x"}, "surprise 'x' of the hippocampus is no error source, so nothing would be held; give one o"),
    ],
)
def test_models_whose_hippocampus_does_not_fit_the_circuit(changes, message):
    with pytest.raises(CircuitError, match=message):
        replace(SPEC, circuit=with_hidden_cells(), hippocampus=replace(HIPPOCAMPUS, **changes))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schedule": EVENT}, ScheduleError, "replay at 0.4 Hz is asked for, but the schedule has no rest; add one"),
        (
            {"schedule": EVENT + a_rest(410 * ms)},
            ScheduleError,
            "a rest of 0.41 s is shorter than the ripples of one reactivation, which take 0.42 s; make it longer, or",
        ),
        ({"replay": Replay(2.4 * Hz)}, UnitError, "replay rate = 2.4 Hz is more than fits: a reactivation takes"),
        ({"replay": Replay(0.4 * Hz, only=("z",))}, CircuitError, "replay of 'z' only, which is no target; targets"),
        (
            {"memory": Memory.of(HIPPOCAMPUS, {"x": np.ones((1, 5)), "y": np.ones((1, 10))})},
            CircuitError,
            "memory: weights of target 'x' reach 5 cells, but it has 64; give a memory of the same circuit",
        ),
    ],
)
def test_lives_that_cannot_be_lived(changes, error, message):
    life = a_life(EVENT + a_rest(1 * second), replay=REPLAY)
    with pytest.raises(error, match=message):
        model(SPEC, TASK, compiled=False).live(replace(life, **changes))


@pytest.mark.parametrize("changes", [{"replay": REPLAY}, {"memory": ideal(np.arange(2))}])
def test_models_without_a_hippocampus_neither_replay_nor_remember(changes):
    without = model(replace(SPEC, hippocampus=None), TASK, compiled=False)
    message = r"has a replay or a memory, but the model was made without a hippocampus; make it with Model"
    with pytest.raises(CompilationError, match=message):
        without.live(a_life(EVENT + a_rest(1 * second), **changes))


# ------------------------------------------------------------------------------------------ without running


def test_times_of_a_reactivation_by_hand():
    late = changed(targets=(Target("x", 50 * ms), Target("y", 350 * ms)))
    assert [float(onset) for onset in late.onsets()] == pytest.approx([0, 0.3])
    assert [float(onset) for onset in late.onsets(4)] == pytest.approx([0, 0.075])
    assert float(late.span()) == pytest.approx(0.3 + 0.12 + 0.1)
    assert float(late.span(4)) == pytest.approx(0.075 + 0.12 + 0.1)


def test_index_cells_by_hand():
    assert SMALL.capacity == 3
    assert changed(n_index=11).capacity == 2
    assert SMALL.role.tolist() == 3 * [0, 0, 1, 1]


def test_gates_stay_open_from_onset_to_the_common_end():
    assert start_values(SMALL, Replay())["gates", "hold"] / ms == pytest.approx([220, 120])
    assert start_values(SMALL, Replay(compression=2))["gates", "hold"] / ms == pytest.approx([170, 120])
    assert start_values(SMALL, Replay(only=("x",)))["gates", "hold"] / ms == pytest.approx([220, 0])


def test_what_is_given_is_remembered():
    patterns = {"x": np.arange(8).reshape(2, 4) / 8, "y": np.array([[0.25, 0.75], [0.75, 0.25]])}
    memory = Memory.of(SMALL, patterns, tag=0.5)
    assert memory.strength.tolist() == [1] * 8 + [0] * 4
    assert memory.tag.tolist() == [0.5] * 8 + [0] * 4
    for name, pattern in patterns.items():
        np.testing.assert_array_equal(memory.pattern(SMALL, name)[:2], pattern)
        assert np.isnan(memory.pattern(SMALL, name)[2]).all()


def test_cells_in_another_order():
    memory = memories(3)
    shuffled = memory.with_pattern("y", np.array([1, 0]))
    np.testing.assert_array_equal(shuffled.pattern(SMALL, "y"), memory.pattern(SMALL, "y")[:, ::-1])
    np.testing.assert_array_equal(shuffled.weights["x"], memory.weights["x"])


def test_the_seed_sets_all_that_is_random():
    def random(seed):
        values = start_values(SMALL, Replay(0.4 * Hz), seed=seed)
        return np.hstack([values["ripples", "wait"] / second, values["ripples", "die"], values["index", "die"]])

    np.testing.assert_array_equal(random(1), random(1))
    assert (random(1) != random(2)).all()
    assert len(set(random(1))) == 2 + 12


# ------------------------------------------------------------------------------------------ a network of one's own

OWN_CELLS = """
world : 1   # what the world makes them do, a fraction of the maximal rate
left : 1    # error spikes yet to be sent
phase : 1
"""


@dataclass(frozen=True)
class Small:
    """Cells that fire as the world or memory says, and send as many error spikes as they are told to."""

    hippocampus: Hippocampus
    cells: NeuronGroup
    circuit: HippocampalCircuit
    network: Network
    spikes: SpikeMonitor
    held: SpikeMonitor
    index: SpikeMonitor
    hold: StateMonitor
    recalls: EventMonitor
    writes: EventMonitor

    @classmethod
    def make(cls, hippocampus: Hippocampus, n_x: int, n_y: int, *, store: bool = True) -> "Small":
        cells = NeuronGroup(
            n_x + n_y,
            OWN_CELLS + RECALL_EQUATIONS,
            threshold="phase >= 1",
            reset="phase -= 1",
            events={"error": "left >= 1"},
            namespace={"rmax": 100 * Hz},
        )
        cells.run_on_event("error", "left -= 1")
        cells.run_regularly(f"phase += (present*world + {HELD}*{RECALLED})*rmax*dt", when="before_thresholds")
        circuit = build(hippocampus, {"x": cells[:n_x], "y": cells[n_x:]}, drive="")
        watchers = (
            SpikeMonitor(cells),
            SpikeMonitor(circuit.salience),
            SpikeMonitor(circuit.index),
            StateMonitor(circuit.salience, "S", record=True),
            EventMonitor(circuit.index, "ignition"),
            EventMonitor(circuit.index, "write"),
        )
        network = Network(cells, *circuit.objects, *watchers)
        if store:
            network.store()
        return cls(hippocampus, cells, circuit, network, *watchers)

    def start(self, memory: Memory | None = None, replay: Replay | None = None, seed: int = 0) -> None:
        self.network.restore()
        for (part, name), value in start_values(self.hippocampus, replay or Replay(), memory, seed=seed).items():
            setattr(self.circuit.parts[part], name, value)

    def run(self, length: Quantity) -> None:
        self.network.run(length, namespace={})

    def live_through(self, rates: np.ndarray, n_errors: int, importance: float = 1, after: Quantity = 600 * ms) -> None:
        """Show something for 200 ms, then be surprised in all cells of y at once, then nothing."""
        self.cells.world, self.cells.present = rates, 1
        self.circuit.salience.importance = importance
        self.run(200 * ms)
        n_x, n_y = (target.N for target in self.circuit.targets)
        self.cells.left[n_x:] = n_errors / n_y
        self.run(n_errors / n_y * ms)
        self.cells.present = 0
        self.run(after)

    def reactivate(self, length: Quantity = 400 * ms) -> None:
        self.circuit.ripples.resting = 1
        self.circuit.ripples.wait = 0 * ms
        self.run(length)

    @property
    def longest(self) -> float:
        """For how long, in s, the event was to be held at most."""
        return float((self.hold.S[0] / second).max())

    @property
    def still_held(self) -> float:
        return float(self.circuit.salience.S[0] / second)

    def n_spikes(self, begin: float, end: float) -> np.ndarray:
        """Of each cell, between two times in ms."""
        time = self.spikes.t / ms
        return np.bincount(self.spikes.i[(time >= begin) & (time < end)], minlength=self.cells.N)


RATES = np.array([0.2, 0.4, 0.6, 0.8, 0.75, 0.25])


@cache
def small() -> Small:
    return Small.make(SMALL, 4, 2)


@dataclass(frozen=True)
class Course:
    """An event of 8 error spikes, the 600 ms after it, and a reactivation of what was written."""

    longest: float
    held: np.ndarray
    written: np.ndarray
    writers: np.ndarray
    weights: dict[str, np.ndarray]
    tag: np.ndarray
    strength: np.ndarray
    while_held: np.ndarray
    reactivation: float
    index_time: np.ndarray
    index_cell: np.ndarray
    replayed: np.ndarray


@cache
def course() -> Course:
    net = small()
    net.start()
    net.live_through(RATES, n_errors=8)
    tag, strength = (np.array(getattr(net.circuit.index, name)[:]) for name in ("tag", "strength"))
    weights = {
        target.population: np.array(synapses.w[:]).reshape(6, -1)
        for target, synapses in zip(SMALL.targets, net.circuit.memory, strict=True)
    }
    net.circuit.index.tag = 100  # certain to win
    net.reactivate()
    recalled = net.recalls.t / ms > 804
    return Course(
        longest=net.longest,
        held=net.held.t / ms,
        written=net.writes.t / ms,
        writers=np.array(net.writes.i[:]),
        weights=weights,
        tag=tag,
        strength=strength,
        while_held=net.n_spikes(230, 670),
        reactivation=(net.recalls.t / ms)[recalled].min(),
        index_time=net.index.t / ms,
        index_cell=np.array(net.index.i[:]),
        replayed=net.n_spikes(0, 1300) - net.n_spikes(0, 804),
    )


@pytest.mark.slow
def test_eight_error_spikes_are_held_for_480_ms():
    """60 ms for each; the salience cell fires at 100 Hz from the next of its steps on."""
    assert course().longest == pytest.approx(8 * 0.06)
    np.testing.assert_allclose(course().held, 205 + 10 * np.arange(48))


@pytest.mark.slow
def test_what_is_held_is_what_the_world_did():
    """440 ms of it: to within an interval between spikes, which is all that the loop has to go by."""
    np.testing.assert_allclose(course().while_held, 44 * RATES, rtol=0.1, atol=1)


@pytest.mark.slow
def test_a_plateau_writes_what_is_held():
    """200 ms after the hold began, in the weakest assembly; there are 21 intervals of 10 ms to count spikes in."""
    assert course().writers.tolist() == [0, 1, 2, 3]
    assert set(course().written) == {415}
    for name, rates in (("x", RATES[:4]), ("y", RATES[4:])):
        weights = course().weights[name]
        np.testing.assert_array_equal(weights[0], weights[1])
        np.testing.assert_allclose(weights[0], rates, rtol=0, atol=2 / 21)
        assert not weights[2:].any()


@pytest.mark.slow
def test_the_tag_grows_while_the_event_is_held():
    """By a fiftieth of what is missing per spike of the salience cell (10 ms of 500 ms); 26 follow the writing."""
    assert (course().held > 415).sum() == 26
    np.testing.assert_allclose(course().tag[:4], 1 - 0.98**26, rtol=1e-3)
    assert not course().tag[4:].any()


@pytest.mark.slow
def test_a_new_memory_has_strength_1_and_fades():
    np.testing.assert_allclose(course().strength[:4], np.exp(-(804 - 415) / 1e6), rtol=0, atol=1e-5)
    assert not course().strength[4:].any()


@pytest.mark.slow
def test_a_reactivation_is_a_ripple_for_each_target_in_turn():
    """The outcome's comes 100 ms after the stimulus's, as in the event. Index cells fire in every step of 5 ms."""
    now, later = course().reactivation, course().reactivation + 100
    for cell, begin in ((0, now), (1, now), (2, later), (3, later)):
        times = course().index_time[course().index_cell == cell]
        assert begin <= times[0] <= begin + 10
        assert 60 - 5 <= times[-1] - times[0] <= 120 + 5
        np.testing.assert_allclose(np.diff(times), 5)


@pytest.mark.slow
def test_only_one_assembly_takes_part():
    assert set(course().index_cell) == {0, 1, 2, 3}


@pytest.mark.slow
def test_a_reactivation_reinstates_what_was_written_for_as_long_as_it_should():
    """The stimulus for 220 ms, the outcome for the last 120 of them."""
    written = np.hstack([course().weights["x"][0], course().weights["y"][0]])
    np.testing.assert_allclose(course().replayed, written * [22, 22, 22, 22, 12, 12], rtol=0.15, atol=1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_errors", "importance", "held"),
    [
        (4, 1.0, 0),  # 240 ms, and less than 250 ms is not held at all
        (4, 1.25, 30),
        (8, 0.5, 0),
        (8, 0.75, 36),
        (8, 1.0, 48),
        (8, 2.0, 96),
    ],
)
def test_the_hold_is_as_long_as_surprise_and_importance_say(n_errors, importance, held):
    small().start()
    small().live_through(RATES, n_errors, importance, after=1 * second)
    assert len(small().held.t) == held


@pytest.mark.slow
def test_the_hold_has_a_longest():
    """100 error spikes would be 6 s. The world is gone after 50 ms of them, and 3 s later all is over."""
    small().start()
    small().live_through(RATES, 100, after=3.2 * second)
    assert 3 <= small().longest <= 3 + 10 * 0.06 + 1e-9  # what comes until its next step, 5 ms, is beyond
    assert small().held.t[-1] / second == pytest.approx(0.25 + 3, abs=0.02)


@pytest.mark.slow
def test_what_is_not_held_leaves_nothing():
    small().start()
    small().live_through(RATES, 4)
    assert not small().n_spikes(205, 1000).any()
    assert len(small().writes.t) == 0
    assert not small().circuit.memory[0].w[:].any()


@pytest.mark.slow
def test_error_spikes_that_memory_causes_are_no_surprise():
    small().start(memories(1, tag=100.0))
    small().cells.left[4:] = 0
    small().circuit.ripples.resting = 1
    small().circuit.ripples.wait = 0 * ms
    small().run(150 * ms)
    small().cells.left[4:] = 50
    small().run(200 * ms)
    assert len(small().index.t)
    assert not small().hold.S[:].any()


@pytest.mark.slow
def test_a_new_stimulus_drives_the_old_event_out():
    small().start()
    small().live_through(RATES, 20, after=100 * ms)
    assert small().still_held > 1
    small().circuit.salience.listening = 1
    small().run(10 * ms)
    assert small().still_held == 0


@pytest.mark.slow
@pytest.mark.parametrize("weakest", [0, 1, 2])
def test_when_full_the_weakest_memory_is_overwritten(weakest):
    full = memories(3)
    strength = np.where(np.arange(12) // 4 == weakest, 0.5, 0.7)
    small().start(replace(full, strength=strength))
    small().live_through(RATES, 20)
    assert set(np.array(small().writes.i[:]) // 4) == {weakest}
    patterns = small().circuit.memory[0].w[:].reshape(6, 4)
    kept = np.arange(6) // 2 != weakest
    np.testing.assert_array_equal(patterns[kept], full.weights["x"][kept])
    np.testing.assert_allclose(patterns[~kept], [RATES[:4]] * 2, atol=0.1)


@pytest.mark.slow
def test_empty_assemblies_are_used_before_full_ones():
    small().start(memories(2))
    small().live_through(RATES, 20)
    assert set(small().writes.i[:]) == {8, 9, 10, 11}


@pytest.mark.slow
def test_a_target_that_is_left_out_stays_silent():
    small().start(memories(1, tag=100.0), Replay(only=("x",)))
    small().reactivate()
    assert small().n_spikes(0, 400)[:4].any()
    assert not small().n_spikes(0, 400)[4:].any()


@pytest.mark.slow
def test_what_the_world_drives_memory_does_not():
    small().start(memories(1, tag=100.0))
    small().cells.present, small().cells.world = 1, RATES
    small().reactivate(1 * second)
    assert len(small().index.t)
    np.testing.assert_allclose(small().n_spikes(0, 1000), 100 * RATES, atol=1)


@pytest.mark.slow
def test_a_cue_recalls_the_nearest_memory():
    """Evidence for a memory is the squared distance that a pattern of nothing would have, minus its own."""
    stimuli = np.array([[0.8, 0.8, 0.2, 0.2], [0.2, 0.2, 0.8, 0.8], [0.8, 0.2, 0.8, 0.2]])
    memory = Memory.of(SMALL, {"x": stimuli, "y": np.eye(3)[:, :2]})
    for which, cue in ((0, [0.8, 0.8, 0, 0]), (1, [0, 0, 0.8, 0.8]), (2, [0.8, 0, 0.8, 0])):
        small().start(memory)
        small().cells.present[:4] = 1
        small().cells.world[:4] = cue
        small().run(100 * ms)
        small().circuit.gates.T[:1] = 400 * ms
        small().run(400 * ms)
        assert set(small().index.i[:] // 4) == {which}


# ------------------------------------------------------------------------------------------ whole lives


@pytest.fixture(scope="module")
def compiled(cache_dir, cpp_compiler) -> Model:
    """One model for all; a minute the first time."""
    return model(SPEC, TASK, compiled=True)


def some_digits(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(TASK.stimuli), n, replace=False)


def lived_events(stimuli: np.ndarray, salience: float = 1.0) -> Schedule:
    """Each followed by 4 s of rest, in which it can be held and written."""
    events = Schedule.of([Event(int(s), int(TASK.label[s]), salience=salience) for s in stimuli])
    return events.with_rest_after(np.ones(len(events), bool), 4 * second, TIMING)


def n_spikes(lived: Lived, population: str, begin: float, end: float) -> np.ndarray:
    cells = CHAIN.slices[population]
    during = (lived.spike_time >= begin) & (lived.spike_time < end)
    return np.bincount(lived.spike_cell[during], minlength=74)[cells]


@dataclass(frozen=True)
class Recall:
    """Of each reactivation: how well it fits the stimulus that was lived, and whether the outcome is right."""

    correlation: np.ndarray
    right: np.ndarray


def recall(lived: Lived, stimuli: np.ndarray) -> Recall:
    """Of cells of x and y from ripple to end, 320 and 120 ms; a tie between outcomes is wrong."""
    correlation, right = [], []
    for begin, which in zip(lived.reactivation_time, lived.reactivated, strict=True):
        x, y = n_spikes(lived, "x", begin, begin + 0.32), n_spikes(lived, "y", begin + 0.2, begin + 0.32)
        correlation.append(np.corrcoef(x, TASK.stimuli[stimuli[which]])[0, 1])
        right.append(np.flatnonzero(y == y.max()).tolist() == [TASK.label[stimuli[which]]])
    return Recall(np.array(correlation), np.array(right))


@pytest.mark.slow
def test_the_same_seed_dreams_the_same(compiled):
    nights = [
        compiled.live(a_life(a_rest(100 * second), replay=REPLAY, memory=ideal(some_digits(20)), seed=seed))
        for seed in (1, 1, 2)
    ]
    for name in ("reactivation_time", "reactivated", "index_time", "spike_time", "spike_cell"):
        np.testing.assert_array_equal(getattr(nights[0], name), getattr(nights[1], name))
    assert not np.array_equal(nights[0].reactivation_time, nights[2].reactivation_time)


@pytest.mark.slow
def test_a_life_in_which_little_matters_is_not_written(compiled):
    """30 error spikes each, 180 ms at an importance of 0.1."""
    lived = compiled.live(a_life(lived_events(some_digits(40), salience=0.1)))
    assert lived.error_spikes(CHAIN)[::2, 0].min() >= 20
    assert len(lived.written) <= 0.05 * 40
    assert not lived.memory.strength.any()


def report(what: str, found: Recall) -> None:
    """Print what docs/hippocampus.md quotes (pytest -s shows it)."""
    print(
        f"\n{what}: {len(found.right)} recalls; correlation mean {found.correlation.mean():.3f}, least "
        f"{found.correlation.min():.3f}; outcome right in {found.right.mean():.1%}"
    )


def written(compiled: Model, n: int) -> Lived:
    """A day on which n digits were lived, and all were written."""
    day = compiled.live(a_life(lived_events(some_digits(n, seed=n))))
    assert day.written.tolist() == list(range(n))
    assert len(day.reactivated) == 0
    return day


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5, 10, 15, 20])
def test_a_reactivated_index_reinstates_what_was_lived(compiled, n):
    stimuli = some_digits(n, seed=n)
    day = written(compiled, n)
    night = compiled.live(a_life(a_rest(600 * second), replay=REPLAY, memory=day.memory))
    assert set(night.reactivated) == set(range(n))
    assert len(night.written) == 0
    found = recall(night, stimuli)
    report(f"ripples, {n} memories", found)
    assert found.correlation.min() >= 0.9
    assert found.right.mean() >= 0.95


N_CUES, GLIMPSE, TRIAL = 40, 200 * ms, 1200 * ms


@cache
def cued(folder: str) -> Small:
    """A compiled network that is shown cues for 200 ms each, and is then given 500 ms to recall what they remind it of.

    Attention opens the gate of x for that; nothing else is different from a network of one's own.
    """
    import brian2

    brian2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    brian2.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]  # else all its files at once
    brian2.defaultclock.dt = 1 * ms
    small = Small.make(HIPPOCAMPUS, 64, 10, store=False)
    cue = TimedArray(np.zeros((N_CUES, 64)), dt=TRIAL, name="cue")
    names = {"cue": cue, "trial": TRIAL, "glimpse": GLIMPSE}
    x = small.circuit.targets[0]
    x.namespace.update(names)
    shown = "present = int(t - floor(t/trial)*trial < glimpse - 0.5*ms)\nworld = cue(t, i)"
    x.run_regularly(shown, dt=10 * ms, when="start")
    gates = small.circuit.gates
    gates.namespace = gates.namespace | {"trial": TRIAL, "glimpse": GLIMPSE}
    asked = "abs(t - floor(t/trial)*trial - glimpse) < 2.5*ms"
    gates.run_regularly(f"T += int(i == 0)*int({asked})*500*ms", dt=10 * ms, when="start")
    small.run(N_CUES * TRIAL)
    brian2.device.build(directory=folder, run=False, with_output=False)
    return small


@dataclass(frozen=True)
class Cued(Recall):
    """Of each cue, also how long recall took, in s; infinite where nothing or another memory was recalled."""

    latency: np.ndarray


def recall_from_cues(small: Small, memory: Memory, stimuli: np.ndarray, part: float, seed: int) -> Cued:
    """Show a random part of the cells of memories chosen at random."""
    import brian2

    rng = np.random.default_rng(seed)
    which = rng.integers(len(stimuli), size=N_CUES)
    shown = np.argsort(rng.random((N_CUES, 64)), axis=1) < round(part * 64)
    arguments = {
        getattr(small.circuit.parts[owner], name): np.asarray(value)
        for (owner, name), value in start_values(HIPPOCAMPUS, Replay(), memory, seed=seed).items()
        if name in ("strength", "tag", "w")
    }
    cue = small.circuit.targets[0].namespace["cue"]
    brian2.device.run(run_args=arguments | {cue: np.where(shown, TASK.stimuli[stimuli[which]], 0)})
    correlation, right, latency = np.zeros(N_CUES), np.zeros(N_CUES, bool), np.full(N_CUES, np.inf)
    recalls, fired, trial = small.recalls.t / ms, small.index.t / ms, TRIAL / ms
    for k, wanted in enumerate(which):
        during = (recalls >= k * trial) & (recalls < (k + 1) * trial)
        if not during.any():
            continue
        begin = recalls[during].min()
        active = set(small.index.i[(fired >= begin) & (fired < begin + 320)] // 4)
        assert len(active) == 1
        if active == {wanted}:
            latency[k] = (begin - k * trial) / 1000 - float(GLIMPSE)
        x, y = small.n_spikes(begin, begin + 320)[:64], small.n_spikes(begin + 200, begin + 320)[64:]
        correlation[k] = np.corrcoef(x, TASK.stimuli[stimuli[wanted]])[0, 1]
        right[k] = np.flatnonzero(y == y.max()).tolist() == [TASK.label[stimuli[wanted]]]
    return Cued(correlation, right, latency)


@pytest.mark.slow
def test_half_a_pattern_recalls_the_whole(compiled, tmp_path_factory):
    import brian2

    found = {}
    try:
        for n in (1, 5, 10, 15, 20):
            memory = written(compiled, n).memory
            for part in (1.0, 0.5):
                small = cued(str(tmp_path_factory.getbasetemp() / "cued"))
                one = found[n, part] = recall_from_cues(small, memory, some_digits(n, seed=n), part, n)
                report(f"{part:.0%} of the pattern as cue, {n} memories", one)
                print(f"    latency {np.median(one.latency):.3f} s; right index {np.isfinite(one.latency).mean():.1%}")
    finally:
        brian2.device.reinit()
        brian2.devices.reset_device()
    for one in found.values():
        assert (one.correlation >= 0.9).mean() >= 0.95
        assert one.right.mean() >= 0.95


@pytest.mark.slow
def test_more_events_than_fit_overwrite_the_oldest(compiled):
    lived = compiled.live(a_life(lived_events(some_digits(23))))
    assert lived.written.tolist() == [*range(20), 0, 1, 2]


@pytest.mark.slow
def test_the_hold_grows_with_importance(compiled):
    """30 error spikes: 60 ms each, minus what passes of it while the outcome is still present."""
    events = lived_events(some_digits(1))
    lengths = []
    for salience in (0.1, 0.3, 0.5, 1.0, 1.5, 3.0):
        lived = compiled.live(a_life(replace(events, salience=np.full(2, salience))))
        during = lived.spike_time[lived.spike_cell < 64]
        lengths.append(during.max() - 0.32)
    assert lengths[0] <= 0
    assert (np.diff(lengths) > 0.1).all()
    assert lengths[3] == pytest.approx(30 * 0.06 - 0.08, abs=0.06)
    assert lengths[-1] == pytest.approx(3, abs=0.06)


@pytest.mark.slow
def test_index_cells_of_one_assembly_at_a_time(compiled):
    night = compiled.live(a_life(a_rest(1200 * second), replay=REPLAY, memory=ideal(some_digits(20))))
    which = np.searchsorted(night.reactivation_time, night.index_time, side="right") - 1
    assert which.min() == 0
    np.testing.assert_array_equal(night.index_cell // 4, night.reactivated[which])
    assert len(night.reactivated) > 300


@pytest.mark.slow
def test_the_rate_of_reactivations(compiled):
    """Of the intervals, the first 420 ms are the reactivation, the rest is exponential: standard deviation 2.08 s.

    The race adds up to 20 ms, and the last 420 ms of the rest cannot begin one.
    """
    night = compiled.live(a_life(a_rest(1300 * second), replay=REPLAY, memory=ideal(some_digits(20), tag=100.0)))
    intervals = np.diff(night.reactivation_time)
    print(f"\n{len(intervals)} intervals: mean {intervals.mean():.2f} s, shortest {intervals.min():.2f} s")
    assert len(intervals) > 400
    assert intervals.mean() == pytest.approx(2.5, abs=4 * 2.08 / np.sqrt(len(intervals)))
    assert intervals.min() >= 0.42 - 0.02
    assert night.reactivation_time[-1] < 1300 - 0.4


@pytest.mark.slow
@pytest.mark.parametrize("compression", [1, 2, 10])
def test_compression_brings_the_outcome_forward(compiled, compression):
    replay = Replay(0.4 * Hz, compression=compression)
    night = compiled.live(a_life(a_rest(100 * second), replay=replay, memory=ideal(some_digits(5))))
    role = HIPPOCAMPUS.role[night.index_cell]
    assert len(night.reactivation_time) > 10
    for begin in night.reactivation_time:
        first, second_ = ((night.index_time[(role == k) & (night.index_time >= begin)].min() - begin) for k in (0, 1))
        assert 0 <= first < 0.011
        assert second_ == pytest.approx(0.2 / compression, abs=0.011)


@dataclass(frozen=True)
class Fates:
    """What the equations of the index layer say of each ripple of a night, given what happened in those before it."""

    any_wins: np.ndarray
    shares: np.ndarray
    strength: np.ndarray


def fates(ripples: np.ndarray, won: np.ndarray, tag: np.ndarray, *, until: float) -> Fates:
    """Ripples at these times were won by these memories (-1: by none).

    Hazards HAZARD tag strength (1 - tired); each reactivation sets `tired` to 1, which fades within 5 s, and makes good
    a tenth of the strength that faded within 1000 s.
    """
    strength, tired, now = np.ones(len(tag)), np.zeros(len(tag)), 0.0
    any_wins, shares = [], []
    for time, winner in zip(ripples, won, strict=True):
        strength, tired = strength * np.exp(-(time - now) / 1000), tired * np.exp(-(time - now) / 5)
        hazard = HAZARD * tag * np.exp(-time / 1000) * strength * (1 - tired)
        any_wins.append(1 - np.exp(-hazard.sum()))
        shares.append(hazard / hazard.sum())
        now = time
        if winner >= 0:
            strength[winner] += 0.1 * (1 - strength[winner])
            tired[winner] = 1
    return Fates(np.array(any_wins), np.array(shares), strength * np.exp(-(until - now) / 1000))


def assert_expected(happened: np.ndarray, probability: np.ndarray) -> None:
    """That often, to within four standard deviations of a sum of independent trials."""
    spread = np.sqrt(np.sum(probability * (1 - probability)))
    assert spread > 2
    assert abs(happened.sum() - probability.sum()) < 4 * spread


@pytest.mark.slow
def test_the_more_a_memory_is_tagged_the_more_often_it_wins(compiled):
    """20 memories, the later ones tagged more."""
    tag = np.linspace(0.05, 1, 20)
    memory = replace(ideal(some_digits(20)), tag=np.repeat(tag, 4))
    night = compiled.live(a_life(a_rest(1300 * second), replay=REPLAY, memory=memory))
    expected = fates(night.reactivation_time, night.reactivated, tag, until=1300)
    for which in (slice(0, 5), slice(5, 10), slice(10, 15), slice(15, 20)):
        happened = (night.reactivated >= which.start) & (night.reactivated < which.stop)
        print(f"\nreplays of tags {tag[which][[0, -1]]}: {happened.mean():.1%}", end=", ")
        print(f"expected {expected.shares[:, which].sum(1).mean():.1%} of {len(happened)}")
        assert_expected(happened, expected.shares[:, which].sum(1))
    assert (night.reactivated >= 15).sum() > 3 * (night.reactivated < 5).sum()


@pytest.mark.slow
def test_some_ripples_are_empty_where_nothing_is_tagged_much(compiled):
    """Ripples come when they come, whether anybody wins; with a tag of 100 somebody always does.

    Two per second, for a count precise enough to tell a race of 20 ms from one of 15.
    """
    often = Replay(2 * Hz)
    nights = [
        compiled.live(a_life(a_rest(1300 * second), replay=often, memory=ideal(some_digits(20), tag=tag)))
        for tag in (100.0, 0.02)
    ]
    ripples, filled = (night.reactivation_time for night in nights)
    place = np.searchsorted(ripples, filled + 0.03) - 1
    assert (np.abs(ripples[place] - filled) <= 0.03).all()
    won = np.full(len(ripples), -1)
    won[place] = nights[1].reactivated
    expected = fates(ripples, won, np.full(20, 0.02), until=1300)
    print(f"\nripples that reactivate: {(won >= 0).mean():.1%} of {len(won)}, expected {expected.any_wins.mean():.1%}")
    assert_expected(won >= 0, expected.any_wins)


@pytest.mark.slow
def test_a_memory_just_reactivated_seldom_comes_back_at_once(compiled):
    """Two memories of equal tag: without inhibition of return, one in two would be a repetition."""
    night = compiled.live(a_life(a_rest(1300 * second), replay=REPLAY, memory=ideal(some_digits(2))))
    tag = np.ones(2)
    expected = fates(night.reactivation_time, night.reactivated, tag, until=1300)
    again = night.reactivated[1:] == night.reactivated[:-1]
    print(f"\nrepetitions: {again.mean():.1%} of {len(again)}")
    assert_expected(again, expected.shares[np.arange(1, len(again) + 1), night.reactivated[:-1]])
    assert again.mean() < 0.4


@pytest.mark.slow
def test_memories_fade_and_are_restored_by_reactivation(compiled):
    memory = ideal(some_digits(1))  # one, for of others a cell may lose by a step, and be restored nevertheless
    left_alone = compiled.live(a_life(a_rest(1000 * second), memory=memory))
    np.testing.assert_allclose(left_alone.memory.strength[:4], np.exp(-1), rtol=1e-3)
    np.testing.assert_allclose(left_alone.memory.tag[:4], np.exp(-1), rtol=1e-3)
    assert not left_alone.memory.strength[4:].any()
    night = compiled.live(a_life(a_rest(1000 * second), replay=REPLAY, memory=memory))
    expected = fates(night.reactivation_time, night.reactivated, np.ones(1), until=1000)
    np.testing.assert_allclose(night.memory.strength[:4], expected.strength[0], rtol=1e-3)
    assert expected.strength[0] > 0.9


@pytest.mark.slow
def test_ripples_last_60_to_120_ms_at_200_hz(compiled):
    night = compiled.live(a_life(a_rest(600 * second), replay=REPLAY, memory=ideal(some_digits(20))))
    lengths = []
    for cell in range(80):
        times = night.index_time[night.index_cell == cell]
        gaps = np.diff(times)
        within = gaps < 0.1
        np.testing.assert_allclose(gaps[within], float(CONTROL_STEP), atol=1e-9)
        bursts = np.split(times, np.flatnonzero(~within) + 1)
        lengths += [burst[-1] - burst[0] + float(CONTROL_STEP) for burst in bursts if len(burst)]
    lengths = np.array(lengths)
    print(f"\nripples: {lengths.min():.3f} to {lengths.max():.3f} s, mean {lengths.mean():.3f} s")
    assert lengths.min() >= 0.06 - 1e-9
    assert lengths.max() <= 0.12 + 0.005 + 1e-9
    assert lengths.mean() == pytest.approx(0.09, abs=0.005)


# ------------------------------------------------------------------------------------------ in the chain of 12 hops


@pytest.mark.slow
def test_what_matters_little_is_not_written_and_what_is_new_and_matters_is(cache_dir, cpp_compiler):
    """The background was learned before: a few error spikes an event. The rare digit was not."""
    from bioplastic import twin

    circuit, timing, rule = chain.circuit(), chain.timing(), chain.screened(0.0)
    weights = twin.pretrained(circuit, TASK, (0,), cache=cache_dir / "weights")[0]
    hippocampus = Hippocampus((Target("x"), Target("y", timing.lead)), "y")
    spec = ModelSpec.roomy(circuit, rule, TASK, 2**17, n_snapshots=0, hippocampus=hippocampus)
    lives = model(spec, TASK, compiled=True)
    share = {}
    for rare in (False, True):
        for salience in (0.1, 0.3, 1.0, 2.0):
            stimuli = np.random.default_rng(0).choice(TASK.indices(rare=rare, held_out=False), 100, replace=False)
            events = Schedule.of([Event(int(s), int(TASK.label[s]), salience=salience) for s in stimuli])
            events = events.with_rest_after(np.ones(100, bool), 4 * second, timing)
            lived = lives.live(Life(events, timing, rule, weights))
            share[rare, salience] = len(lived.written) / 100
            errors = np.median(lived.error_spikes(circuit)[::2, 0])
            name = "rare" if rare else "background"
            print(f"\n{name}, salience {salience:g}: {share[rare, salience]:.0%} written; {errors:g} error spikes each")
    assert share[False, 0.1] <= 0.05
    assert share[False, 0.3] <= 0.05
    assert share[True, 0.1] <= 0.05
    assert share[True, 2.0] >= 0.95
