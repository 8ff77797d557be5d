"""The figure of the cascade: when change arrives, what holds it back, how fast the error comes, how it rests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bioplastic.plots.arrival import arrival_by_hop
from bioplastic.plots.axes import EXACTLY_ZERO, LogRange, hop_axis
from bioplastic.plots.by_frequency import reach_by_frequency
from bioplastic.plots.curves import curve, mean, on_top, shifted
from bioplastic.plots.data import PER_HOP, conditions, learning_runs, measured
from bioplastic.plots.legends import handle, labelled_in, legend_alone
from bioplastic.plots.pages import SIDEWAYS, letters, note, nothing, over_seeds, page, panel
from bioplastic.plots.style import OTHERS, Fill, Line, Style, looks
from bioplastic.recording import Recording

PHASES: tuple[tuple[str, str, Line, Fill], ...] = (
    ("mismatch_before", "before", (0, (1, 0.9)), "none"),
    ("mismatch_during", "during", "-", "full"),
    ("mismatch_after", "after", (0, (5, 1.5)), "left"),
)


def latency_by_hop(summary: xr.Dataset, *, styles: Mapping[str, Style] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the time until the error arrives, by hop.

    Parameters
    ----------
    summary : Dataset
        At one event fraction: `latency` over `learner`, `seed` and `hop`, and `time_per_hop` over the first two.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds with their intervals, open symbols where it does not arrive in every seed. Learners that live
        in the twin, where nothing takes time, are left out.

    Raises
    ------
    RecordingError
        The dataset is not over these, or there is nothing in it.
    """
    found = conditions(summary, *PER_HOP)
    names, hop = found["learner"].values.tolist(), found["hop"].values
    latency = measured(found, "latency", *PER_HOP)
    speed = mean(measured(found, "time_per_hop", "learner", "seed"), 1)
    drawn_as, shown = looks(names, styles), np.flatnonzero(np.isfinite(latency).any((1, 2)))
    text = f"{over_seeds(found.sizes['seed'], 'bands')} Open symbols: not in every seed. {SIDEWAYS}"
    with panel(ax, text) as axes:
        for k, i in enumerate(shown):
            there = np.isfinite(latency[i])
            every = there.sum(0) == there.any(1).sum()
            label = names[i] + (f": {speed[i]:.2g} ms/hop" if np.isfinite(speed[i]) else "")
            x, order = shifted(hop, k, len(shown)), on_top(k, len(shown))
            curve(axes, x, latency[i], drawn_as[names[i]], label, filled=every, order=order)
        hop_axis(axes, hop)
        top = axes.get_ylim()[1]
        axes.set_ylim(-0.03 * top, top)  # the first symbols may stand at 0
        axes.set_ylabel("time from the outcome's onset to the\nfirst error spike that differs (ms)")
        if not len(shown):
            nothing(axes)
    return axes


def mismatch_by_hop(summary: xr.Dataset, *, styles: Mapping[str, Style] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the mismatch before, during and after the occurrences, by hop.

    Parameters
    ----------
    summary : Dataset
        At one event fraction: `mismatch_before`, `mismatch_during` and `mismatch_after` over `learner`, `seed` and
        `hop`.
    styles : mapping of str to Style, optional
        By learner.
    ax : Axes, optional
        Where to draw; in a figure of its own that shows itself in a notebook, if not given.

    Returns
    -------
    Axes
        Means over seeds with their intervals, exact zeros in a row of their own; the last learner is thick.

    Raises
    ------
    RecordingError
        The dataset is not over these, or there is nothing in it.
    """
    found = conditions(summary, *PER_HOP)
    names, hop = found["learner"].values.tolist(), found["hop"].values
    values = np.stack([measured(found, name, *PER_HOP) for name, *_ in PHASES], axis=1)
    drawn_as, shown = looks(names, styles), np.flatnonzero(np.isfinite(values).any((1, 2, 3)))
    scale, n = LogRange.of(mean(values[shown], 2)), len(shown) * len(PHASES)
    with panel(ax, f"{over_seeds(found.sizes['seed'], 'bands')} {SIDEWAYS}") as axes:
        for k, (i, p) in enumerate((i, p) for i in shown for p in range(len(PHASES))):
            _, when, line, fill = PHASES[p]
            look, label = replace(drawn_as[names[i]], line=line, fill=fill), f"{names[i]}, {when}"
            x = shifted(hop, k, n)
            thin: dict[Any, Any] = {} if i == shown[-1] else {"lines.linewidth": 0.6, "lines.markersize": 2.8}
            with mpl.rc_context(thin | {"lines.markeredgewidth": 0.6}):
                curve(axes, x, values[i, p], look, label, scale=scale, order=3 + k / n)
        scale.draw(axes)
        hop_axis(axes, hop)
        axes.set_ylabel("mismatch signalled per cell\nand event (spikes)")
        if not len(shown):
            nothing(axes)
    return axes


def _plain_and_restored(summary: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, dict[str, Style]]:
    """Return the learners without a setting, those of rules that come with restoring forces, and how all are drawn."""
    names = summary["learner"].values
    rule = summary["rule"].values if "rule" in summary.coords else names
    setting = summary["setting"].values if "setting" in summary.coords else np.full(len(names), "")
    plain = setting == "" if (setting == "").any() else np.full(len(names), True)
    restoring = summary["restoring"].values.astype(bool) if "restoring" in summary.coords else ~plain
    restored = np.isin(rule, rule[restoring]) & (plain | restoring)
    by_rule = looks(str(one) for one in rule)
    styles = {str(name): by_rule[str(one)] for name, one in zip(names, rule, strict=True)}
    forces = list(dict.fromkeys(setting[restoring]))
    for name, force in zip(names[restoring], setting[restoring], strict=True):
        other = OTHERS[forces.index(force) % len(OTHERS)]
        styles[str(name)] = replace(styles[str(name)], marker=other.marker, line=other.line)
    return summary.isel(learner=plain), summary.isel(learner=restored), styles


def _looks_at(recording: Recording, summary: xr.Dataset) -> NDArray[np.int_]:
    """Return the occurrences after which the weights of any run were looked at, at the summary's event fraction."""
    runs = learning_runs(recording, summary, summary["event_fraction"].item())
    if runs is None or "snapshot_occurrence" not in runs:
        return np.array([], int)
    occurrences = np.unique(runs["snapshot_occurrence"].values)
    return occurrences[occurrences > 0]


def cascade_figure(recording: Recording, *, replay: str | None = None, figure: Figure | None = None) -> Figure:
    """Draw how a change cascades upstream: when it arrives, what holds it back, how fast the error comes, how it rests.

    The summary says by coordinates over `learner` how learners belong together: `rule`, the name of the learner without
    its setting; `setting`, what is changed, ``""`` if nothing is; `restoring`, whether that is a force that restores
    the weights. A learner is its own rule, without a setting, and every setting restores, where they are not.

    Parameters
    ----------
    recording : Recording
    replay : str, optional
        The replay condition, where there are several; ``"off"`` if not given.
    figure : Figure, optional
        Where to draw; a page that shows itself in a notebook, if not given.

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
    summary = conditions(recording, "learner", "event_fraction", "seed", "hop", replay=replay)
    rarest = summary.isel(event_fraction=int(np.argmin(summary["event_fraction"].values)))
    plain, restored, styles = _plain_and_restored(rarest)
    both = np.isin(plain["learner"], restored["learner"])
    at_rest = plain.isel(learner=both if both.any() else slice(1))
    shown = [str(name) for name in (restored if restored.sizes["learner"] else plain)["learner"].values]
    title = f"event frequency {rarest['event_fraction'].item():g}"
    entries = max(1 + plain.sizes["learner"], 1 + len(shown), 2 + len(PHASES) * at_rest.sizes["learner"])
    heights = (62, 2 + 3 * entries, 54)
    with page(sum(heights) + 22, figure) as drawn:
        grid = drawn.add_gridspec(3, 3, height_ratios=heights)
        a, beside = drawn.add_subplot(grid[0, :2]), drawn.add_subplot(grid[0, 2])
        above_b, above_c, above_d = (drawn.add_subplot(grid[1, k]) for k in range(3))
        b, c, d = (drawn.add_subplot(grid[2, k]) for k in range(3))
        arrival_by_hop(plain, _looks_at(recording, rarest), styles=styles, ax=a)
        legend_alone(beside, labelled_in(a), title)
        reach_by_frequency(summary.sel(learner=shown), styles=styles, ax=b)
        b.set_ylabel("reach at the last occurrence\n(hops upstream)")
        rules = [handle(styles[name], name) for name in shown]
        legend_alone(above_b, rules, "dotted: last hop of the circuit", at="lower left")
        latency_by_hop(plain, styles=styles, ax=c)
        legend_alone(above_c, labelled_in(c), "open symbols: not in every seed", at="lower left")
        mismatch_by_hop(at_rest, styles=styles, ax=d)
        keys = [key for key in labelled_in(d) if key.get_label() != EXACTLY_ZERO]
        legend_alone(above_d, keys, f"{title}\nduring: rare; before, after: background", at="lower left")
        letters((a, b, c, d))
        replayed = f" Replay: {summary['replay'].item()}." if "replay" in summary.coords else ""
        note(
            drawn,
            f"{over_seeds(summary.sizes['seed'])} {SIDEWAYS} "
            "a: mean over the seeds in which the change arrives; their number stands at the last hop if it is not all. "
            "A change arrives at the first look after it, and the axis shows the looks. "
            f"c: no symbol where no error spike differs. d: grey row for exact zeros.{replayed}",
        )
    return drawn
