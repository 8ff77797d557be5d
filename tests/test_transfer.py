"""Tasks one after the other: measures of accuracy matrices by hand, and the study that they come from."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bioplastic import plots
from bioplastic.circuit import Circuit, Population, Projection
from bioplastic.recording import labelled
from bioplastic.study import Learner, transfer_study
from bioplastic.study.transfer import TRANSFER, at_match, by_task, less_matched, on_curve, on_curves, transfer
from bioplastic.study.transfer_study import BLOCKS, IN_SPIKES, INTERLEAVED, TransferSettings

MATRIX = np.array(
    [
        [0.5, 0.4, 0.6],
        [0.9, 0.5, 0.5],
        [0.95, 0.8, 0.6],
        [0.8, 0.6, 1.0],
    ]
)
"""Accuracy on three tasks, before the first block and after each."""


# ------------------------------------------------------------------------------------------ measures


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("average_accuracy", (0.8 + 0.6 + 1.0) / 3),
        ("learned", (0.9 + 0.8 + 1.0) / 3),
        ("kept", (0.8 + 0.6) / 2),
        ("backward_transfer", ((0.8 - 0.9) + (0.6 - 0.8)) / 2),
        ("forward_transfer", ((0.5 - 0.4) + (0.6 - 0.6)) / 2),
        ("forgetting", ((0.95 - 0.8) + (0.8 - 0.6)) / 2),
    ],
)
def test_measures_by_hand(measure, value):
    assert TRANSFER[measure].of(MATRIX) == pytest.approx(value)
    several = np.stack([MATRIX, 1 - MATRIX])[:, None]
    assert TRANSFER[measure].of(several).shape == (2, 1)
    assert TRANSFER[measure].of(several)[0, 0] == pytest.approx(value)
    of_seeds = transfer(xr.DataArray(several, dims=("learner", "seed", "block", "task")), "in rates", "_here")
    assert of_seeds[f"{measure}_here"].dims == ("learner", "seed")
    assert of_seeds[f"{measure}_here"].values[0, 0] == pytest.approx(value)
    assert of_seeds[f"{measure}_here"].attrs["long_name"].endswith(", in rates")


def test_a_curve_is_read_where_it_first_gets_there():
    """The fourth point lies back, so that a straight line joins the third and the fifth."""
    x, y = np.array([0.5, 0.8, 0.9, 0.85, 0.95]), np.array([0.5, 0.7, 0.6, 0.1, 0.4])
    found = [at_match(x, y, wanted) for wanted in (0.4, 0.65, 0.85, 0.925, 0.99)]
    assert found == pytest.approx([0.5, 0.6, 0.65, 0.5, 0.4])


def test_a_learner_at_the_rate_at_which_it_learns_as_well():
    """It starts at (1.5/3, 0.45) and gets to (2.7/3, 0.7); halfway between it has learned 0.7 and keeps 0.575."""
    dense = np.stack([MATRIX, MATRIX])
    assert on_curve(dense, "kept", 0.7) == pytest.approx((0.45 + 0.7) / 2)
    assert on_curve(dense, "forgetting", 0.7) == pytest.approx(0.175 / 2)
    assert on_curve(dense, "kept", 0.99) == pytest.approx(0.7)
    by_rate = np.stack([np.stack([MATRIX, MATRIX]), np.full((2, 4, 3), np.nan)])
    curves = xr.DataArray(by_rate, dims=("rate_index", "seed", "block", "task"))
    wanted = xr.DataArray([[0.7, 0.99], [0.99, np.nan]], dims=("learner", "seed"))
    found = on_curves(curves, "kept", wanted)
    assert found.dims == ("learner", "seed")
    np.testing.assert_allclose(found, [[0.575, 0.7], [0.7, np.nan]])
    one = xr.Dataset({"learned": ("seed", [0.7, 0.99]), "kept": ("seed", [0.6, 0.6])})
    less = less_matched(one, xr.Dataset({"accuracy_by_rate": curves}), ["kept", "learned"])
    np.testing.assert_allclose(less["kept"], [0.6 - 0.575, 0.6 - 0.7])
    np.testing.assert_allclose(less["learned"], [0, 0.99 - 0.9], atol=1e-12)


def test_accuracy_by_task():
    prediction = np.array([[0.3, 0.7], [0.6, 0.4], [0.2, 0.9], [0.8, 0.1], [0.8, 0.1], [0.8, 0.1]])
    found = by_task(prediction, np.array([1, 0, 0, 1, 0, 0]), np.array([0, 0, 1, 2, 3, 4]), 5)
    np.testing.assert_array_equal(found, [1, 0, 0, 1, 1])


# ------------------------------------------------------------------------------------------ the study


class Spiking:
    """Whatever spikes."""

    code = "spikes"

    def __init__(self, rate):
        self.rate = rate


DENSE = Learner("backprop", lambda rate: rate, rates=(0.1, 0.2, 0.4))
RELAY = Learner("relay", Spiking, rates=(1.0, 2.0))
CIRCUIT = Circuit(
    (Population("x", 4, "input"), Population("h", 3), Population("y", 2, "error source")),
    (Projection("x", "h"), Projection("h", "y")),
)


class MadeUp(dict):
    """Runs by condition."""

    def of(self, kind):
        return [(c, run) for c, run in self.items() if c.kind == kind]

    def finish(self, bench, seeds, level, validated=None):
        """Live all that is planned; accuracy grows alike on all tasks, to a level of learner, rate and seed."""
        for planned in transfer_study.plan(bench, TransferSettings(seeds=seeds), self):
            for c in planned:
                end = level(c["learner"], c["rate"], c["seed"], c.kind)
                accuracy = np.broadcast_to(np.linspace(0.5, end, 6)[:, None], (6, 5))
                found = {
                    "validated": labelled((), (validated or level)(c["learner"], c["rate"], c["seed"], c.kind), ""),
                    "accuracy": labelled(("block", "task"), accuracy, ""),
                    "changed": labelled("hop", [0.3, 0.3], ""),
                    "untouched": labelled("hop", [0.2, 0.2], ""),
                }
                if c.kind == IN_SPIKES:
                    found["accuracy_spikes"] = labelled(("block", "task"), accuracy - 0.1, "")
                axes = {"hop": [0, 1], "block": np.arange(6), "task": np.arange(5)}
                self[c] = xr.Dataset(found, axes)
        return self


@pytest.fixture
def bench():
    return SimpleNamespace(learners=(DENSE, RELAY), circuit=CIRCUIT)


def test_each_network_lives_on_at_its_own_rate(bench):
    """Network 7 does better at 0.1 and the two others at 0.2, so that its own rate is 0.2; the relay's is 2.0."""
    best = {(0.1, 7): 0.9, (0.2, 8): 0.9, (0.2, 9): 0.9}
    runs = MadeUp().finish(bench, (7, 8, 9), lambda name, rate, seed, kind: rate / 10 + best.get((rate, seed), 0))
    blocks = [(c["learner"], c["rate"], c["seed"]) for c, _ in runs.of(BLOCKS)]
    assert blocks[:4] == [("backprop", 0.1, 7), ("backprop", 0.1, 8), ("backprop", 0.1, 9), ("backprop", 0.2, 7)]
    assert len(blocks) == 3 * 3 + 2 * 3
    lived = [(c["learner"], c["rate"], c["seed"]) for c, _ in runs.of(INTERLEAVED)]
    # Of network 8: the mean of 7 and 9 is the same at 0.1 and at 0.2 but for rate / 10.
    assert lived[:3] == [("backprop", 0.2, 7), ("backprop", 0.2, 8), ("backprop", 0.2, 9)]
    assert lived[3:] == [("relay", 2.0, seed) for seed in (7, 8, 9)]
    assert [(c["learner"], c["rate"], c["seed"]) for c, _ in runs.of(IN_SPIKES)] == lived[3:]


def test_the_summary_has_each_network_at_its_rate(bench):
    """Network 0 does better at 0.1 and network 1 at 0.4, so that each is given the other's choice."""
    values = {0.1: (0.8, 0.6), 0.2: (0.5, 0.5), 0.4: (0.7, 0.9), 1.0: (0.6, 0.6), 2.0: (0.6, 0.6)}

    def level(name, rate, seed, kind):
        return 0.55 + rate / 10 if kind == INTERLEAVED else values[rate][seed] + 0.01

    runs = MadeUp().finish(bench, (0, 1), level, lambda name, rate, seed, kind: values[rate][seed])
    found = transfer_study.summarise(bench, TransferSettings(seeds=(0, 1)), runs)["summary"]
    np.testing.assert_allclose(found["learning_rate"], [[0.4, 0.1], [1.0, 1.0]])
    np.testing.assert_array_equal(found["at_edge"], [[1, 1], [1, 1]])
    np.testing.assert_allclose(found["rate"], [[0.1, 0.2, 0.4], [1.0, 2.0, np.nan]])
    np.testing.assert_allclose(found["score"][0], [values[rate] for rate in DENSE.rates])
    np.testing.assert_allclose(found["average_accuracy"][0], [[0.71, 0.61], [0.59, 0.56]])
    np.testing.assert_allclose(found["average_accuracy_spikes"], [[np.nan, np.nan], [0.51, 0.51]])
    np.testing.assert_allclose(found["average_accuracy_by_rate"][0], np.add(list(values.values())[:3], 0.01))
    np.testing.assert_array_equal(found["n_weights"], [6, 12])
    assert found["accuracy"].dims == ("learner", "order", "seed", "block", "task")
    assert found["changed"].dims == ("learner", "order", "seed", "hop")
    assert transfer_study.rates_of(found, "backprop") == "0.1* (1), 0.4* (1)"
    assert transfer_study.rates_of(found, "relay") == "1*"
    assert transfer_study.in_spikes(found) == ["relay"]
    # Backprop keeps what there is at the end, 0.61 of the matrix that network 1 learns at its best rate.
    np.testing.assert_allclose(found["kept_of_dense"].sel(learner="backprop"), found["kept"][0, 0])


def test_a_best_rate_inside_what_was_tried_is_on_no_edge(bench):
    levels = {0.1: 0.7, 0.2: 0.9, 0.4: 0.9, 1.0: 0.6, 2.0: 0.8}
    runs = MadeUp().finish(bench, (0,), lambda name, rate, seed, kind: levels[rate])
    found = transfer_study.summarise(bench, TransferSettings(seeds=(0,)), runs)["summary"]
    np.testing.assert_array_equal(found["at_edge"][:, 0], [0, 1])
    np.testing.assert_allclose(found["learning_rate"][:, 0], [0.2, 2.0])  # of several equally good ones the smallest


def test_a_life_is_cut_into_blocks():
    assert transfer_study.block_ends(200, 5) == [39, 79, 119, 159, 199]


def test_differences_and_weights_of_all_hops_by_hand():
    summary = xr.Dataset(
        {
            "forgetting": (("learner", "order", "seed"), [[[0.1], [0.5]]]),
            "average_accuracy": (("learner", "order", "seed"), [[[0.72], [0.95]]]),
            "forgetting_spikes": (("learner", "seed"), [[0.125]]),
            "changed": (("learner", "order", "seed", "hop"), [[[[1.0, 0.5, 0.0]], [[0.0, 0.0, 0.0]]]]),
            "untouched": (("learner", "order", "seed", "hop"), [[[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]]]),
            "n_weights": ("hop", [128, 4096, 4096]),
        },
        {"order": [BLOCKS, INTERLEAVED]},
    )
    found = transfer_study.differences(summary)
    assert found["forgetting, less in rates"].item() == pytest.approx(0.125 - 0.1)
    assert found["less in blocks"].item() == pytest.approx(0.95 - 0.72)
    assert transfer_study.of_all_weights(summary, "changed").item() == pytest.approx((128 + 2048) / 8320)
    assert transfer_study.of_all_weights(summary, "untouched").item() == pytest.approx((2048 + 4096) / 8320)


# ------------------------------------------------------------------------------------------ panels


def test_panels_show_means_over_seeds_and_the_best_rates(bench):
    """Backprop ends at 0.6, 0.7 and 0.8 by rate and has learned the mean of a straight line up to that."""
    runs = MadeUp().finish(bench, (0, 1), lambda name, rate, seed, kind: 0.5 + rate)
    summary = transfer_study.in_blocks(transfer_study.summarise(bench, TransferSettings(seeds=(0, 1)), runs)["summary"])
    axes = plots.kept_by_learned(summary, ["backprop"])
    curve, best = axes.lines
    np.testing.assert_allclose(curve.get_ydata(), [60, 70, 90])
    np.testing.assert_allclose(curve.get_xdata(), [50 + 6, 50 + 12, 50 + 24])
    np.testing.assert_allclose([*best.get_xdata(), *best.get_ydata()], [74, 90])
    rows = plots.by_learner([100 * summary["kept"], 100 * summary["kept_spikes"]], "ox", "kept (%)")
    assert [label.get_text() for label in rows.get_yticklabels()] == ["backprop", "relay"]
    drawn = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in rows.lines]
    assert drawn == [pytest.approx((90, -0.1)), pytest.approx((250, 0.9)), pytest.approx((240, 1.1))]
    assert rows.yaxis_inverted()


def test_a_matrix_begins_before_the_first_block():
    accuracy = xr.DataArray(np.stack([MATRIX, MATRIX]), dims=("seed", "block", "task"))
    axes = Figure().subplots()
    image = plots.accuracy_matrix(accuracy, axes)
    np.testing.assert_allclose(image.get_array(), 100 * MATRIX)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["before", "1", "2", "3"]
