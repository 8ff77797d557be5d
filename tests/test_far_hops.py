"""Rules that learn only from some hop upstream on."""

import numpy as np
import pytest
from bioplastic_models import chain
from bioplastic_models.far_hops import FarBackprop, from_hop
from brian2 import ms

from bioplastic.circuit import Weights
from bioplastic.events import Event, Schedule, Timing
from bioplastic.life import Life
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.models import model
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import random_patterns


def test_backprop_of_far_hops():
    assert FarBackprop(0.5, nearest=2).rates(4).tolist() == [0, 0, 0.5, 0.5]
    assert FarBackprop(0.5).rates(3).tolist() == [0.5] * 3


def test_a_relay_of_far_hops_is_otherwise_the_same():
    relay = chain.screened(0.01, 4)
    far = from_hop(relay, 2)
    assert {**far.cell_values, "nearest": None} == {**relay.cell_values, "nearest": None}
    assert far.cell_values["nearest"] == 2


@pytest.mark.slow
def test_the_relay_from_hop_0_is_the_error_relay_and_from_hop_1_leaves_hop_0(numpy_target):
    circuit = chain.circuit(2, n_cells=4, n_outputs=3)
    task = random_patterns(2, 4, 3, seed=0)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 1, circuit.shape(p)) for p in circuit.projections}, {"h1": np.zeros(4), "y": np.zeros(3)}
    )
    relay = ErrorRelay(theta=0.2, eta=0.05)
    timing = Timing(lead=100 * ms, outcome=100 * ms, gap=10 * ms)

    def lived(rule) -> Weights:
        runtime = model(ModelSpec(circuit, rule, 2, 2, n_steps=30, n_snapshots=0), task, compiled=False)
        return runtime.live(Life(Schedule.of([Event(0, 0)]), rule, weights, timing)).weights

    plain, all_hops, far = lived(relay), lived(from_hop(relay, 0)), lived(from_hop(relay, 1))
    for one, same in ((plain.forward, all_hops.forward), (plain.bias, all_hops.bias)):
        for name in one:
            np.testing.assert_array_equal(one[name], same[name])
    assert np.abs(plain.forward["h1_to_y"] - weights.forward["h1_to_y"]).max() > 0
    np.testing.assert_array_equal(far.forward["h1_to_y"], weights.forward["h1_to_y"])
    np.testing.assert_array_equal(far.bias["y"], weights.bias["y"])
    assert np.abs(far.forward["x_to_h1"] - weights.forward["x_to_h1"]).max() > 0
    assert np.abs(far.bias["h1"]).max() > 0
