"""Hold a single event longer, in the world or in attention, and see how far upstream its front gets.

Question
    One event happens once. How far upstream does the change that it causes reach within this one event, hop by hop, as
    a function of how long its outcome is there? Is an outcome that the attention loop holds as good as one that really
    stays? For how long is an event held, given its importance and its surprise, and what is not held at all? For which
    screening does the front stop on its way through 20 hops?
Source
    The argument and the model: docs/model.md; the circuit and its parameters: models/chain.py; the attention loop:
    bioplastic/hippocampus/. Results and what they are worth: docs/attention.md.
Command
    python scripts/attention.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two quiet cores: default 6 minutes, --quick under a minute, model compiled and networks pretrained (both are
    kept; they take some two minutes). It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says (duration and importance are axes that the tables there lack), a
    figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from bioplastic_models import chain
from brian2 import ms, second
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.circuit import Weights
from bioplastic.events import Event, Kind, Schedule, Timing
from bioplastic.hippocampus import Hippocampus, Target
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.tasks import digits

SCHEMA = "bioplastic attention"
PRESENT, HELD, HOLDING = "present", "held", "holding"
SCREENED, UNSCREENED = "error relay", "error relay, unscreened"
FINE, SKETCH = "theta 0.05", "theta 0.02, learning x 0.001"
EXPECTED_BEFOREHAND = ((100, 8), (400, 20))
"""Outcome in ms and hops that the front gets through: what a first sketch of the model gave, with gain 1, no leak, an
error threshold of 0.02 and hardly any learning. It is printed beside what is measured."""
SILENCE = 0.05
"""Seconds without a spike of the input after which a stimulus counts as gone: longer than any cell that matters waits
between two spikes, shorter than any rest."""
UNIMPORTANT = 1e-3
"""Importance at which nothing is held: of events whose outcome really stays."""


@dataclass(frozen=True)
class Screening:
    """What an error has to get through, from hop to hop.

    Attributes
    ----------
    name : str
    rule : ErrorRelay
    is_held : bool
        Whether events are also held in attention under this rule.
    """

    name: str
    rule: ErrorRelay
    is_held: bool = False


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    seeds : tuple of int
        One network, one event and one set of spike phases each.
    durations : tuple of int
        For how long the outcome really stays, in ms.
    importances : tuple of float
        Of an event whose outcome, `chain.OUTCOME` long, is then held in attention.
    holding_importances : tuple of float
        The same where it is only looked at for how long events are held, weights frozen,
    n_holding : int
        so many surprising and as many expected events each.
    rest : int
        After it, in ms: longer than the longest hold.
    eta : float
        Learning rate.
    thetas, gains : tuple of float
        Error thresholds (at gain 1) and gains per hop (at the threshold of `FINE`), both without leak, beside the
        screened rule and the unscreened control.
    leak : int
        Time constant in ms of one more rule that forgets its mismatch within the event, at the threshold of `FINE`.
    """

    n_hops: int = 20
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    durations: tuple[int, ...] = (50, 100, 200, 400, 800, 1600, 3200)
    importances: tuple[float, ...] = (0.5, 0.7, 1.0, 1.5, 2.5, 4.0)
    holding_importances: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)
    n_holding: int = 3
    rest: int = 3500
    eta: float = 0.001
    thetas: tuple[float, ...] = (0.1, 0.05, 0.02)
    gains: tuple[float, ...] = (0.8, 0.7)
    leak: int = 100

    def __post_init__(self) -> None:
        if 0.05 not in self.thetas:
            raise ValueError(f"thetas = {self.thetas}; {FINE!r} must be among them: events are held under it too.")
        for name in ("durations", "importances"):
            values = getattr(self, name)
            if len(values) < 2 or list(values) != sorted(set(values)) or values[0] <= 0:
                raise ValueError(f"{name} = {values}; give two or more different ones above 0, in rising order.")


QUICK = Config(
    seeds=(0, 1),
    durations=(100, 400, 3200),
    importances=(0.25, 1.0, 4.0),
    holding_importances=(0.1, 0.5, 1.0, 4.0),
    n_holding=1,
    thetas=(0.05,),
    gains=(0.8,),
)


def screenings(config: Config) -> list[Screening]:
    """Return all rules, in the order of tables and figures."""
    eta = config.eta
    return [
        Screening(SCREENED, chain.screened(eta, config.n_hops), is_held=True),
        Screening(UNSCREENED, chain.unscreened(eta), is_held=True),
        *(Screening(f"theta {x:g}", ErrorRelay(theta=x, eta=eta), is_held=x == 0.05) for x in config.thetas),
        *(Screening(f"{FINE}, gain {x:g}", ErrorRelay(theta=0.05, gain=x, eta=eta)) for x in config.gains),
        Screening(f"{FINE}, leak {config.leak} ms", ErrorRelay(theta=0.05, tau_e=config.leak * ms, eta=eta)),
        # As little learning as in the sketch: the error is not learned away while it travels.
        Screening(SKETCH, ErrorRelay(theta=0.02, eta=eta / 1000)),
    ]


@dataclass(frozen=True)
class Condition:
    """Lives of one rule and seed in one way of holding, over all durations or importances.

    Attributes
    ----------
    screening : Screening
    way : str
        `PRESENT`, `HELD`, or `HOLDING`: only to see for how long events are held.
    seed : int
    """

    screening: Screening
    way: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        return f"{self.way}-{self.screening.name.replace(', ', '-').replace(' ', '_')}-s{self.seed}"


def conditions(config: Config) -> list[Condition]:
    """Return all conditions, the longest lives first."""
    everyone = screenings(config)
    ways = [
        *((everyone[0], HOLDING),),
        *((x, HELD) for x in everyone if x.is_held),
        *((x, PRESENT) for x in reversed(everyone)),
    ]
    return [Condition(x, way, seed) for x, way in ways for seed in config.seeds]


# ------------------------------------------------------------------------------------------ what is measured


def time_there(spikes: np.ndarray, onset: float) -> float:
    """For how long the stimulus is there from the outcome's onset on, in the world or in attention.

    Parameters
    ----------
    spikes : array
        Times of the input's spikes, in rising order; in silence, an input does not fire.
    onset : float
        Of the outcome.

    Returns
    -------
    float
        Until the last spike before the first silence longer than `SILENCE`, 0 if that begins at the onset; in the
        unit of the times, which must be seconds.
    """
    after = np.concatenate([[onset], spikes[spikes > onset]])
    gaps = np.flatnonzero(np.diff(after) > SILENCE)
    return float(after[gaps[0] if len(gaps) else -1] - onset)


def at_times(time: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Read a curve over time at other times, linear in the logarithm of time.

    Parameters
    ----------
    time : array, shape (n_times,)
        In rising order.
    values : array, shape (n_times, ...)
    wanted : array, shape (n_wanted,)

    Returns
    -------
    array, shape (n_wanted, ...)
        NaN outside the curve.
    """
    columns = values.reshape(len(time), -1).T
    found = [np.interp(np.log(wanted), np.log(time), column, left=np.nan, right=np.nan) for column in columns]
    return np.array(found).T.reshape(len(wanted), *values.shape[1:])


def hops_passed(change: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """How many hops, from hop 0 on without a break, exceed a floor.

    Parameters
    ----------
    change, floor : array, shape (..., n_hops)

    Returns
    -------
    array of int, shape (...)
        One more than the reach: 0 if not even hop 0 has changed, all hops if the front never stops.
    """
    passed = np.zeros(change.shape[:-1], int)
    for index in np.ndindex(passed.shape):
        passed[index] = reach.reach(change[index], floor[index]) + 1
    return passed


def least_importance(importance: np.ndarray, is_held: np.ndarray, share: float) -> float:
    """Least importance from which on at least a share of the events is held.

    Parameters
    ----------
    importance : array, shape (n_importances,)
        In rising order.
    is_held : array of bool, shape (n_importances, n_events)
    share : float
        In (0, 1]; 0 for any event at all.

    Returns
    -------
    float
        Infinite if that is never so.
    """
    found = is_held.mean(1)
    enough = found >= share if share else found > 0
    first = len(enough) - int(np.argmin(enough[::-1])) if not enough.all() else 0
    return float(importance[first]) if first < len(importance) else float("inf")


# ------------------------------------------------------------------------------------------ lives


class Bench:
    """What all runs share: the task, the circuit, the start weights, the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task = digits()
        self.circuit = chain.circuit(config.n_hops)
        self.timing = chain.timing(config.n_hops)
        self.hippocampus = Hippocampus(
            targets=(Target("x"), Target("y", self.timing.lead)), surprise="y", outcome=self.timing.outcome
        )
        hops = [np.full(p.size, self.circuit.population_hops[p.name]) for p in self.circuit.populations]
        self.hop = np.concatenate(hops).astype(int)
        self.weights: dict[int, Weights] = {}
        self.model: spiking.Model | None = None

    def prepare(self) -> None:
        """Pretrain the networks and compile the model, both from the cache if they are there."""
        from bioplastic import twin

        cache = cache_folder() / "weights"
        found = twin.pretrained(self.circuit, self.task, self.config.seeds, cache=cache)
        self.weights = dict(zip(self.config.seeds, found, strict=True))
        steps = len(self.holding_events(0)) * float(
            (self.timing.event + self.config.rest * ms) / self.timing.resolution
        )
        rule = screenings(self.config)[0].rule
        spec = spiking.ModelSpec.with_room(
            self.circuit, rule, self.task, steps, n_snapshots=0, hippocampus=self.hippocampus
        )
        self.model = spiking.model(replace(spec, record_spikes=True), self.task)

    def live(self, life: Life) -> Lived:
        """Live one life."""
        assert self.model is not None
        return self.model.live(life)

    def single(self, seed: int, importance: float, timing: Timing) -> Schedule:
        """Return one rare event with a rest after it.

        Nothing comes before it: the outcomes of earlier events would last as long as its own, and what they leave in
        the mismatch of far hops helps its front on.
        """
        rng = np.random.default_rng([seed, 2])
        rare = int(rng.choice(self.task.indices(rare=True, held_out=False)))
        event = Event(rare, int(self.task.label[rare]), Kind.RARE, salience=importance)
        return Schedule.of([event]).with_night(self.config.rest * ms, timing)

    def run(self, condition: Condition) -> dict[str, Any]:
        """Live all lives of a condition; the values of `RUN_ROWS` or `HOLDING_ROWS`."""
        if condition.way == HOLDING:
            return self.holding(condition)
        config = self.config
        if condition.way == PRESENT:
            settings = [(replace(self.timing, outcome=d * ms), UNIMPORTANT) for d in config.durations]
            axis: dict[str, Any] = {"duration": np.array(config.durations)}
        else:
            settings = [(self.timing, importance) for importance in config.importances]
            axis = {"importance": np.array(config.importances)}
        found = [self.one(condition, timing, importance) for timing, importance in settings]
        columns = {name: np.array([one[name] for one in found]) for name in found[0]}
        return columns | axis | {"hop": np.arange(config.n_hops)}

    def one(self, condition: Condition, timing: Timing, importance: float) -> dict[str, Any]:
        """Live one event, its sham, and a second sham with other spike phases."""
        start = self.weights[condition.seed]
        schedule = self.single(condition.seed, importance, timing)
        life = Life(schedule, condition.screening.rule, start, timing, seed=condition.seed)
        sham = replace(life, schedule=schedule.sham())
        lived = [self.live(x) for x in (life, sham, replace(sham, seed=condition.seed + 1_000_000))]
        k = int(np.flatnonzero(schedule.rare)[0])
        real = lived[0].error_spikes
        assert lived[0].onset is not None and real is not None and real.sign is not None
        onset = float(lived[0].onset[k]) + float(timing.lead)
        weights = [x.weights.forward for x in lived]
        spikes = tuple(column[real.time >= onset] for column in (real.time, real.cell, real.sign))
        none = tuple(column[:0] for column in spikes)
        # All error spikes from the event on: what is in flight when the outcome goes, and what is held, comes later.
        counts = [x.error_signal[k:].sum(0) for x in lived]
        return {
            "time": 1000 * self.time_there(lived[0], onset),
            "time_sham": 1000 * self.time_there(lived[1], onset),
            "surprise": self.surprise(lived[0], onset, timing, condition.screening.rule.theta),
            "change": reach.relative_change(self.circuit, weights[0], weights[1], start.forward),
            "change_floor": reach.relative_change(self.circuit, weights[2], weights[1], start.forward),
            "error_spikes": counts[0],
            "error_spikes_sham": counts[1],
            "front": 1000 * (reach.first_difference(spikes, none, self.hop, self.config.n_hops) - onset),
        }

    def time_there(self, lived: Lived, onset: float) -> float:
        """For how long, in s, the stimulus of an event is there from the onset of its outcome on."""
        assert lived.spikes is not None
        inputs = self.circuit.slices["x"]
        mine = (lived.spikes.cell >= inputs.start) & (lived.spikes.cell < inputs.stop)
        return time_there(lived.spikes.time[mine], onset)

    def surprise(self, lived: Lived, onset: float, timing: Timing, theta: float) -> float:
        """Mismatch that the error source signals while the world drives it, in spikes."""
        errors, source = lived.error_spikes, self.circuit.slices["y"]
        assert errors is not None
        mine = (errors.cell >= source.start) & (errors.cell < source.stop)
        there = (errors.time >= onset) & (errors.time < onset + float(timing.outcome))
        return theta * float((mine & there).sum())

    def holding_events(self, seed: int) -> list[Event]:
        """Return surprising and expected events of all importances, each stimulus once, in random order."""
        rng = np.random.default_rng([seed, 3])
        config, label = self.config, self.task.label
        importances = np.repeat(config.holding_importances, config.n_holding)
        events = []
        for kind in (Kind.RARE, Kind.BACKGROUND):
            known = self.task.indices(rare=kind == Kind.RARE, held_out=False)
            shown = rng.choice(known, len(importances), replace=False)
            events += [
                Event(int(s), int(label[s]), kind, float(importance))
                for s, importance in zip(shown, importances, strict=True)
            ]
        return [events[k] for k in rng.permutation(len(events))]

    def holding(self, condition: Condition) -> dict[str, Any]:
        """Live a row of events with rests between them, weights frozen, and see for how long each is held."""
        events = Schedule.of(self.holding_events(condition.seed))
        everywhere = np.ones(len(events), bool)
        schedule = events.with_rest_after(everywhere, self.config.rest * ms, self.timing)
        rule = replace(condition.screening.rule, eta=0.0)
        life = Life(schedule, rule, self.weights[condition.seed], self.timing, seed=condition.seed)
        lived = self.live(life)
        assert lived.onset is not None
        onsets = lived.onset[~schedule.resting] + float(self.timing.lead)
        return {
            "importance": events.salience,
            "surprising": events.rare.astype(int),
            "surprise": np.array([self.surprise(lived, onset, self.timing, rule.theta) for onset in onsets]),
            "time": 1000 * np.array([self.time_there(lived, onset) for onset in onsets]),
        }


# ------------------------------------------------------------------------------------------ what is recorded

_MEASURES = {
    "time": ((), "ms", "time for which the outcome was there from its onset on, in the world or in attention"),
    "time_sham": ((), "ms", "the same in the sham run"),
    "surprise": ((), "1", "mismatch signalled at the error source while the world drove it, in spikes"),
    "change": (("hop",), "1", "relative change of the weights against the sham run"),
    "change_floor": (("hop",), "1", "relative change between two sham runs"),
    "error_spikes": (("hop",), "1", "error spikes from the event on"),
    "error_spikes_sham": (("hop",), "1", "the same in the sham run"),
    "front": (("hop",), "ms", "first error spike after the outcome's onset"),
}
CHANGED, CHANGED_SHAM, CAUSED = "hops_changed", "hops_changed_sham", "hops_caused"
HOPS = {
    CHANGED: "hops, from hop 0 on, that changed at all from the event on: there were error spikes",
    CHANGED_SHAM: "the same in the sham run",
    CAUSED: "hops, from hop 0 on, that changed against the sham run by more than the sham floor",
}
_AXES = {
    "duration": Variable(("duration",), "ms", "time for which the outcome really stayed"),
    "importance": Variable(("importance",), "1", "importance (salience) of the event"),
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "rule": Variable(("rule",), "1", "rule and its screening", "str"),
    "seed": Variable(("seed",), "1", "seed of network, event and spike phases", "int64"),
    "theta": Variable(("rule",), "1", "error threshold, in spikes"),
    "gain": Variable(("rule",), "1", "gain of an error per hop"),
    "tau_e": Variable(("rule",), "s", "time constant of the mismatch (inf: no leak)"),
    "eta": Variable(("rule",), "1", "learning rate"),
}


def rows(way: str, *, summary: bool) -> dict[str, Variable]:
    """Return the variables of a run, or of the summary of all runs, in one way of holding."""
    axis = "duration" if way == PRESENT else "importance"
    before = ("rule", "seed", axis) if summary else (axis,)
    axes = {name: row for name, row in _AXES.items() if summary or name in (axis, "hop")}
    axes = {name: row for name, row in axes.items() if name not in {"duration", "importance"} - {axis}}
    measures = {name: Variable((*before, *dims), units, text) for name, (dims, units, text) in _MEASURES.items()}
    if summary:
        measures |= {name: Variable(before, "1", text, "int64") for name, text in HOPS.items()}
    return axes | measures


HOLDING_ROWS = {
    "importance": Variable(("event",), "1", "importance (salience) of each event"),
    "surprising": Variable(("event",), "1", "1: the rare event, 0: an expected one", "int64"),
    "surprise": Variable(("event",), "1", "mismatch signalled at the error source, in spikes"),
    "time": Variable(("event",), "ms", "time for which the outcome was there, in the world or in attention"),
}
HOLDING_SUMMARY = {
    "seed": _AXES["seed"],
    **{name: replace(row, dims=("seed", "event")) for name, row in HOLDING_ROWS.items()},
}


def run_rows(condition: Condition) -> dict[str, Variable]:
    """Return the variables of a run."""
    return HOLDING_ROWS if condition.way == HOLDING else rows(condition.way, summary=False)


def summarise(config: Config, way: str, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the measures of all runs in one way of holding."""
    everyone = [x for x in screenings(config) if way == PRESENT or x.is_held]
    if way == HOLDING:
        found = [runs[Condition(everyone[0], HOLDING, seed).name] for seed in config.seeds]
        gathered = {name: np.array([run[name] for run in found]) for name in HOLDING_ROWS}
        return gathered | {"seed": np.array(config.seeds)}
    by_rule = [[runs[Condition(x, way, seed).name] for seed in config.seeds] for x in everyone]
    values: dict[str, Any] = {name: np.array([[run[name] for run in row] for row in by_rule]) for name in _MEASURES}
    floor = np.array([reach.spread(differences) for differences in values["change_floor"]])
    floor = np.broadcast_to(floor[:, None], values["change"].shape)
    values[CHANGED] = hops_passed(values["error_spikes"], np.zeros_like(floor))
    values[CHANGED_SHAM] = hops_passed(values["error_spikes_sham"], np.zeros_like(floor))
    values[CAUSED] = hops_passed(values["change"], floor)
    rules = [x.rule for x in everyone]
    axis = {"duration": config.durations} if way == PRESENT else {"importance": config.importances}
    return (
        values
        | {name: np.array(given) for name, given in axis.items()}
        | {
            "hop": np.arange(config.n_hops),
            "rule": [x.name for x in everyone],
            "seed": np.array(config.seeds),
            "theta": np.array([rule.theta for rule in rules]),
            "gain": np.array([rule.gain for rule in rules]),
            "tau_e": np.array([float(rule.tau_e / second) for rule in rules]),
            "eta": np.array([rule.eta for rule in rules]),
        }
    )


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the runs that are there; None if all are."""
    table = {condition.name: run_rows(condition) for condition in conditions(config)}
    sources = [Path(__file__), Path(str(chain.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=lambda name: table[name], config=config, sources=sources)


def keep(store: script.Store, condition: Condition, values: Mapping[str, Any]) -> None:
    """Keep a finished run."""
    what = {"rule": condition.screening.name, "way": condition.way, "seed": condition.seed}
    store.add(condition.name, values, what)


def finish(store: script.Store, config: Config, circuit: str) -> None:
    """Make one file of all runs."""

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = circuit
        for way in (PRESENT, HELD, HOLDING):
            table = HOLDING_SUMMARY if way == HOLDING else rows(way, summary=True)
            recording.write_labelled(file.create_group(f"summary/{way}"), table, summarise(config, way, store.runs))

    store.finish("Reach within a single event against how long it is there", fill)


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
    store = opened(out, config)
    if store is None:
        return out
    bench = Bench(config)
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("pretraining, compiling", total=1)
        bench.prepare()
        bar.advance(row)

        def work(condition: Condition) -> None:
            keep(store, condition, bench.run(condition))

        script.live_missing(store, conditions(config), work, executor=executor, bar=bar, label="lives")
    finish(store, config, bench.circuit.to_json())
    return out


# ------------------------------------------------------------------------------------------ tables


@dataclass(frozen=True)
class Done:
    """What a recording says.

    Attributes
    ----------
    config : Config
    present, held, holding : mapping of str to array
        The summaries by way of holding.
    """

    config: Config
    present: Mapping[str, Any]
    held: Mapping[str, Any]
    holding: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, config: Config) -> Done:
        """Read a recording."""
        with h5py.File(path) as file:
            present, held = (
                recording.read_labelled(file[f"summary/{way}"], rows(way, summary=True)) for way in (PRESENT, HELD)
            )
            return cls(config, present, held, recording.read_labelled(file[f"summary/{HOLDING}"], HOLDING_SUMMARY))

    def of(self, way: str, rule: str, measure: str) -> np.ndarray:
        """Return a measure of one rule, shape (n_seeds, n_durations or n_importances, ...)."""
        summary = self.present if way == PRESENT else self.held
        return np.asarray(summary[measure][list(summary["rule"]).index(rule)])

    def at_the_same_time(self, rule: str, measure: str) -> np.ndarray:
        """What the world does when the outcome stays there as long as attention held it; same shape as for `HELD`."""
        there, values = self.of(PRESENT, rule, "time"), self.of(PRESENT, rule, measure)
        wanted = self.of(HELD, rule, "time")
        return np.array([at_times(t, v, w) for t, v, w in zip(there, values, wanted, strict=True)])

    def really_held(self, rule: str) -> np.ndarray:
        """Which events were held beyond their outcome, shape (n_seeds, n_importances)."""
        return is_held(self.of(HELD, rule, "time"))


def is_held(time: np.ndarray) -> np.ndarray:
    """Whether an event was there for longer, in ms, than its outcome and the silence that ends a stimulus."""
    return np.asarray(time) > 1000 * (float(chain.OUTCOME) + SILENCE)


def estimate(values: np.ndarray, form: str = "{:.1f}") -> str:
    """Mean over seeds and 95 % interval, as text; a dash where nothing was measured."""
    present = values[np.isfinite(values)]
    if not len(present):
        return "-"
    low, high = reach.interval(present[None])
    return f"{form.format(present.mean())} [{form.format(low[0])}, {form.format(high[0])}]"


def narrow(values: np.ndarray, form: str = "{:.1f}") -> str:
    """Return the same on two lines."""
    return estimate(values, form).replace(" [", "\n[")


def columns(table: Table, *headings: str) -> Table:
    """Add columns, the first one to the left."""
    for k, text in enumerate(headings):
        table.add_column(text, justify="right" if k else "left")
    return table


def duration_table(done: Done, measure: str) -> Table:
    """Hops that changed, by rule and duration."""
    title = {
        CHANGED: f"Hops, of {done.config.n_hops}, that one event changed at all, by how long its outcome stays",
        CHANGED_SHAM: "The same where the outcome is the one that was predicted (sham)",
        CAUSED: "Hops that it changed against the sham run by more than the sham floor",
    }
    table = Table(title=title[measure])
    columns(table, "rule", *(f"{d} ms" for d in done.config.durations))
    for name in done.present["rule"]:
        table.add_row(name, *(narrow(column) for column in done.of(PRESENT, name, measure).T.astype(float)))
    return table


def same_time_table(done: Done, rule: str) -> Table:
    """Held in attention beside really there, for one rule."""
    table = Table(title=f"Held in attention, and the same time in the world: {rule}")
    headings = ("importance", "held", "ms", "changed: held", "world", "beyond sham: held", "world")
    columns(table, *headings)
    times, held = done.of(HELD, rule, "time"), done.really_held(rule)
    for k, importance in enumerate(done.config.importances):
        cells = [narrow(times[:, k], "{:.0f}")]
        for measure in (CHANGED, CAUSED):
            own, same = done.of(HELD, rule, measure).astype(float), done.at_the_same_time(rule, measure)
            cells += [narrow(own[:, k]), narrow(same[:, k])]
        table.add_row(f"{importance:g}", f"{held[:, k].sum()} of {len(held)}", *cells)
    return table


def by_importance(done: Done, measure: str, surprising: int) -> np.ndarray:
    """Gather a measure of the events that were only looked at, shape (n_importances, n_seeds, n_events)."""
    holding, wanted = done.holding, np.array(done.config.holding_importances)
    mine = holding["surprising"] == surprising
    return np.array(
        [
            [
                row[own & (given == w)]
                for row, own, given in zip(holding[measure], mine, holding["importance"], strict=True)
            ]
            for w in wanted
        ]
    )


def holding_table(done: Done) -> Table:
    """For how long events are held, by importance and surprise."""
    table = Table(title="For how long events are there (outcome of 120 ms included), weights frozen")
    headings = ("importance", "surprising: spikes", "share held", "ms", "expected: spikes", "share held", "ms")
    columns(table, *headings)
    found = {
        (measure, kind): by_importance(done, measure, kind).mean(-1)
        for measure in ("surprise", "time")
        for kind in (1, 0)
    }
    share = {kind: is_held(by_importance(done, "time", kind)).mean((1, 2)) for kind in (1, 0)}
    for k, importance in enumerate(done.config.holding_importances):
        cells = []
        for kind in (1, 0):
            cells += [narrow(found["surprise", kind][k]), f"{share[kind][k]:.2f}"]
            cells.append(narrow(found["time", kind][k], "{:.0f}"))
        table.add_row(f"{importance:g}", *cells)
    return table


def verdicts(done: Done) -> list[str]:
    """Say what the numbers mean for the argument."""
    config, lines = done.config, []
    durations = list(config.durations)
    beforehand = " and ".join(f"{hops} at {duration} ms" for duration, hops in EXPECTED_BEFOREHAND)
    lines.append(f"Expected beforehand (gain 1, no leak, theta 0.02, hardly any learning): hops {beforehand}.")
    for name in done.present["rule"]:
        passed = done.of(PRESENT, name, CHANGED).astype(float)
        measured = ", ".join(
            f"{estimate(passed[:, durations.index(d)])} at {d} ms" for d, _ in EXPECTED_BEFOREHAND if d in durations
        )
        through = [d for d, column in zip(durations, passed.T, strict=True) if (column == config.n_hops).all()]
        end = (
            f"through all {config.n_hops} in every seed from {through[0]} ms on"
            if through
            else (f"stops: {estimate(passed[:, -1])} at {durations[-1]} ms")
        )
        speed = [reach.time_per_hop(front[-1]) for front in done.of(PRESENT, name, "front")]
        pace = f"; {estimate(np.array(speed), '{:.0f}')} ms per hop" if np.isfinite(speed).any() else ""
        lines.append(f"  {name}: {measured}; {end}{pace}.")
    for name in done.held["rule"]:
        held = done.really_held(name)
        if not held.any():
            lines.append(f"Held under {name}: no event was.")
            continue
        # Where both are through the whole chain there is nothing to compare.
        fewer = []
        for measure in (CHANGED, CAUSED):
            own, same = done.of(HELD, name, measure), done.at_the_same_time(name, measure)
            fewer.append(seed_means(own - same, held & ((own < config.n_hops) | (same < config.n_hops))))
        same = done.at_the_same_time(name, "change")
        ratio = np.divide(done.of(HELD, name, "change"), same, out=np.full(same.shape, np.nan), where=same > 0)
        strong = [estimate(seed_means(ratio[:, :, hop], held), "{:.2f}") for hop in (0, 1)]
        lines.append(
            f"Held instead of really there for as long, {name}: {estimate(fewer[0], '{:+.2f}')} hops changed at all, "
            f"{estimate(fewer[1], '{:+.2f}')} beyond sham; change of hop 0 times {strong[0]}, of hop 1 times "
            f"{strong[1]}; sham events held: {is_held(done.of(HELD, name, 'time_sham')).sum()} of {held.size}."
        )
    for kind, text in ((1, "surprising"), (0, "expected")):
        held = is_held(by_importance(done, "time", kind)).reshape(len(config.holding_importances), -1)
        least = [least_importance(np.array(config.holding_importances), held, share) for share in (0, 0.95)]
        any_, most = ("never" if np.isinf(x) else f"from {x:g} on" for x in least)
        lines.append(f"Least importance at which {text} events are held: any {any_}, 95 % of them {most}.")
    return lines


def seed_means(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over what counts and is there, shape (n_seeds,); NaN for a seed with nothing.

    Parameters
    ----------
    values : array, shape (n_seeds, n)
    counted : array of bool, shape (n_seeds, n)
    """
    counts = counted & np.isfinite(values)
    total = np.where(counts, values, 0).sum(1)
    return np.divide(total, counts.sum(1), out=np.full(len(values), np.nan), where=counts.any(1))


# ------------------------------------------------------------------------------------------ figure


def looks(names: Iterable[str]) -> dict[str, plots.Style]:
    """How each rule is drawn: known ones as everywhere, the one that is in most panels always alike."""
    given = tuple(names)
    first = tuple(sorted(given, key=lambda name: name != FINE))
    found = dict(zip(first, plots.styles(first), strict=True))
    hardly = {name: plots.Style("#c46bb0", "X", (0, (5, 1.2, 1, 1.2))) for name in given if name == SKETCH}
    return {name: (found | hardly)[name] for name in given}


def curve(axes: Axes, x: np.ndarray, values: np.ndarray, look: plots.Style, label: str, *, band: bool = True) -> None:
    """Draw a mean over seeds, shape (n_seeds, n), with its interval."""
    axes.plot(x, values.mean(0), color=look.color, marker=look.marker, linestyle=look.line, label=label)
    if band:
        axes.fill_between(x, *reach.interval(values, axis=0), color=look.color, alpha=0.18, linewidth=0)


def front_panel(axes: Axes, done: Done, measure: str, text: str) -> None:
    """Hops against time there, in the world and held."""
    for name, look in looks(done.held["rule"]).items():
        time, passed = done.of(PRESENT, name, "time").mean(0), done.of(PRESENT, name, measure)
        curve(axes, time, passed, look, name)
        held = done.really_held(name).all(0)
        if held.any():
            times, own = done.of(HELD, name, "time")[:, held], done.of(HELD, name, measure)[:, held]
            x, y = times.mean(0), own.mean(0)
            spans = [np.abs(np.array(reach.interval(v, axis=0)) - v.mean(0)) for v in (times, own.astype(float))]
            axes.errorbar(
                x, y, xerr=spans[0], yerr=spans[1], fmt=look.marker, color=look.color, mfc="white", ms=5, lw=0.7
            )
        if measure == CHANGED:
            axes.plot(time, done.of(PRESENT, name, CHANGED_SHAM).mean(0), color=look.color, ls=(0, (1, 2)), lw=0.8)
    hops_axes(axes, done.config.n_hops)
    plots.heading(axes, text)


def hops_axes(axes: Axes, n_hops: int) -> None:
    """Label the axes of hops against time, with room for a legend above the last hop."""
    axes.set_xscale("log")
    ticks = [50, 100, 200, 400, 800, 1600, 3200]
    axes.set_xticks(ticks, [f"{t}" for t in ticks])
    axes.xaxis.minorticks_off()
    axes.set_xlabel("outcome present, or held (ms)")
    axes.axhline(n_hops, color="0.8", lw=0.6, zorder=0)
    axes.set_ylabel("hops changed")
    axes.set_ylim(0, 1.5 * n_hops)
    axes.set_yticks([tick for tick in MaxNLocator(4, integer=True).tick_values(0, n_hops) if tick <= n_hops])


def legend_above(axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put the legend where `hops_axes` has left room."""
    axes.legend(
        handles,
        labels,
        loc="upper left",
        ncols=2,
        fontsize=6,
        handlelength=2.4,
        borderaxespad=0,
        labelspacing=0.2,
        columnspacing=1.0,
    )


def range_panel(axes: Axes, done: Done, names: Sequence[str], text: str) -> None:
    """Hops against presence for several kinds of screening, beside what was expected."""
    for name, look in looks(names).items():
        curve(axes, done.of(PRESENT, name, "time").mean(0), done.of(PRESENT, name, CHANGED), look, name)
    axes.plot(*zip(*EXPECTED_BEFOREHAND, strict=True), "k+", ms=9, mew=1.4, label="expected")
    hops_axes(axes, done.config.n_hops)
    legend_above(axes, *axes.get_legend_handles_labels())
    plots.heading(axes, text)


def profile_panel(axes: Axes, done: Done, rule: str) -> None:
    """Change by hop, held and for the same time in the world."""
    held, same = done.of(HELD, rule, "change"), done.at_the_same_time(rule, "change")
    times, ok = done.of(HELD, rule, "time"), done.really_held(rule).all(0)
    shown = [int(k) for k in np.flatnonzero(ok)]
    shown = [shown[0], shown[-1]] if len(shown) > 1 else shown
    hop = np.arange(done.config.n_hops)
    for k, look in zip(shown, plots.styles((UNSCREENED, SCREENED)), strict=False):
        for values, filled in ((same[:, k], True), (held[:, k], False)):
            mean = np.where(values.mean(0) > 0, values.mean(0), np.nan)
            low, high = reach.interval(values, axis=0)
            face = look.color if filled else "white"
            text = f"{'world' if filled else 'held'}, {times[:, k].mean():.0f} ms"
            line = "-" if filled else "none"
            axes.plot(hop, mean, color=look.color, marker=look.marker, linestyle=line, mfc=face, label=text)
            if filled:
                axes.fill_between(hop, np.maximum(low, 1e-7), high, color=look.color, alpha=0.18, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("hops upstream")
    axes.set_ylabel("relative change")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if shown:
        axes.set_ylim(bottom=1e-6)
        axes.legend(fontsize=6, loc="upper right")
    plots.heading(axes, f"the same time, {rule}")


def travel_panel(axes: Axes, done: Done, rule: str) -> None:
    """When the front is at which hop, within the event."""
    config = done.config
    # They go the same way, so that only the longest is drawn whole, and of the others where they stop.
    stops = [d for d in (50, 200, 400) if d in config.durations[:-1]]
    for duration, marker in zip((config.durations[-1], *stops), "osD^", strict=False):
        front = done.of(PRESENT, rule, "front")[:, config.durations.index(duration)]
        hop = np.flatnonzero(np.isfinite(front).all(0))
        low, high = reach.interval(front[:, hop], axis=0)
        mean = front[:, hop].mean(0)
        if duration not in stops:
            span = [mean - low, high - mean]
            axes.errorbar(mean, hop, xerr=span, fmt="o-", ms=3, lw=0.8, color="0.5", label=f"stays {duration} ms")
        elif len(hop):
            axes.plot(mean[-1], hop[-1], marker, ms=7, mfc="none", color="k", ls="none", label=f"stops, {duration} ms")
            axes.axvline(duration, color="0.3", lw=0.7, ls=":")
    axes.set_xscale("log")
    axes.set_xlabel("time from the onset of the outcome (ms)")
    axes.set_ylabel("hop reached")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=6, loc="upper left")
    plots.heading(axes, f"the front's way, {rule}")


def importance_panel(axes: Axes, done: Done) -> None:
    """For how long events are there against their importance."""
    x = np.array(done.config.holding_importances)
    looks = (plots.Style("#14148c", "o", "-"), plots.Style("0.5", "s", (0, (5, 1.5))))
    for kind, look, label in ((1, looks[0], "surprising"), (0, looks[1], "expected")):
        curve(axes, x, by_importance(done, "time", kind).mean(-1).T, look, label)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
    axes.xaxis.minorticks_off()
    axes.axhline(1000 * float(chain.OUTCOME), color="0.6", lw=0.7, ls=":")
    axes.set_xlabel("importance of the event")
    axes.set_ylabel("there for (ms)")
    axes.legend(loc="upper left")
    plots.heading(axes, "how long events are held")


def surprise_panel(axes: Axes, done: Done, hippocampus: Hippocampus) -> None:
    """For how long single events are there against their surprise."""
    holding = done.holding
    chosen = [w for w in (0.5, 1.0, 2.0, 4.0) if w in done.config.holding_importances]
    shades = np.linspace(0.75, 0.0, len(chosen))
    most = float(np.max(holding["surprise"]))
    for importance, shade, marker in zip(chosen, shades, "v^so", strict=False):
        mine = holding["importance"] == importance
        axes.plot(
            holding["surprise"][mine],
            holding["time"][mine],
            marker,
            ms=3,
            mec="0.2",
            mew=0.4,
            mfc=str(shade),
            ls="none",
        )
        spikes = np.linspace(0, most, 100)
        drive = importance * spikes * float(hippocampus.hold_per_error / ms)
        axes.plot(spikes, np.minimum(drive, float(hippocampus.longest_hold / ms)), color=str(shade), lw=0.8)
    handles = [
        Line2D([], [], marker=marker, color=str(shade), mec="0.2", mew=0.4, lw=0.8, ms=3, label=f"{importance:g}")
        for importance, shade, marker in zip(chosen, shades, "v^so", strict=False)
    ]
    axes.axhline(1000 * float(chain.OUTCOME), color="0.6", lw=0.7, ls=":")
    axes.set_xlabel("error spikes at the error source (surprise)")
    axes.set_ylabel("there for (ms)")
    axes.legend(handles=handles, title="importance", title_fontsize=6, fontsize=6, loc="upper left")
    plots.heading(axes, "single events")


def figure_of(done: Done) -> Figure:
    """Draw everything."""
    everyone = tuple(done.present["rule"])
    by_theta = [x for x in everyone if x in (SCREENED, UNSCREENED) or (x.startswith("theta") and "," not in x)]
    others = [x for x in everyone if x.startswith(f"{FINE}, ") or x in (FINE, SKETCH)]
    with plots.page(230) as figure:
        grid = cast("np.ndarray", figure.subplots(4, 2))
        front_panel(grid[0, 0], done, CHANGED, "changed at all")
        front_panel(grid[0, 1], done, CAUSED, "changed against sham, beyond its floor")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        handles.append(Line2D([], [], color="0.3", marker="o", mfc="white", ls="none", ms=5))
        handles.append(Line2D([], [], color="0.3", ls=(0, (1, 2)), lw=0.8))
        legend_above(grid[0, 0], handles, [*labels, "held in attention", "sham"])
        range_panel(grid[1, 0], done, by_theta, "thresholds")
        range_panel(grid[1, 1], done, others, "gain, leak and learning")
        profile_panel(grid[2, 0], done, FINE)
        travel_panel(grid[2, 1], done, FINE)
        importance_panel(grid[3, 0], done)
        surprise_panel(grid[3, 1], done, Bench(done.config).hippocampus)
        for axes, name in zip(grid.flat, "abcdefgh", strict=True):
            plots.letter(axes, name)
        n = len(done.config.seeds)
        plots.note(
            figure,
            f"One event; {n} seeds, bands and bars: 95 % bootstrap intervals over seeds. a, b: lines with filled "
            "markers: the outcome really stayed; open markers: it was there for 120 ms and then held in attention, "
            "importance rising from left to right. c, d: the outcome really stayed; crosses: what a first sketch of "
            "the model gave (theta 0.02, gain 1, hardly any learning). e: lines are interpolated between durations. "
            "f: dotted, the end of an outcome; markers, the last hop reached "
            "in every seed. g, h: dotted, nothing held; h: lines, importance x 60 ms x spikes, at "
            "most 3 s.",
        )
    return figure


def show(path: Path, config: Config) -> None:
    """Print the tables and draw the figure."""
    done, console = Done.read(path, config), script.console()
    console.print(f"{len(config.seeds)} seeds; mean [95 % interval over seeds]", soft_wrap=True)
    tables: Iterable[Table] = (
        *(duration_table(done, measure) for measure in HOPS),
        *(same_time_table(done, name) for name in done.held["rule"]),
        holding_table(done),
    )
    for table in tables:
        console.print(table)
    for line in verdicts(done):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for written in plots.save(figure_of(done), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="attention",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "two seeds, few durations and rules, under a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs), config),
    )


if __name__ == "__main__":
    sys.exit(main())
