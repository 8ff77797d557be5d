"""The command line of a study: settings and options, what is refused, how it ends."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray as xr

from bioplastic.recording import labelled, read
from bioplastic.study import Condition, Study
from bioplastic.study.main import NO_TORCH, parse
from bioplastic.study.report import table
from bioplastic.study.summary import by_labels


@dataclass(frozen=True)
class Settings:
    """Settings of a study that lives nothing."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    n_events: int = 300
    """Length of a life, in events."""
    n_hops: int = 12
    """Length of the chain, in hops."""

    def __post_init__(self) -> None:
        if self.n_events < 1:
            raise ValueError(f"n_events = {self.n_events}; give the length of a life in events, 1 or more.")


class Bench:
    """What all share: nothing but the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def prepare(self, progress) -> None:
        progress(1.0)


def plan(bench, settings, runs):
    yield [Condition("runs", {"seed": seed}) for seed in settings.seeds]


def measure(bench, condition):
    return xr.Dataset({"value": labelled((), float(bench.settings.n_events), "value", "mV")})


def summarise(bench, settings, runs):
    return {"summary": by_labels(runs.of("runs"), "seed")}


def a_study(**changes) -> Study:
    parts = {
        "name": "tiny",
        "title": "Nothing happens",
        "settings": {"": Settings(), "quick": Settings(n_events=40), "full": Settings(n_events=1000)},
        "bench": Bench,
        "plan": plan,
        "measure": measure,
        "summarise": summarise,
        "tables": lambda recording: [table("A table", ["what it holds"], [["1"]])],
        "figures": lambda recording: {},
        "statements": lambda recording: ["A sentence."],
        "running_time": {"": "a minute", "quick": "a second"},
    }
    return Study(**(parts | changes))


def raises(error: BaseException):
    def measure(bench, condition):
        raise error

    return measure


# ------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    ("arguments", "settings", "out"),
    [
        ([], Settings(), "tiny.h5"),
        (["--quick"], Settings(n_events=40), "tiny-quick.h5"),
        (["--full", "--n-events", "7"], Settings(n_events=7), "tiny-full.h5"),
        (["--n-events=7", "--quick"], Settings(n_events=7), "tiny-quick.h5"),
        (["--seeds", "2"], Settings(seeds=(0, 1)), "tiny.h5"),
        (["--seeds=4", "--n-events", "7"], Settings(seeds=(0, 1, 2, 3), n_events=7), "tiny.h5"),
        (["--seeds", "5", "9"], Settings(seeds=(5, 9)), "tiny.h5"),
        (["--seeds", "3", "--quick"], Settings(seeds=(0, 1, 2), n_events=40), "tiny-quick.h5"),
        (["--hops", "5"], Settings(n_hops=5), "tiny.h5"),
        (["--hops=5"], Settings(n_hops=5), "tiny.h5"),
        (["--n-hops", "5"], Settings(n_hops=5), "tiny.h5"),
    ],
)
def test_settings_are_options_and_sizes_are_where_they_begin(arguments, settings, out):
    read_settings, options = parse(a_study(), arguments)
    assert read_settings == settings
    assert options.out == Path("data", "runs", out)


def test_options_are_those_of_every_study():
    _, options = parse(a_study(), ["--out", "x/run.h5", "--jobs", "3", "--record", "weights,spikes"])
    assert (options.out, options.jobs, options.record) == (Path("x/run.h5"), 3, "weights,spikes")


def test_help_says_what_every_option_is_and_how_long_it_takes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert a_study().main(["--help"]) == 0
    said = capsys.readouterr().out
    for text in (
        "tiny.py",
        "Nothing happens",
        "default (a minute), --quick (a second), --full.",
        "in events",
        "--out FILE",
    ):
        assert text in said
    assert "--seeds N alone means seeds 0 to N - 1." in said
    assert a_study().main(["--help"], prog="bioplastic run tiny") == 0
    assert "usage: bioplastic run tiny" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ how it ends


def test_a_run_prints_tables_and_sentences_and_leaves_a_recording(tmp_path, capsys):
    out = tmp_path / "run.h5"
    assert a_study().main(["--quick", "--seeds", "2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.index("A table") < said.index("A sentence.") < said.index(f"wrote {out}")
    assert read(out).summary["value"].values.tolist() == [40.0, 40.0]


def refused(study: Study, arguments: list[str], capsys) -> str:
    """What stands on stderr, after exit status 2 and nothing on stdout."""
    assert study.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--quick", "--full"], "tiny: --quick and --full exclude each other; give one.\n"),
        (["--seeds", "0"], "tiny: --seeds: no seed is given; give how many, 1 or more, or several seeds.\n"),
        (["--seeds"], "tiny: --seeds: no seed is given; give how many, 1 or more, or several seeds.\n"),
        (["--record", "dreams"], "tiny: record = 'dreams'; what can be recorded is weights, spikes.\n"),
        (["--record", "weights, dreams"], "tiny: record = 'dreams'; what can be recorded is weights, spikes.\n"),
        (["--n-events", "0"], "tiny: n_events = 0; give the length of a life in events, 1 or more.\n"),
        (["--jobs", "0"], "tiny: jobs = 0; give the number of lives to simulate at once, 1 or more.\n"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert refused(a_study(), arguments, capsys) == sentence
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["--n-event", "5"], ("--n-event", "Perhaps you meant", "--n-events INT")),
        (["--seds", "5"], ("--seds", "Perhaps you meant", "--seeds")),
        (["--n-events", "many"], ("--n-events", "'many'")),
        (["run.h5"], ("Unrecognized", "run.h5")),
    ],
)
def test_an_option_that_is_not_known_is_answered_with_the_nearest(arguments, texts, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    said = refused(a_study(), arguments, capsys)
    for text in texts:
        assert text in said


def test_a_recording_of_other_settings_is_in_the_way(tmp_path, capsys):
    out = tmp_path / "run.h5"
    assert a_study().main(["--quick", "--out", str(out)]) == 0
    capsys.readouterr()
    said = refused(a_study(), ["--out", str(out)], capsys)
    assert said.startswith("tiny: ")
    assert "n_events: 40 -> 300" in said


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "run.h5"
    assert a_study(measure=raises(KeyboardInterrupt())).main(["--out", str(out)]) == 130
    said = capsys.readouterr().err
    assert f"Interrupted. What is done is kept beside {out}; the same command goes on from there." in said
    assert not out.exists()


def test_without_torch_one_sentence_says_what_to_install(tmp_path, no_torch, capsys):
    def needs_torch(bench, condition):
        import torch

        return torch

    out = tmp_path / "run.h5"
    assert a_study(measure=needs_torch).main(["--out", str(out)]) == 2
    assert capsys.readouterr().err == f"tiny: {NO_TORCH}\n"
    assert "pip install 'bioplastic[twin]'" in NO_TORCH


def test_another_package_that_is_missing_is_a_fault_and_not_hidden(tmp_path):
    error = ModuleNotFoundError("No module named 'numpi'", name="numpi")
    with pytest.raises(ModuleNotFoundError, match="numpi"):
        a_study(measure=raises(error)).main(["--out", str(tmp_path / "run.h5")])


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path, capfd):
    study = a_study(tables=lambda recording: (_ for _ in ()).throw(BrokenPipeError()))
    kept = os.dup(sys.stdout.fileno())
    try:
        assert study.main(["--out", str(tmp_path / "run.h5")]) == 1
    finally:
        os.dup2(kept, sys.stdout.fileno())
        os.close(kept)
    assert read(tmp_path / "run.h5").summary.sizes["seed"] == 3
