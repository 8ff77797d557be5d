"""How far signals travel: distances between populations, and what can reach what, and when."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bioplastic.auditing.graph import Edge, Graph, depth_zero, root
from bioplastic.auditing.report import Link


class Space:
    """Populations and how far they are from each other along the neighbourhood."""

    def __init__(
        self,
        graph: Graph,
        plastic: Collection[str],
        neighbours: Collection[str] | None,
        relays: Collection[str] = (),
    ) -> None:
        self.graph = graph
        n = len(graph.populations)
        joins = {name: self._pairs(name) for name in graph.synapses}
        base = [k for k in joins if k in (plastic if neighbours is None else neighbours)] or list(joins)
        self.base = base
        inner = np.zeros((n, n), bool)
        for name in base:
            inner[joins[name][:, 0], joins[name][:, 1]] = True
        inner |= inner.T
        # A relay is the neighbour of whatever it has synapses with.
        self.relayed = [k for k in joins if k not in base and self._of_relay(k, relays)]
        self.without_relays = paths(inner)
        for name in self.relayed:
            a, b = joins[name].T
            inner[a, b] = inner[b, a] = True
        # Populations that the neighbourhood joins.
        self.inside: np.ndarray = np.any(inner, axis=0) if base else np.ones(n, bool)
        self.is_relay = np.array([p.group in relays for p in graph.populations], bool)
        self.added: list[str] = []
        if neighbours is None:
            # Other synapses make neighbours only of what would not be connected at all.
            part = _components(inner)
            for name in (k for k in joins if k not in (*base, *self.relayed)):
                a, b = joins[name].T
                new = self.inside[a] & self.inside[b] & (part[a] != part[b])
                if new.any():
                    self.added.append(name)
                    inner[a[new], b[new]] = inner[b[new], a[new]] = True
        everything = np.zeros((n, n), bool)
        for pairs in joins.values():
            everything[pairs[:, 0], pairs[:, 1]] = everything[pairs[:, 1], pairs[:, 0]] = True
        self.everything = everything
        self.distance = self._distances(inner, everything)

    def _of_relay(self, name: str, relays: Collection[str]) -> bool:
        synapses = self.graph.synapses[name]
        ends = (root(synapses.source).name, root(synapses.target).name)
        return depth_zero(synapses) and any(end in relays for end in ends)

    def _pairs(self, name: str) -> np.ndarray:
        return np.unique(self.graph.ends[name], axis=0)

    def _distances(self, inner: np.ndarray, everything: np.ndarray) -> np.ndarray:
        """Distances; those outside the neighbourhood are reached from it, and never lead through to another part."""
        n = len(inner)
        near = paths(inner)
        out = ~self.inside
        outer = paths(everything & out[:, None] & out[None, :])
        # From inside to outside: a path inside, one synapse out, a path outside.
        step = np.where(everything & self.inside[:, None] & out[None, :], 1.0, np.inf)
        leave = _min_plus(_min_plus(near, step), outer)
        through = _min_plus(leave.T, leave) if out.any() else np.full((n, n), np.inf)
        distance = np.where(self.inside[:, None] & self.inside[None, :], near, np.inf)
        distance = np.minimum(distance, np.where(self.inside[:, None] & out[None, :], leave, np.inf))
        distance = np.minimum(distance, np.where(out[:, None] & self.inside[None, :], leave.T, np.inf))
        both_out = out[:, None] & out[None, :]
        distance = np.where(both_out, np.minimum(outer, through), distance)
        np.fill_diagonal(distance, 0)
        return distance

    def spans(self, name: str) -> float:
        """How far apart the populations are that a Synapses object joins."""
        return float(self.distance[tuple(self._pairs(name).T)].max())

    def skips(self, name: str) -> float:
        """How far apart the populations that a Synapses object joins would be without it."""
        n = len(self.graph.populations)
        rest = np.zeros((n, n), bool)
        for other in self.base:
            if other != name:
                pairs = self._pairs(other)
                rest[pairs[:, 0], pairs[:, 1]] = rest[pairs[:, 1], pairs[:, 0]] = True
        apart = paths(rest)[tuple(self._pairs(name).T)]
        return float(apart[np.isfinite(apart)].max(initial=0))


def paths(joined: np.ndarray) -> np.ndarray:
    """Distances in the undirected graph of what is joined, shape (n, n); inf where there is no path."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    distance: np.ndarray = shortest_path(csr_array(joined.astype(float)), unweighted=True, directed=False)
    return distance


def _components(joined: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    label: np.ndarray = connected_components(csr_array(joined.astype(float)), directed=False)[1]
    return label


def _min_plus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([(row[:, None] + b).min(0) for row in a]) if len(a) else a


@dataclass(frozen=True)
class Reached:
    """Where a signal was last on its way to a weight: node -> (steps before the end, -line), and the edge onwards."""

    when: dict[int, tuple[int, int]]
    edge: dict[int, Edge]

    def route(self, node: int) -> list[tuple[Edge, int]]:
        """Edges from a node to the weight, with the steps before the end at which each acts."""
        found = []
        while node in self.edge:
            edge = self.edge[node]
            found.append((edge, self.when[node][0]))
            node = edge.target
        return found


class Flow:
    """What can reach what, and when."""

    def __init__(self, graph: Graph, space: Space) -> None:
        self.graph, self.space = graph, space
        n = len(graph.nodes)
        self.into: list[list[Edge]] = [[] for _ in range(n)]
        for edge in dict.fromkeys(graph.edges):
            self.into[edge.target].append(edge)
        self.places = np.array([graph.place(k) for k in range(n)], int)
        self.sizes = np.array([len(p.cells) for p in graph.populations])
        # Conduits have no place in the neighbourhood: what they carry counts from where it came.
        self.conduit = (self.places < 0) | ~space.inside[self.places]
        self.origins = self._origins()
        self._steps: dict[int, tuple[float, list[Edge]]] = {}

    def _origins(self) -> list[frozenset[int]]:
        """Populations of the neighbourhood from which each conduit has something."""
        found: list[set[int]] = [set() if c else {int(p)} for c, p in zip(self.conduit, self.places, strict=True)]
        onward: list[list[int]] = [[] for _ in found]
        for edges in self.into:
            for edge in edges:
                if self.conduit[edge.target]:
                    onward[edge.source].append(edge.target)
        pending = [k for k, origin in enumerate(found) if origin]
        while pending:
            source = pending.pop()
            for target in onward[source]:
                new = found[source] - found[target]
                if new:
                    found[target] |= new
                    pending.append(target)
        return [frozenset(origin) for origin in found]

    def outside_signal(self, node: int) -> bool:
        """Whether a conduit carries nothing from the neighbourhood and is the same for all who read it."""
        place = self.places[node]
        return bool(self.conduit[node] and not self.origins[node] and (place < 0 or self.sizes[place] == 1))

    def span(self, source: int, target: int) -> float:
        """Hops from one node to another; what conduits carry counts from its origins."""
        return 0.0 if self.conduit[target] else self.span_to(source, int(self.places[target]))

    def span_to(self, source: int, goal: int) -> float:
        """Hops from a node to a population."""
        if self.outside_signal(source):
            return 0.0
        starts = self.origins[source] or {int(self.places[source])}
        return max(float(self.space.distance[k, goal]) for k in starts)

    def edge_span(self, edge: Edge) -> float:
        """Hops that one line of code covers; 2 or more where it reads a cell that no synapse leads to."""
        if self.outside_signal(edge.source):
            return 0.0
        hops = self.span(edge.source, edge.target)
        placeless = self.places[edge.source] < 0 and bool(self.origins[edge.source])
        pooled = placeless and (len(self.origins[edge.source]) > 1 or hops > 0 or self._size(edge.source) > 1)
        return max(hops, 2.0) if (edge.unjoined or (pooled and not self.conduit[edge.target])) else hops

    def _size(self, node: int) -> int:
        return int(sum(self.sizes[k] for k in self.origins[node]))

    def reach(self, end: int, n_steps: float, *, through_neighbours: bool = False) -> Reached:
        """Latest time at which each node can still influence node `end` by the end of a step, as far as `n_steps`.

        With `through_neighbours` only along lines of code that join neighbours.
        """
        last = len(self.graph.lines)
        when: dict[int, tuple[int, int]] = {}
        onward: dict[int, Edge] = {}
        queue: list[tuple[int, int, int, int]] = [(0, -last, 0, end)]
        made: list[Edge | None] = [None]
        while queue:
            lag, line, number, node = heapq.heappop(queue)
            if node in when:
                continue
            when[node] = lag, line
            edge = made[number]
            if edge is not None:
                onward[node] = edge
            for edge in self.into[node]:
                if edge.source in when or (through_neighbours and self.edge_span(edge) > 1):
                    continue
                earlier = lag + edge.lag + (0 if edge.line < -line else 1)
                if earlier < n_steps:
                    made.append(edge)
                    heapq.heappush(queue, (earlier, -edge.line, len(made) - 1, edge.source))
        return Reached(when, onward)

    def in_step(self, node: int) -> tuple[float, list[Edge]]:
        """Most hops from which something arrives at a node within one time step, through neighbours, and the route."""
        if node not in self._steps:
            reached = self.reach(node, 1, through_neighbours=True)
            spans = {k: self.span(k, node) for k in reached.when}
            if ends := self.graph.cells_of(node):
                # A synapse of the neighbourhood sees both its cells: from the nearer of them.
                near = [end for end in ends if self.space.inside[end]]
                spans = {k: min([s, *(self.span_to(k, end) for end in near)]) for k, s in spans.items()}
            far = max(spans, key=lambda k: spans[k])
            self._steps[node] = spans[far], [edge for edge, _ in reached.route(far)]
        return self._steps[node]

    def scope(self, weight: int) -> list[int]:
        """Nodes of the weight's own population, and conduits, from which a way leads to it through no neighbour."""
        home, found, pending = self.places[weight], [weight], [weight]
        while pending:
            for edge in self.into[pending.pop()]:
                source = edge.source
                if source not in found and (self.conduit[source] or self.places[source] == home):
                    found.append(source)
                    pending.append(source)
        return found

    def link(self, edge: Edge, steps: int) -> Link:
        """An edge in words."""
        line = self.graph.lines[edge.line]
        via = f"{line.via}, {edge.how}" if edge.how else line.via
        hops = self.edge_span(edge)
        return Link(self.graph.title(edge.source), self.graph.title(edge.target), via, line.code, hops, steps)
