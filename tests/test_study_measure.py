"""What is measured of lives, with numbers by hand."""

import numpy as np
from bioplastic_models import chain

from bioplastic.study import measure
from bioplastic.tasks import random_patterns


def test_cosines_of_feedback_by_hop():
    """Hop 0 is the last projection; 3 4 0 0 against 4 3 0 0 has cosine 24/25."""
    circuit = chain.circuit(2, n_cells=2, n_outputs=2)
    first, last = (p.name for p in circuit.projections)
    forward = {first: np.eye(2), last: np.array([[3.0, 4.0], [0.0, 0.0]])}
    feedback = {first: -2 * np.eye(2), last: np.array([[4.0, 3.0], [0.0, 0.0]])}
    np.testing.assert_allclose(measure.feedback_alignment(circuit, forward, feedback), [0.96, -1.0])


def test_fraction_right_in_each_part_of_what_was_shown():
    task = random_patterns(4, 3, 4, seed=0)  # each pattern has a label of its own
    prediction = np.eye(4)[[0, 2, 2, 3, 1]]
    assert measure.fraction_right(task, prediction, [np.array([0, 1]), np.array([2, 3, 3])]) == (0.5, 2 / 3)
