"""What populations there are: the caller's, or those that groups, subgroups and plastic synapses make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from brian2 import Subgroup, Synapses
from brian2.core.spikesource import SpikeSource

from bioplastic.auditing.parts import Parts, ends_of, real, root
from bioplastic.auditing.report import UNRESOLVED, AuditError, Finding
from bioplastic.circuit import Circuit

MOST_POPULATIONS = 64
"""Most populations into which one group is divided by its connections; beyond, the caller has to say."""


@dataclass(frozen=True)
class Members:
    """The cells of one population, by their indices in their group."""

    name: str
    group: str
    cells: np.ndarray


@dataclass(frozen=True)
class Division:
    """How cells fall into populations, and synapses into regions, one for each pair of populations that they join.

    Attributes
    ----------
    populations : tuple of Members
    population_of : mapping of str to array of int, shape (n_cells,)
        Of each cell of a group.
    regions : mapping of str to array of int, shape (n_synapses,)
        Of each synapse of a Synapses object.
    ends : mapping of str to array of int, shape (n_regions, 2)
        Populations that each region joins, the presynaptic one first.
    unresolved : tuple of Finding
        Cells of which it is not known which of them form a population.
    """

    populations: tuple[Members, ...]
    population_of: Mapping[str, np.ndarray]
    regions: Mapping[str, np.ndarray]
    ends: Mapping[str, np.ndarray]
    unresolved: tuple[Finding, ...]


def divide(parts: Parts, populations: Any, plastic: Collection[str]) -> Division:
    """Divide a network into populations.

    Parameters
    ----------
    parts : Parts
    populations : mapping, Circuit, SpikingCircuit or None
        The caller's; groups that hold none of them are divided where subgroups or connections divide them.
    plastic : collection of str
        Synapses whose connections divide.

    Returns
    -------
    Division

    Raises
    ------
    AuditError
        The caller's populations overlap or are none of this network; or synapses join what is not part of it.
    """
    given = _named(populations, parts.groups)
    found: list[Members] = []
    unresolved: list[Finding] = []
    population_of: dict[str, np.ndarray] = {}
    for name, group in parts.groups.items():
        label = np.full(len(group), -1)
        own = [Members(population, name, cells) for population, (owner, cells) in given.items() if owner == name]
        for number, members in enumerate(own, len(found)):
            if np.any(label[members.cells] >= 0):
                raise AuditError(f"populations[{members.name!r}] overlaps another population of group {name!r}.")
            label[members.cells] = number
        rest = np.flatnonzero(label < 0)
        others: list[Members] = []
        if len(rest) == len(label):
            others, questions = _divide_group(parts, name, plastic)
            unresolved += questions
        elif len(rest):
            others = [Members(f"rest of {name}", name, rest)]
        for number, members in enumerate(others, len(found) + len(own)):
            label[members.cells] = number
        found += [*own, *others]
        population_of[name] = label
    regions: dict[str, np.ndarray] = {}
    ends: dict[str, np.ndarray] = {}
    for synapses in sorted(parts.synapses.values(), key=_depth):
        label, places = _places_of_ends(synapses, population_of, regions, ends)
        _, first, region = np.unique(label, axis=1, return_index=True, return_inverse=True)
        regions[synapses.name] = region.ravel()
        ends[synapses.name] = places[:, first].T
    return Division(tuple(found), population_of, regions, ends, tuple(unresolved))


def _named(populations: Any, groups: Mapping[str, Any]) -> dict[str, tuple[str, np.ndarray]]:
    """The caller's populations as name -> (group, cells)."""
    if populations is None:
        return {}
    circuit = populations if isinstance(populations, Circuit) else getattr(populations, "circuit", None)
    if circuit is not None:
        cells = getattr(populations, "cells", None)
        fitting = [name for name, group in groups.items() if len(group) == circuit.n_cells]
        if cells is None and len(fitting) != 1:
            raise AuditError(
                f"populations: a circuit of {circuit.n_cells} cells, but {len(fitting)} groups of the network have as "
                f"many; give the SpikingCircuit that bioplastic.spiking.build returned."
            )
        group = fitting[0] if cells is None else cells.name
        return {name: (group, np.arange(s.start, s.stop)) for name, s in circuit.slices.items()}
    if not isinstance(populations, Mapping):
        raise AuditError(
            f"populations = {populations!r} is no mapping; give {{name: group}}, {{name: subgroup}} or "
            "{name: (group, indices)}, a Circuit or a SpikingCircuit."
        )
    named = {}
    for name, value in populations.items():
        group, indices = value if isinstance(value, tuple) else (value, None)
        if not isinstance(group, SpikeSource) or root(group).name not in groups:
            raise AuditError(
                f"populations[{name!r}] = {value!r} is no group of the network; its groups are {', '.join(groups)}."
            )
        start = getattr(group, "start", 0)
        cells = np.arange(start, start + len(group))
        named[name] = (root(group).name, cells if indices is None else np.unique(cells[indices]))
    return named


def _divide_group(parts: Parts, name: str, plastic: Collection[str]) -> tuple[list[Members], list[Finding]]:
    """Divide a group at the borders of the subgroups that synapses use, then by who is joined to whom."""
    n = len(parts.groups[name])
    borders, joins = {0, n}, []
    inside = False
    for synapses in parts.synapses.values():
        for end in (real(synapses.source), real(synapses.target)):
            if isinstance(end, Subgroup) and root(end).name == name:
                borders |= {end.start, end.stop}
        (source, pre), (target, post) = ends_of(synapses)
        if synapses.name in plastic and name in (source, target):
            inside |= source == target
            # cells of other groups come after those of this one
            joins.append((pre if source == name else pre + n, post if target == name else post + n))
    found, unresolved = [], []
    for start, stop in pairwise(sorted(borders)):
        cells = np.arange(start, stop)
        divided = [cells]
        if inside and any(np.any(np.isin(pre, cells) & np.isin(post, cells)) for pre, post in joins):
            labels = [_partners(n, joins, closed=closed)[cells] for closed in (False, True)]
            labels = [kind for kind in labels if len(np.unique(kind)) <= MOST_POPULATIONS]
            if labels:
                label = min(labels, key=lambda kind: len(np.unique(kind)))
                divided = [cells[label == k] for k in dict.fromkeys(label.tolist())]
            else:
                unresolved.append(_unresolved(_cell_names(name, cells)))
        found += [Members(name if len(part) == n else _cell_names(name, part), name, part) for part in divided]
    return found, unresolved


def _partners(n: int, joins: Sequence[tuple[np.ndarray, np.ndarray]], *, closed: bool) -> np.ndarray:
    """Label cells so that two have the same label if they are joined to the same cells (or, closed, to each other)."""
    rng = np.random.default_rng(0)
    signature = np.zeros((n, 2 * len(joins)), np.uint64)
    for k, (pre, post) in enumerate(joins):  # sums of random keys: equal for equal sets, and else by chance of 2^-64
        key = rng.integers(0, 2**63, max(n, int(max(pre.max(), post.max())) + 1), dtype=np.uint64)
        sends, receives = pre < n, post < n
        np.add.at(signature[:, 2 * k], pre[sends], key[post[sends]])
        np.add.at(signature[:, 2 * k + 1], post[receives], key[pre[receives]])
        if closed:
            signature[:, 2 * k : 2 * k + 2] += key[:n, None]
    return np.unique(signature, axis=0, return_inverse=True)[1].ravel()


def _cell_names(group: str, cells: np.ndarray) -> str:
    if np.all(np.diff(cells) == 1):
        return f"{group}[{cells[0]}]" if len(cells) == 1 else f"{group}[{cells[0]}:{cells[-1] + 1}]"
    return f"{group}[{cells[0]},{cells[1]},...]"


def _unresolved(cells: str) -> Finding:
    return Finding(
        UNRESOLVED,
        f"plastic synapses join the cells of {cells} to each other, each in its own way",
        0,
        "say which cells form a population: populations={'name': group[a:b], ...}, or {'name': group} for one",
    )


def _depth(synapses: Synapses) -> int:
    """0 between cells, 1 for synapses on to synapses, and so on."""
    ends = [root(end) for end in (synapses.source, synapses.target)]
    return max((1 + _depth(end) for end in ends if isinstance(end, Synapses)), default=0)


def _places_of_ends(
    synapses: Synapses,
    population_of: Mapping[str, np.ndarray],
    regions: Mapping[str, np.ndarray],
    ends: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Population or region of both ends of each synapse, and the populations they stand for, both of shape (2, n)."""
    labels, places = [], []
    for name, elements in ends_of(synapses):
        if name in population_of:
            labels.append(population_of[name][elements])
            places.append(labels[-1])
        elif name in regions:
            labels.append(regions[name][elements])
            places.append(ends[name][labels[-1], 1])
        else:
            raise AuditError(f"Synapses {synapses.name!r} join {name!r}, which is not part of the network: add it.")
    return np.stack(labels), np.stack(places)
