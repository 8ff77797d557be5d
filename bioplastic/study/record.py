"""What is recorded of lives on request: weights at the looks, and spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bioplastic.life import Life, Lived
from bioplastic.recording import RUN, labelled, stack
from bioplastic.recording.labelled import LENGTH_OF, PRESENCE_OF
from bioplastic.study.bench import Ask
from bioplastic.study.learner import StudyError

RECORDABLE = ("weights", "spikes")
LIFE = "life"
"""Dimension of all that is recorded: the lives of a run, in the order in which its measure asked for them."""


def refuse_unknown(record: Sequence[str]) -> None:
    """Raise `StudyError` if something is asked for that is not recorded."""
    for name in record:
        if name not in RECORDABLE:
            raise StudyError(f"record = {name!r}; what can be recorded is {', '.join(RECORDABLE)}.")


def of_lives(asked: Sequence[tuple[Ask, Sequence[Lived]]], record: Sequence[str]) -> xr.Dataset:
    """Return weights and spikes of all lives of a measure, in the order in which they were asked for.

    Parameters
    ----------
    asked : sequence of (Ask, sequence of Lived)
    record : sequence of {"weights", "spikes"}

    Returns
    -------
    Dataset
        Over `life` and, for the weights, `look`: the start, the life's snapshots, and the end. Where lives differ in
        length `length_<dim>` says how much of an axis is one's own.
    """
    pairs = [(ask, life, lived) for ask, all_lived in asked for life, lived in zip(ask.lives, all_lived, strict=True)]
    each = [_of_life(ask, life, lived, record) for ask, life, lived in pairs]
    if not each:
        return xr.Dataset()
    stacked = stack([({LIFE: k}, dataset) for k, dataset in enumerate(each)], "lives")
    stacked = stacked.drop_vars(LIFE, errors="ignore").rename({RUN: LIFE})
    # What says where lives are padded is of the run; in the file the same names say where runs are.
    new_names = {}
    for name, variable in stacked.data_vars.items():
        for marker, prefix in ((LENGTH_OF, "length"), (PRESENCE_OF, "present")):
            if of := variable.attrs.pop(marker, ""):
                new_names[name] = f"{prefix}_{of}"
    return stacked.rename(new_names)


def _of_life(ask: Ask, life: Life, lived: Lived, record: Sequence[str]) -> xr.Dataset:
    found: dict[str, Any] = {}
    if "weights" in record:
        looks = [life.weights, *lived.snapshots, lived.weights]
        events = [-1, *life.snapshots, len(life.schedule) - 1]
        found["look_event"] = labelled("look", events, "event after which the weights were looked at (-1: the start)")
        for p in ask.bench.circuit.projections:
            weights = np.stack([one.forward[p.name] for one in looks])
            found[f"weights_{p.name}"] = labelled(
                ("look", f"{p.name}_post", f"{p.name}_pre"), weights, f"weights from {p.source} to {p.target}"
            )
    if "spikes" in record and lived.error_spikes is not None:
        for name, train in (("spike", lived.spikes), ("error_spike", lived.error_spikes)):
            if train is not None:
                found[f"{name}_time"] = labelled(name, train.time, "time of the spike", "s")
                found[f"{name}_cell"] = labelled(name, train.cell, "index of the cell in the circuit")
    return xr.Dataset(found)
