"""Learned feedback: hand numbers, the exact fall of the difference, and alignment that grows from random."""

import numpy as np
import pytest
from brian2 import EventMonitor, Network, ms
from small_networks import (
    BOTH,
    SYNAPSE,
    after_one_error_spike,
    assert_state,
    chain,
    cosine,
    graph,
    matrix,
    one_error_spike,
    random_feedback_for,
    random_weights,
)

from bioplastic.circuit import Feedback
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.rules.learned_feedback import LearnedFeedback
from bioplastic.spiking.network import build, unflat
from bioplastic.units import UnitError

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_one_error_spike_by_hand(step, sign):
    """Both weights lose a quarter and get the same; the spikes of this step meet the old ones."""
    after = one_error_spike(step, LearnedFeedback(theta=1.0, gain=0.5, eta=0.1, decay=0.25), sign)
    changed = {
        "w": [[0, 0], [0.225 + sign * 0.0475614712, 0]],
        "fb": [[0, 0], [0.3 + sign * 0.0475614712, 0]],
    }
    assert_state(after, after_one_error_spike(sign) | changed)


@pytest.mark.parametrize("step", BOTH)
def test_a_fixed_synapse_neither_learns_nor_decays(step):
    rule = LearnedFeedback(theta=1.0, gain=0.5, eta=0.1, decay=0.25)
    after = one_error_spike(step, rule, 1, plastic=np.zeros((2, 2)))
    assert_state(after, after_one_error_spike(1) | {"w": 0.3 * SYNAPSE})


@pytest.mark.parametrize("step", BOTH)
def test_without_a_learning_rate_weights_still_decay(step):
    after = one_error_spike(step, LearnedFeedback(theta=1.0, gain=0.5, decay=0.25), 1)
    np.testing.assert_allclose(after.w, 0.225 * SYNAPSE, atol=1e-15)
    np.testing.assert_allclose(after.fb, 0.3 * SYNAPSE, atol=1e-15)


def test_the_difference_shrinks_by_the_same_factor_with_every_error_spike():
    circuit, rng, rule = graph(), np.random.default_rng(1), LearnedFeedback(theta=0.1, eta=0.02, decay=0.01)
    weights = random_weights(circuit, rng)
    feedback = random_feedback_for(rule, circuit, rng)
    built = build(circuit, rule, weights, feedback=feedback)
    built.cells.target = rng.random(circuit.n_cells)
    for name in ("out", "other"):
        built.population(name).clamp = 1
    errors = EventMonitor(built.cells, "error")
    Network(*built.objects, errors).run(300 * ms, namespace={})
    n = np.array(errors.count[:])
    assert len(set(n.tolist())) > 10  # from none to many
    assert n.max() > 50
    plastic = matrix(circuit, {p.name: np.full(circuit.shape(p), float(p.plastic)) for p in circuit.projections})
    start = matrix(circuit, weights.forward) - matrix(circuit, feedback.weights)
    found = [
        matrix(circuit, unflat(circuit, np.array(values))) for values in (built.synapses.w[:], built.synapses.fb[:])
    ]
    np.testing.assert_allclose(found[0] - found[1], start * 0.99 ** (plastic * n[:, None]), rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "n_events"),
    [
        (LearnedFeedback(theta=0.1, eta=0.1, gain=4, decay=0.01), 9),
        (ErrorRelay(theta=0.1, eta=0.1, gain=4), 9),
    ],
    ids=["learned", "fixed"],
)
def test_alignment_grows_from_random(rule, n_events):
    """Forward and feedback weights turn to each other at every hop; where feedback is fixed they hardly do."""
    circuit, rng = chain("sabo", size=8), np.random.default_rng(0)
    weights = random_weights(circuit, rng)
    feedback = random_feedback(circuit, weights, seed=2)
    stimuli, outcomes = rng.choice([0.1, 0.9], (2, 4, 8))
    built = build(circuit, rule, weights, feedback=feedback)
    network = Network(*built.objects)
    built.population("o").clamp = 1
    alignment = []
    for event in range(n_events + 1):
        w, fb = (unflat(circuit, np.array(values)) for values in (built.synapses.w[:], built.synapses.fb[:]))
        alignment.append([cosine(w[p.name], fb[p.name]) for p in circuit.projections])
        built.population("s").target = stimuli[event % 4]
        built.population("o").target = outcomes[event % 4]
        network.run(150 * ms, namespace={})
    assert np.abs(alignment[0]).max() < 0.25
    if isinstance(rule, ErrorRelay):
        assert max(alignment[-1]) < 0.4
        return
    assert np.all(np.array(alignment[-1]) > np.array(alignment[0]) + 0.4)
    assert np.mean(alignment[-1]) > 0.7


def test_feedback_is_the_forward_weights_by_default():
    circuit = graph()
    weights = random_weights(circuit, np.random.default_rng(0))
    built = build(circuit, LearnedFeedback(), weights)
    np.testing.assert_array_equal(built.synapses.fb[:], built.synapses.w[:])
    other = Feedback({name: -w for name, w in weights.forward.items()})
    built = build(circuit, LearnedFeedback(), weights, feedback=other)
    np.testing.assert_array_equal(built.synapses.fb[:], -built.synapses.w[:])


@pytest.mark.parametrize(
    ("decay", "message"),
    [
        (1.5, "decay = 1.5 is outside what is allowed: 0 to 1."),
        (-0.1, "decay = -0.1 is outside what is allowed: 0 to 1."),
        (np.nan, "decay is NaN; give a number."),
        (1 * ms, "decay = 1. ms is in s; it needs no unit."),
    ],
)
def test_bad_decay(decay, message):
    with pytest.raises(UnitError) as caught:
        LearnedFeedback(decay=decay)
    assert str(caught.value) == message
