"""What relays exchange with other populations, and whether it is spikes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from brian2.equations.equations import DIFFERENTIAL_EQUATION

from bioplastic.auditing.graph import Edge
from bioplastic.auditing.paths import reachable
from bioplastic.auditing.reading import Reading
from bioplastic.auditing.report import NO_SPIKE, Finding


@dataclass(frozen=True)
class Exchange:
    """Traffic between the relays of a network and its other populations."""

    found: Reading

    @cached_property
    def edges(self) -> list[tuple[Edge, frozenset[int]]]:
        """Lines of code between a relay and another population, and the populations that they read."""
        flow, is_relay = self.found.flow, self.found.space.is_relay
        lines = []
        for edge in (edge for edges in flow.into for edge in edges):
            goal = int(flow.places[edge.target])
            place = int(flow.places[edge.source])
            sources = flow.origins[edge.source] if flow.conduit[edge.source] else frozenset([place])
            between = goal >= 0 and (edge.unjoined or not sources <= {goal})
            if between and any(is_relay[k] for k in (goal, *sources)) and not flow.outside_signal(edge.source):
                lines.append((edge, sources))
        return lines

    @cached_property
    def partners(self) -> tuple[set[int], set[int]]:
        """Populations of which relays hear, and those to which they send; no relays among them."""
        is_relay = self.found.space.is_relay
        heard: set[int] = set()
        told: set[int] = set()
        for edge, sources in self.edges:
            goal = int(self.found.flow.places[edge.target])
            if is_relay[goal]:
                heard |= {k for k in sources if not is_relay[k]}
            elif any(is_relay[k] for k in sources):
                told.add(goal)
        return heard, told

    @cached_property
    def crossings(self) -> list[tuple[int, Finding]]:
        """What relays exchange with others otherwise than by spikes: the node that gets it, and the finding."""
        graph, flow = self.found.graph, self.found.flow
        crossings = []
        for edge, sources in self.edges:
            if not self._by_spikes(edge, sources):
                line = graph.lines[edge.line]
                carried = f"{edge.how} in {line.via}" if edge.how else line.via
                what = f"{graph.title(edge.target)} gets {graph.title(edge.source)}, by {carried}"
                crossings.append((edge.target, Finding(NO_SPIKE, what, max(1.0, flow.edge_span(edge)), line.code)))
        return crossings

    @cached_property
    def broadcasts(self) -> Mapping[Edge, tuple[float, int]]:
        """Lines by which relays send far what they have not heard there: how far it comes, and from where.

        A hippocampus gives back to a population what it heard of it. To others it may send no more than any cells may
        that nothing declares.
        """
        space, flow = self.found.space, self.found.flow
        heard, _ = self.partners
        broadcasts = {}
        for edge, sources in self.edges:
            goal = int(flow.places[edge.target])
            if heard and goal not in heard and not space.is_relay[goal] and any(space.is_relay[k] for k in sources):
                far = max(heard, key=lambda k: space.without_relays[k, goal])
                broadcasts[edge] = float(space.without_relays[far, goal]), far
        return broadcasts

    def _by_spikes(self, edge: Edge, sources: frozenset[int]) -> bool:
        """Whether a line of code is run by a spike of the cell that it reads, and takes no more of it than that.

        A plastic synapse may read both its cells at any time: what it keeps of them it has from their spikes. A spike
        may be labelled with what depends on no cell, such as whether the outside world drives its sender; between
        relays with anything (`notes` tells). No spike writes a variable of other synapses.
        """
        graph, flow = self.found.graph, self.found.flow
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if target.owner in graph.parts.synapses:
            if not sources <= set(graph.cells_of(edge.target)):
                return False
            if target.variable in self.found.chosen.synaptic.get(target.owner, ()):
                return True
        sent = edge.how == "" and not edge.unjoined and sources <= self._senders[edge.line, edge.target]
        kept = source.owner in graph.parts.synapses and int(flow.places[edge.target]) in graph.cells_of(edge.source)
        return sent and (kept or edge.source not in self._carrying or self._label(edge) != "")

    def _label(self, edge: Edge) -> str:
        """The variable of a relay that its spike carries to another relay, if this is what a line reads."""
        graph, is_relay = self.found.graph, self.found.space.is_relay
        node = graph.nodes[edge.source]
        ends = [int(self.found.flow.places[k]) for k in (edge.source, edge.target)]
        between_relays = all(k >= 0 and is_relay[k] for k in ends)
        rides = node.owner in graph.parts.groups and edge.source in self._carrying and between_relays
        return f"{node.owner}.{node.variable}" if rides else ""

    @cached_property
    def _senders(self) -> Mapping[tuple[int, int], set[int]]:
        """Whose events run a line of a pathway: (line, node that it writes) -> populations."""
        senders: dict[tuple[int, int], set[int]] = defaultdict(set)
        for edge in self.found.graph.edges:
            if self.found.graph.nodes[edge.source].is_event:
                senders[edge.line, edge.target].add(int(self.found.flow.places[edge.source]))
        return senders

    @cached_property
    def _carrying(self) -> set[int]:
        """Nodes, other than events, that depend on what some cell has done: on an event or a differential equation."""
        graph = self.found.graph
        onward: dict[int, list[int]] = defaultdict(list)
        for edge in graph.edges:
            onward[edge.source].append(edge.target)
        moving = [k for k, node in enumerate(graph.nodes) if node.is_event or self._integrated(k)]
        return {k for k in reachable(moving, onward.__getitem__) if not graph.nodes[k].is_event}

    def _integrated(self, node: int) -> bool:
        n = self.found.graph.nodes[node]
        equations = getattr(self.found.graph.parts.owners.get(n.owner), "equations", {})
        return n.variable in equations and equations[n.variable].type == DIFFERENTIAL_EQUATION

    def notes(self) -> Iterator[str]:
        """Whom relays join, what they bring together, and what their spikes carry among themselves."""
        populations, space = self.found.graph.division.populations, self.found.space
        if not self.found.relays:
            return
        lists = [", ".join(populations[k].name for k in sorted(found)) or "nobody else" for found in self.partners]
        yield f"populations by declaration, because they relay spikes: {', '.join(self.found.relays)}"
        others = np.flatnonzero(~space.is_relay & space.inside)
        apart, near = (d[np.ix_(others, others)] for d in (space.without_relays, space.distance))
        gain = np.where(np.isfinite(apart), apart - near, 0)
        text = f"these relays hear of {lists[0]}, and send to {lists[1]}"
        if gain.max(initial=0) > 0:
            i, j = np.unravel_index(np.argmax(gain), gain.shape)
            a, b = (populations[others[k]].name for k in (i, j))
            text += f"; with them {a} and {b} are {near[i, j]:g} hops apart, without them {apart[i, j]:g}"
        yield text
        to_cells = [edge for edge, _ in self.edges if not self.found.graph.cells_of(edge.target)]
        if riding := sorted({label for edge in to_cells if (label := self._label(edge))}):
            yield f"spikes between relays carry with them {', '.join(riding)}"
