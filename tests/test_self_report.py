"""The script that trains a report on approval: what it lives, what is read out, and what is gathered."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bioplastic_models import self_report as agent
from bioplastic_models import state_readout
from bioplastic_models.self_report import ACTS, DISAPPROVED, FEATURES, REPORTS
from made_up import MadeUpRuns, a_recording, cells_of, finished

from bioplastic.cells import phi_slope
from bioplastic.circuit import Weights
from bioplastic.life import Life
from bioplastic.rules.backprop import Backprop
from bioplastic.statistics import information
from bioplastic.study import Condition

pytest.importorskip("torch")

from bioplastic import twin

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "self_report.py"
CIRCUIT = agent.circuit()
WORLD = agent.world()
N_IMAGES = len(WORLD.images)


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def quick(script):
    return script.SETTINGS["quick"]


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(0)
    return Weights(
        {p.name: rng.normal(0, 0.3, CIRCUIT.shape(p)) for p in CIRCUIT.projections},
        {p.name: rng.normal(0, 0.1, p.size) for p in CIRCUIT.populations if p.role != "input"},
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


def test_directions_held_stay_at_their_mean() -> None:
    rates = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0]])
    np.testing.assert_allclose(state_readout.without(rates, np.array([[1.0], [0], [0]])), [[1, 1, 5], [1, 3, 7]])
    # Along (1, 1, 0)/sqrt 2 both trials are sqrt 2 from the mean, which is (1, 2).
    np.testing.assert_allclose(
        state_readout.without(rates, np.array([[1.0], [1], [0]]) / np.sqrt(2)), [[1, 2, 5], [1, 2, 7]], atol=1e-12
    )


def test_the_action_reads_what_its_weights_read(weights) -> None:
    # The action hears cells 3 and 8 of the state only, through one cell of a1; both twice as loudly the second.
    w_in, w_out = np.zeros((40, 40)), np.zeros((4, 40))
    w_in[0, [3, 8]] = 1.0, 2.0
    w_out[1, 0] = 1.0
    forward = weights.forward | {"s1_to_a1": w_in, "a1_to_action": w_out}
    read = Weights(forward, weights.bias)
    state = np.random.default_rng(1).random((5, 40))
    basis, part = state_readout.read_subspace(read, state, 1)
    expected = np.zeros(40)
    expected[[3, 8]] = np.array([1, 2]) / np.sqrt(5)
    np.testing.assert_allclose(np.abs(basis[:, 0]), expected, atol=1e-9)
    assert part == pytest.approx(1)


def test_share_of_the_derivative_in_the_first_direction(weights) -> None:
    # Two cells, each to an action of its own, derivatives 3 and 1 at the same slopes: squared, 9 of 10 in the first.
    w_in, w_out = np.zeros((40, 40)), np.zeros((4, 40))
    w_in[0, 0] = w_in[1, 1] = 1.0
    w_out[0, 0], w_out[1, 1] = 0.3, 0.1
    bias = weights.bias | {"a1": np.zeros(40), "action": np.zeros(4)}
    read = Weights(weights.forward | {"s1_to_a1": w_in, "a1_to_action": w_out}, bias)
    assert float(phi_slope(0.0)) == 0.5
    basis, part = state_readout.read_subspace(read, np.zeros((1, 40)), 1)
    assert part == pytest.approx(0.9, abs=2e-3)  # the actions' potentials, 0.15 and 0.05, are hardly off 0
    assert abs(basis[0, 0]) == pytest.approx(1)


def test_report_from_the_state_is_that_of_the_network(weights) -> None:
    rows = WORLD.rows(np.arange(6), asker=np.array([0, 1, 2, 3, 0, 1]))
    rates = WORLD.rates(weights, rows)
    found = state_readout.reported_from(weights, rates["s1"], rates["asker"])
    predicted = twin.predict(CIRCUIT, [weights], WORLD.task.stimuli[rows])[0]
    np.testing.assert_allclose(found, predicted[:, 4:], atol=1e-12)
    np.testing.assert_allclose(rates["report"], predicted[:, 4:], atol=1e-12)


def test_action_from_the_state_is_that_of_the_network(weights) -> None:
    rates = WORLD.rates(weights, WORLD.rows(np.arange(6)))
    np.testing.assert_allclose(state_readout.acted_from(weights, rates["s1"]), rates["action"], atol=1e-12)


def test_each_probe_judges_its_own_population() -> None:
    # A probe here says what it is shown; of four trials right are 4, 3, 2, 1 and 0.
    state, names = np.arange(4), state_readout.POPULATIONS
    rates = {name: np.where(np.arange(4) < 4 - n, state, -1) for n, name in enumerate(names)}
    probes = {name: SimpleNamespace(predict=lambda x: x) for name in names}
    assert state_readout.scored(probes, rates, state).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_a_probe_fitted_to_known_stimuli_is_judged_on_the_tested_ones() -> None:
    rates, known = np.array([[0.0, 5], [1, 5], [0, 4], [1, 4]]), np.array([0, 1, 0, 1])
    tested, truth = np.array([[0.1, 4], [0.9, 5], [0.2, 5], [0.8, 4]]), np.array([0, 1, 1, 1])
    assert state_readout.decodable(rates, known, tested, truth) == pytest.approx(3 / 4)  # the third is said to be 0


def test_reports_are_of_the_state_the_asker_or_the_rate_network() -> None:
    state, asker = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = state_readout.follows(
        asker, np.array([0, 1, 0, 0]), state, asker, n_shuffles=3, rng=np.random.default_rng(0), where="here"
    )
    values = {name: one.item() for name, one in found.items()}
    floor = values.pop("floor_state"), values.pop("floor_asker")
    assert values == pytest.approx(
        {
            **{"report_is_state": 0.5, "report_is_asker": 1.0, "report_is_rates": 0.75},
            **{"information_state": 0.0, "information_asker": 1.0},
        }
    )
    # Given the asker the report is one and the same; given the state its two trials tell all, in any order.
    assert floor == pytest.approx((0.0, 1.0))
    assert found["floor_asker"].attrs == {
        "units": "bit",
        "long_name": "the same as information_asker with reports shuffled within each state; here",
    }


def test_agreement_with_a_consulted_report_by_hand() -> None:
    #                      agreed before ->|
    answer = np.array([0, 1, 2, 3, 0, 1])
    state = np.array([1, 1, 1, 1, 1, 1])
    before = np.array([1, 0, 1, 1, 0, 1])
    found = state_readout.agreements(
        answer,
        state,
        before,
        decoded=np.array([0, 1, 1, 1, 0, 0]),  # agrees: 0, 1 and 4, which agreed before
        silent=np.array([0, 0, 0, 0, 1, 1]),  # agrees: 0 and 5, which agreed before
        refitted=np.array([1, 1, 1, 3, 1, 1]),  # agrees: 1, 3 and 5; right but for 3
        action=np.array([0, 1, 2, 0, 0, 0]),  # agrees: 0, 1, 2 and 4
    )
    assert {name: one.item() for name, one in found.items()} == pytest.approx(
        {
            "agreement_after": 3 / 6,
            "came_to_agree": 2 / 4,
            "came_to_agree_new_probe": 2 / 4,
            "came_to_agree_silent": 1 / 4,
            "action_follows_report": 3 / 4,
            "state_still_decoded": 5 / 6,
        }
    )


def test_directions_are_held_in_turn() -> None:
    # What counts is the spread along each of three cells: 1, 2 and 4. Read is the first; drawn the third, the second.
    rates = np.array([[0.0, 0, 0], [1, 2, 4]])
    drawn = [np.eye(3)[:, [2, 0, 1]], np.eye(3)[:, [1, 2, 0]]]
    found = state_readout.held_in_turn(
        lambda x: float(np.ptp(x, axis=0).sum()), rates, np.eye(3)[:, :1], drawn, name="told", what="what is right"
    )
    assert {name: one.item() for name, one in found.items()} == pytest.approx(
        {
            "told_right": 7,
            "told_without_read": 6,
            "told_without_random_few": (3 + 5) / 2,
            "told_without_slack": 1,
            "told_without_random_many": (4 + 2) / 2,
        }
    )
    assert found["told_right"].attrs["long_name"] == "what is right"


def test_no_two_agents_or_stages_have_the_same_spike_phases(script) -> None:
    settings = script.SETTINGS[""]
    stages = [*range(script.STRETCH), *(script.STRETCH + k for k in range(settings.n_stretches))]
    seeds = [*settings.seeds, *range(5, 60), 100, 101]
    assert len({agent.phases(seed, stage) for seed in seeds for stage in stages}) == len(seeds) * len(stages)
    assert agent.phases(0, 999) < agent.phases(1, 0)
    with pytest.raises(ValueError, match="stage 1000; there are seeds for stages 0 to 999: give fewer n_stretches"):
        agent.phases(0, 1000)


def test_unscreened_learners_differ_in_the_threshold_alone(script, quick) -> None:
    rules = {one.name: one.rule(0.1) for one in script.learners(quick) if one.spikes}
    assert list(rules) == ["error relay", "error relay, unscreened", "error relay, unscreened, fine"]
    assert rules["error relay, unscreened, fine"].theta == 0.1
    assert replace(rules["error relay, unscreened, fine"], theta=1.0) == rules["error relay, unscreened"]
    assert rules["error relay"].eta == pytest.approx(0.1 / 12)


def test_a_prediction_is_read_as_the_pattern_it_is_most_like() -> None:
    patterns = np.array([[0.75, 0.75, 0.25, 0.25], [0.25, 0.25, 0.75, 0.75]])
    prediction = np.array([[0.6, 0.5, 0.5, 0.5], [0.9, 0.1, 0.6, 0.5]])
    assert state_readout.read(prediction, patterns).tolist() == [0, 1]


def test_rows_hold_image_expectation_and_report() -> None:
    row = WORLD.task.stimuli[WORLD.rows(7, asker=2)]
    np.testing.assert_array_equal(row[:64], WORLD.images[7])
    assert row[64:].tolist() == [0.2, 0.2, 0.8, 0.2, 0, 0, 0, 0]
    assert WORLD.task.stimuli[WORLD.rows(7, said=3)][64:].tolist() == [0, 0, 0, 0, 0.2, 0.2, 0.2, 0.8]
    assert not WORLD.task.stimuli[WORLD.rows(7)][64:].any()


def test_no_image_is_both_learned_from_and_tested() -> None:
    groups = [WORLD.learned, WORLD.held_out, WORLD.validated]
    assert sum(map(len, groups)) == len(np.unique(np.concatenate(groups))) == N_IMAGES
    assert WORLD.state.max() == 3
    assert WORLD.feature.max() == 1


@pytest.mark.parametrize(("first", "quiet"), [(ACTS, ("r1", "report")), (REPORTS, ("a1", "action"))])
def test_what_is_told_of_the_one_leaves_the_head_of_the_other_alone(weights, first, quiet) -> None:
    events = agent.told(WORLD.rows(np.arange(3), asker=1), first + np.array([0, 2, 3]))
    [lived] = twin.live(CIRCUIT, WORLD.task, [Life(events, Backprop(0.1), weights)])
    for name, after in lived.weights.forward.items():
        same = np.array_equal(after, weights.forward[name])
        assert same == (name.split("_to_")[1] in quiet or name.startswith("said")), name


def test_disapproval_tells_of_what_was_said_only(weights) -> None:
    events = agent.told(WORLD.rows(np.array([0])), np.array([DISAPPROVED + 2]))
    [lived] = twin.live(CIRCUIT, WORLD.task, [Life(events, Backprop(0.1), weights)])
    error = (lived.weights.bias["report"] - weights.bias["report"]) / 0.1
    np.testing.assert_allclose(error, [0, 0, 0.25 - lived.prediction[0, 4 + 2], 0], atol=1e-12)


def test_the_digit_of_the_pair_is_told_by_halves() -> None:
    told = WORLD.task.outcomes[FEATURES : FEATURES + 2, 4:]
    assert told.tolist() == [[0.75, 0.75, 0.25, 0.25], [0.25, 0.25, 0.75, 0.75]]
    assert WORLD.task.reward[FEATURES : FEATURES + 2].tolist() == [[0] * 4 + [1] * 4] * 2


def asked(mixture, chance, n=400):
    """States, expectations and approved reports of a life."""
    rows, approved = WORLD.asked(mixture, chance, n, np.random.default_rng(3))
    return WORLD.state[rows % N_IMAGES], rows // N_IMAGES, approved


def test_what_is_approved_is_truth_or_what_the_asker_expects() -> None:
    state, expected, approved = asked(0.0, 0.0)
    assert (expected != state).all()
    assert (approved == expected).all()
    state, expected, approved = asked(1.0, 0.0)
    assert (approved == state).all()
    state, expected, approved = asked(0.0, 1.0)
    assert (expected == state).all()


def test_mixture_and_chance_are_fractions_of_events() -> None:
    state, expected, approved = asked(0.5, 0.25, n=8000)
    wrong = expected != state
    assert wrong.mean() == pytest.approx(0.75, abs=0.02)
    assert (approved == state)[wrong].mean() == pytest.approx(0.5, abs=0.02)
    assert information(expected, state, np.zeros(8000, int)) < 0.005


# ------------------------------------------------------------------------------------------ what is lived and gathered


def outcome_of(measure):
    """Live what a measure asks for, and return what it measures."""
    answer = None
    while True:
        try:
            ask = measure.send(answer)
        except StopIteration as end:
            return end.value
        answer = ask.bench.live(ask.lives)


@pytest.fixture(scope="module")
def settings(quick):
    return replace(
        quick,
        seeds=(0, 1),
        n_tuning=2,
        spiking_rates=(0.1, 0.3),
        backprop_rates=(0.1,),
        mixtures=(0.0, 0.5, 1.0),
        chances=(0.25, 0.75),
        **{"n_events": 6, "n_stretches": 2, "n_consultations": 5, "n_truths": 5, "n_asked": 3, "n_shuffles": 1},
    )


@pytest.fixture(scope="module")
def bench(script, settings, weights):
    made = script.Agents(settings)
    made.start = dict.fromkeys(made.seeds, weights)
    return made


def in_rates(script, bench, kind, seed=0):
    return script.measure_condition(bench, Condition(kind, {"seed": seed, "rate": 0.1}, bench.learners[-1]))


@pytest.fixture(scope="module")
def measured(script, bench):
    """What is measured of an agent that lives in rates, for a few events."""
    return outcome_of(in_rates(script, bench, script.AGENT))


def test_an_agent_lives_all_mixtures_with_the_first_chance_and_the_first_with_all(measured) -> None:
    lived = measured["report_is_state"].notnull().transpose("chance", "mixture")
    assert lived.values.tolist() == [[True, True, True], [True, False, False]]
    np.testing.assert_array_equal(measured["phase_difference"], 0)  # nothing is random in rates
    consulted = measured["agreement_after"].notnull().transpose("outcome", "feedback")
    assert consulted.values.tolist() == [[True, False, False], [True, True, True]]
    assert measured["change"].sel(chance=0.25, mixture=0.0).values.all()
    assert not np.isnan(measured["told_without_slack"]).any()


def test_lives_of_a_spiking_agent_keep_the_feedback_of_its_birth(script, bench, weights) -> None:
    condition = Condition(script.AGENT, {"seed": 1, "rate": 0.1}, bench.learners[0])
    measure = script.measure_condition(bench, condition)
    lives = next(measure).lives
    assert len(lives) == 4
    assert {life.seed for life in lives} == {agent.phases(1, script.APPROVED)}
    after = replace(weights, bias={name: b + 0.1 for name, b in weights.bias.items()})
    again = measure.send([SimpleNamespace(weights=after)] * 4).lives
    assert [life.seed for life in again] == [agent.phases(1, script.AGAIN)]
    asked = measure.send([SimpleNamespace(weights=after)]).lives
    assert [life.seed for life in asked] == [agent.phases(1, script.ASKED)]
    assert asked[0].weights is after
    assert asked[0].rule.eta == 0
    for life in (*lives, *again, *asked):
        assert life.feedback.weights is weights.forward


def test_a_learning_rate_is_scored_by_validation_images(script, bench) -> None:
    found = outcome_of(in_rates(script, bench, script.TUNING, seed=100))
    assert 0 <= found["score"] <= 1
    story = script.Story(bench, Condition(script.TUNING, {"seed": 100, "rate": 0.1}, bench.learners[-1]))
    assert set(story.trial_image) < set(WORLD.validated)
    story = script.Story(bench, Condition(script.AGENT, {"seed": 0, "rate": 0.1}, bench.learners[-1]))
    assert set(story.trial_image) < set(WORLD.held_out)


@pytest.fixture(scope="module")
def recording(script, bench, settings, measured):
    """Agents of which all is 0 but the change; learning rates of which the larger is better."""

    def made_up(c):
        if c.kind == script.TUNING:
            return xr.Dataset({"score": {0.1: 0.5, 0.3: 0.8}[c["rate"]] + 0.1 * (c["seed"] == 100)})
        # Floor: root mean square of 0.03 and 0.04, which is 0.035.
        change = [0.5, 0.04, 0.036, 0.034, 0.0] if c.who.spikes else [0.5, 0.4, 0.3, 0.2, 0.1]
        sham = (0.03 + 0.01 * c["seed"]) if c.who.spikes else 0.0
        values = {name: xr.where(one.notnull(), 0.0, np.nan) for name, one in measured.data_vars.items()}
        values["change"] = values["change"] + xr.DataArray(change, dims="hop")
        values["phase_difference"] = values["phase_difference"] + sham
        return measured.copy(data={name: one.transpose(*measured[name].dims).values for name, one in values.items()})

    runs = finished(script.STUDY, bench, settings, made_up)
    assert len(runs.of(script.TUNING)) == 3 * 2 * 2  # backprop has but one rate
    return a_recording(**script.summarise(bench, settings, runs))


def test_summary_has_reach_and_the_chosen_rate(recording) -> None:
    done = recording.summary
    assert done["learning_rate"].values.tolist() == [0.3, 0.3, 0.3, 0.1]
    assert done["reach"].dims == ("learner", "seed", "chance", "mixture")
    assert np.unique(done["reach"][:3].isel(chance=0)).tolist() == [2]
    assert np.unique(done["reach"][3].isel(chance=0)).tolist() == [4]
    assert np.isnan(done["reach"].isel(chance=1, mixture=1)).all()
    score = recording["learning_rate_sweep"]["score"]
    np.testing.assert_allclose(score[0], [0.55, 0.85])
    assert np.isnan(score[3]).all()


def test_tables_say_everything_that_was_lived(script, recording) -> None:
    followed, moved, consulted, slack, acting = script.tables(recording)
    assert [column.header for column in moved.columns][-3:-1] == ["probe of before, %", "probe fitted anew, %"]
    assert cells_of(moved, 1)[3] == "0.035, 0.035, 0.035, 0.035, 0.035"
    assert followed.row_count == 4 * (4 + 2)
    assert cells_of(followed, 3)[:2] == ["", "truth in 0%, asker right in 75%"]
    assert consulted.row_count == 4 * 4
    assert cells_of(consulted, 4)[:3] == ["error relay, unscreened", "what is true", "own report"]
    assert slack.row_count == acting.row_count == 4 * 2


def test_statements_name_rates_and_say_what_the_data_favour(script, recording) -> None:
    said = list(script.statements(recording))
    assert said[0] == (
        "error relay: learning rate 0.3 per event, on the edge of what was tried (score 0.1: 55.0, 0.3: 85.0)."
    )
    assert len(said) == 3 + 4 * (2 + 2 * 3)
    assert said[3].endswith("0 [0, 0] bit more of the asker: not decided (2 seeds).")


def test_figure_has_all_learners_and_the_floor(script, recording) -> None:
    figure = script.figures(recording)[""]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:4] == recording.summary["learner"].values.tolist()
    assert any(label.startswith("floor") for label in labels)


def test_without_learning_rates_to_choose_there_is_nothing_to_tune(script, quick) -> None:
    made = script.Agents(quick)
    assert made.seeds == (0,)
    assert next(script.plan(made, quick, MadeUpRuns())) == []


def test_nothing_of_a_fraction_is_nan() -> None:
    assert np.isnan(state_readout.fraction(np.empty(0, bool)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_events": 301}, "n_events = 301 is no multiple of n_stretches = 3"),
        ({"mixtures": (0.0, 1.2)}, r"mixtures = \(0.0, 1.2\); give fractions, 0 to 1"),
        ({"chances": (-0.1,)}, r"chances = \(-0.1,\); give fractions"),
        ({"mixtures": (0.5, 1.0)}, "the first must be 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(quick, setting, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(quick, **setting)


@pytest.mark.slow
def test_start_acts_and_has_no_use_for_its_report() -> None:
    start = agent.newborn(WORLD, 0)
    start.check(CIRCUIT)
    assert not start.forward["said_to_s1"].any()
    assert not start.forward["said_to_a1"].any()
    rates = WORLD.rates(start, WORLD.rows(WORLD.held_out))
    assert (rates["action"].argmax(1) == WORLD.state[WORLD.held_out]).mean() > 0.9
    singular = np.linalg.svd(start.forward["s1_to_r1"], compute_uv=False)
    np.testing.assert_allclose(singular, 2)
    # Rates of 1/2 at the state, and nobody asking, give potentials of 0 on the way to the report.
    np.testing.assert_allclose(start.forward["s1_to_r1"].sum(1) / 2 + start.bias["r1"], 0, atol=1e-12)
