"""Latent Equilibrium as a rule: the NumPy reference by hand, against backprop, and its reach in time steps."""

from itertools import pairwise

import numpy as np
import pytest

from bioplastic.cells import phi
from bioplastic.rules import backprop
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.latent_equilibrium import LatentEquilibrium, reference_update
from bioplastic.units import UnitError


def chain(sizes: list[int], seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 0.8, (post, pre)) for pre, post in pairwise(sizes)]
    return weights, [rng.normal(0, 0.3, size) for size in sizes[1:]]


EVENT = np.full(5, 0.4), np.array([0.9, 0.1, 0.5])


@pytest.mark.parametrize(
    ("duration", "at_source", "upstream"),
    [
        # (mismatch, presynaptic rate) in each time step; phi(v) is (1 + v)/2 but for v^5/8
        (0.5, [(0.04, 0.5)], []),
        # e_1 = 0.04/2; e_0 = 0.1 * (0.9 - phi(0.04))
        (1.0, [(0.04, 0.5), (0.038, 0.5)], [(0.02, 0.5)]),
        # e_1 = 0.038/2; e_0 = 0.1 * (0.9 - phi(0.038)), and the rate upstream has become phi(0.02)
        (1.5, [(0.04, 0.5), (0.038, 0.5), (0.0381, 0.51)], [(0.02, 0.5), (0.019, 0.5)]),
    ],
)
def test_by_hand(duration, at_source, upstream):
    """One cell a population and all potentials 0."""
    weights, biases = [np.array([[1.0]])] * 2, [np.array([-0.5])] * 2
    rule = LatentEquilibrium(eta=0.2, dt=0.5, duration=duration, beta=0.1)
    changed, moved = reference_update(weights, biases, np.array([0.5]), np.array([0.9]), rule)
    for w, b, steps in ((changed[1], moved[1], at_source), (changed[0], moved[0], upstream)):
        assert w.item() == pytest.approx(0.2 * 0.5 * sum(m * r for m, r in steps), rel=1e-5)
        assert b.item() == pytest.approx(0.2 * 0.5 * sum(m for m, _ in steps), rel=1e-5)


def test_weak_nudging_for_long_is_backprop():
    weights, biases = chain([5, 7, 4, 6, 3])
    rule = LatentEquilibrium(eta=0.5, dt=0.1, duration=100.0, beta=1e-5)
    wanted = backprop.reference_update(weights, biases, *EVENT, Backprop(eta=0.5 * 100.0 * 1e-5))
    for mine, theirs in zip(reference_update(weights, biases, *EVENT, rule), wanted, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=5e-3, atol=2e-3 * np.abs(b).max())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_one_hop_per_time_step(steps):
    weights, biases = chain([5, 7, 4, 6, 4, 3])
    rule = LatentEquilibrium(eta=0.1, dt=0.25, duration=0.25 * steps)
    changed, moved = reference_update(weights, biases, *EVENT, rule)
    reached = [4 - k <= steps - 1 for k in range(5)]  # of the weights from the input to the error source
    assert [bool(w.any()) for w in changed] == reached
    assert [bool(b.any()) for b in moved] == reached


def test_halving_the_time_step_halves_the_time_to_get_far():
    weights, biases = chain([5, 7, 4, 6, 4, 3])
    for dt in (0.5, 0.25, 0.125):
        late, early = (
            reference_update(weights, biases, *EVENT, LatentEquilibrium(eta=0.1, dt=dt, duration=n * dt))[0][0]
            for n in (5, 4)
        )
        assert late.any() and not early.any()  # five hops take 5 dt: nothing of tau is left


def test_outcome_equal_to_the_prediction_changes_nothing():
    weights, biases = chain([3, 4, 2])
    stimulus = np.array([0.2, 0.8, 0.5])
    prediction = phi(weights[1] @ phi(weights[0] @ stimulus + biases[0]) + biases[1])
    for part in reference_update(weights, biases, stimulus, prediction, LatentEquilibrium(eta=1.0)):
        assert all((change == 0).all() for change in part)


def test_steps_and_rates():
    rule = LatentEquilibrium(eta=0.3, dt=0.1, duration=0.3)  # 0.3/0.1 is a little less than 3
    assert rule.steps == 3
    np.testing.assert_array_equal(rule.rates(2), [0.3, 0.3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": -0.1}, "eta = -0.1 is outside what is allowed: 0 or more."),
        ({"beta": 0}, "beta = 0 is outside what is allowed: more than 0."),
        ({"dt": 0}, "dt = 0 is outside what is allowed: more than 0."),
        ({"duration": np.inf}, "duration = inf is infinite; give a finite number."),
        (
            {"dt": 0.4, "duration": 1.0},
            "duration = 1 is no multiple of dt = 0.4; give whole time steps, for instance duration=0.8.",
        ),
        (
            {"dt": 0.5, "duration": 0.1},
            "duration = 0.1 is no multiple of dt = 0.5; give whole time steps, for instance duration=0.5.",
        ),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        LatentEquilibrium(**arguments)
    assert str(caught.value) == message
