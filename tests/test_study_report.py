"""What a study says of two learners."""

import numpy as np
import pytest

from bioplastic.statistics import estimate
from bioplastic.study.report import ahead, points


@pytest.mark.parametrize(
    ("one", "text"),
    [
        ([50, 60, 70], "ahead, +40.0 points [+30.0, +50.0]"),
        ([0, 0, 10], "behind, -16.7 points [-20.0, -10.0]"),
        ([10, 20, 33], "undecided, +1.0 points [-10.0, +13.0]"),
    ],
)
def test_words_for_differences(one, text):
    assert points(one, [20, 20, 20]) == text


def test_one_seed_decides_nothing():
    assert ahead(estimate(np.array([90.0]))) == "undecided"
