"""A circuit as plain Brian2 objects, and its weights in the order of the synapses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import NeuronGroup, Subgroup, Synapses

from bioplastic.cells import CellParameters, phi
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.rules.form import Rule
from bioplastic.spiking.groups import broadcast_group, cell_group, has_variable, synapse_group


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
        values = start_values(circuit, rule, weights, feedback, seed)
        if restoring:
            values["synapses", "w_rest"] = values["synapses", "w"]
        if recall:
            values["cells", "present"] = never_recalled(circuit)
        for (owner, variable), value in values.items():
            setattr(owners[owner], variable, value)
    return built


def never_recalled(circuit: Circuit) -> np.ndarray:
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


def start_values(
    circuit: Circuit, rule: Rule, weights: Weights, feedback: Feedback | None, seed: int
) -> dict[tuple[str, str], Any]:
    """Return what a circuit starts from.

    Parameters
    ----------
    circuit : Circuit
    rule : Rule
    weights : Weights
    feedback : Feedback or None
        None for the forward weights.
    seed : int
        Of the initial spike phases.

    Returns
    -------
    dict
        (cells, synapses or broadcast; variable) -> value.

    Raises
    ------
    CircuitError
        Weights are missing, of the wrong shape or not finite.
    """
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
        ("cells", "prediction"): phi(bias),
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
    if has_variable(rule, "hops"):
        values["cells", "hops"] = np.where(np.isfinite(hops), hops, circuit.n_cells)  # no path: farther than any cell
    return values
