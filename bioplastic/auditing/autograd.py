"""The audit of the torch twin, by automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bioplastic.auditing.paths import distances
from bioplastic.auditing.report import hops_text
from bioplastic.circuit import Circuit, Weights

if TYPE_CHECKING:
    from bioplastic.rules.backprop import Backprop


@dataclass(frozen=True)
class TwinWeight:
    """On what the twin's update of one projection depends.

    Attributes
    ----------
    projection : str
    depends_on : tuple of str
        Populations whose potentials move the update.
    despite_held : tuple of str
        Those among them that still do while the activities of the neighbours are held: what the neighbours do not
        screen.
    despite_weights : tuple of str
        Projections whose weights do so too.
    hops : float
        Farthest of `despite_held` from the population that receives the projection.
    """

    projection: str
    depends_on: tuple[str, ...]
    despite_held: tuple[str, ...]
    despite_weights: tuple[str, ...]
    hops: float


@dataclass(frozen=True)
class TwinReport:
    """What `audit_twin` found.

    Attributes
    ----------
    weights : tuple of TwinWeight
    """

    weights: tuple[TwinWeight, ...]

    @property
    def passed(self) -> bool:
        """Whether every update is screened by the activities of the neighbours."""
        return all(weight.hops <= 1 for weight in self.weights)

    def __str__(self) -> str:
        lines = [f"backprop: {'neighbour-only' if self.passed else 'NOT neighbour-only'}"]
        for w in self.weights:
            lines.append(
                f"  {w.projection}: depends on {', '.join(w.depends_on) or 'nothing'}; with its neighbours held still "
                f"on {', '.join(w.despite_held) or 'nothing'} ({hops_text(w.hops)})"
            )
        return "\n".join(lines)


def audit_twin(
    circuit: Circuit, weights: Weights | None = None, *, rule: Backprop | None = None, seed: int = 0
) -> TwinReport:
    """Say by automatic differentiation on which populations each update of backprop depends.

    The update of a projection is differentiated by the potentials of all populations and by all weights, once with all
    of them free, and once with the activities of the neighbours of the receiving population held.

    Parameters
    ----------
    circuit : Circuit
        Acyclic.
    weights : Weights, optional
        Random ones by default.
    rule : Backprop, optional
        Backprop itself by default. Weights whose learning rate is 0, such as those beyond its `depth`, have no update
        and depend on nothing.
    seed : int
        Of the weights, the stimulus and the outcome.

    Returns
    -------
    TwinReport

    Raises
    ------
    CircuitError
        The circuit has a cycle, or the weights do not fit it.
    """
    from bioplastic.rules.backprop import Backprop

    rng = np.random.default_rng(seed)
    if weights is None:
        weights = Weights(
            {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections},
            {p.name: rng.normal(0, 0.1, p.size) for p in circuit.populations if p.role != "input"},
        )
    weights.check(circuit)
    names = [p.name for p in circuit.populations]
    joined = np.zeros((len(names), len(names)), bool)
    for projection in circuit.projections:
        a, b = names.index(projection.source), names.index(projection.target)
        joined[a, b] = joined[b, a] = True
    distance = distances(joined)
    rates = (rule or Backprop(eta=1.0)).rates(circuit.n_hops)
    rows = []
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        if not projection.plastic:
            continue
        if rates[int(hop)] == 0:
            rows.append(TwinWeight(projection.name, (), (), (), 0.0))
            continue
        here = names.index(projection.target)
        neighbours = {n for n, d in zip(names, distance[here], strict=True) if d == 1}
        free, _ = _moved_by(circuit, weights, projection.name, frozenset(), seed)
        held, through = _moved_by(circuit, weights, projection.name, frozenset(neighbours), seed)
        far = max((float(distance[here, names.index(n)]) for n in held), default=0.0)
        rows.append(TwinWeight(projection.name, free, held, through, far))
    return TwinReport(tuple(rows))


def _moved_by(
    circuit: Circuit, weights: Weights, name: str, held: frozenset[str], seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Populations and projections by whose potentials and weights the update of a projection has a derivative."""
    import torch

    from bioplastic import twin

    generator = torch.Generator().manual_seed(seed)
    projection = next(p for p in circuit.projections if p.name == name)

    def random(*shape: int) -> Any:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    nudge = {p.name: torch.zeros(1, 1, p.size, dtype=torch.float64, requires_grad=True) for p in circuit.populations}
    stimuli = torch.cat(
        [
            random(1, 1, p.size) * 0.6 + 0.2 + (0 if p.name in held else nudge[p.name])  # a rate between 0 and 1
            for p in circuit.inputs
        ],
        dim=-1,
    )
    networks = twin.Networks.stack(circuit, [weights])
    for weight in networks.forward.values():
        weight.requires_grad_()
    state = networks.potentials(stimuli, perturb=lambda n, v: v.detach() if n in held else v + nudge[n])
    prediction = networks.prediction(state)
    delta = networks.deltas(state, random(*prediction.shape) - prediction)
    update = delta[projection.target].mT @ networks.rate(projection.source, state)
    causes = {**nudge, **networks.forward}
    # A random mixture of all numbers of the update: its derivative is 0 only if those of all are.
    mixture = (update * random(*update.shape)).sum()
    gradients = torch.autograd.grad(mixture, list(causes.values()), allow_unused=True)
    moving = {n for n, g in zip(causes, gradients, strict=True) if g is not None and bool((g != 0).any())}
    return tuple(n for n in nudge if n in moving), tuple(n for n in networks.forward if n in moving and n != name)
