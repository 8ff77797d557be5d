"""Labelled arrays: what a measure returns, and how the runs of an experiment become one dataset.

A measure names its dimensions, units and meaning once, where it is taken; nothing else has a list of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bioplastic.recording.errors import RecordingError

Labels = Mapping[str, str | int | float | bool]
"""What distinguishes a run from the others of its kind, by name."""

RUN = "run"
"""Dimension along which the runs of a kind stand side by side."""

LENGTH_OF = "length_of"
"""Attribute of ``n_<dim>``, the dimension whose length in every run it holds."""

PRESENCE_OF = "presence_of"
"""Attribute of ``has_<name>``, the variable that it says of every run whether it was measured."""

PADDED_FROM = "padded_from"
"""Attribute of truth values that were padded, and therefore are int8: 1, 0, or -1 for neither."""

# Time units that xarray turns into time differences when it reads them, and attributes that it, or HDF5, acts upon.
_DECODED_UNITS = {"days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"}
_DECODED_ATTRIBUTES = {
    *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "_Encoding", "dtype", "calendar"),
    *("coordinates", "grid_mapping", "bounds", "NAME", "CLASS", "DIMENSION_LIST", "REFERENCE_LIST"),
    *("_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties"),
    *(LENGTH_OF, PRESENCE_OF, PADDED_FROM),
}


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
        What the values 0, 1, 2 ... mean, for a variable that is a code. A word each, without spaces.

    Returns
    -------
    Variable

    Raises
    ------
    RecordingError
        The values have another number of axes than `dims`, or are codes that `flags` does not name.
    """
    names = (dims,) if isinstance(dims, str) else tuple(dims)
    axes = f"({', '.join(names)})"
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise RecordingError(f"{long_name!r} is not an array over {axes}: {error}.") from error
    if array.ndim != len(names):
        raise RecordingError(f"{long_name!r} has shape {array.shape}, but its axes are {axes}.")
    attributes: dict[str, Any] = {"units": units, "long_name": long_name}
    if flags:
        meanings = ", ".join(f"{code} {word}" for code, word in enumerate(flags))
        if any(len(word.split()) != 1 for word in flags):
            raise RecordingError(f"{long_name!r} has the flags {meanings}; write each as one word, with _ for a space.")
        if array.size and array.dtype.kind not in "biu":
            raise RecordingError(f"{long_name!r} holds {array.dtype}, and has flags; give integers or truth values.")
        if array.size and not 0 <= int(array.min()) <= int(array.max()) < len(flags):
            raise RecordingError(f"{long_name!r} holds {array.min()} to {array.max()}; the codes are {meanings}.")
        dtype = array.dtype if array.dtype.kind in "iu" else np.dtype("int8")
        attributes |= {"flag_values": np.arange(len(flags), dtype=dtype), "flag_meanings": " ".join(flags)}
    return xr.Variable(names, array, attributes)


def with_described_axes(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset of which coordinates that do not say so have no unit, and are what their name says.

    Parameters
    ----------
    dataset : Dataset
    """
    return dataset.assign_coords(
        {
            name: xr.Variable(
                axis.dims, axis.values, {"units": "1", "long_name": str(name).replace("_", " ")} | axis.attrs
            )
            for name, axis in dataset.coords.items()
        }
    )


def check(dataset: xr.Dataset, what: str) -> None:
    """Refuse a dataset that a reader could not understand, or that would not be read as it was written.

    Parameters
    ----------
    dataset : Dataset
    what : str
        What errors call it.

    Raises
    ------
    RecordingError
        A variable has no unit or no name in words, holds objects, or has a name or attribute that would be lost.
    """
    if any(index.nlevels > 1 for index in dataset.indexes.values()):
        raise RecordingError(f"{what} has an index of several levels, which no file holds; use reset_index.")
    for name in [*dataset.variables, *dataset.dims]:
        check_name(name, f"{what}: a variable or dimension")
    if characters := [str(dim) for dim in dataset.dims if re.fullmatch(r"string\d+", str(dim))]:
        raise RecordingError(f"{what}: the dimension {characters[0]} has a name for the characters of text; rename it.")
    if RUN in dataset.variables or RUN in dataset.dims:
        raise RecordingError(f"{what}: the name {RUN!r} is that of the runs of a kind, side by side; choose another.")
    for name, variable in dataset.variables.items():
        if len(set(variable.dims)) < variable.ndim:
            raise RecordingError(f"{what}: two axes of {name} have the same name, {variable.dims}; tell them apart.")
        for attribute in ("units", "long_name"):
            if not (isinstance(text := variable.attrs.get(attribute), str) and text):
                raise RecordingError(
                    f"{what}: {name} has no {attribute}; make it with bioplastic.recording.labelled(dims, values, "
                    "long_name, units)."
                )
        units = variable.attrs["units"]
        if units in _DECODED_UNITS or " since " in units:
            raise RecordingError(
                f"{what}: {name} has the units {units!r}, which xarray reads as times instead of numbers; write s, ms."
            )
        for key, value in variable.attrs.items():
            plain = np.asarray(value)
            unfit = plain.dtype.kind not in "iufU" or (plain.dtype.kind == "U" and any("\0" in s for s in plain.flat))
            if unfit or not isinstance(key, str) or key in _DECODED_ATTRIBUTES:
                raise RecordingError(
                    f"{what}: {name} has the attribute {key!r} = {value!r}, which would not be read as it is; leave it "
                    "out, or give it another name and a number or a string."
                )
        if name in dataset.coords and variable.ndim != 1:
            raise RecordingError(
                f"{what}: the coordinate {name} has {variable.ndim} axes, not one; make it a variable "
                "(reset_coords), a label of the run, or leave it out (drop_vars)."
            )
        array = _array(variable, f"{what}: {name}")
        if array.dtype.kind not in "biufU" or array.dtype.str[1:] in ("f2", "f16"):
            raise RecordingError(
                f"{what}: {name} holds {array.dtype}; give truth values, integers, float32, float64 or strings."
            )


def check_name(name: Hashable, what: str) -> None:
    """Refuse a name that could not be one in a file.

    Parameters
    ----------
    name : hashable
    what : str
        What errors call the thing of this name.

    Raises
    ------
    RecordingError
        It is no string, is empty, or has spaces or slashes in it.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[^\s/]*", name):
        raise RecordingError(f"{what} is named {name!r}; start with a letter, without spaces and slashes.")


def plain_labels(labels: Labels, what: str) -> dict[str, str | int | float | bool]:
    """Return labels in Python's own types.

    Parameters
    ----------
    labels : mapping
    what : str
        What errors call the run.

    Raises
    ------
    RecordingError
        A label is neither text nor a number or truth value, or has a name that cannot be used.
    """
    plain: dict[str, str | int | float | bool] = {}
    for name, value in labels.items():
        if not isinstance(name, str) or not name.isidentifier() or name == RUN:
            raise RecordingError(f"{what}: a label is named {name!r}; use letters, digits and _, and not {RUN!r}.")
        given = value.item() if isinstance(value, np.generic) else value
        if not isinstance(given, str | bool | int | float):
            raise RecordingError(f"{what}: the label {name} is {value!r}; give text, a number or a truth value.")
        if type(given) is int and not -(2**63) <= given < 2**63:
            raise RecordingError(f"{what}: the label {name} is {given}, more than 64 bits; make it text.")
        plain[name] = given
    return plain


def _array(variable: xr.Variable, what: str) -> NDArray[Any]:
    """Values of a variable; text, which pandas makes objects of, as NumPy's."""
    values: NDArray[Any] = variable.values
    if values.dtype.kind not in "OT":
        return values
    if other := {type(value).__name__ for value in values.flat if not isinstance(value, str)}:
        raise RecordingError(f"{what} holds objects ({', '.join(sorted(other))}); give numbers, truth values or text.")
    return values.astype(str)


@dataclass(frozen=True)
class _Row:
    """What a variable is in every run of a kind."""

    dims: tuple[Hashable, ...]
    dtype: np.dtype[Any]
    attributes: Mapping[str, Any]
    is_empty: bool

    @property
    def meaning(self) -> tuple[Any, ...]:
        return (self.dims, *(str(self.attributes.get(key)) for key in ("units", "long_name", "flag_meanings")))

    def agrees(self, other: _Row) -> bool:
        """Whether both are the same thing; of what type nothing is does not matter."""
        nothing = self.is_empty or other.is_empty
        return self.meaning == other.meaning and (nothing or self.dtype.kind == other.dtype.kind)

    def joined(self, other: _Row) -> _Row:
        """Return the row of both."""
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        return _Row(self.dims, np.result_type(self.dtype, other.dtype), self.attributes, is_empty=False)

    def __str__(self) -> str:
        units, name = self.attributes.get("units"), self.attributes.get("long_name")
        return f"{self.dtype} over ({', '.join(map(str, self.dims))}) in units {units!r}, {name!r}"


@dataclass
class Layout:
    """What the runs of a kind have in common: it grows with every run that fits, and refuses one that does not.

    Attributes
    ----------
    what : str
        What errors call the runs.
    sizes : dict of str to int
        The longest that each dimension is in any run.
    coordinates : dict of str to Variable
        The longest of each.
    variables : dict
        What each variable is.
    labels : dict of str to dtype
    """

    what: str
    sizes: dict[Hashable, int] = field(default_factory=dict)
    coordinates: dict[Hashable, xr.Variable] = field(default_factory=dict)
    variables: dict[Hashable, _Row] = field(default_factory=dict)
    labels: dict[str, np.dtype[Any]] = field(default_factory=dict)

    def fit(self, labels: Labels, dataset: xr.Dataset) -> None:
        """Take in one more run.

        Parameters
        ----------
        labels : mapping
        dataset : Dataset

        Raises
        ------
        RecordingError
            A variable, coordinate or label is not the same thing as in the runs before; then nothing has changed.
        """
        named = {label: np.asarray(value).dtype for label, value in labels.items()}
        rows = {
            name: _Row(v.dims, _array(v.variable, f"{self.what}: {name}").dtype, v.attrs, v.size == 0)
            for name, v in dataset.data_vars.items()
        }
        self._check_names({**self.labels, **named}, {**self.variables, **rows}, dataset)
        for label, dtype in named.items():
            known = self.labels.get(label, dtype)
            if _sort(known) != _sort(dtype):
                raise RecordingError(f"{self.what}: the label {label} is {known} in one run and {dtype} in another.")
        for name, row in rows.items():
            before = self.variables.get(name, row)
            if not before.agrees(row):
                raise RecordingError(f"{self.what}: {name} is {before} in one run, and {row} in another.")
        coordinates = {
            name: xr.Variable(v.dims, _array(v.variable, f"{self.what}: {name}"), v.attrs)
            for name, v in dataset.coords.items()
        }
        for coordinate in {**self.coordinates, **coordinates}:
            self._check_coordinate(coordinate, coordinates.get(coordinate), dataset.sizes)

        self.labels |= {label: np.result_type(dtype, self.labels.get(label, dtype)) for label, dtype in named.items()}
        for name, row in rows.items():
            self.variables[name] = self.variables.get(name, row).joined(row)
        for dim, size in dataset.sizes.items():
            self.sizes[dim] = max(size, self.sizes.get(dim, 0))
        for name, given in coordinates.items():
            if name not in self.coordinates or given.size > self.coordinates[name].size:
                self.coordinates[name] = given

    def _check_names(self, labels: Mapping[str, Any], rows: Mapping[Hashable, _Row], dataset: xr.Dataset) -> None:
        dims = {*self.sizes, *dataset.sizes}
        made = {f"n_{dim}" for dim in dims} | {f"has_{name}" for name in rows}
        taken = {*rows, *self.coordinates, *dataset.coords}
        for name in labels:
            if name in taken | dims | made:
                raise RecordingError(
                    f"{self.what}: {name} is a label of the runs, and also a variable or dimension in them; rename one."
                )
        if both := taken & made:
            raise RecordingError(
                f"{self.what}: {min(map(str, both))} is a name for what runs have in different lengths, or some not at "
                "all (n_<dimension>, has_<variable>); rename it."
            )

    def _check_coordinate(self, name: Hashable, given: xr.Variable | None, sizes: Mapping[Hashable, int]) -> None:
        known = self.coordinates.get(name)
        if known is None or given is None:
            (dim,) = known.dims if known is not None else given.dims  # type: ignore[union-attr]
            if dim in self.sizes and dim in sizes:
                raise RecordingError(f"{self.what}: {dim} has the coordinate {name} in one run, and none in another.")
            return
        if known.dims != given.dims or known.attrs.get("units") != given.attrs.get("units"):
            raise RecordingError(
                f"{self.what}: the coordinate {name} is over {known.dims[0]} in units {known.attrs.get('units')!r} in "
                f"one run, and over {given.dims[0]} in {given.attrs.get('units')!r} in another."
            )
        n = min(known.size, given.size)
        one, other = known.values[:n], given.values[:n]
        same = one == other
        if one.dtype.kind == other.dtype.kind == "f":
            same |= np.isnan(one) & np.isnan(other)
        differ = np.flatnonzero(~same)
        if differ.size or known.dtype.kind != given.dtype.kind:
            place = differ[0] if differ.size else 0
            raise RecordingError(
                f"{self.what}: {name} at place {place} is {one[place : place + 1]} in one run and "
                f"{other[place : place + 1]} in another; make it a variable, if it is not the same in all of them."
            )


def _sort(dtype: np.dtype[Any]) -> str:
    return {"b": "truth value", "U": "text"}.get(dtype.kind, "number")


def stack(runs: Sequence[tuple[Labels, xr.Dataset]], what: str = "runs") -> xr.Dataset:
    """Put runs side by side along the dimension `run`.

    Runs need not be equally long, nor measure all the same. A shorter one is padded, with NaN, -1, the largest unsigned
    integer, or the empty string, and ``n_<dim>`` says how long each is. What a run did not measure is all padding, and
    ``has_<name>`` says which did. Truth values that have to be padded become int8.

    Parameters
    ----------
    runs : sequence of (labels, Dataset)
        Gone through twice, one run at a time, so that it may read each from a file when it is asked for it.
    what : str, optional
        What errors call them.

    Returns
    -------
    Dataset
        The labels are coordinates along `run`; one that a run lacks is padded.

    Raises
    ------
    RecordingError
        Two runs have the same labels, or a variable, coordinate or label is not the same thing in all of them.
    """
    layout = Layout(what)
    named: list[dict[str, str | int | float | bool]] = []
    lengths: list[Mapping[Hashable, int]] = []
    measured: list[set[Hashable]] = []
    seen: set[str] = set()
    for given, dataset in runs:
        labels = plain_labels(given, what)
        if (key := json.dumps(labels, sort_keys=True)) in seen:
            raise RecordingError(f"{what}: two runs are labelled {labels}; give each run labels of its own.")
        seen.add(key)
        layout.fit(labels, dataset)
        named.append(labels)
        lengths.append(dict(dataset.sizes))
        measured.append(set(dataset.data_vars))
    uneven = [dim for dim, size in layout.sizes.items() if any(one.get(dim) != size for one in lengths)]
    partial = [name for name in layout.variables if any(name not in one for one in measured)]

    variables: dict[Hashable, xr.Variable] = {}
    for name, row in layout.variables.items():
        ragged = name in partial or any(dim in uneven for dim in row.dims)
        variables[name] = _padded(len(named), row, layout.sizes, as_int8=ragged and row.dtype.kind == "b")
    for k, (_, dataset) in enumerate(runs):
        for name, array in dataset.data_vars.items():
            place: tuple[int | slice, ...] = (k, *(slice(n) for n in array.shape))
            variables[name].values[place] = _array(array.variable, f"{what}: {name}")
    for dim in uneven:
        variables[f"n_{dim}"] = labelled(RUN, [one.get(dim, 0) for one in lengths], f"length of {dim} in this run")
        variables[f"n_{dim}"].attrs[LENGTH_OF] = dim
    for name in partial:
        there = [name in one for one in measured]
        variables[f"has_{name}"] = labelled(RUN, there, f"whether {name} was measured in this run")
        variables[f"has_{name}"].attrs[PRESENCE_OF] = name
    return xr.Dataset(variables, layout.coordinates | _label_coordinates(named, layout.labels))


def _label_coordinates(named: Sequence[Labels], dtypes: Mapping[str, np.dtype[Any]]) -> dict[Hashable, xr.Variable]:
    coordinates: dict[Hashable, xr.Variable] = {}
    for label, dtype in dtypes.items():
        everywhere = all(label in one for one in named)
        held = np.dtype("int8") if dtype.kind == "b" and not everywhere else dtype
        values = np.array([one.get(label, _padding(held)) for one in named], held)
        coordinates[label] = labelled(RUN, values, label.replace("_", " "))
    return coordinates


def _padded(n_runs: int, row: _Row, sizes: Mapping[Hashable, int], *, as_int8: bool) -> xr.Variable:
    """A variable of all runs, nothing but padding."""
    dtype = np.dtype("int8") if as_int8 else row.dtype
    shape = (n_runs, *(sizes[dim] for dim in row.dims))
    attributes = {**row.attributes, PADDED_FROM: "bool"} if as_int8 else dict(row.attributes)
    return xr.Variable((RUN, *row.dims), np.full(shape, _padding(dtype), dtype), attributes)


def _padding(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "u":
        return np.iinfo(dtype).max
    return {"f": np.nan, "i": -1, "b": False, "U": ""}[dtype.kind]


def unstack(stacked: xr.Dataset, k: int) -> xr.Dataset:
    """Return the k-th run as it was before `stack`: without padding, and without what it did not measure.

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
    lengths = {v.attrs[LENGTH_OF]: int(v) for v in run.data_vars.values() if LENGTH_OF in v.attrs}
    absent = [v.attrs[PRESENCE_OF] for v in run.data_vars.values() if PRESENCE_OF in v.attrs and not bool(v)]
    made = [name for name, v in run.data_vars.items() if LENGTH_OF in v.attrs or PRESENCE_OF in v.attrs]
    run = run.drop_vars([*made, *absent])
    run = run.isel({dim: slice(n) for dim, n in lengths.items() if dim in run.dims})
    used = {dim for v in run.data_vars.values() for dim in v.dims}
    empty = [name for name, v in run.coords.items() if v.dims and lengths.get(v.dims[0]) == 0 and v.dims[0] not in used]
    run = run.drop_vars(empty)
    for name, v in run.data_vars.items():
        if v.attrs.get(PADDED_FROM) == "bool":
            attributes = {key: value for key, value in v.attrs.items() if key != PADDED_FROM}
            run[name] = xr.Variable(v.dims, v.values.astype(bool), attributes)
    return run
