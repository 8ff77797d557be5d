"""Hold a single event longer, in the world or in attention, and see how far upstream its front gets.

Question
    One event happens once. How far upstream does the change that it causes reach within this one event, hop by hop, as
    a function of how long its outcome is there? Is an outcome that the attention loop holds as good as one that really
    stays? For which screening does the front stop on its way through 20 hops?
Source
    The argument and the model: docs/model.md; the circuit and its parameters: models/chain.py; the event:
    models/single_event.py; the attention loop: bioplastic/hippocampus/; for how long it holds what:
    scripts/attention_span.py. Results and what they are worth: docs/attention.md.
Command
    python scripts/attention.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two quiet cores: default 6 minutes, --quick under a minute, model compiled and networks pretrained (both are
    kept; they take some two minutes). It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from bioplastic_models import chain, single_event
from brian2 import ms, second

from bioplastic import reach
from bioplastic.events import Schedule
from bioplastic.recording import Recording, labelled
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import estimate, log_interpolated
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions, measure
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, table
from bioplastic.study.summary import by_labels, each, named, sham_floor
from bioplastic.tasks import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

    from bioplastic import plots

PRESENT, HELD = "present", "held"
SCREENED, UNSCREENED = "error relay", "error relay, unscreened"
FINE, SKETCH = "theta 0.05", "theta 0.02, learning x 0.001"
HELD_UNDER = (SCREENED, UNSCREENED, FINE)
"""Rules under which events are also held in attention."""
EXPECTED_BEFOREHAND = ((100, 8), (400, 20))
"""Outcome in ms and hops that the front gets through: what a first sketch of the model gave, with gain 1, no leak, an
error threshold of 0.02 and hardly any learning. It is printed beside what is measured."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = 20
    """Length of the chain, in hops."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one event and one set of spike phases each."""
    durations: tuple[int, ...] = (50, 100, 200, 400, 800, 1600, 3200)
    """For how long the outcome really stays, in ms."""
    importances: tuple[float, ...] = (0.5, 0.7, 1.0, 1.5, 2.5, 4.0)
    """Of an event whose outcome stays for as long as usual, and is then held in attention."""
    rest: int = 3500
    """After an event, in ms: longer than the longest hold."""
    eta: float = 0.001
    """Learning rate."""
    thetas: tuple[float, ...] = (0.1, 0.05, 0.02)
    """Error thresholds, in spikes, at gain 1 and without leak, beside the screened rule and the unscreened control."""
    gains: tuple[float, ...] = (0.8, 0.7)
    """Gains per hop, at a threshold of 0.05 and without leak."""
    leak: int = 100
    """Time constant in ms of one more rule, which forgets its mismatch within the event, at a threshold of 0.05."""

    def __post_init__(self) -> None:
        if 0.05 not in self.thetas:
            raise ValueError(f"thetas = {self.thetas}; {FINE!r} must be among them: events are held under it too.")
        for name in ("durations", "importances"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(set(values)) or values[0] <= 0:
                raise ValueError(f"{name} = {values}; give two or more different ones above 0, in rising order.")


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0, 1),
        durations=(100, 400, 3200),
        importances=(0.25, 1.0, 4.0),
        thetas=(0.05,),
        gains=(0.8,),
    ),
}


def learners(settings: Settings) -> list[Learner]:
    """Return all rules, in the order of tables and figures."""
    timing, eta = chain.timing(settings.n_hops), settings.eta
    fine = ErrorRelay(theta=0.05)
    rules = {
        SCREENED: chain.screened(eta, settings.n_hops),
        UNSCREENED: chain.unscreened(eta),
        **{f"theta {x:g}": replace(fine, theta=x, eta=eta) for x in settings.thetas},
        **{f"{FINE}, gain {x:g}": replace(fine, gain=x, eta=eta) for x in settings.gains},
        f"{FINE}, leak {settings.leak} ms": replace(fine, tau_e=settings.leak * ms, eta=eta),
        # As little learning as in the sketch: the error is not learned away while it travels.
        SKETCH: replace(fine, theta=0.02, eta=eta / 1000),
    }
    return [Learner(name, partial(with_rate, rule), timing, (rule.eta,)) for name, rule in rules.items()]


def with_rate(rule: ErrorRelay, eta: float) -> ErrorRelay:
    """Return a rule at a learning rate."""
    return replace(rule, eta=eta)


class Attention(Bench):
    """What all lives share: one chain with a hippocampus, whose spikes are recorded."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.timing = settings, chain.timing(settings.n_hops)
        super().__init__(
            chain.circuit(settings.n_hops),
            digits(),
            settings.seeds,
            learners(settings),
            hippocampus=chain.hippocampus(settings.n_hops),
            record_spikes=True,
        )


def plan(bench: Attention, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the lives in which the event is held, then those in which it really stays."""
    for kind, label, values in ((HELD, "importance", settings.importances), (PRESENT, "duration", settings.durations)):
        everyone = [one for one in bench.learners if kind == PRESENT or one.name in HELD_UNDER]
        axes = {"seed": settings.seeds, label: values}
        yield [c for one in everyone for c in conditions(kind, [one], **axes, rate=one.rates)]


def measured(bench: Attention, condition: Condition) -> Measure:
    """Live one event and a rest after it, its sham, and a second sham with other spike phases.

    Nothing comes before it: the outcomes of earlier events would last as long as its own, and what they leave in the
    mismatch of far hops helps its front on.
    """
    circuit, timing, importance = bench.circuit, bench.timing, single_event.UNHELD
    if condition.kind == PRESENT:
        timing = replace(timing, outcome=condition["duration"] * ms)
    else:
        importance = condition["importance"]
    event = single_event.single(bench.task, condition["seed"], importance)
    schedule = Schedule.of([event]).with_night(bench.settings.rest * ms, timing)
    life = bench.life(condition, schedule, timing=timing)
    lived = yield from bench.beside_shams(life)
    assert lived[0].onset is not None  # all lives are in spikes
    onset = float(lived[0].onset[0]) + float(timing.lead)
    there, there_sham = (1000 * measure.time_there(circuit, x, onset, single_event.SILENCE) for x in lived[:2])
    surprise = measure.surprise(circuit, lived[0], onset, timing, life.rule.theta)
    # All error spikes from the event on: what is in flight when the outcome goes, and what is held, comes later.
    counts = [one.error_signal.sum(0, keepdims=True) for one in lived]
    return measure.dataset(
        circuit,
        {
            "time": labelled((), there, TIME, "ms"),
            "time_sham": labelled((), there_sham, "the same in the sham run", "ms"),
            "surprise": labelled((), surprise, SURPRISE),
        },
        measure.changes(circuit, life.weights, *([one.weights] for one in lived)),
        measure.error_spikes(*counts),
        measure.front(circuit, lived[0], onset),
    )


TIME = "time for which the outcome was there from its onset on, in the world or in attention"
SURPRISE = "mismatch signalled at the error source while the world drove it, in spikes"


# ------------------------------------------------------------------------------------------ summary

CHANGED, CHANGED_SHAM, CAUSED = "hops_changed", "hops_changed_sham", "hops_caused"


def summarise(bench: Attention, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the runs by way of holding."""
    return {
        "summary_present": gathered(
            bench, runs, PRESENT, labelled("duration", settings.durations, "time for which the outcome stayed", "ms")
        ),
        "summary_held": gathered(
            bench, runs, HELD, labelled("importance", settings.importances, "importance (salience) of the event")
        ),
    }


def gathered(bench: Attention, runs: Runs, kind: str, axis: xr.Variable) -> xr.Dataset:
    """Gather the measures of all single events in one way of holding, over rule, seed, and duration or importance."""
    found = by_labels(runs.of(kind), "learner", "seed", str(axis.dims[0])).rename(learner="rule")
    found = found.isel(snapshot=0, occurrence=0).drop_vars(["change_sham", "error_spikes_sham2"])
    rules = [one.rule(one.rates[0]) for one in bench.learners if one.name in found["rule"]]
    nothing = xr.zeros_like(found["change"])

    def passed(change: xr.DataArray, floor: xr.DataArray, long_name: str) -> xr.Variable:
        return named(each(reach.reach, change, floor, over="hop") + 1, long_name)

    return found.assign(
        {
            CHANGED: passed(
                found["error_spikes"],
                nothing,
                "hops, from hop 0 on, that changed at all from the event on: there were error spikes",
            ),
            CHANGED_SHAM: passed(found["error_spikes_sham"], nothing, "the same in the sham run"),
            CAUSED: passed(
                found["change"],
                sham_floor(found["change_floor"]),
                "hops, from hop 0 on, that changed against the sham run by more than the sham floor",
            ),
            "theta": labelled("rule", [rule.theta for rule in rules], "error threshold, in spikes"),
            "gain": labelled("rule", [rule.gain for rule in rules], "gain of an error per hop"),
            "tau_e": labelled(
                "rule",
                [float(rule.tau_e / second) for rule in rules],
                "time constant of the mismatch (inf: no leak)",
                "s",
            ),
            "eta": labelled("rule", [rule.eta for rule in rules], "learning rate"),
        }
    ).assign_coords({axis.dims[0]: axis})


def in_the_world(recording: Recording, name: str) -> xr.DataArray:
    """Return what the world does when the outcome stays there as long as attention held it."""
    held = recording["summary_held"]
    world = recording["summary_present"].sel(rule=held["rule"])
    found: xr.DataArray = xr.apply_ufunc(
        log_interpolated,
        world["time"],
        world[name],
        held["time"],
        input_core_dims=[["duration"], ["duration"], ["importance"]],
        output_core_dims=[["importance"]],
        vectorize=True,
    )
    return found


# ------------------------------------------------------------------------------------------ what is shown


def text(values: xr.DataArray, form: str = ".1f") -> str:
    """Mean over seeds and interval, on two lines of a cell."""
    return format(estimate(values.values), form).replace(" [", "\n[")


def tables(recording: Recording) -> Iterator[Table]:
    """Yield hops by rule and duration, and held events beside the same time in the world."""
    present, held = recording["summary_present"], recording["summary_held"]
    titles = {
        CHANGED: f"Hops, of {present.sizes['hop']}, that one event changed at all, by how long its outcome stays",
        CHANGED_SHAM: "The same where the outcome is the one that was predicted (sham)",
        CAUSED: "Hops that it changed against the sham run by more than the sham floor",
    }
    headings = ["rule", *(f"{d} ms" for d in present["duration"].values)]
    caption = f"{n_seeds(recording, 'summary_present')}; mean [95 % interval over seeds]"
    for name, title in titles.items():
        rows = [[str(row["rule"].values), *(text(one) for one in row.T)] for row in present[name]]
        yield table(title, headings, rows, caption if name == CAUSED else "")
    headings = ["importance", "held", "ms", "changed: held", "world", "beyond sham: held", "world"]
    same = {name: in_the_world(recording, name) for name in (CHANGED, CAUSED)}
    for rule in held["rule"].values:
        rows = []
        for importance in held["importance"].values:
            at = {"rule": rule, "importance": importance}
            one, n = held.sel(at), int(single_event.is_held(held["time"].sel(at)).sum())
            hops = [text(hops.sel(at)) for name in same for hops in (held[name], same[name])]
            rows.append([f"{importance:g}", f"{n} of {one.sizes['seed']}", text(one["time"], ".0f"), *hops])
        yield table(f"Held in attention, and the same time in the world: {rule}", headings, rows)


def statements(recording: Recording) -> Iterator[str]:
    """Say what the numbers mean for the argument."""
    present, held = recording["summary_present"], recording["summary_held"]
    durations, n_hops = present["duration"].values, present.sizes["hop"]
    beforehand = " and ".join(f"{hops} at {duration} ms" for duration, hops in EXPECTED_BEFOREHAND)
    yield f"Expected beforehand (gain 1, no leak, theta 0.02, hardly any learning): hops {beforehand}."
    pace = each(reach.time_per_hop, present["front"].isel(duration=-1), over="hop")
    for name in present["rule"].values:
        passed = present[CHANGED].sel(rule=name)
        hops = {d: f"{estimate(passed.sel(duration=d).values):.1f}" for d in durations}
        shown = ", ".join(f"{hops[d]} at {d} ms" for d, _ in EXPECTED_BEFOREHAND if d in durations)
        through = durations[(passed == n_hops).all("seed").values]
        end = (
            f"through all {n_hops} in every seed from {through[0]} ms on"
            if len(through)
            else f"stops: {hops[durations[-1]]} at {durations[-1]} ms"
        )
        speed = estimate(pace.sel(rule=name).values)
        yield f"  {name}: {shown}; {end}{f'; {speed:.0f} ms per hop' * (speed.n > 0)}."
    for name in held["rule"].values:
        own, long = held.sel(rule=name), single_event.is_held(held["time"].sel(rule=name))
        if not long.any():
            yield f"Held under {name}: no event was."
            continue
        fewer = []
        for which in (CHANGED, CAUSED):
            same = in_the_world(recording, which).sel(rule=name)
            # Where both are through the whole chain there is nothing to compare.
            compared = long & ((own[which] < n_hops) | (same < n_hops))
            fewer.append(estimate((own[which] - same).where(compared).mean("importance").values))
        same = in_the_world(recording, "change").sel(rule=name)
        ratio = (own["change"] / same.where(same > 0)).where(long).mean("importance")
        near, next_to_it = (estimate(ratio.sel(hop=hop).values) for hop in (0, 1))
        yield (
            f"Held instead of really there for as long, {name}: {fewer[0]:+.2f} hops changed at all, {fewer[1]:+.2f} "
            f"beyond sham; change of hop 0 times {near:.2f}, of hop 1 times {next_to_it:.2f}; sham events held: "
            f"{int(single_event.is_held(own['time_sham']).sum())} of {long.size}."
        )


def looks(names: Sequence[str]) -> dict[str, plots.Style]:
    """How each rule is drawn: known ones as everywhere, the one that is in most panels always alike."""
    from bioplastic import plots

    found = plots.looks(sorted(names, key=lambda name: name != FINE))
    return found | {SKETCH: plots.Style("#c46bb0", "X", (0, (5, 1.2, 1, 1.2)))}


def hops_panel(axes: Axes, present: xr.Dataset, name: str, rules: Sequence[str]) -> None:
    """Draw hops against the time that the outcome was there, with room for a legend above the last hop."""
    from bioplastic import plots

    n_hops = present.sizes["hop"]
    for rule in rules:
        one = present.sel(rule=rule).transpose("seed", ...)
        plots.curve(axes, one["time"].mean("seed"), one[name], looks(rules)[rule], rule)
    plots.reference(axes, n_hops)
    plots.log_ticks(axes, [50, 100, 200, 400, 800, 1600, 3200])
    axes.set_yticks(range(0, n_hops + 1, max(1, n_hops // 4)))
    axes.set(xlabel="outcome present, or held (ms)", ylabel="hops changed", ylim=(0, 1.5 * n_hops))


def held_points(axes: Axes, held: xr.Dataset, name: str) -> None:
    """Add what events that were held in attention changed."""
    from bioplastic import plots

    rules = held["rule"].values.tolist()
    for rule in rules:
        one = held.sel(rule=rule).transpose("seed", ...)
        one = one.isel(importance=single_event.is_held(one["time"]).all("seed").values)
        if one.sizes["importance"]:
            plots.points(axes, one["time"], one[name], looks(rules)[rule], order=3)
            axes.lines[-1].set(markerfacecolor="white", markersize=5)


def profile_panel(axes: Axes, recording: Recording, rule: str) -> None:
    """Draw change by hop, held and for the same time in the world, for the shortest and the longest hold."""
    from bioplastic import plots

    held, same = recording["summary_held"].sel(rule=rule), in_the_world(recording, "change").sel(rule=rule)
    hop, changes = held["hop"].values, (same, held["change"])
    always = np.flatnonzero(single_event.is_held(held["time"]).all("seed"))
    shown = dict.fromkeys((always[0], always[-1])) if len(always) else {}
    for k, look in zip(shown, plots.styles((UNSCREENED, SCREENED)), strict=False):
        ms_held = f"{held['time'].isel(importance=k).mean():.0f} ms"
        # No line down to what never changes.
        world, own = (one.isel(importance=k).where(one.isel(importance=k).mean("seed") > 0) for one in changes)
        plots.curve(axes, hop, world.transpose("seed", "hop"), replace(look, line="-"), f"world, {ms_held}")
        axes.plot(hop, own.mean("seed"), look.marker, color=look.color, mfc="white", label=f"held, {ms_held}")
    axes.set(yscale="log", xlabel="hops upstream", ylabel="relative change")
    axes.locator_params(axis="x", integer=True)
    if shown:
        axes.set_ylim(bottom=1e-6)
        axes.legend(fontsize=6, loc="upper right")


def travel_panel(axes: Axes, present: xr.Dataset) -> None:
    """Draw when the front is at which hop, within the event.

    They go the same way, so that only the longest is drawn whole, and of the others where they stop.
    """
    from bioplastic import plots

    *shorter, longest = present["duration"].values
    front = present["front"].transpose("seed", "duration", "hop")
    whole = front.sel(duration=longest).dropna("hop")
    plots.points(axes, whole, whole["hop"], plots.Style("0.5", "o", "-"), f"stays {longest} ms", joined=True)
    for duration, marker in zip((d for d in (50, 200, 400) if d in shorter), "sD^", strict=False):
        stopped = front.sel(duration=duration).dropna("hop").isel(hop=slice(-1, None))
        if stopped.size:
            at, label = stopped.mean("seed"), f"stops, {duration} ms"
            axes.plot(at, stopped["hop"], marker, ms=7, mfc="none", color="k", label=label)
            axes.axvline(duration, color="0.3", lw=0.7, ls=":")
    axes.set(xscale="log", xlabel="time from the onset of the outcome (ms)", ylabel="hop reached")
    axes.locator_params(axis="y", integer=True)
    axes.legend(fontsize=6, loc="upper left")


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw hops against time, change by hop, and the front's way."""
    from matplotlib.lines import Line2D

    from bioplastic import plots

    present, held = recording["summary_present"], recording["summary_held"]
    rules, also_held = present["rule"].values.tolist(), held["rule"].values.tolist()
    by_theta = [x for x in rules if x in (SCREENED, UNSCREENED) or (x.startswith("theta") and "," not in x)]
    others = [x for x in rules if x.startswith(f"{FINE}, ") or x in (FINE, SKETCH)]
    with plots.page(175) as figure:
        panels = figure.subplots(3, 2).ravel()
        for axes, name in zip(panels[:2], (CHANGED, CAUSED), strict=True):
            hops_panel(axes, present, name, also_held)
            held_points(axes, held, name)
        for rule in also_held:
            sham, color = present.sel(rule=rule).mean("seed"), looks(also_held)[rule].color
            panels[0].plot(sham["time"], sham[CHANGED_SHAM], color=color, ls=plots.DOTTED, lw=0.8)
        handles = panels[0].get_legend_handles_labels()[0]
        handles += [
            plots.open_symbol("held in attention"),
            Line2D([], [], color="0.3", ls=plots.DOTTED, lw=0.8, label="sham"),
        ]
        plots.small_legend(panels[0], handles, at="upper left", columns=2)
        for axes, names in zip(panels[2:4], (by_theta, others), strict=True):
            hops_panel(axes, present, CHANGED, names)
            axes.plot(*np.transpose(EXPECTED_BEFOREHAND), "k+", ms=9, mew=1.4, label="expected")
            plots.small_legend(axes, at="upper left", columns=2)
        profile_panel(panels[4], recording, FINE)
        travel_panel(panels[5], present.sel(rule=FINE))
        headings = ["changed at all", "changed against sham, beyond its floor", "thresholds", "gain, leak and learning"]
        headings += [f"the same time, {FINE}", f"the front's way, {FINE}"]
        for axes, words in zip(panels, headings, strict=True):
            plots.heading(axes, words)
        plots.letters(panels)
        plots.note(
            figure,
            f"One event; {n_seeds(recording, 'summary_present')}, bands and bars: 95 % bootstrap intervals over seeds. "
            "a, b: lines with filled markers: the outcome really stayed; open markers: it was there for 120 ms and "
            "then held in attention, importance rising from left to right. c, d: the outcome really stayed; crosses: "
            "what a first sketch of the model gave (theta 0.02, gain 1, hardly any learning). e: lines are "
            "interpolated between durations. f: dotted, the end of an outcome; markers, the last hop reached in every "
            "seed.",
        )
    return {"": figure}


STUDY = Study(
    name="attention",
    title="Reach within a single event against how long it is there",
    settings=SETTINGS,
    bench=Attention,
    plan=plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "5 minutes", "quick": "under a minute"},
    grid=("seeds", "durations", "importances", "thetas", "gains"),
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
