"""Fits to profiles and to curves: what is planted is found, what cannot be told apart is left alone."""

import numpy as np
import pytest

from bioplastic import theory
from bioplastic.fits import crossing, explained, fit_profile, fitted_ratio, one_line, quality


def test_quality_by_hand() -> None:
    measured = np.array([[0.0], [2], [4]])
    q = quality(measured, np.array([[0.0], [3], [7]]))
    assert (q.r2.mean, q.within.mean, q.exact.mean) == pytest.approx((1 - 10 / 8, 2 / 3, 1 / 3))
    assert q.bias.mean == pytest.approx(4 / 3)


def test_one_line_is_the_nearest_rising_curve() -> None:
    # Equal places share a height; 3 and 1 at x = 2 and 3 are out of order and become their mean.
    x, y = np.array([3.0, 1, 1, 2, 4]), np.array([1.0, 0, 1, 3, 5])
    assert one_line(x, y).tolist() == [2, 0.5, 0.5, 2, 5]
    assert explained(x, y) == pytest.approx(1 - 2.5 / 16)
    assert explained(-x, np.array([4.0, 1, 1, 2, 8])) < 0.5
    assert np.isnan(explained(x, np.ones(5)))


def test_crossing_separates_what_is_reached_from_what_is_not() -> None:
    ratio = np.array([0.1, 8.0, 2.0, 0.5])
    assert crossing(ratio, ratio > 1) == pytest.approx(1)  # halfway, in logarithm, from 0.5 to 2
    assert crossing(ratio, ratio > 5) == pytest.approx(4)
    # Never between conditions at the same place, of which one is reached and the others are not.
    tied = np.array([1.0, 1, 1 + 1e-12, 4])
    assert crossing(tied, np.array([False, True, False, True])) == pytest.approx(2)


@pytest.mark.parametrize("length", [0.7, 2.0, 6.0])
def test_fits_find_the_form_that_a_profile_has(length: float) -> None:
    hop = np.arange(12)
    ladder = fit_profile("ladder", 3 * np.exp(-hop / length), 8)
    assert (ladder.length, ladder.r2) == pytest.approx((length, 1), rel=1e-3)
    np.testing.assert_allclose(ladder.values, 3 * np.exp(-hop / length), rtol=1e-2)
    leak = 2 * np.cosh(1 / length) - 2
    steady = 0.2 * theory.chain_errors(theory.chain_steady_activity(12, leak=leak))
    cable = fit_profile("cable", steady, 11)
    assert (cable.length, cable.r2) == pytest.approx((length, 1), rel=1e-3)


def test_heat_fit_finds_the_number_of_steps_and_beats_the_ladder_on_a_front() -> None:
    front = theory.chain_errors(theory.chain_activity(12, 40, 0.1))
    heat, ladder = (fit_profile(form, front, 9) for form in ("heat", "ladder"))
    assert (heat.length, heat.r2) == pytest.approx((40, 1))
    assert ladder.r2 < 0.99


def test_no_fit_to_fewer_than_three_hops_or_to_exact_zeros() -> None:
    assert fit_profile("ladder", np.ones(12), 1) is None
    assert fit_profile("ladder", np.array([1.0, 0.5, 0.0, 0.0]), 2) is None


def test_fitted_ratio_finds_restoring_over_coupling() -> None:
    drive = np.geomspace(1e-5, 1e-2, 9)
    ratio, r2 = fitted_ratio(drive, theory.ladder_attenuation(1.0, drive, 1.0, 3e-4))
    assert (ratio, r2) == pytest.approx((3e-4, 1), rel=1e-3)
