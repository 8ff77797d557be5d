"""What scripts share: the command line, files of their own shape, and the description of a run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from brian2 import ms
from rich.progress import Progress

from bioplastic import script
from bioplastic.events import Event, Kind, Schedule, Timing
from bioplastic.recording import schema1 as recording


@dataclass(frozen=True)
class Config:
    n_hops: int = 12
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        if self.n_hops == 13:
            raise ValueError("n_hops = 13 brings bad luck; give another.")


QUICK, FULL = Config(seeds=(0,)), Config(seeds=tuple(range(10)))


def command(arguments: list[str], work=None) -> tuple[int, list]:
    calls = []
    status = script.command_line(
        arguments,
        doc="Does nothing.",
        name="nothing",
        settings={"": Config(), "quick": QUICK, "full": FULL},
        sizes={"quick": "a little", "full": "all"},
        work=work or (lambda *given: calls.append(given)),
    )
    return status, calls


@pytest.mark.parametrize(
    ("arguments", "config", "out", "jobs"),
    [
        ([], Config(), "nothing.h5", 2),
        (["--quick"], QUICK, "nothing-quick.h5", 2),
        (["--full", "--jobs", "1"], FULL, "nothing-full.h5", 1),
        (["--quick", "--seeds", "4", "--hops", "3"], Config(3, (0, 1, 2, 3)), "nothing-quick.h5", 2),
    ],
)
def test_options_become_settings(arguments, config, out, jobs):
    assert command(arguments) == (0, [(config, Path("data", "runs", out), jobs)])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--hops", "1"], "--hops 1: give 2 or more."),
        (["--seeds", "0"], "--seeds 0: give 1 or more."),
        (["--jobs", "-1"], "--jobs -1: give 1 or more."),
        (["--quick", "--full"], "not allowed with argument"),
        (["--hops", "13"], "n_hops = 13 brings bad luck; give another."),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_options_are_those_that_the_settings_know(capsys):
    @dataclass(frozen=True)
    class Plain:
        n: int = 1

    with pytest.raises(SystemExit):
        script.command_line(
            ["--help"], doc="", name="a", settings={"": Plain()}, sizes={}, work=lambda *_: None, parallel=False
        )
    shown = capsys.readouterr().out
    assert "--out" in shown
    assert not any(option in shown for option in ("--hops", "--seeds", "--jobs", "--quick"))


@pytest.mark.parametrize(
    ("raised", "status", "sentence"),
    [(recording.RecordingError("the disk is full"), 2, "the disk is full"), (KeyboardInterrupt(), 130, "goes on from")],
)
def test_what_goes_wrong_is_a_sentence_and_a_status(raised, status, sentence, capsys):
    def work(*given):
        raise raised

    assert command([], work)[0] == status
    assert sentence in capsys.readouterr().err


def test_only_a_whole_file_by_the_same_settings_is_complete(tmp_path, capsys):
    out = tmp_path / "a.h5"
    assert not script.is_complete(out, schema="s", config=Config())
    with h5py.File(out, "w") as file:
        file.attrs["schema"], file.attrs["config"] = "s", json.dumps(asdict(Config()))
        file.attrs["complete"] = 1
    assert script.is_complete(out, schema="s", config=Config())
    assert "is complete" in capsys.readouterr().out
    for schema, config in (("other", Config()), ("s", QUICK)):
        with pytest.raises(recording.RecordingError, match="of another configuration"):
            script.is_complete(out, schema=schema, config=config)
    out.write_text("no HDF5")
    with pytest.raises(recording.RecordingError, match="cannot be read"):
        script.is_complete(out, schema="s", config=Config())


# ------------------------------------------------------------------------------------------ finished runs

ROWS = {
    "time": recording.Variable(("time",), "s", "time"),
    "error": recording.Variable(("time",), "1", "error"),
    "names": recording.Variable(("cell",), "1", "names", "str"),
    "total": recording.Variable((), "1", "sum"),
}
VALUES = {"time": np.array([0.5, 1.5]), "error": np.array([3.0, np.nan]), "names": ["a", "b"], "total": 7.0}


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "made_by.py"
    path.write_text("one\n")
    return path


def stored(tmp_path, source, *, config=QUICK, more=()) -> script.Store:
    return script.Store(tmp_path / "run.h5", schema="s", rows=ROWS, config=config, sources=[source, *more])


def test_finished_runs_are_there_again(tmp_path, source):
    stored(tmp_path, source).add("first", VALUES, {"arm": "replay", "seed": 3})
    stored(tmp_path, source).add("second", VALUES | {"total": 8.0})
    again = stored(tmp_path, source)
    assert set(again.runs) == {"first", "second"}
    np.testing.assert_array_equal(again.runs["first"]["error"], VALUES["error"])
    assert again.runs["first"]["names"] == ("a", "b")
    assert (again.runs["first"]["total"], again.runs["second"]["total"]) == (7, 8)
    assert again.attributes == {"first": {"arm": "replay", "seed": 3}, "second": {}}


def test_runs_by_other_settings_or_another_source_are_not_used(tmp_path, source):
    model = tmp_path / "model.py"
    model.write_text("cells\n")
    stored(tmp_path, source, more=[model]).add("first", VALUES)
    assert not stored(tmp_path, source, more=[model], config=FULL).runs
    model.write_text("other cells\n")
    assert not stored(tmp_path, source, more=[model]).runs
    model.write_text("cells\n")
    assert set(stored(tmp_path, source, more=[model]).runs) == {"first"}
    source.write_text("two\n")
    assert not stored(tmp_path, source, more=[model]).runs


@pytest.mark.parametrize("damage", ["cut", "emptied", "no run"])
def test_a_damaged_file_is_as_if_it_had_not_been_lived(tmp_path, source, damage):
    store = stored(tmp_path, source)
    store.add("whole", VALUES)
    store.add("damaged", VALUES)
    path = store.folder / "damaged.h5"
    if damage == "no run":
        with h5py.File(path, "a") as file:
            del file["run"]
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if damage == "cut" else 0])
    again = stored(tmp_path, source)
    assert set(again.runs) == {"whole"} == set(again.attributes)
    again.add("damaged", VALUES)
    assert set(stored(tmp_path, source).runs) == {"whole", "damaged"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path, source):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run.h5"
    with pytest.raises(recording.RecordingError, match=r"run\.h5\.parts cannot be made \(.*\): give another --out\."):
        script.Store(out, schema="s", rows=ROWS, config=QUICK, sources=[source])


def test_the_finished_file_holds_all_and_the_parts_are_gone(tmp_path, source):
    stored(tmp_path, source).add("first", VALUES, {"arm": "replay", "seed": 3})
    store = stored(tmp_path, source)
    store.add("second", VALUES)
    (store.folder / "killed.h5.123.part").write_text("half")  # a write that was killed
    title = "What is kept"

    def fill(file: h5py.File) -> None:
        file.create_group("summary").attrs["n"] = len(file["runs"])

    store.finish(title, fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made_by.py", "run.h5"]
    with h5py.File(store.out) as file:
        expected = {"schema": "s", "complete": 1, "title": title, "script": "one\n", "seed": 0}
        assert {name: file.attrs[name] for name in expected} == expected
        assert json.loads(file.attrs["config"]) == {"n_hops": 12, "seeds": [0]}
        assert {"created", "versions", "python", "platform", "commit"} <= set(file.attrs)
        assert file["summary"].attrs["n"] == 2
        assert dict(file["runs/first"].attrs) == {"arm": "replay", "seed": 3}
        assert not file["runs/second"].attrs
        for name in ("first", "second"):
            error = file["runs"][name]["error"]
            np.testing.assert_array_equal(error, VALUES["error"])
            np.testing.assert_array_equal(error.dims[0][0], VALUES["time"])
            assert list(file["runs"][name]["names"].asstr()) == ["a", "b"]
    assert script.is_complete(store.out, schema="s", config=QUICK)


def test_what_is_not_ours_stays_in_the_folder(tmp_path, source):
    store = stored(tmp_path, source)
    store.add("first", VALUES)
    (store.folder / "notes.txt").write_text("mine")
    store.finish("What is kept", lambda file: None)
    assert [path.name for path in store.folder.iterdir()] == ["notes.txt"]


# ------------------------------------------------------------------------------------------ description of a run


@pytest.mark.parametrize(("arm", "rate"), [("learning", 0.1), ("frozen", np.nan)])
def test_a_run_is_described_by_its_schedule(arm, rate):
    timing = Timing(lead=100 * ms, outcome=40 * ms, gap=10 * ms)
    schedule = Schedule.of([Event(3, 1), Event(4, 2, Kind.RARE, salience=2.0), Event(5, 1)])
    run = script.describe(
        schedule,
        timing,
        arm=arm,
        learner="a",
        event_fraction=0.5,
        seed=7,
        learning_rate=0.1,
        output_error=np.array([1.0, 2.0, 3.0]),
    )
    np.testing.assert_allclose(run.event_time, [0, 0.15, 0.34])  # a salient outcome stays twice as long
    assert run.event_stimulus.tolist() == [3, 4, 5]
    assert run.event_occurrence.tolist() == [0, 1, 0]
    assert run.role == "result"
    assert run.replay == "off"
    assert not run.event_replayed.any()
    np.testing.assert_equal(run.learning_rate, rate)


def test_replays_and_rests_are_described():
    schedule = Schedule.of(
        [Event(3, 1, Kind.RARE), Event(kind=Kind.REST, rest=4), Event(3, 1, Kind.RARE_REPLAY), Event(5, 2, Kind.REPLAY)]
    )
    run = script.describe(
        schedule,
        Timing(lead=100 * ms, outcome=40 * ms, gap=10 * ms),
        arm="learning",
        learner="a",
        event_fraction=0.5,
        seed=0,
        learning_rate=0.1,
        output_error=np.zeros(4),
        replay="buffer",
    )
    assert run.replay == "buffer"
    assert run.event_replayed.tolist() == [False, False, True, True]
    assert run.event_stimulus.tolist() == [3, -1, 3, 5]
    assert run.event_occurrence.tolist() == [1, 0, 0, 0]
    assert [recording.EVENT_KINDS[kind] for kind in run.event_kind] == ["rare", "rest", "rare_replay", "replay"]


def test_only_what_is_missing_is_lived_at_once():
    conditions = [SimpleNamespace(name=name) for name in "abc"]
    store, kept, done = SimpleNamespace(runs={"b": {}}), {}, []

    def live(missing, progress):
        progress(0.5)
        done.append(bar.tasks[0].completed)
        return [one.name.upper() for one in missing]

    def keep(condition, lived):
        kept[condition.name] = lived

    with Progress(disable=True) as bar:
        script.live_missing_at_once(store, conditions, live, keep, bar=bar, label="twin")
        assert kept == {"a": "A", "c": "C"}
        assert done == [0.5]
        script.live_missing_at_once(store, conditions[1:2], live, keep, bar=bar, label="nothing")
        assert len(bar.tasks) == 1
