"""What a Brian2 network consists of: groups of cells, synapses, and who is joined to whom."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from brian2 import Network, Subgroup, Synapses
from brian2.core.spikesource import SpikeSource
from brian2.core.variables import ArrayVariable
from brian2.devices.device import RuntimeDevice, get_device
from brian2.synapses.synapses import SynapticPathway

from bioplastic.auditing.report import AuditError


def check(network: Any) -> None:
    """Raise `AuditError` unless `network` is one that can be audited.

    Parameters
    ----------
    network : Network
        Made for runtime mode, not run yet, with all its synapses connected.

    Raises
    ------
    AuditError
        It is something else; the message says what to do.
    """
    if not isinstance(network, Network):
        raise AuditError(f"network = {network!r} is no brian2.Network; give Network(group, synapses, ...).")
    device = get_device()
    objects = network.sorted_objects
    arrays = [v for o in objects for v in getattr(o, "variables", {}).values() if isinstance(v, ArrayVariable)]
    if not isinstance(device, RuntimeDevice) or any(not isinstance(v.device, RuntimeDevice) for v in arrays):
        raise AuditError(
            "the network was built for another device (C++ standalone), where it has no values to look at; call "
            "set_device('runtime') before making it."
        )
    if not objects:
        raise AuditError("the network is empty; add its groups and synapses: Network(group, synapses, ...).")
    if time_of(network) > 0:
        raise AuditError(
            f"the network has already run (t = {time_of(network):g} s), so its state is not the one it starts from; "
            "make it anew, or go back with store() and restore()."
        )
    for synapses in (o for o in objects if isinstance(o, Synapses)):
        if not len(synapses):
            raise AuditError(
                f"Synapses {synapses.name!r} from {synapses.source.name!r} to {synapses.target.name!r} were never "
                "connected: call its connect() first."
                if not synapses._connect_called
                else f"Synapses {synapses.name!r} hold no synapse: its connect() matched no pair of cells."
            )


def time_of(network: Network) -> float:
    """Time in s; after a run that was stopped Brian2 holds it as an array."""
    return float(np.asarray(network.t_).flat[0])


def real(proxy: Any) -> Any:
    """Brian2 hands out weak proxies."""
    return proxy.__repr__.__self__ if isinstance(proxy, weakref.ProxyTypes) else proxy


def root(group: Any) -> Any:
    """The group of a subgroup."""
    group = real(group)
    return real(group.source) if isinstance(group, Subgroup) else group


def is_cells(owner: Any) -> bool:
    """Whether the elements of a variable's owner are cells."""
    return isinstance(owner, SpikeSource) and not isinstance(owner, Subgroup | Synapses | SynapticPathway)


def joins_cells(synapses: Synapses) -> bool:
    """Whether synapses join cells, not other synapses."""
    return not any(isinstance(root(end), Synapses) for end in (synapses.source, synapses.target))


def ends_of(synapses: Synapses) -> tuple[tuple[str, np.ndarray], tuple[str, np.ndarray]]:
    """(name of the pre-, of the postsynaptic group, elements in it); a group may be other synapses."""
    pre = np.asarray(synapses.variables["_synaptic_pre"].get_value())
    post = np.asarray(synapses.variables["_synaptic_post"].get_value())
    return (root(synapses.source).name, pre), (root(synapses.target).name, post)


@dataclass(frozen=True)
class Parts:
    """The active objects of a network, in the order in which Brian2 runs them.

    Attributes
    ----------
    network : Network
    objects : tuple of BrianObject
    groups : mapping of str to group
        Everything that has cells, also where only its variables are part of the network.
    synapses : mapping of str to Synapses
    """

    network: Network
    objects: tuple[Any, ...]
    groups: Mapping[str, Any]
    synapses: Mapping[str, Synapses]

    @classmethod
    def of(cls, network: Network) -> Parts:
        """Sort the objects of a network."""
        objects = tuple(o for o in network.sorted_objects if o.active)
        groups: dict[str, Any] = {}
        for o in objects:
            owners = [o] if isinstance(o, SpikeSource) and not isinstance(o, SynapticPathway) else []
            arrays = [v for v in getattr(o, "variables", {}).values() if isinstance(v, ArrayVariable)]
            for owner in map(root, [*owners, *(v.owner for v in arrays if v.owner is not None)]):
                if is_cells(owner):
                    groups.setdefault(owner.name, owner)
        return cls(network, objects, groups, {o.name: o for o in objects if isinstance(o, Synapses)})

    @property
    def owners(self) -> dict[str, Any]:
        """Groups and synapses by name."""
        return {**self.groups, **self.synapses}

    @cached_property
    def n_cells(self) -> int:
        """Of all groups together."""
        return sum(len(group) for group in self.groups.values())

    @cached_property
    def _first_cell(self) -> dict[str, int]:
        first, n = {}, 0
        for name, group in self.groups.items():
            first[name] = n
            n += len(group)
        return first

    def numbers(self, group: str, cells: np.ndarray) -> np.ndarray:
        """Number of each cell of a group among the cells of all groups."""
        return cells.astype(np.int64) + self._first_cell[group]

    def joined(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether any synapse joins two cells, in either direction; cells are given by their numbers."""
        return np.isin(a * self.n_cells + b, self._joined_pairs)

    @cached_property
    def _joined_pairs(self) -> np.ndarray:
        pairs = [np.zeros(0, np.int64)]
        for synapses in self.synapses.values():
            if joins_cells(synapses):
                pre, post = (self.numbers(*end) for end in ends_of(synapses))
                pairs += [pre * self.n_cells + post, post * self.n_cells + pre]
        return np.unique(np.concatenate(pairs))
