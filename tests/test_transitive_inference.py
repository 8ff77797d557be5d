"""Comparisons that were never made: what is walked and asked, and what is said of it."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import evoking
import numpy as np
import pytest
import xarray as xr
from bioplastic_models import item_series, thinking
from bioplastic_models.item_series import answers, distance_slope, nearest, ordered_pairs
from bioplastic_models.thinking import ARMS, LOOP

from bioplastic.recording import labelled

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "transitive_inference.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def test_too_short_a_series_is_refused(script):
    with pytest.raises(ValueError, match="n_items = 5; give 6 or more, for two distances of inner items"):
        replace(script.SETTINGS[""], n_items=5)


@pytest.mark.parametrize("learner", ["backprop", "error relay"])
def test_a_series_is_walked_to_its_end(script, learner):
    settings, n = replace(script.SETTINGS[""], n_items=6, n_rounds=1, n_blocks=1), 6
    x = item_series.draw(n, 0)

    def b_and_c(a, b):
        # Each item evokes the next, but the third evokes itself; all answers are right.
        at, other = nearest(a, x), nearest(b, x)
        return x[np.array([1, 2, 2, 4, 5, 5])[at]], answers(at, other)

    found, lived = evoking.measured(script, settings, b_and_c, learner)
    # After one step four of five walks are right, those from the fourth and fifth; after two: of four those from the
    # first, which gets to the third, and from the fourth; after three and more none: all come through the third.
    share = [4 / 5, 2 / 4, 0, 0, 0]
    assert found["walk"].dims == ("arm", "round", "distance")
    assert found["walk"].values == pytest.approx(np.broadcast_to(share, (len(ARMS), 2, 5)))
    # Every first comparison is right but that of the third item with itself, and that walk has not arrived either.
    assert found["thought"].values == pytest.approx(np.broadcast_to(share, (len(ARMS), 2, 5)))
    off = ~np.eye(n, dtype=bool)
    assert found["margin"].values[..., off] == pytest.approx(np.ones((len(ARMS), 2, n * (n - 1))))
    assert np.isnan(found["margin"].values[..., ~off]).all()
    taught = item_series.learned(x, x[[1, 2, 2, 4, 5]], answers(*ordered_pairs(n)))
    assert float(found["score"]) == pytest.approx(taught)
    assert taught < 1
    thoughts = [session for arm, session in lived if arm == LOOP and len(session.order)]
    assert [len(session.shown) for session in thoughts] == [3 * 15]
    # What evoked a pattern is held with nothing else, and the pattern counts as what happens.
    walked = nearest(thoughts[0].shown[30:, : x.shape[1]], x)
    assert walked.tolist() == [0, 1, 2, 3, 4, 1, 2, 2, 4, 2, 2, 2, 2, 2, 2]


def summaries(script, settings):
    """Summarise runs with random margins; rates score best at 0.3."""
    bench, found, rng, n = script.STUDY.bench(settings), {}, np.random.default_rng(0), settings.n_items
    runs = SimpleNamespace(of=lambda kind: [(c, run) for c, run in found.items() if c.kind == kind])
    for planned in thinking.plan(bench, settings, runs):
        for c in planned:
            looks = len(thinking.arms_of(c)), settings.n_rounds + 1
            half = labelled((*script.LOOK, "distance"), np.full((*looks, n - 1), 0.5), "")
            margin = labelled((*script.LOOK, "first", "second"), rng.standard_normal((*looks, n, n)), "")
            score = labelled((), -abs(c["rate"] - 0.3), "")
            axes = thinking.axes(c, settings) | script.places(n)
            found[c] = xr.Dataset({"margin": margin, "walk": half, "thought": half, "score": score}, axes)
    return script.summarise(bench, settings, runs), found


def test_the_summary_has_margins_by_distance_and_their_slope(script):
    settings = replace(script.SETTINGS[""], seeds=(0, 1), n_tuning=2)
    groups, runs = summaries(script, settings)
    summary, swept = groups["summary"], groups["learning_rate_sweep"]
    assert summary["margin"].dims == ("learner", "arm", "round", "seed", "first", "second")
    assert summary["margin"].shape == (3, 8, settings.n_rounds + 1, 2, 7, 7)
    assert summary["learning_rate"].values == pytest.approx([0.3] * 3)
    one = next(run for c, run in runs.items() if (c.kind, c["learner"], c["seed"]) == ("result", "error relay", 1))
    one = one["margin"].values[2, 1]
    at = {"learner": 0, "arm": 2, "round": 1, "seed": 1}
    assert float(summary["distance_slope"].isel(at)) == pytest.approx(distance_slope(one))
    assert float(summary["distance_slope_inner"].isel(at)) == pytest.approx(distance_slope(one, inner=True))
    assert summary["margin_at_distance"].isel(at).values == pytest.approx(item_series.by_distance(one))
    right = item_series.by_distance((one > 0).astype(float))
    assert summary["accuracy_at_distance"].isel(at).values == pytest.approx(right)
    tuned = next(run for c, run in runs.items() if (c["learner"], c["rate"], c["seed"]) == ("backprop", 0.01, 101))
    after = item_series.by_distance(tuned["margin"].values[0, -1])
    assert swept["margin_after"][2, 0, 1].values == pytest.approx(after)
    assert np.isnan(swept["margin_after"][0, 3]).all()
    assert swept["distance"].values.tolist() == [1, 2, 3, 4, 5, 6]


class Recorded(SimpleNamespace):
    """A recording that is not on a disk."""

    def __getitem__(self, name):
        return self.groups[name]

    @property
    def summary(self):
        return self["summary"]


def test_comparisons_that_need_no_thought_are_against_the_argument(script):
    groups, _ = summaries(script, script.SETTINGS[""])
    right = groups["summary"]["accuracy_at_distance"]
    right[:], right[1, ARMS.index(LOOP), 0] = 0.4, 0.9
    said = list(script.statements(Recorded(groups=groups)))
    assert said[0] == "error relay:"
    assert said[2].endswith("before any thought in 0.4 [0.4, 0.4], after the loop in 0.4 [0.4, 0.4].")
    assert said[5].endswith(": no thought is needed for that, which is against the argument.")
    few = Recorded(groups={**groups, "summary": groups["summary"].isel(seed=slice(4))})
    assert list(script.statements(few))[5].endswith(".")
    assert "against" not in " ".join(script.statements(few))


def test_the_table_has_neighbours_and_the_farthest(script):
    groups, _ = summaries(script, replace(script.SETTINGS[""], seeds=(0, 1)))
    margin = groups["summary"]["margin_at_distance"]
    margin[:] = np.arange(6)
    (table,) = script.tables(Recorded(groups=groups))
    near, far = (list(table.columns[k].cells) for k in (4, 5))
    assert near == ["0.00"] * 27
    assert far == ["5.00"] * 27
