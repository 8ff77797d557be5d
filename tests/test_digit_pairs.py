"""Digits two at a time: what is lived, and the circuit whose cells are off by topic."""

import numpy as np
import pytest
from bioplastic_models import chain, context_chain, digit_pairs
from bioplastic_models.digit_pairs import N_TASKS, DigitPairs

from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Weights
from bioplastic.tasks import digits

torch = pytest.importorskip("torch")

from bioplastic import twin  # noqa: E402 (torch may be absent)

PAIRS = DigitPairs()
N_EVENTS = 40


@pytest.fixture(scope="module")
def plain():
    """A small chain, with biases that make every cell fire at half its maximal rate if those upstream do."""
    rng = np.random.default_rng(0)
    circuit = chain.circuit(3, n_cells=10, n_outputs=2)
    forward = {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections}
    return Weights(forward, {p.target: -forward[p.name].sum(1) / 2 for p in circuit.projections})


# ------------------------------------------------------------------------------------------ what is lived


def test_blocks_hold_one_task_each_and_interleaving_only_reorders():
    blocks = PAIRS.life(N_EVENTS, seed=3)
    np.testing.assert_array_equal(PAIRS.topic[blocks.stimulus], np.repeat(np.arange(N_TASKS), N_EVENTS))
    assert len(set(blocks.stimulus.tolist())) == N_TASKS * N_EVENTS
    assert not PAIRS.task.held_out[blocks.stimulus].any()
    np.testing.assert_array_equal(blocks.outcome, PAIRS.task.label[blocks.stimulus])
    mixed = PAIRS.life(N_EVENTS, seed=3, interleaved=True)
    np.testing.assert_array_equal(np.sort(mixed.stimulus), np.sort(blocks.stimulus))
    assert len(set(PAIRS.topic[mixed.stimulus[:N_EVENTS]].tolist())) == N_TASKS


def test_only_what_was_lived_is_replayed():
    real, timing = PAIRS.life(N_EVENTS, seed=2), chain.timing(context_chain.N_HOPS)
    filled = digit_pairs.with_replays(real, 10, timing, seed=2)
    replayed = filled.replayed
    assert replayed.sum() == len(real)
    assert not filled.resting.any()
    np.testing.assert_array_equal(filled.stimulus[~replayed], real.stimulus)
    lived: set[int] = set()
    for stimulus, again in zip(filled.stimulus.tolist(), replayed, strict=True):
        assert not again or stimulus in lived
        lived.add(stimulus)
    # Every block has as many replays as real events, so that a life in equal parts is one in blocks.
    assert [int((~part).sum()) for part in np.split(replayed, N_TASKS)] == [N_EVENTS] * N_TASKS


def test_rates_are_chosen_on_images_that_nobody_learns_from_and_that_do_not_count():
    learned, validating, counting = PAIRS.learnable, PAIRS.validating, np.flatnonzero(PAIRS.task.held_out)
    for one, other in ((learned, validating), (learned, counting), (validating, counting)):
        assert not np.intersect1d(one, other).size
    assert len(learned) + len(validating) + len(counting) == len(PAIRS.topic)
    assert np.bincount(PAIRS.topic[learned]).min() >= 200  # enough for the default lives


def test_two_digits_share_two_outcomes():
    assert PAIRS.task.outcomes.shape == (2, 2)
    np.testing.assert_array_equal(2 * PAIRS.topic + PAIRS.task.label, digits().label)
    told = PAIRS.task.stimuli[:, 64:].reshape(len(PAIRS.topic), 5, context_chain.N_PER_TOPIC)
    np.testing.assert_array_equal(told.all(2), np.eye(5, dtype=bool)[PAIRS.topic])


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
