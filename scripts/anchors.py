"""Reproduce published results on which the argument rests, with the code of this library.

Question
    Do our predictive coding, our TD(0), our theory and our Brian2 give the numbers that others have published? Six
    anchors: the linear predictive-coding chain, the TD(0) ladder, the delayed arrival of the error, predictive coding
    against backprop, the dendritic prediction of the somatic potential, target alignment with depth.
Source
    docs/anchors.md says for each what was published and where, our set-up, what differs, and our numbers.
Command
    python scripts/anchors.py [--quick] [--out FILE]
Running time
    On one core: default 5 minutes, --quick under a minute. It may be interrupted and goes on with the next anchor.
Output
    A table of published figure, ours, tolerance, pass or FAIL; one HDF5 file with all curves, a figure beside it as PNG
    and PDF.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from matplotlib.colors import LogNorm
from rich.table import Table

from bioplastic import plots, reach, script, sweep, theory
from bioplastic.circuit import Circuit, Population, Projection
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Labelled, Variable

Progress = Callable[[float], None]
SCHEMA = "bioplastic anchors"


@dataclass(frozen=True)
class Config:
    """Settings of the anchors.

    Attributes
    ----------
    chain_hops : int
        Length of the linear chain, in hops.
    chain_step : float
        Size of an inference step in it.
    chain_steps : tuple of int
        After how many inference steps its errors are compared with the exact ones.
    chain_fine : int
        By how much finer the steps are that are compared with the matrix exponential.
    settling_steps : int
        Inference steps after which the leaky chain counts as settled.
    td_states : int
        Length of the chain of TD(0), in states.
    td_visits : tuple of int
        Visits after which the values are compared.
    delay_layers : int
        Layers of weights through which the error is followed.
    delay_steps : tuple of float
        Step sizes of inference.
    delay_images : int
        Digits whose errors are averaged.
    backprop_layers : int
        Layers of weights of the networks compared with backprop.
    backprop_step : float
        The smaller step size of inference there.
    backprop_steps : int
        Inference steps.
    backprop_images : int
        Digits in the batch whose gradient is compared.
    backprop_seeds : tuple of int
        One network and one batch each.
    alignment_layers : tuple of int
        Depths of the linear networks, in layers of weights.
    alignment_networks : int
        Networks, each with its own stimulus and target, per depth.
    dendrite_patterns : int
        Presentations of the input pattern to learn from.
    dendrite_seeds : tuple of int
        One input pattern and one set of random spikes each.
    """

    chain_hops: int = 24
    chain_step: float = 0.25
    chain_steps: tuple[int, ...] = (3, 10, 30, 100)
    chain_fine: int = 50
    settling_steps: int = 2000
    td_states: int = 16
    td_visits: tuple[int, ...] = (4, 8, 16, 32)
    delay_layers: int = 20
    delay_steps: tuple[float, ...] = (0.1, 0.3, 0.5)
    delay_images: int = 32
    backprop_layers: int = 6
    backprop_step: float = 0.1
    backprop_steps: int = 300
    backprop_images: int = 100
    backprop_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    alignment_layers: tuple[int, ...] = (1, 2, 4, 6, 8, 10, 12, 14, 15)
    alignment_networks: int = 200
    dendrite_patterns: int = 100
    dendrite_seeds: tuple[int, ...] = (0, 1, 2)


QUICK = Config(
    chain_fine=10,
    settling_steps=1000,
    backprop_steps=200,
    backprop_seeds=(0,),
    alignment_layers=(1, 2, 6, 10, 15),
    alignment_networks=30,
    dendrite_patterns=20,
    dendrite_seeds=(0,),
)


@dataclass(frozen=True)
class Check:
    """One published figure, and ours.

    Attributes
    ----------
    claim : str
        What is compared.
    published : float
        The figure, NaN where only a curve or a statement was published.
    ours : float
    low, high : float
        It passes if ours lies between them, both included.
    units : str
    """

    claim: str
    published: float
    ours: float
    low: float
    high: float
    units: str = "1"

    @property
    def passed(self) -> bool:
        """Whether ours lies within the tolerance."""
        return bool(self.low <= self.ours <= self.high)


def near(claim: str, published: float, ours: float, relative: float, units: str = "1") -> Check:
    """Check that ours differs from the published figure by no more than a fraction of it."""
    margin = relative * abs(published)
    return Check(claim, published, float(ours), published - margin, published + margin, units)


def at_most(claim: str, ours: float, high: float, units: str = "1", published: float = 0.0) -> Check:
    """Check a deviation that should be nothing, or a size that should be small."""
    return Check(claim, published, float(ours), -np.inf, high, units)


def at_least(claim: str, ours: float, low: float, units: str = "1") -> Check:
    """Check the size of an effect of which no figure was published."""
    return Check(claim, np.nan, float(ours), low, np.inf, units)


@dataclass(frozen=True)
class Result:
    """What an anchor gives.

    Attributes
    ----------
    title : str
    source : str
        Paper, with its DOI or arXiv number.
    checks : tuple of Check
    curves : mapping of str to Labelled
        A curve over one axis of its own name is the coordinate of that axis.
    """

    title: str
    source: str
    checks: tuple[Check, ...]
    curves: Mapping[str, Labelled]


def curve(values: Any, dims: str, units: str, long_name: str) -> Labelled:
    """Return labelled values; the axes as words in one string."""
    return Labelled(np.asarray(values), tuple(dims.split()), units, long_name)


# ------------------------------------------------------------------------------------------ Brian2


@contextmanager
def brian2_runtime() -> Iterator[Any]:
    """Brian2 in runtime mode without compiling, in which Ctrl-C raises as anywhere else."""
    import brian2

    before = brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt
    brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt = "numpy", False
    try:
        yield brian2
    finally:
        brian2.prefs.codegen.target, brian2.prefs.core.stop_on_keyboard_interrupt = before


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
        return np.asarray(monitor.u).T


# ------------------------------------------------------------------------------------------ the rate twin


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


# ------------------------------------------------------------------------------------------ linear chain


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


def predictive_coding_chain(config: Config, progress: Progress) -> Result:
    """The linear chain against the heat equation, and with a leak against the cable equation."""
    from scipy.linalg import expm

    from bioplastic.rules.predictive_coding import PredictiveCoding

    n, steps = config.chain_hops, np.array(config.chain_steps)
    exact = np.array([theory.chain_errors(theory.chain_activity(n, int(k), config.chain_step)) for k in steps])
    in_torch = chain_in_torch(n, int(steps.max()), config.chain_step, steps.tolist())
    in_brian2 = theory.chain_errors(chain_in_brian2(n, int(steps.max()), config.chain_step, 0.0)[steps])
    progress(0.1)
    reached = exact > 0
    checks = []
    for name, found in (("torch", in_torch), ("Brian2", in_brian2)):
        off = np.abs(found - exact)[reached] / exact[reached]
        ahead = np.abs(found[~reached]).max(initial=0)
        checks.append(at_most(f"{name}: relative deviation from powers of the heat operator", off.max(), 0.01))
        checks.append(at_most(f"{name}: largest error where the exact one is 0", ahead, 0.0))
    # Small steps, against the matrix exponential of the same operator.
    fine = np.array([k for k in config.chain_steps if k <= 30]) * config.chain_fine
    small = config.chain_step / config.chain_fine
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
        progress(0.5 if name == "torch" else 0.7)
    leaky: dict[str, list[np.ndarray]] = {"exact": [], "torch": [], "brian2": []}
    for leak, figure in LEAKS:
        settled = PredictiveCoding().infer(*leaky_chain(n, leak))
        leaky["exact"].append(theory.chain_errors(theory.chain_steady_activity(n, leak=leak)))
        leaky["torch"].append(errors_along(n, settled))
        step = 0.9 * theory.largest_step(n, leak=leak)
        leaky["brian2"].append(theory.chain_errors(chain_in_brian2(n, config.settling_steps, step, leak)[-1]))
        for name, key in (("torch", "torch"), ("Brian2", "brian2")):
            half = leaky[key][-1][: n // 2]  # the far end is reflected
            length = reach.screening_length(half, np.zeros_like(half))
            off = abs(length / theory.screening_length(leak) - 1)
            checks.append(near(f"{name}, leak {leak:g}: screening length", figure, length, 0.01, "hops"))
            checks.append(at_most(f"{name}, leak {leak:g}: deviation from 1/arccosh(1 + leak/2)", off, 0.01))
    progress(1.0)
    return Result(
        "Errors spread along a linear chain as heat, and with a leak as in a cable",
        "Whittington and Bogacz 2017, doi:10.1162/NECO_a_00949; Rall 1959, doi:10.1016/0014-4886(59)90046-9",
        tuple(checks),
        {
            "hop": curve(np.arange(n), "hop", "1", "hops upstream of the error source"),
            "steps": curve(steps, "steps", "1", "inference steps"),
            "leak": curve([leak for leak, _ in LEAKS], "leak", "1", "leak, in pulls of one neighbour's error"),
            "error_exact": curve(exact, "steps hop", "1", "exact prediction error"),
            "error_torch": curve(in_torch, "steps hop", "1", "prediction error in torch"),
            "error_brian2": curve(in_brian2, "steps hop", "1", "prediction error in Brian2"),
            "settled_exact": curve(leaky["exact"], "leak hop", "1", "exact prediction error, settled"),
            "settled_torch": curve(leaky["torch"], "leak hop", "1", "prediction error in torch, settled"),
            "settled_brian2": curve(leaky["brian2"], "leak hop", "1", "prediction error in Brian2, settled"),
        },
    )


# ------------------------------------------------------------------------------------------ TD(0) ladder


TD_RATE, TD_VISITS, TD_PUBLISHED = 0.25, 16, (0.990, 0.937, 0.803)
"""Learning rate and number of visits for which values are printed, and these values by distance."""


def td_values(n_states: int, n_visits: int, step: float) -> np.ndarray:
    """Values that TD(0) has learned after each visit of a chain, shape (n_visits + 1, n_states).

    A visit walks from the farthest state to the reward of 1 behind state 0. No discount, no eligibility trace.
    """
    value = np.zeros(n_states)
    after = [value.copy()]
    for _ in range(n_visits):
        for state in range(n_states - 1, -1, -1):
            reward, following = (0.0, value[state - 1]) if state else (1.0, 0.0)
            value[state] += step * (reward + following - value[state])
        after.append(value.copy())
    return np.array(after)


def td_ladder(config: Config, progress: Progress) -> Result:
    """TD(0) on a chain: one hop per visit."""
    visits = np.array(config.td_visits)
    distance = np.arange(config.td_states)
    learned = td_values(config.td_states, int(visits.max()), TD_RATE)
    exact = theory.td_value(distance, np.arange(visits.max() + 1)[:, None], TD_RATE)
    checks = [
        Check(f"value at distance {d} after {TD_VISITS} visits", figure, float(ours), figure - 5e-4, figure + 5e-4)
        for d, (figure, ours) in enumerate(zip(TD_PUBLISHED, learned[TD_VISITS], strict=False))
    ]
    off = np.abs(learned - exact).max()
    checks.append(at_most("largest deviation from P[Binomial(visits, rate) >= distance + 1]", off, 1e-12))
    progress(1.0)
    return Result(
        "Values of TD(0) climb a ladder",
        "Sutton 1988, doi:10.1007/BF00115009",
        tuple(checks),
        {
            "visits": curve(visits, "visits", "1", "visits of the chain"),
            "distance": curve(distance, "distance", "1", "hops from the last state before the reward"),
            "value": curve(learned[visits], "visits distance", "1", "value learned by TD(0)"),
            "value_exact": curve(exact[visits], "visits distance", "1", "P[Binomial(visits, rate) >= distance + 1]"),
        },
    )


# ------------------------------------------------------------------------------------------ dendritic prediction


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


def dendrite_life(n_patterns: int, seed: int, progress: Progress) -> Traces:
    """Let the neuron live: patterns without the teacher and one with it, weights held; learning; the same again."""
    from bioplastic_models import urbanczik_senn as model

    with brian2_runtime() as b2:
        b2.seed(seed)
        network = model.network(seed)
        neuron, synapses = network["neuron"], network["synapses"]
        monitor = b2.StateMonitor(neuron, ["U", "prediction"], record=0, dt=model.PATTERN / SAMPLES)
        network.add(monitor)
        rate = synapses.rate[:]
        total, done = 2 * (FREE + 1) + n_patterns, 0
        held = ((FREE, 0, 0), (1, 1, 0))
        for patterns, teacher, learns in (*held, (n_patterns, 1, 1), held[1], held[0]):
            neuron.teacher, synapses.rate = teacher, learns * rate
            share = patterns / total

            def report(_elapsed: Any, completed: float, *_: Any, done: int = done, share: float = share) -> None:
                progress(done / total + share * completed)

            network.run(patterns * model.PATTERN, namespace={}, report=report, report_period=1 * b2.second)
            done += patterns
        soma, prediction = (np.asarray(getattr(monitor, name)[0] / b2.mV) for name in ("U", "prediction"))
    return Traces(soma.reshape(total, SAMPLES), prediction.reshape(total, SAMPLES))


def part_of(progress: Progress, k: int, n: int) -> Progress:
    """Return the progress of the k-th of n equal parts of something."""
    return lambda fraction: progress((k + fraction) / n)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis."""
    a, b = (x - x.mean(-1, keepdims=True) for x in (one, other))
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def dendritic_prediction(config: Config, progress: Progress) -> Result:
    """The dendritic prediction comes to follow the somatic potential."""
    from bioplastic_models import urbanczik_senn as model

    n, lives = len(config.dendrite_seeds), []
    for k, seed in enumerate(config.dendrite_seeds):
        lives.append(dendrite_life(config.dendrite_patterns, seed, part_of(progress, k, n)))
    soma, prediction = np.array([x.soma for x in lives]), np.array([x.prediction for x in lives])
    time = np.arange(SAMPLES) * float(model.PATTERN) / SAMPLES
    matching = 1e3 * model.matching_potential(time)
    followed = correlation(prediction, soma)
    distance = np.sqrt(np.square(prediction - soma).mean(-1))
    by_itself = correlation(soma, matching)
    before, after = FREE, FREE + 1 + config.dendrite_patterns
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
        {
            "seed": curve(config.dendrite_seeds, "seed", "1", "seed"),
            "time": curve(1e3 * time, "time", "ms", "time in the pattern"),
            "matching_potential": curve(matching, "time", "mV", "U_M, towards which the teacher pulls the soma"),
            "soma_before": curve(soma[:, before], "seed time", "mV", "U with the teacher, before learning"),
            "soma_after": curve(soma[:, after], "seed time", "mV", "U with the teacher, after learning"),
            "soma_free": curve(soma[:, -1], "seed time", "mV", "U without the teacher, after learning"),
            "prediction_before": curve(prediction[:, before], "seed time", "mV", "V* before learning"),
            "prediction_after": curve(prediction[:, after], "seed time", "mV", "V* after learning"),
            "correlation": curve(followed, "seed pattern", "1", "correlation of V* with U, by presentation"),
            "distance": curve(distance, "seed pattern", "mV", "root mean square of V* - U, by presentation"),
        },
    )


# ------------------------------------------------------------------------------------------ delayed error


def delayed_error(config: Config, progress: Progress) -> Result:
    """The error of the output gets one hop farther per inference step, and loses a factor at each."""
    from bioplastic.rules.predictive_coding import PredictiveCoding

    circuit = chain_circuit([64] * config.delay_layers + [10])
    networks = orthogonal(circuit, 0, hyperbolic())
    images, labels = digit_images(config.delay_images, 0)
    state = networks.potentials(images)
    backprop = by_hop(circuit, networks.deltas(state, labels - networks.prediction(state)))
    backprop_norm = np.array([float(d.norm(dim=-1).mean()) for d in backprop])
    n_steps, hop = 2 * config.delay_layers, np.arange(config.delay_layers)
    norm = np.empty((len(config.delay_steps), n_steps + 1, config.delay_layers))
    n_cells = np.empty(norm.shape[1:], int)  # how many cells of all images have an error that is not 0
    checks: list[Check] = []
    for k, step in enumerate(config.delay_steps):
        rule = PredictiveCoding(steps=n_steps, step_size=step)
        deviation = 0.0
        for t, inferred in enumerate(rule.relax(networks, state, labels)):
            errors = by_hop(circuit, inferred.delta)
            norm[k, t] = [float(e.norm(dim=-1).mean()) for e in errors]
            n_cells[t] = [int((e != 0).sum()) for e in errors]
            if t < config.delay_layers:
                expected = step**t * backprop[t]
                deviation = max(deviation, float((errors[t] - expected).norm() / expected.norm()))
        progress((k + 1) / len(config.delay_steps))
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
        {
            "step_size": curve(config.delay_steps, "step_size", "1", "step size of inference"),
            "step": curve(np.arange(n_steps + 1), "step", "1", "inference steps"),
            "hop": curve(hop, "hop", "1", "hops upstream of the error source"),
            "error": curve(norm, "step_size step hop", "1", "norm of the errors of a population, mean over images"),
            "arriving": curve(first, "step_size hop", "1", "the same at the step at which the error arrives"),
            "backprop": curve(backprop_norm, "hop", "1", "norm of the backpropagated errors, mean over images"),
        },
    )


# ------------------------------------------------------------------------------------------ against backprop


def weight_changes(circuit: Circuit, inferred: Any) -> Any:
    """Changes of all weights that an inference leads to, in one row."""
    import torch

    changes = [inferred.delta[p.target].mT @ inferred.rate[p.source] for p in circuit.projections]
    return torch.cat([c.reshape(-1) for c in changes])


def angle(one: Any, other: Any) -> float:
    """Angle between two rows, in degrees; accurate for small ones too."""
    a, b = one / one.norm(), other / other.norm()
    return float(np.degrees(2 * np.arctan2(float((a - b).norm()), float((a + b).norm()))))


def predictive_coding_and_backprop(config: Config, progress: Progress) -> Result:
    """With fixed predictions inference becomes backprop; without, it does not."""
    from bioplastic.rules.backprop import Backprop
    from bioplastic.rules.predictive_coding import PredictiveCoding

    depth = config.backprop_layers
    circuit = chain_circuit([64] * depth + [10])
    small, n_steps = config.backprop_step, config.backprop_steps
    rules = (
        PredictiveCoding(steps=n_steps, step_size=1.0, fixed_prediction=True),
        PredictiveCoding(steps=n_steps, step_size=small, fixed_prediction=True),
        PredictiveCoding(steps=n_steps, step_size=small),
    )
    angles = np.empty((len(config.backprop_seeds), len(rules), n_steps + 1))
    settled = np.empty(len(config.backprop_seeds))
    for s, seed in enumerate(config.backprop_seeds):
        networks = orthogonal(circuit, seed, hyperbolic())
        images, labels = digit_images(config.backprop_images, seed)
        state = networks.potentials(images)
        gradient = weight_changes(circuit, Backprop().infer(networks, state, labels))
        for r, rule in enumerate(rules):
            for t, inferred in enumerate(rule.relax(networks, state, labels)):
                angles[s, r, t] = angle(weight_changes(circuit, inferred), gradient)
        equilibrium = PredictiveCoding().infer(networks, state, labels)
        settled[s] = angle(weight_changes(circuit, equilibrium), gradient)
        progress((s + 1) / len(config.backprop_seeds))
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
        {
            "seed": curve(config.backprop_seeds, "seed", "1", "seed"),
            "step": curve(np.arange(n_steps + 1), "step", "1", "inference steps"),
            "angle_fixed_exact": curve(exact, "seed step", "degree", "angle to backprop, fixed, step size 1"),
            "angle_fixed": curve(fixed, "seed step", "degree", f"angle to backprop, fixed, step size {small:g}"),
            "angle_free": curve(free, "seed step", "degree", f"angle to backprop, not fixed, step size {small:g}"),
            "angle_settled": curve(settled, "seed", "degree", "angle to backprop, not fixed, at equilibrium"),
        },
    )


# ------------------------------------------------------------------------------------------ target alignment


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


def target_alignment(config: Config, progress: Progress) -> Result:
    """How straight an output moves towards its target, by depth."""
    depth = np.array(config.alignment_layers)
    measured = np.empty((2, len(depth), config.alignment_networks))
    for k, n_layers in enumerate(depth):
        measured[:, k] = alignments(int(n_layers), config.alignment_networks, 1, 0)
        progress((k + 1) / (len(depth) + 1))
    batch = np.array([alignments(n, config.alignment_networks // 10, WIDTH, 1).mean(1) for n in PUBLISHED_DEPTH]).T
    progress(1.0)
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
    low, high = reach.interval(measured)
    return Result(
        "Predictive coding moves outputs towards their targets, deep backprop sideways",
        "Song, Millidge, Salvatori, Lukasiewicz, Xu and Bogacz 2024, doi:10.1038/s41593-023-01514-1",
        tuple(checks),
        {
            "rule": curve(RULES, "rule", "1", "learning rule"),
            "layers": curve(depth, "layers", "1", "layers of weights"),
            "alignment": curve(measured, "rule layers network", "1", "cosine of the change of the output to its error"),
            "alignment_low": curve(low, "rule layers", "1", "lower end of the 95 % interval of its mean"),
            "alignment_high": curve(high, "rule layers", "1", "upper end of the 95 % interval of its mean"),
            "published_layers": curve(PUBLISHED_DEPTH, "published_layers", "1", "layers of weights, published"),
            "alignment_published": curve(PUBLISHED_ALIGNMENT, "rule published_layers", "1", "published alignment"),
            "alignment_batch": curve(batch, "rule published_layers", "1", "mean alignment, 64 stimuli learned at once"),
        },
    )


# ------------------------------------------------------------------------------------------ recording


ANCHORS: dict[str, Callable[[Config, Progress], Result]] = {
    "predictive_coding_chain": predictive_coding_chain,
    "td_ladder": td_ladder,
    "delayed_error": delayed_error,
    "predictive_coding_and_backprop": predictive_coding_and_backprop,
    "dendritic_prediction": dendritic_prediction,
    "target_alignment": target_alignment,
}

SUMMARY = {
    "check": Variable(("check",), "1", "what is compared", "str"),
    "anchor": Variable(("check",), "1", "anchor that the check belongs to", "str"),
    "published": Variable(("check",), "1", "published figure (NaN: a curve or a statement)"),
    "ours": Variable(("check",), "1", "our figure"),
    "low": Variable(("check",), "1", "smallest figure of ours that passes"),
    "high": Variable(("check",), "1", "largest figure of ours that passes"),
    "units": Variable(("check",), "1", "unit of the figures", "str"),
    "passed": Variable(("check",), "1", "whether ours passes", "bool", flags=("no", "yes")),
}


def write_curves(group: h5py.Group, curves: Mapping[str, Labelled]) -> None:
    """Write curves with their units, names and axes."""
    rows = {name: row_of(c) for name, c in curves.items()}
    recording.write_labelled(group, rows, {name: c.values for name, c in curves.items()})


def row_of(labelled: Labelled) -> Variable:
    """Row of a schema that describes a curve."""
    kind = {"U": "str", "O": "str", "i": "int64"}.get(labelled.values.dtype.kind, "float64")
    return Variable(labelled.dims, labelled.units, labelled.long_name, kind)


def write_checks(group: h5py.Group, checks: Sequence[tuple[str, Check]]) -> None:
    """Write checks and the names of their anchors, one column per attribute."""
    columns = {"check": [c.claim for _, c in checks], "anchor": [name for name, _ in checks]}
    columns |= {key: [getattr(c, key) for _, c in checks] for key in SUMMARY if key not in columns}
    recording.write_labelled(group, SUMMARY, columns)


def read_curves(group: h5py.Group) -> dict[str, Labelled]:
    """Read what `write_curves` wrote; axes without labels stay bare."""
    curves = {}
    for name, data in group.items():
        if isinstance(data, h5py.Dataset) and (not data.is_scale or "long_name" in data.attrs):
            dims = (name,) if data.is_scale else tuple(axis.keys()[0] for axis in data.dims)
            values = data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]
            curves[name] = Labelled(values, dims, data.attrs["units"], data.attrs["long_name"])
    return curves


def read_checks(group: h5py.Group) -> list[tuple[str, Check]]:
    """Read what `write_checks` wrote."""
    column = {key: labelled.values.tolist() for key, labelled in read_curves(group).items()}
    keys = ("check", "published", "ours", "low", "high", "units")
    return [(name, Check(*row)) for name, *row in zip(column["anchor"], *(column[k] for k in keys), strict=True)]


def write_results(file: h5py.File, results: Mapping[str, Result]) -> None:
    """Write the curves of each anchor, and one summary of all checks."""
    anchors = file.create_group("anchors", track_order=True)
    for name, result in results.items():
        group = anchors.create_group(name)
        group.attrs["title"], group.attrs["source"] = result.title, result.source
        write_curves(group, result.curves)
    write_checks(file.create_group("summary"), [(name, c) for name, r in results.items() for c in r.checks])


def read_results(path: Path) -> dict[str, Result]:
    """Read the anchors of a file."""
    with h5py.File(path) as file:
        checks = read_checks(file["summary"])
        return {
            name: Result(
                group.attrs["title"],
                group.attrs["source"],
                tuple(c for anchor, c in checks if anchor == name),
                read_curves(group),
            )
            for name, group in file["anchors"].items()
        }


def identity(config: Config) -> str:
    """Return all that the numbers depend on, as text: settings and this script."""
    return json.dumps({"config": asdict(config), "script": Path(__file__).read_text(encoding="utf-8")})


def keep(path: Path, name: str, result: Result, config: Config) -> None:
    """Keep the result of one anchor in a file of its own, until all are there."""

    def fill(file: h5py.File) -> None:
        file.attrs["identity"] = identity(config)
        write_results(file, {name: result})

    recording.write_hdf5(path, fill, schema=SCHEMA)


def is_kept(path: Path, config: Config) -> bool:
    """Whether the result of an anchor, with these settings and this script, lies there."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("identity") == identity(config))
    except OSError:
        return False


def finish(out: Path, results: Mapping[str, Result], config: Config) -> None:
    """Make one file of all anchors."""

    def fill(file: h5py.File) -> None:
        text = Path(__file__).read_text(encoding="utf-8")
        title = "Published results, reproduced"
        recording.write_provenance(file, title=title, config=asdict(config), script=text)
        write_results(file, results)

    recording.write_hdf5(out, fill, schema=SCHEMA)


def run(config: Config, out: Path) -> Path:
    """Run the anchors, or go on with them, and return the path of the recording.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.

    Returns
    -------
    Path
        `out`.
    """
    if script.is_complete(out, schema=SCHEMA, config=config):
        return out
    script.ready_machine()
    folder = out.with_name(out.name + ".parts")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise recording.RecordingError(f"{folder} cannot be made ({error}): give another --out.") from error
    parts = {name: folder / f"{name}.h5" for name in ANCHORS}
    with sweep.progress_bar() as bar:

        def advance(row: Any, fraction: float) -> None:
            bar.update(row, completed=int(100 * fraction))

        for name, anchor in ANCHORS.items():
            row = bar.add_task(name.replace("_", " "), total=100)
            if not is_kept(parts[name], config):
                result = anchor(config, partial(advance, row))
                keep(parts[name], name, result, config)
            bar.update(row, completed=100)
    finish(out, {name: read_results(path)[name] for name, path in parts.items()}, config)
    for path in parts.values():
        path.unlink()
    folder.rmdir()
    return out


# ------------------------------------------------------------------------------------------ table and figure


def number(value: float) -> str:
    """A number as the table shows it."""
    if np.isnan(value):
        return "-"
    return f"{value:.2g}" if abs(value) < 1e-3 else f"{value:.4g}"


def tolerance(low: float, high: float) -> str:
    """A range as the table shows it."""
    if np.isinf(low):
        return f"at most {number(high)}"
    return f"at least {number(low)}" if np.isinf(high) else f"{number(low)} to {number(high)}"


def show(path: Path) -> None:
    """Print the table and draw the figure."""
    console = script.console()
    results = read_results(path)
    for result in results.values():
        table = Table(title=f"{result.title} ({result.source})", title_justify="left")
        table.add_column("what is compared", ratio=1)
        for column in ("published", "ours", "tolerance"):
            table.add_column(column, justify="right")
        table.add_column("")
        for c in result.checks:
            claim = c.claim + ("" if c.units == "1" else f" ({c.units})")
            verdict = "pass" if c.passed else "[bold red]FAIL[/]"
            table.add_row(claim, number(c.published), number(c.ours), tolerance(c.low, c.high), verdict)
        console.print(table)
    verdicts = [c.passed for result in results.values() for c in result.checks]
    console.print(f"{sum(verdicts)} of {len(verdicts)} pass.")
    curves = {name: {key: c.values for key, c in result.curves.items()} for name, result in results.items()}
    for written in plots.save(draw(curves), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


DARK, LIGHT, RED, ORANGE = "#14148c", "#2b7fce", "#a3260f", "#e07b2a"
NOTE = (
    "a: errors of a linear chain after inference steps; lines: exact. b: settled, with a leak; lines: exact. c: "
    "TD(0); lines: tail of a binomial. d, e: the error gets one hop farther per inference step and loses a factor of "
    "the step size at each. d: white where it is exactly 0. e: lines are step size^hop times backprop; what is "
    "missing was rounded away in float64. f: angle of the weight change to backprop's gradient, a line per network. "
    "g: cosine of the change of the output to its error, mean and 95 % interval over networks. h, i: one presentation "
    "with the teacher, before and after learning."
)
Curves = Mapping[str, np.ndarray]


def draw(curves: Mapping[str, Curves]) -> Any:
    """One panel per anchor, more where one is not enough: ours against published."""
    panels: tuple[tuple[Callable[[Any, Curves], None], str], ...] = (
        (draw_chain, "predictive_coding_chain"),
        (draw_leak, "predictive_coding_chain"),
        (draw_ladder, "td_ladder"),
        (draw_delay, "delayed_error"),
        (draw_arrival, "delayed_error"),
        (draw_backprop, "predictive_coding_and_backprop"),
        (draw_alignment, "target_alignment"),
        (partial(draw_dendrite, when="before"), "dendritic_prediction"),
        (partial(draw_dendrite, when="after"), "dendritic_prediction"),
    )
    with plots.page(185) as figure:
        for letter, axes, (panel, name) in zip("abcdefghi", figure.subplots(3, 3).ravel(), panels, strict=True):
            plots.letter(axes, letter)
            panel(axes, curves[name])
        plots.note(figure, NOTE)
    return figure


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


def draw_ladder(axes: Any, c: Curves) -> None:
    """Values by distance after some visits."""
    for k, (n, color, marker) in enumerate(zip(c["visits"], (ORANGE, RED, LIGHT, DARK), "^sDo", strict=True)):
        axes.plot(c["distance"], c["value_exact"][k], color=color, linewidth=0.8)
        axes.plot(c["distance"], c["value"][k], marker, color=color, markersize=3, label=f"{n} visits")
    axes.set(xlabel="Hops from the reward", ylabel="Value")
    axes.legend(loc="upper right", handletextpad=0.2)


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


def draw_dendrite(axes: Any, c: Curves, when: str) -> None:
    """Soma and dendritic prediction in one presentation of the pattern, the first seed."""
    axes.plot(c["time"], c["matching_potential"], color=ORANGE, linestyle=(0, (1, 0.9)), label="teacher's $U_M$")
    axes.plot(c["time"], c[f"soma_{when}"][0], color="0.6", linewidth=1.6, label="soma $U$")
    axes.plot(c["time"], c[f"prediction_{when}"][0], color=DARK, linewidth=0.8, label="dendrite $V^*$")
    axes.set(xlabel="Time in the pattern (ms)", ylabel="Potential (mV)", ylim=(-95, -38))
    plots.heading(axes, f"{when} learning")
    if when == "before":
        axes.legend(loc="lower left")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="anchors",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "fewer seeds and repetitions, under a minute"},
        work=lambda config, out, jobs: show(run(config, out)),
        parallel=False,
    )


if __name__ == "__main__":
    sys.exit(main())
