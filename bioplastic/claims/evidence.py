"""What is read of each recording for the ledger: from labelled arrays to rows, by the criteria of docs/claims.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from bioplastic import statistics
from bioplastic.claims.criterion import ACCURACY_MARGIN, HOP_MARGIN, SHARE_MARGIN, Condition, Row, Side
from bioplastic.recording import Recording
from bioplastic.verdicts import BACKPROP, SCREENED, UNSCREENED

RUNS = Path("data/runs")
"""Where the scripts put their recordings."""


class Measures:
    """Labelled arrays of a recording, picked by what their axes say.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self.dataset = dataset

    def labels(self, axis: str) -> list[Any]:
        """Values along an axis."""
        values: list[Any] = self.dataset[axis].values.tolist()
        return values

    def of(self, name: str, **where: Any) -> np.ndarray:
        """Return a measure at chosen places, the axis of the seeds first, the others in their order.

        Parameters
        ----------
        name : str
        **where : str or number
            Axis and the value along it.

        Raises
        ------
        KeyError
            There is no such measure, axis or value.
        """
        if name not in self.dataset:
            raise KeyError(f"there is no {name}")
        measure = self.dataset[name]
        for axis, wanted in where.items():
            if axis not in measure.dims:
                raise KeyError(f"{name} has no axis {axis}; it has {', '.join(map(str, measure.dims))}")
            labels = self.labels(axis)
            same = [v == wanted if isinstance(wanted, str) else bool(np.isclose(v, wanted)) for v in labels]
            if not any(same):
                raise KeyError(f"{name}: {axis} has no {wanted!r}; it has {', '.join(map(str, labels))}")
            measure = measure.isel({axis: same.index(True)})
        return np.asarray(measure.transpose("seed", ...).values, float)


def summary(recording: Recording) -> Measures:
    """What an experiment on reach sums up, without replay.

    Parameters
    ----------
    recording : Recording
    """
    dataset = recording.summary
    # Schema 1 had an axis for it, with one label.
    return Measures(dataset.sel(replay="off") if "replay" in dataset.dims else dataset)


def part(recording: Recording, name: str) -> Measures:
    """One of the parts that an experiment's summary has.

    Parameters
    ----------
    recording : Recording
    name : str
    """
    if (group := f"summary_{name}") in recording.groups:
        return Measures(recording[group])
    # Schema 1 had groups within the summary: the part's name stands in front of those of its variables.
    flat = recording.summary
    flat = flat[[variable for variable in flat.data_vars if str(variable).startswith(f"{name}_")]]
    names = {known: str(known).removeprefix(f"{name}_") for known in (*flat.variables, *flat.dims)}
    return Measures(flat.rename({known: short for known, short in names.items() if known != short}))


def exactly(what: str, values: np.ndarray, value: float) -> tuple[Condition, Condition]:
    """Return the conditions that all seeds have one value."""
    return Condition(what, values, ">=", value), Condition(what, values, "<=", value)


def reach_vs_frequency(recording: Recording) -> list[Row]:
    """Rows of the main job: claims 1 and 5."""
    found = summary(recording)
    fractions, hops = np.array(found.labels("event_fraction")), found.labels("hop")
    last = max(hops)

    def at_once(learner: str) -> np.ndarray:
        """Last hop that the first occurrence reaches, the lowest over event fractions."""
        arrival = found.of("arrival", learner=learner)  # seed, event fraction, hop
        return np.cumprod(arrival == 1, axis=-1).sum(-1).min(1) - 1.0

    def slope(learner: str, measure: str) -> np.ndarray:
        """Hops per factor of 10 in event fraction."""
        return statistics.slope(found.of(measure, learner=learner), np.log10(fractions))

    truncated = "backprop, truncated"
    cut = at_once(truncated)
    first = "last hop reached at the first occurrence, the lowest over event fractions"
    rows = [
        Row(
            1,
            BACKPROP,
            (Condition(f"{first} (hops)", at_once(BACKPROP), ">=", last),),
            (Condition(f"{first} (hops)", at_once(BACKPROP), "<", last - 1),),
            exactly("the same, backprop cut after hop 3", cut, 3),
        )
    ]
    arms = (("weights frozen", "error_signal_reach"), ("weights learning", "reach"))
    for learner, (arm, measure) in product((SCREENED, TRUNCATED_INFERENCE), arms):
        rows.append(
            Row(
                5,
                f"{learner}, {arm}",
                (Condition("slope of reach (hops per factor 10 in frequency)", slope(learner, measure), ">", 0),),
                controls=exactly("the same slope, backprop", slope(BACKPROP, measure), 0),
            )
        )
    return rows


SPIKING_RULES = (
    SCREENED,
    "error relay, radius 2",
    "fixed random feedback",
    "learned feedback",
    "equilibrium relay",
)
"""Local and screened, in spikes."""
TRUNCATED_INFERENCE = "predictive coding, 3 steps"
"""Local and screened by its few steps, in rates."""


def cascade(recording: Recording) -> list[Row]:
    """Rows of the cascade: claims 2, 3 and 4."""
    found = summary(recording)
    fractions = found.labels("event_fraction")
    rare, often = min(fractions), max(fractions)
    n_hops = len(found.labels("hop"))

    def arrivals(learner: str, fraction: float) -> np.ndarray:
        """Occurrence at which each hop is first reached, shape (n_seeds, n_hops)."""
        return found.of("arrival", learner=learner, event_fraction=fraction)

    def share_at_once(learner: str) -> np.ndarray:
        """Fraction of all hops that the first occurrence changes at all; NaN where nothing ever changed."""
        changed = found.of("arrival_exact", learner=learner, event_fraction=rare)
        return np.where(np.isfinite(changed).any(1), (changed == 1).sum(1) / n_hops, np.nan)

    def influence(learner: str, side: Side) -> Condition:
        """From how far away an update can be influenced in one time step, by the audit."""
        audited = found.of("audit_hops", learner=learner)
        return Condition(f"audit: hops from which an update hears in one time step, {learner}", audited, side, 1)

    def screening(rule: str, unscreened: str | None = None, *, own: bool = False) -> Row:
        """Row of claim 2: a screened rule, with the unscreened one as its control if there is one."""
        share, what = share_at_once(rule), "share of hops that the first occurrence changes at all"
        asked, controls = [Condition(what, share, "<", 0.5)], []
        if rule != TRUNCATED_INFERENCE:  # no Brian2 network, so there is nothing to audit
            asked.append(influence(rule, "<="))
            controls.append(influence("broadcast", ">"))
        if unscreened is not None:
            controls.append(Condition(f"the same share, {unscreened}", share_at_once(unscreened), ">=", 1))
        return Row(2, rule, tuple(asked), (Condition(what, share, ">=", 1),), tuple(controls), own=own)

    screened = (*SPIKING_RULES, TRUNCATED_INFERENCE)
    rows = [screening(rule, f"{UNSCREENED}, fine" if rule == SCREENED else None) for rule in screened]
    rows.append(screening(SCREENED, UNSCREENED, own=True))
    for rule in SPIKING_RULES:
        mismatch = found.of("mismatch_before", learner=rule, event_fraction=rare)
        for own, beyond, text in ((False, 0, "every hop"), (True, 1, "hops beyond the error source")):
            highest = np.nanmax(mismatch[:, beyond:], axis=1)
            what = f"highest mismatch over {text} (spikes per cell and background event)"
            rows.append(
                Row(
                    3,
                    rule,
                    (Condition(what, highest, "<", 0.1),),
                    (Condition(what, highest, ">", 0.5),),
                    own=own,
                )
            )
    at_once = arrivals(BACKPROP, often)
    control = Condition("backprop: occurrences from the first hop to the last", np.ptp(at_once, axis=1), "<=", 0)
    for rule in screened:
        arrival = arrivals(rule, often)
        rows.append(
            Row(
                4,
                rule,
                (
                    Condition(
                        "rank correlation of arrival with hop, every event rare",
                        np.array([order_of(a) for a in arrival]),
                        ">",
                        0.5,
                    ),
                    Condition(
                        "occurrences from the first hop's arrival to the last's",
                        np.nanmax(arrival, axis=1) - np.nanmin(arrival, axis=1),
                        ">=",
                        2,
                    ),
                ),
                controls=(control,),
            )
        )
    return rows


def order_of(arrival: np.ndarray) -> float:
    """Rank correlation of arrival with hop, over the hops that are reached; 0 where all arrive at once.

    Parameters
    ----------
    arrival : array, shape (n_hops,)
        Occurrence; NaN where never.
    """
    reached = np.flatnonzero(np.isfinite(arrival))
    if len(reached) < 2:
        return float("nan")
    if np.ptp(arrival[reached]) == 0:
        return 0.0
    return float(stats.spearmanr(reached, arrival[reached]).statistic)


def one_time_event(recording: Recording) -> list[Row]:
    """Rows of the one-time event: claim 6."""
    found = Measures(recording.summary)
    saliences = found.labels("salience")
    last = {arm: found.of("reach", arm=arm) for arm in found.labels("arm")}
    along = {arm: found.of("reach_along", arm=arm) for arm in last}
    day = {salience: found.of("reach_day", salience=salience) for salience in (min(saliences), max(saliences))}
    controls = tuple(
        Condition(f"hops changed as by real events, {arm}, less with replay", along[arm] - along["replay"], "<", 0)
        for arm in ("shuffled outcomes", "stimulus alone", "memory deleted")
    )
    as_many = along["replay"] - along["real, after the same day"]
    controls += (Condition("the same, with replay less with as many real events", as_many, ">=", -HOP_MARGIN),)
    gain = last["replay"] - last["no replay"]
    what = "last hop after a night of replay, less without replay (hops)"
    held = day[max(saliences)] - day[min(saliences)]
    deep = "last hop at the end of the day, held, less not held (hops)"
    return [
        Row(
            6,
            f"{SCREENED}, hippocampus",
            (Condition(what, gain, ">=", HOP_MARGIN),),
            (Condition(what, gain, "<", HOP_MARGIN),),
            controls,
        ),
        Row(
            6,
            f"{SCREENED}, hippocampus",
            (Condition(deep, held, ">=", HOP_MARGIN),),
            (Condition(deep, held, "<", HOP_MARGIN),),
            own=True,
        ),
    ]


def data_efficiency(recording: Recording) -> list[Row]:
    """Rows of data efficiency: claim 7."""
    rows = []
    for group, sampling, text in (
        ("all_digits", "uniform", "all digits"),
        ("the_9", "prioritised", "the 9"),
        ("the_9_far_hops_only", "prioritised", "the 9, far hops only"),
    ):
        found = part(recording, group)
        kinds = [label for label in found.labels("replay") if label.startswith(sampling)]
        kind = min(kinds, key=lambda label: int(label.split()[-1]))  # "uniform, 1": as few replays as were lived

        def mean_score(learner: str, replay: str, found: Measures = found) -> np.ndarray:
            """Mean over looks, the one before the life left out."""
            return found.of("score", learner=learner, replay=replay)[:, 1:].mean(1)

        local = mean_score(SCREENED, kind)
        against = (("off", "without replay", group == "the_9_far_hops_only"), (kind, "with the same replays", True))
        for replay, how, own in against:
            what = f"accuracy, {text}, mean over looks, less that of backprop {how}"
            ahead = Condition(what, local - mean_score(BACKPROP, replay), ">", 0)
            rows.append(Row(7, f"{SCREENED}, replays per event: {kind}", (ahead,), own=own))
    return rows


def frequency_and_salience(recording: Recording) -> list[Row]:
    """Rows of the map over frequency and salience: claim 12."""
    rows = []
    screened = (*SPIKING_RULES, TRUNCATED_INFERENCE)
    for arm in ("frozen", "learning"):
        found = part(recording, arm)
        frequency, salience = (np.log2(found.labels(axis)) for axis in ("event_fraction", "salience"))
        for rule in (name for name in found.labels("learner") if " x " not in name):  # at the rate that all share
            there = found.of("reach", learner=rule)  # seed, event fraction, salience
            explained = found.of("explained", learner=rule)
            predictor = found.labels("predictor")
            theory = explained[:, predictor.index("theory")]
            alone = explained[:, [predictor.index(name) for name in ("frequency", "salience")]].max(1)
            flat = np.ptp(there, axis=(1, 2)) == 0  # nothing varies that could be explained
            rows.append(
                Row(
                    12,
                    f"{rule}, weights {arm}",
                    (
                        Condition(
                            "hops per doubling of frequency, salience fixed",
                            statistics.slope(there, frequency, axis=1).mean(1),
                            ">",
                            0,
                        ),
                        Condition(
                            "hops per doubling of salience, frequency fixed",
                            statistics.slope(there, salience, axis=2).mean(1),
                            ">",
                            0,
                        ),
                        Condition(
                            "variance of reach explained by the theory's contours, less by the better one alone",
                            np.where(flat, 0, theory - alone),
                            ">",
                            0,
                        ),
                    ),
                    own=rule not in screened,
                )
            )
    return rows


def neglected_cue(recording: Recording) -> list[Row]:
    """Rows of the neglected cue: claim 5, and the opposite effect."""
    found = Measures(recording.summary)
    fractions, entries = found.labels("event_fraction"), np.array(found.labels("entry"))
    rare, often = min(fractions), max(fractions)
    far = entries >= len(found.labels("hop")) / 2
    rows = []
    for replay, own in (("off", False), ("replay", True)):
        how = "with replay" if own else "without replay"
        backprop = found.of("discrimination", learner=BACKPROP, replay=replay, event_fraction=rare)[:, far].mean(1)
        for rule in (SCREENED, "equilibrium relay", UNSCREENED):
            told = found.of("discrimination", learner=rule, replay=replay, event_fraction=rare)[:, far].mean(1)
            what = f"event told from background, cue half the chain or more upstream, rarest event, {how}"
            rows.append(
                Row(
                    5,
                    rule,
                    (Condition(f"{what}, less half of backprop's", told - backprop / 2, "<", 0),),
                    (Condition(f"{what}, less backprop's", told - backprop, ">=", 0),),
                    own=own or rule == UNSCREENED,
                )
            )
    for rule in (SCREENED, "equilibrium relay", UNSCREENED, BACKPROP):
        norm = [found.of("cue_norm_fixed", learner=rule, replay="off", event_fraction=f).mean(1) for f in (rare, often)]
        what = "cue weights changed by as many occurrences, rarest less commonest event, by the sum of both"
        share = np.divide(norm[0] - norm[1], norm[0] + norm[1], out=np.zeros(len(norm[0])), where=norm[0] + norm[1] > 0)
        rows.append(Row(5, rule, (Condition(what, share, ">", 0),), own=True))
    return rows


def belief_desire(recording: Recording) -> list[Row]:
    """Rows of belief, desire, intention and action: claim 9."""
    found = Measures(recording.summary)
    learners, exposures = found.labels("learner"), found.labels("exposure")
    rows = []

    def elsewhere(learner: str, exposure: str) -> np.ndarray:
        """Squared change of choices in other situations with the same belief or the same desire."""
        by = [
            found.of("behaviour_square", learner=learner, blamed="choice", exposure=exposure, situation=situation)
            for situation in ("same belief", "same desire")
        ]
        return np.mean(by, axis=0)

    values = [name not in ("execution", "action") for name in found.labels("group")]

    for rule in (x for x in learners if x != BACKPROP):
        for exposure in exposures:
            where = {"blamed": "choice", "exposure": exposure}
            share = [found.of("upstream_share", learner=x, **where) for x in (BACKPROP, rule)]
            less = share[0] - share[1]
            what = f"share of beliefs and desires in the change, disapproved {exposure}, policy gradient less this"
            away = elsewhere(BACKPROP, exposure) - elsewhere(rule, exposure)
            upstream = Condition(what, less, ">=", SHARE_MARGIN)
            as_large = Condition(what, less, "<=", 0)
            squared = Condition("squared change of choices elsewhere, policy gradient less this", away, ">", 0)
            rows.append(Row(9, rule, (upstream, squared), (as_large,)))
            rows.append(Row(9, rule, (upstream,), (as_large,), own=True))
    for learner in learners:
        for exposure in exposures:
            change = [
                found.of("value_change", learner=learner, blamed=blamed, exposure=exposure)
                for blamed in ("choice", "execution")
            ]
            noise = found.of("change_floor", learner=learner, blamed="choice", exposure=exposure)[:, values].sum(1)
            what = f"change of values, disapproved {exposure}: of the choice less of the execution"
            control = Condition("change of values, less that between two sham runs", change[0] - noise, ">", 0)
            rows.append(
                Row(9, learner, (Condition(what, change[0] - change[1], ">", 0),), controls=(control,), own=True)
            )
    return rows


def coherence(recording: Recording) -> list[Row]:
    """Rows of coherence: claim 10."""
    found = Measures(recording.summary)
    after = max(found.labels("round"))
    others = {
        "loop, weights frozen": "weights frozen",
        "loop off": "the loop off",
        "loop, shuffled": "outcomes exchanged between items",
    }
    rows = []
    for measure, text in (("agreement", "each cell's mean over pairs left out"), ("agreement_plain", "as it is")):
        for learner in found.labels("learner"):

            def of(arm: str, at: float = after, learner: str = learner, measure: str = measure) -> np.ndarray:
                return found.of(measure, learner=learner, arm=arm, group="not rehearsed", round=at)

            loop = of("loop")
            what = f"correlation, {text}, after the loop, less"
            conditions = [Condition(f"{what} before", loop - of("loop", 0), ">=", SHARE_MARGIN)]
            conditions += [
                Condition(f"{what} with {name}", loop - of(arm), ">=", SHARE_MARGIN) for arm, name in others.items()
            ]
            frozen = Condition(f"{what} with weights frozen", loop - of("loop, weights frozen"), "<=", 0)
            rows.append(Row(10, learner, tuple(conditions), (frozen,), own=learner == BACKPROP))
    return rows


def continual_learning(recording: Recording) -> list[Row]:
    """Rows of continual learning: claim 8."""
    found = Measures(recording.summary)
    rows = []

    def of(name: str, learner: str, order: str = "blocks") -> np.ndarray:
        return found.of(name, learner=learner, order=order)

    by_order = of("forgetting", BACKPROP) - of("forgetting", BACKPROP, "interleaved")
    control = Condition("forgetting of backprop in blocks, less that of the same digits interleaved", by_order, ">", 0)
    for learner in (x for x in found.labels("learner") if x != BACKPROP):
        less = of("forgetting", BACKPROP) - of("forgetting", learner)
        forgets = "forgetting of backprop, less that of this learner"
        more = of("learned", learner) - of("learned", BACKPROP)
        beyond = of("kept", learner) - found.of("kept_of_dense", learner=learner)
        rows.append(
            Row(
                8,
                learner,
                (
                    Condition(forgets, less, ">=", ACCURACY_MARGIN),
                    Condition("accuracy on new tasks, less backprop's", more, ">=", -ACCURACY_MARGIN),
                ),
                (
                    Condition(forgets, less, "<", 0),
                    Condition(
                        "kept beyond what backprop keeps where it learns new tasks as well",
                        beyond,
                        "<",
                        ACCURACY_MARGIN,
                    ),
                ),
                (control,),
                # Replay is another way to protect, and being told the topic is the control of gating.
                own="replay" in learner or "told" in learner,
            )
        )
    return rows


def self_report(recording: Recording) -> list[Row]:
    """Rows of the self-report: claim 11, and the two questions that the argument leaves open."""
    found = Measures(recording.summary)
    chance = min(found.labels("chance"))  # asker and state independent
    rows = []
    for learner in found.labels("learner"):
        asker, state = (
            found.of(f"information_{of}", learner=learner, chance=chance, mixture=0) for of in ("asker", "state")
        )
        decodable = found.of("decoded_before", learner=learner, population="s1")
        what = "report's information about the asker, less that about the state (bits)"
        rows.append(
            Row(
                11,
                learner,
                (Condition(what, asker - state, ">", 0),),
                controls=(
                    Condition(
                        "state decoded by a linear probe before any report is trained (share right)",
                        decodable,
                        ">=",
                        0.9,
                    ),
                ),
            )
        )
        consulted = [
            found.of("came_to_agree", learner=learner, outcome="what was reported", feedback=feedback)
            for feedback in ("own report", "report of another trial")
        ]
        what = "the state comes to agree with a report that is consulted, less with another trial's (share of trials)"
        rows.append(Row(11, learner, (Condition(what, consulted[0] - consulted[1], ">=", SHARE_MARGIN),), own=True))
        for told in found.labels("told"):
            lost = found.of("told_right", learner=learner, told=told)
            lost = lost - found.of("told_without_slack", learner=learner, told=told)
            what = f"slack serves accurate reports of the {told}: accuracy lost without it"
            rows.append(Row(11, learner, (Condition(what, lost, ">=", ACCURACY_MARGIN),), own=True))
    return rows


@dataclass(frozen=True)
class Evidence:
    """A recording that the ledger reads.

    Attributes
    ----------
    name : str
        Of the script, and of the recording without suffix.
    claims : tuple of int
        Numbers of the claims that it says something about.
    rows : callable
        From the recording to rows.
    options : str
        What the script needs beyond its name, for five seeds.
    """

    name: str
    claims: tuple[int, ...]
    rows: Callable[[Recording], list[Row]]
    options: str = ""

    def command(self, folder: Path = RUNS) -> str:
        """Return what makes the recording in a folder, by default where the scripts put it."""
        out = "" if folder == RUNS else f"--out {folder / self.name}.h5"
        return " ".join(filter(None, ("python", f"scripts/{self.name}.py", self.options, out)))


EVIDENCE: Mapping[str, Evidence] = {
    e.name: e
    for e in (
        Evidence("reach_vs_frequency", (1, 5), reach_vs_frequency, "--seeds 5"),
        Evidence("cascade", (2, 3, 4), cascade, "--seeds 5"),
        Evidence("neglected_cue", (5,), neglected_cue),
        Evidence("one_time_event", (6,), one_time_event),
        Evidence("data_efficiency", (7,), data_efficiency),
        Evidence("continual_learning", (8,), continual_learning),
        Evidence("belief_desire", (9,), belief_desire),
        Evidence("coherence", (10,), coherence),
        Evidence("self_report", (11,), self_report),
        Evidence("frequency_and_salience", (12,), frequency_and_salience),
    )
}
