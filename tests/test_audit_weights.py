"""The audit: which variables are weights, in published rules and where nothing reads them yet."""

from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest
from audited_networks import Chain, fails, into, one_group
from brian2 import Hz, ms

from bioplastic.auditing import NO_SYNAPSE, SHORTCUT, audit

pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")

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
