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
    be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bioplastic_models import chain

from bioplastic import reach, theory
from bioplastic.events import Schedule, random_life
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.statistics import estimate, explained, slope
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions, feedback, measure
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, table
from bioplastic.study.summary import by_labels, each, named, sham_floor
from bioplastic.tasks import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

ARMS = FROZEN, LEARNING = "frozen", "learning"


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = chain.N_HOPS
    """Length of the chain, in hops."""
    event_fractions: tuple[float, ...] = (0.03, 0.1, 0.3)
    """Fractions of all events that are the rare event, with frozen weights."""
    event_fractions_learning: tuple[float, ...] = (0.03, 0.1, 0.3)
    """The same with learning ones."""
    saliences: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Of the rare event: its outcome stays that many times longer."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one life and one set of spike phases each."""
    n_occurrences_frozen: int = 8
    """A life with frozen weights lasts for at least this many rare events."""
    n_events_frozen: int = 120
    """And for at least this many events."""
    n_counted: int = 3
    """Events, from an occurrence on, over which its error spikes are counted."""
    n_events: int = 100
    """Length of a life in which weights learn, in events."""
    eta: float = 0.003
    """Learning rate of all spiking rules; the twin's is this times the spikes that an outcome lasts for, so that hop 0
    learns the same from the same error."""
    eta_factors: tuple[float, ...] = ()
    """Factors on the learning rate of the error relay, to see whether the map depends on it."""
    every_rule: bool = True
    """Whether there are maps of more spiking rules than the error relay."""
    steps: int = 3
    """Inference steps of predictive coding in the twin, beside its equilibrium."""
    inference_step: float = 0.2
    """Size of these steps."""
    latent_step: float = 0.5
    """Time step of Latent Equilibrium, in units of tau_m."""

    def __post_init__(self) -> None:
        for name in ("event_fractions", "event_fractions_learning", "saliences"):
            if len(values := getattr(self, name)) < 2 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} = {values}; give two or more different ones, in rising order.")

    def fractions(self, arm: str) -> tuple[float, ...]:
        """Return the event fractions of an arm."""
        return self.event_fractions if arm == FROZEN else self.event_fractions_learning


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        n_hops=6,
        event_fractions=(0.1, 0.3),
        event_fractions_learning=(0.1, 0.3),
        saliences=(1.0, 4.0),
        seeds=(0, 1),
        n_occurrences_frozen=2,
        n_events_frozen=20,
        n_events=20,
        every_rule=False,
    ),
    "full": Settings(
        event_fractions=(0.01, 0.03, 0.1, 0.3), saliences=(0.5, 1.0, 2.0, 4.0), n_events=200, eta_factors=(0.3, 3.0)
    ),
}


def learners(settings: Settings, arm: str) -> list[Learner]:
    """Return the learners of an arm, in the order of tables and figures."""
    n_hops, eta = settings.n_hops, settings.eta if arm == LEARNING else 0.0
    brief, long, rate = chain.timing(n_hops), chain.long_timing(n_hops), (eta,)
    relay, radius, learned, broadcast = (
        partial(rule, n_hops=n_hops) for rule in (chain.screened, chain.radius, chain.learned, chain.broadcast)
    )

    def equilibrium(rate: float) -> EquilibriumRelay:
        return chain.equilibrium(rate, rate, n_hops)

    screened = Learner("error relay", relay, brief, rate)
    unscreened = Learner("error relay, unscreened", chain.unscreened, long, rate)
    if arm == FROZEN:
        return [screened, unscreened]
    others = [
        Learner("fixed random feedback", relay, brief, rate, feedback.random),
        Learner(f"error relay, radius {chain.RADIUS}", radius, brief, rate),
        Learner("learned feedback", learned, brief, rate, feedback.random),
        Learner("equilibrium relay", equilibrium, brief, rate, feedback.agreeing),
        Learner("broadcast", broadcast, brief, rate, feedback.broadcast),
    ]
    return [
        screened,
        *(Learner(f"error relay, rate x {f:g}", relay, brief, (f * eta,)) for f in settings.eta_factors),
        unscreened,
        *(others if settings.every_rule else []),
        *in_twin(settings),
    ]


def in_twin(settings: Settings) -> list[Learner]:
    """Return the learners of the twin, at rates at which hop 0 learns what it learns in spikes."""
    brief, eta = chain.timing(settings.n_hops), chain.twin_rate(settings.eta)
    stepwise = partial(PredictiveCoding, step_size=settings.inference_step)
    # An error travels one hop per time step; the outcome has to stay until it can have passed every hop.
    duration = settings.latent_step * max(12, settings.n_hops)
    latent = partial(LatentEquilibrium, dt=settings.latent_step, duration=duration)
    return [
        Learner("backprop", Backprop, brief, (eta,)),
        Learner(f"predictive coding, {settings.steps} steps", partial(stepwise, steps=settings.steps), brief, (eta,)),
        Learner("predictive coding, equilibrium", partial(stepwise, steps=None), brief, (eta,)),
        # Of the error of the outcome it takes a part, for as long as the outcome stays.
        Learner("latent equilibrium", latent, brief, (eta / (latent(0.0).beta * duration),)),
    ]


class Map(Bench):
    """What all lives share, and the lives themselves."""

    def __init__(self, settings: Settings) -> None:
        self.settings, everyone = settings, learners(settings, LEARNING)
        n_events = max(self.n_events(arm, f) for arm in ARMS for f in settings.fractions(arm))
        event = max(float(one.timing.event / one.timing.resolution) for one in everyone)
        longest = n_events * settings.saliences[-1] * event
        super().__init__(chain.circuit(settings.n_hops), digits(), settings.seeds, everyone, longest=longest)

    def n_events(self, arm: str, event_fraction: float) -> int:
        """Length of a life."""
        if arm == LEARNING:
            return self.settings.n_events
        needed = int(np.ceil(self.settings.n_occurrences_frozen / event_fraction))
        return max(needed, self.settings.n_events_frozen)

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: the same for every learner and, but for the time held, every salience."""
        f = condition["event_fraction"]
        rng = np.random.default_rng([condition["seed"], round(1e6 * f)])
        life = random_life(self.task, event_fraction=f, n_events=self.n_events(condition.kind, f), seed=rng)
        return replace(life, salience=np.where(life.rare, condition["salience"], 1.0))


def presented(schedule: Schedule) -> Schedule:
    """Return a life for the twin, where an outcome has no duration: an event comes as many times in a row."""
    times = np.round(schedule.salience).astype(int)
    return replace(schedule, salience=np.ones(len(schedule))).select(np.repeat(np.arange(len(schedule)), times))


def plan(bench: Map, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield all lives, the longest of an arm first; there are no half presentations in the twin."""
    whole = tuple(x for x in settings.saliences if x % 1 == 0)
    planned: list[Condition] = []
    for arm in ARMS:
        for f, one in product(settings.fractions(arm), learners(settings, arm)):
            held = settings.saliences if one.spikes else whole
            planned += conditions(arm, [one], event_fraction=(f,), salience=held, seed=settings.seeds, rate=one.rates)
    yield planned


def measured(bench: Map, condition: Condition) -> Measure:
    """Live a condition beside its sham runs: error spikes while weights are frozen, else changes of the weights."""
    schedule = bench.schedule(condition)
    life = bench.life(condition, schedule if condition.who.spikes else presented(schedule))
    lived = yield from bench.beside_shams(life)
    if condition.kind == LEARNING:
        changes = measure.changes(bench.circuit, life.weights, *([one.weights] for one in lived))
        return measure.dataset(bench.circuit, changes)
    n = bench.settings.n_counted
    counts = (reach.by_occurrence(schedule.rare, one.error_signal, n) for one in lived)
    return measure.dataset(bench.circuit, measure.error_spikes(*counts))


# ------------------------------------------------------------------------------------------ summary

AXES = ("learner", "event_fraction", "salience", "seed")


def summarise(bench: Map, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the runs into labelled arrays, arm by arm."""
    frozen = by_labels(runs.of(FROZEN), *AXES)
    real, sham, sham2 = (frozen[f"error_spikes{which}"].mean("occurrence") for which in ("", "_sham", "_sham2"))
    learning = by_labels(runs.of(LEARNING), *AXES).isel(snapshot=-1)
    return {
        "summary_frozen": mapped(real - sham, sham2 - sham, learners(settings, FROZEN)),
        "summary_learning": mapped(learning["change"], learning["change_floor"], learners(settings, LEARNING)),
    }


def mapped(caused: xr.DataArray, between_shams: xr.DataArray, everyone: list[Learner]) -> xr.Dataset:
    """Map how far gets what an event causes, and what explains that; NaN where there was no life."""
    floor = sham_floor(between_shams)
    lived = caused.notnull().all(("seed", "hop"))
    reached = each(reach.reach, caused, floor, over="hop").where(lived)
    f, x = xr.broadcast(caused["event_fraction"], caused["salience"])
    held = x.copy(data=theory.accumulated_mismatch(x.values, chain.MEMORY, f.values))
    predictors = {"frequency": f, "salience": x, "theory": held}
    logarithms = [xr.apply_ufunc(np.log, one) for one in predictors.values()]
    variance = [each(explained, reached, one, over=("event_fraction", "salience")) for one in logarithms]
    found = {
        "caused": named(caused, "excess error spikes per occurrence, or relative change, against the sham run"),
        "floor": named(floor.transpose(*AXES[:3], "hop"), "spread between sham runs over seeds (sham floor)"),
        "reach": named(reached, "last hop that exceeds the sham floor (-1: none)"),
        "dimensionless_frequency": named(held, "mismatch that adds up, in units of one event of salience 1"),
        "explained": named(
            xr.concat(variance, "predictor").transpose("learner", "seed", "predictor"),
            "variance of reach explained by a line in the logarithm",
        ),
        "learning_rate": labelled("learner", [one.rates[0] for one in everyone], "learning rate (0: frozen)"),
    }
    axes = {name: caused[name].variable for name in (*AXES, "hop")}
    axes["predictor"] = labelled("predictor", list(predictors), "what reach is predicted from")
    return xr.Dataset(found, axes)


# ------------------------------------------------------------------------------------------ what is shown


def arms(recording: Recording) -> dict[str, xr.Dataset]:
    """Return the summaries by arm."""
    return {arm: recording[f"summary_{arm}"] for arm in ARMS}


def slopes(done: xr.Dataset) -> list[xr.DataArray]:
    """Hops that reach gains per doubling of event fraction and of salience, the other one fixed."""
    axes = ("event_fraction", "salience")
    found = [each(partial(slope, x=np.log2(done[axis].values)), done["reach"], over=axis) for axis in axes]
    return [one.mean(axis) for one, axis in zip(found, axes[::-1], strict=True)]


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the maps, and what they come to."""
    n = n_seeds(recording, "summary_frozen")
    headings = ["learner", "reach, from to", "hops per doubling of frequency", "of salience"]
    headings += ["R2: frequency", "salience", "theory"]
    for arm, done in arms(recording).items():
        saliences = ", ".join(f"{x:g}" for x in done["salience"].values)
        mean = done["reach"].mean("seed").transpose("learner", "event_fraction", "salience").values
        yield table(
            f"weights {arm}: mean reach (hops) by event fraction, at salience {saliences}; {n}",
            ["learner", *(f"{f:g}" for f in done["event_fraction"].values)],
            [
                [str(name), *(", ".join(f"{r:.1f}" if np.isfinite(r) else "–" for r in part) for part in row)]
                for name, row in zip(done["learner"].values, mean, strict=True)
            ],
        )
    for arm, done in arms(recording).items():
        columns = [*slopes(done), *done["explained"].transpose("predictor", ...)]
        ends = done["reach"].mean("seed")
        low, high = ends.min(AXES[1:3]).values, ends.max(AXES[1:3]).values
        yield table(
            f"weights {arm}; mean over {n} [95 % interval]",
            headings,
            [
                [str(name), f"{least:.1f} to {most:.1f}", *(str(estimate(one.sel(learner=name))) for one in columns)]
                for name, least, most in zip(done["learner"].values, low, high, strict=True)
            ],
        )


def statements(recording: Recording) -> Iterator[str]:
    """Yield what was found, in sentences."""
    done = arms(recording)
    r2 = done[FROZEN]["explained"].sel(learner="error relay")
    theirs, alone = (r2.sel(predictor=which) for which in ("theory", ["frequency", "salience"]))
    gain = estimate((theirs - alone.max("predictor")).values)
    yield (
        f"Error relay, weights frozen: the theory's dimensionless frequency explains {estimate(theirs.values)} of the "
        f"variance of reach, {gain} more than the better one of frequency and salience alone."
    )
    for arm, one in done.items():
        by = slopes(one)
        for name in one["learner"].values:
            estimates = [estimate(gained.sel(learner=name)) for gained in by]
            if all(x.n and x.low <= 0 <= x.high for x in estimates):
                yield f"{name}, weights {arm}: no effect of either is shown."


def map_panel(axes: Axes, done: xr.Dataset) -> Any:
    """Draw one learner's reach over event fraction and salience, with lines of equal dimensionless frequency."""
    from matplotlib.patheffects import withStroke

    mean = done["reach"].mean("seed").transpose("event_fraction", "salience").values
    n_hops = done.sizes["hop"]
    image = axes.imshow(mean.T, origin="lower", cmap="Greys", vmin=-1, vmax=n_hops - 1, aspect="auto")
    for (j, k), value in np.ndenumerate(mean):
        text = axes.text(j, k, "–", ha="center", va="center", fontsize=6.5, color="0.4")
        if np.isfinite(value):
            color, edge = ("w", "k") if value > 0.55 * n_hops else ("k", "w")
            text.set(text=f"{value:.1f}", color=color, zorder=3)  # above the contours
            text.set_path_effects([withStroke(linewidth=1.5, foreground=edge)])
    held = done["dimensionless_frequency"].transpose("salience", "event_fraction").values
    low, high = np.quantile(held, [0.1, 0.9])
    lines = axes.contour(held, levels=np.geomspace(low, high, 4), colors="#a3260f", linewidths=0.8, linestyles="--")
    lines.set(path_effects=[withStroke(linewidth=2.2, foreground="w")])  # or they would be lost on black
    for axis, name in ((axes.xaxis, "event_fraction"), (axes.yaxis, "salience")):
        axis.set_ticks(range(done.sizes[name]), [f"{v:g}" for v in done[name].values])
        axis.set_label_text(f"{name.replace('_', ' ')} (1)")
    return image


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw a map for each rule and arm."""
    from bioplastic import plots

    panels = [(arm, done, i) for arm, done in arms(recording).items() for i in range(done.sizes["learner"])]
    settings = recording.provenance.settings
    n_rows = -(-len(panels) // 3)
    with plots.page(52 * n_rows) as figure:
        grid = figure.subplots(n_rows, 3, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (arm, done, i), name in zip(grid.flat, panels, ascii_lowercase, strict=False):
            one = done.isel(learner=i)
            image = map_panel(axes, one)
            plots.letter(axes, name)
            plots.heading(axes, f"{one['learner'].item()}, {arm}")
        bar = figure.colorbar(image, ax=grid[:, -1].tolist(), shrink=0.5)
        bar.set_label("reach (hops, -1: none)")
        plots.note(
            figure,
            f"Mean reach over {n_seeds(recording, 'summary_frozen')} (intervals in the tables). Salience: the outcome "
            "of the rare event stays that many times longer; in the twin (backprop, predictive coding, latent "
            "equilibrium) it is presented that many times. Frozen: last hop with "
            "more error spikes than between sham runs. Learning: last hop whose weights changed by more, after "
            f"{settings['n_events']} events, learning rate {settings['eta']:g}. Dashed: equal dimensionless frequency, "
            "the mismatch that adds up in a leaky integrator; a rule that follows the theory has equal reach along "
            "them. The theory is about rules with that leak: all but the unscreened relay and those of the twin.",
        )
        return {"": figure}


STUDY = Study(
    name="frequency_and_salience",
    title="Reach over frequency and salience",
    settings=SETTINGS,
    bench=Map,
    plan=plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "9 minutes", "quick": "half a minute", "full": "35 minutes (estimated)"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
