"""The energy of predictive coding: the forces down it, where it is least, and how large a step goes down.

    energy = sum |eps_h|^2 / 2 over hidden populations + the loss that matches the cells' output at the error source
    force  = -d energy / dx = phi'(x) sum W^T eps_downstream - eps

Symbols and sources: `bioplastic.rules.predictive_coding`. The minimum (`settle`) and the largest curvature
(`stable_step`) are found by methods of this program, which are no claim about cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bioplastic.rules.twin_form import InferenceError, Inferred

if TYPE_CHECKING:
    from torch import Tensor

    from bioplastic.twin.networks import Networks

TOLERANCE = 1e-6
"""How far the errors of an equilibrium may be off, as a fraction of themselves (2-norm over all hidden cells)."""
MAX_ITERATIONS = 300
"""Iterations after which the search for an equilibrium gives up."""
CURVATURE_ITERATIONS = 30
"""Lanczos steps that find the energy's largest curvature."""
ANDERSON = 5
"""Earlier steps from which the search for an equilibrium extrapolates."""
REGULARISATION = 1e-9**1.5
"""What is added to the least squares of that extrapolation, as a fraction of their trace."""


@dataclass(frozen=True)
class Predicted:
    """What the potentials of hidden populations lead to.

    Attributes
    ----------
    potential, slope : Tensor
        Predicted potential and slope of the hidden populations, side by side.
    source, source_slope : dict of str to Tensor
        Potential of an error source, which has no potential but its prediction, and its slope.
    rate : dict of str to Tensor
        Of all these and of the inputs.
    """

    potential: Tensor
    slope: Tensor
    source: dict[str, Tensor]
    source_slope: dict[str, Tensor]
    rate: dict[str, Tensor]


def predicted_by(networks: Networks, state: Mapping[str, Tensor], x: Tensor) -> Predicted:
    """What the potentials `x` of the hidden populations, side by side, and the inputs in `state` predict."""
    circuit, activation, row = networks.circuit, networks.activation, networks.hidden
    rate = {p.name: state[p.name] for p in circuit.inputs} | row.split(activation.value(x))
    source: dict[str, Tensor] = {}
    for population in circuit.order:
        if population.role == "error source":
            source[population.name] = networks.basal(population.name, rate)
            rate[population.name] = activation.value(source[population.name])
    potential = {name: networks.basal(name, rate) for name in row.names}
    slope = {name: activation.slope(v) for name, v in source.items()}
    return Predicted(row.join(potential, x), activation.slope(x), source, slope, rate)


def errors_and_force(
    networks: Networks, x: Tensor, predicted: Predicted, error: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Error of every population, and the force on the potentials `x` of the hidden ones, side by side."""
    row = networks.hidden
    difference = x - predicted.potential
    errors = networks.backward(error, predicted.source_slope, given=row.split(difference))
    return errors, predicted.slope * row.join(networks.feedback(errors), x) - difference


def settle(networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Inferred:
    """Predictive coding at equilibrium: where `PredictiveCoding.relax` ends after very many small steps.

    There every error is the backpropagated one of the network with all errors added to its potentials, eps = J^T e,
    with e the error at the error sources and J the derivative of their potentials by eps. Solved by Gauss-Newton steps
    in e, which has few components: (1 + D K) z = e + D J eps, then eps = J^T z, with K = J J^T and D the slope of the
    outputs. For a linear network one step is exact. For others Anderson acceleration makes up for what such a step
    leaves out, and a step that leads past a minimum of the energy is halved. It goes on until every network has
    settled, so beyond `TOLERANCE` the result for one depends on the others.

    Parameters
    ----------
    networks, state, outcome
        As in `TwinRule.infer`.

    Returns
    -------
    Inferred

    Raises
    ------
    InferenceError
        `TOLERANCE` is not reached within `MAX_ITERATIONS`.
    """
    import torch

    circuit, activation, row, heard = networks.circuit, networks.activation, networks.hidden, networks.learning
    n_networks, n_stimuli, n_outputs = outcome.shape
    stimuli = torch.cat([state[p.name] for p in circuit.inputs], dim=-1)
    one_each = torch.eye(n_outputs, dtype=outcome.dtype, device=outcome.device).repeat(n_networks, n_stimuli, 1)
    x, eps = dict(state), torch.zeros_like(row.join(state, outcome))
    start, direction, descent, length = eps, eps, torch.zeros_like(eps[..., :1]), 1.0
    tried: list[tuple[Tensor, Tensor]] = []  # errors, and the steps from them
    for _ in range(MAX_ITERATIONS):
        slope = heard.split(activation.slope(heard.join(x, outcome)).repeat_interleave(n_outputs, 1))
        by_output = networks.backward(one_each, slope)  # errors that an error of 1 in each output would be
        jacobian = row.join(by_output, one_each).unflatten(1, (n_stimuli, n_outputs))  # J^T
        error = outcome - networks.prediction(x)
        found = (error.unsqueeze(-2) @ jacobian).squeeze(-2)
        missing, size = (found - eps).square().sum(-1), found.square().sum(-1)
        if bool((missing <= TOLERANCE**2 * size).all()):
            at_source = {
                p.name: (error.unsqueeze(-2) @ by_output[p.name].unflatten(1, (n_stimuli, n_outputs))).squeeze(-2)
                for p in circuit.error_sources
            }
            return Inferred(at_source | row.split(eps), networks.rates(x), x)
        output_slope = networks.prediction_slope(x)
        matrix = one_each.unflatten(1, (n_stimuli, n_outputs)) + output_slope.unsqueeze(-1) * (jacobian @ jacobian.mT)
        moved = (jacobian @ eps.unsqueeze(-1)).squeeze(-1)
        z = torch.linalg.solve(matrix, (error + output_slope * moved).unsqueeze(-1))
        step = (jacobian.mT @ z).squeeze(-1) - eps
        tried = [*tried[-ANDERSON:], (eps, step)]
        downhill = found - eps
        # Where the energy rises about as steeply as it fell, the minimum along this direction lies behind: half as far.
        too_far = -(downhill * direction).sum(-1, keepdim=True) > descent / 2
        accelerated = _accelerated(tried)
        leads_down = (downhill * accelerated).sum(-1, keepdim=True) > 0
        start = torch.where(too_far, start, eps)
        direction = torch.where(too_far, direction, torch.where(leads_down, accelerated, step))
        descent = torch.where(too_far, descent, (downhill * direction).sum(-1, keepdim=True))
        length = torch.where(too_far, length / 2, 1.0)
        eps = start + length * direction
        x = networks.potentials(stimuli, perturb=_adding(row.split(eps)))
    left = (missing / size).sqrt().nan_to_num(0).amax(1)
    raise InferenceError(
        f"predictive coding finds no equilibrium for network {int(left.argmax())}: after {MAX_ITERATIONS} iterations "
        f"its errors are off by {float(left.max()):.1e} of their size, more than {TOLERANCE:g}. Lower the learning "
        "rate so that the weights stay small, or give a number of steps and a step_size."
    )


def _accelerated(tried: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Anderson's step: as if steps depended linearly on where they start, go to where they would vanish."""
    import torch

    step = tried[-1][1]
    if len(tried) == 1:
        return step
    moved, changed = (torch.stack([b[k] - a[k] for a, b in pairwise(tried)], dim=-1) for k in (0, 1))
    gram = changed.mT @ changed
    scale = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] * REGULARISATION + torch.finfo(step.dtype).tiny
    weight = torch.linalg.solve(
        gram + scale * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device), changed.mT @ step.unsqueeze(-1)
    )
    return step - ((moved + changed) @ weight).squeeze(-1)


def _adding(eps: Mapping[str, Tensor]) -> Callable[[str, Tensor], Tensor]:
    return lambda name, v: v + eps[name] if name in eps else v


def stable_step(networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> np.ndarray:
    """Step size below which predictive coding is stable, near the feed-forward state.

    It is 2/lambda, with lambda the largest curvature of the energy, from `CURVATURE_ITERATIONS` Lanczos steps.

    Parameters
    ----------
    networks, state, outcome
        As in `TwinRule.infer`.

    Returns
    -------
    array, shape (n_networks,)
        Infinite where no population is hidden.
    """
    import torch

    row = networks.hidden
    start = row.join(state, outcome)
    if not row.names:
        return np.full(len(start), np.inf)

    def force(x: Tensor) -> Tensor:
        predicted = predicted_by(networks, state, x)
        return errors_and_force(networks, x, predicted, outcome - networks.prediction(predicted.source))[1]

    at_start, small = force(start), torch.finfo(start.dtype).eps ** 0.5
    v = torch.randn(start.shape, generator=torch.Generator().manual_seed(0), dtype=start.dtype).to(start.device)
    v = v / v.square().sum((1, 2), keepdim=True).sqrt()
    previous, size = torch.zeros_like(v), torch.zeros_like(v[:, :1, :1])
    tridiagonal = torch.zeros(len(start), CURVATURE_ITERATIONS, CURVATURE_ITERATIONS, dtype=start.dtype)
    for k in range(CURVATURE_ITERATIONS):
        w = (at_start - force(start + small * v)) / small - size * previous
        along = (w * v).sum((1, 2), keepdim=True)
        w = w - along * v
        if k:
            tridiagonal[:, k - 1, k] = tridiagonal[:, k, k - 1] = size[:, 0, 0]
        tridiagonal[:, k, k] = along[:, 0, 0]
        size = w.square().sum((1, 2), keepdim=True).sqrt()
        # Once all directions are used up, only rounding is left.
        size = torch.where(size > 1e3 * small, size, 0.0)
        previous, v = v, torch.where(size > 0, w / size, 0.0)
    stable: np.ndarray = 2 / torch.linalg.eigvalsh(tridiagonal)[:, -1].numpy()
    return stable
