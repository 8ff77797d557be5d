"""Recordings that the tests of figures draw, and how they look into what was drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bioplastic.recording import Provenance, Recording, labelled, stack

LEARNERS = (
    "error relay",
    "error relay, unscreened",
    "backprop",
    "backprop, truncated",
    "backprop, falling rate",
)
FRACTIONS = (0.01, 0.1, 0.3)
HOPS = 6
AXES = ("learner", "event_fraction", "seed")
PER_HOP = (*AXES, "hop")


def dataset(variables: dict[str, np.ndarray], learners: Sequence[str], fractions: Sequence[float]) -> xr.Dataset:
    """Measures over learner, event fraction, seed and perhaps hop."""
    some = next(array for array in variables.values() if array.ndim == 4)
    found = {
        name: labelled(AXES if array.ndim == 3 else PER_HOP, array, name.replace("_", " "))
        for name, array in variables.items()
    }
    axes = {"learner": list(learners), "event_fraction": list(fractions)}
    return xr.Dataset(found, axes | {"seed": np.arange(some.shape[2]), "hop": np.arange(some.shape[3])})


def make_summary(
    learners: Sequence[str] = LEARNERS, fractions: Sequence[float] = FRACTIONS, seeds: int = 3, hops: int = HOPS
) -> xr.Dataset:
    """The n-th learner reaches hop n at the first fraction, one more at the next, and one more in one seed."""
    shape = (len(learners), len(fractions), seeds)
    hop = np.arange(hops)
    first = np.arange(len(learners))[:, None, None] + np.arange(len(fractions))[:, None]
    reach = np.minimum(np.broadcast_to(first, shape) + (np.arange(seeds) == 1), hops - 1).astype(float)
    change = np.where(hop <= reach[..., None], 0.1 * 0.5**hop, 0.0)
    variables = {
        "error_signal_reach": reach.copy(),
        "reach": reach,
        "change": change,
        "change_floor": np.full((*shape, hops), 0.1 * 0.5**3.5),
        "alignment": np.where(change > 0, 0.9, np.nan),
        "functional_downstream": np.broadcast_to((hop + 1) / hops, (*shape, hops)).copy(),
    }
    return dataset(variables, learners, fractions)


def with_replay(summary: xr.Dataset, *replays: str) -> xr.Dataset:
    """The same as earlier recordings have it: with a dimension of replay conditions."""
    return summary.expand_dims(replay=list(replays), axis=2).copy(deep=True)


def make_run(occurrences: Sequence[int], change: Any, floor: float) -> xr.Dataset:
    """A run with its change at some looks."""
    axes = ("snapshot", "hop")
    variables = {
        "snapshot_occurrence": labelled("snapshot", np.array(occurrences), "occurrence"),
        "change": labelled(axes, np.array(change, float), "change"),
        "change_floor": labelled(axes, np.full(np.shape(change), float(floor)), "floor"),
    }
    return xr.Dataset(variables, {"hop": np.arange(np.shape(change)[1])})


def make_recording(summary: xr.Dataset, runs: Sequence[tuple[dict[str, Any], xr.Dataset]] = ()) -> Recording:
    """A recording as `read` returns it."""
    made = Provenance.here(title="t", settings={}, circuit="", code="", script="", source="")
    groups = {"summary": summary} | ({"learning": stack(runs)} if runs else {})
    return Recording(Path("run.h5"), made, groups)


def panels(figure: Figure) -> dict[str, Axes]:
    return {str(axes.get_label()): axes for axes in figure.axes}


def lines(axes: Axes, gid: str = "mean") -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_gid() == gid]


def texts(axes: Axes) -> set[str]:
    return {text.get_text() for text in axes.texts}
