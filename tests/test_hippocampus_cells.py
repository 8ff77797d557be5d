"""Attention, one-shot memory and replay in a network of six cells of one's own."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from brian2 import ms, second
from small_hippocampus import SMALL, Small, memories

from bioplastic.hippocampus.memory import Memory
from bioplastic.hippocampus.parameters import Replay

pytestmark = pytest.mark.usefixtures("numpy_target")

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
