"""The figure of the cascade and its panels: when change arrives, what holds it back, how fast the error comes."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from plotted import HOPS, dataset, lines, make_recording, make_run, panels, texts, with_replay

from bioplastic import plots
from bioplastic.recording import Recording, RecordingError

CASCADE = (
    ("error relay", "", False),
    ("error relay", "rate x 3", False),
    ("error relay", "decay", True),
    ("error relay, unscreened", "", False),
    ("broadcast", "", False),
    ("equilibrium relay", "", False),
    ("equilibrium relay", "apical x 10", True),
    ("backprop", "", False),
)
"""Rule, setting, and whether that is a restoring force."""
PLAIN = ("error relay", "error relay, unscreened", "broadcast", "equilibrium relay", "backprop")
PHASES = ("before", "during", "after")
NAN = np.nan


def name_of(rule, setting):
    return f"{rule}, {setting}" if setting else rule


def make_cascade(
    *,
    seeds: int = 3,
    fractions: tuple[float, ...] = (0.3, 0.1),
    hops: int = HOPS,
    missing: tuple[str, ...] = (),
    learners: tuple[tuple[str, str, bool], ...] = CASCADE,
) -> Recording:
    """Looks after occurrences 1, 2, 4 and 8; the first two seeds arrive at hop 1 after 2 and 4, the third never."""
    conditions = (len(learners), len(fractions), seeds)
    exact = np.full((*conditions, hops), NAN)
    exact[..., 0] = 1
    variables = {"arrival_exact": exact, "reach": np.zeros(conditions), "latency": np.full_like(exact, NAN)}
    variables |= {f"mismatch_{when}": np.full_like(exact, NAN) for when in PHASES}
    variables["time_per_hop"] = np.full(conditions, NAN)
    for i, (rule, *_) in enumerate(learners):
        if rule in ("broadcast", "backprop"):
            exact[i] = 1
        elif hops > 2:
            exact[i, :, :2, 1] = [2, 4][:seeds]
        if rule != "backprop":
            variables["latency"][i] = 10 + 15 * np.arange(hops)
            variables["latency"][i, :, 0, 2:] = NAN
            variables["time_per_hop"][i, :, 1:] = 15
            for when, size in zip(PHASES, (0.01, 1.0, 0.1), strict=True):
                variables[f"mismatch_{when}"][i] = np.where(np.arange(hops) < 2, size, 0)
    above = exact.copy()
    for i, (rule, setting, _) in enumerate(learners):
        if (rule, setting) == ("equilibrium relay", ""):
            above[i, ..., 1] = NAN
    variables |= {"arrival": above}
    names = [name_of(rule, setting) for rule, setting, _ in learners]
    kept = {name: array for name, array in variables.items() if name not in missing}
    summary = dataset(kept, names, fractions).assign_coords(
        {
            key: ("learner", [learner[k] for learner in learners])
            for k, key in enumerate(("rule", "setting", "restoring"))
        }
    )
    run = make_run([1, 2, 4, 8], np.full((4, hops), 0.1), 0)
    return make_recording(summary, [({"learner": "error relay", "event_fraction": min(fractions), "seed": 0}, run)])


def set_values(recording: Recording, name: str, learner: str, values) -> Recording:
    """The same with other values of a learner."""
    recording.summary[name].loc[{"learner": learner}] = values
    return recording


@pytest.fixture(scope="module")
def cascade():
    """The figure of it."""
    return plots.cascade_figure(make_cascade())


def legends(figure):
    found = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return {one.get_title().get_text(): [text.get_text() for text in one.get_texts()] for one in found}


def test_axes(cascade):
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


def test_legend_of_arrival(cascade):
    assert legends(cascade)["event frequency 0.1"] == [
        *PLAIN,
        "first changes at all",
        "first changes by more than the\nsham floor, where that differs",
        "open symbols: not in every seed",
        "never in the life: first such hop",
        "one hop per occurrence",
    ]


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


def there(line):
    """Hops at which a line has symbols."""
    return line.get_ydata()[np.isfinite(line.get_xdata())].round().tolist()


def test_hops_that_are_reached_in_some_seeds_or_never(cascade):
    axes = panels(cascade)["a"]
    # The equilibrium relay, the last but one, is there twice: it changes by more than the floor at hop 0 only.
    relay, backprop = 0, len(PLAIN)
    every, some, never = (lines(axes, which) for which in ("filled", "open", "never"))
    assert there(every[relay]) == [0]
    assert there(some[relay]) == [1]
    assert some[relay].get_markerfacecolor() == "white"
    assert "2/3" in texts(axes)
    assert there(never[relay]) == [2]
    assert never[relay].get_xdata()[0] == pytest.approx(axes.get_xticks()[-1], rel=0.15)
    assert there(every[backprop]) == list(range(HOPS))
    assert there(never[backprop]) == []


def test_numbers_of_seeds_stand_clear_of_their_line_and_of_the_next_learner():
    figure = plots.cascade_figure(make_cascade())
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
    assert there(lines(axes, "never")[PLAIN.index("equilibrium relay") + 1]) == [1]


def test_arrival_of_what_changes_nothing_and_of_what_was_not_run():
    recording = make_cascade()
    for learner, reach in (("error relay", -1), ("error relay, unscreened", NAN)):
        for name in ("arrival", "arrival_exact"):
            set_values(recording, name, learner, NAN)
        set_values(recording, "reach", learner, reach)
    axes = panels(plots.cascade_figure(recording))["a"]
    assert len(lines(axes, "arrival_exact")) == len(PLAIN) - 1
    assert there(lines(axes, "never")[0]) == [0]


def test_arrival_without_runs():
    recording = make_cascade()
    axes = panels(plots.cascade_figure(make_recording(recording.summary)))["a"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4", "never"]  # those at which it arrives


def test_restoring_forces():
    recording = set_values(make_cascade(), "reach", "error relay, decay", np.array([2, 1])[:, None])
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


def test_restoring_forces_without_any():
    learners = (("error relay", "", False), ("error relay", "rate x 3", False), ("backprop", "", False))
    figure = plots.cascade_figure(make_cascade(learners=learners))
    assert [line.get_label() for line in lines(panels(figure)["b"])] == ["error relay", "backprop"]
    assert len(lines(panels(figure)["d"])) == 3  # the phases of the first rule


@pytest.mark.parametrize(("dropped", "n_plain"), [(["restoring"], 5), (["rule", "setting", "restoring"], 8)])
def test_settings_that_the_summary_does_not_tell(dropped, n_plain):
    recording = make_cascade()
    figure = plots.cascade_figure(make_recording(recording.summary.drop_vars(dropped)))
    assert len(lines(panels(figure)["a"], "arrival_exact")) == n_plain
    assert len(lines(panels(figure)["b"])) == (5 if n_plain == 5 else 8)  # every setting restores, or there is none


def test_latency(cascade):
    assert legends(cascade)["open symbols: not in every seed"] == [f"{rule}: 15 ms/hop" for rule in PLAIN[:-1]]
    axes = panels(cascade)["c"]
    assert lines(axes)[0].get_ydata() == pytest.approx(10 + 15 * np.arange(HOPS))
    every, some = lines(axes, "filled")[0], lines(axes, "open")[0]
    assert every.get_ydata() == pytest.approx([10, 25])  # the first seed gets no farther
    assert some.get_ydata() == pytest.approx([40, 55, 70, 85])
    assert some.get_markerfacecolor() == "white"


def test_latency_of_a_rule_whose_speed_is_not_known():
    recording = set_values(make_cascade(), "time_per_hop", "error relay", NAN)
    assert legends(plots.cascade_figure(recording))["open symbols: not in every seed"][0] == "error relay"


def test_mismatch(cascade):
    (entries,) = [texts for title, texts in legends(cascade).items() if "during: rare" in title]
    assert entries == [f"{rule}, {when}" for rule in ("error relay", "equilibrium relay") for when in PHASES]
    axes = panels(cascade)["d"]
    for curve, size in zip(lines(axes), (0.01, 1, 0.1) * 2, strict=True):
        assert curve.get_ydata()[:2] == pytest.approx([size] * 2)
        assert np.isnan(curve.get_ydata()[2:]).all()
    assert axes.get_yscale() == "log"
    zero = axes.get_yticks()[0]
    assert axes.get_yticklabels()[0].get_text() == "0"
    symbols = lines(axes, "symbols")
    assert all((one.get_ydata()[2:] == zero).all() for one in symbols)
    assert [one.get_fillstyle() for one in symbols] == ["none", "full", "left"] * 2
    thin, thick = (lines(axes)[k].get_linewidth() for k in (0, 3))
    assert thin < thick


def test_cascade_is_at_the_lowest_event_fraction():
    recording = make_cascade()  # fractions 0.3 and 0.1
    recording.summary["latency"][:, 0] = 500
    figure = plots.cascade_figure(recording)
    assert max(np.nanmax(line.get_ydata()) for line in lines(panels(figure)["c"])) < 100
    assert "event frequency 0.1" in legends(figure)


def test_cascade_stays_on_the_page_and_legends_cover_nothing():
    more = (("error relay, unscreened, fine", "", False), ("error relay, radius 2", "", False))
    learners = (*CASCADE, *more, ("equilibrium relay", "apical x 0", True))
    figure = plots.cascade_figure(make_cascade(learners=learners, hops=12))
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
        ({"hops": 1, "seeds": 2, "learners": (("somebody", "", False),)}, ""),
        ({"learners": (("somebody", "decay", True),)}, ""),
        ({"missing": ("arrival", "arrival_exact")}, "a"),
        ({"missing": ("arrival",)}, ""),
        ({"missing": ("arrival_exact", "reach")}, "b"),
        ({"missing": ("latency", "time_per_hop")}, "c"),
        ({"missing": tuple(f"mismatch_{when}" for when in PHASES)}, "d"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_cascades_that_are_strange(settings, unmeasured):
    figure = plots.cascade_figure(make_cascade(**settings))
    figure.draw_without_rendering()
    found = panels(figure)
    assert [letter for letter in "abcd" if "not measured" in texts(found[letter])] == list(unmeasured)


def test_recordings_with_replay_conditions(cascade):
    summary = with_replay(make_cascade().summary, "off")
    figure = plots.cascade_figure(make_recording(summary))
    assert legends(figure).keys() == legends(cascade).keys()
    for ours, others in zip(lines(panels(figure)["c"]), lines(panels(cascade)["c"]), strict=True):
        assert np.array_equal(ours.get_ydata(), others.get_ydata(), equal_nan=True)


def test_cascade_without_conditions_or_with_an_unknown_replay():
    with pytest.raises(RecordingError, match="there is no replay 'asleep'"):
        plots.cascade_figure(make_cascade(), replay="asleep")
    empty = make_cascade().summary.isel(learner=[])
    with pytest.raises(RecordingError, match="the summary has no condition"):
        plots.cascade_figure(make_recording(empty))


@pytest.mark.parametrize("panel", [plots.arrival_by_hop, plots.latency_by_hop, plots.mismatch_by_hop])
def test_panels_one_by_one(panel):
    summary = make_cascade().summary
    alone = panel(summary.isel(event_fraction=0))
    assert alone.get_figure().get_supxlabel()
    assert alone.get_legend() is not None
    mine = Figure().add_subplot()
    assert panel(summary.isel(event_fraction=0), ax=mine) is mine
    assert mine.get_legend() is None
    with pytest.raises(RecordingError, match=r"over event_fraction too; choose one, such as dataset\.sel\(event_frac"):
        panel(summary)


def test_a_learner_is_drawn_as_it_is_asked_for():
    look = plots.Style("#123456", "o", "--")
    summary: xr.Dataset = make_cascade().summary.isel(event_fraction=0)
    drawn = lines(plots.latency_by_hop(summary, styles={"error relay": look}))
    assert drawn[0].get_color() == "#123456"
    assert drawn[0].get_linestyle() == "--"
    assert drawn[3].get_color() == plots.looks(["error relay, unscreened"])["error relay, unscreened"].color
