"""Three problems that a chain of hops can be given with handwritten digits, and how well they are solved.

    all digits              all ten, by a chain of 3 hops with orthogonal random weights
    the 9                   the 9, seldom, by a longer chain that knows the digits 0 to 8 (pretrained by backprop)
    the 9, far hops only    the same, where only weights far from the error source may change

What is chosen here, and from where; the circuit and what else is not named here are those of chain.py.

parameter       value   unit    meaning                                                source
--------------  ------  ------  -----------------------------------------------------  -------------------------------
N_HOPS_DIGITS        3  hops    length of the chain that learns all digits             chosen
NEAREST              3  hop     first that may change where only far ones may          chosen
EVENT_FRACTION     0.3  1       of all real events that are a 9                        chosen
THETA_DIGITS       0.1  spikes  error threshold where all digits are learned           chosen; elsewhere chain.THETA
LOOK               300  ms      for which a prediction in spikes is averaged           chosen
VALIDATING           5  1       every so many-th image that is not held out validates  chosen: a fifth of them

Source: the digits are those of scikit-learn (Alpaydin and Kaynak 1998, doi:10.24432/C50P49); orthogonal start weights:
Saxe, McClelland and Ganguli (2014), arXiv:1312.6120.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from bioplastic_models import chain
from bioplastic_models.far_hops import FarBackprop, from_hop
from brian2 import ms

from bioplastic.cache import cache_folder
from bioplastic.circuit import Circuit, Weights
from bioplastic.events import Schedule, Timing, in_rounds, lessons, random_life
from bioplastic.rules.error_relay import ErrorRelay
from bioplastic.tasks import Task

ALL, NINE, FAR = "all digits", "the 9", "the 9, far hops only"
N_HOPS_DIGITS = 3
NEAREST = 3
EVENT_FRACTION = 0.3
THETA_DIGITS = 0.1
LOOK = 300 * ms
VALIDATING = 5


def validation(task: Task) -> tuple[np.ndarray, Task]:
    """Choose images to choose learning rates by, and return them and a task that holds them out too.

    Parameters
    ----------
    task : Task
    """
    chosen = np.flatnonzero(~task.held_out)[::VALIDATING]
    held_out = task.held_out.copy()
    held_out[chosen] = True
    return chosen, replace(task, held_out=held_out)


@dataclass(frozen=True)
class Problem:
    """What is to be learned, and by which weights.

    Attributes
    ----------
    name : str
        One of `ALL`, `NINE`, `FAR`.
    n_hops : int
        Length of the chain.
    """

    name: str
    n_hops: int

    @property
    def slug(self) -> str:
        """Its name in names of groups."""
        return self.name.replace(",", "").replace(" ", "_")

    @property
    def rare(self) -> bool:
        """Whether the 9 is to be learned by a chain that knows the other digits, rather than all digits by a new one."""
        return self.name != ALL

    @property
    def nearest(self) -> int:
        """First hop that may change."""
        return NEAREST if self.name == FAR else 0

    @property
    def circuit(self) -> Circuit:
        """The chain."""
        return chain.circuit(self.n_hops)

    @property
    def timing(self) -> Timing:
        """Phases of its events."""
        return chain.timing(self.n_hops)

    @property
    def looking(self) -> Timing:
        """Phases of an event at which accuracy is measured."""
        return replace(self.timing, outcome=LOOK)

    def relay(self, eta: float) -> ErrorRelay:
        """Return the error relay at a learning rate per error spike.

        Parameters
        ----------
        eta : float
        """
        if self.rare:
            return from_hop(chain.screened(eta, self.n_hops), self.nearest)
        return ErrorRelay(theta=THETA_DIGITS, eta=eta)

    def backprop(self, eta: float) -> FarBackprop:
        """Return backprop at a learning rate per event.

        Parameters
        ----------
        eta : float
        """
        return FarBackprop(eta, nearest=self.nearest)

    def starts(self, task: Task, seeds: Sequence[int], progress: Callable[[float], None]) -> Sequence[Weights]:
        """Return the weights that lives begin with, from the cache if they are there.

        Parameters
        ----------
        task : Task
            What a chain that is pretrained may learn from.
        seeds : sequence of int
        progress : callable
            Called with the fraction that is done.
        """
        from bioplastic import twin

        # Without pretraining: the orthogonal weights with which that begins.
        how = twin.Pretraining() if self.rare else twin.Pretraining(steps=0)
        return twin.pretrained(self.circuit, task, seeds, how, cache=cache_folder() / "weights", progress=progress)

    def days(self, task: Task, n_events: int, seed: int) -> Schedule:
        """Return real events: 9s among others, or each digit once before any comes again.

        Parameters
        ----------
        task : Task
        n_events : int
        seed : int
        """
        rng = np.random.default_rng([seed, 1])
        if self.rare:
            return random_life(task, event_fraction=EVENT_FRACTION, n_events=n_events, seed=rng)
        return lessons(task, in_rounds(np.flatnonzero(~task.held_out), n_events, rng))

    def images(self, task: Task, chosen: np.ndarray, n_others: int) -> np.ndarray:
        """Return the images on which accuracy is measured: all, or all 9s and some others.

        Parameters
        ----------
        task : Task
        chosen : array of int
            Images that nobody learned from.
        n_others : int
            Most images of 0 to 8 where the 9 is to be learned.
        """
        if not self.rare:
            return chosen
        rare = task.label[chosen] == task.rare_label
        others = np.random.default_rng(0).permutation(chosen[~rare])[:n_others]
        return np.concatenate([chosen[rare], others])

    def scores(self, task: Task, predicted: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return how good predictions are.

        Parameters
        ----------
        task : Task
        predicted : array, shape (..., n_images, n_outputs)
        images : array of int, shape (n_images,)

        Returns
        -------
        array, shape (..., 3)
            Accuracy on the 9, that on all others, and the score: accuracy on all, or the mean of the two before.
        """
        right, rare = predicted.argmax(-1) == task.label[images], task.label[images] == task.rare_label
        every, ninth, other = right.mean(-1), right[..., rare].mean(-1), right[..., ~rare].mean(-1)
        return np.stack([ninth, other, (ninth + other) / 2 if self.rare else every], axis=-1)
