"""Running a study: resume, executor, progress, an answer to Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr
from rich.progress import Progress

from bioplastic import fingerprint, living
from bioplastic.compiled.run import end_programs
from bioplastic.compiled.toolchain import NO_COMPILER, compiler
from bioplastic.life import Life, Lived
from bioplastic.recording import Provenance, Recorder, Recording, open_recorder, read
from bioplastic.spiking.health import ActivityError
from bioplastic.study.bench import Ask, Bench
from bioplastic.study.design import Condition
from bioplastic.study.learner import StudyError
from bioplastic.study.record import of_lives, refuse_unknown
from bioplastic.study.study import Runs, Study
from bioplastic.terminal import console, progress_bar


class Stopped(RuntimeError):
    """Another part of the study failed or was interrupted."""


def provenance(study: Study[Any], settings: Any, circuit: str = "") -> Provenance:
    """Say what a study is about to make.

    Parameters
    ----------
    study : Study
    settings : dataclass
    circuit : str, optional
        As JSON.
    """
    return Provenance.here(
        title=study.title,
        settings=asdict(settings),
        circuit=circuit,
        # Nothing that only draws or prints: a study names its figures, so it is not itself among the roots.
        code=fingerprint.code_of(study.bench, study.plan, study.measure, living, *study.made_of),
        script=study.name if study.script is None else study.script.name,
        source="" if study.script is None else study.script.read_text(encoding="utf-8"),
    )


def run(
    study: Study[Any],
    settings: Any,
    out: Path | str | None,
    *,
    jobs: int = 2,
    record: Sequence[str] = (),
    show_progress: bool = True,
) -> Recording:
    """Run a study, or go on with it; see `Study.run`."""
    if isinstance(settings, str):
        if settings not in study.settings:
            sizes = ", ".join(repr(size) for size in study.settings)
            raise StudyError(f"{study.name} has no size {settings!r}; it has {sizes}.")
        settings = study.settings[settings]
    if not is_dataclass(settings):
        raise StudyError(f"settings = {settings!r}; give a dataclass, whose fields are the settings.")
    if jobs < 1:
        raise StudyError(f"jobs = {jobs}; give the number of lives to simulate at once, 1 or more.")
    refuse_unknown(record)
    path = Path(out) if out is not None else study.path(settings if isinstance(settings, str) else "")
    bench = study.bench(settings)
    circuit = getattr(bench, "circuit", None)
    made = provenance(study, settings, circuit.to_json() if circuit is not None else "")
    recorder = open_recorder(path, made, grid=study.grid)
    if recorder.complete:
        console().print(
            recorder.note or f"{path} is complete; delete it, or give another --out, to run again.", soft_wrap=True
        )
        return read(path)
    if compiler() is None:
        console().print(NO_COMPILER, soft_wrap=True)
    try:
        with _one_torch_thread(), progress_bar(shown=show_progress) as bar:
            return _Running(study, settings, bench, recorder, bar, jobs, tuple(record)).all()
    finally:
        recorder.close()


def _one_torch_thread() -> AbstractContextManager[None]:
    """Leave the other cores to the lives that run beside torch."""
    try:
        from bioplastic.twin import one_thread
    except ModuleNotFoundError:  # without torch there are learners that spike
        return nullcontext()
    return one_thread()


@dataclass
class _Running:
    """One run of a study."""

    study: Study[Any]
    settings: Any
    bench: Any
    recorder: Recorder
    bar: Progress
    jobs: int
    record: tuple[str, ...]

    def __post_init__(self) -> None:
        self.runs = Runs(self.recorder)
        self.stopped = threading.Event()

    def all(self) -> Recording:
        """Prepare, do what the plan says, summarise."""
        if isinstance(self.bench, Bench):  # before it compiles its models; other benches have some inside them
            self.bench.record_spikes |= "spikes" in self.record
        self.bench.prepare(self.row("preparing"))
        for planned in self.study.plan(self.bench, self.settings, self.runs):
            self.do(planned)
            self.runs.done += planned
        summaries = self.study.summarise(self.bench, self.settings, self.runs)
        return self.recorder.finish([(c.kind, c.labels) for c in self.runs.done], summaries)

    def row(self, label: str) -> Any:
        """A row of the progress bar, to be called with the fraction that is done; raises when all is to stop."""
        row = self.bar.add_task(label, total=100)

        def show(fraction: float) -> None:
            if self.stopped.is_set():
                raise Stopped
            self.bar.update(row, completed=int(100 * fraction))

        return show

    def do(self, planned: Sequence[Condition]) -> None:
        """Live and measure what is not finished yet: spikes in a pool of threads, the twin beside it."""
        _refuse_doubles([*self.runs.done, *planned])
        missing = {condition for condition in planned if condition not in self.runs}
        in_twin = [c for c in planned if c.learner is not None and not c.learner.spikes]
        others = [c for c in planned if c in missing and c not in set(in_twin)]
        with ThreadPoolExecutor(self.jobs) as pool, ThreadPoolExecutor(1) as beside:
            futures: dict[Future[None], Any] = {}
            try:
                for batch in _batches(in_twin):
                    if any(c in missing for c in batch):
                        # All of a batch, since how a batch rounds depends on who is in it.
                        label = f"{batch[0].kind}: twin, {type(batch[0].rule).__name__}"
                        futures[beside.submit(self.in_step, batch, missing, self.row(label))] = None
                rows = {}
                for kind in dict.fromkeys(c.kind for c in others):
                    mine = [c for c in planned if c.kind == kind and c not in set(in_twin)]
                    done = sum(c not in missing for c in mine)
                    rows[kind] = self.bar.add_task(kind, total=len(mine), completed=done)
                for condition in others:
                    futures[pool.submit(self.alone, condition)] = rows[condition.kind]
                self.wait(futures)
            except BaseException:
                self.stopped.set()
                for future in futures:
                    future.cancel()
                end_programs()
                wait(futures)
                raise

    def wait(self, futures: dict[Future[None], Any]) -> None:
        """Wait for all, and raise what the first that fails raises."""
        pending = set(futures)
        while pending:
            # A short timeout, since a wait without one does not answer to Ctrl-C everywhere.
            finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                if futures[future] is not None:
                    self.bar.advance(futures[future])

    def alone(self, condition: Condition) -> None:
        """Live and measure one condition."""
        if self.stopped.is_set():
            raise Stopped
        measure: Any = self.study.measure(self.bench, condition)
        asked: list[tuple[Ask, list[Lived]]] = []
        if not hasattr(measure, "send"):
            self.keep(condition, measure, asked)
            return
        go_on = partial(measure.send, None)
        try:
            while True:
                ask: Ask = go_on()
                ask.bench.record_spikes |= "spikes" in self.record
                answer: list[Lived] = []
                try:
                    for life in ask.lives:
                        if self.stopped.is_set():
                            raise Stopped
                        answer += ask.bench.live([life])
                except ActivityError as error:
                    # The measure may have an answer to it, such as that the rate is too high.
                    go_on = partial(measure.throw, error)
                    continue
                asked.append((ask, answer))
                go_on = partial(measure.send, answer)
        except StopIteration as end:
            self.keep(condition, end.value, asked)

    def in_step(self, batch: Sequence[Condition], missing: set[Condition], show: Any) -> None:
        """Measure conditions of one kind of rule in the twin, all of whose lives are lived at once."""
        measures: dict[Condition, Any] = {c: self.study.measure(self.bench, c) for c in batch}
        answers: dict[Condition, list[Lived] | None] = dict.fromkeys(batch)
        asked: dict[Condition, list[tuple[Ask, list[Lived]]]] = {c: [] for c in batch}
        found: dict[Condition, xr.Dataset] = {}
        while len(found) < len(batch):
            asks: dict[Condition, Ask] = {}
            for condition, measure in measures.items():
                if condition in found:
                    continue
                if not hasattr(measure, "send"):
                    found[condition] = measure
                    continue
                try:
                    asks[condition] = measure.send(answers[condition])
                except StopIteration as end:
                    found[condition] = end.value
            for bench in {id(ask.bench): ask.bench for ask in asks.values()}.values():
                mine = [c for c, ask in asks.items() if ask.bench is bench]
                lives: list[Life] = [life for c in mine for life in asks[c].lives]
                lived = iter(bench.live(lives, show))
                for c in mine:
                    answers[c] = [next(lived) for _ in asks[c].lives]
                    asked[c].append((asks[c], answers[c] or []))
        for condition in batch:
            if condition in missing:
                self.keep(condition, found[condition], asked[condition])

    def keep(self, condition: Condition, measured: Any, asked: Sequence[tuple[Ask, list[Lived]]]) -> None:
        """Keep what was measured of a condition, with what is to be recorded of its lives."""
        if not isinstance(measured, xr.Dataset):
            raise StudyError(
                f"measure of {self.study.name} returned {type(measured).__name__} for {condition.kind} "
                f"{dict(condition.labels)}; it has to return an xarray.Dataset of bioplastic.recording.labelled arrays."
            )
        if self.record:
            measured = measured.merge(of_lives(asked, self.record))
        self.recorder.add(condition.kind, condition.labels, measured)


def _batches(in_twin: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions that are lived at once: those of one kind whose rules infer alike."""
    found: dict[Any, list[Condition]] = {}
    for condition in in_twin:
        found.setdefault((condition.kind, repr(condition.rule.inference)), []).append(condition)
    return list(found.values())


def _refuse_doubles(planned: Sequence[Condition]) -> None:
    seen: set[Condition] = set()
    for condition in planned:
        if condition in seen:
            raise StudyError(
                f"two runs of {condition.kind!r} are labelled {dict(condition.labels)}; give each labels of its own."
            )
        seen.add(condition)
