"""Predictive coding moves outputs towards their targets, deep backprop sideways.

Song, Millidge, Salvatori, Lukasiewicz, Xu and Bogacz (2024), doi:10.1038/s41593-023-01514-1: cosine between the change of
the output and its error, in linear networks by depth. One stimulus at a time; the published figures are means over three
networks, and the tolerance is what such a mean differs by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models.published.networks import chain_circuit, linear, without_bias
from bioplastic_models.published.results import Check, Result, at_least, curve, curves

from bioplastic.statistics import interval

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    layers: tuple[int, ...] = (1, 2, 4, 6, 8, 10, 12, 14, 15)
    """Depths of the networks, in layers of weights."""
    networks: int = 200
    """Networks, each with its own stimulus and target, per depth."""


QUICK = Settings(layers=(1, 2, 6, 10, 15), networks=30)


WIDTH = 64
INFERENCE_STEPS, INFERENCE_STEP, LEARNING_RATE = 128, 0.1, 1e-3
PUBLISHED_NETWORKS = 3
PUBLISHED_DEPTH = (10, 15)
PUBLISHED_ALIGNMENT = ((0.93, 0.90), (0.57, 0.39))
RULES = ("predictive coding", "backprop")


def alignments(n_layers: int, n_networks: int, n_stimuli: int, seed: int) -> np.ndarray:
    """Target alignment of predictive coding and of backprop in linear networks, shape (2, n_networks)."""
    import torch

    from bioplastic.rules.backprop import Backprop
    from bioplastic.rules.predictive_coding import PredictiveCoding

    circuit, activation = chain_circuit([WIDTH] * (n_layers + 1)), linear()
    generator = torch.Generator().manual_seed(1000 * n_layers + seed)
    forward = {}
    for projection in circuit.projections:
        weights = torch.empty(n_networks, WIDTH, WIDTH, dtype=torch.float64)
        for one in weights:
            torch.nn.init.xavier_uniform_(one, generator=generator)
        forward[projection.name] = weights
    networks = without_bias(circuit, forward, activation)
    stimuli, targets = torch.randn(2, n_networks, n_stimuli, WIDTH, generator=generator, dtype=torch.float64)
    state = networks.potentials(stimuli)
    before = networks.prediction(state)
    found = []
    # The published trainer changes the weights in the 128th step, by what 127 have led to.
    for rule in (PredictiveCoding(steps=INFERENCE_STEPS - 1, step_size=INFERENCE_STEP), Backprop()):
        inferred = rule.infer(networks, state, targets)
        learned = without_bias(
            circuit,
            {
                p.name: forward[p.name] + LEARNING_RATE * inferred.delta[p.target].mT @ inferred.rate[p.source]
                for p in circuit.projections
            },
            activation,
        )
        after = learned.prediction(learned.potentials(stimuli))
        found.append(torch.cosine_similarity(after - before, targets - before, dim=-1).mean(-1).numpy())
    return np.array(found)


def reproduce(settings: Settings) -> Result:
    """How straight an output moves towards its target, by depth."""
    depth = np.array(settings.layers)
    measured = np.empty((2, len(depth), settings.networks))
    for k, n_layers in enumerate(depth):
        measured[:, k] = alignments(int(n_layers), settings.networks, 1, 0)
    batch = np.array([alignments(n, settings.networks // 10, WIDTH, 1).mean(1) for n in PUBLISHED_DEPTH]).T
    rng = np.random.default_rng(0)
    checks = []
    for r, rule in enumerate(RULES):
        for n_layers, figure in zip(PUBLISHED_DEPTH, PUBLISHED_ALIGNMENT[r], strict=True):
            ours = measured[r, list(depth).index(n_layers)]
            # What a mean over as few networks as were published differs from ours by, in 95 % of cases.
            few = rng.choice(ours, (20_000, PUBLISHED_NETWORKS)).mean(1) - ours.mean()
            low, high = np.quantile(few, (0.025, 0.975))
            claim = f"{rule}, {n_layers} layers: target alignment"
            checks.append(Check(claim, figure, float(ours.mean()), figure - high, figure - low))
    gain = (measured[0] - measured[1])[depth > 1].mean(-1)
    checks.append(at_least("predictive coding less backprop, smallest of all depths above 1", gain.min(), 0.0))
    low, high = interval(measured)
    return Result(
        "Predictive coding moves outputs towards their targets, deep backprop sideways",
        "Song, Millidge, Salvatori, Lukasiewicz, Xu and Bogacz 2024, doi:10.1038/s41593-023-01514-1",
        tuple(checks),
        curves(
            rule=curve(RULES, "rule", "1", "learning rule"),
            layers=curve(depth, "layers", "1", "layers of weights"),
            alignment=curve(measured, "rule layers network", "1", "cosine of the change of the output to its error"),
            alignment_low=curve(low, "rule layers", "1", "lower end of the 95 % interval of its mean"),
            alignment_high=curve(high, "rule layers", "1", "upper end of the 95 % interval of its mean"),
            published_layers=curve(PUBLISHED_DEPTH, "published_layers", "1", "layers of weights, published"),
            alignment_published=curve(PUBLISHED_ALIGNMENT, "rule published_layers", "1", "published alignment"),
            alignment_batch=curve(batch, "rule published_layers", "1", "mean alignment, 64 stimuli learned at once"),
        ),
    )


def draw_alignment(axes: Any, c: Curves) -> None:
    """Target alignment by depth."""
    for r, (color, marker, line) in enumerate(((DARK, "o", "-"), (RED, "D", (0, (1, 0.9))))):
        axes.fill_between(c["layers"], c["alignment_low"][r], c["alignment_high"][r], color=color, alpha=0.25, lw=0)
        mean = c["alignment"][r].mean(-1)
        axes.plot(c["layers"], mean, marker=marker, color=color, linestyle=line, markersize=3, label=RULES[r])
    for r in range(len(RULES)):
        published = c["published_layers"], c["alignment_published"][r]
        axes.plot(*published, "+", color="black", markersize=8, label="published" if r else None)
    axes.set(xlabel="Layers", ylabel="Target alignment", ylim=(0, 1.05))
    axes.legend(loc="lower left")
