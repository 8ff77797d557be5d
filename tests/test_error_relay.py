"""The error relay: hand numbers, and what no outcome, no surprise, no gain and no learning rate mean."""

import numpy as np
import pytest
from brian2 import ms, second
from small_networks import (
    BOTH,
    SYNAPSE,
    after_one_error_spike,
    assert_state,
    changed_projections,
    live_through,
    one_error_spike,
    outside,
    size_of_change,
    state,
)

from bioplastic.cells import phi
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_one_error_spike_by_hand(step, sign):
    after = one_error_spike(step, ErrorRelay(theta=1.0, gain=0.5, eta=0.1), sign)
    assert_state(after, after_one_error_spike(sign))


@pytest.mark.parametrize("step", BOTH)
def test_a_fixed_synapse_relays_but_does_not_learn(step):
    after = one_error_spike(step, ErrorRelay(theta=1.0, gain=0.5, eta=0.1), 1, plastic=np.zeros((2, 2)))
    assert_state(after, after_one_error_spike(1) | {"w": 0.3 * SYNAPSE})


@pytest.mark.parametrize("step", BOTH)
def test_just_below_threshold_nothing_happens(step):
    rule = ErrorRelay(theta=1.0, gain=0.5, eta=0.1, tau_e=10 * ms)
    before = state(x=[0.5, 0], E=[0, 1.04], w=0.3 * SYNAPSE, fb=0.4 * SYNAPSE)
    after = step(rule, before, outside(target=[0, 1], clamp=[1, 1], predicts=[0, 1]))
    # E = 1.04 exp(-1/10) + 0.05 = 0.941030894 + 0.05: the leak has taken it back below theta
    np.testing.assert_allclose(after.E, [0, 0.991030894], atol=1e-8)
    for name in ("w", "fb", "bias", "abias", "A"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)


@pytest.mark.parametrize("step", BOTH)
def test_the_mismatch_of_a_hidden_cell_is_what_its_apical_dendrite_adds(step):
    # phi(1) - phi(0) = 0.5/2^(1/4) = 0.420448208; it fires at phi(1), and 0.1 spikes is what a full rate adds in 1 ms
    after = step(ErrorRelay(), state(A=[np.exp(0.1), 0]), outside())
    np.testing.assert_allclose(after.E, [0.0420448208, 0], atol=1e-9)
    np.testing.assert_allclose(after.P, [0.0920448208, 0.05], atol=1e-9)


def test_the_predicted_outcome_changes_little():
    rule = ErrorRelay(theta=1.0, eta=0.01)
    before, after = live_through(rule, outcome=...)
    surprising = np.where(before.prediction > 0.5, before.prediction - 0.4, before.prediction + 0.4)
    assert size_of_change(before, after) < 0.1 * size_of_change(*live_through(rule, surprising))


def test_no_gain_changes_only_the_weights_into_the_error_source():
    rule = ErrorRelay(theta=0.1, eta=0.01, gain=0.0)
    assert changed_projections(*live_through(rule, outcome=np.linspace(0.1, 0.9, 6))) == {"c_to_o"}


def test_one_step_of_error_spikes_goes_downhill():
    """The outcome pulls the prediction towards itself."""
    outcome = np.linspace(0.2, 0.8, 6)
    before, after = live_through(ErrorRelay(theta=0.3, eta=0.002), outcome)
    rate = {}
    for name, weights in (("before", before.weights), ("after", after.weights)):
        h = np.full(6, 0.5)
        for projection in ("s_to_a", "a_to_b", "b_to_c", "c_to_o"):
            h = phi(weights.forward[projection] @ h + weights.bias[projection[-1]])
        rate[name] = h
    np.testing.assert_allclose(rate["before"], before.prediction, atol=0.15)
    assert np.sum((rate["after"] - outcome) ** 2) < 0.9 * np.sum((rate["before"] - outcome) ** 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": 0}, "theta = 0 is outside what is allowed: more than 0."),
        ({"theta": np.nan}, "theta is NaN; give a number."),
        ({"theta": 1 * ms}, "theta = 1. ms is in s; it needs no unit."),
        ({"tau_e": 30}, "tau_e = 30 has no unit; it needs a time such as 10*ms."),
        ({"tau_e": 0 * second}, "tau_e = 0 ms is outside what is allowed: more than 0 ms."),
        ({"gain": -0.1}, "gain = -0.1 is outside what is allowed: 0 or more."),
        ({"eta": -1e-3}, "eta = -0.001 is outside what is allowed: 0 or more."),
        ({"eta": np.inf}, "eta = inf is infinite; give a finite number."),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        ErrorRelay(**arguments)
    assert str(caught.value) == message


def test_leak_is_one_over_its_time_constant():
    assert float(ErrorRelay(tau_e=4 * second).cell_values["leak"]) == 0.25
    assert float(ErrorRelay().cell_values["leak"]) == 0.0
