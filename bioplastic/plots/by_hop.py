"""Measures by hop: change on a logarithm, shares and cosines on a straight axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bioplastic.plots.axes import FLOAT, LogRange, axis_label, hop_axis, reference
from bioplastic.plots.curves import curve, mean, on_top, shifted
from bioplastic.plots.data import PER_HOP, conditions, measured
from bioplastic.plots.legends import open_symbol
from bioplastic.plots.pages import SIDEWAYS, heading, nothing, over_seeds, panel
from bioplastic.plots.style import DOTTED, GREY, Style, looks
from bioplastic.recording import RecordingError

FLOOR: dict[str, Any] = {"marker": "_", "markersize": 8, "linestyle": DOTTED, "linewidth": 0.8}
RING: dict[str, Any] = {"marker": "o", "markersize": 9, "linestyle": "none", "fillstyle": "none"}
"""How the sham floor, and the last hop that is reached, are drawn."""


def draw_changes(axes: Axes, found: xr.Dataset, styles: Mapping[str, Style], scale: LogRange) -> None:
    """Draw the change of each learner by hop; open symbols where it is not above the sham floor.

    Parameters
    ----------
    axes : Axes
    found : Dataset
        From `conditions`.
    styles : mapping of str to Style
    scale : LogRange
    """
    hop, names = found["hop"].values, found["learner"].values.tolist()
    values, floor = changes(found), floors(found)
    for k, name in enumerate(names):
        above = mean(values[k]) > np.nan_to_num(floor[k])
        x, order = shifted(hop, k, len(names)), on_top(k, len(names))
        curve(axes, x, values[k], styles[name], name, filled=above, scale=scale, order=order)
    scale.draw(axes)
    hop_axis(axes, hop)
    _at_frequency(axes, found)
    if np.isnan(values).all():
        nothing(axes)


def _at_frequency(axes: Axes, found: xr.Dataset) -> None:
    """Say above a panel which event fraction was chosen."""
    if "event_fraction" in found.coords:
        heading(axes, f"event frequency {found['event_fraction'].item():g}")


def changes(found: xr.Dataset) -> FLOAT:
    """Change of the weights, shape (n_learners, n_seeds or n_replicates, n_hops)."""
    if "change_by_replicate" in found:
        return measured(found, "change_by_replicate", "learner", "replicate", "hop")
    if "seed" in found.dims:
        return measured(found, "change", *PER_HOP)
    return measured(found, "change", "learner", "hop")[:, None]


def floors(found: xr.Dataset) -> FLOAT:
    """Sham floor, shape (n_learners, n_hops); NaN where there is none."""
    if "change_floor" in found and "seed" in found["change_floor"].dims:
        return mean(measured(found, "change_floor", *PER_HOP), 1)
    return measured(found, "change_floor", "learner", "hop")


def change_by_hop(ds: xr.Dataset, *, styles: Mapping[str, Style] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how much each learner changed, by hop, beside its sham floor.

    Parameters
    ----------
    ds : Dataset
        From `bioplastic.comparison.compare`, or a summary at one event fraction: `change` over `learner` and `hop`, and
        over `seed` or, as `change_by_replicate`, over `replicate`; `change_floor` and `reach`, where there are.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means with their intervals, exact zeros in a row of their own, open symbols where change is not above the floor.
        Dotted: the floor. Ringed: the last hop that change reaches, in more than half of the seeds.

    Raises
    ------
    RecordingError
        The dataset is not over these, or has no change.
    """
    found = conditions(ds, "learner", "hop")
    if "change" not in found:
        raise RecordingError(f"the dataset has no change, only {', '.join(map(str, found.data_vars)) or 'nothing'}.")
    hop, names = found["hop"].values, found["learner"].values.tolist()
    values, floor = changes(found), floors(found)
    means, drawn_as = mean(values, 1), looks(names, styles)
    scale = LogRange.of(np.stack([means, floor]))
    of = "seed" if "seed" in found.dims else "replicate"
    with panel(ax, f"{over_seeds(values.shape[1], 'bands', of)} {SIDEWAYS}") as axes:
        draw_changes(axes, found, drawn_as, scale)
        for k, (name, last) in enumerate(zip(names, _last_reached(found), strict=True)):
            x, color = shifted(hop, k, len(names)), drawn_as[name].color
            axes.plot(x, np.where(floor[k] > 0, floor[k], np.nan), color=color, gid="floor", zorder=1.5, **FLOOR)
            if last >= 0:
                at = scale.heights(means[k])[last]
                axes.plot(x[last], at, color=color, gid="reach", zorder=5, clip_on=False, **RING)
        if (floor > 0).any():
            axes.add_line(Line2D([], [], color=GREY, label="sham floor", **FLOOR))
            axes.add_line(open_symbol("not above the sham floor"))
        if "reach" in found:
            axes.add_line(Line2D([], [], color=GREY, label="last hop reached", **RING))
        axes.set_ylabel(axis_label(found["change"]))
    return axes


def _last_reached(found: xr.Dataset) -> NDArray[np.int_]:
    """Last hop that each learner reaches in more than half of the seeds, -1 if none."""
    dims = ("learner", "seed") if "reach" in found and "seed" in found["reach"].dims else ("learner",)
    reached = measured(found, "reach", *dims).reshape(found.sizes["learner"], -1)
    return np.quantile(np.nan_to_num(reached, nan=-1), 0.5, axis=1, method="lower").astype(int)


def profile_by_hop(
    summary: xr.Dataset, variable: str, *, styles: Mapping[str, Style] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a measure by hop that lies between 0 and 1 where all is well, such as a share or a cosine.

    Parameters
    ----------
    summary : Dataset
        At one event fraction: over `learner`, `seed` and `hop`.
    variable : str
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds with their intervals; what lies above 2 or below -1 is an arrow at the edge.

    Raises
    ------
    RecordingError
        The dataset is not over these, or there is nothing in it.
    """
    found = conditions(summary, *PER_HOP)
    hop, names = found["hop"].values, found["learner"].values.tolist()
    values, n = measured(found, variable, *PER_HOP), len(names)
    means, drawn_as = mean(values, 1), looks(names, styles)
    least, most = (f(means, initial=v, where=np.isfinite(means)) for f, v in ((np.min, 0.0), (np.max, 1.0)))
    bottom, top = max(least, -1.0), min(most, 2.0)
    margin = 0.06 * (top - bottom)
    text = f"{over_seeds(found.sizes['seed'], 'bands')} {SIDEWAYS} Values above 2 or below −1 are arrows at the edge."
    with panel(ax, text) as axes:
        axes.set_ylim(bottom - margin, top + margin)
        for level in (0, 1):
            reference(axes, level)
        for k, name in enumerate(names):
            x, look = shifted(hop, k, n), drawn_as[name]
            curve(axes, x, values[k], look, name, order=on_top(k, n))
            for outside, edge, marker in (
                (means[k] > 2, top + margin, r"$\uparrow$"),
                (means[k] < -1, bottom - margin, r"$\downarrow$"),
            ):
                if outside.any():  # an empty line outside the axes would upset the layout
                    (arrows,) = axes.plot(x[outside], np.full(outside.sum(), edge), linestyle="none", marker=marker)
                    arrows.set(color=look.color, markersize=6, clip_on=False, zorder=9)
        hop_axis(axes, hop)
        _at_frequency(axes, found)
        if variable in found:
            axes.set_ylabel(axis_label(found[variable]))
        if np.isnan(values).all():
            nothing(axes)
    return axes
