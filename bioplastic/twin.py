"""The rate twin in torch: same circuit, weights and events, taught by backprop; many networks in one program."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioplastic.cells import PHI, phi, phi_slope
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION, Schedule
from bioplastic.rules.backprop import Backprop
from bioplastic.tasks import Task

Progress = Callable[[float], None]
"""Called with the fraction that is done."""


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
    circuit: Circuit, networks: Networks, stimuli: Tensor, *, noise: Callable[[str, Tensor], Tensor] | None = None
) -> dict[str, Tensor]:
    """Run all networks forward.

    Parameters
    ----------
    circuit : Circuit
        Acyclic.
    networks : Networks
    stimuli : Tensor, shape (n_networks, n_stimuli, n_inputs)
    noise : callable, optional
        Given a population and its potentials, returns them with noise.

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
        v = networks.bias[population.name].unsqueeze(1)
        for projection in circuit.incoming(population):
            pre = _rate(circuit, state, projection.source)
            v = v + pre @ networks.forward[projection.name].mT
        v = v.expand(-1, stimuli.shape[1], -1)
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


def deltas(circuit: Circuit, networks: Networks, state: Mapping[str, Tensor], error: Tensor) -> dict[str, Tensor]:
    """Backpropagate an error through all networks.

    Parameters
    ----------
    circuit : Circuit
    networks : Networks
    state : mapping of str to Tensor
        From `potentials`.
    error : Tensor, shape (n_networks, n_stimuli, n_outputs)
        Outcome minus prediction.

    Returns
    -------
    dict of str to Tensor, shape (n_networks, n_stimuli, size)
        Minus the derivative of the matching loss by each population's potential.
    """
    pieces = torch.split(error, [p.size for p in circuit.error_sources], dim=-1)
    found: dict[str, Tensor] = dict(zip([p.name for p in circuit.error_sources], pieces, strict=True))
    for population in reversed(circuit.order):
        if population.role == "input":
            continue
        backward = [
            found[p.target] @ networks.forward[p.name]
            for p in circuit.projections
            if p.source == population.name and p.target in found
        ]
        if backward:
            upstream = phi_slope(state[population.name]) * torch.stack(backward).sum(0)
            found[population.name] = found.get(population.name, 0) + upstream
    return found


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


def _rate(circuit: Circuit, state: Mapping[str, Tensor], population: str) -> Tensor:
    value = state[population]
    if circuit.population(population).role == "input":
        return value
    rate: Tensor = _Phi.apply(value) if value.requires_grad else phi(value)
    return rate


# ------------------------------------------------------------------------------------------ lives


@dataclass(frozen=True)
class TwinLife:
    """One life of one network: what it starts from, what happens to it, and how it learns.

    Attributes
    ----------
    schedule : Schedule
    rule : Backprop
    weights : Weights
    snapshots : sequence of int
        Events after which the weights are recorded.
    """

    schedule: Schedule
    rule: Backprop
    weights: Weights
    snapshots: Sequence[int] = ()


@dataclass(frozen=True)
class TwinLived:
    """What a life leaves behind.

    Attributes
    ----------
    prediction : array, shape (n_events, n_outputs)
        Before each outcome.
    error_signal : array, shape (n_events, n_hops)
        Sum of |delta| over the cells at each hop.
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

    Parameters
    ----------
    circuit : Circuit
    task : Task
    lives : sequence of TwinLife
        All of the same number of events.
    progress : callable, optional
    device : str, optional
        Torch device.

    Returns
    -------
    list of TwinLived

    Raises
    ------
    ValueError
        The lives differ in their number of events.
    """
    n_events = len(lives[0].schedule)
    if any(len(life.schedule) != n_events for life in lives):
        lengths = sorted({len(life.schedule) for life in lives})
        raise ValueError(f"lives of {lengths} events cannot be lived at once; give all the same number of events.")
    for life in lives:
        life.schedule.check(task, life.snapshots)
    networks = Networks.stack([life.weights for life in lives], device)
    stimuli = torch.tensor(task.stimuli, device=device)
    outcomes = torch.tensor(task.outcomes, device=device)
    stimulus = torch.tensor(np.stack([life.schedule.stimulus for life in lives]), device=device)
    outcome = torch.tensor(np.stack([life.schedule.outcome for life in lives]), device=device)
    eta = torch.tensor(np.stack([life.rule.rates(circuit.n_hops) for life in lives]), device=device)
    learns = bool(eta.any())
    hop = {name: int(h) for name, h in circuit.population_hops.items() if np.isfinite(h)}
    predictions = torch.empty(len(lives), n_events, outcomes.shape[1], dtype=torch.float64, device=device)
    signals = torch.zeros(len(lives), n_events, circuit.n_hops, dtype=torch.float64, device=device)
    snapshots: list[list[Weights]] = [[] for _ in lives]
    wanted: dict[int, list[int]] = {}
    for k, life in enumerate(lives):
        for event in life.snapshots:
            wanted.setdefault(int(event), []).append(k)
    for event in range(n_events):
        state = potentials(circuit, networks, stimuli[stimulus[:, event], None])
        prediction = torch.cat([phi(state[p.name]) for p in circuit.error_sources], dim=-1)
        predictions[:, event] = prediction[:, 0]
        happens = outcome[:, event]
        known = (happens != NO_OUTCOME) & (happens != OWN_PREDICTION)
        error = torch.where(known[:, None, None], outcomes[happens.clamp(min=0), None] - prediction, 0.0)
        delta = deltas(circuit, networks, state, error)
        for name, value in delta.items():
            signals[:, event, hop[name]] += value.abs().sum((1, 2))
        if learns:
            for projection in circuit.projections:
                if projection.plastic and projection.target in delta:
                    step = eta[:, hop[projection.target], None, None] * delta[projection.target]
                    networks.forward[projection.name].baddbmm_(step.mT, _rate(circuit, state, projection.source))
            for name, value in delta.items():
                networks.bias[name] += eta[:, hop[name], None] * value[:, 0]
        for k in wanted.get(event, ()):
            snapshots[k].append(networks.weights(k))
        if progress is not None:
            progress((event + 1) / n_events)
    return [
        TwinLived(predictions[k].cpu().numpy(), signals[k].cpu().numpy(), snapshots[k], networks.weights(k))
        for k in range(len(lives))
    ]


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
    for part in (circuit.to_json(), repr(asdict(settings)), torch.__version__, Path(__file__).read_text(), PHI):
        made_of.update(part.encode())
    for array in (task.stimuli, task.outcomes, task.label, task.held_out):
        made_of.update(np.ascontiguousarray(array).tobytes())
    made_of.update(str(task.rare_label).encode())
    paths = {seed: cache / f"{made_of.hexdigest()[:16]}-{seed}.npz" for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    made = pretrain(circuit, task, missing, settings, progress=progress) if missing else []
    for seed, weights in zip(missing, made, strict=True):
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
