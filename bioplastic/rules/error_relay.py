"""Error relay: a cell tells its upstream neighbours, in signed error spikes, how far its soma is from its prediction.

    soma        s    = phi(V + A)                       basal prediction, corrected by the apical dendrite
    mismatch    err  = phi(V + A) - phi(V)              what the soma does minus what the basal dendrite predicted
    integrator  dE/dt = -leak E + rmax err              error spike of sign z = +-1 at |E| > theta, then E -= z theta
    plasticity  w += z eta theta x_pre                  at an error spike of the postsynaptic cell
                bias += z eta theta
    relay       A_pre += z gain fb theta/(rmax tau_a)   at an error spike of the postsynaptic cell

symbol   Brian2   unit  meaning                                      default from
-------  -------  ----  -------------------------------------------  ---------------------------------------------
V        V        1     basal potential                              -
A        A        1     apical potential                             -
E        E        1     accumulated mismatch, in spikes              -
theta    theta    1     error threshold, in spikes                   models/chain.py (chosen)
leak     leak     Hz    1/tau_e, rate at which E leaks away          models/chain.py (chosen)
gain     gain     1     attenuation of the error per hop             models/chain.py (chosen)
eta      eta      1     learning rate                                swept by every experiment
fb       fb       1     feedback weight, post to pre                 the forward weight at the start
x_pre    x_pre    1     trace of the presynaptic cell's spikes       -

Reads: of the upstream neighbour its spikes and their trace; of the downstream neighbour its error spikes. Nothing
else: neighbour-only, and screened by time, gain, leak and threshold. With gain 1, no leak and an outcome that stays
long it is local but not screened.

Source: predictive coding as in Whittington and Bogacz (2017), doi:10.1162/NECO_a_00949, and signed feedback as in
Payeur et al. (2021), doi:10.1038/s41593-021-00857-x. Deviations: errors are events of a leaky integrator with a
threshold; feedback weights are given at the start and stay; `docs/model.md` lists the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from brian2 import Hz, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN, JUMP, PHI, phi
from bioplastic.rules.form import Code, Learned, Outside, Reference, State
from bioplastic.units import quantity

SIGN = ERROR_SIGN.format(E="E_post")
LEARN = f"w += plastic*eta_post*theta_post*{SIGN}*x_pre"
RELAY = f"A_pre += gain_post*fb*theta_post*{SIGN}*{JUMP.format(tau='tau_a')}"


class _Relaying(Protocol):
    @property
    def theta(self) -> float: ...
    @property
    def tau_e(self) -> Quantity: ...
    @property
    def gain(self) -> float: ...
    @property
    def eta(self) -> float: ...


def check_parameters(rule: _Relaying) -> None:
    """Raise `UnitError` unless the parameters that the error relay and its relatives share are in their ranges."""
    quantity("theta", rule.theta, 1, low=0, open_low=True)
    quantity("tau_e", rule.tau_e, ms, low=0, open_low=True, infinite=True)
    quantity("gain", rule.gain, 1, low=0)
    quantity("eta", rule.eta, 1, low=0)


def shared_values(rule: _Relaying) -> dict[str, float | Quantity]:
    """Return those parameters by the names that the cells' equations give them."""
    leak = 0 * Hz if np.isinf(float(rule.tau_e)) else 1 / rule.tau_e
    return {"theta": rule.theta, "leak": leak, "eta": rule.eta, "gain": rule.gain}


def corrected_soma(rule: _Relaying, state: State, outside: Outside) -> tuple[np.ndarray, np.ndarray]:
    """What the soma does, ``phi(V + A)`` where nothing clamps it, and how much more that is than ``phi(V)``."""
    free = phi(state.V + state.A)
    rate = free + outside.clamp * (outside.target - free)
    return rate, rate - phi(state.V)


def relayed(rule: _Relaying, state: State, spike: np.ndarray, error: np.ndarray, outside: Outside) -> np.ndarray:
    """What error spikes send upstream: ``z gain fb theta``, summed over the downstream neighbours."""
    return rule.gain * rule.theta * (state.fb.T @ error)


def forward_learning(rule: _Relaying, state: State, error: np.ndarray, outside: Outside) -> Learned:
    """What error spikes change: ``w += z eta theta x_pre``, ``bias += z eta theta``, and nothing else."""
    w = outside.plastic * rule.eta * rule.theta * np.outer(error, state.x)
    return Learned(w, np.zeros_like(w), rule.eta * rule.theta * error, np.zeros(len(error)))


@dataclass(frozen=True)
class ErrorRelay:
    """Parameters of the error relay.

    Attributes
    ----------
    theta : float
        Error threshold, in spikes.
    tau_e : Quantity
        Time constant of the mismatch integrator; ``inf*second`` for none.
    gain : float
        Attenuation of the error per hop.
    eta : float
        Learning rate; 0 freezes the weights.

    Raises
    ------
    UnitError
        A parameter is negative, NaN or in the wrong unit.
    """

    code: ClassVar[Code] = Code(
        soma=PHI.format(v="V + A"),
        mismatch=f"rate - {PHI.format(v='V')}",
        synapse_equations="""
w : 1                # forward weight
fb : 1               # feedback weight: error spikes of the postsynaptic cell to the apical dendrite of the presynaptic
plastic : 1          # 1 where the forward weight learns, else 0
""",
        on_post={"error": f"{LEARN}\n{RELAY}"},
        on_event={"forward": "spike", "error": "error"},
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
