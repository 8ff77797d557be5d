"""Verdicts on reach: numbers by hand, and verdicts that flip with the data."""

import numpy as np
import pytest
import xarray as xr

from bioplastic.statistics import Estimate
from bioplastic.verdicts import decide, grows_with_frequency, reaches_every_hop_at_once, sentences, verdicts

LEARNERS = ("error relay", "error relay, unscreened", "backprop")
FRACTIONS = (0.01, 0.3)
HOPS = 4
AXES = ("learner", "event_fraction", "seed")


def a_summary(n_seeds: int = 3, **changes: np.ndarray) -> xr.Dataset:
    """The screened relay reaches hops 0, 0, 1 at 0.01 and 2, 2, 2 at 0.3; the others reach hop 3 always."""
    reach = np.full((len(LEARNERS), len(FRACTIONS), n_seeds), 3.0)
    reach[0] = np.array([[0, 0, 1], [2, 2, 2]])[:, :n_seeds]
    frozen = reach.copy()
    frozen[0] = np.array([[0, 3, 1], [1, 1, 2]])[:, :n_seeds]
    hop = np.arange(HOPS)
    arrays = {
        "reach": reach,
        "error_signal_reach": frozen,
        "arrival": np.where(hop <= reach[..., None], 1.0, np.nan),
        "change": np.where(hop <= reach[..., None], 0.1, 0.0),
    }
    found = {name: ((*AXES, "hop")[: values.ndim], values) for name, values in (arrays | changes).items()}
    axes = {"learner": list(LEARNERS), "event_fraction": list(FRACTIONS), "seed": np.arange(n_seeds), "hop": hop}
    return xr.Dataset(found, axes)


def changed(name: str, **at: object) -> xr.Dataset:
    """The summary with the values of some learners replaced: l0 is the first of them."""
    values = a_summary()[name].values.copy()
    for learner, new in at.items():
        values[int(learner[1:])] = new
    return a_summary(**{name: values})


def verdict(summary, claim, learner="error relay", arm="learning", fraction=None):
    found = [
        v
        for v in verdicts(summary)
        if claim in v.claim and (v.learner, v.arm, v.event_fraction) == (learner, arm, fraction)
    ]
    assert len(found) == 1, [str(v) for v in found]
    return found[0]


@pytest.mark.parametrize(
    ("low", "high", "n", "outcome"),
    [
        (0.1, 2, 3, "supported"),
        (-2, -0.1, 3, "refuted"),
        (-0.5, 0.5, 3, "refuted"),
        (0, 0, 3, "refuted"),
        (-0.5, 0.6, 3, "not decided"),
        (-2, 0.1, 3, "not decided"),
        (1, 1, 1, "not decided"),
        (np.nan, np.nan, 0, "not decided"),
    ],
)
def test_decide(low, high, n, outcome):
    assert decide(Estimate((low + high) / 2, low, high, n)) == outcome


def test_growth_is_paired_and_flips_with_the_data():
    summary = a_summary()
    grows = verdict(summary, "grows")
    assert grows.value.mean == pytest.approx(5 / 3)
    assert (grows.value.low, grows.value.high) == pytest.approx((1, 2))
    assert grows.outcome == "supported"
    assert str(grows) == (
        "reach grows with event frequency (error relay, weights learning): supported; "
        "hops at 0.3 less hops at 0.01 1.67 [1, 2], 3 seeds"
    )
    reverse = changed("reach", l0=[[2, 2, 2], [0, 0, 1]])
    assert verdict(reverse, "grows").outcome == "refuted"
    assert verdict(reverse, "grows").value.mean == pytest.approx(-5 / 3)
    # +1, -2, +1 hops
    assert verdict(summary, "grows", arm="frozen").outcome == "not decided"


def test_growth_does_not_depend_on_the_order_of_fractions_and_axes():
    one = a_summary()
    for other in (one.isel(event_fraction=[1, 0]), one.transpose("hop", "seed", "event_fraction", "learner")):
        assert verdict(other, "grows") == verdict(one, "grows")
        assert [str(v) for v in verdicts(other) if v.event_fraction is None] == [
            str(v) for v in verdicts(one) if v.event_fraction is None
        ]


def test_no_growth_at_the_last_hop_says_so():
    flat = verdict(a_summary(), "grows", learner="backprop")
    assert flat.outcome == "refuted"
    assert flat.note == "it reaches every hop at 0.01 already"


def test_backprop_at_once_flips_with_the_data():
    claim = "every hop at the first occurrence"
    assert verdict(a_summary(), claim, "backprop").outcome == "supported"
    arrival = np.ones((2, 3, HOPS))
    arrival[1, :, 2] = [2, np.nan, 5]
    late = verdict(changed("arrival", l2=arrival), claim, "backprop")
    assert late.outcome == "refuted"
    assert late.value.mean == pytest.approx(7 / 8)
    assert late.note == "at 0.3 hop 2 is not reached at once"
    arrival[1, :, 2] = [1, 2, 1]
    once = verdict(changed("arrival", l2=arrival), claim, "backprop")
    assert once.outcome == "not decided"
    assert once.value.mean == pytest.approx((1 + 7 / 8 + 1) / 3)


def test_a_condition_that_was_not_run_is_no_failure():
    found = {name: a_summary()[name].values.copy() for name in ("arrival", "change")}
    for values in found.values():
        values[2, 0] = np.nan
    one = verdict(a_summary(**found), "every hop at the first occurrence", "backprop")
    assert one.value == Estimate(1.0, 1.0, 1.0, 3)


@pytest.mark.parametrize("other", ["backprop", "error relay, unscreened"])
def test_less_far_flips_with_the_data(other):
    claim = f"reaches less far than {other}"
    less = verdict(a_summary(), claim, fraction=0.01)
    assert less.value.mean == pytest.approx(3 - 1 / 3)
    assert less.outcome == "supported"
    both = LEARNERS.index(other)
    more = changed("reach", l0=[[3, 3, 3]] * 2, **{f"l{both}": [[1, 2, 1]] * 2})
    assert verdict(more, claim, fraction=0.3).outcome == "refuted"
    same = changed("reach", l0=[[3, 3, 3]] * 2)
    assert verdict(same, claim, fraction=0.3).outcome == "refuted"
    assert verdict(same, claim, fraction=0.3).value == Estimate(0.0, 0.0, 0.0, 3)


def test_one_seed_decides_nothing():
    found = verdicts(a_summary(1))
    assert {v.outcome for v in found} == {"not decided"}
    assert {v.note for v in found} == {
        "one seed has no spread",
        "it reaches every hop at 0.01 already; one seed has no spread",
    }


def test_what_was_not_measured_is_not_decided():
    nothing = changed("reach", l0=np.nan)
    assert verdict(nothing, "grows").note == "not measured"
    assert verdict(nothing, "grows").outcome == "not decided"


def test_learners_that_are_not_there_are_named_and_others_may_be_meant():
    summary = a_summary().sel(learner=["error relay", "backprop"])
    absent = verdict(summary, "less far than error relay, unscreened", fraction=0.3)
    assert (absent.outcome, absent.note) == ("not decided", "the recording has no learner 'error relay, unscreened'")
    mine = a_summary().assign_coords(learner=["mine", "mine, open", "gradient"])
    assert reaches_every_hop_at_once(mine).note == "the recording has no learner 'backprop'"
    found = verdicts(mine, screened="mine", unscreened="mine, open", backprop="gradient")
    assert [v.outcome for v in found] == [v.outcome for v in verdicts(a_summary())]
    assert "mine reaches less far than gradient" in {v.claim for v in found}


def test_one_fraction_shows_no_growth():
    found = grows_with_frequency(a_summary().isel(event_fraction=[0]))
    assert {(v.outcome, v.note) for v in found} == {("not decided", "there is only one event fraction")}


def test_sentences_put_alike_together():
    said = list(sentences(verdicts(a_summary())))
    assert said[0] == (
        "reach grows with event frequency (hops at 0.3 less hops at 0.01). "
        "Weights frozen, refuted: error relay, unscreened / backprop 0 [0, 0] (it reaches every hop at 0.01 already). "
        "Not decided: error relay 0 [-2, 1]. "
        "Weights learning, supported: error relay 1.67 [1, 2]. "
        "Refuted: error relay, unscreened / backprop 0 [0, 0] (it reaches every hop at 0.01 already)."
    )
    assert said[1] == (
        "backprop reaches every hop at the first occurrence, at every frequency (share of hops reached at the first "
        "occurrence). Weights learning, supported: backprop 1 [1, 1]."
    )
    assert said[2] == (
        "error relay reaches less far than backprop (hops of backprop less hops of error relay). "
        "Weights frozen, supported: at 0.3 1.67 [1, 2]. Not decided: at 0.01 1.67 [0, 3]. "
        "Weights learning, supported: at 0.01 2.67 [2, 3]; at 0.3 1 [1, 1]."
    )
    assert len(said) == 4
