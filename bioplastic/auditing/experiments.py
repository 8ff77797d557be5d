"""The audit by experiment: one population alone on a recording, and changes beyond its neighbours."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import brian2
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    Synapses,
    ms,
)
from brian2.core.namespace import get_local_namespace
from brian2.core.variables import ArrayVariable
from brian2.units.fundamentalunits import Quantity
from brian2.utils.logger import catch_logs

from bioplastic.auditing.equations import EVENT, Question, Reading
from bioplastic.auditing.graph import Members, real, time_of
from bioplastic.auditing.report import AuditError
from bioplastic.auditing.weights import owned
from bioplastic.circuit import Circuit
from bioplastic.units import quantity

if TYPE_CHECKING:
    from bioplastic.spiking import SpikingCircuit


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


@dataclass(frozen=True)
class _Array:
    """One state variable, and which of its elements are the population's, its neighbours' and of others."""

    get: Any  # () -> array; it may be another one after the network has been restored
    live: np.ndarray
    held: np.ndarray
    away: np.ndarray


@dataclass(frozen=True)
class _Events:
    """One event of one group: who is in it, as masks over cells."""

    values: Any
    live: np.ndarray
    held: np.ndarray
    away: np.ndarray

    def now(self) -> np.ndarray:
        space = self.values()
        return space[: space[-1]].copy()

    def set(self, cells: np.ndarray) -> None:
        space = self.values()
        space[: len(cells)] = cells
        space[-1] = len(cells)


class _Stage:
    """A network on which one population can be run alone."""

    def __init__(self, found: Reading, population: str, duration: Quantity, namespace: Mapping[str, Any]) -> None:
        self.found, self.graph = found, found.graph
        self.network, self.duration, self.namespace = found.graph.network, duration, namespace
        populations = found.graph.populations
        names = [p.name for p in populations]
        self.number = self.index(population)
        distance = found.space.distance[self.number]
        self.role = np.where(distance <= 1, 1, 2)  # 0: the population itself, 1: neighbours, 2: others
        for k, p in enumerate(populations):
            if not found.space.inside[k] and self._carries_from_afar(p):
                self.role[k] = 2
        self.role[self.number] = 0
        self.held = tuple(n for n, r in zip(names, self.role, strict=True) if r == 1)
        self.away = tuple(n for n, r in zip(names, self.role, strict=True) if r == 2)
        self.arrays, self.events = self._state()
        self.weights = self._weights()
        self.values: list[np.ndarray] = []
        self.n_objects = 0

    def index(self, population: str) -> int:
        """Index of a population; `AuditError` names the known ones if there is none of that name."""
        names = [p.name for p in self.graph.populations]
        if population not in names:
            raise AuditError(f"there is no population {population!r}; known: {', '.join(names)}.")
        return names.index(population)

    def _carries_from_afar(self, population: Members) -> bool:
        flow = self.found.flow
        number = self.index(population.name)
        origins = {o for k in np.flatnonzero(flow.places == number) for o in flow.origins[k]}
        return any(self.found.space.distance[o, self.number] > 1 for o in origins)

    def _roles_of(self, group: Any) -> np.ndarray:
        """Role of each element: synapses are run if they end in the population and come from no other."""
        graph = self.graph
        if group.name in graph.population_of:
            return self.role[graph.population_of[group.name]]
        ends = [self._roles_of(owner)[elements] for owner, elements in self._ends(group)]
        return np.where((ends[0] < 2) & (ends[1] < 2) & ((ends[0] == 0) | (ends[1] == 0)), 0, 2)

    def _ends(self, synapses: Synapses) -> list[tuple[Any, np.ndarray]]:
        owners = {**self.graph.groups, **self.graph.synapses}
        return [(owners[name], elements) for name, elements in self.graph.ends_of(synapses)]

    def _state(self) -> tuple[list[_Array], list[_Events]]:
        arrays, events, indices = [], [], set()
        groups = [*self.graph.groups.values(), *self.graph.synapses.values()]
        for group in groups:
            indices |= {id(group.variables.get(k)) for k in group.variables.indices.values()}
        for group in groups:
            role = self._roles_of(group)
            masks = [np.flatnonzero(role == k) for k in range(3)]
            for name, variable in group.variables.items():
                owner = getattr(real(getattr(variable, "owner", None)), "name", None)
                if not isinstance(variable, ArrayVariable) or owner != group.name or variable.scalar:
                    continue
                if name.endswith("space") and name.startswith("_"):
                    events.append(_Events(variable.get_value, *(role == k for k in range(3))))
                elif (
                    not (variable.read_only and variable.constant)
                    and id(variable) not in indices
                    and len(variable.get_value()) == len(role)
                ):
                    arrays.append(_Array(variable.get_value, *masks))
        return arrays, events

    def _weights(self) -> list[tuple[Any, np.ndarray]]:
        """Plastic variables into the population: how to get them, and which elements."""
        graph, found = self.graph, []
        for owner, names in self.found.chosen.synaptic.items():
            for name in names:
                variable = graph.synapses[owner].variables[name]
                into = self.found.flow.places[graph.nodes_of(variable, graph.synapses[owner])] == self.number
                found.append((variable.get_value, np.flatnonzero(into)))
        for owner, names in self.found.chosen.cellular.items():
            mine = np.flatnonzero(graph.population_of[owner] == self.number)
            found += [(graph.groups[owner].variables[name].get_value, mine) for name in names]
        if not sum(len(elements) for _, elements in found):
            into_others = {graph.populations[w.target].name for w in self.found.weights()}
            raise AuditError(
                f"population {graph.populations[self.number].name!r} has no plastic weight of its own; choose one of "
                f"{', '.join(sorted(into_others))}."
            )
        return found

    def now(self) -> np.ndarray:
        """All compared weights, in one row."""
        return np.concatenate([np.asarray(values())[elements].astype(float) for values, elements in self.weights])

    def run(self, after: Any) -> None:
        """Run the network from its stored state and call ``after(object number)`` after every object has acted."""
        self.network.restore("bioplastic audit", restore_random_state=True)
        self.values = [array.get() for array in self.arrays]
        objects = [o for o in self.network.sorted_objects if o.active]
        self.n_objects = len(objects)
        until = time_of(self.network) + float(self.duration)

        def watched(run: Any, number: int) -> Any:
            def watch() -> None:
                run()
                after(number)

            return watch

        for number, o in enumerate(objects):
            object.__setattr__(o, "run", watched(o.run, number))
        try:
            with np.errstate(all="ignore"), catch_logs():  # NaN is the purpose, not worth a warning
                self.network.run(self.duration, namespace=self.namespace)
        finally:
            for o in objects:
                object.__delattr__(o, "run")
        if time_of(self.network) < until - 1e-9:
            raise AuditError(
                f"something in the network stopped it at t = {time_of(self.network):g} s; take that out (a network "
                "operation that watches activity stops when cells are silenced), or give a shorter duration."
            )


class _Tape:
    """What neighbours did after every object of every time step, and how weights grew."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.arrays: list[list[tuple[int, np.ndarray]]] = []
        self.events: list[list[np.ndarray]] = []
        self.random: list[Any] = []
        self.weights: list[np.ndarray | None] = []  # at the end of a time step
        self.last: list[np.ndarray] = []  # of the arrays that have held elements
        self.watched = [k for k, array in enumerate(stage.arrays) if len(array.held)]
        self.times: list[float] = []
        self.keeps_random = stage.graph.random and brian2.prefs.codegen.target == "numpy"

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
            if weights is not None and not differences and not _same(stage.now(), weights).all():
                differences.append(self.times[at])

        return play


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    same: np.ndarray = np.equal(a.view(np.int64), b.view(np.int64))
    return same


def _poison(stage: _Stage) -> Any:
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


def _shake(stage: _Stage, number: int, seed: int) -> Any:
    """Return what changes the state of one population once, at the first time step."""
    rng = np.random.default_rng(seed)
    cells = {name: label == number for name, label in stage.graph.population_of.items()}
    targets = []
    for name, group in stage.graph.groups.items():
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
def _staged(question: Question, population: str, duration: Quantity) -> Iterator[tuple[_Stage, _Tape, np.ndarray]]:
    """Record the whole network once; whatever follows starts from the same state, and so does the caller afterwards."""
    quantity("duration", duration, ms, low=0, open_low=True)
    network, found = question.network, Reading(question)
    stage = _Stage(found, population, duration, question.namespace)
    network.store("bioplastic audit")
    owners = {o: o._network for o in network.sorted_objects}
    try:
        tape = _Tape(stage)
        before = stage.now()
        stage.run(tape.record)
        if _same(before, stage.now()).all():
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
        unheld = int((~_same(whole, stage.now())).sum())
        return _experiment(
            "perturb", stage, changed=changed, before=before, whole=whole, alone=held, unheld=unheld, first=first
        )


def _experiment(
    kind: str,
    stage: _Stage,
    *,
    changed: str,
    before: np.ndarray,
    whole: np.ndarray,
    alone: np.ndarray,
    unheld: int,
    first: list[float],
) -> Experiment:
    different = ~_same(whole, alone)
    return Experiment(
        kind,
        stage.graph.populations[stage.number].name,
        stage.held,
        stage.away,
        changed,
        len(whole),
        int((~_same(before, whole)).sum()),
        int(different.sum()),
        float(np.abs(whole - alone).max(initial=0)),
        unheld,
        first[0] if first else math.inf,
    )
