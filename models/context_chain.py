"""A chain whose hidden cells may be silenced by the topic: context cells inhibit those that a topic does not need.

A ``context`` population has some cells per topic, which fire at their maximal rate while that topic lasts. Its projections
onto the hidden populations and the error source are fixed. Onto the cells that are off in a topic they are so negative
that these cells neither fire nor learn: at -OFF a rate is phi = 1e-5 of the maximal rate, and the slope of phi, by which
every error upstream of the cell is multiplied, 5e-6 (1/2 at 0). Onto all others they make up for what these cells no
longer get from the ones that are off, so that a cell that fired at half its maximal rate at the start still does. With
weights of 0 the context is there, but says nothing.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_HOPS                   3  hops    projections from the input to the error source       chosen: as short as a chain gets
N_CELLS                 64  cells   in every hidden population and in the input          8x8 pixels
N_OUTPUTS                2  cells   one per class; all topics share them                 two digits at a time
N_TOPICS                 5  1       topics                                               ten digits, two at a time
N_PER_TOPIC             10  cells   of the context, per topic                            chosen: few make potentials ripple
FRACTION_OFF           0.8  1       of each hidden population, off in a topic            Masse et al. (2018), figure 2
OFF                     10  1       potential by which such a cell is pulled down        chosen: see above
TOLD                     1  1       spread of the potentials that a topic adds, if it    chosen: as large as what the
                                    is told but switches no cell off                     cells that are off would leave

Phases of an event, threshold, leak and gain are those of ``models/chain.py``. Context-dependent gating: Masse, Grant and
Freedman (2018), doi:10.1073/pnas.1803839115, who multiply the activity of cells that are off by 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bioplastic_models import chain
from brian2 import Network

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.spiking.network import build

N_HOPS = 3
N_CELLS = 64
N_OUTPUTS = 2
N_TOPICS = 5
N_PER_TOPIC = 10
FRACTION_OFF = 0.8
OFF = 10.0
TOLD = 1.0


def circuit(
    n_hops: int = N_HOPS, *, n_cells: int = N_CELLS, n_outputs: int = N_OUTPUTS, n_topics: int = N_TOPICS
) -> Circuit:
    """Return the chain of ``models/chain.py`` with ``context``, a second input that projects to all but the first."""
    plain = chain.circuit(n_hops, n_cells=n_cells, n_outputs=n_outputs)
    fixed = [Projection("context", p.name, plastic=False) for p in plain.populations[1:]]
    return Circuit(
        (*plain.populations, Population("context", n_topics * N_PER_TOPIC, "input")), (*plain.projections, *fixed)
    )


def context(topic: np.ndarray, n_topics: int = N_TOPICS) -> np.ndarray:
    """Return the rates of the context cells in each of some topics, shape (len(topic), n_topics N_PER_TOPIC)."""
    return np.repeat(np.eye(n_topics)[topic], N_PER_TOPIC, axis=1)


def random_topics(gated: Circuit, fraction: float, seed: int) -> dict[str, np.ndarray]:
    """Draw which cells are off in which topic: bool by hidden population, shape (size, n_topics).

    Each topic has its own draw, of the same number of cells.
    """
    rng = np.random.default_rng(seed)
    n_topics = gated.population("context").size // N_PER_TOPIC
    off = {}
    for population in gated.hidden:
        ranks = np.stack([rng.permutation(population.size) for _ in range(n_topics)], axis=1)
        off[population.name] = ranks < round(fraction * population.size)
    return off


def with_context(gated: Circuit, weights: Weights, off: dict[str, np.ndarray] | None = None) -> Weights:
    """Add the context's weights to those of the plain chain; weights of 0 if no cell is ever off."""
    pulls = {}
    for projection in _from_context(gated):
        size, n_cells = gated.shape(projection)
        pull = np.zeros((size, n_cells // N_PER_TOPIC))
        if off is not None:
            for incoming in gated.incoming(gated.population(projection.target)):
                if incoming.source in off:
                    pull += weights.forward[incoming.name] @ off[incoming.source] / 2
            if projection.target in off:
                pull[off[projection.target]] -= OFF
        pulls[projection.name] = pull
    return _pulled(weights, pulls)


def with_topics_told(gated: Circuit, weights: Weights, seed: int) -> Weights:
    """Add random weights of the context to those of the plain chain: hidden cells hear the topic, and none is off."""
    rng = np.random.default_rng(seed)
    pulls = {}
    for projection in _from_context(gated):
        size, n_cells = gated.shape(projection)
        hears = gated.population(projection.target).role == "hidden"
        pulls[projection.name] = TOLD * hears * rng.standard_normal((size, n_cells // N_PER_TOPIC))
    return _pulled(weights, pulls)


def _from_context(gated: Circuit) -> list[Projection]:
    return [p for p in gated.projections if p.source == "context"]


def _pulled(weights: Weights, pulls: dict[str, np.ndarray]) -> Weights:
    """Add context weights with which each topic adds `pulls` (size, n_topics) to the potentials."""
    spread = {name: np.repeat(pull, N_PER_TOPIC, axis=1) / N_PER_TOPIC for name, pull in pulls.items()}
    return replace(weights, forward={**weights.forward, **spread})


def networks(n_hops: int = N_HOPS, n_cells: int = 8, eta: float = 0.01) -> dict[str, Network]:
    """Return a small chain under the error relay, gated: what `bioplastic audit models/context_chain.py` sees."""
    small = circuit(n_hops, n_cells=n_cells, n_outputs=n_cells)
    rng = np.random.default_rng(0)
    plain = Weights(
        {p.name: rng.normal(0, 2 / np.sqrt(n_cells), small.shape(p)) for p in small.projections if p.plastic},
        {p.name: np.zeros(p.size) for p in small.populations if p.role != "input"},
    )
    weights = with_context(small, plain, random_topics(small, FRACTION_OFF, seed=0))
    spiking = build(small, chain.screened(eta, n_hops), weights)
    spiking.population("x").target = rng.random(n_cells)
    spiking.population("context").target = context(np.array([0]))[0]
    spiking.population("y").target = rng.random(n_cells)
    spiking.population("y").clamp = 1
    return {"error relay, gated": Network(*spiking.objects)}
