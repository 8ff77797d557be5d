"""The audit: what passes, which populations it finds, what it calls a modulator, bad input, its report."""

import os
import re
import subprocess
import sys
from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest
from audited_networks import LINKED, NAMES, STDP, Chain, fails, into, one_group, shortcut, verdicts
from brian2 import Hz, ms

import bioplastic
from bioplastic.auditing import NEIGHBOUR_ONLY, SHORTCUT, UNRESOLVED, VERDICTS, AuditError, audit, isolate
from bioplastic.circuit import Circuit, Population, Projection

pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")

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


# ------------------------------------------------------------------------------------------ bad input


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


# ------------------------------------------------------------------------------------------ what is printed


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


@pytest.mark.slow
def test_report_is_the_same_in_every_process():
    # Brian2 keeps names in sets, whose order changes with the seed of Python's hashes: these two differ in it here.
    code = "import bioplastic; from bioplastic_models import urbanczik_senn as m; print(bioplastic.audit(m.network()))"
    texts = set()
    for seed in ("0", "3"):
        options = {"capture_output": True, "text": True, "check": True, "env": {**os.environ, "PYTHONHASHSEED": seed}}
        texts.add(subprocess.run([sys.executable, "-c", code], **options).stdout)
    assert len(texts) == 1
