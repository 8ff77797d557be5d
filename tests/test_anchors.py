"""The pieces of the anchors by hand, and the script around them: verdicts, recording, interruption."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure

from bioplastic import theory

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "anchors.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module under another name: nothing imports a script."""
    spec = importlib.util.spec_from_file_location("the_anchors_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------------------------------- pieces


def test_td_values_by_hand(script: ModuleType) -> None:
    # V0: 1/2, 3/4, 7/8. V1 looks at V0 of the visit before: 0, 1/4, 1/2. V2: 0, 0, 1/8.
    expected = [[0, 0, 0], [0.5, 0, 0], [0.75, 0.25, 0], [0.875, 0.5, 0.125]]
    assert script.td_values(3, 3, 0.5) == pytest.approx(np.array(expected))


def test_brian2_chain_by_hand(script: ModuleType) -> None:
    # u1: 1/4, then 1/4 + (1 - 2/4)/4 = 3/8, then 3/8 + (1 - 6/8 + 1/16)/4. u2: 0, 1/16, 1/16 + (3/8 - 2/16)/4.
    expected = [[1, 0, 0, 0], [1, 0.25, 0, 0], [1, 0.375, 0.0625, 0], [1, 0.453125, 0.125, 0]]
    assert script.chain_in_brian2(3, 3, 0.25, 0.0) == pytest.approx(np.array(expected))


def test_brian2_chain_with_a_leak_by_hand(script: ModuleType) -> None:
    # u1: 1/4, then 1/4 + (1 - 3 * 1/4)/4; a leak of 1 makes 3 of 2.
    assert script.chain_in_brian2(2, 2, 0.25, 1.0)[:, 1] == pytest.approx([0, 0.25, 0.3125])


def test_torch_chain_by_hand(script: ModuleType) -> None:
    pytest.importorskip("torch")
    # Errors are the differences of the activities above.
    found = script.chain_in_torch(3, 3, 0.25, [0, 2, 3])
    expected = [[1, 0, 0], [0.625, 0.3125, 0.0625], [0.546875, 0.328125, 0.125]]
    assert found == pytest.approx(np.array(expected))
    assert found[0, 1] == 0


def test_leak_of_the_torch_chain_is_an_error_source_at_every_hop(script: ModuleType) -> None:
    pytest.importorskip("torch")
    from bioplastic.rules.predictive_coding import PredictiveCoding

    # One hidden cell: x = (1 - x) - x - ... settles where 1 - x - x - x = 0.
    settled = PredictiveCoding().infer(*script.leaky_chain(2, 1.0))
    assert float(settled.potential["h1"]) == pytest.approx(1 / 3)
    settled = PredictiveCoding().infer(*script.leaky_chain(6, 0.3))
    exact = theory.chain_errors(theory.chain_steady_activity(6, leak=0.3))
    assert script.errors_along(6, settled) == pytest.approx(exact)


def test_angle_by_hand(script: ModuleType) -> None:
    torch = pytest.importorskip("torch")

    one, other = torch.tensor([3.0, 0.0]).double(), torch.tensor([1.0, 1.0]).double()
    assert script.angle(one, other) == pytest.approx(45)
    assert script.angle(one, -one) == pytest.approx(180)
    nearly = torch.tensor([1.0, 1e-12]).double()  # of which the cosine is 1 to rounding
    assert script.angle(one, nearly) == pytest.approx(np.degrees(1e-12))


def test_correlation_by_hand(script: ModuleType) -> None:
    one = np.array([1.0, 2.0, 3.0])
    assert script.correlation(one, np.array([5.0, 3.0, 1.0])) == pytest.approx(-1)
    assert script.correlation(one, np.array([1.0, 0.0, 1.0])) == pytest.approx(0)


def test_one_layer_moves_straight_to_the_target(script: ModuleType) -> None:
    pytest.importorskip("torch")
    # The output changes by the error times the squared norm of the input, whatever the weights: cosine 1.
    assert script.alignments(1, 2, 1, 0) == pytest.approx(np.ones((2, 2)))


def test_alignment_is_that_of_backprop_written_out(script: ModuleType) -> None:
    torch = pytest.importorskip("torch")

    ours = script.alignments(3, 1, 1, 0)[1, 0]
    generator = torch.Generator().manual_seed(3000)
    weights = []
    for _ in range(3):
        w = torch.empty(64, 64, dtype=torch.float64)
        torch.nn.init.xavier_uniform_(w, generator=generator)
        weights.append(w.requires_grad_())
    x, y = (v[0, 0] for v in torch.randn(2, 1, 1, 64, generator=generator, dtype=torch.float64))
    before = weights[2] @ weights[1] @ weights[0] @ x
    ((before - y).square().sum() / 2).backward()
    w0, w1, w2 = (w.detach() - 1e-3 * w.grad for w in weights if w.grad is not None)
    change, error = w2 @ w1 @ w0 @ x - before.detach(), y - before.detach()
    assert ours == pytest.approx(float(change @ error / change.norm() / error.norm()))


# ---------------------------------------------------------------------------------------- verdicts


def test_verdicts(script: ModuleType) -> None:
    assert script.near("x", 2.0, 2.02, 0.01).passed
    assert not script.near("x", 2.0, 2.03, 0.01).passed
    assert not script.near("x", 2.0, 1.97, 0.01).passed
    assert script.near("x", -2.0, -1.98, 0.01).passed
    assert script.at_most("x", 0.0, 0.0).passed
    assert not script.at_most("x", 1e-300, 0.0).passed
    assert script.at_least("x", 0.5, 0.5).passed
    assert not script.at_least("x", 0.4, 0.5).passed
    assert not script.at_least("x", np.nan, 0.5).passed
    assert not script.at_most("x", np.nan, 0.5).passed


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(-np.inf, 0.01, "at most 0.01"), (1, np.inf, "at least 1"), (0.9895, 0.9905, "0.9895 to 0.9905")],
)
def test_tolerance_in_words(script: ModuleType, low: float, high: float, text: str) -> None:
    assert script.tolerance(low, high) == text


# ---------------------------------------------------------------------------------------- the script


def anchor(script: ModuleType, ours: float, calls: list[str], name: str) -> Callable[..., object]:
    """A small anchor that notes when it is run."""

    def run(config: object, progress: Callable[[float], None]) -> object:
        calls.append(name)
        progress(0.5)
        curves = {
            "hop": script.curve([0, 1], "hop", "1", "hops upstream"),
            "kind": script.curve(["a", "b", "c"], "kind", "1", "kind"),
            "error": script.curve(np.arange(6.0).reshape(3, 2), "kind hop", "mV", "error"),
        }
        return script.Result(
            f"Title of {name}", "doi:10.1/1", (script.near("a figure", 2.0, ours, 0.01, "hops"),), curves
        )

    return run


@pytest.fixture
def small(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two small anchors, of which the second fails, and no panels; returns the list of calls."""
    pytest.importorskip("torch")
    calls: list[str] = []
    monkeypatch.setattr(
        script,
        "ANCHORS",
        {"first": anchor(script, 2.0, calls, "first"), "second": anchor(script, 3.0, calls, "second")},
    )
    monkeypatch.setattr(script, "draw", lambda curves: Figure())
    monkeypatch.setenv("COLUMNS", "150")
    return calls


def test_a_failing_anchor_is_printed_as_failing(
    script: ModuleType, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--out", str(tmp_path / "a.h5")]) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "a figure (hops)" in line]
    assert [("pass" in line, "FAIL" in line) for line in lines] == [(True, False), (False, True)]
    assert "1 of 2 pass" in printed
    assert "1.98 to 2.02" in lines[1]


def test_recording_is_labelled_as_every_other(script: ModuleType, small: list[str], tmp_path: Path) -> None:
    script.run(script.Config(), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["complete"] == 1
        assert json.loads(file.attrs["config"])["chain_hops"] == 24
        assert set(json.loads(file.attrs["versions"])) >= {"numpy", "h5py"}
        assert file.attrs["script"] == SCRIPT.read_text(encoding="utf-8")
        error = file["anchors/second/error"]
        assert error[()].tolist() == [[0, 1], [2, 3], [4, 5]]
        assert (error.attrs["units"], error.attrs["long_name"]) == ("mV", "error")
        assert [d.keys() for d in error.dims] == [["kind"], ["hop"]]
        assert error.dims[0][0].asstr()[()].tolist() == ["a", "b", "c"]
        assert file["summary/anchor"].asstr()[()].tolist() == ["first", "second"]
        assert file["summary/ours"][()].tolist() == [2, 3]
        assert file["summary/passed"][()].tolist() == [1, 0]
        assert file["summary/passed"].dims[0].keys() == ["check"]
        for group in (file["summary"], file["anchors/first"]):
            assert all({"units", "long_name"} <= set(data.attrs) for data in group.values())
    assert not (tmp_path / "a.h5.parts").exists()


def test_an_interrupted_run_goes_on_with_the_next_anchor(
    script: ModuleType,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = script.ANCHORS["second"]

    def interrupted(config: object, progress: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setitem(script.ANCHORS, "second", interrupted)
    out = tmp_path / "a.h5"
    assert script.main(["--out", str(out)]) == 130
    assert "goes on from there" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.setitem(script.ANCHORS, "second", second)
    assert script.main(["--out", str(out)]) == 0
    assert small == ["first", "second"]
    assert script.main(["--out", str(out)]) == 0  # complete: shown again, not run again
    assert small == ["first", "second"]


def test_a_run_with_other_settings_does_not_go_on(
    script: ModuleType, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.h5"
    script.keep(tmp_path / "first.h5", "first", script.ANCHORS["first"](None, lambda f: None), script.QUICK)
    assert script.is_kept(tmp_path / "first.h5", script.QUICK)
    assert not script.is_kept(tmp_path / "first.h5", script.Config())
    assert script.main(["--quick", "--out", str(out)]) == 0
    assert script.main(["--out", str(out)]) == 2
    assert "another configuration" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_sentence(
    script: ModuleType, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert script.main(["--out", str(tmp_path / "file" / "a.h5")]) == 2
    assert "give another --out" in capsys.readouterr().err
