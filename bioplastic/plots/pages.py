"""A page and what stands around its panels: letters, headings, the note below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from string import ascii_lowercase

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from bioplastic.plots.legends import labelled_in
from bioplastic.plots.shown import ShownAxes, ShownFigure
from bioplastic.plots.style import GREY, MM, SETTINGS, WIDTH

ENTRY_MM = 4.4
"""Height of an entry of a legend."""


@contextmanager
def page(height_mm: float, figure: Figure | None = None, *, width_mm: float = WIDTH / MM) -> Iterator[Figure]:
    """Begin an empty figure; what is drawn within has the page's fonts.

    Parameters
    ----------
    height_mm : float
    figure : Figure, optional
        One to draw into, whose size is left as it is.
    width_mm : float, optional

    Yields
    ------
    Figure
        It shows itself in a notebook.
    """
    with style.context(["default", SETTINGS]):
        drawn = ShownFigure(figsize=(width_mm * MM, height_mm * MM)) if figure is None else figure
        if drawn.get_layout_engine() is None:
            drawn.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
        yield drawn
    for axes in drawn.axes:  # ticks are made when the figure is drawn, with the settings of that moment
        axes.tick_params(labelsize=7, width=0.6)


@contextmanager
def panel(ax: Axes | None = None, text: str = "", *, width_mm: float = 150, height_mm: float = 75) -> Iterator[Axes]:
    """Give the axes to draw into: those that somebody has, or some in a figure of their own, with a legend beside.

    Parameters
    ----------
    ax : Axes, optional
        Get neither note nor legend: ``ax.legend()`` shows what has a label.
    text : str, optional
        A note below.
    width_mm, height_mm : float, optional
        Of the figure; it is made higher where the legend needs it.

    Yields
    ------
    Axes
        `ax`, or axes that show themselves in a notebook.
    """
    if ax is not None:
        yield ax
        return
    with page(height_mm, width_mm=width_mm) as figure:
        axes = figure.add_subplot(axes_class=ShownAxes)
        yield axes
        note(figure, text)
        entries = labelled_in(axes)
        if entries:
            axes.legend(handles=entries, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, handlelength=3)
            figure.set_figheight(max(height_mm, ENTRY_MM * (len(entries) + 3)) * MM)


def letter(axes: Axes, name: str) -> None:
    """Write the panel's letter above its upper left corner."""
    axes.set_label(name)
    # Above the upper left corner, as far out as the tick labels reach.
    at = axes.transAxes + ScaledTranslation(-22 / 72, 3 / 72, axes.get_figure().dpi_scale_trans)  # type: ignore[union-attr]
    axes.text(0, 1, name, transform=at, fontsize=9, fontweight="bold", ha="left", va="bottom")


def letters(panels: Iterable[Axes]) -> None:
    """Write a, b, c ... at panels, in their order.

    Parameters
    ----------
    panels : iterable of Axes
    """
    for axes, name in zip(panels, cycle(ascii_lowercase), strict=False):
        letter(axes, name)


def heading(axes: Axes, text: str) -> None:
    """Write what a panel shows above its upper right corner."""
    axes.text(1, 1, text, transform=axes.transAxes, ha="right", va="bottom", color="0.25")


def nothing(axes: Axes, text: str = "not measured") -> None:
    """Say in the middle of a panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def note(figure: Figure, text: str) -> None:
    """Write how the figure is to be read below it."""
    letters_in_a_line = round(150 * figure.get_figwidth() / WIDTH)
    figure.supxlabel("\n".join(textwrap.wrap(text, letters_in_a_line)), fontsize=6, x=0.01, ha="left", color="0.25")


SIDEWAYS = "Learners are shifted sideways, so that those that coincide stay visible."


def over_seeds(n: int, drawn: str = "bars and bands", of: str = "seed") -> str:
    """Say what means and intervals are over, for the note of a figure.

    Parameters
    ----------
    n : int
        Number of seeds.
    drawn : str, optional
        What shows the interval.
    of : str, optional
        What there are `n` of.

    Returns
    -------
    str
        A sentence.
    """
    if n == 1:
        return f"1 {of}, and therefore no interval."
    return f"Mean over {n} {of}s; {drawn}: 95 % bootstrap interval over {of}s."
