"""What the audit says: findings, routes, modulators, and a verdict for every plastic weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

NEIGHBOUR_ONLY = "neighbour-only"
SHORTCUT = "shortcut synapses"
NO_SYNAPSE = "no synapse carries it"
AT_ONCE = "relayed at once"
OPAQUE = "cannot be read"
UNRESOLVED = "not resolved"
NO_SPIKE = "no spike carries it"
VERDICTS = {
    NEIGHBOUR_ONLY: "whatever comes from beyond a neighbour comes through what a neighbour sends",
    SHORTCUT: "synapses outside the neighbourhood join populations two hops apart or more",
    NO_SYNAPSE: "code reads a cell to which no synapse of the neighbourhood leads",
    AT_ONCE: "every link joins neighbours, but a signal crosses several of them within one time step",
    OPAQUE: "Python or compiled code whose effect the equations do not show",
    NO_SPIKE: "what a relay exchanges with others, or they with it, is not spikes alone",
    UNRESOLVED: "the cells of one group are joined to each other, and it is not known which of them form a population",
}
"""What each verdict means, from the mildest to the worst but for the order of the failing ones, which is arbitrary."""


class AuditError(ValueError):
    """A network that cannot be audited; the message says why and what to do."""


@dataclass(frozen=True)
class Link:
    """One link of a route: one line of code that reads one variable and writes another.

    Attributes
    ----------
    source, target : str
        ``object.variable of population``; a synaptic variable belongs to the cell that receives through it.
    via : str
        What carries it, such as ``pathway 'error' of synapses``.
    code : str
        The line.
    hops : float
        Distance that it covers; 0 within a cell or population, inf between populations that nothing joins.
    steps : int
        Time steps between the reading and the end of the route.
    """

    source: str
    target: str
    via: str
    code: str
    hops: float
    steps: int

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}   by {self.via}: {self.code}"


@dataclass(frozen=True)
class Route:
    """A chain of links from somewhere to a weight.

    Attributes
    ----------
    hops : float
        Distance from its beginning to the weight.
    steps : int
        Time steps that it takes at least.
    links : tuple of Link
        In the order in which the signal travels.
    """

    hops: float
    steps: int
    links: tuple[Link, ...]

    def __str__(self) -> str:
        """Only the links that leave a population, and the last one."""
        shown = [link for link in self.links[:-1] if link.hops > 0] + list(self.links[-1:])
        return "\n".join(f"  {link}" for link in shown)


@dataclass(frozen=True)
class Finding:
    """A reason for which an update is not screened by its neighbours.

    Attributes
    ----------
    verdict : str
        A key of `VERDICTS`.
    what : str
        In words.
    hops : float
        How many hops it spans.
    code : str
        The line or lines of code.
    """

    verdict: str
    what: str
    hops: float
    code: str

    def __str__(self) -> str:
        spans = "" if self.verdict in (OPAQUE, UNRESOLVED) else f" ({hops_text(self.hops)})"
        return f"{self.verdict}: {self.what}{spans}\n    {self.code}"


@dataclass(frozen=True)
class Modulator:
    """A signal that is the same for all cells and carries nothing from any of them.

    Attributes
    ----------
    name : str
    kind : str
        ``shared variable``, ``TimedArray`` or ``group of one cell``.
    code : str
        The line that reads it.
    """

    name: str
    kind: str
    code: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.code}"


@dataclass(frozen=True)
class PlasticWeight:
    """One plastic variable between two populations (or of the cells of one).

    Attributes
    ----------
    owner, variable : str
        Brian2 object and variable.
    source, target : str
        Populations that it joins; the same for a variable of cells.
    hops_in_update : float
        Farthest population that its update reads within the time step of the update.
    hops_in_step : float
        Most hops that a signal travels in one time step on its last way to the weight: to the cells to which the weight
        belongs, or to the nearer cell of the synapse itself.
    hops_in_event : float
        Farthest population that can influence it within one event.
    farthest : Route
        The route from there (without links if nothing else is read).
    findings : tuple of Finding
        Empty if the weight is screened by its neighbours.
    modulators : tuple of Modulator
    """

    owner: str
    variable: str
    source: str
    target: str
    hops_in_update: float
    hops_in_step: float
    hops_in_event: float
    farthest: Route
    findings: tuple[Finding, ...]
    modulators: tuple[Modulator, ...]

    @property
    def name(self) -> str:
        """``object.variable``, as `audit` takes it."""
        return f"{self.owner}.{self.variable}"

    @property
    def verdict(self) -> str:
        """Verdict of the finding that spans most hops, or ``neighbour-only``."""
        return max(self.findings, key=lambda f: f.hops).verdict if self.findings else NEIGHBOUR_ONLY

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True)
class Report:
    """What `audit` found.

    Attributes
    ----------
    network : str
        Name of the network.
    populations : tuple of str
    neighbourhood : tuple of str
        Names of the Synapses that define it.
    n_steps : int
        Time steps of an event.
    weights : tuple of PlasticWeight
    notes : tuple of str
        What does not fail but should be known.
    relays : tuple of str
        Groups that are populations because they, or the caller, say so.
    """

    network: str
    populations: tuple[str, ...]
    neighbourhood: tuple[str, ...]
    n_steps: int
    weights: tuple[PlasticWeight, ...]
    notes: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every plastic weight is screened by its neighbours."""
        return all(weight.passed for weight in self.weights)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, each once."""
        return tuple(dict.fromkeys(finding for weight in self.weights for finding in weight.findings))

    @property
    def modulators(self) -> tuple[Modulator, ...]:
        """All modulators, each once."""
        return tuple(dict.fromkeys(modulator for weight in self.weights for modulator in weight.modulators))

    @property
    def hops_in_step(self) -> float:
        """Most over all weights."""
        return max(weight.hops_in_step for weight in self.weights)

    @property
    def hops_in_event(self) -> float:
        """Most over all weights."""
        return max(weight.hops_in_event for weight in self.weights)

    @property
    def farthest(self) -> PlasticWeight:
        """The weight with the farthest route: in one step, or else in an event."""
        return max(self.weights, key=lambda w: (len(w.findings) > 0, w.hops_in_step, w.hops_in_event))

    def __str__(self) -> str:
        lines = [
            f"{self.network}: {'neighbour-only' if self.passed else 'NOT neighbour-only'}",
            f"{len(self.populations)} populations; neighbours are joined by {', '.join(self.neighbourhood)}",
            f"hops: in the update / in one time step / in an event of {self.n_steps} steps",
        ]
        lines += [
            f"  {w.name}, {w.source} -> {w.target}: {_number(w.hops_in_update)} / {_number(w.hops_in_step)} / "
            f"{_number(w.hops_in_event)}  {w.verdict}"
            for w in self.weights
        ]
        lines += [str(finding) for finding in self.findings]
        lines += [f"modulator, {modulator}" for modulator in self.modulators]
        lines += [f"note: {note}" for note in self.notes]
        far = self.farthest
        if far.farthest.links:
            lines.append(f"farthest route to {far.name}, {far.source} -> {far.target}: {_route_text(far.farthest)}")
            lines.append(str(far.farthest))
        return "\n".join(lines)


def _number(hops: float) -> str:
    return "unconnected" if math.isinf(hops) else f"{hops:g}"


def hops_text(hops: float) -> str:
    """Hops in words."""
    return "between populations that nothing joins" if math.isinf(hops) else f"{hops:g} hop{'' if hops == 1 else 's'}"


def _route_text(route: Route) -> str:
    steps = "within one time step" if route.steps == 0 else f"in {route.steps + 1} time steps"
    return f"{hops_text(route.hops)}, {steps}"
