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
theta    theta    1     error threshold, in spikes                   docs/model.md (chosen; swept in the benchmark)
leak     leak     Hz    1/tau_e, rate at which E leaks away          docs/model.md
gain     gain     1     attenuation of the error per hop             docs/model.md
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
from typing import ClassVar

import numpy as np
from brian2 import Hz, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN, JUMP, PHI
from bioplastic.units import quantity

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

    soma: ClassVar[str] = PHI.format(v="V + A")
    mismatch: ClassVar[str] = f"rate - {PHI.format(v='V')}"
    synapse_equations: ClassVar[str] = """
w : 1                # forward weight
fb : 1               # feedback weight: error spikes of the postsynaptic cell to the apical dendrite of the presynaptic
plastic : 1          # 1 where the forward weight learns, else 0
"""
    on_forward_spike: ClassVar[str] = f"V_post += w*{JUMP.format(tau='tau_m')}"
    on_error_spike: ClassVar[str] = f"""
w += plastic*eta_post*theta_post*{ERROR_SIGN.format(E="E_post")}*x_pre
A_pre += gain_post*fb*theta_post*{ERROR_SIGN.format(E="E_post")}*{JUMP.format(tau="tau_a")}
"""

    theta: float = 1.0
    tau_e: Quantity = field(default_factory=lambda: np.inf * second)
    gain: float = 1.0
    eta: float = 0.0

    def __post_init__(self) -> None:
        quantity("theta", self.theta, 1, low=0, open_low=True)
        quantity("tau_e", self.tau_e, ms, low=0, open_low=True, infinite=True)
        quantity("gain", self.gain, 1, low=0)
        quantity("eta", self.eta, 1, low=0)

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return {"theta": self.theta, "leak": self.leak, "eta": self.eta, "gain": self.gain}

    @property
    def leak(self) -> Quantity:
        """Rate at which the mismatch leaks away, 1/tau_e."""
        return 0 * Hz if np.isinf(float(self.tau_e)) else 1 / self.tau_e
