"""The script that holds one event longer: what is lived, and what its summary says of runs with known numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import ms

from bioplastic.circuit import Weights
from bioplastic.events import Kind
from bioplastic.life import SpikeTrain
from bioplastic.recording import labelled
from bioplastic.spiking.results import count_error_spikes
from bioplastic.study import conditions, measure
from bioplastic.study.bench import OTHER_PHASES

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "attention.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def small(script):
    return script.Settings(
        n_hops=4, seeds=(0, 1), durations=(100, 400), importances=(0.5, 1.0), thetas=(0.05,), gains=()
    )


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
        script.Settings(**changes)


def test_rules_differ_from_the_fine_one_in_what_they_are_called_after(script):
    rules = {one.name: one.rule(one.rates[0]) for one in script.learners(script.Settings())}
    fine, eta = rules[script.FINE], script.Settings().eta
    assert (fine.theta, fine.gain, fine.eta) == (0.05, 1.0, eta)
    assert rules["theta 0.1"] == replace(fine, theta=0.1)
    assert rules["theta 0.05, gain 0.8"] == replace(fine, gain=0.8)
    assert rules["theta 0.05, leak 100 ms"] == replace(fine, tau_e=100 * ms)
    assert rules[script.SKETCH] == replace(fine, theta=0.02, eta=eta / 1000)


def test_rests_outlast_the_longest_hold(script):
    settings = script.Settings()
    assert settings.rest * ms > script.Attention(settings).hippocampus.longest_hold


# ------------------------------------------------------------------------------------------ what is lived


def lived(circuit, onset, weights, *, spikes, errors) -> SimpleNamespace:
    """What a life leaves, of which only weights and spikes of the input and of errors matter."""
    time, cell = np.array(errors, float).reshape(-1, 2).T
    found = SimpleNamespace(
        spikes=SpikeTrain(np.array(spikes, float), np.full(len(spikes), circuit.slices["x"].start)),
        error_spikes=SpikeTrain(time, cell.astype(int), np.ones(len(time))),
        weights=weights,
        onset=onset,
    )
    found.error_signal = count_error_spikes(circuit, onset, found.error_spikes)
    return found


@pytest.mark.parametrize("kind", ["held", "present"])
def test_one_event_is_measured_against_its_sham_until_the_rest_is_over(script, small, kind):
    bench = script.Attention(small)
    circuit = bench.circuit
    ones = Weights(
        {p.name: np.ones(circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    bench.start[0] = ones
    onset, begins = np.array([0.0, 1.3]), float(bench.timing.lead)
    y, h1, h2 = (circuit.slices[name].start for name in ("y", "h1", "h2"))

    def life(errors, factor_at_hop_0, until):
        last = circuit.projections[-1].name
        forward = {**ones.forward, last: factor_at_hop_0 * ones.forward[last]}
        spikes = np.arange(begins, begins + until, 0.01)
        return lived(circuit, onset, Weights(forward, ones.bias), spikes=spikes, errors=errors)

    axis = {"importance": [2.0]} if kind == "held" else {"duration": [400]}
    learner = bench.learners[0]
    (condition,) = conditions(kind, [learner], seed=[0], rate=learner.rates, **axis)
    measuring = script.measured(bench, condition)
    real_life, sham, other = next(measuring).lives
    # One event is all that happens.
    schedule = real_life.schedule
    assert schedule.kind.tolist() == [Kind.RARE, Kind.REST]
    assert schedule.rest[1] * bench.timing.resolution == small.rest * ms
    assert schedule.salience[0] == (2.0 if kind == "held" else script.single_event.UNHELD)
    assert real_life.timing == replace(bench.timing, outcome=(120 if kind == "held" else 400) * ms)
    assert sham.schedule.outcome.tolist() == schedule.sham().outcome.tolist()
    assert (real_life.seed, sham.seed, other.seed) == (0, 0, OTHER_PHASES)

    late = begins + 0.6  # when the outcome is gone: still of this event
    real = [(begins + 0.01, y), (begins + 0.02, y), (begins + 0.03, h1), (late, h2)]
    with pytest.raises(StopIteration) as end:
        measuring.send([life(real, 1.5, 0.405), life([], 1.25, 0.125), life([(late, y)], 1.375, 0.125)])
    found = end.value.value
    assert found["time"].item() == pytest.approx(400)
    assert found["time_sham"].item() == pytest.approx(120)
    assert found["surprise"].item() == 2
    assert found["error_spikes"].values.tolist() == [[2, 1, 1, 0]]
    assert found["error_spikes_sham"].values.tolist() == [[0, 0, 0, 0]]
    np.testing.assert_allclose(found["change"], [[0.25, 0, 0, 0]])
    np.testing.assert_allclose(found["change_floor"], [[0.125, 0, 0, 0]])
    np.testing.assert_allclose(found["front"], [10, 30, 600, np.nan])


# ------------------------------------------------------------------------------------------ what is said


def made_up(bench, condition) -> xr.Dataset:
    """A run in which holding counts as presence does: hop 0 at 100 ms, to hop 1 at 200 ms, to hop 2 at 400 ms."""
    time = float(condition.labels.get("duration", 120 if condition.labels.get("importance", 1) < 1 else 200))
    hop = np.arange(bench.circuit.n_hops)
    change = np.where(hop < np.round(1 + np.log2(time / 100)), 1.0, 0.0) * np.exp(-hop)
    rows = {
        "change": change,
        "change_floor": np.full_like(change, 1e-9),
        "change_sham": change,
    }
    counts = {"error_spikes": np.round(100 * change), "error_spikes_sham": 0 * change, "error_spikes_sham2": 0 * change}
    return xr.Dataset(
        {
            "time": labelled((), time, "time", "ms"),
            "time_sham": labelled((), 120.0, "time", "ms"),
            "surprise": labelled((), 8.0, "surprise"),
            "front": labelled("hop", np.where(change > 0, 10.0 * hop, np.nan), "front", "ms"),
            **{name: labelled(("snapshot", "hop"), [row], name) for name, row in rows.items()},
            **{name: labelled(("occurrence", "hop"), [row], name) for name, row in counts.items()},
        },
        {"hop": measure.hop_axis(bench.circuit.n_hops)},
    )


@pytest.fixture(scope="module")
def done(script, small, tmp_path_factory):
    class Bench(script.Attention):
        def prepare(self, progress):
            progress(1.0)

    study = replace(script.STUDY, bench=Bench, measure=made_up)
    out = tmp_path_factory.mktemp("attention") / "run.h5"
    recording = study.run(small, out, jobs=1, show_progress=False)
    study.show(recording)
    assert out.with_suffix(".png").exists()
    return recording


def test_hops_are_counted_from_the_error_source_to_the_first_gap(script, done):
    present, held = (done[f"summary_{kind}"].sel(rule=script.SCREENED) for kind in ("present", "held"))
    for name in (script.CHANGED, script.CAUSED):
        assert present[name].values.tolist() == [[1, 3], [1, 3]]
        assert held[name].values.tolist() == [[1, 2], [1, 2]]
    assert (present[script.CHANGED_SHAM] == 0).all()


def test_rules_stand_with_their_parameters(script, done):
    assert done["summary_held"]["rule"].values.tolist() == list(script.HELD_UNDER)
    present = done["summary_present"]
    assert present["theta"].values.tolist() == [1, 1, 0.05, 0.05, 0.02]
    assert present["gain"].values.tolist() == [0.9, 1, 1, 1, 1]
    assert present["tau_e"].values[1:].tolist() == [np.inf, np.inf, 0.1, np.inf]
    assert present["eta"].values.tolist() == pytest.approx([1e-3] * 4 + [1e-6])


def test_what_is_held_stands_beside_the_same_time_in_the_world(script, done):
    world = script.in_the_world(done, script.CHANGED).sel(rule=script.SCREENED)
    np.testing.assert_allclose(world.sel(importance=1.0), 2)  # 200 ms are half way from 100 to 400, from 1 hop to 3
    held = script.single_event.is_held(done["summary_held"]["time"])
    assert held.sel(rule=script.SCREENED).values.tolist() == [[False, True], [False, True]]


def test_what_is_said_is_what_was_measured(script, done):
    said = "\n".join(script.statements(done))
    assert "error relay: 1.0 [1.0, 1.0] at 100 ms, 3.0 [3.0, 3.0] at 400 ms; stops: 3.0 [3.0, 3.0] at 400 ms" in said
    assert "; 10 [10, 10] ms per hop." in said
    assert "as long, error relay: +0.00 [+0.00, +0.00] hops changed at all, +0.00 [+0.00, +0.00] beyond sham" in said
    assert "sham events held: 0 of 4." in said


def test_what_passes_and_what_is_not_held_is_said(script, done):
    changed = dict(done.groups)
    changed["summary_held"] = changed["summary_held"].assign(time=120.0 + 0 * changed["summary_held"]["time"])
    changed["summary_present"] = changed["summary_present"].assign(
        {script.CHANGED: 4 + 0 * changed["summary_present"][script.CHANGED]}
    )
    said = "\n".join(script.statements(replace(done, groups=changed)))
    assert (
        "  error relay: 4.0 [4.0, 4.0] at 100 ms, 4.0 [4.0, 4.0] at 400 ms; through all 4 in every seed from 100 ms"
        in said
    )
    assert "Held under error relay: no event was." in said
