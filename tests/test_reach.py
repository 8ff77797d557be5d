"""Measures of reach, against numbers computed by hand."""

import warnings

import numpy as np
import pytest

from bioplastic import reach
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.statistics import explained, interval, slope, spread

CHAIN = Circuit(
    (Population("x", 2, "input"), Population("h", 2), Population("y", 1, "error source")),
    (Projection("x", "h"), Projection("h", "y")),
)


def weights(h: list[list[float]], y: list[list[float]]) -> dict[str, np.ndarray]:
    return {"x_to_h": np.array(h), "h_to_y": np.array(y)}


def test_weights_are_sorted_by_hops_upstream_not_by_order_of_projections():
    (hop0,), (hop1,) = reach.by_hop(CHAIN, weights([[1, 2], [3, 4]], [[5, 6]]))
    assert hop0.tolist() == [5, 6]
    assert hop1.tolist() == [1, 2, 3, 4]


def test_relative_change_is_distance_by_size_of_the_start():
    start = weights([[0, 2], [0, 0]], [[3, 4]])
    one, other = weights([[0, 2], [1, 0]], [[3, 4]]), weights([[0, 2], [0, 0]], [[0, 0]])
    assert reach.relative_change(CHAIN, one, other, start).tolist() == [1.0, 0.5]
    assert (reach.relative_change(CHAIN, one, one, start) == 0).all()


def test_unbiased_change_is_that_which_lives_share():
    start, same = [np.full(4, 2.0), np.ones(9)], [np.zeros(4), np.zeros(9)]
    some = [[np.array([3.0, 4.0, 0.0, 0.0]), 8 * np.eye(9)[0]], [np.array([3.0, 4.0, 0.0, 0.0]), 2 * np.eye(9)[0]]]
    # 5 by 4 in the first group; in the second the root of 8 times 2, by 3.
    np.testing.assert_allclose(reach.unbiased_change(some, [same, same], start), [5 / 4, 4 / 3])
    np.testing.assert_allclose(reach.unbiased_change(some[:1], [same], start), [5 / 4, 8 / 3])
    opposite = [[some[0][0], 8 * np.eye(9)[0]], [some[0][0], -8 * np.eye(9)[0]]]
    np.testing.assert_allclose(reach.unbiased_change(opposite, [same, same], start), [5 / 4, 0])


def test_alignment_is_a_cosine_and_unknown_where_nothing_changed():
    gradient = weights([[1, 0], [0, 0]], [[1, 1]])
    found = reach.alignment(CHAIN, weights([[0, 0], [0, 0]], [[0, 2]]), gradient)
    assert found[0] == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(found[1])
    assert reach.alignment(CHAIN, weights([[-3, 0], [0, 0]], [[0, 2]]), gradient)[1] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [([2, 2, 2], 2), ([2, 2, 0], 1), ([2, 0, 2], 0), ([0, 2, 2], -1), ([1, 2, 2], -1)],
)
def test_reach_is_the_last_hop_of_the_unbroken_stretch(change: list[float], expected: int):
    assert reach.reach(change, [1, 1, 1]) == expected


def test_reach_against_a_floor_of_zero_counts_any_change_at_all():
    assert reach.reach([1e-300, 1e-300, 0], [0, 0, 0]) == 1


def test_arrival_is_the_first_occurrence_at_which_a_hop_is_reached():
    change = [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    found = reach.arrival(change, np.full((3, 3), 0.5), [1, 4, 9])
    assert found[:2].tolist() == [1, 4]
    assert np.isnan(found[2])


def test_front_speed_is_hops_by_the_occurrence_at_which_the_front_got_there():
    assert reach.front_speed([0, 1, 3, 3], [1, 2, 8, 30]) == 4 / 8
    assert reach.front_speed([11, 11], [1, 30]) == 12  # everywhere at once
    assert reach.front_speed([-1, -1], [1, 2]) == 0
    assert reach.front_speed([2, 1], [1, 2]) == 3  # what comes back does not count


def test_time_per_hop_is_the_slope_over_the_hops_that_are_reached():
    assert reach.time_per_hop([5, 19, 33, np.nan]) == pytest.approx(14)
    assert np.isnan(reach.time_per_hop([5, 19, np.nan, np.nan]))


def test_first_difference_by_hand():
    """Cells 0 and 1 are at hop 0, cell 2 at hop 1, cell 3 at hop 2."""
    hop = np.array([0, 0, 1, 2])
    one = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 2, 3]), np.array([1, -1, 1, 1])
    same = tuple(column.copy() for column in one)
    assert np.isnan(reach.first_difference(one, same, hop, 3)).all()
    other = np.array([1.0, 2.0, 2.5, 4.0]), np.array([0, 1, 2, 3]), np.array([1, 1, 1, 1])
    # hop 0: another sign at 2; hop 1: a spike at 2.5 that is at 3 in the first run; hop 2: the same
    np.testing.assert_array_equal(reach.first_difference(one, other, hop, 3), [2.0, 2.5, np.nan])
    silent = tuple(column[:0] for column in one)
    np.testing.assert_array_equal(reach.first_difference(one, silent, hop, 3), [1.0, 3.0, 4.0])


def test_by_occurrence_adds_up_the_events_after_each_and_stops_at_the_next():
    rare = np.array([0, 1, 0, 0, 0, 1, 1, 0], bool)
    per_event = np.array([[100.0], [1], [2], [4], [100], [8], [16], [32]])
    assert reach.by_occurrence(rare, per_event, 3).ravel().tolist() == [7, 8, 48]


def test_screening_length_of_an_exponential_is_its_length():
    change = np.exp(-np.arange(8) / 2.5)
    assert reach.screening_length(change, np.zeros(8)) == pytest.approx(2.5)
    assert reach.screening_length(change, np.full(8, change[4])) == pytest.approx(2.5)  # only hops 0 to 3 count
    assert reach.screening_length(np.ones(8), np.zeros(8)) == np.inf
    assert np.isnan(reach.screening_length(change, np.full(8, change[2])))  # two hops make no slope


def test_change_at_matched_improvement_lies_between_the_snapshots():
    change = [[2.0, 0.0], [4.0, 1.0]]
    assert reach.at_improvement(change, [0.2, 0.6], 0.4).tolist() == pytest.approx([3.0, 0.5])
    assert reach.at_improvement(change, [0.2, 0.6], 0.1).tolist() == pytest.approx([1.0, 0.0])
    assert np.isnan(reach.at_improvement(change, [0.2, 0.6], 0.7)).all()


def test_spread_is_a_root_mean_square_over_seeds():
    assert spread([[3.0, 0.0], [-4.0, 0.0]]).tolist() == pytest.approx([np.sqrt(12.5), 0.0])


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    low, high = interval(rng.normal(5, 1, (200, 20)))
    assert 0.88 < ((low < 5) & (high > 5)).mean() < 0.99
    assert np.median(high - low) == pytest.approx(2 * 1.96 / np.sqrt(20), rel=0.15)


def test_interval_of_equal_single_and_missing_seeds():
    low, high = interval([[2.0, 2.0], [3.0, np.nan], [np.nan, np.nan]])
    assert low[:2].tolist() == high[:2].tolist() == [2.0, 3.0]
    assert np.isnan(low[2])


def test_slope_along_an_axis():
    values = np.array([[[1.0, 2.0, 4.0], [0.0, np.nan, 4.0], [np.nan, np.nan, 1.0]]])
    found = slope(values, [0.0, 1.0, 2.0])
    # Least squares of 1, 2, 4 over 0, 1, 2: sum of (x - 1)(y - 7/3) by that of (x - 1)^2 is 3/2.
    assert found[0, :2].tolist() == pytest.approx([1.5, 2.0])
    assert np.isnan(found[0, 2])
    assert slope(values[:, :2].swapaxes(1, 2), [0.0, 1.0, 2.0], axis=1)[0].tolist() == pytest.approx([1.5, 2.0])


def test_weights_that_moved():
    """The root mean square of the weights is 1, so that one of four moves by more than a hundredth, and two not."""
    circuit = Circuit(
        (Population("x", 2, "input"), Population("c", 1, "input"), Population("y", 2, "error source")),
        (Projection("x", "y"), Projection("c", "y", plastic=False)),
    )
    old = {"x_to_y": np.array([[1.0, -1.0], [1.0, -1.0]]), "c_to_y": np.ones((2, 1))}
    new = {"x_to_y": np.array([[1.011, -1.0], [1.009, -1.0]]), "c_to_y": 2 * np.ones((2, 1))}
    found = reach.moved(circuit, Weights(old, {"y": np.zeros(2)}), Weights(new, {"y": np.zeros(2)}))
    np.testing.assert_allclose(found, [[0.25], [0.5]])
    np.testing.assert_array_equal(reach.n_plastic(circuit), [4])
    all_fixed = Circuit(
        circuit.populations, tuple(Projection(p.source, p.target, plastic=False) for p in circuit.projections)
    )
    assert np.isnan(reach.moved(all_fixed, Weights(old, {}), Weights(new, {}))).all()


def test_projections_of_one_hop_are_taken_together():
    """Two projections into the error source, each with its own scale: one of the four weights moves."""
    circuit = Circuit(
        (Population("x", 1, "input"), Population("z", 3, "input"), Population("y", 1, "error source")),
        (Projection("x", "y"), Projection("z", "y")),
    )
    old = {"x_to_y": np.array([[100.0]]), "z_to_y": np.ones((1, 3))}
    new = {"x_to_y": np.array([[100.5]]), "z_to_y": np.array([[1.0, 1.5, 1.0]])}
    np.testing.assert_allclose(reach.moved(circuit, Weights(old, {}), Weights(new, {})), [[0.25], [0.5]])


def test_spread_of_what_no_seed_has_is_unknown():
    with warnings.catch_warnings(action="error"):
        found = spread([[3.0, np.nan], [np.nan, np.nan]])
    assert found[0] == 3 and np.isnan(found[1])


def test_variance_explained_by_a_line():
    x = np.array([0.0, 1.0, 2.0])
    assert explained([0.0, 1.0, 2.0], x) == pytest.approx(1)
    # Of 0, 1, 0 over -1, 0, 1 a line explains nothing; of 0, 0, 1 the slope is 1/2: 1/2 of 2/3 is 3/4.
    assert explained([0.0, 1.0, 0.0], x) == pytest.approx(0, abs=1e-12)
    assert explained([0.0, 0.0, 1.0], x) == pytest.approx(0.75)
    assert explained([[0.0, np.nan], [0.0, 1.0]], [[0.0, 9.0], [1.0, 2.0]]) == pytest.approx(0.75)
    assert np.isnan(explained(np.ones(3), x))
    assert np.isnan(explained(np.full(3, np.nan), x))


def test_along_a_direction_counts_what_goes_there_and_nothing_that_is_orthogonal():
    direction = weights([[0, 3], [4, 0]], [[0, 0]])
    found = reach.along(CHAIN, weights([[9, 3], [4, 0]], [[1, 1]]), direction)
    assert found.tolist() == [0, 5]  # no direction at hop 0
    assert reach.along(CHAIN, weights([[0, -6], [-8, 0]], [[1, 1]]), direction)[1] == -10


def test_events_that_are_equivalent_are_read_at_the_smaller_end():
    floor = [[0, 0, 0.1]] * 2
    # One kind gets to 1.5 after 8 events, the other after 1.5; then one to 2 after 4 and the other after 2.
    assert reach.equivalent([[0, 1, 1.5], [0, 1, 2]], [[0, 4, 8], [0, 1, 2]], floor) == pytest.approx(8 / 1.5)
    assert reach.equivalent([[0, 2, 4], [0, 1, 2]], [[0, 4, 8], [0, 1, 2]], floor) == 2
    # What falls again counts as what it was.
    assert reach.equivalent([[0, 3, 2], [0, 1, 2]], [[0, 3, 8], [0, 1, 2]], floor) == pytest.approx(2 / 2)


def test_nothing_is_equivalent_to_noise_or_to_no_event():
    floor = [[0, 0, 0.1]] * 2
    assert np.isnan(reach.equivalent([[0, 0, 0.05], [0, 1, 2]], [[0, 4, 8], [0, 1, 2]], floor))
    assert np.isnan(reach.equivalent([[0, 1, 2], [0, 1, 2]], [[0, 4, 8], [0, 0, 0]], floor))
