"""Blame in the circuit of beliefs and desires: the world, the measures, and what is gathered from the lives."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bioplastic_models import belief_desire

from bioplastic import twin
from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Weights
from bioplastic.events import OWN_PREDICTION, Event, Kind, Schedule
from bioplastic.rules.backprop import Backprop

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "belief_desire.py"
CIRCUIT = belief_desire.circuit()
WORLD = belief_desire.world(0)
N = belief_desire.N_ACTIONS


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("belief_desire_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def start() -> Weights:
    rng = np.random.default_rng(0)
    return Weights(
        {p.name: rng.normal(0, 0.3, CIRCUIT.shape(p)) for p in CIRCUIT.projections},
        {p.name: rng.normal(0, 0.1, p.size) for p in CIRCUIT.populations if p.role != "input"},
    )


def changed(weights: Weights, projection: str, by: float) -> Weights:
    """Return the weights with one weight of a projection changed."""
    forward = {name: w.copy() for name, w in weights.forward.items()}
    forward[projection][0, 0] += by
    return Weights(forward, weights.bias)


# ------------------------------------------------------------------------------------------ the world


def test_hops_are_counted_from_the_action_along_both_chains():
    hops = dict(zip([p.name for p in CIRCUIT.projections], CIRCUIT.hops, strict=True))
    assert hops == {
        **{"action_to_execution": 0, "intention_to_action": 0, "b1_to_intention": 1, "d1_to_intention": 1},
        **{"b2_to_b1": 2, "b3_to_b2": 3, "evidence_to_b3": 4, "d2_to_d1": 2, "d3_to_d2": 3, "drives_to_d3": 4},
    }


def test_neither_belief_nor_desire_alone_says_anything_of_the_action():
    approved = WORLD.task.label[:-1]
    for state in (WORLD.belief[:-1], WORLD.desire[:-1]):
        counts = [np.bincount(approved[state == k], minlength=N) for k in range(belief_desire.N_STATES)]
        np.testing.assert_array_equal(counts, 25)


def test_the_joke_is_one_trained_situation_with_a_disapproved_outcome():
    task, joke = WORLD.task, WORLD.joke
    same = (task.stimuli[:-1] == task.stimuli[joke]).all(1)
    assert same.sum() == 1
    assert task.label[:-1][same] == WORLD.action
    assert not task.held_out[:-1][same]
    np.testing.assert_array_equal(task.indices(rare=True, held_out=False), [joke])


@pytest.mark.parametrize(("blamed", "first"), [("choice", 0), ("execution", N)])
def test_disapproval_is_of_what_was_done_by_the_cells_that_are_blamed(blamed, first):
    row = WORLD.disapproved(blamed)
    expected = np.zeros(2 * N)
    expected[first + WORLD.action] = 1
    np.testing.assert_array_equal(WORLD.task.outcomes[row], expected)
    blamed_cells = (np.arange(2 * N) // N) == first // N
    np.testing.assert_array_equal(WORLD.task.reward[row], np.where(blamed_cells, -1, 0))


def test_only_choice_and_execution_can_be_disapproved():
    with pytest.raises(ValueError, match="of = 'thought'; what can be disapproved is the 'choice' or the 'execution'"):
        WORLD.disapproved("thought")


def test_situations_share_what_their_names_say():
    situations = WORLD.situations()
    sizes = {name: len(rows) for name, rows in situations.items()}
    assert sizes == {
        **{"same belief and desire": 24, "same belief": 75, "same desire": 75},
        **{"same action only": 75, "nothing shared": 150},
    }
    approved = WORLD.task.label
    assert (approved[situations["same belief and desire"]] == WORLD.action).all()
    assert (approved[situations["same action only"]] == WORLD.action).all()
    for name in ("same belief", "same desire", "nothing shared"):
        assert (approved[situations[name]] != WORLD.action).all()
    assert (WORLD.belief[situations["same belief"]] == WORLD.belief[-1]).all()
    assert (WORLD.desire[situations["same belief"]] != WORLD.desire[-1]).all()


# ------------------------------------------------------------------------------------------ disapproval


def one_event(weights: Weights, blamed: str, rate: float = 0.1) -> tuple[Weights, dict[str, np.ndarray]]:
    """Weights after one disapproval under backprop, and the potentials before it."""
    schedule = Schedule.of([Event(WORLD.joke, WORLD.disapproved(blamed), Kind.RARE)])
    [lived] = twin.live(CIRCUIT, WORLD.task, [twin.TwinLife(schedule, Backprop(rate), weights)])
    shown = torch.tensor(WORLD.task.stimuli[None, [WORLD.joke]])
    state = twin.potentials(CIRCUIT, twin.Networks.stack([weights]), shown)
    return lived.weights, {name: v[0, 0].numpy() for name, v in state.items()}


def test_disapproved_choice_is_reinforce_with_reward_minus_one(start):
    after, v = one_event(start, "choice")
    taken = np.eye(N)[WORLD.action]
    error = -(taken - phi(v["action"]))
    np.testing.assert_allclose(after.bias["action"] - start.bias["action"], 0.1 * error, atol=1e-12)
    np.testing.assert_array_equal(after.bias["execution"], start.bias["execution"])
    np.testing.assert_array_equal(after.forward["action_to_execution"], start.forward["action_to_execution"])
    assert error[WORLD.action] < 0 < np.delete(error, WORLD.action).min()


def test_disapproved_execution_reaches_the_choice_through_the_execution(start):
    after, v = one_event(start, "execution")
    error = -(np.eye(N)[WORLD.action] - phi(v["execution"]))
    relayed = phi_slope(v["action"]) * (start.forward["action_to_execution"].T @ error)
    np.testing.assert_allclose(after.bias["execution"] - start.bias["execution"], 0.1 * error, atol=1e-12)
    np.testing.assert_allclose(after.bias["action"] - start.bias["action"], 0.1 * relayed, atol=1e-12)


def test_a_life_has_the_joke_as_often_as_asked_among_other_situations(script):
    config = script.Config()
    for exposure, (_, n_occurrences, fraction, _) in enumerate(config.exposures):
        life = script.lived_events(WORLD, config, exposure, "execution", seed=3)
        assert life.n_occurrences == n_occurrences
        assert len(life) == round(n_occurrences / fraction)
        assert (life.stimulus[life.rare] == WORLD.joke).all()
        assert life.rare[-1]
        assert (life.outcome[life.rare] == WORLD.disapproved("execution")).all()
        others = life.stimulus[~life.rare]
        assert (life.outcome[~life.rare] == OWN_PREDICTION).all()
        assert not ((WORLD.belief[others] == WORLD.belief[-1]) & (WORLD.desire[others] == WORLD.desire[-1])).any()
        assert not WORLD.task.held_out[others].any()


def test_both_kinds_of_blame_are_lived_through_at_the_same_events(script):
    choice, execution = (script.lived_events(WORLD, script.Config(), 2, blamed, seed=1) for blamed in script.BLAMED)
    np.testing.assert_array_equal(choice.stimulus, execution.stimulus)
    np.testing.assert_array_equal(choice.kind, execution.kind)


# ------------------------------------------------------------------------------------------ measures


def test_choice_goes_by_the_odds(script):
    np.testing.assert_allclose(script.choice(np.array([0.75, 0.25, 0.25, 0.25])), [0.75, 1 / 12, 1 / 12, 1 / 12])
    np.testing.assert_allclose(script.choice(np.array([[0.5, 0.8], [0.2, 0.2]])), [[0.2, 0.8], [0.5, 0.5]])


def test_differing_is_the_share_of_choices_that_move(script):
    one, other = np.array([[0.7, 0.2, 0.1], [1, 0, 0]]), np.array([[0.4, 0.2, 0.4], [0, 0.5, 0.5]])
    np.testing.assert_allclose(script.differing(one, other), [0.3, 1])


def test_change_is_relative_to_all_weights_that_end_in_the_group(script):
    ones = Weights({p.name: np.ones(CIRCUIT.shape(p)) for p in CIRCUIT.projections}, {})
    both = changed(changed(ones, "b1_to_intention", 3.0), "d1_to_intention", 4.0)
    expected = np.zeros(len(script.GROUPS))
    expected[list(script.GROUPS).index("intention")] = 5 / np.sqrt(2 * 32 * 32)
    np.testing.assert_allclose(script.change_by_group(CIRCUIT, [both], [ones], ones), expected)
    far = script.change_by_group(CIRCUIT, [changed(ones, "drives_to_d3", -8.0)], [ones], ones)
    assert far[list(script.GROUPS).index("desire, far")] == 8 / 32
    assert np.count_nonzero(far) == 1


def test_shares_count_beliefs_and_desires_only(script):
    #                 execution action intention | beliefs: near, middle, far | desires
    change = np.array([[0.1, 0.4, 0.1, 0.2, 0.1, 0.0, 0.1, 0.0, 0.0], [0.0] * 9])
    np.testing.assert_allclose(script.upstream_share(change), [0.4, np.nan])
    np.testing.assert_allclose(script.value_change(change), [0.5, 0])
    size = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9.0])
    squares = [0.01, 0.64, 0.09, 0.64, 0.25, 0, 0.49, 0, 0]
    assert script.squared_share(change[0], size) == pytest.approx((0.64 + 0.25 + 0.49) / sum(squares))


@pytest.mark.parametrize(
    ("corrections", "rate"),
    [([0.2, 0.8, 0.9], 0.01 * 10**0.5), ([0.1, 0.5, 0.9], 0.1), ([0.6, 0.8, 0.9], 0.01), ([0.1, 0.2, 0.3], 1.0)],
)
def test_matched_rate_is_where_the_correction_crosses_or_else_the_edge(script, corrections, rate):
    assert script.rate_that_corrects((0.01, 0.1, 1.0), np.array(corrections), 0.5) == pytest.approx(rate)


def test_measured_against_hand_computed_numbers(script, start):
    bench = script.Bench(script.QUICK)
    bench.start[0] = start
    condition = script.Condition(script.BACKPROP, 0, script.CHOICE, 0, 0.1, "matched")
    nothing = bench.measured(condition, [start], [start], [start])
    for name in ("change", "change_floor", "behaviour_change", "behaviour_floor", "behaviour_square", "correction"):
        np.testing.assert_array_equal(nothing[name], 0)
    np.testing.assert_array_equal(nothing["approved_probability"], nothing["approved_probability_sham"])
    assert np.isnan(bench.measured(condition, [start], [start], [])["change_floor"]).all()
    less = Weights(start.forward, start.bias | {"action": start.bias["action"] - 0.3 * np.eye(N)[WORLD.action]})
    found = bench.measured(condition, [less], [start], [start])
    before, after = (
        script.choice(twin.predict(CIRCUIT, twin.Networks.stack([w]), WORLD.task.stimuli)[0, :, :N])
        for w in (start, less)
    )
    at = WORLD.joke, WORLD.action
    assert found["correction"] == pytest.approx(1 - after[at] / before[at])
    assert found["behaviour_change"][0] == pytest.approx(np.abs(after - before)[WORLD.joke].sum() / 2)
    assert found["behaviour_square"][0] == pytest.approx(((after - before)[WORLD.joke] ** 2).sum())
    same = WORLD.situations()["same belief"]
    twice = bench.measured(condition, [less, start], [start, start], [start, less])
    assert twice["behaviour_square"][0] == 0, "one life changed and the other did not: nothing is sure"
    assert twice["correction"] == pytest.approx(0.5 * (1 - after[at] / before[at]))
    assert twice["behaviour_floor"][0] == pytest.approx(0.5 * found["behaviour_change"][0])
    assert found["behaviour_change"][2] == pytest.approx(np.abs(after - before)[same].sum(1).mean() / 2)
    assert found["approved_probability"][2] == pytest.approx(after[same, WORLD.task.label[same]].mean())
    assert found["still_approved"][2] == (after[same].argmax(1) == WORLD.task.label[same]).mean()


def test_square_of_an_expected_change_is_free_of_noise(script):
    # Products of (1, 2), (3, 0), (-1, 1) in pairs: 3, 1 and -3; their mean is 1/3, the square of the mean change 2.
    changes = np.array([[1.0, 2.0], [3.0, 0.0], [-1.0, 1.0]])
    assert script.unbiased_square(changes) == pytest.approx(1 / 3)
    assert script.unbiased_square(changes[:1]) == 5
    rng = np.random.default_rng(0)
    lives = np.array([0.3, -0.4]) + rng.normal(0, 1, (4, 20_000, 2))
    assert script.unbiased_square(lives).mean() == pytest.approx(0.25, abs=0.02)
    assert (lives.mean(0) ** 2).sum(-1).mean() == pytest.approx(0.25 + 2 / 4, abs=0.02)


def test_change_is_that_which_lives_share(script):
    ones = Weights({p.name: np.ones(CIRCUIT.shape(p)) for p in CIRCUIT.projections}, {})
    some = [changed(ones, "drives_to_d3", 8.0), changed(ones, "drives_to_d3", 2.0)]
    far = list(script.GROUPS).index("desire, far")
    assert script.change_by_group(CIRCUIT, some, [ones, ones], ones)[far] == pytest.approx(4 / 32)
    opposite = [changed(ones, "drives_to_d3", 8.0), changed(ones, "drives_to_d3", -8.0)]
    assert script.change_by_group(CIRCUIT, opposite, [ones, ones], ones)[far] == 0


def test_a_life_in_spikes_has_sham_runs_of_the_same_phases_and_its_floor_others(script, start):
    class Model:
        def __init__(self):
            self.lived = []

        def live(self, life):
            self.lived.append((life.phases, life.schedule.outcome[life.schedule.rare][0]))
            return SimpleNamespace(weights=life.phases)

    config = replace(script.Config(), seeds=(3,), exposures=(("once", 1, 0.5, 2),))
    bench = script.Bench(config)
    model = bench.models[3] = Model()
    bench.start[3] = start
    seen = []
    bench.measured = lambda c, *lives: seen.append(lives)
    bench.live_in_spikes(script.Condition(script.SCREENED, 0, script.CHOICE, 3, 0.1, script.MATCHED))
    assert seen[0] == ([3, 1003], [3, 1003], [2003, 3003])
    assert sorted(phases for phases, outcome in model.lived if outcome != OWN_PREDICTION) == [3, 1003]
    bench.live_in_spikes(script.Condition(script.SCREENED, 0, script.CHOICE, 3, 0.1, script.EQUAL))
    assert seen[1] == ([3, 1003], [3, 1003], [])


# ------------------------------------------------------------------------------------------ what is gathered


@pytest.fixture(scope="module")
def summary(script):
    """Runs in which the n-th learner changes all groups alike by n + 1, and half as much where execution is blamed.

    An agent corrects as much as its rate for a whole life, times 5 or, with the other seed, 10.
    """
    config = replace(script.Config(), seeds=(0, 1), n_matching=1)
    runs = {}

    def life(c, correction):
        size = (1 + script.LEARNERS.index(c.learner)) * (1 if c.blamed == script.CHOICE else 0.5) * (1 + c.seed)
        situations = [script.THE_JOKE, *WORLD.situations()]
        runs[c.name] = {"group": list(script.GROUPS), "situation": situations, "correction": correction} | {
            name: np.full(len(script.GROUPS if "change" in name[:6] else situations), size)
            for name, row in script.RUN_ROWS.items()
            if row.dims and row.dtype != "str"
        }
        runs[c.name]["change_floor"] = np.zeros(len(script.GROUPS))

    def lived(conditions):
        for c in conditions:
            life(c, 5 * (1 + c.seed) * c.rate * config.exposures[c.exposure][1])

    for x, e in [(x, e) for x in script.LEARNERS for e in range(3)]:
        lived([c for r in config.event_rates(e) for c in script.equal_conditions(config, x, e, r)])
        lived(script.matching_conditions(config, x, e, runs, 1)[0])
        lived([c for b in script.BLAMED for c in script.matched_conditions(config, x, e, b, runs)])
    for seed in config.seeds:
        runs[f"start-s{seed}"] = {"weight_norm": np.arange(9.0), "group": list(script.GROUPS)} | dict.fromkeys(
            ("accuracy", "accuracy_held_out", "accuracy_spikes"), 0.9
        )
    return script.summarise(config, runs)


def test_summary_has_every_array_with_the_shape_of_its_axes(script, summary):
    size = {name: len(summary[name]) for name, row in script.ROWS.items() if row.dims == (name,)}
    assert set(summary) == set(script.ROWS)
    for name, row in script.ROWS.items():
        assert np.shape(summary[name]) == tuple(size[dim] for dim in row.dims), name


def test_summary_puts_each_life_in_its_place(script, summary):
    # Between 0.08 and 0.16 a correction of 0.5 is at a quarter of the way in the logarithm of the rate; there it is
    # really 0.4 * 2**0.25, and the rest of the way to 0.16 is 0.75. The other seed needs half the rate.
    first = 0.4 * 2**0.25
    rate = 0.08 * 2 ** (0.25 + 0.75 * (0.5 - first) / (0.8 - first))
    expected = [[rate / n, rate / 2 / n] for n in (1, 12, 12)]
    np.testing.assert_allclose(summary["learning_rate"], [expected] * 3)
    np.testing.assert_allclose(summary["correction"], np.broadcast_to(5 * rate, summary["correction"].shape))
    np.testing.assert_array_equal(summary["change"][2, 0, 1, 1], np.full(9, 6.0))
    np.testing.assert_array_equal(summary["change"][2, 1, 1, 1], np.full(9, 3.0))
    np.testing.assert_allclose(summary["upstream_share"], 6 / 9)
    np.testing.assert_allclose(summary["value_change"][1, 0], 7 * 2 * np.array([[1, 2]] * 3))
    lifetime = summary["rate"] * np.array([[1], [12], [12]])
    np.testing.assert_allclose(summary["correction_equal"][0, :, :, 1], 10 * lifetime)


def cells_of(table, row):
    return [list(column.cells)[row] for column in table.columns]


def test_tables_say_where_the_change_is_and_what_execution_does_of_it(script, summary):
    # All nine groups change alike, so that two of nine are near; execution changes half as much as choice does.
    assert cells_of(script.by_place(summary, ""), 0)[2:] == ["0.111 [0.111, 0.111]"] * 3 + ["0.222 [0.222, 0.222]"] * 3
    assert cells_of(script.execution_by_choice(summary, ""), 4)[1:] == [
        "rarely",
        "0.5 [0.5, 0.5]",
        "1 [1, 1]",
        "0.5 [0.5, 0.5]",
    ]
    shown = cells_of(script.by_situation(summary, ""), 3)
    assert shown[:2] == ["error relay", "once"]
    assert shown[2] == shown[-1] == "3e+03 [2e+03, 4e+03]"


def test_comparisons_have_the_sign_that_the_argument_expects_above_zero(script, summary):
    found = {row[:3]: row[3] for row in script.comparisons(summary)}
    np.testing.assert_allclose(
        found["behaviour elsewhere, squared: backprop minus this", "error relay", "once"], [-1, -2]
    )
    np.testing.assert_allclose(found["upstream share: backprop minus this", "error relay", "often"], 0, atol=1e-12)
    np.testing.assert_allclose(found["weights of values: choice minus execution", "backprop", "rarely"], [3.5, 7])
    np.testing.assert_allclose(found["choice at the joke: choice minus execution", "error relay", "once"], [1, 2])


def test_documentation_has_every_variable_of_the_summary(script):
    lines = (SCRIPT.parents[1] / "docs" / "recording-v1.md").read_text(encoding="utf-8").splitlines()
    for name, row in script.ROWS.items():
        assert f"| `{name}` | {', '.join(row.dims)} | {row.dtype} | {row.units} | {row.long_name} |" in lines


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"correction": 1.0}, r"correction = 1 is outside \(0, 1\)"),
        ({"rates": (0.1,)}, "give two or more, above 0 and in rising order"),
        ({"rates": (0.1, 0.01)}, "in rising order"),
        ({"rates": (0.0, 0.01)}, "above 0"),
        ({"exposures": (("once", 1, 0.1, 1),)}, r"once: lived with 1 set\(s\) of spike phases"),
    ],
)
def test_settings_that_cannot_be_lived_are_refused(script, settings, message):
    with pytest.raises(ValueError, match=message):
        script.Config(**settings)
