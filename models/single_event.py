"""An event that comes once: the day that has it, and the nights in which it comes back, really or from memory.

A day is background events with the single event halfway, each followed by a rest in which it may be held in attention. In
the night after it the hippocampus replays what it remembers; or the event really comes back; or a plain buffer replays the
day. For controls, what is remembered is changed before the night. `chain.py` has the circuit and the hippocampus that live
it; docs/hippocampus.md says what is known of replay in animals, with sources.

What is chosen here, and from where.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
UNHELD               0.001  1       importance at which nothing is held in attention     chosen: far from what ignites the loop
SILENCE               0.05  s       without a spike of the input a stimulus is gone      longer than a cell that matters waits
LEAST                0.001  1       least priority of an event in the plain buffer       chosen: without one it could not come back
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from bioplastic_models import chain
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.events import Event, Kind, Schedule, Timing, lay_out, random_life
from bioplastic.hippocampus import Hippocampus, Memory, Replay
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Lived, Remembered
from bioplastic.tasks import Task

UNHELD = 1e-3
SILENCE = 0.05
LEAST = 1e-3


def shown(task: Task, stimulus: int, kind: Kind = Kind.BACKGROUND, importance: float = 1.0) -> Event:
    """Return an event that ends as its stimulus's label says."""
    return Event(int(stimulus), int(task.label[stimulus]), kind, float(importance))


def single(task: Task, seed: int, importance: float = 1.0) -> Event:
    """Return the single event of a seed: a rare stimulus to learn from."""
    rng = np.random.default_rng([seed, 2])
    return shown(task, rng.choice(task.indices(rare=True, held_out=False)), Kind.RARE, importance)


def surprising_and_expected(task: Task, seed: int, importances: Sequence[float], n: int) -> Schedule:
    """Return n rare and n background events of every importance, each stimulus once, in random order."""
    rng = np.random.default_rng([seed, 3])
    given = np.repeat(importances, n)
    events = []
    for kind in (Kind.RARE, Kind.BACKGROUND):
        known = task.indices(rare=kind == Kind.RARE, held_out=False)
        chosen = rng.choice(known, len(given), replace=False)
        events += [shown(task, s, kind, importance) for s, importance in zip(chosen, given, strict=True)]
    return Schedule.of(events[k] for k in rng.permutation(len(events)))


def repeated(task: Task, seed: int, event_fraction: float, n_events: int) -> Schedule:
    """Return a life in which the single event comes with some frequency among others; nothing of it is held."""
    rng = np.random.default_rng([seed, round(1e6 * event_fraction)])
    life = random_life(task, event_fraction=event_fraction, n_events=n_events, seed=rng)
    stimulus = np.where(life.rare, single(task, seed).stimulus, life.stimulus)
    return replace(life, stimulus=stimulus, salience=np.full(len(life), UNHELD))


def is_held(time: Any) -> Any:
    """Whether an event was there for longer, in ms, than its outcome and the silence that ends a stimulus."""
    return time > 1000 * (float(chain.OUTCOME) + SILENCE)


@dataclass(frozen=True)
class Day:
    """What a day has left.

    Attributes
    ----------
    schedule : Schedule
    real, sham : Lived
        Of the day, and of the same without the event.
    pause : Quantity
        After each event.
    """

    schedule: Schedule
    real: Lived
    sham: Lived
    pause: Quantity

    @property
    def single(self) -> int:
        """Index of the single event."""
        return int(np.flatnonzero(self.schedule.rare)[0])

    @property
    def memory(self) -> Memory:
        """What is remembered at its end."""
        return self._remembered.memory

    @property
    def written(self) -> int:
        """Which memory the single event was written to; -1 if to none."""
        time, k = self._remembered.written_time, self.single
        assert self.real.onset is not None
        during = (time >= self.real.onset[k]) & (time < self.real.onset[k + 1] + float(self.pause))
        return int(self._remembered.written[during][-1]) if during.any() else -1

    @property
    def own_outcome(self) -> np.ndarray:
        """What the network itself predicts of the event, shape (n_outputs,)."""
        return np.asarray(self.sham.prediction[self.single])

    @property
    def _remembered(self) -> Remembered:
        assert self.real.remembered is not None  # it was lived with a hippocampus
        return self.real.remembered


@dataclass(frozen=True)
class Night:
    """A night, and the sham of what is remembered in it.

    Attributes
    ----------
    schedule : Schedule
    looks : tuple of int
        Events after which the weights are looked at; the last is at the end.
    memory, sham_memory : Memory, optional
        What is remembered in the night, and the same with the network's own prediction for the single event's outcome.
    replay : Replay
    slots : array of int
        Which memories are of the single event.
    """

    schedule: Schedule
    looks: tuple[int, ...]
    memory: Memory | None = None
    sham_memory: Memory | None = None
    replay: Replay = field(default_factory=Replay)
    slots: np.ndarray = field(default_factory=lambda: np.empty(0, int))

    def counts(self, timing: Timing, remembered: Remembered) -> tuple[np.ndarray, np.ndarray]:
        """How often the single event, and any event, has come back until each look; 0 at the night's beginning."""
        looks = list(self.looks)
        if self.memory is None:
            single = self.schedule.rare | (self.schedule.kind == Kind.RARE_REPLAY)
            own, every = (np.r_[0, np.cumsum(one)[looks]] for one in (single, ~self.schedule.resting))
            return own, every
        until = np.r_[0, lay_out(self.schedule, timing).end[looks] * float(timing.resolution)]
        time = remembered.reactivation_time
        mine = time[np.isin(remembered.reactivated, self.slots)]
        return np.asarray(np.searchsorted(mine, until)), np.asarray(np.searchsorted(time, until))


@dataclass(frozen=True)
class World:
    """Days and nights of one circuit and its hippocampus.

    Attributes
    ----------
    task : Task
    timing : Timing
    hippocampus : Hippocampus
    n_background : int
        Events of the day beside the single one.
    pause, night : Quantity
        Length of the rest after each event of the day, and of the night.
    looks : tuple of float
        Fractions of the night after which the weights are looked at.
    """

    task: Task
    timing: Timing
    hippocampus: Hippocampus
    n_background: int
    pause: Quantity
    night: Quantity
    looks: tuple[float, ...]

    @property
    def edges(self) -> np.ndarray:
        """When the weights are looked at, in steps from the beginning of the night; the first is 0."""
        night = self.timing.count("night", self.night)
        return np.array([0, *(round(night * fraction) for fraction in self.looks)])

    def day(self, seed: int, importance: float) -> Schedule:
        """Return a day: background events with the single event halfway, and a pause after each."""
        rng = np.random.default_rng([seed, 1])
        background = self.task.indices(rare=False, held_out=False)
        events = [shown(self.task, s) for s in rng.choice(background, self.n_background)]
        events.insert(self.n_background // 2, single(self.task, seed, importance))
        return self._with_pauses(events)

    def singles(self, seed: int, importance: float, n: int) -> Schedule:
        """Return a day full of single events, and a pause after each."""
        rng = np.random.default_rng([seed, 5])
        chosen = rng.choice(self.task.indices(rare=True, held_out=False), n)
        return self._with_pauses([shown(self.task, s, Kind.RARE, importance) for s in chosen])

    def _with_pauses(self, events: Sequence[Event]) -> Schedule:
        return Schedule.of(events).with_rest_after(np.ones(len(events), bool), self.pause, self.timing)

    def rest(self) -> Night:
        """Return a night in which nothing happens."""
        lengths = np.diff(self.edges)
        return Night(Schedule.of(Event(kind=Kind.REST, rest=int(n)) for n in lengths), tuple(range(len(lengths))))

    def real(self, event: Event, times: np.ndarray) -> Night:
        """Return a night in which an event really comes back, at certain times in s from its beginning.

        One that would begin within the one before waits for its end.
        """
        length = round(float(self.timing.event / self.timing.resolution))
        starts = np.round(times / float(self.timing.resolution)).astype(int)
        events: list[Event] = []
        looks, now = [], 0
        for begin, end in pairwise(self.edges):
            for due in starts[(starts >= begin) & (starts < end)]:
                start = max(int(due), now)
                events += [Event(kind=Kind.REST, rest=start - now)] * (start > now) + [event]
                now = start + length
            if now < end:
                events.append(Event(kind=Kind.REST, rest=int(end - now)))
                now = int(end)
            looks.append(len(events) - 1)
        return Night(Schedule.of(events), tuple(looks))

    def buffered(self, day: Schedule, prediction: np.ndarray, buffer: ReplayBuffer, seed: int) -> Night:
        """Return a night in which a plain buffer replays a day, by surprise if it samples by priority.

        `prediction` is what the network predicted of the day's events, shape (n_events, n_outputs).
        """
        n, edges = len(day), self.edges
        whole = day + self.rest().schedule
        surprise, told = np.ones(len(whole)), np.flatnonzero(~day.resting)
        wanted = self.task.outcomes[day.outcome[told]]
        surprise[told] = np.square(prediction[told] - wanted).sum(1) + LEAST
        filled = buffer.fill(
            whole,
            self.timing,
            rng=np.random.default_rng([seed, 3]),
            priority=None if buffer.sampling == "uniform" else surprise,
            rests=np.arange(len(whole)) >= n,
        )
        night = filled.select(np.arange(len(filled)) >= n)
        night = replace(night, salience=np.full(len(night), UNHELD))  # the buffer replays; attention does not
        ends = lay_out(night, self.timing, salience_holds=False).end
        return Night(night, tuple(int(np.flatnonzero(ends == edge)[0]) for edge in edges[1:]))

    def replayed(self, day: Day, replay: Replay) -> Night:
        """Return a night in which the hippocampus replays what it remembers of the day."""
        k, memory = day.written, day.memory
        sham = memory
        if k >= 0:
            sham = memory.put(self.hippocampus, k, {"y": day.own_outcome}, tag=self._tag(memory, k))
        return replace(self.rest(), memory=memory, sham_memory=sham, replay=replay, slots=np.array([k]))

    def deleted(self, day: Day, replay: Replay) -> Night:
        """Return the same with the memory of the single event deleted."""
        k, night = day.written, self.replayed(day, replay)
        left = day.memory if k < 0 else day.memory.without(self.hippocampus, k)
        return replace(night, memory=left, sham_memory=left)

    def shuffled(self, day: Day, replay: Replay, seed: int) -> Night:
        """Return the same with every wrong outcome in the place of the single event's own."""
        k, night = day.written, self.replayed(day, replay)
        if k < 0:
            return night
        own = self.task.label[single(self.task, seed).stimulus]
        wrong = np.array([label for label in range(len(self.task.outcomes)) if label != own])
        outcomes = self.task.outcomes[np.random.default_rng([seed, 4]).permutation(wrong)]
        others = np.flatnonzero(day.memory.strength[:: self.hippocampus.assembly] > 0)
        return replace(
            night,
            memory=self.copies(day.memory, k, outcomes),
            sham_memory=self.copies(day.memory, k, np.tile(day.own_outcome, (len(wrong), 1))),
            slots=np.setdiff1d(np.arange(self.hippocampus.capacity), others[others != k]),
        )

    def copies(self, memory: Memory, k: int, outcomes: np.ndarray) -> Memory:
        """Put copies of memory `k` in its place, each with another outcome; together they have its tag."""
        stimulus = memory.pattern(self.hippocampus, "x")[k]
        tag = self._tag(memory, k) / len(outcomes)
        free = np.flatnonzero(memory.strength[:: self.hippocampus.assembly] == 0)
        for slot, outcome in zip((k, *free), outcomes, strict=False):
            memory = memory.put(self.hippocampus, int(slot), {"x": stimulus, "y": outcome}, tag=tag)
        return memory

    def _tag(self, memory: Memory, k: int) -> float:
        return float(memory.tag[k * self.hippocampus.assembly])

    def asked_hold(self, importance: float, error_spikes: np.ndarray) -> np.ndarray:
        """For how long, in s, error spikes at the error source ask attention to hold events; 0 where for too short."""
        asked = importance * error_spikes * float(self.hippocampus.hold_per_error)
        lit = asked > float(self.hippocampus.ignition)
        return np.where(lit, np.minimum(asked, float(self.hippocampus.longest_hold)), 0.0)


def evenly(n: int, night: Quantity) -> np.ndarray:
    """Return n times in s that lie evenly in a night."""
    return (np.arange(n) + 0.5) * float(night / second) / n
