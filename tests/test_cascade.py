"""The cascade: who takes part, what is lived, and what its summary says of runs with known numbers."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from bioplastic.circuit import Weights
from bioplastic.recording import Recording, labelled
from bioplastic.study import Condition

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "cascade.py")))


@pytest.fixture(scope="module")
def settings(script):
    return replace(
        script.SETTINGS["quick"], n_hops=3, event_fractions=(0.3, 0.1), eta_factors=(3.0,), apical_factors=(10.0,)
    )


def test_learners_say_what_they_change_of_which_rule(script, settings):
    everyone = script.learners(settings)
    about = script.belonging(everyone)
    found = {
        one.name: (rule, setting, restoring)
        for one, rule, setting, restoring in zip(everyone, *(about[k].values for k in about), strict=True)
    }
    assert list(about) == ["rule", "setting", "restoring"]
    assert found["error relay"] == ("error relay", "", False)
    assert found["error relay, rate x 3"] == ("error relay", "rate x 3", False)
    assert found["error relay, decay"] == ("error relay", "decay", True)
    assert found["error relay, unscreened"] == ("error relay, unscreened", "", False)
    assert found["error relay, unscreened, fine"] == ("error relay, unscreened, fine", "", False)
    assert found["equilibrium relay, apical x 10"] == ("equilibrium relay", "apical x 10", True)
    assert found["predictive coding, 3 steps"] == ("predictive coding, 3 steps", "", False)
    changed = [name for name, (_, setting, _) in found.items() if setting]
    assert len(changed) == 5
    assert all(name == f"{found[name][0]}, {found[name][1]}" for name in changed)


def test_what_is_changed_is_changed(script, settings):
    made = {one.name: one for one in script.learners(settings)}
    eta = settings.eta
    rules = {name: one.rule(one.rates[0]) for name, one in made.items()}
    assert rules["error relay, rate x 3"] == replace(rules["error relay"], eta=3 * eta)
    assert rules["equilibrium relay, rate x 3"] == replace(rules["equilibrium relay"], eta=3 * eta, eta_apical=3 * eta)
    assert rules["equilibrium relay, apical x 10"] == replace(rules["equilibrium relay"], eta_apical=10 * eta)
    assert rules["error relay, decay"] == rules["error relay"]
    assert made["error relay, decay"].tau_w == 30 * made["error relay"].timing.event
    assert np.isinf(made["error relay"].tau_w)
    assert rules["backprop"].eta == pytest.approx(12 * eta)  # 12 spikes in 120 ms at 100 Hz


@pytest.fixture(scope="module")
def bench(script, settings):
    made = script.Cascade(settings)
    rng = np.random.default_rng(0)
    weights = {p.name: rng.normal(0, 0.1, made.circuit.shape(p)) for p in made.circuit.projections}
    bias = {p.name: np.zeros(p.size) for p in made.circuit.populations if p.role != "input"}
    made.start = {0: Weights(weights, bias)}
    return made


def test_lives_have_background_around_them(bench):
    life = bench.schedule(0.3, seed=0)
    assert life.n_occurrences == 4  # the last one that is looked at
    assert len(life) == 13 + 2 * 2
    assert not life.rare[:2].any() and not life.rare[-2:].any()
    (single,) = bench.single(seed=0)
    assert single.rare.tolist() == [False, True]


def test_an_update_hears_from_its_neighbours_and_under_broadcast_from_the_error_source(script, bench):
    def hops(name):
        learner = next(one for one in bench.learners if one.name == name)
        condition = Condition(script.AUDIT, {"seed": 0, "rate": learner.rates[0]}, learner)
        return script.measured(bench, condition)["audit_hops"].item()

    assert hops("error relay") == 1
    assert hops("broadcast") == 2  # the farthest of three hops from the error source


# ------------------------------------------------------------------------------------------ summary


def runs(script, settings):
    """Made-up runs: after occurrences 1, 2, 4 the error relay is at hops 0, 1, 1 of seed 0 and 0, 0, 2 of seed 1."""
    front = {0: ([9, 1, 0], [9, 9, 1], [9, 8, 1]), 1: ([9, 1, 0], [9, 1, 1], [9, 9, 9])}
    found = {script.LEARNING: [], script.AUDIT: []}
    for planned in script.plan(SimpleNamespace(learners=script.learners(settings)), settings, None):
        for c in planned:
            if c.kind == script.AUDIT:
                measured = {"audit_hops": labelled((), 1.0 + c["seed"], "hops")}
            else:
                quiet = c["learner"] != "error relay" or c["event_fraction"] != 0.3
                change = np.zeros((3, 3)) if quiet else np.array(front[c["seed"]], float)
                floor = np.full((3, 3), (1.0, -7.0)[c["seed"]])  # root of (1 + 49)/2 is 5
                measured = {
                    "change": labelled(("snapshot", "hop"), change, "change"),
                    "change_floor": labelled(("snapshot", "hop"), floor, "floor"),
                    "snapshot_occurrence": labelled("snapshot", settings.occurrences, "occurrence"),
                }
                if c.who.spikes:
                    spiking = {"latency": [5.0, 19.0, 33.0], "mismatch_before": [1.0, 2.0, 3.0]}
                    spiking |= {"mismatch_during": [4.0, 4.0, 4.0], "mismatch_after": [0.5, 0.0, 0.0]}
                    measured |= {name: labelled("hop", values, name) for name, values in spiking.items()}
            found[c.kind].append((c, xr.Dataset(measured, {"hop": np.arange(3)})))
    return SimpleNamespace(of=found.get)


@pytest.fixture(scope="module")
def summary(script, settings):
    bench = SimpleNamespace(learners=script.learners(settings))
    return script.summarise(bench, settings, runs(script, settings))["summary"]


def test_summary_of_known_runs(summary):
    assert summary["event_fraction"].values.tolist() == [0.3, 0.1]  # as in the settings, not as they were lived
    one = summary.sel(learner="error relay", event_fraction=0.3)
    assert one["change"].values.tolist() == [[9, 8, 1], [9, 9, 9]]
    assert one["change_floor"].values.tolist() == [[5, 5, 5], [5, 5, 5]]
    assert one["reach"].values.tolist() == [1, 2]
    np.testing.assert_array_equal(one["arrival"], [[1, 2, np.nan], [1, 4, 4]])
    np.testing.assert_array_equal(one["arrival_exact"], [[1, 1, 2], [1, 1, 2]])
    assert one["front_speed"].values.tolist() == [2 / 2, 3 / 4]
    assert np.isnan(one["screening_length"][0]) and np.isinf(one["screening_length"][1])
    assert one["time_per_hop"].values == pytest.approx([14, 14])
    assert one["time_per_hop"].attrs["units"] == "ms"
    assert one["mismatch_after"].values.tolist() == [[0.5, 0, 0], [0.5, 0, 0]]
    assert one["learning_rate"].values.tolist() == [0.001, 0.001]
    assert one["audit_hops"].values.tolist() == [1, 2]
    nothing = summary.sel(learner="error relay", event_fraction=0.1)
    assert nothing["reach"].values.tolist() == [-1, -1]
    assert np.isnan(nothing["arrival_exact"]).all()
    in_twin = summary.sel(learner="backprop", event_fraction=0.3)
    assert all(np.isnan(in_twin[name]).all() for name in ("audit_hops", "latency", "time_per_hop", "mismatch_before"))
    assert summary["setting"].sel(learner="error relay, decay").item() == "decay"


def test_tables(script, settings, summary):
    lived = xr.Dataset({"snapshot_occurrence": (("run", "snapshot"), [[1, 2, 4]])})
    shown = list(script.tables(Recording(Path("made_up.h5"), None, {"summary": summary, "learning": lived})))
    assert [table.title.partition(";")[0] for table in shown[:2]] == [
        "Event fraction 0.3, 4 occurrences",
        "Event fraction 0.1, 4 occurrences",
    ]
    assert [next(iter(column.cells)) for column in shown[0].columns] == [
        "error relay",
        "1.5 [1, 2]",
        "2 [2, 2]",  # hops that change at all at the first occurrence
        "1.5 [1, 2]",
        "0.88 [0.75, 1]",
        "14 [14, 14]",
    ]
    assert "–" in list(shown[0].columns[1].cells)  # nothing to audit in the twin
    assert [list(column.cells) for column in shown[2].columns][:2] == [["before", "during", "after"], ["1", "4", "0.5"]]
