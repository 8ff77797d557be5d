"""The rate twin in torch: same circuit, weights and events, many networks in one program.

Its learners are backprop and, at the level of rates, local rules: predictive coding and Latent Equilibrium. Each has
one function that says what every population's error is (`deltas`, `relax`, `settle`, `nudge`); the learning step is
the same for all.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioplastic.cells import PHI, phi, phi_slope
from bioplastic.circuit import Circuit, Population, Weights
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION, Schedule
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.tasks import Task

Progress = Callable[[float], None]
"""Called with the fraction that is done."""
Rule = Backprop | PredictiveCoding | LatentEquilibrium
"""The rules that the twin can live by."""
TOLERANCE = 1e-6
"""How far the errors of an equilibrium may be off, as a fraction of themselves (2-norm over all hidden cells)."""
MAX_ITERATIONS = 300
"""Iterations after which the search for an equilibrium gives up."""
CURVATURE_ITERATIONS = 30
"""Lanczos steps that find the energy's largest curvature."""
ANDERSON = 5
"""Earlier steps from which the search for an equilibrium extrapolates."""
ROUNDING = 1e-9
"""Rise of the energy in one step that is no instability, as a fraction of its fall in the first."""
MAX_GROWTH = 1.1
"""Factor by which Latent Equilibrium may let the error at the error sources grow before it counts as unstable."""


class InferenceError(ValueError):
    """Inference that does not settle with these parameters and weights."""


@dataclass(frozen=True)
class Activation:
    """What cells make of their potentials, elementwise and differentiable.

    Attributes
    ----------
    value, slope : callable
        Rate of a potential, and its derivative.
    output, output_slope : callable, optional
        What of an error source's potential is compared with the outcome, and its derivative; by default its rate.
        The loss is the one that matches: its derivative by the potential is ``output(V) - y``.
    """

    value: Callable[[Tensor], Tensor] = phi
    slope: Callable[[Tensor], Tensor] = phi_slope
    output: Callable[[Tensor], Tensor] | None = None
    output_slope: Callable[[Tensor], Tensor] | None = None

    def prediction(self, circuit: Circuit, state: Mapping[str, Tensor]) -> Tensor:
        """What the error sources predict, shape (n_networks, n_stimuli, n_outputs)."""
        return torch.cat([(self.output or self.value)(state[p.name]) for p in circuit.error_sources], dim=-1)

    def prediction_slope(self, circuit: Circuit, state: Mapping[str, Tensor]) -> Tensor:
        """Derivative of `prediction` by the potentials of the error sources, same shape."""
        return torch.cat([(self.output_slope or self.slope)(state[p.name]) for p in circuit.error_sources], dim=-1)


F_I_CURVE = Activation()
"""The cells of the twin; other networks may have others."""


@dataclass(frozen=True)
class Networks:
    """Weights of several networks of one circuit.

    Attributes
    ----------
    forward : dict of str to Tensor, shape (n_networks, post, pre)
        By projection.
    bias : dict of str to Tensor, shape (n_networks, size)
        By population.
    """

    forward: dict[str, Tensor]
    bias: dict[str, Tensor]

    @classmethod
    def stack(cls, weights: Sequence[Weights], device: str = "cpu") -> Networks:
        """Stack the weights of single networks, in float64."""

        def stacked(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
            return {name: torch.tensor(np.stack([p[name] for p in parts]), device=device) for name in parts[0]}

        return cls(stacked([w.forward for w in weights]), stacked([w.bias for w in weights]))

    def weights(self, k: int) -> Weights:
        """Weights of the k-th network, as arrays of its own."""
        return Weights(
            {name: w[k].cpu().numpy().copy() for name, w in self.forward.items()},
            {name: b[k].cpu().numpy().copy() for name, b in self.bias.items()},
        )


class _Phi(torch.autograd.Function):
    """`phi` with its derivative written out: autograd's own graph of it costs three times as much."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return phi(v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * phi_slope(ctx.saved_tensors[0])


def potentials(
    circuit: Circuit,
    networks: Networks,
    stimuli: Tensor,
    *,
    noise: Callable[[str, Tensor], Tensor] | None = None,
    activation: Activation = F_I_CURVE,
) -> dict[str, Tensor]:
    """Run all networks forward.

    Parameters
    ----------
    circuit : Circuit
        Acyclic.
    networks : Networks
    stimuli : Tensor, shape (n_networks, n_stimuli, n_inputs)
    noise : callable, optional
        Given a population and its potentials, returns them with noise, or with whatever else is added.
    activation : Activation, optional

    Returns
    -------
    dict of str to Tensor, shape (n_networks, n_stimuli, size)
        Potential V of every population that is not an input; for inputs, their rate.

    Raises
    ------
    CircuitError
        The circuit has a cycle.
    """
    state: dict[str, Tensor] = {}
    pieces = torch.split(stimuli, [p.size for p in circuit.inputs], dim=-1)
    given = dict(zip([p.name for p in circuit.inputs], pieces, strict=True))
    for population in circuit.order:
        if population.role == "input":
            state[population.name] = given[population.name]
            continue
        rate = {p.source: _rate(circuit, state, p.source, activation) for p in circuit.incoming(population)}
        v = _basal(circuit, networks, rate, population).expand(-1, stimuli.shape[1], -1)
        state[population.name] = v if noise is None else noise(population.name, v)
    return state


def predict(circuit: Circuit, networks: Networks, stimuli: np.ndarray) -> np.ndarray:
    """What the networks predict at rest.

    Parameters
    ----------
    circuit : Circuit
    networks : Networks
    stimuli : array, shape (n_stimuli, n_inputs)

    Returns
    -------
    array, shape (n_networks, n_stimuli, n_outputs)
        Rates of the error sources, as fractions of the maximal rate.
    """
    n = next(iter(networks.bias.values())).shape[0]
    device = next(iter(networks.bias.values())).device
    shown = torch.tensor(stimuli, device=device).expand(n, -1, -1)
    state = potentials(circuit, networks, shown)
    return torch.cat([phi(state[p.name]) for p in circuit.error_sources], dim=-1).cpu().numpy()


def deltas(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    error: Tensor,
    *,
    activation: Activation = F_I_CURVE,
) -> dict[str, Tensor]:
    """Backpropagate an error through all networks.

    Parameters
    ----------
    circuit : Circuit
    networks : Networks
    state : mapping of str to Tensor
        From `potentials`.
    error : Tensor, shape (n_networks, n_stimuli, n_outputs)
        Outcome minus prediction.
    activation : Activation, optional

    Returns
    -------
    dict of str to Tensor, shape (n_networks, n_stimuli, size)
        Minus the derivative of the matching loss by each population's potential.
    """
    row = _Row.of(circuit)
    return _backward(circuit, networks, error, row.split(activation.slope(row.join(state, error))))


def gradient(circuit: Circuit, weights: Weights, stimuli: np.ndarray, outcomes: np.ndarray) -> dict[str, np.ndarray]:
    """Direction in which backprop changes the weights of one network, summed over events.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    stimuli : array, shape (n_events, n_inputs)
    outcomes : array, shape (n_events, n_outputs)

    Returns
    -------
    dict of str to array, shape (post, pre)
        Minus the gradient of the matching loss, by projection.
    """
    networks = Networks.stack([weights])
    state = potentials(circuit, networks, torch.tensor(stimuli)[None])
    prediction = torch.cat([phi(state[p.name]) for p in circuit.error_sources], dim=-1)
    delta = deltas(circuit, networks, state, torch.tensor(outcomes)[None] - prediction)
    return {
        p.name: (delta[p.target].mT @ _rate(circuit, state, p.source))[0].numpy()
        for p in circuit.projections
        if p.target in delta
    }


def _rate(circuit: Circuit, state: Mapping[str, Tensor], population: str, activation: Activation = F_I_CURVE) -> Tensor:
    value = state[population]
    if circuit.population(population).role == "input":
        return value
    rate: Tensor = _Phi.apply(value) if value.requires_grad and activation.value is phi else activation.value(value)
    return rate


def _by_source(circuit: Circuit, outputs: Tensor) -> dict[str, Tensor]:
    pieces = torch.split(outputs, [p.size for p in circuit.error_sources], dim=-1)
    return dict(zip([p.name for p in circuit.error_sources], pieces, strict=True))


# ------------------------------------------------------------------------------------------ local inference


@dataclass(frozen=True)
class Inferred:
    """What a rule makes of outcomes before it learns: ``w += eta delta_post^T rate_pre``, summed over samples.

    Attributes
    ----------
    delta : dict of str to Tensor, shape (n_networks, n_samples, size)
        Error of every population from which an error source can be reached. Samples are the stimuli; for Latent
        Equilibrium every stimulus has one for each time step of the outcome.
    rate : dict of str to Tensor, shape (n_networks, n_samples, size)
        Presynaptic rate of every population.
    potential : dict of str to Tensor, shape (n_networks, n_stimuli, size)
        Of every population, at the end; for inputs, their rate.
    """

    delta: dict[str, Tensor]
    rate: dict[str, Tensor]
    potential: dict[str, Tensor]


def infer(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    outcome: Tensor,
    rule: Rule,
    *,
    activation: Activation = F_I_CURVE,
) -> Inferred:
    """Find every population's error, by any rule of the twin.

    Parameters
    ----------
    circuit : Circuit
    networks : Networks
    state : mapping of str to Tensor
        From `potentials`.
    outcome : Tensor, shape (n_networks, n_stimuli, n_outputs)
        What happens; the prediction itself where nothing does.
    rule : Backprop, PredictiveCoding or LatentEquilibrium
    activation : Activation, optional

    Returns
    -------
    Inferred

    Raises
    ------
    InferenceError
        Inference is unstable, or finds no equilibrium.
    """
    if isinstance(rule, PredictiveCoding):
        if rule.steps is None:
            return settle(
                circuit, networks, state, outcome, fixed_prediction=rule.fixed_prediction, activation=activation
            )
        *_, last = relax(circuit, networks, state, outcome, rule, activation=activation)
        return last
    if isinstance(rule, LatentEquilibrium):
        return nudge(circuit, networks, state, outcome, rule, activation=activation)
    error = outcome - activation.prediction(circuit, state)
    found = deltas(circuit, networks, state, error, activation=activation)
    return Inferred(found, _rates(circuit, state, activation), dict(state))


def relax(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    outcome: Tensor,
    rule: PredictiveCoding,
    *,
    activation: Activation = F_I_CURVE,
) -> Iterator[Inferred]:
    """Predictive coding, step by step: all potentials go down the energy at once, each by what its neighbours say.

    Parameters
    ----------
    circuit, networks, state, outcome
        As in `infer`.
    rule : PredictiveCoding
        With a number of steps.
    activation : Activation, optional

    Yields
    ------
    Inferred
        Before the first step and after each: ``rule.steps + 1`` in all.

    Raises
    ------
    InferenceError
        A step made the energy rise: the step size is too large for these weights.
    """
    row = _Row.of(circuit, sources=False)
    x = row.join(state, outcome)
    forward = _forward(circuit, networks, state, x, activation)
    force = torch.zeros_like(x)
    for step in range((rule.steps or 0) + 1):
        if step:
            x = x + rule.step_size * force
            if not rule.fixed_prediction:
                forward = _forward(circuit, networks, state, x, activation)
        error = outcome - activation.prediction(circuit, forward.source)
        before, (errors, force) = force, _errors(circuit, networks, x, forward, error)
        # The energy changes by -step_size/2 (F.F + F.F'), F and F' the forces before and after the step.
        gone = (before * (before + force)).sum((1, 2))
        if step == 0:
            scale = force.square().sum((1, 2))
        if not rule.fixed_prediction and not bool((gone >= -ROUNDING * scale).all()):
            stable = stable_step(circuit, networks, state, outcome, activation=activation)
            raise _unstable(rule, stable, f"the energy rises in step {step}")
        yield Inferred(errors, forward.rate, dict(state) | forward.source | row.split(x))


def settle(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    outcome: Tensor,
    *,
    fixed_prediction: bool = False,
    activation: Activation = F_I_CURVE,
) -> Inferred:
    """Predictive coding at equilibrium: where `relax` ends after very many small steps.

    There every error is the backpropagated one of the network with all errors added to its potentials, eps = J^T e,
    with e the error at the error sources and J the derivative of their potentials by eps. Solved by Gauss-Newton steps
    in e, which has few components: (1 + D K) z = e + D J eps, then eps = J^T z, with K = J J^T and D the slope of the
    outputs. For a linear network one step is exact. For others Anderson acceleration makes up for what such a step
    leaves out, and a step that leads past a minimum of the energy is halved. All this is a method of this program, not
    a claim about cells. It goes on until every network has settled, so beyond `TOLERANCE` the result for one depends
    on the others.

    Parameters
    ----------
    circuit, networks, state, outcome
        As in `infer`.
    fixed_prediction : bool, optional
        Slopes and predictions stay at their feed-forward values; then the equilibrium is backprop.
    activation : Activation, optional

    Returns
    -------
    Inferred

    Raises
    ------
    InferenceError
        `TOLERANCE` is not reached within `MAX_ITERATIONS`.
    """
    if fixed_prediction:
        return infer(circuit, networks, state, outcome, Backprop(), activation=activation)
    n_networks, n_stimuli, n_outputs = outcome.shape
    row, heard = _Row.of(circuit, sources=False), _Row.of(circuit)
    stimuli = torch.cat([state[p.name] for p in circuit.inputs], dim=-1)
    one_each = torch.eye(n_outputs, dtype=outcome.dtype, device=outcome.device).repeat(n_networks, n_stimuli, 1)
    x, eps = dict(state), torch.zeros_like(row.join(state, outcome))
    start, direction, descent, length = eps, eps, torch.zeros_like(eps[..., :1]), 1.0
    tried: list[tuple[Tensor, Tensor]] = []  # errors, and the steps from them
    for _ in range(MAX_ITERATIONS):
        slope = heard.split(activation.slope(heard.join(x, outcome)).repeat_interleave(n_outputs, 1))
        by_output = _backward(circuit, networks, one_each, slope)  # errors that an error of 1 in each output would be
        jacobian = row.join(by_output, one_each).unflatten(1, (n_stimuli, n_outputs))  # J^T
        error = outcome - activation.prediction(circuit, x)
        found = (error.unsqueeze(-2) @ jacobian).squeeze(-2)
        missing, size = (found - eps).square().sum(-1), found.square().sum(-1)
        if bool((missing <= TOLERANCE**2 * size).all()):
            at_source = {
                p.name: (error.unsqueeze(-2) @ by_output[p.name].unflatten(1, (n_stimuli, n_outputs))).squeeze(-2)
                for p in circuit.error_sources
            }
            return Inferred(at_source | row.split(eps), _rates(circuit, x, activation), x)
        output_slope = activation.prediction_slope(circuit, x)
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
        x = potentials(circuit, networks, stimuli, noise=_adding(row.split(eps)), activation=activation)
    left = (missing / size).sqrt().nan_to_num(0).amax(1)
    raise InferenceError(
        f"predictive coding finds no equilibrium for network {int(left.argmax())}: after {MAX_ITERATIONS} iterations "
        f"its errors are off by {float(left.max()):.1e} of their size, more than {TOLERANCE:g}. Lower the learning "
        "rate so that the weights stay small, or give a number of steps and a step_size."
    )


def _accelerated(tried: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Anderson's step: as if steps depended linearly on where they start, go to where they would vanish."""
    step = tried[-1][1]
    if len(tried) == 1:
        return step
    moved, changed = (torch.stack([b[k] - a[k] for a, b in pairwise(tried)], dim=-1) for k in (0, 1))
    gram = changed.mT @ changed
    scale = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] * ROUNDING**1.5 + torch.finfo(step.dtype).tiny
    weight = torch.linalg.solve(
        gram + scale * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device), changed.mT @ step.unsqueeze(-1)
    )
    return step - ((moved + changed) @ weight).squeeze(-1)


def _adding(eps: Mapping[str, Tensor]) -> Callable[[str, Tensor], Tensor]:
    return lambda name, v: v + eps[name] if name in eps else v


def nudge(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    outcome: Tensor,
    rule: LatentEquilibrium,
    *,
    activation: Activation = F_I_CURVE,
) -> Inferred:
    """Latent Equilibrium while an outcome is present; the weights are held until it is over.

    In every time step a cell reads the rates and errors that its neighbours had one time step earlier. With one time
    constant for the membrane and for looking ahead, the prospective potential is basal input plus error whatever the
    membrane potential is, so the latter is left out (`bioplastic.rules.latent_equilibrium`).

    Parameters
    ----------
    circuit, networks, state, outcome
        As in `infer`.
    rule : LatentEquilibrium
    activation : Activation, optional

    Returns
    -------
    Inferred
        One sample for each time step and stimulus, the first time step first; the errors are multiplied by dt, so that
        their sum over samples is the integral over the outcome.

    Raises
    ------
    InferenceError
        The error at the error sources grows: the nudging is too strong for these weights.
    """
    row = _Row.of(circuit)
    nothing = {name: torch.zeros_like(state[name]) for name in row.names}
    given = {p.name: state[p.name] for p in circuit.inputs}
    x = row.join(state, outcome)
    rate = activation.value(x)
    at_onset = error = outcome - activation.prediction(circuit, state)
    apical = row.join(nothing | _by_source(circuit, rule.beta * error), outcome)
    apicals, rates = [], []
    for _ in range(rule.steps):
        apicals.append(rule.dt * apical)
        rates.append(rate)
        mismatch = row.split(apical)  # of prospective potential and basal input
        read = given | row.split(rate)
        basal = {name: _basal(circuit, networks, read, circuit.population(name)) for name in row.names}
        x = row.join(basal, outcome) + apical
        rate = activation.value(x)
        error = outcome - activation.prediction(circuit, row.split(x))
        back = row.join(nothing | _feedback(circuit, networks, mismatch), outcome)
        apical = activation.slope(x) * back + row.join(nothing | _by_source(circuit, rule.beta * error), outcome)
    growth = (error.square().sum((1, 2)) / at_onset.square().sum((1, 2))).sqrt().nan_to_num(0)
    if not bool((growth <= MAX_GROWTH).all()):
        raise InferenceError(
            f"beta = {rule.beta:g} is unstable: in network {int(growth.argmax())} the error at the error sources grows "
            f"by a factor of {float(growth.max()):.3g} while the outcome is present. The nudging is too strong for "
            f"these weights; give beta={rule.beta / 3:.2g} or less."
        )
    delta, rates_by_name = row.split(torch.cat(apicals, 1)), row.split(torch.cat(rates, 1))
    held = {name: v.repeat(1, rule.steps, 1) for name, v in given.items()}
    return Inferred(delta, held | rates_by_name, dict(state) | row.split(x))


def stable_step(
    circuit: Circuit,
    networks: Networks,
    state: Mapping[str, Tensor],
    outcome: Tensor,
    *,
    activation: Activation = F_I_CURVE,
) -> np.ndarray:
    """Step size below which predictive coding is stable, near the feed-forward state.

    It is 2/lambda, with lambda the largest curvature of the energy, from `CURVATURE_ITERATIONS` Lanczos steps.

    Parameters
    ----------
    circuit, networks, state, outcome, activation
        As in `infer`.

    Returns
    -------
    array, shape (n_networks,)
        Infinite where no population is hidden.
    """
    row = _Row.of(circuit, sources=False)
    start = row.join(state, outcome)
    if not row.names:
        return np.full(len(start), np.inf)

    def force(x: Tensor) -> Tensor:
        forward = _forward(circuit, networks, state, x, activation)
        error = outcome - activation.prediction(circuit, forward.source)
        return _errors(circuit, networks, x, forward, error)[1]

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


def _unstable(rule: PredictiveCoding, stable: np.ndarray, problem: str) -> InferenceError:
    limit = float(stable.min())
    return InferenceError(
        f"step_size = {rule.step_size:g} is unstable: {problem}. With the weights of network {int(stable.argmin())} "
        f"predictive coding is stable below {limit:.3g}; give step_size={0.9 * limit:.2g} or less, and more steps."
    )


@dataclass(frozen=True)
class _Row:
    """Populations side by side in one tensor, so that what is done cell by cell is done to all of them at once."""

    names: list[str]
    sizes: list[int]

    @classmethod
    def of(cls, circuit: Circuit, *, sources: bool = True) -> _Row:
        """Those from which an error source can be reached, with or without the error sources themselves."""
        members = [
            p
            for p in circuit.order
            if np.isfinite(circuit.population_hops[p.name])
            and (p.role == "hidden" or (sources and p.role == "error source"))
        ]
        return cls([p.name for p in members], [p.size for p in members])

    def join(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Put them side by side; `like` says what kind of tensor it is when there are none."""
        return torch.cat([like[..., :0], *(parts[name] for name in self.names)], dim=-1)

    def split(self, joined: Tensor) -> dict[str, Tensor]:
        """Give each its name again."""
        return dict(zip(self.names, torch.split(joined, self.sizes, dim=-1), strict=True)) if self.names else {}


@dataclass(frozen=True)
class _Forward:
    """What the potentials of hidden populations (a row) lead to.

    Attributes
    ----------
    predicted, slope : Tensor
        Predicted potential and slope of the hidden populations, a row.
    source, source_slope : dict of str to Tensor
        Potential of an error source, which has no potential but its prediction, and its slope.
    rate : dict of str to Tensor
        Of all these and of the inputs.
    """

    predicted: Tensor
    slope: Tensor
    source: dict[str, Tensor]
    source_slope: dict[str, Tensor]
    rate: dict[str, Tensor]


def _forward(
    circuit: Circuit, networks: Networks, state: Mapping[str, Tensor], x: Tensor, activation: Activation
) -> _Forward:
    row = _Row.of(circuit, sources=False)
    rate = {p.name: state[p.name] for p in circuit.inputs} | row.split(activation.value(x))
    source: dict[str, Tensor] = {}
    for population in circuit.order:
        if population.role == "error source":
            source[population.name] = _basal(circuit, networks, rate, population)
            rate[population.name] = activation.value(source[population.name])
    predicted = {name: _basal(circuit, networks, rate, circuit.population(name)) for name in row.names}
    slope = {name: activation.slope(v) for name, v in source.items()}
    return _Forward(row.join(predicted, x), activation.slope(x), source, slope, rate)


def _errors(
    circuit: Circuit, networks: Networks, x: Tensor, forward: _Forward, error: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Errors of predictive coding, and the force on the hidden potentials, a row: minus the energy's derivative."""
    row = _Row.of(circuit, sources=False)
    difference = x - forward.predicted
    hidden = row.split(difference)
    errors = _backward(circuit, networks, error, forward.source_slope, hidden)
    return errors, forward.slope * row.join(_feedback(circuit, networks, errors), x) - difference


def _backward(
    circuit: Circuit,
    networks: Networks,
    error: Tensor,
    slope: Mapping[str, Tensor],
    given: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Hand the error of the error sources upstream; it does not get past populations whose error is given."""
    found = _by_source(circuit, error) | dict(given or {})
    for population in reversed(circuit.order):
        name = population.name
        if population.role == "input" or (given and name in given):
            continue
        back = _feedback(circuit, networks, found, [name])
        if name in back:
            found[name] = found.get(name, 0) + slope[name] * back[name]
    return found


def _feedback(
    circuit: Circuit, networks: Networks, errors: Mapping[str, Tensor], names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """What arrives at populations from all errors downstream, where there are any; inputs hear nothing."""
    found: dict[str, Tensor] = {}
    for p in circuit.projections:
        if p.target in errors and (p.source in names if names is not None else True):
            part = errors[p.target] @ networks.forward[p.name]
            found[p.source] = found[p.source] + part if p.source in found else part
    return found


def _basal(circuit: Circuit, networks: Networks, rate: Mapping[str, Tensor], population: Population) -> Tensor:
    """What a population's sources drive it to."""
    incoming = [rate[p.source] @ networks.forward[p.name].mT for p in circuit.incoming(population)]
    return sum(incoming, networks.bias[population.name].unsqueeze(1))


def _rates(circuit: Circuit, state: Mapping[str, Tensor], activation: Activation) -> dict[str, Tensor]:
    return {
        p.name: state[p.name] if p.role == "input" else activation.value(state[p.name]) for p in circuit.populations
    }


# ------------------------------------------------------------------------------------------ lives


@dataclass(frozen=True)
class TwinLife:
    """One life of one network: what it starts from, what happens to it, and how it learns.

    Attributes
    ----------
    schedule : Schedule
    rule : Backprop, PredictiveCoding or LatentEquilibrium
    weights : Weights
    snapshots : sequence of int
        Events after which the weights are recorded.
    """

    schedule: Schedule
    rule: Rule
    weights: Weights
    snapshots: Sequence[int] = ()


@dataclass(frozen=True)
class TwinLived:
    """What a life leaves behind.

    Attributes
    ----------
    prediction : array, shape (n_events, n_outputs)
        Before each outcome; NaN at a rest, which shows nothing.
    error_signal : array, shape (n_events, n_hops)
        Sum of |delta| over the cells at each hop; for Latent Equilibrium its integral over the outcome.
    snapshots : list of Weights
    weights : Weights
        At the end.
    """

    prediction: np.ndarray
    error_signal: np.ndarray
    snapshots: list[Weights]
    weights: Weights


def live(
    circuit: Circuit, task: Task, lives: Sequence[TwinLife], *, progress: Progress | None = None, device: str = "cpu"
) -> list[TwinLived]:
    """Live many lives at once: every step of the loop handles one event of all networks.

    A replay is an event like any other. In a rest nothing is shown and nothing learned, however long it is.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    lives : sequence of TwinLife
        All of the same number of events, and of one kind of rule: only the learning rates may differ, by hop too. Of
        sparse backprop all keep the same fraction.
    progress : callable, optional
    device : str, optional
        Torch device.

    Returns
    -------
    list of TwinLived

    Raises
    ------
    ValueError
        The lives differ in their number of events, or in how they infer.
    InferenceError
        Inference is unstable, or finds no equilibrium.
    """
    n_events = len(lives[0].schedule)
    if any(len(life.schedule) != n_events for life in lives):
        lengths = sorted({len(life.schedule) for life in lives})
        raise ValueError(f"lives of {lengths} events cannot be lived at once; give all the same number of events.")
    rule = _one_inference([life.rule for life in lives])
    for life in lives:
        life.schedule.check(task, life.snapshots)
    networks = Networks.stack([life.weights for life in lives], device)
    stimuli = torch.tensor(task.stimuli, device=device)
    outcomes = torch.tensor(task.outcomes, device=device)
    reward = None if task.reward is None else torch.tensor(task.reward, dtype=outcomes.dtype, device=device)
    stimulus = torch.tensor(np.stack([life.schedule.stimulus for life in lives]), device=device)
    resting = torch.tensor(np.stack([life.schedule.resting for life in lives]), device=device)
    outcome = torch.tensor(np.stack([life.schedule.outcome for life in lives]), device=device)
    outcome = outcome.masked_fill(resting, NO_OUTCOME)
    eta = torch.tensor(np.stack([life.rule.rates(circuit.n_hops) for life in lives]), device=device)
    learns = bool(eta.any())
    sparse = rule if isinstance(rule, Backprop) and rule.kept < 1 else None
    hop = {name: int(h) for name, h in circuit.population_hops.items() if np.isfinite(h)}
    predictions = torch.full((len(lives), n_events, outcomes.shape[1]), torch.nan, dtype=torch.float64, device=device)
    signals = torch.zeros(len(lives), n_events, circuit.n_hops, dtype=torch.float64, device=device)
    snapshots: list[list[Weights]] = [[] for _ in lives]
    wanted: dict[int, list[int]] = {}
    for k, life in enumerate(lives):
        for event in life.snapshots:
            wanted.setdefault(int(event), []).append(k)
    checked = False
    for event in range(n_events):
        if not resting[:, event].all():
            state = potentials(circuit, networks, stimuli[stimulus[:, event], None])
            prediction = torch.cat([phi(state[p.name]) for p in circuit.error_sources], dim=-1)
            predictions[:, event] = prediction[:, 0].masked_fill(resting[:, event, None], torch.nan)
            happens = outcome[:, event]
            known = (happens != NO_OUTCOME) & (happens != OWN_PREDICTION)
            told = outcomes[happens.clamp(min=0), None]
            if reward is not None:
                told = prediction + reward[happens.clamp(min=0), None] * (told - prediction)
            happening = torch.where(known[:, None, None], told, prediction)
            if not checked:
                _check_step(circuit, networks, state, happening, rule)
                checked = True
            inferred = infer(circuit, networks, state, happening, rule)
            for name, value in inferred.delta.items():
                signals[:, event, hop[name]] += value.abs().sum((1, 2))
            if learns:
                _learn(circuit, networks, inferred, eta, sparse)
        for k in wanted.get(event, ()):
            snapshots[k].append(networks.weights(k))
        if progress is not None:
            progress((event + 1) / n_events)
    return [
        TwinLived(predictions[k].cpu().numpy(), signals[k].cpu().numpy(), snapshots[k], networks.weights(k))
        for k in range(len(lives))
    ]


def _learn(circuit: Circuit, networks: Networks, inferred: Inferred, eta: Tensor, sparse: Backprop | None) -> None:
    """Change weights and biases by what a rule has made of an event, at rates `eta` (n_networks, n_hops)."""
    rates = {name: eta[:, int(circuit.population_hops[name]), None] for name in inferred.delta}
    for projection in circuit.projections:
        if projection.plastic and projection.target in inferred.delta:
            step = rates[projection.target].unsqueeze(2) * inferred.delta[projection.target]
            weights, rate = networks.forward[projection.name], inferred.rate[projection.source]
            if sparse is None:
                weights.baddbmm_(step.mT, rate)
            else:
                weights += _largest(step.mT @ rate, sparse)
    for name, value in inferred.delta.items():
        step = rates[name] * value.sum(1)
        networks.bias[name] += step if sparse is None else _largest(step, sparse)


def _largest(entries: Tensor, rule: Backprop) -> Tensor:
    """Set all but the entries that the rule keeps to 0, in each network; which of equal ones it keeps is open."""
    flat = entries.flatten(1)
    chosen = flat.abs().topk(rule.n_kept(flat.shape[1]), dim=1, sorted=False).indices
    return torch.zeros_like(flat).scatter_(1, chosen, flat.gather(1, chosen)).view_as(entries)


def _one_inference(rules: Sequence[Rule]) -> Rule:
    """Return a rule that infers as all of them do, and keeps as much of what it finds."""
    silent = [Backprop(kept=rule.kept) if isinstance(rule, Backprop) else replace(rule, eta=0.0) for rule in rules]
    for rule in silent:
        if rule != silent[0]:
            raise ValueError(
                f"lives by {silent[0]} and by {rule} cannot be lived at once; give lives of one kind of rule, whose "
                "parameters differ in the learning rates only, and call live() once for each kind."
            )
    return silent[0]


def _check_step(circuit: Circuit, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor, rule: Rule) -> None:
    if isinstance(rule, PredictiveCoding) and rule.steps is not None and not rule.fixed_prediction:
        stable = stable_step(circuit, networks, state, outcome)
        if rule.step_size >= stable.min():
            raise _unstable(rule, stable, "its errors would grow from step to step")


# ------------------------------------------------------------------------------------------ pretraining


@dataclass(frozen=True)
class Pretraining:
    """How the weights come about that both learners start from.

    The start is orthogonal and the potentials are kept small, so that backprop's gradient does not shrink along the
    chain; noise in training makes the network tolerate that of spikes.

    Attributes
    ----------
    steps : int
        Gradient steps (Adam).
    batch : int
        Stimuli per step.
    learning_rate : float
        At the start; it falls linearly to nearly 0.
    noise : float
        Standard deviation of the noise on a potential, as a fraction of what random rates 0 and 1 upstream would give.
    largest_potential : float
        |V| beyond which a potential is penalised (phi is all but linear below 0.6).
    penalty : float
        Weight of that penalty.
    """

    steps: int = 900
    batch: int = 64
    learning_rate: float = 6e-3
    noise: float = 0.1
    largest_potential: float = 0.6
    penalty: float = 0.3


def pretrain(
    circuit: Circuit,
    task: Task,
    seeds: Sequence[int],
    settings: Pretraining | None = None,
    *,
    progress: Progress | None = None,
) -> list[Weights]:
    """Teach the background, and nothing else, to fresh networks by backprop.

    Parameters
    ----------
    circuit : Circuit
    task : Task
        Only its background stimuli that are not held out are used.
    seeds : sequence of int
        For each network, the seed of its start weights, batches and noise.
    settings : Pretraining, optional
    progress : callable, optional

    Returns
    -------
    list of Weights
        One for each seed.
    """
    settings = settings or Pretraining()
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def random(draw: Callable[..., Tensor], *arguments: Any) -> Tensor:
        return torch.stack([draw(*arguments, generator=g) for g in generators])

    forward: dict[str, Tensor] = {}
    bias = {p.name: torch.zeros(len(seeds), p.size) for p in circuit.populations if p.role != "input"}
    for projection in circuit.projections:
        post, pre = circuit.shape(projection)
        start = torch.linalg.qr(random(torch.randn, (max(post, pre), max(post, pre))))[0][:, :post, :pre]
        forward[projection.name] = (2 * start).clone().requires_grad_()  # 2 undoes phi's slope of 1/2
        bias[projection.target] -= start.sum(2)  # so that rates of 1/2 upstream give rates of 1/2
    networks = Networks(forward, {name: b.requires_grad_() for name, b in bias.items()})
    background = torch.tensor(task.indices(rare=False, held_out=False))
    stimuli = torch.tensor(task.stimuli, dtype=torch.float32)
    outcomes = torch.tensor(task.outcomes, dtype=torch.float32)
    label = torch.tensor(task.label)
    hidden = {p.name for p in circuit.populations if p.role == "hidden"}
    optimiser = torch.optim.Adam([*forward.values(), *bias.values()], lr=settings.learning_rate, fused=True)
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.steps) + 1e-5
        chosen = background[random(torch.randint, len(background), (settings.batch,))]
        too_large: list[Tensor] = []

        def noisy(population: str, v: Tensor, too_large: list[Tensor] = too_large) -> Tensor:
            if population in hidden:
                over = (v.abs() - settings.largest_potential).relu()
                too_large.append(over.square().sum() / (settings.batch * len(hidden)))
            power = sum(forward[p.name].square().sum(2) for p in circuit.incoming(circuit.population(population)))
            return v + (settings.noise / 2 * power.sqrt()).unsqueeze(1) * random(torch.randn, v.shape[1:])

        state = potentials(circuit, networks, stimuli[chosen], noise=noisy)
        prediction = torch.cat([_rate(circuit, state, p.name) for p in circuit.error_sources], dim=-1)
        error = (prediction - outcomes[label[chosen]]).square().sum() / settings.batch  # networks do not interact
        optimiser.zero_grad()
        (error + settings.penalty * sum(too_large)).backward()
        optimiser.step()
        if progress is not None:
            progress((step + 1) / settings.steps)
    detached = Networks(*({k: v.detach().double() for k, v in part.items()} for part in (forward, networks.bias)))
    return [detached.weights(k) for k in range(len(seeds))]


def pretrained(
    circuit: Circuit,
    task: Task,
    seeds: Sequence[int],
    settings: Pretraining | None = None,
    *,
    cache: Path,
    progress: Progress | None = None,
) -> list[Weights]:
    """`pretrain`, once: afterwards from `cache`, where the file's name is the hash of all that made the weights."""
    settings = settings or Pretraining()
    made_of = hashlib.sha256()
    program = [inspect.getsource(part) for part in (pretrained, pretrain, potentials, _basal, _rate, _Phi, phi_slope)]
    for text in (circuit.to_json(), repr(asdict(settings)), torch.__version__, PHI, *program):
        made_of.update(text.encode())
    for array in (task.stimuli, task.outcomes, task.label, task.held_out):
        made_of.update(np.ascontiguousarray(array).tobytes())
    made_of.update(str(task.rare_label).encode())
    paths = {seed: cache / f"{made_of.hexdigest()[:16]}-{seed}.npz" for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    for k, seed in enumerate(missing):

        def beside_others(fraction: float, k: int = k) -> None:
            if progress is not None:
                progress((k + fraction) / len(missing))

        # Each alone: how a batch is rounded depends on its size, and what a seed gives must not depend on other seeds.
        weights = pretrain(circuit, task, [seed], settings, progress=beside_others)[0]
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"{os.getpid()}.part.npz"
        arrays: dict[str, Any] = {f"forward/{name}": w for name, w in weights.forward.items()}
        arrays |= {f"bias/{name}": b for name, b in weights.bias.items()}
        np.savez(unfinished, **arrays)
        os.replace(unfinished, paths[seed])
    return [_stored(paths[seed]) for seed in seeds]


def _stored(path: Path) -> Weights:
    with np.load(path) as file:
        forward, bias = ({k.split("/")[1]: file[k] for k in file if k.startswith(part)} for part in ("forward", "bias"))
        return Weights(forward, bias)
