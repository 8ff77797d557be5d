"""An agent that acts on an upstream state and reports it, to somebody who approves of some reports and not of others.

    senses -> s3 -> s2 -> s1 -> a1 -> action          s1: the state, two hops upstream of either error source
                           |    ^
                           +----+--- said             what was reported, when the report is consulted for acting
                           s1 -> r1 -> report
                                 ^
                                 asker                what the asker expects to hear

`said` ends in both `s1` and `a1`, so that a consulted report may act on the state or pass it by. The state is which pair
of digits is seen (0 or 1, 2 or 3, 4 or 5, 6 or 7), of which there are as many as actions and reports; which digit of the
pair it is (even or odd) is a feature that the action does not need. An input that is silent has the rate 0.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_SENSES                64  cells   input                                                8x8 pixels
N_CELLS                 40  cells   in every hidden population                           chosen: small, so that it is fast
N_STATES                 4  cells   in action, report, asker and said: one per state     four pairs of digits
N_HOPS                   5  hops    from the senses to either error source               chosen
FINE_THETA             0.1  spikes  error threshold of the fine unscreened control       as in models/association.py

Phases of an event, threshold, leak and gain are those of `models/chain.py` for a chain of N_HOPS hops. There the unscreened
relay keeps the threshold of one spike, which screens by itself: hence one with a fine threshold besides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bioplastic_models import chain
from brian2 import Network

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.form import Rule
from bioplastic.spiking.network import build

N_SENSES = 64
N_CELLS = 40
N_STATES = 4
N_HOPS = 5
FINE_THETA = 0.1
STATE = "s1"

_CELLS = {"senses": N_SENSES, "asker": N_STATES, "said": N_STATES, "action": N_STATES, "report": N_STATES}
_ROLES = {"input": ("senses", "asker", "said"), "error source": ("action", "report")}
_UPSTREAM = (("senses", "s3"), ("s3", "s2"), ("s2", "s1"))
_ACTING = (("s1", "a1"), ("a1", "action"))
_REPORTING = (("s1", "r1"), ("asker", "r1"), ("r1", "report"))
_CONSULTING = (("said", "s1"), ("said", "a1"))


def _part(projections: tuple[tuple[str, str], ...], n_cells: int) -> Circuit:
    """Return the populations that the projections join, and these."""
    order = ("senses", "asker", "said", "s3", "s2", "s1", "a1", "r1", "action", "report")
    roles = {name: role for role, names in _ROLES.items() for name in names}
    there = [name for name in order if any(name in ends for ends in projections)]
    return Circuit(
        tuple(Population(name, _CELLS.get(name, n_cells), roles.get(name, "hidden")) for name in there),
        tuple(Projection(*ends) for ends in projections),
    )


def circuit(n_cells: int = N_CELLS) -> Circuit:
    """Return the whole agent; its inputs are `senses`, `asker` and `said`, its error sources `action` and `report`."""
    return _part((*_UPSTREAM, *_ACTING, *_REPORTING, *_CONSULTING), n_cells)


def acting(n_cells: int = N_CELLS) -> Circuit:
    """Return the path from the senses to the action, which the agent has before it ever reports."""
    return _part((*_UPSTREAM, *_ACTING), n_cells)


def reporting(n_cells: int = N_CELLS) -> Circuit:
    """Return the path from the senses and the asker to the report: the hops that approval can reach."""
    return _part((*_UPSTREAM, *_REPORTING), n_cells)


def fine(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay with gain 1, no leak and a fine threshold: local, but hardly screened."""
    return replace(chain.unscreened(eta), theta=FINE_THETA)


def networks(n_cells: int = 8, eta: float = 0.01) -> dict[str, Network]:
    """Return a small agent under each rule of the experiment: what `bioplastic audit models/self_report.py` sees.

    Outcomes are present at both error sources.
    """
    small = circuit(n_cells)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 2 / np.sqrt(n_cells), small.shape(p)) for p in small.projections},
        {p.name: np.zeros(p.size) for p in small.populations if p.role != "input"},
    )
    rules: dict[str, Rule] = {
        "error relay": chain.screened(eta, N_HOPS),
        "error relay, unscreened": chain.unscreened(eta),
        "error relay, unscreened, fine": fine(eta),
    }
    made = {}
    for name, rule in rules.items():
        spiking = build(small, rule, weights)
        for population in (*small.inputs, *small.error_sources):
            spiking.population(population.name).target = rng.random(population.size)
        for population in small.error_sources:
            spiking.population(population.name).clamp = 1
        made[name] = Network(*spiking.objects)
    return made
