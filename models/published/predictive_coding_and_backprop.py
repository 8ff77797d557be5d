"""Predictive coding is backprop with fixed predictions, and only then.

Rosenbaum (2022), doi:10.1371/journal.pone.0266102: angle between the changes of all weights and those of backprop, by
inference steps, in networks of tanh cells on handwritten digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models.published.networks import chain_circuit, digit_images, hyperbolic, orthogonal
from bioplastic_models.published.results import Result, at_least, at_most, curve, curves

from bioplastic.circuit import Circuit

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    layers: int = 6
    """Layers of weights."""
    step: float = 0.1
    """The smaller step size of inference."""
    steps: int = 300
    """Inference steps."""
    images: int = 100
    """Digits in the batch whose gradient is compared."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One network and one batch each."""


QUICK = Settings(steps=200, seeds=(0,))


def weight_changes(circuit: Circuit, inferred: Any) -> Any:
    """Changes of all weights that an inference leads to, in one row."""
    import torch

    changes = [inferred.delta[p.target].mT @ inferred.rate[p.source] for p in circuit.projections]
    return torch.cat([c.reshape(-1) for c in changes])


def angle(one: Any, other: Any) -> float:
    """Angle between two rows, in degrees; accurate for small ones too."""
    a, b = one / one.norm(), other / other.norm()
    return float(np.degrees(2 * np.arctan2(float((a - b).norm()), float((a + b).norm()))))


def reproduce(settings: Settings) -> Result:
    """With fixed predictions inference becomes backprop; without, it does not."""
    from bioplastic.rules.backprop import Backprop
    from bioplastic.rules.predictive_coding import PredictiveCoding

    depth = settings.layers
    circuit = chain_circuit([64] * depth + [10])
    small, n_steps = settings.step, settings.steps
    rules = (
        PredictiveCoding(steps=n_steps, step_size=1.0, fixed_prediction=True),
        PredictiveCoding(steps=n_steps, step_size=small, fixed_prediction=True),
        PredictiveCoding(steps=n_steps, step_size=small),
    )
    angles = np.empty((len(settings.seeds), len(rules), n_steps + 1))
    settled = np.empty(len(settings.seeds))
    for s, seed in enumerate(settings.seeds):
        networks = orthogonal(circuit, seed, hyperbolic())
        images, labels = digit_images(settings.images, seed)
        state = networks.potentials(images)
        gradient = weight_changes(circuit, Backprop().infer(networks, state, labels))
        for r, rule in enumerate(rules):
            for t, inferred in enumerate(rule.relax(networks, state, labels)):
                angles[s, r, t] = angle(weight_changes(circuit, inferred), gradient)
        equilibrium = PredictiveCoding().infer(networks, state, labels)
        settled[s] = angle(weight_changes(circuit, equilibrium), gradient)
    exact, fixed, free = angles.transpose(1, 0, 2)
    rise, degrees = np.diff(fixed).max(), "degrees"
    checks = (
        at_most(f"fixed, step size 1: angle after {depth} steps, {depth} layers", exact[:, depth].max(), 1e-5, degrees),
        at_least("fixed, step size 1: two steps earlier", exact[:, depth - 2].min(), 0.1, degrees),
        at_most(f"fixed, step size {small:g}: largest rise from one step to the next", rise, 1e-6, degrees),
        at_most(f"fixed, step size {small:g}: angle after {n_steps} steps", fixed[:, -1].max(), 1e-3, degrees),
        at_least(f"not fixed, step size {small:g}: angle after {n_steps} steps", free[:, -1].min(), 1.0, degrees),
        at_least("not fixed, equilibrium: angle", settled.min(), 1.0, degrees),
    )
    return Result(
        "Predictive coding is backprop with fixed predictions, and only then",
        "Rosenbaum 2022, doi:10.1371/journal.pone.0266102",
        checks,
        curves(
            seed=curve(settings.seeds, "seed", "1", "seed"),
            step=curve(np.arange(n_steps + 1), "step", "1", "inference steps"),
            angle_fixed_exact=curve(exact, "seed step", "degree", "angle to backprop, fixed, step size 1"),
            angle_fixed=curve(fixed, "seed step", "degree", f"angle to backprop, fixed, step size {small:g}"),
            angle_free=curve(free, "seed step", "degree", f"angle to backprop, not fixed, step size {small:g}"),
            angle_settled=curve(settled, "seed", "degree", "angle to backprop, not fixed, at equilibrium"),
        ),
    )


def draw_backprop(axes: Any, c: Curves) -> None:
    """Angle to backprop's gradient by inference steps."""
    for name, label, color, line in (
        ("angle_free", "predictions not fixed", DARK, "-"),
        ("angle_fixed", "fixed, small steps", LIGHT, (0, (5, 1.5))),
        ("angle_fixed_exact", "fixed, step size 1", RED, (0, (1, 0.9))),
    ):
        axes.plot(c["step"], c[name].T, color=color, linestyle=line, linewidth=0.8)
        axes.plot([], [], color=color, linestyle=line, label=label)
    at_end = np.full(len(c["seed"]), 1.05 * c["step"][-1])
    axes.plot(at_end, c["angle_settled"], "o", color=DARK, markersize=3, label="not fixed, settled")
    axes.set(yscale="log", ylim=(1e-26, 1e3), xlabel="Inference steps", ylabel="Angle to backprop (degrees)")
    axes.legend(loc="lower right")
