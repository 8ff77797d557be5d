"""Labelled datasets to one HDF5 file and back: netCDF-4, whole or not at all, with a checksum on every number.

xarray writes and reads it; h5py, h5dump and MATLAB read it too. Every dataset has HDF5's own checksum (fletcher32),
which any reader looks at. HDF5 has none for what lies around the numbers: shapes, types, names, attributes. So the file
ends in a line with the SHA-256 of all bytes before it, which lies behind what HDF5 takes for the file and does not
disturb it. Strings are stored as arrays of characters, since the strings of variable length that HDF5 has lie outside
of what its checksum covers.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import io
import mmap
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import h5py
import numpy as np
import xarray as xr

from bioplastic.recording.errors import RecordingError, damaged, reading, writing

ENGINE: Final = "h5netcdf"
SCHEMA = "bioplastic"
SCHEMA_VERSION = 2
SIGNATURE = b"\x89HDF\r\n\x1a\n"
COMPRESS_FROM = 64 * 1024
"""Bytes; below, compressing costs more time than it saves space."""

PLAIN_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
"""HDF5's types of numbers, text and truth values."""

_LAST_LINE = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
_LAST_LINE_LENGTH = len(b"\nsha256 \n") + 64
_BLOCK = 1024 * 1024


def write_datasets(path: Path, groups: Iterable[tuple[str, xr.Dataset]], attributes: Mapping[str, Any]) -> None:
    """Write datasets to one file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    groups : iterable of (str, Dataset)
        By the name of their group; each is written before the next is asked for. Every variable needs a dimension,
        since HDF5 has no checksum for a single number.
    attributes : mapping
        Of the file.

    Raises
    ------
    RecordingError
        It cannot be written, or a variable has no dimension.
    """
    with in_place(path) as file:
        with open(file.name, "r+b", buffering=0) as raw:
            hdf5 = _ForHDF5(raw)
            with hdf5.failures():
                xr.Dataset(attrs=dict(attributes)).to_netcdf(hdf5, mode="w", engine=ENGINE)
            for group, dataset in groups:
                for name, variable in dataset.variables.items():
                    if not variable.ndim:
                        raise RecordingError(f"{group}: {name} has no dimension; give it one, or make it an attribute.")
                encoding = {name: _stored(variable) for name, variable in dataset.variables.items()}
                with hdf5.failures():
                    dataset.to_netcdf(hdf5, mode="a", group=group, engine=ENGINE, encoding=encoding)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, os.SEEK_END)
        file.write(f"\nsha256 {digest}\n".encode())


def _stored(variable: xr.Variable) -> dict[str, Any]:
    # Without a fill value, so that no reader replaces one; NaN is NaN as it is.
    plain: dict[str, Any] = {"_FillValue": None}
    if variable.dtype.kind in "OU":
        plain = {"dtype": "S1"}
    if not variable.size:
        return plain
    if variable.nbytes > COMPRESS_FROM:
        plain |= {"zlib": True, "complevel": 1, "shuffle": True}
    return plain | {"fletcher32": True}


class _ForHDF5(io.RawIOBase):
    """A file as HDF5 needs it, to which every write succeeds: HDF5 crashes the process some time after one has failed.

    What the system refused is raised when HDF5 is done, by `failures`.
    """

    def __init__(self, raw: io.FileIO) -> None:
        self.raw = raw
        self.failure: OSError | None = None

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raise at the end what was refused meanwhile, also where HDF5 stumbles over it first."""
        try:
            yield
        except Exception:
            if self.failure is None:
                raise
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.raw.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self.raw.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int | None:
        return self.raw.readinto(buffer)

    def write(self, content: Any, /) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest):
                rest = rest[self.raw.write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self.raw.truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextmanager
def in_place(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a file beside `path`; when all is written, bring it to the disk and rename it into place.

    Parameters
    ----------
    path : Path

    Yields
    ------
    file
        To read and write.

    Raises
    ------
    RecordingError
        It cannot be written; then nothing is left of it.
    """
    # The process and thread in the name keep two that make the same file from writing into each other's.
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    with writing(path):
        try:
            with part.open("w+b") as file:
                yield file
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


def lock(file: IO[Any], how: int) -> None:
    """Take a lock on a file without waiting, where the file system knows locks.

    Parameters
    ----------
    file : file
    how : int
        `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.

    Raises
    ------
    BlockingIOError
        Another process has it.
    """
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL):
            raise


def remove_unfinished(path: Path) -> None:
    """Remove what processes that were killed left beside `path` of it. No other may be writing it.

    Parameters
    ----------
    path : Path
    """
    with suppress(OSError):
        for part in path.parent.glob(f"{glob.escape(path.name)}.*-*.part"):
            part.unlink()


def check_file(path: Path) -> int:
    """Check that a file is a recording that this library can read, and that all of its bytes are as they were written.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int
        Its schema version. Files of version 1 have no checksum.

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
    if path.parent.suffix == ".parts":
        raise RecordingError(
            f"{path} is one run of an experiment that is not finished: run its script again, and give the file that it "
            "makes."
        )
    whole = _is_whole(path)
    if not whole:
        _check_heaps(path)
    with reading(path), h5py.File(path, "r") as file:
        attributes = read_attributes(file, ("schema", "schema_version", "complete"))
        schema = attributes.get("schema")
        version, complete = (int(np.ravel(attributes.get(name, 0))[0]) for name in ("schema_version", "complete"))
    if not isinstance(schema, str) or not re.match(rf"{SCHEMA}\b", schema) or version < 1:
        raise RecordingError(
            f"{path} is an HDF5 file, but not a recording of bioplastic (it has no attributes schema = {SCHEMA!r} and "
            "schema_version): give the file that a script of bioplastic wrote."
        )
    if version > SCHEMA_VERSION:
        raise RecordingError(
            f"{path} has schema version {version}, and this bioplastic reads up to {SCHEMA_VERSION}: "
            "install a newer one (pip install --upgrade bioplastic)."
        )
    if not complete:
        raise RecordingError(f"{path} is not complete: remove it and run its script again.")
    if version == SCHEMA_VERSION and not whole:
        raise damaged(path, "the checksum at its end is missing: it was cut short, or changed after it was written")
    return version


def read_attributes(item: h5py.Group | h5py.Dataset, names: Iterable[str]) -> dict[str, Any]:
    """Read those of some attributes that are there.

    Parameters
    ----------
    item : h5py.Group or h5py.Dataset
    names : iterable of str

    Raises
    ------
    ValueError
        One is neither text nor numbers: HDF5 crashes the process when it reads some of those that damage makes.
    """
    found = {}
    for name in names:
        if name in item.attrs:
            if item.attrs.get_id(name).get_type().get_class() not in PLAIN_TYPES:
                raise ValueError(f"{item.name} has the attribute {name}, which is neither text nor numbers")
            found[name] = item.attrs[name]
    return found


def _is_whole(path: Path) -> bool:
    """Whether a file ends in the checksum of what lies before; one that ends in another checksum is refused."""
    try:
        with path.open("rb") as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                raise RecordingError(f"{path} is not an HDF5 file: give the file that a script of bioplastic wrote.")
            with reading(path):
                lock(file, fcntl.LOCK_SH)  # as HDF5 does
            left = max(0, file.seek(0, os.SEEK_END) - _LAST_LINE_LENGTH)
            file.seek(left)
            last_line = _LAST_LINE.fullmatch(file.read())
            if last_line is None:
                return False
            file.seek(0)
            digest = hashlib.sha256()
            while left and (block := file.read(min(left, _BLOCK))):
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if digest.hexdigest().encode() != last_line[1]:
        raise damaged(path, "the checksum at its end is that of other bytes: it was damaged, or changed, since")
    return True


def _check_heaps(path: Path) -> None:
    """Refuse a file in whose strings of variable length, attributes among them, HDF5 would lose itself for ever.

    They lie in collections that have no checksum. HDF5 goes through one from object to object by their sizes, and does
    not come to an end where one is 0.
    """
    with reading(path), path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in re.finditer(rb"GCOL\x01\0\0\0", content):
            place = match.end() + 8
            end = match.start() + int.from_bytes(content[match.end() : place], "little")
            while place + 16 <= min(end, len(content)):
                index = int.from_bytes(content[place : place + 2], "little")
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                step = 16 + -(-size // 8) * 8 if index else size
                if not 16 <= step <= end - place:
                    raise damaged(path, f"strings at byte {place} have no end")
                place += step


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
    with reading(path), xr.open_datatree(path, engine=ENGINE, decode_times=False, decode_timedelta=False) as tree:
        groups = {name: _plain(node.to_dataset(inherit=False).load()) for name, node in tree.children.items()}
        return groups, {str(name): value for name, value in tree.attrs.items()}


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """Leave out of a dataset how it was stored, so that what is read equals what was written."""
    read = dataset.drop_encoding()
    texts = {name: v for name, v in read.variables.items() if v.dtype.kind in "OTS"}
    return read.assign({name: xr.Variable(v.dims, np.asarray(v.values, str), v.attrs) for name, v in texts.items()})
