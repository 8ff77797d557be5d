"""The map over frequency and salience: whose it is, what is lived for it, and what its summary and sentences say."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from bioplastic.circuit import Weights
from bioplastic.recording import Recording, labelled
from bioplastic.study import Condition, feedback

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "frequency_and_salience.py")))


@pytest.mark.parametrize("name", ["event_fractions", "event_fractions_learning", "saliences"])
def test_axes_are_in_rising_order(script, name):
    with pytest.raises(ValueError, match=f"{name} = .* give two or more different ones, in rising order"):
        replace(script.Settings(), **{name: (1.0, 0.5)})


def test_the_default_has_every_rule_while_weights_learn(script):
    made = {learner.name: learner for learner in script.learners(script.Settings(), script.LEARNING)}
    assert list(made) == [
        "error relay",
        "error relay, unscreened",
        "fixed random feedback",
        "error relay, radius 2",
        "learned feedback",
        "equilibrium relay",
        "broadcast",
        "backprop",
        "predictive coding, 3 steps",
        "predictive coding, equilibrium",
        "latent equilibrium",
    ]
    in_twin = [name for name, learner in made.items() if not learner.spikes]
    assert in_twin == list(made)[-4:] == [learner.name for learner in script.in_twin(script.Settings())]
    # 0.003 per spike at 100 Hz for 120 ms; of the outcome's error Latent Equilibrium takes 0.1 for 6 time constants.
    rules = {name: learner.rule(learner.rates[0]) for name, learner in made.items()}
    assert [rules[name].eta for name in in_twin] == pytest.approx([0.036, 0.036, 0.036, 0.06])
    assert [rules[name].steps for name in in_twin[1:3]] == [3, None]
    assert {rules[name].eta for name in made if name not in in_twin} == {0.003}
    # Only where the feedback weights come from sets it apart from the error relay.
    assert made["fixed random feedback"].feedback is feedback.random
    assert rules["fixed random feedback"] == rules["error relay"]


def test_with_frozen_weights_nothing_learns(script):
    frozen = script.learners(script.Settings(), script.FROZEN)
    assert [learner.name for learner in frozen] == ["error relay", "error relay, unscreened"]
    assert all(learner.rates == (0,) for learner in frozen)


def test_plan_has_every_place_of_the_map_but_no_half_presentations_in_the_twin(script):
    settings = replace(script.Settings(), saliences=(0.5, 1.0, 2.0), seeds=(0, 1))
    (planned,) = script.plan(None, settings, None)
    assert len({condition.kind for condition in planned}) == 2
    # 3 fractions, 2 seeds; 2 learners with frozen weights, 7 in spikes and 4 in the twin, which has 2 of 3 saliences.
    assert len(planned) == 3 * 2 * (2 * 3 + 7 * 3 + 4 * 2)
    assert {c["salience"] for c in planned if not c.who.spikes} == {1, 2}


# ------------------------------------------------------------------------------------------ lives


@pytest.fixture(scope="module")
def bench(script):
    made = script.Map(script.SETTINGS["quick"])
    weights = {p.name: np.ones(made.circuit.shape(p)) for p in made.circuit.projections}
    made.start = {
        0: Weights(weights, {p.name: np.zeros(p.size) for p in made.circuit.populations if p.role != "input"})
    }
    return made


def condition(script, bench, name="error relay", salience=1.0):
    learner = next(one for one in bench.learners if one.name == name)
    labels = {"event_fraction": 0.1, "salience": salience, "seed": 0, "rate": learner.rates[0]}
    return Condition(script.LEARNING, labels, learner)


def test_salience_lengthens_the_rare_event_only_and_changes_nothing_else(script, bench):
    plain, held = (bench.schedule(condition(script, bench, salience=x)) for x in (1.0, 4.0))
    assert (held.salience == np.where(plain.rare, 4.0, 1.0)).all()
    assert (held.stimulus == plain.stimulus).all()
    assert plain.rare.sum() == 2


def test_in_the_twin_salience_is_presentations(script, bench):
    measuring = script.measured(bench, condition(script, bench, "backprop", salience=4.0))
    life, sham = (one.schedule for one in next(measuring).lives)
    plain = bench.schedule(condition(script, bench))
    assert plain.rare.sum() == 2 and len(plain) == 20
    assert len(life) == len(sham) == 18 + 2 * 4
    first = int(np.argmax(plain.rare))
    assert (life.stimulus[first : first + 4] == plain.stimulus[first]).all()
    assert (life.salience == 1).all()
    assert np.array_equal(life.stimulus, sham.stimulus)
    assert (sham.outcome != life.outcome).sum() == 8  # only those of the rare event

    # A sham run leaves weights of 1.1, a run of 1.4 at the last hop.
    start = bench.start[0]
    shams = {name: w * 1.1 for name, w in start.forward.items()}
    real = shams | {"h1_to_y": 1.4 * start.forward["h1_to_y"]}
    with pytest.raises(StopIteration) as end:
        measuring.send([SimpleNamespace(weights=Weights(forward, start.bias)) for forward in (real, shams)])
    assert end.value.value["change"].values[-1] == pytest.approx([0.3, 0, 0, 0, 0, 0])
    assert (end.value.value["change_floor"] == 0).all()


# ------------------------------------------------------------------------------------------ summary


def summarised(script, settings, caused, floor, lived=lambda condition: True):
    """The summary of made-up runs with frozen weights; those in which they learn cause nothing."""
    (planned,) = script.plan(None, settings, None)
    hops = {"hop": np.arange(settings.n_hops)}
    runs = {script.FROZEN: [], script.LEARNING: []}
    for c in filter(lived, planned):
        if c.kind == script.FROZEN:
            sham = np.array([[2.0, 4.0, 6.0][: settings.n_hops]])
            spikes = {"": caused(c) + sham, "_sham": sham, "_sham2": floor(c) + sham}
            # As many in one occurrence more as in the other less: means are over occurrences.
            found = {f"error_spikes{k}": np.concatenate([v - 1, v + 1]) for k, v in spikes.items()}
            dims = ("occurrence", "hop")
        else:
            found = dict.fromkeys(("change", "change_floor"), np.zeros((1, settings.n_hops)))
            dims = ("snapshot", "hop")
        runs[c.kind].append((c, xr.Dataset({k: labelled(dims, v, k) for k, v in found.items()}, hops)))
    done = script.summarise(None, settings, SimpleNamespace(of=runs.get))
    assert set(done) == {"summary_frozen", "summary_learning"}
    return done["summary_frozen"].transpose("learner", "event_fraction", "salience", "seed", "hop", "predictor")


def test_summary_has_the_floor_over_seeds_the_reach_and_what_explains_it(script):
    settings = replace(
        script.SETTINGS["quick"], n_hops=3, event_fractions=(0.03, 0.3), saliences=(1.0, 4.0), seeds=(0, 1)
    )

    def caused(c):  # salience 1: hop 0; salience 4: hop 1, and in seed 1 the far end
        n = 1 if c["salience"] == 1 else 2 + c["seed"]
        return np.where(np.arange(3) < n, 6.0, 4.0)

    def floor(c):  # over seeds 3 and 7 at random signs: root of (9 + 49)/2 = 5.39
        return np.full(3, (3.0, -7.0)[c["seed"]])

    found = summarised(script, settings, caused, floor)
    assert found["learner"].values.tolist() == ["error relay", "error relay, unscreened"]
    assert found["hop"].values.tolist() == [0, 1, 2]
    assert found["caused"].sel(salience=1).values == pytest.approx(np.broadcast_to([6, 4, 4], (2, 2, 2, 3)))
    assert found["floor"].values == pytest.approx(np.full((2, 2, 2, 3), np.sqrt(29)))
    assert found["reach"].values[0, :, 0].tolist() == [[0, 0], [0, 0]]
    assert found["reach"].values[0, :, 1].tolist() == [[1, 2], [1, 2]]
    assert found["learning_rate"].values.tolist() == [0, 0]
    # Salience alone decides: it explains all of the variance, frequency none.
    assert found["predictor"].values.tolist() == ["frequency", "salience", "theory"]
    assert found["explained"].values[0, :, 0] == pytest.approx([0, 0], abs=1e-12)
    assert found["explained"].values[0, :, 1] == pytest.approx([1, 1])
    # Held are 1/(1 - exp(-1/0.9)) = 1.491 and 1/(1 - exp(-1/9)) = 9.509, times 1 and 4.
    held = np.array([[1.491, 5.963], [9.509, 38.04]])
    np.testing.assert_allclose(found["dimensionless_frequency"], held, rtol=1e-3)
    by_hand = np.corrcoef(np.log(held).ravel(), [0, 1, 0, 1])[0, 1] ** 2
    assert found["explained"].values[0, :, 2] == pytest.approx([by_hand, by_hand], rel=1e-3)


def test_dimensionless_frequency_is_salience_by_what_leaks_between_occurrences(script):
    # The memory is 30 events: with 30 ln 2 of them from one to the next, half of the mismatch has leaked, and it adds
    # up to twice what one event brings. Where the next comes after very many, nothing adds up.
    settings = replace(
        script.SETTINGS["quick"],
        n_hops=2,
        event_fractions=(1e-6, 1 / (30 * np.log(2))),
        saliences=(0.5, 1.0, 4.0),
        seeds=(0,),
    )
    found = summarised(script, settings, lambda c: np.ones(2), lambda c: np.zeros(2))
    np.testing.assert_allclose(found["dimensionless_frequency"], [[0.5, 1.0, 4.0], [1.0, 2.0, 8.0]])


def test_a_life_that_was_not_lived_has_no_reach(script):
    settings = replace(script.SETTINGS["quick"], n_hops=2, saliences=(0.5, 1.0, 2.0), seeds=(0,))
    found = summarised(
        script,
        settings,
        lambda c: np.array([1, c["salience"]]),
        lambda c: np.array([0, 1.5]),
        lived=lambda c: c["salience"] != 0.5 or c["learner"] != "error relay",
    ).sel(learner="error relay")
    assert np.isnan(found["reach"].sel(salience=0.5)).all()
    assert found["reach"].sel(salience=[1, 2]).values[..., 0].tolist() == [[0, 1], [0, 1]]
    assert found["explained"].sel(predictor="salience").values == pytest.approx([1])


# ------------------------------------------------------------------------------------------ what is said


def summary(names, reach, explained):
    return xr.Dataset(
        {
            "reach": (("learner", "event_fraction", "salience", "seed"), np.array(reach, float)),
            "explained": (("learner", "seed", "predictor"), np.array(explained, float)),
        },
        {
            "learner": names,
            "event_fraction": [0.1, 0.2],
            "salience": [1.0, 2.0, 4.0][: np.shape(reach)[2]],
            "seed": [0, 1],
            "predictor": ["frequency", "salience", "theory"],
        },
    )


def recording(frozen, learning):
    return Recording(Path("made_up.h5"), None, {"summary_frozen": frozen, "summary_learning": learning})


def test_slopes_per_doubling_leave_out_what_was_not_lived(script):
    reach = np.full((1, 2, 3, 2), np.nan)
    reach[0, :, 1:, :] = np.array([[0.0, 2.0], [3.0, 5.0]])[..., None]
    frequency, salience = script.slopes(summary(["error relay"], reach, np.zeros((1, 2, 3))))
    assert frequency.sel(learner="error relay").values.tolist() == [3.0, 3.0]
    assert salience.sel(learner="error relay").values.tolist() == [2.0, 2.0]


def test_sentences_say_what_the_theory_explains_and_who_shows_no_effect(script):
    rising = [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]  # a hop per doubling of salience, two per doubling of frequency
    flat = np.full((2, 2, 2), 11)
    frozen = summary(["error relay"], [rising], [[[0.5, 0.2, 0.9], [0.3, 0.4, 0.9]]])
    learning = summary(["error relay", "backprop"], [rising, flat], np.full((2, 2, 3), np.nan))
    said = list(script.statements(recording(frozen, learning)))
    # 0.9 - 0.5 in one seed, 0.9 - 0.4 in the other.
    assert "explains 0.9 [0.9, 0.9] of the variance of reach, 0.45 [0.4, 0.5] more than the better one" in said[0]
    assert said[1:] == ["backprop, weights learning: no effect of either is shown."]
    assert [one.values.tolist() for one in script.slopes(frozen)] == [[[2, 2]], [[1, 1]]]


def test_maps_and_what_they_come_to_are_printed_as_means_over_seeds(script):
    reached = [[[[1, 2], [np.nan, np.nan]], [[3, 3], [4, 5]]]]
    one = summary(["error relay"], reached, [[[0.5, 0.2, 0.9], [0.3, 0.4, 0.9]]])
    shown = list(script.tables(recording(one, one)))
    assert [table.title.partition(":")[0] for table in shown[:2]] == ["weights frozen", "weights learning"]
    cells = [list(column.cells) for column in shown[0].columns]
    assert cells == [["error relay"], ["1.5, –"], ["3.0, 4.5"]]
    assert [column.header for column in shown[2].columns[1:4]] == [
        "reach, from to",
        "hops per doubling of frequency",
        "of salience",
    ]
    # 2 and 1 hops from 0.1 to 0.2 at salience 1; 1 and 2 hops from 1 to 2 at 0.2.
    assert [next(iter(column.cells)) for column in shown[2].columns[1:]] == [
        "1.5 to 4.5",
        "1.5 [1, 2]",
        "1.5 [1, 2]",
        "0.4 [0.3, 0.5]",
        "0.3 [0.2, 0.4]",
        "0.9 [0.9, 0.9]",
    ]
