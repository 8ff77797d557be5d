"""The claims, and how a verdict follows from numbers per seed; what would count is preregistered in docs/claims.md."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bioplastic.statistics import Estimate, estimate
from bioplastic.terminal import count
from bioplastic.verdicts import NOT_DECIDED, REFUTED, SUPPORTED

MIXED = "mixed"
NOT_RECORDED = "not recorded"
MIN_SEEDS = 5
"""With fewer nothing is decided."""
HOP_MARGIN = 1.0
"""Hops below which nobody would act differently,"""
ACCURACY_MARGIN = 0.05
"""the same for an accuracy, as a fraction,"""
SHARE_MARGIN = 0.1
"""and for a share or a correlation."""

Side = Literal[">", ">=", "<", "<="]
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Claim:
    """A claim of the argument.

    Attributes
    ----------
    number : int
        As in docs/claims.md.
    text : str
    shown_by : str
        Who is to show it.
    """

    number: int
    text: str
    shown_by: str


CLAIMS = (
    Claim(1, "backprop changes every weight that contributed, at every depth, at every occurrence", "backprop"),
    Claim(
        2,
        "a cell's update depends on signals from its neighbours only; nearer cells screen off farther ones",
        "local rules",
    ),
    Claim(
        3,
        "local prediction error is low on average: neighbours are in approximate equilibrium",
        "local rules",
    ),
    Claim(4, "frequent errors cascade upstream slowly, nearest hops first", "local screened rules"),
    Claim(5, "rare events of low salience do not get far; slack stays there", "local screened rules"),
    Claim(
        6,
        "attention, memory and replay carry an important one-time event deep",
        "local, with a hippocampus",
    ),
    Claim(7, "a brain needs fewer real events, by replay", "local with replay, against backprop"),
    Claim(
        8,
        "not updating everything protects what was learned before",
        "local rules; backprop with sparse or gated updates",
    ),
    Claim(
        9,
        "a punished action changes what lies near the action, not the beliefs and desires behind it",
        "local rules; the opposite for backprop",
    ),
    Claim(
        10,
        "attention lets patterns far from the senses become coherent; fixed weights cannot",
        "local rules with the loop",
    ),
    Claim(11, "a self-report trained on approval follows the approval, not the state", "all learners"),
    Claim(12, "how far an event gets depends on frequency and salience together", "every rule"),
)


@dataclass(frozen=True)
class Condition:
    """One condition of a criterion: a mean over seeds that has to lie on one side of a bound.

    Attributes
    ----------
    what : str
        What was measured, with its unit.
    values : array, shape (n_seeds,)
        NaN where a seed is missing.
    side : {">", ">=", "<", "<="}
        On which side of the bound the whole interval has to lie.
    bound : float
    """

    what: str
    values: np.ndarray
    side: Side
    bound: float

    @cached_property  # a bootstrap, and asked for again and again
    def estimate(self) -> Estimate:
        """Mean with its 95 % bootstrap interval over seeds."""
        return estimate(np.asarray(self.values, float))

    @cached_property
    def by_t(self) -> Estimate:
        """Mean with its 95 % interval by Student's t, the wider one where seeds are few."""
        value = self.estimate
        present = np.asarray(self.values, float)[~np.isnan(self.values)]
        if value.low == value.high or not value.n:  # all seeds agree
            return value
        half = float(stats.t.ppf(0.975, value.n - 1) * stats.sem(present))
        return Estimate(value.mean, value.mean - half, value.mean + half, value.n)

    def holds(self, value: Estimate | None = None) -> bool:
        """Whether a whole interval, by default the bootstrap's, lies where it should."""
        value = value or self.estimate
        within = _COMPARE[self.side]
        return bool(value.n and within(value.low, self.bound) and within(value.high, self.bound))

    def fails(self, value: Estimate | None = None) -> bool:
        """Whether a whole interval, by default the bootstrap's, lies on the other side."""
        value = value or self.estimate
        within = _COMPARE[self.side]
        return bool(value.n and not within(value.low, self.bound) and not within(value.high, self.bound))

    def __str__(self) -> str:
        return f"{self.what}: {self.estimate} (asked: {self.side} {self.bound:g})"


@dataclass(frozen=True)
class Row:
    """What one recording says about a claim, for one learner.

    Attributes
    ----------
    claim : int
        Number of the claim.
    learner : str
    supports : tuple of Condition
        All must hold; the first one is the effect.
    refutes : tuple of Condition
        One that holds is enough.
    controls : tuple of Condition
        All must hold, or nothing is decided.
    own : bool
        Whether the row stands for itself and leaves the verdict on the claim alone.
    """

    claim: int
    learner: str
    supports: tuple[Condition, ...]
    refutes: tuple[Condition, ...] = ()
    controls: tuple[Condition, ...] = ()
    own: bool = False

    @property
    def effect(self) -> Estimate:
        """The effect, with its interval and number of seeds."""
        return self.supports[0].estimate

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of them."""
        return (*self.supports, *self.refutes, *self.controls)

    @property
    def n_seeds(self) -> int:
        """Number of seeds in which all of it was measured."""
        return int(np.isfinite([np.asarray(c.values, float) for c in self.conditions]).all(0).sum())

    @property
    def verdict(self) -> str:
        """The verdict by the criterion: supported, refuted or not decided."""
        return self._verdict(lambda condition: condition.estimate)

    @property
    def verdict_by_t(self) -> str:
        """The same with intervals by Student's t: what a verdict is worth that rests on few seeds."""
        return self._verdict(lambda condition: condition.by_t)

    def _verdict(self, value: Callable[[Condition], Estimate]) -> str:
        if self.n_seeds < MIN_SEEDS or not all(c.holds(value(c)) for c in self.controls):
            return NOT_DECIDED
        if any(c.fails(value(c)) for c in self.supports) or any(c.holds(value(c)) for c in self.refutes):
            return REFUTED
        return SUPPORTED if all(c.holds(value(c)) for c in self.supports) else NOT_DECIDED

    @property
    def note(self) -> str:
        """Why nothing is decided, or which condition refutes; empty if supported."""
        if self.n_seeds < MIN_SEEDS:
            return f"{self.n_seeds} seed{'s' * (self.n_seeds != 1)}, {MIN_SEEDS} are needed"
        if broken := [c for c in self.controls if not c.holds()]:
            return f"a control does not hold: {broken[0]}"
        against = [c for c in self.supports if c.fails()] + [c for c in self.refutes if c.holds()]
        if against:
            return f"against it: {against[0]}"
        undecided = [c for c in self.supports if not c.holds()]
        return f"undecided: {undecided[0]}" if undecided else ""


def overall(rows: Sequence[Row | None]) -> str:
    """Verdict on a claim from those of its rows.

    Parameters
    ----------
    rows : sequence of Row or None
        Of one claim, None for a recording that is missing; rows that stand for themselves do not count.

    Returns
    -------
    str
        Supported or refuted if all rows are; mixed if some are supported and some refuted; not recorded if there is
        none; else, and where a recording is missing that could say otherwise, not decided.
    """
    verdicts = {row.verdict for row in rows if row is not None and not row.own}
    if not verdicts:
        return NOT_RECORDED
    if {SUPPORTED, REFUTED} <= verdicts:
        return MIXED
    return verdicts.pop() if len(verdicts) == 1 and None not in rows else NOT_DECIDED


def side(values: ArrayLike, margin: float, *, above: str, below: str) -> str:
    """Say on which side of a margin the whole interval of a mean over seeds lies.

    Parameters
    ----------
    values : array, shape (n_seeds,)
    margin : float
    above, below : str
        What is said if it lies above, and if it lies below.

    Returns
    -------
    str
        ``"not decided"`` if it holds the margin, or of too few seeds.
    """
    found = estimate(values)
    if found.n < MIN_SEEDS:
        return f"{NOT_DECIDED} ({count(found.n, 'seed')})"
    return above if found.low > margin else below if found.high < margin else NOT_DECIDED
