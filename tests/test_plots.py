"""The figures: what is drawn where, what it is called, and that the strange cases are drawn too."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bioplastic import plots
from bioplastic.recording.schema1 import Experiment, RecordingError, Run, Summary, read

LEARNERS = (
    "error relay",
    "error relay, unscreened",
    "backprop",
    "backprop, truncated",
    "backprop, falling rate",
)
FRACTIONS = (0.01, 0.1, 0.3)
HOPS = 6


def make_summary(learners=LEARNERS, fractions=FRACTIONS, seeds=3, hops=HOPS, missing=()):
    """The n-th learner reaches hop n at the first fraction, one more at the next, and one more in one seed."""
    shape = (len(learners), len(fractions), 1, seeds)
    hop = np.arange(hops)
    first = np.arange(len(learners))[:, None, None, None] + np.arange(len(fractions))[:, None, None]
    reach = np.minimum(np.broadcast_to(first, shape) + (np.arange(seeds) == 1), hops - 1).astype(float)
    change = np.where(hop <= reach[..., None], 0.1 * 0.5**hop, 0.0)
    variables = {
        "error_signal_reach": reach,
        "reach": reach,
        "change": change,
        "change_floor": np.full((*shape, hops), 0.1 * 0.5**3.5),
        "alignment": np.where(change > 0, 0.9, np.nan),
        "functional_downstream": np.broadcast_to((hop + 1) / hops, (*shape, hops)).copy(),
    }
    for name in missing:
        del variables[name]
    return Summary(
        learner=learners,
        event_fraction=np.array(fractions),
        replay=("off",),
        seed=np.arange(seeds),
        hop=hop,
        variables=variables,
    )


def panels(figure):
    return {axes.get_label(): axes for axes in figure.axes}


def lines(axes, gid="mean"):
    return [line for line in axes.get_lines() if line.get_gid() == gid]


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
    summary.variables["reach"][:] = HOPS - 1
    x = np.array([line.get_xdata() for line in lines(panels(plots.reach_figure(summary))["b"])])
    assert (np.diff(x, axis=0) > 0).all()
    assert np.sqrt(x[0] * x[-1]) == pytest.approx(FRACTIONS)  # centred on the fraction
    assert (x[-1, :-1] < x[0, 1:]).all()


def test_change_is_drawn_at_the_ends_of_the_frequencies():
    figure = plots.reach_figure(make_summary())
    low = panels(figure)["c"]
    (high,) = [axes for axes in figure.axes if axes.get_shared_y_axes().joined(axes, low) and axes is not low]
    assert low.get_ylabel() == "relative change of the weights\nagainst the sham run (1)"
    assert low.get_xlabel() == high.get_xlabel() == "hops upstream"
    assert low.get_yscale() == "log"
    for axes, fraction in ((low, "0.01"), (high, "0.3")):
        assert f"event frequency {fraction}" in {text.get_text() for text in axes.texts}
        assert len(lines(axes)) == len(LEARNERS)
    # Error relay at 0.01: hop 0 in all seeds, hop 1 in one of three, exactly zero from there on.
    mean = lines(low)[0].get_ydata()
    assert mean[:2] == pytest.approx([0.1, 0.05 / 3])
    assert np.isnan(mean[2:]).all()


def test_zeros_and_the_floor_are_marked():
    low = panels(plots.reach_figure(make_summary()))["c"]
    above, below = lines(low, "above")[0], lines(low, "below")[0]
    assert above.get_xdata().round().tolist() == [0, 1]
    assert below.get_xdata().round().tolist() == [2, 3, 4, 5]
    assert below.get_markerfacecolor() == "white"
    zero = low.get_yticks()[0]
    assert low.get_yticklabels()[0].get_text() == "0"
    assert (below.get_ydata() == zero).all()
    assert low.get_ylim()[0] < zero < 0.05 / 3 / 3 * 0.5**3
    # The third learner is above zero at hop 3, but in one seed of three, and so not above the floor.
    third = lines(low, "below")[2]
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
    summary.variables["functional_downstream"][0, -1, 0, :, 0] = 40
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


def luminance(color):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_styles_survive_grey():
    drawn = plots.styles((*LEARNERS, "somebody", "somebody else"))
    assert len({style.marker for style in drawn}) == len(drawn)
    known = drawn[: len(LEARNERS)]
    assert len({style.line for style in known}) == len(known)
    steps = np.diff(sorted(luminance(style.color) for style in known))
    assert steps.min() > 7
    assert plots.styles(("backprop",))[0] == drawn[2]  # alike in every figure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "summary",
    [
        make_summary(seeds=1),
        make_summary(fractions=(0.1,)),
        make_summary(learners=("somebody",), seeds=2, hops=1),
        make_summary(missing=("alignment", "functional_downstream", "change_floor")),
        make_summary(missing=("reach", "error_signal_reach", "change", "change_floor")),
    ],
    ids=["one seed", "one fraction", "one learner and hop", "no profiles", "no reach"],
)
def test_strange_summaries(summary):
    figure = plots.reach_figure(summary)
    figure.draw_without_rendering()
    for letter, name in (("b", "reach"), ("e", "alignment")):
        said = "not measured" in {text.get_text() for text in panels(figure)[letter].texts}
        assert said == (name not in summary.variables)


def test_a_learner_that_was_not_run():
    summary = make_summary()
    for values in summary.variables.values():
        values[1] = np.nan
    figure = plots.reach_figure(summary)
    for letter in "abcd":
        drawn = lines(panels(figure)[letter])
        assert np.isnan(drawn[1].get_ydata()).all()
        assert not np.isnan(drawn[2].get_ydata()).all()


def test_one_seed_has_no_interval():
    figure = plots.reach_figure(make_summary(seeds=1))
    assert figure.get_supxlabel().startswith("1 seed, and therefore no interval.")


def test_unknown_replay():
    with pytest.raises(RecordingError, match="there is no replay 'asleep'"):
        plots.reach_figure(make_summary(), replay="asleep")


# The front


def make_run(learner, seed, occurrences, change, floor):
    return Run(
        arm="learning",
        learner=learner,
        event_fraction=0.3,
        replay="off",
        seed=seed,
        learning_rate=0.01,
        role="result",
        event_time=[0.0],
        event_kind=[1],
        event_occurrence=[1],
        event_salience=[1.0],
        event_replayed=[False],
        event_stimulus=[0],
        output_error=[0.5],
        snapshot_occurrence=occurrences,
        change=change,
        change_floor=np.full(np.shape(change), floor),
    )


@pytest.fixture
def recording(tmp_path):
    """Two learners with runs, the second life of the first without its third occurrence; three without."""
    experiment = Experiment.open(tmp_path / "run.h5", title="t", seed=0, config={}, circuit="{}", script="pass")
    first = [[0.1, 0, 0, 0, 0, 0], [0.1, 0.01, 0, 0, 0, 0], [0.1, 0.1, 0.1, 0, 0, 0]]
    second = [[0.3, 0, 0, 0, 0, 0], [0.5, 0.03, 0, 0, 0, 0]]
    experiment.add("a", make_run(LEARNERS[0], 0, [1, 2, 3], first, 0.05))
    experiment.add("b", make_run(LEARNERS[0], 1, [1, 2], second, 0.05))
    experiment.add("c", make_run(LEARNERS[2], 0, [1, 2], np.full((2, 6), 0.2), 0))
    return read(experiment.finish(make_summary()))


def test_front(recording):
    figure = plots.front_figure(recording)
    found = panels(figure)
    for letter, learner in zip("abcde", LEARNERS, strict=True):
        texts = {text.get_text() for text in found[letter].texts}
        assert learner in texts
        assert ("not measured" in texts) == (letter not in "ac")
        # Only the lowest panel of a column names the axis.
        assert found[letter].get_xlabel() == ("occurrence of the rare event" if letter in "cde" else "")
    assert found["a"].get_ylabel() == "hops upstream"
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


def test_front_without_runs(tmp_path):
    experiment = Experiment.open(tmp_path / "run.h5", title="t", seed=0, config={}, circuit="{}", script="")
    bare = read(experiment.finish(make_summary()))
    with pytest.raises(RecordingError, match=r"no run with its change by occurrence at event fraction 0\.3"):
        plots.front_figure(bare)


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


def test_front_of_many_learners_fits_a_page(tmp_path):
    names = tuple(f"equilibrium relay, apical x {k + 10}" for k in range(18))
    experiment = Experiment.open(tmp_path / "run.h5", title="t", seed=0, config={}, circuit="{}", script="pass")
    experiment.add("a", make_run(names[0], 0, [1, 30], np.full((2, HOPS), 0.1), 0))
    figure = plots.front_figure(read(experiment.finish(make_summary(learners=names))))
    assert figure.get_size_inches()[1] * 25.4 < 250
    figure.draw_without_rendering()
    found = panels(figure)
    for letter, name in zip("abcdefghijklmnopqr", names, strict=True):
        boxes = {text.get_text(): text.get_window_extent() for text in found[letter].texts}
        assert not boxes[name].overlaps(boxes[letter])
    aside = figure.axes[-1]
    (bar,) = [child for child in aside.child_axes if child.get_xlabel()]
    assert not bar.get_tightbbox().overlaps(aside.get_legend().get_window_extent())


# The cascade

CASCADE = (
    "error relay",
    "error relay, rate x 3",
    "error relay, decay",
    "error relay, unscreened",
    "broadcast",
    "equilibrium relay",
    "equilibrium relay, apical x 10",
    "backprop",
)
PLAIN = ("error relay", "error relay, unscreened", "broadcast", "equilibrium relay", "backprop")
NAN = np.nan


def make_cascade(path, *, seeds=3, fractions=(0.3, 0.1), hops=HOPS, missing=(), learners=CASCADE):
    """Looks after occurrences 1, 2, 4 and 8; the first two seeds arrive at hop 1 after 2 and 4, the third never."""
    conditions = (len(learners), len(fractions), 1, seeds)
    exact = np.full((*conditions, hops), NAN)
    exact[..., 0] = 1
    variables = {"arrival_exact": exact, "reach": np.zeros(conditions), "latency": np.full_like(exact, NAN)}
    variables |= {f"mismatch_{when}": np.full_like(exact, NAN) for when in ("before", "during", "after")}
    variables["time_per_hop"] = np.full(conditions, NAN)
    for i, name in enumerate(learners):
        if name in ("broadcast", "backprop"):
            exact[i] = 1
        elif hops > 2:
            exact[i, ..., :2, 1] = [2, 4][:seeds]
        if name != "backprop":
            variables["latency"][i] = 10 + 15 * np.arange(hops)
            variables["latency"][i, ..., 0, 2:] = NAN
            variables["time_per_hop"][i, ..., 1:] = 15
            for when, size in (("before", 0.01), ("during", 1.0), ("after", 0.1)):
                variables[f"mismatch_{when}"][i] = np.where(np.arange(hops) < 2, size, 0)
    above = exact.copy()
    if "equilibrium relay" in learners:
        above[learners.index("equilibrium relay"), ..., 1] = NAN
    variables |= {"arrival": above}
    for name in missing:
        del variables[name]
    summary = Summary(
        learner=learners,
        event_fraction=np.array(fractions),
        replay=("off",),
        seed=np.arange(seeds),
        hop=np.arange(hops),
        variables=variables,
    )
    experiment = Experiment.open(path / "run.h5", title="t", seed=0, config={}, circuit="{}", script="pass")
    run = make_run("error relay", 0, [1, 2, 4, 8], np.full((4, hops), 0.1), 0)
    experiment.add("a", replace(run, event_fraction=min(fractions)))
    return read(experiment.finish(summary))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """The figure of it."""
    return plots.cascade_figure(make_cascade(tmp_path_factory.mktemp("cascade")))


def legends(figure):
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return {one.get_title().get_text(): [text.get_text() for text in one.get_texts()] for one in found}


def test_cascade_axes(cascade):
    assert cascade.get_size_inches()[0] * 25.4 == pytest.approx(180)
    found = panels(cascade)
    assert {letter: (found[letter].get_xlabel(), found[letter].get_ylabel()) for letter in "abcd"} == {
        "a": ("occurrence of the rare event", "hops upstream"),
        "b": ("event frequency (fraction of all events)", "reach at the last occurrence\n(hops upstream)"),
        "c": ("hops upstream", "time from the outcome's onset to the\nfirst error spike that differs (ms)"),
        "d": ("hops upstream", "mismatch signalled per cell\nand event (spikes)"),
    }
    assert [found[letter].get_xscale() for letter in "ab"] == ["log", "log"]
    assert [text.get_text() for text in found["a"].get_xticklabels()] == ["1", "2", "4", "8", "never"]
    note = cascade.get_supxlabel().replace("\n", " ")
    assert note.startswith("Mean over 3 seeds; bars and bands: 95 % bootstrap interval over seeds.")


def test_arrival_of_the_rules_without_a_setting(cascade):
    axes = panels(cascade)["a"]
    exact = lines(axes, "arrival_exact")
    assert len(exact) == len(PLAIN)
    # Shifted sideways by a factor of its own; 3 is the mean of 2 and 4.
    first = exact[0].get_xdata()
    assert first[:2] / first[0] == pytest.approx([1, 3])
    assert np.isnan(first[2:]).all()
    x = np.array([line.get_xdata()[0] for line in exact])
    assert (np.diff(x) > 0).all()
    assert x[-1] / x[0] < 2  # all of them nearer to the first look than to the second
    backprop = exact[-1].get_ydata()
    assert len(backprop) == HOPS
    assert np.diff(backprop) == pytest.approx(1)


def test_hops_that_are_reached_in_some_seeds_or_never(cascade):
    axes = panels(cascade)["a"]
    relay, *_, backprop = range(len(PLAIN))
    every, some, never = (lines(axes, f"arrival_exact, {w}") for w in ("every seed", "some seeds", "never"))
    assert every[relay].get_ydata().round().tolist() == [0]
    some_y = some[relay].get_ydata()[~np.isnan(some[relay].get_xdata())]
    assert some_y.round().tolist() == [1]
    assert some[relay].get_markerfacecolor() == "white"
    assert "2/3" in {text.get_text() for text in axes.texts}
    assert never[relay].get_ydata().round().tolist() == [2]
    assert never[relay].get_xdata()[0] == pytest.approx(axes.get_xticks()[-1], rel=0.15)
    assert every[backprop].get_ydata().round().tolist() == list(range(HOPS))
    assert not never[backprop].get_ydata().size


def test_numbers_of_seeds_stand_clear_of_their_line_and_of_the_next_learner(tmp_path):
    figure = plots.cascade_figure(make_cascade(tmp_path))
    figure.draw_without_rendering()
    axes = panels(figure)["a"]
    numbers = [text for text in axes.texts if text.get_text() == "2/3"]
    boxes = [text.get_window_extent() for text in numbers]
    relay, unscreened, *_ = boxes  # neighbours, which arrive together
    for text, box in zip(numbers, boxes, strict=True):
        assert box.x0 > axes.transData.transform(text.xy)[0]
    assert not relay.overlaps(unscreened)


def test_arrival_above_the_floor_is_dashed_where_it_differs(cascade):
    axes = panels(cascade)["a"]
    (above,) = lines(axes, "arrival")
    assert above.get_linestyle() == "--"
    assert above.get_color() == lines(axes, "arrival_exact")[PLAIN.index("equilibrium relay")].get_color()
    assert np.isfinite(above.get_xdata()).tolist() == [True, *[False] * (HOPS - 1)]
    assert lines(axes, "arrival, never")[0].get_ydata().round().tolist() == [1]


def test_arrival_of_what_changes_nothing_and_of_what_was_not_run(tmp_path):
    recording = make_cascade(tmp_path)
    values = recording.summary.variables
    for name in ("arrival", "arrival_exact"):
        values[name][0] = values[name][3] = NAN
    values["reach"][0], values["reach"][3] = -1, NAN
    axes = panels(plots.cascade_figure(recording))["a"]
    assert len(lines(axes, "arrival_exact")) == len(PLAIN) - 1
    assert lines(axes, "arrival_exact, never")[0].get_ydata().round().tolist() == [0]


def test_restoring_forces(tmp_path):
    recording = make_cascade(tmp_path)
    reach = recording.summary.variables["reach"]
    reach[CASCADE.index("error relay, decay")] = np.array([2, 1])[:, None, None]
    figure = plots.cascade_figure(recording)
    drawn = {line.get_label(): line for line in lines(panels(figure)["b"])}
    assert list(drawn) == [
        "error relay",
        "error relay, decay",
        "equilibrium relay",
        "equilibrium relay, apical x 10",
    ]
    decay = drawn["error relay, decay"]
    assert (np.diff(decay.get_xdata()) > 0).all()  # fractions were recorded from high to low
    assert decay.get_ydata().tolist() == [1, 2]
    assert decay.get_color() == drawn["error relay"].get_color()
    assert decay.get_marker() != drawn["error relay"].get_marker()
    assert legends(figure)["dotted: last hop of the circuit"] == list(drawn)


def test_restoring_forces_without_any(tmp_path):
    figure = plots.cascade_figure(make_cascade(tmp_path, learners=("error relay", "error relay, rate x 3", "backprop")))
    assert [line.get_label() for line in lines(panels(figure)["b"])] == ["error relay", "backprop"]
    assert len(lines(panels(figure)["d"])) == 3  # the phases of the first rule


def test_latency(cascade):
    assert legends(cascade)["open symbols: not in every seed"] == [f"{rule}: 15 ms/hop" for rule in PLAIN[:-1]]
    axes = panels(cascade)["c"]
    assert lines(axes)[0].get_ydata() == pytest.approx(10 + 15 * np.arange(HOPS))
    every, some = lines(axes, "every seed")[0], lines(axes, "some seeds")[0]
    assert every.get_ydata() == pytest.approx([10, 25])  # the first seed gets no farther
    assert some.get_ydata() == pytest.approx([40, 55, 70, 85])
    assert some.get_markerfacecolor() == "white"


def test_latency_of_a_rule_whose_speed_is_not_known(tmp_path):
    recording = make_cascade(tmp_path)
    recording.summary.variables["time_per_hop"][0] = NAN
    assert legends(plots.cascade_figure(recording))["open symbols: not in every seed"][0] == "error relay"


def test_mismatch(cascade):
    (entries,) = [texts for title, texts in legends(cascade).items() if "during: rare" in title]
    assert entries == [
        f"{rule}, {when}" for rule in ("error relay", "equilibrium relay") for when in ("before", "during", "after")
    ]
    axes = panels(cascade)["d"]
    for curve, size in zip(lines(axes), (0.01, 1, 0.1) * 2, strict=True):
        assert curve.get_ydata()[:2] == pytest.approx([size] * 2)
        assert np.isnan(curve.get_ydata()[2:]).all()
    assert axes.get_yscale() == "log"
    zero = axes.get_yticks()[0]
    assert axes.get_yticklabels()[0].get_text() == "0"
    assert all((symbols.get_ydata()[2:] == zero).all() for symbols in lines(axes, "symbols"))
    thin, thick = (lines(axes)[k].get_linewidth() for k in (0, 3))
    assert thin < thick


def test_cascade_is_at_the_lowest_event_fraction(tmp_path):
    recording = make_cascade(tmp_path)  # fractions 0.3 and 0.1
    recording.summary.variables["latency"][:, 0] = 500
    figure = plots.cascade_figure(recording)
    assert max(np.nanmax(line.get_ydata()) for line in lines(panels(figure)["c"])) < 100
    assert "event frequency 0.1" in legends(figure)


def test_cascade_stays_on_the_page_and_legends_cover_nothing(tmp_path):
    names = (*CASCADE, "error relay, unscreened, fine", "error relay, radius 2", "equilibrium relay, apical x 0")
    figure = plots.cascade_figure(make_cascade(tmp_path, learners=names, hops=12))
    figure.draw_without_rendering()
    page = figure.bbox
    shown = [axes for letter, axes in panels(figure).items() if letter in set("abcd")]
    boxes = [axes.get_tightbbox() for axes in shown]
    keys = [axes.get_legend().get_window_extent() for axes in figure.axes if axes.get_legend()]
    for box in (*boxes, *keys):
        assert page.x0 <= box.x0
        assert page.y0 <= box.y0
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1
    assert len(keys) == 4
    for k, key in enumerate(keys):
        assert not any(key.overlaps(axes.get_window_extent()) for axes in shown)
        assert not any(key.overlaps(other) for other in keys[k + 1 :])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("settings", "unmeasured"),
    [
        ({"seeds": 1}, ""),
        ({"fractions": (0.1,)}, ""),
        ({"hops": 1, "seeds": 2, "learners": ("somebody",)}, ""),
        ({"missing": ("arrival", "arrival_exact")}, "a"),
        ({"missing": ("arrival",)}, ""),
        ({"missing": ("arrival_exact", "reach")}, "b"),
        ({"missing": ("latency", "time_per_hop")}, "c"),
        ({"missing": ("mismatch_before", "mismatch_during", "mismatch_after")}, "d"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_cascades_that_are_strange(tmp_path, settings, unmeasured):
    figure = plots.cascade_figure(make_cascade(tmp_path, **settings))
    figure.draw_without_rendering()
    found = panels(figure)
    said = [letter for letter in "abcd" if "not measured" in {text.get_text() for text in found[letter].texts}]
    assert said == list(unmeasured)


def test_cascade_without_conditions_or_with_an_unknown_replay(tmp_path):
    with pytest.raises(RecordingError, match="there is no replay 'asleep'"):
        plots.cascade_figure(make_cascade(tmp_path), replay="asleep")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="the summary has no condition"):
        plots.cascade_figure(make_cascade(tmp_path / "empty", learners=()))


# Files


def test_save(tmp_path):
    def small():
        figure = mpl.figure.Figure(figsize=(1, 1))
        figure.add_subplot().plot([1, 2])
        return figure

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
        plots.save(mpl.figure.Figure(), tmp_path / "file" / "figure")


def test_settings_of_the_user_are_left_alone():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 30, "axes.grid": True}):
        figure = plots.reach_figure(make_summary())
        figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before
    axes = panels(figure)["a"]
    assert {text.get_fontsize() for text in axes.get_xticklabels()} == {7}
    assert axes.yaxis.label.get_fontsize() == 7
