"""What every experiment script does the same: its command line, its beginning, and the description of a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bioplastic import sweep
from bioplastic.compiled.run import end_programs
from bioplastic.compiled.toolchain import NO_COMPILER, compiler
from bioplastic.events import Schedule, Timing, lay_out
from bioplastic.recording import schema1 as recording

NO_TERMINAL_WIDTH = 110
"""Columns of a table that is not printed on a terminal; eighty, the usual guess, break most of ours."""


def console() -> Console:
    """Return the console that scripts print on."""
    return Console(width=None if sys.stdout.isatty() else NO_TERMINAL_WIDTH)


def command_line(
    argv: Sequence[str] | None,
    *,
    doc: str | None,
    name: str,
    settings: Mapping[str, Any],
    sizes: Mapping[str, str],
    work: Callable[[Any, Path, int], None],
    parallel: bool = True,
) -> int:
    """Read a script's command line and do its work.

    Parameters
    ----------
    argv : sequence of str or None
        The arguments; those of the process if None.
    doc : str
        Docstring of the script.
    name : str
        Of the recording: ``data/runs/<name>[-<size>].h5``.
    settings : mapping of str to dataclass
        Settings by size; those of ``""`` are the default, the others have an option of their own. ``--seeds`` and
        ``--hops`` are there if the settings have `seeds` and `n_hops`; what the settings refuse is bad usage.
    sizes : mapping of str to str
        Help for each of these options.
    work : callable
        Given the settings, the path of the recording and the number of jobs.
    parallel : bool, optional
        Whether there is an option ``--jobs``.

    Returns
    -------
    int
        Exit status: 0; 2 for bad input or output, with the reason on stderr; 130 when interrupted.
    """
    default = settings[""]
    known = {field.name for field in fields(default)}
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.set_defaults(size="")
    if sizes:
        size = parser.add_mutually_exclusive_group()
        for option, text in sizes.items():
            size.add_argument(f"--{option}", action="store_const", const=option, dest="size", default="", help=text)
    lowest = {}
    if "n_hops" in known:
        lowest["hops"] = 2
        parser.add_argument("--hops", type=int, help=f"length of the chain (default {default.n_hops})")
    if "seeds" in known:
        lowest["seeds"] = 1
        parser.add_argument("--seeds", type=int, help="number of seeds")
    if parallel:
        lowest["jobs"] = 1
        parser.add_argument("--jobs", type=int, default=2, help="lives to simulate at once (default 2)")
    suffix = f"[{'|'.join(f'-{option}' for option in sizes)}]" if sizes else ""
    parser.add_argument("--out", type=Path, help=f"HDF5 file (default data/runs/{name}{suffix}.h5)")
    options = parser.parse_args(argv)
    given = {option: getattr(options, option) for option in lowest}
    for option, low in lowest.items():
        if given[option] is not None and given[option] < low:
            parser.error(f"--{option} {given[option]}: give {low} or more.")
    changed: dict[str, Any] = {}
    if given.get("hops") is not None:
        changed["n_hops"] = given["hops"]
    if given.get("seeds") is not None:
        changed["seeds"] = tuple(range(given["seeds"]))
    try:
        config = replace(settings[options.size], **changed)
    except ValueError as error:  # the settings' own checks
        parser.error(str(error))
    out = options.out or Path("data", "runs", f"{name}{'-' * bool(options.size)}{options.size}.h5")
    try:
        work(config, out, given.get("jobs", 1))
    except recording.RecordingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"Interrupted. What is done is kept beside {out}; the same command goes on from there.", file=sys.stderr)
        return 130
    return 0


def begin(out: Path, *, title: str, config: Any, circuit: str, script: Path) -> recording.Experiment | None:
    """Begin an experiment, or go on with it.

    Parameters
    ----------
    out : Path
        The HDF5 file.
    title : str
    config : dataclass
        With `seeds`.
    circuit : str
        JSON.
    script : Path

    Returns
    -------
    Experiment or None
        None if it is complete, which is said.
    """
    text = script.read_text(encoding="utf-8")
    experiment = recording.Experiment.open(
        out, title=title, seed=config.seeds[0], config=asdict(config), circuit=circuit, script=text
    )
    if experiment.complete:
        say_complete(out)
        return None
    ready_machine()
    return experiment


def is_complete(out: Path, *, schema: str, config: Any) -> bool:
    """Whether a recording that is no `Experiment` is there, whole and by these settings; says so if it is.

    Parameters
    ----------
    out : Path
        The HDF5 file.
    schema : str
        Name of its schema.
    config : dataclass

    Raises
    ------
    RecordingError
        The file is something else.
    """
    if not out.exists():
        return False
    try:
        with h5py.File(out) as file:
            same = file.attrs.get("schema") == schema and file.attrs.get("config") == json.dumps(asdict(config))
            same = same and bool(file.attrs.get("complete"))
    except OSError as error:
        raise recording.RecordingError(f"{out} cannot be read ({error}): give another --out, or remove it.") from error
    if not same:
        raise recording.RecordingError(f"{out} is of another configuration: give another --out, or remove the file.")
    say_complete(out)
    return True


Rows = Mapping[str, recording.Variable] | Callable[[str], Mapping[str, recording.Variable]]


class Store:
    """Finished runs of an experiment whose recording is no `Experiment`, each in a file of its own until all are there.

    Attributes
    ----------
    runs : dict of str to dict
        What was measured in each, by name.
    attributes : dict of str to dict
        What each was, by name: attributes of its group.
    """

    def __init__(self, out: Path, *, schema: str, rows: Rows, config: Any, sources: Sequence[Path]) -> None:
        """Begin, or go on with what is there.

        Parameters
        ----------
        out : Path
            The HDF5 file.
        schema : str
            Its name.
        rows : mapping of str to Variable, or callable
            What is measured in a run; a function of its name if that is not the same for all.
        config : dataclass
            With `seeds`.
        sources : sequence of Path
            The script, and what else a run depends on: another version may mean another experiment.

        Raises
        ------
        RecordingError
            The folder for the files cannot be made.
        """
        self.out, self.schema, self.config = out, schema, config
        self.rows: Callable[[str], Mapping[str, recording.Variable]] = rows if callable(rows) else lambda _: rows
        self.script = sources[0].read_text(encoding="utf-8")
        self.identity = json.dumps([asdict(config), *(path.read_text(encoding="utf-8") for path in sources)])
        self.folder = out.with_name(f"{out.name}.parts")
        self.runs: dict[str, dict[str, Any]] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise recording.RecordingError(f"{self.folder} cannot be made ({error}): give another --out.") from error
        for path in self.folder.glob("*.h5"):
            try:
                with h5py.File(path) as file:
                    if file.attrs.get("identity") == self.identity:
                        name, group = path.name.removesuffix(".h5"), file["run"]
                        attributes = dict(group.attrs)
                        self.runs[name] = recording.read_labelled(group, self.rows(name))
                        self.attributes[name] = attributes
            except (OSError, KeyError):
                continue  # damaged: it is lived again

    def add(self, name: str, values: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> None:
        """Keep a finished run; from here on it survives a kill.

        Parameters
        ----------
        name : str
            Becomes the file's name and the group's.
        values : mapping of str to array
            What was measured.
        attributes : mapping of str to str or number, optional
            What the run was: attributes of its group.
        """

        def fill(file: h5py.File) -> None:
            file.attrs["identity"] = self.identity
            self._write(file.create_group("run"), name, values, attributes or {})

        recording.write_hdf5(self.folder / f"{name}.h5", fill, schema=self.schema)
        self.attributes[name] = dict(attributes or {})
        self.runs[name] = dict(values)

    def _write(self, group: h5py.Group, name: str, values: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        group.attrs.update(attributes)
        recording.write_labelled(group, self.rows(name), values)

    def finish(self, title: str, fill: Callable[[h5py.File], None]) -> None:
        """Make one file of all runs and of what `fill` writes beside them, and remove their own."""

        def write(file: h5py.File) -> None:
            recording.write_provenance(file, title=title, config=asdict(self.config), script=self.script)
            file.attrs["seed"] = self.config.seeds[0]
            runs = file.create_group("runs")
            for name, values in self.runs.items():
                self._write(runs.create_group(name), name, values, self.attributes[name])
            fill(file)

        recording.write_hdf5(self.out, write, schema=self.schema)
        with suppress(OSError):  # the recording is whole; what is not ours stays, and the folder with it
            for pattern in ("*.h5", "*.h5.*.part"):
                for path in self.folder.glob(pattern):
                    path.unlink()
            self.folder.rmdir()


def open_store(out: Path, *, schema: str, rows: Rows, config: Any, sources: Sequence[Path]) -> Store | None:
    """Begin an experiment whose recording is no `Experiment`, or go on with it.

    Parameters
    ----------
    out, schema, rows, config, sources
        As in `Store`.

    Returns
    -------
    Store or None
        None if the recording is complete, which is said.

    Raises
    ------
    RecordingError
        The file is something else, or its folder cannot be written.
    """
    if is_complete(out, schema=schema, config=config):
        return None
    ready_machine()
    return Store(out, schema=schema, rows=rows, config=config, sources=sources)


def live_missing(
    store: Store,
    conditions: Sequence[Any],
    work: Callable[[Any], None],
    *,
    executor: Executor,
    bar: Progress,
    label: str,
    stop: Callable[[], None] = end_programs,
) -> None:
    """Do the work of the conditions that a store has not yet got.

    Parameters
    ----------
    store : Store
    conditions : sequence
        Each with a `name`; begun in this order.
    work : callable
        Called with one condition; keeps its own result.
    executor : Executor
    bar : Progress
        Gets a row for them.
    label : str
        Of the row.
    stop : callable, optional
        What makes the work in hand end early.
    """
    missing = [c for c in conditions if c.name not in store.runs]
    row = bar.add_task(label, total=len(conditions), completed=len(conditions) - len(missing))
    sweep.run_all(missing, work, executor, done=lambda _: bar.advance(row), stop=stop)


def live_missing_at_once(
    store: Store,
    conditions: Sequence[Any],
    live: Callable[[Sequence[Any], Callable[[float], None]], Sequence[Any]],
    keep: Callable[[Any, Any], None],
    *,
    bar: Progress,
    label: str,
) -> None:
    """Live the conditions that a store has not yet got all at once, as the twin does.

    Parameters
    ----------
    store : Store
    conditions : sequence
        Each with a `name`.
    live : callable
        Given conditions, and what is to be called with the fraction that is done; returns what each has lived.
    keep : callable
        Called with each condition and what it has lived.
    bar : Progress
        Gets a row for them.
    label : str
        Of the row.
    """
    missing = [c for c in conditions if c.name not in store.runs]
    if missing:
        row = bar.add_task(label, total=1.0)
        for condition, lived in zip(missing, live(missing, lambda done: bar.update(row, completed=done)), strict=True):
            keep(condition, lived)


def say_complete(out: Path) -> None:
    """Say that there is nothing left to run."""
    console().print(f"{out} is complete; delete it, or give another --out, to run again.", soft_wrap=True)


def ready_machine() -> None:
    """Leave the other cores to the lives that run beside torch, and say if lives cannot be compiled."""
    import torch

    torch.set_num_threads(1)
    if compiler() is None:
        console().print(NO_COMPILER, soft_wrap=True)


def describe(
    schedule: Schedule,
    timing: Timing,
    *,
    arm: str,
    learner: str,
    event_fraction: float,
    seed: int,
    learning_rate: float,
    output_error: np.ndarray,
    role: str = "result",
    replay: str = "off",
) -> recording.Run:
    """Return a run with its condition and events, to be filled with measures.

    Parameters
    ----------
    schedule : Schedule
    timing : Timing
    arm, learner, event_fraction, seed
        As in `bioplastic.recording.Run`.
    learning_rate : float
        Left out of a run in the frozen arm.
    output_error : array, shape (n_events,)
    role, replay
        As in `bioplastic.recording.Run`.
    """
    return recording.Run(
        arm=arm,
        learner=learner,
        event_fraction=event_fraction,
        replay=replay,
        seed=seed,
        learning_rate=learning_rate if arm == "learning" else float("nan"),
        role=role,
        event_time=lay_out(schedule, timing).onset * float(timing.resolution),
        event_kind=schedule.kind,
        event_occurrence=schedule.occurrence,
        event_salience=schedule.salience,
        event_replayed=schedule.replayed,
        event_stimulus=np.where(schedule.resting, -1, schedule.stimulus),
        output_error=output_error,
    )
