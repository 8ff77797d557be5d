"""What a published result gives when it is reproduced: figures to compare, and curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bioplastic.recording import labelled


@dataclass(frozen=True)
class Check:
    """One published figure, and ours.

    Attributes
    ----------
    claim : str
        What is compared.
    published : float
        The figure, NaN where only a curve or a statement was published.
    ours : float
    low, high : float
        It passes if ours lies between them, both included.
    units : str
    """

    claim: str
    published: float
    ours: float
    low: float
    high: float
    units: str = "1"

    @property
    def passed(self) -> bool:
        """Whether ours lies within the tolerance."""
        return bool(self.low <= self.ours <= self.high)


def near(claim: str, published: float, ours: float, relative: float, units: str = "1") -> Check:
    """Check that ours differs from the published figure by no more than a fraction of it."""
    margin = relative * abs(published)
    return Check(claim, published, float(ours), published - margin, published + margin, units)


def at_most(claim: str, ours: float, high: float, units: str = "1", published: float = 0.0) -> Check:
    """Check a deviation that should be nothing, or a size that should be small."""
    return Check(claim, published, float(ours), -np.inf, high, units)


def at_least(claim: str, ours: float, low: float, units: str = "1") -> Check:
    """Check the size of an effect of which no figure was published."""
    return Check(claim, np.nan, float(ours), low, np.inf, units)


@dataclass(frozen=True)
class Result:
    """What a published result gives.

    Attributes
    ----------
    title : str
    source : str
        Paper, with its DOI or arXiv number.
    checks : tuple of Check
    curves : Dataset
        A curve over one axis of its own name is the coordinate of that axis.
    """

    title: str
    source: str
    checks: tuple[Check, ...]
    curves: xr.Dataset


def curves(**named: xr.Variable) -> xr.Dataset:
    """Put curves together; one over an axis of its own name labels it."""
    labels = {name: variable for name, variable in named.items() if variable.dims == (name,)}
    return xr.Dataset({name: v for name, v in named.items() if name not in labels}, labels)


def curve(values: object, dims: str, units: str, long_name: str) -> xr.Variable:
    """Return labelled values; the axes as words in one string."""
    return labelled(dims.split(), np.asarray(values), long_name, units)
