"""One way to learn: a rule as a function of its learning rate, and how its events are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.events import Timing
from bioplastic.tasks import Task

MakeFeedback = Callable[[Circuit, Weights, Task, int], Feedback]
"""Makes the feedback weights that a network begins with, of its circuit, start weights, task and seed."""


class StudyError(ValueError):
    """A study that cannot be run as it is put. The message says why, and what to do."""


@dataclass(frozen=True)
class Learner:
    """One way to learn.

    Attributes
    ----------
    name : str
        In tables, figures and recordings. Nothing is read out of it: what sets the learner apart is in `setting`.
    rule : callable
        The rule at a learning rate.
    timing : Timing
        Phases of its events.
    rates : tuple of float
        Learning rates to choose from.
    feedback : callable, optional
        Makes the feedback weights that a network begins with; by default they are the forward weights.
    tau_w : Quantity
        Time constant with which plastic weights are pulled back to where they started.
    setting : mapping
        What sets this learner apart from others, as data.
    """

    name: str
    rule: Callable[[float], Any]
    timing: Timing = field(default_factory=Timing)
    rates: tuple[float, ...] = ()
    feedback: MakeFeedback | None = None
    tau_w: Quantity = field(default_factory=lambda: np.inf * second)
    setting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spikes(self) -> bool:
        """Whether it lives in spikes, not in the rate twin."""
        return hasattr(self.rule(0.0), "code")


def per_event(rule: Callable[[float], Any], timing: Timing) -> Callable[[float], Any]:
    """Return a rule that spikes as a function of its learning rate per event, as a rule of the twin is.

    The rate per event is eta times the spikes that a cell at the maximal rate fires while an outcome is present, so
    that the same number means the same change of the weights into the error source by the same error.

    Parameters
    ----------
    rule : callable
        The rule at a learning rate per error spike, eta.
    timing : Timing
        Says how long an outcome is present.
    """
    spikes = float(CellParameters().rmax * timing.outcome)

    def at(rate: float) -> Any:
        return rule(rate / spikes)

    return at


def check_learners(learners: Sequence[Learner]) -> None:
    """Refuse learners that a study could not tell apart.

    Parameters
    ----------
    learners : sequence of Learner

    Raises
    ------
    StudyError
        There is none, or two have one name.
    """
    names = [learner.name for learner in learners]
    if not names:
        raise StudyError("a study without learners; give at least one Learner(name, rule).")
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"{names.count(name)} learners are called {name!r}; give each a name of its own.")
