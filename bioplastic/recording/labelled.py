"""Labelled arrays: what a measure returns, and how the runs of an experiment become one dataset.

A measure names its dimensions, units and meaning once, where it is taken; nothing else has a list of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bioplastic.recording.errors import RecordingError

Labels = Mapping[str, str | int | float | bool]
"""What distinguishes a run from the others of its kind, by name."""

RUN = "run"
"""Dimension along which the runs of a kind stand side by side."""


def labelled(
    dims: Sequence[str] | str, values: ArrayLike, long_name: str, units: str = "1", *, flags: Sequence[str] = ()
) -> xr.Variable:
    """Name an array.

    Parameters
    ----------
    dims : sequence of str or str
        Names of the axes, outermost first.
    values : array
    long_name : str
        What it is, in words.
    units : str, optional
        ``"1"`` where there is none.
    flags : sequence of str, optional
        What the values 0, 1, 2 ... mean, for a variable that is a code.

    Returns
    -------
    Variable

    Raises
    ------
    RecordingError
        The values have another number of axes than `dims`.
    """
    array = np.asarray(values)
    names = (dims,) if isinstance(dims, str) else tuple(dims)
    if array.ndim != len(names):
        raise RecordingError(f"{long_name!r} has shape {array.shape}, but its axes are ({', '.join(names)}).")
    attributes: dict[str, Any] = {"units": units, "long_name": long_name}
    if flags:
        attributes |= {"flag_values": np.arange(len(flags), dtype="int8"), "flag_meanings": " ".join(flags)}
    return xr.Variable(names, array, attributes)


def check(dataset: xr.Dataset, what: str) -> None:
    """Refuse a dataset that a reader could not understand.

    Parameters
    ----------
    dataset : Dataset
    what : str
        What errors call it.

    Raises
    ------
    RecordingError
        A variable has no unit or no name in words, or holds objects.
    """
    for name, variable in dataset.data_vars.items():
        for attribute in ("units", "long_name"):
            if not isinstance(variable.attrs.get(attribute), str):
                raise RecordingError(
                    f"{what}: {name} has no {attribute}; make it with bioplastic.recording.labelled(dims, values, "
                    "long_name, units)."
                )
    for name, held in dataset.variables.items():
        kinds = set(map(type, np.ravel(held.values))) if held.dtype.kind == "O" else set()
        if held.dtype.kind not in "biufUO" or kinds - {str, np.str_}:
            raise RecordingError(f"{what}: {name} holds {held.dtype}; give numbers, truth values or strings.")


def stack(runs: Sequence[tuple[Labels, xr.Dataset]], what: str = "runs") -> xr.Dataset:
    """Put runs side by side along the dimension `run`.

    Runs need not be equally long: a shorter one is padded, with NaN, -1 or the empty string, and ``n_<dim>`` says how
    long each is. What a run did not measure is all padding.

    Parameters
    ----------
    runs : sequence of (labels, Dataset)
    what : str, optional
        What errors call them.

    Returns
    -------
    Dataset
        The labels are coordinates along `run`.

    Raises
    ------
    RecordingError
        Two runs have the same labels, or a variable or coordinate is not the same thing in all of them.
    """
    if not runs:
        return xr.Dataset()
    named = [tuple(sorted(labels.items())) for labels, _ in runs]
    if len(set(named)) < len(named):
        twice = next(one for k, one in enumerate(named) if one in named[:k])
        raise RecordingError(f"{what}: two runs are labelled {dict(twice)}; give each run labels of its own.")
    datasets = [dataset for _, dataset in runs]
    sizes: dict[Hashable, int] = {}
    coordinates: dict[Hashable, xr.DataArray] = {}
    for dataset in datasets:
        for dim, size in dataset.sizes.items():
            sizes[dim] = max(size, sizes.get(dim, 0))
        for dim, index in dataset.coords.items():
            known = coordinates.setdefault(dim, index)
            n = min(len(known), len(index)) if index.ndim else 0
            if not np.array_equal(known.values[:n], index.values[:n]):
                raise RecordingError(f"{what}: {dim} is {index.values} in one run and {known.values} in another.")
            if index.size > known.size:
                coordinates[dim] = index
    uneven = [dim for dim in sizes if any(ds.sizes.get(dim, sizes[dim]) != sizes[dim] for ds in datasets)]
    variables: dict[Hashable, xr.Variable] = {}
    for name in dict.fromkeys(name for ds in datasets for name in ds.data_vars):
        variables[name] = _side_by_side([ds.variables.get(name) for ds in datasets], sizes, f"{what}: {name}")
    for dim in uneven:
        lengths = [ds.sizes.get(dim, 0) for ds in datasets]
        variables[f"n_{dim}"] = labelled(RUN, lengths, f"length of {dim} in this run")
    labels: dict[Hashable, Any] = {}
    for label in dict.fromkeys(key for one, _ in runs for key in one):
        values = [one.get(label) for one, _ in runs]
        nothing = _padding(np.asarray([value for value in values if value is not None]).dtype)
        array = np.asarray([nothing if value is None else value for value in values])
        labels[label] = labelled(RUN, array, label.replace("_", " "))
    return xr.Dataset(variables, coordinates | labels)


def unstack(stacked: xr.Dataset, k: int) -> xr.Dataset:
    """Return the k-th run without its padding; what it did not measure, and others did, is NaN or -1.

    Parameters
    ----------
    stacked : Dataset
        From `stack`.
    k : int

    Returns
    -------
    Dataset
        The labels are scalar coordinates.
    """
    run = stacked.isel({RUN: k})
    uneven = [str(name).removeprefix("n_") for name in run.data_vars if str(name).removeprefix("n_") in run.sizes]
    lengths = {dim: int(run[f"n_{dim}"]) for dim in uneven}
    return run.drop_vars([f"n_{dim}" for dim in uneven]).isel({dim: slice(n) for dim, n in lengths.items()})


def _side_by_side(parts: Sequence[xr.Variable | None], sizes: Mapping[Hashable, int], what: str) -> xr.Variable:
    there = [part for part in parts if part is not None]
    first = there[0]
    for part in there:
        if part.dims != first.dims or part.attrs.get("units") != first.attrs.get("units"):
            raise RecordingError(
                f"{what} has axes {part.dims} and units {part.attrs.get('units')!r} in one run, {first.dims} and "
                f"{first.attrs.get('units')!r} in another."
            )
    shape = tuple(sizes[dim] for dim in first.dims)
    even = len(there) == len(parts) and all(part.shape == shape for part in there)
    dtype = np.result_type(*(part.dtype for part in there))
    if dtype.kind == "b" and not even:
        dtype = np.dtype("int8")  # a third value, for neither
    if dtype.kind == "O":
        dtype = np.result_type(*(np.asarray(part.values, str).dtype for part in there))
    values = np.full((len(parts), *shape), _padding(dtype), dtype)
    for k, one in enumerate(parts):
        if one is not None:
            place: tuple[Any, ...] = (k, *(slice(n) for n in one.shape))
            values[place] = one.values
    return xr.Variable((RUN, *first.dims), values, first.attrs)


def _padding(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "US":
        return ""
    return {"f": np.nan, "i": -1, "u": np.iinfo(dtype).max if dtype.kind == "u" else 0, "b": False}[dtype.kind]
