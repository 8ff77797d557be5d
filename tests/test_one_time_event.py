"""The script that follows one event: who is lived when, and what its summary says of runs with known numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bioplastic_models import chain

from bioplastic import spiking
from bioplastic.recording import Provenance, Recording, labelled
from bioplastic.study import measure
from bioplastic.study.bench import OTHER_PHASES
from bioplastic.study.tuning import TUNING, TUNING_SEEDS

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "one_time_event.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def settings(script):
    return script.Settings(
        seeds=(0, 1),
        saliences=(0.1, 1.0),
        night=20.0,
        other_replay_rates=(1.5,),
        looks=(0.5, 1.0),
        rates=(0.1, 0.2),
        event_fractions=(0.1, 0.3),
    )


# ------------------------------------------------------------------------------------------ what is lived


def made_up(script, bench, condition):
    """A run that reaches as many hops as `hops_of` says, of which seed 1 reaches one more."""
    seed = condition["seed"]
    if condition.kind == script.WRITING:
        return xr.Dataset({"share_written": labelled((), condition["salience"] / 2, "share that is written")})
    n_hops, passed = bench.circuit.n_hops, hops_of(script, condition) + (seed == 1)
    grown = np.arange(3)[:, None] / 2 * np.where(np.arange(n_hops) < passed, 2.0, 0.0)
    axes = ("snapshot", "hop")
    found = {
        "change": labelled(axes, grown, "a change"),
        "change_floor": labelled(axes, np.ones((3, n_hops)), "a floor"),
        "change_since": labelled(axes, grown, "a change"),
        "change_since_floor": labelled(axes, np.ones((3, n_hops)), "a floor"),
        "n_rare": labelled("snapshot", [0, 2, 4], "how often"),
        **{
            f"{what}_{when}": labelled((), value, "an error")
            for what, values in {
                "error_event": (0.9, 0.4),
                "error_rare": (0.5, 0.5 - condition.labels.get("rate", 0.0)),
                "error_background": (0.1, 0.1),
                "accuracy_background": (0.8, 1.0),
            }.items()
            for when, value in zip(("initial", "final"), values, strict=True)
        },
    }
    if condition.kind == script.FREQUENCY:
        return measure.dataset(bench.circuit, found)
    times = [1.0, 2.0, 3.0] if condition["arm"] == script.REPLAY else []
    found |= {
        "reactivation_time": labelled("reactivation", times, "when", "s"),
        "reactivated": labelled("reactivation", [0, 1, 0][: len(times)], "which"),
        "rare_memory": labelled((), 0, "which memory"),
        **{name: labelled((), 0.5, name) for name in script.RIPPLES},
    }
    if condition.kind == script.NIGHT and condition["salience"] == bench.settings.saliences[-1]:
        row = np.ones(sum(a * b for a, b in map(bench.circuit.shape, bench.circuit.projections)), "f4")
        found |= {name: labelled("synapse", row, name) for name in ("caused", "noise")}
    return measure.dataset(bench.circuit, found)


def hops_of(script, condition) -> int:
    """Hops that a run reaches: by what is not usual in it."""
    if condition.kind == script.FREQUENCY:
        return {0.1: 1, 0.3: 2}[condition["event_fraction"]]
    if condition.kind == TUNING or condition["arm"] != script.REPLAY:
        return 3 if condition["rate"] == 0.2 else 4
    unusual = (condition["salience"] == 0.1, condition["rate"] == 0.1, condition["replay_rate"] == 1.5)
    return {(): 5, (0,): 6, (1,): 7, (2,): 8}[tuple(np.flatnonzero(unusual).tolist())]


@pytest.fixture(scope="module")
def done(script, settings, tmp_path_factory):
    """The made-up runs, lived by nobody; and the conditions in the order in which they were asked for."""
    asked = []

    class Bench(script.OneEvent):
        def prepare(self, progress):
            progress(1.0)

    def measured(bench, condition):
        asked.append((condition, dict(bench.moments)))
        return made_up(script, bench, condition)

    study = replace(script.STUDY, bench=Bench, measure=measured)
    out = tmp_path_factory.mktemp("one_time_event") / "run.h5"
    recording = study.run(settings, out, jobs=1, show_progress=False)
    study.show(recording)
    assert out.with_suffix(".png").exists()
    return recording, asked


def test_real_repetitions_have_the_moments_of_replay(script, done):
    _, asked = done
    kinds = [condition.kind for condition, _ in asked]
    assert kinds[:4] == [TUNING] * 4
    assert {condition["seed"] for condition, _ in asked[:4]} == set(TUNING_SEEDS)
    assert all(not moments for _, moments in asked[:8])
    for condition, moments in asked[8:]:
        if condition.kind == script.NIGHT and condition["arm"] in (script.REAL, script.AFTER):
            # Of three reactivations the second was of another memory.
            assert moments[condition["seed"], condition["rate"]].tolist() == [1.0, 3.0]


def test_every_arm_is_lived_at_the_rate_after_which_error_is_least(script, done):
    recording, asked = done
    nights = [condition for condition, _ in asked if condition.kind == script.NIGHT]
    assert {c["arm"] for c in nights if c["rate"] == 0.1} == {script.REPLAY, script.REAL}
    assert {c["arm"] for c in nights if c["rate"] == 0.2} == set(script.ARMS)
    np.testing.assert_allclose(recording["learning_rate_sweep"]["error"], [0.25, 0.2])
    assert script.rate_chosen(recording) == 0.2


def test_the_summary_takes_each_measure_from_its_runs(script, done):
    summary, seeds = done[0].summary, np.array([0, 1])
    assert summary["reach"].sel(arm=script.REPLAY).values.tolist() == [4, 5]
    assert summary["reach_night"].sel(arm=script.AFTER).values.tolist() == [2, 3]
    assert summary["reach_salience"].values.tolist() == [[5, 6], [4, 5]]
    assert (summary["reach_day"] == -1).all()
    assert summary["reach_rate"].values.tolist() == [[6, 7], [4, 5]]
    assert summary["reach_rate_real"].values.tolist() == [[3, 4], [2, 3]]
    assert summary["reach_frequency"].values.tolist() == [[0, 1], [1, 2]]
    assert summary["replay_rate"].values.tolist() == [0.4, 1.5]
    assert summary["reach_replay_rate"].values.tolist() == [[4, 5], [7, 8]]
    np.testing.assert_allclose(summary["replay_fraction"], 4 * float(chain.timing().event) / 20)
    np.testing.assert_allclose(summary["share_written"], [[0.05, 0.05], [0.5, 0.5]])
    for name, gained in (("event_error", -0.5), ("rare_error", -0.2), ("background_accuracy", 0.2)):
        np.testing.assert_allclose(summary[name], np.full((9, 2), gained))
    # Where real repetitions change anything, a replay changes as much; beyond there is nothing to compare.
    both = np.arange(12) < 3 + seeds[:, None]
    np.testing.assert_allclose(summary["replays_per_event"], np.where(both, 1, np.nan))
    np.testing.assert_allclose(summary["change_ratio"], np.where(both, 1, np.nan))


def test_only_change_in_the_direction_of_real_repetitions_counts_along_it(script):
    circuit, rng = chain.circuit(), np.random.default_rng(0)
    # Real repetitions change hops 0 and 1; the other arm the same at hop 0, and something orthogonal at hop 1.
    near, next_to_it = circuit.projections[-1].name, circuit.projections[-2].name
    real = {p.name: np.zeros(circuit.shape(p)) for p in circuit.projections}
    real[near] = rng.normal(size=real[near].shape)
    real[next_to_it][0, 0] = 1.0
    other = real | {next_to_it: np.zeros_like(real[next_to_it])}
    other[next_to_it][0, 1] = 50.0
    rows = np.array([[spiking.flat(circuit, one)] * 2 for one in (real, other)])
    arms = xr.Dataset(
        {name: (("arm", "seed", "synapse"), x) for name, x in (("caused", rows), ("noise", np.full_like(rows, 1e-3)))}
    )
    found = script.reached_along(circuit, arms, arms["caused"].isel(arm=0))
    assert found.values.tolist() == [[1, 1], [0, 0]]


def test_a_life_is_lived_beside_shams_that_remember_the_same(script, settings):
    bench = script.OneEvent(settings)
    bench.start = {0: None}
    condition = script.Condition(script.NIGHT, {"arm": script.OFF, "seed": 0, "rate": 0.1}, bench.learners[0])
    life, sham, other = bench.trio(condition, bench.world.day(0, 1.0))
    assert replace(sham, schedule=life.schedule) == life
    # Only the spike phases are others, so that the hippocampus draws the same.
    assert other == replace(sham, phases=OTHER_PHASES)


# ------------------------------------------------------------------------------------------ what is said


def test_a_verdict_turns_with_its_data(script, tmp_path):
    arms = list(script.ARMS)
    far, near = np.full(2, 8.0), np.full(2, 2.0)
    made = Provenance.here(title="", settings={"n_trials": 40}, circuit="", code="", script="", source="")

    def said(replayed, shuffled, written):
        given = {script.REAL: far, script.AFTER: far, script.REPLAY: replayed, script.SHUFFLED: shuffled}
        reach = (("arm", "seed"), np.array([given.get(arm, near) for arm in arms]))
        summary = xr.Dataset(
            {
                "reach": reach,
                "reach_night": reach,
                "reach_along": reach,
                "event_error": (("arm", "seed"), 5 - reach[1]),
                "share_written": (("salience", "seed"), np.array([written, [1.0, 1.0]])),
                "reach_frequency": (("event_fraction", "seed"), np.array([[5, 5], [1, 1.0]])),
                "replay_fraction": (("replay_rate", "seed"), np.array([[0.1, 0.01]])),
                "reach_replay_rate": (("replay_rate", "seed"), np.array([[6.0, 2.0]])),
            },
            {"arm": arms, "salience": [0.1, 1.0], "event_fraction": [0.1, 0.01], "replay_rate": [0.4]},
        )
        return list(script.statements(Recording(tmp_path / "run.h5", made, {"summary": summary})))

    good, bad = said(far - 1, near, np.zeros(2)), said(near, far, np.array([0.2, 0.1]))
    assert all("DOES NOT HOLD" not in line for line in good)
    assert [line.split(",")[0] for line in bad if "DOES NOT HOLD" in line] == [
        *("replay", "replay", "shuffled outcomes", "replay", "shuffled outcomes"),
        "replay: the event's own error changes by 3 [3",
        "shuffled outcomes: the event's own error changes by -3 [-3",
        "Salience 0.1 is not written in 85.0 % of 80 events; should be 95 % or more: DOES NOT HOLD.",
    ]
    assert ": 1 [1, 1] hops off the curve" in good[-1]
