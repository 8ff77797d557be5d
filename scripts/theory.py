"""Lay the closed forms over what is measured: reach against event frequency, and change by hop.

Question
    Four closed forms say how far upstream an error gets. Do the spiking measurements follow them? Do the curves for
    different thresholds, leaks and learning rates fall on one line when they are plotted against the theory's
    dimensionless frequency, and where do they not?
Source
    The closed forms: bioplastic/theory.py, derived in docs/theory.md; the model: docs/model.md; the circuit and its
    parameters: models/chain.py.
Command
    python scripts/theory.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 8 minutes, --quick 45 seconds. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, tables on the terminal.

Nothing is fitted in the predictions of reach. What goes in is the mismatch of every cell: what one occurrence adds to
its integrator beyond the sham run, measured once per network with no leak and a small threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from bioplastic_models import chain
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from rich.console import Console
from rich.table import Table
from scipy.optimize import isotonic_regression, minimize_scalar

from bioplastic import plots, reach, script, spiking, sweep, theory
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Weights
from bioplastic.compiled.run import end_programs
from bioplastic.events import Schedule, random_life
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import Estimate, estimate
from bioplastic.tasks import Task, digits


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    seeds : tuple of int
        One network, one life and one set of spike phases each.
    event_fractions : tuple of float
        Fractions of all events that are the rare event, weights frozen.
    thresholds : tuple of float
        Error thresholds, in spikes, weights frozen.
    memories : tuple of float
        Time constants of the mismatch, in events, weights frozen.
    n_occurrences : int
        A life with frozen weights lasts for at least this many rare events,
    n_events : int
        at least this many events,
    n_memories : int
        and at least this many time constants of the mismatch.
    n_settling : int
        Time constants of the mismatch that go by before occurrences count: the closed forms are limits for long lives.
    n_counted : int
        Events, from an occurrence on, over which its error spikes are counted.
    mismatch_threshold : float
        Error threshold, in spikes, at which the mismatch of single cells is measured, without leak.
    n_mismatch : int
        Rare events over which it is averaged.
    learning_rates : tuple of float
        Learning rates of the learning arm.
    learning_threshold : float
        Error threshold of the learning arm, in spikes; small, so that there is a profile of several hops. Its memory
        is that of models/chain.py.
    learning_fractions : tuple of float
        Event fractions of the learning arm.
    n_learning : int
        Length of a life in the learning arm, in events.
    """

    n_hops: int = chain.N_HOPS
    seeds: tuple[int, ...] = (0, 1, 2)
    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    thresholds: tuple[float, ...] = (0.3, 1.0, 3.0)
    memories: tuple[float, ...] = (10.0, 30.0, 100.0)
    n_occurrences: int = 8
    n_events: int = 120
    n_memories: int = 4
    n_settling: int = 2
    n_counted: int = 3
    mismatch_threshold: float = 0.1
    n_mismatch: int = 24
    learning_rates: tuple[float, ...] = (0.0001, 0.0003, 0.001, 0.003)
    learning_threshold: float = 0.3
    learning_fractions: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    n_learning: int = 200


QUICK = Config(
    seeds=(0, 1),
    event_fractions=(0.03, 0.3),
    thresholds=(0.3, 1.0),
    memories=(10.0, 30.0),
    n_occurrences=3,
    n_events=40,
    n_mismatch=8,
    learning_rates=(0.0003, 0.003),
    learning_fractions=(0.3, 1.0),
    n_learning=30,
)


@dataclass(frozen=True)
class Setting:
    """One curve of reach against frequency: what stays the same along it."""

    arm: str
    threshold: float
    memory: float
    eta: float = 0.0

    @property
    def name(self) -> str:
        """Name of the learner in the recording."""
        if self.arm == "learning":
            return f"eta {self.eta:g}"
        return f"threshold {self.threshold:g}, memory {self.memory:g}"


def settings(config: Config) -> list[Setting]:
    """Return all curves, in the order of tables and figures."""
    frozen = [Setting("frozen", theta, memory) for theta, memory in product(config.thresholds, config.memories)]
    return frozen + [Setting("learning", config.learning_threshold, chain.MEMORY, eta) for eta in config.learning_rates]


@dataclass(frozen=True)
class Condition:
    """One run beside its two sham runs."""

    setting: Setting
    event_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        slug = self.setting.name.replace(", ", "-").replace(" ", "")
        return f"{self.setting.arm}-{slug}-f{self.event_fraction:g}-s{self.seed}"


def conditions(config: Config, arm: str) -> list[Condition]:
    """Return all runs of one arm, the most frequent events first."""
    fractions = config.event_fractions if arm == "frozen" else config.learning_fractions
    cells = product(sorted(fractions, reverse=True), (s for s in settings(config) if s.arm == arm), config.seeds)
    return [Condition(setting, fraction, seed) for fraction, setting, seed in cells]


# ---------------------------------------------------------------------------------------------------
# Runs


class Bench:
    """What all runs share: the task, the circuit, the start weights, the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task: Task = digits()
        self.circuit: Circuit = chain.circuit(config.n_hops)
        self.timing = chain.timing(config.n_hops)
        self.weights: dict[int, Weights] = {}
        self.model: spiking.Model | None = None

    def n_events(self, condition: Condition) -> int:
        """Length of a life."""
        config = self.config
        if condition.setting.arm == "learning":
            return config.n_learning
        enough = max(config.n_occurrences / condition.event_fraction, config.n_memories * condition.setting.memory)
        return max(int(np.ceil(enough)), config.n_events)

    def prepare(self) -> None:
        """Pretrain the networks and compile the model, both from the cache if they are there."""
        from bioplastic import twin

        cache = cache_folder() / "weights"
        found = twin.pretrained(self.circuit, self.task, self.config.seeds, cache=cache)
        self.weights = dict(zip(self.config.seeds, found, strict=True))
        longest = max(self.n_events(c) for arm in ("frozen", "learning") for c in conditions(self.config, arm))
        steps = longest * float(self.timing.event / self.timing.resolution)
        spec = spiking.ModelSpec.with_room(self.circuit, chain.screened(), self.task, steps)
        self.model = spiking.model(spec, self.task)

    def describe(self, setting: Setting, fraction: float, seed: int, life: Schedule) -> recording.Run:
        """Return a run with its condition and events, to be filled with measures."""
        return script.describe(
            life,
            self.timing,
            arm=setting.arm,
            learner=setting.name,
            event_fraction=fraction,
            seed=seed,
            learning_rate=setting.eta,
            output_error=np.full(len(life), np.nan),
        )

    def live(self, condition: Condition) -> recording.Run:
        """Live one condition: the run, its sham, and a second sham with other spike phases."""
        assert self.model is not None
        setting, seed, fraction = condition.setting, condition.seed, condition.event_fraction
        rng = np.random.default_rng([seed, round(1e6 * fraction)])
        schedule = random_life(self.task, event_fraction=fraction, n_events=self.n_events(condition), seed=rng)
        rule = ErrorRelay(
            theta=setting.threshold, tau_e=setting.memory * self.timing.event, gain=chain.GAIN, eta=setting.eta
        )
        life = Life(schedule, rule, self.weights[seed], self.timing, seed=seed)
        sham = replace(life, schedule=schedule.sham())
        lived = [self.model.live(one) for one in (life, sham, replace(sham, seed=seed + 1_000_000))]
        run = self.describe(setting, fraction, seed, schedule)
        counts = [reach.by_occurrence(schedule.rare, one.error_signal, self.config.n_counted) for one in lived]
        run = replace(run, error_spikes=counts[0], error_spikes_sham=counts[1], error_spikes_sham2=counts[2])
        if setting.arm == "frozen":
            return run
        real, one, other = (x.weights.forward for x in lived)
        start = life.weights.forward
        return replace(
            run,
            snapshot_occurrence=np.array([schedule.n_occurrences]),
            change=reach.relative_change(self.circuit, real, one, start)[None],
            change_floor=reach.relative_change(self.circuit, other, one, start)[None],
            change_sham=reach.relative_change(self.circuit, one, start, start)[None],
        )

    def live_for_mismatch(self, seed: int, sham: bool) -> recording.Run:
        """Live rare events only, without leak and with a small threshold, and keep every error spike."""
        assert self.model is not None
        config = self.config
        rng = np.random.default_rng([seed, config.n_mismatch])
        schedule = random_life(self.task, event_fraction=1.0, n_events=config.n_mismatch, seed=rng)
        rule = ErrorRelay(theta=config.mismatch_threshold, gain=chain.GAIN)
        life = Life(schedule.sham() if sham else schedule, rule, self.weights[seed], self.timing, seed=seed)
        errors = self.model.live(life).error_spikes
        assert errors is not None
        spikes = {}
        for population, sign in product(self.circuit.populations, (1, -1)):
            first = self.circuit.slices[population.name].start
            mine = (errors.cell >= first) & (errors.cell < first + population.size) & (errors.sign == sign)
            spikes[spike_train(population.name, sign)] = recording.Spikes(
                timestamps=1000 * errors.time[mine], node_ids=errors.cell[mine] - first
            )
        setting = Setting("frozen", config.mismatch_threshold, np.inf)
        return replace(self.describe(setting, 1.0, seed, schedule), spikes=spikes)


def spike_train(population: str, sign: int) -> str:
    """Name under which a population's error spikes of one sign are recorded."""
    return f"{population}_error_{'plus' if sign > 0 else 'minus'}"


def mismatch_run(seed: int, sham: bool) -> str:
    """Name of a run that measures the mismatch of single cells."""
    return f"mismatch{'-sham' if sham else ''}-s{seed}"


def summarise(bench: Bench, experiment: recording.Experiment) -> recording.Summary:
    """Gather the measures of all runs into labelled arrays."""
    config = bench.config
    curves = settings(config)
    fractions = sorted({*config.event_fractions, *config.learning_fractions})
    length = {
        "learner": len(curves),
        "event_fraction": len(fractions),
        "replay": 1,
        "seed": len(config.seeds),
        "hop": config.n_hops,
    }
    names = (
        *("error_signal", "error_signal_floor", "error_signal_reach"),
        *("change", "change_floor", "reach", "screening_length", "learning_rate"),
    )
    values = {n: np.full([length[d] for d in recording.SUMMARY_VARIABLES[n].dims], np.nan) for n in names}
    for i, setting in enumerate(curves):
        if setting.arm == "learning":
            values["learning_rate"][i] = setting.eta
        for j, fraction in enumerate(fractions):
            if fraction not in (config.event_fractions if setting.arm == "frozen" else config.learning_fractions):
                continue
            runs = [experiment.run(Condition(setting, fraction, seed).name) for seed in config.seeds]
            excess, floor = signal(runs, config.n_settling * setting.memory if setting.arm == "frozen" else 0)
            values["error_signal"][i, j, 0], values["error_signal_floor"][i, j, 0] = excess, floor
            values["error_signal_reach"][i, j, 0] = [reach.reach(x, floor) for x in excess]
            if setting.arm == "learning":
                change = np.array([run.measured("change")[-1] for run in runs])
                floor = reach.spread([run.measured("change_floor")[-1] for run in runs])
                values["change"][i, j, 0], values["change_floor"][i, j, 0] = change, floor
                values["reach"][i, j, 0] = [reach.reach(x, floor) for x in change]
                values["screening_length"][i, j, 0] = [reach.screening_length(x, floor) for x in change]
    return recording.Summary(
        learner=tuple(s.name for s in curves),
        event_fraction=np.array(fractions),
        replay=("off",),
        seed=np.array(config.seeds),
        hop=np.arange(config.n_hops),
        variables=values,
    )


def signal(runs: Sequence[recording.Run], n_left_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Excess error spikes per occurrence, shape (n_seeds, n_hops), and their floor, shape (n_hops,)."""
    means = []
    for run in runs:
        counts = np.flatnonzero(run.event_occurrence) >= n_left_out
        three = ("error_spikes", "error_spikes_sham", "error_spikes_sham2")
        means.append([run.measured(name)[counts].mean(0) for name in three])
    real, sham, sham2 = np.moveaxis(np.array(means), 1, 0)
    return real - sham, reach.spread(sham2 - sham)


def run(config: Config, out: Path, *, jobs: int = 2) -> Path:
    """Run the experiment, or go on with it, and return the recording's path.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.
    jobs : int
        How many lives to simulate at once.

    Returns
    -------
    Path
        `out`; the figure lies beside it.
    """
    bench = Bench(config)
    title = "Closed forms beside the reach and the change that are measured"
    experiment = script.begin(out, title=title, config=config, circuit=bench.circuit.to_json(), script=Path(__file__))
    if experiment is None:
        return out
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("pretraining, compiling", total=1)
        bench.prepare()
        bar.advance(row)
        row = bar.add_task("mismatch of single cells", total=2 * len(config.seeds))
        for seed, sham in product(config.seeds, (False, True)):
            if not experiment.has(mismatch_run(seed, sham)):
                experiment.add(mismatch_run(seed, sham), bench.live_for_mismatch(seed, sham))
            bar.advance(row)
        for arm in ("frozen", "learning"):
            wanted = conditions(config, arm)
            row = bar.add_task(f"spikes: {arm}", total=sum(bench.n_events(c) for c in wanted))
            bar.advance(row, sum(bench.n_events(c) for c in wanted if experiment.has(c.name)))

            def work(condition: Condition) -> None:
                experiment.add(condition.name, bench.live(condition))

            sweep.run_all(
                [c for c in wanted if not experiment.has(c.name)],
                work,
                executor,
                done=lambda c, row=row: bar.advance(row, bench.n_events(c)),  # type: ignore[misc]
                stop=end_programs,
            )
    experiment.finish(summarise(bench, experiment))
    return out


# ---------------------------------------------------------------------------------------------------
# What the theory says


@dataclass(frozen=True)
class Mismatches:
    """What one occurrence adds to the integrator of every cell, beyond the sham run.

    Attributes
    ----------
    size : list of array, shape (n_seeds, n_cells of the hop)
        By hop: size of the mean over occurrences, in spikes.
    consistency : array, shape (n_hops,)
        Size of the mean over occurrences, divided by the mean of the size: 1 where all have the same sign.
    """

    size: list[np.ndarray]
    consistency: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """Of the cell with the largest, shape (n_seeds, n_hops)."""
        return np.array([x.max(1) for x in self.size]).T

    @property
    def typical(self) -> np.ndarray:
        """Root mean square over cells, shape (n_seeds, n_hops)."""
        return np.array([np.sqrt(np.square(x).mean(1)) for x in self.size]).T


def mismatches(done: recording.Recording, config: Config) -> Mismatches:
    """Add up the recorded error spikes of single cells."""
    circuit = Circuit.from_json(done.attrs.circuit)
    sizes: list[list[np.ndarray]] = [[] for _ in range(circuit.n_hops)]
    mean_size, size_of_mean = np.zeros((2, circuit.n_hops))
    for seed in config.seeds:
        runs = [done.runs[mismatch_run(seed, sham)] for sham in (False, True)]
        onset = 1000 * runs[0].event_time
        for population in circuit.populations:
            if population.role == "input":
                continue
            total = np.zeros((2, len(onset), population.size))
            for k, sign in product(range(2), (1, -1)):
                spikes = runs[k].spikes[spike_train(population.name, sign)]
                event = np.searchsorted(onset, spikes.timestamps + 1e-6, side="right") - 1
                np.add.at(total[k], (event, spikes.node_ids.astype(int)), sign * config.mismatch_threshold)
            hop = int(circuit.population_hops[population.name])
            caused = total[0] - total[1]
            sizes[hop].append(np.abs(caused.mean(0)))
            mean_size[hop] += np.abs(caused).mean(0).sum()
            size_of_mean[hop] += sizes[hop][-1].sum()
    consistency = np.divide(size_of_mean, mean_size, out=np.full(circuit.n_hops, np.nan), where=mean_size > 0)
    return Mismatches([np.array(x) for x in sizes], consistency)


def excess(
    size: Sequence[np.ndarray], threshold: float, memory: float, fraction: float, *, cascade: bool
) -> np.ndarray:
    """Error spikes per occurrence that leaky integrators make, by hop.

    Parameters
    ----------
    size : sequence of array, shape (n_cells of the hop,)
        Mismatch of every cell, by hop, in spikes.
    threshold, memory, fraction : float
        In spikes; in events; of all events.
    cascade : bool
        Whether a hop gets only that part of its mismatch which the hops before it pass on, on average over
        occurrences: the error spikes they make, times the threshold, over the mismatch they were given.

    Returns
    -------
    array, shape (n_hops,)
    """
    passed, found = 1.0, []
    for cells in size:
        given = passed * cells
        spikes = float(np.sum(theory.error_spikes_per_occurrence(given, threshold, memory, fraction)))
        found.append(spikes)
        if cascade:
            passed = min(passed, threshold * spikes / cells.sum()) if cells.sum() > 0 else 0.0
    return np.array(found)


THEORIES = (
    "largest cell",
    "largest cell, real times",
    "typical cell",
    "count over floor",
    "count over floor, cascade",
)
DRAWN = (0, 4)
"""Which of them the table of reach and the figure show."""


def predictions(done: recording.Recording, config: Config, cells: Mismatches) -> np.ndarray:
    """Reach that each of `THEORIES` predicts, shape (n_theories, n_settings, n_fractions, n_seeds)."""
    frozen = [s for s in settings(config) if s.arm == "frozen"]
    found = np.full((len(THEORIES), len(frozen), len(config.event_fractions), len(config.seeds)), np.nan)
    floors = done.summary.variable("error_signal_floor").values
    for (i, setting), (j, fraction), (k, seed) in product(
        enumerate(frozen), enumerate(config.event_fractions), enumerate(config.seeds)
    ):
        at = setting.threshold, setting.memory, fraction
        times = np.flatnonzero(done.runs[Condition(setting, fraction, seed).name].event_occurrence)
        held = theory.accumulated_at(times, 1.0, setting.memory)[times >= config.n_settling * setting.memory].max()
        floor = floors[i, column(done.summary, fraction), 0, k]
        size = [x[k] for x in cells.size]
        found[:, i, j, k] = (
            theory.reach_by_threshold(cells.largest[k], *at),
            reach.reach(held * cells.largest[k], np.full(config.n_hops, setting.threshold)),
            theory.reach_by_threshold(cells.typical[k], *at),
            reach.reach(excess(size, *at, cascade=False), floor),
            reach.reach(excess(size, *at, cascade=True), floor),
        )
    return found


def column(summary: recording.Summary, fraction: float) -> int:
    """Place of an event fraction on the summary's axis."""
    return int(np.flatnonzero(np.isclose(summary.event_fraction, fraction))[0])


@dataclass(frozen=True)
class Quality:
    """How well predicted numbers agree with measured ones, each with its interval over seeds.

    Attributes
    ----------
    r2 : Estimate
        1 - sum of squared errors / sum of squares about the mean: nothing is fitted, so it may be negative.
    within : Estimate
        Fraction of conditions that are predicted to within one hop.
    exact : Estimate
        Fraction that is predicted exactly.
    bias : Estimate
        Mean of predicted minus measured, in hops.
    """

    r2: Estimate
    within: Estimate
    exact: Estimate
    bias: Estimate


def quality(measured: np.ndarray, predicted: np.ndarray) -> Quality:
    """Compare, seed by seed; both of shape (n_conditions, n_seeds)."""
    off = predicted - measured
    spread = np.square(measured - measured.mean(0)).sum(0)
    r2 = 1 - np.divide(np.square(off).sum(0), spread, out=np.full(spread.shape, np.nan), where=spread > 0)
    size = np.abs(off)
    return Quality(estimate(r2), estimate((size <= 1).mean(0)), estimate((size == 0).mean(0)), estimate(off.mean(0)))


def places(x: np.ndarray) -> np.ndarray:
    """Numbers without their last digits: frequency times memory is the same for 0.3 and 100, and for 1 and 30."""
    return np.array([float(f"{value:.9g}") for value in x])


def one_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rising curve through points that lies nearest to them (least squares), at the points."""
    _, inverse, n = np.unique(places(x), return_inverse=True, return_counts=True)
    return isotonic_regression(np.bincount(inverse, y) / n, weights=n.astype(float)).x[inverse]


def explained(x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of the variance of y that the best rising function of x explains."""
    spread = np.square(y - y.mean()).sum()
    return float(1 - np.square(y - one_line(x, y)).sum() / spread) if spread > 0 else float("nan")


def crossing(x: np.ndarray, reached: np.ndarray) -> float:
    """Place on a logarithmic axis that best separates what is reached, above it, from what is not."""
    at, inverse = np.unique(places(x), return_inverse=True)
    yes, no = np.bincount(inverse, reached), np.bincount(inverse, ~reached)
    wrong = np.concatenate([[0], np.cumsum(yes)]) + np.concatenate([np.cumsum(no[::-1])[::-1], [0]])
    edges = np.concatenate([at[:1], np.sqrt(at[1:] * at[:-1]), at[-1:]])
    return float(np.exp(np.log(edges[wrong == wrong.min()]).mean()))


# ---------------------------------------------------------------------------------------------------
# Profiles


@dataclass(frozen=True)
class Profile:
    """A closed form fitted to the logarithm of a profile by hop, its size being free.

    Attributes
    ----------
    values : array, shape (n_hops,)
    length : float
        Its parameter: screening length in hops (ladder, cable), or number of inference steps (heat equation).
    r2 : float
        Of the logarithm, over the hops that were fitted.
    """

    values: np.ndarray
    length: float
    r2: float


def _scaled(shape: np.ndarray, log: np.ndarray) -> tuple[np.ndarray, float]:
    """Bring a shape to the height of what was measured; the sum of squared errors of its logarithm."""
    n = len(log)
    with np.errstate(divide="ignore"):
        offset = np.mean(log - np.log(shape[:n]))
        off = np.square(log - np.log(shape[:n]) - offset).sum()
    return shape * np.exp(offset), float(off) if np.isfinite(off) else np.inf


def fit_profile(form: str, measured: np.ndarray, last: int) -> Profile | None:
    """Fit a form to hops 0 to `last`; None if there are fewer than three."""
    if last < 2 or not (measured[: last + 1] > 0).all():
        return None
    n_hops, log = len(measured), np.log(measured[: last + 1])

    def shape(parameter: float) -> np.ndarray:
        if form == "ladder":
            return theory.ladder_change(n_hops, 1.0, np.expm1(np.exp(-parameter)))  # q = exp(-1/length)
        if form == "cable":
            leak = 2 * np.cosh(np.exp(-parameter)) - 2  # screening length exp(parameter)
            return theory.chain_errors(theory.chain_steady_activity(n_hops, leak=leak))
        return theory.chain_errors(theory.chain_activity(n_hops, round(np.exp(parameter)), 0.1))

    # Smooth in the parameter but for the heat equation's whole steps: look everywhere, then closer.
    grid = np.linspace(np.log(0.1), np.log(30), 120) if form != "heat" else np.log(np.arange(last, 1500))
    off = [_scaled(shape(p), log)[1] for p in grid]
    best = int(np.argmin(off))
    parameter = float(grid[best])
    if form != "heat":
        bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
        parameter = float(minimize_scalar(lambda p: _scaled(shape(p), log)[1], bounds=bounds, method="bounded").x)
    values, error = _scaled(shape(parameter), log)
    return Profile(values, float(np.exp(parameter)), float(1 - error / np.square(log - log.mean()).sum()))


FORMS = ("ladder", "cable", "heat")
LENGTHS = {"ladder": "length", "cable": "length", "heat": "steps"}


# ---------------------------------------------------------------------------------------------------
# Tables and figure


@dataclass(frozen=True)
class Frozen:
    """Reach of the error signal, weights frozen, and its prediction.

    Attributes
    ----------
    curves : list of Setting
    fraction : array, shape (n_fractions,)
    measured : array, shape (n_curves, n_fractions, n_seeds)
    predicted : array, shape (n_theories, n_curves, n_fractions, n_seeds)
    cells : Mismatches
    """

    curves: list[Setting]
    fraction: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    cells: Mismatches

    def axis(self, name: str) -> np.ndarray:
        """Value of a variable at every point, shape (n_curves, n_fractions)."""
        theta = np.array([c.threshold for c in self.curves])[:, None]
        memory = np.array([c.memory for c in self.curves])[:, None]
        if name == "f":
            return np.broadcast_to(self.fraction, (len(self.curves), len(self.fraction)))
        if name == "f memory":
            return self.fraction * memory
        if name == "f memory / threshold":
            return self.fraction * memory / theta
        largest = self.cells.largest.mean(0)
        if name == "f / critical":
            return theory.frequency_ratio(largest[self.hop], theta, memory, self.fraction)
        return theory.accumulated_mismatch(largest[0], memory, self.fraction) / theta

    @property
    def hop(self) -> int:
        """First hop that one event alone reaches at no threshold, so that it has a critical frequency at all."""
        below = self.cells.largest.mean(0) < min(c.threshold for c in self.curves)
        return int(np.argmax(below)) if below.any() else len(below) - 1

    @property
    def needed(self) -> tuple[np.ndarray, np.ndarray]:
        """Accumulated mismatch at hop 0, over the threshold, at which each hop is reached: in theory, and measured.

        Returns
        -------
        predicted, measured : array, shape (n_hops,)
            NaN where a hop has no mismatch, or was reached always or never.
        """
        largest = self.cells.largest.mean(0)
        with np.errstate(divide="ignore"):
            predicted = np.where(largest > 0, largest[0] / largest, np.nan)
        x = np.broadcast_to(self.axis("accumulated")[..., None], self.measured.shape).ravel()
        reached = self.measured.ravel()[:, None] >= np.arange(len(largest))
        found = [crossing(x, r) if r.any() and not r.all() else np.nan for r in reached.T]
        return predicted, np.array(found)


AXES = {
    "f": "event frequency alone",
    "f memory": "events per memory: f times memory",
    "f memory / threshold": "the same over the threshold",
    "f / critical": "event frequency over the critical one of hop {hop}",
    "accumulated": "mismatch accumulated at hop 0, over the threshold",
}


def frozen_results(done: recording.Recording, config: Config) -> Frozen:
    """Put together what was measured and what was predicted, weights frozen."""
    curves = [s for s in settings(config) if s.arm == "frozen"]
    at = [column(done.summary, f) for f in config.event_fractions]
    measured = done.summary.variable("error_signal_reach").values[: len(curves)][:, at, 0]
    cells = mismatches(done, config)
    return Frozen(curves, np.array(config.event_fractions), measured, predictions(done, config, cells), cells)


def print_frozen(console: Console, config: Config, found: Frozen) -> None:
    """Print what came out with frozen weights."""
    cells = found.cells
    table = Table(title="What one event adds to a cell beyond the sham run, by hop: mean over seeds")
    for heading in ("hop", "largest cell (spikes)", "typical cell, rms (spikes)", "same sign at all occurrences (1)"):
        table.add_column(heading, justify="right")
    for heading in ("theory", "measured"):
        table.add_column(f"accumulation at hop 0 that it takes, {heading} (thresholds)", justify="right")
    rows = zip(cells.largest.mean(0), cells.typical.mean(0), cells.consistency, *found.needed, strict=True)
    for hop, (largest, typical, consistency, predicted, measured) in enumerate(rows):
        line = f"{largest:.2f}", f"{typical:.3f}", f"{consistency:.2f}", f"{predicted:.3g}", f"{measured:.3g}"
        table.add_row(str(hop), *line)
    console.print(table)
    for name, profile in (("largest", cells.largest.mean(0)), ("typical", cells.typical.mean(0))):
        last = reach.reach(profile, np.zeros(config.n_hops))
        fits = {form: fit_profile(form, profile, last) for form in FORMS}
        parts = [f"{form} R2 = {fit.r2:.3f} ({LENGTHS[form]} {fit.length:.3g})" for form, fit in fits.items() if fit]
        console.print(f"Logarithm of the {name} cell's profile, hops 0 to {last}: {'; '.join(parts)}")
    shown = " / ".join(THEORIES[n] for n in DRAWN)
    table = Table(title=f"Reach, weights frozen: measured ({shown})")
    table.add_column("threshold, memory")
    for fraction in found.fraction:
        table.add_column(f"f = {fraction:g}", justify="right")
    mean, predicted = found.measured.mean(-1), found.predicted.mean(-1)
    for i, curve in enumerate(found.curves):
        cells_of_row = (
            f"{mean[i, j]:.1f} ({' / '.join(f'{predicted[n, i, j]:.1f}' for n in DRAWN)})"
            for j in range(len(found.fraction))
        )
        table.add_row(f"{curve.threshold:g}, {curve.memory:g}", *cells_of_row)
    console.print(table)

    table = Table(title="How well reach is predicted: mean over seeds [95 % interval]")
    for heading in ("from the mismatch of", "R2", "within one hop", "exact", "bias (hops)"):
        table.add_column(heading)
    flat = found.measured.reshape(-1, found.measured.shape[-1])
    for name, predicted in zip(THEORIES, found.predicted, strict=True):
        q = quality(flat, predicted.reshape(flat.shape))
        table.add_row(name, str(q.r2), str(q.within), str(q.exact), str(q.bias))
    console.print(table)

    table = Table(title="Do the curves fall on one line? Variance of reach explained by one rising curve")
    table.add_column("against")
    table.add_column("mean over seeds [95 % interval]")
    for name, long_name in AXES.items():
        x = found.axis(name).ravel()
        table.add_row(long_name.format(hop=found.hop), str(estimate(np.array([explained(x, y) for y in flat.T]))))
    console.print(table)

    mean = flat.mean(-1)
    off = mean - one_line(found.axis("accumulated").ravel(), mean)
    points = [(c, f) for c in found.curves for f in found.fraction]
    worst = [k for k in np.argsort(-np.abs(off)) if abs(off[k]) > 1]
    console.print(f"More than one hop off that line: {len(worst)} of {len(points)} conditions.")
    for k in worst:
        curve, fraction = points[k]
        console.print(f"  {curve.name}, f = {fraction:g}: reach {mean[k]:.1f}, {off[k]:+.1f} hops off the line")
    for what, values in (
        ("threshold", [c.threshold for c, _ in points]),
        ("memory", [c.memory for c, _ in points]),
        ("f", [f for _, f in points]),
    ):
        groups = [f"{v:g}: {off[np.array(values) == v].mean():+.2f}" for v in dict.fromkeys(values)]
        console.print(f"Mean distance from the line in hops, by {what}: {', '.join(groups)}")
    low, high = found.predicted[THEORIES.index("count over floor, cascade")], found.predicted[0]
    within = (low <= found.measured) & (found.measured <= high)
    for name, part in (("between the cascade and the largest cell", within), ("above both", found.measured > high)):
        console.print(f"Measured reach {name}: {estimate(part.mean((0, 1)))} of conditions; by f: ", end="")
        by_f = zip(found.fraction, part.mean((0, 2)), strict=True)
        console.print(", ".join(f"{f:g}: {share:.2f}" for f, share in by_f))


@dataclass(frozen=True)
class Learned:
    """Change by hop, weights learning.

    Attributes
    ----------
    eta, fraction : array, shape (n_rates,), (n_fractions,)
    change : array, shape (n_rates, n_fractions, n_seeds, n_hops)
    reach : array, shape (n_rates, n_fractions, n_seeds)
    fits : dict of str to list of list of Profile or None
        By form, for each rate and fraction: fitted to the mean over seeds, over the hops that all seeds reach.
    last : array of int, shape (n_rates, n_fractions)
        The last of these hops.
    peak, accumulated : array, shape (n_rates, n_fractions)
        Most mismatch that hop 0 ever accumulates, over the threshold: as learning takes it away, and if it did not.
    """

    eta: np.ndarray
    fraction: np.ndarray
    change: np.ndarray
    reach: np.ndarray
    fits: dict[str, list[list[Profile | None]]]
    last: np.ndarray
    peak: np.ndarray
    accumulated: np.ndarray

    def axis(self, name: str) -> np.ndarray:
        """Value of a variable at every point, shape (n_rates, n_fractions)."""
        shape = len(self.eta), len(self.fraction)
        values = {
            "f": self.fraction[None],
            "eta": -self.eta[:, None],  # the slower, the farther
            "f eta": self.eta[:, None] * self.fraction,
            "accumulated": self.accumulated,
            "peak": self.peak,
        }
        return np.broadcast_to(values[name], shape)

    @property
    def attenuation(self) -> np.ndarray:
        """Per hop, from the ladder's fit, shape (n_rates, n_fractions); NaN where there was nothing to fit."""
        return np.array([[np.nan if p is None else np.exp(-1 / p.length) for p in row] for row in self.fits["ladder"]])


def absorption_per_rate(circuit: Circuit) -> float:
    """Rate per occurrence and unit of learning rate at which learning takes away the mismatch at hop 0.

    A cell with mismatch m changes by ``eta m x`` in each weight and by ``eta m`` in its bias, its potential therefore
    by ``eta m (sum of x**2 + 1)``, its next mismatch by minus ``rmax T phi'`` times that, T being the time for which
    the outcome is present. All cells are taken to fire at half of their maximal rate, where the slope is 1/2.
    """
    (source,) = circuit.error_sources
    n_afferents = sum(circuit.shape(p)[1] for p in circuit.incoming(source))
    half = 0.5
    spikes = float(CellParameters().rmax * chain.OUTCOME)
    return spikes * half * (n_afferents * half**2 + 1)


def learning_results(done: recording.Recording, config: Config, cells: Mismatches) -> Learned:
    """Put together what was measured while weights learned, and fit the profiles."""
    first = len(config.thresholds) * len(config.memories)
    at = [column(done.summary, f) for f in config.learning_fractions]
    change = done.summary.variable("change").values[first:][:, at, 0]
    reached = done.summary.variable("reach").values[first:][:, at, 0]
    last = reached.min(-1).astype(int)
    fits = {
        form: [
            [fit_profile(form, c.mean(0), n) for c, n in zip(*row, strict=True)]
            for row in zip(change, last, strict=True)
        ]
        for form in FORMS
    }
    eta, fraction = np.array(config.learning_rates), np.array(config.learning_fractions)
    n_occurrences = np.maximum(1, np.round(fraction * config.n_learning))
    largest = cells.largest[:, 0].mean() / config.learning_threshold
    absorbed = absorption_per_rate(Circuit.from_json(done.attrs.circuit)) * eta[:, None]
    peak, accumulated = (
        theory.peak_mismatch(largest, chain.MEMORY, fraction, rate, n_occurrences) for rate in (absorbed, 0 * absorbed)
    )
    return Learned(eta, fraction, change, reached, fits, last, peak, accumulated)


def fitted_ratio(drive: np.ndarray, attenuation: np.ndarray) -> tuple[float, float]:
    """Fit the ladder's one free number, restoring over coupling, to attenuations; its R2, which may be negative."""
    found = minimize_scalar(
        lambda p: np.square(attenuation - theory.ladder_attenuation(1.0, drive, 1.0, np.exp(p))).sum(),
        bounds=(np.log(drive.min()) - 12, np.log(drive.max()) + 12),
        method="bounded",
    )
    spread = np.square(attenuation - attenuation.mean()).sum()
    return float(np.exp(found.x)), float(1 - found.fun / spread) if spread > 0 else float("nan")


def print_learning(console: Console, found: Learned) -> None:
    """Print what came out while weights learned."""
    table = Table(title="Change by hop, weights learning: R2 of the logarithm (screening length or steps)")
    for heading in ("learning rate", "f", "reach", "hops fitted", *FORMS):
        table.add_column(heading)
    for (i, eta), (j, fraction) in product(enumerate(found.eta), enumerate(found.fraction)):
        fits = [found.fits[form][i][j] for form in FORMS]
        cells = ["-" if fit is None else f"{fit.r2:.3f} ({fit.length:.3g})" for fit in fits]
        table.add_row(
            f"{eta:g}",
            f"{fraction:g}",
            str(estimate(found.reach[i, j])),
            f"0 to {found.last[i, j]}" if found.last[i, j] > 0 else "-",
            *cells,
        )
    console.print(table)
    drive = found.axis("f eta")
    q = found.attenuation
    there = np.isfinite(q)
    if there.sum() > 2:
        ratio, r2 = fitted_ratio(drive[there], q[there])
        console.print(
            f"Attenuation per hop: {q[there].min():.2f} to {q[there].max():.2f}. The ladder's one number fits best "
            f"at rho/k = {ratio:.2g}: R2 = {r2:.2f}."
        )
        shares = [f"{name} {explained(found.axis(name)[there], q[there]):.2f}" for name in ("f", "f eta", "eta")]
        console.print(f"Variance of q explained by one rising curve against: {', '.join(shares)} (eta: falling)")
    table = Table(title="Do the curves for different learning rates fall on one line? Variance explained, as above")
    table.add_column("reach of change against")
    table.add_column("mean over seeds [95 % interval]")
    for name, long_name in LEARNING_AXES.items():
        x = found.axis(name).ravel()
        table.add_row(long_name, str(estimate(np.array([explained(x, y) for y in found.reach.reshape(x.size, -1).T]))))
    console.print(table)
    mean = found.reach.mean(-1)
    off = mean - one_line(found.peak.ravel(), mean.ravel()).reshape(mean.shape)
    for name, values, distances in (("learning rate", found.eta, off.mean(1)), ("f", found.fraction, off.mean(0))):
        groups = [f"{v:g}: {d:+.2f}" for v, d in zip(values, distances, strict=True)]
        console.print(f"Mean distance from the last of these lines in hops, by {name}: {', '.join(groups)}")


LEARNING_AXES = {
    "f": "event frequency alone",
    "eta": "learning rate alone (falling)",
    "f eta": "event frequency times learning rate",
    "accumulated": "mismatch accumulated at hop 0, over the threshold, nothing being learned",
    "peak": "the most that it ever is while learning takes the mismatch away",
}


COLORS = ("#000000", "#2b55c4", "#e07b2a", "#e8c840", "#5a2a82")
MARKERS = ("o", "s", "^", "D", "v")
LINES: tuple[Literal["-"] | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (3, 1, 1, 1, 1, 1)),
)


def _reach_panel(axes: Axes, found: Frozen, config: Config, name: str) -> None:
    x, low_high = found.axis(name), reach.interval(found.measured)
    n = len(found.curves)
    for i, curve in enumerate(found.curves):
        color = COLORS[config.thresholds.index(curve.threshold) % len(COLORS)]
        k = config.memories.index(curve.memory)
        shifted = x[i] * 1.03 ** (i - (n - 1) / 2)
        line, marker = LINES[k % len(LINES)], MARKERS[k % len(MARKERS)]
        axes.plot(
            shifted, found.measured[i].mean(-1), color=color, linestyle=line, marker=marker, markerfacecolor=color
        )
        axes.vlines(shifted, low_high[0][i], low_high[1][i], color=color, linewidth=0.7)
    _reach_axes(axes, config)


def _reach_axes(axes: Axes, config: Config) -> None:
    axes.set_xscale("log")
    axes.set_ylim(-1.4, config.n_hops - 0.5)
    axes.set_yticks([-1, *range(0, config.n_hops, 2)], ["none", *map(str, range(0, config.n_hops, 2))])


def figure(config: Config, frozen: Frozen, learned: Learned) -> Figure:
    """Draw reach against frequency before and after rescaling, the prediction, and the profiles by hop."""
    with plots.page(245) as drawn:
        grid = drawn.add_gridspec(4, 2)
        a, b, c, d, e, f, g, h = (drawn.add_subplot(grid[k]) for k in np.ndindex(4, 2))
        _reach_panel(a, frozen, config, "f")
        a.set_xlabel("event frequency f (fraction of all events)")
        a.set_xticks(sorted(config.event_fractions), [f"{f:g}" for f in sorted(config.event_fractions)])
        a.xaxis.set_minor_locator(NullLocator())
        _reach_panel(b, frozen, config, "f memory")
        b.set_xlabel("events per memory, f × memory (1)")
        _reach_panel(c, frozen, config, "accumulated")
        c.set_xlabel("mismatch accumulated at hop 0, over threshold (1)")
        line = np.geomspace(*c.get_xlim(), 400)
        profile = frozen.cells.largest.mean(0)
        steps = [reach.reach(profile / profile[0] * x, np.ones(len(profile))) for x in line]
        c.plot(line, steps, color="black", linewidth=1.6, alpha=0.5, zorder=0)
        for axes in (a, b, c):
            axes.set_ylabel("reach of the error signal,\nweights frozen (hops upstream)")
        keys = [
            Line2D([], [], color=COLORS[k % len(COLORS)], label=f"threshold {x:g} spikes")
            for k, x in enumerate(config.thresholds)
        ]
        keys += [
            Line2D([], [], color="0.3", linestyle=LINES[k % 5], marker=MARKERS[k % 5], label=f"memory {x:g} events")
            for k, x in enumerate(config.memories)
        ]
        drawn.legend(
            handles=keys, loc="outside upper center", ncols=max(2, len(keys) // 2), handlelength=2.6, title="a to d"
        )
        c.legend(handles=[Line2D([], [], color="black", alpha=0.5, linewidth=1.6, label="theory, largest cell")])

        rng = np.random.default_rng(0)
        for k, curve in enumerate(frozen.curves):
            for n, marker, face in zip(DRAWN, "ox", ("none", None), strict=True):
                at = frozen.predicted[n, k].ravel() + 0.25 * (rng.random(frozen.predicted[n, k].size) - 0.5)
                y = frozen.measured[k].ravel() + 0.25 * (rng.random(at.size) - 0.5)
                color = COLORS[config.thresholds.index(curve.threshold) % len(COLORS)]
                d.scatter(at, y, s=12, marker=marker, linewidths=0.7, color=color, facecolors=face)
        d.axline((0, 0), slope=1, color="0.6", linewidth=0.8, zorder=0)
        for off in (-1, 1):
            d.axline((0, off), slope=1, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
        d.set_xlim(-1.5, config.n_hops - 0.5)
        d.set_ylim(-1.5, config.n_hops - 0.5)
        d.set_xlabel("reach predicted (hops upstream)")
        d.set_ylabel("reach measured (hops upstream)")
        d.legend(
            handles=[
                Line2D([], [], color="0.3", linestyle="", marker="o", markerfacecolor="none", label="largest cell"),
                Line2D([], [], color="0.3", linestyle="", marker="x", label="count over floor, cascade"),
                Line2D([], [], color="0.6", linewidth=0.6, linestyle=":", label="one hop off"),
            ],
            loc="lower right",
        )

        hop, filled = np.arange(config.n_hops), (len(learned.fraction) - 1, 1)
        for (i, eta), (j, fraction) in product(enumerate(learned.eta), enumerate(learned.fraction)):
            color, marker = COLORS[i % len(COLORS)], MARKERS[j % len(MARKERS)]
            change, last = learned.change[i, j], max(int(learned.last[i, j]), 0)
            if j in filled:  # all of them would hide each other
                mean, (low, high) = change.mean(0), reach.interval(change, axis=0)
                e.plot(hop[: last + 1], mean[: last + 1], color=color, marker=marker, linestyle="")
                e.vlines(hop[: last + 1], low[: last + 1], high[: last + 1], color=color, linewidth=0.7)
                for form, look in (("ladder", "-"), ("heat", ":")):
                    fit = learned.fits[form][i][j]
                    if fit is not None:
                        e.plot(hop[: last + 2], fit.values[: last + 2], color=color, linestyle=look, linewidth=0.8)
            if np.isfinite(learned.attenuation[i, j]):
                f.plot(eta * fraction, learned.attenuation[i, j], color=color, marker=marker, linestyle="")
        e.set_yscale("log")
        e.set_xlabel("hops upstream")
        e.set_xticks(hop[: max(int(learned.last.max()), 0) + 2])
        e.set_ylabel("relative change of the weights\nagainst the sham run (1)")
        keys = [
            Line2D([], [], color="0.3", label="ladder, $q^h$", linewidth=0.8),
            Line2D([], [], color="0.3", linestyle=":", label="heat equation", linewidth=0.8),
        ]
        e.legend(handles=keys, loc="upper right")
        for axes, name, label in (
            (g, "f", "event frequency f (fraction of all events)"),
            (h, "peak", "peak of the mismatch at hop 0, over threshold (1)"),
        ):
            x, (low, high) = learned.axis(name), reach.interval(learned.reach)
            for i in range(len(learned.eta)):
                shifted, color = x[i] * 1.03 ** (i - 1.5), COLORS[i % len(COLORS)]
                axes.plot(shifted, learned.reach[i].mean(-1), color=color, linewidth=0.8)
                axes.vlines(shifted, low[i], high[i], color=color, linewidth=0.7)
                for j in range(len(learned.fraction)):
                    axes.plot(shifted[j], learned.reach[i, j].mean(), color=color, marker=MARKERS[j % len(MARKERS)])
            _reach_axes(axes, config)
            axes.set_xlabel(label)
            axes.set_ylabel("reach of change,\nweights learning (hops upstream)")
        g.set_xticks(learned.fraction, [f"{x:g}" for x in learned.fraction])
        g.xaxis.set_minor_locator(NullLocator())
        keys = [Line2D([], [], color=COLORS[i % 5], label=f"η = {eta:g}") for i, eta in enumerate(learned.eta)]
        keys += [
            Line2D([], [], color="0.3", marker=MARKERS[j % 5], linestyle="", label=f"f = {x:g}")
            for j, x in enumerate(learned.fraction)
        ]
        g.legend(
            handles=keys, ncols=2, loc="upper left", handlelength=1.5, labelspacing=0.2, borderaxespad=0, title="e to h"
        )
        h.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        h.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        h.xaxis.set_minor_locator(NullLocator())
        drive, there = learned.eta[:, None] * learned.fraction, np.isfinite(learned.attenuation)
        if there.sum() > 2:
            ratio, _ = fitted_ratio(drive[there], learned.attenuation[there])
            x = np.geomspace(drive.min() / 1.5, drive.max() * 1.5, 100)
            f.plot(x, theory.ladder_attenuation(1.0, x, 1.0, ratio), color="black", alpha=0.5, label="ladder, one fit")
            f.legend(loc="lower left")
        if not there.any():
            f.text(0.5, 0.5, "no profile of three hops or more", transform=f.transAxes, ha="center", color="0.45")
        f.set_xscale("log")
        f.set_ylim(0, 1)
        f.set_xlabel("event frequency × learning rate (1)")
        f.set_ylabel("attenuation per hop q (1)")
        for axes, letter in zip((a, b, c, d, e, f, g, h), "abcdefgh", strict=True):
            plots.letter(axes, letter)
        n = len(config.seeds)
        plots.note(
            drawn,
            f"Mean over {n} seed{'s' * (n > 1)} (d: single seeds); bars: 95 % bootstrap interval over seeds. Points "
            "are shifted a little, so that those that coincide stay visible. e: highest and second lowest frequency.",
        )
    return drawn


def as_config(stored: Mapping[str, Any]) -> Config:
    """Return the settings as they were, from the recording."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return Config(**values)


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    done = recording.read(path)
    config = as_config(done.attrs.config)
    console = script.console()
    frozen = frozen_results(done, config)
    learned = learning_results(done, config, frozen.cells)
    print_frozen(console, config, frozen)
    print_learning(console, learned)
    for written in plots.save(figure(config, frozen, learned), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}; look into it with: bioplastic inspect {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="theory",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "few conditions, two seeds, 45 seconds"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
