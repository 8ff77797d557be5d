"""The figure of the main question: how many hops upstream a rare event reaches, per event frequency."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bioplastic.plots.axes import LogRange
from bioplastic.plots.by_frequency import reach_by_frequency
from bioplastic.plots.by_hop import changes, draw_changes, profile_by_hop
from bioplastic.plots.curves import mean
from bioplastic.plots.data import conditions
from bioplastic.plots.legends import handle, legend_above, open_symbol, shade
from bioplastic.plots.pages import SIDEWAYS, letters, note, over_seeds, page
from bioplastic.plots.style import DOTTED, GREY, looks
from bioplastic.recording import Recording


def reach_figure(
    recording: Recording | xr.Dataset, *, replay: str | None = None, figure: Figure | None = None
) -> Figure:
    """Draw how far upstream a rare event reaches, for every learner.

    Parameters
    ----------
    recording : Recording or Dataset
        Or its summary.
    replay : str, optional
        The replay condition, where there are several; ``"off"`` if not given.
    figure : Figure, optional
        Where to draw; a page that shows itself in a notebook, if not given.

    Returns
    -------
    Figure
        a, b: reach against event frequency, of the error signal (weights frozen) and of change (weights
        learning). Then change by hop at the lowest and, if there are several, the highest event frequency, exact
        zeros in a row of their own, open symbols where it is not above the sham floor. Last the cosine of the change
        to the backprop gradient, and the share of the improvement that the changed weights of the first hops keep.

    Raises
    ------
    RecordingError
        If there is no such replay condition, or the summary is empty.
    """
    summary = conditions(recording, "learner", "event_fraction", "seed", "hop", replay=replay)
    summary = summary.sortby("event_fraction")
    fractions = summary["event_fraction"].values
    ends = [summary.isel(event_fraction=k) for k in dict.fromkeys((0, len(fractions) - 1))]
    styles = looks(summary["learner"].values.tolist())
    with page(205, figure) as drawn:
        grid = drawn.add_gridspec(3, 2, height_ratios=(1, 1.1, 1))
        a, b = (drawn.add_subplot(grid[0, k]) for k in (0, 1))
        reach_by_frequency(summary, "error_signal_reach", ax=a)
        reach_by_frequency(summary, "reach", ax=b)
        scale = LogRange.of(np.stack([mean(changes(end), 1) for end in ends]))
        by_hop: list[Axes] = []
        for k, end in enumerate(ends):
            # One event frequency alone gets the whole row.
            place = grid[1, k] if len(ends) > 1 else grid[1, :]
            by_hop.append(drawn.add_subplot(place, sharey=by_hop[0] if by_hop else None))
            draw_changes(by_hop[k], end, styles, scale)
        by_hop[0].set_ylabel("relative change of the weights\nagainst the sham run (1)")
        for axes in by_hop[1:]:
            axes.tick_params(labelleft=False)
        cosine, share = (drawn.add_subplot(grid[2, k]) for k in (0, 1))
        profile_by_hop(ends[-1], "alignment", ax=cosine)
        cosine.set_ylabel("cosine of the change\nto the backprop gradient (1)")
        profile_by_hop(ends[-1], "functional_downstream", ax=share)
        share.set_ylabel("share of the improvement\nkept by hops 0 to this one (1)")
        panels = [a, b, *by_hop, cosine, share]
        letters(panels)
        d, e = (axes.get_label() for axes in panels[-2:])
        meanings = [
            open_symbol("not above sham floor"),
            shade("row of exact zeros"),
            Line2D([], [], color=GREY, linewidth=0.7, linestyle=DOTTED, label="last hop of the circuit"),
        ]
        legend_above(drawn, [*(handle(look, name) for name, look in styles.items()), *meanings])
        replayed = f" Replay: {summary['replay'].item()}." if "replay" in summary.coords else ""
        note(
            drawn,
            f"{over_seeds(summary.sizes['seed'])} {SIDEWAYS} "
            f"{d}: no symbol where nothing changed, as no change has no direction. "
            f"{d}, {e}: values above 2 or below −1 are arrows at the edge.{replayed}",
        )
    return drawn
