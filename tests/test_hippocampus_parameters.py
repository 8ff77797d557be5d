"""A hippocampus and its memory without running: bad input, and what follows from its parameters by hand."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, NeuronGroup, ms, mV, second
from small_hippocampus import SMALL, changed, memories

from bioplastic.circuit import CircuitError
from bioplastic.hippocampus.circuit import build
from bioplastic.hippocampus.equations import RECALL_EQUATIONS
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Replay, Target
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.groups import cell_group
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")

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
