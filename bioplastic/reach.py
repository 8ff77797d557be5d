"""How far upstream a change gets: pure functions from recorded numbers to measures.

Everything here works on arrays; nothing knows a simulator. Axes named ``hop`` run from the weights into the error
source (0) upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bioplastic.circuit import Circuit, Weights
from bioplastic.statistics import unbiased_square


def by_hop(circuit: Circuit, *weights: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
    """Sort weights by hop.

    Parameters
    ----------
    circuit : Circuit
    *weights : mapping of str to array, shape (post, pre)
        Weights, changes or gradients, by projection.

    Returns
    -------
    list of list of array
        For each hop, for each of `weights`, all numbers in one row.
    """
    rows = []
    for hop in range(circuit.n_hops):
        names = [p.name for p, h in zip(circuit.projections, circuit.hops, strict=True) if h == hop]
        rows.append([np.concatenate([np.asarray(w[name]).ravel() for name in names]) for w in weights])
    return rows


def relative_change(
    circuit: Circuit, one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Distance between two sets of weights by hop, relative to the size of those that both started from.

    Parameters
    ----------
    circuit : Circuit
    one, other, start : mapping of str to array, shape (post, pre)

    Returns
    -------
    array, shape (n_hops,)
        ``|one - other| / |start|`` with Euclidean norms; exactly 0 where not one bit differs.
    """
    return np.array([np.linalg.norm(a - b) / np.linalg.norm(s) for a, b, s in by_hop(circuit, one, other, start)])


def n_plastic(circuit: Circuit) -> np.ndarray:
    """Count the weights that learn, shape (n_hops,).

    Parameters
    ----------
    circuit : Circuit
    """
    found = np.zeros(circuit.n_hops, int)
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        if projection.plastic and np.isfinite(hop):
            found[int(hop)] += int(np.prod(circuit.shape(projection)))
    return found


def moved(circuit: Circuit, before: Weights, after: Weights, threshold: float = 0.01) -> np.ndarray:
    """How many of the weights that learn moved, by hop.

    Parameters
    ----------
    circuit : Circuit
    before, after : Weights
    threshold : float, optional
        A weight moved if it did by more than this, in units of the root mean square of its projection.

    Returns
    -------
    array, shape (2, n_hops)
        Fraction that moved, and fraction that is the same to the bit; NaN at a hop of which nothing learns.
    """
    far: list[list[np.ndarray]] = [[] for _ in range(circuit.n_hops)]
    same: list[list[np.ndarray]] = [[] for _ in range(circuit.n_hops)]
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        if projection.plastic and np.isfinite(hop):
            old, new = before.forward[projection.name], after.forward[projection.name]
            far[int(hop)].append((np.abs(new - old) > threshold * np.sqrt(np.square(old).mean())).ravel())
            same[int(hop)].append((new == old).ravel())
    return np.array(
        [[np.concatenate(hop).mean() if hop else np.nan for hop in by_hop] for by_hop in (far, same)], float
    )


def unbiased_change(
    some: Sequence[Sequence[np.ndarray]], others: Sequence[Sequence[np.ndarray]], start: Sequence[np.ndarray]
) -> np.ndarray:
    """Expected distance between weights of lives that differ in chance, relative to those that all started from.

    Parameters
    ----------
    some, others : sequence of sequence of array
        Of each life, group by group, the weights in one row; compared in pairs.
    start : sequence of array
        Group by group.

    Returns
    -------
    array, shape (n_groups,)
        ``|E[some - others]| / |start|`` with Euclidean norms (`bioplastic.statistics.unbiased_square`, 0 where that is
        negative).
    """
    pairs = zip(zip(*some, strict=True), zip(*others, strict=True), strict=True)
    square = [unbiased_square(np.array(one) - np.array(other)) for one, other in pairs]
    return np.asarray(np.sqrt(np.maximum(square, 0)) / [np.linalg.norm(weights) for weights in start])


def alignment(circuit: Circuit, change: Mapping[str, np.ndarray], gradient: Mapping[str, np.ndarray]) -> np.ndarray:
    """Cosine between a change and the direction of backprop, by hop.

    Parameters
    ----------
    circuit : Circuit
    change, gradient : mapping of str to array, shape (post, pre)

    Returns
    -------
    array, shape (n_hops,)
        NaN where nothing changed, since no change has no direction.
    """
    cosines = np.full(circuit.n_hops, np.nan)
    for hop, (a, b) in enumerate(by_hop(circuit, change, gradient)):
        size = np.linalg.norm(a) * np.linalg.norm(b)
        if size > 0:
            cosines[hop] = a @ b / size
    return cosines


def along(circuit: Circuit, change: Mapping[str, np.ndarray], direction: Mapping[str, np.ndarray]) -> np.ndarray:
    """Part of a change that goes in a direction, by hop.

    Parameters
    ----------
    circuit : Circuit
    change, direction : mapping of str to array, shape (post, pre)

    Returns
    -------
    array, shape (n_hops,)
        Negative where it goes against it; 0 where there is no direction.
    """
    found = np.zeros(circuit.n_hops)
    for hop, (a, to) in enumerate(by_hop(circuit, change, direction)):
        size = np.linalg.norm(to)
        if size:
            found[hop] = a @ to / size
    return found


def reach(change: ArrayLike, floor: ArrayLike) -> int:
    """Largest hop up to which the change exceeds the sham floor.

    Parameters
    ----------
    change, floor : array, shape (n_hops,)

    Returns
    -------
    int
        The last hop of the unbroken stretch from hop 0 on; -1 if not even hop 0 is reached.
    """
    above = np.asarray(change) > np.asarray(floor)
    return int(len(above) if above.all() else np.argmin(above)) - 1


def arrival(change: ArrayLike, floor: ArrayLike, occurrence: Sequence[int] | np.ndarray) -> np.ndarray:
    """Occurrence at which each hop is first reached.

    Parameters
    ----------
    change, floor : array, shape (n_snapshots, n_hops)
    occurrence : sequence of int, shape (n_snapshots,)
        After which occurrence each snapshot was taken.

    Returns
    -------
    array, shape (n_hops,)
        NaN for a hop that is never reached.
    """
    reached = np.array([reach(c, f) for c, f in zip(np.asarray(change), np.asarray(floor), strict=True)])
    first = np.full(np.shape(change)[1], np.nan)
    for hop in range(len(first)):
        at = np.flatnonzero(reached >= hop)
        if len(at):
            first[hop] = occurrence[at[0]]
    return first


def front_speed(reached: ArrayLike, occurrence: Sequence[int] | np.ndarray) -> float:
    """Hops that the front covers per occurrence, up to where it gets.

    Parameters
    ----------
    reached : array, shape (n_snapshots,)
        Reach at each look.
    occurrence : sequence of int, shape (n_snapshots,)
        After which occurrence each look was.

    Returns
    -------
    float
        Number of hops reached at most, hop 0 included, by the occurrence at which the front was first there.
    """
    farthest = int(np.argmax(reached))
    return float((np.asarray(reached)[farthest] + 1) / occurrence[farthest])


def time_per_hop(latency: ArrayLike) -> float:
    """Time that an error takes from one hop to the next.

    Parameters
    ----------
    latency : array, shape (n_hops,)
        When each hop is reached; NaN for never.

    Returns
    -------
    float
        Least-squares slope over the hops that are reached, in the unit of `latency`; NaN if they are fewer than three.
    """
    latency = np.asarray(latency, float)
    hops = np.flatnonzero(np.isfinite(latency))
    return float(stats.linregress(hops, latency[hops]).slope) if len(hops) > 2 else float("nan")


def first_difference(
    one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...], hop: np.ndarray, n_hops: int
) -> np.ndarray:
    """When the error spikes of two runs first differ, by hop.

    Parameters
    ----------
    one, other : tuple of array
        Times, cells and signs of the error spikes of each run, in order of time.
    hop : array of int
        Hops upstream of each cell.
    n_hops : int

    Returns
    -------
    array, shape (n_hops,)
        In the unit of the times; NaN where not one error spike differs.
    """
    first = np.full(n_hops, np.nan)
    for h in range(n_hops):
        spikes = [set(zip(*(column[hop[run[1]] == h].tolist() for column in run), strict=True)) for run in (one, other)]
        differing = spikes[0] ^ spikes[1]
        if differing:
            first[h] = min(time for time, *_ in differing)
    return first


def by_occurrence(rare: np.ndarray, per_event: np.ndarray, n_counted: int) -> np.ndarray:
    """Add up numbers per event over each occurrence and what follows it.

    Parameters
    ----------
    rare : array of bool, shape (n_events,)
        Where the rare event occurs.
    per_event : array, shape (n_events, n_hops)
    n_counted : int
        Events to count from an occurrence on; the next occurrence ends the count earlier.

    Returns
    -------
    array, shape (n_occurrences, n_hops)
    """
    latest = np.cumsum(rare)
    since = np.arange(len(rare)) - np.flatnonzero(rare)[np.maximum(latest, 1) - 1]
    counts = (latest > 0) & (since < n_counted)
    total = np.zeros((int(rare.sum()), per_event.shape[1]))
    np.add.at(total, latest[counts] - 1, per_event[counts])
    return total


def screening_length(change: ArrayLike, floor: ArrayLike) -> float:
    """E-folding distance of the change, in hops: the slope of its logarithm over the hops that are reached.

    Parameters
    ----------
    change, floor : array, shape (n_hops,)

    Returns
    -------
    float
        Least-squares estimate; infinite if the change does not fall, NaN if fewer than three hops are reached.
    """
    last = reach(change, floor)
    if last < 2:
        return float("nan")
    slope = stats.linregress(np.arange(last + 1), np.log(np.asarray(change)[: last + 1])).slope
    return float(-1 / slope) if slope < 0 else float("inf")


def at_improvement(change: ArrayLike, improvement: ArrayLike, level: float) -> np.ndarray:
    """Change by hop at the moment at which the output had improved by `level`.

    Parameters
    ----------
    change : array, shape (n_snapshots, n_hops)
    improvement : array, shape (n_snapshots,)
    level : float

    Returns
    -------
    array, shape (n_hops,)
        Linear between the snapshots on both sides of the first crossing, from no change at no improvement; NaN if
        the output never improves that much.
    """
    change = np.vstack([np.zeros(np.shape(change)[1]), change])
    improvement = np.concatenate([[0.0], np.asarray(improvement, float)])
    above = np.flatnonzero(improvement >= level)
    if not len(above):
        return np.full(change.shape[1], np.nan)
    k = above[0]
    if k == 0:
        return change[0]
    share = (level - improvement[k - 1]) / (improvement[k] - improvement[k - 1])
    return change[k - 1] + share * (change[k] - change[k - 1])


def equivalent(change: ArrayLike, number: ArrayLike, floor: ArrayLike) -> float:
    """How many events of one kind change as much as one of another kind does.

    Both curves, change against number, are read at the smaller of their two ends, linear between looks; where a change
    falls again it counts as what it was.

    Parameters
    ----------
    change, number, floor : array, shape (2, n_snapshots)
        Change of a hop by one kind of event and by the other, how many there were so far, and the sham floors.

    Returns
    -------
    float
        NaN where one of the two does not get beyond its floor, or there is no event of the other kind.
    """
    curves = np.maximum.accumulate(np.asarray(change, float), axis=1)
    level = curves[:, -1].min()
    here, there = (float(np.interp(level, c, n)) for c, n in zip(curves, np.asarray(number, float), strict=True))
    return here / there if level > np.asarray(floor)[:, -1].max() and there else float("nan")
