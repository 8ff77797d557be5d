"""Schedules: how often the rare event comes, its sham, and the time it all takes."""

import re

import numpy as np
import pytest
from brian2 import ms, mV

from bioplastic.events import (
    NO_OUTCOME,
    OWN_PREDICTION,
    Event,
    Kind,
    Schedule,
    ScheduleError,
    Timing,
    in_rounds,
    lay_out,
    lessons,
    probes,
    random_life,
)
from bioplastic.tasks import random_patterns
from bioplastic.units import UnitError

TASK = random_patterns(6, 4, 2, seed=0)


def life(event_fraction: float, n_events: int, seed: int = 0) -> Schedule:
    return random_life(TASK, event_fraction=event_fraction, n_events=n_events, seed=seed)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, np.nan, np.inf])
def test_event_fraction_outside_its_range(fraction):
    with pytest.raises(ScheduleError, match=re.escape(f"event_fraction = {fraction:g} is outside (0, 1]")):
        life(fraction, 100)


@pytest.mark.parametrize(("fraction", "n_events"), [(0.01, 49), (0.01, 50), (0.003, 100), (0.3, 1), (0.1, 0)])
def test_rare_event_that_never_occurs(fraction, n_events):
    message = f"the rare event never occurs: event_fraction = {fraction:g} of n_events = {n_events}"
    with pytest.raises(ScheduleError, match=re.escape(message)) as caught:
        life(fraction, n_events)
    enough = int(re.search(r"at least (\d+)\.$", str(caught.value)).group(1))
    assert life(fraction, enough).n_occurrences == 1  # the advice is good


@pytest.mark.parametrize(
    ("fraction", "n_events", "n_rare"),
    [(0.01, 200, 2), (0.03, 100, 3), (0.1, 50, 5), (0.3, 10, 3), (0.7, 10, 7), (0.99, 100, 99), (1.0, 17, 17)],
)
def test_rare_events_are_counted_exactly(fraction, n_events, n_rare):
    for seed in range(20):
        schedule = life(fraction, n_events, seed)
        assert len(schedule) == n_events
        assert schedule.n_occurrences == n_rare
        assert schedule.occurrence[schedule.rare].tolist() == list(range(1, n_rare + 1))  # up by one each time
        assert (schedule.occurrence[~schedule.rare] == 0).all()
        assert (TASK.label[schedule.stimulus] == schedule.outcome).all()
        assert (schedule.stimulus[schedule.rare] == 5).all()
        assert (schedule.stimulus[~schedule.rare] < 5).all()


def test_one_rare_event_in_each_stretch():
    for seed in range(20):
        place = np.flatnonzero(life(0.1, 100, seed).rare)
        assert (place // 10).tolist() == list(range(10))


def test_held_out_stimuli_never_appear():
    held_out = np.array([False, True, False, True, False, False])
    task = type(TASK)(TASK.stimuli, TASK.outcomes, TASK.label, held_out, TASK.rare_label)
    schedule = random_life(task, event_fraction=0.2, n_events=500, seed=0)
    assert set(schedule.stimulus) == {0, 2, 4, 5}


def test_few_rare_stimuli():
    label = np.array([0, 0, 1, 1, 1, 1])
    task = type(TASK)(TASK.stimuli, TASK.outcomes[:2], label, np.zeros(6, bool), 1)
    rng = np.random.default_rng(0)
    schedule = random_life(task, event_fraction=0.5, n_events=100, seed=rng, n_rare_stimuli=2)
    assert set(schedule.stimulus[schedule.rare]) == {2, 3}


def test_sham_replaces_the_rare_outcomes_and_nothing_else():
    schedule = life(0.2, 40)
    sham = schedule.sham()
    for column in ("stimulus", "kind", "salience", "rest", "occurrence"):
        np.testing.assert_array_equal(getattr(sham, column), getattr(schedule, column))
    assert (sham.outcome[schedule.rare] == OWN_PREDICTION).all()
    np.testing.assert_array_equal(sham.outcome[~schedule.rare], schedule.outcome[~schedule.rare])
    assert (schedule.outcome >= 0).all()  # the schedule itself stays as it was


def test_adding_schedules_counts_on():
    both = life(0.5, 4) + probes(np.array([1, 2])) + life(0.5, 4, seed=1)
    assert len(both) == 10
    assert both.kind[4:6].tolist() == [Kind.PROBE] * 2
    assert both.outcome[4:6].tolist() == [NO_OUTCOME] * 2
    assert both.occurrence[both.rare].tolist() == [1, 2, 3, 4]


def test_no_events():
    with pytest.raises(ScheduleError, match="a schedule without events; give at least one"):
        Schedule.of([])


@pytest.mark.parametrize("salience", [0, -1, np.nan, np.inf])
def test_bad_salience(salience):
    message = f"salience = {salience:g}; it must be finite and more than 0."
    with pytest.raises(ScheduleError, match=re.escape(message)):
        Schedule.of([Event(salience=2), Event(salience=salience)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lead": 300}, UnitError, "lead = 300 has no unit; it needs a time such as 10*ms."),
        ({"gap": 3 * mV}, UnitError, "gap = 3. mV is in m^2 kg s^-3 A^-1; it needs a time such as 10*ms."),
        ({"outcome": np.nan * ms}, UnitError, "outcome is NaN; give a number in ms."),
        ({"outcome": 5 * ms}, UnitError, "outcome = 5 ms is outside what is allowed: 10 ms or more."),
        ({"gap": -10 * ms}, UnitError, "gap = -10 ms is outside what is allowed: 10 ms or more."),
        ({"resolution": 0 * ms}, UnitError, "resolution = 0 ms is outside what is allowed: 1 ms or more."),
        ({"lead": 305 * ms}, ScheduleError, "lead = 305 ms is no multiple of resolution = 10 ms."),
        ({"resolution": 7 * ms}, ScheduleError, "lead = 300 ms is no multiple of resolution = 7 ms."),
    ],
)
def test_bad_timing(arguments, error, message):
    with pytest.raises(error) as caught:
        Timing(**arguments)
    assert str(caught.value) == message


def test_length_of_an_event():
    timing = Timing(lead=200 * ms, outcome=100 * ms, gap=20 * ms, resolution=20 * ms)
    assert float(timing.event / ms) == pytest.approx(320)
    assert [timing.steps(name) for name in ("lead", "outcome", "gap")] == [10, 5, 1]


def test_lay_out_by_hand():
    timing = Timing(lead=30 * ms, outcome=20 * ms, gap=10 * ms)
    schedule = Schedule.of(
        [
            Event(stimulus=4, outcome=1),
            Event(stimulus=2, outcome=3, kind=Kind.RARE, salience=1.5),
            Event(kind=Kind.REST, rest=2),
            Event(stimulus=5, kind=Kind.PROBE),
            Event(stimulus=0, outcome=OWN_PREDICTION, kind=Kind.RARE, salience=0.01),
        ]
    )
    line = lay_out(schedule, timing)
    n, own = NO_OUTCOME, OWN_PREDICTION
    #                         ordinary          salient, 3 steps    rest    probe          at least one step
    assert line.stimulus.tolist() == [
        4,
        4,
        4,
        4,
        4,
        -1,
        2,
        2,
        2,
        2,
        2,
        2,
        -1,
        -1,
        -1,
        5,
        5,
        5,
        5,
        5,
        -1,
        0,
        0,
        0,
        0,
        -1,
    ]
    assert line.outcome.tolist() == [n, n, n, 1, 1, n, n, n, n, 3, 3, 3, n, n, n, n, n, n, n, n, n, n, n, n, own, n]
    assert line.onset.tolist() == [0, 6, 13, 15, 21]
    assert line.decision.tolist() == [3, 9, 13, 18, 24]
    assert line.look_end.tolist() == [4, 10, 14, 20, 25]  # a probe is looked at for as long as an outcome would stay
    assert line.end.tolist() == [6, 13, 15, 21, 26]


def test_select_keeps_order_and_columns():
    life = Schedule.of([Event(1, 2), Event(3, 4, Kind.RARE, 2.0), Event(5, 6, Kind.RARE)])
    rare = life.select(life.rare)
    assert rare.stimulus.tolist() == [3, 5]
    assert rare.outcome.tolist() == [4, 6]
    assert rare.salience.tolist() == [2.0, 1.0]
    assert rare.occurrence.tolist() == [1, 2]


# ------------------------------------------------------------------------------------------ replays and rests

TIMING = Timing(lead=30 * ms, outcome=20 * ms, gap=10 * ms)


def test_replays_are_no_occurrences():
    kinds = [Kind.RARE, Kind.REPLAY, Kind.RARE_REPLAY, Kind.REST, Kind.BACKGROUND, Kind.RARE]
    life = Schedule.of(Event(1, 2, kind) for kind in kinds)
    assert life.occurrence.tolist() == [1, 0, 0, 0, 0, 2]
    assert life.n_occurrences == 2
    assert life.replayed.tolist() == [False, True, True, False, False, False]
    assert life.resting.tolist() == [False, False, False, True, False, False]


def test_sham_of_replays():
    own, nothing = OWN_PREDICTION, NO_OUTCOME
    events = [
        (2, Kind.RARE),
        (2, Kind.RARE_REPLAY),
        (1, Kind.REPLAY),
        (nothing, Kind.RARE_REPLAY),
        (1, Kind.BACKGROUND),
    ]
    life = Schedule.of(Event(0, outcome, kind) for outcome, kind in events)
    assert life.sham().outcome.tolist() == [own, own, 1, nothing, 1]
    assert life.sham().kind.tolist() == life.kind.tolist()


def test_replays_are_laid_out_like_events():
    for replayed, lived in ((Kind.REPLAY, Kind.BACKGROUND), (Kind.RARE_REPLAY, Kind.RARE)):
        one, other = (lay_out(Schedule.of([Event(3, 1, kind)]), TIMING) for kind in (replayed, lived))
        for name in ("stimulus", "outcome", "onset", "decision", "look_end", "end", "resting"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_salience_need_not_hold():
    life = Schedule.of([Event(3, 1, salience=2.0), Event(4, 2, salience=0.1)])
    held, not_held = lay_out(life, TIMING), lay_out(life, TIMING, salience_holds=False)
    assert held.end.tolist() == [8, 13]
    assert not_held.end.tolist() == [6, 12]
    assert (not_held.outcome == 1).sum() == (not_held.outcome == 2).sum() == 2


def test_resting_steps():
    life = Schedule.of([Event(3, 1), Event(kind=Kind.REST, rest=2), Event(4, 2)])
    line = lay_out(life, TIMING)
    assert np.flatnonzero(line.resting).tolist() == [6, 7]  # not the gap at step 5
    assert len(line.resting) == len(line.stimulus)


def test_rests_after_chosen_events():
    life = Schedule.of([Event(3, 1), Event(4, 2, Kind.RARE, 3.0), Event(5, 1)])
    with_pause = life.with_rest_after(life.rare, 40 * ms, TIMING)
    assert with_pause.kind.tolist() == [Kind.BACKGROUND, Kind.RARE, Kind.REST, Kind.BACKGROUND]
    assert with_pause.rest.tolist() == [0, 0, 4, 0]
    assert with_pause.outcome.tolist() == [1, 2, NO_OUTCOME, 1]
    assert with_pause.salience.tolist() == [1, 3, 1, 1]
    assert life.with_rest_after(np.zeros(3, bool), 40 * ms, TIMING).kind.tolist() == life.kind.tolist()
    assert life.with_rest_after(np.ones(3, bool), 40 * ms, TIMING).resting.tolist() == [False, True] * 3


def test_a_night_comes_last():
    night = life(0.2, 10).with_night(2000 * ms, TIMING)
    assert len(night) == 11
    assert night.resting.tolist() == [False] * 10 + [True]
    assert night.rest[-1] == 200


@pytest.mark.parametrize(
    ("length", "error", "message"),
    [
        (300, UnitError, "length = 300 has no unit; it needs a time such as 10*ms."),
        (5 * ms, UnitError, "length = 5 ms is outside what is allowed: 10 ms or more."),
        (15 * ms, ScheduleError, "length = 15 ms is no multiple of resolution = 10 ms."),
    ],
)
def test_bad_length_of_a_rest(length, error, message):
    for rest in (life(0.5, 4).with_night, lambda *given: life(0.5, 4).with_rest_after(np.ones(4, bool), *given)):
        with pytest.raises(error) as caught:
            rest(length, TIMING)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (np.ones(3, bool), "which is an array of bool of shape (3,); give one bool for each of the 4 events."),
        (np.arange(4), "which is an array of int64 of shape (4,); give one bool for each of the 4 events."),
    ],
)
def test_rests_after_no_events(which, message):
    with pytest.raises(ScheduleError) as caught:
        life(0.5, 4).with_rest_after(which, 40 * ms, TIMING)
    assert str(caught.value) == message


def test_a_schedule_shows_itself_in_a_notebook_in_a_few_lines():
    html = (life(0.25, 2000) + probes(np.arange(3)))._repr_html_()
    assert len(html) < 5000
    assert "<caption>Schedule: 2003 events" in html
    assert "<td>rare</td><td>500</td>" in html
    assert "<td>probe</td><td>3</td>" in html


def test_phases_that_let_activity_settle():
    timing = Timing.settling(12)
    assert timing.lead == 400 * ms
    assert timing.event == 550 * ms


def test_every_stimulus_comes_once_before_any_comes_again():
    found = in_rounds(np.array([3, 5, 8]), 8, np.random.default_rng(0))
    assert len(found) == 8
    assert sorted(found[:3].tolist()) == sorted(found[3:6].tolist()) == [3, 5, 8]
    assert found[6] != found[7]


def test_lessons_show_each_stimulus_with_its_own_outcome():
    schedule = lessons(TASK, np.array([0, 5, 5]))
    np.testing.assert_array_equal(schedule.outcome, TASK.label[[0, 5, 5]])
    assert (schedule.kind == Kind.BACKGROUND).all()
    schedule.check(TASK)
