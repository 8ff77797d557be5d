"""Errors spread along a linear predictive-coding chain as heat, and with a leak as in a cable.

Whittington and Bogacz (2017), doi:10.1162/NECO_a_00949, in a chain of linear cells with weights of 1: one inference step
is one step of the heat equation. With a leak that pulls activity back to its feed-forward value the settled errors are
those of a cable, Rall (1959), doi:10.1016/0014-4886(59)90046-9. In torch by the library's predictive coding, in Brian2 by
cells that exchange activity and error through synapses. docs/anchors.md has what was published and what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bioplastic_models.published.networks import chain_circuit, linear, without_bias
from bioplastic_models.published.results import Result, at_most, curve, curves, near
from bioplastic_models.published.runtime import brian2_runtime

from bioplastic import reach, theory
from bioplastic.circuit import Circuit, Population, Projection

Curves = Mapping[str, np.ndarray]
DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"


@dataclass(frozen=True)
class Settings:
    """Settings of this result."""

    hops: int = 24
    """Length of the chain, in hops."""
    step: float = 0.25
    """Size of an inference step."""
    steps: tuple[int, ...] = (3, 10, 30, 100)
    """After how many inference steps its errors are compared with the exact ones."""
    fine: int = 50
    """By how much finer the steps are that are compared with the matrix exponential."""
    settling: int = 2000
    """Inference steps after which the leaky chain counts as settled."""


QUICK = Settings(fine=10, settling=1000)


CHAIN_CELL = """
du/dt = free*(fed_back - error - leak*u)/tau : 1    # activity, less its feed-forward value
error = u - predicted                        : 1    # of the projection that ends on this cell
predicted                                    : 1    # what the upstream neighbour predicts
fed_back                                     : 1    # the downstream neighbour's error
free                                         : 1 (constant)
"""


def chain_in_brian2(n_hops: int, n_steps: int, step: float, leak: float) -> np.ndarray:
    """Activity of a linear predictive-coding chain of rate cells, shape (n_steps + 1, n_hops + 1).

    Cell h stands h hops upstream of the error source, cell 0, whose activity is clamped to 1; the input, the last cell,
    to 0. Neighbours exchange activity and error through synapses.
    """
    with brian2_runtime() as b2:
        dt = 1 * b2.ms
        cells = b2.NeuronGroup(
            n_hops + 1, CHAIN_CELL, method="euler", dt=dt, namespace={"leak": leak, "tau": dt / step}
        )
        forward = b2.Synapses(cells, cells, "predicted_post = u_pre : 1 (summed)", dt=dt)
        forward.connect(i=np.arange(1, n_hops + 1), j=np.arange(n_hops))
        backward = b2.Synapses(cells, cells, "fed_back_post = error_pre : 1 (summed)", dt=dt)
        backward.connect(i=np.arange(n_hops), j=np.arange(1, n_hops + 1))
        forward.summed_updaters["predicted_post"].order = -2  # errors must be those of this step's predictions
        cells.free[1:-1] = 1
        cells.u[0] = 1
        monitor = b2.StateMonitor(cells, "u", record=True, dt=dt, when="start")
        b2.Network(cells, forward, backward, monitor).run((n_steps + 1) * dt, namespace={})
        return np.array(monitor.u).T


LEAKS = ((0.1, 3.2), (1.0, 1.04))
"""Leaks, and the screening length in hops to be found with each."""


def leaky_chain(n_hops: int, leak: float) -> tuple[Any, Any, Any]:
    """A linear chain of single cells with weights of 1: networks, feed-forward state, outcome.

    A leak is an error source beside every hidden cell that says that its feed-forward activity, 0, was right.
    """
    import torch

    circuit = chain_circuit([1] * (n_hops + 1))
    weight = dict.fromkeys((p.name for p in circuit.projections), 1.0)
    if leak:
        hidden = [p.name for p in circuit.populations if p.role == "hidden"]
        rests = tuple(Population(f"rest_{name}", 1, "error source") for name in hidden)
        leaks = tuple(Projection(name, f"rest_{name}") for name in hidden)
        circuit = Circuit(circuit.populations + rests, circuit.projections + leaks)
        weight |= dict.fromkeys((p.name for p in leaks), leak**0.5)
    forward = {name: torch.full((1, 1, 1), w, dtype=torch.float64) for name, w in weight.items()}
    networks = without_bias(circuit, forward, linear())
    state = networks.potentials(torch.zeros(1, 1, 1, dtype=torch.float64))
    outcome = torch.zeros(1, 1, len(circuit.error_sources), dtype=torch.float64)
    outcome[..., 0] = 1
    return networks, state, outcome


def errors_along(n_hops: int, inferred: Any) -> np.ndarray:
    """Errors along a chain of single cells, hop 0 first."""
    return np.array([float(inferred.delta["y" if hop == 0 else f"h{hop}"]) for hop in range(n_hops)])


def chain_in_torch(n_hops: int, n_steps: int, step: float, wanted: Sequence[int]) -> np.ndarray:
    """Errors of a linear chain after the wanted numbers of inference steps, shape (n_wanted, n_hops)."""
    from bioplastic.rules.predictive_coding import PredictiveCoding

    rule = PredictiveCoding(steps=n_steps, step_size=step)
    found = {}
    for k, inferred in enumerate(rule.relax(*leaky_chain(n_hops, 0.0))):
        if k in wanted:
            found[k] = errors_along(n_hops, inferred)
    return np.array([found[k] for k in wanted])


def reproduce(settings: Settings) -> Result:
    """The linear chain against the heat equation, and with a leak against the cable equation."""
    from scipy.linalg import expm

    from bioplastic.rules.predictive_coding import PredictiveCoding

    n, steps = settings.hops, np.array(settings.steps)
    exact = np.array([theory.chain_errors(theory.chain_activity(n, int(k), settings.step)) for k in steps])
    in_torch = chain_in_torch(n, int(steps.max()), settings.step, steps.tolist())
    in_brian2 = theory.chain_errors(chain_in_brian2(n, int(steps.max()), settings.step, 0.0)[steps])
    reached = exact > 0
    checks = []
    for name, found in (("torch", in_torch), ("Brian2", in_brian2)):
        off = np.abs(found - exact)[reached] / exact[reached]
        ahead = np.abs(found[~reached]).max(initial=0)
        checks.append(at_most(f"{name}: relative deviation from powers of the heat operator", off.max(), 0.01))
        checks.append(at_most(f"{name}: largest error where the exact one is 0", ahead, 0.0))
    # Small steps, against the matrix exponential of the same operator.
    fine = np.array([k for k in settings.steps if k <= 30]) * settings.fine
    small = settings.step / settings.fine
    operator = np.zeros((n + 1, n + 1))
    inner = np.arange(1, n)
    operator[inner, inner], operator[inner, inner - 1], operator[inner, inner + 1] = -2, 1, 1
    continuous = np.array([theory.chain_errors(expm(k * small * operator)[:, 0]) for k in fine])
    for name, found in (
        ("torch", chain_in_torch(n, int(fine.max()), small, fine.tolist())),
        ("Brian2", theory.chain_errors(chain_in_brian2(n, int(fine.max()), small, 0.0)[fine])),
    ):
        off = np.abs(found - continuous).max(1) / continuous.max(1)
        checks.append(at_most(f"{name}, small steps: deviation from the matrix exponential", off.max(), 0.01))
    leaky: dict[str, list[np.ndarray]] = {"exact": [], "torch": [], "brian2": []}
    for leak, figure in LEAKS:
        settled = PredictiveCoding().infer(*leaky_chain(n, leak))
        leaky["exact"].append(theory.chain_errors(theory.chain_steady_activity(n, leak=leak)))
        leaky["torch"].append(errors_along(n, settled))
        step = 0.9 * theory.largest_step(n, leak=leak)
        leaky["brian2"].append(theory.chain_errors(chain_in_brian2(n, settings.settling, step, leak)[-1]))
        for name, key in (("torch", "torch"), ("Brian2", "brian2")):
            half = leaky[key][-1][: n // 2]  # the far end is reflected
            length = reach.screening_length(half, np.zeros_like(half))
            off = abs(length / theory.screening_length(leak) - 1)
            checks.append(near(f"{name}, leak {leak:g}: screening length", figure, length, 0.01, "hops"))
            checks.append(at_most(f"{name}, leak {leak:g}: deviation from 1/arccosh(1 + leak/2)", off, 0.01))
    return Result(
        "Errors spread along a linear chain as heat, and with a leak as in a cable",
        "Whittington and Bogacz 2017, doi:10.1162/NECO_a_00949; Rall 1959, doi:10.1016/0014-4886(59)90046-9",
        tuple(checks),
        curves(
            hop=curve(np.arange(n), "hop", "1", "hops upstream of the error source"),
            steps=curve(steps, "steps", "1", "inference steps"),
            leak=curve([leak for leak, _ in LEAKS], "leak", "1", "leak, in pulls of one neighbour's error"),
            error_exact=curve(exact, "steps hop", "1", "exact prediction error"),
            error_torch=curve(in_torch, "steps hop", "1", "prediction error in torch"),
            error_brian2=curve(in_brian2, "steps hop", "1", "prediction error in Brian2"),
            settled_exact=curve(leaky["exact"], "leak hop", "1", "exact prediction error, settled"),
            settled_torch=curve(leaky["torch"], "leak hop", "1", "prediction error in torch, settled"),
            settled_brian2=curve(leaky["brian2"], "leak hop", "1", "prediction error in Brian2, settled"),
        ),
    )


def profile(axes: Any, c: Curves, kind: str, k: int, *, color: str, label: str) -> None:
    """One profile along the chain: exact as a line, torch and Brian2 as symbols."""
    exact = c[f"{kind}_exact"][k]
    axes.plot(c["hop"], np.where(exact > 0, exact, np.nan), color=color, linewidth=0.8, label=label)
    for name, marker, size in (("torch", "o", 3.5), ("brian2", "x", 2.5)):
        axes.plot(c["hop"], c[f"{kind}_{name}"][k], marker, color=color, markersize=size, mfc="none", mew=0.6)


def draw_chain(axes: Any, c: Curves) -> None:
    """Errors by hop after some inference steps."""
    for k, (n, color) in enumerate(zip(c["steps"], (ORANGE, RED, LIGHT, DARK), strict=True)):
        profile(axes, c, "error", k, color=color, label=f"{n} steps")
    for name, marker, size in (("torch", "o", 3.5), ("Brian2", "x", 2.5)):
        axes.plot([], [], marker, color="0.3", markersize=size, mfc="none", mew=0.6, label=name)
    axes.set(yscale="log", ylim=(1e-9, 1e3), xlabel="Hops upstream", ylabel="Prediction error")
    axes.legend(loc="upper right", ncols=2, handlelength=1.4, columnspacing=0.8)


def draw_leak(axes: Any, c: Curves) -> None:
    """Settled errors by hop, with a leak."""
    for k, (leak, color) in enumerate(zip(c["leak"], (DARK, RED), strict=True)):
        length = float(theory.screening_length(leak))
        profile(axes, c, "settled", k, color=color, label=f"leak {leak:g}: {length:.2f} hops")
    axes.set(yscale="log", ylim=(1e-10, 1e1), xlabel="Hops upstream", ylabel="Prediction error, settled")
    axes.legend(loc="upper right", handlelength=1.4)
