"""The map over frequency and salience: what it computes from recorded numbers, and what it takes from the main job."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bioplastic.circuit import Weights

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "data" / "golden" / "reach_vs_frequency-v1.h5"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "frequency_and_salience.py")))


def test_dimensionless_frequency_is_salience_by_what_leaks_between_occurrences(script):
    # The memory is 30 events: with 30 ln 2 of them from one to the next, half of the mismatch has leaked, and it adds
    # up to twice what one event brings. Where the next comes after very many, nothing adds up.
    found = script.dimensionless_frequency([1e-6, 1 / (30 * np.log(2))], [0.5, 1.0, 4.0])
    np.testing.assert_allclose(found, [[0.5, 1.0, 4.0], [1.0, 2.0, 8.0]])


def test_explained_variance(script):
    x = np.array([1.0, 10.0, 100.0])
    assert script.explained(x, np.array([0.0, 1.0, 2.0])) == pytest.approx(1)
    # Of 0, 1, 0 over -1, 0, 1 a line explains nothing; of 0, 0, 1 the slope is 1/2: 1/2 of 2/3 is 3/4.
    assert script.explained(x, np.array([0.0, 1.0, 0.0])) == pytest.approx(0, abs=1e-12)
    assert script.explained(x, np.array([0.0, 0.0, 1.0])) == pytest.approx(0.75)
    assert np.isnan(script.explained(x, np.ones(3)))


def test_slopes_per_doubling_leave_out_what_was_not_lived(script):
    reach = np.full((1, 2, 3, 2), np.nan)
    reach[0, :, 1:, :] = np.array([[0.0, 2.0], [3.0, 5.0]])[..., None]
    done = {"event_fraction": np.array([0.1, 0.2]), "salience": np.array([1.0, 2.0, 4.0]), "reach": reach}
    assert script.slopes(done, "event_fraction").tolist() == [[3.0, 3.0]]
    assert script.slopes(done, "salience").tolist() == [[2.0, 2.0]]


def test_salience_lengthens_the_rare_event_only_and_changes_nothing_else(script):
    bench = script.Bench(script.QUICK)
    learner = script.learners(script.QUICK, script.LEARNING)[0]
    plain, held = (
        bench.schedule(script.Condition(script.LEARNING, learner, 0.1, salience, 0)) for salience in (1.0, 4.0)
    )
    assert (held.salience == np.where(plain.rare, 4.0, 1.0)).all()
    assert (held.stimulus == plain.stimulus).all()
    assert plain.rare.sum() == 2


@pytest.mark.parametrize("name", ["event_fractions", "event_fractions_learning", "saliences"])
def test_axes_are_in_rising_order(script, name):
    with pytest.raises(ValueError, match=f"{name} = .* give two or more different ones, in rising order"):
        replace(script.Config(), **{name: (1.0, 0.5)})


def test_runs_are_taken_only_where_they_are_the_same(script):
    from bioplastic.recording import schema1 as recording

    main = recording.read(GOLDEN)
    settings = {
        name: main.attrs.config[name] for name in ("n_hops", "n_occurrences_frozen", "n_events_frozen", "n_counted")
    }
    config = replace(script.Config(), **settings)
    fraction, seed = float(main.summary.event_fraction[0]), int(main.summary.seed[0])
    learner = script.learners(config, script.FROZEN)[0]
    condition = script.Condition(script.FROZEN, learner, fraction, 1.0, seed)
    found = script.taken(GOLDEN, config, condition)
    caused = main.summary.variable("error_signal").values[main.summary.learner.index(learner.name), 0, 0, 0]
    np.testing.assert_allclose(found["caused"], caused)
    assert script.taken(GOLDEN, config, replace(condition, salience=2.0)) is None
    assert script.taken(GOLDEN, config, replace(condition, arm=script.LEARNING)) is None
    assert script.taken(GOLDEN, config, replace(condition, seed=77)) is None
    assert script.taken(GOLDEN, replace(config, n_hops=config.n_hops + 1), condition) is None
    assert script.taken(GOLDEN.with_name("none.h5"), config, condition) is None


def test_the_default_has_every_rule_while_weights_learn(script):
    made = {learner.name: learner for learner in script.learners(script.Config(), script.LEARNING)}
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
    assert in_twin == list(made)[-4:] == list(script.twin_rules(script.Config()))
    # 0.003 per spike at 100 Hz for 120 ms; of the outcome's error Latent Equilibrium takes 0.1 for 6 time constants.
    assert [made[name].rule.eta for name in in_twin] == pytest.approx([0.036, 0.036, 0.036, 0.06])
    assert [made[name].rule.steps for name in in_twin[1:3]] == [3, None]


def test_fixed_random_feedback_is_not_the_forward_weights(script):
    bench = script.Bench(script.QUICK)
    learner = next(x for x in script.learners(script.Config(), script.LEARNING) if x.name == "fixed random feedback")
    rng = np.random.default_rng(0)
    circuit = bench.circuit
    weights = Weights(
        {p.name: rng.normal(size=circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    one, again, other = (learner.feedback(circuit, weights, bench.task, seed) for seed in (0, 0, 1))
    name = "h1_to_y"
    assert np.array_equal(one.weights[name], again.weights[name])
    assert not np.array_equal(one.weights[name], other.weights[name])
    assert abs(np.corrcoef(one.weights[name].ravel(), weights.forward[name].T.ravel())[0, 1]) < 0.2
    assert learner.rule == script.learners(script.Config(), script.LEARNING)[0].rule


def test_in_the_twin_salience_is_presentations(script, monkeypatch):
    pytest.importorskip("torch")
    from bioplastic import twin

    bench = script.Bench(script.QUICK)
    start = Weights(
        {p.name: np.ones(bench.circuit.shape(p)) for p in bench.circuit.projections},
        {p.name: np.zeros(p.size) for p in bench.circuit.populations if p.role != "input"},
    )
    bench.weights = {0: start}
    learner = next(x for x in script.learners(script.QUICK, script.LEARNING) if x.name == "backprop")
    seen = []

    def live(circuit, task, lives):
        seen.extend(lives)
        # A sham run leaves weights of 1.1, a run of 1.4 at the last hop.
        runs = []
        for life in lives:
            real = (life.schedule.outcome >= 0).all()
            forward = {name: w * 1.1 for name, w in start.forward.items()}
            if real:
                forward["h1_to_y"] = 1.4 * start.forward["h1_to_y"]
            runs.append(SimpleNamespace(weights=Weights(forward, start.bias)))
        return runs

    monkeypatch.setattr(twin, "live", live)
    condition = script.Condition(script.LEARNING, learner, 0.1, 4.0, 0)
    (found,) = bench.in_twin([condition])
    life, sham = (one.schedule for one in seen)
    plain = bench.schedule(replace(condition, salience=1.0))
    assert plain.rare.sum() == 2 and len(plain) == 20
    assert len(life) == len(sham) == 18 + 2 * 4
    first = int(np.argmax(plain.rare))
    assert (life.stimulus[first : first + 4] == plain.stimulus[first]).all()
    assert (life.salience == 1).all()
    assert np.array_equal(life.stimulus, sham.stimulus)
    assert (sham.outcome != life.outcome).sum() == 8  # only those of the rare event
    assert found["caused"] == pytest.approx([0.3, 0, 0, 0, 0, 0])
    assert (found["floor"] == 0).all()


def test_changes_are_relative_to_the_start(script):
    bench = script.Bench(replace(script.QUICK, n_hops=2))
    names = [p.name for p in bench.circuit.projections]
    start = Weights({name: np.array([[3.0, 4.0]]) for name in names}, {})
    assert names == ["x_to_h1", "h1_to_y"]
    real, sham, sham2 = (
        {"h1_to_y": start.forward["h1_to_y"] + near, "x_to_h1": start.forward["x_to_h1"] + far}
        for near, far in (([[0.0, 2.0]], [[1.0, 0]]), ([[0, 0.5]], [[0, 0]]), ([[0, 1.0]], [[0.0, 0]]))
    )
    found = bench.changes([real, sham, sham2], start)
    assert found["hop"].tolist() == [0, 1]
    assert found["caused"] == pytest.approx([0.3, 0.2])  # 1.5 and 1 of 5
    assert found["floor"] == pytest.approx([0.1, 0.0])


def test_what_is_taken_from_the_main_job_has_its_sham_floor(script):
    from bioplastic.recording import schema1 as recording

    main = recording.read(GOLDEN)
    settings = {
        name: main.attrs.config[name] for name in ("n_hops", "n_occurrences_frozen", "n_events_frozen", "n_counted")
    }
    config = replace(script.Config(), **settings)
    learner = script.learners(config, script.FROZEN)[0]
    fraction, seed = float(main.summary.event_fraction[0]), int(main.summary.seed[0])
    found = script.taken(GOLDEN, config, script.Condition(script.FROZEN, learner, fraction, 1.0, seed))
    names = main.find(arm="frozen", learner=learner.name, event_fraction=fraction, seed=seed, role="result")
    run = main.runs[names[0]]
    by_hand = [
        sum(np.asarray(run.measured(f"error_spikes_{kind}"))[:, hop].mean() * sign for kind, sign in terms)
        for terms in ((("sham2", 1), ("sham", -1)),)
        for hop in range(config.n_hops)
    ]
    assert found["floor"] == pytest.approx(by_hand)
    assert found["hop"].tolist() == list(range(config.n_hops))


def stored(script, config, caused, floor):
    """A store with a run of every condition with frozen weights."""
    runs = {}
    for c in script.conditions(config, script.FROZEN):
        hops = np.arange(config.n_hops)
        runs[c.name] = {"hop": hops, "caused": np.array(caused(c), float), "floor": np.array(floor(c), float)}
    return SimpleNamespace(runs=runs)


def test_summary_has_the_floor_over_seeds_the_reach_and_what_explains_it(script):
    config = replace(
        script.Config(), n_hops=3, event_fractions=(0.03, 0.3), saliences=(1.0, 4.0), seeds=(0, 1), every_rule=False
    )

    def caused(c):  # salience 1: hop 0; salience 4: hop 1, and in seed 1 the far end
        n = 1 if c.salience == 1 else 2 + c.seed
        return np.where(np.arange(3) < n, 6.0, 4.0)

    def floor(c):  # over seeds 3 and 7 at random signs: root of (9 + 49)/2 = 5.39
        return np.full(3, (3.0, -7.0)[c.seed])

    found = script.summary_of(config, script.FROZEN, stored(script, config, caused, floor))
    assert found["learner"] == ["error relay", "error relay, unscreened"]
    assert found["floor"] == pytest.approx(np.full((2, 2, 2, 3), np.sqrt(29)))
    assert found["reach"][0, :, 0].tolist() == [[0, 0], [0, 0]]
    assert found["reach"][0, :, 1].tolist() == [[1, 2], [1, 2]]
    assert found["learning_rate"].tolist() == [0, 0]
    # Salience alone decides: it explains all of the variance, frequency none.
    assert found["explained"][0, :, 0] == pytest.approx([0, 0], abs=1e-12)
    assert found["explained"][0, :, 1] == pytest.approx([1, 1])
    # Held are 1/(1 - exp(-1/0.9)) = 1.491 and 1/(1 - exp(-1/9)) = 9.509, times 1 and 4.
    held = np.array([[1.491, 5.963], [9.509, 38.04]])
    np.testing.assert_allclose(found["dimensionless_frequency"], held, rtol=1e-3)
    by_hand = np.corrcoef(np.log(held).ravel(), [0, 1, 0, 1])[0, 1] ** 2
    assert found["explained"][0, :, 2] == pytest.approx([by_hand, by_hand], rel=1e-3)


def test_a_life_that_was_not_lived_has_no_reach(script):
    config = replace(
        script.Config(), n_hops=2, event_fractions=(0.1, 0.3), saliences=(0.5, 1.0, 2.0), seeds=(0,), every_rule=False
    )
    store = stored(script, config, lambda c: [1, c.salience], lambda c: [0, 1.5])
    for name in [name for name in store.runs if "-x0.5-" in name]:
        del store.runs[name]
    found = script.summary_of(config, script.FROZEN, store)
    assert np.isnan(found["reach"][:, :, 0]).all()
    assert found["reach"][0, :, 1:, 0].tolist() == [[0, 1], [0, 1]]
    assert found["explained"][0, 0, 1] == pytest.approx(1)


def summary(names, reach, explained):
    return {
        "learner": names,
        "event_fraction": np.array([0.1, 0.2]),
        "salience": np.array([1.0, 2.0]),
        "seed": np.arange(2),
        "reach": np.array(reach, float),
        "explained": np.array(explained, float),
    }


def test_verdicts_say_what_the_theory_explains_and_who_shows_no_effect(script):
    rising = [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]  # a hop per doubling of salience, two per doubling of frequency
    flat = np.full((2, 2, 2), 11)
    frozen = summary(["error relay"], [rising], [[[0.5, 0.2, 0.9], [0.3, 0.4, 0.9]]])
    learning = summary(["error relay", "backprop"], [rising, flat], np.full((2, 2, 3), np.nan))
    said = list(script.verdicts({script.FROZEN: frozen, script.LEARNING: learning}))
    # 0.9 - 0.5 in one seed, 0.9 - 0.4 in the other.
    assert "explains 0.9 [0.9, 0.9] of the variance of reach, 0.45 [0.4, 0.5] more than the better one" in said[0]
    assert said[1:] == ["backprop, weights learning: no effect of either is shown."]
    assert script.slopes(frozen, "event_fraction").tolist() == [[2, 2]]
    assert script.slopes(frozen, "salience").tolist() == [[1, 1]]


def test_maps_are_printed_as_means_over_seeds(script):
    reached = [[[[1, 2], [np.nan, np.nan]], [[3, 3], [4, 5]]]]
    table = next(script.maps({script.FROZEN: summary(["error relay"], reached, np.zeros((1, 2, 3)))}))
    cells = [list(column.cells) for column in table.columns]
    assert cells == [["error relay"], ["1.5, –"], ["3.0, 4.5"]]
