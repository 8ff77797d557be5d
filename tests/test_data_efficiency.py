"""The script that counts real events and replays: its plan, its summary and what it says."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bioplastic_models.digit_problems import ALL, FAR, NINE, Problem
from bioplastic_models.nights import ATTENTION, HIPPOCAMPUS

from bioplastic.recording import labelled
from bioplastic.statistics import Estimate, crossing
from bioplastic.study import Condition

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "data_efficiency.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def lives(script, name=NINE, **changes):
    (found,) = [one for one in script.all_lives(script.Settings(**changes)) if one.problem.name == name]
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"looks": (20, 50)}, r"looks at \(20, 50\) real events; give multiples of the day of 20, in rising order"),
        ({"looks_digits": (100, 50)}, "give multiples of the day of 50, in rising order"),
        ({"budget": 3}, r"budget = 3; give one of replays = \(1, 2, 4\)"),
        ({"n_hops": 3}, "n_hops = 3; give more than 3, the first hop that counts as far"),
    ],
)
def test_settings_that_make_no_sense(script, changes, message):
    with pytest.raises(ValueError, match=message):
        script.Settings(**changes)


# ------------------------------------------------------------------------------------------ plan and lives


class Made(dict):
    """Runs that are made up."""

    def of(self, kind):
        return [(condition, run) for condition, run in self.items() if condition.kind == kind]


def a_run(script, one, score, learned=0.0):
    curves = np.full((len(one.looks) + 1, 3), score)
    return script.dataset(
        one, curves, curves, learned=np.full(one.problem.n_hops, learned), replayed=0.0, rare_share=np.nan
    )


def test_the_best_rate_is_chosen_for_each_replay(script):
    settings = script.Settings(local_rates=(0.1, 0.2, 0.3), n_tuning=2, hippocampus=False)
    one = lives(script, local_rates=(0.1, 0.2, 0.3), n_tuning=2, hippocampus=False)
    local, runs = one.learners[0], Made()
    for replaying, finals in zip(one.replaying, ((1, 5, 5), (9, 5, 5), (1, 2, 3), (0, 1, 0), (0, 0, 0)), strict=True):
        for condition in script.tuning(settings, one, local, replaying):
            noise = 0.01 if condition["seed"] % 2 else -0.01  # the mean over networks counts
            runs[condition] = a_run(script, one, finals[local.rates.index(condition["rate"])] + noise)
    chosen = [script.chosen_rate(settings, runs, one, local, x) for x in one.replaying]
    assert chosen == [0.2, 0.1, 0.3, 0.2, 0.1]  # the smallest of equally good ones


def test_both_learners_choose_on_the_same_networks_which_give_no_results(script):
    settings = script.Settings(n_tuning=2)
    for one in script.all_lives(settings):
        seeds = [{c["seed"] for c in script.tuning(settings, one, x, one.replaying[1])} for x in one.learners]
        assert seeds[0] == seeds[1] and not seeds[0] & set(settings.seeds)
        assert len(seeds[0]) == 2


def test_there_is_no_hippocampus_in_rates_and_none_where_it_is_not_wanted(script):
    one = lives(script)
    by = [{r.name for x, r in one.pairs if x.name == learner} for learner in script.LEARNERS]
    assert by[0] - by[1] == {"attention only", "hippocampus, 2"} and not by[1] - by[0]
    assert not any(r.in_spikes for r in lives(script, hippocampus=False).replaying)


def test_the_longest_lives_come_first_and_no_two_are_the_same(script):
    settings, runs = script.SETTINGS["quick"], Made()
    chains = script.Chains(settings)
    plan = script.plan(chains, settings, runs)
    tried = next(plan)
    runs.update({c: a_run(script, chains.of_kind[c.kind][1], c["rate"]) for c in tried})
    results = next(plan)
    for planned in (tried, results):
        assert len(planned) == len(set(planned))
        lived = [(chains.of_kind[c.kind][1], chains.replaying(c).per_event) for c in planned]
        size = [one.problem.n_hops * one.looks[-1] * (1 + per_event) for one, per_event in lived]
        assert size == sorted(size, reverse=True) and size[0] == 900 and size[-1] == 240
    assert {c["rate"] for c in results if c.kind == "result_the_9"} == {0.01, 0.03}  # the largest, which is best here


def test_a_summary_has_a_place_for_every_condition(script):
    settings = script.Settings(seeds=(4, 5))
    one, runs = lives(script, seeds=(4, 5)), Made()
    for learner, replaying in one.pairs:
        for seed in (5, 4):
            labels = {"replay": replaying.name, "rate": 0.01, "seed": seed}
            runs[Condition(one.kind("result"), labels, learner)] = a_run(script, one, 0.1 * seed, learned=2.0)
    found = script.results(one, settings, runs.of("result_the_9"))
    assert found["score"].dims == ("learner", "replay", "seed", "event")
    np.testing.assert_allclose(found["score"].sel(seed=5, replay="off"), 0.5)
    none = found.sel(learner="backprop", replay="attention only")
    assert none[["score", "learned", "events_to_criterion", "learning_rate"]].isnull().all().to_array().all()
    assert np.isinf(found["events_to_criterion"].sel(replay="off")).all()
    assert found["source"].values.tolist()[-3:] == ["uniform", "attention only", "hippocampus"]


@pytest.mark.slow
def test_a_life_with_a_hippocampus(script):
    settings = script.Settings(n_hops=4, seeds=(0,), looks=(20,), looks_digits=(50,), n_probes=20)
    chains = script.Chains(settings)
    chains.prepare(lambda _: None)
    one, lived = chains.everyone[1], {}
    for replaying in one.replaying[-2:]:
        labels = {"replay": replaying.name, "rate": 0.003, "seed": 0}
        measuring, answer = script.measure(chains, Condition(one.kind("result"), labels, one.learners[0])), None
        with pytest.raises(StopIteration) as end:
            while True:
                ask = measuring.send(answer)
                answer = ask.bench.live(ask.lives)
        lived[replaying.source] = end.value.value
    assert lived[ATTENTION]["replayed"] == 0
    assert 1 < lived[HIPPOCAMPUS]["replayed"] < 3  # 40 are asked for in 80 s, and come at random
    assert lived[HIPPOCAMPUS]["rare_share"] > 0.5  # 6 of 20 events are 9s, but they surprise
    assert 0 < lived[ATTENTION]["learned"][0] < lived[HIPPOCAMPUS]["learned"][0]


# ------------------------------------------------------------------------------------------ what is said


def test_mean_over_looks_leaves_out_the_start(script):
    assert float(script.over_looks(xr.DataArray([0.0, 0.2, 0.6], dims="event"))) == pytest.approx(0.4)


def test_the_price_is_where_it_stays_ahead(script):
    ahead, behind = Estimate(1, 0.5, 1.5, 3), Estimate(-1, -1.5, -0.5, 3)
    undecided = Estimate(0.1, -1, 1, 3)
    assert script.price([0, 1, 2, 4], [behind, undecided, ahead, ahead]) == 2
    assert script.price([4, 2, 1, 0], [ahead, ahead, ahead, ahead]) == 0  # in any order
    assert script.price([0, 1, 2], [ahead, ahead, undecided]) is None


def test_far_hops_by_hand(script):
    local = np.array([[8.0, 5.0, 5.0, 1.0, 0.0], [8.0, 5.0, 5.0, 3.0, 0.0]])
    backprop = np.array([[4.0, 1.0, 1.0, 2.0, 2.0]] * 2)
    found = script.far_ratio(local, backprop)
    assert (found.mean, found.low, found.high) == (0.5, 0.25, 0.75)
    assert script.far_ratio(local, backprop, per_hop_0=True).mean == 0.25
    assert script.far_ratio(local[:1], backprop[:1]).mean == 0.25


def shown(script, local, backprop, learned=None):
    """Results whose scores are the same at all looks and nearly the same for three seeds."""
    one = lives(script)
    n, looks = len(one.replaying), (0, *one.looks)
    score = np.array([local, backprop])[:, :, None, None] + np.array([-0.01, 0, 0.01])[:, None]
    score = np.broadcast_to(score, (2, n, 3, len(looks)))
    curve, life = ("learner", "replay", "seed", "event"), ("learner", "replay", "seed")
    needed = np.apply_along_axis(crossing, -1, score, looks, 0.75)
    summary = xr.Dataset(
        {
            "score": labelled(curve, score, "score"),
            "score_rates": labelled(curve, score + 0.1, "score in rates"),
            "events_to_criterion": labelled(life, needed, "events"),
            "replayed": labelled(life, [[[r.per_event * 0.9] * 3 for r in one.replaying]] * 2, "replays"),
            "replays_per_event": labelled("replay", [r.per_event for r in one.replaying], "replays"),
            "source": labelled("replay", [r.source for r in one.replaying], "source"),
            **({} if learned is None else {"learned": labelled((*life, "hop"), learned, "learned")}),
        },
        {"learner": list(script.LEARNERS), "replay": [r.name for r in one.replaying], "seed": range(3)},
    )
    return script.Shown(Problem(NINE, 12), summary, xr.Dataset())


def test_verdicts_say_what_it_is(script):
    local, backprop = [0.5, 0.6, 0.8, 0.9, 0.7, 0.55, 0.75], [0.7, 0.8, 0.9, 0.9, 0.8, np.nan, np.nan]
    text = "\n".join(lines := list(script.verdicts(shown(script, local, backprop))))
    assert "Local (off) against backprop without replay: behind, -20.0 points" in text
    assert "needs fewer real events than backprop without replay; price in replays per real event: 2." in text
    same = next(line for line in lines if line.startswith("Same replays for both (prioritised, 1)"))
    assert "local against backprop: behind, -20.0 points" in same
    assert "read out in rates: behind, -10.0 points" in same
    hippocampus = next(line for line in lines if line.startswith("The hippocampus replayed 1.80 times per real event."))
    assert "against without: ahead, +20.0 points" in hippocampus
    assert "from the buffer, prioritised: behind, -5.0 points [-5.0, -5.0], uniform: ahead, +5.0 points" in hippocampus
    assert "against backprop with them, prioritised: behind, -15.0 points" in hippocampus
    never = list(script.verdicts(shown(script, [0.5] * 7, [0.7] * 7)))
    assert any("NOT reliably ahead of backprop without replay, up to 4 replays" in line for line in never)


def test_far_verdicts_say_what_it_is(script):
    learned = np.ones((2, 7, 3, 12))
    learned[0, 0, :, 3:] = 0.1
    lines = list(script.far_verdicts(shown(script, [0.5] * 7, [0.5] * 7, learned)))
    assert "hops 3 and more learn 0.1 [0.1, 0.1] times" in lines[0]
    assert lines[0].endswith("far hops learn less per event under the local rule: yes.")
    assert lines[1] == ("With prioritised, 1 they learn 1 [1, 1] times what backprop without replay teaches them.")
    learned[0, 0, :, 3:] = 2
    more = list(script.far_verdicts(shown(script, [0.5] * 7, [0.5] * 7, learned)))
    assert more[0].endswith("under the local rule: NO.")


def test_a_sham_run_only_where_the_9_may_change_every_hop(script):
    assert [lives(script, name).sham_look for name in (ALL, NINE, FAR)] == [0, 2, 0]
    assert lives(script, looks=(20,)).sham_look == 1
