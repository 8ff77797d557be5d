"""Store a run along a track in a network of CA3, and watch what the network does when it is left alone.

Question
    Does the scaled-down network replay the track by itself, forward and backward, in ripples? How often, how long, how
    fast, beside what is measured in animals? Over which range of the recurrent weights does it, and where does it stop?
    Is it the stored order that does it? Controls: the same weights exchanged among the inputs of each cell; the
    asymmetric rule, which should replay forward only; no adaptation by spikes; scaled down in another way.
Source
    models/ca3.py, after Ecker et al. 2022 (doi:10.7554/eLife.71850); docs/ca3.md.
Command
    python scripts/ca3_replay.py [--quick | --large] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick 45 seconds, --large 4 minutes. It may be interrupted and goes on.
Output
    One HDF5 file, a figure beside it as PNG and PDF, tables on the terminal.

A sharp wave is a stretch in which the pyramidal cells fire more than `threshold` on average; its ripple is the rhythm
of the basket cells in it. Replay is decoded as by Davidson et al. 2009 (doi:10.1016/j.neuron.2009.07.027): the
probability of every position from the spikes in bins of 10 ms, then the straight line along which most of it lies.
Lines run from any position to any other, faster than `slowest`; a score counts if it exceeds that of 95 % of decodings
in which the place fields are exchanged among the cells.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import brian2
import h5py
import numpy as np
from bioplastic_models import ca3
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.table import Table
from scipy import signal, sparse

from bioplastic import plots, script, sweep
from bioplastic.compiled.build import compile_network
from bioplastic.compiled.run import run_binary
from bioplastic.fingerprint import code_of
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.statistics import Estimate, estimate

SCHEMA = "bioplastic ca3 replay"


@dataclass(frozen=True)
class Config:
    """Settings of the experiment.

    Attributes
    ----------
    n_pc, n_pvbc : int
        Pyramidal and basket cells.
    seeds : tuple of int
        One set of place fields, runs, connections and mossy fibres each.
    duration : float
        Of a life, in s.
    scales : tuple of float
        Factors on the learned weights; 1 is the published one.
    shuffled_scales : tuple of float
        The same for shuffled weights.
    threshold : float
        Mean rate of pyramidal cells above which there is a sharp wave, in Hz.
    rate_bin : float
        Bin in which that rate is counted, in s.
    shortest : float
        Shortest sharp wave, in s; two that are one bin apart are one.
    shortest_decoded : float
        Shortest one in which replay is looked for, in s.
    decoding_bin : float
        Bin of the decoder, in s.
    n_positions : int
        Positions that it tells apart.
    band : float
        Distance from the line within which probability counts, in cm.
    slowest : float
        Slowest replay, in cm/s.
    n_shuffles : int
        Decodings with exchanged place fields, per sharp wave.
    level : float
        Share of them that may reach the score of a significant replay.
    """

    n_pc: int = ca3.N_PC
    n_pvbc: int = ca3.N_PVBC
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    duration: float = 10.0
    scales: tuple[float, ...] = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
    shuffled_scales: tuple[float, ...] = (1.0, 2.0, 3.0)
    threshold: float = 2.0
    rate_bin: float = 0.02
    shortest: float = 0.06
    shortest_decoded: float = 0.1
    decoding_bin: float = 0.01
    n_positions: int = 50
    band: float = 18.0
    slowest: float = 100.0
    n_shuffles: int = 100
    level: float = 0.05


QUICK = Config(
    n_pc=1200, n_pvbc=60, seeds=(0, 1), duration=5.0, scales=(0.7, 1.0), shuffled_scales=(1.0,), n_shuffles=40
)
LARGE = Config(n_pc=3200, n_pvbc=100, seeds=(0, 1, 2), scales=(0.8, 1.0, 1.2), shuffled_scales=(1.0,))

LEARNED, SHUFFLED, ASYMMETRIC = "learned", "shuffled", "asymmetric rule"
STILL, SPARSE = "no adaptation", "same probability"
SHOWN = 5.0
"""Seconds of a life in the figure."""
RIPPLE = 150.0, 220.0
"""Ripple band of the authors' code, in Hz."""
PEAK = 100.0, 300.0
"""Band in which the peak of the spectrum is looked for: wider, so that it may lie outside the ripple band."""
SEGMENT = 0.128
"""Of Welch's method, in s; shorter stretches have no spectrum."""
RATE_FLOOR = 0.1
"""Hz, in the decoder: a cell may fire anywhere."""
DISTANCES = np.arange(-100.0, 101.0, 5.0)
"""Edges, in cm, between which the learned weights are averaged."""
FREQUENCIES = np.fft.rfftfreq(512, 0.001)


@dataclass(frozen=True)
class Condition:
    """One life of the network."""

    wiring: str
    scale: float
    seed: int

    @property
    def label(self) -> str:
        """Without the seed."""
        return f"{self.wiring} x {self.scale:g}"

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        return f"{self.wiring.replace(' ', '-')}-x{self.scale:g}-s{self.seed}"


def conditions(config: Config) -> list[Condition]:
    """Return all lives, seed by seed."""
    kinds = [(LEARNED, x) for x in config.scales] + [(SHUFFLED, x) for x in config.shuffled_scales]
    kinds += [(ASYMMETRIC, 1.0), (STILL, 1.0), (SPARSE, 1.0)]
    return [Condition(wiring, scale, seed) for seed in config.seeds for wiring, scale in kinds]


# ---------------------------------------------------------------------------------------------------
# The network, compiled once


@dataclass(frozen=True)
class Spikes:
    """Times in s, and cells."""

    pc_time: np.ndarray
    pc: np.ndarray
    pvbc_time: np.ndarray
    pvbc: np.ndarray


def compiled(config: Config) -> Path | None:
    """Return the folder of the compiled network, compiling it first if need be; None where there is no compiler."""
    size = config.n_pc, config.n_pvbc, config.duration
    made_of = [code_of(ca3.program), ca3.NEXT_SPIKE, repr(size)]
    return compile_network(partial(ca3.program, *size), made_of)


_runtime = threading.Lock()


def live(folder: Path | None, start: Mapping[tuple[str, str], np.ndarray], config: Config) -> Spikes:
    """Live one life from this start: in the compiled program, or in Brian2's runtime mode where there is none."""
    if folder is not None:
        found = run_binary(folder, start)
        return Spikes(**{name: found[name] for name in ca3.RESULTS})
    with _runtime:
        brian2.prefs.codegen.target = "numpy"
        network = ca3.network(config.n_pc, config.n_pvbc)
        ca3.set_up(network, start)
        network.run(config.duration * brian2.second, namespace={})
        seen = {name: network[monitor].variables[variable] for name, (monitor, variable) in ca3.RESULTS.items()}
        return Spikes(**{name: np.array(variable.get_value()) for name, variable in seen.items()})


# ---------------------------------------------------------------------------------------------------
# Sharp waves and their ripples


def active_bins(pc_time: np.ndarray, config: Config) -> np.ndarray:
    """Return in which bins the pyramidal cells fire more than the threshold."""
    n_bins = round(config.duration / config.rate_bin)
    counts, _ = np.histogram(pc_time, n_bins, (0, config.duration))
    return counts / (config.n_pc * config.rate_bin) > config.threshold


def sharp_waves(pc_time: np.ndarray, config: Config) -> np.ndarray:
    """Return begin and end (s) of every sharp wave that begins and ends within the life, shape (n, 2)."""
    active = active_bins(pc_time, config)
    active[1:-1] |= active[:-2] & active[2:]
    edges = np.flatnonzero(np.diff(np.r_[0, active, 0])).reshape(-1, 2)
    # One that is cut by the beginning or the end of the life has neither length nor path.
    whole = (edges[:, 0] > 0) & (edges[:, 1] < len(active))
    long = (edges[:, 1] - edges[:, 0]) * config.rate_bin > config.shortest - 1e-9
    return edges[whole & long] * config.rate_bin


def spectrum(time: np.ndarray, stretches: np.ndarray) -> np.ndarray:
    """Return the mean power spectrum of a population's spike count per ms in these stretches; NaN if all are short."""
    total, weight = np.zeros(len(FREQUENCIES)), 0.0
    for begin, end in stretches:
        n = round(1000 * (end - begin))
        if n >= 1000 * SEGMENT:
            counts, _ = np.histogram(time, n, (begin, end))
            total += n * signal.welch(counts, 1000, nperseg=round(1000 * SEGMENT), nfft=512)[1]
            weight += n
    return total / weight if weight else np.full(len(FREQUENCIES), np.nan)


def between(stretches: np.ndarray, duration: float) -> np.ndarray:
    """Return the stretches between these, shape (n + 1, 2)."""
    return np.r_[0, stretches.ravel(), duration].reshape(-1, 2)


def within(low: float, high: float) -> np.ndarray:
    """Which of the frequencies lie in a band."""
    return (low < FREQUENCIES) & (high > FREQUENCIES)


def ripple_share(power: np.ndarray) -> float:
    """Share of the power that lies in the ripple band."""
    return float(power[within(*RIPPLE)].sum() / power.sum())


def peak_frequency(power: np.ndarray) -> float:
    """Frequency of the highest power between 100 and 300 Hz; NaN without a spectrum."""
    band = within(*PEAK)
    return float(FREQUENCIES[band][power[band].argmax()]) if np.isfinite(power).all() else np.nan


# ---------------------------------------------------------------------------------------------------
# Decoding


def positions(config: Config) -> np.ndarray:
    """Positions that the decoder tells apart, in cm."""
    return np.linspace(0, ca3.TRACK, config.n_positions)


def posterior(counts: np.ndarray, rates: np.ndarray, bin_size: float) -> np.ndarray:
    """Return the probability of every position in every bin, from independent Poisson cells and a uniform prior.

    Parameters
    ----------
    counts : array, shape (n_bins, n_cells)
        Spikes.
    rates : array, shape (n_cells, n_positions)
        In Hz, above 0.
    bin_size : float
        In s.

    Returns
    -------
    array, shape (n_positions, n_bins)
    """
    log = counts @ np.log(rates) - bin_size * rates.sum(0)
    likelihood = np.exp(log - log.max(1, keepdims=True))
    return (likelihood / likelihood.sum(1, keepdims=True)).T


@dataclass(frozen=True)
class Lines:
    """All straight lines through a posterior of some length.

    Attributes
    ----------
    begin, end : array, shape (n_lines,)
        Positions in the first and the last bin, in cm.
    samples : sparse array, shape (n_positions * n_bins, n_lines)
        1/n_bins where a line passes.
    near : array of bool, shape (n_positions, n_positions)
        Whether two positions are within the band.
    """

    begin: np.ndarray
    end: np.ndarray
    samples: sparse.csr_array
    near: np.ndarray


@lru_cache(maxsize=64)
def lines(n_bins: int, config: Config) -> Lines:
    """Return the lines through a posterior of `n_bins`, from any position to any other, fast enough."""
    place = positions(config)
    first, last = (x.ravel() for x in np.meshgrid(place, place, indexing="ij"))
    fast = np.abs(last - first) >= config.slowest * config.decoding_bin * (n_bins - 1)
    first, last = first[fast], last[fast]
    along = first + (last - first) * np.linspace(0, 1, n_bins)[:, None]
    passed = np.rint(along / ca3.TRACK * (config.n_positions - 1)).astype(int)
    row = passed * n_bins + np.arange(n_bins)[:, None]
    column = np.broadcast_to(np.arange(len(first)), row.shape)
    shape = (config.n_positions * n_bins, len(first))
    samples = sparse.csr_array((np.full(row.size, 1 / n_bins), (row.ravel(), column.ravel())), shape=shape)
    near = np.abs(place[:, None] - place) <= config.band
    return Lines(first, last, samples, near)


@dataclass(frozen=True)
class Fit:
    """The best line: mean probability near it, and positions (cm) where it begins and ends."""

    score: float
    begin: float
    end: float


def fit_line(probability: np.ndarray, config: Config) -> Fit:
    """Return the line along which most of a posterior (position, bin) lies."""
    among = lines(probability.shape[1], config)
    scores = (among.near @ probability).ravel() @ among.samples
    best = int(np.argmax(scores))
    return Fit(float(scores[best]), float(among.begin[best]), float(among.end[best]))


@dataclass(frozen=True)
class Replays:
    """What is decoded from each sharp wave, shape (n,) each; NaN where it is too short, or too long for any path.

    Attributes
    ----------
    begin, end : array
        Of the sharp wave, in s.
    score : array
        Mean probability near the best line.
    shuffled_score : array
        The same with exchanged place fields, mean over shuffles.
    p : array
        Share of shuffles that reach the score.
    from_position, to_position : array
        Of the best line, in cm.
    speed : array
        Of the best line, in m/s; negative is backward.
    """

    begin: np.ndarray
    end: np.ndarray
    score: np.ndarray
    shuffled_score: np.ndarray
    p: np.ndarray
    from_position: np.ndarray
    to_position: np.ndarray
    speed: np.ndarray


def binned(spikes: Spikes, cells: np.ndarray, begin: float, end: float, bin_size: float) -> np.ndarray:
    """Return the spike counts of these cells between two times, shape (n_bins, n_cells)."""
    n_bins = round((end - begin) / bin_size)
    inside = (spikes.pc_time >= begin) & (spikes.pc_time < end) & np.isin(spikes.pc, cells)
    which = np.minimum(((spikes.pc_time[inside] - begin) / bin_size).astype(int), n_bins - 1)
    counts = np.zeros((n_bins, len(cells)))
    np.add.at(counts, (which, np.searchsorted(cells, spikes.pc[inside])), 1)
    return counts


def decode(spikes: Spikes, centre: np.ndarray, waves: np.ndarray, config: Config, rng: np.random.Generator) -> Replays:
    """Look for replay in every sharp wave."""
    cells = np.flatnonzero(~np.isnan(centre))
    rates = np.maximum(ca3.IN_FIELD * ca3.tuning(centre[cells], positions(config)), RATE_FLOOR)
    found = np.full((len(waves), 6), np.nan)
    for k, (begin, end) in enumerate(waves):
        longest = ca3.TRACK / config.slowest  # beyond it no path is fast enough
        if not config.shortest_decoded - 1e-9 < end - begin < longest:
            continue
        counts = binned(spikes, cells, begin, end, config.decoding_bin)
        fit = fit_line(posterior(counts, rates, config.decoding_bin), config)
        # To exchange fields among cells is to exchange their spikes.
        exchanged = np.concatenate([counts[:, rng.permutation(len(cells))] for _ in range(config.n_shuffles)])
        by_shuffle = posterior(exchanged, rates, config.decoding_bin).reshape(config.n_positions, -1, len(counts))
        others = np.array([fit_line(by_shuffle[:, shuffle], config).score for shuffle in range(config.n_shuffles)])
        p = (1 + (others >= fit.score).sum()) / (1 + config.n_shuffles)
        speed = (fit.end - fit.begin) / (config.decoding_bin * (len(counts) - 1)) / 100
        found[k] = fit.score, others.mean(), p, fit.begin, fit.end, speed
    return Replays(waves[:, 0], waves[:, 1], *found.T)


# ---------------------------------------------------------------------------------------------------
# Runs


PER_WAVE = {
    "begin": Variable(("wave",), "s", "beginning of the sharp wave"),
    "end": Variable(("wave",), "s", "end of the sharp wave"),
    "score": Variable(("wave",), "1", "mean probability near the best line (NaN: too short or too long)"),
    "shuffled_score": Variable(("wave",), "1", "the same with exchanged place fields, mean over shuffles"),
    "p": Variable(("wave",), "1", "share of shuffles that reach the score"),
    "from_position": Variable(("wave",), "cm", "where the best line begins"),
    "to_position": Variable(("wave",), "cm", "where the best line ends"),
    "speed": Variable(("wave",), "m/s", "speed of the best line; negative is backward"),
}
ROWS = PER_WAVE | {
    "frequency": Variable(("frequency",), "Hz", "frequency"),
    "power_inside": Variable(("frequency",), "1/Hz", "power of the PVBC spike count per ms, in sharp waves"),
    "power_outside": Variable(("frequency",), "1/Hz", "the same between sharp waves"),
    "rates": Variable(("population",), "Hz", "mean rate"),
    "population": Variable(("population",), "1", "population", "str"),
    "active_share": Variable((), "1", "share of the time in which PCs fire more than the threshold"),
    "distance": Variable(("distance",), "cm", "place field of the postsynaptic cell minus that of the presynaptic one"),
    "weight": Variable(("distance",), "nS", "mean learned weight between PCs"),
    "centre": Variable(("cell",), "cm", "centre of the place field of a PC (NaN: none)"),
    "pc_time": Variable(("pc_spike",), "s", "spikes of PCs", "float32"),
    "pc": Variable(("pc_spike",), "1", "which PC", "int32"),
    "pvbc_time": Variable(("pvbc_spike",), "s", "spikes of PVBCs", "float32"),
    "pvbc": Variable(("pvbc_spike",), "1", "which PVBC", "int32"),
}
"""Variables of ``/runs/<run>``; spikes only with weights as published."""


@dataclass(frozen=True)
class Learned:
    """What one seed has learned: place fields, and weights between all pairs of PCs by rule."""

    centre: np.ndarray
    symmetric: np.ndarray
    asymmetric: np.ndarray


class Bench:
    """What all lives share: the compiled network, and what each seed has learned."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder: Path | None = None
        self._learned: dict[int, Learned] = {}
        self._locks = {seed: threading.Lock() for seed in config.seeds}

    def learned(self, seed: int) -> Learned:
        """Return what a seed has learned on its runs along the track."""
        with self._locks[seed]:
            found = self._learned.get(seed)
            if found is None:
                rng = np.random.default_rng([seed, 0])
                centre = ca3.place_fields(self.config.n_pc, rng)
                time, cell = ca3.exploration(centre, rng)
                both = (ca3.learned_weights(time, cell, len(centre), rule) for rule in (ca3.SYMMETRIC, ca3.ASYMMETRIC))
                found = Learned(centre, *both)
                self._learned = {seed: found}  # lives come seed by seed
            return found

    def weights(self, condition: Condition, learned: Learned) -> ca3.Weights:
        """Return the weights of one life."""
        rng = np.random.default_rng([condition.seed, 1])
        asymmetric = condition.wiring == ASYMMETRIC
        pairs = condition.scale * (learned.asymmetric if asymmetric else learned.symmetric)
        mossy = ca3.MOSSY_ASYMMETRIC if asymmetric else ca3.MOSSY_PC.weight
        published = (0.1, 0.25) if condition.wiring == SPARSE else None
        made = ca3.weights(pairs, self.config.n_pvbc, rng, mossy=mossy, probabilities=published)
        if condition.wiring == SHUFFLED:
            others = {f.name: getattr(made, f.name) for f in fields(made) if f.name != "pc_pc"}
            return ca3.Weights(pc_pc=ca3.shuffled(made.pc_pc, rng), **others)
        return made

    def live(self, condition: Condition) -> dict[str, Any]:
        """Live one life and return what is recorded of it."""
        config = self.config
        learned = self.learned(condition.seed)
        weights = self.weights(condition, learned)
        b = 0.0 if condition.wiring == STILL else ca3.PC.b
        spikes = live(self.folder, ca3.start(weights, condition.seed, b=b), config)
        waves = sharp_waves(spikes.pc_time, config)
        replays = decode(spikes, learned.centre, waves, config, np.random.default_rng([condition.seed, 2]))
        values = vars(replays) | {
            "frequency": FREQUENCIES,
            "power_inside": spectrum(spikes.pvbc_time, waves),
            "power_outside": spectrum(spikes.pvbc_time, between(waves, config.duration)),
            "population": ["PC", "PVBC"],
            "rates": np.array([len(spikes.pc) / config.n_pc, len(spikes.pvbc) / config.n_pvbc]) / config.duration,
            "active_share": active_bins(spikes.pc_time, config).mean(),
            "distance": (DISTANCES[1:] + DISTANCES[:-1]) / 2,
            "weight": by_distance(weights.pc_pc, learned.centre),
        }
        if condition.scale == 1:
            values |= vars(spikes) | {"centre": learned.centre}
        return values


def by_distance(pc_pc: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the mean weight of the synapses between place cells, by how much farther the postsynaptic field lies."""
    pre, post = np.nonzero(pc_pc)
    apart = centre[post] - centre[pre]
    which = np.digitize(apart, DISTANCES) - 1
    inside = (which >= 0) & (which < len(DISTANCES) - 1) & ~np.isnan(apart)
    n = len(DISTANCES) - 1
    total = np.bincount(which[inside], pc_pc[pre, post][inside], n)
    return total / np.maximum(np.bincount(which[inside], minlength=n), 1)


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(ca3.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=ROWS, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, values: Mapping[str, Any]) -> None:
    """Keep a finished life."""
    what = {"wiring": condition.wiring, "weight_scale": condition.scale, "seed": condition.seed}
    store.add(condition.name, values, what)


def finish(store: script.Store, config: Config) -> None:
    """Make one file of all lives."""

    def fill(file: h5py.File) -> None:
        recording.write_labelled(file.create_group("summary"), SUMMARY, summarise(config, store.runs))

    store.finish("Replay in a scaled-down network of CA3", fill)


MEASURES = {
    "pc_rate": ("Hz", "mean rate of PCs"),
    "pvbc_rate": ("Hz", "mean rate of PVBCs"),
    "active_share": ("1", "share of the time in which PCs fire more than the threshold"),
    "wave_rate": ("1/s", "sharp waves per second, of those that begin and end within the life"),
    "wave_duration": ("ms", "mean duration of a sharp wave"),
    "ripple_frequency": ("Hz", "peak of the spectrum of PVBCs in sharp waves"),
    "ripple_share": ("1", "share of the power of PVBCs between 150 and 220 Hz, in sharp waves"),
    "ripple_share_outside": ("1", "the same between sharp waves"),
    "n_decoded": ("1", "sharp waves that are long enough to decode"),
    "replay_share": ("1", "share of them with significant replay"),
    "forward_share": ("1", "share of significant replays that are forward"),
    "score": ("1", "decoding score"),
    "shuffled_score": ("1", "decoding score with exchanged place fields"),
    "speed": ("m/s", "mean speed of significant replays"),
}
SUMMARY = {
    "condition": Variable(("condition",), "1", "wiring between PCs and factor on its weights", "str"),
    "wiring": Variable(("condition",), "1", "wiring between PCs", "str"),
    "weight_scale": Variable(("condition",), "1", "factor on the weights between PCs"),
    "seed": Variable(("seed",), "1", "seed", "int64"),
} | {name: Variable(("condition", "seed"), units, text) for name, (units, text) in MEASURES.items()}


def measures(run: Mapping[str, Any], config: Config) -> dict[str, float]:
    """Return `MEASURES` of one life."""

    def mean(values: np.ndarray) -> float:
        return float(values.mean()) if len(values) else np.nan

    decoded = np.isfinite(run["score"])
    replay = decoded & (run["p"] <= config.level)
    length = run["end"] - run["begin"]
    inside, outside = run["power_inside"], run["power_outside"]
    return {
        "pc_rate": run["rates"][0],
        "pvbc_rate": run["rates"][1],
        "active_share": float(run["active_share"]),
        "wave_rate": len(length) / config.duration,
        "wave_duration": 1000 * mean(length),
        "ripple_frequency": peak_frequency(inside),
        "ripple_share": ripple_share(inside),
        "ripple_share_outside": ripple_share(outside),
        "n_decoded": float(decoded.sum()),
        "replay_share": mean(replay[decoded]),
        "forward_share": mean(run["speed"][replay] > 0),
        "score": mean(run["score"][decoded]),
        "shuffled_score": mean(run["shuffled_score"][decoded]),
        "speed": mean(np.abs(run["speed"][replay])),
    }


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the measures of all lives into labelled arrays."""
    everything = conditions(config)
    kinds = [c for c in everything if c.seed == config.seeds[0]]
    values: dict[str, Any] = {
        "condition": [c.label for c in kinds],
        "wiring": [c.wiring for c in kinds],
        "weight_scale": np.array([c.scale for c in kinds]),
        "seed": np.array(config.seeds),
    }
    of_each = [measures(runs[c.name], config) for c in everything]
    for name in MEASURES:
        column = np.array([m[name] for m in of_each])
        values[name] = column.reshape(len(config.seeds), len(kinds)).T
    return values


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
        `out`.
    """
    store = opened(out, config)
    if store is None:
        return out
    bench = Bench(config)
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("compiling", total=1)
        bench.folder = compiled(config)
        bar.advance(row)

        def work(condition: Condition) -> None:
            keep(store, condition, bench.live(condition))

        script.live_missing(store, conditions(config), work, executor=executor, bar=bar, label="lives")
    finish(store, config)
    return out


# ---------------------------------------------------------------------------------------------------
# Tables


@dataclass(frozen=True)
class Done:
    """A finished recording."""

    config: Config
    summary: Mapping[str, Any]
    runs: Mapping[str, Mapping[str, Any]]

    def estimate(self, measure: str, wiring: str, scale: float = 1.0) -> Estimate:
        """Mean over seeds of a measure in one condition, with its interval."""
        labels = list(self.summary["condition"])
        return estimate(self.summary[measure][labels.index(Condition(wiring, scale, 0).label)])

    def run(self, wiring: str) -> Mapping[str, Any]:
        """The life of the first seed with weights as published."""
        return self.runs[Condition(wiring, 1.0, self.config.seeds[0]).name]


def read(path: Path, config: Config) -> Done:
    """Read a recording."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], SUMMARY)
        return Done(config, summary, {n: recording.read_labelled(g, ROWS) for n, g in file["runs"].items()})


LITERATURE = (
    ("wave_rate", "sharp waves (1/s)", "0.11, degu at rest", "10.1038/s41598-022-11153-4"),
    ("wave_duration", "length (ms)", "50 to 120", "10.1016/j.neuron.2009.07.027"),
    ("ripple_frequency", "ripple (Hz)", "140-220 in CA1, CA3 slower", "10.1523/JNEUROSCI.0294-11.2011"),
    ("forward_share", "share forward", "half; more in sleep", "10.1002/hipo.22049"),
    ("speed", "speed (m/s)", "about 8", "10.1016/j.neuron.2009.07.027"),
)
COLUMNS = {
    "pc_rate": "PC\n(Hz)",
    "active_share": "active\nshare",
    "wave_rate": "sharp\nwaves/s",
    "wave_duration": "ms",
    "ripple_frequency": "ripple\n(Hz)",
    "ripple_share": "150-220\nHz in",
    "ripple_share_outside": "be-\ntween",
    "replay_share": "replay\nin",
    "forward_share": "of it\nforward",
    "score": "score",
    "shuffled_score": "ex-\nchanged",
}
"""Of the table of all conditions, by measure."""


def show(path: Path, config: Config) -> None:
    """Print the tables and draw the figure."""
    console, done = script.console(), read(path, config)
    title = f"Left alone, weights as learned; mean and 95 % interval over {len(config.seeds)} x {config.duration:g} s"
    table = Table(title=title, title_justify="left")
    for column in ("measure", "here", "in animals", "source (doi)"):
        table.add_column(column, no_wrap=True)
    for name, text, animals, source in LITERATURE:
        table.add_row(text, str(done.estimate(name, LEARNED)), animals, source)
    console.print(table)
    table = Table(title="Weights and controls; means over seeds", title_justify="left", padding=(0, 0, 0, 1))
    table.add_column("condition", no_wrap=True)
    for column in COLUMNS.values():
        table.add_column(column, justify="right")
    for wiring, scale in zip(done.summary["wiring"], done.summary["weight_scale"], strict=True):
        cells = [short(done.estimate(name, wiring, scale)) for name in COLUMNS]
        table.add_row(Condition(wiring, scale, 0).label, *cells)
    console.print(table)
    for written in plots.save(draw(done), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def short(value: Estimate) -> str:
    """The mean alone."""
    if not value.n:
        return "-"
    return f"{value.mean:.0f}" if abs(value.mean) >= 10 else f"{value.mean:.2f}"


# ---------------------------------------------------------------------------------------------------
# Figure


DARK, LIGHT, RED, ORANGE, GREY = "#14148c", "#2b7fce", "#a3260f", "#e07b2a", "0.6"
COLORS = {LEARNED: DARK, SHUFFLED: GREY, ASYMMETRIC: ORANGE, SPARSE: RED, STILL: LIGHT}
NOTE = (
    "a, d, e, f: spikes of place cells, by the place of their fields, first seed; shaded: sharp waves, > forward, "
    "< backward, ? nothing significant, or too short to tell. b: rate of PCs in bins of 20 ms and the threshold; c: "
    "rate of PVBCs, 150 to 220 Hz. g, h: probability of position in bins of 10 ms in the longest replays of all "
    "seeds, and the best line with its band. i: power of PVBCs in (lines) and between (dotted) sharp waves, mean over "
    "seeds; shaded: ripple band. j: weights by how much farther the postsynaptic field lies. k: scores of all sharp "
    "waves, beside the mean with exchanged place fields. l, m: mean and 95 % interval over seeds; 1 is the published "
    "weight."
)


def draw(done: Done) -> Figure:
    """Everything on one page."""
    with plots.page(225) as figure:
        rows = figure.add_gridspec(4, 1, height_ratios=[2.7, 1.2, 1.2, 1.2])
        traces = rows[0].subgridspec(3, 1, height_ratios=[1.6, 0.6, 0.6])
        learned = done.run(LEARNED)
        top = figure.add_subplot(traces[0])
        middle, bottom = (figure.add_subplot(traces[k], sharex=top) for k in (1, 2))
        raster(top, learned, done.config)
        plots.heading(top, LEARNED)
        rates(middle, bottom, learned, done.config)
        for axes in (top, middle):
            axes.tick_params(labelbottom=False)
        second = rows[1].subgridspec(1, 3)
        controls = [figure.add_subplot(second[k]) for k in range(3)]
        for axes, wiring in zip(controls, (SHUFFLED, ASYMMETRIC, STILL), strict=True):
            raster(axes, done.run(wiring), done.config)
            axes.set_xlabel("Time (s)")
            plots.heading(axes, wiring)
        third = rows[2].subgridspec(1, 4)
        decoded = [figure.add_subplot(third[k]) for k in range(2)]
        for axes, direction in zip(decoded, (1, -1), strict=True):
            event(axes, longest_replay(done, direction), done.config)
        panels = [top, middle, bottom, *controls, *decoded]
        fourth = rows[3].subgridspec(1, 3)
        cells = [third[2], third[3], *(fourth[k] for k in range(3))]
        for cell, panel in zip(cells, (spectra, profile, scores, by_scale, ripples_by_scale), strict=True):
            panels.append(figure.add_subplot(cell))
            panel(panels[-1], done)
        for name, axes in zip("abcdefghijklm", panels, strict=True):
            plots.letter(axes, name)
        plots.note(figure, NOTE)
    return figure


def direction_marks(run: Mapping[str, Any], config: Config) -> Iterator[tuple[float, float, str, str]]:
    """Begin, end, colour and sign of every sharp wave."""
    for begin, end, p, speed in zip(run["begin"], run["end"], run["p"], run["speed"], strict=True):
        if not p <= config.level:
            yield begin, end, "0.85", "?"
        else:
            yield begin, end, *(("#cfe0f5", ">") if speed > 0 else ("#f7d9bd", "<"))


def raster(axes: Axes, run: Mapping[str, Any], config: Config) -> None:
    """Spikes of place cells, and sharp waves."""
    shown = min(SHOWN, config.duration)
    early = run["pc_time"] < shown
    axes.plot(run["pc_time"][early], run["centre"][run["pc"][early]], ",", color="black", rasterized=True)
    for begin, end, color, sign in direction_marks(run, config):
        if begin < shown:
            axes.axvspan(begin, min(end, shown), color=color, linewidth=0, zorder=0)
            axes.text((begin + min(end, shown)) / 2, 1.04 * ca3.TRACK, sign, ha="center", va="center", fontsize=6)
    axes.set(xlim=(0, shown), ylim=(0, 1.1 * ca3.TRACK), ylabel="Place field (cm)", yticks=(0, 100, 200, 300))
    axes.set_xticks(np.arange(int(shown) + 1))


def rates(upper: Axes, lower: Axes, run: Mapping[str, Any], config: Config) -> None:
    """Rate of PCs, and the ripple of PVBCs."""
    shown = min(SHOWN, config.duration)
    n = round(shown / config.rate_bin)
    counts, edges = np.histogram(run["pc_time"], n, (0, shown))
    upper.stairs(counts / (config.n_pc * config.rate_bin), edges, color=DARK, fill=True, alpha=0.6)
    upper.axhline(config.threshold, color=RED, linewidth=0.7, linestyle=(0, (4, 2)))
    upper.set_ylabel("PCs (Hz)")
    counts, edges = np.histogram(run["pvbc_time"], round(1000 * shown), (0, shown))
    rate = 1000 * counts / config.n_pvbc
    filtered = signal.sosfiltfilt(signal.butter(3, RIPPLE, "bandpass", fs=1000, output="sos"), rate)
    lower.plot(edges[:-1], filtered, color=DARK, linewidth=0.3)
    lower.set(ylabel="PVBCs (Hz)", xlabel="Time (s)")


def longest_replay(done: Done, direction: int) -> tuple[Mapping[str, Any], int] | None:
    """The significant replay with the longest path, forward (1) or backward (-1): its life and its place there."""
    found = []
    for seed in done.config.seeds:
        life = done.runs[Condition(LEARNED, 1.0, seed).name]
        mine = np.flatnonzero((life["p"] <= done.config.level) & (np.sign(life["speed"]) == direction))
        path = np.abs(life["to_position"] - life["from_position"])
        found += [(path[k], seed, k, life) for k in mine]
    if not found:
        return None
    *_, which, life = max(found, key=lambda one: one[:3])
    return life, int(which)


def event(axes: Axes, example: tuple[Mapping[str, Any], int] | None, config: Config) -> None:
    """Decoded position in one sharp wave."""
    axes.set(xlabel="Time in the sharp wave (ms)", ylabel="Position (cm)", ylim=(0, ca3.TRACK))
    if example is None:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="0.45")
        return
    run, which = example
    spikes = Spikes(run["pc_time"], run["pc"], run["pvbc_time"], run["pvbc"])
    cells = np.flatnonzero(~np.isnan(run["centre"]))
    rates_by_place = np.maximum(ca3.IN_FIELD * ca3.tuning(run["centre"][cells], positions(config)), RATE_FLOOR)
    counts = binned(spikes, cells, run["begin"][which], run["end"][which], config.decoding_bin)
    probability = posterior(counts, rates_by_place, config.decoding_bin)
    time = 1000 * config.decoding_bin * (np.arange(len(counts)) + 0.5)
    axes.pcolormesh(time, positions(config), probability, cmap="Greys", vmin=0, vmax=0.5, rasterized=True)
    ends = np.array([run["from_position"][which], run["to_position"][which]])
    for shift, width in ((0, 1.0), (config.band, 0.5), (-config.band, 0.5)):
        axes.plot(time[[0, -1]], ends + shift, color=RED, linewidth=width, linestyle="-" if not shift else (0, (4, 2)))
    direction = "forward" if run["speed"][which] > 0 else "backward"
    plots.heading(axes, f"{direction}, {abs(run['speed'][which]):.1f} m/s")


def spectra(axes: Axes, done: Done) -> None:
    """Power of the PVBCs' spike count in and between sharp waves."""
    axes.axvspan(*RIPPLE, color="0.9", linewidth=0, zorder=0)
    for wiring in (LEARNED, ASYMMETRIC, SHUFFLED):
        lives = [done.runs[Condition(wiring, 1.0, seed).name] for seed in done.config.seeds]
        for name, line, width in (("power_inside", "-", 1.0), ("power_outside", (0, (1, 1)), 0.8)):
            power = np.array([life[name] for life in lives])
            power = power[np.isfinite(power).all(1)]
            if len(power):
                axes.plot(FREQUENCIES[2:], power.mean(0)[2:], color=COLORS[wiring], linestyle=line, linewidth=width)
    axes.set(yscale="log", xlim=(0, 400), xlabel="Frequency (Hz)", ylabel="Power of PVBCs (1/Hz)")
    axes.set_ylim(top=300)
    handles = [Patch(color=COLORS[w], label=w) for w in (LEARNED, ASYMMETRIC, SHUFFLED)]
    axes.legend(handles=handles, loc="upper right", fontsize=5.5, handlelength=1)


def profile(axes: Axes, done: Done) -> None:
    """Learned weight by distance, mean over seeds."""
    for wiring, line in ((LEARNED, "-"), (ASYMMETRIC, (0, (5, 1.5))), (SHUFFLED, (0, (1, 1)))):
        lives = [done.runs[Condition(wiring, 1.0, seed).name] for seed in done.config.seeds]
        mean = np.mean([life["weight"] for life in lives], 0)
        axes.plot(lives[0]["distance"], mean, color=COLORS[wiring], linestyle=line, label=wiring)
    axes.set(xlabel="Field of post minus pre (cm)", ylabel="Weight (nS)", xlim=(-100, 100), ylim=(0, 8))
    axes.legend(loc="upper left", fontsize=5.5, handlelength=1.6)


def scores(axes: Axes, done: Done) -> None:
    """Score of every sharp wave beside its shuffles."""
    shown = {
        LEARNED: "learned",
        SPARSE: "same\nprob.",
        ASYMMETRIC: "asym.\nrule",
        STILL: "no\nadapt.",
        SHUFFLED: "shuf-\nfled",
    }
    rng = np.random.default_rng(0)
    for k, wiring in enumerate(shown):
        lives = [done.runs[Condition(wiring, 1.0, seed).name] for seed in done.config.seeds]
        for name, shift, color in (("score", -0.18, COLORS[wiring]), ("shuffled_score", 0.18, "0.75")):
            values = np.concatenate([life[name] for life in lives])
            values = values[np.isfinite(values)]
            jitter = rng.uniform(-0.1, 0.1, len(values))
            axes.plot(k + shift + jitter, values, ".", color=color, markersize=2, markeredgewidth=0)
            if len(values):
                axes.hlines(values.mean(), k + shift - 0.15, k + shift + 0.15, color="black", linewidth=1)
            elif name == "score":
                axes.text(k, 0.5, "none", ha="center", va="center", fontsize=6, color="0.45")
    axes.set_xticks(range(len(shown)), shown.values())
    axes.set(ylim=(0, 1.05), xlim=(-0.5, len(shown) - 0.5), ylabel="Decoding score")


def band(axes: Axes, done: Done, measure: str, wiring: str, *, color: str, line: Any, label: str) -> None:
    """A measure against the factor on the weights, with its interval."""
    mine = [k for k, w in enumerate(done.summary["wiring"]) if w == wiring]
    x = done.summary["weight_scale"][mine]
    points = [estimate(done.summary[measure][k]) for k in mine]
    mean, low, high = (np.array([getattr(p, name) for p in points]) for name in ("mean", "low", "high"))
    axes.plot(x, mean, color=color, linestyle=line, marker="o", markersize=2.5, linewidth=1, label=label)
    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def by_scale(axes: Axes, done: Done) -> None:
    """Sharp waves and replay against the factor on the weights."""
    band(axes, done, "wave_rate", LEARNED, color=GREY, line=(0, (1, 1)), label="sharp waves per s")
    band(axes, done, "replay_share", LEARNED, color=DARK, line="-", label="replay in")
    band(axes, done, "forward_share", LEARNED, color=ORANGE, line=(0, (5, 1.5)), label="of it forward")
    axes.set(xlabel="Factor on the weights", ylabel="Share, or 1/s", ylim=(0, None))
    axes.legend(fontsize=5.5, loc="upper right")


def ripples_by_scale(axes: Axes, done: Done) -> None:
    """Ripple power against the factor on the weights."""
    band(axes, done, "ripple_share", LEARNED, color=DARK, line="-", label="learned, in sharp waves")
    band(axes, done, "ripple_share_outside", LEARNED, color=LIGHT, line=(0, (5, 1.5)), label="between them")
    band(axes, done, "ripple_share_outside", SHUFFLED, color=GREY, line=(0, (1, 1)), label="shuffled, between")
    axes.set(xlabel="Factor on the weights", ylabel="Power in 150-220 Hz\n(share of all)", ylim=(0, 1))
    axes.legend(fontsize=5.5, loc="upper right")


def work(config: Config, out: Path, jobs: int) -> None:
    """Run, and show."""
    show(run(config, out, jobs=jobs), config)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="ca3_replay",
        settings={"": Config(), "quick": QUICK, "large": LARGE},
        sizes={"quick": "a small network and two seeds, under a minute", "large": "twice the cells, fewer weights"},
        work=work,
    )


if __name__ == "__main__":
    sys.exit(main())
