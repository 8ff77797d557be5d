"""Every script answers --help, and runs in its --quick form to the output that it promises."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from same_numbers.compare import differences

from bioplastic.compiled.toolchain import compiler, processor

ROOT = Path(__file__).resolve().parents[1]
PRINTS_ONLY = {"benchmark.py"}
KEPT = ROOT / "tests" / "same_numbers"


every_script = pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.name)


def run(script: Path, *arguments: str, cwd: Path, timeout: float) -> str:
    """What the script prints; fails with what it says if it fails."""
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{script.name} {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def is_table(text: str) -> bool:
    """Whether the text has four lines or more, with a drawn line among them."""
    lines = [line for line in text.splitlines() if line.strip()]
    ruled = [line for line in lines if re.search(r"([─━═-])\1{7}", line)]
    return bool(ruled) and len(lines) > 3


def check_recording(path: Path) -> None:
    """A whole HDF5 file, read without this library, with its figure beside it in both formats."""
    with h5py.File(path) as file:
        assert bool(file.attrs["complete"]), f"{path.name} is not marked complete"
        assert any(name.startswith("summary") for name in file), f"{path.name} has no summary"
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        figures = sorted(path.parent.glob(f"{path.stem}*{suffix}"))
        assert figures, f"no {suffix} beside {path.name}"
        assert all(figure.read_bytes().startswith(magic) for figure in figures)


def test_there_are_scripts() -> None:
    assert list((ROOT / "scripts").glob("*.py")), "no script was found, so that nothing below is tested"


@pytest.mark.slow  # the README's commands are asked for their help in the fast tier
@every_script
def test_help(script: Path, tmp_path: Path) -> None:
    text = run(script, "--help", cwd=tmp_path, timeout=120)
    assert "--quick" in text
    assert ("--out" in text) or script.name in PRINTS_ONLY
    assert not any(tmp_path.iterdir()), "--help wrote files"


@pytest.mark.slow
@every_script
def test_quick_run(script: Path, tmp_path: Path) -> None:
    if script.name in PRINTS_ONLY:
        assert is_table(run(script, "--quick", cwd=tmp_path, timeout=900))
        return
    # scripts/test.sh goes on with what all of them have left.
    out = Path(os.environ.get("BIOPLASTIC_QUICK_RUNS", tmp_path / "results")) / f"{script.stem}.h5"
    run(script, "--quick", "--out", str(out), cwd=tmp_path, timeout=900)
    check_recording(out)
    if (KEPT / f"{script.stem}.npz").exists() and same_processor():
        assert not differences(script.stem, out)


def same_processor() -> bool:
    """Whether this is the kind of processor that the kept numbers are from: compiled code is made for the very one."""
    here = hashlib.sha256(processor().encode()).hexdigest()[:16]
    return compiler() is not None and here == (KEPT / "processor").read_text().strip()


def test_recording_check_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file.attrs["complete"] = False
        file.create_group("summary")
    with pytest.raises(AssertionError, match="not marked complete"):
        check_recording(path)
    with h5py.File(path, "a") as file:
        file.attrs["complete"] = True
    with pytest.raises(AssertionError, match=r"no \.png"):
        check_recording(path)
    path.with_suffix(".png").write_bytes(b"\x89PNG")
    path.with_suffix(".pdf").write_bytes(b"%PDF")
    check_recording(path)


def test_table_check_can_fail() -> None:
    assert not is_table("done\n")
    assert is_table("step   us\n----------\nchain  3\ngrid   4\n")
    assert is_table("┏━━━━━━━━━━━━┓\n┃ a ┃ b ┃\n┡━━━━━━━━━━━┩\n│ 1 │ 2 │\n└───────────┘\n")


def shell(command: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, with environment variables of its own; what it says, in one stream."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def test_a_folder_that_is_no_environment_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = shell("source scripts/env.sh; use_env all", BIOPLASTIC_VENV=str(tmp_path), PYTHON=sys.executable)
    assert done.returncode == 1
    assert f"BIOPLASTIC_VENV: {tmp_path} is no virtual environment and not empty; name another folder" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_matrix_names_what_it_needs(tmp_path: Path) -> None:
    assert "usage: .ci/matrix" in shell(".ci/matrix --help").stdout
    unknown = shell(".ci/matrix --fast")
    assert (unknown.returncode, "unknown option '--fast'" in unknown.stdout) == (1, True)
    absent = shell(".ci/matrix", PYTHONS=f"{tmp_path}/python3.13")
    assert (absent.returncode, f"no Python at '{tmp_path}/python3.13'" in absent.stdout) == (1, True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What .ci/matrix needs, two Pythons that only know their version, and tests that fail with the second."""
    for file in (".ci/matrix", "scripts/env.sh", "pyproject.toml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    made = {
        "python3.12": "echo 3.12",
        "python3.13": "echo 3.13",
        "scripts/test.sh": 'echo "$PYTHON $1 in $BIOPLASTIC_VENV"; echo "=== 4 passed ==="\n'
        '[ "$PYTHON" = ./python3.12 ]',
    }
    for file, text in made.items():
        (tmp_path / file).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / file).chmod(0o755)
    return tmp_path


def test_matrix_has_a_line_for_each_python(checkout: Path) -> None:
    done = shell(".ci/matrix", checkout, PYTHONS="./python3.12 ./python3.13")
    for minor in (12, 13):
        assert f"./python3.{minor} --fast in {checkout}/.venv-3.{minor}\n" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["Python 3.12: passed; 4 passed", "Python 3.13: FAILED; 4 passed"]
    assert done.returncode == 1


def test_matrix_says_if_there_is_only_the_default(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(checkout / "python3.12", checkout / ".venv" / "bin" / "python")
    done = shell(".ci/matrix", checkout, PYTHONS="./python3.12")
    assert "Python 3.12: passed; 4 passed" in done.stdout
    assert "no Python beside the default, 3.12, was found" in done.stdout
    assert done.returncode == 0
