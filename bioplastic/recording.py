"""The HDF5 schema of an experiment, its writer and its reader.

One experiment is one file that h5py, xarray (engine h5netcdf), h5dump and MATLAB open without this
library: dimension scales on every axis, ``units`` and ``long_name`` on every variable, no pickles.
The tables below are the schema. A variable that is not in them is refused.

While an experiment is going on, every run lies in a file of its own in ``<out>.parts/``, renamed into
place when it is whole. An experiment that is killed goes on from there.
"""

from __future__ import annotations

import errno
import glob
import io
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "COORDINATES",
    "EVENT_KINDS",
    "RUN_VARIABLES",
    "SCHEMA",
    "SCHEMA_VERSION",
    "SPIKE_VARIABLES",
    "SUMMARY_VARIABLES",
    "SWEEP_VARIABLES",
    "WEIGHT_VARIABLES",
    "Attributes",
    "Experiment",
    "Labelled",
    "LearningRateSweep",
    "Recording",
    "RecordingError",
    "Run",
    "Spikes",
    "Summary",
    "Variable",
    "Weights",
    "finished_runs",
    "read",
    "read_labelled",
    "write_hdf5",
    "write_labelled",
    "write_provenance",
    "write_run",
]

SCHEMA = "bioplastic"
SCHEMA_VERSION = 1

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]


class RecordingError(Exception):
    """A recording cannot be written or read. The message says why, and what to do."""


# ---------------------------------------------------------------------------------------------------
# The schema


@dataclass(frozen=True)
class Variable:
    """One row of the schema.

    Attributes
    ----------
    dims : tuple of str
        Names of the axes, outermost first.
    units : str
        ``"1"`` where there is none.
    long_name : str
        What it is, in words.
    dtype : str
        NumPy name, or ``"str"``. ``"bool"`` is stored as int8, as netCDF has no truth values.
    flags : tuple of str
        What the values 0, 1, 2 ... mean, for variables that are codes.
    """

    dims: tuple[str, ...]
    units: str
    long_name: str
    dtype: str = "float64"
    flags: tuple[str, ...] = ()


EVENT_KINDS = ("background", "rare", "probe", "rest", "replay", "rare_replay")
"""Meaning of ``event_kind`` 0, 1, 2 ...; the last is a replay of the rare event, the one before of any other."""

_CONDITION = ("learner", "event_fraction", "replay", "seed")
_PER_HOP = (*_CONDITION, "hop")

COORDINATES: dict[str, Variable] = {
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "occurrence": Variable(("occurrence",), "1", "occurrence of the rare event", "int64"),
    "learner": Variable(("learner",), "1", "learner", "str"),
    "event_fraction": Variable(("event_fraction",), "1", "fraction of all events that are the rare event"),
    "replay": Variable(("replay",), "1", "replay", "str"),
    "seed": Variable(("seed",), "1", "seed", "int64"),
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
}
"""Axes that carry values. Axes that are not named here (event, snapshot, spike, ...) are only counted."""

RUN_VARIABLES: dict[str, Variable] = {
    "event_time": Variable(("event",), "s", "time at which the event begins"),
    "event_kind": Variable(("event",), "1", "kind of event", "int8", flags=EVENT_KINDS),
    "event_occurrence": Variable(("event",), "1", "occurrence of the rare event, from 1 (0: none)", "int64"),
    "event_salience": Variable(("event",), "1", "salience: how many times as long the outcome stays present"),
    "event_replayed": Variable(("event",), "1", "whether the event is a replay", "bool", flags=("no", "yes")),
    "event_stimulus": Variable(("event",), "1", "index of the stimulus (-1: none)", "int64"),
    "output_error": Variable(("event",), "1", "error of the output (NaN: no outcome)"),
    "snapshot_occurrence": Variable(("snapshot",), "1", "occurrence after which the weights were looked at", "int64"),
    "change": Variable(("snapshot", "hop"), "1", "relative change of the weights against the sham run"),
    "change_floor": Variable(
        ("snapshot", "hop"), "1", "relative change of the weights between two sham runs (sham floor)"
    ),
    "change_sham": Variable(
        ("snapshot", "hop"), "1", "relative change of the weights of the sham run against the start"
    ),
    "error_spikes": Variable(
        ("occurrence", "hop"), "1", "error spikes at an occurrence and in the events that it is counted over"
    ),
    "error_spikes_sham": Variable(("occurrence", "hop"), "1", "the same in the sham run"),
    "error_spikes_sham2": Variable(("occurrence", "hop"), "1", "the same in the second sham run"),
    "latency": Variable(
        ("hop",), "ms", "time from the onset of the outcome until error spikes first differ from the sham run"
    ),
    "mismatch_before": Variable(("hop",), "1", "mismatch signalled per cell and background event before, in spikes"),
    "mismatch_during": Variable(("hop",), "1", "mismatch signalled per cell and rare event, in spikes"),
    "mismatch_after": Variable(("hop",), "1", "mismatch signalled per cell and background event after, in spikes"),
    "improvement": Variable(("snapshot",), "1", "fraction of the rare event's output error that is gone"),
    "alignment": Variable(("hop",), "1", "cosine of the weight change to the backprop gradient"),
    "functional_downstream": Variable(
        ("hop",), "1", "share of the improvement kept by the changed weights of hops 0 to this"
    ),
    "functional_upstream": Variable(
        ("hop",), "1", "share of the improvement kept by the changed weights from this hop up"
    ),
    "accuracy_rare_initial": Variable((), "1", "accuracy on the rare event before the run"),
    "accuracy_rare_final": Variable((), "1", "accuracy on the rare event after the run"),
    "accuracy_background_initial": Variable((), "1", "accuracy on the background before the run"),
    "accuracy_background_final": Variable((), "1", "accuracy on the background after the run"),
    "error_rare_initial": Variable((), "1", "held-out error on the rare event before the run, in the rate network"),
    "error_rare_final": Variable((), "1", "held-out error on the rare event after the run, in the rate network"),
    "error_background_initial": Variable(
        (), "1", "held-out error on the background before the run, in the rate network"
    ),
    "error_background_final": Variable((), "1", "held-out error on the background after the run, in the rate network"),
}
"""Variables of ``/runs/<run>``. A new one also needs a field of `Run` of the same name."""

WEIGHT_VARIABLES: dict[str, Variable] = {
    "initial": Variable(("{projection}_post", "{projection}_pre"), "1", "weights before the run"),
    "final": Variable(("{projection}_post", "{projection}_pre"), "1", "weights after the run"),
}
"""Variables of ``/runs/<run>/weights/<projection>``."""

SPIKE_VARIABLES: dict[str, Variable] = {
    # SONATA names, and therefore SONATA's milliseconds.
    "timestamps": Variable(("spike",), "ms", "time of the spike"),
    "node_ids": Variable(("spike",), "1", "index of the cell in its population", "uint64"),
}
"""Variables of ``/runs/<run>/spikes/<population>``."""

SUMMARY_VARIABLES: dict[str, Variable] = {
    "error_signal": Variable(_PER_HOP, "1", "excess error spikes over the sham run, weights frozen"),
    "error_signal_floor": Variable(_PER_HOP, "1", "difference of error spikes between two sham runs, weights frozen"),
    "error_signal_reach": Variable(_CONDITION, "1", "last hop the error signal reaches, weights frozen (-1: none)"),
    "change": Variable(_PER_HOP, "1", "relative change of the weights against the sham run, at the end of the life"),
    "change_floor": Variable(
        _PER_HOP,
        "1",
        "relative change of the weights between two sham runs (sham floor), at the end of the life",
    ),
    "reach": Variable(_CONDITION, "1", "last hop the change reaches, at the end of the life (-1: none)"),
    "change_fixed": Variable(
        _PER_HOP,
        "1",
        "relative change of the weights against the sham run, after a fixed number of occurrences",
    ),
    "reach_fixed": Variable(
        _CONDITION, "1", "last hop the change reaches, after a fixed number of occurrences (-1: none)"
    ),
    "change_matched": Variable(
        _PER_HOP,
        "1",
        "relative change of the weights against the sham run, at matched improvement of the output",
    ),
    "reach_matched": Variable(
        _CONDITION, "1", "last hop the change reaches, at matched improvement of the output (-1: none)"
    ),
    "arrival": Variable(_PER_HOP, "1", "occurrence at which the change first reaches the hop (NaN: never)"),
    "arrival_exact": Variable(_PER_HOP, "1", "occurrence at which the hop first changes at all (NaN: never)"),
    "front_speed": Variable(_CONDITION, "1", "hops reached per occurrence, up to where the front gets"),
    "latency": Variable(
        _PER_HOP, "ms", "time from the onset of the outcome until error spikes first differ from the sham run"
    ),
    "time_per_hop": Variable(_CONDITION, "ms", "time that the error takes from hop to hop (NaN: under three hops)"),
    "mismatch_before": Variable(_PER_HOP, "1", "mismatch signalled per cell and background event before, in spikes"),
    "mismatch_during": Variable(_PER_HOP, "1", "mismatch signalled per cell and rare event, in spikes"),
    "mismatch_after": Variable(_PER_HOP, "1", "mismatch signalled per cell and background event after, in spikes"),
    "screening_length": Variable(_CONDITION, "1", "e-folding distance of the change, in hops"),
    "alignment": Variable(_PER_HOP, "1", "cosine of the weight change to the backprop gradient"),
    "functional_downstream": Variable(
        _PER_HOP, "1", "share of the improvement kept by the changed weights of hops 0 to this"
    ),
    "functional_upstream": Variable(
        _PER_HOP, "1", "share of the improvement kept by the changed weights from this hop up"
    ),
    "accuracy_rare_initial": Variable(_CONDITION, "1", "accuracy on the rare event before the run"),
    "accuracy_rare_final": Variable(_CONDITION, "1", "accuracy on the rare event after the run"),
    "accuracy_background_initial": Variable(_CONDITION, "1", "accuracy on the background before the run"),
    "accuracy_background_final": Variable(_CONDITION, "1", "accuracy on the background after the run"),
    "error_rare_initial": Variable(
        _CONDITION, "1", "held-out error on the rare event before the run, in the rate network"
    ),
    "error_rare_final": Variable(
        _CONDITION, "1", "held-out error on the rare event after the run, in the rate network"
    ),
    "error_background_initial": Variable(
        _CONDITION, "1", "held-out error on the background before the run, in the rate network"
    ),
    "error_background_final": Variable(
        _CONDITION, "1", "held-out error on the background after the run, in the rate network"
    ),
    "improvement": Variable(_CONDITION, "1", "fraction of the rare event's output error that is gone"),
    "learning_rate": Variable(_CONDITION, "1", "learning rate"),
    "gradient_norm": Variable(("seed", "hop"), "1", "norm of backprop's gradient for the rare event, at the start"),
    "audit_hops": Variable(
        ("learner", "seed"),
        "1",
        "hops from which an update can be influenced in one time step, at most (audit)",
    ),
}
"""Variables of ``/summary``. NaN where a condition was not run. A new one is one line here."""

SWEEP_VARIABLES: dict[str, Variable] = {
    "rate": Variable(("learner", "rate_index"), "1", "learning rate that was tried"),
    "score": Variable(("learner", "rate_index"), "1", "score of the learning rate, higher is better"),
}
"""Variables of ``/learning_rate_sweep``."""


@dataclass
class _Axes:
    """Lengths of the axes of one group, and who set them, for the error message."""

    size: dict[str, int] = field(default_factory=dict)
    set_by: dict[str, str] = field(default_factory=dict)

    def fit(self, name: str, row: Variable, values: ArrayLike) -> NDArray[Any]:
        """Return ``values`` in the row's type, or refuse them by name."""
        dims = f"({', '.join(row.dims)})"
        try:
            given = np.asarray(values)
        except ValueError as error:
            raise RecordingError(f"{name} is not an array over {dims}: {error}.") from error
        if given.ndim != len(row.dims):
            raise RecordingError(f"{name} has shape {given.shape}, but its axes are {dims}.")
        for dim, size in zip(row.dims, given.shape, strict=True):
            if self.size.setdefault(dim, size) != size:
                raise RecordingError(
                    f"{name} has shape {given.shape} over {dims}, "
                    f"but {dim} has length {self.size[dim]} in {self.set_by[dim]}."
                )
            self.set_by.setdefault(dim, name)
        kind = np.dtype(row.dtype).kind
        allowed = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}[kind]
        if given.dtype.kind not in allowed:
            raise RecordingError(f"{name} holds {given.dtype}, but the schema wants {row.dtype}.")
        fitted = given.astype(row.dtype)
        if kind in "iu" and not np.array_equal(fitted, given):
            raise RecordingError(f"{name} holds values that {row.dtype} cannot: {given.min()} to {given.max()}.")
        if row.flags and kind in "iu" and given.size and not (0 <= given.min() <= given.max() < len(row.flags)):
            meanings = ", ".join(f"{value} {meaning}" for value, meaning in enumerate(row.flags))
            raise RecordingError(f"{name} holds {given.min()} to {given.max()}; the codes are {meanings}.")
        return fitted


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RecordingError(f"{name} is {value!r}, but must be one of {', '.join(allowed)}.")


# ---------------------------------------------------------------------------------------------------
# What is recorded


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of one projection, each (post, pre)."""

    initial: FloatArray
    final: FloatArray

    def __post_init__(self) -> None:
        axes = _Axes()
        for name, row in WEIGHT_VARIABLES.items():
            object.__setattr__(self, name, axes.fit(name, row, getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of one population: times in ms (as SONATA has them) and indices of the cells."""

    timestamps: FloatArray
    node_ids: IntArray

    def __post_init__(self) -> None:
        axes = _Axes()
        for name, row in SPIKE_VARIABLES.items():
            object.__setattr__(self, name, axes.fit(name, row, getattr(self, name)))


@dataclass(frozen=True, eq=False)
class Run:
    """One run: its condition, the events it lived, and what was measured.

    What the arrays mean, their axes and units are in `RUN_VARIABLES`; shapes and types are checked
    when the object is made. What was not measured is None.

    Attributes
    ----------
    arm : {"frozen", "learning"}
        Whether the weights were held or learned.
    learner : str
        Name of the learner.
    event_fraction : float
        Fraction of all events that are the rare event.
    replay : str
        ``"off"``, or what was replayed.
    seed : int
        Seed of the run.
    learning_rate : float
        NaN in the frozen arm.
    role : {"result", "sweep"}
        Whether the run is a result or served to choose a learning rate.
    weights : mapping of str to Weights
        By projection; empty if not recorded.
    spikes : mapping of str to Spikes
        By population; empty if not recorded.
    """

    arm: str
    learner: str
    event_fraction: float
    replay: str
    seed: int
    learning_rate: float
    role: str

    event_time: FloatArray
    event_kind: IntArray
    event_occurrence: IntArray
    event_salience: FloatArray
    event_replayed: BoolArray
    event_stimulus: IntArray
    output_error: FloatArray

    snapshot_occurrence: IntArray | None = None
    change: FloatArray | None = None
    change_floor: FloatArray | None = None
    change_sham: FloatArray | None = None
    error_spikes: FloatArray | None = None
    error_spikes_sham: FloatArray | None = None
    error_spikes_sham2: FloatArray | None = None
    latency: FloatArray | None = None
    mismatch_before: FloatArray | None = None
    mismatch_during: FloatArray | None = None
    mismatch_after: FloatArray | None = None
    improvement: FloatArray | None = None
    alignment: FloatArray | None = None
    functional_downstream: FloatArray | None = None
    functional_upstream: FloatArray | None = None
    accuracy_rare_initial: float | None = None
    accuracy_rare_final: float | None = None
    accuracy_background_initial: float | None = None
    accuracy_background_final: float | None = None
    error_rare_initial: float | None = None
    error_rare_final: float | None = None
    error_background_initial: float | None = None
    error_background_final: float | None = None

    weights: Mapping[str, Weights] = field(default_factory=dict)
    spikes: Mapping[str, Spikes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in _RUN_ATTRIBUTES.items():
            object.__setattr__(self, name, kind(getattr(self, name)))  # NumPy's scalars become plain
        _one_of("arm", self.arm, ("frozen", "learning"))
        _one_of("role", self.role, ("result", "sweep"))
        axes = _Axes()
        for name in _run_variables():
            value = getattr(self, name)
            if name not in RUN_VARIABLES:
                raise RecordingError(f"{name} is not in the table of run variables: add a row to RUN_VARIABLES.")
            if value is not None:
                fitted = axes.fit(name, RUN_VARIABLES[name], value)
                object.__setattr__(self, name, fitted if fitted.ndim else fitted.item())

    def measured(self, name: str) -> NDArray[Any]:
        """Return the variable called `name`; `RecordingError` when it was not measured in this run."""
        value = getattr(self, name)
        if value is None:
            raise RecordingError(f"{name} was not measured in the {self.arm} run of {self.learner!r}.")
        return np.asarray(value)


_RUN_ATTRIBUTES: dict[str, type] = {
    "arm": str,
    "learner": str,
    "event_fraction": float,
    "replay": str,
    "seed": int,
    "learning_rate": float,
    "role": str,
}


def _run_variables() -> list[str]:
    return [f.name for f in fields(Run) if f.name not in (*_RUN_ATTRIBUTES, "weights", "spikes")]


@dataclass(frozen=True, eq=False)
class Labelled:
    """An array with its axes, its unit and what it is.

    Attributes
    ----------
    values : ndarray
    dims : tuple of str
        Names of the axes of ``values``.
    units : str
    long_name : str
    """

    values: NDArray[Any]
    dims: tuple[str, ...]
    units: str
    long_name: str


@dataclass(frozen=True, eq=False)
class Summary:
    """One labelled array per measure, over the conditions of an experiment.

    Attributes
    ----------
    learner, event_fraction, replay, seed, hop : sequences
        The coordinates: labels of the axes of the variables.
    variables : mapping of str to array
        Names, axes and units are in `SUMMARY_VARIABLES`. Not every variable need be there; NaN
        where a condition was not run.
    """

    learner: tuple[str, ...]
    event_fraction: FloatArray
    replay: tuple[str, ...]
    seed: IntArray
    hop: IntArray
    variables: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        axes = _coordinate_axes(self, _PER_HOP)
        fitted = {}
        for name, values in self.variables.items():
            if name not in SUMMARY_VARIABLES:
                raise RecordingError(
                    f"{name} is not in the table of summary variables: add a row to SUMMARY_VARIABLES."
                )
            fitted[name] = axes.fit(name, SUMMARY_VARIABLES[name], values)
        object.__setattr__(self, "variables", fitted)

    def variable(self, name: str) -> Labelled:
        """Return one variable with its axes and unit.

        Parameters
        ----------
        name : str
            A key of `variables`.

        Returns
        -------
        Labelled

        Raises
        ------
        RecordingError
            If the summary has no such variable.
        """
        if name not in self.variables:
            raise RecordingError(f"the summary has no variable {name!r}; it has {', '.join(self.variables) or 'none'}.")
        row = SUMMARY_VARIABLES[name]
        return Labelled(self.variables[name], row.dims, row.units, row.long_name)


@dataclass(frozen=True, eq=False)
class LearningRateSweep:
    """The learning rates that were tried for each learner, and how they did.

    Attributes
    ----------
    learner : tuple of str
    rate, score : array (learner, rate_index)
        NaN where a learner was tried at fewer rates than another. A higher score is better.
    """

    learner: tuple[str, ...]
    rate: FloatArray
    score: FloatArray

    def __post_init__(self) -> None:
        axes = _coordinate_axes(self, ("learner",))
        for name, row in SWEEP_VARIABLES.items():
            object.__setattr__(self, name, axes.fit(name, row, getattr(self, name)))


def _coordinate_axes(holder: Summary | LearningRateSweep, dims: tuple[str, ...]) -> _Axes:
    """Check the coordinates of ``holder`` and start its axes with their lengths."""
    axes = _Axes()
    for dim in dims:
        values = getattr(holder, dim)
        if COORDINATES[dim].dtype == "str":
            if isinstance(values, str) or not all(isinstance(label, str) for label in values):
                raise RecordingError(f"{dim} must be a sequence of strings, not {values!r}.")
            # str() because a NumPy string is a str that HDF5 refuses.
            object.__setattr__(holder, dim, tuple(str(label) for label in values))
            axes.size[dim] = len(values)
        else:
            object.__setattr__(holder, dim, axes.fit(dim, COORDINATES[dim], values))
        if len(set(getattr(holder, dim))) != axes.size[dim]:
            raise RecordingError(f"{dim} has the same label twice: {list(values)}.")
        axes.set_by[dim] = f"the coordinate {dim}"
    return axes


# ---------------------------------------------------------------------------------------------------
# To HDF5 and back

_COMPRESS_FROM = 64 * 1024  # bytes: below, gzip costs more time than it saves space


def _write_variables(group: h5py.Group, table: Mapping[str, Variable], holder: object) -> None:
    """Write those variables of a table that ``holder`` has as attributes; their axes are still bare."""
    for name, row in table.items():
        if (value := getattr(holder, name)) is not None:
            _write_dataset(group, name, row, value)


def _label_axes(
    group: h5py.Group,
    table: Mapping[str, Variable],
    coordinates: Mapping[str, Any] | None = None,
    projection: str = "",
) -> None:
    """Give the variables of a group their dimension scales, with values for the axes that have some."""
    scales = {}
    for dim, labels in (coordinates or {}).items():
        scales[dim] = _write_dataset(group, dim, COORDINATES[dim], labels)
        scales[dim].make_scale(dim)
    for name, row in table.items():
        if not row.dims or name not in group:
            continue
        dataset = group[name]
        for axis, (template, size) in enumerate(zip(row.dims, dataset.shape, strict=True)):
            dim = template.replace("{projection}", projection)
            if dim not in scales:
                scales[dim] = _write_scale(group, dim, size)
            h5py.h5ds.attach_scale(dataset.id, scales[dim].id, axis)


def _write_scale(group: h5py.Group, dim: str, size: int) -> h5py.Dataset:
    if dim in COORDINATES:
        first = 1 if dim == "occurrence" else 0
        scale = _write_dataset(group, dim, COORDINATES[dim], np.arange(first, first + size))
        scale.make_scale(dim)
    else:
        # netCDF's own way to have an axis without labels; xarray then shows no coordinate.
        scale = group.create_dataset(dim, shape=(size,), dtype=">f4")
        scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
    return scale


def _write_dataset(group: h5py.Group, name: str, row: Variable, values: Any) -> h5py.Dataset:
    if row.dtype == "str":
        dataset = group.create_dataset(name, data=list(values), dtype=h5py.string_dtype("utf-8"))
    else:
        array = np.asarray(values, dtype="int8" if row.dtype == "bool" else row.dtype)
        gzip = {"compression": "gzip", "shuffle": True} if array.nbytes > _COMPRESS_FROM else {}
        dataset = group.create_dataset(name, data=array, **gzip)
    _write_text_attribute(dataset, "units", row.units)
    _write_text_attribute(dataset, "long_name", row.long_name)
    if row.flags:
        dataset.attrs["flag_values"] = np.arange(len(row.flags), dtype="int8")
        _write_text_attribute(dataset, "flag_meanings", " ".join(row.flags))
    if row.dtype == "bool":
        _write_text_attribute(dataset, "dtype", "bool")  # xarray turns it back
    return dataset


_TEXT = h5py.string_dtype("utf-8")
_TEXT_ID = h5py.h5t.py_create(_TEXT, logical=True)
_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)


def _write_text_attribute(dataset: h5py.Dataset, name: str, text: str) -> None:
    """The same as ``dataset.attrs[name] = text``, which takes half of all writing time."""
    attribute = h5py.h5a.create(dataset.id, name.encode(), _TEXT_ID, _SCALAR)
    attribute.write(np.array(text, dtype=_TEXT))


def _read_variables(group: h5py.Group, table: Mapping[str, Variable]) -> dict[str, Any]:
    """Read what is there of a table; rows that a later version adds are left alone."""
    return {name: _read_dataset(group[name], row) for name, row in table.items() if name in group}


def _read_dataset(dataset: h5py.Dataset, row: Variable) -> Any:
    if row.dtype == "str":
        return tuple(dataset.asstr()[()])
    values = dataset[()]
    return values.astype(bool) if row.dtype == "bool" else values


def _write_run_group(group: h5py.Group, run: Run) -> None:
    for name in _RUN_ATTRIBUTES:
        group.attrs[name] = getattr(run, name)
    _write_variables(group, RUN_VARIABLES, run)
    # In the circuit's order: by name, the tenth projection would come before the second.
    if run.weights:
        every = group.create_group("weights", track_order=True)
        for projection, weights in run.weights.items():
            _check_name("projection", projection)
            _write_variables(every.create_group(projection), WEIGHT_VARIABLES, weights)
    if run.spikes:
        every = group.create_group("spikes", track_order=True)
        for population, spikes in run.spikes.items():
            _check_name("population", population)
            _write_variables(every.create_group(population), SPIKE_VARIABLES, spikes)


def _label_run_group(group: h5py.Group) -> None:
    _label_axes(group, RUN_VARIABLES)
    for projection, weights in group.get("weights", {}).items():
        _label_axes(weights, WEIGHT_VARIABLES, projection=projection)
    for spikes in group.get("spikes", {}).values():
        _label_axes(spikes, SPIKE_VARIABLES)


def _read_run_group(group: h5py.Group) -> Run:
    return Run(
        **{name: group.attrs[name] for name in _RUN_ATTRIBUTES},
        weights={
            projection: Weights(**_read_variables(weights, WEIGHT_VARIABLES))
            for projection, weights in group.get("weights", {}).items()
        },
        spikes={
            population: Spikes(**_read_variables(spikes, SPIKE_VARIABLES))
            for population, spikes in group.get("spikes", {}).items()
        },
        **_read_variables(group, RUN_VARIABLES),
    )


def _check_name(what: str, name: str) -> None:
    """Refuse what cannot be both a file's name and an HDF5 group's."""
    if not name or name.startswith(".") or re.search(r"[/\\\x00-\x1f]", name):
        raise RecordingError(f"{what} {name!r} cannot be a name in a file: it may not hold / or begin with a dot.")


# ---------------------------------------------------------------------------------------------------
# Whole files, or none


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system raises into a sentence that names ``path``."""
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{path} could not be written: {_remedy(path, error)}") from error


def _remedy(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space left. Free some and run again, finished runs are kept; or give another --out."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path.parent} is read-only. Make it writable, or give another --out."
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR):
        return f"a folder on the way is missing, or is a file ({error}). Give another --out."
    return f"{error}. Run again, finished runs are kept; or give another --out."


def _put_in_place(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` beside ``path``, bring it to the disk, and rename it into place."""
    # The process in the name keeps two processes that make the same file from writing into each other's.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with _writing(path):
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    # The new name is on the disk only when its folder is; not every file system can be asked for that.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_hdf5(path: Path, fill: Callable[[h5py.File], None], *, schema: str = SCHEMA) -> None:
    """Write an HDF5 file whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    fill : callable
        Writes the content into the open file.
    schema : str, optional
        Name of the schema, for files that are shaped otherwise than an `Experiment`.

    Raises
    ------
    RecordingError
        If it cannot be written.
    """
    # Made in memory, because HDF5 crashes the process some time after a write to a full disk has failed.
    memory = io.BytesIO()
    with _writing(path), h5py.File(memory, "w") as file:
        file.attrs["schema"] = schema
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["complete"] = np.int8(1)
        fill(file)
    with memory.getbuffer() as content:  # Python 3.12.1 crashes where a buffer is left to the garbage collection
        _put_in_place(path, content)


def write_provenance(file: h5py.File, *, title: str, config: Mapping[str, object], script: str) -> None:
    """Write what made a file: when, with which versions, on what machine, from which commit, settings and script."""
    file.attrs["title"] = title
    file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    file.attrs["versions"] = json.dumps(_package_versions())
    file.attrs["python"] = platform.python_version()
    file.attrs["platform"] = platform.platform()
    file.attrs["commit"] = _commit()
    file.attrs["config"] = json.dumps(config)
    file.attrs["script"] = script


def write_labelled(group: h5py.Group, rows: Mapping[str, Variable], values: Mapping[str, Any]) -> None:
    """Write arrays with units, names and dimension scales, for what does not fit the tables of this module.

    Parameters
    ----------
    group : Group
    rows : mapping of str to Variable
        Schema of the arrays; one named like an axis holds the values of that axis.
    values : mapping of str to array
        Rows without a value are left out.
    """
    there = {name: row for name, row in rows.items() if name in values}
    sizes = {dim: n for name, row in there.items() for dim, n in zip(row.dims, np.shape(values[name]), strict=True)}
    for dim, size in sizes.items():
        if dim in there:
            _write_dataset(group, dim, rows[dim], values[dim]).make_scale(dim)
        else:
            _write_scale(group, dim, size)
    for name, row in there.items():
        if name not in sizes:
            dataset = _write_dataset(group, name, row, values[name])
            for axis, dim in enumerate(row.dims):
                dataset.dims[axis].attach_scale(group[dim])


def read_labelled(group: h5py.Group, rows: Mapping[str, Variable]) -> dict[str, Any]:
    """Read what `write_labelled` wrote: arrays by name, texts as tuples."""
    return _read_variables(group, rows)


def write_run(folder: Path, run_name: str, run: Run) -> Path:
    """Write one run to a file of its own, whole or not at all.

    Safe to call from worker processes, each with its own ``run_name``.

    Parameters
    ----------
    folder : Path
        Must exist.
    run_name : str
        Becomes the file's name and the group's.
    run : Run

    Returns
    -------
    Path
        The file, ``<folder>/<run_name>.h5``.

    Raises
    ------
    RecordingError
        If it cannot be written.
    """
    _check_name("run", run_name)
    path = Path(folder) / f"{run_name}.h5"
    write_hdf5(path, lambda file: _write_run_group(file.create_group(f"runs/{run_name}"), run))
    return path


def finished_runs(folder: Path) -> tuple[str, ...]:
    """Names of the runs in a folder that `write_run` wrote; files that cannot be read are passed over.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    tuple of str
        Sorted.
    """
    return tuple(path.name.removesuffix(".h5") for path in sorted(Path(folder).glob("*.h5")) if _holds_run(path))


def _holds_run(path: Path) -> bool:
    try:
        with _open(path) as file:
            return f"runs/{path.name.removesuffix('.h5')}" in file
    except RecordingError as error:
        if isinstance(error.__cause__, PermissionError | BlockingIOError):
            raise  # it may well be whole
        return False


# ---------------------------------------------------------------------------------------------------
# An experiment in the making


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in ("bioplastic", "brian2", "numpy", "scipy", "torch", "h5py"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _commit() -> str:
    """Commit of the checkout this file is tracked in, with ``-dirty`` if files are changed; or nothing."""
    here = Path(__file__).resolve()
    # A git hook sets these, and they would point git elsewhere.
    hooks = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in hooks}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, env=environment)
        return done.stdout.strip()

    try:
        # Installed inside somebody else's checkout, the package is not tracked by it.
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""


def _as_json(config: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings as JSON gives them back, so that they compare equal to recorded ones."""
    settings = {}
    for name, value in config.items():
        try:
            settings[str(name)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise RecordingError(
                f"the setting {name} = {value!r} does not go into JSON: "
                "use plain finite numbers, strings, lists and dicts."
            ) from error
    return settings


def _circuit_from(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """``{"a": {"b": [1, 2]}}`` as ``{"a.b[0]": 1, "a.b[1]": 2}``."""
    if isinstance(value, dict) and value:
        items = [(f"{name}.{key}" if name else key, item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = [(f"{name}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for nested, item in items for key, leaf in _flat(item, nested).items()}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], limit: int = 10) -> str:
    """Name the settings that differ; empty if none does."""

    def shown(settings: Mapping[str, Any], name: str) -> str:
        text = json.dumps(settings[name], ensure_ascii=False) if name in settings else "(not there)"
        return text if len(text) <= 60 else text[:57] + "..."

    olds, news = _flat(dict(old)), _flat(dict(new))
    names = [name for name in {**olds, **news} if name not in olds or name not in news or olds[name] != news[name]]
    lines = [f"{name.removeprefix('config.')}: {shown(olds, name)} -> {shown(news, name)}" for name in names[:limit]]
    if len(names) > limit:
        lines.append(f"and {len(names) - limit} more")
    return ", ".join(lines)


class Experiment:
    """An experiment that is being recorded, and goes on where it stopped.

    Made by `Experiment.open`.

    Attributes
    ----------
    out : Path
        The file it becomes.
    folder : Path
        ``<out>.parts``, where finished runs lie until then. Worker processes may write there with
        `write_run`.
    complete : bool
        Whether ``out`` is there and whole, so that nothing is left to do.
    """

    def __init__(self, out: Path, attributes: Attributes, complete: bool) -> None:
        self.out = out
        self.folder = out.with_name(out.name + ".parts")
        self.complete = complete
        self._attributes = attributes

    @classmethod
    def open(
        cls, out: Path, *, title: str, seed: int, config: Mapping[str, object], circuit: str, script: str
    ) -> Experiment:
        """Begin an experiment, or go on with it.

        It is the same experiment if seed, config and circuit are the same.

        Parameters
        ----------
        out : Path
            The file to make. Its folder is made if it is missing.
        title : str
        seed : int
        config : mapping
            All settings, such as go into JSON.
        circuit : str
            The circuit as JSON.
        script : str
            Source text of the script.

        Returns
        -------
        Experiment

        Raises
        ------
        RecordingError
            If ``out``, or the unfinished runs beside it, belong to another configuration, or the
            folder cannot be written.
        """
        out = Path(out)
        attributes = Attributes(
            schema=SCHEMA,
            schema_version=SCHEMA_VERSION,
            title=title,
            created="",
            complete=False,
            versions={},
            python=platform.python_version(),
            platform=platform.platform(),
            commit="",
            seed=int(seed),
            config=_as_json(config),
            circuit=circuit,
            script=script,
        )
        experiment = cls(out, attributes, complete=False)
        with _writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            exists = out.exists()
        if exists:
            experiment._check_finished()
        else:
            experiment._check_parts()
        return experiment

    def _identity(self) -> dict[str, Any]:
        a = self._attributes
        return {
            "schema_version": a.schema_version,
            "seed": a.seed,
            "config": dict(a.config),
            "circuit": _circuit_from(a.circuit),
        }

    def _check_finished(self) -> None:
        """``out`` is there: it must be this experiment, whole."""
        try:
            with _open(self.out) as file, _damage(self.out):
                old = _read_attributes(file)
        except RecordingError as error:
            raise RecordingError(f"{error} It is in the way: give another --out, or remove it.") from error
        identity = self._identity()
        was = {"seed": old.seed, "config": dict(old.config), "circuit": _circuit_from(old.circuit)}
        # A finished file of an older schema is as good as a new one.
        if differing := _differences({"schema_version": SCHEMA_VERSION, **was}, identity):
            raise RecordingError(
                f"{self.out} belongs to another configuration ({differing}). Give another --out, or remove the file."
            )
        self.complete = True
        if self._recorded_identity() == identity:  # killed just before the parts were removed
            self._remove_parts()

    def _check_parts(self) -> None:
        """``out`` is not there: begin, or go on with the runs in the folder."""
        with _writing(self.folder):
            self.folder.mkdir(exist_ok=True)
            runs = any(self.folder.glob("*.h5"))
            old = self._recorded_identity()
        if old is None and runs:
            raise RecordingError(
                f"{self.folder} holds runs, but its config.json is missing or damaged, "
                "so that nobody can tell which configuration they belong to. "
                "Give another --out, or remove the folder."
            )
        if old is None:
            _put_in_place(self.folder / "config.json", json.dumps(self._identity(), indent=1).encode())
        elif differing := _differences(old, self._identity()):
            raise RecordingError(
                f"{self.folder} holds unfinished runs of another configuration ({differing}). "
                "Give another --out, or remove the folder."
            )
        with _writing(self.folder):
            for path in self.folder.glob("*.h5"):
                if not _holds_run(path):
                    path.unlink()  # from here on, a file means a run

    def _recorded_identity(self) -> dict[str, Any] | None:
        try:
            identity = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return identity if isinstance(identity, dict) else None

    def _remove_parts(self) -> None:
        """Remove our own files, config.json last: killed in between, the folder is still known as ours."""
        with suppress(OSError):
            for part in self.out.parent.glob(f"{glob.escape(self.out.name)}.*.part"):
                part.unlink()
            for pattern in ("*.h5", "*.part", "config.json"):
                for path in self.folder.glob(pattern):
                    path.unlink()
            self.folder.rmdir()

    def has(self, name: str) -> bool:
        """Whether a run is finished."""
        if self.complete:
            with _open(self.out) as file:
                return f"runs/{name}" in file
        return self._part(name).is_file()

    def add(self, name: str, run: Run) -> None:
        """Write a finished run. From here on it survives a kill.

        Parameters
        ----------
        name : str
            One that has not been used for another condition.
        run : Run

        Raises
        ------
        RecordingError
            If it cannot be written, or the experiment is complete.
        """
        self._refuse_if_complete()
        write_run(self.folder, name, run)

    def run(self, name: str) -> Run:
        """Read a finished run back.

        Parameters
        ----------
        name : str

        Returns
        -------
        Run

        Raises
        ------
        RecordingError
            If there is none of that name.
        """
        return _read_run(self.out if self.complete else self._part(name), name)

    def finish(self, summary: Summary, sweep: LearningRateSweep | None = None) -> Path:
        """Make one file of all finished runs, and remove their own.

        Parameters
        ----------
        summary : Summary
        sweep : LearningRateSweep, optional

        Returns
        -------
        Path
            The file, ``out``.

        Raises
        ------
        RecordingError
            If it cannot be written; the finished runs are kept.
        """
        self._refuse_if_complete()
        # Not finished_runs, which would leave out a file that was damaged in the meantime.
        names = sorted(path.name.removesuffix(".h5") for path in self.folder.glob("*.h5"))

        def fill(file: h5py.File) -> None:
            self._write_attributes(file)
            group = file.create_group("summary")
            for name, values in summary.variables.items():
                _write_dataset(group, name, SUMMARY_VARIABLES[name], values)
            _label_axes(group, SUMMARY_VARIABLES, {dim: getattr(summary, dim) for dim in _PER_HOP})
            if sweep is not None:
                group = file.create_group("learning_rate_sweep")
                _write_variables(group, SWEEP_VARIABLES, sweep)
                _label_axes(group, SWEEP_VARIABLES, {"learner": sweep.learner})
            runs = file.create_group("runs")
            for name in names:
                with _open(self._part(name)) as part, _damage(self._part(name)):
                    part.copy(f"runs/{name}", runs)
                _label_run_group(runs[name])

        write_hdf5(self.out, fill)
        self.complete = True
        self._remove_parts()
        return self.out

    def _part(self, name: str) -> Path:
        return self.folder / f"{name}.h5"

    def _refuse_if_complete(self) -> None:
        if self.complete:
            raise RecordingError(f"{self.out} is complete, nothing can be added. Give another --out, or remove it.")

    def _write_attributes(self, file: h5py.File) -> None:
        a = self._attributes
        write_provenance(file, title=a.title, config=a.config, script=a.script)
        file.attrs["seed"] = a.seed
        file.attrs["circuit"] = a.circuit


# ---------------------------------------------------------------------------------------------------
# Reading


@dataclass(frozen=True)
class Attributes:
    """How a recording was made.

    Attributes
    ----------
    schema : str
    schema_version : int
    title : str
    created : str
        UTC, ISO 8601.
    complete : bool
    versions : mapping of str to str
        Versions of the packages that made it.
    python, platform : str
    commit : str
        Commit of the checkout it was made in, ``-dirty`` if files were changed; empty outside one.
    seed : int
    config : mapping
        The settings.
    circuit : str
        The circuit as JSON.
    script : str
        Source text of the script.
    """

    schema: str
    schema_version: int
    title: str
    created: str
    complete: bool
    versions: Mapping[str, str]
    python: str
    platform: str
    commit: str
    seed: int
    config: Mapping[str, Any]
    circuit: str
    script: str


def _open(path: Path) -> h5py.File:
    """Open a file of this schema for reading, or say what is wrong with it."""
    parts = path.with_name(path.name + ".parts")
    if path.is_dir():
        raise RecordingError(f"{path} is a folder: give the HDF5 file of an experiment.")
    if not path.exists():
        if parts.is_dir():
            raise RecordingError(
                f"{path} is not finished: run its script again with the same settings, it goes on where it stopped."
            )
        raise RecordingError(f"{path} does not exist: check the path, or run the script that makes it.")
    try:
        with path.open("rb") as raw:
            foreign = raw.read(8) != b"\x89HDF\r\n\x1a\n"
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if foreign:
        raise RecordingError(f"{path} is not an HDF5 file: give the file that a script of bioplastic wrote.")
    try:
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise RecordingError(f"{path} is being written by another process: wait for it.") from error
    except (OSError, RuntimeError) as error:
        raise RecordingError(
            f"{path} is truncated or damaged ({error}): copy it again, or remove it and run its script again."
        ) from error
    try:
        _check_schema(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _check_schema(path: Path, file: h5py.File) -> None:
    if file.attrs.get("schema") != SCHEMA:
        raise RecordingError(
            f"{path} is an HDF5 file, but not a recording of bioplastic "
            f"(it has no attribute schema = {SCHEMA!r}): give the file that a script of bioplastic wrote."
        )
    version = int(file.attrs.get("schema_version", 0))
    if version > SCHEMA_VERSION:
        raise RecordingError(
            f"{path} has schema version {version}, and this bioplastic reads up to {SCHEMA_VERSION}: "
            "install a newer one (pip install --upgrade bioplastic)."
        )
    if not file.attrs.get("complete"):
        raise RecordingError(f"{path} is not complete: remove it and run its script again.")


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What goes wrong in here means that the file is damaged."""
    try:
        yield
    except (RecordingError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RecordingError(
            f"{path} is damaged ({error}): copy it again, or remove it and run its script again."
        ) from error


def _read_attributes(file: h5py.File) -> Attributes:
    attrs = file.attrs
    return Attributes(
        schema=str(attrs["schema"]),
        schema_version=int(attrs["schema_version"]),
        title=str(attrs["title"]),
        created=str(attrs["created"]),
        complete=bool(attrs["complete"]),
        versions=json.loads(attrs["versions"]),
        python=str(attrs["python"]),
        platform=str(attrs["platform"]),
        commit=str(attrs["commit"]),
        seed=int(attrs["seed"]),
        config=json.loads(attrs["config"]),
        circuit=str(attrs["circuit"]),
        script=str(attrs["script"]),
    )


def _read_run(path: Path, name: str) -> Run:
    with _open(path) as file:
        if f"runs/{name}" not in file:
            raise RecordingError(f"{path} has no run {name!r}.")
        with _damage(path):
            return _read_run_group(file[f"runs/{name}"])


@dataclass(frozen=True)
class _Runs(Mapping[str, Run]):
    """The runs of a file, each read when it is asked for."""

    path: Path
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Run:
        if name not in self.names:
            raise KeyError(name)
        return _read_run(self.path, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded experiment, as `read` returns it.

    Attributes
    ----------
    path : Path
    attrs : Attributes
        How it was made.
    summary : Summary
        The measures over all conditions.
    sweep : LearningRateSweep or None
    runs : mapping of str to Run
        By name; a run is read from the file when it is asked for.
    """

    path: Path
    attrs: Attributes
    summary: Summary
    sweep: LearningRateSweep | None
    runs: Mapping[str, Run]

    def find(
        self,
        *,
        arm: str | None = None,
        learner: str | None = None,
        event_fraction: float | None = None,
        replay: str | None = None,
        seed: int | None = None,
        learning_rate: float | None = None,
        role: str | None = None,
    ) -> tuple[str, ...]:
        """Names of the runs of a condition, without reading their arrays.

        Parameters
        ----------
        arm, learner, event_fraction, replay, seed, learning_rate, role : optional
            What is not given may be anything.

        Returns
        -------
        tuple of str
            In the order of `runs`.
        """
        wanted = {
            "arm": arm,
            "learner": learner,
            "event_fraction": event_fraction,
            "replay": replay,
            "seed": seed,
            "learning_rate": learning_rate,
            "role": role,
        }
        wanted = {name: value for name, value in wanted.items() if value is not None}

        def fits(attrs: Mapping[str, Any]) -> bool:
            return all(
                math.isclose(attrs[name], value) if isinstance(value, float) else attrs[name] == value
                for name, value in wanted.items()
            )

        with _open(self.path) as file, _damage(self.path):
            return tuple(name for name in self.runs if fits(file["runs"][name].attrs))


def read(path: Path | str) -> Recording:
    """Read a recorded experiment.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    Recording

    Raises
    ------
    RecordingError
        If the file is missing, unfinished, truncated, foreign, or of a newer schema; the message
        says what to do.
    """
    path = Path(path)
    with _open(path) as file:
        if "config" not in file.attrs:
            raise RecordingError(
                f"{path} is one run of an experiment that is not finished: run its script again, "
                "and give the file that it makes."
            )
        with _damage(path):
            return _read_recording(path, file)


def _read_recording(path: Path, file: h5py.File) -> Recording:
    group = file["summary"]
    coordinates = {dim: _read_dataset(group[dim], COORDINATES[dim]) for dim in _PER_HOP}
    sweep = None
    if "learning_rate_sweep" in file:
        tried = file["learning_rate_sweep"]
        learner = _read_dataset(tried["learner"], COORDINATES["learner"])
        sweep = LearningRateSweep(learner=learner, **_read_variables(tried, SWEEP_VARIABLES))
    return Recording(
        path=path,
        attrs=_read_attributes(file),
        summary=Summary(**coordinates, variables=_read_variables(group, SUMMARY_VARIABLES)),
        sweep=sweep,
        runs=_Runs(path, tuple(file["runs"])),
    )
