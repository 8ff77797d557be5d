"""Thinking as learning: attention holds what one association evokes, and the rule of every day runs on it.

Question
    A goes with B, B goes with C; A and C never meet in experience. Attention holds A, lets it evoke B, holds that and
    lets it evoke C, with nothing coming from the senses, and while A is held again that C counts as its outcome. Do
    A's direct prediction of C and the one through B come to agree, also on pairs never rehearsed? And in a series of
    items of which only neighbours were compared: what does thinking along the series do to comparisons that were never
    made, by their distance in the series? For two local spiking rules and backprop, each with what it evokes itself;
    with weights frozen, attention off, what is evoked going to others, a sham, and the pairs really met.
Source
    Circuit and rules: models/association.py. Symbolic distance effect: Moyer and Landauer (1967),
    doi:10.1038/2151519a0; transitive inference in monkeys: McGonigle and Chalmers (1977), doi:10.1038/267694a0. The
    criterion: docs/claims.md, 10.
Command
    python scripts/coherence.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 4 minutes, --quick half a minute, and half a minute to compile. It may be interrupted and goes
    on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import copy
import hashlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bioplastic_models import association
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cells import CellParameters
from bioplastic.circuit import Feedback, Weights
from bioplastic.claims.criterion import MIN_SEEDS, SHARE_MARGIN
from bioplastic.compiled.run import end_programs
from bioplastic.events import NO_OUTCOME, Kind, Schedule, Timing
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.statistics import estimate
from bioplastic.tasks import OUTCOME_RANGE, Task

SCHEMA = "bioplastic coherence"
RESULT, TUNING = "result", "tuning"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
PAIRS, SERIES = "pairs", "series"
PARTS = (PAIRS, SERIES)
GROUPS = ("rehearsed", "not rehearsed", "new")
"""Concepts gone through in thought; learned but not gone through; of which nothing was ever shown."""
LOOP, FROZEN, OFF, SHUFFLED = "loop", "loop, weights frozen", "loop off", "loop, shuffled"
SHAM, MET = "sham", "really met"
BESIDE, ONLY = "loop beside experience", "experience alone"
ARMS = (LOOP, FROZEN, OFF, SHUFFLED, SHAM, MET, BESIDE, ONLY)
"""What a network does after its experience. Shuffled: what is evoked is held with others; another order alone would be
no control, since the events are in random order anyway. Sham: what A evokes at C directly is held, not what it does
through B. Really met: as many events, in which what is true is the outcome, and nothing else is known. The last two
have another stretch of experience after each round, with the loop and without."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    seeds : tuple of int
        One network, one world and one set of spike phases each.
    n_tuning : int
        Networks on which each learner's rate is chosen, by how well it has learned what it was shown.
    n_factors : int
        Numbers that describe a concept; its patterns at A, B and C are three random functions of them.
    n_rehearsed, n_known, n_new : int
        Concepts gone through in thought; learned, but not gone through; never shown.
    n_items : int
        Length of the series.
    swing : float
        Largest deviation of a pattern's rates from rest, as a fraction of the maximal rate.
    n_blocks : int
        Experience alternates so many times between the two situations.
    n_passes, n_passes_series : int
        How often everything is shown in each block.
    n_rounds : int
        How often thought goes through everything anew, with what is evoked by then.
    n_repeats, n_repeats_series : int
        How often it is held in each round.
    spiking_rates, backprop_rates : tuple of float
        Learning rates to choose from, per event: for the spiking rules eta times the spikes that a cell at the maximal
        rate fires while an outcome is present. The same in experience and in thought.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n_tuning: int = 1
    n_factors: int = 4
    n_rehearsed: int = 24
    n_known: int = 12
    n_new: int = 12
    n_items: int = 7
    swing: float = 0.3
    n_blocks: int = 4
    n_passes: int = 6
    n_passes_series: int = 12
    n_rounds: int = 2
    n_repeats: int = 5
    n_repeats_series: int = 3
    spiking_rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    backprop_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)


QUICK = Config(
    seeds=(0,),
    n_tuning=1,
    n_blocks=2,
    n_passes=3,
    n_passes_series=3,
    n_rounds=1,
    n_repeats=2,
    n_repeats_series=2,
    spiking_rates=(0.1,),
    backprop_rates=(0.1,),
)


# ------------------------------------------------------------------------------------------ the measures


def agreement(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two sets of patterns over items and cells, of what tells the items apart.

    Each cell's mean over the items is taken away first: without that, patterns that have nothing in common but which
    cells fire more than others on the whole would agree.

    Parameters
    ----------
    x, y : array, shape (n_items, n_cells)

    Returns
    -------
    float
        NaN if either does not differ between items.
    """
    return plain_agreement(x - x.mean(0), y - y.mean(0))


def plain_agreement(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two sets of patterns (item, cell) over items and cells as they are; NaN if either is constant."""
    if x.shape != y.shape:
        raise ValueError(
            f"patterns of shapes {x.shape} and {y.shape} cannot be compared; give one row per item in both."
        )
    u, v = (x - x.mean()).ravel(), (y - y.mean()).ravel()
    size = np.sqrt((u @ u) * (v @ v))
    return float(u @ v / size) if size > 1e-12 else float("nan")


def distance_slope(margin: np.ndarray, *, inner: bool = False) -> float:
    """Least-squares slope of the margin over the distance in the series, among pairs that are no neighbours.

    Parameters
    ----------
    margin : array, shape (n_items, n_items)
        Of each ordered pair; the diagonal is not looked at.
    inner : bool, optional
        Leave out the first and the last item, of which one always wins and one always loses.

    Returns
    -------
    float
        Per step of distance; above 0 is the symbolic distance effect.

    Raises
    ------
    ValueError
        There are not two distances.
    """
    if inner:
        margin = margin[1:-1, 1:-1]
    first, second = np.indices(margin.shape)
    distance = np.abs(first - second)
    if distance.max() < 3:
        kept = "inner " * inner
        raise ValueError(f"{len(margin)} {kept}items have fewer than two distances beyond neighbours; give at least 4.")
    far = distance >= 2
    d = distance[far] - distance[far].mean()
    return float(d @ margin[far] / (d @ d))


def by_distance(values: np.ndarray) -> np.ndarray:
    """Mean over the ordered pairs at each distance from 1, of values (..., first, second); shape (..., n_items - 1)."""
    first, second = np.indices(values.shape[-2:])
    return np.stack([values[..., np.abs(first - second) == d].mean(-1) for d in range(1, values.shape[-1])], axis=-1)


def margins(answer: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How clearly the right answer is given: 1 as taught, 0 undecided, below 0 wrong.

    Parameters
    ----------
    answer : array, shape (n_pairs, n_cells)
        Rates; the first half of the cells say that the first item comes first in the series.
    first, second : array of int, shape (n_pairs,)
        Places of the items in the series.
    """
    half = answer.shape[1] // 2
    says = answer[:, :half].mean(1) - answer[:, half:].mean(1)
    return np.sign(second - first) * says / (OUTCOME_RANGE[1] - OUTCOME_RANGE[0])


def nearest(patterns: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Index of the item (n_items, n_cells) that each pattern (n_patterns, n_cells) is nearest to."""
    return np.argmin(((patterns[:, None] - items[None]) ** 2).sum(-1), axis=1)


def by_step(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Mean of values (..., n) over all that are at step 1 (n,), at step 2, and so on; shape (n_steps,)."""
    return np.array([values[..., step == s].mean() for s in range(1, int(step.max()) + 1)])


# ------------------------------------------------------------------------------------------ the worlds


@dataclass(frozen=True)
class Concepts:
    """Patterns of the same concepts in three places, each of shape (n_concepts, n_cells), in the order of `GROUPS`."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    @classmethod
    def draw(cls, config: Config, seed: int) -> Concepts:
        """Draw concepts of a few factors, and what each place makes of them."""
        rng = np.random.default_rng([seed, 1])
        factors = rng.standard_normal((config.n_rehearsed + config.n_known + config.n_new, config.n_factors))
        shape = config.n_factors, association.N_CELLS
        seen = [rng.standard_normal(shape) / np.sqrt(config.n_factors) for _ in range(3)]
        return cls(*(association.REST + config.swing * np.tanh(factors @ m) for m in seen))


def members(config: Config) -> dict[str, slice]:
    """Where the concepts of each group lie."""
    ends = np.cumsum([config.n_rehearsed, config.n_known, config.n_new])
    return {g: slice(int(b - n), int(b)) for g, b, n in zip(GROUPS, ends, np.diff(ends, prepend=0), strict=True)}


def series(config: Config, seed: int) -> np.ndarray:
    """Draw the items of a series, shape (n_items, n_cells): they have nothing in common."""
    rng = np.random.default_rng([seed, 2])
    return association.REST + config.swing * rng.choice([-1.0, 1.0], (config.n_items, association.N_CELLS))


def answers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what a comparison of places in the series is taught, shape (n_pairs, n_cells)."""
    low, high = OUTCOME_RANGE
    row = np.repeat([high, low], association.N_CELLS // 2)
    return np.where((first < second)[:, None], row, row[::-1])


def ordered_pairs(n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of both items of every ordered pair of different ones, by the first, then by the second."""
    first, second = np.nonzero(~np.eye(n_items, dtype=bool))
    return first, second


# ------------------------------------------------------------------------------------------ sessions

UNKNOWN = np.nan


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

    def task(self, n_rows: int) -> Task:
        """Return all patterns as the tables of a task, padded to `n_rows`."""
        stimuli = np.vstack([self.shown, self.probed])
        outcomes = np.vstack([self.outcome, np.full_like(self.probed, UNKNOWN)])
        padding = ((0, n_rows - len(stimuli)), (0, 0))
        stimuli = np.pad(stimuli, padding, constant_values=association.REST)
        outcomes = np.pad(outcomes, padding, constant_values=UNKNOWN)
        unknown = np.isnan(outcomes)
        return Task(
            stimuli=np.clip(stimuli, 0, 1),
            outcomes=np.where(unknown, association.REST, np.clip(outcomes, 0, 1)),
            label=np.arange(n_rows),
            held_out=np.zeros(n_rows, bool),
            rare_label=0,
            reward=1.0 - unknown,
        )

    def schedule(self, first_row: int = 0) -> Schedule:
        """Return the events and probes, if the tables begin at `first_row` of larger ones."""
        n_events, n_probes = len(self.order), len(self.probed)
        n = n_events + n_probes
        row = first_row + np.concatenate([self.order, len(self.shown) + np.arange(n_probes)]).astype(int)
        happens = np.full(n, NO_OUTCOME) if self.quiet else row.copy()
        happens[n_events:] = NO_OUTCOME
        kind = np.repeat([int(Kind.BACKGROUND), int(Kind.PROBE)], [n_events, n_probes])
        return Schedule(stimulus=row, outcome=happens, kind=kind, salience=np.ones(n), rest=np.zeros(n, int))


def looks(probed: np.ndarray) -> Session:
    """Return a session without events."""
    width = probed.shape[1]
    return Session(np.empty((0, width)), np.empty((0, width)), np.empty(0, int), probed)


def repeated(n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Every row `n` times, each once before any comes again, in random order."""
    return np.concatenate([rng.permutation(n_rows) for _ in range(n)])


# ------------------------------------------------------------------------------------------ the learners


@dataclass(frozen=True)
class Learner:
    """One way to learn."""

    name: str
    make: Callable[[float], Any] | None = None

    @property
    def spikes(self) -> bool:
        """Whether it is a spiking rule."""
        return self.make is not None

    def rates(self, config: Config) -> tuple[float, ...]:
        """Learning rates to choose from."""
        return config.spiking_rates if self.spikes else config.backprop_rates

    def rule(self, rate: float) -> Any:
        """Return the rule at a learning rate per event."""
        if self.make is None:
            return Backprop(rate)
        return self.make(rate / float(CellParameters().rmax * association.OUTCOME))


RELAY = Learner("error relay", association.screened)
UNSCREENED = Learner("error relay, unscreened", association.unscreened)
BACKPROP = Learner("backprop")
LEARNERS = (RELAY, UNSCREENED, BACKPROP)


@dataclass(frozen=True)
class Condition:
    """One network's experience, and all that it then does in thought."""

    learner: Learner
    part: str
    seed: int
    rate: float
    role: str = RESULT

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        rate = f"-rate{self.rate:g}" if self.role == TUNING else ""
        return f"{self.role}-{self.part}-{self.learner.name.replace(', ', '_').replace(' ', '_')}-s{self.seed}{rate}"

    @property
    def arms(self) -> tuple[str, ...]:
        """What it does in thought; where only the rate is chosen, no controls."""
        return ARMS if self.role == RESULT else (LOOP,)


@dataclass
class Mind:
    """One network in one arm."""

    condition: Condition
    arm: str
    weights: Weights
    feedback: Feedback
    rng: np.random.Generator
    n_sessions: int = 0
    looked: dict[bytes, np.ndarray] = field(default_factory=dict)
    """What was evoked, by weights and what was held: not looked at again where nothing has changed."""

    def branch(self, arm: str, k: int) -> Mind:
        """Return another with the same past, and a future of its own."""
        rng = np.random.default_rng([self.condition.seed, 4])  # the same in all arms
        return replace(self, arm=arm, rng=rng, n_sessions=100 * (k + 1))


class Bench:
    """What all lives share: the circuit and the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.circuit = association.circuit()
        self.model: spiking.Model | None = None
        self.stopped = threading.Event()
        walked = config.n_items * (config.n_items - 1)
        everyone = config.n_rehearsed + config.n_known + config.n_new
        self.n_rows = max(2 * config.n_rehearsed + 2 * everyone, 3 * walked)

    def compile(self) -> None:
        """Compile the model, or take it from the cache; both spiking rules have the same equations."""
        config = self.config
        n_passes = max(config.n_passes, config.n_passes_series, config.n_repeats, config.n_repeats_series)
        n_steps = self.n_rows * (n_passes + 1) * float(association.timing().event / Timing().resolution)
        task = looks(held(np.full((1, association.N_CELLS), association.REST))).task(self.n_rows)
        size = max(2**15, 2 ** int(np.ceil(np.log2(n_steps + 2))))  # of few sizes, so that few are compiled
        spec = spiking.ModelSpec(
            self.circuit, association.screened(), self.n_rows, self.n_rows, n_steps=size, n_snapshots=0
        )
        self.model = spiking.model(spec, task)

    def start(self, condition: Condition) -> Mind:
        """Return a network that has seen nothing."""
        weights = association.start_weights(self.circuit, condition.seed)
        rng = np.random.default_rng([condition.seed, 3])
        return Mind(condition, "experience", weights, Feedback(weights.forward), rng)

    def live(self, minds: Sequence[Mind], sessions: Sequence[Session]) -> list[np.ndarray]:
        """Let each live its session; returns what the probes evoked at B and C, shape (n_probes, 2 n_cells)."""
        if self.stopped.is_set():
            raise KeyboardInterrupt
        if minds[0].condition.learner.spikes:
            return [self._live_in_spikes(mind, session) for mind, session in zip(minds, sessions, strict=True)]
        return self._live_in_twin(minds, sessions)

    def _rule(self, mind: Mind) -> Any:
        return mind.condition.learner.rule(0.0 if mind.arm == FROZEN else mind.condition.rate)

    def _live_in_spikes(self, mind: Mind, session: Session) -> np.ndarray:
        assert self.model is not None
        seen = b"".join(part.tobytes() for part in (*mind.weights.forward.values(), *mind.weights.bias.values()))
        looked = hashlib.sha256(seen + session.probed.tobytes()).digest()
        if not len(session.order) and looked in mind.looked:
            return mind.looked[looked]
        model = copy.copy(self.model)  # the program is the same, only its tables are others
        model.task = session.task(self.n_rows)
        phases = 1000 * mind.condition.seed + mind.n_sessions  # of every session its own
        schedule = session.schedule()
        lived = model.live(
            Life(schedule, self._rule(mind), mind.weights, association.timing(), mind.feedback, seed=phases)
        )
        mind.weights, mind.n_sessions = lived.weights, mind.n_sessions + 1
        evoked = lived.prediction[len(session.order) :]
        if not len(session.order):
            mind.looked[looked] = evoked
        return evoked

    def _live_in_twin(self, minds: Sequence[Mind], sessions: Sequence[Session]) -> list[np.ndarray]:
        from bioplastic import twin

        tasks = [session.task(len(session.shown) + len(session.probed)) for session in sessions]
        first = np.cumsum([0, *(len(task.stimuli) for task in tasks)])
        joined = Task(
            stimuli=np.concatenate([task.stimuli for task in tasks]),
            outcomes=np.concatenate([task.outcomes for task in tasks]),
            label=np.arange(first[-1]),
            held_out=np.zeros(first[-1], bool),
            rare_label=0,
            reward=np.concatenate([task.reward for task in tasks if task.reward is not None]),
        )
        lives = [
            Life(session.schedule(int(k)), self._rule(mind), mind.weights)
            for mind, session, k in zip(minds, sessions, first, strict=False)
        ]
        found = twin.live(self.circuit, joined, lives)
        for mind, lived in zip(minds, found, strict=True):
            mind.weights = lived.weights
        return [lived.prediction[len(session.order) :] for session, lived in zip(sessions, found, strict=True)]


def branches(young: Sequence[Mind]) -> tuple[list[Mind], list[int]]:
    """Return every mind in each of its arms, and whose each is."""
    pairs_of = [(k, arm) for k, mind in enumerate(young) for arm in mind.condition.arms]
    return [young[k].branch(arm, ARMS.index(arm)) for k, arm in pairs_of], [k for k, _ in pairs_of]


def think(
    bench: Bench,
    minds: Sequence[Mind],
    thoughts: Sequence[Session],
    stretches: Sequence[Sequence[Session]],
) -> list[np.ndarray]:
    """Live a round of thought, with experience after it where that goes on; returns what the probes evoke then."""
    evoked = bench.live(minds, thoughts)
    more = [k for k, mind in enumerate(minds) if mind.arm in (BESIDE, ONLY)]
    if more:
        for stretch in stretches:
            bench.live([minds[k] for k in more], [stretch[k] for k in more])
        again = bench.live([minds[k] for k in more], [looks(thoughts[k].probed) for k in more])
        for k, e in zip(more, again, strict=True):
            evoked[k] = e
    return evoked


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


QUIET = (OFF, ONLY)
"""Arms in which nothing that is evoked is held."""


# ------------------------------------------------------------------------------------------ part one: pairs


@dataclass(frozen=True)
class PairsRun:
    """What is recorded of a network that learned A-B and B-C.

    Attributes
    ----------
    agreement, agreement_plain : array, shape (n_arms, n_groups, n_rounds + 1)
        Of C as A evokes it directly and as it does through B.
    direct, through, first, second : arrays of the same shape
        Agreement with what is true: of C as A evokes it directly, and through B; of B as A evokes it, of C as B does.
    score : float
        Mean of the last two over the concepts that were shown, at the end of experience.
    """

    agreement: np.ndarray
    agreement_plain: np.ndarray
    direct: np.ndarray
    through: np.ndarray
    first: np.ndarray
    second: np.ndarray
    score: float


def score_of_pairs(world: Concepts, at_b: np.ndarray, at_c: np.ndarray, shown: slice) -> float:
    """How well was learned what was shown: agreement of B as A evokes it, and of C as B does, with what is true; mean.

    Parameters
    ----------
    world : Concepts
    at_b, at_c : array, shape (n_concepts, n_cells)
        What each A has evoked at B, and what each B, as it is, has evoked at C.
    shown : slice
        Concepts.
    """
    return float(np.mean([agreement(at_b[shown], world.b[shown]), agreement(at_c[shown], world.c[shown])]))


def experience_pairs(config: Config, minds: Sequence[Mind], worlds: Sequence[Concepts]) -> list[list[Session]]:
    """Return a stretch in which A goes with B, and one in which B goes with C, each of all minds."""
    shown = slice(0, config.n_rehearsed + config.n_known)
    stretches: list[list[Session]] = [[], []]
    for mind, world in zip(minds, worlds, strict=True):
        a, b, c = world.a[shown], world.b[shown], world.c[shown]
        for stretch, what in zip(stretches, ((held(a=a), known(b=b)), (held(b=b), known(c=c))), strict=True):
            stretch.append(Session(*what, repeated(len(a), config.n_passes, mind.rng), np.empty((0, 2 * a.shape[1]))))
    return stretches


def pairs(bench: Bench, conditions: Sequence[Condition]) -> list[PairsRun]:
    """Live the first part, for networks of one learner."""
    config, groups = bench.config, members(bench.config)
    worlds = [Concepts.draw(config, c.seed) for c in conditions]
    young = [bench.start(c) for c in conditions]
    for _ in range(config.n_blocks):
        for stretch in experience_pairs(config, young, worlds):
            bench.live(young, stretch)
    minds, owner = branches(young)
    world = [worlds[k] for k in owner]
    evoked = bench.live(minds, [looks(held(a=w.a)) for w in world])
    shape = len(minds), len(GROUPS), config.n_rounds + 1
    found = {name: np.full(shape, np.nan) for name in PairsRun.__annotations__ if name != "score"}
    scores = np.full(len(minds), np.nan)
    for look in range(config.n_rounds + 1):
        at_b = [halves(e)[0] for e in evoked]
        direct = [halves(e)[1] for e in evoked]
        seconds = bench.live(minds, [looks(held(b=np.vstack([b, w.b]))) for b, w in zip(at_b, world, strict=True)])
        through, second = zip(*(np.split(halves(e)[1], 2) for e in seconds), strict=True)
        for k, w in enumerate(world):
            for g, where in enumerate(groups.values()):
                d, t = direct[k][where], through[k][where]
                found["agreement"][k, g, look] = agreement(d, t)
                found["agreement_plain"][k, g, look] = plain_agreement(d, t)
                found["direct"][k, g, look] = agreement(d, w.c[where])
                found["through"][k, g, look] = agreement(t, w.c[where])
                found["first"][k, g, look] = agreement(at_b[k][where], w.b[where])
                found["second"][k, g, look] = agreement(second[k][where], w.c[where])
            if look == 0:
                shown = slice(0, config.n_rehearsed + config.n_known)
                scores[k] = score_of_pairs(w, at_b[k], second[k], shown)
        if look < config.n_rounds:
            here = groups["rehearsed"]
            thoughts = [
                pair_thoughts(config, mind, w, b=b[here], through=t[here], direct=d[here])
                for mind, w, b, t, d in zip(minds, world, at_b, through, direct, strict=True)
            ]
            evoked = think(bench, minds, thoughts, experience_pairs(config, minds, world))
    return [
        PairsRun(**{n: v[np.equal(owner, k)] for n, v in found.items()}, score=float(scores[owner.index(k)]))
        for k in range(len(conditions))
    ]


def pair_thoughts(
    config: Config, mind: Mind, world: Concepts, *, b: np.ndarray, through: np.ndarray, direct: np.ndarray
) -> Session:
    """Return a round of thought over the concepts that are rehearsed, and looks at what A evokes, of all concepts.

    A is held, and what it has evoked at B, and through that at C, counts as what happens there; what it has evoked at B
    is held, and what that has evoked at C counts as what happens there.

    Parameters
    ----------
    config : Config
    mind : Mind
    world : Concepts
    b, through, direct : array, shape (n_rehearsed, n_cells)
        What each A has evoked at B, and at C through that and directly.
    """
    n = len(b)
    order = repeated(2 * n, config.n_repeats, mind.rng)
    exchanged = others(n, mind.rng)
    c = {SHUFFLED: through[exchanged], SHAM: direct}.get(mind.arm, through)
    first, second = known(b=b, c=c), known(c=through)
    if mind.arm == MET:
        first, second = known(c=world.c[:n]), known(c=np.full_like(c, UNKNOWN))
    shown = np.vstack([held(a=world.a[:n]), held(b=b)])
    return Session(shown, np.vstack([first, second]), order, held(a=world.a), mind.arm in QUIET)


# ------------------------------------------------------------------------------------------ part two: a series


@dataclass(frozen=True)
class SeriesRun:
    """What is recorded of a network that learned neighbours in a series.

    Attributes
    ----------
    margin : array, shape (n_arms, n_rounds + 1, n_items, n_items)
        Of the comparison of each ordered pair; NaN on the diagonal.
    walk : array, shape (n_arms, n_rounds + 1, n_items - 1)
        Fraction of walks that are at the right item after so many steps.
    thought : array, shape (n_arms, n_rounds + 1, n_items - 1)
        Fraction of pairs, by distance, that a walk from one to the other, and the comparison with which it began, get
        right: the answer of a network that is given time to think.
    score : float
        Agreement of what neighbours evoke, as next item and as answer, with what was taught, at the end of experience.
    """

    margin: np.ndarray
    walk: np.ndarray
    thought: np.ndarray
    score: float


def experience_series(config: Config, minds: Sequence[Mind], worlds: Sequence[np.ndarray]) -> list[list[Session]]:
    """Return a stretch in which items follow each other, and one in which neighbours are compared, of all minds."""
    before = np.arange(config.n_items - 1)
    first, second = np.concatenate([before, before + 1]), np.concatenate([before + 1, before])
    stretches: list[list[Session]] = [[], []]
    for mind, x in zip(minds, worlds, strict=True):
        follows = held(a=x[before]), known(b=x[before + 1])
        compares = held(x[first], x[second]), known(c=answers(first, second))
        for stretch, what in zip(stretches, (follows, compares), strict=True):
            order = repeated(len(what[0]), config.n_passes_series, mind.rng)
            stretch.append(Session(*what, order, np.empty((0, 2 * x.shape[1]))))
    return stretches


@dataclass(frozen=True)
class Walk:
    """What is evoked step by step, beginning from each item but the last.

    Attributes
    ----------
    start : array of int, shape (n,)
        Place in the series from which each was reached.
    step : array of int, shape (n,)
        After how many steps, from 1.
    pattern : array, shape (n, n_cells)
    before : array, shape (n, n_cells)
        What evoked it.
    """

    start: np.ndarray
    step: np.ndarray
    pattern: np.ndarray
    before: np.ndarray


def walks(bench: Bench, minds: Sequence[Mind], worlds: Sequence[np.ndarray]) -> list[Walk]:
    """Let attention hold each item, then what that evokes, and so on to the end of the series."""
    n_items = bench.config.n_items
    at = [x[:-1] for x in worlds]
    rows: list[list[tuple[np.ndarray, ...]]] = [[] for _ in minds]
    for step in range(1, n_items):
        starts = np.arange(n_items - step)
        evoked = bench.live(minds, [looks(held(a=p)) for p in at])
        for k, e in enumerate(evoked):
            y = halves(e)[0]
            rows[k].append((starts, np.full(len(starts), step), y, at[k]))
            at[k] = y[:-1]  # the one that began last has reached the last item
    return [Walk(*(np.concatenate(column) for column in zip(*row, strict=True))) for row in rows]


def arrived(walk: Walk, x: np.ndarray) -> np.ndarray:
    """Whether each pattern of a walk is nearest to the item at which the walk should be, shape (n,)."""
    return nearest(walk.pattern, x) == walk.start + walk.step


def thought_through(walk: Walk, x: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Whether a walk is at the right item, and the comparison with which it began was right.

    Parameters
    ----------
    walk : Walk
    x : array, shape (n_items, n_cells)
    answer : array, shape (2 n, n_cells)
        What was evoked with the item from which a walk began held first and each of the walk's patterns second, then
        the other way round.

    Returns
    -------
    array of bool, shape (2, n)
        In both orders.
    """
    begins = walk.step == 1
    one, next_one = walk.start[begins], walk.start[begins] + 1
    said = np.concatenate([half[begins] for half in np.split(answer, 2)])
    sure = margins(said, np.concatenate([one, next_one]), np.concatenate([next_one, one])) > 0
    return np.asarray(arrived(walk, x)[None] & sure.reshape(2, -1)[:, walk.start])


def score_of_series(x: np.ndarray, follows: np.ndarray, says: np.ndarray) -> float:
    """How well was learned what was shown: agreement of the next item and of the answer with what was taught; mean.

    Parameters
    ----------
    x : array, shape (n_items, n_cells)
    follows : array, shape (n_items - 1, n_cells)
        What each item but the last has evoked as the next.
    says : array, shape (n_pairs, n_cells)
        What every ordered pair has evoked as the answer; only those of neighbours are looked at.
    """
    first, second = ordered_pairs(len(x))
    near = np.abs(first - second) == 1
    return float(np.mean([agreement(follows, x[1:]), agreement(says[near], answers(first[near], second[near]))]))


def compared(x: np.ndarray) -> np.ndarray:
    """Every ordered pair of items, held at both inputs."""
    first, second = ordered_pairs(len(x))
    return held(x[first], x[second])


def series_thoughts(config: Config, mind: Mind, x: np.ndarray, walk: Walk, answer: np.ndarray) -> Session:
    """Return a round of thought along the walks.

    An item is held with each pattern that a walk from it has come to, on either side, and what the first step of that
    walk has evoked as answer counts as the answer (in the sham: what the pair itself has). What evoked a pattern on a
    walk is held, and the pattern counts as what happens.
    """
    n = len(walk.start)
    here, there = x[walk.start], walk.pattern
    begun = walk.start  # the pairs of the first step come first, by their start
    told = answer if mind.arm == SHAM else np.vstack([answer[:n][begun], answer[n:][begun]])
    if mind.arm == MET:
        end = walk.start + walk.step
        there = x[end]
        told = answers(np.concatenate([walk.start, end]), np.concatenate([end, walk.start]))
    exchanged = others(len(told), mind.rng)
    if mind.arm == SHUFFLED:
        told = told[exchanged]
    shown = np.vstack([held(here, there), held(there, here), held(a=walk.before)])
    follows = known(b=np.full_like(walk.pattern, UNKNOWN) if mind.arm == MET else walk.pattern)
    order = repeated(3 * n, config.n_repeats_series, mind.rng)
    return Session(shown, np.vstack([known(c=told), follows]), order, compared(x), mind.arm in QUIET)


def in_series(bench: Bench, conditions: Sequence[Condition]) -> list[SeriesRun]:
    """Live the second part, for networks of one learner."""
    config = bench.config
    n = config.n_items
    worlds = [series(config, c.seed) for c in conditions]
    young = [bench.start(c) for c in conditions]
    for _ in range(config.n_blocks):
        for stretch in experience_series(config, young, worlds):
            bench.live(young, stretch)
    minds, owner = branches(young)
    world = [worlds[k] for k in owner]
    first, second = ordered_pairs(n)
    n_looks = config.n_rounds + 1
    margin = np.full((len(minds), n_looks, n, n), np.nan)
    there, thought = np.full((2, len(minds), n_looks, n - 1), np.nan)
    scores = np.full(len(minds), np.nan)
    judged = bench.live(minds, [looks(compared(x)) for x in world])
    for look in range(n_looks):
        walked = walks(bench, minds, world)
        met_on_walks = [
            looks(np.vstack([held(x[w.start], w.pattern), held(w.pattern, x[w.start])]))
            for x, w in zip(world, walked, strict=True)
        ]
        answer = [halves(e)[1] for e in bench.live(minds, met_on_walks)]
        for k, (x, walk) in enumerate(zip(world, walked, strict=True)):
            says = halves(judged[k])[1]
            margin[k, look][first, second] = margins(says, first, second)
            there[k, look] = by_step(arrived(walk, x), walk.step)
            thought[k, look] = by_step(thought_through(walk, x, answer[k]), walk.step)
            if look == 0:
                scores[k] = score_of_series(x, walk.pattern[walk.step == 1], says)
        if look < config.n_rounds:
            thoughts = [series_thoughts(config, *each) for each in zip(minds, world, walked, answer, strict=True)]
            judged = think(bench, minds, thoughts, experience_series(config, minds, world))
    return [
        SeriesRun(margin[mine], there[mine], thought[mine], float(scores[mine][0]))
        for mine in (np.equal(owner, k) for k in range(len(conditions)))
    ]


# ------------------------------------------------------------------------------------------ which lives


def tuning_conditions(config: Config, learner: Learner, part: str) -> list[Condition]:
    """Return the lives that choose a learner's rate, the networks of one rate after the other; none if it has one."""
    if len(learner.rates(config)) == 1:
        return []
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    return [Condition(learner, part, seed, rate, TUNING) for rate in learner.rates(config) for seed in seeds]


def tuning_values(
    config: Config, learner: Learner, part: str, runs: Mapping[str, Mapping[str, Any]], name: str
) -> np.ndarray:
    """Gather a measure of the tuning lives, shape (n_rates, n_tuning, ...)."""
    found = np.array([runs[c.name][name] for c in tuning_conditions(config, learner, part)])
    return found.reshape(-1, config.n_tuning, *found.shape[1:])


def chosen_rate(config: Config, learner: Learner, part: str, runs: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the rate at which the learner learns best what it is shown; what it then thinks has no say."""
    if not tuning_conditions(config, learner, part):
        return learner.rates(config)[0]
    return learner.rates(config)[int(np.argmax(tuning_values(config, learner, part, runs, "score").mean(1)))]


def result_conditions(config: Config, learner: Learner, part: str, rate: float) -> list[Condition]:
    """Return the lives that give the results."""
    return [Condition(learner, part, seed, rate) for seed in config.seeds]


# ------------------------------------------------------------------------------------------ the recording

_PAIRS, _SERIES = ("arm", "group", "round"), ("arm", "round")
_LIFE = ("learner", "arm", "round", "seed")
AXES = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "arm": Variable(("arm",), "1", "what the network did after its experience", "str"),
    "group": Variable(("group",), "1", "concepts by what was done with them", "str"),
    "round": Variable(("round",), "1", "rounds of thought gone through", "int64"),
    "seed": Variable(("seed",), "1", "seed of network, world and spike phases", "int64"),
    "first": Variable(("first",), "1", "place in the series of the first item held", "int64"),
    "second": Variable(("second",), "1", "place in the series of the second item held", "int64"),
    "distance": Variable(("distance",), "1", "distance in the series, in places", "int64"),
    "part": Variable(("part",), "1", "pairs, or a series", "str"),
}
RUN_ROWS = {
    PAIRS: {
        "arm": AXES["arm"],
        "group": AXES["group"],
        "round": AXES["round"],
        "agreement": Variable(
            _PAIRS, "1", "correlation of C evoked by A directly and through B, means of cells removed"
        ),
        "agreement_plain": Variable(_PAIRS, "1", "the same correlation with the means of cells left in"),
        "direct": Variable(_PAIRS, "1", "correlation of C evoked by A directly with what is true"),
        "through": Variable(_PAIRS, "1", "correlation of C evoked by A through B with what is true"),
        "first": Variable(_PAIRS, "1", "correlation of B evoked by A with what is true"),
        "second": Variable(_PAIRS, "1", "correlation of C evoked by B with what is true"),
        "score": Variable((), "1", "mean of first and second over the concepts shown, at the end of experience"),
    },
    SERIES: {
        "arm": AXES["arm"],
        "round": AXES["round"],
        "margin": Variable(
            (*_SERIES, "first", "second"), "1", "margin of the right answer (1: as taught, 0: undecided)"
        ),
        "walk": Variable(
            (*_SERIES, "distance"), "1", "fraction of walks that are at the right item after so many steps"
        ),
        "thought": Variable((*_SERIES, "distance"), "1", "fraction of comparisons that a walk gets right"),
        "score": Variable((), "1", "agreement of what neighbours evoke with what was taught, at the end of experience"),
    },
}
"""Variables of ``/runs/<run>``, by part."""


def _in_summary(name: str, dims: tuple[str, ...], rows: Mapping[str, Variable]) -> Variable:
    return Variable(dims, "1", rows[name].long_name)


_PAIR_MEASURES = ("agreement", "agreement_plain", "direct", "through", "first", "second")
SUMMARY_ROWS = {
    **{name: row for name, row in AXES.items()},
    **{
        {"first": "a_evokes_b", "second": "b_evokes_c"}.get(name, name): _in_summary(
            name, ("learner", "arm", "group", "round", "seed"), RUN_ROWS[PAIRS]
        )
        for name in _PAIR_MEASURES
    },
    "margin": _in_summary("margin", (*_LIFE, "first", "second"), RUN_ROWS[SERIES]),
    "walk": _in_summary("walk", (*_LIFE, "distance"), RUN_ROWS[SERIES]),
    "thought": _in_summary("thought", (*_LIFE, "distance"), RUN_ROWS[SERIES]),
    "margin_at_distance": Variable((*_LIFE, "distance"), "1", "mean margin of the right answer, by distance"),
    "accuracy_at_distance": Variable((*_LIFE, "distance"), "1", "fraction of comparisons that are right, by distance"),
    "distance_slope": Variable(_LIFE, "1", "slope of the margin over the distance, from 2 places on"),
    "distance_slope_inner": Variable(_LIFE, "1", "the same without the first and the last item"),
    "learning_rate": Variable(("learner", "part"), "1", "learning rate per event"),
    "rate_at_edge": Variable(("learner", "part"), "1", "whether the rate lies on the edge of those tried", "bool"),
}
"""Variables of ``/summary``."""
SWEEP_ROWS = {
    "learner": AXES["learner"],
    "part": AXES["part"],
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "tuning_seed": Variable(("tuning_seed",), "1", "seed of the network", "int64"),
    "distance": AXES["distance"],
    "rate": Variable(("learner", "rate_index"), "1", "learning rate per event that was tried"),
    "score": Variable(
        ("learner", "part", "rate_index", "tuning_seed"), "1", "how well it has learned what it was shown"
    ),
    "agreement_before": Variable(
        ("learner", "rate_index", "tuning_seed"), "1", "agreement on pairs not rehearsed, before the loop"
    ),
    "agreement_after": Variable(
        ("learner", "rate_index", "tuning_seed"), "1", "agreement on pairs not rehearsed, after the loop"
    ),
    "margin_before": Variable(
        ("learner", "rate_index", "tuning_seed", "distance"), "1", "mean margin, by distance, before the loop"
    ),
    "margin_after": Variable(
        ("learner", "rate_index", "tuning_seed", "distance"), "1", "mean margin, by distance, after the loop"
    ),
}
"""Variables of ``/learning_rate_sweep``; NaN where a learner has fewer rates, or one only."""


def run_rows(name: str) -> Mapping[str, Variable]:
    """Return the variables of a run."""
    return RUN_ROWS[name.split("-")[1]]


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(association.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=run_rows, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, run: PairsRun | SeriesRun) -> None:
    """Keep a finished life."""
    what = {
        "learner": condition.learner.name,
        "role": condition.role,
        "part": condition.part,
        "seed": condition.seed,
        "learning_rate": condition.rate,
    }
    axes: dict[str, Any] = {"arm": list(condition.arms), "round": np.arange(store.config.n_rounds + 1)}
    if condition.part == PAIRS:
        axes["group"] = list(GROUPS)
    store.add(condition.name, vars(run) | axes, what)


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results into labelled arrays."""
    rates = np.array([[chosen_rate(config, x, part, runs) for part in PARTS] for x in LEARNERS])
    edge = [
        [len(x.rates(config)) > 1 and rate in (x.rates(config)[0], x.rates(config)[-1]) for rate in row]
        for x, row in zip(LEARNERS, rates, strict=True)
    ]
    places = np.arange(1, config.n_items + 1)
    values: dict[str, Any] = {
        "learner": [x.name for x in LEARNERS],
        "arm": list(ARMS),
        "group": list(GROUPS),
        "round": np.arange(config.n_rounds + 1),
        "seed": np.array(config.seeds),
        "first": places,
        "second": places,
        "distance": np.arange(1, config.n_items),
        "part": list(PARTS),
        "learning_rate": rates,
        "rate_at_edge": np.array(edge),
    }

    def gathered(part: str, name: str) -> np.ndarray:
        """Shape (learner, seed, ...)."""
        j = PARTS.index(part)
        return np.array(
            [
                [runs[c.name][name] for c in result_conditions(config, x, part, rates[i, j])]
                for i, x in enumerate(LEARNERS)
            ]
        )

    for name in _PAIR_MEASURES:
        called = {"first": "a_evokes_b", "second": "b_evokes_c"}.get(name, name)
        values[called] = np.moveaxis(gathered(PAIRS, name), 1, -1)
    for name in ("margin", "walk", "thought"):
        values[name] = np.moveaxis(gathered(SERIES, name), 1, 3)
    values["margin_at_distance"] = by_distance(values["margin"])
    values["accuracy_at_distance"] = by_distance((values["margin"] > 0).astype(float))
    for name, inner in (("distance_slope", False), ("distance_slope_inner", True)):
        values[name] = np.array(
            [distance_slope(m, inner=inner) for m in values["margin"].reshape(-1, config.n_items, config.n_items)]
        ).reshape(values["margin"].shape[:-2])
    return values


def swept(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the choice of learning rates, and what the loop does at each, into labelled arrays."""
    width = max(len(x.rates(config)) for x in LEARNERS)
    seeds = np.arange(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    shape = len(LEARNERS), width, config.n_tuning
    rate = np.full(shape[:2], np.nan)
    score = np.full((len(LEARNERS), len(PARTS), *shape[1:]), np.nan)
    agreed = {look: np.full(shape, np.nan) for look in ("before", "after")}
    margin = {look: np.full((*shape, config.n_items - 1), np.nan) for look in ("before", "after")}
    for i, learner in enumerate(LEARNERS):
        n = len(learner.rates(config))
        rate[i, :n] = learner.rates(config)
        if n == 1:
            continue
        for j, part in enumerate(PARTS):
            score[i, j, :n] = tuning_values(config, learner, part, runs, "score")
        found = tuning_values(config, learner, PAIRS, runs, "agreement")[:, :, 0, GROUPS.index("not rehearsed")]
        far = by_distance(tuning_values(config, learner, SERIES, runs, "margin")[:, :, 0])
        for look, k in (("before", 0), ("after", -1)):
            agreed[look][i, :n] = found[..., k]
            margin[look][i, :n] = far[:, :, k]
    return {
        "learner": [x.name for x in LEARNERS],
        "part": list(PARTS),
        "rate_index": np.arange(width),
        "tuning_seed": seeds,
        "distance": np.arange(1, config.n_items),
        "rate": rate,
        "score": score,
        **{f"agreement_{look}": values for look, values in agreed.items()},
        **{f"margin_{look}": values for look, values in margin.items()},
    }


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
    bench = Bench(config)
    parts: dict[str, Callable[[Bench, Sequence[Condition]], Sequence[PairsRun | SeriesRun]]]
    parts = {PAIRS: pairs, SERIES: in_series}
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor, ThreadPoolExecutor(1) as beside:

        def stop() -> None:
            bench.stopped.set()
            end_programs()

        def in_twin(conditions: Sequence[Condition]) -> None:
            missing = [c for c in conditions if c.name not in store.runs]
            for part, live in parts.items():
                these = [c for c in missing if c.part == part]
                if these:
                    for condition, lived in zip(these, live(bench, these), strict=True):
                        keep(store, condition, lived)

        def all_in_twin() -> None:
            in_twin([c for part in PARTS for c in tuning_conditions(config, BACKPROP, part)])
            best = {part: chosen_rate(config, BACKPROP, part, store.runs) for part in PARTS}
            in_twin([c for part in PARTS for c in result_conditions(config, BACKPROP, part, best[part])])
            bar.update(row, completed=1)

        def work(condition: Condition) -> None:
            keep(store, condition, parts[condition.part](bench, [condition])[0])

        def in_spikes(conditions: Sequence[Condition], label: str) -> None:
            script.live_missing(store, conditions, work, executor=executor, bar=bar, label=label, stop=stop)

        def all_in_spikes() -> None:
            kinds = [(x, part) for x in LEARNERS if x.spikes for part in PARTS]
            in_spikes([c for kind in kinds for c in tuning_conditions(config, *kind)], "spikes: learning rates")
            best = {kind: chosen_rate(config, *kind, store.runs) for kind in kinds}
            in_spikes([c for kind in kinds for c in result_conditions(config, *kind, best[kind])], "spikes")

        compiling = bar.add_task("compiling", total=1)
        bench.compile()
        bar.update(compiling, completed=1)
        row = bar.add_task("backprop", total=1)
        try:
            twin_lives = beside.submit(all_in_twin)
            all_in_spikes()
            twin_lives.result()
        except BaseException:
            stop()
            raise

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        recording.write_labelled(file.create_group("summary"), SUMMARY_ROWS, summarise(config, store.runs))
        recording.write_labelled(file.create_group("learning_rate_sweep"), SWEEP_ROWS, swept(config, store.runs))

    store.finish("Thinking as learning: coherence", fill)
    return out


# ------------------------------------------------------------------------------------------ tables and figure


MEASURES = {"agreement": "means of cells removed", "agreement_plain": "as it is"}
"""What the criterion judges: the correlation of C evoked directly and through B, in two ways."""


def raised(summary: Mapping[str, Any], learner: int, measure: str = "agreement") -> dict[str, np.ndarray]:
    """By how much the loop leaves the agreement higher, of one learner, on concepts that were not rehearsed.

    Parameters
    ----------
    summary : mapping of str to array
    learner : int
        Index.
    measure : str, optional
        One of `MEASURES`.

    Returns
    -------
    dict of str to array, shape (n_seeds,)
        Than before, and than each other arm does.
    """
    arms, found = list(summary["arm"]), summary[measure][learner, :, list(summary["group"]).index("not rehearsed")]
    after = found[arms.index(LOOP), -1]
    gains = {"before": after - found[arms.index(LOOP), 0]}
    return gains | {arm: after - found[arms.index(arm), -1] for arm in (FROZEN, OFF, SHUFFLED, SHAM, ONLY, MET)}


MARKERS = {"rehearsed": ("o", "0.6"), "not rehearsed": ("s", "black"), "new": ("^", "white")}
DRAWN = {
    "before": ("0.6", "o", (0, (1, 1))),
    LOOP: ("#14148c", "s", "-"),
    BESIDE: ("#2b7fce", "^", (0, (5, 1.5))),
    MET: ("#a3260f", "D", (0, (5, 1.2, 1, 1.2))),
}


def figure(summary: Mapping[str, Any]) -> Figure:
    """Draw what became of the agreement in every arm, and of the margin by distance in some, for each learner."""
    arms, n_seeds, distance = list(summary["arm"]), len(summary["seed"]), summary["distance"]
    lowest = min(-0.2, np.nanmin(summary["agreement"][:, :, :, -1]) - 0.05)
    high = 1.1 * np.nanmax(np.nanmean(summary["margin_at_distance"], axis=3))
    with plots.page(135) as drawn:
        grid = drawn.subplots(2, len(summary["learner"]), sharey="row", height_ratios=(1.25, 1))
        for i, name in enumerate(summary["learner"]):
            top, bottom = grid[:, i]
            before = summary["agreement"][i, 0, list(GROUPS).index("not rehearsed"), 0]
            low, high_before = (float(bound) for bound in reach.interval(before))
            top.axvspan(low, max(high_before, low + 0.004), color="0.85", linewidth=0, label="before (not rehearsed)")
            for g, group in enumerate(summary["group"]):
                marker, face = MARKERS[group]
                for j in range(len(arms)):
                    found = estimate(summary["agreement"][i, j, g, -1])
                    at = j + 0.22 * (g - 1)
                    top.plot([found.low, found.high], [at, at], color="black", linewidth=0.8)
                    label = group if j == 0 else None
                    look = {"markerfacecolor": face, "markeredgecolor": "black", "markeredgewidth": 0.6}
                    top.plot(found.mean, at, marker, markersize=4, label=label, **look)
            top.axvline(0, color="0.6", linewidth=0.5, zorder=0)
            top.set_yticks(range(len(arms)), arms)
            top.set_ylim(len(arms) - 0.4, -0.6)
            top.set_xlim(lowest, 1.03)
            top.set_xlabel("agreement (correlation)")
            plots.heading(top, name)
            for what, (color, marker, line) in DRAWN.items():
                j, look_at = (arms.index(LOOP), 0) if what == "before" else (arms.index(what), -1)
                values = summary["margin_at_distance"][i, j, look_at]
                plots.band(bottom, distance, values, color=color, linestyle=line, marker=marker, label=what)
            bottom.axhline(0, color="0.6", linewidth=0.5, zorder=0)
            bottom.axvspan(0.6, 1.4, color="0.93", linewidth=0, zorder=-1)
            bottom.set_xlim(0.6, distance[-1] + 0.4)
            bottom.set_ylim(-0.1, high)
            bottom.set_xticks(distance)
            bottom.set_xlabel("distance in the series (places)")
        grid[1, 0].set_ylabel("margin of the right answer\n(1: as taught)")
        grid[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        grid[1, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        for axes, letter in zip(grid.flat, "abcdef", strict=False):
            plots.letter(axes, letter)
        shown = (
            "One seed, and therefore no interval."
            if n_seeds == 1
            else f"Mean over {n_seeds} seeds; bars and bands: 95 % bootstrap interval over seeds."
        )
        plots.note(
            drawn,
            "a-c: after the last round of thought, concepts by what was done with them. d-f: shaded, the neighbours, "
            f"which were taught; all others never met, except where really met. {shown}",
        )
    return drawn


def short(values: np.ndarray) -> str:
    """Mean over seeds with its interval, to two places."""
    found = estimate(values)
    return f"{found.mean:.2f}" if found.n == 1 else f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def pairs_table(summary: Mapping[str, Any]) -> Table:
    """Return the table of the first part."""
    n = len(summary["seed"])
    table = Table(
        title=f"Pairs never met nor rehearsed: mean over {n} seed{'s' * (n > 1)} [95 % interval]. Agreement of A's "
        "direct prediction of C with that through B; correlations with what is true: both, B of A, C of B"
    )
    for column in ("learner", "after", "agreement", "plain", "direct", "through", "B of A", "C of B"):
        table.add_column(column, no_wrap=column != "learner")
    g = list(summary["group"]).index("not rehearsed")
    names = ("agreement", "agreement_plain", "direct", "through", "a_evokes_b", "b_evokes_c")
    for i, learner in enumerate(summary["learner"]):
        for arm, look in (("experience", 0), *((arm, -1) for arm in summary["arm"])):
            j = 0 if arm == "experience" else list(summary["arm"]).index(arm)
            cells = [summary[name][i, j, g, look] for name in names]
            shown = [short(cells[0]), *(f"{cell.mean():.2f}" for cell in cells[1:])]
            table.add_row(learner if look == 0 else "", arm, *shown)
    return table


def series_table(summary: Mapping[str, Any]) -> Table:
    """Return the table of the second part."""
    table = Table(
        title="A series: comparisons never made that are right, at once and by thinking (1: all); margin of the right "
        "answer (1: as taught), neighbours and farthest; slope of the margin over distance, with and without the ends"
    )
    for column in ("learner", "after", "right", "think", "near", "far", "slope", "inner"):
        table.add_column(column, no_wrap=column != "learner")
    for i, learner in enumerate(summary["learner"]):
        for arm, look in (("experience", 0), *((arm, -1) for arm in summary["arm"])):
            j = 0 if arm == "experience" else list(summary["arm"]).index(arm)
            margin = summary["margin_at_distance"][i, j, look]
            right = far_from(summary["accuracy_at_distance"])[i, j, look]
            thought = far_from(summary["thought"])[i, j, look]
            cells = (
                short(right),
                f"{thought.mean():.2f}",
                f"{margin[:, 0].mean():.2f}",
                f"{margin[:, -1].mean():.2f}",
                short(summary["distance_slope"][i, j, look]),
                f"{summary['distance_slope_inner'][i, j, look].mean():.2f}",
            )
            table.add_row(learner if look == 0 else "", arm, *cells)
    return table


def judgement(summary: Mapping[str, Any], learner: int, measure: str) -> list[str]:
    """Say by how much the loop leaves a measure of agreement higher, and whether the criterion has what it asks for."""
    gains = {what: estimate(values) for what, values in raised(summary, learner, measure).items()}
    name, text = summary["learner"][learner], MEASURES[measure]
    than = "; ".join(f"{what}: {gain}" for what, gain in gains.items() if what != MET)
    said = [f"{name}: the loop leaves the correlation ({text}) higher, by, than {than}."]
    asked = {what: gains[what] for what in ("before", FROZEN, OFF, SHUFFLED)}
    if len(summary["seed"]) < MIN_SEEDS:
        return said
    fewer = [what for what, gain in asked.items() if gain.high < SHARE_MARGIN]
    unclear = [what for what, gain in asked.items() if gain.low < SHARE_MARGIN <= gain.high]
    parts = [
        f"{word} for {', '.join(those)}" for word, those in (("NO", fewer), ("not decided", unclear)) if those
    ] or ["yes"]
    return [*said, f"  {SHARE_MARGIN} or more over before, weights frozen, loop off and shuffled: {'; '.join(parts)}."]


def far_from(at_distance: np.ndarray) -> np.ndarray:
    """Mean over all pairs that are no neighbours, of values (..., distance); nearer ones are more numerous."""
    n_pairs = np.arange(at_distance.shape[-1], 0, -1)[1:]
    return np.asarray(at_distance[..., 1:] @ n_pairs / n_pairs.sum())


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], SUMMARY_ROWS)
        sweep_of = recording.read_labelled(file["learning_rate_sweep"], SWEEP_ROWS)
    console = script.console()
    enough = len(summary["seed"]) >= MIN_SEEDS
    console.print(pairs_table(summary))
    console.print(series_table(summary))
    for i in range(len(summary["learner"])):
        for measure in MEASURES:
            for line in judgement(summary, i, measure):
                console.print(line, soft_wrap=True)
        for j, part in enumerate(summary["part"]):
            tried = zip(sweep_of["rate"][i], sweep_of["score"][i, j].mean(1), strict=True)
            scores = ", ".join(f"{rate:g}: {score:.3f}" for rate, score in tried if np.isfinite(score))
            edge = ", on the edge of those tried" if summary["rate_at_edge"][i, j] else ""
            console.print(
                f"  {part}: rate {summary['learning_rate'][i, j]:g}{edge}{f' (rate: learned {scores})' * bool(scores)}",
                soft_wrap=True,
            )
        before = estimate(far_from(summary["accuracy_at_distance"])[i, 0, 0])
        after = estimate(far_from(summary["accuracy_at_distance"])[i, list(summary["arm"]).index(LOOP), -1])
        console.print(
            f"  comparisons never made are right before any thought in {before}, after the loop in {after}"
            + (
                ": no thought is needed for that, which is against the argument."
                if enough and before.low > 0.5
                else "."
            ),
            soft_wrap=True,
        )
        if np.isnan(sweep_of["agreement_after"][i]).all():
            continue
        steps = zip(sweep_of["rate"][i], sweep_of["agreement_after"][i].mean(1), strict=True)
        console.print(
            "  agreement after the loop, by rate: " + ", ".join(f"{r:g}: {a:.2f}" for r, a in steps if np.isfinite(a)),
            soft_wrap=True,
        )
    for written in plots.save(figure(summary), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="coherence",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one seed, little experience, one round of thought, half a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
