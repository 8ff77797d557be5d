"""The script that lays the closed forms over measurements: what it computes from recorded numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from bioplastic.circuit import Circuit, Population, Projection
from bioplastic.study import Runs

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "theory.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def frozen_run(real: list[float], sham: list[float], sham2: list[float]) -> xr.Dataset:
    """A life of one hop, in which every second event is rare."""
    rare = np.arange(2 * len(real)) % 2
    counts = {"error_spikes": real, "error_spikes_sham": sham, "error_spikes_sham2": sham2}
    return xr.Dataset(
        {"event_occurrence": ("event", rare * np.cumsum(rare))}
        | {name: (("occurrence", "hop"), np.array(values)[:, None]) for name, values in counts.items()}
    )


def test_signal_leaves_out_the_events_in_which_the_integrators_fill(script: SimpleNamespace) -> None:
    runs = [frozen_run([99, 5, 7], [99, 1, 1], [0, 4, 4]), frozen_run([99, 2, 2], [0, 0, 0], [0, 4, 4])]
    excess, floor = script.signal(runs, 3)  # the occurrences are events 1, 3 and 5
    assert excess.tolist() == [[5], [2]]
    assert floor == pytest.approx(np.sqrt((3**2 + 4**2) / 2))


def test_excess_without_leak_is_mismatch_over_threshold_and_nothing_is_lost_on_the_way(script: SimpleNamespace) -> None:
    size = [np.array([2.0, 1.0]), np.array([0.3, 0.1]), np.array([0.05])]
    for cascade in (False, True):
        found = script.excess(size, 0.5, np.inf, 0.1, cascade=cascade)
        np.testing.assert_allclose(found, [6, 0.8, 0.1], rtol=1e-12)


def test_cascade_passes_on_what_the_hop_before_makes_of_it(script: SimpleNamespace) -> None:
    # Hop 0: 2 spikes of 1 and none of 0.1, that is 2 of 2.1. Hop 1 alone would make one spike per occurrence, with
    # 20/21 of its mismatch of 1 it is below threshold and, since rare events never meet, makes none.
    size = [np.array([2.0, 0.1]), np.array([1.0])]
    np.testing.assert_allclose(script.excess(size, 1.0, 1.0, 0.01, cascade=False), [2, 1])
    np.testing.assert_allclose(script.excess(size, 1.0, 1.0, 0.01, cascade=True), [2, 0])


def test_absorption_of_two_cells_by_hand(script: SimpleNamespace) -> None:
    # 100 Hz for 120 ms are 12 spikes, at a slope of 1/2: 6. Two inputs at half their rate and the bias: 2/4 + 1.
    circuit = Circuit((Population("x", 2, "input"), Population("y", 1, "error source")), (Projection("x", "y"),))
    assert script.absorption_per_rate(circuit) == pytest.approx(9)


def test_every_curve_and_every_life_has_a_name_of_its_own(script: SimpleNamespace) -> None:
    settings = script.Settings()
    bench = script.Chain(settings)
    (conditions,) = script.plan(bench, settings, Runs(None))
    assert len(set(conditions)) == len(conditions) == 3 * (9 * 5 + 4 * 4 + 1)
    assert len({curve.name for curve in script.curves(settings)}) == 13


def test_stored_settings_come_back(script: SimpleNamespace) -> None:
    settings = replace(script.SETTINGS["quick"], seeds=(4, 5))
    stored = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(settings).items()}
    recording = SimpleNamespace(provenance=SimpleNamespace(settings=stored))
    assert script.settings_of(recording) == settings
