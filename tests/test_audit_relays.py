"""The audit: relays, which may exchange spikes and nothing else, and the hippocampus, which is made of them."""

from dataclasses import replace

import brian2 as b2
import numpy as np
import pytest
from audited_networks import Chain, fails, into
from brian2 import ms

from bioplastic import hippocampus as hippocampal
from bioplastic.auditing import NO_SPIKE, NO_SYNAPSE, OPAQUE, SHORTCUT, audit, declare_relay, isolate
from bioplastic.circuit import Weights
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.network import build

pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")

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
