"""Choosing learning rates: each learner's own, on networks that give no results, with the scores kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bioplastic.recording import labelled
from bioplastic.study.design import Condition, conditions
from bioplastic.study.learner import Learner
from bioplastic.study.study import Runs

TUNING = "tuning"
"""Kind of the runs that choose a learning rate."""
TUNING_SEEDS = (998, 999)
"""Learning rates are chosen on networks of their own, not on those that give the results."""


def tuning_conditions(
    learners: Sequence[Learner], seeds: Sequence[int] = TUNING_SEEDS, **labels: float
) -> list[Condition]:
    """Return the runs that choose the learners' rates, the networks of one rate after the other.

    Parameters
    ----------
    learners : sequence of Learner
    seeds : sequence of int
    **labels
        Of all of them, such as the event fraction.
    """
    fixed = {name: (value,) for name, value in labels.items()}
    return [c for one in learners for c in conditions(TUNING, [one], **fixed, rate=one.rates, seed=seeds)]


def scores(runs: Runs, learners: Sequence[Learner], score: Callable[[xr.Dataset], float]) -> np.ndarray:
    """Return the score of every learning rate that was tried, higher is better: the mean over networks.

    Parameters
    ----------
    runs : Runs
    learners : sequence of Learner
    score : callable
        Of one run.

    Returns
    -------
    array, shape (n_learners, n_rates)
        NaN where a learner was tried at fewer rates than another, or not at all, having only one.
    """
    found = np.full((len(learners), max((len(one.rates) for one in learners), default=0)), np.nan)
    tried = runs.of(TUNING)
    for i, learner in enumerate(learners):
        for k, rate in enumerate(learner.rates):
            mine = [score(ds) for c, ds in tried if (c["learner"], c["rate"]) == (learner.name, rate)]
            found[i, k] = np.mean(mine) if mine else np.nan
    return found


def tried(
    runs: Runs,
    learners: Sequence[Learner],
    seeds: Sequence[int],
    value: Callable[[xr.Dataset], ArrayLike],
    shape: tuple[int, ...] = (),
) -> np.ndarray:
    """Return what was measured at every learning rate on every network.

    Parameters
    ----------
    runs : Runs
    learners : sequence of Learner
    seeds : sequence of int
        Of the networks.
    value : callable
        Of one run.
    shape : tuple of int, optional
        Of such a value.

    Returns
    -------
    array, shape (n_learners, n_rates, n_seeds, ...)
        NaN where a learner was tried at fewer rates than another, or not at all.
    """
    width = max((len(one.rates) for one in learners), default=0)
    found = np.full((len(learners), width, len(seeds), *shape), np.nan)
    place = {one.name: i for i, one in enumerate(learners)}
    for condition, run in runs.of(TUNING):
        i = place[condition["learner"]]
        found[i, learners[i].rates.index(condition["rate"]), list(seeds).index(condition["seed"])] = value(run)
    return found


def best_for_others(score: np.ndarray) -> np.ndarray:
    """Choose a rate for each network by how good it was for all others, so that no network chooses its own.

    Parameters
    ----------
    score : array, shape (n_rates, n_seeds)
        At rising rates; NaN where a rate was not tried.

    Returns
    -------
    array of int, shape (n_seeds,)
        Index of the rate with the highest mean over the other networks, the smallest of several equally good ones. A
        network that is alone chooses its own.
    """
    n = score.shape[1]
    others = score.sum(1, keepdims=True) - score if n > 1 else score
    return np.asarray(np.nanargmax(np.round(others / max(n - 1, 1), 12), axis=0))


def choose(learners: Sequence[Learner], score: np.ndarray) -> dict[str, float]:
    """Choose each learner's best rate; the smallest of several equally good ones, the first if none was tried.

    Parameters
    ----------
    learners : sequence of Learner
    score : array, shape (n_learners, n_rates)

    Returns
    -------
    dict of str to float
        By the learner's name.
    """
    return {one.name: one.rates[int(best)] for one, best in zip(learners, _best(score), strict=True)}


def _best(score: np.ndarray) -> np.ndarray:
    """Index of each learner's best rate."""
    return np.asarray(np.where(np.isnan(score), -np.inf, score).argmax(1))


def rate_reaching(wanted: float, rates: Sequence[float], reached: Sequence[float]) -> float:
    """Return the learning rate at which something grows to what is wanted.

    Parameters
    ----------
    wanted : float
    rates : sequence of float
        In rising order.
    reached : sequence of float
        What it grows to at each of them.

    Returns
    -------
    float
        Linear in the logarithm of the rate between those on both sides of the first crossing; the smallest rate if
        that is enough, the largest if none is.
    """
    found = np.asarray(reached, float)
    above = np.flatnonzero(found >= wanted)
    if not len(above):
        return float(rates[-1])
    k = int(above[0])
    if k == 0:
        return float(rates[0])
    share = (wanted - found[k - 1]) / (found[k] - found[k - 1])
    return float(rates[k - 1] * (rates[k] / rates[k - 1]) ** share)


def sweep(learners: Sequence[Learner], score: np.ndarray) -> xr.Dataset:
    """Say which rates were tried, how they did, and whether the choice lies on the edge of what was tried.

    Parameters
    ----------
    learners : sequence of Learner
    score : array, shape (n_learners, n_rates)
    """
    rate = np.full(score.shape, np.nan)
    for row, one in zip(rate, learners, strict=True):
        row[: len(one.rates)] = one.rates
    best = _best(score)
    last = np.array([len(one.rates) - 1 for one in learners])
    axes = ("learner", "rate_index")
    return xr.Dataset(
        {
            "rate": labelled(axes, rate, "learning rate that was tried"),
            "score": labelled(axes, score, "score of the learning rate, higher is better"),
            "on_edge": labelled(
                "learner",
                np.isfinite(score).any(1) & ((best == 0) | (best == last)),
                "whether the best is the first or last that was tried",
            ),
        },
        {
            "learner": labelled("learner", [one.name for one in learners], "learner"),
            "rate_index": labelled(
                "rate_index", np.arange(score.shape[1]), "index of the learning rate that was tried"
            ),
        },
    )
