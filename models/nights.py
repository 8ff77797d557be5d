"""Days of real events and nights in which they are replayed: from a plain buffer, or by a hippocampus in spikes.

A night follows every day, and is just as long as its replays take, so that more replays cost more time and nothing else.
The buffer holds the last events and draws from them, uniformly or the more often the more wrong the network was about
them at the start (Lin 1992, doi:10.1007/BF00992699; Schaul et al. 2016, arXiv:1511.05952: there the surprise is brought
up to date). The hippocampus (bioplastic/hippocampus/) itself holds, writes and replays what surprised it: a short rest
follows every event, in which attention holds what is surprising, and a night is nothing but rest.

parameter   value   unit    meaning                                                    source
----------  ------  ------  ---------------------------------------------------------  ------------------------------
CAPACITY       200  events  that the buffer remembers                                  chosen: several days
ALPHA          0.6  1       exponent of the surprise, to whose power replays are drawn Schaul et al. 2016
LEAST         1e-6  1       least surprise                                             without one some never come back
HELD             1  s       rest after each real event where there is a hippocampus    chosen: in it surprise is held
RIPPLES        0.5  Hz      replays per second of rest of the hippocampus              chosen

At ALPHA = 1 three quarters of the replays are 9s where the 9 is to be learned, and both learners forget the others.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from brian2 import Hz, second

from bioplastic.circuit import Weights
from bioplastic.events import Schedule, Timing
from bioplastic.hippocampus import Replay
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life, Lived
from bioplastic.study.bench import Ask, Bench

CAPACITY = 200
ALPHA = 0.6
LEAST = 1e-6
HELD = 1 * second
RIPPLES = 0.5 * Hz
OFF, UNIFORM, PRIORITISED, ATTENTION, HIPPOCAMPUS = "off", "uniform", "prioritised", "attention only", "hippocampus"


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

    @property
    def ripples(self) -> Replay:
        """What the hippocampus does in rests."""
        return Replay(RIPPLES * (self.source == HIPPOCAMPUS))


def with_nights(
    days: Schedule, replaying: Replaying, day: int, timing: Timing, *, surprise: np.ndarray, seed: int
) -> Schedule:
    """Put a night after every day of real events, just as long as its replays take.

    With a buffer it holds the replays; with a hippocampus nothing but rest, and a short rest follows every event.

    Parameters
    ----------
    days : Schedule
        Real events only.
    replaying : Replaying
    day : int
        Real events between two nights.
    timing : Timing
    surprise : array, shape (n_stimuli,)
        How wrong the network is about each stimulus at the start: its priority.
    seed : int
    """
    evening, n_replays = (np.arange(len(days)) + 1) % day == 0, day * replaying.per_event
    if replaying.in_spikes:
        life = days.with_rest_after(evening, n_replays / RIPPLES, timing) if n_replays else days
        return life.with_rest_after(~life.resting, HELD, timing)
    if not n_replays:
        return days
    life = days.with_rest_after(evening, n_replays * timing.event, timing)
    buffer = ReplayBuffer(CAPACITY, 1 / timing.event, sampling=replaying.source, alpha=ALPHA)
    priority = surprise[life.stimulus] + LEAST if replaying.source == PRIORITISED else None
    return buffer.fill(life, timing, rng=np.random.default_rng([seed, 2]), priority=priority)


def stretches(life: Schedule, looks: Sequence[int]) -> list[Schedule]:
    """Cut a life after so many real events each, and the night that follows them.

    Parameters
    ----------
    life : Schedule
    looks : sequence of int
        Real events before each cut, in rising order; what comes after the last is left out.
    """
    n_real = np.cumsum(~life.replayed & ~life.resting)
    number = np.searchsorted(looks, n_real)
    return [life.select(number == k) for k in range(len(looks))]


def longest_stretch(looks: Sequence[int], replaying: Sequence[Replaying], timing: Timing) -> float:
    """Return how long the longest such stretch can be, in steps of the timing's resolution.

    Parameters
    ----------
    looks : sequence of int
    replaying : sequence of Replaying
        Those that are to be lived.
    timing : Timing
    """
    per_event = [
        HELD + timing.event + one.per_event / RIPPLES if one.in_spikes else (1 + one.per_event) * timing.event
        for one in replaying
    ]
    return float(np.diff((0, *looks)).max() * max(per_event) / timing.resolution)


def live(
    bench: Bench, life: Life, looks: Sequence[int]
) -> Generator[Ask, list[Lived], tuple[list[Weights], list[int]]]:
    """Live until the last look, in a measure: ``networks, replayed = yield from live(bench, life, looks)``.

    Parameters
    ----------
    bench : Bench
    life : Life
        All of it. The k-th stretch has the seed `seed` + k.
    looks : sequence of int
        Real events after which to look.

    Returns
    -------
    networks : list of Weights
        At the start and at each look.
    replayed : list of int
        Stimuli of all replays, whether they were in the schedule or the hippocampus had them.
    """
    networks, replayed, contents = [life.weights], [], dict[int, int]()
    for k, stretch in enumerate(stretches(life.schedule, looks)):
        (lived,) = yield bench.ask(replace(life, schedule=stretch, seed=life.seed + k))
        networks.append(lived.weights)
        replayed += recalled(lived, stretch, contents) + stretch.stimulus[stretch.replayed].tolist()
        memory = None if lived.remembered is None else lived.remembered.memory
        life = replace(life, weights=lived.weights, feedback=lived.feedback, memory=memory)
    return networks, replayed


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
