"""From runs to arrays over their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.recording import RUN, stack
from bioplastic.study.design import Condition


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
    ValueError
        Two runs have the same values of the labels.
    """
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
        spread[name] = xr.Variable((*labels, *variable.dims[1:]), array, variable.attrs)
    axes: dict[Any, Any] = {name: xr.Variable(name, stacked_values(v), _about(name)) for name, v in values.items()}
    return xr.Dataset(spread, axes | {k: v for k, v in stacked.coords.items() if RUN not in v.dims})


def stacked_values(values: Sequence[Any]) -> np.ndarray:
    """Labels as an array."""
    return np.asarray(values)


def _about(name: str) -> dict[str, str]:
    return {"units": "1", "long_name": name.replace("_", " ")}
