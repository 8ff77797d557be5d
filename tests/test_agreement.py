"""Agreement of patterns, with numbers by hand."""

import numpy as np
import pytest

from bioplastic.statistics import agreement, correlation


def test_agreement_takes_away_what_all_items_have_in_common():
    x = np.array([[1.0, 5.0], [3.0, 5.0]])  # deviations -1 0, 1 0
    y = np.array([[0.0, 9.0], [4.0, 5.0]])  # deviations -2 2, 2 -2
    # Sum of products 4, sums of squares 2 and 16.
    assert agreement(x, y) == pytest.approx(4 / np.sqrt(32))
    assert agreement(x, -y) == pytest.approx(-4 / np.sqrt(32))


def test_correlation_by_hand():
    x = np.array([[1.0, 5.0], [3.0, 5.0]])  # minus 3.5: -2.5 1.5 -0.5 1.5, squares 11
    y = np.array([[0.0, 9.0], [4.0, 5.0]])  # minus 4.5: -4.5 4.5 -0.5 0.5, squares 41
    assert correlation(x, y) == pytest.approx((11.25 + 6.75 + 0.25 + 0.75) / np.sqrt(11 * 41))


def test_patterns_that_share_only_their_mean_do_not_agree():
    rng = np.random.default_rng(0)
    mean = 10 * rng.standard_normal(50)
    x, y = mean + rng.standard_normal((2, 40, 50))
    assert correlation(x, y) > 0.95
    assert abs(agreement(x, y)) < 0.1


def test_agreement_of_what_does_not_differ_is_nothing():
    assert np.isnan(agreement(np.ones((3, 2)), np.arange(6.0).reshape(3, 2)))


def test_agreement_needs_the_same_items():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(3, 3\) cannot be compared; give one row per item"):
        agreement(np.zeros((2, 3)), np.zeros((3, 3)))
