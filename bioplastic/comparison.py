"""Lives by several rules, side by side: how far change got, hop by hop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bioplastic import reach
from bioplastic.living import Lives
from bioplastic.recording import labelled
from bioplastic.statistics import spread
from bioplastic.study.measure import changes, hop_axis


def compare(lives: Mapping[str, Lives]) -> xr.Dataset:
    """Say how far change got in lives by several rules.

    Parameters
    ----------
    lives : mapping of str to Lives
        By the name of the learner; all of circuits with the same number of hops.

    Returns
    -------
    Dataset
        Over `learner` and `hop`: `change` of the weights against the sham life at the end, relative to the start and
        mean over replicates, with that of each replicate; its floor, the distance of two sham lives; and `reach`.

    Raises
    ------
    ValueError
        There is nothing to compare, or the circuits differ in their hops.
    """
    if not lives:
        raise ValueError("lives = {}; give at least one Lives, by the name of its learner.")
    hops = {name: one.circuit.n_hops for name, one in lives.items()}
    if len(set(hops.values())) > 1:
        raise ValueError(f"the circuits have {hops} hops; compare lives of circuits with the same number.")
    n_hops = next(iter(hops.values()))
    n_replicates = max(len(one.real) for one in lives.values())
    change = np.full((len(lives), n_replicates, n_hops), np.nan)
    floor, reached = np.zeros((len(lives), n_hops)), np.zeros(len(lives), int)
    for i, one in enumerate(lives.values()):
        start = one.life.weights
        real, sham = ([lived.weights for lived in all_lived] for all_lived in (one.real, one.sham))
        change[i, : len(real)] = changes(one.circuit, start, real, sham[: len(real)], real)["change"].values
        if len(sham) > 1:  # in spikes; in the twin two shams are the same
            floor[i] = spread(changes(one.circuit, start, sham[1:], sham[:-1], sham[1:])["change"].values)
        reached[i] = reach.reach(change[i, : len(one.real)].mean(0), floor[i])
    found = {
        "change": labelled(
            ("learner", "hop"),
            np.nanmean(change, axis=1),
            "relative change of the weights against the sham life, mean over replicates",
        ),
        "change_by_replicate": labelled(
            ("learner", "replicate", "hop"), change, "relative change of the weights against the sham life"
        ),
        "change_floor": labelled(
            ("learner", "hop"), floor, "relative change of the weights between two sham lives (sham floor)"
        ),
        "reach": labelled("learner", reached, "last hop the change reaches (-1: none)"),
    }
    return xr.Dataset(found, {"learner": list(lives), "hop": hop_axis(n_hops)})
