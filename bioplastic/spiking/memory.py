"""A hippocampus attached to a model that lives schedules: its objects, what it starts from, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2 import Clock, Subgroup, Synapses, TimedArray

from bioplastic import hippocampus as hippocampal
from bioplastic.circuit import CircuitError
from bioplastic.compiled.toolchain import CompilationError
from bioplastic.events import NO_OUTCOME, ScheduleError, Timeline
from bioplastic.hippocampus import OPEN, HippocampalCircuit, Hippocampus, Memory
from bioplastic.life import Life, Remembered, SpikeTrain
from bioplastic.spiking.groups import has_variable
from bioplastic.spiking.network import SpikingCircuit, never_recalled
from bioplastic.spiking.spec import ModelSpec


def attach(
    spec: ModelSpec,
    hippocampus: Hippocampus,
    spiking: SpikingCircuit,
    tables: dict[str, TimedArray],
    coarse: Clock,
) -> tuple[HippocampalCircuit, list[Subgroup | Synapses]]:
    """Give a circuit a hippocampus that follows its schedule.

    Parameters
    ----------
    spec : ModelSpec
    hippocampus : Hippocampus
    spiking : SpikingCircuit
        Its cells were made with ``recall=True``.
    tables : dict of str to TimedArray
        The schedule; the tables that the hippocampus needs are added.
    coarse : Clock
        On which the schedule goes on.

    Returns
    -------
    HippocampalCircuit
    list of Subgroup or Synapses
        What else of the circuit now acts on its own.
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
    if has_variable(spec.rule, "window"):
        outcomes = [k for k, t in enumerate(hippocampus.targets) if circuit.population(t.population).role != "input"]
        opens = Synapses(attached.gates, spiking.cells, on_pre="gated_post = 1", name="opens_window")
        hidden = np.flatnonzero(never_recalled(circuit))
        opens.connect(i=np.repeat(outcomes, len(hidden)), j=np.tile(hidden, len(outcomes)))
        others.append(opens)
        for population in circuit.hidden:
            cells = groups[population.name]
            fade = f"gated = gated*{np.exp(-float(coarse.dt / hippocampal.TAU_GATE))}"
            cells.run_regularly(fade, clock=coarse, when="start", order=1)  # after it has been looked at
            others.append(cells)
    return attached, others


def memory_values(spec: ModelSpec, life: Life, timeline: Timeline) -> dict[tuple[str, str], Any]:
    """Return what the hippocampus starts from and learns of the schedule; nothing without one.

    Parameters
    ----------
    spec : ModelSpec
    life : Life
    timeline : Timeline
        Of its schedule.

    Returns
    -------
    dict
        (owner, variable) -> value.

    Raises
    ------
    CompilationError
        The life needs a hippocampus, and the model has none.
    ScheduleError, CircuitError, UnitError
        There is no rest to replay in, or one that is too short; the memory is of another circuit.
    """
    hippocampus, replays = spec.hippocampus, float(life.replay.rate) > 0
    if hippocampus is None:
        if replays or life.memory is not None:
            raise CompilationError(
                "the life has a replay or a memory, but the model was made without a hippocampus; make it with "
                "ModelSpec(..., hippocampus=...)."
            )
        return {}
    rests = life.schedule.resting
    span = int(np.ceil(float(hippocampus.span(life.replay.compression) / spec.resolution)))
    if replays and not rests.any():
        raise ScheduleError(
            f"replay at {life.replay.rate} is asked for, but the schedule has no rest; add one "
            "(Schedule.with_night, or with_rest_after)."
        )
    if replays and (life.schedule.rest[rests] < span).any():
        shortest = life.schedule.rest[rests].min() * spec.resolution
        raise ScheduleError(
            f"a rest of {shortest} is shorter than the ripples of one reactivation, which take "
            f"{span * spec.resolution}; make it longer, or compress the replay more."
        )
    starts = hippocampal.start_values(hippocampus, life.replay, life.memory, seed=life.seed)
    for name, weights in (life.memory.weights if life.memory is not None else {}).items():
        if weights.shape[1] != spec.circuit.population(name).size:
            raise CircuitError(
                f"memory: weights of target {name!r} reach {weights.shape[1]} cells, but it has "
                f"{spec.circuit.population(name).size}; give a memory of the same circuit."
            )
    salience, resting = np.ones(spec.n_steps), np.zeros(spec.n_steps)
    for k in range(len(life.schedule)):
        salience[timeline.onset[k] : timeline.end[k]] = life.schedule.salience[k]
        if rests[k]:  # none begins that would not be over when the next event does
            resting[timeline.onset[k] : max(timeline.end[k] - span, timeline.onset[k] + 1)] = 1
    return {
        ("salience_at", "values"): salience,
        ("resting_at", "values"): resting,
        ("cells", "present"): never_recalled(spec.circuit),
        **starts,
    }


def remembered(hippocampus: Hippocampus, found: Mapping[str, np.ndarray]) -> Remembered:
    """Return what a life leaves in the hippocampus.

    Parameters
    ----------
    hippocampus : Hippocampus
    found : mapping of str to array
        What is read back after a life.
    """
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
    written = found["written_cell"].astype(int) // hippocampus.assembly
    new = np.diff(found["written_time"], prepend=-np.inf) > float(hippocampal.SETTLING)
    return Remembered(
        memory=Memory(found["strength"], found["tag"], weights),
        reactivation_time=time[firsts],
        reactivated=found["ignition_cell"][recalled].astype(int)[firsts] // hippocampus.assembly,
        written_time=found["written_time"][new],
        written=written[new],
        index_spikes=SpikeTrain(found["index_time"], found["index_cell"].astype(int)),
    )
