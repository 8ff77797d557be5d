"""Learned feedback: the error relay whose feedback weights learn by the same local product as the forward weights.

    plasticity  w  += z eta theta x_pre - decay w    at an error spike of the postsynaptic cell
                fb += z eta theta x_pre - decay fb
    all else as in `bioplastic.rules.error_relay`

symbol   Brian2   unit  meaning                                       default from
-------  -------  ----  --------------------------------------------  ----------------------------
decay    decay    1     fraction of a weight lost per error spike     chosen; 0 keeps the difference
others as in the error relay

Reads: what the error relay reads. The feedback synapse runs from the postsynaptic cell's error spikes to the apical
dendrite of the presynaptic cell: it is reached by the same error spike z, and the trace x_pre is that of the cell it
ends on. Both synapses change by the same amount and lose the same fraction, so their difference shrinks by the factor
1 - decay with every error spike, whatever they started from: no feedback weight has to be handed over.

Source: Kolen and Pollack (1994), doi:10.1109/ICNN.1994.374486; Akrout, Wilson, Humphreys, Lillicrap and Tweed (2019),
arXiv:1904.05391. Deviations: the decay happens at error spikes, not with time; biases do not decay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.rules.error_relay import (
    RELAY,
    SIGN,
    ErrorRelay,
    check_parameters,
    corrected_soma,
    forward_learning,
    relayed,
    shared_values,
)
from bioplastic.rules.form import Code, Learned, Outside, Reference, State
from bioplastic.units import quantity


def both_learn(rule: LearnedFeedback, state: State, error: np.ndarray, outside: Outside) -> Learned:
    """What error spikes change: forward and feedback weights by the same product, and both lose the same fraction."""
    learned = forward_learning(rule, state, error, outside)
    lost = outside.plastic * rule.decay * np.abs(error)[:, None]
    return replace(learned, w=learned.w - lost * state.w, fb=learned.w - lost * state.fb)


@dataclass(frozen=True)
class LearnedFeedback:
    """Parameters of the error relay with learned feedback.

    Attributes
    ----------
    theta, tau_e, gain, eta
        As in `bioplastic.rules.error_relay.ErrorRelay`.
    decay : float
        Fraction of a forward and a feedback weight lost at an error spike of the postsynaptic cell, 0 to 1. Weights are
        frozen only if it and `eta` are 0.

    Raises
    ------
    UnitError
        A parameter is outside its range or in the wrong unit.
    """

    code: ClassVar[Code] = replace(
        ErrorRelay.code,
        cell_equations="decay : 1 (shared, constant)   # fraction of a weight lost per error spike",
        on_post={
            "error": f"""
change = plastic*eta_post*theta_post*{SIGN}*x_pre
{RELAY}
w += change - plastic*decay_post*w
fb += change - plastic*decay_post*fb
"""
        },
    )
    reference: ClassVar[Reference] = Reference(corrected_soma, relayed, both_learn)

    theta: float = 1.0
    tau_e: Quantity = field(default_factory=lambda: np.inf * second)
    gain: float = 1.0
    eta: float = 0.0
    decay: float = 1e-4

    def __post_init__(self) -> None:
        check_parameters(self)
        quantity("decay", self.decay, 1, low=0, high=1)

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return {**shared_values(self), "decay": self.decay}
