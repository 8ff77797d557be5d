"""What is asked about a network, and what is known of it once its equations have been read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from brian2 import Network, NeuronGroup, Synapses

from bioplastic.auditing.flow import Flow
from bioplastic.auditing.graph import Graph
from bioplastic.auditing.objects import read
from bioplastic.auditing.parts import Parts, check, root
from bioplastic.auditing.paths import components
from bioplastic.auditing.populations import divide
from bioplastic.auditing.report import AuditError
from bioplastic.auditing.space import Space
from bioplastic.auditing.weights import Chosen, choose, synaptic_variables
from bioplastic.relays import declared


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


@dataclass(frozen=True)
class Reading:
    """Everything that is known of a network after its equations have been read.

    Attributes
    ----------
    graph : Graph
    chosen : Chosen
        The plastic variables.
    space : Space
    flow : Flow
    relays : tuple of str
        Groups that are populations by declaration, their own or the caller's.
    """

    graph: Graph
    chosen: Chosen
    space: Space
    flow: Flow
    relays: tuple[str, ...]

    @classmethod
    def of(cls, question: Question) -> Reading:
        """Read the equations of a network.

        Raises
        ------
        AuditError
            The network cannot be audited, or an argument names something that it does not have.
        """
        check(question.network)
        parts = Parts.of(question.network)
        read_parts = partial(read, parts, namespace=question.namespace, trust=question.trust)
        # Once to see which variables change, and once more with that knowledge.
        once = read_parts(divide(parts, None, ()), written=())
        again = read_parts(divide(parts, question.populations, ()), written=once.written)
        chosen = choose(again, question.weights)
        if not chosen.any:
            raise AuditError(_nothing_plastic(parts))
        neighbours = _neighbours(parts, question.neighbours)
        relays = _relays(parts, question.relays)
        division = divide(parts, question.populations, neighbours or chosen.joining)
        graph = read_parts(division, written=again.written)
        space = Space(parts, division, chosen.joining, neighbours, relays)
        _check_connected(graph, space)
        return cls(graph, chosen, space, Flow(graph, space), tuple(relays))

    def weights(self) -> Iterator[Weight]:
        """Every plastic variable between two populations."""
        graph, parts = self.graph, self.graph.parts
        for owner, names in self.chosen.synaptic.items():
            for name in names:
                for node in graph.all_nodes(parts.synapses[owner].variables[name]).tolist():
                    pre, post = graph.cells_of(node)
                    yield Weight(owner, name, node, pre, post)
        for owner, names in self.chosen.cellular.items():
            for name in names:
                for node in graph.all_nodes(parts.groups[owner].variables[name]).tolist():
                    yield Weight(owner, name, node, graph.nodes[node].region, graph.nodes[node].region)


def _neighbours(parts: Parts, neighbours: Collection[str | Synapses] | None) -> list[str] | None:
    if neighbours is None:
        return None
    names = [n if isinstance(n, str) else n.name for n in neighbours]
    for name in names:
        if name not in parts.synapses:
            raise AuditError(
                f"neighbours: there are no Synapses {name!r} in the network; it has "
                f"{', '.join(parts.synapses) or 'none'}."
            )
    return names


def _relays(parts: Parts, relays: Collection[str | NeuronGroup] | None) -> list[str]:
    if relays is None:
        return [name for name, group in parts.groups.items() if declared(group)]
    names = [n if isinstance(n, str) else root(n).name for n in relays]
    for name in names:
        if name not in parts.groups:
            raise AuditError(
                f"relays: there is no group {name!r} in the network; its groups are {', '.join(parts.groups)}."
            )
    return names


def _nothing_plastic(parts: Parts) -> str:
    return (
        "the network has no plastic weight: no code changes a variable that scales what one cell does to another. "
        f"Synaptic variables are {synaptic_variables(parts)}. If one of them, or a variable of cells, "
        "is a weight all the same, name it: weights=['object.variable']."
    )


def _check_connected(graph: Graph, space: Space) -> None:
    """Raise `AuditError` if the network falls into parts that nothing joins."""
    populations = graph.division.populations
    joined = space.everything.copy()
    for edge in graph.edges:
        a, b = graph.place(edge.source), graph.place(edge.target)
        if a >= 0 and b >= 0:
            joined[a, b] = joined[b, a] = True
    for population in populations:  # those of one group that nothing divides belong together
        same = [k for k, other in enumerate(populations) if other.group == population.group]
        if not space.everything[same].any():
            joined[np.ix_(same, same)] = True
    part = components(joined)
    if graph.opaque or len(set(part.tolist())) == 1:
        return
    lists = [[p.name for p, k in zip(populations, part, strict=True) if k == part_] for part_ in set(part)]
    texts = [", ".join(names[:6]) + (", ..." if len(names) > 6 else "") for names in lists]
    raise AuditError(
        f"the network falls into {len(lists)} parts between which there is no path, so hops between them mean "
        f"nothing: {'; '.join(texts)}. Connect them, leave one out, or audit each in a Network of its own."
    )
