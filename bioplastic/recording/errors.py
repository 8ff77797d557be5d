"""What is wrong with a recording, said in a sentence that ends in the fix."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RecordingError(Exception):
    """A recording cannot be written or read. The message says why, and what to do."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system raises while `path` is written into a sentence that names it.

    Parameters
    ----------
    path : Path

    Raises
    ------
    RecordingError
        It could not be written.
    """
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{path} could not be written: {_remedy(path, error)}") from error


def _remedy(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "no space left. Free some and run again, finished runs are kept; or give another --out."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        where = Path(error.filename).parent if isinstance(error.filename, str) else path.parent
        return f"{where} is read-only. Make it writable, or give another --out."
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR):
        return f"a folder on the way is missing, or is a file ({error}). Give another --out."
    return f"{error}. Run again, finished runs are kept; or give another --out."


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read into a sentence: it is damaged, or in use.

    Parameters
    ----------
    path : Path

    Raises
    ------
    RecordingError
        It is damaged, or another process writes it.
    """
    try:
        yield
    except RecordingError:
        raise
    except BlockingIOError as error:
        raise RecordingError(f"{path} is in use by another process, which writes it: wait for it to end.") from error
    except MemoryError as error:
        raise RecordingError(f"{path} is damaged, or too large for this machine's memory.") from error
    except Exception as error:  # h5py, h5netcdf and xarray raise of every kind when a header is damaged
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise damaged(path, reason if len(reason) < 200 else reason[:197] + "...") from error


def damaged(path: Path, reason: str) -> RecordingError:
    """Return the error that says that a file is damaged, and what to do.

    Parameters
    ----------
    path : Path
    reason : str
        How that was noticed.
    """
    return RecordingError(f"{path} is damaged ({reason}): copy it again, or remove it and run its script again.")
