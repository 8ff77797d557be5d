"""Reach against event frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bioplastic.plots.axes import axis_label, log_ticks, reference
from bioplastic.plots.curves import on_top, points, shifted
from bioplastic.plots.data import conditions, measured
from bioplastic.plots.pages import SIDEWAYS, nothing, over_seeds, panel
from bioplastic.plots.style import Style, looks

LABELS = {
    "error_signal_reach": "reach of the error signal,\nweights frozen (hops upstream)",
    "reach": "reach of change,\nweights learning (hops upstream)",
    "reach_fixed": "reach of change after as many\noccurrences (hops upstream)",
    "reach_matched": "reach of change at as much\nimprovement (hops upstream)",
}


def reach_by_frequency(
    summary: xr.Dataset,
    variable: str = "reach",
    *,
    styles: Mapping[str, Style] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far upstream each learner reaches, against event frequency.

    Parameters
    ----------
    summary : Dataset
        Over `learner`, `event_fraction`, `seed` and `hop`.
    variable : str, optional
        Which reach: the last hop, -1 where there is none.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds with their intervals; the last hop of the circuit is dotted.

    Raises
    ------
    RecordingError
        The dataset is not over these, or there is nothing in it.
    """
    found = conditions(summary, "learner", "event_fraction", "seed", "hop").sortby("event_fraction")
    fraction, last = found["event_fraction"].values.astype(float), found.sizes["hop"] - 1
    names = found["learner"].values.tolist()
    values, n = measured(found, variable, "learner", "seed", "event_fraction"), len(names)
    drawn_as = looks(names, styles)
    gaps = np.diff(np.log10(fraction))
    gap = float(gaps.min()) if len(gaps) else 0.5
    step = min(0.13, 0.65 / n) * min(gap, 0.5)
    with panel(ax, f"{over_seeds(found.sizes['seed'], 'bars')} {SIDEWAYS}") as axes:
        for k, name in enumerate(names):
            x = fraction * 10 ** shifted(0, k, n, step)
            points(axes, x, values[k], drawn_as[name], name, joined=True, order=on_top(k, n))
        reference(axes, last, dotted=True, label="last hop of the circuit")
        log_ticks(axes, fraction)
        edge = 10 ** (0.35 * min(gap, 0.6))
        axes.set_xlim(fraction[0] / edge, fraction[-1] * edge)
        axes.set_xlabel("event frequency (fraction of all events)")
        every = max(1, round(last / 6))
        ticks = [hop for hop in range(0, last + 1, every) if hop == last or last - hop >= every]
        ticks = [-1, *dict.fromkeys([*ticks, last])]
        axes.set_yticks(ticks, ["none", *map(str, ticks[1:])])
        axes.set_ylim(-1.5, last + 0.7)
        if variable in LABELS or variable in found:
            axes.set_ylabel(LABELS.get(variable) or axis_label(found[variable]))
        if np.isnan(values).all():
            nothing(axes)
    return axes
