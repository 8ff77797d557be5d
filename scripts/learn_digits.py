"""Learn the digits from random weights, by a spiking rule alone.

Question
    Does a local rule really learn? Nothing is pretrained: all ten digits, a chain of 3 and one of 6 hops, orthogonal
    random weights, one event after the other. How good does the error relay get on held-out digits, beside backprop
    (plain SGD) on the same circuit, start weights and events at its own best learning rate? And with feedback weights
    that begin at random and learn too, or stay, instead of being handed over?
Source
    The rules: bioplastic/rules/error_relay.py and bioplastic/rules/learned_feedback.py (Kolen and Pollack 1994,
    doi:10.1109/ICNN.1994.374486); the circuit: models/chain.py; orthogonal start weights: Saxe, McClelland and Ganguli
    (2014), arXiv:1312.6120.
Command
    python scripts/learn_digits.py [--quick | --full] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick half a minute, --full 2 hours (estimated). It may be interrupted
    and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from bioplastic_models import chain
from brian2 import ms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.cells import CellParameters
from bioplastic.circuit import Feedback, Weights, orthogonal_weights
from bioplastic.events import Schedule, Timing, in_rounds, lessons, probes
from bioplastic.life import Life
from bioplastic.recording import Recording, labelled
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.statistics import interval
from bioplastic.study import Bench, Condition, Learner, Runs, Study
from bioplastic.study.bench import Measure, Progress
from bioplastic.study.measure import feedback_alignment, fraction_right, hop_axis
from bioplastic.study.report import n_seeds, table
from bioplastic.study.summary import by_labels
from bioplastic.tasks import digits, validation

RESULT, TUNING, VARIED = "result", "tuning", "varied"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
VALIDATION_FRACTION = 0.2
"""Of each digit's images, of those that are not held out: learning rates are chosen on them."""
TARGETS = {3: 0.94, 6: 0.93}
"""Accuracy on held-out digits that the error relay must get to, by length of the chain."""
WITHIN = 0.01
"""By how much it may stay behind backprop."""
SETTLING, GAP = 20 * ms, 10 * ms
"""The outcome begins this long per hop, and a margin beyond, after the stimulus; silence between events."""
LOOK = 300 * ms
"""For which the prediction is averaged where accuracy is measured."""
FORGETTING = 0.01
"""Of learned feedback: fraction of a weight lost per error spike, in units of eta theta."""
VARIATIONS: dict[str, tuple[float, ...]] = {
    "theta": (0.03, 0.3, 1.0, 3.0),
    "outcome_ms": (30.0, 60.0, 240.0),
    "size": (1.5, 2.0, 2.5, 3.5),
    "margin_ms": (0.0, 60.0),
    "n_events": (4000, 8000, 16000),
}
"""Settings, each varied alone in tuning runs of the error relay, and the values that are tried."""
RELAY, LEARNED, RANDOM, BACKPROP = "error relay", "learned feedback", "fixed random feedback", "backprop"


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment; together with the library's version they determine every number."""

    hops: tuple[int, ...] = (3, 6)
    """Lengths of the chain, in hops."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One network, one order of events and one set of spike phases each."""
    n_tuning: int = 1
    """Networks on which the learning rate of the error relay is chosen, on digits neither learned from nor held out."""
    n_tuning_backprop: int = 3
    """The same for backprop."""
    control: bool = False
    """Whether feedback weights that are random and stay are tried too."""
    vary: bool = False
    """Whether other thresholds, outcomes, start weights, margins and lengths of life are tried, each alone."""
    n_events: int = 24000
    """Length of a life, in events; every image comes once before any comes again."""
    n_looks: int = 8
    """A life is this many stretches of equal length. The learning rate is constant in each, and the accuracy is
    measured after it."""
    final_rate: float = 0.05
    """Learning rate in the last stretch, as a fraction of that in the first; geometric in between."""
    spiking_rates: tuple[float, ...] = (0.3,)
    """Learning rates to choose from, in the first stretch and per event: eta times the spikes that a cell at the
    maximal rate fires while an outcome is present, so that the same number means the same change of the weights by the
    same error. All spiking rules get the one that is best for the error relay."""
    backprop_rates: tuple[float, ...] = (0.08, 0.16, 0.32)
    """Those of backprop."""
    size: float = 3.0
    """Singular values of the orthogonal start weights."""
    theta: float = 0.1
    """Error threshold, in spikes."""
    margin_ms: float = 160.0
    """The outcome begins this long, in ms, after activity can have travelled through the chain."""
    outcome_ms: float = 120.0
    """For which an outcome stays, in ms."""

    def __post_init__(self) -> None:
        if self.n_events % self.n_looks:
            raise ValueError(f"n_events = {self.n_events} is no multiple of n_looks = {self.n_looks}.")


SETTINGS = {
    "": Settings(),
    "quick": Settings(hops=(3,), seeds=(0,), n_events=1000, n_looks=2, spiking_rates=(0.3,), backprop_rates=(0.16,)),
    "full": Settings(
        seeds=tuple(range(10)),
        n_tuning=3,
        n_tuning_backprop=10,
        control=True,
        vary=True,
        spiking_rates=(0.04, 0.08, 0.15, 0.3, 0.6, 1.2),
        backprop_rates=(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
    ),
}


# ------------------------------------------------------------------------------------------ who lives what


def error_relay(settings: Settings, rate: float) -> ErrorRelay:
    """Return the rule at a learning rate per event."""
    return ErrorRelay(theta=settings.theta, eta=_eta(settings, rate))


def learned_feedback(settings: Settings, rate: float) -> LearnedFeedback:
    """Return the rule at a learning rate per event."""
    eta = _eta(settings, rate)
    return LearnedFeedback(theta=settings.theta, eta=eta, decay=FORGETTING * eta * settings.theta)


def _eta(settings: Settings, rate: float) -> float:
    return rate / float(CellParameters().rmax * settings.outcome_ms * ms)


def learners(settings: Settings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    relay, learned, slow = partial(error_relay, settings), partial(learned_feedback, settings), settings.spiking_rates
    found = [
        Learner(RELAY, relay, rates=slow, setting={"feedback": "handed"}),
        Learner(LEARNED, learned, rates=slow, setting={"feedback": "random"}),
        Learner(RANDOM, relay, rates=slow, setting={"feedback": "random"}),
        Learner(BACKPROP, Backprop, rates=settings.backprop_rates),
    ]
    return [one for one in found if settings.control or one.name != RANDOM]


def rates_by_stretch(settings: Settings, rate: float) -> np.ndarray:
    """Learning rate per event in each stretch of a life, shape (n_looks,)."""
    return rate * np.geomspace(1, settings.final_rate, settings.n_looks)


def timing(settings: Settings, n_hops: int) -> Timing:
    """Return the phases of an event."""
    lead = n_hops * SETTLING + settings.margin_ms * ms
    return Timing(lead=lead, outcome=settings.outcome_ms * ms, gap=GAP)


def looking(n_hops: int) -> Timing:
    """Return the phases of an event at which accuracy is measured: all settled, then a long look."""
    return Timing.settling(n_hops, outcome=LOOK)


def of_condition(settings: Settings, condition: Condition) -> Settings:
    """Return the settings of a life, one of which may be another."""
    name = condition.labels.get("varied")
    if not name:
        return settings
    return replace(settings, **{str(name): type(getattr(settings, str(name)))(condition["value"])})


class Chains:
    """What all lives share: the task, and a bench for each length of the chain."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.task = settings, digits()
        self.learners = learners(settings)
        tried = [replace(settings, **{k: type(getattr(settings, k))(v)}) for k, vs in VARIATIONS.items() for v in vs]
        everyone = [settings, *(tried if settings.vary else [])]
        self.benches = {}
        for n in settings.hops:
            lives = max(s.n_events // s.n_looks * timing(s, n).event for s in everyone)
            longest = max(lives, len(self.task.stimuli) * looking(n).event) / Timing().resolution
            self.benches[n] = Bench(chain.circuit(n), self.task, (), self.learners, longest=float(longest))
        learnable, chosen = np.flatnonzero(~self.task.held_out), validation(self.task, VALIDATION_FRACTION)
        tuning = np.setdiff1d(learnable, chosen)
        self.learnable = {RESULT: learnable, TUNING: tuning, VARIED: tuning}
        self.tested = {RESULT: np.flatnonzero(self.task.held_out), TUNING: chosen, VARIED: chosen}

    def prepare(self, progress: Progress) -> None:
        """Compile the models, or take them from the cache."""
        for k, bench in enumerate(self.benches.values()):
            bench.prepare(lambda done, k=k: progress((k + done) / len(self.benches)))  # type: ignore[misc]

    def start(self, condition: Condition) -> tuple[Weights, Feedback]:
        """Return the weights that a life begins with."""
        circuit, seed = self.benches[condition["chain"]].circuit, condition["seed"]
        weights = orthogonal_weights(circuit, of_condition(self.settings, condition).size, seed)
        if condition.who.setting.get("feedback") == "random":
            return weights, random_feedback(circuit, weights, seed)
        return weights, Feedback(weights.forward)

    def stretches(self, condition: Condition) -> list[Schedule]:
        """Return the events of a life: the same for every learner."""
        settings = of_condition(self.settings, condition)
        rng = np.random.default_rng([condition["seed"], 1])
        stimuli = in_rounds(self.learnable[condition.kind], settings.n_events, rng)
        return [lessons(self.task, part) for part in np.split(stimuli, settings.n_looks)]

    def right_in_rates(self, condition: Condition, weights: Weights) -> float:
        """Accuracy of a network in rates."""
        from bioplastic import twin

        shown = self.tested[condition.kind]
        (predicted,) = twin.predict(self.benches[condition["chain"]].circuit, [weights], self.task.stimuli[shown])
        return fraction_right(self.task, predicted, [shown])[0]


# ------------------------------------------------------------------------------------------ which lives


def plan(bench: Chains, settings: Settings, runs: Runs) -> Iterator[Sequence[Condition]]:
    """Yield the lives that choose learning rates, then those that give results, the longest chains first."""
    yield tuning(bench, settings)
    found = []
    for n in sorted(settings.hops, reverse=True):
        for learner in bench.learners:
            rate = chosen_rate(bench, settings, runs, learner, n)
            found += [Condition(RESULT, _labels(n, seed, rate), learner) for seed in settings.seeds]
    yield found
    if settings.vary:
        yield list(varied(bench, settings, runs))


def _labels(n_hops: int, seed: int, rate: float) -> dict[str, Any]:
    return {"chain": n_hops, "seed": seed, "rate": rate}


def tuning_seeds(settings: Settings, learner: Learner) -> range:
    """Networks on which a learner's rate is chosen."""
    n = settings.n_tuning if learner.spikes else settings.n_tuning_backprop
    return range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + n)


def tuning(bench: Chains, settings: Settings) -> list[Condition]:
    """Return the lives that choose the rates of the error relay and of backprop; none where there is one rate only."""
    return [
        Condition(TUNING, _labels(n, seed, rate), learner)
        for n in settings.hops
        for learner in bench.learners
        if learner.name in (RELAY, BACKPROP) and len(learner.rates) > 1
        for rate in learner.rates
        for seed in tuning_seeds(settings, learner)
    ]


def varied(bench: Chains, settings: Settings, runs: Runs) -> Iterator[Condition]:
    """Yield the lives of the error relay in which one setting is another."""
    relay = bench.learners[0]
    for n in settings.hops:
        rate = chosen_rate(bench, settings, runs, relay, n)
        for name, values in VARIATIONS.items():
            for value in values:
                for seed in tuning_seeds(settings, relay):
                    yield Condition(VARIED, _labels(n, seed, rate) | {"varied": name, "value": float(value)}, relay)


def scores(bench: Chains, settings: Settings, runs: Runs, learner: Learner, n_hops: int) -> np.ndarray:
    """Mean final accuracy on the validation digits at each learning rate; NaN if there was nothing to choose."""
    tried = [c for c in tuning(bench, settings) if (c["learner"], c["chain"]) == (learner.name, n_hops)]
    if not tried:
        return np.full(len(learner.rates), np.nan)
    final = [float(runs[c]["accuracy"][-1]) for c in tried]
    return np.reshape(final, (len(learner.rates), -1)).mean(1)


def chosen_rate(bench: Chains, settings: Settings, runs: Runs, learner: Learner, n_hops: int) -> float:
    """Return the learner's best rate, the smallest of several equally good ones; all spiking rules get the relay's."""
    score = scores(bench, settings, runs, bench.learners[0] if learner.spikes else learner, n_hops)
    return learner.rates[0 if np.isnan(score).all() else int(np.argmax(score))]


# ------------------------------------------------------------------------------------------ what is measured


def measure(chains: Chains, condition: Condition) -> Measure:
    """Live one life, stretch by stretch, and look how good the network is before and after each."""
    settings, n_hops, learner = of_condition(chains.settings, condition), condition["chain"], condition.who
    bench, shown = chains.benches[n_hops], chains.tested[condition.kind]
    weights, feedback = chains.start(condition)
    seen, in_rates, aligned, n_errors = [], [], [], []
    rates = rates_by_stretch(settings, condition["rate"])
    for k in range(settings.n_looks + 1):
        in_rates.append(chains.right_in_rates(condition, weights))
        if learner.spikes:
            rule = _rule(settings, learner, 0.0)
            probing = Life(probes(shown), rule, weights, looking(n_hops), feedback, seed=condition["seed"])
            (looked,) = yield bench.ask(probing)
            seen.append(fraction_right(chains.task, looked.prediction, [shown])[0])
            aligned.append(feedback_alignment(bench.circuit, weights.forward, feedback.weights))
        if k == settings.n_looks:
            break
        schedule = chains.stretches(condition)[k]
        phases = 1000 * condition["seed"] + k  # a seed of spike phases for every stretch
        life = Life(schedule, _rule(settings, learner, rates[k]), weights, timing(settings, n_hops), seed=phases)
        (lived,) = yield bench.ask(replace(life, feedback=feedback) if learner.spikes else life)
        weights, feedback = lived.weights, lived.feedback or feedback
        n_errors.append(lived.error_signal.sum() / len(schedule) if learner.spikes else np.nan)
    nothing = np.full((settings.n_looks + 1, n_hops), np.nan)
    events = np.linspace(0, settings.n_events, settings.n_looks + 1).round().astype(int)
    return xr.Dataset(
        {
            "accuracy": labelled("event", seen or in_rates, LONG_NAMES["accuracy"]),
            "accuracy_rates": labelled("event", in_rates, LONG_NAMES["accuracy_rates"]),
            "alignment": labelled(("event", "hop"), aligned or nothing, LONG_NAMES["alignment"]),
            "error_spikes": labelled("event", [np.nan, *n_errors], LONG_NAMES["error_spikes"]),
            "events": labelled("event", events, "events lived through"),
        },
        {"hop": hop_axis(n_hops)},
    )


def _rule(settings: Settings, learner: Learner, rate: float) -> Any:
    """Return a learner's rule at a learning rate per event, by the settings of one life."""
    rules = {RELAY: error_relay, RANDOM: error_relay, LEARNED: learned_feedback}
    return rules[learner.name](settings, rate) if learner.spikes else learner.rule(rate)


LONG_NAMES = {
    "accuracy": "accuracy on held-out digits; of a spiking rule in spikes",
    "accuracy_rates": "accuracy of the same weights in the rate network",
    "alignment": "cosine between feedback and forward weights",
    "error_spikes": "error spikes per event, in the stretch that ends here",
}


def summarise(bench: Chains, settings: Settings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather accuracies, the choice of learning rates and what other settings give."""
    everyone, hops = bench.learners, list(settings.hops)
    summary = by_labels(runs.of(RESULT), "learner", "chain", "seed")
    summary = summary.reindex(learner=[one.name for one in everyone], chain=hops, seed=list(settings.seeds))
    rate = [[chosen_rate(bench, settings, runs, one, n) for n in hops] for one in everyone]
    summary["learning_rate"] = labelled(("learner", "chain"), rate, "learning rate per event in the first stretch")
    summary = summary.assign_coords(event=summary["events"].isel(learner=0, chain=0, seed=0).variable)
    width = max(len(one.rates) for one in everyone)
    tried, score = np.full((len(everyone), width), np.nan), np.full((len(everyone), len(hops), width), np.nan)
    for i, learner in enumerate(everyone):
        tried[i, : len(learner.rates)] = learner.rates
        if learner.name in (RELAY, BACKPROP):  # the others take the relay's
            score[i, :, : len(learner.rates)] = [scores(bench, settings, runs, learner, n) for n in hops]
    axes = ("learner", "chain", "rate_index")
    sweep = xr.Dataset(
        {
            "rate": labelled((axes[0], axes[2]), tried, "learning rate per event that was tried"),
            "score": labelled(axes, score, "accuracy on the validation digits, mean over seeds"),
        },
        {"learner": summary["learner"], "chain": summary["chain"], "rate_index": np.arange(width)},
    )
    found = {"summary": summary.drop_vars(["events", "n_hop"], errors="ignore"), "learning_rate_sweep": sweep}
    return found | ({"variations": _variations(settings, runs)} if settings.vary else {})


def _variations(settings: Settings, runs: Runs) -> xr.Dataset:
    pairs = [(name, float(value)) for name, values in VARIATIONS.items() for value in values]
    score = np.full((len(pairs), len(settings.hops), settings.n_tuning), np.nan)
    for c, run in runs.of(VARIED):
        place = pairs.index((c["varied"], c["value"])), settings.hops.index(c["chain"]), c["seed"] - FIRST_TUNING_SEED
        score[place] = run["accuracy"][-1]
    return xr.Dataset(
        {
            "score": labelled(
                ("variation", "chain", "tuning_seed"), score, "accuracy of the error relay, validation digits"
            ),
            "value": labelled("variation", [value for _, value in pairs], "value of the setting, in its own unit"),
        },
        {
            "variation": labelled("variation", [name for name, _ in pairs], "setting that was another"),
            "chain": list(settings.hops),
            "tuning_seed": np.arange(FIRST_TUNING_SEED, FIRST_TUNING_SEED + settings.n_tuning),
        },
    )


# ------------------------------------------------------------------------------------------ what is shown


def verdict(n_hops: int, relay: np.ndarray, backprop: np.ndarray) -> str:
    """Compare final accuracies (seed,) with the target, if there is one, and with backprop."""
    met, mean, behind = {True: "met", False: "NOT met"}, float(relay.mean()), float((backprop - relay).mean())
    target = ""
    if n_hops in TARGETS:
        target = f" (target {TARGETS[n_hops]:.0%}: {met[mean >= TARGETS[n_hops]]})"
    return (
        f"{n_hops} hops: error relay {mean:.1%}{target}, {100 * behind:.1f} points behind backprop "
        f"(target: at most {100 * WITHIN:g}: {met[behind <= WITHIN]})."
    )


def statements(recording: Recording) -> Iterator[str]:
    """Say how feedback weights that learn come to agree with the forward ones, and whether the targets are met."""
    summary = recording.summary
    aligned = summary["alignment"].sel(learner=LEARNED).mean("seed").transpose("chain", "event", "hop").values
    for n, one in zip(summary["chain"].values, aligned, strict=True):
        ends = ", ".join(f"hop {h}: {a:.2f} to {b:.2f}" for h, (a, b) in enumerate(one[[0, -1], : n - 1].T.tolist()))
        yield f"Learned feedback, {n} hops, cosine to the forward weights: {ends}."
    final = summary["accuracy"].isel(event=-1)
    for n in summary["chain"].values:
        yield verdict(int(n), *(final.sel(learner=name, chain=n).values for name in (RELAY, BACKPROP)))


def percent(values: np.ndarray) -> str:
    """Mean over seeds with its bootstrap interval."""
    low, high = interval(values)
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the tables of accuracy, of the choice of learning rates, and of other settings."""
    summary, sweep = recording.summary, recording["learning_rate_sweep"]
    rows, tried = [], []
    for name in summary["learner"].values:
        for n in summary["chain"].values:
            one = summary.sel(learner=name, chain=n)
            spikes = float(one["error_spikes"].isel(event=slice(1, None)).mean())
            final, in_rates = (one[which].isel(event=-1).values for which in ("accuracy", "accuracy_rates"))
            counted = f"{spikes:.0f}" if np.isfinite(spikes) else "-"
            rows.append([name, str(n), percent(final), percent(in_rates), f"{float(one['learning_rate']):g}", counted])
            pairs = zip(
                sweep["rate"].sel(learner=name).values, sweep["score"].sel(learner=name, chain=n).values, strict=True
            )
            cells = [f"{rate:g}: {100 * score:.1f}" for rate, score in pairs if np.isfinite(score)]
            tried += [[name, str(n), ", ".join(cells)]] if cells else []
    headings = ["learner", "hops", "accuracy", "in rates", "rate per event", "error spikes per event"]
    yield table(f"Accuracy on held-out digits, %: mean over {n_seeds(recording)} [95 % interval]", headings, rows)
    if tried:
        title = "Choice of the learning rate per event: accuracy on validation digits, %, tuning seeds"
        yield table(title, ["learner", "hops", "rate: accuracy"], tried)
    if "variations" in recording.groups:
        others = recording["variations"]
        rows = [
            [f"{name} = {float(value):g}", *(percent(row) for row in score)]
            for name, value, score in zip(
                others["variation"].values, others["value"].values, others["score"].values, strict=True
            )
        ]
        title = "Error relay with one setting changed: accuracy on validation digits, %, tuning seeds"
        yield table(title, ["setting", *(f"{n} hops" for n in others["chain"].values)], rows)


LOOKS = {
    RELAY: plots.styles((RELAY,))[0],
    BACKPROP: plots.styles((BACKPROP,))[0],
    LEARNED: replace(plots.styles(("error relay, unscreened",))[0], marker="^"),
    RANDOM: replace(plots.styles(("anything else",))[0], color="0.55", line=(0, (5, 1.2, 1, 1.2))),
}
HOP_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)))


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw learning curves of all learners, and how feedback weights that learn come to agree with the forward ones."""
    summary = recording.summary
    chains, event = summary["chain"].values, summary["event"].values / 1000
    with plots.page(115) as drawn:
        grid = drawn.subplots(2, len(chains), squeeze=False)
        for (top, bottom), n_hops in zip(grid.T, chains, strict=True):
            _curves(top, summary.sel(chain=n_hops), event)
            plots.heading(top, f"{n_hops} hops")
            _agreement(bottom, summary["alignment"].sel(learner=LEARNED, chain=n_hops), event, int(n_hops))
            for axes in (top, bottom):
                axes.set_xticks(event[:: max(1, len(event) // 5)])
        for axes, letter in zip(grid.flat, "abcdefgh", strict=False):
            plots.letter(axes, letter)
        over = f"Mean over {n_seeds(recording)}; bands: 95 % bootstrap interval over seeds."
        if summary.sizes["seed"] == 1:
            over = "One seed, and therefore no interval."
        plots.note(drawn, f"Held-out images in spikes for the spiking rules, in rates for backprop. {over}")
    return {"": drawn}


def _curves(axes: Axes, summary: xr.Dataset, event: np.ndarray) -> None:
    for name in summary["learner"].values:
        look, curve = LOOKS[name], 100 * summary["accuracy"].sel(learner=name).transpose("seed", "event").values
        plots.band(axes, event, curve, color=look.color, linestyle=look.line, marker=look.marker, label=name)
    target = TARGETS.get(int(summary["chain"]))
    if target is not None:
        axes.axhline(100 * target, color="0.45", linewidth=0.7, linestyle=":", label="target")
    final = 100 * summary["accuracy"].isel(event=-1).values
    axes.set_ylim(max(0, min(70, final.min() - 10)), 100)
    axes.set_ylabel("accuracy on held-out digits (%)")
    axes.legend(loc="lower right")


def _agreement(axes: Axes, aligned: xr.DataArray, event: np.ndarray, n_hops: int) -> None:
    for hop in range(n_hops - 1):  # the feedback onto the input cells does nothing
        shade = f"{0.75 * hop / max(1, n_hops - 2):.2f}"
        curve = aligned.sel(hop=hop).transpose("seed", "event").values
        plots.band(axes, event, curve, color=shade, linestyle=HOP_LINES[hop % len(HOP_LINES)], label=f"hop {hop}")
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    axes.set_ylim(min(-0.1, axes.get_ylim()[0]), 1.02)
    axes.set_xlabel("events (thousands)")
    axes.set_ylabel("learned feedback: cosine\nto the forward weights (1)")
    axes.legend(loc="upper left", ncols=3)


STUDY = Study(
    name="learn_digits",
    title="The digits learned from random weights",
    settings=SETTINGS,
    bench=Chains,
    plan=plan,
    measure=measure,
    summarise=summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "5 minutes", "quick": "half a minute", "full": "2 hours (estimated)"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
