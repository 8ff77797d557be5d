"""Count the real events that a local rule in spikes and backprop need, and those that replay saves.

Question
    The argument says that far hops learn less per event under a local rule than under backprop, and that a brain needs
    fewer real events all the same, since it replays them. Is it so here, and at what price in replays? Three problems:
    all ten digits from random weights (3 hops); a chain of 12 hops that knows the digits 0 to 8 and is to learn the 9;
    and the same where only weights far from the error source may change. Two learners, the error relay in spikes and
    backprop (plain SGD), from the same weights through the same real events and, in nights, the same replays of them
    from a plain buffer. Beside these the error relay with a hippocampus of its own, which itself holds, writes and
    replays what surprised it, in spikes; and the same without ripples.
Source
    The argument: docs/model.md; the circuit and its parameters: models/chain.py; the replays:
    bioplastic/hippocampus/replay_buffer.py (Lin 1992, doi:10.1007/BF00992699; Schaul et al. 2016, arXiv:1511.05952) and
    bioplastic/hippocampus/. What came out: docs/data_efficiency.md.
Command
    python scripts/data_efficiency.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 9 minutes, and 2 or more to compile the hippocampus the first time;
    --quick, without that, half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says (accuracy is a curve over real events, and each problem has its
    own conditions, which the tables there have no axes for), a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
import numpy as np
from bioplastic_models import chain
from brian2 import Hz, ms, second
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.cells import ERROR_SIGN, CellParameters
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.compiled.run import end_programs
from bioplastic.events import Kind, Schedule, Timing, probes, random_life
from bioplastic.hippocampus import Hippocampus, Replay, Target
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import LEARN, RELAY, ErrorRelay
from bioplastic.rules.form import Rule
from bioplastic.statistics import Estimate, estimate
from bioplastic.tasks import Task, digits

SCHEMA = "bioplastic data_efficiency"
RESULT, TUNING = "result", "tuning"
FIRST_TUNING_SEED = 996
"""Learning rates are chosen on networks of their own, not on those that give the results."""
LOCAL, BACKPROP = "error relay", "backprop"
LEARNERS = (LOCAL, BACKPROP)
OFF, UNIFORM, PRIORITISED, ATTENTION, HIPPOCAMPUS = "off", "uniform", "prioritised", "attention only", "hippocampus"


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops, n_hops_digits : int
        Length of the chain that learns the 9, and of the one that learns all digits, in hops.
    nearest : int
        First hop that may change where only far ones may; also from where on hops count as far elsewhere.
    seeds : tuple of int
        One network, one life and one set of spike phases each.
    event_fraction : float
        Fraction of all real events that are a 9, where the 9 is to be learned.
    looks, looks_digits : tuple of int
        Numbers of real events after which accuracy is measured. The last is the length of a life.
    day, day_digits : int
        Real events between two nights.
    replays, replays_digits : tuple of int
        Replays per real event, beside none. All happen in the nights, which are just long enough for them.
    budget : int
        One of `replays`, with which ways to choose what is replayed are compared where the 9 is to be learned.
    hippocampus : bool
        Whether one in spikes is among them. It is another model, which takes minutes to compile.
    held_s : float
        Rest after each real event where there is a hippocampus: what is surprising is held in attention meanwhile.
    ripples_hz : float
        Replays per second of rest of the hippocampus.
    capacity : int
        Events that the buffer remembers.
    alpha : float
        Exponent of the surprise, to whose power replays of the 9 and of other digits are drawn; that of Schaul et al.
        At 1 three quarters of the replays are 9s, and both learners forget the other digits.
    sham_look : int
        After which look, from 1, what the 9s have changed is measured against a sham run.
    n_tuning : int
        Networks on which the learning rates of each learner are chosen, for each number and kind of replays.
    local_rates, far_local_rates, digits_local_rates : tuple of float
        Learning rates of the error relay to choose from, per event: eta times the spikes that a cell at the maximal
        rate fires while an outcome is present, so that the same number means the same change by the same error as in
        backprop.
    backprop_rates, far_backprop_rates, digits_backprop_rates : tuple of float
        Those of backprop.
    theta_digits : float
        Error threshold where all digits are learned, in spikes; elsewhere that of models/chain.py.
    criterion, criterion_digits : float
        Score that counts as having learned the 9, or the digits.
    n_probes : int
        Most images of the digits 0 to 8 on which accuracy is measured where the 9 is to be learned.
    look_ms : float
        For which a prediction in spikes is averaged where accuracy is measured.
    """

    n_hops: int = chain.N_HOPS
    n_hops_digits: int = 3
    nearest: int = 3
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    event_fraction: float = 0.3
    looks: tuple[int, ...] = (20, 40, 80, 140)
    day: int = 20
    looks_digits: tuple[int, ...] = (50, 100, 200, 400, 600)
    day_digits: int = 50
    replays: tuple[int, ...] = (1, 2, 4)
    replays_digits: tuple[int, ...] = (1, 2, 4)
    budget: int = 2
    hippocampus: bool = True
    held_s: float = 1.0
    ripples_hz: float = 0.5
    capacity: int = 200
    alpha: float = 0.6
    sham_look: int = 2
    n_tuning: int = 1
    local_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    far_local_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    digits_local_rates: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2)
    backprop_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    far_backprop_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    digits_backprop_rates: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32)
    theta_digits: float = 0.1
    criterion: float = 0.75
    criterion_digits: float = 0.75
    n_probes: int = 60
    look_ms: float = 300.0

    def __post_init__(self) -> None:
        for looks, day in ((self.looks, self.day), (self.looks_digits, self.day_digits)):
            if any(n % day for n in looks) or list(looks) != sorted(set(looks)):
                raise ValueError(f"looks at {looks} real events; give multiples of the day of {day}, in rising order.")
        if not 1 <= self.sham_look <= len(self.looks):
            raise ValueError(f"sham_look = {self.sham_look}; there are looks 1 to {len(self.looks)}.")
        if self.budget not in self.replays:
            raise ValueError(f"budget = {self.budget}; give one of replays = {self.replays}.")
        if not 0 < self.nearest < self.n_hops:
            raise ValueError(f"nearest = {self.nearest}; give a hop above 0 that a chain of {self.n_hops} hops has.")


QUICK = Config(
    n_hops=6,
    seeds=(0,),
    looks=(20, 40),
    looks_digits=(50, 100),
    replays=(2,),
    replays_digits=(2,),
    hippocampus=False,
    sham_look=1,
    local_rates=(0.003, 0.01),
    far_local_rates=(0.1, 0.3),
    digits_local_rates=(0.05, 0.1),
    backprop_rates=(0.003, 0.01, 0.03),
    far_backprop_rates=(0.03, 0.1),
    digits_backprop_rates=(0.04, 0.08, 0.16),
    n_probes=36,
)


# ------------------------------------------------------------------------------------------ problems and conditions


@dataclass(frozen=True)
class Replaying:
    """What happens in the nights.

    Attributes
    ----------
    source : str
        Nothing, a plain buffer with uniform or prioritised sampling, or a hippocampus without or with ripples.
    per_event : int
        Replays per real event.
    """

    source: str = OFF
    per_event: int = 0

    @property
    def name(self) -> str:
        """Name in tables and in the recording."""
        return f"{self.source}, {self.per_event}" if self.per_event else self.source

    @property
    def in_spikes(self) -> bool:
        """Whether it is made of cells, so that there is no such thing in rates."""
        return self.source in (ATTENTION, HIPPOCAMPUS)


@dataclass(frozen=True)
class Problem:
    """What is to be learned, and by which weights.

    Attributes
    ----------
    name : str
    n_hops : int
    nearest : int
        First hop that may change.
    rare : bool
        Whether the 9 is to be learned by a chain that knows the other digits, rather than all digits by a new one.
    looks : tuple of int
        Real events.
    day : int
        Real events.
    rates : mapping of str to tuple of float
        Learning rates to choose from, by learner.
    replaying : tuple of Replaying
        None first, then a rising number of replays from one kind of buffer, then others.
    criterion : float
    """

    name: str
    n_hops: int
    nearest: int
    rare: bool
    looks: tuple[int, ...]
    day: int
    rates: Mapping[str, tuple[float, ...]] = field(hash=False)
    replaying: tuple[Replaying, ...]
    criterion: float

    @property
    def slug(self) -> str:
        """Name of its group in the recording."""
        return self.name.replace(",", "").replace(" ", "_")

    @property
    def measure(self) -> str:
        """What its score is."""
        return "mean accuracy on held-out 9s and on 0 to 8" if self.rare else "accuracy on held-out digits"

    @property
    def main(self) -> list[int]:
        """Which of `replaying` differ only in the number of replays: none, and that of one kind of buffer."""
        return [j for j, x in enumerate(self.replaying) if x.source in (OFF, self.replaying[1].source)]

    @property
    def pairs(self) -> list[tuple[str, Replaying]]:
        """Learner and replays of all its conditions."""
        return [(x, r) for r in self.replaying for x in LEARNERS if x == LOCAL or not r.in_spikes]

    @property
    def timing(self) -> Timing:
        """Phases of its events."""
        return chain.timing(self.n_hops)

    @property
    def against_sham(self) -> bool:
        """Whether it is measured what the rare event alone has changed."""
        return self.rare and self.nearest == 0


def problems(config: Config) -> tuple[Problem, ...]:
    """Return all problems, in the order of tables and figures."""
    uniform = tuple(Replaying(UNIFORM, n) for n in config.replays_digits)
    prioritised = tuple(Replaying(PRIORITISED, n) for n in config.replays)
    in_spikes = (Replaying(ATTENTION), Replaying(HIPPOCAMPUS, config.budget)) if config.hippocampus else ()
    chosen = (Replaying(), *prioritised, Replaying(UNIFORM, config.budget), *in_spikes)
    all_digits = Problem(
        "all digits",
        config.n_hops_digits,
        0,
        False,
        config.looks_digits,
        config.day_digits,
        {LOCAL: config.digits_local_rates, BACKPROP: config.digits_backprop_rates},
        (Replaying(), *uniform),
        config.criterion_digits,
    )
    rare = Problem(
        "the 9",
        config.n_hops,
        0,
        True,
        config.looks,
        config.day,
        {LOCAL: config.local_rates, BACKPROP: config.backprop_rates},
        chosen,
        config.criterion,
    )
    rates = {LOCAL: config.far_local_rates, BACKPROP: config.far_backprop_rates}
    far = replace(rare, name="the 9, far hops only", nearest=config.nearest, rates=rates)
    return all_digits, rare, far


@dataclass(frozen=True)
class Condition:
    """One life."""

    problem: Problem
    learner: str
    replaying: Replaying
    seed: int
    rate: float
    role: str = RESULT

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        replayed = self.replaying.name.replace(", ", "").replace(" ", "_")
        rate = f"-rate{self.rate:g}" if self.role == TUNING else ""
        learner = self.learner.replace(" ", "_")
        return f"{self.role}-{self.problem.slug}-{learner}-{replayed}-s{self.seed}{rate}"


def tuning_conditions(config: Config, problem: Problem, learner: str, replaying: Replaying) -> list[Condition]:
    """Return the lives that choose a rate, the networks of one rate after the other."""
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    return [Condition(problem, learner, replaying, seed, x, TUNING) for x in problem.rates[learner] for seed in seeds]


# ------------------------------------------------------------------------------------------ rules of either learner

LEARNS = "int(hops{where} >= nearest{where})"
_FROM_HOP = replace(
    ErrorRelay.code,
    cell_equations="""
hops : 1 (constant)               # hops upstream of the nearest error source
nearest : 1 (shared, constant)    # first hop that learns
""",
    on_error=f"""
bias += eta*theta*{LEARNS.format(where="")}*{ERROR_SIGN.format(E="E")}
E -= theta*{ERROR_SIGN.format(E="E")}
""",
    on_post={"error": f"{LEARN}*{LEARNS.format(where='_post')}\n{RELAY}"},
)
"""The error relay, in which neither weights nor biases learn downstream of a hop. Projections that are not plastic
would leave the biases there, which can raise the 9 as a whole."""


def relay_from_hop(relay: ErrorRelay, nearest: int) -> Rule:
    """Return an error relay in which only the weights and biases of hops `nearest` and more learn."""
    # No class of its own: the model is compiled in another process, which does not know the classes of a script.
    values = relay.cell_values | {"nearest": float(nearest)}
    rule = SimpleNamespace(
        code=_FROM_HOP, reference=relay.reference, theta=relay.theta, eta=relay.eta, cell_values=values
    )
    return cast(Rule, rule)


@dataclass(frozen=True)
class FarBackprop(Backprop):
    """Backprop in which only the weights and biases of hops `nearest` and more learn."""

    nearest: int = 0

    def rates(self, n_hops: int) -> np.ndarray:
        """Learning rate by hop, shape (n_hops,)."""
        return np.where(np.arange(n_hops) < self.nearest, 0.0, super().rates(n_hops))


def local_rule(config: Config, problem: Problem, rate: float) -> Rule:
    """Return the error relay at a learning rate per event."""
    eta = rate / float(CellParameters().rmax * problem.timing.outcome)
    if problem.rare:
        return relay_from_hop(chain.screened(eta, problem.n_hops), problem.nearest)
    return ErrorRelay(theta=config.theta_digits, eta=eta)


# ------------------------------------------------------------------------------------------ what is lived


def in_rounds(stimuli: np.ndarray, n_events: int, rng: np.random.Generator) -> np.ndarray:
    """Put stimuli into random order, each once before any comes again, shape (n_events,)."""
    n_rounds = -(-n_events // len(stimuli))
    return np.concatenate([rng.permutation(stimuli) for _ in range(n_rounds)])[:n_events]


def with_nights(days: Schedule, condition: Condition, config: Config, surprise: np.ndarray) -> Schedule:
    """Put a night after every day of real events, just as long as its replays take.

    With a buffer it holds the replays; with a hippocampus nothing but rest, and a short rest follows every event.

    Parameters
    ----------
    days : Schedule
        Real events only.
    condition : Condition
    config : Config
    surprise : array, shape (n_stimuli,)
        How wrong the network is about each stimulus at the start: its priority.
    """
    problem, replaying = condition.problem, condition.replaying
    timing, evening = problem.timing, (np.arange(len(days)) + 1) % problem.day == 0
    n_replays = problem.day * replaying.per_event
    if replaying.in_spikes:
        life = days.with_rest_after(evening, n_replays / config.ripples_hz * second, timing) if n_replays else days
        return life.with_rest_after(~life.resting, config.held_s * second, timing)
    if not n_replays:
        return days
    life = days.with_rest_after(evening, n_replays * timing.event, timing)
    buffer = ReplayBuffer(config.capacity, 1 / timing.event, sampling=replaying.source, alpha=config.alpha)
    priority = surprise[life.stimulus] + 1e-6 if replaying.source == PRIORITISED else None
    return buffer.fill(life, timing, rng=np.random.default_rng([condition.seed, 2]), priority=priority)


def stretches(life: Schedule, looks: Sequence[int]) -> list[Schedule]:
    """Cut a life where accuracy is measured: after so many real events and the night that follows them."""
    n_real = np.cumsum(~life.replayed & ~life.resting)
    number = np.searchsorted(looks, n_real)
    return [life.select(number == k) for k in range(len(looks))]


@dataclass(frozen=True)
class Run:
    """What is recorded of a life.

    Attributes
    ----------
    accuracy_rare, accuracy_background : array, shape (n_looks + 1,)
        On images of the 9 and of all others, before the life and at each look; of a spiking rule in spikes, except
        where its learning rate is chosen.
    score : array, shape (n_looks + 1,)
        What is to be learned: accuracy, or the mean of that on the 9s and that on all others.
    score_rates : array, shape (n_looks + 1,)
        The same weights in the rate network.
    learned : array, shape (n_hops,)
        Relative change against the sham run, per rare event, along backprop's gradient for the rare events at the
        start: its size times the cosine between both, below 0 if it goes against.
    replayed, rare_share : float
        Replays per real event, counted, and the share of them that is the rare event's.
    """

    accuracy_rare: np.ndarray
    accuracy_background: np.ndarray
    score: np.ndarray
    score_rates: np.ndarray
    learned: np.ndarray
    replayed: np.ndarray
    rare_share: np.ndarray


def recalled(lived: Lived, schedule: Schedule, contents: dict[int, int]) -> list[int]:
    """Return the stimuli whose memories were reactivated in rests.

    Parameters
    ----------
    lived : Lived
    schedule : Schedule
        What was lived.
    contents : dict
        Stimulus that each memory was written by, before this; brought up to date.
    """
    found: list[int] = []
    onset, memories = lived.onset, lived.remembered
    if onset is None or memories is None:  # nothing can be recalled without a hippocampus
        return found
    happened = [(time, memory, True) for time, memory in zip(memories.written_time, memories.written, strict=True)]
    happened += [
        (time, memory, False) for time, memory in zip(memories.reactivation_time, memories.reactivated, strict=True)
    ]
    for time, memory, writes in sorted(happened):
        event = int(np.searchsorted(onset, time, side="right")) - 1
        if writes:
            contents[int(memory)] = int(schedule.stimulus[np.flatnonzero(~schedule.resting[: event + 1])[-1]])
        elif schedule.resting[event] and int(memory) in contents:
            found.append(contents[int(memory)])
    return found


def scored(problem: Problem, right: np.ndarray, rare: np.ndarray) -> np.ndarray:
    """Return accuracy on the rare digit, that on all others, and the score.

    Parameters
    ----------
    problem : Problem
    right : array of bool, shape (..., n_images)
    rare : array of bool, shape (n_images,)

    Returns
    -------
    array, shape (..., 3)
    """
    every, ninth, other = right.mean(-1), right[..., rare].mean(-1), right[..., ~rare].mean(-1)
    return np.stack([ninth, other, (ninth + other) / 2 if problem.rare else every], axis=-1)


class Bench:
    """What all lives share: the task, the circuits, the start weights, the compiled models."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems = problems(config)
        task = digits()
        learnable = np.flatnonzero(~task.held_out)
        validating = np.isin(np.arange(len(task.label)), learnable[::5])
        self.tasks: dict[str, Task] = {RESULT: task, TUNING: replace(task, held_out=task.held_out | validating)}
        self.chosen = {RESULT: task.held_out, TUNING: validating}
        self.circuits: dict[int, Circuit] = {p.n_hops: chain.circuit(p.n_hops) for p in self.problems}
        self.start: dict[tuple[int, bool, int], Weights] = {}
        self.surprise: dict[tuple[int, bool, int], np.ndarray] = {}
        self.models: dict[tuple[int, bool, bool], spiking.Model] = {}
        self.seen_at_start: dict[tuple[int, bool, str, int], np.ndarray] = {}
        self.stopped = threading.Event()

    def images(self, problem: Problem, role: str) -> np.ndarray:
        """Images on which accuracy is measured."""
        task, images = self.tasks[RESULT], np.flatnonzero(self.chosen[role])
        if not problem.rare:
            return images
        rare = task.label[images] == task.rare_label
        others = np.random.default_rng(0).permutation(images[~rare])[: self.config.n_probes]
        return np.concatenate([images[rare], others])

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        from bioplastic import twin

        seeds = {RESULT: self.config.seeds, TUNING: range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.config.n_tuning)}
        with ThreadPoolExecutor(1) as executor:
            compiling = executor.submit(self._compile)
            for rare in (False, True):
                n_hops = next(p.n_hops for p in self.problems if p.rare == rare)
                # Without pretraining: the orthogonal weights with which that begins.
                settings = twin.Pretraining() if rare else twin.Pretraining(steps=0)
                for role, task in self.tasks.items():  # what chooses learning rates must be new to the network too
                    cache, shown = cache_folder() / "weights", progress if rare else None
                    circuit = self.circuits[n_hops]
                    found = twin.pretrained(circuit, task, seeds[role], settings, cache=cache, progress=shown)
                    for seed, weights in zip(seeds[role], found, strict=True):
                        self.start[n_hops, rare, seed] = weights
                        predicted = self.predict(n_hops, [weights], np.arange(len(task.stimuli)))[0]
                        wrong = np.square(predicted - task.outcomes[task.label]).sum(1)
                        self.surprise[n_hops, rare, seed] = wrong
            compiling.result()
        progress(1.0)

    def _compile(self) -> None:
        for problem in self.problems:
            for replaying in problem.replaying:
                key = problem.n_hops, problem.rare, replaying.in_spikes
                if key in self.models:
                    continue
                step, target = float(Timing().resolution / second), problem.timing.lead
                event = float(problem.timing.event / second) * (
                    1 + max(self.config.replays + self.config.replays_digits)
                )
                held = self.config.held_s + self.config.budget / self.config.ripples_hz
                longest = max(np.diff((0, *problem.looks))) * (event + held * replaying.in_spikes)
                probing = len(self.images(problem, RESULT)) * float(self.looking(problem).event / second)
                spec = spiking.ModelSpec.with_room(
                    self.circuits[problem.n_hops],
                    local_rule(self.config, problem, 0.0),
                    self.tasks[RESULT],
                    max(longest, probing) / step,
                    n_snapshots=0,
                    hippocampus=Hippocampus((Target("x"), Target("y", target)), "y") if replaying.in_spikes else None,
                )
                self.models[key] = spiking.model(spec, self.tasks[RESULT])

    def looking(self, problem: Problem) -> Timing:
        """Return the phases of an event at which accuracy is measured."""
        return replace(problem.timing, outcome=self.config.look_ms * ms)

    def go_on(self) -> None:
        """Raise `KeyboardInterrupt` in whatever thread when the experiment has been stopped."""
        if self.stopped.is_set():
            raise KeyboardInterrupt

    def life(self, condition: Condition) -> Schedule:
        """Return the events of a life: real ones the same whatever is replayed, and all the same for both learners."""
        config, problem, task = self.config, condition.problem, self.tasks[condition.role]
        rng, n = np.random.default_rng([condition.seed, 1]), problem.looks[-1]
        if problem.rare:
            days = random_life(task, event_fraction=config.event_fraction, n_events=n, seed=rng)
        else:
            stimulus = in_rounds(np.flatnonzero(~task.held_out), n, rng)
            kind = np.full(n, int(Kind.BACKGROUND))
            days = Schedule(stimulus, task.label[stimulus], kind, np.ones(n), np.zeros(n, int))
        surprise = self.surprise[problem.n_hops, problem.rare, condition.seed]
        return with_nights(days, condition, config, surprise)

    def start_of(self, condition: Condition) -> Weights:
        """Return the weights that a life begins with."""
        return self.start[condition.problem.n_hops, condition.problem.rare, condition.seed]

    def predict(self, n_hops: int, networks: Sequence[Weights], images: np.ndarray) -> np.ndarray:
        """What networks predict in rates, shape (n_networks, n_images, n_outputs)."""
        from bioplastic import twin

        return twin.predict(self.circuits[n_hops], networks, self.tasks[RESULT].stimuli[images])

    # ------------------------------------------------------------------ lives

    def live(self, condition: Condition, life: Schedule, n_looks: int, phases: int) -> tuple[list[Weights], list[int]]:
        """Live in spikes until a look; return the weights at each look on the way, and the stimuli of all replays."""
        problem, start, in_spikes = condition.problem, self.start_of(condition), condition.replaying.in_spikes
        rule = local_rule(self.config, problem, condition.rate)
        ripples = Replay(self.config.ripples_hz * (condition.replaying.source == HIPPOCAMPUS) * Hz)
        weights, memory = start, None
        feedback: Feedback | None = Feedback(start.forward)
        found, replayed, contents = [], [], dict[int, int]()
        for k, stretch in enumerate(stretches(life, problem.looks)[:n_looks]):
            self.go_on()
            lived = self.models[problem.n_hops, problem.rare, in_spikes].live(
                Life(stretch, rule, weights, problem.timing, feedback, seed=phases + k, replay=ripples, memory=memory)
            )
            weights, feedback = lived.weights, lived.feedback
            memory = None if lived.remembered is None else lived.remembered.memory
            found.append(weights)
            replayed += recalled(lived, stretch, contents) + stretch.stimulus[stretch.replayed].tolist()
        return found, replayed

    def looks_in_spikes(self, condition: Condition, networks: Sequence[Weights]) -> np.ndarray:
        """Accuracies and score of networks in spikes, shape (n_networks, 3)."""
        problem, images = condition.problem, self.images(condition.problem, condition.role)
        model, rule = self.models[problem.n_hops, problem.rare, False], local_rule(self.config, problem, 0.0)
        at_start = problem.n_hops, problem.rare, condition.role, condition.seed
        predicted = []
        for weights in networks:
            self.go_on()
            life = Life(probes(images), rule, weights, self.looking(problem), seed=condition.seed)
            found = self.seen_at_start.get(at_start) if weights is networks[0] else None
            predicted.append(model.live(life).prediction if found is None else found)
        self.seen_at_start[at_start] = predicted[0]  # the same for all that begin with these weights
        return self._scored(problem, np.array(predicted), images)

    def looks_in_rates(self, condition: Condition, networks: Sequence[Weights]) -> np.ndarray:
        """Accuracies and score of networks in rates, shape (n_networks, 3)."""
        problem, images = condition.problem, self.images(condition.problem, condition.role)
        return self._scored(problem, self.predict(problem.n_hops, networks, images), images)

    def _scored(self, problem: Problem, predicted: np.ndarray, images: np.ndarray) -> np.ndarray:
        task = self.tasks[RESULT]
        right = predicted.argmax(-1) == task.label[images]
        return scored(problem, right, task.label[images] == task.rare_label)

    def in_spikes(self, condition: Condition) -> Run:
        """Live one life in spikes, and its sham runs where they are wanted."""
        problem, life, phases = condition.problem, self.life(condition), 1000 * condition.seed
        start, n_looks = self.start_of(condition), len(problem.looks)
        try:
            found, replayed = self.live(condition, life, n_looks, phases)
        except spiking.ActivityError:
            if condition.role == RESULT:
                raise
            return self._diverged(condition)  # the rate was too high, and that is what was asked
        networks, sham = [start, *found], None
        if condition.role == TUNING:
            return self._measured(condition, networks, sham, replayed, self.looks_in_rates(condition, networks))
        if problem.against_sham:
            sham = self.live(condition, life.sham(), self.config.sham_look, phases)[0][-1]
        return self._measured(condition, networks, sham, replayed, self.looks_in_spikes(condition, networks))

    def in_twin(self, conditions: Sequence[Condition]) -> list[Run]:
        """Live lives of one problem and one way to replay in the rate twin, all in one tensor program."""
        from bioplastic import twin

        problem, until = conditions[0].problem, self.config.sham_look
        circuit = self.circuits[problem.n_hops]
        lives = [self.life(c) for c in conditions]
        rules = [FarBackprop(c.rate, nearest=problem.nearest) for c in conditions]

        def lived(all_lives: Sequence[Schedule], n_looks: int) -> list[list[Weights]]:
            found = [[self.start_of(c)] for c in conditions]
            cut = [stretches(life, problem.looks) for life in all_lives]
            for k in range(n_looks):
                self.go_on()
                now = [
                    Life(pieces[k], rule, networks[-1])
                    for pieces, rule, networks in zip(cut, rules, found, strict=True)
                ]
                for networks, one in zip(found, twin.live(circuit, self.tasks[RESULT], now), strict=True):
                    networks.append(one.weights)
            return found

        found = lived(lives, len(problem.looks))
        shams: list[Weights | None] = [None for _ in conditions]
        if problem.against_sham and conditions[0].role == RESULT:
            shams = [networks[-1] for networks in lived([life.sham() for life in lives], until)]
        return [
            self._measured(c, networks, sham, life.stimulus[life.replayed].tolist(), self.looks_in_rates(c, networks))
            for c, networks, sham, life in zip(conditions, found, shams, lives, strict=True)
        ]

    def _measured(
        self,
        condition: Condition,
        networks: Sequence[Weights],
        sham: Weights | None,
        replayed: Sequence[int],
        seen: np.ndarray,
    ) -> Run:
        problem, task = condition.problem, self.tasks[RESULT]
        circuit, start = self.circuits[problem.n_hops], networks[0].forward
        learned = np.full(circuit.n_hops, np.nan)
        if sham is not None:
            until = self.config.sham_look
            lived = np.concatenate([x.stimulus[x.rare] for x in stretches(self.life(condition), problem.looks)[:until]])
            one, other = networks[until].forward, sham.forward
            caused = reach.relative_change(circuit, one, other, start) / len(lived)
            difference = {name: one[name] - other[name] for name in one}
            learned = caused * self._along_gradient(circuit, networks[0], lived, difference)
        in_rates = self.looks_in_rates(condition, networks)[:, 2]
        rare_share = (task.label[list(replayed)] == task.rare_label).mean() if replayed else np.nan
        per_event = len(replayed) / problem.looks[-1]
        rare, background, score = seen.T
        return Run(rare, background, score, in_rates, learned, np.array(per_event), np.array(rare_share))

    def _along_gradient(
        self,
        circuit: Circuit,
        start: Weights,
        rare: np.ndarray,
        change: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """Cosine by hop between a change and backprop's gradient for the rare events at the start; 0 for no change."""
        from bioplastic import twin

        task = self.tasks[RESULT]
        gradient = twin.gradient(circuit, start, task.stimuli[rare], task.outcomes[task.label[rare]])
        return np.nan_to_num(reach.alignment(circuit, change, gradient))

    def _diverged(self, condition: Condition) -> Run:
        n, nothing = len(condition.problem.looks), np.array(np.nan)
        curve = np.zeros(n + 1)
        return Run(curve, curve, curve, curve, np.full(condition.problem.n_hops, np.nan), nothing, nothing)


# ------------------------------------------------------------------------------------------ choices and summaries


def efficiency(score: np.ndarray) -> np.ndarray:
    """Mean score over the looks after the start (..., look): high for those who learn much, or from few events."""
    return score[..., 1:].mean(-1)


def tuning_scores(
    config: Config, problem: Problem, learner: str, replaying: Replaying, runs: Mapping[str, Mapping[str, Any]]
) -> np.ndarray:
    """Efficiency on validation images at each learning rate, mean over networks."""
    found = [efficiency(runs[c.name]["score"]) for c in tuning_conditions(config, problem, learner, replaying)]
    return np.reshape(found, (len(problem.rates[learner]), -1)).mean(1)


def chosen_rate(
    config: Config, problem: Problem, learner: str, replaying: Replaying, runs: Mapping[str, Mapping[str, Any]]
) -> float:
    """Return the best rate of a learner with these replays, the smallest of several equally good ones."""
    return problem.rates[learner][int(np.argmax(tuning_scores(config, problem, learner, replaying, runs)))]


def result_conditions(
    config: Config, problem: Problem, learner: str, replaying: Replaying, runs: Mapping[str, Mapping[str, Any]]
) -> list[Condition]:
    """Return the lives that give the results."""
    rate = chosen_rate(config, problem, learner, replaying, runs)
    return [Condition(problem, learner, replaying, seed, rate) for seed in config.seeds]


def events_to(score: np.ndarray, events: np.ndarray, criterion: float) -> np.ndarray:
    """Real events after which the score first reaches the criterion.

    Parameters
    ----------
    score : array, shape (..., n_looks)
    events : array, shape (n_looks,)
        Real events lived at each look.
    criterion : float

    Returns
    -------
    array, shape (...)
        Linear between looks; infinite if it never does.
    """
    found = np.full(score.shape[:-1], np.inf)
    for index in np.ndindex(found.shape):
        curve = score[index]
        above = np.flatnonzero(curve >= criterion)
        if len(above):
            k = above[0]
            share = 0.0 if k == 0 else (criterion - curve[k - 1]) / (curve[k] - curve[k - 1])
            found[index] = events[k] if k == 0 else events[k - 1] + share * (events[k] - events[k - 1])
    return found


_LIFE = ("learner", "replay", "seed")
_CURVE = (*_LIFE, "event")
ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "replay": Variable(("replay",), "1", "what is replayed, and how often per real event", "str"),
    "seed": Variable(("seed",), "1", "seed of network, events and spike phases", "int64"),
    "event": Variable(("event",), "1", "real events lived through", "int64"),
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "replays_per_event": Variable(("replay",), "1", "replays per real event, as asked for", "int64"),
    "replayed": Variable(_LIFE, "1", "replays per real event, counted"),
    "rare_share": Variable(_LIFE, "1", "share of the replays that are the rare event's"),
    "accuracy_rare": Variable(_CURVE, "1", "accuracy on held-out 9s; of a spiking rule in spikes"),
    "accuracy_background": Variable(_CURVE, "1", "accuracy on held-out images of 0 to 8"),
    "score": Variable(_CURVE, "1", "what is to be learned: accuracy, or mean of that on 9s and that on 0 to 8"),
    "score_rates": Variable(_CURVE, "1", "score of the same weights in the rate network"),
    "events_to_criterion": Variable(_LIFE, "1", "real events until the score reaches the criterion (inf: never)"),
    "learned": Variable(
        (*_LIFE, "hop"), "1", "relative change against the sham run along backprop's gradient, per rare event"
    ),
    "learning_rate": Variable(("learner", "replay"), "1", "learning rate per event"),
}
"""Variables of ``/summary/<problem>``; NaN where there is nothing to measure."""
SWEEP_ROWS = {
    "learner": ROWS["learner"],
    "replay": ROWS["replay"],
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "rate": Variable(("learner", "rate_index"), "1", "learning rate per event that was tried"),
    "score": Variable(
        ("learner", "replay", "rate_index"), "1", "mean score over looks on validation images, tuning networks"
    ),
}
"""Variables of ``/learning_rate_sweep/<problem>``."""
RUN_ROWS = {
    "event": ROWS["event"],
    "hop": ROWS["hop"],
    **{
        name: replace(ROWS[name], dims=("event",))
        for name in ("accuracy_rare", "accuracy_background", "score", "score_rates")
    },
    "learned": replace(ROWS["learned"], dims=("hop",)),
    **{name: replace(ROWS[name], dims=()) for name in ("replayed", "rare_share")},
}
"""Variables of ``/runs/<run>``."""


def summarise(config: Config, problem: Problem, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results of a problem into labelled arrays."""
    events = np.array((0, *problem.looks))
    axes = len(LEARNERS), len(problem.replaying), len(config.seeds)
    values: dict[str, Any] = {
        "learner": LEARNERS,
        "replay": [x.name for x in problem.replaying],
        "seed": np.array(config.seeds),
        "event": events,
        "hop": np.arange(problem.n_hops),
        "replays_per_event": np.array([x.per_event for x in problem.replaying]),
        "learning_rate": np.full(axes[:2], np.nan),
        "events_to_criterion": np.full(axes, np.nan),
    }
    for learner, replaying in problem.pairs:
        here = LEARNERS.index(learner), problem.replaying.index(replaying)
        found = [runs[c.name] for c in result_conditions(config, problem, learner, replaying, runs)]
        values["learning_rate"][here] = chosen_rate(config, problem, learner, replaying, runs)
        for name in RUN_ROWS:
            if name not in ("event", "hop"):
                of_seeds = np.array([run[name] for run in found])
                values.setdefault(name, np.full(axes[:2] + of_seeds.shape, np.nan))[here] = of_seeds
        values["events_to_criterion"][here] = events_to(values["score"][here], events, problem.criterion)
    return values


def swept(config: Config, problem: Problem, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the choice of learning rates into labelled arrays."""
    width = max(len(rates) for rates in problem.rates.values())
    rate = np.full((len(LEARNERS), width), np.nan)
    score = np.full((len(LEARNERS), len(problem.replaying), width), np.nan)
    for learner, replaying in problem.pairs:
        i, tried = LEARNERS.index(learner), problem.rates[learner]
        rate[i, : len(tried)] = tried
        found = tuning_scores(config, problem, learner, replaying, runs)
        score[i, problem.replaying.index(replaying), : len(tried)] = found
    names = [x.name for x in problem.replaying]
    return {"learner": LEARNERS, "replay": names, "rate_index": np.arange(width), "rate": rate, "score": score}


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(chain.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=RUN_ROWS, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, run: Run) -> None:
    """Keep a finished life."""
    problem = condition.problem
    what = {
        "problem": problem.name,
        "learner": condition.learner,
        "replay": condition.replaying.name,
        "role": condition.role,
        "seed": condition.seed,
        "learning_rate": condition.rate,
    }
    axes = {"event": np.array((0, *problem.looks)), "hop": np.arange(problem.n_hops)}
    store.add(condition.name, vars(run) | axes, what)


def finish(store: script.Store, bench: Bench) -> None:
    """Make one file of all lives."""
    config = bench.config

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = json.dumps([json.loads(c.to_json()) for c in bench.circuits.values()])
        for problem in bench.problems:
            group = file.create_group(f"summary/{problem.slug}")
            group.attrs["problem"], group.attrs["criterion"] = problem.name, problem.criterion
            recording.write_labelled(group, ROWS, summarise(config, problem, store.runs))
            rates = file.create_group(f"learning_rate_sweep/{problem.slug}")
            recording.write_labelled(rates, SWEEP_ROWS, swept(config, problem, store.runs))

    store.finish("How many real events, and how many replays", fill)


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
        row = bar.add_task("pretraining and compiling", total=100)

        def shown(fraction: float) -> None:
            bar.update(row, completed=int(100 * fraction))

        def stop() -> None:
            bench.stopped.set()
            end_programs()

        everyone = [(problem, *pair) for problem in bench.problems for pair in problem.pairs]
        pairs = {learner: [x for x in everyone if x[1] == learner] for learner in LEARNERS}
        rows = {learner: bar.add_task(learner, total=2 * len(found)) for learner, found in pairs.items()}

        def all_in_twin() -> None:
            for problem, learner, replaying in pairs[BACKPROP]:
                for choose in (tuning_conditions, partial(result_conditions, runs=store.runs)):
                    conditions = choose(config, problem, learner, replaying)
                    missing = [c for c in conditions if c.name not in store.runs]
                    if missing:
                        for condition, lived in zip(missing, bench.in_twin(missing), strict=True):
                            keep(store, condition, lived)
                    bar.advance(rows[BACKPROP])

        def all_in_spikes() -> None:
            for choose in (tuning_conditions, partial(result_conditions, runs=store.runs)):
                conditions = [c for pair in pairs[LOCAL] for c in choose(config, *pair)]
                missing = [c for c in conditions if c.name not in store.runs]
                # Seed by seed, and the longest first.
                missing.sort(
                    key=lambda c: (c.seed, -c.problem.n_hops * c.problem.looks[-1] * (1 + c.replaying.per_event))
                )
                share = len(pairs[LOCAL]) / max(1, len(missing))

                def work(condition: Condition) -> None:
                    keep(store, condition, bench.in_spikes(condition))

                def done(_: Condition, share: float = share) -> None:
                    bar.advance(rows[LOCAL], share)

                sweep.run_all(missing, work, executor, done=done, stop=stop)

        try:
            bench.prepare(shown)
            twin_lives = beside.submit(all_in_twin)
            all_in_spikes()
            twin_lives.result()
        except BaseException:
            stop()
            raise
    finish(store, bench)
    return out


# ------------------------------------------------------------------------------------------ verdicts


def gain(one: np.ndarray, other: np.ndarray) -> Estimate:
    """Estimate by how many points one learner's scores (seed) are above another's."""
    return estimate(100 * (one - other))


def word(found: Estimate) -> str:
    """Whether the first is ahead; undecided if the interval holds 0 or there is but one seed."""
    if found.n < 2:
        return "undecided"
    return "ahead" if found.low > 0 else "behind" if found.high < 0 else "undecided"


def points(found: Estimate) -> str:
    """Say it."""
    return f"{word(found)}, {found.mean:+.1f} points [{found.low:+.1f}, {found.high:+.1f}]"


def price(replays: Sequence[int], gains: Sequence[Estimate]) -> int | None:
    """Fewest replays per real event from which on the local rule is ahead with every number that was tried."""
    best: int | None = None
    for n, found in sorted(zip(replays, gains, strict=True), key=lambda pair: -pair[0]):
        if word(found) != "ahead":
            break
        best = n
    return best


def far_ratio(learned: np.ndarray, reference: np.ndarray, nearest: int, *, per_hop_0: bool = False) -> Estimate:
    """What far hops learn per rare event, as a fraction of what they learn in the reference.

    Parameters
    ----------
    learned, reference : array, shape (n_seeds, n_hops)
    nearest : int
        First far hop.
    per_hop_0 : bool, optional
        Whether both are first divided by what hop 0 learns.

    Returns
    -------
    Estimate
        Ratio of the means over seeds, and its bootstrap interval over seeds.
    """
    one, other = learned[:, nearest:].mean(1), reference[:, nearest:].mean(1)
    if per_hop_0:
        one, other = one / learned[:, 0], other / reference[:, 0]
    drawn = np.random.default_rng(0).integers(0, len(one), (reach.RESAMPLES, len(one)))
    low, high = np.percentile(one[drawn].mean(1) / other[drawn].mean(1), [2.5, 97.5])
    return Estimate(float(one.mean() / other.mean()), float(low), float(high), len(one))


def _counted(events: np.ndarray) -> str:
    """Median over seeds of the events to the criterion, "never" included, and how many seeds got there."""
    there, middle = int(np.isfinite(events).sum()), float(np.median(events))
    return f"{'never' if np.isinf(middle) else f'{middle:.0f}'} ({there}/{len(events)})"


def verdicts(problem: Problem, summary: Mapping[str, Any]) -> list[str]:
    """Say what the numbers of a problem mean for the argument."""
    score = efficiency(summary["score"])
    in_rates = efficiency(summary["score_rates"])[LEARNERS.index(LOCAL)]
    local, backprop = score[LEARNERS.index(LOCAL)], score[LEARNERS.index(BACKPROP)]
    needed = [[_counted(x) for x in row] for row in summary["events_to_criterion"]]
    names = list(summary["replay"])
    gains = [gain(x, backprop[0]) for x in local]
    lines = [
        f"Local ({name}) against backprop without replay: {points(found)}; real events to {problem.criterion:.0%}: "
        f"{needed[0][j]} against {needed[1][0]}."
        for j, (name, found) in enumerate(zip(names, gains, strict=True))
    ]
    asked = [problem.replaying[j].per_event for j in problem.main]
    paid = price(asked, [gains[j] for j in problem.main])
    lines.append(
        f"With the same buffer the local rule needs fewer real events than backprop without replay; price in replays "
        f"per real event: {paid}."
        if paid is not None
        else f"The local rule is NOT reliably ahead of backprop without replay, up to {max(asked)} replays per real "
        "event from the buffer."
    )
    for j, replaying in enumerate(problem.replaying):
        if replaying.per_event and not replaying.in_spikes:
            lines.append(
                f"Same replays for both ({names[j]}), local against backprop: {points(gain(local[j], backprop[j]))}; "
                f"what it learned in spikes, read out in rates: {points(gain(in_rates[j], backprop[j]))}."
            )
        if replaying.source == HIPPOCAMPUS:
            counted = summary["replayed"][LEARNERS.index(LOCAL), j].mean()
            same = {x.source: k for k, x in enumerate(problem.replaying) if x.per_event == replaying.per_event}
            calm = names.index(ATTENTION)
            lines.append(
                f"The hippocampus replayed {counted:.2f} times per real event. With its ripples against without: "
                f"{points(gain(local[j], local[calm]))}; against the local rule with as many from the buffer, "
                f"prioritised: {points(gain(local[j], local[same[PRIORITISED]]))}, uniform: "
                f"{points(gain(local[j], local[same[UNIFORM]]))}; against backprop with them, prioritised: "
                f"{points(gain(local[j], backprop[same[PRIORITISED]]))}, uniform: "
                f"{points(gain(local[j], backprop[same[UNIFORM]]))}."
            )
    return lines


def far_verdicts(summary: Mapping[str, Any], nearest: int) -> list[str]:
    """Say whether far hops learn less per event under the local rule, and how many replays make up for it."""
    local, backprop = (summary["learned"][LEARNERS.index(name)] for name in (LOCAL, BACKPROP))
    plain = far_ratio(local[0], backprop[0], nearest)
    against_hop_0 = far_ratio(local[0], backprop[0], nearest, per_hop_0=True)
    less = (
        "undecided (one seed)" if plain.n < 2 else "yes" if plain.high < 1 else "NO" if plain.low > 1 else "undecided"
    )
    return [
        f"Per rare event and without replay, hops {nearest} and more learn {plain} times what they learn under "
        f"backprop ({against_hop_0} times, if both are measured against hop 0): far hops learn less per event under "
        f"the local rule: {less}.",
        *(
            f"With {name} they learn {far_ratio(local[j], backprop[0], nearest)} times what backprop without "
            "replay teaches them."
            for j, name in enumerate(summary["replay"])
            if j
        ),
    ]


# ------------------------------------------------------------------------------------------ tables and figure


def print_tables(problem: Problem, summary: Mapping[str, Any], rates: Mapping[str, Any]) -> None:
    """Print the results of a problem, and how its learning rates were chosen."""
    console = script.console()
    n_seeds = len(summary["seed"])
    title = f"{problem.name}: {problem.measure}, %, mean over {n_seeds} seed{'s' * (n_seeds > 1)} [95 %]"
    table = Table(title=title, padding=(0, 0))
    table.add_column("learner, replays per real event", no_wrap=True)
    columns = "all looks", f"{summary['event'][-1]} events", f"to {problem.criterion:.0%}", "9s/others"
    for column in (*columns, "in rates", "replays", "of 9s", "rate"):
        table.add_column(column, justify="right")
    choice = Table(title=f"{problem.name}: mean score over looks on validation images by learning rate per event, %")
    choice.add_column("learner, replays", no_wrap=True)
    choice.add_column("rate: score, tuning networks, in rates")
    for learner, replaying in sorted(problem.pairs, key=lambda pair: LEARNERS.index(pair[0])):
        here = LEARNERS.index(learner), problem.replaying.index(replaying)
        curve = 100 * summary["score"][here]
        last = [100 * summary[f"accuracy_{part}"][here][:, -1].mean() for part in ("rare", "background")]
        of_9s = summary["rare_share"][here].mean()
        table.add_row(
            f"{learner}: {replaying.name}",
            "{0.mean:.1f} [{0.low:.0f}, {0.high:.0f}]".format(estimate(efficiency(curve))),
            f"{curve[:, -1].mean():.1f}",
            _counted(summary["events_to_criterion"][here]),
            f"{last[0]:.0f}/{last[1]:.0f}",
            f"{100 * efficiency(summary['score_rates'][here]).mean():.1f}",
            f"{summary['replayed'][here].mean():.2f}",
            "" if np.isnan(of_9s) else f"{of_9s:.0%}",
            f"{summary['learning_rate'][here]:g}",
        )
        tried = [x for x in zip(rates["rate"][here[0]], rates["score"][here], strict=True) if np.isfinite(x[1])]
        best = max(range(len(tried)), key=lambda k: (tried[k][1], -k))
        edge = "  (best at the edge)" if best in (0, len(tried) - 1) else ""
        cells = ", ".join(f"{x:g}: {100 * y:.1f}" for x, y in tried)
        choice.add_row(f"{learner}: {replaying.name}", cells + edge)
    console.print(table)
    console.print(choice)


def print_hops(problem: Problem, summary: Mapping[str, Any]) -> None:
    """Print what a rare event teaches each hop."""
    table = Table(
        title=f"{problem.name}: change per rare event along backprop's gradient, in millionths of the weights, by hop",
        padding=0,
    )
    table.add_column("learner: replay", no_wrap=True)
    for hop in summary["hop"]:
        table.add_column(str(hop), justify="right", no_wrap=True)
    for learner, replaying in sorted(problem.pairs, key=lambda pair: LEARNERS.index(pair[0])):
        row = 1e6 * summary["learned"][LEARNERS.index(learner), problem.replaying.index(replaying)].mean(0)
        cells = (f"{x:.1f}" if 0 < abs(x) < 10 else f"{x:.0f}" for x in row)
        table.add_row(f"{learner}: {replaying.name}", *cells)
    script.console().print(table)


LOOKS = dict(zip(LEARNERS, plots.styles(LEARNERS), strict=True))
PLAIN = (0, (1, 1.2))
GREEN = "#1b7837"


def _shown(config: Config, problem: Problem) -> list[tuple[int, int, dict[str, Any]]]:
    """Which conditions the curves show: learner, replay, look; no replay, those of the budget, the hippocampus."""
    budget = config.budget if problem.rare else config.replays_digits[-1]
    found: list[tuple[int, int, dict[str, Any]]] = []
    for learner, replaying in problem.pairs:
        here = LEARNERS.index(learner), problem.replaying.index(replaying)
        look: dict[str, Any] = {"color": LOOKS[learner].color, "marker": LOOKS[learner].marker}
        if replaying.source == HIPPOCAMPUS:
            found.append((*here, {"color": GREEN, "marker": "s", "linestyle": "--"}))
        elif replaying.source == OFF:
            found.append((*here, {**look, "linestyle": PLAIN, "fillstyle": "none"}))
        elif here[1] in problem.main and replaying.per_event == budget:
            found.append((*here, {**look, "linestyle": "-"}))
    return found


def _curves(axes: Axes, config: Config, problem: Problem, summary: Mapping[str, Any]) -> None:
    """Draw scores over real events."""
    for i, j, look in _shown(config, problem):
        plots.band(axes, summary["event"], 100 * summary["score"][i, j], **look)
    axes.axhline(100 * problem.criterion, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlabel("real events")
    axes.set_ylabel("accuracy, mean of\n9s and others (%)" if problem.rare else "accuracy (%)")
    plots.heading(axes, problem.name)


def _by_replays(axes: Axes, problem: Problem, summary: Mapping[str, Any]) -> None:
    """Draw the mean score over looks against replays per real event."""
    score = 100 * efficiency(summary["score"])
    for learner, replaying in problem.pairs:
        i, j = LEARNERS.index(learner), problem.replaying.index(replaying)
        if j in problem.main:
            continue
        look: dict[str, Any] = {"color": LOOKS[learner].color, "marker": LOOKS[learner].marker, "fillstyle": "left"}
        if replaying.in_spikes:
            look = {"color": GREEN, "marker": "s", "fillstyle": "full" if replaying.per_event else "none"}
        low, high = reach.interval(score[i, j])
        middle, x = score[i, j].mean(), summary["replayed"][i, j].mean()
        axes.errorbar(x, middle, [[middle - low], [high - middle]], linestyle="", elinewidth=0.8, **look)
    for learner in LEARNERS:
        values = score[LEARNERS.index(learner), problem.main].T
        asked = summary["replays_per_event"][problem.main]
        plots.band(axes, asked, values, color=LOOKS[learner].color, marker=LOOKS[learner].marker, linestyle="-")
    axes.axhline(score[LEARNERS.index(BACKPROP), 0].mean(), color=LOOKS[BACKPROP].color, linewidth=0.6, linestyle=":")
    axes.set_xticks(sorted({x.per_event for x in problem.replaying}))
    axes.set_xlabel("replays per real event")
    axes.set_ylabel("mean over looks (%)")


def _hops(axes: Axes, config: Config, problem: Problem, summary: Mapping[str, Any]) -> None:
    """Draw what a rare event teaches each hop."""
    shown = [(1e6 * summary["learned"][i, j], look) for i, j, look in _shown(config, problem)]
    sizes = np.abs([values.mean(0) for values, _ in shown])
    threshold = 10 ** np.ceil(np.log10(max(sizes[sizes > 0].min(), 1e-3 * sizes.max())))
    for values, look in shown:
        plots.band(axes, summary["hop"], values, **look)
    axes.set_yscale("symlog", linthresh=threshold)
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.axvline(config.nearest - 0.5, color="0.6", linewidth=0.6, linestyle=":")
    axes.set_xticks(summary["hop"])
    axes.set_xlabel("hops upstream")
    axes.set_ylabel("learned per rare event\n(millionths of the weights)")
    plots.heading(axes, f"{problem.name}: by hop")


def figure(config: Config, summaries: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw scores over real events and over replays, and what each hop learns per event."""
    everyone = problems(config)
    n_seeds = len(config.seeds)
    with plots.page(150) as drawn:
        grid = drawn.add_gridspec(3, 3)
        axes = [[drawn.add_subplot(grid[row, k]) for k in range(3)] for row in range(2)]
        for k, problem in enumerate(everyone):
            _curves(axes[0][k], config, problem, summaries[problem.name])
            _by_replays(axes[1][k], problem, summaries[problem.name])
        wide, beside = drawn.add_subplot(grid[2, :2]), drawn.add_subplot(grid[2, 2])
        (measured,) = [p for p in everyone if p.against_sham]
        _hops(wide, config, measured, summaries[measured.name])
        all_digits = config.replays_digits[-1]
        black: dict[str, Any] = {"color": "0.2", "marker": "o"}
        green: dict[str, Any] = {"color": GREEN, "marker": "s"}
        in_spikes = [
            Line2D([], [], linestyle="--", label="relay, hippocampus in spikes", **green),
            Line2D([], [], linestyle="", fillstyle="none", label="e, f: the same without ripples", **green),
        ]
        handles = [
            *(Line2D([], [], color=LOOKS[x].color, marker=LOOKS[x].marker, linestyle="-", label=x) for x in LEARNERS),
            *(in_spikes if config.hippocampus else ()),
            Line2D([], [], linestyle=PLAIN, fillstyle="none", label="a-c, g: no replay", **black),
            Line2D(
                [], [], linestyle="-", label=f"a-c, g: {config.budget} replays per event (a: {all_digits})", **black
            ),
            Line2D([], [], linestyle="", fillstyle="left", label="e, f: drawn uniformly", **black),
            Line2D([], [], linestyle=":", color="0.6", label="a-c: criterion; g: where far begins"),
            Line2D([], [], linestyle=":", color=LOOKS[BACKPROP].color, label="d-f: backprop without replay"),
        ]
        beside.axis("off")
        beside.legend(handles=handles, loc="center", frameon=False)
        for panel, name in zip([*axes[0], *axes[1], wide], "abcdefg", strict=True):
            plots.letter(panel, name)
        plots.note(
            drawn,
            "Held-out images, in spikes for the error relay, in rates for backprop. Replays from the buffer are drawn "
            "uniformly in a and d, by surprise at the start in b, c, e, f. g: change against the sham run along "
            f"backprop's gradient at the start, after {config.looks[config.sham_look - 1]} real events. "
            + (
                "One seed, and therefore no interval."
                if n_seeds == 1
                else f"Mean over {n_seeds} seeds; bands and bars: 95 % bootstrap interval over seeds."
            ),
        )
    return drawn


def show(path: Path, config: Config) -> None:
    """Print the tables and the verdicts, and draw the figure."""
    console = script.console()
    summaries = {}
    with h5py.File(path) as file:
        for problem in problems(config):
            summaries[problem.name] = recording.read_labelled(file[f"summary/{problem.slug}"], ROWS)
            rates = recording.read_labelled(file[f"learning_rate_sweep/{problem.slug}"], SWEEP_ROWS)
            print_tables(problem, summaries[problem.name], rates)
            if problem.against_sham:
                print_hops(problem, summaries[problem.name])
    if len(config.seeds) == 1:
        console.print("One seed, and therefore no interval and no verdict.")
    if not config.hippocampus:
        console.print("Without the hippocampus in spikes, whose model takes minutes to compile.")
    for problem in problems(config):
        console.print(f"[bold]{problem.name}[/bold] ({problem.measure}, mean over looks)", soft_wrap=True)
        lines = verdicts(problem, summaries[problem.name])
        if problem.against_sham:
            lines = far_verdicts(summaries[problem.name], config.nearest) + lines
        for line in lines:
            console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    for written in plots.save(figure(config, summaries), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="data_efficiency",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one seed, 40 or 100 real events, no hippocampus, under a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs), config),
    )


if __name__ == "__main__":
    sys.exit(main())
