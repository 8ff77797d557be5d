"""A series of items: how well comparisons are known, walks, and what thought makes of them, with numbers by hand."""

import numpy as np
import pytest
from bioplastic_models import association, item_series, thinking
from bioplastic_models.item_series import Walk

N = association.N_CELLS


def test_distance_slope_by_hand():
    # Four items: distance 2 twice on each side, 3 once. Margins 1 and 3 at distance 2, 4 at 3.
    margin = np.full((4, 4), 100.0)
    margin[0, 2], margin[1, 3], margin[0, 3] = 1, 3, 4
    margin[2, 0], margin[3, 1], margin[3, 0] = 1, 3, 4
    assert item_series.distance_slope(margin) == pytest.approx(2)  # from a mean of 2 to 4 in one place


def test_distance_slope_is_weighted_by_pairs():
    # Five items: six margins at distance 2 (0), four at 3 (0), two at 4 (1). Distances have mean 8/3.
    margin = np.zeros((5, 5))
    margin[0, 4] = margin[4, 0] = 1
    squares = 6 * (2 / 3) ** 2 + 4 * (1 / 3) ** 2 + 2 * (4 / 3) ** 2
    assert item_series.distance_slope(margin) == pytest.approx(2 * (4 / 3) / squares)


def test_inner_slope_leaves_out_both_ends():
    inner = np.zeros((4, 4))
    inner[0, 3] = inner[3, 0] = 3
    margin = np.full((6, 6), np.nan)
    margin[1:-1, 1:-1] = inner
    assert item_series.distance_slope(margin, inner=True) == pytest.approx(3)


def test_distance_slope_needs_two_distances():
    with pytest.raises(ValueError, match="3 items have fewer than two distances"):
        item_series.distance_slope(np.zeros((3, 3)))
    with pytest.raises(
        ValueError, match="3 inner items have fewer than two distances beyond neighbours; give at least"
    ):
        item_series.distance_slope(np.zeros((5, 5)), inner=True)


def test_by_distance_by_hand():
    values = np.array([[9.0, 1, 5], [2, 9, 3], [7, 4, 9]])
    assert item_series.by_distance(values) == pytest.approx([2.5, 6])
    assert item_series.by_distance(np.stack([values, 2 * values])) == pytest.approx(np.array([[2.5, 6], [5, 12]]))


def test_far_from_neighbours_weighs_by_pairs():
    # Four items: three, two and one pair at distances 1, 2 and 3.
    assert item_series.far_from(np.array([7.0, 0.3, 0.9])) == pytest.approx((2 * 0.3 + 0.9) / 3)


def test_margins_by_hand():
    answer = np.repeat([[0.75, 0.25], [0.5, 0.25], [0.5, 0.5]], N // 2, axis=1)
    assert item_series.margins(answer, np.array([0, 3, 1]), np.array([2, 1, 4])) == pytest.approx([1, -0.5, 0])


def test_taught_answers_have_a_margin_of_one():
    first, second = item_series.ordered_pairs(4)
    assert item_series.margins(item_series.answers(first, second), first, second) == pytest.approx(np.ones(12))


def test_nearest_item():
    items = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert item_series.nearest(np.array([[0.4, 5.0], [0.6, -5.0]]), items).tolist() == [0, 1]


def test_mean_at_each_step_by_hand():
    step = np.array([1, 1, 2])
    assert item_series.by_step(np.array([1.0, 3, 5]), step) == pytest.approx([2, 5])
    assert item_series.by_step(np.array([[1.0, 3, 5], [2, 2, 7]]), step) == pytest.approx([2, 6])


def walked():
    """Three items; walks from the first (right both times) and from the second, which comes to the first again."""
    x = np.array([[0.2], [0.4], [0.6]]) + np.zeros(N)
    pattern = np.array([[0.41], [0.2], [0.55]]) + np.zeros(N)
    return x, Walk(np.array([0, 1, 0]), np.array([1, 1, 2]), pattern, x[[0, 1, 1]])


def test_a_walk_has_arrived_where_it_is_nearest_to_the_right_item():
    x, walk = walked()
    assert item_series.arrived(walk, x).tolist() == [True, False, True]
    assert item_series.by_step(item_series.arrived(walk, x), walk.step) == pytest.approx([0.5, 1])


def test_a_walk_answers_by_its_first_comparison_if_it_arrives():
    x, walk = walked()
    first_wins, last_wins = np.repeat([[0.75, 0.25], [0.25, 0.75]], N // 2, axis=1)
    # First item ahead: right, right; and of the second step wrong, which is not asked for. Behind: wrong, right.
    answer = np.stack([first_wins, first_wins, last_wins, first_wins, last_wins, last_wins])
    found = item_series.thought_through(walk, x, answer)
    assert found.tolist() == [[True, False, True], [False, False, False]]
    assert item_series.by_step(found, walk.step) == pytest.approx([1 / 4, 1 / 2])


def test_score_of_a_series_looks_at_neighbours_only():
    rng = np.random.default_rng(0)
    x = rng.random((4, N))
    first, second = item_series.ordered_pairs(4)
    says = np.where((np.abs(first - second) == 1)[:, None], item_series.answers(first, second), rng.random((12, N)))
    assert item_series.learned(x, x[1:], says) == pytest.approx(1)
    assert item_series.learned(x, -x[1:], says) == pytest.approx(0)
    assert item_series.learned(x, x[1:], 1 - says) == pytest.approx(0)


def test_a_walk_teaches_the_answer_of_its_first_step():
    x = item_series.draw(4, 0)
    start, step = np.array([0, 1, 2, 0, 1, 0]), np.array([1, 1, 1, 2, 2, 3])
    pattern = np.full((6, N), 0.3) + 0.01 * np.arange(6)[:, None]
    walk = Walk(start, step, pattern, pattern + 0.1)
    answer = np.arange(12.0)[:, None] / 20 + np.zeros(N)

    def thoughts(arm):
        return item_series.thoughts(x, walk, answer, arm, rng=np.random.default_rng(0), n_repeats=3)

    session = thoughts(thinking.LOOP)
    assert session.outcome[:12, N] == pytest.approx(np.array([0, 1, 2, 0, 1, 0, 6, 7, 8, 6, 7, 6]) / 20)
    assert session.shown[4] == pytest.approx(np.hstack([x[1], pattern[4]]))
    assert session.shown[10] == pytest.approx(np.hstack([pattern[4], x[1]]))
    assert session.shown[12:] == pytest.approx(thinking.held(a=walk.before))
    assert session.outcome[12:, :N] == pytest.approx(pattern)
    sham = thoughts(thinking.SHAM)
    assert sham.outcome[:12, N] == pytest.approx(np.arange(12) / 20)
    met = thoughts(thinking.MET)
    assert met.shown[4] == pytest.approx(np.hstack([x[1], x[3]]))
    assert met.outcome[4, N:] == pytest.approx(item_series.answers(np.array([1]), np.array([3]))[0])
    assert met.outcome[10, N:] == pytest.approx(item_series.answers(np.array([3]), np.array([1]))[0])
    assert sorted(session.order) == sorted([*range(18)] * 3)
    assert len(session.probed) == 12


@pytest.mark.parametrize("arm", [thinking.SHUFFLED, thinking.OFF, thinking.ONLY])
def test_other_controls_hold_the_same_in_the_same_order(arm):
    x = item_series.draw(4, 0)
    start, step = np.array([0, 1, 2, 0, 1, 0]), np.array([1, 1, 1, 2, 2, 3])
    pattern = np.full((6, N), 0.3) + 0.01 * np.arange(6)[:, None]
    answer = np.arange(12.0)[:, None] / 20 + np.zeros(N)
    loop, other = (
        item_series.thoughts(
            x, Walk(start, step, pattern, pattern + 0.1), answer, a, rng=np.random.default_rng(0), n_repeats=2
        )
        for a in (thinking.LOOP, arm)
    )
    assert (other.shown == loop.shown).all()
    assert (other.order == loop.order).all()
    assert other.quiet == (arm in thinking.QUIET)
    told = [session.outcome[:12, N] for session in (loop, other)]
    assert sorted(told[0]) == pytest.approx(sorted(told[1]))
    assert (told[0] != told[1]).any() == (arm == thinking.SHUFFLED)


def test_experience_is_of_neighbours_alone():
    x = item_series.draw(4, 0)
    follows, compares = item_series.experience(x, 2, np.random.default_rng(0))
    assert follows.shown == pytest.approx(thinking.held(a=x[:3]))
    assert follows.outcome[:, :N] == pytest.approx(x[1:])
    assert np.isnan(follows.outcome[:, N:]).all()
    assert compares.shown[3] == pytest.approx(np.hstack([x[1], x[0]]))
    first, second = np.array([0, 1, 2, 1, 2, 3]), np.array([1, 2, 3, 0, 1, 2])
    assert compares.outcome[:, N:] == pytest.approx(item_series.answers(first, second))
    assert len(compares.order) == 12
