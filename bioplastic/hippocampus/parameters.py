"""What a hippocampus is asked to be: its targets, its parameters, and how it replays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from brian2 import Hz, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.circuit import CircuitError
from bioplastic.hippocampus.equations import MARGIN
from bioplastic.units import UnitError, quantity


@dataclass(frozen=True)
class Target:
    """A population that memory can reinstate.

    Attributes
    ----------
    population : str
        Its name. Its cells need `RECALL_EQUATIONS`.
    onset : Quantity
        When it began to take part in the event, which is when a replay of compression 1 reinstates it.
    """

    population: str
    onset: Quantity = field(default_factory=lambda: 0 * ms)

    def __post_init__(self) -> None:
        quantity(f"onset of target {self.population!r}", self.onset, ms, low=0)


@dataclass(frozen=True)
class Hippocampus:
    """Parameters of attention loop, index layer and ripples.

    Attributes
    ----------
    targets : tuple of Target
        What is held, written and reinstated, usually the stimulus and the outcome.
    surprise : str
        Error source whose error spikes make an event salient.
    outcome : Quantity
        For how long a replay reinstates the last target, and with it all others.
    n_index : int
        Number of index cells.
    assembly : int
        Cells of one assembly, a multiple of the number of targets. ``n_index // assembly`` memories fit.
    hold_per_error : Quantity
        For how long an event is held per spike of mismatch at the error source, at importance 1.
    ignition : Quantity
        Least hold: what would be held for less is not held at all.
    longest_hold : Quantity
    plateau_latency : Quantity
        From the beginning of a hold to the plateau of an assembly that holds no memory.
    tau_elig : Quantity
        Time constant of the trace that a plateau finds: how far back it writes.
    tau_fade : Quantity
        Time constant with which a memory's strength fades; each reactivation
    restore : float
        makes good this fraction of what is missing.
    tau_tag : Quantity
        Time constant with which a tag fades.
    tag_hold : Quantity
        Hold after the plateau in which a tag comes to 63 % of its largest.
    tau_tired : Quantity
        Time constant of the inhibition of return.
    ripple : tuple of two Quantities
        Shortest and longest ripple.

    Raises
    ------
    CircuitError
        No target, a target named twice, or an index layer without room for one assembly.
    UnitError
        A parameter has the wrong unit or is out of range.
    """

    targets: tuple[Target, ...]
    surprise: str
    outcome: Quantity = field(default_factory=lambda: 120 * ms)
    n_index: int = 80
    assembly: int = 4
    hold_per_error: Quantity = field(default_factory=lambda: 60 * ms)
    ignition: Quantity = field(default_factory=lambda: 250 * ms)
    longest_hold: Quantity = field(default_factory=lambda: 3 * second)
    plateau_latency: Quantity = field(default_factory=lambda: 200 * ms)
    tau_elig: Quantity = field(default_factory=lambda: 1 * second)
    tau_fade: Quantity = field(default_factory=lambda: 1000 * second)
    restore: float = 0.1
    tau_tag: Quantity = field(default_factory=lambda: 1000 * second)
    tag_hold: Quantity = field(default_factory=lambda: 500 * ms)
    tau_tired: Quantity = field(default_factory=lambda: 5 * second)
    ripple: tuple[Quantity, Quantity] = field(default_factory=lambda: (60 * ms, 120 * ms))

    def __post_init__(self) -> None:
        names = [target.population for target in self.targets]
        if not names or len(set(names)) < len(names):
            raise CircuitError(f"targets = {names}; give at least one population, and each once.")
        if self.assembly < 1 or self.assembly % len(names):
            raise CircuitError(
                f"assembly = {self.assembly} cells for {len(names)} targets; each target needs the same number of "
                f"them: give a multiple of {len(names)}."
            )
        if self.n_index < self.assembly:
            raise CircuitError(
                f"n_index = {self.n_index} index cells have no room for one assembly of {self.assembly} cells, so "
                f"nothing could be remembered; give {self.assembly} or more (n_index // assembly memories fit)."
            )
        for name in ("hold_per_error", "longest_hold", "plateau_latency", "tau_elig", "tag_hold", "tau_tired"):
            quantity(name, getattr(self, name), ms, low=0, open_low=True)
        for name in ("tau_fade", "tau_tag"):
            quantity(name, getattr(self, name), ms, low=0, open_low=True, infinite=True)
        quantity("ignition", self.ignition, ms, low=0)
        quantity("restore", self.restore, 1, low=0, high=1)
        shortest = quantity("ripple[0]", self.ripple[0], ms, low=0, open_low=True)
        longest = quantity("ripple[1]", self.ripple[1], ms, low=shortest)
        quantity("outcome", self.outcome, ms, low=longest)  # else the ripple would open the gate a second time

    @property
    def capacity(self) -> int:
        """How many memories fit."""
        return self.n_index // self.assembly

    def onsets(self, compression: float = 1.0) -> list[Quantity]:
        """When each target is reinstated, from the beginning of a reactivation."""
        first = min(target.onset for target in self.targets)
        return [(target.onset - first) / compression for target in self.targets]

    def span(self, compression: float = 1.0) -> Quantity:
        """How long a reactivation takes, the silence after it included."""
        return max(self.onsets(compression)) + self.outcome + MARGIN

    def check(self, replay: Replay) -> None:
        """Raise `UnitError` or `CircuitError` unless the replay is one that this hippocampus can do."""
        span = self.span(replay.compression)
        if float(replay.rate) * float(span) >= 1:
            raise UnitError(
                f"replay rate = {replay.rate} is more than fits: a reactivation takes {span}; ask for less than "
                f"{1 / span}, or for a compression of more than {replay.compression:g}."
            )
        known = [target.population for target in self.targets]
        for name in replay.only:
            if name not in known:
                raise CircuitError(f"replay of {name!r} only, which is no target; targets: {', '.join(known)}.")

    @property
    def role(self) -> np.ndarray:
        """Which target each index cell serves, shape (n_index,)."""
        return np.arange(self.n_index) % self.assembly // (self.assembly // len(self.targets))


@dataclass(frozen=True)
class Replay:
    """How memories are reactivated while resting.

    Attributes
    ----------
    rate : Quantity
        Reactivations per second of rest; 0 Hz for none.
    compression : float
        By how much a replay is faster than the event, from the onset of the first to that of the last target.
    only : tuple of str
        Targets to reinstate; all of them if empty. A control: the stimulus without its outcome.

    Raises
    ------
    UnitError
        A rate that is negative or in the wrong unit, a compression that is not positive.
    """

    rate: Quantity = field(default_factory=lambda: 0 * Hz)
    compression: float = 1.0
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        quantity("replay rate", self.rate, Hz, low=0)
        quantity("compression", self.compression, 1, low=0, open_low=True)


def check_names(hippocampus: Hippocampus, populations: Iterable[str]) -> None:
    """Raise `CircuitError` unless all populations that the hippocampus names are among `populations`."""
    known = list(populations)
    wanted = [("target", target.population) for target in hippocampus.targets] + [("surprise", hippocampus.surprise)]
    for role, population in wanted:
        if population not in known:
            raise CircuitError(
                f"{role} {population!r} of the hippocampus does not exist; known populations: {', '.join(known)}."
            )
