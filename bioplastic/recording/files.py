"""Labelled datasets to one HDF5 file and back: netCDF-4, whole or not at all, with a checksum on every number.

xarray writes and reads it, h5py, h5dump and MATLAB read it too. Strings are stored as arrays of characters, since the
strings of variable length that HDF5 has lie outside of what a checksum covers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from bioplastic.recording.errors import RecordingError, reading, writing

ENGINE: Final = "h5netcdf"
SCHEMA = "bioplastic"
SCHEMA_VERSION = 2
SIGNATURE = b"\x89HDF\r\n\x1a\n"
COMPRESS_FROM = 64 * 1024
"""Bytes; below, compressing costs more time than it saves space."""


def write_datasets(path: Path, groups: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> None:
    """Write datasets to one file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    groups : mapping of str to Dataset
        By the name of their group. Every variable needs a dimension, since a single number has no checksum.
    attributes : mapping
        Of the file.

    Raises
    ------
    RecordingError
        It cannot be written, or a variable has no dimension.
    """
    for group, dataset in groups.items():
        for name, variable in dataset.variables.items():
            if not variable.ndim:
                raise RecordingError(f"{group}: {name} has no dimension; give it one, or make it an attribute.")
    root = xr.Dataset(attrs=dict(attributes))
    tree = xr.DataTree.from_dict({"/": root} | {f"/{name}": dataset for name, dataset in groups.items()})
    encoding: Any = {f"/{name}": {key: _stored(v) for key, v in ds.variables.items()} for name, ds in groups.items()}
    # Made in memory, because HDF5 crashes the process some time after a write to a full disk has failed.
    with tree.to_netcdf(engine=ENGINE, encoding=encoding) as content:
        put_in_place(path, content)


def _stored(variable: xr.Variable) -> dict[str, Any]:
    if variable.dtype.kind in "UO":
        return {"dtype": "S1", "fletcher32": True}
    compressed = {"zlib": True, "shuffle": True} if variable.nbytes > COMPRESS_FROM else {}
    return {"fletcher32": True, **compressed} if variable.size else {}


def put_in_place(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` beside ``path``, bring it to the disk, and rename it into place.

    Parameters
    ----------
    path : Path
    content : bytes

    Raises
    ------
    RecordingError
        It cannot be written.
    """
    # The process in the name keeps two processes that make the same file from writing into each other's.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with writing(path):
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


def check_file(path: Path) -> int:
    """Check that a file is a recording that this library can read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int
        Its schema version.

    Raises
    ------
    RecordingError
        It is missing, unfinished, in use by a process that writes it, foreign, damaged, or of a newer schema.
    """
    if path.is_dir():
        raise RecordingError(f"{path} is a folder: give the HDF5 file of an experiment.")
    if not path.exists():
        if path.with_name(f"{path.name}.parts").is_dir():
            raise RecordingError(
                f"{path} is not finished: run its script again with the same settings, it goes on where it stopped."
            )
        raise RecordingError(f"{path} does not exist: check the path, or run the script that makes it.")
    try:
        with path.open("rb") as raw:
            foreign = raw.read(len(SIGNATURE)) != SIGNATURE
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if foreign:
        raise RecordingError(f"{path} is not an HDF5 file: give the file that a script of bioplastic wrote.")
    with reading(path), h5py.File(path, "r") as file:
        schema, version = file.attrs.get("schema"), int(file.attrs.get("schema_version", 0))
        complete = bool(file.attrs.get("complete", False))
    if not isinstance(schema, str) or not re.match(rf"{SCHEMA}\b", schema):
        raise RecordingError(
            f"{path} is an HDF5 file, but not a recording of bioplastic "
            f"(it has no attribute schema = {SCHEMA!r}): give the file that a script of bioplastic wrote."
        )
    if version > SCHEMA_VERSION:
        raise RecordingError(
            f"{path} has schema version {version}, and this bioplastic reads up to {SCHEMA_VERSION}: "
            "install a newer one (pip install --upgrade bioplastic)."
        )
    if not complete:
        raise RecordingError(f"{path} is not complete: remove it and run its script again.")
    return version


def read_datasets(path: Path) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Read what `write_datasets` wrote, all of it, so that every checksum is looked at.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of (dict of str to Dataset, dict)
        The datasets by group, and the attributes of the file.

    Raises
    ------
    RecordingError
        The file cannot be read.
    """
    with reading(path), xr.open_datatree(path, engine=ENGINE) as tree:
        groups = {name: plain(node.to_dataset(inherit=False).load()) for name, node in tree.children.items()}
        return groups, {str(name): value for name, value in tree.attrs.items()}


def plain(dataset: xr.Dataset) -> xr.Dataset:
    """Leave out of a dataset how it was stored, so that what is read equals what was written.

    Parameters
    ----------
    dataset : Dataset
    """
    read = dataset.drop_encoding()
    texts = {name: v for name, v in read.variables.items() if v.dtype.kind == "O"}
    return read.assign({name: xr.Variable(v.dims, np.asarray(v.values, str), v.attrs) for name, v in texts.items()})
