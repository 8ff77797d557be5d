"""The ledger: how a verdict follows from numbers, what is read of each recording, and that reversed data reverse it."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from bioplastic import cli
from bioplastic.claims import evidence, ledger, render
from bioplastic.claims.criterion import CLAIMS, Condition, Row, overall, side
from bioplastic.claims.evidence import EVIDENCE, Measures
from bioplastic.recording import Provenance, Recording, RecordingError, labelled, open_recorder

DOCS = Path(__file__).resolve().parents[1] / "docs"
SEEDS = np.arange(5)
NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])


def condition(values: Any, side: Any = ">", bound: float = 0.0) -> Condition:
    return Condition("x", np.asarray(values, float), side, bound)


def row(values: Any, *, own: bool = False, **others: Any) -> Row:
    return Row(1, "someone", (condition(values),), own=own, **others)


# ------------------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("values", "side", "bound", "holds", "fails"),
    [
        ([1, 2, 3, 4, 5], ">", 0, True, False),
        ([1, 2, 3, 4, 5], "<", 0, False, True),
        ([-1, -1, 0, 1, 1], ">", 0, False, False),
        ([11] * 5, ">=", 11, True, False),
        ([11] * 5, ">", 11, False, True),
        ([3] * 5, "<=", 3, True, False),
        ([3] * 5, "<", 3, False, True),
        ([np.nan] * 5, ">", 0, False, False),
    ],
)
def test_a_condition_holds_or_fails_with_its_whole_interval(values, side, bound, holds, fails):
    one = condition(values, side, bound)
    assert (one.holds(), one.fails()) == (holds, fails)


def test_intervals_by_t_are_wider_and_may_give_another_verdict():
    # Mean 1, standard error sqrt(2.5/5) = 0.7071; t with 4 degrees of freedom at 0.975: 2.7764.
    one = condition([-1, 0, 1, 2, 3])
    assert (one.by_t.low, one.by_t.high) == (pytest.approx(1 - 1.9632, abs=1e-4), pytest.approx(1 + 1.9632, abs=1e-4))
    assert (condition([2] * 5).by_t.low, condition([np.nan] * 5).by_t.n) == (2, 0)
    near = row([0.1, -0.05, 0.3, 0.9, 0.2])  # mean 0.29, standard error 0.1627
    assert (near.verdict, near.verdict_by_t) == ("supported", "not decided")
    entry = ledger.Entry(CLAIMS[0], near, Path("x.h5"), "")
    assert entry.note == "not decided by intervals of Student's t"


def test_seeds_count_in_which_everything_was_measured():
    some, others = np.ones(8), np.ones(8)
    some[:2], others[2:4] = np.nan, np.nan
    both = Row(1, "someone", (condition(some),), controls=(condition(others),))
    assert (both.n_seeds, both.verdict) == (4, "not decided")


def test_a_side_needs_the_whole_interval_and_five_seeds():
    words = {"above": "yes", "below": "no"}
    assert side(np.full(5, 0.2), 0.1, **words) == "yes"
    assert side(np.full(5, 0.05), 0.1, **words) == "no"
    assert side(np.array([0.0, 0.0, 0.1, 0.2, 0.3]), 0.1, **words) == "not decided"
    assert side(np.full(4, 0.2), 0.1, **words) == "not decided (4 seeds)"
    assert side(np.full(1, 0.2), 0.1, **words) == "not decided (1 seed)"


def test_verdict_of_a_row():
    up, down, unclear = np.ones(5) + NOISE, -np.ones(5) + NOISE, 50 * NOISE
    assert row(up).verdict == "supported"
    assert row(up).note == ""
    assert row(down).verdict == "refuted"
    assert row(down).note == "against it: x: -1 [-1.01, -0.988] (asked: > 0)"
    assert row(unclear).verdict == "not decided"
    assert row(unclear).note.startswith("undecided: x: 0 [")
    assert row(up[:4]).verdict == "not decided"
    assert row(up[:4]).note == "4 seeds, 5 are needed"
    assert row(up, refutes=(condition(up, ">", 0.5),)).verdict == "refuted"
    assert row(up, refutes=(condition(up, ">", 2),)).verdict == "supported"
    assert row(up, controls=(condition(down),)).verdict == "not decided"
    assert row(up, controls=(condition(down),)).note.startswith("a control does not hold: x: -1")
    assert row(up, controls=(condition(up),)).verdict == "supported"
    both = Row(1, "someone", (condition(up), condition(down)))
    assert both.verdict == "refuted"
    assert both.effect.mean == pytest.approx(1)


def test_verdict_on_a_claim():
    yes, no, unclear = row(np.ones(5)), row(-np.ones(5)), row(50 * NOISE)
    assert overall([]) == "not recorded"
    assert overall([yes, yes]) == "supported"
    assert overall([no]) == "refuted"
    assert overall([yes, no]) == overall([yes, no, unclear]) == "mixed"
    assert overall([yes, unclear]) == "not decided"
    assert overall([yes, row(-np.ones(5), own=True)]) == "supported"
    assert overall([None]) == "not recorded"
    assert overall([yes, None]) == "not decided"
    assert overall([yes, no, None]) == "mixed"


def test_claims_are_those_of_the_page():
    table = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|", (DOCS / "claims.md").read_text(), flags=re.M)
    assert [(int(number), text, who) for number, text, who in table] == [(c.number, c.text, c.shown_by) for c in CLAIMS]


def test_every_claim_has_a_recording_and_every_recording_a_script():
    assert {number for item in EVIDENCE.values() for number in item.claims} == {c.number for c in CLAIMS}
    scripts = Path(__file__).resolve().parents[1] / "scripts"
    for name, item in EVIDENCE.items():
        assert (scripts / f"{name}.py").exists()
        assert item.command().split()[:2] == ["python", f"scripts/{name}.py"]
        assert item.command(Path("there")).endswith(f" --out there/{name}.h5")


# ------------------------------------------------------------------------------------------ recordings

Arrays = dict[str, tuple[tuple[str, ...], Any]]


def a_recording(path: Path, groups: dict[str, Arrays]) -> Recording:
    """A recording whose summary, or its parts, hold these arrays by name; one named like its axis labels it."""
    datasets = {}
    for name, arrays in groups.items():
        variables = {key: labelled(dims, np.asarray(value), key) for key, (dims, value) in arrays.items()}
        labels = {key: variable for key, variable in variables.items() if variable.dims == (key,)}
        values = {key: variable for key, variable in variables.items() if key not in labels}
        datasets[f"summary_{name}" if name else "summary"] = xr.Dataset(values, labels)
    made = Provenance.here(title=path.stem, settings={}, circuit="", code="", script=f"{path.stem}.py", source="")
    return Recording(path, made, datasets)


def write(path: Path, groups: dict[str, Arrays]) -> Path:
    """The same as a file."""
    recording = a_recording(path, groups)
    open_recorder(path, recording.provenance).finish([], recording.groups)
    return path


def axes(**labels: Any) -> Arrays:
    return {name: ((name,), values) for name, values in labels.items()} | {"seed": (("seed",), SEEDS)}


def by_seed(*shape: int) -> np.ndarray:
    return np.broadcast_to(NOISE, (*shape, 5)).copy()


def main_recording(reversed_: bool) -> dict[str, Arrays]:
    learners = ["error relay", "backprop", "backprop, truncated", evidence.TRUNCATED_INFERENCE]
    reach = np.zeros((4, 2, 1, 5))
    reach[[0, 3], :, 0] = np.array([[1.0], [3.0]] if not reversed_ else [[3.0], [1.0]]) + NOISE
    reach[1] = 3
    arrival = np.ones((4, 2, 1, 5, 6))
    arrival[2, ..., 4:] = np.nan
    if reversed_:
        arrival[1, ..., 2:] = 7
    dims = ("learner", "event_fraction", "replay", "seed")
    return {
        "": axes(learner=learners, event_fraction=[0.1, 1.0], replay=["off"], hop=np.arange(6))
        | {"reach": (dims, reach), "error_signal_reach": (dims, reach)}
        | {name: ((*dims, "hop"), arrival) for name in ("arrival", "arrival_exact")}
    }


def cascade_recording(reversed_: bool) -> dict[str, Arrays]:
    screened = [*evidence.SPIKING_RULES, evidence.TRUNCATED_INFERENCE]
    others = ["error relay, unscreened", "error relay, unscreened, fine", "broadcast", "backprop"]
    arrival = np.ones((len(screened) + len(others), 2, 1, 5, 6))
    if not reversed_:
        arrival[: len(screened), ..., :] = [1, 3, 5, 7, np.nan, np.nan]
    mismatch = np.full(arrival.shape, 0.9 if reversed_ else 0.01)
    dims = ("learner", "event_fraction", "replay", "seed", "hop")
    hops = np.ones((len(arrival), 5))
    hops[len(screened) + others.index("broadcast")] = 11
    hops[[len(screened) - 1, -1]] = np.nan  # learners in rates
    return {
        "": axes(learner=[*screened, *others], event_fraction=[0.1, 1.0], replay=["off"], hop=np.arange(6))
        | {"arrival": (dims, arrival), "arrival_exact": (dims, arrival), "mismatch_before": (dims, mismatch)}
        | {"audit_hops": (("learner", "seed"), hops)}
    }


def event_recording(reversed_: bool) -> dict[str, Arrays]:
    arms = ["no replay", "replay", "shuffled outcomes", "stimulus alone", "memory deleted", "real, after the same day"]
    reach, along = by_seed(6), by_seed(6) - 1
    reach[1] += -2 if reversed_ else 2
    along[[1, 5]] += 2
    day = by_seed(2)
    day[0 if reversed_ else 1] += 3
    return {
        "": axes(arm=arms, salience=[0.1, 4.0])
        | {
            "reach": (("arm", "seed"), reach),
            "reach_along": (("arm", "seed"), along),
            "reach_day": (("salience", "seed"), day),
        }
    }


def efficiency_recording(reversed_: bool) -> dict[str, Arrays]:
    groups = {}
    for name, kind in (
        ("all_digits", "uniform, 1"),
        ("the_9", "prioritised, 1"),
        ("the_9_far_hops_only", "prioritised, 1"),
    ):
        score = np.moveaxis(by_seed(2, 2, 3), -1, 2)  # learner, replay, seed, event
        score[1 if reversed_ else 0, :, :, 1:] += 0.3
        groups[name] = axes(learner=["error relay", "backprop"], replay=["off", kind], event=[0, 10, 20]) | {
            "score": (("learner", "replay", "seed", "event"), score)
        }
    return groups


def map_recording(reversed_: bool) -> dict[str, Arrays]:
    groups = {}
    for name, rules in (("frozen", evidence.SPIKING_RULES[:1]), ("learning", evidence.SPIKING_RULES)):
        n = len(rules)
        reach = by_seed(n, 2, 3) + np.array([0.0, 1.0])[:, None, None] + np.array([0.0, 1.0, 2.0])[:, None]
        groups[name] = axes(
            learner=list(rules),
            event_fraction=[0.1, 0.2],
            salience=[1.0, 2.0, 4.0],
            predictor=["frequency", "salience", "theory"],
        ) | {
            "reach": (("learner", "event_fraction", "salience", "seed"), -reach if reversed_ else reach),
            "explained": (("learner", "seed", "predictor"), np.tile([0.2, 0.7, 0.9], (n, 5, 1))),
        }
    return groups


def cue_recording(reversed_: bool) -> dict[str, Arrays]:
    learners = ["error relay", "equilibrium relay", "error relay, unscreened", "backprop"]
    told = by_seed(4, 2, 2, 2)
    told[3] += 0.8  # backprop
    if reversed_:
        told[:3] += 0.9
    norm = by_seed(4, 2, 2, 2) + 1
    norm[..., 1 if reversed_ else 0, :] += 1
    dims = ("learner", "replay", "entry", "event_fraction", "seed")
    labels = axes(learner=learners, replay=["off", "replay"], entry=[1, 7], event_fraction=[0.01, 0.3])
    return {
        "": labels | {"hop": (("hop",), np.arange(8)), "discrimination": (dims, told), "cue_norm_fixed": (dims, norm)}
    }


def continual_recording(reversed_: bool) -> dict[str, Arrays]:
    forgetting = by_seed(2, 2) + np.array([0.2, 0.4 if reversed_ else 0.02])[:, None, None]
    forgetting[:, 1] -= 0.1
    learned = by_seed(2, 2) / 10 + 0.9
    labels = axes(learner=["backprop", "error relay"], order=["blocks", "interleaved"])
    dims = ("learner", "order", "seed")
    return {
        "": labels
        | {
            "forgetting": (dims, forgetting),
            "learned": (dims, learned),
            "kept": (dims, learned),
            "kept_of_dense": (("learner", "seed"), learned[:, 0] - 0.2),
        }
    }


def blame_recording(reversed_: bool) -> dict[str, Arrays]:
    learners, blamed, exposures = ["backprop", "error relay"], ["choice", "execution"], ["once", "often"]
    share, value = by_seed(2, 2, 2) + 0.1, by_seed(2, 2, 2) + 0.1
    share[1 if reversed_ else 0] += 0.5
    value[:, 1 if reversed_ else 0] += 0.5
    behaviour = np.repeat(share[..., None], 2, axis=-1)
    dims = ("learner", "blamed", "exposure", "seed")
    labels = axes(
        learner=learners,
        blamed=blamed,
        exposure=exposures,
        situation=["same belief", "same desire"],
        group=["action", "intention"],
    )
    noise = np.stack([value, 0 * value], axis=-1)  # as much as the effect, but nearer to the action than values are
    return {
        "": labels
        | {
            "upstream_share": (dims, share),
            "value_change": (dims, value),
            "behaviour_square": ((*dims, "situation"), behaviour),
            "change_floor": ((*dims, "group"), noise),
        }
    }


def coherence_recording(reversed_: bool) -> dict[str, Arrays]:
    arms = ["loop", "loop, weights frozen", "loop off", "loop, shuffled"]
    agreement = by_seed(2, 4, 1, 2)
    agreement[:, 0, :, 1] += -0.8 if reversed_ else 0.8
    dims = ("learner", "arm", "group", "round", "seed")
    labels = axes(learner=["error relay", "backprop"], arm=arms, group=["not rehearsed"], round=[0, 1])
    return {"": labels | {"agreement": (dims, agreement), "agreement_plain": (dims, agreement)}}


def report_recording(reversed_: bool) -> dict[str, Arrays]:
    information = by_seed(1, 1, 1) + 1
    labels = axes(
        learner=["backprop"],
        chance=[0.25],
        mixture=[0.0],
        population=["s1"],
        outcome=["what was reported"],
        feedback=["own report", "report of another trial"],
        told=["state"],
    )
    more, less = (0.0, 0.9) if reversed_ else (0.9, 0.0)
    agree = by_seed(1, 1, 2)
    agree[:, :, 0] += more
    trained = ("learner", "chance", "mixture", "seed")
    return {
        "": labels
        | {
            "information_asker": (trained, information + more),
            "information_state": (trained, information + less),
            "decoded_before": (("learner", "population", "seed"), by_seed(1, 1) + 0.95),
            "came_to_agree": (("learner", "outcome", "feedback", "seed"), agree),
            "told_right": (("learner", "told", "seed"), by_seed(1, 1) + more),
            "told_without_slack": (("learner", "told", "seed"), by_seed(1, 1)),
        }
    }


FAKES: dict[str, Callable[[bool], dict[str, Arrays]]] = {
    "reach_vs_frequency": main_recording,
    "cascade": cascade_recording,
    "one_time_event": event_recording,
    "data_efficiency": efficiency_recording,
    "neglected_cue": cue_recording,
    "continual_learning": continual_recording,
    "belief_desire": blame_recording,
    "coherence": coherence_recording,
    "self_report": report_recording,
    "frequency_and_salience": map_recording,
}


def test_every_experiment_is_tested_here():
    assert set(FAKES) == set(EVIDENCE)


@pytest.mark.parametrize("name", FAKES)
def test_reversed_data_reverse_every_verdict(name, tmp_path):
    verdicts = {}
    for reversed_ in (False, True):
        folder = tmp_path / str(reversed_)
        folder.mkdir()
        write(folder / f"{name}.h5", FAKES[name](reversed_))
        entries = [e for e in ledger.read(folder, {name: EVIDENCE[name]}).entries if e.row is not None]
        assert sorted({e.claim.number for e in entries}) == sorted(EVIDENCE[name].claims)
        verdicts[reversed_] = [e.verdict for e in entries]
    assert set(verdicts[False]) == {"supported"}
    assert set(verdicts[True]) == {"refuted"}


def test_blame_that_noise_can_account_for_decides_nothing(tmp_path):
    groups = blame_recording(False)
    dims, noise = groups[""]["change_floor"]
    groups[""] |= {"change_floor": (dims, np.ones_like(noise))}
    write(tmp_path / "belief_desire.h5", groups)
    entries = ledger.read(tmp_path, {"b": EVIDENCE["belief_desire"]}).entries
    of_values = [e for e in entries if "change of values" in render.cells(e)[1]]
    assert {e.verdict for e in of_values} == {"not decided"}
    assert all("between two sham runs" in e.note for e in of_values)


def test_a_rule_under_which_nothing_ever_changed_is_no_evidence_of_screening(tmp_path):
    groups = cascade_recording(False)
    dims, arrival = groups[""]["arrival_exact"]
    groups[""] |= {"arrival_exact": (dims, np.where(np.arange(5)[:, None] < 2, np.nan, arrival))}
    write(tmp_path / "cascade.h5", groups)
    rows = [e for e in ledger.read(tmp_path, {"c": EVIDENCE["cascade"]}).entries if e.claim.number == 2]
    assert {e.verdict for e in rows} == {"not decided"}
    assert all("3 seeds, 5 are needed" in e.note for e in rows)


@pytest.mark.parametrize(
    ("learner", "hops", "verdict"), [("error relay", 3, "refuted"), ("broadcast", 1, "not decided")]
)
def test_screening_needs_the_audit_and_the_audit_its_control(learner, hops, verdict, tmp_path):
    groups = cascade_recording(False)
    _, audited = groups[""]["audit_hops"]
    audited[groups[""]["learner"][1].index(learner)] = hops
    write(tmp_path / "cascade.h5", groups)
    entries = ledger.read(tmp_path, {"c": EVIDENCE["cascade"]}).entries
    assert next(e for e in entries if e.claim.number == 2 and e.row.learner == "error relay").verdict == verdict


@pytest.mark.parametrize(("name", "measure"), [("learning", "explained"), ("frozen", "explained")])
def test_the_map_needs_what_the_theory_explains(name, measure, tmp_path):
    groups = map_recording(False)
    dims, explained = groups[name][measure]
    groups[name] |= {measure: (dims, explained[..., ::-1])}
    write(tmp_path / "frequency_and_salience.h5", groups)
    entries = ledger.read(tmp_path, {"f": EVIDENCE["frequency_and_salience"]}).entries
    assert {e.verdict for e in entries if f"weights {name}" in e.row.learner} == {"refuted"}
    assert {e.verdict for e in entries if f"weights {name}" not in e.row.learner} == {"supported"}


def test_a_map_on_which_nothing_varies_refutes(tmp_path):
    groups = map_recording(False)
    for arrays in groups.values():
        arrays["reach"] = (arrays["reach"][0], np.full_like(arrays["reach"][1], 3.0))
        arrays["explained"] = (arrays["explained"][0], np.full_like(arrays["explained"][1], np.nan))
    write(tmp_path / "frequency_and_salience.h5", groups)
    entries = ledger.read(tmp_path, {"f": EVIDENCE["frequency_and_salience"]}).entries
    assert {(e.verdict, e.row.own) for e in entries} == {("refuted", False)}


@pytest.mark.parametrize(("measure", "by"), [("learned", -0.3), ("kept_of_dense", 0.3)])
def test_protection_that_costs_learning_is_none(measure, by, tmp_path):
    groups = continual_recording(False)
    dims, values = groups[""][measure]
    values = values.copy()
    values[1] += by  # of the error relay
    groups[""] |= {measure: (dims, values)}
    write(tmp_path / "continual_learning.h5", groups)
    [entry] = ledger.read(tmp_path, {"c": EVIDENCE["continual_learning"]}).entries
    assert entry.verdict == "refuted"


def test_what_a_verdict_rests_on_beside_the_effect_is_shown(tmp_path):
    write(tmp_path / "frequency_and_salience.h5", map_recording(False))
    entry = ledger.read(tmp_path, {"f": EVIDENCE["frequency_and_salience"]}).entries[0]
    shown = dict(zip(render.HEADINGS, render.cells(entry), strict=True))
    assert shown["measure"].startswith("hops per doubling of frequency")
    assert "hops per doubling of salience, frequency fixed: 1 [1, 1]" in shown["also asked"]
    assert "variance of reach explained" in shown["also asked"]


def test_numbers_are_those_of_the_recording(tmp_path):
    write(tmp_path / "reach_vs_frequency.h5", main_recording(False))
    found = ledger.read(tmp_path, {"m": EVIDENCE["reach_vs_frequency"]}).entries
    assert [str(e.row.effect) for e in found if e.row] == ["5 [5, 5]", *["2 [2, 2]"] * 4]  # hops; hops per decade
    write(tmp_path / "one_time_event.h5", event_recording(False))
    first, second = (e.row for e in ledger.read(tmp_path, {"o": EVIDENCE["one_time_event"]}).entries)
    assert first is not None and second is not None
    assert (first.effect.mean, second.effect.mean) == (pytest.approx(2), pytest.approx(3))
    assert [c.estimate.mean for c in first.controls] == pytest.approx([-2, -2, -2, 0])


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        ([1, 2, 3, np.nan], 1.0),
        ([3, 2, 1], -1.0),
        ([1, 1, 1], 0.0),
        ([1, 3, 2], 0.5),  # 1 - 6 (0 + 1 + 1)/(3 (9 - 1))
        ([1, np.nan], np.nan),
    ],
)
def test_order_of_arrival(arrival, expected):
    assert evidence.order_of(np.array(arrival, float)) == pytest.approx(expected, nan_ok=True)


def test_measures_are_picked_by_label():
    values = np.arange(20.0).reshape(2, 5, 2)
    arrays = axes(learner=["a", "b"], x=[0.1, 0.3]) | {"y": (("learner", "seed", "x"), values)}
    found = Measures(a_recording(Path("f.h5"), {"": arrays}).summary)
    assert found.labels("learner") == ["a", "b"]
    np.testing.assert_array_equal(found.of("y", learner="b"), values[1])
    np.testing.assert_array_equal(found.of("y", x=0.1 + 0.2), values[:, :, 1].T)
    for name, where, message in (
        ("y", {"learner": "c"}, "y: learner has no 'c'; it has a, b"),
        ("y", {"z": 1}, "y has no axis z; it has learner, seed, x"),
        ("z", {}, "there is no z"),
    ):
        with pytest.raises(KeyError, match=re.escape(message)):
            found.of(name, **where)


def said(rows: list[Row]) -> list[str]:
    return [f"{row.claim} {row.learner} {row.own}: {'; '.join(map(str, row.conditions))}" for row in rows]


@pytest.mark.parametrize("name", ["reach_vs_frequency", "cascade"])
def test_recordings_of_schema_1_had_an_axis_for_replay(name):
    with_axis = a_recording(Path(f"{name}.h5"), FAKES[name](False))
    without = Recording(
        with_axis.path, with_axis.provenance, {"summary": with_axis.summary.sel(replay="off", drop=True)}
    )
    assert said(EVIDENCE[name].rows(without)) == said(EVIDENCE[name].rows(with_axis))


@pytest.mark.parametrize("name", ["frequency_and_salience", "data_efficiency"])
def test_recordings_of_schema_1_had_the_parts_of_a_summary_in_one_group(name):
    parts = a_recording(Path(f"{name}.h5"), FAKES[name](False))
    flat = [
        dataset.rename({n: f"{group.removeprefix('summary_')}_{n}" for n in dataset.variables if n != "seed"})
        for group, dataset in parts.groups.items()
    ]
    together = Recording(parts.path, parts.provenance, {"summary": xr.merge(flat)})
    assert said(EVIDENCE[name].rows(together)) == said(EVIDENCE[name].rows(parts))


# ------------------------------------------------------------------------------------------ the ledger


def test_missing_recordings_are_rows_that_say_how_to_make_them(tmp_path):
    found = ledger.read(tmp_path)
    assert {e.verdict for e in found.entries} == {"not recorded"}
    assert [e.claim.number for e in found.entries] == sorted(e.claim.number for e in found.entries)
    assert f"run: python scripts/cascade.py --seeds 5 --out {tmp_path}/cascade.h5" in {e.note for e in found.entries}
    assert [claim for claim, entries in found.by_claim() if not entries] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.write_bytes(b"nothing"),
            "cascade.h5 is not an HDF5 file: give the file that a script of bioplastic wrote. What makes it: "
            "python scripts/cascade.py --seeds 5",
        ),
        (
            lambda path: write(path, main_recording(False)),
            "cascade.h5 is not what scripts/cascade.py records now (there is no audit_hops); remove it and run: "
            "python scripts/cascade.py --seeds 5",
        ),
        (
            lambda path: write(path, map_recording(False)),
            "cascade.h5 is not what scripts/cascade.py records now",
        ),
    ],
)
def test_bad_recordings_are_refused(make, message, tmp_path):
    make(tmp_path / "cascade.h5")
    with pytest.raises(RecordingError, match=re.escape(message)):
        ledger.read(tmp_path)


@pytest.mark.parametrize(("name", "what"), [("file", "is no folder"), ("none", "does not exist")])
def test_no_folder(name, what, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    message = f"{tmp_path / name} {what}: give the folder with the recordings, such as data/runs."
    with pytest.raises(RecordingError, match=re.escape(message)):
        ledger.read(tmp_path / name)
    assert cli.main(["claims", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"bioplastic: {message}\n")


@pytest.fixture
def folder(tmp_path):
    for name in ("cascade", "one_time_event"):
        write(tmp_path / f"{name}.h5", FAKES[name](False))
    Image.new("RGB", (3000, 1500), "white").save(tmp_path / "cascade.png")
    return tmp_path


def test_written_ledger(folder):
    paths = render.write(ledger.read(folder), folder / "out" / "ledger")
    assert [path.name for path in paths] == ["ledger.md", "ledger.html", "ledger.csv"]
    markdown, page, table = (path.read_text(encoding="utf-8") for path in paths)
    rows = list(csv.DictReader(io.StringIO(table)))
    entries = ledger.read(folder).entries
    assert len(rows) == len(entries)
    one = next(r for r in rows if r["recording"] == "one_time_event.h5")
    assert (float(one["mean"]), one["seeds"], one["verdict"]) == (pytest.approx(2), "5", "supported")
    assert one["made_by"] == f"python scripts/one_time_event.py --out {folder}/one_time_event.h5"
    for entry in entries:
        for text in render.cells(entry):
            assert text.replace("|", "\\|") in markdown
    assert "| 6 | attention, memory and replay carry an important one-time event deep |" in markdown
    assert "![cascade](figures/cascade.png)" in markdown
    assert '<img src="figures/cascade.png"' in page
    assert "hops changed as by real events, memory deleted" in page
    with Image.open(folder / "out" / "figures" / "cascade.png") as image:
        assert image.size == (render.FIGURE_WIDTH, render.FIGURE_WIDTH // 2)


def test_thin_lines_keep_their_colours_in_the_figures_of_the_ledger(folder):
    colours = np.array([(163, 38, 15), (90, 42, 130), (224, 176, 0), (20, 20, 140), (46, 125, 79)], np.uint8)
    shades = np.full((render.FIGURE_WIDTH // 2, render.FIGURE_WIDTH, 3), 255, np.uint8)
    shades[:, :1000] -= np.arange(1000, dtype=np.uint8)[None, :, None] % 200
    for k, colour in enumerate(colours):
        shades[100 + 10 * k, 1100:] = colour
    Image.fromarray(shades).save(folder / "cascade.png")
    render.write(ledger.read(folder), folder / "out" / "ledger")
    with Image.open(folder / "out" / "figures" / "cascade.png") as image:
        kept = np.asarray(image.convert("RGB")).astype(int)
    for k, colour in enumerate(colours):
        assert np.abs(kept[100 + 10 * k, 1150] - colour).max() <= 25
    assert np.ptp(kept[50], axis=-1).max() <= 5, "greys stay grey"


def test_the_command(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    assert cli.main(["claims", str(folder), "--out", str(folder / "ledger")]) == 0
    out = capsys.readouterr().out
    assert "6. attention, memory and replay carry an important one-time event deep" in out
    assert "run: python scripts/data_efficiency.py" in out
    assert f"wrote {folder / 'ledger.csv'}" in out
    assert cli.main(["claims", "--list"]) == 0
    assert "cascade --seeds 5" in capsys.readouterr().out
    assert cli.main(["claims", str(folder / "cascade.h5")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_a_ledger_that_cannot_be_written(folder):
    (folder / "file").write_text("")
    with pytest.raises(RecordingError, match=r"the ledger cannot be written to .* give another --out\."):
        render.write(ledger.read(folder), folder / "file" / "ledger")


def test_readme_has_the_verdicts_of_the_ledger_in_the_docs():
    with (DOCS / "ledger.csv").open(encoding="utf-8", newline="") as file:
        ledger_says = {int(r["claim"]): r["verdict_on_claim"] for r in csv.DictReader(file)}
    assert sorted(ledger_says) == [c.number for c in CLAIMS]
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (supported|refuted|mixed|not decided) \| (.*) \|$", readme, flags=re.M)
    assert {int(n): verdict for verdict, text in rows for n in re.findall(r"\((\d+)\)", text)} == ledger_says
    for verdict in ("supported", "refuted", "mixed", "not decided"):
        listed = re.findall(rf"^## (\d+)\..*: {verdict}$", (DOCS / "ledger.md").read_text(encoding="utf-8"), flags=re.M)
        assert {int(n) for n in listed} == {n for n, said in ledger_says.items() if said == verdict}
