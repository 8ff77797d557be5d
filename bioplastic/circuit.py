"""A circuit: populations, the projections between them, and how far each projection is from an error source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path


class CircuitError(ValueError):
    """A circuit that cannot be what its author meant."""


@dataclass(frozen=True)
class Population:
    """Cells of one kind.

    Attributes
    ----------
    name : str
        Unique in the circuit; a valid Python identifier, since it names groups and variables elsewhere.
    size : int
        Number of cells.
    role : {"hidden", "input", "error source"}
        Input cells fire as the stimulus says; the outcome of an error source is compared with what
        really happened.
    """

    name: str
    size: int
    role: str = "hidden"

    ROLES = ("hidden", "input", "error source")

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise CircuitError(f"population name {self.name!r} is no identifier; use letters, digits and '_'.")
        if isinstance(self.size, bool) or not isinstance(self.size, int | np.integer) or self.size < 1:
            raise CircuitError(f"population {self.name!r}: size = {self.size!r}; it needs at least 1 cell.")
        object.__setattr__(self, "size", int(self.size))  # JSON knows no NumPy integers
        if self.role not in self.ROLES:
            raise CircuitError(f"population {self.name!r}: role = {self.role!r}; allowed: {', '.join(self.ROLES)}.")


@dataclass(frozen=True)
class Projection:
    """All-to-all weights from one population (`source`) to another (`target`)."""

    source: str
    target: str
    plastic: bool = True

    @property
    def name(self) -> str:
        """``source_to_target``, the name of the weights in recordings."""
        return f"{self.source}_to_{self.target}"


@dataclass(frozen=True)
class Circuit:
    """A directed graph of populations; the one source of truth for Brian2, torch and the recordings.

    Parameters
    ----------
    populations : tuple of Population
    projections : tuple of Projection

    Raises
    ------
    CircuitError
        An unknown or duplicate population, a duplicate projection, a projection into an input, no error
        source, or a plastic projection from which no path leads to an error source.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "projections", tuple(self.projections))
        names = [p.name for p in self.populations]
        for name in names:
            if names.count(name) > 1:
                raise CircuitError(f"population {name!r} is defined {names.count(name)} times; rename one of them.")
        known = ", ".join(names) or "none"
        seen: set[tuple[str, str]] = set()
        for projection in self.projections:
            for end in (projection.source, projection.target):
                if end not in names:
                    raise CircuitError(
                        f"projection {projection.source!r} -> {projection.target!r} names the unknown population "
                        f"{end!r}; known: {known}."
                    )
            if (projection.source, projection.target) in seen:
                raise CircuitError(f"projection {projection.source!r} -> {projection.target!r} is defined twice.")
            if projection.name in {f"{source}_to_{target}" for source, target in seen}:
                raise CircuitError(f"two projections share the name {projection.name!r}; rename a population.")
            seen.add((projection.source, projection.target))
            if self.population(projection.target).role == "input":
                raise CircuitError(
                    f"projection {projection.source!r} -> {projection.target!r} ends in an input population, "
                    "whose cells fire as the stimulus says; give the target the role 'hidden'."
                )
        if not self.error_sources:
            raise CircuitError("no population has the role 'error source', so nothing could ever be learned.")
        for projection, hop in zip(self.projections, self.hops, strict=True):
            if projection.plastic and not np.isfinite(hop):
                raise CircuitError(
                    f"no path leads from the plastic projection {projection.source!r} -> {projection.target!r} to "
                    f"an error source ({', '.join(p.name for p in self.error_sources)}); add one, or set "
                    "plastic=False."
                )

    def population(self, name: str) -> Population:
        """Return the population called `name`; `CircuitError` names the known ones when there is none."""
        for candidate in self.populations:
            if candidate.name == name:
                return candidate
        known = ", ".join(p.name for p in self.populations)
        raise CircuitError(f"there is no population {name!r}; known: {known}.")

    @property
    def inputs(self) -> tuple[Population, ...]:
        """Populations that fire as the stimulus says, in order."""
        return tuple(p for p in self.populations if p.role == "input")

    @property
    def error_sources(self) -> tuple[Population, ...]:
        """Populations whose outcome is compared with what really happened, in order."""
        return tuple(p for p in self.populations if p.role == "error source")

    @property
    def hidden(self) -> tuple[Population, ...]:
        """Populations that are neither, in order."""
        return tuple(p for p in self.populations if p.role == "hidden")

    @property
    def n_cells(self) -> int:
        """Number of cells of all populations."""
        return sum(p.size for p in self.populations)

    def shape(self, projection: Projection) -> tuple[int, int]:
        """Shape (post, pre) of the projection's weights."""
        return self.population(projection.target).size, self.population(projection.source).size

    def incoming(self, population: Population) -> tuple[Projection, ...]:
        """Projections that end in `population`."""
        return tuple(p for p in self.projections if p.target == population.name)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each population's cells lie when all cells stand in one row, in the order of `populations`."""
        stops = np.cumsum([p.size for p in self.populations])
        return {p.name: slice(int(b) - p.size, int(b)) for p, b in zip(self.populations, stops, strict=True)}

    @cached_property
    def _adjacency(self) -> csr_array:
        index = {p.name: k for k, p in enumerate(self.populations)}
        rows = [index[p.source] for p in self.projections]
        columns = [index[p.target] for p in self.projections]
        n = len(self.populations)
        return csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))

    @cached_property
    def population_hops(self) -> dict[str, float]:
        """Projections between each population and the nearest error source (0 for an error source; inf: no path)."""
        distance = shortest_path(self._adjacency, unweighted=True)
        targets = [k for k, p in enumerate(self.populations) if p.role == "error source"]
        nearest = distance[:, targets].min(axis=1)
        return {p.name: float(d) for p, d in zip(self.populations, nearest, strict=True)}

    @cached_property
    def hops(self) -> tuple[float, ...]:
        """Hops upstream of each projection's weights, in the order of `projections`; 0 into an error source."""
        return tuple(self.population_hops[p.target] for p in self.projections)

    @property
    def n_hops(self) -> int:
        """One more than the largest hop of a projection from which an error source can be reached."""
        return int(max((h for h in self.hops if np.isfinite(h)), default=-1)) + 1

    @cached_property
    def order(self) -> tuple[Population, ...]:
        """Populations in an order in which every source comes before its targets.

        Raises
        ------
        CircuitError
            The circuit has a cycle; the message names the populations on it.
        """
        n_loops, label = connected_components(self._adjacency, directed=True, connection="strong")
        for loop in range(n_loops):
            members = [p.name for p, k in zip(self.populations, label, strict=True) if k == loop]
            if len(members) > 1 or any(p.source == p.target == members[0] for p in self.projections):
                raise CircuitError(
                    f"populations {', '.join(members)} form a cycle where none is allowed: the rate twin and a "
                    "single feed-forward pass need an acyclic circuit. Remove one of their projections."
                )
        ordered: list[Population] = []
        while len(ordered) < len(self.populations):
            done = {p.name for p in ordered}
            ordered += [
                p for p in self.populations if p.name not in done and all(i.source in done for i in self.incoming(p))
            ]
        return tuple(ordered)

    def _repr_html_(self) -> str:
        """Return a row for each population, for a notebook; of a long circuit only the first and last."""
        rows = [
            f"<tr><td>{p.name}</td><td>{p.role}</td><td>{p.size}</td><td>{self.population_hops[p.name]:g}</td>"
            f"<td>{', '.join(i.source for i in self.incoming(p)[:8])}</td></tr>"
            for p in self.populations
        ]
        if len(rows) > 16:
            rows = [*rows[:8], f"<tr><td colspan='5'>and {len(rows) - 16} more</td></tr>", *rows[-8:]]
        head = "".join(f"<th>{name}</th>" for name in ("population", "role", "cells", "hops upstream", "hears from"))
        return (
            f"<table><caption>Circuit: {self.n_cells} cells, {self.n_hops} hops</caption><tr>{head}</tr>"
            f"{''.join(rows)}</table>"
        )

    def to_json(self) -> str:
        """Return the circuit as JSON text; `from_json` gives back an equal circuit."""
        return json.dumps(
            {"populations": [asdict(p) for p in self.populations], "projections": [asdict(p) for p in self.projections]}
        )

    @classmethod
    def from_json(cls, text: str) -> Circuit:
        """Read a circuit from the JSON text that `to_json` wrote.

        Raises
        ------
        CircuitError
            The text is no JSON, or a field is missing or unknown.
        """
        try:
            fields = json.loads(text)
            return cls(
                tuple(Population(**p) for p in fields["populations"]),
                tuple(Projection(**p) for p in fields["projections"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CircuitError(f"this is no circuit as Circuit.to_json writes it: {error}.") from None


@dataclass(frozen=True)
class Weights:
    """The numbers of a circuit: what the same circuit starts from in Brian2 and in torch.

    Attributes
    ----------
    forward : mapping of str to array, shape (post, pre)
        Weights by projection name.
    bias : mapping of str to array, shape (size,)
        Bias by population name, for every population that is not an input.
    """

    forward: Mapping[str, np.ndarray]
    bias: Mapping[str, np.ndarray]

    def check(self, circuit: Circuit) -> None:
        """Raise `CircuitError` unless every projection and population has finite numbers of the right shape."""
        wanted = {p.name: circuit.shape(p) for p in circuit.projections}
        biased = {p.name: (p.size,) for p in circuit.populations if p.role != "input"}
        check_arrays("weights", self.forward, wanted)
        check_arrays("bias", self.bias, biased)


@dataclass(frozen=True)
class Feedback:
    """What the apical dendrites listen to: the numbers that a rule needs beside the forward weights.

    Attributes
    ----------
    weights : mapping of str to array, shape (post, pre)
        Feedback weights by projection, as (sender, receiver); for a rule that broadcasts, by hidden population,
        shape (n_outputs, size).
    bias : mapping of str to array, shape (size,)
        Drive of the apical dendrites by hidden population; 0 where none is given.
    """

    weights: Mapping[str, np.ndarray]
    bias: Mapping[str, np.ndarray] = field(default_factory=dict)

    def check(self, circuit: Circuit, *, broadcast: bool = False) -> None:
        """Raise `CircuitError` unless all weights and biases are there, finite and of the right shape."""
        n_outputs = sum(p.size for p in circuit.error_sources)
        shapes = (
            {p.name: (n_outputs, p.size) for p in circuit.hidden}
            if broadcast
            else {p.name: circuit.shape(p) for p in circuit.projections}
        )
        if broadcast and not self.weights:
            raise CircuitError(
                "a rule that broadcasts needs weights from the error source to every hidden population; give "
                "feedback=random_broadcast(circuit, seed) from bioplastic.rules.broadcast."
            )
        check_arrays("feedback weights", self.weights, shapes)
        hidden = {p.name: (p.size,) for p in circuit.hidden}
        check_arrays("apical bias", {k: self.bias.get(k, np.zeros(shape)) for k, shape in hidden.items()}, hidden)
        if unknown := sorted(set(self.bias) - set(hidden)):
            raise CircuitError(f"apical bias: unknown {unknown}; hidden populations are {sorted(hidden)}.")


def check_arrays(kind: str, given: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CircuitError` unless there is a finite array of the right shape for every name, and no other.

    Parameters
    ----------
    kind : str
        What the arrays are, for the message.
    given : mapping of str to array
    shapes : mapping of str to tuple of int
        Shape that each must have.
    """
    if set(given) != set(shapes):
        raise CircuitError(
            f"{kind}: missing {sorted(set(shapes) - set(given))}, unknown {sorted(set(given) - set(shapes))}."
        )
    for name, shape in shapes.items():
        if given[name].shape != shape:
            raise CircuitError(f"{kind} of {name!r} have shape {given[name].shape}; the circuit needs {shape}.")
        if not np.isfinite(given[name]).all():
            raise CircuitError(f"{kind} of {name!r} contain NaN or infinity; give finite numbers.")


def orthogonal_weights(circuit: Circuit, size: float, seed: int | Sequence[int]) -> Weights:
    """Draw orthogonal weights, with biases that make every cell fire at half its maximal rate if those upstream do.

    At a size of 2 a chain hands small differences on as they are, since the slope of phi is 1/2 (Saxe, McClelland and
    Ganguli 2014, arXiv:1312.6120).

    Parameters
    ----------
    circuit : Circuit
    size : float
        All singular values.
    seed : int or sequence of int
    """
    rng = np.random.default_rng(seed)
    forward: dict[str, np.ndarray] = {}
    bias = {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"}
    for projection in circuit.projections:
        post, pre = circuit.shape(projection)
        q, r = np.linalg.qr(rng.standard_normal((max(post, pre), max(post, pre))))
        forward[projection.name] = size * (q * np.sign(np.diag(r)))[:post, :pre]
        bias[projection.target] -= forward[projection.name].sum(1) / 2
    return Weights(forward, bias)
