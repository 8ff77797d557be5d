"""A recording as it is read: how it was made, its summaries and its runs as labelled datasets."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from bioplastic.recording.errors import RecordingError, reading
from bioplastic.recording.files import check_file, read_datasets
from bioplastic.recording.labelled import RUN, unstack
from bioplastic.recording.provenance import Provenance
from bioplastic.recording.version1 import read_version1

Value = str | int | float | bool

SOURCE = "source"
"""Group that holds the text of the script."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded experiment, as `read` returns it.

    Attributes
    ----------
    path : Path
    provenance : Provenance
        How it was made.
    groups : mapping of str to Dataset
        ``"summary"``, what else was made of the runs, and the runs of each kind, side by side along `run`.
    """

    path: Path
    provenance: Provenance
    groups: Mapping[str, xr.Dataset]

    @property
    def summary(self) -> xr.Dataset:
        """The measures over all conditions."""
        return self["summary"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the groups that hold runs."""
        return tuple(name for name, dataset in self.groups.items() if RUN in dataset.dims)

    def __getitem__(self, name: str) -> xr.Dataset:
        """Return a group; `RecordingError` names those that are there when there is none."""
        if name not in self.groups:
            raise RecordingError(f"{self.path} has no group {name!r}; it has {', '.join(self.groups)}.")
        return self.groups[name]

    def select(self, kind: str, **labels: Value) -> xr.Dataset:
        """Return the runs of a kind that have some labels, still side by side.

        Parameters
        ----------
        kind : str
        **labels
            What is not given may be anything.

        Raises
        ------
        RecordingError
            There is no such kind or label, or no run has them.
        """
        runs = self[kind]
        if RUN not in runs.dims:
            raise RecordingError(f"{kind!r} of {self.path} has no runs; {', '.join(self.kinds) or 'nothing'} has.")
        fits = np.ones(runs.sizes[RUN], bool)
        for name, value in labels.items():
            if name not in runs.coords or runs[name].dims != (RUN,):
                known = ", ".join(str(c) for c in runs.coords if runs[c].dims == (RUN,))
                raise RecordingError(f"runs of {kind!r} have no label {name!r}; they have {known}.")
            there = runs[name].values
            if (there.dtype.kind == "U") != isinstance(value, str):
                raise RecordingError(f"the label {name} of {kind!r} is {there.dtype}, and not like {value!r}.")
            fits &= np.isclose(there, value, equal_nan=True) if isinstance(value, float) else there == value
        if not fits.any():
            raise RecordingError(f"{self.path} has no run of {kind!r} with {labels}.")
        return runs.isel({RUN: np.flatnonzero(fits)})

    def run(self, kind: str, **labels: Value) -> xr.Dataset:
        """Return one run without padding.

        Parameters
        ----------
        kind : str
        **labels
            Enough to single it out.

        Raises
        ------
        RecordingError
            There is none, or more than one.
        """
        found = self.select(kind, **labels)
        if found.sizes[RUN] > 1:
            raise RecordingError(f"{found.sizes[RUN]} runs of {kind!r} have {labels}; give more labels.")
        return unstack(found, 0)

    def _repr_html_(self) -> str:
        """Return a few lines for a notebook."""
        made = self.provenance
        names = list(self.groups)
        rows = [
            ("title", made.title),
            ("created", f"{made.created}, bioplastic {made.versions.get('bioplastic', '')}"),
            *((name, _sizes(self.groups[name])) for name in names[:_MOST_ROWS]),
        ]
        if len(names) > _MOST_ROWS:
            rows.append(("", f"and {len(names) - _MOST_ROWS} more groups"))
        cells = "".join(f"<tr><th align='left'>{_escaped(a)}</th><td>{_escaped(b)}</td></tr>" for a, b in rows)
        hint = "<code>recording['summary']</code> is an xarray.Dataset"
        return f"<table>{cells}</table><p>{_escaped(str(self.path))}: {hint}.</p>"


_MOST_ROWS = 12


def _sizes(dataset: xr.Dataset) -> str:
    return f"{len(dataset.data_vars)} variables over " + ", ".join(f"{n} {dim}" for dim, n in dataset.sizes.items())


def _escaped(text: str) -> str:
    short = text if len(text) <= 100 else text[:97] + "..."
    return html.escape(short)


def read(path: Path | str) -> Recording:
    """Read a recorded experiment, of this schema or an earlier one.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    Recording

    Raises
    ------
    RecordingError
        If the file is missing, unfinished, damaged anywhere, foreign, or of a newer schema; the message says what to
        do.
    """
    path = Path(path)
    if check_file(path) == 1:
        return Recording(path, *read_version1(path))
    groups, attributes = read_datasets(path)
    with reading(path):
        source = groups.pop(SOURCE)
        made = Provenance.read(attributes, str(source["file"].values[0]), str(source["script"].values[0]))
    return Recording(path, made, groups)
