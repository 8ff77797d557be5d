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
from typing import ClassVar

import numpy as np
from brian2 import Hz, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN, JUMP, PHI, CellParameters, phi
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


@dataclass(frozen=True)
class State:
    """What changes in a set of n cells and the synapses between them.

    Attributes
    ----------
    V, A, x, P, E, bias : array, shape (n,)
        Variables of the cells, as in `bioplastic.cells`.
    w : array, shape (n, n)
        Forward weights (post, pre); 0 where there is no synapse.
    """

    V: np.ndarray
    A: np.ndarray
    x: np.ndarray
    P: np.ndarray
    E: np.ndarray
    bias: np.ndarray
    w: np.ndarray


def reference_step(
    before: State,
    rule: ErrorRelay,
    parameters: CellParameters,
    *,
    target: np.ndarray,
    clamp: np.ndarray,
    predicts: np.ndarray,
    fb: np.ndarray,
    plastic: np.ndarray,
    dt: Quantity = 1 * ms,
) -> tuple[State, np.ndarray, np.ndarray]:
    """One time step of a set of cells, written out in NumPy in the order in which Brian2 does it.

    Parameters
    ----------
    before : State
    rule : ErrorRelay
    parameters : CellParameters
    target, clamp, predicts : array, shape (n,)
        As in `bioplastic.cells.EQUATIONS`.
    fb, plastic : array, shape (n, n)
        Of each synapse (post, pre); 0 where there is none.
    dt : Quantity, optional
        Time step.

    Returns
    -------
    tuple of (State, array of bool, array of int)
        The state afterwards; which cells spiked; the sign of each cell's error spike, 0 where there was none.
    """
    V, A, bias = before.V, before.A, before.bias
    ratio = {name: float(dt / getattr(parameters, name)) for name in ("tau_m", "tau_a", "tau_x")}
    spikes_per_step = float(parameters.rmax * dt)  # of a cell that fires at the maximal rate
    jump = {name: np.expm1(r) / spikes_per_step for name, r in ratio.items()}
    # groups: exact decay
    V = bias + (V - bias) * np.exp(-ratio["tau_m"])
    A = A * np.exp(-ratio["tau_a"])
    x = before.x * np.exp(-ratio["tau_x"])
    # before_thresholds
    rate = phi(V + A) + clamp * (target - phi(V + A))
    P = before.P + rate * spikes_per_step
    E = before.E * np.exp(-float(rule.leak * dt)) + predicts * (rate - phi(V)) * spikes_per_step
    # thresholds
    spike = P >= 1
    error = np.where(np.abs(E) > rule.theta, np.where(E > 0, 1, -1), 0)
    # synapses: forward spikes meet the old weights, error spikes the trace without this step's spikes
    V = V + before.w @ spike * jump["tau_m"]
    w = before.w + plastic * rule.eta * rule.theta * np.outer(error, x)
    A = A + rule.gain * rule.theta * (fb.T @ error) * jump["tau_a"]
    # resets
    P = P - spike
    x = x + spike * jump["tau_x"]
    bias = bias + rule.eta * rule.theta * error
    return State(V, A, x, P, E - rule.theta * error, bias, w), spike, error
