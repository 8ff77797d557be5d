"""What each line of code reads and writes: from code to the edges of the graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from brian2.core.variables import ArrayVariable, Subexpression
from brian2.parsing.statements import parse_statement
from brian2.utils.stringtools import deindent, get_identifiers, strip_empty_lines

from bioplastic.auditing.graph import Edge, Graph, Line, Use
from bioplastic.auditing.names import Context, Names, Read
from bioplastic.auditing.parts import Parts, ends_of, joins_cells
from bioplastic.auditing.paths import reachable
from bioplastic.auditing.report import AuditError


def begin(graph: Graph, via: str, code: str, *, synaptic: bool = False) -> int:
    """Add a line; its number."""
    graph.lines.append(Line(via, _without_comment(code), synaptic))
    return len(graph.lines) - 1


def connect(graph: Graph, reads: Sequence[Read], target: Read, line: int, lag: int = 0) -> None:
    """Add the edges of a line from what it reads to what it writes."""
    n = len(graph.nodes)
    for read in reads:
        codes = np.unique((read.nodes * n + target.nodes) * 2 + _unjoined(graph.parts, read, target))
        for code in codes.tolist():
            graph.edges.append(Edge(code // 2 // n, code // 2 % n, line, lag, read.how, bool(code % 2)))


def note_use(graph: Graph, variable: ArrayVariable, target: Read, reads: Sequence[Read], line: int) -> None:
    """Remember which variables a line reads, and at which end, to find out which ones are weights."""
    sources = tuple((node, read.direct) for read in reads for node in np.unique(read.nodes).tolist())
    graph.uses.append(Use(id(variable), target.direct, line, sources))


def statements(
    names: Names, context: Context, code: str, trigger: Sequence[Read] = (), lag: int = 0, *, synaptic: bool = False
) -> None:
    """Add the edges of a piece of abstract code, line by line as Brian2 runs it.

    Parameters
    ----------
    names : Names
    context : Context
    code : str
    trigger : sequence of Read
        Events that run it,
    lag : int
        this many time steps later.
    synaptic : bool
        Whether it is run for synapses, of which one may see what another has just done.
    """
    graph, lines = names.graph, _code_lines(code)
    # Where a line reads an array that the same or a later line writes through another index, Brian2 may go element
    # by element, and an early line then sees what a late one did for another element.
    passes = 2 if synaptic and _order_matters(context, lines) else 1
    for _ in range(passes):
        temporary: dict[str, list[Read]] = {}
        for text in lines:
            try:
                name, operation, expression, _comment = parse_statement(text)
            except ValueError:
                raise AuditError(f"{context.where}: the line {text!r} is no statement.") from None
            line = begin(graph, context.where, text, synaptic=synaptic)
            reads = names.reads(context, expression, line, temporary)
            targets = names.targets(context, name)
            if not targets:
                temporary[name] = reads
                continue
            variable = context.variables[name]
            if operation != "=":
                reads = [*reads, *names.array(context, name, variable)]
            for target in targets:
                note_use(graph, variable, target, [*reads, *trigger], line)
                connect(graph, [*reads, *names.condition(context, name, target)], target, line)
                connect(graph, trigger, target, line, lag)


def equations(names: Names, context: Context, system: Any, trigger: Sequence[Read] = (), lag: int = 0) -> None:
    """Add the edges of the differential equations of one integration step.

    Exact integration and methods with several stages let every variable of the step depend on what the others
    read, so every equation is given what its equations read, one after the other.

    Parameters
    ----------
    names : Names
    context : Context
    system : Equations
    trigger : sequence of Read
        Events that run the step,
    lag : int
        this many time steps later.
    """
    graph = names.graph
    variables = sorted(system.diff_eq_names)
    direct = {n: _identifiers(context, system[n].identifiers) & set(variables) for n in variables}
    first = {n: begin(graph, context.where, f"d{n}/dt = {_without_comment(system[n].expr.code)}") for n in variables}
    for n in variables:
        variable, target = context.variables[n], names.target(context, n)
        own = names.array(context, n, variable)
        for k in sorted(reachable([n], direct.__getitem__)):
            reads = names.reads(context, system[k].expr.code, first[k])
            connect(graph, reads, target, first[k])
            note_use(graph, variable, target, [*reads, *trigger], first[k])
        connect(graph, [*own, *names.condition(context, n, target)], target, first[n])
        connect(graph, trigger, target, first[n], lag)


def _identifiers(context: Context, names: Iterable[str]) -> set[str]:
    """Names, and those in the subexpressions among them."""

    def inside(name: str) -> set[str]:
        variable = context.variables.get(name)
        return set(variable.identifiers) if isinstance(variable, Subexpression) else set()

    return reachable(names, inside)


def _code_lines(code: str) -> list[str]:
    lines = (line.strip() for line in re.split(r"[;\n]", strip_empty_lines(deindent(code))))
    return [line for line in lines if line and not line.startswith("#")]


def _without_comment(code: str) -> str:
    return re.sub(r"\s+", " ", code.split("#", 1)[0]).strip()


def _order_matters(context: Context, lines: Sequence[str]) -> bool:
    written: set[int] = set()
    for text in reversed(lines):
        name, _, expression, _ = parse_statement(text)
        variable = context.variables.get(name)
        if isinstance(variable, ArrayVariable) and context.group.variables.indices[name] != "_idx":
            written.add(id(variable))
        if any(id(context.variables.get(k)) in written for k in get_identifiers(expression)):
            return True
    return False


def _unjoined(parts: Parts, read: Read, target: Read) -> np.ndarray:
    """Whether each element reads a cell that is neither its own nor joined to it by any synapse."""
    nobody = np.zeros(1, bool)
    if read.element is None or read.direct or read.group not in parts.groups:
        return nobody
    if read.element[0] < 0:
        return ~nobody
    if target.element is None:
        return nobody
    if target.group in parts.groups:
        own = [parts.numbers(target.group, target.element)]
    elif target.group in parts.synapses and joins_cells(parts.synapses[target.group]):
        ends = ends_of(parts.synapses[target.group])
        own = [parts.numbers(name, cells[target.element]) for name, cells in ends]
    else:
        return nobody
    cell = parts.numbers(read.group, read.element)
    same = np.any([np.equal(cell, o) for o in own], axis=0)
    if np.all(same):
        return nobody
    unjoined: np.ndarray = ~(same | parts.joined(cell, own[-1]))
    return unjoined
