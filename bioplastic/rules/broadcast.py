"""Broadcast: every hidden cell hears the error spikes of the error source directly, through fixed random weights.

    relay   A_h += z gain b theta/(rmax tau_a)   at an error spike of a cell of an error source, for every hidden cell h
    soma, mismatch, plasticity as in `bioplastic.rules.error_relay`; error spikes of hidden cells go nowhere

symbol   Brian2   unit  meaning                                        default from
-------  -------  ----  ---------------------------------------------  ---------------------------------------
b        b        1     weight from error source to hidden cell        normal, of the size of a relayed error
others as in the error relay

Reads: error spikes of cells that may be many hops away. Local in its synapses, but not neighbour-only, and not
screened: the control that must fail the audit.

Source: direct feedback alignment, Nøkland (2016), arXiv:1609.01596. Deviations: signed error spikes of a leaky
integrator instead of a rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN, JUMP
from bioplastic.circuit import Circuit, Feedback
from bioplastic.rules.error_relay import (
    LEARN,
    ErrorRelay,
    check_parameters,
    corrected_soma,
    forward_learning,
    relayed,
    shared_values,
)
from bioplastic.rules.form import Code, Reference


def random_broadcast(circuit: Circuit, seed: int, size: float = 1.0) -> Feedback:
    """Draw the weights from the cells of all error sources to every hidden cell.

    Parameters
    ----------
    circuit : Circuit
    seed : int
    size : float
        Length of the row of weights that a hidden cell receives: the standard deviation is ``size`` by the root of the
        number of output cells.

    Returns
    -------
    Feedback
        By hidden population.
    """
    # A stream of its own, as in `random_feedback`.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    n_outputs = sum(p.size for p in circuit.error_sources)
    return Feedback({p.name: rng.normal(0, size / np.sqrt(n_outputs), (n_outputs, p.size)) for p in circuit.hidden})


@dataclass(frozen=True)
class Broadcast:
    """Parameters of broadcast feedback.

    Attributes
    ----------
    theta, tau_e, eta
        As in `bioplastic.rules.error_relay.ErrorRelay`.
    gain : float
        Size of the error at every hidden cell.

    Raises
    ------
    UnitError
        A parameter is negative, NaN or in the wrong unit.
    """

    code: ClassVar[Code] = replace(
        ErrorRelay.code,
        on_post={"error": LEARN},
        on_broadcast=f"A_post += gain_pre*b*theta_pre*{ERROR_SIGN.format(E='E_pre')}*{JUMP.format(tau='tau_a')}",
    )
    reference: ClassVar[Reference] = Reference(corrected_soma, relayed, forward_learning)

    theta: float = 1.0
    tau_e: Quantity = field(default_factory=lambda: np.inf * second)
    gain: float = 1.0
    eta: float = 0.0

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return shared_values(self)
