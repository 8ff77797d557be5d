"""The audit: rules that pass, every way of smuggling that must not, published rules, bad input, experiments."""

import gc
import math
import re
from dataclasses import replace
from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms, second

import bioplastic
from bioplastic import hippocampus as hippocampal
from bioplastic.auditing import (
    AT_ONCE,
    NEIGHBOUR_ONLY,
    NO_SPIKE,
    NO_SYNAPSE,
    OPAQUE,
    SHORTCUT,
    UNRESOLVED,
    VERDICTS,
    AuditError,
    audit,
    audit_twin,
    declare_relay,
    isolate,
    perturb,
    tape,
)
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking import build, cell_group, synapse_group

b2.BrianLogger.suppress_name("unused_brian_object")  # most networks here are never run
pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.fixture(autouse=True, scope="module")
def little_garbage():
    """Brian2 collects garbage at the start of every run, over all that pytest, torch and others have made before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


CELL = """
dv/dt = (drive + extra - v)/(10*ms) : 1
dx/dt = -x/(20*ms) : 1
drive : 1
"""
STDP = {
    "model": "w : 1\ntrace : 1",
    "on_pre": "v_post += w\nw -= 0.001*x_post",
    "on_post": "w += 0.01*x_pre",
}
NAMES = ("g3", "g2", "g1", "g0")  # g3 -> g2 -> g1 -> g0; g0 is three hops from g3


class Chain:
    """Four groups of three cells that learn by pair STDP; what a test smuggles in is added to it."""

    def __init__(self, equations="extra = 0 : 1", only=None, n=3, **cell):
        self.groups = {}
        for name in NAMES:
            text = CELL + (equations if only in (None, name) else "extra = 0 : 1")
            options = {"threshold": "v > 1", "reset": "v = 0\nx += 1", "method": "euler"}
            options |= cell if only in (None, name) else {}
            self.groups[name] = b2.NeuronGroup(n, text, name=name, namespace={}, **options)
        self.plastic = [self.join(a, b, name=f"{a}_{b}", **STDP) for a, b in pairwise(NAMES)]
        self.others = []

    def __getitem__(self, name):
        return self.groups[name]

    def join(self, a, b, model="", name="s*", pairs=None, **options):
        synapses = b2.Synapses(self.groups[a], self.groups[b], model, name=name, namespace={}, **options)
        n, m = len(self.groups[a]), len(self.groups[b])
        i, j = (np.repeat(range(n), m), np.tile(range(m), n)) if pairs is None else pairs
        synapses.connect(i=i, j=j)  # faster than a condition, for which code is made
        return synapses

    def add(self, *others):
        self.others += others
        return others[0]

    @property
    def network(self):
        return b2.Network(*self.groups.values(), *self.plastic, *self.others)

    def drive(self, seed=0):
        """Make all cells fire and learn."""
        rng = np.random.default_rng(seed)
        for group in self.groups.values():
            group.drive = 1.1 + rng.random(len(group))
        for synapses in self.plastic:
            synapses.w = 0.3 * rng.random(len(synapses))
        return self


def one_group(n):
    return b2.NeuronGroup(
        n, CELL + "extra = 0 : 1", threshold="v > 1", reset="v = 0", method="euler", name="cells", namespace={}
    )


def into(report, target):
    """The one weight into a population."""
    (weight,) = (w for w in report.weights if w.target == target)
    return weight


def verdicts(report):
    return {w.target: w.verdict for w in report.weights}


# ------------------------------------------------------------------------------------------ what passes


def test_pair_stdp_on_a_chain_reads_its_neighbours_only():
    report = audit(Chain().network, event=50 * ms)
    assert report.passed
    assert verdicts(report) == dict.fromkeys(("g2", "g1", "g0"), NEIGHBOUR_ONLY)
    assert {w.name for w in report.weights} == {"g3_g2.w", "g2_g1.w", "g1_g0.w"}
    assert report.populations == ("g0", "g1", "g2", "g3")
    assert not report.findings and not report.modulators
    assert [w.hops_in_update for w in report.weights] == [1, 1, 1]
    assert [w.hops_in_step for w in report.weights] == [1, 1, 1]
    # Spikes go downstream only: nothing reaches the first weights from g1 or g0.
    assert {w.target: w.hops_in_event for w in report.weights} == {"g2": 1, "g1": 2, "g0": 3}


def test_one_time_step_per_hop_is_counted():
    # A spike of g3 reaches v of g2 in its own step and makes a spike of g2 in the next; the same for g2 and g1, and the
    # spike of g1 changes its weight on to g0 in its own step.
    network = Chain().network
    assert [into(audit(network, event=n * ms), "g0").hops_in_event for n in (1, 2, 3, 4)] == [1, 2, 3, 3]
    route = into(audit(network), "g0").farthest
    assert (route.hops, route.steps) == (3, 2)
    crossing = [link for link in route.links if link.hops]
    assert [link.code for link in crossing] == ["v_post += w", "v_post += w", "w -= 0.001*x_post"]
    assert [link.steps for link in crossing] == [2, 1, 0]
    assert crossing[0].source == "g3 event 'spike' of g3" and crossing[0].target == "g2.v of g2"


@pytest.mark.parametrize(("delay", "shortest"), [(5 * ms, 5), ("(1 + i)*2*ms", 2)], ids=["one", "many"])
def test_delays_take_time_and_the_shortest_counts(delay, shortest):
    chain = Chain()
    chain.plastic[0] = chain.join("g3", "g2", on_pre="v_post += 0.1", name="fixed")
    chain.plastic[0].pre.delay = delay
    network = chain.network
    assert into(audit(network, event=(2 + shortest) * ms), "g0").hops_in_event == 2
    assert into(audit(network, event=(3 + shortest) * ms), "g0").hops_in_event == 3


def test_lateral_and_local_inhibition_pass():
    chain = Chain()
    chain.add(chain.join("g1", "g1", on_pre="v_post -= 0.1"))
    pool = b2.NeuronGroup(2, "dv/dt = -v/(5*ms) : 1", threshold="v > 1", reset="v = 0", name="pool", method="euler")
    chain.groups["pool"] = pool
    chain.add(chain.join("g1", "pool", on_pre="v_post += 1"), chain.join("pool", "g1", on_pre="v_post -= 1"))
    report = audit(chain.network)
    assert report.passed
    assert "pool" in report.populations


def test_fixed_feedback_between_neighbours_passes():
    chain = Chain()
    for a, b in pairwise(reversed(NAMES)):
        chain.add(chain.join(a, b, on_pre="v_post += 0.1"))
    assert audit(chain.network).passed


def test_poisson_input_passes():
    chain = Chain()
    chain.groups["noise"] = b2.PoissonGroup(5, "(1 + i)*10*Hz", name="noise", namespace={"Hz": Hz})
    chain.add(chain.join("noise", "g2", on_pre="v_post += 0.1"))
    chain.add(b2.PoissonInput(chain["g1"], "v", 10, 5 * Hz, 0.1))
    assert audit(chain.network).passed


# ------------------------------------------------------------------------------------------ what is smuggled


def shortcut(chain):
    chain.add(chain.join("g0", "g2", on_pre="v_post += clip(0.1*x_pre, 0, 1)", name="skip"))
    return SHORTCUT, 2, "v_post += clip(0.1*x_pre, 0, 1)"


def delayed_shortcut(chain):
    chain.add(chain.join("g0", "g2", on_pre="v_post += 0.1", name="skip", delay=20 * ms))
    return SHORTCUT, 2, "v_post += 0.1"


def shortcut_against_its_direction(chain):
    chain.add(chain.join("g2", "g0", on_post="v_pre += 0.1", name="skip"))
    return SHORTCUT, 2, "v_pre += 0.1"


def shortcut_that_stores_in_the_synapse(chain):
    skip = chain.add(chain.join("g0", "g2", "kept : 1", on_pre="kept = x_pre", name="skip"))
    skip.run_regularly("v_post = v_post + 0.01*kept")
    return SHORTCUT, 2, "kept = x_pre"


def shortcut_by_a_synaptic_equation(chain):
    chain.add(chain.join("g0", "g2", "dg/dt = (x_pre - g)/ms : 1 (clock-driven)", on_pre="v_post += g", name="skip"))
    return SHORTCUT, 2, "dg/dt = (x_pre - g)/ms"


def shortcut_by_another_event(chain):
    chain.add(chain.join("g0", "g2", on_pre={"hello": "v_post += 0.1"}, on_event={"hello": "spike"}, name="skip"))
    return SHORTCUT, 2, "v_post += 0.1"


@pytest.mark.parametrize(
    "smuggle",
    [
        shortcut,
        delayed_shortcut,
        shortcut_against_its_direction,
        shortcut_that_stores_in_the_synapse,
        shortcut_by_a_synaptic_equation,
        shortcut_by_another_event,
    ],
)
def test_synapses_that_skip_hops_are_found(smuggle):
    chain = Chain()
    kind, hops, code = smuggle(chain)
    report = audit(chain.network)
    assert not report.passed
    assert verdicts(report) == {"g2": kind, "g1": NEIGHBOUR_ONLY, "g0": NEIGHBOUR_ONLY}
    weight = into(report, "g2")
    assert weight.hops_in_step == hops
    assert code in {finding.code for finding in weight.findings}
    assert "skip" in weight.findings[0].what and "g0" in weight.findings[0].what


def test_summed_shortcut_is_found():
    chain = Chain("extra : 1", only="g3")
    chain.add(chain.join("g1", "g3", "extra_post = 0.1*x_pre : 1 (summed)", name="skip"))
    chain.plastic.append(chain.join("g3", "g3", name="own", pairs=([0, 1, 2], [1, 2, 0]), **STDP))
    report = audit(chain.network, populations={name: chain[name] for name in NAMES})
    weight = into(report, "g3")
    assert (weight.verdict, weight.hops_in_step) == (SHORTCUT, 2)
    assert weight.findings[0].code == "extra_post = 0.1*x_pre : (summed)"


LINKED = "far : 1 (linked)\nextra = 0.1*far : 1"


@pytest.mark.parametrize("index", [None, [2, 0, 1]], ids=["cell by cell", "indexed"])
def test_linked_variable_in_a_subexpression_is_found(index):
    chain = Chain(LINKED, only="g2")
    chain["g2"].far = b2.linked_var(chain["g0"], "x", index=index)
    report = audit(chain.network)
    assert verdicts(report) == {"g2": NO_SYNAPSE, "g1": NEIGHBOUR_ONLY, "g0": NEIGHBOUR_ONLY}
    (finding,) = into(report, "g2").findings
    assert finding.hops == 2
    assert finding.code == "dv/dt = (drive + extra - v)/(10*ms)"
    assert finding.what.startswith("g2.v of g2 gets g0.x of g0, by linked variable in differential equations of g2")


def test_linked_variable_from_an_unconnected_group_is_found():
    chain = Chain(LINKED, only="g2")
    chain.add(b2.NeuronGroup(3, "dx/dt = -x/ms : 1", name="oracle", method="euler"))
    chain["g2"].far = b2.linked_var(chain.others[0], "x")
    (finding,) = into(audit(chain.network), "g2").findings
    assert finding.verdict == NO_SYNAPSE
    assert math.isinf(finding.hops)
    assert "oracle" in finding.what and "nothing joins" in str(finding)


def test_linked_subexpression_is_followed_to_what_it_reads():
    chain = Chain()
    options = {"threshold": "v > 1", "reset": "v = 0", "method": "euler"}
    chain.groups["g0"] = b2.NeuronGroup(3, CELL + "extra = 0 : 1\nsum = v + x : 1", name="g0", **options)
    chain.groups["g2"] = b2.NeuronGroup(3, CELL + LINKED, name="g2", **options)
    chain.plastic = [chain.join(a, b, name=f"{a}_{b}", **STDP) for a, b in pairwise(NAMES)]
    chain["g2"].far = b2.linked_var(chain["g0"], "sum")
    findings = into(audit(chain.network), "g2").findings
    assert {f.verdict for f in findings} == {NO_SYNAPSE}
    assert "g0." in findings[0].what


def test_writing_through_a_link_is_found():
    chain = Chain("extra = 0 : 1\nfar : 1 (linked)", only="g0")
    chain["g0"].far = b2.linked_var(chain["g2"], "drive")
    chain["g0"].run_regularly("far = x")
    (finding,) = into(audit(chain.network), "g2").findings
    assert (finding.verdict, finding.hops, finding.code) == (NO_SYNAPSE, 2, "far = x")


def test_linked_neighbour_is_noted():
    chain = Chain(LINKED, only="g2")
    chain["g2"].far = b2.linked_var(chain["g1"], "x")
    report = audit(chain.network)
    assert report.passed
    assert any("g2.v of g2 reads g1.x of g1 of a neighbour by linked variable" in note for note in report.notes)


def test_index_that_code_moves_may_point_anywhere():
    chain = Chain(LINKED + "\nwhere : integer", only="g2")
    chain["g2"].far = b2.linked_var(chain["g1"], "x", index="where")
    assert audit(chain.network).passed  # g1 is a neighbour, and every cell of it is joined to every cell of g2
    chain = Chain(LINKED + "\nwhere : integer", only="g2")
    chain["g2"].run_regularly("where = (where + 1) % 3")
    chain["g2"].far = b2.linked_var(chain["g0"], "x", index="where")
    assert into(audit(chain.network), "g2").verdict == NO_SYNAPSE


def test_linked_sibling_in_the_same_population_is_found():
    chain = Chain(LINKED, only="g2")
    chain["g2"].far = b2.linked_var(chain["g2"], "x", index=[1, 2, 0])
    (finding,) = into(audit(chain.network), "g2").findings
    assert (finding.verdict, finding.hops) == (NO_SYNAPSE, 2)
    assert "no synapse joins the two cells" in finding.what


def test_link_to_oneself_is_harmless():
    chain = Chain(LINKED, only="g2")
    chain["g2"].far = b2.linked_var(chain["g2"], "x")
    assert audit(chain.network).passed


def test_linked_variable_in_threshold_reset_refractoriness_and_regular_code_is_found():
    for where, options in {
        "threshold": {"threshold": "v > 1 + far"},
        "reset": {"reset": "v = far"},
        "refractory": {"refractory": "far > 1"},
        "constant": {},
        "regular": {},
    }.items():
        equations = "extra = 0 : 1\nfar : 1 (linked)"
        if where == "constant":
            equations = "far : 1 (linked)\nextra = 0.1*far : 1 (constant over dt)"
        chain = Chain(equations, only="g2", **options)
        chain["g2"].far = b2.linked_var(chain["g0"], "x")
        if where == "regular":
            chain["g2"][1:].run_regularly("v += far")  # of a subgroup
        assert into(audit(chain.network), "g2").verdict == NO_SYNAPSE, where


def test_linked_variable_inside_a_synapse_is_found():
    chain = Chain()
    chain.plastic[0] = b2.Synapses(
        chain["g3"],
        chain["g2"],
        "w : 1\nk : integer (constant)\nfar : 1 (linked)",
        on_pre="v_post += w",
        on_post="w += far",
        name="g3_g2",
    )
    chain.plastic[0].connect()
    chain.plastic[0].far = b2.linked_var(chain["g0"], "x", index="k")
    (finding,) = into(audit(chain.network), "g2").findings
    assert (finding.verdict, finding.hops, finding.code) == (NO_SYNAPSE, 2, "w += far")


def test_event_driven_equation_with_a_linked_variable_is_found():
    chain = Chain()
    model = "w : 1\nk : integer (constant)\nfar : 1 (linked)\ndc/dt = (far - c)/(10*ms) : 1 (event-driven)"
    chain.plastic[0] = b2.Synapses(
        chain["g3"], chain["g2"], model, on_pre="v_post += w", on_post="w += c", name="g3_g2"
    )
    chain.plastic[0].connect()
    chain.plastic[0].far = b2.linked_var(chain["g0"], "x", index="k")
    (finding,) = into(audit(chain.network), "g2").findings
    assert (finding.verdict, finding.code) == (NO_SYNAPSE, "dc/dt = (far - c)/(10*ms)")


def test_namespace_entry_that_is_a_variable_of_another_group_is_found():
    chain = Chain("extra = 0.1*leak : 1", only="g2")
    chain["g2"].namespace["leak"] = chain["g0"].variables["x"]
    (finding,) = into(audit(chain.network), "g2").findings
    assert finding.verdict == NO_SYNAPSE
    assert "namespace entry" in finding.what and "g0.x" in finding.what


def test_namespace_of_the_caller_is_read_as_brian_reads_it():
    chain = Chain("extra = 0.1*leak : 1", only="g2")
    for group in chain.groups.values():
        group.namespace.clear()
    leak = chain["g0"].variables["x"]
    network = chain.network
    assert not audit(network).passed
    assert audit(network, namespace={"leak": 0.1}).passed
    assert leak is chain["g0"].variables["x"]


def test_recorded_counts_are_found():
    chain = Chain("extra = 0 : 1\nfar : integer (linked)", only="g2")
    monitor = chain.add(b2.SpikeMonitor(chain["g0"], name="counter"))
    chain["g2"].far = b2.linked_var(monitor, "count")
    chain["g2"].run_regularly("v += 0.01*far")
    weight = into(audit(chain.network), "g2")
    assert weight.verdict == NO_SYNAPSE
    assert "counter" in weight.findings[0].what and "which has it from g0" in weight.findings[0].what


def test_monitors_that_nobody_reads_are_harmless():
    chain = Chain()
    chain.add(b2.SpikeMonitor(chain["g0"]), b2.StateMonitor(chain["g1"], "v", record=True))
    chain.add(b2.PopulationRateMonitor(chain["g2"]))
    assert audit(chain.network).passed


def test_network_operation_is_named():
    chain = Chain()

    def meddle():
        chain["g2"].v_[:] += 0.01 * chain["g0"].x_[:]

    chain.add(b2.NetworkOperation(meddle, name="hidden"))
    report = audit(chain.network)
    assert set(verdicts(report).values()) == {OPAQUE}
    (finding,) = report.findings
    assert "'meddle' (hidden)" in finding.what
    assert finding.code.startswith("test_audit.py, line ") and finding.code.endswith("def meddle")
    assert audit(chain.network, trust=["meddle"]).passed
    assert any("meddle" in note for note in audit(chain.network, trust=["meddle"]).notes)


def test_functions_that_look_elsewhere_are_found():
    chain = Chain("extra = 0.1*f(v) : 1", only="g2")
    far = chain["g0"]
    store = [0.0]

    @b2.check_units(v=1, result=1)
    def peeks(v):
        return v + far.x_[:]

    @b2.check_units(v=1, result=1)
    def remembers(v):
        return v + store[0]

    @b2.check_units(v=1, result=1)
    def honest(v):
        return np.tanh(v)

    def calls(v):
        return peeks(v)

    chain["g2"].namespace["f"] = peeks
    (finding,) = into(audit(chain.network), "g2").findings
    assert finding.verdict == OPAQUE
    assert "'f' reads 'g0'" in finding.what
    assert audit(chain.network, trust=["f"]).passed
    chain["g2"].namespace["f"] = remembers
    assert "uses 'store' (list)" in audit(chain.network).findings[0].what
    chain["g2"].namespace["f"] = b2.Function(calls, arg_units=[1], return_unit=1)
    assert "'f' reads 'g0'" in audit(chain.network).findings[0].what
    chain["g2"].namespace["f"] = honest
    assert audit(chain.network).passed


def test_function_of_the_cell_index_is_seen_through():
    chain = Chain("extra = 0.1*table(t, i) : 1", only="g2")
    chain["g2"].namespace["table"] = b2.TimedArray(np.zeros((4, 3)), dt=1 * ms)
    report = audit(chain.network)
    assert report.passed and not report.modulators


def test_numbers_of_synapses_are_structure_and_carry_nothing():
    chain = Chain()
    chain.plastic[0] = chain.join(
        "g3", "g2", "w : 1", on_pre="v_post += w/N_incoming", on_post="w += x_pre/N_outgoing + 0*(i + j)", name="g3_g2"
    )
    assert audit(chain.network).passed


def test_shortcut_that_no_weight_hears_is_noted():
    chain = Chain()
    chain.add(chain.join("g0", "g3", on_pre="v_post += 0.1", name="skip"))  # no weight of g3 learns
    report = audit(chain.network)
    assert report.passed
    assert "the synapses 'skip' join populations 3 hops apart: a finding where weights hear them" in report.notes


def test_neighbour_of_a_cell_that_cheats_is_not_blamed():
    chain = Chain(LINKED, only="g3")
    chain["g3"].far = b2.linked_var(chain["g0"], "x")
    assert verdicts(audit(chain.network)) == dict.fromkeys(("g2", "g1", "g0"), NEIGHBOUR_ONLY)


def test_relay_through_a_group_outside_the_neighbourhood_is_found():
    chain = Chain()
    relay = b2.NeuronGroup(3, "dv/dt = -v/ms : 1", threshold="v > 1", reset="v = 0", name="relay", method="euler")
    chain.groups["relay"] = relay
    chain.add(chain.join("g0", "relay", on_pre="v_post += 2"), chain.join("relay", "g2", on_pre="v_post += 0.1"))
    weight = into(audit(chain.network), "g2")
    assert weight.verdict == SHORTCUT and weight.findings[0].hops == 2
    assert "relay" in weight.findings[0].what and "which has it from g0" in weight.findings[0].what


def test_pool_that_all_cells_read_is_no_modulator_if_cells_feed_it():
    chain = Chain(LINKED, only="g2")
    pool = b2.NeuronGroup(1, "total : 1", name="pool")
    chain.groups["pool"] = pool
    chain.add(chain.join("g0", "pool", "total_post = x_pre : 1 (summed)"))
    chain["g2"].far = b2.linked_var(pool, "total")
    report = audit(chain.network)
    weight = into(report, "g2")
    assert weight.verdict == NO_SYNAPSE
    assert "which has it from g0" in weight.findings[0].what
    assert not report.modulators


def test_signal_that_runs_through_the_chain_in_one_step_is_found():
    chain = Chain("extra : 1\ndelta : 1")
    for k, (a, b) in enumerate(pairwise(reversed(NAMES))):
        model = "delta_post = 0.5*(delta_pre + x_pre) : 1 (summed)"
        synapses = chain.add(chain.join(a, b, model, name=f"back{k}"))
        synapses.summed_updaters["delta_post"].order = -10 + k  # one after the other, before all equations
    for synapses in chain.plastic:
        synapses.run_regularly("w += 0.001*delta_post*x_pre", when="end")
    report = audit(chain.network)
    assert into(report, "g2").verdict == AT_ONCE
    assert into(report, "g2").hops_in_step == 2
    assert into(report, "g0").passed
    assert "within one time step" in into(report, "g2").findings[0].what
    assert audit(chain.network, hops_per_step=2).passed
    # The other way round each hop takes a step, and the same synapses pass.
    for k in range(3):
        chain.others[k].summed_updaters["delta_post"].order = -k
    assert audit(chain.network).passed


def test_order_of_pathways_decides_what_crosses_two_synapses():
    def layers(order):
        cells = one_group(9)
        synapses = b2.Synapses(
            cells, cells, "w : 1", on_pre={"pre": "v_post += w", "learn": "w += 0.01*v_pre"}, name="synapses"
        )
        synapses.connect("i // 3 + 1 == j // 3")
        synapses.learn.order = order
        return b2.Network(cells, synapses)

    early, late = (into(audit(layers(order)), "cells[6:9]") for order in (-2, 2))
    assert early.hops_in_update == 1
    assert late.hops_in_update == 2  # v_pre in the step in which a spike from two hops away has arrived there
    assert early.passed and late.passed  # it has arrived at a neighbour, and the weight reads the neighbour


# ------------------------------------------------------------------------------------------ populations


def ring_of_layers():
    """One group, one Synapses: three layers of three cells, all to all from each to the next."""
    cells = one_group(9)
    synapses = b2.Synapses(cells, cells, name="synapses", **STDP)
    synapses.connect("i // 3 + 1 == j // 3")
    return cells, synapses


def test_populations_inside_one_group_follow_from_the_connections():
    cells, synapses = ring_of_layers()
    report = audit(b2.Network(cells, synapses))
    assert report.populations == ("cells[0:3]", "cells[3:6]", "cells[6:9]")
    assert {(w.source, w.target) for w in report.weights} == {
        ("cells[0:3]", "cells[3:6]"),
        ("cells[3:6]", "cells[6:9]"),
    }


def test_shortcut_inside_one_group_is_found():
    cells, synapses = ring_of_layers()
    skip = b2.Synapses(cells, cells, on_pre="v_post += 0.1", name="skip")
    skip.connect("i // 3 == 2 and j // 3 == 0")
    synapses2 = b2.Synapses(cells, cells, name="back", **STDP)
    synapses2.connect("i // 3 == 1 and j // 3 == 0")
    report = audit(b2.Network(cells, synapses, skip, synapses2))
    weight = into(report, "cells[0:3]")
    assert (weight.verdict, weight.findings[0].hops) == (SHORTCUT, 2)


def test_populations_by_name_by_subgroup_and_by_indices():
    cells, synapses = ring_of_layers()
    named = {"a": cells[:3], "b": (cells, [3, 4, 5]), "c": cells[6:]}
    report = audit(b2.Network(cells, synapses), populations=named)
    assert report.populations == ("a", "b", "c")
    circuit = Circuit(
        (Population("in_", 3, "input"), Population("mid", 3), Population("out", 3, "error source")),
        (Projection("in_", "mid"), Projection("mid", "out")),
    )
    assert audit(b2.Network(cells, synapses), populations=circuit).populations == ("in_", "mid", "out")


def test_recurrent_group_of_all_to_all_is_one_population():
    cells = one_group(100)
    synapses = b2.Synapses(cells, cells, name="synapses", **STDP)
    synapses.connect("i != j")
    report = audit(b2.Network(cells, synapses))
    assert report.passed and report.populations == ("cells",)


def test_large_random_recurrent_group_does_not_pass_unasked():
    cells = one_group(100)
    synapses = b2.Synapses(cells, cells, name="synapses", **STDP)
    rng = np.random.default_rng(0)
    i, j = np.nonzero(rng.random((100, 100)) < 0.1)
    synapses.connect(i=i, j=j)
    network = b2.Network(cells, synapses)
    report = audit(network)
    assert set(verdicts(report).values()) == {UNRESOLVED}
    assert "populations=" in report.findings[0].code
    assert audit(network, populations={"all": cells}).passed


def test_caller_names_the_neighbourhood():
    chain = Chain()
    chain.plastic.append(chain.join("g0", "g2", name="learned", **STDP))
    report = audit(chain.network)
    assert report.passed
    assert any("'learned' join populations that are 2 hops apart" in note for note in report.notes)
    strict = audit(chain.network, neighbours=chain.plastic[:3])
    assert not strict.passed
    assert "learned" in strict.findings[0].what


# ------------------------------------------------------------------------------------------ global modulators


def test_shared_reward_and_timed_gate_are_modulators():
    chain = Chain("extra = gate(t)*0.1 : 1\nreward : 1 (shared)", only="g2")
    chain["g2"].namespace["gate"] = b2.TimedArray([0, 1], dt=10 * ms)
    chain["g2"].run_regularly("reward = sin(t/second)*rand()")
    chain.plastic[0] = chain.join("g3", "g2", "w : 1", on_pre="v_post += w", on_post="w += reward_post*x_pre", name="r")
    report = audit(chain.network)
    assert report.passed
    assert {(m.kind, m.name) for m in report.modulators} == {("TimedArray", "gate"), ("shared variable", "g2.reward")}


def test_shared_synaptic_variable_is_a_modulator_and_no_weight():
    chain = Chain()
    chain.plastic[0] = chain.join("g3", "g2", "w : 1\nq : 1 (shared)", on_pre="v_post += w*q", on_post="w += x_pre")
    chain.plastic[0].run_regularly("q = 0.9*q + rand()")
    report = audit(chain.network)
    assert {w.variable for w in report.weights} == {"w"}
    assert {m.name.partition(".")[2] for m in report.modulators} == {"q"}


def test_rate_model_passes():
    groups = [b2.NeuronGroup(3, "dr/dt = (tanh(I) - r)/(10*ms) : 1\nI : 1", method="euler", name=n) for n in NAMES]
    joins = []
    for a, b in pairwise(groups):
        model = "dw/dt = 0.01*r_pre*(r_post - w)/ms : 1 (clock-driven)\nI_post = w*r_pre : 1 (summed)"
        joins.append(b2.Synapses(a, b, model, method="euler", name=f"s_{a.name}"))
        joins[-1].connect()
    report = audit(b2.Network(*groups, *joins))
    assert report.passed
    assert {w.target: (w.hops_in_step, w.hops_in_event) for w in report.weights} == {
        "g2": (1, 1),
        "g1": (1, 2),
        "g0": (1, 3),
    }


def test_constant_shared_parameters_are_no_modulators():
    chain = Chain("extra = 0.1*size : 1\nsize : 1 (shared, constant)", only="g2")
    assert not audit(chain.network).modulators


def test_group_of_one_cell_is_a_modulator_unless_the_network_drives_it():
    def with_dopamine(driven):
        chain = Chain()
        cell = b2.NeuronGroup(1, "dv/dt = 1/(10*ms) : 1", threshold="v > 1", reset="v = 0", name="dopamine")
        chain.groups["dopamine"] = cell
        chain.add(*(chain.join("dopamine", name, on_pre="v_post += 0.1", name=f"to_{name}") for name in NAMES))
        if driven:
            chain.add(chain.join("g0", "dopamine", on_pre="v_post += 0.1", name="error"))
        return audit(chain.network)

    free, driven = with_dopamine(False), with_dopamine(True)
    assert free.passed
    assert [(m.kind, m.name) for m in free.modulators] == [("group of one cell", "dopamine")]
    assert into(driven, "g2").verdict == SHORTCUT
    assert "which has it from g0" in into(driven, "g2").findings[0].what
    assert into(driven, "g0").passed
    assert not driven.modulators


# ------------------------------------------------------------------------------------------ published rules, afresh


def test_pair_stdp_of_song_miller_and_abbott():
    # doi:10.1038/78829: 1000 Poisson inputs (here 10) on one cell, event-driven traces, conductance synapses.
    inputs = b2.PoissonGroup(10, 15 * Hz, name="inputs")
    cell = b2.NeuronGroup(
        1,
        "dv/dt = (ge*(0*mV - v) + (-74*mV - v))/(10*ms) : volt\ndge/dt = -ge/(5*ms) : 1",
        threshold="v > -54*mV",
        reset="v = -60*mV",
        method="euler",
        name="cell",
    )
    synapses = b2.Synapses(
        inputs,
        cell,
        """w : 1
        dApre/dt = -Apre/(20*ms) : 1 (event-driven)
        dApost/dt = -Apost/(20*ms) : 1 (event-driven)""",
        on_pre="ge += w; Apre += 0.01; w = clip(w + Apost, 0, 0.01)",
        on_post="Apost -= 0.0105; w = clip(w + Apre, 0, 0.01)",
        name="synapses",
    )
    synapses.connect()
    report = audit(b2.Network(inputs, cell, synapses))
    (weight,) = report.weights  # the traces are no weights
    assert weight.name == "synapses.w"
    assert (weight.source, weight.target) == ("inputs", "cell")
    assert report.passed
    assert (weight.hops_in_update, weight.hops_in_step, weight.hops_in_event) == (1, 1, 1)
    assert not report.modulators and not report.notes


def test_reward_modulated_stdp_of_izhikevich():
    # doi:10.1093/cercor/bhl152: eligibility c, dopamine d delivered to every synapse, strength s.
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    cells = {
        name: b2.NeuronGroup(3, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v = 0", name=name, method="euler")
        for name in names
    }
    model = """dc/dt = -c/second : 1 (clock-driven)
    dd/dt = -d/(200*ms) : 1 (clock-driven)
    ds/dt = c*d/second : 1 (clock-driven)
    dApre/dt = -Apre/(20*ms) : 1 (event-driven)
    dApost/dt = -Apost/(20*ms) : 1 (event-driven)"""
    plastic = []
    for one, two in pairwise(names):
        synapses = b2.Synapses(
            cells[one],
            cells[two],
            model,
            on_pre="v_post += s; Apre += 0.1; c = clip(c + Apost, -1, 1)",
            on_post="Apost += -0.15; c = clip(c + Apre, -1, 1)",
            method="euler",
            name=f"{one}{two}",
        )
        synapses.connect(i=rng.integers(0, 3, 6), j=rng.integers(0, 3, 6))
        plastic.append(synapses)
    reward = b2.SpikeGeneratorGroup(1, [0], [5] * ms, name="dopamine")
    delivery = [b2.Synapses(reward, s, on_pre="d_post += 0.1", name=f"reward_{s.name}") for s in plastic]
    for synapses in delivery:
        synapses.connect(i=0, j=range(6))
    report = audit(b2.Network(*cells.values(), *plastic, reward, *delivery))
    assert {w.name for w in report.weights} == {"ab.s", "bc.s", "cd.s"}
    assert report.passed
    assert {(m.kind, m.name, m.code) for m in report.modulators} == {("group of one cell", "dopamine", "d_post += 0.1")}
    # The same reward, computed by the last population and delivered in the same way, is an error signal.
    source = b2.NeuronGroup(1, "dv/dt = -v/ms : 1", threshold="v > 1", reset="v = 0", name="critic", method="euler")
    hears = b2.Synapses(cells["d"], source, on_pre="v_post += 2", name="hears")
    hears.connect(i=range(3), j=0)
    delivery = [b2.Synapses(source, s, on_pre="d_post += 0.1", name=f"error_{s.name}") for s in plastic]
    for synapses in delivery:
        synapses.connect(i=0, j=range(6))
    report = audit(b2.Network(*cells.values(), *plastic, source, hears, *delivery))
    assert {w.name: w.passed for w in report.weights} == {"ab.s": False, "bc.s": True, "cd.s": True}
    finding = next(w for w in report.weights if w.name == "ab.s").findings[0]
    assert (finding.verdict, finding.hops) == (SHORTCUT, 2)
    assert "critic" in finding.what and "which has it from d" in finding.what


def test_homeostatic_inhibitory_plasticity_of_vogels_and_others():
    # doi:10.1126/science.1211095: inhibition learns to hold the excitatory rate at a target; excitation is fixed.
    model = "dv/dt = (1.5 + ge - gi - v)/(20*ms) : 1\ndge/dt = -ge/(5*ms) : 1\ndgi/dt = -gi/(10*ms) : 1"
    excitatory, inhibitory = (
        b2.NeuronGroup(n, model, threshold="v > 1", reset="v = 0", refractory=5 * ms, method="euler", name=name)
        for name, n in (("excitatory", 8), ("inhibitory", 2))
    )
    fixed = [
        b2.Synapses(excitatory, excitatory, "w : 1", on_pre="ge += w", name="ee"),
        b2.Synapses(excitatory, inhibitory, "w : 1", on_pre="ge += w", name="ei"),
        b2.Synapses(inhibitory, inhibitory, "w : 1", on_pre="gi += w", name="ii"),
    ]
    plastic = b2.Synapses(
        inhibitory,
        excitatory,
        "w : 1\ndApre/dt = -Apre/(20*ms) : 1 (event-driven)\ndApost/dt = -Apost/(20*ms) : 1 (event-driven)",
        on_pre="Apre += 1; w = clip(w + (Apost - 0.12)*0.01, 0, 10); gi += w",
        on_post="Apost += 1; w = clip(w + Apre*0.01, 0, 10)",
        name="ie",
    )
    for synapses in (*fixed, plastic):
        synapses.connect()
    report = audit(b2.Network(excitatory, inhibitory, *fixed, plastic))
    assert [w.name for w in report.weights] == ["ie.w"]
    assert report.passed and report.neighbourhood == ("ie",)
    assert report.weights[0].hops_in_event == 1


def test_adaptive_threshold_is_a_plastic_variable_of_cells():
    reset = "v = 0\nlevel += 0.01*(x - 1)"
    chain = Chain("extra = 0 : 1\nlevel : 1", only="g1", threshold="v > 1 + level", reset=reset)
    report = audit(chain.network)
    weight = next(w for w in report.weights if w.name == "g1.level")
    assert (weight.source, weight.target, weight.passed) == ("g1", "g1", True)


def test_short_term_plasticity_and_filters_are_no_weights_and_make_no_neighbours():
    chain = Chain()
    chain.add(
        chain.join(
            "g0",
            "g2",
            "w : 1\ndu/dt = -u/ms : 1 (event-driven)\ndr/dt = (1 - r)/ms : 1 (event-driven)\np : 1",
            on_pre="u += 0.1*(1 - u)\np = u*r\nr -= p\nv_post += w*p",
            name="depressing",
        )
    )
    report = audit(chain.network)
    assert "depressing" not in {w.owner for w in report.weights}
    assert "depressing" not in report.neighbourhood
    assert into(report, "g2").verdict == SHORTCUT
    assert "p, r, u of 'depressing' change with the sending cell alone: filters, no weights" in report.notes


def test_conductances_are_filters_of_the_weight():
    chain = Chain()
    chain.plastic[0] = chain.join(
        "g3",
        "g2",
        "w : 1\ndg/dt = -g/(5*ms) : 1 (clock-driven)",
        on_pre="g += w",
        on_post="w += 0.01*x_pre",
        name="slow",
    )
    chain.plastic[0].run_regularly("v_post += g*0.1")
    assert "slow.w" in {w.name for w in audit(chain.network).weights}
    assert "slow.g" not in {w.name for w in audit(chain.network).weights}


def test_weight_that_adds_up_what_the_sender_does_is_reported_but_makes_no_neighbours():
    chain = Chain()
    chain.add(chain.join("g0", "g2", "w : 1", on_pre="v_post += w\nw += 0.01*x_pre", name="counts"))
    report = audit(chain.network)
    assert "counts.w" in {w.name for w in report.weights}
    assert report.neighbourhood == ("g1_g0", "g2_g1", "g3_g2")
    assert not report.passed


# ------------------------------------------------------------------------------------------ bad input


def fails(match, network, **options):
    with pytest.raises(AuditError, match=match):
        audit(network, **options)


def test_what_is_no_network():
    fails("is no brian2.Network; give Network", "chain")
    fails("the network is empty; add its groups", b2.Network())


def test_synapses_that_were_never_connected():
    chain = Chain()
    chain.add(b2.Synapses(chain["g0"], chain["g1"], on_pre="v_post += 1", name="loose"))
    fails("Synapses 'loose' from 'g0' to 'g1' were never connected: call its connect", chain.network)
    chain.others[0].connect("i > 100")
    fails("Synapses 'loose' hold no synapse: its connect.. matched no pair", chain.network)


def test_groups_between_which_there_is_no_path():
    chain = Chain()
    chain.add(b2.NeuronGroup(2, "v : 1", name="alone"))
    sentence = r"falls into 2 parts between which there is no path.*: (alone; g0.*|g0.*; alone)\. Connect them"
    fails(sentence, chain.network)


def test_network_without_plastic_weights():
    chain = Chain()
    chain.plastic = [chain.join(a, b, "w : 1", on_pre="v_post += w", name=f"{a}_{b}") for a, b in pairwise(NAMES)]
    fails("no plastic weight: no code changes.*g1_g0.w.*name it: weights=", chain.network)
    report = audit(chain.network, weights=["g1_g0.w"])
    assert [w.name for w in report.weights] == ["g1_g0.w"]


def test_network_that_has_run():
    chain = Chain().drive()
    network = chain.network
    network.store()
    network.run(2 * ms)
    fails("has already run .t = 0.002 s.*make it anew, or go back with store.. and restore", network)
    with pytest.raises(AuditError, match="has already run"):
        isolate(network, "g1")
    network.restore()
    assert audit(network).passed


def test_network_for_another_device():
    sentence = (
        r"the network was built for another device \(C\+\+ standalone\).*set_device\('runtime'\) before making it"
    )
    runtime = Chain().network
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        standalone = Chain().network
        fails(sentence, standalone)
        fails(sentence, runtime)
    finally:
        b2.device.reinit()
        b2.set_device("runtime")
    fails(sentence, standalone)
    assert audit(runtime).passed


def test_variable_that_does_not_exist():
    chain = Chain("extra = 0.1*mismatch : 1", only="g2")
    fails(
        r"differential equations of g2: 'dv/dt = .*' reads 'mismatch', which does not exist; correct it, define it in "
        r"the equations, or pass audit\(..., namespace=.*Known here: .*drive, dt, extra.* v, x",
        chain.network,
        namespace={},
    )
    chain = Chain()
    chain.plastic[0] = chain.join("g3", "g2", "w : 1", on_pre="v_post += w", on_post="w += y_pre", name="bad")
    fails("pathway 'post' of bad: 'w [+]= y_pre' reads 'y_pre', which does not exist.*x_post", chain.network)


def test_linked_variable_without_a_target():
    chain = Chain(LINKED, only="g2")
    fails("'far' is a linked variable without a target; set g2.far = linked_var", chain.network)


def test_arguments_that_name_what_is_not_there():
    chain = Chain()
    fails("weights: there is no 'g1_g0.v' .*one of g1_g0.trace, g1_g0.w", chain.network, weights=["g1_g0.v"])
    fails("neighbours: there are no Synapses 'g0_g1'.*g1_g0", chain.network, neighbours=["g0_g1"])
    fails("populations.'a'. = 3 is no group of the network; its groups are g0, g1", chain.network, populations={"a": 3})
    fails("populations = 3 is no mapping", chain.network, populations=3)
    fails(
        "populations.'b'. overlaps another population of group 'g0'",
        chain.network,
        populations={"a": chain["g0"][:2], "b": chain["g0"][1:]},
    )
    circuit = Circuit((Population("y", 5, "error source"),), ())
    fails("a circuit of 5 cells, but 0 groups", chain.network, populations=circuit)
    fails("hops_per_step = 0 is outside what is allowed", chain.network, hops_per_step=0)
    with pytest.raises(ValueError, match="event = 0 ms is outside what is allowed"):
        audit(chain.network, event=0 * ms)


# ------------------------------------------------------------------------------------------ weights that nothing reads


UNREAD = """
weight : 1
dpre_trace/dt = -pre_trace/(20*ms) : 1 (event-driven)
dpost_trace/dt = -post_trace/(20*ms) : 1 (event-driven)
"""
LEARN = {
    "on_pre": "pre_trace += 0.1\nweight = clip(weight + post_trace{more}, 0, 1)",
    "on_post": "post_trace += 0.1\nweight = clip(weight + pre_trace{more}, 0, 1)",
}


def joined_to_itself(more="", model="", n=6, condition="i != j"):
    """One group with STDP among its cells, whose weights nothing reads yet; driven by a generator of spikes."""
    cells = one_group(n)
    code = {end: text.format(more=more) for end, text in LEARN.items()}
    plastic = b2.Synapses(cells, cells, UNREAD + model, name="plastic", namespace={"ms": ms}, **code)
    plastic.connect(condition)
    # A generator of its own random numbers: what it keeps is changed by its events, but by nothing that it hears.
    drive = b2.NeuronGroup(
        n, "u : 1\ndue : 1", threshold="t/ms >= due", reset="u = (16807*u) % 2147483647\ndue += u/1e8", name="drive"
    )
    fibres = b2.Synapses(drive, cells, on_pre="v_post += 2", name="fibres")
    fibres.connect(i=range(n), j=range(n))
    return cells, plastic, drive, fibres


def test_group_that_learns_onto_itself_has_its_weights_found_though_nothing_reads_them():
    report = audit(b2.Network(*joined_to_itself()))
    assert report.passed
    assert {w.name for w in report.weights} == {"plastic.weight"}  # no trace, and not when the generator fires next
    assert "cells" in report.populations and report.neighbourhood == ("plastic",)
    assert not any("filters" in note for note in report.notes)


def test_rule_that_only_one_kind_of_spike_runs_is_found_though_nothing_reads_its_weight():
    cells = one_group(4)
    one_sided = {"on_pre": "weight += post_trace", "on_post": "post_trace += 0.1"}
    plastic = b2.Synapses(cells, cells, "weight : 1\npost_trace : 1", name="plastic", **one_sided)
    plastic.connect("i != j")
    assert [w.name for w in audit(b2.Network(cells, plastic)).weights] == ["plastic.weight"]


def test_group_that_learns_onto_itself_fails_if_it_smuggles():
    far = "\nk : integer (constant)\nfar : 1 (linked)"
    for teacher in ("another group", "a cell to which no synapse leads"):
        cells, plastic, *others = joined_to_itself(" + far", far, n=9, condition="i // 3 == j // 3")
        if teacher == "another group":
            others.append(b2.NeuronGroup(3, "dx/dt = -x/(20*ms) : 1", name="teacher", method="euler"))
        plastic.far = b2.linked_var(others[-1] if teacher == "another group" else cells, "x", index="k")
        plastic.k = "2" if teacher == "another group" else "(i + 3) % 9"
        report = audit(b2.Network(cells, plastic, *others), populations={"cells": cells})
        assert [(w.name, w.verdict) for w in report.weights] == [("plastic.weight", NO_SYNAPSE)], teacher
        assert report.findings[0].code == "weight = clip(weight + post_trace + far, 0, 1)"


def test_network_whose_only_changing_parameter_hears_of_nothing_has_no_plastic_weight():
    cells, _, drive, fibres = joined_to_itself()
    fails("the network has no plastic weight", b2.Network(cells, drive, fibres))
    report = audit(b2.Network(cells, drive, fibres), weights=["drive.due"])
    assert "no synapse is plastic; what was audited are variables of cells: drive.due" in report.notes


def test_ca3_cells_that_learn_a_track_are_audited():
    from bioplastic_models import ca3

    network = ca3.network(6, 2)
    synapses = ca3.plastic_synapses(network["pc"])
    synapses.connect("i != j")
    network.add(synapses)
    report = audit(network)
    assert report.passed
    assert {w.name for w in report.weights} == {"plastic.weight"}
    assert report.populations == ("mossy", "pc", "pvbc")


def test_synapses_between_populations_outside_the_neighbourhood_that_a_weight_hears():
    chain = Chain()
    chain.groups["p"] = b2.NeuronGroup(2, "dv/dt = -v/(5*ms) : 1", threshold="v > 1", reset="v = 0", name="p")
    chain.add(chain.join("g1", "p", on_pre="v_post += 1"), chain.join("p", "g1", on_pre="v_post -= 1"))
    chain.add(chain.join("p", "p", "kept : 1", on_pre="v_post -= kept\nkept = 0.5*kept", name="inner"))
    assert audit(chain.network).passed


# ------------------------------------------------------------------------------------------ relays


def relayed(declare=True, **how):
    """The chain, with one group more that hears of g0 and sends to g2, both ways by spikes."""
    chain = Chain()
    model = "dv/dt = (held + far - v)/(5*ms) : 1\nheld : 1\nfar : 1"
    relay = b2.NeuronGroup(1, model, threshold="v > 1", reset="v = 0", method="euler", name="relay")
    chain.groups["relay"] = relay
    if declare:
        declare_relay(relay)
    hears = {"on_pre": "v_post += 1"} | how.pop("hears", {})
    sends = {"on_pre": "v_post += 0.1"} | how.pop("sends", {})
    chain.add(chain.join("g0", "relay", name="hears", **hears), chain.join("relay", "g2", name="sends", **sends))
    chain.add(chain.join("g2", "relay", name="returns", on_pre="v_post += 1"))
    return chain


def test_relay_that_sends_spikes_is_a_neighbour_only_if_declared():
    assert into(audit(relayed(declare=False).network), "g2").verdict == SHORTCUT
    report = audit(relayed().network)
    assert report.passed
    assert report.relays == ("relay",) and {"hears", "sends", "returns"} <= set(report.neighbourhood)
    assert "populations by declaration, because they relay spikes: relay" in report.notes
    assert "these relays hear of g0, g2, and send to g2" in report.notes
    assert not audit(relayed().network, relays=()).passed
    undeclared = relayed(declare=False)
    assert audit(undeclared.network, relays=[undeclared["relay"]]).passed
    fails("relays: there is no group 'rely' in the network; its groups are g0, g1", relayed().network, relays=["rely"])


def test_relay_that_sends_where_it_does_not_hear_is_broadcast():
    chain = relayed()
    chain.others.pop()
    weight = into(audit(chain.network), "g2")
    assert (weight.verdict, weight.hops_in_step, weight.findings[0].code) == (SHORTCUT, 2, "v_post += 0.1")
    assert "a relay, which hears of g0 but not of what it sends this to" in weight.findings[0].what


GRADED = [
    ({"hears": {"model": "far_post = x_pre : 1 (summed)"}}, "far_post = x_pre : (summed)"),
    ({"hears": {"model": "kept : 1", "on_pre": "kept = x_pre\nv_post += kept"}}, "kept = x_pre"),
    ({"sends": {"on_pre": "v_post += v_pre"}}, "v_post += v_pre"),
    (
        {"sends": {"model": "dg/dt = (v_pre - g)/ms : 1 (clock-driven)", "on_pre": "v_post += g"}},
        "dg/dt = (v_pre - g)/ms",
    ),
    *(
        pytest.param(
            {end: {"on_post" if by == "post" else "on_pre": code}}, code.split("\n")[-1], marks=pytest.mark.slow
        )
        for end, by, code in (
            ("hears", "pre", "held_post = x_pre"),
            ("hears", "post", "v_post += x_pre"),
            ("hears", "pre", "seen = 2*x_pre\nv_post += seen"),
        )
    ),
    pytest.param(
        {"sends": {"model": "drive_post = v_pre : 1 (summed)"}},
        "drive_post = v_pre : (summed)",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize(("how", "code"), GRADED)
def test_relay_may_exchange_nothing_but_spikes(how, code):
    report = audit(relayed(**how).network)
    found = [finding for finding in report.findings if finding.verdict == NO_SPIKE]
    assert code in {finding.code for finding in found}
    assert not into(report, "g2").passed


def test_label_of_a_spike_that_no_cell_has_a_say_in_may_be_relayed():
    chain = relayed(hears={"on_pre": "v_post += drive_pre*stage"})
    chain["g0"].run_regularly("drive = int(t > 5*ms)")  # the outside world's
    chain.others[0].namespace["stage"] = 0.5
    assert audit(chain.network, namespace={"ms": ms}).passed


def test_relay_that_reads_a_neighbour_by_a_link_is_found():
    chain = relayed()
    spy = b2.NeuronGroup(3, "far : 1 (linked)\nv : 1", threshold="v > 1", reset="v = 0", name="spy")
    spy.far = b2.linked_var(chain["g2"], "x")
    spy.run_regularly("v += far")
    chain.groups["spy"] = spy
    declare_relay(spy)
    chain.add(chain.join("spy", "g2", on_pre="v_post += 0.1"), chain.join("g2", "spy", on_pre="v_post += 0.1"))
    (finding,) = into(audit(chain.network), "g2").findings
    assert (finding.verdict, finding.code) == (NO_SPIKE, "v += far")
    assert "by linked variable in" in finding.what


# ------------------------------------------------------------------------------------------ the hippocampus


def remembering(n_hops=3, n_cells=3):
    """A chain with a hippocampus of two memories, and everything that drives them to learn."""
    from bioplastic_models import chain

    circuit = chain.circuit(n_hops, n_cells=n_cells, n_outputs=n_cells)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 1, circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    built = build(circuit, ErrorRelay(theta=0.2, eta=0.1), weights, recall=True)
    ends = {name: built.population(name) for name in ("x", "y")}
    for cells in ends.values():
        cells.present = 1
        cells.target = rng.random(n_cells)
    parameters = replace(chain.hippocampus(n_hops), n_index=4, assembly=2)
    return built, hippocampal.build(parameters, ends, name="hc")


def of_chain(built, memory, *others, **options):
    return audit(b2.Network(*built.objects, *memory.objects, *others), populations=built, **options)


def test_chain_with_a_hippocampus_passes_and_its_memories_are_audited():
    built, memory = remembering()
    report = of_chain(built, memory)
    assert report.passed
    weights = {(w.name, w.source, w.target) for w in report.weights if w.owner.startswith("hc_memory")}
    assert {("hc_memory_x.w", "x"), ("hc_memory_y.w", "y")} == {
        (name, "xy"[part]) for name, _, target in weights for part, at in enumerate(("[0:3]", "[3:6]")) if at in target
    }
    assert all(w.hops_in_update <= 1 and w.hops_in_step <= 1 for w in report.weights)
    assert any("hear of x, y, and send to x, y" in note for note in report.notes)
    without = of_chain(built, memory, relays=())  # the hippocampus is a way round the chain, and is known as one
    assert {f.verdict for f in without.findings} == {SHORTCUT}


def error_by_link(built, memory):
    """Into the bias of x, through a synapse of the attention cells that looks at the error of the outcome."""
    s = b2.Synapses(memory.attention, built.cells, "k : integer (constant)\nfar : 1 (linked)", on_pre="A_post += far")
    s.connect(i=range(3), j=range(3))
    s.far = b2.linked_var(built.cells, "E", index="k")
    s.k = built.circuit.slices["y"].start
    return (s,), NO_SYNAPSE, "A_post += far"


def error_upstream(built, memory):
    """Into the weights of h2, by the salience cell, which has it from the outcome: broadcast."""
    s = b2.Synapses(memory.salience, built.cells, on_pre="A_post += 0.1")
    s.connect(i=0, j=np.arange(built.circuit.n_cells)[built.circuit.slices["h2"]])
    return (s,), SHORTCUT, "A_post += 0.1"


def graded_error_in(built, memory):
    """The size of the error rides on the spikes that the salience cell hears."""
    s = b2.Synapses(built.population("y"), memory.salience, on_pre="S_post += abs(E_pre)*ms", namespace={"ms": ms})
    s.connect()
    return (s,), NO_SPIKE, "S_post += abs(E_pre)*ms"


def graded_error_out(built, memory):
    """What the salience cell holds is read from outside, with or without a spike of it."""
    s = b2.Synapses(memory.salience, built.population("x"), name="tap")
    s.connect()
    s.run_regularly("A_post += 0.01*S_pre/second")
    return (s,), NO_SPIKE, "A_post += 0.01*S_pre/second"


def memory_of_the_error(built, memory, target="y"):
    """A memory that writes what its target's partner has mispredicted."""
    part = {"x": slice(0, 3), "y": slice(3, 6)}[target]
    s = b2.Synapses(
        memory.index,
        memory.attention[part],
        "w : 1\nk : integer (constant)\nfar : 1 (linked)",
        on_pre={"reinstate": "recalled_post += w", "write": "w = clip(elig_post*abs(far), 0, 1)"},
        on_event={"reinstate": "spike", "write": "write"},
    )
    s.connect()
    s.far = b2.linked_var(built.cells, "E", index="k")
    s.k = f"{built.circuit.slices['y'].start} + j"
    return (s,), NO_SPIKE, "w = clip(elig_post*abs(far), 0, 1)"


def memory_of_the_error_far_away(built, memory):
    return memory_of_the_error(built, memory, "x")


def cortical_weights_by_spikes(built, memory):
    s = b2.Synapses(memory.gates, built.synapses, on_pre="w_post += 0.01")
    s.connect(i=np.ones(9, int), j=np.arange(18, 27))  # those into y, of which the gates are neighbours
    return (s,), NO_SPIKE, "w_post += 0.01"


def cortical_weights_by_regular_code(built, memory):
    s = b2.Synapses(memory.index, built.synapses, name="consolidates")
    s.connect(i=np.zeros(9, int), j=np.arange(9))  # those into h2
    s.run_regularly("w_post += 0.01*tag_pre")
    return (s,), NO_SPIKE, "w_post += 0.01*tag_pre"


def cortical_weights_by_python(built, memory):
    def consolidate():
        built.synapses.w_[:] += 0.01 * memory.index.tag_[0]

    return (b2.NetworkOperation(consolidate),), OPAQUE, "def consolidate"


SMUGGLED = [
    graded_error_in,
    memory_of_the_error,
    cortical_weights_by_spikes,
    *(
        pytest.param(smuggle, marks=pytest.mark.slow)
        for smuggle in (
            error_by_link,
            error_upstream,
            graded_error_out,
            memory_of_the_error_far_away,
            cortical_weights_by_regular_code,
            cortical_weights_by_python,
        )
    ),
]


@pytest.mark.parametrize("smuggle", SMUGGLED)
def test_what_is_smuggled_through_a_hippocampus_is_found(smuggle):
    built, memory = remembering()
    more, verdict, code = smuggle(built, memory)
    report = of_chain(built, memory, *more)
    assert not report.passed
    assert any(finding.verdict == verdict and finding.code.endswith(code) for finding in report.findings)


@pytest.mark.slow
def test_chain_of_twelve_hops_with_a_hippocampus_of_full_size_passes():
    from bioplastic_models import chain

    built = build(chain.circuit(), chain.screened(0.01), recall=True)
    ends = {name: built.population(name) for name in ("x", "y")}
    report = of_chain(built, hippocampal.build(chain.hippocampus(), ends))
    assert report.passed
    assert any("with them x and y are 3 hops apart, without them 12" in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("population", "duration", "held", "away"),
    [("h1", 200 * ms, {"h2", "y"}, {"x"}), ("hc_attention[0:3]", 900 * ms, {"x", "hc_index"}, {"y", "h1", "h2"})],
)
def test_population_of_a_chain_with_a_hippocampus_learns_the_same_alone(population, duration, held, away):
    built, memory = remembering()
    network = b2.Network(*built.objects, *memory.objects)
    alone = isolate(network, population, duration=duration, populations=built)
    assert alone.passed and alone.n_learning > 0
    assert held <= set(alone.held) and away <= set(alone.away)


# ------------------------------------------------------------------------------------------ by experiment


def test_population_alone_learns_the_same_to_the_bit():
    chain = Chain().drive()
    network = chain.network
    before = {s.name: np.array(s.w) for s in chain.plastic}
    found = isolate(network, "g1", duration=60 * ms)
    assert found.passed and found.n_different == 0
    assert found.held == ("g0", "g2") and found.away == ("g3",)
    assert found.n_weights == 9 and found.n_learning == 9
    assert "of 9 weights, 9 of which learned, all the same to the bit" in str(found)
    assert network.t == 0 * second  # left as it was
    for synapses in chain.plastic:
        np.testing.assert_array_equal(synapses.w, before[synapses.name])
    assert audit(network).passed


def test_recording_is_all_that_a_population_alone_hears(monkeypatch):
    record = tape.Tape.record

    def forgetful(tape, number):
        record(tape, number)
        tape.events[-1] = [events[:0] for events in tape.events[-1]]

    monkeypatch.setattr(tape.Tape, "record", forgetful)
    assert isolate(Chain().drive().network, "g1", duration=60 * ms).n_different == 9


def smuggled_link():
    chain = Chain("far : 1 (linked)\nextra = 0.1*far : 1", only="g2").drive()
    chain["g2"].far = b2.linked_var(chain["g0"], "x")
    return chain


def smuggled_shortcut():
    chain = Chain().drive()
    chain.add(chain.join("g0", "g2", on_pre="v_post += 0.1", name="skip"))
    return chain


def smuggled_operation():
    chain = Chain().drive()

    def meddle():
        chain["g2"].v_[:] += 0.01 * chain["g0"].x_[:]

    chain.add(b2.NetworkOperation(meddle))
    return chain


def smuggled_count():
    chain = Chain("extra = 0 : 1\nfar : integer (linked)", only="g2").drive()
    monitor = chain.add(b2.SpikeMonitor(chain["g0"]))
    chain["g2"].far = b2.linked_var(monitor, "count")
    chain["g2"].run_regularly("v += 0.01*far")
    return chain


OTHERS = [pytest.param(f, marks=pytest.mark.slow) for f in (smuggled_shortcut, smuggled_operation, smuggled_count)]


@pytest.mark.parametrize("smuggle", [smuggled_link, *OTHERS])
def test_smuggled_signals_show_when_the_population_is_alone(smuggle):
    found = isolate(smuggle().network, "g2", duration=60 * ms)
    assert found.held == ("g1", "g3") and found.away == ("g0",)
    assert not found.passed
    assert found.n_different > 0 and found.first_difference < 0.06
    assert "different, by up to" in str(found)


@pytest.mark.parametrize("smuggle", [smuggled_link, OTHERS[0]])
def test_change_far_away_shows_only_where_it_is_smuggled(smuggle):
    found = perturb(smuggle().network, "g2", "g0", duration=60 * ms)
    assert not found.passed and found.n_different_unheld > 0


def test_change_far_away_does_not_show_through_neighbours_that_are_held():
    found = perturb(Chain().drive().network, "g0", "g3", duration=60 * ms)
    assert found.passed and found.changed == "g3"
    assert found.n_different_unheld > 0  # the same change does arrive when nobody is held
    assert "with nothing held" in str(found)


def test_noisy_rules_can_be_isolated():
    chain = Chain("extra = rand() : 1 (constant over dt)").drive()
    chain.plastic[1] = chain.join(
        "g2", "g1", "w : 1", on_pre="v_post += w*rand()", on_post="w += 0.01*x_pre*rand()", name="noisy"
    )
    chain.plastic[1].w = 0.2
    found = isolate(chain.network, "g1", duration=60 * ms)
    assert found.passed and found.n_learning == 9


def test_experiments_refuse_what_would_test_nothing():
    network = Chain().network  # no drive, no spikes
    with pytest.raises(AuditError, match=r"no weight of 'g1' changed within 5\. ms, so nothing would be tested"):
        isolate(network, "g1", duration=5 * ms)
    assert network.t == 0 * second
    with pytest.raises(AuditError, match="there is no population 'h'; known: g0, g1, g2, g3"):
        isolate(network, "h")
    with pytest.raises(AuditError, match="population 'g3' has no plastic weight of its own; choose one of g0, g1, g2"):
        isolate(network, "g3")
    with pytest.raises(AuditError, match=r"changed = 'g2' is 'g1' itself or one of its neighbours.*choose one of g3"):
        perturb(Chain().drive().network, "g1", "g2", duration=20 * ms)
    with pytest.raises(ValueError, match="duration = 0 ms"):
        isolate(network, "g1", duration=0 * ms)


def test_network_that_stops_itself():
    chain = Chain().drive()
    chain.add(b2.NetworkOperation(lambda: b2.stop() if np.isnan(chain["g3"].v_[0]) else None))
    with pytest.raises(AuditError, match="something in the network stopped it at t = "):
        isolate(chain.network, "g1", duration=20 * ms)


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


def test_callers_names_are_found_through_the_package_too():
    chain = Chain("extra = 0.1*leak : 1", only="g2")
    for group in chain.groups.values():
        group.namespace.clear()
    leak = 0.5
    assert bioplastic.audit(chain.network).passed
    assert leak


def test_page_about_the_audit_is_right(root, capsys):
    page = (root / "docs" / "audit.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    shown = page.split("```text\n")[1].split("```")[0]
    exec(code, {})
    printed = capsys.readouterr().out
    assert printed.startswith("True\n")
    assert "NOT neighbour-only" in printed
    assert shown in printed
    named = set(re.findall(r"^\| ([a-z -]+) \| (?:yes|no) \|", page, re.MULTILINE))
    assert named == set(VERDICTS)


def test_report_reads_as_text():
    chain = Chain()
    shortcut(chain)
    text = str(audit(chain.network, event=20 * ms))
    lines = text.splitlines()
    assert lines[0].endswith(": NOT neighbour-only")
    assert lines[1] == "4 populations; neighbours are joined by g1_g0, g2_g1, g3_g2"
    assert "  g3_g2.w, g3 -> g2: 1 / 2 / 2  shortcut synapses" in lines
    assert "  g1_g0.w, g1 -> g0: 1 / 1 / 3  neighbour-only" in lines
    assert any(line.startswith("shortcut synapses: g2.v of g2 gets g0") for line in lines)
    assert any(line.endswith("of g0, by pathway 'pre' of skip (2 hops)") for line in lines)
    assert "farthest route to g3_g2.w, g3 -> g2: 2 hops, in 2 time steps" in lines
