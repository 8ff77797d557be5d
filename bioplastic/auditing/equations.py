"""The audit from the equations."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    Synapses,
    ms,
)
from brian2.core.namespace import get_local_namespace
from brian2.equations.equations import DIFFERENTIAL_EQUATION
from brian2.units.fundamentalunits import Quantity

from bioplastic.auditing.flow import Flow, Space, _components
from bioplastic.auditing.graph import Edge, Graph, Node, check, root
from bioplastic.auditing.report import (
    AT_ONCE,
    NO_SPIKE,
    NO_SYNAPSE,
    OPAQUE,
    SHORTCUT,
    UNRESOLVED,
    AuditError,
    Finding,
    Modulator,
    PlasticWeight,
    Report,
    Route,
)
from bioplastic.auditing.weights import choose, owned
from bioplastic.circuit import Circuit
from bioplastic.relays import declared
from bioplastic.units import quantity

if TYPE_CHECKING:
    from bioplastic.spiking import SpikingCircuit

EVENT = 500 * ms
"""Default length of an event: about that of the events of `models/chain.py`."""


@dataclass(frozen=True)
class Question:
    """What `audit` is asked: its arguments."""

    network: Network
    populations: Any
    neighbours: Collection[str | Synapses] | None
    weights: Collection[str] | None
    namespace: Mapping[str, Any]
    trust: Collection[str] = ()
    relays: Collection[str | NeuronGroup] | None = None


@dataclass(frozen=True)
class Weight:
    """One plastic variable between two populations."""

    owner: str
    variable: str
    node: int
    source: int
    target: int


class Reading:
    """Everything that is known of a network after its equations have been read."""

    def __init__(self, question: Question) -> None:
        check(question.network)
        populations, weights = question.populations, question.weights
        self.graph = graph = Graph(question.network, question.namespace, question.trust)
        graph.divide(None, ())
        graph.build()  # once to see which variables change, and once more with that knowledge
        graph.divide(populations, ())
        graph.build()
        self.chosen = choose(graph, weights)
        if not self.chosen.any:
            raise AuditError(self._nothing_plastic())
        named = self._neighbours(question.neighbours)
        self.relays = self._relays(question.relays)
        self.unresolved = graph.divide(populations, named or self.chosen.joining)
        graph.build()
        graph.home_pre = self._homes()
        self.space = Space(graph, self.chosen.joining, named, self.relays)
        self._check_connected()
        self.flow = Flow(graph, self.space)
        self.crossings = list(self._crossings())
        self.broadcasts = self._broadcasts_of_relays()

    def _neighbours(self, neighbours: Collection[str | Synapses] | None) -> list[str] | None:
        if neighbours is None:
            return None
        names = [n if isinstance(n, str) else n.name for n in neighbours]
        for name in names:
            if name not in self.graph.synapses:
                raise AuditError(
                    f"neighbours: there are no Synapses {name!r} in the network; it has "
                    f"{', '.join(self.graph.synapses) or 'none'}."
                )
        return names

    def _relays(self, relays: Collection[str | NeuronGroup] | None) -> list[str]:
        groups = self.graph.groups
        if relays is None:
            return [name for name, group in groups.items() if declared(group)]
        names = [n if isinstance(n, str) else root(n).name for n in relays]
        for name in names:
            if name not in groups:
                raise AuditError(
                    f"relays: there is no group {name!r} in the network; its groups are {', '.join(groups)}."
                )
        return names

    def _nothing_plastic(self) -> str:
        synaptic = [f"{n}.{v}" for n, s in self.graph.synapses.items() for v in s.variables if owned(s.variables[v], s)]
        return (
            "the network has no plastic weight: no code changes a variable that scales what one cell does to another. "
            f"Synaptic variables are {', '.join(sorted(synaptic)) or 'none'}. If one of them, or a variable of cells, "
            "is a weight all the same, name it: weights=['object.variable']."
        )

    def _homes(self) -> set[tuple[str, str]]:
        """Synaptic variables through which only the presynaptic cell receives: they belong to that cell."""
        graph = self.graph
        ends: dict[tuple[str, str], set[str]] = {}
        for _, end, _, sources in graph.uses:
            for node, _, _ in sources:
                n = graph.nodes[node]
                if end and n.owner in graph.synapses:
                    ends.setdefault((n.owner, n.variable), set()).add(end)
        return {name for name, found in ends.items() if found == {"pre"}}

    def _check_connected(self) -> None:
        """Raise if the network falls into parts that nothing joins."""
        graph, space = self.graph, self.space
        joined = space.everything.copy()
        for edge in graph.edges:
            a, b = graph.place(edge.source), graph.place(edge.target)
            if a >= 0 and b >= 0:
                joined[a, b] = joined[b, a] = True
        for population in graph.populations:  # those of one group that nothing divides belong together
            same = [k for k, other in enumerate(graph.populations) if other.group == population.group]
            if not space.everything[same].any():
                joined[np.ix_(same, same)] = True
        part = _components(joined)
        if graph.opaque or len(set(part.tolist())) == 1:
            return
        lists = [[p.name for p, k in zip(graph.populations, part, strict=True) if k == part_] for part_ in set(part)]
        texts = [", ".join(names[:6]) + (", ..." if len(names) > 6 else "") for names in lists]
        raise AuditError(
            f"the network falls into {len(lists)} parts between which there is no path, so hops between them mean "
            f"nothing: {'; '.join(texts)}. Connect them, leave one out, or audit each in a Network of its own."
        )

    # -------------------------------------------------------------------------------- the report

    def weights(self) -> Iterator[Weight]:
        """Every plastic variable between two populations."""
        graph = self.graph
        for owner, names in self.chosen.synaptic.items():
            for name in names:
                for node in graph.all_nodes(graph.synapses[owner].variables[name]).tolist():
                    pre, post = graph.ends[owner][graph.nodes[node].region].tolist()
                    yield Weight(owner, name, node, pre, post)
        for owner, names in self.chosen.cellular.items():
            for name in names:
                for node in graph.all_nodes(graph.groups[owner].variables[name]).tolist():
                    yield Weight(owner, name, node, graph.nodes[node].region, graph.nodes[node].region)

    def weight(self, one: Weight, n_steps: int, most: int) -> PlasticWeight:
        """Follow everything that can reach one weight."""
        flow, node = self.flow, one.node
        everything = flow.reach(node, math.inf)
        scope = flow.scope(node)
        findings = self._findings(scope)
        findings += dict.fromkeys(finding for target, finding in self.crossings if target in everything.when)
        in_step, at_once = max((flow.in_step(k) for k in scope), key=lambda found: found[0])
        if in_step > most and not any(f.verdict not in (UNRESOLVED, NO_SPIKE) for f in findings):
            code = " / ".join(dict.fromkeys(self.graph.lines[e.line].code for e in at_once))
            begin, end = (self.graph.title(k) for k in (at_once[0].source, at_once[-1].target))
            what = f"from {begin} to {end} within one time step, through the cells in between"
            findings.append(Finding(AT_ONCE, what, in_step, code))
        skipped = max((f.hops for f in findings if f.verdict in (SHORTCUT, NO_SYNAPSE)), default=0.0)
        spans = {
            k: flow.span(k, node) if not flow.conduit[k] else self._outer(k, node)
            for k, (lag, _) in everything.when.items()
            if lag < n_steps
        }
        now = [spans[k] for k, (lag, _) in everything.when.items() if lag == 0]
        far = max(spans, key=lambda k: (spans[k], -everything.when[k][0], everything.when[k][1]))
        links = tuple(flow.link(edge, lag) for edge, lag in everything.route(far))
        populations = self.graph.populations
        opaque = any(f.verdict == OPAQUE for f in findings)
        return PlasticWeight(
            one.owner,
            one.variable,
            populations[one.source].name,
            populations[one.target].name,
            max(now),
            math.inf if opaque else max(in_step, skipped),
            math.inf if opaque else max(spans.values()),
            Route(spans[far], everything.when[far][0], links),
            tuple(sorted(findings, key=lambda f: -f.hops)),
            self._modulators(scope),
        )

    def _outer(self, node: int, weight: int) -> float:
        """Distance of a population outside the neighbourhood, or 0 for what has no place or is a modulator."""
        if self.flow.places[node] < 0 or self.flow.outside_signal(node):
            return 0.0
        return float(self.space.distance[self.flow.places[node], self.flow.places[weight]])

    def _findings(self, scope: Sequence[int]) -> list[Finding]:
        graph, flow = self.graph, self.flow
        worst: dict[tuple[str, str, str], Finding] = {}
        for node in scope:
            for edge in flow.into[node]:
                if edge.line in graph.suspects:
                    finding = graph.suspects[edge.line]
                    worst.setdefault((finding.what, "", finding.code), finding)
                hops, far = max((flow.edge_span(edge), -1), self.broadcasts.get(edge, (0.0, -1)))
                if hops < 2:
                    continue
                finding = self._finding(edge, hops, far)
                key = finding.verdict, graph.lines[edge.line].via, finding.code
                if key not in worst or worst[key].hops < hops:
                    worst[key] = finding
        return [*worst.values(), *graph.opaque, *self.unresolved]

    def _finding(self, edge: Edge, hops: float, heard: int = -1) -> Finding:
        graph, flow = self.graph, self.flow
        line = graph.lines[edge.line]
        source, target = graph.title(edge.source), graph.title(edge.target)
        synaptic = not edge.how and not edge.unjoined and flow.places[edge.source] >= 0
        origins = flow.origins[edge.source] if flow.conduit[edge.source] else frozenset()
        through = ""
        if origins:
            goal = flow.places[edge.target]
            far = max(origins, key=lambda k: flow.space.distance[k, goal])
            through = f", which has it from {graph.populations[far].name}"
        if heard >= 0:
            through = f", a relay, which hears of {graph.populations[heard].name} but not of what it sends this to"
        if edge.unjoined and flow.span(edge.source, edge.target) < 2:
            through += " (no synapse joins the two cells)"
        carried = line.via if synaptic else f"{edge.how or 'code'} in {line.via}"
        what = f"{target} gets {source}{through}, by {carried}"
        return Finding(SHORTCUT if synaptic else NO_SYNAPSE, what, hops, line.code)

    def _crossings(self) -> Iterator[tuple[int, Finding]]:
        """What relays exchange with others otherwise than by spikes: the node that gets it, and the finding."""
        for edge, sources in self._at_relays():
            target = edge.target
            if not self._by_spikes(edge, sources):
                line = self.graph.lines[edge.line]
                carried = f"{edge.how} in {line.via}" if edge.how else line.via
                what = f"{self.graph.title(target)} gets {self.graph.title(edge.source)}, by {carried}"
                yield target, Finding(NO_SPIKE, what, max(1.0, self.flow.edge_span(edge)), line.code)

    def _at_relays(self) -> Iterator[tuple[Edge, frozenset[int]]]:
        """Lines of code between a relay and another population, and the populations that they read."""
        flow, is_relay = self.flow, self.space.is_relay
        for edges in flow.into:
            for edge in edges:
                goal = int(flow.places[edge.target])
                place = int(flow.places[edge.source])
                sources = flow.origins[edge.source] if flow.conduit[edge.source] else frozenset([place])
                between = goal >= 0 and (edge.unjoined or not sources <= {goal})
                if between and any(is_relay[k] for k in (goal, *sources)) and not flow.outside_signal(edge.source):
                    yield edge, sources

    def _partners(self) -> tuple[set[int], set[int]]:
        """Populations of which relays hear, and those to which they send; no relays among them."""
        is_relay = self.space.is_relay
        heard: set[int] = set()
        told: set[int] = set()
        for edge, sources in self._at_relays():
            goal = int(self.flow.places[edge.target])
            if is_relay[goal]:
                heard |= {k for k in sources if not is_relay[k]}
            elif any(is_relay[k] for k in sources):
                told.add(goal)
        return heard, told

    def _broadcasts_of_relays(self) -> dict[Edge, tuple[float, int]]:
        """Lines by which relays send far what they have not heard there: how far it comes, and from where.

        A hippocampus gives back to a population what it heard of it. To others it may send no more than any cells may
        that nothing declares.
        """
        space, flow = self.space, self.flow
        heard, _ = self._partners()
        found = {}
        for edge, sources in self._at_relays():
            goal = int(flow.places[edge.target])
            if heard and goal not in heard and not space.is_relay[goal] and any(space.is_relay[k] for k in sources):
                far = max(heard, key=lambda k: space.without_relays[k, goal])
                found[edge] = float(space.without_relays[far, goal]), far
        return found

    def _by_spikes(self, edge: Edge, sources: frozenset[int]) -> bool:
        """Whether a line of code is run by a spike of the cell that it reads, and takes no more of it than that.

        A plastic synapse may read both its cells at any time: what it keeps of them it has from their spikes. A spike
        may be labelled with what depends on no cell, such as whether the outside world drives its sender; between
        relays with anything (`notes` tells). No spike writes a variable of other synapses.
        """
        graph, flow = self.graph, self.flow
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if target.owner in graph.synapses:
            if not sources <= set(graph.cells_of(edge.target)):
                return False
            if target.variable in self.chosen.synaptic.get(target.owner, ()):
                return True
        sent = edge.how == "" and not edge.unjoined and sources <= self._senders[edge.line, edge.target]
        kept = source.owner in graph.synapses and int(flow.places[edge.target]) in graph.cells_of(edge.source)
        return sent and (kept or edge.source not in self._carrying or self._label(edge) != "")

    def _label(self, edge: Edge) -> str:
        """The variable of a relay that its spike carries to another relay, if this is what a line reads."""
        graph, flow, is_relay = self.graph, self.flow, self.space.is_relay
        node = graph.nodes[edge.source]
        ends = [int(flow.places[k]) for k in (edge.source, edge.target)]
        rides = (
            node.owner in graph.groups and edge.source in self._carrying and all(k >= 0 and is_relay[k] for k in ends)
        )
        return f"{node.owner}.{node.variable}" if rides else ""

    @cached_property
    def _senders(self) -> Mapping[tuple[int, int], set[int]]:
        """Whose events run a line of a pathway: (line, node that it writes) -> populations."""
        found: dict[tuple[int, int], set[int]] = defaultdict(set)
        for edge in self.graph.edges:
            if _is_event(self.graph.nodes[edge.source]):
                found[edge.line, edge.target].add(int(self.flow.places[edge.source]))
        return found

    @cached_property
    def _carrying(self) -> set[int]:
        """Nodes, other than events, that depend on what some cell has done: on an event or a differential equation."""
        graph = self.graph
        onward: dict[int, list[int]] = defaultdict(list)
        for edge in graph.edges:
            onward[edge.source].append(edge.target)
        moving = {k for k, node in enumerate(graph.nodes) if _is_event(node) or self._integrated(k)}
        found, pending = set(moving), list(moving)
        while pending:
            new = [k for k in onward[pending.pop()] if k not in found]
            found.update(new)
            pending += new
        return {k for k in found if not _is_event(graph.nodes[k])}

    def _integrated(self, node: int) -> bool:
        n = self.graph.nodes[node]
        owner = {**self.graph.groups, **self.graph.synapses}.get(n.owner)
        equations = getattr(owner, "equations", {})
        return n.variable in equations and equations[n.variable].type == DIFFERENTIAL_EQUATION

    def _modulators(self, scope: Sequence[int]) -> tuple[Modulator, ...]:
        graph, flow = self.graph, self.flow
        found: dict[tuple[str, str], Modulator] = {}
        for node in scope:
            for edge in flow.into[node]:
                if edge.line in graph.tables:
                    table = graph.tables[edge.line]
                    found.setdefault((table.kind, table.name), table)
                if not flow.outside_signal(edge.source):
                    continue
                n, code = graph.nodes[edge.source], graph.lines[edge.line].code
                if flow.places[edge.source] >= 0:
                    if n.owner in graph.population_of and self._broadcasts(int(flow.places[edge.source])):
                        found.setdefault(("group of one cell", n.owner), Modulator(n.owner, "group of one cell", code))
                elif not getattr(graph.variable(edge.source), "constant", False):
                    name = f"{n.owner}.{n.variable}"
                    found.setdefault(("shared variable", name), Modulator(name, "shared variable", code))
        return tuple(found.values())

    def _broadcasts(self, population: int) -> bool:
        """Whether a cell outside the neighbourhood is read by more than one population, or by all there are."""
        flow = self.flow
        readers = {
            int(flow.places[edge.target])
            for edges in flow.into
            for edge in edges
            if flow.places[edge.source] == population and flow.places[edge.target] not in (-1, population)
        }
        return len(readers) > 0

    def notes(self) -> Iterator[str]:
        """What does not fail but should be known."""
        graph, space = self.graph, self.space
        for name in space.base:
            if name in self.chosen.joining and len(space.base) > 1 and (apart := space.skips(name)) >= 2:
                yield (
                    f"the plastic synapses {name!r} join populations that are {apart:g} hops apart without them; if "
                    "they are feedback and no neighbourhood, name the ones that are: neighbours=[...]"
                )
        yield from dict.fromkeys(self._linked_neighbours())
        for name in graph.synapses:
            apart = space.spans(name)
            if name not in (*space.base, *space.added, *space.relayed) and 2 <= apart < math.inf:
                yield f"the synapses {name!r} join populations {apart:g} hops apart: a finding where weights hear them"
        for name in space.added:
            yield f"the fixed synapses {name!r} count as neighbourhood where nothing plastic joins populations"
        for name in graph.synapses:
            fixed = sorted({n.variable for k, n in enumerate(graph.nodes) if n.owner == name and graph.moves(k)})
            if fixed and name not in self.chosen.synaptic:
                yield f"{', '.join(fixed)} of {name!r} change with the sending cell alone: filters, no weights"
        if not any(self.chosen.synaptic.values()):
            names = [f"{owner}.{name}" for owner, names in self.chosen.cellular.items() for name in names]
            yield f"no synapse is plastic; what was audited are variables of cells: {', '.join(names)}"
        yield from self._notes_on_relays()
        if graph.trust:
            yield f"trusted without a look: {', '.join(sorted(graph.trust))}"
        inactive = [o.name for o in graph.network.sorted_objects if not o.active]
        if inactive:
            yield f"not active, and left out: {', '.join(inactive)}"

    def _notes_on_relays(self) -> Iterator[str]:
        """Whom relays join, what they bring together, and what their spikes carry among themselves."""
        graph, space = self.graph, self.space
        if not self.relays:
            return
        heard, told = self._partners()
        lists = [
            ", ".join(graph.populations[k].name for k in sorted(found)) or "nobody else" for found in (heard, told)
        ]
        yield f"populations by declaration, because they relay spikes: {', '.join(self.relays)}"
        others = np.flatnonzero(~space.is_relay & space.inside)
        apart, near = (d[np.ix_(others, others)] for d in (space.without_relays, space.distance))
        gain = np.where(np.isfinite(apart), apart - near, 0)
        text = f"these relays hear of {lists[0]}, and send to {lists[1]}"
        if gain.max(initial=0) > 0:
            i, j = np.unravel_index(np.argmax(gain), gain.shape)
            a, b = (graph.populations[others[k]].name for k in (i, j))
            text += f"; with them {a} and {b} are {near[i, j]:g} hops apart, without them {apart[i, j]:g}"
        yield text
        to_cells = [edge for edge, _ in self._at_relays() if not graph.cells_of(edge.target)]
        if riding := sorted({label for edge in to_cells if (label := self._label(edge))}):
            yield f"spikes between relays carry with them {', '.join(riding)}"

    def _linked_neighbours(self) -> Iterator[str]:
        """What is read without a synapse, but from a neighbour."""
        graph, flow = self.graph, self.flow
        for edges in flow.into:
            for edge in edges:
                a, b = flow.places[edge.source], flow.places[edge.target]
                if edge.how and min(a, b) >= 0 and a != b and flow.edge_span(edge) == 1:
                    source, target = graph.title(edge.source), graph.title(edge.target)
                    yield f"{target} reads {source} of a neighbour by {edge.how}, which no synapse carries"


def _is_event(node: Node) -> bool:
    return node.variable.startswith("_") and node.variable.endswith("space")


def audit(
    network: Network,
    *,
    populations: Mapping[str, Any] | Circuit | SpikingCircuit | None = None,
    neighbours: Collection[str | Synapses] | None = None,
    weights: Collection[str] | None = None,
    event: Quantity = EVENT,
    hops_per_step: int = 1,
    namespace: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
    relays: Collection[str | NeuronGroup] | None = None,
) -> Report:
    """Say of every plastic weight of a Brian2 network from how many hops away its update can be influenced.

    Parameters
    ----------
    network : Network
        Any network for runtime mode that has not run yet.
    populations : mapping, Circuit or SpikingCircuit, optional
        Name to group, subgroup or (group, indices). By default every group is a population, divided at the borders of
        the subgroups that synapses use, and where its cells are joined to each other by plastic synapses, into cells
        with the same partners.
    neighbours : collection of str or Synapses, optional
        The synapses that make two populations neighbours, one hop apart. By default those that hold plastic weights,
        and others only where these join nothing.
    weights : collection of str, optional
        Plastic variables, as ``object.variable``; found in the equations by default.
    event : Quantity
        Length of an event, in time.
    hops_per_step : int
        Most hops that a signal may travel in one time step.
    namespace : mapping, optional
        What ``Network.run`` would be given; the caller's local and global names by default, as there.
    trust : collection of str
        Network operations, functions and objects to be left out because the caller knows that they carry nothing.
    relays : collection of str or NeuronGroup, optional
        Groups whose synapses make neighbours, of whatever kind, provided that only spikes cross them. By default those
        that `declare_relay` has named, such as the parts of a hippocampus.

    Returns
    -------
    Report

    Raises
    ------
    AuditError
        The network cannot be audited: it has run, was built for another device, is not connected, or has nothing
        plastic; its equations read a variable that does not exist; or an argument names something it does not have.
    UnitError
        `event` is not a positive time.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    length = quantity("event", event, ms, low=0, open_low=True)
    if isinstance(hops_per_step, bool) or not isinstance(hops_per_step, int) or hops_per_step < 1:
        raise AuditError(f"hops_per_step = {hops_per_step!r} is outside what is allowed: a whole number, 1 or more.")
    found = Reading(Question(network, populations, neighbours, weights, namespace, trust, relays))
    dt = min(o.clock.dt_ for o in found.graph.objects)
    n_steps = max(1, int(np.ceil(length / 1000 / dt - 1e-9)))
    rows = tuple(found.weight(weight, n_steps, hops_per_step) for weight in found.weights())
    names = tuple(p.name for p in found.graph.populations)
    neighbourhood = (*found.space.base, *found.space.relayed, *found.space.added)
    notes, relays_ = tuple(found.notes()), tuple(found.relays)
    return Report(network.name, names, neighbourhood, n_steps, rows, notes, relays_)
