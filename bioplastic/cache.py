"""The folder in which compiled models and pretrained weights are kept, and what is said where it cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path


class CacheError(RuntimeError):
    """The cache cannot be written. The message says why, and what to do."""


def cache_folder() -> Path:
    """Where compiled models and pretrained weights are kept: $BIOPLASTIC_CACHE, or the user's cache folder."""
    return Path(os.environ.get("BIOPLASTIC_CACHE") or user_cache_path("bioplastic"))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder of the cache, and turn what the system raises while it is written into a sentence.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Raises
    ------
    CacheError
        The disk is full, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            problem = "is full: free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            problem = "is read-only: make it writable"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            problem = "is no folder, or lies under a file: remove that"
        else:
            raise
        raise CacheError(
            f"the cache {folder} {problem}, or name another folder in the environment variable BIOPLASTIC_CACHE "
            f"({error.strerror})."
        ) from error
