"""Survival curves: in how many lives something has not happened yet."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bioplastic.plots.style import Style
from bioplastic.statistics import survival


def survival_curve(
    axes: Axes,
    times: ArrayLike,
    happened: ArrayLike,
    look: Style,
    *,
    end: float,
    symbol_at: float,
    width: float = 1.1,
    opacity: float = 1.0,
) -> None:
    """Draw the fraction of lives in which something has not happened yet (Kaplan-Meier).

    Parameters
    ----------
    axes : Axes
    times : array, shape (n_lives,)
        When it happened, or when a life was over in which it did not.
    happened : array of bool, shape (n_lives,)
    look : Style
    end : float
        When the longest life was over.
    symbol_at : float
        Where the curve has its one symbol; at a place of its own, curves that hide each other can be told.
    width, opacity : float, optional
        Of the line.
    """
    time, alive = survival(times, happened)
    steps = np.append(time, end), np.append(alive, alive[-1])
    axes.step(*steps, where="post", color=look.color, linestyle=look.line, linewidth=width, alpha=opacity)
    there = alive[np.searchsorted(time, symbol_at, side="right") - 1]
    axes.plot(symbol_at, there, look.marker, color=look.color, alpha=opacity, zorder=3)
