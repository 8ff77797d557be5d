"""What studies measure and how it becomes a summary, against numbers computed by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import ms

from bioplastic import reach, twin
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import OWN_PREDICTION, Event, Kind, Schedule, Timing
from bioplastic.life import Life, Lived, Remembered, SpikeTrain
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.study import Bench, Learner, feedback, measure
from bioplastic.study.bench import OTHER_PHASES
from bioplastic.study.summary import each, named, sham_floor
from bioplastic.tasks import random_patterns

CHAIN = Circuit(
    (Population("x", 2, "input"), Population("h", 2), Population("y", 1, "error source")),
    (Projection("x", "h"), Projection("h", "y")),
)
NOTHING = Weights({"x_to_h": np.zeros((2, 2)), "h_to_y": np.zeros((1, 2))}, {"h": np.zeros(2), "y": np.zeros(1)})
OFTEN, RARE = Event(0, 0), Event(1, 1, Kind.RARE)


# ------------------------------------------------------------------------------------------ measures


def test_changes_are_relative_to_the_start():
    start = Weights({name: np.array([[3.0, 4.0]]) for name in ("x_to_h", "h_to_y")}, {})

    def moved(near, far):
        by = {"h_to_y": np.array([near]), "x_to_h": np.array([far])}
        return [Weights({name: w + by[name] for name, w in start.forward.items()}, {})]

    real, sham, sham2 = moved([0, 2.0], [1.0, 0]), moved([0, 0.5], [0, 0]), moved([0, 1.0], [0, 0])
    found = measure.changes(CHAIN, start, real, sham, sham2)
    assert found["change"].dims == ("snapshot", "hop")
    assert found["change"].values == pytest.approx(np.array([[0.3, 0.2]]))  # 1.5 and 1 of 5
    assert found["change_floor"].values == pytest.approx(np.array([[0.1, 0]]))
    assert found["change_sham"].values == pytest.approx(np.array([[0.1, 0]]))


def test_what_goes_along_the_gradient_is_counted_per_rare_event():
    rng = np.random.default_rng(0)
    task = random_patterns(3, 2, 1, seed=0)
    start = Weights({"x_to_h": rng.normal(0, 1, (2, 2)), "h_to_y": rng.normal(0, 1, (1, 2))}, NOTHING.bias)
    rare = np.array([1, 2])
    gradient = twin.gradient(CHAIN, start, task.stimuli[rare], task.outcomes[task.label[rare]])
    step = {name: start.forward[name] + 0.1 * gradient[name] for name in gradient}
    against = {name: start.forward[name] - 0.1 * gradient[name] for name in gradient}
    expected = reach.relative_change(CHAIN, step, start.forward, start.forward) / 2
    assert (expected > 0).all()
    for end, sign in ((step, 1), (against, -1)):
        real = Weights(end, NOTHING.bias)
        found = measure.along_gradient(CHAIN, task, start, real, start, rare=rare)
        np.testing.assert_allclose(found, sign * expected)
    np.testing.assert_array_equal(measure.along_gradient(CHAIN, task, start, start, start, rare=rare), [0, 0])


def test_mismatch_is_per_cell_and_event_before_at_and_after_the_occurrences():
    life = Schedule.of([OFTEN, OFTEN, RARE, OFTEN, RARE, OFTEN, OFTEN])
    spikes = np.array([[1, 4], [3, 0], [8, 2], [9, 9], [2, 2], [0, 6], [5, 0]])
    found = measure.mismatch(CHAIN, life, spikes, theta=0.5, n_around=2)
    # Hop 0 has one cell and hop 1 two; an error spike signals 0.5.
    assert found["mismatch_before"].values.tolist() == [0.5 * 2, 0.5 * 2 / 2]
    assert found["mismatch_during"].values.tolist() == [0.5 * 5, 0.5 * 2 / 2]
    assert found["mismatch_after"].values.tolist() == [0.5 * 2.5, 0.5 * 3 / 2]
    assert found["mismatch_before"].attrs["long_name"].startswith("mismatch signalled per cell and background event")


def spiking(time, cell):
    """A life of two events that began at 0 and 1 s, with error spikes of sign 1."""
    train = SpikeTrain(np.array(time, float), np.array(cell, int), np.ones(len(time), int))
    return Lived(np.zeros((2, 1)), np.zeros((2, 2)), (), NOTHING, onset=np.array([0.0, 1.0]), error_spikes=train)


def test_latency_is_from_the_outcome_to_the_first_error_spike_that_differs():
    timing = Timing(lead=200 * ms)
    sham = spiking([0.5], [4])
    # Cell 4 is the error source, cells 2 and 3 are one hop upstream. The outcome of the second event begins at 1.2 s.
    soon, late = spiking([0.5, 1.21, 1.25], [4, 4, 2]), spiking([0.5, 1.23, 1.31], [4, 4, 3])
    both = measure.latency(CHAIN, [(soon, sham), (late, sham)], 1, timing)["latency"]
    assert both.values == pytest.approx([20, 80])
    assert both.attrs["units"] == "ms"
    here_only = spiking([0.5, 1.23], [4, 4])
    found = measure.latency(CHAIN, [(soon, sham), (here_only, sham)], 1, timing)["latency"].values
    assert found[0] == pytest.approx(20)
    assert np.isnan(found[1])  # a hop that one of the events does not reach has no mean


def test_changes_since_the_first_look_leave_out_what_was_there_before():
    start = Weights({name: np.array([[3.0, 4.0]]) for name in ("x_to_h", "h_to_y")}, {})

    def looks(*near):
        by = ({"h_to_y": np.array([[0, one]]), "x_to_h": np.zeros((1, 2))} for one in near)
        return [Weights({name: w + one[name] for name, w in start.forward.items()}, {}) for one in by]

    # Beyond the sham run there is 1 at the first look, then 1.5 and 4; between shams 0.5, then 0.5 and 1.
    found = measure.changes_since(CHAIN, start, looks(1, 2, 5), looks(0, 0.5, 1), looks(0.5, 1, 2))
    assert found["change_since"].values == pytest.approx(np.array([[0, 0], [0.1, 0], [0.6, 0]]))
    assert found["change_since_floor"].values == pytest.approx(np.array([[0, 0], [0, 0], [0.1, 0]]))


def test_front_is_the_first_error_spike_of_every_hop_from_the_onset_on():
    lived = spiking([0.5, 1.21, 1.22, 1.25, 1.26], [4, 4, 4, 2, 3])
    found = measure.front(CHAIN, lived, 1.2)["front"]
    assert found.values == pytest.approx([10, 50])
    assert found.attrs["units"] == "ms"
    assert np.isnan(measure.front(CHAIN, spiking([1.3, 1.1], [4, 3]), 1.2)["front"].values[1])


def test_surprise_is_the_mismatch_of_the_error_source_while_the_world_drives_it():
    # Of the source alone, within 120 ms of the outcome; cell 4 is the source.
    lived = spiking([0.9, 1.0, 1.05, 1.06, 1.11, 1.13], [4, 4, 4, 2, 4, 4])
    assert measure.surprise(CHAIN, lived, 1.0, Timing(outcome=120 * ms), theta=0.5) == 1.5


@pytest.mark.parametrize(
    ("spikes", "expected"),
    [
        ([0.9, 1.02, 1.06, 1.1, 1.3, 1.31], 0.1),  # before the outcome, then, after 200 ms, recalled again
        (np.arange(1.0, 1.4, 0.04), 0.36),  # no silence
        *((gone, 0) for gone in ([], [0.98], [1.06, 1.07])),
    ],
)
def test_stimulus_is_there_until_the_first_silence(spikes, expected):
    # Spikes of other cells, such as those of cell 2, say nothing of a stimulus.
    time = np.sort([*spikes, *np.arange(1.0, 2.0, 0.01)])
    cell = np.where(np.isin(time, spikes), 0, 2)
    lived = replace(spiking([], []), spikes=SpikeTrain(time, cell))
    assert measure.time_there(CHAIN, lived, 1.0, silence=0.05) == pytest.approx(expected)


def test_ripples_end_where_an_index_cell_pauses():
    # Cell 3 twice at 200 Hz: 10 ms, then 5 ms after a pause; cell 7 once in between: 0 ms.
    time = np.array([0.100, 0.105, 0.107, 0.110, 0.200, 0.205])
    cell = np.array([3, 3, 7, 3, 3, 3])
    np.testing.assert_allclose(np.sort(measure.ripple_lengths(time, cell)), [0, 0.005, 0.010], atol=1e-12)
    assert measure.ripple_lengths(np.empty(0), np.empty(0, int)).size == 0


def test_reactivations_are_counted_per_time_and_memory():
    nothing = np.empty(0)
    train = SpikeTrain(np.array([0.100, 0.105]), np.array([3, 3]))
    happened = Remembered(None, np.array([0.1, 0.5, 0.9, 1.5]), np.array([2, 0, 2, 2]), nothing, nothing, train)
    found = measure.reactivations(happened, duration=2.0, of=2)
    assert (found["reactivation_rate"].item(), found["share_reactivated"].item()) == (2, 0.75)
    assert found["ripple_length_mean"].item() == pytest.approx(5)
    silent = replace(
        happened, reactivated=nothing, reactivation_time=nothing, index_spikes=SpikeTrain(nothing, nothing)
    )
    found = measure.reactivations(silent, duration=2.0, of=2)
    assert found["reactivation_rate"].item() == 0
    assert np.isnan([found["share_reactivated"].item(), found["ripple_length_mean"].item()]).all()


# ------------------------------------------------------------------------------------------ lives beside their shams


@pytest.mark.parametrize("rule", [ErrorRelay(), Backprop(0.1)])
def test_a_life_is_lived_beside_shams_that_differ_in_their_phases_alone(rule):
    bench = Bench(CHAIN, random_patterns(4, 2, 1, seed=0), (0,), [Learner("one", lambda eta: rule)])
    life = Life(Schedule.of([OFTEN, RARE]), rule, NOTHING, seed=7)
    asking = bench.beside_shams(life)
    asked = next(asking)
    real, sham, *others = asked.lives
    assert real is life
    assert sham.schedule.outcome.tolist() == [0, OWN_PREDICTION]
    assert replace(sham, schedule=life.schedule) == life
    in_spikes = isinstance(rule, ErrorRelay)
    assert others == ([replace(sham, seed=7 + OTHER_PHASES)] if in_spikes else [])
    lived = [SimpleNamespace(number=k) for k in range(len(asked.lives))]
    with pytest.raises(StopIteration) as end:
        asking.send(lived)
    # In the twin, where nothing is random, the first sham is the second too.
    assert [one.number for one in end.value.value] == ([0, 1, 2] if in_spikes else [0, 1, 1])


@pytest.mark.parametrize("make", [feedback.random, feedback.broadcast, feedback.agreeing])
def test_feedback_is_that_of_the_seed(make):
    task = random_patterns(8, 2, 1, seed=0)
    task = replace(task, held_out=np.arange(8) > 3, label=np.arange(8) % 4, rare_label=3)
    rng = np.random.default_rng(0)
    weights = Weights({k: rng.normal(size=w.shape) for k, w in NOTHING.forward.items()}, NOTHING.bias)
    one, again, other = (make(CHAIN, weights, task, seed) for seed in (0, 0, 1))
    one.check(CHAIN, broadcast=make is feedback.broadcast)
    for name, fb in one.weights.items():
        assert np.array_equal(fb, again.weights[name])
        # Only what agrees follows from the forward weights; what is drawn knows nothing of them.
        assert np.array_equal(fb, other.weights[name]) == (make is feedback.agreeing)


# ------------------------------------------------------------------------------------------ to a summary

CHANGE = xr.DataArray(
    [[[3.0, 1.0], [3.0, 3.0]], [[0.0, 9.0], [5.0, 1.0]]],
    dims=("learner", "seed", "hop"),
    coords={"learner": ["a", "b"]},
)


def test_each_calls_for_every_place_and_keeps_labels():
    floor = xr.DataArray([[2.0, 2.0], [1.0, 0.5]], dims=("learner", "hop"), coords={"learner": ["a", "b"]})
    reached = each(reach.reach, CHANGE, floor, over="hop")
    assert reached.dims == ("learner", "seed")
    assert reached.values.tolist() == [[0, 1], [-1, 1]]
    assert reached.sel(learner="b").values.tolist() == [-1, 1]
    doubled = each(lambda x: 2 * x, CHANGE, over=["hop"], gives=["hop"])
    assert doubled.dims == CHANGE.dims
    assert np.array_equal(doubled, 2 * CHANGE)
    summed = each(lambda x: x.sum(), CHANGE, over=("seed", "hop"))
    assert summed.values.tolist() == [10, 15]


def test_sham_floor_is_the_spread_over_seeds():
    found = sham_floor(CHANGE)
    assert found.dims == ("learner", "hop")
    assert found.values == pytest.approx(np.sqrt([[9, 5], [12.5, 41]]))


def test_what_is_computed_gets_a_name_and_a_unit():
    found = named(CHANGE.sel(learner="a"), "a change", "mV")
    assert isinstance(found, xr.Variable)
    assert (found.dims, found.attrs) == (("seed", "hop"), {"units": "mV", "long_name": "a change"})
    assert named(CHANGE, "a change").attrs["units"] == "1"
