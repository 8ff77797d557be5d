"""Learn five tasks one after the other, and ask whether not updating everything protects what was learned before.

Question
    Ten digits, two at a time, and the same two output cells for every pair: learning the next pair spoils the last.
    Does a learner that updates little forget less, or does it merely learn less? Backprop; backprop that keeps only the
    largest entries of its gradient; backprop with most hidden cells off in each topic, and, since that also tells the
    topic, told the topic alone; the error relay in spikes, and screened by threshold, leak and gain; the equilibrium
    relay; backprop and the error relay with replay. Each at all learning rates, which gives the curve of what is kept
    against what is newly learned: whoever lies on that of backprop at smaller rates protects nothing. Control: the same
    images, interleaved.
Source
    Accuracy matrix, average accuracy, backward and forward transfer: Lopez-Paz and Ranzato (2017), arXiv:1706.08840;
    forgetting: Chaudhry et al. (2018), doi:10.1007/978-3-030-01252-6_33; cells that are off by topic: Masse, Grant and
    Freedman (2018), doi:10.1073/pnas.1803839115; sparse backprop: bioplastic/rules/backprop.py; the circuit:
    models/context_chain.py.
Command
    python scripts/continual_learning.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bioplastic_models import chain, context_chain
from brian2 import ms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Weights
from bioplastic.claims.criterion import ACCURACY_MARGIN, MIN_SEEDS
from bioplastic.compiled.run import end_programs
from bioplastic.events import Kind, Schedule, Timing, probes
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import estimate
from bioplastic.tasks import OUTCOME_RANGE, Task, digits

SCHEMA = "bioplastic continual_learning"
BLOCKS, INTERLEAVED = "blocks", "interleaved"
N_TASKS = context_chain.N_TOPICS
CHANGED = 0.01
"""A weight counts as changed if it moved by more than this, in units of the root mean square of its projection."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    seeds : tuple of int
        One network, one draw of the cells that are off, one order of events and one set of spike phases each.
    validation_fraction : float
        Fraction of each digit's images, of those that are not held out, that nobody learns from: learning rates are
        chosen on them.
    n_events : int
        Real events per task.
    backprop_rates, spiking_rates, equilibrium_rates : tuple of float
        Learning rates per event, of backprop, the error relay and the equilibrium relay: for the relays this is eta
        times the spikes that a cell at the maximal rate fires while an outcome is present, so that the same number
        means the same change by the same error.
    kept : tuple of float
        Fractions of the gradient's entries that sparse backprop keeps.
    off : tuple of float
        Fractions of the hidden cells that are off in a topic, in backprop; the first also in the error relay.
    theta : float
        Error threshold of the error relay that is not screened, in spikes.
    replay_every : int
        Real events after which as many replays come.
    look_ms : float
        For which the prediction is averaged where accuracy is measured in spikes.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    validation_fraction: float = 0.2
    n_events: int = 200
    backprop_rates: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
    spiking_rates: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
    equilibrium_rates: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
    kept: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    off: tuple[float, ...] = (0.8, 0.5)
    theta: float = 0.1
    replay_every: int = 10
    look_ms: float = 200.0

    def __post_init__(self) -> None:
        if self.n_events % self.replay_every:
            raise ValueError(f"n_events = {self.n_events} is no multiple of replay_every = {self.replay_every}.")


QUICK = Config(
    seeds=(0,),
    n_events=40,
    backprop_rates=(0.04, 0.16),
    spiking_rates=(0.08, 0.32),
    equilibrium_rates=(0.01, 0.04),
    kept=(0.03,),
    off=(0.8,),
)


# ------------------------------------------------------------------------------------------ who lives


@dataclass(frozen=True)
class Learner:
    """One way to learn.

    Attributes
    ----------
    name : str
    spikes : bool
        Whether it is a relay, in spikes, or backprop in the rate twin.
    kept : float
        Fraction of the gradient's entries that change anything.
    off : float
        Fraction of the hidden cells that are off in a topic.
    told : bool
        Whether the context tells the topic although no cell is off.
    replays : bool
    screened : bool
        Of the error relay: whether with threshold, leak and gain of ``models/chain.py``.
    agreeing : bool
        Whether it is the equilibrium relay, whose dendrites learn to agree, instead of the error relay.
    """

    name: str
    spikes: bool
    kept: float = 1.0
    off: float = 0.0
    told: bool = False
    replays: bool = False
    screened: bool = False
    agreeing: bool = False

    def rates(self, config: Config) -> tuple[float, ...]:
        """Learning rates to choose from."""
        if self.agreeing:
            return config.equilibrium_rates
        return config.spiking_rates if self.spikes else config.backprop_rates

    def rule(self, config: Config, rate: float) -> ErrorRelay | EquilibriumRelay:
        """Return the spiking rule at a learning rate per event."""
        eta = rate / float(CellParameters().rmax * timing().outcome)
        if self.agreeing:
            return chain.equilibrium(eta, eta, context_chain.N_HOPS)
        if self.screened:
            return chain.screened(eta, context_chain.N_HOPS)
        return ErrorRelay(theta=config.theta, eta=eta)


DENSE = Learner("backprop", spikes=False)
RELAY = Learner("error relay", spikes=True)
REPLAYS = "backprop, replay", "error relay, replay"
"""The two learners with replay, which are compared with each other too."""


def learners(config: Config) -> tuple[Learner, ...]:
    """Return all learners, in the order of tables and figures."""
    return (
        DENSE,
        *(Learner(f"backprop, {100 * kept:g} % kept", spikes=False, kept=kept) for kept in config.kept),
        *(Learner(f"backprop, {100 * off:g} % off", spikes=False, off=off) for off in config.off),
        Learner("backprop, topic told", spikes=False, told=True),
        Learner(REPLAYS[0], spikes=False, replays=True),
        RELAY,
        Learner("error relay, screened", spikes=True, screened=True),
        Learner("equilibrium relay", spikes=True, agreeing=True),
        Learner(f"error relay, {100 * config.off[0]:g} % off", spikes=True, off=config.off[0]),
        Learner(REPLAYS[1], spikes=True, replays=True),
    )


@dataclass(frozen=True)
class Condition:
    """Lives of one learner at one rate, one for each of some seeds; `in_spikes`: accuracy is measured in spikes too."""

    learner: Learner
    rate: float
    seeds: tuple[int, ...]
    order: str = BLOCKS
    in_spikes: bool = False

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        learner = self.learner.name.replace(",", "").replace(" %", "").replace(" ", "_")
        return f"{learner}-{self.order}{'-in_spikes' * self.in_spikes}-rate{self.rate:g}"


# ------------------------------------------------------------------------------------------ what is lived


def paired_digits() -> Task:
    """Return the digits with two outcomes, for the even and for the odd one of each pair, and the pair's context."""
    given = digits()
    low, high = OUTCOME_RANGE
    return Task(
        stimuli=np.hstack([given.stimuli, context_chain.context(given.label // 2)]),
        outcomes=np.array([[high, low], [low, high]]),
        label=given.label % 2,
        held_out=given.held_out,
        rare_label=0,
    )


def topics() -> np.ndarray:
    """Which task each stimulus belongs to, shape (n_stimuli,)."""
    return digits().label // 2


def timing() -> Timing:
    """Return the phases of an event."""
    return chain.timing(context_chain.N_HOPS)


def validation(topic: np.ndarray, task: Task, fraction: float) -> np.ndarray:
    """Choose images to choose learning rates by: a fraction of each digit's, none of them held out."""
    rng = np.random.default_rng(1)
    chosen = []
    for t in range(N_TASKS):
        for label in (0, 1):
            members = rng.permutation(np.flatnonzero((topic == t) & (task.label == label) & ~task.held_out))
            chosen.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen))


class Bench:
    """What all lives share: the task, the circuit, the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task, self.topic = paired_digits(), topics()
        self.circuit: Circuit = context_chain.circuit()
        self.tested = np.flatnonzero(self.task.held_out)
        self.validating = validation(self.topic, self.task, config.validation_fraction)
        self.learnable = np.setdiff1d(np.flatnonzero(~self.task.held_out), self.validating)
        self.models: dict[type, spiking.Model] = {}
        self.stopped = threading.Event()

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Compile a model for each kind of rule, or take them from the cache."""
        n_steps = 2 * N_TASKS * self.config.n_events * float(timing().event / timing().resolution)
        rules = {type(rule): rule for rule in (x.rule(self.config, 0.0) for x in learners(self.config) if x.spikes)}
        for k, (kind, rule) in enumerate(rules.items()):
            spec = spiking.ModelSpec.with_room(self.circuit, rule, self.task, n_steps, n_snapshots=N_TASKS)
            self.models[kind] = spiking.model(spec, self.task)
            progress((k + 1) / len(rules))

    def go_on(self) -> None:
        """Raise `KeyboardInterrupt` in whatever thread when the experiment has been stopped."""
        if self.stopped.is_set():
            raise KeyboardInterrupt

    def start(self, learner: Learner, seed: int) -> Weights:
        """Return the weights that a life begins with: orthogonal, and the context's."""
        from bioplastic import twin

        plain = chain.circuit(context_chain.N_HOPS, n_outputs=context_chain.N_OUTPUTS)
        # Without pretraining: the orthogonal weights with which that begins.
        (weights,) = twin.pretrain(plain, digits(), [seed], twin.Pretraining(steps=0))
        if learner.told:
            return context_chain.with_topics_told(self.circuit, weights, seed)
        off = context_chain.random_topics(self.circuit, learner.off, seed) if learner.off else None
        return context_chain.with_context(self.circuit, weights, off)

    def schedule(self, condition: Condition, seed: int) -> Schedule:
        """Return the events of a life: the same real ones for every learner, in blocks or not."""
        config, rng, learnable = self.config, np.random.default_rng([seed, 1]), self.learnable
        stimuli = np.concatenate(
            [rng.permutation(learnable[self.topic[learnable] == t])[: config.n_events] for t in range(N_TASKS)]
        )
        if condition.order == INTERLEAVED:
            stimuli = np.random.default_rng([seed, 2]).permutation(stimuli)
        n = len(stimuli)
        real = Schedule(
            stimulus=stimuli,
            outcome=self.task.label[stimuli],
            kind=np.full(n, int(Kind.BACKGROUND)),
            salience=np.ones(n),
            rest=np.zeros(n, int),
        )
        if not condition.learner.replays:
            return real
        pause = config.replay_every * timing().event
        resting = real.with_rest_after((np.arange(n) + 1) % config.replay_every == 0, pause, timing())
        buffer = ReplayBuffer(capacity=n, rate=1 / timing().event)
        return buffer.fill(resting, timing(), rng=np.random.default_rng([seed, 3]))

    def accuracy(self, weights: Sequence[Weights], shown: np.ndarray) -> np.ndarray:
        """Accuracy of networks in rates on some images, by task, shape (n_networks, n_tasks)."""
        from bioplastic import twin

        predicted = twin.predict(self.circuit, weights, self.task.stimuli[shown])
        return np.stack([by_task(one, self.task.label[shown], self.topic[shown]) for one in predicted])

    def accuracy_spikes(self, weights: Sequence[Weights], learner: Learner, seed: int) -> np.ndarray:
        """Accuracy of networks in spikes on the held-out images, by task, shape (n_networks, n_tasks)."""
        shown, phases = self.tested, timing()
        looking = Timing(lead=phases.lead, outcome=self.config.look_ms * ms, gap=phases.gap)
        rule = learner.rule(self.config, 0.0)
        found = []
        for one in weights:
            lived = self.lived(Life(probes(shown), rule, one, looking, seed=seed))
            found.append(by_task(lived.prediction, self.task.label[shown], self.topic[shown]))
        return np.stack(found)

    def lived(self, life: Life) -> Lived:
        """Live a life in spikes."""
        self.go_on()
        return self.models[type(life.rule)].live(life)

    def after_blocks(self, condition: Condition, seed: int) -> list[Weights]:
        """Live one life in spikes, and return its weights before it and after each block."""
        rule = condition.learner.rule(self.config, condition.rate)
        start, schedule = self.start(condition.learner, seed), self.schedule(condition, seed)
        # Before it learns anything, an apical dendrite predicts what the basal one does, as well as outputs can tell.
        feedback = None
        if isinstance(rule, EquilibriumRelay):
            feedback = agreeing_feedback(self.circuit, start, self.task.stimuli[self.learnable])
        life = Life(schedule, rule, start, timing(), feedback, block_ends(len(schedule)), seed=seed)
        return [start, *self.lived(life).snapshots]

    def live_in_spikes(self, condition: Condition) -> dict[str, np.ndarray]:
        """Live the lives of a condition in spikes, and return what is recorded of them."""
        weights = [self.after_blocks(condition, seed) for seed in condition.seeds]
        measured = self.measured(condition, weights)
        if condition.in_spikes:
            both = zip(weights, condition.seeds, strict=True)
            measured["accuracy_spikes"] = np.stack([self.accuracy_spikes(w, condition.learner, s) for w, s in both])
        return measured

    def live_in_twin(
        self, conditions: Sequence[Condition], progress: Callable[[float], None]
    ) -> list[dict[str, np.ndarray]]:
        """Live the lives of some conditions of one learner in the rate twin, all at once."""
        from bioplastic import twin

        self.go_on()
        learner = conditions[0].learner
        each = [(c, seed) for c in conditions for seed in c.seeds]
        starts = [self.start(learner, seed) for _, seed in each]
        schedules = [self.schedule(c, seed) for c, seed in each]
        rules = [Backprop(c.rate, kept=learner.kept) for c, _ in each]
        ends = block_ends(len(schedules[0]))

        def going_on(fraction: float) -> None:
            self.go_on()
            progress(fraction)

        columns = zip(schedules, rules, starts, strict=True)
        lives = [Life(schedule, rule, start, snapshots=ends) for schedule, rule, start in columns]
        lived = twin.live(self.circuit, self.task, lives, progress=going_on)
        weights = iter([[start, *one.snapshots] for start, one in zip(starts, lived, strict=True)])
        return [self.measured(c, [next(weights) for _ in c.seeds]) for c in conditions]

    def measured(self, condition: Condition, weights: Sequence[Sequence[Weights]]) -> dict[str, np.ndarray]:
        """Return what is recorded of the lives of a condition, given the weights after each block by seed."""
        accuracy = np.stack([self.accuracy(w, self.tested) for w in weights])
        validated = np.stack([self.accuracy(w[-1:], self.validating)[0] for w in weights])
        moved = np.array([[moves(self.circuit, a, b) for a, b in pairwise(w)] for w in weights])
        return {
            "seed": np.array(condition.seeds),
            "hop": np.arange(self.circuit.n_hops),
            "validated": validated.mean(1),
            "accuracy": accuracy,
            "accuracy_spikes": np.full_like(accuracy, np.nan),
            "changed": moved[:, :, 0].mean(1),
            "untouched": moved[:, :, 1].mean(1),
        }


def block_ends(n_events: int) -> list[int]:
    """Return the last event of each of the tasks' equal blocks."""
    return [n_events * (k + 1) // N_TASKS - 1 for k in range(N_TASKS)]


def moves(circuit: Circuit, before: Weights, after: Weights) -> np.ndarray:
    """Fractions of the plastic weights that moved by more than `CHANGED`, and that did not move, shape (2, n_hops)."""
    found = np.full((2, circuit.n_hops), np.nan)
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        if projection.plastic:
            old, new = before.forward[projection.name], after.forward[projection.name]
            far = np.abs(new - old) > CHANGED * np.sqrt(np.square(old).mean())
            found[:, int(hop)] = far.mean(), (new == old).mean()
    return found


# ------------------------------------------------------------------------------------------ measures


def by_task(prediction: np.ndarray, label: np.ndarray, topic: np.ndarray) -> np.ndarray:
    """Fraction of predictions (stimulus, output) whose largest output is the right one, by task, shape (n_tasks,)."""
    right = prediction.argmax(1) == label
    return np.array([right[topic == t].mean() for t in range(N_TASKS)])


def average_accuracy(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy at the end, mean over tasks; `accuracy` (..., 1 + n_tasks, n_tasks) begins before the first block."""
    return accuracy[..., -1, :].mean(-1)


def just_learned(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy on each task right after its block, shape (..., n_tasks)."""
    return np.diagonal(accuracy[..., 1:, :], axis1=-2, axis2=-1)


def learned(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy on a task right after its block, mean over tasks."""
    return just_learned(accuracy).mean(-1)


def kept(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy at the end on all tasks but the last, mean over these."""
    return accuracy[..., -1, :-1].mean(-1)


def backward_transfer(accuracy: np.ndarray) -> np.ndarray:
    """What came after a task changed in it: accuracy at the end less that after its block, all tasks but the last."""
    return (accuracy[..., -1, :-1] - just_learned(accuracy)[..., :-1]).mean(-1)


def forward_transfer(accuracy: np.ndarray) -> np.ndarray:
    """What came before a task did to it: accuracy before its block less that at the start, all tasks but the first."""
    before = np.diagonal(accuracy[..., 1:-1, 1:], axis1=-2, axis2=-1)
    return (before - accuracy[..., 0, 1:]).mean(-1)


def forgetting(accuracy: np.ndarray) -> np.ndarray:
    """Best accuracy after any earlier block less that at the end, mean over all tasks but the last."""
    return (accuracy[..., 1:-1, :-1].max(-2) - accuracy[..., -1, :-1]).mean(-1)


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "average_accuracy": average_accuracy,
    "learned": learned,
    "kept": kept,
    "backward_transfer": backward_transfer,
    "forward_transfer": forward_transfer,
    "forgetting": forgetting,
}


def at_match(x: np.ndarray, y: np.ndarray, wanted: float) -> float:
    """Read a curve (learning rates from 0 up) where it first gets to a wanted `x`.

    The curve is taken as long as `x` grows; between its points it is straight, and beyond its largest `x` the value
    there stands.
    """
    growing = np.concatenate([[True], x[1:] > np.maximum.accumulate(x)[:-1]])
    return float(np.interp(wanted, x[growing], y[growing]))


def on_curve(lives: np.ndarray, name: str, wanted: float) -> float:
    """Measure `name` of a learner at the rate at which it learns new tasks as well as wanted.

    Parameters
    ----------
    lives : array, shape (n_rates, 1 + n_tasks, n_tasks)
        Its accuracy at rising rates, of one seed. Rate 0 is where it starts.
    name : str
        Of `MEASURES`.
    wanted : float
        Accuracy on tasks right after their blocks.
    """
    still = np.broadcast_to(lives[0, 0], lives[0].shape)
    curve = np.concatenate([still[None], lives])
    return at_match(learned(curve), MEASURES[name](curve), wanted)


def on_curves(by_rate: np.ndarray, name: str, wanted: np.ndarray) -> np.ndarray:
    """`on_curve` seed by seed: `by_rate` (n_rates, n_seeds, ...), NaN where no rate was tried; `wanted` (n_seeds,)."""
    tried = np.isfinite(by_rate[:, 0, 0, 0])
    return np.array([on_curve(by_rate[tried, k], name, w) for k, w in enumerate(wanted)])


# ------------------------------------------------------------------------------------------ which lives


def swept(config: Config, learner: Learner) -> list[Condition]:
    """Return the lives in blocks, at every rate."""
    return [Condition(learner, rate, config.seeds) for rate in learner.rates(config)]


def best_rates(scores: np.ndarray) -> np.ndarray:
    """Choose a rate for each seed by how good it was for all others, so that no network chooses its own.

    Parameters
    ----------
    scores : array, shape (n_rates, n_seeds)
        Average accuracy on the validation images after all blocks, at rising rates.

    Returns
    -------
    array of int, shape (n_seeds,)
        Index of the rate with the highest mean over the other seeds, the smallest of several equally good ones. A seed
        that is alone chooses its own.
    """
    n = scores.shape[1]
    others = scores.sum(1, keepdims=True) - scores if n > 1 else scores
    return np.argmax(np.round(others / max(n - 1, 1), 12), axis=0)


def scores(config: Config, learner: Learner, runs: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Average accuracy on the validation images after all blocks, shape (n_rates, n_seeds)."""
    return np.array([runs[c.name]["validated"] for c in swept(config, learner)])


def at_best(config: Config, learner: Learner, best: np.ndarray) -> list[Condition]:
    """Return the lives of each seed at its rate (`best`, an index): interleaved, and in blocks to look in spikes."""
    found = []
    for k in np.unique(best).tolist():
        seeds = tuple(seed for seed, own in zip(config.seeds, best, strict=True) if own == k)
        rate = learner.rates(config)[k]
        found.append(Condition(learner, rate, seeds, order=INTERLEAVED))
        if learner.spikes:
            found.append(Condition(learner, rate, seeds, in_spikes=True))
    return found


# ------------------------------------------------------------------------------------------ the recording


_LIFE = ("learner", "order", "seed")
_RATES = ("learner", "rate_index", "seed")
_IN_BLOCKS = ("learner", "seed")
NAMES = {
    "average_accuracy": "accuracy after all blocks, mean over tasks",
    "learned": "accuracy on a task right after its block, mean over tasks",
    "kept": "accuracy after all blocks on all tasks but the last, mean over these",
    "backward_transfer": "accuracy after all blocks less that right after a task's block, mean over all but the last",
    "forward_transfer": "accuracy right before a task's block less that at the start, mean over all but the first",
    "forgetting": "best accuracy after any earlier block less that after all, mean over all tasks but the last",
}
ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "order": Variable(("order",), "1", "order of the events", "str"),
    "seed": Variable(("seed",), "1", "seed of network, events and spike phases", "int64"),
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "block": Variable(("block",), "1", "blocks lived through", "int64"),
    "task": Variable(("task",), "1", "task, in the order of the blocks", "int64"),
    "hop": recording.COORDINATES["hop"],
    "rate": Variable(("learner", "rate_index"), "1", "learning rate per event that was tried"),
    "n_weights": Variable(("hop",), "1", "weights that learn", "int64"),
    "score": Variable(_RATES, "1", "average accuracy on the validation images after all blocks, in rates"),
    "learning_rate": Variable(_IN_BLOCKS, "1", "learning rate per event, the best by the score of all other seeds"),
    "at_edge": Variable(_IN_BLOCKS, "1", "whether that is the first or last one tried", "int8", ("no", "yes")),
    "accuracy": Variable((*_LIFE, "block", "task"), "1", "accuracy on held-out images, in rates, at the best rate"),
    "accuracy_spikes": Variable((*_IN_BLOCKS, "block", "task"), "1", "the same in blocks, in spikes; NaN for backprop"),
    "accuracy_by_rate": Variable((*_RATES, "block", "task"), "1", "accuracy on held-out images, in rates, in blocks"),
    **{name: Variable(_LIFE, "1", f"{text}, in rates, at the best rate") for name, text in NAMES.items()},
    **{f"{name}_spikes": Variable(_IN_BLOCKS, "1", f"{text}, in spikes") for name, text in NAMES.items()},
    **{f"{name}_by_rate": Variable(_RATES, "1", f"{text}, in rates, in blocks") for name, text in NAMES.items()},
    "kept_of_dense": Variable(_IN_BLOCKS, "1", "`kept` of backprop where it learns new tasks as well, in rates"),
    "forgetting_of_dense": Variable(
        _IN_BLOCKS, "1", "`forgetting` of backprop where it learns new tasks as well, in rates"
    ),
    "kept_of_dense_spikes": Variable(_IN_BLOCKS, "1", "the same as kept_of_dense for what is learned in spikes"),
    "forgetting_of_dense_spikes": Variable(
        _IN_BLOCKS, "1", "the same as forgetting_of_dense for what is learned in spikes"
    ),
    "changed": Variable((*_LIFE, "hop"), "1", "fraction of weights that a block moves by more than 1 % of their size"),
    "untouched": Variable((*_LIFE, "hop"), "1", "fraction of weights that a block does not move by a bit"),
}
"""Variables of ``/summary``; NaN where there is nothing to measure."""
RUN_ROWS = {
    "seed": ROWS["seed"],
    "hop": ROWS["hop"],
    "validated": Variable(("seed",), "1", ROWS["score"].long_name),
    "accuracy": Variable(("seed", "block", "task"), "1", "accuracy on held-out images, in rates"),
    "accuracy_spikes": Variable(("seed", "block", "task"), "1", "the same in spikes, where it was measured"),
    "changed": Variable(("seed", "hop"), "1", ROWS["changed"].long_name),
    "untouched": Variable(("seed", "hop"), "1", ROWS["untouched"].long_name),
}
"""Variables of ``/runs/<run>``."""


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(chain.__file__)), Path(str(context_chain.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=RUN_ROWS, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, run: Mapping[str, np.ndarray]) -> None:
    """Keep finished lives."""
    what = {
        "learner": condition.learner.name,
        "order": condition.order,
        "learning_rate": condition.rate,
    }
    store.add(condition.name, run, what)


def finish(store: script.Store, bench: Bench) -> None:
    """Make one file of all lives."""

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        recording.write_labelled(file.create_group("summary"), ROWS, summarise(bench.config, store.runs))

    store.finish("Five tasks, one after the other", fill)


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results into labelled arrays."""
    everyone, orders = learners(config), (BLOCKS, INTERLEAVED)
    width = max(len(x.rates(config)) for x in everyone)
    n_hops, n_seeds, matrix = context_chain.N_HOPS, len(config.seeds), (N_TASKS + 1, N_TASKS)
    lives = len(everyone), len(orders), n_seeds
    circuit, plastic = context_chain.circuit(), dict.fromkeys(range(n_hops), 0)
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        plastic[int(hop)] += projection.plastic * int(np.prod(circuit.shape(projection)))
    values: dict[str, Any] = {
        "learner": [x.name for x in everyone],
        "order": list(orders),
        "seed": np.array(config.seeds),
        "rate_index": np.arange(width),
        "block": np.arange(N_TASKS + 1),
        "task": np.arange(N_TASKS),
        "hop": np.arange(n_hops),
        "n_weights": np.array([plastic[hop] for hop in range(n_hops)]),
        "rate": np.full((len(everyone), width), np.nan),
        "score": np.full((len(everyone), width, n_seeds), np.nan),
        "learning_rate": np.full((len(everyone), n_seeds), np.nan),
        "at_edge": np.zeros((len(everyone), n_seeds), np.int8),
        "accuracy": np.full((*lives, *matrix), np.nan),
        "accuracy_spikes": np.full((len(everyone), n_seeds, *matrix), np.nan),
        "accuracy_by_rate": np.full((len(everyone), width, n_seeds, *matrix), np.nan),
        "changed": np.full((*lives, n_hops), np.nan),
        "untouched": np.full((*lives, n_hops), np.nan),
    }
    for i, learner in enumerate(everyone):
        tried = np.array(learner.rates(config))
        score = scores(config, learner, runs)
        best = best_rates(score)
        values["rate"][i, : len(tried)] = tried
        values["score"][i, : len(tried)] = score
        values["learning_rate"][i] = tried[best]
        values["at_edge"][i] = (best == 0) | (best == len(tried) - 1)
        blocks = [runs[c.name] for c in swept(config, learner)]
        for k, run in enumerate(blocks):
            values["accuracy_by_rate"][i, k] = run["accuracy"]
        for name in ("accuracy", "changed", "untouched"):
            for k, at in enumerate(best):
                values[name][i, 0, k] = blocks[at][name][k]
        for condition in at_best(config, learner, best):
            theirs = [config.seeds.index(seed) for seed in condition.seeds]
            if condition.in_spikes:
                values["accuracy_spikes"][i, theirs] = runs[condition.name]["accuracy_spikes"]
            else:
                for name in ("accuracy", "changed", "untouched"):
                    values[name][i, 1, theirs] = runs[condition.name][name]
    for name, measure in MEASURES.items():
        for suffix in ("", "_spikes", "_by_rate"):
            values[name + suffix] = measure(values[f"accuracy{suffix}"])
    for name in ("kept", "forgetting"):
        for suffix in ("", "_spikes"):
            wanted = values["learned_spikes"] if suffix else values["learned"][:, 0]
            values[f"{name}_of_dense{suffix}"] = np.array(
                [on_curves(values["accuracy_by_rate"][0], name, row) for row in wanted]
            )
    return values


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
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor, ThreadPoolExecutor(1) as beside:

        def shown(task: str) -> Callable[[float], None]:
            row = bar.add_task(task, total=100)
            return lambda fraction: bar.update(row, completed=int(100 * fraction))

        def stop() -> None:
            bench.stopped.set()
            end_programs()

        def in_twin(conditions: Sequence[Condition], label: str) -> None:
            script.live_missing_at_once(
                store, conditions, bench.live_in_twin, lambda c, lived: keep(store, c, lived), bar=bar, label=label
            )

        def all_in_twin() -> None:
            for learner in learners(config):
                if not learner.spikes:
                    in_twin(swept(config, learner), learner.name)
                    best = best_rates(scores(config, learner, store.runs))
                    in_twin(at_best(config, learner, best), f"{learner.name}, interleaved")

        def in_spikes(conditions: Sequence[Condition], label: str) -> None:
            def work(condition: Condition) -> None:
                keep(store, condition, bench.live_in_spikes(condition))

            script.live_missing(store, conditions, work, executor=executor, bar=bar, label=label, stop=stop)

        def all_in_spikes() -> None:
            for learner in learners(config):
                if learner.spikes:
                    in_spikes(swept(config, learner), learner.name)
                    best = best_rates(scores(config, learner, store.runs))
                    in_spikes(at_best(config, learner, best), f"{learner.name}, interleaved and in spikes")

        bench.prepare(shown("compiling"))
        try:
            twin_lives = beside.submit(all_in_twin)
            if jobs == 1:
                twin_lives.result()
            all_in_spikes()
            twin_lives.result()
        except BaseException:
            stop()
            raise
    finish(store, bench)
    return out


# ------------------------------------------------------------------------------------------ tables and figure


def percent(values: np.ndarray) -> str:
    """Mean over seeds with its interval, in per cent; a dash where nothing was measured."""
    found = estimate(100 * values)
    if not found.n:
        return "-"
    return f"{found.mean:.1f}" if found.n == 1 else f"{found.mean:.1f} [{found.low:.1f}, {found.high:.1f}]"


def rates_of(summary: Mapping[str, Any], i: int) -> str:
    """The rates that were chosen for a learner, with the number of seeds of each if there are several."""
    rates, first, seeds = np.unique(summary["learning_rate"][i], return_index=True, return_counts=True)
    edges = np.where(summary["at_edge"][i][first], "*", "")
    counts = [f" ({n})" if len(rates) > 1 else "" for n in seeds]
    return ", ".join(f"{r:g}{edge}{count}" for r, edge, count in zip(rates, edges, counts, strict=True))


def of_all_weights(summary: Mapping[str, Any], name: str) -> np.ndarray:
    """Fraction `changed` or `untouched` of the weights of all hops together, in blocks, shape (n_learners, n_seeds)."""
    return np.asarray((summary[name][:, 0] * summary["n_weights"]).sum(-1) / summary["n_weights"].sum())


def differences(summary: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a look in spikes and the order of the events change, by learner and seed."""
    return {
        "forgetting, less in rates": summary["forgetting_spikes"] - summary["forgetting"][:, 0],
        "less in blocks": summary["average_accuracy"][:, 1] - summary["average_accuracy"][:, 0],
    }


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables of measures, of what the claim asks, and of the choice of learning rates."""
    n = len(summary["seed"])
    over = f"%: mean over {n} seed{'s' * (n > 1)} [95 % interval]"
    found = differences(summary)

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title)
        made.add_column("learner")
        for column in columns:
            made.add_column(column.replace("_", " "), justify="right")
        return made

    columns = ("learned", "kept", "backward_transfer", "forgetting")
    measures = table(f"Five tasks in blocks, each learner at its best rate, in rates, {over}", "rate", *columns)
    measures.caption = "rate: (seeds) for which it was the best by all others; * the first or last that was tried"
    in_spikes = table(f"The same in spikes, {over}", *columns, "forgetting, less in rates")
    order = table(
        f"Average accuracy, and the same images interleaved, at the rate that is best in blocks, {over}",
        *("blocks", "blocks, in spikes", "interleaved", "less in blocks", "forgetting, interleaved"),
    )
    moved = table(
        f"Transfer, and weights that a block moves by more than 1 % of their size (not by a bit), {over}",
        *("backward transfer", "forward transfer", "all weights", *(f"hop {hop}" for hop in summary["hop"])),
    )
    everywhere = {name: of_all_weights(summary, name) for name in ("changed", "untouched")}
    for i, name in enumerate(summary["learner"]):
        measures.add_row(name, rates_of(summary, i), *(percent(summary[column][i, 0]) for column in columns))
        if np.isfinite(summary["learned_spikes"][i]).any():
            shown = [percent(summary[f"{column}_spikes"][i]) for column in columns]
            in_spikes.add_row(name, *shown, percent(found["forgetting, less in rates"][i]))
        order.add_row(
            name,
            percent(summary["average_accuracy"][i, 0]),
            percent(summary["average_accuracy_spikes"][i]),
            percent(summary["average_accuracy"][i, 1]),
            percent(found["less in blocks"][i]),
            percent(summary["forgetting"][i, 1]),
        )
        parts = zip(summary["changed"][i, 0].mean(0), summary["untouched"][i, 0].mean(0), strict=True)
        moved.add_row(
            name,
            percent(summary["backward_transfer"][i, 0]),
            percent(summary["forward_transfer"][i, 0]),
            f"{percent(everywhere['changed'][i])} ({100 * everywhere['untouched'][i].mean():.0f})",
            *(f"{100 * a:.0f} ({100 * b:.0f})" for a, b in parts),
        )
    rates = table(
        "At every learning rate, in rates, %, mean over seeds; validated: average accuracy by which it is chosen"
    )
    for column in ("rate", "validated", "learned", "kept", "forgetting"):
        rates.add_column(column, justify="right")
    for i, name in enumerate(summary["learner"]):
        for k in np.flatnonzero(np.isfinite(summary["rate"][i])):
            values = (
                summary[column][i, k]
                for column in ("score", *(f"{m}_by_rate" for m in ("learned", "kept", "forgetting")))
            )
            rates.add_row("" if k else name, f"{summary['rate'][i, k]:g}", *(f"{100 * v.mean():.1f}" for v in values))
    return [measures, in_spikes, compared(summary), replays_compared(summary), order, moved, rates]


AGAINST = ("learned", "kept", "forgetting", "average_accuracy")


def replay_effects(summary: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The relay with replay less backprop with replay, by seed: each at its best rate, and where both learn as much.

    Where a learner never learns as much as the other at its best rate, it is taken where it learns most, and what is
    left of the difference in `learned` tells so.
    """
    names = list(summary["learner"])
    backprop, relay = (names.index(name) for name in REPLAYS)
    own = {
        name: (summary[name][backprop, 0], summary[name][relay, 0], summary[f"{name}_spikes"][relay])
        for name in AGAINST
    }

    def matched(i: int, wanted: np.ndarray) -> dict[str, np.ndarray]:
        return {name: on_curves(summary["accuracy_by_rate"][i], name, wanted) for name in AGAINST}

    as_relay, as_spikes = (matched(backprop, own["learned"][k]) for k in (1, 2))
    as_backprop = matched(relay, own["learned"][0])
    return {
        "best rates": {name: own[name][1] - own[name][0] for name in AGAINST},
        "where backprop learns as the relay": {name: own[name][1] - as_relay[name] for name in AGAINST},
        "the same, relay in spikes": {name: own[name][2] - as_spikes[name] for name in AGAINST},
        "where the relay learns as backprop": {name: as_backprop[name] - own[name][0] for name in AGAINST},
    }


def replays_compared(summary: Mapping[str, Any]) -> Table:
    """Return the table of the two learners with replay against each other."""
    table = Table(title=f"{REPLAYS[1]}, less {REPLAYS[0]}, points")
    table.add_column("compared at")
    for name in AGAINST:
        table.add_column(name.replace("_", " "), justify="right")
    for where, found in replay_effects(summary).items():
        table.add_row(where, *(percent(values) for values in found.values()))
    return table


def effects(summary: Mapping[str, Any], suffix: str = "") -> dict[str, np.ndarray]:
    """What the claim asks of each learner, by seed, shape (n_learners, n_seeds) each.

    `less forgetting` and `more learned` than backprop, both at their best rates; and `kept more` than backprop where it
    learns new tasks as well.
    """
    forgets, new, kept_too = (
        summary[f"{name}{suffix}"] if suffix else summary[name][:, 0] for name in ("forgetting", "learned", "kept")
    )
    return {
        "less forgetting": summary["forgetting"][0, 0] - forgets,
        "more learned": new - summary["learned"][0, 0],
        "kept more, matched": kept_too - summary[f"kept_of_dense{suffix}"],
        "less forgetting, matched": summary[f"forgetting_of_dense{suffix}"] - forgets,
    }


def compared(summary: Mapping[str, Any]) -> Table:
    """Return the table of learners against backprop."""
    table = Table(
        title="Against backprop, points: at the best rates of both, and at the rate where backprop learns as well"
    )
    found, spiking_found = effects(summary), effects(summary, "_spikes")
    table.add_column("learner")
    for column in found:
        table.add_column(column, justify="right")
    for i, name in enumerate(summary["learner"]):
        if i:
            table.add_row(name, *(percent(values[i]) for values in found.values()))
            if np.isfinite(spiking_found["more learned"][i]).any():
                table.add_row("  in spikes", *(percent(values[i]) for values in spiking_found.values()))
    return table


def statements(summary: Mapping[str, Any]) -> list[str]:
    """Say of each learner, in words, where it lies on backprop's curve of what is kept against what is learned."""
    if len(summary["seed"]) < MIN_SEEDS:
        return [f"Fewer than {MIN_SEEDS} seeds: nothing is said of the claim."]
    found, lines = effects(summary), []
    for i, name in enumerate(summary["learner"]):
        if i:
            low, high = reach.interval(found["kept more, matched"][i])
            if low > ACCURACY_MARGIN:
                said = "keeps more than backprop does where it learns new tasks as well: not only by learning less."
            elif high < ACCURACY_MARGIN:
                said = "keeps less than 5 points more than backprop at a smaller rate would: against the claim."
            else:
                said = "whether it keeps 5 points more than backprop at a smaller rate would is not decided."
            lines.append(f"{name}: {said}")
    return lines


def _looks(names: Sequence[str]) -> dict[str, plots.Style]:
    """How each learner is drawn: relays cold, others warm; no marker and line of one kind comes with the other's."""
    colors = {
        False: ("#a3260f", "#c9501c", "#e07b2a", "#e8a23c", "#e0b000", "#7a3b8c", "#b07cc0", "#000000", "#5f5f5f"),
        True: ("#14148c", "#2b7fce", "#3f9c9c", "#2e7d4f", "#7fb069"),
    }
    markers, first_line = {False: "oDsv^X<P>", True: "sXd*p"}, {False: 0, True: 1}
    lines: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 0.9)), (0, (5, 1.2, 1, 1.2)), (0, (3, 1, 1, 1, 1, 1)))
    found, count = {}, {False: 0, True: 0}
    for name in names:
        relay = "relay" in name
        k = count[relay]
        count[relay] += 1
        color, marker = colors[relay][k % len(colors[relay])], markers[relay][k % len(markers[relay])]
        found[name] = plots.Style(color, marker, lines[(k + first_line[relay]) % len(lines)])
    return found


def figure(summary: Mapping[str, Any]) -> Figure:
    """Draw accuracy matrices, the curves of what is kept against what is learned, and forgetting."""
    names = list(summary["learner"])
    looks = _looks(names)
    n = len(summary["seed"])
    wanted = [i for i, name in enumerate(names) if "% kept" not in name or name == names[1]]
    wanted = [i for i in wanted if "50 %" not in names[i]][:10]
    with plots.page(200) as drawn:
        rows: Any = drawn.subfigures(3, 1, height_ratios=[0.7, 1.35, 1.0])
        top, middle, bottom = rows
        images = top.subplots(1, len(wanted), sharey=True)
        for k, (axes, i) in enumerate(zip(np.atleast_1d(images), wanted, strict=True)):
            shade = axes.imshow(
                100 * summary["accuracy"][i, 0].mean(0), cmap="Greys_r", vmin=30, vmax=100, aspect="equal"
            )
            axes.set_title(names[i].replace("m relay", "m\nrelay").replace(", ", ",\n"), fontsize=6)
            axes.set_xticks(range(N_TASKS), [str(t + 1) for t in range(N_TASKS)])
            axes.set_yticks(range(N_TASKS + 1), ["before", *(str(t + 1) for t in range(N_TASKS))])
            axes.set_xlabel("task")
            if not k:
                axes.set_ylabel("after block")
                plots.letter(axes, "a")
        top.colorbar(shade, ax=images, label="accuracy (%)", shrink=0.85)
        curves = middle.subplots(1, 2, sharey=True, sharex=True)
        for axes, spikes, letter in zip(curves, (False, True), "bc", strict=True):
            for i, name in enumerate(names):
                if name == DENSE.name or ("relay" in name) == spikes:
                    _curve(axes, summary, i, looks[name])
            axes.set_xlabel("learned: accuracy on a task after its block (%)")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=6)
            plots.heading(axes, "relays" if spikes else "backprop")
            plots.letter(axes, letter)
        curves[0].set_ylabel("kept: accuracy on earlier tasks\nat the end (%)")
        left, right = bottom.subplots(1, 2, sharey=True)
        _bars(left, summary, "forgetting", looks, "forgetting (points)")
        _bars(right, summary, "average_accuracy", looks, "average accuracy at the end (%)")
        left.set_yticks(range(len(names)), names)
        left.invert_yaxis()
        plots.letter(left, "d")
        plots.letter(right, "e")
        plots.note(
            drawn,
            "Held-out images, weights in the rate network. a: at the best rate, mean over seeds. b, c: each point a "
            "learning rate, from small to large ones; large marker: each seed at the rate that is best for the others; "
            "backprop (circles, solid) in both. d, e: best rate; filled: tasks in blocks, open: the same images "
            "interleaved, crosses: blocks, in spikes. "
            + (
                "One seed, and therefore no interval."
                if n == 1
                else f"Mean over {n} seeds; bars: 95 % bootstrap interval."
            ),
        )
    return drawn


def _curve(axes: Axes, summary: Mapping[str, Any], i: int, look: plots.Style) -> None:
    """Draw what a learner keeps against what it learns: over its learning rates, and at the best ones."""
    there = np.isfinite(summary["rate"][i])
    x, y = (100 * summary[f"{name}_by_rate"][i, there].mean(1) for name in ("learned", "kept"))
    look_of = {"label": summary["learner"][i], "color": look.color, "marker": look.marker, "linestyle": look.line}
    axes.plot(x, y, markersize=2.5, linewidth=0.9, **look_of)
    best = [100 * summary[name][i, 0] for name in ("learned", "kept")]
    across, up = (np.abs(np.array(reach.interval(values)) - values.mean())[:, None] for values in best)
    at_x, at_y = (float(values.mean()) for values in best)
    axes.errorbar(
        at_x, at_y, up, across, fmt=look.marker, color=look.color, ms=6.5, mec="black", elinewidth=0.8, zorder=3
    )


def _bars(axes: Axes, summary: Mapping[str, Any], name: str, looks: Mapping[str, plots.Style], label: str) -> None:
    """Draw a measure of every learner, in blocks, interleaved and in spikes, with intervals over seeds."""
    for i, learner in enumerate(summary["learner"]):
        kinds = ((summary[name][i, 0], "o", looks[learner].color, -0.2), (summary[name][i, 1], "o", "none", 0.0))
        for values, marker, fill, shift in (*kinds, (summary[f"{name}_spikes"][i], "x", "none", 0.2)):
            if np.isfinite(values).any():
                low, high = reach.interval(100 * values)
                mean = 100 * values.mean()
                axes.errorbar(
                    mean,
                    i + shift,
                    xerr=[[mean - low], [high - mean]],
                    fmt=marker,
                    color=looks[learner].color,
                    markerfacecolor=fill,
                    elinewidth=0.7,
                )
    axes.axvline(0 if name == "forgetting" else 50, color="0.7", linewidth=0.6)
    if name != "forgetting":
        axes.annotate("chance", (50, 1), (0, 1), xycoords=("data", "axes fraction"), textcoords="offset points")
    axes.set_xlabel(label)


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], ROWS)
    console = script.console()
    for table in tables(summary):
        console.print(table)
    for line in statements(summary):
        console.print(line, soft_wrap=True)
    for written in plots.save(figure(summary), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="continual_learning",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one seed, two rates, 40 events per task, half a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
