"""Coherence: concepts in three places, what is looked at, and what is said of it."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import evoking
import numpy as np
import pytest
import xarray as xr
from bioplastic_models import association, thinking
from bioplastic_models.concepts import GROUPS, NOT_REHEARSED, Concepts
from bioplastic_models.item_series import nearest
from bioplastic_models.thinking import ARMS, BESIDE, EXPERIENCE, FROZEN, LOOP, MET, OFF, SHAM, SHUFFLED, held

from bioplastic.recording import labelled

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "coherence.py"
N = association.N_CELLS


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


# ---------------------------------------------------------------------------------------- concepts


def test_concepts_and_groups():
    world = Concepts.draw((24, 12, 12), 3)
    assert [s.stop - s.start for s in world.members.values()] == [24, 12, 12]
    assert world.shown == slice(0, 36)
    assert world.a.shape == world.c.shape == (48, N)
    assert np.abs(world.a - association.REST).max() <= thinking.SWING
    assert not np.allclose(world.a, Concepts.draw((24, 12, 12), 4).a)


def thought(arm):
    world = Concepts.draw((3, 1, 1), 0)
    b, through, direct = (np.full((3, N), x) + 0.01 * np.arange(3)[:, None] for x in (0.3, 0.5, 0.7))
    session = world.thoughts(arm, np.random.default_rng(0), 5, b=b, through=through, direct=direct)
    return world, b, through, direct, session


def test_in_the_loop_what_is_evoked_through_b_is_the_outcome():
    world, b, through, _, session = thought(LOOP)
    assert session.shown[:3] == pytest.approx(held(a=world.a[:3]))
    assert session.outcome[:3] == pytest.approx(np.hstack([b, through]))
    assert session.shown[3:] == pytest.approx(held(b=b))
    assert session.outcome[3:, N:] == pytest.approx(through)
    assert np.isnan(session.outcome[3:, :N]).all()
    assert len(session.probed) == 5
    assert sorted(session.order) == sorted([*range(6)] * 5)


@pytest.mark.parametrize("arm", [SHUFFLED, SHAM, MET, OFF, thinking.ONLY])
def test_controls_differ_in_the_outcome_alone(arm):
    world, b, through, direct, session = thought(arm)
    loop = thought(LOOP)[-1]
    assert session.shown == pytest.approx(loop.shown)
    assert session.order.tolist() == loop.order.tolist()
    c = session.outcome[:3, N:]
    if arm == SHUFFLED:
        assert sorted(c[:, 0]) == pytest.approx(sorted(through[:, 0]))
        assert (np.abs(c - through) > 0.005).all()
    elif arm == SHAM:
        assert c == pytest.approx(direct)
    elif arm == MET:
        assert c == pytest.approx(world.c[:3])
        assert np.isnan(session.outcome[:3, :N]).all()
        assert np.isnan(session.outcome[3:]).all()
    else:
        assert session.quiet
    if arm != MET:
        assert session.outcome[:3, :N] == pytest.approx(b)


def test_experience_tells_of_what_is_not_new():
    world = Concepts.draw((3, 2, 4), 0)
    first, second = world.experience(6, np.random.default_rng(0))
    assert first.shown == pytest.approx(held(a=world.a[:5]))
    assert first.outcome[:, :N] == pytest.approx(world.b[:5])
    assert np.isnan(first.outcome[:, N:]).all()
    assert second.shown == pytest.approx(held(b=world.b[:5]))
    assert second.outcome[:, N:] == pytest.approx(world.c[:5])
    assert [len(one.order) for one in (first, second)] == [30, 30]


def test_how_well_was_learned_is_the_mean_of_both_steps_over_what_was_shown(script):
    world = Concepts(*(np.array([[0.0, 1], [2, 1], [9, 9]]) for _ in "abc"), (1, 1, 1))
    at_c = np.array([[0.0, 2], [2, 2], [5, -5]])
    assert script.learned(world, world.b, at_c) == pytest.approx(1)
    assert script.learned(world, -world.b, at_c) == pytest.approx(0)


# ---------------------------------------------------------------------------------------- what is looked at


def turned(x):
    return 2 * association.REST - x


@pytest.mark.parametrize("learner", ["backprop", "error relay"])
def test_pairs_are_looked_at_directly_and_through_what_is_evoked_at_b(script, learner):
    settings = replace(script.SETTINGS[""], n_rehearsed=5, n_known=4, n_new=3, n_rounds=2, n_blocks=3)
    world = Concepts.draw(settings.sizes, 0)
    held_before = np.vstack([world.b, turned(world.b)])
    evoked = np.vstack([world.c, turned(world.c)])

    def b_and_c(a, b):
        # Every A evokes B turned round about rest, and C likewise; every B evokes its C, turned if it is turned itself.
        of_a, of_b = nearest(a, world.a), nearest(b, held_before)
        thinks_of_a = np.isclose(b, association.REST).all(1)[:, None]
        return turned(world.b[of_a]), np.where(thinks_of_a, turned(world.c[of_a]), evoked[of_b])

    found, lived = evoking.measured(script, settings, b_and_c, learner)
    turned_both = {"agreement": 1, "agreement_plain": 1, "direct": -1, "through": -1, "a_evokes_b": -1, "b_evokes_c": 1}
    for name, expected in turned_both.items():
        assert found[name].dims == ("arm", "group", "round")
        assert found[name].values == pytest.approx(np.full((len(ARMS), 3, 3), expected)), name
    assert float(found["score"]) == pytest.approx(0)
    before = [session for arm, session in lived if arm == EXPERIENCE]
    assert len(before) == 3 * 2  # by turns, in each block
    thoughts = [session for arm, session in lived if arm == LOOP and len(session.order)]
    assert len(thoughts) == settings.n_rounds
    assert thoughts[1].outcome[:5] == pytest.approx(np.hstack([turned(world.b[:5]), turned(world.c[:5])]))
    beside = [session for arm, session in lived if arm == BESIDE and len(session.order)]
    assert len(beside) == 3 * settings.n_rounds  # thought, then both situations


# ---------------------------------------------------------------------------------------- summary, words


def summaries(script, settings, agree=lambda c: c["rate"]):
    """Summarise runs: rates score best at 0.3; agreement is a function of the condition, and the arm's number."""
    bench, found = script.STUDY.bench(settings), {}
    runs = SimpleNamespace(of=lambda kind: [(c, run) for c, run in found.items() if c.kind == kind])
    for planned in thinking.plan(bench, settings, runs):
        for c in planned:
            shape = len(thinking.arms_of(c)), len(GROUPS), settings.n_rounds + 1
            measures = {name: labelled(script.OF_PAIRS, np.full(shape, agree(c)), "") for name in script.MEASURES}
            by_arm = agree(c) + np.arange(shape[0])[:, None, None] + np.zeros(shape)
            measures["agreement"] = labelled(script.OF_PAIRS, by_arm, "")
            measures["score"] = labelled((), -abs(c["rate"] - 0.3), "")
            axes = thinking.axes(c, settings) | {"group": labelled("group", list(GROUPS), "")}
            found[c] = xr.Dataset(measures, axes)
    return script.summarise(bench, settings, runs)


def test_the_summary_is_over_learners_arms_groups_rounds_and_seeds(script):
    settings = replace(script.SETTINGS[""], seeds=(0, 1), n_tuning=2)
    found = summaries(script, settings)
    summary, swept = found["summary"], found["learning_rate_sweep"]
    assert dict(summary.sizes) == {"learner": 3, "arm": 8, "group": 3, "round": settings.n_rounds + 1, "seed": 2}
    assert summary["agreement"].dims == ("learner", "arm", "group", "round", "seed")
    assert summary["learning_rate"].values == pytest.approx([0.3] * 3)
    assert summary["rate_at_edge"].values.tolist() == [False, False, True]
    assert swept["agreement_after"].dims == ("learner", "rate_index", "tuning_seed")
    np.testing.assert_allclose(swept["agreement_after"][0, :, 0], [0.1, 0.3, 1.0, np.nan])
    np.testing.assert_allclose(swept["score"][2, :, 1], [-0.29, -0.27, -0.2, 0])


def test_by_how_much_the_loop_raises_agreement(script):
    settings = replace(script.SETTINGS[""], seeds=(0, 1))
    summary = summaries(script, settings)["summary"]
    summary["agreement"][0, 0, 1] = [[0.1, 0.2]] + [[0.8, 0.7]] * settings.n_rounds
    gains = script.raised(summary, "error relay")
    assert gains["before"] == pytest.approx([0.7, 0.5])
    assert gains[FROZEN] == pytest.approx(np.array([0.8, 0.7]) - 1.3)
    assert gains[SHUFFLED] == pytest.approx(np.array([0.8, 0.7]) - 3.3)


def test_both_measures_are_judged(script):
    summary = summaries(script, script.SETTINGS[""])["summary"]
    last, group = summary.sizes["round"] - 1, GROUPS.index(NOT_REHEARSED)
    for measure in script.JUDGED:
        summary[measure][0, :, group] = 0.2
        summary[measure][0, ARMS.index(LOOP), group, last] = 0.9
    summary["agreement_plain"][0, ARMS.index(SHUFFLED), group, last] = 0.85
    summary["agreement_plain"][0, ARMS.index(OFF), group, last] = [0.9, 0.9, 0.7, 0.7, 0.7]
    removed, plain = (list(script.judgement(summary, "error relay", measure)) for measure in script.JUDGED)
    assert removed[0].startswith("error relay: the loop leaves the correlation (means of cells removed) higher, by")
    assert removed[1].endswith("shuffled: yes.")
    assert plain[0].startswith("error relay: the loop leaves the correlation (as it is) higher")
    assert plain[1].endswith("NO for loop, shuffled; not decided for loop off.")
    few = summary.isel(seed=slice(4))
    assert len(list(script.judgement(few, "error relay", "agreement"))) == 1  # too few seeds to judge


class Recorded(SimpleNamespace):
    """A recording that is not on a disk."""

    def __getitem__(self, name):
        return self.groups[name]

    @property
    def summary(self):
        return self["summary"]


def test_rates_and_what_the_loop_does_at_each_are_said(script):
    settings = replace(script.SETTINGS[""], seeds=(0, 1))
    said = list(script.statements(Recorded(groups=summaries(script, settings))))
    assert said[2] == "  rate 0.3 (rate: learned 0.1: -0.200, 0.3: 0.000, 1: -0.700)"
    assert said[3] == "  agreement after the loop, by rate: 0.1: 0.10, 0.3: 0.30, 1: 1.00"
    assert said[-2].startswith("  rate 0.3, on the edge of those tried (rate: learned 0.01: -0.290")
    one = summaries(script, script.SETTINGS["quick"])
    quick = list(script.statements(Recorded(groups=one)))
    assert quick[2] == "  rate 0.1"
    assert len(quick) == 3 * 3  # two measures and the rate of each learner


def test_the_table_has_what_was_before_and_every_arm_after(script):
    settings = replace(script.SETTINGS[""], seeds=(0, 1))
    (table,) = script.tables(Recorded(groups=summaries(script, settings)))
    learner, after, agreement = (list(column.cells) for column in table.columns[:3])
    assert after == [EXPERIENCE, *ARMS] * 3
    assert learner[0] == "error relay"
    assert learner[1:9] == [""] * 8
    assert agreement[:3] == ["0.30 [0.30, 0.30]", "0.30 [0.30, 0.30]", "1.30 [1.30, 1.30]"]
