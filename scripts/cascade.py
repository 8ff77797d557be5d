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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from bioplastic_models import chain
from brian2 import Network, prefs, second
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.auditing import audit
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.compiled.run import end_programs
from bioplastic.events import Event, Kind, Schedule, Timing, random_life
from bioplastic.life import Life
from bioplastic.recording import read
from bioplastic.recording import schema1 as recording
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.broadcast import random_broadcast
from bioplastic.rules.equilibrium_relay import agreeing_feedback
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.form import Rule
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.tasks import Task, digits


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    event_fractions : tuple of float
        Fractions of all events that are the rare event; at 1 no background restores anything.
    seeds : tuple of int
        One network, one life, one set of spike phases and of random feedback weights each.
    occurrences : tuple of int
        Occurrences after which the weights are looked at; a life has as many as the last one says.
    n_around : int
        Background events before the first and after the last occurrence, in which the mismatch at rest is measured.
    n_single : int
        Lives with a single rare event, for the time that an error takes from hop to hop,
    theta_single : float
        and the error threshold in them, without leak: a low one, so that the signal's speed is measured and not the
        threshold. In spikes.
    eta : float
        Learning rate of all spiking rules: hop 0 then learns the same from the same error in each. The twin's is
        this times the spikes that an outcome lasts for, so that its hop 0 does too.
    eta_factors : tuple of float
        Factors on the learning rate of the error relay and the equilibrium relay, to see whether the front depends
        on it.
    apical_factors : tuple of float
        Learning rates of the apical dendrite of the equilibrium relay, in units of `eta`, beside 1.
    decay_events : int
        Time constant of synaptic decay, in events, where there is any.
    radius : int
        Last hop that hears of an error under the rule with a radius.
    steps : int
        Inference steps of predictive coding in the twin, beside its equilibrium,
    inference_step : float
        and their size.
    """

    n_hops: int = chain.N_HOPS
    event_fractions: tuple[float, ...] = (0.1, 0.3, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    occurrences: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30)
    n_around: int = 10
    n_single: int = 3
    theta_single: float = 0.05
    eta: float = 0.001
    eta_factors: tuple[float, ...] = (0.3, 3.0)
    apical_factors: tuple[float, ...] = (0.0, 10.0)
    decay_events: int = 30
    radius: int = 2
    steps: int = 3
    inference_step: float = 0.2


QUICK = Config(
    event_fractions=(0.3,),
    seeds=(0, 1),
    occurrences=(1, 2, 4),
    n_around=2,
    n_single=1,
    eta_factors=(),
    apical_factors=(0.0,),
)


@dataclass(frozen=True)
class Learner:
    """One way to learn.

    Attributes
    ----------
    name : str
    rule : Rule or rule of the twin
    timing : Timing
    feedback : callable, optional
        (circuit, weights, task, seed) -> `Feedback`; the forward weights by default.
    decays : bool
        Whether synapses decay to where they started.
    """

    name: str
    rule: Any
    timing: Timing
    feedback: Callable[[Circuit, Weights, Task, int], Feedback] | None = None
    decays: bool = False

    @property
    def spikes(self) -> bool:
        """Whether it lives in spikes, not in the twin."""
        return hasattr(self.rule, "code")


def learners(config: Config) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    brief, long = chain.timing(config.n_hops), chain.long_timing(config.n_hops)
    eta = config.eta

    def randomly(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        return random_feedback(circuit, weights, seed)

    def broadcast(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        return random_broadcast(circuit, seed)

    def agreeing(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        background = task.indices(rare=False, held_out=False)
        return agreeing_feedback(circuit, weights, task.stimuli[background])

    relay = partial(chain.screened, n_hops=config.n_hops)
    equilibrium = partial(chain.equilibrium, n_hops=config.n_hops)
    spikes_per_outcome = float(chain.OUTCOME * CellParameters().rmax)
    twin_eta = eta * spikes_per_outcome
    return [
        Learner("error relay", relay(eta), brief),
        *(Learner(f"error relay, rate x {f:g}", relay(f * eta), brief) for f in config.eta_factors),
        Learner("error relay, decay", relay(eta), brief, decays=True),
        Learner("error relay, unscreened", chain.unscreened(eta), long),
        Learner("error relay, unscreened, fine", replace(chain.unscreened(eta), theta=config.theta_single), long),
        Learner(f"error relay, radius {config.radius}", chain.radius(eta, config.n_hops, config.radius), brief),
        Learner("fixed random feedback", relay(eta), brief, randomly),
        Learner("learned feedback", chain.learned(eta, config.n_hops), brief, randomly),
        Learner("broadcast", chain.broadcast(eta, config.n_hops), brief, broadcast),
        Learner("equilibrium relay", equilibrium(eta, eta), brief, agreeing),
        *(
            Learner(f"equilibrium relay, rate x {f:g}", equilibrium(f * eta, f * eta), brief, agreeing)
            for f in config.eta_factors
        ),
        *(
            Learner(f"equilibrium relay, apical x {f:g}", equilibrium(eta, f * eta), brief, agreeing)
            for f in config.apical_factors
        ),
        Learner("equilibrium relay, decay", equilibrium(eta, eta), brief, agreeing, decays=True),
        Learner("backprop", Backprop(twin_eta), brief),
        Learner(
            f"predictive coding, {config.steps} steps",
            PredictiveCoding(twin_eta, steps=config.steps, step_size=config.inference_step),
            brief,
        ),
        Learner("predictive coding, equilibrium", PredictiveCoding(twin_eta, steps=None), brief),
    ]


MISMATCH = ("mismatch_before", "mismatch_during", "mismatch_after")
MEASURED = (
    "change",
    "change_floor",
    "reach",
    "arrival",
    "arrival_exact",
    "front_speed",
    "latency",
    "time_per_hop",
    "screening_length",
    *MISMATCH,
    "learning_rate",
)


@dataclass(frozen=True)
class Condition:
    """One run: a learner lives a life, beside its sham runs."""

    learner: Learner
    event_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        return f"{self.learner.name.replace(', ', '-').replace(' ', '_')}-f{self.event_fraction:g}-s{self.seed}"


class Bench:
    """What all runs share: the task, the circuit, the start weights, a compiled model for each kind of rule."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task = digits()
        self.circuit = chain.circuit(config.n_hops)
        self.weights: dict[int, Weights] = {}
        self.models: dict[type, spiking.Model] = {}

    def prepare(self, everyone: Sequence[Learner], progress: Callable[[float], None]) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        from bioplastic import twin

        cache = cache_folder() / "weights"
        found = twin.pretrained(self.circuit, self.task, self.config.seeds, cache=cache)
        self.weights = dict(zip(self.config.seeds, found, strict=True))
        rules: dict[type, Rule] = {type(x.rule): x.rule for x in everyone if x.spikes}
        steps = max(
            len(self.schedule(f, 0)) * float(x.timing.event / x.timing.resolution)
            for f, x in product(self.config.event_fractions, everyone)
        )
        for k, (kind, rule) in enumerate(rules.items()):
            progress((k + 1) / (len(rules) + 1))
            decays = any(x.decays for x in everyone if type(x.rule) is kind)
            spec = spiking.ModelSpec.with_room(self.circuit, rule, self.task, steps, restoring=decays)
            self.models[kind] = spiking.model(spec, self.task)
        progress(1)

    def schedule(self, event_fraction: float, seed: int) -> Schedule:
        """Return the life of a condition, the same for every learner, with some background before and after."""
        rng = np.random.default_rng([seed, round(1e6 * event_fraction)])
        n_events = round(self.config.occurrences[-1] / event_fraction)
        life = random_life(self.task, event_fraction=event_fraction, n_events=n_events, seed=rng)
        return self.background(rng) + life + self.background(rng)

    def background(self, rng: np.random.Generator) -> Schedule:
        """Return a few background events."""
        shown = rng.choice(self.task.indices(rare=False, held_out=False), self.config.n_around)
        return Schedule.of(Event(int(s), int(self.task.label[s])) for s in shown)

    def single(self, seed: int) -> list[Schedule]:
        """Return lives of one background event and then a rare one."""
        rng = np.random.default_rng([seed, 1])
        rare = rng.choice(self.task.indices(rare=True, held_out=False), self.config.n_single)
        first = rng.choice(self.task.indices(rare=False, held_out=False), self.config.n_single)
        label = self.task.label
        return [
            Schedule.of([Event(int(a), int(label[a])), Event(int(b), int(label[b]), Kind.RARE)])
            for a, b in zip(first, rare, strict=True)
        ]

    def life(self, condition: Condition, schedule: Schedule) -> Life:
        """Return a life in spikes, without snapshots."""
        learner, start = condition.learner, self.weights[condition.seed]
        feedback = learner.feedback
        return Life(
            schedule,
            learner.rule,
            start,
            learner.timing,
            None if feedback is None else feedback(self.circuit, start, self.task, condition.seed),
            seed=condition.seed,
            tau_w=(self.config.decay_events if learner.decays else np.inf) * learner.timing.event,
        )

    def live_in_spikes(self, condition: Condition) -> recording.Run:
        """Live one condition in spikes: the run, its sham, and a second sham with other spike phases."""
        model = self.models[type(condition.learner.rule)]
        schedule = self.schedule(condition.event_fraction, condition.seed)
        looks = np.flatnonzero(schedule.rare)[np.array(self.config.occurrences) - 1]
        life = replace(self.life(condition, schedule), snapshots=looks.tolist())
        sham = replace(life, schedule=schedule.sham())
        lived = [model.live(one) for one in (life, sham, replace(sham, seed=condition.seed + 1_000_000))]
        spikes = [one.error_signal for one in lived]
        rows = [[weights.forward for weights in one.snapshots] for one in lived]
        run = self.described(condition, schedule, lived[0].prediction, rows)
        return replace(
            run,
            error_spikes=spikes[0][schedule.rare],
            error_spikes_sham=spikes[1][schedule.rare],
            error_spikes_sham2=spikes[2][schedule.rare],
            latency=self.latency(condition),
            **dict(zip(MISMATCH, self.mismatch(schedule, spikes[0], condition.learner.rule.theta), strict=True)),
        )

    def mismatch(self, schedule: Schedule, error_spikes: np.ndarray, theta: float) -> np.ndarray:
        """Mismatch signalled per cell and event, before, during and after the occurrences, shape (3, n_hops)."""
        hop = self.circuit.population_hops
        cells = np.zeros(self.circuit.n_hops)
        for population in self.circuit.populations:
            if population.role != "input":
                cells[int(hop[population.name])] += population.size
        per_cell = theta * error_spikes / cells
        n = self.config.n_around
        return np.array([per_cell[:n].mean(0), per_cell[schedule.rare].mean(0), per_cell[-n:].mean(0)])

    def latency(self, condition: Condition) -> np.ndarray:
        """Milliseconds from the outcome's onset until error spikes first differ from the sham run, mean over lives."""
        model = self.models[type(condition.learner.rule)]
        hop = np.concatenate(
            [np.full(p.size, self.circuit.population_hops[p.name]) for p in self.circuit.populations]
        ).astype(int)
        found = []
        fine = replace(condition.learner.rule, theta=self.config.theta_single, tau_e=np.inf * second)
        for schedule in self.single(condition.seed):
            life = replace(self.life(condition, schedule), rule=fine)
            real, sham = (model.live(one) for one in (life, replace(life, schedule=schedule.sham())))
            errors = [one.error_spikes for one in (real, sham) if one.error_spikes is not None]
            spikes = [(one.time, one.cell, one.sign) for one in errors if one.sign is not None]
            assert real.onset is not None
            onset = real.onset[1] + float(condition.learner.timing.lead)
            found.append(1000 * (reach.first_difference(spikes[0], spikes[1], hop, self.circuit.n_hops) - onset))
        everywhere = np.isfinite(found).all(0)  # a hop that some events do not reach has no mean
        return np.where(everywhere, np.nan_to_num(found).mean(0), np.nan)

    def audited(self, everyone: Sequence[Learner], progress: Callable[[float], None]) -> np.ndarray:
        """Audit every network that lives in spikes: from how far away an update can be influenced in one time step.

        Returns
        -------
        array, shape (n_learners, n_seeds)
            Hops, the most over all plastic weights; NaN for learners of the twin.
        """
        found = np.full((len(everyone), len(self.config.seeds)), np.nan)
        target = prefs.codegen.target
        prefs.codegen.target = "numpy"  # these networks never run
        try:
            for (i, learner), (k, seed) in product(enumerate(everyone), enumerate(self.config.seeds)):
                if learner.spikes:
                    life = self.life(Condition(learner, 1.0, seed), self.background(np.random.default_rng(seed)))
                    network = spiking.build(self.circuit, life.rule, life.weights, feedback=life.feedback)
                    report = audit(Network(*chain.with_an_outcome(network).objects))
                    found[i, k] = max(weight.hops_in_step for weight in report.weights)
                progress((i * len(self.config.seeds) + k + 1) / found.size)
        finally:
            prefs.codegen.target = target
        return found

    def live_in_twin(self, conditions: Sequence[Condition], progress: Callable[[float], None]) -> list[recording.Run]:
        """Live conditions of one learner and one event fraction in the rate twin, all in one tensor program."""
        from bioplastic import twin

        schedules = [self.schedule(c.event_fraction, c.seed) for c in conditions]
        lives = []
        for condition, schedule in zip(conditions, schedules, strict=True):
            looks = np.flatnonzero(schedule.rare)[np.array(self.config.occurrences) - 1].tolist()
            life = Life(schedule, condition.learner.rule, self.weights[condition.seed], snapshots=looks)
            lives += [life, replace(life, schedule=schedule.sham())]
        lived = twin.live(self.circuit, self.task, lives, progress=progress)
        runs = []
        for k, (condition, schedule) in enumerate(zip(conditions, schedules, strict=True)):
            real, sham = lived[2 * k : 2 * k + 2]
            # Nothing in the twin is random, so a second sham run would be the first to the bit: its floor is 0.
            rows = [[one.forward for one in x.snapshots] for x in (real, sham, sham)]
            runs.append(self.described(condition, schedule, real.prediction, rows))
        return runs

    def described(
        self, condition: Condition, schedule: Schedule, prediction: np.ndarray, rows: Sequence[Sequence[Any]]
    ) -> recording.Run:
        """Return a run with its condition, events and changes, from weights at the looks of the run and its shams."""
        start = self.weights[condition.seed].forward
        distance = partial(reach.relative_change, self.circuit, start=start)
        real, sham, sham2 = rows
        learner = condition.learner
        run = script.describe(
            schedule,
            learner.timing,
            arm="learning",
            learner=learner.name,
            event_fraction=condition.event_fraction,
            seed=condition.seed,
            learning_rate=learner.rule.eta,
            output_error=np.square(prediction - self.task.outcomes[schedule.outcome]).sum(1),
        )
        return replace(
            run,
            snapshot_occurrence=np.array(self.config.occurrences),
            change=np.array([distance(a, b) for a, b in zip(real, sham, strict=True)]),
            change_floor=np.array([distance(a, b) for a, b in zip(sham2, sham, strict=True)]),
            change_sham=np.array([distance(a, start) for a in sham]),
        )


def summarise(config: Config, experiment: recording.Experiment, audit_hops: np.ndarray) -> recording.Summary:
    """Gather the measures of all runs into labelled arrays."""
    everyone = learners(config)
    length = {
        "learner": len(everyone),
        "event_fraction": len(config.event_fractions),
        "replay": 1,
        "seed": len(config.seeds),
        "hop": config.n_hops,
    }
    values = {
        name: np.full([length[dim] for dim in recording.SUMMARY_VARIABLES[name].dims], np.nan) for name in MEASURED
    }
    for (i, learner), (j, fraction) in product(enumerate(everyone), enumerate(config.event_fractions)):
        runs = [experiment.run(Condition(learner, fraction, seed).name) for seed in config.seeds]
        floor = reach.spread([run.measured("change_floor") for run in runs])
        for k, run in enumerate(runs):
            change, occurrence = run.measured("change"), run.measured("snapshot_occurrence")
            reached = np.array([reach.reach(c, f) for c, f in zip(change, floor, strict=True)])
            cell = {
                "change": change[-1],
                "change_floor": floor[-1],
                "reach": reached[-1],
                "arrival": reach.arrival(change, floor, occurrence),
                "arrival_exact": reach.arrival(change, np.zeros_like(change), occurrence),
                "front_speed": reach.front_speed(reached, occurrence),
                "screening_length": reach.screening_length(change[-1], floor[-1]),
                "learning_rate": run.learning_rate,
            }
            if learner.spikes:
                cell |= {name: run.measured(name) for name in (*MISMATCH, "latency")}
                cell["time_per_hop"] = reach.time_per_hop(cell["latency"])
            for name, value in cell.items():
                values[name][i, j, 0, k] = value
    return recording.Summary(
        learner=tuple(x.name for x in everyone),
        event_fraction=np.array(config.event_fractions),
        replay=("off",),
        seed=np.array(config.seeds),
        hop=np.arange(config.n_hops),
        variables=values | {"audit_hops": audit_hops},
    )


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
        `out`; the figures lie beside it.
    """
    bench = Bench(config)
    title = "How a change cascades upstream, occurrence by occurrence, for every rule"
    experiment = script.begin(out, title=title, config=config, circuit=bench.circuit.to_json(), script=Path(__file__))
    if experiment is None:
        return out
    everyone = learners(config)
    # The longest lives first, so that no process is left alone with one at the end.
    conditions = [Condition(x, f, s) for f in sorted(config.event_fractions) for x in everyone for s in config.seeds]
    missing = [c for c in conditions if not experiment.has(c.name)]
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("pretraining, compiling", total=100)
        bench.prepare(everyone, lambda done: bar.update(row, completed=int(100 * done)))
        in_twin = [c for c in missing if not c.learner.spikes]
        row = bar.add_task("twin", total=len(in_twin))
        for learner, fraction in product(everyone, config.event_fractions):
            batch = [c for c in in_twin if c.learner.name == learner.name and c.event_fraction == fraction]
            if batch:
                for condition, lived in zip(batch, bench.live_in_twin(batch, lambda _: None), strict=True):
                    experiment.add(condition.name, lived)
                    bar.advance(row)
        in_spikes = [c for c in missing if c.learner.spikes]
        row = bar.add_task("spikes", total=len(in_spikes))
        sweep.run_all(
            in_spikes,
            lambda c: experiment.add(c.name, bench.live_in_spikes(c)),
            executor,
            done=lambda _: bar.advance(row),
            stop=end_programs,
        )
        row = bar.add_task("audit", total=1.0)
        audit_hops = bench.audited(everyone, lambda done: bar.update(row, completed=done))
    experiment.finish(summarise(config, experiment, audit_hops))
    return out


def estimate(values: np.ndarray, digits: int = 2) -> str:
    """Mean over seeds and 95 % interval, as text; a dash where nothing was measured."""
    if not np.isfinite(values).all():
        return "-"
    low, high = reach.interval(values[None])
    return f"{values.mean():.{digits}g} [{low[0]:.{digits}g}, {high[0]:.{digits}g}]"


def show(path: Path) -> None:
    """Print the tables and draw the figures."""
    done = recording.read(path)
    summary = done.summary
    console = script.console()
    variables = {name: summary.variable(name).values for name in summary.variables}
    last = done.runs[done.find(role="result")[0]].measured("snapshot_occurrence")[-1]
    n_seeds = f"{len(summary.seed)} seed{'s' * (len(summary.seed) > 1)}"
    for j, fraction in enumerate(summary.event_fraction):
        table = Table(title=f"Event fraction {fraction:g}, {last} occurrences; mean over {n_seeds} [95 % interval]")
        for heading in (
            "learner",
            "hears in a step from (audit)",
            "hops changed at all at the first",
            "reach at the last",
            "hops per occurrence",
            "ms per hop",
        ):
            table.add_column(heading, justify="left" if heading == "learner" else "right")
        for i, name in enumerate(summary.learner):
            first = (variables["arrival_exact"][i, j, 0] == 1).sum(-1).astype(float)
            table.add_row(
                name,
                estimate(variables["audit_hops"][i]),
                estimate(first),
                *(estimate(variables[v][i, j, 0]) for v in ("reach", "front_speed", "time_per_hop")),
            )
        console.print(table)
    for i, name in enumerate(summary.learner):
        if name != "equilibrium relay":
            continue
        fraction = summary.event_fraction[0]
        table = Table(title=f"Mismatch of {name}, spikes per cell and event, fraction {fraction:g}: mean of {n_seeds}")
        table.add_column("hop")
        for h in summary.hop:
            table.add_column(f"{h}", justify="right")
        for when in ("before", "during", "after"):
            table.add_row(when, *(f"{m:.2g}" for m in variables[f"mismatch_{when}"][i, 0, 0].mean(0)))
        console.print(table)
    # The rarest events: there the restoring forces have the longest time between two occurrences.
    recorded = read(path)
    front = plots.front_figure(recorded, event_fraction=float(summary.event_fraction[0]))
    for figure, suffix in ((plots.cascade_figure(recorded), ""), (front, "-front")):
        for written in plots.save(figure, path.with_name(f"{path.stem}{suffix}")):
            console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}; look into it with: bioplastic inspect {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="cascade",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one fraction, two seeds, four occurrences, a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
