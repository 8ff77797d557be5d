"""The two-dendrite cell: its f-I curve, equations and parameters, in one place for Brian2, NumPy and torch.

    basal     dV/dt = (bias - V)/tau_m      spikes of upstream neighbours add w/(rmax tau_m)
    apical    dA/dt = (abias - A)/tau_a     signals of downstream neighbours
    soma      rate = rmax phi(...)          phase P += rate dt; spike at P >= 1 (regular firing)
    trace     dx/dt = -x/tau_x              spikes add 1/(rmax tau_x), so x is about phi
    mismatch  dE/dt = -leak E + rmax err    |E| > theta: one signed error spike, E -= +-theta

What the soma does (`soma`) and what counts as its mismatch (`err`) belong to the learning rule; see
`bioplastic.rules`. `docs/model.md` derives the cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from brian2 import Hz, ms
from brian2.units.fundamentalunits import Quantity

from bioplastic.units import quantity

Numbers = TypeVar("Numbers")


def phi(v: Numbers) -> Numbers:
    """Evaluate the f-I curve on a float, a NumPy array or a torch tensor: slope 1/2 at 0, saturating at 0 and 1.

    Parameters
    ----------
    v : float, ndarray or Tensor
        Somatic potential, dimensionless.

    Returns
    -------
    same type and shape as `v`
        Rate as a fraction of the maximal rate, in (0, 1).
    """
    u: Any = v
    rate: Numbers = 0.5 + 0.5 * u / ((1 + u**2 * u**2) ** 0.5) ** 0.5  # squares and roots: pow() is ten times slower
    return rate


class _Text:
    """A number that is known only as text: what `phi` does to it is written down.

    `binds` says how tightly its parts hold together: 1 as a sum, 2 as a product, 3 as a power, 4 as a name.
    """

    def __init__(self, text: str, binds: int) -> None:
        self.text, self.binds = text, binds

    def within(self, binds: int) -> str:
        """Its text, in parentheses if it would fall apart where that much is needed."""
        return self.text if self.binds >= binds else f"({self.text})"

    def __radd__(self, term: float) -> _Text:
        return _Text(f"{term} + {self.within(2)}", 1)

    def __mul__(self, factor: _Text) -> _Text:
        return _Text(f"{self.within(2)}*{factor.within(3)}", 2)

    def __rmul__(self, factor: float) -> _Text:
        return _Text(f"{factor}*{self.within(3)}", 2)

    def __truediv__(self, divisor: _Text) -> _Text:
        return _Text(f"{self.within(2)}/{divisor.within(3)}", 2)

    def __pow__(self, exponent: float) -> _Text:
        return _Text(f"sqrt({self.text})", 4) if exponent == 0.5 else _Text(f"{self.within(4)}**{exponent}", 3)


PHI = f"({phi(_Text('({v})', 4)).text})"
"""The same as text, for Brian2: ``PHI.format(v="V + A")`` is the rate at a potential V + A."""


def phi_slope(v: Any) -> Any:
    """Derivative of `phi`: 1/2 (1 + v^4)^(-5/4)."""
    q = 1 + v**2 * v**2
    return 0.5 / (q * (q**0.5) ** 0.5)


EQUATIONS = """
dV/dt = (bias - V)/tau_m : 1      # basal dendrite: what the upstream neighbours predict
dA/dt = (abias - A)/tau_a : 1     # apical dendrite: signals of the downstream neighbours
dx/dt = -x/tau_x : 1              # spike trace, a fraction of the maximal rate
P : 1                             # spike phase
E : 1                             # mismatch that has added up, in units of one spike
bias : 1                          # plastic drive of the basal dendrite
abias : 1                         # drive of the apical dendrite
target : 1                        # what the outside world makes the soma do, a fraction of the maximal rate
clamp : 1                         # 1 while it does, else 0
prediction : 1                    # what the basal dendrite has predicted lately (kept for error sources only)
predicts : 1 (constant)           # 1 for cells that predict, 0 for input cells
theta : 1 (shared, constant)      # error threshold, in units of one spike
leak : Hz (shared, constant)      # rate at which the mismatch leaks away
eta : 1 (shared, constant)        # learning rate
gain : 1 (shared, constant)       # attenuation of the error per hop
"""

THRESHOLD = "P >= 1"
JUMP = "(exp(dt/{tau}) - 1)/(rmax*dt)"
"""What one spike adds to a variable with time constant `tau`. It tends to 1/(rmax tau) for small dt; a variable is read
after it has decayed, once per step, and this is the jump for which the mean of what is read is the rate."""
RESET = f"""
P -= 1
x += {JUMP.format(tau="tau_x")}
"""
ERROR_EVENT = "abs(E) > theta"
ERROR_SIGN = "(2*int({E} > 0) - 1)"
ON_ERROR_EVENT = f"""
bias += eta*theta*{ERROR_SIGN.format(E="E")}
E -= theta*{ERROR_SIGN.format(E="E")}
"""


@dataclass(frozen=True)
class CellParameters:
    """Parameters that all cells share.

    Attributes
    ----------
    rmax : Quantity
        Maximal firing rate (default 100 Hz).
    tau_m : Quantity
        Time constant of the basal dendrite (default 20 ms).
    tau_a : Quantity
        Time constant of the apical dendrite (default 10 ms).
    tau_x : Quantity
        Time constant of the spike trace that plasticity reads (default 20 ms).

    Raises
    ------
    UnitError
        A parameter has the wrong unit or is not positive.
    """

    rmax: Quantity = field(default_factory=lambda: 100 * Hz)
    tau_m: Quantity = field(default_factory=lambda: 20 * ms)
    tau_a: Quantity = field(default_factory=lambda: 10 * ms)
    tau_x: Quantity = field(default_factory=lambda: 20 * ms)

    def __post_init__(self) -> None:
        quantity("rmax", self.rmax, Hz, low=0, open_low=True)
        for name in ("tau_m", "tau_a", "tau_x"):
            quantity(name, getattr(self, name), ms, low=0, open_low=True)

    @property
    def namespace(self) -> dict[str, Quantity]:
        """The names that the equations of cells and synapses refer to."""
        return {"rmax": self.rmax, "tau_m": self.tau_m, "tau_a": self.tau_a, "tau_x": self.tau_x}
