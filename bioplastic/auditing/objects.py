"""How edges come about: every object of a network is asked for its code, in the order in which Brian2 runs it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from brian2 import Clock, NetworkOperation, SpikeGeneratorGroup
from brian2.core.variables import ArrayVariable
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import Resetter, StateUpdater, SubexpressionUpdater, Thresholder
from brian2.monitors import EventMonitor, PopulationRateMonitor, StateMonitor
from brian2.synapses.synapses import StateUpdater as SynapticStateUpdater
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway

from bioplastic.auditing.graph import Graph
from bioplastic.auditing.lines import begin, connect, equations, note_use, statements
from bioplastic.auditing.names import Context, Names, Read
from bioplastic.auditing.parts import Parts, real, root
from bioplastic.auditing.populations import Division
from bioplastic.auditing.report import OPAQUE, Finding


def read(
    parts: Parts, division: Division, *, namespace: Mapping[str, Any], trust: Collection[str], written: Collection[int]
) -> Graph:
    """Read the graph of a network from the code of its objects.

    Parameters
    ----------
    parts : Parts
    division : Division
    namespace : mapping of str to object
        What ``Network.run`` would be given.
    trust : collection of str
        Network operations, functions and objects to be left out.
    written : collection of int
        Identities of the variables that code writes, by an earlier reading: which indices move.

    Returns
    -------
    Graph

    Raises
    ------
    AuditError
        Code reads a variable that does not exist, or a linked variable without a target.
    """
    names = Names(Graph(parts, division), namespace, trust, written)
    for o in parts.objects:
        _object(names, o)
    return names.graph


def _object(names: Names, o: Any) -> None:
    if _foreign(o) and o.name not in names.trust:
        what = (
            f"the object {o.name!r} of type {type(o).__name__} runs code that the audit does not know; if it is "
            "harmless, name it in trust=[...]"
        )
        names.graph.opaque.append(Finding(OPAQUE, what, math.inf, o.name))
    elif isinstance(o, SynapticPathway):
        _pathway(names, o)
    elif isinstance(o, SummedVariableUpdater):
        _summed(names, o)
    elif isinstance(o, StateUpdater | SynapticStateUpdater):
        group = real(o.group)
        if isinstance(o, StateUpdater):
            _refractory(names, group)
        equations(names, Context.of(group, f"differential equations of {group.name}"), group.equations)
    elif isinstance(o, Thresholder):
        _threshold(names, o)
    elif isinstance(o, Resetter):
        group = real(o.group)
        event = names.event(group, o.event, np.arange(len(group)))
        via = f"reset of {group.name}" if o.event == "spike" else f"run_on_event {o.event!r} of {group.name}"
        statements(names, Context.of(group, via), group.event_codes[o.event], [event])
    elif isinstance(o, EventMonitor | StateMonitor | PopulationRateMonitor):
        _monitor(names.graph, o)
    elif isinstance(o, NetworkOperation):
        _network_operation(names, o)
    elif isinstance(o, CodeRunner) and o.template == "stateupdate":
        group, extra = real(o.group), dict(getattr(o, "variables", None) or {})
        if isinstance(group, SynapticPathway):
            group, extra = real(group.synapses), {"delay": group.variables["delay"], **extra}
        kind = "subexpressions constant over dt" if isinstance(o, SubexpressionUpdater) else f"code {o.name!r}"
        statements(names, Context.of(group, f"{kind} of {group.name}", extra), o.abstract_code)
    elif isinstance(o, CodeRunner) and not isinstance(o, SpikeGeneratorGroup):
        _whole_group(names.graph, o)


def _foreign(o: Any) -> bool:
    """Whether the class of an object, or the object itself, brings its own Python code into the time step."""
    methods = [getattr(type(o), name, None) for name in ("run", "before_run", "update_abstract_code")]
    return "run" in vars(o) or any(m is not None and not m.__module__.startswith("brian2.") for m in methods)


def _pathway(names: Names, o: SynapticPathway) -> None:
    synapses = real(o.synapses)
    end = "_synaptic_pre" if o.prepost == "pre" else "_synaptic_post"
    cells = np.asarray(synapses.variables[end].get_value())
    event = names.event(root(o.source), o.event, cells, o.prepost)
    delay = np.asarray(o._delays.get_value())
    lag = int(np.round(delay.min() / o.source.clock.dt_)) if delay.size else 0
    if synapses.event_driven is not None:
        context = Context.of(synapses, f"event-driven equations of {synapses.name}")
        equations(names, context, synapses.event_driven, [event], lag)
    context = Context.of(synapses, f"pathway {o.objname!r} of {synapses.name}", {"delay": o.variables["delay"]})
    statements(names, context, o.code, [event], lag, synaptic=True)


def _summed(names: Names, o: SummedVariableUpdater) -> None:
    synapses = real(o.group)
    context = Context.of(synapses, f"summed variable of {synapses.name}")
    code = f"{o.target_varname} = {o.expression.code} : (summed)"
    line = begin(names.graph, context.where, code, synaptic=True)
    target = names.target(context, o.target_varname)
    reads = names.reads(context, o.expression.code, line)
    note_use(names.graph, context.variables[o.target_varname], target, reads, line)
    connect(names.graph, reads, target, line)


def _refractory(names: Names, group: Any) -> None:
    if group._refractory is False:
        return
    context = Context.of(group, f"refractoriness of {group.name}")
    line = begin(names.graph, context.where, f"not_refractory = t - lastspike >= {group._refractory}")
    reads = names.reads(context, "lastspike + not_refractory", line)
    if isinstance(group._refractory, str):
        reads += names.reads(context, group._refractory, line)
    connect(names.graph, reads, names.target(context, "not_refractory"), line)


def _threshold(names: Names, o: Thresholder) -> None:
    group = real(o.group)
    what = "threshold" if o.event == "spike" else f"event {o.event!r}"
    context = Context.of(group, f"{what} of {group.name}")
    condition = str(group.events[o.event])
    line = begin(names.graph, context.where, condition)
    reads = names.reads(context, condition, line)
    if o.event == "spike" and group._refractory is not False:
        reads += names.reads(context, "not_refractory", line)
        for name in ("lastspike", "not_refractory"):
            connect(names.graph, reads, names.target(context, name), line)
    connect(names.graph, reads, names.event(group, o.event, np.arange(len(group))), line)


def _monitor(graph: Graph, o: Any) -> None:
    """What a monitor records belongs to nobody, and can be linked to."""
    recorded = [
        v
        for v in root(o.source).variables.values()
        if isinstance(v, ArrayVariable) and not v.read_only and not isinstance(real(v.owner), Clock)
    ]
    line = begin(graph, f"monitor {o.name}", f"{type(o).__name__} {o.name}")
    for variable in o.variables.values():
        if isinstance(variable, ArrayVariable) and getattr(real(variable.owner), "name", None) == o.name:
            node = Read(graph.nodes_of(variable, o)[:1], "")
            connect(graph, [Read(graph.all_nodes(v), "monitor") for v in recorded], node, line)


def _network_operation(names: Names, o: NetworkOperation) -> None:
    if o.name in names.trust or getattr(o.function, "__name__", "") in names.trust:
        return
    function = inspect.unwrap(getattr(o.function, "__func__", o.function))
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename.rsplit('/', 1)[-1]}, line {code.co_firstlineno}: " if code else ""
    name = getattr(function, "__name__", type(function).__name__)
    what = (
        f"the network operation {name!r} ({o.name}) is Python code that can carry anything anywhere; remove it, or "
        f"name it in trust=[{name!r}] if you know that it changes nothing"
    )
    names.graph.opaque.append(Finding(OPAQUE, what, math.inf, f"{where}def {name}"))


def _whole_group(graph: Graph, o: CodeRunner) -> None:
    """Code of a kind that the audit does not know, such as that of a SpatialNeuron: all of a group by all of it."""
    group = real(o.group)
    via = f"{o.name} ({o.template})"
    line = begin(graph, via, via)
    arrays = [
        v
        for v in group.variables.values()
        if isinstance(v, ArrayVariable) and not v.read_only and getattr(real(v.owner), "name", "") == group.name
    ]
    reads = [Read(graph.all_nodes(v), "") for v in arrays]
    for variable in arrays:
        for node in graph.all_nodes(variable):
            connect(graph, reads, Read(np.array([node]), ""), line)
