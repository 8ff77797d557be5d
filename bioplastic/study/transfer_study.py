"""The study of tasks learned one after the other: what learners keep against what they learn, at every learning rate.

Every learner lives the tasks in blocks at each of its learning rates. At the rate that is best for a network, by what
all other networks say, it also lives the same events interleaved, and, if it lives in spikes, in blocks once more, to
look at its accuracy in spikes. All else is measured with the weights in the rate network, by one yardstick for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from brian2 import ms

from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Schedule, Timing, probes
from bioplastic.life import Life
from bioplastic.reach import moved, n_plastic
from bioplastic.recording import Recording, labelled
from bioplastic.study.bench import Bench, Measure
from bioplastic.study.design import Condition
from bioplastic.study.learner import Learner
from bioplastic.study.measure import hop_axis
from bioplastic.study.report import n_seeds, rows, said, table, written
from bioplastic.study.study import Runs
from bioplastic.study.summary import by_labels, each, named
from bioplastic.study.transfer import by_task, on_curves, transfer
from bioplastic.study.tuning import best_for_others
from bioplastic.tasks import Task

if TYPE_CHECKING:
    from rich.table import Table

BLOCKS, INTERLEAVED = "blocks", "interleaved"
ORDERS = BLOCKS, INTERLEAVED
IN_SPIKES = "in_spikes"
"""A life in blocks again, to measure accuracy in spikes."""


@dataclass(frozen=True)
class TransferSettings:
    """Settings of the study; together with circuit, tasks and learners they determine every number."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network, one order of events and one set of spike phases each."""
    look_ms: float = 200.0
    """For which the prediction is averaged, in ms, where accuracy is measured in spikes."""


class TransferBench(Bench, ABC):
    """What all runs of the study share.

    Parameters
    ----------
    circuit : Circuit
    task : Task
        All stimuli, of all tasks.
    learners : sequence of Learner
        The first is the one that all others are compared with.
    settings : TransferSettings
    topic : array of int, shape (n_stimuli,)
        Which task each belongs to, from 0; a life in blocks has them in this order, equally long.
    validating : array of int
        Stimuli by which learning rates are chosen; accuracy is measured on those that are held out.
    longest : float
        Length of the longest life, in steps of the timing's resolution.
    """

    def __init__(
        self,
        circuit: Circuit,
        task: Task,
        learners: Sequence[Learner],
        settings: TransferSettings,
        *,
        topic: np.ndarray,
        validating: np.ndarray,
        longest: float,
    ) -> None:
        super().__init__(circuit, task, settings.seeds, learners, longest=longest)
        self.look_ms, self.topic, self.n_tasks = settings.look_ms, topic, int(topic.max()) + 1
        self.tested, self.validating = np.flatnonzero(task.held_out), validating

    @abstractmethod
    def begin(self, condition: Condition) -> Weights:
        """Return the weights that a life begins with."""

    @abstractmethod
    def schedule(self, condition: Condition) -> Schedule:
        """Return the events of a life."""

    def right(self, prediction: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Accuracy of predictions (n_shown, n_outputs), by task."""
        return by_task(prediction, self.task.label[shown], self.topic[shown], self.n_tasks)

    def accuracy(self, networks: Sequence[Weights], shown: np.ndarray) -> np.ndarray:
        """Accuracy of networks in rates on some stimuli, by task, shape (n_networks, n_tasks)."""
        from bioplastic import twin

        predicted = twin.predict(self.circuit, networks, self.task.stimuli[shown])
        return np.stack([self.right(one, shown) for one in predicted])


def block_ends(n_events: int, n_tasks: int) -> list[int]:
    """Return the last event of each of the tasks' equal blocks."""
    return [n_events * (k + 1) // n_tasks - 1 for k in range(n_tasks)]


def plan(bench: TransferBench, settings: TransferSettings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield lives in blocks at every rate; then, at each network's best one, interleaved, and to look in spikes."""
    yield [
        Condition(BLOCKS, {"rate": rate, "rate_index": k, "seed": seed}, one)
        for one in bench.learners
        for k, rate in enumerate(one.rates)
        for seed in settings.seeds
    ]
    best = best_rates(by_labels(runs.of(BLOCKS), "learner", "rate_index", "seed"))
    yield [
        Condition(kind, {"rate": one.rates[int(best.sel(learner=one.name, seed=seed))], "seed": seed}, one)
        for one in bench.learners
        for kind in (INTERLEAVED, *([IN_SPIKES] if one.spikes else []))
        for seed in settings.seeds
    ]


def best_rates(blocks: xr.Dataset) -> xr.DataArray:
    """Index of the learning rate of every learner and network: the best by what all other networks say."""
    return each(best_for_others, blocks["validated"], over=("rate_index", "seed"), gives=("seed",))


def measure_condition(bench: TransferBench, condition: Condition) -> Measure:
    """Live one life; accuracy on every task before it and after each block, and how many weights a block moves."""
    start, schedule, learner = bench.begin(condition), bench.schedule(condition), condition.who
    ends = block_ends(len(schedule), bench.n_tasks)
    (lived,) = yield bench.ask(bench.life(condition, schedule, weights=start, snapshots=ends))
    networks, matrix = [start, *lived.snapshots], ("block", "task")
    changed, untouched = np.mean([moved(bench.circuit, a, b) for a, b in pairwise(networks)], axis=0)
    found = {
        "validated": labelled((), bench.accuracy(networks[-1:], bench.validating).mean(), LONG_NAMES["score"]),
        "accuracy": labelled(matrix, bench.accuracy(networks, bench.tested), LONG_NAMES["accuracy"]),
        "changed": labelled("hop", changed, LONG_NAMES["changed"]),
        "untouched": labelled("hop", untouched, LONG_NAMES["untouched"]),
    }
    if condition.kind == IN_SPIKES:
        looking = Timing(learner.timing.lead, bench.look_ms * ms, learner.timing.gap)
        looks = (
            Life(probes(bench.tested), learner.rule(0.0), one, looking, seed=condition["seed"]) for one in networks
        )
        seen = yield bench.ask(*looks)
        right = [bench.right(one.prediction, bench.tested) for one in seen]
        found["accuracy_spikes"] = labelled(matrix, right, LONG_NAMES["accuracy_spikes"])
    axes = {
        "hop": hop_axis(bench.circuit.n_hops),
        "block": labelled("block", np.arange(len(networks)), "blocks lived through"),
        "task": labelled("task", np.arange(bench.n_tasks), "task, in the order of the blocks"),
    }
    return xr.Dataset(found, axes)


# ------------------------------------------------------------------------------------------ summary

LONG_NAMES = {
    "score": "average accuracy on the validation images after all blocks, in rates",
    "accuracy": "accuracy on held-out images, in rates",
    "accuracy_spikes": "the same in blocks, in spikes; NaN for backprop",
    "changed": "fraction of weights that a block moves by more than 1 % of their size",
    "untouched": "fraction of weights that a block does not move by a bit",
}


def summarise(bench: TransferBench, settings: TransferSettings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the results into labelled arrays; NaN where there is nothing to measure."""
    blocks = by_labels(runs.of(BLOCKS), "learner", "rate_index", "seed")
    best, n_rates = best_rates(blocks), xr.DataArray([len(one.rates) for one in bench.learners], dims="learner")
    rate = xr.full_like(blocks["validated"].isel(seed=0, drop=True), np.nan)
    for row, one in zip(rate.values, bench.learners, strict=True):
        row[: len(one.rates)] = one.rates
    orders = [blocks.isel(rate_index=best).drop_vars("rate_index"), by_labels(runs.of(INTERLEAVED), "learner", "seed")]
    lived = xr.concat(orders, "order").transpose("learner", "order", "seed", ...)
    in_spikes = by_labels(runs.of(IN_SPIKES), "learner", "seed").reindex(learner=blocks["learner"])["accuracy_spikes"]
    edge = ((best == 0) | (best == n_rates - 1)).astype("int8")
    chosen = "learning rate per event, the best by the score of all other seeds"
    found: dict[str, Any] = {
        "rate": named(rate, "learning rate per event that was tried"),
        "n_weights": labelled("hop", n_plastic(bench.circuit), "weights that learn"),
        "score": blocks["validated"].variable,
        "learning_rate": named(rate.isel(rate_index=best), chosen),
        "at_edge": labelled(
            ("learner", "seed"), edge, "whether that is the first or last one tried", flags=("no", "yes")
        ),
        "accuracy": named(lived["accuracy"], f"{LONG_NAMES['accuracy']}, at the best rate"),
        "accuracy_spikes": in_spikes.variable,
        "accuracy_by_rate": named(blocks["accuracy"], f"{LONG_NAMES['accuracy']}, in blocks"),
        "changed": lived["changed"].variable,
        "untouched": lived["untouched"].variable,
    }
    found |= transfer(lived["accuracy"], "in rates, at the best rate")
    found |= transfer(in_spikes, "in spikes", "_spikes")
    found |= transfer(blocks["accuracy"], "in rates, in blocks", "_by_rate")
    axes = {name: blocks[name].variable for name in ("learner", "seed", "rate_index", "block", "task", "hop")}
    axes["order"] = labelled("order", list(ORDERS), "order of the events")
    summary = xr.Dataset(found, axes)
    dense = summary["accuracy_by_rate"].isel(learner=0, drop=True)
    learned = {"": in_blocks(summary)["learned"], "_spikes": summary["learned_spikes"]}
    for name in ("kept", "forgetting"):
        for suffix, wanted in learned.items():
            words = f"`{name}` of backprop where it learns new tasks as well, in {'spikes' if suffix else 'rates'}"
            summary[f"{name}_of_dense{suffix}"] = named(on_curves(dense, name, wanted), words)
    return {"summary": summary}


def in_blocks(summary: xr.Dataset) -> xr.Dataset:
    """Return what was measured with the tasks in blocks."""
    return summary.sel(order=BLOCKS, drop=True)


def in_spikes(summary: xr.Dataset) -> list[str]:
    """Names of the learners that live in spikes."""
    found = summary["learned_spikes"].notnull().any("seed").values
    return [str(name) for name in summary["learner"].values[found]]


def differences(summary: xr.Dataset) -> dict[str, xr.DataArray]:
    """What a look in spikes and the order of the events change, by learner and seed."""
    blocks, interleaved = in_blocks(summary), summary.sel(order=INTERLEAVED, drop=True)
    return {
        "forgetting, less in rates": summary["forgetting_spikes"] - blocks["forgetting"],
        "less in blocks": interleaved["average_accuracy"] - blocks["average_accuracy"],
    }


def of_all_weights(summary: xr.Dataset, name: str) -> xr.DataArray:
    """Fraction `changed` or `untouched` of the weights of all hops together, in blocks, by learner and seed."""
    counts = summary["n_weights"]
    return (in_blocks(summary)[name] * counts).sum("hop") / counts.sum()


# ------------------------------------------------------------------------------------------ tables


def percent(values: xr.DataArray) -> xr.DataArray:
    """Mean over seeds with its interval, in per cent."""
    return written(100 * values, ".1f")


def rates_of(summary: xr.Dataset, learner: str) -> str:
    """The rates that were chosen for a learner, with the number of seeds of each if there are several."""
    one = summary.sel(learner=learner)
    rates, first, seeds = np.unique(one["learning_rate"], return_index=True, return_counts=True)
    edges = np.where(one["at_edge"].values[first], "*", "")
    counts = [f" ({n})" if len(rates) > 1 else "" for n in seeds]
    return ", ".join(f"{r:g}{edge}{count}" for r, edge, count in zip(rates, edges, counts, strict=True))


def _over(recording: Recording) -> str:
    return f"%: mean over {n_seeds(recording)} [95 % interval]"


COLUMNS = {name: name.replace("_", " ") for name in ("learned", "kept", "backward_transfer", "forgetting")}


def in_rates_table(recording: Recording, what: str) -> Table:
    """Return the table of measures with the weights in the rate network; `what` begins its title."""
    summary = recording.summary
    rates = summary["learner"].copy(data=[rates_of(summary, name) for name in summary["learner"].values])
    return table(
        f"{what}, each learner at its best rate, in rates, {_over(recording)}",
        ["learner", "rate", *COLUMNS.values()],
        rows([rates, *(percent(in_blocks(summary)[name]) for name in COLUMNS)], "learner"),
        "rate: (seeds) for which it was the best by all others; * the first or last that was tried",
    )


def in_spikes_table(recording: Recording) -> Table:
    """Return the table of measures in spikes."""
    summary, less = recording.summary, "forgetting, less in rates"
    shown = [*(summary[f"{name}_spikes"] for name in COLUMNS), differences(summary)[less]]
    return table(
        f"The same in spikes, {_over(recording)}",
        ["learner", *COLUMNS.values(), less],
        rows([percent(one.sel(learner=in_spikes(summary))) for one in shown], "learner"),
    )


def order_table(recording: Recording) -> Table:
    """Return the table of tasks in blocks and interleaved."""
    summary, words = recording.summary, ["blocks", "blocks, in spikes", "interleaved", "less in blocks"]
    blocks, interleaved = (summary.sel(order=order, drop=True) for order in ORDERS)
    shown = [blocks["average_accuracy"], summary["average_accuracy_spikes"], interleaved["average_accuracy"]]
    shown += [differences(summary)["less in blocks"], interleaved["forgetting"]]
    return table(
        f"Average accuracy, and the same images interleaved, at the rate that is best in blocks, {_over(recording)}",
        ["learner", *words, "forgetting, interleaved"],
        rows([percent(one) for one in shown], "learner"),
    )


def moved_table(recording: Recording) -> Table:
    """Return the table of transfer and of weights that move."""
    summary, blocks, hops = recording.summary, in_blocks(recording.summary), recording.summary["hop"].values
    shown = [percent(blocks[f"{way}_transfer"]) for way in ("backward", "forward")]
    changed = [percent(of_all_weights(summary, "changed")), *(_rounded(blocks["changed"].sel(hop=h)) for h in hops)]
    untouched = [of_all_weights(summary, "untouched"), *(blocks["untouched"].sel(hop=h) for h in hops)]
    shown += [one.astype(object) + " (" + _rounded(same) + ")" for one, same in zip(changed, untouched, strict=True)]
    return table(
        f"Transfer, and weights that a block moves by more than 1 % of their size (not by a bit), {_over(recording)}",
        ["learner", "backward transfer", "forward transfer", "all weights", *(f"hop {hop}" for hop in hops)],
        rows(shown, "learner"),
    )


def _rounded(values: xr.DataArray) -> xr.DataArray:
    return said(lambda seeds: f"{100 * seeds.mean():.0f}", values).astype(object)


def rates_table(recording: Recording) -> Table:
    """Return the table of all learning rates."""
    summary, words = recording.summary, ("learned", "kept", "forgetting")
    lines = []
    for name in summary["learner"].values:
        one = summary.sel(learner=name).mean("seed")
        shown = [one["score"], *(one[f"{word}_by_rate"] for word in words)]
        for k in np.flatnonzero(np.isfinite(one["rate"])):
            values = (f"{100 * float(value[k]):.1f}" for value in shown)
            lines.append(["" if k else str(name), f"{float(one['rate'][k]):g}", *values])
    return table(
        "At every learning rate, in rates, %, mean over seeds; validated: average accuracy by which it is chosen",
        ["learner", "rate", "validated", *words],
        lines,
    )
