"""Map how far upstream an event reaches over how often it comes and how long it is held, for every rule.

Question
    A chain has learned the digits 0 to 8; now and then a 9 comes along. How many hops upstream does it reach, as a
    function of its frequency and its salience (its outcome stays that many times longer) together? Can one be traded
    for the other, as the theory of a leaky mismatch says?
Source
    The argument and the model: docs/model.md; the dimensionless frequency: docs/theory.md; the circuit and its
    parameters: models/chain.py.
Command
    python scripts/frequency_and_salience.py [--quick | --full] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores, models compiled: default 9 minutes, --full 35 minutes (estimated), --quick half a minute. It may
    be interrupted and goes on. Runs with frozen weights and salience 1 are taken from reach_vs_frequency.h5 where that
    lies beside the recording.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import h5py
import numpy as np
from bioplastic_models import chain
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from rich.table import Table
from scipy import stats

from bioplastic import plots, reach, script, spiking, sweep, theory
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.events import Schedule, Timing, random_life
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.broadcast import random_broadcast
from bioplastic.rules.equilibrium_relay import agreeing_feedback
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.form import Rule
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.statistics import estimate
from bioplastic.tasks import Task, digits

SCHEMA = "bioplastic frequency_and_salience"
FROZEN, LEARNING = "frozen", "learning"
MAIN = "reach_vs_frequency"


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    event_fractions, event_fractions_learning : tuple of float
        Fractions of all events that are the rare event, with frozen weights and with learning ones.
    saliences : tuple of float
        Of the rare event: its outcome stays that many times longer.
    seeds : tuple of int
        One network, one life and one set of spike phases each.
    n_occurrences_frozen : int
        A life with frozen weights lasts for at least this many rare events,
    n_events_frozen : int
        and for at least this many events.
    n_counted : int
        Events, from an occurrence on, over which its error spikes are counted.
    n_events : int
        Length of a life in which weights learn, in events.
    eta : float
        Learning rate of all spiking rules; the twin's is this times the spikes that an outcome lasts for, so that hop 0
        learns the same from the same error.
    eta_factors : tuple of float
        Factors on the learning rate of the error relay, to see whether the map depends on it.
    every_rule : bool
        Whether there are maps of more spiking rules than the error relay.
    steps : int
        Inference steps of predictive coding in the twin, beside its equilibrium,
    inference_step : float
        and their size.
    latent_step : float
        Time step of Latent Equilibrium, in units of tau_m,
    latent_beta : float
        and the strength with which its outcome nudges.
    """

    n_hops: int = chain.N_HOPS
    event_fractions: tuple[float, ...] = (0.03, 0.1, 0.3)
    event_fractions_learning: tuple[float, ...] = (0.03, 0.1, 0.3)
    saliences: tuple[float, ...] = (1.0, 2.0, 4.0)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n_occurrences_frozen: int = 8
    n_events_frozen: int = 120
    n_counted: int = 3
    n_events: int = 100
    eta: float = 0.003
    eta_factors: tuple[float, ...] = ()
    every_rule: bool = True
    steps: int = 3
    inference_step: float = 0.2
    latent_step: float = 0.5
    latent_beta: float = 0.1

    def __post_init__(self) -> None:
        for name in ("event_fractions", "event_fractions_learning", "saliences"):
            if len(values := getattr(self, name)) < 2 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} = {values}; give two or more different ones, in rising order.")


FULL = Config(
    event_fractions=(0.01, 0.03, 0.1, 0.3), saliences=(0.5, 1.0, 2.0, 4.0), n_events=200, eta_factors=(0.3, 3.0)
)
QUICK = Config(
    n_hops=6,
    event_fractions=(0.1, 0.3),
    event_fractions_learning=(0.1, 0.3),
    saliences=(1.0, 4.0),
    seeds=(0, 1),
    n_occurrences_frozen=2,
    n_events_frozen=20,
    n_events=20,
    every_rule=False,
)


@dataclass(frozen=True)
class Learner:
    """One way to learn.

    Attributes
    ----------
    name : str
    rule : Rule or rule of the twin
        With its learning rate.
    timing : Timing
    feedback : callable, optional
        (circuit, weights, task, seed) -> `Feedback`; the forward weights by default.
    """

    name: str
    rule: Any
    timing: Timing
    feedback: Callable[[Circuit, Weights, Task, int], Feedback] | None = None

    @property
    def spikes(self) -> bool:
        """Whether it lives in spikes, not in the twin."""
        return hasattr(self.rule, "code")


def learners(config: Config, arm: str) -> list[Learner]:
    """Return the learners of an arm, in the order of tables and figures."""
    n_hops, eta = config.n_hops, config.eta if arm == LEARNING else 0.0
    brief, long = chain.timing(n_hops), chain.long_timing(n_hops)
    relay = partial(chain.screened, n_hops=n_hops)
    both = [
        Learner("error relay", relay(eta), brief),
        Learner("error relay, unscreened", chain.unscreened(eta), long),
    ]
    if arm == FROZEN:
        return both

    def randomly(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        return random_feedback(circuit, weights, seed)

    def broadcast(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        return random_broadcast(circuit, seed)

    def agreeing(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        background = task.indices(rare=False, held_out=False)
        return agreeing_feedback(circuit, weights, task.stimuli[background])

    others = [
        Learner("fixed random feedback", relay(eta), brief, randomly),
        Learner(f"error relay, radius {chain.RADIUS}", chain.radius(eta, n_hops), brief),
        Learner("learned feedback", chain.learned(eta, n_hops), brief, randomly),
        Learner("equilibrium relay", chain.equilibrium(eta, eta, n_hops), brief, agreeing),
        Learner("broadcast", chain.broadcast(eta, n_hops), brief, broadcast),
    ]
    return [
        both[0],
        *(Learner(f"error relay, rate x {f:g}", relay(f * eta), brief) for f in config.eta_factors),
        both[1],
        *(others if config.every_rule else []),
        *(Learner(name, rule, brief) for name, rule in twin_rules(config).items()),
    ]


def twin_rules(config: Config) -> dict[str, Any]:
    """Return the rules of the twin by name, at rates at which hop 0 learns what it learns in spikes."""
    eta = config.eta * float(chain.OUTCOME * CellParameters().rmax)
    # An error travels one hop per time step; the outcome has to stay until it can have passed every hop.
    duration = config.latent_step * max(12, config.n_hops)
    beta = config.latent_beta
    stepwise = partial(PredictiveCoding, eta, step_size=config.inference_step)
    return {
        "backprop": Backprop(eta),
        f"predictive coding, {config.steps} steps": stepwise(steps=config.steps),
        "predictive coding, equilibrium": stepwise(steps=None),
        "latent equilibrium": LatentEquilibrium(eta / (beta * duration), config.latent_step, duration, beta),
    }


@dataclass(frozen=True)
class Condition:
    """Lives of one learner at one event fraction and salience, beside their sham runs."""

    arm: str
    learner: Learner
    event_fraction: float
    salience: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        slug = self.learner.name.replace(", ", "-").replace(" ", "_")
        return f"{self.arm}-{slug}-f{self.event_fraction:g}-x{self.salience:g}-s{self.seed}"


def fractions(config: Config, arm: str) -> tuple[float, ...]:
    """Return the event fractions of an arm."""
    return config.event_fractions if arm == FROZEN else config.event_fractions_learning


def conditions(config: Config, arm: str) -> Iterator[Condition]:
    """Yield all conditions of an arm, the longest lives first."""
    for f, learner, x, seed in product(fractions(config, arm), learners(config, arm), config.saliences, config.seeds):
        yield Condition(arm, learner, f, x, seed)


# ------------------------------------------------------------------------------------------ lives

RUN_ROWS = {
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "caused": Variable(("hop",), "1", "excess error spikes per occurrence, or relative change, against the sham run"),
    "floor": Variable(("hop",), "1", "the same between two sham runs"),
}


class Bench:
    """What all runs share: the task, the circuit, the start weights, a compiled model for each kind of rule."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task = digits()
        self.circuit = chain.circuit(config.n_hops)
        self.weights: dict[int, Weights] = {}
        self.models: dict[type, spiking.Model] = {}

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        from bioplastic import twin

        config = self.config
        found = twin.pretrained(self.circuit, self.task, config.seeds, cache=cache_folder() / "weights")
        self.weights = dict(zip(config.seeds, found, strict=True))
        everyone = [x for arm in (FROZEN, LEARNING) for x in learners(config, arm) if x.spikes]
        rules: dict[type, Rule] = {type(x.rule): x.rule for x in everyone}
        longest = max(
            self.schedule(Condition(arm, everyone[0], f, 1, 0)).salience.size
            for arm in (FROZEN, LEARNING)
            for f in fractions(config, arm)
        )
        extra = config.saliences[-1] * max(float(x.timing.event / x.timing.resolution) for x in everyone)
        for k, (kind, rule) in enumerate(rules.items()):
            spec = spiking.ModelSpec.with_room(self.circuit, rule, self.task, longest * extra, n_snapshots=0)
            self.models[kind] = spiking.model(spec, self.task)
            progress((k + 1) / len(rules))

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: the same for every learner and, but for the time held, every salience."""
        config, f = self.config, condition.event_fraction
        n_events = config.n_events
        if condition.arm == FROZEN:
            n_events = max(int(np.ceil(config.n_occurrences_frozen / f)), config.n_events_frozen)
        rng = np.random.default_rng([condition.seed, round(1e6 * f)])  # as in the main script, whose runs are taken
        life = random_life(self.task, event_fraction=f, n_events=n_events, seed=rng)
        return replace(life, salience=np.where(life.rare, condition.salience, 1.0))

    def in_spikes(self, condition: Condition) -> dict[str, np.ndarray]:
        """Live a run, its sham and a second sham with other spike phases; the values of `RUN_ROWS`."""
        learner, start = condition.learner, self.weights[condition.seed]
        schedule = self.schedule(condition)
        feedback = learner.feedback
        life = Life(
            schedule,
            learner.rule,
            start,
            learner.timing,
            None if feedback is None else feedback(self.circuit, start, self.task, condition.seed),
            seed=condition.seed,
        )
        sham = replace(life, schedule=schedule.sham())
        model = self.models[type(learner.rule)]
        lived = [model.live(one) for one in (life, sham, replace(sham, seed=condition.seed + 1_000_000))]
        if condition.arm == LEARNING:
            return self.changes([one.weights.forward for one in lived], start)
        spikes = [reach.by_occurrence(schedule.rare, one.error_signal, self.config.n_counted).mean(0) for one in lived]
        return self.row(spikes[0] - spikes[1], spikes[2] - spikes[1])

    def in_twin(self, given: Sequence[Condition]) -> list[dict[str, np.ndarray]]:
        """Live conditions of one rule, event fraction and salience in the rate twin, all in one tensor program."""
        from bioplastic import twin

        lives = []
        for c in given:
            schedule = presented(self.schedule(replace(c, salience=1.0)), c.salience)
            life = Life(schedule, c.learner.rule, self.weights[c.seed])
            lives += [life, replace(life, schedule=life.schedule.sham())]
        lived = [one.weights.forward for one in twin.live(self.circuit, self.task, lives)]
        # Nothing in the twin is random, so a second sham run would be the first to the bit: its floor is 0.
        return [
            self.changes([lived[2 * k], lived[2 * k + 1], lived[2 * k + 1]], self.weights[c.seed])
            for k, c in enumerate(given)
        ]

    def changes(self, weights: Sequence[Mapping[str, np.ndarray]], start: Weights) -> dict[str, np.ndarray]:
        """Relative change of a run against its sham, and between two shams."""
        real, sham, sham2 = weights
        distance = partial(reach.relative_change, self.circuit, start=start.forward)
        return self.row(distance(real, sham), distance(sham2, sham))

    def row(self, caused: np.ndarray, floor: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of `RUN_ROWS`."""
        return {"hop": np.arange(self.config.n_hops), "caused": caused, "floor": floor}


def presented(schedule: Schedule, salience: float) -> Schedule:
    """Return a life for the twin, where an outcome has no duration: a rare event comes so many times in a row."""
    times = np.where(schedule.rare, round(salience), 1)
    return schedule.select(np.repeat(np.arange(len(schedule)), times))


def taken(path: Path, config: Config, condition: Condition) -> dict[str, np.ndarray] | None:
    """Take a condition from a recording of the main script; None if it is not there, or was lived otherwise.

    Parameters
    ----------
    path : Path
    config : Config
    condition : Condition
    """
    if condition.arm != FROZEN or condition.salience != 1 or not path.exists():
        return None
    main = recording.read(path)
    same = ("n_hops", "n_occurrences_frozen", "n_events_frozen", "n_counted")
    if any(main.attrs.config.get(name) != getattr(config, name) for name in same):
        return None
    names = main.find(
        arm=FROZEN,
        learner=condition.learner.name,
        event_fraction=condition.event_fraction,
        seed=condition.seed,
        role="result",
    )
    if not names:
        return None
    run = main.runs[names[0]]
    real, sham, sham2 = (
        run.measured(name).mean(0) for name in ("error_spikes", "error_spikes_sham", "error_spikes_sham2")
    )
    return {"hop": np.arange(config.n_hops), "caused": real - sham, "floor": sham2 - sham}


# ------------------------------------------------------------------------------------------ what is measured

PREDICTORS = ("frequency", "salience", "theory")

_DIMS = ("learner", "event_fraction", "salience", "seed")
SUMMARY_ROWS = {
    "learner": Variable(("learner",), "1", "rule", "str"),
    "event_fraction": Variable(("event_fraction",), "1", "fraction of all events that are the rare event"),
    "salience": Variable(("salience",), "1", "salience of the rare event"),
    "seed": Variable(("seed",), "1", "seed of network, life and spike phases", "int64"),
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "predictor": Variable(("predictor",), "1", "what reach is predicted from", "str"),
    "caused": Variable((*_DIMS, "hop"), "1", RUN_ROWS["caused"].long_name),
    "floor": Variable((*_DIMS[:3], "hop"), "1", "spread between sham runs over seeds (sham floor)"),
    "reach": Variable(_DIMS, "1", "last hop that exceeds the sham floor (-1: none)"),
    "dimensionless_frequency": Variable(
        ("event_fraction", "salience"), "1", "mismatch that adds up, in units of one event of salience 1"
    ),
    "explained": Variable(
        ("learner", "seed", "predictor"), "1", "variance of reach explained by a line in the logarithm"
    ),
    "learning_rate": Variable(("learner",), "1", "learning rate (0: frozen)"),
}


def dimensionless_frequency(event_fractions: Sequence[float], saliences: Sequence[float]) -> np.ndarray:
    """Mismatch that a leaky integrator holds in the long run, if one event adds its salience.

    Parameters
    ----------
    event_fractions, saliences : sequence of float

    Returns
    -------
    array, shape (n_fractions, n_saliences)
    """
    f, x = np.meshgrid(event_fractions, saliences, indexing="ij")
    return np.asarray(theory.accumulated_mismatch(x, chain.MEMORY, f))


def explained(x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of the variance of `y` that a straight line in log `x` explains; NaN where `y` does not vary."""
    if np.ptp(y) == 0:
        return float("nan")
    return float(stats.linregress(np.log(x), y).rvalue ** 2)


def summary_of(config: Config, arm: str, store: script.Store) -> dict[str, Any]:
    """Gather the runs of an arm into labelled arrays: the values of `SUMMARY_ROWS`."""
    everyone, f, x = learners(config, arm), fractions(config, arm), config.saliences
    shape = len(everyone), len(f), len(x), len(config.seeds)
    caused, floor = np.full((2, *shape, config.n_hops), np.nan)
    for index in np.ndindex(*shape):
        i, j, k, m = index
        run = store.runs.get(Condition(arm, everyone[i], f[j], x[k], config.seeds[m]).name)
        if run is not None:  # the twin has no half presentations
            caused[index], floor[index] = run["caused"], run["floor"]
    spread, reached = np.full((*shape[:3], config.n_hops), np.nan), np.full(shape, np.nan)
    for index in np.ndindex(*shape[:3]):
        if np.isfinite(caused[index]).all():
            spread[index] = reach.spread(floor[index])
            reached[index] = [reach.reach(one, spread[index]) for one in caused[index]]
    held = dimensionless_frequency(f, x)
    by = {
        "frequency": np.broadcast_to(np.array(f)[:, None], held.shape),
        "salience": np.tile(x, (len(f), 1)),
        "theory": held,
    }
    variance = np.full((len(everyone), len(config.seeds), len(PREDICTORS)), np.nan)
    for i, m in product(range(len(everyone)), range(len(config.seeds))):
        there = np.isfinite(reached[i, :, :, m])
        variance[i, m] = [explained(by[name][there], reached[i, :, :, m][there]) for name in PREDICTORS]
    return {
        "learner": [one.name for one in everyone],
        "event_fraction": np.array(f),
        "salience": np.array(x),
        "seed": np.array(config.seeds),
        "hop": np.arange(config.n_hops),
        "predictor": PREDICTORS,
        "caused": caused,
        "floor": spread,
        "reach": reached,
        "dimensionless_frequency": held,
        "explained": variance,
        "learning_rate": np.array([one.rule.eta for one in everyone]),
    }


def run(config: Config, out: Path, *, jobs: int = 2) -> Path:
    """Run the experiment, or go on with it.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.
    jobs : int
        Lives to simulate at once.
    """
    store = script.open_store(
        out, schema=SCHEMA, rows=RUN_ROWS, config=config, sources=(Path(__file__), Path(str(chain.__file__)))
    )
    if store is None:
        return out
    bench, console = Bench(config), script.console()
    with sweep.progress_bar() as bar:
        row = bar.add_task("prepare", total=1.0)
        bench.prepare(lambda fraction: bar.update(row, completed=fraction))
        n_taken = 0
        for condition in conditions(config, FROZEN):
            found = taken(out.with_name(f"{MAIN}.h5"), config, condition)
            if condition.name not in store.runs and found is not None:
                store.add(condition.name, found, {"source": MAIN})
            n_taken += found is not None

        def work(condition: Condition) -> None:
            store.add(condition.name, bench.in_spikes(condition), {"source": "lived"})

        with ThreadPoolExecutor(jobs) as executor:
            for arm in (FROZEN, LEARNING):
                mine = [c for c in conditions(config, arm) if c.learner.spikes]
                script.live_missing(store, mine, work, executor=executor, bar=bar, label=f"weights {arm}")
        in_rates = [c for c in conditions(config, LEARNING) if not c.learner.spikes and c.salience % 1 == 0]
        row = bar.add_task("in the twin", total=len(in_rates))
        for name, f, x in product(twin_rules(config), config.event_fractions_learning, config.saliences):
            mine = [c for c in in_rates if (c.learner.name, c.event_fraction, c.salience) == (name, f, x)]
            missing = [c for c in mine if c.name not in store.runs]
            for condition, found in zip(missing, bench.in_twin(missing) if missing else [], strict=True):
                store.add(condition.name, found, {"source": "lived"})
            bar.advance(row, len(mine))
    if n_taken:
        console.print(f"{n_taken} runs with frozen weights were taken from {MAIN}.h5.", soft_wrap=True)

    def fill(file: h5py.File) -> None:
        for arm in (FROZEN, LEARNING):
            recording.write_labelled(file.create_group(f"summary/{arm}"), SUMMARY_ROWS, summary_of(config, arm, store))

    store.finish("Reach over frequency and salience", fill)
    return out


# ------------------------------------------------------------------------------------------ tables and figure


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Read the summary, by arm."""
    with h5py.File(path) as file:
        return {arm: recording.read_labelled(file[f"summary/{arm}"], SUMMARY_ROWS) for arm in (FROZEN, LEARNING)}


def slopes(done: Mapping[str, Any], axis: str) -> np.ndarray:
    """Hops that reach gains per doubling of frequency or salience, the other one fixed, shape (n_learners, n_seeds).

    Parameters
    ----------
    done : mapping
        Values of `SUMMARY_ROWS`.
    axis : {"event_fraction", "salience"}
    """
    found = reach.slope(done["reach"], np.log2(done[axis]), axis=1 if axis == "event_fraction" else 2)
    return np.nanmean(found, axis=1)


def tables(done: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    """Yield what the maps come to, arm by arm."""
    for arm, values in done.items():
        headings = ("hops per doubling of frequency", "of salience", "R2: frequency", "salience", "theory")
        table = Table("learner", "reach, from to", *headings, title=f"weights {arm}", title_justify="left")
        by_frequency, by_salience = slopes(values, "event_fraction"), slopes(values, "salience")
        for i, name in enumerate(values["learner"]):
            ends = values["reach"][i].mean(-1)  # NaN where the twin has no half presentations
            span = f"{np.nanmin(ends):.1f} to {np.nanmax(ends):.1f}"
            cells = [by_frequency[i], by_salience[i], *values["explained"][i].T]
            table.add_row(name, span, *(str(estimate(cell)) for cell in cells))
        yield table


def maps(done: Mapping[str, Mapping[str, Any]]) -> Iterator[Table]:
    """Yield the maps themselves, arm by arm: mean reach by event fraction and salience."""
    for arm, values in done.items():
        saliences = ", ".join(f"{x:g}" for x in values["salience"])
        headings = [f"{f:g}" for f in values["event_fraction"]]
        title = f"weights {arm}: mean reach (hops) by event fraction, at salience {saliences}"
        table = Table("learner", *headings, title=title, title_justify="left")
        for name, reached in zip(values["learner"], values["reach"].mean(-1), strict=True):
            row = (", ".join(f"{r:.1f}" if np.isfinite(r) else "–" for r in at_fraction) for at_fraction in reached)
            table.add_row(name, *row)
        yield table


def verdicts(done: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what was found, in sentences."""
    frozen = done[FROZEN]
    i = list(frozen["learner"]).index("error relay")
    r2 = frozen["explained"][i]
    gain = estimate(r2[:, 2] - r2[:, :2].max(1))
    yield (
        f"Error relay, weights frozen: the theory's dimensionless frequency explains {estimate(r2[:, 2])} of the "
        f"variance of reach, {gain} more than the better one of frequency and salience alone."
    )
    for arm, values in done.items():
        by = [slopes(values, axis) for axis in ("event_fraction", "salience")]
        for i, name in enumerate(values["learner"]):
            one = [estimate(x[i]) for x in by]
            if all(x.n and x.low <= 0 <= x.high for x in one):
                yield f"{name}, weights {arm}: no effect of either is shown."


def map_panel(axes: Axes, values: Mapping[str, Any], i: int, n_hops: int) -> Any:
    """Draw reach over event fraction and salience, with lines of equal dimensionless frequency."""
    mean = values["reach"][i].mean(-1)
    f, x = values["event_fraction"], values["salience"]
    image = axes.imshow(mean.T, origin="lower", cmap="Greys", vmin=-1, vmax=n_hops - 1, aspect="auto")
    for j, k in np.ndindex(mean.shape):
        if np.isfinite(mean[j, k]):
            colors = ("w", "k") if mean[j, k] > 0.55 * n_hops else ("k", "w")
            axes.text(
                j,
                k,
                f"{mean[j, k]:.1f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color=colors[0],
                path_effects=[withStroke(linewidth=1.5, foreground=colors[1])],
                zorder=3,  # above the contours
            )
        else:
            axes.text(j, k, "–", ha="center", va="center", fontsize=6.5, color="0.4")
    held = values["dimensionless_frequency"].T
    low, high = np.quantile(held, [0.1, 0.9])
    lines = axes.contour(held, levels=np.geomspace(low, high, 4), colors="#a3260f", linewidths=0.8, linestyles="--")
    lines.set(path_effects=[withStroke(linewidth=2.2, foreground="w")])  # or they would be lost on black
    axes.set_xticks(range(len(f)), [f"{v:g}" for v in f])
    axes.set_yticks(range(len(x)), [f"{v:g}" for v in x])
    axes.set_xlabel("event fraction (1)")
    axes.set_ylabel("salience (1)")
    return image


def figure_of(done: Mapping[str, Mapping[str, Any]], config: Config) -> Figure:
    """Draw a map for each rule and arm."""
    panels = [(arm, i) for arm, values in done.items() for i in range(len(values["learner"]))]
    n_rows = -(-len(panels) // 3)
    with plots.page(52 * n_rows) as figure:
        grid = figure.subplots(n_rows, 3, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (arm, i), name in zip(grid.flat, panels, ascii_lowercase, strict=False):
            values = done[arm]
            learner = values["learner"][i]
            image = map_panel(axes, values, i, config.n_hops)
            plots.letter(axes, name)
            plots.heading(axes, f"{learner}, {arm}")
        bar = figure.colorbar(image, ax=grid[:, -1].tolist(), shrink=0.5)
        bar.set_label("reach (hops, -1: none)")
        plots.note(
            figure,
            f"Mean reach over {len(config.seeds)} seeds (intervals in the tables). Salience: the outcome of the rare "
            "event stays that many times longer; in the twin (backprop, predictive coding, latent equilibrium) it is "
            "presented that many times. Frozen: last hop with "
            "more error spikes than between sham runs. Learning: last hop whose weights changed by more, after "
            f"{config.n_events} events, learning rate {config.eta:g}. Dashed: equal dimensionless frequency, the "
            "mismatch that adds up in a leaky integrator; a rule that follows the theory has equal reach along them. "
            "The theory is about rules with that leak: all but the unscreened relay and those of the twin.",
        )
        return figure


def show(path: Path, config: Config) -> None:
    """Print the tables and draw the figure."""
    done, console = read(path), script.console()
    console.print(f"{len(config.seeds)} seeds; mean [95 % interval over seeds]", soft_wrap=True)
    for table in (*maps(done), *tables(done)):
        console.print(table)
    for line in verdicts(done):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for written in (*plots.save(figure_of(done, config), path.with_suffix("")), path):
        console.print(f"wrote {written}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="frequency_and_salience",
        settings={"": Config(), "quick": QUICK, "full": FULL},
        sizes={
            "quick": "two seeds, short chain and lives, half a minute",
            "full": "rarer events, one more salience, longer lives, other learning rates, half an hour",
        },
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs), config),
    )


if __name__ == "__main__":
    sys.exit(main())
