"""The pieces of published results by hand, and the script around them: verdicts, recording."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models.published import (
    dendritic_prediction,
    predictive_coding_and_backprop,
    predictive_coding_chain,
    results,
    target_alignment,
    td_ladder,
)

from bioplastic import theory

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "anchors.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


# ---------------------------------------------------------------------------------------- pieces


def test_td_values_by_hand() -> None:
    # V0: 1/2, 3/4, 7/8. V1 looks at V0 of the visit before: 0, 1/4, 1/2. V2: 0, 0, 1/8.
    expected = [[0, 0, 0], [0.5, 0, 0], [0.75, 0.25, 0], [0.875, 0.5, 0.125]]
    assert td_ladder.td_values(3, 3, 0.5) == pytest.approx(np.array(expected))


def test_brian2_chain_by_hand() -> None:
    # u1: 1/4, then 1/4 + (1 - 2/4)/4 = 3/8, then 3/8 + (1 - 6/8 + 1/16)/4. u2: 0, 1/16, 1/16 + (3/8 - 2/16)/4.
    expected = [[1, 0, 0, 0], [1, 0.25, 0, 0], [1, 0.375, 0.0625, 0], [1, 0.453125, 0.125, 0]]
    assert predictive_coding_chain.chain_in_brian2(3, 3, 0.25, 0.0) == pytest.approx(np.array(expected))


def test_brian2_chain_with_a_leak_by_hand() -> None:
    # u1: 1/4, then 1/4 + (1 - 3 * 1/4)/4; a leak of 1 makes 3 of 2.
    assert predictive_coding_chain.chain_in_brian2(2, 2, 0.25, 1.0)[:, 1] == pytest.approx([0, 0.25, 0.3125])


def test_torch_chain_by_hand() -> None:
    pytest.importorskip("torch")
    # Errors are the differences of the activities above.
    found = predictive_coding_chain.chain_in_torch(3, 3, 0.25, [0, 2, 3])
    expected = [[1, 0, 0], [0.625, 0.3125, 0.0625], [0.546875, 0.328125, 0.125]]
    assert found == pytest.approx(np.array(expected))
    assert found[0, 1] == 0


def test_leak_of_the_torch_chain_is_an_error_source_at_every_hop() -> None:
    pytest.importorskip("torch")
    from bioplastic.rules.predictive_coding import PredictiveCoding

    # One hidden cell: x = (1 - x) - x - ... settles where 1 - x - x - x = 0.
    settled = PredictiveCoding().infer(*predictive_coding_chain.leaky_chain(2, 1.0))
    assert float(settled.potential["h1"]) == pytest.approx(1 / 3)
    settled = PredictiveCoding().infer(*predictive_coding_chain.leaky_chain(6, 0.3))
    exact = theory.chain_errors(theory.chain_steady_activity(6, leak=0.3))
    assert predictive_coding_chain.errors_along(6, settled) == pytest.approx(exact)


def test_angle_by_hand() -> None:
    torch = pytest.importorskip("torch")

    one, other = torch.tensor([3.0, 0.0]).double(), torch.tensor([1.0, 1.0]).double()
    assert predictive_coding_and_backprop.angle(one, other) == pytest.approx(45)
    assert predictive_coding_and_backprop.angle(one, -one) == pytest.approx(180)
    nearly = torch.tensor([1.0, 1e-12]).double()  # of which the cosine is 1 to rounding
    assert predictive_coding_and_backprop.angle(one, nearly) == pytest.approx(np.degrees(1e-12))


def test_correlation_by_hand() -> None:
    one = np.array([1.0, 2.0, 3.0])
    assert dendritic_prediction.correlation(one, np.array([5.0, 3.0, 1.0])) == pytest.approx(-1)
    assert dendritic_prediction.correlation(one, np.array([1.0, 0.0, 1.0])) == pytest.approx(0)


def test_one_layer_moves_straight_to_the_target() -> None:
    pytest.importorskip("torch")
    # The output changes by the error times the squared norm of the input, whatever the weights: cosine 1.
    assert target_alignment.alignments(1, 2, 1, 0) == pytest.approx(np.ones((2, 2)))


def test_alignment_is_that_of_backprop_written_out() -> None:
    torch = pytest.importorskip("torch")

    ours = target_alignment.alignments(3, 1, 1, 0)[1, 0]
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


def test_verdicts() -> None:
    assert results.near("x", 2.0, 2.02, 0.01).passed
    assert not results.near("x", 2.0, 2.03, 0.01).passed
    assert not results.near("x", 2.0, 1.97, 0.01).passed
    assert results.near("x", -2.0, -1.98, 0.01).passed
    assert results.at_most("x", 0.0, 0.0).passed
    assert not results.at_most("x", 1e-300, 0.0).passed
    assert results.at_least("x", 0.5, 0.5).passed
    assert not results.at_least("x", 0.4, 0.5).passed
    assert not results.at_least("x", np.nan, 0.5).passed
    assert not results.at_most("x", np.nan, 0.5).passed


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(-np.inf, 0.01, "at most 0.01"), (1, np.inf, "at least 1"), (0.9895, 0.9905, "0.9895 to 0.9905")],
)
def test_tolerance_in_words(script: SimpleNamespace, low: float, high: float, text: str) -> None:
    assert script.tolerance(low, high) == text


# ---------------------------------------------------------------------------------------- the script


def small_result(ours: float) -> results.Result:
    curves = results.curves(
        hop=results.curve([0, 1], "hop", "1", "hops upstream"),
        kind=results.curve(["a", "b", "c"], "kind", "1", "kind"),
        error=results.curve(np.arange(6.0).reshape(3, 2), "kind hop", "mV", "error"),
    )
    return results.Result(
        f"Ours is {ours:g}", "doi:10.1/1", (results.near("a figure", 2.0, ours, 0.01, "hops"),), curves
    )


def test_a_failing_anchor_is_said_to_fail_and_recorded_with_its_curves(script: SimpleNamespace, tmp_path: Path) -> None:
    anchors = {
        "first": SimpleNamespace(reproduce=lambda settings: small_result(2.0)),
        "second": SimpleNamespace(reproduce=lambda settings: small_result(3.0)),
    }
    study = script.STUDY
    study.measure.__globals__["RESULTS"] = anchors

    class Settings(script.Settings):
        first = second = None

    try:
        done = study.run(Settings(), tmp_path / "a.h5", show_progress=False)
        tables, said = list(study.tables(done)), list(study.statements(done))
    finally:
        study.measure.__globals__["RESULTS"] = script.RESULTS
    assert [table.title for table in tables] == ["Ours is 2 (doi:10.1/1)", "Ours is 3 (doi:10.1/1)"]
    assert [list(table.columns[4].cells) for table in tables] == [["pass"], ["FAIL"]]
    assert list(tables[1].columns[3].cells) == ["1.98 to 2.02"]
    assert list(tables[1].columns[0].cells) == ["a figure (hops)"]
    assert said == ["1 of 2 pass."]
    error = done.run("anchors_second")["error"]
    assert error.dims == ("kind", "hop")
    assert error.values.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (error.attrs["units"], error.attrs["long_name"]) == ("mV", "error")
    assert done.summary["anchor"].values.tolist() == ["first", "second"]
    assert done.summary["passed"].values.tolist() == [True, False]
