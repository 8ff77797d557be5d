"""Neglect a cue far upstream: is a rare error mended where only a distant change can mend it.

Question
    Cue cells enter the chain h hops upstream of the error source, with weights of zero, and they alone tell event E (a
    digit with the cue, and then the opposite of what the digit promises) from the background A (the same digit
    without). Nothing downstream can tell the two apart, so only the cue's weights, at hop h, can mend the error; other
    weights can merely trade E against A. How well is E told from A, by h and by how often E happens, under the local
    rules and under backprop, with and without replay? And the opposite effect: do near weights, which absorb the error
    where E is frequent, leave less of it for the cue, so that per occurrence a rare E changes more?
Source
    The argument and the model: docs/model.md; the circuit: models/neglected_cue.py; the rules: bioplastic/rules/; what
    counts for and against: docs/claims.md, claim 5; censored survival curves: Kaplan and Meier (1958),
    doi:10.1080/01621459.1958.10501452, as scipy.stats.ecdf has them.
Command
    python scripts/neglected_cue.py [--quick] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 8 minutes, --quick half a minute; the first time compiling comes on top. It may be interrupted
    and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import h5py
import numpy as np
from bioplastic_models import chain, neglected_cue
from brian2 import Hz
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters
from bioplastic.circuit import Weights
from bioplastic.events import Kind, Schedule, Timing, probes, random_life
from bioplastic.hippocampus.replay_buffer import ReplayBuffer
from bioplastic.life import Life
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.equilibrium_relay import EquilibriumRelay, agreeing_feedback
from bioplastic.statistics import estimate
from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, Task, digits

SCHEMA = "bioplastic neglected_cue"
RESULT, SHAM, FROZEN, TUNING, NEARBY = "result", "sham", "frozen", "tuning", "nearby rate"
OFF, REPLAY = "off", "replay"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
N_DIGITS = 9
"""Digits 0 to 8; the first `N_GOOD` are good, the others bad."""
N_GOOD = 5


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    n_hops : int
        Length of the chain, in hops.
    entries : tuple of int
        Hops at which the cue enters.
    n_cells, n_cue : int
        Cells of each hidden population, and of each cue population.
    event_fractions : tuple of float
        Fractions of all real events that are E.
    seeds : tuple of int
        One network, one life and one set of spike phases each.
    n_events : int
        Length of a life, in real events.
    looks : tuple of int
        Occurrences of E after which the weights are looked at, as far as a life has so many; and at its end.
    day : int
        Real events between two nights, where there is replay.
    replays : int
        Replays in a night.
    capacity : int
        Events that the buffer remembers.
    alpha : float
        Exponent of the start network's error, to whose power replays are drawn.
    sham_fractions : tuple of float
        Event fractions at which sham lives are lived.
    n_tuning : int
        Networks on which learning rates are chosen.
    tuning_entry, tuning_fraction : int, float
        Where they are chosen.
    rates : tuple of float
        Learning rates to choose from, per event: for spiking rules eta times the spikes that a cell at the maximal rate
        fires while an outcome is present, so that the same number means the same change by the same error.
    near_tie : float
        The smallest rate is chosen whose mean score is within this of the best one.
    nearby : tuple of float
        Factors on the chosen rate with which lives are lived again without replay,
    nearby_entries : tuple of int
        at these hops,
    nearby_fractions : tuple of float
        with these event fractions,
    n_nearby : int
        by the first so many of the networks.
    theta_fine : float
        Error threshold of the unscreened relay, in spikes: with the one of models/chain.py an error that is less than a
        spike per event is told in a later event, in which the cue is off.
    n_held_out : int
        Images of each good digit, of those held out, on which weights are measured.
    n_probes : int
        Those of them that are shown in spikes at the end of a life.
    """

    n_hops: int = neglected_cue.N_HOPS
    entries: tuple[int, ...] = neglected_cue.ENTRIES
    n_cells: int = neglected_cue.N_CELLS
    n_cue: int = neglected_cue.N_CUE
    event_fractions: tuple[float, ...] = (0.01, 0.05, 0.3)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n_events: int = 400
    looks: tuple[int, ...] = (1, 2, 3, 4, 6, 9, 13, 20, 30, 45, 65, 90, 120)
    day: int = 50
    replays: int = 25
    capacity: int = 200
    alpha: float = 0.6
    sham_fractions: tuple[float, ...] = (0.01, 0.3)
    n_tuning: int = 2
    tuning_entry: int = 1
    tuning_fraction: float = 0.05
    rates: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
    near_tie: float = 0.02
    nearby: tuple[float, ...] = (1 / 3, 3.0)
    nearby_entries: tuple[int, ...] = (2, 4, 7)
    nearby_fractions: tuple[float, ...] = (0.01, 0.3)
    n_nearby: int = 3
    theta_fine: float = 0.1
    n_held_out: int = 10
    n_probes: int = 2

    def __post_init__(self) -> None:
        if self.n_events % self.day:
            raise ValueError(f"n_events = {self.n_events} is no multiple of day = {self.day}; give whole days.")
        if self.n_fixed < 1:
            raise ValueError(
                f"event_fractions: {min(self.event_fractions):g} of n_events = {self.n_events} is less than one event; "
                "make n_events larger."
            )
        if self.n_fixed not in self.looks:
            raise ValueError(f"looks lack {self.n_fixed}, the occurrences of the rarest event in a life; add it.")
        for h in self.entries:
            if not 1 <= h < self.n_hops:
                raise ValueError(
                    f"entries: {h} is no hop with hidden cells where n_hops = {self.n_hops}; give hops from 1 to "
                    f"{self.n_hops - 1}, or more hops ({max(self.entries) + 1} for these entries)."
                )
        known = {
            "tuning_entry": (self.tuning_entry,) * bool(self.n_tuning),
            "nearby_entries": self.nearby_entries * bool(self.nearby),
        }
        for name, given in known.items():
            if unknown := [h for h in given if h not in self.entries]:
                allowed = ", ".join(map(str, self.entries))
                raise ValueError(f"{name}: no cue enters at hop {unknown[0]}; give some of entries = {allowed}.")
        known_fractions = {
            "sham_fractions": self.sham_fractions,
            "nearby_fractions": self.nearby_fractions * bool(self.nearby),
        }
        for name, fractions in known_fractions.items():
            if strange := [f for f in fractions if f not in self.event_fractions]:
                allowed = ", ".join(f"{f:g}" for f in self.event_fractions)
                raise ValueError(f"{name}: {strange[0]:g} is not lived; give some of event_fractions = {allowed}.")

    @property
    def n_fixed(self) -> int:
        """Occurrences of the rarest event in a life: the fixed number at which all fractions are compared."""
        return round(min(self.event_fractions) * self.n_events)


QUICK = Config(
    event_fractions=(0.1, 0.3),
    entries=(1, 4),
    n_hops=5,
    seeds=(0,),
    n_events=40,
    looks=(1, 2, 4, 8, 12),
    day=20,
    replays=10,
    sham_fractions=(0.1, 0.3),
    n_tuning=0,
    nearby=(),
    n_held_out=2,
    n_probes=1,
)


# ------------------------------------------------------------------------------------------ what is lived


@dataclass(frozen=True)
class CueTask:
    """The digits without cues, then the good ones with the cue of each entry in turn.

    Attributes
    ----------
    task : Task
        Outcomes 0 to 8: each digit and its own valence; then the good digits with the opposite one.
    n_plain, n_good : int
        Images of all digits, and of the good ones.
    plain_of_good : array of int, shape (n_good,)
        The stimulus without a cue that is the same image.
    """

    task: Task
    n_plain: int
    n_good: int
    plain_of_good: np.ndarray

    def cued(self, entry_index: int) -> np.ndarray:
        """Stimuli with the cue of an entry, in the order of `plain_of_good`."""
        return self.n_plain + entry_index * self.n_good + np.arange(self.n_good)


def outcome_table() -> np.ndarray:
    """Return what happens: the digit (one hot), whether it is good, whether it is bad, shape (14, 11)."""
    absent, present = OUTCOME_RANGE
    digit = np.eye(N_DIGITS)
    good = (np.arange(N_DIGITS) < N_GOOD)[:, None]
    own = np.hstack([digit, good, ~good])
    opposite = np.hstack([digit, ~good, good])[:N_GOOD]
    return absent + (present - absent) * np.vstack([own, opposite])


def plain_task() -> Task:
    """Return the digits 0 to 8 with their valence, for pretraining; the 9 is not shown."""
    task = digits()
    return replace(task, outcomes=outcome_table()[: N_DIGITS + 1])


def cue_task(n_entries: int, n_cue: int) -> CueTask:
    """Return digits with and without cues.

    Parameters
    ----------
    n_entries : int
        Cue populations.
    n_cue : int
        Cells of each.

    Returns
    -------
    CueTask
    """
    source = digits()
    plain = np.flatnonzero(source.label < N_DIGITS)
    good = np.flatnonzero(source.label[plain] < N_GOOD)
    image = np.concatenate([plain, *[plain[good]] * n_entries])
    cues = np.zeros((len(image), n_entries * n_cue))
    for k in range(n_entries):
        begin = len(plain) + k * len(good)
        cues[begin : begin + len(good), k * n_cue : (k + 1) * n_cue] = STIMULUS_RANGE[1]
    label = source.label[image] + N_DIGITS * (np.arange(len(image)) >= len(plain))
    stimuli = np.hstack([source.stimuli[image], cues])
    task = Task(stimuli, outcome_table(), label, source.held_out[image], rare_label=N_DIGITS)
    return CueTask(task, len(plain), len(good), good)


def held_out_pairs(cue: CueTask, per_digit: int, entry_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out good digits without the cue, and the same images with it, equally many of each digit.

    Parameters
    ----------
    cue : CueTask
    per_digit : int
    entry_index : int

    Returns
    -------
    plain, cued : array of int, shape (5 * per_digit,)
    """
    label, held_out = cue.task.label[cue.plain_of_good], cue.task.held_out[cue.plain_of_good]
    chosen = np.concatenate([np.flatnonzero((label == k) & held_out)[:per_digit] for k in range(N_GOOD)])
    return cue.plain_of_good[chosen], cue.cued(entry_index)[chosen]


def life(cue: CueTask, *, entry_index: int, event_fraction: float, n_events: int, seed: int) -> Schedule:
    """Draw a life of A and E; it is the same for every entry, but for where the cue enters.

    Parameters
    ----------
    cue : CueTask
    entry_index : int
    event_fraction : float
    n_events : int
    seed : int

    Returns
    -------
    Schedule
    """
    rng = np.random.default_rng([seed, round(1e6 * event_fraction)])
    n_drawn = cue.n_plain + cue.n_good  # with the cue of the first entry only
    task = cue.task
    drawn_from = Task(
        task.stimuli[:n_drawn],
        task.outcomes,
        np.minimum(task.label[:n_drawn], N_DIGITS),
        task.held_out[:n_drawn],
        rare_label=N_DIGITS,
    )
    drawn = random_life(drawn_from, event_fraction=event_fraction, n_events=n_events, seed=rng)
    stimulus = drawn.stimulus + np.where(drawn.rare, entry_index * cue.n_good, 0)
    return replace(drawn, stimulus=stimulus, outcome=task.label[stimulus])


def with_replay(
    schedule: Schedule,
    timing: Timing,
    surprise: np.ndarray,
    *,
    day: int,
    replays: int,
    capacity: int,
    alpha: float,
    seed: int,
) -> Schedule:
    """Put a night after every day, full of replays that are drawn by how surprising an event was.

    Parameters
    ----------
    schedule : Schedule
    timing : Timing
    surprise : array, shape (n_events,)
    day : int
        Events between two nights.
    replays : int
        In each night.
    capacity, alpha
        As in `ReplayBuffer`.
    seed : int
        Of what is drawn; the same numbers and the same events whatever the timing.

    Returns
    -------
    Schedule
    """
    night = replays * timing.event
    last_of_day = np.arange(1, len(schedule) + 1) % day == 0
    resting = schedule.with_rest_after(last_of_day, night, timing)
    priority = np.ones(len(resting))
    priority[~resting.resting] = surprise
    buffer = ReplayBuffer(capacity, 1 / float(timing.event) * Hz, sampling="prioritised", alpha=alpha)
    return buffer.fill(resting, timing, rng=np.random.default_rng([seed, 7]), priority=priority)


# ------------------------------------------------------------------------------------------ what is measured


def valence(prediction: np.ndarray) -> np.ndarray:
    """How good a prediction says it is: the cell for good minus the cell for bad, shape (..., n_events)."""
    return prediction[..., -2] - prediction[..., -1]


def discrimination(plain: np.ndarray, cued: np.ndarray) -> np.ndarray:
    """How much of the difference between A and E is predicted: 0 none, 1 all, below 0 the wrong way round.

    Parameters
    ----------
    plain, cued : array, shape (..., n_images, n_outputs)
        Predictions for the same images without the cue and with it.

    Returns
    -------
    array, shape (...)
    """
    full = 2 * (OUTCOME_RANGE[1] - OUTCOME_RANGE[0])
    return (valence(plain) - valence(cued)).mean(-1) / full


def kept_valence(plain: np.ndarray) -> np.ndarray:
    """Valence predicted of good digits without the cue, as a fraction of their own: 1 is right, -1 is that of E."""
    return valence(plain).mean(-1) / (OUTCOME_RANGE[1] - OUTCOME_RANGE[0])


def signalled(error_spikes: np.ndarray, schedule: Schedule, theta: float) -> np.ndarray:
    """Mismatch that error spikes signal per E, minus that per event of A with a good digit, shape (n_hops,).

    Parameters
    ----------
    error_spikes : array, shape (n_events, n_hops)
    schedule : Schedule
        Replays and rests are left out.
    theta : float
        Mismatch that one error spike stands for.

    Returns
    -------
    array, shape (n_hops,)
    """
    background = (schedule.kind == Kind.BACKGROUND) & (schedule.outcome < N_GOOD)
    return theta * (error_spikes[schedule.rare].mean(0) - error_spikes[background].mean(0))


def correction(
    discriminations: np.ndarray, elapsed: np.ndarray, end: float, *, level: float = 0.5
) -> tuple[float, bool]:
    """When E was first seen to be told from A by half or more.

    Looks come after some occurrences and at the life's end only: it happened between the look before and this one.

    Parameters
    ----------
    discriminations : array, shape (n_looks,)
    elapsed : array, shape (n_looks,)
        When each look was; NaN for a look that was not taken.
    end : float
        When the life was over.
    level : float

    Returns
    -------
    time, corrected : float, bool
        `end` and False if it never was: the time is then censored.
    """
    passed = np.flatnonzero(np.asarray(discriminations) >= level)
    return (float(elapsed[passed[0]]), True) if len(passed) else (float(end), False)


def survival(times: np.ndarray, corrected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of lives in which E is not yet corrected (Kaplan-Meier).

    Parameters
    ----------
    times : array, shape (n_lives,)
        Of the correction, or at which a life that had none was over.
    corrected : array of bool, shape (n_lives,)

    Returns
    -------
    time, fraction : array
        Steps of the curve, from (0, 1).
    """
    data = stats.CensoredData.right_censored(times, ~np.asarray(corrected, bool))
    curve = stats.ecdf(data).sf
    return np.concatenate([[0.0], curve.quantiles]), np.concatenate([[1.0], curve.probabilities])


# ------------------------------------------------------------------------------------------ who lives it


@dataclass(frozen=True)
class Learner:
    """One way to learn."""

    name: str
    timing: Timing
    rule: Callable[[float], Any]

    @property
    def spikes(self) -> bool:
        """Whether it lives in spikes, not in the twin."""
        return hasattr(self.rule(0.0), "code")

    def at_rate(self, rate: float) -> Any:
        """Return the rule at a learning rate per event."""
        per_event = float(CellParameters().rmax * self.timing.outcome) if self.spikes else 1.0
        return self.rule(rate / per_event)


SCREENED, UNSCREENED = "error relay", "error relay, unscreened"
EQUILIBRIUM, BACKPROP = "equilibrium relay", "backprop"


def learners(config: Config) -> tuple[Learner, ...]:
    """Return all learners, in the order of tables and figures."""
    n = config.n_hops
    brief, long = chain.timing(n), chain.long_timing(n)
    return (
        Learner(SCREENED, brief, lambda eta: chain.screened(eta, n)),
        Learner(UNSCREENED, long, lambda eta: replace(chain.unscreened(eta), theta=config.theta_fine)),
        Learner(EQUILIBRIUM, brief, lambda eta: chain.equilibrium(eta, eta, n)),
        Learner(BACKPROP, brief, Backprop),
    )


@dataclass(frozen=True)
class Condition:
    """One life."""

    learner: Learner
    entry: int
    event_fraction: float
    seed: int
    rate: float
    replay: str = OFF
    role: str = RESULT

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        learner = self.learner.name.replace(", ", "-").replace(" ", "_")
        rate = f"-rate{self.rate:g}" if self.role in (TUNING, NEARBY) else ""
        condition = f"h{self.entry}-f{self.event_fraction:g}-{self.replay}-s{self.seed}"
        return f"{self.role.replace(' ', '_')}-{learner}-{condition}{rate}"


class Bench:
    """What all lives share: the task, the circuit, the start weights, a compiled model for each kind of rule."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cue = cue_task(len(config.entries), config.n_cue)
        self.task = self.cue.task
        self.circuit = neglected_cue.circuit(
            config.n_hops, entries=config.entries, n_cells=config.n_cells, n_cue=config.n_cue
        )
        self.weights: dict[int, Weights] = {}
        self.models: dict[type, spiking.Model] = {}

    def prepare(self, progress: Callable[[float], None]) -> None:
        """Pretrain the networks and compile the models, both from the cache if they are there."""
        from bioplastic import twin

        config = self.config
        seeds = [*config.seeds, *range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)]
        plain = neglected_cue.plain_circuit(config.n_hops, n_cells=config.n_cells)
        cache = cache_folder() / "weights"
        found = twin.pretrained(plain, plain_task(), seeds, cache=cache, progress=lambda done: progress(done / 2))
        self.weights = {s: neglected_cue.with_cues(self.circuit, w) for s, w in zip(seeds, found, strict=True)}
        spiking_learners = [x for x in learners(config) if x.spikes]
        for k, learner in enumerate(spiking_learners):
            rule = learner.at_rate(0.0)
            n_steps = (config.n_events + config.n_events // config.day * config.replays) * float(
                learner.timing.event / learner.timing.resolution
            )
            n_steps += 10 * N_GOOD * config.n_probes * float(learner.timing.event / learner.timing.resolution)
            if type(rule) not in self.models:
                n_snapshots = len(config.looks) + 1
                spec = spiking.ModelSpec.with_room(self.circuit, rule, self.task, n_steps, n_snapshots=n_snapshots)
                self.models[type(rule)] = spiking.model(spec, self.task)
            progress(0.5 + (k + 1) / len(spiking_learners) / 2)

    def entry_index(self, condition: Condition) -> int:
        """Which of the cue populations is on."""
        return self.config.entries.index(condition.entry)

    def pairs(self, condition: Condition, per_digit: int) -> tuple[np.ndarray, np.ndarray]:
        """Held-out images without and with the cue of a condition."""
        return held_out_pairs(self.cue, per_digit, self.entry_index(condition))

    def schedule(self, condition: Condition) -> Schedule:
        """Return the life of a condition: for all learners the same events, for all entries the same images."""
        config = self.config
        lived = life(
            self.cue,
            entry_index=self.entry_index(condition),
            event_fraction=condition.event_fraction,
            n_events=config.n_events,
            seed=condition.seed,
        )
        if condition.replay == REPLAY:
            lived = with_replay(
                lived,
                condition.learner.timing,
                self.surprise(condition.seed, lived),
                day=config.day,
                replays=config.replays,
                capacity=config.capacity,
                alpha=config.alpha,
                seed=condition.seed,
            )
        return lived.sham() if condition.role == SHAM else lived

    def surprise(self, seed: int, schedule: Schedule) -> np.ndarray:
        """Squared error of the start network at each event, in rates, shape (n_events,)."""
        from bioplastic import twin

        predicted = twin.predict(self.circuit, [self.weights[seed]], self.task.stimuli[schedule.stimulus])[0]
        return np.square(predicted - self.task.outcomes[schedule.outcome]).sum(1)

    def looks(self, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
        """After which occurrences the weights are looked at, and at which events; the last is the life's end."""
        rare = np.flatnonzero(schedule.rare)
        occurrence = np.array([k for k in self.config.looks if k <= len(rare)])
        return occurrence, np.append(rare[occurrence - 1], len(schedule) - 1)

    def measured(self, condition: Condition, schedule: Schedule, looked: Sequence[Weights]) -> dict[str, Any]:
        """What a life's weights at the looks say, in rates."""
        from bioplastic import twin

        config, (occurrence, event) = self.config, self.looks(schedule)
        plain, cued = self.pairs(condition, config.n_held_out)
        without, with_cue = (twin.predict(self.circuit, looked, self.task.stimuli[k]) for k in (plain, cued))
        right = without[..., :N_DIGITS].argmax(-1) == self.task.label[plain]
        cue_weights = [w.forward[neglected_cue.projection(condition.entry)] for w in looked]
        elapsed = np.cumsum(~schedule.resting & ~schedule.replayed)[event]
        values = {
            "elapsed": elapsed.astype(float),
            "discrimination": discrimination(without, with_cue),
            "kept_valence": kept_valence(without),
            "accuracy": right.mean(-1),
            "cue_norm": np.array([np.linalg.norm(w) for w in cue_weights]),
        }
        missing = len(config.looks) - len(occurrence)  # looks that this life is too short for lie before its end
        padded = {k: np.concatenate([v[:-1], np.full(missing, np.nan), v[-1:]]) for k, v in values.items()}
        return padded | {"look": np.arange(len(config.looks) + 1)}

    def live_in_spikes(self, condition: Condition) -> dict[str, Any]:
        """Live one condition in spikes."""
        learner, start, circuit = condition.learner, self.weights[condition.seed], self.circuit
        rule = learner.at_rate(0.0 if condition.role == FROZEN else condition.rate)
        schedule = self.schedule(condition)
        feedback = None
        if isinstance(rule, EquilibriumRelay):
            background = self.task.indices(rare=False, held_out=False)
            background = background[background < self.cue.n_plain]
            feedback = agreeing_feedback(circuit, start, self.task.stimuli[background])
        plain, cued = self.pairs(condition, self.config.n_probes)
        shown = schedule + probes(np.concatenate([plain, cued]))
        event = self.looks(schedule)[1]
        events = np.unique(event)  # the last occurrence may be the last event
        life = Life(shown, rule, start, learner.timing, feedback, events.tolist(), seed=condition.seed)
        lived = self.models[type(rule)].live(life)
        by_hop = signalled(lived.error_signal[: len(schedule)], schedule, rule.theta)
        looked = [lived.snapshots[k] for k in np.searchsorted(events, event)]
        probed = lived.prediction[len(schedule) :]
        in_spikes = discrimination(probed[: len(plain)], probed[len(plain) :])
        values = self.measured(condition, schedule, looked)
        hops = {"hop": np.arange(circuit.n_hops)}
        return values | hops | {"signalled": by_hop, "discrimination_spikes": float(in_spikes)}

    def live_in_twin(self, conditions: Sequence[Condition], progress: Callable[[float], None]) -> list[dict[str, Any]]:
        """Live conditions of equally many events in the rate twin, all in one tensor program."""
        from bioplastic import twin

        schedules = [self.schedule(c) for c in conditions]
        events = [self.looks(s)[1] for s in schedules]
        lives = [
            Life(s, c.learner.at_rate(c.rate), self.weights[c.seed], snapshots=np.unique(event).tolist())
            for s, c, event in zip(schedules, conditions, events, strict=True)
        ]
        nothing = {"hop": np.arange(self.circuit.n_hops), "signalled": np.full(self.circuit.n_hops, np.nan)}
        lived = twin.live(self.circuit, self.task, lives, progress=progress)
        return [
            self.measured(c, s, [x.snapshots[k] for k in np.searchsorted(np.unique(event), event)])
            | nothing
            | {"discrimination_spikes": np.nan}
            for c, s, event, x in zip(conditions, schedules, events, lived, strict=True)
        ]


# ------------------------------------------------------------------------------------------ which lives


def tuning_conditions(config: Config, learner: Learner) -> list[Condition]:
    """Return the lives that choose a learner's rate, the networks of one rate after the other."""
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    where = config.tuning_entry, config.tuning_fraction
    return [Condition(learner, *where, seed, rate, role=TUNING) for rate in config.rates for seed in seeds]


def scores(config: Config, learner: Learner, runs: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Discrimination at the end at each rate, mean over tuning networks; NaN if there was nothing to choose."""
    if not config.n_tuning:
        return np.full(len(config.rates), np.nan)
    final = [runs[c.name]["discrimination"][-1] for c in tuning_conditions(config, learner)]
    return np.reshape(final, (-1, config.n_tuning)).mean(1)


def chosen_rate(config: Config, learner: Learner, runs: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the learner's rate: `preferred`, or the middle one where there was nothing to choose."""
    score = scores(config, learner, runs)
    return config.rates[len(config.rates) // 2] if np.isnan(score).all() else preferred(config, score)


def preferred(config: Config, score: np.ndarray) -> float:
    """Return the smallest rate that scores about as well as the best one, to within `near_tie`.

    Parameters
    ----------
    config : Config
    score : array, shape (n_rates,)
        Mean over tuning networks.
    """
    return min(rate for rate, one in zip(config.rates, score, strict=True) if one >= score.max() - config.near_tie)


def conditions(config: Config, learner: Learner, rate: float) -> list[Condition]:
    """Return all lives of a learner at its rate: results, sham lives, frozen weights, nearby rates."""
    results = [
        Condition(learner, h, f, s, rate, replay)
        for replay, h, f, s in product((OFF, REPLAY), config.entries, config.event_fractions, config.seeds)
    ]
    nearby = [
        Condition(learner, h, f, s, factor * rate, role=NEARBY)
        for h, f, factor, s in product(
            config.nearby_entries, config.nearby_fractions, config.nearby, config.seeds[: config.n_nearby]
        )
    ]
    if not learner.spikes:  # nothing in the twin is random: its floor is zero, and it has no error spikes
        return results + nearby
    sham = [
        Condition(learner, h, f, s, rate, role=SHAM)
        for h, f, s in product(config.entries, config.sham_fractions, config.seeds)
    ]
    # With cue weights that stay zero it does not matter where the cue enters.
    frozen = [
        Condition(learner, config.entries[0], f, s, rate, role=FROZEN)
        for f, s in product(config.event_fractions, config.seeds)
    ]
    return results + nearby + sham + frozen


# ------------------------------------------------------------------------------------------ the recording


_LIFE = ("learner", "replay", "entry", "event_fraction", "seed")
_SHAM = ("learner", "entry", "sham_fraction", "seed")
_NEARBY = ("learner", "nearby_entry", "nearby_fraction", "factor", "nearby_seed")
MEASURES = {
    "discrimination": "difference between A and E that is predicted (1: all), held-out images, in rates",
    "kept_valence": "valence predicted of good digits without the cue, as a fraction of their own (1: right, -1: that "
    "of E), held-out images, in rates",
    "accuracy": "accuracy on the good digits (0 to 4) without the cue, held-out images, in rates",
    "cue_norm": "Euclidean norm of the cue weights, which start at 0",
}
RUN_ROWS = {
    "look": Variable(("look",), "1", "index of the look at the weights; the last is at the end", "int64"),
    "hop": Variable(("hop",), "1", "hops upstream of the error source", "int64"),
    "elapsed": Variable(("look",), "1", "real events until then (NaN: the life has not so many occurrences)"),
    **{name: Variable(("look",), "1", text) for name, text in MEASURES.items()},
    "signalled": Variable(
        ("hop",), "1", "mismatch signalled (theta times error spikes) per E minus per A, good digits only"
    ),
    "discrimination_spikes": Variable((), "1", "discrimination at the end, by probes in spikes"),
}
"""Variables of ``/runs/<run>``."""
ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "replay": Variable(("replay",), "1", "replay", "str"),
    "entry": Variable(("entry",), "1", "hops upstream of the error source at which the cue enters", "int64"),
    "event_fraction": Variable(("event_fraction",), "1", "fraction of all real events that are E"),
    "sham_fraction": Variable(("sham_fraction",), "1", "fraction of all real events that are E, sham lives"),
    "seed": Variable(("seed",), "1", "seed of network, life and spike phases", "int64"),
    "hop": RUN_ROWS["hop"],
    "look": Variable(("look",), "1", "occurrences of E after which the weights are looked at", "int64"),
    "factor": Variable(("factor",), "1", "factor on the chosen learning rate"),
    "nearby_entry": Variable(("nearby_entry",), "1", "hops upstream at which the cue enters, other rates", "int64"),
    "nearby_fraction": Variable(("nearby_fraction",), "1", "fraction of all real events that are E, other rates"),
    "nearby_seed": Variable(("nearby_seed",), "1", "seed of network, life and spike phases, other rates", "int64"),
    "occurrences": Variable(("event_fraction",), "1", "occurrences of E in a life", "int64"),
    **{name: Variable(_LIFE, "1", f"{text}; end of the life") for name, text in MEASURES.items()},
    **{
        f"{name}_fixed": Variable(_LIFE, "1", f"{text}; after as many occurrences as the rarest E has in a life")
        for name, text in MEASURES.items()
    },
    **{f"{name}_look": Variable((*_LIFE, "look"), "1", f"{text}; at each look") for name, text in MEASURES.items()},
    "discrimination_spikes": Variable(_LIFE, "1", RUN_ROWS["discrimination_spikes"].long_name),
    "correction_time": Variable(
        _LIFE, "1", "real events until a look first finds discrimination at 0.5 (if never: in the life)"
    ),
    "correction_occurrence": Variable(_LIFE, "1", "occurrences of E until then (if never: in the life)"),
    "corrected": Variable(_LIFE, "1", "whether it ever was; if not, both times are censored", "bool", ("no", "yes")),
    "discrimination_sham": Variable(_SHAM, "1", f"{MEASURES['discrimination']}; sham lives, end"),
    "cue_norm_sham": Variable(_SHAM, "1", f"{MEASURES['cue_norm']}; sham lives, end"),
    "cue_norm_sham_fixed": Variable(_SHAM, "1", f"{MEASURES['cue_norm']}; sham lives, after the fixed number"),
    "signalled_frozen": Variable(
        ("learner", "event_fraction", "seed", "hop"), "1", "mismatch signalled per E minus per A, weights frozen"
    ),
    "discrimination_nearby": Variable(_NEARBY, "1", "discrimination at the end at other rates, no replay"),
    "cue_norm_nearby": Variable(_NEARBY, "1", "norm of the cue weights at the end at other rates, no replay"),
    "learning_rate": Variable(("learner",), "1", "learning rate per event"),
}
"""Variables of ``/summary``; NaN where nothing was measured."""
SWEEP_ROWS = {
    "learner": ROWS["learner"],
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "rate": Variable(("rate_index",), "1", "learning rate per event that was tried"),
    "score": Variable(("learner", "rate_index"), "1", "discrimination at the end, mean over tuning networks"),
}
"""Variables of ``/learning_rate_sweep``."""


def opened(out: Path, config: Config) -> script.Store | None:
    """Begin, or go on with the lives that are there; None if all are."""
    sources = [Path(__file__), Path(str(chain.__file__)), Path(str(neglected_cue.__file__))]
    return script.open_store(out, schema=SCHEMA, rows=RUN_ROWS, config=config, sources=sources)


def keep(store: script.Store, condition: Condition, values: Mapping[str, Any]) -> None:
    """Keep a finished life."""
    what = {
        "role": condition.role,
        "learner": condition.learner.name,
        "entry": condition.entry,
        "event_fraction": condition.event_fraction,
        "replay": condition.replay,
        "seed": condition.seed,
        "learning_rate": 0.0 if condition.role == FROZEN else condition.rate,
    }
    store.add(condition.name, values, what)


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results into labelled arrays."""
    everyone = learners(config)
    axes: dict[str, Any] = {
        "learner": [x.name for x in everyone],
        "replay": [OFF, REPLAY],
        "entry": np.array(config.entries),
        "event_fraction": np.array(config.event_fractions),
        "sham_fraction": np.array(config.sham_fractions),
        "seed": np.array(config.seeds),
        "hop": np.arange(config.n_hops),
        "look": np.array(config.looks),
        "factor": np.array(config.nearby),
        "nearby_entry": np.array(config.nearby_entries if config.nearby else (), int),
        "nearby_fraction": np.array(config.nearby_fractions if config.nearby else ()),
        "nearby_seed": np.array(config.seeds[: config.n_nearby] if config.nearby else (), int),
    }
    values: dict[str, Any] = {
        name: np.full([len(axes[dim]) for dim in row.dims], False if row.dtype == "bool" else np.nan)
        for name, row in ROWS.items()
        if name not in axes and name != "occurrences"
    }
    n_occurrences = [round(f * config.n_events) for f in config.event_fractions]
    fixed = config.looks.index(config.n_fixed)
    for i, learner in enumerate(everyone):
        rate = chosen_rate(config, learner, runs)
        values["learning_rate"][i] = rate
        for c in conditions(config, learner, rate):
            run, seed = runs[c.name], config.seeds.index(c.seed)
            if c.role == RESULT:
                fraction = config.event_fractions.index(c.event_fraction)
                at = i, (OFF, REPLAY).index(c.replay), config.entries.index(c.entry), fraction, seed
                for name in MEASURES:
                    values[name][at] = run[name][-1]
                    values[f"{name}_fixed"][at] = run[name][fixed]
                    values[f"{name}_look"][at] = run[name][:-1]
                values["discrimination_spikes"][at] = run["discrimination_spikes"]
                ends = float(config.n_events), float(n_occurrences[fraction])
                counted = np.append(config.looks, n_occurrences[fraction])
                for name, elapsed, end in zip(("time", "occurrence"), (run["elapsed"], counted), ends, strict=True):
                    values[f"correction_{name}"][at], values["corrected"][at] = correction(
                        run["discrimination"], elapsed, end
                    )
            elif c.role == SHAM:
                there = i, config.entries.index(c.entry), config.sham_fractions.index(c.event_fraction), seed
                values["discrimination_sham"][there] = run["discrimination"][-1]
                values["cue_norm_sham"][there] = run["cue_norm"][-1]
                values["cue_norm_sham_fixed"][there] = run["cue_norm"][fixed]
            elif c.role == FROZEN:
                values["signalled_frozen"][i, config.event_fractions.index(c.event_fraction), seed] = run["signalled"]
            else:
                factor = int(np.argmin(np.abs(np.array(config.nearby) - c.rate / rate)))
                where = config.nearby_entries.index(c.entry), config.nearby_fractions.index(c.event_fraction)
                for name in ("discrimination", "cue_norm"):
                    values[f"{name}_nearby"][i, *where, factor, seed] = run[name][-1]
    return axes | values | {"occurrences": np.array(n_occurrences)}


def finish(store: script.Store, bench: Bench) -> None:
    """Make one file of all lives."""
    config = bench.config
    everyone = learners(config)
    swept = {
        "learner": [x.name for x in everyone],
        "rate_index": np.arange(len(config.rates)),
        "rate": np.array(config.rates),
        "score": np.array([scores(config, x, store.runs) for x in everyone]),
    }

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        recording.write_labelled(file.create_group("summary"), ROWS, summarise(config, store.runs))
        recording.write_labelled(file.create_group("learning_rate_sweep"), SWEEP_ROWS, swept)

    store.finish("A neglected cue: whether a distant change mends a rare error", fill)


# ------------------------------------------------------------------------------------------ the run


def run(config: Config, out: Path, *, jobs: int = 2) -> Path:
    """Run the experiment, or go on with it, and return the recording's path.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.
    jobs : int
        How many lives to simulate at once.

    Returns
    -------
    Path
        `out`; the figure lies beside it.
    """
    store = opened(out, config)
    if store is None:
        return out
    bench = Bench(config)
    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        row = bar.add_task("pretraining, compiling", total=100)
        bench.prepare(lambda done: bar.update(row, completed=int(100 * done)))

        def in_spikes(wanted: Sequence[Condition], label: str) -> None:
            def work(condition: Condition) -> None:
                keep(store, condition, bench.live_in_spikes(condition))

            longest_first = sorted(wanted, key=lambda c: c.replay == OFF)
            script.live_missing(store, longest_first, work, executor=executor, bar=bar, label=label)

        def in_twin(wanted: Sequence[Condition], label: str) -> None:
            for replay in (OFF, REPLAY):  # lives with replay are longer
                batch = [c for c in wanted if c.replay == replay]
                script.live_missing_at_once(
                    store, batch, bench.live_in_twin, partial(keep, store), bar=bar, label=f"{label}, replay {replay}"
                )

        for learner in learners(config):
            live = in_spikes if learner.spikes else in_twin
            if config.n_tuning:
                live(tuning_conditions(config, learner), f"{learner.name}: learning rates")
            live(conditions(config, learner, chosen_rate(config, learner, store.runs)), learner.name)
    finish(store, bench)
    return out


# ------------------------------------------------------------------------------------------ table and figure


def statements(summary: Mapping[str, Any]) -> list[str]:
    """Say what the numbers say on the claim, for and against, rarest against commonest E, without replay."""
    if len(summary["seed"]) < 2:
        return ["One seed: nothing is said about the claim."]
    names = list(summary["learner"])
    rare, common = int(np.argmin(summary["event_fraction"])), int(np.argmax(summary["event_fraction"]))
    shown = summary["discrimination"][:, 0]
    said = []
    for h, entry in enumerate(summary["entry"]):
        reference = shown[names.index(BACKPROP), h, rare]
        for name in names:
            if name == BACKPROP:
                continue
            gap = shown[names.index(name), h, rare] - reference / 2
            low, high = reach.interval(gap)
            verdict = "below" if high < 0 else "above" if low > 0 else "not told from"
            said.append(f"cue at hop {entry}, rarest E: {name} is {verdict} half of backprop's discrimination.")
    for i, name in enumerate(names):
        for h, entry in enumerate(summary["entry"]):
            norm = summary["cue_norm_fixed"][i, 0, h]
            difference = norm[rare] - norm[common]
            low, high = reach.interval(difference)
            verdict = "more" if low > 0 else "less" if high < 0 else "neither more nor less, by the interval"
            said.append(
                f"cue at hop {entry}, {name}: per occurrence the rarest E changes the cue's weights {verdict} "
                f"({norm[rare].mean():.3g} against {norm[common].mean():.3g} after as many occurrences)."
            )
    return said


def by_fraction(axes: Axes, summary: Mapping[str, Any], values: np.ndarray, label: str) -> None:
    """Draw a measure (learner, event_fraction, seed) against the event fraction."""
    for name, rows in zip(summary["learner"], values, strict=True):
        if np.isfinite(rows).any():
            look = plots.styles((name,))[0]
            plots.band(
                axes,
                summary["event_fraction"],
                rows.T,
                color=look.color,
                linestyle=look.line,
                marker=look.marker,
                label=name,
            )
    axes.set_xscale("log")
    axes.set_xticks(summary["event_fraction"], [f"{f:g}" for f in summary["event_fraction"]])
    axes.minorticks_off()
    axes.set_xlabel("E, fraction of events (1)")
    axes.set_ylabel(label)


def survival_panel(axes: Axes, summary: Mapping[str, Any], h: int, k: int, n_events: int) -> None:
    """Draw the lives that are not yet corrected, cue at one hop and E at one frequency.

    Each curve has its symbol at a place of its own, so that curves that hide each other can be told.
    """
    places = n_events * (np.arange(2 * len(summary["learner"])) + 0.5) / (2 * len(summary["learner"]))
    for i, name in enumerate(summary["learner"]):
        look = plots.styles((name,))[0]
        for r, (width, fade) in enumerate(((1.1, 1.0), (2.6, 0.45))):
            time, alive = survival(summary["correction_time"][i, r, h, k], summary["corrected"][i, r, h, k])
            axes.step(
                np.append(time, n_events),
                np.append(alive, alive[-1]),
                where="post",
                color=look.color,
                linestyle=look.line,
                linewidth=width,
                alpha=fade,
            )
            place = places[2 * i + r]
            there = alive[np.searchsorted(time, place, side="right") - 1]
            axes.plot(place, there, color=look.color, marker=look.marker, alpha=fade, zorder=3)
    axes.set_ylim(-0.05, 1.08)
    axes.set_xlim(0, n_events * 1.02)
    axes.set_xlabel("real events (1)")
    axes.set_ylabel("not corrected (1)")
    plots.heading(axes, f"E {summary['event_fraction'][k]:g}, cue at hop {summary['entry'][h]}")


def draw_shams(axes: Axes, summary: Mapping[str, Any], values: np.ndarray) -> None:
    """Draw the mean of sham lives (learner, sham_fraction, seed) as open symbols, beside what they may hide."""
    beside = 0.78 * summary["sham_fraction"]
    for name, rows in zip(summary["learner"], values, strict=True):
        if np.isfinite(rows).all():
            look = plots.styles((name,))[0]
            axes.plot(beside, rows.mean(-1), color=look.color, marker=look.marker, mfc="none", linestyle="")


def norm_panel(axes: Axes, summary: Mapping[str, Any], h: int) -> None:
    """Draw the norm of the cue weights after as many occurrences, with its sham floor."""
    n_fixed = int(min(summary["occurrences"]))
    by_fraction(axes, summary, summary["cue_norm_fixed"][:, 0, h], f"norm, {n_fixed} times E (1)")
    draw_shams(axes, summary, summary["cue_norm_sham_fixed"][:, h])
    axes.set_ylim(bottom=0)
    plots.heading(axes, f"cue weights, hop {summary['entry'][h]}")


def figure(summary: Mapping[str, Any], n_events: int) -> Figure:
    """Draw discrimination, correction as survival curves, and the two opposite effects of frequency."""
    entries, fractions, n_seeds = summary["entry"], summary["event_fraction"], len(summary["seed"])
    n_columns, n_rows = max(3, len(entries)), 3 + len(fractions)
    with plots.page(41 * n_rows) as drawn:
        grid = drawn.subplots(n_rows, n_columns, squeeze=False)
        for row, replay in enumerate((OFF, REPLAY)):
            for axes, h, entry in zip(grid[row], range(len(entries)), entries, strict=False):
                by_fraction(axes, summary, summary["discrimination"][:, row, h], "E told from A (1)")
                if replay == OFF:
                    draw_shams(axes, summary, summary["discrimination_sham"][:, h])
                axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
                axes.set_ylim(-0.1, 1.1)
                plots.heading(axes, f"cue at hop {entry}, {'with' if replay == REPLAY else 'no'} replay")
        for k, h in product(range(len(fractions)), range(len(entries))):
            survival_panel(grid[2 + k, h], summary, h, k, n_events)
        near, last = 0, grid[-1]
        norm_panel(last[0], summary, near)
        spikes = summary["signalled_frozen"][..., int(entries[near])]
        by_fraction(last[1], summary, spikes, "E minus A (spikes)")
        last[1].set_ylim(bottom=0)
        plots.heading(last[1], f"signalled, frozen, hop {entries[near]}")
        by_fraction(last[2], summary, summary["kept_valence"][:, 0, -1], "valence of A kept (1)")
        last[2].axhline(1, color="0.8", linewidth=0.6, zorder=0)
        plots.heading(last[2], f"learning, cue at hop {entries[-1]}")
        used = [a for a in grid.flat if a.has_data()]
        for axes in grid.flat:
            if axes not in used:
                axes.remove()
        for axes, letter in zip(used, ascii_lowercase, strict=False):
            plots.letter(axes, letter)
        drawn.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        seeds = (
            "One seed, and therefore no interval."
            if n_seeds == 1
            else f"Mean over {n_seeds} seeds; bands: 95 % bootstrap interval over seeds."
        )
        plots.note(
            drawn,
            f"{seeds} Lives of {n_events} real events. Open symbols, a little to the left: mean of sham lives. Not "
            "corrected: Kaplan-Meier, lives without a correction are censored at their end; broad and pale: with "
            "replay; one symbol on each curve; weights are looked at after some occurrences and at the end only, so "
            "that a step may come late. Last row: without replay; norm of the cue weights, and mismatch signalled per "
            "event at the cue's hop with weights frozen.",
        )
    return drawn


Cells = Callable[[int, int], Iterable[object]]


def by_learner(summary: Mapping[str, Any], title: str, columns: Sequence[str], cells: Cells) -> Table:
    """Return a table with a row for each learner and hop; `cells(i, h)` gives what its columns say."""
    table = Table(title=title)
    table.add_column("learner")
    table.add_column("cue at hop", justify="right")
    for column in columns:
        table.add_column(column, justify="right")
    for (i, name), (h, entry) in product(enumerate(summary["learner"]), enumerate(summary["entry"])):
        table.add_row(name if h == 0 else "", str(entry), *map(str, cells(i, h)))
    return table


def tables(summary: Mapping[str, Any], swept: Mapping[str, Any]) -> Iterator[Table]:
    """Yield what was measured, as tables."""
    n_seeds = f"{len(summary['seed'])} seed{'s' * (len(summary['seed']) > 1)}"
    of_e = [f"E {fraction:g}" for fraction in summary["event_fraction"]]
    of_sham = [f"sham, E {fraction:g}" for fraction in summary["sham_fraction"]]
    n_fixed = min(summary["occurrences"])

    def estimates(*parts: np.ndarray) -> Cells:
        """Cells of measures by learner, entry, condition and seed."""
        return lambda i, h: (estimate(values) for part in parts for values in part[i, h])

    told, in_spikes = summary["discrimination"], summary["discrimination_spikes"]
    for r, how in enumerate(("without replay", "with replay")):
        title = f"E told from A at the end (0 none, 1 all), {how}; {n_seeds}, mean [95 % interval]"
        cells = estimates(told[:, r], in_spikes[:, r, :, -1:])
        yield by_learner(summary, title, [*of_e, "in spikes, commonest"], cells)
    title = f"E told from A after {n_fixed} occurrences, no replay; {n_seeds}"
    yield by_learner(summary, title, of_e, estimates(summary["discrimination_fixed"][:, 0]))
    for end, when in (("_fixed", f"after {n_fixed} occurrences"), ("", "at the end")):
        title = f"Norm of the cue weights {when}, no replay; {n_seeds}"
        cells = estimates(summary[f"cue_norm{end}"][:, 0], summary[f"cue_norm_sham{end}"])
        yield by_learner(summary, title, [*of_e, *of_sham], cells)

    def corrections(r: int) -> Cells:
        return lambda i, h: (corrected_by(summary, (i, r, h, k)) for k in range(len(of_e)))

    for r, how in enumerate(("without replay", "with replay")):
        title = f"Lives with a correction, {how}: median of real events, and occurrences, where most have; {n_seeds}"
        yield by_learner(summary, title, of_e, corrections(r))
    table = Table(title="Learning rate per event: discrimination on tuning networks")
    for column in ("learner", "rate: discrimination", "chosen"):
        table.add_column(column)
    for i, name in enumerate(summary["learner"]):
        tuned = np.isfinite(swept["score"][i]).all()
        tried = [f"{rate:g}: {score:.3f}" for rate, score in zip(swept["rate"], swept["score"][i], strict=True)]
        rate = summary["learning_rate"][i]
        edge = " (edge)" if tuned and rate in swept["rate"][[0, -1]] else ""
        table.add_row(name, ", ".join(tried) if tuned else "nothing tried", f"{rate:g}{edge}")
    yield table
    if len(summary["factor"]):
        yield other_rates(summary)


def corrected_by(summary: Mapping[str, Any], at: tuple[int, ...]) -> str:
    """Say in how many lives of a condition E was corrected, and where it was in most, by when in half of them."""
    done = summary["corrected"][at]
    time, occurrence = (np.median(summary[f"correction_{unit}"][at]) for unit in ("time", "occurrence"))
    return f"{done.sum()}/{len(done)}" + f": {time:.0f} ({occurrence:.0f})" * bool(2 * done.sum() > len(done))


def other_rates(summary: Mapping[str, Any]) -> Table:
    """Return what comes out at other learning rates."""
    n = len(summary["nearby_seed"])
    table = Table(title=f"E told from A at the end at other rates, no replay; {n} seed{'s' * (n > 1)}")
    for column in ("learner", "cue at hop", "E"):
        table.add_column(column)
    for factor in summary["factor"]:
        table.add_column(f"rate x {factor:.2g}", justify="right")
    for i, name in enumerate(summary["learner"]):
        for j, k in np.ndindex(len(summary["nearby_entry"]), len(summary["nearby_fraction"])):
            table.add_row(
                name * (j == k == 0),
                str(summary["nearby_entry"][j]) * (k == 0),
                f"{summary['nearby_fraction'][k]:g}",
                *(str(estimate(values)) for values in summary["discrimination_nearby"][i, j, k]),
            )
    return table


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], ROWS)
        swept = recording.read_labelled(file["learning_rate_sweep"], SWEEP_ROWS)
        n_events = round(float(summary["occurrences"][0] / summary["event_fraction"][0]))
    console = script.console()
    for table in tables(summary, swept):
        console.print(table)
    for sentence in statements(summary):
        console.print(sentence, soft_wrap=True)
    for written in plots.save(figure(summary, n_events), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="neglected_cue",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "5 hops, one seed, 40 events, half a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
