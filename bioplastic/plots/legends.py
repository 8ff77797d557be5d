"""What symbols and lines mean: above a page, in a panel or in a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bioplastic.plots.style import GREY, ZERO, Style

Corner = Literal["best", "upper left", "upper center", "upper right", "lower left", "lower center", "lower right"]


def handle(look: Style, label: str) -> Line2D:
    """Return a line with its symbol, for a legend.

    Parameters
    ----------
    look : Style
    label : str
    """
    return Line2D(
        [],
        [],
        color=look.color,
        linestyle=look.line,
        marker=look.marker,
        fillstyle=look.fill,
        markerfacecoloralt="white",
        label=label,
    )


def open_symbol(label: str) -> Line2D:
    """Return an open symbol, for a legend."""
    return Line2D([], [], color=GREY, linestyle="none", marker="o", markerfacecolor="white", label=label)


def shade(label: str) -> Patch:
    """Return a patch as grey as exact zeros are, for a legend."""
    return Patch(facecolor=ZERO, edgecolor="none", label=label)


def labelled_in(axes: Axes) -> Sequence[Artist]:
    """Return what in a panel has a label."""
    handles: Sequence[Artist] = axes.get_legend_handles_labels()[0]
    return handles


def small_legend(
    axes: Axes, handles: Sequence[Artist] | None = None, *, at: Corner = "best", columns: int = 1
) -> Legend:
    """Put a small legend into a panel.

    Parameters
    ----------
    axes : Axes
    handles : sequence of Artist, optional
        What in the panel has a label, if not given.
    at : str, optional
        A corner, as matplotlib has it.
    columns : int, optional
    """
    return axes.legend(
        handles=labelled_in(axes) if handles is None else handles,
        loc=at,
        ncols=columns,
        fontsize=6,
        title_fontsize=6,
        handlelength=2.4,
        borderaxespad=0,
        labelspacing=0.2,
        columnspacing=1.0,
    )


def legend_above(figure: Figure, handles: Sequence[Artist], *, columns: int = 4) -> Legend:
    """Put one legend above all panels of a page.

    Parameters
    ----------
    figure : Figure
        One that `page` has begun, whose layout makes room.
    handles : sequence of Artist
    columns : int, optional
    """
    return figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=3.4)


def legend_alone(
    axes: Axes, handles: Sequence[Artist], title: str = "", *, at: Literal["upper left", "lower left"] = "upper left"
) -> Legend:
    """Fill an empty part of the page with a small legend, from its left edge.

    Parameters
    ----------
    axes : Axes
        With nothing else in them; they are not drawn.
    handles : sequence of Artist
    title : str, optional
    at : {"upper left", "lower left"}, optional
    """
    axes.set_axis_off()
    made = axes.legend(
        handles=handles,
        title=title,
        title_fontsize=6,
        fontsize=6,
        loc=at,
        bbox_to_anchor=(0, 1 if at == "upper left" else 0),
        borderaxespad=0,
        borderpad=0,
        alignment="left",
        labelspacing=0.35,
        handlelength=3,
    )
    made.set_in_layout(False)  # a long name may stand above the next panel's axis, and must not narrow its own
    return made
