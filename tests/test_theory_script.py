"""The script that lays the closed forms over measurements: what it computes from recorded numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bioplastic import theory
from bioplastic.circuit import Circuit, Population, Projection
from bioplastic.recording import schema1 as recording

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "theory.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def frozen_run(real: list[float], sham: list[float], sham2: list[float]) -> recording.Run:
    """A life of one hop, in which every second event is rare."""
    n = len(real)
    rare = np.arange(2 * n) % 2
    return recording.Run(
        arm="frozen",
        learner="any",
        event_fraction=0.5,
        replay="off",
        seed=0,
        learning_rate=np.nan,
        role="result",
        event_time=np.arange(2.0 * n),
        event_kind=rare,
        event_occurrence=rare * np.cumsum(rare),
        event_salience=np.ones(2 * n),
        event_replayed=np.zeros(2 * n, bool),
        event_stimulus=np.zeros(2 * n, int),
        output_error=np.zeros(2 * n),
        error_spikes=np.array(real)[:, None],
        error_spikes_sham=np.array(sham)[:, None],
        error_spikes_sham2=np.array(sham2)[:, None],
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


def test_quality_by_hand(script: SimpleNamespace) -> None:
    measured = np.array([[0.0], [2], [4]])
    q = script.quality(measured, np.array([[0.0], [3], [7]]))
    assert (q.r2.mean, q.within.mean, q.exact.mean) == pytest.approx((1 - 10 / 8, 2 / 3, 1 / 3))
    assert q.bias.mean == pytest.approx(4 / 3)


def test_one_line_is_the_nearest_rising_curve(script: SimpleNamespace) -> None:
    # Equal places share a height; 3 and 1 at x = 2 and 3 are out of order and become their mean.
    x, y = np.array([3.0, 1, 1, 2, 4]), np.array([1.0, 0, 1, 3, 5])
    assert script.one_line(x, y).tolist() == [2, 0.5, 0.5, 2, 5]
    assert script.explained(x, y) == pytest.approx(1 - 2.5 / 16)
    assert script.explained(-x, np.array([4.0, 1, 1, 2, 8])) < 0.5
    assert np.isnan(script.explained(x, np.ones(5)))


def test_crossing_separates_what_is_reached_from_what_is_not(script: SimpleNamespace) -> None:
    ratio = np.array([0.1, 8.0, 2.0, 0.5])
    assert script.crossing(ratio, ratio > 1) == pytest.approx(1)  # halfway, in logarithm, from 0.5 to 2
    assert script.crossing(ratio, ratio > 5) == pytest.approx(4)
    # Never between conditions at the same place, of which one is reached and the others are not.
    tied = np.array([1.0, 1, 1 + 1e-12, 4])
    assert script.crossing(tied, np.array([False, True, False, True])) == pytest.approx(2)


@pytest.mark.parametrize("length", [0.7, 2.0, 6.0])
def test_fits_find_the_form_that_a_profile_has(script: SimpleNamespace, length: float) -> None:
    hop = np.arange(12)
    ladder = script.fit_profile("ladder", 3 * np.exp(-hop / length), 8)
    assert (ladder.length, ladder.r2) == pytest.approx((length, 1), rel=1e-3)
    np.testing.assert_allclose(ladder.values, 3 * np.exp(-hop / length), rtol=1e-2)
    leak = 2 * np.cosh(1 / length) - 2
    steady = 0.2 * theory.chain_errors(theory.chain_steady_activity(12, leak=leak))
    cable = script.fit_profile("cable", steady, 11)
    assert (cable.length, cable.r2) == pytest.approx((length, 1), rel=1e-3)


def test_heat_fit_finds_the_number_of_steps_and_beats_the_ladder_on_a_front(script: SimpleNamespace) -> None:
    front = theory.chain_errors(theory.chain_activity(12, 40, 0.1))
    heat, ladder = (script.fit_profile(form, front, 9) for form in ("heat", "ladder"))
    assert (heat.length, heat.r2) == pytest.approx((40, 1))
    assert ladder.r2 < 0.99


def test_no_fit_to_fewer_than_three_hops_or_to_exact_zeros(script: SimpleNamespace) -> None:
    assert script.fit_profile("ladder", np.ones(12), 1) is None
    assert script.fit_profile("ladder", np.array([1.0, 0.5, 0.0, 0.0]), 2) is None


def test_fitted_ratio_finds_restoring_over_coupling(script: SimpleNamespace) -> None:
    drive = np.geomspace(1e-5, 1e-2, 9)
    ratio, r2 = script.fitted_ratio(drive, theory.ladder_attenuation(1.0, drive, 1.0, 3e-4))
    assert (ratio, r2) == pytest.approx((3e-4, 1), rel=1e-3)


def test_absorption_of_two_cells_by_hand(script: SimpleNamespace) -> None:
    # 100 Hz for 120 ms are 12 spikes, at a slope of 1/2: 6. Two inputs at half their rate and the bias: 2/4 + 1.
    circuit = Circuit((Population("x", 2, "input"), Population("y", 1, "error source")), (Projection("x", "y"),))
    assert script.absorption_per_rate(circuit) == pytest.approx(9)


def test_settings_and_conditions_have_names_of_their_own(script: SimpleNamespace) -> None:
    config = script.Config()
    names = [c.name for arm in ("frozen", "learning") for c in script.conditions(config, arm)]
    assert len(names) == len(set(names)) == 3 * (9 * 5 + 4 * 4)
    assert len({s.name for s in script.settings(config)}) == 13


def test_stored_settings_come_back(script: SimpleNamespace) -> None:
    config = replace(script.QUICK, seeds=(4, 5))
    stored = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(config).items()}
    assert script.as_config(stored) == config
