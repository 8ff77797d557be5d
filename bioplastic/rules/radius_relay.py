"""Radius k: the error relay that relays at most k hops.

    relay   A_pre += z gain fb theta/(rmax tau_a)   at an error spike of a postsynaptic cell with h < k
    all else as in `bioplastic.rules.error_relay`

symbol   Brian2   unit  meaning                                                default from
-------  -------  ----  -----------------------------------------------------  --------------------------
k        radius   hop   last hop that hears of an error                        chosen; 1: one step out
h        hops     hop   hops upstream of the nearest error source              the circuit
others as in the error relay

Reads: what the error relay reads. Cells k hops upstream of an error source hear of its error and learn, and tell
nobody: beyond hop k nothing changes, exactly. With k = 1 an update reaches one step out. The radius is built into which
cells relay; an error spike carries no count of the hops it has travelled.

Source: chosen for this bench, so that "one step out, or a small number of steps" is a setting. In the rate twin
truncated backprop is its counterpart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.rules.error_relay import (
    LEARN,
    RELAY,
    ErrorRelay,
    check_parameters,
    corrected_soma,
    forward_learning,
    relayed,
    shared_values,
)
from bioplastic.rules.form import Code, Outside, Reference, State
from bioplastic.units import UnitError


def relayed_within(
    rule: RadiusRelay, state: State, spike: np.ndarray, error: np.ndarray, outside: Outside
) -> np.ndarray:
    """What error spikes send upstream: only those of cells less than `radius` hops upstream."""
    return relayed(rule, state, spike, error * (outside.hops < rule.radius), outside)


@dataclass(frozen=True)
class RadiusRelay:
    """Parameters of the error relay with a radius.

    Attributes
    ----------
    theta, tau_e, gain, eta
        As in `bioplastic.rules.error_relay.ErrorRelay`.
    radius : int
        Last hop that hears of an error.

    Raises
    ------
    UnitError
        A parameter is outside its range or in the wrong unit; the radius is no integer, or below 1.
    """

    code: ClassVar[Code] = replace(
        ErrorRelay.code,
        cell_equations="""
hops : 1 (constant)             # hops upstream of the nearest error source
radius : 1 (shared, constant)   # last hop that hears of an error
""",
        on_post={"error": f"{LEARN}\n{RELAY}*int(hops_post < radius_post)"},
    )
    reference: ClassVar[Reference] = Reference(corrected_soma, relayed_within, forward_learning)

    theta: float = 1.0
    tau_e: Quantity = field(default_factory=lambda: np.inf * second)
    gain: float = 1.0
    eta: float = 0.0
    radius: int = 1

    def __post_init__(self) -> None:
        check_parameters(self)
        if isinstance(self.radius, bool) or not isinstance(self.radius, int | np.integer) or self.radius < 1:
            raise UnitError(
                f"radius = {self.radius!r} is outside what is allowed: a whole number of hops, 1 or more; 1 is one "
                "step out. For weights into the error source alone, use an ErrorRelay with gain = 0."
            )

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return {**shared_values(self), "radius": float(self.radius)}
