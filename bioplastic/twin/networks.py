"""Networks in torch: the weights of several networks of one circuit, and what their neighbours say to cells.

`Networks` has what a rule of the twin is written with. Going forward: `potentials`, `basal`, `rates`, `prediction`.
Going back: `feedback`, `backward`, `deltas`. What is done cell by cell is quicker with the populations side by side in
one tensor, which a `Row` makes of them: `hidden` and `learning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Circuit, Population, Weights


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


F_I_CURVE = Activation()
"""The cells of the twin; other networks may have others."""


class _Phi(torch.autograd.Function):
    """`phi` with its derivative written out: autograd's own graph of it costs three times as much."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return phi(v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * phi_slope(ctx.saved_tensors[0])


@dataclass(frozen=True)
class Row:
    """Populations side by side in one tensor, so that what is done cell by cell is done to all of them at once.

    Attributes
    ----------
    names : list of str
    sizes : list of int
    """

    names: list[str]
    sizes: list[int]

    @classmethod
    def of(cls, populations: Sequence[Population]) -> Row:
        """Put them in this order."""
        return cls([p.name for p in populations], [p.size for p in populations])

    def join(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Put them side by side; `like` says what kind of tensor it is when there are none."""
        return torch.cat([like[..., :0], *(parts[name] for name in self.names)], dim=-1)

    def split(self, joined: Tensor) -> dict[str, Tensor]:
        """Give each its name again."""
        return dict(zip(self.names, torch.split(joined, self.sizes, dim=-1), strict=True)) if self.names else {}


@dataclass(frozen=True)
class Networks:
    """Several networks of one circuit.

    What the methods take and give are tensors by population, shape (n_networks, n_stimuli, size).

    Attributes
    ----------
    circuit : Circuit
        Acyclic.
    forward : dict of str to Tensor, shape (n_networks, post, pre)
        Weights by projection.
    bias : dict of str to Tensor, shape (n_networks, size)
        By population.
    activation : Activation
    """

    circuit: Circuit
    forward: dict[str, Tensor]
    bias: dict[str, Tensor]
    activation: Activation = F_I_CURVE

    @classmethod
    def stack(
        cls, circuit: Circuit, weights: Sequence[Weights], *, activation: Activation = F_I_CURVE, device: str = "cpu"
    ) -> Networks:
        """Stack the weights of single networks, in float64."""

        def stacked(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
            return {name: torch.tensor(np.stack([p[name] for p in parts]), device=device) for name in parts[0]}

        return cls(circuit, stacked([w.forward for w in weights]), stacked([w.bias for w in weights]), activation)

    def weights(self, k: int) -> Weights:
        """Weights of the k-th network, as arrays of its own."""
        return Weights(
            {name: w[k].cpu().numpy().copy() for name, w in self.forward.items()},
            {name: b[k].cpu().numpy().copy() for name, b in self.bias.items()},
        )

    @cached_property
    def hidden(self) -> Row:
        """Hidden populations from which an error source can be reached."""
        return Row.of([p for p in self._reaching if p.role == "hidden"])

    @cached_property
    def learning(self) -> Row:
        """The same, and the error sources: all that can have an error."""
        return Row.of([p for p in self._reaching if p.role != "input"])

    @cached_property
    def _reaching(self) -> list[Population]:
        return [p for p in self.circuit.order if np.isfinite(self.circuit.population_hops[p.name])]

    # -------------------------------------------------------------------------------------- forward

    def potentials(
        self, stimuli: Tensor, *, perturb: Callable[[str, Tensor], Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run all networks forward.

        Parameters
        ----------
        stimuli : Tensor, shape (n_networks, n_stimuli, n_inputs)
        perturb : callable, optional
            Given a population and its potentials, returns them with noise, or with whatever else is added.

        Returns
        -------
        dict of str to Tensor
            Potential V of every population that is not an input; for inputs, their rate.

        Raises
        ------
        CircuitError
            The circuit has a cycle.
        """
        state: dict[str, Tensor] = {}
        pieces = torch.split(stimuli, [p.size for p in self.circuit.inputs], dim=-1)
        given = dict(zip([p.name for p in self.circuit.inputs], pieces, strict=True))
        for population in self.circuit.order:
            if population.role == "input":
                state[population.name] = given[population.name]
                continue
            rate = {p.source: self.rate(p.source, state) for p in self.circuit.incoming(population)}
            v = self.basal(population.name, rate).expand(-1, stimuli.shape[1], -1)
            state[population.name] = v if perturb is None else perturb(population.name, v)
        return state

    def basal(self, name: str, rate: Mapping[str, Tensor]) -> Tensor:
        """What the rates of its sources drive a population to."""
        incoming = self.circuit.incoming(self.circuit.population(name))
        return sum([rate[p.source] @ self.forward[p.name].mT for p in incoming], self.bias[name].unsqueeze(1))

    def rate(self, name: str, state: Mapping[str, Tensor]) -> Tensor:
        """Rate of one population."""
        value, rate_of = state[name], self.activation.value
        if self.circuit.population(name).role == "input":
            return value
        rate: Tensor = _Phi.apply(value) if value.requires_grad and rate_of is phi else rate_of(value)
        return rate

    def rates(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rates of all populations."""
        return {p.name: self.rate(p.name, state) for p in self.circuit.populations}

    def prediction(self, state: Mapping[str, Tensor]) -> Tensor:
        """What the error sources predict, shape (n_networks, n_stimuli, n_outputs)."""
        output, sources = self.activation.output, [p.name for p in self.circuit.error_sources]
        return torch.cat([output(state[n]) if output else self.rate(n, state) for n in sources], dim=-1)

    def prediction_slope(self, state: Mapping[str, Tensor]) -> Tensor:
        """Derivative of `prediction` by the potentials of the error sources, same shape."""
        slope = self.activation.output_slope or self.activation.slope
        return torch.cat([slope(state[p.name]) for p in self.circuit.error_sources], dim=-1)

    # -------------------------------------------------------------------------------------- back

    def at_sources(self, outputs: Tensor) -> dict[str, Tensor]:
        """Give each error source its part of something of shape (n_networks, n_stimuli, n_outputs)."""
        return Row.of(self.circuit.error_sources).split(outputs)

    def feedback(self, errors: Mapping[str, Tensor], names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """What arrives at populations from all errors downstream, where there are any.

        Parameters
        ----------
        errors : mapping of str to Tensor
        names : sequence of str, optional
            Populations at which it arrives; all by default.

        Returns
        -------
        dict of str to Tensor
            The sum of W^T error over what lies downstream.
        """
        found: dict[str, Tensor] = {}
        for p in self.circuit.projections:
            if p.target in errors and (names is None or p.source in names):
                part = errors[p.target] @ self.forward[p.name]
                found[p.source] = found[p.source] + part if p.source in found else part
        return found

    def backward(
        self, error: Tensor, slope: Mapping[str, Tensor], *, given: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Hand the error of the error sources upstream.

        Parameters
        ----------
        error : Tensor, shape (n_networks, n_stimuli, n_outputs)
        slope : mapping of str to Tensor
            By which what arrives at a population is multiplied.
        given : mapping of str to Tensor, optional
            Errors that are known; what comes from downstream does not get past these populations.

        Returns
        -------
        dict of str to Tensor
            Error of every population that has one.
        """
        found = self.at_sources(error) | dict(given or {})
        for population in reversed(self.circuit.order):
            name = population.name
            if population.role == "input" or (given and name in given):
                continue
            back = self.feedback(found, [name])
            if name in back:
                found[name] = found.get(name, 0) + slope[name] * back[name]
        return found

    def deltas(self, state: Mapping[str, Tensor], error: Tensor) -> dict[str, Tensor]:
        """Backpropagate an error through all networks.

        Parameters
        ----------
        state : mapping of str to Tensor
            From `potentials`.
        error : Tensor, shape (n_networks, n_stimuli, n_outputs)
            Outcome minus prediction.

        Returns
        -------
        dict of str to Tensor
            Minus the derivative of the matching loss by each population's potential.
        """
        row = self.learning
        return self.backward(error, row.split(self.activation.slope(row.join(state, error))))


def predict(circuit: Circuit, weights: Sequence[Weights], stimuli: np.ndarray) -> np.ndarray:
    """What networks predict at rest.

    Parameters
    ----------
    circuit : Circuit
    weights : sequence of Weights
        Of each network.
    stimuli : array, shape (n_stimuli, n_inputs)

    Returns
    -------
    array, shape (n_networks, n_stimuli, n_outputs)
        Rates of the error sources, as fractions of the maximal rate.

    Raises
    ------
    CircuitError
        The circuit has a cycle.
    """
    networks = Networks.stack(circuit, weights)
    state = networks.potentials(torch.tensor(stimuli).expand(len(weights), -1, -1))
    return networks.prediction(state).numpy()


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

    Raises
    ------
    CircuitError
        The circuit has a cycle.
    """
    networks = Networks.stack(circuit, [weights])
    state = networks.potentials(torch.tensor(stimuli)[None])
    delta = networks.deltas(state, torch.tensor(outcomes)[None] - networks.prediction(state))
    return {
        p.name: (delta[p.target].mT @ networks.rate(p.source, state))[0].numpy()
        for p in circuit.projections
        if p.target in delta
    }
