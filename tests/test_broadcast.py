"""Broadcast: hand numbers, where its weights come from, what is refused."""

import re

import numpy as np
import pytest
from small_networks import (
    BOTH,
    SYNAPSE,
    after_one_error_spike,
    assert_state,
    chain,
    graph,
    one_error_spike,
    outside,
    random_weights,
    state,
)

from bioplastic.circuit import CircuitError, Feedback
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.spiking.network import build

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.parametrize("step", BOTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_one_error_spike_by_hand(step, sign):
    """As the error relay, but that the apical dendrite hears through the broadcast weight, here 0.4 as well."""
    after = one_error_spike(step, Broadcast(theta=1.0, gain=0.5, eta=0.1), sign)
    assert_state(after, after_one_error_spike(sign))


@pytest.mark.parametrize("step", BOTH)
def test_error_spikes_of_hidden_cells_go_nowhere(step):
    # E = 0.97 + 0.1 (phi(1) - phi(0)) = 0.97 + 0.042044821 crosses 1; cell 0 is the hidden one
    before = state(A=[np.exp(0.1), 0], E=[0.97, 0], x=[0, 0.5], fb=0.4 * SYNAPSE, w=0.3 * SYNAPSE)
    after = step(Broadcast(theta=1.0, eta=0.1), before, outside())
    np.testing.assert_allclose(after.E, [0.012044821, 0], atol=1e-9)
    np.testing.assert_allclose(after.bias, [0.1, 0], atol=1e-9)
    np.testing.assert_allclose(after.A, [1, 0], atol=1e-9)
    np.testing.assert_array_equal(after.w, before.w)


def test_every_hidden_population_gets_weights_from_every_output_cell():
    circuit = graph()
    feedback = random_broadcast(circuit, 1)
    assert {name: w.shape for name, w in feedback.weights.items()} == {"a": (5, 6), "b": (5, 4), "c": (5, 5)}
    built = build(circuit, Broadcast(), random_weights(circuit, np.random.default_rng(0)), feedback=feedback)
    # row 3 is cell 0 of `other`, cell 23 of all; cell 2 of b is cell 13 of all
    assert built.broadcast.b[23, 13] == feedback.weights["b"][3, 2]
    assert built.broadcast.b[20, 5] == feedback.weights["a"][0, 0]
    assert not built.synapses.fb[:].any()


def test_random_broadcast_has_the_size_that_was_asked_for_and_its_seed():
    circuit = chain("abcd", size=200)
    for size in (1.0, 0.3):
        weights = random_broadcast(circuit, 5, size).weights["b"]
        np.testing.assert_allclose(np.sqrt((weights**2).sum(0)).mean(), size, rtol=0.02)
    again, other = random_broadcast(circuit, 5), random_broadcast(circuit, 6)
    np.testing.assert_array_equal(random_broadcast(circuit, 5).weights["c"], again.weights["c"])
    assert not np.array_equal(again.weights["b"], again.weights["c"])
    assert not np.array_equal(again.weights["c"], other.weights["c"])


def test_feedback_is_needed_and_must_fit():
    circuit = graph()
    weights = random_weights(circuit, np.random.default_rng(0))
    with pytest.raises(CircuitError, match=re.escape("give feedback=random_broadcast(circuit, seed) from bioplastic")):
        build(circuit, Broadcast(), weights)
    with pytest.raises(CircuitError, match=re.escape("feedback weights: missing ['a', 'b', 'c'], unknown ['a_to_b',")):
        build(circuit, Broadcast(), weights, feedback=Feedback(weights.forward))
    good = random_broadcast(circuit, 1).weights
    with pytest.raises(CircuitError, match=re.escape("of 'b' have shape (4, 5); the circuit needs (5, 4).")):
        build(circuit, Broadcast(), weights, feedback=Feedback({**good, "b": good["b"].T}))
