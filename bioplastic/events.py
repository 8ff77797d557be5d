"""The stream of events that both learners live through: what is shown when, what then happens, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum

import numpy as np
from brian2 import ms
from brian2.units.fundamentalunits import Quantity

from bioplastic.tasks import Task
from bioplastic.units import quantity

NO_OUTCOME = -1
"""Outcome index of an event after which nothing happens: a probe, or a rest."""
OWN_PREDICTION = -2
"""Outcome index of a sham event: what happens is what the network itself predicted."""


class ScheduleError(ValueError):
    """A schedule that cannot be lived, or in which what is to be measured never happens."""


class Kind(IntEnum):
    """What an event is for."""

    BACKGROUND = 0
    RARE = 1
    PROBE = 2
    REST = 3


@dataclass(frozen=True)
class Timing:
    """Phases of an event.

    Attributes
    ----------
    lead : Quantity
        Time from the onset of the stimulus to the onset of the outcome.
    outcome : Quantity
        Time for which the outcome stays present, at salience 1; the stimulus stays too.
    gap : Quantity
        Silence of the input cells between events.
    resolution : Quantity
        The phases are multiples of this.

    Raises
    ------
    UnitError, ScheduleError
        A phase has the wrong unit, is too short, or is no multiple of the resolution.
    """

    lead: Quantity = field(default_factory=lambda: 300 * ms)
    outcome: Quantity = field(default_factory=lambda: 120 * ms)
    gap: Quantity = field(default_factory=lambda: 30 * ms)
    resolution: Quantity = field(default_factory=lambda: 10 * ms)

    def __post_init__(self) -> None:
        step = quantity("resolution", self.resolution, ms, low=1)
        for name in ("lead", "outcome", "gap"):
            length = quantity(name, getattr(self, name), ms, low=step)
            if abs(length / step - round(length / step)) > 1e-9:
                raise ScheduleError(f"{name} = {length:g} ms is no multiple of resolution = {step:g} ms.")

    def steps(self, name: str) -> int:
        """Length of the phase called `name`, in units of the resolution."""
        return round(float(getattr(self, name) / self.resolution))

    @property
    def event(self) -> Quantity:
        """Length of a whole event at salience 1."""
        return self.lead + self.outcome + self.gap


@dataclass(frozen=True)
class Event:
    """One presentation: a stimulus, then its outcome.

    Attributes
    ----------
    stimulus : int
        Index into the task's stimuli.
    outcome : int
        Index into the task's outcomes, or `NO_OUTCOME`, or `OWN_PREDICTION`.
    kind : Kind
    salience : float
        Multiplies the time for which the outcome stays present.
    rest : int
        Only for `Kind.REST`: length in units of the timing's resolution.
    """

    stimulus: int = 0
    outcome: int = NO_OUTCOME
    kind: Kind = Kind.BACKGROUND
    salience: float = 1.0
    rest: int = 0


@dataclass(frozen=True)
class Schedule:
    """A life: events in order, as columns of equal length.

    Attributes
    ----------
    stimulus, outcome, kind, occurrence, rest : arrays of int, shape (n_events,)
        As in `Event`; `occurrence` counts the rare events from 1 and is 0 for all others.
    salience : array, shape (n_events,)
    """

    stimulus: np.ndarray
    outcome: np.ndarray
    kind: np.ndarray
    salience: np.ndarray
    rest: np.ndarray

    def __post_init__(self) -> None:
        if not (np.isfinite(self.salience).all() and (self.salience > 0).all()):
            bad = self.salience[~(np.isfinite(self.salience) & (self.salience > 0))]
            raise ScheduleError(f"salience = {bad[0]:g}; it must be finite and more than 0.")

    @classmethod
    def of(cls, events: Iterable[Event]) -> Schedule:
        """Make a schedule from single events."""
        events = list(events)
        if not events:
            raise ScheduleError("a schedule without events; give at least one.")
        return cls(
            stimulus=np.array([e.stimulus for e in events]),
            outcome=np.array([e.outcome for e in events]),
            kind=np.array([int(e.kind) for e in events]),
            salience=np.array([e.salience for e in events], float),
            rest=np.array([e.rest for e in events]),
        )

    def __len__(self) -> int:
        return len(self.kind)

    def __add__(self, later: Schedule) -> Schedule:
        return Schedule(*(np.concatenate([getattr(self, f.name), getattr(later, f.name)]) for f in fields(self)))

    @property
    def rare(self) -> np.ndarray:
        """True where the event is the rare one, shape (n_events,)."""
        return self.kind == Kind.RARE

    @property
    def occurrence(self) -> np.ndarray:
        """The how-manieth rare event each is, from 1; 0 for all others."""
        return np.where(self.rare, np.cumsum(self.rare), 0)

    @property
    def n_occurrences(self) -> int:
        """Number of rare events."""
        return int(self.rare.sum())

    def check(self, task: Task, snapshots: Sequence[int] = ()) -> None:
        """Raise `ScheduleError` unless the task has all its stimuli and outcomes, and it all events to look after."""
        for name, lowest, n in (("stimulus", 0, len(task.stimuli)), ("outcome", OWN_PREDICTION, len(task.outcomes))):
            bad = [int(k) for k in getattr(self, name) if not lowest <= k < n]
            if bad:
                raise ScheduleError(f"{name} = {bad[0]}, but the task has {n}: give an index from 0 to {n - 1}.")
        if any(not 0 <= k < len(self) for k in snapshots) or list(snapshots) != sorted(set(snapshots)):
            raise ScheduleError(
                f"snapshots = {list(snapshots)}; give different events, 0 to {len(self) - 1}, in rising order."
            )

    def select(self, which: np.ndarray) -> Schedule:
        """Return only the events at which the array of bool `which`, shape (n_events,), is true."""
        return Schedule(*(getattr(self, f.name)[which] for f in fields(self)))

    def sham(self) -> Schedule:
        """Same stimuli, but the rare event's outcome is the one that the network itself predicts."""
        return replace(self, outcome=np.where(self.rare, OWN_PREDICTION, self.outcome))


def random_life(
    task: Task, *, event_fraction: float, n_events: int, rng: np.random.Generator, n_rare_stimuli: int | None = None
) -> Schedule:
    """Draw a life in which a fraction of the events is the rare one.

    One rare event falls at a random place into each stretch of 1/`event_fraction` events, so that lives of
    different seeds have it equally often. The stimuli are drawn from those that are not held out.

    Parameters
    ----------
    task : Task
    event_fraction : float
        Fraction of all events that are the rare event, in (0, 1].
    n_events : int
        Length of the life.
    rng : Generator
    n_rare_stimuli : int, optional
        From how many different rare stimuli to draw; all of them by default.

    Raises
    ------
    ScheduleError
        `event_fraction` is outside (0, 1], or the rare event would never occur.
    """
    if not 0 < event_fraction <= 1:
        raise ScheduleError(f"event_fraction = {event_fraction:g} is outside (0, 1]; give the rare event's share.")
    n_rare = round(event_fraction * n_events)
    if n_rare < 1:
        raise ScheduleError(
            f"the rare event never occurs: event_fraction = {event_fraction:g} of n_events = {n_events} is less than "
            f"one event; make n_events at least {int(np.ceil(0.5 / event_fraction)) + 1}."
        )
    edges = np.linspace(0, n_events, n_rare + 1)
    place = np.minimum((edges[:-1] + rng.random(n_rare) * np.diff(edges)).astype(int), n_events - 1)
    place = np.maximum.accumulate(place)  # two neighbouring stretches may share an event where both are short
    for k in range(1, n_rare):
        place[k] = max(place[k], place[k - 1] + 1)
    for k in range(n_rare - 1, -1, -1):
        place[k] = min(place[k], n_events - (n_rare - k))
    rare = np.zeros(n_events, bool)
    rare[place] = True
    rare_stimuli = task.indices(rare=True, held_out=False)[:n_rare_stimuli]
    background = task.indices(rare=False, held_out=False)
    stimulus = np.where(rare, rng.choice(rare_stimuli, n_events), rng.choice(background, n_events))
    return Schedule(
        stimulus=stimulus,
        outcome=task.label[stimulus],
        kind=np.where(rare, Kind.RARE, Kind.BACKGROUND).astype(int),
        salience=np.ones(n_events),
        rest=np.zeros(n_events, int),
    )


def probes(stimuli: np.ndarray) -> Schedule:
    """Show stimuli without an outcome, to look at the prediction."""
    return Schedule.of(Event(int(s), NO_OUTCOME, Kind.PROBE) for s in stimuli)


@dataclass(frozen=True)
class Timeline:
    """A schedule laid out in time, in steps of the timing's resolution.

    Attributes
    ----------
    stimulus : array of int, shape (n_steps,)
        Index of the stimulus, -1 for silence.
    outcome : array of int, shape (n_steps,)
        Index of the outcome, or `NO_OUTCOME`, or `OWN_PREDICTION`.
    onset, decision, look_end, end : arrays of int, shape (n_events,)
        Step at which each event begins, at which its outcome does (for a probe: would), until which its prediction is
        looked at from then on (one step, but for a probe as long as an outcome would stay), and at which it ends.
    """

    stimulus: np.ndarray
    outcome: np.ndarray
    onset: np.ndarray
    decision: np.ndarray
    look_end: np.ndarray
    end: np.ndarray


def lay_out(schedule: Schedule, timing: Timing) -> Timeline:
    """Lay a schedule out in time; in a probe nothing happens, a rest has nothing but its length."""
    lead, outcome, gap = (timing.steps(name) for name in ("lead", "outcome", "gap"))
    held = np.maximum(1, np.round(outcome * schedule.salience).astype(int))
    rest = schedule.kind == Kind.REST
    length = np.where(rest, schedule.rest, lead + held + gap)
    end = np.cumsum(length)
    onset = end - length
    decision = np.where(rest, onset, onset + lead)
    stimulus = np.full(end[-1], -1)
    happens = np.full(end[-1], NO_OUTCOME)
    for k in np.flatnonzero(~rest):
        stimulus[onset[k] : decision[k] + held[k]] = schedule.stimulus[k]
        happens[decision[k] : decision[k] + held[k]] = schedule.outcome[k]
    look_end = decision + np.where(schedule.kind == Kind.PROBE, held, 1)
    return Timeline(stimulus, happens, onset, decision, look_end, end)
