"""A network on which one population can be run alone: which state is its own, its neighbours' and of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2.core.variables import ArrayVariable
from brian2.units.fundamentalunits import Quantity
from brian2.utils.logger import catch_logs

from bioplastic.auditing.parts import ends_of, real, time_of
from bioplastic.auditing.populations import Members
from bioplastic.auditing.reading import Reading
from bioplastic.auditing.report import AuditError


@dataclass(frozen=True)
class Array:
    """One state variable, and which of its elements are the population's, its neighbours' and of others."""

    get: Any  # () -> array; it may be another one after the network has been restored
    live: np.ndarray
    held: np.ndarray
    away: np.ndarray


@dataclass(frozen=True)
class Events:
    """One event of one group: who is in it, as masks over cells."""

    values: Any
    live: np.ndarray
    held: np.ndarray
    away: np.ndarray

    def now(self) -> np.ndarray:
        """Cells that have the event in this time step."""
        space = self.values()
        return space[: space[-1]].copy()

    def set(self, cells: np.ndarray) -> None:
        """Give the event to these cells instead."""
        space = self.values()
        space[: len(cells)] = cells
        space[-1] = len(cells)


class Stage:
    """A network on which one population can be run alone."""

    def __init__(self, found: Reading, population: str, duration: Quantity, namespace: Mapping[str, Any]) -> None:
        self.found, self.parts, self.division = found, found.graph.parts, found.graph.division
        self.network, self.duration, self.namespace = self.parts.network, duration, namespace
        populations = self.division.populations
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
        names = [p.name for p in self.division.populations]
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
        if group.name in self.parts.groups:
            return self.role[self.division.population_of[group.name]]
        ends = [self._roles_of(self.parts.owners[name])[elements] for name, elements in ends_of(group)]
        return np.where((ends[0] < 2) & (ends[1] < 2) & ((ends[0] == 0) | (ends[1] == 0)), 0, 2)

    def _state(self) -> tuple[list[Array], list[Events]]:
        arrays, events, indices = [], [], set()
        groups = self.parts.owners.values()
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
                    events.append(Events(variable.get_value, *(role == k for k in range(3))))
                elif (
                    not (variable.read_only and variable.constant)
                    and id(variable) not in indices
                    and len(variable.get_value()) == len(role)
                ):
                    arrays.append(Array(variable.get_value, *masks))
        return arrays, events

    def _weights(self) -> list[tuple[Any, np.ndarray]]:
        """Plastic variables into the population: how to get them, and which elements."""
        parts, found = self.parts, []
        for owner, names in self.found.chosen.synaptic.items():
            for name in names:
                variable = parts.synapses[owner].variables[name]
                nodes = self.found.graph.nodes_of(variable, parts.synapses[owner])
                into = self.found.flow.places[nodes] == self.number
                found.append((variable.get_value, np.flatnonzero(into)))
        for owner, names in self.found.chosen.cellular.items():
            mine = np.flatnonzero(self.division.population_of[owner] == self.number)
            found += [(parts.groups[owner].variables[name].get_value, mine) for name in names]
        if not sum(len(elements) for _, elements in found):
            into_others = {self.division.populations[w.target].name for w in self.found.weights()}
            raise AuditError(
                f"population {self.division.populations[self.number].name!r} has no plastic weight of its own; choose "
                f"one of {', '.join(sorted(into_others))}."
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
