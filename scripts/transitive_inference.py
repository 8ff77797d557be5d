"""Compare items that were never compared: what thinking along a series does to its distance effect.

Question
    A series of items of which only neighbours were compared: what does thinking along the series do to comparisons that
    were never made, by their distance in the series? Attention holds an item, lets it evoke the next, and so on, with
    nothing coming from the senses; the item and each pattern that it comes to are held as a pair, and what the first
    step of the walk evokes as answer counts as the answer. For two local spiking rules and backprop, each with what it
    evokes itself; with weights frozen, attention off, what is evoked going to others, a sham, and the pairs really met.
Source
    Circuit and rules: models/association.py; how attention thinks, and the controls: models/thinking.py; the series,
    with references: models/item_series.py.
Command
    python scripts/transitive_inference.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 2 minutes (estimated), --quick half a minute, and half a minute to compile. It may be
    interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from bioplastic_models import item_series, thinking
from bioplastic_models.item_series import Walk, by_distance, far_from
from bioplastic_models.thinking import BESIDE, LOOP, MET, Mind, halves, held, looks
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.claims.criterion import MIN_SEEDS
from bioplastic.life import Lived
from bioplastic.recording import Recording, labelled
from bioplastic.statistics import estimate
from bioplastic.study import Ask, Condition, Runs, Study
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, rows, said, table, written
from bioplastic.study.summary import by_labels, each, named
from bioplastic.study.tuning import tried

FEWEST_ITEMS = 6
"""Of which the inner ones have two distances beyond neighbours."""


@dataclass(frozen=True)
class Settings(thinking.ThinkingSettings):
    """Settings of the experiment; together with the library's version they determine every number."""

    n_items: int = 7
    """Length of the series."""
    n_passes: int = 12
    """How often everything is shown in each block."""
    n_repeats: int = 3
    """How often it is held in each round."""

    def __post_init__(self) -> None:
        if self.n_items < FEWEST_ITEMS:
            raise ValueError(
                f"n_items = {self.n_items}; give {FEWEST_ITEMS} or more, for two distances of inner items."
            )


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0,),
        n_blocks=2,
        n_passes=3,
        n_rounds=1,
        n_repeats=2,
        spiking_rates=(0.1,),
        backprop_rates=(0.1,),
    ),
}


class Series(thinking.ThinkingBench):
    """What all lives share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # As many walks as pairs with the one first that comes first; every pair is looked at.
        super().__init__(settings, n_rows=3 * settings.n_items * (settings.n_items - 1))


# ------------------------------------------------------------------------------------------ what is measured

LOOK = ("arm", "round")


def walks(
    bench: Series, condition: Condition, minds: Sequence[Mind], x: np.ndarray
) -> Generator[Ask, list[Lived], list[Walk]]:
    """Let attention hold each item, then what that evokes, and so on to the end of the series."""
    at = [x[:-1] for _ in minds]
    steps: list[list[tuple[np.ndarray, ...]]] = [[] for _ in minds]
    for step in range(1, len(x)):
        starts = np.arange(len(x) - step)
        evoked = yield from bench.evoked(condition, minds, [looks(held(a=p)) for p in at])
        for k, e in enumerate(evoked):
            y = halves(e)[0]
            steps[k].append((starts, np.full(len(starts), step), y, at[k]))
            at[k] = y[:-1]  # the one that began last has reached the last item
    return [Walk(*(np.concatenate(column) for column in zip(*one, strict=True))) for one in steps]


def measured(bench: Series, condition: Condition) -> Measure:
    """Let a network learn neighbours, then think in every arm, and look at all comparisons and walks at each round."""
    settings, young = bench.settings, bench.young(condition)
    x, n, n_looks = item_series.draw(settings.n_items, condition["seed"]), settings.n_items, settings.n_rounds + 1
    for _ in range(settings.n_blocks):
        for stretch in item_series.experience(x, settings.n_passes, young.rng):
            yield from bench.evoked(condition, [young], [stretch])
    minds = bench.branches(young, condition)
    first, second = item_series.ordered_pairs(n)
    margin, score = np.full((len(minds), n_looks, n, n), np.nan), np.nan
    there, thought = np.full((2, len(minds), n_looks, n - 1), np.nan)
    judged = yield from bench.evoked(condition, minds, [looks(item_series.compared(x)) for _ in minds])
    for look in range(n_looks):
        walked = yield from walks(bench, condition, minds, x)
        met = yield from bench.evoked(condition, minds, [looks(walk.met(x)) for walk in walked])
        answer = [halves(e)[1] for e in met]
        for k, (walk, e) in enumerate(zip(walked, judged, strict=True)):
            margin[k, look][first, second] = item_series.margins(halves(e)[1], first, second)
            there[k, look] = item_series.by_step(item_series.arrived(walk, x), walk.step)
            thought[k, look] = item_series.by_step(item_series.thought_through(walk, x, answer[k]), walk.step)
        if look == 0:
            score = item_series.learned(x, walked[0].pattern[walked[0].step == 1], halves(judged[0])[1])
        if look < settings.n_rounds:
            thoughts = [
                item_series.thoughts(x, walk, told, mind.arm, rng=mind.rng, n_repeats=settings.n_repeats)
                for mind, walk, told in zip(minds, walked, answer, strict=True)
            ]
            stretches = [item_series.experience(x, settings.n_passes, mind.rng) for mind in minds]
            judged = yield from bench.think(condition, minds, thoughts, stretches)
    taught = "agreement of what neighbours evoke with what was taught, at the end of experience"
    right = "margin of the right answer (1: as taught, 0: undecided)"
    along = "fraction of walks that are at the right item after so many steps"
    found = {
        "margin": labelled((*LOOK, "first", "second"), margin, right),
        "walk": labelled((*LOOK, "distance"), there, along),
        "thought": labelled((*LOOK, "distance"), thought, "fraction of comparisons that a walk gets right"),
        "score": labelled((), score, taught),
    }
    return xr.Dataset(found, thinking.axes(condition, settings) | places(n))


def places(n_items: int) -> dict[str, xr.Variable]:
    """Label the items and their distances."""
    at, words = np.arange(1, n_items + 1), "place in the series of the {} item held"
    axes = {name: labelled(name, at, words.format(name)) for name in ("first", "second")}
    return axes | {"distance": labelled("distance", at[:-1], "distance in the series, in places")}


def summarise(bench: Series, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the results, the choice of learning rates, and what the loop does at each."""
    results = by_labels(runs.of(thinking.RESULT), "learner", "seed").drop_vars("score")
    summary = results.transpose("learner", *LOOK, "seed", ...)
    pair, margin = ("first", "second"), summary["margin"]
    right = (margin > 0).astype(float)
    slopes = [each(partial(item_series.distance_slope, inner=inner), margin, over=pair) for inner in (False, True)]
    at_distance = {
        "margin_at_distance": (margin, "mean margin of the right answer, by distance"),
        "accuracy_at_distance": (right, "fraction of comparisons that are right, by distance"),
    }
    for name, (values, words) in at_distance.items():
        summary[name] = named(each(by_distance, values, over=pair, gives=("distance",)), words)
    summary["distance_slope"] = named(slopes[0], "slope of the margin over the distance, from 2 places on")
    summary["distance_slope_inner"] = named(slopes[1], "the same without the first and the last item")
    others, axes = {}, ("learner", "rate_index", "tuning_seed", "distance")
    for when, look in (("before", 0), ("after", -1)):
        shape = (settings.n_items - 1,)
        found = tried(runs, bench.learners, settings.tuning_seeds, partial(in_the_loop, look=look), shape)
        others[f"margin_{when}"] = labelled(axes, found, f"mean margin, by distance, {when} the loop")
    sweep = thinking.sweep(bench, settings, runs, others).assign_coords(distance=summary["distance"].variable)
    return {"summary": summary.assign(thinking.chosen(bench, runs)), "learning_rate_sweep": sweep}


def in_the_loop(run: xr.Dataset, look: int) -> np.ndarray:
    """Margin by distance at a look, in the loop."""
    return by_distance(run["margin"].sel(arm=LOOP).isel(round=look).values)


# ------------------------------------------------------------------------------------------ what is shown


def never_made(at_distance: xr.DataArray) -> xr.DataArray:
    """Mean over all pairs that are no neighbours."""
    return each(far_from, at_distance, over="distance")


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the table of comparisons in every arm."""
    shown = thinking.after_each(recording.summary)
    margin = shown["margin_at_distance"]
    means = [never_made(shown["thought"]), margin.isel(distance=0), margin.isel(distance=-1)]
    think, near, far, inner = (
        said(lambda seeds: f"{seeds.mean():.2f}", one) for one in (*means, shown["distance_slope_inner"])
    )
    right, slope = (written(one, ".2f") for one in (never_made(shown["accuracy_at_distance"]), shown["distance_slope"]))
    yield table(
        "A series: comparisons never made that are right, at once and by thinking (1: all); margin of the right answer "
        "(1: as taught), neighbours and farthest; slope of the margin over distance, with and without the ends; mean "
        f"over {n_seeds(recording)} [95 % interval]",
        ["learner", "after", "right", "think", "near", "far", "slope", "inner"],
        rows([right, think, near, far, slope, inner], "learner", "arm"),
    )


def statements(recording: Recording) -> Iterator[str]:
    """Say of each learner which rate it had, and whether comparisons that were never made need any thought."""
    right = never_made(recording.summary["accuracy_at_distance"]).sel(arm=LOOP)
    for learner in recording.summary["learner"].values:
        yield f"{learner}:"
        yield thinking.of_rate(recording, learner)
        before, after = (estimate(right.sel(learner=learner).isel(round=look).values) for look in (0, -1))
        against = before.n >= MIN_SEEDS and before.low > 0.5
        yield (
            f"  comparisons never made are right before any thought in {before}, after the loop in {after}"
            f"{': no thought is needed for that, which is against the argument.' if against else '.'}"
        )


DRAWN = {
    "before": plots.Style("0.6", "o", (0, (1, 1))),
    LOOP: plots.Style("#14148c", "s", "-"),
    BESIDE: plots.Style("#2b7fce", "^", (0, (5, 1.5))),
    MET: plots.Style("#a3260f", "D", (0, (5, 1.2, 1, 1.2))),
}


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw the margin of the right answer by distance, in some arms, for each learner."""
    summary = recording.summary
    margin, distance = summary["margin_at_distance"].transpose(..., "seed", "distance"), summary["distance"].values
    high = 1.1 * float(margin.mean("seed").max())
    with plots.page(65) as drawn:
        panels = np.atleast_1d(drawn.subplots(1, summary.sizes["learner"], sharey="row"))
        for axes, name in zip(panels, summary["learner"].values, strict=True):
            for what, look in DRAWN.items():
                arm, at = (LOOP, 0) if what == "before" else (what, -1)
                plots.curve(axes, distance, margin.sel(learner=name, arm=arm).isel(round=at), look, what)
            plots.reference(axes, 0)
            axes.axvspan(0.6, 1.4, color="0.93", linewidth=0, zorder=-1)
            axes.set_xlim(0.6, distance[-1] + 0.4)
            axes.set_ylim(-0.1, high)
            axes.set_xticks(distance)
            axes.set_xlabel("distance in the series (places)")
            plots.heading(axes, name)
        panels[0].set_ylabel("margin of the right answer\n(1: as taught)")
        panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        plots.letters(panels)
        plots.note(
            drawn,
            "Shaded, the neighbours, which were taught; all others never met, except where really met. "
            f"{plots.over_seeds(summary.sizes['seed'], 'bands')}",
        )
    return {"": drawn}


STUDY = Study(
    name="transitive_inference",
    title="Thinking as learning: comparisons that were never made",
    settings=SETTINGS,
    bench=Series,
    plan=thinking.plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "2 minutes (estimated)", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
