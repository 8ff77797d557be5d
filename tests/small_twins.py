"""Small circuits, networks, rules and lives that the tests of the rate twin share."""

from itertools import pairwise

import numpy as np
import torch

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import Schedule, random_life
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.tasks import random_patterns
from bioplastic.twin import F_I_CURVE, Activation, Networks, Pretraining

TASK = random_patterns(6, 8, 3, seed=0)
QUICK = Pretraining(steps=5, batch=4)
LINEAR = Activation(lambda v: v, torch.ones_like)
LOCAL = [
    PredictiveCoding(eta=0.1, steps=5, step_size=0.1),
    PredictiveCoding(eta=0.1, steps=5, step_size=0.5, fixed_prediction=True),
    PredictiveCoding(eta=0.1),
    LatentEquilibrium(eta=0.1, dt=0.25, duration=2.0, beta=0.2),
]
"""The rules that get by with what neighbours say."""


def chain(n_hops: int, size: int = 8) -> Circuit:
    hidden = [f"p{hop}" for hop in range(n_hops - 1, 0, -1)]
    names = ["senses", *hidden, "out"]
    populations = (
        Population("senses", 8, "input"),
        *(Population(name, size) for name in hidden),
        Population("out", 3, "error source"),
    )
    return Circuit(populations, tuple(Projection(a, b) for a, b in pairwise(names)))


def graph() -> Circuit:
    """Two inputs, a diamond with a short cut, and an error source that projects on to another one."""
    populations = (
        Population("left", 5, "input"),
        Population("right", 3, "input"),
        Population("c", 4),
        Population("a", 6),
        Population("b", 5),
        Population("out", 2, "error source"),
        Population("late", 1, "error source"),
        Population("aside", 2),
    )
    ends = [("left", "a"), ("right", "b"), ("a", "c"), ("b", "c"), ("c", "out"), ("a", "out"), ("out", "late")]
    return Circuit(populations, (*(Projection(*pair) for pair in ends), Projection("c", "aside", plastic=False)))


def random_weights(circuit: Circuit, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return Weights(
        {p.name: rng.normal(0, 0.6, circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(0, 0.3, p.size) for p in circuit.populations if p.role != "input"},
    )


def rare_life(n_events: int = 12, event_fraction: float = 0.25, seed: int = 0) -> Schedule:
    rng = np.random.default_rng(seed)
    return random_life(TASK, event_fraction=event_fraction, n_events=n_events, seed=rng)


def assert_same(a: Weights, b: Weights) -> None:
    """To the bit."""
    for mine, theirs in ((a.forward, b.forward), (a.bias, b.bias)):
        assert set(mine) == set(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def surprised(circuit: Circuit, n_networks: int = 1, n_stimuli: int = 1, *, activation: Activation = F_I_CURVE):
    """Networks, their feed-forward state, and outcomes that they did not predict."""
    networks = Networks.stack(circuit, [random_weights(circuit, k) for k in range(n_networks)], activation=activation)
    generator = torch.Generator().manual_seed(0)
    stimuli = torch.rand(n_networks, n_stimuli, 8, generator=generator, dtype=torch.float64)
    outcomes = torch.rand(n_networks, n_stimuli, 3, generator=generator, dtype=torch.float64)
    return networks, networks.potentials(stimuli), outcomes


def unit_chain(n_hops: int) -> tuple[Networks, dict[str, torch.Tensor], torch.Tensor]:
    """Single linear cells with weights of 1, at rest at 0, and an outcome of 1."""
    names = ["senses", *(f"p{hop}" for hop in range(n_hops - 1, 0, -1)), "out"]
    roles = ["input", *["hidden"] * (n_hops - 1), "error source"]
    circuit = Circuit(
        tuple(Population(name, 1, role) for name, role in zip(names, roles, strict=True)),
        tuple(Projection(*pair) for pair in pairwise(names)),
    )
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    bias = {name: 0 * one[0] for name in names[1:]}
    networks = Networks(circuit, {p.name: one for p in circuit.projections}, bias, LINEAR)
    return networks, networks.potentials(0 * one), one
