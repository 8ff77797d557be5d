"""Groups that count as populations because they send spikes and nothing else, such as the parts of a hippocampus."""

from __future__ import annotations

from typing import Any

from brian2 import NeuronGroup

_MARK = "relays_spikes"


def declare_relay(*groups: NeuronGroup) -> None:
    """Declare that groups are populations of their own, which exchange spikes with others over synapses.

    Nothing plastic need join a relay to its neighbours: its synapses, of whatever kind, make neighbours. `audit` checks
    in return that what crosses them is spikes, and reports what the relays bring together; ``audit(..., relays=())``
    ignores the declaration.

    Parameters
    ----------
    *groups : NeuronGroup
    """
    for group in groups:
        if _MARK not in vars(group):
            group.add_attribute(_MARK)
        setattr(group, _MARK, True)


def declared(group: Any) -> bool:
    """Whether a group was declared a relay."""
    return bool(vars(group).get(_MARK, False))
