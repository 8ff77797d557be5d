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
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import xarray as xr

from bioplastic.recording.errors import RecordingError, writing
from bioplastic.recording.files import in_place, lock, remove_unfinished, write_datasets
from bioplastic.recording.labelled import (
    Labels,
    Layout,
    check,
    check_name,
    labelled,
    plain_labels,
    stack,
    with_described_axes,
)
from bioplastic.recording.part import read_part, write_part
from bioplastic.recording.provenance import Provenance, differences
from bioplastic.recording.reader import SOURCE, Recording, read


@dataclass
class Recorder:
    """An experiment that is being recorded, and goes on where it stopped; made by `open_recorder`.

    In a ``with`` statement it lets other processes write here at the end, whatever happens.

    Attributes
    ----------
    out : Path
        The file that it becomes.
    provenance : Provenance
    grid : tuple of str
        Settings that only say which runs there are.
    complete : bool
        Whether `out` is there and whole, so that nothing is left to do; `read` has its runs.
    note : str
        Of a recording that is complete: how the code that made it differs from this; else empty.
    """

    out: Path
    provenance: Provenance
    grid: tuple[str, ...]
    complete: bool = False
    note: str = ""
    _lock: IO[str] | None = field(default=None, repr=False)
    _layouts: dict[str, Layout] = field(default_factory=dict, repr=False)
    _fitting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where finished runs lie until all are there."""
        return self.out.with_name(f"{self.out.name}.parts")

    def has(self, kind: str, labels: Labels) -> bool:
        """Whether a run is finished, by the same settings and code, and not yet in a recording that is complete.

        Parameters
        ----------
        kind : str
        labels : mapping

        Raises
        ------
        RecordingError
            It is finished, and holds other things than the runs of its kind before it.
        """
        try:
            measured = self.run(kind, labels)
        except RecordingError:
            return False
        self._fit(kind, plain_labels(labels, kind), measured)
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
            It cannot be written, says too little of what it holds, holds other things than the runs of its kind before
            it, or the recording is complete or closed.
        """
        self._refuse_unless_open()
        what = f"{kind} {dict(labels)}"
        check_name(kind, "a kind of runs")
        plain = plain_labels(labels, what)
        measured = with_described_axes(measured)
        check(measured, what)
        if measured.attrs:
            raise RecordingError(
                f"{what}: the dataset has attributes of its own ({', '.join(map(str, measured.attrs))}), which the "
                "file has no place for; make them labels or variables."
            )
        self._fit(kind, plain, measured)
        attributes = {"kind": kind, "labels": plain, "identity": self._identity(kind, plain)}
        write_part(self._part(kind, plain), measured, attributes)

    def run(self, kind: str, labels: Labels) -> xr.Dataset:
        """Read a finished run back, as long as the recording is not complete.

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
        plain = plain_labels(labels, kind)
        path = self._part(kind, plain)
        if not path.is_file():
            raise RecordingError(f"there is no finished run {kind} {plain} beside {self.out}.")
        measured, attributes = read_part(path)
        if attributes.get("identity") != self._identity(kind, plain):
            raise RecordingError(f"{path} is of other settings or code: remove it.")
        return measured

    def finish(
        self, runs: Sequence[tuple[str, Labels]], summaries: Mapping[str, xr.Dataset], *, order: Sequence[str] = ()
    ) -> Recording:
        """Make one file of all runs and of what was made of them, and remove the runs' own.

        Holds the runs of one kind in memory at a time.

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
        self._refuse_unless_open()
        kinds: dict[str, list[Labels]] = {kind: [] for kind in order}
        for kind, labels in runs:
            kinds.setdefault(kind, []).append(labels)
        summaries = {name: with_described_axes(summary) for name, summary in summaries.items()}
        for name, summary in summaries.items():
            check_name(name, "a summary")
            check(summary, name)
        if twice := {*summaries, SOURCE} & set(kinds) | {SOURCE} & set(summaries):
            raise RecordingError(f"{min(twice)} is the name of two groups of {self.out}; give one of them another.")
        source = labelled("file", [self.provenance.source], "source of the script")
        file = labelled("file", [self.provenance.script], "name of the script")

        def groups() -> Iterator[tuple[str, xr.Dataset]]:
            yield from summaries.items()
            yield from ((kind, stack(_Finished(self, kind, there), kind)) for kind, there in kinds.items() if there)
            yield SOURCE, xr.Dataset({"script": source}, {"file": file})

        parts = [self._part(kind, plain_labels(labels, kind)) for kind, labels in runs]
        with in_place(self._spent) as spent:
            spent.write(json.dumps([part.name for part in parts]).encode())
        try:
            write_datasets(self.out, groups(), self.provenance.attributes)
        except BaseException:
            with suppress(OSError):
                self._spent.unlink()
            raise
        self.complete = True
        self._remove_spent()
        self.close()
        return read(self.out)

    def close(self) -> None:
        """Let other processes write here; what is finished stays."""
        if self._lock is not None:
            # What is not ours stays, and the folder with it.
            with suppress(OSError):
                Path(self._lock.name).unlink()
                self.folder.rmdir()
            self._lock.close()
            self._lock = None

    @property
    def _spent(self) -> Path:
        """Names of the finished runs that are in `out`, as soon as it is there."""
        return self.folder / "spent.json"

    def _remove_spent(self) -> None:
        with suppress(OSError, ValueError):
            for name in json.loads(self._spent.read_text(encoding="utf-8")):
                (self.folder / name).unlink(missing_ok=True)
            self._spent.unlink()

    def _refuse_unless_open(self) -> None:
        if self.complete:
            raise RecordingError(f"{self.out} is complete, nothing can be added. Give another --out, or remove it.")
        if self._lock is None:
            raise RecordingError(f"the recorder of {self.out} is closed: open it again with open_recorder.")

    def _fit(self, kind: str, labels: Labels, measured: xr.Dataset) -> None:
        with self._fitting:
            self._layouts.setdefault(kind, Layout(kind)).fit(labels, measured)

    def _identity(self, kind: str, labels: Labels) -> str:
        return self.provenance.run_identity(kind, labels, self.grid)

    def _part(self, kind: str, labels: Labels) -> Path:
        values = [labels[name] for name in sorted(labels)]
        words = "-".join([kind, *(f"{value:g}" if isinstance(value, float) else str(value) for value in values)])
        name = re.sub(r"[^\w.+-]+", "_", words, flags=re.ASCII)[:120]
        return self.folder / f"{name}-{self._identity(kind, labels)}.npz"

    def begin(self) -> None:
        """Keep other processes from writing here, and clear away what those that were killed left half-written.

        Raises
        ------
        RecordingError
            Another process is writing, or the folder cannot be made.
        """
        with writing(self.folder):
            while (file := self._try_lock()) is None:
                pass
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            remove_unfinished(self.out)
            for part in self.folder.glob("*.part"):
                part.unlink()
        self._lock = file

    def _try_lock(self) -> IO[str] | None:
        """Open and lock the file that says who writes here; None if it was removed meanwhile, by one that has ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        locked = None
        with suppress(FileNotFoundError):
            file = (self.folder / "lock").open("a+", encoding="ascii")
            try:
                lock(file, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
                    locked = file
            except BlockingIOError as error:
                file.seek(0)
                raise RecordingError(self._in_use(file.read().strip())) from error
            finally:
                if locked is None:
                    file.close()
        return locked

    def _in_use(self, process: str) -> str:
        if process == str(os.getpid()):
            return f"{self.out} is being recorded by this process already: close() the recorder that does it."
        return (
            f"{self.out} is in use by another process that writes it (number {process or 'unknown'}): wait for it to "
            "end, or give another --out."
        )


@dataclass(frozen=True)
class _Finished(Sequence[tuple[Labels, xr.Dataset]]):
    """The runs of a kind, each read from its file when it is asked for."""

    recorder: Recorder
    kind: str
    labels: Sequence[Labels]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, k: Any) -> Any:
        return self.labels[k], self.recorder.run(self.kind, self.labels[k])


def open_recorder(out: Path | str, provenance: Provenance, *, grid: tuple[str, ...] = ("seeds",)) -> Recorder:
    """Begin a recording, or go on with it.

    Parameters
    ----------
    out : Path or str
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
        exists = recorder.out.exists()
        if not exists:
            recorder.out.parent.mkdir(parents=True, exist_ok=True)
    if not exists:
        recorder.begin()
        if not recorder.out.exists():
            with suppress(OSError):
                recorder._spent.unlink()  # of one that was killed before it had made its file
            return recorder
        recorder.close()  # another process has just finished it
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
    if recorder.folder.is_dir():  # perhaps it was killed before it had cleared up
        with suppress(RecordingError):
            recorder.begin()
            recorder._remove_spent()
            recorder.close()
    return recorder


def _circuit(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
