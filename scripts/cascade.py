"""Follow a change upstream, occurrence by occurrence, for every rule.

Question
    After which occurrence of an event has which hop changed? How fast does the front move, in hops per occurrence and
    in milliseconds per hop? What do forces that restore the weights make of it: background events, synaptic decay, an
    apical dendrite that learns?
Source
    The argument and the model: docs/model.md; the circuit and its parameters: models/chain.py; the rules:
    bioplastic/rules/.
Command
    python scripts/cascade.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 6 minutes, --quick 1 minute, models compiled. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), two figures beside it as PNG and PDF (the front as an image, hop against
    occurrence; reach, latency and mismatch), tables on the terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bioplastic_models import chain
from brian2 import BrianLogger, Network, prefs, second

from bioplastic import reach
from bioplastic.auditing import audit
from bioplastic.events import Event, Kind, Schedule, random_life
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.spiking import build
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions, feedback, measure
from bioplastic.study.bench import Measure
from bioplastic.study.report import n_seeds, table, text
from bioplastic.study.summary import by_labels, each, named, sham_floor
from bioplastic.tasks import digits

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

LEARNING, AUDIT = "learning", "audit"


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = chain.N_HOPS
    """Length of the chain, in hops."""
    event_fractions: tuple[float, ...] = (0.1, 0.3, 1.0)
    """Fractions of all events that are the rare event; at 1 no background restores anything."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One network, one life, one set of spike phases and of random feedback weights each."""
    occurrences: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30)
    """Occurrences after which the weights are looked at; a life has as many as the last one says."""
    n_around: int = 10
    """Background events before the first and after the last occurrence, in which the mismatch at rest is measured."""
    n_single: int = 3
    """Lives with a single rare event, for the time that an error takes from hop to hop."""
    theta_single: float = 0.05
    """Error threshold in these, without leak, in spikes: a low one, so that the signal's speed is measured and not the
    threshold."""
    eta: float = 0.001
    """Learning rate of all spiking rules: hop 0 then learns the same from the same error in each. The twin's is this
    times the spikes that an outcome lasts for, so that its hop 0 does too."""
    eta_factors: tuple[float, ...] = (0.3, 3.0)
    """Factors on the learning rate of the error relay and the equilibrium relay, to see whether the front depends on
    it."""
    apical_factors: tuple[float, ...] = (0.0, 10.0)
    """Learning rates of the apical dendrite of the equilibrium relay, in units of `eta`, beside 1."""
    decay_events: int = 30
    """Time constant of synaptic decay, in events, where there is any."""
    radius: int = 2
    """Last hop that hears of an error under the rule with a radius."""
    steps: int = 3
    """Inference steps of predictive coding in the twin, beside its equilibrium."""
    inference_step: float = 0.2
    """Size of these steps."""


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        event_fractions=(0.3,),
        seeds=(0, 1),
        occurrences=(1, 2, 4),
        n_around=2,
        n_single=1,
        eta_factors=(),
        apical_factors=(0.0,),
    ),
}


def learners(settings: Settings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    n_hops, eta = settings.n_hops, settings.eta
    brief, long = chain.timing(n_hops), chain.long_timing(n_hops)
    rate, twin_rate = (eta,), (chain.twin_rate(eta),)
    decay = {"tau_w": settings.decay_events * brief.event}

    def fine(rate: float) -> ErrorRelay:
        return replace(chain.unscreened(rate), theta=settings.theta_single)

    def equilibrium(rate: float, apical: float = 1.0) -> EquilibriumRelay:
        return chain.equilibrium(rate, apical * rate, n_hops)

    relay = partial(chain.screened, n_hops=n_hops)
    radius = partial(chain.radius, n_hops=n_hops, radius=settings.radius)
    learned, broadcast = (partial(rule, n_hops=n_hops) for rule in (chain.learned, chain.broadcast))
    stepwise = partial(PredictiveCoding, steps=settings.steps, step_size=settings.inference_step)
    plain = Learner("error relay", relay, brief, rate)
    agreeing = Learner("equilibrium relay", equilibrium, brief, rate, feedback.agreeing)
    return [
        plain,
        *(changed(plain, f"rate x {f:g}", rates=(f * eta,)) for f in settings.eta_factors),
        changed(plain, "decay", restoring=True, **decay),
        Learner("error relay, unscreened", chain.unscreened, long, rate),
        Learner("error relay, unscreened, fine", fine, long, rate),
        Learner(f"error relay, radius {settings.radius}", radius, brief, rate),
        Learner("fixed random feedback", relay, brief, rate, feedback.random),
        Learner("learned feedback", learned, brief, rate, feedback.random),
        Learner("broadcast", broadcast, brief, rate, feedback.broadcast),
        agreeing,
        *(changed(agreeing, f"rate x {f:g}", rates=(f * eta,)) for f in settings.eta_factors),
        *(
            changed(agreeing, f"apical x {f:g}", restoring=True, rule=partial(equilibrium, apical=f))
            for f in settings.apical_factors
        ),
        changed(agreeing, "decay", restoring=True, **decay),
        Learner("backprop", Backprop, brief, twin_rate),
        Learner(f"predictive coding, {settings.steps} steps", stepwise, brief, twin_rate),
        Learner("predictive coding, equilibrium", partial(PredictiveCoding, steps=None), brief, twin_rate),
    ]


def changed(plain: Learner, setting: str, *, restoring: bool = False, **fields: Any) -> Learner:
    """Return a learner that differs from a plain rule in a setting, which may be a force that restores the weights."""
    about = {"rule": plain.name, "setting": setting, "restoring": restoring}
    return replace(plain, name=f"{plain.name}, {setting}", setting=about, **fields)


class Cascade(Bench):
    """What all lives share, and the lives themselves."""

    def __init__(self, settings: Settings) -> None:
        self.settings, everyone = settings, learners(settings)
        n_events = round(settings.occurrences[-1] / min(settings.event_fractions)) + 2 * settings.n_around
        longest = n_events * max(float(one.timing.event / one.timing.resolution) for one in everyone)
        super().__init__(chain.circuit(settings.n_hops), digits(), settings.seeds, everyone, longest=longest)
        self.auditing = threading.Lock()

    def schedule(self, event_fraction: float, seed: int) -> Schedule:
        """Return the life of a condition, the same for every learner, with some background before and after."""
        rng = np.random.default_rng([seed, round(1e6 * event_fraction)])
        n_events = round(self.settings.occurrences[-1] / event_fraction)
        life = random_life(self.task, event_fraction=event_fraction, n_events=n_events, seed=rng)
        return self.background(rng) + life + self.background(rng)

    def background(self, rng: np.random.Generator) -> Schedule:
        """Return a few background events."""
        shown = rng.choice(self.task.indices(rare=False, held_out=False), self.settings.n_around)
        return Schedule.of(Event(int(s), int(self.task.label[s])) for s in shown)

    def single(self, seed: int) -> list[Schedule]:
        """Return lives of one background event and then a rare one."""
        rng = np.random.default_rng([seed, 1])
        label, n = self.task.label, self.settings.n_single
        rare = rng.choice(self.task.indices(rare=True, held_out=False), n)
        first = rng.choice(self.task.indices(rare=False, held_out=False), n)
        return [
            Schedule.of([Event(int(a), int(label[a])), Event(int(b), int(label[b]), Kind.RARE)])
            for a, b in zip(first, rare, strict=True)
        ]


def plan(bench: Cascade, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the lives, the longest first, then the audits."""
    yield [
        condition
        for fraction in sorted(settings.event_fractions)
        for one in bench.learners
        for condition in conditions(LEARNING, [one], event_fraction=(fraction,), seed=settings.seeds, rate=one.rates)
    ]
    yield [
        condition
        for one in bench.learners
        if one.spikes
        for condition in conditions(AUDIT, [one], seed=settings.seeds, rate=one.rates)
    ]


def measured(bench: Cascade, condition: Condition) -> Measure | xr.Dataset:
    """Measure one condition."""
    return audited(bench, condition) if condition.kind == AUDIT else lived_through(bench, condition)


def lived_through(bench: Cascade, condition: Condition) -> Measure:
    """Live a condition beside its sham runs: change at every look, error spikes, mismatch and latency."""
    settings, learner, circuit = bench.settings, condition.who, bench.circuit
    schedule = bench.schedule(condition["event_fraction"], condition["seed"])
    looks = np.flatnonzero(schedule.rare)[np.array(settings.occurrences) - 1]
    life = bench.life(condition, schedule, snapshots=looks.tolist())
    lived = yield from bench.beside_shams(life)
    found = measure.events(schedule, learner.timing)
    found |= measure.output_error(bench.task, schedule, lived[0].prediction)
    found["snapshot_occurrence"] = labelled(
        "snapshot", settings.occurrences, "occurrence after which the weights were looked at"
    )
    found |= measure.changes(circuit, life.weights, *(one.snapshots for one in lived))
    if learner.spikes:
        spikes = [one.error_signal for one in lived]
        found |= measure.error_spikes(*(one[schedule.rare] for one in spikes))
        found |= measure.mismatch(circuit, schedule, spikes[0], life.rule.theta, settings.n_around)
        # A low threshold and no leak, so that the speed of the signal is measured.
        rule = replace(life.rule, theta=settings.theta_single, tau_e=np.inf * second)
        pairs = []
        for one in bench.single(condition["seed"]):
            single = bench.life(condition, one, rule=rule)
            pairs.append((yield bench.ask(single, replace(single, schedule=one.sham()))))
        found |= measure.latency(circuit, [(real, sham) for real, sham in pairs], 1, learner.timing)
    return measure.dataset(circuit, found)


def audited(bench: Cascade, condition: Condition) -> xr.Dataset:
    """Audit a network that lives in spikes: from how far away an update can be influenced in one time step."""
    start = bench.start[condition["seed"]]
    BrianLogger.suppress_name("unused_brian_object")  # the network never runs
    with bench.auditing:  # the target is a preference of the whole process
        target = prefs.codegen.target
        prefs.codegen.target = "numpy"  # or making synapses would wait for a compiler
        try:
            network = build(bench.circuit, condition.rule, start, feedback=bench.feedback(condition))
            report = audit(Network(*chain.with_an_outcome(network).objects))
        finally:
            prefs.codegen.target = target
    hops = float(max(weight.hops_in_step for weight in report.weights))
    words = "hops from which an update can be influenced in one time step, at most (audit)"
    return xr.Dataset({"audit_hops": labelled((), hops, words)})


# ------------------------------------------------------------------------------------------ summary

AXES = ("learner", "event_fraction", "seed")
COPIED = ("latency", "mismatch_before", "mismatch_during", "mismatch_after")
"""What the summary takes from the runs as it is."""


def summarise(bench: Cascade, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the measures of all runs into labelled arrays."""
    lived = by_labels(runs.of(LEARNING), *AXES).reindex(event_fraction=list(settings.event_fractions))
    change, floor = lived["change"], sham_floor(lived["change_floor"])
    occurrence = np.array(settings.occurrences)
    arrival = partial(each, partial(reach.arrival, occurrence=occurrence), over=("snapshot", "hop"), gives=("hop",))
    reached = each(reach.reach, change, floor, over="hop")
    speed = each(partial(reach.front_speed, occurrence=occurrence), reached, over="snapshot")
    last, last_floor = change.isel(snapshot=-1), floor.isel(snapshot=-1)
    length = each(reach.screening_length, last, last_floor, over="hop")
    rate = xr.DataArray([one.rates[0] for one in bench.learners], dims="learner")
    per_hop = each(reach.time_per_hop, lived["latency"], over="hop")
    found = {name: lived[name].variable for name in COPIED} | {
        "change": named(last, "relative change of the weights against the sham run, at the end of the life"),
        "change_floor": named(
            last_floor.broadcast_like(last).transpose(*last.dims),
            "relative change of the weights between two sham runs (sham floor), at the end of the life",
        ),
        "reach": named(
            reached.isel(snapshot=-1).astype(float), "last hop the change reaches, at the end of the life (-1: none)"
        ),
        "arrival": named(arrival(change, floor), "occurrence at which the change first reaches the hop (NaN: never)"),
        "arrival_exact": named(
            arrival(change, xr.zeros_like(change)), "occurrence at which the hop first changes at all (NaN: never)"
        ),
        "front_speed": named(speed, "hops reached per occurrence, up to where the front gets"),
        "time_per_hop": named(per_hop, "time that the error takes from hop to hop (NaN: under three hops)", "ms"),
        "screening_length": named(length, "e-folding distance of the change, in hops"),
        "learning_rate": named(rate.broadcast_like(speed).transpose(*AXES), "learning rate"),
        "audit_hops": by_labels(runs.of(AUDIT), "learner", "seed")
        .reindex(learner=lived["learner"].values)["audit_hops"]
        .variable,
    }
    axes = {name: lived[name].variable for name in AXES} | {"hop": measure.hop_axis(settings.n_hops)}
    return {"summary": xr.Dataset(found, axes | belonging(bench.learners))}


def belonging(everyone: Sequence[Learner]) -> dict[str, xr.Variable]:
    """Return coordinates that say how learners belong together."""
    about: list[dict[str, Any]] = [
        {"rule": one.name, "setting": "", "restoring": False} | dict(one.setting) for one in everyone
    ]
    words = {
        "rule": "the plain rule",
        "setting": "what is changed against the plain rule",
        "restoring": "whether that is a force that restores the weights",
    }
    return {name: labelled("learner", [one[name] for one in about], said) for name, said in words.items()}


# ------------------------------------------------------------------------------------------ what is shown


def tables(recording: Recording) -> Iterator[Table]:
    """Yield how far and how fast the front gets, by event fraction, and how the equilibrium relay rests."""
    summary = recording.summary.transpose(..., "seed", "hop")
    last = recording[LEARNING]["snapshot_occurrence"].values[0, -1]
    headings = (
        "learner",
        "hears in a step from (audit)",
        "hops changed at all at the first",
        "reach at the last",
        "hops per occurrence",
        "ms per hop",
    )
    for fraction in summary["event_fraction"].values:
        found = summary.sel(event_fraction=fraction)
        columns = [found["audit_hops"], (found["arrival_exact"] == 1).sum("hop")]
        columns += [found[name] for name in ("reach", "front_speed", "time_per_hop")]
        yield table(
            f"Event fraction {fraction:g}, {last} occurrences; mean over {n_seeds(recording)} [95 % interval]",
            headings,
            [[str(name), *(text(one.sel(learner=name)) for one in columns)] for name in found["learner"].values],
        )
    name, fraction = "equilibrium relay", summary["event_fraction"].values[0]
    if name in summary["learner"]:
        mean = summary.sel(learner=name, event_fraction=fraction).mean("seed")
        yield table(
            f"Mismatch of {name}, spikes per cell and event, fraction {fraction:g}: mean of {n_seeds(recording)}",
            ["hop", *(f"{h}" for h in mean["hop"].values)],
            [[when, *(f"{m:.2g}" for m in mean[f"mismatch_{when}"].values)] for when in ("before", "during", "after")],
        )


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw the cascade and the front."""
    from bioplastic import plots

    # The rarest events: there the restoring forces have the longest time between two occurrences.
    rarest = float(recording.summary["event_fraction"].values[0])
    return {
        "": plots.cascade_figure(recording),
        "-front": plots.front_figure(recording, event_fraction=rarest),
    }


STUDY = Study(
    name="cascade",
    title="How a change cascades upstream, occurrence by occurrence, for every rule",
    settings=SETTINGS,
    bench=Cascade,
    plan=plan,
    measure=measured,
    summarise=summarise,
    tables=tables,
    figures=figures,
    running_time={"": "6 minutes", "quick": "a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
