"""Learn five tasks one after the other, and ask whether not updating everything protects what was learned before.

Question
    Ten digits, two at a time, and the same two output cells for every pair: learning the next pair spoils the last.
    Does a learner that updates little forget less, or does it merely learn less? Backprop; backprop that keeps only the
    largest entries of its gradient; backprop with most hidden cells off in each topic, and, since that also tells the
    topic, told the topic alone; the error relay in spikes, and screened by threshold, leak and gain; the equilibrium
    relay; backprop and the error relay with replay. Each at all learning rates, which gives the curve of what is kept
    against what is newly learned: whoever lies on that of backprop at smaller rates protects nothing. Control: the same
    images, interleaved.
Source
    What is measured, with references: bioplastic/study/transfer.py; cells that are off by topic: Masse, Grant and
    Freedman (2018), doi:10.1073/pnas.1803839115; sparse backprop: bioplastic/rules/backprop.py; the circuit:
    models/context_chain.py; the tasks: models/digit_pairs.py.
Command
    python scripts/continual_learning.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from bioplastic_models import chain, context_chain, digit_pairs
from matplotlib.figure import Figure
from rich.table import Table

from bioplastic import plots
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.claims.criterion import ACCURACY_MARGIN, MIN_SEEDS
from bioplastic.events import Schedule
from bioplastic.recording import Recording
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.statistics import interval
from bioplastic.study import Condition, Learner, Study, transfer_study
from bioplastic.study.bench import Progress
from bioplastic.study.learner import per_event
from bioplastic.study.report import table
from bioplastic.study.transfer import less_matched
from bioplastic.study.transfer_study import TransferBench, TransferSettings, in_blocks, in_spikes, percent
from bioplastic.tasks import Task, digits

N_HOPS = context_chain.N_HOPS
DENSE, RELAY = "backprop", "error relay"
REPLAYS = f"{DENSE}, replay", f"{RELAY}, replay"
"""The two learners with replay, which are compared with each other too."""
AGAINST = ("learned", "kept", "forgetting", "average_accuracy")
"""What they are compared by."""


@dataclass(frozen=True)
class Settings(TransferSettings):
    """Settings of the experiment; together with the library's version they determine every number."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one draw of the cells that are off, one order of events and one set of spike phases each."""
    validation_fraction: float = 0.2
    """Fraction of each digit's images, of those that are not held out, that nobody learns from: learning rates are
    chosen on them."""
    n_events: int = 200
    """Real events per task."""
    backprop_rates: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
    """Learning rates per event, of backprop."""
    spiking_rates: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
    """The same of the error relay: eta times the spikes that a cell at the maximal rate fires while an outcome is
    present, so that the same number means the same change by the same error."""
    equilibrium_rates: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
    """The same of the equilibrium relay."""
    kept: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    """Fractions of the gradient's entries that sparse backprop keeps."""
    off: tuple[float, ...] = (0.8, 0.5)
    """Fractions of the hidden cells that are off in a topic, in backprop; the first also in the error relay."""
    theta: float = 0.1
    """Error threshold of the error relay that is not screened, in spikes."""
    replay_every: int = 10
    """Real events after which as many replays come."""

    def __post_init__(self) -> None:
        if self.n_events % self.replay_every:
            raise ValueError(f"n_events = {self.n_events} is no multiple of replay_every = {self.replay_every}.")


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        seeds=(0,),
        n_events=40,
        backprop_rates=(0.04, 0.16),
        spiking_rates=(0.08, 0.32),
        equilibrium_rates=(0.01, 0.04),
        kept=(0.03,),
        off=(0.8,),
    ),
}


# ------------------------------------------------------------------------------------------ who lives what


def learners(settings: Settings, shown: np.ndarray) -> list[Learner]:
    """Return all learners, in the order of tables and figures; `shown` are the images that they may learn from."""
    timing = chain.timing(N_HOPS)

    def relay(eta: float) -> ErrorRelay:
        return ErrorRelay(theta=settings.theta, eta=eta)

    def equilibrium(eta: float) -> EquilibriumRelay:
        return chain.equilibrium(eta, eta, N_HOPS)

    def agreeing(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
        # Before it learns anything, an apical dendrite predicts what the basal one does, as well as outputs can tell.
        return agreeing_feedback(circuit, weights, task.stimuli[shown])

    def of(name: str, rule: Any, rates: tuple[float, ...], **setting: Any) -> Learner:
        return Learner(name, rule, timing, rates, setting=setting)

    backprop = partial(of, rule=Backprop, rates=settings.backprop_rates)
    spiking = partial(of, rule=per_event(relay, timing), rates=settings.spiking_rates)
    screened = per_event(partial(chain.screened, n_hops=N_HOPS), timing)
    return [
        backprop(DENSE),
        *(backprop(sparse(kept), rule=partial(Backprop, kept=kept)) for kept in settings.kept),
        *(backprop(gated(DENSE, off), off=off) for off in settings.off),
        backprop(f"{DENSE}, topic told", told=True),
        backprop(REPLAYS[0], replays=True),
        spiking(RELAY),
        spiking(f"{RELAY}, screened", rule=screened),
        Learner("equilibrium relay", per_event(equilibrium, timing), timing, settings.equilibrium_rates, agreeing),
        spiking(gated(RELAY, settings.off[0]), off=settings.off[0]),
        spiking(REPLAYS[1], replays=True),
    ]


def sparse(kept: float) -> str:
    """Name of backprop that keeps a fraction of the gradient's entries."""
    return f"{DENSE}, {100 * kept:g} % kept"


def gated(learner: str, off: float) -> str:
    """Name of a learner with a fraction of the hidden cells off in each topic."""
    return f"{learner}, {100 * off:g} % off"


class Continual(TransferBench):
    """What all lives share."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.pairs = settings, digit_pairs.DigitPairs(settings.validation_fraction)
        timing, everyone = chain.timing(N_HOPS), learners(settings, self.pairs.learnable)
        longest = 2 * digit_pairs.N_TASKS * settings.n_events * float(timing.event / timing.resolution)
        about = {"topic": self.pairs.topic, "validating": self.pairs.validating}
        super().__init__(context_chain.circuit(), self.pairs.task, everyone, settings, longest=longest, **about)

    def starts(self, progress: Progress) -> Sequence[Weights]:
        """Return the orthogonal weights with which pretraining begins; the context says nothing."""
        from bioplastic import twin

        plain = chain.circuit(N_HOPS, n_outputs=context_chain.N_OUTPUTS)
        found = twin.pretrain(plain, digits(), self.seeds, twin.Pretraining(steps=0))
        return [context_chain.with_context(self.circuit, weights) for weights in found]

    def begin(self, condition: Condition) -> Weights:
        """Return the weights that a life begins with, of which the context's depend on the learner."""
        seed, setting = condition["seed"], condition.who.setting
        if "told" in setting:
            return context_chain.with_topics_told(self.circuit, self.start[seed], seed)
        if "off" in setting:
            off = context_chain.random_topics(self.circuit, setting["off"], seed)
            return context_chain.with_context(self.circuit, self.start[seed], off)
        return self.start[seed]

    def schedule(self, condition: Condition) -> Schedule:
        """Return the events of a life: the same real ones for every learner, in blocks or not."""
        settings, seed = self.settings, condition["seed"]
        interleaved = condition.kind == transfer_study.INTERLEAVED
        real = self.pairs.life(settings.n_events, seed, interleaved=interleaved)
        if "replays" not in condition.who.setting:
            return real
        return digit_pairs.with_replays(real, settings.replay_every, condition.who.timing, seed)


# ------------------------------------------------------------------------------------------ what is shown


def effects(summary: xr.Dataset, suffix: str = "") -> dict[str, xr.DataArray]:
    """What the claim asks of each learner, by learner and seed.

    `less forgetting` and `more learned` than backprop, both at their best rates; and `kept more` than backprop where it
    learns new tasks as well.
    """
    blocks = in_blocks(summary)
    dense = blocks.sel(learner=DENSE, drop=True)
    forgets, new, kept_too = (blocks[f"{name}{suffix}"] for name in ("forgetting", "learned", "kept"))
    return {
        "less forgetting": dense["forgetting"] - forgets,
        "more learned": new - dense["learned"],
        "kept more, matched": kept_too - summary[f"kept_of_dense{suffix}"],
        "less forgetting, matched": summary[f"forgetting_of_dense{suffix}"] - forgets,
    }


def replay_effects(summary: xr.Dataset) -> dict[str, dict[str, xr.DataArray]]:
    """The relay with replay less backprop with replay, by seed: each at its best rate, and where both learn as much.

    Where a learner never learns as much as the other at its best rate, it is taken where it learns most, and what is
    left of the difference in `learned` tells so.
    """
    backprop, relay = (in_blocks(summary).sel(learner=name, drop=True) for name in REPLAYS)
    other_way = less_matched(backprop, relay, AGAINST)
    return {
        "best rates": {name: relay[name] - backprop[name] for name in AGAINST},
        "where backprop learns as the relay": less_matched(relay, backprop, AGAINST),
        "the same, relay in spikes": less_matched(relay, backprop, AGAINST, "_spikes"),
        "where the relay learns as backprop": {name: 0 - values for name, values in other_way.items()},
    }


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the tables of measures, of what the claim asks, and of the choice of learning rates."""
    summary = recording.summary
    yield transfer_study.in_rates_table(recording, "Five tasks in blocks")
    yield transfer_study.in_spikes_table(recording)
    in_rates, spiking = ([percent(one) for one in effects(summary, suffix).values()] for suffix in ("", "_spikes"))
    lines = []
    for name in summary["learner"].values[1:]:
        lines.append([name, *(one.sel(learner=name).item() for one in in_rates)])
        if name in in_spikes(summary):
            lines.append(["  in spikes", *(one.sel(learner=name).item() for one in spiking)])
    yield table(
        "Against backprop, points: at the best rates of both, and at the rate where backprop learns as well",
        ["learner", *effects(summary)],
        lines,
    )
    yield table(
        f"{REPLAYS[1]}, less {REPLAYS[0]}, points",
        ["compared at", *(name.replace("_", " ") for name in AGAINST)],
        [[at, *(percent(one).item() for one in by.values())] for at, by in replay_effects(summary).items()],
    )
    yield transfer_study.order_table(recording)
    yield transfer_study.moved_table(recording)
    yield transfer_study.rates_table(recording)


def statements(recording: Recording) -> Iterator[str]:
    """Say of each learner, in words, where it lies on backprop's curve of what is kept against what is learned."""
    summary = recording.summary
    if summary.sizes["seed"] < MIN_SEEDS:
        yield f"Fewer than {MIN_SEEDS} seeds: nothing is said of the claim."
        return
    more = effects(summary)["kept more, matched"]
    for name in summary["learner"].values[1:]:
        low, high = interval(more.sel(learner=name).values)
        if low > ACCURACY_MARGIN:
            said = "keeps more than backprop does where it learns new tasks as well: not only by learning less."
        elif high < ACCURACY_MARGIN:
            said = "keeps less than 5 points more than backprop at a smaller rate would: against the claim."
        else:
            said = "whether it keeps 5 points more than backprop at a smaller rate would is not decided."
        yield f"{name}: {said}"


COLORS = {
    False: ("#a3260f", "#c9501c", "#e07b2a", "#e8a23c", "#e0b000", "#7a3b8c", "#b07cc0", "#000000", "#5f5f5f"),
    True: ("#14148c", "#2b7fce", "#3f9c9c", "#2e7d4f", "#7fb069"),
}
MARKERS = {False: "oDsv^X<P>", True: "sXd*p"}
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 0.9)), (0, (5, 1.2, 1, 1.2)), (0, (3, 1, 1, 1, 1, 1)))
"""Relays are cold, others warm; no marker and line of one kind comes with the other's."""


def looks(names: Sequence[str], relays: Sequence[str]) -> dict[str, plots.Style]:
    """How each learner is drawn."""
    found: dict[str, plots.Style] = {}
    for spikes in (False, True):
        for k, name in enumerate(name for name in names if (name in relays) == spikes):
            line = LINES[(k + spikes) % len(LINES)]
            found[name] = plots.Style(COLORS[spikes][k % len(COLORS[spikes])], MARKERS[spikes][k], line)
    return found


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw accuracy matrices, the curves of what is kept against what is learned, and forgetting."""
    summary, settings = recording.summary, recording.provenance.settings
    names, relays = summary["learner"].values.tolist(), in_spikes(summary)
    styles, blocks = looks(names, relays), in_blocks(summary)
    alike = {*(sparse(kept) for kept in settings["kept"][1:]), *(gated(DENSE, off) for off in settings["off"][1:])}
    wanted = [name for name in names if name not in alike]
    with plots.page(200) as drawn:
        rows_of: Any = drawn.subfigures(3, 1, height_ratios=[0.7, 1.35, 1.0])
        images = np.atleast_1d(rows_of[0].subplots(1, len(wanted), sharey=True))
        for axes, name in zip(images, wanted, strict=True):
            shade = plots.accuracy_matrix(blocks["accuracy"].sel(learner=name), axes)
            axes.set_title(name.replace("m relay", "m\nrelay").replace(", ", ",\n"), fontsize=6)
        images[0].set_ylabel("after block")
        rows_of[0].colorbar(shade, ax=images, label="accuracy (%)", shrink=0.85)
        curves = rows_of[1].subplots(1, 2, sharey=True, sharex=True)
        backprops = [name for name in names if name not in relays]
        for axes, kind, who in zip(curves, ("backprop", "relays"), (backprops, [DENSE, *relays]), strict=True):
            plots.kept_by_learned(blocks, who, styles=styles, ax=axes)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=6)
            plots.heading(axes, kind)
        curves[1].set_ylabel("")
        bars = rows_of[2].subplots(1, 2, sharey=True)
        labels = {"forgetting": "forgetting (points)", "average_accuracy": "average accuracy at the end (%)"}
        for axes, (name, label), at in zip(bars, labels.items(), (0, 50), strict=True):
            kinds = [
                *(100 * summary[name].sel(order=order) for order in transfer_study.ORDERS),
                100 * summary[f"{name}_spikes"],
            ]
            plots.by_learner(kinds, "oox", label, styles=styles, ax=axes)
            plots.reference(axes, at, along="y")
        bars[1].annotate("chance", (50, 1), (0, 1), xycoords=("data", "axes fraction"), textcoords="offset points")
        plots.letters([images[0], *curves, *bars])
        plots.note(
            drawn,
            "Held-out images, weights in the rate network. a: at the best rate, mean over seeds. b, c: each point a "
            "learning rate, from small to large ones; large marker: each seed at the rate that is best for the others; "
            "backprop (circles, solid) in both. d, e: best rate; filled: tasks in blocks, open: the same images "
            f"interleaved, crosses: blocks, in spikes. {plots.over_seeds(summary.sizes['seed'], 'bars')}",
        )
    return {"": drawn}


STUDY = Study(
    name="continual_learning",
    title="Five tasks, one after the other",
    settings=SETTINGS,
    bench=Continual,
    plan=transfer_study.plan,
    measure=transfer_study.measure_condition,
    summarise=transfer_study.summarise,
    tables=tables,
    figures=figures,
    statements=statements,
    running_time={"": "5 minutes", "quick": "half a minute"},
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
