"""Attention that holds what is evoked: events in which some things are known, and what a network does with its thoughts.

What is held drives the inputs of the circuit (`models/association.py`), and what then counts as what happens there is what
the rule of every day learns from, whether it comes from outside or was evoked a moment ago. A network gathers experience; then
it goes through what it knows in rounds of thought, in one of several arms:

arm                      what is held, and what counts as what happens then
-----------------------  ----------------------------------------------------------------------------------------------------
loop                     what is evoked
loop, weights frozen     the same, and nothing is learned
loop off                 the same is held, and nothing happens
loop, shuffled           what is evoked is held with others; another order alone would be no control, since the events are in
                         random order anyway
sham                     what is evoked directly, not in steps
really met               what is true, in as many events, and nothing else is known
loop beside experience   the loop, with another stretch of experience after each round
experience alone         that stretch, with the loop off

What is chosen here, and from where; circuit and timing are in `models/association.py`.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
SWING                  0.3  1       largest deviation of a pattern's rates from rest,    chosen: far from silence, and from
                                    a fraction of the maximal rate                       the maximal rate
FIRST_TUNING_SEED      100  1       networks on which learning rates are chosen          not those that give the results
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from bioplastic_models import association

from bioplastic.circuit import Circuit, Feedback, Weights, orthogonal_weights
from bioplastic.events import NO_OUTCOME, Kind, Schedule, in_rounds
from bioplastic.life import Life, Lived
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.study import Ask, Bench, Condition, Learner, Runs, conditions
from bioplastic.study.bench import Progress
from bioplastic.study.learner import per_event
from bioplastic.study.measure import Measures
from bioplastic.study.tuning import choose, scores, tried, tuning_conditions
from bioplastic.tasks import Task

SWING = 0.3
FIRST_TUNING_SEED = 100
LOOP, FROZEN, OFF, SHUFFLED = "loop", "loop, weights frozen", "loop off", "loop, shuffled"
SHAM, MET = "sham", "really met"
BESIDE, ONLY = "loop beside experience", "experience alone"
ARMS = (LOOP, FROZEN, OFF, SHUFFLED, SHAM, MET, BESIDE, ONLY)
EXPERIENCE = "experience"
"""What comes before them."""
QUIET = (OFF, ONLY)
"""Arms in which nothing that is evoked is held."""
RESULT = "result"
UNKNOWN = np.nan


# ------------------------------------------------------------------------------------------ what is lived


def held(a: np.ndarray | None = None, b: np.ndarray | None = None) -> np.ndarray:
    """Rates of both inputs, shape (n_events, 2 n_cells), while attention holds patterns at one or both of them."""
    given = a if a is not None else b
    assert given is not None
    rest = np.full_like(given, association.REST)
    return np.hstack([rest if a is None else a, rest if b is None else b])


def known(b: np.ndarray | None = None, c: np.ndarray | None = None) -> np.ndarray:
    """Rates of both error sources, shape (n_events, 2 n_cells), NaN where nothing is known."""
    given = b if b is not None else c
    assert given is not None
    nothing = np.full_like(given, UNKNOWN)
    return np.hstack([nothing if b is None else b, nothing if c is None else c])


def halves(evoked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split what the probes evoked into what B and what C predicts."""
    b, c = np.split(evoked, 2, axis=1)
    return b, c


def others(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random order in which nothing stays in its place."""
    turn = rng.permutation(n)
    order = np.empty(n, int)
    order[turn] = np.roll(turn, 1)
    return order


def repeated(n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Every row `n` times, each once before any comes again, in random order."""
    return in_rounds(np.arange(n_rows), n * n_rows, rng)


@dataclass(frozen=True)
class Session:
    """A stretch of life: events, then looks at what is evoked.

    Attributes
    ----------
    shown : array, shape (n_rows, 2 n_cells)
        What is held.
    outcome : array, shape (n_rows, 2 n_cells)
        What then counts as what happens; NaN where nothing is known.
    order : array of int, shape (n_events,)
        Rows.
    probed : array, shape (n_probes, 2 n_cells)
        What is held at the end, with no outcome.
    quiet : bool, optional
        Whether the events have no outcome.
    """

    shown: np.ndarray
    outcome: np.ndarray
    order: np.ndarray
    probed: np.ndarray
    quiet: bool = False

    @classmethod
    def taught(cls, shown: np.ndarray, outcome: np.ndarray, n: int, rng: np.random.Generator) -> Session:
        """Return a session of experience without looks: every row `n` times, in random order."""
        return cls(shown, outcome, repeated(len(shown), n, rng), np.empty((0, shown.shape[1])))

    def task(self) -> Task:
        """Return all patterns as the tables of a task."""
        stimuli = np.vstack([self.shown, self.probed])
        outcomes = np.vstack([self.outcome, np.full_like(self.probed, UNKNOWN)])
        unknown = np.isnan(outcomes)
        return Task(
            stimuli=np.clip(stimuli, 0, 1),
            outcomes=np.where(unknown, association.REST, np.clip(outcomes, 0, 1)),
            label=np.arange(len(stimuli)),
            held_out=np.zeros(len(stimuli), bool),
            rare_label=0,
            reward=1.0 - unknown,
        )

    def schedule(self) -> Schedule:
        """Return the events and probes."""
        n_events, n_probes = len(self.order), len(self.probed)
        row = np.concatenate([self.order, len(self.shown) + np.arange(n_probes)]).astype(int)
        happens = np.full(len(row), NO_OUTCOME) if self.quiet else row.copy()
        happens[n_events:] = NO_OUTCOME
        kind = np.repeat([int(Kind.BACKGROUND), int(Kind.PROBE)], [n_events, n_probes])
        return Schedule(row, happens, kind, salience=np.ones(len(row)), rest=np.zeros(len(row), int))


def looks(probed: np.ndarray) -> Session:
    """Return a session without events."""
    width = probed.shape[1]
    return Session(np.empty((0, width)), np.empty((0, width)), np.empty(0, int), probed)


# ------------------------------------------------------------------------------------------ who lives it


@dataclass(frozen=True)
class ThinkingSettings:
    """What experiments on thought have in common."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one world and one set of spike phases each."""
    n_tuning: int = 1
    """Networks on which each learner's rate is chosen, by how well it has learned what it was shown."""
    n_blocks: int = 4
    """Experience alternates so many times between two situations."""
    n_passes: int = 6
    """How often everything is shown in each block."""
    n_rounds: int = 2
    """How often thought goes through everything anew, with what is evoked by then."""
    n_repeats: int = 5
    """How often it is held in each round."""
    spiking_rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    """Learning rates of the spiking rules to choose from, per event: eta times the spikes that a cell at the maximal
    rate fires while an outcome is present. The same in experience and in thought."""
    backprop_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Those of backprop."""

    @property
    def tuning_seeds(self) -> range:
        """Networks on which learning rates are chosen."""
        return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.n_tuning)


def learners(settings: ThinkingSettings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    timing, rates = association.timing(), settings.spiking_rates
    screened, unscreened = (per_event(rule, timing) for rule in (association.screened, association.unscreened))
    return [
        Learner("error relay", screened, timing, rates, handed),
        Learner("error relay, unscreened", unscreened, timing, rates, handed),
        Learner("backprop", Backprop, timing, settings.backprop_rates),
    ]


def handed(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return the forward weights of a network that has seen nothing: its feedback for life."""
    return Feedback(weights.forward)


@dataclass
class Mind:
    """One network in one arm.

    Attributes
    ----------
    arm : str
    weights : Weights
        By now.
    rng : Generator
        Of the order of its events.
    n_sessions : int
        Lived so far, and so the seed of the next one's spike phases.
    looked : dict
        What was evoked, by weights and what was held: not looked at again where nothing has changed.
    """

    arm: str
    weights: Weights
    rng: np.random.Generator
    n_sessions: int = 0
    looked: dict[Hashable, np.ndarray] = field(default_factory=dict)

    def branch(self, arm: str, seed: int) -> Mind:
        """Return another with the same past, and a future of its own."""
        rng = np.random.default_rng([seed, 4])  # the same in all arms
        return replace(self, arm=arm, rng=rng, n_sessions=100 * (ARMS.index(arm) + 1))

    def key(self, session: Session) -> Hashable:
        """Say what is the same if looks at these weights are the same; events are never lived twice."""
        if len(session.order):
            return object()
        seen = b"".join(part.tobytes() for part in (*self.weights.forward.values(), *self.weights.bias.values()))
        return hashlib.sha256(seen + session.probed.tobytes()).digest()


Evoked = Generator[Ask, list[Lived], list[np.ndarray]]
"""Of each mind what its looks evoked at B and C, shape (n_probes, 2 n_cells)."""


class ThinkingBench(Bench):
    """What all lives share, and how networks gather experience and think.

    Parameters
    ----------
    settings : ThinkingSettings
    n_rows : int
        Most patterns of a session.
    """

    def __init__(self, settings: ThinkingSettings, n_rows: int) -> None:
        everyone, room = learners(settings), looks(np.full((n_rows, 2 * association.N_CELLS), association.REST)).task()
        timing, n_times = association.timing(), max(settings.n_passes, settings.n_repeats) + 1
        longest = n_rows * n_times * float(timing.event / timing.resolution)
        seeds = (*settings.seeds, *settings.tuning_seeds)
        super().__init__(association.circuit(), room, seeds, everyone, longest=longest)

    def starts(self, progress: Progress) -> list[Weights]:
        """Return orthogonal weights."""
        return [orthogonal_weights(self.circuit, association.SIZE, seed) for seed in self.seeds]

    def young(self, condition: Condition) -> Mind:
        """Return a network that has seen nothing."""
        seed = condition["seed"]
        return Mind(EXPERIENCE, self.start[seed], np.random.default_rng([seed, 3]))

    def branches(self, young: Mind, condition: Condition) -> list[Mind]:
        """Return it in each arm; where only the rate is chosen, there are no controls."""
        return [young.branch(arm, condition["seed"]) for arm in arms_of(condition)]

    def session(self, condition: Condition, mind: Mind, session: Session) -> Life:
        """Return a session as a life."""
        others: dict[str, Any] = {
            "rule": condition.who.rule(0.0) if mind.arm == FROZEN else condition.rule,
            "weights": mind.weights,
            "seed": 1000 * condition["seed"] + mind.n_sessions,  # spike phases of every session its own
        }
        return self.life(condition, session.schedule(), task=session.task(), **others)

    def evoked(self, condition: Condition, minds: Sequence[Mind], sessions: Sequence[Session]) -> Evoked:
        """Let each mind live its session, in a measure: ``evoked = yield from bench.evoked(...)``.

        Parameters
        ----------
        condition : Condition
        minds : sequence of Mind
            Their weights are others afterwards.
        sessions : sequence of Session
        """
        # Nothing in the twin is random, and all of its minds have to live in step.
        pairs = list(zip(minds, sessions, strict=True))
        keys = [mind.key(session) if condition.who.spikes else object() for mind, session in pairs]
        asked: dict[Hashable, tuple[Mind, Session]] = {}
        for key, (mind, session) in zip(keys, pairs, strict=True):
            if key not in mind.looked:
                asked.setdefault(key, (mind, session))
        lives = [self.session(condition, mind, session) for mind, session in asked.values()]
        lived = (yield self.ask(*lives)) if lives else []
        found: dict[Hashable, np.ndarray] = {}
        for (key, (mind, session)), one in zip(asked.items(), lived, strict=True):
            mind.weights, mind.n_sessions = one.weights, mind.n_sessions + 1
            found[key] = one.prediction[len(session.order) :]
            if not len(session.order):
                mind.looked[key] = found[key]
        return [found[key] if key in found else mind.looked[key] for key, mind in zip(keys, minds, strict=True)]

    def think(
        self,
        condition: Condition,
        minds: Sequence[Mind],
        thoughts: Sequence[Session],
        stretches: Sequence[Sequence[Session]],
    ) -> Evoked:
        """Live a round of thought, with experience after it where that goes on, in a measure.

        Parameters
        ----------
        condition : Condition
        minds : sequence of Mind
        thoughts : sequence of Session
        stretches : sequence of sequence of Session
            Each mind's experience, if it goes on.
        """
        evoked = yield from self.evoked(condition, minds, thoughts)
        more = [k for k, mind in enumerate(minds) if mind.arm in (BESIDE, ONLY)]
        if more:
            they = [minds[k] for k in more]
            for stretch in zip(*(stretches[k] for k in more), strict=True):
                yield from self.evoked(condition, they, stretch)
            again = yield from self.evoked(condition, they, [looks(thoughts[k].probed) for k in more])
            for k, e in zip(more, again, strict=True):
                evoked[k] = e
        return evoked


def arms_of(condition: Condition) -> tuple[str, ...]:
    """Return what a network does in thought; where only the rate is chosen, no controls."""
    return ARMS if condition.kind == RESULT else (LOOP,)


# ------------------------------------------------------------------------------------------ which lives, and their rates


def plan(bench: Bench, settings: ThinkingSettings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the lives that choose learning rates, none where there is one rate only, then those that give results."""
    several = [one for one in bench.learners if len(one.rates) > 1]
    yield tuning_conditions(several, settings.tuning_seeds)
    rates = rates_of(bench, runs)
    yield [
        condition
        for one in bench.learners
        for condition in conditions(RESULT, [one], rate=(rates[one.name],), seed=settings.seeds)
    ]


def rates_of(bench: Bench, runs: Runs) -> dict[str, float]:
    """Return the rate at which each learner learns best what it is shown; what it then thinks has no say."""
    return choose(bench.learners, scores(runs, bench.learners, lambda run: float(run["score"])))


def chosen(bench: Bench, runs: Runs) -> Measures:
    """Return the learners' rates, and whether they lie on the edge of those tried, for a summary."""
    rates = rates_of(bench, runs)
    edge = [len(one.rates) > 1 and rates[one.name] in (one.rates[0], one.rates[-1]) for one in bench.learners]
    return {
        "learning_rate": labelled("learner", [rates[one.name] for one in bench.learners], "learning rate per event"),
        "rate_at_edge": labelled("learner", edge, "whether the rate lies on the edge of those tried"),
    }


def sweep(bench: Bench, settings: ThinkingSettings, runs: Runs, others: Measures) -> xr.Dataset:
    """Return what was tried to choose the rates, and how well it has learned what it was shown, with other measures."""
    score = tried(runs, bench.learners, settings.tuning_seeds, lambda run: run["score"].values)
    rate = np.full(score.shape[:2], np.nan)
    for row, one in zip(rate, bench.learners, strict=True):
        row[: len(one.rates)] = one.rates
    found = {
        "rate": labelled(("learner", "rate_index"), rate, "learning rate per event that was tried"),
        "score": labelled(("learner", "rate_index", "tuning_seed"), score, "how well it has learned what it was shown"),
    }
    coordinates = {
        "learner": labelled("learner", [one.name for one in bench.learners], "learner"),
        "rate_index": labelled("rate_index", np.arange(score.shape[1]), "index of the learning rate that was tried"),
        "tuning_seed": labelled("tuning_seed", list(settings.tuning_seeds), "seed of the network"),
    }
    return xr.Dataset(found | others, coordinates)


def axes(condition: Condition, settings: ThinkingSettings) -> dict[str, xr.Variable]:
    """Label the arms and rounds of a condition."""
    return {
        "arm": labelled("arm", list(arms_of(condition)), "what the network did after its experience"),
        "round": labelled("round", np.arange(settings.n_rounds + 1), "rounds of thought gone through"),
    }


# ------------------------------------------------------------------------------------------ what is shown


def after_each(summary: xr.Dataset) -> xr.Dataset:
    """Return what was measured after experience, and after the last round of thought in every arm, along `arm`."""
    before = summary.isel(arm=[0], round=0).assign_coords(arm=[EXPERIENCE])
    return xr.concat([before, summary.isel(round=-1)], "arm", data_vars="minimal", coords="minimal", compat="override")


def of_rate(recording: Recording, learner: str) -> str:
    """Say which rate a learner had, and how well it has learned at each that was tried."""
    summary, tried_out = recording.summary.sel(learner=learner), recording["learning_rate_sweep"].sel(learner=learner)
    score = tried_out["score"].mean("tuning_seed").values
    pairs = zip(tried_out["rate"].values, score, strict=True)
    said = ", ".join(f"{rate:g}: {score:.3f}" for rate, score in pairs if np.isfinite(score))
    edge = ", on the edge of those tried" if summary["rate_at_edge"] else ""
    return f"  rate {float(summary['learning_rate']):g}{edge}{f' (rate: learned {said})' * bool(said)}"
