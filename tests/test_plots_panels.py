"""Panels for notebooks and the parts that figures are made of: curves, points, axes, legends, and that they show."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from plotted import FRACTIONS, HOPS, LEARNERS, lines, make_run, make_summary, texts, with_replay

from bioplastic import plots
from bioplastic.recording import RecordingError, labelled, stack

LOOK = plots.Style("#14148c", "o", "-")


@pytest.fixture
def axes():
    return Figure().add_subplot()


def entries(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def compared():
    """What comparing lives gives: two learners, three replicates of the first, no noise in the second."""
    change = np.full((2, 3, HOPS), np.nan)
    change[0] = np.array([0.02, 0.04, 0.03])[:, None] * 0.1 ** np.arange(HOPS)
    change[0, :, 4:] = 0
    change[1, 0] = 0.5
    floor = np.array([[0.001, 0.001, 0.001, 0.001, 0, 0], np.zeros(HOPS)])
    per_hop = ("learner", "hop")
    variables = {
        "change": labelled(per_hop, np.nanmean(change, 1), "relative change of the weights"),
        "change_by_replicate": labelled(("learner", "replicate", "hop"), change, "relative change of the weights"),
        "change_floor": labelled(per_hop, floor, "sham floor"),
        "reach": labelled("learner", [1, HOPS - 1], "last hop"),
    }
    return xr.Dataset(variables, {"learner": ["error relay", "backprop"], "hop": np.arange(HOPS)})


# Change by hop


def test_change_by_hop():
    axes = plots.change_by_hop(compared())
    assert axes.get_ylabel() == "relative change of the weights\N{NO-BREAK SPACE}(1)"
    assert (axes.get_xlabel(), axes.get_yscale()) == ("hops upstream", "log")
    relay, backprop = lines(axes)
    assert relay.get_ydata()[:4] == pytest.approx(0.03 * 0.1 ** np.arange(4))
    assert backprop.get_ydata().tolist() == [0.5] * HOPS
    # 0.0003 and less are not above the floor of 0.001, and exact zeros have a row of their own.
    above, below = lines(axes, "filled")[0], lines(axes, "open")[0]
    assert above.get_xdata().round().tolist() == [0, 1]
    assert below.get_xdata().round().tolist() == [2, 3, 4, 5]
    assert below.get_ydata()[2:].tolist() == [axes.get_yticks()[0]] * 2
    assert axes.get_yticklabels()[0].get_text() == "0"
    floor = lines(axes, "floor")[0].get_ydata()
    assert floor[:4].tolist() == [0.001] * 4
    assert np.isnan(floor[4:]).all()
    rings = lines(axes, "reach")
    assert [ring.get_xdata().round().tolist() for ring in rings] == [[1], [HOPS - 1]]
    assert rings[0].get_ydata() == pytest.approx([0.003])
    assert entries(axes) == [
        "error relay",
        "backprop",
        "exactly zero",
        "sham floor",
        "not above the sham floor",
        "last hop reached",
    ]
    assert axes.get_figure().get_supxlabel().startswith("Mean over 3 replicates; bands: 95 %")


def test_the_bands_of_change_by_hop_are_intervals_over_replicates():
    axes = plots.change_by_hop(compared())
    at_hop_0 = axes.collections[0].get_paths()[0].vertices[:, 1].max()
    assert 0.036 < at_hop_0 <= 0.04
    # One replicate has no interval: a band without a height.
    twin = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert np.unique(twin).tolist() == [0.5]


def test_change_by_hop_without_floor_and_reach():
    axes = plots.change_by_hop(compared().drop_vars(["change_floor", "reach"]))
    assert entries(axes) == ["error relay", "backprop", "exactly zero"]
    assert not lines(axes, "reach")


def test_change_by_hop_of_a_summary():
    summary = make_summary()
    axes = plots.change_by_hop(summary.sel(event_fraction=0.1))
    assert "event frequency 0.1" in texts(axes)
    # Error relay reaches hop 1, in one seed of three hop 2.
    assert lines(axes, "reach")[0].get_xdata().round().tolist() == [1]
    with pytest.raises(RecordingError, match=r"^change is over event_fraction too; choose one, such as dataset\.sel\("):
        plots.change_by_hop(summary)


def test_a_learner_that_reaches_nothing_has_no_ring():
    found = compared()
    found["reach"][0] = -1
    assert len(lines(plots.change_by_hop(found), "reach")) == 1


def test_one_learner_alone():
    axes = plots.change_by_hop(compared().sel(learner="backprop"))
    assert [line.get_ydata().tolist() for line in lines(axes)] == [[0.5] * HOPS]


def test_change_by_hop_of_something_else():
    with pytest.raises(RecordingError, match=r"^the dataset has no change, only reach\.$"):
        plots.change_by_hop(compared().drop_vars(["change", "change_by_replicate", "change_floor"]))
    with pytest.raises(RecordingError, match=r"^the dataset is not over learner; give one over learner, hop\.$"):
        plots.change_by_hop(xr.Dataset())


def test_change_of_lives_that_were_compared():
    pytest.importorskip("torch", reason="lives in the rate twin need torch, which is in the extra 'twin'")
    from small_twins import QUICK, TASK, chain, rare_life

    import bioplastic as bp
    from bioplastic import twin

    circuit = chain(3)
    (start,) = twin.pretrain(circuit, TASK, [0], QUICK)
    lives = bp.live(circuit, TASK, rare_life(), bp.Backprop(0.1), start)
    axes = bp.plot.change_by_hop(bp.compare({"backprop": lives}))
    assert (lines(axes)[0].get_ydata() > 0).all()
    assert lines(axes, "reach")[0].get_xdata().round().tolist() == [2]
    assert axes.get_ylabel().replace("\n", " ").startswith("relative change of the weights against the sham life")


# Reach by frequency


def test_reach_by_frequency():
    axes = plots.reach_by_frequency(make_summary())
    assert axes.get_ylabel() == "reach of change,\nweights learning (hops upstream)"
    assert axes.get_xticks().tolist() == list(FRACTIONS)
    assert entries(axes) == [*LEARNERS, "last hop of the circuit"]
    assert lines(axes)[0].get_ydata() == pytest.approx([1 / 3, 4 / 3, 7 / 3])
    assert axes.get_figure().get_supxlabel().startswith("Mean over 3 seeds; bars:")


def test_reach_of_another_kind():
    summary = make_summary()
    summary["reach_late"] = summary["reach"].assign_attrs(long_name="last hop reached late", units="1")
    axes = plots.reach_by_frequency(summary, "reach_late")
    assert axes.get_ylabel() == "last hop reached late\N{NO-BREAK SPACE}(1)"
    assert "not measured" in texts(plots.reach_by_frequency(summary, "reach_early"))


def test_a_profile():
    axes = plots.profile_by_hop(make_summary().sel(event_fraction=0.3), "alignment")
    assert "event frequency 0.3" in texts(axes)
    assert axes.get_ylabel() == "alignment\N{NO-BREAK SPACE}(1)"
    assert entries(axes) == list(LEARNERS)


def test_summaries_of_schema_1():
    summary = with_replay(make_summary(), "sleep", "off")
    summary["reach"][:, :, 0] = 0
    assert lines(plots.reach_by_frequency(summary))[0].get_ydata() == pytest.approx([1 / 3, 4 / 3, 7 / 3])
    asleep = plots.reach_by_frequency(summary.sel(replay="sleep"))
    assert lines(asleep)[0].get_ydata().tolist() == [0, 0, 0]


# The front of one learner


def runs(learners=("backprop", "backprop")):
    changes = (np.full((2, HOPS), 0.1), np.full((3, HOPS), 0.3))
    labels = [{"learner": name, "event_fraction": 0.3, "seed": seed} for seed, name in enumerate(learners)]
    looks = ([1, 5], [1, 3, 5])
    return stack([(one, make_run(at, c, 0.0)) for one, at, c in zip(labels, looks, changes, strict=True)])


def test_front():
    axes = plots.front(runs())
    (drawn,) = [mesh for mesh in axes.collections if mesh.get_gid() == "change"]
    assert drawn.get_array().shape == (HOPS, 2)  # the looks that both have
    assert drawn.get_array().tolist() == [[pytest.approx(0.2)] * 2] * HOPS
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("occurrence of the rare event", "hops upstream")
    assert axes.get_xticks().tolist() == [1, 5]
    (bar,) = [other for other in axes.get_figure().axes if other is not axes]
    assert bar.get_ylabel() == "relative change of the weights\nagainst the sham run (1)"
    assert entries(axes) == ["exactly zero", "not above sham floor"]
    assert axes.get_figure().get_supxlabel() == "backprop, event frequency 0.3, mean over 2 runs."


def test_front_of_runs_that_do_not_belong_together():
    message = (
        r"^the runs have learner backprop, error relay; choose one, such as recording\.select\('learning', learner="
    )
    with pytest.raises(RecordingError, match=message):
        plots.front(runs(("error relay", "backprop")))


@pytest.mark.parametrize("dropped", ["change", "snapshot_occurrence"])
def test_front_of_runs_without_looks(dropped):
    with pytest.raises(RecordingError, match="do not hold their change by occurrence"):
        plots.front(runs().drop_vars(dropped))


# Shown by a notebook, without pyplot


PNG = b"\x89PNG"


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: plots.change_by_hop(compared()),
        lambda: plots.reach_by_frequency(make_summary()),
        lambda: plots.front(runs()),
        lambda: plots.reach_figure(make_summary(seeds=1)),
    ],
    ids=["change", "reach", "front", "page"],
)
def test_a_notebook_shows_it(drawn):
    shown = drawn()
    assert shown._repr_png_().startswith(PNG)
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is no dependency")
    found, _ = formatters.DisplayFormatter().format(shown)
    assert found["image/png"].startswith(PNG)


def test_a_tall_legend_makes_the_figure_higher():
    names = [f"learner {k}" for k in range(40)]
    axes = plots.reach_by_frequency(make_summary(learners=names, seeds=1))
    figure = axes.get_figure()
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().y0 > 0
    assert axes.get_window_extent().width > figure.bbox.width / 3


def test_axes_that_are_given_are_left_as_they_are(axes):
    size = axes.get_figure().get_size_inches().tolist()
    assert plots.change_by_hop(compared(), ax=axes) is axes
    assert axes.get_legend() is None
    assert axes.get_figure().get_supxlabel() == ""
    assert axes.get_figure().get_size_inches().tolist() == size
    assert "last hop reached" in axes.get_legend_handles_labels()[1]
    assert plots.front(runs(), ax=Figure().add_subplot()).get_legend() is not None  # which says what grey means


def test_pyplot_is_never_imported(root):
    code = (
        "import sys; from bioplastic import plots; from plotted import make_summary; "
        "plots.reach_by_frequency(make_summary(seeds=1))._repr_png_(); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root / "tests")
    assert done.stdout.strip() == "False", done.stderr


# Parts


def luminance(color):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_styles_survive_grey():
    drawn = plots.looks((*LEARNERS, "somebody", "somebody else"))
    assert len({style.marker for style in drawn.values()}) == len(drawn)
    known = [drawn[name] for name in LEARNERS]
    assert len({style.line for style in known}) == len(known)
    steps = np.diff(sorted(luminance(style.color) for style in known))
    assert steps.min() > 7
    assert plots.looks(("backprop",))["backprop"] == drawn["backprop"]  # alike in every figure
    assert plots.styles(("backprop", "somebody")) == (drawn["backprop"], drawn["somebody"])


def test_curve(axes):
    values = np.array([[1, 2, np.nan], [3, 2, np.nan]])
    plots.curve(axes, [0, 1, 2], values, LOOK, "relay")
    (line,) = lines(axes)
    assert line.get_ydata()[:2].tolist() == [2, 2]
    assert np.isnan(line.get_ydata()[2])
    assert (line.get_label(), line.get_marker(), line.get_color()) == ("relay", "o", "#14148c")
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1, 3)


def test_curve_with_open_symbols(axes):
    plots.curve(axes, [0, 1], np.array([[1.0, 2], [3, 4]]), LOOK, "relay", filled=np.array([True, False]))
    assert lines(axes, "filled")[0].get_xdata().tolist() == [0]
    assert lines(axes, "open")[0].get_xdata().tolist() == [1]
    (handle,), labels = axes.get_legend_handles_labels()
    assert (labels, handle.get_marker(), handle.get_linestyle()) == (["relay"], "o", "-")


def test_band_is_a_curve(axes):
    plots.band(axes, [0, 1], np.array([[1.0, 2], [3, 4]]), color="0.5", linestyle=":", marker="s", label="relay")
    (line,) = lines(axes)
    assert line.get_ydata().tolist() == [2, 3]
    assert (line.get_linestyle(), line.get_marker(), line.get_color()) == (":", "s", "0.5")


def segments(collection):
    return [one.tolist() for one in collection.get_segments()]


def test_points_have_bars_where_there_are_seeds(axes):
    values = np.array([[1.0, 5], [3, 5]])
    plots.points(axes, [0, 1], values, LOOK, "relay")
    (drawn,) = lines(axes)
    assert (drawn.get_xdata().tolist(), drawn.get_ydata().tolist()) == ([0, 1], [2, 5])
    assert (drawn.get_linestyle(), drawn.get_label()) == ("None", "relay")
    (bars,) = axes.collections
    assert segments(bars) == [[[0, 1], [0, 3]], [[1, 5], [1, 5]]]


def test_points_lying_down_joined_and_with_their_seeds(axes):
    values = np.array([[1.0, 5], [3, 5]])
    plots.points(axes, values, [0, 1], LOOK, joined=True, seeds=True)
    (drawn,) = lines(axes)
    assert (drawn.get_xdata().tolist(), drawn.get_linestyle()) == ([2, 5], "-")
    assert segments(axes.collections[0])[0] == [[1, 0], [3, 0]]
    (dots,) = lines(axes, "seeds")
    assert sorted(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(1, 0), (3, 0), (5, 1), (5, 1)]


def test_points_with_bars_both_ways(axes):
    plots.points(axes, np.array([[1.0], [3]]), np.array([[10.0], [20]]), LOOK)
    up, across = axes.collections
    assert segments(up) == [[[2, 10], [2, 20]]]
    assert segments(across) == [[[1, 15], [3, 15]]]


def over_learners(values):
    axes = {"learner": ["backprop", "error relay"], "event": [0, 10, 20]}
    return xr.DataArray(values, axes, dims=("learner", "event", "seed"))


def test_curves_of_learners(axes):
    values = over_learners(np.arange(12.0).reshape(2, 3, 2))  # seeds come last, and differ by 1
    plots.learner_curves(axes, [0, 1, 2], values, styles={"error relay": LOOK})
    backprop, relay = lines(axes)
    assert backprop.get_ydata().tolist() == [0.5, 2.5, 4.5]
    assert (backprop.get_label(), relay.get_label()) == ("backprop", "error relay")
    assert backprop.get_color() == plots.looks(["backprop"])["backprop"].color
    assert backprop.get_zorder() > relay.get_zorder()
    assert backprop.get_xdata().tolist() == relay.get_xdata().tolist() == [0, 1, 2]
    apart = Figure().add_subplot()
    plots.learner_curves(apart, [0, 1, 2], values, sideways=True)
    assert [line.get_xdata()[1] for line in lines(apart)] == pytest.approx([0.94, 1.06])


def test_curves_of_learners_with_a_row_of_zeros(axes):
    scale = plots.LogRange.of([1, 10])
    plots.learner_curves(axes, [0, 1, 2], over_learners(np.zeros((2, 3, 2))), scale=scale)
    assert [line.get_ydata().tolist() for line in lines(axes, "symbols")] == [[scale.zero] * 3] * 2


def test_rows_of_learners(axes):
    values = over_learners(np.arange(12.0).reshape(2, 3, 2)).isel(event=0)
    plots.learner_rows(axes, values, shift=0.2, seeds=True)
    assert [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in lines(axes)] == [
        ([0.5], [0.2]),
        ([6.5], [1.2]),
    ]
    assert [segments(bars)[0] for bars in axes.collections] == [[[0, 0.2], [1, 0.2]], [[6, 1.2], [7, 1.2]]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["backprop", "error relay"]
    assert axes.get_ylim() == (1.5, -0.5)  # the first one on top
    assert [len(dots.get_xdata()) for dots in lines(axes, "seeds")] == [2, 2]


def test_curves_that_coincide_stay_within_a_hop():
    assert plots.shifted([3], 0, 1).tolist() == [3]
    assert plots.shifted([3], 1, 2) - plots.shifted([3], 0, 2) == pytest.approx(0.12)
    assert plots.shifted([3], 39, 40) - plots.shifted([3], 0, 40) < 1


def test_log_range_has_a_row_for_zeros(axes):
    scale = plots.LogRange.of([np.nan, 0, 0.02, 3])
    assert 0.001 < scale.bottom <= 0.02
    assert scale.top > 3
    scale.draw(axes)
    assert axes.get_ylim()[0] < scale.zero < scale.bottom
    heights = scale.heights(np.array([0.0, 0.5, -0.5]))
    assert heights[:2].tolist() == [scale.zero, 0.5]
    assert np.isnan(heights[2])
    assert plots.LogRange.of([0, np.nan]).bottom > 0


@pytest.mark.parametrize("along", ["x", "y"])
def test_axes_of_hops_and_of_chosen_ticks(axes, along):
    axis = axes.xaxis if along == "x" else axes.yaxis
    plots.hop_axis(axes, np.arange(12), along=along)
    assert axis.get_label_text() == "hops upstream"
    assert axis.get_ticklocs().tolist() == [0, 2, 4, 6, 8, 10]
    assert axis.get_view_interval() == pytest.approx([-0.6, 11.6])
    plots.log_ticks(axes, [0.01, 0.3], along=along)
    assert (axis.get_scale(), axis.get_ticklocs().tolist()) == ("log", [0.01, 0.3])
    assert [text.get_text() for text in axis.get_ticklabels()] == ["0.01", "0.3"]
    assert not len(axis.get_minorticklocs())


def test_reference_lines(axes):
    plots.reference(axes, 2, label="chance")
    plots.reference(axes, 3, along="y", dotted=True)
    level, limit = axes.get_lines()
    assert (level.get_ydata()[0], level.get_label(), level.get_linestyle()) == (2, "chance", "-")
    assert (limit.get_xdata()[0], limit.get_linestyle()) == (3, "--")


def test_units_stay_with_the_last_word():
    variable = xr.DataArray(0.0, attrs={"long_name": "time until the error arrives at a hop", "units": "ms"})
    label = plots.axis_label(variable, 20)
    assert label.splitlines()[0] == "time until the error"
    assert label.endswith("hop\N{NO-BREAK SPACE}(ms)")


def test_legends():
    with plots.page(100) as figure:
        upper, lower = figure.subplots(2, 1)
        upper.plot([1, 2], label="a")
        small = plots.small_legend(upper, at="lower right", columns=2)
        alone = plots.legend_alone(lower, [plots.handle(LOOK, "relay"), plots.shade("zero")], "what")
        above = plots.legend_above(figure, [plots.open_symbol("open")])
    assert [text.get_text() for text in small.get_texts()] == ["a"]
    assert [text.get_text() for text in alone.get_texts()] == ["relay", "zero"]
    assert alone.get_title().get_text() == "what"
    assert not lower.axison
    figure.draw_without_rendering()
    assert above.get_window_extent().y0 > upper.get_window_extent().y1


def test_what_stands_around_a_panel():
    with plots.page(100) as figure:
        panels = figure.subplots(1, 3)
        plots.letters(panels)
        plots.heading(panels[0], "what")
        plots.nothing(panels[1], "none")
        plots.note(figure, plots.over_seeds(4, "bars", "network"))
    assert [axes.get_label() for axes in panels] == ["a", "b", "c"]
    assert "what" in texts(panels[0])
    assert "none" in texts(panels[1])
    assert figure.get_supxlabel() == "Mean over 4 networks; bars: 95 % bootstrap interval over networks."
    assert plots.over_seeds(1) == "1 seed, and therefore no interval."


# Survival


def test_a_survival_curve_steps_down_and_has_one_symbol(axes):
    plots.survival_curve(axes, [10, 30, 40], [True, True, False], LOOK, end=40, symbol_at=20)
    curve, symbol = axes.get_lines()
    assert curve.get_xdata().tolist() == [0, 10, 30, 40, 40]
    assert curve.get_ydata() == pytest.approx([1, 2 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert curve.get_drawstyle() == "steps-post"
    assert (symbol.get_xdata()[0], symbol.get_ydata()[0]) == pytest.approx((20, 2 / 3))
