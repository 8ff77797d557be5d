"""Quantities at the interface: every refusal names the argument, what was given and what is allowed."""

import math

import numpy as np
import pytest
from brian2 import Hz, ms, mV, second

from bioplastic.units import UnitError, quantity


@pytest.mark.parametrize(
    ("value", "unit", "options", "expected"),
    [
        (20 * ms, ms, {}, 20.0),
        (0.02 * second, ms, {}, 20.0),
        (100 * Hz, Hz, {"low": 0, "open_low": True}, 100.0),
        (0, 1, {"low": 0}, 0.0),
        (np.float64(0.5), 1, {"low": 0, "high": 1}, 0.5),
        (math.inf * second, ms, {"low": 0, "infinite": True}, math.inf),
    ],
)
def test_returns_the_number_of_units(value, unit, options, expected):
    number = quantity("x", value, unit, **options)
    assert type(number) is float
    assert number == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("value", "unit", "options", "message"),
    [
        (20, ms, {}, "x = 20 has no unit; it needs a time such as 10*ms."),
        (20 * mV, ms, {}, "x = 20. mV is in m^2 kg s^-3 A^-1; it needs a time such as 10*ms."),
        (3, Hz, {}, "x = 3 has no unit; it needs Hz."),
        (1 * ms, 1, {}, "x = 1. ms is in s; it needs no unit."),
        (math.nan * ms, ms, {}, "x is NaN; give a number in ms."),
        (math.nan, 1, {}, "x is NaN; give a number."),
        (-1 * ms, ms, {"low": 0}, "x = -1 ms is outside what is allowed: 0 ms or more."),
        (0 * ms, ms, {"low": 0, "open_low": True}, "x = 0 ms is outside what is allowed: more than 0 ms."),
        (math.inf * ms, ms, {"low": 0}, "x = inf ms is infinite; give a finite number."),
        (-math.inf, 1, {}, "x = -inf is infinite; give a finite number."),
        (-math.inf * ms, ms, {"low": 0, "infinite": True}, "x = -inf ms is outside what is allowed: 0 ms or more."),
        (2, 1, {"low": 0, "high": 1}, "x = 2 is outside what is allowed: 0 to 1."),
        (0, 1, {"low": 0, "high": 1, "open_low": True}, "x = 0 is outside what is allowed: more than 0 to 1."),
        (2 * ms, ms, {"low": 0, "high": 1}, "x = 2 ms is outside what is allowed: 0 ms to 1 ms."),
        ([1, 2], 1, {}, "x = [1, 2] is not one number."),
        ("20 ms", ms, {}, "x = '20 ms' is not a number."),
        (None, 1, {}, "x = None is not a number."),
    ],
)
def test_says_what_is_wrong(value, unit, options, message):
    with pytest.raises(UnitError) as caught:
        quantity("x", value, unit, **options)
    assert str(caught.value) == message
