"""Predictive coding: cells settle between what their sources predict and what their targets would have needed.

    eps_0 = y - phi(V_0),  V_0 = W phi(x_1) + b            error source, while an outcome is known
    eps_h = x_h - (W phi(x_{h+1}) + b)                     every other population
    x_h += step_size (phi'(x_h) sum W^T eps_downstream - eps_h)   all at once, `steps` times
    w += eta eps_post phi(x_pre),   bias += eta eps_post   after the last step

symbol            unit  meaning
----------------  ----  -------------------------------------------------------------------------
x, V              1     potential; predicted potential, where x starts
eps               1     error of a cell: what it settles at minus what is predicted
y                 1     outcome, a fraction of the maximal rate
step_size         1     time step of inference over its time constant
steps             1     time steps before the weights change; None: until nothing moves any more
eta               1     learning rate
fixed_prediction  -     whether slopes and predictions stay at their feed-forward values

Reads: of the upstream neighbour its rate, of the downstream neighbour its error. In one step a signal gets one hop
farther: after T steps a weight more than T hops upstream changes by exactly nothing, and one T hops upstream by
``step_size`` to the power of T times what backprop would change, nearly. Local, and screened by time; with
``steps=None`` it is local and not screened.

Inference goes down the energy: the loss that matches phi at the error source (the integral of phi(V) - y over V, as in
`bioplastic.rules.backprop`) plus sum |eps_h|^2 / 2. It is stable for step sizes below 2 over the energy's largest
curvature (`bioplastic.rules.energy.stable_step`). With ``fixed_prediction`` errors are only handed on, which is stable
below 2 whatever the weights, and with a step size of 1 and as many steps as hops they are those of backprop, exactly;
so is the equilibrium. Without it the hidden cells take part of the error over: of an error e at the error source
(1 + D K)^-1 e is left at equilibrium, with K the sum of J J^T over hidden populations, J the derivative of the output
by their potentials and D the slope of phi. That is another length and another direction than backprop's, however small
e is.

Source: Rao and Ballard (1999), doi:10.1038/4580; Whittington and Bogacz (2017), doi:10.1162/NECO_a_00949. The fixed
prediction assumption: Millidge, Tschantz and Buckley (2022), doi:10.1162/neco_a_01497; that it is backprop, and the
form used here: Rosenbaum (2022), doi:10.1371/journal.pone.0266102. Deviations: all precisions are 1; the error source
has no potential beside its prediction, and its loss matches phi instead of being squared; the equilibrium is found by
a quicker method than small steps (`bioplastic.rules.energy.settle`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioplastic.cells import phi, phi_slope
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.energy import errors_and_force, predicted_by, settle, stable_step
from bioplastic.rules.twin_form import InferenceError, Inferred, TwinRule
from bioplastic.units import UnitError, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from bioplastic.twin.networks import Networks

ROUNDING = 1e-9
"""Rise of the energy in one step that is no instability, as a fraction of its fall in the first."""


@dataclass(frozen=True)
class PredictiveCoding(TwinRule):
    """Parameters of predictive coding.

    Attributes
    ----------
    eta : float
        Learning rate.
    steps : int, optional
        Time steps of inference; None is the equilibrium.
    step_size : float
        Time step over the time constant; it does not matter at equilibrium.
    fixed_prediction : bool
        Whether slopes and predictions stay at their feed-forward values.

    Raises
    ------
    UnitError
        A parameter is outside its range.
    """

    steps: int | None = None
    step_size: float = 0.2
    fixed_prediction: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        quantity("step_size", self.step_size, 1, low=0, open_low=True)
        if self.steps is not None and (
            isinstance(self.steps, bool) or not isinstance(self.steps, int | np.integer) or self.steps < 1
        ):
            raise UnitError(f"steps = {self.steps}; give the number of inference steps, 1 or more (None: equilibrium).")
        if self.fixed_prediction and self.step_size >= 2:
            raise UnitError(
                f"step_size = {self.step_size:g} is unstable: with fixed_prediction inference needs less than 2; "
                "1 hands errors on in one step."
            )

    def check(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> None:
        """Raise `InferenceError` if the errors would grow from step to step, as in `TwinRule.check`."""
        if self.steps is not None and not self.fixed_prediction:
            stable = stable_step(networks, state, outcome)
            if self.step_size >= stable.min():
                raise self._unstable(stable, "its errors would grow from step to step")

    def infer(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Inferred:
        """Take all steps of `relax`, or go to the equilibrium at once, as in `TwinRule.infer`."""
        if self.steps is not None:
            *_, last = self.relax(networks, state, outcome)
            return last
        if self.fixed_prediction:
            return Backprop().infer(networks, state, outcome)
        return settle(networks, state, outcome)

    def relax(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Iterator[Inferred]:
        """Inference step by step: all potentials go down the energy at once, each by what its neighbours say.

        Parameters
        ----------
        networks, state, outcome
            As in `TwinRule.infer`.

        Yields
        ------
        Inferred
            Before the first step and after each: ``steps + 1`` in all.

        Raises
        ------
        ValueError
            The rule asks for the equilibrium, which takes no number of steps.
        InferenceError
            A step made the energy rise: the step size is too large for these weights.
        """
        if self.steps is None:
            raise ValueError("steps = None; relaxing takes small steps to the equilibrium: give their number.")
        row = networks.hidden
        x = row.join(state, outcome)
        predicted = predicted_by(networks, state, x)
        force = x.new_zeros(x.shape)
        for step in range(self.steps + 1):
            if step:
                x = x + self.step_size * force
                if not self.fixed_prediction:
                    predicted = predicted_by(networks, state, x)
            error = outcome - networks.prediction(predicted.source)
            before, (errors, force) = force, errors_and_force(networks, x, predicted, error)
            # The energy changes by -step_size/2 (F.F + F.F'), F and F' the forces before and after the step.
            gone = (before * (before + force)).sum((1, 2))
            if step == 0:
                scale = force.square().sum((1, 2))
            if not self.fixed_prediction and not bool((gone >= -ROUNDING * scale).all()):
                raise self._unstable(stable_step(networks, state, outcome), f"the energy rises in step {step}")
            yield Inferred(errors, predicted.rate, dict(state) | predicted.source | row.split(x))

    def _unstable(self, stable: np.ndarray, problem: str) -> InferenceError:
        limit = float(stable.min())
        return InferenceError(
            f"step_size = {self.step_size:g} is unstable: {problem}. With the weights of network "
            f"{int(stable.argmin())} predictive coding is stable below {limit:.3g}; give step_size={0.9 * limit:.2g} "
            "or less, and more steps."
        )


def reference_update(
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    stimulus: np.ndarray,
    outcome: np.ndarray,
    rule: PredictiveCoding,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """One event in a chain, written out in NumPy: the changes that `rule` makes.

    Parameters
    ----------
    weights : list of array, shape (post, pre)
        From the input to the error source.
    biases : list of array, shape (post,)
    stimulus, outcome : array
        Rates as fractions of the maximal rate.
    rule : PredictiveCoding
        With a number of steps.

    Returns
    -------
    tuple of (list of array, list of array)
        Changes of the weights and of the biases.

    Raises
    ------
    ValueError
        The rule asks for the equilibrium, which takes no number of steps.
    """
    if rule.steps is None:
        raise ValueError("steps = None; the reference takes small steps to the equilibrium: give their number.")
    n = len(weights)

    def predict(potentials: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Rates of input and hidden populations, and what they predict for the potentials downstream."""
        rates = [stimulus, *map(phi, potentials)]
        return rates, [w @ rate + b for w, b, rate in zip(weights, biases, rates, strict=True)]

    x: list[np.ndarray] = []  # potentials of the hidden populations
    for k in range(n - 1):
        x.append(weights[k] @ (phi(x[-1]) if k else stimulus) + biases[k])
    rates, predicted = predict(x)
    slopes = [phi_slope(v) for v in x]

    def errors() -> list[np.ndarray]:
        return [*(v - p for v, p in zip(x, predicted[:-1], strict=True)), outcome - phi(predicted[-1])]

    for _ in range(rule.steps):
        eps = errors()
        x = [x[k] + rule.step_size * (slopes[k] * (weights[k + 1].T @ eps[k + 1]) - eps[k]) for k in range(n - 1)]
        if not rule.fixed_prediction:
            (rates, predicted), slopes = predict(x), [phi_slope(v) for v in x]
    eta = rule.rates(n)[::-1]
    eps = errors()
    return (
        [eta[k] * np.outer(eps[k], rates[k]) for k in range(n)],
        [eta[k] * eps[k] for k in range(n)],
    )
