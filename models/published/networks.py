"""Networks of the rate twin in which published results are reproduced: chains of linear cells and of tanh cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bioplastic.circuit import Circuit, Population, Projection


def chain_circuit(sizes: Sequence[int]) -> Circuit:
    """Return a chain of populations of the given sizes: input ``x``, hidden ``h<hop>``, error source ``y``."""
    names = ["x", *(f"h{hop}" for hop in range(len(sizes) - 2, 0, -1)), "y"]
    roles = ["input", *["hidden"] * (len(sizes) - 2), "error source"]
    return Circuit(
        tuple(Population(*p) for p in zip(names, sizes, roles, strict=True)),
        tuple(Projection(a, b) for a, b in pairwise(names)),
    )


def by_hop(circuit: Circuit, values: Mapping[str, Any]) -> list[Any]:
    """Values of the populations of a chain that have an error, hop 0 first."""
    return [values[p.name] for p in reversed(circuit.order) if p.role != "input"]


def linear() -> Any:
    """Cells whose rate is their potential, and squared error at the output."""
    import torch

    from bioplastic.twin import Activation

    return Activation(value=lambda v: v, slope=torch.ones_like)


def hyperbolic() -> Any:
    """Cells whose rate is the hyperbolic tangent of their potential; linear output cells with squared error."""
    import torch

    from bioplastic.twin import Activation

    return Activation(
        value=torch.tanh, slope=lambda v: 1 - torch.tanh(v) ** 2, output=lambda v: v, output_slope=torch.ones_like
    )


def without_bias(circuit: Circuit, forward: Mapping[str, Any], activation: Any) -> Any:
    """Networks with the given weights, by projection, and no bias."""
    import torch

    from bioplastic.twin import Networks

    first = next(iter(forward.values()))
    silent = {
        p.name: torch.zeros(len(first), p.size, dtype=first.dtype) for p in circuit.populations if p.role != "input"
    }
    return Networks(circuit, dict(forward), silent, activation)


def orthogonal(circuit: Circuit, seed: int, activation: Any) -> Any:
    """One network with random orthogonal weights and no bias, in float64."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    forward = {}
    for projection in circuit.projections:
        post, pre = circuit.shape(projection)
        size = max(post, pre)
        square = torch.randn(size, size, generator=generator, dtype=torch.float64)
        forward[projection.name] = torch.linalg.qr(square)[0][None, :post, :pre]
    return without_bias(circuit, forward, activation)


def digit_images(n: int, seed: int) -> tuple[Any, Any]:
    """Random handwritten digits, pixels 0 to 1, and their labels one-hot, shapes (1, n, 64) and (1, n, 10)."""
    import torch
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(data.target))[:n]
    return torch.tensor(data.data[None, chosen] / 16), torch.tensor(np.eye(10)[None, data.target[chosen]])
