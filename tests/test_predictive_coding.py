"""Predictive coding as a rule: the NumPy reference by hand, against backprop, and what the number of steps does."""

from itertools import pairwise

import numpy as np
import pytest

from bioplastic.cells import phi
from bioplastic.rules import backprop
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.predictive_coding import PredictiveCoding, reference_update
from bioplastic.units import UnitError


def chain(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.8, (post, pre)) for pre, post in pairwise(sizes)]
    return weights, [rng.normal(0, 0.3, size) for size in sizes[1:]]


SINGLE = [np.array([[1.0]])] * 3, [np.array([-0.5])] * 3, np.array([0.5]), np.array([0.9])
"""One cell a population and all potentials 0, where phi(v) is (1 + v)/2 but for v^5/8."""


@pytest.mark.parametrize(
    ("steps", "eps", "rates"),
    [
        # x1 = 0.5 * (0.4/2); then eps_0 = 0.9 - phi(x1/2)
        (1, [0.0, 0.1, 0.375], [0.5, 0.5, 0.55]),
        # x2 = 0.5 * (0.1/2), x1 = 0.1 + 0.5 * (0.375/2 - 0.1) = 0.14375, which phi(x2) - 0.5 = 0.0125 predicts in part
        (2, [0.025, 0.13125, 0.3640625], [0.5, 0.5125, 0.571875]),
    ],
)
def test_by_hand(steps, eps, rates):
    changed, moved = reference_update(*SINGLE, PredictiveCoding(eta=0.1, steps=steps, step_size=0.5))
    assert [w.item() for w in changed] == pytest.approx(
        [0.1 * e * r for e, r in zip(eps, rates, strict=True)], rel=1e-3
    )
    assert [b.item() for b in moved] == pytest.approx([0.1 * e for e in eps], rel=1e-3)


def test_fixed_prediction_by_hand():
    rule = PredictiveCoding(eta=0.1, steps=2, step_size=0.5, fixed_prediction=True)
    changed, moved = reference_update(*SINGLE, rule)
    # eps_0 stays 0.4; eps_1 = 0.1, then 0.1 + 0.5 * (0.2 - 0.1); eps_2 = 0.5 * (0.1/2); rates stay 0.5
    assert [b.item() for b in moved] == pytest.approx([0.1 * e for e in (0.025, 0.15, 0.4)])
    assert [w.item() for w in changed] == pytest.approx([0.1 * e * 0.5 for e in (0.025, 0.15, 0.4)])


def test_fixed_prediction_with_step_size_1_is_backprop_as_soon_as_the_error_is_there():
    weights, biases = chain([5, 7, 4, 6, 3])
    event = np.full(5, 0.4), np.array([0.9, 0.1, 0.5])
    whole = backprop.reference_update(weights, biases, *event, Backprop(eta=0.1))
    for steps in (1, 2, 3, 4, 9):
        rule = PredictiveCoding(eta=0.1, steps=steps, step_size=1.0, fixed_prediction=True)
        for part, full in zip(reference_update(weights, biases, *event, rule), whole, strict=True):
            for hop in range(4):  # the last matrix is hop 0
                if hop <= steps:
                    np.testing.assert_allclose(part[-1 - hop], full[-1 - hop], rtol=1e-12, atol=1e-15)
                else:
                    assert not part[-1 - hop].any()


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_no_weight_more_than_one_hop_per_step_away_changes(steps, fixed):
    weights, biases = chain([5, 7, 4, 6, 4, 3])
    rule = PredictiveCoding(eta=0.1, steps=steps, step_size=0.3, fixed_prediction=fixed)
    changed, moved = reference_update(weights, biases, np.full(5, 0.4), np.array([0.9, 0.1, 0.5]), rule)
    reached = [4 - k <= steps for k in range(5)]  # of the weights from the input to the error source
    assert [bool(w.any()) for w in changed] == reached
    assert [bool(b.any()) for b in moved] == reached


def test_it_stops_where_errors_balance():
    weights, biases = chain([4, 5, 3])
    rule = PredictiveCoding(eta=1.0, steps=4000, step_size=0.2)
    _, (eps, at_source) = reference_update(weights, biases, np.full(4, 0.4), np.array([0.9, 0.1, 0.5]), rule)
    x = weights[0] @ np.full(4, 0.4) + biases[0] + eps
    slope = (phi(x + 1e-6) - phi(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(eps, slope * (weights[1].T @ at_source), rtol=1e-6)
    np.testing.assert_allclose(at_source, [0.9, 0.1, 0.5] - phi(weights[1] @ phi(x) + biases[1]), rtol=1e-9)


def test_a_neighbour_s_error_is_all_that_is_read_of_what_lies_downstream():
    """With two steps, the second hop upstream knows no weight of the error source but through the first hop's error."""
    weights, biases = chain([4, 5, 4, 3])
    event = np.full(4, 0.4), np.array([0.9, 0.1, 0.5])
    rule = PredictiveCoding(eta=1.0, steps=1, step_size=0.2)
    before, _ = reference_update(weights, biases, *event, rule)
    # Turn outputs and outcome round together: the hidden populations get the very same error.
    order = [2, 0, 1]
    turned = [*weights[:2], weights[2][order]], [*biases[:2], biases[2][order]]
    after, _ = reference_update(*turned, event[0], event[1][order], rule)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-12)
    assert not before[0].any()


def test_outcome_equal_to_the_prediction_changes_nothing():
    weights, biases = chain([3, 4, 2])
    stimulus = np.array([0.2, 0.8, 0.5])
    prediction = phi(weights[1] @ phi(weights[0] @ stimulus + biases[0]) + biases[1])
    for part in reference_update(weights, biases, stimulus, prediction, PredictiveCoding(eta=1.0, steps=20)):
        assert all((change == 0).all() for change in part)


def test_every_hop_learns_at_the_same_rate():
    np.testing.assert_array_equal(PredictiveCoding(eta=0.2).rates(3), [0.2, 0.2, 0.2])


def test_the_reference_takes_steps():
    with pytest.raises(ValueError, match="steps = None; the reference takes small steps to the equilibrium"):
        reference_update(*SINGLE, PredictiveCoding(eta=0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": -0.1}, "eta = -0.1 is outside what is allowed: 0 or more."),
        ({"step_size": 0}, "step_size = 0 is outside what is allowed: more than 0."),
        ({"step_size": np.nan}, "step_size is NaN; give a number."),
        ({"steps": 0}, "steps = 0; give the number of inference steps, 1 or more (None: equilibrium)."),
        ({"steps": 2.5}, "steps = 2.5; give the number of inference steps, 1 or more (None: equilibrium)."),
        ({"steps": True}, "steps = True; give the number of inference steps, 1 or more (None: equilibrium)."),
        (
            {"step_size": 2.0, "fixed_prediction": True},
            "step_size = 2 is unstable: with fixed_prediction inference needs less than 2; 1 hands errors on in one "
            "step.",
        ),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        PredictiveCoding(**arguments)
    assert str(caught.value) == message
