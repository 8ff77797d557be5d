"""Measures of reach, against numbers computed by hand."""

import warnings

import numpy as np
import pytest

from bioplastic import reach
from bioplastic.circuit import Circuit, Population, Projection
from bioplastic.statistics import explained, first_reaching, spread, survival

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
    assert reach.spread([[3.0, 0.0], [-4.0, 0.0]]).tolist() == pytest.approx([np.sqrt(12.5), 0.0])


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    low, high = reach.interval(rng.normal(5, 1, (200, 20)))
    assert 0.88 < ((low < 5) & (high > 5)).mean() < 0.99
    assert np.median(high - low) == pytest.approx(2 * 1.96 / np.sqrt(20), rel=0.15)


def test_interval_of_equal_single_and_missing_seeds():
    low, high = reach.interval([[2.0, 2.0], [3.0, np.nan], [np.nan, np.nan]])
    assert low[:2].tolist() == high[:2].tolist() == [2.0, 3.0]
    assert np.isnan(low[2])


def test_slope_along_an_axis():
    values = np.array([[[1.0, 2.0, 4.0], [0.0, np.nan, 4.0], [np.nan, np.nan, 1.0]]])
    found = reach.slope(values, [0.0, 1.0, 2.0])
    # Least squares of 1, 2, 4 over 0, 1, 2: sum of (x - 1)(y - 7/3) by that of (x - 1)^2 is 3/2.
    assert found[0, :2].tolist() == pytest.approx([1.5, 2.0])
    assert np.isnan(found[0, 2])
    assert reach.slope(values[:, :2].swapaxes(1, 2), [0.0, 1.0, 2.0], axis=1)[0].tolist() == pytest.approx([1.5, 2.0])


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


def test_the_first_look_at_a_level_or_none():
    when = np.array([10.0, 20.0, np.nan, 100.0])
    assert first_reaching([0.1, 0.5, np.nan, 0.9], when, 0.5) == 20
    assert first_reaching([0.1, 0.4, np.nan, 0.6], when, 0.5) == 100
    assert np.isnan(first_reaching([0.1, 0.4, np.nan, 0.4], when, 0.5))


def test_survival_is_that_of_kaplan_and_meier():
    # At 10 one of four is corrected, at 20 one of the two that are still watched (one left at 15): 3/4, then 3/8.
    time, alive = survival(np.array([10.0, 15.0, 20.0, 30.0]), np.array([True, False, True, False]))
    at = dict(zip(time.tolist(), alive.tolist(), strict=True))
    assert at[0] == 1
    assert at[10] == pytest.approx(3 / 4)
    assert at[20] == pytest.approx(3 / 8)
    assert alive[-1] == pytest.approx(3 / 8)


def test_survival_without_a_correction_stays_at_1():
    _, alive = survival(np.array([30.0, 30.0]), np.array([False, False]))
    assert (alive == 1).all()
