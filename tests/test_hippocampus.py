"""Attention, one-shot memory and replay in whole lives of a circuit."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from bioplastic_models import chain
from brian2 import Hz, TimedArray, ms, second
from brian2.units.fundamentalunits import Quantity
from small_hippocampus import Small

from bioplastic.circuit import Circuit, CircuitError, Population, Projection, Weights
from bioplastic.compiled.toolchain import CompilationError
from bioplastic.events import Event, Kind, Schedule, ScheduleError, Timing
from bioplastic.hippocampus.equations import CONTROL_STEP, HAZARD
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay, Target
from bioplastic.life import Life, Lived
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.models import Model, model
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import digits
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")

TASK = digits()
TIMING = Timing(lead=200 * ms)
CHAIN = Circuit((Population("x", 64, "input"), Population("y", 10, "error source")), (Projection("x", "y"),))
RULE = ErrorRelay()
"""It does not learn, so that the prediction stays at 1/2, a surprise of 1/4 in each cell of y."""
HIPPOCAMPUS = Hippocampus((Target("x"), Target("y", TIMING.lead)), "y")
SPEC = replace(
    ModelSpec.with_room(CHAIN, RULE, TASK, 2**17, n_snapshots=0, hippocampus=HIPPOCAMPUS), record_spikes=True
)
NOTHING = Weights({"x_to_y": np.zeros((10, 64))}, {"y": np.zeros(10)})


def a_life(schedule: Schedule, **changes) -> Life:
    return replace(Life(schedule, RULE, NOTHING, TIMING), **changes)


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
    during = (lived.spikes.time >= begin) & (lived.spikes.time < end)
    return np.bincount(lived.spikes.cell[during], minlength=74)[cells]


@dataclass(frozen=True)
class Recall:
    """Of each reactivation: how well it fits the stimulus that was lived, and whether the outcome is right."""

    correlation: np.ndarray
    right: np.ndarray


def recall(lived: Lived, stimuli: np.ndarray) -> Recall:
    """Of cells of x and y from ripple to end, 320 and 120 ms; a tie between outcomes is wrong."""
    correlation, right = [], []
    for begin, which in zip(lived.remembered.reactivation_time, lived.remembered.reactivated, strict=True):
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
    one, same, other = (night.remembered for night in nights)
    for name in ("reactivation_time", "reactivated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    for here, there in ((one.index_spikes, same.index_spikes), (nights[0].spikes, nights[1].spikes)):
        np.testing.assert_array_equal(here.time, there.time)
        np.testing.assert_array_equal(here.cell, there.cell)
    assert not np.array_equal(one.reactivation_time, other.reactivation_time)


@pytest.mark.slow
def test_a_life_in_which_little_matters_is_not_written(compiled):
    """30 error spikes each, 180 ms at an importance of 0.1."""
    lived = compiled.live(a_life(lived_events(some_digits(40), salience=0.1)))
    assert lived.error_signal[::2, 0].min() >= 20
    assert len(lived.remembered.written) <= 0.05 * 40
    assert not lived.remembered.memory.strength.any()


def report(what: str, found: Recall) -> None:
    """Print what docs/hippocampus.md quotes (pytest -s shows it)."""
    print(
        f"\n{what}: {len(found.right)} recalls; correlation mean {found.correlation.mean():.3f}, least "
        f"{found.correlation.min():.3f}; outcome right in {found.right.mean():.1%}"
    )


def written(compiled: Model, n: int) -> Lived:
    """A day on which n digits were lived, and all were written."""
    day = compiled.live(a_life(lived_events(some_digits(n, seed=n))))
    assert day.remembered.written.tolist() == list(range(n))
    assert len(day.remembered.reactivated) == 0
    return day


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5, 10, 15, 20])
def test_a_reactivated_index_reinstates_what_was_lived(compiled, n):
    stimuli = some_digits(n, seed=n)
    day = written(compiled, n)
    night = compiled.live(a_life(a_rest(600 * second), replay=REPLAY, memory=day.remembered.memory))
    assert set(night.remembered.reactivated) == set(range(n))
    assert len(night.remembered.written) == 0
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
            memory = written(compiled, n).remembered.memory
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
    assert lived.remembered.written.tolist() == [*range(20), 0, 1, 2]


@pytest.mark.slow
def test_the_hold_grows_with_importance(compiled):
    """30 error spikes: 60 ms each, minus what passes of it while the outcome is still present."""
    events = lived_events(some_digits(1))
    lengths = []
    for salience in (0.1, 0.3, 0.5, 1.0, 1.5, 3.0):
        lived = compiled.live(a_life(replace(events, salience=np.full(2, salience))))
        during = lived.spikes.time[lived.spikes.cell < 64]
        lengths.append(during.max() - 0.32)
    assert lengths[0] <= 0
    assert (np.diff(lengths) > 0.1).all()
    assert lengths[3] == pytest.approx(30 * 0.06 - 0.08, abs=0.06)
    assert lengths[-1] == pytest.approx(3, abs=0.06)


@pytest.mark.slow
def test_index_cells_of_one_assembly_at_a_time(compiled):
    night = compiled.live(a_life(a_rest(1200 * second), replay=REPLAY, memory=ideal(some_digits(20)))).remembered
    which = np.searchsorted(night.reactivation_time, night.index_spikes.time, side="right") - 1
    assert which.min() == 0
    np.testing.assert_array_equal(night.index_spikes.cell // 4, night.reactivated[which])
    assert len(night.reactivated) > 300


@pytest.mark.slow
def test_the_rate_of_reactivations(compiled):
    """Of the intervals, the first 420 ms are the reactivation, the rest is exponential: standard deviation 2.08 s.

    The race adds up to 20 ms, and the last 420 ms of the rest cannot begin one.
    """
    night = compiled.live(
        a_life(a_rest(1300 * second), replay=REPLAY, memory=ideal(some_digits(20), tag=100.0))
    ).remembered
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
    night = compiled.live(a_life(a_rest(100 * second), replay=replay, memory=ideal(some_digits(5)))).remembered
    role = HIPPOCAMPUS.role[night.index_spikes.cell]
    times = night.index_spikes.time
    assert len(night.reactivation_time) > 10
    for begin in night.reactivation_time:
        first, second_ = ((times[(role == k) & (times >= begin)].min() - begin) for k in (0, 1))
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
    night = compiled.live(a_life(a_rest(1300 * second), replay=REPLAY, memory=memory)).remembered
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
    ripples, filled = (night.remembered.reactivation_time for night in nights)
    place = np.searchsorted(ripples, filled + 0.03) - 1
    assert (np.abs(ripples[place] - filled) <= 0.03).all()
    won = np.full(len(ripples), -1)
    won[place] = nights[1].remembered.reactivated
    expected = fates(ripples, won, np.full(20, 0.02), until=1300)
    print(f"\nripples that reactivate: {(won >= 0).mean():.1%} of {len(won)}, expected {expected.any_wins.mean():.1%}")
    assert_expected(won >= 0, expected.any_wins)


@pytest.mark.slow
def test_a_memory_just_reactivated_seldom_comes_back_at_once(compiled):
    """Two memories of equal tag: without inhibition of return, one in two would be a repetition."""
    night = compiled.live(a_life(a_rest(1300 * second), replay=REPLAY, memory=ideal(some_digits(2)))).remembered
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
    np.testing.assert_allclose(left_alone.remembered.memory.strength[:4], np.exp(-1), rtol=1e-3)
    np.testing.assert_allclose(left_alone.remembered.memory.tag[:4], np.exp(-1), rtol=1e-3)
    assert not left_alone.remembered.memory.strength[4:].any()
    night = compiled.live(a_life(a_rest(1000 * second), replay=REPLAY, memory=memory)).remembered
    expected = fates(night.reactivation_time, night.reactivated, np.ones(1), until=1000)
    np.testing.assert_allclose(night.memory.strength[:4], expected.strength[0], rtol=1e-3)
    assert expected.strength[0] > 0.9


@pytest.mark.slow
def test_ripples_last_60_to_120_ms_at_200_hz(compiled):
    night = compiled.live(a_life(a_rest(600 * second), replay=REPLAY, memory=ideal(some_digits(20)))).remembered
    lengths = []
    for cell in range(80):
        times = night.index_spikes.time[night.index_spikes.cell == cell]
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
    spec = ModelSpec.with_room(circuit, rule, TASK, 2**17, n_snapshots=0, hippocampus=hippocampus)
    lives = model(spec, TASK, compiled=True)
    share = {}
    for rare in (False, True):
        for salience in (0.1, 0.3, 1.0, 2.0):
            stimuli = np.random.default_rng(0).choice(TASK.indices(rare=rare, held_out=False), 100, replace=False)
            events = Schedule.of([Event(int(s), int(TASK.label[s]), salience=salience) for s in stimuli])
            events = events.with_rest_after(np.ones(100, bool), 4 * second, timing)
            lived = lives.live(Life(events, rule, weights, timing))
            share[rare, salience] = len(lived.remembered.written) / 100
            errors = np.median(lived.error_signal[::2, 0])
            name = "rare" if rare else "background"
            print(f"\n{name}, salience {salience:g}: {share[rare, salience]:.0%} written; {errors:g} error spikes each")
    assert share[False, 0.1] <= 0.05
    assert share[False, 0.3] <= 0.05
    assert share[True, 0.1] <= 0.05
    assert share[True, 2.0] >= 0.95
