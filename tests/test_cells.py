"""The cell: one f-I curve for NumPy, torch and Brian2, and its parameters."""

import brian2
import numpy as np
import pytest
from brian2 import Hz, NeuronGroup, ms, mV

from bioplastic.cells import EQUATIONS, PHI, CellParameters, _Text, phi, phi_slope
from bioplastic.units import UnitError

# 1/2 + 1/2 V/(1+V^4)^(1/4), worked out with a pocket calculator: 2^(1/4) = 1.189207115, 17^(1/4) = 2.030543185.
BY_HAND = {0.0: 0.5, 1.0: 0.9204482076, -1.0: 0.0795517924, 2.0: 0.9924790605, 1e4: 1.0, -1e4: 0.0}


@pytest.fixture
def numpy_target():
    """Brian2 without a compiler: quick to set up."""
    before = brian2.prefs.codegen.target
    brian2.prefs.codegen.target = "numpy"
    yield
    brian2.prefs.codegen.target = before


@pytest.mark.parametrize(("v", "expected"), BY_HAND.items())
def test_phi_by_hand(v, expected):
    assert phi(v) == pytest.approx(expected, abs=1e-10)


def test_phi_is_symmetric_rising_and_saturates():
    v = np.linspace(-20, 20, 4001)
    rate = phi(v)
    assert (np.diff(rate) > 0).all()
    assert ((rate > 0) & (rate < 1)).all()
    np.testing.assert_allclose(phi(-v), 1 - rate, rtol=0, atol=1e-15)
    assert abs(phi(np.array([1e3, -1e3])) - [1, 0]).max() < 1e-12
    assert phi_slope(1e3) < 1e-14


def test_phi_is_flat_around_rest():
    # The derivation counts on it: at |V| = 0.6 the slope is still 86 % of its maximum.
    assert phi_slope(0.0) == 0.5
    assert phi_slope(0.6) / phi_slope(0.0) == pytest.approx(0.86, abs=0.005)


def test_slope_is_the_derivative():
    v = np.linspace(-3, 3, 301)
    h = 1e-5
    np.testing.assert_allclose(phi_slope(v), (phi(v + h) - phi(v - h)) / (2 * h), rtol=1e-7, atol=1e-10)


def test_phi_is_the_same_in_torch():
    torch = pytest.importorskip("torch")
    v = np.linspace(-5, 5, 1001)
    np.testing.assert_allclose(phi(torch.tensor(v)).numpy(), phi(v), rtol=0, atol=1e-15)
    np.testing.assert_allclose(phi_slope(torch.tensor(v)).numpy(), phi_slope(v), rtol=0, atol=1e-15)
    single = phi(torch.tensor(v, dtype=torch.float32))
    assert single.dtype == torch.float32


def test_phi_is_the_same_in_brian2(numpy_target):
    v = np.linspace(-5, 5, 101)
    group = NeuronGroup(len(v), f"v : 1\nrate = {PHI.format(v='v')} : 1")
    group.v = v
    np.testing.assert_allclose(group.rate[:], phi(v), rtol=1e-15)


def test_phi_takes_an_expression():
    # The braces stand in parentheses, so that V + A is not torn apart.
    assert eval(PHI.format(v="a + b"), {"a": 0.25, "b": 0.75, "sqrt": np.sqrt}) == pytest.approx(BY_HAND[1.0])


def test_phi_and_its_text_are_the_same_to_the_bit():
    assert PHI == "(0.5 + 0.5*({v})/sqrt(sqrt(1 + ({v})**2*({v})**2)))"
    v = np.linspace(-5, 5, 1001)
    from_text = eval(PHI.format(v="v"), {"v": v, "sqrt": np.sqrt})
    assert from_text.tobytes() == phi(v).tobytes()


def test_text_keeps_what_belongs_together():
    a, b = _Text("a", 4), _Text("b", 4)
    for made, expected in [
        ((1 + a) * b, "(1 + a)*b"),
        (2 * (a * b), "2*(a*b)"),
        (a * b / b, "a*b/b"),
        (a / (b * a), "a/(b*a)"),
        ((a * b) ** 2, "(a*b)**2"),
        ((1 + a * b) ** 0.5, "sqrt(1 + a*b)"),
        (1 + (2 + a), "1 + (2 + a)"),
        (a**2 * b**2, "a**2*b**2"),
    ]:
        assert made.text == expected
    with pytest.raises(TypeError):  # what it cannot write down, it does not pretend to
        a - b


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rmax": 100}, "rmax = 100 has no unit; it needs Hz."),
        ({"rmax": 0 * Hz}, "rmax = 0 Hz is outside what is allowed: more than 0 Hz."),
        ({"tau_m": 20}, "tau_m = 20 has no unit; it needs a time such as 10*ms."),
        ({"tau_a": -1 * ms}, "tau_a = -1 ms is outside what is allowed: more than 0 ms."),
        ({"tau_x": 20 * mV}, "tau_x = 20. mV is in m^2 kg s^-3 A^-1; it needs a time such as 10*ms."),
        ({"tau_x": np.nan * ms}, "tau_x is NaN; give a number in ms."),
        ({"tau_m": np.inf * ms}, "tau_m = inf ms is infinite; give a finite number."),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(UnitError) as caught:
        CellParameters(**arguments)
    assert str(caught.value) == message


def test_parameters_reach_the_equations():
    parameters = CellParameters(tau_a=5 * ms)
    assert parameters.namespace == {"rmax": 100 * Hz, "tau_m": 20 * ms, "tau_a": 5 * ms, "tau_x": 20 * ms}
    assert all(name in EQUATIONS for name in ("tau_m", "tau_a", "tau_x"))
