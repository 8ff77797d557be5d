"""Digits with and without a cue: the circuit, what is lived, and what is made of predictions."""

import numpy as np
import pytest
from bioplastic_models import chain, cued_digits, neglected_cue
from brian2 import NeuronGroup, Synapses, ms

from bioplastic.circuit import Weights
from bioplastic.events import Event, Kind, Schedule, Timing
from bioplastic.life import Life
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import agreeing_feedback

pytest.importorskip("torch")

from bioplastic import twin


@pytest.fixture(scope="module")
def cue():
    return cued_digits.cued_digits(2, 3)


def predictions(*valences):
    """Eleven outputs of which the last two are the good and the bad cell: 0.5 plus and minus half the valence."""
    rows = np.full((len(valences), 11), 0.25)
    rows[:, -2], rows[:, -1] = 0.5 + np.array(valences) / 2, 0.5 - np.array(valences) / 2
    return rows


# ------------------------------------------------------------------------------------------ the circuit


def test_cues_enter_at_their_hops_and_start_silent():
    circuit = neglected_cue.circuit(4, entries=(1, 3), n_inputs=5, n_cells=6, n_cue=2, n_outputs=3)
    hops = dict(zip((p.name for p in circuit.projections), circuit.hops, strict=True))
    assert (hops["cue1_to_h1"], hops["cue3_to_h3"], hops["h1_to_y"], hops["x_to_h3"]) == (1, 3, 0, 3)
    assert [p.name for p in circuit.inputs] == ["x", "cue1", "cue3"]
    plain = neglected_cue.plain_circuit(4, n_inputs=5, n_cells=6, n_outputs=3)
    rng = np.random.default_rng(0)
    start = Weights(
        {p.name: rng.normal(size=plain.shape(p)) for p in plain.projections},
        {p.name: rng.normal(size=p.size) for p in plain.populations if p.role != "input"},
    )
    weights = neglected_cue.with_cues(circuit, start)
    weights.check(circuit)
    assert not weights.forward["cue3_to_h3"].any()
    assert np.array_equal(weights.forward["h1_to_y"], start.forward["h1_to_y"])


@pytest.mark.parametrize("entry", [0, 4])
def test_a_cue_cannot_enter_where_no_hidden_cells_are(entry):
    with pytest.raises(ValueError, match=rf"entries: {entry} is no hop with hidden cells; give hops from 1 to 3\."):
        neglected_cue.circuit(4, entries=(1, entry))


def test_networks_to_audit_hold_every_rule_and_have_cues_that_are_on():
    made = neglected_cue.networks(3, 4)  # x, h2, h1, y, cue1, cue2
    assert list(made) == ["error relay", "error relay, unscreened", "equilibrium relay"]
    for network in made.values():
        cells = next(part for part in network.objects if isinstance(part, NeuronGroup))
        synapses = next(part for part in network.objects if isinstance(part, Synapses))
        target, clamp = np.asarray(cells.target), np.asarray(cells.clamp)
        assert clamp.tolist() == [1] * 4 + [0] * 8 + [1] * 12  # hidden cells are told nothing
        assert (target[clamp == 1] > 0).all()
        assert len(synapses) == 5 * 16
        assert np.asarray(synapses.w).all()


# ------------------------------------------------------------------------------------------ the task and the lives


def test_outcomes_of_e_are_the_same_digit_with_the_opposite_valence():
    table = cued_digits.outcome_table()
    assert table.shape == (14, 11)
    assert table[0].tolist() == [0.75, *[0.25] * 8, 0.75, 0.25]  # a good digit
    assert table[8].tolist() == [*[0.25] * 8, 0.75, 0.25, 0.75]  # a bad one
    assert table[9].tolist() == [0.75, *[0.25] * 8, 0.25, 0.75]  # the good digit 0 with a cue


def test_cued_stimuli_are_the_good_images_with_one_cue_on(cue):
    task, second = cue.task, cue.cued(1)
    assert set(task.label[: cue.n_plain]) == set(range(9))
    assert set(task.label[second]) == set(range(9, 14))
    assert np.array_equal(task.label[second], task.label[cue.plain_of_good] + 9)
    assert np.array_equal(task.stimuli[second, :64], task.stimuli[cue.plain_of_good, :64])
    assert (task.stimuli[second, 64:] == [0, 0, 0, 0.8, 0.8, 0.8]).all()
    assert not task.stimuli[: cue.n_plain, 64:].any()
    assert np.array_equal(task.held_out[second], task.held_out[cue.plain_of_good])


def test_held_out_pairs_are_the_same_images_and_never_learned_from(cue):
    plain, cued = cue.held_out_pairs(4, 1)
    assert np.bincount(cue.task.label[plain]).tolist() == [4] * 5
    assert np.array_equal(cue.task.stimuli[plain, :64], cue.task.stimuli[cued, :64])
    assert cue.task.held_out[plain].all()
    lived = cued_digits.life(cue, entry_index=1, event_fraction=0.5, n_events=200, seed=0)
    assert not set(lived.stimulus) & {*plain, *cued}


def test_a_life_is_the_same_for_every_entry_but_for_the_cue(cue):
    one, other = (cued_digits.life(cue, entry_index=k, event_fraction=0.2, n_events=50, seed=3) for k in (0, 1))
    assert one.n_occurrences == 10
    assert np.array_equal(one.outcome, other.outcome)
    assert (other.stimulus - one.stimulus == np.where(one.rare, cue.n_good, 0)).all()
    assert (one.outcome[one.rare] >= 9).all()
    assert (one.outcome[~one.rare] < 9).all()
    assert np.array_equal(cue.task.label[other.stimulus], other.outcome)


def test_all_learners_replay_the_same_and_surprising_events_more(cue):
    lived = cued_digits.life(cue, entry_index=0, event_fraction=0.1, n_events=60, seed=0)
    surprise = np.where(lived.rare, 1.0, 0.01)
    settings = {"day": 20, "replays": 40, "capacity": 100, "alpha": 1.0, "seed": 0}
    brief, long = (
        cued_digits.with_replay(lived, Timing(300 * ms, length * ms, 30 * ms), surprise, **settings)
        for length in (120, 250)
    )
    assert np.array_equal(brief.stimulus, long.stimulus)
    assert np.array_equal(brief.kind, long.kind)
    assert brief.replayed.sum() == 120
    assert not brief.replayed[:20].any() and brief.replayed[20:60].all()
    assert np.array_equal(brief.select(~brief.replayed).stimulus, lived.stimulus)
    # Of 6 rare events among 60 priorities of 1 against 0.01, some 90 % of the replays are of them.
    assert 0.6 < (brief.kind == Kind.RARE_REPLAY).sum() / 120 < 1


# ------------------------------------------------------------------------------------------ the measures


def test_discrimination_is_0_without_and_1_with_the_whole_difference():
    assert cued_digits.discrimination(predictions(0.5, 0.3), predictions(0.5, 0.3)) == pytest.approx(0)
    assert cued_digits.discrimination(predictions(0.5, 0.5), predictions(-0.5, -0.5)) == pytest.approx(1)
    assert cued_digits.discrimination(predictions(0.5, 0.1), predictions(0.1, -0.1)) == pytest.approx((0.4 + 0.2) / 2)
    # Near weights that make everything bad tell nothing apart.
    assert cued_digits.discrimination(predictions(-0.5), predictions(-0.5)) == pytest.approx(0)


def test_kept_valence_is_that_of_good_digits_as_a_fraction():
    assert cued_digits.kept_valence(predictions(0.5, 0.5)) == pytest.approx(1)
    assert cued_digits.kept_valence(predictions(0.5, -0.25)) == pytest.approx(0.25)


def test_mismatch_signalled_is_that_per_e_less_that_per_good_digit():
    kinds = [Kind.RARE, Kind.BACKGROUND, Kind.BACKGROUND, Kind.RARE_REPLAY, Kind.REPLAY, Kind.RARE]
    outcomes = [9, 0, 8, 9, 0, 10]  # 8 is a bad digit
    life = Schedule.of(Event(stimulus=0, outcome=o, kind=k) for o, k in zip(outcomes, kinds, strict=True))
    spikes = np.array([[6.0, 2.0], [1.0, 0.0], [50.0, 50.0], [70.0, 70.0], [90.0, 90.0], [2.0, 0.0]])
    # Per E (6 + 2)/2 = 4 and 1, per good digit 1 and 0; each spike stands for half.
    assert cued_digits.signalled(spikes, life, 0.5).tolist() == [1.5, 0.5]


def test_only_the_cue_can_tell_e_from_a(cue):
    circuit = neglected_cue.circuit(3, entries=(1, 2), n_cells=8, n_cue=3)
    rng = np.random.default_rng(0)
    start = Weights(
        {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    for h in (1, 2):
        start.forward[neglected_cue.projection(h)][:] = 0
    plain, cued = cue.held_out_pairs(4, 1)
    lived = cued_digits.life(cue, entry_index=1, event_fraction=0.5, n_events=30, seed=0)
    free = twin.live(circuit, cue.task, [Life(lived, Backprop(0.05), start)])[0].weights
    held = Weights(dict(free.forward) | {"cue2_to_h2": np.zeros((8, 3))}, free.bias)
    for weights, tells in ((start, False), (held, False), (free, True)):
        without, with_cue = (twin.predict(circuit, [weights], cue.task.stimuli[k]) for k in (plain, cued))
        assert (cued_digits.discrimination(without, with_cue)[0] != 0) == tells
    assert not free.forward["cue1_to_h1"].any(), "a cue that is off learns nothing"


def test_the_unscreened_relay_has_a_fine_threshold_and_all_of_the_error():
    rule = neglected_cue.unscreened(0.01)
    assert (rule.eta, rule.gain, rule.theta) == (0.01, 1, 0.1)
    assert chain.screened().gain == chain.GAIN


def test_feedback_agrees_on_digits_that_have_no_cue_and_may_be_learned_from(cue):
    circuit = neglected_cue.circuit(3, entries=(1, 2), n_cells=8, n_cue=3)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    made = cued_digits.agreeing(circuit, weights, cue.task, 0)
    background = [k for k in range(cue.n_plain) if not cue.task.held_out[k]]
    for name, feedback in agreeing_feedback(circuit, weights, cue.task.stimuli[background]).weights.items():
        assert np.array_equal(made.weights[name], feedback)


def test_an_event_is_surprising_by_its_squared_error(cue):
    circuit = neglected_cue.circuit(3, entries=(1, 2), n_cells=8, n_cue=3)
    silent = Weights(
        {p.name: np.zeros(circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    lived = cued_digits.life(cue, entry_index=0, event_fraction=0.5, n_events=6, seed=0)
    # All outputs predict 1/2, and every outcome is 1/4 away from it in each of eleven.
    assert cued_digits.surprise(circuit, cue.task, silent, lived) == pytest.approx(np.full(6, 11 / 16))
