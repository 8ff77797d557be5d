"""Axes that figures share: hops, chosen ticks on a logarithm, exact zeros below a logarithm."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike, NDArray

from bioplastic.plots.style import DOTTED, GREY, ZERO

FLOAT = NDArray[np.float64]
Along = Literal["x", "y"]
EXACTLY_ZERO = "exactly zero"


def log_ticks(axes: Axes, ticks: ArrayLike, labels: Sequence[str] | None = None, *, along: Along = "x") -> None:
    """Make an axis logarithmic, with ticks at chosen values and nowhere else.

    Parameters
    ----------
    axes : Axes
    ticks : array, shape (n,)
    labels : sequence of str, optional
        The numbers themselves, if not given.
    along : {"x", "y"}, optional
    """
    at = np.asarray(ticks, float)
    axis = axes.xaxis if along == "x" else axes.yaxis
    axes.set(**{f"{along}scale": "log"})
    axis.set_ticks(at, [f"{tick:g}" for tick in at] if labels is None else labels)
    axis.set_minor_locator(NullLocator())


def hop_axis(axes: Axes, hop: ArrayLike, *, along: Along = "x", most: int = 7, margin: float = 0.6) -> None:
    """Make an axis that of hops upstream.

    Parameters
    ----------
    axes : Axes
    hop : array, shape (n_hops,)
    along : {"x", "y"}, optional
    most : int, optional
        About how many ticks there are at most.
    margin : float, optional
        Room before the first and after the last hop.
    """
    hops = np.asarray(hop, float)
    shown = hops[:: max(1, round(len(hops) / most))]
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_ticks(shown, [f"{h:g}" for h in shown])
    axes.set(**{f"{along}lim": (hops[0] - margin, hops[-1] + margin), f"{along}label": "hops upstream"})


def reference(axes: Axes, value: float, *, along: Along = "x", dotted: bool = False, label: str | None = None) -> None:
    """Draw a thin line behind everything, at a value that others are compared with.

    Parameters
    ----------
    axes : Axes
    value : float
    along : {"x", "y"}, optional
        ``"x"`` for a horizontal line.
    dotted : bool, optional
    label : str, optional
        What a legend calls it.
    """
    draw = axes.axhline if along == "x" else axes.axvline
    if dotted:
        draw(value, color=GREY, linewidth=0.7, linestyle=DOTTED, zorder=0, label=label)
    else:
        draw(value, color="0.8", linewidth=0.6, zorder=0, label=label)


def axis_label(variable: xr.DataArray, width: int = 38) -> str:
    """Say what a variable is, and its units, as the label of an axis.

    Parameters
    ----------
    variable : DataArray
        With the attributes `long_name` and `units`.
    width : int, optional
        Letters after which a new line begins.
    """
    name, units = variable.attrs.get("long_name", variable.name), variable.attrs.get("units", "1")
    return textwrap.fill(f"{name}\N{NO-BREAK SPACE}({units})", width)


@dataclass(frozen=True)
class LogRange:
    """A vertical axis on a logarithm, with a row for exact zeros below it.

    Attributes
    ----------
    bottom, top : float
        Both above zero.
    """

    bottom: float
    top: float

    @classmethod
    def of(cls, values: ArrayLike) -> LogRange:
        """Return an axis that holds all values that are above zero."""
        numbers = np.asarray(values, float)
        positive = numbers[np.isfinite(numbers) & (numbers > 0)]
        if not positive.size:
            return cls(1e-3, 1.0)
        # A little below the smallest, so that its symbol does not stand on the edge.
        return cls(10 ** np.floor(np.log10(positive.min() / 1.3)), positive.max() * 2)

    @property
    def row(self) -> float:
        """Height of the row, as a factor."""
        return float((self.top / self.bottom) ** 0.13)

    @property
    def zero(self) -> float:
        """Where the row is."""
        return self.bottom / self.row**0.5

    def heights(self, values: FLOAT) -> FLOAT:
        """Where values belong: exact zeros in their row; NaN for what is below zero."""
        return np.where(values == 0, self.zero, np.where(values > 0, values, np.nan))

    def draw(self, axes: Axes) -> None:
        """Make this the vertical axis of a panel."""
        axes.set_yscale("log")
        axes.set_ylim(self.bottom / self.row, self.top)
        axes.axhspan(self.bottom / self.row, self.bottom, color=ZERO, linewidth=0, zorder=0, label=EXACTLY_ZERO)
        decades = np.arange(np.log10(self.bottom).round(), np.floor(np.log10(self.top)) + 1)
        shown = decades[:: max(1, round(len(decades) / 6))]
        labels = ["0", *(f"$10^{{{d:.0f}}}$" for d in shown)]
        axes.set_yticks([self.zero, *10**shown], labels)
        axes.yaxis.set_minor_locator(NullLocator())
