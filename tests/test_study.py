"""A study: conditions to labelled datasets, whatever is interrupted on the way."""

import re
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from brian2 import ms
from made_up import MadeUpRuns
from rich.table import Table

from bioplastic.circuit import Circuit, Population, Projection, Weights
from bioplastic.events import Timing, random_life
from bioplastic.life import Life
from bioplastic.recording import RecordingError, labelled, read
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.study import Bench, Condition, Learner, Study, StudyError, conditions, grid
from bioplastic.study.learner import per_event
from bioplastic.study.reach_study import ReachSettings, reach_study
from bioplastic.study.record import of_lives
from bioplastic.study.report import rows, said, written
from bioplastic.study.run import Stopped
from bioplastic.study.summary import by_labels
from bioplastic.study.tuning import (
    TUNING,
    best_for_others,
    choose,
    rate_reaching,
    scores,
    sweep,
    tried,
    tuning_conditions,
)
from bioplastic.tasks import random_patterns


@dataclass(frozen=True)
class Settings:
    """Settings of a study that lives nothing."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    factor: float = 2.0
    """What a seed is multiplied with."""


class Empty:
    """A bench with nothing to prepare, which counts what is measured."""

    def __init__(self, settings):
        self.settings, self.measured = settings, []

    def prepare(self, progress):
        progress(1.0)


def plan(bench, settings, runs):
    yield [Condition("first", {"seed": seed}) for seed in settings.seeds]
    best = max(float(run["value"]) for _, run in runs.of("first"))
    yield [Condition("second", {"seed": seed, "best": best}) for seed in settings.seeds]


def measure(bench, condition):
    bench.measured.append(condition)
    value = bench.settings.factor * condition["seed"]
    return xr.Dataset({"value": labelled((), value, "value", "mV"), "row": labelled("hop", [value, 1.0], "a row")})


def summarise(bench, settings, runs):
    spread = by_labels(runs.of("second"), "seed")
    return {"summary": spread[["value", "row"]]}


def a_study(bench=None, **changes):
    parts = {
        "name": "tiny",
        "title": "Nothing happens",
        "settings": {"": Settings(), "quick": Settings(seeds=(0,))},
        "bench": bench or Empty,
        "plan": plan,
        "measure": measure,
        "summarise": summarise,
        "tables": lambda recording: (),
        "figures": lambda recording: {},
    }
    return Study(**(parts | changes))


def run(study, out, settings="", **others):
    return study.run(settings, out, show_progress=False, **others)


def kept(make=Empty):
    """A maker of benches that remembers those it has made."""
    made = []

    def bench(settings):
        made.append(make(settings))
        return made[-1]

    return bench, made


# ------------------------------------------------------------------------------------------ running


def test_a_study_becomes_one_recording_with_its_runs_and_summary(tmp_path):
    done = run(a_study(), tmp_path / "tiny.h5")
    assert done.kinds == ("first", "second")
    np.testing.assert_array_equal(done.summary["value"], [0.0, 2.0, 4.0])
    assert done.summary["value"].attrs["units"] == "mV"
    assert float(done.run("second", seed=2)["value"]) == 4.0
    assert done.run("second", seed=2)["best"] == 4.0  # a later list of conditions reads an earlier one
    assert done.provenance.settings == {"seeds": [0, 1, 2], "factor": 2.0}
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.h5"]


def test_a_complete_recording_is_not_made_again(tmp_path, capsys):
    bench, made = kept()
    for _ in range(2):
        run(a_study(bench), tmp_path / "tiny.h5")
    assert [len(one.measured) for one in made] == [6, 0]
    assert "is complete; delete it" in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_finished_survives_an_interruption_and_gives_the_same(tmp_path, error):
    whole = run(a_study(), tmp_path / "whole.h5", jobs=1)

    def interrupted(bench, condition):
        if condition.kind == "second" and condition["seed"] == 1:
            raise error("stop")
        return measure(bench, condition)

    with pytest.raises(error):
        run(a_study(measure=interrupted), tmp_path / "tiny.h5", jobs=1)
    assert not (tmp_path / "tiny.h5").exists()
    bench, made = kept()
    # The measure is another function now, and so is what it is made of: nothing may be taken over.
    other = run(a_study(bench), tmp_path / "tiny.h5", jobs=1)
    assert len(made[0].measured) == 6
    for name in ("summary", "first", "second"):
        xr.testing.assert_identical(other[name], whole[name])


class Fragile(Empty):
    """A bench that is interrupted once: what is measured is the same code before and after."""

    left = 4

    def prepare(self, progress):
        if Fragile.left is not None:
            self.measured = Countdown()


class Countdown(list):
    """A list that raises KeyboardInterrupt when it has taken as much as it should."""

    def append(self, item):
        if Fragile.left is not None and len(self) >= Fragile.left:
            Fragile.left = None
            raise KeyboardInterrupt
        super().append(item)


def test_it_goes_on_where_it_was_interrupted(tmp_path):
    Fragile.left = 4
    bench, made = kept(Fragile)
    with pytest.raises(KeyboardInterrupt):
        run(a_study(bench), tmp_path / "tiny.h5", jobs=1)
    run(a_study(bench), tmp_path / "tiny.h5", jobs=1)
    first, second = (len(one.measured) for one in made)
    assert first < 6  # another one may end while the pool comes to a halt
    assert first + second == 6  # nothing is lost, and nothing measured twice


def test_more_seeds_take_finished_runs_over_and_another_setting_does_not(tmp_path):
    Fragile.left = 3
    bench, made = kept(Fragile)
    with pytest.raises(KeyboardInterrupt):
        run(a_study(bench), tmp_path / "tiny.h5", jobs=1)
    run(a_study(bench), tmp_path / "tiny.h5", Settings(seeds=(0, 1, 2, 3)), jobs=1)
    assert len(made[1].measured) == 1 + 4  # the fourth of the first kind, and all of the second

    Fragile.left = 3
    with pytest.raises(KeyboardInterrupt):
        run(a_study(bench), tmp_path / "other.h5", jobs=1)
    run(a_study(bench), tmp_path / "other.h5", Settings(factor=3.0), jobs=1)
    assert len(made[3].measured) == 6


def test_a_recording_by_other_settings_is_in_the_way(tmp_path):
    run(a_study(), tmp_path / "tiny.h5")
    with pytest.raises(RecordingError, match=r"belongs to another configuration \(factor: 2.0 -> 3.0\)"):
        run(a_study(), tmp_path / "tiny.h5", Settings(factor=3.0))


def test_a_recording_by_other_code_says_so_and_stays(tmp_path, capsys):
    run(a_study(), tmp_path / "tiny.h5")

    def another(bench, condition):
        return measure(bench, condition) * 2

    run(a_study(measure=another), tmp_path / "tiny.h5")
    said = " ".join(capsys.readouterr().out.split())
    assert "is complete, but the code of its model or its measure has changed" in said
    assert "delete it, or give another --out" in said


def test_figures_and_tables_are_not_what_runs_are_made_of(tmp_path, capsys):
    run(a_study(), tmp_path / "tiny.h5")
    run(a_study(tables=lambda recording: [1], figures=lambda recording: {"": 1}), tmp_path / "tiny.h5")
    assert "has changed" not in capsys.readouterr().out


def test_a_measure_runs_in_a_pool_and_others_stop_when_one_fails(tmp_path):
    begun, gate = [], threading.Event()

    def failing(bench, condition):
        begun.append(condition["seed"])
        if condition["seed"] == 0:
            gate.set()
            raise RuntimeError("the first fails")
        gate.wait(5)
        return measure(bench, condition)

    with pytest.raises(RuntimeError, match="the first fails"):
        run(a_study(measure=failing), tmp_path / "tiny.h5", Settings(seeds=tuple(range(50))), jobs=2)
    assert len(begun) < 50


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("study", "settings", "problem"),
    [
        (a_study(), "huge", "tiny has no size 'huge'; it has '', 'quick'"),
        (a_study(), {"factor": 1}, "give a dataclass, whose fields are the settings"),
        (
            a_study(plan=lambda bench, settings, runs: iter([[Condition("a", {"seed": 0})] * 2])),
            "",
            "two runs of 'a' are labelled {'seed': 0}; give each labels of its own",
        ),
        (a_study(measure=lambda bench, condition: {"value": 1}), "", "measure of tiny returned dict for first"),
    ],
)
def test_studies_that_are_put_wrongly(tmp_path, study, settings, problem):
    with pytest.raises(StudyError, match=re.escape(problem)):
        run(study, tmp_path / "tiny.h5", settings)


def test_other_bad_input(tmp_path):
    with pytest.raises(StudyError, match=r"jobs = 0; give the number of lives to simulate at once, 1 or more"):
        run(a_study(), tmp_path / "tiny.h5", jobs=0)
    with pytest.raises(StudyError, match=r"record = 'voltages'; what can be recorded is weights, spikes"):
        run(a_study(), tmp_path / "tiny.h5", record=("voltages",))


def test_a_measure_without_units_is_refused(tmp_path):
    def bare(bench, condition):
        return xr.Dataset({"value": ((), 1.0)})

    with pytest.raises(RecordingError, match=r"first .*: value has no units; make it with .*labelled"):
        run(a_study(measure=bare), tmp_path / "tiny.h5")


def test_a_dimension_that_a_measure_lacks_is_named(tmp_path):
    def lacking(bench, settings, runs):
        return {"summary": by_labels(runs.of("second"), "seed", "event_fraction")}

    with pytest.raises(StudyError, match=r"second: runs have no label 'event_fraction'; they have seed, best"):
        run(a_study(summarise=lacking), tmp_path / "tiny.h5")


def test_learners_that_cannot_be_told_apart():
    circuit, task = small()
    with pytest.raises(StudyError, match="a study without learners; give at least one"):
        Bench(circuit, task, (0,), [])
    with pytest.raises(StudyError, match="2 learners are called 'backprop'; give each a name of its own"):
        Bench(circuit, task, (0,), [Learner("backprop", Backprop)] * 2)


# ------------------------------------------------------------------------------------------ parts


def test_grid_and_conditions_vary_the_last_axis_fastest():
    assert grid(a=(1, 2), b=("x", "y")) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    one, two = Learner("one", Backprop), Learner("two", Backprop)
    made = conditions("learning", [one, two], seed=(0, 1))
    assert [(c["learner"], c["seed"]) for c in made] == [("one", 0), ("one", 1), ("two", 0), ("two", 1)]
    assert made[0] == Condition("learning", {"learner": "one", "seed": 0}, one)
    assert made[3].rule == Backprop(0.0)
    assert Condition("learning", {"rate": 0.5}, one).rule == Backprop(0.5)
    with pytest.raises(ValueError, match="has no learner; give it one"):
        _ = Condition("learning", {}).who


def test_runs_are_spread_over_their_labels_in_the_order_in_which_they_come():
    def a_run(learner, seed, *row):
        dataset = xr.Dataset({"row": labelled("hop", row, "row"), "n": labelled((), len(row), "length")})
        return Condition("a", {"learner": learner, "seed": seed}), dataset

    runs = [a_run("z", 5, 1.0, 2.0), a_run("z", 3, 3.0, 4.0), a_run("a", 5, 5.0, 6.0)]
    spread = by_labels(runs, "learner", "seed")
    assert spread["row"].dims == ("learner", "seed", "hop")
    assert spread["learner"].values.tolist() == ["z", "a"]
    assert spread["seed"].values.tolist() == [5, 3]
    np.testing.assert_array_equal(spread["row"].sel(learner="z", seed=3), [3.0, 4.0])
    assert np.isnan(spread["row"].sel(learner="a", seed=3)).all()
    assert spread["n"].sel(learner="a", seed=5) == 2


def test_rates_are_chosen_by_the_mean_over_networks_the_smallest_of_equals():
    learners = [Learner("one", Backprop, rates=(0.1, 0.2, 0.4)), Learner("two", Backprop, rates=(1.0, 2.0))]
    score = np.array([[1.0, 3.0, 3.0], [5.0, 4.0, np.nan]])
    assert choose(learners, score) == {"one": 0.2, "two": 1.0}
    swept = sweep(learners, score)
    np.testing.assert_array_equal(swept["rate"], [[0.1, 0.2, 0.4], [1.0, 2.0, np.nan]])
    assert swept["on_edge"].values.tolist() == [False, True]
    planned = tuning_conditions(learners, seeds=(7, 8), event_fraction=0.3)
    assert len(planned) == 2 * 3 + 2 * 2
    assert planned[1].labels == {"learner": "one", "event_fraction": 0.3, "rate": 0.1, "seed": 8}
    assert {c.kind for c in planned} == {TUNING}


def test_a_seed_gets_the_rate_that_is_best_for_all_others():
    """Seed 0 is best at rate 1, and the two others together at rate 2 (1.3 against 1.2), and so on."""
    score = np.array([[0.9, 0.5, 0.5], [0.95, 0.6, 0.6], [0.1, 0.9, 0.4]])
    # Means of the others, by rate: seed 0: 0.5, 0.6, 0.65; seed 1: 0.7, 0.775, 0.25; seed 2: 0.7, 0.775, 0.5.
    np.testing.assert_array_equal(best_for_others(score), [2, 1, 1])
    np.testing.assert_array_equal(best_for_others(score[:, :1]), [1])
    np.testing.assert_array_equal(best_for_others(np.array([[0.2, 0.3], [0.2, 0.3]])), [0, 0])
    np.testing.assert_array_equal(best_for_others(np.vstack([score, np.full(3, np.nan)])), [2, 1, 1])


def test_what_was_tried_stands_by_rate_and_network():
    learners = [Learner("one", Backprop, rates=(0.1, 0.2)), Learner("two", Backprop, rates=(1.0,))]
    planned = tuning_conditions(learners[:1], seeds=(7, 8))
    runs = SimpleNamespace(of=lambda kind: [(c, xr.Dataset({"x": c["rate"] + c["seed"]})) for c in planned])
    found = tried(runs, learners, (7, 8), lambda run: float(run["x"]))
    np.testing.assert_allclose(found, [[[7.1, 8.1], [7.2, 8.2]], np.full((2, 2), np.nan)])
    several = tried(runs, learners, (7, 8), lambda run: [float(run["x"]), 0.0], shape=(2,))
    np.testing.assert_allclose(several[0, 1], [[7.2, 0], [8.2, 0]])


def test_of_one_rate_there_is_nothing_to_choose():
    learners = [Learner("one", Backprop, rates=(0.1, 0.2)), Learner("two", Backprop, rates=(1.0,))]
    runs = MadeUpRuns()
    for condition in tuning_conditions(learners[:1], seeds=(7, 8)):
        runs[condition] = xr.Dataset({"right": condition["rate"] + 0.01 * condition["seed"]})
    score = scores(runs, learners, lambda run: float(run["right"]))
    np.testing.assert_allclose(score, [[0.175, 0.275], [np.nan, np.nan]])
    assert choose(learners, score) == {"one": 0.2, "two": 1.0}
    assert sweep(learners, score)["on_edge"].values.tolist() == [True, False]


@pytest.mark.parametrize(
    ("reached", "rate"),
    [([0.2, 0.8, 0.9], 0.01 * 10**0.5), ([0.1, 0.5, 0.9], 0.1), ([0.6, 0.8, 0.9], 0.01), ([0.1, 0.2, 0.3], 1.0)],
)
def test_rate_that_reaches_something_is_where_it_crosses_or_else_the_edge(reached, rate):
    assert rate_reaching(0.5, (0.01, 0.1, 1.0), reached) == pytest.approx(rate)


def test_a_rate_per_event_means_the_same_change_whatever_the_outcome_lasts():
    # A cell at 100 Hz fires 12 spikes in 120 ms, and 24 in 240 ms.
    for length, eta in ((120 * ms, 0.05), (240 * ms, 0.025)):
        rule = per_event(lambda eta: ErrorRelay(eta=eta), Timing(outcome=length))
        assert rule(0.6).eta == pytest.approx(eta)


def test_networks_may_come_about_in_a_way_of_their_own():
    class Given(Bench):
        def starts(self, progress):
            progress(0.5)
            return [f"weights of {seed}" for seed in self.seeds]

    circuit, task = small()
    bench, seen = Given(circuit, task, (3, 5), [Learner("one", Backprop)]), []
    bench.prepare(seen.append)
    assert bench.start == {3: "weights of 3", 5: "weights of 5"}
    assert seen == [0.5, 1.0]


def test_rows_of_a_table_say_the_first_label_where_it_changes():
    values = xr.DataArray(
        [[[0.1, 0.3], [0.2, 0.2]], [[1.0, np.nan], [np.nan, np.nan]]], dims=("learner", "arm", "seed")
    )
    values = values.assign_coords(learner=["a", "b"], arm=["x", "y"])
    longest = said(lambda row: "a long word" if np.isnan(row).any() else "short", values)
    assert list(rows([written(100 * values, ".0f"), longest], "learner", "arm")) == [
        ["a", "x", "20 [10, 30]", "short"],
        ["", "y", "20 [20, 20]", "short"],
        ["b", "x", "100", "a long word"],
        ["", "y", "–", "a long word"],
    ]


# ------------------------------------------------------------------------------------------ lives


def small():
    circuit = Circuit(
        (Population("x", 6, "input"), Population("h", 5), Population("y", 2, "error source")),
        (Projection("x", "h"), Projection("h", "y")),
    )
    task = random_patterns(8, 6, 2, seed=0)
    return circuit, replace(task, held_out=np.arange(8) > 3, label=np.arange(8) % 4, rare_label=3)


class Asking(Bench):
    """A bench of networks that need no pretraining."""

    def prepare(self, progress):
        rng = np.random.default_rng(0)
        self.start = {
            seed: Weights(
                {p.name: rng.normal(0, 0.5, self.circuit.shape(p)) for p in self.circuit.projections},
                {p.name: np.zeros(p.size) for p in self.circuit.populations if p.role != "input"},
            )
            for seed in self.seeds
        }


def two_lives(bench, condition):
    """A measure that asks twice: the second life begins where the first has ended."""
    life = bench.life(condition, random_life(bench.task, event_fraction=0.5, n_events=4, seed=condition["seed"]))
    (first,) = yield bench.ask(life)
    (second,) = yield bench.ask(replace(life, weights=first.weights))
    moved = second.weights.forward["h_to_y"] - life.weights.forward["h_to_y"]
    return xr.Dataset({"moved": labelled((), np.abs(moved).sum(), "how much the weights moved")})


def living(learners, **changes):
    def bench(settings):
        return Asking(*small(), settings.seeds, learners)

    def planned(bench, settings, runs):
        yield conditions("learning", learners, rate=(0.5,), seed=settings.seeds)

    def summarised(bench, settings, runs):
        return {"summary": by_labels(runs.of("learning"), "learner", "seed")}

    return a_study(bench, plan=planned, measure=two_lives, summarise=summarised, **changes)


def test_models_have_room_for_as_many_looks_as_a_bench_is_told(monkeypatch):
    monkeypatch.setattr("bioplastic.study.bench.model", lambda spec, task: spec)
    relay = Learner("relay", lambda rate: ErrorRelay(eta=rate))
    assert Bench(*small(), (0,), [relay], n_snapshots=20).model(relay.rule(0.0)).n_snapshots == 20


@pytest.mark.usefixtures("frozen_garbage")
def test_a_measure_asks_for_lives_that_depend_on_earlier_ones(tmp_path):
    pytest.importorskip("torch")
    from bioplastic import twin

    learners = [Learner("backprop", Backprop), Learner("half", lambda eta: Backprop(eta / 2))]
    done = run(living(learners), tmp_path / "tiny.h5")
    bench = Asking(*small(), (0, 1, 2), learners)
    bench.prepare(lambda fraction: None)
    # The same by hand, each life alone: what is lived beside it moves it by rounding at most.
    for name, eta in (("backprop", 0.5), ("half", 0.25)):
        life = Life(random_life(bench.task, event_fraction=0.5, n_events=4, seed=1), Backprop(eta), bench.start[1])
        (first,) = twin.live(bench.circuit, bench.task, [life])
        (second,) = twin.live(bench.circuit, bench.task, [replace(life, weights=first.weights)])
        moved = np.abs(second.weights.forward["h_to_y"] - life.weights.forward["h_to_y"]).sum()
        assert float(done.summary["moved"].sel(learner=name, seed=1)) == pytest.approx(moved, rel=1e-12)


@pytest.mark.slow
def test_spikes_and_twin_live_in_one_study_and_weights_and_spikes_are_recorded(tmp_path, cpp_compiler):
    pytest.importorskip("torch")
    brief = Timing(lead=100 * ms, outcome=50 * ms, gap=20 * ms)
    learners = [
        Learner("error relay", lambda rate: ErrorRelay(theta=0.1, eta=rate), brief),
        Learner("backprop", Backprop, brief),
    ]
    done = run(living(learners), tmp_path / "tiny.h5", Settings(seeds=(0,)), record=("weights", "spikes"))
    relay, backprop = (done.run("learning", learner=name) for name in ("error relay", "backprop"))
    assert relay["weights_h_to_y"].dims == ("life", "look", "h_to_y_post", "h_to_y_pre")
    assert relay["weights_h_to_y"].sizes["life"] == 2
    np.testing.assert_array_equal(relay["weights_h_to_y"][0, -1], relay["weights_h_to_y"][1, 0])
    assert relay["spike_time"].sizes["spike"] > 10
    assert relay["error_spike_time"].attrs["units"] == "s"
    first = int(relay["length_spike"][0])
    assert np.isfinite(relay["spike_time"][0]).sum() == first > 0
    assert "spike_time" not in backprop or not np.isfinite(backprop["spike_time"]).any()


def test_nothing_is_recorded_of_nothing():
    assert not of_lives([], ("weights",))


def test_a_stopped_study_is_no_failure_of_its_own():
    assert issubclass(Stopped, RuntimeError)


# ------------------------------------------------------------------------------------------ a study of one's own


@pytest.mark.slow
def test_a_study_of_ones_own_in_thirty_lines(tmp_path, cpp_compiler):
    pytest.importorskip("torch")
    circuit, task = small()
    brief = Timing(lead=100 * ms, outcome=50 * ms, gap=20 * ms)
    study = reach_study(
        "mine",
        "How far does it reach in my circuit?",
        ReachSettings(
            event_fractions=(0.25, 0.5), seeds=(0, 1), n_events=8, n_occurrences_frozen=2, n_events_frozen=4, n_probes=2
        ),
        circuit=circuit,
        task=task,
        learners=[
            Learner("error relay", lambda rate: ErrorRelay(theta=0.1, eta=rate), brief, (0.01, 0.1)),
            Learner("backprop", Backprop, brief, (0.1, 0.3)),
        ],
    )
    done = run(study, tmp_path / "mine.h5")
    assert dict(done.summary["reach"].sizes) == {"learner": 2, "event_fraction": 2, "seed": 2}
    assert (done.summary["reach"].sel(learner="backprop") == 1).all()
    assert read(tmp_path / "mine.h5").provenance.circuit == circuit.to_json()
    assert study.table(done).row_count == 6
    assert len(study.figure(done).axes) >= 2
    assert len(list(study.statements(done))) >= 2


def test_paths_may_be_strings(tmp_path):
    assert run(a_study(), str(tmp_path / "deep" / "tiny.h5")).path == Path(tmp_path, "deep", "tiny.h5")


def test_where_a_recording_goes_and_comes_from_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = a_study(tables=lambda recording: [Table(recording.provenance.title)])
    study.run(show_progress=False)
    assert study.path().exists() and study.path() == Path("data/runs/tiny.h5")
    assert study.path("quick") == Path("data/runs/tiny-quick.h5")
    assert study.table().columns[0].header == "Nothing happens"
    with pytest.raises(StudyError, match="tiny has no figures: give its study"):
        study.figure()
