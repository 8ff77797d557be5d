"""The network that lives schedules: a circuit, the tables that drive it, and what watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np
from brian2 import (
    Clock,
    EventMonitor,
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Subgroup,
    Synapses,
    TimedArray,
    ms,
    second,
)

from bioplastic.cells import PHI
from bioplastic.compiled.build import Program
from bioplastic.compiled.stop import stop_if
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION
from bioplastic.hippocampus import OPEN, HippocampalCircuit
from bioplastic.spiking.groups import has_variable
from bioplastic.spiking.health import watch_health
from bioplastic.spiking.memory import attach
from bioplastic.spiking.network import SpikingCircuit, build
from bioplastic.spiking.results import result_variables
from bioplastic.spiking.spec import ModelSpec

PREDICTION_WINDOW = 50 * ms
"""Time constant with which the prediction of an error source is averaged: a few intervals between spikes."""


@dataclass(frozen=True)
class Assembly:
    """The Brian2 objects of a model.

    Attributes
    ----------
    spiking : SpikingCircuit
    tables : dict of str to TimedArray
        What happens when, in steps of the resolution, and the stimuli and outcomes that it refers to.
    recorder : NeuronGroup
        One cell, which spikes when a snapshot is due, and ends a compiled life after its `duration`.
    copies : Synapses or None
        From the recorder to every synapse: its weight at each snapshot.
    health : NeuronGroup
        As made by `watch_health`.
    monitors : dict of str to object
    others : tuple
        What else the network needs to hold.
    hippocampus : HippocampalCircuit or None
    """

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
        """All of it."""
        watchers = [self.recorder, self.health, *self.others, *self.monitors.values()]
        if self.hippocampus is not None:
            watchers += self.hippocampus.objects
        return Network(*self.spiking.objects, *watchers, *([self.copies] if self.copies is not None else []))

    @property
    def owners(self) -> dict[str, Any]:
        """The objects by the names that start values and results give them."""
        return {
            "cells": self.spiking.cells,
            "synapses": self.spiking.synapses,
            "broadcast": self.spiking.broadcast,
            "recorder": self.recorder,
            "copies": self.copies,
            "health": self.health,
            **self.monitors,
            **({} if self.hippocampus is None else self.hippocampus.parts),
        }


def program(spec: ModelSpec) -> Program:
    """Return a model's network, made on the device that is active, to be compiled.

    Parameters
    ----------
    spec : ModelSpec
    """
    brian2.defaultclock.dt = spec.dt
    assembly = assemble(spec, compiled=True)
    return Program(assembly.network, spec.n_steps * spec.resolution, assembly.owners, result_variables(spec))


def assemble(spec: ModelSpec, *, compiled: bool) -> Assembly:
    """Make the network that lives schedules, with all tables empty.

    Parameters
    ----------
    spec : ModelSpec
    compiled : bool
        Whether it will be compiled, or run in Brian2's runtime mode.

    Raises
    ------
    ValueError
        A variable of the rule has a name that is needed.
    """
    recall = spec.hippocampus is not None
    spiking = build(
        spec.circuit, spec.rule, parameters=spec.parameters, restoring=spec.restoring, recall=recall, name="cells"
    )
    coarse = Clock(spec.resolution, name="coarse")
    tables = _tables(spec)
    driven = _drive(spec, spiking, tables, coarse)
    recorder, copies = _record(spec, spiking, tables, coarse, compiled=compiled)
    health, others = watch_health(spiking, compiled=compiled)
    monitors = _monitors(spec, spiking, coarse)
    attached = None
    if spec.hippocampus is not None:
        attached, acting = attach(spec, spec.hippocampus, spiking, tables, coarse)
        others += acting
        index = attached.index
        monitors["ignitions"] = EventMonitor(index, "ignition", variables=["u", "cue", "alert"], name="ignitions")
        monitors["writes"] = EventMonitor(index, "write", name="writes")
        monitors["index_spikes"] = SpikeMonitor(index, name="index_spikes")
    return Assembly(spiking, tables, recorder, copies, health, monitors, (*others, *driven), attached)


def _tables(spec: ModelSpec) -> dict[str, TimedArray]:
    """Return the tables of a schedule, empty."""
    step = spec.resolution
    n_inputs = sum(p.size for p in spec.circuit.inputs)
    n_outputs = sum(p.size for p in spec.circuit.error_sources)
    return {
        "stimulus_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="stimulus_at"),
        "outcome_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="outcome_at"),
        "snapshot_at": TimedArray(np.zeros(spec.n_steps), dt=step, name="snapshot_at"),
        # Row k belongs to index k - 1: looked up by index, not by time, so that a life does not hold every pixel of
        # every event. Row 0 is silence.
        "stimuli": TimedArray(np.zeros((spec.n_stimuli + 1, n_inputs)), dt=1 * second, name="stimuli"),
        "outcomes": TimedArray(np.zeros((spec.n_outcomes + 1, n_outputs)), dt=1 * second, name="outcomes"),
        "rewards": TimedArray(np.zeros((spec.n_outcomes + 1, n_outputs)), dt=1 * second, name="rewards"),
    }


def _drive(spec: ModelSpec, spiking: SpikingCircuit, tables: dict[str, TimedArray], coarse: Clock) -> list[Subgroup]:
    """Let the tables drive inputs and error sources; returns the subgroups that do so."""
    circuit, recall = spec.circuit, spec.hippocampus is not None
    smoothing = 1 - np.exp(-float(spec.resolution / PREDICTION_WINDOW))
    # The mismatch reads V after it has decayed (`cells.JUMP`), what runs at the start of a step before.
    kept = np.exp(-float(spec.dt / spec.parameters.tau_m))
    names = {"own_prediction": OWN_PREDICTION, "no_outcome": NO_OUTCOME, "smoothing": smoothing, "kept_of_V": kept}
    if hidden := sorted(({*tables, *names}) & set(spiking.cells.variables)):  # Brian2 would take the rule's, and go on
        raise ValueError(
            f"{type(spec.rule).__name__}: the name {hidden[0]} is taken; call the rule's variable otherwise."
        )
    spiking.cells.namespace.update(**tables, **names)
    if has_variable(spec.rule, "window"):
        window = "int(outcome_at(t) != no_outcome)" + (f" + int(gated > {OPEN})" if recall else "")
        spiking.cells.run_regularly(f"window = clip({window}, 0, 1)", clock=coarse, when="start")
    subgroups, first = [], 0
    for population in circuit.inputs:
        group = spiking.population(population.name)
        stimulus = f"target = stimuli((stimulus_at(t) + 1)*second, i + {first})"
        if recall:
            stimulus += "\npresent = int(stimulus_at(t) >= 0)"
        group.run_regularly(stimulus, clock=coarse, when="start")
        subgroups.append(group)
        first += population.size
    first = 0
    known = "present" if recall else "clamp"  # with a hippocampus, a clamp need not be the outside world's
    predicted = PHI.format(v="bias + (V - bias)*kept_of_V")
    for population in circuit.error_sources:
        group = spiking.population(population.name)
        row = f"(clip(happens, no_outcome, inf) + 1)*second, i + {first}"
        # A sham event's outcome is the prediction when the outcome begins, held from then on, and a reward is counted
        # from that prediction too. A single sample of V would be noisy: the spikes of regularly firing cells leave a
        # ripple.
        group.run_regularly(
            f"""
            happens = outcome_at(t)
            prediction += ({predicted} - prediction)*smoothing
            reward = rewards({row})
            supervised = int(happens == own_prediction) + int(reward != 0)
            target = supervised*({known}*target + (1 - {known})*(reward*outcomes({row}) + (1 - reward)*prediction))
            {known} = supervised
            """,
            clock=coarse,
            when="start",
        )
        subgroups.append(group)
        first += population.size
    return subgroups


def _record(
    spec: ModelSpec, spiking: SpikingCircuit, tables: dict[str, TimedArray], coarse: Clock, *, compiled: bool
) -> tuple[NeuronGroup, Synapses | None]:
    """Make the recorder, and the copies of the weights at the snapshots if there are any."""
    recorder = NeuronGroup(
        1,
        "slot : 1\nduration : second\nover : 1",
        threshold="slot > 0",
        reset="",
        clock=coarse,
        namespace={**tables, "stop_if": stop_if},
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
        recorder.run_regularly("over = stop_if(int(t >= duration))", clock=coarse, when="end")
    return recorder, copies


def _monitors(spec: ModelSpec, spiking: SpikingCircuit, coarse: Clock) -> dict[str, Any]:
    """Return the monitors of the circuit."""
    circuit = spec.circuit
    outputs = np.concatenate([np.arange(circuit.n_cells)[circuit.slices[p.name]] for p in circuit.error_sources])
    monitors: dict[str, Any] = {
        "errors": EventMonitor(spiking.cells, "error", variables=["E"], name="errors"),
        "predictions": StateMonitor(
            spiking.cells, "prediction", record=outputs, clock=coarse, name="predictions", order=1
        ),
    }
    if spec.record_spikes:
        monitors["spikes"] = SpikeMonitor(spiking.cells, name="spikes")
    return monitors
