"""What is measured of lives: each measure a function that returns labelled arrays, named where it is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from bioplastic import reach
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Kind, Schedule, Timing, lay_out
from bioplastic.hippocampus import BURST_RATE
from bioplastic.life import Lived, Remembered
from bioplastic.recording import labelled
from bioplastic.tasks import Task

Measures = dict[str, xr.Variable]
"""Labelled arrays by name, to be put together into a dataset."""

SMALLEST_IMPROVEMENT = 0.05
"""Fraction of the output error that must be gone before anybody asks which hops it was that did it."""
EVENT_KINDS = tuple(kind.name.lower() for kind in Kind)


def dataset(circuit: Circuit, *measures: Measures) -> xr.Dataset:
    """Put measures together; hops are labelled.

    Parameters
    ----------
    circuit : Circuit
    *measures : dict of str to Variable
    """
    together = {name: variable for part in measures for name, variable in part.items()}
    return xr.Dataset(together, {"hop": hop_axis(circuit.n_hops)})


def hop_axis(n_hops: int) -> xr.Variable:
    """Label the hops of a circuit."""
    return labelled("hop", np.arange(n_hops), "hops upstream of the error source")


def events(schedule: Schedule, timing: Timing) -> Measures:
    """Say what was shown when.

    Parameters
    ----------
    schedule : Schedule
    timing : Timing
    """
    onset = lay_out(schedule, timing).onset * float(timing.resolution)
    return {
        "event_time": labelled("event", onset, "time at which the event begins", "s"),
        "event_kind": labelled("event", schedule.kind.astype("int8"), "kind of event", flags=EVENT_KINDS),
        "event_occurrence": labelled("event", schedule.occurrence, "occurrence of the rare event, from 1 (0: none)"),
        "event_salience": labelled(
            "event", schedule.salience, "salience: how many times as long the outcome stays present"
        ),
        "event_replayed": labelled("event", schedule.replayed, "whether the event is a replay", flags=("no", "yes")),
        "event_stimulus": labelled(
            "event", np.where(schedule.resting, -1, schedule.stimulus), "index of the stimulus (-1: none)"
        ),
    }


def output_error(task: Task, schedule: Schedule, prediction: np.ndarray) -> Measures:
    """Squared error of each event's prediction.

    Parameters
    ----------
    task : Task
    schedule : Schedule
    prediction : array, shape (n_events, n_outputs)
    """
    error = np.square(prediction - task.outcomes[schedule.outcome]).sum(1)
    return {"output_error": labelled("event", error, "error of the output (NaN: no outcome)")}


def changes(
    circuit: Circuit, start: Weights, real: Sequence[Weights], sham: Sequence[Weights], sham2: Sequence[Weights]
) -> Measures:
    """Relative change of the weights at each look, against the sham run and between two shams.

    Parameters
    ----------
    circuit : Circuit
    start : Weights
    real, sham, sham2 : sequence of Weights, shape (n_looks,)
    """

    def distances(one: Sequence[Weights], other: Sequence[Weights]) -> np.ndarray:
        pairs = zip(one, other, strict=True)
        found = [reach.relative_change(circuit, a.forward, b.forward, start.forward) for a, b in pairs]
        return np.reshape(found, (len(one), circuit.n_hops))

    axes = ("snapshot", "hop")
    return {
        "change": labelled(axes, distances(real, sham), "relative change of the weights against the sham run"),
        "change_floor": labelled(
            axes, distances(sham2, sham), "relative change of the weights between two sham runs (sham floor)"
        ),
        "change_sham": labelled(
            axes,
            distances(sham, [start] * len(sham)),
            "relative change of the weights of the sham run against the start",
        ),
    }


def changes_since(
    circuit: Circuit, start: Weights, real: Sequence[Weights], sham: Sequence[Weights], sham2: Sequence[Weights]
) -> Measures:
    """Relative change of the weights against the sham run, and between two shams, since the first look.

    Parameters
    ----------
    circuit : Circuit
    start : Weights
        Relative to whose size.
    real, sham, sham2 : sequence of Weights, shape (n_looks,)
    """

    def since(one: Sequence[Weights]) -> np.ndarray:
        caused = [{k: a.forward[k] - b.forward[k] for k in a.forward} for a, b in zip(one, sham, strict=True)]
        return np.array([reach.relative_change(circuit, change, caused[0], start.forward) for change in caused])

    axes, words = ("snapshot", "hop"), "since the first look"
    return {
        "change_since": labelled(axes, since(real), f"relative change of the weights against the sham run, {words}"),
        "change_since_floor": labelled(
            axes, since(sham2), f"relative change of the weights between two sham runs, {words} (sham floor)"
        ),
    }


def error_spikes(real: np.ndarray, sham: np.ndarray, sham2: np.ndarray) -> Measures:
    """Error spikes by occurrence and hop, of a run and its two shams.

    Parameters
    ----------
    real, sham, sham2 : array, shape (n_occurrences, n_hops)
    """
    axes = ("occurrence", "hop")
    return {
        "error_spikes": labelled(axes, real, "error spikes at an occurrence and in the events that it is counted over"),
        "error_spikes_sham": labelled(axes, sham, "the same in the sham run"),
        "error_spikes_sham2": labelled(axes, sham2, "the same in the second sham run"),
    }


def mismatch(circuit: Circuit, schedule: Schedule, error_spikes: np.ndarray, theta: float, n_around: int) -> Measures:
    """Mismatch signalled per cell and event: in the background before and after all occurrences, and at them.

    Parameters
    ----------
    circuit : Circuit
    schedule : Schedule
    error_spikes : array, shape (n_events, n_hops)
    theta : float
        Mismatch that an error spike signals.
    n_around : int
        Background events at the beginning, and at the end.
    """
    cells = np.zeros(circuit.n_hops)
    for population in circuit.populations:
        hop = circuit.population_hops[population.name]
        if population.role != "input" and np.isfinite(hop):
            cells[int(hop)] += population.size
    per_cell = theta * error_spikes / cells
    phases = {
        "before": (per_cell[:n_around], "background event before"),
        "during": (per_cell[schedule.rare], "rare event"),
        "after": (per_cell[-n_around:], "background event after"),
    }
    return {
        f"mismatch_{phase}": labelled("hop", one.mean(0), f"mismatch signalled per cell and {words}, in spikes")
        for phase, (one, words) in phases.items()
    }


def latency(circuit: Circuit, pairs: Sequence[tuple[Lived, Lived]], event: int, timing: Timing) -> Measures:
    """Time that an error takes to every hop, mean over lives in spikes.

    Parameters
    ----------
    circuit : Circuit
    pairs : sequence of (Lived, Lived)
        Each life and its sham run.
    event : int
        In which the two differ.
    timing : Timing
    """
    hop = np.concatenate([np.full(p.size, circuit.population_hops[p.name]) for p in circuit.populations])
    found = []
    for real, sham in pairs:
        trains = [one.error_spikes for one in (real, sham)]
        spikes = [(x.time, x.cell, x.sign) for x in trains if x is not None and x.sign is not None]
        assert real.onset is not None and len(spikes) == 2  # lives in spikes have all of these
        onset = real.onset[event] + float(timing.lead)
        found.append(1000 * (reach.first_difference(spikes[0], spikes[1], hop, circuit.n_hops) - onset))
    everywhere = np.isfinite(found).all(0)  # a hop that some of them do not reach has no mean
    mean = np.where(everywhere, np.nan_to_num(found).mean(0), np.nan)
    words = "time from the onset of the outcome until error spikes first differ from the sham run"
    return {"latency": labelled("hop", mean, words, "ms")}


def front(circuit: Circuit, lived: Lived, onset: float) -> Measures:
    """When the first error spike of every hop comes, in a life in spikes.

    Parameters
    ----------
    circuit : Circuit
    lived : Lived
    onset : float
        From when on, in s.
    """
    errors = lived.error_spikes
    assert errors is not None  # a life in spikes has them
    first = np.full(circuit.n_hops, np.nan)
    for population in circuit.populations:
        hop, cells = circuit.population_hops[population.name], circuit.slices[population.name]
        mine = errors.time[(errors.time >= onset) & (errors.cell >= cells.start) & (errors.cell < cells.stop)]
        if len(mine) and hop < circuit.n_hops:
            first[int(hop)] = np.fmin(first[int(hop)], mine.min())
    return {"front": labelled("hop", 1000 * (first - onset), "first error spike after the outcome's onset", "ms")}


def surprise(circuit: Circuit, lived: Lived, onset: float, timing: Timing, theta: float) -> float:
    """Mismatch that the error sources signal while an outcome is present, in spikes.

    Parameters
    ----------
    circuit : Circuit
    lived : Lived
        A life in spikes.
    onset : float
        Of the outcome, in s.
    timing : Timing
    theta : float
        Mismatch that an error spike signals.
    """
    errors = lived.error_spikes
    assert errors is not None  # a life in spikes has them
    there = (errors.time >= onset) & (errors.time < onset + float(timing.outcome))
    sources = [circuit.slices[source.name] for source in circuit.error_sources]
    return theta * float(sum((there & (errors.cell >= s.start) & (errors.cell < s.stop)).sum() for s in sources))


def time_there(circuit: Circuit, lived: Lived, onset: float, silence: float) -> float:
    """For how long a stimulus is there from a time on, shown by the world or held, seen from the inputs' spikes.

    Parameters
    ----------
    circuit : Circuit
    lived : Lived
        A life in spikes that leaves them.
    onset : float
        In s.
    silence : float
        Time without a spike of any input, in s, after which it counts as gone.

    Returns
    -------
    float
        In s, until the last spike before the first such silence; 0 if that begins at the onset.
    """
    spikes = lived.spikes
    assert spikes is not None  # the bench was told to record them
    inputs = [circuit.slices[one.name] for one in circuit.inputs]
    mine = np.any([(spikes.cell >= one.start) & (spikes.cell < one.stop) for one in inputs], axis=0)
    after = np.concatenate([[onset], spikes.time[mine & (spikes.time > onset)]])
    gaps = np.flatnonzero(np.diff(after) > silence)
    return float(after[gaps[0] if len(gaps) else -1] - onset)


def reactivations(remembered: Remembered, duration: float, of: int) -> Measures:
    """Say when which memory was reactivated, and how long the ripples were.

    Parameters
    ----------
    remembered : Remembered
    duration : float
        Of the rest, in s.
    of : int
        The memory whose share is asked for.
    """
    which, spikes = remembered.reactivated, remembered.index_spikes
    ripples = 1000 * ripple_lengths(spikes.time, spikes.cell)
    share, mean_length = (one.mean() if len(one) else np.nan for one in (which == of, ripples))
    words = "from the first to the last spike of an index cell's ripple"
    return {
        "reactivation_time": labelled("reactivation", remembered.reactivation_time, "time of a reactivation", "s"),
        "reactivated": labelled("reactivation", which, "which memory is reactivated"),
        "reactivation_rate": labelled((), len(which) / duration, "reactivations per second of rest", "1/s"),
        "share_reactivated": labelled((), share, "share of one memory in all reactivations"),
        "ripple_length": labelled("ripple", ripples, words, "ms"),
        "ripple_length_mean": labelled((), mean_length, f"{words}, mean", "ms"),
    }


def ripple_lengths(time: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Length of each ripple of an index cell, in s: spikes with no gap of two intervals or more.

    Parameters
    ----------
    time, cell : arrays, shape (n_spikes,)
        Spikes of index cells, in s.

    Returns
    -------
    array, shape (n_ripples,)
    """
    if not len(time):
        return np.empty(0)
    order = np.lexsort((time, cell))
    time, cell = time[order], cell[order]
    new = np.ones(len(time), bool)
    new[1:] = (np.diff(cell) != 0) | (np.diff(time) > 2 / float(BURST_RATE))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(time)) - 1
    return np.asarray(time[last] - time[first])


def squared_error(circuit: Circuit, task: Task, networks: Sequence[Weights], stimuli: np.ndarray) -> np.ndarray:
    """Mean squared error on some images, in the rate network, shape (n_networks,).

    Parameters
    ----------
    circuit : Circuit
    task : Task
    networks : sequence of Weights
    stimuli : array of int
    """
    from bioplastic import twin

    predicted = twin.predict(circuit, networks, task.stimuli[stimuli])
    error: np.ndarray = np.square(predicted - task.outcomes[task.label[stimuli]]).sum(2).mean(1)
    return error


def held_out(circuit: Circuit, task: Task, start: Weights, end: Weights) -> Measures:
    """Held-out errors on the rare event and on the background, before and after a life, in the rate network.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    start, end : Weights
    """
    found: Measures = {}
    for name, words in (("rare", "the rare event"), ("background", "the background")):
        shown = task.indices(rare=name == "rare", held_out=True)
        errors = squared_error(circuit, task, [start, end], shown)
        for when, error in zip(("initial", "final"), errors, strict=True):
            before = "before" if when == "initial" else "after"
            found[f"error_{name}_{when}"] = labelled(
                (), error, f"held-out error on {words} {before} the run, in the rate network"
            )
    return found


def accuracy(before: Sequence[float], after: Sequence[float]) -> Measures:
    """Name accuracies on the rare event and on the background, before and after a life.

    Parameters
    ----------
    before, after : sequence of float, shape (2,)
    """
    found: Measures = {}
    for k, (name, words) in enumerate((("rare", "the rare event"), ("background", "the background"))):
        found[f"accuracy_{name}_initial"] = labelled((), before[k], f"accuracy on {words} before the run")
        found[f"accuracy_{name}_final"] = labelled((), after[k], f"accuracy on {words} after the run")
    return found


def fraction_right(task: Task, prediction: np.ndarray, shown: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Fraction of predictions whose largest output is the right one, in each part of what was shown.

    Parameters
    ----------
    task : Task
    prediction : array, shape (n_shown, n_outputs)
    shown : sequence of array of int
        Stimuli, part after part.
    """
    right = prediction.argmax(1) == task.label[np.concatenate(list(shown))]
    return tuple(float(part.mean()) for part in np.split(right, np.cumsum([len(part) for part in shown])[:-1]))


def right_in_rates(circuit: Circuit, task: Task, weights: Weights) -> tuple[float, ...]:
    """Accuracy on all held-out rare and background images, in the rate network.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    weights : Weights
    """
    from bioplastic import twin

    shown = [task.indices(rare=kind, held_out=True) for kind in (True, False)]
    (predicted,) = twin.predict(circuit, [weights], task.stimuli[np.concatenate(shown)])
    return fraction_right(task, predicted, shown)


def alignment(circuit: Circuit, change: Mapping[str, np.ndarray], gradient: Mapping[str, np.ndarray]) -> Measures:
    """Cosine of a change to the backprop gradient, by hop.

    Parameters
    ----------
    circuit : Circuit
    change, gradient : mapping of str to array, shape (post, pre)
    """
    cosines = reach.alignment(circuit, change, gradient)
    return {"alignment": labelled("hop", cosines, "cosine of the weight change to the backprop gradient")}


def feedback_alignment(
    circuit: Circuit, forward: Mapping[str, np.ndarray], feedback: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Cosine between forward and feedback weights, shape (n_hops,).

    Parameters
    ----------
    circuit : Circuit
    forward, feedback : mapping of str to array, shape (post, pre)
    """
    found = np.full(circuit.n_hops, np.nan)
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        a, b = forward[projection.name].ravel(), feedback[projection.name].ravel()
        found[int(hop)] = a @ b / np.sqrt((a @ a) * (b @ b))
    return found


def functional(circuit: Circuit, task: Task, start: Weights, end: Weights) -> Measures:
    """Share of the improvement that the changed weights of some hops bring, put into the unchanged network.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    start, end : Weights

    Returns
    -------
    dict of str to Variable
        With the changed weights of hops 0 to h, and of hops h and more; NaN if the output hardly improved.
    """
    hop = {p.name: h for p, h in zip(circuit.projections, circuit.hops, strict=True)}
    population_hop = circuit.population_hops

    def mixed(first: float, last: float) -> Weights:
        return Weights(
            {k: (end if first <= hop[k] <= last else start).forward[k] for k in start.forward},
            {k: (end if first <= population_hop[k] <= last else start).bias[k] for k in start.bias},
        )

    hops = range(circuit.n_hops)
    networks = [start, end, *(mixed(0, h) for h in hops), *(mixed(h, np.inf) for h in hops)]
    error = squared_error(circuit, task, networks, task.indices(rare=True, held_out=True))
    gained = error[0] - error[1]
    enough = gained > SMALLEST_IMPROVEMENT * error[0]
    share = (error[0] - error[2:]) / gained if enough else np.full(len(networks) - 2, np.nan)
    return {
        "functional_downstream": labelled(
            "hop", share[: len(hops)], "share of the improvement kept by the changed weights of hops 0 to this"
        ),
        "functional_upstream": labelled(
            "hop", share[len(hops) :], "share of the improvement kept by the changed weights from this hop up"
        ),
    }


def gradient_norm(circuit: Circuit, task: Task, weights: Weights) -> np.ndarray:
    """Root mean square, over the rare events to learn from, of the norm of backprop's gradient, shape (n_hops,).

    Parameters
    ----------
    circuit : Circuit
    task : Task
    weights : Weights
    """
    from bioplastic import twin

    squares = []
    for stimulus in task.indices(rare=True, held_out=False):
        wanted = task.outcomes[task.label[[stimulus]]]
        gradient = twin.gradient(circuit, weights, task.stimuli[[stimulus]], wanted)
        squares.append([row @ row for (row,) in reach.by_hop(circuit, gradient)])
    return np.asarray(np.sqrt(np.mean(squares, axis=0)))


def along_gradient(
    circuit: Circuit, task: Task, start: Weights, real: Weights, sham: Weights, *, rare: np.ndarray
) -> np.ndarray:
    """Relative change against the sham run, per rare event, along backprop's gradient for the rare events at the start.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    start, real, sham : Weights
    rare : array of int, shape (n_events,)
        Stimuli of the rare events that were lived.

    Returns
    -------
    array, shape (n_hops,)
        The size of the change times the cosine between both: below 0 if it goes against, 0 where there is none.
    """
    from bioplastic import twin

    one, other = real.forward, sham.forward
    caused = reach.relative_change(circuit, one, other, start.forward) / len(rare)
    gradient = twin.gradient(circuit, start, task.stimuli[rare], task.outcomes[task.label[rare]])
    cosine = reach.alignment(circuit, {name: one[name] - other[name] for name in one}, gradient)
    return np.asarray(caused * np.nan_to_num(cosine))
