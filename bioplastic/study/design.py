"""What is run: conditions, found by their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bioplastic.study.learner import Learner

Value = str | int | float | bool


@dataclass(frozen=True)
class Condition:
    """One run: what it is a run of, and what sets it apart.

    Attributes
    ----------
    kind : str
        Runs of a kind measure the same things; the name of their group in the recording.
    labels : mapping
        What sets it apart from the others of its kind: the learner's name, event fraction, seed, learning rate ...
    learner : Learner, optional
        Who lives, if that is a matter of learners.
    """

    kind: str
    labels: Mapping[str, Value]
    learner: Learner | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        name = {} if self.learner is None else {"learner": self.learner.name}
        object.__setattr__(self, "labels", name | dict(self.labels))

    def __getitem__(self, label: str) -> Any:
        """Return the value of a label."""
        return self.labels[label]

    def __hash__(self) -> int:
        return hash((self.kind, *self.labels.items()))

    @property
    def who(self) -> Learner:
        """The learner.

        Raises
        ------
        ValueError
            The condition has none.
        """
        if self.learner is None:
            raise ValueError(f"the condition {self.kind} {dict(self.labels)} has no learner; give it one.")
        return self.learner

    @property
    def rule(self) -> Any:
        """The learner's rule at the learning rate that the label `rate` gives; 0 where there is none."""
        return self.who.rule(float(self.labels.get("rate", 0.0)))


def grid(**axes: Iterable[Value]) -> list[dict[str, Value]]:
    """Return every combination of the axes' values, the last axis varying fastest."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def conditions(kind: str, learners: Sequence[Learner], **axes: Iterable[Value]) -> list[Condition]:
    """Return a condition for every learner and every combination of the axes' values.

    Parameters
    ----------
    kind : str
    learners : sequence of Learner
        Vary slowest.
    **axes
        Values by label; the last varies fastest.
    """
    cells = grid(**axes)
    return [Condition(kind, cell, learner) for learner in learners for cell in cells]
