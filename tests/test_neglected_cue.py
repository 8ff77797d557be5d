"""The script of the neglected cue: which lives, what is measured of them, and what is said."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bioplastic_models import chain
from made_up import a_recording, finished

from bioplastic.circuit import Weights
from bioplastic.events import Event, Kind, Schedule
from bioplastic.life import Lived
from bioplastic.recording import labelled

pytest.importorskip("torch")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "neglected_cue.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def predictions(*valences):
    """Eleven outputs of which the last two are the good and the bad cell: 0.5 plus and minus half the valence."""
    rows = np.full((len(valences), 11), 0.25)
    rows[:, -2], rows[:, -1] = 0.5 + np.array(valences) / 2, 0.5 - np.array(valences) / 2
    return rows


# ------------------------------------------------------------------------------------------ what a life says


@pytest.fixture(scope="module")
def bench(script):
    """Three hops, cues at 1 and 2; nothing is pretrained or compiled."""
    quick = script.SETTINGS["quick"]
    made = script.CueBench(replace(quick, n_hops=3, entries=(1, 2), looks=(1, 2, 4, 8)))
    zero = Weights(
        {p.name: np.zeros(made.circuit.shape(p)) for p in made.circuit.projections},
        {p.name: np.zeros(p.size) for p in made.circuit.populations if p.role != "input"},
    )
    made.start = {0: zero}
    return made


def a_life(script, bench, kind="result", rate=0.1):
    """A condition of the screened relay, cue at hop 2."""
    return script.Condition(kind, {"entry": 2, "event_fraction": 0.1, "seed": 0, "rate": rate}, bench.learners[0])


def events_at(script, bench, rare_at, n_events=10):
    """A life of one good digit without a cue, that has the cue at hop 2 at some events."""
    plain, cued = bench.pairs(a_life(script, bench), 1)
    label = bench.task.label
    return Schedule.of(
        Event(cued[0], label[cued[0]], Kind.RARE) if k in rare_at else Event(plain[0], label[plain[0]], Kind.BACKGROUND)
        for k in range(n_events)
    )


def test_weights_are_looked_at_after_occurrences_and_at_the_end(script, bench):
    occurrence, event = bench.looks(events_at(script, bench, (2, 3, 7)))
    assert occurrence.tolist() == [1, 2]  # a third is no look of these settings, a fourth does not come
    assert event.tolist() == [2, 3, 9]


def test_what_weights_say_at_the_looks(script, bench):
    start, n_cells = bench.start[0], 32
    bias = dict(start.bias) | {"y": np.array([3.0, *[0.0] * 8, 0.0, 0.0])}  # calls every digit a 0
    cue = np.zeros((n_cells, n_cells))
    cue[0, 0], cue[1, 1] = 3, 4
    looked = [start, Weights(start.forward, bias), Weights(dict(start.forward) | {"cue2_to_h2": cue}, bias)]
    found = script.at_looks(bench, a_life(script, bench), events_at(script, bench, (2, 3, 7)), looked)
    nan = np.nan
    np.testing.assert_array_equal(found["elapsed"], [3, 4, nan, nan, 10])
    np.testing.assert_array_equal(found["cue_norm"], [0, 0, nan, nan, 5])
    np.testing.assert_allclose(found["accuracy"], [0.2, 0.2, nan, nan, 0.2])  # one good digit of five
    # The way from the cue to the valence has weights of zero: it tells nothing apart.
    np.testing.assert_array_equal(found["discrimination"], [0, 0, nan, nan, 0])
    # The cue turns h2 from 1/2 to 1 and h1 from 0 to 1; h1 turns the potential of the good cell from 1 to -1.
    forward = {
        "cue2_to_h2": np.full((n_cells, n_cells), 1e3),
        "h2_to_h1": 2e3 * np.eye(n_cells),
        "h1_to_y": np.where(np.arange(11) == 9, -2 / n_cells, 0.0)[:, None] * np.ones(n_cells),
    }
    bias = dict(start.bias) | {"h1": np.full(n_cells, -1.5e3), "y": np.where(np.arange(11) == 9, 1.0, 0.0)}
    looked = [start, Weights(dict(start.forward) | forward, bias)]
    found = script.at_looks(bench, a_life(script, bench), events_at(script, bench, (2,)), looked)
    np.testing.assert_array_equal(found["elapsed"], [3, nan, nan, nan, 10])
    # phi(1) - phi(-1) = 2**(-1/4), of a difference of 1; without the cue phi(1) - 1/2 is half of it, of 1/2.
    assert found["discrimination"].values[-1] == pytest.approx(2**-0.25, abs=1e-6)
    assert found["kept_valence"].values[-1] == pytest.approx(2**-0.25, abs=1e-6)


def test_a_life_in_spikes_is_measured_by_probes_and_by_its_error_spikes(script, bench):
    condition = a_life(script, bench, rate=0.24)
    schedule, start = bench.schedule(condition), bench.start[0]
    n, n_pairs = len(schedule), 5 * bench.settings.n_probes
    assert (n, schedule.rare.sum()) == (40, 4)
    per_event = np.where(schedule.rare, 7.0, 2.0)[:, None] * [1.0, 0.5, 0.0]
    probed = predictions(*[0.5] * n_pairs, *[0.1] * n_pairs)
    lived = Lived(
        prediction=np.concatenate([np.full((n, 11), np.nan), probed]),
        error_signal=np.concatenate([per_event, np.full((2 * n_pairs, 3), 99.0)]),
        snapshots=(start,) * 6,
        weights=start,
    )
    measuring = script.measure(bench, condition)
    (life,) = next(measuring).lives
    with pytest.raises(StopIteration) as end:
        measuring.send([lived])
    found, shown = end.value.value, life.schedule
    assert len(shown) == n + 2 * n_pairs
    assert not bench.task.stimuli[shown.stimulus[n : n + n_pairs], 64:].any()
    assert (bench.task.stimuli[shown.stimulus[n + n_pairs :], 64 + 32 :] == 0.8).all()
    assert bench.task.held_out[shown.stimulus[n:]].all()
    assert float(found["discrimination_spikes"]) == pytest.approx(0.4)  # (0.5 - 0.1) of a difference of 1
    assert found["signalled"].values == pytest.approx([5.0, 2.5, 0.0])
    assert life.rule.eta == pytest.approx(0.24 / 12)


# ------------------------------------------------------------------------------------------ rates, lives


def test_the_same_rate_means_the_same_change_by_the_same_error(script):
    screened, unscreened, _, backprop = script.learners(script.Settings())
    assert backprop.rule(0.24).eta == 0.24
    assert screened.rule(0.24).eta == pytest.approx(0.24 / 12)  # 100 Hz for 120 ms
    assert unscreened.rule(0.24).eta == pytest.approx(0.24 / 16)  # for 160 ms
    assert unscreened.rule(0.24).gain == 1
    assert screened.rule(0.24).gain == chain.GAIN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"day": 70}, "n_events = 400 is no multiple of day = 70"),
        ({"event_fractions": (0.0001, 0.1)}, "event_fractions: 0.0001 of n_events = 400 is less than one event"),
        ({"looks": (1, 2)}, "looks lack 4"),
        (
            {"n_hops": 6},
            r"entries: 7 is no hop with hidden cells where n_hops = 6; give hops from 1 to 5, or more hops \(8 for",
        ),
    ],
)
def test_settings_that_cannot_be_lived_are_refused(script, settings, message):
    with pytest.raises(ValueError, match=message):
        replace(script.Settings(), **settings)


def test_a_chain_too_short_for_the_cues_is_a_usage_error(script, tmp_path, capsys):
    assert script.STUDY.main(["--hops", "6", "--out", str(tmp_path / "cue.h5")]) == 2
    assert "entries: 7 is no hop with hidden cells where n_hops = 6" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_of_rates_that_score_about_the_same_the_smallest_is_chosen(script):
    rates = (0.01, 0.04, 0.08, 0.16, 0.32)
    assert script.preferred(rates, np.array([0.1, 0.54, 0.56, 0.55, 0.57])) == 0.08  # 0.54 is 0.03 behind
    assert script.preferred(rates, np.array([0.1, 0.5, 0.5, 0.5, 0.57])) == 0.32
    assert script.preferred(rates, np.array([0.1, 0.57, 0.56, 0.57, 0.5]), near_tie=0) == 0.04
    everyone = script.learners(script.Settings())
    nothing = np.full((len(everyone), 7), np.nan)
    assert set(script.chosen_rates(everyone, nothing).values()) == {0.04}  # nothing to choose from: the middle one


def test_other_rates_are_lived_at_the_rarest_and_the_commonest_e_far_upstream(script):
    settings = script.Settings()
    for learner in script.learners(settings):
        lived = [c for c in script.lives(settings, learner, 0.03) if c.kind == script.NEARBY]
        assert {(c["entry"], c["event_fraction"]) for c in lived} == {(h, f) for h in (2, 4, 7) for f in (0.01, 0.3)}
        assert sorted({round(c["rate"], 6) for c in lived}) == [0.01, 0.09]
        assert {c["seed"] for c in lived} == {0, 1, 2}
        assert not any("replay" in c.labels for c in lived)
        assert len(lived) == 3 * 2 * 2 * 3 == len(set(lived))


def test_sham_lives_are_lived_at_the_rarest_and_the_commonest_e(script, bench):
    settings = script.Settings()
    spiking, *_, in_twin = script.learners(settings)
    lived = [c for c in script.lives(settings, spiking, 0.1) if c.kind == script.SHAM]
    assert {c["event_fraction"] for c in lived} == {0.01, 0.3}
    assert len(lived) == 4 * 2 * 5
    assert all(c.kind in (script.RESULT, script.NEARBY) for c in script.lives(settings, in_twin, 0.1))
    real, sham = (bench.schedule(a_life(script, bench, kind)) for kind in ("result", "sham"))
    assert np.array_equal(sham.outcome, real.sham().outcome)


def test_weights_are_frozen_where_error_spikes_are_counted(script):
    settings = script.Settings()
    lived = [c for c in script.lives(settings, script.learners(settings)[0], 0.1) if c.kind == script.FROZEN]
    assert {c.rule.eta for c in lived} == {0}
    assert {(c["entry"], c["event_fraction"]) for c in lived} == {(1, f) for f in settings.event_fractions}


# ------------------------------------------------------------------------------------------ what is made of runs


def measured(settings, found):
    """A measure of made-up lives, in which discrimination rises in a straight line to `found(condition)`."""
    n = len(settings.looks) + 1

    def of(c):
        there = np.array([k <= round(c["event_fraction"] * settings.n_events) for k in settings.looks] + [True])
        line = np.where(there, np.linspace(0, 1, n), np.nan)
        looks = {
            "elapsed": line * settings.n_events,
            "discrimination": line * found(c),
            "kept_valence": line,
            "accuracy": line,
            "cue_norm": line * (5 if c.kind == "sham" else 7),
        }
        return xr.Dataset({name: labelled("look", values, name) for name, values in looks.items()}).assign(
            signalled=labelled("hop", np.arange(settings.n_hops) * 1.0, "signalled"),
            discrimination_spikes=labelled((), found(c), "in spikes"),
        )

    return of


def recorded(script, settings, found):
    """What is recorded of made-up lives of all that is planned."""
    bench = SimpleNamespace(learners=script.learners(settings))
    runs = finished(script.STUDY, bench, settings, measured(settings, found))
    return a_recording(**script.summarise(bench, settings, runs))


def test_summary_holds_what_the_runs_hold(script):
    settings = replace(
        script.Settings(),
        entries=(1, 4),
        event_fractions=(0.01, 0.3),
        seeds=(0, 1),
        rates=(0.01, 0.02, 0.04),
        n_events=200,
        looks=(1, 2, 20, 60),
    )

    def found(c):
        if c.kind == "tuning":
            return 0.3 if c["rate"] == 0.02 else 0.1
        if c.kind == "nearby":
            return c["event_fraction"] + 0.1 * c["seed"] + c["rate"]
        return 0.8 if c.labels.get("replay") == script.REPLAY else 0.1 * c["entry"] + 0.01 * c["seed"]

    made = recorded(script, settings, found)
    sweep, values = made["learning_rate_sweep"], {k: v.values for k, v in made.summary.items()}
    np.testing.assert_allclose(sweep["score"], [[0.1, 0.3, 0.1]] * 4)
    assert values["learning_rate"].tolist() == [0.02] * 4
    assert values["discrimination"].shape == (4, 2, 2, 2, 2)
    assert values["discrimination"][0, 0, 1, 0] == pytest.approx([0.4, 0.41])
    assert values["discrimination_fixed"][0, 0, 1, 0] == pytest.approx([0.1, 0.41 / 4])  # the second of five looks
    assert np.isnan(values["discrimination_look"][0, 0, 1, 0, 0]).tolist() == [False, False, True, True]
    assert not values["corrected"][0, 0, 1, 0].any()
    assert values["correction_time"][0, 0, 1, 0].tolist() == [200, 200]
    assert values["correction_occurrence"][0, 0, 1, 0].tolist() == [2, 2]
    # With replay 0.8 at the end of five looks: 0.6 at the fourth, after 60 occurrences and 3/4 of the life.
    assert values["corrected"][0, 1, 1, 1].all()
    assert values["correction_time"][0, 1, 1, 1].tolist() == [150, 150]
    assert values["correction_occurrence"][0, 1, 1, 1].tolist() == [60, 60]
    assert values["cue_norm_sham"][0] == pytest.approx(np.full((2, 2, 2), 5.0))
    assert np.isnan(values["cue_norm_sham"][3]).all()
    assert values["signalled_frozen"][0, 0, 0].tolist() == list(range(8))
    assert values["discrimination_nearby"].shape == (4, 1, 2, 2, 2)
    assert values["discrimination_nearby"][3, 0, 1, 1] == pytest.approx([0.3 + 0.06, 0.3 + 0.1 + 0.06])
    assert values["discrimination_nearby"][3, 0, 0, 0] == pytest.approx([0.01 + 0.02 / 3, 0.11 + 0.02 / 3])
    assert values["occurrences"].tolist() == [2, 60]


def test_statements_turn_when_the_numbers_turn(script):
    settings = replace(script.Settings(), entries=(7,), event_fractions=(0.01, 0.3), n_tuning=0, nearby=())

    def said(local, backprop):
        made = recorded(script, settings, lambda c: (local if c.who.spikes else backprop) + 0.001 * c["seed"])
        return [s for s in script.statements(made) if s.startswith("cue at hop 7, rarest E: error relay is")]

    assert "below half" in said(0.0, 0.4)[0]
    assert "above half" in said(0.4, 0.4)[0]
    alone = recorded(script, replace(settings, seeds=(0,)), lambda c: 0.5)
    assert list(script.statements(alone)) == ["One seed: nothing is said about the claim."]


def text_of(table):
    from rich.console import Console

    console = Console()
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_tables_show_the_fixed_number_the_end_the_shams_and_other_rates(script, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    settings = replace(
        script.Settings(), entries=(1, 4), event_fractions=(0.01, 0.3), seeds=(0, 1), n_events=200,
        looks=(1, 2, 20, 60), rates=(0.01, 0.02), nearby=(3.0,),
    )  # fmt: skip
    made = recorded(script, settings, lambda c: 0.8 if c.labels.get("replay") == script.REPLAY else 0.25)
    shown = [text_of(table) for table in script.tables(made)]
    titled = {text.split("\n")[0].strip().split(",")[0].split(";")[0]: text for text in shown}
    # The second of five looks, on a straight line from 0 to 0.25.
    assert "0.0625 [0.0625, 0.0625]" in titled["E told from A after 2 occurrences"]
    assert "7 [7, 7]" in titled["Norm of the cue weights at the end"]
    assert "5 [5, 5]" in titled["Norm of the cue weights at the end"]
    assert "sham, E 0.3" in titled["Norm of the cue weights after 2 occurrences"]
    without, with_replay = (text for text in shown if "Lives with a correction" in text)
    assert "0/2" in without and "2/2" not in without
    assert "2/2: 150 (60)" in with_replay  # 0.6 after 60 occurrences and 3/4 of the life
    assert "0.25 [0.25, 0.25]" in titled["E told from A at the end at other rates"]
    rates = titled["Learning rate per event: discrimination on tuning networks"]
    assert "0.01: 0.250, 0.02: 0.250" in rates and "0.01 (edge)" in rates
