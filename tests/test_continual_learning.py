"""Five tasks one after the other: who lives them, and what is said."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import ms

from bioplastic.recording import labelled
from bioplastic.study import Condition, transfer_study
from bioplastic.study.transfer_study import BLOCKS, IN_SPIKES, INTERLEAVED

pytest.importorskip("torch")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "continual_learning.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def quick(script):
    return script.SETTINGS["quick"]


@pytest.fixture(scope="module")
def bench(script, quick):
    made = script.Continual(quick)
    made.start = dict(zip(made.seeds, made.starts(lambda done: None), strict=True))
    return made


def learner(bench, name):
    return next(one for one in bench.learners if one.name == name)


# ------------------------------------------------------------------------------------------ who lives what


def test_a_rate_per_event_means_the_same_change_whoever_learns(bench):
    """At 100 Hz an outcome of 120 ms has 12 spikes."""
    relay, screened, agreeing = (
        learner(bench, name) for name in ("error relay", "error relay, screened", "equilibrium relay")
    )
    assert relay.timing.outcome == 120 * ms
    assert relay.rule(0.6).eta == screened.rule(0.6).eta == pytest.approx(0.05)
    assert (relay.rule(0.6).theta, screened.rule(0.6).theta) == (0.1, 1.0)
    assert agreeing.rule(0.6).eta == agreeing.rule(0.6).eta_apical == pytest.approx(0.05)


def test_all_learners_live_the_same_real_events(bench):
    lives = [bench.schedule(Condition(BLOCKS, {"seed": 0}, one)) for one in bench.learners]
    for life in lives:
        np.testing.assert_array_equal(life.stimulus[~life.replayed], lives[0].stimulus)
    replaying = [one.name for one, life in zip(bench.learners, lives, strict=True) if life.replayed.any()]
    assert replaying == ["backprop, replay", "error relay, replay"]
    mixed = bench.schedule(Condition(INTERLEAVED, {"seed": 0}, bench.learners[0]))
    assert (np.sort(mixed.stimulus) == np.sort(lives[0].stimulus)).all()
    assert (mixed.stimulus != lives[0].stimulus).any()


def test_learners_begin_alike_but_for_what_the_context_says(bench):
    plain = bench.start[0]
    for one in bench.learners:
        weights = bench.begin(Condition(BLOCKS, {"seed": 0}, one))
        from_context = {name for name in plain.forward if name.startswith("context")}
        for name, w in plain.forward.items():
            same = (weights.forward[name] == w).all()
            if name not in from_context:
                assert same, name
        says = any((weights.forward[name] != 0).any() for name in from_context)
        assert says == any(word in one.name for word in ("off", "told")), one.name


def test_dendrites_agree_before_anything_is_learned(bench):
    condition = Condition(BLOCKS, {"seed": 0}, learner(bench, "equilibrium relay"))
    assert bench.feedback(condition) is not None
    assert bench.feedback(Condition(BLOCKS, {"seed": 0}, learner(bench, "error relay"))) is None


def test_uneven_replays_are_refused(quick):
    with pytest.raises(ValueError, match=r"n_events = 45 is no multiple of replay_every = 10"):
        replace(quick, n_events=45)


# ------------------------------------------------------------------------------------------ words


class MadeUp(dict):
    """Runs of all learners, by condition."""

    def of(self, kind):
        return [(c, run) for c, run in self.items() if c.kind == kind]


def summary_of(script, settings, matrix):
    """Summarise runs whose accuracy is `matrix(learner, kind)`."""
    bench, runs = script.Continual(settings), MadeUp()
    for planned in transfer_study.plan(bench, settings, runs):
        for c in planned:
            accuracy = matrix(c["learner"], BLOCKS if c.kind == IN_SPIKES else c.kind)
            found = {
                "validated": labelled((), float(accuracy[-1].mean()), ""),
                "accuracy": labelled(("block", "task"), accuracy, ""),
                "changed": labelled("hop", [1.0, 0.5, 0.0], ""),
                "untouched": labelled("hop", [0.0, 0.5, 1.0], ""),
            }
            if c.kind == IN_SPIKES:
                found["accuracy_spikes"] = labelled(("block", "task"), matrix(c["learner"], IN_SPIKES), "")
            runs[c] = xr.Dataset(found, {"hop": np.arange(3), "block": np.arange(6), "task": np.arange(5)})
    return transfer_study.summarise(bench, settings, runs)["summary"]


def test_words(script, quick):
    """Accuracy grows alike on all tasks, so that what is kept is what there is at the end, and nothing is forgotten."""
    ends = {"backprop": 0.8, "backprop, 80 % off": 0.99, "backprop, 3 % kept": 0.8}

    def matrix(name, kind):
        return np.broadcast_to(np.linspace(0.5, ends.get(name, 0.7), 6)[:, None], (6, 5))

    summary = summary_of(script, replace(quick, seeds=(0, 1, 2, 3, 4)), matrix)
    found = {name: values.sel(learner="backprop, 80 % off") for name, values in script.effects(summary).items()}
    # Learned is the mean of a straight line from 0.5: 0.5 + (0.99 - 0.5)*(1 + ... + 5)/25, against 0.3*0.6 of backprop.
    np.testing.assert_allclose(found["more learned"], 0.6 * (0.49 - 0.3))
    np.testing.assert_allclose(found["kept more, matched"], 0.99 - 0.8)
    sparse = script.effects(summary)["kept more, matched"].sel(learner="backprop, 3 % kept")
    np.testing.assert_allclose(sparse, 0, atol=1e-12)
    words = list(script.statements(SimpleNamespace(summary=summary)))
    assert words[1].startswith("backprop, 80 % off: keeps more than backprop")
    assert words[0].endswith("against the claim.")
    alone = summary.isel(seed=[0])
    said = list(script.statements(SimpleNamespace(summary=alone)))
    assert said == ["Fewer than 5 seeds: nothing is said of the claim."]


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
def summary_by_hand(script, quick):
    """Backprop forgets (0.4 + 3*0.2)/4 = 0.25, the relays (0.1 + 3*0.1)/4 = 0.1 and learn less, see the tests.

    Backprop:             learned (0.9 + 4*0.9)/5 = 0.9,  kept (0.5 + 3*0.7)/4 = 0.65
    backprop with replay: learned 0.9,                    kept 0.8,                      forgets 0.1
    relays:               learned (0.4 + 4*0.9)/5 = 0.8,  kept (0.3 + 3*0.8)/4 = 0.675,  forgets 0.1
    """

    def matrix(name, kind):
        found = by_hand(0.4, 0.3, 0.8) if "relay" in name else by_hand(0.9, 0.5, 0.7)
        if name == "backprop, replay":
            found = by_hand(0.9, 0.8, 0.8)
        if kind == IN_SPIKES:
            found = by_hand(0.4, 0.2, 0.8)
        if kind == INTERLEAVED:
            found[-1] = 0.95
        return found

    return summary_of(script, quick, matrix)


def test_effects_by_hand(script, summary_by_hand):
    """Backprop's curve goes straight from where it starts (0.5, 0.5, forgets 0) to (0.9, 0.65, 0.25)."""

    def of_relay(suffix=""):
        found = script.effects(summary_by_hand, suffix)
        return {name: values.sel(learner="error relay").item() for name, values in found.items()}

    found, spikes = of_relay(), of_relay("_spikes")
    assert found["less forgetting"] == pytest.approx(0.25 - 0.1)
    assert found["more learned"] == pytest.approx(0.8 - 0.9)
    assert found["kept more, matched"] == pytest.approx(0.675 - (0.5 + 0.75 * 0.15))
    assert found["less forgetting, matched"] == pytest.approx(0.75 * 0.25 - 0.1)
    # In spikes it ends at (0.2 + 3*0.8)/4 = 0.65 and forgets (0.2 + 3*0.1)/4 = 0.125.
    assert spikes["less forgetting"] == pytest.approx(0.25 - 0.125)
    assert spikes["kept more, matched"] == pytest.approx(0.65 - (0.5 + 0.75 * 0.15))
    assert spikes["less forgetting, matched"] == pytest.approx(0.75 * 0.25 - 0.125)


def test_replay_against_replay_by_hand(script, summary_by_hand):
    """Backprop's curve goes from (0.5, 0.5, forgets 0, average 0.5) to (0.9, 0.8, 0.1, 0.82), the relay's to 0.8."""
    found = script.replay_effects(summary_by_hand)
    assert {k: v.item() for k, v in found["best rates"].items()} == pytest.approx(
        {"learned": -0.1, "kept": 0.675 - 0.8, "forgetting": 0, "average_accuracy": (0.3 + 3 * 0.8 + 0.9) / 5 - 0.82}
    )
    assert {k: v.item() for k, v in found["where backprop learns as the relay"].items()} == pytest.approx(
        {
            "learned": 0,
            "kept": 0.675 - (0.5 + 0.75 * 0.3),
            "forgetting": 0.1 - 0.075,
            "average_accuracy": 0.72 - (0.5 + 0.75 * 0.32),
        }
    )
    assert found["the same, relay in spikes"]["kept"].item() == pytest.approx(0.65 - 0.725)
    # The relay never learns as much as backprop: it is taken where it learns most.
    assert found["where the relay learns as backprop"]["learned"].item() == pytest.approx(0.8 - 0.9)
    assert found["where the relay learns as backprop"]["kept"].item() == pytest.approx(0.675 - 0.8)


def test_nobody_is_drawn_like_another_in_the_same_panel(script):
    everyone = script.learners(script.SETTINGS[""], np.arange(3))
    names, relays = [one.name for one in everyone], [one.name for one in everyone if one.spikes]
    looks = script.looks(names, relays)
    for kind in (False, True):
        panel = [looks[name] for name in names if name == "backprop" or (name in relays) == kind]
        assert len({(look.marker, look.line) for look in panel}) == len(panel)
    assert all(looks[name].marker != looks["backprop"].marker for name in names[1:])


def test_one_learner_of_each_kind_has_its_matrix_drawn(script):
    """Four fractions kept and two off: 14 learners, of which 10 are drawn."""

    def matrix(name, kind):
        return by_hand(0.9, 0.5, 0.7)

    settings = replace(script.SETTINGS[""], backprop_rates=(0.1,), spiking_rates=(0.1,), equilibrium_rates=(0.1,))
    summary = summary_of(script, settings, matrix)
    figure = script.figures(SimpleNamespace(summary=summary, provenance=SimpleNamespace(settings=vars(settings))))[""]
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 10
    assert "backprop,\n30 % kept" in titles
    assert "backprop,\n10 % kept" not in titles
