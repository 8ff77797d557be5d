"""The form of a spiking rule: its Brian2 code, and one time step of it in NumPy.

A rule is a frozen dataclass of parameters with two constants of its class: `Code`, the strings of which
`bioplastic.spiking` makes Brian2 objects, and `Reference`, the same in NumPy, against which these are tested. What all
rules share of a time step stands here, in `reference_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from brian2 import ms
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import JUMP, ON_ERROR_EVENT, CellParameters


@dataclass(frozen=True)
class Code:
    """What Brian2 needs to know of a rule.

    Attributes
    ----------
    soma : str
        What an unclamped soma does, a fraction of the maximal rate, in V and A.
    mismatch : str
        What adds up in E, in V, A, `rate` (what the soma does, clamped or not), `target` and `clamp`.
    synapse_equations : str
        Variables of the plastic synapses: `w`, `fb`, `plastic`, and what else the rule needs.
    cell_equations : str
        Variables of the cells beyond `bioplastic.cells.EQUATIONS`.
    on_error : str
        What an error spike does to its own cell.
    on_pre, on_post, on_event : mapping of str to str
        The pathways of the plastic synapses, as ``brian2.Synapses`` takes them.
    order : mapping of str to int
        Order of those pathways within a time step, as ``brian2.Synapses`` takes it.
    on_broadcast : str
        What an error spike of an error source does to every hidden cell, through synapses with weight `b`; empty: no
        such synapses.
    """

    soma: str
    mismatch: str
    synapse_equations: str
    on_post: Mapping[str, str]
    on_event: Mapping[str, str]
    on_pre: Mapping[str, str] = field(default_factory=lambda: {"forward": f"V_post += w*{JUMP.format(tau='tau_m')}"})
    order: Mapping[str, int] = field(default_factory=dict)
    cell_equations: str = ""
    on_error: str = ON_ERROR_EVENT
    on_broadcast: str = ""


@dataclass(frozen=True)
class State:
    """What changes in a set of n cells and the synapses between them.

    Attributes
    ----------
    V, A, x, P, E, bias, abias : array, shape (n,)
        Variables of the cells, as in `bioplastic.cells`.
    w, fb : array, shape (n, n)
        Forward weights, and weights of what a cell sends to the apical dendrites of others, both (post, pre): `fb`
        as (sender, receiver). 0 where there is no synapse.
    """

    V: np.ndarray
    A: np.ndarray
    x: np.ndarray
    P: np.ndarray
    E: np.ndarray
    bias: np.ndarray
    abias: np.ndarray
    w: np.ndarray
    fb: np.ndarray


@dataclass(frozen=True)
class Outside:
    """What is imposed on the cells and synapses, as in `bioplastic.cells.EQUATIONS`.

    Attributes
    ----------
    target, clamp, predicts : array, shape (n,)
    plastic : array, shape (n, n)
        Of each synapse (post, pre): 1 where its weight learns, else 0.
    hops : array, shape (n,)
        Hops upstream of the nearest error source.
    window : float
        1 while an outcome is present anywhere, else 0.
    """

    target: np.ndarray
    clamp: np.ndarray
    predicts: np.ndarray
    plastic: np.ndarray
    hops: np.ndarray
    window: float = 1.0


@dataclass(frozen=True)
class Learned:
    """Changes of everything that learns, in the shapes of `State`."""

    w: np.ndarray
    fb: np.ndarray
    bias: np.ndarray
    abias: np.ndarray


@dataclass(frozen=True)
class Reference:
    """A rule in NumPy: three functions of the rule's parameters and the `State` before this step's spikes arrive.

    Attributes
    ----------
    soma : callable
        (rule, state, outside) -> what the soma does, and its mismatch, shape (n,) each.
    relay : callable
        (rule, state, spike, error, outside) -> what the apical dendrites receive, shape (n,), in units of the jump of
        a spike.
    learning : callable
        (rule, state, error, outside) -> `Learned`.
    """

    soma: Callable[[Any, State, Outside], tuple[np.ndarray, np.ndarray]]
    relay: Callable[[Any, State, np.ndarray, np.ndarray, Outside], np.ndarray]
    learning: Callable[[Any, State, np.ndarray, Outside], Learned]


class Rule(Protocol):
    """What every spiking rule has."""

    code: ClassVar[Code]
    reference: ClassVar[Reference]

    @property
    def theta(self) -> float:
        """Error threshold, in spikes."""

    @property
    def eta(self) -> float:
        """Learning rate; 0 freezes the weights."""

    @property
    def cell_values(self) -> dict[str, float | Quantity]:
        """The parameters by the names that the cells' equations give them."""


@dataclass(frozen=True)
class BareRule:
    """What a compiler has to know of a rule: the code, and which parameters the cells have."""

    code: Code
    cell_values: Mapping[str, float | Quantity]
    theta: float = 1.0
    eta: float = 0.0


def reference_step(
    before: State, rule: Rule, parameters: CellParameters, outside: Outside, *, dt: Quantity = 1 * ms
) -> tuple[State, np.ndarray, np.ndarray]:
    """One time step of a set of cells, in the order in which Brian2 does it.

    Parameters
    ----------
    before : State
    rule : Rule
    parameters : CellParameters
    outside : Outside
    dt : Quantity, optional
        Time step.

    Returns
    -------
    tuple of (State, array of bool, array of int)
        The state afterwards; which cells spiked; the sign of each cell's error spike, 0 where there was none.
    """
    ratio = {name: float(dt / getattr(parameters, name)) for name in ("tau_m", "tau_a", "tau_x")}
    spikes_per_step = float(parameters.rmax * dt)  # of a cell that fires at the maximal rate
    jump = {name: np.expm1(r) / spikes_per_step for name, r in ratio.items()}
    # groups: exact decay
    V = before.bias + (before.V - before.bias) * np.exp(-ratio["tau_m"])
    A = before.abias + (before.A - before.abias) * np.exp(-ratio["tau_a"])
    x = before.x * np.exp(-ratio["tau_x"])
    # before_thresholds
    now = State(V, A, x, before.P, before.E, before.bias, before.abias, before.w, before.fb)
    rate, err = rule.reference.soma(rule, now, outside)
    P = before.P + rate * spikes_per_step
    E = before.E * np.exp(-float(rule.cell_values["leak"] * dt)) + outside.predicts * err * spikes_per_step
    # thresholds
    spike = P >= 1
    error = np.where(np.abs(E) > rule.theta, np.where(E > 0, 1, -1), 0)
    # synapses: spikes meet the old weights, error spikes the trace without this step's spikes
    relayed = rule.reference.relay(rule, now, spike, error, outside)
    learned = rule.reference.learning(rule, now, error, outside)
    # resets
    after = State(
        V=V + before.w @ spike * jump["tau_m"],
        A=A + relayed * jump["tau_a"],
        x=x + spike * jump["tau_x"],
        P=P - spike,
        E=E - rule.theta * error,
        bias=before.bias + learned.bias,
        abias=before.abias + learned.abias,
        w=before.w + learned.w,
        fb=before.fb + learned.fb,
    )
    return after, spike, error
