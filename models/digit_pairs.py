"""Ten digits, two at a time: five tasks one after the other, and the same two outputs for all of them.

The images of two digits make a task (0 and 1, 2 and 3, ...); one output says that it is the even digit, the other that it is
the odd one. Beside the pixels the context is shown, which tells the task: `models/context_chain.py`, the circuit that lives
this, may listen to it or not. In a life the tasks come in blocks, or the same images interleaved, with or without replays
of what came before.

What is chosen here, and from where.

parameter             value   unit    meaning                                            source
--------------------  ------  ------  -------------------------------------------------  ----------------------------------
N_TASKS                    5  1       tasks                                              ten digits, two at a time
held out                 0.2  1       of each digit's images, to measure accuracy        `bioplastic.tasks.digits`
validation               0.2  1       of the others, to choose learning rates            a setting of the experiment

Split digits as a continual-learning problem with shared outputs ("domain-incremental"): van de Ven, Tuytelaars and Tolias
(2022), doi:10.1038/s42256-022-00568-3, who use MNIST.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bioplastic_models import context_chain

from bioplastic.events import Schedule, Timing, lessons
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.tasks import OUTCOME_RANGE, Task, digits, validation

N_TASKS = context_chain.N_TOPICS


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


@dataclass(frozen=True)
class DigitPairs:
    """The tasks, and the lives in which they come.

    Attributes
    ----------
    validation_fraction : float
        Fraction of each digit's images, of those that are not held out, that nobody learns from: learning rates are
        chosen on them.
    """

    validation_fraction: float = 0.2

    @cached_property
    def task(self) -> Task:
        """All images."""
        return paired_digits()

    @cached_property
    def topic(self) -> np.ndarray:
        """Which task each belongs to."""
        return topics()

    @cached_property
    def validating(self) -> np.ndarray:
        """Images by which learning rates are chosen."""
        return validation(digits(), self.validation_fraction)

    @cached_property
    def learnable(self) -> np.ndarray:
        """Images to learn from."""
        return np.setdiff1d(np.flatnonzero(~self.task.held_out), self.validating)

    def life(self, n_events: int, seed: int, *, interleaved: bool = False) -> Schedule:
        """Return the tasks in blocks, or the same events in random order.

        Parameters
        ----------
        n_events : int
            Of each task; every image comes once at most.
        seed : int
        interleaved : bool, optional
        """
        rng, learnable = np.random.default_rng([seed, 1]), self.learnable
        stimuli = np.concatenate(
            [rng.permutation(learnable[self.topic[learnable] == t])[:n_events] for t in range(N_TASKS)]
        )
        if interleaved:
            stimuli = np.random.default_rng([seed, 2]).permutation(stimuli)
        return lessons(self.task, stimuli)


def with_replays(real: Schedule, every: int, timing: Timing, seed: int) -> Schedule:
    """Put replays of any event so far into a life: after every few real events as many.

    Parameters
    ----------
    real : Schedule
    every : int
        Real events after which as many replays come.
    timing : Timing
    seed : int
    """
    n = len(real)
    resting = real.with_rest_after((np.arange(n) + 1) % every == 0, every * timing.event, timing)
    buffer = ReplayBuffer(capacity=n, rate=1 / timing.event)
    return buffer.fill(resting, timing, rng=np.random.default_rng([seed, 3]))
