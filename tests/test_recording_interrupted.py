"""A recording that is interrupted: killed, on a full disk, beside another process; and damage to finished runs."""

import errno
import os
import random
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from recordings import (
    MAKE,
    RUNS,
    begin,
    contents,
    end_of,
    finished,
    frozen_run,
    go_on,
    in_another_process,
    learning_run,
    names_in,
    provenance,
    record,
    refused,
    summary,
)

from bioplastic.recording import RecordingError, open_recorder, read
from bioplastic.recording import files as recording_files


@pytest.fixture
def begun(tmp_path) -> Path:
    return begin(tmp_path / "x.h5")


# Damaged runs


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "swapped"])
def test_a_damaged_run_is_noticed_and_counts_as_not_done(begun, damage):
    first, second = sorted(begun.with_name("x.h5.parts").glob("*.npz"))
    content = first.read_bytes()
    place = content.index(b"about.json") + 100
    first.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "flipped": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
            "empty": b"",
            "text": b"my thesis",
            "swapped": second.read_bytes(),
        }[damage]
    )
    assert finished(begun) == [False, True] + [False] * 5
    with open_recorder(begun, provenance()) as recorder:
        with refused("is of other settings or code: remove it" if damage == "swapped" else r"\.npz is damaged \("):
            recorder.finish(RUNS[:2], {})
        assert not begun.exists()
        recorder.add(*RUNS[0], learning_run(0))
        assert recorder.finish(RUNS[:2], {})["learning"].sizes["run"] == 2


def test_every_flipped_bit_of_a_run_is_noticed_or_changes_nothing(begun):
    part = min(begun.with_name("x.h5.parts").glob("*.npz"))
    content = part.read_bytes()
    draw = random.Random(0)
    n_noticed = 0
    with open_recorder(begun, provenance()) as recorder:
        for _ in range(300):
            place = draw.randrange(len(content))
            part.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
            try:
                xr.testing.assert_identical(recorder.run(*RUNS[0]), learning_run(0))
            except RecordingError:
                n_noticed += 1
    assert n_noticed > 150


# Killed


def test_killed_at_random_moments_it_goes_on_and_nothing_is_lost(tmp_path):
    """SIGKILL, six times; on a busy machine a run may be over before it."""
    out, runs = tmp_path / "x.h5", [("frozen", {"seed": seed}) for seed in range(20)]
    started = time.perf_counter()
    assert end_of(in_another_process(lambda: record(tmp_path / "whole.h5", runs))) == 0
    duration = time.perf_counter() - started
    draw = random.Random(1)
    kept: set[Path] = set()
    n_kills = 0
    for _ in range(100):
        if n_kills == 6:
            break
        child = in_another_process(lambda: record(out, runs))
        time.sleep(draw.uniform(0, duration * 0.9))
        os.kill(child, signal.SIGKILL)
        n_kills += end_of(child) == -signal.SIGKILL
        there = set(out.with_name("x.h5.parts").glob("*.npz"))
        assert kept <= there or out.exists()
        kept = there
        if out.exists():
            assert read(out)["frozen"].sizes["run"] == 20
            if draw.random() < 0.7:  # and from the beginning
                record(out, runs)
                out.unlink()
                kept = set()
    assert n_kills == 6
    record(out, runs)
    assert contents(out) == contents(tmp_path / "whole.h5")
    assert names_in(tmp_path) == ["whole.h5", "x.h5"]


def test_killed_at_any_step_it_goes_on(tmp_path):
    """Die before the first, the second, ... call that touches the disk, until none is left to die at."""
    runs = [("frozen", {"seed": seed}) for seed in range(2)]

    def life(out: Path) -> None:
        recorder = open_recorder(out, provenance())
        if not recorder.complete:
            for kind, labels in runs:
                if not recorder.has(kind, labels):
                    recorder.add(kind, labels, frozen_run(labels["seed"]))
            recorder.finish(runs, {})

    def short_life(out: Path, steps: int) -> None:
        left = [steps]

        def dying(call):
            def step(*arguments, **keywords):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return call(*arguments, **keywords)

            return step

        os.fsync = dying(os.fsync)
        for name in ("replace", "unlink", "rmdir", "mkdir", "open"):
            setattr(Path, name, dying(getattr(Path, name)))
        life(out)

    life(tmp_path / "whole.h5")
    whole = contents(tmp_path / "whole.h5")
    for steps in range(200):
        out = tmp_path / str(steps) / "x.h5"
        status = end_of(in_another_process(lambda out=out, steps=steps: short_life(out, steps)))
        assert status in (0, 9), "it failed instead of dying"
        life(out)
        assert names_in(out.parent) == ["x.h5"], steps
        assert contents(out) == whole
        if status == 0:
            break
    assert status == 0
    assert steps > 25


def test_ended_by_an_exception_it_lets_others_write(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_recorder(tmp_path / "x.h5", provenance()) as recorder:
        recorder.add(*RUNS[0], learning_run(0))
        raise KeyboardInterrupt
    assert finished(tmp_path / "x.h5") == [True] + [False] * 6


# In use


def test_a_recording_that_another_process_writes_is_refused_until_that_ends(tmp_path):
    out = tmp_path / "x.h5"
    said, says = os.pipe()

    def life() -> None:
        recorder = open_recorder(out, provenance())
        os.write(says, b".")
        time.sleep(60)
        recorder.close()

    child = in_another_process(life)
    os.read(said, 1)
    with refused(rf"x\.h5 is in use by another process that writes it \(number {child}\): wait for it to end, or give"):
        open_recorder(out, provenance())
    with refused(r"x\.h5 is not finished: run its script again with the same settings, it goes on where it stopped"):
        read(out)
    os.kill(child, signal.SIGKILL)
    end_of(child)
    assert not open_recorder(out, provenance()).complete


def test_a_recording_that_this_process_writes_already_is_refused(tmp_path):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    with refused(r"x\.h5 is being recorded by this process already: close\(\) the recorder that does it"):
        open_recorder(tmp_path / "x.h5", provenance())
    recorder.close()
    assert not names_in(tmp_path)
    open_recorder(tmp_path / "x.h5", provenance()).close()


def test_a_file_that_another_process_changes_is_not_read(tmp_path):
    out = record(tmp_path / "x.h5").path
    said, says = os.pipe()

    def life() -> None:
        file = h5py.File(out, "r+")
        os.write(says, b".")
        time.sleep(60)
        file.close()

    child = in_another_process(life)
    os.read(said, 1)
    with refused(r"x\.h5 is in use by another process, which writes it: wait for it to end"):
        read(out)
    os.kill(child, signal.SIGKILL)
    end_of(child)


def test_two_processes_that_begin_at_once_do_not_both_write(tmp_path):
    """The lock is a file, which the one that ends removes: who waited for it must not have it then."""
    out, runs = tmp_path / "x.h5", [("frozen", {"seed": seed}) for seed in range(3)]

    def life() -> None:
        while True:
            try:
                recorder = open_recorder(out, provenance())
            except RecordingError as error:
                assert "in use" in str(error)
                continue
            if recorder.complete:
                return
            mine = tmp_path / "writing"
            mine.touch(exist_ok=False)  # fails if another writes too
            for kind, labels in runs:
                if not recorder.has(kind, labels):
                    recorder.add(kind, labels, frozen_run(labels["seed"]))
                    break
            mine.unlink()
            if all(recorder.has(*run) for run in runs):
                recorder.finish(runs, {})
            recorder.close()

    children = [in_another_process(life) for _ in range(4)]
    assert [end_of(child) for child in children] == [0] * 4
    assert read(out)["frozen"].sizes["run"] == 3
    assert names_in(tmp_path) == ["x.h5"]


def test_runs_may_be_added_by_several_threads(tmp_path):
    runs = [("frozen", {"seed": seed}) for seed in range(40)]
    with open_recorder(tmp_path / "x.h5", provenance()) as recorder, ThreadPoolExecutor(8) as threads:
        twice = runs + runs
        list(threads.map(lambda run: recorder.add(*run, frozen_run(run[1]["seed"])), twice))
        recording = recorder.finish(runs, {})
    for seed in range(40):
        np.testing.assert_array_equal(
            recording.run("frozen", seed=seed)["error_spikes"], [5 + seed, 3 + seed, 1 + seed]
        )


# Full and read-only disks


def failing(number: int):
    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number), "somewhere")

    return fail


NO_SPACE = "no space left. Free some and run again, finished runs are kept; or give another --out"


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, NO_SPACE),
        (errno.EDQUOT, "no space left"),
        (errno.EROFS, "is read-only. Make it writable, or give another --out"),
        (errno.EACCES, "is read-only"),
        (errno.EIO, "Input/output error.* Run again, finished runs are kept"),
    ],
)
@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_a_disk_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch, number, says, where):
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    recorder.add(*RUNS[0], learning_run(0))
    before = names_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(where, failing(number))
        with refused(rf"\.npz could not be written: .*{says}"):
            recorder.add(*RUNS[1], learning_run(1))
        with refused(rf"could not be written: .*{says}"):
            recorder.finish(RUNS[:1], {})
    assert names_in(tmp_path) == before
    assert not recorder.complete
    recorder.finish(RUNS[:1], {"summary": summary()})
    assert names_in(tmp_path) == ["x.h5"]


def test_a_disk_that_is_really_full(tmp_path):
    """A limit on the size of a file makes the system refuse the bytes, wherever HDF5 is; it does not crash of it."""
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    for kind, labels in RUNS:
        recorder.add(kind, labels, MAKE[kind](labels["seed"]))
    before = names_in(tmp_path)
    size = record(tmp_path / "whole" / "y.h5").path.stat().st_size

    def life() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        with refused(rf"\.npz could not be written: {NO_SPACE}"):
            recorder.add("learning", {"seed": 9}, learning_run(2))
        for limit in [0, *range(1000, size, size // 6), size - 1]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            with refused(f"could not be written: {NO_SPACE}"):
                recorder.finish(RUNS, {"summary": summary()})

    assert end_of(in_another_process(life)) == 0
    assert [name for name in names_in(tmp_path) if not name.startswith("whole")] == before
    assert contents(go_on(recorder).path) == contents(tmp_path / "whole" / "y.h5")


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with refused(
        r"file/x\.h5 could not be written: a folder on the way is missing, or is a file .* Give another --out"
    ):
        open_recorder(tmp_path / "file" / "x.h5", provenance())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with refused(rf"could not be written: {tmp_path} is read-only\. Make it writable, or give another --out"):
            open_recorder(tmp_path / "x.h5", provenance())
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_disk_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
    with refused(r"x\.h5 could not be written: .* is read-only\. Make it writable"):
        open_recorder(tmp_path / "x.h5", provenance())


def test_a_complete_recording_on_a_read_only_disk_is_complete(tmp_path, monkeypatch):
    record(tmp_path / "x.h5")
    for name in ("mkdir", "unlink", "replace", "touch"):
        monkeypatch.setattr(Path, name, failing(errno.EROFS))
    assert open_recorder(tmp_path / "x.h5", provenance()).complete


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(recording_files.fcntl, "flock", failing(errno.ENOTSUP))
    assert record(tmp_path / "x.h5").kinds == ("frozen", "learning")
    monkeypatch.setattr(recording_files.fcntl, "flock", failing(errno.EIO))
    with refused("Input/output error"):
        open_recorder(tmp_path / "y.h5", provenance())
