"""Runs that were never lived: what a study plans and sums up, without a simulator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from bioplastic.recording import Provenance, Recording
from bioplastic.study import Condition


class MadeUpRuns(dict[Condition, xr.Dataset]):
    """Finished runs by condition, as `bioplastic.study.Runs` has them."""

    @property
    def done(self) -> list[Condition]:
        return list(self)

    def of(self, kind: str) -> list[tuple[Condition, xr.Dataset]]:
        return [(condition, run) for condition, run in self.items() if condition.kind == kind]


def finished(study: Any, bench: Any, settings: Any, measured: Callable[[Condition], xr.Dataset]) -> MadeUpRuns:
    """All runs that a study plans, each measured by a function of its condition."""
    runs = MadeUpRuns()
    for planned in study.plan(bench, settings, runs):
        runs.update({condition: measured(condition) for condition in planned})
    return runs


def a_recording(**groups: xr.Dataset) -> Recording:
    """A recording with these groups, of which there is no file."""
    made = Provenance.here(title="", settings={}, circuit="", code="", script="", source="")
    return Recording(Path("made-up.h5"), made, groups)


def cells_of(table: Any, row: int) -> list[str]:
    """What a table says in a row."""
    return [list(column.cells)[row] for column in table.columns]
