"""What the index layer remembers, and the values from which a hippocampus starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from brian2 import second

from bioplastic.chance import MODULUS
from bioplastic.circuit import CircuitError
from bioplastic.hippocampus.equations import NEVER
from bioplastic.hippocampus.parameters import Hippocampus, Replay


@dataclass(frozen=True)
class Memory:
    """What the index layer holds.

    Attributes
    ----------
    strength, tag : array, shape (n_index,)
        Of each index cell's memory: 0 for none.
    weights : mapping of str to array, shape (n_index of that target, n_cells)
        From index cells to the attention cells of each target: rates as fractions of the maximal rate.
    """

    strength: np.ndarray
    tag: np.ndarray
    weights: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, hippocampus: Hippocampus, patterns: Mapping[str, np.ndarray], tag: float = 1.0) -> Memory:
        """Make memories of patterns without having lived them.

        Parameters
        ----------
        hippocampus : Hippocampus
        patterns : mapping of str to array, shape (n_memories, n_cells)
            For each target, what is to be reinstated.
        tag : float, optional
            Of each memory.

        Raises
        ------
        CircuitError
            More memories than fit, or a target without patterns or with another number of them.
        """
        missing = [target.population for target in hippocampus.targets if target.population not in patterns]
        if missing:
            raise CircuitError(f"patterns are missing for target {missing[0]!r}; given: {', '.join(patterns)}.")
        n = len(next(iter(patterns.values())))
        if n > hippocampus.capacity:
            raise CircuitError(
                f"{n} memories do not fit a capacity of {hippocampus.capacity}; give fewer, or n_index = "
                f"{n * hippocampus.assembly} or more."
            )
        for target in hippocampus.targets:
            if len(patterns[target.population]) != n:
                raise CircuitError(
                    f"patterns: {len(patterns[target.population])} for target {target.population!r}, {n} for "
                    f"{next(iter(patterns))!r}; give one of each per memory."
                )
        used = np.arange(hippocampus.n_index) // hippocampus.assembly < n
        each = hippocampus.assembly // len(hippocampus.targets)
        rows = {
            target.population: np.zeros((int((hippocampus.role == k).sum()), patterns[target.population].shape[1]))
            for k, target in enumerate(hippocampus.targets)
        }
        for name, weights in rows.items():
            weights[: n * each] = np.repeat(patterns[name], each, axis=0)
        return cls(used.astype(float), tag * used, rows)

    def pattern(self, hippocampus: Hippocampus, population: str) -> np.ndarray:
        """What each memory would reinstate in a target, shape (capacity, n_cells); NaN where there is none."""
        each = hippocampus.assembly // len(hippocampus.targets)
        weights = self.weights[population][: hippocampus.capacity * each]
        mean = weights.reshape(hippocampus.capacity, each, -1).mean(1)
        strength = self.strength[: hippocampus.capacity * hippocampus.assembly : hippocampus.assembly]
        return np.where(strength[:, None] > 0, mean, np.nan)

    def put(self, hippocampus: Hippocampus, k: int, patterns: Mapping[str, np.ndarray], *, tag: float) -> Memory:
        """Return the same with memory `k` replaced, at full strength.

        Parameters
        ----------
        hippocampus : Hippocampus
        k : int
            Which of the ``hippocampus.capacity`` memories.
        patterns : mapping of str to array, shape (n_cells,)
            For each target, what is to be reinstated; the others keep what they have.
        tag : float

        Raises
        ------
        CircuitError
            There is no such memory.
        """
        cells = self._cells(hippocampus, k)
        each = hippocampus.assembly // len(hippocampus.targets)
        weights = dict(self.weights)
        for name, pattern in patterns.items():
            weights[name] = weights[name].copy()
            weights[name][k * each : (k + 1) * each] = pattern
        return Memory(np.where(cells, 1.0, self.strength), np.where(cells, tag, self.tag), weights)

    def without(self, hippocampus: Hippocampus, k: int) -> Memory:
        """Return the same without memory `k`, which then is never reactivated; arguments and errors as of `put`."""
        cells = self._cells(hippocampus, k)
        return replace(self, strength=np.where(cells, 0.0, self.strength), tag=np.where(cells, 0.0, self.tag))

    def _cells(self, hippocampus: Hippocampus, k: int) -> np.ndarray:
        if not 0 <= k < hippocampus.capacity:
            raise CircuitError(f"memory {k} does not exist; there are 0 to {hippocampus.capacity - 1}.")
        return np.arange(hippocampus.n_index) // hippocampus.assembly == k

    def with_pattern(self, population: str, order: np.ndarray) -> Memory:
        """Return the same with the cells of a target in another order, a control.

        Parameters
        ----------
        population : str
        order : array of int, shape (n_cells,) or (n_index of that target, n_cells)
            Which cell's rate each cell gets, for all memories alike or for each index cell.
        """
        weights = self.weights[population]
        shuffled = np.take_along_axis(weights, np.broadcast_to(order, weights.shape), axis=1)
        return replace(self, weights={**self.weights, population: shuffled})


def start_values(
    hippocampus: Hippocampus, replay: Replay, memory: Memory | None = None, *, seed: int = 0
) -> dict[tuple[str, str], Any]:
    """Everything that distinguishes one hippocampus of the same shape from another.

    Parameters
    ----------
    hippocampus : Hippocampus
    replay : Replay
    memory : Memory, optional
        What it remembers at the start; nothing by default.
    seed : int, optional
        Of the times of reactivations, of which memory is reactivated, and of the lengths of ripples.

    Returns
    -------
    dict
        (part of `HippocampalCircuit`, variable) -> value; the synapses of target k are ``memory[k]``.

    Raises
    ------
    CircuitError, UnitError
        The replay is not possible, or the memory is of another shape.
    """
    hippocampus.check(replay)
    span = hippocampus.span(replay.compression)
    onsets = np.array([float(onset) for onset in hippocampus.onsets(replay.compression)])
    hold = max(onsets) + float(hippocampus.outcome) - onsets
    reinstated = [not replay.only or target.population in replay.only for target in hippocampus.targets]
    interval = 1 / replay.rate if float(replay.rate) else NEVER
    rng = np.random.default_rng(seed)
    values: dict[tuple[str, str], Any] = {
        ("salience", "importance"): 1.0,
        ("gates", "hold"): hold * reinstated * second,
        ("ripples", "interval"): interval,
        ("ripples", "span"): span,
        ("ripples", "wait"): rng.exponential() * interval,
        ("ripples", "die"): float(rng.integers(1, MODULUS)),
        ("index", "die"): rng.integers(1, MODULUS, hippocampus.n_index).astype(float),
        ("index", "onset"): onsets[hippocampus.role] * second,
        ("index", "since"): np.full(hippocampus.n_index, 2) * span,
        ("index", "span"): span,
    }
    if memory is not None:
        _check_memory(hippocampus, memory)
        values |= {("index", "strength"): memory.strength, ("index", "tag"): memory.tag}
        for k, target in enumerate(hippocampus.targets):
            values[f"memory[{k}]", "w"] = memory.weights[target.population].ravel()
    return values


def _check_memory(hippocampus: Hippocampus, memory: Memory) -> None:
    """Raise `CircuitError` unless the memory is of this hippocampus's shape; of cells, only Brian2 knows the number."""
    for name in ("strength", "tag"):
        if getattr(memory, name).shape != (hippocampus.n_index,):
            raise CircuitError(
                f"memory: {name} has shape {getattr(memory, name).shape}, but the hippocampus n_index = "
                f"{hippocampus.n_index}; give a memory of the same hippocampus."
            )
    for k, target in enumerate(hippocampus.targets):
        rows = int((hippocampus.role == k).sum())
        if target.population not in memory.weights or len(memory.weights[target.population]) != rows:
            raise CircuitError(
                f"memory: weights of target {target.population!r} should have {rows} rows, one for each of its index "
                f"cells; given: {', '.join(f'{name} {w.shape}' for name, w in memory.weights.items())}. Give a memory "
                "of the same hippocampus."
            )
