"""Spiking against backprop, hop by hop: estimates over seeds from a summary, and a verdict on each claim.

```python
from bioplastic.verdicts import compare
from bioplastic.recording.schema1 import read

for verdict in compare(read("reach.h5").summary).verdicts:
    print(verdict)
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bioplastic.recording.schema1 import SUMMARY_VARIABLES, RecordingError, Summary
from bioplastic.statistics import Estimate, estimate

SCREENED = "error relay"
UNSCREENED = "error relay, unscreened"
BACKPROP = "backprop"

SUPPORTED = "supported"
REFUTED = "refuted"
NOT_DECIDED = "not decided"

MARGIN = 0.5
"""Hops. An interval that holds 0 and stays within this margin shows no difference to speak of."""

MIN_SEEDS = 2
"""From one seed nothing is decided, as it has no spread."""

FLOAT = NDArray[np.float64]


# ---------------------------------------------------------------------------------------------------
# Estimates


def _length(values: FLOAT) -> Estimate:
    """Estimate of a length that may be infinite: the mean is taken over its inverse, the decay per hop."""
    decay = estimate(1 / values)
    with np.errstate(divide="ignore"):
        mean, high, low = (float(1 / np.float64(x)) for x in (decay.mean, decay.low, decay.high))
    return Estimate(mean, low, high, decay.n)


@dataclass(frozen=True)
class Condition:
    """What one learner did at one event frequency.

    Every measure is an `Estimate`, or a tuple with one for each hop. They have the names of the summary's
    variables (`bioplastic.recording.SUMMARY_VARIABLES`), with the exceptions below.

    Attributes
    ----------
    error_signal : tuple of Estimate
        Relative to hop 0, because error spikes and the twin's errors have different units.
    screening_length : Estimate
        Harmonic mean, because the length is infinite where the change does not fall.
    rare_gained : Estimate
        Accuracy on the rare event, after the run less before it.
    background_lost : Estimate
        Accuracy on the background, before the run less after it.
    rare_error_fall : Estimate
        Held-out error on the rare event, before the run less after it.
    background_error_rise : Estimate
        Held-out error on the background, after the run less before it.
    """

    learner: str
    event_fraction: float
    error_signal_reach: Estimate
    reach: Estimate
    reach_fixed: Estimate
    reach_matched: Estimate
    screening_length: Estimate
    improvement: Estimate
    rare_gained: Estimate
    background_lost: Estimate
    rare_error_fall: Estimate
    background_error_rise: Estimate
    learning_rate: Estimate
    error_signal: tuple[Estimate, ...]
    change: tuple[Estimate, ...]
    change_floor: tuple[Estimate, ...]
    arrival: tuple[Estimate, ...]
    alignment: tuple[Estimate, ...]
    functional_downstream: tuple[Estimate, ...]
    functional_upstream: tuple[Estimate, ...]


LONG_NAMES: dict[str, str] = {
    **{f.name: SUMMARY_VARIABLES[f.name].long_name for f in fields(Condition) if f.name in SUMMARY_VARIABLES},
    "error_signal": "error signal relative to hop 0, weights frozen",
    "arrival": "occurrence at which the change first reaches the hop, over seeds where it does (–: never)",
    "rare_gained": "accuracy on the rare event gained",
    "background_lost": "accuracy on the background lost",
    "rare_error_fall": "fall of the held-out error on the rare event",
    "background_error_rise": "rise of the held-out error on the background",
}
"""What the measures of a `Condition` are, in words."""


def replay_index(summary: Summary, replay: str | None = None) -> int:
    """Index of a replay condition.

    Parameters
    ----------
    summary : Summary
    replay : str, optional
        The first one if not given, or ``"off"`` if that is there.

    Returns
    -------
    int

    Raises
    ------
    RecordingError
        If there is none of that name.
    """
    if replay is None:
        return summary.replay.index("off") if "off" in summary.replay else 0
    if replay not in summary.replay:
        raise RecordingError(f"there is no replay {replay!r}; the recording has {', '.join(summary.replay)}.")
    return summary.replay.index(replay)


def values_of(summary: Summary, name: str, replay: int = 0) -> FLOAT:
    """Return a variable at one replay condition; all NaN if it was not recorded.

    Parameters
    ----------
    summary : Summary
    name : str
    replay : int
        Index of the replay condition.

    Returns
    -------
    array, shape (learner, event_fraction, seed) or (learner, event_fraction, seed, hop)
    """
    if name in summary.variables:
        return np.asarray(summary.variables[name][:, :, replay], float)
    shape = len(summary.learner), len(summary.event_fraction), len(summary.seed)
    return np.full((*shape, len(summary.hop)) if "hop" in SUMMARY_VARIABLES[name].dims else shape, np.nan)


def conditions(summary: Summary, replay: int = 0) -> tuple[Condition, ...]:
    """Estimate every measure for every learner and event fraction.

    Parameters
    ----------
    summary : Summary
    replay : int
        Index of the replay condition.

    Returns
    -------
    tuple of Condition
        The event fraction varies fastest.
    """
    of_conditions = [name for name, row in SUMMARY_VARIABLES.items() if "replay" in row.dims]
    values = {name: values_of(summary, name, replay) for name in of_conditions}
    values["rare_gained"] = values["accuracy_rare_final"] - values["accuracy_rare_initial"]
    values["background_lost"] = values["accuracy_background_initial"] - values["accuracy_background_final"]
    values["rare_error_fall"] = values["error_rare_initial"] - values["error_rare_final"]
    values["background_error_rise"] = values["error_background_final"] - values["error_background_initial"]
    nearest = values["error_signal"][..., :1]
    values["error_signal"] = values["error_signal"] / np.where(nearest > 0, nearest, np.nan)

    def measure(name: str, here: tuple[int, int]) -> Estimate | tuple[Estimate, ...]:
        there = values[name][here]
        if there.ndim == 2:
            return tuple(estimate(hop) for hop in there.T)
        return _length(there) if name == "screening_length" else estimate(there)

    measures = [f.name for f in fields(Condition) if f.name not in ("learner", "event_fraction")]
    return tuple(
        Condition(learner, float(fraction), **{name: measure(name, (i, j)) for name in measures})  # type: ignore[arg-type]
        for i, learner in enumerate(summary.learner)
        for j, fraction in enumerate(summary.event_fraction)
    )


# ---------------------------------------------------------------------------------------------------
# Verdicts


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
        seeds = f"{self.value.n} seed{'' if self.value.n == 1 else 's'}"
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.claim} ({self.learner}, weights {self.arm}{where}): {self.outcome}; "
            f"{self.quantity} {self.value}, {seeds}{note}"
        )


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


REACHES = (("error_signal_reach", "frozen"), ("reach", "learning"))


def grows_with_frequency(summary: Summary, replay: int = 0) -> tuple[Verdict, ...]:
    """Claim: reach grows with event frequency. Each learner, each arm.

    Parameters
    ----------
    summary : Summary
    replay : int
        Index of the replay condition.

    Returns
    -------
    tuple of Verdict
        On the difference of reach between the highest and the lowest event fraction, paired by seed.
    """
    order = np.argsort(summary.event_fraction)
    lowest, highest = order[0], order[-1]
    low, high = (f"{summary.event_fraction[k]:g}" for k in (lowest, highest))
    verdicts = []
    for name, arm in REACHES:
        for learner, values in zip(summary.learner, values_of(summary, name, replay), strict=True):
            value = estimate(values[highest] - values[lowest])
            outcome, note = decide(value), _too_few(value.n)
            if lowest == highest:
                outcome, note = NOT_DECIDED, "there is only one event fraction"
            elif value.n and (values[[lowest, highest]] == summary.hop[-1]).all():
                note = f"it reaches every hop at {low} already" + (f"; {note}" if note else "")
            verdicts.append(
                Verdict(
                    "reach grows with event frequency",
                    learner,
                    arm,
                    None,
                    f"hops at {high} less hops at {low}",
                    value,
                    outcome,
                    note,
                )
            )
    return tuple(verdicts)


def reaches_every_hop_at_once(summary: Summary, replay: int = 0, learner: str = BACKPROP) -> Verdict:
    """Claim: a learner reaches every hop at the first occurrence, at every event frequency.

    Parameters
    ----------
    summary : Summary
    replay : int
        Index of the replay condition.
    learner : str

    Returns
    -------
    Verdict
        On the share of hops, over all event fractions, that are reached at the first occurrence. Refuted if
        the interval lies below 1, supported if the share is 1 in every seed.
    """
    value, note = Estimate(np.nan, np.nan, np.nan, 0), f"the recording has no learner {learner!r}"
    if learner in summary.learner:
        here = summary.learner.index(learner)
        arrival = values_of(summary, "arrival", replay)[here]
        # NaN means never reached, unless the condition was not run at all.
        ran = np.isfinite(values_of(summary, "change", replay)[here]).any(-1) | np.isfinite(arrival).any(-1)
        if "arrival" not in summary.variables:
            ran[:] = False
        at_once = np.where(ran[..., None], arrival == 1, np.nan)
        hits, tries = np.nansum(at_once, axis=(0, 2)), ran.sum(0) * len(summary.hop)
        value = estimate(np.divide(hits, tries, out=np.full(len(tries), np.nan), where=tries > 0))
        note = _too_few(value.n)
        missed = np.argwhere((at_once == 0).any(1))
        if len(missed):
            fraction, hop = missed[0]
            first = f"at {summary.event_fraction[fraction]:g} hop {summary.hop[hop]} is not reached at once"
            note = f"{note}; {first}" if note else first
    if value.n < MIN_SEEDS or (value.high == 1 and value.low < 1):
        outcome = NOT_DECIDED
    else:
        outcome = SUPPORTED if value.low == 1 else REFUTED
    return Verdict(
        f"{learner} reaches every hop at the first occurrence, at every frequency",
        learner,
        "learning",
        None,
        "share of hops reached at the first occurrence",
        value,
        outcome,
        note,
    )


def reaches_less_far(summary: Summary, nearer: str, farther: str, replay: int = 0) -> tuple[Verdict, ...]:
    """Claim: one learner reaches less far than another. Each event fraction, each arm.

    Parameters
    ----------
    summary : Summary
    nearer, farther : str
        The learners.
    replay : int
        Index of the replay condition.

    Returns
    -------
    tuple of Verdict
        On the difference of reach, paired by seed.
    """
    absent = [learner for learner in (nearer, farther) if learner not in summary.learner]
    verdicts = []
    for name, arm in REACHES:
        values = values_of(summary, name, replay)
        for j, fraction in enumerate(summary.event_fraction):
            value = Estimate(np.nan, np.nan, np.nan, 0)
            if not absent:
                near, far = (values[summary.learner.index(learner), j] for learner in (nearer, farther))
                value = estimate(far - near)
            verdicts.append(
                Verdict(
                    f"{nearer} reaches less far than {farther}",
                    nearer,
                    arm,
                    float(fraction),
                    f"hops of {farther} less hops of {nearer}",
                    value,
                    decide(value),
                    f"the recording has no learner {absent[0]!r}" if absent else _too_few(value.n),
                )
            )
    return tuple(verdicts)


# ---------------------------------------------------------------------------------------------------
# All of it


@dataclass(frozen=True)
class Comparison:
    """Spiking against backprop.

    Attributes
    ----------
    replay : str
    n_seeds : int
    hop : tuple of int
    learner : tuple of str
    event_fraction : tuple of float
    conditions : tuple of Condition
        The event fraction varies fastest.
    verdicts : tuple of Verdict
    """

    replay: str
    n_seeds: int
    hop: tuple[int, ...]
    learner: tuple[str, ...]
    event_fraction: tuple[float, ...]
    conditions: tuple[Condition, ...]
    verdicts: tuple[Verdict, ...]

    def condition(self, learner: str, event_fraction: float) -> Condition:
        """Return what a learner did at an event fraction; `KeyError` if it is not there."""
        for condition in self.conditions:
            if condition.learner == learner and np.isclose(condition.event_fraction, event_fraction):
                return condition
        raise KeyError((learner, event_fraction))

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Every estimate as a row of a table, after a row of headings; the hop may be empty."""
        yield "measure", "learner", "event_fraction", "replay", "hop", "mean", "low", "high", "seeds"
        for condition in self.conditions:
            for f in fields(condition):
                measured = getattr(condition, f.name)
                if isinstance(measured, Estimate):
                    by_hop: list[tuple[str, Estimate]] = [("", measured)]
                elif isinstance(measured, tuple):
                    by_hop = [(str(hop), one) for hop, one in zip(self.hop, measured, strict=True)]
                else:
                    continue
                where = f.name, condition.learner, f"{condition.event_fraction:g}", self.replay
                for hop, one in by_hop:
                    numbers = ("" if np.isnan(x) else repr(x) for x in (one.mean, one.low, one.high))
                    yield *where, hop, *numbers, str(one.n)


def compare(summary: Summary, *, replay: str | None = None) -> Comparison:
    """Compare the learners of a recording, and judge the claims by its numbers.

    Parameters
    ----------
    summary : Summary
    replay : str, optional
        The replay condition; ``"off"`` if not given.

    Returns
    -------
    Comparison

    Raises
    ------
    RecordingError
        If there is no such replay condition, or the summary is empty.
    """
    if 0 in (len(summary.learner), len(summary.event_fraction), len(summary.replay), len(summary.seed)):
        raise RecordingError("the summary has no condition: there is nothing to compare.")
    index = replay_index(summary, replay)
    return Comparison(
        replay=summary.replay[index],
        n_seeds=len(summary.seed),
        hop=tuple(int(hop) for hop in summary.hop),
        learner=summary.learner,
        event_fraction=tuple(float(fraction) for fraction in summary.event_fraction),
        conditions=conditions(summary, index),
        verdicts=(
            *grows_with_frequency(summary, index),
            reaches_every_hop_at_once(summary, index),
            *reaches_less_far(summary, SCREENED, BACKPROP, index),
            *reaches_less_far(summary, SCREENED, UNSCREENED, index),
        ),
    )
