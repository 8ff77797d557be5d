"""The script that counts real events and replays: what it computes besides lives."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import chain
from brian2 import ms

from bioplastic.circuit import Weights
from bioplastic.events import Event, Kind, Schedule, Timing, lay_out
from bioplastic.life import Life
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.spiking.models import model
from bioplastic.spiking.spec import ModelSpec
from bioplastic.tasks import random_patterns
from bioplastic.verdicts import Estimate

REST = Event(kind=Kind.REST, rest=100)
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "data_efficiency.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def problem(script, name="the 9", **changes):
    (found,) = [p for p in script.problems(script.Config(**changes)) if p.name == name]
    return found


def condition(script, replaying, **changes):
    return script.Condition(problem(script, **changes), script.LOCAL, replaying, seed=3, rate=0.01)


def days(n: int) -> Schedule:
    return Schedule.of(Event(k, k, Kind.RARE if k % 3 == 0 else Kind.BACKGROUND) for k in range(n))


# ------------------------------------------------------------------------------------------ what is lived


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"looks": (20, 50)}, r"looks at \(20, 50\) real events; give multiples of the day of 20, in rising order"),
        ({"looks_digits": (100, 50)}, "give multiples of the day of 50, in rising order"),
        ({"sham_look": 0}, "sham_look = 0; there are looks 1 to 4"),
        ({"budget": 3}, r"budget = 3; give one of replays = \(1, 2, 4\)"),
        ({"nearest": 12}, "nearest = 12; give a hop above 0 that a chain of 12 hops has"),
    ],
)
def test_settings_that_make_no_sense(script, changes, message):
    with pytest.raises(ValueError, match=message):
        script.Config(**changes)


def test_nights_are_as_long_as_their_replays(script):
    lived = script.with_nights(
        days(40), condition(script, script.Replaying(script.UNIFORM, 2)), script.Config(), np.ones(40)
    )
    timing = problem(script).timing
    assert not lived.resting.any()
    assert lay_out(lived, timing).end[-1] == 3 * 40 * timing.event / timing.resolution
    assert np.flatnonzero(np.diff(lived.replayed)).tolist() == [19, 59, 79]  # twenty events, forty replays, and again
    real = lived.select(~lived.replayed)
    np.testing.assert_array_equal(real.stimulus, np.arange(40))


def test_real_events_are_the_same_without_replay(script):
    plain = script.with_nights(days(40), condition(script, script.Replaying()), script.Config(), np.ones(40))
    assert plain.kind.tolist() == days(40).kind.tolist()


def test_with_a_hippocampus_every_event_and_every_day_is_followed_by_a_rest(script):
    timing, config = problem(script).timing, script.Config(held_s=1.0, ripples_hz=0.5)
    for source, per_event, nights in ((script.HIPPOCAMPUS, 2, [80, 80]), (script.ATTENTION, 0, [])):
        lived = script.with_nights(
            days(40), condition(script, script.Replaying(source, per_event)), config, np.ones(40)
        )
        assert not lived.replayed.any()
        length = lived.rest[lived.resting] * float(timing.resolution)
        np.testing.assert_allclose(length[length < 2], 1.0)
        assert (length < 2).sum() == 40
        np.testing.assert_allclose(length[length > 2], nights)
        assert lived.stimulus[~lived.resting].tolist() == list(range(40))
        assert [int((~x.resting).sum()) for x in script.stretches(lived, (20, 40))] == [20, 20]
        assert lived.resting[-1]


def test_what_is_recalled_is_what_was_last_written_there(script):
    schedule = Schedule.of([Event(7), REST, Event(8), REST, REST, Event(9), REST])
    lived = SimpleNamespace(
        onset=np.arange(7.0),
        remembered=SimpleNamespace(
            written_time=np.array([1.2, 3.2, 6.2]),  # in the rests after 7, 8 and 9
            written=np.array([0, 1, 0]),
            reactivation_time=np.array([0.5, 2.5, 3.5, 4.1, 4.2, 4.3, 6.1, 6.3]),
            reactivated=np.array([5, 0, 0, 1, 0, 2, 0, 0]),
        ),
    )
    contents = {5: 55}
    assert script.recalled(lived, schedule, contents) == [7, 8, 7, 7, 9]  # none by a cue, and none of what is unknown
    assert contents == {0: 9, 1: 8, 5: 55}


def test_what_surprised_most_comes_back_most(script):
    choosing = script.Replaying(script.PRIORITISED, 4)
    surprise = np.full(20, 1.0)
    surprise[[0, 3, 6, 9, 12, 15, 18]] = 2.0 ** (1 / 0.6)  # twice as likely at the exponent of 0.6: 14 in 27
    lived = script.with_nights(days(20), condition(script, choosing), script.Config(alpha=0.6), surprise)
    share = (lived.kind == Kind.RARE_REPLAY).sum() / lived.replayed.sum()
    assert share == pytest.approx(14 / 27, abs=4 * np.sqrt(0.25 / 80))


def test_a_life_is_cut_after_the_night(script):
    lived = script.with_nights(
        days(40), condition(script, script.Replaying(script.UNIFORM, 1)), script.Config(), np.ones(40)
    )
    pieces = script.stretches(lived, (20, 40))
    assert [len(piece) for piece in pieces] == [40, 40]
    assert [int(piece.replayed.sum()) for piece in pieces] == [20, 20]
    assert pieces[0].replayed[-1]
    assert pieces[1].stimulus[0] == 20
    assert [len(piece) for piece in script.stretches(days(40), (20, 40))] == [20, 20]


def test_rounds_show_each_once_before_any_again(script):
    order = script.in_rounds(np.arange(5), 12, np.random.default_rng(0))
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert len(order) == 12


def test_scores_by_hand(script):
    right = np.array([[True, False, True, True], [False, False, True, False]])
    rare = np.array([True, True, False, False])
    nine, every = problem(script), problem(script, "all digits")
    assert script.scored(nine, right, rare).tolist() == [[0.5, 1.0, 0.75], [0.0, 0.5, 0.25]]
    assert script.scored(every, right[:, [0, 2, 3, 1]], np.array([True, False, False, False]))[0].tolist() == [
        1.0,
        2 / 3,
        0.75,
    ]


# ------------------------------------------------------------------------------------------ rules of far hops


def test_far_backprop(script):
    assert script.FarBackprop(0.5, nearest=2).rates(4).tolist() == [0, 0, 0.5, 0.5]
    assert script.FarBackprop(0.5).rates(3).tolist() == [0.5] * 3


@pytest.mark.slow
def test_the_relay_from_hop_0_is_the_error_relay_and_from_hop_1_leaves_hop_0(script, numpy_target):
    circuit = chain.circuit(2, n_cells=4, n_outputs=3)
    task = random_patterns(2, 4, 3, seed=0)
    rng = np.random.default_rng(0)
    weights = Weights(
        {p.name: rng.normal(0, 1, circuit.shape(p)) for p in circuit.projections}, {"h1": np.zeros(4), "y": np.zeros(3)}
    )
    relay = ErrorRelay(theta=0.2, eta=0.05)
    timing = Timing(lead=100 * ms, outcome=100 * ms, gap=10 * ms)

    def lived(rule) -> Weights:
        runtime = model(ModelSpec(circuit, rule, 2, 2, n_steps=30, n_snapshots=0), task, compiled=False)
        return runtime.live(Life(Schedule.of([Event(0, 0)]), rule, weights, timing)).weights

    plain, all_hops, far = lived(relay), lived(script.relay_from_hop(relay, 0)), lived(script.relay_from_hop(relay, 1))
    for one, same in ((plain.forward, all_hops.forward), (plain.bias, all_hops.bias)):
        for name in one:
            np.testing.assert_array_equal(one[name], same[name])
    assert np.abs(plain.forward["h1_to_y"] - weights.forward["h1_to_y"]).max() > 0
    np.testing.assert_array_equal(far.forward["h1_to_y"], weights.forward["h1_to_y"])
    np.testing.assert_array_equal(far.bias["y"], weights.bias["y"])
    assert np.abs(far.forward["x_to_h1"] - weights.forward["x_to_h1"]).max() > 0
    assert np.abs(far.bias["h1"]).max() > 0


@pytest.mark.slow
def test_a_life_with_a_hippocampus(script):
    config = script.Config(n_hops=4, seeds=(0,), looks=(20,), looks_digits=(50,), sham_look=1, n_probes=20)
    bench = script.Bench(config)
    bench.prepare(lambda _: None)
    nine = problem(script, n_hops=4, looks=(20,), looks_digits=(50,), sham_look=1)
    lived = {
        r.source: bench.in_spikes(script.Condition(nine, script.LOCAL, r, 0, 0.003))
        for r in nine.replaying
        if r.in_spikes
    }
    assert lived[script.ATTENTION].replayed == 0
    assert 1 < lived[script.HIPPOCAMPUS].replayed < 3  # 40 are asked for in 80 s, and come at random
    assert lived[script.HIPPOCAMPUS].rare_share > 0.5  # 6 of 20 events are 9s, but they surprise
    assert 0 < lived[script.ATTENTION].learned[0] < lived[script.HIPPOCAMPUS].learned[0]


# ------------------------------------------------------------------------------------------ choices and verdicts


def test_events_to_a_criterion_by_hand(script):
    curves = np.array([[0.1, 0.5, 0.9], [0.1, 0.2, 0.3], [0.8, 0.0, 0.0], [0.0, 0.7, 0.6]])
    found = script.events_to(curves, np.array([0, 10, 30]), 0.7)
    np.testing.assert_allclose(found, [20, np.inf, 0, 10])


def test_efficiency_leaves_out_the_start(script):
    assert script.efficiency(np.array([[0.0, 0.2, 0.6]])).tolist() == [pytest.approx(0.4)]


def a_run(script, score: float):
    curve, nothing = np.full(5, score), np.zeros(2)
    return vars(script.Run(curve, curve, curve, curve, nothing, np.array(0.0), np.array(np.nan)))


def test_the_best_rate_is_chosen_for_each_replay(script):
    config = script.Config(local_rates=(0.1, 0.2, 0.3), n_tuning=2, hippocampus=False)
    (nine,) = [p for p in script.problems(config) if p.name == "the 9"]
    runs = {}
    for replaying, finals in zip(nine.replaying, ((1, 5, 5), (9, 5, 5), (1, 2, 3), (0, 1, 0), (0, 0, 0)), strict=True):
        for c in script.tuning_conditions(config, nine, script.LOCAL, replaying):
            noise = 0.01 if c.seed % 2 else -0.01  # the mean over networks counts
            runs[c.name] = a_run(script, finals[config.local_rates.index(c.rate)] + noise)
    chosen = [script.chosen_rate(config, nine, script.LOCAL, r, runs) for r in nine.replaying]
    assert chosen == [0.2, 0.1, 0.3, 0.2, 0.1]  # the smallest of equally good ones


def test_both_learners_choose_on_the_same_networks_which_give_no_results(script):
    config = script.Config(n_tuning=2)
    for p in script.problems(config):
        seeds = [{c.seed for c in script.tuning_conditions(config, p, x, p.replaying[1])} for x in script.LEARNERS]
        assert seeds[0] == seeds[1] and not seeds[0] & set(config.seeds)
        assert len(seeds[0]) == 2


def test_there_is_no_hippocampus_in_rates_and_none_where_it_is_not_wanted(script):
    nine = problem(script)
    by = [{r.name for x, r in nine.pairs if x == learner} for learner in script.LEARNERS]
    assert by[0] - by[1] == {"attention only", "hippocampus, 2"} and not by[1] - by[0]
    assert not any(r.in_spikes for r in problem(script, hippocampus=False).replaying)


def test_lives_have_names_of_their_own(script):
    config = script.Config()
    names = [
        c.name
        for p in script.problems(config)
        for learner, r in p.pairs
        for c in (
            *script.tuning_conditions(config, p, learner, r),
            *(script.Condition(p, learner, r, seed, 0.1) for seed in config.seeds),
        )
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("one", "text"),
    [
        ([0.5, 0.6, 0.7], "ahead, +40.0 points [+30.0, +50.0]"),
        ([0.0, 0.0, 0.1], "behind, -16.7 points [-20.0, -10.0]"),
        ([0.1, 0.2, 0.33], "undecided, +1.0 points [-10.0, +13.0]"),
    ],
)
def test_words_for_differences(script, one, text):
    assert script.points(script.gain(np.array(one), np.array([0.2, 0.2, 0.2]))) == text


def test_one_seed_decides_nothing(script):
    found = script.gain(np.array([0.9]), np.array([0.1]))
    assert script.word(found) == "undecided"


def test_the_price_is_where_it_stays_ahead(script):
    ahead, behind = Estimate(1, 0.5, 1.5, 3), Estimate(-1, -1.5, -0.5, 3)
    undecided = Estimate(0.1, -1, 1, 3)
    assert script.price([0, 1, 2, 4], [behind, undecided, ahead, ahead]) == 2
    assert script.price([4, 2, 1, 0], [ahead, ahead, ahead, ahead]) == 0  # in any order
    assert script.price([0, 1, 2], [ahead, ahead, undecided]) is None


def test_far_hops_by_hand(script):
    local = np.array([[8.0, 1.0, 0.0], [8.0, 3.0, 0.0]])
    backprop = np.array([[4.0, 2.0, 2.0], [4.0, 2.0, 2.0]])
    found = script.far_ratio(local, backprop, 1)
    assert (found.mean, found.low, found.high) == (0.5, 0.25, 0.75)
    assert script.far_ratio(local, backprop, 1, per_hop_0=True).mean == 0.25
    assert script.far_ratio(local[:1], backprop[:1], 1).mean == 0.25


def summary_of(script, nine, local, backprop, learned=None):
    """A summary whose scores are the same at all looks and nearly the same for three seeds."""
    n, looks = len(nine.replaying), len(nine.looks)
    score = np.array([local, backprop])[:, :, None, None] + np.array([-0.01, 0, 0.01])[:, None]
    score = np.broadcast_to(score, (2, n, 3, looks + 1))
    return {
        "learner": script.LEARNERS,
        "replay": [r.name for r in nine.replaying],
        "seed": np.arange(3),
        "replays_per_event": np.array([r.per_event for r in nine.replaying]),
        "replayed": np.array([[[r.per_event * 0.9] * 3 for r in nine.replaying]] * 2),
        "score": score,
        "score_rates": score + 0.1,
        "events_to_criterion": script.events_to(score, np.array((0, *nine.looks)), nine.criterion),
        "learned": learned,
    }


def test_verdicts_say_what_it_is(script):
    nine = problem(script)
    local, backprop = [0.5, 0.6, 0.8, 0.9, 0.7, 0.55, 0.75], [0.7, 0.8, 0.9, 0.9, 0.8, np.nan, np.nan]
    text = "\n".join(lines := script.verdicts(nine, summary_of(script, nine, local, backprop)))
    assert "Local (off) against backprop without replay: behind, -20.0 points" in text
    assert "needs fewer real events than backprop without replay; price in replays per real event: 2." in text
    same = next(line for line in lines if line.startswith("Same replays for both (prioritised, 1)"))
    assert "local against backprop: behind, -20.0 points" in same
    assert "read out in rates: behind, -10.0 points" in same
    hippocampus = next(line for line in lines if line.startswith("The hippocampus replayed 1.80 times per real event."))
    assert "against without: ahead, +20.0 points" in hippocampus
    assert "from the buffer, prioritised: behind, -5.0 points [-5.0, -5.0], uniform: ahead, +5.0 points" in hippocampus
    assert "against backprop with them, prioritised: behind, -15.0 points" in hippocampus
    never = script.verdicts(nine, summary_of(script, nine, [0.5] * 7, [0.7] * 7))
    assert any("NOT reliably ahead of backprop without replay, up to 4 replays" in line for line in never)


def test_far_verdicts_say_what_it_is(script):
    nine = problem(script)
    learned = np.ones((2, len(nine.replaying), 3, 12))
    learned[0, 0, :, 3:] = 0.1
    lines = script.far_verdicts(summary_of(script, nine, [0.5] * 7, [0.5] * 7, learned), 3)
    assert "hops 3 and more learn 0.1 [0.1, 0.1] times" in lines[0]
    assert lines[0].endswith("far hops learn less per event under the local rule: yes.")
    assert lines[1] == ("With prioritised, 1 they learn 1 [1, 1] times what backprop without replay teaches them.")
    learned[0, 0, :, 3:] = 2
    more = script.far_verdicts(summary_of(script, nine, [0.5] * 7, [0.5] * 7, learned), 3)
    assert more[0].endswith("under the local rule: NO.")
