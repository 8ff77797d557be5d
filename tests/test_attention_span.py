"""The script that sees for how long events are held: what is lived, and what its summary says of known numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import ms

from bioplastic.life import SpikeTrain
from bioplastic.recording import labelled

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "attention_span.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def small(script):
    return script.Settings(n_hops=4, seeds=(0, 1), importances=(0.5, 1.0), n_events=2)


def test_rests_outlast_the_longest_hold(script):
    settings = script.Settings()
    assert settings.rest * ms > script.AttentionSpan(settings).hippocampus.longest_hold


def test_each_event_is_looked_at_from_its_own_outcome_on(script, small):
    bench = script.AttentionSpan(small)
    bench.start[0] = None
    (condition,) = script.conditions(script.HOLDING, bench.learners, seed=[0])
    measuring = script.measured(bench, condition)
    (life,) = next(measuring).lives
    assert life.rule.eta == 0
    assert life.schedule.resting.tolist() == [False, True] * 8
    onset = 4.0 * np.arange(16)
    begins = onset[::2] + float(bench.timing.lead)
    # The k-th event is there for 60 ms and 50 ms more for each before it, and the source signals k errors.
    spikes = np.concatenate([begin + 0.01 * np.arange(7 + 5 * k) for k, begin in enumerate(begins)])
    errors = np.repeat(begins, np.arange(8)) + 0.01
    x, y = (bench.circuit.slices[name].start for name in ("x", "y"))
    lived = SimpleNamespace(
        onset=onset,
        spikes=SpikeTrain(spikes, np.full(len(spikes), x)),
        error_spikes=SpikeTrain(errors, np.full(len(errors), y)),
    )
    with pytest.raises(StopIteration) as end:
        measuring.send([lived])
    found = end.value.value
    np.testing.assert_allclose(found["time"], 60 + 50 * np.arange(8))
    np.testing.assert_allclose(found["surprise"], np.arange(8))
    assert found["importance"].values.tolist() == life.schedule.salience[::2].tolist()
    assert found["surprising"].values.tolist() == life.schedule.rare[::2].tolist()


@pytest.fixture(scope="module")
def done(script, small, tmp_path_factory):
    class Bench(script.AttentionSpan):
        def prepare(self, progress):
            progress(1.0)

    def made_up(bench, condition):
        """A run in which surprising events are held for 500 ms from an importance of 1 on; in seed 1 one of two."""
        importance = np.repeat(bench.settings.importances, 4)
        surprising = np.tile([1, 0], 4)
        held = (surprising == 1) & (importance >= 1) & (np.arange(8) > 4 * condition["seed"])
        values = {"importance": importance, "surprising": surprising, "surprise": 8.0 * surprising}
        time = labelled("event", np.where(held, 500.0, 120.0), "time", "ms")
        return xr.Dataset({name: labelled("event", row, name) for name, row in values.items()} | {"time": time})

    study = replace(script.STUDY, bench=Bench, measure=made_up)
    out = tmp_path_factory.mktemp("attention_span") / "run.h5"
    recording = study.run(small, out, jobs=1, show_progress=False)
    study.show(recording)
    assert out.with_suffix(".png").exists()
    return recording


def test_events_are_sorted_by_kind_and_importance(script, done):
    surprising = script.of_kind(done, 1)
    assert surprising["time"].sizes == {"importance": 2, "seed": 2, "event": 8}
    np.testing.assert_allclose(surprising["time"].mean("event"), [[120, 120], [500, 310]])
    np.testing.assert_allclose(script.share_held(surprising), [0, 0.75])
    np.testing.assert_allclose(script.share_held(script.of_kind(done, 0)), [0, 0])


def test_what_is_said_is_what_was_measured(script, done):
    said = list(script.statements(done))
    assert said == [
        "Least importance at which surprising events are held: any from 1 on, 95 % of them never.",
        "Least importance at which expected events are held: any never, 95 % of them never.",
    ]
