"""``bioplastic compare``: what a recording says, as its experiment puts it, or else as estimates."""

from __future__ import annotations

import csv as as_csv
import io
import json as as_json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioplastic.cli.arguments import File, Out
from bioplastic.experiments import study_of

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from bioplastic.estimates import Measured
    from bioplastic.recording import Recording
    from bioplastic.statistics import Estimate

MOST_ROWS, MOST_LINES = 30, 60
"""What is shown without --all: rows of estimates, and lines of all."""
MOST_AROUND = 5
"""Lines of the title and of what stands below."""
MOST_COLUMNS = 6
"""Values of a label that stand side by side."""
NAME_WIDTH, ESTIMATE_WIDTH = 16, 12
"""Columns of the terminal for the name of a measure, and for an estimate."""
FEW_SEEDS = 5


def compare(file: File, /, *, all: bool = False, json: bool = False, csv: Out = None) -> None:
    """Compare the learners of a recording: the verdicts and the main table of its experiment.

    Parameters
    ----------
    file : Path
        The HDF5 file that an experiment made.
    all : bool
        Print all tables, and every estimate, such as those by hop.
    json : bool
        For a program to read: the sentences and every estimate.
    csv : Path, optional
        Also write every estimate to this CSV file.
    """
    from bioplastic.recording import RecordingError, read

    recording = read(file)
    if csv is not None and csv.resolve() == recording.path.resolve():
        raise RecordingError(f"{csv} is the recording itself: give another path to --csv.")
    tables, sentences = _told(recording)
    measures = _measures(recording)
    if json:
        print(as_json.dumps(_described(recording, sentences, measures), indent=1, ensure_ascii=False))
    else:
        _print(recording.provenance.title, tables, sentences, measures, everything=all)
    if csv is not None:
        _write_csv(csv, measures)
        print(f"wrote {csv}", file=sys.stderr if json else sys.stdout)


def _told(recording: Recording) -> tuple[list[Table], list[str]]:
    """Tables and sentences of the experiment that made a recording; none if it is not one of the library's."""
    from bioplastic.recording import RecordingError

    study = study_of(recording.provenance) if recording.provenance.schema_version > 1 else None
    if study is None:
        return [], []
    try:
        return list(study.tables(recording)), list(study.statements(recording))
    except (KeyError, IndexError, ValueError) as error:
        raise RecordingError(
            f"{recording.path} is not what {recording.provenance.script} records now ({error}): run it again, with "
            "another --out."
        ) from error


def _measures(recording: Recording) -> list[xr.DataArray]:
    """All measures that sum up the runs, the name of a part in front of those in it."""
    from bioplastic.estimates import measures
    from bioplastic.recording import RecordingError

    found = []
    for group, dataset in recording.groups.items():
        if group.startswith("summary"):
            part = group.removeprefix("summary").removeprefix("_")
            found += [
                one.rename("_".join(filter(None, (part, str(one.name))))) for one in measures(dataset) if one.size
            ]
    if not found:
        raise RecordingError(f"{recording.path} sums up no run: there is nothing to compare.")
    return found


# ---------------------------------------------------------------------------------------------------
# For programs


def _described(recording: Recording, sentences: Sequence[str], measures: Sequence[xr.DataArray]) -> dict[str, Any]:
    return {
        "path": str(recording.path),
        "title": recording.provenance.title,
        "statements": list(sentences),
        "estimates": [
            {"measure": one.name, "labels": dict(one.labels)}
            | {name: None if math.isnan(x) else x for name, x in _numbers(one).items()}
            | {"seeds": one.value.n}
            for one in _estimates(measures)
        ],
    }


def _estimates(measures: Sequence[xr.DataArray]) -> list[Measured]:
    from bioplastic.estimates import estimates

    return [one for measure in measures for one in estimates(measure)]


def _numbers(one: Measured) -> dict[str, float]:
    return {"mean": one.value.mean, "low": one.value.low, "high": one.value.high}


def _write_csv(path: Path, measures: Sequence[xr.DataArray]) -> None:
    from bioplastic.recording import RecordingError

    found = _estimates(measures)
    labels = list(dict.fromkeys(label for one in found for label in one.labels))
    text = io.StringIO()
    writer = as_csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", *labels, "mean", "low", "high", "seeds"])
    for one in found:
        numbers = ("" if math.isnan(x) else repr(x) for x in _numbers(one).values())
        writer.writerow([one.name, *(_word(one.labels.get(label, "")) for label in labels), *numbers, one.value.n])
    try:
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} could not be written ({error.strerror}): give another path.") from error


# ---------------------------------------------------------------------------------------------------
# On the terminal


def _print(
    title: str, tables: Sequence[Table], sentences: Sequence[str], measures: Sequence[xr.DataArray], *, everything: bool
) -> None:
    from bioplastic.terminal import console, count

    n_seeds = max(measure.sizes["seed"] for measure in measures)
    few = " From fewer than five seeds they are too narrow." if n_seeds < FEW_SEEDS else ""
    rest = "" if everything else " All there is: --all."
    footer = f"Means over seeds with 95 % bootstrap intervals.{few}{rest}"
    shown, told = tables, len(sentences)
    if not everything:
        shown = tables[:1] if tables or sentences else _short_tables(measures)
        room = MOST_LINES - _height([title, *shown, footer]) - len(shown)
        told = len(sentences) if _height(sentences) <= room else _fitting(sentences, room - 1)
    out = console()
    out.print(title, style="bold")
    for one in shown:
        out.print(one, "")
    for sentence in sentences[:told]:
        out.print(sentence)
    if told < len(sentences):
        out.print(f"And {count(len(sentences) - told, 'more sentence')}.")
    if everything:
        for measure in measures:
            out.print("", _table_of(measure))
    out.print(footer)


def _height(shown: Sequence[Table | str]) -> int:
    """Lines that tables or sentences take."""
    from bioplastic.terminal import console

    out = console()
    return sum(len(out.render_lines(one)) for one in shown)


def _fitting(sentences: Sequence[str], room: int) -> int:
    """How many of the sentences there is room for; at least one."""
    heights = accumulate(_height([sentence]) for sentence in sentences)
    return max(sum(height <= room for height in heights), 1)


def _table_of(measure: xr.DataArray) -> Table:
    from bioplastic.terminal import table

    unit = measure.attrs.get("units", "1")
    title = f"{measure.name}: {measure.attrs.get('long_name', '')}{'' if unit == '1' else f' ({unit})'}"
    return table(title, ["condition", *_headings(measure)], _rows(measure))


def _short_tables(measures: Sequence[xr.DataArray]) -> list[Table]:
    """Tables of as many measures as there is room for."""
    from bioplastic.terminal import table

    def tables(some: Sequence[tuple[xr.DataArray, list[list[str]]]]) -> list[Table]:
        alike: dict[tuple[str, ...], list[list[str]]] = {}
        for measure, rows in some:
            named = [["" if k else str(measure.name), *row] for k, row in enumerate(rows)]
            alike.setdefault(_headings(measure), []).extend(named)
        title = f"{len(some)} of {len(measures)} measures"
        return [table(title, ["measure", "condition", *h], rows, left=(0, 1)) for h, rows in alike.items()]

    # Reach first, since it is what recordings of this library are about; then what seeds tell; then what is short.
    first, *others = sorted(
        measures, key=lambda one: ("reach" not in str(one.name), one.sizes["seed"] == 1, _n_rows(one))
    )
    shown = [(first, list(_rows(first))[:MOST_ROWS])]
    for measure in others:
        if sum(len(rows) for _, rows in shown) + _n_rows(measure) <= MOST_ROWS:
            shown.append((measure, list(_rows(measure))))
    while len(shown) > 1 and sum(_height([one]) + 1 for one in tables(shown)) > MOST_LINES - MOST_AROUND:
        shown.pop()
    return tables(shown)


def _across(measure: xr.DataArray) -> str:
    """The label whose values stand side by side: the one with the most for which there is room; empty if none."""
    from bioplastic.terminal import console

    room = console().width - NAME_WIDTH
    widths = {
        str(dim): max((len(_labelled(str(dim), x)) for x in measure[dim].values.tolist()), default=0)
        for dim in measure.dims[:-1]
        if measure.sizes[dim] > 1
    }
    # Conditions may take two lines.
    fits = [
        dim
        for dim, width in widths.items()
        if measure.sizes[dim] <= MOST_COLUMNS
        and (sum(widths.values()) - width) / 2 + ESTIMATE_WIDTH * measure.sizes[dim] <= room
    ]
    return max(fits, key=lambda dim: measure.sizes[dim], default="")


def _headings(measure: xr.DataArray) -> tuple[str, ...]:
    across = _across(measure)
    return tuple(_labelled(across, x) for x in measure[across].values.tolist()) if across else ("estimate",)


def _n_rows(measure: xr.DataArray) -> int:
    return math.prod(measure.shape[:-1]) // len(_headings(measure))


def _rows(measure: xr.DataArray) -> Iterator[list[str]]:
    """The condition in words, and its estimates; without conditions in which nothing was measured."""
    from bioplastic.estimates import labels_at, over_seeds

    across, n_seeds = _across(measure), measure.sizes["seed"]
    measure = measure.transpose(..., across, "seed") if across else measure.expand_dims("across", -2)
    for row in np.ndindex(*measure.shape[:-2]):
        found = [over_seeds(measure, (*row, k)) for k in range(measure.shape[-2])]
        if any(one.n for one in found):
            labels = labels_at(measure, row)
            condition = ", ".join(_labelled(dim, x) for dim, x in labels.items() if measure.sizes[dim] > 1)
            yield [condition, *(_cell(one, n_seeds) for one in found)]


def _labelled(dim: str, value: str | float) -> str:
    return value if isinstance(value, str) else f"{dim} {_word(value)}"


def _word(label: str | float) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)


def _cell(one: Estimate, n_seeds: int) -> str:
    # Such as an arrival at a hop that some seeds never reach.
    return f"{one} ({one.n}/{n_seeds})" if 0 < one.n < n_seeds else str(one)
