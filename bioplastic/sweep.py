"""A grid of conditions to runs, on any ``concurrent.futures`` executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from itertools import product
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Condition = TypeVar("Condition")


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values, the last axis varying fastest."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def progress_bar() -> Progress:
    """Return a progress bar with the time left, for the terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )


def run_all(
    conditions: Sequence[Condition],
    work: Callable[[Condition], object],
    executor: Executor,
    *,
    done: Callable[[Condition], None] | None = None,
    stop: Callable[[], None] | None = None,
) -> None:
    """Do the work of every condition.

    Parameters
    ----------
    conditions : sequence
        In the order in which they are begun.
    work : callable
        Called with one condition; keeps its own result. With a process pool it must be picklable, and the pool
        should start its processes with ``spawn`` or ``forkserver`` once torch is imported.
    executor : Executor
    done : callable, optional
        Called here, with each condition that is done.
    stop : callable, optional
        Called when something is raised, Ctrl-C included, before waiting for the work in hand: makes it end early.

    Raises
    ------
    BaseException
        Whatever `work` raised first; conditions that were not begun are given up.
    """
    futures: dict[Future[object], Condition] = {}
    try:
        futures = {executor.submit(work, condition): condition for condition in conditions}
        pending = set(futures)
        while pending:
            # A short timeout, since a wait without one does not answer to Ctrl-C everywhere.
            finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                if done is not None:
                    done(futures[future])
    except BaseException:
        for future in futures:
            future.cancel()
        if stop is not None:
            stop()
        wait(futures)
        raise
