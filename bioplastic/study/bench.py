"""What all runs of a study share: the circuit, the task, the start weights, the compiled models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.cache import cache_folder
from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.hippocampus import Hippocampus
from bioplastic.life import Life, Lived
from bioplastic.spiking.models import Model, model
from bioplastic.spiking.spec import ModelSpec
from bioplastic.study.design import Condition
from bioplastic.study.learner import Learner, check_learners
from bioplastic.tasks import Task

Progress = Callable[[float], None]
"""Called with the fraction that is done."""


@dataclass(frozen=True)
class Ask:
    """Lives that a measure needs, of one bench; what they left is what the measure gets back."""

    bench: Bench
    lives: tuple[Life, ...]


Measure = Generator[Ask, list[Lived], xr.Dataset]
"""A measure of one condition: it yields the lives that it needs, gets back what they left, and returns a dataset.

An `ActivityError` of a life in spikes is raised in it, where it asked for that life.
"""
OTHER_PHASES = 1_000_000
"""Added to a seed for the spike phases of the second sham run."""


class Bench:
    """What all runs of a study share.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    seeds : sequence of int
        Of the networks that are pretrained.
    learners : sequence of Learner
        Whose models are compiled.
    hippocampus : Hippocampus, optional
        With it memory drives what the outside world does not.
    longest : float, optional
        Length of the longest life, in steps of the timing's resolution, if it is long.
    pretrain : Pretraining, optional
        How the start weights come about.
    record_spikes : bool, optional
        Whether lives leave their ordinary spikes.
    n_snapshots : int, optional
        Most snapshots of the weights in a life that spikes.

    Attributes
    ----------
    start : dict of int to Weights
        By seed, once it is prepared.

    Raises
    ------
    StudyError
        There is no learner, or two have one name.
    """

    def __init__(
        self,
        circuit: Circuit,
        task: Task,
        seeds: Sequence[int],
        learners: Sequence[Learner],
        *,
        hippocampus: Hippocampus | None = None,
        longest: float = 0,
        pretrain: Any = None,
        record_spikes: bool = False,
        n_snapshots: int = ModelSpec.n_snapshots,
    ) -> None:
        check_learners(learners)
        self.circuit, self.task, self.seeds, self.learners = circuit, task, tuple(seeds), tuple(learners)
        self.hippocampus, self.longest, self.pretraining = hippocampus, longest, pretrain
        self.record_spikes, self.n_snapshots = record_spikes, n_snapshots
        self.start: dict[int, Weights] = {}
        self._models: dict[Any, Model] = {}
        self._compiling = threading.Lock()

    def prepare(self, progress: Progress) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        rules = [learner.rule(0.0) for learner in self.learners if learner.spikes]
        with ThreadPoolExecutor(1) as executor:
            compiling = executor.submit(lambda: [self.model(rule) for rule in rules])
            self.start = dict(zip(self.seeds, self.starts(progress), strict=True))
            compiling.result()
        progress(1.0)

    def starts(self, progress: Progress) -> Sequence[Weights]:
        """Return the start weights of every seed; a bench whose networks come about in another way overrides this.

        Parameters
        ----------
        progress : callable
            Called with the fraction that is done.
        """
        from bioplastic import twin

        cache = cache_folder() / "weights"
        return twin.pretrained(self.circuit, self.task, self.seeds, self.pretraining, cache=cache, progress=progress)

    def model(self, rule: Any) -> Model:
        """Return the model that lives by a rule that spikes, compiled when it is first asked for."""
        with self._compiling:
            code = repr(rule.code)
            key = code, self.record_spikes
            if key not in self._models:
                decays = any(np.isfinite(x.tau_w) and repr(x.rule(0.0).code) == code for x in self.learners if x.spikes)
                spec = ModelSpec.with_room(
                    self.circuit,
                    rule,
                    self.task,
                    self.longest,
                    n_snapshots=self.n_snapshots,
                    restoring=decays,
                    hippocampus=self.hippocampus,
                )
                self._models[key] = model(replace(spec, record_spikes=self.record_spikes), self.task)
            return self._models[key]

    def feedback(self, condition: Condition) -> Feedback | None:
        """Return the feedback weights that a condition's network begins with, if they are not its forward weights."""
        make, seed = condition.who.feedback, condition["seed"]
        return None if make is None else make(self.circuit, self.start[seed], self.task, seed)

    def life(self, condition: Condition, schedule: Any, **others: Any) -> Life:
        """Return the life of a condition from the start weights of its seed.

        Parameters
        ----------
        condition : Condition
            With a learner and the label `seed`.
        schedule : Schedule
        **others
            Fields of `Life` that are not to be the condition's.
        """
        learner, seed = condition.who, condition["seed"]
        fields: dict[str, Any] = {
            "rule": condition.rule,
            "weights": self.start[seed],
            "timing": learner.timing,
            "feedback": self.feedback(condition),
            "tau_w": learner.tau_w,
            "seed": seed,
        }
        return Life(schedule, **(fields | others))

    def ask(self, *lives: Life) -> Ask:
        """Ask for lives, in a measure: ``lived = yield bench.ask(real, sham)``."""
        return Ask(self, lives)

    def beside_shams(self, life: Life) -> Generator[Ask, list[Lived], tuple[Lived, Lived, Lived]]:
        """Live a life beside two sham runs, in a measure: ``real, sham, sham2 = yield from bench.beside_shams(life)``.

        The first sham run has the spike phases of the life, the second others. Nothing in the twin is random, so that
        there the second is the first.

        Parameters
        ----------
        life : Life
        """
        sham = replace(life, schedule=life.schedule.sham())
        shams = [sham, replace(sham, seed=life.seed + OTHER_PHASES)] if hasattr(life.rule, "code") else [sham]
        lived = yield self.ask(life, *shams)
        return lived[0], lived[1], lived[-1]

    def live(self, lives: Sequence[Life], progress: Progress | None = None) -> list[Lived]:
        """Live lives by any rules: those that spike one after the other, those of the twin all at once.

        Parameters
        ----------
        lives : sequence of Life
        progress : callable, optional
            Called with the fraction that is done of what the twin lives.

        Returns
        -------
        list of Lived
        """
        from bioplastic import twin

        found: dict[int, Lived] = {}
        batches: dict[Any, list[int]] = {}
        for k, life in enumerate(lives):
            if hasattr(life.rule, "code"):
                found[k] = self.model(life.rule).live(life)
            else:
                batches.setdefault((life.rule.inference, len(life.schedule)), []).append(k)
        for n, batch in enumerate(batches.values()):

            def part(fraction: float, n: int = n) -> None:
                if progress is not None:
                    progress((n + fraction) / len(batches))

            lived = twin.live(self.circuit, self.task, [lives[k] for k in batch], progress=part)
            found |= dict(zip(batch, lived, strict=True))
        return [found[k] for k in range(len(lives))]
