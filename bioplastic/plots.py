"""Figures of a recording, for a page 180 mm wide; readable in grey and without colour vision."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from bioplastic import reach
from bioplastic.recording.schema1 import SUMMARY_VARIABLES, Recording, RecordingError, Summary

MM = 1 / 25.4
WIDTH = 180 * MM
GREY = "0.45"
ZERO = "0.92"

FLOAT = NDArray[np.float64]


def _replay_index(summary: Summary, replay: str | None = None) -> int:
    """Index of a replay condition.

    Parameters
    ----------
    summary : Summary
    replay : str, optional
        The first one if not given, or ``"off"`` if that is there.

    Returns
    -------
    int

    Raises
    ------
    RecordingError
        If there is none of that name.
    """
    if replay is None:
        return summary.replay.index("off") if "off" in summary.replay else 0
    if replay not in summary.replay:
        raise RecordingError(f"there is no replay {replay!r}; the recording has {', '.join(summary.replay)}.")
    return summary.replay.index(replay)


def _values_of(summary: Summary, name: str, replay: int = 0) -> FLOAT:
    """Return a variable at one replay condition; all NaN if it was not recorded.

    Parameters
    ----------
    summary : Summary
    name : str
    replay : int
        Index of the replay condition.

    Returns
    -------
    array, shape (learner, event_fraction, seed) or (learner, event_fraction, seed, hop)
    """
    if name in summary.variables:
        return np.asarray(summary.variables[name][:, :, replay], float)
    shape = len(summary.learner), len(summary.event_fraction), len(summary.seed)
    return np.full((*shape, len(summary.hop)) if "hop" in SUMMARY_VARIABLES[name].dims else shape, np.nan)


@dataclass(frozen=True)
class Style:
    """How a learner is drawn."""

    color: str
    marker: str
    line: Literal["-"] | tuple[int, tuple[float, ...]]


# Dark to light in steps that survive a grey printer: blue for spikes, red to yellow for backprop.
_STYLES = {
    "error relay": Style("#14148c", "o", "-"),
    "error relay, unscreened": Style("#2b7fce", "s", (0, (5, 1.5))),
    "backprop": Style("#a3260f", "D", (0, (1, 0.9))),
    "backprop, truncated": Style("#e07b2a", "^", (0, (5, 1.2, 1, 1.2))),
    "backprop, falling rate": Style("#e0b000", "X", (0, (3, 1, 1, 1, 1, 1))),
    "equilibrium relay": Style("#2e7d4f", "v", "-"),
    "broadcast": Style("#5a2a82", "P", (0, (1, 0.9))),
    "fixed random feedback": Style("#8aa63a", ">", (0, (5, 1.5))),
    "learned feedback": Style("#c46bb0", "<", (0, (5, 1.2, 1, 1.2))),
}
_OTHERS = (
    Style("#000000", "*", "-"),
    Style("#5f5f5f", "p", (0, (5, 1.5))),
    Style("#b0b0b0", "h", (0, (1, 0.9))),
    Style("#7a5a2a", "d", (0, (5, 1.2, 1, 1.2))),
    Style("#3f9c9c", "8", (0, (3, 1, 1, 1, 1, 1))),
)

_RC = {
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "hatch.linewidth": 0.4,
    "mathtext.default": "regular",
}


def styles(learners: tuple[str, ...]) -> tuple[Style, ...]:
    """How each learner is drawn: the known ones always alike, others in turn.

    Parameters
    ----------
    learners : tuple of str

    Returns
    -------
    tuple of Style
    """
    unknown = [learner for learner in learners if learner not in _STYLES]
    return tuple(
        _STYLES[learner] if learner in _STYLES else _OTHERS[unknown.index(learner) % len(_OTHERS)]
        for learner in learners
    )


@contextmanager
def page(height_mm: float) -> Iterator[Figure]:
    """Begin an empty figure of the page's width; what is drawn within has the page's fonts."""
    with style.context(["default", _RC]):
        figure = Figure(figsize=(WIDTH, height_mm * MM))
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
        yield figure
    for axes in figure.axes:  # ticks are made when the figure is drawn, with the settings of that moment
        axes.tick_params(labelsize=7, width=0.6)


def letter(axes: Axes, name: str) -> None:
    """Write the panel's letter above its upper left corner."""
    axes.set_label(name)
    # Above the upper left corner, as far out as the tick labels reach.
    at = axes.transAxes + ScaledTranslation(-22 / 72, 3 / 72, axes.get_figure().dpi_scale_trans)  # type: ignore[union-attr]
    axes.text(0, 1, name, transform=at, fontsize=9, fontweight="bold", ha="left", va="bottom")


def heading(axes: Axes, text: str) -> None:
    """Write what a panel shows above its upper right corner."""
    axes.text(1, 1, text, transform=axes.transAxes, ha="right", va="bottom", color="0.25")


def band(axes: Axes, x: FLOAT, values: FLOAT, *, color: str, **look: Any) -> None:
    """Draw a mean over seeds with its interval.

    Parameters
    ----------
    axes : Axes
    x : array, shape (n,)
    values : array, shape (n_seeds, n)
        NaN where a seed is missing.
    color : str
    **look
        Whatever else `Axes.plot` takes.
    """
    low, high = reach.interval(values, axis=0)
    axes.plot(x, _mean(values, 0), color=color, **look)
    axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)


def _not_measured(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=GREY)


def note(figure: Figure, text: str) -> None:
    """Write how the figure is to be read below it."""
    figure.supxlabel("\n".join(textwrap.wrap(text, 150)), fontsize=6, x=0.01, ha="left", color="0.25")


def _mean(values: FLOAT, axis: int) -> FLOAT:
    """Mean of what is there; NaN where nothing is."""
    present = ~np.isnan(values)
    total, count = np.where(present, values, 0).sum(axis), present.sum(axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _seeds(n: int) -> str:
    if n == 1:
        return "1 seed, and therefore no interval"
    return f"Mean over {n} seeds; bars and bands: 95 % bootstrap interval over seeds"


# ---------------------------------------------------------------------------------------------------
# Reach


def _reach_panel(axes: Axes, summary: Summary, name: str, replay: int, looks: Sequence[Style]) -> None:
    """Reach against event frequency."""
    fraction, last = np.asarray(summary.event_fraction, float), len(summary.hop) - 1
    values = _values_of(summary, name, replay)
    gaps = np.diff(np.sort(np.log10(fraction)))
    n = len(summary.learner)
    step = min(0.13, 0.65 / n) * min(gaps.min() if len(gaps) else 0.5, 0.5)
    order = np.argsort(fraction)
    axes.axhline(last, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    for i, look in enumerate(looks):
        x = fraction * 10 ** (step * (i - (n - 1) / 2))
        mean, (low, high) = _mean(values[i], -1), reach.interval(values[i])
        (line,) = axes.plot(
            x[order],
            mean[order],
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            label=summary.learner[i],
            zorder=3 + (n - i) / n,
        )
        line.set_gid("mean")
        axes.vlines(x, low, high, color=look.color, linewidth=0.9, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(fraction.tolist()))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    edge = 10 ** (0.35 * min(gaps.min() if len(gaps) else 0.5, 0.6))
    axes.set_xlim(fraction.min() / edge, fraction.max() * edge)
    axes.set_xlabel("event frequency (fraction of all events)")
    every = max(1, round(last / 6))
    ticks = [hop for hop in range(0, last + 1, every) if hop == last or last - hop >= every] + [last]
    axes.set_yticks([-1, *dict.fromkeys(ticks)], ["none", *map(str, dict.fromkeys(ticks))])
    axes.set_ylim(-1.5, last + 0.7)
    if np.isnan(values).all():
        _not_measured(axes)


# ---------------------------------------------------------------------------------------------------
# Profiles by hop


def _shifted(hop: FLOAT, i: int, n: int) -> FLOAT:
    return hop + 0.12 * (i - (n - 1) / 2)


def _hop_axis(axes: Axes, hop: FLOAT) -> None:
    every = max(1, round(len(hop) / 7))
    axes.set_xticks(hop[::every], [f"{h:g}" for h in hop[::every]])
    axes.set_xlim(hop[0] - 0.6, hop[-1] + 0.6)
    axes.set_xlabel("hops upstream")


@dataclass(frozen=True)
class _LogRange:
    """A log axis with a row for exact zeros below it."""

    bottom: float
    top: float

    @classmethod
    def of(cls, means: FLOAT) -> _LogRange:
        positive = means[np.isfinite(means) & (means > 0)]
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
        return self.bottom / self.row**0.5

    def draw(self, axes: Axes) -> None:
        axes.set_yscale("log")
        axes.set_ylim(self.bottom / self.row, self.top)
        axes.axhspan(self.bottom / self.row, self.bottom, color=ZERO, linewidth=0, zorder=0)
        decades = np.arange(np.log10(self.bottom).round(), np.floor(np.log10(self.top)) + 1)
        shown = decades[:: max(1, round(len(decades) / 6))]
        axes.set_yticks([self.zero, *10**shown], ["0", *(f"$10^{{{d:.0f}}}$" for d in shown)])
        axes.yaxis.set_minor_locator(NullLocator())


def _log_curve(
    axes: Axes, x: FLOAT, values: FLOAT, span: _LogRange, look: Style, *, order: float, width: float = 1.1
) -> FLOAT:
    """Draw mean and interval over seeds, of values of shape (seed, hop); return the heights at which symbols belong."""
    mean, (low, high) = _mean(values, 0), reach.interval(values, axis=0)
    where = np.where(mean > 0, mean, np.nan)
    axes.plot(x, where, color=look.color, linestyle=look.line, linewidth=width, zorder=order)[0].set_gid("mean")
    lower, upper = (np.where(mean > 0, np.maximum(end, span.zero), np.nan) for end in (low, high))
    axes.fill_between(x, lower, upper, color=look.color, alpha=0.18, linewidth=0, zorder=1)
    return np.where(mean == 0, span.zero, where)


def _change_panel(axes: Axes, summary: Summary, replay: int, fraction: int, span: _LogRange) -> None:
    """Change by hop; open symbols where it is not above the sham floor."""
    hop = np.asarray(summary.hop, float)
    change = _values_of(summary, "change", replay)[:, fraction]
    floor = _mean(_values_of(summary, "change_floor", replay)[:, fraction], 1)
    span.draw(axes)
    n = len(summary.learner)
    for i, look in enumerate(styles(summary.learner)):
        x, mean = _shifted(hop, i, n), _mean(change[i], 0)
        color, order = look.color, 3 + (n - i) / n
        height = _log_curve(axes, x, change[i], span, look, order=order)
        for above, face in (
            (mean > np.nan_to_num(floor[i]), color),
            (mean <= np.nan_to_num(floor[i]), "white"),
        ):
            axes.plot(
                x[above],
                height[above],
                linestyle="none",
                marker=look.marker,
                color=color,
                markerfacecolor=face,
                markeredgewidth=0.8,
                zorder=order,
            )[0].set_gid("above" if face == color else "below")
    _hop_axis(axes, hop)
    heading(axes, f"event frequency {summary.event_fraction[fraction]:g}")
    if np.isnan(change).all():
        _not_measured(axes)


def _profile_panel(axes: Axes, summary: Summary, name: str, replay: int, fraction: int) -> None:
    """A measure by hop on a linear axis, with what lies far outside shown at the edge."""
    hop = np.asarray(summary.hop, float)
    values = _values_of(summary, name, replay)[:, fraction]
    n = len(summary.learner)
    means = _mean(values, 1)
    least, most = (f(means, initial=v, where=np.isfinite(means)) for f, v in ((np.min, 0.0), (np.max, 1.0)))
    bottom, top = max(least, -1.0), min(most, 2.0)
    margin = 0.06 * (top - bottom)
    axes.set_ylim(bottom - margin, top + margin)
    for level in (0, 1):
        axes.axhline(level, color="0.8", linewidth=0.6, zorder=0)
    for i, look in enumerate(styles(summary.learner)):
        x, (low, high) = _shifted(hop, i, n), reach.interval(values[i], axis=0)
        order = 3 + (n - i) / n
        axes.plot(
            x,
            means[i],
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            zorder=order,
            label=summary.learner[i],
        )[0].set_gid("mean")
        axes.fill_between(x, low, high, color=look.color, alpha=0.18, linewidth=0, zorder=1)
        for outside, edge, marker in (
            (means[i] > 2, top + margin, r"$\uparrow$"),
            (means[i] < -1, bottom - margin, r"$\downarrow$"),
        ):
            if outside.any():  # an empty line outside the axes would upset the layout
                axes.plot(
                    x[outside],
                    np.full(outside.sum(), edge),
                    linestyle="none",
                    marker=marker,
                    markersize=6,
                    color=look.color,
                    clip_on=False,
                    zorder=9,
                )
    _hop_axis(axes, hop)
    heading(axes, f"event frequency {summary.event_fraction[fraction]:g}")
    if np.isnan(values).all():
        _not_measured(axes)


def _replay_to_plot(summary: Summary, replay: str | None) -> int:
    if 0 in (len(summary.learner), len(summary.event_fraction), len(summary.seed), len(summary.hop)):
        raise RecordingError("the summary has no condition: there is nothing to plot.")
    return _replay_index(summary, replay)


def reach_figure(recording: Recording | Summary, *, replay: str | None = None) -> Figure:
    """Draw how far upstream a rare event reaches, for every learner.

    Parameters
    ----------
    recording : Recording or Summary
    replay : str, optional
        The replay condition; ``"off"`` if not given.

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
    summary = recording if isinstance(recording, Summary) else recording.summary
    index = _replay_to_plot(summary, replay)
    order = np.argsort(summary.event_fraction)
    ends = list(dict.fromkeys((int(order[0]), int(order[-1]))))
    with page(205) as figure:
        grid = figure.add_gridspec(3, 2, height_ratios=(1, 1.1, 1))
        a, b = (figure.add_subplot(grid[0, k]) for k in (0, 1))
        looks = styles(summary.learner)
        _reach_panel(a, summary, "error_signal_reach", index, looks)
        _reach_panel(b, summary, "reach", index, looks)
        a.set_ylabel("reach of the error signal,\nweights frozen (hops upstream)")
        b.set_ylabel("reach of change,\nweights learning (hops upstream)")
        span = _LogRange.of(_mean(_values_of(summary, "change", index), 2)[:, ends])
        changes: list[Axes] = []
        for k, fraction in enumerate(ends):
            # One event frequency alone gets the whole row.
            place = grid[1, k] if len(ends) > 1 else grid[1, :]
            changes.append(figure.add_subplot(place, sharey=changes[0] if changes else None))
            _change_panel(changes[-1], summary, index, fraction, span)
            if k:
                changes[-1].tick_params(labelleft=False)
        changes[0].set_ylabel("relative change of the weights\nagainst the sham run (1)")
        cosine, share = (figure.add_subplot(grid[2, k]) for k in (0, 1))
        _profile_panel(cosine, summary, "alignment", index, ends[-1])
        _profile_panel(share, summary, "functional_downstream", index, ends[-1])
        cosine.set_ylabel("cosine of the change\nto the backprop gradient (1)")
        share.set_ylabel("share of the improvement\nkept by hops 0 to this one (1)")
        panels = [a, b, *changes, cosine, share]
        for axes, name in zip(panels, "abcdef", strict=False):
            letter(axes, name)
        d, e = ("abcdef"[k] for k in (len(panels) - 2, len(panels) - 1))
        handles = [
            Line2D([], [], color=s.color, linestyle=s.line, marker=s.marker, label=learner)
            for learner, s in zip(summary.learner, styles(summary.learner), strict=True)
        ]
        hollow = Line2D(
            [],
            [],
            color=GREY,
            linestyle="none",
            marker="o",
            markerfacecolor="white",
            label="not above sham floor",
        )
        line = Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), label="last hop of the circuit")
        zero = Patch(facecolor=ZERO, edgecolor="none", label="row of exact zeros")
        figure.legend(handles=[*handles, hollow, zero, line], loc="outside upper center", ncols=4, handlelength=3.4)
        replayed = "" if len(summary.replay) == 1 else f" Replay: {summary.replay[index]}."
        note(
            figure,
            f"{_seeds(len(summary.seed))}. Learners are shifted sideways, so that those that coincide stay "
            f"visible. {d}: no symbol where nothing changed, as no change has no direction. "
            f"{d}, {e}: values above 2 or below −1 are arrows at the edge.{replayed}",
        )
    return figure


# ---------------------------------------------------------------------------------------------------
# The front


@dataclass(frozen=True, eq=False)
class _Front:
    """Change of one learner, mean over seeds."""

    occurrence: FLOAT
    change: FLOAT  # (snapshot, hop)
    floor: FLOAT  # (snapshot, hop)
    n: int


def _front(recording: Recording, learner: str, fraction: float, replay: str) -> _Front | None:
    names = recording.find(
        arm="learning", role="result", learner=learner, event_fraction=float(fraction), replay=replay
    )
    runs = [run for run in (recording.runs[name] for name in names) if run.change is not None]
    seen = [run.snapshot_occurrence for run in runs if run.snapshot_occurrence is not None]
    if not runs or len(seen) != len(runs):
        return None
    # Lives that differ in length have only these in common. A log axis has no place for occurrence 0.
    shared = [o for o in seen[0].tolist() if o > 0 and all(o in other for other in seen)]
    if not shared:
        return None
    rows = [[other.tolist().index(o) for o in shared] for other in seen]
    change = np.array([run.change[row] for run, row in zip(runs, rows, strict=True) if run.change is not None])
    floor = np.array(
        [
            np.zeros_like(run.change[row]) if run.change_floor is None else run.change_floor[row]
            for run, row in zip(runs, rows, strict=True)
            if run.change is not None
        ]
    )
    return _Front(np.array(shared, float), _mean(change, 0), reach.spread(floor), len(runs))


def _edges(occurrence: FLOAT) -> FLOAT:
    """Edges of the columns: halfway between neighbours on a log axis."""
    if len(occurrence) == 1:
        return occurrence[0] * np.array([0.7, 1.4])
    middle = np.sqrt(occurrence[1:] * occurrence[:-1])
    return np.concatenate([[occurrence[0] ** 2 / middle[0]], middle, [occurrence[-1] ** 2 / middle[-1]]])


def _occurrence_ticks(occurrence: FLOAT) -> list[float]:
    """The first and the last, and between them those that stand far enough apart."""
    ticks = [occurrence[0]]
    apart = max((occurrence[-1] / occurrence[0]) ** (1 / 6), 1.01)
    for o in occurrence[1:-1]:
        if o / ticks[-1] >= apart and occurrence[-1] / o >= apart:
            ticks.append(o)
    return [float(o) for o in dict.fromkeys([*ticks, occurrence[-1]])]


def front_figure(recording: Recording, *, replay: str | None = None, event_fraction: float | None = None) -> Figure:
    """Draw how the change moves upstream, occurrence by occurrence, at one event frequency.

    Parameters
    ----------
    recording : Recording
    replay : str, optional
        The replay condition; ``"off"`` if not given.
    event_fraction : float, optional
        One of those recorded; the highest if not given.

    Returns
    -------
    Figure
        One panel for each learner: change against the sham run, mean over seeds, by hop (y) and occurrence
        (x).
        Grey where it is exactly zero, hatched where it is not above the sham floor.

    Raises
    ------
    RecordingError
        If no run holds its change by occurrence, or there is no such event fraction.
    """
    summary = recording.summary
    if not len(summary.event_fraction) or not summary.replay:
        raise RecordingError(f"{recording.path} has no condition: there is nothing to plot.")
    index, recorded = _replay_index(summary, replay), np.asarray(summary.event_fraction, float)
    fraction = float(recorded.max()) if event_fraction is None else event_fraction
    if not np.isclose(recorded, fraction, rtol=1e-9, atol=0).any():  # as `Recording.find` compares
        raise RecordingError(
            f"there is no event fraction {fraction:g}; the recording has {', '.join(f'{f:g}' for f in recorded)}."
        )
    fronts = [_front(recording, learner, fraction, summary.replay[index]) for learner in summary.learner]
    there = [front for front in fronts if front is not None]
    if not there:
        raise RecordingError(
            f"{recording.path} has no run with its change by occurrence at event fraction {fraction:g}: "
            "there is no front to plot."
        )
    positive = np.concatenate([front.change[front.change > 0] for front in there])
    low, high = (positive.min(), positive.max()) if positive.size else (1e-3, 1.0)
    norm = LogNorm(low, high if high > low else low * 10)
    # The light end of the map is cut off, so that small changes stand out against exact zeros, in grey too.
    cmap = mpl.colors.ListedColormap(mpl.colormaps["viridis_r"](np.linspace(0.12, 1, 256)))
    # Up to 24 learners on one page.
    columns, height_mm = (3, 58) if len(fronts) < 9 else (4, 41)
    rows = -(-(len(fronts) + 1) // columns)
    hop = np.asarray(summary.hop, float)
    with page(16 + height_mm * rows) as figure:
        grid = figure.add_gridspec(rows, columns)
        panels = []
        for k, (learner, front) in enumerate(zip(summary.learner, fronts, strict=True)):
            axes = figure.add_subplot(grid[divmod(k, columns)])
            panels.append(axes)
            letter(axes, "abcdefghijklmnopqrstuvwxyz"[k % 26])
            heading(axes, learner)
            axes.set_ylim(hop[0] - 0.5, hop[-1] + 0.5)
            every = max(1, round(len(hop) / 6))
            axes.set_yticks(hop[::every], [f"{h:g}" for h in hop[::every]])
            if k % columns == 0:
                axes.set_ylabel("hops upstream")
            if k + columns >= len(fronts):
                axes.set_xlabel("occurrence of the rare event")
            if front is None:
                axes.set_xticks([])
                _not_measured(axes)
                continue
            _front_panel(axes, front, hop, norm, cmap)
        aside = figure.add_subplot(grid[divmod(len(fronts), columns)])
        aside.set_axis_off()
        aside.legend(
            handles=[
                Patch(facecolor=ZERO, edgecolor="none", label="exactly zero"),
                Patch(
                    facecolor="white",
                    edgecolor="0.2",
                    hatch="////",
                    linewidth=0,
                    label="not above sham floor",
                ),
            ],
            loc="lower center",
            handlelength=2.4,
            handleheight=1.2,
        )
        bar = aside.inset_axes((0.04, 0.8, 0.92, 0.07))
        mappable = mpl.cm.ScalarMappable(norm, cmap)
        figure.colorbar(
            mappable,
            cax=bar,
            orientation="horizontal",
            label="relative change of the weights\nagainst the sham run (1)",
        )
        counts = sorted({front.n for front in there})
        n = f"{counts[0]} seed{'' if counts[0] == 1 else 's'}"
        if len(counts) > 1:
            n = f"{counts[0]} to {counts[-1]} seeds"
        note(
            figure,
            f"Mean over {n}, event frequency {fraction:g}. "
            "Each column is a look at the weights after that occurrence; it extends halfway to the next.",
        )
    return figure


def _front_panel(axes: Axes, front: _Front, hop: FLOAT, norm: LogNorm, cmap: mpl.colors.Colormap) -> None:
    x, y = _edges(front.occurrence), np.append(hop - 0.5, hop[-1] + 0.5)
    change = front.change.T
    zero = np.ma.masked_where(change != 0, np.ones_like(change))
    axes.pcolormesh(x, y, zero, cmap=mpl.colors.ListedColormap([ZERO]), rasterized=True)
    image = axes.pcolormesh(x, y, np.ma.masked_where(~(change > 0), change), norm=norm, cmap=cmap, rasterized=True)
    image.set_gid("change")
    below = (change > 0) & (change <= np.nan_to_num(front.floor.T))
    if below.any():
        axes.pcolor(
            x,
            y,
            np.ma.masked_where(~below, np.ones_like(change)),
            facecolor="none",
            edgecolor="0.2",
            linewidth=0,
            hatch="//////",
        ).set_gid("below")
    axes.set_xscale("log")
    axes.set_xlim(x[0], x[-1])
    ticks = _occurrence_ticks(front.occurrence)
    axes.set_xticks(ticks, [f"{o:g}" for o in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


# ---------------------------------------------------------------------------------------------------
# The cascade

_BROKEN = (0, (3.0, 1.2))
_SETTING = re.compile(r"decay|\w+ x \S+")
_PHASES: tuple[tuple[str, str, Literal["-"] | tuple[int, tuple[float, ...]], Literal["none", "full", "left"]], ...] = (
    ("mismatch_before", "before", (0, (1, 0.9)), "none"),
    ("mismatch_during", "during", "-", "full"),
    ("mismatch_after", "after", (0, (5, 1.5)), "left"),
)


@dataclass(frozen=True)
class _Curve:
    """A learner in a panel."""

    learner: str
    index: int
    look: Style


def _rule_and_setting(learner: str) -> tuple[str, str]:
    rule, _, last = learner.rpartition(", ")
    return (rule, last) if rule and _SETTING.fullmatch(last) else (learner, "")


def _plain_and_restored(learners: tuple[str, ...]) -> tuple[list[_Curve], list[_Curve]]:
    """Return the learners without a setting, and those of rules that come with restoring forces."""
    split = [_rule_and_setting(learner) for learner in learners]
    rules = tuple(dict.fromkeys(rule for rule, _ in split))
    looks = dict(zip(rules, styles(rules), strict=True))
    plain = [_Curve(rule, i, looks[rule]) for i, (rule, setting) in enumerate(split) if not setting]
    # A learning rate restores nothing.
    forced = [(i, rule, setting) for i, (rule, setting) in enumerate(split) if not setting.startswith("rate x")]
    families = {rule for _, rule, setting in forced if setting}
    settings = list(dict.fromkeys(setting for _, _, setting in forced if setting))
    restored = []
    for i, rule, setting in forced:
        if rule in families:
            other = _OTHERS[settings.index(setting) % len(_OTHERS)] if setting else looks[rule]
            restored.append(_Curve(learners[i], i, replace(looks[rule], marker=other.marker, line=other.line)))
    return plain, restored


def _handle(look: Style, label: str) -> Line2D:
    return Line2D([], [], color=look.color, linestyle=look.line, marker=look.marker, label=label)


def _small_legend(
    axes: Axes, handles: Sequence[Line2D | Patch], title: str, loc: Literal["upper left", "lower left"]
) -> None:
    """Fill an empty part of the page with a legend, from its left edge."""
    axes.set_axis_off()
    legend = axes.legend(
        handles=handles,
        title=title,
        title_fontsize=6,
        fontsize=6,
        loc=loc,
        bbox_to_anchor=(0, 1 if loc == "upper left" else 0),
        borderaxespad=0,
        borderpad=0,
        alignment="left",
        labelspacing=0.35,
        handlelength=3,
    )
    legend.set_in_layout(False)  # a long name may stand above the next panel's axis, and must not narrow its own


def _looks_at(recording: Recording, fraction: float, replay: str) -> FLOAT:
    """Return the occurrences after which the weights of any run were looked at."""
    found: set[int] = set()
    for name in recording.find(arm="learning", role="result", event_fraction=fraction, replay=replay):
        seen = recording.runs[name].snapshot_occurrence
        found |= set() if seen is None else {int(o) for o in seen if o > 0}
    return np.array(sorted(found), float)


def _arrival_meanings() -> list[Line2D | Patch]:
    def of(label: str, line: Literal["-", "none"] | tuple[int, tuple[float, ...]], face: str, size: float) -> Line2D:
        return Line2D(
            [], [], color=GREY, linestyle=line, marker="o", markersize=size, markerfacecolor=face, label=label
        )

    return [
        of("first changes at all", "-", GREY, 4),
        of("first changes by more than the\nsham floor, where that differs", _BROKEN, GREY, 2.8),
        of("open symbols: not in every seed", "none", "white", 4),
        Patch(facecolor=ZERO, edgecolor="none", label="never in the life: first such hop"),
        Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), label="one hop per occurrence"),
    ]


def _arrival_panel(
    axes: Axes, summary: Summary, replay: int, fraction: int, curves: Sequence[_Curve], *, looks_at: FLOAT
) -> None:
    """Hop against the occurrence at which it changes, with a column for what never does within the life."""
    found = {name: _values_of(summary, name, replay)[:, fraction] for name in ("arrival_exact", "arrival")}
    # A seed in which nothing arrives was run nevertheless if it has a reach.
    lived = np.isfinite(_values_of(summary, "reach", replay)[:, fraction])
    for values in found.values():
        lived |= np.isfinite(values).any(-1)
    times = np.concatenate([looks_at, *(values[np.isfinite(values)] for values in found.values())])
    first, last = (times.min(), times.max()) if len(times) else (1.0, 1.0)
    span = max(np.log10(last / first), 0.3)
    never, wide = last * 10 ** (0.11 * span), 10 ** (0.05 * span)
    hop = np.asarray(summary.hop, float)
    n = len(curves)
    # Sideways by less than the distance of neighbouring looks, all learners together.
    steps = np.diff(np.log10(looks_at))
    sideways = min(0.07 * span, 0.8 * steps.min() if len(steps) else np.inf) / max(n, 1)
    axes.axvspan(never / wide, never * wide, color=ZERO, linewidth=0, zorder=0)
    axes.plot(hop + 1, hop, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    for k, curve in enumerate(curves):
        seeds, look = lived[curve.index], curve.look
        shift = k - (n - 1) / 2
        exact, above = (values[curve.index, seeds] for values in found.values())
        for name, values, line, size in (("arrival_exact", exact, "-", 4), ("arrival", above, _BROKEN, 2.8)):
            same = name == "arrival" and np.array_equal(exact, above, equal_nan=True)
            if name not in summary.variables or not seeds.any() or same:
                continue
            mean, count = _mean(values, 0), np.isfinite(values).sum(0)
            x, y = mean * 10 ** (sideways * shift), hop + 0.6 / n * shift
            axes.plot(x, y, color=look.color, linestyle=line, zorder=3 + (n - k) / n)[0].set_gid(name)
            never_from = np.flatnonzero(count == 0)[:1]
            aside = np.full(len(never_from), never * wide ** (1.6 * shift / n))
            for at, height, face, which in (
                (x[count == len(values)], y[count == len(values)], look.color, "every seed"),
                (x[count < len(values)], y[count < len(values)], "white", "some seeds"),
                (aside, y[never_from], look.color, "never"),
            ):
                axes.plot(
                    at,
                    height,
                    linestyle="none",
                    marker=look.marker,
                    markersize=size,
                    color=look.color,
                    markerfacecolor=face,
                    markeredgewidth=0.8,
                    zorder=3 + (n - k) / n,
                )[0].set_gid(f"{name}, {which}")
            for h in np.flatnonzero(count > 0)[-1:]:
                if count[h] < len(values):
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
    axes.set_xscale("log")
    axes.set_xlim(first / 10 ** (0.05 * span), never * wide)
    ticks = _occurrence_ticks(looks_at if len(looks_at) else np.array([first, last]))
    axes.set_xticks([*ticks, never], [*(f"{o:g}" for o in ticks), "never"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("occurrence of the rare event")
    every = max(1, round(len(hop) / 7))
    axes.set_yticks(hop[::every], [f"{h:g}" for h in hop[::every]])
    axes.set_ylim(hop[0] - 0.6, hop[-1] + 0.6)
    axes.set_ylabel("hops upstream")
    if not lived.any() or not found.keys() & summary.variables.keys():
        _not_measured(axes)


def _latency_panel(axes: Axes, summary: Summary, replay: int, fraction: int, curves: Sequence[_Curve]) -> list[Line2D]:
    """Draw the time until the error arrives, open symbols where it does not in every seed; return the legend."""
    hop = np.asarray(summary.hop, float)
    latency = _values_of(summary, "latency", replay)[:, fraction]
    speed = _values_of(summary, "time_per_hop", replay)[:, fraction]
    shown = [curve for curve in curves if np.isfinite(latency[curve.index]).any()]
    handles = []
    for k, curve in enumerate(shown):
        values, look = latency[curve.index], curve.look
        x, mean, (low, high) = _shifted(hop, k, len(shown)), _mean(values, 0), reach.interval(values, axis=0)
        order = 3 + (len(shown) - k) / len(shown)
        axes.plot(x, mean, color=look.color, linestyle=look.line, zorder=order)[0].set_gid("mean")
        axes.fill_between(x, low, high, color=look.color, alpha=0.18, linewidth=0, zorder=1)
        every = np.isfinite(values).sum(0) == np.isfinite(values).any(1).sum()
        for there, face, gid in ((every, look.color, "every seed"), (~every, "white", "some seeds")):
            axes.plot(
                x[there],
                mean[there],
                linestyle="none",
                marker=look.marker,
                color=look.color,
                markerfacecolor=face,
                markeredgewidth=0.8,
                zorder=order,
            )[0].set_gid(gid)
        per_hop = speed[curve.index][np.isfinite(speed[curve.index])]
        known = f": {per_hop.mean():.2g} ms/hop" if len(per_hop) else ""
        handles.append(_handle(look, f"{curve.learner}{known}"))
    _hop_axis(axes, hop)
    top = axes.get_ylim()[1]
    axes.set_ylim(-0.03 * top, top)  # the first symbols may stand at 0
    axes.set_ylabel("time from the outcome's onset to the\nfirst error spike that differs (ms)")
    if not shown:
        _not_measured(axes)
    return handles


def _mismatch_panel(axes: Axes, summary: Summary, replay: int, fraction: int, curves: Sequence[_Curve]) -> list[Line2D]:
    """Draw the mismatch before, during and after, all learners thin but the last; return the legend."""
    hop = np.asarray(summary.hop, float)
    phases = [(*phase, _values_of(summary, phase[0], replay)[:, fraction]) for phase in _PHASES]
    shown = [c for c in curves if any(np.isfinite(values[c.index]).any() for *_, values in phases)]
    span = _LogRange.of(np.array([_mean(values[c.index], 0) for c in shown for *_, values in phases]))
    span.draw(axes)
    handles = []
    n = len(shown) * len(phases)
    for k, (curve, (_, label, line, fill, values)) in enumerate((c, p) for c in shown for p in phases):
        main = curve is shown[-1]
        look, order = replace(curve.look, line=line), 3 + k / n
        x = _shifted(hop, k, n)
        height = _log_curve(axes, x, values[curve.index], span, look, order=order, width=1.1 if main else 0.6)
        (symbols,) = axes.plot(x, height, linestyle="none", marker=look.marker, color=look.color, zorder=order)
        handle = _handle(look, f"{curve.learner}, {label}")
        for line_or_symbol in (symbols, handle):
            line_or_symbol.set(
                fillstyle=fill, markerfacecoloralt="white", markeredgewidth=0.6, markersize=4 if main else 2.8
            )
        symbols.set_gid("symbols")
        handle.set_linewidth(1.1 if main else 0.6)
        handles.append(handle)
    _hop_axis(axes, hop)
    axes.set_ylabel("mismatch signalled per cell\nand event (spikes)")
    if not shown:
        _not_measured(axes)
    return handles


def cascade_figure(recording: Recording, *, replay: str | None = None) -> Figure:
    """Draw how a change cascades upstream: when it arrives, what holds it back, how fast the error comes, how it rests.

    A learner is called ``"rule"`` or ``"rule, setting"``. A setting is ``"decay"`` or a factor on a parameter, such as
    ``"rate x 3"`` or ``"apical x 10"``; whatever else follows a comma belongs to the rule. All settings but a rate
    count as restoring forces.

    Parameters
    ----------
    recording : Recording
    replay : str, optional
        The replay condition; ``"off"`` if not given.

    Returns
    -------
    Figure
        a: hop against the occurrence at which it first changes at all and, where that differs, first changes by more
        than the sham floor, at the lowest event frequency; rules without a setting. b: reach at the last occurrence
        against event frequency, of the rules that come with restoring forces (of all rules if none does). c: time from
        the outcome's onset until error spikes first differ from the sham run, by hop. d: mismatch signalled per cell
        and event before, during and after the occurrences, at the lowest event frequency, exact zeros in a row of
        their own; the rules of b without their settings, the last one thick (the first rule if none of b is known).

    Raises
    ------
    RecordingError
        If there is no such replay condition, or the summary is empty.
    """
    summary = recording.summary
    index = _replay_to_plot(summary, replay)
    low = int(np.argmin(summary.event_fraction))
    fraction = float(summary.event_fraction[low])
    plain, restored = _plain_and_restored(summary.learner)
    at_rest = [curve for curve in plain if curve in restored] or plain[:1]
    restored = restored or plain
    title = f"event frequency {fraction:g}"
    entries = max(1 + len(plain), 1 + len(restored), 2 + len(_PHASES) * len(at_rest))
    heights = (62, 2 + 3 * entries, 54)
    with page(sum(heights) + 22) as figure:
        grid = figure.add_gridspec(3, 3, height_ratios=heights)
        a, beside = figure.add_subplot(grid[0, :2]), figure.add_subplot(grid[0, 2])
        above_b, above_c, above_d = (figure.add_subplot(grid[1, k]) for k in range(3))
        b, c, d = (figure.add_subplot(grid[2, k]) for k in range(3))
        looks_at = _looks_at(recording, fraction, summary.replay[index])
        _arrival_panel(a, summary, index, low, plain, looks_at=looks_at)
        rules = [_handle(replace(curve.look, line="-"), curve.learner) for curve in plain]
        _small_legend(beside, [*rules, *_arrival_meanings()], title, "upper left")
        reaches = replace(
            summary,
            learner=tuple(curve.learner for curve in restored),
            variables={
                name: values[[curve.index for curve in restored]]
                for name, values in summary.variables.items()
                if name == "reach"
            },
        )
        _reach_panel(b, reaches, "reach", index, [curve.look for curve in restored])
        b.set_ylabel("reach at the last occurrence\n(hops upstream)")
        handles = [_handle(curve.look, curve.learner) for curve in restored]
        _small_legend(above_b, handles, "dotted: last hop of the circuit", "lower left")
        handles = _latency_panel(c, summary, index, low, plain)
        _small_legend(above_c, handles, "open symbols: not in every seed", "lower left")
        handles = _mismatch_panel(d, summary, index, low, at_rest)
        _small_legend(above_d, handles, f"{title}\nduring: rare; before, after: background", "lower left")
        for axes, name in zip((a, b, c, d), "abcd", strict=True):
            letter(axes, name)
        replayed = "" if len(summary.replay) == 1 else f" Replay: {summary.replay[index]}."
        note(
            figure,
            f"{_seeds(len(summary.seed))}. Learners are shifted sideways, so that those that coincide stay visible. "
            "a: mean over the seeds in which the change arrives; their number stands at the last hop if it is not all. "
            "A change arrives at the first look after it, and the axis shows the looks. "
            f"c: no symbol where no error spike differs. d: grey row for exact zeros.{replayed}",
        )
    return figure


# ---------------------------------------------------------------------------------------------------
# Files


def save(figure: Figure, path: Path | str) -> tuple[Path, Path]:
    """Write a figure as PNG and as PDF.

    Parameters
    ----------
    figure : Figure
    path : Path or str
        Without a suffix; .png or .pdf is taken off. Its folder is made if it is missing.

    Returns
    -------
    png, pdf : Path

    Raises
    ------
    RecordingError
        If they cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in (".png", ".pdf"):
        path = path.with_suffix("")
    png, pdf = (path.with_name(path.name + suffix) for suffix in (".png", ".pdf"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Text stays text in the PDF, and without a date the same data give the same file.
        with mpl.rc_context({"pdf.fonttype": 42}):
            figure.savefig(png, dpi=300)
            figure.savefig(pdf, dpi=300, metadata={"CreationDate": None})
    except OSError as error:
        raise RecordingError(f"the figure {path} could not be written ({error}): give another path.") from error
    return png, pdf
