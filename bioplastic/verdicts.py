"""Verdicts on reach: what the summary of a recording says about spiking learners beside backprop.

```python
from bioplastic.recording import read
from bioplastic.verdicts import verdicts

for verdict in verdicts(read("reach.h5").summary):
    print(verdict)
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import xarray as xr

from bioplastic.statistics import Estimate, estimate

SCREENED = "error relay"
UNSCREENED = "error relay, unscreened"
BACKPROP = "backprop"

SUPPORTED = "supported"
REFUTED = "refuted"
NOT_DECIDED = "not decided"
OUTCOMES = (SUPPORTED, REFUTED, NOT_DECIDED)

MARGIN = 0.5
"""Hops. An interval that holds 0 and stays within this margin shows no difference to speak of."""

MIN_SEEDS = 2
"""From one seed nothing is decided, as it has no spread."""

REACHES = {"frozen": "error_signal_reach", "learning": "reach"}
"""By arm, the variable of the summary that says how far upstream it gets."""


@dataclass(frozen=True)
class Verdict:
    """What the data say about one claim, for one learner in one arm.

    Attributes
    ----------
    claim : str
    learner : str
        The one that the claim is about.
    arm : {"frozen", "learning"}
    event_fraction : float or None
        None if the claim is about all of them.
    quantity : str
        What was estimated.
    value : Estimate
    outcome : {"supported", "refuted", "not decided"}
    note : str
        Why it could not be decided, or where the claim fails first; may be empty.
    """

    claim: str
    learner: str
    arm: str
    event_fraction: float | None
    quantity: str
    value: Estimate
    outcome: str
    note: str = ""

    def __str__(self) -> str:
        where = "" if self.event_fraction is None else f", event fraction {self.event_fraction:g}"
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.claim} ({self.learner}, weights {self.arm}{where}): {self.outcome}; "
            f"{self.quantity} {self.value}, {_seeds(self.value.n)}{note}"
        )


def _seeds(n: int) -> str:
    return f"{n} seed{'' if n == 1 else 's'}"


def decide(difference: Estimate, margin: float = MARGIN) -> str:
    """Decide whether a difference is above 0.

    Parameters
    ----------
    difference : Estimate
    margin : float
        An interval that holds 0 and stays within ``-margin`` to ``margin`` refutes.

    Returns
    -------
    {"supported", "refuted", "not decided"}
        Supported if the interval lies above 0; refuted if it lies below, or shows no difference to speak of.
    """
    if difference.n < MIN_SEEDS:
        return NOT_DECIDED
    if difference.low > 0:
        return SUPPORTED
    if difference.high < 0 or (-margin <= difference.low and difference.high <= margin):
        return REFUTED
    return NOT_DECIDED


def _too_few(n: int) -> str:
    return "" if n >= MIN_SEEDS else ("not measured", "one seed has no spread")[n]


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def grows_with_frequency(summary: xr.Dataset) -> list[Verdict]:
    """Claim: reach grows with event frequency. Each learner, each arm.

    Parameters
    ----------
    summary : Dataset
        Reach over learner, event fraction and seed.

    Returns
    -------
    list of Verdict
        On the difference of reach between the highest and the lowest event fraction, paired by seed.
    """
    low, high = (float(f(summary["event_fraction"])) for f in (np.min, np.max))
    found = []
    for arm, name in REACHES.items():
        for learner in summary["learner"].values:
            ends = [summary[name].sel(learner=learner, event_fraction=fraction).values for fraction in (low, high)]
            value = estimate(ends[1] - ends[0])
            outcome, note = decide(value), _too_few(value.n)
            if low == high:
                outcome, note = NOT_DECIDED, "there is only one event fraction"
            elif value.n and (np.array(ends) == summary["hop"].values[-1]).all():
                note = _joined(f"it reaches every hop at {low:g} already", note)
            quantity = f"hops at {high:g} less hops at {low:g}"
            claim = "reach grows with event frequency"
            found.append(Verdict(claim, str(learner), arm, None, quantity, value, outcome, note))
    return found


def reaches_every_hop_at_once(summary: xr.Dataset, learner: str = BACKPROP) -> Verdict:
    """Claim: a learner reaches every hop at the first occurrence, at every event frequency.

    Parameters
    ----------
    summary : Dataset
        Arrival and change over learner, event fraction, seed and hop.
    learner : str

    Returns
    -------
    Verdict
        On the share of hops, over all event fractions, that are reached at the first occurrence. Refuted if the
        interval lies below 1, supported if the share is 1 in every seed.
    """
    value, note = Estimate(np.nan, np.nan, np.nan, 0), f"the recording has no learner {learner!r}"
    if learner in summary["learner"].values:
        axes = ("event_fraction", "seed", "hop")
        arrival, change = (summary[name].sel(learner=learner).transpose(*axes) for name in ("arrival", "change"))
        # NaN means never reached, unless the condition was not run at all.
        ran = (change.notnull() | arrival.notnull()).any("hop")
        at_once = (arrival == 1).where(ran)
        value = estimate(at_once.mean(("event_fraction", "hop")).values)
        note = _too_few(value.n)
        missed = np.argwhere((at_once == 0).any("seed").values)
        if len(missed):
            at, hop = missed[0]
            fraction = summary["event_fraction"].values[at]
            note = _joined(note, f"at {fraction:g} hop {summary['hop'].values[hop]} is not reached at once")
    if value.n < MIN_SEEDS or (value.high == 1 and value.low < 1):
        outcome = NOT_DECIDED
    else:
        outcome = SUPPORTED if value.low == 1 else REFUTED
    claim = f"{learner} reaches every hop at the first occurrence, at every frequency"
    quantity = "share of hops reached at the first occurrence"
    return Verdict(claim, learner, "learning", None, quantity, value, outcome, note)


def reaches_less_far(summary: xr.Dataset, nearer: str, farther: str) -> list[Verdict]:
    """Claim: one learner reaches less far than another. Each event fraction, each arm.

    Parameters
    ----------
    summary : Dataset
        Reach over learner, event fraction and seed.
    nearer, farther : str
        The learners.

    Returns
    -------
    list of Verdict
        On the difference of reach, paired by seed.
    """
    absent = [learner for learner in (nearer, farther) if learner not in summary["learner"].values]
    found = []
    for arm, name in REACHES.items():
        for fraction in summary["event_fraction"].values:
            value, note = Estimate(np.nan, np.nan, np.nan, 0), f"the recording has no learner {''.join(absent[:1])!r}"
            if not absent:
                near, far = (
                    summary[name].sel(learner=one, event_fraction=fraction).values for one in (nearer, farther)
                )
                value = estimate(far - near)
                note = _too_few(value.n)
            claim, quantity = f"{nearer} reaches less far than {farther}", f"hops of {farther} less hops of {nearer}"
            found.append(Verdict(claim, nearer, arm, float(fraction), quantity, value, decide(value), note))
    return found


def verdicts(
    summary: xr.Dataset, *, screened: str = SCREENED, unscreened: str = UNSCREENED, backprop: str = BACKPROP
) -> list[Verdict]:
    """Judge all claims on reach by the numbers of a summary.

    Parameters
    ----------
    summary : Dataset
        Of the study of reach.
    screened, unscreened, backprop : str, optional
        Names of the learners that the claims are about.
    """
    return [
        *grows_with_frequency(summary),
        reaches_every_hop_at_once(summary, backprop),
        *reaches_less_far(summary, screened, backprop),
        *reaches_less_far(summary, screened, unscreened),
    ]


def sentences(found: Iterable[Verdict]) -> Iterator[str]:
    """Say verdicts in few words: a sentence for each claim.

    Parameters
    ----------
    found : iterable of Verdict
        Those on one claim stand together, and in it those of one arm.

    Yields
    ------
    str
        Learners, or event fractions, with the same estimate stand together, with a stroke between them.
    """
    for (claim, quantity), on_claim in groupby(found, key=lambda v: (v.claim, v.quantity)):
        arms = [f"Weights {arm}, {_by_outcome(list(group))}." for arm, group in groupby(on_claim, key=lambda v: v.arm)]
        yield f"{claim} ({quantity}). {' '.join(arms)}"


def _by_outcome(found: Sequence[Verdict]) -> str:
    parts: list[str] = []
    for outcome in OUTCOMES:
        alike: dict[str, list[str]] = {}
        for v in found:
            if v.outcome == outcome:
                who = v.learner if v.event_fraction is None else f"at {v.event_fraction:g}"
                alike.setdefault(f"{v.value} ({v.note})" if v.note else str(v.value), []).append(who)
        if alike:
            said = "; ".join(f"{' / '.join(who)} {value}" for value, who in alike.items())
            parts.append(f"{outcome.capitalize() if parts else outcome}: {said}")
    return ". ".join(parts)
