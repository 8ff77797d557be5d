"""Problems with digits: who may learn from what, and how well they are solved."""

from dataclasses import replace

import numpy as np
from bioplastic_models.digit_problems import ALL, FAR, NEAREST, NINE, Problem, validation

from bioplastic.tasks import digits, random_patterns

TASK = digits()


def test_scores_by_hand():
    task = replace(random_patterns(4, 3, 3, seed=0), label=np.array([1, 2, 2, 0]), rare_label=2)
    predicted, images = np.eye(3)[[[1, 1, 2, 2], [1, 0, 0, 2]]], np.arange(4)
    for problem in (Problem(NINE, 4), Problem(ALL, 3)):  # as many rare ones as others: both scores are the same
        assert problem.scores(task, predicted, images).tolist() == [[0.5, 0.5, 0.5], [0.0, 0.5, 0.25]]
    some = np.array([0, 2, 3])
    assert Problem(NINE, 4).scores(task, predicted[:1, some], some).tolist() == [[1.0, 0.5, 0.75]]
    assert Problem(ALL, 3).scores(task, predicted[:1, some], some).tolist() == [[1.0, 0.5, 2 / 3]]


def test_nobody_learns_from_what_learning_rates_are_chosen_by():
    chosen, without = validation(TASK)
    assert not TASK.held_out[chosen].any() and without.held_out[chosen].all()
    assert len(chosen) == -(-(~TASK.held_out).sum() // 5)
    for problem in (Problem(ALL, 3), Problem(NINE, 5)):
        days = problem.days(without, 300, seed=996)
        assert not np.isin(days.stimulus, chosen).any() and not TASK.held_out[days.stimulus].any()


def test_the_9_is_measured_on_all_9s_and_some_others():
    held_out = np.flatnonzero(TASK.held_out)
    images = Problem(NINE, 5).images(TASK, held_out, 30)
    rare = TASK.label[images] == TASK.rare_label
    assert rare.sum() == (TASK.label[held_out] == TASK.rare_label).sum() and (~rare).sum() == 30
    np.testing.assert_array_equal(Problem(ALL, 3).images(TASK, held_out, 30), held_out)


def test_only_far_hops_learn_where_only_they_may():
    for name, nearest in ((NINE, 0), (FAR, NEAREST)):
        problem = Problem(name, 5)
        assert problem.relay(0.1).cell_values["nearest"] == nearest
        assert np.flatnonzero(problem.backprop(0.1).rates(5)).tolist() == list(range(nearest, 5))
    assert Problem(FAR, 5).slug == "the_9_far_hops_only"
