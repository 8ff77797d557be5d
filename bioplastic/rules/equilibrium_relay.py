"""Equilibrium relay: both dendrites of a cell learn to agree; neighbours send only ordinary spikes.

    soma        s    = phi(V)                              the basal prediction alone
    apical      A   += fb/(rmax tau_a)                     at a spike of a downstream neighbour
    mismatch    err  = window gain (phi(A) - phi(V))       hidden cells: apical minus basal prediction
                err  = target - phi(V)                     error source, while its outcome is present
    integrator  dE/dt = -leak E + rmax err                 error spike of sign z = +-1 at |E| > theta, then E -= z theta
    plasticity  w  += z eta theta x_pre,  bias += z eta theta             at an error spike of the postsynaptic cell
                fb -= z eta_apical theta x_post, abias -= z eta_apical theta   at an error spike of the presynaptic cell

symbol      Brian2      unit  meaning                                             default from
----------  ----------  ----  --------------------------------------------------  ------------------------------
V, A        V, A        1     basal and apical potential                          -
E           E           1     accumulated mismatch, in spikes                     -
theta       theta       1     error threshold, in spikes                          models/chain.py (chosen)
leak        leak        Hz    1/tau_e, rate at which E leaks away                 models/chain.py (chosen)
lambda      gain        1     weight of a hidden cell's mismatch                  models/chain.py (chosen)
eta         eta         1     learning rate of the basal dendrite                 swept by every experiment
eta_b       eta_apical  1     learning rate of the apical dendrite                models/chain.py (chosen)
window      window      1     1 while an outcome is present anywhere, else 0      the schedule
fb          fb          1     feedback weight, post to pre                        `agreeing_feedback`
x           x           1     trace of a cell's spikes                            -

Reads: of upstream and of downstream neighbours their ordinary spikes and traces. Error spikes stay inside their cell.
A soma does what its basal dendrite says, so all that a hidden cell's neighbour can notice is that the cell fires
otherwise since its own basal weights changed: strictly screened. As long as a change moves no spike within the
occurrence that caused it, and small ones do not, the front moves at most one hop per occurrence; `docs/model.md` says
what holds without that condition. `window` is the same for all cells and carries no error; it is a global modulator,
like a third factor.

Source: dendritic prediction of somatic spiking, Urbanczik and Senn (2014), doi:10.1016/j.neuron.2013.11.030, and
recirculation, Hinton and McClelland (1988), NeurIPS 0:358-366. Deviations: mismatch between two dendrites instead of
dendrite and soma; both dendrites learn; errors are events of a leaky integrator with a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import ERROR_SIGN, JUMP, ON_ERROR_EVENT, PHI, phi
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.rules.error_relay import LEARN, check_parameters, forward_learning, shared_values
from bioplastic.rules.form import Code, Learned, Outside, Reference, State
from bioplastic.units import quantity


def agreeing_feedback(circuit: Circuit, weights: Weights, stimuli: np.ndarray, ridge: float = 0.01) -> Feedback:
    """Fit feedback weights with which, on given stimuli at rest, apical dendrites predict what basal dendrites do.

    Parameters
    ----------
    circuit : Circuit
        Acyclic.
    weights : Weights
    stimuli : array, shape (n_stimuli, n_inputs)
        Input rates as fractions of the maximal rate.
    ridge : float
        Variance that is added to that of the rates: about that of the ripple which regular firing leaves.

    Returns
    -------
    Feedback
        Ridge regression of each population's basal potentials on the rates of all its downstream neighbours.
    """
    rates: dict[str, np.ndarray] = {}
    potentials: dict[str, np.ndarray] = {}
    pieces = np.split(stimuli, np.cumsum([p.size for p in circuit.inputs])[:-1], axis=1)
    for population in circuit.order:
        if population.role == "input":
            rates[population.name] = pieces[circuit.inputs.index(population)]
            continue
        arriving = [rates[p.source] @ weights.forward[p.name].T for p in circuit.incoming(population)]
        potentials[population.name] = sum(arriving) + weights.bias[population.name]
        rates[population.name] = phi(potentials[population.name])
    feedback = {p.name: np.zeros(circuit.shape(p)) for p in circuit.projections}
    bias: dict[str, np.ndarray] = {}
    for population in circuit.hidden:
        leaving = [p for p in circuit.projections if p.source == population.name]
        v = potentials[population.name]
        if not leaving:  # nobody to listen to
            bias[population.name] = v.mean(0)
            continue
        r = np.concatenate([rates[p.target] for p in leaving], axis=1)
        covariance = np.cov(r.T, bias=True) + ridge * np.eye(r.shape[1])
        fitted = np.linalg.solve(covariance, (r - r.mean(0)).T @ (v - v.mean(0)) / len(r))
        bias[population.name] = v.mean(0) - r.mean(0) @ fitted
        ends = np.cumsum([circuit.population(p.target).size for p in leaving])[:-1]
        feedback |= {p.name: part for p, part in zip(leaving, np.split(fitted, ends), strict=True)}
    return Feedback(feedback, bias)


def basal_soma(rule: EquilibriumRelay, state: State, outside: Outside) -> tuple[np.ndarray, np.ndarray]:
    """What the soma does, ``phi(V)`` where nothing clamps it, and the mismatch of the two dendrites."""
    rate = phi(state.V) + outside.clamp * (outside.target - phi(state.V))
    hidden = (1 - outside.clamp) * outside.window * rule.gain * (phi(state.A) - phi(state.V))
    return rate, rate - phi(state.V) + hidden


def spikes_relayed(
    rule: EquilibriumRelay, state: State, spike: np.ndarray, error: np.ndarray, outside: Outside
) -> np.ndarray:
    """What ordinary spikes send upstream: ``fb``, summed over the downstream neighbours."""
    return state.fb.T @ spike


def dendrites_learn(rule: EquilibriumRelay, state: State, error: np.ndarray, outside: Outside) -> Learned:
    """What error spikes change: the basal dendrite towards the apical one, and the other way round."""
    basal = forward_learning(rule, state, error, outside)
    apical = -rule.eta_apical * rule.theta * error * (outside.hops > 0)
    return Learned(basal.w, outside.plastic * np.outer(state.x, apical), basal.bias, apical)


@dataclass(frozen=True)
class EquilibriumRelay:
    """Parameters of the equilibrium relay.

    Attributes
    ----------
    theta : float
        Error threshold, in spikes.
    tau_e : Quantity
        Time constant of the mismatch integrator; ``inf*second`` for none.
    gain : float
        Weight of a hidden cell's mismatch (lambda).
    eta, eta_apical : float
        Learning rates of the basal and of the apical dendrite; 0 freezes it.

    Raises
    ------
    UnitError
        A parameter is negative, NaN or in the wrong unit.
    """

    code: ClassVar[Code] = Code(
        soma=PHI.format(v="V"),
        mismatch=f"rate - {PHI.format(v='V')} + (1 - clamp)*window*gain*({PHI.format(v='A')} - {PHI.format(v='V')})",
        synapse_equations="""
w : 1                # forward weight
fb : 1               # feedback weight: spikes of the postsynaptic cell to the apical dendrite of the presynaptic
plastic : 1          # 1 where both weights learn, else 0
""",
        cell_equations="""
hops : 1 (constant)                 # hops upstream of the nearest error source
window : 1                          # 1 while an outcome is present anywhere, else 0
eta_apical : 1 (shared, constant)   # learning rate of the apical dendrite
""",
        on_error=f"abias -= eta_apical*theta*{ERROR_SIGN.format(E='E')}*int(hops > 0)\n{ON_ERROR_EVENT}",
        on_pre={
            "forward": f"V_post += w*{JUMP.format(tau='tau_m')}",
            "apical": f"fb -= plastic*eta_apical_pre*theta_pre*{ERROR_SIGN.format(E='E_pre')}*x_post",
        },
        on_post={"error": LEARN, "back": f"A_pre += fb*{JUMP.format(tau='tau_a')}"},
        on_event={"forward": "spike", "back": "spike", "error": "error", "apical": "error"},
        order={"forward": 0, "back": 0, "error": 1, "apical": 1},  # spikes meet the old weights
    )
    reference: ClassVar[Reference] = Reference(basal_soma, spikes_relayed, dendrites_learn)

    theta: float = 1.0
    tau_e: Quantity = field(default_factory=lambda: np.inf * second)
    gain: float = 1.0
    eta: float = 0.0
    eta_apical: float = 0.0

    def __post_init__(self) -> None:
        check_parameters(self)
        quantity("eta_apical", self.eta_apical, 1, low=0)

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""
        return {**shared_values(self), "eta_apical": self.eta_apical}
