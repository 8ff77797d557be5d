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
