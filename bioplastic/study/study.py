"""An experiment: its question, its settings, its conditions, what it measures, and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import xarray as xr

from bioplastic.recording import Recorder, Recording, read
from bioplastic.study.design import Condition
from bioplastic.study.learner import StudyError
from bioplastic.study.record import LIFE

if TYPE_CHECKING:
    from collections.abc import Generator

    from matplotlib.figure import Figure
    from rich.table import Table

    from bioplastic.study.bench import Ask

Settings = TypeVar("Settings")
Shown = TypeVar("Shown")


@dataclass
class Runs:
    """The finished runs of a study that is going on, by condition.

    Attributes
    ----------
    recorder : Recorder
    done : list of Condition
        In the order in which they were planned.
    """

    recorder: Recorder
    done: list[Condition] = field(default_factory=list)

    def __getitem__(self, condition: Condition) -> xr.Dataset:
        """Return what was measured in a run; `RecordingError` if it is not finished."""
        # What is recorded of its lives on request is no part of it.
        return self.recorder.run(condition.kind, condition.labels).drop_dims(LIFE, errors="ignore")

    def __contains__(self, condition: Condition) -> bool:
        return self.recorder.has(condition.kind, condition.labels)

    def of(self, kind: str) -> list[tuple[Condition, xr.Dataset]]:
        """Return all runs of a kind, in the order in which they were planned."""
        return [(condition, self[condition]) for condition in self.done if condition.kind == kind]


@dataclass(frozen=True)
class Study(Generic[Settings]):
    """An experiment as a function from conditions to labelled datasets.

    Attributes
    ----------
    name : str
        Of the script and of the recording.
    title : str
        The question, in one line.
    settings : mapping of str to dataclass
        By size; ``""`` is the default. Every field is an option of the command line.
    bench : callable
        Makes what all lives share, from the settings.
    plan : callable
        (bench, settings, runs) -> generator of lists of conditions. When it goes on all of the last list are finished
        and can be read from `runs`, so that a later list may depend on an earlier one, such as results on the choice
        of a learning rate.
    measure : callable
        (bench, condition) -> dataset, or generator that yields ``bench.ask(...)`` and gets back what was lived. The
        generators of learners in the rate twin go on in step, so that their lives are lived at once.
    summarise : callable
        (bench, settings, runs) -> datasets by group; one is called ``"summary"``.
    tables, figures, statements : callable
        From a `Recording`: what is printed, what is drawn (by suffix of the file's name), and sentences.
    running_time : mapping of str to str
        By size, in words.
    grid : tuple of str
        Settings that only say which runs there are: another value leaves finished runs as good as they are.
    made_of : sequence of object
        What else of code runs depend on, where following names from `plan` and `measure` does not lead there.
    script : Path, optional
        The file that says what the experiment is; its text goes into the recording.
    """

    name: str
    title: str
    settings: Mapping[str, Settings]
    bench: Callable[[Settings], Any]
    plan: Callable[[Any, Settings, Runs], Iterator[Sequence[Condition]]]
    measure: Callable[[Any, Condition], xr.Dataset | Generator[Ask, Any, xr.Dataset]]
    summarise: Callable[[Any, Settings, Runs], Mapping[str, xr.Dataset]]
    tables: Callable[[Recording], Iterable[Table]]
    figures: Callable[[Recording], Mapping[str, Figure]]
    statements: Callable[[Recording], Iterable[str]] = lambda recording: ()
    running_time: Mapping[str, str] = field(default_factory=dict)
    grid: tuple[str, ...] = ("seeds",)
    made_of: Sequence[Any] = ()
    script: Path | None = None

    def run(
        self,
        settings: Settings | str = "",
        out: Path | str | None = None,
        *,
        jobs: int = 2,
        record: Sequence[str] = (),
        show_progress: bool = True,
    ) -> Recording:
        """Run the study, or go on with it where it was interrupted.

        Parameters
        ----------
        settings : dataclass or str, optional
            Settings, or the name of a size.
        out : Path, optional
            The file to make; `path` by default.
        jobs : int, optional
            Lives to simulate at once.
        record : sequence of {"weights", "spikes"}, optional
            What to record of every life beside the measures.
        show_progress : bool, optional

        Returns
        -------
        Recording

        Raises
        ------
        StudyError
            There is no such size, or the study is put wrongly.
        RecordingError
            The recording cannot be written, or belongs to other settings.
        """
        from bioplastic.study.run import run

        return run(self, settings, out, jobs=jobs, record=record, show_progress=show_progress)

    def path(self, size: str = "") -> Path:
        """Return where a recording goes by default: ``data/runs/NAME.h5``, or ``NAME-SIZE.h5``."""
        return Path("data", "runs", f"{'-'.join(filter(None, (self.name, size)))}.h5")

    def table(self, recording: Recording | None = None) -> Table:
        """Return the main table of a recording, by default of the one at `path`; a notebook shows it."""
        return self._first(self.tables(recording or read(self.path())), "tables")

    def figure(self, recording: Recording | None = None) -> Figure:
        """Draw the main figure of a recording, by default of the one at `path`; a notebook shows it."""
        return self._first(self.figures(recording or read(self.path())).values(), "figures")

    def _first(self, shown: Iterable[Shown], what: str) -> Shown:
        for one in shown:
            return one
        raise StudyError(f"{self.name} has no {what}: give its study a function {what} that makes some.")

    def show(self, recording: Recording, *, write: bool = True) -> None:
        """Print the tables and statements of a recording, and write its figures beside it."""
        from bioplastic.study.report import show

        show(self, recording, write=write)

    def main(self, argv: Sequence[str] | None = None, *, prog: str = "") -> int:
        """Read a command line and run; the exit status."""
        from bioplastic.study.main import main

        return main(self, argv, prog=prog)
