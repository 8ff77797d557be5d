"""Statistics, against numbers computed by hand."""

import numpy as np
import pytest

from bioplastic.statistics import (
    estimate,
    first_reaching,
    information,
    information_floor,
    log_interpolated,
    survival,
    threshold,
    unbiased_square,
)


def test_an_estimate_is_written_in_the_format_that_is_asked_for():
    found = estimate([0.2, 0.2])
    assert str(found) == f"{found}" == "0.2 [0.2, 0.2]"
    assert f"{estimate([0.2, np.nan]):.2f}" == "0.20"
    assert f"{estimate([np.nan]):.2f}" == "–"


def test_square_of_an_expected_change_is_free_of_noise():
    # Products of (1, 2), (3, 0), (-1, 1) in pairs: 3, 1 and -3; their mean is 1/3, the square of the mean change 2.
    changes = np.array([[1.0, 2.0], [3.0, 0.0], [-1.0, 1.0]])
    assert unbiased_square(changes) == pytest.approx(1 / 3)
    assert unbiased_square(changes[:1]) == 5
    rng = np.random.default_rng(0)
    lives = np.array([0.3, -0.4]) + rng.normal(0, 1, (4, 20_000, 2))
    assert unbiased_square(lives).mean() == pytest.approx(0.25, abs=0.02)
    assert (lives.mean(0) ** 2).sum(-1).mean() == pytest.approx(0.25 + 2 / 4, abs=0.02)


def test_information_of_a_copy_is_its_entropy():
    x = np.tile(np.arange(4), 3)
    assert information(x, (x + 1) % 4, np.zeros(12, int)) == pytest.approx(2)


def test_information_of_what_is_independent_is_none():
    one, other = np.repeat([0, 1], 2), np.tile([0, 1], 2)
    assert information(one, other, np.zeros(4, int)) == pytest.approx(0)


def test_information_given_a_third_is_weighted_by_its_frequency():
    # Given 0, four of twelve: a copy of a coin, 1 bit. Given 1, eight of twelve: independent, 0 bit.
    one = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    other = np.array([0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    given = np.repeat([0, 1], [4, 8])
    assert information(one, other, given) == pytest.approx(1 / 3)


def test_what_follows_the_given_says_nothing_more():
    state, asker = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    assert information(asker, state, asker) == pytest.approx(0)
    assert information(asker, asker, state) == pytest.approx(2)


def test_floor_of_information_is_the_bias_of_few_trials():
    # Two trials, two values each: whatever the order, the one tells the other.
    x = np.array([0, 1])
    rng = np.random.default_rng(0)
    assert information_floor(x, x, np.zeros(2, int), 5, rng) == pytest.approx(1)
    assert information_floor(x, x, x, 5, rng) == pytest.approx(0)  # given the same, nothing is left to tell


def test_curve_is_read_half_way_between_two_times_on_a_logarithmic_axis():
    found = log_interpolated([100, 400], [10, 30], [100, 200, 500, 50])
    np.testing.assert_allclose(found[:2], [10, 20])
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(("wanted", "least"), [(0, 0.2), (0.5, 0.2), (0.95, 0.8), (1, 0.8)])
def test_threshold_counts_only_from_where_it_stays_so(wanted, least):
    assert threshold([0.1, 0.2, 0.4, 0.6, 0.8], [0, 0.5, 1, 0.5, 1], wanted) == least


def test_threshold_of_what_never_or_always_happens():
    assert threshold([0.1, 0.2], [0, 0], 0) == np.inf
    assert threshold([0.1, 0.2], [1, 1], 0.95) == 0.1


def test_the_first_look_at_a_level_or_none():
    when = np.array([10.0, 20.0, np.nan, 100.0])
    assert first_reaching([0.1, 0.5, np.nan, 0.9], when, 0.5) == 20
    assert first_reaching([0.1, 0.4, np.nan, 0.6], when, 0.5) == 100
    assert np.isnan(first_reaching([0.1, 0.4, np.nan, 0.4], when, 0.5))


def test_survival_is_that_of_kaplan_and_meier():
    # At 10 one of four is corrected, at 20 one of the two that are still watched (one left at 15): 3/4, then 3/8.
    time, alive = survival(np.array([10.0, 15.0, 20.0, 30.0]), np.array([True, False, True, False]))
    at = dict(zip(time.tolist(), alive.tolist(), strict=True))
    assert at[0] == 1
    assert at[10] == pytest.approx(3 / 4)
    assert at[20] == pytest.approx(3 / 8)
    assert alive[-1] == pytest.approx(3 / 8)


def test_survival_without_a_correction_stays_at_1():
    _, alive = survival(np.array([30.0, 30.0]), np.array([False, False]))
    assert (alive == 1).all()
