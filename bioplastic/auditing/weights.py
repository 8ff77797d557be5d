"""Which variables of a network are plastic weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brian2 import Clock, NeuronGroup, Synapses
from brian2.core.variables import ArrayVariable
from brian2.equations.equations import PARAMETER

from bioplastic.auditing.graph import Edge, Graph
from bioplastic.auditing.parts import Parts, real
from bioplastic.auditing.paths import reachable
from bioplastic.auditing.report import AuditError


def synaptic_weights(graph: Graph, synapses: Synapses) -> tuple[list[str], list[str]]:
    """Variables of a Synapses object that are plastic weights, and those among them that learn from both ends.

    A weight scales what the sending cell does to the receiving one, and changes with something else than the sender
    alone, or adds up what the sender does. Other variables that change with the sender alone are filters and
    short-term plasticity; those that reach the receiver only through a weight are traces. Where nothing reads what both
    ends change (the weights of a network that learns and does not yet recall), what it ends up in is the weight.
    """
    names = {id(v): n for n, v in synapses.variables.items() if owned(v, synapses)}
    reads: dict[int, set[int]] = {key: set() for key in names}  # own variable -> own variables that it is made from
    changing: dict[int, set[str]] = {key: set() for key in names}  # -> what else: "pre", "post" or "other"
    by_event: dict[int, set[int]] = {key: set() for key in names}  # as `reads`, in pathways alone
    feeds: dict[int, set[str]] = {key: set() for key in names}  # -> ends of the cells that read it
    for key, end, line, sources in graph.uses:
        own = {k for node, _ in sources for k in [graph.key(node)] if k in names}
        if key not in names:
            for k in own:
                feeds[k] |= {end} if end else {"other"} if graph.is_of_cells(key) else set()
            continue
        reads[key] |= own
        if graph.lines[line].synaptic:
            by_event[key] |= own - {key}
        changing[key] |= {
            direct or "other" for node, direct in sources if graph.key(node) not in names and graph.moves(node)
        }
    for tables in (graph.tables, graph.suspects):
        for line in tables:
            for key, _, at, _ in graph.uses:
                if at == line and key in names:
                    changing[key].add("other")

    def made_from(key: int) -> set[int]:
        return reachable([key], reads.__getitem__)

    def plastic(key: int, ends: set[str]) -> bool:
        sender = {"pre": {"post"}, "post": {"pre"}}.get("".join(ends), set()) if len(ends) == 1 else set()
        return any(changing[k] - sender for k in made_from(key))

    def learns_from_both(key: int) -> bool:
        return {"pre", "post"} <= {end for k in made_from(key) for end in changing[k]}

    def passes_on(key: int, through: set[str]) -> bool:
        return plastic(key, through) and any(key in by_event[other] for other in names if feeds[other])

    def unread(key: int, through: set[str], *, parameter: bool) -> bool:
        ends_here = not any(key in reads[other] for other in names if other != key)
        return not through and learns_from_both(key) and (parameter or ends_here)

    chosen, from_sender = set(), set()
    written = {key for key, *_ in graph.uses}
    for key, direct in feeds.items():
        if key not in written:
            continue
        through = {end for other in names if key in made_from(other) for end in feeds[other]}
        parameter = names[key] in synapses.equations and synapses.equations[names[key]].type == PARAMETER
        if direct and plastic(key, direct):
            sender = {"pre": {"post"}, "post": {"pre"}}.get("".join(direct), set())
            is_filter = by_event[key] and not changing[key] - sender
            if not is_filter:
                chosen.add(key)
        elif direct and parameter and key in reads[key]:
            from_sender.add(key)
        elif passes_on(key, through) if through and parameter else unread(key, through, parameter=parameter):
            chosen.add(key)
    return sorted(names[key] for key in chosen | from_sender), sorted(names[key] for key in chosen)


def owned(variable: Any, group: Any) -> bool:
    """Whether a variable holds one number per element of a group, and is its own and not Brian2's bookkeeping."""
    return (
        isinstance(variable, ArrayVariable)
        and not variable.read_only
        and not variable.scalar
        and getattr(real(variable.owner), "name", None) == group.name
        and not isinstance(real(variable.owner), Clock)
        and variable.name not in ("lastupdate", "delay")
        and not variable.name.startswith("_")  # the delays of Brian2 2.11
    )


def synaptic_variables(parts: Parts) -> str:
    """All that could be a weight of synapses, in words."""
    known = [f"{n}.{v}" for n, s in parts.synapses.items() for v in s.variables if owned(s.variables[v], s)]
    return ", ".join(sorted(known)) or "none"


def cell_parameters(graph: Graph, group: Any) -> list[str]:
    """Parameters of cells that only events change, and by what the cells hold: biases and thresholds that learn.

    What depends on nothing but its own cell, such as when a generator fires next, has nothing to learn from.
    """
    if not isinstance(group, NeuronGroup):
        return []
    found = []
    for name, variable in group.variables.items():
        if not owned(variable, group) or variable.scalar:
            continue
        if name not in group.equations or group.equations[name].type != PARAMETER:
            continue
        uses = [(line, sources) for key, _, line, sources in graph.uses if key == id(variable)]
        by_event = all(graph.lines[line].via.startswith(("reset", "run_on_event")) for line, _ in uses)
        reads = {graph.nodes[n].variable for _, sources in uses for n, _ in sources}
        reads = {r for r in reads if not r.endswith("space")} - {name}
        if uses and by_event and reads and _driven(graph, variable, group):
            found.append(name)
    return found


def _driven(graph: Graph, variable: Any, group: Any) -> bool:
    """Whether anything that is not of its own group can reach a variable."""
    if graph.opaque:
        return True
    into: dict[int, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        into[edge.target].append(edge)

    def own(node: int) -> list[int]:
        return [edge.source for edge in into[node] if graph.nodes[edge.source].owner == group.name]

    reached = reachable(graph.all_nodes(variable).tolist(), own)
    return any(
        edge.line in graph.suspects or graph.nodes[edge.source].owner != group.name
        for node in reached
        for edge in into[node]
    )


@dataclass(frozen=True)
class Chosen:
    """The plastic variables of a network: owner -> names; and the Synapses that make neighbours."""

    synaptic: Mapping[str, Sequence[str]]
    cellular: Mapping[str, Sequence[str]]
    joining: Sequence[str]

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return any(self.synaptic.values()) or any(self.cellular.values())


def choose(graph: Graph, weights: Collection[str] | None) -> Chosen:
    """Find the plastic variables, or take those that the caller names."""
    if weights is None:
        found = {name: synaptic_weights(graph, s) for name, s in graph.parts.synapses.items()}
        synaptic = {name: weights for name, (weights, _) in found.items() if weights}
        cellular = {name: cell_parameters(graph, g) for name, g in graph.parts.groups.items()}
        joining = [name for name, (_, both_ends) in found.items() if both_ends] or list(synaptic)
        return Chosen(synaptic, {k: v for k, v in cellular.items() if v}, joining)
    chosen: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
    for weight in weights:
        owner, _, variable = weight.partition(".")
        for table, owners in zip(chosen, (graph.parts.synapses, graph.parts.groups), strict=True):
            if owner in owners and owned(owners[owner].variables.get(variable), owners[owner]):
                table.setdefault(owner, []).append(variable)
                break
        else:
            raise AuditError(
                f"weights: there is no {weight!r} in the network; give 'object.variable', for synapses one of "
                f"{synaptic_variables(graph.parts)}."
            )
    return Chosen(*chosen, list(chosen[0]))
