"""Paths through graphs: distances, connected parts, and what can be reached from where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

T = TypeVar("T")


def distances(joined: np.ndarray) -> np.ndarray:
    """Distances in the undirected graph of what is joined, shape (n, n); inf where there is no path."""
    found: np.ndarray = shortest_path(csr_array(joined.astype(float)), unweighted=True, directed=False)
    return found


def components(joined: np.ndarray) -> np.ndarray:
    """Label what hangs together in the undirected graph of what is joined, shape (n,)."""
    label: np.ndarray = connected_components(csr_array(joined.astype(float)), directed=False)[1]
    return label


def in_a_row(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances along a path of `a` and then one of `b`: the product of matrices with min for + and + for *."""
    return np.stack([(row[:, None] + b).min(0) for row in a]) if len(a) else a


def reachable(start: Iterable[T], onward: Callable[[T], Iterable[T]]) -> set[T]:
    """All that can be reached from `start`, itself included, where `onward` says what one step leads to."""
    found = set(start)
    pending = list(found)
    while pending:
        new = set(onward(pending.pop())) - found
        found |= new
        pending += new
    return found
