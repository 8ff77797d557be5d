"""Means over seeds with their intervals: curves with bands, points with bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from bioplastic.plots.axes import FLOAT, LogRange
from bioplastic.plots.legends import handle
from bioplastic.plots.style import Fill, Style, looks
from bioplastic.statistics import interval

SHADE = 0.18
"""Opacity of a band."""


def mean(values: FLOAT, axis: int = 0) -> FLOAT:
    """Mean of what is there; NaN where nothing is."""
    present = ~np.isnan(values)
    total, count = np.where(present, values, 0).sum(axis), present.sum(axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def shifted(x: ArrayLike, k: int, n: int, step: float | None = None) -> FLOAT:
    """Move the k-th of n curves sideways, so that those that coincide stay visible.

    Parameters
    ----------
    x : array
    k, n : int
    step : float, optional
        From one curve to the next; if not given, so little that all together stay within 1.
    """
    apart = min(0.12, 1 / n) if step is None else step
    return np.asarray(x, float) + apart * (k - (n - 1) / 2)


def on_top(k: int, n: int) -> float:
    """Height in the stack of what is drawn (zorder) of the k-th of n curves: the first lies on top."""
    return 3 + (n - k) / n


def _seeds_first(values: ArrayLike | xr.DataArray) -> FLOAT:
    if isinstance(values, xr.DataArray) and "seed" in values.dims:
        values = values.transpose("seed", ...)
    return np.asarray(values, float)


def curve(
    axes: Axes,
    x: ArrayLike,
    values: ArrayLike | xr.DataArray,
    look: Style,
    label: str | None = None,
    *,
    filled: NDArray[np.bool_] | None = None,
    scale: LogRange | None = None,
    order: float = 2,
) -> None:
    """Draw a mean over seeds as a line with symbols, and its interval as a band.

    Parameters
    ----------
    axes : Axes
    x : array, shape (n,)
    values : array, shape (n_seeds, n), or DataArray
        The latter over `seed` and one more dimension. NaN where a seed is missing.
    look : Style
    label : str, optional
        What a legend calls it.
    filled : array of bool, shape (n,), optional
        Where symbols are filled; open elsewhere.
    scale : LogRange, optional
        Where exact zeros have a row of their own.
    order : float, optional
        Height in the stack of what is drawn.
    """
    at, rows = np.asarray(x, float), _seeds_first(values)
    middle, (low, high) = mean(rows), interval(rows, axis=0)
    height = middle
    if scale is not None:
        height = scale.heights(middle)
        middle = np.where(middle > 0, middle, np.nan)
        low, high = (np.where(middle > 0, np.maximum(end, scale.zero), np.nan) for end in (low, high))
    (line,) = axes.plot(at, middle, color=look.color, linestyle=look.line, zorder=order)
    line.set_gid("mean")
    axes.fill_between(at, low, high, color=look.color, alpha=SHADE, linewidth=0, zorder=1)
    if scale is None and filled is None:
        line.set(marker=look.marker, fillstyle=look.fill, markerfacecoloralt="white")
        if label is not None:
            line.set_label(label)
        return
    if label is not None:
        axes.add_line(handle(look, label))  # a line together with its symbol, for a legend
    if filled is not None:
        symbols(axes, at, height, look, filled, order=order)
        return
    (marks,) = axes.plot(at, height, linestyle="none", marker=look.marker, color=look.color, zorder=order)
    marks.set(fillstyle=look.fill, markerfacecoloralt="white", gid="symbols")


def symbols(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    look: Style,
    filled: ArrayLike,
    *,
    order: float = 2,
    size: float | None = None,
) -> tuple[Line2D, Line2D]:
    """Draw symbols, some of them open.

    Parameters
    ----------
    axes : Axes
    x, y : array, shape (n,)
    look : Style
    filled : array of bool, shape (n,)
    order : float, optional
        Height in the stack of what is drawn.
    size : float, optional
        In points.

    Returns
    -------
    filled, open : Line2D
    """
    at, height, full = np.asarray(x, float), np.asarray(y, float), np.asarray(filled, bool)
    drawn = []
    for there, face, gid in ((full, look.color, "filled"), (~full, "white", "open")):
        drawn += axes.plot(
            at[there],
            height[there],
            linestyle="none",
            marker=look.marker,
            markersize=size,
            color=look.color,
            markerfacecolor=face,
            markeredgewidth=0.8,
            zorder=order,
            gid=gid,
        )
    return drawn[0], drawn[1]


def points(
    axes: Axes,
    x: ArrayLike | xr.DataArray,
    y: ArrayLike | xr.DataArray,
    look: Style,
    label: str | None = None,
    *,
    joined: bool = False,
    seeds: bool = False,
    order: float = 2,
) -> None:
    """Draw means over seeds as symbols, and their intervals as bars.

    Parameters
    ----------
    axes : Axes
    x, y : array, shape (n,) or (n_seeds, n), or DataArray
        Places, or values over seeds: where there are seeds there are bars. ``points(axes, values, places, look)`` has
        horizontal ones, and if both are values there are bars both ways.
    look : Style
    label : str, optional
        What a legend calls them.
    joined : bool, optional
        Whether a line goes from one to the next.
    seeds : bool, optional
        Whether each seed is a small dot.
    order : float, optional
        Height in the stack of what is drawn.
    """
    at, height = _seeds_first(x), _seeds_first(y)
    (across, x_ends), (up, y_ends) = _mean_and_ends(at), _mean_and_ends(height)
    if seeds:
        each_x, each_y = np.broadcast_arrays(np.atleast_2d(at), np.atleast_2d(height))
        axes.plot(each_x.ravel(), each_y.ravel(), ".", color="0.65", markersize=3, zorder=1)[0].set_gid("seeds")
    (drawn,) = axes.plot(across, up, color=look.color, linestyle=look.line if joined else "none", zorder=order)
    drawn.set(marker=look.marker, fillstyle=look.fill, markerfacecoloralt="white", gid="mean")
    if label is not None:
        drawn.set_label(label)
    if y_ends is not None:
        axes.vlines(across, *y_ends, color=look.color, linewidth=0.9, zorder=2)
    if x_ends is not None:
        axes.hlines(up, *x_ends, color=look.color, linewidth=0.9, zorder=2)


def _mean_and_ends(values: FLOAT) -> tuple[FLOAT, tuple[FLOAT, FLOAT] | None]:
    return (values, None) if values.ndim == 1 else (mean(values), interval(values, axis=0))


def learner_curves(
    axes: Axes,
    x: ArrayLike,
    array: xr.DataArray,
    *,
    styles: Mapping[str, Style] | None = None,
    sideways: bool = False,
    scale: LogRange | None = None,
) -> None:
    """Draw a curve with its band for each learner.

    Parameters
    ----------
    axes : Axes
    x : array, shape (n,)
    array : DataArray
        Over `learner`, `seed` and one more dimension.
    styles : mapping of str to Style, optional
        By learner.
    sideways : bool, optional
        Whether learners stand a little apart, so that those that coincide stay visible.
    scale : LogRange, optional
        Where exact zeros have a row of their own.
    """
    names = array["learner"].values.tolist()
    for k, (name, look) in enumerate(looks(names, styles).items()):
        at = shifted(x, k, len(names)) if sideways else x
        curve(axes, at, array.sel(learner=name), look, name, scale=scale, order=on_top(k, len(names)))


def learner_rows(
    axes: Axes,
    array: xr.DataArray,
    *,
    styles: Mapping[str, Style] | None = None,
    shift: float = 0,
    seeds: bool = False,
) -> None:
    """Draw a measure as a point with its bar for each learner, one below the other, the first on top.

    Parameters
    ----------
    axes : Axes
    array : DataArray
        Over `seed` and one more dimension, such as `learner`, whose values name the rows.
    styles : mapping of str to Style, optional
        By name.
    shift : float, optional
        How far below the middle of its row: several measures can share rows.
    seeds : bool, optional
        Whether each seed is a small dot.
    """
    (dim,) = (dim for dim in array.dims if dim != "seed")
    names = [str(name) for name in array[dim].values]
    for k, look in enumerate(looks(names, styles).values()):
        points(axes, array.isel({dim: [k]}), [k + shift], look, seeds=seeds)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def band(
    axes: Axes,
    x: ArrayLike,
    values: ArrayLike,
    *,
    color: str,
    linestyle: Any = "-",
    marker: str = "none",
    fillstyle: Fill = "full",
    label: str | None = None,
) -> None:
    """Draw a mean over seeds with its interval; `curve` without a `Style`.

    Parameters
    ----------
    axes : Axes
    x : array, shape (n,)
    values : array, shape (n_seeds, n)
        NaN where a seed is missing.
    color : str
    linestyle : str or tuple, optional
    marker : str, optional
    fillstyle : {"full", "left", "none"}, optional
    label : str, optional
    """
    curve(axes, x, values, Style(color, marker, linestyle, fillstyle), label)
