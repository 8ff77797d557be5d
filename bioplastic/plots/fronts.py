"""The front: how change moves upstream, occurrence by occurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bioplastic.plots.axes import FLOAT, hop_axis, log_ticks
from bioplastic.plots.curves import mean
from bioplastic.plots.data import conditions, learning_runs, measured
from bioplastic.plots.legends import shade
from bioplastic.plots.pages import heading, letters, note, nothing, page, panel
from bioplastic.plots.style import ZERO
from bioplastic.recording import RUN, Recording, RecordingError
from bioplastic.statistics import spread

CHANGE = "relative change of the weights\nagainst the sham run (1)"


@dataclass(frozen=True)
class _Front:
    """Change of one learner, mean over runs.

    Attributes
    ----------
    occurrence : array, shape (n_looks,)
    change, floor : array, shape (n_looks, n_hops)
    hop : array, shape (n_hops,)
    n : int
        Number of runs.
    """

    occurrence: FLOAT
    change: FLOAT
    floor: FLOAT
    hop: FLOAT
    n: int

    @classmethod
    def of(cls, runs: xr.Dataset) -> _Front | None:
        """Return the front of runs that differ in their seed; None if they have not been looked at."""
        if "change" not in runs or "snapshot_occurrence" not in runs:
            return None
        seen = runs["snapshot_occurrence"].transpose(RUN, "snapshot").values
        change = measured(runs, "change", RUN, "snapshot", "hop")
        floor = np.nan_to_num(measured(runs, "change_floor", RUN, "snapshot", "hop"))
        # A log axis has no place for occurrence 0; -1 is the padding of a life that is shorter than others.
        lived = [k for k in range(len(seen)) if (seen[k] > 0).any() and np.isfinite(change[k]).any()]
        # Lives that differ in length have only these looks in common.
        shared = [o for o in seen[lived[0]] if o > 0 and all(o in seen[k] for k in lived)] if lived else []
        if not shared:
            return None
        at = [np.flatnonzero(np.isin(seen[k], shared)) for k in lived]
        change, floor = (np.stack([one[k, rows] for k, rows in zip(lived, at, strict=True)]) for one in (change, floor))
        hop = runs["hop"].values.astype(float)
        return cls(np.array(shared, float), mean(change), spread(floor), hop, len(lived))

    @property
    def edges(self) -> FLOAT:
        """Edges of the columns: halfway between neighbours on a log axis."""
        at = self.occurrence
        if len(at) == 1:
            return at[0] * np.array([0.7, 1.4])
        middle = np.sqrt(at[1:] * at[:-1])
        return np.concatenate([[at[0] ** 2 / middle[0]], middle, [at[-1] ** 2 / middle[-1]]])


def occurrence_ticks(occurrence: FLOAT) -> list[float]:
    """Return the first and the last, and between them those that stand far enough apart.

    Parameters
    ----------
    occurrence : array, shape (n,)
    """
    ticks = [occurrence[0]]
    apart = max((occurrence[-1] / occurrence[0]) ** (1 / 6), 1.01)
    for o in occurrence[1:-1]:
        if o / ticks[-1] >= apart and occurrence[-1] / o >= apart:
            ticks.append(o)
    return [float(o) for o in dict.fromkeys([*ticks, occurrence[-1]])]


def _scale(fronts: Sequence[_Front]) -> tuple[LogNorm, Colormap]:
    positive = np.concatenate([front.change[front.change > 0] for front in fronts])
    low, high = (positive.min(), positive.max()) if positive.size else (1e-3, 1.0)
    # The light end of the map is cut off, so that small changes stand out against exact zeros, in grey too.
    colors = ListedColormap(mpl.colormaps["viridis_r"](np.linspace(0.12, 1, 256)))
    return LogNorm(low, high if high > low else low * 10), colors


def _draw_front(axes: Axes, front: _Front, norm: LogNorm, colors: Colormap) -> None:
    x, y = front.edges, np.append(front.hop - 0.5, front.hop[-1] + 0.5)
    change = front.change.T
    zero = np.ma.masked_where(change != 0, np.ones_like(change))
    axes.pcolormesh(x, y, zero, cmap=ListedColormap([ZERO]), rasterized=True)
    image = axes.pcolormesh(x, y, np.ma.masked_where(~(change > 0), change), norm=norm, cmap=colors, rasterized=True)
    image.set_gid("change")
    below = (change > 0) & (change <= front.floor.T)
    if below.any():
        hatched = np.ma.masked_where(~below, np.ones_like(change))
        axes.pcolor(x, y, hatched, facecolor="none", edgecolor="0.2", linewidth=0, hatch="//////").set_gid("below")
    log_ticks(axes, occurrence_ticks(front.occurrence))
    axes.set_xlim(x[0], x[-1])


def _meanings() -> list[Patch]:
    hatched = Patch(facecolor="white", edgecolor="0.2", hatch="////", linewidth=0, label="not above sham floor")
    return [shade("exactly zero"), hatched]


def front(runs: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how the change of one learner moves upstream, occurrence by occurrence.

    Parameters
    ----------
    runs : Dataset
        Of one learner at one event fraction, such as
        ``recording.select("learning", learner="error relay", event_fraction=0.1)``.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Change against the sham run, mean over runs, by hop (y) and occurrence (x). Grey where it is exactly zero,
        hatched where it is not above the sham floor.

    Raises
    ------
    RecordingError
        The runs are not all of one learner and event fraction, or do not hold their change by occurrence.
    """
    for label in ("learner", "event_fraction"):
        there = np.unique(runs[label].values).tolist() if label in runs.coords else []
        if len(there) > 1:
            raise RecordingError(
                f"the runs have {label} {', '.join(map(str, there))}; choose one, such as "
                f"recording.select('learning', {label}={there[0]!r})."
            )
    found = _Front.of(runs)
    if found is None:
        raise RecordingError("the runs do not hold their change by occurrence: there is no front to plot.")
    norm, colors = _scale([found])
    with panel(ax, _described(runs, found.n), width_mm=110, height_mm=80) as axes:
        _draw_front(axes, found, norm, colors)
        hop_axis(axes, found.hop, along="y", most=6, margin=0.5)
        axes.set_xlabel("occurrence of the rare event")
        figure = axes.get_figure()
        assert figure is not None
        figure.colorbar(ScalarMappable(norm, colors), ax=axes, label=CHANGE)
        axes.legend(handles=_meanings(), loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return axes


def _described(runs: xr.Dataset, n: int) -> str:
    labels = [f"{np.unique(runs['learner'].values)[0]}, "] if "learner" in runs.coords else []
    if "event_fraction" in runs.coords:
        labels.append(f"event frequency {np.unique(runs['event_fraction'].values)[0]:g}, ")
    return f"{''.join(labels)}mean over {n} run{'s' * (n > 1)}."


def front_figure(
    recording: Recording,
    *,
    replay: str | None = None,
    event_fraction: float | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw how the change moves upstream, occurrence by occurrence, at one event frequency.

    Parameters
    ----------
    recording : Recording
    replay : str, optional
        The replay condition, where there are several; ``"off"`` if not given.
    event_fraction : float, optional
        One of those recorded; the highest if not given.
    figure : Figure, optional
        Where to draw; a page that shows itself in a notebook, if not given.

    Returns
    -------
    Figure
        One panel for each learner: change against the sham run, mean over seeds, by hop (y) and occurrence
        (x). Grey where it is exactly zero, hatched where it is not above the sham floor.

    Raises
    ------
    RecordingError
        If no run holds its change by occurrence, or there is no such event fraction.
    """
    summary = conditions(recording, "learner", "event_fraction", "hop", replay=replay)
    recorded = summary["event_fraction"].values
    fraction = float(recorded.max()) if event_fraction is None else event_fraction
    if not np.isclose(recorded, fraction).any():
        raise RecordingError(
            f"there is no event fraction {fraction:g}; the recording has {', '.join(f'{f:g}' for f in recorded)}."
        )
    names = summary["learner"].values.tolist()
    runs = learning_runs(recording, summary, fraction)
    fronts = [None if runs is None else _Front.of(runs.isel({RUN: runs["learner"].values == name})) for name in names]
    there = [one for one in fronts if one is not None]
    if not there:
        raise RecordingError(
            f"{recording.path} has no run with its change by occurrence at event fraction {fraction:g}: "
            "there is no front to plot."
        )
    norm, colors = _scale(there)
    # Up to 24 learners on one page.
    columns, height_mm = (3, 58) if len(fronts) < 9 else (4, 41)
    rows = -(-(len(fronts) + 1) // columns)
    with page(16 + height_mm * rows, figure) as drawn:
        grid = drawn.add_gridspec(rows, columns)
        panels = [drawn.add_subplot(grid[divmod(k, columns)]) for k in range(len(fronts))]
        letters(panels)
        for k, (axes, name, one) in enumerate(zip(panels, names, fronts, strict=True)):
            heading(axes, name)
            hop_axis(axes, summary["hop"].values, along="y", most=6, margin=0.5)
            if k % columns:
                axes.set_ylabel("")
            if k + columns >= len(fronts):
                axes.set_xlabel("occurrence of the rare event")
            if one is None:
                axes.set_xticks([])
                nothing(axes)
            else:
                _draw_front(axes, one, norm, colors)
        aside = drawn.add_subplot(grid[divmod(len(fronts), columns)])
        aside.set_axis_off()
        aside.legend(handles=_meanings(), loc="lower center", handlelength=2.4, handleheight=1.2)
        bar = aside.inset_axes((0.04, 0.8, 0.92, 0.07))
        drawn.colorbar(ScalarMappable(norm, colors), cax=bar, orientation="horizontal", label=CHANGE)
        counts = sorted({one.n for one in there})
        n = f"{counts[0]} seed{'' if counts[0] == 1 else 's'}"
        if len(counts) > 1:
            n = f"{counts[0]} to {counts[-1]} seeds"
        note(
            drawn,
            f"Mean over {n}, event frequency {fraction:g}. "
            "Each column is a look at the weights after that occurrence; it extends halfway to the next.",
        )
    return drawn
