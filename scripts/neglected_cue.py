"""Neglect a cue far upstream: is a rare error mended where only a distant change can mend it.

Question
    Cue cells enter the chain h hops upstream of the error source, with weights of zero, and they alone tell event E (a
    digit with the cue, and then the opposite of what the digit promises) from the background A (the same digit
    without). Nothing downstream can tell the two apart, so only the cue's weights, at hop h, can mend the error; other
    weights can merely trade E against A. How well is E told from A, by h and by how often E happens, under the local
    rules and under backprop, with and without replay? And the opposite effect: do near weights, which absorb the error
    where E is frequent, leave less of it for the cue, so that per occurrence a rare E changes more?
Source
    The argument and the model: docs/model.md; the circuit: models/neglected_cue.py; the events: models/cued_digits.py;
    the rules: bioplastic/rules/; what counts for and against: docs/claims.md, claim 5; censored survival curves:
    bioplastic/statistics.py.
Command
    python scripts/neglected_cue.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 8 minutes, --quick half a minute; the first time compiling comes on top. It may be interrupted
    and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bioplastic_models import chain, cued_digits, neglected_cue

from bioplastic import plots
from bioplastic.cache import cache_folder
from bioplastic.circuit import Weights
from bioplastic.events import Schedule, probes
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.statistics import first_reaching, interval
from bioplastic.study import Bench, Condition, Learner, Runs, Study, StudyError, conditions, grid
from bioplastic.study.bench import Measure, Progress
from bioplastic.study.learner import per_event
from bioplastic.study.measure import Measures, hop_axis
from bioplastic.study.report import n_seeds, rows, table, written
from bioplastic.study.summary import by_labels, each, named
from bioplastic.study.tuning import scores, tuning_conditions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

RESULT, SHAM, FROZEN, NEARBY = "result", "sham", "frozen", "nearby"
OFF, REPLAY = "off", "replay"
HOW = {OFF: "without replay", REPLAY: "with replay"}
BACKPROP = "backprop"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
TUNING_FRACTION = 0.05
"""Fraction of all events that is E there; the cue is at the first entry."""
NEAR_TIE = 0.02
"""Of learning rates whose mean score is within this of the best one the smallest is chosen."""
N_NEARBY = 3
"""Networks, the first ones, that live again at other learning rates."""
CORRECTED = 0.5
"""E is corrected when it is told from A by half or more."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = neglected_cue.N_HOPS
    """Length of the chain, in hops."""
    entries: tuple[int, ...] = neglected_cue.ENTRIES
    """Hops at which the cue enters."""
    event_fractions: tuple[float, ...] = (0.01, 0.05, 0.3)
    """Fractions of all real events that are E; sham lives are lived at the rarest and the commonest."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one life and one set of spike phases each."""
    n_events: int = 400
    """Length of a life, in real events."""
    looks: tuple[int, ...] = (1, 2, 3, 4, 6, 9, 13, 20, 30, 45, 65, 90, 120)
    """Occurrences of E after which the weights are looked at, as far as a life has so many; and at its end."""
    day: int = 50
    """Real events between two nights, where there is replay."""
    replays: int = 25
    """Replays in a night."""
    n_tuning: int = 2
    """Networks on which learning rates are chosen; with none every learner gets the middle one."""
    rates: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
    """Learning rates to choose from, per event: for spiking rules eta times the spikes that a cell at the maximal rate
    fires while an outcome is present, so that the same number means the same change by the same error."""
    nearby: tuple[float, ...] = (1 / 3, 3.0)
    """Factors on the chosen rate with which lives are lived again without replay, at all entries but the first, where E
    is rarest and commonest."""
    n_held_out: int = 10
    """Images of each good digit, of those held out, on which weights are measured."""
    n_probes: int = 2
    """Those of them that are shown in spikes at the end of a life."""

    def __post_init__(self) -> None:
        if self.n_events % self.day:
            raise StudyError(f"n_events = {self.n_events} is no multiple of day = {self.day}; give whole days.")
        if self.n_fixed < 1:
            raise StudyError(
                f"event_fractions: {min(self.event_fractions):g} of n_events = {self.n_events} is less than one event; "
                "make n_events larger."
            )
        if self.n_fixed not in self.looks:
            raise StudyError(f"looks lack {self.n_fixed}, the occurrences of the rarest event in a life; add it.")
        for h in self.entries:
            if not 1 <= h < self.n_hops:
                raise StudyError(
                    f"entries: {h} is no hop with hidden cells where n_hops = {self.n_hops}; give hops from 1 to "
                    f"{self.n_hops - 1}, or more hops ({max(self.entries) + 1} for these entries)."
                )

    @property
    def n_occurrences(self) -> dict[float, int]:
        """Occurrences of E in a life, by its fraction of all events."""
        return {fraction: round(fraction * self.n_events) for fraction in self.event_fractions}

    @property
    def n_fixed(self) -> int:
        """Occurrences of the rarest event in a life: the fixed number at which all fractions are compared."""
        return min(self.n_occurrences.values())

    @property
    def extremes(self) -> tuple[float, ...]:
        """The smallest and the largest event fraction."""
        return tuple(dict.fromkeys((min(self.event_fractions), max(self.event_fractions))))

    @property
    def tuning_seeds(self) -> range:
        """Networks on which learning rates are chosen."""
        return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + self.n_tuning)


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        n_hops=5,
        entries=(1, 4),
        event_fractions=(0.1, 0.3),
        seeds=(0,),
        n_events=40,
        looks=(1, 2, 4, 8, 12),
        day=20,
        replays=10,
        n_tuning=0,
        nearby=(),
        n_held_out=2,
        n_probes=1,
    ),
}


# ------------------------------------------------------------------------------------------ who lives what


def learners(settings: Settings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    n, rates = settings.n_hops, settings.rates
    brief, long = chain.timing(n), chain.long_timing(n)
    screened = partial(chain.screened, n_hops=n)

    def equilibrium(eta: float) -> EquilibriumRelay:
        return chain.equilibrium(eta, eta, n)

    return [
        Learner("error relay", per_event(screened, brief), brief, rates),
        Learner("error relay, unscreened", per_event(neglected_cue.unscreened, long), long, rates),
        Learner("equilibrium relay", per_event(equilibrium, brief), brief, rates, cued_digits.agreeing),
        Learner(BACKPROP, Backprop, brief, rates),
    ]


class CueBench(Bench):
    """What all lives share."""

    def __init__(self, settings: Settings) -> None:
        self.settings, everyone = settings, learners(settings)
        self.cued = cued_digits.cued_digits(len(settings.entries), neglected_cue.N_CUE)
        n_events = settings.n_events + settings.n_events // settings.day * settings.replays
        n_events += 2 * cued_digits.N_GOOD * settings.n_probes
        super().__init__(
            neglected_cue.circuit(settings.n_hops, entries=settings.entries),
            self.cued.task,
            (*settings.seeds, *settings.tuning_seeds),
            everyone,
            longest=n_events * max(float(one.timing.event / one.timing.resolution) for one in everyone),
            n_snapshots=len(settings.looks) + 1,
        )

    def starts(self, progress: Progress) -> list[Weights]:
        """Return networks that know the digits and their valence, with cue weights of zero."""
        from bioplastic import twin

        plain = neglected_cue.plain_circuit(self.settings.n_hops)
        cache = cache_folder() / "weights"
        found = twin.pretrained(plain, cued_digits.plain_task(), self.seeds, cache=cache, progress=progress)
        return [neglected_cue.with_cues(self.circuit, weights) for weights in found]

    def pairs(self, condition: Condition, per_digit: int) -> cued_digits.Pairs:
        """Held-out images without and with the cue of a condition."""
        return self.cued.held_out_pairs(per_digit, self.settings.entries.index(condition["entry"]))

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: for all learners the same events, for all entries the same images."""
        settings, seed = self.settings, condition["seed"]
        lived = cued_digits.life(
            self.cued,
            entry_index=settings.entries.index(condition["entry"]),
            event_fraction=condition["event_fraction"],
            n_events=settings.n_events,
            seed=seed,
        )
        if condition.labels.get("replay") == REPLAY:
            surprise = cued_digits.surprise(self.circuit, self.task, self.start[seed], lived)
            nights = {"day": settings.day, "replays": settings.replays, "seed": seed}
            lived = cued_digits.with_replay(lived, condition.who.timing, surprise, **nights)
        return lived.sham() if condition.kind == SHAM else lived

    def looks(self, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
        """After which occurrences the weights are looked at, and at which events; the last is the life's end."""
        rare = np.flatnonzero(schedule.rare)
        occurrence = np.array([k for k in self.settings.looks if k <= len(rare)])
        return occurrence, np.append(rare[occurrence - 1], len(schedule) - 1)


def plan(bench: CueBench, settings: Settings, runs: Runs) -> Iterator[Sequence[Condition]]:
    """Yield the lives that choose learning rates, then all others."""
    where = {"entry": settings.entries[0], "event_fraction": TUNING_FRACTION}
    yield tuning_conditions(bench.learners, settings.tuning_seeds, **where)
    rates = chosen_rates(bench.learners, tuned(runs, bench.learners))
    yield [c for learner in bench.learners for c in lives(settings, learner, rates[learner.name])]


def tuned(runs: Runs, everyone: Sequence[Learner]) -> np.ndarray:
    """Discrimination at the end at each rate, mean over tuning networks, by learner; NaN if nothing was to choose."""
    return scores(runs, everyone, lambda run: float(run["discrimination"][-1]))


def chosen_rates(everyone: Sequence[Learner], score: np.ndarray) -> dict[str, float]:
    """Return each learner's rate: `preferred`, or the middle one where there was nothing to choose."""
    return {
        one.name: one.rates[len(one.rates) // 2] if np.isnan(row).all() else preferred(one.rates, row)
        for one, row in zip(everyone, score, strict=True)
    }


def preferred(rates: Sequence[float], score: np.ndarray, near_tie: float = NEAR_TIE) -> float:
    """Return the smallest rate that scores about as well as the best one."""
    return min(rate for rate, one in zip(rates, score, strict=True) if one >= score.max() - near_tie)


def lives(settings: Settings, learner: Learner, rate: float) -> list[Condition]:
    """Return all lives of a learner at its rate: results, nearby rates, sham lives, frozen weights."""
    entry, fraction, extreme, seed = settings.entries, settings.event_fractions, settings.extremes, settings.seeds
    at = partial(conditions, learners=[learner])
    found = at(RESULT, replay=(OFF, REPLAY), entry=entry, event_fraction=fraction, seed=seed, rate=(rate,))
    for cell in grid(entry=entry[1:], event_fraction=extreme, factor=settings.nearby, seed=seed[:N_NEARBY]):
        found.append(Condition(NEARBY, cell | {"rate": float(cell["factor"]) * rate}, learner))
    if learner.spikes:  # nothing in the twin is random: its floor is zero, and it has no error spikes
        found += at(SHAM, entry=entry, event_fraction=extreme, seed=seed, rate=(rate,))
        # With cue weights that stay zero it does not matter where the cue enters.
        found += at(FROZEN, entry=entry[:1], event_fraction=fraction, seed=seed, rate=(0.0,))
    return found


# ------------------------------------------------------------------------------------------ what is measured


MEASURES = cued_digits.SAID | {"cue_norm": "Euclidean norm of the cue weights, which start at 0"}
"""What is measured of the weights at each look, in words."""
IN_SPIKES = "discrimination at the end, by probes in spikes"


def measure(bench: CueBench, condition: Condition) -> Measure:
    """Live a condition, in spikes with probes at its end, and look at the weights after some occurrences."""
    schedule, spikes = bench.schedule(condition), condition.who.spikes
    plain, cued = bench.pairs(condition, bench.settings.n_probes)
    shown = schedule + probes(np.concatenate([plain, cued])) if spikes else schedule
    event = bench.looks(schedule)[1]
    events = np.unique(event)  # the last occurrence may be the last event
    (lived,) = yield bench.ask(bench.life(condition, shown, snapshots=events.tolist()))
    by_hop, in_spikes = np.full(bench.circuit.n_hops, np.nan), np.nan
    if spikes:
        by_hop = cued_digits.signalled(lived.error_signal[: len(schedule)], schedule, condition.rule.theta)
        probed = lived.prediction[len(schedule) :]
        in_spikes = float(cued_digits.discrimination(probed[: len(plain)], probed[len(plain) :]))
    words = "mismatch signalled (theta times error spikes) per E minus per A, good digits only"
    found = {
        "signalled": labelled("hop", by_hop, words),
        "discrimination_spikes": labelled((), in_spikes, IN_SPIKES),
    }
    looked = [lived.snapshots[k] for k in np.searchsorted(events, event)]
    return xr.Dataset(found | at_looks(bench, condition, schedule, looked), {"hop": hop_axis(bench.circuit.n_hops)})


def at_looks(bench: CueBench, condition: Condition, schedule: Schedule, looked: Sequence[Weights]) -> Measures:
    """What a life's weights say at the looks, in rates; the last look is at the end."""
    settings, (occurrence, event) = bench.settings, bench.looks(schedule)
    cue = neglected_cue.projection(condition["entry"])
    values = cued_digits.said(bench.circuit, bench.cued, looked, bench.pairs(condition, settings.n_held_out))
    values["cue_norm"] = np.array([np.linalg.norm(weights.forward[cue]) for weights in looked])
    values["elapsed"] = np.cumsum(~schedule.resting & ~schedule.replayed)[event].astype(float)
    words = MEASURES | {"elapsed": "real events until then (NaN: the life has not so many occurrences)"}
    missing = np.full(len(settings.looks) - len(occurrence), np.nan)  # before the end
    return {name: labelled("look", [*v[:-1], *missing, v[-1]], words[name]) for name, v in values.items()}


# ------------------------------------------------------------------------------------------ the summary


LIFE = ("learner", "replay", "entry", "event_fraction", "seed")
AXES = {
    "learner": "learner",
    "replay": "replay",
    "entry": "hops upstream of the error source at which the cue enters",
    "event_fraction": "fraction of all real events that are E",
    "sham_fraction": "fraction of all real events that are E, sham lives",
    "seed": "seed of network, life and spike phases",
    "look": "occurrences of E after which the weights are looked at",
    "factor": "factor on the chosen learning rate",
    "nearby_entry": "hops upstream at which the cue enters, other rates",
    "nearby_fraction": "fraction of all real events that are E, other rates",
    "nearby_seed": "seed of network, life and spike phases, other rates",
    "rate_index": "index of the learning rate that was tried",
}


def summarise(bench: CueBench, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the results, and how learning rates were chosen, into labelled arrays."""
    names, score = [one.name for one in bench.learners], tuned(runs, bench.learners)
    rates = chosen_rates(bench.learners, score)
    lived = by_labels(runs.of(RESULT), *LIFE)
    sham = by_labels(runs.of(SHAM), "learner", "entry", "event_fraction", "seed").reindex(learner=names)
    frozen = by_labels(runs.of(FROZEN), "learner", "event_fraction", "seed").reindex(learner=names)
    sham = sham.rename(event_fraction="sham_fraction")
    fixed = settings.looks.index(settings.n_fixed)
    n_occurrences = list(settings.n_occurrences.values())
    found = {
        "occurrences": labelled("event_fraction", n_occurrences, "occurrences of E in a life"),
        "learning_rate": labelled("learner", [rates[name] for name in names], "learning rate per event"),
        "discrimination_spikes": named(lived["discrimination_spikes"], IN_SPIKES),
        "signalled_frozen": named(frozen["signalled"], "mismatch signalled per E minus per A, weights frozen"),
    }
    for name, text in MEASURES.items():
        looks = lived[name]
        after = "after as many occurrences as the rarest E has in a life"
        found[name] = named(looks.isel(look=-1), f"{text}; end of the life")
        found[f"{name}_fixed"] = named(looks.isel(look=fixed), f"{text}; {after}")
        found[f"{name}_look"] = named(looks.isel(look=slice(-1)), f"{text}; at each look")
    for name in ("discrimination", "cue_norm"):
        found[f"{name}_sham"] = named(sham[name].isel(look=-1), f"{MEASURES[name]}; sham lives, end")
    norm = sham["cue_norm"].isel(look=fixed)
    found["cue_norm_sham_fixed"] = named(norm, f"{MEASURES['cue_norm']}; sham lives, after the fixed number")
    axes: dict[str, Any] = {
        **{name: lived[name].values for name in LIFE},
        **{"sham_fraction": settings.extremes, "look": settings.looks, "factor": settings.nearby},
        "nearby_entry": np.array(settings.entries[1:] * bool(settings.nearby), int),
        "nearby_fraction": np.array(settings.extremes * bool(settings.nearby)),
        "nearby_seed": np.array(settings.seeds[:N_NEARBY] * bool(settings.nearby), int),
    }
    coordinates = {name: labelled(name, values, AXES[name]) for name, values in axes.items()}
    coordinates["hop"] = hop_axis(settings.n_hops)
    found |= corrections(lived, settings) | at_other_rates(runs)
    sweep = xr.Dataset(
        {
            "rate": labelled("rate_index", settings.rates, "learning rate per event that was tried"),
            "score": labelled(("learner", "rate_index"), score, "discrimination at the end, mean over tuning networks"),
        },
        {
            "learner": coordinates["learner"],
            "rate_index": labelled("rate_index", np.arange(len(settings.rates)), AXES["rate_index"]),
        },
    )
    return {"summary": xr.Dataset(found, coordinates), "learning_rate_sweep": sweep}


def corrections(lived: xr.Dataset, settings: Settings) -> dict[str, xr.Variable]:
    """When E was first seen to be corrected: after the look before, and at this one or before it."""
    counted = [[*settings.looks, n] for n in settings.n_occurrences.values()]
    occurrence = xr.DataArray(counted, {"event_fraction": lived["event_fraction"]}, ("event_fraction", "look"))
    end = occurrence.isel(look=-1)
    reaching = partial(first_reaching, level=CORRECTED)
    time = each(reaching, lived["discrimination"], lived["elapsed"], over="look")
    nth = each(reaching, lived["discrimination"], occurrence.astype(float), over="look")
    happened = time.notnull().transpose(*LIFE)
    words = "whether it ever was; if not, both times are censored"
    return {
        "correction_time": named(
            time.fillna(settings.n_events).transpose(*LIFE),
            "real events until a look first finds discrimination at 0.5 (if never: in the life)",
        ),
        "correction_occurrence": named(
            nth.fillna(end).transpose(*LIFE), "occurrences of E until then (if never: in the life)"
        ),
        "corrected": labelled(LIFE, happened.values, words, flags=("no", "yes")),
    }


def at_other_rates(runs: Runs) -> dict[str, xr.Variable]:
    """What is there at the end where the learning rate is another; nothing if there are no such lives."""
    if not runs.of(NEARBY):
        return {}
    found = by_labels(runs.of(NEARBY), "learner", "entry", "event_fraction", "factor", "seed").isel(look=-1)
    found = found.rename(entry="nearby_entry", event_fraction="nearby_fraction", seed="nearby_seed")
    words = {"discrimination": "discrimination", "cue_norm": "norm of the cue weights"}
    return {f"{k}_nearby": named(found[k], f"{v} at the end at other rates, no replay") for k, v in words.items()}


# ------------------------------------------------------------------------------------------ what is shown


def statements(recording: Recording) -> Iterator[str]:
    """Say what the numbers say on the claim, for and against, rarest against commonest E, without replay."""
    summary = recording.summary.sel(replay=OFF)
    if summary.sizes["seed"] < 2:
        yield "One seed: nothing is said about the claim."
        return
    names, entries = summary["learner"].values.tolist(), summary["entry"].values.tolist()
    fractions = summary["event_fraction"].values
    rare, common = (summary.sel(event_fraction=end) for end in (fractions.min(), fractions.max()))
    for entry, name in product(entries, names):
        if name == BACKPROP:
            continue
        told = rare["discrimination"].sel(entry=entry)
        low, high = interval((told.sel(learner=name) - told.sel(learner=BACKPROP) / 2).values)
        verdict = "below" if high < 0 else "above" if low > 0 else "not told from"
        yield f"cue at hop {entry}, rarest E: {name} is {verdict} half of backprop's discrimination."
    for name, entry in product(names, entries):
        one, other = (end["cue_norm_fixed"].sel(learner=name, entry=entry).values for end in (rare, common))
        low, high = interval(one - other)
        verdict = "more" if low > 0 else "less" if high < 0 else "neither more nor less, by the interval"
        yield (
            f"cue at hop {entry}, {name}: per occurrence the rarest E changes the cue's weights {verdict} "
            f"({one.mean():.3g} against {other.mean():.3g} after as many occurrences)."
        )


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what was measured, as tables."""
    summary, n = recording.summary, n_seeds(recording)
    n_fixed, fractions = int(summary["occurrences"].min()), summary["event_fraction"].values
    of_e, of_sham = ([f"E {f:g}" for f in summary[axis].values] for axis in ("event_fraction", "sham_fraction"))
    off = summary.sel(replay=OFF)

    def columns(array: xr.DataArray, axis: str = "event_fraction") -> list[xr.DataArray]:
        return list(written(array).transpose(axis, ...))

    def by_learner(title: str, headings: Sequence[str], texts: Sequence[xr.DataArray]) -> Table:
        return table(title, ["learner", "cue at hop", *headings], rows(texts, "learner", "entry"))

    for replay, how in HOW.items():
        one = summary.sel(replay=replay)
        told = [*columns(one["discrimination"]), columns(one["discrimination_spikes"])[-1]]
        title = f"E told from A at the end (0 none, 1 all), {how}; {n}, mean [95 % interval]"
        yield by_learner(title, [*of_e, "in spikes, commonest"], told)
    title = f"E told from A after {n_fixed} occurrences, no replay; {n}"
    yield by_learner(title, of_e, columns(off["discrimination_fixed"]))
    for end, when in (("_fixed", f"after {n_fixed} occurrences"), ("", "at the end")):
        norms = [*columns(off[f"cue_norm{end}"]), *columns(summary[f"cue_norm_sham{end}"], "sham_fraction")]
        title = f"Norm of the cue weights {when}, no replay; {n}"
        yield by_learner(title, [*of_e, *(f"sham, {f}" for f in of_sham)], norms)
    for replay, how in HOW.items():
        title = f"Lives with a correction, {how}: median of real events, and occurrences, where most have; {n}"
        done = [corrected_by(summary.sel(replay=replay, event_fraction=f)) for f in fractions]
        yield by_learner(title, of_e, done)
    yield rates_table(recording)
    if summary.sizes["factor"]:
        again = summary["discrimination_nearby"].rename(nearby_seed="seed")
        n = f"{again.sizes['seed']} seed{'s' * (again.sizes['seed'] > 1)}"
        yield table(
            f"E told from A at the end at other rates, no replay; {n}",
            ["learner", "cue at hop", "E", *(f"rate x {factor:.2g}" for factor in summary["factor"].values)],
            rows(columns(again, "factor"), "learner", "nearby_entry", "nearby_fraction"),
        )


def corrected_by(summary: xr.Dataset) -> xr.DataArray:
    """Say by learner and entry in how many lives E was corrected, and by when in half of them, where most are."""

    def said(one: xr.Dataset) -> str:
        done = one["corrected"].values.astype(bool)
        time, occurrence = (np.median(one[f"correction_{unit}"]) for unit in ("time", "occurrence"))
        return f"{done.sum()}/{len(done)}" + f": {time:.0f} ({occurrence:.0f})" * bool(2 * done.sum() > len(done))

    axes = {axis: summary[axis].values for axis in ("learner", "entry")}
    texts = [[said(summary.sel(learner=name, entry=h)) for h in axes["entry"]] for name in axes["learner"]]
    return xr.DataArray(texts, axes)


def rates_table(recording: Recording) -> Table:
    """Say which learning rates were tried, how they did, and which was chosen."""
    sweep, lines = recording["learning_rate_sweep"], []
    for name, chosen in zip(sweep["learner"].values, recording.summary["learning_rate"].values, strict=True):
        pairs = zip(sweep["rate"].values, sweep["score"].sel(learner=name).values, strict=True)
        tried = ", ".join(f"{rate:g}: {score:.3f}" for rate, score in pairs if np.isfinite(score))
        edge = " (edge)" if tried and chosen in sweep["rate"].values[[0, -1]] else ""
        lines.append([str(name), tried or "nothing tried", f"{chosen:g}{edge}"])
    title = "Learning rate per event: discrimination on tuning networks"
    return table(title, ["learner", "rate: discrimination", "chosen"], lines, left=(0, 1, 2))


def by_fraction(axes: Axes, values: xr.DataArray, label: str, sham: xr.DataArray | None = None) -> None:
    """Draw a measure against the event fraction; means of sham lives as open symbols, beside what they may hide."""
    fraction = values["event_fraction"].values
    plots.learner_curves(axes, fraction, values.dropna("learner", how="all"))
    if sham is not None:
        for name, look in plots.looks(sham["learner"].values.tolist()).items():
            mean = sham.sel(learner=name).mean("seed").values
            axes.plot(0.78 * sham["sham_fraction"], mean, look.marker, color=look.color, mfc="none")
    plots.log_ticks(axes, fraction)
    axes.set_xlabel("E, fraction of events (1)")
    axes.set_ylabel(label)


def survival_panel(axes: Axes, summary: xr.Dataset, n_events: int) -> None:
    """Draw the lives that are not yet corrected, cue at one hop and E at one frequency."""
    looks = plots.looks(summary["learner"].values.tolist())
    curves = list(product(looks.items(), ((OFF, 1.1, 1.0), (REPLAY, 2.6, 0.45))))
    for k, ((name, look), (replay, width, opacity)) in enumerate(curves):
        one = summary.sel(learner=name, replay=replay)
        times, place = one["correction_time"].values, n_events * (k + 0.5) / len(curves)
        drawn = {"end": n_events, "symbol_at": place, "width": width, "opacity": opacity}
        plots.survival_curve(axes, times, one["corrected"].values, look, **drawn)
    axes.set(ylim=(-0.05, 1.08), xlim=(0, n_events * 1.02), xlabel="real events (1)", ylabel="not corrected (1)")
    plots.heading(axes, f"E {summary['event_fraction'].item():g}, cue at hop {summary['entry'].item()}")


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw discrimination, correction as survival curves, and the two opposite effects of frequency."""
    summary, n_events = recording.summary, recording.provenance.settings["n_events"]
    entries, fractions = summary["entry"].values.tolist(), summary["event_fraction"].values.tolist()
    off, n_fixed = summary.sel(replay=OFF), int(summary["occurrences"].min())
    n_rows = 3 + len(fractions)
    with plots.page(41 * n_rows) as drawn:
        places = drawn.subplots(n_rows, max(3, len(entries)), squeeze=False)
        for (row, replay), (k, entry) in product(enumerate((OFF, REPLAY)), enumerate(entries)):
            axes, sham = places[row, k], summary["discrimination_sham"].sel(entry=entry)
            told = summary["discrimination"].sel(replay=replay, entry=entry)
            by_fraction(axes, told, "E told from A (1)", sham if replay == OFF else None)
            plots.reference(axes, 0)
            axes.set_ylim(-0.1, 1.1)
            plots.heading(axes, f"cue at hop {entry}, {'with' if replay == REPLAY else 'no'} replay")
        for (j, fraction), (k, entry) in product(enumerate(fractions), enumerate(entries)):
            survival_panel(places[2 + j, k], summary.sel(event_fraction=fraction, entry=entry), n_events)
        norm, signal, kept = places[-1, :3]
        near, sham = off.sel(entry=entries[0]), summary["cue_norm_sham_fixed"].sel(entry=entries[0])
        by_fraction(norm, near["cue_norm_fixed"], f"norm, {n_fixed} times E (1)", sham)
        norm.set_ylim(bottom=0)
        plots.heading(norm, f"cue weights, hop {entries[0]}")
        by_fraction(signal, summary["signalled_frozen"].sel(hop=entries[0]), "E minus A (spikes)")
        signal.set_ylim(bottom=0)
        plots.heading(signal, f"signalled, frozen, hop {entries[0]}")
        by_fraction(kept, off["kept_valence"].sel(entry=entries[-1]), "valence of A kept (1)")
        plots.reference(kept, 1)
        plots.heading(kept, f"learning, cue at hop {entries[-1]}")
        for axes in places.flat:
            if not axes.has_data():
                axes.remove()
        plots.letters(axes for axes in places.flat if axes.has_data())
        plots.legend_above(drawn, places[0, 0].get_legend_handles_labels()[0])
        plots.note(
            drawn,
            f"{plots.over_seeds(summary.sizes['seed'], 'bands')} Lives of {n_events} real events. Open symbols, a "
            "little to the left: mean of sham lives. Not corrected: Kaplan-Meier, lives without a correction are "
            "censored at their end; broad and pale: with replay; one symbol on each curve; weights are looked at after "
            "some occurrences and at the end only, so that a step may come late. Last row: without replay; norm of the "
            "cue weights, and mismatch signalled per event at the cue's hop with weights frozen.",
        )
    return {"": drawn}


STUDY = Study(
    name="neglected_cue",
    title="A neglected cue: whether a distant change mends a rare error",
    settings=SETTINGS,
    bench=CueBench,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "8 minutes", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
