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
    assert script.on_curve(dense, "kept", 0.7) == pytest.approx((0.45 + 0.7) / 2)
    assert script.on_curve(dense, "forgetting", 0.7) == pytest.approx(0.175 / 2)
    assert script.on_curve(dense, "kept", 0.99) == pytest.approx(0.7)
    by_rate = np.stack([np.stack([MATRIX, MATRIX]), np.full((2, 4, 3), np.nan)])
    np.testing.assert_allclose(script.on_curves(by_rate, "kept", np.array([0.7, 0.99])), [0.575, 0.7])


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
    dense = script.Condition(script.DENSE, 0.1, (3,))
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
    real = bench.schedule(script.Condition(script.RELAY, 0.1, (2,)), 2)
    filled = [bench.schedule(script.Condition(x, 0.1, (2,)), 2) for x in replaying]
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


def test_rates_are_chosen_on_images_that_nobody_learns_from_and_that_do_not_count(script, bench):
    learned, validating, counting = bench.learnable, bench.validating, bench.tested
    for one, other in ((learned, validating), (learned, counting), (validating, counting)):
        assert not np.intersect1d(one, other).size
    assert len(learned) + len(validating) + len(counting) == len(bench.topic)
    np.testing.assert_array_equal(counting, np.flatnonzero(bench.task.held_out))
    assert np.bincount(bench.topic[learned]).min() >= script.Config().n_events


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
    agreeing = next(x for x in script.learners(script.QUICK) if x.agreeing).rule(script.QUICK, 0.6)
    assert agreeing.eta == agreeing.eta_apical == pytest.approx(0.05)


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
    state = twin.Networks.stack(circuit, [weights]).potentials(torch.tensor(stimuli)[None])
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
    with_it = twin.predict(circuit, [weights], np.hstack([shown, context_chain.context(np.arange(5))]))
    without = twin.predict(chain.circuit(3, n_cells=10, n_outputs=2), [plain], shown)
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


def a_run(condition, level):
    """Lives whose accuracy grows alike on all tasks; validated as it ends."""
    n = len(condition.seeds)
    accuracy = np.broadcast_to(np.linspace(0.5, level, 6)[:, None], (n, 6, 5)).copy()
    return {
        "seed": np.array(condition.seeds),
        "hop": np.arange(3),
        "validated": np.full(n, float(level)),
        "accuracy": accuracy,
        "accuracy_spikes": accuracy - 0.1 if condition.in_spikes else np.full_like(accuracy, np.nan),
        "changed": np.full((n, 3), 0.3),
        "untouched": np.full((n, 3), 0.2),
    }


def all_runs(script, config, level):
    """All lives of an experiment; `level(learner, rate)` is the accuracy that they end with."""
    runs = {}
    for x in script.learners(config):
        for c in script.swept(config, x):
            runs[c] = a_run(c, level(x.name, c.rate))
        best = script.best_rates(script.scores(config, x, {c.name: r for c, r in runs.items()}))
        for c in script.at_best(config, x, best):
            runs[c] = a_run(c, level(x.name, c.rate))
    return runs


def test_a_seed_gets_the_rate_that_is_best_for_all_others(script):
    """Seed 0 is best at rate 1, and the two others together at rate 2 (1.3 against 1.2), and so on."""
    scores = np.array([[0.9, 0.5, 0.5], [0.95, 0.6, 0.6], [0.1, 0.9, 0.4]])
    # Means of the others, by rate: seed 0: 0.5, 0.6, 0.65; seed 1: 0.7, 0.775, 0.25; seed 2: 0.7, 0.775, 0.5.
    np.testing.assert_array_equal(script.best_rates(scores), [2, 1, 1])
    np.testing.assert_array_equal(script.best_rates(scores[:, :1]), [1])
    np.testing.assert_array_equal(script.best_rates(np.array([[0.2, 0.3], [0.2, 0.3]])), [0, 0])


def test_each_seed_lives_on_at_its_own_rate(script):
    config = replace(script.QUICK, seeds=(7, 8, 9))
    dense = [(c.rate, c.seeds, c.order, c.in_spikes) for c in script.at_best(config, script.DENSE, np.array([1, 0, 1]))]
    assert dense == [(0.04, (8,), "interleaved", False), (0.16, (7, 9), "interleaved", False)]
    relay = [(c.rate, c.seeds, c.order, c.in_spikes) for c in script.at_best(config, script.RELAY, np.array([1, 1, 1]))]
    assert relay == [(0.32, (7, 8, 9), "interleaved", False), (0.32, (7, 8, 9), "blocks", True)]
    assert [(c.rate, c.seeds) for c in script.swept(config, script.RELAY)] == [(0.08, (7, 8, 9)), (0.32, (7, 8, 9))]


def test_the_summary_has_each_seed_at_its_rate(script):
    """Seed 0 does better at the small rate and seed 1 at the large one, so that each is given the other's choice."""
    config = replace(script.QUICK, seeds=(0, 1))
    runs = all_runs(script, config, lambda _, rate: 0.6)
    for c, run in list(runs.items()):
        if c.learner is script.DENSE and c.order == "blocks":
            large = c.rate == 0.16
            run["validated"] = np.array([0.7, 0.9] if large else [0.8, 0.6])
            run["accuracy"][:, -1] = np.array([[0.71], [0.91]] if large else [[0.81], [0.61]])
    dense = script.at_best(config, script.DENSE, np.array([1, 0]))
    for c in dense:
        runs[c] = a_run(c, 0.5 + c.rate)
    found = script.summarise(config, {c.name: r for c, r in runs.items()})
    np.testing.assert_allclose(found["learning_rate"][0], [0.16, 0.04])
    np.testing.assert_array_equal(found["at_edge"][0], [1, 1])
    np.testing.assert_allclose(found["score"][0, :2], [[0.8, 0.6], [0.7, 0.9]])
    np.testing.assert_allclose(found["average_accuracy"][0], [[0.71, 0.61], [0.66, 0.54]])
    np.testing.assert_array_equal(found["n_weights"], [2 * 64, 64 * 64, 64 * 64])
    assert script.rates_of(found, 0) == "0.04* (1), 0.16* (1)"
    assert script.rates_of(found, 1) == "0.04*"


def test_best_rates_lie_inside_what_was_tried(script):
    config = replace(script.QUICK, backprop_rates=(0.1, 0.2, 0.4))
    levels = {0.1: 0.7, 0.2: 0.9, 0.4: 0.9, 0.08: 0.6, 0.32: 0.8, 0.01: 0.6, 0.04: 0.5}
    runs = {c.name: r for c, r in all_runs(script, config, lambda _, rate: levels[rate]).items()}
    np.testing.assert_allclose(script.scores(config, script.DENSE, runs), [[0.7], [0.9], [0.9]])
    found = script.summarise(config, runs)
    np.testing.assert_array_equal(found["at_edge"][:6, 0], [0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(found["learning_rate"][:6, 0], [0.2, 0.2, 0.2, 0.2, 0.2, 0.32])
    np.testing.assert_allclose(found["rate"][5], [0.08, 0.32, np.nan])


def test_words(script):
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
    words = script.statements(summary)
    assert words[1].startswith("backprop, 80 % off: keeps more than backprop")
    assert words[0].endswith("against the claim.")
    alone = replace(config, seeds=(0,))
    runs = {c.name: r for c, r in all_runs(script, alone, lambda name, _: 0.7).items()}
    assert script.statements(script.summarise(alone, runs)) == ["Fewer than 5 seeds: nothing is said of the claim."]


def by_hand(after_first, end, other_end):
    """An accuracy matrix of five tasks: task 1 right after its block and at the end, all others learned to 0.9."""
    matrix = np.full((6, 5), 0.5)
    for block in range(1, 6):
        matrix[block, 1:block] = 0.9
        matrix[block, 0] = after_first
    matrix[-1, 0] = end
    matrix[-1, 1:4] = other_end
    return matrix


@pytest.fixture(scope="module")
def summary_by_hand(script):
    """Backprop forgets (0.4 + 3*0.2)/4 = 0.25, the relays (0.1 + 3*0.1)/4 = 0.1 and learn less, see the tests.

    Backprop:             learned (0.9 + 4*0.9)/5 = 0.9,  kept (0.5 + 3*0.7)/4 = 0.65
    backprop with replay: learned 0.9,                    kept 0.8,                      forgets 0.1
    relays:               learned (0.4 + 4*0.9)/5 = 0.8,  kept (0.3 + 3*0.8)/4 = 0.675,  forgets 0.1
    """
    config = script.QUICK
    runs = {}
    for x in script.learners(config):
        for c in [*script.swept(config, x), *script.at_best(config, x, np.array([0]))]:
            run = a_run(c, 0.5)
            matrix = by_hand(0.4, 0.3, 0.8) if x.spikes else by_hand(0.9, 0.5, 0.7)
            if x.name == "backprop, replay":
                matrix = by_hand(0.9, 0.8, 0.8)
            run["accuracy"][:] = matrix
            if c.in_spikes:
                run["accuracy_spikes"][:] = by_hand(0.4, 0.2, 0.8)
            if c.order == "interleaved":
                run["accuracy"][:, -1] = 0.95
            run["changed"][:], run["untouched"][:] = [1.0, 0.5, 0.0], [0.0, 0.5, 1.0]
            runs[c.name] = run
    return script.summarise(config, runs)


def test_effects_by_hand(script, summary_by_hand):
    """Backprop's curve goes straight from where it starts (0.5, 0.5, forgets 0) to (0.9, 0.65, 0.25)."""
    relay = summary_by_hand["learner"].index("error relay")
    found = {name: float(values[relay, 0]) for name, values in script.effects(summary_by_hand).items()}
    assert found["less forgetting"] == pytest.approx(0.25 - 0.1)
    assert found["more learned"] == pytest.approx(0.8 - 0.9)
    assert found["kept more, matched"] == pytest.approx(0.675 - (0.5 + 0.75 * 0.15))
    assert found["less forgetting, matched"] == pytest.approx(0.75 * 0.25 - 0.1)
    spikes = {name: float(values[relay, 0]) for name, values in script.effects(summary_by_hand, "_spikes").items()}
    # In spikes it ends at (0.2 + 3*0.8)/4 = 0.65 and forgets (0.2 + 3*0.1)/4 = 0.125.
    assert spikes["less forgetting"] == pytest.approx(0.25 - 0.125)
    assert spikes["kept more, matched"] == pytest.approx(0.65 - (0.5 + 0.75 * 0.15))
    assert spikes["less forgetting, matched"] == pytest.approx(0.75 * 0.25 - 0.125)


def test_replay_against_replay_by_hand(script, summary_by_hand):
    """Backprop's curve goes from (0.5, 0.5, forgets 0, average 0.5) to (0.9, 0.8, 0.1, 0.82), the relay's to 0.8."""
    found = script.replay_effects(summary_by_hand)
    assert {k: float(v[0]) for k, v in found["best rates"].items()} == pytest.approx(
        {"learned": -0.1, "kept": 0.675 - 0.8, "forgetting": 0, "average_accuracy": (0.3 + 3 * 0.8 + 0.9) / 5 - 0.82}
    )
    assert {k: float(v[0]) for k, v in found["where backprop learns as the relay"].items()} == pytest.approx(
        {
            "learned": 0,
            "kept": 0.675 - (0.5 + 0.75 * 0.3),
            "forgetting": 0.1 - 0.075,
            "average_accuracy": 0.72 - (0.5 + 0.75 * 0.32),
        }
    )
    assert float(found["the same, relay in spikes"]["kept"][0]) == pytest.approx(0.65 - 0.725)
    # The relay never learns as much as backprop: it is taken where it learns most.
    assert float(found["where the relay learns as backprop"]["learned"][0]) == pytest.approx(0.8 - 0.9)
    assert float(found["where the relay learns as backprop"]["kept"][0]) == pytest.approx(0.675 - 0.8)


def test_differences_and_weights_of_all_hops_by_hand(script, summary_by_hand):
    relay = summary_by_hand["learner"].index("error relay")
    found = script.differences(summary_by_hand)
    assert found["forgetting, less in rates"][relay, 0] == pytest.approx(0.125 - 0.1)
    assert found["less in blocks"][relay, 0] == pytest.approx(0.95 - 0.72)
    assert np.isnan(found["forgetting, less in rates"][0, 0])
    changed, untouched = (script.of_all_weights(summary_by_hand, name) for name in ("changed", "untouched"))
    assert changed[relay, 0] == pytest.approx((128 + 2048) / 8320)
    assert untouched[relay, 0] == pytest.approx((2048 + 4096) / 8320)


def test_nobody_is_drawn_like_another_in_the_same_panel(script):
    names = [x.name for x in script.learners(script.Config())]
    looks = script._looks(names)
    for kind in (False, True):
        panel = [looks[name] for name in names if name == "backprop" or ("relay" in name) == kind]
        assert len({(look.marker, look.line) for look in panel}) == len(panel)
    assert all(looks[name].marker != looks["backprop"].marker for name in names[1:])


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
        assert file["runs"]["error_relay-blocks-rate0.32"].attrs["learning_rate"] == 0.32
        assert "error_relay-blocks-in_spikes-rate0.32" in file["runs"]
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
    weights = bench.after_blocks(script.Condition(script.RELAY, 0.3, (0,)), 0)
    assert len(weights) == 6
    for name, bias in found[0].weights.bias.items():
        np.testing.assert_allclose(weights[-1].bias[name], bias, atol=1e-10)
    for name, w in found[0].weights.forward.items():
        np.testing.assert_array_equal(weights[-1].forward[name], w)
    assert np.abs(weights[1].bias["y"] - weights[5].bias["y"]).max() > 0.01
