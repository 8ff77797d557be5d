"""The experiments that come with the library: found, described without being imported, loaded, and run."""

import os
import re
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bioplastic import experiments
from bioplastic.cli import main
from bioplastic.experiments import Experiment, ExperimentError, load, study_of
from bioplastic.recording import Provenance, read
from bioplastic.study.main import NO_TORCH
from bioplastic.study.run import provenance

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))

TINY = '''
"""Measure nothing, and see what comes of it.

Question
    What is there when nothing happens? And
    what is not?
Source
    None.
Running time
    On two cores: a second.
Output
    One HDF5 file.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from bioplastic.recording import labelled
from bioplastic.study import Condition, Study
from bioplastic.study.report import table
from bioplastic.study.summary import by_labels


@dataclass(frozen=True)
class Settings:
    seeds: tuple[int, ...] = (0, 1)
    """Seeds."""
    factor: float = 2.0
    """What a seed is multiplied with."""


class Bench:
    def __init__(self, settings):
        self.settings = settings

    def prepare(self, progress):
        progress(1.0)


def plan(bench, settings, runs):
    yield [Condition("runs", {"seed": seed}) for seed in settings.seeds]


def measure(bench, condition):
    return xr.Dataset({"value": labelled((), bench.settings.factor * condition["seed"], "a value", "mV")})


STUDY = Study(
    name="tiny",
    title="Nothing happens",
    settings={"": Settings(), "quick": Settings(factor=3.0)},
    bench=Bench,
    plan=plan,
    measure=measure,
    summarise=lambda bench, settings, runs: {"summary": by_labels(runs.of("runs"), "seed")},
    tables=lambda recording: [table("What was measured", ["values in all"], [[str(recording.summary.sizes["seed"])]])],
    figures=lambda recording: {},
    statements=lambda recording: ["Nothing happened."],
    script=Path(__file__),
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
'''
PLAIN = '''
"""Say what is asked."""

import sys

if __name__ == "__main__":
    print("plain", *sys.argv[1:])
    sys.exit(3 if "--fail" in sys.argv else 0)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two experiments of its own, in the place of those of the library."""
    made = tmp_path / "scripts"
    made.mkdir()
    (made / "tiny.py").write_text(TINY.lstrip())
    (made / "plain.py").write_text(PLAIN.lstrip())
    package = ModuleType(experiments.PACKAGE)
    package.__path__ = [str(made)]
    monkeypatch.setitem(sys.modules, experiments.PACKAGE, package)
    for name in ("tiny", "plain"):
        monkeypatch.delitem(sys.modules, f"{experiments.PACKAGE}.{name}", raising=False)
    return made


# ------------------------------------------------------------------------------------------ what there is


def test_every_script_is_an_experiment_with_a_question_and_a_running_time():
    found = experiments.experiments()
    assert sorted(found) == SCRIPTS
    for name, one in found.items():
        assert one.name == name
        assert one.path == ROOT / "scripts" / f"{name}.py"
        assert one.title.endswith((".", "?")) or "?" in one.title, name
        assert "?" in one.question, name
        assert re.search(r"minute|second|hour", one.running_time), name


def test_what_a_script_says_is_read_and_not_run(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(TINY.lstrip() + "\n1/0\n")
    one = Experiment("one", path)
    assert one.title == "Measure nothing, and see what comes of it."
    assert one.question == "What is there when nothing happens? And what is not?"
    assert one.running_time == "On two cores: a second."
    assert one.has_study
    assert one.says("Nothing happens")
    assert not one.says("Nothing")
    path.write_text("x = 1\n")
    plain = Experiment("plain", path)
    assert (plain.title, plain.question, plain.running_time, plain.has_study) == ("", "", "", False)
    path.write_text("STUDY: object = 3\n")
    assert Experiment("annotated", path).has_study


def test_experiments_that_are_not_installed_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, experiments.PACKAGE, None)
    with pytest.raises(ExperimentError, match=r"not installed: pip install bioplastic, or in a checkout"):
        experiments.experiments()


# ------------------------------------------------------------------------------------------ loading


def test_a_study_is_loaded_once_from_its_path(folder):
    study = load("tiny")
    assert study.name == "tiny"
    assert study.bench.__module__ == "bioplastic_scripts.tiny"
    assert load("tiny") is study


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", "there is no experiment 'tinny'; did you mean 'tiny'?"),
        ("Tiny", "there is no experiment 'Tiny'; did you mean 'tiny'?"),
        ("zzz", "there is no experiment 'zzz'; there are plain, tiny."),
        ("plain", "plain.py defines no STUDY; give it one, a bioplastic.study.Study."),
    ],
)
def test_what_cannot_be_loaded_is_named(folder, name, message):
    with pytest.raises(ExperimentError, match=re.escape(message)):
        load(name)


def test_a_script_that_fails_is_not_kept_half_loaded(folder):
    (folder / "tiny.py").write_text("1/0\nSTUDY = 3\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load("tiny")


def test_all_studies_of_the_library_can_be_loaded_and_are_found_by_their_recordings():
    found = [one for one in experiments.experiments().values() if one.has_study]
    assert "reach_vs_frequency" in {one.name for one in found}
    for one in found:
        study = load(one.name)
        assert study.script == one.path
        made = Provenance.here(title=study.title, settings={}, circuit="", code="", script=f"{one.name}.py", source="")
        assert study_of(made) is study
        assert study_of(replace(made, script="renamed.py")) is study
        assert study_of(replace(made, title="Another title")) is None


# ------------------------------------------------------------------------------------------ bioplastic run


def test_list_shows_every_question_and_running_time(folder, capsys):
    assert main(["run", "--list"]) == 0
    said = capsys.readouterr().out
    assert "tiny\n" in said
    assert "    What is there when nothing happens? And what is not?" in said
    assert "    On two cores: a second." in said


def test_list_of_the_library_names_all_of_them_within_the_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["run", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line for line in lines if line and not line.startswith(" ")} == set(SCRIPTS)
    assert max(map(len, lines)) <= 80


def test_run_does_what_the_script_does(folder, tmp_path, capsys):
    by_name, by_script = tmp_path / "name.h5", tmp_path / "script.h5"
    assert main(["run", "tiny", "--quick", "--seeds", "3", "--out", str(by_name)]) == 0
    assert "Nothing happened." in capsys.readouterr().out
    command = [sys.executable, str(folder / "tiny.py"), "--quick", "--seeds", "3", "--out", str(by_script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, other = read(by_name), read(by_script)
    assert one.summary.identical(other.summary)
    assert one.summary["value"].values.tolist() == [0.0, 3.0, 6.0]
    # What one has begun the other goes on with.
    assert one.provenance.code == other.provenance.code
    assert (one.provenance.script, one.provenance.settings) == ("tiny.py", other.provenance.settings)


def test_options_are_the_experiments_own(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["run", "tiny", "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: bioplastic run tiny" in said
    assert "--factor" in said
    assert main(["run", "tiny", "--factr", "3"]) == 2
    assert "--factor FLOAT" in capsys.readouterr().err


def test_a_script_without_a_study_is_run_as_it_is(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bioplastic"])
    assert main(["run", "plain", "--x", "1"]) == 0
    assert capsys.readouterr().out == "plain --x 1\n"
    assert main(["run", "plain", "--fail"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "tinny"], "bioplastic: there is no experiment 'tinny'; did you mean 'tiny'?\n"),
        (
            ["run"],
            "bioplastic: run needs the name of an experiment: plain, tiny. bioplastic run --list says what they ask.\n",
        ),
    ],
)
def test_run_refuses_what_there_is_not(folder, arguments, sentence, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == sentence


WITHOUT_TORCH = """
import sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Finder)
from bioplastic.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_torch_one_sentence_says_what_to_install(tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, "run", "reach_vs_frequency", "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (2, f"reach_vs_frequency: {NO_TORCH}\n")
    assert "pip install 'bioplastic[twin]'" in NO_TORCH
    assert not list(tmp_path.rglob("*.h5"))


def test_a_script_that_imports_torch_itself_is_answered_alike(folder, no_torch, capsys):
    (folder / "tiny.py").write_text("import torch\nSTUDY = 3\n")
    assert main(["run", "tiny"]) == 2
    assert capsys.readouterr().err == f"bioplastic: {NO_TORCH}\n"


# ------------------------------------------------------------------------------------------ installed


@pytest.mark.slow
def test_experiments_run_from_an_installed_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling comes with the extra 'dev'")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str, timeout: float = 120) -> str:
        here = tmp_path / "empty"
        here.mkdir(exist_ok=True)
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(str(binaries / "python"), "-m", "pip", "install", "--no-deps", "--no-index", str(wheel))
    # The dependencies are those that are installed here, without the links to this checkout that may be among them.
    ours = next(path for path in map(Path, sys.path) if (path / "brian2").is_dir())
    (purelib,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (purelib / "dependencies.pth").write_text(f"{ours}\n")
    where = run(str(binaries / "python"), "-c", "import bioplastic; print(bioplastic.__file__)")
    assert Path(where.strip()).is_relative_to(purelib)
    listed = run(str(binaries / "bioplastic"), "run", "--list")
    assert set(SCRIPTS) <= set(listed.splitlines())
    out = tmp_path / "empty" / "run.h5"
    run(
        str(binaries / "bioplastic"),
        "run",
        "frequency_and_salience",
        "--quick",
        "--seeds",
        "1",
        "--out",
        str(out),
        timeout=900,
    )
    made, study = read(out).provenance, load("frequency_and_salience")
    assert made.script == "frequency_and_salience.py"
    # Installed, the script is as much of what the runs are made of as it is here.
    assert made.code == provenance(study, study.settings["quick"]).code
    assert study.title in run(str(binaries / "python"), "-m", "bioplastic", "compare", str(out))
    assert {path.suffix for path in out.parent.glob("run*")} == {".h5", ".pdf", ".png"}
