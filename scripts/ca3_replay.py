"""Store a run along a track in a network of CA3, and watch what the network does when it is left alone.

Question
    Does the scaled-down network replay the track by itself, forward and backward, in ripples? How often, how long, how
    fast, beside what is measured in animals? Over which range of the recurrent weights does it, and where does it stop?
    Is it the stored order that does it? Controls: the same weights exchanged among the inputs of each cell; the
    asymmetric rule, which should replay forward only; no adaptation by spikes; scaled down in another way.
Source
    models/ca3.py, after Ecker et al. 2022 (doi:10.7554/eLife.71850); what sharp waves, ripples and replay are, and how
    they are decoded: models/ca3_decoding.py; docs/ca3.md.
Command
    python scripts/ca3_replay.py [--quick | --large] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick 45 seconds, --large 4 minutes. It may be interrupted and goes on.
Output
    One HDF5 file, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import brian2
import numpy as np
import xarray as xr
from bioplastic_models import ca3
from bioplastic_models.ca3_decoding import (
    DISTANCES,
    FREQUENCIES,
    RATE_FLOOR,
    RIPPLE,
    Decoding,
    Spikes,
    active_bins,
    between,
    binned,
    by_distance,
    decode,
    peak_frequency,
    positions,
    posterior,
    ripple_share,
    sharp_waves,
    spectrum,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.table import Table
from scipy import signal

from bioplastic import plots
from bioplastic.compiled.build import compile_network
from bioplastic.compiled.run import run_binary
from bioplastic.fingerprint import code_of
from bioplastic.recording import Recording, labelled
from bioplastic.statistics import Estimate, estimate
from bioplastic.study import Condition, Runs, Study
from bioplastic.study.bench import Progress
from bioplastic.study.report import table


@dataclass(frozen=True)
class Settings(Decoding):
    """Settings of the experiment."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One set of place fields, runs, connections and mossy fibres each."""
    scales: tuple[float, ...] = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
    """Factors on the learned weights; 1 is the published one."""
    shuffled_scales: tuple[float, ...] = (1.0, 2.0, 3.0)
    """The same for shuffled weights."""


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        n_pc=1200, n_pvbc=60, seeds=(0, 1), duration=5.0, scales=(0.7, 1.0), shuffled_scales=(1.0,), n_shuffles=40
    ),
    "large": Settings(n_pc=3200, n_pvbc=100, seeds=(0, 1, 2), scales=(0.8, 1.0, 1.2), shuffled_scales=(1.0,)),
}
LEARNED, SHUFFLED, ASYMMETRIC = "learned", "shuffled", "asymmetric rule"
STILL, SPARSE = "no adaptation", "same probability"
LIVES = "lives"
"""Kind of all runs."""
LEVEL = 0.05
"""Share of the decodings with exchanged place fields that may reach the score of a significant replay."""
SHOWN = 5.0
"""Seconds of a life in the figure."""


def kinds(settings: Settings) -> list[tuple[str, float]]:
    """Return the wirings and factors on their weights."""
    found = [(LEARNED, x) for x in settings.scales] + [(SHUFFLED, x) for x in settings.shuffled_scales]
    return [*found, (ASYMMETRIC, 1.0), (STILL, 1.0), (SPARSE, 1.0)]


def plan(bench: Bench, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield all lives, seed by seed."""
    yield [
        Condition(LIVES, {"wiring": wiring, "weight_scale": scale, "seed": seed})
        for seed in settings.seeds
        for wiring, scale in kinds(settings)
    ]


# ------------------------------------------------------------------------------------------ the network


_runtime = threading.Lock()


def compiled(settings: Settings) -> Path | None:
    """Return the folder of the compiled network, compiling it first if need be; None where there is no compiler."""
    size = settings.n_pc, settings.n_pvbc, settings.duration
    return compile_network(partial(ca3.program, *size), [code_of(ca3.program), ca3.NEXT_SPIKE, repr(size)])


def live(folder: Path | None, start: Mapping[tuple[str, str], np.ndarray], settings: Settings) -> Spikes:
    """Live one life from this start: in the compiled program, or in Brian2's runtime mode where there is none."""
    if folder is not None:
        found = run_binary(folder, start)
        return Spikes(**{name: found[name] for name in ca3.RESULTS})
    with _runtime:
        brian2.prefs.codegen.target = "numpy"
        network = ca3.network(settings.n_pc, settings.n_pvbc)
        ca3.set_up(network, start)
        network.run(settings.duration * brian2.second, namespace={})
        seen = {name: network[monitor].variables[variable] for name, (monitor, variable) in ca3.RESULTS.items()}
        return Spikes(**{name: np.array(variable.get_value()) for name, variable in seen.items()})


@dataclass(frozen=True)
class Learned:
    """What one seed has learned: place fields, and weights between all pairs of PCs by rule."""

    centre: np.ndarray
    symmetric: np.ndarray
    asymmetric: np.ndarray


class Bench:
    """What all lives share: the compiled network, and what each seed has learned."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder: Path | None = None
        self._learned: dict[int, Learned] = {}
        self._locks = {seed: threading.Lock() for seed in settings.seeds}

    def prepare(self, progress: Progress) -> None:
        """Compile the network, or take it from the cache."""
        self.folder = compiled(self.settings)
        progress(1.0)

    def learned(self, seed: int) -> Learned:
        """Return what a seed has learned on its runs along the track."""
        with self._locks[seed]:
            found = self._learned.get(seed)
            if found is None:
                rng = np.random.default_rng([seed, 0])
                centre = ca3.place_fields(self.settings.n_pc, rng)
                time, cell = ca3.exploration(centre, rng)
                both = (ca3.learned_weights(time, cell, len(centre), rule) for rule in (ca3.SYMMETRIC, ca3.ASYMMETRIC))
                found = Learned(centre, *both)
                self._learned = {seed: found}  # lives come seed by seed
            return found

    def weights(self, condition: Condition, learned: Learned) -> ca3.Weights:
        """Return the weights of one life."""
        rng, wiring = np.random.default_rng([condition["seed"], 1]), condition["wiring"]
        pairs = condition["weight_scale"] * (learned.asymmetric if wiring == ASYMMETRIC else learned.symmetric)
        mossy = ca3.MOSSY_ASYMMETRIC if wiring == ASYMMETRIC else ca3.MOSSY_PC.weight
        published = (0.1, 0.25) if wiring == SPARSE else None
        made = ca3.weights(pairs, self.settings.n_pvbc, rng, mossy=mossy, probabilities=published)
        if wiring == SHUFFLED:
            others = {f.name: getattr(made, f.name) for f in fields(made) if f.name != "pc_pc"}
            return ca3.Weights(pc_pc=ca3.shuffled(made.pc_pc, rng), **others)
        return made


# ------------------------------------------------------------------------------------------ what is measured


def measure(bench: Bench, condition: Condition) -> xr.Dataset:
    """Live one life and return what is recorded of it; spikes only with weights as published."""
    settings, seed = bench.settings, condition["seed"]
    learned = bench.learned(seed)
    weights = bench.weights(condition, learned)
    b = 0.0 if condition["wiring"] == STILL else ca3.PC.b
    spikes = live(bench.folder, ca3.start(weights, seed, b=b), settings)
    waves = sharp_waves(spikes.pc_time, settings)
    replays = decode(spikes, learned.centre, waves, settings, np.random.default_rng([seed, 2]))
    inside, outside = (spectrum(spikes.pvbc_time, s) for s in (waves, between(waves, settings.duration)))
    mean_rates = np.array([len(spikes.pc) / settings.n_pc, len(spikes.pvbc) / settings.n_pvbc]) / settings.duration
    found = {name: labelled("wave", getattr(replays, name), text, units) for name, (units, text) in PER_WAVE.items()}
    found |= {
        "power_inside": labelled("frequency", inside, "power of the PVBC spike count per ms, in sharp waves", "1/Hz"),
        "power_outside": labelled("frequency", outside, "the same between sharp waves", "1/Hz"),
        "rates": labelled("population", mean_rates, "mean rate", "Hz"),
        "active_share": labelled((), active_bins(spikes.pc_time, settings).mean(), MEASURES["active_share"][1]),
        "weight": labelled(
            "distance", by_distance(weights.pc_pc, learned.centre), "mean learned weight between PCs", "nS"
        ),
    }
    if condition["weight_scale"] == 1:
        found["centre"] = labelled("cell", learned.centre, "centre of the place field of a PC (NaN: none)", "cm")
        for cells in ("pc", "pvbc"):
            time, which = getattr(spikes, f"{cells}_time"), getattr(spikes, cells)
            found[f"{cells}_time"] = labelled(
                f"{cells}_spike", time.astype("float32"), f"spikes of {cells.upper()}s", "s"
            )
            found[cells] = labelled(f"{cells}_spike", which.astype("int32"), f"which {cells.upper()}")
    axes = {
        "frequency": labelled("frequency", FREQUENCIES, "frequency", "Hz"),
        "population": labelled("population", ["PC", "PVBC"], "population"),
        "distance": labelled(
            "distance",
            (DISTANCES[1:] + DISTANCES[:-1]) / 2,
            "place field of the postsynaptic cell minus that of the presynaptic one",
            "cm",
        ),
    }
    return xr.Dataset(found, axes)


PER_WAVE = {
    "begin": ("s", "beginning of the sharp wave"),
    "end": ("s", "end of the sharp wave"),
    "score": ("1", "mean probability near the best line (NaN: too short or too long)"),
    "shuffled_score": ("1", "the same with exchanged place fields, mean over shuffles"),
    "p": ("1", "share of shuffles that reach the score"),
    "from_position": ("cm", "where the best line begins"),
    "to_position": ("cm", "where the best line ends"),
    "speed": ("m/s", "speed of the best line; negative is backward"),
}
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


def measures(run: xr.Dataset, duration: float) -> dict[str, float]:
    """Return `MEASURES` of one life of `duration` seconds."""

    def mean(values: np.ndarray) -> float:
        return float(values.mean()) if len(values) else np.nan

    per_wave = ("begin", "end", "score", "shuffled_score", "p", "speed")
    values = {name: np.asarray(run[name]) for name in (*per_wave, "power_inside", "power_outside", "rates")}
    decoded = np.isfinite(values["score"])
    replay = decoded & (values["p"] <= LEVEL)
    length = values["end"] - values["begin"]
    inside, outside = values["power_inside"], values["power_outside"]
    return {
        "pc_rate": float(values["rates"][0]),
        "pvbc_rate": float(values["rates"][1]),
        "active_share": float(run["active_share"]),
        "wave_rate": len(length) / duration,
        "wave_duration": 1000 * mean(length),
        "ripple_frequency": peak_frequency(inside),
        "ripple_share": ripple_share(inside),
        "ripple_share_outside": ripple_share(outside),
        "n_decoded": float(decoded.sum()),
        "replay_share": mean(replay[decoded]),
        "forward_share": mean(values["speed"][replay] > 0),
        "score": mean(values["score"][decoded]),
        "shuffled_score": mean(values["shuffled_score"][decoded]),
        "speed": mean(np.abs(values["speed"][replay])),
    }


def summarise(bench: Bench, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the measures of all lives."""
    everything = kinds(settings)
    of_each = {
        (c["wiring"], c["weight_scale"], c["seed"]): measures(run, settings.duration) for c, run in runs.of(LIVES)
    }
    found = {}
    for name, (units, text) in MEASURES.items():
        values = [[of_each[(*kind, seed)][name] for seed in settings.seeds] for kind in everything]
        found[name] = labelled(("condition", "seed"), values, text, units)
    found["wiring"] = labelled("condition", [wiring for wiring, _ in everything], "wiring between PCs")
    found["weight_scale"] = labelled(
        "condition", [scale for _, scale in everything], "factor on the weights between PCs"
    )
    names = [f"{wiring} x {scale:g}" for wiring, scale in everything]
    return {"summary": xr.Dataset(found, {"condition": names, "seed": list(settings.seeds)})}


# ------------------------------------------------------------------------------------------ tables


Arrays = Mapping[str, np.ndarray]
"""What was measured in one life, by name."""


@dataclass(frozen=True)
class Done:
    """A finished recording."""

    recording: Recording

    @property
    def settings(self) -> Settings:
        """With which it was made."""
        known = {f.name for f in fields(Settings)}
        given = self.recording.provenance.settings
        return Settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in known})

    def estimate(self, measure: str, wiring: str, scale: float = 1.0) -> Estimate:
        """Mean over seeds of a measure in one condition, with its interval."""
        return estimate(self.recording.summary[measure].sel(condition=f"{wiring} x {scale:g}").values)

    def run(self, wiring: str, seed: int | None = None) -> Arrays:
        """The life of a seed, or the first, with weights as published."""
        chosen = self.settings.seeds[0] if seed is None else seed
        life = self.recording.run(LIVES, wiring=wiring, weight_scale=1.0, seed=chosen)
        return {str(name): variable.values for name, variable in life.variables.items()}

    def lives(self, wiring: str) -> list[Arrays]:
        """The lives of all seeds with weights as published."""
        return [self.run(wiring, seed) for seed in self.settings.seeds]


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


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what the network does beside what animals do, and what other weights do."""
    done = Done(recording)
    settings, summary = done.settings, recording.summary
    title = (
        f"Left alone, weights as learned; mean and 95 % interval over {len(settings.seeds)} x {settings.duration:g} s"
    )
    rows = [[text, str(done.estimate(name, LEARNED)), animals, source] for name, text, animals, source in LITERATURE]
    yield table(title, ["measure", "here", "in animals", "source (doi)"], rows)
    rows = [
        [name, *(short(done.estimate(one, wiring, scale)) for one in COLUMNS)]
        for name, wiring, scale in zip(
            summary["condition"].values, summary["wiring"].values, summary["weight_scale"].values, strict=True
        )
    ]
    yield table("Weights and controls; means over seeds", ["condition", *COLUMNS.values()], rows)


def short(value: Estimate) -> str:
    """The mean alone."""
    if not value.n:
        return "-"
    return f"{value.mean:.0f}" if abs(value.mean) >= 10 else f"{value.mean:.2f}"


# ------------------------------------------------------------------------------------------ figure


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


def figures(recording: Recording) -> dict[str, Figure]:
    """Everything on one page."""
    done = Done(recording)
    with plots.page(225) as figure:
        rows = figure.add_gridspec(4, 1, height_ratios=[2.7, 1.2, 1.2, 1.2])
        traces = rows[0].subgridspec(3, 1, height_ratios=[1.6, 0.6, 0.6])
        learned = done.run(LEARNED)
        top = figure.add_subplot(traces[0])
        middle, bottom = (figure.add_subplot(traces[k], sharex=top) for k in (1, 2))
        raster(top, learned, done.settings)
        plots.heading(top, LEARNED)
        rates(middle, bottom, learned, done.settings)
        for axes in (top, middle):
            axes.tick_params(labelbottom=False)
        second = rows[1].subgridspec(1, 3)
        controls = [figure.add_subplot(second[k]) for k in range(3)]
        for axes, wiring in zip(controls, (SHUFFLED, ASYMMETRIC, STILL), strict=True):
            raster(axes, done.run(wiring), done.settings)
            axes.set_xlabel("Time (s)")
            plots.heading(axes, wiring)
        third = rows[2].subgridspec(1, 4)
        decoded = [figure.add_subplot(third[k]) for k in range(2)]
        for axes, direction in zip(decoded, (1, -1), strict=True):
            event(axes, longest_replay(done, direction), done.settings)
        panels = [top, middle, bottom, *controls, *decoded]
        fourth = rows[3].subgridspec(1, 3)
        cells = [third[2], third[3], *(fourth[k] for k in range(3))]
        for cell, panel in zip(cells, (spectra, profile, scores, by_scale, ripples_by_scale), strict=True):
            panels.append(figure.add_subplot(cell))
            panel(panels[-1], done)
        for name, axes in zip("abcdefghijklm", panels, strict=True):
            plots.letter(axes, name)
        plots.note(figure, NOTE)
    return {"": figure}


def direction_marks(run: Arrays, settings: Settings) -> Iterator[tuple[float, float, str, str]]:
    """Begin, end, colour and sign of every sharp wave."""
    for begin, end, p, speed in zip(run["begin"], run["end"], run["p"], run["speed"], strict=True):
        if not p <= LEVEL:
            yield begin, end, "0.85", "?"
        else:
            yield begin, end, *(("#cfe0f5", ">") if speed > 0 else ("#f7d9bd", "<"))


def raster(axes: Axes, run: Arrays, settings: Settings) -> None:
    """Spikes of place cells, and sharp waves."""
    shown = min(SHOWN, settings.duration)
    early = run["pc_time"] < shown
    axes.plot(run["pc_time"][early], run["centre"][run["pc"][early]], ",", color="black", rasterized=True)
    for begin, end, color, sign in direction_marks(run, settings):
        if begin < shown:
            axes.axvspan(begin, min(end, shown), color=color, linewidth=0, zorder=0)
            axes.text((begin + min(end, shown)) / 2, 1.04 * ca3.TRACK, sign, ha="center", va="center", fontsize=6)
    axes.set(xlim=(0, shown), ylim=(0, 1.1 * ca3.TRACK), ylabel="Place field (cm)", yticks=(0, 100, 200, 300))
    axes.set_xticks(np.arange(int(shown) + 1))


def rates(upper: Axes, lower: Axes, run: Arrays, settings: Settings) -> None:
    """Rate of PCs, and the ripple of PVBCs."""
    shown = min(SHOWN, settings.duration)
    n = round(shown / settings.rate_bin)
    counts, edges = np.histogram(run["pc_time"], n, (0, shown))
    upper.stairs(counts / (settings.n_pc * settings.rate_bin), edges, color=DARK, fill=True, alpha=0.6)
    upper.axhline(settings.threshold, color=RED, linewidth=0.7, linestyle=(0, (4, 2)))
    upper.set_ylabel("PCs (Hz)")
    counts, edges = np.histogram(run["pvbc_time"], round(1000 * shown), (0, shown))
    rate = 1000 * counts / settings.n_pvbc
    filtered = signal.sosfiltfilt(signal.butter(3, RIPPLE, "bandpass", fs=1000, output="sos"), rate)
    lower.plot(edges[:-1], filtered, color=DARK, linewidth=0.3)
    lower.set(ylabel="PVBCs (Hz)", xlabel="Time (s)")


def longest_replay(done: Done, direction: int) -> tuple[Arrays, int] | None:
    """The significant replay with the longest path, forward (1) or backward (-1): its life and its place there."""
    found = []
    for seed in done.settings.seeds:
        life = done.run(LEARNED, seed)
        mine = np.flatnonzero((life["p"] <= LEVEL) & (np.sign(life["speed"]) == direction))
        path = np.abs(life["to_position"] - life["from_position"])
        found += [(path[k], seed, k, life) for k in mine]
    if not found:
        return None
    *_, which, life = max(found, key=lambda one: one[:3])
    return life, int(which)


def event(axes: Axes, example: tuple[Arrays, int] | None, settings: Settings) -> None:
    """Decoded position in one sharp wave."""
    axes.set(xlabel="Time in the sharp wave (ms)", ylabel="Position (cm)", ylim=(0, ca3.TRACK))
    if example is None:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="0.45")
        return
    run, which = example
    spikes = Spikes(run["pc_time"], run["pc"], run["pvbc_time"], run["pvbc"])
    cells = np.flatnonzero(~np.isnan(run["centre"]))
    rates_by_place = np.maximum(ca3.IN_FIELD * ca3.tuning(run["centre"][cells], positions(settings)), RATE_FLOOR)
    counts = binned(spikes, cells, run["begin"][which], run["end"][which], settings.decoding_bin)
    probability = posterior(counts, rates_by_place, settings.decoding_bin)
    time = 1000 * settings.decoding_bin * (np.arange(len(counts)) + 0.5)
    axes.pcolormesh(time, positions(settings), probability, cmap="Greys", vmin=0, vmax=0.5, rasterized=True)
    ends = np.array([run["from_position"][which], run["to_position"][which]])
    for shift, width in ((0, 1.0), (settings.band, 0.5), (-settings.band, 0.5)):
        axes.plot(time[[0, -1]], ends + shift, color=RED, linewidth=width, linestyle="-" if not shift else (0, (4, 2)))
    direction = "forward" if run["speed"][which] > 0 else "backward"
    plots.heading(axes, f"{direction}, {abs(run['speed'][which]):.1f} m/s")


def spectra(axes: Axes, done: Done) -> None:
    """Power of the PVBCs' spike count in and between sharp waves."""
    axes.axvspan(*RIPPLE, color="0.9", linewidth=0, zorder=0)
    for wiring in (LEARNED, ASYMMETRIC, SHUFFLED):
        lives = done.lives(wiring)
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
        lives = done.lives(wiring)
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
        lives = done.lives(wiring)
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
    mine = [k for k, w in enumerate(done.recording.summary["wiring"]) if w == wiring]
    x = done.recording.summary["weight_scale"][mine]
    points = [estimate(done.recording.summary[measure][k]) for k in mine]
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


STUDY = Study(
    name="ca3_replay",
    title="Replay in a scaled-down network of CA3",
    settings=SETTINGS,
    bench=Bench,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    running_time={"": "5 minutes", "quick": "45 seconds", "large": "4 minutes"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
