"""What the circuit is shown and what then happens: stimuli, outcomes and labels as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STIMULUS_RANGE = (0.2, 0.8)
"""Input rates of a white and of a black pixel, as fractions of the maximal rate."""
OUTCOME_RANGE = (0.25, 0.75)
"""Rates of an output cell whose class is absent and present, as fractions of the maximal rate."""


@dataclass(frozen=True)
class Task:
    """Labelled stimuli, split into those to learn from and those held out.

    Attributes
    ----------
    stimuli : array, shape (n_stimuli, n_inputs)
        Input rates as fractions of the maximal rate.
    outcomes : array, shape (n_outcomes, n_outputs)
        Output rates that each outcome imposes, as fractions of the maximal rate.
    label : array of int, shape (n_stimuli,)
        Index of the outcome that goes with each stimulus.
    held_out : array of bool, shape (n_stimuli,)
        True for stimuli that no learner may learn from.
    rare_label : int
        Outcome of the rare event; all others are the background.
    reward : array, shape (n_outcomes, n_outputs), optional
        What an error source makes of an outcome, cell by cell: its error is ``reward * (outcome - prediction)``. 1, the
        default, where the outcome is what really happens; -1 where it is what was done and is disapproved; 0 where
        nothing is known of this cell. With outcomes that are actions this is REINFORCE for units that act with
        probability `prediction` (Williams 1992, doi:10.1007/BF00992696), the reward counted from what was expected.
    """

    stimuli: np.ndarray
    outcomes: np.ndarray
    label: np.ndarray
    held_out: np.ndarray
    rare_label: int
    reward: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.stimuli)
        if self.label.shape != (n,) or self.held_out.shape != (n,):
            raise ValueError(
                f"task: {n} stimuli, but label has shape {self.label.shape} and held_out {self.held_out.shape}; "
                "give one of each per stimulus."
            )
        if self.rare_label not in self.label:
            raise ValueError(
                f"task: rare_label = {self.rare_label} labels no stimulus; present: {sorted(set(self.label.tolist()))}."
            )
        for name in ("stimuli", "outcomes"):
            table = getattr(self, name)
            if not (np.isfinite(table).all() and (table >= 0).all() and (table <= 1).all()):
                raise ValueError(f"task: {name} must be fractions of the maximal rate, 0 to 1.")
        if self.reward is not None:
            if self.reward.shape != self.outcomes.shape:
                raise ValueError(
                    f"task: reward has shape {self.reward.shape}; give one number for each output of each outcome, "
                    f"{self.outcomes.shape}."
                )
            if not (np.abs(self.reward) <= 1).all():
                raise ValueError("task: reward must be from -1 (disapproved) to 1 (what really happens).")

    def indices(self, *, rare: bool, held_out: bool) -> np.ndarray:
        """Indices of the rare or of the background stimuli, held out or not."""
        return np.flatnonzero(((self.label == self.rare_label) == rare) & (self.held_out == held_out))


def digits(rare_label: int = 9, held_out_fraction: float = 0.2) -> Task:
    """Handwritten digits, 8x8 pixels: 0 to 8 are the background, 9 (or another digit) is the rare event.

    The data are the test part of the Optical Recognition of Handwritten Digits data set (Alpaydin and Kaynak
    1998, UCI Machine Learning Repository, doi:10.24432/C50P49) as scikit-learn ships it: 1797 images.

    Parameters
    ----------
    rare_label : int
        The digit, 0 to 9, that is the rare event.
    held_out_fraction : float
        Fraction of each digit's images to hold out.

    Returns
    -------
    Task
        64 inputs, 10 outputs. The split is the same in every call.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    low, high = STIMULUS_RANGE
    held_out = np.zeros(len(data.target), bool)
    rng = np.random.default_rng(0)
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(data.target == digit))
        held_out[members[: round(held_out_fraction * len(members))]] = True
    return Task(
        stimuli=low + (high - low) * data.data / 16,
        outcomes=_one_hot_outcomes(10),
        label=data.target.astype(int),
        held_out=held_out,
        rare_label=rare_label,
    )


def validation(task: Task, fraction: float) -> np.ndarray:
    """Choose stimuli to choose learning rates by, which then nobody learns from.

    Parameters
    ----------
    task : Task
    fraction : float
        Of each label's stimuli that are not held out.

    Returns
    -------
    array of int
        Rising, and the same in every call.
    """
    rng = np.random.default_rng(1)
    chosen = []
    for label in range(len(task.outcomes)):
        members = rng.permutation(np.flatnonzero((task.label == label) & ~task.held_out))
        chosen.append(members[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen))


def random_patterns(n_patterns: int, n_inputs: int, n_outputs: int, *, seed: int) -> Task:
    """Random binary stimuli with random binary outcomes; the last pattern is the rare event, nothing is held out.

    Parameters
    ----------
    n_patterns, n_inputs, n_outputs : int
        Sizes.
    seed : int
        Seed of the patterns.
    """
    rng = np.random.default_rng(seed)
    return Task(
        stimuli=rng.choice(STIMULUS_RANGE, (n_patterns, n_inputs)),
        outcomes=rng.choice(OUTCOME_RANGE, (n_patterns, n_outputs)),
        label=np.arange(n_patterns),
        held_out=np.zeros(n_patterns, bool),
        rare_label=n_patterns - 1,
    )


def _one_hot_outcomes(n_classes: int) -> np.ndarray:
    absent, present = OUTCOME_RANGE
    return np.where(np.eye(n_classes, dtype=bool), present, absent)
