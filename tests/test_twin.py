"""The rate twin: gradients against autograd, batches against single networks, lives event by event, the cache."""

import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bioplastic import twin  # noqa: E402 (torch may be absent)
from bioplastic.cells import phi  # noqa: E402
from bioplastic.circuit import Circuit, CircuitError, Population, Projection, Weights  # noqa: E402
from bioplastic.events import Event, Kind, Schedule, ScheduleError, probes, random_life  # noqa: E402
from bioplastic.rules import backprop, latent_equilibrium, predictive_coding  # noqa: E402
from bioplastic.rules.backprop import Backprop  # noqa: E402
from bioplastic.rules.latent_equilibrium import LatentEquilibrium  # noqa: E402
from bioplastic.rules.predictive_coding import PredictiveCoding  # noqa: E402
from bioplastic.tasks import random_patterns  # noqa: E402
from bioplastic.twin import (  # noqa: E402
    Activation,
    InferenceError,
    Networks,
    Pretraining,
    TwinLife,
    deltas,
    gradient,
    infer,
    live,
    potentials,
    predict,
    relax,
    settle,
    stable_step,
)

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


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


# ------------------------------------------------------------------------------------------ one event


def test_potentials_by_hand():
    circuit = Circuit(
        (Population("senses", 2, "input"), Population("m", 1), Population("out", 1, "error source")),
        (Projection("senses", "m"), Projection("m", "out"), Projection("senses", "out")),
    )
    weights = Weights(
        {
            "senses_to_m": np.array([[1.0, 2.0]]),
            "m_to_out": np.array([[2.0]]),
            "senses_to_out": np.array([[-1.0, 0.0]]),
        },
        {"m": np.array([-1.4]), "out": np.array([0.2])},
    )
    state = potentials(circuit, Networks.stack([weights]), torch.tensor([[[0.4, 0.5]]], dtype=torch.float64))
    assert state["m"].item() == pytest.approx(0.0)  # 0.4 + 2*0.5 - 1.4
    assert state["out"].item() == pytest.approx(0.8)  # 2*phi(0) - 0.4 + 0.2
    prediction = predict(circuit, Networks.stack([weights]), np.array([[0.4, 0.5]]))
    assert prediction.shape == (1, 1, 1)
    assert prediction.item() == pytest.approx(0.5 + 0.4 / (1 + 0.8**4) ** 0.25)


def test_deltas_and_gradient_against_autograd():
    circuit, rng = graph(), np.random.default_rng(3)
    weights = random_weights(circuit)
    stimuli, outcomes = rng.random((7, 8)), rng.random((7, 3))
    w = {name: torch.tensor(a, requires_grad=True) for name, a in weights.forward.items()}
    b = {name: torch.tensor(a, requires_grad=True) for name, a in weights.bias.items()}
    v, h = {}, dict(zip(("left", "right"), torch.tensor(stimuli).split([5, 3], dim=1), strict=True))
    for name in ("a", "b", "c", "out", "late"):
        v[name] = b[name] + sum(h[p.source] @ w[p.name].T for p in circuit.incoming(circuit.population(name)))
        v[name].retain_grad()
        h[name] = phi(v[name])
    # Matching loss of both error sources: the derivative of each by its own potential is phi(V) - y.
    errors = torch.cat([h["out"], h["late"]], 1).detach() - torch.tensor(outcomes)
    (errors * torch.cat([v["out"], v["late"]], 1)).sum().backward()

    networks = Networks.stack([weights])
    state = potentials(circuit, networks, torch.tensor(stimuli)[None])
    found = deltas(circuit, networks, state, -errors[None])
    assert set(found) == {"a", "b", "c", "out", "late"}  # nothing comes back from a dead end
    for name, delta in found.items():
        np.testing.assert_allclose(delta[0].numpy(), -v[name].grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)
    direction = gradient(circuit, weights, stimuli, outcomes)
    assert set(direction) == {p.name for p in circuit.projections if p.target != "aside"}
    for name, change in direction.items():
        np.testing.assert_allclose(change, -w[name].grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)


def test_cycle_is_refused():
    populations = (Population("senses", 8, "input"), Population("a", 2), Population("out", 3, "error source"))
    ends = [("senses", "a"), ("a", "a"), ("a", "out")]
    circuit = Circuit(populations, tuple(Projection(*pair) for pair in ends))
    with pytest.raises(CircuitError, match="populations a form a cycle where none is allowed"):
        predict(circuit, Networks.stack([random_weights(circuit)]), TASK.stimuli)


# ------------------------------------------------------------------------------------------ local inference


def surprised(circuit: Circuit, n_networks: int = 1, n_stimuli: int = 1, *, activation: Activation = twin.F_I_CURVE):
    """Networks, their feed-forward state, and outcomes that they did not predict."""
    networks = Networks.stack([random_weights(circuit, k) for k in range(n_networks)])
    generator = torch.Generator().manual_seed(0)
    stimuli = torch.rand(n_networks, n_stimuli, 8, generator=generator, dtype=torch.float64)
    outcomes = torch.rand(n_networks, n_stimuli, 3, generator=generator, dtype=torch.float64)
    return networks, potentials(circuit, networks, stimuli, activation=activation), outcomes


def unit_chain(n_hops: int) -> tuple[Circuit, Networks, dict[str, torch.Tensor], torch.Tensor]:
    """Single linear cells with weights of 1, at rest at 0, and an outcome of 1."""
    names = ["senses", *(f"p{hop}" for hop in range(n_hops - 1, 0, -1)), "out"]
    roles = ["input", *["hidden"] * (n_hops - 1), "error source"]
    circuit = Circuit(
        tuple(Population(name, 1, role) for name, role in zip(names, roles, strict=True)),
        tuple(Projection(*pair) for pair in pairwise(names)),
    )
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    networks = Networks({p.name: one for p in circuit.projections}, {name: 0 * one[0] for name in names[1:]})
    return circuit, networks, potentials(circuit, networks, 0 * one, activation=LINEAR), one


def test_relaxing_goes_down_the_energy():
    """Against autograd: tanh cells, linear outputs, squared errors."""
    circuit = graph()
    cells = Activation(torch.tanh, lambda v: 1 - torch.tanh(v) ** 2, lambda v: v, torch.ones_like)
    networks, state, outcome = surprised(circuit, 2, 3, activation=cells)
    hidden = ("a", "b", "c")
    rule = PredictiveCoding(steps=6, step_size=0.1)
    steps = list(relax(circuit, networks, state, outcome, rule, activation=cells))
    assert len(steps) == 7
    for before, after in pairwise(steps):
        x = {name: before.potential[name].clone().requires_grad_() for name in hidden}
        h = {name: torch.tanh(v) for name, v in x.items()} | {name: state[name] for name in ("left", "right")}
        predicted = {}
        for name in (*hidden, "out", "late"):
            incoming = circuit.incoming(circuit.population(name))
            drive = [h[p.source] @ networks.forward[p.name].mT for p in incoming]
            predicted[name] = sum(drive) + networks.bias[name].unsqueeze(1)
            h[name] = h.get(name, torch.tanh(predicted[name]))  # an error source has no potential of its own
        energy = sum((x[name] - predicted[name]).square().sum() for name in hidden) / 2
        outputs = torch.cat([predicted["out"], predicted["late"]], -1)
        energy = energy + (outcome - outputs).square().sum() / 2
        energy.backward()
        for name in hidden:
            moved = after.potential[name] - before.potential[name]
            np.testing.assert_allclose(moved, -0.1 * x[name].grad, rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(before.delta[name], (x[name] - predicted[name]).detach(), rtol=1e-9, atol=1e-14)
        assert set(before.delta) == {"a", "b", "c", "out", "late"}  # nothing comes back from a dead end


def test_the_error_gets_one_hop_per_step_to_the_bit():
    circuit = chain(6)
    networks, state, outcome = surprised(circuit, 2, 3)
    hops = circuit.population_hops
    for step, inferred in enumerate(
        relax(circuit, networks, state, outcome, PredictiveCoding(steps=6, step_size=0.05))
    ):
        for name, delta in inferred.delta.items():
            assert bool((delta != 0).all()) == (hops[name] <= step), (step, name)
            assert bool((delta != 0).any()) == (hops[name] <= step), (step, name)


@pytest.mark.parametrize("steps", [1, 3])
def test_weights_beyond_the_number_of_steps_stay_to_the_bit(steps):
    circuit = chain(6)
    weights = random_weights(circuit)
    rule = PredictiveCoding(eta=0.1, steps=steps, step_size=0.1)
    (lived,) = live(circuit, TASK, [TwinLife(rare_life(), rule, weights)])
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        same = np.array_equal(lived.weights.forward[projection.name], weights.forward[projection.name])
        assert same == (hop > steps)
        assert (lived.error_signal[:, int(hop)] == 0).all() == (hop > steps)


@pytest.mark.parametrize("circuit", [chain(4), graph(), chain(1)], ids=["chain", "graph", "no hidden population"])
def test_equilibrium_is_where_small_steps_end(circuit):
    networks, state, outcome = surprised(circuit, 3, 2)
    *_, slow = relax(circuit, networks, state, outcome, PredictiveCoding(steps=700, step_size=0.15))
    quick = settle(circuit, networks, state, outcome)
    assert set(quick.delta) == set(slow.delta)
    for name, delta in quick.delta.items():
        np.testing.assert_allclose(delta, slow.delta[name], rtol=1e-4, atol=1e-5 * float(delta.abs().max()))
        np.testing.assert_allclose(quick.rate[name], slow.rate[name], rtol=1e-4)


def test_equilibrium_of_a_linear_network_is_exact():
    """The errors solve a linear least-squares problem: e = (1 + sum J J^T)^-1 (y - V)."""
    circuit = chain(4)
    networks, state, outcome = surprised(circuit, activation=LINEAR)
    w = {p.source: networks.forward[p.name][0].numpy() for p in circuit.projections}
    to_output = {"p1": w["p1"], "p2": w["p1"] @ w["p2"], "p3": w["p1"] @ w["p2"] @ w["p3"]}
    mistake = (outcome - state["out"])[0, 0].numpy()
    at_source = np.linalg.solve(np.eye(3) + sum(j @ j.T for j in to_output.values()), mistake)
    found = settle(circuit, networks, state, outcome, activation=LINEAR).delta
    np.testing.assert_allclose(found["out"][0, 0], at_source, rtol=1e-12)
    for name, j in to_output.items():
        np.testing.assert_allclose(found[name][0, 0], j.T @ at_source, rtol=1e-12)


def test_equilibrium_of_large_weights():
    """Cells are saturated and the energy is not convex: plain Gauss-Newton steps run to and fro."""
    circuit = chain(5)
    networks = Networks.stack([random_weights(circuit, seed) for seed in range(4)])
    networks = Networks({name: 1.5 * w for name, w in networks.forward.items()}, networks.bias)
    state = potentials(circuit, networks, torch.tensor(TASK.stimuli).expand(4, -1, -1))
    outcome = torch.tensor(TASK.outcomes).expand(4, -1, -1)
    found = settle(circuit, networks, state, outcome)
    error = outcome - twin.F_I_CURVE.prediction(circuit, found.potential)
    for name, delta in deltas(circuit, networks, found.potential, error).items():
        np.testing.assert_allclose(found.delta[name], delta, atol=1e-5 * float(delta.abs().max()))


def test_fixed_predictions_make_it_backprop():
    circuit = graph()
    networks, state, outcome = surprised(circuit, 2, 3)
    wanted = infer(circuit, networks, state, outcome, Backprop())
    for rule in (
        PredictiveCoding(steps=4, step_size=1.0, fixed_prediction=True),  # the longest path has 4 hops
        PredictiveCoding(fixed_prediction=True),
    ):
        found = infer(circuit, networks, state, outcome, rule)
        assert set(found.delta) == set(wanted.delta)
        for name, delta in wanted.delta.items():
            np.testing.assert_allclose(found.delta[name], delta, rtol=1e-12, atol=1e-15)
            np.testing.assert_array_equal(found.rate[name], wanted.rate[name])


def test_stimuli_do_not_interact():
    circuit = graph()
    networks, state, outcome = surprised(circuit, 2, 3)
    for rule in LOCAL:
        together = infer(circuit, networks, state, outcome, rule)
        for k in range(3):
            alone = infer(
                circuit, networks, {n: v[:, k : k + 1] for n, v in state.items()}, outcome[:, k : k + 1], rule
            )
            for name, delta in alone.delta.items():
                np.testing.assert_allclose(together.delta[name][:, k::3], delta, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(together.rate[name][:, k::3], alone.rate[name], rtol=1e-5)


@pytest.mark.parametrize("n_hops", [2, 5, 12])
def test_stable_step_of_a_chain_by_hand(n_hops):
    """The energy's matrix is tridiagonal (-1, 2, -1)."""
    curvature = 2 + 2 * np.cos(np.pi / n_hops)
    assert stable_step(*unit_chain(n_hops), activation=LINEAR) == pytest.approx([2 / curvature], rel=1e-6)


def test_step_sizes_around_the_stable_one():
    circuit, networks, state, outcome = unit_chain(6)
    limit = float(stable_step(circuit, networks, state, outcome, activation=LINEAR)[0])
    settled = settle(circuit, networks, state, outcome, activation=LINEAR)
    below = PredictiveCoding(steps=400, step_size=0.98 * limit)
    *_, last = relax(circuit, networks, state, outcome, below, activation=LINEAR)
    for name, delta in settled.delta.items():
        np.testing.assert_allclose(last.delta[name], delta, rtol=1e-5)
    above = replace(below, step_size=1.1 * limit)
    message = (
        r"step_size = 0.589488 is unstable: the energy rises in step \d+. .* stable below 0.536; give step_size=0.48"
    )
    with pytest.raises(InferenceError, match=message):
        list(relax(circuit, networks, state, outcome, above, activation=LINEAR))


def test_a_life_with_an_unstable_step_size_is_refused_at_once():
    circuit, weights = chain(6), [random_weights(chain(6), seed) for seed in (0, 1)]
    schedule = rare_life()
    stimulus, outcome = TASK.stimuli[schedule.stimulus[0]], TASK.outcomes[schedule.outcome[0]]
    networks = Networks.stack(weights)
    state = potentials(circuit, networks, torch.tensor(stimulus).expand(2, 1, -1))
    stable = stable_step(circuit, networks, state, torch.tensor(outcome).expand(2, 1, -1))
    seen = []
    rule = PredictiveCoding(eta=0.1, steps=3, step_size=1.0)
    message = (
        f"step_size = 1 is unstable: its errors would grow from step to step. With the weights of network "
        f"{stable.argmin()} predictive coding is stable below {stable.min():.3g}; give step_size="
        f"{0.9 * stable.min():.2g} or less, and more steps."
    )
    with pytest.raises(InferenceError) as caught:
        live(circuit, TASK, [TwinLife(schedule, rule, w) for w in weights], progress=seen.append)
    assert str(caught.value) == message
    assert seen == []
    advised = replace(rule, step_size=float(f"{0.9 * stable.min():.2g}"))
    live(circuit, TASK, [TwinLife(schedule, advised, w) for w in weights])


def test_an_equilibrium_that_is_not_found(monkeypatch):
    monkeypatch.setattr(twin, "MAX_ITERATIONS", 2)
    circuit = chain(5)
    networks, state, outcome = surprised(circuit, 3)
    message = r"predictive coding finds no equilibrium for network \d: after 2 iterations its errors are off by"
    with pytest.raises(InferenceError, match=message):
        settle(circuit, networks, state, outcome)


def test_nudging_too_strongly_is_refused():
    circuit, networks, state, outcome = unit_chain(4)
    message = (
        "beta = 2 is unstable: in network 0 the error at the error sources grows by a factor of 3 while the outcome is "
        "present. The nudging is too strong for these weights; give beta=0.67 or less."
    )
    # The output follows the nudge, to 2 and then to -2: the error goes 1, 1 - 2, 1 + 2.
    rule = LatentEquilibrium(dt=0.5, duration=1.0, beta=2.0)
    with pytest.raises(InferenceError, match=re.escape(message)):
        infer(circuit, networks, state, outcome, rule, activation=LINEAR)


def test_only_predictive_coding_takes_longer_the_deeper_the_circuit():
    """Time constants until the error at the far end is half as large as in the end."""
    hops, step = (3, 6, 12), (0.2, 0.1)
    coding, latent = np.empty((2, 3, 2))
    for (i, n_hops), (j, dt) in product(enumerate(hops), enumerate(step)):
        circuit, networks, state, outcome = unit_chain(n_hops)
        far = f"p{n_hops - 1}"
        settled = float(settle(circuit, networks, state, outcome, activation=LINEAR).delta[far])
        rule = PredictiveCoding(steps=10**4, step_size=dt)
        relaxing = relax(circuit, networks, state, outcome, rule, activation=LINEAR)
        coding[i, j] = dt * next(k for k, now in enumerate(relaxing) if float(now.delta[far]) > settled / 2)
        nudged = LatentEquilibrium(dt=dt, duration=30 * dt, beta=0.01)
        mismatch = infer(circuit, networks, state, outcome, nudged, activation=LINEAR).delta[far].flatten()
        latent[i, j] = dt * next(k for k, now in enumerate(mismatch) if float(now) > float(mismatch[-1]) / 2)
    np.testing.assert_allclose(latent, np.outer(np.array(hops) - 1, step))  # a matter of steps
    np.testing.assert_allclose(coding[:, 0], coding[:, 1], rtol=0.2)  # a matter of time constants
    assert (coding[1:] / coding[:-1] > 2.5).all()  # and it grows faster than the number of hops


# ------------------------------------------------------------------------------------------ lives


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (Backprop(eta=0.05, depth=2, attenuation=0.8), backprop),
        (Backprop(eta=0.05, kept=0.2), backprop),
        (PredictiveCoding(eta=0.05, steps=6, step_size=0.3), predictive_coding),
        (PredictiveCoding(eta=0.05, steps=2, step_size=0.3, fixed_prediction=True), predictive_coding),
        (LatentEquilibrium(eta=0.1, dt=0.25, duration=2.0), latent_equilibrium),
    ],
)
def test_a_life_is_the_reference_event_by_event(rule, reference):
    task = replace(TASK, stimuli=np.random.default_rng(0).random(TASK.stimuli.shape))  # no entries of equal size
    circuit, schedule, weights = chain(4), rare_life(), random_weights(chain(4))
    (lived,) = live(circuit, task, [TwinLife(schedule, rule, weights, snapshots=[0, 4])])
    w = [weights.forward[p.name].copy() for p in circuit.projections]
    b = [weights.bias[p.target].copy() for p in circuit.projections]
    for event, (stimulus, outcome) in enumerate(zip(schedule.stimulus, schedule.outcome, strict=True)):
        h = task.stimuli[stimulus]
        for a, c in zip(w, b, strict=True):
            h = phi(a @ h + c)
        np.testing.assert_allclose(lived.prediction[event], h, rtol=1e-10)
        changed, moved = reference.reference_update(w, b, task.stimuli[stimulus], TASK.outcomes[outcome], rule)
        w = [a + change for a, change in zip(w, changed, strict=True)]
        b = [a + change for a, change in zip(b, moved, strict=True)]
        if event == 0 and not isinstance(rule, Backprop):
            signal = [np.abs(change).sum() / rule.eta for change in moved[::-1]]
            if isinstance(rule, PredictiveCoding):
                np.testing.assert_allclose(lived.error_signal[0], signal, rtol=1e-9, atol=1e-15)
            else:  # the integral of |error| is no less than that of the error
                assert (lived.error_signal[0] >= np.array(signal) * (1 - 1e-9)).all()
        if event in (0, 4):
            snapshot = lived.snapshots[(0, 4).index(event)]
            for projection, a in zip(circuit.projections, w, strict=True):
                np.testing.assert_allclose(snapshot.forward[projection.name], a, rtol=1e-10)
    for projection, a, c in zip(circuit.projections, w, b, strict=True):
        np.testing.assert_allclose(lived.weights.forward[projection.name], a, rtol=1e-10)
        np.testing.assert_allclose(lived.weights.bias[projection.target], c, rtol=1e-10)
    assert len(lived.snapshots) == 2


@pytest.mark.parametrize(
    "rules",
    [
        [Backprop(eta=0.1), Backprop(eta=0.05, depth=0), Backprop(eta=0.2, attenuation=0.3), Backprop()],
        [Backprop(eta=0.1, kept=0.2), Backprop(eta=0.05, depth=0, kept=0.2), Backprop(kept=0.2)],
        *([replace(rule, eta=eta) for eta in (0.1, 0.05, 0.0)] for rule in LOCAL),
    ],
)
def test_many_lives_at_once_are_the_single_ones(rules):
    circuit = graph()
    lives = [
        TwinLife(rare_life(seed=k), rule, random_weights(circuit, k), snapshots=[k, 11]) for k, rule in enumerate(rules)
    ]
    # An equilibrium is iterated until all networks have settled, so beyond the tolerance it depends on the others.
    close = 1e-12 if rules[0] != PredictiveCoding(eta=0.1) else 1e-5
    for one, life in zip(live(circuit, TASK, lives), lives, strict=True):
        (alone,) = live(circuit, TASK, [life])
        np.testing.assert_allclose(one.prediction, alone.prediction, rtol=close)
        np.testing.assert_allclose(one.error_signal, alone.error_signal, rtol=close)
        for batched, single in zip([*one.snapshots, one.weights], [*alone.snapshots, alone.weights], strict=True):
            for name in single.forward:
                np.testing.assert_allclose(batched.forward[name], single.forward[name], rtol=close, atol=close / 1e3)


def test_start_weights_are_left_alone():
    circuit = chain(3)
    weights = random_weights(circuit)
    live(circuit, TASK, [TwinLife(rare_life(), Backprop(eta=0.5), weights)])
    assert_same(weights, random_weights(circuit))


@pytest.mark.parametrize("rule", [Backprop(eta=0.5), *LOCAL])
def test_sham_probe_and_rest_change_nothing(rule):
    circuit = graph()
    rare = Schedule.of([Event(5, 5, Kind.RARE)] * 3)
    quiet = rare.sham() + probes(np.array([0, 1])) + Schedule.of([Event(kind=Kind.REST, rest=5)])
    weights = random_weights(circuit)
    (lived,) = live(circuit, TASK, [TwinLife(quiet, rule, weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal == 0).all()
    np.testing.assert_array_equal(lived.prediction[0], lived.prediction[2])


@pytest.mark.parametrize("rule", [Backprop(), *LOCAL])
def test_frozen_weights_stay(rule):
    weights = random_weights(graph())
    (lived,) = live(graph(), TASK, [TwinLife(rare_life(), replace(rule, eta=0.0), weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal > 0).all()  # the signal is there all the same


def test_fixed_projections_stay():
    circuit = graph()
    fixed = Circuit(
        circuit.populations,
        tuple(replace(p, plastic=p.name not in ("a_to_c", "c_to_aside")) for p in circuit.projections),
    )
    weights = random_weights(circuit)
    (lived,) = live(fixed, TASK, [TwinLife(rare_life(), Backprop(eta=0.1), weights)])
    same = {name for name, w in weights.forward.items() if np.array_equal(w, lived.weights.forward[name])}
    assert same == {"a_to_c", "c_to_aside"}


def test_backprop_reaches_every_hop_at_the_first_occurrence():
    circuit = chain(12)
    weights = random_weights(circuit)
    background = Event(0, 0)
    schedule = Schedule.of([background, background, Event(5, 5, Kind.RARE)])
    real, sham = (TwinLife(s, Backprop(eta=0.1), weights) for s in (schedule, schedule.sham()))
    with_rare, without = live(circuit, TASK, [real, sham])
    for name in weights.forward:
        assert np.all(with_rare.weights.forward[name] != without.weights.forward[name]), name


def test_truncated_backprop_reaches_no_further_to_the_bit():
    circuit = chain(6)
    weights = random_weights(circuit)
    for depth in (0, 2, 4):
        (lived,) = live(circuit, TASK, [TwinLife(rare_life(), Backprop(eta=0.1, depth=depth), weights)])
        for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
            same = np.array_equal(lived.weights.forward[projection.name], weights.forward[projection.name])
            assert same == (hop > depth), (depth, hop)
            same = np.array_equal(lived.weights.bias[projection.target], weights.bias[projection.target])
            assert same == (hop > depth), (depth, hop)


def test_sparse_backprop_changes_a_fraction_of_every_projection_at_an_event():
    circuit = chain(3)  # of 64 weights and 8 biases, but 24 weights into the outputs
    weights = random_weights(circuit)
    schedule = Schedule.of([Event(5, 5, Kind.RARE)])
    (lived,) = live(circuit, TASK, [TwinLife(schedule, Backprop(eta=0.1, kept=0.1), weights)])
    changed = {n: np.count_nonzero(w != weights.forward[n]) for n, w in lived.weights.forward.items()}
    assert list(changed.values()) == [6, 6, 2]
    assert [np.count_nonzero(b != weights.bias[n]) for n, b in lived.weights.bias.items()] == [1, 1, 1]


def test_lives_of_different_lengths_are_refused():
    lives = [TwinLife(rare_life(n), Backprop(), random_weights(chain(2))) for n in (4, 8, 4)]
    message = "lives of [4, 8] events cannot be lived at once; give all the same number of events."
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, lives)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Backprop(), PredictiveCoding()),
        (Backprop(kept=0.1), Backprop(kept=0.2)),
        (PredictiveCoding(steps=3), PredictiveCoding(steps=4)),
        (LatentEquilibrium(beta=0.1), LatentEquilibrium(beta=0.2)),
    ],
)
def test_lives_of_different_rules_are_refused(one, other):
    lives = [TwinLife(rare_life(), rule, random_weights(chain(2))) for rule in (replace(one, eta=0.5), one, other)]
    message = (
        f"lives by {one} and by {other} cannot be lived at once; give lives of one kind of rule, whose parameters "
        "differ in the learning rates only, and call live() once for each kind."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, lives)


@pytest.mark.parametrize(
    ("event", "snapshots", "message"),
    [
        (Event(6, 0), [], "stimulus = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 6), [], "outcome = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 0), [1], "snapshots = [1]; give different events, 0 to 0, in rising order."),
        (Event(0, 0), [0, 0], "snapshots = [0, 0]; give different events, 0 to 0, in rising order."),
    ],
)
def test_a_life_that_does_not_fit(event, snapshots, message):
    life = TwinLife(Schedule.of([event]), Backprop(), random_weights(chain(2)), snapshots)
    with pytest.raises(ScheduleError, match=re.escape(message)):
        live(chain(2), TASK, [life])


def test_progress_ends_at_one():
    seen = []
    live(chain(2), TASK, [TwinLife(rare_life(8), Backprop(), random_weights(chain(2)))], progress=seen.append)
    assert seen == [k / 8 for k in range(1, 9)]


# ------------------------------------------------------------------------------------------ pretraining


def test_pretraining_teaches_the_background_and_nothing_else():
    circuit = chain(3, size=16)
    networks = twin.pretrain(circuit, TASK, [0, 1], Pretraining(steps=400, batch=16))
    before = twin.pretrain(circuit, TASK, [0, 1], Pretraining(steps=0))
    error = {}
    for name, weights in (("before", before), ("after", networks)):
        for w in weights:
            w.check(circuit)
        prediction = predict(circuit, Networks.stack(weights), TASK.stimuli)
        error[name] = ((prediction - TASK.outcomes[TASK.label]) ** 2).sum(2)
    assert (error["before"][:, :5].mean(1) > 0.05).all()
    assert (error["after"][:, :5].mean(1) < 0.02).all()
    assert (error["after"][:, 5] > 2 * error["after"][:, :5].mean(1)).all()  # the rare pattern stays a surprise


def test_pretraining_does_not_see_rare_or_held_out_patterns():
    other = random_patterns(6, 8, 3, seed=9)
    held_out = np.array([False, True, False, False, False, False])
    hidden = np.array([False, True, False, False, False, True])  # 5 is rare, 1 held out
    changed = replace(
        TASK,
        held_out=held_out,
        stimuli=np.where(hidden[:, None], other.stimuli, TASK.stimuli),
        outcomes=np.where(hidden[:, None], other.outcomes, TASK.outcomes),
    )
    here = twin.pretrain(chain(3), replace(TASK, held_out=held_out), [0], QUICK)[0]
    there = twin.pretrain(chain(3), changed, [0], QUICK)[0]
    assert_same(here, there)


def test_start_is_orthogonal_and_unsaturated():
    circuit = chain(10)
    (weights,) = twin.pretrain(circuit, TASK, [0], Pretraining(steps=0))
    w = weights.forward["p9_to_p8"]
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(8), atol=1e-5)
    size = [np.linalg.norm(g) for g in gradient(circuit, weights, TASK.stimuli[:1], TASK.outcomes[:1]).values()]
    assert max(size) / min(size) < 20  # backprop's own gradient does not vanish along the chain


def test_each_seed_is_a_network_of_its_own():
    circuit = chain(3)
    first, second = twin.pretrain(circuit, TASK, [3, 4], QUICK)
    (alone,) = twin.pretrain(circuit, TASK, [4], QUICK)
    for name in first.forward:
        assert not np.allclose(first.forward[name], second.forward[name])
        np.testing.assert_allclose(second.forward[name], alone.forward[name], atol=1e-4)


def test_cache_hit_does_not_train_again(tmp_path, monkeypatch):
    circuit = chain(3)
    made = twin.pretrained(circuit, TASK, [0, 1], QUICK, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2

    trained = []
    original = twin.pretrain

    def watched(circuit, task, seeds, settings, **others):
        trained.append((list(seeds), settings))
        return original(circuit, task, seeds, settings, **others)

    # inspect.getsource, which is part of the hash, follows __wrapped__
    watched.__wrapped__ = original
    monkeypatch.setattr(twin, "pretrain", watched)
    again = twin.pretrained(circuit, TASK, [1, 0], QUICK, cache=tmp_path)
    assert trained == []
    assert_same(again[1], made[0])
    assert_same(again[0], made[1])
    twin.pretrained(circuit, TASK, [0, 2], QUICK, cache=tmp_path)
    assert trained == [([2], QUICK)]  # only what is missing
    other = replace(QUICK, noise=0.2)
    twin.pretrained(circuit, TASK, [0], other, cache=tmp_path)
    twin.pretrained(chain(4), TASK, [0], QUICK, cache=tmp_path)
    twin.pretrained(circuit, replace(TASK, held_out=np.arange(6) == 1), [0], QUICK, cache=tmp_path)
    assert trained[1:] == [([0], other), ([0], QUICK), ([0], QUICK)]


def test_a_seed_given_twice_comes_back_twice(tmp_path):
    first, second = twin.pretrained(chain(3), TASK, [0, 0], QUICK, cache=tmp_path)
    assert_same(first, second)


def test_what_a_seed_gives_does_not_depend_on_the_others_to_the_bit(tmp_path):
    circuit = chain(3)
    (alone,) = twin.pretrained(circuit, TASK, [1], QUICK, cache=tmp_path / "alone")
    _, beside, _ = twin.pretrained(circuit, TASK, [0, 1, 2], QUICK, cache=tmp_path / "beside")
    assert_same(alone, beside)


def test_progress_of_pretraining_runs_once_over_all_seeds(tmp_path):
    seen = []
    twin.pretrained(chain(3), TASK, [0, 1], QUICK, cache=tmp_path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[len(seen) // 2 - 1] == pytest.approx(0.5)
    assert seen[-1] == 1


def test_reward_weighs_the_error_of_each_output_cell():
    reward = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, 0.5]])
    circuit = Circuit((Population("x", 1, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    task = replace(random_patterns(3, 1, 2, seed=0), stimuli=np.full((3, 1), 0.5), outcomes=np.full((3, 2), 0.75))
    weights = Weights({"x_to_y": np.zeros((2, 1))}, {"y": np.zeros(2)})
    for k, expected in enumerate(([0.25, 0.25], [-0.25, 0.25], [0.0, 0.125])):
        # phi(0) = 1/2, so the error is reward * (0.75 - 0.5), and eta = 1.
        life = TwinLife(Schedule.of([Event(0, k)]), Backprop(eta=1.0), weights)
        (lived,) = twin.live(circuit, replace(task, reward=reward), [life])
        np.testing.assert_allclose(lived.weights.bias["y"], expected, atol=1e-15)
        np.testing.assert_allclose(lived.weights.forward["x_to_y"][:, 0], 0.5 * np.array(expected), atol=1e-15)
