"""What one life of a network starts from, and what it leaves behind: the same for spikes and for the rate twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.circuit import Feedback, Weights
from bioplastic.events import Schedule, Timing
from bioplastic.hippocampus.memory import Memory
from bioplastic.hippocampus.parameters import Replay
from bioplastic.tasks import Task
from bioplastic.units import quantity


@dataclass(frozen=True)
class Life:
    """One life of a circuit: what it starts from, what happens to it, and how it learns.

    Attributes
    ----------
    schedule : Schedule
    rule : object
        One of `bioplastic.rules`: one that spikes, or one of the rate twin.
    weights : Weights
        At the start.
    timing : Timing
        Phases of an event; the rate twin, where an event takes no time, does without.
    feedback : Feedback, optional
        By default the forward weights; a rule that broadcasts needs its own. Only in spikes.
    snapshots : sequence of int
        Events after which the weights are recorded, in rising order.
    seed : int
        Of all that is random: the initial spike phases, and the hippocampus. Nothing is in the twin.
    phases : int, optional
        Seed of the initial spike phases, if it is to be another: then everything else that is random stays.
    tau_w : Quantity
        Time constant with which plastic weights are pulled back to where they started. Only in spikes; there it needs
        a model made with ``restoring=True`` if it is not infinite.
    replay : Replay
        What happens in rests; needs a model made with a hippocampus if anything does.
    memory : Memory, optional
        What the hippocampus remembers at the start; nothing by default.
    task : Task, optional
        Where the schedule finds its stimuli and outcomes, if not in the task of all lives: of a life in which something
        is shown that an earlier one evoked. No larger than that in spikes, where there is room for so much.

    Raises
    ------
    UnitError
        `tau_w` has the wrong unit or is not positive.
    """

    schedule: Schedule
    rule: Any
    weights: Weights
    timing: Timing = field(default_factory=Timing)
    feedback: Feedback | None = None
    snapshots: Sequence[int] = ()
    seed: int = 0
    phases: int | None = None
    tau_w: Quantity = field(default_factory=lambda: np.inf * second)
    replay: Replay = field(default_factory=Replay)
    memory: Memory | None = None
    task: Task | None = None

    def __post_init__(self) -> None:
        quantity("tau_w", self.tau_w, ms, low=0, open_low=True, infinite=True)


@dataclass(frozen=True)
class SpikeTrain:
    """Spikes, in order of time.

    Attributes
    ----------
    time : array, shape (n_spikes,)
        In s.
    cell : array of int, shape (n_spikes,)
        Index of the cell in the circuit.
    sign : array of int, shape (n_spikes,), optional
        Of error spikes: +1 or -1.
    """

    time: np.ndarray
    cell: np.ndarray
    sign: np.ndarray | None = None


@dataclass(frozen=True)
class Remembered:
    """What a life leaves in the hippocampus.

    Attributes
    ----------
    memory : Memory
        What it remembers at the end.
    reactivation_time, reactivated : arrays, shape (n_reactivations,)
        When, in s, and which memory was reactivated, by a ripple or a cue.
    written_time, written : arrays, shape (n_written,)
        When, in s, and into which assembly a memory was written.
    index_spikes : SpikeTrain
        Of the index cells: the ripples.
    """

    memory: Memory
    reactivation_time: np.ndarray
    reactivated: np.ndarray
    written_time: np.ndarray
    written: np.ndarray
    index_spikes: SpikeTrain


@dataclass(frozen=True)
class Lived:
    """What a life leaves behind.

    Attributes
    ----------
    prediction : array, shape (n_events, n_outputs)
        What the error sources predict before each outcome, a fraction of the maximal rate. In spikes: their basal
        dendrites when the outcome begins, or on average over the time in which it would be present if there is none.
        In the twin NaN at a rest, which shows nothing.
    error_signal : array, shape (n_events, n_hops)
        How much error each hop signalled. In spikes the number of error spikes; in the twin the sum of |delta| over
        the cells, for Latent Equilibrium its integral over the outcome.
    snapshots : tuple of Weights
        Weights and biases after the events that the life names.
    weights : Weights
        At the end.
    feedback : Feedback, optional
        At the end; None in the twin.
    onset : array, shape (n_events,), optional
        Time in s at which each event began; None in the twin.
    error_spikes, spikes : SpikeTrain, optional
        Error spikes; ordinary spikes, if they were asked for. None in the twin.
    remembered : Remembered, optional
        What a hippocampus, if there is one, has done.
    run_time : float
        Seconds that the simulation loop took; NaN in the twin, which lives many lives at once.
    """

    prediction: np.ndarray
    error_signal: np.ndarray
    snapshots: tuple[Weights, ...]
    weights: Weights
    feedback: Feedback | None = None
    onset: np.ndarray | None = None
    error_spikes: SpikeTrain | None = None
    spikes: SpikeTrain | None = None
    remembered: Remembered | None = None
    run_time: float = float("nan")
