"""Tables on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

NO_TERMINAL_WIDTH = 110
"""Columns of a table that is not printed on a terminal; eighty, the usual guess, break most of ours."""


def console() -> Console:
    """Return the console that tables are printed on."""
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if fits else NO_TERMINAL_WIDTH, markup=False, highlight=False, emoji=False)


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
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for k, heading in enumerate(headings):
        made.add_column(heading, justify="left" if k in left else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def count(n: int, what: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{n} {what}{'' if n == 1 else 's'}"
