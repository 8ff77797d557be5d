"""The script of the neglected cue, and its circuit: what they compute besides lives."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import chain, neglected_cue
from brian2 import NeuronGroup, Synapses, ms

from bioplastic.circuit import Weights
from bioplastic.events import Event, Kind, Schedule, Timing
from bioplastic.life import Life
from bioplastic.rules.backprop import Backprop

pytest.importorskip("torch")

from bioplastic import twin

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


def test_mismatch_signalled_is_that_per_e_less_that_per_good_digit(script):
    kinds = [Kind.RARE, Kind.BACKGROUND, Kind.BACKGROUND, Kind.RARE_REPLAY, Kind.REPLAY, Kind.RARE]
    outcomes = [9, 0, 8, 9, 0, 10]  # 8 is a bad digit
    life = Schedule.of(Event(stimulus=0, outcome=o, kind=k) for o, k in zip(outcomes, kinds, strict=True))
    spikes = np.array([[6.0, 2.0], [1.0, 0.0], [50.0, 50.0], [70.0, 70.0], [90.0, 90.0], [2.0, 0.0]])
    # Per E (6 + 2)/2 = 4 and 1, per good digit 1 and 0; each spike stands for half.
    assert script.signalled(spikes, life, 0.5).tolist() == [1.5, 0.5]


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
    free = twin.live(circuit, cue.task, [Life(lived, Backprop(0.05), start)])[0].weights
    held = Weights(dict(free.forward) | {"cue2_to_h2": np.zeros((8, 3))}, free.bias)
    for weights, tells in ((start, False), (held, False), (free, True)):
        without, with_cue = (twin.predict(circuit, [weights], cue.task.stimuli[k]) for k in (plain, cued))
        assert (script.discrimination(without, with_cue)[0] != 0) == tells
    assert not free.forward["cue1_to_h1"].any(), "a cue that is off learns nothing"


# ------------------------------------------------------------------------------------------ what a life says


@pytest.fixture(scope="module")
def bench(script):
    """Three hops, cues at 1 and 2, four cells; nothing is pretrained or compiled."""
    config = replace(
        script.QUICK, n_hops=3, entries=(1, 2), n_cells=4, n_cue=2, looks=(1, 2, 4, 8), n_held_out=2, n_probes=1
    )
    made = script.Bench(config)
    zero = Weights(
        {p.name: np.zeros(made.circuit.shape(p)) for p in made.circuit.projections},
        {p.name: np.zeros(p.size) for p in made.circuit.populations if p.role != "input"},
    )
    made.weights = {0: zero}
    return made


def events_at(script, bench, rare_at, n_events=10):
    """A life of one good digit without a cue, that has the cue at hop 2 at some events."""
    plain, cued = bench.pairs(script.Condition(script.learners(bench.config)[0], 2, 0.1, 0, 0.1), 1)
    label = bench.task.label
    return Schedule.of(
        Event(cued[0], label[cued[0]], Kind.RARE) if k in rare_at else Event(plain[0], label[plain[0]], Kind.BACKGROUND)
        for k in range(n_events)
    )


def test_weights_are_looked_at_after_occurrences_and_at_the_end(script, bench):
    occurrence, event = bench.looks(events_at(script, bench, (2, 3, 7)))
    assert occurrence.tolist() == [1, 2]  # a third is no look of these settings, a fourth does not come
    assert event.tolist() == [2, 3, 9]


def test_what_weights_say_at_the_looks(script, bench):
    condition = script.Condition(script.learners(bench.config)[0], 2, 0.1, 0, 0.1)
    start = bench.weights[0]
    bias = dict(start.bias) | {"y": np.array([3.0, *[0.0] * 8, 0.0, 0.0])}  # calls every digit a 0
    cue_weights = dict(start.forward) | {"cue2_to_h2": np.array([[3.0, 0], [0, 4], [0, 0], [0, 0]])}
    looked = [start, Weights(start.forward, bias), Weights(cue_weights, bias)]
    found = bench.measured(condition, events_at(script, bench, (2, 3, 7)), looked)
    nan = np.nan
    np.testing.assert_array_equal(found["elapsed"], [3, 4, nan, nan, 10])
    np.testing.assert_array_equal(found["cue_norm"], [0, 0, nan, nan, 5])
    np.testing.assert_allclose(found["accuracy"], [0.2, 0.2, nan, nan, 0.2])  # one good digit of five
    # The way from the cue to the valence has weights of zero: it tells nothing apart.
    np.testing.assert_array_equal(found["discrimination"], [0, 0, nan, nan, 0])
    # The cue turns h2 from 1/2 to 1 and h1 from 0 to 1; h1 turns the potential of the good cell from 1 to -1.
    forward = {
        "cue2_to_h2": np.full((4, 2), 1e3),
        "h2_to_h1": 2e3 * np.eye(4),
        "h1_to_y": np.where(np.arange(11) == 9, -0.5, 0.0)[:, None] * np.ones(4),
    }
    bias = dict(start.bias) | {"h1": np.full(4, -1.5e3), "y": np.where(np.arange(11) == 9, 1.0, 0.0)}
    looked = [start, Weights(dict(start.forward) | forward, bias)]
    found = bench.measured(condition, events_at(script, bench, (2,)), looked)
    np.testing.assert_array_equal(found["elapsed"], [3, nan, nan, nan, 10])
    # phi(1) - phi(-1) = 2**(-1/4), of a difference of 1; without the cue phi(1) - 1/2 is half of it, of 1/2.
    assert found["discrimination"][-1] == pytest.approx(2**-0.25, abs=1e-6)
    assert found["kept_valence"][-1] == pytest.approx(2**-0.25, abs=1e-6)


def test_a_life_in_spikes_is_measured_by_probes_and_by_its_error_spikes(script, bench):
    condition = script.Condition(script.learners(bench.config)[0], 2, 0.1, 0, 0.24)
    schedule, start = bench.schedule(condition), bench.weights[0]
    n, n_pairs = len(schedule), script.N_GOOD * bench.config.n_probes
    assert (n, schedule.rare.sum()) == (40, 4)
    seen = {}

    per_event = np.where(schedule.rare, 7.0, 2.0)[:, None] * [1.0, 0.5, 0.0]

    class Lived:
        error_signal = np.concatenate([per_event, np.full((2 * n_pairs, 3), 99.0)])
        snapshots = [start] * 6
        prediction = np.concatenate([np.full((n, 11), np.nan), predictions(*[0.5] * n_pairs, *[0.1] * n_pairs)])

    class Model:
        def live(self, life):
            seen["life"] = life
            return Lived()

    bench.models[type(condition.learner.at_rate(0.0))] = Model()
    found = bench.live_in_spikes(condition)
    shown = seen["life"].schedule
    assert len(shown) == n + 2 * n_pairs
    assert not bench.task.stimuli[shown.stimulus[n : n + n_pairs], 64:].any()
    assert (bench.task.stimuli[shown.stimulus[n + n_pairs :], 66:] == 0.8).all()
    assert bench.task.held_out[shown.stimulus[n:]].all()
    assert found["discrimination_spikes"] == pytest.approx(0.4)  # (0.5 - 0.1) of a difference of 1
    assert found["signalled"] == pytest.approx([5.0, 2.5, 0.0])
    assert seen["life"].rule.eta == pytest.approx(0.24 / 12)
    bench.live_in_spikes(replace(condition, role=script.FROZEN))
    assert seen["life"].rule.eta == 0


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
        (
            {"n_hops": 6},
            r"entries: 7 is no hop with hidden cells where n_hops = 6; give hops from 1 to 5, or more hops \(8 for",
        ),
        ({"tuning_entry": 3}, "tuning_entry: no cue enters at hop 3; give some of entries = 1, 2, 4, 7"),
        ({"nearby_entries": (2, 5)}, "nearby_entries: no cue enters at hop 5; give some of entries = 1, 2, 4, 7"),
        (
            {"sham_fractions": (0.2,)},
            "sham_fractions: 0.2 is not lived; give some of event_fractions = 0.01, 0.05, 0.3",
        ),
        ({"nearby_fractions": (0.1,)}, "nearby_fractions: 0.1 is not lived; give some of event_fractions = 0.01, 0.05"),
    ],
)
def test_settings_that_cannot_be_lived_are_refused(script, settings, message):
    with pytest.raises(ValueError, match=message):
        replace(script.Config(), **settings)


def test_a_chain_too_short_for_the_cues_is_a_usage_error(script, tmp_path, capsys):
    out = tmp_path / "cue.h5"
    with pytest.raises(SystemExit, match="2"):
        script.main(["--hops", "6", "--out", str(out)])
    assert "entries: 7 is no hop with hidden cells where n_hops = 6" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_of_rates_that_score_about_the_same_the_smallest_is_chosen(script):
    config = replace(script.Config(), rates=(0.01, 0.04, 0.08, 0.16, 0.32))
    assert config.near_tie == 0.02
    assert script.preferred(config, np.array([0.1, 0.54, 0.56, 0.55, 0.57])) == 0.08  # 0.54 is 0.03 behind
    assert script.preferred(config, np.array([0.1, 0.5, 0.5, 0.5, 0.57])) == 0.32
    assert script.preferred(replace(config, near_tie=0.0), np.array([0.1, 0.57, 0.56, 0.57, 0.5])) == 0.04


def test_other_rates_are_lived_at_the_rarest_and_the_commonest_e_far_upstream(script):
    config = script.Config()
    for learner in script.learners(config):
        lived = [c for c in script.conditions(config, learner, 0.03) if c.role == script.NEARBY]
        assert {(c.entry, c.event_fraction) for c in lived} == {(h, f) for h in (2, 4, 7) for f in (0.01, 0.3)}
        assert sorted({round(c.rate, 6) for c in lived}) == [0.01, 0.09]
        assert {c.seed for c in lived} == {0, 1, 2}
        assert {c.replay for c in lived} == {script.OFF}
        assert len(lived) == 3 * 2 * 2 * 3 == len({c.name for c in lived})


def test_sham_lives_are_lived_at_the_rarest_and_the_commonest_e(script):
    config = script.Config()
    spiking, twin_learner = script.learners(config)[0], script.learners(config)[-1]
    lived = [c for c in script.conditions(config, spiking, 0.1) if c.role == script.SHAM]
    assert {c.event_fraction for c in lived} == {0.01, 0.3}
    assert len(lived) == 4 * 2 * 5
    assert all(c.role in (script.RESULT, script.NEARBY) for c in script.conditions(config, twin_learner, 0.1))


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
        nearby_entries=(4,),
    )

    def found(c):
        if c.role == script.TUNING:
            return 0.3 if c.rate == 0.02 else 0.1
        if c.role == script.NEARBY:
            return c.event_fraction + 0.1 * c.seed + c.rate
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
    assert summary["cue_norm_sham"][0] == pytest.approx(np.full((2, 2, 2), 5.0))
    assert np.isnan(summary["cue_norm_sham"][3]).all()
    assert summary["signalled_frozen"][0, 0, 0].tolist() == list(range(8))
    assert summary["discrimination_nearby"].shape == (4, 1, 2, 2, 2)
    assert summary["discrimination_nearby"][3, 0, 1, 1] == pytest.approx([0.3 + 0.06, 0.3 + 0.1 + 0.06])
    assert summary["discrimination_nearby"][3, 0, 0, 0] == pytest.approx([0.01 + 0.02 / 3, 0.11 + 0.02 / 3])
    assert summary["occurrences"].tolist() == [2, 60]


def test_statements_turn_when_the_numbers_turn(script):
    config = replace(script.Config(), entries=(7,), event_fractions=(0.01, 0.3), n_tuning=0, nearby=())
    assert script.chosen_rate(config, script.learners(config)[0], {}) == 0.04  # nothing to choose from: the middle one

    def said(local, backprop):
        summary = script.summarise(
            config, made_up(script, config, lambda c: (local if c.learner.spikes else backprop) + 0.001 * c.seed)
        )
        return [s for s in script.statements(summary) if s.startswith("cue at hop 7, rarest E: error relay is")]

    assert "below half" in said(0.0, 0.4)[0]
    assert "above half" in said(0.4, 0.4)[0]


def text_of(table):
    from rich.console import Console

    console = Console(width=250)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_tables_show_the_fixed_number_the_end_the_shams_and_other_rates(script):
    config = replace(
        script.Config(), entries=(1, 4), event_fractions=(0.01, 0.3), seeds=(0, 1), n_events=200,
        looks=(1, 2, 20, 60), rates=(0.01, 0.02), nearby_entries=(4,), nearby=(3.0,),
    )  # fmt: skip
    runs = made_up(script, config, lambda c: 0.8 if c.replay == script.REPLAY else 0.25)
    summary = script.summarise(config, runs)
    swept = {"rate": np.array(config.rates), "score": np.full((4, 2), 0.25)}
    shown = [text_of(table) for table in script.tables(summary, swept)]
    titled = {text.split("\n")[0].strip().split(",")[0].split(";")[0]: text for text in shown}
    # The second of five looks, on a straight line from 0 to 0.25.
    assert "0.0625 [0.0625, 0.0625]" in titled["E told from A after 2 occurrences"]
    assert "7 [7, 7]" in titled["Norm of the cue weights at the end"]
    assert "5 [5, 5]" in titled["Norm of the cue weights at the end"]
    assert "sham, E 0.3" in titled["Norm of the cue weights after 2 occurrences"]
    without, with_replay = (text for text in shown if "Lives with a correction" in text)
    assert "0/2" in without and "2/2" not in without
    assert "2/2: 150 (60)" in with_replay  # 0.6 after 60 occurrences and 3/4 of the life
    assert "0.25 [0.25, 0.25]" in titled["E told from A at the end at other rates"]
    figure = script.figure(summary, config.n_events)
    headings = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {f"E {f:g}, cue at hop {h}" for f in (0.01, 0.3) for h in (1, 4)} <= headings


def test_docs_describe_every_variable_of_the_summary(script):
    lines = (SCRIPT.parents[1] / "docs" / "recording-v1.md").read_text(encoding="utf-8").splitlines()
    lines = lines[lines.index("## `scripts/neglected_cue.py`") :]
    for name, row in script.ROWS.items():
        line = next((one for one in lines if one.startswith(f"| `{name}` |")), "")
        assert f"| {', '.join(row.dims)} |" in line, f"docs/recording-v1.md lacks {name} by {row.dims}"
        assert row.long_name in line
