"""From runs to arrays over their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.recording import RUN, labelled, stack
from bioplastic.recording.labelled import LENGTH_OF, PRESENCE_OF
from bioplastic.statistics import spread as spread_over_seeds
from bioplastic.study.design import Condition
from bioplastic.study.learner import StudyError


def by_labels(runs: Sequence[tuple[Condition, xr.Dataset]], *labels: str) -> xr.Dataset:
    """Spread runs over their labels.

    Parameters
    ----------
    runs : sequence of (Condition, Dataset)
        One for each combination of values of the labels, at most.
    *labels : str
        Become dimensions, in this order, before those of the runs; their values stand in the order in which they come.

    Returns
    -------
    Dataset
        NaN or -1 where there is no run.

    Raises
    ------
    StudyError
        There is no run, or a run lacks one of the labels.
    RecordingError
        Two runs have the same values of the labels.
    """
    if not runs:
        raise StudyError(f"there are no runs to spread over {', '.join(labels)}.")
    for condition, _ in runs:
        if missing := [name for name in labels if name not in condition.labels]:
            raise StudyError(
                f"{condition.kind}: runs have no label {missing[0]!r}; they have {', '.join(condition.labels)}."
            )
    stacked = stack([({name: c[name] for name in labels}, dataset) for c, dataset in runs], "runs")
    values = {name: list(dict.fromkeys(c[name] for c, _ in runs)) for name in labels}
    places = [tuple(values[name].index(c[name]) for name in labels) for c, _ in runs]
    shape = tuple(len(values[name]) for name in labels)
    spread: dict[Any, xr.Variable] = {}
    for name, variable in stacked.data_vars.items():
        if variable.dims[:1] != (RUN,):
            continue
        full = len(places) == np.prod(shape)
        dtype = variable.dtype if full else np.result_type(variable.dtype, "float64")
        array = np.full((*shape, *variable.shape[1:]), np.nan if dtype.kind == "f" else 0, dtype)
        for place, row in zip(places, variable.values, strict=True):
            array[place] = row
        attributes = {k: v for k, v in variable.attrs.items() if k not in (LENGTH_OF, PRESENCE_OF)}
        spread[name] = xr.Variable((*labels, *variable.dims[1:]), array, attributes)
    axes: dict[Any, Any] = {name: xr.Variable(name, np.asarray(v)) for name, v in values.items()}
    return xr.Dataset(spread, axes | {k: v for k, v in stacked.coords.items() if RUN not in v.dims})


def each(
    function: Callable[..., Any], *arrays: xr.DataArray, over: str | Sequence[str], gives: Sequence[str] = ()
) -> xr.DataArray:
    """Call a function of a few dimensions for every place along all the others.

    Parameters
    ----------
    function : callable
        Of as many arrays, whose axes are `over`.
    *arrays : DataArray
        Along a dimension that one of them lacks it is the same everywhere.
    over : str or sequence of str
        Dimensions that the function gets.
    gives : sequence of str, optional
        Dimensions of what it returns; none of a number.

    Returns
    -------
    DataArray
        The other dimensions, then those that the function gives.
    """
    taken = [over] if isinstance(over, str) else list(over)
    found: xr.DataArray = xr.apply_ufunc(
        function, *arrays, input_core_dims=[taken] * len(arrays), output_core_dims=[list(gives)], vectorize=True
    )
    return found


def sham_floor(differences: xr.DataArray) -> xr.DataArray:
    """Sham floor of what differs between two sham runs: its spread over the dimension `seed`.

    Parameters
    ----------
    differences : DataArray
    """
    found: xr.DataArray = xr.apply_ufunc(
        lambda values: spread_over_seeds(np.moveaxis(values, -1, 0)), differences, input_core_dims=[["seed"]]
    )
    return found


def named(array: xr.DataArray, long_name: str, units: str = "1") -> xr.Variable:
    """Name what was computed from labelled arrays.

    Parameters
    ----------
    array : DataArray
    long_name : str
        What it is, in words.
    units : str, optional
    """
    return labelled(tuple(map(str, array.dims)), array.values, long_name, units)
