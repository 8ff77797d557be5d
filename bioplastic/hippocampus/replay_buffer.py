"""The plain replay buffer: rests of a schedule filled with events lived before them.

It replays from the schedule itself, not from synapses: the control for a hippocampus made of cells, the upper bound of
what that can do, and what the twin gets as experience replay, so that both learners replay the same events at the same
times. A replay is an event like any other, with its whole stimulus and outcome, uncompressed and at salience 1:
salience decides how likely a memory is to come back, not how long it then stays.

Source: experience replay, Lin (1992), doi:10.1007/BF00992699; prioritised with exponent alpha, Schaul et al. (2016),
arXiv:1511.05952, here without their correction for the bias that priorities bring (importance sampling), since that
would scale the learning rate of each replay by something that no cell knows.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from brian2 import Hz, second
from brian2.units.fundamentalunits import Quantity
from numpy.random import Generator

from bioplastic.events import NO_OUTCOME, Event, Kind, Schedule, ScheduleError, Timing
from bioplastic.units import UnitError, quantity

SAMPLING = ("uniform", "prioritised")
OUTCOMES = ("own", "shuffled", "none")
ROUNDING = 1e-9
"""Fraction of a replay by which a rest may be too short for it."""


@dataclass(frozen=True)
class ReplayBuffer:
    """A memory of finite capacity from which rests are filled with replays.

    Every background or rare event with an outcome is remembered. When the memory is full, that of lowest priority is
    given up, the new one included, and of several the oldest: what is unlikely to come back is missed least. Under
    uniform sampling all priorities are equal, so that the oldest goes and the memory is the latest events.

    Attributes
    ----------
    capacity : int
        Most events that are remembered at a time.
    rate : Quantity
        Replays per second of rest.
    sampling : {"uniform", "prioritised"}
        Whether a memory comes back with the same probability as any other, or with one proportional to its priority to
        the power of `alpha`. Each is drawn anew, so that one may come back several times.
    alpha : float
        Exponent of the priority; 0 is uniform, 1 proportional.
    outcomes : {"own", "shuffled", "none"}
        What follows the stimulus of a replay: its own outcome, or, as controls, a wrong one (that of an event drawn
        from those lived before which ended otherwise) or nothing.

    Raises
    ------
    UnitError
        A parameter is outside its range or in the wrong unit.
    """

    capacity: int
    rate: Quantity
    sampling: str = "uniform"
    alpha: float = 1.0
    outcomes: str = "own"

    def __post_init__(self) -> None:
        if isinstance(self.capacity, bool) or not isinstance(self.capacity, int | np.integer) or self.capacity < 1:
            raise UnitError(
                f"capacity = {self.capacity!r}; it is how many events are remembered: give a whole number, 1 or more."
            )
        quantity("rate", self.rate, Hz, low=0, open_low=True)
        quantity("alpha", self.alpha, 1, low=0)
        for name, allowed in (("sampling", SAMPLING), ("outcomes", OUTCOMES)):
            if getattr(self, name) not in allowed:
                raise UnitError(f"{name} = {getattr(self, name)!r}; give one of {', '.join(map(repr, allowed))}.")

    def fill(
        self,
        schedule: Schedule,
        timing: Timing,
        *,
        rng: Generator,
        priority: np.ndarray | None = None,
        rests: np.ndarray | None = None,
    ) -> Schedule:
        """Fill the rests of a schedule with replays of events lived before them.

        What is left of a rest lies before, between and after its replays in equal pieces, so that everything else
        happens when it did without replay. Fractions of a replay are carried over to the next rest. A rest before
        anything has been lived stays empty.

        Parameters
        ----------
        schedule : Schedule
        timing : Timing
            That in which the schedule will be lived.
        rng : Generator
        priority : array, shape (n_events,), optional
            Of each event as a memory, for instance how surprising it was; its salience by default.
        rests : array of bool, shape (n_events,), optional
            Which rests may hold replays; all by default.

        Returns
        -------
        Schedule
            With kinds `Kind.REPLAY` and `Kind.RARE_REPLAY`. Its sham, replays included, is that of its method `sham`.

        Raises
        ------
        ScheduleError
            There is no rest, or none after an event; a rest is shorter than a replay; the rate asks for more replays
            than fit; priorities are given where they are not used, or not positive; all events ended alike, so that no
            outcome is wrong.
        """
        resting = self._rests(schedule, rests)
        strength = self._priority(schedule, priority)
        remembered = ((schedule.kind == Kind.BACKGROUND) | schedule.rare) & (schedule.outcome != NO_OUTCOME)
        if not remembered[: resting[-1]].any():
            raise ScheduleError(
                "replay is asked for, but no rest comes after an event with an outcome; put one there, for instance "
                "with Schedule.with_night."
            )
        length = sum(timing.steps(name) for name in ("lead", "outcome", "gap"))
        resting = resting[np.cumsum(remembered)[resting] > 0]
        numbers = self._numbers(schedule, resting, length, timing)
        pieces: list[Schedule] = []
        memory: list[tuple[float, int]] = []  # a heap: its first is the weakest, and of several the oldest
        begin = 0
        for rest, n in zip(resting, numbers, strict=True):
            for event in np.flatnonzero(remembered[begin:rest]) + begin:
                keep = heapq.heappush if len(memory) < self.capacity else heapq.heappushpop
                keep(memory, (float(strength[event]), int(event)))
            known = sorted(event for _, event in memory)
            weight = strength[known] ** self.alpha
            pieces.append(_part(schedule, begin, rest))
            replays = self._drawn(_part(schedule, 0, rest), known, weight, n, rng)
            pieces.extend(_spread(replays, int(schedule.rest[rest]) - n * length))
            begin = rest + 1
        pieces.append(_part(schedule, begin, len(schedule)))
        return Schedule(*(np.concatenate([getattr(piece, f.name) for piece in pieces]) for f in fields(Schedule)))

    def _rests(self, schedule: Schedule, rests: np.ndarray | None) -> np.ndarray:
        """Indices of the rests that may hold replays."""
        if not schedule.resting.any():
            raise ScheduleError(
                "replay is asked for, but the schedule has no rest; put some in with Schedule.with_rest_after or "
                "Schedule.with_night."
            )
        if rests is None:
            return np.flatnonzero(schedule.resting)
        rests = np.asarray(rests)
        if (
            rests.dtype != bool
            or rests.shape != (len(schedule),)
            or not rests.any()
            or (rests & ~schedule.resting).any()
        ):
            raise ScheduleError(
                f"rests is an array of {rests.dtype} of shape {rests.shape}; give one bool for each of the "
                f"{len(schedule)} events, true for at least one, and for rests only."
            )
        return np.flatnonzero(rests)

    def _priority(self, schedule: Schedule, priority: np.ndarray | None) -> np.ndarray:
        """Priority of each event, shape (n_events,)."""
        if self.sampling == "uniform":
            if priority is not None:
                raise ScheduleError("priority is given, but sampling = 'uniform' has no use for it; use 'prioritised'.")
            return np.ones(len(schedule))
        given = np.asarray(schedule.salience if priority is None else priority, float)
        if given.shape != (len(schedule),) or not (np.isfinite(given).all() and (given > 0).all()):
            wrong = given[~(np.isfinite(given) & (given > 0))]
            found = f"holds {wrong[0]:g}" if wrong.size else f"has shape {given.shape}"
            raise ScheduleError(
                f"priority {found}; give one finite number above 0 for each of the {len(schedule)} events (add a "
                "little to all if some are 0)."
            )
        return given

    def _numbers(self, schedule: Schedule, resting: np.ndarray, length: int, timing: Timing) -> np.ndarray:
        """How many replays each rest holds, shape (n_rests,)."""
        step = float(timing.resolution / second)
        needed = f"{1000 * step * length:g} ms"
        free = schedule.rest[resting]
        if (free < length).any():
            k = np.flatnonzero(free < length)[0]
            raise ScheduleError(
                f"the rest at event {resting[k]} lasts {1000 * step * free[k]:g} ms, but a replay {needed}; make it "
                "longer, or leave it out with the argument rests."
            )
        rate = float(self.rate / Hz)
        numbers = np.zeros(len(resting), int)
        due = 0.0
        for k, rest in enumerate(free):
            due += rate * step * rest
            numbers[k] = min(int(due + ROUNDING), rest // length)
            due -= numbers[k]
        if due > 1 - ROUNDING:
            fits = np.floor(1000 * (free // length / (step * free)).min()) / 1000
            raise ScheduleError(
                f"rate = {rate:g} Hz asks for more replays of {needed} than fit into the rests; give {fits:g} Hz or "
                "less, or longer rests."
            )
        return numbers

    def _drawn(self, before: Schedule, memory: Sequence[int], weight: np.ndarray, n: int, rng: Generator) -> Schedule:
        """Draw the replays of one rest, given what was lived before it and the indices of what is remembered of it."""
        drawn = before.select(rng.choice(memory, n, p=weight / weight.sum()))
        kind = np.where(drawn.rare, int(Kind.RARE_REPLAY), int(Kind.REPLAY))
        outcome = drawn.outcome
        if self.outcomes == "none":
            outcome = np.full(n, NO_OUTCOME)
        elif self.outcomes == "shuffled":
            lived = before.outcome[~before.resting & ~before.replayed & (before.outcome != NO_OUTCOME)]
            if len(set(lived)) < 2:
                raise ScheduleError(
                    "outcomes = 'shuffled', but all events before a rest ended alike, so that no outcome is wrong; "
                    "live events with other outcomes before it."
                )
            outcome = np.array([rng.choice(lived[lived != own]) for own in outcome], int)
        return replace(drawn, kind=kind, outcome=outcome, salience=np.ones(n))


def _spread(replays: Schedule, silence: int) -> list[Schedule]:
    """Put the silence of a rest before, between and after its replays."""
    edges = np.linspace(0, silence, len(replays) + 2).round().astype(int)
    pieces = []
    for k, length in enumerate(np.diff(edges)):
        if length:
            pieces.append(Schedule.of([Event(kind=Kind.REST, rest=int(length))]))
        pieces.append(_part(replays, k, k + 1))
    return pieces


def _part(schedule: Schedule, begin: int, end: int) -> Schedule:
    where = np.arange(len(schedule))
    return schedule.select((begin <= where) & (where < end))
