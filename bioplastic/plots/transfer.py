"""What is kept of tasks learned one after the other: accuracy matrices, and what is kept against what is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from bioplastic.plots.curves import points
from bioplastic.plots.pages import over_seeds, panel
from bioplastic.plots.style import Style, looks

WORST = 30
"""Accuracy in per cent that is drawn black, and below."""


def accuracy_matrix(accuracy: xr.DataArray, ax: Axes) -> AxesImage:
    """Draw the accuracy on every task, before the first block and after each, as an image.

    Parameters
    ----------
    accuracy : DataArray
        Over `block`, `task` and `seed`, of which the mean is drawn.
    ax : Axes
    """
    mean = 100 * accuracy.mean("seed").transpose("block", "task").values
    image = ax.imshow(mean, cmap="Greys_r", vmin=WORST, vmax=100, aspect="equal")
    n_blocks, n_tasks = mean.shape
    ax.set_xticks(range(n_tasks), [str(task + 1) for task in range(n_tasks)])
    ax.set_yticks(range(n_blocks), ["before", *(str(block) for block in range(1, n_blocks))])
    ax.set_xlabel("task")
    return image


def kept_by_learned(
    summary: xr.Dataset,
    learners: Iterable[str],
    *,
    styles: Mapping[str, Style] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what learners keep against what they learn: a curve over learning rates, and each seed at its best one.

    Parameters
    ----------
    summary : Dataset
        With `learned` and `kept` over `learner` and `seed`, and `learned_by_rate`, `kept_by_rate` and `rate` over
        `rate_index` too.
    learners : iterable of str
        Who is drawn.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds, at the best rates with their intervals.
    """
    names = list(learners)
    drawn_as = looks(names, styles)
    with panel(ax, over_seeds(summary.sizes["seed"], "bars")) as axes:
        for name in names:
            one, look = summary.sel(learner=name), drawn_as[name]
            tried = one.isel(rate_index=np.flatnonzero(np.isfinite(one["rate"].values)))
            x, y = (100 * tried[f"{what}_by_rate"].mean("seed").values for what in ("learned", "kept"))
            style = {"color": look.color, "marker": look.marker, "linestyle": look.line}
            axes.plot(x, y, markersize=2.5, linewidth=0.9, label=name, **style)  # type: ignore[arg-type]
            points(axes, 100 * one["learned"].values[:, None], 100 * one["kept"].values[:, None], look)
            axes.lines[-1].set(markersize=6.5, markeredgecolor="black", zorder=3)
        axes.set_xlabel("learned: accuracy on a task after its block (%)")
        axes.set_ylabel("kept: accuracy on earlier tasks\nat the end (%)")
    return axes


def by_learner(
    kinds: Sequence[xr.DataArray],
    markers: Sequence[str],
    label: str,
    *,
    styles: Mapping[str, Style] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a measure of every learner in a row of its own, of several kinds of runs one below the other.

    Parameters
    ----------
    kinds : sequence of DataArray
        Over `learner` and `seed`; NaN where there is nothing to draw.
    markers : sequence of str
        Of each kind; the first is filled, the others are open.
    label : str
        Of the axis.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds with their intervals.
    """
    names = kinds[0]["learner"].values.tolist()
    drawn_as = looks(names, styles)
    with panel(ax, over_seeds(kinds[0].sizes["seed"], "bars")) as axes:
        for i, name in enumerate(names):
            for k, (kind, marker) in enumerate(zip(kinds, markers, strict=True)):
                values = kind.sel(learner=name).values
                if np.isfinite(values).any():
                    look = Style(drawn_as[name].color, marker, "none", "none" if k else "full")
                    points(axes, values[:, None], np.array([i + 0.2 * (k - (len(kinds) - 1) / 2)]), look)
        axes.set_yticks(range(len(names)), names)
        axes.yaxis.set_inverted(True)
        axes.set_xlabel(label)
    return axes
