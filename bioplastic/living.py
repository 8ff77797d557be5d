"""One life by any rule, real and sham, with replicates: the instrument at its smallest."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bioplastic.cache import cache_folder
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Schedule, Timing, lay_out
from bioplastic.life import Life, Lived
from bioplastic.tasks import Task
from bioplastic.terminal import progress_bar


@dataclass(frozen=True)
class Lives:
    """Real and sham lives of one network by one rule.

    Attributes
    ----------
    circuit : Circuit
    task : Task
    life : Life
        The first real one.
    real, sham : tuple of Lived, shape (n_replicates,)
        Pairs that share their spike phases; nothing else differs from pair to pair. In the twin, where nothing is
        random, there is one. In spikes there are two shams or more, to measure how far two of them drift apart.
    """

    circuit: Circuit
    task: Task
    life: Life
    real: tuple[Lived, ...]
    sham: tuple[Lived, ...]

    @property
    def occurrences(self) -> np.ndarray:
        """Occurrence of the rare event after which each snapshot was taken, the end of the life last."""
        counted = np.cumsum(self.life.schedule.rare)
        return np.array([*(counted[event] for event in self.life.snapshots), counted[-1]])

    def _repr_html_(self) -> str:
        """Return a line for a notebook."""
        rule, schedule = type(self.life.rule).__name__, self.life.schedule
        return (
            f"<p><b>{rule}</b>: {len(self.real)} real and {len(self.sham)} sham lives of {len(schedule)} events, "
            f"{schedule.n_occurrences} of them rare; {self.circuit.n_hops} hops. "
            "<code>bioplastic.compare({'a name': lives})</code> says how far change reached.</p>"
        )


def pretrain(circuit: Circuit, task: Task, seed: int = 0) -> Weights:
    """Teach the background of a task, and nothing else, to a fresh network; afterwards from the cache.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    seed : int, optional
        Of start weights, batches and noise.

    Returns
    -------
    Weights
    """
    from bioplastic.twin import pretrained

    with progress_bar() as bar:
        row = bar.add_task("pretraining", total=100)
        return pretrained(
            circuit,
            task,
            [seed],
            cache=cache_folder() / "weights",
            progress=lambda done: bar.update(row, completed=int(100 * done)),
        )[0]


def live(
    circuit: Circuit,
    task: Task,
    events: Schedule,
    rule: Any,
    start: Weights,
    *,
    replicates: int = 1,
    snapshots: Sequence[int] = (),
    timing: Timing | None = None,
    seed: int = 0,
    **others: Any,
) -> Lives:
    """Live a schedule by any rule, and the same with the rare event's outcome as the network predicts it (sham).

    Parameters
    ----------
    circuit : Circuit
    task : Task
    events : Schedule
    rule : object
        One of `bioplastic.rules`: one that spikes lives in Brian2, any other in the rate twin.
    start : Weights
    replicates : int, optional
        Pairs of lives, real and sham, each pair with spike phases of its own.
    snapshots : sequence of int, optional
        Events after which the weights are looked at, beside the end.
    timing : Timing, optional
        Phases of an event; by default as long as activity takes to settle in the circuit.
    seed : int, optional
        Of the first pair's spike phases, and of all else that is random.
    **others
        Further fields of `bioplastic.life.Life`.

    Returns
    -------
    Lives

    Raises
    ------
    ValueError
        `replicates` is less than 1.
    """
    if replicates < 1:
        raise ValueError(f"replicates = {replicates}; give the number of pairs of lives, 1 or more.")
    timing = timing or Timing.settling(circuit.n_hops)
    life = Life(events, rule, start, timing=timing, snapshots=tuple(snapshots), seed=seed, **others)
    sham = replace(life, schedule=events.sham())
    if not hasattr(rule, "code"):
        from bioplastic import twin

        real_lived, sham_lived = twin.live(circuit, task, [life, sham])
        return Lives(circuit, task, life, (real_lived,), (sham_lived,))
    from bioplastic.spiking.models import model
    from bioplastic.spiking.spec import ModelSpec

    n_steps = len(lay_out(events, timing).stimulus)
    made = model(ModelSpec.with_room(circuit, rule, task, n_steps), task)
    pairs = range(replicates)
    wanted = [
        *(replace(life, phases=seed + k) for k in pairs),
        *(replace(sham, phases=seed + k) for k in (range(max(replicates, 2)))),
    ]
    with progress_bar() as bar, ThreadPoolExecutor(2) as pool:
        lived = list(bar.track(pool.map(made.live, wanted), total=len(wanted), description="lives"))
    return Lives(circuit, task, life, tuple(lived[:replicates]), tuple(lived[replicates:]))
