"""Recordings of schema 1, which had a group for each run: read as if they were of this schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bioplastic.recording.errors import RecordingError, reading
from bioplastic.recording.files import PLAIN_TYPES, read_attributes
from bioplastic.recording.labelled import stack
from bioplastic.recording.provenance import Provenance

TUNING = "tuning"
"""Kind of the runs that choose a learning rate."""

_COUNTED = "This is a netCDF dimension but not a netCDF variable."
"""What netCDF names the scale of an axis that carries no values."""

_MOST_COMPRESSED = 1100
"""Bytes that gzip makes into one, at most: a dataset that claims to hold more than that of its file is damaged."""

_MOST_AXES = 100_000
"""Datasets that share an axis, at most."""


def read_version1(path: Path) -> tuple[Provenance, dict[str, xr.Dataset]]:
    """Read a recording of schema 1.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of (Provenance, dict of str to Dataset)
        How it was made, and its groups: runs by their arm, or as ``"runs"``. Groups within a group are flattened: their
        names come in front of those of their variables, and in front of those of dimensions that differ between them.

    Raises
    ------
    RecordingError
        It is damaged.
    """
    with reading(path), h5py.File(path, "r") as file:
        reader = _Reader(path.stat().st_size)
        attributes = read_attributes(file, file.attrs)
        if "config" not in attributes:
            raise RecordingError(
                f"{path} is one run of an experiment that is not finished: run its script again, and give the file "
                "that it makes."
            )
        groups: dict[str, xr.Dataset] = {}
        kinds: dict[str, list[tuple[dict[str, Any], _Found]]] = {}
        for name, group in file.items():
            if name != "runs":
                found = reader.find(group, name)
                groups[name] = found.dataset(found.in_conflict())
        for name, group in file.get("runs", {}).items():
            labels = {
                key: _plain(value) for key, value in read_attributes(group, group.attrs).items() if np.ndim(value) == 0
            }
            kind = TUNING if labels.get("role") == "sweep" else str(labels.get("arm", "runs"))
            kinds.setdefault(kind, []).append(({"name": name} | labels, reader.find(group, "runs")))
        for kind, runs in kinds.items():
            groups |= _stacked(kind, runs)
        made = Provenance(
            title=str(attributes.get("title", "")),
            settings=json.loads(attributes["config"]),
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


@dataclass
class _Found:
    """The variables of a group and of the groups below it, by (name of the group below, name)."""

    variables: dict[tuple[str, str], xr.Variable] = field(default_factory=dict)

    def in_conflict(self) -> set[str]:
        """Names of dimensions that are not the same thing in all groups below."""
        sizes: dict[str, int] = {}
        scales: dict[str, xr.Variable] = {}
        differ: set[str] = set()
        for (_, name), variable in self.variables.items():
            for dim, size in zip(map(str, variable.dims), variable.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    differ.add(dim)
            if variable.dims == (name,) and not scales.setdefault(name, variable).equals(variable):
                differ.add(name)
        return differ

    def dataset(self, in_conflict: Set[str], not_shared: Set[str] = frozenset()) -> xr.Dataset:
        """All variables as one dataset; in front of what is not unique stands the name of its group."""
        data: dict[str, xr.Variable] = {}
        coordinates: dict[str, xr.Variable] = {}
        for (group, name), variable in self.variables.items():
            dims = [f"{group}{dim}" if dim in in_conflict else str(dim) for dim in variable.dims]
            found = xr.Variable(dims, variable.values, variable.attrs)
            if variable.dims != (name,):
                data[f"{group}{name}"] = found
            elif dims[0] in not_shared:
                data[f"{dims[0]}_of_run"] = found
            else:
                coordinates[dims[0]] = found
        return xr.Dataset(data, coordinates)


class _Reader:
    """Reads the variables of groups."""

    def __init__(self, file_size: int) -> None:
        self.most = _MOST_COMPRESSED * file_size
        self.attributes: dict[tuple[Any, ...], dict[str, str]] = {}

    def find(self, group: h5py.Group, where: str, below: str = "") -> _Found:
        """Read all variables in a group and below; in groups of one `where`, those of a name and axes are alike."""
        found = _Found()
        items = dict(group.items())
        datasets = {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}
        axes = _dims(datasets)
        for name, item in datasets.items():
            dims = axes[name]
            attributes = self._attributes((where, below, name, dims), item)
            if not attributes and dims == (_dim(name),):
                continue  # the scale of an axis that carries no values
            if item.id.get_type().get_class() not in PLAIN_TYPES:
                raise ValueError(f"{item.name} holds neither text nor numbers")
            if math.prod(item.shape) * item.dtype.itemsize > self.most:
                raise ValueError(f"{item.name} claims to hold {item.shape} numbers, more than there is room for")
            values = np.asarray(item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()])
            if attributes.get("dtype") == "bool":
                values = values.astype(bool)
            known = {key: attributes[key] for key in ("units", "long_name") if key in attributes}
            found.variables[below, name] = xr.Variable(
                dims, values.astype(str) if values.dtype.kind == "O" else values, known
            )
        for name, item in items.items():
            if isinstance(item, h5py.Group):
                found.variables |= self.find(item, where, f"{below}{name}_").variables
        return found

    def _attributes(self, key: tuple[Any, ...], item: h5py.Dataset) -> dict[str, str]:
        if key not in self.attributes:
            found = read_attributes(item, ("units", "long_name", "dtype"))
            self.attributes[key] = {name: str(value) for name, value in found.items()}
        return self.attributes[key]


def _dims(datasets: Mapping[str, h5py.Dataset]) -> dict[str, tuple[str, ...]]:
    """Names of the axes of all datasets of a group, as their scales have them.

    A dataset knows its scales too, but a damaged list of those makes HDF5 loop or fill the memory, and an undamaged one
    takes it a hundred times as long to name.
    """
    where = {h5py.h5o.get_info(item.id).addr: name for name, item in datasets.items()}
    axes: dict[str, list[str]] = {name: [""] * item.ndim for name, item in datasets.items()}
    for scale, item in datasets.items():
        for address, axis in _axes_of(item):
            axes[where[address]][axis] = scale
    for name, item in datasets.items():
        if axes[name] == [""] and read_attributes(item, ["CLASS"]).get("CLASS") == b"DIMENSION_SCALE":
            axes[name] = [name]  # a scale is its own axis
        if "" in axes[name] or len(set(axes[name])) < len(axes[name]):
            raise ValueError(f"axes of {item.name} have no name, or the same one")
    return {name: tuple(map(_dim, of_item)) for name, of_item in axes.items()}


def _axes_of(scale: h5py.Dataset) -> list[tuple[int, int]]:
    """Where the datasets lie that a scale is an axis of, and which axis of each.

    Their places are taken as they are in the file, since HDF5 crashes when it is to follow a damaged one.
    """
    if "REFERENCE_LIST" not in scale.attrs:
        return []
    attribute = scale.attrs.get_id("REFERENCE_LIST")
    kind = attribute.get_type()
    if kind.get_class() != h5py.h5t.COMPOUND or kind.get_nmembers() != 2 or math.prod(attribute.shape) > _MOST_AXES:
        raise ValueError(f"{scale.name} does not say which datasets it is an axis of")
    offsets = [kind.get_member_offset(k) for k in range(2)]
    held = np.zeros(
        attribute.shape,
        {"names": ["where", "axis"], "formats": ["<u8", "<u4"], "offsets": offsets, "itemsize": kind.get_size()},
    )
    attribute.read(held, mtype=kind)
    return [(int(where), int(axis)) for where, axis in held]


def _dim(name: str) -> str:
    return f"dim_{name.removeprefix(_COUNTED).strip()}" if name.startswith(_COUNTED) else name


def _stacked(kind: str, runs: list[tuple[dict[str, Any], _Found]]) -> dict[str, xr.Dataset]:
    """Runs of a kind side by side; where they did not measure the same things, by what tells them apart."""
    try:
        return {kind: _side_by_side(kind, runs)}
    except RecordingError:
        for label in runs[0][0]:
            apart: dict[str, list[tuple[dict[str, Any], _Found]]] = {}
            for labels, found in runs:
                value = re.sub(r"[^0-9A-Za-z]+", "_", str(labels.get(label)))
                apart.setdefault(f"{kind}_{value}", []).append((labels, found))
            if 1 < len(apart) < len(runs):
                with suppress(RecordingError):
                    return {name: _side_by_side(name, those) for name, those in apart.items()}
        raise


def _side_by_side(kind: str, runs: list[tuple[dict[str, Any], _Found]]) -> xr.Dataset:
    """Stack runs whose scales and labels need not agree."""
    in_conflict = {dim for _, found in runs for dim in found.in_conflict()}
    datasets = [found.dataset(in_conflict) for _, found in runs]
    scales: dict[Hashable, NDArray[Any]] = {}
    not_shared: set[str] = set()
    for dataset in datasets:
        for name, scale in dataset.coords.items():
            known = scales.setdefault(name, scale.values)
            n = min(known.size, scale.size)
            if not np.array_equal(known[:n], scale.values[:n]):
                not_shared.add(str(name))
            scales[name] = max(known, scale.values, key=len)
    if not_shared:
        datasets = [found.dataset(in_conflict, not_shared) for _, found in runs]
    taken = {str(name) for dataset in datasets for name in (*dataset.variables, *dataset.dims)}
    texts = {name for labels, _ in runs for name, value in labels.items() if isinstance(value, str)}
    labels = [
        {f"{key}_label" if key in taken else key: str(value) if key in texts else value for key, value in one.items()}
        for one, _ in runs
    ]
    return stack(list(zip(labels, datasets, strict=True)), kind)


def _plain(value: Any) -> str | int | float | bool:
    plain = value.item() if isinstance(value, np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else plain
