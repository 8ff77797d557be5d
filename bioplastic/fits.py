"""Closed forms laid over measurements: the nearest rising curve, profiles by hop, and how well predictions agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize_scalar

from bioplastic import theory
from bioplastic.statistics import Estimate, estimate

FORMS = ("ladder", "cable", "heat")
"""Closed forms of a profile by hop."""


@dataclass(frozen=True)
class Quality:
    """How well predicted numbers agree with measured ones, each with its interval over seeds.

    Attributes
    ----------
    r2 : Estimate
        1 - sum of squared errors / sum of squares about the mean: nothing is fitted, so it may be negative.
    within : Estimate
        Fraction of conditions that are predicted to within one hop.
    exact : Estimate
        Fraction that is predicted exactly.
    bias : Estimate
        Mean of predicted minus measured, in hops.
    """

    r2: Estimate
    within: Estimate
    exact: Estimate
    bias: Estimate


def quality(measured: np.ndarray, predicted: np.ndarray) -> Quality:
    """Compare, seed by seed; both of shape (n_conditions, n_seeds)."""
    off = predicted - measured
    spread = np.square(measured - measured.mean(0)).sum(0)
    r2 = 1 - np.divide(np.square(off).sum(0), spread, out=np.full(spread.shape, np.nan), where=spread > 0)
    size = np.abs(off)
    return Quality(estimate(r2), estimate((size <= 1).mean(0)), estimate((size == 0).mean(0)), estimate(off.mean(0)))


def _places(x: np.ndarray) -> np.ndarray:
    """Numbers without their last digits: frequency times memory is the same for 0.3 and 100, and for 1 and 30."""
    return np.array([float(f"{value:.9g}") for value in x])


def one_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rising curve through points that lies nearest to them (least squares), at the points."""
    _, inverse, n = np.unique(_places(x), return_inverse=True, return_counts=True)
    return isotonic_regression(np.bincount(inverse, y) / n, weights=n.astype(float)).x[inverse]


def explained(x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of the variance of y that the best rising function of x explains."""
    spread = np.square(y - y.mean()).sum()
    return float(1 - np.square(y - one_line(x, y)).sum() / spread) if spread > 0 else float("nan")


def crossing(x: np.ndarray, reached: np.ndarray) -> float:
    """Place on a logarithmic axis that best separates what is reached, above it, from what is not."""
    at, inverse = np.unique(_places(x), return_inverse=True)
    yes, no = np.bincount(inverse, reached), np.bincount(inverse, ~reached)
    wrong = np.concatenate([[0], np.cumsum(yes)]) + np.concatenate([np.cumsum(no[::-1])[::-1], [0]])
    edges = np.concatenate([at[:1], np.sqrt(at[1:] * at[:-1]), at[-1:]])
    return float(np.exp(np.log(edges[wrong == wrong.min()]).mean()))


@dataclass(frozen=True)
class Profile:
    """A closed form fitted to the logarithm of a profile by hop, its size being free.

    Attributes
    ----------
    values : array, shape (n_hops,)
    length : float
        Its parameter: screening length in hops (ladder, cable), or number of inference steps (heat equation).
    r2 : float
        Of the logarithm, over the hops that were fitted.
    """

    values: np.ndarray
    length: float
    r2: float


def _scaled(shape: np.ndarray, log: np.ndarray) -> tuple[np.ndarray, float]:
    """Bring a shape to the height of what was measured; the sum of squared errors of its logarithm."""
    n = len(log)
    with np.errstate(divide="ignore"):
        offset = np.mean(log - np.log(shape[:n]))
        off = np.square(log - np.log(shape[:n]) - offset).sum()
    return shape * np.exp(offset), float(off) if np.isfinite(off) else np.inf


def fit_profile(form: str, measured: np.ndarray, last: int) -> Profile | None:
    """Fit a form to hops 0 to `last`; None if there are fewer than three."""
    if last < 2 or not (measured[: last + 1] > 0).all():
        return None
    n_hops, log = len(measured), np.log(measured[: last + 1])

    def shape(parameter: float) -> np.ndarray:
        if form == "ladder":
            return theory.ladder_change(n_hops, 1.0, np.expm1(np.exp(-parameter)))  # q = exp(-1/length)
        if form == "cable":
            leak = 2 * np.cosh(np.exp(-parameter)) - 2  # screening length exp(parameter)
            return theory.chain_errors(theory.chain_steady_activity(n_hops, leak=leak))
        return theory.chain_errors(theory.chain_activity(n_hops, round(np.exp(parameter)), 0.1))

    # Smooth in the parameter but for the heat equation's whole steps: look everywhere, then closer.
    grid = np.linspace(np.log(0.1), np.log(30), 120) if form != "heat" else np.log(np.arange(last, 1500))
    off = [_scaled(shape(p), log)[1] for p in grid]
    best = int(np.argmin(off))
    parameter = float(grid[best])
    if form != "heat":
        bounds = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
        parameter = float(minimize_scalar(lambda p: _scaled(shape(p), log)[1], bounds=bounds, method="bounded").x)
    values, error = _scaled(shape(parameter), log)
    return Profile(values, float(np.exp(parameter)), float(1 - error / np.square(log - log.mean()).sum()))


def fitted_ratio(drive: np.ndarray, attenuation: np.ndarray) -> tuple[float, float]:
    """Fit the ladder's one free number, restoring over coupling, to attenuations; its R2, which may be negative."""
    found = minimize_scalar(
        lambda p: np.square(attenuation - theory.ladder_attenuation(1.0, drive, 1.0, np.exp(p))).sum(),
        bounds=(np.log(drive.min()) - 12, np.log(drive.max()) + 12),
        method="bounded",
    )
    spread = np.square(attenuation - attenuation.mean()).sum()
    return float(np.exp(found.x)), float(1 - found.fun / spread) if spread > 0 else float("nan")
