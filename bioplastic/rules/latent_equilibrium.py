"""Latent Equilibrium: cells look ahead by their own time constant, so that inference is as quick however deep.

    tau du/dt = -u + W r + bias + e,   ubreve = u + tau du/dt,   r = phi(ubreve)
    e_0 = beta (y - r_0)                                         error source, while an outcome is present
    e_h = phi'(ubreve_h) sum W^T (ubreve - W r - bias)_downstream   every other population
    tau dw/dt = eta (ubreve - W r_pre - bias) r_pre,   tau dbias/dt = eta (ubreve - W r_pre - bias)

symbol    unit  meaning
--------  ----  ---------------------------------------------------------------------------------
u         1     membrane potential
ubreve    1     prospective potential: where the membrane potential is going
e         1     error that arrives at a cell from downstream
y         1     outcome, a fraction of the maximal rate
tau       -     time constant of the membrane and of looking ahead; all times are in units of it
dt        tau   time step, and the time that a signal takes from one cell to the next
duration  tau   time for which the outcome is present
beta      1     strength with which the outcome nudges the error source
eta       1     learning rate

Reads: of the upstream neighbour its rate, of the downstream neighbour its mismatch of prospective potential and basal
input. Neighbour-only, and nothing farther away is read. Yet nothing is screened: looking ahead undoes the membrane's
delay exactly (ubreve = W r + bias + e, whatever u is), so a signal takes dt per hop and not tau, and errors are not
attenuated on their way. In time steps the rule is as slow as any other: after n of them a weight more than n - 1 hops
upstream has changed by exactly nothing. In units of tau the error is everywhere at once as dt tends to 0, however
deep the circuit. Predictive coding takes more tau the more hops there are, however small its time steps.

For small beta and a long outcome the change is eta beta duration times that of backprop. An outcome nudges the circuit
in a loop (errors change rates, rates change the error at the error source); the loop is stable for small beta only.

Source: Haider, Ellenberger, Kriener, Jordan, Senn and Petrovici (2021), Advances in Neural Information Processing
Systems 34, doi:10.48550/arXiv.2110.14549. As in the authors' program a cell reads what its neighbours had one time
step earlier, and a mismatch is taken against the basal input that the prospective potential was made from. Deviations:
each event begins at rest; the weights change when its outcome is over, by the integral, instead of all the time; the
nudge is that of the loss that matches phi (`bioplastic.rules.backprop`), so it lacks a factor phi'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioplastic.cells import phi, phi_slope
from bioplastic.rules.twin_form import InferenceError, Inferred, TwinRule
from bioplastic.units import UnitError, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from bioplastic.twin.networks import Networks

MAX_GROWTH = 1.1
"""Factor by which the error at the error sources may grow before the nudging counts as unstable."""


@dataclass(frozen=True)
class LatentEquilibrium(TwinRule):
    """Parameters of Latent Equilibrium; times in units of the membrane time constant.

    Attributes
    ----------
    eta : float
        Learning rate, per time constant.
    dt : float
        Time step: a signal takes this long from one cell to the next.
    duration : float
        Time for which the outcome is present.
    beta : float
        Strength with which the outcome nudges the error source.

    Raises
    ------
    UnitError
        A parameter is outside its range.
    """

    dt: float = 0.1
    duration: float = 6.0
    beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dt", "duration", "beta"):
            quantity(name, getattr(self, name), 1, low=0, open_low=True)
        if self.steps < 1 or abs(self.duration / self.dt - self.steps) > 1e-6:
            raise UnitError(
                f"duration = {self.duration:g} is no multiple of dt = {self.dt:g}; give whole time steps, "
                f"for instance duration={max(1, self.steps) * self.dt:g}."
            )

    @property
    def steps(self) -> int:
        """Time steps for which the outcome is present."""
        return round(self.duration / self.dt)

    def infer(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Inferred:
        """Nudge the error sources while an outcome is present; the weights are held until it is over.

        In every time step a cell reads the rates and errors that its neighbours had one time step earlier. With one
        time constant for the membrane and for looking ahead, the prospective potential is basal input plus error
        whatever the membrane potential is, so the latter is left out.

        Parameters
        ----------
        networks, state, outcome
            As in `TwinRule.infer`.

        Returns
        -------
        Inferred
            One sample for each time step and stimulus, the first time step first; the errors are multiplied by dt, so
            that their sum over samples is the integral over the outcome.

        Raises
        ------
        InferenceError
            The error at the error sources grows: the nudging is too strong for these weights.
        """
        import torch

        row, slope_of, rate_of = networks.learning, networks.activation.slope, networks.activation.value
        nothing = {name: torch.zeros_like(state[name]) for name in row.names}
        given = {p.name: state[p.name] for p in networks.circuit.inputs}
        x = row.join(state, outcome)
        rate = rate_of(x)
        at_onset = error = outcome - networks.prediction(state)
        apical = row.join(nothing | networks.at_sources(self.beta * error), outcome)
        apicals, rates = [], []
        for _ in range(self.steps):
            apicals.append(self.dt * apical)
            rates.append(rate)
            mismatch = row.split(apical)  # of prospective potential and basal input
            read = given | row.split(rate)
            basal = {name: networks.basal(name, read) for name in row.names}
            x = row.join(basal, outcome) + apical
            rate = rate_of(x)
            error = outcome - networks.prediction(row.split(x))
            back = row.join(nothing | networks.feedback(mismatch), outcome)
            apical = slope_of(x) * back + row.join(nothing | networks.at_sources(self.beta * error), outcome)
        growth = (error.square().sum((1, 2)) / at_onset.square().sum((1, 2))).sqrt().nan_to_num(0)
        if not bool((growth <= MAX_GROWTH).all()):
            raise InferenceError(
                f"beta = {self.beta:g} is unstable: in network {int(growth.argmax())} the error at the error sources "
                f"grows by a factor of {float(growth.max()):.3g} while the outcome is present. The nudging is too "
                f"strong for these weights; give beta={self.beta / 3:.2g} or less."
            )
        delta, at_each_step = row.split(torch.cat(apicals, 1)), row.split(torch.cat(rates, 1))
        held = {name: v.repeat(1, self.steps, 1) for name, v in given.items()}
        return Inferred(delta, held | at_each_step, dict(state) | row.split(x))


def reference_update(
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    stimulus: np.ndarray,
    outcome: np.ndarray,
    rule: LatentEquilibrium,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """One event in a chain, written out in NumPy: the changes that `rule` makes.

    Parameters
    ----------
    weights : list of array, shape (post, pre)
        From the input to the error source.
    biases : list of array, shape (post,)
    stimulus, outcome : array
        Rates as fractions of the maximal rate.
    rule : LatentEquilibrium

    Returns
    -------
    tuple of (list of array, list of array)
        Changes of the weights and of the biases.
    """
    n, eta = len(weights), rule.rates(len(weights))[::-1]
    rates, u = [stimulus], []
    for w, b in zip(weights, biases, strict=True):  # at rest, and without an error, u stays where the basal input is
        u.append(w @ rates[-1] + b)
        rates.append(phi(u[-1]))
    e = [np.zeros_like(v) for v in u]
    e[-1] = rule.beta * (outcome - rates[-1])
    changes_w = [np.zeros_like(w) for w in weights]
    changes_b = [np.zeros_like(b) for b in biases]
    for _ in range(rule.steps):
        basal = [weights[k] @ rates[k] + biases[k] for k in range(n)]
        slope = [-u[k] + basal[k] + e[k] for k in range(n)]  # tau du/dt
        ahead = [u[k] + slope[k] for k in range(n)]
        u = [u[k] + rule.dt * slope[k] for k in range(n)]
        mismatch = [ahead[k] - basal[k] for k in range(n)]
        for k in range(n):
            changes_w[k] += rule.dt * eta[k] * np.outer(mismatch[k], rates[k])
            changes_b[k] += rule.dt * eta[k] * mismatch[k]
        rates = [stimulus, *map(phi, ahead)]
        e = [phi_slope(ahead[k]) * (weights[k + 1].T @ mismatch[k + 1]) for k in range(n - 1)]
        e.append(rule.beta * (outcome - rates[-1]))
    return changes_w, changes_b
