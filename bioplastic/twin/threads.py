"""One thread for torch, so that the bits of a result do not depend on how many there happen to be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_changing = threading.Lock()
_before: list[int] = []
"""How many threads torch had before anybody came here, once for everybody who is here."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, and afterwards with as many as before.

    How sums and products of matrices are rounded depends on how many threads share them. At the sizes of this library
    more are no quicker, and where other programs want the cores too they are many times slower, waiting for each other.
    The number is in part the whole process's: where several Python threads are here at once, only the last to leave
    gives it back, so that nobody's changes while it computes; the others go on with one.
    """
    with _changing:
        _before.append(_before[0] if _before else torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _changing:
            before = _before.pop()
            if not _before:
                torch.set_num_threads(before)
