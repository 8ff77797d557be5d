"""Days and nights of a single event: what happens when, and what is remembered."""

from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import chain, single_event
from brian2 import Hz, ms, second

from bioplastic.events import Event, Kind, lay_out
from bioplastic.hippocampus import Memory, Replay
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Remembered
from bioplastic.tasks import digits

TASK = digits()
TIMING = chain.timing()
HIPPOCAMPUS = chain.hippocampus()
WORLD = single_event.World(TASK, TIMING, HIPPOCAMPUS, 20, 3.2 * second, 20 * second, (0.5, 1.0))
EACH = HIPPOCAMPUS.assembly
REPLAY = Replay(0.4 * Hz)


def test_a_day_has_its_event_halfway_and_a_pause_after_each():
    day = WORLD.day(1, 0.1)
    assert day.resting.tolist() == [False, True] * 21
    assert np.flatnonzero(day.rare).tolist() == [20]
    assert day.salience[day.rare].tolist() == [0.1]
    assert (day.salience[~day.rare] == 1).all()
    assert day.stimulus[day.rare].tolist() == [single_event.single(TASK, 1).stimulus]


def test_a_seed_has_one_single_event_however_important_and_often_it_is():
    one, again, other = (single_event.single(TASK, seed, x) for seed, x in ((3, 1.0), (3, 4.0), (4, 1.0)))
    assert (one.stimulus, one.kind, again.salience) == (again.stimulus, Kind.RARE, 4.0)
    assert one.stimulus != other.stimulus
    often = single_event.repeated(TASK, 3, 0.1, 40)
    assert set(often.stimulus[often.rare]) == {one.stimulus}
    assert often.n_occurrences == 4
    assert (often.salience == single_event.UNHELD).all()


def test_single_events_fill_a_day():
    day = WORLD.singles(0, 0.3, 5)
    assert day.rare.tolist() == [True, False] * 5
    assert (day.salience[day.rare] == 0.3).all()


def test_events_are_each_new_and_as_often_surprising_as_expected():
    events = single_event.surprising_and_expected(TASK, 0, (0.5, 1.0), 2)
    assert len(set(events.stimulus)) == len(events) == 8
    for importance in (0.5, 1.0):
        assert sorted(events.kind[events.salience == importance]) == [0, 0, 1, 1]


def test_an_event_counts_as_held_only_beyond_its_outcome_and_the_silence():
    assert single_event.is_held(np.array([119.0, 169.0, 171.0, 400.0])).tolist() == [False, False, True, True]


def test_real_repetitions_come_when_they_should():
    night = WORLD.real(Event(4, 9, Kind.RARE), np.array([1.0, 1.004, 12.3]))
    laid, schedule = lay_out(night.schedule, TIMING), night.schedule
    # The second would begin within the first, and waits for its end.
    np.testing.assert_array_equal(laid.onset[schedule.rare], [100, 100 + float(TIMING.event) / 0.01, 1230])
    np.testing.assert_array_equal(laid.end[list(night.looks)], [1000, 2000])
    assert (schedule.salience[schedule.rare] == 1).all()
    own, every = night.counts(TIMING, None)
    assert own.tolist() == every.tolist() == [0, 2, 3]


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_the_buffer_fills_the_night_and_no_pause_of_the_day(sampling):
    day = WORLD.day(0, 1.0)
    # Only the single event surprises.
    prediction = TASK.outcomes[np.maximum(day.outcome, 0)] + 0.5 * day.rare[:, None]
    buffer = ReplayBuffer(20, 0.4 * Hz, sampling)
    night = WORLD.buffered(day, prediction, buffer, 0)
    assert night.schedule.replayed.sum() == 8
    ends = lay_out(night.schedule, TIMING, salience_holds=False).end
    np.testing.assert_array_equal(ends[list(night.looks)], [1000, 2000])
    assert (night.schedule.salience == single_event.UNHELD).all()
    own, every = night.counts(TIMING, None)
    assert every.tolist()[::2] == [0, 8]
    assert own[-1] == (8 if sampling == "prioritised" else (night.schedule.kind == Kind.RARE_REPLAY).sum())


def a_day(written=(0,), time=30.0):
    """A day after which there are two memories, of which the first is the single event's if it was written."""
    schedule = WORLD.day(0, 1.0)
    k = int(np.flatnonzero(schedule.rare)[0])
    shown = [single_event.single(TASK, 0).stimulus, int(TASK.indices(rare=False, held_out=False)[0])]
    patterns = {"x": TASK.stimuli[shown], "y": TASK.outcomes[TASK.label[shown]]}
    memory, nothing = Memory.of(HIPPOCAMPUS, patterns), np.empty(0)
    onset = np.arange(len(schedule)) * 2.0  # of the single event 40 s, of the next one 44 s
    happened = Remembered(memory, nothing, nothing, np.full(len(written), time), np.array(written, int), None)
    sham = np.zeros((len(schedule), 10))
    sham[k] = 0.4
    real = SimpleNamespace(onset=onset, remembered=happened)
    return single_event.Day(schedule, real, SimpleNamespace(prediction=sham), 3.2 * second)


def outcomes(memory, *slots):
    return memory.pattern(HIPPOCAMPUS, "y")[list(slots)]


@pytest.mark.parametrize(("time", "written"), [(39.9, -1), (40.0, 0), (45.0, 0), (45.3, -1)])
def test_a_memory_is_of_the_single_event_if_it_was_written_during_it_or_its_pause(time, written):
    assert a_day(time=time).written == written
    assert a_day((), time).written == -1


def test_replay_is_of_what_happened_and_its_sham_of_what_was_predicted():
    night = WORLD.replayed(a_day(time=41), REPLAY)
    np.testing.assert_allclose(outcomes(night.memory, 0, 1), outcomes(a_day().memory, 0, 1))
    np.testing.assert_allclose(outcomes(night.sham_memory, 0), 0.4)
    np.testing.assert_allclose(outcomes(night.sham_memory, 1), outcomes(night.memory, 1))
    assert night.replay == REPLAY
    happened = Remembered(None, np.array([1.0, 9.0, 12.0, 13.0]), np.array([0, 1, 0, 0]), None, None, None)
    own, every = night.counts(TIMING, happened)
    assert (own.tolist(), every.tolist()) == ([0, 1, 3], [0, 2, 4])


def test_what_was_not_written_has_no_sham_and_never_comes_back():
    for night in (WORLD.replayed(a_day(()), REPLAY), WORLD.shuffled(a_day(()), REPLAY, 0)):
        assert night.memory is night.sham_memory
        assert night.counts(TIMING, Remembered(None, np.array([1.0]), np.array([0]), None, None, None))[0][-1] == 0


def test_what_is_deleted_is_gone_from_both():
    night = WORLD.deleted(a_day(time=41), REPLAY)
    for memory in (night.memory, night.sham_memory):
        assert memory.strength[::EACH][:3].tolist() == [0, 1, 0]


def test_shuffled_outcomes_are_all_wrong_and_all_copies_count_as_the_event():
    night = WORLD.shuffled(a_day(time=41), REPLAY, 0)
    copies = [k for k in range(HIPPOCAMPUS.capacity) if k != 1 and night.memory.strength[k * EACH]]
    assert sorted(outcomes(night.memory, *copies).argmax(1)) == list(range(9))
    np.testing.assert_allclose(outcomes(night.sham_memory, *copies), 0.4)
    assert set(copies) <= set(night.slots)
    assert 1 not in night.slots


def test_copies_of_a_memory_keep_its_stimulus_and_share_its_tag():
    memory, wrong = a_day().memory, TASK.outcomes[:9]
    made = WORLD.copies(memory, 0, wrong)
    x, y = made.pattern(HIPPOCAMPUS, "x"), made.pattern(HIPPOCAMPUS, "y")
    copies = [k for k in range(HIPPOCAMPUS.capacity) if k != 1 and np.isfinite(x[k, 0])]
    assert len(copies) == 9
    np.testing.assert_allclose(x[copies], np.tile(TASK.stimuli[single_event.single(TASK, 0).stimulus], (9, 1)))
    assert sorted(y[copies].argmax(1)) == list(range(9))
    np.testing.assert_allclose(made.tag[::EACH][copies], 1 / 9)
    np.testing.assert_allclose(x[1], memory.pattern(HIPPOCAMPUS, "x")[1])


def test_error_spikes_ask_for_a_hold_that_is_long_enough_and_not_too_long():
    each = float(HIPPOCAMPUS.hold_per_error / ms)
    asked = WORLD.asked_hold(1.0, np.array([1.0, 8.0, 1000.0]))
    assert each < float(HIPPOCAMPUS.ignition / ms) < 8 * each
    np.testing.assert_allclose(asked, [0, 0.008 * each, float(HIPPOCAMPUS.longest_hold / second)])


def test_times_lie_evenly_in_a_night():
    assert single_event.evenly(4, 20 * second).tolist() == [2.5, 7.5, 12.5, 17.5]
