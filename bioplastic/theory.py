"""Closed forms to lay over what is measured: how far upstream an error gets, by time, leak, threshold and frequency.

Four idealised circuits, each with an exact solution. `docs/theory.md` derives them and says what they leave out.

=====================================  =====================================================================
question                               answer
=====================================  =====================================================================
a linear predictive-coding chain       heat equation on the chain; with a leak, a cable equation
a leaky accumulator with a threshold   a hop is reached above a critical frequency
one hop per occurrence                 the upper tail of a binomial distribution
a ladder of leaky integrators          geometric attenuation per hop, and a gamma distribution in time
=====================================  =====================================================================

Hops count upstream from the error source, which is 0. Arguments may be arrays wherever their type is ArrayLike; they
are broadcast against each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from bioplastic import reach


class TheoryError(ValueError):
    """An argument outside the range in which a formula holds."""


def _within(
    name: str, value: ArrayLike, low: float, high: float = np.inf, *, open_low: bool = False, open_high: bool = False
) -> Any:
    """Return the value as an array of numbers, or say which of them lies outside the range."""
    try:
        given = np.asarray(value, float)
    except (TypeError, ValueError):
        raise TheoryError(f"{name} = {value!r} is not a number.") from None
    below = given <= low if open_low else given < low
    above = given >= high if open_high else given > high
    bad = below | above | np.isnan(given)
    if bad.any():
        left, right = "(" if open_low else "[", ")" if open_high or np.isinf(high) else "]"
        raise TheoryError(
            f"{name} = {given[bad].flat[0]:g} is outside what is allowed: {left}{low:g}, {high:g}{right}."
        )
    return given


def _whole(name: str, value: Any, low: int) -> int:
    """Return the value as a plain integer of `low` or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TheoryError(f"{name} = {value!r} is not a whole number; give {low} or more.")
    if value < low:
        raise TheoryError(f"{name} = {value} is too small; give {low} or more.")
    return int(value)


# --------------------------------------------------------------------- a linear predictive-coding chain, and a cable


def screening_length(leak: ArrayLike) -> Any:
    """Distance over which the settled activity of a leaky linear predictive-coding chain falls by a factor e.

    ``1/arccosh(1 + leak/2)``: the decaying solution of ``u[h-1] - (2 + leak) u[h] + u[h+1] = 0``.

    Parameters
    ----------
    leak : array, any shape
        Strength of the pull of activity back to its feed-forward value, in units of the pull of one neighbour's
        error; 0 or more.

    Returns
    -------
    array, same shape
        In hops; infinite without a leak, where the profile falls in a straight line to the other end.

    Raises
    ------
    TheoryError
        `leak` is negative or NaN.

    Notes
    -----
    Valid for a chain much longer than the result; `chain_steady_activity` has the ends. For a small leak this is
    ``leak**-0.5``, the length constant of a passive cable (Rall 1959, doi:10.1016/0014-4886(59)90046-9).
    """
    g = _within("leak", leak, 0)
    with np.errstate(divide="ignore"):
        return (1 / (2 * np.arcsinh(np.sqrt(g) / 2)))[()]  # arccosh(1 + g/2), without its rounding at small g


def chain_rates(n_hops: int, *, leak: float = 0.0) -> np.ndarray:
    """Rates at which the modes of a linear predictive-coding chain with fixed ends settle, per unit of step size.

    ``mu[k] = leak + 4 sin(pi k / (2 n_hops))**2`` for ``k = 1 ... n_hops - 1``, the eigenvalues of the tridiagonal
    matrix with ``2 + leak`` on its diagonal and -1 beside it. In n steps of size a, mode k shrinks by
    ``(1 - a*mu[k])**n``.

    Parameters
    ----------
    n_hops : int
        Projections from the input to the error source, 2 or more.
    leak : float, optional
        As in `screening_length`.

    Returns
    -------
    array, shape (n_hops - 1,)
        From the slowest to the fastest. Without a leak the slowest is about ``(pi/n_hops)**2``: the time to settle
        grows with the square of the length.

    Raises
    ------
    TheoryError
        `n_hops` is below 2, or `leak` is negative.
    """
    hops = _whole("n_hops", n_hops, 2)
    g = float(_within("leak", leak, 0, open_high=True))
    return g + 4 * np.sin(np.pi * np.arange(1, hops) / (2 * hops)) ** 2


def largest_step(n_hops: int, *, leak: float = 0.0) -> float:
    """Inference step size above which a linear predictive-coding chain with fixed ends does not settle but grows.

    Parameters
    ----------
    n_hops : int
        As in `chain_rates`.
    leak : float, optional
        As in `screening_length`.

    Returns
    -------
    float
        ``2/mu`` of the fastest mode: just above ``2/(4 + leak)``.

    Raises
    ------
    TheoryError
        As `chain_rates`.
    """
    return float(2 / chain_rates(n_hops, leak=leak)[-1])


def chain_activity(n_hops: int, n_steps: int, step: float, *, leak: float = 0.0) -> np.ndarray:
    """Activity of a linear predictive-coding chain after some inference steps: the heat equation on the chain.

    One unit per population, unit weights, energy ``sum over h of (x[h] - x[h+1])**2 / 2``. Let u be the difference to
    the feed-forward activity. At the error source ``u[0] = 1`` is clamped, at the input ``u[n_hops] = 0``, all others
    begin at 0 and go down the gradient at once, with error ``e[h] = u[h] - u[h+1]``::

        u[h] += step*(e[h-1] - e[h] - leak*u[h])

    The solution is a sum over the modes ``k = 1 ... n_hops - 1`` of `chain_rates`::

        u[h](n) = 2/n_hops * sum_k sin(pi k/n_hops) sin(pi k h/n_hops) (1 - (1 - step*mu[k])**n)/mu[k]

    Parameters
    ----------
    n_hops : int
        Projections from the input to the error source, 2 or more.
    n_steps : int
        Inference steps, 0 or more.
    step : float
        Size of an inference step, in (0, `largest_step`].
    leak : float, optional
        As in `screening_length`.

    Returns
    -------
    array, shape (n_hops + 1,)
        By hops upstream of the error source, for a clamped difference of 1. Exactly 0 for ``h > n_steps``, and
        ``step**n_steps`` at ``h = n_steps``: the front moves one hop per step, whatever the step size.

    Raises
    ------
    TheoryError
        An argument is outside its range; an unstable `step` names the largest stable one.

    Notes
    -----
    Energy and updates as in Whittington and Bogacz (2017), doi:10.1162/NECO_a_00949, here linear; in the limit of small
    steps ``du/dt = u[h-1] - 2u[h] + u[h+1] - leak*u[h]``. Valid for linear units with equal weights of size 1 and all
    units updated at once; not for units updated in turn from the output up, where the front is at the far end after
    one sweep.

    It is evaluated as a power of the one-step matrix. The numbers in it are not negative for ``step <= 1/(2 + leak)``,
    so that every hop comes out to rounding, however small; the sum over modes would lose what is below 1e-16.
    """
    hops, n = _whole("n_hops", n_hops, 2), _whole("n_steps", n_steps, 0)
    g = float(_within("leak", leak, 0, open_high=True))
    a = float(_within("step", step, 0, open_low=True))
    limit = largest_step(hops, leak=g)
    if a > limit:
        raise TheoryError(
            f"step = {a:g} is unstable: with n_hops = {hops} and leak = {g:g} inference settles only for steps up to "
            f"{limit:.6g}; give a smaller one."
        )
    one_step = np.eye(hops + 1)
    inner = np.arange(1, hops)
    one_step[inner, inner] = 1 - a * (2 + g)
    one_step[inner, inner - 1] = one_step[inner, inner + 1] = a
    return np.linalg.matrix_power(one_step, n)[:, 0]


def chain_steady_activity(n_hops: int, *, leak: float = 0.0) -> np.ndarray:
    """Settled activity of a linear predictive-coding chain: the cable equation on a chain of finite length.

    ``u[h] = sinh((n_hops - h)/length)/sinh(n_hops/length)`` with length = `screening_length`; without a leak,
    ``1 - h/n_hops``.

    Parameters
    ----------
    n_hops : int
        Projections from the input to the error source, 2 or more.
    leak : float, optional
        As in `screening_length`.

    Returns
    -------
    array, shape (n_hops + 1,)
        As in `chain_activity`, of which it is the limit for many steps.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Without a leak all errors are equal, ``1/n_hops``: settled predictive coding shares the error out over all hops and
    screens nothing. Range of validity and source as in `chain_activity`.
    """
    hops = _whole("n_hops", n_hops, 2)
    g = float(_within("leak", leak, 0, open_high=True))
    h = np.arange(hops + 1)
    kappa = 2 * np.arcsinh(np.sqrt(g) / 2)
    if kappa * hops < 1e-4:  # to second order: relative error below 1e-16
        share = 1 - h / hops
        return share * (1 - (kappa * hops) ** 2 * (1 - share**2) / 6)
    # sinh(a)/sinh(b) with the large exponentials taken out
    return np.exp(-kappa * h) * np.expm1(-2 * kappa * (hops - h)) / np.expm1(-2 * kappa * hops)


def chain_errors(activity: ArrayLike) -> np.ndarray:
    """Prediction error at each projection of a linear chain, ``e[h] = u[h] - u[h+1]``, to which its weight changes.

    Parameters
    ----------
    activity : array, shape (..., n_hops + 1)
        From `chain_activity` or `chain_steady_activity`.

    Returns
    -------
    array, shape (..., n_hops)
        By hop of the projection; hop 0 ends on the error source.

    Raises
    ------
    TheoryError
        There are fewer than two populations.
    """
    u = np.asarray(activity, float)
    if u.ndim == 0 or u.shape[-1] < 2:
        raise TheoryError(f"activity has shape {u.shape}; give one number per population, 2 or more.")
    return -np.diff(u, axis=-1)


# ----------------------------------------------------------------------------------- leaky accumulation to a threshold


def critical_frequency(mismatch: ArrayLike, threshold: ArrayLike, memory: ArrayLike) -> Any:
    """Event frequency above which a cell with a leaky integrator of its mismatch ever reaches its threshold.

    ``f* = -1/(memory ln(1 - mismatch/threshold))``, the frequency at which the limit of `accumulated_mismatch` equals
    the threshold. With ``memory = 1`` it is the critical dimensionless frequency ``f memory``.

    Parameters
    ----------
    mismatch : array
        What one occurrence adds to the integrator, always with the same sign; its size, in spikes, 0 or more.
    threshold : array
        In spikes, more than 0.
    memory : array
        Time constant of the integrator in events, more than 0; infinite for none.

    Returns
    -------
    array
        As a fraction of all events. 0 where one occurrence is enough (``mismatch >= threshold``), infinite where there
        is no mismatch; above 1 no frequency is enough.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    The sub-threshold, periodically driven integrate-and-fire unit (Lapicque 1907; Burkitt 2006,
    doi:10.1007/s00422-006-0068-6). Valid for occurrences at regular distances, leak during an event
    neglected, and nothing else that adds to the integrator; see ``docs/theory.md``.
    """
    d, theta = _within("mismatch", mismatch, 0), _within("threshold", threshold, 0, open_low=True)
    tau = _within("memory", memory, 0, open_low=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        leaked = -np.log1p(-np.minimum(d / theta, 1.0))  # interval over memory, at which the threshold is just reached
        found = 1 / (leaked * tau)
    alone = np.broadcast_to(d >= theta, found.shape)
    none = np.broadcast_to(d == 0, found.shape)
    return np.where(none, np.inf, np.where(alone, 0.0, found))[()]


def frequency_ratio(mismatch: ArrayLike, threshold: ArrayLike, memory: ArrayLike, event_fraction: ArrayLike) -> Any:
    """Event frequency in units of the critical one: the number in which different thresholds and leaks are alike.

    ``f memory (-ln(1 - mismatch/threshold))``; a cell is reached where this is above 1.

    Parameters
    ----------
    mismatch, threshold, memory : array
        As in `critical_frequency`.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].

    Returns
    -------
    array
        Infinite where one occurrence is enough, or nothing leaks; 0 where there is no mismatch.

    Raises
    ------
    TheoryError
        An argument is outside its range.
    """
    f = _within("event_fraction", event_fraction, 0, 1, open_low=True)
    with np.errstate(divide="ignore"):
        return (f / critical_frequency(mismatch, threshold, memory))[()]


def accumulated_mismatch(
    mismatch: ArrayLike, memory: ArrayLike, event_fraction: ArrayLike, n_occurrences: ArrayLike = np.inf
) -> Any:
    """What a leaky integrator holds just after an occurrence, if it never fires.

    ``mismatch (1 - q**n)/(1 - q)`` with ``q = exp(-1/(f memory))``, the part that is left of one occurrence at the
    next.

    Parameters
    ----------
    mismatch, memory : array
        As in `critical_frequency`.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].
    n_occurrences : array, optional
        Number of occurrences so far, 0 or more; infinite by default.

    Returns
    -------
    array
        In the unit of `mismatch`.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Range of validity and source as in `critical_frequency`.
    """
    d, tau = _within("mismatch", mismatch, 0), _within("memory", memory, 0, open_low=True)
    f, n = _within("event_fraction", event_fraction, 0, 1, open_low=True), _within("n_occurrences", n_occurrences, 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        leaked = 1 / (f * tau)
        times = np.where(leaked > 0, -np.expm1(-leaked * n) / -np.expm1(-leaked), n)
        return np.where(d > 0, d * times, 0.0)[()]


def accumulated_at(times: ArrayLike, mismatch: ArrayLike, memory: float) -> np.ndarray:
    """What a leaky integrator holds just after each of some occurrences that come irregularly, if it never fires.

    ``E[n] = E[n-1] exp(-(times[n] - times[n-1])/memory) + mismatch[n]``, of which `accumulated_mismatch` is the case of
    equal distances and equal mismatches.

    Parameters
    ----------
    times : array, shape (n_occurrences,)
        When the occurrences come, in events, in rising order.
    mismatch : array, shape (n_occurrences,), or one number
        What each adds, with its sign.
    memory : float
        As in `critical_frequency`.

    Returns
    -------
    array, shape (n_occurrences,)
        In the unit of `mismatch`.

    Raises
    ------
    TheoryError
        `times` do not rise, or `memory` is outside its range.

    Notes
    -----
    Range of validity and source as in `critical_frequency`, but for the regular distances.
    """
    at, tau = np.asarray(times, float), float(_within("memory", memory, 0, open_low=True))
    if at.ndim != 1 or not (np.diff(at) > 0).all():
        raise TheoryError(f"times = {np.array2string(at, threshold=6)} are not in rising order; give one row of them.")
    added = np.broadcast_to(np.asarray(mismatch, float), at.shape)
    kept = np.exp(-np.diff(at) / tau)
    held = np.array(added)
    for n in range(1, len(at)):
        held[n] += held[n - 1] * kept[n - 1]
    return held


def peak_mismatch(
    mismatch: ArrayLike,
    memory: ArrayLike,
    event_fraction: ArrayLike,
    absorption: ArrayLike,
    n_occurrences: ArrayLike = np.inf,
) -> Any:
    """Most that a leaky integrator ever holds while learning takes the mismatch away, if it never fires.

    Occurrence m, from 0, adds ``mismatch p**m`` with ``p = exp(-absorption)``, and ``q = exp(-1/(f memory))`` is left
    of it at the next, so that n occurrences leave ``mismatch (q**n - p**n)/(q - p)``, which rises, and then falls. The
    result is its largest value up to `n_occurrences`.

    Parameters
    ----------
    mismatch, memory : array
        As in `critical_frequency`; `mismatch` is that of the first occurrence.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].
    absorption : array
        Rate per occurrence at which learning takes the mismatch away, 0 or more: learning rate times the change of the
        mismatch per unit of it.
    n_occurrences : array, optional
        Occurrences in the life, 1 or more; infinite by default.

    Returns
    -------
    array
        In the unit of `mismatch`; without absorption that of `accumulated_mismatch`.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Learning and forgetting enter alike: the two rates may be exchanged. Valid while the mismatch falls exponentially,
    that is, for small changes of the weights. Range of validity and source otherwise as in `critical_frequency`.
    """
    d, tau = _within("mismatch", mismatch, 0), _within("memory", memory, 0, open_low=True)
    f, b = _within("event_fraction", event_fraction, 0, 1, open_low=True), _within("absorption", absorption, 0)
    n = _within("n_occurrences", n_occurrences, 1)
    a = 1 / (f * tau)
    low, high = np.minimum(a, b), np.maximum(a, b)

    def held(k: Any) -> Any:
        part = np.where(high > low, np.expm1(-(high - low) * k) / np.expm1(-(high - low)), k)
        return np.where(low > 0, np.exp(-low * (k - 1)), 1.0) * part

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Where the difference of the two exponentials has its maximum; it never falls if one of them does not.
        top = np.where(high > low, np.log(high / low) / (high - low), 1 / low)
        top = np.minimum(np.where(low > 0, np.maximum(top, 1.0), np.inf), n)
        before, after = np.floor(top), np.minimum(np.ceil(top), n)
        return np.where(d > 0, d * np.maximum(held(before), held(after)), 0.0)[()]


def occurrences_to_threshold(
    mismatch: ArrayLike, threshold: ArrayLike, memory: ArrayLike, event_fraction: ArrayLike
) -> Any:
    """Occurrence at which a leaky integrator that begins empty first reaches its threshold.

    The smallest whole n at which `accumulated_mismatch` is the threshold or more,
    ``ln(1 - (1 - q) threshold/mismatch)/ln(q)`` rounded up.

    Parameters
    ----------
    mismatch, threshold, memory : array
        As in `critical_frequency`.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].

    Returns
    -------
    array
        1 where one occurrence is enough, infinite below the critical frequency.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Range of validity and source as in `critical_frequency`.
    """
    exact = _occurrences(mismatch, threshold, memory, event_fraction)
    return np.maximum(np.ceil(exact - 1e-9), 1.0)[()]  # less a rounding error: threshold/mismatch is often whole


def _occurrences(mismatch: ArrayLike, threshold: ArrayLike, memory: ArrayLike, event_fraction: ArrayLike) -> Any:
    """`occurrences_to_threshold` before it is rounded up."""
    d, theta = _within("mismatch", mismatch, 0), _within("threshold", threshold, 0, open_low=True)
    tau = _within("memory", memory, 0, open_low=True)
    f = _within("event_fraction", event_fraction, 0, 1, open_low=True)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        leaked = 1 / (f * tau)
        missing = -np.expm1(-leaked) * theta / d  # threshold in units of the limit
        n = np.where(leaked > 0, -np.log1p(-np.minimum(missing, 1.0)) / leaked, theta / d)
    return np.where(d > 0, n, np.inf)


def error_spikes_per_occurrence(
    mismatch: ArrayLike, threshold: ArrayLike, memory: ArrayLike, event_fraction: ArrayLike
) -> Any:
    """Error spikes that a leaky integrator makes per occurrence, in the long run.

    Above the threshold ``mismatch/threshold``; below it the inverse of `occurrences_to_threshold` before rounding; 0
    below the critical frequency.

    Parameters
    ----------
    mismatch, threshold, memory : array
        As in `critical_frequency`.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].

    Returns
    -------
    array

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Exact without a leak. With one, the integrator that drops by its threshold when it fires is the map of Nagumo and
    Sato (1972), doi:10.1007/BF00290514, whose rate is a staircase in the mismatch; this is a smooth curve along it,
    for an integrator that is left empty by an error spike: off by at most half a spike per occurrence below the
    threshold, and one above it.
    """
    n = _occurrences(mismatch, threshold, memory, event_fraction)
    ratio = np.asarray(mismatch, float) / np.asarray(threshold, float)
    with np.errstate(divide="ignore"):
        return np.where(ratio >= 1, ratio, 1 / np.maximum(n, 1.0))[()]


def reach_by_threshold(
    mismatch: ArrayLike, threshold: float, memory: float, event_fraction: ArrayLike
) -> np.ndarray | int:
    """Reach of an error signal through leaky integrators with a threshold, from the mismatch at each hop.

    Parameters
    ----------
    mismatch : array, shape (n_hops,)
        By hop, as in `critical_frequency`: what one occurrence adds when all hops nearer to the error source relay it.
    threshold, memory : float
        As in `critical_frequency`.
    event_fraction : array
        Fraction of all events that are the rare event, in (0, 1].

    Returns
    -------
    int, or array of int of the shape of `event_fraction`
        Last hop of the unbroken stretch from hop 0 on in which the integrator gets to its threshold; -1 if not even hop
        0 does.

    Raises
    ------
    TheoryError
        An argument is outside its range, or `mismatch` is not one number per hop.

    Notes
    -----
    An upper bound as far as the downstream hops do not answer every occurrence: then the next hop is driven less often
    than the event comes. Range of validity and source as in `critical_frequency`.
    """
    d = np.asarray(_within("mismatch", mismatch, 0))
    if d.ndim != 1 or not d.size:
        raise TheoryError(f"mismatch has shape {d.shape}; give one number per hop.")
    theta = float(_within("threshold", threshold, 0, open_low=True))
    f = np.asarray(_within("event_fraction", event_fraction, 0, 1, open_low=True))
    held = accumulated_mismatch(d, memory, f[..., None])
    above = (held >= theta) | (d >= theta)
    found = np.array([reach.reach(row, np.zeros(d.size)) for row in above.reshape(-1, d.size)], int).reshape(f.shape)
    return found if f.ndim else int(found)


# --------------------------------------------------------------------------------------------- one hop per occurrence


def td_value(distance: ArrayLike, n_visits: ArrayLike, step: ArrayLike) -> Any:
    """Value that TD(0) has learned some hops before a reward, after some visits of a chain.

    ``P[Binomial(n_visits, step) >= distance + 1]``. Each visit runs through the chain once towards a reward of 1 and
    updates ``V[d] += step*(V[d-1] - V[d])`` with what was known before the visit; the reward is the V that the last
    state, ``d = 0``, looks at. So V at d obeys Pascal's rule: it is the chance that among as many tosses as visits
    there were at least ``d + 1`` successes.

    Parameters
    ----------
    distance : array of int
        Hops from the last state before the reward, 0 or more.
    n_visits : array of int
        0 or more.
    step : array
        Learning rate, in (0, 1].

    Returns
    -------
    array
        In units of the reward. Exactly 0 for ``distance >= n_visits``: one hop per occurrence. Half of the reward has
        arrived after about ``(distance + 1)/step`` visits.

    Raises
    ------
    TheoryError
        An argument is outside its range, or a count is not whole.

    Notes
    -----
    The rule is that of Sutton (1988), doi:10.1007/BF00115009. Valid for a chain that is walked in one direction, no
    discount and no eligibility trace (which would reach every hop at the first visit); values begin at 0.
    """
    d, n = _within("distance", distance, 0), _within("n_visits", n_visits, 0)
    a = _within("step", step, 0, 1, open_low=True)
    for name, counts in (("distance", d), ("n_visits", n)):
        bad = (counts != np.floor(counts)) | np.isinf(counts)
        if bad.any():
            raise TheoryError(f"{name} = {counts[bad].flat[0]:g} is not a whole number; give 0 or more.")
    return stats.binom.sf(d, n, a)[()]


# ---------------------------------------------------------------------------------------- a ladder of leaky integrators


def ladder_attenuation(
    event_fraction: ArrayLike, learning_rate: ArrayLike, coupling: ArrayLike, restoring: ArrayLike
) -> Any:
    """Attenuation per hop of the change in a ladder of leaky integrators.

    ``q = f eta k/(f eta k + rho)``: hop h is drawn to the change of hop h - 1 at every rare event, and back to where it
    began all the time::

        dc[h]/dt = f eta k (c[h-1] - c[h]) - rho c[h]

    so that it settles at ``c[h] = q c[h-1]``.

    Parameters
    ----------
    event_fraction : array
        f, fraction of all events that are the rare event, in (0, 1].
    learning_rate : array
        eta, more than 0.
    coupling : array
        k, how much of the difference to its downstream neighbour a hop makes up per rare event and unit of learning
        rate; more than 0.
    restoring : array
        rho, fraction of its change that a hop loses per event: background events, decay of synapses; 0 or more.

    Returns
    -------
    array
        In (0, 1]; 1 without restoring forces. A function of ``f eta k/rho`` only.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    The linear chain of compartments, coupled one way (Hurtado and Kirosingh 2019, doi:10.1007/s00285-019-01412-w, where
    its gamma distribution is derived), with a loss from each. Valid while ``f eta k`` and rho are much smaller than 1,
    so that single events do not show, and while a hop does not act back on the one that drives it.
    """
    f = _within("event_fraction", event_fraction, 0, 1, open_low=True)
    eta, k = _within("learning_rate", learning_rate, 0, open_low=True), _within("coupling", coupling, 0, open_low=True)
    rho = _within("restoring", restoring, 0)
    drive = f * eta * k
    return (drive / (drive + rho))[()]


def ladder_change(n_hops: int, drive: float, restoring: float, *, n_events: ArrayLike = np.inf) -> np.ndarray:
    """Change by hop in a ladder of leaky integrators, hop 0 being held at 1 from the first event on.

    ``c[h](n) = q**h P(h, (drive + restoring) n)`` with q = `ladder_attenuation` and P the regularised lower incomplete
    gamma function: a geometric profile behind a front that gets to hop h after about ``h/(drive + restoring)`` events.

    Parameters
    ----------
    n_hops : int
        Length of the ladder, 1 or more.
    drive : float
        ``f eta k`` of `ladder_attenuation`, per event, more than 0.
    restoring : float
        rho, per event, 0 or more.
    n_events : array, optional
        Events since the start, 0 or more; infinite by default.

    Returns
    -------
    array, shape (..., n_hops)
        The axes in front are those of `n_events`.

    Raises
    ------
    TheoryError
        An argument is outside its range.

    Notes
    -----
    Range of validity and source as in `ladder_attenuation`.
    """
    hop = np.arange(_whole("n_hops", n_hops, 1))
    a = float(_within("drive", drive, 0, open_low=True, open_high=True))
    rho = float(_within("restoring", restoring, 0, open_high=True))
    n = np.asarray(_within("n_events", n_events, 0))[..., None]
    arrived = np.where(hop == 0, 1.0, special.gammainc(np.maximum(hop, 1), (a + rho) * n))
    return (a / (a + rho)) ** hop * arrived


def ladder_depth(attenuation: ArrayLike, floor: ArrayLike) -> Any:
    """Last hop at which a geometric profile is above a floor.

    The largest h with ``attenuation**h > floor``.

    Parameters
    ----------
    attenuation : array
        Per hop, in (0, 1].
    floor : array
        In units of the change at hop 0, more than 0.

    Returns
    -------
    array
        Whole; -1 where not even hop 0 is above the floor, infinite where nothing is lost.

    Raises
    ------
    TheoryError
        An argument is outside its range.
    """
    q, low = _within("attenuation", attenuation, 0, 1, open_low=True), _within("floor", floor, 0, open_low=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        hops = np.log(low) / np.log(q)  # at this many hops it is at the floor
        last = np.ceil(hops - 1e-9) - 1  # and there no longer above it
    return np.where(low >= 1, -1.0, np.where(q == 1, np.inf, last))[()]


def ladder_screening_length(attenuation: ArrayLike) -> Any:
    """Distance over which a geometric profile falls by a factor e, ``-1/ln(attenuation)``.

    Parameters
    ----------
    attenuation : array
        Per hop, in (0, 1].

    Returns
    -------
    array
        In hops; infinite where nothing is lost.

    Raises
    ------
    TheoryError
        `attenuation` is outside its range.
    """
    q = _within("attenuation", attenuation, 0, 1, open_low=True)
    with np.errstate(divide="ignore"):
        return (1 / np.abs(np.log(q)))[()]
