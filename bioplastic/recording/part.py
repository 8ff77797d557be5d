"""One finished run in a file of its own, until all are there: quick to write, and read whole or not at all.

A NumPy archive (``.npz``) with the dimensions, names and units as JSON beside the arrays; a zip file holds a checksum
of each member.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.recording.errors import reading
from bioplastic.recording.files import in_place

_ABOUT = "about.json"


def write_part(path: Path, dataset: xr.Dataset, attributes: Mapping[str, Any]) -> None:
    """Write a dataset, whole or not at all.

    Parameters
    ----------
    path : Path
    dataset : Dataset
        Numbers, truth values and strings.
    attributes : mapping
        Such as go into JSON.

    Raises
    ------
    RecordingError
        It cannot be written.
    """
    about = {
        str(name): {
            "dims": list(variable.dims),
            "attributes": {key: _to_json(value) for key, value in variable.attrs.items()},
            "coordinate": name in dataset.coords,
        }
        for name, variable in dataset.variables.items()
    }
    with in_place(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_ABOUT, json.dumps({"attributes": dict(attributes), "variables": about}))
        for name, variable in dataset.variables.items():
            values = variable.values.astype(str) if variable.dtype.kind in "OT" else variable.values
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def read_part(path: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Read what `write_part` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of (Dataset, dict)
        And the attributes.

    Raises
    ------
    RecordingError
        It is damaged.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read(_ABOUT))
        data: dict[str, xr.Variable] = {}
        coordinates: dict[str, xr.Variable] = {}
        for name, held in about["variables"].items():
            # All of a member before any of it is understood: then its checksum has been looked at.
            values = np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
            found = coordinates if held["coordinate"] else data
            attributes = {key: _from_json(value) for key, value in held["attributes"].items()}
            found[name] = xr.Variable(held["dims"], values, attributes)
        return xr.Dataset(data, coordinates), about["attributes"]


def _to_json(value: Any) -> Any:
    """An attribute; an array keeps its type, and with it the one that it has in the file."""
    if isinstance(value, np.ndarray | np.generic):
        return {"dtype": value.dtype.str, "values": value.tolist()}
    return value


def _from_json(value: Any) -> Any:
    return np.array(value["values"], value["dtype"]) if isinstance(value, dict) else value
