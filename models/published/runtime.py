"""Brian2 in runtime mode, for results that are reproduced in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_alone = threading.Lock()  # Brian2's settings are those of the whole process


@contextmanager
def brian2_runtime() -> Iterator[Any]:
    """Brian2 in runtime mode without compiling, in which Ctrl-C raises as anywhere else."""
    import brian2

    _alone.acquire()
    before = brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt
    brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt = "numpy", False
    try:
        yield brian2
    finally:
        brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt = before
        _alone.release()
