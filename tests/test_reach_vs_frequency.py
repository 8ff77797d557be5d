"""The main job as a whole: interrupted it goes on, and what it records is what it should be."""

import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bioplastic.recording import schema1 as recording

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "reach_vs_frequency.py"


@pytest.mark.slow
def test_an_interrupted_job_goes_on_where_it_stopped(tmp_path: Path):
    out = tmp_path / "run.h5"
    command = [sys.executable, str(SCRIPT), "--quick", "--seeds", "1", "--out", str(out)]
    parts = tmp_path / "run.h5.parts"
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begin = time.monotonic()
    while not list(parts.glob("frozen-error_relay*.h5")):
        assert job.poll() is None, job.stderr.read()
        assert time.monotonic() - begin < 300, "no spiking run was finished in five minutes"
        time.sleep(0.05)
    job.send_signal(signal.SIGINT)
    _, complaint = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "goes on from there" in complaint
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.h5")}
    assert kept
    # A sentence, not a lost afternoon, when the same file is meant for something else.
    other = subprocess.run([*command[:2], "--quick", "--seeds", "2", "--out", str(out)], capture_output=True, text=True)
    assert other.returncode == 2
    assert "seeds" in other.stderr
    assert "Traceback" not in other.stderr
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    done = recording.read(out)
    assert set(Path(name).stem for name in kept) <= set(done.runs)
    reach = done.summary.variable("error_signal_reach").values[:, :, 0, 0]
    learner = done.summary.learner.index
    assert (reach[learner("backprop")] == 11).all()
    assert (done.summary.variable("arrival").values[learner("backprop")] == 1).all()
    assert (done.summary.variable("reach").values[learner("backprop, truncated")] == 3).all()
    assert (np.diff(reach[learner("error relay")]) > 0).all()
    complete = subprocess.run(command, capture_output=True, text=True)
    assert complete.returncode == 0
    assert "is complete" in complete.stdout


@pytest.mark.parametrize("options", [["--hops", "1"], ["--seeds", "0"], ["--jobs", "0"], ["--quick", "--full"]])
def test_options_that_make_no_sense_are_refused_with_a_sentence(options: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as refused:
        runpy.run_path(str(SCRIPT))["main"](options)
    assert refused.value.code == 2
    assert options[0] in capsys.readouterr().err
