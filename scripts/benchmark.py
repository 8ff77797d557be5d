"""Does the bench hold what it promises? Prints the figures and the ratios, each measured in this run.

Question
    Do spikes and rates agree, does the error relay follow backprop where it is not screened, is the front exact, and
    what do a step, a build, a call and a recording cost?
Source
    docs/model.md; the targets are those of the table that is printed.
Command
    python scripts/benchmark.py [--quick]
Running time
    On two cores: 8 minutes, --quick 2 minutes (shorter chains, fewer events: its figures are no measurement).
Output
    A table on the terminal. Nothing is written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import brian2
import numpy as np
from bioplastic_models import chain
from brian2 import Hz, ms
from rich.console import Console
from rich.table import Table

from bioplastic import reach, spiking, twin
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Weights
from bioplastic.compiled.toolchain import NO_COMPILER, compiler
from bioplastic.events import Event, Kind, Schedule, Timing, lay_out, probes, random_life
from bioplastic.hippocampus import Memory, Replay
from bioplastic.life import Life
from bioplastic.recording import Provenance, open_recorder
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.study import measure
from bioplastic.tasks import Task, digits


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark.

    Attributes
    ----------
    hops : tuple of int
        Chains on which spikes and rates are compared, in hops; the last is the one for cosines and fronts.
    n_networks : int
        Networks over which the accuracy is taken.
    n_surprises : int
        Events over which the median cosine is taken.
    n_steps : int
        Steps of 1 ms over which a step is timed.
    n_recorded_steps : int
        Length of a life whose recording is timed, in ms: one of the main job's learning arm.
    repeats : int
        Times that each paired timing is repeated; the median ratio is given.
    """

    hops: tuple[int, ...] = (12, 20)
    n_networks: int = 3
    n_surprises: int = 20
    n_steps: int = 20_000
    n_recorded_steps: int = 165_000
    repeats: int = 7


QUICK = Config(hops=(12,), n_networks=1, n_surprises=3, n_steps=5_000, n_recorded_steps=55_000, repeats=3)

REST = 400 * ms
"""Time over which the prediction of a chain at rest is averaged."""
LONG = 35 * ms
"""Per hop: time for which a long outcome stays, enough for its error to pass every hop."""
SURPRISE = ErrorRelay(theta=0.02, gain=1.0, eta=1e-6)
"""So fine a threshold and so small a rate that one event is seen as a direction, not as a lesson."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    measured: str
    target: str
    held: bool | None


class Prepared:
    """A chain of some length: weights and model."""

    def __init__(self, n_hops: int, task: Task, n_networks: int = 1) -> None:
        self.task = task
        self.n_hops = n_hops
        self.circuit: Circuit = chain.circuit(n_hops)
        cache = cache_folder() / "weights"
        self.networks: list[Weights] = twin.pretrained(self.circuit, task, range(n_networks), cache=cache)
        self.weights = self.networks[0]
        spec = spiking.ModelSpec(self.circuit, chain.screened(), len(task.stimuli), len(task.outcomes), 2**17)
        self.model = spiking.model(spec, task)


def accuracy_at_rest(prepared: Prepared) -> tuple[float, float, float]:
    """Return accuracy on held-out background digits in spikes and in the twin, and their mean squared difference.

    All networks together, since one has no more than 323 digits to be right or wrong about.
    """
    task, circuit = prepared.task, prepared.circuit
    shown = task.indices(rare=False, held_out=True)
    timing = replace(chain.timing(prepared.n_hops), lead=2 * chain.timing(prepared.n_hops).lead, outcome=REST)
    spikes = np.stack(
        [
            prepared.model.live(Life(probes(shown), chain.screened(), weights, timing)).prediction
            for weights in prepared.networks
        ]
    )
    rates = twin.predict(circuit, prepared.networks, task.stimuli[shown])
    right = [float((p.argmax(2) == task.label[shown]).mean()) for p in (spikes, rates)]
    return right[0], right[1], float(np.square(spikes - rates).sum(2).mean())


def surprises(prepared: Prepared, outcome: brian2.Quantity, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Let single rare events surprise fresh networks.

    Returns
    -------
    cosine, change : array, shape (n, n_hops)
        To backprop's gradient for the same event; relative to the start weights, exactly 0 where nothing changed.
    """
    task, circuit, start = prepared.task, prepared.circuit, prepared.weights
    timing = Timing(lead=2 * chain.timing(prepared.n_hops).lead, outcome=outcome, gap=30 * ms)
    cosines, changes = [], []
    for stimulus in task.indices(rare=True, held_out=False)[:n]:
        event = Schedule.of([Event(int(stimulus), int(task.label[stimulus]), Kind.RARE)])
        end = prepared.model.live(Life(event, SURPRISE, start, timing, seed=int(stimulus))).weights
        step = {k: end.forward[k] - start.forward[k] for k in start.forward}
        gradient = twin.gradient(circuit, start, task.stimuli[[stimulus]], task.outcomes[[task.label[stimulus]]])
        cosines.append(reach.alignment(circuit, step, gradient))
        changes.append(reach.relative_change(circuit, end.forward, start.forward, start.forward))
    return np.array(cosines), np.array(changes)


def timed_life(prepared: Prepared, n_steps: int) -> Life:
    """Return the life over which a step is timed: digits, almost every third of them the rare one."""
    timing = chain.timing(prepared.n_hops)
    n_events = int(n_steps * ms / timing.event)
    schedule = random_life(prepared.task, event_fraction=0.3, n_events=n_events, seed=0)
    return Life(schedule, chain.screened(n_hops=prepared.n_hops), prepared.weights, timing)


def plain_network(prepared: Prepared, life: Life) -> brian2.Network:
    """Write the same dynamics down plainly, as one would at first: what the speed of a step is compared with.

    Branches by kind of cell, tables looked up at every step by every cell, two events for two signs of the error,
    monitors for counts.
    """
    circuit, weights, task = prepared.circuit, prepared.weights, prepared.task
    n, widest = circuit.n_cells, max(p.size for p in circuit.populations)
    resolution = life.timing.resolution
    timeline = lay_out(life.schedule, life.timing)
    shown = np.zeros((len(timeline.stimulus), widest))
    taught = -np.ones((len(timeline.stimulus), widest))
    shown[timeline.stimulus >= 0] = task.stimuli[timeline.stimulus[timeline.stimulus >= 0]]
    known = timeline.outcome >= 0
    taught[known, : task.outcomes.shape[1]] = task.outcomes[timeline.outcome[known]]
    parameters, rule = CellParameters(), life.rule
    assert isinstance(rule, ErrorRelay)
    names = {
        **parameters.namespace,
        "theta": rule.theta,
        "eta": rule.eta,
        "gain": rule.gain,
        "tau_e": rule.tau_e,
        "drive": brian2.TimedArray(shown, dt=resolution),
        "teach": brian2.TimedArray(taught, dt=resolution),
    }
    cells = brian2.NeuronGroup(
        n,
        """
        dV/dt = (bias - V)/tau_m : 1
        dA/dt = (abias - A)/tau_a : 1
        dx/dt = -x/tau_x : 1
        P : 1
        E : 1
        bias : 1
        abias : 1
        kind : integer (constant)
        slot : integer (constant)
        """,
        threshold="P >= 1",
        reset="P -= 1; x += 1/(rmax*tau_x)",
        events={"up": "E > theta", "down": "E < -theta"},
        method="exact",
        namespace=names,
        name="plain_cells",
    )
    cells.run_regularly(
        """
        phi_v = 0.5 + 0.5*V/sqrt(sqrt(1 + V**4))
        phi_va = 0.5 + 0.5*(V + A)/sqrt(sqrt(1 + (V + A)**4))
        y = teach(t, slot)
        taught = int(y >= 0)
        rate = int(kind == 0)*drive(t, slot) + int(kind == 1)*phi_va + int(kind == 2)*(taught*y + (1 - taught)*phi_v)
        err = int(kind == 1)*(phi_va - phi_v) + int(kind == 2)*taught*(y - phi_v)
        P += rate*rmax*dt
        E = E*exp(-dt/tau_e) + err*rmax*dt
        """,
        when="before_thresholds",
    )
    cells.run_on_event("up", "E -= theta; bias += eta*theta")
    cells.run_on_event("down", "E += theta; bias -= eta*theta")
    synapses = brian2.Synapses(
        cells,
        cells,
        "w : 1\nfb : 1",
        namespace=names,
        on_pre={"forward": "V_post += w/(rmax*tau_m)"},
        on_post={
            "up": "w += eta*theta*x_pre\nA_pre += gain*fb*theta/(rmax*tau_a)",
            "down": "w -= eta*theta*x_pre\nA_pre -= gain*fb*theta/(rmax*tau_a)",
        },
        on_event={"up": "up", "down": "down"},
        name="plain_synapses",
    )
    pre, post = spiking.connections(circuit)
    synapses.connect(i=pre, j=post)
    synapses.w = synapses.fb = spiking.flat(circuit, weights.forward)
    role = {"input": 0, "hidden": 1, "error source": 2}
    cells.kind = np.concatenate([np.full(p.size, role[p.role]) for p in circuit.populations])
    cells.slot = np.concatenate([np.arange(p.size) for p in circuit.populations])
    cells.bias = np.concatenate([weights.bias.get(p.name, np.zeros(p.size)) for p in circuit.populations])
    cells.P = np.random.default_rng(0).random(n)
    counts = [brian2.EventMonitor(cells, event, record=False) for event in ("up", "down")]
    outputs = np.arange(n - circuit.populations[-1].size, n)
    watched = brian2.StateMonitor(cells, "V", record=outputs, dt=resolution)
    return brian2.Network(cells, synapses, *counts, watched)


def compile_plain(directory: str, n_hops: int, n_steps: int) -> None:
    """Compile the plain formulation with Brian2's defaults; runs in a child process."""
    prepared = Prepared(n_hops, digits())
    brian2.set_device("cpp_standalone", directory=directory, build_on_run=False)
    brian2.defaultclock.dt = 1 * ms
    life = timed_life(prepared, n_steps)
    network = plain_network(prepared, life)
    network.run(len(life.schedule) * life.timing.event, namespace={})
    brian2.device.build(directory=directory, compile=True, run=False, with_output=False)


def step_times(prepared: Prepared, config: Config) -> tuple[float, float, float]:
    """Time a step of the plain formulation and of the model, in turn.

    Returns
    -------
    plain, ours : float
        Microseconds per step, medians.
    ratio : float
        Median over the pairs of ours by plain.
    """
    life = timed_life(prepared, config.n_steps)
    steps = len(life.schedule) * float(life.timing.event / ms)
    plain, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        process = get_context("spawn").Process(target=compile_plain, args=(folder, prepared.n_hops, config.n_steps))
        process.start()
        process.join()
        for _ in range(config.repeats):
            subprocess.run([f"{folder}/main"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            plain.append(float(Path(folder, "results", "last_run_info.txt").read_text().split()[0]) / steps)
            ours.append(prepared.model.live(life).run_time / steps)
    return 1e6 * float(np.median(plain)), 1e6 * float(np.median(ours)), float(np.median(np.divide(ours, plain)))


def hippocampus_ratios(prepared: Prepared, config: Config) -> tuple[float, float]:
    """Time a step with a hippocampus and without, in turn.

    Returns
    -------
    day, night : float
        Median ratios: of a life of events, and of a rest in which as many memories as fit are replayed.
    """
    life, task = timed_life(prepared, config.n_steps), prepared.task
    hippocampus = chain.hippocampus(prepared.n_hops)
    model = spiking.model(replace(prepared.model.spec, hippocampus=hippocampus), task)
    rest = Schedule.of([Event(kind=Kind.REST, rest=int(config.n_steps * ms / life.timing.resolution))])
    known = np.arange(hippocampus.capacity)
    memory = Memory.of(hippocampus, {"x": task.stimuli[known], "y": task.outcomes[task.label[known]]})
    night = replace(life, schedule=rest)
    pairs = ((life, life), (night, replace(night, replay=Replay(0.4 * Hz), memory=memory)))
    ratios = [
        [model.live(more).run_time / prepared.model.live(less).run_time for less, more in pairs]
        for _ in range(config.repeats)
    ]
    day, asleep = np.median(ratios, axis=0)
    return float(day), float(asleep)


def recording_share(prepared: Prepared, config: Config) -> float:
    """Return the time to write a run of the learning arm as a share of the time to simulate it."""
    life = timed_life(prepared, config.n_recorded_steps)
    schedule = life.schedule
    occurrences = np.flatnonzero(schedule.rare)[:10]
    rule = chain.screened(1e-3, prepared.n_hops)
    life = replace(life, rule=rule, snapshots=occurrences.tolist())
    begin = time.perf_counter()
    sham = replace(life, schedule=schedule.sham())
    lived = [prepared.model.live(one) for one in (life, sham, replace(sham, seed=1))]
    simulated = time.perf_counter() - begin
    measured = measure.dataset(
        prepared.circuit,
        measure.events(schedule, life.timing),
        measure.output_error(prepared.task, schedule, lived[0].prediction),
        measure.changes(prepared.circuit, life.weights, *(one.snapshots for one in lived)),
        measure.error_spikes(*(one.error_signal[schedule.rare] for one in lived)),
    )
    made = Provenance.here(title="", settings={}, circuit="", code="", script="", source="")
    with tempfile.TemporaryDirectory() as folder:
        recorder = open_recorder(Path(folder, "run.h5"), made)
        begin = time.perf_counter()
        recorder.add("learning", {"learner": "error relay", "seed": 0}, measured)
        return (time.perf_counter() - begin) / simulated


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measured(config: Config, say: Callable[[str], None]) -> list[Line]:
    """Measure everything, and return the lines of the table."""
    task = digits()
    lines = []
    for n_hops, points in zip(config.hops, (1.5, 2.0), strict=False):
        say(f"{n_hops} hops: weights, model")
        prepared = Prepared(n_hops, task, config.n_networks)
        say(f"{n_hops} hops: accuracy at rest")
        spikes, rates, difference = accuracy_at_rest(prepared)
        gap = 100 * abs(spikes - rates)
        measured = f"{100 * spikes:.1f} % and {100 * rates:.1f} %; squared error {difference:.4f}"
        lines.append(
            Line(
                f"digits, {n_hops} hops: accuracy in spikes and twin, {config.n_networks} networks",
                measured,
                f"within {points:g} points",
                gap <= points,
            )
        )
        if n_hops == config.hops[0]:
            say(f"{n_hops} hops: time of a step")
            plain, ours, ratio = step_times(prepared, config)
            text = f"{ours:.1f} us, plain {plain:.1f} us: ratio {ratio:.2f}"
            lines.append(Line(f"compiled step, {n_hops} hops of 64 cells", text, "ratio at most 0.5", ratio <= 0.5))
            say(f"{n_hops} hops: time of a step with a hippocampus")
            day, night = hippocampus_ratios(prepared, config)
            text = f"{day:.2f} times the step by day, {night:.2f} in a night of replay"
            lines.append(Line("a hippocampus beside it", text, "at most 1.3", max(day, night) <= 1.3))
            share = recording_share(prepared, config)
            lines.append(
                Line("recording a run, share of simulating it", f"{100 * share:.2f} %", "under 5 %", share < 0.05)
            )
            again = seconds(partial(spiking.model, prepared.model.spec, task))
            lines.append(Line("the same model again, from the cache", f"{again:.3f} s", "under 5 s", again < 5))
    n_hops = prepared.n_hops
    say(f"{n_hops} hops: {config.n_surprises} surprises, outcome held long")
    cosine, change = surprises(prepared, LONG * n_hops, config.n_surprises)
    median = np.median(np.nan_to_num(cosine), axis=0)
    text = f"median over {len(cosine)} events: {median.min():.3f} (hop {median.argmin()}) to {median.max():.3f}"
    lines.append(
        Line(
            f"cosine to backprop, outcome {LONG * n_hops}, {n_hops} hops",
            text,
            "0.9 at every hop",
            bool(median.min() >= 0.9),
        )
    )
    say(f"{n_hops} hops: {config.n_surprises} surprises, outcome brief")
    _, change = surprises(prepared, 100 * ms, config.n_surprises)
    fronts = [int(np.flatnonzero(row)[-1]) for row in change]
    text = f"last hop changed {min(fronts)} to {max(fronts)}; exactly 0 beyond"
    exact = all(f < n_hops - 1 and (row[f + 1 :] == 0).all() for f, row in zip(fronts, change, strict=True))
    lines.append(Line(f"front of one event, outcome 100 ms, {n_hops} hops", text, "before the last hop", exact))
    spread = [float(np.linalg.norm(g)) for g in gradient_by_hop(prepared)]
    falls = max(spread) / min(spread)
    lines.append(
        Line(f"backprop's gradient, {n_hops} hops: largest by smallest", f"{falls:.1f}", "at most 20", falls <= 20)
    )
    importing = median_import_time(config.repeats)
    lines.append(Line("import bioplastic", f"{importing:.2f} s", "under 3 s, no torch", importing < 3))
    return lines


def gradient_by_hop(prepared: Prepared) -> list[np.ndarray]:
    """Return backprop's gradient for the rare events, by hop."""
    task = prepared.task
    rare = task.indices(rare=True, held_out=False)
    gradient = twin.gradient(prepared.circuit, prepared.weights, task.stimuli[rare], task.outcomes[task.label[rare]])
    return [row for (row,) in reach.by_hop(prepared.circuit, gradient)]


def median_import_time(repeats: int) -> float:
    """Return the time a fresh interpreter takes to import the library."""
    command = [sys.executable, "-c", "import bioplastic, sys; assert 'torch' not in sys.modules"]
    return float(np.median([seconds(lambda: subprocess.run(command, check=True)) for _ in range(repeats)]))


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter chains and fewer events, two minutes")
    options = parser.parse_args(argv)
    console = Console()
    if compiler() is None:
        console.print(NO_COMPILER)
        return 1
    lines = measured(QUICK if options.quick else Config(), lambda text: console.print(f"[dim]{text}[/dim]"))
    table = Table("what", "measured", "target", "held")
    for line in lines:
        table.add_row(line.what, line.measured, line.target, "yes" if line.held else "no")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
