"""What an audit notes: it does not fail, but should be known."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from bioplastic.auditing.exchange import Exchange
from bioplastic.auditing.reading import Reading


def notes(found: Reading, exchange: Exchange, trust: Collection[str]) -> Iterator[str]:
    """What does not fail but should be known.

    Parameters
    ----------
    found : Reading
    exchange : Exchange
    trust : collection of str
        What the caller vouched for.

    Yields
    ------
    str
        One sentence each.
    """
    graph, space, parts = found.graph, found.space, found.graph.parts
    for name in space.base:
        if name in found.chosen.joining and len(space.base) > 1 and (apart := space.skips(name)) >= 2:
            yield (
                f"the plastic synapses {name!r} join populations that are {apart:g} hops apart without them; if "
                "they are feedback and no neighbourhood, name the ones that are: neighbours=[...]"
            )
    yield from dict.fromkeys(_linked_neighbours(found))
    for name in parts.synapses:
        apart = space.spans(name)
        if name not in (*space.base, *space.added, *space.relayed) and 2 <= apart < math.inf:
            yield f"the synapses {name!r} join populations {apart:g} hops apart: a finding where weights hear them"
    for name in space.added:
        yield f"the fixed synapses {name!r} count as neighbourhood where nothing plastic joins populations"
    for name in parts.synapses:
        fixed = sorted({n.variable for k, n in enumerate(graph.nodes) if n.owner == name and graph.moves(k)})
        if fixed and name not in found.chosen.synaptic:
            yield f"{', '.join(fixed)} of {name!r} change with the sending cell alone: filters, no weights"
    if not any(found.chosen.synaptic.values()):
        names = [f"{owner}.{name}" for owner, names in found.chosen.cellular.items() for name in names]
        yield f"no synapse is plastic; what was audited are variables of cells: {', '.join(names)}"
    yield from exchange.notes()
    if trust:
        yield f"trusted without a look: {', '.join(sorted(set(trust)))}"
    inactive = [o.name for o in parts.network.sorted_objects if not o.active]
    if inactive:
        yield f"not active, and left out: {', '.join(inactive)}"


def _linked_neighbours(found: Reading) -> Iterator[str]:
    """What is read without a synapse, but from a neighbour."""
    graph, flow = found.graph, found.flow
    for edges in flow.into:
        for edge in edges:
            a, b = flow.places[edge.source], flow.places[edge.target]
            if edge.how and min(a, b) >= 0 and a != b and flow.edge_span(edge) == 1:
                source, target = graph.title(edge.source), graph.title(edge.target)
                yield f"{target} reads {source} of a neighbour by {edge.how}, which no synapse carries"
