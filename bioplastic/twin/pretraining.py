"""Pretraining: the weights that both learners start from, by backprop, and the cache that keeps them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bioplastic.cache import writing
from bioplastic.circuit import Circuit, Weights
from bioplastic.fingerprint import code_of
from bioplastic.tasks import Task
from bioplastic.twin.networks import Networks
from bioplastic.twin.threads import one_thread

Progress = Callable[[float], None]
"""Called with the fraction that is done."""


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

    Each seed is trained alone, on the CPU and with one thread, since rounding depends on all three: on one machine, its
    bits depend on nothing but the seed, the circuit, the task and the settings.

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
    found = []
    for k, seed in enumerate(seeds):
        part = _part(progress, k, len(seeds))
        # Torch may have been told not to differentiate, or to multiply in half precision, by whoever calls.
        with one_thread(), torch.inference_mode(False), torch.autocast("cpu", enabled=False):
            found.append(_train(circuit, task, seed, settings, part))
    return found


def _part(progress: Progress | None, k: int, n: int) -> Progress:
    """Report the progress of the k-th of n equal parts."""

    def report(fraction: float) -> None:
        if progress is not None:
            progress((k + fraction) / n)

    return report


def _train(circuit: Circuit, task: Task, seed: int, settings: Pretraining, progress: Progress) -> Weights:
    generator = torch.Generator("cpu").manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=generator, dtype=torch.float32, device="cpu")

    forward: dict[str, Tensor] = {}
    bias = {
        p.name: torch.zeros(1, p.size, dtype=torch.float32, device="cpu")
        for p in circuit.populations
        if p.role != "input"
    }
    for projection in circuit.projections:
        post, pre = circuit.shape(projection)
        start = torch.linalg.qr(normal(max(post, pre), max(post, pre)))[0][:, :post, :pre]
        forward[projection.name] = (2 * start).clone().requires_grad_()  # 2 undoes phi's slope of 1/2
        bias[projection.target] -= start.sum(2)  # so that rates of 1/2 upstream give rates of 1/2
    networks = Networks(circuit, forward, {name: b.requires_grad_() for name, b in bias.items()})
    background = torch.tensor(task.indices(rare=False, held_out=False), device="cpu")
    stimuli = torch.tensor(task.stimuli, dtype=torch.float32, device="cpu")
    outcomes = torch.tensor(task.outcomes, dtype=torch.float32, device="cpu")
    label = torch.tensor(task.label, device="cpu")
    hidden = {p.name for p in circuit.hidden}
    optimiser = torch.optim.Adam([*forward.values(), *bias.values()], lr=settings.learning_rate, fused=True)
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.steps) + 1e-5
        drawn = torch.randint(len(background), (1, settings.batch), generator=generator, device="cpu")
        chosen = background[drawn]
        too_large: list[Tensor] = []

        def noisy(population: str, v: Tensor, too_large: list[Tensor] = too_large) -> Tensor:
            if population in hidden:
                over = (v.abs() - settings.largest_potential).relu()
                too_large.append(over.square().sum() / (settings.batch * len(hidden)))
            power = sum(forward[p.name].square().sum(2) for p in circuit.incoming(circuit.population(population)))
            return v + (settings.noise / 2 * power.sqrt()).unsqueeze(1) * normal(*v.shape[1:])

        prediction = networks.prediction(networks.potentials(stimuli[chosen], perturb=noisy))
        error = (prediction - outcomes[label[chosen]]).square().sum() / settings.batch
        optimiser.zero_grad()
        (error + settings.penalty * sum(too_large)).backward()
        optimiser.step()
        progress((step + 1) / settings.steps)
    trained = {name: w.detach().double() for name, w in forward.items()}
    return Networks(circuit, trained, {name: b.detach().double() for name, b in bias.items()}).weights(0)


def pretrained(
    circuit: Circuit,
    task: Task,
    seeds: Sequence[int],
    settings: Pretraining | None = None,
    *,
    cache: Path,
    progress: Progress | None = None,
) -> list[Weights]:
    """`pretrain`, once: afterwards from the cache.

    Parameters
    ----------
    circuit, task, seeds, settings
        As in `pretrain`.
    cache : Path
        Folder; a file's name is the hash of all that made the weights in it: circuit, task, settings, code, the
        version of torch and what it uses of the processor.
    progress : callable, optional
        Called with the fraction that is done of what has to be trained.

    Returns
    -------
    list of Weights
        One for each seed.

    Raises
    ------
    CacheError
        The cache is full, or cannot be written; said before anything is trained where that can be known.
    """
    settings = settings or Pretraining()
    key = _key(circuit, task, settings)
    paths = {seed: cache / f"{key}-{seed}.npz" for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    for k, seed in enumerate(missing):
        unfinished = paths[seed].with_suffix(f".{os.getpid()}.part.npz")
        with writing(cache):
            unfinished.touch()
        try:
            [weights] = pretrain(circuit, task, [seed], settings, progress=_part(progress, k, len(missing)))
            with writing(cache):
                _store(unfinished, weights)
                os.replace(unfinished, paths[seed])
        finally:
            unfinished.unlink(missing_ok=True)
    return [_stored(paths[seed]) for seed in seeds]


def _key(circuit: Circuit, task: Task, settings: Pretraining) -> str:
    """Hash of all that makes pretrained weights but the seed."""
    made_of = hashlib.sha256()
    machine = torch.backends.cpu.get_cpu_capability()
    for text in (code_of(pretrain), circuit.to_json(), repr(settings), torch.__version__, machine):
        made_of.update(f"{text}\n".encode())
    for array in (task.stimuli, task.outcomes, task.label, task.held_out, np.array(task.rare_label)):
        made_of.update(f"{array.dtype} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes())
    return made_of.hexdigest()[:16]


def _store(path: Path, weights: Weights) -> None:
    arrays: dict[str, Any] = {f"forward/{name}": w for name, w in weights.forward.items()}
    arrays |= {f"bias/{name}": b for name, b in weights.bias.items()}
    np.savez(path, **arrays)


def _stored(path: Path) -> Weights:
    with np.load(path) as file:
        forward, bias = ({k.split("/")[1]: file[k] for k in file if k.startswith(part)} for part in ("forward", "bias"))
        return Weights(forward, bias)
