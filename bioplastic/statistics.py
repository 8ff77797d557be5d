"""Means over seeds and how sure they are; slopes; changes free of noise; information; what has not happened yet."""

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
        return format(self, ".3g")

    def __format__(self, form: str) -> str:
        """Return the numbers in a format such as ``.1f``; three digits without one."""
        if not self.n:
            return "–"
        mean, low, high = (format(number, form or ".3g") for number in (self.mean, self.low, self.high))
        return mean if self.n == 1 else f"{mean} [{low}, {high}]"


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


def threshold(x: ArrayLike, share: ArrayLike, wanted: float) -> float:
    """Least x from which on a share is at least what is wanted.

    Parameters
    ----------
    x : array, shape (n,)
        In rising order.
    share : array, shape (n,)
        Of the trials at x in which something happens.
    wanted : float
        In (0, 1]; 0 for any trial at all.

    Returns
    -------
    float
        Infinite if that is never so.
    """
    found = np.asarray(share, float)
    enough = found >= wanted if wanted else found > 0
    first = len(enough) - int(np.argmin(enough[::-1])) if not enough.all() else 0
    return float(np.asarray(x)[first]) if first < len(enough) else float("inf")


def log_interpolated(x: ArrayLike, values: ArrayLike, wanted: ArrayLike) -> np.ndarray:
    """Read a curve elsewhere, linear in the logarithm of x.

    Parameters
    ----------
    x : array, shape (n,)
        Above 0, in rising order.
    values : array, shape (n,)
    wanted : array, shape (n_wanted,)

    Returns
    -------
    array, shape (n_wanted,)
        NaN outside the curve.
    """
    return np.asarray(np.interp(np.log(wanted), np.log(x), np.asarray(values, float), left=np.nan, right=np.nan))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two sets of patterns over items and cells, as they are.

    Parameters
    ----------
    x, y : array, shape (n_items, n_cells)

    Returns
    -------
    float
        NaN if either is constant.

    Raises
    ------
    ValueError
        They are not of one shape.
    """
    if x.shape != y.shape:
        raise ValueError(
            f"patterns of shapes {x.shape} and {y.shape} cannot be compared; give one row per item in both."
        )
    u, v = (x - x.mean()).ravel(), (y - y.mean()).ravel()
    size = np.sqrt((u @ u) * (v @ v))
    return float(u @ v / size) if size > 1e-12 else float("nan")


def agreement(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of two sets of patterns over items and cells, of what tells the items apart.

    Each cell's mean over the items is taken away first: without that, patterns that have nothing in common but which
    cells fire more than others on the whole would agree.

    Parameters
    ----------
    x, y : array, shape (n_items, n_cells)

    Returns
    -------
    float
        NaN if either does not differ between items.
    """
    return correlation(x - x.mean(0), y - y.mean(0))


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


def unbiased_square(changes: ArrayLike) -> np.ndarray:
    """Squared length of an expected change, from lives that differ in chance.

    The square of the mean change is too large by that of the noise left in it. Products of changes in different lives,
    whose noise is independent, are not (compare Walther et al. 2016, doi:10.1016/j.neuroimage.2015.12.012).

    Parameters
    ----------
    changes : array, shape (n_lives, ..., n)
        Of each life.

    Returns
    -------
    array, shape (...)
        Mean over all pairs of different lives of their changes' scalar product, which may be negative; of a single
        life, which must be one without noise, the square.
    """
    each = np.asarray(changes, float)
    n = len(each)
    squares = (each**2).sum(-1)
    if n == 1:
        return np.asarray(squares[0])
    return np.asarray(((each.sum(0) ** 2).sum(-1) - squares.sum(0)) / (n * (n - 1)))


def information(one: np.ndarray, other: np.ndarray, given: np.ndarray) -> float:
    """Mutual information of two discrete variables given a third, in bits; plug-in estimate, biased upwards.

    Parameters
    ----------
    one, other, given : array of int, shape (n,)

    Returns
    -------
    float
        Sum over the values of `given` of their frequency times the information within.
    """
    from sklearn.metrics import mutual_info_score

    parts = [(given == g).mean() * mutual_info_score(one[given == g], other[given == g]) for g in np.unique(given)]
    return float(sum(parts) / np.log(2))


def information_floor(
    one: np.ndarray, other: np.ndarray, given: np.ndarray, n_shuffles: int, rng: np.random.Generator
) -> float:
    """What `information` says on average if `one` is shuffled within each value of `given`: its bias, in bits.

    The bias of plug-in estimates: Panzeri et al. 2007, doi:10.1152/jn.00559.2007.

    Parameters
    ----------
    one, other, given : array of int, shape (n,)
    n_shuffles : int
    rng : Generator

    Returns
    -------
    float
    """
    found = []
    for _ in range(n_shuffles):
        shuffled = one.copy()
        for g in np.unique(given):
            shuffled[given == g] = rng.permutation(shuffled[given == g])
        found.append(information(shuffled, other, given))
    return float(np.mean(found))


def first_reaching(values: ArrayLike, times: ArrayLike, level: float) -> float:
    """When something was first seen at a level or above it.

    Parameters
    ----------
    values : array, shape (n_looks,)
        NaN for a look that was not taken.
    times : array, shape (n_looks,)
        When each look was.
    level : float

    Returns
    -------
    float
        NaN if it never was.
    """
    reached = np.flatnonzero(np.asarray(values, float) >= level)
    return float(np.asarray(times, float)[reached[0]]) if len(reached) else float("nan")


def survival(times: ArrayLike, happened: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of lives in which something has not happened yet.

    Kaplan and Meier (1958), doi:10.1080/01621459.1958.10501452, as `scipy.stats.ecdf` has it.

    Parameters
    ----------
    times : array, shape (n_lives,)
        When it happened, or when a life was over in which it did not.
    happened : array of bool, shape (n_lives,)

    Returns
    -------
    time, fraction : array, shape (n_steps,)
        Steps of the curve, from (0, 1).
    """
    data = stats.CensoredData.right_censored(np.asarray(times, float), ~np.asarray(happened, bool))
    curve = stats.ecdf(data).sf
    return np.concatenate([[0.0], curve.quantiles]), np.concatenate([[1.0], curve.probabilities])
