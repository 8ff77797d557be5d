"""When a change arrives: hop against the occurrence at which it first changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from bioplastic.plots.axes import FLOAT, hop_axis, log_ticks
from bioplastic.plots.curves import mean, on_top, shifted, symbols
from bioplastic.plots.data import PER_HOP, conditions, measured
from bioplastic.plots.fronts import occurrence_ticks
from bioplastic.plots.legends import handle, open_symbol
from bioplastic.plots.pages import nothing, panel
from bioplastic.plots.style import DOTTED, GREY, ZERO, Line, Style, looks

EXACT, ABOVE = "arrival_exact", "arrival"
BROKEN: Line = (0, (3.0, 1.2))
SMALL = 2.8
"""Size of the symbols of `ABOVE`."""


@dataclass(frozen=True)
class _Occurrences:
    """A log axis of occurrences, with a column for what never happens in a life.

    Attributes
    ----------
    first, last : float
    looks_at : array, shape (n_looks,)
        After which the weights were looked at.
    n : int
        Number of learners.
    """

    first: float
    last: float
    looks_at: FLOAT
    n: int

    @property
    def span(self) -> float:
        """Decades from the first to the last."""
        return float(max(np.log10(self.last / self.first), 0.3))

    @property
    def sideways(self) -> float:
        """Decades from one learner to the next: all together less than the distance of neighbouring looks."""
        steps = np.diff(np.log10(self.looks_at))
        return float(min(0.07 * self.span, 0.8 * steps.min() if len(steps) else np.inf) / max(self.n, 1))

    @property
    def wide(self) -> float:
        """Half of the column's width, as a factor."""
        return float(10 ** (0.05 * self.span))

    @property
    def never(self) -> float:
        """Where the column is."""
        return float(self.last * 10 ** (0.11 * self.span))

    def draw(self, axes: Axes) -> None:
        """Make this the horizontal axis of a panel."""
        ticks = occurrence_ticks(self.looks_at if len(self.looks_at) else np.array([self.first, self.last]))
        column = self.never / self.wide, self.never * self.wide
        axes.axvspan(*column, color=ZERO, linewidth=0, zorder=0, label="never in the life: first such hop")
        log_ticks(axes, [*ticks, self.never], [*(f"{o:g}" for o in ticks), "never"])
        axes.set_xlabel("occurrence of the rare event")


def arrival_by_hop(
    summary: xr.Dataset,
    looks_at: ArrayLike = (),
    *,
    styles: Mapping[str, Style] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw at which occurrence each hop changes, and which ones never do.

    Parameters
    ----------
    summary : Dataset
        At one event fraction, over `learner`, `seed` and `hop`: `arrival_exact`, the occurrence at which a hop first
        changes at all, and `arrival`, at which it first changes by more than the sham floor.
    looks_at : array, shape (n_looks,), optional
        Occurrences after which the weights were looked at.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over the seeds in which the change arrives; their number stands at the last hop if it is not all.

    Raises
    ------
    RecordingError
        The dataset is not over these, or there is nothing in it.
    """
    found = conditions(summary, *PER_HOP)
    names = found["learner"].values.tolist()
    exact, above = (measured(found, name, *PER_HOP) for name in (EXACT, ABOVE))
    # A seed in which nothing arrives was lived nevertheless if it has a reach.
    lived = np.isfinite(measured(found, "reach", "learner", "seed"))
    lived |= np.isfinite(exact).any(-1) | np.isfinite(above).any(-1)
    drawn_as, hop, n = looks(names, styles), found["hop"].values, len(names)
    at = np.asarray(looks_at, float)
    times = np.concatenate([at, *(values[np.isfinite(values)] for values in (exact, above))])
    first, last = (float(times.min()), float(times.max())) if len(times) else (1.0, 1.0)
    axis = _Occurrences(first, last, at, n)
    with panel(ax, "Means over the seeds in which the change arrives; their number, where it is not all.") as axes:
        for k, name in enumerate(names):
            axes.add_line(handle(replace(drawn_as[name], line="-"), name))
            own, beyond = exact[k, lived[k]], above[k, lived[k]]
            if EXACT in found:
                _draw_arrival(axes, axis, own, hop, drawn_as[name], variable=EXACT, k=k)
            if ABOVE in found and not np.array_equal(own, beyond, equal_nan=True):
                _draw_arrival(axes, axis, beyond, hop, drawn_as[name], variable=ABOVE, k=k)
        for label, line, size in (
            ("first changes at all", "-", 4),
            ("first changes by more than the\nsham floor, where that differs", BROKEN, SMALL),
        ):
            axes.plot([], [], color=GREY, linestyle=line, marker="o", markersize=size, label=label)
        axes.add_line(open_symbol("open symbols: not in every seed"))
        axis.draw(axes)
        axes.plot(hop + 1, hop, color=GREY, linewidth=0.7, linestyle=DOTTED, zorder=0, label="one hop per occurrence")
        axes.set_xlim(first / axis.wide, axis.never * axis.wide)
        hop_axis(axes, hop, along="y")
        if not lived.any() or not {EXACT, ABOVE} & set(found):
            nothing(axes)
    return axes


def _draw_arrival(
    axes: Axes, axis: _Occurrences, values: FLOAT, hop: FLOAT, look: Style, *, variable: str, k: int
) -> None:
    """Draw one measure of arrival of the k-th learner, values of shape (n_seeds, n_hops)."""
    if not len(values):
        return
    line, size = ("-", None) if variable == EXACT else (BROKEN, SMALL)
    count, order, shift = np.isfinite(values).sum(0), on_top(k, axis.n), shifted(0, k, axis.n, 1)
    x, y = mean(values) * 10 ** (axis.sideways * shift), hop + 0.6 / axis.n * shift
    axes.plot(x, y, color=look.color, linestyle=line, zorder=order)[0].set_gid(variable)
    symbols(axes, x, y, look, count == len(values), order=order, size=size)
    never = np.flatnonzero(count == 0)[:1]
    aside = np.full(len(never), axis.never * axis.wide ** (1.6 * shift / axis.n))
    beside, _ = symbols(axes, aside, y[never], look, np.full(len(never), True), order=order, size=size)
    beside.set_gid("never")
    last = np.flatnonzero(count > 0)[-1:]
    for h in last[count[last] < len(values)]:
        axes.annotate(
            f"{count[h]}/{len(values)}",
            (x[h], y[h]),
            # Beyond the last symbol its own line does not run; learners that end there too alternate.
            (4, 1 if k % 2 else -1),
            textcoords="offset points",
            fontsize=6,
            color=look.color,
            ha="left",
            va="bottom" if k % 2 else "top",
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
            zorder=5,
        )
