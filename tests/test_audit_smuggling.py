"""The audit: every way of smuggling something past the neighbours has to be found."""

import math
from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest
from audited_networks import CELL, LINKED, NAMES, STDP, Chain, into, one_group, shortcut, verdicts
from brian2 import ms

from bioplastic.auditing import AT_ONCE, NEIGHBOUR_ONLY, NO_SYNAPSE, OPAQUE, SHORTCUT, audit

pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")


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
    assert finding.code.startswith("test_audit_smuggling.py, line ") and finding.code.endswith("def meddle")
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
