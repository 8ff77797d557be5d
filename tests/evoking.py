"""Networks in which nothing is learned: what is evoked at B and C is a function of what is held at a and b."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from bioplastic_models.thinking import Session, halves

Evokes = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def measured(script: SimpleNamespace, settings: object, b_and_c: Evokes, learner: str = "backprop"):
    """Measure a condition of a script in such a network; returns what was measured, and (arm, session) as lived."""
    bench = script.STUDY.bench(settings)
    bench.start = dict(zip(bench.seeds, bench.starts(lambda done: None), strict=True))
    lived: list[tuple[str, Session]] = []
    plain = bench.session

    def session(condition, mind, given):
        lived.append((mind.arm, given))
        return plain(condition, mind, given)

    bench.session = session
    who = next(one for one in bench.learners if one.name == learner)
    measure = script.measured(bench, script.Condition("result", {"rate": 0.1, "seed": 0}, who))
    answer = None
    try:
        while True:
            answer = [_live(life, b_and_c) for life in measure.send(answer).lives]
    except StopIteration as end:
        return end.value, lived


def _live(life, b_and_c: Evokes) -> SimpleNamespace:
    shown = life.task.stimuli[life.schedule.stimulus]
    return SimpleNamespace(weights=life.weights, prediction=np.hstack(b_and_c(*halves(shown))))
