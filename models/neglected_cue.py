"""A chain from the senses to the outcome that cue cells enter from the side, at one of several hops.

What is chosen here, and from where; everything else is that of models/chain.py.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_HOPS                   8  hops    projections from the input to the error source       chosen: far beyond a screened front
ENTRIES         1, 2, 4, 7  hops    at which cue cells enter; the last is the far end    chosen
N_INPUTS                64  cells   in the input                                         8x8 pixels
N_CELLS                 32  cells   in every hidden population                           chosen: half of models/chain.py, for speed
N_CUE                   32  cells   in each cue population                               as many as hidden cells
N_OUTPUTS               11  cells   one per digit 0 to 8, one for good, one for bad      the task
THETA_FINE             0.1  spikes  error threshold of the unscreened relay: with that   chosen
                                    of models/chain.py an error that is less than a
                                    spike per event is told in a later event, in which
                                    the cue is off

Every entry has a cue population of its own, `cue1` for hop 1 and so on. Their weights are zero at the start, and silent
cells neither drive nor learn; so one circuit serves for every entry, and a life shows the cue of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from bioplastic_models import chain
from brian2 import Network

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.network import build

N_HOPS = 8
ENTRIES = (1, 2, 4, 7)
N_INPUTS = 64
N_CELLS = 32
N_CUE = 32
N_OUTPUTS = 11
THETA_FINE = 0.1


def cue(entry: int) -> str:
    """Return the name of the cue population that enters at a hop."""
    return f"cue{entry}"


def projection(entry: int) -> str:
    """Return the name of its projection."""
    return Projection(cue(entry), f"h{entry}").name


def plain_circuit(
    n_hops: int = N_HOPS, *, n_inputs: int = N_INPUTS, n_cells: int = N_CELLS, n_outputs: int = N_OUTPUTS
) -> Circuit:
    """Return the chain without cues, its populations named as in models/chain.py."""
    populations = [
        Population("x", n_inputs, "input"),
        *(Population(f"h{k}", n_cells) for k in range(n_hops - 1, 0, -1)),
        Population("y", n_outputs, "error source"),
    ]
    return Circuit(tuple(populations), tuple(Projection(a.name, b.name) for a, b in pairwise(populations)))


def circuit(
    n_hops: int = N_HOPS,
    *,
    entries: Sequence[int] = ENTRIES,
    n_inputs: int = N_INPUTS,
    n_cells: int = N_CELLS,
    n_cue: int = N_CUE,
    n_outputs: int = N_OUTPUTS,
) -> Circuit:
    """Return the chain with a cue population for each entry, a hop from 1 to `n_hops` - 1."""
    if wrong := [h for h in entries if not 1 <= h < n_hops]:
        raise ValueError(f"entries: {wrong[0]} is no hop with hidden cells; give hops from 1 to {n_hops - 1}.")
    plain = plain_circuit(n_hops, n_inputs=n_inputs, n_cells=n_cells, n_outputs=n_outputs)
    cues = [Population(cue(h), n_cue, "input") for h in entries]
    ways = [Projection(cue(h), f"h{h}") for h in entries]
    return Circuit((*plain.populations, *cues), (*plain.projections, *ways))


def with_cues(with_cue_cells: Circuit, weights: Weights) -> Weights:
    """Add cue weights, all zero, to those of the plain chain."""
    silent = {p.name: np.zeros(with_cue_cells.shape(p)) for p in with_cue_cells.projections}
    return Weights(silent | dict(weights.forward), weights.bias)


def unscreened(eta: float = 0.0) -> ErrorRelay:
    """Return the unscreened error relay with a fine threshold."""
    return replace(chain.unscreened(eta), theta=THETA_FINE)


def networks(n_hops: int = 5, n_cells: int = 8, eta: float = 0.01) -> dict[str, Network]:
    """Return a short one under every rule of the experiment: what `bioplastic audit models/neglected_cue.py` sees.

    An outcome is present, and all cues are on; their weights are not zero here, so that what they depend on shows.
    """
    small = circuit(
        n_hops, entries=(1, n_hops - 1), n_inputs=n_cells, n_cells=n_cells, n_cue=n_cells, n_outputs=n_cells
    )
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 2 / np.sqrt(n_cells), small.shape(p)) for p in small.projections},
        {p.name: np.zeros(p.size) for p in small.populations if p.role != "input"},
    )
    rules = {
        "error relay": chain.screened(eta, n_hops),
        "error relay, unscreened": chain.unscreened(eta),
        "equilibrium relay": chain.equilibrium(eta, eta, n_hops),
    }
    made = {}
    for name, rule in rules.items():
        spiking = build(small, rule, weights)
        for population in small.inputs:
            spiking.population(population.name).target = rng.random(population.size)
        spiking.population("y").target = rng.random(n_cells)
        spiking.population("y").clamp = 1
        if name == "equilibrium relay":
            spiking.cells.window = 1
        made[name] = Network(*spiking.objects)
    return made
