"""Measure how many hops upstream a rare event reaches, in spikes and in backprop.

Question
    A chain has learned the digits 0 to 8; now and then a 9 comes along. How far upstream does its error signal get
    (weights frozen), and how far does change get (weights learning), as a function of how often it comes?
Source
    The argument and the model: docs/model.md; the circuit and its parameters: models/chain.py.
Command
    python scripts/reach_vs_frequency.py [--quick | --full] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick 1 minute, --full 1 hour. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from bioplastic_models import chain
from rich.table import Table

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.circuit import Circuit, Weights
from bioplastic.compiled.run import end_programs
from bioplastic.events import Schedule, Timing, probes, random_life
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.tasks import Task, digits

TUNING_SEEDS = (998, 999)
"""Learning rates are chosen on networks of their own, not on those that give the results."""
FAIR_FALL = 20
"""Factor by which backprop's gradient may fall along the chain before the comparison is none."""
FAIR = "backprop gets a fair chance"
UNFAIR = f"more than {FAIR_FALL}, so backprop does not get a fair chance; shorten the chain"
SMALLEST_IMPROVEMENT = 0.05
"""Fraction of the output error that must be gone before anybody asks which hops it was that did it."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    event_fractions : tuple of float
        Fractions of all events that are the rare event.
    seeds : tuple of int
        One network, one life and one set of spike phases each.
    n_events : int
        Length of a life in the learning arm, in events.
    n_occurrences_frozen : int
        A life in the frozen arm lasts for at least this many rare events,
    n_events_frozen : int
        and for at least this many events.
    n_counted : int
        Events, from an occurrence on, over which its error spikes are counted: what an event leaves below threshold
        in a cell, the next ones may push over it. More events count more of that, and more noise.
    tuning_fraction : float
        Event fraction at which the learning rates are chosen: high, so that there is something to learn.
    spiking_rates, backprop_rates : tuple of float
        Learning rates to choose from.
    truncation : int
        Last hop that learns in truncated backprop, and the inference steps of predictive coding that is screened.
    inference_step : float
        Step size of predictive coding.
    latent_step : float
        Time step of Latent Equilibrium, in units of tau_m.
    attenuation : float
        Factor per hop on the learning rate of backprop with a falling rate.
    n_probes : int
        Most held-out images of each kind, rare and background, on which accuracy is measured in spikes.
    """

    n_hops: int = chain.N_HOPS
    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    seeds: tuple[int, ...] = (0, 1, 2)
    n_events: int = 300
    n_occurrences_frozen: int = 8
    n_events_frozen: int = 120
    n_counted: int = 3
    tuning_fraction: float = 0.3
    spiking_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03)
    backprop_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    truncation: int = 3
    inference_step: float = 0.2
    latent_step: float = 0.5
    attenuation: float = 0.5
    n_probes: int = 50


FULL = Config(
    event_fractions=(0.003, 0.01, 0.03, 0.1, 0.3),
    seeds=tuple(range(10)),
    n_events=1000,
    spiking_rates=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
)
QUICK = Config(
    event_fractions=(0.03, 0.3),
    seeds=(0, 1),
    n_events=40,
    n_occurrences_frozen=2,
    n_events_frozen=40,
    spiking_rates=(0.001, 0.003),
    backprop_rates=(0.03, 0.1),
    n_probes=10,
)


@dataclass(frozen=True)
class Learner:
    """One way to learn.

    Attributes
    ----------
    name : str
    rule : callable
        The rule at a learning rate.
    timing : Timing
        Phases of its events.
    rates : tuple of float
        Learning rates to choose from.
    inference : str
        How it infers in the twin: learners with the same live in one tensor program. Empty for one that spikes.
    """

    name: str
    rule: Callable[[float], Any]
    timing: Timing
    rates: tuple[float, ...]
    inference: str = ""

    @property
    def spikes(self) -> bool:
        """Whether it lives in spikes, not in the twin."""
        return not self.inference


def learners(config: Config) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    brief, long = chain.timing(config.n_hops), chain.long_timing(config.n_hops)
    slow, fast = config.spiking_rates, config.backprop_rates
    screened = partial(chain.screened, n_hops=config.n_hops)
    relaxing = partial(PredictiveCoding, step_size=config.inference_step)
    # An error travels one hop per time step; the outcome has to stay until it can have passed every hop.
    latent = partial(LatentEquilibrium, dt=config.latent_step, duration=config.latent_step * max(12, config.n_hops))
    return [
        Learner("error relay", screened, brief, slow),
        Learner("error relay, unscreened", chain.unscreened, long, slow),
        Learner("backprop", Backprop, brief, fast, "backprop"),
        Learner("backprop, truncated", partial(Backprop, depth=config.truncation), brief, fast, "backprop"),
        Learner("backprop, falling rate", partial(Backprop, attenuation=config.attenuation), brief, fast, "backprop"),
        Learner(
            f"predictive coding, {config.truncation} steps",
            partial(relaxing, steps=config.truncation),
            brief,
            fast,
            "predictive coding in steps",
        ),
        Learner("predictive coding, equilibrium", partial(relaxing, steps=None), brief, fast, "predictive coding"),
        Learner("latent equilibrium", latent, brief, fast, "latent equilibrium"),
    ]


@dataclass(frozen=True)
class Condition:
    """One run: a learner lives a life, beside its sham runs."""

    arm: str
    learner: Learner
    event_fraction: float
    seed: int
    eta: float
    role: str = "result"

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        slug = self.learner.name.replace(", ", "-").replace(" ", "_")
        eta = f"-eta{self.eta:g}" if self.role == "sweep" else ""
        return f"{self.arm}-{slug}-f{self.event_fraction:g}-s{self.seed}{eta}"


class Bench:
    """What all runs share: the task, the circuit, the start weights, the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.task: Task = digits()
        self.circuit: Circuit = chain.circuit(config.n_hops)
        self.weights: dict[int, Weights] = {}
        self.model: spiking.Model | None = None
        self._spiking_accuracy: dict[int, tuple[float, float]] = {}
        rng = np.random.default_rng(0)
        self.rare = self.task.indices(rare=True, held_out=True)
        self.background = self.task.indices(rare=False, held_out=True)
        self.probes = [rng.permutation(part)[: config.n_probes] for part in (self.rare, self.background)]

    def prepare(self, progress: Callable[[float], None], *, compile_model: bool) -> None:
        """Pretrain the networks and compile the model, both from the cache if they are there."""
        from bioplastic import twin

        with ThreadPoolExecutor(1) as executor:
            compiling = executor.submit(self._compile) if compile_model else None
            seeds = (*self.config.seeds, *TUNING_SEEDS)
            cache = cache_folder() / "weights"
            found = twin.pretrained(self.circuit, self.task, seeds, cache=cache, progress=progress)
            self.weights = dict(zip(seeds, found, strict=True))
            if compiling is not None:
                self.model = compiling.result()

    def _compile(self) -> spiking.Model:
        longest = max(self.n_events("frozen", f) for f in self.config.event_fractions)
        steps = max(longest, self.config.n_events) * max(
            float(x.timing.event / x.timing.resolution) for x in learners(self.config)
        )
        spec = spiking.ModelSpec.with_room(self.circuit, chain.screened(), self.task, steps)
        return spiking.model(spec, self.task)

    def n_events(self, arm: str, event_fraction: float) -> int:
        """Length of a life."""
        if arm == "learning":
            return self.config.n_events
        return max(int(np.ceil(self.config.n_occurrences_frozen / event_fraction)), self.config.n_events_frozen)

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: the same for every learner."""
        rng = np.random.default_rng([condition.seed, round(1e6 * condition.event_fraction)])
        n_events = self.n_events(condition.arm, condition.event_fraction)
        return random_life(self.task, event_fraction=condition.event_fraction, n_events=n_events, seed=rng)

    def n_fixed(self) -> int:
        """Return the number of occurrences that even the rarest event has in a life."""
        return max(1, round(min(self.config.event_fractions) * self.config.n_events))

    def snapshots(self, schedule: Schedule) -> np.ndarray:
        """Return the occurrences after which the weights are looked at: few at the end, many at the start."""
        last = schedule.n_occurrences
        wanted = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233} | {self.n_fixed()}
        return np.array([*sorted({n for n in wanted if n < last})[:11], last])

    # ------------------------------------------------------------------ measures in the rate network

    def held_out_error(self, networks: Sequence[Weights], stimuli: np.ndarray) -> np.ndarray:
        """Mean squared error on some held-out images, in the rate network, shape (n_networks,)."""
        from bioplastic import twin

        predicted = twin.predict(self.circuit, networks, self.task.stimuli[stimuli])
        wanted = self.task.outcomes[self.task.label[stimuli]]
        return np.square(predicted - wanted).sum(2).mean(1)

    def with_errors(self, run: recording.Run, start: Weights, end: Weights) -> recording.Run:
        """Fill in the held-out errors before and after a life."""
        rare = self.held_out_error([start, end], self.rare)
        background = self.held_out_error([start, end], self.background)
        return replace(
            run,
            error_rare_initial=rare[0],
            error_rare_final=rare[1],
            error_background_initial=background[0],
            error_background_final=background[1],
        )

    def gradient_norm(self, seed: int) -> np.ndarray:
        """Root mean square, over the rare events to learn from, of the norm of backprop's gradient, by hop."""
        from bioplastic import twin

        rare = self.task.indices(rare=True, held_out=False)
        squares = []
        for stimulus in rare:
            wanted = self.task.outcomes[self.task.label[[stimulus]]]
            gradient = twin.gradient(self.circuit, self.weights[seed], self.task.stimuli[[stimulus]], wanted)
            squares.append([row @ row for (row,) in reach.by_hop(self.circuit, gradient)])
        return np.sqrt(np.mean(squares, axis=0))

    def accuracy(self, weights: Weights) -> tuple[float, float]:
        """Accuracy on held-out rare and background images, in the rate network."""
        from bioplastic import twin

        shown = np.concatenate([self.rare, self.background])
        predicted = twin.predict(self.circuit, [weights], self.task.stimuli[shown])[0]
        right = predicted.argmax(1) == self.task.label[shown]
        return float(right[: len(self.rare)].mean()), float(right[len(self.rare) :].mean())

    def spiking_accuracy(self, weights: Weights) -> tuple[float, float]:
        """Accuracy on held-out rare and background images, in spikes."""
        assert self.model is not None
        shown = np.concatenate(self.probes)
        life = Life(probes(shown), chain.screened(), weights, chain.timing(self.config.n_hops))
        right = self.model.live(life).prediction.argmax(1) == self.task.label[shown]
        n_rare = len(self.probes[0])
        return float(right[:n_rare].mean()), float(right[n_rare:].mean())

    def initial_spiking_accuracy(self, seed: int) -> tuple[float, float]:
        """`spiking_accuracy` of the start weights, measured once per seed."""
        if seed not in self._spiking_accuracy:
            self._spiking_accuracy[seed] = self.spiking_accuracy(self.weights[seed])
        return self._spiking_accuracy[seed]

    def functional(self, start: Weights, end: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Share of the improvement that the changed weights of some hops bring, put into the unchanged network.

        Returns
        -------
        downstream, upstream : array, shape (n_hops,)
            With the changed weights of hops 0 to h, and of hops h and more; NaN if the output hardly improved.
        """
        hop = {p.name: h for p, h in zip(self.circuit.projections, self.circuit.hops, strict=True)}
        population_hop = self.circuit.population_hops

        def mixed(first: float, last: float) -> Weights:
            return Weights(
                {k: (end if first <= hop[k] <= last else start).forward[k] for k in start.forward},
                {k: (end if first <= population_hop[k] <= last else start).bias[k] for k in start.bias},
            )

        hops = range(self.circuit.n_hops)
        networks = [start, end, *(mixed(0, h) for h in hops), *(mixed(h, np.inf) for h in hops)]
        error = self.held_out_error(networks, self.rare)
        gained = error[0] - error[1]
        enough = gained > SMALLEST_IMPROVEMENT * error[0]
        share = (error[0] - error[2:]) / gained if enough else np.full(len(networks) - 2, np.nan)
        return share[: len(hops)], share[len(hops) :]

    # ------------------------------------------------------------------ runs

    def describe(self, condition: Condition, schedule: Schedule, output_error: np.ndarray) -> recording.Run:
        """Return a run with its condition and events, to be filled with measures."""
        return script.describe(
            schedule,
            condition.learner.timing,
            arm=condition.arm,
            learner=condition.learner.name,
            event_fraction=condition.event_fraction,
            seed=condition.seed,
            learning_rate=condition.eta,
            role=condition.role,
            output_error=output_error,
        )

    def output_error(self, schedule: Schedule, prediction: np.ndarray) -> np.ndarray:
        """Squared error of each event's prediction, shape (n_events,)."""
        return np.square(prediction - self.task.outcomes[schedule.outcome]).sum(1)

    def learned(
        self,
        condition: Condition,
        run: recording.Run,
        schedule: Schedule,
        snapshots: Sequence[Sequence[Weights]],
    ) -> recording.Run:
        """Fill in the measures of the learning arm, from the weights at the snapshots of the run and its two shams."""
        real, sham, sham2 = snapshots
        from bioplastic import twin

        start = self.weights[condition.seed]
        distance = partial(reach.relative_change, self.circuit, start=start.forward)
        error = self.held_out_error([start, *real], self.rare)
        rare = schedule.rare
        gradient = twin.gradient(
            self.circuit,
            start,
            self.task.stimuli[schedule.stimulus[rare]],
            self.task.outcomes[schedule.outcome[rare]],
        )
        caused = {k: real[-1].forward[k] - sham[-1].forward[k] for k in start.forward}
        downstream, upstream = self.functional(start, real[-1])
        if condition.learner.spikes:
            before, after = self.initial_spiking_accuracy(condition.seed), self.spiking_accuracy(real[-1])
        else:
            before, after = self.accuracy(start), self.accuracy(real[-1])
        return replace(
            self.with_errors(run, start, real[-1]),
            snapshot_occurrence=self.snapshots(schedule),
            change=np.array([distance(a.forward, b.forward) for a, b in zip(real, sham, strict=True)]),
            change_floor=np.array([distance(a.forward, b.forward) for a, b in zip(sham2, sham, strict=True)]),
            change_sham=np.array([distance(b.forward, start.forward) for b in sham]),
            improvement=1 - error[1:] / error[0],
            alignment=reach.alignment(self.circuit, caused, gradient),
            functional_downstream=downstream,
            functional_upstream=upstream,
            accuracy_rare_initial=before[0],
            accuracy_rare_final=after[0],
            accuracy_background_initial=before[1],
            accuracy_background_final=after[1],
        )

    def live_in_spikes(self, condition: Condition) -> recording.Run:
        """Live one condition in spikes: the run, its sham, and a second sham with other spike phases."""
        assert self.model is not None
        schedule = self.schedule(condition)
        occurrence_event = np.flatnonzero(schedule.rare)
        learning = condition.arm == "learning"
        life = Life(
            schedule,
            condition.learner.rule(condition.eta),
            self.weights[condition.seed],
            condition.learner.timing,
            snapshots=occurrence_event[self.snapshots(schedule) - 1].tolist() if learning else (),
            seed=condition.seed,
        )
        sham = replace(life, schedule=schedule.sham())
        lived = [self.model.live(life)]
        if condition.role == "result":
            lived += [self.model.live(sham), self.model.live(replace(sham, seed=condition.seed + 1_000_000))]
        run = self.describe(condition, schedule, self.output_error(schedule, lived[0].prediction))
        if not learning:
            spikes = [reach.by_occurrence(schedule.rare, one.error_signal, self.config.n_counted) for one in lived]
            return replace(run, error_spikes=spikes[0], error_spikes_sham=spikes[1], error_spikes_sham2=spikes[2])
        if condition.role == "sweep":
            return self.with_errors(run, life.weights, lived[0].weights)
        # The last look is at the end of the life, in spikes and in rates alike.
        looks = [[*one.snapshots[:-1], one.weights] for one in lived]
        return self.learned(condition, run, schedule, looks)

    def live_in_twin(self, conditions: Sequence[Condition], progress: Callable[[float], None]) -> list[recording.Run]:
        """Live conditions of the same length in the rate twin, all in one tensor program; weights learn."""
        from bioplastic import twin

        schedules = [self.schedule(c) for c in conditions]
        lives, shams = [], []
        for condition, schedule in zip(conditions, schedules, strict=True):
            rule, start = condition.learner.rule(condition.eta), self.weights[condition.seed]
            if condition.role == "sweep":
                lives.append(Life(schedule, rule, start))
                continue
            looks = np.flatnonzero(schedule.rare)[self.snapshots(schedule) - 1].tolist()
            lives.append(Life(schedule, rule, start, snapshots=looks))
            shams.append(replace(lives[-1], schedule=schedule.sham()))
        lived = twin.live(self.circuit, self.task, [*lives, *shams], progress=progress)
        runs = []
        for k, (condition, schedule) in enumerate(zip(conditions, schedules, strict=True)):
            run = self.describe(condition, schedule, self.output_error(schedule, lived[k].prediction))
            if condition.role == "sweep":
                runs.append(self.with_errors(run, self.weights[condition.seed], lived[k].weights))
                continue
            sham = lived[len(lives) + k]
            # Nothing in the twin is random, so a second sham run would be the first to the bit: its floor is 0.
            looks = [[*one.snapshots[:-1], one.weights] for one in (lived[k], sham, sham)]
            runs.append(self.learned(condition, run, schedule, looks))
        return runs

    def frozen_in_twin(self, condition: Condition) -> recording.Run:
        """Measure the errors that the rare events cause in the rate twin while weights are held."""
        from bioplastic import twin

        schedule, weights = self.schedule(condition), self.weights[condition.seed]
        # Nothing carries over from one event to the next, so that the background need not be lived.
        rare = schedule.select(schedule.rare)
        rule = condition.learner.rule(0.0)
        lives = [Life(one, rule, weights) for one in (rare, rare.sham())]
        signal = [np.zeros((len(schedule), self.circuit.n_hops)) for _ in lives]
        for per_event, lived in zip(signal, twin.live(self.circuit, self.task, lives), strict=True):
            per_event[schedule.rare] = lived.error_signal
        shown = self.task.stimuli[schedule.stimulus]
        prediction = twin.predict(self.circuit, [weights], shown)[0]
        real, sham = (reach.by_occurrence(schedule.rare, per_event, self.config.n_counted) for per_event in signal)
        run = self.describe(condition, schedule, self.output_error(schedule, prediction))
        return replace(run, error_spikes=real, error_spikes_sham=sham, error_spikes_sham2=sham)


COPIED = (
    "alignment",
    "functional_downstream",
    "functional_upstream",
    "accuracy_rare_initial",
    "accuracy_rare_final",
    "accuracy_background_initial",
    "accuracy_background_final",
    "error_rare_initial",
    "error_rare_final",
    "error_background_initial",
    "error_background_final",
)
"""What the summary takes from the runs as it is."""


def summarise(bench: Bench, experiment: recording.Experiment) -> tuple[recording.Summary, recording.LearningRateSweep]:
    """Gather the measures of all runs into labelled arrays."""
    config = bench.config
    everyone = learners(config)
    length = {
        "learner": len(everyone),
        "event_fraction": len(config.event_fractions),
        "replay": 1,
        "seed": len(config.seeds),
        "hop": config.n_hops,
    }
    values = {
        name: np.full([length[dim] for dim in row.dims], np.nan) for name, row in recording.SUMMARY_VARIABLES.items()
    }
    values["gradient_norm"][:] = [bench.gradient_norm(seed) for seed in config.seeds]
    for i, learner in enumerate(everyone):
        eta = chosen_rate(config, experiment, learner)
        for j, fraction in enumerate(config.event_fractions):

            def runs(arm: str, learner: Learner = learner, fraction: float = fraction) -> list[recording.Run]:
                return [experiment.run(Condition(arm, learner, fraction, seed, 0.0).name) for seed in config.seeds]

            cell = frozen_measures(runs("frozen")) | learning_measures(runs("learning"), bench.n_fixed())
            for name, measured in cell.items():
                values[name][i, j, 0] = measured
            values["learning_rate"][i, j, 0] = eta
    # At matched improvement: as much as the learner that improves least gets to, at each fraction and for each seed.
    for (j, fraction), (i, learner) in product(enumerate(config.event_fractions), enumerate(everyone)):
        lived = [experiment.run(Condition("learning", learner, fraction, seed, 0.0).name) for seed in config.seeds]
        floor = reach.spread([one.measured("change_floor") for one in lived])
        for k, one in enumerate(lived):
            level = values["improvement"][:, j, 0, k].min()
            if level > 0:
                change, floor_there = (
                    reach.at_improvement(x, one.measured("improvement"), level) for x in (one.measured("change"), floor)
                )
                values["change_matched"][i, j, 0, k] = change
                values["reach_matched"][i, j, 0, k] = reach.reach(change, floor_there)
    names = tuple(x.name for x in everyone)
    summary = recording.Summary(
        learner=names,
        event_fraction=np.array(config.event_fractions),
        replay=("off",),
        seed=np.array(config.seeds),
        hop=np.arange(config.n_hops),
        variables=values,
    )
    width = max(len(x.rates) for x in everyone)
    rate, score = np.full((2, len(everyone), width), np.nan)
    for i, learner in enumerate(everyone):
        rate[i, : len(learner.rates)] = learner.rates
        score[i, : len(learner.rates)] = scores(config, experiment, learner)
    return summary, recording.LearningRateSweep(learner=names, rate=rate, score=score)


def frozen_measures(runs: Sequence[recording.Run]) -> dict[str, np.ndarray]:
    """How far the error signal gets: excess error spikes per occurrence and their floor, for each seed."""
    real, sham, sham2 = (
        np.array([run.measured(name).mean(0) for run in runs])
        for name in ("error_spikes", "error_spikes_sham", "error_spikes_sham2")
    )
    floor = reach.spread(sham2 - sham)
    return {
        "error_signal": real - sham,
        "error_signal_floor": floor,
        "error_signal_reach": np.array([reach.reach(excess, floor) for excess in real - sham]),
    }


def learning_measures(runs: Sequence[recording.Run], n_fixed: int) -> dict[str, np.ndarray]:
    """How far change gets: at the end of the life, and after a fixed number of occurrences, for each seed."""
    change = np.array([run.measured("change") for run in runs])  # (seed, snapshot, hop)
    floor = reach.spread([run.measured("change_floor") for run in runs])
    occurrence = runs[0].measured("snapshot_occurrence")
    fixed = int(np.flatnonzero(occurrence == n_fixed)[0])
    return {
        "change": change[:, -1],
        "change_floor": floor[-1],
        "reach": np.array([reach.reach(c, floor[-1]) for c in change[:, -1]]),
        "change_fixed": change[:, fixed],
        "reach_fixed": np.array([reach.reach(c, floor[fixed]) for c in change[:, fixed]]),
        "arrival": np.array([reach.arrival(c, floor, occurrence) for c in change]),
        "screening_length": np.array([reach.screening_length(c, floor[-1]) for c in change[:, -1]]),
        "improvement": np.array([run.measured("improvement")[-1] for run in runs]),
        **{name: np.array([run.measured(name) for run in runs]) for name in COPIED},
    }


def sweep_conditions(config: Config, learner: Learner) -> list[Condition]:
    """Return the runs that choose a learner's rate, the networks of one rate after the other."""
    fraction = config.tuning_fraction
    return [Condition("learning", learner, fraction, s, eta, "sweep") for eta in learner.rates for s in TUNING_SEEDS]


def scores(config: Config, experiment: recording.Experiment, learner: Learner) -> np.ndarray:
    """Return minus the held-out error that each learning rate leads to; rare and background count the same."""
    runs = [experiment.run(c.name) for c in sweep_conditions(config, learner)]
    error = [run.measured("error_rare_final") + run.measured("error_background_final") for run in runs]
    return -np.reshape(error, (len(learner.rates), -1)).mean(1) / 2


def chosen_rate(config: Config, experiment: recording.Experiment, learner: Learner) -> float:
    """Return the learner's best rate; the smallest of several equally good ones."""
    return learner.rates[int(np.argmax(scores(config, experiment, learner)))]


def result_conditions(config: Config, learner: Learner, arm: str, eta: float) -> list[Condition]:
    """Return the runs that give the results of one learner in one arm, the most frequent events first."""
    cells = sweep.grid(event_fraction=config.event_fractions[::-1], seed=config.seeds)
    return [Condition(arm, learner, cell["event_fraction"], cell["seed"], eta) for cell in cells]


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
    bench = Bench(config)
    title = "How many hops upstream a rare event reaches, per event frequency"
    experiment = script.begin(out, title=title, config=config, circuit=bench.circuit.to_json(), script=Path(__file__))
    if experiment is None:
        return out
    everyone = learners(config)
    in_spikes, in_twin = [x for x in everyone if x.spikes], [x for x in everyone if not x.spikes]
    n_steps = {
        c.name: bench.n_events(c.arm, c.event_fraction) * float(c.learner.timing.event / c.learner.timing.resolution)
        for x in everyone
        for c in [
            *sweep_conditions(config, x),
            *result_conditions(config, x, "frozen", 0),
            *result_conditions(config, x, "learning", 0),
        ]
    }
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        stopped = threading.Event()

        def shown(task: str) -> Callable[[float], None]:
            row = bar.add_task(task, total=100)

            def show_progress(fraction: float) -> None:
                if stopped.is_set():
                    raise InterruptedError("stopped, since something else of the job failed or was interrupted")
                bar.update(row, completed=int(100 * fraction))

            return show_progress

        bench.prepare(shown("pretraining, compiling"), compile_model=True)

        def in_one_program(conditions: Sequence[Condition], label: str) -> None:
            missing = [c for c in conditions if not experiment.has(c.name)]
            for inference in dict.fromkeys(c.learner.inference for c in missing):
                together = [c for c in missing if c.learner.inference == inference]
                lived = bench.live_in_twin(together, shown(f"{inference}: {label}"))
                for condition, one in zip(together, lived, strict=True):
                    experiment.add(condition.name, one)

        def one_by_one(conditions: Sequence[Condition], label: str) -> None:
            missing = [c for c in conditions if not experiment.has(c.name)]
            row = bar.add_task(label, total=int(sum(n_steps[c.name] for c in conditions)))
            bar.advance(row, sum(n_steps[c.name] for c in conditions if experiment.has(c.name)))

            def work(condition: Condition) -> None:
                experiment.add(condition.name, bench.live_in_spikes(condition))

            sweep.run_all(missing, work, executor, done=lambda c: bar.advance(row, n_steps[c.name]), stop=end_programs)

        def live_in_twin() -> None:
            in_one_program([c for x in in_twin for c in sweep_conditions(config, x)], "learning rates")
            eta = {x.name: chosen_rate(config, experiment, x) for x in in_twin}
            learning = [c for x in in_twin for c in result_conditions(config, x, "learning", eta[x.name])]
            in_one_program(learning, "learning")
            frozen = [c for x in in_twin for c in result_conditions(config, x, "frozen", 0.0)]
            progress = shown("twin: frozen")
            for k, condition in enumerate(frozen):
                if not experiment.has(condition.name):
                    experiment.add(condition.name, bench.frozen_in_twin(condition))
                progress((k + 1) / len(frozen))

        def live_in_spikes() -> None:
            one_by_one([c for x in in_spikes for c in sweep_conditions(config, x)], "spikes: learning rates")
            eta = {x.name: chosen_rate(config, experiment, x) for x in in_spikes}
            frozen = [c for x in in_spikes for c in result_conditions(config, x, "frozen", 0.0)]
            one_by_one(frozen, "spikes: frozen")
            learning = [c for x in in_spikes for c in result_conditions(config, x, "learning", eta[x.name])]
            one_by_one(learning, "spikes: learning")

        with ThreadPoolExecutor(1) as beside:  # the twin leaves cores idle, and so do single lives in spikes
            in_torch = beside.submit(live_in_twin)
            try:
                live_in_spikes()
                in_torch.result()
            except BaseException:
                stopped.set()
                raise
    experiment.finish(*summarise(bench, experiment))
    return out


def show(path: Path) -> None:
    """Print the table and draw the figure."""
    done = recording.read(path)
    summary = done.summary
    n_seeds = f"{len(summary.seed)} seed{'s' * (len(summary.seed) > 1)}"
    table = Table(title=f"Hops reached upstream (-1: none), by event fraction: mean over {n_seeds} [95 % interval]")
    table.add_column("learner")
    table.add_column("arm")
    for fraction in summary.event_fraction:
        table.add_column(f"{fraction:g}", justify="right")
    for i, name in enumerate(summary.learner):
        for arm, variable in (("frozen", "error_signal_reach"), ("learning", "reach"), ("", "accuracy_rare_final")):
            reached = summary.variable(variable).values[i, :, 0]
            low, high = reach.interval(reached)
            cells = [f"{m:.2g} [{a:.2g}, {b:.2g}]" for m, a, b in zip(reached.mean(-1), low, high, strict=True)]
            table.add_row(name if arm == "frozen" else "", arm or "accuracy on the rare digit", *cells)
    console = script.console()
    console.print(table)
    norm = summary.variable("gradient_norm").values.mean(0)
    fall = norm.max() / norm.min()
    console.print("Norm of backprop's gradient by hop, at the start:", " ".join(f"{x:.2f}" for x in norm))
    console.print(f"Its largest is {fall:.1f} times its smallest: {FAIR if fall <= FAIR_FALL else UNFAIR}.")
    for figure, suffix in ((plots.reach_figure(done), ""), (plots.front_figure(done), "-front")):
        for written in plots.save(figure, path.with_name(f"{path.stem}{suffix}")):
            console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}; look into it with: bioplastic inspect {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="reach_vs_frequency",
        settings={"": Config(), "quick": QUICK, "full": FULL},
        sizes={"quick": "two fractions, two seeds, a minute", "full": "five fractions, ten seeds, an hour"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
