"""Cells, synapses and whole circuits as plain Brian2 objects."""

import re
from dataclasses import replace

import brian2
import numpy as np
import pytest
from brian2 import Network, NeuronGroup, SpikeGeneratorGroup, SpikeMonitor, Synapses, ms, second
from small_networks import chain_of_hops, orthogonal

from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, CircuitError, Feedback, Population, Projection, Weights
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking.groups import cell_group, synapse_group
from bioplastic.spiking.network import build, flat, unflat

pytestmark = pytest.mark.usefixtures("numpy_target")
RULE = ErrorRelay(theta=0.3, tau_e=5 * second, gain=0.9, eta=0.01)
CHAIN = chain_of_hops(4)
WEIGHTS = orthogonal(CHAIN)


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


def test_weights_are_pulled_back_by_hand():
    """Every 100 ms, at 0, 100, 200 and 300 ms, by the factor exp(-100 ms / 400 ms); 1 falls to 1/e."""
    circuit = replace(CHAIN, projections=tuple(replace(p, plastic=p.name != "h2_to_h1") for p in CHAIN.projections))
    built = build(circuit, RULE, WEIGHTS, restoring=True)
    built.synapses.w = built.synapses.w_rest[:] + 1
    built.synapses.restoring = 1 / (400 * ms)
    bias = np.array(built.cells.bias[:])
    Network(*built.objects).run(301 * ms, namespace={})
    away = unflat(circuit, built.synapses.w[:] - flat(circuit, WEIGHTS.forward))
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
