"""Whether the activity of every population stays between silence and divergence, watched while a life runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brian2
import numpy as np
from brian2 import Clock, NetworkOperation, NeuronGroup, Synapses, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.circuit import Circuit
from bioplastic.compiled.stop import stop_if
from bioplastic.spiking.network import SpikingCircuit

POTENTIAL_LIMIT = 1e3
"""Mean |V| of a population, dimensionless, beyond which its activity has diverged (phi is flat far below it)."""
SILENT_TRACE = 1e-9
"""Summed spike trace of a population below which it has been silent for some 400 ms."""
HEALTH_INTERVAL = 100 * ms


class ActivityError(RuntimeError):
    """The activity of a population diverged or went silent."""


def watch_health(spiking: SpikingCircuit, *, compiled: bool) -> tuple[NeuronGroup, list[Any]]:
    """Make what ends a life in which a population goes silent or diverges.

    Parameters
    ----------
    spiking : SpikingCircuit
    compiled : bool
        Whether it will be compiled; in runtime mode a network operation ends the life.

    Returns
    -------
    NeuronGroup
        One cell per population. Set `must_fire` to 1 for those that may not be silent.
    list
        What that needs in the network beside.
    """
    circuit, checkups = spiking.circuit, Clock(HEALTH_INTERVAL, name="checkups")
    health = NeuronGroup(
        len(circuit.populations),
        "activity : 1\npotential : 1\nmust_fire : 1 (constant)\nunhealthy : 1",
        clock=checkups,
        namespace={"stop_if": stop_if, "silent": SILENT_TRACE, "limit": POTENTIAL_LIMIT, "settled": 1 * second},
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
        health.run_regularly(f"unhealthy = stop_if({condition})", clock=checkups, when="end")
        return health, [watch]
    health.run_regularly(f"unhealthy = {condition}", clock=checkups, when="end")

    def stop_when_unhealthy() -> None:
        if np.any(health.unhealthy[:] > 0):
            brian2.stop()

    return health, [watch, NetworkOperation(stop_when_unhealthy, clock=checkups, when="end", order=1)]


def check_health(circuit: Circuit, found: Mapping[str, np.ndarray], resolution: Quantity) -> None:
    """Raise `ActivityError` if a population was found silent or diverged.

    Parameters
    ----------
    circuit : Circuit
    found : mapping of str to array
        What is read back after a life: V, activity and unhealthy, and the predictions, one sample every `resolution`.
    resolution : Quantity
    """
    potential = [np.abs(found["V"][circuit.slices[p.name]]).mean() for p in circuit.populations]
    n_samples = len(found["prediction"]) / sum(p.size for p in circuit.error_sources)
    for population, unhealthy, activity, v in zip(
        circuit.populations, found["unhealthy"], found["activity"], potential, strict=True
    ):
        if unhealthy > 0 or not v < POTENTIAL_LIMIT:
            when = f"at about {n_samples * float(resolution / second):.1f} s"
            if v < POTENTIAL_LIMIT and activity < SILENT_TRACE:
                raise ActivityError(
                    f"population {population.name!r} went silent {when}: its cells are driven far below threshold. "
                    "Lower the learning rate, or check the weights and biases it starts from."
                )
            raise ActivityError(
                f"the activity of population {population.name!r} diverged {when} (mean |V| = {v:.3g}). "
                "Lower the learning rate, or check the weights it starts from."
            )
