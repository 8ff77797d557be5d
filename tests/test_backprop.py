"""Backprop as a rule: the NumPy reference against autograd, and what truncation and attenuation do."""

from itertools import pairwise

import numpy as np
import pytest

from bioplastic.cells import phi
from bioplastic.rules.backprop import Backprop, largest, reference_update
from bioplastic.units import UnitError


def chain(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.8, (post, pre)) for pre, post in pairwise(sizes)]
    return weights, [rng.normal(0, 0.3, size) for size in sizes[1:]]


def test_by_hand():
    """One cell a population, all weights 1, biases such that every potential is 0."""
    rule = Backprop(eta=0.1)
    weights, biases = [np.array([[1.0]])] * 2, [np.array([-0.5])] * 2
    changed, moved = reference_update(weights, biases, np.array([0.5]), np.array([0.9]), rule)
    # h = 1/2 everywhere, delta = 0.4 at the output and 1/2 * 0.4 = 0.2 before it
    assert changed[1].item() == pytest.approx(0.1 * 0.4 * 0.5)
    assert changed[0].item() == pytest.approx(0.1 * 0.2 * 0.5)
    assert [b.item() for b in moved] == pytest.approx([0.1 * 0.2, 0.1 * 0.4])


def test_reference_is_the_gradient():
    torch = pytest.importorskip("torch")
    weights, biases = chain([5, 7, 4, 6, 3])
    rng = np.random.default_rng(1)
    stimulus, outcome = rng.random(5), rng.random(3)
    w = [torch.tensor(a, requires_grad=True) for a in weights]
    b = [torch.tensor(a, requires_grad=True) for a in biases]
    h = torch.tensor(stimulus)
    for a, c in zip(w, b, strict=True):
        v = a @ h + c
        h = phi(v)
    # The matching loss: its derivative by the output potential is phi(V) - y.
    matching = (h.detach() - torch.tensor(outcome)) @ v
    matching.backward()
    changed, moved = reference_update(weights, biases, stimulus, outcome, Backprop(eta=0.3))
    for mine, theirs in zip([*changed, *moved], [*w, *b], strict=True):
        np.testing.assert_allclose(mine, -0.3 * theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_truncation_and_attenuation_scale_each_hop():
    weights, biases = chain([5, 7, 4, 6, 3])
    event = np.full(5, 0.4), np.array([0.9, 0.1, 0.5])
    whole = reference_update(weights, biases, *event, Backprop(eta=0.1))
    for rule, factors in [
        (Backprop(eta=0.1, depth=1), [1, 1, 0, 0]),
        (Backprop(eta=0.1, depth=0), [1, 0, 0, 0]),
        (Backprop(eta=0.1, attenuation=0.5), [1, 0.5, 0.25, 0.125]),
        (Backprop(eta=0.1, depth=2, attenuation=0.5), [1, 0.5, 0.25, 0]),
        (Backprop(eta=0.0), [0, 0, 0, 0]),
    ]:
        for part, full in zip(reference_update(weights, biases, *event, rule), whole, strict=True):
            for hop, factor in enumerate(factors):  # the last matrix is hop 0
                np.testing.assert_allclose(part[-1 - hop], factor * full[-1 - hop], rtol=1e-15)


def test_sparse_by_hand():
    """Two cells in every population, all weights 1, all potentials 0; half of each gradient's entries stay.

    Errors 0.2 and -0.4 at the outputs add up to -0.1 at each hidden cell, whose inputs are 0.3 and 0.7.
    """
    weights, biases = [np.ones((2, 2))] * 2, [np.full(2, -1.0)] * 2
    event = np.array([0.3, 0.7]), np.array([0.7, 0.1])
    changed, moved = reference_update(weights, biases, *event, Backprop(eta=0.1, kept=0.5))
    np.testing.assert_allclose(changed[1], [[0, 0], [-0.02, -0.02]], atol=1e-15)
    np.testing.assert_allclose(changed[0], [[0, -0.007], [0, -0.007]], atol=1e-15)
    np.testing.assert_allclose(moved[1], [0, -0.04], atol=1e-15)
    np.testing.assert_allclose(moved[0], [-0.01, 0], atol=1e-15)  # of equals the first
    one, _ = reference_update(weights, biases, *event, Backprop(eta=0.1, kept=0.01))
    assert [np.count_nonzero(w) for w in one] == [1, 1]  # never none


def test_largest_of_all_signs():
    np.testing.assert_array_equal(largest(np.array([[3.0, -5.0], [0.5, -4.0]]), 2), [[0, -5], [0, -4]])


@pytest.mark.parametrize(("kept", "size", "n"), [(1.0, 7, 7), (0.5, 7, 4), (0.1, 64, 6), (0.01, 64, 1), (0.001, 9, 1)])
def test_number_of_entries_that_are_kept(kept, size, n):
    assert Backprop(kept=kept).n_kept(size) == n


def test_outcome_equal_to_the_prediction_changes_nothing():
    weights, biases = chain([3, 4, 2])
    stimulus = np.array([0.2, 0.8, 0.5])
    prediction = phi(weights[1] @ phi(weights[0] @ stimulus + biases[0]) + biases[1])
    for part in reference_update(weights, biases, stimulus, prediction, Backprop(eta=1.0)):
        assert all((change == 0).all() for change in part)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Backprop(eta=0.2), [0.2, 0.2, 0.2, 0.2]),
        (Backprop(eta=0.2, depth=0), [0.2, 0, 0, 0]),
        (Backprop(eta=0.2, depth=2), [0.2, 0.2, 0.2, 0]),
        (Backprop(eta=0.2, depth=9), [0.2, 0.2, 0.2, 0.2]),
        (Backprop(eta=0.2, attenuation=0.5), [0.2, 0.1, 0.05, 0.025]),
        (Backprop(), [0, 0, 0, 0]),
    ],
)
def test_rates_by_hop(rule, expected):
    np.testing.assert_allclose(rule.rates(4), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": -0.1}, "eta = -0.1 is outside what is allowed: 0 or more."),
        ({"eta": np.nan}, "eta is NaN; give a number."),
        ({"attenuation": 0}, "attenuation = 0 is outside what is allowed: more than 0 to 1."),
        ({"attenuation": 1.5}, "attenuation = 1.5 is outside what is allowed: more than 0 to 1."),
        ({"kept": 0.0}, "kept = 0 is outside what is allowed: more than 0 to 1."),
        ({"kept": 1.1}, "kept = 1.1 is outside what is allowed: more than 0 to 1."),
        ({"kept": np.nan}, "kept is NaN; give a number."),
        ({"depth": -1}, "depth = -1; it is the last hop that learns, 0 or more (None: all)."),
        ({"depth": 1.5}, "depth = 1.5; it is the last hop that learns, 0 or more (None: all)."),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        Backprop(**arguments)
    assert str(caught.value) == message
