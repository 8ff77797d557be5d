"""Train an agent's report of its own state on approval, and see what the report comes to follow.

Question
    An agent acts on a state that lies upstream of its action, and reports which state it was. The reports are approved
    if they are true, or if they are what the asker expects, or now the one and now the other. Does the report then
    follow the state or the asker? How far upstream has approval changed the network? If the report is consulted for
    acting, does the state come to agree with it? And is capacity upstream that the action does not use (slack) used for
    accurate reports, or is it noise?
Source
    The circuit and what the agent meets: models/self_report.py; what is read out of it: models/state_readout.py. The
    rules: bioplastic/rules/error_relay.py, with the screening of models/chain.py, without, and without and with a fine
    threshold; backprop on the same events from the same weights. Information: plug-in estimate; its bias (Panzeri et
    al. 2007, doi:10.1152/jn.00559.2007) is seen from the mean over shuffles beside it.
Command
    python scripts/self_report.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 7 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from bioplastic_models import chain, state_readout
from bioplastic_models import self_report as agent
from bioplastic_models.self_report import ACTS, DISAPPROVED, FEATURES, N_STATES, REPORTS, SILENT, STATE
from bioplastic_models.state_readout import HELD, POPULATIONS, fraction

from bioplastic import reach
from bioplastic.circuit import Weights
from bioplastic.claims.criterion import ACCURACY_MARGIN, SHARE_MARGIN, side
from bioplastic.events import Schedule, in_rounds, probes
from bioplastic.life import Lived
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.statistics import estimate, spread
from bioplastic.study import Ask, Bench, Condition, Learner, Runs, Study, conditions, feedback
from bioplastic.study.bench import Measure, Progress
from bioplastic.study.learner import per_event
from bioplastic.study.measure import Measures
from bioplastic.study.report import n_seeds, rows, table, written
from bioplastic.study.summary import by_labels, each, named, sham_floor
from bioplastic.study.tuning import TUNING, choose, scores, sweep, tuning_conditions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

AGENT = "agent"
"""Kind of the runs that give results."""
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
FEEDBACKS = OWN, NONE, OTHER = "own report", "none", "report of another trial"
TRUE, AS_REPORTED = "what is true", "what was reported"
GOALS = {"what the asker expects": 0.0, "truth": 1.0}
"""What is approved where nothing but approval and disapproval is told, as a mixture."""
TOLD = {"state": N_STATES, "digit of the pair": 2}
"""What is reported, trained on the truth alone (the action needs the first only), and of how many one is right."""
TUNED, APPROVED, AGAIN, CONSULTED, TOLD_TRUTH, ASKED, ASKED_ONLY, STRETCH = range(8)
"""Stages of an agent, each with spike phases of its own; where a life has several stretches, they come last."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One agent, one order of events and one set of spike phases each."""
    n_tuning: int = 2
    """Agents on which the learning rates are chosen."""
    mixtures: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Fractions of events in which the true report is approved; in the others it is what the asker expects."""
    chances: tuple[float, ...] = (0.25, 0.75)
    """Probabilities with which the asker expects the truth while the report is trained. With the first all mixtures are
    trained, with others only the first mixture; 1/4 is chance, with which asker and state are independent. The report
    is tested with every expectation for every image, whatever it was trained with."""
    n_events: int = 800
    """Reports that are trained, in each life."""
    n_stretches: int = 10
    """Where only what was said is approved or not, a life has this many stretches; what is said in each is what the
    agent would have said when it began."""
    exploration: float = 0.2
    """Probability with which it says there something at random."""
    n_consultations: int = 2400
    """Actions for which the report is consulted: as many as it takes until the action follows the report."""
    n_truths: int = 2000
    """Reports of the truth that are trained, nobody asking, to see which directions of the state they read."""
    spiking_rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    """Learning rates to choose from in spikes, per event."""
    backprop_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Learning rates to choose from in backprop."""
    n_asked: int = 160
    """Held-out images about which the agent is asked; with each expectation of the asker."""
    n_shuffles: int = 20
    """Shuffles for the floor of an information, and random subspaces."""

    def __post_init__(self) -> None:
        if self.n_events % self.n_stretches:
            raise ValueError(f"n_events = {self.n_events} is no multiple of n_stretches = {self.n_stretches}.")
        for name in ("mixtures", "chances"):
            if not all(0 <= value <= 1 for value in getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)}; give fractions, 0 to 1.")
        if self.mixtures[0] != 0:
            raise ValueError(f"mixtures = {self.mixtures}; the first must be 0: whose report is consulted.")


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0,),
        n_tuning=1,
        mixtures=(0.0, 1.0),
        chances=(0.25,),
        n_events=300,
        n_stretches=3,
        n_consultations=300,
        n_truths=300,
        spiking_rates=(0.3,),
        backprop_rates=(0.3,),
        n_asked=40,
        n_shuffles=3,
    ),
}


def learners(settings: Settings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    timing = chain.timing(agent.N_HOPS)
    rules = {
        "error relay": partial(chain.screened, n_hops=agent.N_HOPS),
        "error relay, unscreened": chain.unscreened,
        "error relay, unscreened, fine": agent.fine,
    }
    return [
        *(
            Learner(name, per_event(rule, timing), timing, settings.spiking_rates, feedback.at_start)
            for name, rule in rules.items()
        ),
        Learner("backprop", Backprop, timing, settings.backprop_rates),
    ]


class Agents(Bench):
    """What all lives share: what is shown and told, the agents before their first report, the compiled model."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.world, everyone = settings, agent.world(), learners(settings)
        self.tuned = [one for one in everyone if len(one.rates) > 1]
        self.tuning_seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + settings.n_tuning)
        seeds = [*settings.seeds, *(self.tuning_seeds if self.tuned else ())]
        n_events = max(settings.n_events, settings.n_consultations, settings.n_truths, N_STATES * settings.n_asked)
        timing = everyone[0].timing
        longest = float(n_events * timing.event / timing.resolution)
        super().__init__(agent.circuit(), self.world.task, seeds, everyone, longest=longest)

    def starts(self, progress: Progress) -> list[Weights]:
        """Return agents that act and have never reported."""
        found = []
        for k, seed in enumerate(self.seeds):
            found.append(agent.newborn(self.world, seed))
            progress((k + 1) / len(self.seeds))
        return found


def plan(bench: Agents, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the runs that choose learning rates, then the agents."""
    yield tuning_conditions(bench.tuned, bench.tuning_seeds)
    rates = choose(bench.learners, scores(runs, bench.learners, score))
    yield [
        condition
        for one in bench.learners
        for condition in conditions(AGENT, [one], seed=settings.seeds, rate=(rates[one.name],))
    ]


def score(run: xr.Dataset) -> float:
    """Score of a learning rate."""
    return float(run["score"])


# ------------------------------------------------------------------------------------------ what is lived


def measure_condition(bench: Agents, condition: Condition) -> Measure:
    """Let an agent live, all stages or what scores a learning rate."""
    story = Story(bench, condition)
    return (yield from story.score() if condition.kind == TUNING else story.whole())


class Story:
    """One agent by one learner: what it lives through, from its first report on, and what is measured of it."""

    def __init__(self, bench: Agents, condition: Condition) -> None:
        self.bench, self.condition, self.seed = bench, condition, condition["seed"]
        self.settings, self.world, self.birth = bench.settings, bench.world, bench.start[self.seed]
        self.tested = self.world.validated if condition.kind == TUNING else self.world.held_out
        asked = np.random.default_rng(4).permutation(self.tested)[: self.settings.n_asked]
        self.trial_image, self.trial_asker = np.repeat(asked, N_STATES), np.tile(np.arange(N_STATES), len(asked))
        self.trial_state = self.world.state[self.trial_image]
        self.trial_rows = self.world.rows(self.trial_image, asker=self.trial_asker)
        self.probes = state_readout.probes(self.world, self.birth)

    def random(self, stage: int) -> np.random.Generator:
        """Random numbers of a stage, the same for every learner."""
        return np.random.default_rng([self.seed, 3, stage])

    def asked(self, mixture: float, chance: float = 1 / N_STATES) -> tuple[np.ndarray, np.ndarray]:
        """Stimuli of a life in which reports are approved, and the report that is approved in each event."""
        return self.world.asked(mixture, chance, self.settings.n_events, self.random(0))

    def learn(
        self, starts: Sequence[Weights], schedules: Sequence[Schedule], stage: int
    ) -> Generator[Ask, list[Lived], list[Weights]]:
        """Live a stage of several lives."""
        phases = agent.phases(self.seed, stage)
        lives = [
            self.bench.life(self.condition, schedule, weights=weights, seed=phases)
            for weights, schedule in zip(starts, schedules, strict=True)
        ]
        lived = yield self.bench.ask(*lives)
        return [one.weights for one in lived]

    def reports(self, weights: Weights, shown: np.ndarray) -> np.ndarray:
        """What the agent reports, in rates."""
        return np.asarray(self.world.rates(weights, shown)["report"].argmax(1))

    def score(self) -> Measure:
        """How often the report is the approved one, for truth and for what the asker expects; mean of the two."""
        goals = [self.asked(mixture) for mixture in GOALS.values()]
        lives = [agent.told(shown, REPORTS + approved) for shown, approved in goals]
        ended = yield from self.learn([self.birth] * 2, lives, TUNED)
        given = [self.reports(weights, self.trial_rows) for weights in ended]
        right = (fraction(given[0] == self.trial_asker) + fraction(given[1] == self.trial_state)) / 2
        text = "fraction of approved reports, validation images, mean over both goals"
        return xr.Dataset({"score": labelled((), right, text)})

    def whole(self) -> Measure:
        """Live all stages and measure."""
        approved, after_approval = yield from self.approval()
        only = yield from self.approval_only()
        consulted = yield from self.consulting(after_approval)
        told = yield from self.slack()
        return xr.merge([approved, only, consulted, told])

    def followed(self, weights: Weights, stage: int, where: str) -> Generator[Ask, list[Lived], Measures]:
        """What the report follows: in spikes if the agent is one of spiking cells."""
        in_rates = report = self.reports(weights, self.trial_rows)
        if self.condition.who.spikes:
            fields = {"weights": weights, "rule": self.condition.who.rule(0.0)}
            phases = agent.phases(self.seed, stage)
            (lived,) = yield self.bench.ask(
                self.bench.life(self.condition, probes(self.trial_rows), seed=phases, **fields)
            )
            report = lived.prediction[:, N_STATES:].argmax(1)
        return state_readout.follows(
            report,
            in_rates,
            self.trial_state,
            self.trial_asker,
            n_shuffles=self.settings.n_shuffles,
            rng=self.random(9),
            where=where,
        )

    def approval(self) -> Generator[Ask, list[Lived], tuple[xr.Dataset, Weights]]:
        """Train the report on approval, in all mixtures, and once more with other spike phases."""
        mixtures, chances = self.settings.mixtures, self.settings.chances
        arms = [(c, m) for c in chances for m in mixtures if c == chances[0] or m == mixtures[0]]
        lives = [agent.told(shown, REPORTS + approved) for shown, approved in (self.asked(m, c) for c, m in arms)]
        ended = yield from self.learn([self.birth] * len(lives), lives, APPROVED)
        # The floor of all arms is what other spike phases make of the life of the first; there is no sham run, and
        # changes are counted from the start.
        again = ended[:1]
        if self.condition.who.spikes:
            again = yield from self.learn([self.birth], lives[:1], AGAIN)

        def change(one: Weights, other: Weights, text: str) -> xr.Variable:
            birth = self.birth.forward
            return labelled("hop", reach.relative_change(agent.reporting(), one.forward, other.forward, birth), text)

        measured = []
        for (chance, mixture), weights in zip(arms, ended, strict=True):
            found = yield from self.followed(weights, ASKED, "held-out images, each with every expectation")
            found |= state_readout.where_the_state_is(self.world, weights, self.probes, self.tested)
            found["change"] = change(
                weights, self.birth, "relative change of the weights by training the report, path of the report"
            )
            measured.append((Condition("arm", {"chance": chance, "mixture": mixture}), xr.Dataset(found)))
        before = state_readout.where_the_state_is(self.world, self.birth, self.probes, self.tested)
        once = {
            "phase_difference": change(
                ended[0],
                again[0],
                "the same between two lives with the first mixture and chance that differ in their spike phases",
            ),
            "decoded_before": labelled(
                "population", before["decoded"].values, "accuracy of a linear probe of the state, held-out images"
            ),
            "action_right_before": labelled(
                (), before["action_right"].values, "fraction of right actions, held-out images"
            ),
            "hop": labelled("hop", np.arange(agent.N_HOPS), AXES["hop"]),
            "population": labelled("population", list(POPULATIONS), AXES["population"]),
        }
        return by_labels(measured, "chance", "mixture").assign(once), ended[0]

    def approval_only(self) -> Measure:
        """Train the report where the agent is told whether what it said is approved, and nothing else."""
        settings, rng = self.settings, self.random(2)
        asked = [self.asked(mixture) for mixture in GOALS.values()]
        weights = [self.birth] * len(asked)
        for k, part in enumerate(np.split(np.arange(settings.n_events), settings.n_stretches)):
            lives = []
            for one, (shown, approved) in zip(weights, asked, strict=True):
                said = self.reports(one, shown[part])
                explores = rng.random(len(part)) < settings.exploration
                said = np.where(explores, rng.integers(0, N_STATES, len(part)), said)
                lives.append(agent.told(shown[part], np.where(said == approved[part], REPORTS, DISAPPROVED) + said))
            weights = yield from self.learn(weights, lives, STRETCH + k)
        measured = []
        for goal, one in zip(GOALS, weights, strict=True):
            found = yield from self.followed(one, ASKED_ONLY, "trained by approval and disapproval alone")
            measured.append((Condition("goal", {"goal": goal}), xr.Dataset(found)))
        only = by_labels(measured, "goal")
        return only.rename({name: f"only_{name}" for name in only.data_vars})

    def consulting(self, start: Weights) -> Measure:
        """Let the agent, trained on what the asker expects, consult its report when it acts."""
        world, n, rng = self.world, self.settings.n_consultations, self.random(4)
        image, asker = in_rounds(world.learned, n, rng), rng.integers(0, N_STATES, n)
        report, answer = self.reports(start, world.rows(image, asker=asker)), self.reports(start, self.trial_rows)

        def shown(image: np.ndarray, report: np.ndarray, fed_back: str, rng: np.random.Generator) -> np.ndarray:
            fed = {OWN: report, NONE: np.full(len(report), SILENT), OTHER: rng.permutation(report)}[fed_back]
            return world.rows(image, said=fed)

        arms = [(TRUE, OWN), *((AS_REPORTED, fed_back) for fed_back in FEEDBACKS)]
        lives = [
            agent.told(
                shown(image, report, fed_back, self.random(5)), ACTS + (world.state[image] if o == TRUE else report)
            )
            for o, fed_back in arms
        ]
        ended = yield from self.learn([start] * len(arms), lives, CONSULTED)
        # The probe of the beginning, fitted again after the report was trained.
        fixed = state_readout.probe(world.rates(start, world.rows(world.learned))[STATE], world.state[world.learned])
        before = fixed.predict(world.rates(start, world.rows(self.trial_image))[STATE])
        measured = []
        for (outcome, fed_back), weights in zip(arms, ended, strict=True):
            rates = world.rates(weights, shown(self.trial_image, answer, fed_back, self.random(6)))
            learned = world.rates(weights, shown(image, report, fed_back, self.random(5)))[STATE]
            silent = world.rates(weights, world.rows(self.trial_image))[STATE]
            found = state_readout.agreements(
                answer,
                self.trial_state,
                before,
                decoded=fixed.predict(rates[STATE]),
                silent=fixed.predict(silent),
                refitted=state_readout.probe(learned, world.state[image]).predict(rates[STATE]),
                action=rates["action"].argmax(1),
            )
            measured.append((Condition("arm", {"outcome": outcome, "feedback": fed_back}), xr.Dataset(found)))
        text = "fraction of trials in which the decoded state is the report"
        agreement = {"agreement_before": labelled((), fraction(before == answer), text)}
        return by_labels(measured, "outcome", "feedback").assign(agreement)

    def slack(self) -> Measure:
        """Train reports on the truth, nobody asking, and hold the state's rates along some directions."""
        world, rng = self.world, self.random(7)
        image = in_rounds(world.learned, self.settings.n_truths, rng)
        truths = dict(zip(TOLD, ((world.state, REPORTS), (world.feature, FEATURES)), strict=True))
        lives = [agent.told(world.rows(image), first + truth[image]) for truth, first in truths.values()]
        ended = yield from self.learn([self.birth] * 2, lives, TOLD_TRUTH)
        measured = []
        for (told, (truth, first)), weights in zip(truths.items(), ended, strict=True):
            patterns = world.task.outcomes[first : first + TOLD[told], N_STATES:]
            drawn = state_readout.random_directions(self.settings.n_shuffles, rng)
            found = state_readout.directions(world, weights, truth, patterns, tested=self.tested, drawn=drawn)
            measured.append((Condition("told", {"told": told}), xr.Dataset(found)))
        return by_labels(measured, "told")


# ------------------------------------------------------------------------------------------ summary

AXES = {
    "learner": "learner",
    "seed": "seed of agent, events and spike phases",
    "chance": "probability with which the asker expects the truth in training",
    "mixture": "fraction of events in which truth is approved, not what the asker expects",
    "hop": "hops upstream of the report",
    "population": "population from whose rates the state is decoded",
    "goal": "what is approved where nothing but approval is told",
    "outcome": "outcome of an action for which the report is consulted",
    "feedback": "what is fed back when acting",
    "told": "what is reported, trained on truth, nobody asking",
}


def summarise(bench: Agents, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the results into labelled arrays; NaN where nothing was lived."""
    summary, tried = by_labels(runs.of(AGENT), "learner", "seed"), scores(runs, bench.learners, score)
    chosen = choose(bench.learners, tried)
    reached = each(reach.reach, summary["change"], sham_floor(summary["phase_difference"]), over="hop")
    lived = summary["change"].notnull().all("hop")
    summary = summary.assign(
        reach=named(reached.where(lived), "last hop the change reaches, path of the report (-1: none)"),
        learning_rate=labelled("learner", [chosen[one.name] for one in bench.learners], "learning rate per event"),
    )
    for axis, text in AXES.items():
        summary[axis].attrs["long_name"] = text
    return {"summary": summary, "learning_rate_sweep": sweep(bench.learners, tried)}


# ------------------------------------------------------------------------------------------ what is shown


def percent(values: xr.DataArray) -> str:
    """Mean over seeds with its interval, in per cent."""
    return f"{estimate(100 * values.values):.0f}"


def arms(done: xr.Dataset) -> dict[str, dict[str, float]]:
    """Mixtures and chances with which agents were approved, by what tables call them."""
    found = {}
    for chance, mixture in product(done["chance"].values, done["mixture"].values):
        where = {"chance": chance, "mixture": mixture}
        if done["report_is_state"].sel(where).notnull().any():
            expecting = f", asker right in {chance:.0%}" if chance != done["chance"].values[0] else ""
            found[f"truth in {mixture:.0%}{expecting}"] = where
    return found


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what reports follow, what approval changed, the report consulted, and directions of the state held."""
    done = recording.summary
    seeds = f"mean over {n_seeds(recording)} [95 % interval]"
    yield following(done, seeds)
    yield changed(done, seeds)

    def percents(*names: str) -> list[xr.DataArray]:
        return [written(100 * done[name], ".0f") for name in names]

    agreeing = ("came_to_agree", "came_to_agree_silent", "came_to_agree_new_probe", "action_follows_report")
    yield table(
        f"The report consulted; of the trials in which the state was not what was reported: {seeds}",
        (
            *("learner", "outcome", "fed back", "state agrees, %", "nothing fed back, %", "new probe, %"),
            "action follows report, %",
        ),
        [row for row in rows(percents(*agreeing), "learner", "outcome", "feedback") if row[3] != "–"],
        left=(0, 1, 2),
    )
    held = ("learner", "told", "none held", "those that are read", "as many at random", "all others (slack)")
    yield table(
        f"Reports of the truth, right in %, some directions of s1 held: {seeds}",
        (*held, "as many at random", "decodable from read", "decodable from slack"),
        rows(percents(*(f"told_{x}" for x in HELD), "decodable_from_read", "decodable_from_slack"), "learner", "told"),
        left=(0, 1),
    )
    yield table(
        f"The same agents' actions, right in %, the same directions held: {seeds}",
        (*held, "as many at random", "of the derivative, read", "of the variance, read"),
        rows(
            percents(*(f"action_told_{x}" for x in HELD), "sensitivity_in_read", "variance_in_read"), "learner", "told"
        ),
        left=(0, 1),
    )


def following(done: xr.Dataset, seeds: str) -> Table:
    """Make the table of what reports follow."""

    def cells(here: xr.Dataset, prefix: str = "") -> list[str]:
        right = (percent(here[f"{prefix}report_is_{what}"]) for what in ("state", "asker"))
        bits = (str(estimate(here[f"{prefix}information_{what}"].values)) for what in ("state", "asker"))
        return [*right, *bits, f"{100 * float(here[f'{prefix}report_is_rates'].mean()):.1f}"]

    made = []
    for name in done["learner"].values:
        one = done.sel(learner=name)
        mine = {label: cells(one.sel(where)) for label, where in arms(done).items()}
        mine |= {f"only yes or no: {goal}": cells(one.sel(goal=goal), "only_") for goal in done["goal"].values}
        made += [[name if k == 0 else "", label, *row] for k, (label, row) in enumerate(mine.items())]
    headings = ("learner", "approved", "is true, %", "is as expected, %", "I(report; state | asker), bit")
    return table(
        f"What the report follows, on images held out: {seeds}",
        (*headings, "I(report; asker | state), bit", "as in rates, %"),
        made,
        left=(0, 1),
    )


def changed(done: xr.Dataset, seeds: str) -> Table:
    """Make the table of what approval changed."""

    def by_hop(values: np.ndarray) -> str:
        return ", ".join(f"{x:.2g}" for x in values)

    made = []
    for name in done["learner"].values:
        one = done.sel(learner=name)
        before = percent(one["decoded_before"].sel(population=STATE))
        floor = by_hop(spread(one["phase_difference"].transpose("seed", "hop").values))
        made.append([name, "before", "", "", before, before, percent(one["action_right_before"])])
        made.append(["", "floor: other spike phases", "", floor, "", "", ""])
        for label, where in arms(done).items():
            here = one.sel(where)
            after = (here["decoded"].sel(population=STATE), here["decoded_refitted"], here["action_right"])
            reached, change = str(estimate(here["reach"].values)), by_hop(here["change"].mean("seed").values)
            made.append(["", label, reached, change, *map(percent, after)])
    headings = ("learner", "approved", "reach, hops", "relative change, hop by hop", "probe of before, %")
    return table(
        f"What approval changed: {seeds}; probe of the state at s1",
        (*headings, "probe fitted anew, %", "right actions, %"),
        made,
        left=(0, 1, 3),
    )


def statements(recording: Recording) -> Iterator[str]:
    """Say which learning rates were chosen, and what the data favour where the argument holds both answers."""
    done, tried = recording.summary, recording["learning_rate_sweep"]
    for name in done["learner"].values:
        one = tried.sel(learner=name)
        scored = one.where(one["score"].notnull(), drop=True)
        if scored.sizes["rate_index"]:
            edge = ", on the edge of what was tried" if one["on_edge"] else ""
            each_rate = zip(scored["rate"].values, scored["score"].values, strict=True)
            said = ", ".join(f"{rate:g}: {100 * score:.1f}" for rate, score in each_rate)
            chosen = done["learning_rate"].sel(learner=name).item()
            yield f"{name}: learning rate {chosen:g} per event{edge} (score {said})."
    for name in done["learner"].values:
        yield from of_one(name, done.sel(learner=name))


def of_one(name: str, one: xr.Dataset) -> Iterator[str]:
    """Say what the data of one learner favour."""
    expected = one.isel(chance=0, mixture=0)
    excess = (expected["information_asker"] - expected["information_state"]).values
    verdict = side(excess, 0.0, above="the report follows the asker", below="the report follows the state")
    yield f"{name}, approved for what the asker expects: {estimate(excess)} bit more of the asker: {verdict}."
    agreed = one["came_to_agree"].sel(outcome=AS_REPORTED)
    gain = (agreed.sel(feedback=OWN) - agreed.sel(feedback=OTHER)).values
    verdict = side(gain, SHARE_MARGIN, above="the state comes to agree", below="the state does not come to agree")
    yield (
        f"{name}, acting on what was reported: the state agrees in {estimate(gain)} more of the trials with its own "
        f"report fed back than with that of another trial: {verdict}."
    )
    for told in one["told"].values:
        here = one.sel(told=told)
        loss = (here["told_right"] - here["told_without_slack"]).values
        verdict = side(
            loss, ACCURACY_MARGIN, above="slack is used for accurate reports", below="slack is noise to the report"
        )
        yield f"{name}, reports of the {told}: {estimate(loss)} fewer are right without slack: {verdict}."
        for what, prefix in (("reports", "told"), ("actions", "action_told")):
            more = (here[f"{prefix}_without_slack"] - here[f"{prefix}_without_random_many"]).values
            more = np.round(more, 9)  # means over random directions are not quite what they are means of
            verdict = side(more, 0.0, above="slack costs less", below="slack costs more")
            yield (
                f"  {what}: {estimate(more)} more are right with slack held than with as many random directions: "
                f"{verdict}."
            )


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw what reports follow, what approval changes, and what becomes of a state whose report is consulted."""
    from matplotlib.ticker import NullFormatter

    from bioplastic import plots

    done = recording.summary
    looks, before = plots.looks(done["learner"].values.tolist()), plots.Style("black", "s", "none", "none")
    expected, consulted, hop = done.isel(chance=0, mixture=0), done.sel(outcome=AS_REPORTED), done["hop"].values
    n = len(looks)

    def side_by_side(
        axes: Axes, measures: Sequence[xr.DataArray], apart: float, first: float = 0, step: float = 1
    ) -> list[float]:
        for g, measure in enumerate(measures):
            for k, (name, look) in enumerate(looks.items()):
                plots.points(
                    axes, [first + g * apart + k * step], 100 * measure.sel(learner=name).values[:, None], look
                )
        return [first + g * apart + step * (n - 1) / 2 for g in range(len(measures))]

    with plots.page(132) as figure:
        a, b, c, d, e, f = figure.subplots(2, 3).flat
        for axes, what, given in ((a, "state", "asker"), (b, "asker", "state")):
            bits = done[f"information_{what}"].isel(chance=0).transpose("learner", "seed", "mixture").values
            for values, look in zip(bits, looks.values(), strict=True):
                plots.curve(axes, done["mixture"].values, values, look)
            plots.reference(axes, float(done[f"floor_{what}"].isel(chance=0).mean()), dotted=True)
            axes.set(xlabel="fraction approved for truth (1)", ylabel=f"I(report; {what} | {given}) (bit)")
            axes.set_ylim(-0.05, 2.1)
        changes = expected["change"].transpose("learner", "seed", "hop").values
        floors = sham_floor(done["phase_difference"]).transpose("learner", "hop").values
        for k, (change, floor, look) in enumerate(zip(changes, floors, looks.values(), strict=True)):
            plots.curve(c, hop, np.where(change > 0, change, np.nan), look)
            drawn = {"color": look.color, "marker": look.marker, "markerfacecolor": "white", "markersize": 3.5}
            height = np.where(floor > 0, floor, np.nan)
            c.plot(plots.shifted(hop, k, n, 0.06), height, linestyle=":", linewidth=0.8, **drawn)
        c.set_yscale("log")
        c.set(ylim=(None, 1), xticks=hop, xlabel="hops upstream of the report", ylabel="relative change of weights (1)")
        c.yaxis.set_minor_formatter(NullFormatter())
        for g, values in enumerate((done["decoded_before"].sel(population=STATE), done["action_right_before"])):
            plots.points(d, [g * (n + 2) - 1], 100 * values.isel(learner=0).values[:, None], before)
        at = side_by_side(d, [expected["decoded"].sel(population=STATE), expected["action_right"]], n + 2)
        d.set_xticks(at, ["state decoded\nat s1", "action right"])
        d.set(ylim=(0, 103), ylabel="accuracy (%)")
        plots.reference(d, 100 / N_STATES, dotted=True)
        agreeing = [consulted["came_to_agree"].sel(feedback=fed_back) for fed_back in FEEDBACKS]
        at = side_by_side(e, [*agreeing, consulted["action_follows_report"].sel(feedback=OWN)], n + 1)
        e.set_xticks(at, ["state:\nown", "state:\nnone", "state:\nother", "action:\nown"])
        e.set(ylim=(-3, 103), ylabel="came to agree (% of trials)")
        e.set_xlabel("what agrees with the report: what was fed back")
        ticks = []
        for t, (told, n_choices) in enumerate(TOLD.items()):
            first = t * (len(HELD) * (n + 3) + 3)
            at = side_by_side(f, [done[f"told_{held}"].sel(told=told) for held in HELD], n + 3, first, 1.6)
            chance = {"color": plots.GREY, "linestyle": plots.DOTTED, "linewidth": 0.7}
            f.plot([first - 1, at[-1] + 0.8 * (n - 1) + 1], [100 / n_choices] * 2, **chance)
            f.text(at[2], 108, told, ha="center", va="center", fontsize=6)
            ticks += at
        f.set_xticks(ticks, list("0rRsS") * len(TOLD))
        f.set(
            ylim=(0, 113), yticks=range(0, 101, 20), ylabel="right reports (%)", xlabel="directions of s1 that are held"
        )
        floor_look = plots.open_symbol("floor, the learner's marker, open (c)")
        floor_look.set(linestyle=":", linewidth=0.8)
        entries = [
            *(plots.handle(look, name) for name, look in looks.items()),
            plots.handle(before, "before approval (d)"),
        ]
        plots.legend_above(figure, [*entries, floor_look], columns=3)
        titles = {
            **{a: "follows the state", b: "follows the asker", c: "approved: as expected", d: "approved: as expected"},
            **{e: "acting on what was reported", f: "trained on truth"},
        }
        for axes, title in titles.items():
            plots.heading(axes, title)
        plots.letters(titles)
        plots.note(
            figure,
            "a, b: dotted, reports shuffled. c: hops that did not change are left out; floor: the same life with "
            "other spike phases, none in rates. d: the probe of before. d, f: dotted, chance. e: of the trials in "
            "which the state was not what was reported. f: 0 nothing held, r the directions that the action reads, s "
            f"all others (slack), R and S as many random ones. {plots.over_seeds(done.sizes['seed'])}",
        )
        return {"": figure}


STUDY = Study(
    name="self_report",
    title="A report trained on approval",
    settings=SETTINGS,
    bench=Agents,
    plan=plan,
    measure=measure_condition,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "7 minutes", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
