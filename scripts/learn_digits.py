"""Learn the digits from random weights, by a spiking rule alone.

Question
    Does a local rule really learn? Nothing is pretrained: all ten digits, a chain of 3 and one of 6 hops, orthogonal
    random weights, one event after the other. How good does the error relay get on held-out digits, beside backprop
    (plain SGD) on the same circuit, start weights and events at its own best learning rate? And with feedback weights
    that begin at random and learn too, or stay, instead of being handed over?
Source
    The rules: bioplastic/rules/error_relay.py and bioplastic/rules/learned_feedback.py (Kolen and Pollack 1994,
    doi:10.1109/ICNN.1994.374486); the circuit: models/chain.py; orthogonal start weights: Saxe, McClelland and Ganguli
    (2014), arXiv:1312.6120.
Command
    python scripts/learn_digits.py [--quick | --full] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick half a minute, --full 2 hours (estimated). It may be interrupted
    and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from bioplastic_models import chain
from brian2 import ms
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.compiled.run import end_programs
from bioplastic.events import Kind, Schedule, Timing, probes
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.form import Rule
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.tasks import Task, digits

SCHEMA = "bioplastic learn_digits"
RESULT, TUNING = "result", "tuning"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
TARGETS = {3: 0.94, 6: 0.93}
"""Accuracy on held-out digits that the error relay must get to, by length of the chain."""
WITHIN = 0.01
"""By how much it may stay behind backprop."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    hops : tuple of int
        Lengths of the chain, in hops.
    seeds : tuple of int
        One network, one order of events and one set of spike phases each.
    n_tuning, n_tuning_backprop : int
        Networks on which the learning rates of the error relay and of backprop are chosen, by their accuracy on digits
        that are neither learned from nor held out.
    control : bool
        Whether feedback weights that are random and stay are tried too.
    validation_fraction : float
        Fraction of each digit's images, of those that are not held out, that these are.
    n_events : int
        Length of a life, in events; every image comes once before any comes again.
    n_looks : int
        A life is this many stretches of equal length. The learning rate is constant in each, and the accuracy is
        measured after it.
    final_rate : float
        Learning rate in the last stretch, as a fraction of that in the first; geometric in between.
    spiking_rates, backprop_rates : tuple of float
        Learning rates to choose from, in the first stretch and per event: for the spiking rules this is eta times
        the spikes that a cell at the maximal rate fires while an outcome is present, so that the same number means the
        same change of the weights by the same error. That of the spiking rules is chosen for the error relay; it has
        one only in the default setting; --full chooses.
    size : float
        Singular values of the orthogonal start weights; at 2 a chain hands small differences on as they are, since the
        slope of phi is 1/2.
    theta : float
        Error threshold, in spikes.
    settling_ms, margin_ms : float
        The outcome begins this long per hop, and this long beyond, after the stimulus.
    outcome_ms : float
        For which an outcome stays.
    gap_ms : float
        Silence between events.
    look_ms : float
        For which the prediction is averaged where accuracy is measured.
    forgetting : float
        Of learned feedback: fraction of a weight lost per error spike, in units of eta theta.
    variations : tuple of (str, tuple of float)
        Settings, each to be varied alone in tuning runs of the error relay, and the values to try.
    """

    hops: tuple[int, ...] = (3, 6)
    seeds: tuple[int, ...] = (0, 1, 2)
    n_tuning: int = 1
    n_tuning_backprop: int = 3
    control: bool = False
    validation_fraction: float = 0.2
    n_events: int = 24000
    n_looks: int = 8
    final_rate: float = 0.05
    spiking_rates: tuple[float, ...] = (0.3,)
    backprop_rates: tuple[float, ...] = (0.08, 0.16, 0.32)
    size: float = 3.0
    theta: float = 0.1
    settling_ms: float = 20.0
    margin_ms: float = 160.0
    outcome_ms: float = 120.0
    gap_ms: float = 10.0
    look_ms: float = 300.0
    forgetting: float = 0.01
    variations: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __post_init__(self) -> None:
        if self.n_events % self.n_looks:
            raise ValueError(f"n_events = {self.n_events} is no multiple of n_looks = {self.n_looks}.")


FULL = Config(
    seeds=tuple(range(10)),
    n_tuning=3,
    n_tuning_backprop=10,
    control=True,
    spiking_rates=(0.04, 0.08, 0.15, 0.3, 0.6, 1.2),
    backprop_rates=(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    variations=(
        ("theta", (0.03, 0.3, 1.0, 3.0)),
        ("outcome_ms", (30.0, 60.0, 240.0)),
        ("size", (1.5, 2.0, 2.5, 3.5)),
        ("margin_ms", (0.0, 60.0)),
        ("n_events", (4000, 8000, 16000)),
    ),
)
QUICK = Config(
    hops=(3,),
    seeds=(0,),
    n_events=1000,
    n_looks=2,
    spiking_rates=(0.3,),
    backprop_rates=(0.16,),
)


# ------------------------------------------------------------------------------------------ what is lived


def start_weights(circuit: Circuit, size: float, seed: int) -> Weights:
    """Draw orthogonal weights, with biases that make every cell fire at half its maximal rate if those upstream do.

    Parameters
    ----------
    circuit : Circuit
    size : float
        All singular values.
    seed : int

    Returns
    -------
    Weights
    """
    rng = np.random.default_rng(seed)
    forward: dict[str, np.ndarray] = {}
    bias = {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"}
    for projection in circuit.projections:
        post, pre = circuit.shape(projection)
        q, r = np.linalg.qr(rng.standard_normal((max(post, pre), max(post, pre))))
        forward[projection.name] = size * (q * np.sign(np.diag(r)))[:post, :pre]
        bias[projection.target] -= forward[projection.name].sum(1) / 2
    return Weights(forward, bias)


def validation(task: Task, fraction: float) -> np.ndarray:
    """Choose images to choose learning rates by: a fraction of each digit's, none of them held out."""
    rng = np.random.default_rng(1)
    chosen = []
    for digit in range(len(task.outcomes)):
        members = rng.permutation(np.flatnonzero((task.label == digit) & ~task.held_out))
        chosen.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen))


def order(stimuli: np.ndarray, n_events: int, rng: np.random.Generator) -> np.ndarray:
    """Put stimuli into random order, each once before any comes again, shape (n_events,)."""
    n_rounds = -(-n_events // len(stimuli))
    return np.concatenate([rng.permutation(stimuli) for _ in range(n_rounds)])[:n_events]


def lessons(task: Task, stimuli: np.ndarray) -> Schedule:
    """Show each stimulus with its own outcome."""
    n = len(stimuli)
    return Schedule(
        stimulus=stimuli,
        outcome=task.label[stimuli],
        kind=np.full(n, int(Kind.BACKGROUND)),
        salience=np.ones(n),
        rest=np.zeros(n, int),
    )


def stretches(config: Config, rate: float) -> np.ndarray:
    """Learning rate per event in each stretch of a life, shape (n_looks,)."""
    return rate * np.geomspace(1, config.final_rate, config.n_looks)


def timing(config: Config, n_hops: int) -> Timing:
    """Return the phases of an event."""
    return Timing(
        lead=(n_hops * config.settling_ms + config.margin_ms) * ms,
        outcome=config.outcome_ms * ms,
        gap=config.gap_ms * ms,
    )


def looking(config: Config, n_hops: int) -> Timing:
    """Return the phases of an event at which accuracy is measured: all settled, then a long look."""
    return Timing(lead=chain.timing(n_hops).lead, outcome=config.look_ms * ms, gap=chain.GAP)


def accuracy(prediction: np.ndarray, label: np.ndarray) -> float:
    """Fraction of predictions (event, output) whose largest output is the right one."""
    return float((prediction.argmax(1) == label).mean())


def cosines(circuit: Circuit, forward: Mapping[str, np.ndarray], feedback: Mapping[str, np.ndarray]) -> np.ndarray:
    """Cosine between forward and feedback weights by hop, shape (n_hops,)."""
    found = np.full(circuit.n_hops, np.nan)
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        a, b = forward[projection.name].ravel(), feedback[projection.name].ravel()
        found[int(hop)] = a @ b / np.sqrt((a @ a) * (b @ b))
    return found


# ------------------------------------------------------------------------------------------ who lives it

FeedbackKind = Literal["handed", "learned", "random", "none"]


@dataclass(frozen=True)
class Learner:
    """One way to learn, and where its feedback weights come from."""

    name: str
    feedback: FeedbackKind

    @property
    def spikes(self) -> bool:
        """Whether it is a spiking rule."""
        return self.feedback != "none"

    @property
    def learns_feedback(self) -> bool:
        """Whether its feedback weights learn."""
        return self.feedback == "learned"

    def rates(self, config: Config) -> tuple[float, ...]:
        """Learning rates to choose from."""
        return config.spiking_rates if self.spikes else config.backprop_rates

    def n_tuning(self, config: Config) -> int:
        """Networks on which that is chosen."""
        return config.n_tuning if self.spikes else config.n_tuning_backprop

    def rule(self, config: Config, rate: float) -> Rule:
        """Return the spiking rule at a learning rate per event."""
        eta = rate / float(CellParameters().rmax * config.outcome_ms * ms)
        if self.learns_feedback:
            return LearnedFeedback(theta=config.theta, eta=eta, decay=config.forgetting * eta * config.theta)
        return ErrorRelay(theta=config.theta, eta=eta)


RELAY = Learner("error relay", "handed")
LEARNED = Learner("learned feedback", "learned")
RANDOM = Learner("fixed random feedback", "random")
BACKPROP = Learner("backprop", "none")


def learners(config: Config) -> tuple[Learner, ...]:
    """Return all learners, in the order of tables and figures."""
    return (RELAY, LEARNED, RANDOM, BACKPROP) if config.control else (RELAY, LEARNED, BACKPROP)


@dataclass(frozen=True)
class Condition:
    """One life."""

    learner: Learner
    n_hops: int
    seed: int
    rate: float
    role: str = RESULT
    varied: tuple[str, float] | None = None

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        varied = "" if self.varied is None else f"-{self.varied[0]}{self.varied[1]:g}"
        rate = f"-rate{self.rate:g}" if self.role == TUNING else ""
        return f"{self.role}-{self.learner.name.replace(' ', '_')}-{self.n_hops}hops-s{self.seed}{rate}{varied}"

    def config(self, config: Config) -> Config:
        """Return the settings of this life."""
        if self.varied is None:
            return config
        name, value = self.varied
        return replace(config, **{name: type(getattr(config, name))(value)})


@dataclass(frozen=True)
class Run:
    """What is recorded of a life.

    Attributes
    ----------
    accuracy : array, shape (n_looks + 1,)
        Before the life and after each stretch; of a spiking rule as its spikes have it.
    accuracy_rates : array, shape (n_looks + 1,)
        The same weights in the rate network.
    alignment : array, shape (n_looks + 1, n_hops)
        Cosine between feedback and forward weights; NaN for backprop, which has no feedback weights.
    error_spikes : array, shape (n_looks,)
        Per event; NaN for backprop.
    """

    accuracy: np.ndarray
    accuracy_rates: np.ndarray
    alignment: np.ndarray
    error_spikes: np.ndarray


class Bench:
    """What all lives share: the task, the circuits, the compiled models."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task: Task = digits()
        self.circuits = {n: chain.circuit(n) for n in config.hops}
        self.models: dict[tuple[int, bool], spiking.Model] = {}
        learnable = np.flatnonzero(~self.task.held_out)
        chosen = validation(self.task, config.validation_fraction)
        self.learnable = {RESULT: learnable, TUNING: np.setdiff1d(learnable, chosen)}
        self.tested = {RESULT: np.flatnonzero(self.task.held_out), TUNING: chosen}
        self.stopped = threading.Event()

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Compile the models, or take them from the cache."""
        kinds = [(n, learner) for n in self.config.hops for learner in (RELAY, LEARNED)]
        for k, (n_hops, learner) in enumerate(kinds):
            longest = max(c.n_events // c.n_looks * timing(c, n_hops).event for c in self.variants())
            probing = len(self.task.stimuli) * looking(self.config, n_hops).event
            n_steps = float(max(longest, probing) / Timing().resolution)
            rule = learner.rule(self.config, 0.0)
            spec = spiking.ModelSpec.with_room(self.circuits[n_hops], rule, self.task, n_steps, n_snapshots=0)
            self.models[n_hops, learner.learns_feedback] = spiking.model(spec, self.task)
            progress((k + 1) / len(kinds))

    def go_on(self) -> None:
        """Raise `KeyboardInterrupt` in whatever thread when the experiment has been stopped."""
        if self.stopped.is_set():
            raise KeyboardInterrupt

    def variants(self) -> list[Config]:
        """Return all settings that lives may have."""
        varied = [(name, value) for name, values in self.config.variations for value in values]
        return [self.config, *(Condition(RELAY, 0, 0, 0.0, TUNING, v).config(self.config) for v in varied)]

    def start(self, condition: Condition) -> tuple[Weights, Feedback]:
        """Return the weights that a life begins with."""
        circuit = self.circuits[condition.n_hops]
        weights = start_weights(circuit, condition.config(self.config).size, condition.seed)
        if condition.learner.feedback in ("learned", "random"):
            return weights, random_feedback(circuit, weights, condition.seed)
        return weights, Feedback(weights.forward)

    def stretches(self, condition: Condition) -> list[Schedule]:
        """Return the events of a life: the same for every learner."""
        config = condition.config(self.config)
        rng = np.random.default_rng([condition.seed, 1])
        stimuli = order(self.learnable[condition.role], config.n_events, rng)
        return [lessons(self.task, part) for part in np.split(stimuli, config.n_looks)]

    def accuracy_rates(self, n_hops: int, weights: Sequence[Weights], role: str) -> list[float]:
        """Accuracy of networks in rates."""
        from bioplastic import twin

        shown = self.tested[role]
        predicted = twin.predict(self.circuits[n_hops], weights, self.task.stimuli[shown])
        return [accuracy(one, self.task.label[shown]) for one in predicted]

    def live_in_spikes(self, condition: Condition) -> Run:
        """Live one life in spikes, stretch by stretch."""
        config, n_hops = condition.config(self.config), condition.n_hops
        circuit, model = self.circuits[n_hops], self.models[n_hops, condition.learner.learns_feedback]
        shown = self.tested[condition.role]
        weights, feedback = self.start(condition)
        seen, in_rates, aligned, n_errors = [], [], [], []

        def lived(life: Life) -> Lived:
            self.go_on()
            return model.live(life)

        def look() -> None:
            rule = condition.learner.rule(config, 0.0)
            life = Life(probes(shown), rule, weights, looking(config, n_hops), feedback, seed=condition.seed)
            seen.append(accuracy(lived(life).prediction, self.task.label[shown]))
            in_rates.extend(self.accuracy_rates(n_hops, [weights], condition.role))
            aligned.append(cosines(circuit, weights.forward, feedback.weights))

        look()
        for k, (schedule, rate) in enumerate(
            zip(self.stretches(condition), stretches(config, condition.rate), strict=True)
        ):
            rule = condition.learner.rule(config, rate)
            phases = 1000 * condition.seed + k  # a seed of spike phases for every stretch
            stretch = lived(Life(schedule, rule, weights, timing(config, n_hops), feedback, seed=phases))
            assert stretch.feedback is not None  # spikes leave one
            weights, feedback = stretch.weights, stretch.feedback
            n_errors.append(stretch.error_signal.sum() / len(schedule))
            look()
        return Run(*map(np.array, (seen, in_rates, aligned, n_errors)))

    def live_in_twin(self, conditions: Sequence[Condition], progress: Callable[[float], None]) -> list[Run]:
        """Live lives of one chain in the rate twin, all in one tensor program."""
        from bioplastic import twin

        n_hops, role = conditions[0].n_hops, conditions[0].role
        circuit, n_looks = self.circuits[n_hops], self.config.n_looks
        weights = [self.start(c)[0] for c in conditions]
        schedules = [self.stretches(c) for c in conditions]
        rates = [stretches(self.config, c.rate) for c in conditions]
        seen = [self.accuracy_rates(n_hops, weights, role)]
        for k in range(n_looks):
            lives = [
                Life(schedule[k], Backprop(rate[k]), start)
                for schedule, rate, start in zip(schedules, rates, weights, strict=True)
            ]
            self.go_on()
            lived = twin.live(circuit, self.task, lives)
            progress((k + 1) / n_looks)
            weights = [one.weights for one in lived]
            seen.append(self.accuracy_rates(n_hops, weights, role))
        nothing = np.full((n_looks + 1, circuit.n_hops), np.nan)
        return [Run(curve, curve, nothing, nothing[1:, 0]) for curve in np.array(seen).T]


# ------------------------------------------------------------------------------------------ which lives


def tuning_conditions(config: Config, learner: Learner, n_hops: int) -> list[Condition]:
    """Return the lives that choose a learner's rate, the networks of one rate after the other; none if it has one."""
    rates = learner.rates(config)
    if len(rates) == 1 or learner not in (RELAY, BACKPROP):
        return []
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + learner.n_tuning(config))
    return [Condition(learner, n_hops, seed, rate, TUNING) for rate in rates for seed in seeds]


def scores(config: Config, learner: Learner, n_hops: int, runs: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Mean final accuracy on the validation digits at each learning rate; NaN if there was nothing to choose."""
    conditions = tuning_conditions(config, learner, n_hops)
    if not conditions:
        return np.full(len(learner.rates(config)), np.nan)
    final = [runs[c.name]["accuracy"][-1] for c in conditions]
    return np.reshape(final, (-1, learner.n_tuning(config))).mean(1)


def chosen_rate(config: Config, learner: Learner, n_hops: int, runs: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the learner's best rate, the smallest of several equally good ones; all spiking rules get the relay's."""
    score = scores(config, RELAY if learner.spikes else learner, n_hops, runs)
    return learner.rates(config)[0 if np.isnan(score).all() else int(np.argmax(score))]


def result_conditions(config: Config, learner: Learner, n_hops: int, rate: float) -> list[Condition]:
    """Return the lives that give the results."""
    return [Condition(learner, n_hops, seed, rate) for seed in config.seeds]


def varied_conditions(config: Config, n_hops: int, rate: float) -> list[Condition]:
    """Return the lives of the error relay in which one setting is another."""
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    return [
        Condition(RELAY, n_hops, seed, rate, TUNING, (name, value))
        for name, values in config.variations
        for value in values
        for seed in seeds
    ]


# ------------------------------------------------------------------------------------------ the recording


_LIFE = ("learner", "chain", "seed")
ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "chain": Variable(("chain",), "1", "length of the chain, in hops", "int64"),
    "seed": Variable(("seed",), "1", "seed of network, events and spike phases", "int64"),
    "event": Variable(("event",), "1", "events lived through", "int64"),
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "accuracy": Variable((*_LIFE, "event"), "1", "accuracy on held-out digits; of a spiking rule in spikes"),
    "accuracy_rates": Variable((*_LIFE, "event"), "1", "accuracy of the same weights in the rate network"),
    "alignment": Variable((*_LIFE, "event", "hop"), "1", "cosine between feedback and forward weights"),
    "error_spikes": Variable((*_LIFE, "event"), "1", "error spikes per event, in the stretch that ends here"),
    "learning_rate": Variable(("learner", "chain"), "1", "learning rate per event in the first stretch"),
}
"""Variables of ``/summary``; NaN where there is nothing to measure."""
SWEEP_ROWS = {
    "learner": ROWS["learner"],
    "chain": ROWS["chain"],
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "rate": Variable(("learner", "rate_index"), "1", "learning rate per event that was tried"),
    "score": Variable(("learner", "chain", "rate_index"), "1", "accuracy on the validation digits, mean over seeds"),
}
"""Variables of ``/learning_rate_sweep``."""
VARIATION_ROWS = {
    "chain": ROWS["chain"],
    "variation": Variable(("variation",), "1", "setting that was another", "str"),
    "tuning_seed": Variable(("tuning_seed",), "1", "seed of the network", "int64"),
    "value": Variable(("variation",), "1", "value of the setting, in its own unit (see the attribute config)"),
    "score": Variable(("variation", "chain", "tuning_seed"), "1", "accuracy of the error relay, validation digits"),
}
"""Variables of ``/variations``."""
RUN_ROWS = {
    "event": ROWS["event"],
    "hop": ROWS["hop"],
    "accuracy": Variable(("event",), "1", "accuracy on the digits of its role; of a spiking rule in spikes"),
    "accuracy_rates": Variable(("event",), "1", ROWS["accuracy_rates"].long_name),
    "alignment": Variable(("event", "hop"), "1", ROWS["alignment"].long_name),
    "error_spikes": Variable(("stretch",), "1", "error spikes per event in each stretch"),
}
"""Variables of ``/runs/<run>``."""


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(chain.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=RUN_ROWS, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, run: Run) -> None:
    """Keep a finished life."""
    config = condition.config(store.config)
    what = {
        "learner": condition.learner.name,
        "role": condition.role,
        "chain": condition.n_hops,
        "seed": condition.seed,
        "learning_rate": condition.rate,
        "config": json.dumps(asdict(config)),
    }
    events = np.linspace(0, config.n_events, config.n_looks + 1).round().astype(int)
    store.add(condition.name, vars(run) | {"event": events, "hop": np.arange(condition.n_hops)}, what)


def finish(store: script.Store, bench: Bench) -> None:
    """Make one file of all lives."""
    config = bench.config

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = json.dumps([json.loads(c.to_json()) for c in bench.circuits.values()])
        recording.write_labelled(file.create_group("summary"), ROWS, summarise(config, store.runs))
        recording.write_labelled(file.create_group("learning_rate_sweep"), SWEEP_ROWS, swept(config, store.runs))
        if config.variations:
            recording.write_labelled(file.create_group("variations"), VARIATION_ROWS, varied(config, store.runs))

    store.finish("The digits learned from random weights", fill)


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results into labelled arrays."""
    n_looks, everyone = config.n_looks + 1, learners(config)
    shape = len(everyone), len(config.hops), len(config.seeds), n_looks
    values: dict[str, Any] = {
        "learner": [x.name for x in everyone],
        "chain": np.array(config.hops),
        "seed": np.array(config.seeds),
        "event": np.linspace(0, config.n_events, n_looks).round().astype(int),
        "hop": np.arange(max(config.hops)),
        "accuracy": np.full(shape, np.nan),
        "accuracy_rates": np.full(shape, np.nan),
        "error_spikes": np.full(shape, np.nan),
        "alignment": np.full((*shape, max(config.hops)), np.nan),
        "learning_rate": np.full(shape[:2], np.nan),
    }
    for i, learner in enumerate(everyone):
        for j, n_hops in enumerate(config.hops):
            rate = chosen_rate(config, learner, n_hops, runs)
            values["learning_rate"][i, j] = rate
            for k, condition in enumerate(result_conditions(config, learner, n_hops, rate)):
                run = runs[condition.name]
                values["accuracy"][i, j, k] = run["accuracy"]
                values["accuracy_rates"][i, j, k] = run["accuracy_rates"]
                values["error_spikes"][i, j, k, 1:] = run["error_spikes"]
                values["alignment"][i, j, k, :, :n_hops] = run["alignment"]
    return values


def swept(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the choice of learning rates into labelled arrays."""
    everyone = learners(config)
    width = max(len(x.rates(config)) for x in everyone)
    rate = np.full((len(everyone), width), np.nan)
    score = np.full((len(everyone), len(config.hops), width), np.nan)
    for i, learner in enumerate(everyone):
        tried = learner.rates(config)
        rate[i, : len(tried)] = tried
        for j, n_hops in enumerate(config.hops):
            score[i, j, : len(tried)] = scores(config, learner, n_hops, runs)
    names = [x.name for x in everyone]
    return {"learner": names, "chain": config.hops, "rate_index": np.arange(width), "rate": rate, "score": score}


def varied(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the lives in which one setting was another."""
    pairs = [(name, value) for name, values in config.variations for value in values]
    score = np.full((len(pairs), len(config.hops), config.n_tuning), np.nan)
    for j, n_hops in enumerate(config.hops):
        rate = chosen_rate(config, RELAY, n_hops, runs)
        final = [runs[c.name]["accuracy"][-1] for c in varied_conditions(config, n_hops, rate)]
        score[:, j] = np.reshape(final, (len(pairs), config.n_tuning))
    return {
        "chain": config.hops,
        "variation": [name for name, _ in pairs],
        "tuning_seed": np.arange(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning),
        "value": [value for _, value in pairs],
        "score": score,
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

        def in_spikes(conditions: Sequence[Condition], label: str) -> None:
            if not conditions:
                return
            longest_first = sorted(conditions, key=lambda c: -c.n_hops)  # so that no core is idle in the end

            def work(condition: Condition) -> None:
                keep(store, condition, bench.live_in_spikes(condition))

            script.live_missing(store, longest_first, work, executor=executor, bar=bar, label=label, stop=stop)

        def all_in_twin() -> None:
            for n in config.hops:
                in_twin(tuning_conditions(config, BACKPROP, n), f"backprop, {n} hops: learning rates")
                best = chosen_rate(config, BACKPROP, n, store.runs)
                in_twin(result_conditions(config, BACKPROP, n, best), f"backprop, {n} hops")

        def all_in_spikes() -> None:
            in_spikes([c for n in config.hops for c in tuning_conditions(config, RELAY, n)], "spikes: learning rates")
            best_rates = {n: chosen_rate(config, RELAY, n, store.runs) for n in config.hops}
            for learner in learners(config):
                if learner.spikes:
                    lives = [c for n, rate in best_rates.items() for c in result_conditions(config, learner, n, rate)]
                    in_spikes(lives, f"spikes: {learner.name}")
            others = [c for n, rate in best_rates.items() for c in varied_conditions(config, n, rate)]
            in_spikes(others, "spikes: other settings")

        bench.prepare(shown("compiling"))
        try:
            twin_lives = beside.submit(all_in_twin)
            all_in_spikes()
            twin_lives.result()
        except BaseException:
            stop()
            raise
    finish(store, bench)
    return out


# ------------------------------------------------------------------------------------------ table and figure


@dataclass(frozen=True)
class Verdict:
    """Whether the error relay learns as it should, on one chain.

    Attributes
    ----------
    n_hops : int
    accuracy : float
        Mean over seeds, at the end.
    target : float
        What it has to be; NaN if nobody said.
    behind : float
        Mean over seeds of backprop's accuracy minus its own.
    """

    n_hops: int
    accuracy: float
    target: float
    behind: float

    @property
    def learns(self) -> bool:
        """Whether the accuracy is met."""
        return bool(self.accuracy >= self.target)

    @property
    def keeps_up(self) -> bool:
        """Whether it is as near to backprop as it should be."""
        return bool(self.behind <= WITHIN)

    def __str__(self) -> str:
        met = {True: "met", False: "NOT met"}
        target = "" if np.isnan(self.target) else f" (target {self.target:.0%}: {met[self.learns]})"
        return (
            f"{self.n_hops} hops: error relay {self.accuracy:.1%}{target}, {100 * self.behind:.1f} points behind "
            f"backprop (target: at most {100 * WITHIN:g}: {met[self.keeps_up]})."
        )


def verdicts(chains: Sequence[int], relay: np.ndarray, backprop: np.ndarray) -> list[Verdict]:
    """Compare final accuracies (chain, seed) with the targets and with backprop."""
    return [
        Verdict(int(n), float(a.mean()), TARGETS.get(int(n), float("nan")), float((b - a).mean()))
        for n, a, b in zip(chains, relay, backprop, strict=True)
    ]


def percent(values: np.ndarray) -> str:
    """Mean over seeds with its bootstrap interval."""
    low, high = reach.interval(values)
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


LOOKS = {
    RELAY.name: plots.styles((RELAY.name,))[0],
    BACKPROP.name: plots.styles((BACKPROP.name,))[0],
    LEARNED.name: replace(plots.styles(("error relay, unscreened",))[0], marker="^"),
    RANDOM.name: replace(plots.styles(("anything else",))[0], color="0.55", line=(0, (5, 1.2, 1, 1.2))),
}
HOP_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)))


def figure(summary: Mapping[str, Any]) -> Figure:
    """Draw learning curves of all learners, and how feedback weights that learn come to agree with the forward ones."""
    chains, event, n_seeds = summary["chain"], summary["event"] / 1000, len(summary["seed"])
    with plots.page(115) as drawn:
        grid = drawn.subplots(2, len(chains), squeeze=False)
        for j, n_hops in enumerate(chains):
            top, bottom = grid[:, j]
            for i, name in enumerate(summary["learner"]):
                look = LOOKS[name]
                label, curve = {"label": name, "marker": look.marker}, 100 * summary["accuracy"][i, j]
                plots.band(top, event, curve, color=look.color, linestyle=look.line, **label)
            if int(n_hops) in TARGETS:
                top.axhline(100 * TARGETS[int(n_hops)], color="0.45", linewidth=0.7, linestyle=":", label="target")
            final = 100 * summary["accuracy"][:, j, :, -1]
            top.set_ylim(max(0, min(70, final.min() - 10)), 100)
            top.set_ylabel("accuracy on held-out digits (%)")
            plots.heading(top, f"{n_hops} hops")
            aligned = summary["alignment"][list(summary["learner"]).index(LEARNED.name), j]
            for hop in range(int(n_hops) - 1):  # the feedback onto the input cells does nothing
                shade = f"{0.75 * hop / max(1, n_hops - 2):.2f}"
                plots.band(
                    bottom,
                    event,
                    aligned[:, :, hop],
                    color=shade,
                    linestyle=HOP_LINES[hop % len(HOP_LINES)],
                    label=f"hop {hop}",
                )
            bottom.axhline(0, color="0.8", linewidth=0.6, zorder=0)
            bottom.set_ylim(min(-0.1, bottom.get_ylim()[0]), 1.02)
            for axes in (top, bottom):
                axes.set_xticks(event[:: max(1, len(event) // 5)])
            bottom.set_xlabel("events (thousands)")
            bottom.set_ylabel("learned feedback: cosine\nto the forward weights (1)")
            top.legend(loc="lower right")
            bottom.legend(loc="upper left", ncols=3)
        for axes, letter in zip(grid.flat, "abcdefgh", strict=False):
            plots.letter(axes, letter)
        plots.note(
            drawn,
            "Held-out images in spikes for the spiking rules, in rates for backprop. "
            + (
                "One seed, and therefore no interval."
                if n_seeds == 1
                else f"Mean over {n_seeds} seeds; bands: 95 % bootstrap interval over seeds."
            ),
        )
    return drawn


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], ROWS)
        rates = recording.read_labelled(file["learning_rate_sweep"], SWEEP_ROWS)
        varied_too = "variations" in file
        others = recording.read_labelled(file["variations"], VARIATION_ROWS) if varied_too else None
    console = script.console()
    chains, learner = summary["chain"], list(summary["learner"])
    final = summary["accuracy"][..., -1]
    n_seeds = len(summary["seed"])
    title = f"Accuracy on held-out digits, %: mean over {n_seeds} seed{'s' * (n_seeds > 1)} [95 % interval]"
    table = Table(title=title)
    table.add_column("learner")
    for column in ("hops", "accuracy", "in rates", "rate per event", "error spikes per event"):
        table.add_column(column, justify="right")
    for i, name in enumerate(learner):
        for j, n in enumerate(chains):
            in_rates, spikes = summary["accuracy_rates"][i, j, :, -1], summary["error_spikes"][i, j, :, 1:].mean()
            counted = f"{spikes:.0f}" if np.isfinite(spikes) else "-"
            rate = f"{summary['learning_rate'][i, j]:g}"
            table.add_row(name if j == 0 else "", str(n), percent(final[i, j]), percent(in_rates), rate, counted)
    console.print(table)
    if np.isfinite(rates["score"]).any():
        table = Table(title="Choice of the learning rate per event: accuracy on validation digits, %, tuning seeds")
        table.add_column("learner")
        table.add_column("hops", justify="right")
        table.add_column("rate: accuracy")
        for i, name in enumerate(learner):
            for j, n in enumerate(chains):
                tried = zip(rates["rate"][i], rates["score"][i, j], strict=True)
                cells = [f"{rate:g}: {100 * score:.1f}" for rate, score in tried if np.isfinite(score)]
                if cells:
                    table.add_row(name if j == 0 else "", str(n), ", ".join(cells))
        console.print(table)
    if others is not None:
        table = Table(title="Error relay with one setting changed: accuracy on validation digits, %, tuning seeds")
        table.add_column("setting")
        for n in chains:
            table.add_column(f"{n} hops", justify="right")
        for name, value, score in zip(others["variation"], others["value"], others["score"], strict=True):
            table.add_row(f"{name} = {value:g}", *(percent(row) for row in score))
        console.print(table)
    aligned = summary["alignment"][learner.index(LEARNED.name)].mean(1)
    for j, n in enumerate(chains):
        line = ", ".join(
            f"hop {h}: {a:.2f} to {b:.2f}" for h, (a, b) in enumerate(aligned[j][[0, -1], : n - 1].T.tolist())
        )
        console.print(f"Learned feedback, {n} hops, cosine to the forward weights: {line}.", soft_wrap=True)
    for verdict in verdicts(chains, final[learner.index(RELAY.name)], final[learner.index(BACKPROP.name)]):
        console.print(str(verdict), soft_wrap=True)
    for written in plots.save(figure(summary), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="learn_digits",
        settings={"": Config(), "quick": QUICK, "full": FULL},
        sizes={
            "quick": "3 hops, one seed, 1000 events, half a minute",
            "full": "ten seeds, more rates, other settings, 2 hours",
        },
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
