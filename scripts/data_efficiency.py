"""Count the real events that a local rule in spikes and backprop need, and those that replay saves.

Question
    The argument says that far hops learn less per event under a local rule than under backprop, and that a brain needs
    fewer real events all the same, since it replays them. Is it so here, and at what price in replays? Three problems:
    all ten digits from random weights (3 hops); a chain of 12 hops that knows the digits 0 to 8 and is to learn the 9;
    and the same where only weights far from the error source may change. Two learners, the error relay in spikes and
    backprop (plain SGD), from the same weights through the same real events and, in nights, the same replays of them
    from a plain buffer. Beside these the error relay with a hippocampus of its own, which itself holds, writes and
    replays what surprised it, in spikes; and the same without ripples.
Source
    The argument: docs/model.md; the problems and the circuit: models/digit_problems.py and models/chain.py; the nights
    and what is replayed in them: models/nights.py; rules of far hops: models/far_hops.py. What came out:
    docs/data_efficiency.md.
Command
    python scripts/data_efficiency.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 9 minutes, and 2 or more to compile the hippocampus the first time;
    --quick, without that, half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says (accuracy is a curve over real events, and each problem has a
    summary of its own), a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from bioplastic_models import chain
from bioplastic_models.digit_problems import ALL, FAR, N_HOPS_DIGITS, NEAREST, NINE, Problem, validation
from bioplastic_models.nights import (
    ATTENTION,
    HIPPOCAMPUS,
    OFF,
    PRIORITISED,
    UNIFORM,
    Replaying,
    live,
    longest_stretch,
    stretches,
    with_nights,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.circuit import Feedback, Weights
from bioplastic.events import Schedule, probes
from bioplastic.life import Life, Lived
from bioplastic.recording import Recording, labelled
from bioplastic.spiking import ActivityError
from bioplastic.statistics import Estimate, crossing, estimate, ratio
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions
from bioplastic.study.bench import Ask, Measure, Progress
from bioplastic.study.learner import per_event
from bioplastic.study.measure import along_gradient, hop_axis
from bioplastic.study.report import ahead, n_seeds, points, table
from bioplastic.study.summary import by_labels, each, named
from bioplastic.tasks import digits

RESULT, TUNING = "result", "tuning"
FIRST_TUNING_SEED = 996
"""Learning rates are chosen on networks of their own, not on those that give the results."""
LOCAL, BACKPROP = "error relay", "backprop"
LEARNERS = (LOCAL, BACKPROP)
DAY, DAY_DIGITS = 20, 50
"""Real events between two nights."""
CRITERION = 0.75
"""Score that counts as having learned the 9, or the digits."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = chain.N_HOPS
    """Length of the chain that learns the 9, in hops."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one life and one set of spike phases each."""
    looks: tuple[int, ...] = (20, 40, 80, 140)
    """Numbers of real events after which accuracy is measured, where the 9 is to be learned. The last is the length of
    a life. At the middle one what the 9s have changed is measured against a sham run."""
    looks_digits: tuple[int, ...] = (50, 100, 200, 400, 600)
    """The same numbers where all digits are to be learned."""
    replays: tuple[int, ...] = (1, 2, 4)
    """Replays per real event, beside none. All happen in the nights, which are just long enough for them."""
    budget: int = 2
    """One of them, with which ways to choose what is replayed are compared where the 9 is to be learned."""
    hippocampus: bool = True
    """Whether one in spikes is among them. It is another model, which takes minutes to compile."""
    n_tuning: int = 1
    """Networks on which the learning rates of each learner are chosen, for each number and kind of replays."""
    n_probes: int = 60
    """Most images of the digits 0 to 8 on which accuracy is measured where the 9 is to be learned."""
    local_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """Learning rates of the error relay to choose from, per event: eta times the spikes that a cell at the maximal rate
    fires while an outcome is present, so that the same number means the same change by the same error as in
    backprop."""
    far_local_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    """The same where only far hops learn."""
    digits_local_rates: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2)
    """The same for all digits."""
    backprop_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """Learning rates of backprop to choose from, per event."""
    far_backprop_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    """The same where only far hops learn."""
    digits_backprop_rates: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32)
    """The same for all digits."""

    def __post_init__(self) -> None:
        for looks, day in ((self.looks, DAY), (self.looks_digits, DAY_DIGITS)):
            if any(n % day for n in looks) or list(looks) != sorted(set(looks)):
                raise ValueError(f"looks at {looks} real events; give multiples of the day of {day}, in rising order.")
        if self.budget not in self.replays:
            raise ValueError(f"budget = {self.budget}; give one of replays = {self.replays}.")
        if self.n_hops <= NEAREST:
            raise ValueError(f"n_hops = {self.n_hops}; give more than {NEAREST}, the first hop that counts as far.")


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        n_hops=6,
        seeds=(0,),
        looks=(20, 40),
        looks_digits=(50, 100),
        replays=(2,),
        hippocampus=False,
        n_probes=36,
        local_rates=(0.003, 0.01),
        far_local_rates=(0.1, 0.3),
        digits_local_rates=(0.05, 0.1),
        backprop_rates=(0.003, 0.01, 0.03),
        far_backprop_rates=(0.03, 0.1),
        digits_backprop_rates=(0.04, 0.08, 0.16),
    ),
}


# ------------------------------------------------------------------------------------------ who lives what


@dataclass(frozen=True)
class Lives:
    """The lives of one problem.

    Attributes
    ----------
    problem : Problem
    looks : tuple of int
        Real events.
    day : int
        Real events.
    learners : tuple of Learner
    replaying : tuple of Replaying
        None first, then a rising number of replays from one kind of buffer, then others.
    """

    problem: Problem
    looks: tuple[int, ...]
    day: int
    learners: tuple[Learner, ...]
    replaying: tuple[Replaying, ...]

    @property
    def pairs(self) -> list[tuple[Learner, Replaying]]:
        """Who lives them, with which replays; there is no hippocampus in rates."""
        return [(x, r) for r in self.replaying for x in self.learners if x.spikes or not r.in_spikes]

    @property
    def sham_look(self) -> int:
        """After which look, from 1, what the 9s have changed is measured against a sham run; 0 for never."""
        return max(1, len(self.looks) // 2) if self.problem.name == NINE else 0

    def kind(self, role: str) -> str:
        """Kind of the runs that choose a rate, or of those that give results."""
        return f"{role}_{self.problem.slug}"


def all_lives(settings: Settings) -> tuple[Lives, ...]:
    """Return the lives of all problems, in the order of tables and figures."""
    uniform, prioritised = (tuple(Replaying(x, n) for n in settings.replays) for x in (UNIFORM, PRIORITISED))
    in_spikes = (Replaying(ATTENTION), Replaying(HIPPOCAMPUS, settings.budget)) if settings.hippocampus else ()
    chosen = (Replaying(), *prioritised, Replaying(UNIFORM, settings.budget), *in_spikes)

    def learners(problem: Problem, local: tuple[float, ...], backprop: tuple[float, ...]) -> tuple[Learner, ...]:
        timing = problem.timing
        return (
            Learner(LOCAL, per_event(problem.relay, timing), timing, local),
            Learner(BACKPROP, problem.backprop, timing, backprop),
        )

    new, near, far = Problem(ALL, N_HOPS_DIGITS), Problem(NINE, settings.n_hops), Problem(FAR, settings.n_hops)
    for_digits = learners(new, settings.digits_local_rates, settings.digits_backprop_rates)
    for_nine = learners(near, settings.local_rates, settings.backprop_rates)
    for_far = learners(far, settings.far_local_rates, settings.far_backprop_rates)
    return (
        Lives(new, settings.looks_digits, DAY_DIGITS, for_digits, (Replaying(), *uniform)),
        Lives(near, settings.looks, DAY, for_nine, chosen),
        Lives(far, settings.looks, DAY, for_far, chosen),
    )


def tuning_seeds(settings: Settings) -> range:
    """Networks on which learning rates are chosen."""
    return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + settings.n_tuning)


class Chains:
    """What all lives share: task, start weights, and a bench for each length of the chain, with and without memory."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.everyone, self.task = settings, all_lives(settings), digits()
        self.of_kind = {one.kind(role): (role, one) for one in self.everyone for role in (RESULT, TUNING)}
        validating, without = validation(self.task)  # what chooses learning rates must be new to the network too
        self.tasks, self.chosen = {RESULT: self.task, TUNING: without}, {TUNING: validating}
        self.chosen[RESULT] = np.flatnonzero(self.task.held_out)
        self.start: dict[tuple[bool, int], Weights] = {}
        self.surprise: dict[tuple[bool, int], np.ndarray] = {}
        self.seen_at_start: dict[tuple[bool, int], np.ndarray] = {}
        self.benches: dict[tuple[bool, bool], Bench] = {}
        for one in self.everyone[:2]:  # where only far hops learn, circuit and code are the same
            for in_spikes in {x.in_spikes for x in one.replaying}:
                self.benches[one.problem.rare, in_spikes] = self.bench(one, in_spikes)

    def bench(self, one: Lives, in_spikes: bool) -> Bench:
        """Return a bench, with room for the longest life between two looks and for a look."""
        problem, looking = one.problem, one.problem.looking
        lived = longest_stretch(one.looks, [x for x in one.replaying if x.in_spikes == in_spikes], problem.timing)
        longest = max(lived, len(self.images(problem, RESULT)) * float(looking.event / looking.resolution))
        memory = chain.hippocampus(problem.n_hops) if in_spikes else None
        return Bench(problem.circuit, self.task, (), one.learners, hippocampus=memory, longest=longest)

    def prepare(self, progress: Progress) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        from bioplastic import twin

        seeds = {RESULT: self.settings.seeds, TUNING: tuning_seeds(self.settings)}
        with ThreadPoolExecutor(1) as executor:
            compiling = [executor.submit(bench.prepare, lambda _: None) for bench in self.benches.values()]
            for problem in (lives.problem for lives in self.everyone[:2]):
                for role, task in self.tasks.items():
                    starts = problem.starts(task, seeds[role], progress)
                    for seed, weights in zip(seeds[role], starts, strict=True):
                        (predicted,) = twin.predict(problem.circuit, [weights], task.stimuli)
                        self.start[problem.rare, seed] = weights
                        self.surprise[problem.rare, seed] = np.square(predicted - task.outcomes[task.label]).sum(1)
            for one in compiling:
                one.result()
        progress(1.0)

    def images(self, problem: Problem, role: str) -> np.ndarray:
        """Images on which accuracy is measured."""
        return problem.images(self.task, self.chosen[role], self.settings.n_probes)

    def replaying(self, condition: Condition) -> Replaying:
        """Return what happens in the nights of a life."""
        _, one = self.of_kind[condition.kind]
        (found,) = (x for x in one.replaying if x.name == condition["replay"])
        return found

    def schedule(self, condition: Condition) -> Schedule:
        """Return the events of a life: real ones the same whatever is replayed, and all the same for both learners."""
        (role, one), seed = self.of_kind[condition.kind], condition["seed"]
        days, surprise = one.problem.days(self.tasks[role], one.looks[-1], seed), self.surprise[one.problem.rare, seed]
        replaying, timing = self.replaying(condition), one.problem.timing
        return with_nights(days, replaying, one.day, timing, surprise=surprise, seed=seed)

    def bench_of(self, condition: Condition) -> Bench:
        """Return where a life is lived."""
        return self.benches[self.of_kind[condition.kind][1].problem.rare, self.replaying(condition).in_spikes]

    def life(self, condition: Condition) -> Life:
        """Return a life from its start on."""
        (_, one), learner, seed = self.of_kind[condition.kind], condition.who, condition["seed"]
        schedule, replay = self.schedule(condition), self.replaying(condition).ripples
        weights = self.start[one.problem.rare, seed]
        feedback = Feedback(weights.forward) if learner.spikes else None
        return Life(schedule, condition.rule, weights, learner.timing, feedback, seed=1000 * seed, replay=replay)


# ------------------------------------------------------------------------------------------ which lives


def plan(bench: Chains, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the lives that choose learning rates, then those that give results, the longest ones of a seed first."""

    def in_order(planned: Iterable[Condition]) -> list[Condition]:
        def size(condition: Condition) -> int:
            _, one = bench.of_kind[condition.kind]
            return one.problem.n_hops * one.looks[-1] * (1 + bench.replaying(condition).per_event)

        return sorted(planned, key=lambda condition: (condition["seed"], -size(condition)))

    everyone = [(one, *pair) for one in bench.everyone for pair in one.pairs]
    yield in_order(condition for who in everyone for condition in tuning(settings, *who))
    found = []
    for one, learner, replaying in everyone:
        rate = chosen_rate(settings, runs, one, learner, replaying)
        kind, replay = one.kind(RESULT), [replaying.name]
        found += conditions(kind, [learner], replay=replay, rate=[rate], seed=settings.seeds)
    yield in_order(found)


def tuning(settings: Settings, one: Lives, learner: Learner, replaying: Replaying) -> list[Condition]:
    """Return the lives that choose a rate, the networks of one rate after the other."""
    kind, replay = one.kind(TUNING), [replaying.name]
    return conditions(kind, [learner], replay=replay, rate=learner.rates, seed=tuning_seeds(settings))


def tuning_scores(settings: Settings, runs: Runs, one: Lives, learner: Learner, replaying: Replaying) -> np.ndarray:
    """Mean score over looks on validation images at each learning rate, mean over networks."""
    found = [float(over_looks(runs[c]["score"])) for c in tuning(settings, one, learner, replaying)]
    return np.reshape(found, (len(learner.rates), -1)).mean(1)


def chosen_rate(settings: Settings, runs: Runs, one: Lives, learner: Learner, replaying: Replaying) -> float:
    """Return the best rate of a learner with these replays, the smallest of several equally good ones."""
    return learner.rates[int(np.argmax(tuning_scores(settings, runs, one, learner, replaying)))]


def over_looks(score: xr.DataArray) -> xr.DataArray:
    """Mean score over the looks after the start: high for those who learn much, or from few events."""
    return score.isel(event=slice(1, None)).mean("event")


# ------------------------------------------------------------------------------------------ what is measured


def measure(chains: Chains, condition: Condition) -> Measure:
    """Live one life, look how good the network is before it and at each look, and live its sham where it is wanted."""
    from bioplastic import twin

    (role, one), task = chains.of_kind[condition.kind], chains.task
    problem, images, learned = one.problem, chains.images(one.problem, role), np.full(one.problem.n_hops, np.nan)
    bench, life = chains.bench_of(condition), chains.life(condition)
    try:
        networks, replayed = yield from live(bench, life, one.looks)
    except ActivityError:
        if role == RESULT:
            raise
        nothing = np.zeros((len(one.looks) + 1, 3))  # the rate was too high, and that is what was asked
        return dataset(one, nothing, nothing, learned=learned, replayed=np.nan, rare_share=np.nan)
    if role == RESULT and (n := one.sham_look):
        (*_, sham), _ = yield from live(bench, replace(life, schedule=life.schedule.sham()), one.looks[:n])
        rare = np.concatenate([x.stimulus[x.rare] for x in stretches(life.schedule, one.looks[:n])])
        learned = along_gradient(problem.circuit, task, networks[0], networks[n], sham, rare=rare)
    predicted = in_rates = twin.predict(problem.circuit, networks, task.stimuli[images])
    if role == RESULT and condition.who.spikes:
        predicted = yield from seen_in_spikes(chains, condition, networks, images)
    seen, rates = (problem.scores(task, x, images) for x in (predicted, in_rates))
    rare_share = (task.label[replayed] == task.rare_label).mean() if replayed else np.nan
    return dataset(one, seen, rates, learned=learned, replayed=len(replayed) / one.looks[-1], rare_share=rare_share)


def seen_in_spikes(
    chains: Chains, condition: Condition, networks: Sequence[Weights], images: np.ndarray
) -> Generator[Ask, list[Lived], np.ndarray]:
    """Show networks in spikes some images; return what they predict, shape (n_networks, n_images, n_outputs)."""
    (_, one), seed, rule = chains.of_kind[condition.kind], condition["seed"], condition.who.rule(0.0)
    bench, at_start = chains.benches[one.problem.rare, False], (one.problem.rare, seed)
    found = [chains.seen_at_start[at_start]] if at_start in chains.seen_at_start else []
    for weights in networks[len(found) :]:
        (looked,) = yield bench.ask(Life(probes(images), rule, weights, one.problem.looking, seed=seed))
        found.append(looked.prediction)
    chains.seen_at_start[at_start] = found[0]  # the same for all that begin with these weights
    return np.array(found)


LONG_NAMES = {
    "accuracy_rare": "accuracy on held-out 9s; of a spiking rule in spikes",
    "accuracy_background": "accuracy on held-out images of 0 to 8",
    "score": "what is to be learned: accuracy, or mean of that on 9s and that on 0 to 8",
}


def dataset(
    one: Lives, seen: np.ndarray, in_rates: np.ndarray, *, learned: np.ndarray, replayed: float, rare_share: float
) -> xr.Dataset:
    """Name what was measured in a life: curves (look, what) in spikes or not and in rates, and what was replayed."""
    along = "relative change against the sham run along backprop's gradient, per rare event"
    curves = zip(LONG_NAMES.items(), seen.T, strict=True)
    return xr.Dataset(
        {
            **{name: labelled("event", curve, text) for (name, text), curve in curves},
            "score_rates": labelled("event", in_rates[:, 2], "score of the same weights in the rate network"),
            "learned": labelled("hop", learned, along),
            "replayed": labelled((), replayed, "replays per real event, counted"),
            "rare_share": labelled((), rare_share, "share of the replays that are the rare event's"),
        },
        {
            "event": labelled("event", [0, *one.looks], "real events lived through"),
            "hop": hop_axis(one.problem.n_hops),
        },
    )


def summarise(bench: Chains, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather results and the choice of learning rates, groups of their own for each problem."""
    found = {}
    for one in bench.everyone:
        found[f"summary_{one.problem.slug}"] = results(one, settings, runs.of(one.kind(RESULT)))
        scores = [(*pair, tuning_scores(settings, runs, one, *pair)) for pair in one.pairs]
        found[f"learning_rate_sweep_{one.problem.slug}"] = swept(one, scores)
    return found


def results(one: Lives, settings: Settings, runs: Sequence[tuple[Condition, xr.Dataset]]) -> xr.Dataset:
    """Spread the results of a problem over learner, replay and seed; NaN where there is no such condition."""
    names = [x.name for x in one.replaying]
    found = by_labels(runs, "learner", "replay", "seed")
    found = found.reindex(learner=list(LEARNERS), replay=names, seed=list(settings.seeds))
    rate = np.full((len(LEARNERS), len(names)), np.nan)
    for condition, _ in runs:
        rate[LEARNERS.index(condition["learner"]), names.index(condition["replay"])] = condition["rate"]
    needed = each(partial(crossing, level=CRITERION), found["score"], found["event"], over="event")
    asked, sources = ([getattr(x, name) for x in one.replaying] for name in ("per_event", "source"))
    return found.assign(
        events_to_criterion=named(needed, "real events until the score reaches the criterion (inf: never)"),
        learning_rate=labelled(("learner", "replay"), rate, "learning rate per event"),
        replays_per_event=labelled("replay", asked, "replays per real event, as asked for"),
        source=labelled("replay", sources, "where replays come from"),
    )


def swept(one: Lives, scores: Sequence[tuple[Learner, Replaying, np.ndarray]]) -> xr.Dataset:
    """Gather the choice of learning rates, from the scores of each learner with each kind of replays."""
    names, width = [x.name for x in one.replaying], max(len(x.rates) for x in one.learners)
    rate, score = np.full((len(LEARNERS), width), np.nan), np.full((len(LEARNERS), len(names), width), np.nan)
    for learner, replaying, row in scores:
        i = LEARNERS.index(learner.name)
        rate[i, : len(row)] = learner.rates
        score[i, names.index(replaying.name), : len(row)] = row
    text = "mean score over looks on validation images, tuning networks"
    return xr.Dataset(
        {
            "rate": labelled(("learner", "rate_index"), rate, "learning rate per event that was tried"),
            "score": labelled(("learner", "replay", "rate_index"), score, text),
        },
        {
            "learner": labelled("learner", LEARNERS, "learner"),
            "replay": labelled("replay", names, "what is replayed, and how often per real event"),
            "rate_index": labelled("rate_index", np.arange(width), "index of the learning rate that was tried"),
        },
    )


# ------------------------------------------------------------------------------------------ what is shown


@dataclass(frozen=True)
class Shown:
    """The results of one problem, as they are shown.

    Attributes
    ----------
    problem : Problem
    summary, sweep : Dataset
    """

    problem: Problem
    summary: xr.Dataset
    sweep: xr.Dataset

    @property
    def measure(self) -> str:
        """What the score is."""
        return "mean accuracy on held-out 9s and on 0 to 8" if self.problem.rare else "accuracy on held-out digits"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Learner and replays of all conditions that there are."""
        there = self.summary["score"].notnull().any(("seed", "event"))
        names = there["replay"].values
        return [(x, str(r)) for x in LEARNERS for r in names if there.sel(learner=x, replay=r)]

    @property
    def main(self) -> list[str]:
        """Replays that differ only in their number: none, and those from one kind of buffer."""
        sources = self.summary["source"].values
        return self.summary["replay"].values[np.isin(sources, [OFF, sources[1]])].tolist()

    def scores(self, learner: str, replay: str, name: str = "score") -> np.ndarray:
        """Mean score over looks, in %, by seed."""
        return np.asarray(100 * over_looks(self.summary[name].sel(learner=learner, replay=replay)))

    def learned(self, learner: str, replay: str) -> np.ndarray:
        """What a rare event teaches each hop, over seed and hop."""
        return np.asarray(self.summary["learned"].sel(learner=learner, replay=replay))

    def needed(self, learner: str, replay: str) -> str:
        """Median over seeds of the events to the criterion, "never" included, and how many seeds got there."""
        events = self.summary["events_to_criterion"].sel(learner=learner, replay=replay).values
        there, middle = int(np.isfinite(events).sum()), float(np.median(events))
        return f"{'never' if np.isinf(middle) else f'{middle:.0f}'} ({there}/{len(events)})"


def shown(recording: Recording) -> list[Shown]:
    """Return the results of all problems, in the order of tables and figures."""
    found = []
    for name in (ALL, NINE, FAR):
        slug = Problem(name, 0).slug
        summary, sweep = recording[f"summary_{slug}"], recording[f"learning_rate_sweep_{slug}"]
        found.append(Shown(Problem(name, summary.sizes["hop"]), summary, sweep))
    return found


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the results of each problem, how its learning rates were chosen, and what a rare event teaches each hop."""
    for one in shown(recording):
        name, n = one.problem.name, n_seeds(recording, f"summary_{one.problem.slug}")
        last = f"{one.summary['event'].values[-1]} events"
        columns = ["learner, replays per real event", "all looks", last, f"to {CRITERION:.0%}"]
        columns += ["9s/others", "in rates", "replays", "of 9s", "rate"]
        yield table(f"{name}: {one.measure}, %, mean over {n} [95 %]", columns, result_rows(one))
        title = f"{name}: mean score over looks on validation images by learning rate per event, %"
        columns = ["learner, replays", "rate: score, tuning networks, in rates"]
        yield table(title, columns, rate_rows(one), left=(0, 1))
        if name == NINE:
            title = "change per rare event along backprop's gradient, in millionths of the weights, by hop"
            rows = []
            for pair in one.pairs:
                by_hop = 1e6 * one.learned(*pair).mean(0)
                rows.append([": ".join(pair), *(f"{x:.1f}" if 0 < abs(x) < 10 else f"{x:.0f}" for x in by_hop)])
            yield table(f"{name}: {title}", ["learner: replay", *map(str, one.summary["hop"].values)], rows)


def result_rows(one: Shown) -> Iterator[list[str]]:
    """Yield what each learner with each kind of replays got to."""
    for pair in one.pairs:
        here = one.summary.sel(learner=pair[0], replay=pair[1])
        ninth, other, score = (100 * float(here[name].isel(event=-1).mean()) for name in LONG_NAMES)
        of_9s = float(here["rare_share"].mean(skipna=False))
        yield [
            ": ".join(pair),
            "{0.mean:.1f} [{0.low:.0f}, {0.high:.0f}]".format(estimate(one.scores(*pair))),
            f"{score:.1f}",
            one.needed(*pair),
            f"{ninth:.0f}/{other:.0f}",
            f"{one.scores(*pair, 'score_rates').mean():.1f}",
            f"{float(here['replayed'].mean()):.2f}",
            "" if np.isnan(of_9s) else f"{of_9s:.0%}",
            f"{float(here['learning_rate']):g}",
        ]


def rate_rows(one: Shown) -> Iterator[list[str]]:
    """Yield what was tried for each learner with each kind of replays."""
    for learner, replay in one.pairs:
        rates, scores = one.sweep["rate"].sel(learner=learner), one.sweep["score"].sel(learner=learner, replay=replay)
        tried = [x for x in zip(rates.values, 100 * scores.values, strict=True) if np.isfinite(x[1])]
        best = int(np.argmax([score for _, score in tried]))
        edge = "  (best at the edge)" if best in (0, len(tried) - 1) else ""
        yield [f"{learner}: {replay}", ", ".join(f"{x:g}: {y:.1f}" for x, y in tried) + edge]


def price(replays: Sequence[int], gains: Sequence[Estimate]) -> int | None:
    """Fewest replays per real event from which on the local rule is ahead with every number that was tried."""
    best: int | None = None
    for n, found in sorted(zip(replays, gains, strict=True), key=lambda pair: -pair[0]):
        if ahead(found) != "ahead":
            break
        best = n
    return best


def far_ratio(learned: np.ndarray, reference: np.ndarray, *, per_hop_0: bool = False) -> Estimate:
    """What far hops learn per rare event (seed, hop), as a fraction of what they learn in the reference.

    With `per_hop_0` both are first divided by what hop 0 learns.
    """
    one, other = learned[:, NEAREST:].mean(1), reference[:, NEAREST:].mean(1)
    return ratio(one / learned[:, 0], other / reference[:, 0]) if per_hop_0 else ratio(one, other)


def statements(recording: Recording) -> Iterator[str]:
    """Say what the numbers mean for the argument, problem by problem."""
    everyone = shown(recording)
    if everyone[0].summary.sizes["seed"] == 1:
        yield "One seed, and therefore no interval and no verdict."
    if HIPPOCAMPUS not in everyone[1].summary["source"]:
        yield "Without the hippocampus in spikes, whose model takes minutes to compile."
    for one in everyone:
        yield f"{one.problem.name} ({one.measure}, mean over looks)"
        lines = far_verdicts(one) if one.problem.name == NINE else []
        for line in (*lines, *verdicts(one)):
            yield f"  {line}"


def verdicts(one: Shown) -> Iterator[str]:
    """Say who is ahead of whom with which replays, and how many replays make up for the local rule."""
    names = one.summary["replay"].values.tolist()
    asked = dict(zip(names, one.summary["replays_per_event"].values.tolist(), strict=True))
    sources = dict(zip(names, one.summary["source"].values.tolist(), strict=True))
    local, backprop = ({name: one.scores(x, name) for name in names} for x in LEARNERS)
    for name in names:
        yield (
            f"Local ({name}) against backprop without replay: {points(local[name], backprop[OFF])}; real events to "
            f"{CRITERION:.0%}: {one.needed(LOCAL, name)} against {one.needed(BACKPROP, OFF)}."
        )
    tried = [asked[name] for name in one.main]
    paid = price(tried, [estimate(local[name] - backprop[OFF]) for name in one.main])
    yield (
        f"With the same buffer the local rule needs fewer real events than backprop without replay; price in replays "
        f"per real event: {paid}."
        if paid is not None
        else f"The local rule is NOT reliably ahead of backprop without replay, up to {max(tried)} replays per real "
        "event from the buffer."
    )
    for name in names:
        if sources[name] in (UNIFORM, PRIORITISED):
            in_rates = one.scores(LOCAL, name, "score_rates")
            yield (
                f"Same replays for both ({name}), local against backprop: {points(local[name], backprop[name])}; "
                f"what it learned in spikes, read out in rates: {points(in_rates, backprop[name])}."
            )
        if sources[name] == HIPPOCAMPUS:
            counted = float(one.summary["replayed"].sel(learner=LOCAL, replay=name).mean())
            first, second = (
                {x: points(local[name], scores[f"{x}, {asked[name]}"]) for x in (PRIORITISED, UNIFORM)}
                for scores in (local, backprop)
            )
            yield (
                f"The hippocampus replayed {counted:.2f} times per real event. With its ripples against without: "
                f"{points(local[name], local[ATTENTION])}; against the local rule with as many from the buffer, "
                f"prioritised: {first[PRIORITISED]}, uniform: {first[UNIFORM]}; against backprop with them, "
                f"prioritised: {second[PRIORITISED]}, uniform: {second[UNIFORM]}."
            )


def far_verdicts(one: Shown) -> Iterator[str]:
    """Say whether far hops learn less per event under the local rule, and how many replays make up for it."""
    reference = one.learned(BACKPROP, OFF)
    plain, against_hop_0 = (far_ratio(one.learned(LOCAL, OFF), reference, per_hop_0=x) for x in (False, True))
    less = (
        "undecided (one seed)" if plain.n < 2 else "yes" if plain.high < 1 else "NO" if plain.low > 1 else "undecided"
    )
    yield (
        f"Per rare event and without replay, hops {NEAREST} and more learn {plain} times what they learn under "
        f"backprop ({against_hop_0} times, if both are measured against hop 0): far hops learn less per event under "
        f"the local rule: {less}."
    )
    for name in one.summary["replay"].values[1:]:
        yield (
            f"With {name} they learn {far_ratio(one.learned(LOCAL, name), reference)} times what backprop without "
            "replay teaches them."
        )


LOOKS = plots.looks(LEARNERS)
PLAIN = (0, (1, 1.2))
IN_SPIKES = plots.Style("#1b7837", "s", "--")


def curves(one: Shown, budget: int) -> Iterator[tuple[str, str, plots.Style]]:
    """Yield what the curves show: no replay, replays of the budget, the hippocampus."""
    sources, asked = one.summary["source"], one.summary["replays_per_event"]
    for learner, replay in one.pairs:
        if sources.sel(replay=replay) == HIPPOCAMPUS:
            yield learner, replay, IN_SPIKES
        elif replay == OFF:
            yield learner, replay, replace(LOOKS[learner], line=PLAIN, fill="none")
        elif replay in one.main and asked.sel(replay=replay) == budget:
            yield learner, replay, replace(LOOKS[learner], line="-")


def by_events(axes: Axes, one: Shown, budget: int) -> None:
    """Draw scores over real events."""
    for learner, replay, look in curves(one, budget):
        score = one.summary["score"].sel(learner=learner, replay=replay)
        plots.curve(axes, one.summary["event"], 100 * score, look)
    axes.axhline(100 * CRITERION, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlabel("real events")
    axes.set_ylabel("accuracy, mean of\n9s and others (%)" if one.problem.rare else "accuracy (%)")
    plots.heading(axes, one.problem.name)


def by_replays(axes: Axes, one: Shown) -> None:
    """Draw the mean score over looks against replays per real event."""
    summary, asked = one.summary, one.summary["replays_per_event"]
    for learner, replay in one.pairs:
        if replay in one.main:
            continue
        here = summary.sel(learner=learner, replay=replay)
        look = replace(LOOKS[learner], fill="left")
        if here["source"] in (ATTENTION, HIPPOCAMPUS):
            look = replace(IN_SPIKES, fill="full" if here["replays_per_event"] else "none")
        plots.points(axes, [float(here["replayed"].mean())], one.scores(learner, replay)[:, None], look)
    for learner in LEARNERS:
        scores = np.array([one.scores(learner, replay) for replay in one.main]).T
        plots.curve(axes, asked.sel(replay=one.main), scores, replace(LOOKS[learner], line="-"))
    level = one.scores(BACKPROP, OFF).mean()
    axes.axhline(level, color=LOOKS[BACKPROP].color, linewidth=0.6, linestyle=":")
    axes.set_xticks(np.unique(asked))
    axes.set_xlabel("replays per real event")
    axes.set_ylabel("mean over looks (%)")


def by_hop(axes: Axes, one: Shown, budget: int) -> None:
    """Draw what a rare event teaches each hop."""
    drawn = [(1e6 * one.learned(learner, replay), look) for learner, replay, look in curves(one, budget)]
    sizes = np.abs([values.mean(0) for values, _ in drawn])
    threshold = 10 ** np.ceil(np.log10(max(sizes[sizes > 0].min(), 1e-3 * sizes.max())))
    for values, look in drawn:
        plots.curve(axes, one.summary["hop"], values, look)
    axes.set_yscale("symlog", linthresh=threshold)
    plots.reference(axes, 0)
    axes.axvline(NEAREST - 0.5, color="0.6", linewidth=0.6, linestyle=":")
    axes.set_xticks(one.summary["hop"])
    axes.set_xlabel("hops upstream")
    axes.set_ylabel("learned per rare event\n(millionths of the weights)")
    plots.heading(axes, f"{one.problem.name}: by hop")


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw scores over real events and over replays, and what each hop learns per event."""
    everyone, budget = shown(recording), recording.provenance.settings["budget"]
    most = int(everyone[0].summary["replays_per_event"].max())  # of all digits
    black = plots.Style("0.2", "o", "-")
    keys = {name: replace(look, line="-") for name, look in LOOKS.items()}
    if HIPPOCAMPUS in everyone[1].summary["source"]:
        keys["relay, hippocampus in spikes"] = IN_SPIKES
        keys["e, f: the same without ripples"] = replace(IN_SPIKES, line="none", fill="none")
    keys["a-c, g: no replay"] = replace(black, line=PLAIN, fill="none")
    keys[f"a-c, g: {budget} replays per event (a: {most})"] = black
    keys["e, f: drawn uniformly"] = replace(black, line="none", fill="left")
    keys["a-c: criterion; g: where far begins"] = plots.Style("0.6", "none", ":")
    keys["d-f: backprop without replay"] = plots.Style(LOOKS[BACKPROP].color, "none", ":")
    with plots.page(150) as drawn:
        grid = drawn.add_gridspec(3, 3)
        panels = [drawn.add_subplot(grid[row, k]) for row in range(2) for k in range(3)]
        wide, beside = drawn.add_subplot(grid[2, :2]), drawn.add_subplot(grid[2, 2])
        for axes, below, one in zip(panels[:3], panels[3:], everyone, strict=True):
            by_events(axes, one, budget if one.problem.rare else most)
            by_replays(below, one)
        by_hop(wide, everyone[1], budget)
        beside.axis("off")
        beside.legend(handles=[plots.handle(look, name) for name, look in keys.items()], loc="center", frameon=False)
        plots.letters([*panels, wide])
        looks = everyone[1].summary["event"].values[1:]
        plots.note(
            drawn,
            "Held-out images, in spikes for the error relay, in rates for backprop. Replays from the buffer are drawn "
            "uniformly in a and d, by surprise at the start in b, c, e, f. g: change against the sham run along "
            f"backprop's gradient at the start, after {looks[max(1, len(looks) // 2) - 1]} real events. "
            + plots.over_seeds(everyone[0].summary.sizes["seed"], "bands and bars"),
        )
    return {"": drawn}


STUDY = Study(
    name="data_efficiency",
    title="How many real events, and how many replays",
    settings=SETTINGS,
    bench=Chains,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "9 minutes", "quick": "half a minute, without the hippocampus"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
