"""See for how long an event is held in attention, given its importance and its surprise.

Question
    For how long is an event held, given its importance and its surprise, and what is not held at all?
Source
    The attention loop: bioplastic/hippocampus/; the circuit and its parameters: models/chain.py; the events:
    models/single_event.py. Results and what they are worth: docs/attention.md.
Command
    python scripts/attention_span.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two quiet cores: a minute, model compiled and networks pretrained. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from bioplastic_models import chain, single_event
from brian2 import ms

from bioplastic.recording import Recording, labelled
from bioplastic.statistics import estimate, threshold
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions, measure
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, table
from bioplastic.study.summary import by_labels
from bioplastic.tasks import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

HOLDING = "holding"
KINDS = {1: "surprising", 0: "expected"}


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = 20
    """Length of the chain, in hops."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one row of events and one set of spike phases each."""
    importances: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)
    """Of the events, in rising order."""
    n_events: int = 3
    """So many surprising and as many expected events of each importance."""
    rest: int = 3500
    """After an event, in ms: longer than the longest hold."""


SETTINGS = {"": Settings(), "quick": Settings(seeds=(0, 1), importances=(0.1, 0.5, 1.0, 4.0), n_events=1)}


class AttentionSpan(Bench):
    """What all lives share: a chain with a hippocampus, whose spikes are recorded."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.timing = settings, chain.timing(settings.n_hops)
        n_events = 2 * settings.n_events * len(settings.importances)
        super().__init__(
            chain.circuit(settings.n_hops),
            digits(),
            settings.seeds,
            [Learner("error relay", partial(chain.screened, n_hops=settings.n_hops), self.timing)],
            hippocampus=chain.hippocampus(settings.n_hops),
            longest=n_events * float((self.timing.event + settings.rest * ms) / self.timing.resolution),
            record_spikes=True,
        )


def plan(bench: AttentionSpan, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield a life for each seed."""
    yield conditions(HOLDING, bench.learners, seed=settings.seeds)


def measured(bench: AttentionSpan, condition: Condition) -> Measure:
    """Live a row of events with rests between them, weights frozen, and see for how long each is held."""
    settings, circuit, timing = bench.settings, bench.circuit, bench.timing
    events = single_event.surprising_and_expected(
        bench.task, condition["seed"], settings.importances, settings.n_events
    )
    schedule = events.with_rest_after(np.ones(len(events), bool), settings.rest * ms, timing)
    life = bench.life(condition, schedule)
    (lived,) = yield bench.ask(life)
    assert lived.onset is not None  # all lives are in spikes
    onsets = lived.onset[~schedule.resting] + float(timing.lead)
    there = [1000 * measure.time_there(circuit, lived, onset, single_event.SILENCE) for onset in onsets]
    surprise = [measure.surprise(circuit, lived, onset, timing, life.rule.theta) for onset in onsets]
    kind = events.rare.astype(int)
    time = "time for which the outcome was there, in the world or in attention"
    return xr.Dataset(
        {
            "importance": labelled("event", events.salience, "importance (salience) of each event"),
            "surprising": labelled("event", kind, "whether it is the rare event", flags=("no", "yes")),
            "surprise": labelled("event", surprise, "mismatch signalled at the error source, in spikes"),
            "time": labelled("event", there, time, "ms"),
        }
    )


def summarise(bench: AttentionSpan, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Put the events of all seeds side by side."""
    return {"summary": by_labels(runs.of(HOLDING), "seed")}


# ------------------------------------------------------------------------------------------ what is shown


def of_kind(recording: Recording, surprising: int) -> xr.Dataset:
    """Return the events of a kind, over importance, seed and event; NaN for the others."""
    events = recording.summary
    given = np.unique(events["importance"])
    mine = events["importance"] == xr.DataArray(given, {"importance": given}, ["importance"])
    found: xr.Dataset = events[["time", "surprise"]].where(mine & (events["surprising"] == surprising))
    return found.transpose("importance", "seed", "event")


def share_held(events: xr.Dataset) -> xr.DataArray:
    """Return the share of events that were held, by importance."""
    held: xr.DataArray = single_event.is_held(events["time"]).where(events["time"].notnull())
    return held.mean(("seed", "event"))


def tables(recording: Recording) -> Iterator[Table]:
    """Yield for how long events are there, by importance and surprise."""
    headings, columns = ["importance"], []
    for kind, words in KINDS.items():
        events = of_kind(recording, kind)
        mean = events.mean("event")
        headings += [f"{words}: spikes", "share held", "ms"]
        columns.append([f"{estimate(one):.1f}" for one in mean["surprise"].values])
        columns.append([f"{share:.2f}" for share in share_held(events).values])
        columns.append([f"{estimate(one):.0f}" for one in mean["time"].values])
    yield table(
        "For how long events are there (outcome of 120 ms included), weights frozen",
        headings,
        [[f"{x:g}", *cells] for x, *cells in zip(events["importance"].values, *columns, strict=True)],
        f"{n_seeds(recording)}; mean [95 % interval over seeds]",
    )


def statements(recording: Recording) -> Iterator[str]:
    """Say from which importance on events are held."""
    for kind, words in KINDS.items():
        share = share_held(of_kind(recording, kind))
        least = (threshold(share["importance"].values, share.values, wanted) for wanted in (0, 0.95))
        any_, most = ("never" if np.isinf(x) else f"from {x:g} on" for x in least)
        yield f"Least importance at which {words} events are held: any {any_}, 95 % of them {most}."


def single_events(axes: Axes, recording: Recording) -> None:
    """Draw for how long single events are there against their surprise, and what the loop's parameters say."""
    from bioplastic import plots

    events = recording.summary
    hippocampus, given = chain.hippocampus(recording.provenance.settings["n_hops"]), events["importance"].values
    chosen = [w for w in (0.5, 1.0, 2.0, 4.0) if w in given]
    spikes = np.linspace(0, float(events["surprise"].max()), 100)
    for importance, shade, marker in zip(chosen, np.linspace(0.75, 0.0, len(chosen)), "v^so", strict=False):
        surprise, time = (events[name].values[given == importance] for name in ("surprise", "time"))
        drive = importance * spikes * float(hippocampus.hold_per_error / ms)
        axes.plot(spikes, np.minimum(drive, float(hippocampus.longest_hold / ms)), color=str(shade), lw=0.8)
        (dots,) = axes.plot(surprise, time, marker, ms=3, mec="0.2", mew=0.4, color=str(shade))
        dots.set_label(f"{importance:g}")
    plots.small_legend(axes, at="upper left").set_title("importance")
    axes.set_xlabel("error spikes at the error source (surprise)")


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw for how long events are there against importance and against surprise."""
    from bioplastic import plots

    styles = (plots.Style("#14148c", "o", "-"), plots.Style("0.5", "s", (0, (5, 1.5))))
    with plots.page(62) as figure:
        panels = a, b = figure.subplots(1, 2)
        for (kind, words), look in zip(KINDS.items(), styles, strict=True):
            time = of_kind(recording, kind)["time"].mean("event")
            plots.curve(a, time["importance"], time.transpose("seed", "importance"), look, words)
        plots.log_ticks(a, [0.1, 0.3, 1, 3])
        a.set_xlabel("importance of the event")
        a.legend(loc="upper left")
        single_events(b, recording)
        for axes, heading in zip(panels, ("how long events are held", "single events"), strict=True):
            axes.axhline(1000 * float(chain.OUTCOME), color="0.6", lw=0.7, ls=":")
            axes.set_ylabel("there for (ms)")
            plots.heading(axes, heading)
        plots.letters(panels)
        plots.note(
            figure,
            f"{plots.over_seeds(recording.summary.sizes['seed'], 'bands')} Dotted: nothing held. b: lines, importance "
            "x 60 ms x spikes, at most 3 s.",
        )
    return {"": figure}


STUDY = Study(
    name="attention_span",
    title="For how long events are held in attention",
    settings=SETTINGS,
    bench=AttentionSpan,
    plan=plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "a minute", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
