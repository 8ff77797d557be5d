"""Populations far from the senses that hold what goes with what, and what attention may do with them.

Attention drives `a` and `b`; what they evoke is what the error sources `B` and `C` predict. A path leads from each to where
it has something to learn, and one, from `a` to `C`, to where no experience says anything:

    a -> a1 -> b1 -> B          what goes with what is held at a
         a1 -> c1 -> C          the direct path
    b -> b2 -> c1 -> C          what goes with what is held at b; and, with both held, what is between them

What is chosen here, and from where; cell parameters are in `bioplastic.cells.CellParameters`.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_CELLS                 32  cells   in every population                                  chosen: more than a concept's factors
N_HOPS                   3  hops    from what is held to what it evokes                  chosen: the shortest with a far hop
REST                  0.47  1       rate of what attention does not hold, of the maximum  near one half; at 0.5 spikes lock to events
LEAD                   240  ms      until what is evoked has settled                     three hops of travel and more, as in chain
OUTCOME                120  ms      for which an outcome stays                           as in chain
GAP                     10  ms      silence between events                               chosen: short
SIZE                   2.5  1       singular values of the start weights                 2 hands small differences on as they are
THETA                    1  spikes  error threshold of a screened cell                   as in chain
FINE_THETA             0.1  spikes  the same for the unscreened control                  as where digits are learned
MEMORY                  30  events  time constant of a screened cell's mismatch          as in chain
GAIN                   0.9  1       of an error per hop; 1 for the unscreened control    as in chain
"""

from __future__ import annotations

import numpy as np
from brian2 import Network, ms

from bioplastic.circuit import Circuit, Population, Projection, orthogonal_weights
from bioplastic.events import Timing
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.network import build

N_CELLS = 32
N_HOPS = 3
REST = 0.47
LEAD = 240 * ms
OUTCOME = 120 * ms
GAP = 10 * ms
SIZE = 2.5
THETA = 1.0
FINE_THETA = 0.1
MEMORY = 30
GAIN = 0.9


def circuit(n_cells: int = N_CELLS) -> Circuit:
    """Return the circuit: inputs ``a`` and ``b``, error sources ``B`` and ``C``.

    Three hops from ``a`` to ``B``, from ``a`` to ``C`` and from ``b`` to ``C``; none lead from ``b`` to ``B``.
    """
    hidden = [Population(name, n_cells) for name in ("a1", "b2", "b1", "c1")]
    ends = [Population(name, n_cells, "error source") for name in ("B", "C")]
    inputs = [Population(name, n_cells, "input") for name in ("a", "b")]
    pairs = (("a", "a1"), ("a1", "b1"), ("b1", "B"), ("a1", "c1"), ("b", "b2"), ("b2", "c1"), ("c1", "C"))
    return Circuit((*inputs, *hidden, *ends), tuple(Projection(*pair) for pair in pairs))


def timing() -> Timing:
    """Return the phases of an event, in experience and in thought."""
    return Timing(lead=LEAD, outcome=OUTCOME, gap=GAP)


def screened(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay, screened by time, gain, leak and threshold."""
    return ErrorRelay(theta=THETA, tau_e=MEMORY * timing().event, gain=GAIN, eta=eta)


def unscreened(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay with a fine threshold, gain 1 and no leak: local, but hardly screened."""
    return ErrorRelay(theta=FINE_THETA, gain=1.0, eta=eta)


def networks(n_cells: int = 6, eta: float = 0.01) -> dict[str, Network]:
    """Return a small one under each rule, with an outcome present: what `bioplastic audit models/association.py` sees."""
    small = circuit(n_cells)
    rng = np.random.default_rng(0)
    made = {}
    for name, rule in (("error relay", screened(eta)), ("error relay, unscreened", unscreened(eta))):
        spiking = build(small, rule, orthogonal_weights(small, SIZE, seed=0))
        for population in ("a", "b", "B", "C"):
            spiking.population(population).target = rng.random(n_cells)
        for population in ("B", "C"):
            spiking.population(population).clamp = 1
        made[name] = Network(*spiking.objects)
    return made
