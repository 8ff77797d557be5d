"""Five tasks one after the other: measures by hand, what is lived, and the circuit whose cells are off by topic."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from bioplastic_models import chain, context_chain
from brian2 import ms

from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.tasks import digits

torch = pytest.importorskip("torch")

from bioplastic import twin  # noqa: E402 (torch may be absent)

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "continual_learning.py"
MATRIX = np.array(
    [
        [0.5, 0.4, 0.6],
        [0.9, 0.5, 0.5],
        [0.95, 0.8, 0.6],
        [0.8, 0.6, 1.0],
    ]
)
"""Accuracy on three tasks, before the first block and after each."""


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def bench(script):
    return script.Bench(script.QUICK)


@pytest.fixture(scope="module")
def plain():
    """A small chain, with biases that make every cell fire at half its maximal rate if those upstream do."""
    rng = np.random.default_rng(0)
    circuit = chain.circuit(3, n_cells=10, n_outputs=2)
    forward = {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections}
    return Weights(forward, {p.target: -forward[p.name].sum(1) / 2 for p in circuit.projections})


# ------------------------------------------------------------------------------------------ measures


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("average_accuracy", (0.8 + 0.6 + 1.0) / 3),
        ("learned", (0.9 + 0.8 + 1.0) / 3),
        ("kept", (0.8 + 0.6) / 2),
        ("backward_transfer", ((0.8 - 0.9) + (0.6 - 0.8)) / 2),
        ("forward_transfer", ((0.5 - 0.4) + (0.6 - 0.6)) / 2),
        ("forgetting", ((0.95 - 0.8) + (0.8 - 0.6)) / 2),
    ],
)
def test_measures_by_hand(script, measure, value):
    assert script.MEASURES[measure](MATRIX) == pytest.approx(value)
    several = np.stack([MATRIX, 1 - MATRIX])[:, None]
    assert script.MEASURES[measure](several).shape == (2, 1)
    assert script.MEASURES[measure](several)[0, 0] == pytest.approx(value)


def test_a_curve_is_read_where_it_first_gets_there(script):
    """The fourth point lies back, so that a straight line joins the third and the fifth."""
    x, y = np.array([0.5, 0.8, 0.9, 0.85, 0.95]), np.array([0.5, 0.7, 0.6, 0.1, 0.4])
    found = [script.at_match(x, y, wanted) for wanted in (0.4, 0.65, 0.85, 0.925, 0.99)]
    assert found == pytest.approx([0.5, 0.6, 0.65, 0.5, 0.4])


def test_backprop_at_the_rate_at_which_it_learns_as_well(script):
    """It starts at (1.5/3, 0.45) and gets to (2.7/3, 0.7); halfway between it has learned 0.7 and keeps 0.575."""
    dense = np.stack([MATRIX, MATRIX])
    assert script.of_dense(dense, "kept", 0.7) == pytest.approx((0.45 + 0.7) / 2)
    assert script.of_dense(dense, "forgetting", 0.7) == pytest.approx(0.175 / 2)
    assert script.of_dense(dense, "kept", 0.99) == pytest.approx(0.7)


def test_accuracy_by_task(script):
    prediction = np.array([[0.3, 0.7], [0.6, 0.4], [0.2, 0.9], [0.8, 0.1], [0.8, 0.1], [0.8, 0.1]])
    found = script.by_task(prediction, np.array([1, 0, 0, 1, 0, 0]), np.array([0, 0, 1, 2, 3, 4]))
    np.testing.assert_array_equal(found, [1, 0, 0, 1, 1])


def test_weights_that_moved(script):
    """The root mean square of the weights is 1, so that one of four moves by more than a hundredth, and two not."""
    circuit = Circuit(
        (Population("x", 2, "input"), Population("c", 1, "input"), Population("y", 2, "error source")),
        (Projection("x", "y"), Projection("c", "y", plastic=False)),
    )
    old = {"x_to_y": np.array([[1.0, -1.0], [1.0, -1.0]]), "c_to_y": np.ones((2, 1))}
    new = {"x_to_y": np.array([[1.011, -1.0], [1.009, -1.0]]), "c_to_y": 2 * np.ones((2, 1))}
    found = script.moves(circuit, Weights(old, {"y": np.zeros(2)}), Weights(new, {"y": np.zeros(2)}))
    np.testing.assert_allclose(found, [[0.25], [0.5]])


# ------------------------------------------------------------------------------------------ what is lived


def test_blocks_hold_one_task_each_and_interleaving_only_reorders(script, bench):
    dense = script.Condition(script.DENSE, 0.1)
    blocks = bench.schedule(dense, 3)
    n = script.QUICK.n_events
    np.testing.assert_array_equal(bench.topic[blocks.stimulus], np.repeat(np.arange(5), n))
    assert len(set(blocks.stimulus.tolist())) == 5 * n
    assert not bench.task.held_out[blocks.stimulus].any()
    np.testing.assert_array_equal(blocks.outcome, bench.task.label[blocks.stimulus])
    mixed = bench.schedule(replace(dense, order="interleaved"), 3)
    np.testing.assert_array_equal(np.sort(mixed.stimulus), np.sort(blocks.stimulus))
    assert len(set(bench.topic[mixed.stimulus[:n]].tolist())) == 5
    assert script.block_ends(5 * n)[0] == n - 1


def test_all_learners_live_the_same_real_events_and_replay_only_what_was(script, bench):
    replaying = [x for x in script.learners(script.QUICK) if x.replays]
    assert {x.spikes for x in replaying} == {False, True}
    real = bench.schedule(script.Condition(script.RELAY, 0.1), 2)
    filled = [bench.schedule(script.Condition(x, 0.1), 2) for x in replaying]
    np.testing.assert_array_equal(filled[0].stimulus, filled[1].stimulus)
    replayed = filled[0].replayed
    assert replayed.sum() == len(real)
    assert not filled[0].resting.any()
    np.testing.assert_array_equal(filled[0].stimulus[~replayed], real.stimulus)
    lived: set[int] = set()
    for stimulus, again in zip(filled[0].stimulus.tolist(), replayed, strict=True):
        assert not again or stimulus in lived
        lived.add(stimulus)
    ends = script.block_ends(len(filled[0]))
    assert [int((~replayed[: end + 1]).sum()) for end in ends] == [40, 80, 120, 160, 200]


def test_rates_are_chosen_on_other_networks_and_other_images(script, bench):
    tuning = script.tuning_conditions(script.Config(), script.DENSE)[0]
    assert not set(tuning.seeds(script.Config())) & set(script.Config().seeds)
    assert not np.intersect1d(bench.learnable["tuning"], bench.tested["tuning"]).size
    assert not bench.task.held_out[bench.tested["tuning"]].any()
    np.testing.assert_array_equal(bench.tested["result"], np.flatnonzero(bench.task.held_out))
    assert np.bincount(bench.topic[bench.learnable["tuning"]]).min() >= script.Config().n_events


def test_two_digits_share_two_outcomes(script, bench):
    assert bench.task.outcomes.shape == (2, 2)
    np.testing.assert_array_equal(2 * bench.topic + bench.task.label, digits().label)
    told = bench.task.stimuli[:, 64:].reshape(len(bench.topic), 5, context_chain.N_PER_TOPIC)
    np.testing.assert_array_equal(told.all(2), np.eye(5, dtype=bool)[bench.topic])


def test_a_rate_per_event_means_the_same_change_whoever_learns(script):
    """At 100 Hz an outcome of 120 ms has 12 spikes."""
    assert script.timing().outcome == 120 * ms
    relay, screened = (x for x in script.learners(script.QUICK) if x.name in ("error relay", "error relay, screened"))
    assert relay.rule(script.QUICK, 0.6).eta == screened.rule(script.QUICK, 0.6).eta == pytest.approx(0.05)
    assert (relay.rule(script.QUICK, 0.6).theta, screened.rule(script.QUICK, 0.6).theta) == (0.1, 1.0)


def test_uneven_replays_are_refused(script):
    with pytest.raises(ValueError, match=r"n_events = 45 is no multiple of replay_every = 10"):
        replace(script.QUICK, n_events=45)


# ------------------------------------------------------------------------------------------ the circuit


def test_cells_are_off_by_topic():
    circuit = context_chain.circuit(3, n_cells=10)
    off = context_chain.random_topics(circuit, 0.8, seed=1)
    assert set(off) == {"h1", "h2"}
    for cells in off.values():
        np.testing.assert_array_equal(cells.sum(0), 8)
        assert (cells[:, :1] != cells[:, 1:]).any()
    again, other = (context_chain.random_topics(circuit, 0.8, seed=s)["h1"] for s in (1, 2))
    np.testing.assert_array_equal(off["h1"], again)
    assert (other != again).any()


def test_cells_that_are_off_hardly_fire_and_all_others_start_at_half_their_rate(plain):
    circuit = context_chain.circuit(3, n_cells=10)
    off = context_chain.random_topics(circuit, 0.8, seed=1)
    weights = context_chain.with_context(circuit, plain, off)
    told = context_chain.context(np.arange(5))
    stimuli = np.hstack([np.full((5, 10), 0.5), told])
    state = twin.potentials(circuit, twin.Networks.stack([weights]), torch.tensor(stimuli)[None])
    for name, cells in off.items():
        rate = phi(state[name][0].numpy().T)
        np.testing.assert_allclose(rate[~cells], 0.5, atol=1e-4)
        assert rate[cells].max() < 1e-4
    np.testing.assert_allclose(phi(state["y"][0].numpy()), 0.5, atol=1e-4)
    assert phi(-context_chain.OFF) == pytest.approx(1.25e-5, rel=1e-3)
    assert phi_slope(-context_chain.OFF) == pytest.approx(5e-6, rel=1e-3)


def test_a_context_that_says_nothing_leaves_the_plain_chain(plain):
    circuit = context_chain.circuit(3, n_cells=10)
    weights = context_chain.with_context(circuit, plain)
    weights.check(circuit)
    assert [p.name for p in circuit.projections if not p.plastic] == ["context_to_h2", "context_to_h1", "context_to_y"]
    shown = np.random.default_rng(0).random((5, 10))
    with_it = twin.predict(
        circuit, twin.Networks.stack([weights]), np.hstack([shown, context_chain.context(np.arange(5))])
    )
    without = twin.predict(chain.circuit(3, n_cells=10, n_outputs=2), twin.Networks.stack([plain]), shown)
    np.testing.assert_array_equal(with_it, without)


def test_a_topic_that_is_told_moves_hidden_cells_only_and_silences_none(plain):
    circuit = context_chain.circuit(3, n_cells=10)
    weights = context_chain.with_topics_told(circuit, plain, seed=0)
    added = {n: weights.forward[n] @ context_chain.context(np.arange(5)).T for n in weights.forward if "context" in n}
    assert (added["context_to_y"] == 0).all()
    for name in ("context_to_h2", "context_to_h1"):
        assert added[name].shape == (10, 5)
        assert 0.7 < added[name].std() < 1.3
        assert phi(added[name]).min() > 1e-4
    other = context_chain.with_topics_told(circuit, plain, seed=1)
    assert (other.forward["context_to_h1"] != weights.forward["context_to_h1"]).all()


# ------------------------------------------------------------------------------------------ choice, recording, words


def a_run(script, condition, config, level):
    n = len(condition.seeds(config))
    accuracy = np.broadcast_to(np.linspace(0.5, level, 6)[:, None], (n, 6, 5)).copy()
    measured = condition.in_spikes
    return {
        "seed": np.array(condition.seeds(config)),
        "hop": np.arange(3),
        "accuracy": accuracy,
        "accuracy_spikes": accuracy - 0.1 if measured else np.full_like(accuracy, np.nan),
        "changed": np.full((n, 3), 0.3),
        "untouched": np.full((n, 3), 0.2),
    }


def all_runs(script, config, level):
    """All lives of an experiment; `level(learner, rate)` is the accuracy that they end with."""
    runs = {}
    for x in script.learners(config):
        for c in script.tuning_conditions(config, x):
            runs[c] = a_run(script, c, config, level(x.name, c.rate))
        best = script.chosen_rate(config, x, {c.name: r for c, r in runs.items()})
        for c in script.result_conditions(config, x, best):
            runs[c] = a_run(script, c, config, level(x.name, c.rate))
    return runs


def test_the_best_rate_is_that_of_the_best_average_accuracy_and_the_smallest_of_equals(script):
    config = replace(script.QUICK, backprop_rates=(0.1, 0.2, 0.4))
    levels = {0.1: 0.7, 0.2: 0.9, 0.4: 0.9, 0.08: 0.6, 0.32: 0.8}
    runs = {c.name: r for c, r in all_runs(script, config, lambda _, rate: levels[rate]).items()}
    np.testing.assert_allclose(script.scores(config, script.DENSE, runs), [0.7, 0.9, 0.9])
    assert script.chosen_rate(config, script.DENSE, runs) == 0.2
    found = script.summarise(config, runs)
    assert list(found["at_edge"][:5]) == [0, 0, 0, 0, 0]
    assert found["at_edge"][5] == 1
    np.testing.assert_allclose(found["rate"][5], [0.08, 0.32, np.nan])
    conditions = script.result_conditions(config, script.RELAY, 0.32)
    assert [(c.rate, c.order, c.in_spikes) for c in conditions] == [
        (0.08, "blocks", False),
        (0.32, "blocks", True),
        (0.32, "interleaved", False),
    ]


def test_effects_and_words(script):
    """Accuracy grows alike on all tasks, so that what is kept is what there is at the end, and nothing is forgotten."""
    config = replace(script.QUICK, seeds=(0, 1, 2, 3, 4))
    ends = {"backprop": 0.8, "backprop, 80 % off": 0.99, "backprop, 3 % kept": 0.8}
    runs = {c.name: r for c, r in all_runs(script, config, lambda name, _: ends.get(name, 0.7)).items()}
    summary = script.summarise(config, runs)
    learner = summary["learner"].index("backprop, 80 % off")
    found = script.effects(summary)
    # Learned is the mean of a straight line from 0.5: 0.5 + (0.99 - 0.5)*(1 + ... + 5)/25, against 0.3*0.6 of backprop.
    np.testing.assert_allclose(found["more learned"][learner], 0.6 * (0.49 - 0.3))
    np.testing.assert_allclose(found["kept more, matched"][learner], 0.99 - 0.8)
    np.testing.assert_allclose(found["kept more, matched"][1], 0, atol=1e-12)
    np.testing.assert_allclose(found["less forgetting"], summary["forgetting"][0, 0] - summary["forgetting"][:, 0])
    words = script.statements(summary)
    assert words[1].startswith("backprop, 80 % off: keeps more than backprop")
    assert words[0].endswith("against the claim.")
    assert script.statements(script.summarise(script.QUICK, {k: first(r) for k, r in runs.items()})) == [
        "Fewer than 5 seeds: nothing is said of the claim."
    ]


def first(run):
    """The same lives of one seed."""
    return {name: values if name == "hop" else values[:1] for name, values in run.items()}


@pytest.mark.slow
def test_recording_goes_on_ends_whole_and_is_drawn(script, tmp_path, capsys):
    config = replace(script.QUICK, seeds=(0, 1))
    runs = all_runs(script, config, lambda name, rate: 0.6 + rate / 2)
    out = tmp_path / "run.h5"
    store = script.opened(out, config)
    for condition, run in runs.items():
        script.keep(store, condition, run)
    resumed = script.opened(out, config)
    assert set(resumed.runs) == {c.name for c in runs}
    assert not script.opened(out, replace(config, theta=0.7)).runs
    script.finish(resumed, script.Bench(config))
    with h5py.File(out) as file:
        assert file.attrs["complete"] == 1
        summary = file["summary"]
        assert [d.keys()[0] for d in summary["forgetting"].dims] == ["learner", "order", "seed"]
        assert [d.keys()[0] for d in summary["accuracy_by_rate"].dims] == [
            *("learner", "rate_index", "seed", "block", "task")
        ]
        np.testing.assert_allclose(summary["accuracy"][0, 0, :, -1], 0.68)
        assert np.isnan(summary["accuracy_spikes"][0]).all()
        relay = list(summary["learner"].asstr()).index("error relay")
        np.testing.assert_allclose(summary["accuracy_spikes"][relay, :, -1], 0.66)
        assert file["runs"]["result-error_relay-blocks-rate0.32"].attrs["learning_rate"] == 0.32
    script.show(out)
    printed = capsys.readouterr().out
    assert "nothing is said of the claim" in printed
    assert out.with_suffix(".png").exists() and out.with_suffix(".pdf").exists()
    assert script.run(config, out) == out


@pytest.mark.slow
def test_lives_in_spikes_leave_the_weights_that_snapshots_and_error_spikes_tell(script, cpp_compiler):
    bench = script.Bench(script.QUICK)
    bench.prepare(lambda _: None)
    found = []
    live = bench.lived
    bench.lived = lambda life: found.append(live(life)) or found[-1]
    weights = bench.after_blocks(script.Condition(script.RELAY, 0.3), 0)
    assert len(weights) == 6
    for name, bias in found[0].weights.bias.items():
        np.testing.assert_allclose(weights[-1].bias[name], bias, atol=1e-10)
    for name, w in found[0].weights.forward.items():
        np.testing.assert_array_equal(weights[-1].forward[name], w)
    assert np.abs(weights[1].bias["y"] - weights[5].bias["y"]).max() > 0.01
