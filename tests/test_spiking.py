"""Spiking models: plain Brian2 objects, compiled lives against runtime ones, the front, and what is refused."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import pairwise

import brian2
import numpy as np
import pytest
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    ms,
    network_operation,
    second,
)
from small_networks import orthogonal

from bioplastic import spiking
from bioplastic.cells import CellParameters, phi
from bioplastic.circuit import Circuit, CircuitError, Feedback, Population, Projection, Weights
from bioplastic.events import Event, Kind, Schedule, ScheduleError, Timing, probes, random_life
from bioplastic.hippocampus import Hippocampus, Target
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking import (
    NO_COMPILER,
    ActivityError,
    CompilationError,
    Life,
    Lived,
    Model,
    ModelSpec,
    build,
    cell_group,
    flat,
    model,
    synapse_group,
)
from bioplastic.tasks import random_patterns
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")
TASK = random_patterns(6, 16, 4, seed=0)
TIMING = Timing(lead=200 * ms)
RULE = ErrorRelay(theta=0.3, tau_e=5 * second, gain=0.9, eta=0.01)
COMPILED = pytest.mark.skipif(spiking.compiler() is None, reason="no C++ compiler")


def chain(n_hops: int, size: int = 16) -> Circuit:
    hidden = [f"h{hop}" for hop in range(n_hops - 1, 0, -1)]
    names = ["x", *hidden, "y"]
    populations = (
        Population("x", 16, "input"),
        *(Population(name, size) for name in hidden),
        Population("y", 4, "error source"),
    )
    return Circuit(populations, tuple(Projection(a, b) for a, b in pairwise(names)))


CHAIN = chain(4)
WEIGHTS = orthogonal(CHAIN)
SPEC = ModelSpec(
    CHAIN, RULE, n_stimuli=6, n_outcomes=6, n_steps=2**14, n_snapshots=3, record_spikes=True, restoring=True
)
RARE = Event(5, 5, Kind.RARE)


def a_life(*events: Event, **changes) -> Life:
    return replace(Life(Schedule.of(events or [Event(0, 0)]), TIMING, RULE, WEIGHTS), **changes)


def mixed(n_events: int = 8, **changes) -> Life:
    """A life in which one event in four is the rare one."""
    schedule = random_life(TASK, event_fraction=0.25, n_events=n_events, rng=np.random.default_rng(0))
    return a_life(schedule=schedule, **changes)


def with_bias(population: str, value: float) -> Weights:
    return Weights(WEIGHTS.forward, {**WEIGHTS.bias, population: np.full_like(WEIGHTS.bias[population], value)})


def change(lived: Lived, start: Weights = WEIGHTS) -> dict[str, float]:
    """Size of the weight change by projection."""
    return {name: float(np.linalg.norm(w - start.forward[name])) for name, w in lived.weights.forward.items()}


def assert_same(one: Lived, other: Lived) -> None:
    """To the bit."""
    for name in ("prediction", "error_time", "error_cell", "error_sign", "spike_time", "spike_cell", "snapshots"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name, w in one.weights.forward.items():
        np.testing.assert_array_equal(w, other.weights.forward[name], err_msg=name)
    for name, b in one.weights.bias.items():
        np.testing.assert_array_equal(b, other.weights.bias[name], err_msg=name)
    for name, fb in one.feedback.weights.items():
        np.testing.assert_array_equal(fb, other.feedback.weights[name], err_msg=name)


@pytest.fixture(scope="module")
def compiled(cache_dir, cpp_compiler) -> Model:
    """The one model that all tests of compiled lives share; 20 s the first time."""
    return model(SPEC, TASK, compiled=True)


@pytest.fixture(scope="module")
def runtime() -> Model:
    return model(SPEC, TASK, compiled=False)


# ------------------------------------------------------------------------------------------ plain Brian2 objects


def test_a_graph_becomes_plain_brian2_objects():
    populations = (
        Population("x", 3, "input"),
        Population("a", 4),
        Population("b", 2),
        Population("y", 2, "error source"),
    )
    ends = [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y"), ("a", "b")]
    circuit = Circuit(populations, (*(Projection(*e) for e in ends), Projection("x", "y", plastic=False)))
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(size=circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(size=p.size) for p in populations[1:]},
    )
    built = build(circuit, RULE, weights)
    assert (type(built.cells), type(built.synapses)) == (NeuronGroup, Synapses)
    assert built.objects == (built.cells, built.synapses)
    assert len(built.cells) == 11
    assert len(built.synapses) == 3 * 4 + 3 * 2 + 4 * 2 + 2 * 2 + 4 * 2 + 3 * 2
    # cell 1 of a is cell 4 of all; cell 1 of y is cell 10
    assert built.synapses.w[4, 10] == weights.forward["a_to_y"][1, 1]
    assert built.synapses.fb[4, 10] == weights.forward["a_to_y"][1, 1]
    assert built.synapses.plastic[4, 10] == 1
    assert built.synapses.plastic[0, 10] == 0
    np.testing.assert_array_equal(built.population("b").bias[:], weights.bias["b"])
    np.testing.assert_array_equal(built.cells.clamp[:], [1] * 3 + [0] * 8)
    np.testing.assert_array_equal(built.cells.predicts[:], [0] * 3 + [1] * 8)
    for name, expected in {"theta": 0.3, "leak": 0.2, "gain": 0.9, "eta": 0.01}.items():
        assert float(np.asarray(getattr(built.cells, name)[:])) == expected, name
    with pytest.raises(CircuitError, match=re.escape("there is no population 'c'; known: x, a, b, y.")):
        built.population("c")
    spikes = SpikeMonitor(built.population("x"))
    built.population("x").target = 0.5
    Network(*built.objects, spikes).run(1 * second, namespace={})
    assert len(spikes.t) == pytest.approx(3 * 50, abs=3)  # half of 100 Hz


def test_a_circuit_with_a_cycle_can_be_built():
    populations = (Population("x", 2, "input"), Population("a", 2), Population("y", 1, "error source"))
    ends = [("x", "a"), ("a", "a"), ("a", "y"), ("y", "a")]
    circuit = Circuit(populations, tuple(Projection(*e) for e in ends))
    built = build(circuit, RULE)
    Network(*built.objects).run(10 * ms, namespace={})
    assert not built.synapses.w[:].any()


def test_cells_and_synapses_in_a_network_of_ones_own():
    """One's own spikes drive the cells through one's own synapses; the cells drive each other through ours."""
    parameters = CellParameters(tau_m=10 * ms)
    source = cell_group(3, RULE, parameters)
    target = cell_group(2, RULE, parameters)
    synapses = synapse_group(source, target, RULE, parameters)
    synapses.connect("i != 2")
    synapses.w = 0.7
    source.clamp = 1
    source.target = 0.5
    mine = SpikeGeneratorGroup(1, [0], [500] * ms)
    kick = Synapses(mine, target, on_pre="V_post += 100")
    kick.connect(i=0, j=1)
    monitor = brian2.StateMonitor(target, "V", record=True, when="after_groups")  # as the soma reads it
    Network(source, target, synapses, mine, kick, monitor).run(501 * ms, namespace={})
    mean = monitor.V[:, 100:].mean(axis=1)
    np.testing.assert_allclose(mean, 2 * 0.7 * 0.5, rtol=0.03)  # what a rate network would have
    assert target.V[1] > 50 > target.V[0]


def test_build_checks_the_weights():
    with pytest.raises(CircuitError, match="bias: missing"):
        build(CHAIN, RULE, Weights(WEIGHTS.forward, {}))
    wrong = Feedback({name: w.T for name, w in WEIGHTS.forward.items()})
    with pytest.raises(CircuitError, match=re.escape("'h1_to_y' have shape (16, 4); the circuit needs (4, 16)")):
        build(CHAIN, RULE, WEIGHTS, feedback=wrong)


def test_feedback_and_apical_biases_are_set():
    rng = np.random.default_rng(1)
    feedback = Feedback({p.name: rng.normal(size=CHAIN.shape(p)) for p in CHAIN.projections}, {"h2": np.full(16, 0.3)})
    built = build(CHAIN, RULE, WEIGHTS, feedback=feedback)
    np.testing.assert_array_equal(built.synapses.fb[:], flat(CHAIN, feedback.weights))
    np.testing.assert_array_equal(built.cells.abias[:], [0.0] * 32 + [0.3] * 16 + [0.0] * 20)
    np.testing.assert_array_equal(built.cells.A[:], built.cells.abias[:])  # at rest from the first step on


def test_rules_are_told_how_far_their_cells_are_from_an_error_source():
    """The dead end, from which there is no path, is farther away than any other cell."""
    populations = (
        Population("x", 2, "input"),
        Population("a", 1),
        Population("end", 1),
        Population("y", 1, "error source"),
    )
    ends = (Projection("x", "a"), Projection("a", "y"), Projection("a", "end", plastic=False))
    circuit = Circuit(populations, ends)
    zero = Weights(
        {p.name: np.zeros(circuit.shape(p)) for p in ends}, {name: np.zeros(1) for name in ("a", "end", "y")}
    )
    for rule in (RadiusRelay(radius=2), EquilibriumRelay()):
        np.testing.assert_array_equal(build(circuit, rule, zero).cells.hops[:], [2, 2, 1, 5, 0])
    assert float(build(circuit, RadiusRelay(radius=2)).cells.radius[:]) == 2


# ------------------------------------------------------------------------------------------ lives


def test_compiled_lives_are_those_of_runtime_mode(compiled, runtime):
    """Every spike and error spike at the same step; numbers to rounding, which the compiler may do in another order."""
    life = mixed(snapshots=[1, 7])
    fast, slow = compiled.live(life), runtime.live(life)
    assert len(fast.spike_time) > 5000
    assert len(fast.error_time) > 100
    for name in ("spike_time", "spike_cell", "error_time", "error_cell", "error_sign", "onset"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)
    for name in ("prediction", "snapshots"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=0, atol=1e-12, err_msg=name)
    for name, w in fast.weights.forward.items():
        np.testing.assert_allclose(w, slow.weights.forward[name], rtol=0, atol=1e-12, err_msg=name)
    for name, b in fast.weights.bias.items():
        np.testing.assert_allclose(b, slow.weights.bias[name], rtol=0, atol=1e-12, err_msg=name)
    assert min(change(fast).values()) > 1e-3  # there was something to compare at every hop


def test_lives_at_once_are_those_one_after_another(compiled):
    lives = [mixed(seed=seed, snapshots=[seed]) for seed in range(3)]
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(compiled.live, lives))
    for one, life in zip(at_once, lives, strict=True):
        assert_same(one, compiled.live(life))


def test_snapshots_are_the_weights_of_shorter_lives(compiled):
    events = [Event(k, k) for k in range(4)] + [RARE]
    whole = compiled.live(a_life(*events, snapshots=[0, 2, 4]))
    for row, n_events in zip(whole.snapshots, (1, 3, 5), strict=True):
        shorter = compiled.live(a_life(*events[:n_events]))
        np.testing.assert_array_equal(row, flat(CHAIN, shorter.weights.forward))
    assert len(np.unique(whole.snapshots, axis=0)) == 3
    np.testing.assert_array_equal(whole.snapshots[-1], flat(CHAIN, whole.weights.forward))


def test_snapshots_in_runtime_mode(runtime):
    life = a_life(RARE, RARE, snapshots=[0, 1])
    lived, shorter = runtime.live(life), runtime.live(a_life(RARE))
    np.testing.assert_array_equal(lived.snapshots[0], flat(CHAIN, shorter.weights.forward))
    np.testing.assert_array_equal(lived.snapshots[1], flat(CHAIN, lived.weights.forward))
    for look, there in zip(lived.looks(CHAIN, life), (shorter.weights, lived.weights), strict=True):
        for name, weights in there.forward.items():
            np.testing.assert_array_equal(look.forward[name], weights)
        for name, bias in there.bias.items():
            np.testing.assert_allclose(look.bias[name], bias, rtol=0, atol=1e-12)
    biases = [np.concatenate(list(w.bias.values())) for w in (life.weights, shorter.weights, lived.weights)]
    assert not np.array_equal(biases[0], biases[1])
    assert not np.array_equal(biases[1], biases[2])


def test_lives_leave_no_trace(compiled):
    """A model is not changed by what it lives, nor is the life."""
    before = {name: w.copy() for name, w in WEIGHTS.forward.items()}
    first = compiled.live(mixed())
    compiled.live(a_life(RARE, rule=replace(RULE, eta=0.5), seed=4))
    assert_same(first, compiled.live(mixed()))
    for name, w in WEIGHTS.forward.items():
        np.testing.assert_array_equal(w, before[name])


def test_the_seed_sets_the_spikes(compiled):
    one, other = compiled.live(a_life(seed=0)), compiled.live(a_life(seed=1))
    assert not np.array_equal(one.spike_time, other.spike_time)
    assert len(one.spike_time) == pytest.approx(len(other.spike_time), rel=0.05)


def test_predictions_are_those_of_a_rate_network(compiled):
    lived = compiled.live(a_life(schedule=probes(np.arange(6)), rule=replace(RULE, eta=0.0)))
    h = TASK.stimuli
    for projection in CHAIN.projections:
        h = phi(h @ WEIGHTS.forward[projection.name].T + WEIGHTS.bias[projection.target])
    assert np.sqrt(np.mean((lived.prediction - h) ** 2)) < 0.09
    assert np.sqrt(np.mean((lived.prediction - h[::-1]) ** 2)) > 0.18  # they are not alike for all stimuli
    assert lived.error_time.size == 0  # nothing happens, so nothing is wrong
    assert max(change(lived).values()) == 0


def test_frozen_weights_stay_to_the_bit(compiled):
    lived = compiled.live(mixed(rule=replace(RULE, eta=0.0), snapshots=[3]))
    np.testing.assert_array_equal(lived.snapshots[0], flat(CHAIN, WEIGHTS.forward))
    for name, w in lived.weights.forward.items():
        np.testing.assert_array_equal(w, WEIGHTS.forward[name])
    for name, b in lived.weights.bias.items():
        np.testing.assert_array_equal(b, WEIGHTS.bias[name])
    assert (lived.error_spikes(CHAIN).sum(axis=0) > 0).all()  # though errors got to every hop


def test_what_a_life_leaves_is_not_brian2s_memory(runtime, monkeypatch):
    """Brian2 2.10 and later free the memory of monitors and synapses with them, whoever still looks at it."""
    networks, run = [], Network.run

    def remembered(network, *arguments, **options):
        networks.append(network)
        run(network, *arguments, **options)

    monkeypatch.setattr(Network, "run", remembered)
    lived = runtime.live(a_life(RARE))
    [network] = networks
    forward, feedback = lived.weights.forward["h1_to_y"], lived.feedback.weights["h1_to_y"]
    for left, owner, variable in (
        *((lived.error_time, "errors", "t"), (lived.spike_time, "spikes", "t")),
        *((forward, "cells_synapses", "w"), (feedback, "cells_synapses", "fb")),
    ):
        assert left.size
        assert not np.shares_memory(left, network[owner].variables[variable].get_value()), f"{owner}.{variable}"


def test_projections_that_do_not_learn_stay(runtime):
    fixed = replace(CHAIN, projections=tuple(replace(p, plastic=p.name != "h2_to_h1") for p in CHAIN.projections))
    lived = model(replace(SPEC, circuit=fixed), TASK, compiled=False).live(a_life(RARE))
    assert {name for name, size in change(lived).items() if size == 0} == {"h2_to_h1"}


def test_a_sham_event_changes_next_to_nothing(compiled):
    for seed in range(3):
        real = a_life(RARE, RARE, seed=seed)
        sham = change(compiled.live(replace(real, schedule=real.schedule.sham())))
        rare = change(compiled.live(real))
        assert all(sham[name] < 0.4 * rare[name] for name in rare), seed
        assert sham["x_to_h3"] < 0.1 * rare["x_to_h3"], seed


def test_life_and_sham_are_one_until_the_rare_event(compiled):
    events = [Event(0, 0), Event(1, 1), RARE]
    real = a_life(*events, snapshots=[1])
    sham = replace(real, schedule=real.schedule.sham())
    one, other = compiled.live(real), compiled.live(sham)
    np.testing.assert_array_equal(one.snapshots, other.snapshots)
    np.testing.assert_array_equal(one.prediction, other.prediction)  # the last is made before the outcome is known
    assert change(one) != change(other)


def test_salience_reaches_further(compiled):
    def last_hop(salience: float) -> int:
        lived = compiled.live(a_life(replace(RARE, salience=salience)))
        return int(np.flatnonzero(lived.error_spikes(CHAIN).sum(axis=0)).max())

    assert last_hop(0.2) < last_hop(2)


def test_a_brief_outcome_changes_nothing_beyond_a_front():
    circuit = chain(12)
    weights = orthogonal(circuit)
    long_chain = model(ModelSpec(circuit, RULE, 6, 6, n_steps=200, n_snapshots=0), TASK, compiled=False)
    rule = ErrorRelay(theta=0.3, eta=0.01)
    fronts = []
    for outcome in (20 * ms, 100 * ms, 400 * ms):
        timing = Timing(lead=300 * ms, outcome=outcome)
        lived = long_chain.live(Life(Schedule.of([RARE]), timing, rule, weights))
        reached = []
        for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
            w, b = lived.weights.forward[projection.name], lived.weights.bias[projection.target]
            if np.any(w != weights.forward[projection.name]) or np.any(b != weights.bias[projection.target]):
                reached.append(int(hop))
        assert sorted(reached) == list(range(len(reached)))  # no hole: whatever is beyond the front is as it was
        assert np.flatnonzero(lived.error_spikes(circuit)[0]).tolist() == sorted(reached)
        fronts.append(len(reached))
    assert fronts[0] < fronts[1] < fronts[2] < 12


def lived_with(**values: np.ndarray) -> Lived:
    """A life of which only some is known."""
    names = [f.name for f in fields(Lived) if f.name not in ("weights", "feedback", "memory", "run_time")]
    nothing = dict.fromkeys(names, np.empty(0))
    return Lived(**nothing | values, weights=WEIGHTS, feedback=Feedback(WEIGHTS.forward), memory=None, run_time=0.0)


def test_error_spikes_are_counted_by_event_and_hop():
    lived = lived_with(
        error_time=np.array([0.0, 0.1, 0.299, 0.3, 0.5]),
        error_cell=np.array([66, 66, 50, 16, 50]),  # y, y, h1, h3, h1
        error_sign=np.array([1, -1, 1, 1, 1]),
        onset=np.array([0.0, 0.3]),
    )
    np.testing.assert_array_equal(lived.error_spikes(CHAIN), [[2, 1, 0, 0], [0, 1, 0, 1]])


def test_looks_by_hand():
    """Cells 0 and 1 are inputs, 2 and 3 outputs; an error spike is worth 0.5, the last comes too late."""
    circuit = Circuit((Population("x", 2, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    life = a_life(rule=ErrorRelay(theta=1, eta=0.5), snapshots=[0])
    life = replace(life, weights=Weights({"x_to_y": np.zeros((2, 2))}, {"y": np.array([1.0, 2.0])}))
    lived = lived_with(
        error_time=np.array([0.1, 0.2, 0.4, 0.401]),
        error_cell=np.array([2, 3, 2, 2]),
        error_sign=np.array([1, -1, 1, 1]),
        onset=np.array([0.0, 0.4]),
        snapshots=np.ones((1, 4)),
    )
    (look,) = lived.looks(circuit, life)
    np.testing.assert_array_equal(look.forward["x_to_y"], np.ones((2, 2)))
    np.testing.assert_allclose(look.bias["y"], [2.0, 1.5])


# ------------------------------------------------------------------------------------------ restoring forces


def test_weights_are_pulled_back_by_hand():
    """Every 100 ms, at 0, 100, 200 and 300 ms, by the factor exp(-100 ms / 400 ms); 1 falls to 1/e."""
    circuit = replace(CHAIN, projections=tuple(replace(p, plastic=p.name != "h2_to_h1") for p in CHAIN.projections))
    built = build(circuit, RULE, WEIGHTS, restoring=True)
    built.synapses.w = built.synapses.w_rest[:] + 1
    built.synapses.restoring = 1 / (400 * ms)
    bias = np.array(built.cells.bias[:])
    Network(*built.objects).run(301 * ms, namespace={})
    away = spiking.unflat(circuit, built.synapses.w[:] - flat(circuit, WEIGHTS.forward))
    for name, found in away.items():
        np.testing.assert_allclose(found, 1 if name == "h2_to_h1" else 0.36787944, rtol=1e-7, err_msg=name)
    np.testing.assert_array_equal(built.synapses.fb[:], flat(circuit, WEIGHTS.forward))
    np.testing.assert_array_equal(built.cells.bias[:], bias)


def test_nothing_is_pulled_unless_a_rate_is_set():
    built = build(CHAIN, RULE, WEIGHTS, restoring=True)
    built.synapses.w = 1.25
    Network(*built.objects).run(201 * ms, namespace={})
    assert (built.synapses.w[:] == 1.25).all()
    assert "w_rest" not in build(CHAIN, RULE, WEIGHTS).synapses.variables


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
def test_what_was_learned_fades_with_its_time_constant(mode, request):
    """A surprise ends at 350 ms; five probes later, at 2100 ms, it has been pulled 18 times, at 400 ... 2100 ms."""
    events = [RARE, *[Event(0, -1, Kind.PROBE)] * 5]
    life = a_life(*events, snapshots=[0], rule=replace(RULE, tau_e=10 * ms), tau_w=2 * second)
    lived = request.getfixturevalue(mode).live(life)
    start = flat(CHAIN, WEIGHTS.forward)
    learned, left = lived.snapshots[0] - start, flat(CHAIN, lived.weights.forward) - start
    assert np.linalg.norm(learned) > 0.01
    np.testing.assert_allclose(left, learned * np.exp(-18 * 0.1 / 2), rtol=0, atol=1e-12)


def test_a_snapshot_has_the_pull_of_its_step(runtime):
    """The second event ends at 700 ms, when weights are pulled."""
    whole = runtime.live(a_life(RARE, RARE, RARE, snapshots=[1], tau_w=1 * second))
    shorter = runtime.live(a_life(RARE, RARE, tau_w=1 * second))
    np.testing.assert_array_equal(whole.snapshots[0], flat(CHAIN, shorter.weights.forward))


def test_without_a_time_constant_restoring_changes_nothing(runtime):
    plain = model(replace(SPEC, restoring=False), TASK, compiled=False)
    assert_same(plain.live(a_life(RARE)), runtime.live(a_life(RARE)))


def test_a_time_constant_needs_a_model_made_for_it():
    plain = model(replace(SPEC, restoring=False), TASK, compiled=False)
    message = (
        "the life pulls its weights back with tau_w = 3. s, but the model was made without; make it with "
        "ModelSpec(..., restoring=True)."
    )
    with pytest.raises(CompilationError, match=re.escape(message)):
        plain.live(a_life(tau_w=3 * second))


@pytest.mark.parametrize(
    ("tau_w", "message"),
    [
        (0 * second, "tau_w = 0 ms is outside what is allowed: more than 0 ms."),
        (-1 * second, "tau_w = -1000 ms is outside what is allowed: more than 0 ms."),
        (5, "tau_w = 5 has no unit; it needs a time such as 10*ms."),
        (np.nan * second, "tau_w is NaN; give a number in ms."),
    ],
)
def test_bad_time_constant(tau_w, message):
    with pytest.raises(UnitError) as caught:
        a_life(tau_w=tau_w)
    assert str(caught.value) == message


# ------------------------------------------------------------------------------------------ other rules

WARM = {"theta": 0.3, "tau_e": 5 * second, "gain": 0.9, "eta": 0.01}
OTHERS = [
    LearnedFeedback(**WARM, decay=0.01),
    RadiusRelay(**WARM, radius=2),
    Broadcast(**WARM),
    EquilibriumRelay(**WARM, eta_apical=0.01),
]


def feedback_for(rule) -> Feedback | None:
    if isinstance(rule, Broadcast):
        return random_broadcast(CHAIN, 1)
    return agreeing_feedback(CHAIN, WEIGHTS, TASK.stimuli) if isinstance(rule, EquilibriumRelay) else None


@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: type(rule).__name__)
def test_every_rule_lives_and_leaves_its_feedback(rule):
    given = feedback_for(rule)
    lived = model(replace(SPEC, rule=rule), TASK, compiled=False).live(a_life(RARE, rule=rule, feedback=given))
    sizes = change(lived)
    assert (sizes["x_to_h3"] == 0) == isinstance(rule, RadiusRelay)  # h3 is three hops from y
    assert min(size for name, size in sizes.items() if name != "x_to_h3") > 0
    lived.feedback.check(CHAIN, broadcast=isinstance(rule, Broadcast))
    given = given or Feedback(WEIGHTS.forward)
    same = {name: np.array_equal(w, given.weights[name]) for name, w in lived.feedback.weights.items()}
    assert set(same) == set(given.weights)
    if isinstance(rule, LearnedFeedback):
        assert not any(same.values())
    elif isinstance(rule, EquilibriumRelay):
        assert same == {"x_to_h3": True, "h3_to_h2": False, "h2_to_h1": False, "h1_to_y": False}
        assert not any(np.array_equal(lived.feedback.bias[name], given.bias[name]) for name in ("h1", "h2", "h3"))
    else:
        assert all(same.values())


def test_the_window_is_open_while_there_is_an_outcome(runtime):
    """Fed back by the forward weights, dendrites disagree all the time; error spikes come with outcomes only."""
    rule = EquilibriumRelay(theta=0.1, eta=0.0)
    lived = model(replace(SPEC, rule=rule), TASK, compiled=False).live(
        a_life(RARE, Event(0, -1, Kind.PROBE), rule=rule)
    )
    assert lived.error_time.min() > 0.2
    assert lived.error_time.max() < 0.321
    assert (lived.error_spikes(CHAIN)[0] > 20).all()


@pytest.mark.slow
@COMPILED
@pytest.mark.parametrize("rule", OTHERS, ids=lambda rule: type(rule).__name__)
def test_compiled_lives_of_other_rules_are_those_of_runtime_mode(rule):
    spec = replace(SPEC, rule=rule)
    life = mixed(6, rule=rule, feedback=feedback_for(rule), tau_w=10 * second, snapshots=[3])
    fast, slow = model(spec, TASK, compiled=True).live(life), model(spec, TASK, compiled=False).live(life)
    assert len(fast.error_time) > 100
    for name in ("spike_time", "spike_cell", "error_time", "error_cell", "error_sign"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=name)
    np.testing.assert_allclose(fast.snapshots, slow.snapshots, rtol=0, atol=1e-12)
    for ours, theirs in (
        (fast.weights.forward, slow.weights.forward),
        (fast.weights.bias, slow.weights.bias),
        (fast.feedback.weights, slow.feedback.weights),
        (fast.feedback.bias, slow.feedback.bias),
    ):
        assert set(ours) == set(theirs)
        for name, values in ours.items():
            np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-12, err_msg=name)


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            Weights({name: w * 1e6 for name, w in WEIGHTS.forward.items()}, WEIGHTS.bias),
            r"the activity of population 'h3' diverged at about 0\.[01] s \(mean \|V\| = .*\)\. Lower the",
        ),
        (with_bias("h2", -20.0), r"population 'h2' went silent at about 1\.1 s: its cells are driven"),
    ],
    ids=["diverged", "silent"],
)
def test_unhealthy_activity_names_the_population(mode, weights, message, request):
    life = a_life(*[Event(0, 0)] * 6, weights=weights, rule=replace(RULE, eta=0.0))
    with pytest.raises(ActivityError, match=message):
        request.getfixturevalue(mode).live(life)


def test_learning_that_diverges_is_noticed(compiled):
    life = a_life(*[RARE] * 4, rule=replace(RULE, eta=1e8))
    with pytest.raises(ActivityError, match=r"the activity of population '\w+' diverged .* Lower the learning rate"):
        compiled.live(life)


@pytest.mark.parametrize("mode", ["compiled", "runtime"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"schedule": Schedule.of([Event(0, 0)] * 600)},
            CompilationError,
            "a life of 21001 steps and 0 snapshots does not fit a model made for 16384 steps and 3 snapshots",
        ),
        (
            {"schedule": Schedule.of([Event(0, 0)] * 4), "snapshots": [0, 1, 2, 3]},
            CompilationError,
            "a life of 141 steps and 4 snapshots does not fit",
        ),
        (
            {"timing": Timing(resolution=5 * ms)},
            CompilationError,
            "the life's timing has resolution 5. ms, the model 10. ms; make the model with the timing's resolution.",
        ),
        ({"schedule": Schedule.of([Event(6, 0)])}, ScheduleError, "stimulus = 6, but the task has 6: give an index"),
        ({"schedule": Schedule.of([Event(-1, 0)])}, ScheduleError, "stimulus = -1, but the task has 6"),
        ({"schedule": Schedule.of([Event(0, 6)])}, ScheduleError, "outcome = 6, but the task has 6"),
        ({"snapshots": [1]}, ScheduleError, "snapshots = [1]; give different events, 0 to 0, in rising order."),
        ({"snapshots": [0, 0]}, ScheduleError, "snapshots = [0, 0]; give different events"),
        ({"weights": Weights({}, WEIGHTS.bias)}, CircuitError, "weights: missing ['h1_to_y'"),
        (
            {"feedback": Feedback({"x_to_h3": np.zeros((16, 16))})},
            CircuitError,
            "feedback weights: missing ['h1_to_y', 'h2_to_h1', 'h3_to_h2'], unknown [].",
        ),
        (
            {"rule": EquilibriumRelay()},
            CompilationError,
            "rule is EquilibriumRelay, the model was made for ErrorRelay; make a model for each kind of rule.",
        ),
        ({"rule": RadiusRelay(radius=2)}, CompilationError, "the life's rule is RadiusRelay, the model was made for"),
        ({"rule": Broadcast()}, CompilationError, "the life's rule is Broadcast, the model was made for ErrorRelay"),
    ],
)
def test_a_life_that_does_not_fit(mode, changes, error, message, request):
    with pytest.raises(error, match=re.escape(message)):
        request.getfixturevalue(mode).live(a_life(**changes))


def test_a_rule_that_broadcasts_needs_its_feedback():
    broadcasting = model(replace(SPEC, rule=Broadcast()), TASK, compiled=False)
    message = (
        "a rule that broadcasts needs weights from the error source to every hidden population; give "
        "feedback=random_broadcast(circuit, seed) from bioplastic.rules.broadcast."
    )
    with pytest.raises(CircuitError, match=re.escape(message)):
        broadcasting.live(a_life(rule=Broadcast()))


@pytest.mark.parametrize(("n_stimuli", "n_inputs", "n_outputs"), [(7, 16, 4), (6, 15, 4), (6, 16, 5)])
def test_a_task_that_does_not_fit(n_stimuli, n_inputs, n_outputs):
    task = random_patterns(n_stimuli, n_inputs, n_outputs, seed=0)
    message = (
        f"the task's stimuli ({n_stimuli}, {n_inputs}) and outcomes ({n_stimuli}, {n_outputs}) do not fit the circuit, "
        "which needs (6, 16) and (6, 4)."
    )
    with pytest.raises(CircuitError, match=re.escape(message)):
        model(SPEC, task)


def test_network_operations_are_refused():
    """Brian2 drops them from a compiled program without a word."""
    built = build(CHAIN, RULE, WEIGHTS)
    network = Network(*built.objects)
    spiking.refuse_network_operations(network)  # nothing to refuse

    @network_operation(dt=1 * ms, name="reward_by_hand")
    def reward() -> None:
        pass

    network.add(reward)
    with pytest.raises(CompilationError, match=r"reward_by_hand.*run_regularly"):
        spiking.refuse_network_operations(network)
    with pytest.raises(CompilationError, match="another_one"):
        spiking.refuse_network_operations(Network(NetworkOperation(lambda: None, name="another_one")))


# ------------------------------------------------------------------------------------------ compiler and cache


def test_without_a_compiler_lives_run_in_runtime_mode(monkeypatch):
    monkeypatch.setattr(spiking, "compiler", lambda: None)
    slow = model(SPEC, TASK)
    assert not slow.compiled
    assert spiking.compile_network(pytest.fail, []) is None
    assert change(slow.live(a_life(RARE)))["h1_to_y"] > 0
    with pytest.raises(CompilationError, match=re.escape(NO_COMPILER)):
        model(SPEC, TASK, compiled=True)
    for package in ("apt install g++ make", "xcode-select --install", "cxx-compiler"):
        assert package in NO_COMPILER


def test_a_missing_compiler_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert spiking.compiler() is None
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert spiking.compiler() is None


@COMPILED
def test_a_compiled_model_is_kept(compiled, monkeypatch):
    found = spiking.compiler()

    def must_not_run(*arguments, **options):
        raise AssertionError(f"{arguments} was started")

    monkeypatch.setattr(spiking, "compiler", lambda: found)
    monkeypatch.setattr(subprocess, "run", must_not_run)
    # Only the equations of a rule are compiled: other parameters need no other program.
    again = model(replace(SPEC, rule=ErrorRelay(theta=2.0)), random_patterns(6, 16, 4, seed=1))
    assert again.compiled
    with pytest.raises(AssertionError, match="was started"):  # but another size does
        model(replace(SPEC, n_steps=2**13), TASK)


@COMPILED
def test_a_failed_build_says_why_and_leaves_nothing(monkeypatch, tmp_path):
    def fails(*arguments, **options):
        return subprocess.CompletedProcess(arguments, 1, b"", b"internal compiler error")

    monkeypatch.setenv("BIOPLASTIC_CACHE", str(tmp_path))
    monkeypatch.setattr(spiking, "compiler", lambda: "g++ 1.0")
    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(CompilationError, match="compiling the model failed: internal compiler error"):
        model(SPEC, TASK)
    assert list((tmp_path / "models").iterdir()) == []


@COMPILED
def test_a_failed_program_says_why(compiled, monkeypatch, tmp_path):
    (tmp_path / "main").write_text("#!/bin/sh\necho out of memory; exit 3\n")
    (tmp_path / "main").chmod(0o755)
    (tmp_path / "manifest.json").write_text('{"objects": {}, "results": {}}')
    with pytest.raises(CompilationError, match=r"the compiled model failed \(exit status 3\): out of memory"):
        Model(SPEC, TASK, tmp_path).live(a_life())


def test_settings_of_brian2_are_as_before(runtime):
    defaultclock.dt = 0.25 * ms
    device = brian2.get_device()
    runtime.live(a_life())
    assert float(defaultclock.dt / ms) == 0.25
    assert brian2.get_device() is device


def test_reward_weighs_the_error_of_each_output_cell():
    def errors(reward: list[float] | None) -> np.ndarray:
        """Signed error spikes of the four output cells, whose errors change nothing and go nowhere."""
        task = replace(TASK, reward=None if reward is None else np.tile(reward, (len(TASK.outcomes), 1)))
        lived = model(SPEC, task, compiled=False).live(a_life(Event(0, 3), rule=replace(RULE, eta=0.0, gain=0.0)))
        at_output = lived.error_cell >= CHAIN.slices["y"].start
        cells = lived.error_cell[at_output] - CHAIN.slices["y"].start
        return np.bincount(cells, weights=lived.error_sign[at_output], minlength=4)

    plain, mixed_up = errors(None), errors([1.0, -1.0, 0.0, 0.5])
    assert (np.abs(plain) >= 4).all()
    np.testing.assert_array_equal(errors([1.0] * 4), plain)
    assert mixed_up[0] == plain[0]
    assert mixed_up[1] == pytest.approx(-plain[1], abs=2)  # the prediction is an average of noisy looks
    assert mixed_up[2] == 0
    assert mixed_up[3] == pytest.approx(plain[3] / 2, abs=2)


@pytest.mark.parametrize(
    "rule", [RULE, LearnedFeedback(), RadiusRelay(), EquilibriumRelay()], ids=lambda r: type(r).__name__
)
def test_prediction_is_what_the_mismatch_reads(rule):
    # Many cells with small weights: V is all but constant. Read before it decays, it would be 1.05 instead of 1.
    circuit = Circuit((Population("x", 400, "input"), Population("y", 1, "error source")), (Projection("x", "y"),))
    task = replace(random_patterns(1, 400, 1, seed=0), stimuli=np.full((1, 400), 0.5))
    weights = Weights({"x_to_y": np.full((1, 400), 2 / 400)}, {"y": np.zeros(1)})
    spec = ModelSpec(circuit, rule, 1, 1, 2**10, n_snapshots=0)
    long = Timing(lead=600 * ms)
    lived = model(spec, task, compiled=False).live(Life(probes(np.array([0])), long, rule, weights))
    assert lived.prediction[0, 0] == pytest.approx(phi(1.0), abs=0.002)


def test_a_rule_may_not_take_a_name_that_a_life_needs():
    code = replace(RULE.code, cell_equations="smoothing : 1 (shared, constant)")
    rule = type("Smooth", (type(RULE),), {"code": code})()
    with pytest.raises(ValueError, match="Smooth: the name smoothing is taken; call the rule's variable otherwise"):
        model(replace(SPEC, rule=rule), TASK, compiled=False).live(a_life(Event(0, 3), rule=rule))


def test_reward_and_hippocampus_do_not_go_together():
    spec = ModelSpec(CHAIN, RULE, 6, 6, 2**10, hippocampus=Hippocampus((Target("x"),), surprise="y"))
    task = replace(TASK, reward=np.zeros_like(TASK.outcomes))
    with pytest.raises(CompilationError, match="reward that is not 1, but the model has a hippocampus"):
        Model(spec, task, None).live(a_life())
