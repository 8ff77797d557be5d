"""Learning that begins some hops upstream: rules for the question what far weights can do when near ones stay.

Weights and biases of hops below `nearest` do not learn; errors pass through them all the same. Projections that are not
plastic would leave the biases there, which can raise one output as a whole.

parameter  value   unit  meaning                          source
---------  ------  ----  -------------------------------  -------------------------
nearest    given   hop   first hop that learns            of the experiment

Source: the rules are those of bioplastic/rules/error_relay.py and bioplastic/rules/backprop.py. Deviations: none but
where they learn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import LEARN, RELAY, ErrorRelay
from bioplastic.rules.form import Code

LEARNS = "int(hops{where} >= nearest{where})"


@dataclass(frozen=True)
class FarErrorRelay(ErrorRelay):
    """The error relay in which only the weights and biases of hops `nearest` and more learn.

    Attributes
    ----------
    nearest : int
        First hop that learns; with 0 it is the error relay.
    """

    code: ClassVar[Code] = replace(
        ErrorRelay.code,
        cell_equations="""
hops : 1 (constant)               # hops upstream of the nearest error source
nearest : 1 (shared, constant)    # first hop that learns
""",
        on_error=f"""
bias += eta*theta*{LEARNS.format(where="")}*{ERROR_SIGN.format(E="E")}
E -= theta*{ERROR_SIGN.format(E="E")}
""",
        on_post={"error": f"{LEARN}*{LEARNS.format(where='_post')}\n{RELAY}"},
    )

    nearest: int = 0

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return super().cell_values | {"nearest": float(self.nearest)}


def from_hop(relay: ErrorRelay, nearest: int) -> FarErrorRelay:
    """Return an error relay in which only hops `nearest` and more learn.

    Parameters
    ----------
    relay : ErrorRelay
    nearest : int
    """
    return FarErrorRelay(relay.theta, relay.tau_e, relay.gain, relay.eta, nearest)


@dataclass(frozen=True)
class FarBackprop(Backprop):
    """Backprop in which only the weights and biases of hops `nearest` and more learn.

    Attributes
    ----------
    nearest : int
        First hop that learns; with 0 it is backprop.
    """

    nearest: int = 0

    def rates(self, n_hops: int) -> np.ndarray:
        """Learning rate by hop, shape (n_hops,).

        Parameters
        ----------
        n_hops : int
        """
        return np.where(np.arange(n_hops) < self.nearest, 0.0, super().rates(n_hops))
