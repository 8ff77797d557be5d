"""The command and the comparison behind it: numbers by hand, verdicts that flip with the data, sentences."""

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

from bioplastic import __version__
from bioplastic.cli import main
from bioplastic.comparison import Condition, Estimate, compare, decide, estimate
from bioplastic.recording.schema1 import (
    SUMMARY_VARIABLES,
    Experiment,
    LearningRateSweep,
    RecordingError,
    Run,
    Summary,
    read,
)

LEARNERS = ("error relay", "error relay, unscreened", "backprop")
FRACTIONS = (0.01, 0.3)
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


def make_summary(n_seeds=3, **changes):
    """The screened relay reaches hops 0, 0, 1 at 0.01 and 2, 2, 2 at 0.3; the others reach hop 3 always."""
    shape = (len(LEARNERS), len(FRACTIONS), 1, n_seeds)
    per_hop = (*shape, HOPS)
    reach = np.full(shape, 3.0)
    reach[0, 0, 0] = [0, 0, 1][:n_seeds]
    reach[0, 1, 0] = 2
    frozen = reach.copy()
    frozen[0, 0, 0] = [0, 3, 1][:n_seeds]
    frozen[0, 1, 0] = [1, 1, 2][:n_seeds]
    hop = np.arange(HOPS)
    change = np.where(hop <= reach[..., None], 0.1 * 0.5**hop, 0.0)
    change[0, 0, 0, :, 0] = [0.1, 0.2, 0.6][:n_seeds]
    arrival = np.where(hop <= reach[..., None], 1.0, np.nan)
    length = np.full(shape, 4.0)
    length[0, 0, 0] = [np.inf, 2, 2][:n_seeds]
    signal = np.zeros(per_hop)
    signal[...] = [8, 4, 2, 0]
    signal[2] *= 1000
    rare = np.full(shape, 0.5)
    rare[0, 0, 0] = [0.25, 0.5, 0.75][:n_seeds]
    variables = {
        "reach": reach,
        "error_signal_reach": frozen,
        "error_signal": signal,
        "change": change,
        "change_floor": np.full(per_hop, 0.001),
        "arrival": arrival,
        "screening_length": length,
        "accuracy_rare_initial": np.zeros(shape),
        "accuracy_rare_final": rare,
        "accuracy_background_initial": np.full(shape, 0.96),
        "accuracy_background_final": np.full(shape, 0.9),
        "error_rare_initial": np.full(shape, 0.9),
        "error_rare_final": np.full(shape, 0.2),
        "error_background_initial": np.full(shape, 0.1),
        "error_background_final": np.full(shape, 0.15),
        "learning_rate": np.full(shape, 0.01),
    }
    variables |= changes.pop("variables", {})
    coordinates = {
        "learner": LEARNERS,
        "event_fraction": np.array(FRACTIONS),
        "replay": ("off",),
        "seed": np.arange(n_seeds),
        "hop": hop,
    }
    return Summary(**(coordinates | changes), variables=variables)


def make_run(arm="learning", role="result", **changes):
    values = {
        "learner": "error relay",
        "event_fraction": 0.3,
        "replay": "off",
        "seed": 0,
        "learning_rate": 0.01,
        "event_time": [0.0, 1.0],
        "event_kind": [0, 1],
        "event_occurrence": [0, 1],
        "event_salience": [1.0, 1.0],
        "event_replayed": [False, False],
        "event_stimulus": [3, 4],
        "output_error": [0.1, 0.9],
    }
    return Run(arm=arm, role=role, **(values | changes))


def make_recording(out, summary=None, runs=True):
    experiment = Experiment.open(
        out, title="How far?", seed=11, config={"n_hops": HOPS, "gain": 0.9}, circuit=CIRCUIT, script="pass"
    )
    if runs:
        front = {
            "snapshot_occurrence": [1, 2],
            "change": [[0.1, 0, 0, 0], [0.2, 0.1, 0, 0]],
            "change_floor": np.full((2, HOPS), 0.01),
        }
        experiment.add("learning", make_run(**front))
        experiment.add("frozen", make_run("frozen", seed=1))
        experiment.add("sweep", make_run(role="sweep", seed=999))
    sweep = LearningRateSweep(
        learner=LEARNERS[:2],
        rate=np.array([[0.01, 0.1], [0.01, np.nan]]),
        score=np.array([[0.75, 0.5], [0.25, np.nan]]),
    )
    return experiment.finish(summary or make_summary(), sweep)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_recording(tmp_path_factory.mktemp("cli") / "run.h5")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")


def verdict(summary, claim, learner="error relay", arm="learning", fraction=None):
    found = [
        v
        for v in compare(summary).verdicts
        if claim in v.claim and (v.learner, v.arm, v.event_fraction) == (learner, arm, fraction)
    ]
    assert len(found) == 1, [str(v) for v in found]
    return found[0]


def changed(name, **at):
    """The summary with some values of a variable replaced; `at` maps learner indices to (fraction, seed)."""
    values = make_summary().variables[name].copy()
    for learner, new in at.items():
        values[int(learner[1:]), :, 0] = new
    return make_summary(variables={name: values})


# Estimates


def test_estimate_by_hand():
    one = estimate(np.array([0.1, np.nan, 0.2, 0.6]))
    assert one.n == 3
    assert one.mean == pytest.approx(0.3)
    # With three seeds, 1/27 of the resamples hold one seed three times: more than the 2.5 % at either end.
    assert (one.low, one.high) == pytest.approx((0.1, 0.6))
    assert str(one) == "0.3 [0.1, 0.6]"


def test_estimate_of_little():
    assert estimate(np.array([np.nan, 2.0])) == Estimate(2.0, 2.0, 2.0, 1)
    assert str(estimate(np.array([2.0]))) == "2"
    assert estimate(np.array([np.nan])).n == 0
    assert str(estimate(np.array([np.nan]))) == "–"


def test_conditions_by_hand():
    comparison = compare(make_summary())
    relay = comparison.condition("error relay", 0.01)
    assert isinstance(relay, Condition)
    assert relay.reach.mean == pytest.approx(1 / 3)
    assert relay.change[0].mean == pytest.approx(0.3)
    assert [one.mean for one in relay.change[1:]] == pytest.approx([0.05 / 3, 0, 0])
    assert relay.rare_gained.mean == pytest.approx(0.5)
    assert (relay.rare_gained.low, relay.rare_gained.high) == pytest.approx((0.25, 0.75))
    assert relay.background_lost.mean == pytest.approx(0.06)
    assert relay.rare_error_fall.mean == pytest.approx(0.7)
    assert relay.background_error_rise.mean == pytest.approx(0.05)
    # The decays per hop are 0, 1/2 and 1/2, so that the mean length is 3; the longest is infinite.
    assert relay.screening_length.mean == pytest.approx(3)
    assert relay.screening_length.low == pytest.approx(2)
    assert relay.screening_length.high == np.inf
    assert [one.n for one in relay.arrival] == [3, 1, 0, 0]
    assert relay.alignment[0].n == 0  # not recorded
    with pytest.raises(KeyError):
        comparison.condition("error relay", 0.5)


def test_error_signals_of_different_units_are_made_comparable():
    comparison = compare(make_summary())
    for learner in LEARNERS:
        signal = comparison.condition(learner, 0.3).error_signal
        assert [one.mean for one in signal] == [1, 0.5, 0.25, 0]


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "n", "outcome"),
    [
        (0.1, 2, 3, "supported"),
        (-2, -0.1, 3, "refuted"),
        (-0.5, 0.5, 3, "refuted"),
        (0, 0, 3, "refuted"),
        (-0.5, 0.6, 3, "not decided"),
        (-2, 0.1, 3, "not decided"),
        (1, 1, 1, "not decided"),
        (np.nan, np.nan, 0, "not decided"),
    ],
)
def test_decide(low, high, n, outcome):
    assert decide(Estimate((low + high) / 2, low, high, n)) == outcome


def test_growth_is_paired_and_flips_with_the_data():
    summary = make_summary()
    grows = verdict(summary, "grows")
    assert grows.value.mean == pytest.approx(5 / 3)
    assert (grows.value.low, grows.value.high) == pytest.approx((1, 2))
    assert grows.outcome == "supported"
    assert str(grows) == (
        "reach grows with event frequency (error relay, weights learning): supported; "
        "hops at 0.3 less hops at 0.01 1.67 [1, 2], 3 seeds"
    )
    reverse = changed("reach", l0=[[2, 2, 2], [0, 0, 1]])
    assert verdict(reverse, "grows").outcome == "refuted"
    assert verdict(reverse, "grows").value.mean == pytest.approx(-5 / 3)
    # +1, -2, +1 hops
    assert verdict(summary, "grows", arm="frozen").outcome == "not decided"


def test_growth_does_not_depend_on_the_order_of_fractions():
    one = make_summary()
    variables = {name: values[:, ::-1] for name, values in one.variables.items()}
    other = make_summary(event_fraction=np.array(FRACTIONS[::-1]), variables=variables)
    assert verdict(other, "grows") == verdict(one, "grows")


def test_no_growth_at_the_last_hop_says_so():
    flat = verdict(make_summary(), "grows", learner="backprop")
    assert flat.outcome == "refuted"
    assert flat.note == "it reaches every hop at 0.01 already"


def test_backprop_at_once_flips_with_the_data():
    claim = "every hop at the first occurrence"
    assert verdict(make_summary(), claim, "backprop").outcome == "supported"
    arrival = np.ones((2, 3, HOPS))
    arrival[1, :, 2] = [2, np.nan, 5]
    late = verdict(changed("arrival", l2=arrival), claim, "backprop")
    assert late.outcome == "refuted"
    assert late.value.mean == pytest.approx(7 / 8)
    assert late.note == "at 0.3 hop 2 is not reached at once"
    arrival[1, :, 2] = [1, 2, 1]
    once = verdict(changed("arrival", l2=arrival), claim, "backprop")
    assert once.outcome == "not decided"
    assert once.value.mean == pytest.approx((1 + 7 / 8 + 1) / 3)


def test_a_condition_that_was_not_run_is_no_failure():
    summary = make_summary()
    variables = {name: summary.variables[name].copy() for name in ("arrival", "change")}
    for values in variables.values():
        values[2, 0] = np.nan
    found = verdict(make_summary(variables=variables), "every hop at the first occurrence", "backprop")
    assert found.value == Estimate(1.0, 1.0, 1.0, 3)


@pytest.mark.parametrize("other", ["backprop", "error relay, unscreened"])
def test_less_far_flips_with_the_data(other):
    claim = f"reaches less far than {other}"
    less = verdict(make_summary(), claim, fraction=0.01)
    assert less.value.mean == pytest.approx(3 - 1 / 3)
    assert less.outcome == "supported"
    both = LEARNERS.index(other)
    more = changed("reach", l0=[[3, 3, 3]] * 2, **{f"l{both}": [[1, 2, 1]] * 2})
    assert verdict(more, claim, fraction=0.3).outcome == "refuted"
    same = changed("reach", l0=[[3, 3, 3]] * 2)
    assert verdict(same, claim, fraction=0.3).outcome == "refuted"
    assert verdict(same, claim, fraction=0.3).value == Estimate(0.0, 0.0, 0.0, 3)


def test_nothing_is_decided_from_one_seed():
    for v in compare(make_summary(n_seeds=1)).verdicts:
        assert v.outcome == "not decided"
        assert "one seed has no spread" in v.note


def test_missing_learners_and_fractions():
    summary = make_summary()
    alone = make_summary(
        learner=("somebody",), variables={name: values[:1] for name, values in summary.variables.items()}
    )
    notes = {v.note for v in compare(alone).verdicts if v.outcome == "not decided" and v.value.n == 0}
    assert notes == {
        "the recording has no learner 'backprop'",
        "the recording has no learner 'error relay'",
    }
    single = make_summary(
        event_fraction=np.array([0.1]),
        variables={name: values[:, :1] for name, values in summary.variables.items()},
    )
    grows = verdict(single, "grows")
    assert (grows.outcome, grows.note) == ("not decided", "there is only one event fraction")


def test_all_missing():
    nothing = {name: np.full_like(values, np.nan) for name, values in make_summary().variables.items()}
    comparison = compare(make_summary(variables=nothing))
    assert {(v.outcome, v.note) for v in comparison.verdicts} == {("not decided", "not measured")}
    with pytest.raises(RecordingError, match=r"no replay 'asleep'; the recording has off\."):
        compare(make_summary(), replay="asleep")


def test_three_lines_of_python(path):
    from bioplastic.comparison import compare
    from bioplastic.recording.schema1 import read

    assert [v.outcome for v in compare(read(path).summary).verdicts][3] == "supported"


# The command


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_inspect(path, capsys):
    code, out, err = run(capsys, "inspect", path)
    assert (code, err) == (0, "")
    for text in (
        "How far?",
        "chain 64 input -> 3 x 8 hidden -> 10 error source (98 cells, 4 projections)",
        "error relay; error relay, unscreened; backprop",
        "0.01, 0.3",
        "Runs: 3",
        "0.01: 0.75 *",
        "excess error spikes over the sham run, weights frozen",
        read(path).attrs.created,
        read(path).attrs.platform,
    ):
        assert text in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["seed"][1] == "11"
    assert rows["gain"] == ["gain", "0.9"]
    assert "0.1: 0.5 *" not in out
    (relay,) = [line.split() for line in out.splitlines() if line.split()[:3] == ["error", "relay", "1"]]
    assert relay == ["error", "relay", "1", "1", "1"]


def test_inspect_a_circuit_that_is_no_chain(tmp_path, capsys):
    out = tmp_path / "run.h5"
    circuit = json.loads(CIRCUIT)
    circuit["projections"].append({"source": "image", "target": "digit", "plastic": True})
    experiment = Experiment.open(out, title="t", seed=0, config={}, circuit=json.dumps(circuit), script="pass")
    experiment.finish(make_summary())
    assert "5 populations, 98 cells, 5 projections" in run(capsys, "inspect", out)[1]


def test_compare(path, capsys):
    code, out, err = run(capsys, "compare", path)
    assert (code, err) == (0, "")
    assert "Means over 3 seeds with 95 % bootstrap intervals; replay: off." in out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "error relay learning all 1.67 [1, 2] 3 supported" in lines
    assert "error relay frozen all 0 [-2, 1] 3 not decided" in lines
    assert "backprop frozen all 0 [0, 0] 3 refuted it reaches every hop at 0.01 already" in lines
    assert "backprop learning all 1 [1, 1] 3 supported" in lines
    assert "error relay learning 0.3 1 [1, 1] 3 supported" in lines
    # reach and output at 0.01
    assert "error relay 1.33 [0, 3] 0.333 [0, 1] – – 3 [2, inf]" in lines
    assert "backprop – 0.5 [0.5, 0.5] 0.06 [0.06, 0.06] 0.7 [0.7, 0.7] 0.05 [0.05, 0.05]" in lines
    # change by hop at 0.01, and what is not above the sham floor
    assert "0 0.3 [0.1, 0.6] 0.1 [0.1, 0.1] 0.1 [0.1, 0.1]" in lines
    assert "3 0 [0, 0] † 0.0125 [0.0125, 0.0125] 0.0125 [0.0125, 0.0125]" in lines
    # arrival: hop 1 in one seed of three, hop 2 in none
    assert "1 1 (1/3) 1 [1, 1] 1 [1, 1]" in lines
    assert "2 – 1 [1, 1] 1 [1, 1]" in lines
    assert "Cosine" not in out  # not recorded
    assert "From 3 seeds a bootstrap interval is too narrow" in out


def test_compare_on_a_narrow_terminal(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    _, out, _ = run(capsys, "compare", path)
    assert max(map(len, out.splitlines())) <= 100
    assert "not decided" in out


def test_compare_prints_a_refutation(tmp_path, capsys):
    reverse = make_recording(tmp_path / "run.h5", changed("reach", l0=[[2, 2, 2], [0, 0, 1]]))
    _, out, _ = run(capsys, "compare", reverse)
    assert "error relay learning all -1.67 [-2, -1] 3 refuted" in [" ".join(line.split()) for line in out.splitlines()]


def test_compare_writes_csv(path, tmp_path, capsys):
    table = tmp_path / "table.csv"
    code, out, _ = run(capsys, "compare", path, "--csv", table)
    assert code == 0
    assert str(table) in out
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    # 11 measures, and 7 by hop
    assert len(rows) == len(LEARNERS) * len(FRACTIONS) * (11 + 7 * HOPS)
    (row,) = [
        row
        for row in rows
        if (row["measure"], row["learner"], row["event_fraction"], row["hop"]) == ("change", "error relay", "0.01", "0")
    ]
    assert [float(row[name]) for name in ("mean", "low", "high")] == pytest.approx([0.3, 0.1, 0.6])
    assert (row["replay"], row["seeds"]) == ("off", "3")
    (missing,) = [r for r in rows if r["measure"] == "alignment" and r["learner"] == "backprop"][:1]
    assert (missing["mean"], missing["seeds"]) == ("", "0")


def test_plot_writes_beside_the_file(tmp_path, capsys):
    path = make_recording(tmp_path / "run.v2.h5")
    code, out, err = run(capsys, "plot", path)
    assert (code, err) == (0, "")
    names = ["run.v2.png", "run.v2.pdf", "run.v2-front.png", "run.v2-front.pdf"]
    assert out.split("\n") == [*(str(tmp_path / name) for name in names), ""]
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG" if name.endswith("png") else b"%PDF")


def test_plot_elsewhere_and_without_a_front(tmp_path, capsys):
    path = make_recording(tmp_path / "run.h5", runs=False)
    code, out, err = run(capsys, "plot", path, "--out", tmp_path / "new" / "figure.png")
    assert code == 0
    assert out.split() == [str(tmp_path / "new" / f"figure.{suffix}") for suffix in ("png", "pdf")]
    assert err.startswith("bioplastic: no second figure: ")
    assert "no run with its change by occurrence at event fraction 0.3" in err


# Bad input


def sentence(capsys, *arguments):
    """What stands on stderr: one line, after exit status 2 and nothing on stdout."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("bioplastic: ")
    assert err.endswith(".\n")
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
    assert "is truncated or damaged" in sentence(capsys, "inspect", short)


def test_bad_outputs(path, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, _, err = run(capsys, "compare", path, "--csv", blocked / "table.csv")
    assert code == 2
    assert f"{blocked / 'table.csv'} could not be written (Not a directory): give another path." in err
    assert "could not be written" in sentence(capsys, "plot", path, "--out", blocked / "figure")
    before = path.read_bytes()
    assert "is the recording itself" in sentence(capsys, "compare", path, "--csv", path)
    assert path.read_bytes() == before


def test_unknown_replay(path, capsys):
    for command in ("compare", "plot"):
        assert "there is no replay 'asleep'" in sentence(capsys, command, path, "--replay", "asleep")


def test_empty_summary(tmp_path, capsys):
    empty = Summary(
        learner=(),
        event_fraction=np.array([]),
        replay=(),
        seed=np.array([], int),
        hop=np.array([], int),
        variables={"reach": np.zeros((0, 0, 0, 0))},
    )
    path = make_recording(tmp_path / "run.h5", empty, runs=False)
    assert "nothing to compare" in sentence(capsys, "compare", path)
    assert "nothing to plot" in sentence(capsys, "plot", path)
    assert run(capsys, "inspect", path)[0] == 0


@pytest.mark.parametrize("arguments", [[], ["compare"], ["audit"], ["weigh", "x"], ["plot", "x", "--colour"]])
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: bioplastic" in capsys.readouterr().err


def test_help_and_version(capsys):
    for arguments, text in (
        (["--version"], f"bioplastic {__version__}"),
        (["--help"], "inspect"),
        (["inspect", "--help"], "how it was made"),
        (["compare", "--help"], "--csv OUT"),
        (["plot", "--help"], "--out PATH"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out


def test_no_simulator_is_imported(path):
    code = (
        "import sys; from bioplastic.cli import main; "
        "early = {'rich', 'matplotlib', 'scipy'} & set(sys.modules); "
        f"main(['inspect', {str(path)!r}]); main(['compare', {str(path)!r}]); "
        "import bioplastic.plots; "
        "print(sorted(early | ({'brian2', 'torch'} & set(sys.modules))), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_reader_that_stops_early(path):
    code = f"import sys; from bioplastic.cli import main; sys.exit(main(['compare', {str(path)!r}]))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""  # no traceback
        assert process.wait() == 1


def test_every_estimate_has_a_name():
    from bioplastic.comparison import LONG_NAMES

    assert set(LONG_NAMES) == set(Condition.__dataclass_fields__) - {"learner", "event_fraction"}
    assert LONG_NAMES["reach"] == SUMMARY_VARIABLES["reach"].long_name


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).resolve().parents[1] / "data" / "golden").glob("*-v1.h5")), ids=str
)
@pytest.mark.parametrize("command", ["inspect", "compare", pytest.param("plot", marks=pytest.mark.slow)])
def test_every_command_takes_a_recording_of_the_main_job(
    command: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = shutil.copy(path, tmp_path / "run.h5")
    assert main([command, str(copy)]) == 0
    printed = capsys.readouterr().out
    assert {"inspect": "error relay", "compare": "reach grows with event frequency", "plot": "run.png"}[
        command
    ] in printed


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
    declared = "\nfrom bioplastic.audit import declare_relay\n" + declared
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
