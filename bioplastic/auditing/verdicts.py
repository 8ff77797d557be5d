"""The verdict on each plastic weight: what can reach it, from how far, and which lines of code are to blame."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bioplastic.auditing.exchange import Exchange
from bioplastic.auditing.flow import Flow
from bioplastic.auditing.graph import Edge
from bioplastic.auditing.reading import Reading, Weight
from bioplastic.auditing.report import (
    AT_ONCE,
    NO_SPIKE,
    NO_SYNAPSE,
    OPAQUE,
    SHORTCUT,
    UNRESOLVED,
    Finding,
    Modulator,
    PlasticWeight,
    Route,
)


def judge(found: Reading, exchange: Exchange, weight: Weight, n_steps: int, most: int) -> PlasticWeight:
    """Follow everything that can reach one weight.

    Parameters
    ----------
    found : Reading
    exchange : Exchange
    weight : Weight
    n_steps : int
        Of an event.
    most : int
        Hops that a signal may travel in one time step.

    Returns
    -------
    PlasticWeight
    """
    graph, flow, node = found.graph, found.flow, weight.node
    everything = flow.reach(node, math.inf)
    scope = flow.scope(node)
    findings = _findings(found, exchange, scope)
    findings += dict.fromkeys(finding for target, finding in exchange.crossings if target in everything.when)
    in_step, at_once = max((flow.in_step(k) for k in scope), key=lambda found: found[0])
    if in_step > most and not any(f.verdict not in (UNRESOLVED, NO_SPIKE) for f in findings):
        code = " / ".join(dict.fromkeys(graph.lines[e.line].code for e in at_once))
        begin, end = (graph.title(k) for k in (at_once[0].source, at_once[-1].target))
        what = f"from {begin} to {end} within one time step, through the cells in between"
        findings.append(Finding(AT_ONCE, what, in_step, code))
    skipped = max((f.hops for f in findings if f.verdict in (SHORTCUT, NO_SYNAPSE)), default=0.0)
    spans = {
        k: flow.span(k, node) if not flow.conduit[k] else _outer(flow, k, node)
        for k, (lag, _) in everything.when.items()
        if lag < n_steps
    }
    now = [spans[k] for k, (lag, _) in everything.when.items() if lag == 0]
    far = max(spans, key=lambda k: (spans[k], -everything.when[k][0], everything.when[k][1]))
    links = tuple(flow.link(edge, lag) for edge, lag in everything.route(far))
    populations = graph.division.populations
    opaque = any(f.verdict == OPAQUE for f in findings)
    return PlasticWeight(
        weight.owner,
        weight.variable,
        populations[weight.source].name,
        populations[weight.target].name,
        max(now),
        math.inf if opaque else max(in_step, skipped),
        math.inf if opaque else max(spans.values()),
        Route(spans[far], everything.when[far][0], links),
        tuple(sorted(findings, key=lambda f: -f.hops)),
        _modulators(found, scope),
    )


def _outer(flow: Flow, node: int, weight: int) -> float:
    """Distance of a population outside the neighbourhood, or 0 for what has no place or is a modulator."""
    if flow.places[node] < 0 or flow.outside_signal(node):
        return 0.0
    return float(flow.space.distance[flow.places[node], flow.places[weight]])


def _findings(found: Reading, exchange: Exchange, scope: Sequence[int]) -> list[Finding]:
    graph, flow = found.graph, found.flow
    worst: dict[tuple[str, str, str], Finding] = {}
    for node in scope:
        for edge in flow.into[node]:
            if edge.line in graph.suspects:
                finding = graph.suspects[edge.line]
                worst.setdefault((finding.what, "", finding.code), finding)
            hops, far = max((flow.edge_span(edge), -1), exchange.broadcasts.get(edge, (0.0, -1)))
            if hops < 2:
                continue
            finding = _finding(found, edge, hops, far)
            key = finding.verdict, graph.lines[edge.line].via, finding.code
            if key not in worst or worst[key].hops < hops:
                worst[key] = finding
    return [*worst.values(), *graph.opaque, *graph.division.unresolved]


def _finding(found: Reading, edge: Edge, hops: float, heard: int = -1) -> Finding:
    graph, flow = found.graph, found.flow
    line, populations = graph.lines[edge.line], graph.division.populations
    source, target = graph.title(edge.source), graph.title(edge.target)
    synaptic = not edge.how and not edge.unjoined and flow.places[edge.source] >= 0
    origins = flow.origins[edge.source] if flow.conduit[edge.source] else frozenset()
    through = ""
    if origins:
        goal = flow.places[edge.target]
        far = max(origins, key=lambda k: flow.space.distance[k, goal])
        through = f", which has it from {populations[far].name}"
    if heard >= 0:
        through = f", a relay, which hears of {populations[heard].name} but not of what it sends this to"
    if edge.unjoined and flow.span(edge.source, edge.target) < 2:
        through += " (no synapse joins the two cells)"
    carried = line.via if synaptic else f"{edge.how or 'code'} in {line.via}"
    what = f"{target} gets {source}{through}, by {carried}"
    return Finding(SHORTCUT if synaptic else NO_SYNAPSE, what, hops, line.code)


def _modulators(found: Reading, scope: Sequence[int]) -> tuple[Modulator, ...]:
    graph, flow = found.graph, found.flow
    modulators: dict[tuple[str, str], Modulator] = {}
    for node in scope:
        for edge in flow.into[node]:
            if edge.line in graph.tables:
                table = graph.tables[edge.line]
                modulators.setdefault((table.kind, table.name), table)
            if not flow.outside_signal(edge.source):
                continue
            n, code = graph.nodes[edge.source], graph.lines[edge.line].code
            if flow.places[edge.source] >= 0:
                if n.owner in graph.parts.groups and _is_read_by_others(flow, int(flow.places[edge.source])):
                    modulators.setdefault(("group of one cell", n.owner), Modulator(n.owner, "group of one cell", code))
            elif not getattr(graph.variable(edge.source), "constant", False):
                name = f"{n.owner}.{n.variable}"
                modulators.setdefault(("shared variable", name), Modulator(name, "shared variable", code))
    return tuple(modulators.values())


def _is_read_by_others(flow: Flow, population: int) -> bool:
    """Whether another population reads a cell outside the neighbourhood."""
    return any(
        flow.places[edge.source] == population and flow.places[edge.target] not in (-1, population)
        for edges in flow.into
        for edge in edges
    )
