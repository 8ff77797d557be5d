"""Follow one single event, and ask whether a night of replay carries it as far upstream as real repetitions would.

Question
    A chain that has learned the digits 0 to 8 lives a day on which a 9 comes along once. How far upstream does that
    get, by its salience: by itself, held in attention, and replayed in the night that follows? How many replays equal
    one real event, hop by hop? Does reach against the number of events and replays fall on the curve that events of
    some frequency make? What does replay do to the rest? Controls: the same number of real repetitions, at the same
    moments; replays with shuffled outcomes; of the stimulus alone; the memory deleted after it was written; and a plain
    buffer that replays from the schedule, uniformly or by surprise.
Source
    Equations and sources of the hippocampus: docs/hippocampus.md; of the chain: models/chain.py.
Command
    python scripts/one_time_event.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 11 minutes, --quick 1 minute, models compiled. It may be interrupted and
    goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, tables on the terminal.

A run is three lives: with the event, without it (sham: what follows its stimulus, in replay too, is what the network
itself predicts), and the sham with other spike phases, which gives the floor below which a change counts as noise.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bioplastic_models import chain
from brian2 import Hz, second
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from rich.table import Table

from bioplastic import hippocampus as hippocampal
from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Event, Kind, Schedule, lay_out, random_life
from bioplastic.hippocampus import Memory, Replay
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.statistics import Estimate, estimate
from bioplastic.tasks import Task, digits

SCHEMA = "bioplastic one-time event"
TUNING_SEEDS = (998, 999)
"""The learning rate is chosen on networks of their own, not on those that give the results."""
OTHER_PHASES = 1_000_000
"""What is added to the seed of the spike phases of the second sham life."""
UNHELD = 1e-3
"""Importance at which nothing is held in attention."""
FARTHEST = 7
"""Hop at which the axes of the figure end."""
TOLERANCE = 1
"""Hops by which replay may fall short of real repetitions."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    seeds : tuple of int
        One network, one 9, one day and one night each.
    saliences : tuple of float
        Importance of the single event; the last is that of all controls.
    n_background : int
        Events of the day beside the single one.
    pause : float
        Seconds of rest after each event of the day, in which it may be held.
    night : float
        Seconds of rest in which memories are replayed,
    replay_rate : float
        at so many per second;
    other_replay_rates : tuple of float
        and at these, to see how reach depends on the frequency of replays.
    looks : tuple of float
        Fractions of the night after which the weights are looked at.
    rates : tuple of float
        Learning rates to choose from, at real repetitions; replay is shown at all of them.
    event_fractions : tuple of float
        Frequencies of the curve that replay is compared with,
    n_events : int
        in lives of so many events.
    n_trials : int
        Single events per salience and seed by which it is measured how often one is written.
    buffer : int
        Events that the plain buffer remembers.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    saliences: tuple[float, ...] = (0.1, 0.3, 1.0, 2.0, 4.0)
    n_background: int = 20
    pause: float = 3.2
    night: float = 200.0
    replay_rate: float = 0.4
    other_replay_rates: tuple[float, ...] = (0.1, 1.0, 1.5)
    looks: tuple[float, ...] = (0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0)
    rates: tuple[float, ...] = (0.00001, 0.0001, 0.0003, 0.001)
    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    n_events: int = 300
    n_trials: int = 40
    buffer: int = 20


QUICK = Config(
    seeds=(0, 1),
    saliences=(0.1, 4.0),
    n_background=4,
    night=40.0,
    other_replay_rates=(),
    looks=(0.25, 1.0),
    rates=(0.0001,),
    event_fractions=(0.1,),
    n_events=40,
    n_trials=4,
    buffer=4,
)

REPLAY, OFF = "replay", "no replay"
REAL, AFTER = "real, never held", "real, after the same day"
UNIFORM, PRIORITISED = "buffer, uniform", "buffer, prioritised"
SHUFFLED, ALONE, DELETED = "shuffled outcomes", "stimulus alone", "memory deleted"
FREQUENCY, WRITING = "frequency", "writing"
CONTROLS = (OFF, REPLAY, AFTER, REAL, UNIFORM, PRIORITISED, SHUFFLED, ALONE, DELETED)


@dataclass(frozen=True)
class Condition:
    """One run: an arm, for one seed."""

    arm: str
    salience: float
    seed: int
    eta: float
    event_fraction: float = float("nan")
    replay_rate: float = float("nan")
    role: str = "result"

    @property
    def day_salience(self) -> float:
        """Importance of the event by day."""
        return UNHELD if self.arm == REAL else self.salience

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        fraction = f"-f{self.event_fraction:g}" if self.arm == FREQUENCY else ""
        rate = f"-rate{self.replay_rate:g}" if self.replay_rate == self.replay_rate else ""
        slug = self.arm.replace(", ", "-").replace(" ", "_")
        return f"{self.role}-{slug}{fraction}{rate}-sal{self.salience:g}-eta{self.eta:g}-s{self.seed}"


PER_LOOK, PER_HOP = ("look",), ("look", "hop")
ROWS = {
    "hop": recording.COORDINATES["hop"],
    "n_rare": Variable(PER_LOOK, "1", "replays, or real repetitions, of the single event so far"),
    "n_all": Variable(PER_LOOK, "1", "replays, or real events, of any kind so far"),
    "change": Variable(PER_HOP, "1", "relative change of the weights against the sham run"),
    "change_floor": Variable(PER_HOP, "1", "relative change of the weights between two sham runs"),
    "change_night": Variable(PER_HOP, "1", "relative change of the weights against the sham run, since the day ended"),
    "change_night_floor": Variable(PER_HOP, "1", "relative change between two sham runs since the day ended"),
    "error_event": Variable(("end",), "1", "squared error of the prediction for the single event, in the rate network"),
    "error_rare": Variable(("end",), "1", "the same for held-out 9s"),
    "error_background": Variable(("end",), "1", "the same for held-out digits 0 to 8"),
    "accuracy_rare": Variable(("end",), "1", "accuracy on held-out 9s, in the rate network"),
    "accuracy_background": Variable(("end",), "1", "accuracy on held-out digits 0 to 8, in the rate network"),
    "caused": Variable(("synapse",), "1", "change of the weights in the night less that in the sham run", "float32"),
    "noise": Variable(("synapse",), "1", "change of the weights in the night, second sham run less first", "float32"),
    "written": Variable((), "1", "whether the single event was written to memory", "int8", ("no", "yes")),
    "error_spikes_day": Variable(("hop",), "1", "error spikes of the single event and the pause after it"),
    "reactivation_time": Variable(("reactivation",), "s", "since the beginning of the night"),
    "reactivated": Variable(("reactivation",), "1", "which memory is replayed", "int64"),
    "rare_memory": Variable((), "1", "which memory is that of the single event (-1: none)", "int64"),
    "tag": Variable(("memory",), "1", "tag of each memory at the end of the day; 0 where there is none"),
    "ripple_length": Variable(("ripple",), "ms", "from the first to the last spike of an index cell's ripple"),
    "trials": Variable((), "1", "single events by which it is measured how often one is written", "int64"),
    "share_written": Variable((), "1", "share of them that is written"),
    "hold": Variable((), "s", "mean time for which their error spikes ask attention to hold them"),
}
"""What is recorded of a run. Look 0 is the end of the day, end 0 too, and end 1 that of the night; a frequency run has
no day, and its ends are those of the life."""


class Bench:
    """What all runs share: the task, the circuit, the start weights, the compiled model, and the days."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task: Task = digits()
        self.circuit: Circuit = chain.circuit()
        self.timing = chain.timing()
        self.hippocampus = chain.hippocampus()
        self.weights: dict[int, Weights] = {}
        self.model: spiking.Model | None = None
        self.rare = self.task.indices(rare=True, held_out=True)
        self.background = self.task.indices(rare=False, held_out=True)
        # Index of the single event among the events of a day, of which every second is a pause.
        self.halfway = 2 * (config.n_background // 2)
        self._days: dict[tuple[Any, ...], Lived] = {}
        self._lock = threading.Lock()

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Pretrain the networks and compile the model, both from the cache if they are there."""
        from bioplastic import twin

        seeds = (*self.config.seeds, *TUNING_SEEDS)
        cache = cache_folder() / "weights"
        found = twin.pretrained(self.circuit, self.task, seeds, cache=cache, progress=progress)
        self.weights = dict(zip(seeds, found, strict=True))
        spec = spiking.ModelSpec.with_room(self.circuit, chain.screened(), self.task, 0, hippocampus=self.hippocampus)
        self.model = spiking.model(spec, self.task)

    def lived(self, life: Life) -> Lived:
        """Live a life."""
        assert self.model is not None
        return self.model.live(life)

    # ------------------------------------------------------------------ the day

    def day_schedule(self, seed: int, salience: float) -> Schedule:
        """Return a day: background events with the single event halfway, and a pause after each."""
        rng = np.random.default_rng([seed, 1])
        shown = rng.choice(self.task.indices(rare=False, held_out=False), self.config.n_background)
        events = [Event(int(s), int(self.task.label[s])) for s in shown]
        events.insert(self.halfway // 2, replace(self.single(seed), salience=salience))
        day = Schedule.of(events)
        return day.with_rest_after(np.ones(len(day), bool), self.config.pause * second, self.timing)

    def single(self, seed: int) -> Event:
        """Return the single event of a seed."""
        stimulus = int(np.random.default_rng([seed, 2]).choice(self.task.indices(rare=True, held_out=False)))
        return Event(stimulus, int(self.task.label[stimulus]), Kind.RARE)

    def day(self, condition: Condition, *, sham: bool = False, phases: int = 0) -> Lived:
        """Live the day of a condition, once for all runs that have the same."""
        key = (condition.seed, condition.day_salience, condition.eta, sham, phases)
        with self._lock:
            there = self._days.get(key)
        if there is None:
            schedule = self.day_schedule(condition.seed, condition.day_salience)
            life = self.life(condition, schedule.sham() if sham else schedule, self.weights[condition.seed], phases)
            there = self.lived(life)
            with self._lock:
                self._days[key] = there
        return there

    def life(self, condition: Condition, schedule: Schedule, weights: Weights, phases: int) -> Life:
        """Return a life of a condition without any memory."""
        rule, seed = chain.screened(condition.eta), condition.seed
        return Life(schedule, rule, weights, self.timing, seed=seed, phases=seed + phases)

    def rare_memory(self, condition: Condition) -> int:
        """Which memory the single event was written to; -1 if to none."""
        lived = self.day(condition)
        onset, hippocampus = lived.onset, lived.remembered
        assert onset is not None and hippocampus is not None
        begin, end = onset[self.halfway], onset[self.halfway + 1] + self.config.pause
        during = (hippocampus.written_time >= begin) & (hippocampus.written_time < end)
        return int(hippocampus.written[during][-1]) if during.any() else -1

    # ------------------------------------------------------------------ the night

    def edges(self) -> np.ndarray:
        """When the weights are looked at, in steps from the beginning of the night; the first is 0."""
        night = self.timing.count("night", self.config.night * second)
        return np.array([0, *(round(night * look) for look in self.config.looks)])

    def rest(self) -> tuple[Schedule, list[int]]:
        """Return a night in which nothing happens, and the event that each look comes after."""
        lengths = np.diff(self.edges())
        return Schedule.of([Event(kind=Kind.REST, rest=int(n)) for n in lengths]), list(range(len(lengths)))

    def repetitions(self, event: Event, times: np.ndarray) -> tuple[Schedule, list[int]]:
        """Return a night in which an event really comes back at certain times in s, and what each look comes after."""
        edges, length = self.edges(), round(float(self.timing.event / self.timing.resolution))
        starts = np.round(times / float(self.timing.resolution)).astype(int)
        events: list[Event] = []
        looks, now = [], 0
        for begin, end in pairwise(edges):
            for start in starts[(starts >= begin) & (starts < end)]:
                start = max(int(start), now)  # noqa: PLW2901 - a repetition waits until the one before is over
                events += [Event(kind=Kind.REST, rest=start - now)] * (start > now) + [event]
                now = start + length
            if now < end:
                events.append(Event(kind=Kind.REST, rest=int(end - now)))
                now = int(end)
            looks.append(len(events) - 1)
        return Schedule.of(events), looks

    def buffered(self, condition: Condition) -> tuple[Schedule, list[int]]:
        """Return a night in which a plain buffer replays the day."""
        day = self.day_schedule(condition.seed, condition.day_salience)
        lived = self.day(condition)
        rate, n = self.config.replay_rate * Hz, len(day)
        sampling = "uniform" if condition.arm == UNIFORM else "prioritised"
        surprise = np.ones(n)
        shown = ~day.resting
        wanted = self.task.outcomes[day.outcome[shown]]
        surprise[shown] = np.square(lived.prediction[shown] - wanted).sum(1) + 1e-3
        rests = np.arange(n + len(self.edges()) - 1) >= n
        filled = ReplayBuffer(self.config.buffer, rate, sampling).fill(
            day + self.rest()[0],
            self.timing,
            rng=np.random.default_rng([condition.seed, 3]),
            priority=None if sampling == "uniform" else np.concatenate([surprise, np.ones(rests.sum())]),
            rests=rests,
        )
        night = filled.select(np.arange(len(filled)) >= n)
        night = replace(night, salience=np.full(len(night), UNHELD))  # the buffer replays; attention does not
        ends = lay_out(night, self.timing, salience_holds=False).end
        return night, [int(np.flatnonzero(ends == edge)[0]) for edge in self.edges()[1:]]

    def memories(self, condition: Condition) -> tuple[Memory, Memory]:
        """Return what is remembered in the night, and the same with the network's own prediction for an outcome."""
        hippocampus, k = self.hippocampus, self.rare_memory(condition)
        remembered = self.memory_of_day(condition)
        if k < 0:
            return remembered, remembered
        tag = float(remembered.tag[k * hippocampus.assembly])
        stimulus = self.single(condition.seed).stimulus
        own = {"y": self.day(condition, sham=True).prediction[self.halfway]}
        sham = remembered.put(hippocampus, k, own, tag=tag)
        if condition.arm == DELETED:
            return remembered.without(hippocampus, k), remembered.without(hippocampus, k)
        if condition.arm == SHUFFLED:
            wrong = np.array([label for label in range(len(self.task.outcomes)) if label != self.task.label[stimulus]])
            outcomes = self.task.outcomes[np.random.default_rng([condition.seed, 4]).permutation(wrong)]
            return self.copies(remembered, k, outcomes), self.copies(remembered, k, np.tile(own["y"], (len(wrong), 1)))
        return remembered, sham

    def copies(self, remembered: Memory, k: int, outcomes: np.ndarray) -> Memory:
        """Put copies of memory `k` in its place, each with another outcome; together they have its tag."""
        hippocampus = self.hippocampus
        stimulus = remembered.pattern(hippocampus, "x")[k]
        tag = float(remembered.tag[k * hippocampus.assembly]) / len(outcomes)
        free = np.flatnonzero(remembered.strength[:: hippocampus.assembly] == 0)
        for slot, outcome in zip((k, *free), outcomes, strict=False):
            remembered = remembered.put(hippocampus, int(slot), {"x": stimulus, "y": outcome}, tag=tag)
        return remembered

    def memory_of_day(self, condition: Condition) -> Memory:
        """Return what is remembered at the end of the day."""
        lived = self.day(condition)
        assert lived.remembered is not None
        return lived.remembered.memory

    def of_single(self, condition: Condition, reactivated: np.ndarray) -> np.ndarray:
        """Which reactivations of a night are of the single event, shape (n_reactivations,)."""
        k = self.rare_memory(condition)
        if condition.arm != SHUFFLED or k < 0:
            return reactivated == k
        others = np.flatnonzero(self.memory_of_day(condition).strength[:: self.hippocampus.assembly] > 0)
        return ~np.isin(reactivated, others[others != k])

    # ------------------------------------------------------------------ runs

    def night(self, condition: Condition, times: np.ndarray) -> dict[str, Any]:
        """Live a day and a night, its sham, and the sham with other phases; `times` are those of real repetitions."""
        days = [
            self.day(condition),
            self.day(condition, sham=True),
            self.day(condition, sham=True, phases=OTHER_PHASES),
        ]
        plays = replace(self.single(condition.seed), salience=UNHELD)
        schedule, looks = self.rest()
        memories: tuple[Memory | None, Memory | None] = (None, None)
        replaying = Replay()
        if condition.arm in (UNIFORM, PRIORITISED):
            schedule, looks = self.buffered(condition)
        elif condition.arm in (REAL, AFTER):
            schedule, looks = self.repetitions(plays, times)
        elif condition.arm != OFF:
            memories = self.memories(condition)
            only = ("x",) if condition.arm == ALONE else ()
            rate = condition.replay_rate if np.isfinite(condition.replay_rate) else self.config.replay_rate
            replaying = Replay(rate * Hz, only=only)
        nights = []
        for k, (day, memory) in enumerate(zip(days, (memories[0], memories[1], memories[1]), strict=True)):
            life = self.life(condition, schedule.sham() if k else schedule, day.weights, OTHER_PHASES * (k == 2))
            nights.append(self.lived(replace(life, snapshots=looks[:-1], replay=replaying, memory=memory)))
        remembered = nights[0].remembered
        assert remembered is not None
        if memories[0] is not None:
            spans = lay_out(schedule, self.timing).end[looks] * float(self.timing.resolution)
            mine = remembered.reactivation_time[self.of_single(condition, remembered.reactivated)]
            counts = [np.searchsorted(t, [0, *spans]) for t in (mine, remembered.reactivation_time)]
        else:
            single = schedule.rare | (schedule.kind == Kind.RARE_REPLAY)
            counts = [np.concatenate([[0], np.cumsum(which)[looks]]) for which in (single, ~schedule.resting)]
        weights = [
            [
                day.weights.forward,
                *(one.forward for one in night.snapshots),
                night.weights.forward,
            ]
            for day, night in zip(days, nights, strict=True)
        ]
        measured = self.changes(condition.seed, *weights) | {"n_rare": counts[0], "n_all": counts[1]}
        measured |= self.output(condition.seed, [days[0].weights, nights[0].weights])
        if condition.role == "result" and condition.salience == self.config.saliences[-1]:
            changed = [
                spiking.flat(self.circuit, night.weights.forward) - spiking.flat(self.circuit, day.weights.forward)
                for day, night in zip(days, nights, strict=True)
            ]
            measured |= {"caused": changed[0] - changed[1], "noise": changed[2] - changed[1]}
        k = self.rare_memory(condition)
        lengths = ripple_lengths(remembered.index_spikes.time, remembered.index_spikes.cell)
        return measured | {
            "written": int(k >= 0),
            "rare_memory": k,
            "tag": self.memory_of_day(condition).tag[:: self.hippocampus.assembly],
            "error_spikes_day": days[0].error_signal[self.halfway : self.halfway + 2].sum(0),
            "reactivation_time": remembered.reactivation_time,
            "reactivated": remembered.reactivated,
            "ripple_length": 1000 * lengths,
        }

    def frequency(self, condition: Condition) -> dict[str, Any]:
        """Live a life in which the event comes with some frequency, its sham, and the sham with other phases."""
        fraction, seed = condition.event_fraction, condition.seed
        rng = np.random.default_rng([seed, round(1e6 * fraction)])
        schedule = random_life(self.task, event_fraction=fraction, n_events=self.config.n_events, seed=rng)
        single = self.single(seed)
        schedule = replace(
            schedule,
            stimulus=np.where(schedule.rare, single.stimulus, schedule.stimulus),
            salience=np.full(len(schedule), UNHELD),
        )
        occurrence = np.unique(np.geomspace(1, schedule.n_occurrences, 8).round().astype(int))
        looks = np.flatnonzero(schedule.rare)[occurrence - 1].tolist()
        start = self.weights[seed]
        weights, ends = [], []
        for k in range(3):
            life = self.life(condition, schedule.sham() if k else schedule, start, OTHER_PHASES * (k == 2))
            lived = self.lived(replace(life, snapshots=looks))
            weights.append([start.forward, *(one.forward for one in lived.snapshots)])
            ends.append(lived.weights)
        return (
            self.changes(seed, *weights)
            | self.output(seed, [start, ends[0]])
            | {
                "n_rare": np.concatenate([[0], occurrence]),
                "n_all": np.array([0, *(look + 1 for look in looks)]),
            }
        )

    def writing(self, condition: Condition) -> dict[str, Any]:
        """Live a day full of single events of one salience, without learning, and count how many are written."""
        n, rng = self.config.n_trials, np.random.default_rng([condition.seed, 5])
        shown = rng.choice(self.task.indices(rare=True, held_out=False), n)
        events = [Event(int(s), int(self.task.label[s]), Kind.RARE, condition.salience) for s in shown]
        schedule = Schedule.of(events).with_rest_after(np.ones(n, bool), self.config.pause * second, self.timing)
        lived = self.lived(self.life(condition, schedule, self.weights[condition.seed], 0))
        assert lived.onset is not None and lived.remembered is not None
        trial = np.searchsorted(lived.onset[::2], lived.remembered.written_time, side="right") - 1
        errors = lived.error_signal[::2, 0]
        hippocampus = self.hippocampus
        asked = condition.salience * errors * float(hippocampus.hold_per_error)
        hold = np.where(asked > float(hippocampus.ignition), np.minimum(asked, float(hippocampus.longest_hold)), 0)
        return {"trials": n, "share_written": len(set(trial.tolist())) / n, "hold": float(hold.mean())}

    def changes(self, seed: int, *weights: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
        """Compare the weights of the three lives of a run, look by look."""
        real, sham, sham2 = weights
        start = self.weights[seed].forward
        distance = partial(reach.relative_change, self.circuit, start=start)

        def since_day(one: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
            caused = [{name: a[name] - b[name] for name in start} for a, b in zip(one, sham, strict=True)]
            return np.array([distance(change, caused[0]) for change in caused])

        return {
            "hop": np.arange(self.circuit.n_hops),
            "change": np.array([distance(a, b) for a, b in zip(real, sham, strict=True)]),
            "change_floor": np.array([distance(a, b) for a, b in zip(sham2, sham, strict=True)]),
            "change_night": since_day(real),
            "change_night_floor": since_day(sham2),
        }

    def output(self, seed: int, networks: Sequence[Weights]) -> dict[str, Any]:
        """Measure what networks predict, in the rate network: for the single event, and for held-out digits."""
        from bioplastic import twin

        shown = np.concatenate([[self.single(seed).stimulus], self.rare, self.background])
        predicted = twin.predict(self.circuit, networks, self.task.stimuli[shown])
        error = np.square(predicted - self.task.outcomes[self.task.label[shown]]).sum(2)
        right = predicted.argmax(2) == self.task.label[shown]
        rare, background = slice(1, 1 + len(self.rare)), slice(1 + len(self.rare), None)
        return {
            "error_event": error[:, 0],
            "error_rare": error[:, rare].mean(1),
            "error_background": error[:, background].mean(1),
            "accuracy_rare": right[:, rare].mean(1),
            "accuracy_background": right[:, background].mean(1),
        }


def ripple_lengths(time: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Length of each ripple of an index cell, in the unit of `time`: spikes with no gap of two intervals or more.

    Parameters
    ----------
    time, cell : arrays, shape (n_spikes,)
        Spikes of index cells, in s.

    Returns
    -------
    array, shape (n_ripples,)
    """
    if not len(time):
        return np.empty(0)
    order = np.lexsort((time, cell))
    time, cell = time[order], cell[order]
    new = np.ones(len(time), bool)
    new[1:] = (np.diff(cell) != 0) | (np.diff(time) > 2 / float(hippocampal.BURST_RATE))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(time)) - 1
    return time[last] - time[first]


# ---------------------------------------------------------------------------------------------------
# Conditions


def sweep_conditions(config: Config) -> list[Condition]:
    """Return the runs that choose the learning rate: real repetitions."""
    return [Condition(REAL, config.saliences[0], s, eta, role="sweep") for eta in config.rates for s in TUNING_SEEDS]


def chosen_rate(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the rate after which held-out error is least; 9s and the other digits count the same."""
    return config.rates[int(np.argmin(scores(config, runs)))]


def scores(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Return the held-out error that each rate leads to."""
    swept = [runs[c.name] for c in sweep_conditions(config)]
    errors = [run["error_rare"][-1] + run["error_background"][-1] for run in swept]
    return np.reshape(errors, (len(config.rates), -1)).mean(1) / 2


def first_conditions(config: Config) -> list[Condition]:
    """Return the nights of replay whose moments the real repetitions have: at the highest salience, at every rate."""
    return [Condition(REPLAY, config.saliences[-1], s, eta) for eta in config.rates for s in config.seeds]


def other_conditions(config: Config, eta: float) -> list[Condition]:
    """Return all other runs."""
    top, seeds = config.saliences[-1], config.seeds
    wanted = [Condition(REAL, top, s, e) for e in config.rates for s in seeds]
    wanted += [Condition(arm, top, s, eta) for arm in CONTROLS if arm not in (REPLAY, REAL) for s in seeds]
    wanted += [Condition(REPLAY, x, s, eta) for x in config.saliences[:-1] for s in seeds]
    wanted += [Condition(REPLAY, top, s, eta, replay_rate=r) for r in config.other_replay_rates for s in seeds]
    wanted += [Condition(FREQUENCY, UNHELD, s, eta, f) for f in config.event_fractions[::-1] for s in seeds]
    wanted += [Condition(WRITING, x, s, 0.0) for x in config.saliences for s in seeds]
    return wanted


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
    sources = [Path(__file__), Path(str(chain.__file__))]
    store = script.open_store(out, schema=SCHEMA, rows=ROWS, config=config, sources=sources)
    if store is None:
        return out
    bench = Bench(config)
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("pretraining, compiling", total=100)
        bench.prepare(lambda fraction: bar.update(row, completed=int(99 * fraction)))
        bar.update(row, completed=100)

        def live(condition: Condition) -> None:
            if condition.arm == WRITING:
                measured = bench.writing(condition)
            elif condition.arm == FREQUENCY:
                measured = bench.frequency(condition)
            else:
                measured = bench.night(condition, moments(condition))
            store.add(condition.name, measured)

        def moments(condition: Condition) -> np.ndarray:
            if condition.role == "sweep":
                n = max(1, round(config.night * config.replay_rate / 2))
                return (np.arange(n) + 0.5) * config.night / n
            if condition.arm not in (REAL, AFTER):
                return np.empty(0)
            replayed = store.runs[replace(condition, arm=REPLAY).name]
            return replayed["reactivation_time"][replayed["reactivated"] == replayed["rare_memory"]]

        def live_all(conditions: Sequence[Condition], label: str) -> None:
            script.live_missing(store, conditions, live, executor=executor, bar=bar, label=label)

        live_all(sweep_conditions(config), "learning rates")
        live_all(first_conditions(config), "nights of replay")
        live_all(other_conditions(config, chosen_rate(config, store.runs)), "controls")

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        result = Result(config, store.runs)
        recording.write_labelled(file.create_group("summary"), SUMMARY, result.summary())
        swept = {"rate": np.array(config.rates), "error": scores(config, store.runs)}
        recording.write_labelled(file.create_group("learning_rate_sweep"), SWEEP_ROWS, swept)

    store.finish("How deep a one-time event gets", fill)
    return out


# ---------------------------------------------------------------------------------------------------
# Measures over runs

SWEEP_ROWS = {
    "rate": Variable(("rate",), "1", "learning rate that was tried"),
    "error": Variable(("rate",), "1", "held-out squared error after real repetitions, 9s and other digits alike"),
}
SUMMARY = {
    "arm": Variable(("arm",), "1", "what happened in the night", "str"),
    "salience": Variable(("salience",), "1", "importance of the single event"),
    "seed": recording.COORDINATES["seed"],
    "hop": recording.COORDINATES["hop"],
    "event_fraction": recording.COORDINATES["event_fraction"],
    "rate": Variable(("rate",), "1", "learning rate"),
    "reach": Variable(("arm", "seed"), "1", "last hop that the change reaches, at the highest salience (-1: none)"),
    "reach_night": Variable(("arm", "seed"), "1", "last hop that the change since the day ended reaches (-1: none)"),
    "reach_along": Variable(
        ("arm", "seed"), "1", "last hop reached in the night by change that goes where that of real repetitions goes"
    ),
    "reach_salience": Variable(("salience", "seed"), "1", "last hop reached after a night of replay"),
    "reach_day": Variable(("salience", "seed"), "1", "last hop reached at the end of the day"),
    "share_written": Variable(("salience", "seed"), "1", "share of single events that are written to memory"),
    "reach_rate": Variable(("rate", "seed"), "1", "last hop reached after a night of replay, by learning rate"),
    "reach_rate_real": Variable(("rate", "seed"), "1", "the same after real repetitions"),
    "reach_rate_day": Variable(("rate", "seed"), "1", "the same at the end of the day"),
    "n_rare": Variable(("arm", "seed"), "1", "replays, or real repetitions, of the single event"),
    "replays_per_event": Variable(("seed", "hop"), "1", "replays that change the weights as one real repetition does"),
    "change_ratio": Variable(("seed", "hop"), "1", "change in a night of replays by that in one of real repetitions"),
    "event_error": Variable(("arm", "seed"), "1", "squared error for the single event after the night, less before it"),
    "rare_error": Variable(("arm", "seed"), "1", "the same for held-out 9s"),
    "background_error": Variable(("arm", "seed"), "1", "the same for held-out digits 0 to 8"),
    "background_accuracy": Variable(("arm", "seed"), "1", "accuracy on those after the night, less before it"),
    "reach_frequency": Variable(("event_fraction", "seed"), "1", "last hop reached in a life at some frequency"),
    "replay_rate": Variable(("replay_rate",), "1/s", "reactivations per second of rest, of any memory"),
    "reach_replay_rate": Variable(("replay_rate", "seed"), "1", "last hop that the change since the day ended reaches"),
    "replay_fraction": Variable(
        ("replay_rate", "seed"), "1", "share of the night, in events, that replays of the single event would take"
    ),
}


class Result:
    """What is read off the runs.

    Reach counts against the root mean square, over seeds, of the difference between two sham runs of the same arm.
    """

    def __init__(self, config: Config, runs: Mapping[str, Mapping[str, Any]]) -> None:
        self.config, self.runs = config, runs
        self.eta = chosen_rate(config, runs)
        self.top = config.saliences[-1]

    def of(self, arm: str, salience: float | None = None, eta: float | None = None) -> list[Mapping[str, Any]]:
        """Return the runs of an arm, seed by seed; at the highest salience and the chosen rate by default."""
        x, e = self.top if salience is None else salience, self.eta if eta is None else eta
        return [self.runs[Condition(arm, x, s, e).name] for s in self.config.seeds]

    def at_frequency(self, fraction: float) -> list[Mapping[str, Any]]:
        """Return the runs of a frequency, seed by seed."""
        return [self.runs[Condition(FREQUENCY, UNHELD, s, self.eta, fraction).name] for s in self.config.seeds]

    @staticmethod
    def reached(runs: Sequence[Mapping[str, Any]], look: int = -1, change: str = "change") -> np.ndarray:
        """Return the last hop that a change reaches at a look, shape (n_seeds,)."""
        floor = reach.spread([run[f"{change}_floor"][look] for run in runs])
        return np.array([reach.reach(run[change][look], floor) for run in runs], float)

    def at_replay_rate(self, rate: float) -> list[Mapping[str, Any]]:
        """Return the runs of replay at some rate, seed by seed."""
        if rate == self.config.replay_rate:
            return self.of(REPLAY)
        return [self.runs[Condition(REPLAY, self.top, s, self.eta, replay_rate=rate).name] for s in self.config.seeds]

    def reached_along(self, arm: str) -> np.ndarray:
        """Return how far that part of the night's change gets that goes where real repetitions go, shape (n_seeds,)."""
        circuit = chain.circuit()
        projected, noise = [], []
        for run, real in zip(self.of(arm), self.of(AFTER), strict=True):
            parts = [
                spiking.unflat(circuit, np.asarray(row, float)) for row in (run["caused"], run["noise"], real["caused"])
            ]
            rows = reach.by_hop(circuit, *parts)
            size = [np.linalg.norm(to) for _, _, to in rows]
            projected.append([a @ to / n if n else 0.0 for (a, _, to), n in zip(rows, size, strict=True)])
            noise.append([b @ to / n if n else 0.0 for (_, b, to), n in zip(rows, size, strict=True)])
        floor = reach.spread(noise)
        return np.array([reach.reach(row, floor) for row in projected], float)

    def replays_per_event(self) -> np.ndarray:
        """Return how many replays equal one real repetition, shape (n_seeds, n_hops).

        Both curves, change since the day ended against number, are read at the smaller of their two ends; NaN where
        one of them does not get beyond the difference of two sham runs.
        """
        rows = []
        for replayed, real in zip(self.of(REPLAY), self.of(AFTER), strict=True):
            row = []
            for hop in range(len(real["hop"])):
                curves = [np.maximum.accumulate(run["change_night"][:, hop]) for run in (replayed, real)]
                level = min(curve[-1] for curve in curves)
                floor = max(run["change_night_floor"][-1, hop] for run in (replayed, real))
                n = [
                    float(np.interp(level, curve, run["n_rare"]))
                    for curve, run in zip(curves, (replayed, real), strict=True)
                ]
                row.append(n[0] / n[1] if level > floor and n[1] else np.nan)
            rows.append(row)
        return np.array(rows)

    def gained(self, arm: str, name: str) -> np.ndarray:
        """Return a measure of the output after the night less before it, shape (n_seeds,)."""
        return np.array([run[name][-1] - run[name][0] for run in self.of(arm)])

    def summary(self) -> dict[str, Any]:
        """Return the arrays of the summary."""
        config = self.config
        written = [
            [self.runs[Condition(WRITING, x, s, 0.0).name]["share_written"] for s in config.seeds]
            for x in config.saliences
        ]
        replay_rates = sorted({config.replay_rate, *config.other_replay_rates})
        replayed = [self.at_replay_rate(rate) for rate in replay_rates]
        slots = config.night / float(chain.timing().event)
        measures = ("error_event", "error_rare", "error_background", "accuracy_background")
        names = ("event_error", "rare_error", "background_error", "background_accuracy")
        return {
            "arm": list(CONTROLS),
            "salience": np.array(config.saliences),
            "seed": np.array(config.seeds),
            "hop": np.arange(chain.N_HOPS),
            "event_fraction": np.array(config.event_fractions),
            "rate": np.array(config.rates),
            "reach": np.array([self.reached(self.of(arm)) for arm in CONTROLS]),
            "reach_night": np.array([self.reached(self.of(arm), change="change_night") for arm in CONTROLS]),
            "reach_along": np.array([self.reached_along(arm) for arm in CONTROLS]),
            "reach_salience": np.array([self.reached(self.of(REPLAY, x)) for x in config.saliences]),
            "reach_day": np.array([self.reached(self.of(REPLAY, x), 0) for x in config.saliences]),
            "share_written": np.array(written, float),
            "reach_rate": np.array([self.reached(self.of(REPLAY, eta=e)) for e in config.rates]),
            "reach_rate_real": np.array([self.reached(self.of(REAL, eta=e)) for e in config.rates]),
            "reach_rate_day": np.array([self.reached(self.of(REPLAY, eta=e), 0) for e in config.rates]),
            "n_rare": np.array([[run["n_rare"][-1] for run in self.of(arm)] for arm in CONTROLS], float),
            "replays_per_event": self.replays_per_event(),
            "change_ratio": np.array(
                [
                    np.divide(a[-1], b[-1], out=np.full_like(a[-1], np.nan), where=b[-1] > floor[-1])
                    for a, b, floor in (
                        (one["change_night"], other["change_night"], other["change_night_floor"])
                        for one, other in zip(self.of(REPLAY), self.of(AFTER), strict=True)
                    )
                ]
            ),
            **{
                name: np.array([self.gained(arm, measure) for arm in CONTROLS])
                for name, measure in zip(names, measures, strict=True)
            },
            "reach_frequency": np.array([self.reached(self.at_frequency(f)) for f in config.event_fractions]),
            "replay_rate": np.array(replay_rates),
            "reach_replay_rate": np.array([self.reached(runs, change="change_night") for runs in replayed]),
            "replay_fraction": np.array([[run["n_rare"][-1] / slots for run in runs] for runs in replayed]),
        }


# ---------------------------------------------------------------------------------------------------
# Tables and figure


@dataclass(frozen=True)
class Done:
    """A finished recording."""

    config: Config
    summary: Mapping[str, Any]
    sweep: Mapping[str, Any]
    runs: Mapping[str, Mapping[str, Any]]

    @property
    def eta(self) -> float:
        """The learning rate that was chosen."""
        return float(self.sweep["rate"][int(np.argmin(self.sweep["error"]))])

    def arm(self, name: str, arm: str) -> np.ndarray:
        """Return a measure of an arm, shape (n_seeds,) or (n_seeds, n_hops)."""
        return np.asarray(self.summary[name][list(self.summary["arm"]).index(arm)])

    def nights(self) -> list[Mapping[str, Any]]:
        """Return the runs of replay at the highest salience, seed by seed."""
        top = self.config.saliences[-1]
        return [self.runs[Condition(REPLAY, top, s, self.eta).name] for s in self.config.seeds]


def read(path: Path, config: Config) -> Done:
    """Read a recording."""
    with h5py.File(path) as file:
        runs = {name: recording.read_labelled(group, ROWS) for name, group in file["runs"].items()}
        swept = recording.read_labelled(file["learning_rate_sweep"], SWEEP_ROWS)
        return Done(config, recording.read_labelled(file["summary"], SUMMARY), swept, runs)


def verdicts(done: Done) -> list[str]:
    """Say what must hold and whether it does, as measured."""
    kinds = (
        ("reach", "all change", REAL, (REPLAY, OFF)),
        ("reach_night", "change in the night", AFTER, (REPLAY, OFF, SHUFFLED, ALONE, DELETED)),
        (
            "reach_along",
            "change in the night, the way of real repetitions",
            AFTER,
            (REPLAY, OFF, SHUFFLED, ALONE, DELETED),
        ),
    )
    lines = []
    for name, what, real, arms in kinds:
        for arm in arms:
            short = estimate(done.arm(name, real) - done.arm(name, arm))
            should = arm == REPLAY
            holds = short.mean <= TOLERANCE if should else short.mean > TOLERANCE
            wanted = "should" if should else "should not"
            lines.append(
                f"{arm}, {what}: {short} hops short of {real} ({done.arm(name, real).mean():.1f}); {wanted} be within "
                f"{TOLERANCE}: {'holds' if holds else 'DOES NOT HOLD'}."
            )
    for arm, sign in ((REPLAY, -1), (AFTER, -1), (SHUFFLED, 1)):
        changed = estimate(done.arm("event_error", arm))
        holds = changed.high < 0 if sign < 0 else changed.low >= 0
        lines.append(
            f"{arm}: the event's own error changes by {changed} in the night; should "
            f"{'fall' if sign < 0 else 'not fall'}: {'holds' if holds else 'DOES NOT HOLD'}."
        )
    low = done.summary["share_written"][0]
    salience = done.config.saliences[0]
    trials = done.config.n_trials * len(done.config.seeds)
    kept = estimate(1 - low)
    lines.append(
        f"Salience {salience:g} is not written in {100 * kept.mean:.1f} % of {trials} events; should be 95 % or more: "
        f"{'holds' if kept.mean >= 0.95 else 'DOES NOT HOLD'}."
    )
    order = np.argsort(done.summary["event_fraction"])
    fractions, curve = done.summary["event_fraction"][order], done.summary["reach_frequency"][order].mean(1)
    for rate, share, reached in zip(
        *(done.summary[name] for name in ("replay_rate", "replay_fraction", "reach_replay_rate")), strict=True
    ):
        expected = np.interp(np.log(np.maximum(share, 1e-9)), np.log(fractions), curve)
        lines.append(
            f"At {rate:g} reactivations per second the single event fills {estimate(share)} of the night: "
            f"{estimate(reached - expected)} hops off the curve that real events of some frequency make."
        )
    return lines


LITERATURE = (
    ("reactivations per second of rest", "0.11, degu at rest", "10.1038/s41598-022-11153-4"),
    ("ripple length (ms)", "50 to 120", "10.1016/j.neuron.2009.07.027"),
    ("share of the single event in reactivations", "rises with salience", "10.1126/science.adk8261"),
    ("its tag's share of all tags", "", ""),
)


def ripple_statistics(done: Done) -> list[Estimate]:
    """Return what `LITERATURE` has, as measured."""
    nights = done.nights()
    rate = [len(run["reactivated"]) / done.config.night for run in nights]
    length = [float(run["ripple_length"].mean()) if len(run["ripple_length"]) else np.nan for run in nights]
    share, tag = [], []
    for run in nights:
        k, written = run["rare_memory"], run["tag"].sum()
        share.append((run["reactivated"] == k).mean() if len(run["reactivated"]) else np.nan)
        tag.append(run["tag"][k] / written if k >= 0 else np.nan)
    return [estimate(np.array(values, float)) for values in (rate, length, share, tag)]


def tables(done: Done) -> list[Table]:
    """Return the tables."""
    n = len(done.config.seeds)
    summary = done.summary
    by_arm = Table(
        title=f"A single event of salience {done.config.saliences[-1]:g}: mean over {n} seeds [95 % interval]"
    )
    heads = ("night", "hops", "in the night", "way of real", "times", "error: event", "9s", "0 to 8")
    names = ("reach", "reach_night", "reach_along", "n_rare", "event_error", "rare_error", "background_error")
    for head in heads:
        by_arm.add_column(head, justify="left" if head == "night" else "right")
    for arm in CONTROLS:
        by_arm.add_row(arm, *(str(estimate(done.arm(name, arm))) for name in names))
    by_salience = Table(title="By salience: hops reached")
    for head in ("salience", "written", "end of the day", "night of replay"):
        by_salience.add_column(head, justify="right")
    columns = ("share_written", "reach_day", "reach_salience")
    for k, salience in enumerate(done.config.saliences):
        by_salience.add_row(f"{salience:g}", *(str(estimate(summary[name][k])) for name in columns))
    by_rate = Table(title=f"By learning rate ({done.eta:g} is chosen): hops reached")
    for head in ("rate", "error after real repetitions", "end of the day", "replay", "real repetitions"):
        by_rate.add_column(head, justify="right")
    for k, rate in enumerate(summary["rate"]):
        cells = (str(estimate(summary[name][k])) for name in ("reach_rate_day", "reach_rate", "reach_rate_real"))
        by_rate.add_row(f"{rate:g}", f"{done.sweep['error'][k]:.3f}", *cells)
    by_hop = Table(
        title="By hop: replays that equal one real event; change in a night of replays by that in one of real events"
    )
    for hop in summary["hop"]:
        by_hop.add_column(str(hop), justify="right")
    for name in ("replays_per_event", "change_ratio"):
        by_hop.add_row(*(str(estimate(row)) if np.isfinite(row).any() else "-" for row in summary[name].T))
    ripples = Table(title="Ripples")
    for head in ("measure", "here", "animals", "source (DOI)"):
        ripples.add_column(head)
    for (what, animals, source), here in zip(LITERATURE, ripple_statistics(done), strict=True):
        ripples.add_row(what, str(here), animals, source)
    return [by_arm, by_salience, by_rate, by_hop, ripples]


def _curve(
    axes: Axes,
    x: np.ndarray,
    values: np.ndarray,
    style: plots.Style,
    label: str,
    *,
    size: float = 4,
    fill: str = "full",
) -> None:
    """Draw the mean over the last axis, the seeds, with its interval."""
    low, high = reach.interval(values)
    mean = np.nanmean(values, axis=-1)
    axes.fill_between(x, low, high, color=style.color, alpha=0.2, linewidth=0)
    axes.plot(
        x, mean, color=style.color, marker=style.marker, linestyle=style.line, label=label, ms=size, fillstyle=fill
    )


def figure(done: Done) -> Figure:
    """Draw the results."""
    config, summary = done.config, done.summary
    replayed, real, day, frequent = plots.styles(("replay", "real", "day", "frequency"))
    with plots.page(125) as page:
        (a, b, c), (d, e, f) = page.subplots(2, 3)
        _salience_panel(a, done, (day, replayed))
        _frequency_panel(b, done, (replayed, real, frequent))
        ratio = summary["replays_per_event"].T
        there = np.isfinite(ratio).any(1)
        _curve(c, summary["hop"][there], ratio[there], replayed, "")
        c.axhline(1, color="0.6", linewidth=0.6)
        c.set(xlabel="hop upstream", ylabel="replays per real event", ylim=(0, None))
        c.xaxis.set_major_locator(MaxNLocator(integer=True))
        _arms_panel(d, done, "reach_night", "last hop reached in the night\n(hops upstream)")
        _arms_panel(e, done, "rare_error", "change of squared error\non 9s (1)")
        _arms_panel(f, done, "background_error", "change of squared error\non 0 to 8 (1)")
        d.set_yticks(range(len(CONTROLS)), CONTROLS)
        along = [done.arm("reach_along", arm).mean() for arm in CONTROLS]
        d.plot(along, range(len(CONTROLS)), "D", color="0.1", ms=7, fillstyle="none", linestyle="none")
        for axes, name in zip((a, b, c, d, e, f), "abcdef", strict=True):
            plots.letter(axes, name)
        n = len(config.seeds)
        plots.note(
            page,
            f"Mean over {n} seeds with 95 % bootstrap intervals (bands, bars; small dots: seeds). One 9 in a day of "
            f"{config.n_background} other digits, then a night of {config.night:g} s with {config.replay_rate:g} "
            "reactivations per second of "
            f"whatever was written; b to f at salience {config.saliences[-1]:g}; learning rate {done.eta:g}. Reach: "
            "last hop up to which the weights differ from the sham run's by more than two sham runs do (-1: none). "
            "Real repetitions come at the moments of the replays. Open diamonds in d: counting only the part of the "
            "change that goes the way of real repetitions after the same day.",
        )
    return page


def _log_axis(axes: Axes, ticks: np.ndarray) -> None:
    """Make the horizontal axis logarithmic, with plain numbers at the ticks."""
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _salience_panel(axes: Axes, done: Done, looks: Sequence[plots.Style]) -> None:
    """Draw the hop reached by salience."""
    x = np.array(done.config.saliences)
    rows = (("reach_day", "end of day"), ("reach_salience", "after replay"))
    for (name, label), look, size in zip(rows, looks, (8, 4), strict=True):  # one lies on the other
        _curve(axes, x, done.summary[name], look, label, size=size, fill="none" if size > 4 else "full")
    _log_axis(axes, x)
    axes.set(xlabel="salience of the single event", ylabel="last hop reached (hops upstream)", ylim=(-1.3, FARTHEST))
    axes.legend(loc="upper left")


def _frequency_panel(axes: Axes, done: Done, looks: Sequence[plots.Style]) -> None:
    """Draw the hop reached against the frequency of events or replays."""
    replayed, real, frequent = looks
    summary = done.summary
    order = np.argsort(summary["event_fraction"])
    _curve(axes, summary["event_fraction"][order], summary["reach_frequency"][order], frequent, "real, among others")
    share = summary["replay_fraction"].mean(1)
    _curve(axes, share, summary["reach_replay_rate"], replayed, "replays")
    at_rate = share[list(summary["replay_rate"]).index(done.config.replay_rate)]
    _curve(axes, np.array([at_rate]), done.arm("reach_night", AFTER)[None], real, "real, at the same moments")
    _log_axis(axes, np.array([0.01, 0.03, 0.1, 0.3, 1]))
    axes.set(xlabel="share of all event time", ylabel="last hop reached (hops upstream)", ylim=(-1.3, FARTHEST))
    axes.legend(loc="upper left")


def _arms_panel(axes: Axes, done: Done, name: str, label: str) -> None:
    """Draw a measure of all arms, a dot for each seed."""
    for k, arm in enumerate(CONTROLS):
        values = done.arm(name, arm)
        low, high = reach.interval(values)
        axes.plot(values, np.full(len(values), k), ".", color="0.65", markersize=3)
        axes.errorbar(
            values.mean(), k, xerr=[[values.mean() - low], [high - values.mean()]], fmt="o", color="0.1", ms=4
        )
    axes.set_yticks(range(len(CONTROLS)), [""] * len(CONTROLS))
    axes.invert_yaxis()
    if name == "reach_night":
        axes.set_xlim(-1.6, FARTHEST)
    else:
        axes.axvline(0, color="0.6", linewidth=0.6)
    axes.set_xlabel(label)


def show(path: Path, config: Config) -> None:
    """Print the tables and what must hold, and draw the figure."""
    done = read(path, config)
    console = script.console()
    for table in tables(done):
        console.print(table)
    for line in verdicts(done):
        console.print(line)
    for written in plots.save(figure(done), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="one_time_event",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "two saliences, two seeds, a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs), config),
    )


if __name__ == "__main__":
    sys.exit(main())
