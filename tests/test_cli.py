"""The command: what it prints of recordings, what it draws, what it refuses; and the audit of a model."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import brian2
import numpy as np
import pytest
import xarray as xr

from bioplastic import __version__
from bioplastic.cli import main
from bioplastic.experiments import load
from bioplastic.recording import Provenance, Recording, labelled, open_recorder

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "data" / "golden" / "reach_vs_frequency-v1.h5"
LEARNERS = (
    "error relay",
    "error relay, unscreened",
    "backprop",
    "backprop, truncated",
    "backprop, falling rate",
    "predictive coding, 3 steps",
    "predictive coding, equilibrium",
    "latent equilibrium",
)
FRACTIONS = (0.003, 0.01, 0.03, 0.1, 0.3)
HOPS = 4
CIRCUIT = json.dumps(
    {
        "populations": [
            {"name": "image", "size": 64, "role": "input"},
            {"name": "h0", "size": 8, "role": "hidden"},
            {"name": "h1", "size": 8, "role": "hidden"},
            {"name": "h2", "size": 8, "role": "hidden"},
            {"name": "digit", "size": 10, "role": "error source"},
        ],
        "projections": [
            {"source": a, "target": b, "plastic": True}
            for a, b in [("image", "h0"), ("h0", "h1"), ("h1", "h2"), ("h2", "digit")]
        ],
    }
)


def reach_summary(n_seeds: int = 10) -> xr.Dataset:
    """As many learners, fractions and seeds as the longest of our runs has; the relays vary from seed to seed."""
    axes = ("learner", "event_fraction", "seed")
    shape = len(LEARNERS), len(FRACTIONS), n_seeds
    rng = np.random.default_rng(0)
    reach = np.full(shape, 3.0)
    reach[:2] = rng.integers(-1, 3, (2, len(FRACTIONS), n_seeds))
    hop = np.arange(HOPS)
    change = np.where(hop <= reach[..., None], 0.1 * 0.5**hop, 0.0)
    change[2, 0, :, 0] = np.linspace(0.1, 0.5, n_seeds)
    arrival = np.where(hop <= reach[..., None], 1.0, np.nan)
    length = np.full(shape, 2.0)
    length[0, 0, 0] = np.inf
    found = {
        "reach": labelled(axes, reach, "last hop the change reaches (-1: none)"),
        "error_signal_reach": labelled(axes, reach[..., ::-1], "last hop the error signal reaches (-1: none)"),
        "accuracy_rare_final": labelled(axes, rng.random(shape), "accuracy on the rare event after the run"),
        "screening_length": labelled(axes, length, "e-folding distance of the change, in hops"),
        "change": labelled((*axes, "hop"), change, "relative change of the weights"),
        "arrival": labelled((*axes, "hop"), arrival, "occurrence at which the change first reaches the hop"),
        "gradient_norm": labelled(
            ("seed", "hop"), np.tile([2.0, 1.0, 0.5, 0.25], (n_seeds, 1)), "norm of backprop's gradient"
        ),
    }
    return xr.Dataset(found, labels(learner=LEARNERS, event_fraction=FRACTIONS, seed=np.arange(n_seeds), hop=hop))


def labels(**values: object) -> dict[str, xr.Variable]:
    return {name: labelled(name, list(those), name) for name, those in values.items()}


def record(out: Path, *, script: str, title: str, **groups: xr.Dataset) -> Path:
    """A recording with one kind of runs."""
    made = Provenance.here(
        title=title, settings={"n_hops": HOPS, "gain": 0.9}, circuit=CIRCUIT, code="", script=script, source="pass"
    )
    recorder = open_recorder(out, made)
    axes = ("snapshot", "hop")
    for seed in (0, 1):
        run = {
            "change": labelled(axes, np.full((1 + seed, HOPS), 0.1), "relative change of the weights"),
            "delay": labelled("hop", np.zeros(HOPS), "time until it gets there", "ms"),
        }
        recorder.add("learning", {"learner": "backprop", "seed": seed}, xr.Dataset(run))
    runs = [("learning", {"learner": "backprop", "seed": seed}) for seed in (0, 1)]
    assert isinstance(recorder.finish(runs, groups), Recording)
    return out


def reach_recording(out: Path, n_seeds: int = 10) -> Path:
    return record(
        out,
        script="reach_vs_frequency.py",
        title=load("reach_vs_frequency").title,
        summary=reach_summary(n_seeds),
    )


def foreign_recording(out: Path, **groups: xr.Dataset) -> Path:
    return record(out, script="mine.py", title="A study of mine", **(groups or {"summary": reach_summary(3)}))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return reach_recording(tmp_path_factory.mktemp("cli") / "run.h5")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return foreign_recording(tmp_path_factory.mktemp("cli") / "foreign.h5")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


# ------------------------------------------------------------------------------------------ inspect


def test_inspect(path, capsys):
    code, out, err = run(capsys, "inspect", path)
    assert (code, err) == (0, "")
    lines = squeezed(out)
    assert f"file {path} (schema 2)" in lines
    assert f"title {load('reach_vs_frequency').title}" in lines
    assert "settings n_hops = 4, gain = 0.9" in lines
    assert "circuit chain 64 input -> 3 x 8 hidden -> 10 error source (98 cells, 4 projections)" in lines
    assert "summary 7 8 learner, 5 event_fraction, 10 seed, 4 hop" in lines
    assert "learner " + "; ".join(LEARNERS) + " [summary]" in lines
    assert "learner backprop [learning]" in lines
    assert "event_fraction 0.003; 0.01; 0.03; 0.1; 0.3 [summary]" in lines
    assert lines.index("summary, by learner, event_fraction, seed:") < lines.index(
        "reach last hop the change reaches (-1: none)"
    )
    assert lines.index("learning, by run, hop:") + 1 == lines.index("delay time until it gets there [ms]")
    # A meaning is told once, and the lengths of runs that stand side by side are nobody's measure.
    assert "as above: change" in lines
    assert "n_snapshot" not in out


def test_inspect_is_short_enough_to_be_read(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for recording in (path, GOLDEN):
        _, out, _ = run(capsys, "inspect", recording)
        assert max(map(len, out.splitlines())) <= 80
        assert len(out.splitlines()) <= 130
        assert "…" not in out


def test_inspect_for_programs(path, capsys):
    for recording in (path, GOLDEN):  # where a label is NaN, which JSON has not
        code, out, _ = run(capsys, "inspect", recording, "--json")
        found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert code == 0
        assert found["path"] == str(recording)
    code, out, _ = run(capsys, "inspect", path, "--json")
    found = json.loads(out)
    assert (found["script"], found["settings"]) == ("reach_vs_frequency.py", {"n_hops": 4, "gain": 0.9})
    group = found["groups"]["learning"]
    assert group["dimensions"] == {"run": 2, "snapshot": 2, "hop": 4}
    assert group["labels"]["seed"] == [0, 1]
    assert group["variables"]["delay"] == {
        "dimensions": ["run", "hop"],
        "units": "ms",
        "long_name": "time until it gets there",
    }


def test_a_circuit_that_is_no_chain(tmp_path, capsys):
    populations = [{"name": name, "size": 2, "role": "hidden"} for name in "abc"]
    projections = [{"source": a, "target": b} for a, b in ("ab", "ac", "bc")]
    circuits = {
        json.dumps({"populations": populations, "projections": projections}): "3 populations, 6 cells, 3 projections",
        "a ring": "a ring",
        "x" * 200: "x" * 97 + "...",
    }
    for k, (circuit, line) in enumerate(circuits.items()):
        made = Provenance.here(title="t", settings={}, circuit=circuit, code="", script="s", source="")
        out = tmp_path / f"{k}.h5"
        open_recorder(out, made).finish([], {"summary": reach_summary(1)})
        assert f"circuit {line}" in squeezed(run(capsys, "inspect", out)[1])


# ------------------------------------------------------------------------------------------ compare


def test_compare_prints_what_the_experiment_says(path, capsys):
    code, out, err = run(capsys, "compare", path)
    assert (code, err) == (0, "")
    assert "Hops reached upstream (-1: none), mean over 10 seeds [95 % interval]" in out
    assert "backprop 3 3 3 3 3" in squeezed(out)
    said = " ".join(out.split())
    assert "Its largest is 8.0 times its smallest: backprop gets a fair chance." in said
    assert (
        "reach grows with event frequency (hops at 0.3 less hops at 0.003). Weights frozen, refuted: backprop / "
        in said
    )
    assert "latent equilibrium 0 [0, 0] (it reaches every hop at 0.003 already)." in said
    assert "Accuracy" not in out  # the main table only
    assert "All there is: --all." in out


def test_compare_fits_on_a_page_of_a_narrow_terminal(path, foreign, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for recording in (path, foreign, GOLDEN):
        _, out, _ = run(capsys, "compare", recording)
        assert len(out.splitlines()) <= 60
        assert max(map(len, out.splitlines())) <= 80
        assert "…" not in out
    assert "…" not in run(capsys, "compare", path, "--all")[1]


def test_compare_all_has_every_table_and_every_hop(path, capsys):
    _, out, _ = run(capsys, "compare", path, "--all")
    lines = squeezed(out)
    assert "Accuracy on the rare event, mean over 10 seeds [95 % interval]" in lines
    assert "change: relative change of the weights" in lines
    change = lines[lines.index("change: relative change of the weights") :]
    backprop = [line for line in change if line.startswith("backprop, hop ")][:HOPS]
    assert backprop[0] == "backprop, hop 0 0.3 [0.22, 0.38] " + " ".join(["0.1 [0.1, 0.1]"] * 4)
    assert backprop[3] == "backprop, hop 3 " + " ".join(["0.0125 [0.0125, 0.0125]"] * 5)
    assert "All there is" not in out


def test_compare_of_a_study_that_is_not_ours_estimates_all_measures(foreign, capsys):
    code, out, err = run(capsys, "compare", foreign)
    assert (code, err) == (0, "")
    lines = squeezed(out)
    assert lines[0] == "A study of mine"
    assert lines[4].startswith("reach error relay ")  # reach comes first
    assert "From fewer than five seeds they are too narrow." in out
    assert "grows" not in out


def test_compare_of_parts_puts_their_names_in_front(tmp_path, capsys):
    axes = labels(learner="ab", seed=[0, 1])
    value = labelled(("learner", "seed"), [[1.0, 1.0], [2.0, 4.0]], "a value", "ms")
    parts = {f"summary_{part}": xr.Dataset({"value": value}, axes) for part in ("frozen", "learning")}
    out = foreign_recording(tmp_path / "run.h5", **parts)
    lines = squeezed(run(capsys, "compare", out)[1])
    assert "frozen_value 1 [1, 1] 3 [2, 4]" in lines
    assert "learning_value 1 [1, 1] 3 [2, 4]" in lines
    lines = squeezed(run(capsys, "compare", out, "--all")[1])
    assert "frozen_value: a value (ms)" in lines


def test_conditions_without_a_number_are_left_out_and_missing_seeds_counted(tmp_path, capsys):
    values = np.full((8, 3), np.nan)
    values[0], values[1, 0] = 2.0, 1.0
    arrival = labelled(("hop", "seed"), values, "arrival")
    summary = xr.Dataset({"arrival": arrival}, labels(hop=range(8), seed=range(3)))
    lines = squeezed(run(capsys, "compare", foreign_recording(tmp_path / "run.h5", summary=summary))[1])
    assert [line for line in lines if "hop" in line] == ["arrival hop 0 2 [2, 2]", "hop 1 1 (1/3)"]


def test_compare_for_programs(path, capsys):
    code, out, _ = run(capsys, "compare", path, "--json")
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    assert any(text.startswith("reach grows with event frequency") for text in found["statements"])
    (one,) = [
        e
        for e in found["estimates"]
        if (e["measure"], e["labels"].get("learner"), e["labels"].get("hop")) == ("change", "backprop", 0)
        and e["labels"]["event_fraction"] == 0.003
    ]
    assert one["mean"] == pytest.approx(0.3)
    assert one["low"] < 0.3 < one["high"]
    assert one["seeds"] == 10


def test_compare_writes_csv(path, tmp_path, capsys):
    table = tmp_path / "table.csv"
    code, out, _ = run(capsys, "compare", path, "--csv", table)
    assert code == 0
    assert str(table) in out
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["measure", "learner", "event_fraction", "hop", "mean", "low", "high", "seeds"]
    # four measures, two by hop, and one of hops alone
    assert len(rows) == len(LEARNERS) * len(FRACTIONS) * (4 + 2 * HOPS) + HOPS
    (row,) = [
        row
        for row in rows
        if (row["measure"], row["learner"], row["event_fraction"], row["hop"]) == ("change", "backprop", "0.003", "0")
    ]
    assert float(row["mean"]) == pytest.approx(0.3)
    assert row["seeds"] == "10"
    missing = next(r for r in rows if r["measure"] == "arrival" and r["seeds"] == "0")
    assert (missing["mean"], missing["low"]) == ("", "")


def test_a_recording_that_its_experiment_does_not_understand(tmp_path, capsys):
    summary = reach_summary(2).drop_vars("gradient_norm")
    title = load("reach_vs_frequency").title
    out = record(tmp_path / "run.h5", script="reach_vs_frequency.py", title=title, summary=summary)
    said = sentence(capsys, "compare", out)
    assert f"{out} is not what reach_vs_frequency.py records now (" in said
    assert "gradient_norm" in said


# ------------------------------------------------------------------------------------------ plot


def test_plot_draws_what_the_experiment_draws(tmp_path, capsys, monkeypatch):
    from matplotlib.figure import Figure

    study = load("reach_vs_frequency")
    drawn = []

    def figures(recording):
        drawn.append(recording.path)
        return {"": Figure(), "-front": Figure()}

    monkeypatch.setitem(study.__dict__, "figures", figures)
    path = reach_recording(tmp_path / "run.v2.h5", 2)
    code, out, err = run(capsys, "plot", path)
    assert (code, err) == (0, "")
    names = ["run.v2.png", "run.v2.pdf", "run.v2-front.png", "run.v2-front.pdf"]
    assert out.split("\n") == [*(str(tmp_path / name) for name in names), ""]
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG" if name.endswith("png") else b"%PDF")
    code, out, _ = run(capsys, "plot", path, "--out", tmp_path / "new" / "figure.png")
    assert out.split()[:2] == [str(tmp_path / "new" / f"figure.{suffix}") for suffix in ("png", "pdf")]
    assert drawn == [path, path]


def test_plot_of_what_nobody_draws(foreign, capsys):
    assert "was not made by an experiment of this library: draw it with its own study" in sentence(
        capsys, "plot", foreign
    )


# ------------------------------------------------------------------------------------------ bad input


def sentence(capsys, *arguments):
    """What stands on stderr: one line, after exit status 2 and nothing on stdout."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("bioplastic: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("command", ["inspect", "compare", "plot"])
def test_bad_files(command, tmp_path, capsys):
    assert "does not exist: check the path" in sentence(capsys, command, tmp_path / "none.h5")
    assert "is a folder: give the HDF5 file" in sentence(capsys, command, tmp_path)
    foreign = tmp_path / "foreign.h5"
    foreign.write_text("not HDF5")
    assert "is not an HDF5 file" in sentence(capsys, command, foreign)


def test_truncated_file(path, tmp_path, capsys):
    short = tmp_path / "short.h5"
    short.write_bytes(path.read_bytes()[:3000])
    assert "damaged" in sentence(capsys, "inspect", short)


def test_bad_outputs(path, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, _, err = run(capsys, "compare", path, "--csv", blocked / "table.csv")
    assert code == 2
    assert f"{blocked / 'table.csv'} could not be written (Not a directory): give another path." in err
    before = path.read_bytes()
    assert "is the recording itself" in sentence(capsys, "compare", path, "--csv", path)
    assert path.read_bytes() == before


def test_nothing_to_compare(tmp_path, capsys):
    summary = xr.Dataset({"reach": labelled(("learner", "seed"), np.zeros((0, 0)), "reach")})
    assert "nothing to compare" in sentence(capsys, "compare", foreign_recording(tmp_path / "a.h5", summary=summary))
    other = foreign_recording(tmp_path / "b.h5", tuning_rates=reach_summary(1))
    assert "sums up no run" in sentence(capsys, "compare", other)
    assert run(capsys, "inspect", other)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ([], ("Missing subcommand", "compare")),
        (["compare"], ("Missing from bioplastic compare", "FILE")),
        (["audit"], ("Missing from bioplastic audit", "FILE")),
        (["comprae", "x"], ("there is no command 'comprae'; did you mean 'compare'?",)),
        (["weigh", "x"], ("there is no command 'weigh'; there are run, inspect, compare, plot, claims, audit.",)),
        (["compare", "x", "--jsn"], ("--jsn", "Perhaps you meant", "--json")),
        (["plot", "x", "--colour"], ("--colour",)),
        (["audit", "x.py", "--event", "long"], ("--event", "'long'")),
        (["claims"], ("claims needs a folder of recordings, such as data/runs; or --list.",)),
    ],
)
def test_usage_errors_name_the_nearest(arguments, texts, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    for text in texts:
        assert text in err


def test_help_and_version(capsys):
    for arguments, text in (
        (["--version"], f"bioplastic {__version__}"),
        (["--help"], "inspect"),
        (["run", "--help"], "--list"),
        (["inspect", "--help"], "how it was made"),
        (["compare", "--help"], "--csv PATH"),
        (["plot", "--help"], "--out PATH"),
        (["claims", "--help"], "FOLDER"),
        (["audit", "--help"], "--neighbours NAME ..."),
    ):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        assert text in out


def test_it_is_a_module_that_can_be_run():
    done = subprocess.run([sys.executable, "-m", "bioplastic", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"bioplastic {__version__}\n")


def test_no_simulator_is_imported_to_look_at_a_recording(foreign):
    code = (
        "import sys; from bioplastic.cli import main; "
        "early = {'rich', 'matplotlib', 'scipy', 'xarray'} & set(sys.modules); "
        f"main(['inspect', {str(foreign)!r}]); main(['compare', {str(foreign)!r}]); "
        f"main(['compare', {str(GOLDEN)!r}]); "
        "import bioplastic.plots; "
        "print(sorted(early | ({'brian2', 'torch'} & set(sys.modules))), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_reader_that_stops_early():
    code = f"import sys; from bioplastic.cli import main; sys.exit(main(['compare', {str(GOLDEN)!r}, '--all']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""  # no traceback
        assert process.wait() == 1


@pytest.mark.parametrize("path", sorted(GOLDEN.parent.glob("*.h5")), ids=lambda path: path.stem)
@pytest.mark.parametrize("command", ["inspect", "compare"])
def test_every_command_takes_recordings_that_were_made_before(command, path, capsys):
    assert run(capsys, command, path)[0] == 0


@pytest.mark.slow
def test_the_figures_of_the_main_job_are_drawn_from_a_recording_of_schema_1(tmp_path, capsys):
    copy = shutil.copy(GOLDEN, tmp_path / "run.h5")
    code, out, err = run(capsys, "plot", copy)
    assert (code, err) == (0, "")
    assert [Path(line).name for line in out.split()] == ["run.png", "run.pdf", "run-front.png", "run-front.pdf"]


# ------------------------------------------------------------------------------------------ audit

MODEL = """
from brian2 import Network, NeuronGroup, Synapses, linked_var

reward = 0.5  # found as Brian2 finds it: by name, in the file

def chain(smuggled=False, plastic=True):
    eqs = "dv/dt = (heard - v)/(10*ms) : 1\\ndx/dt = -x/(20*ms) : 1\\n"
    kinds = ["heard = 0 : 1"]*3 + ["far : 1 (linked)\\nheard = far : 1" if smuggled else "heard = 0 : 1"]
    cells = [NeuronGroup(2, eqs + kind, threshold="v > 1", reset="v = 0; x += 1", method="euler", name=f"g{k}")
             for k, kind in enumerate(kinds)]
    if smuggled:
        cells[3].far = linked_var(cells[0], "x")
    synapses = []
    for k in (3, 2, 1):
        learn = "w += reward*x_pre" if plastic else None
        s = Synapses(cells[k], cells[k - 1], "w : 1", on_pre="v_post += w", on_post=learn, name=f"s{k}")
        s.connect(i=[0, 0, 1, 1], j=[0, 1, 0, 1])
        synapses.append(s)
    if smuggled:
        s = Synapses(cells[2], cells[3], "w : 1", on_pre="v_post += w", on_post="w += reward*x_pre", name="back")
        s.connect(i=[0, 0, 1, 1], j=[0, 1, 0, 1])
        synapses.append(s)
    return Network(*cells, *synapses)
"""


@pytest.fixture
def model(tmp_path):
    def write(text, name="model.py"):
        path = tmp_path / name
        path.write_text(MODEL + text)
        return str(path)

    return write


def test_audit_of_a_network_that_passes(model, capsys):
    assert main(["audit", model("\ndef network():\n    return chain()\n")]) == 0
    out = capsys.readouterr().out
    assert "model: PASSED, neighbour-only" in out
    assert re.search(r"s1\.w +g1 -> g0 +1 +1 +3 +neighbour-only", out)
    steps = round(500 / (brian2.defaultclock.dt / brian2.ms))
    caption = f"an event is {steps} time steps. 4 populations; neighbours are joined by s1, s2, s3."
    assert caption in " ".join(out.split())
    assert "farthest route to s1.w, g1 -> g0, in an event:" in out
    assert "g3 event 'spike' of g3 -> g2.v of g2   by pathway 'pre' of s3: v_post += w" in out


def test_audit_of_several_networks_one_of_which_fails(model, capsys):
    text = "\ndef networks():\n    return {'honest': chain(), 'smuggled': chain(True)}\n"
    assert main(["audit", model(text), "--event", "2"]) == 1
    out = capsys.readouterr().out
    assert "honest: PASSED" in out and "smuggled: FAILED, not neighbour-only" in out
    assert re.search(r"back\.w +g2 -> g3 +3 +3 +3 +no synapse carries it", out)
    assert "g3.v of g3 gets g0.x of g0, by linked variable in differential equations of g3 (3 hops)" in out.replace(
        " (no synapse joins the two cells)", ""
    )
    assert "    dv/dt = (heard - v)/(10*ms)" in out


def test_audit_of_a_file_that_is_bad_input(model, tmp_path, capsys):
    for text, sentence in (
        ("", "defines neither network() nor networks(). Define network(), which returns a brian2.Network"),
        ("\n1/0\n", "could not be run: ZeroDivisionError: division by zero"),
        ("\ndef network():\n    return unknown\n", "network() failed: NameError: name 'unknown' is not defined"),
        ("\ndef networks():\n    return []\n", "networks() returned []; it has to return {name: network}"),
        ("\ndef network():\n    return 3\n", "bioplastic: model: network = 3 is no brian2.Network"),
        ("\ndef network():\n    return chain(plastic=False)\n", "bioplastic: model: the network has no plastic weight"),
    ):
        assert main(["audit", model(text)]) == 2, sentence
        captured = capsys.readouterr()
        assert sentence in captured.err
        assert "Traceback" not in captured.err
    assert "        return Network(group, synapses)" in _error(["audit", model("")], capsys)
    assert "nowhere.py is no file; give a Python file" in _error(["audit", str(tmp_path / "nowhere.py")], capsys)
    assert "is no Python file (.py)" in _error(["audit", model("", "model.txt")], capsys)
    passing = model("\ndef network():\n    return chain()\n")
    assert "event = 0 ms is outside what is allowed" in _error(["audit", passing, "--event", "0"], capsys)
    assert "there are no Synapses 's7' in the network" in _error(["audit", passing, "--neighbours", "s7"], capsys)
    assert "relays: there is no group 'g7' in the network" in _error(["audit", passing, "--relays", "g7"], capsys)


def test_audit_takes_groups_for_relays_or_not_as_told(model, capsys):
    relay = """
def network():
    net = chain()
    cells = {o.name: o for o in net.objects}
    relay = NeuronGroup(1, "v : 1", threshold="v > 1", reset="v = 0", name="relay")
    ends = [Synapses(cells["g0"], relay, on_pre="v_post += 1"), Synapses(relay, cells["g2"], on_pre="v_post += 1"),
            Synapses(cells["g2"], relay, on_pre="v_post += 1")]
    for s, i, j in zip(ends, ([0, 1], [0, 0], [0, 1]), ([0, 0], [0, 1], [0, 0])):
        s.connect(i=i, j=j)
    net.add(relay, *ends)
    return net
"""
    assert main(["audit", model(relay)]) == 1
    assert main(["audit", model(relay), "--relays", "relay"]) == 0
    declared = relay.replace("    net.add(", "    declare_relay(relay)\n    net.add(")
    declared = "\nfrom bioplastic.auditing import declare_relay\n" + declared
    assert main(["audit", model(declared)]) == 0
    assert main(["audit", model(declared), "--relays"]) == 1
    assert "populations by declaration, because they relay spikes: relay" in capsys.readouterr().out


def test_audit_goes_on_after_a_network_that_is_bad_input(model, capsys):
    text = "\ndef networks():\n    return {'bad': chain(plastic=False), 'good': chain()}\n"
    assert main(["audit", model(text)]) == 2
    captured = capsys.readouterr()
    assert "bioplastic: bad: " in captured.err and "good: PASSED" in captured.out


def test_audit_of_our_own_models_fails_broadcast_alone(root, capsys):
    assert main(["audit", str(root / "models" / "chain.py")]) == 1
    out = capsys.readouterr().out
    verdicts = dict(re.findall(r"^(.+): (PASSED|FAILED)", out, re.MULTILINE))
    assert verdicts.pop("broadcast") == "FAILED"
    assert {"error relay", "equilibrium relay", "learned feedback", "error relay, hippocampus"} <= set(verdicts)
    assert set(verdicts.values()) == {"PASSED"}


def _error(arguments, capsys):
    assert main(arguments) == 2
    return capsys.readouterr().err
