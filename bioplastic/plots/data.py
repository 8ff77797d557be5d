"""What figures take out of a recording, of this schema or an earlier one."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bioplastic.plots.axes import FLOAT
from bioplastic.recording import Recording, RecordingError

PER_HOP = ("learner", "seed", "hop")
"""Axes of most measures, at one event fraction."""


def conditions(data: Recording | xr.Dataset, *dims: str, replay: str | None = None) -> xr.Dataset:
    """Return the measures over conditions, at one replay condition where there are several.

    Parameters
    ----------
    data : Recording or Dataset
        A recording, or its summary, or a part of it.
    *dims : str
        What it must be over; what one value was chosen of is made an axis again.
    replay : str, optional
        One of the replay conditions; ``"off"`` or the first if not given.

    Returns
    -------
    Dataset
        Without the dimension `replay`; it is a coordinate if there was a choice.

    Raises
    ------
    RecordingError
        There is no such replay condition, one of `dims` is missing, or there is no condition.
    """
    found = _at_replay(data if isinstance(data, xr.Dataset) else data.summary, replay)
    for dim in dims:
        if dim not in found.dims and dim in found.coords:
            found = found.expand_dims(dim)
        if dim not in found.dims:
            raise RecordingError(f"the dataset is not over {dim}; give one over {', '.join(dims)}.")
    if 0 in (found.sizes[dim] for dim in (*dims, "replay") if dim in found.sizes):
        raise RecordingError("the summary has no condition: there is nothing to plot.")
    return found


def _at_replay(summary: xr.Dataset, replay: str | None) -> xr.Dataset:
    known = [str(one) for one in summary["replay"].values] if "replay" in summary.dims else []
    if replay is not None and replay not in known:
        have = ", ".join(known) or "no replay conditions"
        raise RecordingError(f"there is no replay {replay!r}; the recording has {have}.")
    if not known:
        return summary
    chosen = replay or ("off" if "off" in known else known[0])
    found = summary.isel(replay=known.index(chosen))
    return found if len(known) > 1 else found.drop_vars("replay")


def measured(data: xr.Dataset, name: str, *dims: str) -> FLOAT:
    """Return a measure as an array with these axes; NaN if it was not taken.

    Parameters
    ----------
    data : Dataset
    name : str
    *dims : str

    Raises
    ------
    RecordingError
        It has another axis, of which a place has to be chosen first.
    """
    if name not in data:
        return np.full([data.sizes[dim] for dim in dims], np.nan)
    variable = data[name]
    for dim in variable.dims:
        if dim not in dims:
            first = data[dim].values[0] if dim in data.coords else 0
            raise RecordingError(f"{name} is over {dim} too; choose one, such as dataset.sel({dim}={first!s}).")
    values: FLOAT = variable.transpose(*dims).values.astype(float)
    return values


def learning_runs(recording: Recording, summary: xr.Dataset, event_fraction: float) -> xr.Dataset | None:
    """Return the runs whose weights learned, at an event fraction; None if there is none.

    Parameters
    ----------
    recording : Recording
    summary : Dataset
        From `conditions`: runs are at its replay condition.
    event_fraction : float
    """
    labels: dict[str, str | float] = {"event_fraction": event_fraction}
    if "replay" in summary.coords:
        labels["replay"] = str(summary["replay"].item())
    try:
        return recording.select("learning", **labels)
    except RecordingError:
        return None
