"""Belief, desire, intention, action: where the blame goes when the usual action meets disapproval.

Question
    An agent does what is usually approved, given what it believes and what it desires. Then that action is disapproved,
    unexpectedly, once, rarely or often. Do the beliefs and desires behind it change, or only what lies near the action?
    And what does the agent then do in other situations, with the same belief, with the same desire, or with neither?
    Does less change if what is disapproved is how the action was carried out, not that it was chosen?
Source
    Disapproval as a reward of -1 for the action taken: REINFORCE, Williams (1992), doi:10.1007/BF00992696. Errors of
    execution: McDougle et al. (2016), PNAS 113, 6797, and Parvin et al. (2018), doi:10.1523/JNEUROSCI.3601-17.2018.
    Circuit and world: models/belief_desire.py; rules: bioplastic/rules/error_relay.py and backprop.py.
Command
    python scripts/belief_desire.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 8 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bioplastic_models import belief_desire, chain
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Weights
from bioplastic.claims.criterion import MIN_SEEDS, SHARE_MARGIN
from bioplastic.events import OWN_PREDICTION, Schedule, probes, random_life
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import estimate

SCHEMA = "bioplastic belief_desire"
EQUAL, MATCHING, MATCHED = "equal", "matching", "matched"
"""Lives at rates that all learners share, those by which an agent's own rate is found, and those at it."""
SCREENED, UNSCREENED, BACKPROP = "error relay", "error relay, unscreened", "backprop"
LEARNERS = (BACKPROP, SCREENED, UNSCREENED)
CHOICE, EXECUTION = "choice", "execution"
BLAMED = (CHOICE, EXECUTION)
"""What is disapproved."""
THE_JOKE = "the joke"
ELSEWHERE = ("same belief", "same desire")
"""Other situations by which the claim is decided."""
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
UPSTREAM = tuple(name.startswith(("belief", "desire")) for name in GROUPS)
PRETRAINING = {"steps": 1200, "learning_rate": 0.02, "noise": 0.05, "largest_potential": 0.9, "penalty": 0.1}
"""Of `bioplastic.twin.Pretraining`, what differs: "neither without the other" needs cells that are not linear. Of what
was tried and learns it, this leaves the largest gradient upstream of the intention: with saturated cells there is
little that policy gradient could change there, and so little that a local rule could spare."""
OTHER_PHASES = 1000
"""Added to the seed for the next set of spike phases."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    seeds : tuple of int
        One world, one network and one order of events each.
    exposures : tuple of (str, int, float, int)
        How often the joke meets disapproval: name, number of occurrences, the fraction of all events that they are, and
        the number of times that each life is lived in spikes, with other spike phases: two or more, so that noise, of
        which the rate twin has none, is not taken for what an event did (`unbiased_square`).
    rates : tuple of float
        Learning rates of a whole life, the same for all learners and in rising order: those of an event are these,
        divided by the number of occurrences. For the spiking rules the rate of an event is eta times the spikes that a
        cell at the maximal rate fires while an outcome is present, so that the same number means the same change of the
        weights by the same error.
    correction : float
        Fraction of the punished choice's probability that has to be gone: each agent lives at the rate with which it
        gets there.
    n_matching : int
        Lives by which that rate is found, beyond those at `rates`: each at the rate between the nearest ones so far.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    exposures: tuple[tuple[str, int, float, int], ...] = (
        ("once", 1, 0.025, 8),
        ("rarely", 12, 0.03, 4),
        ("often", 12, 0.3, 6),
    )
    rates: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32)
    correction: float = 0.5
    n_matching: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.correction < 1:
            raise ValueError(f"correction = {self.correction:g} is outside (0, 1); give the fraction that has to go.")
        if len(self.rates) < 2 or self.rates[0] <= 0 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates = {self.rates}; give two or more, above 0 and in rising order.")
        for name, _, _, n_phases in self.exposures:
            if n_phases < 2:
                raise ValueError(f"{name}: lived with {n_phases} set(s) of spike phases; noise needs two or more.")

    def n_events(self, exposure: int) -> int:
        """Length of a life, in events."""
        _, n_occurrences, fraction, _ = self.exposures[exposure]
        return round(n_occurrences / fraction)

    def event_rates(self, exposure: int) -> tuple[float, ...]:
        """Learning rates per event."""
        return tuple(rate / self.exposures[exposure][1] for rate in self.rates)


QUICK = Config(seeds=(0,), exposures=(("once", 1, 0.1, 2), ("often", 3, 0.3, 2)), rates=(0.03, 0.12), n_matching=1)


# ------------------------------------------------------------------------------------------ measures


def choice(prediction: np.ndarray) -> np.ndarray:
    """Probability of choosing each action, from what the action cells do.

    A cell at rate p acts with probability p, each for itself. The choice is that of the one cell that acts, given that
    one alone does: the odds p/(1 - p), divided by their sum.

    Parameters
    ----------
    prediction : array, shape (..., n_actions)
        Rates of the action cells, fractions of the maximal rate in (0, 1).

    Returns
    -------
    array, shape (..., n_actions)
    """
    odds = prediction / (1 - prediction)
    return odds / odds.sum(-1, keepdims=True)


def by_group(circuit: Circuit, weights: Weights) -> list[np.ndarray]:
    """Flat arrays of the weights that end in each group."""
    found = []
    for population in GROUPS.values():
        names = [p.name for p in circuit.projections if p.target == population]
        found.append(np.concatenate([weights.forward[name].ravel() for name in names]))
    return found


def weight_norm(circuit: Circuit, weights: Weights) -> np.ndarray:
    """Euclidean norm of the weights that end in each group, shape (n_groups,)."""
    return np.array([np.linalg.norm(one) for one in by_group(circuit, weights)])


def unbiased_square(changes: np.ndarray) -> np.ndarray:
    """Squared length of an expected change, from lives that differ in chance.

    The square of the mean change is too large by that of the noise left in it. Products of changes in different lives,
    whose noise is independent, are not.

    Parameters
    ----------
    changes : array, shape (n_lives, ..., n)
        Of each life.

    Returns
    -------
    array, shape (...)
        Mean over all pairs of different lives of their changes' scalar product, which may be negative; of a single
        life, which must be one without noise, the square.
    """
    n = len(changes)
    squares = (changes**2).sum(-1)
    if n == 1:
        return squares[0]
    return ((changes.sum(0) ** 2).sum(-1) - squares.sum(0)) / (n * (n - 1))


def change_by_group(circuit: Circuit, some: Sequence[Weights], others: Sequence[Weights], start: Weights) -> np.ndarray:
    """Expected distance between weights by group, relative to those that all started from.

    Parameters
    ----------
    circuit : Circuit
    some, others : sequence of Weights
        Compared in pairs, one for each life that differs in chance.
    start : Weights

    Returns
    -------
    array, shape (n_groups,)
        ``|E[some - others]| / |start|`` with Euclidean norms over all weights that end in the group (`unbiased_square`,
        0 where that is negative).
    """
    one, other = (
        [np.array(group) for group in zip(*(by_group(circuit, w) for w in x), strict=True)] for x in (some, others)
    )
    square = np.array([unbiased_square(a - b) for a, b in zip(one, other, strict=True)])
    return np.sqrt(np.maximum(square, 0)) / weight_norm(circuit, start)


def upstream_share(change: np.ndarray) -> np.ndarray:
    """Share of beliefs and desires in the sum of all groups' relative changes, shape (..., n_groups) to (...)."""
    total = change.sum(-1)
    return np.divide(change[..., UPSTREAM].sum(-1), total, out=np.full(total.shape, np.nan), where=total > 0)


def squared_share(change: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Share of beliefs and desires in the sum of all squared changes of single weights.

    Parameters
    ----------
    change : array, shape (..., n_groups)
        Relative changes.
    size : array, shape (..., n_groups)
        What they are relative to.

    Returns
    -------
    array, shape (...)
    """
    return upstream_share(np.square(change * size))


def value_change(change: np.ndarray) -> np.ndarray:
    """Sum of the relative changes of intention, beliefs and desires, shape (..., n_groups) to (...)."""
    behind = np.array(UPSTREAM) | (np.array(list(GROUPS)) == "intention")
    return change[..., behind].sum(-1)


def differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of choices that differ between two distributions: total variation, half the sum of differences."""
    return np.abs(one - other).sum(-1) / 2


def rate_that_corrects(rates: Sequence[float], corrections: np.ndarray, wanted: float) -> float:
    """Learning rate at which a correction is reached.

    Parameters
    ----------
    rates : sequence of float
        In rising order.
    corrections : array, shape (n_rates,)
    wanted : float

    Returns
    -------
    float
        Linear in the logarithm of the rate between those on both sides of the first crossing; the smallest rate if
        that corrects as much, the largest if none does.
    """
    above = np.flatnonzero(corrections >= wanted)
    if not len(above):
        return float(rates[-1])
    k = int(above[0])
    if k == 0:
        return float(rates[0])
    share = (wanted - corrections[k - 1]) / (corrections[k] - corrections[k - 1])
    return float(rates[k - 1] * (rates[k] / rates[k - 1]) ** share)


# ------------------------------------------------------------------------------------------ lives


def lived_events(world: belief_desire.World, config: Config, exposure: int, blamed: str, seed: int) -> Schedule:
    """Draw a life: the joke and its disapproval, among other situations whose approval surprises nobody.

    In all of them the agent does what is usually approved. Where that is approved as expected, the error of reward
    prediction is 0: what happens is what the network itself predicts. The last event is the joke, so that agents are
    looked at before the spikes of other events have covered what it changed.
    """
    _, _, fraction, _ = config.exposures[exposure]
    rng = np.random.default_rng([seed, exposure])
    life = random_life(world.task, event_fraction=fraction, n_events=config.n_events(exposure), seed=rng)
    life = life.select(np.roll(np.arange(len(life)), -1 - np.flatnonzero(life.rare)[-1]))
    ordinary = (world.belief != world.belief[world.joke]) | (world.desire != world.desire[world.joke])
    others = rng.choice(np.flatnonzero(ordinary & ~world.task.held_out), len(life))
    return replace(
        life,
        stimulus=np.where(life.rare, world.joke, others),
        outcome=np.where(life.rare, world.disapproved(blamed), OWN_PREDICTION),
    )


def rule(learner: str, rate: float) -> ErrorRelay:
    """Return a spiking rule at a learning rate per event."""
    eta = rate / float(CellParameters().rmax * belief_desire.timing().outcome)
    return belief_desire.screened(eta) if learner == SCREENED else belief_desire.unscreened(eta)


@dataclass(frozen=True)
class Condition:
    """One life and its sham runs."""

    learner: str
    exposure: int
    blamed: str
    seed: int
    rate: float
    role: str

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        learner = self.learner.replace(",", "").replace(" ", "_")
        return f"{self.role}-{learner}-{self.blamed}-exposure{self.exposure}-s{self.seed}-rate{self.rate:.6g}"


class Bench:
    """What all lives share: the circuit, the worlds, the trained agents, the compiled model."""

    def __init__(self, config: Config) -> None:
        from bioplastic import twin

        self.config = config
        self.circuit = belief_desire.circuit()
        self.timing = belief_desire.timing()
        self.worlds = {seed: belief_desire.world(seed) for seed in config.seeds}
        self.pretraining = twin.Pretraining(**PRETRAINING)  # type: ignore[arg-type]
        self.start: dict[int, Weights] = {}
        self.models: dict[int, spiking.Model] = {}

    def prepare(self, done: Any) -> None:
        """Train the agents and compile the model, or take them from the cache."""
        from bioplastic import twin

        for k, (seed, world) in enumerate(self.worlds.items()):
            [self.start[seed]] = twin.pretrained(
                self.circuit, world.task, [seed], self.pretraining, cache=cache_folder()
            )
            n_events = max(
                len(world.task.stimuli), *(self.config.n_events(k) for k in range(len(self.config.exposures)))
            )
            n_steps = n_events * float(self.timing.event / self.timing.resolution)
            spec = spiking.ModelSpec.with_room(self.circuit, rule(SCREENED, 0), world.task, n_steps, n_snapshots=0)
            self.models[seed] = spiking.model(spec, world.task)
            done((k + 1) / len(self.worlds))

    def choices(self, weights: Sequence[Weights], seed: int) -> np.ndarray:
        """Choice probabilities by network, stimulus and action, in rates."""
        from bioplastic import twin

        stimuli = self.worlds[seed].task.stimuli
        predicted = twin.predict(self.circuit, weights, stimuli)
        return choice(predicted[..., : belief_desire.N_ACTIONS])

    def approved(self, seed: int) -> np.ndarray:
        """Approved action of every stimulus, shape (n_stimuli,)."""
        world = self.worlds[seed]
        return np.append(world.task.label[:-1], world.action)

    def trained(self, seed: int) -> dict[str, Any]:
        """Look at a trained agent: how often it does what is approved, in rates and in spikes."""
        world, n = self.worlds[seed], belief_desire.N_ACTIONS
        life = Life(
            probes(np.arange(len(world.task.stimuli))), rule(SCREENED, 0), self.start[seed], self.timing, seed=seed
        )
        in_rates, in_spikes = self.choices([self.start[seed]], seed)[0], self.models[seed].live(life).prediction[:, :n]
        approved = self.approved(seed)
        return {
            "group": list(GROUPS),
            "weight_norm": weight_norm(self.circuit, self.start[seed]),
            "accuracy": (in_rates.argmax(1) == approved).mean(),
            "accuracy_held_out": (in_rates.argmax(1) == approved)[world.task.held_out].mean(),
            "accuracy_spikes": (in_spikes.argmax(1) == approved).mean(),
        }

    def measured(
        self, condition: Condition, real: Sequence[Weights], sham: Sequence[Weights], other: Sequence[Weights]
    ) -> dict[str, Any]:
        """Compare what a life has left behind with its sham runs.

        Parameters
        ----------
        condition : Condition
        real, sham : sequence of Weights
            After the life and its sham run, one for each set of spike phases.
        other : sequence of Weights
            The same of sham runs with other phases; without them there is no floor (NaN).
        """
        seed, start, n = condition.seed, self.start[condition.seed], len(real)
        world, approved = self.worlds[seed], self.approved(seed)
        choices = self.choices([*real, *sham, *(other or sham)], seed).reshape(3, n, len(approved), -1)
        after, without, again = choices.mean(1)
        floor = 1.0 if other else np.nan
        rows = {THE_JOKE: np.array([world.joke])} | world.situations()
        at = np.arange(len(approved)), approved

        def by_situation(per_stimulus: np.ndarray) -> np.ndarray:
            return np.array([per_stimulus[chosen].mean() for chosen in rows.values()])

        punished, punished_sham = after[world.joke, world.action], without[world.joke, world.action]
        return {
            "group": list(GROUPS),
            "situation": list(rows),
            "change": change_by_group(self.circuit, real, sham, start),
            "change_floor": floor * change_by_group(self.circuit, sham, other or sham, start),
            "behaviour_change": by_situation(differing(after, without)),
            "behaviour_floor": floor * by_situation(differing(without, again)),
            "behaviour_square": by_situation(unbiased_square(choices[0] - choices[1])),
            "behaviour_square_floor": floor * by_situation(unbiased_square(choices[1] - choices[2])),
            "approved_probability": by_situation(after[at]),
            "approved_probability_sham": by_situation(without[at]),
            "still_approved": by_situation(after.argmax(1) == approved),
            "correction": 1 - punished / punished_sham,
        }

    def live_in_spikes(self, condition: Condition) -> dict[str, Any]:
        """Live one life and its sham runs in spikes: two where the results come from."""
        seed, model = condition.seed, self.models[condition.seed]
        events = lived_events(self.worlds[seed], self.config, condition.exposure, condition.blamed, seed)
        life = Life(events, rule(condition.learner, condition.rate), self.start[seed], self.timing, seed=seed)
        sham = replace(life, schedule=events.sham())
        n = self.config.exposures[condition.exposure][-1]

        def after(one: Life, first: int = 0) -> list[Weights]:
            phases = [seed + OTHER_PHASES * k for k in range(first, first + n)]
            return [model.live(replace(one, phases=p)).weights for p in phases]

        other = after(sham, n) if condition.role == MATCHED else []
        return self.measured(condition, after(life), after(sham), other)

    def live_in_twin(self, conditions: Sequence[Condition]) -> list[dict[str, Any]]:
        """Live lives of one seed and exposure in the rate twin; one sham run each, since nothing in it is random."""
        from bioplastic import twin

        seed, lives = conditions[0].seed, []
        for c in conditions:
            events = lived_events(self.worlds[seed], self.config, c.exposure, c.blamed, seed)
            lives += [Life(s, Backprop(c.rate), self.start[seed]) for s in (events, events.sham())]
        weights = [one.weights for one in twin.live(self.circuit, self.worlds[seed].task, lives)]
        return [
            self.measured(c, [real], [sham], [sham])
            for c, real, sham in zip(conditions, weights[::2], weights[1::2], strict=True)
        ]


# ------------------------------------------------------------------------------------------ which lives


def equal_conditions(config: Config, learner: str, exposure: int, rate: float) -> list[Condition]:
    """Return the lives at a rate that all learners live at, one for each seed."""
    return [Condition(learner, exposure, CHOICE, seed, rate, EQUAL) for seed in config.seeds]


def matching_conditions(
    config: Config, learner: str, exposure: int, runs: Mapping[str, Mapping[str, Any]], n: int
) -> list[list[Condition]]:
    """Return the first lives by which the rate of each seed is found, as lists of one for each seed."""
    steps: list[list[Condition]] = []
    for k in range(n):
        rates = matched_rates(config, learner, exposure, runs, k)
        seeds = zip(config.seeds, rates, strict=True)
        steps.append([Condition(learner, exposure, CHOICE, seed, rate, f"{MATCHING}{k}") for seed, rate in seeds])
    return steps


def matched_rates(
    config: Config, learner: str, exposure: int, runs: Mapping[str, Mapping[str, Any]], n: int
) -> list[float]:
    """Return the rate at which each seed's agent corrects the joke as much as is wanted.

    Found by the lives at rates that all learners share and the first `n` of those that are there to find it.
    """
    lived = [equal_conditions(config, learner, exposure, rate) for rate in config.event_rates(exposure)]
    lived += matching_conditions(config, learner, exposure, runs, n)
    found = []
    for agent in zip(*lived, strict=True):
        rising = sorted(agent, key=lambda c: c.rate)
        corrections = np.array([runs[c.name]["correction"] for c in rising], float)
        found.append(rate_that_corrects([c.rate for c in rising], corrections, config.correction))
    return found


def matched_conditions(
    config: Config, learner: str, exposure: int, blamed: str, runs: Mapping[str, Mapping[str, Any]]
) -> list[Condition]:
    """Return the lives at that rate, one for each seed."""
    rates = matched_rates(config, learner, exposure, runs, config.n_matching)
    seeds = zip(config.seeds, rates, strict=True)
    return [Condition(learner, exposure, blamed, seed, rate, MATCHED) for seed, rate in seeds]


# ------------------------------------------------------------------------------------------ the recording


GROUP = Variable(("group",), "1", "weights, by the population that they end in", "str")
SITUATION = Variable(("situation",), "1", "situation, by what it shares with the joke", "str")
RUN_ROWS = {
    "group": GROUP,
    "situation": SITUATION,
    "change": Variable(("group",), "1", "relative change of the weights against the sham run"),
    "change_floor": Variable(("group",), "1", "the same between two sham runs (sham floor)"),
    "behaviour_change": Variable(("situation",), "1", "share of choices that differ from those after the sham run"),
    "behaviour_floor": Variable(("situation",), "1", "the same between two sham runs"),
    "behaviour_square": Variable(("situation",), "1", "squared change of the choice probabilities, free of noise"),
    "behaviour_square_floor": Variable(
        ("situation",), "1", "the same between two sham runs, which is 0 but for chance"
    ),
    "approved_probability": Variable(("situation",), "1", "probability of what is usually approved, after the life"),
    "approved_probability_sham": Variable(("situation",), "1", "the same after the sham run"),
    "still_approved": Variable(("situation",), "1", "share of stimuli at which the likeliest choice is that"),
    "correction": Variable((), "1", "fraction of the punished choice's probability that is gone"),
}
"""Variables of ``/runs/<run>`` of a life."""
START_ROWS = {
    "group": GROUP,
    "weight_norm": Variable(("group",), "1", "Euclidean norm of the trained agent's weights"),
    "accuracy": Variable((), "1", "share of situations in which the trained agent does what is approved, in rates"),
    "accuracy_held_out": Variable((), "1", "the same for pairs of evidence and drive that it was not trained on"),
    "accuracy_spikes": Variable((), "1", "the same for all, in spikes"),
}
"""Variables of ``/runs/start-s<seed>``."""
_LIFE = ("learner", "blamed", "exposure", "seed")
_EQUAL = ("learner", "exposure", "rate_index", "seed")
_AT_RATE = ", at a learning rate that all share"
ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "blamed": Variable(("blamed",), "1", "what is disapproved", "str"),
    "exposure": Variable(("exposure",), "1", "how often", "str"),
    "seed": Variable(("seed",), "1", "seed of world, network, events and spike phases", "int64"),
    "group": GROUP,
    "situation": SITUATION,
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate", "int64"),
    "rate": Variable(("exposure", "rate_index"), "1", "learning rates per event that all learners live at"),
    "learning_rate": Variable(
        ("learner", "exposure", "seed"), "1", "learning rate per event of the matched correction"
    ),
    **{
        name: Variable(_LIFE + row.dims, "1", row.long_name) for name, row in RUN_ROWS.items() if row.dtype == "float64"
    },
    "upstream_share": Variable(_LIFE, "1", "share of beliefs and desires in the relative change of all weights"),
    "value_change": Variable(_LIFE, "1", "relative change of intention, beliefs and desires, summed"),
    "upstream_share_equal": Variable(_EQUAL, "1", "share of beliefs and desires" + _AT_RATE),
    "change_equal": Variable((*_EQUAL, "group"), "1", "relative change of the weights" + _AT_RATE),
    "behaviour_change_equal": Variable((*_EQUAL, "situation"), "1", "share of choices that differ" + _AT_RATE),
    "behaviour_square_equal": Variable((*_EQUAL, "situation"), "1", "squared change of the choices" + _AT_RATE),
    "correction_equal": Variable(_EQUAL, "1", "correction of the joke" + _AT_RATE),
    "squared_share": Variable(_LIFE, "1", "share of beliefs and desires in the squared change of all weights"),
    **{k: Variable(("seed", *row.dims), "1", row.long_name) for k, row in START_ROWS.items() if row.dtype != "str"},
}
"""Variables of ``/summary``."""


def rows(name: str) -> Mapping[str, Variable]:
    """Variables of a run."""
    return START_ROWS if name.startswith("start-") else RUN_ROWS


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather all runs into labelled arrays."""
    exposures, n_seeds = range(len(config.exposures)), len(config.seeds)
    lives = [matched_conditions(config, x, e, b, runs) for x in LEARNERS for b in BLAMED for e in exposures]
    equal = [equal_conditions(config, x, e, r) for x in LEARNERS for e in exposures for r in config.event_rates(e)]

    def gathered(name: str, conditions: Sequence[Sequence[Condition]], *shape: int) -> np.ndarray:
        found = np.array([[runs[c.name][name] for c in seeds] for seeds in conditions], float)
        return found.reshape(len(LEARNERS), *shape, n_seeds, *found.shape[2:])

    first = runs[lives[0][0].name]
    values: dict[str, Any] = {
        "learner": LEARNERS,
        "blamed": BLAMED,
        "exposure": [name for name, *_ in config.exposures],
        "seed": config.seeds,
        "group": list(GROUPS),
        "situation": list(first["situation"]),
        "rate_index": range(len(config.rates)),
        "rate": [config.event_rates(e) for e in exposures],
        "learning_rate": [[matched_rates(config, x, e, runs, config.n_matching) for e in exposures] for x in LEARNERS],
    }
    for name, row in RUN_ROWS.items():
        if row.dtype == "float64":
            values[name] = gathered(name, lives, len(BLAMED), len(exposures))
    for name in ("change", "behaviour_change", "behaviour_square", "correction"):
        values[f"{name}_equal"] = gathered(name, equal, len(exposures), len(config.rates))
    values["upstream_share"] = upstream_share(values["change"])
    values["value_change"] = value_change(values["change"])
    values["upstream_share_equal"] = upstream_share(values["change_equal"])
    for name, row in START_ROWS.items():
        if row.dtype == "float64":
            values[name] = np.array([runs[f"start-s{seed}"][name] for seed in config.seeds])
    values["squared_share"] = squared_share(values["change"], values["weight_norm"])
    return {name: np.asarray(value) if ROWS[name].dtype != "str" else list(value) for name, value in values.items()}


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(belief_desire.__file__)), Path(str(chain.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=rows, config=config, sources=sources)


def keep(store: script.Store, c: Condition, values: Mapping[str, Any]) -> None:
    """Keep a finished life."""
    name, n_occurrences, fraction, _ = store.config.exposures[c.exposure]
    what = {
        "learner": c.learner,
        "role": c.role,
        "blamed": c.blamed,
        "exposure": name,
        "n_occurrences": n_occurrences,
        "event_fraction": fraction,
        "seed": c.seed,
        "learning_rate": c.rate,
    }
    store.add(c.name, values, what)


# ------------------------------------------------------------------------------------------ the run


def run(config: Config, out: Path, *, jobs: int = 2) -> Path:
    """Run the experiment, or go on with it, and return the recording's path.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.
    jobs : int
        How many lives to simulate at once.

    Returns
    -------
    Path
        `out`; the figure lies beside it.
    """
    store = opened(out, config)
    if store is None:
        return out
    bench, exposures = Bench(config), range(len(config.exposures))
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("training the agents, compiling", total=100)
        bench.prepare(lambda fraction: bar.update(row, completed=int(100 * fraction)))
        for seed in config.seeds:
            if f"start-s{seed}" not in store.runs:
                store.add(f"start-s{seed}", bench.trained(seed), {"role": "start", "seed": seed})

        def in_spikes(c: Condition) -> None:
            keep(store, c, bench.live_in_spikes(c))

        def all_lives(conditions: Sequence[Condition], label: str) -> None:
            spiking_ones = [c for c in conditions if c.learner != BACKPROP]
            script.live_missing(store, spiking_ones, in_spikes, executor=executor, bar=bar, label=label)
            batches: dict[tuple[int, int], list[Condition]] = {}
            for c in conditions:
                if c.learner == BACKPROP and c.name not in store.runs:
                    batches.setdefault((c.seed, c.exposure), []).append(c)
            beside = bar.add_task(f"{label}, backprop", total=len(batches))
            for batch in batches.values():
                for c, values in zip(batch, bench.live_in_twin(batch), strict=True):
                    keep(store, c, values)
                bar.advance(beside)

        pairs = [(x, e) for x in LEARNERS for e in exposures]
        equal = [equal_conditions(config, x, e, r) for x, e in pairs for r in config.event_rates(e)]
        all_lives([c for seeds in equal for c in seeds], "equal rates")
        for k in range(config.n_matching):
            steps = [matching_conditions(config, x, e, store.runs, k + 1)[k] for x, e in pairs]
            all_lives([c for seeds in steps for c in seeds], f"matching the correction, {k + 1} of {config.n_matching}")
        matched = [matched_conditions(config, x, e, b, store.runs) for x, e in pairs for b in BLAMED]
        all_lives([c for seeds in matched for c in seeds], "matched correction")

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        recording.write_labelled(file.create_group("summary"), ROWS, summarise(config, store.runs))

    store.finish("Where the blame goes, upstream of an action", fill)
    return out


# ------------------------------------------------------------------------------------------ tables and figure


def elsewhere(situations: Sequence[str], by_situation: np.ndarray) -> np.ndarray:
    """Mean over the situations with the same belief or the same desire, shape (..., n_situations) to (...)."""
    return by_situation[..., [list(situations).index(name) for name in ELSEWHERE]].mean(-1)


def comparisons(summary: Mapping[str, Any]) -> list[tuple[str, str, str, np.ndarray]]:
    """Differences that the argument says something about: measure, learner, exposure, and one number per seed.

    Two measures are differences of policy gradient minus the local rule, two of disapproved choice minus disapproved
    execution. What the argument expects is above 0, and for the share upstream above 0.1.
    """
    away = elsewhere(summary["situation"], summary["behaviour_square"])
    at_joke = summary["behaviour_change"][..., list(summary["situation"]).index(THE_JOKE)]
    learners, found = list(summary["learner"]), []
    for name, values in (("upstream share", summary["upstream_share"]), ("behaviour elsewhere, squared", away)):
        for i, learner in enumerate(learners):
            for e, exposure in enumerate(summary["exposure"]):
                if learner != BACKPROP:
                    less = values[learners.index(BACKPROP), 0, e] - values[i, 0, e]
                    found.append((f"{name}: backprop minus this", learner, exposure, less))
    for name, values in (("weights of values", summary["value_change"]), ("choice at the joke", at_joke)):
        for i, learner in enumerate(learners):
            for e, exposure in enumerate(summary["exposure"]):
                less = values[i, 0, e] - values[i, 1, e]
                found.append((f"{name}: choice minus execution", learner, exposure, less))
    return found


LOOKS = dict(zip(LEARNERS, plots.styles(LEARNERS), strict=True))


def figure(summary: Mapping[str, Any]) -> Figure:
    """Draw what changes, weights and behaviour, and shares by rate, and choice against execution."""
    n, n_seeds = len(summary["exposure"]), len(summary["seed"])
    groups, situations = list(summary["group"]), list(summary["situation"])
    shown = [k for k, name in enumerate(groups) if name != EXECUTION]

    def points(axes: Any, x: np.ndarray, values: np.ndarray, i: int, shift: float, **more: Any) -> None:
        look = LOOKS[LEARNERS[i]]
        low, high = reach.interval(values, axis=0)
        mean = values.mean(0)
        style = {"color": look.color, "marker": look.marker, "markersize": 3.5, "linewidth": 0.8} | more
        axes.errorbar(x + shift, mean, [mean - low, high - mean], elinewidth=0.8, **style)

    def noise(axes: Any, x: np.ndarray, values: np.ndarray, i: int, shift: float) -> None:
        if LEARNERS[i] != BACKPROP:
            axes.plot(x + shift, values.mean(0), "_", color=LOOKS[LEARNERS[i]].color, markersize=6, markeredgewidth=1.4)

    with plots.page(165) as drawn:
        grid = drawn.add_gridspec(3, 6)
        width = 6 // n
        panels = []
        for e, exposure in enumerate(summary["exposure"]):
            top, middle = (drawn.add_subplot(grid[k, e * width : (e + 1) * width]) for k in (0, 1))
            panels += [top, middle]
            for i, learner in enumerate(LEARNERS):
                change, shift = summary["change"][i, 0, e], 0.12 * (i - 1)
                for part, name in ((slice(0, 5), learner), (slice(5, 8), None)):
                    x = np.arange(len(shown))[part]
                    points(top, x, change[:, shown][:, part], i, shift, linestyle=LOOKS[learner].line, label=name)
                noise(top, np.arange(len(shown)), summary["change_floor"][i, 0, e][:, shown], i, shift)
                behaviour = summary["behaviour_change"][i, 0, e]
                points(middle, np.arange(len(situations)), behaviour, i, 1.5 * shift, linestyle="none", label=learner)
                noise(middle, np.arange(len(situations)), summary["behaviour_floor"][i, 0, e], i, 1.5 * shift)
            top.set_yscale("symlog", linthresh=1e-4)
            top.set_ylim(0, 0.3)
            top.set_xticks(
                range(len(shown)), [groups[k] for k in shown], rotation=50, ha="right", rotation_mode="anchor"
            )
            names = ["joke", "same both", *situations[2:]]
            middle.set_xticks(range(len(situations)), names, rotation=50, ha="right", rotation_mode="anchor")
            middle.set_ylim(0, 1)
            plots.heading(top, f"disapproved {exposure}")
            plots.heading(middle, f"disapproved {exposure}")
            if e == 0:
                top.set_ylabel("relative change\nof the weights (1)")
                middle.set_ylabel("share of choices\nthat change (1)")
                middle.legend(loc="upper right")
        share, by_rate, blamed = (drawn.add_subplot(grid[2, 2 * k : 2 * k + 2]) for k in range(3))
        for i, learner in enumerate(LEARNERS):
            shift, x = 0.12 * (i - 1), np.arange(n)
            points(share, x, summary["upstream_share"][i, 0].T, i, shift, linestyle="none", label=learner)
            last = summary["upstream_share_equal"][i, -1].T
            points(by_rate, summary["rate"][-1], last, i, 0, linestyle=LOOKS[learner].line)
            ratio = summary["value_change"][i, 1] / summary["value_change"][i, 0]
            points(blamed, x, ratio.T, i, shift, linestyle="none")
        share.set_ylabel("share of beliefs and\ndesires in the change (1)")
        by_rate.set_ylabel("share of beliefs and\ndesires in the change (1)")
        by_rate.set_xlabel("learning rate per event, all learners (0.001)")
        by_rate.set_xscale("log")
        by_rate.set_xticks(summary["rate"][-1], [f"{1000 * rate:.2g}" for rate in summary["rate"][-1]])
        by_rate.set_xticks([], minor=True)
        plots.heading(by_rate, f"disapproved {summary['exposure'][-1]}")
        blamed.set_ylabel("change of values:\nexecution by choice (1)")
        blamed.axhline(1, color="0.6", linewidth=0.7, linestyle=":")
        for axes in (share, blamed):
            axes.set_xticks(range(n), list(summary["exposure"]))
            axes.set_xlabel("how often disapproved")
            axes.set_xlim(-0.5, n - 0.5)
        for axes in (share, by_rate, blamed):
            axes.set_ylim(bottom=0)
        for axes, name in zip([*panels[::2], *panels[1::2], share, by_rate, blamed], "abcdefghi", strict=False):
            plots.letter(axes, name)
        plots.note(
            drawn,
            "Every agent at the learning rate that corrects its joke by the same fraction; in the panel over "
            "learning rates the same for all. Change against sham runs, dashes: between two sham runs with other spike "
            "phases; weights by the population that they end in. "
            + (
                "One seed, and therefore no interval."
                if n_seeds == 1
                else f"Mean over {n_seeds} seeds; bars: 95 % bootstrap interval over seeds."
            ),
        )
    return drawn


def rows_of(summary: Mapping[str, Any], title: str, columns: Sequence[str], cell: Callable[..., np.ndarray]) -> Table:
    """Return a table with a row for each learner and exposure; `cell` gives the seeds' values by these and column."""
    table = Table(title=title)
    for column in ("learner", "how often"):
        table.add_column(column)
    for column in columns:
        table.add_column(column, justify="right")
    for i, learner in enumerate(summary["learner"]):
        for e, exposure in enumerate(summary["exposure"]):
            cells = (str(estimate(cell(i, e, k))) for k in range(len(columns)))
            table.add_row(learner if e == 0 else "", exposure, *cells)
    return table


def by_place(summary: Mapping[str, Any], seeds: str) -> Table:
    """Return shares of all relative changes, beliefs and desires together by how far upstream they are."""
    places = ("execution", "action", "intention", "near", "middle", "far")
    change = summary["change"][:, 0]
    share = change / change.sum(-1, keepdims=True)
    at = [[k for k, name in enumerate(summary["group"]) if name.split(", ")[-1] == place] for place in places]
    title = f"Choice disapproved: share of the change by place, beliefs and desires together; {seeds}"
    return rows_of(summary, title, places, lambda i, e, k: share[i, e][:, at[k]].sum(-1))


def by_situation(summary: Mapping[str, Any], seeds: str) -> Table:
    """Return squared changes of choices in each situation."""
    title = f"Choice disapproved: squared change of choices, free of noise, times 1000; {seeds}"
    columns = [*summary["situation"], "elsewhere"]
    square = 1000 * summary["behaviour_square"][:, 0]
    away = elsewhere(summary["situation"], square)
    return rows_of(summary, title, columns, lambda i, e, k: away[i, e] if k == len(columns) - 1 else square[i, e][:, k])


def execution_by_choice(summary: Mapping[str, Any], seeds: str) -> Table:
    """Return what disapproval of the execution does, as a part of what that of the choice does."""
    value, correction = (x[:, 1] / x[:, 0] for x in (summary["value_change"], summary["correction"]))
    title = f"Execution disapproved, by choice disapproved; {seeds}"
    kinds = {"values": value, "correction of the joke": correction, "values per correction": value / correction}
    return rows_of(summary, title, list(kinds), lambda i, e, k: list(kinds.values())[k][i, e])


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], ROWS)
    console, n_seeds = script.console(), len(summary["seed"])
    seeds = f"mean over {n_seeds} seed{'s' * (n_seeds > 1)} [95 % interval]"
    trained = ", ".join(
        f"{estimate(summary[name])} {how}"
        for name, how in (
            ("accuracy", "in rates"),
            ("accuracy_held_out", "on new pairs"),
            ("accuracy_spikes", "in spikes"),
        )
    )
    console.print(f"Trained agents do what is approved in a share of {trained}.", soft_wrap=True)
    for b, what in enumerate(summary["blamed"]):
        table = Table(title=f"Disapproved: the {what}. Learning rates of equal correction; {seeds}")
        for column in ("learner", "how often"):
            table.add_column(column)
        for column in ("rate", "correction", "share upstream", "in squares", *summary["situation"][1:4]):
            table.add_column(column, justify="right")
        for i, learner in enumerate(summary["learner"]):
            for e, exposure in enumerate(summary["exposure"]):
                at = (i, b, e)
                cells = [summary[name][at] for name in ("correction", "upstream_share", "squared_share")]
                cells += list(summary["behaviour_change"][at].T[1:4])
                rate = f"{np.mean(summary['learning_rate'][i, e]):.3g}"
                table.add_row(learner if e == 0 else "", exposure, rate, *(str(estimate(x)) for x in cells))
        console.print(table)
    for table in (by_place(summary, seeds), by_situation(summary, seeds), execution_by_choice(summary, seeds)):
        console.print(table)
    table = Table(title=f"Against the claim's margins; {seeds}. Expected: above 0, upstream share above 0.1")
    for column in ("measure", "learner", "how often"):
        table.add_column(column)
    for column in ("difference", "as expected"):
        table.add_column(column, justify="right")
    for name, learner, exposure, values in comparisons(summary):
        found, margin = estimate(values), SHARE_MARGIN if name.startswith("upstream") else 0.0
        verdict = "yes" if found.low > margin else "no" if found.high < margin else "undecided"
        table.add_row(name, learner, exposure, str(found), verdict if found.n >= MIN_SEEDS else "-")
    console.print(table)
    on_edge = [
        f"{learner}, {exposure}"
        for i, learner in enumerate(summary["learner"])
        for e, exposure in enumerate(summary["exposure"])
        if np.isin(summary["learning_rate"][i, e], summary["rate"][e, [0, -1]]).any()
    ]
    if on_edge:
        console.print(f"Learning rates on the edge of those tried: {'; '.join(on_edge)}.", soft_wrap=True)
    for written in plots.save(figure(summary), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="belief_desire",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one seed, short lives, two learning rates, half a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
