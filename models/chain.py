"""A chain of populations from the senses to the outcome, and what it lives through.

What is chosen here, and from where; cell parameters are in `bioplastic.cells.CellParameters`, the time that activity
takes to settle in `bioplastic.events.Timing.settling`.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_HOPS                  12  hops    projections from the input to the error source       chosen: more than any front gets
N_CELLS                 64  cells   in every hidden population and in the input          8x8 pixels
N_OUTPUTS               10  cells   one per digit                                        ten digits
OUTCOME                120  ms      for which an outcome stays, salience 1               chosen: about 8 hops of travel
LONG_OUTCOME            20  ms/hop  the same for the unscreened control                  long enough for every hop
GAP                     30  ms      silence between events                               longer than tau_m
THETA                    1  spikes  error threshold of a cell                            one spike more or less
MEMORY                  30  events  time constant of the mismatch                        between the rarest and the commonest
GAIN                   0.9  1       of an error per hop                                  chosen; 1 for the unscreened control
RADIUS                   2  hops    last hop that hears of an error, under radius k      chosen: "one step out, or a few"
DECAY                 1e-4  1       of a weight per error spike, under learned feedback  chosen: small beside what is learned
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from brian2 import Network, ms

from bioplastic import hippocampus as hippocampal
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import Timing
from bioplastic.hippocampus import Hippocampus, Target
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.form import Rule
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking.network import SpikingCircuit, build

N_HOPS = 12
N_CELLS = 64
N_OUTPUTS = 10
OUTCOME = 120 * ms
LONG_OUTCOME = 20 * ms
GAP = 30 * ms
THETA = 1.0
MEMORY = 30
GAIN = 0.9
RADIUS = 2
DECAY = 1e-4


def circuit(n_hops: int = N_HOPS, *, n_cells: int = N_CELLS, n_outputs: int = N_OUTPUTS) -> Circuit:
    """Return the chain: ``x`` (input), ``h1`` ... (hidden, numbered by hops upstream), ``y`` (error source)."""
    populations = [
        Population("x", n_cells, "input"),
        *(Population(f"h{k}", n_cells) for k in range(n_hops - 1, 0, -1)),
        Population("y", n_outputs, "error source"),
    ]
    return Circuit(tuple(populations), tuple(Projection(a.name, b.name) for a, b in pairwise(populations)))


def timing(n_hops: int = N_HOPS) -> Timing:
    """Return the phases of an event: long enough for the prediction to settle, then a brief outcome."""
    return Timing.settling(n_hops, outcome=OUTCOME, gap=GAP)


def long_timing(n_hops: int = N_HOPS) -> Timing:
    """Return the same with an outcome that stays until its error can have passed every hop."""
    return Timing.settling(n_hops, outcome=max(n_hops * LONG_OUTCOME, OUTCOME), gap=GAP)


def screened(eta: float = 0.0, n_hops: int = N_HOPS) -> ErrorRelay:
    """Return the error relay, screened by time, gain, leak and threshold."""
    return ErrorRelay(theta=THETA, tau_e=MEMORY * timing(n_hops).event, gain=GAIN, eta=eta)


def unscreened(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay with gain 1 and no leak; together with `long_timing` it is local but not screened."""
    return ErrorRelay(theta=THETA, gain=1.0, eta=eta)


def radius(eta: float = 0.0, n_hops: int = N_HOPS, radius: int = RADIUS) -> RadiusRelay:
    """Return the screened error relay that relays at most a few hops."""
    return RadiusRelay(theta=THETA, tau_e=MEMORY * timing(n_hops).event, gain=GAIN, eta=eta, radius=radius)


def learned(eta: float = 0.0, n_hops: int = N_HOPS) -> LearnedFeedback:
    """Return the screened error relay whose feedback weights learn."""
    return LearnedFeedback(theta=THETA, tau_e=MEMORY * timing(n_hops).event, gain=GAIN, eta=eta, decay=DECAY)


def broadcast(eta: float = 0.0, n_hops: int = N_HOPS) -> Broadcast:
    """Return broadcast feedback, with the threshold and leak of the screened error relay."""
    return Broadcast(theta=THETA, tau_e=MEMORY * timing(n_hops).event, eta=eta)


def equilibrium(eta: float = 0.0, eta_apical: float = 0.0, n_hops: int = N_HOPS) -> EquilibriumRelay:
    """Return the equilibrium relay, with the threshold and leak of the screened error relay."""
    return EquilibriumRelay(theta=THETA, tau_e=MEMORY * timing(n_hops).event, eta=eta, eta_apical=eta_apical)


def twin_rate(eta: float) -> float:
    """Return the learning rate of backprop at which hop 0 learns from an outcome what it learns in spikes at `eta`."""
    return eta * float(OUTCOME * CellParameters().rmax)


def hippocampus(n_hops: int = N_HOPS) -> Hippocampus:
    """Return the hippocampus that remembers what the chain is shown and what then happens."""
    return Hippocampus((Target("x"), Target("y", timing(n_hops).lead)), surprise="y", outcome=OUTCOME)


def with_an_outcome(spiking: SpikingCircuit) -> SpikingCircuit:
    """Show a chain something, and an outcome: what the audit sees."""
    rng = np.random.default_rng(0)
    for end in ("x", "y"):
        cells = spiking.population(end)
        cells.target = rng.random(cells.N)
    spiking.population("y").clamp = 1
    if "window" in spiking.cells.variables:  # of a rule that learns only while it is open
        spiking.cells.window = 1
    return spiking


def networks(n_hops: int = 5, n_cells: int = 8, eta: float = 0.01) -> dict[str, Network]:
    """Return a short chain under every rule, and one with a hippocampus: what `bioplastic audit models/chain.py` sees.

    An outcome is present.
    """
    small = circuit(n_hops, n_cells=n_cells, n_outputs=n_cells)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 2 / np.sqrt(n_cells), small.shape(p)) for p in small.projections},
        {p.name: np.zeros(p.size) for p in small.populations if p.role != "input"},
    )
    rules: dict[str, Rule] = {
        "error relay": screened(eta, n_hops),
        "error relay, unscreened": unscreened(eta),
        "error relay, hippocampus": screened(eta, n_hops),
        "error relay, radius 2": radius(eta, n_hops),
        "learned feedback": learned(eta, n_hops),
        "equilibrium relay": equilibrium(eta, eta, n_hops),
        "broadcast": broadcast(eta, n_hops),
    }
    made = {}
    for name, rule in rules.items():
        feedback = random_broadcast(small, seed=0) if name == "broadcast" else None
        with_memory = name == "error relay, hippocampus"
        spiking = with_an_outcome(build(small, rule, weights, feedback=feedback, recall=with_memory))
        objects = list(spiking.objects)
        if with_memory:
            ends = {end: spiking.population(end) for end in ("x", "y")}
            for cells in ends.values():
                cells.present = 1
            objects += hippocampal.build(hippocampus(n_hops), ends).objects
        made[name] = Network(*objects)
    return made
