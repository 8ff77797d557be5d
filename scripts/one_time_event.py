"""Follow one single event, and ask whether a night of replay carries it as far upstream as real repetitions would.

Question
    A chain that has learned the digits 0 to 8 lives a day on which a 9 comes along once. How far upstream does that
    get, by its salience: by itself, held in attention, and replayed in the night that follows? How many replays equal
    one real event, hop by hop? Does reach against the number of events and replays fall on the curve that events of
    some frequency make? What does replay do to the rest? Controls: the same number of real repetitions, at the same
    moments; replays with shuffled outcomes; of the stimulus alone; the memory deleted after it was written; and a plain
    buffer that replays from the schedule, uniformly or by surprise.
Source
    Equations and sources of the hippocampus: docs/hippocampus.md; of the chain: models/chain.py; days and nights:
    models/single_event.py.
Command
    python scripts/one_time_event.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 11 minutes, --quick 1 minute, models compiled. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, tables on the terminal.

A run is three lives: with the event, without it (sham: what follows its stimulus, in replay too, is what the network
itself predicts), and the sham with other spike phases, which gives the floor below which a change counts as noise.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bioplastic_models import chain, single_event
from brian2 import Hz, second

from bioplastic import reach, spiking
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Schedule
from bioplastic.hippocampus import Replay
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life, Lived
from bioplastic.recording import Recording, labelled
from bioplastic.statistics import estimate
from bioplastic.study import Ask, Bench, Condition, Learner, Runs, Study, conditions, measure
from bioplastic.study.bench import OTHER_PHASES, Measure
from bioplastic.study.report import n_seeds, rows, table, written
from bioplastic.study.summary import by_labels, each, named, sham_floor
from bioplastic.study.tuning import TUNING, TUNING_SEEDS, choose, scores
from bioplastic.tasks import digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

NIGHT, FREQUENCY, WRITING = "night", "frequency", "writing"
REPLAY, OFF = "replay", "no replay"
REAL, AFTER = "real, never held", "real, after the same day"
UNIFORM, PRIORITISED = "buffer, uniform", "buffer, prioritised"
SHUFFLED, ALONE, DELETED = "shuffled outcomes", "stimulus alone", "memory deleted"
ARMS = (OFF, REPLAY, AFTER, REAL, UNIFORM, PRIORITISED, SHUFFLED, ALONE, DELETED)
FARTHEST = 7
"""Hop at which the axes of the figure end."""
TOLERANCE = 1
"""Hops by which replay may fall short of real repetitions."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one 9, one day and one night each."""
    saliences: tuple[float, ...] = (0.1, 0.3, 1.0, 2.0, 4.0)
    """Importance of the single event; the last is that of all controls."""
    n_background: int = 20
    """Events of the day beside the single one."""
    pause: float = 3.2
    """Rest after each event of the day, in which it may be held, in s."""
    night: float = 200.0
    """Rest in which memories are replayed, in s."""
    replay_rate: float = 0.4
    """Reactivations per second of the night, of any memory."""
    other_replay_rates: tuple[float, ...] = (0.1, 1.0, 1.5)
    """Other rates, per second, to see how reach depends on the frequency of replays."""
    looks: tuple[float, ...] = (0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0)
    """Fractions of the night after which the weights are looked at."""
    rates: tuple[float, ...] = (0.00001, 0.0001, 0.0003, 0.001)
    """Learning rates to choose from, at real repetitions; replay is shown at all of them."""
    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Fractions of all events that are the single one, for the curve that replay is compared with."""
    n_events: int = 300
    """Length of a life in which the single event comes with some frequency, in events."""
    n_trials: int = 40
    """Single events per salience and seed by which it is measured how often one is written."""
    buffer: int = 20
    """Events that the plain buffer remembers."""


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0, 1),
        saliences=(0.1, 4.0),
        n_background=4,
        night=40.0,
        other_replay_rates=(),
        looks=(0.25, 1.0),
        rates=(0.0001,),
        event_fractions=(0.1,),
        n_events=40,
        n_trials=4,
        buffer=4,
    ),
}


class OneEvent(Bench):
    """What all runs share, and the days and nights that they live.

    Attributes
    ----------
    world : World
    moments : dict of (int, float) to array
        By seed and learning rate, when, in s from the night's beginning, the single event was replayed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, timing, hippocampus = settings, chain.timing(), chain.hippocampus()
        relay = Learner("error relay", chain.screened, timing, settings.rates)
        seeds = (*settings.seeds, *TUNING_SEEDS)
        super().__init__(chain.circuit(), digits(), seeds, [relay], hippocampus=hippocampus)
        pause, night = settings.pause * second, settings.night * second
        self.world = single_event.World(
            self.task, timing, hippocampus, settings.n_background, pause, night, settings.looks
        )
        self.moments: dict[tuple[int, float], np.ndarray] = {}
        self._days: dict[tuple[int, float, float], list[Lived]] = {}

    def trio(self, condition: Condition, schedule: Schedule, **others: Any) -> tuple[Life, Life, Life]:
        """Return a life, its sham, and the sham with other spike phases."""
        life = self.life(condition, schedule, **others)
        sham = replace(life, schedule=schedule.sham())
        return life, sham, replace(sham, phases=life.seed + OTHER_PHASES)

    def day(self, condition: Condition) -> Generator[Ask, list[Lived], tuple[single_event.Day, list[Lived]]]:
        """Live the day of a condition and its shams, once for all nights that follow the same."""
        importance = single_event.UNHELD if condition["arm"] == REAL else condition["salience"]
        schedule = self.world.day(condition["seed"], importance)
        key = (condition["seed"], condition["rate"], importance)
        if key not in self._days:
            self._days[key] = yield self.ask(*self.trio(condition, schedule))
        lived = self._days[key]
        return single_event.Day(schedule, lived[0], lived[1], self.world.pause), lived

    def night(self, condition: Condition, day: single_event.Day) -> single_event.Night:
        """Return what happens in the night of a condition."""
        world, arm, seed = self.world, condition["arm"], condition["seed"]
        rate = condition["replay_rate"] * Hz
        replay = Replay(rate, only=("x",) if arm == ALONE else ())
        if arm in (REAL, AFTER):
            event = single_event.single(self.task, seed, single_event.UNHELD)
            return world.real(event, self.times(condition))
        if arm in (UNIFORM, PRIORITISED):
            buffer = ReplayBuffer(self.settings.buffer, rate, "uniform" if arm == UNIFORM else "prioritised")
            return world.buffered(day.schedule, day.real.prediction, buffer, seed)
        if arm == SHUFFLED:
            return world.shuffled(day, replay, seed)
        if arm == DELETED:
            return world.deleted(day, replay)
        return world.rest() if arm == OFF else world.replayed(day, replay)

    def times(self, condition: Condition) -> np.ndarray:
        """When, in s from the night's beginning, an event really comes back: as replays do, or evenly for tuning."""
        if condition.kind == NIGHT:
            return self.moments[condition["seed"], condition["rate"]]
        return single_event.evenly(max(1, round(self.settings.night * self.settings.replay_rate / 2)), self.world.night)


def plan(bench: OneEvent, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the runs that choose the learning rate, the nights of replay at every rate, then all others."""
    top, seeds, who = settings.saliences[-1], settings.seeds, bench.learners
    at_night = {"replay_rate": (settings.replay_rate,), "seed": seeds}
    at_top = partial(conditions, NIGHT, who, salience=(top,))
    others = at_night | {"seed": TUNING_SEEDS}
    yield conditions(TUNING, who, arm=(REAL,), salience=settings.saliences[:1], rate=settings.rates, **others)
    replays = at_top(arm=(REPLAY,), rate=settings.rates, **at_night)
    yield replays
    for condition in replays:
        run = runs[condition]
        mine = run["reactivated"].values == int(run["rare_memory"])
        bench.moments[condition["seed"], condition["rate"]] = run["reactivation_time"].values[mine]
    eta = tuple(choose(who, scores(runs, who, score)).values())
    controls = tuple(arm for arm in ARMS if arm not in (REPLAY, REAL))
    yield [
        *at_top(arm=(REAL,), rate=settings.rates, **at_night),
        *at_top(arm=controls, rate=eta, **at_night),
        *conditions(NIGHT, who, arm=(REPLAY,), salience=settings.saliences[:-1], rate=eta, **at_night),
        *at_top(arm=(REPLAY,), rate=eta, replay_rate=settings.other_replay_rates, seed=seeds),
        *conditions(FREQUENCY, who, event_fraction=settings.event_fractions[::-1], rate=eta, seed=seeds),
        *conditions(WRITING, who, salience=settings.saliences, seed=seeds),
    ]


def score(run: xr.Dataset) -> float:
    """Score a learning rate: minus the held-out error that it leads to; 9s and the other digits count the same."""
    return -float(run["error_rare_final"] + run["error_background_final"]) / 2


def measured(bench: OneEvent, condition: Condition) -> Measure:
    """Measure one condition."""
    lived_through = {FREQUENCY: frequency, WRITING: writing}.get(condition.kind, night)
    return (yield from lived_through(bench, condition))


def night(bench: OneEvent, condition: Condition) -> Measure:
    """Live a day and the night after it."""
    settings, circuit, world = bench.settings, bench.circuit, bench.world
    day, days = yield from bench.day(condition)
    come, k = bench.night(condition, day), day.written
    lives = bench.trio(condition, come.schedule, snapshots=come.looks[:-1], replay=come.replay)
    memories = (come.memory, come.sham_memory, come.sham_memory)
    starts = zip(lives, days, memories, strict=True)
    nights = yield bench.ask(*(replace(life, weights=one.weights, memory=memory) for life, one, memory in starts))
    happened = nights[0].remembered
    assert happened is not None  # all lives have the hippocampus
    weights = [[one.weights, *other.snapshots, other.weights] for one, other in zip(days, nights, strict=True)]
    tags = day.memory.tag[:: world.hippocampus.assembly]
    errors = day.real.error_signal[day.single : day.single + 2].sum(0)
    found = learned(bench, condition["seed"], weights, come.counts(world.timing, happened), nights[0].weights)
    found |= measure.reactivations(happened, settings.night, k) | {
        "error_spikes_day": labelled("hop", errors, "error spikes of the single event and the pause after it"),
        "written": labelled((), int(k >= 0), "whether the single event was written to memory", flags=("no", "yes")),
        "rare_memory": labelled((), k, "which memory is that of the single event (-1: none)"),
        "tag": labelled("memory", tags, "tag of each memory at the end of the day; 0 where there is none"),
        "share_of_tags": labelled((), tags[k] / tags.sum() if k >= 0 else np.nan, "its tag's share of all tags"),
    }
    if condition.kind == NIGHT and condition["salience"] == settings.saliences[-1]:
        flat = [[spiking.flat(circuit, one.forward) for one in (looked[0], looked[-1])] for looked in weights]
        real, sham, sham2 = (after - before for before, after in flat)
        words = "change of the weights in the night"
        found["caused"] = labelled("synapse", (real - sham).astype("f4"), f"{words} less that in the sham run")
        found["noise"] = labelled("synapse", (sham2 - sham).astype("f4"), f"{words}, second sham run less first")
    return measure.dataset(circuit, found)


def learned(
    bench: OneEvent, seed: int, weights: Sequence[Sequence[Weights]], counts: Sequence[np.ndarray], last: Weights
) -> measure.Measures:
    """Measure what three lives have done to the weights, look by look, and the first of them to what is predicted."""
    circuit, task, start, first = bench.circuit, bench.task, bench.start[seed], weights[0][0]
    stimulus = np.array([single_event.single(task, seed).stimulus])
    before, after = measure.squared_error(circuit, task, [first, last], stimulus)
    return {
        "n_rare": labelled("snapshot", counts[0], "replays, or real repetitions, of the single event so far"),
        "n_all": labelled("snapshot", counts[1], "replays, or real events, of any kind so far"),
        "error_event_initial": labelled((), before, "error on the single event before, in the rate network"),
        "error_event_final": labelled((), after, "error on the single event after, in the rate network"),
        **measure.changes(circuit, start, *weights),
        **measure.changes_since(circuit, start, *weights),
        **measure.held_out(circuit, task, first, last),
        **measure.accuracy(*(measure.right_in_rates(circuit, task, one) for one in (first, last))),
    }


def frequency(bench: OneEvent, condition: Condition) -> Measure:
    """Live a life in which the event comes with some frequency."""
    seed, fraction = condition["seed"], condition["event_fraction"]
    schedule = single_event.repeated(bench.task, seed, fraction, bench.settings.n_events)
    occurrence = np.unique(np.geomspace(1, schedule.n_occurrences, 8).round().astype(int))
    looks = np.flatnonzero(schedule.rare)[occurrence - 1]
    lived = yield bench.ask(*bench.trio(condition, schedule, snapshots=looks.tolist()))
    weights = [[bench.start[seed], *one.snapshots] for one in lived]
    counts = (np.r_[0, occurrence], np.r_[0, looks + 1])
    return measure.dataset(bench.circuit, learned(bench, seed, weights, counts, lived[0].weights))


def writing(bench: OneEvent, condition: Condition) -> Measure:
    """Live a day full of single events of one salience, without learning, and count how many are written."""
    n, salience = bench.settings.n_trials, condition["salience"]
    (lived,) = yield bench.ask(bench.life(condition, bench.world.singles(condition["seed"], salience, n)))
    assert lived.onset is not None and lived.remembered is not None
    trial = np.searchsorted(lived.onset[::2], lived.remembered.written_time, side="right") - 1
    hold = bench.world.asked_hold(salience, lived.error_signal[::2, 0]).mean()
    share = len(set(trial.tolist())) / n
    return xr.Dataset(
        {
            "share_written": labelled((), share, "share of single events that are written to memory"),
            "hold": labelled((), hold, "mean time for which their error spikes ask attention to hold them", "s"),
        }
    )


# ------------------------------------------------------------------------------------------ summary


def summarise(bench: OneEvent, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the runs; reach counts against the spread, over seeds, of the two sham runs of the same arm."""
    nights, errors = runs.of(NIGHT), -scores(runs, bench.learners, score)[0]
    (eta,) = choose(bench.learners, -errors[None]).values()
    usual = {"salience": settings.saliences[-1], "rate": eta, "replay_rate": settings.replay_rate}

    def over(label: str, **fixed: Any) -> xr.Dataset:
        """Return the nights that are usual in all but a label, over its values and seeds."""
        wanted = {name: value for name, value in (usual | fixed).items() if name != label}
        return by_labels([(c, ds) for c, ds in nights if wanted.items() <= c.labels.items()], label, "seed")

    by_arm = over("arm").sel(arm=list(ARMS))
    by_salience = over("salience", arm=REPLAY).sel(salience=list(settings.saliences))
    by_rate, by_rate_real = (over("rate", arm=arm) for arm in (REPLAY, REAL))
    by_replay_rate = over("replay_rate", arm=REPLAY).sortby("replay_rate")
    replayed, real = (by_arm.sel(arm=arm, drop=True) for arm in (REPLAY, AFTER))
    lives = [[(c, ds) for c, ds in runs.of(FREQUENCY) if c["event_fraction"] == f] for f in settings.event_fractions]
    by_fraction = [reached(by_labels(one, "seed")) for one in lives]
    after, after_real = (one["change_since"].isel(snapshot=-1) for one in (replayed, real))
    beyond = after_real > real["change_since_floor"].isel(snapshot=-1)
    curves = [by_arm.sel(arm=[REPLAY, AFTER])[name] for name in ("change_since", "n_rare", "change_since_floor")]
    slots = settings.night / float(bench.world.timing.event)
    found = {
        "reach": named(reached(by_arm), "last hop that the change reaches, at the highest salience (-1: none)"),
        "reach_night": named(
            reached(by_arm, "change_since"), "last hop that the change since the day ended reaches (-1: none)"
        ),
        "reach_along": named(
            reached_along(bench.circuit, by_arm, real["caused"]),
            "last hop reached in the night by change that goes where that of real repetitions goes",
        ),
        "reach_salience": named(reached(by_salience), "last hop reached after a night of replay"),
        "reach_day": named(reached(by_salience, look=0), "last hop reached at the end of the day"),
        "reach_rate": named(reached(by_rate), "last hop reached after a night of replay, by learning rate"),
        "reach_rate_real": named(reached(by_rate_real), "the same after real repetitions"),
        "reach_rate_day": named(reached(by_rate, look=0), "the same at the end of the day"),
        "reach_frequency": named(
            xr.concat(by_fraction, "event_fraction"), "last hop reached in a life at some frequency"
        ),
        "reach_replay_rate": named(
            reached(by_replay_rate, "change_since"), "last hop that the change since the day ended reaches"
        ),
        "replay_fraction": named(
            by_replay_rate["n_rare"].isel(snapshot=-1) / slots,
            "share of the night, in events, that replays of the single event would take",
        ),
        "n_rare": named(
            by_arm["n_rare"].isel(snapshot=-1).astype(float), "replays, or real repetitions, of the single event"
        ),
        "replays_per_event": named(
            each(reach.equivalent, *curves, over=("arm", "snapshot")),
            "replays that change the weights as one real repetition does",
        ),
        "change_ratio": named(
            after / after_real.where(beyond), "change in a night of replays by that in one of real repetitions"
        ),
        "share_written": by_labels(runs.of(WRITING), "salience", "seed")["share_written"].variable,
    }
    for name, kind, words in (
        ("event_error", "error_event", "squared error for the single event"),
        ("rare_error", "error_rare", "squared error for held-out 9s"),
        ("background_error", "error_background", "squared error for held-out digits 0 to 8"),
        ("background_accuracy", "accuracy_background", "accuracy on held-out digits 0 to 8"),
    ):
        gained = by_arm[f"{kind}_final"] - by_arm[f"{kind}_initial"]
        found[name] = named(gained, f"{words} after the night, less before it")
    found |= {name: replayed[name].variable for name in RIPPLES}
    axes = {name: by_arm[name].variable for name in ("arm", "seed", "hop")} | {
        "salience": labelled("salience", settings.saliences, "importance of the single event"),
        "event_fraction": labelled(
            "event_fraction", settings.event_fractions, "fraction of events that are the rare one"
        ),
        "rate": labelled("rate", settings.rates, "learning rate"),
        "replay_rate": labelled(
            "replay_rate", by_replay_rate["replay_rate"].values, "reactivations per second of rest", "1/s"
        ),
    }
    words = "held-out squared error after real repetitions, 9s and other digits alike"
    tried = xr.Dataset({"error": labelled("rate", errors, words)}, {"rate": axes["rate"]})
    return {"summary": xr.Dataset(found, axes), "learning_rate_sweep": tried}


def reached(runs: xr.Dataset, change: str = "change", look: int = -1) -> xr.DataArray:
    """Return the last hop that a change reaches at a look."""
    caused, floor = (runs[name].isel(snapshot=look) for name in (change, f"{change}_floor"))
    return each(reach.reach, caused, sham_floor(floor), over="hop").astype(float)


def reached_along(circuit: Circuit, nights: xr.Dataset, direction: xr.DataArray) -> xr.DataArray:
    """Return how far that part of the nights' change gets that goes in a direction."""

    def by_hop(change: np.ndarray, to: np.ndarray) -> np.ndarray:
        return reach.along(circuit, *(spiking.unflat(circuit, one.astype(float)) for one in (change, to)))

    caused, noise = (each(by_hop, nights[k], direction, over="synapse", gives=["hop"]) for k in ("caused", "noise"))
    return each(reach.reach, caused, sham_floor(noise), over="hop").astype(float)


# ------------------------------------------------------------------------------------------ what is shown


def rate_chosen(recording: Recording) -> float:
    """Return the learning rate that was chosen."""
    tried = recording["learning_rate_sweep"]["error"]
    return float(tried["rate"][int(np.argmin(tried.values))])


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what the arms do, what salience and learning rate do, and how replay compares, hop by hop."""
    summary, error = recording.summary, recording["learning_rate_sweep"]["error"]
    top = summary["salience"].values[-1]
    labels = {axis: [f"{x:g}" for x in summary[axis].values] for axis in ("salience", "rate")}
    texts = {
        str(k): written(x.assign_coords({d: labels[d] for d in labels if d in x.dims})) for k, x in summary.items()
    }
    names = ("reach", "reach_night", "reach_along", "n_rare", "event_error", "rare_error", "background_error")
    yield table(
        f"A single event of salience {top:g}: mean over {n_seeds(recording)} [95 % interval]",
        ("night", "hops", "in the night", "way of real", "times", "error: event", "9s", "0 to 8"),
        rows([texts[name] for name in names], "arm"),
    )
    yield table(
        "By salience: hops reached",
        ("salience", "written", "end of the day", "night of replay"),
        rows([texts[name] for name in ("share_written", "reach_day", "reach_salience")], "salience"),
    )
    left = xr.DataArray([f"{x:.3f}" for x in error.values], {"rate": labels["rate"]}, ["rate"])
    yield table(
        f"By learning rate ({rate_chosen(recording):g} is chosen): hops reached",
        ("rate", "error after real repetitions", "end of the day", "replay", "real repetitions"),
        rows([left, *(texts[name] for name in ("reach_rate_day", "reach_rate", "reach_rate_real"))], "rate"),
    )
    yield table(
        "By hop: replays that equal one real event; change in a night of replays by that in one of real events",
        ("hop", "replays per event", "change, replays by real events"),
        rows([texts["replays_per_event"], texts["change_ratio"]], "hop"),
    )
    yield table(
        "Ripples",
        ("measure", "here", "animals", "source (DOI)"),
        [[what, str(texts[name].item()), *known] for name, (what, *known) in RIPPLES.items()],
    )


RIPPLES = {
    "reactivation_rate": ("reactivations per second of rest", "0.11, degu at rest", "10.1038/s41598-022-11153-4"),
    "ripple_length_mean": ("ripple length (ms)", "50 to 120", "10.1016/j.neuron.2009.07.027"),
    "share_reactivated": (
        "share of the single event in reactivations",
        "rises with salience",
        "10.1126/science.adk8261",
    ),
    "share_of_tags": ("its tag's share of all tags", "", ""),
}
"""What is measured of replay, in words, with what is known of animals and the source of that."""


def statements(recording: Recording) -> Iterator[str]:
    """Say what must hold and whether it does, as measured."""
    summary = recording.summary
    for name, what, real, arms in (
        ("reach", "all change", REAL, (REPLAY, OFF)),
        ("reach_night", "change in the night", AFTER, (REPLAY, OFF, SHUFFLED, ALONE, DELETED)),
        (
            "reach_along",
            "change in the night, the way of real repetitions",
            AFTER,
            (REPLAY, OFF, SHUFFLED, ALONE, DELETED),
        ),
    ):
        hops = summary[name]
        for arm in arms:
            short = estimate((hops.sel(arm=real) - hops.sel(arm=arm)).values)
            holds = (short.mean <= TOLERANCE) == (arm == REPLAY)
            yield (
                f"{arm}, {what}: {short} hops short of {real} ({hops.sel(arm=real).values.mean():.1f}); "
                f"{'should' if arm == REPLAY else 'should not'} be within {TOLERANCE}: {verdict(holds)}."
            )
    for arm in (REPLAY, AFTER, SHUFFLED):
        changed = estimate(summary["event_error"].sel(arm=arm).values)
        holds = changed.low >= 0 if arm == SHUFFLED else changed.high < 0
        wanted = "not fall" if arm == SHUFFLED else "fall"
        yield f"{arm}: the event's own error changes by {changed} in the night; should {wanted}: {verdict(holds)}."
    kept = 1 - float(summary["share_written"][0].mean())
    trials = recording.provenance.settings["n_trials"] * summary.sizes["seed"]
    yield (
        f"Salience {summary['salience'].values[0]:g} is not written in {100 * kept:.1f} % of {trials} events; should "
        f"be 95 % or more: {verdict(kept >= 0.95)}."
    )
    curve = summary["reach_frequency"].mean("seed").sortby("event_fraction")
    for rate in summary["replay_rate"].values:
        at_rate = summary.sel(replay_rate=rate)
        share = at_rate["replay_fraction"].values
        expected = np.interp(np.log(np.maximum(share, 1e-9)), np.log(curve["event_fraction"].values), curve.values)
        yield (
            f"At {rate:g} reactivations per second the single event fills {estimate(share)} of the night: "
            f"{estimate(at_rate['reach_replay_rate'].values - expected)} hops off the curve that real events of some "
            "frequency make."
        )


def verdict(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw reach by salience, frequency and arm, replays by real events, and what the night does to errors."""
    from bioplastic import plots

    summary, settings = recording.summary.transpose("seed", ...), recording.provenance.settings
    replayed, real, day, frequent = plots.styles(("replay", "real", "day", "frequency"))
    with plots.page(125) as page:
        (a, b, c), (d, e, f) = page.subplots(2, 3)
        plots.curve(a, summary["salience"], summary["reach_day"], replace(day, fill="none"), "end of day")
        a.lines[-1].set_markersize(8)  # one lies on the other
        plots.curve(a, summary["salience"], summary["reach_salience"], replayed, "after replay")
        often = summary.sortby("event_fraction")
        plots.curve(b, often["event_fraction"], often["reach_frequency"], frequent, "real, among others")
        share = summary["replay_fraction"].mean("seed")
        plots.curve(b, share, summary["reach_replay_rate"], replayed, "replays")
        at_rate, after = share.sel(replay_rate=[settings["replay_rate"]]), summary["reach_night"].sel(arm=[AFTER])
        plots.curve(b, at_rate, after, real, "real, at the same moments")
        for axes, ticks in ((a, summary["salience"]), (b, (0.01, 0.03, 0.1, 0.3, 1))):
            plots.log_ticks(axes, ticks)
            axes.set(ylabel="last hop reached (hops upstream)", ylim=(-1.3, FARTHEST))
            axes.legend(loc="upper left")
        a.set_xlabel("salience of the single event")
        b.set_xlabel("share of all event time")
        ratio = summary["replays_per_event"].dropna("hop", how="all")
        plots.curve(c, ratio["hop"], ratio, replayed)
        plots.reference(c, 1)
        c.set(xlabel="hop upstream", ylabel="replays per real event", ylim=(0, None), xticks=ratio["hop"])
        panels = {d: "reach_night", e: "rare_error", f: "background_error"}
        places, dots = np.arange(len(ARMS)), plots.Style("0.1", "o", "none")
        for axes, name in panels.items():
            plots.points(axes, summary[name], places, dots, seeds=True)
            axes.set_yticks(places, ARMS if axes is d else [""] * len(ARMS))
            axes.invert_yaxis()
        d.plot(summary["reach_along"].mean("seed"), places, "D", color="0.1", ms=7, mfc="none")
        d.set(xlim=(-1.6, FARTHEST), xlabel="last hop reached in the night\n(hops upstream)")
        for axes, words in ((e, "9s"), (f, "0 to 8")):
            plots.reference(axes, 0, along="y")
            axes.set_xlabel(f"change of squared error\non {words} (1)")
        plots.letters((a, b, c, d, e, f))
        plots.note(
            page,
            f"Mean over {n_seeds(recording)} with 95 % bootstrap intervals (bands, bars; small dots: seeds). One 9 in "
            f"a day of {settings['n_background']} other digits, then a night of {settings['night']:g} s with "
            f"{settings['replay_rate']:g} reactivations per second of whatever was written; b to f at salience "
            f"{settings['saliences'][-1]:g}; learning rate {rate_chosen(recording):g}. Reach: last hop up to which the "
            "weights differ from the sham run's by more than two sham runs do (-1: none). Real repetitions come at the "
            "moments of the replays. Open diamonds in d: counting only the part of the change that goes the way of "
            "real repetitions after the same day.",
        )
    return {"": page}


STUDY = Study(
    name="one_time_event",
    title="How deep a one-time event gets",
    settings=SETTINGS,
    bench=OneEvent,
    plan=plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "11 minutes", "quick": "a minute"},
    grid=("seeds", "other_replay_rates", "event_fractions"),
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
