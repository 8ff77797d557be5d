"""The script that learns the digits from random weights: what it computes besides lives."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from bioplastic_models import chain
from brian2 import ms

from bioplastic.cells import phi
from bioplastic.recording.schema1 import RecordingError
from bioplastic.tasks import digits

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "learn_digits.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def task():
    return digits()


def a_run(script, config, n_hops, final, *, aligned=np.nan):
    """A life whose accuracy rises in a straight line from 0.1."""
    n = config.n_looks + 1
    curve = np.linspace(0.1, final, n)
    return vars(script.Run(curve, curve - 0.01, np.full((n, n_hops), aligned), np.full(n - 1, 50.0)))


def all_runs(script, config, final):
    """Runs of every condition; `final(condition)` is the accuracy it gets to."""
    runs = {}
    for learner in script.learners(config):
        for n in config.hops:
            for c in script.tuning_conditions(config, learner, n):
                runs[c.name] = a_run(script, config, n, final(c))
    for learner in script.learners(config):
        for n in config.hops:
            rate = script.chosen_rate(config, learner, n, runs)
            aligned = 0.5 if learner.spikes else np.nan
            for c in script.result_conditions(config, learner, n, rate):
                runs[c.name] = a_run(script, config, n, final(c), aligned=aligned)
    rate = script.chosen_rate(config, script.RELAY, config.hops[0], runs)
    for n in config.hops:
        for c in script.varied_conditions(config, n, rate):
            runs[c.name] = a_run(script, config, n, final(c))
    return runs


def test_start_weights_are_orthogonal_and_keep_rates_of_one_half(script):
    circuit = chain.circuit(3, n_cells=8, n_outputs=4)
    weights = script.start_weights(circuit, 3.0, seed=5)
    for projection in circuit.projections:
        w = weights.forward[projection.name]
        np.testing.assert_allclose(w @ w.T, 9 * np.eye(len(w)), atol=1e-12)
        rate = phi(w @ np.full(w.shape[1], 0.5) + weights.bias[projection.target])
        np.testing.assert_allclose(rate, 0.5, atol=1e-12)
    again, other = (script.start_weights(circuit, 3.0, seed=s).forward[circuit.projections[0].name] for s in (5, 6))
    np.testing.assert_array_equal(weights.forward[circuit.projections[0].name], again)
    assert np.abs(weights.forward[circuit.projections[0].name] - other).max() > 0.1


def test_validation_digits_are_neither_learned_from_nor_held_out(script, task):
    chosen = script.validation(task, 0.2)
    assert not task.held_out[chosen].any()
    assert len(set(chosen.tolist())) == len(chosen)
    left = np.bincount(task.label[~task.held_out], minlength=10)
    np.testing.assert_array_equal(np.bincount(task.label[chosen], minlength=10), np.round(0.2 * left))
    bench = script.Bench(script.QUICK)
    for role in ("result", "tuning"):
        assert not np.intersect1d(bench.learnable[role], bench.tested[role]).size
        assert not task.held_out[bench.learnable[role]].any()
    np.testing.assert_array_equal(bench.tested["result"], np.flatnonzero(task.held_out))
    assert len(bench.learnable["tuning"]) + len(chosen) == len(bench.learnable["result"])


def test_every_stimulus_comes_once_before_any_comes_again(script):
    found = script.order(np.array([3, 5, 8]), 8, np.random.default_rng(0))
    assert len(found) == 8
    assert sorted(found[:3].tolist()) == sorted(found[3:6].tolist()) == [3, 5, 8]
    assert found[6] != found[7]


def test_lessons_show_each_stimulus_with_its_own_outcome(script, task):
    schedule = script.lessons(task, np.array([0, 7, 7]))
    np.testing.assert_array_equal(schedule.outcome, task.label[[0, 7, 7]])
    schedule.check(task)


def test_the_learning_rate_falls_geometrically(script):
    config = replace(script.QUICK, n_events=30, n_looks=3, final_rate=0.01)
    np.testing.assert_allclose(script.stretches(config, 0.5), [0.5, 0.05, 0.005])


def test_a_rate_per_event_means_the_same_change_whatever_the_outcome_lasts(script):
    """At 100 Hz an outcome of 120 ms has 12 spikes, one of 240 ms 24."""
    brief = replace(script.QUICK, outcome_ms=120.0, theta=0.1, forgetting=0.5)
    assert script.RELAY.rule(brief, 0.6).eta == pytest.approx(0.05)
    assert script.RELAY.rule(replace(brief, outcome_ms=240.0), 0.6).eta == pytest.approx(0.025)
    learned = script.LEARNED.rule(brief, 0.6)
    assert learned.eta == pytest.approx(0.05)
    assert learned.decay == pytest.approx(0.5 * 0.05 * 0.1)
    assert script.RANDOM.rule(brief, 0.6) == script.RELAY.rule(brief, 0.6)


def test_phases_of_an_event(script):
    config = replace(script.QUICK, settling_ms=20.0, margin_ms=60.0, outcome_ms=120.0, gap_ms=10.0)
    assert float(script.timing(config, 6).lead / ms) == pytest.approx(180)
    assert float(script.timing(config, 6).event / ms) == pytest.approx(310)


def test_accuracy_by_hand(script):
    prediction = np.array([[0.3, 0.7], [0.6, 0.4], [0.2, 0.9], [0.8, 0.1]])
    assert script.accuracy(prediction, np.array([1, 0, 0, 1])) == 0.5


def test_cosines_by_hop(script):
    """Hop 0 is the last projection; 3 4 0 0 against 4 3 0 0 has cosine 24/25."""
    circuit = chain.circuit(2, n_cells=2, n_outputs=2)
    first, last = (p.name for p in circuit.projections)
    forward = {first: np.eye(2), last: np.array([[3.0, 4.0], [0.0, 0.0]])}
    feedback = {first: -2 * np.eye(2), last: np.array([[4.0, 3.0], [0.0, 0.0]])}
    np.testing.assert_allclose(script.cosines(circuit, forward, feedback), [0.96, -1.0])


def test_start_of_feedback(script):
    bench = script.Bench(script.QUICK)
    for learner, same in ((script.RELAY, True), (script.LEARNED, False), (script.RANDOM, False)):
        weights, feedback = bench.start(script.Condition(learner, 3, 0, 0.1))
        cosine = script.cosines(bench.circuits[3], weights.forward, feedback.weights)
        np.testing.assert_allclose(cosine, 1.0 if same else 0.0, atol=1e-9 if same else 0.15)


def test_learners_live_the_same_events(script):
    bench = script.Bench(script.QUICK)
    one, other = (bench.stretches(script.Condition(x, 3, 1, 0.1)) for x in (script.RELAY, script.BACKPROP))
    assert len(one) == script.QUICK.n_looks
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.stimulus, b.stimulus)


def test_the_best_rate_is_chosen_on_tuning_seeds_and_the_smallest_of_equals(script):
    config = replace(script.QUICK, n_tuning=2, spiking_rates=(0.1, 0.2, 0.4), backprop_rates=(0.5,))
    accuracies = {0.1: (0.6, 0.8), 0.2: (0.9, 0.9), 0.4: (0.95, 0.85)}
    runs = {}
    for c in script.tuning_conditions(config, script.RELAY, 3):
        runs[c.name] = a_run(script, config, 3, accuracies[c.rate][c.seed - 100])
    np.testing.assert_allclose(script.scores(config, script.RELAY, 3, runs), [0.7, 0.9, 0.9])
    for learner in (script.RELAY, script.LEARNED, script.RANDOM):
        assert script.chosen_rate(config, learner, 3, runs) == 0.2
    assert script.chosen_rate(config, script.BACKPROP, 3, runs) == 0.5
    seeds = {c.seed for c in script.tuning_conditions(config, script.RELAY, 3)}
    assert not seeds & set(config.seeds)


def test_verdicts_by_hand(script):
    found = script.verdicts(
        [3, 6, 4],
        np.array([[0.95, 0.93], [0.90, 0.92], [0.5, 0.5]]),
        np.array([[0.95, 0.95], [0.93, 0.93], [0.5, 0.5]]),
    )
    assert [v.behind for v in found] == pytest.approx([0.01, 0.02, 0.0])
    assert [(v.learns, v.keeps_up) for v in found] == [(True, True), (False, False), (False, True)]
    assert str(found[1]) == (
        "6 hops: error relay 91.0% (target 93%: NOT met), 2.0 points behind backprop (target: at most 1: NOT met)."
    )
    assert "target" not in str(found[2]).split(",", maxsplit=1)[0]


def test_an_uneven_life_is_refused(script):
    with pytest.raises(ValueError, match=r"n_events = 10 is no multiple of n_looks = 4"):
        replace(script.QUICK, n_events=10, n_looks=4)


def test_recording_goes_on_ends_whole_and_is_drawn(script, tmp_path, capsys):
    pytest.importorskip("torch")
    config = replace(
        script.QUICK,
        hops=(2, 3),
        seeds=(0, 1),
        control=True,
        spiking_rates=(0.1, 0.2),
        variations=(("theta", (0.3,)), ("n_events", (20,))),
        n_events=10,
    )
    best = {"error relay": 0.96, "learned feedback": 0.9, "fixed random feedback": 0.8, "backprop": 0.97}
    runs = all_runs(script, config, lambda c: best[c.learner.name] - 0.1 * (c.varied is not None))
    out = tmp_path / "run.h5"
    store, bench = script.opened(out, config), script.Bench(config)
    conditions = {
        c.name: c
        for n in config.hops
        for x in script.learners(config)
        for c in [
            *script.tuning_conditions(config, x, n),
            *script.result_conditions(config, x, n, script.chosen_rate(config, x, n, runs)),
            *(script.varied_conditions(config, n, 0.1) if x is script.RELAY else ()),
        ]
    }
    assert set(conditions) == set(runs)
    for name, condition in conditions.items():
        script.keep(store, condition, script.Run(**runs[name]))
    resumed = script.opened(out, config)
    assert set(resumed.runs) == set(runs)
    np.testing.assert_array_equal(resumed.runs[name]["accuracy"], runs[name]["accuracy"])
    assert not script.opened(out, replace(config, theta=0.7)).runs
    script.finish(resumed, bench)
    assert not resumed.folder.exists()
    with h5py.File(out) as file:
        assert file.attrs["complete"] == 1
        final = file["summary/accuracy"]
        assert final.attrs["units"] == "1"
        assert [d.keys()[0] for d in final.dims] == ["learner", "chain", "seed", "event"]
        np.testing.assert_allclose(final[0, :, :, -1], 0.96)
        np.testing.assert_allclose(file["variations/score"][:, 1], 0.86)
        shortened = file["runs"][script.varied_conditions(config, 3, 0.1)[1].name]
        assert shortened["event"][-1] == 20
        assert json.loads(shortened.attrs["config"])["n_events"] == 20
        assert (shortened.attrs["learner"], shortened.attrs["role"]) == ("error relay", "tuning")
        assert (shortened.attrs["chain"], shortened.attrs["seed"], shortened.attrs["learning_rate"]) == (3, 100, 0.1)
        assert np.isnan(file["summary/alignment"][3]).all()
        assert np.isnan(file["summary/alignment"][1, 0, :, :, 2]).all()
        assert (file["summary/alignment"][1, 1] == 0.5).all()
    script.show(out)
    printed = capsys.readouterr().out
    assert "3 hops: error relay 96.0% (target 94%: met), 1.0 points behind backprop" in printed
    assert "theta = 0.3" in printed
    assert out.with_suffix(".png").exists() and out.with_suffix(".pdf").exists()
    assert script.run(config, out) == out
    assert "complete" in capsys.readouterr().out


def test_a_file_of_another_configuration_is_not_touched(script, tmp_path):
    out = tmp_path / "run.h5"
    with h5py.File(out, "w") as file:
        file.attrs["schema"] = "something else"
    with pytest.raises(RecordingError, match=r"of another configuration: give another --out, or remove"):
        script.run(script.QUICK, out)
    out.write_text("no HDF5")
    with pytest.raises(RecordingError, match=r"cannot be read .* give another --out"):
        script.run(script.QUICK, out)
