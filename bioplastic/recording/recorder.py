"""An experiment in the making: finished runs that survive a kill, and one file of them all at the end.

While an experiment is going on, every run lies in a file of its own in ``<out>.parts/``, renamed into place when it is
whole. Whether a finished run may be taken over is one rule: it was made by the same code of model and measure, the same
versions, and the same settings, but for those that only say which runs there are.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import xarray as xr

from bioplastic.recording.errors import RecordingError, writing
from bioplastic.recording.files import write_datasets
from bioplastic.recording.labelled import Labels, check, labelled, stack
from bioplastic.recording.part import read_part, write_part
from bioplastic.recording.provenance import Provenance, differences
from bioplastic.recording.reader import Recording, read


@dataclass
class Recorder:
    """An experiment that is being recorded, and goes on where it stopped; made by `open_recorder`.

    Attributes
    ----------
    out : Path
        The file that it becomes.
    provenance : Provenance
    grid : tuple of str
        Settings that only say which runs there are.
    complete : bool
        Whether `out` is there and whole, so that nothing is left to do.
    note : str
        Of a recording that is complete: how the code that made it differs from this; else empty.
    """

    out: Path
    provenance: Provenance
    grid: tuple[str, ...]
    complete: bool = False
    note: str = ""
    _lock: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Where finished runs lie until all are there."""
        return self.out.with_name(f"{self.out.name}.parts")

    def has(self, kind: str, labels: Labels) -> bool:
        """Whether a run is finished, by the same settings and code."""
        try:
            self.run(kind, labels)
        except RecordingError:
            return False
        return True

    def add(self, kind: str, labels: Labels, measured: xr.Dataset) -> None:
        """Keep a finished run; from here on it survives a kill. Safe to call from several threads.

        Parameters
        ----------
        kind : str
            Runs of a kind measure the same things; the name of their group in the file.
        labels : mapping
            What distinguishes it from the others of its kind.
        measured : Dataset

        Raises
        ------
        RecordingError
            It cannot be written, says too little of what it holds, or the recording is complete.
        """
        if self.complete:
            raise RecordingError(f"{self.out} is complete, nothing can be added. Give another --out, or remove it.")
        check(measured, f"{kind} {dict(labels)}")
        attributes = {"kind": kind, "labels": dict(labels), "identity": self._identity(kind, labels)}
        write_part(self._part(kind, labels), measured, attributes)

    def run(self, kind: str, labels: Labels) -> xr.Dataset:
        """Read a finished run back.

        Parameters
        ----------
        kind : str
        labels : mapping

        Returns
        -------
        Dataset

        Raises
        ------
        RecordingError
            It is not there, damaged, or of other settings or code.
        """
        path = self._part(kind, labels)
        if not path.is_file():
            raise RecordingError(f"there is no finished run {kind} {dict(labels)} beside {self.out}.")
        measured, attributes = read_part(path)
        if attributes.get("identity") != self._identity(kind, labels):
            raise RecordingError(f"{path} is of other settings or code: remove it.")
        return measured

    def finish(
        self, runs: Sequence[tuple[str, Labels]], summaries: Mapping[str, xr.Dataset], *, order: Sequence[str] = ()
    ) -> Recording:
        """Make one file of all runs and of what was made of them, and remove the runs' own.

        Parameters
        ----------
        runs : sequence of (kind, labels)
            In the order in which they are to stand.
        summaries : mapping of str to Dataset
            By group.
        order : sequence of str, optional
            Kinds in the order of their groups.

        Returns
        -------
        Recording

        Raises
        ------
        RecordingError
            It cannot be written, or a run is missing; finished runs are kept.
        """
        groups: dict[str, xr.Dataset] = {}
        for name, dataset in summaries.items():
            check(dataset, name)
            groups[name] = dataset
        for kind in dict.fromkeys([*order, *(kind for kind, _ in runs)]):
            found = [(labels, self.run(kind, labels)) for one, labels in runs if one == kind]
            groups[kind] = stack(found, kind)
        text = labelled("file", [self.provenance.source], "source of the script")
        groups["source"] = xr.Dataset({"script": text}, {"file": [self.provenance.script]})
        write_datasets(self.out, groups, self.provenance.attributes)
        self.complete = True
        for kind, labels in runs:
            with suppress(OSError):
                self._part(kind, labels).unlink()
        self.close()
        return read(self.out)

    def close(self) -> None:
        """Let other processes write here; what is finished stays."""
        if self._lock is not None:
            # What is not ours stays, and the folder with it.
            with suppress(OSError):
                for rest in self.folder.glob("*.part"):
                    rest.unlink()
                Path(self._lock.name).unlink()
                self.folder.rmdir()
            self._lock.close()
            self._lock = None

    def _identity(self, kind: str, labels: Labels) -> str:
        return self.provenance.run_identity(kind, labels, self.grid)

    def _part(self, kind: str, labels: Labels) -> Path:
        words = "-".join(
            [kind, *(f"{value:g}" if isinstance(value, float) else str(value) for value in labels.values())]
        )
        name = re.sub(r"[^\w.+-]+", "_", words)[:120]
        return self.folder / f"{name}-{self._identity(kind, labels)}.npz"

    def lock(self) -> None:
        """Keep other processes from writing here.

        Raises
        ------
        RecordingError
            Another process is writing, or the folder cannot be made.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            who = file.read().strip() or "unknown"
            file.close()
            raise RecordingError(
                f"{self.out} is in use by another process that writes it (number {who}): wait for it to end, or give "
                "another --out."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._lock = file


def open_recorder(out: Path, provenance: Provenance, *, grid: tuple[str, ...] = ("seeds",)) -> Recorder:
    """Begin a recording, or go on with it.

    Parameters
    ----------
    out : Path
        The file to make. Its folder is made if it is missing.
    provenance : Provenance
        What is about to be made.
    grid : tuple of str, optional
        Settings that only say which runs there are: another value of one of them leaves finished runs as good as
        they are.

    Returns
    -------
    Recorder
        `complete` if there is nothing left to do; then `note` says if the code was another.

    Raises
    ------
    RecordingError
        `out` is of other settings, is no recording, is written by another process, or cannot be written.
    """
    recorder = Recorder(Path(out), provenance, grid)
    with writing(recorder.out):
        recorder.out.parent.mkdir(parents=True, exist_ok=True)
        exists = recorder.out.exists()
    if not exists:
        recorder.lock()
        return recorder
    try:
        old = read(recorder.out).provenance
    except RecordingError as error:
        raise RecordingError(f"{error} It is in the way: give another --out, or remove it.") from error
    was, now = ({**p.settings, "circuit": _circuit(p.circuit)} for p in (old, provenance))
    if differing := differences(was, now):
        raise RecordingError(
            f"{out} belongs to another configuration ({differing}). Give another --out, or remove the file."
        )
    recorder.complete = True
    if old.schema_version == provenance.schema_version and old.code != provenance.code:
        recorder.note = (
            f"{out} is complete, but the code of its model or its measure has changed since it was made "
            f"({old.created}): delete it, or give another --out, to run it again by the present code."
        )
    return recorder


def _circuit(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
