"""Backprop, and backprop held back with depth or made sparse: the rules of the rate twin.

    delta_out = y - phi(V_out)                        error source, while an outcome is known
    delta_h   = phi'(V_h) sum W^T delta_downstream    every other population
    w += eta_h top(delta_post h_pre),   bias += eta_h top(delta_post)
    eta_h = eta attenuation^h for h <= depth, else 0
    top(g) = g where |g| is among the largest of its projection (its population, for biases), else 0

symbol        unit  meaning
------------  ----  -----------------------------------------------------------------
V, h          1     potential and rate (a fraction of the maximal rate), h = phi(V)
y             1     outcome, a fraction of the maximal rate
eta           1     learning rate of the weights into the error source (hop 0)
attenuation   1     factor per hop upstream; 1 is backprop
depth         hop   last hop that learns; None is backprop
kept          1     fraction of the entries that `top` leaves, in each projection and each population, at each event;
                    rounded, but at least one entry; 1 is backprop

Reads: everything downstream of a weight, at once. This is what the local rules are compared with. With
``depth`` it is truncated backprop and with ``attenuation`` below 1 it has a learning rate that falls per hop: both are
not local at all, and learn little or nothing far upstream; they ask whether locality matters. With ``kept`` below 1 few
weights change at a time, which ones being decided among all of a projection: they ask whether it protects what was
learned before when not everything is updated.

The error at the output is that of the loss that matches phi (the integral of phi(V) - y over V), as for the spiking
rules, whose output cells send y - phi(V): both learners go downhill on the same loss. The squared error would multiply
it by phi'(V).

Source: Rumelhart, Hinton and Williams (1986), doi:10.1038/323533a0. Entries of largest magnitude only: Aji and Heafield
(2017), doi:10.18653/v1/D17-1045; there what is left out is added to later gradients, here it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioplastic.cells import phi, phi_slope
from bioplastic.rules.twin_form import Inferred, TwinRule
from bioplastic.units import UnitError, quantity

if TYPE_CHECKING:
    from torch import Tensor

    from bioplastic.twin.networks import Networks


@dataclass(frozen=True)
class Backprop(TwinRule):
    """Parameters of backprop.

    Attributes
    ----------
    eta : float
        Learning rate.
    depth : int, optional
        Last hop whose weights learn; all by default.
    attenuation : float
        Factor on the learning rate per hop upstream, in (0, 1].
    kept : float
        Fraction of the gradient's entries, the largest of each projection, that change anything, in (0, 1].

    Raises
    ------
    UnitError
        A parameter is outside its range.
    """

    depth: int | None = None
    attenuation: float = 1.0
    kept: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        quantity("attenuation", self.attenuation, 1, low=0, high=1, open_low=True)
        quantity("kept", self.kept, 1, low=0, high=1, open_low=True)
        if self.depth is not None and (not isinstance(self.depth, int | np.integer) or self.depth < 0):
            raise UnitError(f"depth = {self.depth}; it is the last hop that learns, 0 or more (None: all).")

    def rates(self, n_hops: int) -> np.ndarray:
        """Learning rate by hop, shape (n_hops,)."""
        hop = np.arange(n_hops)
        rates = self.eta * self.attenuation**hop
        return rates if self.depth is None else np.where(hop <= self.depth, rates, 0.0)

    @property
    def inference(self) -> Backprop:
        """The rule without its learning rates, which depth and attenuation belong to."""
        return Backprop(kept=self.kept)

    def infer(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Inferred:
        """Hand the error of the error sources upstream, as in `TwinRule.infer`."""
        delta = networks.deltas(state, outcome - networks.prediction(state))
        return Inferred(delta, networks.rates(state), state, self.top if self.kept < 1 else None)

    def n_kept(self, size: int) -> int:
        """How many of `size` entries are kept."""
        return max(1, round(self.kept * size))

    def top(self, changes: Tensor) -> Tensor:
        """Set all but the largest entries to 0, in each network; which of equal ones are kept is open."""
        flat = changes.flatten(1)
        chosen = flat.abs().topk(self.n_kept(flat.shape[1]), dim=1, sorted=False).indices
        return flat.new_zeros(flat.shape).scatter_(1, chosen, flat.gather(1, chosen)).view_as(changes)


def largest(entries: np.ndarray, n: int) -> np.ndarray:
    """Set all but the `n` entries of largest magnitude to 0."""
    found = np.zeros(entries.size)
    chosen = np.argsort(-np.abs(entries.ravel()), kind="stable")[:n]
    found[chosen] = entries.ravel()[chosen]
    return found.reshape(entries.shape)


def reference_update(
    weights: list[np.ndarray], biases: list[np.ndarray], stimulus: np.ndarray, outcome: np.ndarray, rule: Backprop
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """One event in a chain, written out in NumPy: the changes that `rule` makes.

    Parameters
    ----------
    weights : list of array, shape (post, pre)
        From the input to the error source.
    biases : list of array, shape (post,)
    stimulus, outcome : array
        Rates as fractions of the maximal rate.
    rule : Backprop

    Returns
    -------
    tuple of (list of array, list of array)
        Changes of the weights and of the biases.
    """
    rates, potentials = [stimulus], []
    for w, b in zip(weights, biases, strict=True):
        potentials.append(w @ rates[-1] + b)
        rates.append(phi(potentials[-1]))
    delta = outcome - rates[-1]
    changes_w: list[np.ndarray] = []
    changes_b: list[np.ndarray] = []
    for k in range(len(weights) - 1, -1, -1):
        eta = rule.rates(len(weights))[len(weights) - 1 - k]
        for changes, entries in ((changes_w, np.outer(delta, rates[k])), (changes_b, delta)):
            changes.append(eta * largest(entries, rule.n_kept(entries.size)))
        if k:
            delta = phi_slope(potentials[k - 1]) * (weights[k].T @ delta)
    return changes_w[::-1], changes_b[::-1]
