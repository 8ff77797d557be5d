"""Estimates over seeds: by hand."""

import numpy as np
import pytest
import xarray as xr

from bioplastic.estimates import estimates, measures, over_seeds
from bioplastic.statistics import Estimate, crossing, estimate, ratio


def test_estimate_by_hand():
    one = estimate(np.array([0.1, np.nan, 0.2, 0.6]))
    assert one.n == 3
    assert one.mean == pytest.approx(0.3)
    # With three seeds, 1/27 of the resamples hold one seed three times: more than the 2.5 % at either end.
    assert (one.low, one.high) == pytest.approx((0.1, 0.6))
    assert str(one) == "0.3 [0.1, 0.6]"


def test_estimate_of_little():
    assert estimate(np.array([np.nan, 2.0])) == Estimate(2.0, 2.0, 2.0, 1)
    assert str(estimate(np.array([2.0]))) == "2"
    assert estimate(np.array([np.nan])).n == 0
    assert str(estimate(np.array([np.nan]))) == "–"


def a_dataset() -> xr.Dataset:
    values = np.arange(12.0).reshape(2, 3, 2)
    return xr.Dataset(
        {
            "change": (("learner", "seed", "hop"), values),
            "length": (("seed", "learner"), [[np.inf, 1.0], [2.0, 1.0], [2.0, 1.0]]),
            "reached": ("seed", [True, False, True]),
            "rate": ("learner", [0.1, 0.3]),
            "rule": ("learner", ["x", "y"]),
        },
        {"learner": ["a", "b"], "seed": [0, 1, 2]},
    )


def test_measures_are_numbers_with_the_seeds_last():
    found = {str(one.name): one for one in measures(a_dataset())}
    assert {name: one.dims for name, one in found.items()} == {
        "change": ("learner", "hop", "seed"),
        "length": ("learner", "seed"),
        "reached": ("seed",),
        "rate": ("learner", "seed"),
    }
    assert found["rate"].sizes["seed"] == 1


def test_every_condition_is_estimated_by_its_labels():
    change, length, reached, rate = (list(estimates(one)) for one in measures(a_dataset()))
    assert [dict(one.labels) for one in change] == [{"learner": x, "hop": h} for x in "ab" for h in (0, 1)]
    # Seeds 0, 2, 4 of the learner a at hop 0; the hop has no labels, so that its number stands for it.
    assert change[0].value == estimate([0.0, 2.0, 4.0])
    assert change[3].value == estimate([7.0, 9.0, 11.0])
    assert reached[0].value.mean == pytest.approx(2 / 3)
    assert [one.value for one in rate] == [Estimate(0.1, 0.1, 0.1, 1), Estimate(0.3, 0.3, 0.3, 1)]
    # The decays per hop are 0, 1/2 and 1/2, so that the mean length is 3; the longest is infinite.
    assert length[0].value.mean == pytest.approx(3)
    assert (length[0].value.low, length[0].value.high) == (pytest.approx(2), np.inf)
    assert length[1].value == Estimate(1.0, 1.0, 1.0, 3)


def test_a_place_of_a_measure_is_one_estimate():
    (change, *_) = measures(a_dataset())
    assert over_seeds(change, (1, 0)) == estimate([6.0, 8.0, 10.0])


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ([0.1, 0.5, 0.9], 20),
        ([0.1, 0.2, 0.3], np.inf),
        ([0.8, 0.0, 0.0], 0),
        ([0.0, 0.7, 0.6], 10),
        ([np.nan] * 3, np.nan),
    ],
)
def test_where_a_curve_reaches_a_level(values, at):
    np.testing.assert_allclose(crossing(values, [0, 10, 30], 0.7), at)


def test_a_ratio_of_means_and_not_a_mean_of_ratios():
    found = ratio([1.0, 3.0], [1.0, 7.0])
    assert found.mean == 0.5 and found.n == 2
    assert (found.low, found.high) == (3 / 7, 1.0)
    assert ratio([3.0], [4.0]).low == 0.75
