"""The audit by experiment: one population alone on a recording, and changes beyond its neighbours."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Network, NeuronGroup, Synapses, ms
from brian2.core.namespace import get_local_namespace
from brian2.units.fundamentalunits import Quantity

from bioplastic.auditing.equations import EVENT
from bioplastic.auditing.reading import Question, Reading
from bioplastic.auditing.report import AuditError
from bioplastic.auditing.stage import Stage
from bioplastic.auditing.tape import Tape, same
from bioplastic.auditing.weights import owned
from bioplastic.circuit import Circuit
from bioplastic.units import quantity

if TYPE_CHECKING:
    from bioplastic.spiking.network import SpikingCircuit


@dataclass(frozen=True)
class Experiment:
    """What `isolate` or `perturb` measured.

    Attributes
    ----------
    kind : {"isolate", "perturb"}
    population : str
        Whose weights were compared: those into its cells, and plastic variables of the cells.
    held : tuple of str
        Neighbours, whose signals came from the recording.
    away : tuple of str
        All other populations: silenced and set to NaN (`isolate`), or free (`perturb`).
    changed : str
        Population whose state was changed (`perturb`), else empty.
    n_weights : int
        Numbers that were compared.
    n_learning : int
        How many of them changed in the recorded run; without any, nothing would be tested.
    n_different : int
        How many differ, by any bit, from the recorded run.
    largest_difference : float
        NaN if one of them is NaN.
    n_different_unheld : int
        As `n_different`, when the neighbours are not held (`perturb`); else -1.
    first_difference : float
        Time in s at the end of the first time step with a difference; inf if there is none.
    """

    kind: str
    population: str
    held: tuple[str, ...]
    away: tuple[str, ...]
    changed: str
    n_weights: int
    n_learning: int
    n_different: int
    largest_difference: float
    n_different_unheld: int
    first_difference: float

    @property
    def passed(self) -> bool:
        """Whether every weight is the same to the bit."""
        return self.n_different == 0

    def __str__(self) -> str:
        held = ", ".join(self.held) or "nothing"
        done = (
            f"{self.population} alone on what {held} sent"
            if self.kind == "isolate"
            else f"{self.changed} changed while {held} sent the same to {self.population}"
        )
        result = (
            "all the same to the bit"
            if self.passed
            else f"{self.n_different} different, by up to {self.largest_difference:.3g}, "
            f"from {self.first_difference:g} s on"
        )
        unheld = f"; with nothing held {self.n_different_unheld} differ" if self.n_different_unheld >= 0 else ""
        return f"{done}: of {self.n_weights} weights, {self.n_learning} of which learned, {result}{unheld}"


def _poison(stage: Stage) -> Any:
    """Return what sets everything elsewhere to NaN, or to what it was not where there is no NaN."""
    before = [array.get() for array in stage.arrays]
    wrong = [
        np.nan if b.dtype.kind == "f" else (~b if b.dtype == bool else b + 1)[a.away]
        for a, b in zip(stage.arrays, before, strict=True)
    ]

    def touch(_at: int) -> None:
        for array, values, other in zip(stage.arrays, stage.values, wrong, strict=True):
            values[array.away] = other

    return touch


def _shake(stage: Stage, number: int, seed: int) -> Any:
    """Return what changes the state of one population once, at the first time step."""
    rng = np.random.default_rng(seed)
    cells = {name: label == number for name, label in stage.division.population_of.items()}
    targets = []
    for name, group in stage.parts.groups.items():
        for variable in group.variables.values():
            if not owned(variable, group) or variable.scalar or variable.constant:
                continue
            values = np.asarray(variable.get_value())
            if values.dtype.kind == "f" and len(values) == len(cells[name]):
                targets.append((variable.get_value, np.flatnonzero(cells[name])))

    def touch(at: int) -> None:
        if at == 0:
            for values, mine in targets:
                values()[mine] += rng.normal(0, 1, len(mine)) * (0.5 + np.abs(values()[mine]))

    return touch


@contextmanager
def _staged(question: Question, population: str, duration: Quantity) -> Iterator[tuple[Stage, Tape, np.ndarray]]:
    """Record the whole network once; whatever follows starts from the same state, and so does the caller afterwards."""
    quantity("duration", duration, ms, low=0, open_low=True)
    network, found = question.network, Reading.of(question)
    stage = Stage(found, population, duration, question.namespace)
    network.store("bioplastic audit")
    owners = {o: o._network for o in network.sorted_objects}
    try:
        tape = Tape(stage)
        before = stage.now()
        stage.run(tape.record)
        if same(before, stage.now()).all():
            raise AuditError(
                f"no weight of {population!r} changed within {duration!s}, so nothing would be tested; give a longer "
                "duration, a learning rate that is not 0, or a stimulus."
            )
        yield stage, tape, before
    finally:
        network.restore("bioplastic audit", restore_random_state=True)
        del network._stored_state["bioplastic audit"]
        for o, owner in owners.items():  # Brian2 lets no object that has run into another Network
            o._network = owner


def isolate(
    network: Network,
    population: str,
    *,
    duration: Quantity = EVENT,
    populations: Mapping[str, Any] | Circuit | SpikingCircuit | None = None,
    neighbours: Collection[str | Synapses] | None = None,
    weights: Collection[str] | None = None,
    namespace: Mapping[str, Any] | None = None,
    relays: Collection[str | NeuronGroup] | None = None,
) -> Experiment:
    """Run one population alone on a recording of its neighbours, and compare its weights with the whole run.

    The network runs twice from the same state. In the second run, after every object has acted, the state and the
    events of the neighbours are overwritten with what they were in the first; all other cells and synapses are silent
    and NaN. The network is left as it was.

    Parameters
    ----------
    network : Network
        Not run yet, in runtime mode.
    population : str
        One of those that `audit` reports.
    duration : Quantity
    populations, neighbours, weights, namespace, relays
        As in `audit`.

    Returns
    -------
    Experiment

    Raises
    ------
    AuditError
        As in `audit`; there is no such population; or none of its weights changes in the time given.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    question = Question(network, populations, neighbours, weights, namespace, relays=relays)
    with _staged(question, population, duration) as (stage, tape, before):
        whole = stage.now()
        stage.network.restore("bioplastic audit", restore_random_state=True)
        first: list[float] = []
        stage.run(tape.player(_poison(stage), hold=True, silence=True, differences=first))
        return _experiment(
            "isolate", stage, changed="", before=before, whole=whole, alone=stage.now(), unheld=-1, first=first
        )


def perturb(
    network: Network,
    population: str,
    changed: str,
    *,
    duration: Quantity = EVENT,
    seed: int = 0,
    populations: Mapping[str, Any] | Circuit | SpikingCircuit | None = None,
    neighbours: Collection[str | Synapses] | None = None,
    weights: Collection[str] | None = None,
    namespace: Mapping[str, Any] | None = None,
    relays: Collection[str | NeuronGroup] | None = None,
) -> Experiment:
    """Change the state of a population while the neighbours of another are held, and compare the weights of that one.

    As `isolate`, but all cells elsewhere run on, and those of `changed` start from another state. A third run, in
    which nothing is held, shows whether the change matters at all.

    Parameters
    ----------
    network : Network
        Not run yet, in runtime mode.
    population : str
        Whose weights are compared.
    changed : str
        A population that is no neighbour of it.
    duration : Quantity
    seed : int
        Of the change.
    populations, neighbours, weights, namespace, relays
        As in `audit`.

    Returns
    -------
    Experiment

    Raises
    ------
    AuditError
        As in `isolate`; or `changed` is the population itself or one of its neighbours.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    question = Question(network, populations, neighbours, weights, namespace, relays=relays)
    with _staged(question, population, duration) as (stage, tape, before):
        whole = stage.now()
        number = stage.index(changed)
        if stage.role[number] != 2:
            raise AuditError(
                f"changed = {changed!r} is {population!r} itself or one of its neighbours, which are held; choose one "
                f"of {', '.join(stage.away) or 'none: all are neighbours'}."
            )
        first: list[float] = []
        stage.run(tape.player(_shake(stage, number, seed), hold=True, silence=False, differences=first))
        held = stage.now()
        stage.run(tape.player(_shake(stage, number, seed), hold=False, silence=False, differences=[]))
        unheld = int((~same(whole, stage.now())).sum())
        return _experiment(
            "perturb", stage, changed=changed, before=before, whole=whole, alone=held, unheld=unheld, first=first
        )


def _experiment(
    kind: str,
    stage: Stage,
    *,
    changed: str,
    before: np.ndarray,
    whole: np.ndarray,
    alone: np.ndarray,
    unheld: int,
    first: list[float],
) -> Experiment:
    different = ~same(whole, alone)
    return Experiment(
        kind,
        stage.division.populations[stage.number].name,
        stage.held,
        stage.away,
        changed,
        len(whole),
        int((~same(before, whole)).sum()),
        int(different.sum()),
        float(np.abs(whole - alone).max(initial=0)),
        unheld,
        first[0] if first else math.inf,
    )
