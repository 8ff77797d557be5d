"""Attention, index layer and ripples as plain Brian2 objects, made for cells that exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Clock, NeuronGroup, Subgroup, Synapses

from bioplastic.cells import CellParameters
from bioplastic.circuit import CircuitError
from bioplastic.hippocampus import equations
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay, check_names
from bioplastic.relays import declare_relay


@dataclass(frozen=True)
class HippocampalCircuit:
    """Attention, index layer and ripples as plain Brian2 objects.

    Attributes
    ----------
    attention, salience, gates, ripples, index : NeuronGroup
    memory : tuple of Synapses
        For each target, from its index cells to its attention cells.
    others : tuple of Synapses
        All other synapses.
    targets : tuple of NeuronGroup or Subgroup
        The targets, as they are now told to forget what memory drove them to.
    """

    attention: NeuronGroup
    salience: NeuronGroup
    gates: NeuronGroup
    ripples: NeuronGroup
    index: NeuronGroup
    memory: tuple[Synapses, ...]
    others: tuple[Synapses, ...]
    targets: tuple[NeuronGroup | Subgroup, ...]

    @property
    def objects(self) -> tuple[NeuronGroup | Subgroup | Synapses, ...]:
        """What a ``Network`` needs to hold."""
        groups = (self.attention, self.salience, self.gates, self.ripples, self.index)
        return (*groups, *self.memory, *self.others, *self.targets)

    @property
    def parts(self) -> dict[str, NeuronGroup | Synapses]:
        """The objects by the names that `start_values` gives them."""
        named = {name: getattr(self, name) for name in ("attention", "salience", "gates", "ripples", "index")}
        return named | {f"memory[{k}]": synapses for k, synapses in enumerate(self.memory)}


def build(
    hippocampus: Hippocampus,
    populations: Mapping[str, NeuronGroup | Subgroup],
    *,
    parameters: CellParameters | None = None,
    replay: Replay | None = None,
    memory: Memory | None = None,
    drive: str = equations.DRIVE,
    seed: int = 0,
    name: str = "hippocampus",
) -> HippocampalCircuit:
    """Make a hippocampus for cells that exist.

    Parameters
    ----------
    hippocampus : Hippocampus
    populations : mapping of str to NeuronGroup or Subgroup
        At least those that `hippocampus` names. Targets need `RECALL_EQUATIONS`, as cells of
        ``bioplastic.spiking.cell_group(..., recall=True)`` have them. The error source needs an event ``error``.
    parameters : CellParameters, optional
        Only `rmax` counts: the rate that 1 stands for.
    replay : Replay, optional
        None by default.
    memory : Memory, optional
        What it remembers at the start; nothing by default.
    drive : str, optional
        Code that makes a target's cells fire at `RECALLED` while `HELD`, run before each step; the default is for
        two-dendrite cells.
    seed : int, optional
        Of the times of reactivations, of which memory is reactivated, and of the lengths of ripples.
    name : str, optional
        Beginning of the Brian2 names.

    Returns
    -------
    HippocampalCircuit
        Set ``salience.importance`` (1), ``salience.listening`` (0) and ``ripples.resting`` (0) as things happen.

    Raises
    ------
    CircuitError
        A population that does not exist, a target whose cells lack a variable, or a surprise whose cells send no
        error spikes.
    UnitError
        The replay rate is more than fits.
    """
    _check_populations(hippocampus, populations)
    parameters = parameters or CellParameters()
    sizes = [populations[target.population].N for target in hippocampus.targets]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    constants = _constants(hippocampus, parameters)
    control = Clock(equations.CONTROL_STEP, name=f"{name}_clock")

    def group(part: str, n: int, model: str, step: str, **how: Any) -> NeuronGroup:
        how = {"reset": "P -= 1", "clock": control} | how
        made = NeuronGroup(n, model, method="exact", namespace=constants, name=f"{name}_{part}", **how)
        made.run_regularly(step, when="before_thresholds", name=f"{name}_{part}_step")
        declare_relay(made)
        return made

    others: list[Synapses] = []

    def synapses(part: str, source: NeuronGroup, target: NeuronGroup, on_pre: str, **how: Any) -> Synapses:
        others.append(Synapses(source, target, on_pre=on_pre, namespace=constants, name=f"{name}_{part}", **how))
        return others[-1]

    fires = {"threshold": "P >= 1", "reset": equations.ATTENTION_RESET, "clock": None}
    attention = group("attention", int(edges[-1]), equations.ATTENTION, equations.ATTENTION_STEP, **fires)
    salience = group("salience", 1, equations.SALIENCE, equations.SALIENCE_STEP, threshold="P >= 1 and lit > 0")
    gates = group("gates", len(sizes), equations.GATES, equations.GATES_STEP, threshold="P >= 1 and T > 0*second")
    ripples = group(
        "ripples",
        1,
        equations.RIPPLES,
        equations.RIPPLES_STEP,
        threshold="wait <= 0*second",
        reset=equations.NEXT_RIPPLE,
    )
    firing = {"threshold": "P >= 1 and bursting > 0", "events": dict(equations.INDEX_EVENTS)}
    index = group("index", hippocampus.n_index, equations.INDEX, equations.INDEX_STEP, **firing)
    # before synapses: others are told `won` in the same step
    index.run_on_event("ignition", equations.ON_IGNITION, when="before_synapses")
    index.run_on_event("write", equations.ON_WRITE)
    index.assembly = np.arange(hippocampus.n_index) // hippocampus.assembly
    index.head_start = "0.02*(1 - 1.0*assembly/capacity)"
    index.evidence = 1 / (equations.RECALL_EVIDENCE * np.array(sizes)[hippocampus.role])

    source = populations[hippocampus.surprise]
    surprise = equations.SURPRISE.format(worth="theta_pre" if "theta" in source.variables else "1")
    synapses("surprise", source, salience, surprise, on_event={"pre": "error"}).connect()
    synapses("opens", salience, gates, "T_post = clip(T_post, kept_open, inf*second)").connect()
    synapses("rouses", salience, ripples, "alert_post = 1").connect()
    synapses("tells", salience, index, equations.TELL).connect()
    synapses("sharp_waves", ripples, index, equations.RACE_FOR_RIPPLE).connect()
    synapses("competes", index, index, equations.COMPETE, on_event={"pre": "ignition"}).connect("i != j")
    synapses("reopens", index, gates, equations.REOPEN).connect(i=np.arange(hippocampus.n_index), j=hippocampus.role)
    memories = []
    for k, target in enumerate(hippocampus.targets):
        part, cells, partners = target.population, populations[target.population], attention[edges[k] : edges[k + 1]]
        gate = gates[k : k + 1]
        synapses(f"hears_{part}", cells, partners, equations.HEAR).connect(j="i")
        synapses(f"drives_{part}", partners, cells, equations.ADD_UP).connect(j="i")
        synapses(f"gates_{part}", gate, partners, "gate_post = 1").connect()
        synapses(f"clamps_{part}", gate, cells, equations.CLAMP).connect()
        cells.run_regularly(equations.FADE + drive, when="before_groups", name=f"{name}_fade_{part}")
        senders = np.flatnonzero(hippocampus.role == k)
        stored = Synapses(
            index, partners, "w : 1", namespace=constants, name=f"{name}_memory_{part}", **equations.MEMORY
        )
        stored.match.order = -2  # first: of what attention cells did before the spikes of this step reached them
        stored.connect(i=np.repeat(senders, sizes[k]), j=np.tile(np.arange(sizes[k]), len(senders)))
        memories.append(stored)
    targets = tuple(populations[target.population] for target in hippocampus.targets)
    built = HippocampalCircuit(attention, salience, gates, ripples, index, tuple(memories), tuple(others), targets)
    for (part, variable), value in start_values(hippocampus, replay or Replay(), memory, seed=seed).items():
        setattr(built.parts[part], variable, value)
    return built


def _check_populations(hippocampus: Hippocampus, populations: Mapping[str, NeuronGroup | Subgroup]) -> None:
    check_names(hippocampus, populations)
    if "error" not in populations[hippocampus.surprise].events:
        raise CircuitError(
            f"cells of surprise {hippocampus.surprise!r} have no event 'error'; make them with cell_group, or give "
            "their group events={'error': ...}."
        )
    for target in hippocampus.targets:
        for variable in ("recalled", "opened", "gated", "present"):
            if variable not in populations[target.population].variables:
                raise CircuitError(
                    f"cells of target {target.population!r} have no variable {variable!r}; add RECALL_EQUATIONS to "
                    "their equations, or make them with cell_group(..., recall=True)."
                )


def _constants(hippocampus: Hippocampus, parameters: CellParameters) -> dict[str, Any]:
    """Return what the equations refer to."""
    same_name = (
        *("hold_per_error", "ignition", "longest_hold", "plateau_latency", "tau_elig", "tau_fade", "restore"),
        *("tau_tag", "tau_tired"),
    )
    return {
        **{name: getattr(hippocampus, name) for name in same_name},
        "tau_recalled": equations.TAU_RECALLED,
        "tau_gate": equations.TAU_GATE,
        "rmax": parameters.rmax,
        "control_rate": equations.CONTROL_RATE,
        "burst_rate": equations.BURST_RATE,
        "tau_loop": equations.TAU_LOOP,
        "tau_cue": equations.TAU_CUE,
        "settling": equations.SETTLING,
        "race": equations.RACE,
        "hazard": equations.HAZARD / hippocampus.assembly,
        "eagerness": equations.EAGERNESS,
        "shortest_ripple": hippocampus.ripple[0],
        "longest_ripple": hippocampus.ripple[1],
        "tag_step": 1 / float(hippocampus.tag_hold * equations.CONTROL_RATE),
        "kept_open": 1.5 / equations.CONTROL_RATE,
        "capacity": hippocampus.capacity,
    }
