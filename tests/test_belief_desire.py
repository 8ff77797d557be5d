"""Blame in the circuit of beliefs and desires: the world, what is measured, and what is gathered from the lives."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bioplastic_models import belief_desire
from bioplastic_models.belief_desire import CHOICE, EXECUTION, GROUPS
from made_up import a_recording, cells_of, finished

from bioplastic import reach
from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Weights
from bioplastic.events import OWN_PREDICTION, Event, Kind, Schedule
from bioplastic.life import Life
from bioplastic.rules.backprop import Backprop
from bioplastic.study import Condition

torch = pytest.importorskip("torch")

from bioplastic import twin  # noqa: E402 (torch may be absent)

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


@pytest.fixture(scope="module")
def agents(script, start):
    """Two agents, not trained, that are to live for half as many lives at other rates."""
    made = script.Agents(replace(script.SETTINGS[""], seeds=(0, 1), n_matching=1))
    for seed, bench in made.benches.items():
        bench.start[seed] = start
    return made


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
        **{"the joke": 1, "same belief and desire": 24, "same belief": 75, "same desire": 75},
        **{"same action only": 75, "nothing shared": 150},
    }
    assert situations["the joke"].tolist() == [WORLD.joke]
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
    [lived] = twin.live(CIRCUIT, WORLD.task, [Life(schedule, Backprop(rate), weights)])
    shown = torch.tensor(WORLD.task.stimuli[None, [WORLD.joke]])
    state = twin.Networks.stack(CIRCUIT, [weights]).potentials(shown)
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


@pytest.mark.parametrize(("n_occurrences", "event_fraction"), [(1, 0.025), (12, 0.03), (12, 0.3)])
def test_a_life_has_the_joke_as_often_as_asked_among_other_situations(n_occurrences, event_fraction):
    n_events = round(n_occurrences / event_fraction)
    rng = np.random.default_rng(3)
    life = WORLD.life(EXECUTION, event_fraction=event_fraction, n_events=n_events, rng=rng)
    assert life.n_occurrences == n_occurrences
    assert len(life) == n_events
    assert (life.stimulus[life.rare] == WORLD.joke).all()
    assert life.rare[-1]
    assert (life.outcome[life.rare] == WORLD.disapproved(EXECUTION)).all()
    others = life.stimulus[~life.rare]
    assert (life.outcome[~life.rare] == OWN_PREDICTION).all()
    assert not ((WORLD.belief[others] == WORLD.belief[-1]) & (WORLD.desire[others] == WORLD.desire[-1])).any()
    assert not WORLD.task.held_out[others].any()


def lived(script, kind, name="backprop", blamed=CHOICE, exposure="often"):
    (who,) = (one for one in script.learners() if one.name == name)
    return Condition(kind, {"blamed": blamed, "exposure": exposure, "seed": 1, "rate": 0.1}, who)


def test_all_learners_live_the_same_events_and_both_kinds_of_blame_but_for_the_outcome(script, agents):
    lives = [
        agents.life(lived(script, script.MATCHED, name, blamed))
        for name in (script.BACKPROP, script.SCREENED)
        for blamed in (CHOICE, EXECUTION)
    ]
    for life in lives:
        np.testing.assert_array_equal(life.stimulus, lives[0].stimulus)
        np.testing.assert_array_equal(life.kind, lives[0].kind)
    np.testing.assert_array_equal(lives[0].outcome, lives[2].outcome)
    assert len(lives[0]) == 40
    assert len(agents.life(lived(script, script.MATCHED, exposure="rarely"))) == 400


# ------------------------------------------------------------------------------------------ measures


def test_choice_goes_by_the_odds():
    choice = belief_desire.choice
    np.testing.assert_allclose(choice(np.array([0.75, 0.25, 0.25, 0.25])), [0.75, 1 / 12, 1 / 12, 1 / 12])
    np.testing.assert_allclose(choice(np.array([[0.5, 0.8], [0.2, 0.2]])), [[0.2, 0.8], [0.5, 0.5]])


def test_differing_is_the_share_of_choices_that_move():
    one, other = np.array([[0.7, 0.2, 0.1], [1, 0, 0]]), np.array([[0.4, 0.2, 0.4], [0, 0.5, 0.5]])
    np.testing.assert_allclose(belief_desire.differing(one, other), [0.3, 1])


def change_by_group(some, others, start):
    one, other = ([belief_desire.by_group(CIRCUIT, weights) for weights in lives] for lives in (some, others))
    return reach.unbiased_change(one, other, belief_desire.by_group(CIRCUIT, start))


def test_change_is_relative_to_all_weights_that_end_in_the_group():
    ones = Weights({p.name: np.ones(CIRCUIT.shape(p)) for p in CIRCUIT.projections}, {})
    both = changed(changed(ones, "b1_to_intention", 3.0), "d1_to_intention", 4.0)
    expected = np.zeros(len(GROUPS))
    expected[list(GROUPS).index("intention")] = 5 / np.sqrt(2 * 32 * 32)
    np.testing.assert_allclose(change_by_group([both], [ones], ones), expected)
    far = change_by_group([changed(ones, "drives_to_d3", -8.0)], [ones], ones)
    assert far[list(GROUPS).index("desire, far")] == 8 / 32
    assert np.count_nonzero(far) == 1
    twice = [changed(ones, "drives_to_d3", 8.0), changed(ones, "drives_to_d3", 2.0)]
    assert change_by_group(twice, [ones, ones], ones)[list(GROUPS).index("desire, far")] == pytest.approx(4 / 32)


def test_share_counts_beliefs_and_desires_only(script):
    #          execution action intention | beliefs: near, middle, far | desires
    change = [[0.1, 0.4, 0.1, 0.2, 0.1, 0.0, 0.1, 0.0, 0.0], [0.0] * 9]
    labelled_change = xr.DataArray(change, dims=("seed", "group"), coords={"group": list(GROUPS)})
    np.testing.assert_allclose(script.upstream_share(labelled_change), [0.4, np.nan])


def test_compared_against_hand_computed_numbers(script, agents, start):
    def compared(real, sham, other):
        return script.compared(agents, 0, real, sham, other)

    nothing = compared([start], [start], [start])
    for name in ("change", "change_floor", "behaviour_change", "behaviour_floor", "behaviour_square", "correction"):
        np.testing.assert_array_equal(nothing[name], 0)
    np.testing.assert_array_equal(nothing["approved_probability"], nothing["approved_probability_sham"])
    without = compared([start], [start], [])
    for name in ("change_floor", "behaviour_floor", "behaviour_square_floor"):
        assert np.isnan(without[name]).all()
    less = Weights(start.forward, start.bias | {"action": start.bias["action"] - 0.3 * np.eye(N)[WORLD.action]})
    found = compared([less], [start], [start])
    before, after = belief_desire.choices(WORLD, [start, less])
    predicted = twin.predict(CIRCUIT, [less], WORLD.task.stimuli)[0, :, :N]
    np.testing.assert_allclose(after, belief_desire.choice(predicted))
    at = WORLD.joke, WORLD.action
    joke, same_belief = (found.sel(situation=name) for name in ("the joke", "same belief"))
    assert found["correction"].item() == pytest.approx(1 - after[at] / before[at])
    assert joke["behaviour_change"].item() == pytest.approx(np.abs(after - before)[WORLD.joke].sum() / 2)
    assert joke["behaviour_square"].item() == pytest.approx(((after - before)[WORLD.joke] ** 2).sum())
    same = WORLD.situations()["same belief"]
    twice = compared([less, start], [start, start], [start, less])
    assert twice["behaviour_square"][0] == 0, "one life changed and the other did not: nothing is sure"
    assert twice["correction"].item() == pytest.approx(0.5 * (1 - after[at] / before[at]))
    assert twice["behaviour_floor"][0].item() == pytest.approx(0.5 * joke["behaviour_change"].item())
    assert same_belief["behaviour_change"].item() == pytest.approx(np.abs(after - before)[same].sum(1).mean() / 2)
    approved = after[same, WORLD.task.label[same]]
    assert same_belief["approved_probability"].item() == pytest.approx(approved.mean())
    assert same_belief["still_approved"].item() == (after[same].argmax(1) == WORLD.task.label[same]).mean()


def test_a_trained_agent_is_looked_at_in_rates_and_in_spikes(script, agents, start):
    (who,) = (one for one in script.learners() if one.name == script.SCREENED)
    measure = script.measure_condition(agents, Condition(script.START, {"seed": 0}, who))
    (life,) = next(measure).lives
    assert life.schedule.stimulus.tolist() == list(range(len(WORLD.task.stimuli)))
    assert life.rule.eta == 0
    in_spikes = np.tile(np.eye(2 * N)[0], (len(WORLD.task.stimuli), 1))  # always the first action
    with pytest.raises(StopIteration) as end:
        measure.send([SimpleNamespace(prediction=in_spikes)])
    found = end.value.value
    assert found["accuracy_spikes"].item() == (WORLD.approved == 0).mean()
    right = belief_desire.choices(WORLD, [start])[0].argmax(1) == WORLD.approved
    assert found["accuracy"].item() == right.mean()
    assert found["accuracy_held_out"].item() == right[WORLD.task.held_out].mean()
    both = [start.forward[name].ravel() for name in ("b1_to_intention", "d1_to_intention")]
    assert found["weight_norm"].sel(group="intention").item() == pytest.approx(np.linalg.norm(np.concatenate(both)))


@pytest.mark.parametrize("kind", ["matched", "equal"])
def test_a_life_in_spikes_has_sham_runs_of_the_same_phases_and_its_floor_others(script, agents, monkeypatch, kind):
    seen = []
    monkeypatch.setattr(script, "compared", lambda agents, seed, *lives: seen.append(lives))
    measure = script.measure_condition(agents, lived(script, kind, script.SCREENED))
    lives = next(measure).lives
    phases = [1 + 1000 * k for k in range(12)]
    others = phases[6:] if kind == "matched" else []
    assert [life.phases for life in lives] == [*phases[:6], *phases[:6], *others]
    disapproved = [life.schedule.outcome[life.schedule.rare][0] != OWN_PREDICTION for life in lives]
    assert disapproved == [True] * 6 + [False] * (6 + len(others))
    with pytest.raises(StopIteration):
        measure.send([SimpleNamespace(weights=life) for life in lives])
    assert seen == [(list(lives[:6]), list(lives[6:12]), list(lives[12:]))]


def test_in_rates_where_nothing_is_random_the_floor_is_zero(script, agents, monkeypatch):
    seen = []
    monkeypatch.setattr(script, "compared", lambda agents, seed, *lives: seen.append(lives))
    measure = script.measure_condition(agents, lived(script, "equal"))
    real, sham = next(measure).lives
    with pytest.raises(StopIteration):
        measure.send([SimpleNamespace(weights=life) for life in (real, sham)])
    assert seen == [([real], [sham], [sham])]


# ------------------------------------------------------------------------------------------ what is gathered


@pytest.fixture(scope="module")
def recording(script, agents, start):
    """Runs in which the n-th learner changes all groups alike by n + 1, and half as much where execution is blamed.

    An agent corrects as much as its rate for a whole life, times 5 or, with the other seed, 10.
    """
    template = script.compared(agents, 0, [start], [start], [start])
    competence = belief_desire.competence(WORLD, np.eye(N)[WORLD.approved], np.eye(N)[WORLD.approved])
    norm = template["change"].variable.copy(data=np.arange(9.0))
    norm.attrs["long_name"] = "Euclidean norm of the trained agent's weights"
    trained = xr.Dataset({"group": template["group"], "weight_norm": norm, **competence})
    names = [one.name for one in agents.learners]
    occurrences = {name: n for name, n, *_ in agents.settings.exposures}

    def measured(c):
        if c.kind == script.START:
            return trained
        size = 1.0 * (1 + names.index(c["learner"])) * (1 if c["blamed"] == CHOICE else 0.5) * (1 + c["seed"])
        correction = 5 * (1 + c["seed"]) * c["rate"] * occurrences[c["exposure"]]
        values = {name: np.full(one.shape, size) for name, one in template.data_vars.items()}
        return template.copy(data=values | {"correction": correction, "change_floor": np.zeros(9)})

    runs = finished(script.STUDY, agents, agents.settings, measured)
    assert len(runs.of(script.MATCHING)) == 3 * 3 * 2
    return a_recording(**script.summarise(agents, agents.settings, runs))


def test_summary_puts_each_life_in_its_place(recording):
    # Between 0.08 and 0.16 a correction of 0.5 is at a quarter of the way in the logarithm of the rate; there it is
    # really 0.4 * 2**0.25, and the rest of the way to 0.16 is 0.75. The other seed needs half the rate.
    first = 0.4 * 2**0.25
    rate = 0.08 * 2 ** (0.25 + 0.75 * (0.5 - first) / (0.8 - first))
    expected = [[rate / n, rate / 2 / n] for n in (1, 12, 12)]
    done = recording.summary
    np.testing.assert_allclose(done["learning_rate"], [expected] * 3)
    np.testing.assert_allclose(done["correction"], np.full(done["correction"].shape, 5 * rate))
    unscreened = done.sel(learner="error relay, unscreened", exposure="rarely", seed=1)
    np.testing.assert_array_equal(unscreened["change"].sel(blamed="choice"), np.full(9, 6.0))
    np.testing.assert_array_equal(unscreened["change"].sel(blamed="execution"), np.full(9, 3.0))
    np.testing.assert_allclose(done["upstream_share"], 6 / 9)
    np.testing.assert_allclose(
        done["value_change"].sel(learner="error relay", blamed="choice"), 7 * 2 * np.array([[1, 2]] * 3)
    )
    # Norms of the groups are 0 to 8; those upstream are the last six.
    np.testing.assert_allclose(done["squared_share"], sum(k**2 for k in range(3, 9)) / sum(k**2 for k in range(9)))
    lifetime = done["rate"] * xr.DataArray([1, 12, 12], dims="exposure")
    corrected = done["correction_equal"].sel(seed=1)
    np.testing.assert_allclose(corrected, np.broadcast_to(10 * lifetime, corrected.shape))


def test_tables_say_where_the_change_is_and_what_execution_does_of_it(script, recording):
    choice, _, by_place, by_situation, execution, margins = script.tables(recording)
    # All nine groups change alike, so that two of nine are near; execution changes half as much as choice does.
    assert cells_of(by_place, 0)[2:] == ["0.111 [0.111, 0.111]"] * 3 + ["0.222 [0.222, 0.222]"] * 3
    assert cells_of(execution, 4)[1:] == ["rarely", "0.5 [0.5, 0.5]", "1 [1, 1]", "0.5 [0.5, 0.5]"]
    shown = cells_of(by_situation, 3)
    assert shown[:2] == ["error relay", "once"]
    assert shown[2] == shown[-1] == "3e+03 [2e+03, 4e+03]"
    assert cells_of(choice, 0)[3:6] == ["0.495 [0.495, 0.495]", "0.667 [0.667, 0.667]", "0.975 [0.975, 0.975]"]
    assert cells_of(margins, 0)[1:] == ["error relay", "once", "0 [0, 0]", "not decided (2 seeds)"]
    assert set(recording.summary["learner"].values) == {row for row in margins.columns[1].cells if row}


def test_comparisons_have_the_sign_that_the_argument_expects_above_zero(script, recording):
    found = script.comparisons(recording.summary)
    once, rarely = ({"exposure": name} for name in ("once", "rarely"))
    away = found["behaviour elsewhere, squared: backprop minus this"].sel(learner="error relay", **once)
    np.testing.assert_allclose(away, [-1, -2])
    share = found["upstream share: backprop minus this"].sel(learner="error relay", exposure="often")
    np.testing.assert_allclose(share, 0, atol=1e-12)
    values = found["weights of values: choice minus execution"].sel(learner="backprop", **rarely)
    np.testing.assert_allclose(values, [3.5, 7])
    joke = found["choice at the joke: choice minus execution"].sel(learner="error relay", **once)
    np.testing.assert_allclose(joke, [1, 2])


def test_rates_on_the_edge_of_those_tried_are_named(script, recording):
    trained, *edges = script.statements(recording)
    assert trained.startswith("Trained agents do what is approved in a share of 1 [1, 1] in rates, 1 [1, 1] on new")
    assert edges == []
    moved = recording.summary.copy(deep=True)
    moved["learning_rate"].loc[{"learner": "backprop", "exposure": "often", "seed": 1}] = 0.32 / 12
    assert list(script.statements(a_recording(summary=moved)))[1:] == [
        "Learning rates on the edge of those tried: backprop, often."
    ]


def test_figure_has_a_panel_of_weights_and_one_of_behaviour_for_every_exposure(script, recording):
    figure = script.figures(recording)[""]
    assert [axes.get_label() for axes in figure.axes] == list("abcdefghi")
    assert [text.get_text() for text in figure.axes[3].get_legend().get_texts()] == list(
        recording.summary["learner"].values
    )


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
        script.Settings(**settings)
