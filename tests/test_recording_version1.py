"""Recordings of schema 1: all numbers of the golden one, whatever shape an experiment gave them, and damage."""

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings import ROOT, provenance, refused

from bioplastic.recording import RecordingError, open_recorder, read

GOLDEN = ROOT / "data" / "golden" / "reach_vs_frequency-v1.h5"
UNNAMED = "This is a netCDF dimension but not a netCDF variable."


def write(out: Path, groups: Mapping[str, tuple[Mapping, Mapping]], schema="bioplastic attention") -> Path:
    """Write a file of schema 1: groups by their path, each with its attributes and its arrays over named axes."""
    with h5py.File(out, "w") as file:
        file.attrs.update(schema=schema, schema_version=1, complete=1, title="t", created="2025", script="print('ä')")
        file.attrs.update(config=json.dumps({"seeds": [0]}), versions="{}", python="3.11", platform="Linux", commit="c")
        for path, (attributes, arrays) in groups.items():
            group = file.create_group(path)
            group.attrs.update(attributes)
            for name, (_, given) in arrays.items():
                values = np.asarray(given)
                dtype = h5py.string_dtype() if values.dtype.kind == "U" else values.dtype
                group.create_dataset(name, data=values.astype(dtype)).attrs.update(units="1", long_name=name)
            for name, (dims, values) in arrays.items():
                for axis, dim in enumerate(dims):
                    if dim not in group:
                        unnamed = dim.startswith(UNNAMED)
                        group[dim] = np.zeros(np.shape(values)[axis], ">f4")
                        group[dim].make_scale(dim if unnamed else f"{UNNAMED}{np.shape(values)[axis]:10}")
                    elif not group[dim].is_scale:
                        group[dim].make_scale(dim)
                    if dim != name:
                        group[name].dims[axis].attach_scale(group[dim])
    return out


HOP = {"hop": (["hop"], [0, 1, 2])}
EVENT = {"event": (["event"], [10, 20])}


def change(*values):
    return {"change": (["hop"], values)}


# The golden recording


@pytest.fixture(scope="module")
def golden():
    return read(GOLDEN)


def test_every_number_of_the_golden_recording_is_there(golden):
    n_numbers = 0
    with h5py.File(GOLDEN) as file:
        for name, item in file["summary"].items():
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            np.testing.assert_array_equal(golden.summary[name], values)
            assert golden.summary[name].attrs == {key: item.attrs[key] for key in ("units", "long_name")}
        for name, group in file["runs"].items():
            kind = "tuning" if group.attrs["role"] == "sweep" else group.attrs["arm"]
            run = golden.run(kind, name=name)
            for key, value in group.attrs.items():
                np.testing.assert_array_equal(run[key], value)
            n_variables = 0
            for variable, item in group.items():
                if item.attrs.get("NAME", b"").startswith(UNNAMED.encode()):
                    continue
                np.testing.assert_array_equal(run[variable], item[()])
                assert (run[variable].dtype == bool) == (item.attrs.get("dtype") == "bool")
                axes = (variable,) if item.is_scale else (axis[0].name.rpartition("/")[2] for axis in item.dims)
                assert run[variable].dims == tuple(axes)
                n_numbers += item.size
                n_variables += 1
            assert len(run.variables) == n_variables + len(group.attrs) + 1
    assert n_numbers > 25_000
    assert list(golden.groups) == ["learning_rate_sweep", "summary", "frozen", "learning", "tuning"]


def test_provenance_of_the_golden_recording_is_there(golden):
    made = golden.provenance
    with h5py.File(GOLDEN) as file:
        assert made.settings == json.loads(file.attrs["config"])
        assert made.source == file.attrs["script"]
        assert made.versions == json.loads(file.attrs["versions"])
        assert (made.title, made.circuit, made.python, made.created) == tuple(
            file.attrs[name] for name in ("title", "circuit", "python", "created")
        )
    assert made.schema_version == 1
    assert "error relay" in set(golden.summary["learner"].values)
    assert len(golden._repr_html_()) < 5000


def test_the_golden_recording_is_read_fast():
    started = time.process_time()
    read(GOLDEN)
    assert time.process_time() - started < 3  # 60 runs of 26 variables; asking HDF5 for names took it longer


def test_a_complete_recording_of_schema_1_is_complete_for_the_same_settings(golden):
    made = golden.provenance
    assert open_recorder(GOLDEN, provenance(settings=made.settings, circuit=made.circuit)).complete
    with refused(r"-v1\.h5 belongs to another configuration \("):
        open_recorder(GOLDEN, provenance())


# Whatever shape an experiment gave it


def test_groups_in_a_group_are_told_apart_by_their_names(tmp_path):
    def part(learners, x):
        rows = {"learner": (["learner"], learners), "hop": (["hop"], [0, 1])}
        return {}, rows | {"reach": (["learner", "hop"], x), "n": (["count"], np.arange(len(learners)))}

    summary = {
        "summary/frozen": part(["ä"], [[1.0, 2.0]]),
        "summary/learning": part(["ä", "b"], [[3.0, 4.0], [5.0, 6.0]]),
    }
    found = read(write(tmp_path / "x.h5", summary)).summary
    np.testing.assert_array_equal(found["frozen_reach"].sel(frozen_learner="ä", hop=1), 2)
    np.testing.assert_array_equal(found["learning_reach"].sel(learning_learner="b"), [5, 6])
    assert found["learning_n"].dims == ("learning_count",)
    assert set(found.dims) == {"hop", "frozen_learner", "learning_learner", "frozen_count", "learning_count"}
    assert set(found.data_vars) == {"frozen_reach", "learning_reach", "frozen_n", "learning_n"}


def test_groups_in_runs_have_the_same_names_in_all_of_them(tmp_path):
    def spikes(run, n_a, n_b):
        times = {"a": n_a, "b": n_b}
        return {f"runs/{run}": ({"seed": int(run)}, change(1, 2, 3) | HOP)} | {
            f"runs/{run}/spikes/{cell}": ({}, {"times": (["spike"], np.arange(n) / 2)}) for cell, n in times.items()
        }

    found = read(write(tmp_path / "x.h5", spikes("0", 2, 2) | spikes("1", 3, 0)))
    assert found.kinds == ("runs",)
    np.testing.assert_array_equal(found.run("runs", seed=1)["spikes_a_times"], [0, 0.5, 1])
    assert found.run("runs", seed=1)["spikes_b_times"].size == 0
    assert found["runs"]["spikes_a_times"].dims == ("run", "spikes_a_spike")
    np.testing.assert_array_equal(found["runs"]["n_spikes_b_spike"], [2, 0])


def test_runs_are_of_a_kind_by_arm_and_role(tmp_path):
    rows = change(1.0, 2.0, 3.0) | HOP
    runs = {
        "runs/a": ({"arm": "frozen", "role": "result", "learner": "x"}, rows),
        "runs/b": ({"arm": "learning", "role": "result", "learner": b"y", "salience": [1, 2]}, rows),
        "runs/c": ({"arm": "learning", "role": "sweep", "learner": "x"}, rows),
    }
    found = read(write(tmp_path / "x.h5", {"learning_rate_sweep": ({}, change(1, 2, 3))} | runs))
    assert list(found.groups) == ["learning_rate_sweep", "frozen", "learning", "tuning"]
    assert found.run("learning", learner="y")["name"] == "b"


def test_runs_that_measure_different_things_are_told_apart_by_the_label_that_does(tmp_path):
    runs = {
        f"runs/{way}{seed}": ({"seed": seed, "way": way}, {"change": ([dim], [seed, 1.0])} | scale)
        for way, dim, scale in (("held back", "hop", {}), ("present", "event", EVENT))
        for seed in range(2)
    }
    found = read(write(tmp_path / "x.h5", runs))
    assert found.kinds == ("runs_held_back", "runs_present")
    np.testing.assert_array_equal(found.run("runs_present", seed=1)["change"], [1, 1])
    assert found["runs_present"]["change"].dims == ("run", "event")


def test_a_scale_that_differs_between_runs_is_a_variable(tmp_path):
    runs = {
        f"runs/{k}": ({"seed": k}, {"event": (["event"], [10 + k, 20])} | {"x": (["event"], [k, 1.0])})
        for k in range(2)
    }
    found = read(write(tmp_path / "x.h5", runs))["runs"]
    np.testing.assert_array_equal(found["event_of_run"], [[10, 20], [11, 20]])
    assert found["x"].dims == ("run", "event")
    assert "event" not in found.coords


def test_labels_of_two_types_are_text_and_one_named_as_a_variable_gets_another_name(tmp_path):
    rows = change(1.0, 2.0, 3.0) | HOP
    labels = [{"rate": 0.5, "hop": 3, "change": "x"}, {"rate": "best", "hop": 4, "change": "y"}]
    found = read(write(tmp_path / "x.h5", {f"runs/{k}": (each, rows) for k, each in enumerate(labels)}))["runs"]
    assert list(found["rate"].values) == ["0.5", "best"]
    assert list(found["hop_label"].values) == [3, 4]
    assert list(found["change_label"].values) == ["x", "y"]
    np.testing.assert_array_equal(found["change"][0], [1, 2, 3])


def test_axes_without_a_name_get_one(tmp_path):
    unnamed = f"{UNNAMED}        26"
    found = read(write(tmp_path / "x.h5", {"summary": ({}, {"x": ([unnamed], np.arange(26))})})).summary
    assert found["x"].dims == ("dim_26",)
    assert set(found.variables) == {"x"}


def test_truth_values_and_single_numbers_are_there(tmp_path):
    out = write(
        tmp_path / "x.h5", {"summary": ({}, {"x": ([], 3.5), "y": (["hop"], np.array([1, 0, 1], "int8"))} | HOP)}
    )
    with h5py.File(out, "r+") as file:
        file["summary/y"].attrs["dtype"] = "bool"
    summary = read(out).summary
    assert summary["x"] == 3.5
    np.testing.assert_array_equal(summary["y"], [True, False, True])
    assert summary["y"].dtype == bool
    assert summary["y"].attrs == {"units": "1", "long_name": "y"}


def test_one_run_of_an_unfinished_experiment_is_not_a_recording(tmp_path):
    out = write(tmp_path / "x.h5", {"runs/a": ({}, change(1, 2, 3))})
    with h5py.File(out, "r+") as file:
        del file.attrs["config"]
    with refused(r"x\.h5 is one run of an experiment that is not finished: run its script again"):
        read(out)


# Damage: there is no checksum in schema 1, but whatever stumbles says what it is


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A few kilobytes of schema 1 with all that a file may have in it."""
    rows = change(1.0, 2.0, 3.0) | HOP | {"names": (["hop"], ["a", "ü", "long text"])}
    groups = {"summary": ({}, rows), "summary/part": ({}, {"x": (["hop"], [1, 2])})}
    groups |= {f"runs/{k}": ({"arm": "frozen", "seed": k, "learner": "x"}, rows) for k in range(2)}
    groups |= {f"runs/{k}/spikes/a": ({}, {"times": (["spike"], np.arange(k) / 2)}) for k in range(2)}
    return write(tmp_path_factory.mktemp("small") / "x.h5", groups)


def damaged(content: bytes, draw: random.Random) -> bytes:
    place, length = draw.randrange(len(content)), draw.choice([1, 8, 64, 512, 4096])
    end = min(place + length, len(content))
    other = draw.randrange(len(content))
    return [
        content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :],
        content[:place] + bytes(end - place) + content[end:],
        content[:place] + content[other : other + end - place] + content[end:],
        content[:place],
    ][draw.randrange(4)]


def test_any_damage_is_a_clear_sentence_or_goes_unnoticed(small, tmp_path):
    content, out = small.read_bytes(), tmp_path / "x.h5"
    n_noticed = 0
    for seed in range(300):
        out.write_bytes(damaged(content, random.Random(seed)))
        try:
            read(out)
        except RecordingError as error:
            assert "x.h5 " in str(error)
            n_noticed += 1
    assert n_noticed > 100


@pytest.mark.parametrize("lost", ["summary/hop", "runs/1/hop"])
def test_a_lost_scale_is_noticed(small, tmp_path, lost):
    out = tmp_path / "x.h5"
    out.write_bytes(small.read_bytes())
    with h5py.File(out, "r+") as file:
        del file[lost]
    with refused(r"x\.h5 is damaged \(.*\): copy it again, or remove it and run its script again"):
        read(out)


def test_strings_without_an_end_are_noticed(small, tmp_path):
    """HDF5 looks for the next one, of length 0, for ever."""
    content, out = small.read_bytes(), tmp_path / "x.h5"
    place = content.index(b"GCOL") + 16
    out.write_bytes(content[:place] + bytes(64) + content[place + 64 :])
    with refused(rf"x\.h5 is damaged \(strings at byte {place} have no end\)"):
        read(out)


def test_a_dataset_that_claims_more_than_the_file_can_hold_is_refused(tmp_path):
    out = write(tmp_path / "x.h5", {"summary": ({}, {"x": (["hop"], [1, 2])})})
    with h5py.File(out, "r+") as file:
        file["summary"].create_dataset("y", (10**12,), "float64", chunks=(1000,))
        file["summary/y"].attrs.update(units="1", long_name="y")
        file["summary/y"].make_scale("y")
    with refused(r"/summary/y claims to hold \(1000000000000,\) numbers, more than there is room for"):
        read(out)


def test_a_dataset_without_axes_is_refused(tmp_path):
    out = write(tmp_path / "x.h5", {"summary": ({}, {"x": (["hop"], [1, 2])})})
    with h5py.File(out, "r+") as file:
        file["summary/y"] = np.zeros((2, 2))
    with refused("axes of /summary/y have no name, or the same one"):
        read(out)
