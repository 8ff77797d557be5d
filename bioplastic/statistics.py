"""Means over seeds and how sure they are: intervals, spreads, slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 2000
"""Bootstrap samples of an interval; ten seeds have no finer percentiles to offer."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % bootstrap interval.

    Attributes
    ----------
    mean, low, high : float
        NaN where nothing was measured.
    n : int
        Number of seeds it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "–"
        if self.n == 1:
            return f"{self.mean:.3g}"
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


def estimate(values: ArrayLike) -> Estimate:
    """Mean over seeds with its interval.

    Parameters
    ----------
    values : array, shape (n_seeds,)
        NaN where a seed is missing.

    Returns
    -------
    Estimate
    """
    numbers = np.asarray(values, float)
    present = numbers[~np.isnan(numbers)]
    if not present.size:
        return Estimate(np.nan, np.nan, np.nan, 0)
    low, high = interval(present)
    return Estimate(float(present.mean()), float(low), float(high), present.size)


def ratio(one: ArrayLike, other: ArrayLike, *, seed: int = 0) -> Estimate:
    """Ratio of two means over the same seeds, with its 95 % bootstrap interval.

    Parameters
    ----------
    one, other : array, shape (n_seeds,)
    seed : int, optional
        Seed of the resampling.

    Returns
    -------
    Estimate
    """
    above, below = np.asarray(one, float), np.asarray(other, float)
    drawn = np.random.default_rng(seed).integers(0, len(above), (RESAMPLES, len(above)))
    low, high = np.percentile(above[drawn].mean(1) / below[drawn].mean(1), [2.5, 97.5])
    return Estimate(float(above.mean() / below.mean()), float(low), float(high), len(above))


def crossing(values: ArrayLike, x: ArrayLike, level: float) -> float:
    """Where a curve first reaches a level, linear between the points that are known.

    Parameters
    ----------
    values : array, shape (n,)
    x : array, shape (n,)
        Where the points are, in rising order.
    level : float

    Returns
    -------
    float
        Infinite if it never does; NaN of a curve that was not measured.
    """
    curve, at = np.asarray(values, float), np.asarray(x, float)
    if np.isnan(curve).all():
        return float("nan")
    above = np.flatnonzero(curve >= level)
    if not len(above):
        return float("inf")
    k = above[0]
    if k == 0:
        return float(at[0])
    share = (level - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(at[k - 1] + share * (at[k] - at[k - 1]))


def slope(values: ArrayLike, x: ArrayLike, *, axis: int = -1) -> np.ndarray:
    """Slope of the straight line through values, by least squares.

    Parameters
    ----------
    values : array
        NaN where one is missing.
    x : array, shape (n,)
        Where along `axis` they are.
    axis : int
        The axis of `x`.

    Returns
    -------
    array
        Shape of `values` without `axis`; NaN where there are fewer than two values.
    """
    rows, at = np.moveaxis(np.asarray(values, float), axis, -1), np.asarray(x, float)
    found = np.full(rows.shape[:-1], np.nan)
    for index in np.ndindex(found.shape):
        there = np.isfinite(rows[index])
        if there.sum() > 1:
            found[index] = stats.linregress(at[there], rows[index][there]).slope
    return found


def explained(values: ArrayLike, x: ArrayLike) -> float:
    """Fraction of the variance of values that a straight line explains.

    Parameters
    ----------
    values : array
        NaN where one is missing.
    x : array
        Of the same shape: where they are.

    Returns
    -------
    float
        NaN where the values do not vary.
    """
    given = np.asarray(values, float)
    there = np.isfinite(given)
    if not there.any() or np.ptp(given[there]) == 0:
        return float("nan")
    return float(stats.linregress(np.asarray(x, float)[there], given[there]).rvalue ** 2)


def spread(differences: ArrayLike) -> np.ndarray:
    """Sham floor: root mean square, over seeds, of the difference between two sham runs.

    Parameters
    ----------
    differences : array, shape (n_seeds, ...)

    Returns
    -------
    array, shape (...)
        NaN where every seed is missing.
    """
    squares = np.square(np.asarray(differences, float))
    there = ~np.isnan(squares)
    total, count = np.where(there, squares, 0).sum(0), there.sum(0)
    return np.sqrt(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def interval(
    values: ArrayLike, *, axis: int = -1, confidence: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap confidence interval of a mean over seeds.

    Parameters
    ----------
    values : array
    axis : int
        The axis of the seeds; NaN counts as a seed that is missing.
    confidence : float
        In (0, 1).
    seed : int
        Seed of the resampling.

    Returns
    -------
    low, high : array
        Shape of `values` without `axis`. Percentile bounds; equal where all seeds agree or only one is there, NaN
        where there is none.
    """
    rows = np.moveaxis(np.asarray(values, float), axis, -1)
    low, high = np.full(rows.shape[:-1], np.nan), np.full(rows.shape[:-1], np.nan)
    for index in np.ndindex(rows.shape[:-1]):
        present = rows[index][~np.isnan(rows[index])]
        if not len(present):
            continue
        if len(present) == 1 or np.ptp(present) == 0:
            low[index] = high[index] = present[0]
            continue
        bounds = stats.bootstrap(
            (present,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low[index], high[index] = bounds.low, bounds.high
    return low, high
