"""What a name in a line of code refers to: Brian2 looks it up, and it is followed to the variables it stands for."""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Clock, Subgroup, Synapses, TimedArray
from brian2.core.functions import DEFAULT_FUNCTIONS, Function
from brian2.core.variables import ArrayVariable, Subexpression
from brian2.input.binomial import BinomialFunction
from brian2.utils.stringtools import get_identifiers

from bioplastic.auditing.functions import hidden_state
from bioplastic.auditing.graph import Graph
from bioplastic.auditing.parts import real, root
from bioplastic.auditing.report import OPAQUE, AuditError, Finding, Modulator

_RANDOM = {"rand", "randn", "poisson"}
_CLOCK = {"t", "dt", "t_in_timesteps"}
_IGNORED = {"True", "False", "and", "or", "not"}


@dataclass(frozen=True)
class Context:
    """Where names are looked up: a group, and what the object that runs the code adds."""

    group: Any
    variables: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, group: Any, where: str, extra: Mapping[str, Any] | None = None) -> Context:
        """The variables of a group, and `extra`."""
        return cls(group, {**group.variables, **(extra or {})}, where)


@dataclass(frozen=True)
class Read:
    """What a name in a line refers to: nodes by element (or one for all), and how."""

    nodes: np.ndarray
    how: str
    element: np.ndarray | None = None
    group: str = ""
    direct: str = ""  # "pre" or "post" where a synapse reads one of its own cells


@dataclass(frozen=True)
class Names:
    """Where the names of a network lead.

    Attributes
    ----------
    graph : Graph
        It gets the nodes that are met, and what is found out about functions.
    namespace : mapping of str to object
        What ``Network.run`` would be given.
    trust : collection of str
        Functions and objects that need no look.
    written : collection of int
        Identities of the variables that code writes, as far as they are known: they make moving indices.
    """

    graph: Graph
    namespace: Mapping[str, Any]
    trust: Collection[str]
    written: Collection[int]

    def reads(
        self, context: Context, expression: str, line: int, temporary: Mapping[str, list[Read]] | None = None
    ) -> list[Read]:
        """Everything that an expression reads, through subexpressions and temporary variables."""
        found: list[Read] = []
        for name in sorted(get_identifiers(expression) - _IGNORED):
            if temporary is not None and name in temporary:
                found += temporary[name]
            else:
                found += self._name(context, name, expression, line)
        return found

    def _name(self, context: Context, name: str, expression: str, line: int) -> list[Read]:
        variable = context.variables.get(name)
        if variable is None:
            if name == "xi" or name.startswith("xi_"):
                self.graph.random = True
                return []
            if name in getattr(real(context.group), "_linked_variables", ()):
                raise AuditError(
                    f"{context.where}: {name!r} is a linked variable without a target; set "
                    f"{context.group.name}.{name} = linked_var(group, 'variable')."
                )
            try:
                variable = context.group._resolve(name, self.namespace, user_identifier=False)
            except KeyError as error:
                raise _unknown(context, name, self.graph.lines[line].code, error) from None
        if isinstance(variable, Subexpression):
            return self.reads(context, variable.expr, line)
        if isinstance(variable, Function):
            self._function(name, variable, expression, line)
            return []
        return self.array(context, name, variable) if isinstance(variable, ArrayVariable) else []

    def _function(self, name: str, function: Function, expression: str, line: int) -> None:
        """Note what a function may carry that is not among its arguments."""
        graph, code = self.graph, self.graph.lines[line].code
        if isinstance(function, TimedArray):
            if function.values.ndim == 1 and _called_with(expression, name) <= _CLOCK:
                graph.tables[line] = Modulator(name, "TimedArray", code)
        elif isinstance(function, BinomialFunction) or DEFAULT_FUNCTIONS.get(name) is function:
            graph.random |= isinstance(function, BinomialFunction) or name in _RANDOM
        elif name in self.trust or function.pyfunc.__name__ in self.trust:
            return
        elif reason := hidden_state(function):
            what = f"the function {name!r} {reason}; if it is harmless, name it in trust=[...]"
            graph.suspects[line] = Finding(OPAQUE, what, math.inf, code)

    def array(self, context: Context, name: str, variable: ArrayVariable) -> list[Read]:
        """What reading or writing an array under a name refers to; several where the index moves."""
        owner = root(variable.owner) if variable.owner is not None else None
        if isinstance(owner, Clock) or (variable.read_only and variable.constant):
            return []  # the time, or structure: indices and numbers of cells and synapses
        group = real(context.group)
        internal = name in context.variables
        index = context.group.variables.indices[name] if internal else "_idx"
        nodes = self.graph.nodes_of(variable, owner)
        here = {end: root(getattr(group, end)) for end in ("source", "target")} if isinstance(group, Synapses) else {}
        how = ""
        if not internal:
            how = "namespace entry"
        elif owner is not root(group) and owner not in here.values():
            how = "linked variable"
        if variable.scalar or (len(nodes) == 1 and self.graph.nodes[nodes[0]].region < 0):
            return [Read(nodes[:1], how or "shared variable")]
        moving = context.variables.get(index) if index not in ("0", "_idx") else None
        if index not in ("0", "_idx") and (moving is None or id(moving) in self.written):
            # Code moves the index, or it is out of sight: any element may be read.
            reads = [Read(np.array([node]), how or "moving index", np.array([-1])) for node in np.unique(nodes)]
            return reads + ([] if moving is None else self.array(context, index, moving))
        element = _elements(context, index)
        element = np.zeros(1, int) if element is None else np.clip(element, 0, len(nodes) - 1)
        direct = ""
        if index == "_presynaptic_idx" and owner in (here.get("source"), group):
            direct = "pre"
        elif index == "_postsynaptic_idx" and owner in (here.get("target"), group):
            direct = "post"
        return [Read(nodes[element], how, element, getattr(owner, "name", ""), direct)]

    def targets(self, context: Context, name: str) -> list[Read]:
        """What a statement writes; several where the index moves; nothing if it only makes a temporary variable."""
        variable = context.variables.get(name)
        if not isinstance(variable, ArrayVariable):
            return []
        found = self.array(context, name, variable)
        return [read for read in found if self.graph.key(int(read.nodes[0])) == id(variable)]

    def target(self, context: Context, name: str) -> Read:
        """What an equation or a threshold writes: always one variable of the same cell or synapse."""
        (target,) = self.targets(context, name)
        return target

    def condition(self, context: Context, name: str, target: Read) -> list[Read]:
        """The variable on which writing depends, such as not_refractory of the same cell."""
        condition = getattr(context.variables[name], "conditional_write", None)
        if condition is None or target.element is None:
            return []
        nodes = self.graph.nodes_of(condition, condition.owner)
        return [Read(nodes[target.element], "", target.element, target.group)]

    def event(self, group: Any, event: str, cells: np.ndarray, direct: str = "") -> Read:
        """An event of some cells of a group."""
        owner = root(group)
        if isinstance(real(group), Subgroup):
            cells = cells + group.start
        nodes = self.graph.nodes_of(owner.variables[f"_{event}space"], owner)
        return Read(nodes[cells], "", cells, owner.name, direct)


def _elements(context: Context, index: str) -> np.ndarray | None:
    """Which element of an array each element of the context reads through an index; None for the only one."""
    if index == "0":
        return None
    if index == "_idx":
        return np.arange(len(context.group))
    values = np.asarray(context.variables[index].get_value()).ravel()
    inner = _elements(context, context.group.variables.indices[index])
    return values[inner] if inner is not None else values[:1]


def _unknown(context: Context, name: str, line: str, error: KeyError) -> AuditError:
    if "scalar" in str(error):
        return AuditError(f"{context.where}: {name!r} in {line!r} is an array from outside; give a single number.")
    known = sorted(k for k in context.variables if not k.startswith("_") and not k.endswith("_in_timesteps"))
    return AuditError(
        f"{context.where}: {line!r} reads {name!r}, which does not exist; correct it, define it in the equations, "
        f"or pass audit(..., namespace={{{name!r}: ...}}). Known here: {', '.join(known)}."
    )


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
