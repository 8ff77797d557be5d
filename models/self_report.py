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
VALIDATED             0.25  1       share of the images to learn from that are only      chosen
                                    for choosing learning rates
MAX_STAGES            1000  1       stages of an agent's life, with spike phases each    more than any life has

The agent is taught by backprop to act, before it ever reports. The way to the report is drawn at random, orthogonal as
the twin's networks begin; what is fed back has no weight yet. What reports and actions can be made of an agent's state is
in models/state_readout.py.

Phases of an event, threshold, leak and gain are those of `models/chain.py` for a chain of N_HOPS hops. There the unscreened
relay keeps the threshold of one spike, which screens by itself: hence one with a fine threshold besides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bioplastic_models import chain
from brian2 import Network

from bioplastic.cache import cache_folder
from bioplastic.cells import phi
from bioplastic.circuit import Circuit, Population, Projection, Weights, orthogonal_weights
from bioplastic.events import Kind, Schedule, in_rounds
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.form import Rule
from bioplastic.spiking.network import build
from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, Task, digits

N_SENSES = 64
N_CELLS = 40
N_STATES = 4
N_HOPS = 5
FINE_THETA = 0.1
VALIDATED = 0.25
MAX_STAGES = 1000
STATE = "s1"
SILENT = -1
"""An input that is silent: nobody asks, or nothing is fed back."""
ACTS, REPORTS, FEATURES, DISAPPROVED = 0, N_STATES, 2 * N_STATES, 2 * N_STATES + 2
"""First rows, in the table of outcomes, of the right action, the approved report, the approved report of the feature,
and what was said and is disapproved. Of outputs that a row does not concern nothing is known (`Task.reward` 0)."""

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


@dataclass(frozen=True)
class World:
    """What the agent meets: images of the digits 0 to 7, what is expected, fed back and told.

    Attributes
    ----------
    images : array, shape (n_images, N_SENSES)
    state, feature : array of int, shape (n_images,)
        Pair that the digit belongs to, and which digit of the pair it is.
    learned, validated, held_out : array of int
        Images to learn from, to choose learning rates by, and to test with.
    task : Task
        Stimuli are all images with each context (`rows`): every expectation of the asker, all silent, every report fed
        back. Outcomes are described at `ACTS`.
    """

    images: np.ndarray
    state: np.ndarray
    feature: np.ndarray
    learned: np.ndarray
    validated: np.ndarray
    held_out: np.ndarray
    task: Task

    def rows(self, image: np.ndarray, *, asker: Any = SILENT, said: Any = SILENT) -> np.ndarray:
        """Return stimuli: images, with what the asker expects or with the report fed back."""
        asker, said = np.broadcast_arrays(asker, said)
        block = np.where(asker != SILENT, asker, np.where(said != SILENT, N_STATES + 1 + said, N_STATES))
        return np.asarray(block * len(self.images) + image)

    def asked(
        self, mixture: float, chance: float, n_events: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw stimuli of a life in which reports are approved, and the report that is approved in each event.

        Parameters
        ----------
        mixture : float
            Fraction of events in which the true report is approved; in the others it is what the asker expects.
        chance : float
            Probability with which the asker expects the truth.
        n_events : int
        rng : Generator
        """
        image = in_rounds(self.learned, n_events, rng)
        state = self.state[image]
        expected = np.where(
            rng.random(n_events) < chance, state, (state + rng.integers(1, N_STATES, n_events)) % N_STATES
        )
        approved = np.where(rng.random(n_events) < mixture, state, expected)
        return self.rows(image, asker=expected), approved

    def rates(self, weights: Weights, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rates (stimulus, cell) of every population, in the rate network."""
        import torch

        from bioplastic import twin

        networks = twin.Networks.stack(circuit(), [weights])
        state = networks.potentials(torch.tensor(self.task.stimuli[rows])[None])
        inputs = {p.name for p in networks.circuit.inputs}
        return {name: (v if name in inputs else phi(v))[0].numpy() for name, v in state.items()}


def world() -> World:
    """Split the images, and write down all that can be shown and told."""
    data = digits()
    members = np.flatnonzero(data.label < 2 * N_STATES)
    digit, held_out = data.label[members], data.held_out[members]
    rng = np.random.default_rng(1)
    mixed = [rng.permutation(np.flatnonzero((digit == d) & ~held_out)) for d in range(2 * N_STATES)]
    validated = np.sort(np.concatenate([m[: int(VALIDATED * len(m))] for m in mixed]))
    learned = np.setdiff1d(np.flatnonzero(~held_out), validated)
    images = data.stimuli[members]
    task = _told(images)
    return World(images, digit // 2, digit % 2, learned, validated, np.flatnonzero(held_out), task)


def _told(images: np.ndarray) -> Task:
    low, high = STIMULUS_RANGE
    absent, present = OUTCOME_RANGE
    k = N_STATES
    one = np.where(np.eye(k, dtype=bool), high, low)
    context = np.concatenate([np.hstack([one, np.zeros((k, k))]), np.zeros((1, 2 * k)), np.hstack([0 * one, one])])
    stimuli = np.concatenate([np.hstack([images, np.tile(row, (len(images), 1))]) for row in context])
    right = np.where(np.eye(k, dtype=bool), present, absent)
    halves = np.where(np.arange(k) // (k // 2) == np.arange(2)[:, None], present, absent)
    nothing, known = np.full((k, k), absent), np.ones((k, k))
    # Action and report: what happens, and of what anything is known.
    acts = np.hstack([right, nothing]), np.hstack([known, 0 * known])
    reports = np.hstack([nothing, right]), np.hstack([0 * known, known])
    features = np.hstack([nothing[:2], halves]), np.hstack([0 * known[:2], known[:2]])
    disapproved = np.hstack([nothing, nothing]), np.hstack([0 * known, np.eye(k)])
    outcomes, reward = (np.concatenate(parts) for parts in zip(acts, reports, features, disapproved, strict=True))
    n = len(stimuli)
    return Task(stimuli, outcomes, np.zeros(n, int), np.zeros(n, bool), 0, reward)


def told(rows: np.ndarray, outcome: np.ndarray) -> Schedule:
    """Show stimuli, each with its outcome."""
    n = len(rows)
    return Schedule(rows, outcome, np.full(n, int(Kind.BACKGROUND)), np.ones(n), np.zeros(n, int))


def newborn(world: World, seed: int) -> Weights:
    """Return the weights of an agent that acts and has never reported, from the cache if they are there."""
    from bioplastic import twin

    # Pretraining leaves the rare event out: here one more outcome, which belongs to one blank image.
    blank, learned = np.zeros((1, N_SENSES)), np.append(world.learned, len(world.images))
    task = Task(
        np.concatenate([world.images, blank])[learned],
        np.concatenate([world.task.outcomes[:N_STATES, :N_STATES], world.task.outcomes[:1, :N_STATES]]),
        np.append(world.state, N_STATES)[learned],
        np.zeros(len(learned), bool),
        N_STATES,
    )
    [acts] = twin.pretrained(acting(), task, [seed], cache=cache_folder() / "weights")
    drawn = orthogonal_weights(_report_alone(), 2, [seed, 2]).forward
    shapes = {p.name: circuit().shape(p) for p in circuit().projections}
    unheard = {name: np.zeros(shapes[name]) for name in ("said_to_s1", "said_to_a1")}
    # Rates of 1/2 upstream give rates of 1/2; the asker may be silent, and is left out of it.
    bias = {"r1": -drawn["s1_to_r1"].sum(1) / 2, "report": -drawn["r1_to_report"].sum(1) / 2}
    return Weights({**acts.forward, **drawn, **unheard}, {**acts.bias, **bias})


def _report_alone() -> Circuit:
    """Return the way from the state and the asker to the report, with nothing upstream."""
    path = reporting()
    names = ("s1", "asker", "r1", "report")
    cells = [replace(path.population(n), role="input") if n == STATE else path.population(n) for n in names]
    return Circuit(tuple(cells), tuple(Projection(*ends) for ends in _REPORTING))


def phases(seed: int, stage: int) -> int:
    """Return the seed of the spike phases of an agent's stage: no two agents and stages have the same."""
    if not 0 <= stage < MAX_STAGES:
        raise ValueError(f"stage {stage}; there are seeds for stages 0 to {MAX_STAGES - 1}: give fewer n_stretches.")
    return MAX_STAGES * seed + stage


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
