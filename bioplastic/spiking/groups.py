"""Cells and synapses for a network of your own, as plain Brian2 groups."""

from __future__ import annotations

import re

from brian2 import Clock, Equations, NeuronGroup, Synapses, ms
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.utils.stringtools import get_identifiers

from bioplastic import cells as cell_model
from bioplastic.cells import CellParameters
from bioplastic.circuit import CircuitError
from bioplastic.hippocampus import RECALL_EQUATIONS
from bioplastic.rules.form import Rule

RESTORING_EQUATIONS = """
w_rest : 1                    # forward weight to which the synapse is pulled back
restoring : Hz (shared)       # rate at which it is
"""
RESTORING_INTERVAL = 100 * ms
OF_EVERY_GROUP = ("t", "dt", "i", "j", "N", "N_pre", "N_post", "N_incoming", "N_outgoing")
"""What Brian2 lets the code of any cells or synapses read."""


def cell_group(
    n: int, rule: Rule, parameters: CellParameters | None = None, *, recall: bool = False, name: str = "cells*"
) -> NeuronGroup:
    """Make a group of two-dendrite cells.

    Parameters
    ----------
    n : int
        Number of cells.
    rule : Rule
        One of the spiking rules of `bioplastic.rules`; its parameters are written into the group.
    parameters : CellParameters, optional
    recall : bool, optional
        Whether a hippocampus may drive some of them (`bioplastic.hippocampus.RECALL_EQUATIONS`).
    name : str, optional
        Brian2 name of the group.

    Returns
    -------
    NeuronGroup
        Variables as in `bioplastic.cells.EQUATIONS` and the rule's ``code.cell_equations``; event ``error`` beside
        ``spike``. All cells predict (``predicts = 1``) and are free (``clamp = 0``); set ``clamp = 1`` and ``target``
        where the outside world decides, and ``predicts = 0`` for input cells.

    Raises
    ------
    CircuitError
        The rule's code names a variable that does not exist.
    """
    parameters = parameters or CellParameters()
    code = rule.code
    _check_names(rule, parameters)
    group = NeuronGroup(
        n,
        cell_model.EQUATIONS + code.cell_equations + (RECALL_EQUATIONS if recall else ""),
        threshold=cell_model.THRESHOLD,
        reset=cell_model.RESET,
        events={"error": cell_model.ERROR_EVENT},
        method="exact",
        namespace=parameters.namespace,
        name=name,
    )
    # Every cell runs the same branch-free lines, so that the compiler can vectorise them.
    group.run_regularly(
        f"""
        free_rate = {code.soma}
        rate = free_rate + clamp*(target - free_rate)
        err = predicts*({code.mismatch})
        P += rate*rmax*dt
        E = E*exp(-leak*dt) + err*rmax*dt
        """,
        when="before_thresholds",
    )
    group.run_on_event("error", code.on_error)
    group.predicts = 1
    for variable, value in rule.cell_values.items():
        setattr(group, variable, value)
    return group


def synapse_group(
    source: NeuronGroup,
    target: NeuronGroup,
    rule: Rule,
    parameters: CellParameters | None = None,
    *,
    restoring: bool = False,
    name: str = "synapses*",
) -> Synapses:
    """Make the plastic synapses between two groups of two-dendrite cells; connect them as you like.

    Parameters
    ----------
    source, target : NeuronGroup
        Groups from `cell_group`, or subgroups of them; they may be the same.
    rule : Rule
    parameters : CellParameters, optional
    restoring : bool, optional
        Whether weights are pulled back to `w_rest` at the rate `restoring` (both 0 until set).
    name : str, optional

    Returns
    -------
    Synapses
        Not yet connected. Variables: `w` forward weight, `fb` feedback weight, `plastic` (1: it learns).
    """
    parameters = parameters or CellParameters()
    code = rule.code
    _check_names(rule, parameters)
    synapses = Synapses(
        source,
        target,
        code.synapse_equations + (RESTORING_EQUATIONS if restoring else ""),
        on_pre=dict(code.on_pre),
        on_post=dict(code.on_post),
        on_event=dict(code.on_event),
        namespace=parameters.namespace,
        name=name,
    )
    for pathway, order in code.order.items():
        getattr(synapses, pathway).order = order
    if restoring:
        # Not at every step, and not as a differential equation: there are as many as a hundred synapses to a cell.
        synapses.namespace["pull_interval"] = RESTORING_INTERVAL
        pull = "w += plastic*(w_rest - w)*(1 - exp(-restoring*pull_interval))"
        # At the start of a step, so that a snapshot and a life that end with it have the same weights.
        synapses.run_regularly(pull, clock=Clock(RESTORING_INTERVAL, name="pulls*"), when="start")
    return synapses


def broadcast_group(
    source: NeuronGroup,
    target: NeuronGroup,
    rule: Rule,
    parameters: CellParameters | None = None,
    *,
    name: str = "broadcast*",
) -> Synapses:
    """Make the synapses that carry error spikes of an error source to cells anywhere; connect them as you like.

    Parameters
    ----------
    source, target : NeuronGroup
        Groups from `cell_group`, or subgroups of them.
    rule : Rule
        One whose code has `on_broadcast`, such as `bioplastic.rules.broadcast.Broadcast`.
    parameters : CellParameters, optional
    name : str, optional

    Returns
    -------
    Synapses
        Not yet connected. Variable: `b`, weight.
    """
    return Synapses(
        source,
        target,
        "b : 1 (constant)",
        on_pre={"broadcast": rule.code.on_broadcast},
        on_event={"broadcast": "error"},
        namespace=(parameters or CellParameters()).namespace,
        name=name,
    )


def has_variable(rule: Rule, name: str) -> bool:
    """Whether the rule gives its cells a variable of that name."""
    return name in Equations(rule.code.cell_equations)


def _check_names(rule: Rule, parameters: CellParameters) -> None:
    """Raise `CircuitError` if the rule's code reads a variable that its cells and synapses do not have."""
    code = rule.code
    cell, synapse = Equations(cell_model.EQUATIONS + code.cell_equations), Equations(code.synapse_equations)
    of_cell, of_synapse = set(cell.names), set(synapse.names)
    both_ends = {f"{name}_{end}" for name in of_cell for end in ("pre", "post")}
    everywhere = {*DEFAULT_FUNCTIONS, *DEFAULT_UNITS, *DEFAULT_CONSTANTS, *parameters.namespace, *OF_EVERY_GROUP}
    pathways = {**code.on_pre, **code.on_post}
    for where, text, known in (
        ("cell_equations", " ".join(cell.identifiers), of_cell),
        ("synapse_equations", " ".join(synapse.identifiers), of_synapse | both_ends),
        ("soma", code.soma, of_cell),
        ("mismatch", code.mismatch, of_cell | {"rate"}),
        ("on_error", code.on_error, of_cell),
        *((f"pathway {name!r}", text, of_synapse | both_ends) for name, text in pathways.items()),
        ("on_broadcast", code.on_broadcast, both_ends | {"b"}),
    ):
        assigned = {found.group(1) for found in re.finditer(r"^\s*(\w+)\s*=[^=]", text, re.MULTILINE)}
        read = get_identifiers(re.sub("#.*", "", text))
        if unknown := sorted(read - known - assigned - everywhere):
            raise CircuitError(
                f"{type(rule).__name__}: its {where} reads {unknown[0]!r}, which does not exist; add it to the rule's "
                f"equations, or read one of {', '.join(sorted(known))}."
            )
