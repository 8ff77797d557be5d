"""The closed forms against hand numbers, exact linear algebra and brute force."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import linalg

from bioplastic import theory
from bioplastic.theory import TheoryError


def tridiagonal(n_hops: int, leak: float) -> np.ndarray:
    """What pulls the units between fixed ends back to rest."""
    n = n_hops - 1
    return (2 + leak) * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


# ----------------------------------------------------------------------------- predictive-coding chain


@pytest.mark.parametrize(("leak", "length"), [(0.1, 3.2), (1, 1.04)])
def test_screening_length_by_hand(leak: float, length: float) -> None:
    digits = 1 if length == 3.2 else 2
    assert round(theory.screening_length(leak), digits) == length


def test_screening_length_is_the_inverse_hyperbolic_cosine_and_for_small_leaks_that_of_a_cable() -> None:
    leak = np.array([0.01, 0.3, 2.0, 50.0])
    np.testing.assert_allclose(theory.screening_length(leak), 1 / np.arccosh(1 + leak / 2), rtol=1e-12)
    assert theory.screening_length(1e-20) == pytest.approx(1e10)
    assert theory.screening_length(0) == np.inf


def test_chain_of_two_hops_by_hand() -> None:
    # One free unit, target 1/2: u = 1/2 (1 - (1 - 2a)^n).
    np.testing.assert_allclose(theory.chain_activity(2, 1, 0.25), [1, 0.25, 0], rtol=1e-15)
    np.testing.assert_allclose(theory.chain_activity(2, 3, 0.25), [1, 0.4375, 0], rtol=1e-15)
    np.testing.assert_allclose(theory.chain_steady_activity(2, leak=1), [1, 1 / 3, 0], rtol=1e-14)


@pytest.mark.parametrize("leak", [0.0, 0.1, 1.0])
def test_chain_rates_are_eigenvalues(leak: float) -> None:
    np.testing.assert_allclose(theory.chain_rates(24, leak=leak), linalg.eigvalsh(tridiagonal(24, leak)), atol=1e-13)


@pytest.mark.parametrize(("n_steps", "leak"), [(0, 0.0), (7, 0.0), (40, 0.1), (5000, 1.0)])
def test_chain_activity_is_the_sum_over_modes(n_steps: int, leak: float) -> None:
    hops, step = 24, 0.3
    h, k = np.arange(1, hops), np.arange(1, hops)
    rate = theory.chain_rates(hops, leak=leak)
    weight = 2 / hops * np.sin(np.pi * k / hops) * (1 - (1 - step * rate) ** n_steps) / rate
    modes = np.sin(np.pi * np.outer(h, k) / hops) @ weight
    np.testing.assert_allclose(theory.chain_activity(hops, n_steps, step, leak=leak)[1:-1], modes, atol=1e-13)


def test_chain_activity_is_exact_to_rounding_however_small() -> None:
    hops, n_steps, step = 20, 25, Fraction(1, 100)
    u = [Fraction(1)] + [Fraction(0)] * hops
    for _ in range(n_steps):
        e = [u[h] - u[h + 1] for h in range(hops)]
        u = [u[0], *(u[h] + step * (e[h - 1] - e[h]) for h in range(1, hops)), u[hops]]
    assert float(u[19]) < 1e-30
    np.testing.assert_allclose(theory.chain_activity(hops, n_steps, 0.01), np.array(u, float), rtol=1e-12)


def test_front_moves_one_hop_per_step_and_ahead_of_it_is_exactly_nothing() -> None:
    for n_steps in range(12):
        u = theory.chain_activity(12, n_steps, 0.2, leak=0.5)
        assert u[n_steps] == pytest.approx(0.2**n_steps, rel=1e-12)
        assert np.all(u[: n_steps + 1] > 0) and np.all(u[n_steps + 1 :] == 0)


def test_many_small_steps_are_the_heat_equation() -> None:
    hops, time, leak = 10, 3.0, 0.2
    steady = linalg.solve(tridiagonal(hops, leak), np.eye(hops - 1)[0])
    continuous = steady - linalg.expm(-time * tridiagonal(hops, leak)) @ steady
    n = 100_000
    np.testing.assert_allclose(theory.chain_activity(hops, n, time / n, leak=leak)[1:-1], continuous, rtol=1e-4)


@pytest.mark.parametrize("leak", [0.0, 1e-14, 1e-9, 1e-3, 0.1, 1.0, 50.0])
def test_steady_chain_solves_the_linear_system(leak: float) -> None:
    exact = linalg.solve(tridiagonal(24, leak), np.eye(23)[0])
    np.testing.assert_allclose(theory.chain_steady_activity(24, leak=leak), [1, *exact, 0], rtol=1e-9, atol=1e-40)


def test_steady_chain_of_many_hops_does_not_overflow() -> None:
    u = theory.chain_steady_activity(2000, leak=1.0)
    assert u[1] == pytest.approx((3 - 5**0.5) / 2) and u[-1] == 0  # root of u^2 - 3u + 1


def test_settled_chain_without_leak_shares_the_error_out() -> None:
    settled = theory.chain_activity(6, 5000, 0.4)
    np.testing.assert_allclose(theory.chain_errors(settled), np.full(6, 1 / 6), rtol=1e-12)


def test_errors_of_the_leaky_chain_fall_by_e_per_screening_length() -> None:
    error = theory.chain_errors(theory.chain_steady_activity(200, leak=0.1))
    assert -1 / np.diff(np.log(error[:50])) == pytest.approx(theory.screening_length(0.1), rel=1e-6)


@pytest.mark.parametrize("leak", [0.0, 1.0])
def test_largest_step_separates_settling_from_growing(leak: float) -> None:
    step = theory.largest_step(8, leak=leak)
    one_step = np.eye(7) - step * tridiagonal(8, leak)
    assert np.abs(linalg.eigvalsh(one_step)).max() == pytest.approx(1)
    assert np.abs(theory.chain_activity(8, 10_000, 0.999 * step, leak=leak)).max() <= 1 + 1e-12
    assert step > 2 / (4 + leak)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.screening_length(-0.1), r"leak = -0\.1 is outside what is allowed: \[0, inf\)"),
        (lambda: theory.screening_length([1, np.nan]), "leak = nan is outside"),
        (lambda: theory.screening_length("much"), "leak = 'much' is not a number"),
        (lambda: theory.chain_rates(1), "n_hops = 1 is too small; give 2 or more"),
        (lambda: theory.chain_rates(2.5), r"n_hops = 2\.5 is not a whole number; give 2 or more"),  # type: ignore[arg-type]
        (lambda: theory.chain_activity(4, -1, 0.1), "n_steps = -1 is too small; give 0 or more"),
        (lambda: theory.chain_activity(4, 1, 0.0), r"step = 0 is outside what is allowed: \(0, inf\)"),
        (lambda: theory.chain_activity(4, 1, 0.6), r"step = 0\.6 is unstable: .*n_hops = 4 and leak = 0 .*0\.585786"),
        (lambda: theory.chain_activity(4, 1, 0.5, leak=1), "step = 0.5 is unstable"),
        (lambda: theory.chain_steady_activity(4, leak=np.inf), r"leak = inf is outside what is allowed: \[0, inf\)"),
        (lambda: theory.chain_errors(1.0), r"activity has shape \(\); give one number per population"),
    ],
)
def test_chain_refuses(call: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        call()  # type: ignore[operator]


# --------------------------------------------------------------------------------- leaky accumulation


def test_critical_frequency_by_hand() -> None:
    # 1 - d/theta = 1/e: the integrator must keep 1/e of itself, so one occurrence per memory.
    assert theory.critical_frequency(1 - np.exp(-1), 1.0, 30) == pytest.approx(1 / 30)
    assert theory.critical_frequency(1.0, 2.0, 10) == pytest.approx(0.1 / np.log(2))  # half is lost, half comes
    assert theory.critical_frequency([1, 2, 0], 1.0, 30).tolist() == [0, 0, np.inf]
    assert theory.critical_frequency(0.1, 1.0, np.inf) == 0
    assert theory.critical_frequency(0.01, 1.0, 30) > 1  # no frequency is enough


def test_critical_frequency_solves_its_equation() -> None:
    d, theta, memory = 0.37, 1.9, 12.0
    f = theory.critical_frequency(d, theta, memory)
    assert d / (1 - np.exp(-1 / (f * memory))) == pytest.approx(theta)


def test_critical_frequency_of_tiny_mismatches_keeps_its_digits() -> None:
    assert theory.critical_frequency(1e-18, 1.0, 1.0) == pytest.approx(1e18)


@pytest.mark.parametrize("regular_interval", [1, 4, 25])
def test_a_simulated_integrator_fires_just_above_the_critical_mismatch_and_not_below(regular_interval: int) -> None:
    theta, memory, f = 1.0, 30.0, 1 / regular_interval
    critical = theta * (1 - np.exp(-regular_interval / memory))
    assert theory.critical_frequency(critical, theta, memory) == pytest.approx(f)
    for d, fires in ((critical * 1.001, True), (critical * 0.999, False)):
        held, first = 0.0, None
        for event in range(20_000):
            held *= np.exp(-1 / memory)
            if event % regular_interval == 0:
                held += d
                if held >= theta:
                    first = event // regular_interval + 1
                    break
        assert (first is not None) == fires
        assert theory.occurrences_to_threshold(d, theta, memory, f) == (first if fires else np.inf)
        assert (theory.frequency_ratio(d, theta, memory, f) > 1) == fires


def test_accumulated_mismatch_is_a_geometric_sum() -> None:
    d, memory, f = 0.2, 5.0, 0.25
    q = np.exp(-4 / 5)
    by_hand = [0, d, d * (1 + q), d * (1 + q + q**2)]
    np.testing.assert_allclose(theory.accumulated_mismatch(d, memory, f, np.arange(4)), by_hand, rtol=1e-14)
    assert theory.accumulated_mismatch(d, memory, f) == pytest.approx(d / (1 - q))
    assert theory.accumulated_mismatch(d, np.inf, f, 7) == pytest.approx(1.4)
    assert theory.accumulated_mismatch([d, 0.0], np.inf, f).tolist() == [np.inf, 0.0]


def test_accumulated_at_irregular_times_by_hand_and_regular_ones_by_the_closed_form() -> None:
    half = 1 / np.log(2)  # a memory in which one event halves what is there
    np.testing.assert_allclose(theory.accumulated_at([0, 1, 3], [1.0, 1.0, -1.0], half), [1, 1.5, -0.625])
    regular = theory.accumulated_mismatch(0.2, 5.0, 0.25, np.arange(1, 9))
    np.testing.assert_allclose(theory.accumulated_at(4 * np.arange(8), 0.2, 5.0), regular, rtol=1e-12)
    assert theory.accumulated_at([], 1.0, 5.0).shape == (0,)


@pytest.mark.parametrize("absorption", [0.0, 0.01, 0.1, 0.5, 3.0])
@pytest.mark.parametrize(("memory", "f"), [(10.0, 1.0), (10.0, 0.05), (np.inf, 0.1), (1 / 0.5, 1.0)])
@pytest.mark.parametrize("n", [1, 2, 7, 400])
def test_peak_mismatch_against_brute_force(absorption: float, memory: float, f: float, n: int) -> None:
    held, most = 0.0, 0.0
    for m in range(n):
        held = held * np.exp(-1 / (f * memory)) + 0.3 * np.exp(-absorption * m)
        most = max(most, held)
    assert theory.peak_mismatch(0.3, memory, f, absorption, n) == pytest.approx(most, rel=1e-9)


def test_peak_mismatch_limits() -> None:
    endless = theory.accumulated_mismatch(0.3, 30, 0.1)
    assert theory.peak_mismatch(0.3, 30, 0.1, 0.0) == pytest.approx(endless)
    assert theory.peak_mismatch(0.3, np.inf, 0.1, 0.0) == np.inf
    assert theory.peak_mismatch(0.0, np.inf, 0.1, 0.0) == 0
    # Forgetting and learning may be exchanged.
    assert theory.peak_mismatch(1, 1 / 0.2, 1, 0.7) == pytest.approx(theory.peak_mismatch(1, 1 / 0.7, 1, 0.2))
    assert theory.peak_mismatch(1, 30, 0.1, [0.1, 50]).tolist()[1] == pytest.approx(1)


def test_occurrences_to_threshold_by_hand() -> None:
    assert theory.occurrences_to_threshold([0.25, 0.3, 1.0, 7.0], 1.0, np.inf, 0.01).tolist() == [4, 4, 1, 1]
    # 0.6 (1 + q) with q = e^-0.5 = 0.607 is 0.96; with q^2 it is 1.19
    assert theory.occurrences_to_threshold(0.6, 1.0, 2.0, 1.0) == 3


def simulated_rate(d: float, theta: float, keep: float, n: int = 20_000) -> float:
    held, fired = 0.0, 0
    for _ in range(n):
        held = held * keep + d
        while held >= theta:
            held -= theta
            fired += 1
    return fired / n


@pytest.mark.parametrize("d", [0.05, 0.13, 0.31, 0.77, 1.0, 2.6])
@pytest.mark.parametrize("f_memory", [0.5, 3.0, 30.0])
def test_error_spikes_per_occurrence_against_a_simulated_integrator(d: float, f_memory: float) -> None:
    found = theory.error_spikes_per_occurrence(d, 1.0, f_memory, 1.0)
    exact = simulated_rate(d, 1.0, np.exp(-1 / f_memory))
    assert abs(found - exact) <= (0.5 if d < 1 else 1)
    assert (found > 0) == (exact > 0)


def test_error_spikes_per_occurrence_without_leak_are_exact() -> None:
    d = np.array([0.05, 0.13, 0.31, 0.77, 1.0, 2.6])
    np.testing.assert_allclose(theory.error_spikes_per_occurrence(d, 0.5, np.inf, 0.1), d / 0.5, rtol=1e-12)


def test_frequency_ratio_is_where_thresholds_and_memories_are_alike() -> None:
    # Same d/theta and same f memory: the same number, and 1 exactly at the critical frequency.
    first = theory.frequency_ratio(0.2, 1.0, 30, 0.1)
    assert first == pytest.approx(theory.frequency_ratio(0.6, 3.0, 10, 0.3))
    assert first == pytest.approx(3 * -np.log(0.8))
    assert theory.frequency_ratio(0.2, 1.0, 30, theory.critical_frequency(0.2, 1.0, 30)) == pytest.approx(1)
    assert theory.frequency_ratio([0.0, 2.0], 1.0, 30, 0.1).tolist() == [0, np.inf]


def test_reach_by_threshold_by_hand() -> None:
    # Memory 10 events: at f = 1 the limit is d/(1 - e^-0.1) = 10.5 d, at f = 0.1 it is 1.58 d, at f = 0.01 it is d.
    profile = [1.5, 0.7, 0.3, 0.05]
    found = theory.reach_by_threshold(profile, 1.0, 10, [0.01, 0.1, 1.0])
    assert isinstance(found, np.ndarray) and found.tolist() == [0, 1, 2]
    assert theory.reach_by_threshold(profile, 2.0, 10, 0.01) == -1
    assert theory.reach_by_threshold(profile, 1.0, np.inf, 0.01) == 3
    assert theory.reach_by_threshold([1.5, 0.01, 1.5], 1.0, 10, 0.1) == 0  # an unbroken stretch


def test_reach_by_threshold_agrees_with_the_critical_frequency() -> None:
    profile = 0.9 ** np.arange(12) * 0.5
    f = np.geomspace(0.001, 1, 40)
    last = [int((theory.critical_frequency(profile, 1.0, 30) <= x).sum()) - 1 for x in f]
    assert np.asarray(theory.reach_by_threshold(profile, 1.0, 30, f)).tolist() == last
    assert len(set(last)) > 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.critical_frequency(-1, 1, 30), r"mismatch = -1 is outside what is allowed: \[0, inf\)"),
        (lambda: theory.critical_frequency(1, 0, 30), r"threshold = 0 is outside what is allowed: \(0, inf\)"),
        (lambda: theory.critical_frequency(1, 1, 0), r"memory = 0 is outside what is allowed: \(0, inf\)"),
        (lambda: theory.frequency_ratio(1, 1, 30, 0), r"event_fraction = 0 is outside what is allowed: \(0, 1\]"),
        (lambda: theory.accumulated_mismatch(1, 30, 1.5), r"event_fraction = 1\.5 is outside"),
        (lambda: theory.accumulated_mismatch(1, 30, 1, -2), "n_occurrences = -2 is outside"),
        (
            lambda: theory.reach_by_threshold([[1.0]], 1, 30, 0.1),
            r"mismatch has shape \(1, 1\); give one",
        ),
        (lambda: theory.peak_mismatch(1, 30, 1, -0.1), r"absorption = -0\.1 is outside what is allowed: \[0, inf\)"),
        (lambda: theory.peak_mismatch(1, 30, 1, 0.1, 0), "n_occurrences = 0 is outside"),
        (lambda: theory.accumulated_at([1, 1], 1, 30), r"times = \[1\. 1\.\] are not in rising order"),
        (lambda: theory.reach_by_threshold([], 1, 30, 0.1), r"mismatch has shape \(0,\)"),
    ],
)
def test_accumulation_refuses(call: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        call()  # type: ignore[operator]


# ------------------------------------------------------------------------------ one hop per occurrence


def test_td_value_by_hand() -> None:
    assert np.round(theory.td_value(np.arange(3), 16, 0.25), 3).tolist() == [0.990, 0.937, 0.803]
    assert theory.td_value(0, 2, 0.5) == pytest.approx(0.75)
    assert theory.td_value(1, 2, 0.5) == pytest.approx(0.25)


@pytest.mark.parametrize("step", [0.1, 0.25, 1.0])
def test_td_value_against_td_on_a_chain(step: float) -> None:
    value = np.zeros(12)
    for n_visits in range(1, 30):
        known = np.concatenate([[1.0], value[:-1]])
        value = value + step * (known - value)
        found = theory.td_value(np.arange(12), n_visits, step)
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-15)
        assert np.array_equal(found == 0, np.arange(12) >= n_visits)


def test_td_value_is_a_power_of_a_triangular_matrix() -> None:
    one_visit = 0.75 * np.eye(9) + 0.25 * np.eye(9, k=-1)
    one_visit[0, 0] = 1.0  # the reward
    exact = np.linalg.matrix_power(one_visit, 16)[1:, 0]
    np.testing.assert_allclose(theory.td_value(np.arange(8), 16, 0.25), exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.td_value(-1, 3, 0.5), "distance = -1 is outside"),
        (lambda: theory.td_value(0.5, 3, 0.5), r"distance = 0\.5 is not a whole number"),
        (lambda: theory.td_value(1, np.inf, 0.5), "n_visits = inf is not a whole number"),
        (lambda: theory.td_value(1, 3, 1.5), r"step = 1\.5 is outside what is allowed: \(0, 1\]"),
    ],
)
def test_td_refuses(call: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        call()  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------- ladder


def ladder(n_hops: int, drive: float, restoring: float) -> np.ndarray:
    """Matrix of the ladder, hop 0 held."""
    matrix = np.diag(np.full(n_hops, -(drive + restoring))) + np.diag(np.full(n_hops - 1, drive), -1)
    matrix[0] = 0
    return matrix


def test_ladder_by_hand() -> None:
    assert theory.ladder_attenuation(0.1, 0.01, 20, 0.02) == pytest.approx(0.5)
    assert theory.ladder_change(4, 0.02, 0.02).tolist() == [1, 0.5, 0.25, 0.125]
    assert theory.ladder_screening_length(np.exp(-0.5)) == pytest.approx(2)
    assert theory.ladder_attenuation(0.1, 0.01, 20, 0) == 1
    assert theory.ladder_screening_length(1.0) == np.inf


def test_ladder_change_against_the_matrix_exponential() -> None:
    drive, restoring, n_hops = 0.03, 0.01, 8
    start = np.eye(n_hops)[0]
    events = np.array([0.0, 1.0, 40.0, 200.0])
    exact = [linalg.expm(n * ladder(n_hops, drive, restoring)) @ start for n in events]
    np.testing.assert_allclose(theory.ladder_change(n_hops, drive, restoring, n_events=events), exact, atol=1e-12)


def test_ladder_settles_where_nothing_moves_any_more() -> None:
    drive, restoring = 0.03, 0.01
    assert np.abs(ladder(8, drive, restoring) @ theory.ladder_change(8, drive, restoring)).max() < 1e-17
    inner = ladder(8, drive, restoring)[1:, 1:]
    exact = linalg.solve(inner, -drive * np.eye(7)[0])
    np.testing.assert_allclose(theory.ladder_change(8, drive, restoring)[1:], exact, rtol=1e-12)


def test_ladder_of_discrete_occurrences_settles_at_the_same_attenuation() -> None:
    f, eta_k, rho = 0.1, 0.05, 0.002
    c = np.eye(6)[0]
    for event in range(40_000):
        c[1:] *= 1 - rho
        if event % round(1 / f) == 0:
            c[1:] += eta_k * (c[:-1] - c[1:])
    expected = theory.ladder_change(6, f * eta_k, rho)
    np.testing.assert_allclose(c, expected, rtol=0.05)  # single events show a little


def test_ladder_depth_counts_the_hops_above_the_floor() -> None:
    for q in (0.3, 0.5, 0.9):
        for floor in (0.001, 0.25, 0.5, 0.999):
            above = q ** np.arange(10_000) > floor
            assert theory.ladder_depth(q, floor) == above.sum() - 1
    assert theory.ladder_depth([0.5, 1.0, 1.0], [1.0, 0.5, 2.0]).tolist() == [-1, np.inf, -1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.ladder_attenuation(0, 1, 1, 1), r"event_fraction = 0 is outside what is allowed: \(0, 1\]"),
        (lambda: theory.ladder_attenuation(1, 0, 1, 1), r"learning_rate = 0 is outside what is allowed: \(0, inf\)"),
        (lambda: theory.ladder_attenuation(1, 1, -1, 1), "coupling = -1 is outside"),
        (lambda: theory.ladder_attenuation(1, 1, 1, -1), r"restoring = -1 is outside what is allowed: \[0, inf\)"),
        (lambda: theory.ladder_change(0, 1, 1), "n_hops = 0 is too small; give 1 or more"),
        (lambda: theory.ladder_change(3, 0, 1), "drive = 0 is outside"),
        (lambda: theory.ladder_change(3, 1, 1, n_events=-1), "n_events = -1 is outside"),
        (lambda: theory.ladder_depth(1.5, 0.1), r"attenuation = 1\.5 is outside what is allowed: \(0, 1\]"),
        (lambda: theory.ladder_depth(0.5, 0), r"floor = 0 is outside what is allowed: \(0, inf\)"),
        (lambda: theory.ladder_screening_length(0), r"attenuation = 0 is outside what is allowed: \(0, 1\]"),
    ],
)
def test_ladder_refuses(call: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        call()  # type: ignore[operator]
