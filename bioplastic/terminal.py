"""What is said while something runs: a console and a bar of progress, for a terminal, a notebook or a file."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

NO_TERMINAL_WIDTH = 110
"""Columns of a table that is not printed on a terminal; eighty, the usual guess, break most of ours."""


def console() -> Console:
    """Return the console to print on; in a notebook what is printed there is shown below the cell."""
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if fits else NO_TERMINAL_WIDTH, markup=False, highlight=False, emoji=False)


def progress_bar(*, shown: bool = True) -> Progress:
    """Return a bar of progress with the time left.

    Parameters
    ----------
    shown : bool, optional
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console(),
        disable=not shown,
    )
