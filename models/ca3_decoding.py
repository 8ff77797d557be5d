"""Sharp waves, ripples and replay in the spikes of a network of CA3.

A sharp wave is a stretch in which the pyramidal cells fire more than `threshold` on average; its ripple is the rhythm
of the basket cells in it. Replay is decoded as by Davidson et al. (2009), doi:10.1016/j.neuron.2009.07.027: the
probability of every position from the spikes in bins of 10 ms, then the straight line along which most of it lies.
Lines run from any position to any other, faster than `slowest`; a score counts if it exceeds that of 95 % of decodings
in which the place fields are exchanged among the cells. The ripple band is that of the code of Ecker et al. (2022),
doi:10.7554/eLife.71850.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from bioplastic_models import ca3
from scipy import signal, sparse

RIPPLE = 150.0, 220.0
"""Ripple band, in Hz."""
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
class Decoding:
    """What was lived, and how it is looked at."""

    n_pc: int = ca3.N_PC
    """Pyramidal cells."""
    n_pvbc: int = ca3.N_PVBC
    """Basket cells."""
    duration: float = 10.0
    """Of a life, in s."""
    threshold: float = 2.0
    """Mean rate of pyramidal cells above which there is a sharp wave, in Hz."""
    rate_bin: float = 0.02
    """Bin in which that rate is counted, in s."""
    shortest: float = 0.06
    """Shortest sharp wave, in s; two that are one bin apart are one."""
    shortest_decoded: float = 0.1
    """Shortest one in which replay is looked for, in s."""
    decoding_bin: float = 0.01
    """Bin of the decoder, in s."""
    n_positions: int = 50
    """Positions that it tells apart."""
    band: float = 18.0
    """Distance from the line within which probability counts, in cm."""
    slowest: float = 100.0
    """Slowest replay, in cm/s."""
    n_shuffles: int = 100
    """Decodings with exchanged place fields, per sharp wave."""


@dataclass(frozen=True)
class Spikes:
    """Times in s, and cells."""

    pc_time: np.ndarray
    pc: np.ndarray
    pvbc_time: np.ndarray
    pvbc: np.ndarray


def active_bins(pc_time: np.ndarray, config: Decoding) -> np.ndarray:
    """Return in which bins the pyramidal cells fire more than the threshold."""
    n_bins = round(config.duration / config.rate_bin)
    counts, _ = np.histogram(pc_time, n_bins, (0, config.duration))
    return counts / (config.n_pc * config.rate_bin) > config.threshold


def sharp_waves(pc_time: np.ndarray, config: Decoding) -> np.ndarray:
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


def positions(config: Decoding) -> np.ndarray:
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
def lines(n_bins: int, config: Decoding) -> Lines:
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


def fit_line(probability: np.ndarray, config: Decoding) -> Fit:
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


def decode(spikes: Spikes, centre: np.ndarray, waves: np.ndarray, config: Decoding, rng: np.random.Generator) -> Replays:
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


def by_distance(pc_pc: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the mean weight of the synapses between place cells, by how much farther the postsynaptic field lies."""
    pre, post = np.nonzero(pc_pc)
    apart = centre[post] - centre[pre]
    which = np.digitize(apart, DISTANCES) - 1
    inside = (which >= 0) & (which < len(DISTANCES) - 1) & ~np.isnan(apart)
    n = len(DISTANCES) - 1
    total = np.bincount(which[inside], pc_pc[pre, post][inside], n)
    return total / np.maximum(np.bincount(which[inside], minlength=n), 1)
