"""The audit of our own rules, in spikes and, by automatic differentiation, of the torch twin."""

from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest
from brian2 import ms

from bioplastic.auditing import NEIGHBOUR_ONLY, SHORTCUT, audit, audit_twin, isolate, perturb
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking.groups import cell_group, synapse_group
from bioplastic.spiking.network import build

b2.BrianLogger.suppress_name("unused_brian_object")  # most networks here are never run
pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")

# ------------------------------------------------------------------------------------------ the torch twin

SIZES = {"x": 4, "h3": 4, "h2": 4, "h1": 4, "y": 2}
CIRCUIT = Circuit(
    tuple(Population(n, k, {"x": "input", "y": "error source"}.get(n, "hidden")) for n, k in SIZES.items()),
    tuple(Projection(a, b) for a, b in pairwise(SIZES)),
)


def test_backprop_depends_on_everything():
    pytest.importorskip("torch")
    report = audit_twin(CIRCUIT)
    by_name = {w.projection: w for w in report.weights}
    assert all(set(w.depends_on) == set(SIZES) for w in report.weights)
    # With the neighbours' activities held, what is upstream is screened, and what is downstream is not.
    assert by_name["x_to_h3"].despite_held == ("h3", "h1", "y")
    assert by_name["x_to_h3"].despite_weights == ("h3_to_h2", "h2_to_h1", "h1_to_y")
    assert by_name["h3_to_h2"].despite_held == ("h2", "y")
    assert by_name["h1_to_y"].despite_held == ("y",)
    assert [by_name[f"{a}_to_{b}"].hops for a, b in pairwise(SIZES)] == [3, 2, 0, 0]
    assert not report.passed
    assert "x_to_h3: depends on x, h3, h2, h1, y; with its neighbours held still on h3, h1, y (3 hops)" in str(report)


def test_truncated_backprop_depends_on_everything_where_it_learns():
    pytest.importorskip("torch")
    by_name = {w.projection: w for w in audit_twin(CIRCUIT, rule=Backprop(eta=0.1, depth=2)).weights}
    assert by_name["x_to_h3"].depends_on == ()
    assert by_name["h3_to_h2"].despite_held == ("h2", "y")


def test_backprop_through_one_hidden_layer_is_screened():
    pytest.importorskip("torch")
    circuit = Circuit(
        (Population("x", 2, "input"), Population("h", 3), Population("y", 2, "error source")),
        (Projection("x", "h"), Projection("h", "y")),
    )
    assert audit_twin(circuit).passed


def test_twin_weights_have_to_fit():
    pytest.importorskip("torch")
    circuit = Circuit((Population("x", 2, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    with pytest.raises(ValueError, match="weights: missing"):
        audit_twin(circuit, Weights({}, {}))


# ------------------------------------------------------------------------------------------ our own rules


RULES = {
    "error relay": ErrorRelay(theta=0.05, eta=0.1),
    "radius 2": RadiusRelay(theta=0.05, eta=0.1, radius=2),
    "fixed feedback": ErrorRelay(theta=0.05, eta=0.1),
    "learned feedback": LearnedFeedback(theta=0.05, eta=0.1, decay=0.01),
    "equilibrium relay": EquilibriumRelay(theta=0.05, eta=0.1, eta_apical=0.1),
    "broadcast": Broadcast(theta=0.05, eta=0.1),
}
BROADCAST = "A_post += gain_pre*b*theta_pre*(2*int(E_pre > 0) - 1)*(exp(dt/tau_a) - 1)/(rmax*dt)"


def spiking_circuit(rule):
    """The chain under one rule, with an outcome that stays."""
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 1, CIRCUIT.shape(p)) for p in CIRCUIT.projections},
        {n: rng.normal(0, 0.1, k) for n, k in SIZES.items() if n != "x"},
    )
    feedback = None
    if rule == "broadcast":
        feedback = random_broadcast(CIRCUIT, seed=0)
    elif rule == "fixed feedback":
        feedback = random_feedback(CIRCUIT, weights, seed=0)
    built = build(CIRCUIT, RULES[rule], weights, feedback=feedback)
    built.population("x").target = rng.random(4)
    built.population("y").target = [0.9, 0.1]
    built.population("y").clamp = 1
    if rule == "equilibrium relay":
        built.cells.window = 1
    return built


@pytest.mark.parametrize("rule", [name for name in RULES if name != "broadcast"])
def test_screened_rules_pass(rule):
    built = spiking_circuit(rule)
    report = audit(b2.Network(*built.objects), populations=built)
    assert report.passed
    assert report.populations == tuple(SIZES)
    learning = {name for name in ("w", "fb") if any(w.variable == name for w in report.weights)}
    assert learning == ({"w", "fb"} if rule in ("learned feedback", "equilibrium relay") else {"w"})
    assert {w.variable for w in report.weights if w.owner == built.cells.name} >= {"bias"}
    assert all(w.hops_in_update <= 1 and w.hops_in_step == 1 for w in report.weights)
    weight = next(w for w in report.weights if (w.source, w.target, w.variable) == ("x", "h3", "w"))
    assert weight.hops_in_event == 3  # an event is long enough for an error to come all the way, step by step
    assert not report.modulators


def test_broadcast_fails():
    built = spiking_circuit("broadcast")
    report = audit(b2.Network(*built.objects), populations=built)
    assert not report.passed
    of_weights = {w.target: (w.verdict, w.hops_in_step) for w in report.weights if w.variable == "w"}
    assert of_weights == {"h3": (SHORTCUT, 3), "h2": (SHORTCUT, 2), "h1": (NEIGHBOUR_ONLY, 1), "y": (NEIGHBOUR_ONLY, 1)}
    assert {(f.hops, f.code) for f in report.findings} == {(3, BROADCAST), (2, BROADCAST)}
    assert "of y, by pathway 'broadcast'" in report.findings[0].what
    assert "h3" in report.findings[0].what and "NOT neighbour-only" in str(report)


def test_populations_of_our_own_circuits_are_found_without_being_told():
    report = audit(b2.Network(*spiking_circuit("broadcast").objects))
    assert [p.partition("[")[2] for p in report.populations] == ["0:4]", "4:8]", "8:12]", "12:16]", "16:18]"]
    assert {w.hops_in_step for w in report.weights if w.variable == "w"} == {1, 2, 3}


def test_smuggled_link_in_our_own_rule_fails():
    rule = ErrorRelay(theta=0.05, eta=0.1)
    cells = cell_group(8, rule, name="cells")
    spy = b2.NeuronGroup(4, "mismatch : 1 (linked)\nheard : 1", name="spy")
    spy.run_regularly("heard = mismatch")
    spy.mismatch = b2.linked_var(cells, "E", index=[4, 5, 6, 7])
    synapses = synapse_group(cells, cells, rule, name="synapses")
    synapses.connect(i=[0, 1, 2, 3, 4, 5], j=[2, 2, 4, 4, 6, 6])
    back = b2.Synapses(spy, cells, "abias_post = heard_pre : 1 (summed)", name="back")
    back.connect(i=[2], j=[2])
    report = audit(b2.Network(cells, synapses, spy, back))
    assert not report.passed
    assert any("spy" in finding.what for finding in report.findings)


ALONE = [
    "error relay",
    *(pytest.param(r, marks=pytest.mark.slow) for r in RULES if r not in ("error relay", "broadcast")),
]


@pytest.mark.parametrize("rule", ALONE)
def test_screened_rules_learn_the_same_alone(rule):
    built = spiking_circuit(rule)
    duration = 60 * ms if rule == "error relay" else 200 * ms  # random feedback is weak at first
    alone = isolate(b2.Network(*built.objects), "h2", duration=duration, populations=built)
    assert alone.passed and alone.n_learning > 0
    assert (alone.held, alone.away) == (("h3", "h1"), ("x", "y"))


@pytest.mark.slow
@pytest.mark.parametrize("rule", [name for name in RULES if name != "broadcast"])
def test_screened_rules_learn_the_same_when_something_changes_far_away(rule):
    built = spiking_circuit(rule)
    network = b2.Network(*built.objects)
    changed = perturb(network, "h2", "x", duration=200 * ms, populations=built)
    assert changed.passed and changed.n_different_unheld > 0


def test_broadcast_does_not_learn_the_same_alone():
    built = spiking_circuit("broadcast")
    assert isolate(b2.Network(*built.objects), "h3", duration=30 * ms, populations=built).n_different > 0


@pytest.mark.slow
def test_broadcast_learns_the_same_only_beside_the_error_source():
    built = spiking_circuit("broadcast")
    network = b2.Network(*built.objects)
    assert perturb(network, "h3", "y", duration=60 * ms, populations=built).n_different > 0
    assert isolate(network, "h1", duration=60 * ms, populations=built).passed
