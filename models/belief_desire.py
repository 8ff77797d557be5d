"""Beliefs and desires make an intention, an intention an action, and an action is carried out: a circuit, its world.

    evidence -> b3 -> b2 -> b1 -+
                                +-> intention -> action -> execution
    drives   -> d3 -> d2 -> d1 -+

Two chains, beliefs from evidence and desires from drives, meet in an intention that drives a choice between actions.
`action` is an error source: of what was chosen somebody may disapprove. `execution`, what the limb does, is another,
one hop downstream: of how it was carried out somebody may disapprove.

What is chosen here, and from where; cell parameters are in `bioplastic.cells.CellParameters`, time constants, gain and
leak in `models/chain.py`.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
DEPTH                    3  hops    belief populations, and desire populations           chosen: near, middle, far
N_CELLS                 32  cells   in every hidden population and in either input       chosen: small, and it learns
N_STATES                 4  1       beliefs, and desires                                 chosen
N_ACTIONS                4  cells   in action and in execution, one per action           one in each row and column
N_PATTERNS               5  1       evidences of a belief, drives of a desire            chosen
FLIPPED                0.2  1       share of cells in which they differ from the typical chosen: alike, not the same
HELD_OUT               0.2  1       share of pairs of evidence and drive not trained     chosen: to see that it generalises
UNSCREENED_THETA       0.1  spikes  error threshold of the unscreened control            chosen: holds no error back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from bioplastic_models import chain
from brian2 import Network

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import OWN_PREDICTION, Schedule, Timing, random_life
from bioplastic.recording import labelled
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.form import Rule
from bioplastic.spiking.network import build
from bioplastic.statistics import unbiased_square
from bioplastic.study.measure import Measures
from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, Task

if TYPE_CHECKING:
    from bioplastic.twin import Pretraining

DEPTH = 3
N_CELLS = 32
N_STATES = 4
N_ACTIONS = 4
N_PATTERNS = 5
FLIPPED = 0.2
HELD_OUT = 0.2
UNSCREENED_THETA = 0.1
N_HOPS = DEPTH + 2
CHOICE, EXECUTION = "choice", "execution"
"""What can be disapproved."""
THE_JOKE = "the joke"
GROUPS = {
    "execution": "execution",
    "action": "action",
    "intention": "intention",
    "belief, near": "b1",
    "belief, middle": "b2",
    "belief, far": "b3",
    "desire, near": "d1",
    "desire, middle": "d2",
    "desire, far": "d3",
}
"""Groups of weights: all that end in one population."""
UPSTREAM = tuple(name for name in GROUPS if name.startswith(("belief", "desire")))
"""Those of beliefs and desires."""


def circuit(depth: int = DEPTH, *, n_cells: int = N_CELLS, n_actions: int = N_ACTIONS) -> Circuit:
    """Return the circuit; ``b1`` and ``d1`` are next to the intention, and hops are counted from `action`."""
    chains = [
        [Population(entry, n_cells, "input"), *(Population(f"{letter}{k}", n_cells) for k in range(depth, 0, -1))]
        for entry, letter in (("evidence", "b"), ("drives", "d"))
    ]
    last = [
        Population("intention", n_cells),
        Population("action", n_actions, "error source"),
        Population("execution", n_actions, "error source"),
    ]
    paths = [[*one, last[0]] for one in chains] + [last]
    joined = [Projection(a.name, b.name) for path in paths for a, b in pairwise(path)]
    return Circuit((*chains[0], *chains[1], *last), tuple(joined))


@dataclass(frozen=True)
class World:
    """What the agent meets: pairs of evidence and drive, and what is usually approved.

    Attributes
    ----------
    task : Task
        Stimuli are all pairs, evidence before drive; the last one once more is the joke. Outcomes are, for each
        action in turn: it is approved, as the agent was taught; its choice is disapproved; its execution is. The label
        of a pair is the approved action, that of the joke the disapproval of its choice.
    belief, desire : array of int, shape (n_stimuli,)
        Of each stimulus.
    """

    task: Task
    belief: np.ndarray
    desire: np.ndarray

    @property
    def joke(self) -> int:
        """The stimulus that is the joke."""
        return len(self.task.stimuli) - 1

    def disapproved(self, of: str) -> int:
        """Outcome that disapproves of what is usually approved in the joke: of its ``choice`` or its ``execution``."""
        if of not in (CHOICE, EXECUTION):
            raise ValueError(f"of = {of!r}; what can be disapproved is the 'choice' or the 'execution'.")
        return int(self.task.label[self.joke]) + N_ACTIONS * (of == EXECUTION)

    @property
    def action(self) -> int:
        """The action that is usually approved in the joke."""
        return self.disapproved(CHOICE) - N_ACTIONS

    @property
    def approved(self) -> np.ndarray:
        """The action that is usually approved, of every stimulus, shape (n_stimuli,)."""
        return np.append(self.task.label[:-1], self.action)

    def situations(self) -> dict[str, np.ndarray]:
        """Stimuli by what they share with the joke, the joke itself first; by name, arrays of int."""
        belief, desire = (x[:-1] == x[-1] for x in (self.belief, self.desire))
        same_action = self.task.label[:-1] == self.action
        other = np.any(self.task.stimuli[:-1] != self.task.stimuli[-1], axis=1)
        chosen = {
            "same belief and desire": belief & desire & other,
            "same belief": belief & ~desire,
            "same desire": desire & ~belief,
            "same action only": ~belief & ~desire & same_action,
            "nothing shared": ~belief & ~desire & ~same_action,
        }
        return {THE_JOKE: np.array([self.joke])} | {name: np.flatnonzero(rows) for name, rows in chosen.items()}

    def life(self, blamed: str, *, event_fraction: float, n_events: int, rng: np.random.Generator) -> Schedule:
        """Draw a life: the joke and its disapproval, among other situations whose approval surprises nobody.

        In all of them the agent does what is usually approved. Where that is approved as expected, the error of reward
        prediction is 0: what happens is what the network itself predicts. The last event is the joke, so that agents
        are looked at before the spikes of other events have covered what it changed.
        """
        life = random_life(self.task, event_fraction=event_fraction, n_events=n_events, seed=rng)
        life = life.select(np.roll(np.arange(len(life)), -1 - np.flatnonzero(life.rare)[-1]))
        ordinary = (self.belief != self.belief[self.joke]) | (self.desire != self.desire[self.joke])
        others = rng.choice(np.flatnonzero(ordinary & ~self.task.held_out), len(life))
        return replace(
            life,
            stimulus=np.where(life.rare, self.joke, others),
            outcome=np.where(life.rare, self.disapproved(blamed), OWN_PREDICTION),
        )


def choice(prediction: np.ndarray) -> np.ndarray:
    """Probability of choosing each action, from what the action cells do.

    A cell at rate p acts with probability p, each for itself. The choice is that of the one cell that acts, given that
    one alone does: the odds p/(1 - p), divided by their sum.

    Parameters
    ----------
    prediction : array, shape (..., N_ACTIONS)
        Rates of the action cells, fractions of the maximal rate in (0, 1).

    Returns
    -------
    array, shape (..., N_ACTIONS)
    """
    odds = prediction / (1 - prediction)
    return np.asarray(odds / odds.sum(-1, keepdims=True))


def differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of choices that differ between two distributions: total variation, half the sum of differences."""
    return np.asarray(np.abs(one - other).sum(-1) / 2)


def choices(world: World, weights: Sequence[Weights]) -> np.ndarray:
    """Choice probabilities of agents by network, stimulus and action, in rates."""
    from bioplastic import twin

    return choice(twin.predict(circuit(), weights, world.task.stimuli)[..., :N_ACTIONS])


def competence(world: World, in_rates: np.ndarray, in_spikes: np.ndarray) -> Measures:
    """Say how often a trained agent does what is approved, from its choices or rates (stimulus, action)."""
    right, in_spikes_too = (made.argmax(1) == world.approved for made in (in_rates, in_spikes))
    pairs = "the same for pairs of evidence and drive that it was not trained on"
    return {
        "accuracy": labelled(
            (), right.mean(), "share of situations in which the trained agent does what is approved, in rates"
        ),
        "accuracy_held_out": labelled((), right[world.task.held_out].mean(), pairs),
        "accuracy_spikes": labelled((), in_spikes_too.mean(), "the same for all, in spikes"),
    }


def behaviour(world: World, real: np.ndarray, sham: np.ndarray, other: np.ndarray, *, floor: bool) -> Measures:
    """Say in each situation how lives have changed what an agent does, against their sham runs.

    Parameters
    ----------
    world : World
    real, sham, other : array, shape (n_lives, n_stimuli, N_ACTIONS)
        Choice probabilities after lives that differ in chance, after their sham runs, and after other sham runs.
    floor : bool
        Whether there are other sham runs; else what they say is NaN.
    """
    situations, known = world.situations(), 1.0 if floor else np.nan
    after, without, again = (choices.mean(0) for choices in (real, sham, other))
    at, joke = (np.arange(len(world.approved)), world.approved), (world.joke, world.action)

    def by_situation(per_stimulus: np.ndarray, long_name: str) -> xr.Variable:
        return labelled("situation", [per_stimulus[rows].mean() for rows in situations.values()], long_name)

    return {
        "situation": labelled("situation", list(situations), "situation, by what it shares with the joke"),
        "behaviour_change": by_situation(
            differing(after, without), "share of choices that differ from those after the sham run"
        ),
        "behaviour_floor": by_situation(known * differing(without, again), "the same between two sham runs"),
        "behaviour_square": by_situation(
            unbiased_square(real - sham), "squared change of the choice probabilities, free of noise"
        ),
        "behaviour_square_floor": by_situation(
            known * unbiased_square(sham - other), "the same between two sham runs, which is 0 but for chance"
        ),
        "approved_probability": by_situation(after[at], "probability of what is usually approved, after the life"),
        "approved_probability_sham": by_situation(without[at], "the same after the sham run"),
        "still_approved": by_situation(
            after.argmax(1) == world.approved, "share of stimuli at which the likeliest choice is that"
        ),
        "correction": labelled(
            (), 1 - after[joke] / without[joke], "fraction of the punished choice's probability that is gone"
        ),
    }


def by_group(circuit: Circuit, weights: Weights) -> list[np.ndarray]:
    """Flat arrays of the weights that end in each of the `GROUPS`."""
    return [
        np.concatenate([weights.forward[p.name].ravel() for p in circuit.projections if p.target == population])
        for population in GROUPS.values()
    ]


def pretraining() -> Pretraining:
    """Return how agents are taught what is approved.

    "Neither without the other" needs cells that are not linear. Of what was tried and learns it, this leaves the largest
    gradient upstream of the intention: with saturated cells there is little that policy gradient could change there, and
    so little that a local rule could spare.
    """
    from bioplastic import twin

    return twin.Pretraining(steps=1200, learning_rate=0.02, noise=0.05, largest_potential=0.9, penalty=0.1)


def world(seed: int, *, n_cells: int = N_CELLS) -> World:
    """Draw evidences, drives and the joke.

    The evidences of a belief are copies of one random pattern in which some cells are flipped, and so are the drives
    of a desire. The approved action is the sum of belief and desire, modulo their number (a Latin square): neither says
    anything about it without the other.
    """
    rng = np.random.default_rng(seed)

    def patterns() -> np.ndarray:
        typical = rng.random((N_STATES, 1, n_cells)) < 0.5
        flipped = rng.random((N_STATES, N_PATTERNS, n_cells)) < FLIPPED
        return np.where(typical ^ flipped, STIMULUS_RANGE[1], STIMULUS_RANGE[0]).reshape(-1, n_cells)

    evidence, drives = patterns(), patterns()
    first, second = (x.ravel() for x in np.indices((len(evidence), len(drives))))
    held_out = rng.random(len(first)) < HELD_OUT
    joke = int(rng.choice(np.flatnonzero(~held_out)))
    first, second = np.append(first, first[joke]), np.append(second, second[joke])
    belief, desire = first // N_PATTERNS, second // N_PATTERNS
    label = (belief + desire) % N_STATES
    label[-1] += N_ACTIONS
    acts, waits = np.eye(N_ACTIONS), np.zeros((N_ACTIONS, N_ACTIONS))
    absent, present = OUTCOME_RANGE
    approved = np.where(np.tile(acts, 2) > 0, present, absent)
    task = Task(
        stimuli=np.hstack([evidence[first], drives[second]]),
        outcomes=np.vstack([approved, np.hstack([acts, waits]), np.hstack([waits, acts])]),
        label=label,
        held_out=np.append(held_out, False),
        rare_label=int(label[-1]),
        reward=np.vstack([
            np.ones_like(approved),
            np.repeat([[-1.0, 0.0]], N_ACTIONS, axis=0).repeat(N_ACTIONS, axis=1),
            np.repeat([[0.0, -1.0]], N_ACTIONS, axis=0).repeat(N_ACTIONS, axis=1),
        ]),
    )
    return World(task, belief, desire)


def timing() -> Timing:
    """Return the phases of an event; the outcome stays for 120 ms, as on the chain."""
    return chain.timing(N_HOPS + 1)


def screened(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay, screened by gain, leak and threshold, as on the chain."""
    return ErrorRelay(theta=chain.THETA, tau_e=chain.MEMORY * timing().event, gain=chain.GAIN, eta=eta)


def unscreened(eta: float = 0.0) -> ErrorRelay:
    """Return the error relay with gain 1, no leak and a low threshold: local, but nothing screens."""
    return ErrorRelay(theta=UNSCREENED_THETA, gain=1.0, eta=eta)


def networks(depth: int = 2, n_cells: int = 8, eta: float = 0.01) -> dict[str, Network]:
    """Return a small agent under each rule, for `bioplastic audit models/belief_desire.py`.

    The choice of the first action is disapproved; of its execution nothing is known. In the last, the other way round.
    """
    small = circuit(depth, n_cells=n_cells)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 2 / np.sqrt(n_cells), small.shape(p)) for p in small.projections},
        {p.name: np.zeros(p.size) for p in small.populations if p.role != "input"},
    )
    rules: dict[str, tuple[Rule, str]] = {
        "error relay": (screened(eta), "action"),
        "error relay, unscreened": (unscreened(eta), "action"),
        "error relay, execution disapproved": (screened(eta), "execution"),
    }
    made = {}
    for name, (rule, blamed) in rules.items():
        spiking = build(small, rule, weights)
        for entry in small.inputs:
            spiking.population(entry.name).target = rng.random(n_cells)
        spiking.population(blamed).target = np.eye(N_ACTIONS)[0]
        spiking.population(blamed).clamp = -1
        made[name] = Network(*spiking.objects)
    return made
