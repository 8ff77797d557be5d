"""Belief, desire, intention, action: where the blame goes when the usual action meets disapproval.

Question
    An agent does what is usually approved, given what it believes and what it desires. Then that action is disapproved,
    unexpectedly, once, rarely or often. Do the beliefs and desires behind it change, or only what lies near the action?
    And what does the agent then do in other situations, with the same belief, with the same desire, or with neither?
    Does less change if what is disapproved is how the action was carried out, not that it was chosen?
Source
    Disapproval as a reward of -1 for the action taken: REINFORCE, Williams (1992), doi:10.1007/BF00992696. Errors of
    execution: McDougle et al. (2016), PNAS 113, 6797, and Parvin et al. (2018), doi:10.1523/JNEUROSCI.3601-17.2018.
    Circuit and world: models/belief_desire.py; rules: bioplastic/rules/error_relay.py and backprop.py.
Command
    python scripts/belief_desire.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 8 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from bioplastic_models import belief_desire
from bioplastic_models.belief_desire import CHOICE, EXECUTION, GROUPS, THE_JOKE, UPSTREAM

from bioplastic.circuit import Weights
from bioplastic.claims.criterion import SHARE_MARGIN, side
from bioplastic.events import Schedule, probes
from bioplastic.reach import unbiased_change
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.statistics import estimate
from bioplastic.study import Bench, Condition, Learner, Runs, Study, conditions
from bioplastic.study.bench import Measure
from bioplastic.study.design import Value
from bioplastic.study.learner import per_event
from bioplastic.study.report import n_seeds, rows, said, table, written
from bioplastic.study.summary import by_labels, named
from bioplastic.study.tuning import rate_reaching

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

START, EQUAL, MATCHING, MATCHED = "start", "equal", "matching", "matched"
"""Trained agents; lives at rates that all share, those by which an agent's own rate is found, and those at it."""
SCREENED, UNSCREENED, BACKPROP = "error relay", "error relay, unscreened", "backprop"
ELSEWHERE = ("same belief", "same desire")
"""Other situations by which the claim is decided."""
OTHER_PHASES = 1000
"""Added to the seed for the next set of spike phases."""
GROUP = labelled("group", list(GROUPS), "weights, by the population that they end in")


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One world, one network and one order of events each."""
    exposures: tuple[tuple[str, int, float, int], ...] = (
        ("once", 1, 0.025, 8),
        ("rarely", 12, 0.03, 4),
        ("often", 12, 0.3, 6),
    )
    """How often the joke meets disapproval: name, number of occurrences, the fraction of all events that they are, and
    the number of times that each life is lived in spikes, with other spike phases: two or more, so that noise, of which
    the rate twin has none, is not taken for what an event did (`unbiased_square`)."""
    rates: tuple[float, ...] = (0.02, 0.04, 0.08, 0.16, 0.32)
    """Learning rates of a whole life, the same for all learners and in rising order: those of an event are these,
    divided by the number of occurrences."""
    correction: float = 0.5
    """Fraction of the punished choice's probability that has to be gone: each agent lives at the rate with which it
    gets there."""
    n_matching: int = 2
    """Lives by which that rate is found, beyond those at `rates`: each at the rate between the nearest ones so far."""

    def __post_init__(self) -> None:
        if not 0 < self.correction < 1:
            raise ValueError(f"correction = {self.correction:g} is outside (0, 1); give the fraction that has to go.")
        if len(self.rates) < 2 or self.rates[0] <= 0 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates = {self.rates}; give two or more, above 0 and in rising order.")
        for name, _, _, n_phases in self.exposures:
            if n_phases < 2:
                raise ValueError(f"{name}: lived with {n_phases} set(s) of spike phases; noise needs two or more.")

    def event_rates(self, n_occurrences: int) -> tuple[float, ...]:
        """Learning rates per event."""
        return tuple(rate / n_occurrences for rate in self.rates)


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0,), exposures=(("once", 1, 0.1, 2), ("often", 3, 0.3, 2)), rates=(0.03, 0.12), n_matching=1
    ),
}


def learners() -> list[Learner]:
    """Return all learners, in the order of tables and figures; their rates are per event."""
    timing = belief_desire.timing()
    return [
        Learner(BACKPROP, Backprop, timing),
        Learner(SCREENED, per_event(belief_desire.screened, timing), timing),
        Learner(UNSCREENED, per_event(belief_desire.unscreened, timing), timing),
    ]


class Agents:
    """What all lives share: the circuit, and for each seed a world with a bench of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.learners = settings, learners()
        self.circuit = belief_desire.circuit()
        self.worlds = {seed: belief_desire.world(seed) for seed in settings.seeds}
        timing = belief_desire.timing()
        n_events = max(round(n / fraction) for _, n, fraction, _ in settings.exposures)
        pretraining = belief_desire.pretraining()
        self.benches = {
            seed: Bench(
                self.circuit,
                world.task,
                [seed],
                self.learners,
                longest=max(len(world.task.stimuli), n_events) * float(timing.event / timing.resolution),
                pretrain=pretraining,
            )
            for seed, world in self.worlds.items()
        }

    def prepare(self, progress: Any) -> None:
        """Train the agents and compile the model, or take them from the cache."""
        for k, bench in enumerate(self.benches.values()):
            bench.prepare(lambda done, k=k: progress((k + done) / len(self.benches)))  # type: ignore[misc]

    def life(self, condition: Condition) -> Schedule:
        """Return the life of a condition: the same for every learner."""
        names = [name for name, *_ in self.settings.exposures]
        place = names.index(condition["exposure"])
        _, n, fraction, _ = self.settings.exposures[place]
        rng = np.random.default_rng([condition["seed"], place])
        world = self.worlds[condition["seed"]]
        return world.life(condition["blamed"], event_fraction=fraction, n_events=round(n / fraction), rng=rng)


# ------------------------------------------------------------------------------------------ which lives


def plan(agents: Agents, settings: Settings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield lives at rates that all share, those by which each agent's own rate is found, and those at it."""
    everyone = [
        (one, name, settings.event_rates(n), seed)
        for one in agents.learners
        for name, n, *_ in settings.exposures
        for seed in settings.seeds
    ]

    def lives(kind: str, blamed: str = CHOICE, **more: int) -> list[Condition]:
        found = []
        for one, name, _, seed in everyone:
            rate = own_rate(settings, runs, learner=one.name, exposure=name, seed=seed)
            labels: dict[str, Value] = {"blamed": blamed, "exposure": name, "seed": seed, "rate": rate, **more}
            found.append(Condition(kind, labels, one))
        return found

    yield [
        *conditions(START, [one for one in agents.learners if one.name == SCREENED], seed=settings.seeds),
        *(
            Condition(EQUAL, {"blamed": CHOICE, "exposure": name, "rate_index": k, "seed": seed, "rate": rate}, one)
            for one, name, rates, seed in everyone
            for k, rate in enumerate(rates)
        ),
    ]
    for step in range(settings.n_matching):
        yield lives(MATCHING, step=step)
    yield [*lives(MATCHED), *lives(MATCHED, EXECUTION)]


def own_rate(settings: Settings, runs: Runs, **agent: Any) -> float:
    """Return the rate at which an agent corrects the joke as much as is wanted, by its lives so far."""
    mine = [
        condition
        for condition in runs.done
        if condition.kind in (EQUAL, MATCHING) and all(condition[name] == value for name, value in agent.items())
    ]
    tried = sorted(((c["rate"], float(runs[c]["correction"])) for c in mine), key=lambda pair: pair[0])
    return rate_reaching(settings.correction, *zip(*tried, strict=True))


# ------------------------------------------------------------------------------------------ what is measured


def measure_condition(agents: Agents, condition: Condition) -> Measure:
    """Look at a trained agent, or at what a life has left behind."""
    return (yield from (trained if condition.kind == START else lived_through)(agents, condition))


def trained(agents: Agents, condition: Condition) -> Measure:
    """Look at a trained agent, in rates and in spikes."""
    bench, world = agents.benches[condition["seed"]], agents.worlds[condition["seed"]]
    start = bench.start[condition["seed"]]
    (lived,) = yield bench.ask(bench.life(condition, probes(np.arange(len(world.task.stimuli)))))
    (in_rates,) = belief_desire.choices(world, [start])
    norm = [np.linalg.norm(weights) for weights in belief_desire.by_group(agents.circuit, start)]
    return xr.Dataset(
        {
            "group": GROUP,
            "weight_norm": labelled("group", norm, "Euclidean norm of the trained agent's weights"),
            **belief_desire.competence(world, in_rates, lived.prediction[:, : belief_desire.N_ACTIONS]),
        }
    )


def lived_through(agents: Agents, condition: Condition) -> Measure:
    """Live a life and its sham runs, in spikes several times with other spike phases, and compare."""
    seed, spikes = condition["seed"], condition.who.spikes
    bench = agents.benches[seed]
    life = bench.life(condition, agents.life(condition))
    sham = replace(life, schedule=life.schedule.sham())
    n = {name: n_phases for name, *_, n_phases in agents.settings.exposures}[condition["exposure"]] if spikes else 1
    phases = [seed + OTHER_PHASES * k for k in range(2 * n)]
    others = phases[n:] if spikes and condition.kind == MATCHED else []
    pairs = [*((life, p) for p in phases[:n]), *((sham, p) for p in [*phases[:n], *others])]
    lived = yield bench.ask(*(replace(one, phases=p) for one, p in pairs))
    weights = [one.weights for one in lived]
    real, shams = weights[:n], weights[n : 2 * n]
    # Nothing in the twin is random, so that a second sham run would be the first to the bit.
    return compared(agents, seed, real, shams, weights[2 * n :] if spikes else shams)


def compared(
    agents: Agents, seed: int, real: Sequence[Weights], sham: Sequence[Weights], other: Sequence[Weights]
) -> xr.Dataset:
    """Compare what lives have left behind with their sham runs, one for each set of spike phases.

    Without `other` sham runs, with other phases, there is no floor (NaN).
    """
    world, circuit, start = agents.worlds[seed], agents.circuit, agents.benches[seed].start[seed]
    choices = belief_desire.choices(world, [*real, *sham, *(other or sham)])
    groups = [[belief_desire.by_group(circuit, weights) for weights in lives] for lives in (real, sham, other or sham)]
    change, floor = (
        unbiased_change(one, base, belief_desire.by_group(circuit, start)) for one, base in pairwise(groups)
    )
    return xr.Dataset(
        {
            "group": GROUP,
            "change": labelled("group", change, "relative change of the weights against the sham run"),
            "change_floor": labelled(
                "group", floor if other else np.nan * floor, "the same between two sham runs (sham floor)"
            ),
            **belief_desire.behaviour(world, *np.split(choices, 3), floor=bool(other)),
        }
    )


# ------------------------------------------------------------------------------------------ summary


def summarise(agents: Agents, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather all runs into arrays over learner, what is blamed, how often, and seed."""
    trained_ones = by_labels(runs.of(START), "seed")
    matched = by_labels(runs.of(MATCHED), "learner", "blamed", "exposure", "seed")
    equal = by_labels(runs.of(EQUAL), "learner", "exposure", "rate_index", "seed")
    rates = [settings.event_rates(n) for _, n, *_ in settings.exposures]
    own = [c["rate"] for c, _ in runs.of(MATCHED) if c["blamed"] == CHOICE]
    shared = ", at a learning rate that all share"
    of_equal = {
        "change": "relative change of the weights",
        "behaviour_change": "share of choices that differ",
        "behaviour_square": "squared change of the choices",
        "correction": "correction of the joke",
    }
    found: dict[Any, xr.Variable] = {name: matched[name].variable for name in matched.data_vars}
    found |= {name: trained_ones[name].variable for name in trained_ones.data_vars}
    found |= {f"{name}_equal": named(equal[name], text + shared) for name, text in of_equal.items()}
    found |= {
        "rate": labelled(("exposure", "rate_index"), rates, "learning rates per event that all learners live at"),
        "learning_rate": labelled(
            ("learner", "exposure", "seed"),
            np.reshape(own, (len(agents.learners), len(rates), -1)),
            "learning rate per event of the matched correction",
        ),
        "upstream_share": named(
            upstream_share(matched["change"]), "share of beliefs and desires in the relative change of all weights"
        ),
        "upstream_share_equal": named(upstream_share(equal["change"]), "share of beliefs and desires" + shared),
        "squared_share": named(
            upstream_share((matched["change"] * trained_ones["weight_norm"]) ** 2),
            "share of beliefs and desires in the squared change of all weights",
        ),
        "value_change": named(
            matched["change"].sel(group=["intention", *UPSTREAM]).sum("group"),
            "relative change of intention, beliefs and desires, summed",
        ),
    }
    summary = xr.Dataset(found, {**matched.coords, "rate_index": equal["rate_index"]})
    for axis, text in AXES.items():
        summary[axis].attrs["long_name"] = text
    return {"summary": summary}


AXES = {
    "blamed": "what is disapproved",
    "exposure": "how often",
    "seed": "seed of world, network, events and spike phases",
    "rate_index": "index of the learning rate",
}


def upstream_share(change: xr.DataArray) -> xr.DataArray:
    """Share of beliefs and desires in the sum of all groups' changes."""
    total = change.sum("group")
    return (change.sel(group=list(UPSTREAM)).sum("group") / total).where(total > 0)


# ------------------------------------------------------------------------------------------ what is shown


def elsewhere(by_situation: xr.DataArray) -> xr.DataArray:
    """Mean over the situations with the same belief or the same desire."""
    return by_situation.sel(situation=list(ELSEWHERE)).mean("situation")


def comparisons(done: xr.Dataset) -> dict[str, xr.DataArray]:
    """Differences that the argument says something about, over learner, exposure and seed.

    Two measures are differences of policy gradient minus the local rule, two of disapproved choice minus disapproved
    execution. What the argument expects is above 0, and for the share upstream above 0.1.
    """
    found = {}
    away = elsewhere(done["behaviour_square"])
    for name, one in {"upstream share": done["upstream_share"], "behaviour elsewhere, squared": away}.items():
        chosen = one.sel(blamed=CHOICE)
        found[f"{name}: backprop minus this"] = chosen.sel(learner=BACKPROP) - chosen.drop_sel(learner=BACKPROP)
    at_joke = done["behaviour_change"].sel(situation=THE_JOKE)
    for name, one in {"weights of values": done["value_change"], "choice at the joke": at_joke}.items():
        found[f"{name}: choice minus execution"] = one.sel(blamed=CHOICE) - one.sel(blamed=EXECUTION)
    return found


def as_expected(name: str, values: np.ndarray) -> str:
    """Say whether a difference is what the argument expects."""
    return side(values, SHARE_MARGIN if name.startswith("upstream") else 0.0, above="yes", below="no")


def tables(recording: Recording) -> Iterator[Table]:
    """Yield what each disapproval changes, where, in which situations, and how that compares."""
    done, n = recording.summary, n_seeds(recording)
    seeds, agents = f"mean over {n} [95 % interval]", ("learner", "exposure")

    def by_agent(title: str, columns: dict[str, xr.DataArray]) -> Table:
        cells = rows([written(one) for one in columns.values()], *agents)
        return table(f"{title}; {seeds}", ["learner", "how often", *columns], cells, left=(0, 1))

    situations = done["situation"].values.tolist()
    for what in done["blamed"].values:
        here = done.sel(blamed=what)
        measures = {"correction": "correction", "share upstream": "upstream_share", "in squares": "squared_share"}
        yield by_agent(
            f"Disapproved: the {what}. Learning rates of equal correction",
            {
                "rate": done["learning_rate"].mean("seed").expand_dims("seed"),
                **{heading: here[name] for heading, name in measures.items()},
                **{name: here["behaviour_change"].sel(situation=name) for name in situations[1:4]},
            },
        )
    change = done["change"].sel(blamed=CHOICE)
    share = change / change.sum("group")
    places = ("execution", "action", "intention", "near", "middle", "far")
    yield by_agent(
        "Choice disapproved: share of the change by place, beliefs and desires together",
        {at: share.sel(group=[name for name in GROUPS if name.split(", ")[-1] == at]).sum("group") for at in places},
    )
    square = 1000 * done["behaviour_square"].sel(blamed=CHOICE)
    yield by_agent(
        "Choice disapproved: squared change of choices, free of noise, times 1000",
        {name: square.sel(situation=name) for name in situations} | {"elsewhere": elsewhere(square)},
    )
    value, correction = (
        done[name].sel(blamed=EXECUTION) / done[name].sel(blamed=CHOICE) for name in ("value_change", "correction")
    )
    yield by_agent(
        "Execution disapproved, by choice disapproved",
        {"values": value, "correction of the joke": correction, "values per correction": value / correction},
    )
    yield table(
        f"Against the claim's margins; {seeds}. Expected: above 0, upstream share above 0.1",
        ["measure", "learner", "how often", "difference", "as expected"],
        [
            [name if k == 0 else "", *row]
            for name, one in comparisons(done).items()
            for k, row in enumerate(rows([written(one), said(partial(as_expected, name), one)], *agents))
        ],
        left=(0, 1, 2, 4),
    )


def statements(recording: Recording) -> Iterator[str]:
    """Say what trained agents do, and which learning rates lie on the edge of those tried."""
    done = recording.summary
    measures = {"accuracy": "in rates", "accuracy_held_out": "on new pairs", "accuracy_spikes": "in spikes"}
    trained = ", ".join(f"{estimate(done[name].values)} {how}" for name, how in measures.items())
    yield f"Trained agents do what is approved in a share of {trained}."
    edges = (done["learning_rate"] == done["rate"].isel(rate_index=[0, -1])).any(("seed", "rate_index"))
    there = [
        f"{learner}, {exposure}"
        for learner in done["learner"].values
        for exposure in done["exposure"].values
        if edges.sel(learner=learner, exposure=exposure)
    ]
    if there:
        yield f"Learning rates on the edge of those tried: {'; '.join(there)}."


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw what changes, weights and behaviour, and shares by rate, and choice against execution."""
    from bioplastic import plots

    done = recording.summary
    chosen, often = done.sel(blamed=CHOICE), done.isel(exposure=-1)
    ratio = done["value_change"].sel(blamed=EXECUTION) / chosen["value_change"]
    looks = plots.looks(done["learner"].values.tolist())
    exposures, n = done["exposure"].values, done.sizes["exposure"]
    groups = [name for name in GROUPS if name != "execution"]
    stretches = [slice(k, k + m) for k, m in ((0, 5), (5, 3))]  # beliefs, with what they act by, and desires
    situations = ["joke", "same both", *done["situation"].values[2:]]

    def seeds(values: xr.DataArray) -> np.ndarray:
        return values.transpose("seed", ...).values

    with plots.page(165) as figure:
        grid = figure.add_gridspec(3, 6)
        width = 6 // n
        tops, middles = (
            [figure.add_subplot(grid[row, e * width : (e + 1) * width]) for e in range(n)] for row in (0, 1)
        )
        share, by_rate, blamed = (figure.add_subplot(grid[2, 2 * k : 2 * k + 2]) for k in range(3))
        for k, (name, look) in enumerate(looks.items()):
            one, shift = chosen.sel(learner=name), 0.12 * (k - 1)
            for e, (top, middle) in enumerate(zip(tops, middles, strict=True)):
                here = one.isel(exposure=e)
                at_groups, at_situations = np.arange(len(groups)) + shift, np.arange(len(situations)) + 1.5 * shift
                change = seeds(here["change"].sel(group=groups))
                for part in stretches:
                    plots.points(top, at_groups[part], change[:, part], look, joined=True)
                plots.points(middle, at_situations, seeds(here["behaviour_change"]), look, name)
                if name != BACKPROP:
                    changed = here["change_floor"].sel(group=groups)
                    for axes, at, floor in (
                        (top, at_groups, changed),
                        (middle, at_situations, here["behaviour_floor"]),
                    ):
                        (dashes,) = axes.plot(at, floor.mean("seed"), "_", color=look.color)
                        dashes.set(markersize=6, markeredgewidth=1.4)
            at = np.arange(n) + shift
            plots.points(share, at, seeds(one["upstream_share"]), look)
            equal = often["upstream_share_equal"].sel(learner=name)
            plots.points(by_rate, often["rate"].values, seeds(equal), look, joined=True)
            plots.points(blamed, at, seeds(ratio.sel(learner=name)), look)
        for drawn, names in ((tops, groups), (middles, situations)):
            for axes, exposure in zip(drawn, exposures, strict=True):
                axes.set_xticks(range(len(names)), names, rotation=50, ha="right", rotation_mode="anchor")
                plots.heading(axes, f"disapproved {exposure}")
        for axes in tops:
            axes.set_yscale("symlog", linthresh=1e-4)
            axes.set_ylim(0, 0.3)
        for axes in middles:
            axes.set_ylim(0, 1)
        tops[0].set_ylabel("relative change\nof the weights (1)")
        middles[0].set_ylabel("share of choices\nthat change (1)")
        middles[0].legend(loc="upper right")
        for axes in (share, by_rate):
            axes.set_ylabel("share of beliefs and\ndesires in the change (1)")
        blamed.set_ylabel("change of values:\nexecution by choice (1)")
        plots.reference(blamed, 1, dotted=True)
        plots.log_ticks(by_rate, often["rate"].values, [f"{1000 * rate:.2g}" for rate in often["rate"].values])
        by_rate.set_xlabel("learning rate per event, all learners (0.001)")
        plots.heading(by_rate, f"disapproved {exposures[-1]}")
        for axes in (share, blamed):
            axes.set_xticks(range(n), exposures)
            axes.set(xlabel="how often disapproved", xlim=(-0.5, n - 0.5))
        for axes in (share, by_rate, blamed):
            axes.set_ylim(bottom=0)
        plots.letters([*tops, *middles, share, by_rate, blamed])
        plots.note(
            figure,
            "Every agent at the learning rate that corrects its joke by the same fraction; in the panel over "
            "learning rates the same for all. Change against sham runs, dashes: between two sham runs with other spike "
            f"phases; weights by the population that they end in. {plots.over_seeds(done.sizes['seed'], 'bars')}",
        )
        return {"": figure}


STUDY = Study(
    name="belief_desire",
    title="Where the blame goes, upstream of an action",
    settings=SETTINGS,
    bench=Agents,
    plan=plan,
    measure=measure_condition,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "8 minutes", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
