"""What a study prints and draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bioplastic.recording import Recording
from bioplastic.statistics import Estimate, estimate, interval
from bioplastic.terminal import console, table

if TYPE_CHECKING:
    from bioplastic.study.study import Study

__all__ = ["ahead", "n_seeds", "points", "rows", "said", "show", "table", "text", "written"]


def text(values: ArrayLike, digits: int = 2) -> str:
    """Mean over seeds and its 95 % interval, as text.

    Parameters
    ----------
    values : array, shape (n_seeds,)
    digits : int, optional
        Significant ones.

    Returns
    -------
    str
        A dash where a seed is missing.
    """
    numbers = np.asarray(values, float)
    if not np.isfinite(numbers).all() or not numbers.size:
        return "–"
    low, high = interval(numbers)
    return f"{numbers.mean():.{digits}g} [{low:.{digits}g}, {high:.{digits}g}]"


def written(array: xr.DataArray, form: str = "") -> xr.DataArray:
    """Mean over the dimension `seed` and its 95 % interval, as text, for every place along the others.

    Parameters
    ----------
    array : DataArray
        NaN where a seed is missing.
    form : str, optional
        Of the numbers, such as ``.0f``; three digits without one.
    """
    return said(lambda values: format(estimate(values), form), array)


def said(say: Callable[[np.ndarray], str], array: xr.DataArray) -> xr.DataArray:
    """What is to be said of the values along the dimension `seed`, for every place along the others.

    Parameters
    ----------
    say : callable
    array : DataArray
    """
    by_place = array.transpose(..., "seed")
    texts = [say(values) for values in by_place.values.reshape(-1, by_place.sizes["seed"])]
    dims = by_place.dims[:-1]
    axes = {name: by_place[name] for name in dims if name in by_place.coords}
    return xr.DataArray(np.reshape(texts, by_place.shape[:-1]), axes, dims)


def rows(columns: Sequence[xr.DataArray], *over: str) -> Iterator[list[str]]:
    """Yield a row for each place along some axes: their labels, and what every column has there.

    Parameters
    ----------
    columns : sequence of DataArray
        Texts, over these axes and no others.
    *over : str
        Axes; the label of the first stands only where it changes.
    """
    above = None
    for labels in product(*(columns[0][axis].values.tolist() for axis in over)):
        here = dict(zip(over, labels, strict=True))
        first = str(labels[0]) if labels[0] != above else ""
        yield [first, *map(str, labels[1:]), *(str(one.sel(here).item()) for one in columns)]
        above = labels[0]


def n_seeds(recording: Recording, group: str = "summary") -> str:
    """``"3 seeds"``, of a recording in which a group has them as an axis."""
    n = recording[group].sizes["seed"]
    return f"{n} seed{'s' * (n > 1)}"


def show(study: Study[Any], recording: Recording, *, write: bool = True) -> None:
    """Print the tables and statements of a recording, and write its figures beside it.

    Parameters
    ----------
    study : Study
    recording : Recording
    write : bool, optional
        Whether figures are written.
    """
    from bioplastic import plots

    out = console()
    for one in study.tables(recording):
        out.print(one, "")
    for line in study.statements(recording):
        out.print(line, soft_wrap=True)
    if write:
        path = recording.path
        for suffix, figure in study.figures(recording).items():
            for written in plots.save(figure, path.with_name(f"{path.stem}{suffix}")):
                out.print(f"wrote {written}", soft_wrap=True)
    out.print(f"wrote {recording.path}; look into it with: bioplastic inspect {recording.path}", soft_wrap=True)


def ahead(gain: Estimate) -> str:
    """Say whether one learner is ahead of another.

    Parameters
    ----------
    gain : Estimate
        By how much it is, over seeds.

    Returns
    -------
    {"ahead", "behind", "undecided"}
        Undecided if the interval holds 0 or there is but one seed.
    """
    if gain.n < 2:
        return "undecided"
    return "ahead" if gain.low > 0 else "behind" if gain.high < 0 else "undecided"


def points(one: ArrayLike, other: ArrayLike) -> str:
    """Say by how many points one learner is ahead of another.

    Parameters
    ----------
    one, other : array, shape (n_seeds,)
        Their scores, in per cent.
    """
    gain = estimate(np.asarray(one, float) - np.asarray(other, float))
    return f"{ahead(gain)}, {gain.mean:+.1f} points [{gain.low:+.1f}, {gain.high:+.1f}]"
