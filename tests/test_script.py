"""What scripts share: the command line, files of their own shape, and the description of a run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from brian2 import ms

from bioplastic import recording, script
from bioplastic.events import Event, Kind, Schedule, Timing


@dataclass(frozen=True)
class Config:
    n_hops: int = 12
    seeds: tuple[int, ...] = (0, 1, 2)


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
