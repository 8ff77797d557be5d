"""Physical quantities at the interface: checks that name the argument, the value and the unit it needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import (
    Quantity,
    Unit,
    get_dimensions,
    have_same_dimensions,
)


class UnitError(ValueError):
    """A value with the wrong unit, or outside the range in which it means something."""


def quantity(
    name: str,
    value: Any,
    unit: Unit,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    infinite: bool = False,
) -> float:
    """Check one scalar quantity and return it as a plain number of `unit`.

    Parameters
    ----------
    name : str
        Name of the argument, as the caller wrote it; it begins every error message.
    value : Quantity or float
        What the caller gave. A plain number is accepted only where `unit` is dimensionless (1).
    unit : Unit
        The unit the result is expressed in, for instance ``ms``.
    low, high : float, optional
        Allowed range, in `unit`.
    open_low : bool, optional
        Whether `low` itself is excluded.
    infinite : bool, optional
        Whether infinity is allowed ("never", for a time constant).

    Returns
    -------
    float
        `value` divided by `unit`.

    Raises
    ------
    UnitError
        The unit is another one, or the value is not a number, or it lies outside the range.
    """
    dimensionless = have_same_dimensions(unit, 1)
    try:
        right_unit = have_same_dimensions(value, unit)
    except TypeError:  # what Brian2 makes of text, or of None
        raise UnitError(f"{name} = {value!r} is not a number.") from None
    if not right_unit:
        given = get_dimensions(value)
        given_text = "has no unit" if given.is_dimensionless else f"is in {given}"
        wanted = "no unit" if dimensionless else f"a time such as 10*{unit}" if str(unit) == "ms" else str(unit)
        raise UnitError(f"{name} = {value!s} {given_text}; it needs {wanted}.")
    try:
        number = float(np.asarray(value)) / float(np.asarray(unit)) if isinstance(value, Quantity) else float(value)
    except TypeError:
        raise UnitError(f"{name} = {value!r} is not one number.") from None
    label = "" if dimensionless else f" {unit}"
    if math.isnan(number):
        raise UnitError(f"{name} is NaN; give a number{f' in {unit}' if not dimensionless else ''}.")
    if math.isinf(number) and not infinite:
        raise UnitError(f"{name} = {number}{label} is infinite; give a finite number.")
    if number < low or number > high or (open_low and number == low):
        if high == math.inf:
            allowed = f"more than {low:g}{label}" if open_low else f"{low:g}{label} or more"
        else:
            allowed = f"{'more than ' if open_low else ''}{low:g}{label} to {high:g}{label}"
        raise UnitError(f"{name} = {number:g}{label} is outside what is allowed: {allowed}.")
    return number
