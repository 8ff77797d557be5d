"""What holds for every spiking rule: Brian2 follows the reference, locality to the bit, limits, what is refused."""

import re
from dataclasses import fields, replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from brian2 import EventMonitor, Network, SpikeMonitor, ms, second
from small_networks import (
    OF_CELLS,
    PARAMETERS,
    chain,
    feedback_matrix,
    first_difference,
    graph,
    matrix,
    outside,
    random_feedback_for,
    random_weights,
    set_window,
    setting,
    state,
)

from bioplastic.circuit import CircuitError
from bioplastic.rules.broadcast import Broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.form import Outside, State, reference_step
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.rules.radius_relay import RadiusRelay
from bioplastic.spiking.groups import broadcast_group, cell_group, synapse_group
from bioplastic.spiking.network import build, flat, unflat
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")

RELAYING = (ErrorRelay, LearnedFeedback, RadiusRelay)  # error spikes travel from neighbour to neighbour
LOCAL = (*RELAYING, EquilibriumRelay)
ALL = (*LOCAL, Broadcast)
FINE = {  # an error spike at the least mismatch
    ErrorRelay: ErrorRelay(theta=0.02, eta=0.05),
    LearnedFeedback: LearnedFeedback(theta=0.02, eta=0.05, decay=0.01),
    RadiusRelay: RadiusRelay(theta=0.02, eta=0.05, radius=9),
    EquilibriumRelay: EquilibriumRelay(theta=0.02, eta=0.05, eta_apical=0.05),
    Broadcast: Broadcast(theta=0.02, eta=0.05),
}


# ------------------------------------------------------------------------------------------ a spike train


@pytest.mark.parametrize(
    "rule",
    [
        ErrorRelay(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02),
        ErrorRelay(theta=1.0, gain=1.3, eta=0.05),
        ErrorRelay(theta=0.05, gain=1.0),
        LearnedFeedback(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02, decay=0.01),
        RadiusRelay(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02, radius=1),
        RadiusRelay(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02, radius=2),
        Broadcast(theta=0.3, tau_e=0.2 * second, gain=0.9, eta=0.02),
        EquilibriumRelay(theta=0.3, tau_e=0.2 * second, gain=0.8, eta=0.02, eta_apical=0.03),
        EquilibriumRelay(theta=0.3, gain=0.8, eta=0.02),
    ],
    ids=["leak", "no leak", "frozen", "learned", "radius 1", "radius 2", "broadcast", "equilibrium", "one dendrite"],
)
def test_brian2_follows_the_reference(rule):
    """300 steps with an outcome, then 100 without: every spike, every error spike, and every number."""
    circuit, rng, seconds = graph(), np.random.default_rng(1), (300, 100)
    weights = random_weights(circuit, rng)
    feedback = random_feedback_for(rule, circuit, rng)
    spiking = build(circuit, rule, weights, feedback=feedback, seed=3)
    cells, synapses = spiking.cells, spiking.synapses
    clamps = np.zeros((2, circuit.n_cells))
    for population in (*circuit.inputs, *circuit.error_sources):
        clamps[: 1 + (population.role == "input"), circuit.slices[population.name]] = 1
    target = rng.random(circuit.n_cells)
    cells.target = target
    now = State(
        **{name: np.array(getattr(cells, name)[:]) for name in OF_CELLS},
        w=matrix(circuit, weights.forward),
        fb=feedback_matrix(circuit, rule, feedback),
    )
    start = now
    plastic = matrix(circuit, {p.name: np.full(circuit.shape(p), float(p.plastic)) for p in circuit.projections})
    hops = np.concatenate([np.full(p.size, circuit.population_hops[p.name]) for p in circuit.populations])
    spikes, errors = SpikeMonitor(cells), EventMonitor(cells, "error", variables=["E"])
    network = Network(*spiking.objects, spikes, errors)
    spiked, erred = [], []
    for part, (n_steps, clamp) in enumerate(zip(seconds, clamps, strict=True)):
        cells.clamp = clamp
        set_window(spiking, 1 - part)
        network.run(n_steps * ms, namespace={})
        imposed = Outside(target, clamp, np.array(cells.predicts[:]), plastic, hops, window=1.0 - part)
        for step in range(n_steps):
            now, spike, error = reference_step(now, rule, PARAMETERS, imposed)
            spiked += [(step + 300 * part, i) for i in np.flatnonzero(spike)]
            erred += [(step + 300 * part, i, error[i]) for i in np.flatnonzero(error)]
    assert len(spiked) > 350
    assert len({i for _, i, _ in erred}) > 10  # not only at the error sources, which have 5 cells
    when = np.round(spikes.t / ms).astype(int)
    assert list(zip(when.tolist(), spikes.i[:].tolist(), strict=True)) == spiked
    when = np.round(errors.t / ms).astype(int)
    sign = np.sign(errors.E[:]).astype(int)
    assert list(zip(when.tolist(), errors.i[:].tolist(), sign.tolist(), strict=True)) == erred
    for name in OF_CELLS:
        np.testing.assert_allclose(getattr(cells, name)[:], getattr(now, name), rtol=1e-10, atol=1e-12, err_msg=name)
    w = unflat(circuit, np.array(synapses.w[:]))
    np.testing.assert_allclose(matrix(circuit, w), now.w, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(w["senses_to_b"], weights.forward["senses_to_b"])
    assert np.array_equal(now.w, start.w) == (rule.eta == 0)
    if isinstance(rule, Broadcast):
        np.testing.assert_array_equal(now.fb, start.fb)
        return
    fb = unflat(circuit, np.array(synapses.fb[:]))
    np.testing.assert_allclose(matrix(circuit, fb), now.fb, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(fb["senses_to_b"], feedback.weights["senses_to_b"])
    learns = isinstance(rule, LearnedFeedback) or getattr(rule, "eta_apical", 0) > 0
    assert np.array_equal(now.fb, start.fb) != learns


def test_reference_leaves_its_argument_alone():
    for rule in FINE.values():
        before = state(**{name: [0.5, 0.5] for name in OF_CELLS}, w=np.full((2, 2), 0.5), fb=np.full((2, 2), 0.5))
        copy = {f.name: getattr(before, f.name).copy() for f in fields(before)}
        reference_step(before, rule, PARAMETERS, outside(target=[1, 1], clamp=[1, 1]))
        for name, was in copy.items():
            np.testing.assert_array_equal(getattr(before, name), was, err_msg=f"{rule}: {name}")


def test_flat_is_the_order_of_the_synapses():
    circuit = graph()
    weights = random_weights(circuit, np.random.default_rng(0)).forward
    synapses = build(circuit, ErrorRelay()).synapses
    w = flat(circuit, weights)
    np.testing.assert_array_equal(w, matrix(circuit, weights)[synapses.j[:], synapses.i[:]])
    for name, back in unflat(circuit, w).items():
        np.testing.assert_array_equal(back, weights[name])


# ------------------------------------------------------------------------------------------ locality


def into(projection: str) -> str:
    return projection.split("_to_")[1]


def assert_same_updates(here: SimpleNamespace, there: SimpleNamespace, projection: str, steps: int | None = None):
    """To the bit, in the first steps: weights and feedback weights of the projection, and biases of its target."""
    for name, where in {"w": projection, "fb": projection, "bias": into(projection), "abias": into(projection)}.items():
        one, other = getattr(here, name)[where][:steps], getattr(there, name)[where][:steps]
        np.testing.assert_array_equal(one, other, err_msg=f"{name} of {where}")


@pytest.mark.parametrize("kind", RELAYING)
def test_a_change_downstream_travels_one_hop_per_step(kind):
    """Before the difference can have arrived, the update far upstream is the same to the bit."""
    plain = setting(FINE[kind])
    here, there = plain.course(60), plain.perturbed("d_to_o").course(60)
    # d's apical dendrite gets another signal in step 1 and reads it in step 2; from there it takes one step a hop.
    for projection, first in {"c_to_d": 2, "b_to_c": 3, "a_to_b": 4, "s_to_a": 5}.items():
        assert_same_updates(here, there, projection, first - 1)
        assert np.all(here.bias[into(projection)][0])  # every cell has sent an error spike, so there is something
        # and later it does arrive: the test would notice a leak
        assert not np.array_equal(here.w[projection], there.w[projection]), projection


def test_broadcast_outruns_the_neighbours():
    """Cells everywhere hear of another outcome at once: the test above is one that can fail."""
    first = {}
    for kind in (Broadcast, ErrorRelay):
        plain = setting(FINE[kind])
        here, there = plain.course(40), replace(plain, outcome=8).course(40)
        first[kind] = [first_difference(here.bias[name], there.bias[name]) for name in "dcba"]
    assert max(first[Broadcast]) - min(first[Broadcast]) < 3
    assert first[Broadcast] != sorted(first[Broadcast])
    assert first[ErrorRelay][3] > max(first[Broadcast])
    assert all(near < far for near, far in pairwise(first[ErrorRelay]))


@pytest.mark.parametrize(
    "kind",
    [
        ErrorRelay,
        EquilibriumRelay,
        pytest.param(LearnedFeedback, marks=pytest.mark.slow),
        pytest.param(RadiusRelay, marks=pytest.mark.slow),
    ],
)
def test_only_neighbours_matter(kind):
    """While a neighbour's signals are the same, what lies behind it changes nothing, to the bit."""
    # b's spikes are held and it sends no error spikes: nothing downstream of b can matter for the weights into a
    plain = setting(FINE[kind], held=("b",), drive={"a": 0.4})
    here = plain.course(100)
    assert np.abs(here.w["s_to_a"]).max() > 0.01
    for projection in ("b_to_c", "d_to_o"):
        there = plain.perturbed(projection).course(100)
        assert_same_updates(here, there, "s_to_a")
        assert not np.array_equal(here.w["b_to_c"], there.w["b_to_c"])  # while there it is at work
    # a's spikes are held: nothing upstream of a can matter for the weights from a
    plain = setting(FINE[kind], held=("a",), drive={"b": 0.4})
    here, there = plain.course(100), plain.perturbed("s_to_a").course(100)
    assert np.abs(here.w["a_to_b"]).max() > 0.01
    assert_same_updates(here, there, "a_to_b")


@pytest.mark.parametrize("kind", LOCAL)
def test_a_neighbour_does_matter(kind):
    plain = setting(FINE[kind], drive={"b": 0.4})
    here, there = plain.course(100), plain.perturbed("a_to_b").course(100)
    assert not np.array_equal(here.w["s_to_a"], there.w["s_to_a"])


def test_under_broadcast_a_held_neighbour_screens_nothing():
    plain = setting(FINE[Broadcast], held=("b",))
    here, there = plain.course(100), plain.perturbed("d_to_o").course(100)
    assert not np.array_equal(here.w["s_to_a"], there.w["s_to_a"])


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize("kind", ALL)
def test_no_outcome_no_change_and_no_learning_rate_no_change(kind):
    circuit = chain("sabco")
    weights = random_weights(circuit, np.random.default_rng(2))
    feedback = random_feedback_for(FINE[kind], circuit, np.random.default_rng(3))
    built = build(circuit, replace(FINE[kind], theta=0.1), weights, feedback=feedback)
    errors = EventMonitor(built.cells, "error")
    network = Network(*built.objects, errors)

    def learned() -> list[np.ndarray]:
        of_cells = [np.array(getattr(built.cells, name)[:]) for name in ("bias", "abias")]
        return of_cells + [np.array(getattr(built.synapses, name)[:]) for name in ("w", "fb")]

    start = learned()
    built.population("s").target = 0.5
    network.run(150 * ms, namespace={})
    for now, before in zip(learned(), start, strict=True):
        np.testing.assert_array_equal(now, before)
    # Apical dendrites with a drive of their own, which only the equilibrium relay has, wait for the window.
    assert len(errors) == 0
    for rate in {"eta", "eta_apical", "decay"} & {f.name for f in fields(kind)}:
        setattr(built.cells, rate, 0)
    built.population("o").clamp = 1
    built.population("o").target = np.linspace(0.1, 0.9, 6)
    set_window(built, 1)
    network.run(150 * ms, namespace={})
    for now, before in zip(learned(), start, strict=True):
        np.testing.assert_array_equal(now, before)
    heard = {name: int(errors.count[:][where].sum()) for name, where in circuit.slices.items()}
    assert heard["o"] > 50
    assert heard["c"] > 20


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": -1}, "theta = -1 is outside what is allowed: more than 0."),
        ({"tau_e": 30}, "tau_e = 30 has no unit; it needs a time such as 10*ms."),
        ({"gain": np.nan}, "gain is NaN; give a number."),
        ({"eta": -1e-3}, "eta = -0.001 is outside what is allowed: 0 or more."),
    ],
)
def test_bad_parameters(kind, arguments, message):
    with pytest.raises(UnitError) as caught:
        kind(**arguments)
    assert str(caught.value) == message


def odd(**changes) -> ErrorRelay:
    """An error relay with other code."""
    return type("Odd", (ErrorRelay,), {"code": replace(ErrorRelay.code, **changes)})()


CELL = "A, E, P, V, abias, bias, clamp, eta, gain, leak, prediction, predicts, target, theta, x"


@pytest.mark.parametrize(
    ("changes", "start", "known"),
    [
        ({"soma": "V + W"}, "its soma reads 'W', which does not exist", CELL),
        ({"mismatch": "rate - Vd"}, "its mismatch reads 'Vd', which does not exist", None),
        ({"on_error": "bias += eta*kappa"}, "its on_error reads 'kappa', which does not exist", CELL),
        ({"on_pre": {"forward": "V_post += w*u"}}, "its pathway 'forward' reads 'u', which", None),
        ({"on_post": {"error": "w += x_pre*V"}}, "its pathway 'error' reads 'V', which", None),
        ({"on_broadcast": "A_post += c*E_pre"}, "its on_broadcast reads 'c', which does not exist", None),
        ({"cell_equations": "drift = 2*slow : 1"}, "its cell_equations reads 'slow', which does not exist", None),
        (
            {"synapse_equations": ErrorRelay.code.synapse_equations + "both = w*wrong_pre : 1"},
            "its synapse_equations reads 'wrong_pre', which does not exist",
            None,
        ),
    ],
)
def test_a_variable_that_does_not_exist(changes, start, known):
    rule = odd(**changes)
    advice = "; add it to the rule's equations, or read one of "
    message = rf"^Odd: {re.escape(start)}.*{advice}{known if known is not None else '.*'}\.$"
    with pytest.raises(CircuitError, match=message):
        cell_group(2, rule)
    plain = cell_group(2, ErrorRelay())
    with pytest.raises(CircuitError, match=re.escape(start)):
        synapse_group(plain, plain, rule)


def test_what_is_known_in_a_pathway_is_said():
    with pytest.raises(CircuitError) as caught:
        cell_group(1, odd(on_post={"error": "w += x_pre*V"}))
    known = str(caught.value).rpartition("read one of ")[2].rstrip(".").split(", ")
    assert {"w", "fb", "plastic", "V_pre", "V_post", "x_pre", "x_post"} <= set(known)
    assert "V" not in known


def test_own_variables_comments_and_brian2s_names_are_no_mistakes():
    rule = odd(
        cell_equations="drift = 2*kick + V : 1\nkick : 1\n",
        soma="clip(V + A + kick, -1, 1)",
        on_post={"error": "step = eta_post*kick_pre  # as kick says it\nw += step*exp(-dt/tau_m)/N_incoming"},
    )
    cells = cell_group(2, rule)
    synapses = synapse_group(cells, cells, rule)
    synapses.connect(i=0, j=1)
    Network(cells, synapses).run(2 * ms, namespace={})


def test_a_rule_that_does_not_broadcast_has_no_broadcast_synapses():
    assert build(graph(), ErrorRelay()).broadcast is None
    built = build(graph(), Broadcast())
    assert built.objects == (built.cells, built.synapses, built.broadcast)
    assert len(built.broadcast) == 5 * (6 + 4 + 5)
    senders = {built.circuit.populations[k].name for k in (4, 5)}
    assert senders == {"out", "other"}
    assert set(built.broadcast.i[:].tolist()) == set(range(20, 25))
    assert set(built.broadcast.j[:].tolist()) == set(range(5, 20))


def test_broadcast_group_between_groups_of_ones_own():
    rule = Broadcast(theta=1.0, gain=0.5)
    source, hidden = cell_group(1, rule), cell_group(2, rule)
    synapses = broadcast_group(source, hidden, rule)
    synapses.connect()
    synapses.b = [0.4, -0.2]
    source.E = 2.0
    Network(source, hidden, synapses).run(1 * ms, namespace={})
    np.testing.assert_allclose(hidden.A[:], 0.5 * 1.05170918 * np.array([0.4, -0.2]), rtol=1e-8)
