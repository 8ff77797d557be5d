"""Values of TD(0) climb a ladder: one hop per visit.

Sutton (1988), doi:10.1007/BF00115009, on a chain with a reward at its end: after n visits the value at distance d is
P[Binomial(n, rate) >= d + 1]. No discount, no eligibility trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models.published.results import Check, Result, at_most, curve, curves

from bioplastic import theory

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    states: int = 16
    """Length of the chain, in states."""
    visits: tuple[int, ...] = (4, 8, 16, 32)
    """Visits after which the values are compared."""


QUICK = Settings()


TD_RATE, TD_VISITS, TD_PUBLISHED = 0.25, 16, (0.990, 0.937, 0.803)
"""Learning rate and number of visits for which values are printed, and these values by distance."""


def td_values(n_states: int, n_visits: int, step: float) -> np.ndarray:
    """Values that TD(0) has learned after each visit of a chain, shape (n_visits + 1, n_states).

    A visit walks from the farthest state to the reward of 1 behind state 0. No discount, no eligibility trace.
    """
    value = np.zeros(n_states)
    after = [value.copy()]
    for _ in range(n_visits):
        for state in range(n_states - 1, -1, -1):
            reward, following = (0.0, value[state - 1]) if state else (1.0, 0.0)
            value[state] += step * (reward + following - value[state])
        after.append(value.copy())
    return np.array(after)


def reproduce(settings: Settings) -> Result:
    """TD(0) on a chain: one hop per visit."""
    visits = np.array(settings.visits)
    distance = np.arange(settings.states)
    learned = td_values(settings.states, int(visits.max()), TD_RATE)
    exact = theory.td_value(distance, np.arange(visits.max() + 1)[:, None], TD_RATE)
    checks = [
        Check(f"value at distance {d} after {TD_VISITS} visits", figure, float(ours), figure - 5e-4, figure + 5e-4)
        for d, (figure, ours) in enumerate(zip(TD_PUBLISHED, learned[TD_VISITS], strict=False))
    ]
    off = np.abs(learned - exact).max()
    checks.append(at_most("largest deviation from P[Binomial(visits, rate) >= distance + 1]", off, 1e-12))
    return Result(
        "Values of TD(0) climb a ladder",
        "Sutton 1988, doi:10.1007/BF00115009",
        tuple(checks),
        curves(
            visits=curve(visits, "visits", "1", "visits of the chain"),
            distance=curve(distance, "distance", "1", "hops from the last state before the reward"),
            value=curve(learned[visits], "visits distance", "1", "value learned by TD(0)"),
            value_exact=curve(exact[visits], "visits distance", "1", "P[Binomial(visits, rate) >= distance + 1]"),
        ),
    )


def draw_ladder(axes: Any, c: Curves) -> None:
    """Values by distance after some visits."""
    for k, (n, color, marker) in enumerate(zip(c["visits"], (ORANGE, RED, LIGHT, DARK), "^sDo", strict=True)):
        axes.plot(c["distance"], c["value_exact"][k], color=color, linewidth=0.8)
        axes.plot(c["distance"], c["value"][k], marker, color=color, markersize=3, label=f"{n} visits")
    axes.set(xlabel="Hops from the reward", ylabel="Value")
    axes.legend(loc="upper right", handletextpad=0.2)
