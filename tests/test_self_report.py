"""The script that trains a report on approval: its measures, its events, and its circuit."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import self_report as agent

from bioplastic import twin
from bioplastic.cells import phi_slope
from bioplastic.circuit import Weights
from bioplastic.rules.backprop import Backprop

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "self_report.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def bench(script):
    return script.Bench(replace(script.QUICK, n_events=6, n_stretches=1))


@pytest.fixture(scope="module")
def weights() -> Weights:
    circuit, rng = agent.circuit(), np.random.default_rng(0)
    return Weights(
        {p.name: rng.normal(0, 0.3, circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(0, 0.1, p.size) for p in circuit.populations if p.role != "input"},
    )


def test_hops_of_the_agent() -> None:
    circuit = agent.circuit()
    assert {p.name: h for p, h in zip(circuit.projections, circuit.hops, strict=True)} == {
        "senses_to_s3": 4,
        "s3_to_s2": 3,
        "s2_to_s1": 2,
        "s1_to_a1": 1,
        "a1_to_action": 0,
        "s1_to_r1": 1,
        "asker_to_r1": 1,
        "r1_to_report": 0,
        "said_to_s1": 2,
        "said_to_a1": 1,
    }
    for part in (agent.acting(), agent.reporting()):
        assert part.n_hops == agent.N_HOPS
        assert {p.name for p in part.projections} < {p.name for p in circuit.projections}


def test_information_of_a_copy_is_its_entropy(script) -> None:
    x = np.tile(np.arange(4), 3)
    assert script.information(x, (x + 1) % 4, np.zeros(12, int)) == pytest.approx(2)


def test_information_of_what_is_independent_is_none(script) -> None:
    one, other = np.repeat([0, 1], 2), np.tile([0, 1], 2)
    assert script.information(one, other, np.zeros(4, int)) == pytest.approx(0)


def test_information_given_a_third_is_weighted_by_its_frequency(script) -> None:
    # Given 0, four of twelve: a copy of a coin, 1 bit. Given 1, eight of twelve: independent, 0 bit.
    one = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    other = np.array([0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    given = np.repeat([0, 1], [4, 8])
    assert script.information(one, other, given) == pytest.approx(1 / 3)


def test_what_follows_the_asker_says_nothing_of_the_state_given_the_asker(script) -> None:
    state, asker = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    assert script.information(asker, state, asker) == pytest.approx(0)
    assert script.information(asker, asker, state) == pytest.approx(2)


def test_floor_is_the_bias_of_few_trials(script) -> None:
    # Two trials, two values each: whatever the order, the one tells the other.
    x = np.array([0, 1])
    rng = np.random.default_rng(0)
    assert script.information_floor(x, x, np.zeros(2, int), 5, rng) == pytest.approx(1)
    assert script.information_floor(x, x, x, 5, rng) == pytest.approx(0)  # given the same, nothing is left to tell


def test_directions_held_stay_at_their_mean(script) -> None:
    rates = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0]])
    np.testing.assert_allclose(script.without(rates, np.array([[1.0], [0], [0]])), [[1, 1, 5], [1, 3, 7]])
    # Along (1, 1, 0)/sqrt 2 both trials are sqrt 2 from the mean, which is (1, 2).
    np.testing.assert_allclose(
        script.without(rates, np.array([[1.0], [1], [0]]) / np.sqrt(2)), [[1, 2, 5], [1, 2, 7]], atol=1e-12
    )


def test_the_action_reads_what_its_weights_read(script, weights) -> None:
    # The action hears cells 3 and 8 of the state only, through one cell of a1; both twice as loudly the second.
    w_in, w_out = np.zeros((40, 40)), np.zeros((4, 40))
    w_in[0, [3, 8]] = 1.0, 2.0
    w_out[1, 0] = 1.0
    forward = weights.forward | {"s1_to_a1": w_in, "a1_to_action": w_out}
    read = Weights(forward, weights.bias)
    state = np.random.default_rng(1).random((5, 40))
    basis, part = script.read_subspace(read, state, 1)
    expected = np.zeros(40)
    expected[[3, 8]] = np.array([1, 2]) / np.sqrt(5)
    np.testing.assert_allclose(np.abs(basis[:, 0]), expected, atol=1e-9)
    assert part == pytest.approx(1)


def test_share_of_the_derivative_in_the_first_direction(script, weights) -> None:
    # Two cells, each to an action of its own, derivatives 3 and 1 at the same slopes: squared, 9 of 10 in the first.
    w_in, w_out = np.zeros((40, 40)), np.zeros((4, 40))
    w_in[0, 0] = w_in[1, 1] = 1.0
    w_out[0, 0], w_out[1, 1] = 0.3, 0.1
    bias = weights.bias | {"a1": np.zeros(40), "action": np.zeros(4)}
    read = Weights(weights.forward | {"s1_to_a1": w_in, "a1_to_action": w_out}, bias)
    assert float(phi_slope(0.0)) == 0.5
    basis, part = script.read_subspace(read, np.zeros((1, 40)), 1)
    assert part == pytest.approx(0.9, abs=2e-3)  # the actions' potentials, 0.15 and 0.05, are hardly off 0
    assert abs(basis[0, 0]) == pytest.approx(1)


def test_report_from_the_state_is_that_of_the_network(script, bench, weights) -> None:
    rows = bench.rows(np.arange(6), asker=np.array([0, 1, 2, 3, 0, 1]))
    rates = bench.rates(weights, rows)
    found = script.reported_from(weights, rates["s1"], rates["asker"])
    predicted = twin.predict(bench.circuit, twin.Networks.stack([weights]), bench.task.stimuli[rows])[0]
    np.testing.assert_allclose(found, predicted[:, 4:], atol=1e-12)
    np.testing.assert_allclose(rates["report"], predicted[:, 4:], atol=1e-12)


def test_action_from_the_state_is_that_of_the_network(script, bench, weights) -> None:
    rates = bench.rates(weights, bench.rows(np.arange(6)))
    np.testing.assert_allclose(script.acted_from(weights, rates["s1"]), rates["action"], atol=1e-12)


def test_each_probe_judges_its_own_population(script) -> None:
    # A probe here says what it is shown; of four trials right are 4, 3, 2, 1 and 0.
    state = np.arange(4)
    rates = {name: np.where(np.arange(4) < 4 - n, state, -1) for n, name in enumerate(script.POPULATIONS)}
    probes = {name: SimpleNamespace(predict=lambda x: x) for name in script.POPULATIONS}
    assert script.scored(probes, rates, state).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_a_probe_fitted_to_known_stimuli_is_judged_on_the_tested_ones(script) -> None:
    rates, known = np.array([[0.0, 5], [1, 5], [0, 4], [1, 4]]), np.array([0, 1, 0, 1])
    tested, truth = np.array([[0.1, 4], [0.9, 5], [0.2, 5], [0.8, 4]]), np.array([0, 1, 1, 1])
    assert script.decodable(rates, known, tested, truth) == pytest.approx(3 / 4)  # the third is said to be 0


def test_agreement_with_a_consulted_report_by_hand(script) -> None:
    #                      agreed before ->|
    answer = np.array([0, 1, 2, 3, 0, 1])
    state = np.array([1, 1, 1, 1, 1, 1])
    before = np.array([1, 0, 1, 1, 0, 1])
    found = script.agreements(
        answer,
        state,
        before,
        decoded=np.array([0, 1, 1, 1, 0, 0]),  # agrees: 0, 1 and 4, which agreed before
        silent=np.array([0, 0, 0, 0, 1, 1]),  # agrees: 0 and 5, which agreed before
        refitted=np.array([1, 1, 1, 3, 1, 1]),  # agrees: 1, 3 and 5; right but for 3
        action=np.array([0, 1, 2, 0, 0, 0]),  # agrees: 0, 1, 2 and 4
    )
    assert found == pytest.approx(
        {
            "agreement_after": 3 / 6,
            "came_to_agree": 2 / 4,
            "came_to_agree_new_probe": 2 / 4,
            "came_to_agree_silent": 1 / 4,
            "action_follows_report": 3 / 4,
            "state_still_decoded": 5 / 6,
        }
    )


def test_directions_are_held_in_turn(script) -> None:
    # What counts is the spread along each of three cells: 1, 2 and 4. Read is the first; drawn the third, the second.
    rates = np.array([[0.0, 0, 0], [1, 2, 4]])
    drawn = [np.eye(3)[:, [2, 0, 1]], np.eye(3)[:, [1, 2, 0]]]
    found = script.held_in_turn(lambda x: float(np.ptp(x, axis=0).sum()), rates, np.eye(3)[:, :1], drawn)
    assert found == pytest.approx(
        {
            "right": 7,
            "without_read": 6,
            "without_random_few": (3 + 5) / 2,
            "without_slack": 1,
            "without_random_many": (4 + 2) / 2,
        }
    )


def test_no_two_agents_or_stages_have_the_same_spike_phases(script) -> None:
    stages = [*range(script.STRETCH), *(script.STRETCH + k for k in range(script.Config().n_stretches))]
    seeds = [*script.Config().seeds, *range(5, 60), 100, 101]
    assert len({script.phases(seed, stage) for seed in seeds for stage in stages}) == len(seeds) * len(stages)
    assert script.phases(0, 999) < script.phases(1, 0)
    with pytest.raises(ValueError, match="stage 1000; there are seeds for stages 0 to 999: give fewer n_stretches"):
        script.phases(0, 1000)


def test_unscreened_learners_differ_in_the_threshold_alone(script) -> None:
    rules = {learner.name: learner.rule(0.1) for learner in script.LEARNERS if learner.make}
    assert list(rules) == ["error relay", "error relay, unscreened", "error relay, unscreened, fine"]
    assert rules["error relay, unscreened, fine"].theta == 0.1
    assert replace(rules["error relay, unscreened, fine"], theta=1.0) == rules["error relay, unscreened"]


def test_a_prediction_is_read_as_the_pattern_it_is_most_like(script) -> None:
    patterns = np.array([[0.75, 0.75, 0.25, 0.25], [0.25, 0.25, 0.75, 0.75]])
    prediction = np.array([[0.6, 0.5, 0.5, 0.5], [0.9, 0.1, 0.6, 0.5]])
    assert script.read(prediction, patterns).tolist() == [0, 1]


def test_rows_hold_image_expectation_and_report(bench) -> None:
    row = bench.task.stimuli[bench.rows(7, asker=2)]
    np.testing.assert_array_equal(row[:64], bench.images[7])
    assert row[64:].tolist() == [0.2, 0.2, 0.8, 0.2, 0, 0, 0, 0]
    assert bench.task.stimuli[bench.rows(7, said=3)][64:].tolist() == [0, 0, 0, 0, 0.2, 0.2, 0.2, 0.8]
    assert not bench.task.stimuli[bench.rows(7)][64:].any()


def test_no_image_is_both_learned_from_and_tested(script, bench) -> None:
    groups = [bench.learned, bench.tested[script.RESULT], bench.tested[script.TUNING]]
    assert sum(map(len, groups)) == len(np.unique(np.concatenate(groups))) == bench.n
    assert bench.state.max() == 3
    assert bench.feature.max() == 1


@pytest.mark.parametrize(("first", "quiet"), [("ACTS", ("r1", "report")), ("REPORTS", ("a1", "action"))])
def test_what_is_told_of_the_one_leaves_the_head_of_the_other_alone(script, bench, weights, first, quiet) -> None:
    events = script.events(bench.rows(np.arange(3), asker=1), getattr(script, first) + np.array([0, 2, 3]))
    [lived] = twin.live(bench.circuit, bench.task, [twin.TwinLife(events, Backprop(0.1), weights)])
    for name, after in lived.weights.forward.items():
        same = np.array_equal(after, weights.forward[name])
        assert same == (name.split("_to_")[1] in quiet or name.startswith("said")), name


def test_disapproval_tells_of_what_was_said_only(script, bench, weights) -> None:
    events = script.events(bench.rows(np.array([0])), np.array([script.DISAPPROVED + 2]))
    [lived] = twin.live(bench.circuit, bench.task, [twin.TwinLife(events, Backprop(0.1), weights)])
    error = (lived.weights.bias["report"] - weights.bias["report"]) / 0.1
    np.testing.assert_allclose(error, [0, 0, 0.25 - lived.prediction[0, 4 + 2], 0], atol=1e-12)


def test_the_digit_of_the_pair_is_told_by_halves(script, bench) -> None:
    told = bench.task.outcomes[script.FEATURES : script.FEATURES + 2, 4:]
    assert told.tolist() == [[0.75, 0.75, 0.25, 0.25], [0.25, 0.25, 0.75, 0.75]]
    assert bench.task.reward[script.FEATURES : script.FEATURES + 2].tolist() == [[0] * 4 + [1] * 4] * 2


def asked(script, bench, mixture, chance, n=400):
    """States, expectations and approved reports of a life."""
    story = SimpleNamespace(bench=bench, config=replace(bench.config, n_events=n), seed=3)
    story.random = lambda stage: script.Story.random(story, stage)
    story.images = lambda n, rng: script.Story.images(story, n, rng)
    rows, approved = script.Story.asked(story, mixture, chance)
    return bench.state[rows % bench.n], rows // bench.n, approved


def test_what_is_approved_is_truth_or_what_the_asker_expects(script, bench) -> None:
    state, expected, approved = asked(script, bench, 0.0, 0.0)
    assert (expected != state).all()
    assert (approved == expected).all()
    state, expected, approved = asked(script, bench, 1.0, 0.0)
    assert (approved == state).all()
    state, expected, approved = asked(script, bench, 0.0, 1.0)
    assert (expected == state).all()


def test_mixture_and_chance_are_fractions_of_events(script, bench) -> None:
    state, expected, approved = asked(script, bench, 0.5, 0.25, n=8000)
    wrong = expected != state
    assert wrong.mean() == pytest.approx(0.75, abs=0.02)
    assert (approved == state)[wrong].mean() == pytest.approx(0.5, abs=0.02)
    assert script.information(expected, state, np.zeros(8000, int)) < 0.005


def test_a_verdict_needs_the_whole_interval_and_five_seeds(script) -> None:
    words = {"above": "yes", "below": "no"}
    assert script.side(np.full(5, 0.2), 0.1, **words) == "yes"
    assert script.side(np.full(5, 0.05), 0.1, **words) == "no"
    assert script.side(np.array([0.0, 0.0, 0.1, 0.2, 0.3]), 0.1, **words) == "not decided"
    assert script.side(np.full(4, 0.2), 0.1, **words) == "not decided (4 seeds)"


def a_run(script, config, change, sham):
    """What is measured of an agent, all 0 but the change."""
    sizes = {name: len(values) for name, values in script.axes(config).items()}
    zeros = {name: np.zeros([sizes[d] for d in row.dims]) for name, row in script.MEASURES.items()}
    zeros["change"][..., :] = change
    zeros["phase_difference"][:] = sham
    return zeros


def test_summary_has_seeds_reach_and_the_chosen_rate(script) -> None:
    config = replace(
        script.QUICK,
        seeds=(0, 1),
        n_tuning=2,
        spiking_rates=(0.1, 0.3),
        backprop_rates=(0.1,),
        mixtures=(0.0, 0.5, 1.0),
    )
    runs = {}
    for learner in script.LEARNERS[:-1]:
        for c in script.tuning_conditions(config, learner):
            runs[c.name] = {"score": {0.1: 0.5, 0.3: 0.8}[c.rate] + 0.1 * (c.seed == 100)}
    for i, learner in enumerate(script.LEARNERS):
        rate = script.chosen_rate(config, learner, runs)
        assert rate == (0.3, 0.3, 0.3, 0.1)[i]
        for seed in config.seeds:
            # Floor: root mean square of 0.03 and 0.04, which is 0.035.
            change = [0.5, 0.04, 0.036, 0.034, 0.0] if i < 3 else [0.5, 0.4, 0.3, 0.2, 0.1]
            sham = (0.03 + 0.01 * seed) if i < 3 else 0.0
            runs[script.Condition(learner, seed, rate).name] = a_run(script, config, change, sham)
    summary = script.summarise(config, runs)
    assert summary["learning_rate"].tolist() == [0.3, 0.3, 0.3, 0.1]
    assert summary["reach"].shape == (4, 2, 1, 3)
    assert np.unique(summary["reach"][:3]).tolist() == [2]
    assert np.unique(summary["reach"][3]).tolist() == [4]
    swept = script.swept(config, runs)
    np.testing.assert_allclose(swept["score"][0], [0.55, 0.85])
    assert np.isnan(swept["score"][3]).all()
    assert_written(script, summary)


def assert_written(script, summary) -> None:
    """Tables, sentences and figure can be made of a summary."""
    followed, moved, consulted, slack, acting = script.tables(summary)
    assert [column.header for column in moved.columns][-3:-1] == ["probe of before, %", "probe fitted anew, %"]
    assert list(moved.columns[3].cells)[1] == "0.035, 0.035, 0.035, 0.035, 0.035"
    assert followed.row_count == 4 * (3 + 2)
    assert consulted.row_count == 4 * 2 * 3
    assert slack.row_count == acting.row_count == 4 * 2
    assert len(script.sentences(summary)) == 4 * (2 + 2 * 3)
    drawn = script.figure(summary)
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels[:4] == list(summary["learner"])
    assert any(label.startswith("floor") for label in labels)


def test_nothing_of_a_share_is_nan(script) -> None:
    assert np.isnan(script.share(np.empty(0, bool)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_events": 301}, "n_events = 301 is no multiple of n_stretches = 3"),
        ({"mixtures": (0.0, 1.2)}, r"mixtures = \(0.0, 1.2\); give fractions, 0 to 1"),
        ({"chances": (-0.1,)}, r"chances = \(-0.1,\); give fractions"),
        ({"mixtures": (0.5, 1.0)}, "the first must be 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(script, setting, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(script.QUICK, **setting)


@pytest.mark.slow
def test_start_acts_and_has_no_use_for_its_report(bench) -> None:
    start = bench.start(0)
    start.check(bench.circuit)
    assert not start.forward["said_to_s1"].any()
    assert not start.forward["said_to_a1"].any()
    rates = bench.rates(start, bench.rows(bench.tested["result"]))
    assert (rates["action"].argmax(1) == bench.state[bench.tested["result"]]).mean() > 0.9
    singular = np.linalg.svd(start.forward["s1_to_r1"], compute_uv=False)
    np.testing.assert_allclose(singular, 2)


def test_every_variable_is_in_the_documentation(script, root) -> None:
    lines = (root / "docs" / "recording-v1.md").read_text(encoding="utf-8").splitlines()
    for rows in (script.ROWS, script.SWEEP_ROWS):
        for name, row in rows.items():
            line = f"| `{name}` | {', '.join(row.dims) or '(scalar)'} | {row.dtype} | {row.units} | {row.long_name} |"
            assert line in lines, f"docs/recording-v1.md lacks the line\n{line}"
