"""A recording: it is read back, finished runs are taken over by one rule, and what does not fit is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from recordings import (
    CIRCUIT,
    MAKE,
    RUNS,
    begin,
    contents,
    finished,
    frozen_run,
    go_on,
    learning_run,
    names_in,
    provenance,
    record,
    refused,
    summary,
)

from bioplastic.recording import Recorder, Recording, labelled, open_recorder

LEARNING = {"learner": "error relay", "event_fraction": 0.1, "seed": 2, "is_sham": False}


# It is read back


def test_what_is_recorded_is_read_back(tmp_path):
    recording = record(tmp_path / "new" / "x.h5")
    assert names_in(tmp_path) == ["new/x.h5"]
    assert list(recording.groups) == ["summary", "frozen", "learning"]
    assert recording.kinds == ("frozen", "learning")
    xr.testing.assert_identical(recording.summary, summary())
    for kind, labels in RUNS:
        back = recording.run(kind, **labels)
        xr.testing.assert_identical(back.drop_vars(list(labels)), MAKE[kind](labels["seed"]))
    made = recording.provenance
    assert made == provenance(created=made.created)
    assert made.created.endswith("+00:00")


def test_runs_stand_in_the_order_that_is_asked_for(tmp_path):
    recording = record(tmp_path / "x.h5", RUNS[::-1])
    np.testing.assert_array_equal(recording["learning"]["seed"], [2, 1, 0])
    np.testing.assert_array_equal(
        recording["frozen"]["learner"], ["Rückwärts", "Rückwärts", "error relay", "error relay"]
    )


def test_a_run_is_read_back_before_the_recording_is_finished(tmp_path):
    with open_recorder(tmp_path / "x.h5", provenance()) as recorder:
        assert not recorder.has("learning", LEARNING)
        with refused(r"there is no finished run learning {.*'seed': 2.*} beside .*x\.h5\."):
            recorder.run("learning", LEARNING)
        recorder.add("learning", {**LEARNING, "seed": np.int64(2)}, learning_run(2))
        assert recorder.has("learning", dict(reversed(LEARNING.items())))
        back = recorder.run("learning", LEARNING)
    xr.testing.assert_identical(back, learning_run(2))
    assert back["kind"].attrs["flag_values"].dtype == "int8"


def test_runs_are_selected_by_their_labels(tmp_path):
    recording = record(tmp_path / "x.h5")
    assert recording.select("learning", event_fraction=0.3 / 3, is_sham=False).sizes["run"] == 2
    assert recording.select("frozen", learner="Rückwärts").sizes["run"] == 2
    assert recording.run("frozen", learner="Rückwärts", seed=np.int64(1))["error_spikes"][0] == 6
    for kind, labels, message in [
        ("frozen", {"seed": 1}, r"2 runs of 'frozen' have {'seed': 1}; give more labels"),
        ("frozen", {"seed": 9}, r"x\.h5 has no run of 'frozen' with {'seed': 9}"),
        ("frozen", {"sed": 1}, "runs of 'frozen' have no label 'sed'; they have learner, seed"),
        ("frozen", {"hop": 1}, "runs of 'frozen' have no label 'hop'"),
        ("frozen", {"seed": "1"}, "the label seed of 'frozen' is int64, and not like '1'"),
        ("frozen", {"learner": 1.5}, "the label learner of 'frozen' is <U11, and not like 1.5"),
        ("summary", {"seed": 1}, r"'summary' of .*x\.h5 has no runs; frozen, learning has"),
        ("thawed", {}, r"x\.h5 has no group 'thawed'; it has summary, frozen, learning"),
    ]:
        with refused(message):
            recording.run(kind, **labels)


def test_a_label_that_is_no_number_is_selected(tmp_path):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    runs = [("frozen", {"rate": rate}) for rate in (0.1, np.nan)]
    for kind, labels in runs:
        recorder.add(kind, labels, frozen_run(0))
    recording = recorder.finish(runs, {})
    assert np.isnan(recording.run("frozen", rate=np.nan)["rate"])


def test_html_is_short_and_escaped():
    variables = {f"v{i}": labelled(f"d{i}", [1], "v") for i in range(50)}
    groups = {f"<b>{k}": xr.Dataset(variables) for k in range(40)}
    html = Recording(Path("long & " * 300), provenance(title="<script>'&\"" * 500), groups)._repr_html_()
    assert len(html) < 5000
    assert "50 variables over 1 d0, 1 d1" in html
    assert "and 28 more groups" in html
    assert "&lt;script&gt;&#x27;&amp;&quot;" in html
    text = re.sub(r"</?(table|tr|td|th|p|code)( align='left')?>", "", html).replace("recording['summary']", "")
    assert not set(text) & set("<>'\"")


# What is refused when it is added, before hours have gone into more of the same


@pytest.mark.parametrize(
    ("kind", "labels", "measured", "message"),
    [
        (
            "learning",
            {"seed": 1},
            xr.Dataset({"x": ("hop", [1.0])}),
            r"learning {'seed': 1}: x has no units; make it wi",
        ),
        ("learning", {"seed": None}, frozen_run(0), r"learning {'seed': None}: the label seed is None; give text"),
        ("a/b", {"seed": 1}, frozen_run(0), "a kind of runs is named 'a/b'; start with a letter"),
        ("learning", {"hop": 1}, frozen_run(0), "learning: hop is a label of the runs, and also a variable"),
        (
            "learning",
            {"seed": 1},
            frozen_run(0).assign_attrs(a=1),
            "the dataset has attributes of its own \\(a\\), which",
        ),
        (
            "frozen",
            {"seed": 1},
            xr.Dataset({"error_spikes": labelled("hop", [0.5], "error spikes")}),
            r"frozen: error_spikes is int64 over \(hop\) .* in one run, and float64 over \(hop\) .* in another",
        ),
        ("frozen", {"seed": "a"}, frozen_run(0), "frozen: the label seed is int64 in one run and <U1 in another"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_when_it_is_added(tmp_path, kind, labels, measured, message):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    recorder.add("frozen", {"seed": 0}, frozen_run(0))
    before = names_in(tmp_path)
    with refused(message):
        recorder.add(kind, labels, measured)
    assert names_in(tmp_path) == before
    recorder.add("frozen", {"seed": 1}, frozen_run(1))  # what was refused has left no trace
    recorder.finish([("frozen", {"seed": 0}), ("frozen", {"seed": 1})], {"summary": summary()})


def test_a_run_that_does_not_fit_those_found_on_the_disk_is_refused_too(tmp_path):
    with open_recorder(tmp_path / "x.h5", provenance()) as recorder:
        recorder.add("frozen", {"seed": 0}, frozen_run(0))
    with open_recorder(tmp_path / "x.h5", provenance()) as recorder:
        assert recorder.has("frozen", {"seed": 0})
        with refused("frozen: error_spikes is int64"):
            recorder.add("frozen", {"seed": 1}, xr.Dataset({"error_spikes": labelled("hop", [0.5], "error spikes")}))


@pytest.mark.parametrize(
    ("runs", "summaries", "message"),
    [
        ([("frozen", {"seed": 0}), ("frozen", {"seed": 1})], {}, r"there is no finished run frozen {'seed': 1} beside"),
        ([("frozen", {"seed": 0})] * 2, {}, r"frozen: two runs are labelled {'seed': 0}"),
        ([("frozen", {"seed": 0})], {"frozen": summary()}, r"frozen is the name of two groups of .*x\.h5; give one of"),
        ([("frozen", {"seed": 0})], {"source": summary()}, "source is the name of two groups"),
        ([], {"summary": xr.Dataset({"reach": ("seed", [1])})}, "summary: reach has no units"),
        (
            [],
            {"summary": xr.Dataset({"reach": labelled((), 1, "reach")})},
            "summary: reach has no dimension; give it one",
        ),
        ([], {"a/b": summary()}, "a summary is named 'a/b'"),
    ],
)
def test_a_recording_that_cannot_be_finished_keeps_its_runs(tmp_path, runs, summaries, message):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    recorder.add("frozen", {"seed": 0}, frozen_run(0))
    before = names_in(tmp_path)
    with refused(message):
        recorder.finish(runs, summaries)
    assert names_in(tmp_path) == before
    assert not recorder.complete
    assert recorder.finish([("frozen", {"seed": 0})], {}).kinds == ("frozen",)


def test_a_recorder_that_is_complete_or_closed_takes_nothing(tmp_path):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    go_on(recorder)
    assert recorder.complete
    for again in (recorder, open_recorder(tmp_path / "x.h5", provenance())):
        with refused(r"x\.h5 is complete, nothing can be added\. Give another --out, or remove it"):
            again.add("frozen", {"seed": 0}, frozen_run(0))
        with refused("is complete"):
            again.finish([], {})
    closed = open_recorder(tmp_path / "y.h5", provenance())
    closed.close()
    closed.close()
    assert names_in(tmp_path) == ["x.h5"]
    with refused(r"the recorder of .*y\.h5 is closed: open it again with open_recorder"):
        closed.add("frozen", {"seed": 0}, frozen_run(0))


# Which finished runs are taken over


@pytest.fixture
def begun(tmp_path) -> Path:
    return begin(tmp_path / "x.h5")


SETTINGS = provenance().settings


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("nothing", {}),
        ("the list of seeds, which is in the grid", {"settings": SETTINGS | {"seeds": [0, 1, 2, 3, 4]}}),
        ("the order of the settings", {"settings": dict(reversed(SETTINGS.items()))}),
        ("the title", {"title": "another"}),
        ("the text of the script", {"script": "other.py", "source": "another"}),
        ("the command and machine", {"command": "other", "platform": "macOS", "commit": "abc", "created": "now"}),
        ("the last number of Python's version", {"python": "3.11.9"}),
        ("a version on which no bit depends", {"versions": provenance().versions | {"xarray": "2026.1", "h5py": "4"}}),
    ],
)
def test_runs_are_taken_over_when_something_else_changes(begun, what, changes):
    assert finished(begun, **changes) == [True, True] + [False] * 5, what


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("a setting", {"settings": SETTINGS | {"gain": 0.8}}),
        ("a setting in a setting", {"settings": SETTINGS | {"relay": {"leak": 0.1, "name": "ä"}}}),
        ("one setting more", {"settings": SETTINGS | {"jobs": 2}}),
        ("one setting less", {"settings": {"seeds": [0, 1, 2], "gain": 0.9}}),
        ("the code", {"code": "beef" * 16}),
        ("the circuit", {"circuit": CIRCUIT.replace("64", "32")}),
        ("the version of Python", {"python": "3.12.1"}),
        *(
            (f"the version of {name}", {"versions": provenance().versions | {name: "9"}})
            for name in ("numpy", "brian2", "torch")
        ),
    ],
)
def test_runs_are_lived_again_when_what_they_depend_on_changes(begun, what, changes):
    before = names_in(begun.parent)
    assert finished(begun, **changes) == [False] * 7, what
    assert names_in(begun.parent) == before, "runs of other settings are left alone"


def test_a_setting_outside_of_the_grid_counts(begun):
    assert not any(finished(begun, grid=()))
    assert not any(finished(begun, grid=("gain",)))


@pytest.mark.parametrize("label", LEARNING)
def test_every_label_counts(begun, label):
    changed = {"learner": "backprop", "event_fraction": 0.2, "seed": 9, "is_sham": True}
    with open_recorder(begun, provenance()) as recorder:
        recorder.add("learning", LEARNING, learning_run(2))
        assert recorder.has("learning", LEARNING)
        assert not recorder.has("learning", LEARNING | {label: changed[label]})
        assert not recorder.has("learning", {k: v for k, v in LEARNING.items() if k != label})
        assert not recorder.has("frozen", LEARNING)


def test_runs_of_other_settings_stay_beside_a_recording_that_is_finished(begun):
    theirs = names_in(begun.parent)
    record(begun, settings=SETTINGS | {"gain": 0.8})
    assert names_in(begun.parent) == sorted(["x.h5", *theirs])
    begun.unlink()
    assert finished(begun) == [True, True] + [False] * 5
    record(begun)
    assert names_in(begun.parent) == ["x.h5"]


def test_runs_that_are_there_are_not_written_again(begun):
    def modified() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in begun.with_name("x.h5.parts").glob("*.npz")}

    before = modified()
    with open_recorder(begun, provenance()) as recorder:
        recorder.add(*RUNS[2], learning_run(2))
        assert {name: when for name, when in modified().items() if name in before} == before
        assert len(modified()) == 3
        go_on(recorder)
    assert contents(begun) == contents(record(begun.with_name("y.h5")).path)


# A recording that is there


def test_a_complete_recording_of_the_same_is_complete(tmp_path):
    record(tmp_path / "x.h5")
    content = (tmp_path / "x.h5").read_bytes()
    again = open_recorder(tmp_path / "x.h5", provenance(title="another", source="another"))
    assert (again.complete, again.note) == (True, "")
    assert names_in(tmp_path) == ["x.h5"]
    assert (tmp_path / "x.h5").read_bytes() == content


def test_a_complete_recording_of_other_code_says_so(tmp_path):
    made = record(tmp_path / "x.h5").provenance
    again = open_recorder(tmp_path / "x.h5", provenance(code="beef" * 16))
    assert again.complete
    assert again.note == (
        f"{tmp_path / 'x.h5'} is complete, but the code of its model or its measure has changed since it was made "
        f"({made.created}): delete it, or give another --out, to run it again by the present code."
    )


def test_a_complete_recording_of_other_settings_is_refused_with_what_differs(tmp_path):
    record(tmp_path / "x.h5")
    settings = {"seeds": [0, 1], "gain": 0.9, "relay": {"leak": 0.5, "name": "ä"}, "jobs": 2}
    with refused(r"x\.h5 belongs to another configuration \(.*\)\. Give another --out, or remove the file") as caught:
        open_recorder(tmp_path / "x.h5", provenance(settings=settings, circuit=CIRCUIT.replace("64", "32")))
    differing = (
        "seeds: [0, 1, 2] -> [0, 1], relay.leak: null -> 0.5, circuit.populations[0].size: 64 -> 32, "
        "jobs: (not there) -> 2"
    )
    assert differing in str(caught.value)
    assert "gain" not in str(caught.value)
    assert names_in(tmp_path) == ["x.h5"]


@pytest.mark.parametrize("content", [b"my thesis", b"", b"\x89HDF\r\n\x1a\n and no more"])
def test_something_else_in_the_way_is_refused_and_stays(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with refused(r"x\.h5 .*It is in the way: give another --out, or remove it"):
        open_recorder(tmp_path / "x.h5", provenance())
    assert (tmp_path / "x.h5").read_bytes() == content
    with refused(r"is a folder.* give another --out"):
        open_recorder(tmp_path, provenance())


def test_a_recorder_says_what_it_is(tmp_path):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    assert isinstance(recorder, Recorder)
    assert recorder.folder == tmp_path / "x.h5.parts"
    assert "_lock" not in repr(recorder)
