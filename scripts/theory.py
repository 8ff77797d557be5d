"""Lay the closed forms over what is measured: reach against event frequency, and change by hop.

Question
    Four closed forms say how far upstream an error gets. Do the spiking measurements follow them? Do the curves for
    different thresholds, leaks and learning rates fall on one line when they are plotted against the theory's
    dimensionless frequency, and where do they not?
Source
    The closed forms: bioplastic/theory.py, derived in docs/theory.md; how they are laid over measurements:
    bioplastic/fits.py; the model: docs/model.md; the circuit and its parameters: models/chain.py.
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from bioplastic_models import chain
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from rich.table import Table

from bioplastic import plots, reach, theory
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit
from bioplastic.events import Schedule, random_life
from bioplastic.fits import FORMS, Profile, crossing, explained, fit_profile, fitted_ratio, one_line, quality
from bioplastic.life import Lived
from bioplastic.recording import Recording, labelled
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import estimate, interval, spread
from bioplastic.study import Bench, Condition, Learner, Runs, Study
from bioplastic.study import measure as measures
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, table
from bioplastic.tasks import digits

FROZEN, LEARNING, MISMATCH = "frozen", "learning", "mismatch"


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = chain.N_HOPS
    """Length of the chain, in hops."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One network, one life and one set of spike phases each."""
    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    """Fractions of all events that are the rare event, weights frozen."""
    thresholds: tuple[float, ...] = (0.3, 1.0, 3.0)
    """Error thresholds, in spikes, weights frozen."""
    memories: tuple[float, ...] = (10.0, 30.0, 100.0)
    """Time constants of the mismatch, in events, weights frozen."""
    n_occurrences: int = 8
    """A life with frozen weights lasts for at least this many rare events and four time constants of the mismatch."""
    n_events: int = 120
    """And for at least this many events."""
    n_counted: int = 3
    """Events, from an occurrence on, over which its error spikes are counted."""
    mismatch_threshold: float = 0.1
    """Error threshold, in spikes, at which the mismatch of single cells is measured, without leak."""
    n_mismatch: int = 24
    """Rare events over which it is averaged."""
    learning_rates: tuple[float, ...] = (0.0001, 0.0003, 0.001, 0.003)
    """Learning rates of the learning arm."""
    learning_threshold: float = 0.3
    """Error threshold of the learning arm, in spikes; small, so that there is a profile of several hops. Its memory is
    that of models/chain.py."""
    learning_fractions: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    """Event fractions of the learning arm."""
    n_learning: int = 200
    """Length of a life in the learning arm, in events."""


SETTINGS = {
    "": Settings(),
    "quick": Settings(
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
    ),
}
N_MEMORIES, N_SETTLING = 4, 2
"""Time constants of the mismatch that a life with frozen weights lasts at least, and that go by before occurrences
count: the closed forms are limits for long lives."""


@dataclass(frozen=True)
class Curve:
    """One curve of reach against frequency: what stays the same along it."""

    arm: str
    threshold: float
    memory: float
    eta: float = 0.0

    @property
    def name(self) -> str:
        """Name of the learner in the recording."""
        if self.arm == LEARNING:
            return f"eta {self.eta:g}"
        return f"threshold {self.threshold:g}, memory {self.memory:g}"


def curves(settings: Settings) -> list[Curve]:
    """Return all curves, in the order of tables and figures."""
    frozen = [Curve(FROZEN, theta, memory) for theta, memory in product(settings.thresholds, settings.memories)]
    rates = settings.learning_rates
    return frozen + [Curve(LEARNING, settings.learning_threshold, float(chain.MEMORY), eta) for eta in rates]


def fractions(settings: Settings, arm: str) -> tuple[float, ...]:
    """Event fractions of an arm."""
    return settings.event_fractions if arm == FROZEN else settings.learning_fractions


# ------------------------------------------------------------------------------------------ lives


class Chain(Bench):
    """What all runs share."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.timing = settings, chain.timing(settings.n_hops)
        longest = max(self.n_events(c, f) for c in curves(settings) for f in fractions(settings, c.arm))
        steps = longest * float(self.timing.event / self.timing.resolution)
        relay = Learner("error relay", chain.screened, self.timing)
        super().__init__(chain.circuit(settings.n_hops), digits(), settings.seeds, [relay], longest=steps)

    def n_events(self, curve: Curve, fraction: float) -> int:
        """Length of a life."""
        if curve.arm == LEARNING:
            return self.settings.n_learning
        enough = max(self.settings.n_occurrences / fraction, N_MEMORIES * curve.memory)
        return max(int(np.ceil(enough)), self.settings.n_events)


def plan(bench: Chain, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the lives that measure the mismatch of single cells, then all curves, the most frequent events first."""
    everything = [Condition(MISMATCH, {"seed": seed}, bench.learners[0]) for seed in settings.seeds]
    for arm in (FROZEN, LEARNING):
        mine = [curve for curve in curves(settings) if curve.arm == arm]
        everything += [
            _condition(bench, curve, fraction, seed)
            for fraction, curve, seed in product(sorted(fractions(settings, arm), reverse=True), mine, settings.seeds)
        ]
    yield everything


def _condition(bench: Chain, curve: Curve, fraction: float, seed: int) -> Condition:
    mine = {"threshold": curve.threshold, "memory": curve.memory, "eta": curve.eta}
    return Condition(
        curve.arm, {"curve": curve.name, **mine, "event_fraction": fraction, "seed": seed}, bench.learners[0]
    )


def measure(bench: Chain, condition: Condition) -> Measure:
    """Measure one life beside its sham runs."""
    settings, seed = bench.settings, condition["seed"]
    if condition.kind == MISMATCH:
        rng = np.random.default_rng([seed, settings.n_mismatch])
        schedule = random_life(bench.task, event_fraction=1.0, n_events=settings.n_mismatch, seed=rng)
        rule = ErrorRelay(theta=settings.mismatch_threshold, gain=chain.GAIN)
    else:
        curve = Curve(condition.kind, condition["threshold"], condition["memory"], condition["eta"])
        fraction = condition["event_fraction"]
        rng = np.random.default_rng([seed, round(1e6 * fraction)])
        n_events = bench.n_events(curve, fraction)
        schedule = random_life(bench.task, event_fraction=fraction, n_events=n_events, seed=rng)
        memory = curve.memory * bench.timing.event
        rule = ErrorRelay(theta=curve.threshold, tau_e=memory, gain=chain.GAIN, eta=curve.eta)
    life = bench.life(condition, schedule, rule=rule)
    if condition.kind == MISMATCH:
        real, other = yield bench.ask(life, replace(life, schedule=schedule.sham()))
        added = [_added(bench, one, schedule) for one in (real, other)]
        return measures.dataset(
            bench.circuit,
            {
                "caused": labelled(
                    ("event", "cell"),
                    added[0] - added[1],
                    "mismatch that a rare event adds to a cell beyond the sham run, in spikes",
                )
            },
        )
    lived = yield from bench.beside_shams(life)
    counts = [reach.by_occurrence(schedule.rare, one.error_signal, settings.n_counted) for one in lived]
    found = measures.events(schedule, bench.timing) | measures.error_spikes(*counts)
    if condition.kind == LEARNING:
        found |= measures.changes(bench.circuit, life.weights, *([one.weights] for one in lived))
    return measures.dataset(bench.circuit, found)


def _added(bench: Chain, lived: Lived, schedule: Schedule) -> np.ndarray:
    """Mismatch that each event adds to each cell, in spikes, from its error spikes, shape (n_events, n_cells)."""
    assert lived.error_spikes is not None and lived.onset is not None
    assert lived.error_spikes.sign is not None
    total = np.zeros((len(schedule), bench.circuit.n_cells))
    # In ms, as recordings have them.
    event = np.searchsorted(1000 * lived.onset, 1000 * lived.error_spikes.time + 1e-6, side="right") - 1
    for sign in (1, -1):
        mine = lived.error_spikes.sign == sign
        step = sign * bench.settings.mismatch_threshold
        np.add.at(total, (event[mine], lived.error_spikes.cell[mine]), step)
    return total


def summarise(bench: Chain, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather reach and its floors, curve by curve."""
    everything = curves(settings)
    every_fraction = sorted({*settings.event_fractions, *settings.learning_fractions})
    axes = ("learner", "event_fraction", "seed")
    shape = len(everything), len(every_fraction), len(settings.seeds)
    values = {name: np.full(shape, np.nan) for name in LONG_NAMES if name not in PER_HOP}
    values |= {name: np.full((*shape, settings.n_hops), np.nan) for name in PER_HOP}
    for i, curve in enumerate(everything):
        if curve.arm == LEARNING:
            values["learning_rate"][i] = curve.eta
        for fraction in fractions(settings, curve.arm):
            here = i, every_fraction.index(fraction)
            mine = [runs[_condition(bench, curve, fraction, seed)] for seed in settings.seeds]
            excess, floor = signal(mine, N_SETTLING * curve.memory if curve.arm == FROZEN else 0)
            values["error_signal"][here], values["error_signal_floor"][here] = excess, floor
            values["error_signal_reach"][here] = [reach.reach(one, floor) for one in excess]
            if curve.arm == LEARNING:
                change = np.array([run["change"].values[-1] for run in mine])
                floor = spread([run["change_floor"].values[-1] for run in mine])
                values["change"][here], values["change_floor"][here] = change, floor
                values["reach"][here] = [reach.reach(one, floor) for one in change]
                values["screening_length"][here] = [reach.screening_length(one, floor) for one in change]
    summary = xr.Dataset(
        {name: labelled((*axes, "hop")[: array.ndim], array, LONG_NAMES[name]) for name, array in values.items()},
        {
            "learner": [curve.name for curve in everything],
            "event_fraction": labelled("event_fraction", every_fraction, "fraction of all events that are rare"),
            "seed": list(settings.seeds),
            "hop": measures.hop_axis(settings.n_hops),
        },
    )
    return {"summary": summary}


PER_HOP = ("error_signal", "error_signal_floor", "change", "change_floor")
LONG_NAMES = {
    "error_signal": "excess error spikes over the sham run",
    "error_signal_floor": "difference of error spikes between two sham runs",
    "error_signal_reach": "last hop the error signal reaches (-1: none)",
    "change": "relative change of the weights against the sham run, at the end of the life",
    "change_floor": "relative change of the weights between two sham runs (sham floor), at the end of the life",
    "reach": "last hop the change reaches, at the end of the life (-1: none)",
    "screening_length": "e-folding distance of the change, in hops",
    "learning_rate": "learning rate",
}


def signal(runs: Sequence[xr.Dataset], n_left_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Excess error spikes per occurrence, shape (n_seeds, n_hops), and their floor, shape (n_hops,)."""
    means = []
    for run in runs:
        counts = np.flatnonzero(run["event_occurrence"].values) >= n_left_out
        three = ("error_spikes", "error_spikes_sham", "error_spikes_sham2")
        means.append([run[name].values[counts].mean(0) for name in three])
    real, sham, sham2 = np.moveaxis(np.array(means), 1, 0)
    return real - sham, spread(sham2 - sham)


# ------------------------------------------------------------------------------------------ what the theory says


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


def mismatches(recording: Recording, settings: Settings) -> Mismatches:
    """Take the mean over occurrences of what they add to single cells, by hop."""
    circuit = Circuit.from_json(recording.provenance.circuit)
    sizes: list[list[np.ndarray]] = [[] for _ in range(circuit.n_hops)]
    mean_size, size_of_mean = np.zeros((2, circuit.n_hops))
    for seed in settings.seeds:
        caused = recording.run(MISMATCH, seed=seed)["caused"].transpose("event", "cell").values
        for population in circuit.populations:
            if population.role == "input":
                continue
            hop, mine = int(circuit.population_hops[population.name]), caused[:, circuit.slices[population.name]]
            sizes[hop].append(np.abs(mine.mean(0)))
            mean_size[hop] += np.abs(mine).mean(0).sum()
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


THEORIES = (
    "largest cell",
    "largest cell, real times",
    "typical cell",
    "count over floor",
    "count over floor, cascade",
)
DRAWN = (0, 4)
"""Which of them the table of reach and the figure show."""


def predictions(recording: Recording, settings: Settings, cells: Mismatches) -> np.ndarray:
    """Reach that each of `THEORIES` predicts, shape (n_theories, n_curves, n_fractions, n_seeds)."""
    frozen = [curve for curve in curves(settings) if curve.arm == FROZEN]
    found = np.full((len(THEORIES), len(frozen), len(settings.event_fractions), len(settings.seeds)), np.nan)
    for (i, curve), (j, fraction), (k, seed) in product(
        enumerate(frozen), enumerate(settings.event_fractions), enumerate(settings.seeds)
    ):
        at = curve.threshold, curve.memory, fraction
        run = recording.run(FROZEN, curve=curve.name, event_fraction=fraction, seed=seed)
        times = np.flatnonzero(run["event_occurrence"].values)
        held = theory.accumulated_at(times, 1.0, curve.memory)[times >= N_SETTLING * curve.memory].max()
        place = {"learner": curve.name, "event_fraction": fraction, "seed": seed}
        floor = recording.summary["error_signal_floor"].sel(place).values
        size = [x[k] for x in cells.size]
        found[:, i, j, k] = (
            theory.reach_by_threshold(cells.largest[k], *at),
            reach.reach(held * cells.largest[k], np.full(settings.n_hops, curve.threshold)),
            theory.reach_by_threshold(cells.typical[k], *at),
            reach.reach(excess(size, *at, cascade=False), floor),
            reach.reach(excess(size, *at, cascade=True), floor),
        )
    return found


LENGTHS = {"ladder": "length", "cable": "length", "heat": "steps"}
"""What the parameter of a form is."""


@dataclass(frozen=True)
class Frozen:
    """Reach of the error signal, weights frozen, and its prediction.

    Attributes
    ----------
    curves : list of Curve
    fraction : array, shape (n_fractions,)
    measured : array, shape (n_curves, n_fractions, n_seeds)
    predicted : array, shape (n_theories, n_curves, n_fractions, n_seeds)
    cells : Mismatches
    """

    curves: list[Curve]
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


def frozen_results(recording: Recording, settings: Settings) -> Frozen:
    """Put together what was measured and what was predicted, weights frozen."""
    mine = [curve for curve in curves(settings) if curve.arm == FROZEN]
    at = {"learner": [curve.name for curve in mine], "event_fraction": list(settings.event_fractions)}
    measured = recording.summary["error_signal_reach"].sel(at).transpose("learner", "event_fraction", "seed").values
    cells = mismatches(recording, settings)
    predicted = predictions(recording, settings, cells)
    return Frozen(mine, np.array(settings.event_fractions), measured, predicted, cells)


def learning_results(recording: Recording, settings: Settings, cells: Mismatches) -> Learned:
    """Put together what was measured while weights learned, and fit the profiles."""
    mine = [curve.name for curve in curves(settings) if curve.arm == LEARNING]
    at = {"learner": mine, "event_fraction": list(settings.learning_fractions)}
    axes = ("learner", "event_fraction", "seed")
    change = recording.summary["change"].sel(at).transpose(*axes, "hop").values
    reached = recording.summary["reach"].sel(at).transpose(*axes).values
    last = reached.min(-1).astype(int)
    fits = {
        form: [
            [fit_profile(form, c.mean(0), n) for c, n in zip(*row, strict=True)]
            for row in zip(change, last, strict=True)
        ]
        for form in FORMS
    }
    eta, fraction = np.array(settings.learning_rates), np.array(settings.learning_fractions)
    n_occurrences = np.maximum(1, np.round(fraction * settings.n_learning))
    largest = cells.largest[:, 0].mean() / settings.learning_threshold
    absorbed = absorption_per_rate(Circuit.from_json(recording.provenance.circuit)) * eta[:, None]
    peak, accumulated = (
        theory.peak_mismatch(largest, chain.MEMORY, fraction, rate, n_occurrences) for rate in (absorbed, 0 * absorbed)
    )
    return Learned(eta, fraction, change, reached, fits, last, peak, accumulated)


def settings_of(recording: Recording) -> Settings:
    """Return the settings as they were, from the recording."""
    stored = recording.provenance.settings
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return Settings(**kept)


# ------------------------------------------------------------------------------------------ tables and sentences


AXES = {
    "f": "event frequency alone",
    "f memory": "events per memory: f times memory",
    "f memory / threshold": "the same over the threshold",
    "f / critical": "event frequency over the critical one of hop {hop}",
    "accumulated": "mismatch accumulated at hop 0, over the threshold",
}
LEARNING_AXES = {
    "f": "event frequency alone",
    "eta": "learning rate alone (falling)",
    "f eta": "event frequency times learning rate",
    "accumulated": "mismatch accumulated at hop 0, over the threshold, nothing being learned",
    "peak": "the most that it ever is while learning takes the mismatch away",
}


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what was measured beside what the theory says, weights frozen and learning."""
    settings = settings_of(recording)
    found = frozen_results(recording, settings)
    cells = found.cells
    accumulation = "accumulation at hop 0 that it takes, {} (thresholds)"
    headings = ["hop", "largest cell (spikes)", "typical cell, rms (spikes)", "same sign at all occurrences (1)"]
    columns = zip(cells.largest.mean(0), cells.typical.mean(0), cells.consistency, *found.needed, strict=True)
    yield table(
        "What one event adds to a cell beyond the sham run, by hop: mean over seeds",
        [*headings, accumulation.format("theory"), accumulation.format("measured")],
        [
            [str(hop), f"{largest:.2f}", f"{typical:.3f}", f"{same:.2f}", f"{predicted:.3g}", f"{measured:.3g}"]
            for hop, (largest, typical, same, predicted, measured) in enumerate(columns)
        ],
    )
    mean, predicted = found.measured.mean(-1), found.predicted.mean(-1)
    rows = [
        [
            f"{curve.threshold:g}, {curve.memory:g}",
            *(
                f"{mean[i, j]:.1f} ({' / '.join(f'{predicted[n, i, j]:.1f}' for n in DRAWN)})"
                for j in range(len(found.fraction))
            ),
        ]
        for i, curve in enumerate(found.curves)
    ]
    title = f"Reach, weights frozen: measured ({' / '.join(THEORIES[n] for n in DRAWN)})"
    yield table(title, ["threshold, memory", *(f"f = {fraction:g}" for fraction in found.fraction)], rows)
    flat = found.measured.reshape(-1, found.measured.shape[-1])
    rows = []
    for name, one in zip(THEORIES, found.predicted, strict=True):
        q = quality(flat, one.reshape(flat.shape))
        rows.append([name, str(q.r2), str(q.within), str(q.exact), str(q.bias)])
    headings = ["from the mismatch of", "R2", "within one hop", "exact", "bias (hops)"]
    yield table("How well reach is predicted: mean over seeds [95 % interval]", headings, rows)
    yield _one_line_table(
        "Do the curves fall on one line? Variance of reach explained by one rising curve",
        "against",
        {name.format(hop=found.hop): found.axis(key).ravel() for key, name in AXES.items()},
        flat,
    )
    learned = learning_results(recording, settings, cells)
    rows = []
    for (i, eta), (j, fraction) in product(enumerate(learned.eta), enumerate(learned.fraction)):
        fits = [learned.fits[form][i][j] for form in FORMS]
        rows.append(
            [
                f"{eta:g}",
                f"{fraction:g}",
                str(estimate(learned.reach[i, j])),
                f"0 to {learned.last[i, j]}" if learned.last[i, j] > 0 else "-",
                *("-" if fit is None else f"{fit.r2:.3f} ({fit.length:.3g})" for fit in fits),
            ]
        )
    title = "Change by hop, weights learning: R2 of the logarithm (screening length or steps)"
    yield table(title, ["learning rate", "f", "reach", "hops fitted", *FORMS], rows)
    yield _one_line_table(
        "Do the curves for different learning rates fall on one line? Variance explained, as above",
        "reach of change against",
        {name: learned.axis(key).ravel() for key, name in LEARNING_AXES.items()},
        learned.reach.reshape(learned.eta.size * learned.fraction.size, -1),
    )


def _one_line_table(title: str, against: str, axes: Mapping[str, np.ndarray], reached: np.ndarray) -> Table:
    rows = [[name, str(estimate(np.array([explained(x, y) for y in reached.T])))] for name, x in axes.items()]
    return table(title, [against, "mean over seeds [95 % interval]"], rows)


def statements(recording: Recording) -> Iterator[str]:
    """Say how the profile of the mismatch falls, and what lies off the lines."""
    settings = settings_of(recording)
    found = frozen_results(recording, settings)
    for name, profile in (("largest", found.cells.largest.mean(0)), ("typical", found.cells.typical.mean(0))):
        last = reach.reach(profile, np.zeros(settings.n_hops))
        fits = {form: fit_profile(form, profile, last) for form in FORMS}
        parts = [f"{form} R2 = {fit.r2:.3f} ({LENGTHS[form]} {fit.length:.3g})" for form, fit in fits.items() if fit]
        yield f"Logarithm of the {name} cell's profile, hops 0 to {last}: {'; '.join(parts)}"
    mean = found.measured.reshape(-1, found.measured.shape[-1]).mean(-1)
    off = mean - one_line(found.axis("accumulated").ravel(), mean)
    points = list(product(found.curves, found.fraction))
    worst = [k for k in np.argsort(-np.abs(off)) if abs(off[k]) > 1]
    yield f"More than one hop off that line: {len(worst)} of {len(points)} conditions."
    for k in worst:
        curve, fraction = points[k]
        yield f"  {curve.name}, f = {fraction:g}: reach {mean[k]:.1f}, {off[k]:+.1f} hops off the line"
    for what, values in (
        ("threshold", [curve.threshold for curve, _ in points]),
        ("memory", [curve.memory for curve, _ in points]),
        ("f", [fraction for _, fraction in points]),
    ):
        groups = [f"{v:g}: {off[np.array(values) == v].mean():+.2f}" for v in dict.fromkeys(values)]
        yield f"Mean distance from the line in hops, by {what}: {', '.join(groups)}"
    low, high = found.predicted[THEORIES.index("count over floor, cascade")], found.predicted[0]
    within = (low <= found.measured) & (found.measured <= high)
    for name, part in (("between the cascade and the largest cell", within), ("above both", found.measured > high)):
        by_f = zip(found.fraction, part.mean((0, 2)), strict=True)
        shares = ", ".join(f"{f:g}: {share:.2f}" for f, share in by_f)
        yield f"Measured reach {name}: {estimate(part.mean((0, 1)))} of conditions; by f: {shares}"
    yield from _learning_statements(learning_results(recording, settings, found.cells))


def _learning_statements(found: Learned) -> Iterator[str]:
    q = found.attenuation
    there = np.isfinite(q)
    if there.sum() > 2:
        ratio, r2 = fitted_ratio(found.axis("f eta")[there], q[there])
        yield (
            f"Attenuation per hop: {q[there].min():.2f} to {q[there].max():.2f}. The ladder's one number fits best "
            f"at rho/k = {ratio:.2g}: R2 = {r2:.2f}."
        )
        shares = [f"{name} {explained(found.axis(name)[there], q[there]):.2f}" for name in ("f", "f eta", "eta")]
        yield f"Variance of q explained by one rising curve against: {', '.join(shares)} (eta: falling)"
    mean = found.reach.mean(-1)
    off = mean - one_line(found.peak.ravel(), mean.ravel()).reshape(mean.shape)
    for name, values, distances in (("learning rate", found.eta, off.mean(1)), ("f", found.fraction, off.mean(0))):
        groups = [f"{v:g}: {d:+.2f}" for v, d in zip(values, distances, strict=True)]
        yield f"Mean distance from the last of these lines in hops, by {name}: {', '.join(groups)}"


# ------------------------------------------------------------------------------------------ figure


COLORS = ("#000000", "#2b55c4", "#e07b2a", "#e8c840", "#5a2a82")
MARKERS = ("o", "s", "^", "D", "v")
LINES: tuple[Literal["-"] | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.2, 1, 1.2)),
    (0, (3, 1, 1, 1, 1, 1)),
)


def _reach_panel(axes: Axes, found: Frozen, settings: Settings, name: str) -> None:
    x, low_high = found.axis(name), interval(found.measured)
    n = len(found.curves)
    for i, curve in enumerate(found.curves):
        color = COLORS[settings.thresholds.index(curve.threshold) % len(COLORS)]
        k = settings.memories.index(curve.memory)
        shifted = x[i] * 1.03 ** (i - (n - 1) / 2)
        line, marker = LINES[k % len(LINES)], MARKERS[k % len(MARKERS)]
        axes.plot(
            shifted, found.measured[i].mean(-1), color=color, linestyle=line, marker=marker, markerfacecolor=color
        )
        axes.vlines(shifted, low_high[0][i], low_high[1][i], color=color, linewidth=0.7)
    _reach_axes(axes, settings)


def _reach_axes(axes: Axes, settings: Settings) -> None:
    axes.set_xscale("log")
    axes.set_ylim(-1.4, settings.n_hops - 0.5)
    axes.set_yticks([-1, *range(0, settings.n_hops, 2)], ["none", *map(str, range(0, settings.n_hops, 2))])


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw reach against frequency before and after rescaling, the prediction, and the profiles by hop."""
    settings = settings_of(recording)
    frozen = frozen_results(recording, settings)
    learned = learning_results(recording, settings, frozen.cells)
    with plots.page(245) as drawn:
        grid = drawn.add_gridspec(4, 2)
        a, b, c, d, e, f, g, h = (drawn.add_subplot(grid[k]) for k in np.ndindex(4, 2))
        _reach_panel(a, frozen, settings, "f")
        a.set_xlabel("event frequency f (fraction of all events)")
        a.set_xticks(sorted(settings.event_fractions), [f"{f:g}" for f in sorted(settings.event_fractions)])
        a.xaxis.set_minor_locator(NullLocator())
        _reach_panel(b, frozen, settings, "f memory")
        b.set_xlabel("events per memory, f × memory (1)")
        _reach_panel(c, frozen, settings, "accumulated")
        c.set_xlabel("mismatch accumulated at hop 0, over threshold (1)")
        line = np.geomspace(*c.get_xlim(), 400)
        profile = frozen.cells.largest.mean(0)
        steps = [reach.reach(profile / profile[0] * x, np.ones(len(profile))) for x in line]
        c.plot(line, steps, color="black", linewidth=1.6, alpha=0.5, zorder=0)
        for axes in (a, b, c):
            axes.set_ylabel("reach of the error signal,\nweights frozen (hops upstream)")
        keys = [
            Line2D([], [], color=COLORS[k % len(COLORS)], label=f"threshold {x:g} spikes")
            for k, x in enumerate(settings.thresholds)
        ]
        keys += [
            Line2D([], [], color="0.3", linestyle=LINES[k % 5], marker=MARKERS[k % 5], label=f"memory {x:g} events")
            for k, x in enumerate(settings.memories)
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
                color = COLORS[settings.thresholds.index(curve.threshold) % len(COLORS)]
                d.scatter(at, y, s=12, marker=marker, linewidths=0.7, color=color, facecolors=face)
        d.axline((0, 0), slope=1, color="0.6", linewidth=0.8, zorder=0)
        for off in (-1, 1):
            d.axline((0, off), slope=1, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
        d.set_xlim(-1.5, settings.n_hops - 0.5)
        d.set_ylim(-1.5, settings.n_hops - 0.5)
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

        hop, filled = np.arange(settings.n_hops), (len(learned.fraction) - 1, 1)
        for (i, eta), (j, fraction) in product(enumerate(learned.eta), enumerate(learned.fraction)):
            color, marker = COLORS[i % len(COLORS)], MARKERS[j % len(MARKERS)]
            change, last = learned.change[i, j], max(int(learned.last[i, j]), 0)
            if j in filled:  # all of them would hide each other
                mean, (low, high) = change.mean(0), interval(change, axis=0)
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
            x, (low, high) = learned.axis(name), interval(learned.reach)
            for i in range(len(learned.eta)):
                shifted, color = x[i] * 1.03 ** (i - 1.5), COLORS[i % len(COLORS)]
                axes.plot(shifted, learned.reach[i].mean(-1), color=color, linewidth=0.8)
                axes.vlines(shifted, low[i], high[i], color=color, linewidth=0.7)
                for j in range(len(learned.fraction)):
                    axes.plot(shifted[j], learned.reach[i, j].mean(), color=color, marker=MARKERS[j % len(MARKERS)])
            _reach_axes(axes, settings)
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
        plots.note(
            drawn,
            f"Mean over {n_seeds(recording)} (d: single seeds); bars: 95 % bootstrap interval over seeds. Points "
            "are shifted a little, so that those that coincide stay visible. e: highest and second lowest frequency.",
        )
    return {"": drawn}


STUDY = Study(
    name="theory",
    title="Closed forms beside the reach and the change that are measured",
    settings=SETTINGS,
    bench=Chain,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "8 minutes", "quick": "45 seconds"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
