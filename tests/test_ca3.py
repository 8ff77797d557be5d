"""Area CA3: learning against numbers by hand, its parts, and how the script finds sharp waves, ripples and replay."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import ca3, ca3_decoding
from brian2 import Network, SpikeGeneratorGroup, StateMonitor, ms, nS, pA, second

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "ca3_replay.py"


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


# ------------------------------------------------------------------------------------------ learning


def learned(rule: ca3.Rule, *spikes: tuple[float, int]) -> np.ndarray:
    """Weights among two cells after spikes at these times (s) of these cells."""
    time, cell = zip(*sorted(spikes), strict=True)
    return ca3.learned_weights(np.array(time), np.array(cell), 2, rule)


def test_one_pair_under_the_symmetric_rule_by_hand() -> None:
    # 0.62 (0.1 + 20 x 0.004 exp(-10/62.5)) nS, whichever cell was first
    w = learned(ca3.SYMMETRIC, (0.0, 0), (0.010, 1))
    assert w[0, 1] == pytest.approx(0.62 * (0.1 + 0.08 * 0.852144), rel=1e-5)
    assert w[1, 0] == pytest.approx(w[0, 1], rel=1e-12)
    assert w[0, 0] == w[1, 1] == 0


def test_one_pair_under_the_asymmetric_rule_by_hand() -> None:
    # pre before post: 1.27 (0.1 + 40 x 0.01 exp(-10/20)); post before pre: 0.1 - 0.243 is below 0
    w = learned(ca3.ASYMMETRIC, (0.0, 0), (0.010, 1))
    assert w[0, 1] == pytest.approx(1.27 * (0.1 + 0.4 * 0.606531), rel=1e-5)
    assert w[1, 0] == 0


def test_bound_at_zero_counts_when_it_is_met() -> None:
    # Cell 0 fires 10 ms after cell 1, and 100 ms before it: depression is cut at 0, and potentiation begins there.
    w = learned(ca3.ASYMMETRIC, (0.0, 1), (0.010, 0), (0.110, 1))
    assert w[0, 1] == pytest.approx(1.27 * 0.4 * np.exp(-100 / 20), rel=1e-5)


def test_all_pairs_count() -> None:
    # Spikes of cell 0 at 0 and 20 ms, of cell 1 at 50 ms: pairs 50 and 30 ms apart
    w = learned(ca3.SYMMETRIC, (0.0, 0), (0.020, 0), (0.050, 1))
    assert w[0, 1] == pytest.approx(0.62 * (0.1 + 0.08 * (0.449329 + 0.618783)), rel=1e-5)


def test_weights_stay_below_the_bound() -> None:
    times = np.arange(0, 4000) * 0.002
    w = ca3.learned_weights(times, np.arange(4000) % 2, 2)
    assert w[0, 1] == w[1, 0] == pytest.approx(0.62 * 20)


@pytest.mark.usefixtures("numpy_target")
@pytest.mark.parametrize("rule", [ca3.SYMMETRIC, ca3.ASYMMETRIC], ids=["symmetric", "asymmetric"])
def test_reference_agrees_with_brian2(rule: ca3.Rule) -> None:
    rng = np.random.default_rng(1)
    time, cell = np.sort(rng.choice(np.arange(1, 400), 90, replace=False)), rng.integers(0, 5, 90)
    spikes = SpikeGeneratorGroup(5, cell, time * ms)
    synapses = ca3.plastic_synapses(spikes, rule)
    synapses.connect(condition="i != j")
    synapses.weight = ca3.W_START * nS
    Network(spikes, synapses).run(401 * ms, namespace={})
    reference = ca3.learned_weights(1e-3 * time, cell, 5, rule)
    pairs = np.array(synapses.i), np.array(synapses.j)
    assert rule.scale * np.array(synapses.weight / nS) == pytest.approx(reference[pairs], abs=1e-7)
    assert np.ptp(reference[pairs]) > 0.1


# ------------------------------------------------------------------------------------------ running


def test_half_of_the_cells_have_fields_in_the_order_of_their_index() -> None:
    centre = ca3.place_fields(400, np.random.default_rng(0))
    placed = centre[~np.isnan(centre)]
    assert len(placed) == 200
    assert (np.diff(placed) > 0).all()
    assert placed.min() >= 0
    assert placed.max() <= ca3.TRACK


def test_place_cells_fire_in_their_fields_and_precess_by_half_a_cycle() -> None:
    centre = np.r_[np.full(300, 150.0), np.full(300, np.nan)]
    time, cell = ca3.exploration(centre, np.random.default_rng(0), n_runs=4)
    duration = ca3.TRACK / ca3.SPEED
    since = time % (duration + ca3.PAUSE)
    assert (np.diff(time) >= 0).all()
    assert since.max() <= duration
    inside = cell < 300
    position = ca3.SPEED * since[inside]
    # A Gaussian times the positive half of a cosine: mean and spread are the field's.
    assert position.mean() == pytest.approx(150, abs=0.5)
    assert position.std() == pytest.approx(ca3.FIELD_SD, rel=0.05)
    # 20 Hz x (field of 6.97 cm sqrt(2 pi) at 32.4 cm/s) x 1/pi, a little less for the dead time: 3.4 spikes a run
    assert inside.sum() / (300 * 4) == pytest.approx(
        20 * ca3.FIELD_SD * np.sqrt(2 * np.pi) / ca3.SPEED / np.pi, rel=0.05
    )
    assert (~inside).sum() / (300 * 4) == pytest.approx(ca3.OUT_OF_FIELD * duration, rel=0.1)
    phase = np.exp(2j * np.pi * ca3.THETA_RHYTHM * time[inside])
    early, late = (np.angle(phase[mask].mean()) for mask in (position < 145, position > 155))
    shift = np.mean(position[position > 155]) - np.mean(position[position < 145])
    assert np.angle(np.exp(1j * (late - early))) == pytest.approx(-np.pi * shift / ca3.FIELD, abs=0.2)
    for one in range(20):
        assert np.diff(time[cell == one]).min() >= ca3.SHORTEST_INTERVAL


# ------------------------------------------------------------------------------------------ wiring


def test_connections_keep_the_number_of_inputs_or_their_sum() -> None:
    rng = np.random.default_rng(0)
    many = ca3.connections(1600, 500, 800, rng)
    assert set(np.unique(many)) == {0, 1}
    assert (many > 0).sum(0).mean() == pytest.approx(800, rel=0.01)
    few = ca3.connections(200, 50, 800, rng)
    assert (few == 4).all()
    sparse = ca3.connections(1600, 500, 800, rng, probability=0.1)
    assert (sparse > 0).sum(0).mean() == pytest.approx(160, rel=0.02)
    assert sparse.sum(0).mean() == pytest.approx(800, rel=0.02)


def test_no_cell_excites_itself_and_published_weights_are_used() -> None:
    w = ca3.weights(np.ones((1000, 1000)), 60, np.random.default_rng(0))
    assert not w.pc_pc.diagonal().any()
    for matrix, value in ((w.pc_pvbc, 0.85), (w.pvbc_pc, 0.65), (w.pvbc_pvbc, 5.0)):
        assert np.unique(matrix) == pytest.approx([0, value])
    assert w.mossy == 19.15


@pytest.mark.parametrize(
    ("shape", "n_pvbc", "message"),
    [
        ((5, 4), 3, r"learned: shape \(5, 4\); give a square"),
        ((1, 1), 3, "1 PCs and 3 PVBCs: give 2 PCs"),
        ((5, 5), 0, "5 PCs and 0 PVBCs: give 2 PCs and 1 PVBC or more"),
    ],
)
def test_impossible_sizes_are_refused(shape: tuple[int, int], n_pvbc: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ca3.weights(np.ones(shape), n_pvbc, np.random.default_rng(0))


def test_shuffling_keeps_synapses_and_the_inputs_of_each_cell() -> None:
    rng = np.random.default_rng(0)
    w = rng.random((40, 40)) * (rng.random((40, 40)) < 0.5)
    mixed = ca3.shuffled(w, rng)
    assert ((mixed > 0) == (w > 0)).all()
    assert np.sort(mixed, 0) == pytest.approx(np.sort(w, 0))
    assert np.mean(mixed[w > 0] == w[w > 0]) < 0.2


# ------------------------------------------------------------------------------------------ cells and synapses


def test_capacitance_and_spike_threshold_by_hand() -> None:
    assert float(ca3.PC.namespace["C"]) == pytest.approx(180.137e-12, rel=1e-4)  # 41.7489 ms x 4.31476 nS
    assert float(ca3.PVBC.namespace["C"]) == pytest.approx(118.530e-12, rel=1e-4)
    assert ca3.PC.theta + 5 * ca3.PC.delta == pytest.approx(-3.2553, abs=1e-3)


def test_mossy_fibres_carry_the_minimal_standard_generator() -> None:
    state = {"u": 1.0, "due": 0.0, "MOSSY_RATE": 15.0, "log": np.log}
    code = compile(ca3.NEXT_SPIKE, "next spike", "exec")
    times = []
    for _ in range(10_000):
        exec(code, state)
        times.append(state["due"])
    assert state["u"] == 1043618065  # what Park and Miller give for the 10,000th number
    intervals = np.diff(times)
    assert intervals.mean() == pytest.approx(1 / 15, rel=0.03)
    assert intervals.std() == pytest.approx(1 / 15, rel=0.05)


def silent(n_pc: int = 4, n_pvbc: int = 2) -> ca3.Weights:
    """No synapses, no drive."""
    shapes = (n_pc, n_pc), (n_pc, n_pvbc), (n_pvbc, n_pc), (n_pvbc, n_pvbc)
    return ca3.Weights(*(np.zeros(shape) for shape in shapes), mossy=0.0)


@pytest.mark.usefixtures("numpy_target")
def test_one_mossy_spike_opens_the_conductance_by_hand() -> None:
    network = ca3.network(4, 2)
    ca3.set_up(network, ca3.start(replace(silent(), mossy=19.15), seed=0))
    network["mossy"].due = [1e-3, 9, 9, 9] * second
    watch = StateMonitor(network["pc"], "g_mossy", record=True, dt=ca3.DT)
    network.add(watch)
    network.run(8 * ms, namespace={})
    g = np.array(watch.g_mossy / nS)
    # The authors' factor makes the peak decay/(decay - rise) times the weight; the step of 0.1 ms adds a per cent.
    assert g[0].max() == pytest.approx(19.15 * 5.4 / (5.4 - 0.65), rel=0.02)
    assert float(watch.t[g[0].argmax()] / ms) == pytest.approx(1 + 0.65 * 5.4 / 4.75 * np.log(5.4 / 0.65), abs=0.2)
    assert not g[1:].any()


@pytest.mark.usefixtures("numpy_target")
def test_spikes_arrive_at_the_right_cells_with_the_right_weight_and_delay() -> None:
    network = ca3.network(4, 2)
    w = silent()
    w.pc_pc[0, 2] = 3.0
    w.pvbc_pc[1, 3] = 0.65
    ca3.set_up(network, ca3.start(w, seed=0))
    network["pc"].v[0] = 0  # above threshold: it fires in the first step
    network["pvbc"].v[1] = 0
    watch = StateMonitor(network["pc"], ["x_rec", "x_inh", "w"], record=True, dt=ca3.DT)
    network.add(watch)
    network.run(4 * ms, namespace={})
    for name, synapse, target, weight in (("x_rec", ca3.PC_PC, 2, 3.0), ("x_inh", ca3.PVBC_PC, 3, 0.65)):
        x = np.array(getattr(watch, name) / nS)
        assert not np.delete(x, target, 0).any()
        assert x[target].max() == pytest.approx(weight * synapse.norm, rel=1e-6)
        arrival = float(watch.t[np.flatnonzero(x[target])[0]] / ms)
        assert arrival == pytest.approx(synapse.delay + 0.1, abs=0.11)
    assert list(network["pc_spikes"].i) == [0]
    assert float(watch.w[0].max() / pA) == pytest.approx(206.841, rel=0.02)  # b, and nothing yet by the potential


# ------------------------------------------------------------------------------------------ the script


def run_of(script: SimpleNamespace, **changes: object) -> SimpleNamespace:
    """Settings for lives made by hand."""
    return replace(script.Settings(), n_pc=200, duration=2.0, n_shuffles=40, **changes)


def test_sharp_waves_by_hand(script: SimpleNamespace) -> None:
    config = run_of(script)  # above 2 Hz: 9 spikes or more of 200 cells in 20 ms
    active = [*range(5, 10), 11, 12, *range(30, 32), *range(60, 63), *range(97, 100)]
    time = np.repeat(0.02 * np.array(active) + 0.01, 9)
    quiet = np.repeat(0.02 * np.arange(100) + 0.005, [0 if k in active else 8 for k in range(100)])
    assert ca3_decoding.active_bins(np.r_[time, quiet], config).sum() == len(active)
    # One bin apart is one; two bins are too short; the last one is cut by the end.
    assert ca3_decoding.sharp_waves(np.r_[time, quiet], config) == pytest.approx(np.array([[0.1, 0.26], [1.2, 1.26]]))


def test_no_sharp_wave_in_silence(script: SimpleNamespace) -> None:
    assert ca3_decoding.sharp_waves(np.zeros(0), run_of(script)).shape == (0, 2)
    assert ca3_decoding.between(np.zeros((0, 2)), 2.0) == pytest.approx(np.array([[0, 2]]))


def test_ripple_of_a_rhythm_of_180_hz(script: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(0, 1, 1e-4)
    spikes = time[rng.random(len(time)) < 0.15 * (1 + np.cos(2 * np.pi * 180 * time))]
    power = ca3_decoding.spectrum(spikes, np.array([[0.1, 0.4], [0.5, 0.9], [0.95, 1.0]]))
    assert ca3_decoding.peak_frequency(power) == pytest.approx(180, abs=4)
    assert ca3_decoding.ripple_share(power) > 0.5
    flat = ca3_decoding.spectrum(rng.random(5000), np.array([[0.1, 0.9]]))
    assert ca3_decoding.ripple_share(flat) == pytest.approx(70 / 500, abs=0.05)
    assert np.isnan(ca3_decoding.peak_frequency(ca3_decoding.spectrum(spikes, np.array([[0.1, 0.2]]))))


def test_posterior_by_hand(script: SimpleNamespace) -> None:
    rates = np.array([[20.0, 10.0], [10.0, 20.0]])
    # Same total rate at both places: two spikes of cell 0 are 2^2 times likelier at the first, none is even.
    found = ca3_decoding.posterior(np.array([[2, 0], [0, 1], [0, 0]]), rates, 0.01)
    assert found == pytest.approx(np.array([[4 / 5, 1 / 3, 1 / 2], [1 / 5, 2 / 3, 1 / 2]]))


def test_silence_speaks_for_places_without_fields(script: SimpleNamespace) -> None:
    found = ca3_decoding.posterior(np.array([[0]]), np.array([[100.0, 0.1]]), 0.01)
    assert found[:, 0] == pytest.approx(np.array([np.exp(-1), np.exp(-0.001)]) / (np.exp(-1) + np.exp(-0.001)))


@pytest.mark.parametrize(("begin", "end"), [(50, 250), (250, 50), (10, 60)])
def test_best_line_through_a_certain_path(script: SimpleNamespace, begin: float, end: float) -> None:
    config, n_bins = script.Settings(), 25
    place = ca3_decoding.positions(config)
    along = np.linspace(begin, end, n_bins)
    probability = np.exp(-((place[:, None] - along) ** 2) / (2 * 12**2))
    probability /= probability.sum(0)
    fit = ca3_decoding.fit_line(probability, config)
    assert (fit.begin, fit.end) == pytest.approx((begin, end), abs=5)
    # Of a Gaussian of 12 cm, five positions 6.12 cm apart: 6.12/(12 sqrt(2 pi)) (1 + 2 (0.878 + 0.594)) = 0.803
    assert fit.score == pytest.approx(0.803, abs=0.01)


def test_score_of_an_even_posterior_is_the_share_of_the_band(script: SimpleNamespace) -> None:
    config = script.Settings()
    fit = ca3_decoding.fit_line(np.full((50, 20), 1 / 50), config)
    assert fit.score == pytest.approx(5 / 50)  # 6.1 cm between positions: two on either side


def replayed(script: SimpleNamespace, speed: float, rng: np.random.Generator) -> SimpleNamespace:
    """Place cells that fire one after the other at this speed (m/s), in a sharp wave from 0.5 to 0.7 s."""
    centre = np.sort(rng.random(200)) * ca3.TRACK
    first = (centre - 150) / (100 * speed) + 0.6
    time = np.concatenate([first + jitter for jitter in rng.normal(0, 0.004, (3, 200))])
    order = np.argsort(time)
    spikes = ca3_decoding.Spikes(time[order], np.tile(np.arange(200), 3)[order], np.zeros(0), np.zeros(0, int))
    return SimpleNamespace(centre=centre, spikes=spikes)


@pytest.mark.parametrize("speed", [8.0, -8.0])
def test_replay_is_found_with_its_direction_and_speed(script: SimpleNamespace, speed: float) -> None:
    made = replayed(script, speed, np.random.default_rng(0))
    waves = np.array([[0.5, 0.7], [1.0, 1.06]])
    found = ca3_decoding.decode(made.spikes, made.centre, waves, run_of(script), np.random.default_rng(1))
    assert found.speed[0] == pytest.approx(speed, rel=0.1)
    assert found.p[0] == pytest.approx(1 / 41)
    assert found.score[0] > 0.9
    assert found.shuffled_score[0] < 0.6
    assert np.isnan(found.score[1]), "a sharp wave of 60 ms is not decoded"


def test_random_spikes_are_no_replay(script: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    centre = np.sort(rng.random(200)) * ca3.TRACK
    time = np.sort(rng.random(3000)) * 2
    spikes = ca3_decoding.Spikes(time, rng.integers(0, 200, 3000), np.zeros(0), np.zeros(0, int))
    waves = np.arange(0, 2, 0.1)[:, None] + np.array([0.0, 0.1])
    found = ca3_decoding.decode(spikes, centre, waves, run_of(script), rng)
    assert np.mean(found.p <= 0.05) <= 0.2
    assert np.mean(found.p) == pytest.approx(0.5, abs=0.2)


def test_weights_by_distance_by_hand(script: SimpleNamespace) -> None:
    w = np.zeros((4, 4))
    w[0, 1], w[1, 0], w[2, 3], w[0, 3] = 2.0, 1.0, 4.0, 9.0
    found = ca3_decoding.by_distance(w, np.array([10.0, 22.0, 100.0, np.nan]))
    middle = (ca3_decoding.DISTANCES[1:] + ca3_decoding.DISTANCES[:-1]) / 2
    assert dict(zip(middle, found, strict=True)) == {**dict.fromkeys(middle, 0.0), 12.5: 2.0, -12.5: 1.0}


def test_measures_by_hand(script: SimpleNamespace) -> None:
    power = np.where(ca3_decoding.within(150, 220), 3.0, 1.0)
    run = {
        "begin": np.array([0.1, 0.5, 1.0, 1.5]),
        "end": np.array([0.2, 0.7, 1.06, 1.7]),
        "score": np.array([0.9, 0.8, np.nan, 0.4]),
        "shuffled_score": np.array([0.3, 0.3, np.nan, 0.3]),
        "p": np.array([0.01, 0.05, np.nan, 0.3]),
        "speed": np.array([3.0, -5.0, np.nan, 9.0]),
        "rates": np.array([2.0, 50.0]),
        "active_share": 0.25,
        "power_inside": power,
        "power_outside": np.ones_like(power),
    }
    found = script.measures(run, 2.0)
    assert (found["wave_rate"], found["active_share"]) == (2, 0.25)
    assert found["wave_duration"] == pytest.approx(140)
    assert (found["n_decoded"], found["replay_share"], found["forward_share"]) == pytest.approx((3, 2 / 3, 1 / 2))
    assert (found["score"], found["shuffled_score"], found["speed"]) == pytest.approx((0.7, 0.3, 4))
    assert found["ripple_share"] == pytest.approx(3 * 36 / (257 + 2 * 36))
    nothing = script.measures(run | {k: v[:0] for k, v in run.items() if np.shape(v) == (4,)}, 2.0)
    assert nothing["wave_rate"] == 0
    assert np.isnan(nothing["replay_share"])


@pytest.mark.usefixtures("numpy_target")
def test_runtime_life_follows_the_seed(script: SimpleNamespace) -> None:
    config = replace(script.Settings(), n_pc=60, n_pvbc=6, duration=0.025)
    rng = np.random.default_rng(0)
    weights = ca3.weights(rng.random((60, 60)), 6, rng, mossy=60.0)
    lives = [script.live(None, ca3.start(weights, seed), config) for seed in (1, 1, 2)]
    assert len(lives[0].pc) > 5
    assert lives[0].pc_time == pytest.approx(lives[1].pc_time)
    assert not np.array_equal(lives[0].pc_time, lives[2].pc_time)


@pytest.mark.slow
@pytest.mark.usefixtures("numpy_target", "cpp_compiler")
def test_compiled_life_is_the_runtime_life(script: SimpleNamespace) -> None:
    config = replace(script.Settings(), n_pc=200, n_pvbc=20, duration=0.3)
    rng = np.random.default_rng(0)
    centre = ca3.place_fields(200, rng)
    weights = ca3.weights(ca3.learned_weights(*ca3.exploration(centre, rng, 10), 200), 20, rng)
    one, other = (script.live(folder, ca3.start(weights, 3), config) for folder in (script.compiled(config), None))
    assert len(one.pc) > 10
    # The compiler reorders sums; a spike may move by a step.
    assert np.array_equal(one.pc[:20], other.pc[:20])
    assert one.pc_time[:20] == pytest.approx(other.pc_time[:20], abs=2e-4)


@pytest.mark.slow
def test_a_small_study_and_its_figure(script: SimpleNamespace, tmp_path: Path) -> None:
    settings = replace(
        script.SETTINGS["quick"],
        n_pc=200,
        n_pvbc=20,
        seeds=(0,),
        duration=0.3,
        scales=(1.0,),
        shuffled_scales=(1.0,),
        n_shuffles=2,
    )
    done = script.STUDY.run(settings, tmp_path / "run.h5", show_progress=False)
    assert done["lives"].sizes["run"] == 5
    life = done.run("lives", wiring="learned", weight_scale=1.0, seed=0)
    rate = done.summary["pc_rate"].sel(condition="learned x 1", seed=0)
    assert float(rate) == pytest.approx(life.sizes["pc_spike"] / 200 / 0.3)
    assert done.summary["wiring"].values.tolist()[1] == "shuffled"
    assert set(script.STUDY.figures(done)) == {""}
    assert [one.row_count for one in script.STUDY.tables(done)] == [5, 5]
