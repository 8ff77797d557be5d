"""The audit from the equations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Network, NeuronGroup, Synapses, ms
from brian2.core.namespace import get_local_namespace
from brian2.units.fundamentalunits import Quantity

from bioplastic.auditing.exchange import Exchange
from bioplastic.auditing.notes import notes
from bioplastic.auditing.reading import Question, Reading
from bioplastic.auditing.report import AuditError, Report
from bioplastic.auditing.verdicts import judge
from bioplastic.circuit import Circuit
from bioplastic.units import quantity

if TYPE_CHECKING:
    from bioplastic.spiking.network import SpikingCircuit

EVENT = 500 * ms
"""Default length of an event: about that of the events of `models/chain.py`."""


def audit(
    network: Network,
    *,
    populations: Mapping[str, Any] | Circuit | SpikingCircuit | None = None,
    neighbours: Collection[str | Synapses] | None = None,
    weights: Collection[str] | None = None,
    event: Quantity = EVENT,
    hops_per_step: int = 1,
    namespace: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
    relays: Collection[str | NeuronGroup] | None = None,
) -> Report:
    """Say of every plastic weight of a Brian2 network from how many hops away its update can be influenced.

    Parameters
    ----------
    network : Network
        Any network for runtime mode that has not run yet.
    populations : mapping, Circuit or SpikingCircuit, optional
        Name to group, subgroup or (group, indices). By default every group is a population, divided at the borders of
        the subgroups that synapses use, and where its cells are joined to each other by plastic synapses, into cells
        with the same partners.
    neighbours : collection of str or Synapses, optional
        The synapses that make two populations neighbours, one hop apart. By default those that hold plastic weights,
        and others only where these join nothing.
    weights : collection of str, optional
        Plastic variables, as ``object.variable``; found in the equations by default.
    event : Quantity
        Length of an event, in time.
    hops_per_step : int
        Most hops that a signal may travel in one time step.
    namespace : mapping, optional
        What ``Network.run`` would be given; the caller's local and global names by default, as there.
    trust : collection of str
        Network operations, functions and objects to be left out because the caller knows that they carry nothing.
    relays : collection of str or NeuronGroup, optional
        Groups whose synapses make neighbours, of whatever kind, provided that only spikes cross them. By default those
        that `declare_relay` has named, such as the parts of a hippocampus.

    Returns
    -------
    Report

    Raises
    ------
    AuditError
        The network cannot be audited: it has run, was built for another device, is not connected, or has nothing
        plastic; its equations read a variable that does not exist; or an argument names something it does not have.
    UnitError
        `event` is not a positive time.
    """
    if namespace is None:
        namespace = get_local_namespace(level=1)
    length = quantity("event", event, ms, low=0, open_low=True)
    if isinstance(hops_per_step, bool) or not isinstance(hops_per_step, int) or hops_per_step < 1:
        raise AuditError(f"hops_per_step = {hops_per_step!r} is outside what is allowed: a whole number, 1 or more.")
    found = Reading.of(Question(network, populations, neighbours, weights, namespace, trust, relays))
    exchange = Exchange(found)
    dt = min(o.clock.dt_ for o in found.graph.parts.objects)
    n_steps = max(1, int(np.ceil(length / 1000 / dt - 1e-9)))
    return Report(
        network.name,
        populations=tuple(p.name for p in found.graph.division.populations),
        neighbourhood=(*found.space.base, *found.space.relayed, *found.space.added),
        n_steps=n_steps,
        weights=tuple(judge(found, exchange, weight, n_steps, hops_per_step) for weight in found.weights()),
        notes=tuple(notes(found, exchange, trust)),
        relays=found.relays,
    )
