"""One thread for torch, so that the bits of a result do not depend on how many there happen to be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TAKING_TURNS = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, and afterwards with as many as before.

    How sums and products of matrices are rounded depends on how many threads share them. At the sizes of this library
    more are no quicker, and where other programs want the cores too they are many times slower, waiting for each other.
    Their number is the whole process's, so that Python threads that come here take turns: else the first to leave would
    change it for the others.
    """
    with _TAKING_TURNS:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
