"""Fixed random feedback: where the weights come from, and that they stay while forward weights learn."""

import numpy as np
import pytest
from brian2 import EventMonitor, Network, ms
from small_networks import chain, graph, random_weights

from bioplastic.circuit import Weights
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.spiking.network import build, unflat

pytestmark = pytest.mark.usefixtures("numpy_target")


def test_only_the_size_of_the_forward_weights_counts():
    circuit, rng = graph(), np.random.default_rng(0)
    weights = random_weights(circuit, rng)
    feedback = random_feedback(circuit, weights, seed=1)
    mirrored = Weights({k: -w[::-1, ::-1] for k, w in weights.forward.items()}, weights.bias)
    tripled = Weights({k: 3 * w for k, w in weights.forward.items()}, weights.bias)
    for p in circuit.projections:
        fb = feedback.weights[p.name]
        assert fb.shape == circuit.shape(p)
        np.testing.assert_allclose(random_feedback(circuit, mirrored, seed=1).weights[p.name], fb, rtol=1e-12)
        np.testing.assert_allclose(random_feedback(circuit, tripled, seed=1).weights[p.name], 3 * fb, rtol=1e-12)
        np.testing.assert_array_equal(random_feedback(circuit, weights, seed=1).weights[p.name], fb)
        assert not np.array_equal(random_feedback(circuit, weights, seed=2).weights[p.name], fb)


def test_random_feedback_is_as_large_as_the_forward_weights_and_independent_of_them():
    circuit = chain("sao", size=100)
    shape = (100, 100)
    drawn = np.random.default_rng(7)  # with the very seed that is then given for the feedback
    forward = {p.name: drawn.normal(0, 0.3, shape) for p in circuit.projections}
    bias = {name: np.zeros(100) for name in "ao"}
    for name, fb in random_feedback(circuit, Weights(forward, bias), seed=7).weights.items():
        np.testing.assert_allclose(np.sqrt(np.mean(fb**2)), 0.3, rtol=0.03)
        assert abs(np.corrcoef(fb.ravel(), forward[name].ravel())[0, 1]) < 0.04  # four standard errors


def test_feedback_stays_while_forward_weights_learn():
    circuit = chain("sao")
    weights = random_weights(circuit, np.random.default_rng(0))
    feedback = random_feedback(circuit, weights, seed=1)
    built = build(circuit, ErrorRelay(theta=0.1, eta=0.05), weights, feedback=feedback)
    built.population("o").clamp = 1
    built.population("s").target = 0.5
    errors = EventMonitor(built.cells, "error")
    Network(*built.objects, errors).run(150 * ms, namespace={})
    assert errors.count[:][circuit.slices["a"]].sum() > 10  # they carried something
    w, fb = unflat(circuit, np.array(built.synapses.w[:])), unflat(circuit, np.array(built.synapses.fb[:]))
    for name in w:
        np.testing.assert_array_equal(fb[name], feedback.weights[name])
        assert not np.array_equal(w[name], weights.forward[name])
