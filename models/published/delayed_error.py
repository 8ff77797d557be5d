"""The error of the output arrives late and faint: one hop farther per inference step, a factor lost at each.

Goemaere, Oliviers, Bogacz and Demeester (2025), arXiv:2505.20137, figure 1: predictive coding in a deep network of tanh
cells with orthogonal weights, on handwritten digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models.published.networks import by_hop, chain_circuit, digit_images, hyperbolic, orthogonal
from bioplastic_models.published.results import Check, Result, at_least, at_most, curve, curves
from matplotlib.colors import LogNorm

from bioplastic import plots

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    layers: int = 20
    """Layers of weights through which the error is followed."""
    steps: tuple[float, ...] = (0.1, 0.3, 0.5)
    """Step sizes of inference."""
    images: int = 32
    """Digits whose errors are averaged."""


QUICK = Settings()


def reproduce(settings: Settings) -> Result:
    """The error of the output gets one hop farther per inference step, and loses a factor at each."""
    from bioplastic.rules.predictive_coding import PredictiveCoding

    circuit = chain_circuit([64] * settings.layers + [10])
    networks = orthogonal(circuit, 0, hyperbolic())
    images, labels = digit_images(settings.images, 0)
    state = networks.potentials(images)
    backprop = by_hop(circuit, networks.deltas(state, labels - networks.prediction(state)))
    backprop_norm = np.array([float(d.norm(dim=-1).mean()) for d in backprop])
    n_steps, hop = 2 * settings.layers, np.arange(settings.layers)
    norm = np.empty((len(settings.steps), n_steps + 1, settings.layers))
    n_cells = np.empty(norm.shape[1:], int)  # how many cells of all images have an error that is not 0
    checks: list[Check] = []
    for k, step in enumerate(settings.steps):
        rule = PredictiveCoding(steps=n_steps, step_size=step)
        deviation = 0.0
        for t, inferred in enumerate(rule.relax(networks, state, labels)):
            errors = by_hop(circuit, inferred.delta)
            norm[k, t] = [float(e.norm(dim=-1).mean()) for e in errors]
            n_cells[t] = [int((e != 0).sum()) for e in errors]
            if t < settings.layers:
                expected = step**t * backprop[t]
                deviation = max(deviation, float((errors[t] - expected).norm() / expected.norm()))
        time = np.arange(n_steps + 1)[:, None]
        at = f"step size {step:g}: "
        ahead, silent = n_cells[time < hop].sum(), (n_cells == 0)[time >= hop].sum()
        checks.append(at_most(at + "errors not exactly 0 that are more than one hop per step away", ahead, 0.0))
        if step ** hop[-1] > np.finfo(float).eps:  # else it is rounded away on its way
            checks.append(at_most(at + "hops and steps behind the front without any error", silent, 0.0))
            checks.append(at_most(at + "deviation of arriving error from step^hop backprop", deviation, 0.01))
    first = norm[:, hop, hop]
    lost = np.log10(first[-1, 0] / first[-1, -1])
    checks.append(at_least(at + f"powers of ten lost on the way to hop {hop[-1]}", lost, 3.0))
    return Result(
        "The error arrives late and faint",
        "Goemaere, Oliviers, Bogacz and Demeester 2025, arXiv:2505.20137, figure 1",
        tuple(checks),
        curves(
            step_size=curve(settings.steps, "step_size", "1", "step size of inference"),
            step=curve(np.arange(n_steps + 1), "step", "1", "inference steps"),
            hop=curve(hop, "hop", "1", "hops upstream of the error source"),
            error=curve(norm, "step_size step hop", "1", "norm of the errors of a population, mean over images"),
            arriving=curve(first, "step_size hop", "1", "the same at the step at which the error arrives"),
            backprop=curve(backprop_norm, "hop", "1", "norm of the backpropagated errors, mean over images"),
        ),
    )


def draw_delay(axes: Any, c: Curves) -> None:
    """Norm of the error, by step and hop; nothing where it is exactly 0."""
    k = len(c["step_size"]) // 2
    image = c["error"][k].T
    norm = LogNorm(image[image > 0].min(), image.max())
    shown = np.where(image > 0, image, np.nan)
    mesh = axes.pcolormesh(c["step"], c["hop"], shown, norm=norm, cmap="viridis", rasterized=True)
    axes.plot(c["hop"], c["hop"], color="0.2", linewidth=0.8, linestyle=(0, (4, 2)))
    plots.heading(axes, f"step size {c['step_size'][k]:g}")
    axes.set(xlabel="Inference step", ylabel="Hops upstream", yticks=c["hop"][::5])
    scale = axes.get_figure().colorbar(mesh, cax=axes.inset_axes((0.1, 0.93, 0.26, 0.04)), orientation="horizontal")
    scale.set_ticks([1e-10, 1])
    scale.set_label("norm", labelpad=-1)


def draw_arrival(axes: Any, c: Curves) -> None:
    """Norm of the error when it arrives."""
    axes.plot(c["hop"], c["backprop"], color="0.4", linestyle=(0, (1, 1)), label="backprop")
    for k, (step, color, marker) in enumerate(zip(c["step_size"], (RED, LIGHT, DARK), "^sD", strict=True)):
        axes.plot(c["hop"], step ** c["hop"] * c["backprop"], color=color, linewidth=0.8)
        axes.plot(c["hop"], c["arriving"][k], marker, color=color, markersize=3, label=f"step size {step:g}")
    axes.set(yscale="log", ylim=(1e-28, 1e2), xlabel="Hops upstream", ylabel="Norm of the arriving error")
    axes.set_xticks(c["hop"][::5])
    axes.legend(loc="lower left", handletextpad=0.4)
