"""How learners are drawn: colours, symbols and lines that can be told apart in grey and without colour vision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

MM = 1 / 25.4
WIDTH = 180 * MM
"""Of a page, in inches."""
GREY = "0.45"
ZERO = "0.92"
"""Shade of what is exactly zero, and of what never happens."""

Line = Literal["-", "--", ":", "none"] | tuple[int, tuple[float, ...]]
Fill = Literal["full", "left", "none"]
DOTTED: Line = (0, (1, 2))


@dataclass(frozen=True)
class Style:
    """How a learner is drawn.

    Attributes
    ----------
    color, marker : str
    line : str or tuple
        As matplotlib has it.
    fill : {"full", "left", "none"}
        Which part of the symbols is filled.
    """

    color: str
    marker: str
    line: Line
    fill: Fill = "full"


# Dark to light in steps that survive a grey printer: blue for spikes, red to yellow for backprop.
_KNOWN = {
    "error relay": Style("#14148c", "o", "-"),
    "error relay, unscreened": Style("#2b7fce", "s", (0, (5, 1.5))),
    "backprop": Style("#a3260f", "D", (0, (1, 0.9))),
    "backprop, truncated": Style("#e07b2a", "^", (0, (5, 1.2, 1, 1.2))),
    "backprop, falling rate": Style("#e0b000", "X", (0, (3, 1, 1, 1, 1, 1))),
    "equilibrium relay": Style("#2e7d4f", "v", "-"),
    "broadcast": Style("#5a2a82", "P", (0, (1, 0.9))),
    "fixed random feedback": Style("#8aa63a", ">", (0, (5, 1.5))),
    "learned feedback": Style("#c46bb0", "<", (0, (5, 1.2, 1, 1.2))),
}
OTHERS = (
    Style("#000000", "*", "-"),
    Style("#5f5f5f", "p", (0, (5, 1.5))),
    Style("#b0b0b0", "h", (0, (1, 0.9))),
    Style("#7a5a2a", "d", (0, (5, 1.2, 1, 1.2))),
    Style("#3f9c9c", "8", (0, (3, 1, 1, 1, 1, 1))),
)

SETTINGS = {
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "hatch.linewidth": 0.4,
    "mathtext.default": "regular",
}
"""Of matplotlib, on a page."""


def looks(learners: Iterable[str], styles: Mapping[str, Style] | None = None) -> dict[str, Style]:
    """How each learner is drawn: the known ones always alike, others in turn.

    Parameters
    ----------
    learners : iterable of str
    styles : mapping of str to Style, optional
        Of those that are to be drawn otherwise.

    Returns
    -------
    dict of str to Style
    """
    others = cycle(OTHERS)
    known = _KNOWN | dict(styles or {})
    return {name: known[name] if name in known else next(others) for name in dict.fromkeys(learners)}


def styles(learners: tuple[str, ...]) -> tuple[Style, ...]:
    """How each learner is drawn, in their order.

    Parameters
    ----------
    learners : tuple of str

    Returns
    -------
    tuple of Style
    """
    found = looks(learners)
    return tuple(found[name] for name in learners)
