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


SETTLING = 20 * ms
"""Time for which activity travels through one hop: the time constant of a cell."""
MARGIN = 160 * ms
"""Beyond that, until the prediction has settled; measured by scripts/benchmark.py."""


class ScheduleError(ValueError):
    """A schedule that cannot be lived, or in which what is to be measured never happens."""


class Kind(IntEnum):
    """What an event is for; a replay is an event that comes back from memory, background or rare."""

    BACKGROUND = 0
    RARE = 1
    PROBE = 2
    REST = 3
    REPLAY = 4
    RARE_REPLAY = 5


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
        quantity("resolution", self.resolution, ms, low=1)
        for name in ("lead", "outcome", "gap"):
            self.count(name, getattr(self, name))

    def count(self, name: str, length: Quantity) -> int:
        """Return a length of time in units of the resolution; `name` is what errors call it."""
        step = quantity("resolution", self.resolution, ms)
        given = quantity(name, length, ms, low=step)
        if abs(given / step - round(given / step)) > 1e-9:
            raise ScheduleError(f"{name} = {given:g} ms is no multiple of resolution = {step:g} ms.")
        return round(given / step)

    def steps(self, name: str) -> int:
        """Length of the phase called `name`, in units of the resolution."""
        return self.count(name, getattr(self, name))

    @classmethod
    def settling(cls, n_hops: int, *, outcome: Quantity = 120 * ms, gap: Quantity = 30 * ms) -> Timing:
        """Return phases that leave activity the time to travel through a circuit before the outcome begins.

        Parameters
        ----------
        n_hops : int
            Length of the circuit, in hops.
        outcome, gap : Quantity, optional
            As in `Timing`.
        """
        return cls(lead=n_hops * SETTLING + MARGIN, outcome=outcome, gap=gap)

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

    def _repr_html_(self) -> str:
        """Return how many events of each kind there are, for a notebook."""
        counts = [(kind.name.lower().replace("_", " "), int((self.kind == kind).sum())) for kind in Kind]
        rows = "".join(f"<tr><td>{name}</td><td>{n}</td><td>{n / len(self):.3g}</td></tr>" for name, n in counts if n)
        stimuli = len(np.unique(self.stimulus[~self.resting]))
        return (
            f"<table><caption>Schedule: {len(self)} events, {stimuli} different stimuli, saliences "
            f"{self.salience.min():g} to {self.salience.max():g}</caption>"
            f"<tr><th>kind</th><th>events</th><th>fraction</th></tr>{rows}</table>"
        )

    def __add__(self, later: Schedule) -> Schedule:
        return Schedule(*(np.concatenate([getattr(self, f.name), getattr(later, f.name)]) for f in fields(self)))

    @property
    def rare(self) -> np.ndarray:
        """True where the event is the rare one, shape (n_events,)."""
        return self.kind == Kind.RARE

    @property
    def resting(self) -> np.ndarray:
        """True where nothing is shown, shape (n_events,)."""
        return self.kind == Kind.REST

    @property
    def replayed(self) -> np.ndarray:
        """True where the event comes back from memory, shape (n_events,); a replay is no occurrence."""
        return (self.kind == Kind.REPLAY) | (self.kind == Kind.RARE_REPLAY)

    @property
    def occurrence(self) -> np.ndarray:
        """The how-manieth rare event each is, from 1; 0 for all others, replays included."""
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
        """Return the events that `which` picks: an array of bool, shape (n_events,), or of indices in any order."""
        return Schedule(*(getattr(self, f.name)[which] for f in fields(self)))

    def sham(self) -> Schedule:
        """Same stimuli, but the rare event's outcome, also in replay, is the one that the network itself predicts.

        Where nothing happens, as in the replay of a stimulus alone, nothing happens in the sham either.
        """
        rare = self.rare | (self.kind == Kind.RARE_REPLAY)
        return replace(self, outcome=np.where(rare & (self.outcome != NO_OUTCOME), OWN_PREDICTION, self.outcome))

    def with_rest_after(self, which: np.ndarray, length: Quantity, timing: Timing) -> Schedule:
        """Put a rest after chosen events.

        Parameters
        ----------
        which : array of bool, shape (n_events,)
            After which events.
        length : Quantity
            Of each rest, a multiple of the timing's resolution.
        timing : Timing

        Raises
        ------
        ScheduleError, UnitError
            `which` has another shape, or the length is too short, in the wrong unit or no multiple of the resolution.
        """
        rest = Schedule.of([Event(kind=Kind.REST, rest=timing.count("length", length))])
        which = np.asarray(which)
        if which.dtype != bool or which.shape != (len(self),):
            raise ScheduleError(
                f"which is an array of {which.dtype} of shape {which.shape}; give one bool for each of the {len(self)} "
                "events."
            )
        place = np.flatnonzero(which) + 1
        return Schedule(*(np.insert(getattr(self, f.name), place, getattr(rest, f.name)[0]) for f in fields(self)))

    def with_night(self, length: Quantity, timing: Timing) -> Schedule:
        """Put a long rest at the end; `length` and `timing` as in `with_rest_after`."""
        return self.with_rest_after(np.arange(len(self)) == len(self) - 1, length, timing)


def random_life(
    task: Task,
    *,
    event_fraction: float,
    n_events: int,
    seed: int | np.random.Generator,
    n_rare_stimuli: int | None = None,
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
    seed : int or Generator
        Of all that is drawn.
    n_rare_stimuli : int, optional
        From how many different rare stimuli to draw; all of them by default.

    Raises
    ------
    ScheduleError
        `event_fraction` is outside (0, 1], or the rare event would never occur.
    """
    if not 0 < event_fraction <= 1:
        raise ScheduleError(f"event_fraction = {event_fraction:g} is outside (0, 1]; give the rare event's share.")
    rng = np.random.default_rng(seed)
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


def in_rounds(stimuli: np.ndarray, n_events: int, rng: np.random.Generator) -> np.ndarray:
    """Put stimuli into random order, each once before any comes again, shape (n_events,).

    Parameters
    ----------
    stimuli : array of int
    n_events : int
    rng : Generator
    """
    n_rounds = -(-n_events // len(stimuli))
    return np.concatenate([rng.permutation(stimuli) for _ in range(n_rounds)])[:n_events]


def lessons(task: Task, stimuli: np.ndarray) -> Schedule:
    """Show each stimulus with its own outcome, all of them background.

    Parameters
    ----------
    task : Task
    stimuli : array of int, shape (n_events,)
    """
    n = len(stimuli)
    kind = np.full(n, int(Kind.BACKGROUND))
    return Schedule(stimuli, task.label[stimuli], kind, np.ones(n), np.zeros(n, int))


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
    resting : array of bool, shape (n_steps,)
        True within a rest; the gap after an event is none.
    """

    stimulus: np.ndarray
    outcome: np.ndarray
    onset: np.ndarray
    decision: np.ndarray
    look_end: np.ndarray
    end: np.ndarray
    resting: np.ndarray


def lay_out(schedule: Schedule, timing: Timing, *, salience_holds: bool = True) -> Timeline:
    """Lay a schedule out in time; in a probe nothing happens, a rest has nothing but its length.

    Parameters
    ----------
    schedule : Schedule
    timing : Timing
    salience_holds : bool, optional
        Whether salience multiplies the time for which an outcome stays; not where the network itself holds it.
    """
    lead, outcome, gap = (timing.steps(name) for name in ("lead", "outcome", "gap"))
    salience = schedule.salience if salience_holds else np.ones(len(schedule))
    held = np.maximum(1, np.round(outcome * salience).astype(int))
    rest = schedule.resting
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
    return Timeline(stimulus, happens, onset, decision, look_end, end, np.repeat(rest, length))
