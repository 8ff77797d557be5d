"""What can reach what, and when: signals on their way to a weight."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from bioplastic.auditing.graph import Edge, Graph
from bioplastic.auditing.report import Link
from bioplastic.auditing.space import Space


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
        self.sizes = np.array([len(p.cells) for p in graph.division.populations])
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
