"""``bioplastic plot``: the figures of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bioplastic.cli.arguments import File, Out
from bioplastic.experiments import study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bioplastic.recording import Recording


def plot(file: File, /, *, out: Out = None) -> None:
    """Draw the figures of a recording, as PNG and as PDF.

    Parameters
    ----------
    file : Path
        The HDF5 file that an experiment made.
    out : Path, optional
        The first figure, without suffix (default: beside FILE).
    """
    from bioplastic import plots
    from bioplastic.recording import read

    recording = read(file)
    # Only the suffix of a recording: the dot of run.v2 is part of the name.
    path = recording.path
    target = out or (path.with_suffix("") if path.suffix in (".h5", ".hdf5") else path)
    if target.is_dir():
        target = target / path.stem
    if target.suffix.lower() in (".png", ".pdf"):
        target = target.with_suffix("")
    for suffix, figure in _figures(recording).items():
        for written in plots.save(figure, target.with_name(f"{target.name}{suffix}")):
            print(written)


def _figures(recording: Recording) -> Mapping[str, Figure]:
    from bioplastic import plots
    from bioplastic.recording import RecordingError

    made = recording.provenance
    if made.schema_version == 1:
        if {"reach", "change", "arrival"} <= set(recording.summary):
            return {"": plots.reach_figure(recording), "-front": plots.front_figure(recording)}
        raise RecordingError(
            f"{recording.path} is of an earlier schema, and its figures cannot be drawn any more: run its script "
            "again, with another --out."
        )
    study = study_of(made)
    if study is None:
        raise RecordingError(
            f"{recording.path} was not made by an experiment of this library: draw it with its own study, "
            "study.figures(recording)."
        )
    return study.figures(recording)
