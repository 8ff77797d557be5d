"""The script that holds one event longer: what it computes besides lives."""

import json
import runpy
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from bioplastic.circuit import Weights
from bioplastic.events import Kind
from bioplastic.life import SpikeTrain
from bioplastic.spiking.results import count_error_spikes

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "attention.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def small(script):
    return script.Config(
        n_hops=4,
        seeds=(0, 1),
        durations=(100, 400),
        importances=(0.5, 1.0),
        holding_importances=(0.5, 1.0),
        n_holding=2,
        thetas=(0.05,),
        gains=(),
    )


# ------------------------------------------------------------------------------------------ measures


def test_stimulus_is_there_until_the_first_silence(script):
    spikes = np.array([0.9, 1.02, 1.06, 1.1, 1.3, 1.31])  # before the outcome, then, after 200 ms, recalled again
    assert script.time_there(spikes, 1.0) == pytest.approx(0.1)


def test_stimulus_without_silence_is_there_until_its_last_spike(script):
    assert script.time_there(np.arange(1.0, 1.4, 0.04), 1.0) == pytest.approx(0.36)


@pytest.mark.parametrize("spikes", [[], [0.98], [1.06, 1.07]])
def test_stimulus_that_is_gone_at_the_onset_is_there_for_no_time(script, spikes):
    assert script.time_there(np.array(spikes), 1.0) == 0


def test_curve_is_read_half_way_between_two_times_on_a_logarithmic_axis(script):
    values = np.array([[0.0, 10.0], [4.0, 30.0]])
    found = script.at_times(np.array([100.0, 400.0]), values, np.array([100.0, 200.0, 500.0, 50.0]))
    np.testing.assert_allclose(found[:2], [[0, 10], [2, 20]])
    assert np.isnan(found[2:]).all()


def test_hops_passed_end_at_the_first_gap(script):
    change = np.array([[[2.0, 2.0, 0.0, 2.0], [0.0, 2.0, 2.0, 2.0], [2.0, 2.0, 2.0, 2.0]]])
    assert script.hops_passed(change, np.ones_like(change)).tolist() == [[2, 0, 4]]


@pytest.mark.parametrize(("share", "least"), [(0, 0.2), (0.5, 0.2), (0.95, 0.8), (1, 0.8)])
def test_least_importance_counts_only_from_where_it_stays_so(script, share, least):
    held = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [1, 1]], bool)
    importance = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
    assert script.least_importance(importance, held, share) == least


def test_least_importance_of_what_is_never_or_always_held(script):
    importance = np.array([0.1, 0.2])
    assert script.least_importance(importance, np.zeros((2, 3), bool), 0) == np.inf
    assert script.least_importance(importance, np.ones((2, 3), bool), 0.95) == 0.1


def test_an_event_counts_as_held_only_beyond_its_outcome_and_the_silence(script):
    assert script.is_held(np.array([119.0, 169.0, 171.0, 400.0])).tolist() == [False, False, True, True]


def test_seed_means_leave_out_what_does_not_count(script):
    values = np.array([[1.0, 5.0, 9.0], [np.nan, 2.0, 4.0], [1.0, 1.0, 1.0]])
    counted = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    np.testing.assert_array_equal(script.seed_means(values, counted), [3, 2, np.nan])


# ------------------------------------------------------------------------------------------ what is lived


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thetas": (0.3,)}, r"thetas = \(0.3,\); 'theta 0.05' must be among them"),
        ({"durations": (400, 100)}, r"durations = \(400, 100\); give two or more different ones above 0, in rising"),
        ({"importances": (0.0, 1.0)}, r"importances = \(0.0, 1.0\); give two or more different ones above 0"),
    ],
)
def test_settings_that_make_no_sense(script, changes, message):
    with pytest.raises(ValueError, match=message):
        script.Config(**changes)


def test_one_event_is_all_that_happens(script, small):
    bench = script.Bench(small)
    schedule = bench.single(3, 2.0, bench.timing)
    assert schedule.kind.tolist() == [Kind.RARE, Kind.REST]
    assert schedule.salience[0] == 2
    assert schedule.rest[1] * bench.timing.resolution == small.rest * script.ms
    np.testing.assert_array_equal(bench.single(3, 0.5, bench.timing).stimulus, schedule.stimulus)


def test_rests_outlast_the_longest_hold(script):
    config = script.Config()
    assert config.rest * script.ms > script.Bench(config).hippocampus.longest_hold


def test_events_that_are_only_held_are_each_new_and_as_often_surprising_as_expected(script, small):
    events = script.Bench(small).holding_events(0)
    assert len({event.stimulus for event in events}) == len(events) == 8
    for importance in small.holding_importances:
        kinds = [event.kind for event in events if event.salience == importance]
        assert sorted(kinds) == [Kind.BACKGROUND, Kind.BACKGROUND, Kind.RARE, Kind.RARE]


def lived(bench, *, spikes, errors, signs=1) -> SimpleNamespace:
    """What a life leaves, of which only spikes of the input and of errors matter."""
    time, cell = np.array(errors, float).reshape(-1, 2).T
    return SimpleNamespace(
        spikes=SpikeTrain(np.array(spikes, float), np.full(len(spikes), bench.circuit.slices["x"].start)),
        error_spikes=SpikeTrain(time, cell.astype(int), np.full(len(time), signs)),
    )


def test_surprise_is_the_mismatch_of_the_error_source_while_the_world_drives_it(script, small):
    bench = script.Bench(small)
    y, h1 = bench.circuit.slices["y"].start, bench.circuit.slices["h1"].start
    errors = [(0.9, y), (1.0, y), (1.05, y + 3), (1.06, h1), (1.11, y), (1.13, y)]
    found = bench.surprise(lived(bench, spikes=[], errors=errors), 1.0, bench.timing, theta=0.5)
    assert found == pytest.approx(1.5)  # three spikes of 0.5, within 120 ms, of the error source alone


class Recorded:
    """A model that answers with lives prepared for it."""

    def __init__(self, lives):
        self.lives = list(lives)
        self.asked = []

    def live(self, life):
        self.asked.append(life)
        return self.lives.pop(0)


def test_one_event_is_measured_against_its_sham_until_the_rest_is_over(script, small):
    bench = script.Bench(small)
    circuit = bench.circuit
    ones = Weights(
        {p.name: np.ones(circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    bench.weights[0] = ones
    onset = np.array([0.0, 1.3])
    begins = float(bench.timing.lead)
    y, h1, h2 = (circuit.slices[name].start for name in ("y", "h1", "h2"))

    def life(errors, factor_at_hop_0, until):
        found = lived(bench, spikes=np.arange(begins, begins + until, 0.01), errors=errors)
        last = circuit.projections[-1].name
        forward = {**ones.forward, last: factor_at_hop_0 * ones.forward[last]}
        found.weights, found.onset = Weights(forward, ones.bias), onset
        found.error_signal = count_error_spikes(circuit, onset, found.error_spikes)
        return found

    late = begins + 0.6  # when the outcome is gone: still of this event
    real = [(begins + 0.01, y), (begins + 0.02, y), (begins + 0.03, h1), (late, h2)]
    bench.model = Recorded([life(real, 1.5, 0.405), life([], 1.25, 0.125), life([(late, y)], 1.375, 0.125)])
    condition = script.Condition(script.screenings(small)[0], script.HELD, 0)
    found = bench.one(condition, bench.timing, 1.0)
    assert found["time"] == pytest.approx(400)
    assert found["time_sham"] == pytest.approx(120)
    assert found["surprise"] == 2
    assert found["error_spikes"].tolist() == [2, 1, 1, 0]
    assert found["error_spikes_sham"].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(found["change"], [0.25, 0, 0, 0])
    np.testing.assert_allclose(found["change_floor"], [0.125, 0, 0, 0])
    np.testing.assert_allclose(found["front"], [10, 30, 600, np.nan])
    real_life, sham, other = bench.model.asked
    assert sham.schedule.outcome.tolist() == real_life.schedule.sham().outcome.tolist()
    assert (real_life.seed, sham.seed, other.seed) == (0, 0, 1_000_000)


# ------------------------------------------------------------------------------------------ what is recorded


def made_up(script, config, condition) -> dict:
    """A run in which holding counts as presence does, and an event is held for 500 ms per unit of importance."""
    if condition.way == script.HOLDING:
        importance = np.repeat(config.holding_importances, 2 * config.n_holding)
        surprising = np.tile([1, 0], len(importance) // 2)
        time = np.where(surprising & (importance >= 1), 500.0, 120.0)
        return {"importance": importance, "surprising": surprising, "surprise": 8.0 * surprising, "time": time}
    hop = np.arange(config.n_hops)
    if condition.way == script.PRESENT:
        time = np.array(config.durations, float)
        axis = {"duration": time}
    else:
        axis = {"importance": np.array(config.importances)}
        time = np.where(axis["importance"] < 1, 120.0, 200.0)
    passed = 1 + np.log2(time / 100)[:, None]  # hops 0 at 100 ms, to 1 at 200 ms, to 2 at 400 ms
    change = np.where(hop < np.round(passed), 1.0, 0.0) * np.exp(-hop)
    return {
        **axis,
        "hop": hop,
        "time": time,
        "time_sham": np.full(len(time), 120.0),
        "surprise": np.full(len(time), 8.0),
        "change": change,
        "change_floor": np.full_like(change, 1e-9),
        "error_spikes": np.round(100 * change),
        "error_spikes_sham": np.zeros_like(change),
        "front": np.where(change > 0, 10.0 * hop, np.nan),
    }


def test_recording_goes_on_and_back(script, small, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "run.h5"
    everything = script.conditions(small)
    half = script.opened(out, small)
    for condition in everything[::2]:
        script.keep(half, condition, made_up(script, small, condition))
    again = script.opened(out, small)
    assert sorted(again.runs) == sorted(c.name for c in everything[::2])
    for condition in everything[1::2]:
        script.keep(again, condition, made_up(script, small, condition))
    script.finish(again, small, script.Bench(small).circuit.to_json())
    assert not again.folder.exists()
    with h5py.File(out) as file:
        assert file.attrs["complete"] == 1
        assert json.loads(file.attrs["config"]) == json.loads(json.dumps(asdict(small)))
        assert file["summary/held/change"].dims[2][0].name == "/summary/held/importance"
    done = script.Done.read(out, small)
    name = script.SCREENED
    assert done.of(script.PRESENT, name, script.CHANGED).tolist() == [[1, 3], [1, 3]]
    assert done.of(script.PRESENT, name, script.CAUSED).tolist() == [[1, 3], [1, 3]]
    assert done.of(script.HELD, name, script.CHANGED).tolist() == [[1, 2], [1, 2]]
    np.testing.assert_allclose(done.at_the_same_time(name, script.CHANGED)[:, 1], 2)  # half way from 1 to 3
    assert done.really_held(name).tolist() == [[False, True], [False, True]]
    said = "\n".join(script.verdicts(done))
    assert "error relay: 1.0 [1.0, 1.0] at 100 ms, 3.0 [3.0, 3.0] at 400 ms; stops: 3.0 [3.0, 3.0] at 400 ms" in said
    assert "as long, error relay: +0.00 [+0.00, +0.00] hops changed at all, +0.00 [+0.00, +0.00] beyond sham" in said
    assert "surprising events are held: any from 1 on, 95 % of them from 1 on" in said
    assert "expected events are held: any never, 95 % of them never" in said
