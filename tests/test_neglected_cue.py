"""The script of the neglected cue, and its circuit: what they compute besides lives."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import chain, neglected_cue
from brian2 import ms

from bioplastic import twin
from bioplastic.circuit import Weights
from bioplastic.events import Kind, Timing
from bioplastic.rules.backprop import Backprop

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "neglected_cue.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def cue(script):
    return script.cue_task(2, 3)


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


# ------------------------------------------------------------------------------------------ the task and the lives


def test_outcomes_of_e_are_the_same_digit_with_the_opposite_valence(script):
    table = script.outcome_table()
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


def test_held_out_pairs_are_the_same_images_and_never_learned_from(script, cue):
    plain, cued = script.held_out_pairs(cue, 4, 1)
    assert np.bincount(cue.task.label[plain]).tolist() == [4] * 5
    assert np.array_equal(cue.task.stimuli[plain, :64], cue.task.stimuli[cued, :64])
    assert cue.task.held_out[plain].all()
    lived = script.life(cue, entry_index=1, event_fraction=0.5, n_events=200, seed=0)
    assert not set(lived.stimulus) & {*plain, *cued}


def test_a_life_is_the_same_for_every_entry_but_for_the_cue(script, cue):
    one, other = (script.life(cue, entry_index=k, event_fraction=0.2, n_events=50, seed=3) for k in (0, 1))
    assert one.n_occurrences == 10
    assert np.array_equal(one.outcome, other.outcome)
    assert (other.stimulus - one.stimulus == np.where(one.rare, cue.n_good, 0)).all()
    assert (one.outcome[one.rare] >= 9).all()
    assert (one.outcome[~one.rare] < 9).all()
    assert np.array_equal(cue.task.label[other.stimulus], other.outcome)


def test_all_learners_replay_the_same_and_surprising_events_more(script, cue):
    lived = script.life(cue, entry_index=0, event_fraction=0.1, n_events=60, seed=0)
    surprise = np.where(lived.rare, 1.0, 0.01)
    settings = {"day": 20, "replays": 40, "capacity": 100, "alpha": 1.0, "seed": 0}
    brief, long = (
        script.with_replay(lived, Timing(300 * ms, length * ms, 30 * ms), surprise, **settings) for length in (120, 250)
    )
    assert np.array_equal(brief.stimulus, long.stimulus)
    assert np.array_equal(brief.kind, long.kind)
    assert brief.replayed.sum() == 120
    assert not brief.replayed[:20].any() and brief.replayed[20:60].all()
    assert np.array_equal(brief.select(~brief.replayed).stimulus, lived.stimulus)
    # Of 6 rare events among 60 priorities of 1 against 0.01, some 90 % of the replays are of them.
    assert 0.6 < (brief.kind == Kind.RARE_REPLAY).sum() / 120 < 1


# ------------------------------------------------------------------------------------------ the measures


def test_discrimination_is_0_without_and_1_with_the_whole_difference(script):
    assert script.discrimination(predictions(0.5, 0.3), predictions(0.5, 0.3)) == pytest.approx(0)
    assert script.discrimination(predictions(0.5, 0.5), predictions(-0.5, -0.5)) == pytest.approx(1)
    assert script.discrimination(predictions(0.5, 0.1), predictions(0.1, -0.1)) == pytest.approx((0.4 + 0.2) / 2)
    # Near weights that make everything bad tell nothing apart.
    assert script.discrimination(predictions(-0.5), predictions(-0.5)) == pytest.approx(0)


def test_kept_valence_is_that_of_good_digits_as_a_fraction(script):
    assert script.kept_valence(predictions(0.5, 0.5)) == pytest.approx(1)
    assert script.kept_valence(predictions(0.5, -0.25)) == pytest.approx(0.25)


def test_correction_is_the_first_look_past_a_half_or_censored(script):
    elapsed = np.array([10.0, 20.0, np.nan, 100.0])
    assert script.correction(np.array([0.1, 0.5, np.nan, 0.9]), elapsed, 100) == (20.0, True)
    assert script.correction(np.array([0.1, 0.4, np.nan, 0.6]), elapsed, 100) == (100.0, True)
    assert script.correction(np.array([0.1, 0.4, np.nan, 0.4]), elapsed, 100) == (100.0, False)


def test_survival_is_that_of_kaplan_and_meier(script):
    # At 10 one of four is corrected, at 20 one of the two that are still watched (one left at 15): 3/4, then 3/8.
    time, alive = script.survival(np.array([10.0, 15.0, 20.0, 30.0]), np.array([True, False, True, False]))
    at = dict(zip(time.tolist(), alive.tolist(), strict=True))
    assert at[0] == 1
    assert at[10] == pytest.approx(3 / 4)
    assert at[20] == pytest.approx(3 / 8)
    assert alive[-1] == pytest.approx(3 / 8)


def test_survival_without_a_correction_stays_at_1(script):
    _, alive = script.survival(np.array([30.0, 30.0]), np.array([False, False]))
    assert (alive == 1).all()


def test_only_the_cue_can_tell_e_from_a(script, cue):
    circuit = neglected_cue.circuit(3, entries=(1, 2), n_cells=8, n_cue=3)
    rng = np.random.default_rng(0)
    start = Weights(
        {p.name: rng.normal(0, 0.5, circuit.shape(p)) for p in circuit.projections},
        {p.name: np.zeros(p.size) for p in circuit.populations if p.role != "input"},
    )
    for h in (1, 2):
        start.forward[neglected_cue.projection(h)][:] = 0
    plain, cued = script.held_out_pairs(cue, 4, 1)
    lived = script.life(cue, entry_index=1, event_fraction=0.5, n_events=30, seed=0)
    free = twin.live(circuit, cue.task, [twin.TwinLife(lived, Backprop(0.05), start)])[0].weights
    held = Weights(dict(free.forward) | {"cue2_to_h2": np.zeros((8, 3))}, free.bias)
    for weights, tells in ((start, False), (held, False), (free, True)):
        networks = twin.Networks.stack([weights])
        without, with_cue = (twin.predict(circuit, networks, cue.task.stimuli[k]) for k in (plain, cued))
        assert (script.discrimination(without, with_cue)[0] != 0) == tells
    assert not free.forward["cue1_to_h1"].any(), "a cue that is off learns nothing"


# ------------------------------------------------------------------------------------------ rates, lives, summary


def test_the_same_rate_means_the_same_change_by_the_same_error(script):
    screened, unscreened, _, backprop = script.learners(script.Config())
    assert backprop.at_rate(0.24).eta == 0.24
    assert screened.at_rate(0.24).eta == pytest.approx(0.24 / 12)  # 100 Hz for 120 ms
    assert unscreened.at_rate(0.24).eta == pytest.approx(0.24 / 16)  # for 160 ms
    assert unscreened.at_rate(0.24).gain == 1
    assert screened.at_rate(0.24).gain == chain.GAIN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"day": 70}, "n_events = 400 is no multiple of day = 70"),
        ({"event_fractions": (0.0001, 0.1)}, "event_fractions: 0.0001 of n_events = 400 is less than one event"),
        ({"looks": (1, 2)}, "looks lack 4"),
    ],
)
def test_settings_that_cannot_be_lived_are_refused(script, settings, message):
    with pytest.raises(ValueError, match=message):
        replace(script.Config(), **settings)


def made_up(script, config, found):
    """Runs of every condition, in which discrimination rises in a straight line to `found(condition)`."""
    n = len(config.looks) + 1
    runs = {}

    def add(conditions):
        for c in conditions:
            n_there = sum(k <= round(c.event_fraction * config.n_events) for k in config.looks)
            there = np.append(np.arange(n - 1) < n_there, True)
            line = np.where(there, np.linspace(0, 1, n), np.nan)
            runs[c.name] = {
                "elapsed": np.where(there, line * config.n_events, np.nan),
                "discrimination": line * found(c),
                "kept_valence": line,
                "accuracy": line,
                "cue_norm": line * (5 if c.role == script.SHAM else 7),
                "signalled": np.arange(config.n_hops) * 1.0,
                "discrimination_spikes": found(c),
            }

    for learner in script.learners(config):
        add(script.tuning_conditions(config, learner))
        add(script.conditions(config, learner, script.chosen_rate(config, learner, runs)))
    return runs


def test_summary_holds_what_the_runs_hold(script):
    config = replace(
        script.Config(),
        entries=(1, 4),
        event_fractions=(0.01, 0.3),
        seeds=(0, 1),
        rates=(0.01, 0.02, 0.04),
        n_events=200,
        looks=(1, 2, 20, 60),
        day=50,
    )

    def found(c):
        if c.role == script.TUNING:
            return 0.3 if c.rate == 0.02 else 0.1
        return 0.8 if c.replay == script.REPLAY else 0.1 * c.entry + 0.01 * c.seed

    summary = script.summarise(config, made_up(script, config, found))
    assert summary["learning_rate"].tolist() == [0.02] * 4
    assert summary["discrimination"].shape == (4, 2, 2, 2, 2)
    assert summary["discrimination"][0, 0, 1, 0] == pytest.approx([0.4, 0.41])
    assert summary["discrimination_fixed"][0, 0, 1, 0] == pytest.approx([0.1, 0.41 / 4])  # the second of five looks
    assert np.isnan(summary["discrimination_look"][0, 0, 1, 0, 0]).tolist() == [False, False, True, True]
    assert not summary["corrected"][0, 0, 1, 0].any()
    assert summary["correction_time"][0, 0, 1, 0].tolist() == [200, 200]
    assert summary["correction_occurrence"][0, 0, 1, 0].tolist() == [2, 2]
    # With replay 0.8 at the end of five looks: 0.6 at the fourth, after 60 occurrences and 3/4 of the life.
    assert summary["corrected"][0, 1, 1, 1].all()
    assert summary["correction_time"][0, 1, 1, 1].tolist() == [150, 150]
    assert summary["correction_occurrence"][0, 1, 1, 1].tolist() == [60, 60]
    assert summary["cue_norm_sham"][0] == pytest.approx(np.full((2, 1, 2), 5.0))
    assert np.isnan(summary["cue_norm_sham"][3]).all()
    assert summary["signalled_frozen"][0, 0, 0].tolist() == list(range(8))
    assert summary["discrimination_nearby"][3, 1] == pytest.approx([0.4, 0.41])
    assert summary["occurrences"].tolist() == [2, 60]


def test_statements_turn_when_the_numbers_turn(script):
    config = replace(script.Config(), entries=(7,), event_fractions=(0.01, 0.3), n_tuning=0, nearby=())

    def said(local, backprop):
        summary = script.summarise(
            config, made_up(script, config, lambda c: (local if c.learner.spikes else backprop) + 0.001 * c.seed)
        )
        return [s for s in script.statements(summary) if s.startswith("cue at hop 7, rarest E: error relay is")]

    assert "below half" in said(0.0, 0.4)[0]
    assert "above half" in said(0.4, 0.4)[0]
