"""A recording of what neighbours did after every object of every time step, and how it is played back."""

from __future__ import annotations

from typing import Any

import brian2
import numpy as np

from bioplastic.auditing.parts import time_of
from bioplastic.auditing.stage import Stage


class Tape:
    """What neighbours did after every object of every time step, and how weights grew."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.arrays: list[list[tuple[int, np.ndarray]]] = []
        self.events: list[list[np.ndarray]] = []
        self.random: list[Any] = []
        self.weights: list[np.ndarray | None] = []  # at the end of a time step
        self.last: list[np.ndarray] = []  # of the arrays that have held elements
        self.watched = [k for k, array in enumerate(stage.arrays) if len(array.held)]
        self.times: list[float] = []
        self.keeps_random = stage.found.graph.random and brian2.prefs.codegen.target == "numpy"

    def record(self, number: int) -> None:
        """After an object has acted in the recorded run."""
        now = [self.stage.values[k][self.stage.arrays[k].held] for k in self.watched]
        moved = []
        for at, (k, values) in enumerate(zip(self.watched, now, strict=True)):
            if not self.last or values.tobytes() != self.last[at].tobytes():
                moved.append((k, values))
        self.last = now
        self.arrays.append(moved)
        self.events.append([e.now()[e.held[e.now()]] for e in self.stage.events])
        self.random.append(np.random.get_state() if self.keeps_random else None)  # noqa: NPY002 (Brian2's own)
        self.weights.append(self.stage.now() if number == self.stage.n_objects - 1 else None)
        self.times.append(time_of(self.stage.network))

    def player(self, touch: Any, *, hold: bool, silence: bool, differences: list[float]) -> Any:
        """Return what to call after every object of a run that holds the neighbours and silences the others."""
        stage, position, current = self.stage, iter(range(len(self.arrays))), {}

        def play(number: int) -> None:
            at = next(position)
            if hold:
                current.update(dict(self.arrays[at]))
                for k, values in current.items():
                    stage.values[k][stage.arrays[k].held] = values
                for k, events in enumerate(stage.events):
                    now = events.now()
                    kept = now[events.live[now] | (events.away[now] & (not silence))]
                    events.set(np.sort(np.concatenate([kept, self.events[at][k]])))
                if self.keeps_random:
                    np.random.set_state(self.random[at])  # noqa: NPY002 (Brian2's own)
            touch(at)
            weights = self.weights[at]
            if weights is not None and not differences and not same(stage.now(), weights).all():
                differences.append(self.times[at])

        return play


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether numbers are the same to the bit."""
    same: np.ndarray = np.equal(a.view(np.int64), b.view(np.int64))
    return same
