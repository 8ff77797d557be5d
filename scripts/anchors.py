"""Reproduce published results on which the argument rests, with the code of this library.

Question
    Do our predictive coding, our TD(0), our theory and our Brian2 give the numbers that others have published? Six
    anchors: the linear predictive-coding chain, the TD(0) ladder, the delayed arrival of the error, predictive coding
    against backprop, the dendritic prediction of the somatic potential, target alignment with depth.
Source
    models/published/ has a file for each; docs/anchors.md says what was published and where, our set-up, what differs,
    and our numbers.
Command
    python scripts/anchors.py [--quick] [--out FILE] [--jobs N]
Running time
    On two cores: default 3 minutes, --quick under a minute. It may be interrupted and goes on with the next anchor.
Output
    A table of published figure, ours, tolerance, pass or FAIL; one HDF5 file with all curves, a figure beside it as PNG
    and PDF.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from bioplastic_models.published import (
    delayed_error,
    dendritic_prediction,
    predictive_coding_and_backprop,
    predictive_coding_chain,
    target_alignment,
    td_ladder,
)
from bioplastic_models.published.results import Check
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.recording import Recording, labelled
from bioplastic.study import Condition, Runs, Study
from bioplastic.study.bench import Progress
from bioplastic.study.report import table

GROUP = "anchors_"
"""What the groups of the results begin with."""


@dataclass(frozen=True)
class Settings:
    """Settings of the anchors, result by result."""

    predictive_coding_chain: predictive_coding_chain.Settings = field(default_factory=predictive_coding_chain.Settings)
    """Errors along a linear chain."""
    td_ladder: td_ladder.Settings = field(default_factory=td_ladder.Settings)
    """Values of TD(0)."""
    delayed_error: delayed_error.Settings = field(default_factory=delayed_error.Settings)
    """When and how faintly the error arrives."""
    predictive_coding_and_backprop: predictive_coding_and_backprop.Settings = field(
        default_factory=predictive_coding_and_backprop.Settings
    )
    """With fixed predictions, and without."""
    dendritic_prediction: dendritic_prediction.Settings = field(default_factory=dendritic_prediction.Settings)
    """A dendrite that learns to predict its soma."""
    target_alignment: target_alignment.Settings = field(default_factory=target_alignment.Settings)
    """How straight outputs move towards their targets."""


RESULTS: Mapping[str, ModuleType] = {
    "predictive_coding_chain": predictive_coding_chain,
    "td_ladder": td_ladder,
    "delayed_error": delayed_error,
    "predictive_coding_and_backprop": predictive_coding_and_backprop,
    "dendritic_prediction": dendritic_prediction,
    "target_alignment": target_alignment,
}
"""Each says in a file of its own what was published, and gives it again: `reproduce(settings)`."""
SETTINGS = {"": Settings(), "quick": Settings(**{name: module.QUICK for name, module in RESULTS.items()})}
COLUMNS = {
    "published": "published figure (NaN: a curve or a statement)",
    "ours": "our figure",
    "low": "smallest figure of ours that passes",
    "high": "largest figure of ours that passes",
    "units": "unit of the figures",
}


class Alone:
    """What the results share: their settings, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self, progress: Progress) -> None:
        """Nothing is to be prepared."""
        progress(1.0)


def plan(bench: Alone, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the results, each a kind of its own, since each has curves of its own."""
    yield [Condition(f"{GROUP}{name}", {"anchor": name}) for name in RESULTS]


def measure(bench: Alone, condition: Condition) -> xr.Dataset:
    """Reproduce one result: its curves, and the figures that are compared."""
    name = condition["anchor"]
    result = RESULTS[name].reproduce(getattr(bench.settings, name))
    checks = {
        f"check_{key}": labelled("check", [getattr(one, key) for one in result.checks], text)
        for key, text in COLUMNS.items()
    }
    about = {"title": labelled((), result.title, "what it says"), "source": labelled((), result.source, "who says it")}
    return result.curves.assign(checks | about).assign_coords(check=[one.claim for one in result.checks])


def summarise(bench: Alone, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Put the figures of all results below each other."""
    parts = [run for name in RESULTS for _, run in runs.of(f"{GROUP}{name}")]
    columns = {
        key: labelled("check", np.concatenate([part[f"check_{key}"].values for part in parts]), text)
        for key, text in COLUMNS.items()
    }
    anchor = np.repeat(list(RESULTS), [part.sizes["check"] for part in parts])
    passed = (columns["low"] <= columns["ours"]) & (columns["ours"] <= columns["high"])
    columns["anchor"] = labelled("check", anchor, "anchor that the check belongs to")
    columns["passed"] = labelled("check", passed.values, "whether ours passes", flags=("no", "yes"))
    return {"summary": xr.Dataset(columns, {"check": np.concatenate([part["check"].values for part in parts])})}


# ------------------------------------------------------------------------------------------ what is shown


def number(value: float) -> str:
    """A number as the table shows it."""
    if np.isnan(value):
        return "-"
    return f"{value:.2g}" if abs(value) < 1e-3 else f"{value:.4g}"


def tolerance(low: float, high: float) -> str:
    """A range as the table shows it."""
    if np.isinf(low):
        return f"at most {number(high)}"
    return f"at least {number(low)}" if np.isinf(high) else f"{number(low)} to {number(high)}"


def checks_of(recording: Recording, name: str) -> list[Check]:
    """Return the figures of a result that were compared."""
    mine = recording.summary.isel(check=recording.summary["anchor"].values == name)
    columns = [mine[key].values.tolist() for key in ("check", *COLUMNS)]
    return [
        Check(claim, published, ours, low, high, units)
        for claim, published, ours, low, high, units in zip(*columns, strict=True)
    ]


def tables(recording: Recording) -> Iterator[Table]:
    """Yield a table of figures for each result."""
    for name in RESULTS:
        about = recording.run(f"{GROUP}{name}")
        rows = [
            [
                one.claim + ("" if one.units == "1" else f" ({one.units})"),
                number(one.published),
                number(one.ours),
                tolerance(one.low, one.high),
                "pass" if one.passed else "FAIL",
            ]
            for one in checks_of(recording, name)
        ]
        headings = ["what is compared", "published", "ours", "tolerance", ""]
        yield table(f"{about['title'].item()} ({about['source'].item()})", headings, rows)


def statements(recording: Recording) -> Iterator[str]:
    """Say how many figures pass."""
    passed = recording.summary["passed"].values
    yield f"{int(passed.sum())} of {len(passed)} pass."


NOTE = (
    "a: errors of a linear chain after inference steps; lines: exact. b: settled, with a leak; lines: exact. c: "
    "TD(0); lines: tail of a binomial. d, e: the error gets one hop farther per inference step and loses a factor of "
    "the step size at each. d: white where it is exactly 0. e: lines are step size^hop times backprop; what is "
    "missing was rounded away in float64. f: angle of the weight change to backprop's gradient, a line per network. "
    "g: cosine of the change of the output to its error, mean and 95 % interval over networks. h, i: one presentation "
    "with the teacher, before and after learning."
)
PANELS: tuple[tuple[str, Callable[[Any, Any], None]], ...] = (
    ("predictive_coding_chain", predictive_coding_chain.draw_chain),
    ("predictive_coding_chain", predictive_coding_chain.draw_leak),
    ("td_ladder", td_ladder.draw_ladder),
    ("delayed_error", delayed_error.draw_delay),
    ("delayed_error", delayed_error.draw_arrival),
    ("predictive_coding_and_backprop", predictive_coding_and_backprop.draw_backprop),
    ("target_alignment", target_alignment.draw_alignment),
    ("dendritic_prediction", partial(dendritic_prediction.draw_dendrite, when="before")),
    ("dendritic_prediction", partial(dendritic_prediction.draw_dendrite, when="after")),
)


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw a panel for each result, more where one is not enough: ours against published."""
    with plots.page(185) as figure:
        for letter, axes, (name, panel) in zip("abcdefghi", figure.subplots(3, 3).ravel(), PANELS, strict=True):
            plots.letter(axes, letter)
            run = recording.run(f"{GROUP}{name}")
            panel(axes, {str(key): variable.values for key, variable in run.variables.items()})
        plots.note(figure, NOTE)
    return {"": figure}


STUDY = Study(
    name="anchors",
    title="Published results, reproduced",
    settings=SETTINGS,
    bench=Alone,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "3 minutes", "quick": "under a minute"},
    made_of=[module.reproduce for module in RESULTS.values()],
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
