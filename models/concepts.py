"""Concepts in three places: A goes with B, B goes with C, and A and C never meet.

A concept is a few numbers; what A, B and C show of it are three random functions of them. Some concepts are gone through in
thought, others are known but not gone through, and of the rest nothing is ever shown.

What is chosen here, and from where; how far patterns deviate from rest is in `models/thinking.py`.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
N_FACTORS                4  1       numbers that describe a concept                      chosen: fewer than the cells
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bioplastic_models import association, thinking
from bioplastic_models.thinking import Session, held, known

N_FACTORS = 4
REHEARSED, NOT_REHEARSED, NEW = GROUPS = "rehearsed", "not rehearsed", "new"
"""Concepts gone through in thought; learned but not gone through; of which nothing was ever shown."""


@dataclass(frozen=True)
class Concepts:
    """Patterns of the same concepts in three places.

    Attributes
    ----------
    a, b, c : array, shape (n_concepts, n_cells)
        In the order of `GROUPS`.
    sizes : tuple of int, shape (3,)
        Concepts of each group.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    sizes: tuple[int, int, int]

    @classmethod
    def draw(cls, sizes: tuple[int, int, int], seed: int) -> Concepts:
        """Draw concepts of a few factors, and what each place makes of them."""
        rng = np.random.default_rng([seed, 1])
        factors = rng.standard_normal((sum(sizes), N_FACTORS))
        shape = N_FACTORS, association.N_CELLS
        seen = [rng.standard_normal(shape) / np.sqrt(N_FACTORS) for _ in range(3)]
        a, b, c = (association.REST + thinking.SWING * np.tanh(factors @ m) for m in seen)
        return cls(a, b, c, sizes)

    @property
    def members(self) -> dict[str, slice]:
        """Where the concepts of each group lie."""
        ends = np.cumsum(self.sizes)
        return {g: slice(int(end - n), int(end)) for g, end, n in zip(GROUPS, ends, self.sizes, strict=True)}

    @property
    def shown(self) -> slice:
        """Where the concepts lie that are learned, whether they are gone through in thought or not."""
        return slice(0, self.sizes[0] + self.sizes[1])

    def experience(self, n_passes: int, rng: np.random.Generator) -> list[Session]:
        """Return a stretch in which A goes with B, and one in which B goes with C.

        Parameters
        ----------
        n_passes : int
            How often everything is shown.
        rng : Generator
        """
        a, b, c = self.a[self.shown], self.b[self.shown], self.c[self.shown]
        situations = (held(a=a), known(b=b)), (held(b=b), known(c=c))
        return [Session.taught(shown, outcome, n_passes, rng) for shown, outcome in situations]

    def thoughts(
        self, arm: str, rng: np.random.Generator, n_repeats: int, *, b: np.ndarray, through: np.ndarray, direct: np.ndarray
    ) -> Session:
        """Return a round of thought over the concepts that are rehearsed, and looks at what A evokes, of all concepts.

        A is held, and what it has evoked at B, and through that at C, counts as what happens there; what it has evoked
        at B is held, and what that has evoked at C counts as what happens there.

        Parameters
        ----------
        arm : str
        rng : Generator
        n_repeats : int
            How often it is held.
        b, through, direct : array, shape (n_rehearsed, n_cells)
            What each A has evoked at B, and at C through that and directly.
        """
        n = len(b)
        order = thinking.repeated(2 * n, n_repeats, rng)
        exchanged = thinking.others(n, rng)
        c = {thinking.SHUFFLED: through[exchanged], thinking.SHAM: direct}.get(arm, through)
        first, second = known(b=b, c=c), known(c=through)
        if arm == thinking.MET:
            first, second = known(c=self.c[:n]), known(c=np.full_like(c, thinking.UNKNOWN))
        shown = np.vstack([held(a=self.a[:n]), held(b=b)])
        return Session(shown, np.vstack([first, second]), order, held(a=self.a), arm in thinking.QUIET)
