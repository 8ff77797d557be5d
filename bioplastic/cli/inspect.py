"""``bioplastic inspect``: what is in a recording, and how it was made."""

from __future__ import annotations

import json as as_json
import math
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from bioplastic.cli.arguments import File

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from bioplastic.recording import Recording

MOST_LABELS = 14
"""Values of a label that are listed; of more, the first and the last."""
AS_ABOVE = "as above:"
NAME_WIDTH = 30
"""Columns for the name of a variable."""


def inspect(file: File, /, *, json: bool = False) -> None:
    """Say what is in a recording, and how it was made.

    Parameters
    ----------
    file : Path
        The HDF5 file that an experiment made.
    json : bool
        For a program to read.
    """
    from bioplastic.recording import read

    recording = read(file)
    if json:
        print(as_json.dumps(_described(recording), indent=1, ensure_ascii=False))
        return
    _print(recording)


def _described(recording: Recording) -> dict[str, Any]:
    made = recording.provenance
    return {
        "path": str(recording.path),
        "title": made.title,
        "script": made.script,
        "command": made.command,
        "created": made.created,
        "versions": dict(made.versions),
        "python": made.python,
        "platform": made.platform,
        "commit": made.commit,
        "schema_version": made.schema_version,
        "settings": dict(made.settings),
        "groups": {name: _group(dataset) for name, dataset in recording.groups.items()},
    }


def _group(dataset: xr.Dataset) -> dict[str, Any]:
    return {
        "dimensions": {str(dim): n for dim, n in dataset.sizes.items()},
        "labels": {
            str(name): [None if _is_nan(value) else value for value in label.values.ravel().tolist()]
            for name, label in dataset.coords.items()
        },
        "variables": {
            str(name): {
                "dimensions": list(variable.dims),
                "units": variable.attrs.get("units", ""),
                "long_name": variable.attrs.get("long_name", ""),
            }
            for name, variable in dataset.data_vars.items()
        },
    }


def _print(recording: Recording) -> None:
    from bioplastic.terminal import console, table

    out = console()
    made = recording.provenance
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    out.print(
        _rows(
            ("file", f"{recording.path} (schema {made.schema_version})"),
            ("title", made.title),
            ("created", made.created),
            ("command", made.command),
            ("made with", f"{versions}, Python {made.python}"),
            ("on", made.platform),
            ("commit", made.commit or "(not from a checkout)"),
            ("circuit", _circuit_line(made.circuit)),
            ("settings", ", ".join(f"{k} = {as_json.dumps(v, ensure_ascii=False)}" for k, v in made.settings.items())),
        ),
        "",
    )
    groups = [
        [name, str(len(dataset.data_vars)), ", ".join(f"{n} {dim}" for dim, n in dataset.sizes.items())]
        for name, dataset in recording.groups.items()
    ]
    out.print(table("Groups", ["group", "variables", "dimensions"], groups, left=(0, 2)), "")
    out.print("Labels", style="bold")
    out.print(_rows(*_labels(recording)), "")
    out.print("Measured", style="bold")
    for (names, axes), variables in _variables(recording).items():
        out.print(f"{names}, by {axes}:", style="italic")
        out.print(_rows(*variables.items()))


def _rows(*rows: tuple[str, str]) -> Table:
    """Names and what they stand for, those that stand for nothing left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold", max_width=NAME_WIDTH)
    grid.add_column(overflow="fold")
    for name, text in rows:
        if text:
            grid.add_row(name, text)
    return grid


def _labels(recording: Recording) -> Iterator[tuple[str, str]]:
    """Values of every label, the groups that have the same ones together."""
    where: dict[tuple[str, frozenset[Any]], tuple[list[Any], list[str]]] = {}
    for group, dataset in recording.groups.items():
        for name, label in dataset.coords.items():
            values = [value for value in dict.fromkeys(label.values.ravel().tolist()) if not _is_nan(value)]
            where.setdefault((str(name), frozenset(values)), (values, []))[1].append(group)
    for (name, _), (values, groups) in where.items():
        yield name, f"{_listed(values)} [{', '.join(groups)}]"


def _listed(values: list[Any]) -> str:
    words = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    if len(words) > MOST_LABELS:
        return f"{words[0]}; {words[1]}; ... {words[-1]} ({len(words)} of them)"
    return "; ".join(words)


def _variables(recording: Recording) -> dict[tuple[str, str], dict[str, str]]:
    """Meaning and unit of variables, by the groups that they are in and their axes; each told once."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for group, dataset in recording.groups.items():
        for name, variable in dataset.data_vars.items():
            if name in {f"n_{dim}" for dim in dataset.dims}:
                continue  # lengths of runs that stand side by side
            unit = str(variable.attrs.get("units", ""))
            meaning = f"{variable.attrs.get('long_name', '')}{f' [{unit}]' if unit not in ('', '1') else ''}"
            where.setdefault((str(name), ", ".join(map(str, variable.dims)), meaning), []).append(group)
    blocks: dict[tuple[str, str], dict[str, str]] = {}
    told: set[tuple[str, str]] = set()
    for (name, axes, meaning), groups in where.items():
        block = blocks.setdefault((", ".join(groups), axes), {})
        if (name, meaning) in told:
            block[AS_ABOVE] = ", ".join(filter(None, (block.get(AS_ABOVE), name)))
        else:
            block[name] = meaning or "(not described)"
        told.add((name, meaning))
    return blocks


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _circuit_line(text: str) -> str:
    """A circuit in one line: the populations of a chain in order, or else what there is of it."""
    from bioplastic.terminal import count

    try:
        circuit = as_json.loads(text)
        populations = [(p["role"], p["size"]) for p in circuit["populations"]]
        n_projections = len(circuit["projections"])
        names = [p["name"] for p in circuit["populations"]]
        links = {(p["source"], p["target"]) for p in circuit["projections"]}
    except (ValueError, KeyError, TypeError):
        return text if len(text) <= 100 else text[:97] + "..."
    cells = count(sum(size for _, size in populations), "cell")
    if links != set(pairwise(names)):
        return f"{count(len(populations), 'population')}, {cells}, {count(n_projections, 'projection')}"
    parts = []
    for (role, size), group in groupby(populations):
        n = len(list(group))
        parts.append(f"{n} x {size} {role}" if n > 1 else f"{size} {role}")
    return f"chain {' -> '.join(parts)} ({cells}, {count(n_projections, 'projection')})"
