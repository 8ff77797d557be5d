"""The plain replay buffer: what it remembers, what comes back and when, and that both learners can live it."""

import re
from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ms, mV, second

from bioplastic.cells import phi
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION, Event, Kind, Schedule, ScheduleError, Timing, lay_out
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.models import model
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import random_patterns
from bioplastic.units import UnitError

TIMING = Timing(lead=30 * ms, outcome=20 * ms, gap=10 * ms)
REPLAY = 60 * ms
"""How long a replay lasts in it."""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def day(n: int = 4) -> Schedule:
    """Events k with stimulus k and outcome k mod 3; the last is the rare one."""
    return Schedule.of(Event(k, k % 3, Kind.RARE if k == n - 1 else Kind.BACKGROUND) for k in range(n))


def fill(schedule: Schedule, *, capacity: int = 100, rate=5 * Hz, seed: int = 0, **more) -> Schedule:
    given = {name: more.pop(name) for name in ("priority", "rests") if name in more}
    return ReplayBuffer(capacity, rate, **more).fill(schedule, TIMING, rng=rng(seed), **given)


def replays(schedule: Schedule) -> Schedule:
    return schedule.select(schedule.replayed)


# ------------------------------------------------------------------------------------------ what comes back, and when


def test_a_night_by_hand():
    night = fill(day().with_night(1000 * ms, TIMING), rate=3 * Hz)
    rest, once = Kind.REST, Kind.REPLAY
    kinds = [once if kind == Kind.RARE_REPLAY else kind for kind in night.kind]
    assert kinds == [0, 0, 0, 1, rest, once, rest, once, rest, once, rest]
    assert night.rest[4:].tolist() == [20, 0, 21, 0, 21, 0, 20]  # 82 of the 100 steps are left over


def test_all_else_happens_when_it_did():
    life = day().with_rest_after(np.array([True, False, False, True]), 700 * ms, TIMING)
    life = life + day() + Schedule.of([Event(7, 1, salience=2.5)])
    filled = fill(life, rate=4 * Hz)
    before, after = lay_out(life, TIMING), lay_out(filled, TIMING)
    assert after.end[-1] == before.end[-1]
    kept = ~filled.replayed & ~filled.resting
    for name in ("onset", "decision", "end"):
        np.testing.assert_array_equal(getattr(after, name)[kept], getattr(before, name)[~life.resting])
    for name in ("stimulus", "outcome", "kind", "salience"):
        np.testing.assert_array_equal(getattr(filled, name)[kept], getattr(life, name)[~life.resting])
    assert replays(filled).replayed.sum() == 5  # 2 x 0.7 s at 4 Hz are 5.6


def test_a_replay_is_its_event_at_salience_1():
    life = Schedule.of([Event(4, 2, Kind.RARE, salience=3.0)]).with_night(1000 * ms, TIMING)
    (stimulus,), (outcome,), (kind,), (salience,) = (
        set(getattr(replays(fill(life)), name).tolist()) for name in ("stimulus", "outcome", "kind", "salience")
    )
    assert (stimulus, outcome, kind, salience) == (4, 2, Kind.RARE_REPLAY, 1.0)


def test_only_what_was_lived_before_comes_back():
    life = day(3).with_night(1 * second, TIMING) + day(9).with_night(10 * second, TIMING)
    filled = fill(life, rate=10 * Hz)
    second_day = np.cumsum(filled.stimulus == 8) > 0  # which begins with an event that was not there before
    assert set(replays(filled.select(~second_day)).stimulus) == {0, 1, 2}
    assert set(replays(filled.select(second_day)).stimulus) == set(range(9))


def test_replays_have_the_kind_of_their_event():
    filled = replays(fill(day(5).with_night(10 * second, TIMING), rate=10 * Hz))
    np.testing.assert_array_equal(filled.kind == Kind.RARE_REPLAY, filled.stimulus == 4)
    assert {Kind.REPLAY, Kind.RARE_REPLAY} == set(filled.kind)


def test_fractions_of_a_replay_are_carried_over():
    life = day(6).with_rest_after(np.ones(6, bool), 100 * ms, TIMING)
    filled = fill(life, rate=4 * Hz)  # 0.4 replays in each rest
    nights = np.cumsum(~filled.replayed & ~filled.resting)
    assert nights[filled.replayed].tolist() == [3, 5]  # 1.2, and 0.8 + 1.2 less one


def test_a_rest_before_all_events_stays_empty():
    life = Schedule.of([Event(kind=Kind.REST, rest=2)]) + day().with_night(1000 * ms, TIMING)
    filled = fill(life)
    assert filled.kind[0] == Kind.REST
    assert filled.rest[0] == 2
    assert filled.kind[1] == Kind.BACKGROUND


def test_probes_rests_and_replays_are_not_remembered():
    others = Schedule.of([Event(7, NO_OUTCOME, Kind.PROBE), Event(8, 1, Kind.REPLAY), Event(9, NO_OUTCOME)])
    filled = fill((day(2) + others).with_night(10 * second, TIMING), rate=10 * Hz)
    assert set(filled.stimulus[5:][filled.replayed[5:]]) == {0, 1}


def test_chosen_rests_only():
    life = day().with_rest_after(np.array([False, True, False, False]), 20 * ms, TIMING).with_night(1 * second, TIMING)
    filled = fill(life, rests=np.arange(len(life)) == len(life) - 1)  # the first is too short for a replay
    assert filled.kind[:5].tolist() == life.kind[:5].tolist()
    assert filled.replayed.sum() == 5


def test_a_rest_can_be_full():
    filled = fill(day().with_night(300 * ms, TIMING), rate=1 / REPLAY)
    assert filled.replayed.sum() == 5
    assert not filled.resting.any()


def test_the_same_seed_dreams_the_same():
    life = day(30).with_night(2 * second, TIMING)
    one, same, other = (fill(life, seed=seed).stimulus.tolist() for seed in (1, 1, 2))
    assert one == same != other


# ------------------------------------------------------------------------------------------ which memories


def test_under_uniform_sampling_the_oldest_goes():
    filled = fill(day(9).with_night(20 * second, TIMING), capacity=3, rate=10 * Hz)
    count = np.bincount(replays(filled).stimulus, minlength=9)
    assert count[:6].sum() == 0
    assert (np.abs(count[6:] - 200 / 3) < 4 * np.sqrt(200 * 2 / 9)).all()  # binomial, four standard deviations


def test_under_prioritised_sampling_the_weakest_goes():
    life = day(6).with_night(20 * second, TIMING)
    priority = np.array([5.0, 1, 2, 2, 0.5, 2, 1])  # the last is that of the night
    filled = fill(life, capacity=3, rate=10 * Hz, sampling="prioritised", priority=priority)
    assert set(replays(filled).stimulus) == {0, 3, 5}  # of the three of strength 2 the oldest has gone


def test_priorities_to_the_power_of_alpha():
    life = Schedule.of([Event(0, 0, salience=1.0), Event(1, 1, salience=4.0)]).with_night(20 * second, TIMING)
    for alpha, share in ((0.0, 1 / 2), (0.5, 2 / 3), (1.0, 4 / 5)):
        filled = replays(fill(life, rate=10 * Hz, sampling="prioritised", alpha=alpha))
        tolerance = 4 * np.sqrt(share * (1 - share) / 200)
        assert (filled.stimulus == 1).mean() == pytest.approx(share, abs=tolerance)


# ------------------------------------------------------------------------------------------ controls


def test_shuffled_outcomes_are_wrong_ones_that_happened():
    filled = replays(fill(day(7).with_night(20 * second, TIMING), rate=10 * Hz, outcomes="shuffled"))
    assert (filled.outcome != filled.stimulus % 3).all()
    assert set(filled.outcome) == {0, 1, 2}


def test_stimulus_alone():
    filled = replays(fill(day().with_night(1 * second, TIMING), outcomes="none"))
    assert set(filled.outcome) == {NO_OUTCOME}


def test_controls_replay_the_same_stimuli():
    life = day(8).with_night(5 * second, TIMING)
    own, alone = (fill(life, outcomes=outcomes) for outcomes in ("own", "none"))
    np.testing.assert_array_equal(own.stimulus, alone.stimulus)


def test_replay_of_the_sham_is_the_sham_of_the_replay():
    life = day(8).with_night(5 * second, TIMING)
    one, other = fill(life).sham(), fill(life.sham())
    np.testing.assert_array_equal(one.outcome, other.outcome)
    np.testing.assert_array_equal(one.kind, other.kind)
    assert (one.outcome[one.kind == Kind.RARE_REPLAY] == OWN_PREDICTION).all()
    assert (one.kind == Kind.RARE_REPLAY).any()


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": 0}, "capacity = 0; it is how many events are remembered: give a whole number, 1 or more."),
        ({"capacity": -3}, "capacity = -3; it is how many events are remembered: give a whole number, 1 or more."),
        ({"capacity": 2.5}, "capacity = 2.5; it is how many events are remembered: give a whole number, 1 or more."),
        ({"rate": 5}, "rate = 5 has no unit; it needs Hz."),
        ({"rate": 0 * Hz}, "rate = 0 Hz is outside what is allowed: more than 0 Hz."),
        ({"rate": 3 * mV}, "rate = 3. mV is in m^2 kg s^-3 A^-1; it needs Hz."),
        ({"sampling": "greedy"}, "sampling = 'greedy'; give one of 'uniform', 'prioritised'."),
        ({"outcomes": "random"}, "outcomes = 'random'; give one of 'own', 'shuffled', 'none'."),
        ({"alpha": -1}, "alpha = -1 is outside what is allowed: 0 or more."),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        ReplayBuffer(**({"capacity": 3, "rate": 5 * Hz} | arguments))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("life", "more", "message"),
    [
        (
            day(),
            {},
            "replay is asked for, but the schedule has no rest; put some in with Schedule.with_rest_after or "
            "Schedule.with_night.",
        ),
        (
            Schedule.of([Event(kind=Kind.REST, rest=50)]) + day(),
            {},
            "replay is asked for, but no rest comes after an event with an outcome; put one there, for instance with "
            "Schedule.with_night.",
        ),
        (
            day().with_night(50 * ms, TIMING),
            {},
            "the rest at event 4 lasts 50 ms, but a replay 60 ms; make it longer, or leave it out with the argument "
            "rests.",
        ),
        (
            day().with_night(1000 * ms, TIMING),
            {"rate": 20 * Hz},
            "rate = 20 Hz asks for more replays of 60 ms than fit into the rests; give 16 Hz or less, or longer rests.",
        ),
        (
            day().with_night(1000 * ms, TIMING),
            {"priority": np.ones(5)},
            "priority is given, but sampling = 'uniform' has no use for it; use 'prioritised'.",
        ),
        (
            day().with_night(1000 * ms, TIMING),
            {"sampling": "prioritised", "priority": np.ones(4)},
            "priority has shape (4,); give one finite number above 0 for each of the 5 events (add a little to all if "
            "some are 0).",
        ),
        (
            day().with_night(1000 * ms, TIMING),
            {"sampling": "prioritised", "priority": np.array([1, 0.0, 1, 1, 1])},
            "priority holds 0; give one finite number above 0 for each of the 5 events (add a little to all if some "
            "are 0).",
        ),
        (
            day().with_night(1000 * ms, TIMING),
            {"rests": np.array([True, False, False, False, True])},
            "rests is an array of bool of shape (5,); give one bool for each of the 5 events, true for at least one, "
            "and for rests only.",
        ),
        (
            Schedule.of([Event(0, 1), Event(1, 1)]).with_night(1000 * ms, TIMING),
            {"outcomes": "shuffled"},
            "outcomes = 'shuffled', but all events before a rest ended alike, so that no outcome is wrong; live events "
            "with other outcomes before it.",
        ),
    ],
)
def test_bad_schedules(life, more, message):
    with pytest.raises(ScheduleError) as caught:
        fill(life, **more)
    assert str(caught.value) == message


@pytest.mark.parametrize("rests", [(70, 130, 1000), (1000, 130, 70), (119, 119, 119), (60, 590, 60)])
def test_the_rate_that_the_error_advises_fits(rests):
    life = sum((day().with_night(10 * n * ms, TIMING) for n in rests[1:]), day().with_night(10 * rests[0] * ms, TIMING))
    with pytest.raises(ScheduleError, match="asks for more replays") as caught:
        fill(life, rate=100 * Hz)
    advised = float(re.search(r"give ([\d.]+) Hz", str(caught.value)).group(1))
    assert fill(life, rate=advised * Hz).replayed.any()


# ------------------------------------------------------------------------------------------ both learners live it


TASK = random_patterns(4, 6, 3, seed=0)
CIRCUIT = Circuit((Population("x", 6, "input"), Population("y", 3, "error source")), (Projection("x", "y"),))
WEIGHTS = Weights({"x_to_y": rng().normal(0, 0.5, (3, 6))}, {"y": np.zeros(3)})
SLOW = Timing(lead=100 * ms, outcome=60 * ms, gap=20 * ms)
LIFE = Schedule.of([Event(0, 0), Event(3, 3, Kind.RARE)]).with_night(500 * ms, SLOW)
DREAMT = ReplayBuffer(2, 4 * Hz).fill(LIFE, SLOW, rng=rng())


def test_in_the_twin_a_replay_is_its_event_and_a_rest_nothing():
    pytest.importorskip("torch")
    from bioplastic import twin

    awake = DREAMT.select(~DREAMT.resting)
    awake = replace(awake, kind=np.where(awake.replayed, awake.kind - Kind.REPLAY, awake.kind))
    assert awake.kind.tolist()[:2] == [Kind.BACKGROUND, Kind.RARE]
    assert len(awake) == 4
    lived, again = (
        twin.live(CIRCUIT, TASK, [Life(s, Backprop(0.3), WEIGHTS, snapshots=[0])])[0] for s in (DREAMT, awake)
    )
    np.testing.assert_array_equal(lived.weights.forward["x_to_y"], again.weights.forward["x_to_y"])
    np.testing.assert_array_equal(lived.prediction[~DREAMT.resting], again.prediction)
    assert np.isnan(lived.prediction[DREAMT.resting]).all()
    assert (lived.error_signal[DREAMT.resting] == 0).all()
    # Beside a life that is a rest all the time, even one that names an outcome.
    asleep = Schedule.of([Event(2, 1, Kind.REST, rest=3)] * len(DREAMT))
    one, nothing = twin.live(CIRCUIT, TASK, [Life(s, Backprop(0.3), WEIGHTS) for s in (DREAMT, asleep)])
    np.testing.assert_allclose(one.weights.forward["x_to_y"], lived.weights.forward["x_to_y"], rtol=1e-12)
    np.testing.assert_array_equal(nothing.weights.forward["x_to_y"], WEIGHTS.forward["x_to_y"])
    assert np.isnan(nothing.prediction).all()


@pytest.mark.slow
def test_in_spikes_replays_teach_and_empty_rests_do_not(numpy_target):
    rule = ErrorRelay(eta=0.02, theta=0.2)
    spec = ModelSpec(CIRCUIT, rule, 4, 4, n_steps=100, n_snapshots=0)
    runtime = model(spec, TASK, compiled=False)
    dreamt, empty = (runtime.live(Life(s, rule, WEIGHTS, SLOW)) for s in (DREAMT, LIFE))
    assert dreamt.prediction.shape == (len(DREAMT), 3)
    np.testing.assert_array_equal(dreamt.prediction[:2], empty.prediction[:2])  # the day was the same
    night = empty.onset[LIFE.resting][0]
    assert (empty.error_spikes.time < night).all()
    counts = dreamt.error_signal[:, 0]
    assert (counts[DREAMT.replayed] > 0).all()
    assert (counts[DREAMT.resting] == 0).all()

    def error(weights: Weights) -> float:
        predicted = phi(TASK.stimuli[[0, 3]] @ weights.forward["x_to_y"].T + weights.bias["y"])
        return np.square(predicted - TASK.outcomes[[0, 3]]).sum()

    assert error(WEIGHTS) > error(empty.weights) > error(dreamt.weights)
