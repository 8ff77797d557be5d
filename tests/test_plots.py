"""The figures of the main question: what is drawn where, what it is called, and that strange cases are drawn too."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from plotted import FRACTIONS, HOPS, LEARNERS, lines, make_recording, make_run, make_summary, panels, texts, with_replay

from bioplastic import plots
from bioplastic.recording import RecordingError, read


def test_reach_panels():
    figure = plots.reach_figure(make_summary())
    found = panels(figure)
    assert {"a", "b", "c", "d", "e", "f"} <= set(found)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(180)
    for letter, what in (("a", "reach of the error signal,\nweights frozen"), ("b", "reach of change")):
        axes = found[letter]
        assert axes.get_ylabel().startswith(what)
        assert axes.get_ylabel().endswith("(hops upstream)")
        assert axes.get_xlabel() == "event frequency (fraction of all events)"
        assert axes.get_xscale() == "log"
        assert axes.get_xticks().tolist() == list(FRACTIONS)
        assert [line.get_label() for line in lines(axes)] == list(LEARNERS)
        # reach 0, 1, 2 with one more in one seed of three
        assert lines(axes)[0].get_ydata() == pytest.approx([1 / 3, 4 / 3, 7 / 3])
        assert axes.get_yticklabels()[0].get_text() == "none"
        # The bars of the first learner: from no seed with one more to all three.
        (low, high), *_ = [segment[:, 1] for segment in axes.collections[0].get_segments()]
        assert (low, high) == pytest.approx((0, 1))


def test_learners_that_coincide_stand_side_by_side():
    summary = make_summary()
    summary["reach"][:] = HOPS - 1
    x = np.array([line.get_xdata() for line in lines(panels(plots.reach_figure(summary))["b"])])
    assert (np.diff(x, axis=0) > 0).all()
    assert np.sqrt(x[0] * x[-1]) == pytest.approx(FRACTIONS)  # centred on the fraction
    assert (x[-1, :-1] < x[0, 1:]).all()


def test_fractions_are_drawn_from_low_to_high():
    summary = make_summary().isel(event_fraction=[2, 0, 1])
    found = panels(plots.reach_figure(summary))
    assert lines(found["b"])[0].get_ydata() == pytest.approx([1 / 3, 4 / 3, 7 / 3])
    assert "event frequency 0.01" in texts(found["c"])


def test_change_is_drawn_at_the_ends_of_the_frequencies():
    figure = plots.reach_figure(make_summary())
    low = panels(figure)["c"]
    (high,) = [axes for axes in figure.axes if axes.get_shared_y_axes().joined(axes, low) and axes is not low]
    assert low.get_ylabel() == "relative change of the weights\nagainst the sham run (1)"
    assert low.get_xlabel() == high.get_xlabel() == "hops upstream"
    assert low.get_yscale() == "log"
    for axes, fraction in ((low, "0.01"), (high, "0.3")):
        assert f"event frequency {fraction}" in texts(axes)
        assert len(lines(axes)) == len(LEARNERS)
    # Error relay at 0.01: hop 0 in all seeds, hop 1 in one of three, exactly zero from there on.
    mean = lines(low)[0].get_ydata()
    assert mean[:2] == pytest.approx([0.1, 0.05 / 3])
    assert np.isnan(mean[2:]).all()


def test_zeros_and_the_floor_are_marked():
    low = panels(plots.reach_figure(make_summary()))["c"]
    above, below = lines(low, "filled")[0], lines(low, "open")[0]
    assert above.get_xdata().round().tolist() == [0, 1]
    assert below.get_xdata().round().tolist() == [2, 3, 4, 5]
    assert below.get_markerfacecolor() == "white"
    zero = low.get_yticks()[0]
    assert low.get_yticklabels()[0].get_text() == "0"
    assert (below.get_ydata() == zero).all()
    assert low.get_ylim()[0] < zero < 0.05 / 3 / 3 * 0.5**3
    # The third learner is above zero at hop 3, but in one seed of three, and so not above the floor.
    third = lines(low, "open")[2]
    assert third.get_ydata()[0] == pytest.approx(0.1 * 0.5**3 / 3)


def test_profiles():
    found = panels(plots.reach_figure(make_summary()))
    assert found["e"].get_ylabel() == "cosine of the change\nto the backprop gradient (1)"
    assert found["f"].get_ylabel().startswith("share of the improvement")
    cosine = lines(found["e"])[0].get_ydata()
    assert cosine[:4] == pytest.approx([0.9] * 4)
    assert np.isnan(cosine[4:]).all()
    assert lines(found["f"])[2].get_ydata() == pytest.approx(np.arange(1, 7) / 6)


def test_values_far_outside_are_arrows():
    summary = make_summary()
    summary["functional_downstream"][0, -1, :, 0] = 40
    axes = panels(plots.reach_figure(summary))["f"]
    assert axes.get_ylim()[1] < 3
    assert [line.get_marker() for line in axes.get_lines() if "arrow" in str(line.get_marker())] == [r"$\uparrow$"]


def test_legend_and_note():
    figure = plots.reach_figure(make_summary())
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == [
        *LEARNERS,
        "not above sham floor",
        "row of exact zeros",
        "last hop of the circuit",
    ]
    note = figure.get_supxlabel().replace("\n", " ")
    assert "Mean over 3 seeds; bars and bands: 95 % bootstrap interval over seeds." in note
    assert "shifted sideways" in note
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_texts_stay_on_the_page():
    figure = plots.reach_figure(make_summary(hops=20))
    figure.draw_without_rendering()
    page = figure.bbox
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert page.x0 <= box.x0
        assert page.y0 <= box.y0
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1
    fonts = {text.get_fontsize() for axes in figure.axes for text in [*axes.get_xticklabels(), *axes.texts]}
    assert min(fonts) >= 6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "summary",
    [
        make_summary(seeds=1),
        make_summary(fractions=(0.1,)),
        make_summary(learners=("somebody",), seeds=2, hops=1),
        make_summary().drop_vars(["alignment", "functional_downstream", "change_floor"]),
        make_summary().drop_vars(["reach", "error_signal_reach", "change", "change_floor"]),
        with_replay(make_summary(), "off"),
    ],
    ids=["one seed", "one fraction", "one learner and hop", "no profiles", "no reach", "schema 1"],
)
def test_strange_summaries(summary):
    figure = plots.reach_figure(summary)
    figure.draw_without_rendering()
    for letter, name in (("b", "reach"), ("e", "alignment")):
        assert ("not measured" in texts(panels(figure)[letter])) == (name not in summary)


def test_a_learner_that_was_not_run():
    summary = make_summary()
    for values in summary.data_vars.values():
        values[1] = np.nan
    figure = plots.reach_figure(summary)
    for letter in "abcd":
        drawn = lines(panels(figure)[letter])
        assert np.isnan(drawn[1].get_ydata()).all()
        assert not np.isnan(drawn[2].get_ydata()).all()


def test_one_seed_has_no_interval():
    figure = plots.reach_figure(make_summary(seeds=1))
    assert figure.get_supxlabel().startswith("1 seed, and therefore no interval.")


def test_replay():
    summary = with_replay(make_summary(), "sleep", "off")
    summary["reach"][:, :, 0] = 0
    awake, asleep = plots.reach_figure(summary), plots.reach_figure(summary, replay="sleep")
    assert lines(panels(awake)["b"])[0].get_ydata() == pytest.approx([1 / 3, 4 / 3, 7 / 3])
    assert lines(panels(asleep)["b"])[0].get_ydata().tolist() == [0, 0, 0]
    assert asleep.get_supxlabel().endswith("Replay: sleep.")
    assert "Replay" not in plots.reach_figure(with_replay(make_summary(), "off")).get_supxlabel()


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (with_replay(make_summary(), "off", "sleep"), r"^there is no replay 'asleep'; the recording has off, sleep\.$"),
        (make_summary(), r"^there is no replay 'asleep'; the recording has no replay conditions\.$"),
    ],
)
def test_unknown_replay(summary, message):
    with pytest.raises(RecordingError, match=message):
        plots.reach_figure(summary, replay="asleep")


def test_summaries_of_something_else():
    with pytest.raises(RecordingError, match="the summary has no condition: there is nothing to plot"):
        plots.reach_figure(make_summary(learners=()))
    with pytest.raises(RecordingError, match="not over event_fraction; give one over learner, event_fraction, seed"):
        plots.reach_figure(make_summary().isel(event_fraction=0, drop=True))


def test_into_a_figure_that_is_there():
    mine = Figure(figsize=(5, 7))
    assert plots.reach_figure(make_summary(), figure=mine) is mine
    assert mine.get_size_inches().tolist() == [5, 7]
    assert "f" in panels(mine)


# The front


@pytest.fixture
def recording():
    """Two learners with runs, the second life of the first without its third occurrence; three without."""
    first = [[0.1, 0, 0, 0, 0, 0], [0.1, 0.01, 0, 0, 0, 0], [0.1, 0.1, 0.1, 0, 0, 0]]
    second = [[0.3, 0, 0, 0, 0, 0], [0.5, 0.03, 0, 0, 0, 0]]
    runs = [
        ({"learner": LEARNERS[0], "event_fraction": 0.3, "seed": 0}, make_run([1, 2, 3], first, 0.05)),
        ({"learner": LEARNERS[0], "event_fraction": 0.3, "seed": 1}, make_run([1, 2], second, 0.05)),
        ({"learner": LEARNERS[2], "event_fraction": 0.3, "seed": 0}, make_run([1, 2], np.full((2, 6), 0.2), 0)),
    ]
    return make_recording(make_summary(), runs)


def test_front_figure(recording):
    figure = plots.front_figure(recording)
    found = panels(figure)
    for letter, learner in zip("abcde", LEARNERS, strict=True):
        said = texts(found[letter])
        assert learner in said
        assert ("not measured" in said) == (letter not in "ac")
        # Only the lowest panel of a column names the axis.
        assert found[letter].get_xlabel() == ("occurrence of the rare event" if letter in "cde" else "")
        assert found[letter].get_ylabel() == ("hops upstream" if letter in "ad" else "")
    drawn = {mesh.get_gid(): mesh for mesh in found["a"].collections if mesh.get_gid()}
    # (hop, occurrence): the mean of two seeds over the two occurrences that both have
    values = drawn["change"].get_array()
    assert values.shape == (6, 2)
    assert values[0].tolist() == pytest.approx([0.2, 0.3])
    assert values[1, 1] == pytest.approx(0.02)
    assert values.mask[1, 0]
    assert values.mask[2:].all()
    # 0.02 is not above the floor of 0.05; exact zeros are not hatched.
    hatched = drawn["below"].get_array()
    assert np.argwhere(~np.ma.getmaskarray(hatched).reshape(6, 2)).tolist() == [[1, 1]]
    assert drawn["below"].get_hatch()
    assert "below" not in {mesh.get_gid() for mesh in found["c"].collections}
    assert figure.get_supxlabel().startswith("Mean over 1 to 2 seeds, event frequency 0.3.")


def test_front_scale_and_legend(recording):
    figure = plots.front_figure(recording)
    (aside,) = [axes for axes in figure.axes if axes.get_legend()]
    assert [text.get_text() for text in aside.get_legend().get_texts()] == [
        "exactly zero",
        "not above sham floor",
    ]
    (bar,) = [child for child in aside.child_axes if child.get_xlabel()]
    assert bar.get_xlabel() == "relative change of the weights\nagainst the sham run (1)"
    assert bar.get_xscale() == "log"
    assert bar.get_xlim() == pytest.approx((0.02, 0.3))


def test_front_without_runs():
    with pytest.raises(RecordingError, match=r"no run with its change by occurrence at event fraction 0\.3"):
        plots.front_figure(make_recording(make_summary()))


def test_front_at_another_event_fraction(recording):
    with pytest.raises(RecordingError, match=r"no run with its change by occurrence at event fraction 0\.1"):
        plots.front_figure(recording, event_fraction=0.1)
    given = plots.front_figure(recording, event_fraction=0.3)
    assert given.get_supxlabel() == plots.front_figure(recording).get_supxlabel()


def test_front_at_an_event_fraction_that_was_not_recorded(recording):
    with pytest.raises(
        RecordingError, match=r"^there is no event fraction 0\.2; the recording has 0\.01, 0\.1, 0\.3\.$"
    ):
        plots.front_figure(recording, event_fraction=0.2)


def test_front_at_a_replay_condition():
    summary = with_replay(make_summary(learners=("backprop",)), "off", "sleep")
    common = {"learner": "backprop", "event_fraction": 0.3, "seed": 0}
    runs = [
        (common | {"replay": "off"}, make_run([1, 2], np.full((2, HOPS), 0.1), 0)),
        (common | {"replay": "sleep"}, make_run([1, 2], np.full((2, HOPS), 0.4), 0)),
    ]
    for replay, change in ((None, 0.1), ("sleep", 0.4)):
        axes = panels(plots.front_figure(make_recording(summary, runs), replay=replay))["a"]
        (drawn,) = [mesh for mesh in axes.collections if mesh.get_gid() == "change"]
        assert np.unique(drawn.get_array()).tolist() == [change]


def test_front_of_many_learners_fits_a_page():
    names = tuple(f"equilibrium relay, apical x {k + 10}" for k in range(18))
    labels = {"learner": names[0], "event_fraction": 0.3}
    runs = [(labels, make_run([1, 30], np.full((2, HOPS), 0.1), 0))]
    figure = plots.front_figure(make_recording(make_summary(learners=names), runs))
    assert figure.get_size_inches()[1] * 25.4 < 250
    figure.draw_without_rendering()
    found = panels(figure)
    for letter, name in zip("abcdefghijklmnopqr", names, strict=True):
        boxes = {text.get_text(): text.get_window_extent() for text in found[letter].texts}
        assert not boxes[name].overlaps(boxes[letter])
    aside = figure.axes[-1]
    (bar,) = [child for child in aside.child_axes if child.get_xlabel()]
    assert not bar.get_tightbbox().overlaps(aside.get_legend().get_window_extent())


# Recordings of schema 1


def test_figures_of_a_recording_of_schema_1(root):
    old = read(root / "data" / "golden" / "reach_vs_frequency-v1.h5")
    summary = old.summary.squeeze("replay", drop=True)
    found, same = (panels(plots.reach_figure(one)) for one in (old, summary))
    for letter in "abcdef":
        drawn, expected = (lines(one[letter]) for one in (found, same))
        assert len(drawn) == len(expected) == summary.sizes["learner"]
        for one, other in zip(drawn, expected, strict=True):
            assert np.isfinite(one.get_ydata()).any()
            assert np.array_equal(one.get_ydata(), other.get_ydata(), equal_nan=True)
    fronts = plots.front_figure(old)
    assert fronts.get_supxlabel().startswith("Mean over 2 seeds, event frequency 0.3.")
    assert not any("not measured" in texts(axes) for axes in fronts.axes)


# Files


def small():
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([1, 2])
    return figure


def test_save(tmp_path):
    png, pdf = plots.save(small(), tmp_path / "new" / "run.v2")
    assert (png, pdf) == (tmp_path / "new" / "run.v2.png", tmp_path / "new" / "run.v2.pdf")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    again = plots.save(small(), tmp_path / "again.png")
    assert again == (tmp_path / "again.png", tmp_path / "again.pdf")
    assert again[1].read_bytes() == pdf.read_bytes()


def test_save_says_what_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"could not be written .*: give another path\."):
        plots.save(small(), tmp_path / "file" / "figure")


def test_settings_of_the_user_are_left_alone():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 30, "axes.grid": True}):
        figure = plots.reach_figure(make_summary())
        figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before
    axes = panels(figure)["a"]
    assert {text.get_fontsize() for text in axes.get_xticklabels()} == {7}
    assert axes.yaxis.label.get_fontsize() == 7
