"""``bioplastic compare``: what a recording says, as its experiment puts it, or else as estimates."""

from __future__ import annotations

import csv as as_csv
import io
import json as as_json
import math
import sys
from collections.abc import Iterator
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
    from bioplastic.study import Study

MOST_ROWS = 30
"""Estimates are shown in about as many rows; all of them with --all."""
MOST_COLUMNS = 4
"""Values of a label that stand side by side."""
FEW_SEEDS = 5


def compare(
    file: File,
    /,
    *,
    all: bool = False,
    json: bool = False,
    csv: Out = None,
) -> None:
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
    study = study_of(recording.provenance) if recording.provenance.schema_version > 1 else None
    if json:
        print(as_json.dumps(_described(recording, study), indent=1, ensure_ascii=False))
    else:
        _print(recording, study, everything=all)
    if csv is not None:
        _write_csv(csv, recording)
        print(f"wrote {csv}", file=sys.stderr if json else sys.stdout)


def summaries(recording: Recording) -> dict[str, xr.Dataset]:
    """Return the groups that sum up the runs, by name.

    Parameters
    ----------
    recording : Recording

    Raises
    ------
    RecordingError
        There is none with any number in it.
    """
    from bioplastic.estimates import measures
    from bioplastic.recording import RecordingError

    found = {name: dataset for name, dataset in recording.groups.items() if name.startswith("summary")}
    if not any(measure.size for dataset in found.values() for measure in measures(dataset)):
        raise RecordingError(f"{recording.path} sums up no run: there is nothing to compare.")
    return found


def _described(recording: Recording, study: Study[Any] | None) -> dict[str, Any]:
    return {
        "path": str(recording.path),
        "title": recording.provenance.title,
        "statements": [] if study is None else list(study.statements(recording)),
        "estimates": [
            {"group": group, "measure": one.name, "labels": dict(one.labels)}
            | {name: None if math.isnan(x) else x for name, x in _numbers(one).items()}
            | {"seeds": one.value.n}
            for group, one in _estimates(recording)
        ],
    }


def _numbers(one: Measured) -> dict[str, float]:
    return {"mean": one.value.mean, "low": one.value.low, "high": one.value.high}


def _estimates(recording: Recording) -> Iterator[tuple[str, Measured]]:
    from bioplastic.estimates import estimates

    for group, dataset in summaries(recording).items():
        for one in estimates(dataset):
            yield group, one


def _write_csv(path: Path, recording: Recording) -> None:
    from bioplastic.recording import RecordingError

    found = list(_estimates(recording))
    labels = list(dict.fromkeys(label for _, one in found for label in one.labels))
    text = io.StringIO()
    writer = as_csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "measure", *labels, "mean", "low", "high", "seeds"])
    for group, one in found:
        numbers = ("" if math.isnan(x) else repr(x) for x in _numbers(one).values())
        writer.writerow([group, one.name, *(_word(one.labels.get(k, "")) for k in labels), *numbers, one.value.n])
    try:
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} could not be written ({error.strerror}): give another path.") from error


def _word(label: str | float) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)


def _print(recording: Recording, study: Study[Any] | None, *, everything: bool) -> None:
    from bioplastic.terminal import console

    out = console()
    out.print(recording.provenance.title, style="bold")
    if study is not None:
        tables = iter(study.tables(recording))
        for one in tables if everything else [next(tables)]:
            out.print(one, "")
        for sentence in study.statements(recording):
            out.print(sentence)
    if study is None or everything:
        for one in _tables_of_estimates(recording, everything=everything):
            out.print(one, "")
    seeds = {n for dataset in summaries(recording).values() if (n := dataset.sizes.get("seed"))}
    few = f" From fewer than {FEW_SEEDS} seeds they are too narrow." if seeds and min(seeds) < FEW_SEEDS else ""
    rest = "" if everything else " All there is: --all."
    out.print(f"Means over seeds with 95 % bootstrap intervals.{few}{rest}")


# ---------------------------------------------------------------------------------------------------
# Tables of estimates


def _tables_of_estimates(recording: Recording, *, everything: bool) -> Iterator[Table]:
    from bioplastic.estimates import SEED, measures
    from bioplastic.terminal import table

    found = [(measure, dataset) for dataset in summaries(recording).values() for measure in measures(dataset)]
    if everything:
        for measure, _ in found:
            about = [str(measure.attrs.get(key, "")) for key in ("long_name", "units")]
            unit = f" ({about[1]})" if about[1] not in ("", "1") else ""
            title = f"{measure.name}: {about[0]}{unit}"
            yield table(title, ["condition", *_headings(measure)], _rows(measure))
        return
    # Reach first, since it is what recordings of this library are about; then what seeds tell; then what is short.
    found.sort(key=lambda one: ("reach" not in one[0].name, SEED not in one[1][one[0].name].dims, _n_rows(one[0])))
    room, shown = MOST_ROWS, []
    for measure, _ in found:
        if _n_rows(measure) <= room:
            room -= _n_rows(measure)
            shown.append(measure)
    for headings in dict.fromkeys(_headings(measure) for measure in shown):
        alike = [measure for measure in shown if _headings(measure) == headings]
        rows = [["" if k else str(m.name), *row] for m in alike for k, row in enumerate(_rows(m))]
        yield table(f"{len(shown)} of {len(found)} measures", ["measure", "condition", *headings], rows, left=(0, 1))


def _across(measure: xr.DataArray) -> str:
    """The label whose values stand side by side: the one with the most that fit; empty if there is none."""
    sizes = {str(dim): measure.sizes[dim] for dim in measure.dims[:-1]}
    return max((d for d, n in sizes.items() if 1 < n <= MOST_COLUMNS), key=lambda d: sizes[d], default="")


def _headings(measure: xr.DataArray) -> tuple[str, ...]:
    across = _across(measure)
    return tuple(_labelled(across, x) for x in measure[across].values.tolist()) if across else ("estimate",)


def _n_rows(measure: xr.DataArray) -> int:
    return math.prod(measure.shape[:-1]) // len(_headings(measure))


def _rows(measure: xr.DataArray) -> Iterator[list[str]]:
    """The condition in words, and its estimates."""
    from bioplastic.estimates import labels_at, over_seeds

    across, n_seeds = _across(measure), measure.shape[-1]
    measure = measure.transpose(..., across, "seed") if across else measure.expand_dims("across", -2)
    for row in np.ndindex(*measure.shape[:-2]):
        labels = labels_at(measure, row)
        condition = ", ".join(_labelled(dim, x) for dim, x in labels.items() if measure.sizes[dim] > 1)
        yield [condition, *(_cell(over_seeds(measure, (*row, k)), n_seeds) for k in range(measure.shape[-2]))]


def _labelled(dim: str, value: str | float) -> str:
    return value if isinstance(value, str) else f"{dim} {_word(value)}"


def _cell(one: Estimate, n_seeds: int) -> str:
    # Such as an arrival at a hop that some seeds never reach.
    return f"{one} ({one.n}/{n_seeds})" if 0 < one.n < n_seeds else str(one)
