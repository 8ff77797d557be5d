"""Thinking as learning: attention holds what one association evokes, and the rule of every day runs on it.

Question
    A goes with B, B goes with C; A and C never meet in experience. Attention holds A, lets it evoke B, holds that and
    lets it evoke C, with nothing coming from the senses, and while A is held again that C counts as its outcome. Do
    A's direct prediction of C and the one through B come to agree, also on pairs never rehearsed? For two local spiking
    rules and backprop, each with what it evokes itself; with weights frozen, attention off, what is evoked going to
    others, a sham, and the pairs really met. What thinking makes of comparisons along a series that were never made:
    scripts/transitive_inference.py.
Source
    Circuit and rules: models/association.py; how attention thinks, and the controls: models/thinking.py; what is
    learned: models/concepts.py. The criterion: docs/claims.md, 10.
Command
    python scripts/coherence.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 3 minutes (estimated), --quick half a minute, and half a minute to compile. It may be
    interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from bioplastic_models import thinking
from bioplastic_models.concepts import GROUPS, NEW, NOT_REHEARSED, REHEARSED, Concepts
from bioplastic_models.thinking import FROZEN, LOOP, MET, OFF, ONLY, SHAM, SHUFFLED, halves, held, looks
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.claims.criterion import MIN_SEEDS, SHARE_MARGIN
from bioplastic.recording import Recording, labelled
from bioplastic.statistics import agreement, correlation, estimate
from bioplastic.study import Condition, Runs, Study
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, rows, said, table, written
from bioplastic.study.summary import by_labels
from bioplastic.study.tuning import tried


@dataclass(frozen=True)
class Settings(thinking.ThinkingSettings):
    """Settings of the experiment; together with the library's version they determine every number."""

    n_rehearsed: int = 24
    """Concepts gone through in thought."""
    n_known: int = 12
    """Concepts learned, but not gone through."""
    n_new: int = 12
    """Concepts of which nothing is ever shown."""

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Concepts of each group."""
        return self.n_rehearsed, self.n_known, self.n_new


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


class Coherence(thinking.ThinkingBench):
    """What all lives share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__(settings, n_rows=2 * settings.n_rehearsed + 2 * sum(settings.sizes))


# ------------------------------------------------------------------------------------------ what is measured

MEASURES = {
    "agreement": "correlation of C evoked by A directly and through B, means of cells removed",
    "agreement_plain": "the same correlation with the means of cells left in",
    "direct": "correlation of C evoked by A directly with what is true",
    "through": "correlation of C evoked by A through B with what is true",
    "a_evokes_b": "correlation of B evoked by A with what is true",
    "b_evokes_c": "correlation of C evoked by B with what is true",
}
OF_PAIRS = ("arm", "group", "round")


def measured(bench: Coherence, condition: Condition) -> Measure:
    """Let a network learn A-B and B-C, then think in every arm, and look at what A and B evoke after each round."""
    settings, young = bench.settings, bench.young(condition)
    world = Concepts.draw(settings.sizes, condition["seed"])
    for _ in range(settings.n_blocks):
        for stretch in world.experience(settings.n_passes, young.rng):
            yield from bench.evoked(condition, [young], [stretch])
    minds = bench.branches(young, condition)
    evoked = yield from bench.evoked(condition, minds, [looks(held(a=world.a)) for _ in minds])
    shape = len(minds), len(GROUPS), settings.n_rounds + 1
    found, score = {name: np.full(shape, np.nan) for name in MEASURES}, np.nan
    for look in range(settings.n_rounds + 1):
        at_b, direct = zip(*map(halves, evoked), strict=True)
        again = [looks(held(b=np.vstack([b, world.b]))) for b in at_b]
        seconds = yield from bench.evoked(condition, minds, again)
        through, second = zip(*(np.split(halves(e)[1], 2) for e in seconds), strict=True)
        for k, (b, c, b_c, of_b) in enumerate(zip(at_b, direct, through, second, strict=True)):
            for g, where in enumerate(world.members.values()):
                for name, value in compared(world, where, a_b=b, a_c=c, a_b_c=b_c, b_c=of_b).items():
                    found[name][k, g, look] = value
        if look == 0:
            score = learned(world, at_b[0], second[0])
        if look < settings.n_rounds:
            here = world.members[REHEARSED]
            thoughts = [
                world.thoughts(mind.arm, mind.rng, settings.n_repeats, b=b[here], through=t[here], direct=d[here])
                for mind, b, t, d in zip(minds, at_b, through, direct, strict=True)
            ]
            stretches = [world.experience(settings.n_passes, mind.rng) for mind in minds]
            evoked = yield from bench.think(condition, minds, thoughts, stretches)
    words = "mean of a_evokes_b and b_evokes_c over the concepts shown, at the end of experience"
    of_pairs = {name: labelled(OF_PAIRS, values, MEASURES[name]) for name, values in found.items()}
    axes = thinking.axes(condition, settings)
    axes["group"] = labelled("group", list(GROUPS), "concepts by what was done with them")
    return xr.Dataset(of_pairs | {"score": labelled((), score, words)}, axes)


def compared(
    world: Concepts, where: slice, *, a_b: np.ndarray, a_c: np.ndarray, a_b_c: np.ndarray, b_c: np.ndarray
) -> dict[str, float]:
    """Compare what is evoked in some concepts, by `MEASURES`.

    Parameters
    ----------
    world : Concepts
    where : slice
    a_b, a_c, a_b_c, b_c : array, shape (n_concepts, n_cells)
        What each A has evoked at B, at C directly, and at C through that, and what each B, as it is, has at C.
    """
    b, c = world.b[where], world.c[where]
    return {
        "agreement": agreement(a_c[where], a_b_c[where]),
        "agreement_plain": correlation(a_c[where], a_b_c[where]),
        "direct": agreement(a_c[where], c),
        "through": agreement(a_b_c[where], c),
        "a_evokes_b": agreement(a_b[where], b),
        "b_evokes_c": agreement(b_c[where], c),
    }


def learned(world: Concepts, at_b: np.ndarray, at_c: np.ndarray) -> float:
    """How well was learned what was shown: agreement of B as A evokes it, and of C as B does, with what is true; mean.

    Parameters
    ----------
    world : Concepts
    at_b, at_c : array, shape (n_concepts, n_cells)
        What each A has evoked at B, and what each B, as it is, has evoked at C.
    """
    shown = world.shown
    return float(np.mean([agreement(at_b[shown], world.b[shown]), agreement(at_c[shown], world.c[shown])]))


def summarise(bench: Coherence, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the results, the choice of learning rates, and what the loop does at each."""
    results = by_labels(runs.of(thinking.RESULT), "learner", "seed").drop_vars("score")
    summary = results.transpose("learner", *OF_PAIRS, "seed").assign(thinking.chosen(bench, runs))
    others = {}
    for when, look in (("before", 0), ("after", -1)):
        values = tried(runs, bench.learners, settings.tuning_seeds, lambda run, at=look: unrehearsed(run, at))  # type: ignore[misc]
        words = f"agreement on pairs not rehearsed, {when} the loop"
        others[f"agreement_{when}"] = labelled(("learner", "rate_index", "tuning_seed"), values, words)
    return {"summary": summary, "learning_rate_sweep": thinking.sweep(bench, settings, runs, others)}


def unrehearsed(run: xr.Dataset, look: int) -> np.ndarray:
    """Agreement on pairs not rehearsed at a look, in the loop."""
    return np.asarray(run["agreement"].sel(arm=LOOP, group=NOT_REHEARSED).isel(round=look))


# ------------------------------------------------------------------------------------------ what is shown


def raised(summary: xr.Dataset, learner: str, measure: str = "agreement") -> dict[str, np.ndarray]:
    """By how much the loop leaves the agreement higher, of one learner, on concepts that were not rehearsed.

    Parameters
    ----------
    summary : Dataset
    learner : str
    measure : str, optional
        One of `JUDGED`.

    Returns
    -------
    dict of str to array, shape (n_seeds,)
        Than before, and than each other arm does.
    """
    found = summary[measure].sel(learner=learner, group=NOT_REHEARSED)
    last = found.isel(round=-1)
    after = last.sel(arm=LOOP)
    gains = {"before": after - found.sel(arm=LOOP).isel(round=0)}
    gains |= {arm: after - last.sel(arm=arm) for arm in (FROZEN, OFF, SHUFFLED, SHAM, ONLY, MET)}
    return {what: one.values for what, one in gains.items()}


JUDGED = {"agreement": "means of cells removed", "agreement_plain": "as it is"}
"""What the criterion judges: the correlation of C evoked directly and through B, in two ways."""


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the table of what became of the agreement in every arm."""
    shown = thinking.after_each(recording.summary.sel(group=NOT_REHEARSED))
    means = [said(lambda seeds: f"{seeds.mean():.2f}", shown[name]) for name in list(MEASURES)[1:]]
    yield table(
        f"Pairs never met nor rehearsed: mean over {n_seeds(recording)} [95 % interval]. Agreement of A's direct "
        "prediction of C with that through B; correlations with what is true: both, B of A, C of B",
        ["learner", "after", "agreement", "plain", "direct", "through", "B of A", "C of B"],
        rows([written(shown["agreement"], ".2f"), *means], "learner", "arm"),
    )


def judgement(summary: xr.Dataset, learner: str, measure: str) -> Iterator[str]:
    """Say by how much the loop leaves a measure of agreement higher, and whether the criterion has what it asks for."""
    gains = {what: estimate(values) for what, values in raised(summary, learner, measure).items()}
    than = "; ".join(f"{what}: {gain}" for what, gain in gains.items() if what != MET)
    yield f"{learner}: the loop leaves the correlation ({JUDGED[measure]}) higher, by, than {than}."
    if summary.sizes["seed"] < MIN_SEEDS:
        return
    asked = {what: gains[what] for what in ("before", FROZEN, OFF, SHUFFLED)}
    fewer = [what for what, gain in asked.items() if gain.high < SHARE_MARGIN]
    unclear = [what for what, gain in asked.items() if gain.low < SHARE_MARGIN <= gain.high]
    parts = [
        f"{word} for {', '.join(those)}" for word, those in (("NO", fewer), ("not decided", unclear)) if those
    ] or ["yes"]
    yield f"  {SHARE_MARGIN} or more over before, weights frozen, loop off and shuffled: {'; '.join(parts)}."


def statements(recording: Recording) -> Iterator[str]:
    """Say of each learner what the loop does to the agreement, at which learning rate, and what it does at others."""
    for learner in recording.summary["learner"].values:
        for measure in JUDGED:
            yield from judgement(recording.summary, learner, measure)
        yield thinking.of_rate(recording, learner)
        one = recording["learning_rate_sweep"].sel(learner=learner).mean("tuning_seed")
        steps = zip(one["rate"].values, one["agreement_after"].values, strict=True)
        if parts := [f"{rate:g}: {after:.2f}" for rate, after in steps if np.isfinite(after)]:
            yield f"  agreement after the loop, by rate: {', '.join(parts)}"


MARKERS = {REHEARSED: ("o", "0.6"), NOT_REHEARSED: ("s", "black"), NEW: ("^", "white")}


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw what became of the agreement in every arm, for each learner."""
    summary = recording.summary
    after = summary["agreement"].isel(round=-1)
    arms, lowest = summary["arm"].values.tolist(), min(-0.2, float(after.min()) - 0.05)
    with plots.page(85) as drawn:
        panels = np.atleast_1d(drawn.subplots(1, summary.sizes["learner"], sharey="row"))
        for axes, name in zip(panels, summary["learner"].values, strict=True):
            before = estimate(summary["agreement"].sel(learner=name, arm=LOOP, group=NOT_REHEARSED).isel(round=0))
            shade = max(before.high, before.low + 0.004)
            axes.axvspan(before.low, shade, color="0.85", linewidth=0, label="before (not rehearsed)")
            for g, (group, (marker, face)) in enumerate(MARKERS.items()):
                at = np.arange(len(arms)) + 0.22 * (g - 1)
                values = after.sel(learner=name, group=group).transpose("seed", "arm").values
                plots.points(axes, values, at, plots.Style("black", marker, "none"), group)
                axes.lines[-1].set(markersize=4, markerfacecolor=face, markeredgewidth=0.6)
            plots.reference(axes, 0, along="y")
            axes.set_yticks(range(len(arms)), arms)
            axes.set_ylim(len(arms) - 0.4, -0.6)
            axes.set_xlim(lowest, 1.03)
            axes.set_xlabel("agreement (correlation)")
            plots.heading(axes, name)
        panels[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        plots.letters(panels)
        over = plots.over_seeds(summary.sizes["seed"], "bars")
        plots.note(drawn, f"After the last round of thought, concepts by what was done with them. {over}")
    return {"": drawn}


STUDY = Study(
    name="coherence",
    title="Thinking as learning: coherence",
    settings=SETTINGS,
    bench=Coherence,
    plan=thinking.plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "3 minutes (estimated)", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
