"""Thinking as learning: the measures by hand, what is held and what counts as outcome, the choice of rates."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import association
from brian2 import Hz, ms

from bioplastic.circuit import Feedback
from bioplastic.events import NO_OUTCOME, Kind

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "coherence.py"
N = association.N_CELLS


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


# ---------------------------------------------------------------------------------------- measures by hand


def test_agreement_takes_away_what_all_items_have_in_common(script):
    x = np.array([[1.0, 5.0], [3.0, 5.0]])  # deviations -1 0, 1 0
    y = np.array([[0.0, 9.0], [4.0, 5.0]])  # deviations -2 2, 2 -2
    # Sum of products 4, sums of squares 2 and 16.
    assert script.agreement(x, y) == pytest.approx(4 / np.sqrt(32))
    assert script.agreement(x, -y) == pytest.approx(-4 / np.sqrt(32))


def test_plain_agreement_by_hand(script):
    x = np.array([[1.0, 5.0], [3.0, 5.0]])  # minus 3.5: -2.5 1.5 -0.5 1.5, squares 11
    y = np.array([[0.0, 9.0], [4.0, 5.0]])  # minus 4.5: -4.5 4.5 -0.5 0.5, squares 41
    assert script.plain_agreement(x, y) == pytest.approx((11.25 + 6.75 + 0.25 + 0.75) / np.sqrt(11 * 41))


def test_patterns_that_share_only_their_mean_do_not_agree(script):
    rng = np.random.default_rng(0)
    mean = 10 * rng.standard_normal(50)
    x, y = mean + rng.standard_normal((2, 40, 50))
    assert script.plain_agreement(x, y) > 0.95
    assert abs(script.agreement(x, y)) < 0.1


def test_agreement_of_what_does_not_differ_is_nothing(script):
    assert np.isnan(script.agreement(np.ones((3, 2)), np.arange(6.0).reshape(3, 2)))


def test_agreement_needs_the_same_items(script):
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(3, 3\) cannot be compared; give one row per item"):
        script.agreement(np.zeros((2, 3)), np.zeros((3, 3)))


def test_distance_slope_by_hand(script):
    # Four items: distance 2 twice on each side, 3 once. Margins 1 and 3 at distance 2, 4 at 3.
    margin = np.full((4, 4), 100.0)
    margin[0, 2], margin[1, 3], margin[0, 3] = 1, 3, 4
    margin[2, 0], margin[3, 1], margin[3, 0] = 1, 3, 4
    assert script.distance_slope(margin) == pytest.approx(2)  # from a mean of 2 to 4 in one place


def test_distance_slope_is_weighted_by_pairs(script):
    # Five items: six margins at distance 2 (0), four at 3 (0), two at 4 (1). Distances have mean 8/3.
    margin = np.zeros((5, 5))
    margin[0, 4] = margin[4, 0] = 1
    squares = 6 * (2 / 3) ** 2 + 4 * (1 / 3) ** 2 + 2 * (4 / 3) ** 2
    assert script.distance_slope(margin) == pytest.approx(2 * (4 / 3) / squares)


def test_inner_slope_leaves_out_both_ends(script):
    inner = np.zeros((4, 4))
    inner[0, 3] = inner[3, 0] = 3
    margin = np.full((6, 6), np.nan)
    margin[1:-1, 1:-1] = inner
    assert script.distance_slope(margin, inner=True) == pytest.approx(3)


def test_distance_slope_needs_two_distances(script):
    with pytest.raises(ValueError, match="3 items have fewer than two distances"):
        script.distance_slope(np.zeros((3, 3)))
    with pytest.raises(
        ValueError, match="3 inner items have fewer than two distances beyond neighbours; give at least"
    ):
        script.distance_slope(np.zeros((5, 5)), inner=True)


def test_by_distance_by_hand(script):
    values = np.array([[9.0, 1, 5], [2, 9, 3], [7, 4, 9]])
    assert script.by_distance(values) == pytest.approx([2.5, 6])
    assert script.by_distance(np.stack([values, 2 * values])) == pytest.approx(np.array([[2.5, 6], [5, 12]]))


def test_far_from_neighbours_weighs_by_pairs(script):
    # Four items: three, two and one pair at distances 1, 2 and 3.
    assert script.far_from(np.array([7.0, 0.3, 0.9])) == pytest.approx((2 * 0.3 + 0.9) / 3)


def test_margins_by_hand(script):
    answer = np.repeat([[0.75, 0.25], [0.5, 0.25], [0.5, 0.5]], N // 2, axis=1)
    assert script.margins(answer, np.array([0, 3, 1]), np.array([2, 1, 4])) == pytest.approx([1, -0.5, 0])


def test_taught_answers_have_a_margin_of_one(script):
    first, second = script.ordered_pairs(4)
    assert script.margins(script.answers(first, second), first, second) == pytest.approx(np.ones(12))


def test_nearest_item(script):
    items = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert script.nearest(np.array([[0.4, 5.0], [0.6, -5.0]]), items).tolist() == [0, 1]


def test_mean_at_each_step_by_hand(script):
    step = np.array([1, 1, 2])
    assert script.by_step(np.array([1.0, 3, 5]), step) == pytest.approx([2, 5])
    assert script.by_step(np.array([[1.0, 3, 5], [2, 2, 7]]), step) == pytest.approx([2, 6])


def walked(script):
    """Three items; walks from the first (right both times) and from the second, which comes to the first again."""
    x = np.array([[0.2], [0.4], [0.6]]) + np.zeros(N)
    pattern = np.array([[0.41], [0.2], [0.55]]) + np.zeros(N)
    return x, script.Walk(np.array([0, 1, 0]), np.array([1, 1, 2]), pattern, x[[0, 1, 1]])


def test_a_walk_has_arrived_where_it_is_nearest_to_the_right_item(script):
    x, walk = walked(script)
    assert script.arrived(walk, x).tolist() == [True, False, True]
    assert script.by_step(script.arrived(walk, x), walk.step) == pytest.approx([0.5, 1])


def test_a_walk_answers_by_its_first_comparison_if_it_arrives(script):
    x, walk = walked(script)
    first_wins, last_wins = np.repeat([[0.75, 0.25], [0.25, 0.75]], N // 2, axis=1)
    # First item ahead: right, right; and of the second step wrong, which is not asked for. Behind: wrong, right.
    answer = np.stack([first_wins, first_wins, last_wins, first_wins, last_wins, last_wins])
    found = script.thought_through(walk, x, answer)
    assert found.tolist() == [[True, False, True], [False, False, False]]
    assert script.by_step(found, walk.step) == pytest.approx([1 / 4, 1 / 2])


def test_score_of_pairs_is_the_mean_of_both_steps_over_what_was_shown(script):
    world = script.Concepts(*(np.array([[0.0, 1], [2, 1], [9, 9]]) for _ in "abc"))
    at_c = np.array([[0.0, 2], [2, 2], [5, -5]])
    assert script.score_of_pairs(world, world.b, at_c, slice(0, 2)) == pytest.approx(1)
    assert script.score_of_pairs(world, -world.b, at_c, slice(0, 2)) == pytest.approx(0)


def test_score_of_a_series_looks_at_neighbours_only(script):
    rng = np.random.default_rng(0)
    x = rng.random((4, N))
    first, second = script.ordered_pairs(4)
    says = np.where((np.abs(first - second) == 1)[:, None], script.answers(first, second), rng.random((12, N)))
    assert script.score_of_series(x, x[1:], says) == pytest.approx(1)
    assert script.score_of_series(x, -x[1:], says) == pytest.approx(0)
    assert script.score_of_series(x, x[1:], 1 - says) == pytest.approx(0)


# ---------------------------------------------------------------------------------------- what is lived


def test_what_is_unknown_teaches_nothing(script):
    a = np.full((2, N), 0.6)
    session = script.Session(script.held(a=a), script.known(c=a), np.array([1, 0]), script.held(b=a[:1]))
    task, schedule = session.task(5), session.schedule()
    assert task.reward[:2] == pytest.approx(np.repeat([[0.0, 1.0]] * 2, N, axis=1))
    assert not task.reward[2:].any()
    assert task.stimuli[0] == pytest.approx(np.repeat([0.6, association.REST], N))
    assert task.stimuli[2] == pytest.approx(np.repeat([association.REST, 0.6], N))
    assert schedule.stimulus.tolist() == [1, 0, 2]
    assert schedule.outcome.tolist() == [1, 0, NO_OUTCOME]
    assert schedule.kind.tolist() == [Kind.BACKGROUND, Kind.BACKGROUND, Kind.PROBE]
    assert replace(session, quiet=True).schedule().outcome.tolist() == [NO_OUTCOME] * 3
    assert session.schedule(10).stimulus.tolist() == [11, 10, 12]


def test_nothing_stays_in_its_place_when_exchanged(script):
    for seed in range(20):
        order = script.others(7, np.random.default_rng(seed))
        assert sorted(order) == list(range(7))
        assert (order != np.arange(7)).all()


def mind(script, arm, part="pairs", learner="BACKPROP"):
    condition = script.Condition(getattr(script, learner), part, 0, 0.1)
    weights = association.start_weights(association.circuit(), 0)
    return script.Mind(condition, arm, weights, Feedback(weights.forward), np.random.default_rng(0))


def thought(script, arm):
    config = replace(script.Config(), n_rehearsed=3, n_known=1, n_new=1)
    world = script.Concepts.draw(config, 0)
    b, through, direct = (np.full((3, N), x) + 0.01 * np.arange(3)[:, None] for x in (0.3, 0.5, 0.7))
    session = script.pair_thoughts(config, mind(script, arm), world, b=b, through=through, direct=direct)
    return world, b, through, direct, session


def test_in_the_loop_what_is_evoked_through_b_is_the_outcome(script):
    world, b, through, _, session = thought(script, script.LOOP)
    assert session.shown[:3] == pytest.approx(script.held(a=world.a[:3]))
    assert session.outcome[:3] == pytest.approx(np.hstack([b, through]))
    assert session.shown[3:] == pytest.approx(script.held(b=b))
    assert session.outcome[3:, N:] == pytest.approx(through)
    assert np.isnan(session.outcome[3:, :N]).all()
    assert len(session.probed) == 5
    assert sorted(session.order) == sorted([*range(6)] * 5)


@pytest.mark.parametrize("arm", ["SHUFFLED", "SHAM", "MET", "OFF", "ONLY"])
def test_controls_differ_in_the_outcome_alone(script, arm):
    world, b, through, direct, session = thought(script, getattr(script, arm))
    loop = thought(script, script.LOOP)[-1]
    assert session.shown == pytest.approx(loop.shown)
    assert session.order.tolist() == loop.order.tolist()
    c = session.outcome[:3, N:]
    if arm == "SHUFFLED":
        assert sorted(c[:, 0]) == pytest.approx(sorted(through[:, 0]))
        assert (np.abs(c - through) > 0.005).all()
    elif arm == "SHAM":
        assert c == pytest.approx(direct)
    elif arm == "MET":
        assert c == pytest.approx(world.c[:3])
        assert np.isnan(session.outcome[:3, :N]).all()
        assert np.isnan(session.outcome[3:]).all()
    else:
        assert session.quiet
    if arm != "MET":
        assert session.outcome[:3, :N] == pytest.approx(b)


def test_a_walk_teaches_the_answer_of_its_first_step(script):
    config = replace(script.Config(), n_items=4)
    x = script.series(config, 0)
    start, step = np.array([0, 1, 2, 0, 1, 0]), np.array([1, 1, 1, 2, 2, 3])
    pattern = np.full((6, N), 0.3) + 0.01 * np.arange(6)[:, None]
    walk = script.Walk(start, step, pattern, pattern + 0.1)
    answer = np.arange(12.0)[:, None] / 20 + np.zeros(N)
    session = script.series_thoughts(config, mind(script, script.LOOP, "series"), x, walk, answer)
    assert session.outcome[:12, N] == pytest.approx(np.array([0, 1, 2, 0, 1, 0, 6, 7, 8, 6, 7, 6]) / 20)
    assert session.shown[4] == pytest.approx(np.hstack([x[1], pattern[4]]))
    assert session.shown[10] == pytest.approx(np.hstack([pattern[4], x[1]]))
    assert session.shown[12:] == pytest.approx(script.held(a=walk.before))
    assert session.outcome[12:, :N] == pytest.approx(pattern)
    sham = script.series_thoughts(config, mind(script, script.SHAM, "series"), x, walk, answer)
    assert sham.outcome[:12, N] == pytest.approx(np.arange(12) / 20)
    met = script.series_thoughts(config, mind(script, script.MET, "series"), x, walk, answer)
    assert met.shown[4] == pytest.approx(np.hstack([x[1], x[3]]))
    assert met.outcome[4, N:] == pytest.approx(script.answers(np.array([1]), np.array([3]))[0])
    assert met.outcome[10, N:] == pytest.approx(script.answers(np.array([3]), np.array([1]))[0])


def test_backprop_learns_only_what_it_is_told_of(script):
    pytest.importorskip("torch")
    config = replace(script.Config(), n_rehearsed=4, n_known=1, n_new=1)
    bench = script.Bench(config)
    world = script.Concepts.draw(config, 0)
    one, still = mind(script, "experience"), mind(script, script.FROZEN)
    before = one.weights
    session = script.Session(script.held(a=world.a), script.known(b=world.b), np.arange(6), script.held(a=world.a))
    evoked = bench.live([one, still], [session, session])
    changed = {k for k, w in one.weights.forward.items() if np.abs(w - before.forward[k]).max() > 1e-9}
    assert changed == {"a_to_a1", "a1_to_b1", "b1_to_B"}
    assert all((w == before.forward[k]).all() for k, w in still.weights.forward.items())
    error = [np.abs(script.halves(e)[0] - world.b).mean() for e in evoked]
    assert error[0] < error[1]


def turned(x):
    return 2 * association.REST - x


def bench_that_evokes(script, config, b_and_c):
    """A bench on which nothing is learned: what is evoked at B and C is a function of what is held at a and b."""

    class Made(script.Bench):
        def __init__(self):
            super().__init__(config)
            self.lived = []

        def live(self, minds, sessions):
            self.lived += [(mind.arm, session) for mind, session in zip(minds, sessions, strict=True)]
            return [np.hstack(b_and_c(*script.halves(session.probed))) for session in sessions]

    return Made()


def test_pairs_are_looked_at_directly_and_through_what_is_evoked_at_b(script):
    config = replace(script.Config(), n_rehearsed=5, n_known=4, n_new=3, n_rounds=2, n_blocks=3)
    world = script.Concepts.draw(config, 0)
    held_before = np.vstack([world.b, turned(world.b)])
    evoked = np.vstack([world.c, turned(world.c)])

    def b_and_c(a, b):
        # Every A evokes B turned round about rest, and C likewise; every B evokes its C, turned if it is turned itself.
        of_a, of_b = script.nearest(a, world.a), script.nearest(b, held_before)
        thinks_of_a = np.isclose(b, association.REST).all(1)[:, None]
        return turned(world.b[of_a]), np.where(thinks_of_a, turned(world.c[of_a]), evoked[of_b])

    bench = bench_that_evokes(script, config, b_and_c)
    [found] = script.pairs(bench, [script.Condition(script.BACKPROP, script.PAIRS, 0, 0.1)])
    for values, expected in (
        (found.agreement, 1),  # turned both
        (found.agreement_plain, 1),
        (found.direct, -1),
        (found.through, -1),
        (found.first, -1),
        (found.second, 1),
    ):
        assert values.shape == (len(script.ARMS), 3, 3)
        assert values == pytest.approx(np.full((len(script.ARMS), 3, 3), expected))
    assert found.score == pytest.approx(0)
    before = [session for arm, session in bench.lived if arm == "experience"]
    assert len(before) == 3 * 2  # by turns, in each block
    thoughts = [session for arm, session in bench.lived if arm == script.LOOP and len(session.order)]
    assert len(thoughts) == config.n_rounds
    assert thoughts[1].outcome[:5] == pytest.approx(np.hstack([turned(world.b[:5]), turned(world.c[:5])]))
    beside = [session for arm, session in bench.lived if arm == script.BESIDE and len(session.order)]
    assert len(beside) == 3 * config.n_rounds  # thought, then both situations


def test_a_series_is_walked_to_its_end(script):
    config = replace(script.Config(), n_items=4, n_rounds=1, n_blocks=1)
    x = script.series(config, 0)

    def b_and_c(a, b):
        # Each item evokes the next, but the third evokes itself; all answers are right.
        at, other = script.nearest(a, x), script.nearest(b, x)
        return x[np.array([1, 2, 2, 3])[at]], script.answers(at, other)

    bench = bench_that_evokes(script, config, b_and_c)
    condition = script.Condition(script.BACKPROP, script.SERIES, 0, 0.1)
    [walk] = script.walks(bench, [bench.start(condition)], [x])
    assert walk.start.tolist() == [0, 1, 2, 0, 1, 0]
    assert walk.step.tolist() == [1, 1, 1, 2, 2, 3]
    assert script.nearest(walk.before, x).tolist() == [0, 1, 2, 1, 2, 2]
    assert script.nearest(walk.pattern, x).tolist() == [1, 2, 2, 2, 2, 2]
    [found] = script.in_series(bench, [condition])
    n_arms = len(script.ARMS)
    # Right after one step: two of three walks; after two: one of two; after three: none.
    assert found.walk == pytest.approx(np.broadcast_to([2 / 3, 1 / 2, 0], (n_arms, 2, 3)))
    # Every first comparison is right but that of the third item with itself, and that walk has not arrived either.
    assert found.thought == pytest.approx(np.broadcast_to([2 / 3, 1 / 2, 0], (n_arms, 2, 3)))
    off = ~np.eye(4, dtype=bool)
    assert found.margin[..., off] == pytest.approx(np.ones((n_arms, 2, 12)))
    assert np.isnan(found.margin[..., ~off]).all()
    taught = script.score_of_series(x, x[[1, 2, 2]], script.answers(*script.ordered_pairs(4)))
    assert found.score == pytest.approx(taught)
    assert taught < 1


def test_concepts_and_groups(script):
    config = script.Config()
    world = script.Concepts.draw(config, 3)
    groups = script.members(config)
    assert [s.stop - s.start for s in groups.values()] == [24, 12, 12]
    assert world.a.shape == world.c.shape == (48, N)
    assert np.abs(world.a - association.REST).max() <= config.swing
    assert not np.allclose(world.a, script.Concepts.draw(config, 4).a)


# ---------------------------------------------------------------------------------------- rates, summary


def runs_of(script, config, score, agree):
    runs = {}
    rng = np.random.default_rng(0)

    def add(c):
        arms, rounds, n = len(c.arms), config.n_rounds + 1, config.n_items
        shape = arms, len(script.GROUPS), rounds
        if c.part == script.PAIRS:
            runs[c.name] = {name: np.full(shape, agree(c)) for name in script._PAIR_MEASURES}
            runs[c.name]["agreement"] = np.add.outer(np.arange(arms), np.zeros(shape[1:])) + agree(c)
        else:
            runs[c.name] = {"margin": rng.standard_normal((arms, rounds, n, n))}
            runs[c.name] |= {name: np.full((arms, rounds, n - 1), 0.5) for name in ("walk", "thought")}
        runs[c.name]["score"] = score(c)

    for learner in script.LEARNERS:
        for part in script.PARTS:
            for c in script.tuning_conditions(config, learner, part):
                add(c)
            rate = script.chosen_rate(config, learner, part, runs)
            for c in script.result_conditions(config, learner, part, rate):
                add(c)
    return runs


def test_the_rate_is_chosen_by_what_was_learned(script):
    config = replace(script.Config(), seeds=(0, 1), n_tuning=2)
    runs = runs_of(script, config, lambda c: -abs(c.rate - 0.3), lambda c: c.rate)
    summary = script.summarise(config, runs)
    assert summary["learning_rate"] == pytest.approx(np.full((3, 2), 0.3))
    at_edge = {x.name: 0.3 in (x.rates(config)[0], x.rates(config)[-1]) for x in script.LEARNERS}
    assert summary["rate_at_edge"][:, 0].tolist() == list(at_edge.values())
    assert summary["agreement"].shape == (3, 8, 3, config.n_rounds + 1, 2)
    assert summary["margin"].shape == (3, 8, config.n_rounds + 1, 2, 7, 7)
    one = runs[script.Condition(script.RELAY, "series", 1, 0.3).name]["margin"][2, 1]
    assert summary["distance_slope"][0, 2, 1, 1] == pytest.approx(script.distance_slope(one))
    swept = script.swept(config, runs)
    n = len(script.RELAY.rates(config))
    assert swept["agreement_after"][0, :n, 0] == pytest.approx(script.RELAY.rates(config))


def test_by_how_much_the_loop_raises_agreement(script):
    config = replace(script.Config(), seeds=(0, 1))
    runs = runs_of(script, config, lambda c: -abs(c.rate - 0.3), lambda c: c.rate)
    summary = script.summarise(config, runs)
    summary["agreement"][0, 0, 1] = [[0.1, 0.2]] + [[0.8, 0.7]] * config.n_rounds
    gains = script.raised(summary, 0)
    assert gains["before"] == pytest.approx([0.7, 0.5])
    assert gains[script.FROZEN] == pytest.approx(np.array([0.8, 0.7]) - 1.3)
    assert gains[script.SHUFFLED] == pytest.approx(np.array([0.8, 0.7]) - 3.3)


def test_both_measures_are_judged(script):
    config = script.Config()
    runs = runs_of(script, config, lambda c: -abs(c.rate - 0.3), lambda c: c.rate)
    summary = script.summarise(config, runs)
    for measure in script.MEASURES:
        summary[measure][0, :, 1] = 0.2
        summary[measure][0, 0, 1, -1] = 0.9  # after the loop
    summary["agreement_plain"][0, 3, 1, -1] = 0.85, 0.85, 0.85, 0.85, 0.85  # shuffled
    summary["agreement_plain"][0, 2, 1, -1] = 0.9, 0.9, 0.7, 0.7, 0.7  # off
    removed, plain = (script.judgement(summary, 0, measure) for measure in script.MEASURES)
    assert removed[0].startswith("error relay: the loop leaves the correlation (means of cells removed) higher, by")
    assert removed[1].endswith("shuffled: yes.")
    assert plain[0].startswith("error relay: the loop leaves the correlation (as it is) higher")
    assert plain[1].endswith("NO for loop, shuffled; not decided for loop off.")
    summary["seed"] = summary["seed"][:4]
    assert len(script.judgement(summary, 0, "agreement")) == 1  # too few seeds to judge


def test_every_variable_is_in_the_documentation(script, root) -> None:
    lines = (root / "docs" / "recording-v1.md").read_text(encoding="utf-8").splitlines()
    for rows in (script.SUMMARY_ROWS, script.SWEEP_ROWS):
        for name, row in rows.items():
            line = f"| `{name}` | {', '.join(row.dims) or '(scalar)'} | {row.dtype} | {row.units} | {row.long_name} |"
            assert line in lines, f"docs/recording-v1.md lacks the line\n{line}"


def test_mean_with_interval(script):
    assert script.short(np.array([0.125])) == "0.12"
    assert script.short(np.array([0.5, 0.5])) == "0.50 [0.50, 0.50]"


def test_nothing_is_tried_where_there_is_one_rate(script):
    config = replace(script.Config(), spiking_rates=(0.1,))
    assert script.tuning_conditions(config, script.RELAY, "pairs") == []
    assert script.chosen_rate(config, script.RELAY, "pairs", {}) == pytest.approx(0.1)


# ---------------------------------------------------------------------------------------- the circuit


def test_circuit_has_a_direct_path_and_one_through_b():
    circuit = association.circuit(4)
    assert circuit.n_hops == association.N_HOPS
    assert [p.name for p in circuit.inputs] == ["a", "b"]
    assert [p.name for p in circuit.error_sources] == ["B", "C"]
    assert dict(zip([p.name for p in circuit.projections], circuit.hops, strict=True)) == {
        **{"a_to_a1": 2, "a1_to_b1": 1, "b1_to_B": 0},
        **{"a1_to_c1": 1, "b_to_b2": 2, "b2_to_c1": 1, "c1_to_C": 0},
    }


def test_start_weights_are_orthogonal_and_keep_rates_of_one_half():
    circuit = association.circuit(4)
    weights = association.start_weights(circuit, 1, size=2.0)
    for w in weights.forward.values():
        assert w @ w.T == pytest.approx(4 * np.eye(4))
    into_c1 = weights.forward["a1_to_c1"].sum(1) + weights.forward["b2_to_c1"].sum(1)
    assert weights.bias["c1"] == pytest.approx(-into_c1 / 2)


def test_cells_at_rest_do_not_lock_to_events():
    spikes = float(association.REST * 100 * Hz * (association.timing().event - association.GAP))
    assert abs(spikes - round(spikes)) > 0.05
    assert association.screened().theta > association.unscreened().theta
    assert association.screened().tau_e == 30 * association.timing().event
    assert 120 * ms == association.OUTCOME
