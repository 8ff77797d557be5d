"""What is said: a console, tables and a bar of progress, for a terminal, a notebook or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

NO_TERMINAL_WIDTH = 110
"""Columns of a table that is not printed on a terminal; eighty, the usual guess, break most of ours."""
WORDS_WIDTH = 23
"""Columns that a column of words keeps where a table is too wide, if it needs them."""


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


def table(
    title: str,
    headings: Iterable[str],
    rows: Iterable[Sequence[str]],
    caption: str = "",
    *,
    left: Sequence[int] = (0,),
) -> Table:
    """Make a table of text; nothing in it is cut off where it is narrow.

    Parameters
    ----------
    title : str
    headings : iterable of str
    rows : iterable of sequence of str
    caption : str, optional
    left : sequence of int, optional
        Columns of words; the others are numbers, and stand on the right.
    """
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    cells = [list(headings), *map(list, rows)]
    widths = _widths_of_numbers(cells, left)
    for k, heading in enumerate(cells[0]):
        justify: Literal["left", "right"] = "left" if k in left else "right"
        made.add_column(heading, justify=justify, overflow="fold", max_width=widths.get(k))
    for row in cells[1:]:
        made.add_row(*row)
    return made


def _widths_of_numbers(cells: Sequence[Sequence[str]], left: Sequence[int]) -> dict[int, int]:
    """Greatest widths of columns of numbers, where a table is too wide: they give way before words are broken."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    spare = console().width - 2 * len(columns)  # between them
    if sum(widths) <= spare:
        return {}
    numbers = [k for k in range(len(columns)) if k not in left]
    longest = {k: max((len(word) for cell in columns[k] for word in cell.split()), default=0) for k in numbers}
    room = spare - sum(min(widths[k], WORDS_WIDTH) for k in left)

    def narrowed(most: int) -> dict[int, int]:
        return {k: max(longest[k], min(widths[k], most)) for k in numbers}

    fitting = [most for most in range(1, max(widths)) if sum(narrowed(most).values()) <= room]
    return narrowed(max(fitting, default=1))


def count(n: int, what: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def nobody_reads() -> int:
    """End quietly when the reader of the output, such as head, has seen enough.

    Returns
    -------
    int
        The exit status.
    """
    # What is still buffered has nowhere to go; without this Python complains when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
