"""The study that most questions begin with: how many hops upstream a rare event reaches, per event frequency.

Two arms. Weights frozen: how far the error signal gets, in error spikes more than in a sham run. Weights learning: how
far change gets, each learner at the learning rate that is best for it on networks of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr

from bioplastic import reach
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Schedule, probes, random_life
from bioplastic.life import Life, Lived
from bioplastic.recording import Recording, labelled
from bioplastic.statistics import spread
from bioplastic.study import measure
from bioplastic.study.bench import Bench, Measure
from bioplastic.study.design import Condition, conditions
from bioplastic.study.learner import Learner
from bioplastic.study.report import n_seeds, table, text
from bioplastic.study.study import Runs, Study
from bioplastic.study.summary import by_labels
from bioplastic.study.tuning import TUNING, TUNING_SEEDS, choose, scores, sweep, tuning_conditions
from bioplastic.tasks import Task
from bioplastic.verdicts import sentences, verdicts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

FROZEN, LEARNING = "frozen", "learning"
FAIR_FALL = 20
"""Factor by which backprop's gradient may fall along the chain before the comparison is none."""
LOOKS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
"""Occurrences after which the weights are looked at: few at the end, many at the start."""


@dataclass(frozen=True)
class ReachSettings:
    """Settings of the study; together with circuit, task and learners they determine every number."""

    event_fractions: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Fractions of all events that are the rare event."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One network, one life and one set of spike phases each."""
    n_events: int = 300
    """Length of a life in the learning arm, in events."""
    n_occurrences_frozen: int = 8
    """A life in the frozen arm lasts for at least this many rare events."""
    n_events_frozen: int = 120
    """And for at least this many events."""
    n_counted: int = 3
    """Events, from an occurrence on, over which its error spikes are counted: what an event leaves below threshold in a
    cell, the next ones may push over it. More events count more of that, and more noise."""
    tuning_fraction: float = 0.3
    """Event fraction at which the learning rates are chosen: high, so that there is something to learn."""
    n_probes: int = 50
    """Most held-out images of each kind, rare and background, on which accuracy is measured in spikes."""


Settings = TypeVar("Settings", bound=ReachSettings)


class ReachBench(Bench):
    """What all runs of the study share, and the lives that they live."""

    def __init__(self, circuit: Circuit, task: Task, learners: Sequence[Learner], settings: ReachSettings) -> None:
        self.settings = settings
        rng = np.random.default_rng(0)
        rare, background = (task.indices(rare=kind, held_out=True) for kind in (True, False))
        self.probed = [rng.permutation(part)[: settings.n_probes] for part in (rare, background)]
        self._before: dict[int, tuple[float, ...]] = {}
        n_events = max(settings.n_events, *(self.n_events(FROZEN, f) for f in settings.event_fractions))
        longest = n_events * max(float(one.timing.event / one.timing.resolution) for one in learners)
        super().__init__(circuit, task, (*settings.seeds, *TUNING_SEEDS), learners, longest=longest)

    def n_events(self, kind: str, event_fraction: float) -> int:
        """Length of a life."""
        if kind != FROZEN:
            return self.settings.n_events
        needed = int(np.ceil(self.settings.n_occurrences_frozen / event_fraction))
        return max(needed, self.settings.n_events_frozen)

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: the same for every learner."""
        fraction = condition["event_fraction"]
        rng = np.random.default_rng([condition["seed"], round(1e6 * fraction)])
        return random_life(
            self.task, event_fraction=fraction, n_events=self.n_events(condition.kind, fraction), seed=rng
        )

    def looks(self, schedule: Schedule) -> np.ndarray:
        """Return the occurrences after which the weights are looked at."""
        last = schedule.n_occurrences
        wanted = {*LOOKS, n_fixed(self.settings)}
        return np.array([*sorted({n for n in wanted if n < last})[:11], last])

    def probing(self, learner: Learner, weights: Weights) -> Life:
        """Return the life that shows held-out images, to see in spikes what a network predicts."""
        shortest = min((one.timing for one in self.learners), key=lambda timing: float(timing.event))
        return Life(probes(np.concatenate(self.probed)), learner.rule(0.0), weights, timing=shortest)

    def right(self, lived: Lived) -> tuple[float, ...]:
        """Accuracy on the rare event and on the background, of a life that `probing` returned."""
        return measure.fraction_right(self.task, lived.prediction, self.probed)


def n_fixed(settings: ReachSettings) -> int:
    """Return the number of occurrences that even the rarest event has in a life."""
    return max(1, round(min(settings.event_fractions) * settings.n_events))


def plan(bench: ReachBench, settings: ReachSettings, runs: Runs) -> Iterator[list[Condition]]:
    """Yield the runs that choose learning rates, then those that give results."""
    yield tuning_conditions(bench.learners, event_fraction=settings.tuning_fraction)
    rates = choose(bench.learners, scores(runs, bench.learners, score))
    axes = {"event_fraction": settings.event_fractions[::-1], "seed": settings.seeds}  # the longest lives first
    frozen = conditions(FROZEN, bench.learners, **axes)
    learning = [c for one in bench.learners for c in conditions(LEARNING, [one], **axes, rate=(rates[one.name],))]
    yield [*frozen, *learning]


def score(run: xr.Dataset) -> float:
    """Score a learning rate: minus the held-out error that it leads to; rare and background count the same."""
    return -float(run["error_rare_final"] + run["error_background_final"]) / 2


def measure_condition(bench: ReachBench, condition: Condition) -> Measure:
    """Measure one run of any kind."""
    schedule = bench.schedule(condition)
    measures = {TUNING: _tuning, FROZEN: _frozen, LEARNING: _learning}
    return (yield from measures[condition.kind](bench, condition, schedule))


def _described(bench: ReachBench, condition: Condition, schedule: Schedule, lived: Lived) -> measure.Measures:
    told = measure.output_error(bench.task, schedule, lived.prediction)
    return measure.events(schedule, condition.who.timing) | told


def _tuning(bench: ReachBench, condition: Condition, schedule: Schedule) -> Measure:
    life = bench.life(condition, schedule)
    (lived,) = yield bench.ask(life)
    errors = measure.held_out(bench.circuit, bench.task, life.weights, lived.weights)
    return measure.dataset(bench.circuit, _described(bench, condition, schedule, lived), errors)


def _frozen(bench: ReachBench, condition: Condition, schedule: Schedule) -> Measure:
    rare, n = schedule.rare, bench.settings.n_counted
    if condition.who.spikes:
        lived = yield from bench.beside_shams(bench.life(condition, schedule))
        signals = [one.error_signal for one in lived]
        described = _described(bench, condition, schedule, lived[0])
    else:
        # Nothing carries over from one event to the next, so that the background need not be lived.
        life = bench.life(condition, schedule.select(rare))
        real, sham_lived = yield bench.ask(life, replace(life, schedule=life.schedule.sham()))
        signals = [np.zeros((len(schedule), bench.circuit.n_hops)) for _ in range(2)]
        for signal, one in zip(signals, (real, sham_lived), strict=True):
            signal[rare] = one.error_signal
        signals.append(signals[1])  # nothing in the twin is random, so a second sham would be the first to the bit
        described = measure.events(schedule, condition.who.timing) | measure.output_error(
            bench.task, schedule, _predicted(bench, life.weights, schedule)
        )
    counts = [reach.by_occurrence(rare, one, n) for one in signals]
    return measure.dataset(bench.circuit, described, measure.error_spikes(*counts))


def _predicted(bench: ReachBench, weights: Weights, schedule: Schedule) -> np.ndarray:
    from bioplastic import twin

    stimuli = bench.task.stimuli[schedule.stimulus]
    predicted: np.ndarray = twin.predict(bench.circuit, [weights], stimuli)[0]
    return predicted


def _learning(bench: ReachBench, condition: Condition, schedule: Schedule) -> Measure:
    from bioplastic import twin

    circuit, task, learner = bench.circuit, bench.task, condition.who
    rare, looks = schedule.rare, bench.looks(schedule)
    life = bench.life(condition, schedule, snapshots=np.flatnonzero(rare)[looks - 1].tolist())
    lived = yield from bench.beside_shams(life)
    # The last look is at the end of the life, in spikes and in rates alike.
    at_looks = [[*one.snapshots[:-1], one.weights] for one in lived]
    start, end = life.weights, lived[0].weights
    gradient = twin.gradient(
        circuit, start, task.stimuli[schedule.stimulus[rare]], task.outcomes[schedule.outcome[rare]]
    )
    caused = {name: end.forward[name] - lived[1].weights.forward[name] for name in start.forward}
    errors = measure.squared_error(circuit, task, [start, *at_looks[0]], task.indices(rare=True, held_out=True))
    if learner.spikes:
        if life.seed not in bench._before:
            (before,) = yield bench.ask(bench.probing(learner, start))
            bench._before[life.seed] = bench.right(before)
        (after,) = yield bench.ask(bench.probing(learner, end))
        accuracy = measure.accuracy(bench._before[life.seed], bench.right(after))
    else:
        accuracy = measure.accuracy(*(measure.right_in_rates(circuit, task, one) for one in (start, end)))
    looked = {
        "snapshot_occurrence": labelled("snapshot", looks, "occurrence after which the weights were looked at"),
        "improvement": labelled(
            "snapshot", 1 - errors[1:] / errors[0], "fraction of the rare event's output error that is gone"
        ),
    }
    return measure.dataset(
        circuit,
        _described(bench, condition, schedule, lived[0]),
        measure.held_out(circuit, task, start, end),
        looked,
        measure.changes(circuit, start, *at_looks),
        measure.alignment(circuit, caused, gradient),
        measure.functional(circuit, task, start, end),
        accuracy,
    )


# ------------------------------------------------------------------------------------------ summary

AXES = ("learner", "event_fraction", "seed")
PER_HOP = (*AXES, "hop")
COPIED = (
    "alignment",
    "functional_downstream",
    "functional_upstream",
    *(
        f"{what}_{on}_{when}"
        for what in ("accuracy", "error")
        for on in ("rare", "background")
        for when in ("initial", "final")
    ),
)
"""What the summary takes from the runs as it is."""


def summarise(bench: ReachBench, settings: ReachSettings, runs: Runs) -> dict[str, xr.Dataset]:
    """Gather the measures of all runs into arrays over learner, event fraction, seed and hop."""
    frozen, learning = (
        by_labels(runs.of(kind), *AXES).reindex(event_fraction=list(settings.event_fractions))
        for kind in (FROZEN, LEARNING)
    )
    rates = scores(runs, bench.learners, score)
    chosen = choose(bench.learners, rates)
    shape = tuple(frozen.sizes[name] for name in AXES)
    found = {name: learning[name].variable for name in COPIED}
    found |= _frozen_measures(frozen) | _learning_measures(learning, n_fixed(settings))
    rate = np.broadcast_to(np.array([chosen[one.name] for one in bench.learners])[:, None, None], shape)
    found["learning_rate"] = labelled(AXES, rate, "learning rate")
    found["gradient_norm"] = labelled(
        ("seed", "hop"),
        [measure.gradient_norm(bench.circuit, bench.task, bench.start[seed]) for seed in settings.seeds],
        "norm of backprop's gradient for the rare event, at the start",
    )
    axes = {name: frozen[name].variable for name in AXES} | {"hop": measure.hop_axis(bench.circuit.n_hops)}
    return {"summary": xr.Dataset(found, axes), "learning_rate_sweep": sweep(bench.learners, rates)}


def _over_seeds(function: Callable[..., Any], *arrays: np.ndarray, core: int) -> np.ndarray:
    """Call a function for every learner, fraction and seed, with the arrays' last `core` axes."""
    shape = arrays[0].shape[:-core]
    return np.array([function(*(one[index] for one in arrays)) for index in np.ndindex(*shape)]).reshape(*shape, -1)


def _frozen_measures(frozen: xr.Dataset) -> measure.Measures:
    """How far the error signal gets: excess error spikes per occurrence and their floor, for each seed."""
    real, sham, sham2 = (
        frozen[name].mean("occurrence").transpose(*PER_HOP).values
        for name in ("error_spikes", "error_spikes_sham", "error_spikes_sham2")
    )
    excess = real - sham
    floor = np.broadcast_to(spread(np.moveaxis(sham2 - sham, 2, 0))[:, :, None], excess.shape)
    return {
        "error_signal": labelled(PER_HOP, excess, "excess error spikes over the sham run, weights frozen"),
        "error_signal_floor": labelled(
            PER_HOP, floor, "difference of error spikes between two sham runs, weights frozen"
        ),
        "error_signal_reach": labelled(
            AXES,
            _over_seeds(reach.reach, excess, floor, core=1)[..., 0].astype(float),
            "last hop the error signal reaches, weights frozen (-1: none)",
        ),
    }


def _learning_measures(learning: xr.Dataset, fixed: int) -> measure.Measures:
    """How far change gets: at the end of the life, and after a fixed number of occurrences, for each seed."""
    names = ("change", "change_floor", "improvement", "snapshot_occurrence")
    n_learners, n_fractions, n_seed = (learning.sizes[name] for name in AXES)
    empty = np.full((n_learners, n_fractions, n_seed), np.nan)
    per_hop = np.full((*empty.shape, learning.sizes["hop"]), np.nan)
    scalars = {
        name: empty.copy() for name in ("reach", "reach_fixed", "reach_matched", "screening_length", "improvement")
    }
    arrays = {name: per_hop.copy() for name in ("change", "change_floor", "change_fixed", "change_matched", "arrival")}
    lengths = learning["n_snapshot"].values if "n_snapshot" in learning else None
    for j in range(n_fractions):
        cells: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
        for i in range(n_learners):
            n = learning.sizes["snapshot"] if lengths is None else int(lengths[i, j, 0])
            change, floors, improved, occurrence = (learning[name].values[i, j, :, :n] for name in names)
            floor = spread(floors)
            at = int(np.flatnonzero(occurrence[0] == fixed)[0])
            for k in range(n_seed):
                cells[i, k] = change[k], floor, improved[k]
                arrays["change"][i, j, k], arrays["change_floor"][i, j, k] = change[k, -1], floor[-1]
                arrays["change_fixed"][i, j, k] = change[k, at]
                arrays["arrival"][i, j, k] = reach.arrival(change[k], floor, occurrence[k])
                scalars["reach"][i, j, k] = reach.reach(change[k, -1], floor[-1])
                scalars["reach_fixed"][i, j, k] = reach.reach(change[k, at], floor[at])
                scalars["screening_length"][i, j, k] = reach.screening_length(change[k, -1], floor[-1])
                scalars["improvement"][i, j, k] = improved[k, -1]
        # At matched improvement: as much as the learner that improves least gets to, for each seed.
        for (i, k), (change, floor, improved) in cells.items():
            level = scalars["improvement"][:, j, k].min()
            if level > 0:
                there, floor_there = (reach.at_improvement(x, improved, level) for x in (change, floor))
                arrays["change_matched"][i, j, k] = there
                scalars["reach_matched"][i, j, k] = reach.reach(there, floor_there)
    return {name: labelled(AXES, values, LONG_NAMES[name]) for name, values in scalars.items()} | {
        name: labelled(PER_HOP, values, LONG_NAMES[name]) for name, values in arrays.items()
    }


LONG_NAMES = {
    "change": "relative change of the weights against the sham run, at the end of the life",
    "change_floor": "relative change of the weights between two sham runs (sham floor), at the end of the life",
    "change_fixed": "relative change of the weights against the sham run, after a fixed number of occurrences",
    "change_matched": "relative change of the weights against the sham run, at matched improvement of the output",
    "arrival": "occurrence at which the change first reaches the hop (NaN: never)",
    "reach": "last hop the change reaches, at the end of the life (-1: none)",
    "reach_fixed": "last hop the change reaches, after a fixed number of occurrences (-1: none)",
    "reach_matched": "last hop the change reaches, at matched improvement of the output (-1: none)",
    "screening_length": "e-folding distance of the change, in hops",
    "improvement": "fraction of the rare event's output error that is gone",
}


# ------------------------------------------------------------------------------------------ what is shown


def tables(recording: Recording) -> Iterator[Table]:
    """Yield the table of reach, by learner and event fraction in each arm, and that of accuracy."""
    arms = {"weights frozen": "error_signal_reach", "weights learning": "reach"}
    yield _by_fraction(recording, "Hops reached upstream (-1: none)", arms)
    yield _by_fraction(recording, "Accuracy on the rare event", {"weights learning": "accuracy_rare_final"})


def _by_fraction(recording: Recording, what: str, variables: Mapping[str, str]) -> Table:
    """A table of some variables, one below the other, by learner and event fraction."""
    summary = recording.summary
    rows = []
    for heading, name in variables.items():
        rows.append([f"{heading}:", *[""] * summary.sizes["event_fraction"]])
        for learner in summary["learner"].values:
            by_fraction = summary[name].sel(learner=learner).transpose("event_fraction", "seed").values
            rows.append([str(learner), *(text(v) if np.ptp(v) else f"{v[0]:.2g}" for v in by_fraction)])
    headings = ["event fraction", *(f"{fraction:g}" for fraction in summary["event_fraction"].values)]
    return table(f"{what}, mean over {n_seeds(recording)} [95 % interval]", headings, rows)


def statements(recording: Recording) -> Iterator[str]:
    """Say whether backprop gets a fair chance on this circuit, and give the verdicts on what is claimed of reach."""
    norm = recording.summary["gradient_norm"].mean("seed").values
    fall = norm.max() / norm.min()
    verdict = (
        "backprop gets a fair chance"
        if fall <= FAIR_FALL
        else f"more than {FAIR_FALL}, so backprop does not get a fair chance; shorten the chain"
    )
    yield f"Norm of backprop's gradient by hop, at the start: {' '.join(f'{x:.2f}' for x in norm)}"
    yield f"Its largest is {fall:.1f} times its smallest: {verdict}."
    yield from sentences(verdicts(recording.summary))


def figures(recording: Recording) -> dict[str, Figure]:
    """Draw reach against event frequency, and the front."""
    from bioplastic import plots

    return {"": plots.reach_figure(recording), "-front": plots.front_figure(recording)}


def _bench(parts: Sequence[Callable[[Any], Any]], settings: ReachSettings) -> ReachBench:
    circuit, task, learners = (part(settings) for part in parts)
    return ReachBench(circuit, task, learners, settings)


def reach_study(
    name: str,
    title: str,
    settings: Mapping[str, Settings] | Settings,
    *,
    circuit: Circuit | Callable[[Settings], Circuit],
    task: Task | Callable[[Settings], Task],
    learners: Sequence[Learner] | Callable[[Settings], Sequence[Learner]],
    script: Path | None = None,
    running_time: Mapping[str, str] | None = None,
) -> Study[Settings]:
    """Make a study of how many hops upstream a rare event reaches.

    Parameters
    ----------
    name : str
        Of the recording.
    title : str
        The question, in one line.
    settings : ReachSettings or mapping of str to ReachSettings
        One, or several by size with ``""`` as the default.
    circuit, task : Circuit and Task, or callable
        Or functions of the settings.
    learners : sequence of Learner, or callable
    script : Path, optional
        The file that says what the experiment is.
    running_time : mapping of str to str, optional
        By size, in words.

    Returns
    -------
    Study
    """
    parts: list[Any] = [part if callable(part) else partial(_same, part) for part in (circuit, task, learners)]
    return Study(
        name=name,
        title=title,
        settings=settings if isinstance(settings, Mapping) else {"": settings},
        bench=partial(_bench, parts),
        plan=plan,
        measure=measure_condition,
        summarise=summarise,
        tables=tables,
        figures=figures,
        statements=statements,
        running_time=running_time or {},
        script=script,
    )


def _same(part: Any, settings: ReachSettings) -> Any:
    return part
