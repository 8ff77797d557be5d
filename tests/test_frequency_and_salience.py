"""The map over frequency and salience: what it computes from recorded numbers, and what it takes from the main job."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

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
    from bioplastic import recording

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
