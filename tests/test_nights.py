"""Days of real events and nights in which they are replayed."""

from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import chain
from bioplastic_models.nights import (
    ATTENTION,
    HIPPOCAMPUS,
    PRIORITISED,
    UNIFORM,
    Replaying,
    longest_stretch,
    recalled,
    stretches,
    with_nights,
)

from bioplastic.events import Event, Kind, Schedule, lay_out

TIMING = chain.timing()
REST = Event(kind=Kind.REST, rest=100)


def days(n: int) -> Schedule:
    return Schedule.of(Event(k, k, Kind.RARE if k % 3 == 0 else Kind.BACKGROUND) for k in range(n))


def lived(n: int, replaying: Replaying, surprise: np.ndarray | None = None) -> Schedule:
    return with_nights(days(n), replaying, 20, TIMING, surprise=np.ones(n) if surprise is None else surprise, seed=3)


def test_nights_are_as_long_as_their_replays():
    life = lived(40, Replaying(UNIFORM, 2))
    assert not life.resting.any()
    assert lay_out(life, TIMING).end[-1] == 3 * 40 * TIMING.event / TIMING.resolution
    assert np.flatnonzero(np.diff(life.replayed)).tolist() == [19, 59, 79]  # twenty events, forty replays, and again
    real = life.select(~life.replayed)
    np.testing.assert_array_equal(real.stimulus, np.arange(40))


def test_real_events_are_the_same_without_replay():
    assert lived(40, Replaying()).kind.tolist() == days(40).kind.tolist()


def test_with_a_hippocampus_every_event_and_every_day_is_followed_by_a_rest():
    for source, per_event, nights in ((HIPPOCAMPUS, 2, [80, 80]), (ATTENTION, 0, [])):
        life = lived(40, Replaying(source, per_event))
        assert not life.replayed.any()
        length = life.rest[life.resting] * float(TIMING.resolution)
        np.testing.assert_allclose(length[length < 2], 1.0)
        assert (length < 2).sum() == 40
        np.testing.assert_allclose(length[length > 2], nights)
        assert life.stimulus[~life.resting].tolist() == list(range(40))
        assert [int((~x.resting).sum()) for x in stretches(life, (20, 40))] == [20, 20]
        assert life.resting[-1]


def test_what_is_recalled_is_what_was_last_written_there():
    schedule = Schedule.of([Event(7), REST, Event(8), REST, REST, Event(9), REST])
    left = SimpleNamespace(
        onset=np.arange(7.0),
        remembered=SimpleNamespace(
            written_time=np.array([1.2, 3.2, 6.2]),  # in the rests after 7, 8 and 9
            written=np.array([0, 1, 0]),
            reactivation_time=np.array([0.5, 2.5, 3.5, 4.1, 4.2, 4.3, 6.1, 6.3]),
            reactivated=np.array([5, 0, 0, 1, 0, 2, 0, 0]),
        ),
    )
    contents = {5: 55}
    assert recalled(left, schedule, contents) == [7, 8, 7, 7, 9]  # none by a cue, and none of what is unknown
    assert contents == {0: 9, 1: 8, 5: 55}


def test_what_surprised_most_comes_back_most():
    surprise = np.full(20, 1.0)
    surprise[[0, 3, 6, 9, 12, 15, 18]] = 2.0 ** (1 / 0.6)  # twice as likely at the exponent of 0.6: 14 in 27
    life = lived(20, Replaying(PRIORITISED, 4), surprise)
    share = (life.kind == Kind.RARE_REPLAY).sum() / life.replayed.sum()
    assert share == pytest.approx(14 / 27, abs=4 * np.sqrt(0.25 / 80))


def test_a_life_is_cut_after_the_night():
    life = lived(40, Replaying(UNIFORM, 1))
    pieces = stretches(life, (20, 40))
    assert [len(piece) for piece in pieces] == [40, 40]
    assert [int(piece.replayed.sum()) for piece in pieces] == [20, 20]
    assert pieces[0].replayed[-1]
    assert pieces[1].stimulus[0] == 20
    assert [len(piece) for piece in stretches(days(40), (20, 40))] == [20, 20]
    assert [len(piece) for piece in stretches(life, (20,))] == [40]  # the rest is left out


@pytest.mark.parametrize(
    "replaying", [Replaying(), Replaying(UNIFORM, 2), Replaying(ATTENTION), Replaying(HIPPOCAMPUS, 2)], ids=str
)
def test_the_longest_stretch_is_as_long_as_it_is(replaying):
    longest = max(lay_out(piece, TIMING).end[-1] for piece in stretches(lived(60, replaying), (20, 60)))
    assert longest_stretch((20, 60), [replaying], TIMING) == pytest.approx(longest)
