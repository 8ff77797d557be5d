"""One finished run in a file of its own, until all are there: quick to write, and read whole or not at all.

A NumPy archive with the names and units as JSON beside the arrays; a zip file holds a checksum of each.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.recording.errors import reading
from bioplastic.recording.files import put_in_place


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
    variables, arrays = {}, {}
    for name, variable in dataset.variables.items():
        about = {key: np.asarray(value).tolist() for key, value in variable.attrs.items()}
        variables[str(name)] = {"dims": list(variable.dims), "attrs": about, "label": name in dataset.coords}
        values = variable.values
        arrays[str(name)] = np.asarray(values, str) if values.dtype.kind == "O" else values
    header = json.dumps({"attributes": dict(attributes), "variables": variables})
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, __header__=np.array(header), **arrays)
    put_in_place(path, content.getvalue())


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
    with reading(path), np.load(path, allow_pickle=False) as file:
        header = json.loads(str(file["__header__"]))
        data: dict[str, xr.Variable] = {}
        labels: dict[str, xr.Variable] = {}
        for name, about in header["variables"].items():
            (labels if about["label"] else data)[name] = xr.Variable(about["dims"], file[name], about["attrs"])
        return xr.Dataset(data, labels), header["attributes"]
