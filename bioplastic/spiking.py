"""A circuit, a rule and a schedule as plain Brian2 objects; compiled once, run many times.

Three ways in, from the smallest to the largest:

* `cell_group` and `synapse_group` make the cells and the plastic synapses for a network of your own;
* `build` makes all of them for a `Circuit`, with weights and parameters set;
* `model` gives something that lives whole schedules: a program compiled by Brian2's C++ standalone mode and kept
  for the next call, or the same network in runtime mode where there is no compiler.

`compile_network` and `run_binary` compile and run any other network in the same way.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import (
    Clock,
    Equations,
    EventMonitor,
    Function,
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
    TimedArray,
    ms,
    second,
)
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.units.fundamentalunits import Quantity
from brian2.utils.stringtools import get_identifiers
from platformdirs import user_cache_path

from bioplastic import cells as cell_model
from bioplastic import hippocampus as hippocampal
from bioplastic.cells import PHI, CellParameters
from bioplastic.circuit import Circuit, CircuitError, Feedback, Weights
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION, Schedule, ScheduleError, Timeline, Timing, lay_out
from bioplastic.hippocampus.circuit import HippocampalCircuit
from bioplastic.hippocampus.equations import OPEN, RECALL_EQUATIONS
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay
from bioplastic.rules.form import Rule
from bioplastic.tasks import Task
from bioplastic.units import quantity

POTENTIAL_LIMIT = 1e3
"""Mean |V| of a population, dimensionless, beyond which its activity has diverged (phi is flat far below it)."""
SILENT_TRACE = 1e-9
"""Summed spike trace of a population below which it has been silent for some 400 ms."""
HEALTH_INTERVAL = 100 * ms
RESTORING_EQUATIONS = """
w_rest : 1                    # forward weight to which the synapse is pulled back
restoring : Hz (shared)       # rate at which it is
"""
RESTORING_INTERVAL = 100 * ms
OF_EVERY_GROUP = ("t", "dt", "i", "j", "N", "N_pre", "N_post", "N_incoming", "N_outgoing")
"""What Brian2 lets the code of any cells or synapses read."""
PREDICTION_WINDOW = 50 * ms
"""Time constant with which the prediction of an error source is averaged: a few intervals between spikes."""
COMPILER_FLAGS = ("--param=vect-max-version-for-alias-checks=1000", "-funroll-loops")
"""Without the first, gcc gives up on vectorising loops over more than a few arrays; the second gives some per cent."""
PRECOMPILED = "cmath ctime iostream fstream climits random vector map set algorithm tuple string cstdlib"
"""Headers that each of the model's forty source files includes; parsing them once takes the build from 30 to 12 s."""


class ActivityError(RuntimeError):
    """The activity of a population diverged or went silent."""


class CompilationError(RuntimeError):
    """The compiled model could not be built or run."""


# ------------------------------------------------------------------------------------------ plain Brian2 objects


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


@dataclass(frozen=True)
class SpikingCircuit:
    """A circuit as plain Brian2 objects: one group of cells and one of synapses for all populations.

    Attributes
    ----------
    circuit : Circuit
    cells : NeuronGroup
        All cells, in the order of ``circuit.populations``.
    synapses : Synapses
        All synapses, projection by projection, each with its presynaptic cell varying slowest.
    broadcast : Synapses or None
        From every cell of an error source to every hidden cell, if the rule has such.
    """

    circuit: Circuit
    cells: NeuronGroup
    synapses: Synapses
    broadcast: Synapses | None = None

    @property
    def objects(self) -> tuple[NeuronGroup | Synapses, ...]:
        """What a ``Network`` needs to hold."""
        return (self.cells, self.synapses) if self.broadcast is None else (self.cells, self.synapses, self.broadcast)

    def population(self, name: str) -> Subgroup:
        """Return the cells of one population; `CircuitError` names the known ones when there is none."""
        self.circuit.population(name)
        return self.cells[self.circuit.slices[name]]


def build(
    circuit: Circuit,
    rule: Rule,
    weights: Weights | None = None,
    *,
    feedback: Feedback | None = None,
    parameters: CellParameters | None = None,
    restoring: bool = False,
    recall: bool = False,
    seed: int = 0,
    name: str = "cells*",
) -> SpikingCircuit:
    """Make the network of a circuit as plain Brian2 objects.

    Parameters
    ----------
    circuit : Circuit
        Any directed graph.
    rule : Rule
    weights : Weights, optional
        Start values; without them all weights and biases are 0.
    feedback : Feedback, optional
        By default the forward weights; a rule that broadcasts needs its own.
    parameters : CellParameters, optional
    restoring : bool, optional
        Whether weights are pulled back to where they started, with the rate ``synapses.restoring`` (0 until set).
    recall : bool, optional
        Whether a hippocampus may drive the cells of inputs and error sources, see `bioplastic.hippocampus.build`.
    seed : int
        Seed of the initial spike phases.
    name : str, optional
        Brian2 name of the cell group.

    Raises
    ------
    CircuitError
        Weights are missing, of the wrong shape or not finite.
    """
    group = cell_group(circuit.n_cells, rule, parameters, recall=recall, name=name)
    synapses = synapse_group(group, group, rule, parameters, name=f"{group.name}_synapses", restoring=restoring)
    pre, post = connections(circuit)
    synapses.connect(i=pre, j=post)
    broadcast = None
    if rule.code.on_broadcast:
        broadcast = broadcast_group(group, group, rule, parameters, name=f"{group.name}_broadcast")
        senders, receivers = _broadcast_connections(circuit)
        broadcast.connect(i=senders, j=receivers)
    built = SpikingCircuit(circuit, group, synapses, broadcast)
    if weights is not None:
        owners = {"cells": group, "synapses": synapses, "broadcast": broadcast}
        values = _start_values(circuit, rule, weights, feedback, seed)
        if restoring:
            values["synapses", "w_rest"] = values["synapses", "w"]
        if recall:
            values["cells", "present"] = _never_recalled(circuit)
        for (owner, variable), value in values.items():
            setattr(owners[owner], variable, value)
    return built


def _never_recalled(circuit: Circuit) -> np.ndarray:
    """Start value of `present`: 1 for hidden cells, which memory never drives."""
    return np.concatenate([np.full(p.size, float(p.role == "hidden")) for p in circuit.populations])


def flat(circuit: Circuit, by_projection: Mapping[str, np.ndarray]) -> np.ndarray:
    """Put weights (post, pre) of all projections into one row, in the order of the synapses."""
    return np.concatenate([by_projection[p.name].T.ravel() for p in circuit.projections])


def unflat(circuit: Circuit, row: np.ndarray) -> dict[str, np.ndarray]:
    """Inverse of `flat`."""
    shapes = [circuit.shape(p) for p in circuit.projections]
    pieces = np.split(row, np.cumsum([a * b for a, b in shapes])[:-1])
    return {
        p.name: piece.reshape(n_pre, n_post).T
        for p, piece, (n_post, n_pre) in zip(circuit.projections, pieces, shapes, strict=True)
    }


def connections(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Return the pre- and the postsynaptic cell of every synapse, in the order of `flat`."""
    index = np.arange(circuit.n_cells)
    pairs = [
        np.meshgrid(index[circuit.slices[p.source]], index[circuit.slices[p.target]], indexing="ij")
        for p in circuit.projections
    ]
    return np.concatenate([i.ravel() for i, _ in pairs]), np.concatenate([j.ravel() for _, j in pairs])


def _broadcast_connections(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Return sender and receiver of every broadcast synapse: hidden population by population, the sender slowest."""
    index = np.arange(circuit.n_cells)
    senders = np.concatenate([index[circuit.slices[p.name]] for p in circuit.error_sources])
    pairs = [np.meshgrid(senders, index[circuit.slices[p.name]], indexing="ij") for p in circuit.hidden]
    return np.concatenate([i.ravel() for i, _ in pairs]), np.concatenate([j.ravel() for _, j in pairs])


def _start_values(
    circuit: Circuit, rule: Rule, weights: Weights, feedback: Feedback | None, seed: int
) -> dict[tuple[str, str], Any]:
    """Everything that distinguishes one life from another, apart from its schedule: (owner, variable) -> value."""
    weights.check(circuit)
    if feedback is None:
        feedback = Feedback({} if rule.code.on_broadcast else weights.forward)
    feedback.check(circuit, broadcast=bool(rule.code.on_broadcast))
    is_input = np.concatenate([np.full(p.size, p.role == "input") for p in circuit.populations])
    bias, apical_bias = (
        np.concatenate([given.get(p.name, np.zeros(p.size)) for p in circuit.populations])
        for given in (weights.bias, feedback.bias)
    )
    hops = np.concatenate([np.full(p.size, circuit.population_hops[p.name]) for p in circuit.populations])
    plastic = np.concatenate([np.full(np.prod(circuit.shape(p)), float(p.plastic)) for p in circuit.projections])
    values = {
        ("cells", "bias"): bias,
        ("cells", "abias"): apical_bias,
        ("cells", "V"): bias,
        ("cells", "A"): apical_bias,
        ("cells", "prediction"): cell_model.phi(bias),
        ("cells", "P"): np.random.default_rng(seed).random(circuit.n_cells),
        ("cells", "clamp"): is_input.astype(float),
        ("cells", "predicts"): 1.0 - is_input,
        **{("cells", variable): value for variable, value in rule.cell_values.items()},
        ("synapses", "w"): flat(circuit, weights.forward),
        ("synapses", "plastic"): plastic,
    }
    if rule.code.on_broadcast:
        rows = [feedback.weights[p.name].ravel() for p in circuit.hidden]
        values["broadcast", "b"] = np.concatenate(rows)
    else:
        values["synapses", "fb"] = flat(circuit, feedback.weights)
    if _has_variable(rule, "hops"):
        values["cells", "hops"] = np.where(np.isfinite(hops), hops, circuit.n_cells)  # no path: farther than any cell
    return values


def _has_variable(rule: Rule, name: str) -> bool:
    """Whether the rule gives its cells a variable of that name."""
    return name in Equations(rule.code.cell_equations)


# ---------------------------------------------------------------------------------- what a life needs and leaves


@dataclass(frozen=True)
class Life:
    """One life of a spiking circuit: what it starts from and what happens to it.

    Attributes
    ----------
    schedule : Schedule
    timing : Timing
    rule : Rule
    weights : Weights
    feedback : Feedback, optional
        By default the forward weights; a rule that broadcasts needs its own.
    snapshots : sequence of int
        Events after which the weights are recorded, in rising order.
    seed : int
        Of all that is random: the initial spike phases, and the hippocampus.
    phases : int, optional
        Seed of the initial spike phases, if it is to be another: then everything else that is random stays.
    tau_w : Quantity
        Time constant with which plastic weights are pulled back to where they started; needs a model made with
        ``restoring=True`` if it is not infinite.
    replay : Replay
        What happens in rests; needs a model made with a hippocampus if anything does.
    memory : Memory, optional
        What the hippocampus remembers at the start; nothing by default.
    """

    schedule: Schedule
    timing: Timing
    rule: Rule
    weights: Weights
    feedback: Feedback | None = None
    snapshots: Sequence[int] = ()
    seed: int = 0
    phases: int | None = None
    tau_w: Quantity = field(default_factory=lambda: np.inf * second)
    replay: Replay = field(default_factory=Replay)
    memory: Memory | None = None

    def __post_init__(self) -> None:
        quantity("tau_w", self.tau_w, ms, low=0, open_low=True, infinite=True)


@dataclass(frozen=True)
class Lived:
    """What a life leaves behind.

    Attributes
    ----------
    prediction : array, shape (n_events, n_outputs)
        What the error sources' basal dendrites predict when the outcome begins, or on average over the time in which
        it would be present if there is none; a fraction of the maximal rate.
    error_time, error_cell, error_sign : arrays, shape (n_error_spikes,)
        Error spikes: time in s, index of the cell in the circuit, +1 or -1.
    snapshots : array, shape (n_snapshots, n_synapses)
        Forward weights in the order of `flat`.
    weights : Weights
    feedback : Feedback
        Both at the end.
    spike_time, spike_cell : arrays, shape (n_spikes,)
        Ordinary spikes, if they were asked for, else empty.
    onset : array, shape (n_events,)
        Time in s at which each event began.
    memory : Memory or None
        What the hippocampus, if there is one, remembers at the end.
    reactivation_time, reactivated : arrays, shape (n_reactivations,)
        When, in s, and which memory was reactivated, by a ripple or a cue.
    written_time, written : arrays, shape (n_written,)
        When, in s, and into which assembly a memory was written.
    index_time, index_cell : arrays, shape (n_index_spikes,)
        Spikes of the index cells: the ripples.
    run_time : float
        Seconds that the simulation loop took.
    """

    prediction: np.ndarray
    error_time: np.ndarray
    error_cell: np.ndarray
    error_sign: np.ndarray
    snapshots: np.ndarray
    weights: Weights
    feedback: Feedback
    spike_time: np.ndarray
    spike_cell: np.ndarray
    onset: np.ndarray
    memory: Memory | None
    reactivation_time: np.ndarray
    reactivated: np.ndarray
    written_time: np.ndarray
    written: np.ndarray
    index_time: np.ndarray
    index_cell: np.ndarray
    run_time: float

    def error_spikes(self, circuit: Circuit) -> np.ndarray:
        """Count the error spikes by event and hop, shape (n_events, n_hops)."""
        event = np.searchsorted(self.onset, self.error_time + 1e-9, side="right") - 1
        hop_of_cell = np.concatenate([np.full(p.size, circuit.population_hops[p.name]) for p in circuit.populations])
        counts = np.zeros((len(self.onset), circuit.n_hops), int)
        np.add.at(counts, (event, hop_of_cell[self.error_cell].astype(int)), 1)
        return counts

    def looks(self, circuit: Circuit, life: Life) -> list[Weights]:
        """Return weights and biases at the snapshots.

        Snapshots hold weights only, but every error spike moves the bias of its cell by ``eta theta``, and nothing else
        does.

        Parameters
        ----------
        circuit : Circuit
        life : Life
            That was lived.
        """
        ends, found = np.append(self.onset, np.inf), []
        for event, row in zip(life.snapshots, self.snapshots, strict=True):
            # A snapshot is taken after the error spikes of its step, the first of the next event.
            before = self.error_time <= ends[event + 1] + 1e-9
            signs = np.bincount(self.error_cell[before], self.error_sign[before], minlength=circuit.n_cells)
            step = life.rule.eta * life.rule.theta
            bias = {name: b + step * signs[circuit.slices[name]] for name, b in life.weights.bias.items()}
            found.append(Weights(unflat(circuit, row), bias))
        return found


@dataclass(frozen=True)
class ModelSpec:
    """What has to be known to build a model; everything else may differ from life to life.

    Attributes
    ----------
    circuit : Circuit
    rule : Rule
        Only its equations count.
    n_stimuli, n_outcomes : int
        Rows of the tables of stimuli and outcomes.
    n_steps : int
        Longest life, in units of `resolution`.
    resolution : Quantity
        As in `Timing`.
    n_snapshots : int
        Most snapshots of the weights in a life.
    parameters : CellParameters
    dt : Quantity
        Time step.
    record_spikes : bool
        Whether ordinary spikes are recorded.
    restoring : bool
        Whether a life may pull weights back to where they started (`Life.tau_w`).
    hippocampus : Hippocampus, optional
        With it an attention loop holds what is salient, so that salience does not lengthen the outcome itself.

    Raises
    ------
    CircuitError
        The hippocampus names a population that does not exist, or one of the wrong role.
    """

    circuit: Circuit
    rule: Rule
    n_stimuli: int
    n_outcomes: int
    n_steps: int
    resolution: Quantity = field(default_factory=lambda: 10 * ms)
    n_snapshots: int = 12
    parameters: CellParameters = field(default_factory=CellParameters)
    dt: Quantity = field(default_factory=lambda: 1 * ms)
    record_spikes: bool = False
    restoring: bool = False
    hippocampus: Hippocampus | None = None

    def __post_init__(self) -> None:
        if self.hippocampus is None:
            return
        hippocampal.check_names(self.hippocampus, [p.name for p in self.circuit.populations])
        for target in self.hippocampus.targets:
            if self.circuit.population(target.population).role == "hidden":
                raise CircuitError(
                    f"target {target.population!r} of the hippocampus is hidden; memory reinstates what the outside "
                    "world drives: give inputs and error sources."
                )
        if self.circuit.population(self.hippocampus.surprise).role != "error source":
            raise CircuitError(
                f"surprise {self.hippocampus.surprise!r} of the hippocampus is no error source, so nothing would be "
                f"held; give one of {', '.join(p.name for p in self.circuit.error_sources)}."
            )

    @classmethod
    def roomy(
        cls,
        circuit: Circuit,
        rule: Rule,
        task: Task,
        n_steps: float,
        *,
        n_snapshots: int = n_snapshots,
        restoring: bool = restoring,
        hippocampus: Hippocampus | None = None,
    ) -> ModelSpec:
        """Return a spec with room for a task and lives of `n_steps` or more; few sizes, so that few are compiled."""
        capacity = max(2**17, 2 ** int(np.ceil(np.log2(n_steps + 2))))
        sizes = len(task.stimuli), len(task.outcomes), capacity
        return cls(circuit, rule, *sizes, n_snapshots=n_snapshots, restoring=restoring, hippocampus=hippocampus)


@dataclass(frozen=True)
class _Assembly:
    """The Brian2 objects of a model: the circuit itself, what drives it, and what watches it."""

    spiking: SpikingCircuit
    tables: dict[str, TimedArray]
    recorder: NeuronGroup
    copies: Synapses | None
    health: NeuronGroup
    monitors: dict[str, Any]
    others: tuple[Any, ...]
    hippocampus: HippocampalCircuit | None

    @property
    def network(self) -> Network:
        watchers = [self.recorder, self.health, *self.others, *self.monitors.values()]
        if self.hippocampus is not None:
            watchers += self.hippocampus.objects
        return Network(*self.spiking.objects, *watchers, *([self.copies] if self.copies is not None else []))


_stop_if = Function(lambda condition: condition, arg_units=[1], return_unit=1, stateless=False)
# The only way for a compiled life to end before the time it was compiled for.
_stop_if.implementations.add_implementation(
    "cpp",
    """
    double stop_if(double condition)
    {
        if (condition > 0) Network::_globally_stopped = true;
        return condition;
    }
    """,
)


def _assemble(spec: ModelSpec, *, compiled: bool) -> _Assembly:
    """Make the network that lives schedules, with all tables empty."""
    circuit = spec.circuit
    recall = spec.hippocampus is not None
    parameters, restoring = spec.parameters, spec.restoring
    spiking = build(circuit, spec.rule, parameters=parameters, restoring=restoring, recall=recall, name="cells")
    step = spec.resolution
    coarse = Clock(step, name="coarse")
    n_inputs = sum(p.size for p in circuit.inputs)
    n_outputs = sum(p.size for p in circuit.error_sources)
    tables = {
        "stimulus_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="stimulus_at"),
        "outcome_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="outcome_at"),
        "snapshot_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="snapshot_at"),
        # Row k belongs to index k - 1: looked up by index, not by time, so that a life does not hold every pixel of
        # every event. Row 0 is silence.
        "stimuli": TimedArray(np.zeros((spec.n_stimuli + 1, n_inputs)), dt=1 * second, name="stimuli"),
        "outcomes": TimedArray(np.zeros((spec.n_outcomes + 1, n_outputs)), dt=1 * second, name="outcomes"),
        "rewards": TimedArray(np.zeros((spec.n_outcomes + 1, n_outputs)), dt=1 * second, name="rewards"),
    }
    smoothing = 1 - np.exp(-float(step / PREDICTION_WINDOW))
    # The mismatch reads V after it has decayed (`cells.JUMP`), what runs at the start of a step before.
    kept = np.exp(-float(spec.dt / parameters.tau_m))
    names = {"own_prediction": OWN_PREDICTION, "no_outcome": NO_OUTCOME, "smoothing": smoothing, "kept_of_V": kept}
    if hidden := sorted(({*tables, *names}) & set(spiking.cells.variables)):  # Brian2 would take the rule's, and go on
        raise ValueError(
            f"{type(spec.rule).__name__}: the name {hidden[0]} is taken; call the rule's variable otherwise."
        )
    spiking.cells.namespace.update(**tables, **names)
    if _has_variable(spec.rule, "window"):
        window = "int(outcome_at(t) != no_outcome)" + (f" + int(gated > {OPEN})" if recall else "")
        spiking.cells.run_regularly(f"window = clip({window}, 0, 1)", clock=coarse, when="start")
    subgroups, first = [], 0
    for population in circuit.inputs:
        group = spiking.population(population.name)
        look_up = f"target = stimuli((stimulus_at(t) + 1)*second, i + {first})"
        if recall:
            look_up += "\npresent = int(stimulus_at(t) >= 0)"
        group.run_regularly(look_up, clock=coarse, when="start")
        subgroups.append(group)
        first += population.size
    first = 0
    known = "present" if recall else "clamp"  # with a hippocampus, a clamp need not be the outside world's
    predicted = PHI.format(v="bias + (V - bias)*kept_of_V")
    for population in circuit.error_sources:
        group = spiking.population(population.name)
        row = f"(clip(happens, no_outcome, inf) + 1)*second, i + {first}"
        # A sham event's outcome is the prediction when the outcome begins, held from then on, and a reward is counted
        # from that prediction too. A single look at V would be noisy: the spikes of regularly firing cells leave a
        # ripple.
        group.run_regularly(
            f"""
            happens = outcome_at(t)
            prediction += ({predicted} - prediction)*smoothing
            reward = rewards({row})
            told = int(happens == own_prediction) + int(reward != 0)
            target = told*({known}*target + (1 - {known})*(reward*outcomes({row}) + (1 - reward)*prediction))
            {known} = told
            """,
            clock=coarse,
            when="start",
        )
        subgroups.append(group)
        first += population.size

    recorder = NeuronGroup(
        1,
        "slot : 1\nlife : second\nover : 1",
        threshold="slot > 0",
        reset="",
        clock=coarse,
        namespace={**tables, "stop_if": _stop_if},
        name="recorder",
    )
    recorder.run_regularly("slot = snapshot_at(t)", clock=coarse, when="start")
    copies = None
    if spec.n_snapshots:
        slots = range(1, spec.n_snapshots + 1)
        copies = Synapses(
            recorder,
            spiking.synapses,
            "\n".join(f"copy_{k} : 1" for k in slots),
            on_pre="\n".join(f"copy_{k} += int(slot_pre == {k})*(w_post - copy_{k})" for k in slots),
            name="copies",
            clock=coarse,
        )
        copies.connect(i=0, j=np.arange(len(spiking.synapses)))
        copies.pre.order = 2  # after the error spikes of the same step, as a life that ends here has them

    if compiled:
        recorder.run_regularly("over = stop_if(int(t >= life))", clock=coarse, when="end")
    health, others = _watch_health(spiking, compiled=compiled)
    outputs = np.concatenate([np.arange(circuit.n_cells)[circuit.slices[p.name]] for p in circuit.error_sources])
    monitors: dict[str, Any] = {
        "errors": EventMonitor(spiking.cells, "error", variables=["E"], name="errors"),
        "predictions": StateMonitor(
            spiking.cells, "prediction", record=outputs, clock=coarse, name="predictions", order=1
        ),
    }
    if spec.record_spikes:
        monitors["spikes"] = SpikeMonitor(spiking.cells, name="spikes")
    attached = None
    if spec.hippocampus is not None:
        attached, told = _attach(spec, spec.hippocampus, spiking, tables, coarse)
        others += told
        index = attached.index
        monitors["ignitions"] = EventMonitor(index, "ignition", variables=["u", "cue", "alert"], name="ignitions")
        monitors["writes"] = EventMonitor(index, "write", name="writes")
        monitors["index_spikes"] = SpikeMonitor(index, name="index_spikes")
    return _Assembly(spiking, tables, recorder, copies, health, monitors, (*others, *subgroups), attached)


def _watch_health(spiking: SpikingCircuit, *, compiled: bool) -> tuple[NeuronGroup, list[Any]]:
    """Make what stops a life in which a population goes silent or diverges, and what that needs."""
    circuit, checkups = spiking.circuit, Clock(HEALTH_INTERVAL, name="checkups")
    health = NeuronGroup(
        len(circuit.populations),
        "activity : 1\npotential : 1\nmust_fire : 1 (constant)\nsick : 1",
        clock=checkups,
        namespace={"stop_if": _stop_if, "silent": SILENT_TRACE, "limit": POTENTIAL_LIMIT, "settled": 1 * second},
        name="health",
    )
    watch = Synapses(
        spiking.cells,
        health,
        "activity_post = x_pre : 1 (summed)\npotential_post = abs(V_pre)/N_incoming : 1 (summed)",
        clock=checkups,
        name="watch",
    )
    member = np.concatenate([np.full(p.size, k) for k, p in enumerate(circuit.populations)])
    watch.connect(i=np.arange(circuit.n_cells), j=member)
    condition = "must_fire*int(t > settled)*int(activity < silent) + 1 - int(potential < limit)"
    if compiled:
        health.run_regularly(f"sick = stop_if({condition})", clock=checkups, when="end")
    else:
        health.run_regularly(f"sick = {condition}", clock=checkups, when="end")

        def stop_when_sick() -> None:
            if np.any(health.sick[:] > 0):
                brian2.stop()

        return health, [watch, NetworkOperation(stop_when_sick, clock=checkups, when="end", order=1)]
    return health, [watch]


def _attach(
    spec: ModelSpec,
    hippocampus: Hippocampus,
    spiking: SpikingCircuit,
    tables: dict[str, TimedArray],
    coarse: Clock,
) -> tuple[HippocampalCircuit, list[Subgroup | Synapses]]:
    """Give a circuit a hippocampus that follows its schedule; adds the tables it needs to `tables`.

    Returns the hippocampus, and what else of the circuit now acts on its own.
    """
    circuit = spiking.circuit
    groups = {p.name: spiking.population(p.name) for p in circuit.populations}
    attached = hippocampal.build(hippocampus, groups, parameters=spec.parameters)
    for name in ("salience_at", "resting_at"):
        tables[name] = TimedArray(np.zeros(spec.n_steps), dt=coarse.dt, name=name)
    attached.salience.namespace = attached.salience.namespace | tables | {"no_outcome": NO_OUTCOME}
    attached.ripples.namespace = attached.ripples.namespace | tables
    listening = "listening = int(stimulus_at(t) >= 0)*int(outcome_at(t) == no_outcome)"
    attached.salience.run_regularly(f"importance = salience_at(t)\n{listening}", clock=coarse, when="start")
    attached.ripples.run_regularly("resting = resting_at(t)", clock=coarse, when="start")
    others: list[Subgroup | Synapses] = []
    if _has_variable(spec.rule, "window"):
        outcomes = [k for k, t in enumerate(hippocampus.targets) if circuit.population(t.population).role != "input"]
        opens = Synapses(attached.gates, spiking.cells, on_pre="gated_post = 1", name="opens_window")
        hidden = np.flatnonzero(_never_recalled(circuit))
        opens.connect(i=np.repeat(outcomes, len(hidden)), j=np.tile(hidden, len(outcomes)))
        others.append(opens)
        for population in circuit.hidden:
            cells = groups[population.name]
            fade = f"gated = gated*{np.exp(-float(coarse.dt / hippocampal.TAU_GATE))}"
            cells.run_regularly(fade, clock=coarse, when="start", order=1)  # after it has been looked at
            others.append(cells)
    return attached, others


# ------------------------------------------------------------------------------------------ models that live schedules

_RESULTS = {
    "V": ("cells", "V"),
    "bias": ("cells", "bias"),
    "abias": ("cells", "abias"),
    "w": ("synapses", "w"),
    "fb": ("synapses", "fb"),
    "sick": ("health", "sick"),
    "activity": ("health", "activity"),
    "error_time": ("errors", "t"),
    "error_cell": ("errors", "i"),
    "error_mismatch": ("errors", "E"),
    "prediction": ("predictions", "prediction"),
    "spike_time": ("spikes", "t"),
    "spike_cell": ("spikes", "i"),
    "ignition_time": ("ignitions", "t"),
    "ignition_cell": ("ignitions", "i"),
    "ignition_u": ("ignitions", "u"),
    "ignition_cue": ("ignitions", "cue"),
    "ignition_alert": ("ignitions", "alert"),
    "written_time": ("writes", "t"),
    "written_cell": ("writes", "i"),
    "index_time": ("index_spikes", "t"),
    "index_cell": ("index_spikes", "i"),
    "strength": ("index", "strength"),
    "tag": ("index", "tag"),
}
"""What is read back after a life: name here -> (object, variable). The copies of the weights come on top."""


def _owners(assembly: _Assembly) -> dict[str, Any]:
    return {
        "cells": assembly.spiking.cells,
        "synapses": assembly.spiking.synapses,
        "broadcast": assembly.spiking.broadcast,
        "recorder": assembly.recorder,
        "copies": assembly.copies,
        "health": assembly.health,
        **assembly.monitors,
        **({} if assembly.hippocampus is None else assembly.hippocampus.parts),
    }


def _result_variables(spec: ModelSpec) -> dict[str, tuple[str, str]]:
    absent = set() if spec.record_spikes else {"spikes"}
    absent |= set() if spec.hippocampus else {"ignitions", "writes", "index_spikes", "index"}
    names = {k: v for k, v in _RESULTS.items() if v[0] not in absent}
    n_targets = len(spec.hippocampus.targets) if spec.hippocampus else 0
    names |= {f"memory[{k}]": (f"memory[{k}]", "w") for k in range(n_targets)}
    return names | {f"copy_{k}": ("copies", f"copy_{k}") for k in range(1, spec.n_snapshots + 1)}


class Model:
    """Lives schedules of one `ModelSpec`; made by `model`.

    Attributes
    ----------
    spec : ModelSpec
    task : Task
        Its stimuli and outcomes fill the tables.
    compiled : bool
        Whether lives run as a compiled program rather than in Brian2's runtime mode.
    """

    def __init__(self, spec: ModelSpec, task: Task, directory: Path | None) -> None:
        self.spec = spec
        self.task = task
        self.compiled = directory is not None
        self._directory = directory
        self._runtime_lock = threading.Lock()

    def live(self, life: Life) -> Lived:
        """Live one life.

        Safe to call from several threads at once; compiled lives then run in parallel.

        Raises
        ------
        ScheduleError, UnitError, CircuitError
            The life does not fit the model.
        ActivityError
            The activity of a population diverged or went silent; the message names it.
        CompilationError
            The compiled program failed.
        """
        spec, circuit = self.spec, self.spec.circuit
        if life.rule.code != spec.rule.code:
            raise CompilationError(
                f"the life's rule is {type(life.rule).__name__}, the model was made for {type(spec.rule).__name__}; "
                "make a model for each kind of rule."
            )
        life.schedule.check(self.task, life.snapshots)
        timeline = lay_out(life.schedule, life.timing, salience_holds=spec.hippocampus is None)
        step = float(spec.resolution / second)
        if life.timing.resolution != spec.resolution:
            raise CompilationError(
                f"the life's timing has resolution {life.timing.resolution}, the model {spec.resolution}; "
                "make the model with the timing's resolution."
            )
        n_steps = len(timeline.stimulus) + 1  # one more, for a snapshot after the last event
        if n_steps > spec.n_steps or len(life.snapshots) > spec.n_snapshots:
            raise CompilationError(
                f"a life of {n_steps} steps and {len(life.snapshots)} snapshots does not fit a model made for "
                f"{spec.n_steps} steps and {spec.n_snapshots} snapshots; make the model with larger ones."
            )
        reward = np.ones_like(self.task.outcomes) if self.task.reward is None else self.task.reward
        if spec.hippocampus is not None and (reward != 1).any():
            raise CompilationError(
                "the task has a reward that is not 1, but the model has a hippocampus, whose memories hold outcomes "
                "and not what was made of them; leave out the reward, or the hippocampus."
            )
        rows = {
            name: np.full(spec.n_steps, empty) for name, empty in (("stimulus_at", -1.0), ("outcome_at", NO_OUTCOME))
        }
        rows = {name: row.astype(float) for name, row in rows.items()} | {"snapshot_at": np.zeros(spec.n_steps)}
        rows["stimulus_at"][: len(timeline.stimulus)] = timeline.stimulus
        rows["outcome_at"][: len(timeline.outcome)] = timeline.outcome
        rows["snapshot_at"][timeline.end[list(life.snapshots)]] = np.arange(1, len(life.snapshots) + 1)
        values: dict[tuple[str, str], Any] = {(name, "values"): row for name, row in rows.items()}
        values["stimuli", "values"] = np.vstack([np.zeros(self.task.stimuli.shape[1]), self.task.stimuli])
        values["outcomes", "values"] = np.vstack([np.zeros(self.task.outcomes.shape[1]), self.task.outcomes])
        values["rewards", "values"] = np.vstack([np.zeros(self.task.outcomes.shape[1]), reward])
        values |= _start_values(
            circuit, life.rule, life.weights, life.feedback, life.seed if life.phases is None else life.phases
        )
        if spec.restoring:
            values["synapses", "w_rest"] = values["synapses", "w"]
            values["synapses", "restoring"] = 1 / life.tau_w
        elif not np.isinf(float(life.tau_w)):
            raise CompilationError(
                f"the life pulls its weights back with tau_w = {life.tau_w}, but the model was made without; make it "
                "with ModelSpec(..., restoring=True)."
            )
        values |= self._memory_values(life, timeline)
        values["recorder", "life"] = (n_steps - 1) * step
        values["health", "must_fire"] = np.array([float(p.role != "input") for p in circuit.populations])
        found = (
            run_binary(self._directory, values)
            if self._directory is not None
            else self._live_runtime(values, (n_steps - 1) * spec.resolution + spec.dt)
        )
        self._check_health(found)
        bias, apical_bias = (
            np.split(found[name], np.cumsum([p.size for p in circuit.populations])[:-1]) for name in ("bias", "abias")
        )
        copies = [found[f"copy_{k + 1}"] for k in range(len(life.snapshots))]
        predicted = found["prediction"].reshape(-1, sum(p.size for p in circuit.error_sources))
        return Lived(
            prediction=np.array(
                [predicted[a:b].mean(0) for a, b in zip(timeline.decision, timeline.look_end, strict=True)]
            ),
            error_time=found["error_time"],
            error_cell=found["error_cell"].astype(int),
            error_sign=np.sign(found["error_mismatch"]).astype(int),
            snapshots=np.array(copies).reshape(len(copies), found["w"].size),
            weights=Weights(
                unflat(circuit, found["w"]),
                {p.name: b for p, b in zip(circuit.populations, bias, strict=True) if p.role != "input"},
            ),
            feedback=life.feedback
            if life.feedback is not None and life.rule.code.on_broadcast
            else Feedback(
                unflat(circuit, found["fb"]),
                {p.name: b for p, b in zip(circuit.populations, apical_bias, strict=True) if p.role == "hidden"},
            ),
            spike_time=found.get("spike_time", np.empty(0)),
            spike_cell=found.get("spike_cell", np.empty(0, int)),
            onset=timeline.onset * step,
            **self._remembered(found),
            run_time=float(found["run_time"]),
        )

    def _remembered(self, found: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What a life leaves in the hippocampus: the fields of `Lived` by name."""
        hippocampus, nothing = self.spec.hippocampus, np.empty(0)
        times = ("reactivation_time", "written_time", "index_time")
        if hippocampus is None:
            cells = {"reactivated": nothing.astype(int), "written": nothing.astype(int)}
            return {"memory": None, **dict.fromkeys(times, nothing), **cells, "index_cell": nothing.astype(int)}
        weights = {
            target.population: found[f"memory[{k}]"].reshape(int((hippocampus.role == k).sum()), -1)
            for k, target in enumerate(hippocampus.targets)
        }
        # Of all cells that get to the line within a race, the best of the first step has the active assembly.
        recalled = found["ignition_alert"] < OPEN
        time = found["ignition_time"][recalled]
        lead = np.maximum(found["ignition_u"], found["ignition_cue"])[recalled]
        order = np.lexsort((-lead, time))
        firsts = order[np.diff(time[order], prepend=-np.inf) > float(hippocampal.RACE)]
        reactivated = found["ignition_cell"][recalled].astype(int)[firsts] // hippocampus.assembly
        written = found["written_cell"].astype(int) // hippocampus.assembly
        new = np.diff(found["written_time"], prepend=-np.inf) > float(hippocampal.SETTLING)
        return {
            "memory": Memory(found["strength"], found["tag"], weights),
            "reactivation_time": time[firsts],
            "reactivated": reactivated,
            "written_time": found["written_time"][new],
            "written": written[new],
            "index_time": found["index_time"],
            "index_cell": found["index_cell"].astype(int),
        }

    def _memory_values(self, life: Life, timeline: Timeline) -> dict[tuple[str, str], Any]:
        """What the hippocampus starts from and is told of the schedule; nothing without one."""
        hippocampus, replays = self.spec.hippocampus, float(life.replay.rate) > 0
        if hippocampus is None:
            if replays or life.memory is not None:
                raise CompilationError(
                    "the life has a replay or a memory, but the model was made without a hippocampus; make it with "
                    "ModelSpec(..., hippocampus=...)."
                )
            return {}
        rests = life.schedule.resting
        span = int(np.ceil(float(hippocampus.span(life.replay.compression) / self.spec.resolution)))
        if replays and not rests.any():
            raise ScheduleError(
                f"replay at {life.replay.rate} is asked for, but the schedule has no rest; add one "
                "(Schedule.with_night, or with_rest_after)."
            )
        if replays and (life.schedule.rest[rests] < span).any():
            shortest = life.schedule.rest[rests].min() * self.spec.resolution
            raise ScheduleError(
                f"a rest of {shortest} is shorter than the ripples of one reactivation, which take "
                f"{span * self.spec.resolution}; make it longer, or compress the replay more."
            )
        starts = start_values(hippocampus, life.replay, life.memory, seed=life.seed)
        for name, weights in (life.memory.weights if life.memory is not None else {}).items():
            if weights.shape[1] != self.spec.circuit.population(name).size:
                raise CircuitError(
                    f"memory: weights of target {name!r} reach {weights.shape[1]} cells, but it has "
                    f"{self.spec.circuit.population(name).size}; give a memory of the same circuit."
                )
        salience, resting = np.ones(self.spec.n_steps), np.zeros(self.spec.n_steps)
        for k in range(len(life.schedule)):
            salience[timeline.onset[k] : timeline.end[k]] = life.schedule.salience[k]
            if rests[k]:  # none begins that would not be over when the next event does
                resting[timeline.onset[k] : max(timeline.end[k] - span, timeline.onset[k] + 1)] = 1
        return {
            ("salience_at", "values"): salience,
            ("resting_at", "values"): resting,
            ("cells", "present"): _never_recalled(self.spec.circuit),
            **starts,
        }

    def _check_health(self, found: Mapping[str, np.ndarray]) -> None:
        circuit = self.spec.circuit
        potential = [np.abs(found["V"][circuit.slices[p.name]]).mean() for p in circuit.populations]
        n_looks = len(found["prediction"]) / sum(p.size for p in circuit.error_sources)
        for population, sick, activity, v in zip(
            circuit.populations, found["sick"], found["activity"], potential, strict=True
        ):
            if sick > 0 or not v < POTENTIAL_LIMIT:
                when = f"at about {n_looks * float(self.spec.resolution / second):.1f} s"
                if v < POTENTIAL_LIMIT and activity < SILENT_TRACE:
                    raise ActivityError(
                        f"population {population.name!r} went silent {when}: its cells are driven far below threshold. "
                        "Lower the learning rate, or check the weights and biases it starts from."
                    )
                raise ActivityError(
                    f"the activity of population {population.name!r} diverged {when} (mean |V| = {v:.3g}). "
                    "Lower the learning rate, or check the weights it starts from."
                )

    def _live_runtime(self, values: Mapping[tuple[str, str], Any], duration: Quantity) -> dict[str, np.ndarray]:
        with self._runtime_lock, _runtime_device(self.spec.dt):
            assembly = _assemble(self.spec, compiled=False)
            owners = _owners(assembly)
            for (owner, variable), value in values.items():
                if owner in assembly.tables:
                    assembly.tables[owner].values[:] = np.asarray(value)
                elif (owner, variable) == ("recorder", "life"):
                    continue  # a runtime life simply runs as long as it should
                else:
                    setattr(owners[owner], variable, value)
            begin = time.perf_counter()
            assembly.network.run(duration, namespace={})
            run_time = np.array(time.perf_counter() - begin)
            found = {
                name: np.asarray(getattr(owners[owner], variable)[:])
                for name, (owner, variable) in _result_variables(self.spec).items()
            }
            return found | {"prediction": found["prediction"].T.ravel(), "run_time": run_time}


@contextmanager
def _runtime_device(dt: Quantity) -> Iterator[None]:
    """Brian2's runtime mode with our time step, whatever the caller has set, and his settings back afterwards."""
    previous = brian2.defaultclock.dt
    brian2.set_device("runtime")
    brian2.defaultclock.dt = dt
    try:
        yield
    finally:
        brian2.defaultclock.dt = previous
        brian2.devices.reset_device()


_running: set[subprocess.Popen[str]] = set()


def end_lives() -> None:
    """End all compiled lives at once, in whatever thread they run; they raise `CompilationError` there."""
    for process in list(_running):
        process.kill()


def refuse_network_operations(network: Network) -> None:
    """Refuse a network whose Python operations C++ standalone mode would drop without a word.

    Parameters
    ----------
    network : Network
        About to be run in standalone mode.

    Raises
    ------
    CompilationError
        The network holds a network operation; the message names it.
    """
    for part in network.objects:
        if isinstance(part, NetworkOperation):
            raise CompilationError(
                f"network operation {part.name!r} ({part.function.__name__}) cannot be compiled: it is Python, and "
                "C++ standalone mode would silently leave it out. Write it as run_regularly, or use runtime mode."
            )


@dataclass(frozen=True)
class Program:
    """A network to be compiled, and what goes into it and comes out of it.

    Attributes
    ----------
    network : Network
        Not yet run.
    duration : Quantity
        For which it runs.
    objects : mapping of str to object
        Groups, synapses and monitors, by their names in `results` and in the values for `run_binary`; None for what
        this network does not have.
    results : mapping of str to (str, str)
        Object and variable of everything that `run_binary` returns, by name.
    """

    network: Network
    duration: Quantity
    objects: Mapping[str, Any]
    results: Mapping[str, tuple[str, str]]


def run_binary(directory: Path, values: Mapping[tuple[str, str], Any]) -> dict[str, np.ndarray]:
    """Run a network that `compile_network` compiled, from values of its own; several may run at once.

    Brian2's own random numbers differ from run to run; where a run must come out the same again, let the network carry
    the state of its random numbers in a variable, as do the mossy fibres of models/ca3.py.

    Parameters
    ----------
    directory : Path
        As returned by `compile_network`.
    values : mapping of (str, str) to array
        Values of variables at the start, by object and variable, in SI units or with units.

    Returns
    -------
    dict of str to array
        What the program's results name, and ``run_time``, the seconds that it ran.

    Raises
    ------
    CompilationError
        The program failed, or was ended by `end_lives`.
    """
    manifest = json.loads((directory / "manifest.json").read_text())
    with tempfile.TemporaryDirectory(prefix="bioplastic-") as folder:
        arguments = []
        for (owner, variable), value in values.items():
            name = f"{manifest['objects'].get(owner, owner)}.{variable}"
            array = np.asarray(value, dtype=float)  # a Quantity becomes a number of SI units
            if array.ndim == 0:
                arguments.append(f"{name}={float(array)!r}")
            else:
                path = Path(folder, f"{owner}.{variable}")
                array.tofile(path)
                arguments.append(f"{name}={path}")
        results = Path(folder, "results")
        results.mkdir()
        _execute([str(directory / "main"), "--results_dir", f"{results}/", *arguments], directory)
        run_time = np.array(float((results / "last_run_info.txt").read_text().split()[0]))
        return {"run_time": run_time} | {
            name: np.fromfile(results / entry["file"], dtype=entry["dtype"])
            for name, entry in manifest["results"].items()
        }


def _execute(command: Sequence[str], directory: Path) -> None:
    # In a session of its own: Ctrl-C is for us to answer. Brian2's programs would stop early and look finished.
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    _running.add(process)
    try:
        output, _ = process.communicate()
    finally:
        process.kill()  # does nothing to a process that has ended
        _running.discard(process)
    if process.returncode or "rror" in output or "Cannot set" in output:
        raise CompilationError(f"the compiled model failed (exit status {process.returncode}): {output.strip()[-500:]}")


def cache_folder() -> Path:
    """Where compiled models and pretrained weights are kept: $BIOPLASTIC_CACHE, or the user's cache folder."""
    return Path(os.environ.get("BIOPLASTIC_CACHE") or user_cache_path("bioplastic"))


def compiler() -> str | None:
    """Return the version line of the C++ compiler that Brian2 will call, or None when there is none."""
    command = os.environ.get("CXX", "g++")
    if shutil.which(command.split()[0]) is None or shutil.which("make") is None:
        return None
    version = subprocess.run([*command.split(), "--version"], capture_output=True, text=True, check=False)
    return version.stdout.partition("\n")[0]


NO_COMPILER = (
    "No C++ compiler (g++ and make) was found, so lives run in Brian2's runtime mode, some ten times slower or more; "
    "to compile, install one (Debian: apt install g++ make; macOS: xcode-select --install; conda: cxx-compiler)."
)


def model(spec: ModelSpec, task: Task, *, compiled: bool | None = None) -> Model:
    """Make a model, from the cache if it was compiled before.

    Parameters
    ----------
    spec : ModelSpec
    task : Task
        Must have as many stimuli and outcomes as the spec says, and as many inputs and outputs as the circuit has.
    compiled : bool, optional
        True: compile, False: Brian2's runtime mode; by default compile where there is a compiler.

    Raises
    ------
    CircuitError
        Circuit and task do not fit together.
    CompilationError
        Compiling failed, or `compiled` is True and there is no compiler.
    """
    inputs = sum(p.size for p in spec.circuit.inputs)
    outputs = sum(p.size for p in spec.circuit.error_sources)
    wanted = (spec.n_stimuli, inputs), (spec.n_outcomes, outputs)
    if (task.stimuli.shape, task.outcomes.shape) != wanted:
        raise CircuitError(
            f"the task's stimuli {task.stimuli.shape} and outcomes {task.outcomes.shape} do not fit the circuit, which "
            f"needs {wanted[0]} and {wanted[1]}."
        )
    directory = None if compiled is False else _built(spec)
    if compiled and directory is None:
        raise CompilationError(NO_COMPILER)
    return Model(spec, task, directory)


def _built(spec: ModelSpec) -> Path | None:
    """Return the folder of the compiled model, compiling it first if need be; None where there is no compiler."""
    here = Path(__file__).parent
    names = ("cells.py", "chance.py", "circuit.py", "events.py", "spiking.py")
    packages = [here / "hippocampus", here / "rules"]
    sources = [*(here / name for name in names), *(path for folder in packages for path in sorted(folder.glob("*.py")))]
    made_of = [
        *(path.read_text() for path in sources),
        spec.circuit.to_json(),
        repr({k: v for k, v in asdict(spec).items() if k not in ("circuit", "rule")}),
        repr(spec.rule.code),
    ]
    return compile_network(partial(_program, spec), made_of)


def _program(spec: ModelSpec) -> Program:
    """Make a model's network on the device that is active."""
    brian2.defaultclock.dt = spec.dt
    assembly = _assemble(spec, compiled=True)
    return Program(assembly.network, spec.n_steps * spec.resolution, _owners(assembly), _result_variables(spec))


def compile_network(make: Callable[[], Program], made_of: Sequence[str]) -> Path | None:
    """Compile a network in Brian2's C++ standalone mode, or find the program in the cache.

    Parameters
    ----------
    make : callable
        Returns the network. It is called in a process of its own and is pickled to get there: a function of a module
        that can be imported, or a `functools.partial` of one.
    made_of : sequence of str
        All that the program depends on, such as source texts and sizes: another text, another program. The versions
        of Brian2 and of the compiler, and the processor, are added here.

    Returns
    -------
    Path or None
        The folder of the program, for `run_binary`; None where there is no compiler.

    Raises
    ------
    CompilationError
        Compiling failed.
    """
    version = compiler()
    if version is None:
        return None
    made_of = [*made_of, inspect.getsource(_compile_here), brian2.__version__, version, _processor()]
    key = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    folder = cache_folder() / "models" / key
    if not (folder / "manifest.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as scratch:
            # In a process of its own: Brian2's standalone device is one per process, and may be the caller's.
            code = "import sys; from bioplastic.spiking import _compile_here; _compile_here(sys.argv[1])"
            child = subprocess.run(
                [sys.executable, "-c", code, scratch], input=pickle.dumps(make), capture_output=True, check=False
            )
            if child.returncode:
                raise CompilationError(f"compiling the model failed: {child.stderr.decode()[-2000:]}")
            for leftover in [*Path(scratch).rglob("*.o"), *Path(scratch).rglob("*.gch")]:
                leftover.unlink()
            try:
                os.rename(scratch, folder)
            except OSError:
                if not (folder / "manifest.json").exists():  # else another process was faster
                    raise
            else:
                Path(scratch).mkdir()  # for TemporaryDirectory to remove
    return folder


def _processor() -> str:
    """What the compiled code may depend on beside the compiler: -march=native compiles for this very processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
    except OSError:
        return f"{platform.machine()} {platform.processor()}"


def _without_looking_up_clocks(source: str) -> str:
    """Take out of Brian2's generated code that each object's clock is looked up in a set, at every step.

    What ticks now is what has the present time. Source in which this is not found stays as it is.
    """
    return source.replace("curclocks.find(obj_clock) != curclocks.end()", "fabs(obj_clock->t[0] - t) <= Clock_epsilon")


def _without_copying_queues(source: str) -> str:
    """Take out of Brian2's generated code that each step copies its queue of synapses: a sixth of the time.

    The copy joins the queues of several threads, and there is one. Source in which this is not found stays as it is.
    """
    copying = r"(vector<int32_t>\* peek\(\)\s*\{).*?return &all_peek;"
    return re.sub(copying, r"\1\n\t\treturn queue[0]->peek();", source, flags=re.DOTALL)


def _compile_here(directory: str) -> None:
    """Compile what the pickled function on standard input makes into `directory`; runs in a child process."""
    program_of: Callable[[], Program] = pickle.load(sys.stdin.buffer)
    brian2.prefs.codegen.cpp.extra_compile_args_gcc = [
        *brian2.prefs.codegen.cpp.extra_compile_args_gcc,
        *COMPILER_FLAGS,
    ]
    brian2.set_device("cpp_standalone", directory=directory, build_on_run=False)
    program = program_of()
    refuse_network_operations(program.network)
    program.network.run(program.duration, namespace={})
    device = brian2.device
    device.build(directory=directory, compile=False, run=False, with_output=False)
    header_of_queues = Path(directory, "synapses_classes.h")
    header_of_queues.write_text(_without_copying_queues(header_of_queues.read_text()))
    loop = Path(directory, "network.cpp")
    loop.write_text(_without_looking_up_clocks(loop.read_text()))
    Path(directory, "precompiled.h").write_text("".join(f"#include <{name}>\n" for name in PRECOMPILED.split()))
    Path(directory, "make.deps").touch()  # who includes whom matters only when something is built again
    cxx, flags = os.environ.get("CXX", "g++"), brian2.prefs.codegen.cpp.extra_compile_args_gcc
    header = [*cxx.split(), *flags, "-x", "c++-header", "precompiled.h", "-o", "precompiled.h.gch"]
    subprocess.run(header, cwd=directory, check=True)
    make = ["make", f"-j{os.cpu_count() or 1}", f"CXX={cxx} -include precompiled.h"]
    subprocess.run(make, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    results = {}
    for name, (owner, variable) in program.results.items():
        described = program.objects[owner].variables[variable]
        results[name] = {"file": device.get_array_filename(described), "dtype": np.dtype(described.dtype).name}
    objects = {name: owner.name for name, owner in program.objects.items() if owner is not None}
    Path(directory, "manifest.json").write_text(json.dumps({"objects": objects, "results": results}))
