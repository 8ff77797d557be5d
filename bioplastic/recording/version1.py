"""Recordings of schema 1, which had a group for each run: read as if they were of this schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from bioplastic.recording.errors import reading
from bioplastic.recording.labelled import Labels, stack
from bioplastic.recording.provenance import Provenance

TUNING = "tuning"
"""Kind of the runs that choose a learning rate."""


def read_version1(path: Path) -> tuple[Provenance, dict[str, xr.Dataset]]:
    """Read a recording of schema 1.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of (Provenance, dict of str to Dataset)
        How it was made, and its groups: runs by their arm, or as ``"runs"``.

    Raises
    ------
    RecordingError
        It is damaged.
    """
    with reading(path), h5py.File(path) as file:
        groups = {
            name.replace("learning_rate_sweep", TUNING + "_rates"): _dataset(group)
            for name, group in file.items()
            if isinstance(group, h5py.Group) and name != "runs"
        }
        kinds: dict[str, list[tuple[Labels, xr.Dataset]]] = {}
        for name, group in file.get("runs", {}).items():
            labels = {key: _plain(value) for key, value in group.attrs.items() if np.ndim(value) == 0}
            kind = TUNING if labels.get("role") == "sweep" else str(labels.get("arm", "runs"))
            kinds.setdefault(kind, []).append(({"name": name} | labels, _dataset(group)))
        groups |= {kind: stack(runs, kind) for kind, runs in kinds.items()}
        attributes = file.attrs
        made = Provenance(
            title=str(attributes.get("title", "")),
            settings=json.loads(attributes.get("config", "{}")),
            circuit=str(attributes.get("circuit", "")),
            code="",
            script="",
            source=str(attributes.get("script", "")),
            created=str(attributes.get("created", "")),
            versions=json.loads(attributes.get("versions", "{}")),
            python=str(attributes.get("python", "")),
            platform=str(attributes.get("platform", "")),
            commit=str(attributes.get("commit", "")),
            command="",
            schema_version=1,
        )
    return made, groups


def _dataset(group: h5py.Group) -> xr.Dataset:
    """Everything in a group and the groups below it, whose names come in front of those of their variables."""
    variables: dict[str, xr.Variable] = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension"):
            dims = tuple(_dim(item, axis) for axis in range(item.ndim))
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            if item.attrs.get("dtype") == "bool":
                values = values.astype(bool)
            known = {key: str(item.attrs[key]) for key in ("units", "long_name") if key in item.attrs}
            values = np.asarray(values, str) if np.asarray(values).dtype.kind == "O" else values
            variables[path.replace("/", "_")] = xr.Variable(dims, values, known)

    group.visititems(visit)
    dims = {dim for variable in variables.values() for dim in variable.dims}
    coordinates = {name: variable for name, variable in variables.items() if name in dims}
    return xr.Dataset({k: v for k, v in variables.items() if k not in coordinates}, coordinates)


def _dim(item: h5py.Dataset, axis: int) -> str:
    scales = list(item.dims[axis].values())
    if scales:
        return str(scales[0].name).rpartition("/")[2]
    return str(item.name).rpartition("/")[2]  # a scale is its own axis


def _plain(value: Any) -> str | int | float | bool:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else plain
