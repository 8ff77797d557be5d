"""From runs to arrays over their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.recording import RUN, stack
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
        spread[name] = xr.Variable((*labels, *variable.dims[1:]), array, variable.attrs)
    about = {name: {"units": "1", "long_name": name.replace("_", " ")} for name in labels}
    axes: dict[Any, Any] = {name: xr.Variable(name, np.asarray(v), about[name]) for name, v in values.items()}
    return xr.Dataset(spread, axes | {k: v for k, v in stacked.coords.items() if RUN not in v.dims})
