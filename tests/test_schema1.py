"""The recording: what is written is read back, by others too; nothing is lost; errors are sentences."""

import dataclasses
import errno
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import (
    COORDINATES,
    RUN_VARIABLES,
    SCHEMA_VERSION,
    SPIKE_VARIABLES,
    SUMMARY_VARIABLES,
    SWEEP_VARIABLES,
    WEIGHT_VARIABLES,
    Experiment,
    LearningRateSweep,
    RecordingError,
    Run,
    Spikes,
    Summary,
    Weights,
    finished_runs,
    read,
    write_run,
)

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"event": 7, "snapshot": 3, "occurrence": 2, "hop": 4}
CIRCUIT = json.dumps({"populations": [{"name": "input", "size": 64}, {"name": "output", "size": 10}]})


def numbers(row, sizes, seed):
    """Values that fit a row of the schema."""
    shape = tuple(sizes[dim] for dim in row.dims)
    random = np.random.default_rng(seed)
    if row.dtype == "bool":
        return random.random(shape) < 0.5
    if row.flags or "int" in row.dtype:
        return random.integers(0, len(row.flags) or 9, shape)
    return random.normal(size=shape)


def make_run(seed=0, **changes):
    """A run with every variable of the schema."""
    values = {name: numbers(row, SIZES, seed + i) for i, (name, row) in enumerate(RUN_VARIABLES.items())}
    random = np.random.default_rng(seed)
    condition = {
        "arm": "learning",
        "learner": "error relay",
        "event_fraction": 0.1,
        "replay": "off",
        "seed": seed,
        "learning_rate": 0.004,
        "role": "result",
    }
    parts = {
        "weights": {
            "input_to_a": Weights(initial=random.normal(size=(3, 5)), final=random.normal(size=(3, 5))),
            "big": Weights(initial=np.zeros((100, 100)), final=random.normal(size=(100, 100))),
        },
        "spikes": {"a": Spikes(timestamps=np.array([0.5, 1.5]), node_ids=np.array([2, 0]))},
    }
    return Run(**(condition | values | parts | changes))


def make_summary(**changes):
    """A summary with every variable of the schema."""
    coordinates = {
        "learner": ("error relay", "backprop", "Rückwärts"),
        "event_fraction": np.array([0.01, 0.1]),
        "replay": ("off",),
        "seed": np.array([3, 5]),
        "hop": np.arange(4),
    }
    sizes = {dim: len(labels) for dim, labels in coordinates.items()}
    variables = {name: numbers(row, sizes, i) for i, (name, row) in enumerate(SUMMARY_VARIABLES.items())}
    return Summary(**(coordinates | {"variables": variables} | changes))


def make_sweep():
    return LearningRateSweep(
        learner=("error relay", "backprop"),
        rate=np.array([[0.1, 0.2, 0.4], [0.01, 0.02, np.nan]]),
        score=np.array([[1.0, 3.0, 2.0], [0.0, 5.0, np.nan]]),
    )


def begin(out, **changes):
    settings = {
        "title": "How far does it reach?",
        "seed": 11,
        "config": {"hops": 12, "fractions": (0.01, 0.1), "relay": {"gain": 0.9, "leak": None}},
        "circuit": CIRCUIT,
        "script": "print('ä')\n",
    }
    return Experiment.open(out, **(settings | changes))


@pytest.fixture
def finished(tmp_path):
    """A finished recording of two runs."""
    experiment = begin(tmp_path / "reach.h5")
    experiment.add("relay_0", make_run(0))
    experiment.add("frozen_1", make_run(1, arm="frozen", learner="backprop", learning_rate=np.nan))
    return experiment.finish(make_summary(), make_sweep())


def assert_same(one, other):
    """Compare two dataclasses of arrays, to the bit."""
    for part in dataclasses.fields(one):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if isinstance(a, dict):
            assert list(a) == list(b), part.name
            for key in a:
                if dataclasses.is_dataclass(a[key]):
                    assert_same(a[key], b[key])
                else:
                    np.testing.assert_array_equal(a[key], b[key], err_msg=f"{part.name} {key}")
        else:
            assert type(a) is type(b), part.name
            np.testing.assert_array_equal(a, b, err_msg=part.name)
            if isinstance(a, np.ndarray):
                assert a.dtype == b.dtype, part.name


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# The schema


def test_every_run_variable_is_a_field_and_the_other_way_round():
    condition = {"arm", "learner", "event_fraction", "replay", "seed", "learning_rate", "role"}
    names = {field.name for field in dataclasses.fields(Run)}
    assert names - condition - {"weights", "spikes"} == set(RUN_VARIABLES)


@pytest.mark.parametrize(
    "table",
    [COORDINATES, RUN_VARIABLES, WEIGHT_VARIABLES, SPIKE_VARIABLES, SUMMARY_VARIABLES, SWEEP_VARIABLES],
)
def test_every_variable_is_in_the_documentation(table):
    text = (ROOT / "docs" / "recording-v1.md").read_text(encoding="utf-8")
    for name, row in table.items():
        meanings = f"; {', '.join(f'{code} {word}' for code, word in enumerate(row.flags))}" if row.flags else ""
        axes = ", ".join(row.dims) or "(scalar)"
        line = f"| `{name}` | {axes} | {row.dtype} | {row.units} | {row.long_name}{meanings} |"
        assert line in text.splitlines(), f"docs/recording-v1.md lacks the line\n{line}"


# What is written is read back


def test_run_is_read_back_to_the_bit(finished):
    runs = read(finished).runs
    assert sorted(runs) == ["frozen_1", "relay_0"]
    assert_same(runs["relay_0"], make_run(0))
    assert_same(runs["frozen_1"], make_run(1, arm="frozen", learner="backprop", learning_rate=np.nan))
    assert "other" not in runs
    with pytest.raises(KeyError, match="other"):
        runs["other"]


def test_run_is_read_back_before_the_experiment_is_finished_and_after(tmp_path):
    experiment = begin(tmp_path / "x.h5")
    experiment.add("r", make_run(7))
    assert_same(experiment.run("r"), make_run(7))
    experiment.finish(make_summary())
    assert experiment.has("r")
    assert not experiment.has("s")
    assert_same(experiment.run("r"), make_run(7))
    with pytest.raises(RecordingError, match=r"x\.h5 has no run 's'"):
        experiment.run("s")


def test_what_was_not_measured_is_none(tmp_path):
    optional = [f.name for f in dataclasses.fields(Run) if f.default is None]
    assert "change" in optional
    run = make_run(**dict.fromkeys(optional), weights={}, spikes={})
    experiment = begin(tmp_path / "x.h5")
    experiment.add("r", run)
    experiment.finish(make_summary(variables={}))
    back = read(tmp_path / "x.h5")
    assert_same(back.runs["r"], run)
    assert back.runs["r"].change is None
    assert back.sweep is None
    assert back.summary.variables == {}


def test_events_may_be_none_at_all(tmp_path):
    sizes = SIZES | {"event": 0, "occurrence": 0}
    empty = {name: numbers(row, sizes, 0) for name, row in RUN_VARIABLES.items()}
    write_run(tmp_path, "r", make_run(**empty))
    experiment = begin(tmp_path / "x.h5")
    experiment.add("r", make_run(**empty))
    experiment.finish(make_summary())
    assert read(tmp_path / "x.h5").runs["r"].error_spikes.shape == (0, 4)


def test_summary_sweep_and_attributes_are_read_back(finished):
    back = read(str(finished))
    assert_same(back.summary, make_summary())
    assert_same(back.sweep, make_sweep())
    assert back.attrs.title == "How far does it reach?"
    assert back.attrs.seed == 11
    assert back.attrs.config == {
        "hops": 12,
        "fractions": [0.01, 0.1],
        "relay": {"gain": 0.9, "leak": None},
    }
    assert back.attrs.circuit == CIRCUIT
    assert back.attrs.script == "print('ä')\n"
    assert back.attrs.complete is True
    assert back.attrs.schema_version == SCHEMA_VERSION
    assert back.attrs.versions["numpy"] == np.__version__
    assert back.attrs.versions["h5py"] == h5py.__version__
    assert back.attrs.created.endswith("+00:00")


def test_variable_comes_with_axes_and_unit(finished):
    summary = read(finished).summary
    arrival = summary.variable("arrival")
    assert arrival.dims == ("learner", "event_fraction", "replay", "seed", "hop")
    assert arrival.values.shape == (3, 2, 1, 2, 4)
    assert (arrival.units, arrival.long_name) == ("1", SUMMARY_VARIABLES["arrival"].long_name)
    with pytest.raises(RecordingError, match="the summary has no variable 'rech'; it has error_signal, "):
        summary.variable("rech")


def test_runs_are_found_by_condition(finished):
    back = read(finished)
    assert back.find(learner="backprop") == ("frozen_1",)
    assert back.find(learner="backprop", arm="learning") == ()
    assert back.find(event_fraction=0.3 / 3, role="result") == ("frozen_1", "relay_0")
    assert back.find(seed=0) == ("relay_0",)


def test_simulators_scalars_and_narrow_types_are_taken(tmp_path):
    run = make_run(
        seed=np.int64(4),
        learner=np.str_("relay"),
        event_fraction=np.float32(0.5),
        change=np.ones((3, 4), dtype="float32"),
        accuracy_rare_final=np.float64(0.25),
    )
    write_run(tmp_path, "r", run)
    assert type(run.seed) is int
    assert type(run.learner) is str
    assert run.change.dtype == "float64"
    assert type(run.accuracy_rare_final) is float


# Others can read it


def test_xarray_opens_the_summary(finished):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_dataset(finished, group="summary", engine="h5netcdf") as data:
        assert set(data.data_vars) == set(SUMMARY_VARIABLES)
        assert data["reach"].dims == ("learner", "event_fraction", "replay", "seed")
        assert data["change"].dims == ("learner", "event_fraction", "replay", "seed", "hop")
        assert list(data["learner"].values) == ["error relay", "backprop", "Rückwärts"]
        assert list(data["hop"].values) == [0, 1, 2, 3]
        assert data["hop"].attrs == {"units": "1", "long_name": "hops upstream of the error source"}
        picked = data["reach"].sel(learner="Rückwärts", event_fraction=0.1, replay="off", seed=5)
        assert float(picked) == make_summary().variables["reach"][2, 1, 0, 1]
        for name, row in SUMMARY_VARIABLES.items():
            assert data[name].attrs == {"units": row.units, "long_name": row.long_name}


def test_xarray_opens_a_run_and_what_lies_in_it(finished):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")

    def group(name):
        return xarray.open_dataset(finished, group=name, engine="h5netcdf")

    run = make_run(0)
    with group("runs/relay_0") as data:
        assert set(data.data_vars) == set(RUN_VARIABLES)
        assert data.attrs["learner"] == "error relay"
        assert data.attrs["seed"] == 0
        assert data["event_time"].attrs["units"] == "s"
        np.testing.assert_array_equal(data["event_time"], run.event_time)  # a number, not a timedelta
        np.testing.assert_array_equal(data["event_replayed"], run.event_replayed)
        assert data["event_replayed"].dtype == bool
        assert data["event_kind"].attrs["flag_meanings"] == "background rare probe rest replay rare_replay"
        assert list(data["event_kind"].attrs["flag_values"]) == [0, 1, 2, 3, 4, 5]
        assert data["change"].dims == ("snapshot", "hop")
        assert list(data["occurrence"].values) == [1, 2]
        assert set(data.coords) == {"hop", "occurrence"}
        assert data["accuracy_rare_final"].dims == ()
    with group("runs/relay_0/weights/input_to_a") as data:
        assert data["final"].dims == ("input_to_a_post", "input_to_a_pre")
        np.testing.assert_array_equal(data["final"], run.weights["input_to_a"].final)
    with group("runs/relay_0/spikes/a") as data:
        assert data["timestamps"].attrs["units"] == "ms"
        np.testing.assert_array_equal(data["node_ids"], [2, 0])
    with group("learning_rate_sweep") as data:
        assert float(data["score"].sel(learner="backprop", rate_index=1)) == 5.0
    with group("/") as data:
        assert data.attrs["schema"] == "bioplastic"
        assert data.attrs["complete"] == 1


def test_every_axis_has_a_scale_and_every_variable_a_unit(finished):
    seen = []

    def look(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        kind = h5py.check_string_dtype(item.dtype)
        assert item.dtype.kind in "fiu" or (kind and kind.encoding == "utf-8" and kind.length is None), name
        counted = item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension but not a netCDF variable.")
        if not counted:
            assert item.attrs["units"], name
            assert item.attrs["long_name"], name
        if not item.is_scale:
            seen.append(name)
            for axis in item.dims:
                assert len(axis) == 1, name
                assert axis[0].shape == (item.shape[axis._dimension],), name
                assert axis[0].parent == item.parent, name

    with h5py.File(finished) as file:
        file.visititems(look)
    expected = len(SUMMARY_VARIABLES) + len(SWEEP_VARIABLES)
    expected += 2 * (len(RUN_VARIABLES) + 2 * len(WEIGHT_VARIABLES) + len(SPIKE_VARIABLES))
    assert len(seen) == expected


def test_h5py_reads_without_this_library(finished):
    with h5py.File(finished) as file:
        reach = file["summary/reach"]
        learners = list(reach.dims[0][0].asstr())
        assert learners == ["error relay", "backprop", "Rückwärts"]
        assert reach.dims[0][0].name == "/summary/learner"
        np.testing.assert_array_equal(reach, make_summary().variables["reach"])
        assert json.loads(file.attrs["config"])["hops"] == 12
        assert "numpy" in json.loads(file.attrs["versions"])


def test_recipes_of_the_documentation_run(finished, monkeypatch, capsys):
    pytest.importorskip("h5netcdf")
    text = (ROOT / "docs" / "recording-v1.md").read_text(encoding="utf-8")
    recipes = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(recipes) == 3
    monkeypatch.chdir(finished.parent)
    for recipe in recipes:
        names = {}
        exec(recipe, names)
        if "summary" in names:
            names["summary"].close()
    assert "last hop the change reaches" in capsys.readouterr().out
    assert names["run"].learner == "error relay"


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_prints_it(finished):
    done = subprocess.run(["h5dump", "-d", "/summary/reach", finished], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "DIMENSION_LIST" in done.stdout


def test_only_large_arrays_are_compressed(finished):
    with h5py.File(finished) as file:
        weights = file["runs/relay_0/weights"]
        assert weights["big/final"].compression == "gzip"
        assert weights["input_to_a/final"].compression is None


# What does not fit is refused by name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"change": np.zeros(4)}, r"change has shape \(4,\), but its axes are \(snapshot, hop\)"),
        (
            {"change_floor": np.zeros((3, 5))},
            r"change_floor has shape \(3, 5\) over \(snapshot, hop\), but hop has length 4 in change\.",
        ),
        ({"event_salience": np.zeros(8)}, r"event_salience .* but event has length 7 in event_time\."),
        (
            {"event_kind": np.full(7, 6)},
            r"event_kind holds 6 to 6; the codes are 0 background, 1 rare, 2 probe",
        ),
        ({"event_kind": np.zeros(7)}, r"event_kind holds float64, but the schema wants int8"),
        ({"event_kind": np.full(7, 256)}, r"event_kind holds values that int8 cannot: 256 to 256"),
        ({"event_replayed": np.zeros(7, int)}, r"event_replayed holds int64, but the schema wants bool"),
        ({"change": np.full((3, 4), None)}, r"change holds object, but the schema wants float64"),
        ({"change": [[1.0], [1.0, 2.0]]}, r"change is not an array over \(snapshot, hop\)"),
        (
            {"accuracy_rare_final": np.zeros(3)},
            r"accuracy_rare_final has shape \(3,\), but its axes are \(\)",
        ),
        ({"arm": "thawed"}, r"arm is 'thawed', but must be one of frozen, learning"),
        ({"role": "extra"}, r"role is 'extra', but must be one of result, sweep"),
    ],
)
def test_run_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(RecordingError, match=message):
        make_run(**changes)


def test_weights_and_spikes_that_do_not_fit_are_refused():
    with pytest.raises(RecordingError, match=r"final has shape \(2, 4\) .* has length 3 in initial"):
        Weights(initial=np.zeros((2, 3)), final=np.zeros((2, 4)))
    with pytest.raises(RecordingError, match="node_ids holds values that uint64 cannot: -1 to 0"):
        Spikes(timestamps=np.zeros(2), node_ids=np.array([0, -1]))


def test_field_without_a_row_is_refused(monkeypatch):
    others = {name: row for name, row in RUN_VARIABLES.items() if name != "change"}
    monkeypatch.setattr(recording, "RUN_VARIABLES", others)
    with pytest.raises(RecordingError, match="change is not in the table of run variables"):
        make_run()


def test_unknown_summary_variable_is_refused():
    with pytest.raises(RecordingError, match="rech is not in the table of summary variables: add a row"):
        make_summary(variables={"rech": np.zeros((3, 2, 1, 2))})


def test_summary_that_does_not_fit_its_coordinates_is_refused():
    with pytest.raises(RecordingError, match=r"reach .* but seed has length 2 in the coordinate seed\."):
        make_summary(variables={"reach": np.zeros((3, 2, 1, 3))})
    with pytest.raises(RecordingError, match="learner has the same label twice"):
        make_summary(learner=("a", "b", "a"))
    with pytest.raises(RecordingError, match="replay must be a sequence of strings, not 'off'"):
        make_summary(replay="off")
    with pytest.raises(RecordingError, match=r"score has shape \(1, 3\) .* in the coordinate learner"):
        LearningRateSweep(("a", "b"), np.zeros((2, 3)), np.zeros((1, 3)))


def test_one_line_adds_a_summary_variable(tmp_path, monkeypatch):
    row = recording.Variable(("learner", "hop"), "mV", "something new")
    monkeypatch.setitem(SUMMARY_VARIABLES, "novelty", row)
    begin(tmp_path / "x.h5").finish(make_summary(variables={"novelty": np.ones((3, 4))}))
    assert read(tmp_path / "x.h5").summary.variable("novelty").units == "mV"


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a\nb"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    with pytest.raises(RecordingError, match="cannot be a name in a file"):
        write_run(tmp_path, name, make_run())
    with pytest.raises(RecordingError, match=r"projection .* cannot be a name in a file"):
        write_run(tmp_path, "r", make_run(weights={name: Weights(np.zeros((1, 1)), np.zeros((1, 1)))}))
    assert names_in(tmp_path) == []


# It goes on where it stopped


def test_experiment_goes_on_with_the_same_settings(tmp_path):
    out = tmp_path / "new" / "x.h5"
    begin(out).add("a", make_run(1))
    experiment = begin(out)
    assert not experiment.complete
    assert experiment.has("a")
    assert not experiment.has("b")
    experiment.add("b", make_run(2))
    assert experiment.finish(make_summary()) == out
    assert names_in(out.parent) == ["x.h5"]
    again = begin(out)
    assert again.complete
    assert again.has("a")
    with pytest.raises(RecordingError, match=r"x\.h5 is complete, nothing can be added"):
        again.add("c", make_run(3))
    with pytest.raises(RecordingError, match="is complete"):
        again.finish(make_summary())
    assert not again.folder.exists()


def test_a_run_written_by_a_worker_counts(tmp_path):
    experiment = begin(tmp_path / "x.h5")
    write_run(experiment.folder, "a", make_run(1))
    assert experiment.has("a")
    assert finished_runs(experiment.folder) == ("a",)


def test_two_processes_with_the_same_run_do_not_disturb_each_other(tmp_path, monkeypatch):
    replace, process = Path.replace, os.getpid()

    def the_other_is_faster(part, path):
        monkeypatch.undo()
        monkeypatch.setattr(os, "getpid", lambda: process + 1)
        write_run(tmp_path, "r", make_run(1))
        replace(part, path)

    monkeypatch.setattr(Path, "replace", the_other_is_faster)
    write_run(tmp_path, "r", make_run(1))
    assert names_in(tmp_path) == ["r.h5"]
    assert finished_runs(tmp_path) == ("r",)


def test_killed_while_adding_runs_loses_at_most_the_run_in_hand(tmp_path):
    out = tmp_path / "x.h5"
    program = f"""
        import sys
        sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]}
        from pathlib import Path
        from test_schema1 import begin, make_run
        experiment = begin(Path({str(out)!r}))
        for number in range(10_000):
            experiment.add(f"run{{number}}", make_run(number))
            print(number, flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    last = -1
    while last < 20:
        line = child.stdout.readline()
        assert line, "the child ended by itself"
        last = int(line)
    child.send_signal(signal.SIGKILL)
    last = int((child.stdout.read().split() or [last])[-1])
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL

    experiment = begin(out)
    kept = finished_runs(experiment.folder)
    assert {f"run{number}" for number in range(last + 1)} <= set(kept)
    assert len(kept) <= last + 2
    assert_same(experiment.run(f"run{last}"), make_run(last))
    experiment.finish(make_summary())
    assert set(read(out).runs) == set(kept)


@pytest.mark.slow
def test_killed_at_any_step_it_still_goes_on(tmp_path, monkeypatch):
    """Die before the first, the second, ... call that touches the disk, until none is left to die at."""

    def life(out, steps):
        """Run the experiment in a process that dies before its step number ``steps``."""
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1]
        try:
            left = [steps]

            def dying(call):
                def step(*arguments, **keywords):
                    left[0] -= 1
                    if left[0] < 0:
                        os._exit(9)
                    return call(*arguments, **keywords)

                return step

            os.fsync = dying(os.fsync)
            for name in ("replace", "unlink", "rmdir", "mkdir"):
                setattr(Path, name, dying(getattr(Path, name)))
            live(out)
            os._exit(0)
        finally:
            os._exit(1)

    def live(out):
        experiment = begin(out)
        for name in ("a", "b"):
            if not experiment.complete and not experiment.has(name):
                experiment.add(name, make_run(1, weights={}, spikes={}))
        if not experiment.complete:
            experiment.finish(make_summary())

    deaths = 0
    for steps in range(100):
        out = tmp_path / str(steps) / "x.h5"
        status = os.waitstatus_to_exitcode(life(out, steps))
        assert status in (0, 9), "it failed instead of dying"
        assert not out.exists() or read(out).attrs.complete
        live(out)
        assert set(read(out).runs) == {"a", "b"}
        assert names_in(out.parent) == ["x.h5"], steps
        if status == 0:
            break
        deaths += 1
    assert deaths > 15
    assert status == 0


def test_a_damaged_part_is_removed_and_its_run_counts_as_not_done(tmp_path):
    experiment = begin(tmp_path / "x.h5")
    experiment.add("whole", make_run(1))
    experiment.add("broken", make_run(2))
    part = experiment.folder / "broken.h5"
    part.write_bytes(part.read_bytes()[:5000])
    (experiment.folder / "other.h5").write_text("something else")
    assert finished_runs(experiment.folder) == ("whole",)
    assert part.exists()
    with pytest.raises(RecordingError, match=r"broken\.h5 is truncated"):
        experiment.finish(make_summary())
    experiment = begin(tmp_path / "x.h5")
    assert experiment.has("whole")
    assert not experiment.has("broken")
    assert names_in(experiment.folder) == ["config.json", "whole.h5"]


# Another configuration


@pytest.mark.parametrize("finish", [True, False])
def test_another_configuration_is_refused_and_the_settings_named(tmp_path, finish):
    out = tmp_path / "x.h5"
    experiment = begin(out)
    experiment.add("a", make_run())
    if finish:
        experiment.finish(make_summary())
    before = names_in(tmp_path)
    config = {"hops": 20, "fractions": [0.01, 0.1], "relay": {"gain": 0.8, "leak": None}, "jobs": 2}
    circuit = CIRCUIT.replace("64", "32")
    with pytest.raises(RecordingError) as caught:
        begin(out, config=config, circuit=circuit, seed=12)
    message = str(caught.value)
    assert message.startswith(str(out if finish else experiment.folder))
    assert (
        "(seed: 11 -> 12, hops: 12 -> 20, relay.gain: 0.9 -> 0.8, "
        "circuit.populations[0].size: 64 -> 32, jobs: (not there) -> 2)" in message
    )
    assert "fractions" not in message
    assert "leak" not in message
    assert "Give another --out, or remove the " + ("file" if finish else "folder") in message
    assert names_in(tmp_path) == before
    begin(out, title="another title", script="another script")  # these make no other experiment


def test_long_differences_are_cut_short(tmp_path):
    begin(tmp_path / "x.h5", config={str(i): 0 for i in range(30)} | {"long": "x" * 500})
    with pytest.raises(RecordingError) as caught:
        begin(tmp_path / "x.h5", config={str(i): 1 for i in range(30)} | {"long": "y"})
    assert "and 21 more" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_something_else_in_the_way_is_refused(tmp_path):
    (tmp_path / "x.h5").write_text("my thesis")
    with pytest.raises(RecordingError, match=r"x\.h5 is not an HDF5 file.* give another --out, or remove it"):
        begin(tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_text() == "my thesis"
    with pytest.raises(RecordingError, match=r"is a folder.* give another --out"):
        begin(tmp_path)


def test_runs_without_their_settings_are_refused(tmp_path):
    experiment = begin(tmp_path / "x.h5")
    experiment.add("a", make_run())
    (experiment.folder / "config.json").write_text("{")
    with pytest.raises(RecordingError, match=r"x\.h5\.parts holds runs, but its config\.json is missing or damag"):
        begin(tmp_path / "x.h5")
    assert names_in(experiment.folder) == ["a.h5", "config.json"]


@pytest.mark.parametrize("value", [float("nan"), np.float64(1), Path("x"), {1, 2}])
def test_settings_that_do_not_go_into_json_are_named(tmp_path, value):
    if type(value) is np.float64:  # is a float, and goes
        assert begin(tmp_path / "x.h5", config={"gain": value})
        return
    with pytest.raises(RecordingError, match=r"the setting gain = .* does not go into JSON: use plain finite"):
        begin(tmp_path / "x.h5", config={"gain": value})


# Full and read-only disks


def failing(number):
    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number), "somewhere")

    return fail


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (
            errno.ENOSPC,
            "no space left. Free some and run again, finished runs are kept; or give another --out",
        ),
        (errno.EDQUOT, "no space left"),
        (errno.EROFS, "is read-only. Make it writable, or give another --out"),
        (errno.EACCES, "is read-only"),
        (errno.EIO, "Input/output error.* Run again"),
    ],
)
@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "h5py.File", "pathlib.Path.open"])
def test_disk_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch, number, says, where):
    out = tmp_path / "x.h5"
    experiment = begin(out)
    experiment.add("a", make_run(1))
    (experiment.folder / "config.json").touch()
    before = names_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(where, failing(number))
        with pytest.raises(RecordingError, match=rf"b\.h5 could not be written: .*{says}"):
            experiment.add("b", make_run(2))
    assert names_in(tmp_path) == before
    assert not experiment.complete

    calls = []
    real = recording._put_in_place

    def only_the_last(path, content):
        calls.append(path)
        with monkeypatch.context() as patch:
            if where != "h5py.File":
                patch.setattr(where, failing(number))
            real(path, content)

    monkeypatch.setattr(recording, "_put_in_place", only_the_last)
    if where == "h5py.File":
        return  # finishing reads with the same call
    with pytest.raises(RecordingError, match=rf"x\.h5 could not be written: .*{says}"):
        experiment.finish(make_summary())
    assert calls == [out]
    assert names_in(tmp_path) == before
    monkeypatch.undo()
    experiment.finish(make_summary())
    assert set(read(out).runs) == {"a"}


def test_disk_that_is_really_full(tmp_path):
    """A limit on the size of a file makes the system refuse the bytes, not a stand-in for it."""
    out = tmp_path / "x.h5"
    experiment = begin(out)
    for name in "abcde":
        experiment.add(name, make_run(1))
    before = names_in(tmp_path)
    child = os.fork()
    if not child:
        try:
            size = (experiment.folder / "a.h5").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
            for attempt in (
                lambda: experiment.add("f", make_run(1)),
                lambda: experiment.finish(make_summary()),
            ):
                with pytest.raises(RecordingError, match="no space left"):
                    attempt()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert names_in(tmp_path) == before
    experiment.finish(make_summary())
    assert len(read(out).runs) == 5


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"file/x\.h5 could not be written: a folder on the way"):
        begin(tmp_path / "file" / "x.h5")
    with pytest.raises(RecordingError, match=r"r\.h5 could not be written: a folder on the way is missing"):
        write_run(tmp_path / "nowhere", "r", make_run())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(RecordingError, match=r"x\.h5.* could not be written: .* is read-only"):
            begin(tmp_path / "x.h5")
    finally:
        tmp_path.chmod(0o755)


def test_read_only_folder_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
    with pytest.raises(RecordingError, match=r"x\.h5 could not be written: .* is read-only"):
        begin(tmp_path / "x.h5")


# Files that cannot be read


def test_missing_unfinished_and_folder(tmp_path):
    with pytest.raises(RecordingError, match=r"x\.h5 does not exist: check the path, or run the script"):
        read(tmp_path / "x.h5")
    begin(tmp_path / "x.h5")
    with pytest.raises(RecordingError, match=r"x\.h5 is not finished: run its script again with the same settings"):
        read(tmp_path / "x.h5")
    with pytest.raises(RecordingError, match="is a folder: give the HDF5 file"):
        read(tmp_path)
    part = write_run(tmp_path, "r", make_run())
    with pytest.raises(RecordingError, match=r"r\.h5 is one run of an experiment that is not finished"):
        read(part)


def test_not_hdf5(tmp_path):
    for content in (b"", b"not HDF5", b"learner,reach\n" * 1000):
        (tmp_path / "x.h5").write_bytes(content)
        with pytest.raises(RecordingError, match=r"x\.h5 is not an HDF5 file: give the file that a script"):
            read(tmp_path / "x.h5")


@pytest.mark.parametrize("kept", [0.0001, 0.3, 0.9, 0.9999])
def test_truncated(finished, kept):
    content = finished.read_bytes()
    finished.write_bytes(content[: max(8, int(kept * len(content)))])
    with pytest.raises(RecordingError, match=r"reach\.h5 is truncated or damaged .*: copy it again, or remove it"):
        read(finished)


def test_foreign_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(RecordingError, match=r"is an HDF5 file, but not a recording .*no attribute schema = 'biopl"):
        read(tmp_path / "x.h5")


def test_newer_schema(finished):
    with h5py.File(finished, "r+") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION + 1
        del file["summary"]  # who knows what it looks like by then
    with pytest.raises(
        RecordingError, match=r"has schema version 2, and this bioplastic reads up to 1: install a newer"
    ):
        read(finished)
    with pytest.raises(RecordingError, match=r"install a newer one.* give another --out"):
        begin(finished)


def test_not_complete(finished):
    with h5py.File(finished, "r+") as file:
        file.attrs["complete"] = 0
    with pytest.raises(RecordingError, match=r"reach\.h5 is not complete: remove it and run its script again"):
        read(finished)


@pytest.mark.parametrize("lost", ["summary", "summary/hop", "runs", "learning_rate_sweep/rate"])
def test_damaged(finished, lost):
    with h5py.File(finished, "r+") as file:
        del file[lost]
    with pytest.raises(RecordingError, match=r"reach\.h5 is damaged .*: copy it again, or remove it"):
        read(finished)


def test_damaged_run_is_found_when_it_is_read(finished):
    with h5py.File(finished, "r+") as file:
        run = file["runs/relay_0"]
        del run["change"]
        run["change"] = np.zeros((9, 9))
        del file["runs/frozen_1/event_time"]
    back = read(finished)
    with pytest.raises(RecordingError, match=r"damaged \(change.* has shape \(9, 9\)"):
        back.runs["relay_0"]
    with pytest.raises(RecordingError, match=r"damaged \(.*event_time"):
        back.runs["frozen_1"]


def test_unknown_variables_of_a_later_release_are_left_alone(finished):
    with h5py.File(finished, "r+") as file:
        file["summary/novelty"] = np.zeros(3)
        file["runs/relay_0/novelty"] = np.zeros(3)
    back = read(finished)
    assert "novelty" not in back.summary.variables
    assert_same(back.runs["relay_0"], make_run(0))


def test_golden_recordings_are_still_read():
    golden = sorted((ROOT / "data" / "golden").glob("*-v1.h5"))
    assert golden, "data/golden holds no recording"
    versions = set()
    for path in golden:
        back = read(path)
        versions.add(back.attrs.schema_version)
        assert back.summary.variables, path
        assert np.isfinite(back.summary.variable("reach").values).any(), path
        assert len(back.runs) > 0, path
        for run in back.runs.values():
            assert run.event_time.size, path
    assert SCHEMA_VERSION in versions, "data/golden lacks a recording of this schema version"


# Where it was made


def test_commit_is_that_of_the_checkout_the_package_is_in(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
        done = subprocess.run(["git", "-C", tmp_path, *who, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    package = tmp_path / "recording.py"
    package.write_text("1")
    monkeypatch.setattr(recording, "__file__", str(package))
    assert recording._commit() == ""
    git("init", "-q")
    assert recording._commit() == ""
    git("commit", "-q", "--allow-empty", "-m", "somebody else's checkout")
    assert recording._commit() == ""
    git("add", "recording.py")
    git("commit", "-q", "-m", "ours")
    git("tag", "v1")
    assert recording._commit() == git("rev-parse", "HEAD")
    package.write_text("2")
    assert recording._commit() == git("rev-parse", "HEAD") + "-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert recording._commit() == ""


def test_writing_does_not_hold_the_file_open(tmp_path):
    write_run(tmp_path, "r", make_run())
    with h5py.File(tmp_path / "r.h5", "r+") as file:  # a lock would refuse this
        assert io.BytesIO(file.id.get_file_image()).read(4) == b"\x89HDF"


def test_labelled_arrays_of_another_shape_are_read_by_xarray_and_back(tmp_path: Path) -> None:
    rows = {
        "depth": recording.Variable(("depth",), "1", "layers", "int64"),
        "angle": recording.Variable(("network", "depth"), "degree", "angle to the gradient"),
        "name": recording.Variable(("network",), "1", "what it is called", "str"),
        "missing": recording.Variable(("depth",), "1", "not measured"),
    }
    values = {"depth": [2, 4, 6], "angle": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "name": ["a", "b"]}

    def fill(file: h5py.File) -> None:
        recording.write_provenance(file, title="angles", config={"depths": [2, 4, 6]}, script="print()")
        recording.write_labelled(file.create_group("summary"), rows, values)

    path = tmp_path / "angles.h5"
    recording.write_hdf5(path, fill, schema="bioplastic angles")
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 1
        assert json.loads(file.attrs["config"]) == {"depths": [2, 4, 6]}
        back = recording.read_labelled(file["summary"], rows)
    assert sorted(back) == ["angle", "depth", "name"]
    np.testing.assert_array_equal(back["angle"], values["angle"])
    assert back["name"] == ("a", "b")
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(path, group="summary", engine="h5netcdf") as data:
        assert data["angle"].dims == ("network", "depth")
        assert data["angle"].attrs["units"] == "degree"
        assert float(data["angle"].sel(depth=4)[1]) == 5.0
    with pytest.raises(RecordingError, match="not a recording of bioplastic"):
        read(path)


def test_a_file_that_cannot_be_filled_is_not_there(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_group("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recording.write_hdf5(tmp_path / "a.h5", fill)
    assert not list(tmp_path.iterdir())
