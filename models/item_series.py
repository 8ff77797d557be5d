"""A series of items of which only neighbours are compared, and what thinking along it makes of all other comparisons.

In one situation an item (at `a`) is followed by the next one (at `B`); in the other two neighbours are held, and what comes
first in the series is the answer (at `C`). Attention can walk along the series: it holds an item, then what that evokes, and
so on; and it can compare the item from which a walk began with each pattern that the walk comes to.

Symbolic distance effect: Moyer and Landauer (1967), doi:10.1038/2151519a0; transitive inference in monkeys: McGonigle and
Chalmers (1977), doi:10.1038/267694a0. Deviations: the items have nothing in common, and no item is rewarded by itself.
How far patterns deviate from rest is in `models/thinking.py`, the rates of an answer in `bioplastic.tasks.OUTCOME_RANGE`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bioplastic_models import association, thinking
from bioplastic_models.thinking import Session, held, known

from bioplastic.statistics import agreement
from bioplastic.tasks import OUTCOME_RANGE


def draw(n_items: int, seed: int) -> np.ndarray:
    """Draw the items of a series, shape (n_items, n_cells): they have nothing in common."""
    rng = np.random.default_rng([seed, 2])
    return association.REST + thinking.SWING * rng.choice([-1.0, 1.0], (n_items, association.N_CELLS))


def answers(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what a comparison of places in the series is taught, shape (n_pairs, n_cells)."""
    low, high = OUTCOME_RANGE
    row = np.repeat([high, low], association.N_CELLS // 2)
    return np.where((first < second)[:, None], row, row[::-1])


def ordered_pairs(n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of both items of every ordered pair of different ones, by the first, then by the second."""
    first, second = np.nonzero(~np.eye(n_items, dtype=bool))
    return first, second


def compared(x: np.ndarray) -> np.ndarray:
    """Every ordered pair of items, held at both inputs."""
    first, second = ordered_pairs(len(x))
    return held(x[first], x[second])


def experience(x: np.ndarray, n_passes: int, rng: np.random.Generator) -> list[Session]:
    """Return a stretch in which items follow each other, and one in which neighbours are compared.

    Parameters
    ----------
    x : array, shape (n_items, n_cells)
    n_passes : int
        How often everything is shown.
    rng : Generator
    """
    before = np.arange(len(x) - 1)
    first, second = np.concatenate([before, before + 1]), np.concatenate([before + 1, before])
    follows = held(a=x[before]), known(b=x[before + 1])
    compares = held(x[first], x[second]), known(c=answers(first, second))
    return [Session.taught(*what, n_passes, rng) for what in (follows, compares)]


# ------------------------------------------------------------------------------------------ walks


@dataclass(frozen=True)
class Walk:
    """What is evoked step by step, beginning from each item but the last.

    Attributes
    ----------
    start : array of int, shape (n,)
        Place in the series from which each was reached.
    step : array of int, shape (n,)
        After how many steps, from 1.
    pattern : array, shape (n, n_cells)
    before : array, shape (n, n_cells)
        What evoked it.
    """

    start: np.ndarray
    step: np.ndarray
    pattern: np.ndarray
    before: np.ndarray

    def met(self, x: np.ndarray) -> np.ndarray:
        """Hold the item from which a walk began with each of the walk's patterns, then the other way round."""
        return np.vstack([held(x[self.start], self.pattern), held(self.pattern, x[self.start])])


def nearest(patterns: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Index of the item (n_items, n_cells) that each pattern (n_patterns, n_cells) is nearest to."""
    return np.argmin(((patterns[:, None] - items[None]) ** 2).sum(-1), axis=1)


def arrived(walk: Walk, x: np.ndarray) -> np.ndarray:
    """Whether each pattern of a walk is nearest to the item at which the walk should be, shape (n,)."""
    return nearest(walk.pattern, x) == walk.start + walk.step


def thought_through(walk: Walk, x: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Whether a walk is at the right item, and the comparison with which it began was right.

    Parameters
    ----------
    walk : Walk
    x : array, shape (n_items, n_cells)
    answer : array, shape (2 n, n_cells)
        What was evoked by `Walk.met`.

    Returns
    -------
    array of bool, shape (2, n)
        In both orders.
    """
    begins = walk.step == 1
    one, next_one = walk.start[begins], walk.start[begins] + 1
    said = np.concatenate([half[begins] for half in np.split(answer, 2)])
    sure = margins(said, np.concatenate([one, next_one]), np.concatenate([next_one, one])) > 0
    return np.asarray(arrived(walk, x)[None] & sure.reshape(2, -1)[:, walk.start])


def by_step(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Mean of values (..., n) over all that are at step 1 (n,), at step 2, and so on; shape (n_steps,)."""
    return np.array([values[..., step == s].mean() for s in range(1, int(step.max()) + 1)])


def thoughts(
    x: np.ndarray, walk: Walk, answer: np.ndarray, arm: str, *, rng: np.random.Generator, n_repeats: int
) -> Session:
    """Return a round of thought along the walks, and looks at all comparisons.

    An item is held with each pattern that a walk from it has come to, on either side, and what the first step of that
    walk has evoked as answer counts as the answer (in the sham: what the pair itself has). What evoked a pattern on a
    walk is held, and the pattern counts as what happens.

    Parameters
    ----------
    x : array, shape (n_items, n_cells)
    walk : Walk
    answer : array, shape (2 n, n_cells)
        What was evoked by `Walk.met`.
    arm : str
    rng : Generator
    n_repeats : int
        How often it is held.
    """
    n = len(walk.start)
    here, there = x[walk.start], walk.pattern
    begun = walk.start  # the pairs of the first step come first, by their start
    told = answer if arm == thinking.SHAM else np.vstack([answer[:n][begun], answer[n:][begun]])
    if arm == thinking.MET:
        end = walk.start + walk.step
        there = x[end]
        told = answers(np.concatenate([walk.start, end]), np.concatenate([end, walk.start]))
    exchanged = thinking.others(len(told), rng)
    if arm == thinking.SHUFFLED:
        told = told[exchanged]
    shown = np.vstack([held(here, there), held(there, here), held(a=walk.before)])
    follows = known(b=np.full_like(walk.pattern, thinking.UNKNOWN) if arm == thinking.MET else walk.pattern)
    order = thinking.repeated(3 * n, n_repeats, rng)
    return Session(shown, np.vstack([known(c=told), follows]), order, compared(x), arm in thinking.QUIET)


# ------------------------------------------------------------------------------------------ how well it is known


def margins(answer: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How clearly the right answer is given: 1 as taught, 0 undecided, below 0 wrong.

    Parameters
    ----------
    answer : array, shape (n_pairs, n_cells)
        Rates; the first half of the cells say that the first item comes first in the series.
    first, second : array of int, shape (n_pairs,)
        Places of the items in the series.
    """
    half = answer.shape[1] // 2
    says = answer[:, :half].mean(1) - answer[:, half:].mean(1)
    return np.asarray(np.sign(second - first) * says / (OUTCOME_RANGE[1] - OUTCOME_RANGE[0]))


def learned(x: np.ndarray, follows: np.ndarray, says: np.ndarray) -> float:
    """How well was learned what was shown: agreement of the next item and of the answer with what was taught; mean.

    Parameters
    ----------
    x : array, shape (n_items, n_cells)
    follows : array, shape (n_items - 1, n_cells)
        What each item but the last has evoked as the next.
    says : array, shape (n_pairs, n_cells)
        What every ordered pair has evoked as the answer; only those of neighbours are looked at.
    """
    first, second = ordered_pairs(len(x))
    near = np.abs(first - second) == 1
    return float(np.mean([agreement(follows, x[1:]), agreement(says[near], answers(first[near], second[near]))]))


def by_distance(values: np.ndarray) -> np.ndarray:
    """Mean over the ordered pairs at each distance from 1, of values (..., first, second); shape (..., n_items - 1)."""
    first, second = np.indices(values.shape[-2:])
    return np.stack([values[..., np.abs(first - second) == d].mean(-1) for d in range(1, values.shape[-1])], axis=-1)


def far_from(at_distance: np.ndarray) -> np.ndarray:
    """Mean over all pairs that are no neighbours, of values (..., distance); nearer ones are more numerous."""
    n_pairs = np.arange(at_distance.shape[-1], 0, -1)[1:]
    return np.asarray(at_distance[..., 1:] @ n_pairs / n_pairs.sum())


def distance_slope(margin: np.ndarray, *, inner: bool = False) -> float:
    """Least-squares slope of the margin over the distance in the series, among pairs that are no neighbours.

    Parameters
    ----------
    margin : array, shape (n_items, n_items)
        Of each ordered pair; the diagonal is not looked at.
    inner : bool, optional
        Leave out the first and the last item, of which one always wins and one always loses.

    Returns
    -------
    float
        Per step of distance; above 0 is the symbolic distance effect.

    Raises
    ------
    ValueError
        There are not two distances.
    """
    if inner:
        margin = margin[1:-1, 1:-1]
    first, second = np.indices(margin.shape)
    distance = np.abs(first - second)
    if distance.max() < 3:
        kept = "inner " * inner
        raise ValueError(f"{len(margin)} {kept}items have fewer than two distances beyond neighbours; give at least 4.")
    far = distance >= 2
    d = distance[far] - distance[far].mean()
    return float(d @ margin[far] / (d @ d))
