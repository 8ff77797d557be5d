"""The dendrite of a neuron learns to predict its soma.

Urbanczik and Senn (2014), doi:10.1016/j.neuron.2013.11.030, figure 1B; the neuron is models/urbanczik_senn.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models import urbanczik_senn as model
from bioplastic_models.published.results import Result, at_least, at_most, curve, curves
from bioplastic_models.published.runtime import brian2_runtime

from bioplastic import plots

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    patterns: int = 100
    """Presentations of the input pattern to learn from."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One input pattern and one set of random spikes each."""


QUICK = Settings(patterns=20, seeds=(0,))


@dataclass(frozen=True)
class Traces:
    """Potentials of the neuron over whole presentations of its pattern, in mV.

    Attributes
    ----------
    soma, prediction : array, shape (n_patterns, n_samples)
        U and V*.
    """

    soma: np.ndarray
    prediction: np.ndarray


SAMPLES = 400
"""Samples of a potential per pattern."""
FREE = 2
"""Patterns without the teacher, before and after learning."""


def dendrite_life(n_patterns: int, seed: int) -> Traces:
    """Let the neuron live: patterns without the teacher and one with it, weights held; learning; the same again."""
    with brian2_runtime() as b2:
        b2.seed(seed)
        network = model.network(seed)
        neuron, synapses = network["neuron"], network["synapses"]
        monitor = b2.StateMonitor(neuron, ["U", "prediction"], record=0, dt=model.PATTERN / SAMPLES)
        network.add(monitor)
        rate = synapses.rate[:]
        total = 2 * (FREE + 1) + n_patterns
        held = ((FREE, 0, 0), (1, 1, 0))
        for patterns, teacher, learns in (*held, (n_patterns, 1, 1), held[1], held[0]):
            neuron.teacher, synapses.rate = teacher, learns * rate
            network.run(patterns * model.PATTERN, namespace={})
        soma, prediction = (np.array(getattr(monitor, name)[0] / b2.mV) for name in ("U", "prediction"))
    return Traces(soma.reshape(total, SAMPLES), prediction.reshape(total, SAMPLES))


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis."""
    a, b = (x - x.mean(-1, keepdims=True) for x in (one, other))
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def reproduce(settings: Settings) -> Result:
    """The dendritic prediction comes to follow the somatic potential."""
    lives = [dendrite_life(settings.patterns, seed) for seed in settings.seeds]
    soma, prediction = np.array([x.soma for x in lives]), np.array([x.prediction for x in lives])
    time = np.arange(SAMPLES) * float(model.PATTERN) / SAMPLES
    matching = 1e3 * model.matching_potential(time)
    followed = correlation(prediction, soma)
    distance = np.sqrt(np.square(prediction - soma).mean(-1))
    by_itself = correlation(soma, matching)
    before, after = FREE, FREE + 1 + settings.patterns
    fall = np.square(distance[:, before] / distance[:, after])
    checks = (
        at_most("correlation of V* with U before learning", followed[:, before].mean(), 0.5, published=np.nan),
        at_least("correlation of V* with U after learning", followed[:, after].mean(), 0.9),
        at_least("mean square of V* - U, before over after", fall.mean(), 3.0),
        at_most("correlation of U with U_M without teacher, before", by_itself[:, 0].mean(), 0.5, published=np.nan),
        at_least("correlation of U with U_M without teacher, after", by_itself[:, -1].mean(), 0.8),
    )
    return Result(
        "The dendrite learns to predict the soma",
        "Urbanczik and Senn 2014, doi:10.1016/j.neuron.2013.11.030, figure 1B",
        checks,
        curves(
            seed=curve(settings.seeds, "seed", "1", "seed"),
            time=curve(1e3 * time, "time", "ms", "time in the pattern"),
            matching_potential=curve(matching, "time", "mV", "U_M, towards which the teacher pulls the soma"),
            soma_before=curve(soma[:, before], "seed time", "mV", "U with the teacher, before learning"),
            soma_after=curve(soma[:, after], "seed time", "mV", "U with the teacher, after learning"),
            soma_free=curve(soma[:, -1], "seed time", "mV", "U without the teacher, after learning"),
            prediction_before=curve(prediction[:, before], "seed time", "mV", "V* before learning"),
            prediction_after=curve(prediction[:, after], "seed time", "mV", "V* after learning"),
            correlation=curve(followed, "seed pattern", "1", "correlation of V* with U, by presentation"),
            distance=curve(distance, "seed pattern", "mV", "root mean square of V* - U, by presentation"),
        ),
    )


def draw_dendrite(axes: Any, c: Curves, when: str) -> None:
    """Soma and dendritic prediction in one presentation of the pattern, the first seed."""
    axes.plot(c["time"], c["matching_potential"], color=ORANGE, linestyle=(0, (1, 0.9)), label="teacher's $U_M$")
    axes.plot(c["time"], c[f"soma_{when}"][0], color="0.6", linewidth=1.6, label="soma $U$")
    axes.plot(c["time"], c[f"prediction_{when}"][0], color=DARK, linewidth=0.8, label="dendrite $V^*$")
    axes.set(xlabel="Time in the pattern (ms)", ylabel="Potential (mV)", ylim=(-95, -38))
    plots.heading(axes, f"{when} learning")
    if when == "before":
        axes.legend(loc="lower left")
