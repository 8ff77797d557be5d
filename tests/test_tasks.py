"""Tasks: the digits as they are shipped, a split without leakage, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, digits, random_patterns, validation


@pytest.fixture(scope="module")
def task():
    return digits()


def test_digits_are_all_there(task):
    assert task.stimuli.shape == (1797, 64)
    assert np.bincount(task.label).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (task.stimuli.min(), task.stimuli.max()) == pytest.approx(STIMULUS_RANGE)
    # The first image of the data set is a zero; its first row of pixels is 0 0 5 13 9 1 0 0 of 16.
    assert task.label[0] == 0
    np.testing.assert_allclose(task.stimuli[0, :8], 0.2 + 0.6 * np.array([0, 0, 5, 13, 9, 1, 0, 0]) / 16)


def test_outcomes_are_one_hot(task):
    absent, present = OUTCOME_RANGE
    assert task.outcomes.shape == (10, 10)
    assert (np.diag(task.outcomes) == present).all()
    assert (task.outcomes[~np.eye(10, dtype=bool)] == absent).all()


def test_split_is_fixed_stratified_and_without_leakage(task):
    np.testing.assert_array_equal(task.held_out, digits().held_out)
    per_digit = np.bincount(task.label[task.held_out], minlength=10)
    assert per_digit.tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]  # a fifth of each
    parts = [task.indices(rare=rare, held_out=held_out) for rare in (False, True) for held_out in (False, True)]
    assert sorted(np.concatenate(parts)) == list(range(1797))  # every image in exactly one part
    for index, (rare, held_out) in zip(parts, [(r, h) for r in (False, True) for h in (False, True)], strict=True):
        assert (task.held_out[index] == held_out).all()
        assert ((task.label[index] == 9) == rare).all()
    learnt = {image.tobytes() for image in task.stimuli[~task.held_out]}
    assert not any(image.tobytes() in learnt for image in task.stimuli[task.held_out])  # no image twice


def test_the_rare_digit_may_be_another(task):
    other = digits(rare_label=3, held_out_fraction=0.5)
    assert (task.label[other.indices(rare=True, held_out=False)] == 3).all()
    assert other.held_out.sum() == pytest.approx(1797 / 2, abs=5)


def test_random_patterns():
    task = random_patterns(5, 7, 3, seed=4)
    assert set(np.unique(task.stimuli)) == set(STIMULUS_RANGE)
    assert set(np.unique(task.outcomes)) == set(OUTCOME_RANGE)
    assert task.indices(rare=True, held_out=False).tolist() == [4]
    assert task.indices(rare=False, held_out=False).tolist() == [0, 1, 2, 3]
    assert task.indices(rare=False, held_out=True).tolist() == []
    np.testing.assert_array_equal(task.stimuli, random_patterns(5, 7, 3, seed=4).stimuli)
    assert (task.stimuli != random_patterns(5, 7, 3, seed=5).stimuli).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rare_label": 12}, "task: rare_label = 12 labels no stimulus; present: [0, 1, 2]."),
        (
            {"label": np.arange(2)},
            "task: 3 stimuli, but label has shape (2,) and held_out (3,); give one of each per stimulus.",
        ),
        ({"held_out": np.zeros(4, bool)}, "label has shape (3,) and held_out (4,)"),
        ({"stimuli": np.full((3, 2), 1.5)}, "task: stimuli must be fractions of the maximal rate, 0 to 1."),
        ({"outcomes": np.full((3, 2), -0.1)}, "task: outcomes must be fractions of the maximal rate, 0 to 1."),
        ({"outcomes": np.full((3, 2), np.nan)}, "task: outcomes must be fractions of the maximal rate, 0 to 1."),
        (
            {"reward": np.ones(3)},
            "task: reward has shape (3,); give one number for each output of each outcome, (3, 2).",
        ),
        ({"reward": np.full((3, 2), -2.0)}, "task: reward must be from -1 (disapproved) to 1 (what really happens)."),
        ({"reward": np.full((3, 2), np.nan)}, "task: reward must be from -1 (disapproved) to 1 (what really happens)."),
    ],
)
def test_bad_task(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(random_patterns(3, 2, 2, seed=0), **changes)


def test_bad_rare_digit():
    with pytest.raises(ValueError, match="rare_label = 10 labels no stimulus"):
        digits(rare_label=10)


def test_validation_images_are_a_share_of_every_digits_and_none_is_held_out(task):
    chosen = validation(task, 0.25)
    np.testing.assert_array_equal(chosen, validation(digits(), 0.25))
    assert not task.held_out[chosen].any()
    assert (np.diff(chosen) > 0).all()
    left = np.bincount(task.label[~task.held_out], minlength=10)
    np.testing.assert_array_equal(np.bincount(task.label[chosen], minlength=10), np.round(0.25 * left))
