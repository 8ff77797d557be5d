"""Models that live schedules: a program compiled once, or the same network in Brian2's runtime mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import brian2
import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.circuit import CircuitError
from bioplastic.compiled.build import compile_network
from bioplastic.compiled.run import run_binary
from bioplastic.compiled.toolchain import NO_COMPILER, CompilationError
from bioplastic.events import NO_OUTCOME, Timeline, lay_out
from bioplastic.fingerprint import code_of
from bioplastic.life import Life, Lived
from bioplastic.rules.form import BareRule, Rule
from bioplastic.spiking.assembly import assemble, program
from bioplastic.spiking.health import check_health
from bioplastic.spiking.memory import memory_values
from bioplastic.spiking.network import start_values
from bioplastic.spiking.results import lived, result_variables
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import Task


def model(spec: ModelSpec, task: Task, *, compiled: bool | None = None) -> Model:
    """Make a model, from the cache if it was compiled before.

    Parameters
    ----------
    spec : ModelSpec
    task : Task
        Must have as many stimuli and outcomes as the spec says, and as many inputs and outputs as the circuit has.
    compiled : bool, optional
        True: compile, False: Brian2's runtime mode; by default compile where there is a compiler.

    Raises
    ------
    CircuitError
        Circuit and task do not fit together.
    CompilationError
        Compiling failed, or `compiled` is True and there is no compiler.
    CacheError
        The cache is full, or cannot be written.
    """
    inputs = sum(p.size for p in spec.circuit.inputs)
    outputs = sum(p.size for p in spec.circuit.error_sources)
    wanted = (spec.n_stimuli, inputs), (spec.n_outcomes, outputs)
    if (task.stimuli.shape, task.outcomes.shape) != wanted:
        raise CircuitError(
            f"the task's stimuli {task.stimuli.shape} and outcomes {task.outcomes.shape} do not fit the circuit, which "
            f"needs {wanted[0]} and {wanted[1]}."
        )
    folder = None if compiled is False else _compiled(spec)
    if compiled and folder is None:
        raise CompilationError(NO_COMPILER)
    return Model(spec, task, folder)


def _compiled(spec: ModelSpec) -> Path | None:
    """Return the folder of the compiled model, compiling it first if need be; None where there is no compiler."""
    # Not the rule itself: the child process that compiles need not know the class, which may be a notebook's.
    bare = replace(spec, rule=cast(Rule, BareRule(spec.rule.code, spec.rule.cell_values)))
    made_of = [
        code_of(program),
        spec.circuit.to_json(),
        repr({k: v for k, v in asdict(spec).items() if k not in ("circuit", "rule")}),
        repr(spec.rule.code),
    ]
    return compile_network(partial(program, bare), made_of)


class Model:
    """Lives schedules of one `ModelSpec`; made by `model`.

    Attributes
    ----------
    spec : ModelSpec
    task : Task
        Its stimuli and outcomes fill the tables, of a life that has none of its own.
    compiled : bool
        Whether lives run as a compiled program rather than in Brian2's runtime mode.
    """

    def __init__(self, spec: ModelSpec, task: Task, folder: Path | None) -> None:
        self.spec = spec
        self.task = task
        self.compiled = folder is not None
        self._folder = folder
        self._runtime_lock = threading.Lock()

    def live(self, life: Life) -> Lived:
        """Live one life.

        Safe to call from several threads at once; compiled lives then run in parallel.

        Parameters
        ----------
        life : Life
            Its rule is one that spikes.

        Raises
        ------
        ScheduleError, UnitError, CircuitError
            The life does not fit the model.
        ActivityError
            The activity of a population diverged or went silent; the message names it.
        CompilationError
            The life does not fit the compiled model, or the compiled program failed.
        """
        spec = self.spec
        if getattr(life.rule, "code", None) != spec.rule.code:
            raise CompilationError(
                f"the life's rule is {type(life.rule).__name__}, the model was made for {type(spec.rule).__name__}; "
                "make a model for each kind of rule."
            )
        task = self.task if life.task is None else life.task
        life.schedule.check(task, life.snapshots)
        timeline = lay_out(life.schedule, life.timing, salience_holds=spec.hippocampus is None)
        n_steps = len(timeline.stimulus) + 1  # one more, for a snapshot after the last event
        self._check_fit(life, task, n_steps)
        values = self._values(life, task, timeline)
        values["recorder", "duration"] = (n_steps - 1) * float(spec.resolution / second)
        found = (
            run_binary(self._folder, values)
            if self._folder is not None
            else self._live_runtime(values, (n_steps - 1) * spec.resolution + spec.dt)
        )
        check_health(spec.circuit, found, spec.resolution)
        return lived(spec, life, timeline, found)

    def _check_fit(self, life: Life, task: Task, n_steps: int) -> None:
        """Raise `CompilationError` if the life is not one for which the model was made."""
        spec, reward = self.spec, task.reward
        for name, n_rows in (("stimuli", spec.n_stimuli), ("outcomes", spec.n_outcomes)):
            (n, width), (_, wanted) = getattr(task, name).shape, getattr(self.task, name).shape
            if n > n_rows or width != wanted:
                raise CompilationError(
                    f"the life's task has {n} {name} for {width} cells, the model room for {n_rows} for {wanted}; make "
                    "the model with a larger task."
                )
        if life.timing.resolution != spec.resolution:
            raise CompilationError(
                f"the life's timing has resolution {life.timing.resolution}, the model {spec.resolution}; "
                "make the model with the timing's resolution."
            )
        if n_steps > spec.n_steps or len(life.snapshots) > spec.n_snapshots:
            raise CompilationError(
                f"a life of {n_steps} steps and {len(life.snapshots)} snapshots does not fit a model made for "
                f"{spec.n_steps} steps and {spec.n_snapshots} snapshots; make the model with larger ones."
            )
        if spec.hippocampus is not None and reward is not None and (reward != 1).any():
            raise CompilationError(
                "the task has a reward that is not 1, but the model has a hippocampus, whose memories hold outcomes "
                "and not what was made of them; leave out the reward, or the hippocampus."
            )
        if not spec.restoring and not np.isinf(float(life.tau_w)):
            raise CompilationError(
                f"the life pulls its weights back with tau_w = {life.tau_w}, but the model was made without; make it "
                "with ModelSpec(..., restoring=True)."
            )

    def _values(self, life: Life, task: Task, timeline: Timeline) -> dict[tuple[str, str], Any]:
        """Everything that distinguishes one life from another, but how long it takes: (owner, variable) -> value."""
        spec, circuit = self.spec, self.spec.circuit
        rows = {
            "stimulus_at": np.full(spec.n_steps, -1.0),
            "outcome_at": np.full(spec.n_steps, float(NO_OUTCOME)),
            "snapshot_at": np.zeros(spec.n_steps),
        }
        rows["stimulus_at"][: len(timeline.stimulus)] = timeline.stimulus
        rows["outcome_at"][: len(timeline.outcome)] = timeline.outcome
        rows["snapshot_at"][timeline.end[list(life.snapshots)]] = np.arange(1, len(life.snapshots) + 1)
        reward = np.ones_like(task.outcomes) if task.reward is None else task.reward
        tables = (
            ("stimuli", task.stimuli, spec.n_stimuli),
            ("outcomes", task.outcomes, spec.n_outcomes),
            ("rewards", reward, spec.n_outcomes),
        )
        for name, table, n in tables:
            rows[name] = np.zeros((n + 1, table.shape[1]))  # the first row is silence
            rows[name][1 : len(table) + 1] = table
        values: dict[tuple[str, str], Any] = {(name, "values"): row for name, row in rows.items()}
        phases = life.seed if life.phases is None else life.phases
        values |= start_values(circuit, life.rule, life.weights, life.feedback, phases)
        if spec.restoring:
            values["synapses", "w_rest"] = values["synapses", "w"]
            values["synapses", "restoring"] = 1 / life.tau_w
        values |= memory_values(spec, life, timeline)
        values["health", "must_fire"] = np.array([float(p.role != "input") for p in circuit.populations])
        return values

    def _live_runtime(self, values: Mapping[tuple[str, str], Any], duration: Quantity) -> dict[str, np.ndarray]:
        with self._runtime_lock, _runtime_device(self.spec.dt):
            assembly = assemble(self.spec, compiled=False)
            owners = assembly.owners
            for (owner, variable), value in values.items():
                if owner in assembly.tables:
                    assembly.tables[owner].values[:] = np.asarray(value)
                elif (owner, variable) == ("recorder", "duration"):
                    continue  # a runtime life simply runs as long as it should
                else:
                    setattr(owners[owner], variable, value)
            begin = time.perf_counter()
            assembly.network.run(duration, namespace={})
            run_time = np.array(time.perf_counter() - begin)
            found = {
                # A copy: what Brian2 hands out is freed with the object.
                name: np.array(getattr(owners[owner], variable)[:])
                for name, (owner, variable) in result_variables(self.spec).items()
            }
            return found | {"prediction": found["prediction"].T.ravel(), "run_time": run_time}


@contextmanager
def _runtime_device(dt: Quantity) -> Iterator[None]:
    """Brian2's runtime mode with our time step, whatever the caller has set; afterwards the caller's settings again."""
    previous = brian2.defaultclock.dt
    brian2.set_device("runtime")
    brian2.defaultclock.dt = dt
    try:
        yield
    finally:
        brian2.defaultclock.dt = previous
        brian2.devices.reset_device()
