"""The graph of who reads whom: variables of populations, and the lines of code that read one and write another."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bioplastic.auditing.parts import Parts, root
from bioplastic.auditing.populations import Division
from bioplastic.auditing.report import Finding, Modulator


@dataclass(frozen=True)
class Node:
    """A variable of the cells of one population, of the synapses between two, or of nobody in particular."""

    owner: str
    variable: str
    region: int  # population of cells, region of synapses, or -1

    @property
    def is_event(self) -> bool:
        """Whether it is Brian2's list of the cells that have an event."""
        return self.variable.startswith("_") and self.variable.endswith("space")


@dataclass(frozen=True)
class Line:
    """One line of code at its place in the time step."""

    via: str
    code: str
    synaptic: bool


@dataclass(frozen=True)
class Edge:
    """One line of code that reads one node and writes another, `lag` time steps later at the earliest."""

    source: int
    target: int
    line: int
    lag: int = 0
    how: str = ""
    unjoined: bool = False


class Use(NamedTuple):
    """What one line of code reads to write one variable, to find out which variables are weights."""

    key: int  # of the variable that is written
    end: str  # "pre" or "post" where a synapse writes a variable of one of its own cells
    line: int
    sources: tuple[tuple[int, str], ...]  # nodes that are read, each with the end at which a synapse reads it


class Graph:
    """Nodes and edges of a network.

    Attributes
    ----------
    parts : Parts
    division : Division
    nodes : list of Node
    lines : list of Line
    edges : list of Edge
    uses : list of Use
    opaque : list of Finding
        Objects whose code cannot be read.
    suspects : dict of int to Finding
        Functions that cannot be read, by the line that calls one.
    tables : dict of int to Modulator
        TimedArrays that are read at the time alone, by the line that reads one.
    random : bool
        Whether any line draws random numbers.
    """

    def __init__(self, parts: Parts, division: Division) -> None:
        self.parts = parts
        self.division = division
        self.nodes: list[Node] = []
        self.lines: list[Line] = []
        self.edges: list[Edge] = []
        self.uses: list[Use] = []
        self.opaque: list[Finding] = []
        self.suspects: dict[int, Finding] = {}
        self.tables: dict[int, Modulator] = {}
        self.random = False
        self._node_of: dict[int, np.ndarray] = {}
        self._key_of: list[int] = []
        self._variables: dict[int, Any] = {}  # keeps them alive, so that ids stay unique

    def nodes_of(self, variable: Any, owner: Any) -> np.ndarray:
        """Node of every element of a variable; one node alone for what belongs to nobody in particular."""
        key = id(variable)
        if key not in self._node_of:
            label = "" if owner is None else getattr(root(owner), "name", "")
            regions = np.array([-1])
            if not getattr(variable, "scalar", False):
                division = self.division
                regions = division.population_of.get(label, division.regions.get(label, regions))
            values, local = np.unique(regions, return_inverse=True)
            self._node_of[key] = len(self.nodes) + local.ravel()
            self._variables[key] = variable
            self._key_of += [key] * len(values)
            self.nodes += [Node(label, variable.name, int(region)) for region in values]
        return self._node_of[key]

    def all_nodes(self, variable: Any) -> np.ndarray:
        """All nodes of a variable, each once."""
        return np.unique(self.nodes_of(variable, variable.owner))

    def key(self, node: int) -> int:
        """Identity of the variable of a node."""
        return self._key_of[node]

    def variable(self, node: int) -> Any:
        """The variable of a node."""
        return self._variables[self._key_of[node]]

    def is_of_cells(self, key: int) -> bool:
        """Whether a variable belongs to cells."""
        return getattr(root(self._variables[key].owner), "name", "") in self.parts.groups

    # What follows is asked when all has been read.

    @cached_property
    def written(self) -> frozenset[int]:
        """Identities of the variables that code writes."""
        return frozenset(use.key for use in self.uses)

    def moves(self, node: int) -> bool:
        """Whether anything changes a node while the network runs."""
        return self.key(node) in self.written or self.nodes[node].variable.endswith("space")

    @cached_property
    def _of_the_sender(self) -> set[tuple[str, str]]:
        """Synaptic variables through which only the presynaptic cell receives: they belong to that cell."""
        ends: dict[tuple[str, str], set[str]] = defaultdict(set)
        for use in self.uses:
            for source, _ in use.sources:
                node = self.nodes[source]
                if use.end and node.owner in self.parts.synapses:
                    ends[node.owner, node.variable].add(use.end)
        return {variable for variable, found in ends.items() if found == {"pre"}}

    def place(self, node: int) -> int:
        """Population of a node, or -1; a synaptic variable belongs to the cell that receives through it."""
        n = self.nodes[node]
        if n.region < 0 or n.owner in self.division.population_of:
            return n.region
        return int(self.division.ends[n.owner][n.region, 0 if (n.owner, n.variable) in self._of_the_sender else 1])

    def cells_of(self, node: int) -> list[int]:
        """The two populations that a synaptic variable joins; none for other variables."""
        n = self.nodes[node]
        ends = self.division.ends
        return ends[n.owner][n.region].tolist() if n.region >= 0 and n.owner in ends else []

    def title(self, node: int) -> str:
        """How a node is called in reports."""
        n = self.nodes[node]
        what = f"{n.owner}.{n.variable}" if n.owner else n.variable
        if space := re.fullmatch(r"_(\w+)space", n.variable):
            what = f"{n.owner} event {space.group(1)!r}"
        if n.region < 0:
            return what
        populations = self.division.populations
        if n.owner in self.division.population_of:
            return f"{what} of {populations[n.region].name}"
        pre, post = (populations[p].name for p in self.division.ends[n.owner][n.region])
        return f"{what} from {pre} to {post}"
