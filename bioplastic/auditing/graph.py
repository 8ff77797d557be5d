"""The graph of who reads whom: everything that is read from Brian2 is read here."""

from __future__ import annotations

import ast
import inspect
import math
import re
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import (
    Clock,
    Network,
    NetworkOperation,
    SpikeGeneratorGroup,
    Subgroup,
    Synapses,
    TimedArray,
)
from brian2.core.functions import DEFAULT_FUNCTIONS, Function
from brian2.core.spikesource import SpikeSource
from brian2.core.variables import ArrayVariable, Constant, Subexpression
from brian2.devices.device import RuntimeDevice, get_device
from brian2.equations.equations import DIFFERENTIAL_EQUATION
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import Resetter, StateUpdater, SubexpressionUpdater, Thresholder
from brian2.input.binomial import BinomialFunction
from brian2.monitors import EventMonitor, PopulationRateMonitor, StateMonitor
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import StateUpdater as SynapticStateUpdater
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.utils.stringtools import deindent, get_identifiers, strip_empty_lines

from bioplastic.auditing.functions import hidden_state
from bioplastic.auditing.report import OPAQUE, UNRESOLVED, AuditError, Finding, Modulator
from bioplastic.circuit import Circuit

if TYPE_CHECKING:
    pass

MOST_POPULATIONS = 64
"""Most populations into which one group is divided by its connections; beyond, the caller has to say."""


def check(network: Any) -> None:
    """Raise `AuditError` unless `network` is one that can be audited.

    Parameters
    ----------
    network : Network
        Made for runtime mode, not run yet, with all its synapses connected.

    Raises
    ------
    AuditError
        It is something else; the message says what to do.
    """
    if not isinstance(network, Network):
        raise AuditError(f"network = {network!r} is no brian2.Network; give Network(group, synapses, ...).")
    device = get_device()
    objects = network.sorted_objects
    arrays = [v for o in objects for v in getattr(o, "variables", {}).values() if isinstance(v, ArrayVariable)]
    if not isinstance(device, RuntimeDevice) or any(not isinstance(v.device, RuntimeDevice) for v in arrays):
        raise AuditError(
            "the network was built for another device (C++ standalone), where it has no values to look at; call "
            "set_device('runtime') before making it."
        )
    if not objects:
        raise AuditError("the network is empty; add its groups and synapses: Network(group, synapses, ...).")
    if time_of(network) > 0:
        raise AuditError(
            f"the network has already run (t = {time_of(network):g} s), so its state is not the one it starts from; "
            "make it anew, or go back with store() and restore()."
        )
    for synapses in (o for o in objects if isinstance(o, Synapses)):
        if not len(synapses):
            raise AuditError(
                f"Synapses {synapses.name!r} from {synapses.source.name!r} to {synapses.target.name!r} were never "
                "connected: call its connect() first."
                if not synapses._connect_called
                else f"Synapses {synapses.name!r} hold no synapse: its connect() matched no pair of cells."
            )


def time_of(network: Network) -> float:
    """Time in s; after a run that was stopped Brian2 holds it as an array."""
    return float(np.asarray(network.t_).flat[0])


@dataclass(frozen=True)
class Members:
    """The cells of one population, by their indices in their group."""

    name: str
    group: str
    cells: np.ndarray


def real(proxy: Any) -> Any:
    """Brian2 hands out weak proxies."""
    return proxy.__repr__.__self__ if isinstance(proxy, weakref.ProxyTypes) else proxy


def root(group: Any) -> Any:
    """The group of a subgroup."""
    group = real(group)
    return real(group.source) if isinstance(group, Subgroup) else group


def is_cells(owner: Any) -> bool:
    """Whether the elements of a variable's owner are cells."""
    return isinstance(owner, SpikeSource) and not isinstance(owner, Subgroup | Synapses | SynapticPathway)


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


def _twins(n: int, joins: Sequence[tuple[np.ndarray, np.ndarray]], *, closed: bool) -> np.ndarray:
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


@dataclass(frozen=True)
class Line:
    """One line of code at its place in the time step."""

    owner: str
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


@dataclass(frozen=True)
class Node:
    """A variable of the cells of one population, of the synapses between two, or of nobody in particular."""

    owner: str
    variable: str
    region: int  # population of cells, region of synapses, or -1


@dataclass(frozen=True)
class Read:
    """What a name in a line refers to: nodes by element (or one for all), and how."""

    nodes: np.ndarray
    how: str
    element: np.ndarray | None = None
    group: str = ""
    direct: str = ""  # "pre" or "post" where a synapse reads one of its own cells


@dataclass
class Context:
    """Where names are looked up: a group, and what the object that runs the code adds."""

    group: Any
    variables: Mapping[str, Any]
    n: int
    where: str
    extra_indices: Mapping[str, str] = field(default_factory=dict)


_RANDOM = {"rand", "randn", "poisson"}
_CLOCK = {"t", "dt", "t_in_timesteps"}
_IGNORED = {"True", "False", "and", "or", "not"}


def _code_lines(code: str) -> list[str]:
    lines = (line.strip() for line in re.split(r"[;\n]", strip_empty_lines(deindent(code))))
    return [line for line in lines if line and not line.startswith("#")]


def _without_comment(code: str) -> str:
    return re.sub(r"\s+", " ", code.split("#", 1)[0]).strip()


class Graph:
    """Nodes and edges of a network; everything that is read from Brian2 is read here."""

    def __init__(self, network: Network, namespace: Mapping[str, Any], trust: Collection[str]) -> None:
        self.network = network
        self.namespace = namespace
        self.trust = set(trust)
        self.objects = [o for o in network.sorted_objects if o.active]
        self.synapses: dict[str, Synapses] = {o.name: o for o in self.objects if isinstance(o, Synapses)}
        self.groups = self._cell_groups()
        self.populations: list[Members] = []
        self.population_of: dict[str, np.ndarray] = {}
        self.regions: dict[str, np.ndarray] = {}
        self.ends: dict[str, np.ndarray] = {}  # of every region of synapses: place of its pre and of its post end
        self.nodes: list[Node] = []
        self.lines: list[Line] = []
        self.edges: list[Edge] = []
        self.opaque: list[Finding] = []
        self.suspects: dict[int, Finding] = {}  # line -> function in it that cannot be read
        self.tables: dict[int, Modulator] = {}  # line -> TimedArray that is read at the time alone
        self.random = False
        self._at = -1  # the line that is being read
        self._node_of: dict[int, np.ndarray] = {}
        self._key_of: list[int] = []
        self._variables: dict[int, Any] = {}  # keeps them alive, so that ids stay unique
        self._joined: np.ndarray | None = None
        self._written: set[int] = set()
        self.uses: list[tuple[int, str, int, tuple[tuple[int, str, str], ...]]] = []
        self.home_pre: set[tuple[str, str]] = set()

    def _cell_groups(self) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def add(owner: Any) -> None:
            owner = root(owner)
            if is_cells(owner):
                found.setdefault(owner.name, owner)

        for o in self.objects:  # in the order of their names
            if isinstance(o, SpikeSource) and not isinstance(o, SynapticPathway):
                add(o)
            for variable in getattr(o, "variables", {}).values():
                if isinstance(variable, ArrayVariable) and variable.owner is not None:
                    add(variable.owner)
        return found

    # -------------------------------------------------------------------------------- cells and synapses in classes

    def ends_of(self, synapses: Synapses) -> tuple[tuple[str, np.ndarray], tuple[str, np.ndarray]]:
        """(name of the pre-, of the postsynaptic group, elements in it); a group may be other synapses."""
        pre = np.asarray(synapses.variables["_synaptic_pre"].get_value())
        post = np.asarray(synapses.variables["_synaptic_post"].get_value())
        return (root(synapses.source).name, pre), (root(synapses.target).name, post)

    def divide(self, populations: Any, plastic: Collection[str]) -> list[Finding]:
        """Set the populations: the caller's, or else groups, divided where subgroups or connections divide them."""
        given = _named(populations, self.groups)
        self.populations, self.population_of, self.regions, self.ends = [], {}, {}, {}
        unresolved = []
        for name, group in self.groups.items():
            label = np.full(len(group), -1)
            for population, (owner, cells) in given.items():
                if owner == name:
                    if np.any(label[cells] >= 0):
                        raise AuditError(f"populations[{population!r}] overlaps another population of group {name!r}.")
                    label[cells] = len(self.populations)
                    self.populations.append(Members(population, name, cells))
            rest = np.flatnonzero(label < 0)
            if len(rest) == len(label):
                unresolved += self._divide_group(name, label, plastic)
            elif len(rest):
                label[rest] = len(self.populations)
                self.populations.append(Members(f"rest of {name}", name, rest))
            self.population_of[name] = label
        for synapses in sorted(self.synapses.values(), key=self._depth):
            self._divide_synapses(synapses)
        return unresolved

    def _depth(self, synapses: Synapses) -> int:
        """0 between cells, 1 for synapses on to synapses, and so on."""
        ends = [root(end) for end in (synapses.source, synapses.target)]
        return max((1 + self._depth(end) for end in ends if isinstance(end, Synapses)), default=0)

    def _divide_group(self, name: str, label: np.ndarray, plastic: Collection[str]) -> list[Finding]:
        """Divide a group at the borders of the subgroups that synapses use, then by who is joined to whom."""
        n = len(label)
        borders, joins = {0, n}, []
        inside = False
        for synapses in self.synapses.values():
            for end in (real(synapses.source), real(synapses.target)):
                if isinstance(end, Subgroup) and root(end).name == name:
                    borders |= {end.start, end.stop}
            (source, pre), (target, post) = self.ends_of(synapses)
            if synapses.name in plastic and name in (source, target):
                inside |= source == target
                # cells of other groups come after those of this one
                joins.append((pre if source == name else pre + n, post if target == name else post + n))
        edges = sorted(borders)
        unresolved = []
        for start, stop in pairwise(edges):
            cells = np.arange(start, stop)
            parts = [cells]
            within = [j for j in joins if np.any(np.isin(j[0], cells) & np.isin(j[1], cells))] if inside else []
            if within:
                labels = [_twins(n, joins, closed=closed)[cells] for closed in (False, True)]
                labels = [kind for kind in labels if len(np.unique(kind)) <= MOST_POPULATIONS]
                if labels:
                    label_of = min(labels, key=lambda kind: len(np.unique(kind)))
                    parts = [cells[label_of == k] for k in dict.fromkeys(label_of.tolist())]
                else:
                    unresolved.append(self._unresolved(_cell_names(name, cells)))
            for part in parts:
                label[part] = len(self.populations)
                title = name if len(part) == n else _cell_names(name, part)
                self.populations.append(Members(title, name, part))
        return unresolved

    @staticmethod
    def _unresolved(cells: str) -> Finding:
        return Finding(
            UNRESOLVED,
            f"plastic synapses join the cells of {cells} to each other, each in its own way",
            0,
            "say which cells form a population: populations={'name': group[a:b], ...}, or {'name': group} for one",
        )

    def _divide_synapses(self, synapses: Synapses) -> None:
        labels, places = [], []
        for name, elements in self.ends_of(synapses):
            if name in self.population_of:
                labels.append(self.population_of[name][elements])
                places.append(labels[-1])
            elif name in self.regions:
                labels.append(self.regions[name][elements])
                places.append(self.ends[name][labels[-1], 1])
            else:
                raise AuditError(f"Synapses {synapses.name!r} join {name!r}, which is not part of the network: add it.")
        pairs, first, region = np.unique(np.stack(labels), axis=1, return_index=True, return_inverse=True)
        self.regions[synapses.name] = region.ravel()
        self.ends[synapses.name] = np.stack(places)[:, first].T
        assert pairs.shape[1] == len(self.ends[synapses.name])

    def place(self, node: int) -> int:
        """Population of a node, or -1; a synaptic variable belongs to the cell that receives through it."""
        n = self.nodes[node]
        if n.region < 0 or n.owner in self.population_of:
            return n.region
        return int(self.ends[n.owner][n.region, 0 if (n.owner, n.variable) in self.home_pre else 1])

    def cells_of(self, node: int) -> list[int]:
        """The two populations that a synaptic variable joins; none for other variables."""
        n = self.nodes[node]
        return self.ends[n.owner][n.region].tolist() if n.region >= 0 and n.owner in self.ends else []

    def title(self, node: int) -> str:
        """How a node is called in reports."""
        n = self.nodes[node]
        what = f"{n.owner}.{n.variable}" if n.owner else n.variable
        if space := re.fullmatch(r"_(\w+)space", n.variable):
            what = f"{n.owner} event {space.group(1)!r}"
        if n.region < 0:
            return what
        if n.owner in self.population_of:
            return f"{what} of {self.populations[n.region].name}"
        pre, post = (self.populations[p].name for p in self.ends[n.owner][n.region])
        return f"{what} from {pre} to {post}"

    # -------------------------------------------------------------------------------- nodes

    def nodes_of(self, variable: Any, owner: Any, name: str = "") -> np.ndarray:
        """Node of every element of a variable; one node alone for what belongs to nobody in particular."""
        key = id(variable)
        if key not in self._node_of:
            owner = root(owner) if owner is not None else None
            label = getattr(owner, "name", "")
            if not getattr(variable, "scalar", False) and label in self.population_of:
                regions = self.population_of[label]
            elif not getattr(variable, "scalar", False) and label in self.regions:
                regions = self.regions[label]
            else:
                regions = np.array([-1])
            values, local = np.unique(regions, return_inverse=True)
            self._node_of[key] = len(self.nodes) + local.ravel()
            self._variables[key] = variable
            self._key_of += [key] * len(values)
            self.nodes += [Node(label, name or variable.name, int(region)) for region in values]
        return self._node_of[key]

    def key(self, node: int) -> int:
        """Identity of the variable of a node."""
        return self._key_of[node]

    def variable(self, node: int) -> Any:
        """The variable of a node."""
        return self._variables[self._key_of[node]]

    def is_of_cells(self, key: int) -> bool:
        """Whether a variable belongs to cells."""
        return getattr(root(self._variables[key].owner), "name", "") in self.groups

    def moves(self, node: int) -> bool:
        """Whether anything changes a node while the network runs."""
        return self.key(node) in self._written or self.nodes[node].variable.endswith("space")

    def all_nodes(self, variable: Any) -> np.ndarray:
        """All nodes of a variable, each once."""
        return np.unique(self.nodes_of(variable, variable.owner))

    # -------------------------------------------------------------------------------- what a name refers to

    def _elements(self, context: Context, index: str) -> np.ndarray | None:
        """Which element of an array each element of the context reads through an index; None for the only one."""
        if index == "0":
            return None
        if index == "_idx":
            return np.arange(context.n)
        variable = context.variables[index]
        values = np.asarray(variable.get_value()).ravel()
        own = context.group.variables.indices[index]
        inner = np.arange(context.n) if own == "_idx" else self._elements(context, own)
        return values[inner] if inner is not None else values[:1]

    def _array(self, context: Context, name: str, variable: ArrayVariable) -> list[Read]:
        owner = root(variable.owner) if variable.owner is not None else None
        if isinstance(owner, Clock) or (variable.read_only and variable.constant):
            return []  # the time, or structure: indices and numbers of cells and synapses
        group = real(context.group)
        internal = name in context.variables
        indices = context.group.variables.indices
        index = context.extra_indices.get(name, indices[name]) if internal else "_idx"
        nodes = self.nodes_of(variable, owner)
        here = {end: root(getattr(group, end)) for end in ("source", "target")} if isinstance(group, Synapses) else {}
        how = ""
        if not internal:
            how = "namespace entry"
        elif owner is not root(group) and owner not in here.values():
            how = "linked variable"
        if variable.scalar or (len(nodes) == 1 and self.nodes[nodes[0]].region < 0):
            return [Read(nodes[:1], how or "shared variable")]
        moving = context.variables.get(index) if index not in ("0", "_idx") else None
        if index not in ("0", "_idx") and (moving is None or id(moving) in self._written):
            # Code moves the index, or it is out of sight: any element may be read.
            reads = [Read(np.array([node]), how or "moving index", np.array([-1])) for node in np.unique(nodes)]
            return reads + ([] if moving is None else self._array(context, index, moving))
        element = self._elements(context, index)
        element = np.zeros(1, int) if element is None else np.clip(element, 0, len(nodes) - 1)
        direct = ""
        if index == "_presynaptic_idx" and owner in (here.get("source"), group):
            direct = "pre"
        elif index == "_postsynaptic_idx" and owner in (here.get("target"), group):
            direct = "post"
        return [Read(nodes[element], how, element, getattr(owner, "name", ""), direct)]

    def reads(self, context: Context, expression: str, temporary: Mapping[str, list[Read]], line: str) -> list[Read]:
        """Everything that an expression reads, through subexpressions and temporary variables."""
        found: list[Read] = []
        for name in sorted(get_identifiers(expression) - _IGNORED):
            if name in temporary:
                found += temporary[name]
            else:
                found += self._name(context, name, expression, line)
        return found

    def _name(self, context: Context, name: str, expression: str, line: str) -> list[Read]:
        variable = context.variables.get(name)
        if variable is None:
            if name == "xi" or name.startswith("xi_"):
                self.random = True
                return []
            if name in getattr(real(context.group), "_linked_variables", ()):
                raise AuditError(
                    f"{context.where}: {name!r} is a linked variable without a target; set "
                    f"{context.group.name}.{name} = linked_var(group, 'variable')."
                )
            try:
                variable = context.group._resolve(name, self.namespace, user_identifier=False)
            except KeyError as error:
                raise self._unknown(context, name, line, error) from None
        if isinstance(variable, Subexpression):
            return self.reads(context, variable.expr, {}, line)
        if isinstance(variable, Function):
            return self._function(name, variable, expression, line)
        if isinstance(variable, Constant) or not isinstance(variable, ArrayVariable):
            return []
        return self._array(context, name, variable)

    def _unknown(self, context: Context, name: str, line: str, error: KeyError) -> AuditError:
        if "scalar" in str(error):
            return AuditError(f"{context.where}: {name!r} in {line!r} is an array from outside; give a single number.")
        known = sorted(k for k in context.variables if not k.startswith("_") and not k.endswith("_in_timesteps"))
        return AuditError(
            f"{context.where}: {line!r} reads {name!r}, which does not exist; correct it, define it in the equations, "
            f"or pass audit(..., namespace={{{name!r}: ...}}). Known here: {', '.join(known)}."
        )

    def _function(self, name: str, function: Function, expression: str, line: str) -> list[Read]:
        here = self._at
        if isinstance(function, TimedArray):
            if function.values.ndim == 1 and _called_with(expression, name) <= _CLOCK:
                self.tables[here] = Modulator(name, "TimedArray", line)
            return []
        if isinstance(function, BinomialFunction) or DEFAULT_FUNCTIONS.get(name) is function:
            self.random |= isinstance(function, BinomialFunction) or name in _RANDOM
            return []
        if name in self.trust or function.pyfunc.__name__ in self.trust:
            return []
        if reason := hidden_state(function):
            what = f"the function {name!r} {reason}; if it is harmless, name it in trust=[...]"
            self.suspects[here] = Finding(OPAQUE, what, math.inf, line)
        return []

    # -------------------------------------------------------------------------------- lines to edges

    def _begin(self, owner: str, via: str, code: str, *, synaptic: bool) -> int:
        self.lines.append(Line(owner, via, _without_comment(code), synaptic))
        self._at = len(self.lines) - 1
        return self._at

    def _connect(self, reads: Sequence[Read], target: Read, line: int, lag: int = 0) -> None:
        n = len(self.nodes)
        for read in reads:
            codes = np.unique((read.nodes * n + target.nodes) * 2 + self._unjoined(read, target))
            for code in codes.tolist():
                self.edges.append(Edge(code // 2 // n, code // 2 % n, line, lag, read.how, bool(code % 2)))

    def _unjoined(self, read: Read, target: Read) -> np.ndarray:
        """Whether each element reads a cell that is neither its own nor joined to it by any synapse."""
        nobody = np.zeros(1, bool)
        if read.element is None or read.direct or read.group not in self.groups:
            return nobody
        if read.element[0] < 0:
            return ~nobody
        if target.element is None:
            return nobody
        if target.group in self.groups:
            own = [self._cell_number(target.group, target.element)]
        elif target.group in self.synapses and depth_zero(self.synapses[target.group]):
            ends = self.ends_of(self.synapses[target.group])
            own = [self._cell_number(name, cells[target.element]) for name, cells in ends]
        else:
            return nobody
        cell = self._cell_number(read.group, read.element)
        same = np.any([np.equal(cell, o) for o in own], axis=0)
        if np.all(same):
            return nobody
        n = sum(len(g) for g in self.groups.values())
        joined = np.isin(cell * n + own[-1], self._joined_pairs(n))
        return ~(same | joined)

    def _cell_number(self, group: str, cells: np.ndarray) -> np.ndarray:
        offset = 0
        for name, members in self.groups.items():
            if name == group:
                return cells.astype(np.int64) + offset
            offset += len(members)
        raise AssertionError(group)

    def _joined_pairs(self, n: int) -> np.ndarray:
        if self._joined is None:
            pairs = [np.zeros(0, np.int64)]
            for synapses in self.synapses.values():
                if depth_zero(synapses):
                    pre, post = (self._cell_number(*end) for end in self.ends_of(synapses))
                    pairs += [pre * n + post, post * n + pre]
            self._joined = np.unique(np.concatenate(pairs))
        return self._joined

    def _targets(self, context: Context, name: str) -> list[Read]:
        """What a statement writes; several where the index moves; nothing if it only makes a temporary variable."""
        variable = context.variables.get(name)
        if not isinstance(variable, ArrayVariable):
            return []
        found = self._array(context, name, variable)
        return [read for read in found if self.key(int(read.nodes[0])) == id(variable)]

    def _target(self, context: Context, name: str) -> Read:
        """What an equation or a threshold writes: always one variable of the same cell or synapse."""
        (target,) = self._targets(context, name)
        return target

    def _condition(self, context: Context, name: str, target: Read) -> list[Read]:
        """The variable on which writing depends, such as not_refractory of the same cell."""
        condition = getattr(context.variables[name], "conditional_write", None)
        if condition is None or target.element is None:
            return []
        return [Read(self.nodes_of(condition, condition.owner)[target.element], "", target.element, target.group)]

    def _statements(
        self,
        context: Context,
        code: str,
        via: str,
        trigger: Sequence[Read] = (),
        lag: int = 0,
        *,
        synaptic: bool = False,
    ) -> None:
        """Add the edges of a piece of abstract code, line by line as Brian2 runs it."""
        lines = _code_lines(code)
        # Where a line reads an array that the same or a later line writes through another index, Brian2 may go element
        # by element, and an early line then sees what a late one did for another element.
        passes = 2 if synaptic and self._order_matters(context, lines) else 1
        for _ in range(passes):
            temporary: dict[str, list[Read]] = {}
            for text in lines:
                try:
                    name, operation, expression, _comment = parse_statement(text)
                except ValueError:
                    raise AuditError(f"{context.where}: the line {text!r} is no statement.") from None
                line = self._begin(context.where, via, text, synaptic=synaptic)
                reads = self.reads(context, expression, temporary, _without_comment(text))
                targets = self._targets(context, name)
                if not targets:
                    temporary[name] = reads
                if targets and operation != "=":
                    reads = [*reads, *self._array(context, name, context.variables[name])]
                for target in targets:
                    self._use(context, name, target, [*reads, *trigger], line)
                    self._connect([*reads, *self._condition(context, name, target)], target, line)
                    self._connect(trigger, target, line, lag)

    def _order_matters(self, context: Context, lines: Sequence[str]) -> bool:
        written: set[int] = set()
        for text in reversed(lines):
            name, _, expression, _ = parse_statement(text)
            variable = context.variables.get(name)
            if isinstance(variable, ArrayVariable) and context.group.variables.indices[name] != "_idx":
                written.add(id(variable))
            if any(id(context.variables.get(k)) in written for k in get_identifiers(expression)):
                return True
        return False

    def _use(self, context: Context, name: str, target: Read, reads: Sequence[Read], line: int) -> None:
        """Remember which variables a line reads, and at which end, to find out which ones are weights."""
        variable = context.variables[name]
        sources = tuple((int(node), read.direct, read.how) for read in reads for node in np.unique(read.nodes).tolist())
        self.uses.append((id(variable), target.direct, line, sources))

    # -------------------------------------------------------------------------------- objects to lines

    def build(self) -> None:
        """Add the edges of all objects, in the order in which Brian2 runs them."""
        self.nodes, self.lines, self.edges, self.opaque, self.uses = [], [], [], [], []
        self.suspects, self.tables, self._node_of, self._key_of = {}, {}, {}, []
        for o in self.objects:
            self._object(o)
        self._written = {key for key, *_ in self.uses}

    def _object(self, o: Any) -> None:
        if _foreign(o) and o.name not in self.trust:
            what = f"the object {o.name!r} of type {type(o).__name__} runs code that the audit does not know"
            self.opaque.append(Finding(OPAQUE, f"{what}; if it is harmless, name it in trust=[...]", math.inf, o.name))
        elif isinstance(o, SynapticPathway):
            self._pathway(o)
        elif isinstance(o, SummedVariableUpdater):
            self._summed(o)
        elif isinstance(o, StateUpdater | SynapticStateUpdater):
            group = real(o.group)
            if isinstance(o, StateUpdater):
                self._refractory(group)
            self._equations(group, group.equations, f"differential equations of {group.name}")
        elif isinstance(o, Thresholder):
            self._threshold(o)
        elif isinstance(o, Resetter):
            group = real(o.group)
            event = _read_event(self, group, o.event, np.arange(len(group)))
            via = f"reset of {group.name}" if o.event == "spike" else f"run_on_event {o.event!r} of {group.name}"
            self._statements(self._context(group, via), group.event_codes[o.event], via, [event])
        elif isinstance(o, EventMonitor | StateMonitor | PopulationRateMonitor):
            self._monitor(o)
        elif isinstance(o, NetworkOperation):
            self._network_operation(o)
        elif isinstance(o, CodeRunner) and o.template == "stateupdate":
            group, extra = real(o.group), dict(getattr(o, "variables", None) or {})
            if isinstance(group, SynapticPathway):
                group, extra = real(group.synapses), {"delay": group.variables["delay"], **extra}
            kind = "subexpressions constant over dt" if isinstance(o, SubexpressionUpdater) else f"code {o.name!r}"
            via = f"{kind} of {group.name}"
            self._statements(self._context(group, via, extra), o.abstract_code, via, synaptic=False)
        elif isinstance(o, CodeRunner) and not isinstance(o, SpikeGeneratorGroup):
            self._whole_group(o)

    def _context(self, group: Any, where: str, extra: Mapping[str, Any] | None = None) -> Context:
        variables = {**group.variables, **(extra or {})}
        return Context(group, variables, len(group), where)

    def _pathway(self, o: SynapticPathway) -> None:
        synapses = real(o.synapses)
        via = f"pathway {o.objname!r} of {synapses.name}"
        context = self._context(synapses, via, {"delay": o.variables["delay"]})
        end = "_synaptic_pre" if o.prepost == "pre" else "_synaptic_post"
        cells = np.asarray(synapses.variables[end].get_value())
        event = _read_event(self, root(o.source), o.event, cells, o.prepost)
        delay = np.asarray(o._delays.get_value())
        lag = int(np.round(delay.min() / o.source.clock.dt_)) if delay.size else 0
        if synapses.event_driven is not None:
            self._equations(synapses, synapses.event_driven, f"event-driven equations of {synapses.name}", [event], lag)
        self._statements(context, o.code, via, [event], lag, synaptic=True)

    def _summed(self, o: SummedVariableUpdater) -> None:
        synapses = real(o.group)
        via = f"summed variable of {synapses.name}"
        context = self._context(synapses, via)
        code = f"{o.target_varname} = {o.expression.code} : (summed)"
        line = self._begin(via, via, code, synaptic=True)
        target = self._target(context, o.target_varname)
        reads = self.reads(context, o.expression.code, {}, code)
        self._use(context, o.target_varname, target, reads, line)
        self._connect(reads, target, line)

    def _equations(self, group: Any, equations: Any, via: str, trigger: Sequence[Read] = (), lag: int = 0) -> None:
        """Differential equations of one integration step.

        Exact integration and methods with several stages let every variable of the step depend on what the others
        read, so every equation is given what its equations read, one after the other.
        """
        context = self._context(group, via)
        names = [n for n in equations.names if equations[n].type == DIFFERENTIAL_EQUATION]
        text = {n: f"d{n}/dt = {_without_comment(equations[n].expr.code)}" for n in names}
        direct: dict[str, set[str]] = {}
        for n in names:
            identifiers = set(equations[n].identifiers)
            pending = list(identifiers)
            while pending:
                variable = context.variables.get(pending.pop())
                if isinstance(variable, Subexpression):
                    new = set(variable.identifiers) - identifiers
                    identifiers |= new
                    pending += new
            direct[n] = identifiers & set(names)
        first = {n: self._begin(via, via, text[n], synaptic=False) for n in names}
        for n in names:
            target = self._target(context, n)
            reached, pending = {n}, [n]
            while pending:
                new = direct[pending.pop()] - reached
                reached |= new
                pending += new
            own = self._array(context, n, context.variables[n])
            for k in sorted(reached):
                self._at = first[k]
                reads = self.reads(context, equations[k].expr.code, {}, text[k])
                self._connect(reads, target, first[k])
                self._use(context, n, target, [*reads, *trigger], first[k])
            self._connect([*own, *self._condition(context, n, target)], target, first[n])
            self._connect(trigger, target, first[n], lag)

    def _refractory(self, group: Any) -> None:
        if group._refractory is False:
            return
        via = f"refractoriness of {group.name}"
        text = f"not_refractory = t - lastspike >= {group._refractory}"
        line = self._begin(via, via, text, synaptic=False)
        context = self._context(group, via)
        reads = self.reads(context, "lastspike + not_refractory", {}, text)
        if isinstance(group._refractory, str):
            reads += self.reads(context, group._refractory, {}, text)
        self._connect(reads, self._target(context, "not_refractory"), line)

    def _threshold(self, o: Thresholder) -> None:
        group = real(o.group)
        what = "threshold" if o.event == "spike" else f"event {o.event!r}"
        via = f"{what} of {group.name}"
        context = self._context(group, via)
        condition = group.events[o.event]
        line = self._begin(via, via, condition, synaptic=False)
        reads = self.reads(context, str(condition), {}, str(condition))
        cells = np.arange(len(group))
        refractory = o.event == "spike" and group._refractory is not False
        if refractory:
            reads += self.reads(context, "not_refractory", {}, str(condition))
            for name in ("lastspike", "not_refractory"):
                self._connect(reads, self._target(context, name), line)
        self._connect(reads, _read_event(self, group, o.event, cells), line)

    def _monitor(self, o: Any) -> None:
        """What a monitor records belongs to nobody, and can be linked to."""
        via = f"monitor {o.name}"
        source = root(o.source)
        recorded = [
            v
            for v in source.variables.values()
            if isinstance(v, ArrayVariable) and not v.read_only and not isinstance(real(v.owner), Clock)
        ]
        line = self._begin(via, via, f"{type(o).__name__} {o.name}", synaptic=False)
        for variable in o.variables.values():
            if isinstance(variable, ArrayVariable) and getattr(real(variable.owner), "name", None) == o.name:
                node = Read(self.nodes_of(variable, o)[:1], "")
                self._connect([Read(self.all_nodes(v), "monitor") for v in recorded], node, line)

    def _network_operation(self, o: NetworkOperation) -> None:
        if o.name in self.trust or getattr(o.function, "__name__", "") in self.trust:
            return
        function = inspect.unwrap(getattr(o.function, "__func__", o.function))
        code = getattr(function, "__code__", None)
        where = f"{code.co_filename.rsplit('/', 1)[-1]}, line {code.co_firstlineno}: " if code else ""
        name = getattr(function, "__name__", type(function).__name__)
        what = (
            f"the network operation {name!r} ({o.name}) is Python code that can carry anything anywhere; remove it, or "
            f"name it in trust=[{name!r}] if you know that it changes nothing"
        )
        self.opaque.append(Finding(OPAQUE, what, math.inf, f"{where}def {name}"))

    def _whole_group(self, o: CodeRunner) -> None:
        """Code of a kind that the audit does not know, such as that of a SpatialNeuron: all of a group by all of it."""
        group = real(o.group)
        via = f"{o.name} ({o.template})"
        line = self._begin(via, via, via, synaptic=False)
        names = [n for n, v in group.variables.items() if isinstance(v, ArrayVariable) and not v.read_only]
        arrays = [
            group.variables[n] for n in names if getattr(real(group.variables[n].owner), "name", "") == group.name
        ]
        reads = [Read(self.all_nodes(v), "") for v in arrays]
        for variable in arrays:
            for node in self.all_nodes(variable):
                self._connect(reads, Read(np.array([node]), ""), line)


def _foreign(o: Any) -> bool:
    """Whether the class of an object, or the object itself, brings its own Python code into the time step."""
    methods = [getattr(type(o), name, None) for name in ("run", "before_run", "update_abstract_code")]
    return "run" in vars(o) or any(m is not None and not m.__module__.startswith("brian2.") for m in methods)


def depth_zero(synapses: Synapses) -> bool:
    """Whether synapses join cells, not other synapses."""
    return not any(isinstance(root(end), Synapses) for end in (synapses.source, synapses.target))


def _read_event(graph: Graph, group: Any, event: str, cells: np.ndarray, direct: str = "") -> Read:
    owner = root(group)
    if isinstance(real(group), Subgroup):
        cells = cells + group.start
    nodes = graph.nodes_of(owner.variables[f"_{event}space"], owner)
    return Read(nodes[cells], "", cells, owner.name, direct)


def _called_with(expression: str, function: str) -> set[str]:
    """Names in the arguments with which a function is called."""
    return {
        name.id
        for call in ast.walk(ast.parse(expression.strip(), mode="eval"))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == function
        for argument in call.args
        for name in ast.walk(argument)
        if isinstance(name, ast.Name)
    }
