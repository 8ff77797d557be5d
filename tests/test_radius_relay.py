"""Radius k: hand numbers, and exactly nothing beyond hop k."""

import numpy as np
import pytest
from small_networks import (
    BOTH,
    after_one_error_spike,
    assert_state,
    changed_projections,
    live_through,
    one_error_spike,
)

from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")
OUTCOME = np.linspace(0.1, 0.9, 6)


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize(
    ("hops", "radius", "sign", "relays"), [(0, 1, 1, True), (1, 1, -1, False), (1, 2, -1, True), (2, 2, 1, False)]
)
def test_one_error_spike_by_hand(step, hops, radius, sign, relays):
    rule = RadiusRelay(theta=1.0, gain=0.5, eta=0.1, radius=radius)
    after = one_error_spike(step, rule, sign, hops=[hops + 1, hops])
    by_hand = after_one_error_spike(sign)
    assert_state(after, by_hand if relays else by_hand | {"A": [0, 0]})  # it learns even where it tells nobody


def test_exactly_nothing_changes_beyond_the_radius():
    by_hop = ["c_to_o", "b_to_c", "a_to_b", "s_to_a"]
    for radius in (1, 2):
        before, after = live_through(RadiusRelay(theta=0.1, eta=0.01, radius=radius), OUTCOME)
        assert changed_projections(before, after) == set(by_hop[: radius + 1])
        silent = [name for name, count in after.errors.items() if count == 0]
        assert silent == ["s", "a", "b"][: 4 - radius]


def test_a_radius_as_long_as_the_chain_is_no_radius():
    _, whole = live_through(ErrorRelay(theta=0.1, eta=0.01), OUTCOME)
    _, within = live_through(RadiusRelay(theta=0.1, eta=0.01, radius=3), OUTCOME)
    for name, w in whole.weights.forward.items():
        np.testing.assert_array_equal(within.weights.forward[name], w)
    assert within.errors == whole.errors


@pytest.mark.parametrize("radius", [0, -1, 1.5, 1.0, True, None, np.inf, "2"])
def test_bad_radius(radius):
    with pytest.raises(UnitError) as caught:
        RadiusRelay(radius=radius)
    assert str(caught.value) == (
        f"radius = {radius!r} is outside what is allowed: a whole number of hops, 1 or more; 1 is one step out. For "
        "weights into the error source alone, use an ErrorRelay with gain = 0."
    )


def test_a_numpy_integer_is_a_radius():
    assert RadiusRelay(radius=np.int64(2)).cell_values["radius"] == 2.0
