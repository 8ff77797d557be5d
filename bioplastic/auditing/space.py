"""How far apart populations are along the neighbourhood."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from bioplastic.auditing.parts import Parts, joins_cells, root
from bioplastic.auditing.paths import components, distances, in_a_row
from bioplastic.auditing.populations import Division


class Space:
    """Populations and how far they are from each other along the neighbourhood.

    Attributes
    ----------
    base, relayed, added : list of str
        Synapses that make neighbours: the plastic or named ones, those of relays, and others where these join nothing.
    inside : array of bool, shape (n,)
        Populations that the neighbourhood joins.
    is_relay : array of bool, shape (n,)
    everything : array of bool, shape (n, n)
        Whether any synapses join two populations.
    distance, without_relays : array, shape (n, n)
        In hops.
    """

    def __init__(
        self,
        parts: Parts,
        division: Division,
        plastic: Collection[str],
        neighbours: Collection[str] | None,
        relays: Collection[str] = (),
    ) -> None:
        n = len(division.populations)
        self._joins = joins = {name: np.unique(division.ends[name], axis=0) for name in parts.synapses}
        self.base = [k for k in joins if k in (plastic if neighbours is None else neighbours)] or list(joins)
        inner = self._joined(self.base, n)
        # A relay is the neighbour of whatever it has synapses with.
        of_relays = [
            name
            for name, synapses in parts.synapses.items()
            if joins_cells(synapses) and any(root(end).name in relays for end in (synapses.source, synapses.target))
        ]
        self.relayed = [name for name in of_relays if name not in self.base]
        self.without_relays = distances(inner)
        inner |= self._joined(self.relayed, n)
        self.inside: np.ndarray = np.any(inner, axis=0) if self.base else np.ones(n, bool)
        self.is_relay = np.array([p.group in relays for p in division.populations], bool)
        self.added: list[str] = []
        if neighbours is None:
            # Other synapses make neighbours only of what would not be connected at all.
            part = components(inner)
            for name in (k for k in joins if k not in (*self.base, *self.relayed)):
                a, b = joins[name].T
                new = self.inside[a] & self.inside[b] & (part[a] != part[b])
                if new.any():
                    self.added.append(name)
                    inner[a[new], b[new]] = inner[b[new], a[new]] = True
        self.everything = self._joined(joins, n)
        self.distance = _distances(inner, self.everything, self.inside)

    def _joined(self, names: Collection[str], n: int) -> np.ndarray:
        """Which of n populations some Synapses objects join, shape (n, n)."""
        joined = np.zeros((n, n), bool)
        for name in names:
            a, b = self._joins[name].T
            joined[a, b] = joined[b, a] = True
        return joined

    def spans(self, name: str) -> float:
        """How far apart the populations are that a Synapses object joins."""
        return float(self.distance[tuple(self._joins[name].T)].max())

    def skips(self, name: str) -> float:
        """How far apart the populations that a Synapses object joins would be without it."""
        without = self._joined([other for other in self.base if other != name], len(self.distance))
        apart = distances(without)[tuple(self._joins[name].T)]
        return float(apart[np.isfinite(apart)].max(initial=0))


def _distances(inner: np.ndarray, everything: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Distances; those outside the neighbourhood are reached from it, and never lead through to another part."""
    n = len(inner)
    near = distances(inner)
    out = ~inside
    outer = distances(everything & out[:, None] & out[None, :])
    # From inside to outside: a path inside, one synapse out, a path outside.
    step = np.where(everything & inside[:, None] & out[None, :], 1.0, np.inf)
    leave = in_a_row(in_a_row(near, step), outer)
    through = in_a_row(leave.T, leave) if out.any() else np.full((n, n), np.inf)
    distance = np.where(inside[:, None] & inside[None, :], near, np.inf)
    distance = np.minimum(distance, np.where(inside[:, None] & out[None, :], leave, np.inf))
    distance = np.minimum(distance, np.where(out[:, None] & inside[None, :], leave.T, np.inf))
    both_out = out[:, None] & out[None, :]
    distance = np.where(both_out, np.minimum(outer, through), distance)
    np.fill_diagonal(distance, 0)
    return distance
