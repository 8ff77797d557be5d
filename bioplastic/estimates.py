"""Estimates over seeds of whatever a summary holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bioplastic.statistics import Estimate, estimate

SEED = "seed"
"""Dimension over which means are taken."""


@dataclass(frozen=True)
class Measured:
    """One measure under one condition.

    Attributes
    ----------
    name : str
        Of the variable.
    labels : mapping of str to str or float
        The condition, by dimension.
    value : Estimate
    """

    name: str
    labels: Mapping[str, str | float]
    value: Estimate


def measures(dataset: xr.Dataset) -> list[xr.DataArray]:
    """Return the variables that hold numbers, the seeds as their last dimension.

    Parameters
    ----------
    dataset : Dataset
        What has no dimension ``"seed"`` gets one of length 1.
    """
    numbers = [array for array in dataset.data_vars.values() if array.dtype.kind in "biuf"]
    return [(one if SEED in one.dims else one.expand_dims(SEED)).transpose(..., SEED) for one in numbers]


def over_seeds(measure: xr.DataArray, where: tuple[int, ...]) -> Estimate:
    """Estimate the mean over seeds at one place of a measure.

    Parameters
    ----------
    measure : DataArray
        One of `measures`.
    where : tuple of int
        Index along all dimensions but the last.

    Returns
    -------
    Estimate
        The harmonic mean if the measure is infinite anywhere, such as a length over which nothing falls.
    """
    values = np.asarray(measure.values, float)
    if not np.isinf(values).any():
        return estimate(values[where])
    with np.errstate(divide="ignore"):
        inverse = estimate(1 / values[where])
        mean, high, low = (float(1 / np.float64(x)) for x in (inverse.mean, inverse.low, inverse.high))
    return Estimate(mean, low, high, inverse.n)


def estimates(measure: xr.DataArray) -> Iterator[Measured]:
    """Estimate a measure under every condition.

    Parameters
    ----------
    measure : DataArray
        One of `measures`.

    Yields
    ------
    Measured
        The last dimension varies fastest.
    """
    for where in np.ndindex(*measure.shape[:-1]):
        yield Measured(str(measure.name), labels_at(measure, where), over_seeds(measure, where))


def labels_at(measure: xr.DataArray, where: tuple[int, ...]) -> dict[str, str | float]:
    """Return the labels of a place, by dimension; its number where a dimension has no labels.

    Parameters
    ----------
    measure : DataArray
    where : tuple of int
    """
    dims = [str(dim) for dim in measure.dims[: len(where)]]
    return {dim: measure[dim].values[k].item() for dim, k in zip(dims, where, strict=True)}
