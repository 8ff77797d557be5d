"""The form of a rule of the rate twin: its parameters, and how it finds every population's error.

A rule is one file with one frozen dataclass that inherits from `TwinRule` and says in `infer` what it makes of an
outcome, written with the methods of `bioplastic.twin.networks.Networks`; `bioplastic.twin.live` asks for nothing else.
A whole rule, by which only the weights into the error source learn::

    @dataclass(frozen=True)
    class DeltaRule(TwinRule):
        def infer(self, networks, state, outcome):
            error = outcome - networks.prediction(state)
            return Inferred(networks.at_sources(error), networks.rates(state), state)

What a rule has beside that (`rates`, `inference`, `check`) stands here for all of them, and a rule that needs another
one says so in its file. Files of rules import torch where they need it, within functions, and `bioplastic.twin` not at
all but for types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bioplastic.units import quantity

if TYPE_CHECKING:
    from torch import Tensor

    from bioplastic.twin.networks import Networks


class InferenceError(ValueError):
    """Inference that does not settle with these parameters and weights."""


@dataclass(frozen=True)
class Inferred:
    """What a rule makes of outcomes before it learns: ``w += keep(eta delta_post^T rate_pre)``, summed over samples.

    Attributes
    ----------
    delta : mapping of str to Tensor, shape (n_networks, n_samples, size)
        Error of every population whose incoming weights and bias may learn. Samples are the stimuli; a rule that takes
        time may have several for each stimulus.
    rate : mapping of str to Tensor, shape (n_networks, n_samples, size)
        Presynaptic rate of every population.
    potential : mapping of str to Tensor, shape (n_networks, n_stimuli, size)
        Of every population, at the end; for inputs, their rate.
    keep : callable, optional
        Given the changes of a projection's weights, shape (n_networks, post, pre), or of a population's biases, shape
        (n_networks, size), returns those that are made; by default all are.
    """

    delta: Mapping[str, Tensor]
    rate: Mapping[str, Tensor]
    potential: Mapping[str, Tensor]
    keep: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class TwinRule(ABC):
    """What every rule of the twin has.

    Attributes
    ----------
    eta : float
        Learning rate; 0 freezes the weights.

    Raises
    ------
    UnitError
        `eta` is negative or not a number.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        quantity("eta", self.eta, 1, low=0)

    def rates(self, n_hops: int) -> np.ndarray:
        """Learning rate by hop, shape (n_hops,)."""
        return np.full(n_hops, float(self.eta))

    @property
    def inference(self) -> TwinRule:
        """The rule without its learning rates: where these are equal, one of them infers for all networks at once."""
        return replace(self, eta=0.0)

    def check(  # noqa: B027 (most rules have nothing to refuse)
        self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor
    ) -> None:
        """Raise `InferenceError` if the rule cannot work with these weights; asked once in a life, at its first event.

        Parameters
        ----------
        networks, state, outcome
            As in `infer`.
        """

    @abstractmethod
    def infer(self, networks: Networks, state: Mapping[str, Tensor], outcome: Tensor) -> Inferred:
        """Find every population's error, in all networks and for all stimuli at once.

        Parameters
        ----------
        networks : Networks
        state : mapping of str to Tensor, shape (n_networks, n_stimuli, size)
            From `Networks.potentials`.
        outcome : Tensor, shape (n_networks, n_stimuli, n_outputs)
            What happens; the prediction itself where nothing does.

        Returns
        -------
        Inferred

        Raises
        ------
        InferenceError
            Inference is unstable, or finds no equilibrium.
        """
