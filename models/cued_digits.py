"""Digits that are good or bad, and a cue with which a good one turns out bad: what is lived, and what is made of it.

Of the digits 0 to 8 the first five are good, the others bad; an outcome is the digit, and which of the two it is. In event A
a digit comes alone and is what it promises. In event E a good digit comes with the cue of `models/neglected_cue.py`, cells
that nothing else switches on, and the outcome is the same digit with the opposite valence. The same images come with the cue
of every entry, so that lives with the cue at different hops differ in nothing else.

What is chosen here, and from where; the images are those of `bioplastic.tasks.digits`, of which the 9 is left out.

parameter   value   unit    meaning                                                            source
----------  ------  ------  -----------------------------------------------------------------  ------------------------
N_DIGITS         9  1       digits, from 0 on                                                  leaves an outcome for E
N_GOOD           5  1       of them are good, from 0 on                                        about half
CAPACITY       200  events  that a replay buffer remembers                                     chosen: half a life
ALPHA          0.6  1       exponent of an event's surprise, to which power replays are drawn  Schaul et al. (2016)

Prioritised replay: Schaul et al. (2016), arXiv:1511.05952; here an event's priority is the error of the network that the life
begins with, and does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from brian2 import Hz

from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.events import Kind, Schedule, Timing, random_life
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.rules.equilibrium_relay import agreeing_feedback
from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, Task, digits

N_DIGITS = 9
N_GOOD = 5
CAPACITY = 200
ALPHA = 0.6

Pairs = tuple[np.ndarray, np.ndarray]
"""Stimuli without the cue, and the same images with it."""


# ------------------------------------------------------------------------------------------ stimuli and outcomes


@dataclass(frozen=True)
class CuedDigits:
    """The digits without cues, then the good ones with the cue of each entry in turn.

    Attributes
    ----------
    task : Task
        Outcomes 0 to 8: each digit and its own valence; then the good digits with the opposite one.
    n_plain, n_good : int
        Images of all digits, and of the good ones.
    plain_of_good : array of int, shape (n_good,)
        The stimulus without a cue that is the same image.
    """

    task: Task
    n_plain: int
    n_good: int
    plain_of_good: np.ndarray

    def cued(self, entry_index: int) -> np.ndarray:
        """Stimuli with the cue of an entry, in the order of `plain_of_good`."""
        return self.n_plain + entry_index * self.n_good + np.arange(self.n_good)

    def held_out_pairs(self, per_digit: int, entry_index: int) -> Pairs:
        """Held-out good digits without the cue, and the same images with it, equally many of each digit.

        Parameters
        ----------
        per_digit : int
        entry_index : int

        Returns
        -------
        plain, cued : array of int, shape (5 * per_digit,)
        """
        label, held_out = self.task.label[self.plain_of_good], self.task.held_out[self.plain_of_good]
        chosen = np.concatenate([np.flatnonzero((label == k) & held_out)[:per_digit] for k in range(N_GOOD)])
        return self.plain_of_good[chosen], self.cued(entry_index)[chosen]


def outcome_table() -> np.ndarray:
    """Return what happens: the digit (one hot), whether it is good, whether it is bad, shape (14, 11)."""
    absent, present = OUTCOME_RANGE
    digit = np.eye(N_DIGITS)
    good = (np.arange(N_DIGITS) < N_GOOD)[:, None]
    own = np.hstack([digit, good, ~good])
    opposite = np.hstack([digit, ~good, good])[:N_GOOD]
    return absent + (present - absent) * np.vstack([own, opposite])


def plain_task() -> Task:
    """Return the digits 0 to 8 with their valence, for pretraining; the 9 is not shown."""
    task = digits()
    return replace(task, outcomes=outcome_table()[: N_DIGITS + 1])


def cued_digits(n_entries: int, n_cue: int) -> CuedDigits:
    """Return digits with and without cues.

    Parameters
    ----------
    n_entries : int
        Cue populations.
    n_cue : int
        Cells of each.
    """
    source = digits()
    plain = np.flatnonzero(source.label < N_DIGITS)
    good = np.flatnonzero(source.label[plain] < N_GOOD)
    image = np.concatenate([plain, *[plain[good]] * n_entries])
    cues = np.zeros((len(image), n_entries * n_cue))
    for k in range(n_entries):
        begin = len(plain) + k * len(good)
        cues[begin : begin + len(good), k * n_cue : (k + 1) * n_cue] = STIMULUS_RANGE[1]
    label = source.label[image] + N_DIGITS * (np.arange(len(image)) >= len(plain))
    stimuli = np.hstack([source.stimuli[image], cues])
    task = Task(stimuli, outcome_table(), label, source.held_out[image], rare_label=N_DIGITS)
    return CuedDigits(task, len(plain), len(good), good)


def agreeing(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return feedback weights with which both dendrites of every cell agree on digits without a cue.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    task : Task
    seed : int
        Nothing is drawn.
    """
    background = (task.label < N_DIGITS) & ~task.held_out
    return agreeing_feedback(circuit, weights, task.stimuli[background])


# ------------------------------------------------------------------------------------------ lives


def life(cued: CuedDigits, *, entry_index: int, event_fraction: float, n_events: int, seed: int) -> Schedule:
    """Draw a life of A and E; it is the same for every entry, but for where the cue enters.

    Parameters
    ----------
    cued : CuedDigits
    entry_index : int
    event_fraction : float
    n_events : int
    seed : int
    """
    rng = np.random.default_rng([seed, round(1e6 * event_fraction)])
    n_drawn = cued.n_plain + cued.n_good  # with the cue of the first entry only
    task = cued.task
    drawn_from = Task(
        task.stimuli[:n_drawn],
        task.outcomes,
        np.minimum(task.label[:n_drawn], N_DIGITS),
        task.held_out[:n_drawn],
        rare_label=N_DIGITS,
    )
    drawn = random_life(drawn_from, event_fraction=event_fraction, n_events=n_events, seed=rng)
    stimulus = drawn.stimulus + np.where(drawn.rare, entry_index * cued.n_good, 0)
    return replace(drawn, stimulus=stimulus, outcome=task.label[stimulus])


def surprise(circuit: Circuit, task: Task, weights: Weights, schedule: Schedule) -> np.ndarray:
    """Squared error of a network at each event, in rates, shape (n_events,).

    Parameters
    ----------
    circuit : Circuit
    task : Task
    weights : Weights
    schedule : Schedule
    """
    from bioplastic import twin

    (predicted,) = twin.predict(circuit, [weights], task.stimuli[schedule.stimulus])
    return np.asarray(np.square(predicted - task.outcomes[schedule.outcome]).sum(1))


def with_replay(
    schedule: Schedule,
    timing: Timing,
    surprise: np.ndarray,
    *,
    day: int,
    replays: int,
    seed: int,
    capacity: int = CAPACITY,
    alpha: float = ALPHA,
) -> Schedule:
    """Put a night after every day, full of replays that are drawn by how surprising an event was.

    Parameters
    ----------
    schedule : Schedule
    timing : Timing
    surprise : array, shape (n_events,)
    day : int
        Events between two nights.
    replays : int
        In each night.
    seed : int
        Of what is drawn; the same numbers and the same events whatever the timing.
    capacity, alpha
        As in `ReplayBuffer`.
    """
    night = replays * timing.event
    last_of_day = np.arange(1, len(schedule) + 1) % day == 0
    resting = schedule.with_rest_after(last_of_day, night, timing)
    priority = np.ones(len(resting))
    priority[~resting.resting] = surprise
    buffer = ReplayBuffer(capacity, 1 / float(timing.event) * Hz, sampling="prioritised", alpha=alpha)
    return buffer.fill(resting, timing, rng=np.random.default_rng([seed, 7]), priority=priority)


# ------------------------------------------------------------------------------------------ what predictions say


def valence(prediction: np.ndarray) -> np.ndarray:
    """How good a prediction says it is: the cell for good minus the cell for bad, shape (..., n_events)."""
    return np.asarray(prediction[..., -2] - prediction[..., -1])


def discrimination(plain: np.ndarray, cued: np.ndarray) -> np.ndarray:
    """How much of the difference between A and E is predicted: 0 none, 1 all, below 0 the wrong way round.

    Parameters
    ----------
    plain, cued : array, shape (..., n_images, n_outputs)
        Predictions for the same images without the cue and with it.

    Returns
    -------
    array, shape (...)
    """
    full = 2 * (OUTCOME_RANGE[1] - OUTCOME_RANGE[0])
    return np.asarray((valence(plain) - valence(cued)).mean(-1) / full)


def kept_valence(plain: np.ndarray) -> np.ndarray:
    """Valence predicted of good digits without the cue, as a fraction of their own: 1 is right, -1 is that of E."""
    return np.asarray(valence(plain).mean(-1) / (OUTCOME_RANGE[1] - OUTCOME_RANGE[0]))


def signalled(error_spikes: np.ndarray, schedule: Schedule, theta: float) -> np.ndarray:
    """Mismatch that error spikes signal per E, minus that per event of A with a good digit, shape (n_hops,).

    Parameters
    ----------
    error_spikes : array, shape (n_events, n_hops)
    schedule : Schedule
        Replays and rests are left out.
    theta : float
        Mismatch that one error spike stands for.
    """
    background = (schedule.kind == Kind.BACKGROUND) & (schedule.outcome < N_GOOD)
    return np.asarray(theta * (error_spikes[schedule.rare].mean(0) - error_spikes[background].mean(0)))


def said(circuit: Circuit, cued: CuedDigits, networks: Sequence[Weights], pairs: Pairs) -> dict[str, np.ndarray]:
    """Measure what networks say of images without and with the cue, in rates.

    Parameters
    ----------
    circuit : Circuit
    cued : CuedDigits
    networks : sequence of Weights
    pairs : tuple of array of int
        Good digits without the cue, and the same with it.

    Returns
    -------
    dict of str to array, shape (n_networks,)
        By the names of `SAID`.
    """
    from bioplastic import twin

    without, with_cue = (twin.predict(circuit, networks, cued.task.stimuli[shown]) for shown in pairs)
    right = without[..., :N_DIGITS].argmax(-1) == cued.task.label[pairs[0]]
    return {
        "discrimination": discrimination(without, with_cue),
        "kept_valence": kept_valence(without),
        "accuracy": right.mean(-1),
    }


SAID = {
    "discrimination": "difference between A and E that is predicted (1: all), held-out images, in rates",
    "kept_valence": "valence predicted of good digits without the cue, as a fraction of their own (1: right, -1: that "
    "of E), held-out images, in rates",
    "accuracy": "accuracy on the good digits (0 to 4) without the cue, held-out images, in rates",
}
"""What these measures are, in words."""
