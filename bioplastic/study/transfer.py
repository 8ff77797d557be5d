"""What a network keeps of tasks that it learned one after the other: measures of an accuracy matrix.

An accuracy matrix (..., 1 + n_tasks, n_tasks) has the accuracy on every task, before the first block and after each.

Average accuracy, backward and forward transfer: Lopez-Paz and Ranzato (2017), arXiv:1706.08840; forgetting: Chaudhry
et al. (2018), doi:10.1007/978-3-030-01252-6_33. All of them reward a learner that hardly learns, so they are to be read
against how well new tasks are learned: `on_curve` measures another learner at the rate at which it learns them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bioplastic.recording import labelled
from bioplastic.study.measure import Measures


def by_task(prediction: np.ndarray, label: np.ndarray, topic: np.ndarray, n_tasks: int) -> np.ndarray:
    """Fraction of predictions whose largest output is the right one, by task, shape (n_tasks,).

    Parameters
    ----------
    prediction : array, shape (n_stimuli, n_outputs)
    label : array of int, shape (n_stimuli,)
        Which output is right.
    topic : array of int, shape (n_stimuli,)
        Which task each stimulus belongs to.
    n_tasks : int
    """
    right = prediction.argmax(1) == label
    return np.array([right[topic == task].mean() for task in range(n_tasks)])


def average_accuracy(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy at the end, mean over tasks."""
    return np.asarray(accuracy[..., -1, :].mean(-1))


def just_learned(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy on each task right after its block, shape (..., n_tasks)."""
    return np.diagonal(accuracy[..., 1:, :], axis1=-2, axis2=-1)


def learned(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy on a task right after its block, mean over tasks."""
    return np.asarray(just_learned(accuracy).mean(-1))


def kept(accuracy: np.ndarray) -> np.ndarray:
    """Accuracy at the end on all tasks but the last, mean over these."""
    return np.asarray(accuracy[..., -1, :-1].mean(-1))


def backward_transfer(accuracy: np.ndarray) -> np.ndarray:
    """What came after a task changed in it: accuracy at the end less that after its block, all tasks but the last."""
    return np.asarray((accuracy[..., -1, :-1] - just_learned(accuracy)[..., :-1]).mean(-1))


def forward_transfer(accuracy: np.ndarray) -> np.ndarray:
    """What came before a task did to it: accuracy before its block less that at the start, all tasks but the first."""
    before = np.diagonal(accuracy[..., 1:-1, 1:], axis1=-2, axis2=-1)
    return np.asarray((before - accuracy[..., 0, 1:]).mean(-1))


def forgetting(accuracy: np.ndarray) -> np.ndarray:
    """Best accuracy after any earlier block less that at the end, mean over all tasks but the last."""
    return np.asarray((accuracy[..., 1:-1, :-1].max(-2) - accuracy[..., -1, :-1]).mean(-1))


@dataclass(frozen=True)
class Transfer:
    """A measure of accuracy matrices, and what it is in words."""

    of: Callable[[np.ndarray], np.ndarray]
    long_name: str


TRANSFER = {
    "average_accuracy": Transfer(average_accuracy, "accuracy after all blocks, mean over tasks"),
    "learned": Transfer(learned, "accuracy on a task right after its block, mean over tasks"),
    "kept": Transfer(kept, "accuracy after all blocks on all tasks but the last, mean over these"),
    "backward_transfer": Transfer(
        backward_transfer,
        "accuracy after all blocks less that right after a task's block, mean over all but the last",
    ),
    "forward_transfer": Transfer(
        forward_transfer,
        "accuracy right before a task's block less that at the start, mean over all but the first",
    ),
    "forgetting": Transfer(
        forgetting, "best accuracy after any earlier block less that after all, mean over all tasks but the last"
    ),
}
"""All of them, by name."""


def transfer(accuracy: xr.DataArray, where: str, suffix: str = "") -> Measures:
    """Take all measures of accuracy matrices.

    Parameters
    ----------
    accuracy : DataArray
        Its last two dimensions are `block` and `task`.
    where : str
        Ends what they are called in words: in which network, at which learning rate.
    suffix : str, optional
        Ends their names.
    """
    dims = tuple(map(str, accuracy.dims[:-2]))
    return {
        f"{name}{suffix}": labelled(dims, one.of(accuracy.values), f"{one.long_name}, {where}")
        for name, one in TRANSFER.items()
    }


def at_match(x: np.ndarray, y: np.ndarray, wanted: float) -> float:
    """Read a curve where it first gets to a wanted `x`.

    The curve is taken as long as `x` grows; between its points it is straight, and beyond its largest `x` the value
    there stands.

    Parameters
    ----------
    x, y : array, shape (n,)
    wanted : float
    """
    growing = np.concatenate([[True], x[1:] > np.maximum.accumulate(x)[:-1]])
    return float(np.interp(wanted, x[growing], y[growing]))


def on_curve(lives: np.ndarray, name: str, wanted: float) -> float:
    """Measure a learner at the learning rate at which it learns new tasks as well as wanted.

    Parameters
    ----------
    lives : array, shape (n_rates, 1 + n_tasks, n_tasks)
        Its accuracy at rising rates, of one seed; NaN where a rate was not tried. Rate 0 is where it starts.
    name : str
        Of `TRANSFER`.
    wanted : float
        Accuracy on tasks right after their blocks; NaN where nothing is wanted.
    """
    tried = lives[np.isfinite(lives).all((1, 2))]
    still = np.broadcast_to(tried[0, 0], tried[0].shape)
    curve = np.concatenate([still[None], tried])
    return at_match(learned(curve), TRANSFER[name].of(curve), wanted)


def on_curves(by_rate: xr.DataArray, name: str, wanted: xr.DataArray) -> xr.DataArray:
    """`on_curve`, seed by seed.

    Parameters
    ----------
    by_rate : DataArray
        Accuracy of one learner over `rate_index`, `seed`, `block` and `task`.
    name : str
    wanted : DataArray
        Over `seed` and others.
    """
    curve = ["rate_index", "block", "task"]
    found: xr.DataArray = xr.apply_ufunc(
        lambda lives, learned: on_curve(lives, name, learned),
        *(by_rate, wanted),
        input_core_dims=[curve, []],
        vectorize=True,
    )
    return found.transpose(*wanted.dims)


def less_matched(one: xr.Dataset, other: xr.Dataset, names: Sequence[str], suffix: str = "") -> dict[str, xr.DataArray]:
    """Measures of a learner at its best rate, less those of another at the rate at which it learns new tasks as well.

    Parameters
    ----------
    one, other : Dataset
        Measures of a learner over `seed`; the other's `accuracy_by_rate` too.
    names : sequence of str
        Of `TRANSFER`; of `learned` there is a difference left where the other never learns as much.
    suffix : str, optional
        Ends the names of the one's measures.
    """
    wanted = one[f"learned{suffix}"]
    return {name: one[f"{name}{suffix}"] - on_curves(other["accuracy_by_rate"], name, wanted) for name in names}
