"""The script that follows one event: what it computes from recorded numbers, and the nights it makes."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bioplastic.events import Event, Kind, lay_out
from bioplastic.hippocampus import Memory

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "one_time_event.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def config(script):
    return script.Config(
        seeds=(0, 1), saliences=(0.1, 1.0), night=20.0, looks=(0.5, 1.0), rates=(0.1, 0.2), event_fractions=(0.1, 0.3)
    )


def test_ripples_end_where_an_index_cell_pauses(script):
    # Cell 3 twice at 200 Hz: 10 ms, then 5 ms after a pause; cell 7 once in between: 0 ms.
    time = np.array([0.100, 0.105, 0.107, 0.110, 0.200, 0.205])
    cell = np.array([3, 3, 7, 3, 3, 3])
    np.testing.assert_allclose(np.sort(script.ripple_lengths(time, cell)), [0, 0.005, 0.010], atol=1e-12)


def test_no_ripple_has_no_length(script):
    assert script.ripple_lengths(np.empty(0), np.empty(0, int)).size == 0


def test_real_repetitions_come_when_they_should(script, config):
    bench = script.Bench(config)
    night, looks = bench.repetitions(Event(4, 9, Kind.RARE), np.array([1.0, 1.004, 12.3]))
    laid = lay_out(night, bench.timing)
    length = float(bench.timing.event) / 0.01
    # The second would begin within the first, and waits for its end.
    np.testing.assert_array_equal(laid.onset[night.rare], [100, 100 + length, 1230])
    np.testing.assert_array_equal(laid.end[looks], [1000, 2000])
    assert (night.salience[night.rare] == 1).all()


def test_the_buffer_fills_the_night_and_no_pause_of_the_day(script, config):
    bench = script.Bench(config)
    condition = script.Condition(script.UNIFORM, 1.0, 0, 0.1)
    day = bench.day_schedule(0, 1.0)
    prediction = np.zeros((len(day), 10))
    bench._days[(0, 1.0, 0.1, False, 0)] = SimpleNamespace(prediction=prediction)
    night, looks = bench.buffered(condition)
    assert night.replayed.sum() == config.night * config.replay_rate
    np.testing.assert_array_equal(lay_out(night, bench.timing, salience_holds=False).end[looks], [1000, 2000])
    assert (night.salience == script.UNHELD).all()


def test_a_day_has_its_event_halfway_and_a_pause_after_each(script, config):
    day = script.Bench(config).day_schedule(1, 0.1)
    assert day.resting.tolist() == [False, True] * (config.n_background + 1)
    assert np.flatnonzero(day.rare).tolist() == [config.n_background]
    assert day.salience[day.rare].tolist() == [0.1]


def test_copies_of_a_memory_keep_its_stimulus_and_share_its_tag(script, config):
    bench = script.Bench(config)
    hippocampus, task = bench.hippocampus, bench.task
    shown = [bench.single(0).stimulus, int(task.indices(rare=False, held_out=False)[0])]
    memory = Memory.of(hippocampus, {"x": task.stimuli[shown], "y": task.outcomes[task.label[shown]]})
    wrong = task.outcomes[:9]
    made = bench.copies(memory, 0, wrong)
    x, y = made.pattern(hippocampus, "x"), made.pattern(hippocampus, "y")
    copies = [k for k in range(hippocampus.capacity) if k != 1 and np.isfinite(x[k, 0])]
    assert len(copies) == 9
    np.testing.assert_allclose(x[copies], np.tile(task.stimuli[shown[0]], (9, 1)))
    assert sorted(y[copies].argmax(1)) == list(range(9))
    np.testing.assert_allclose(made.tag[:: hippocampus.assembly][copies], 1 / 9)
    np.testing.assert_array_equal(x[1], task.stimuli[shown[1]])


# ------------------------------------------------------------------------------------------ from runs to measures


def one_run(change, floor, *, n_rare=(0, 2, 4), caused=None, noise=None):
    """A run of three looks and as many hops as there are numbers; error falls by what the seed says."""
    hops = len(change[0])
    ones = np.ones(2)
    return {
        "hop": np.arange(hops),
        "change": np.array(change),
        "change_floor": np.array(floor),
        "change_night": np.array(change) - np.array(change)[0],
        "change_night_floor": np.array(floor),
        "n_rare": np.array(n_rare),
        "error_event": np.array([0.9, 0.4]),
        "error_rare": np.array([0.5, 0.3]),
        "error_background": 0.1 * ones,
        "accuracy_background": ones,
        "caused": caused,
        "noise": noise,
        "reactivation_time": np.array([1.0]),
        "reactivated": np.array([0]),
        "rare_memory": 0,
        "tag": ones,
        "ripple_length": np.array([80.0]),
        "share_written": 0.0,
    }


def test_the_rate_after_which_error_is_least_is_chosen(script, config):
    error = {0.1: 0.4, 0.2: 0.3}
    runs = {
        c.name: {"error_rare": np.array([1, error[c.eta]]), "error_background": np.array([0, 0.1])}
        for c in script.sweep_conditions(config)
    }
    np.testing.assert_allclose(script.scores(config, runs), [0.25, 0.2])
    assert script.chosen_rate(config, runs) == 0.2


def results(script, config, arms):
    """Runs of two seeds in which each arm has the change it is given."""
    runs = {
        c.name: {"error_rare": np.array([1, c.eta]), "error_background": np.zeros(2)}
        for c in script.sweep_conditions(config)
    }
    for arm, run in arms.items():
        runs |= {script.Condition(arm, 1.0, seed, 0.1).name: run for seed in config.seeds}
    return script.Result(config, runs)


def test_reach_counts_against_the_spread_of_sham_runs(script, config):
    run = one_run([[0, 0, 0], [2, 1, 0], [2, 2, 0.5]], [[0, 0, 0], [1, 1, 1], [1, 1, 1]])
    result = results(script, config, {script.REPLAY: run})
    assert result.reached(result.of(script.REPLAY)).tolist() == [1, 1]
    assert result.reached(result.of(script.REPLAY), 1).tolist() == [0, 0]
    assert result.reached(result.of(script.REPLAY), 0).tolist() == [-1, -1]


def test_replays_that_equal_a_real_event_by_hand(script, config):
    floor = [[0, 0, 0]] * 2 + [[0.1, 0.1, 0.1]]
    real = one_run([[0, 0, 0], [1, 1, 0], [2, 2, 0.05]], floor, n_rare=(0, 1, 2))
    replayed = one_run([[0, 0, 0], [1, 2, 0], [1.5, 4, 0.05]], floor, n_rare=(0, 4, 8))
    # Hop 0: both get to 1.5, after 8 replays and after 1.5 events. Hop 1: both to 2, after 4 and 2. Hop 2: noise.
    found = results(script, config, {script.REPLAY: replayed, script.AFTER: real}).replays_per_event()
    np.testing.assert_allclose(found, [[8 / 1.5, 2, np.nan]] * 2)


def test_only_change_in_the_direction_of_real_repetitions_counts_along_it(script, config):
    from bioplastic_models import chain

    from bioplastic import spiking

    circuit = chain.circuit()
    rng = np.random.default_rng(0)
    # Real repetitions change hops 0 and 1; the other arm the same at hop 0, and something orthogonal at hop 1.
    by_projection = {p.name: np.zeros(circuit.shape(p)) for p in circuit.projections}
    near, next_to_it = circuit.projections[-1].name, circuit.projections[-2].name
    by_projection[near] = rng.normal(size=by_projection[near].shape)
    by_projection[next_to_it][0, 0] = 1.0
    real = spiking.flat(circuit, by_projection)
    other = dict(by_projection)
    other[next_to_it] = np.zeros_like(other[next_to_it])
    other[next_to_it][0, 1] = 50.0
    noise = np.full(real.shape, 1e-3)
    looks = [[0] * 12] * 3
    runs = {
        script.AFTER: one_run(looks, looks, caused=real, noise=noise),
        script.SHUFFLED: one_run(looks, looks, caused=spiking.flat(circuit, other), noise=noise),
    }
    result = results(script, config, runs)
    assert result.reached_along(script.AFTER).tolist() == [1, 1]
    assert result.reached_along(script.SHUFFLED).tolist() == [0, 0]


def test_a_verdict_turns_with_its_data(script, config):
    arms = list(script.CONTROLS)
    far, near = np.full(2, 8.0), np.full(2, 2.0)

    def said(replayed, shuffled, written):
        reach = np.array(
            [
                {script.REAL: far, script.AFTER: far, script.REPLAY: replayed, script.SHUFFLED: shuffled}.get(arm, near)
                for arm in arms
            ]
        )
        summary = {
            "arm": arms,
            "reach": reach,
            "reach_night": reach,
            "reach_along": reach,
            "event_error": 5 - reach,
            "share_written": np.array([written, [1.0, 1.0]]),
            "event_fraction": np.array([0.1, 0.01]),
            "reach_frequency": np.array([[5, 5], [1, 1.0]]),
            "replay_rate": np.array([0.4]),
            "replay_fraction": np.array([[0.1, 0.01]]),
            "reach_replay_rate": np.array([[6.0, 2.0]]),
        }
        return script.verdicts(script.Done(config, summary, {}, {}))

    good, bad = said(far - 1, near, np.zeros(2)), said(near, far, np.array([0.2, 0.1]))
    assert all("DOES NOT HOLD" not in line for line in good)
    assert [line.split(",")[0] for line in bad if "DOES NOT HOLD" in line] == [
        *("replay", "replay", "shuffled outcomes", "replay", "shuffled outcomes"),
        "replay: the event's own error changes by 3 [3",
        "shuffled outcomes: the event's own error changes by -3 [-3",
        "Salience 0.1 is not written in 85.0 % of 80 events; should be 95 % or more: DOES NOT HOLD.",
    ]
    assert ": 1 [1, 1] hops off the curve" in good[-1]
