"""Train an agent's report of its own state on approval, and see what the report comes to follow.

Question
    An agent acts on a state that lies upstream of its action, and reports which state it was. The reports are approved
    if they are true, or if they are what the asker expects, or now the one and now the other. Does the report then
    follow the state or the asker? How far upstream has approval changed the network? If the report is consulted for
    acting, does the state come to agree with it? And is capacity upstream that the action does not use (slack) used for
    accurate reports, or is it noise?
Source
    The circuit: models/self_report.py. The rules: bioplastic/rules/error_relay.py, with the screening of
    models/chain.py, without, and without and with a fine threshold; backprop on the same events from the same weights.
    Information: plug-in estimate;
    its bias (Panzeri et al. 2007, doi:10.1152/jn.00559.2007) is seen from the mean over shuffles beside it.
Command
    python scripts/self_report.py [--quick] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 7 minutes, --quick half a minute. It may be interrupted and goes on.
Output
    One HDF5 file, labelled as docs/recording.md says, a figure beside it as PNG and PDF, tables on the terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bioplastic_models import chain
from bioplastic_models import self_report as agent
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bioplastic import plots, reach, script, spiking, sweep
from bioplastic.cache import cache_folder
from bioplastic.cells import CellParameters, phi, phi_slope
from bioplastic.circuit import Feedback, Weights
from bioplastic.claims.criterion import ACCURACY_MARGIN, MIN_SEEDS, SHARE_MARGIN
from bioplastic.compiled.run import end_programs
from bioplastic.events import Kind, Schedule, probes
from bioplastic.life import Life, Lived
from bioplastic.recording import schema1 as recording
from bioplastic.recording.schema1 import Variable
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.form import Rule
from bioplastic.statistics import estimate
from bioplastic.tasks import OUTCOME_RANGE, STIMULUS_RANGE, Task, digits

SCHEMA = "bioplastic self_report"
RESULT, TUNING = "result", "tuning"
FIRST_TUNING_SEED = 100
"""Learning rates are chosen on networks of their own, not on those that give the results."""
K = agent.N_STATES
SILENT = -1
"""An input that is silent: nobody asks, or nothing is fed back."""
POPULATIONS = ("s3", "s2", "s1", "a1", "r1")
STATE_AT = POPULATIONS.index(agent.STATE)
"""Populations from whose rates the state is decoded."""


@dataclass(frozen=True)
class Config:
    """Settings of the experiment; together with the library's version they determine every number.

    Attributes
    ----------
    seeds : tuple of int
        One agent, one order of events and one set of spike phases each.
    n_tuning : int
        Agents on which the learning rates are chosen.
    mixtures : tuple of float
        Fractions of events in which the true report is approved; in the others it is what the asker expects.
    chances : tuple of float
        Probabilities with which the asker expects the truth while the report is trained. With the first all mixtures
        are trained, with others only the first mixture; 1/4 is chance, with which asker and state are independent. The
        report is tested with every expectation for every image, whatever it was trained with.
    n_events : int
        Reports that are trained, in each life.
    n_stretches : int
        Where only what was said is approved or not, a life has this many stretches; what is said in each is what the
        agent would have said when it began.
    exploration : float
        Probability with which it says there something at random.
    n_consultations : int
        Actions for which the report is consulted: as many as it takes until the action follows the report.
    n_truths : int
        Reports of the truth that are trained, nobody asking, to see which directions of the state they read.
    spiking_rates, backprop_rates : tuple of float
        Learning rates to choose from, per event: for the spiking rules this is eta times the spikes that a cell at the
        maximal rate fires while an outcome is present.
    n_asked : int
        Held-out images about which the agent is asked; with each expectation of the asker.
    n_shuffles : int
        Shuffles for the floor of an information, and random subspaces.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n_tuning: int = 2
    mixtures: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    chances: tuple[float, ...] = (0.25, 0.75)
    n_events: int = 800
    n_stretches: int = 10
    exploration: float = 0.2
    n_consultations: int = 2400
    n_truths: int = 2000
    spiking_rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    backprop_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    n_asked: int = 160
    n_shuffles: int = 20

    def __post_init__(self) -> None:
        if self.n_events % self.n_stretches:
            raise ValueError(f"n_events = {self.n_events} is no multiple of n_stretches = {self.n_stretches}.")
        for name in ("mixtures", "chances"):
            if not all(0 <= value <= 1 for value in getattr(self, name)):
                raise ValueError(f"{name} = {getattr(self, name)}; give fractions, 0 to 1.")
        if self.mixtures[0] != 0:
            raise ValueError(f"mixtures = {self.mixtures}; the first must be 0: whose report is consulted.")


QUICK = Config(
    seeds=(0,),
    n_tuning=1,
    mixtures=(0.0, 1.0),
    chances=(0.25,),
    n_events=300,
    n_stretches=3,
    n_consultations=300,
    n_truths=300,
    spiking_rates=(0.3,),
    backprop_rates=(0.3,),
    n_asked=40,
    n_shuffles=3,
)


# ------------------------------------------------------------------------------------------ measures


def information(one: np.ndarray, other: np.ndarray, given: np.ndarray) -> float:
    """Mutual information of two discrete variables given a third, in bits; plug-in estimate, biased upwards.

    Parameters
    ----------
    one, other, given : array of int, shape (n,)

    Returns
    -------
    float
        Sum over the values of `given` of their frequency times the information within.
    """
    return float(
        sum((given == g).mean() * mutual_info_score(one[given == g], other[given == g]) for g in np.unique(given))
        / np.log(2)
    )


def information_floor(
    one: np.ndarray, other: np.ndarray, given: np.ndarray, n_shuffles: int, rng: np.random.Generator
) -> float:
    """What `information` says on average if `one` is shuffled within each value of `given`: its bias, in bits."""
    found = []
    for _ in range(n_shuffles):
        shuffled = one.copy()
        for g in np.unique(given):
            shuffled[given == g] = rng.permutation(shuffled[given == g])
        found.append(information(shuffled, other, given))
    return float(np.mean(found))


def read_subspace(weights: Weights, state: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Find the directions in the state's rates to which the action is most sensitive.

    Parameters
    ----------
    weights : Weights
    state : array, shape (n_stimuli, n_cells)
        Rates of the state population.
    k : int
        How many directions.

    Returns
    -------
    basis : array, shape (n_cells, k)
        Orthonormal: the leading eigenvectors of the mean of ``J^T J``, J the derivative of the actions by these rates.
    share : float
        Part of the mean squared derivative that lies in them.
    """
    w_in, w_out = weights.forward["s1_to_a1"], weights.forward["a1_to_action"]
    middle = state @ w_in.T + weights.bias["a1"]
    last = phi(middle) @ w_out.T + weights.bias["action"]
    j = phi_slope(last)[:, :, None] * ((phi_slope(middle)[:, None, :] * w_out) @ w_in)
    size, vectors = np.linalg.eigh(np.einsum("nai,naj->ij", j, j))
    return vectors[:, ::-1][:, :k], float(size[::-1][:k].sum() / size.sum())


def without(rates: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Hold the components of rates (stimulus, cell) along an orthonormal basis (cell, k) at their mean."""
    varying = rates - rates.mean(0)
    return rates - varying @ basis @ basis.T


def reported_from(weights: Weights, state: np.ndarray, asker: np.ndarray) -> np.ndarray:
    """Prediction of the report (stimulus, report) from given rates of the state and of the asker."""
    r1 = phi(state @ weights.forward["s1_to_r1"].T + asker @ weights.forward["asker_to_r1"].T + weights.bias["r1"])
    found: np.ndarray = phi(r1 @ weights.forward["r1_to_report"].T + weights.bias["report"])
    return found


def probe(rates: np.ndarray, state: np.ndarray) -> Pipeline:
    """Fit a linear probe of the state to rates (stimulus, cell)."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(rates, state)


def read(prediction: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Which pattern (pattern, output) each prediction (event, output) is most like, by the largest product."""
    found: np.ndarray = (prediction @ (patterns - patterns.mean(0)).T).argmax(1)
    return found


def acted_from(weights: Weights, state: np.ndarray) -> np.ndarray:
    """Action (stimulus, action) from given rates of the state, nothing being fed back."""
    a1 = phi(state @ weights.forward["s1_to_a1"].T + weights.bias["a1"])
    found: np.ndarray = phi(a1 @ weights.forward["a1_to_action"].T + weights.bias["action"])
    return found


def share(which: np.ndarray) -> float:
    """Fraction that is true; NaN of nothing."""
    return float(which.mean()) if which.size else float("nan")


def scored(probes_of: Mapping[str, Any], rates: Mapping[str, np.ndarray], state: np.ndarray) -> np.ndarray:
    """Fraction of stimuli of which each population's own probe says the right state, shape (n_populations,)."""
    return np.array([share(probes_of[name].predict(rates[name]) == state) for name in POPULATIONS])


def decodable(rates: np.ndarray, known: np.ndarray, tested: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy, on the rates of tested stimuli, of a linear probe fitted to rates of stimuli with what is known."""
    return share(probe(rates, known).predict(tested) == truth)


def agreements(
    answer: np.ndarray,
    state: np.ndarray,
    before: np.ndarray,
    *,
    decoded: np.ndarray,
    silent: np.ndarray,
    refitted: np.ndarray,
    action: np.ndarray,
) -> dict[str, float]:
    """Say how a state and an action agree with a report that was consulted.

    Parameters
    ----------
    answer, state : array of int, shape (n_trials,)
        What is reported, and what is true.
    before : array of int, shape (n_trials,)
        State decoded before consulting. Trials in which it is the report already are left out where it says "came to".
    decoded, silent : array of int, shape (n_trials,)
        State decoded by the same probe afterwards, with feedback and with nothing fed back.
    refitted : array of int, shape (n_trials,)
        State decoded by a probe fitted afterwards.
    action : array of int, shape (n_trials,)
        What is then done.

    Returns
    -------
    dict of str to float
        Fractions, as `MEASURES` names them.
    """
    disagreed = before != answer
    return {
        "agreement_after": share(decoded == answer),
        "came_to_agree": share((decoded == answer)[disagreed]),
        "came_to_agree_new_probe": share((refitted == answer)[disagreed]),
        "came_to_agree_silent": share((silent == answer)[disagreed]),
        "action_follows_report": share((action == answer)[disagreed]),
        "state_still_decoded": share(refitted == state),
    }


def held_in_turn(
    right: Callable[[np.ndarray], float], state: np.ndarray, basis: np.ndarray, drawn: Sequence[np.ndarray]
) -> dict[str, float]:
    """Say how often something is right with directions of the state's rates held.

    Parameters
    ----------
    right : callable
        From rates (stimulus, cell) to the fraction that is right.
    state : array, shape (n_stimuli, n_cells)
    basis : array, shape (n_cells, k)
        Orthonormal: the directions that are read. All others are slack.
    drawn : sequence of array, shape (n_cells, n_cells)
        Random orthonormal directions; the mean over them is taken.

    Returns
    -------
    dict of str to float
        With nothing held (`right`), without the directions read and without as many random ones (`without_read`,
        `without_random_few`), and without slack and without as many random ones as that (`without_slack`,
        `without_random_many`).
    """
    k = basis.shape[1]
    rest = np.linalg.svd(basis, full_matrices=True)[0][:, k:]
    return {
        "right": right(state),
        "without_read": right(without(state, basis)),
        "without_random_few": float(np.mean([right(without(state, q[:, :k])) for q in drawn])),
        "without_slack": right(without(state, rest)),
        "without_random_many": float(np.mean([right(without(state, q[:, k:])) for q in drawn])),
    }


# ------------------------------------------------------------------------------------------ who lives


@dataclass(frozen=True)
class Learner:
    """One way to learn."""

    name: str
    make: Callable[[float], Rule] | None

    def rule(self, rate: float) -> Rule:
        """Return the spiking rule at a learning rate per event."""
        assert self.make is not None
        return self.make(rate / float(CellParameters().rmax * chain.OUTCOME))

    def rates(self, config: Config) -> tuple[float, ...]:
        """Learning rates to choose from."""
        return config.backprop_rates if self.make is None else config.spiking_rates


LEARNERS = (
    Learner("error relay", lambda eta: chain.screened(eta, agent.N_HOPS)),
    Learner("error relay, unscreened", chain.unscreened),
    Learner("error relay, unscreened, fine", agent.fine),
    Learner("backprop", None),
)
ACTS, REPORTS, FEATURES, DISAPPROVED = 0, K, 2 * K, 2 * K + 2
"""First rows, in the table of outcomes, of the right action, the approved report, the approved report of the feature,
and what was said and is disapproved. Of outputs that a row does not concern nothing is known (`Task.reward` 0)."""


class Bench:
    """What all lives share: images, tables, start weights and the compiled model."""

    def __init__(self, config: Config) -> None:
        self.config = config
        data = digits()
        members = np.flatnonzero(data.label < 2 * K)
        self.images, digit = data.stimuli[members], data.label[members]
        self.state, self.feature = digit // 2, digit % 2
        self.n = len(members)
        held_out = data.held_out[members]
        rng = np.random.default_rng(1)
        chosen = [rng.permutation(np.flatnonzero((digit == d) & ~held_out)) for d in range(2 * K)]
        validation = np.sort(np.concatenate([m[: len(m) // 4] for m in chosen]))
        self.learned = np.setdiff1d(np.flatnonzero(~held_out), validation)
        self.tested = {RESULT: np.flatnonzero(held_out), TUNING: validation}
        self.circuit = agent.circuit()
        self.task = self._task()
        self.stopped = threading.Event()

    def _task(self) -> Task:
        low, high = STIMULUS_RANGE
        absent, present = OUTCOME_RANGE
        one = np.where(np.eye(K, dtype=bool), high, low)
        # One block of images for each expectation of the asker, one with all silent, one for each report fed back.
        context = np.concatenate([np.hstack([one, np.zeros((K, K))]), np.zeros((1, 2 * K)), np.hstack([0 * one, one])])
        stimuli = np.concatenate([np.hstack([self.images, np.tile(row, (self.n, 1))]) for row in context])
        right = np.where(np.eye(K, dtype=bool), present, absent)
        halves = np.where(np.arange(K) // (K // 2) == np.arange(2)[:, None], present, absent)
        nothing = np.full((K, K), absent)
        outcomes = np.concatenate(
            [
                np.hstack([right, nothing]),
                np.hstack([nothing, right]),
                np.hstack([nothing[:2], halves]),
                np.hstack([nothing, nothing]),
            ]
        )
        known = np.ones((K, K))
        reward = np.concatenate(
            [
                np.hstack([known, 0 * known]),
                np.hstack([0 * known, known]),
                np.hstack([0 * known[:2], known[:2]]),
                np.hstack([0 * known, np.eye(K)]),
            ]
        )
        n = len(stimuli)
        return Task(stimuli, outcomes, np.zeros(n, int), np.zeros(n, bool), 0, reward)

    def rows(self, image: np.ndarray, *, asker: Any = SILENT, said: Any = SILENT) -> np.ndarray:
        """Rows of the table of stimuli: images, with what the asker expects or with the report fed back."""
        asker, said = np.broadcast_arrays(asker, said)
        block = np.where(asker != SILENT, asker, np.where(said != SILENT, K + 1 + said, K))
        return np.asarray(block * self.n + image)

    def prepare(self, seeds: Sequence[int]) -> None:
        """Compile the model of all spiking learners, and pretrain agents, or take them from the cache."""
        c, timing = self.config, chain.timing(agent.N_HOPS)
        longest = max(c.n_events, c.n_consultations, c.n_truths, K * c.n_asked)
        n_steps = float(longest * timing.event / timing.resolution)
        spec = spiking.ModelSpec.with_room(self.circuit, LEARNERS[0].rule(0.0), self.task, n_steps, n_snapshots=0)
        self.model = spiking.model(spec, self.task)
        for seed in seeds:
            self.start(seed)

    def start(self, seed: int) -> Weights:
        """Return the weights of an agent that acts and has never reported."""
        from bioplastic import twin

        # Pretraining leaves the rare event out: here one more outcome, which belongs to one blank image.
        extra = np.zeros((1, agent.N_SENSES))
        learned = np.append(self.learned, self.n)
        task = Task(
            np.concatenate([self.images, extra])[learned],
            np.concatenate([self.task.outcomes[:K, :K], self.task.outcomes[:1, :K]]),
            np.append(self.state, K)[learned],
            np.zeros(len(learned), bool),
            K,
        )
        [acts] = twin.pretrained(agent.acting(), task, [seed], cache=cache_folder())
        rng = np.random.default_rng([seed, 2])
        forward, bias = dict(acts.forward), dict(acts.bias)
        for projection in self.circuit.projections:
            if projection.name in forward:
                continue
            post, pre = self.circuit.shape(projection)
            if projection.source == "said":
                forward[projection.name] = np.zeros((post, pre))
                continue
            q, r = np.linalg.qr(rng.standard_normal((max(post, pre), max(post, pre))))
            forward[projection.name] = 2 * (q * np.sign(np.diag(r)))[:post, :pre]  # as twin.pretrain begins
            if projection.target not in bias:
                bias[projection.target] = np.zeros(post)
            if projection.source != "asker":  # who may be silent
                bias[projection.target] -= forward[projection.name].sum(1) / 2
        return Weights(forward, bias)

    def rates(self, weights: Weights, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Rates (stimulus, cell) of every population, in the rate network."""
        import torch

        from bioplastic import twin

        shown = torch.tensor(self.task.stimuli[rows])[None]
        state = twin.Networks.stack(self.circuit, [weights]).potentials(shown)
        inputs = {p.name for p in self.circuit.inputs}
        return {name: (v if name in inputs else phi(v))[0].numpy() for name, v in state.items()}

    def learn(
        self,
        learner: Learner,
        rate: float,
        starts: Sequence[Weights],
        schedules: Sequence[Schedule],
        *,
        birth: Weights,
        phases: int,
    ) -> list[Weights]:
        """Let networks live, each its own schedule, and return their weights at the end.

        Parameters
        ----------
        learner : Learner
        rate : float
            Learning rate per event.
        starts : sequence of Weights
        schedules : sequence of Schedule
            All of one length.
        birth : Weights
            The feedback weights, which stay.
        phases : int
            Seed of the spike phases.
        """
        from bioplastic import twin

        if self.stopped.is_set():
            raise KeyboardInterrupt
        if learner.make is None:
            lives = [Life(s, Backprop(rate), w) for s, w in zip(schedules, starts, strict=True)]
            return [lived.weights for lived in twin.live(self.circuit, self.task, lives)]
        found = []
        for schedule, weights in zip(schedules, starts, strict=True):
            if self.stopped.is_set():
                raise KeyboardInterrupt
            found.append(self.lived(learner, rate, weights, schedule, birth=birth, phases=phases).weights)
        return found

    def lived(
        self, learner: Learner, rate: float, weights: Weights, schedule: Schedule, *, birth: Weights, phases: int
    ) -> Lived:
        """Let one network live in spikes."""
        timing, feedback = chain.timing(agent.N_HOPS), Feedback(birth.forward)
        return self.model.live(Life(schedule, learner.rule(rate), weights, timing, feedback, seed=phases))

    def reports(
        self, learner: Learner, weights: Weights, rows: np.ndarray, *, birth: Weights, phases: int
    ) -> np.ndarray:
        """What an agent reports: in spikes if it is a spiking one."""
        if learner.make is None:
            return self.rates(weights, rows)["report"].argmax(1)
        prediction = self.lived(learner, 0.0, weights, probes(rows), birth=birth, phases=phases).prediction
        return prediction[:, K:].argmax(1)


def events(rows: np.ndarray, outcome: np.ndarray) -> Schedule:
    """Show stimuli, each with its outcome."""
    n = len(rows)
    return Schedule(rows, outcome, np.full(n, int(Kind.BACKGROUND)), np.ones(n), np.zeros(n, int))


# ------------------------------------------------------------------------------------------ what is lived

OWN, NONE, OTHER = "own report", "none", "report of another trial"
FEEDBACKS = (OWN, NONE, OTHER)
TRUE, AS_REPORTED = "what is true", "what was reported"
OUTCOMES = (TRUE, AS_REPORTED)
GOALS = ("what the asker expects", "truth")
"""What is approved where nothing but approval and disapproval is told: mixtures 0 and 1."""
TOLD = ("state", "digit of the pair")
"""What is reported, and trained on the truth alone: what the action needs, and what it does not."""
CHOICES = dict(zip(TOLD, (K, 2), strict=True))
"""Of how many one is right."""
TUNED, APPROVED, AGAIN, CONSULTED, TOLD_TRUTH, ASKED, ASKED_ONLY, STRETCH = range(8)
"""Stages of an agent, each with spike phases of its own; where a life has several stretches, they come last."""
MAX_STAGES = 1000


def phases(seed: int, stage: int) -> int:
    """Seed of the spike phases of an agent's stage: no two agents and stages have the same."""
    if not 0 <= stage < MAX_STAGES:
        raise ValueError(f"stage {stage}; there are seeds for stages 0 to {MAX_STAGES - 1}: give fewer n_stretches.")
    return MAX_STAGES * seed + stage


class Story:
    """One agent by one learner: what it lives through, from its first report on, and what is measured of it."""

    def __init__(self, bench: Bench, learner: Learner, seed: int, rate: float, role: str = RESULT) -> None:
        self.bench, self.learner, self.seed, self.rate, self.config = bench, learner, seed, rate, bench.config
        self.birth = bench.start(seed)
        self.tested = bench.tested[role]
        asked = np.random.default_rng(4).permutation(self.tested)[: self.config.n_asked]
        self.trial_image, self.trial_asker = np.repeat(asked, K), np.tile(np.arange(K), len(asked))
        self.trial_rows = bench.rows(self.trial_image, asker=self.trial_asker)
        rates = bench.rates(self.birth, bench.rows(bench.learned))
        self.probes = {name: probe(rates[name], bench.state[bench.learned]) for name in POPULATIONS}

    @property
    def spikes(self) -> bool:
        """Whether it is an agent of spiking cells."""
        return self.learner.make is not None

    def random(self, stage: int) -> np.random.Generator:
        """Random numbers of a stage, the same for every learner."""
        return np.random.default_rng([self.seed, 3, stage])

    def images(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Images that may be learned from, each once before any comes again, shape (n,)."""
        return np.concatenate([rng.permutation(self.bench.learned) for _ in range(-(-n // len(self.bench.learned)))])[
            :n
        ]

    def asked(self, mixture: float, chance: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the stimuli of a life, and the report that is approved in each event."""
        rng, n = self.random(0), self.config.n_events
        image = self.images(n, rng)
        state = self.bench.state[image]
        expected = np.where(rng.random(n) < chance, state, (state + rng.integers(1, K, n)) % K)
        approved = np.where(rng.random(n) < mixture, state, expected)
        return self.bench.rows(image, asker=expected), approved

    def learn(self, starts: Sequence[Weights], schedules: Sequence[Schedule], stage: int) -> list[Weights]:
        """Live a stage of several lives."""
        at = phases(self.seed, stage)
        return self.bench.learn(self.learner, self.rate, starts, schedules, birth=self.birth, phases=at)

    def score(self) -> float:
        """How often the report is the approved one, for truth and for what the asker expects; mean of the two."""
        goals = [self.asked(mixture, 1 / K) for mixture in (0.0, 1.0)]
        lives = [events(rows, REPORTS + approved) for rows, approved in goals]
        given = [
            self.bench.rates(w, self.trial_rows)["report"].argmax(1) for w in self.learn([self.birth] * 2, lives, TUNED)
        ]
        return (share(given[0] == self.trial_asker) + share(given[1] == self.bench.state[self.trial_image])) / 2

    def whole(self) -> dict[str, Any]:
        """Live all stages and measure."""
        values, after_approval = self.approval()
        return values | self.approval_only() | self.consulting(after_approval) | self.slack()

    def followed(self, weights: Weights, stage: int) -> dict[str, float]:
        """What the report follows."""
        state, asker = self.bench.state[self.trial_image], self.trial_asker
        at = phases(self.seed, stage)
        report = self.bench.reports(self.learner, weights, self.trial_rows, birth=self.birth, phases=at)
        rng, n = self.random(9), self.config.n_shuffles
        return {
            "report_is_state": share(report == state),
            "report_is_asker": share(report == asker),
            "report_is_rates": share(report == self.bench.rates(weights, self.trial_rows)["report"].argmax(1)),
            "information_state": information(report, state, asker),
            "information_asker": information(report, asker, state),
            "floor_state": information_floor(report, state, asker, n, rng),
            "floor_asker": information_floor(report, asker, state, n, rng),
        }

    def state_after(self, weights: Weights) -> dict[str, Any]:
        """Where the state still is, by the probes of the beginning, by one fitted anew, and in the action."""
        bench = self.bench
        rates = bench.rates(weights, bench.rows(self.tested))
        fitted = bench.rates(weights, bench.rows(bench.learned))[agent.STATE]
        state = bench.state[self.tested]
        return {
            "decoded": scored(self.probes, rates, state),
            "decoded_refitted": decodable(fitted, bench.state[bench.learned], rates[agent.STATE], state),
            "action_right": share(rates["action"].argmax(1) == state),
        }

    def approval(self) -> tuple[dict[str, Any], Weights]:
        """Train the report on approval, in all mixtures, and once more with other spike phases."""
        config = self.config
        arms = [(i, j) for i in range(len(config.chances)) for j in range(len(config.mixtures)) if i == 0 or j == 0]
        asked = [self.asked(config.mixtures[j], config.chances[i]) for i, j in arms]
        lives = [events(rows, REPORTS + approved) for rows, approved in asked]
        ended = self.learn([self.birth] * len(lives), lives, APPROVED)
        # The floor of all arms is what other spike phases make of the life of the first; there is no sham run, and
        # changes are counted from the start.
        again = self.learn([self.birth], lives[:1], AGAIN)[0] if self.spikes else ended[0]
        circuit, birth = agent.reporting(), self.birth.forward
        shape = len(config.chances), len(config.mixtures)
        values: dict[str, Any] = {
            "phase_difference": reach.relative_change(circuit, ended[0].forward, again.forward, birth)
        }
        before = self.state_after(self.birth)
        values |= {f"{name}_before": before[name] for name in ("decoded", "action_right")}
        for (i, j), weights in zip(arms, ended, strict=True):
            measured = self.followed(weights, ASKED) | self.state_after(weights)
            measured["change"] = reach.relative_change(circuit, weights.forward, birth, birth)
            for name, value in measured.items():
                values.setdefault(name, np.full((*shape, *np.shape(value)), np.nan))[i, j] = value
        return values, ended[0]

    def approval_only(self) -> dict[str, Any]:
        """Train the report where the agent is told whether what it said is approved, and nothing else."""
        config, bench = self.config, self.bench
        asked = [self.asked(mixture, 1 / K) for mixture in (0.0, 1.0)]
        weights = [self.birth] * len(asked)
        rng = self.random(2)
        for k, part in enumerate(np.split(np.arange(config.n_events), config.n_stretches)):
            lives = []
            for w, (rows, approved) in zip(weights, asked, strict=True):
                said = bench.rates(w, rows[part])["report"].argmax(1)
                explores = rng.random(len(part)) < config.exploration
                said = np.where(explores, rng.integers(0, K, len(part)), said)
                outcome = np.where(said == approved[part], REPORTS, DISAPPROVED) + said
                lives.append(events(rows[part], outcome))
            weights = self.learn(weights, lives, STRETCH + k)
        found = [self.followed(w, ASKED_ONLY) for w in weights]
        return {f"only_{name}": np.array([f[name] for f in found]) for name in found[0]}

    def consulting(self, start: Weights) -> dict[str, Any]:
        """Let the agent, trained on what the asker expects, consult its report when it acts."""
        bench, n, rng = self.bench, self.config.n_consultations, self.random(4)
        image, asker = self.images(n, rng), rng.integers(0, K, n)

        def said(image: np.ndarray, asker: np.ndarray) -> np.ndarray:
            found: np.ndarray = bench.rates(start, bench.rows(image, asker=asker))["report"].argmax(1)
            return found

        def shown(image: np.ndarray, report: np.ndarray, feedback: str, rng: np.random.Generator) -> np.ndarray:
            fed = {OWN: report, NONE: np.full(len(report), SILENT), OTHER: rng.permutation(report)}[feedback]
            return bench.rows(image, said=fed)

        report, answer = said(image, asker), said(self.trial_image, self.trial_asker)
        arms = [(TRUE, OWN), *((AS_REPORTED, feedback) for feedback in FEEDBACKS)]
        lives = [
            events(shown(image, report, feedback, self.random(5)), ACTS + (bench.state[image] if o == TRUE else report))
            for o, feedback in arms
        ]
        ended = self.learn([start] * len(arms), lives, CONSULTED)
        fixed = probe(
            bench.rates(start, bench.rows(bench.learned))[agent.STATE], bench.state[bench.learned]
        )  # the probe of the beginning, fitted again after the report was trained
        silent = bench.rates(start, bench.rows(self.trial_image))[agent.STATE]
        before, state = fixed.predict(silent), bench.state[self.trial_image]
        values: dict[str, Any] = {"agreement_before": share(before == answer)}
        for (outcome, feedback), weights in zip(arms, ended, strict=True):
            rates = bench.rates(weights, shown(self.trial_image, answer, feedback, self.random(6)))
            learned = bench.rates(weights, shown(image, report, feedback, self.random(5)))
            new = probe(learned[agent.STATE], bench.state[image])
            off = bench.rates(weights, bench.rows(self.trial_image))
            measured = agreements(
                answer,
                state,
                before,
                decoded=fixed.predict(rates[agent.STATE]),
                silent=fixed.predict(off[agent.STATE]),
                refitted=new.predict(rates[agent.STATE]),
                action=rates["action"].argmax(1),
            )
            at = OUTCOMES.index(outcome), FEEDBACKS.index(feedback)
            for name, value in measured.items():
                values.setdefault(name, np.full((len(OUTCOMES), len(FEEDBACKS)), np.nan))[at] = value
        return values

    def slack(self) -> dict[str, Any]:
        """Train reports on the truth, nobody asking, and hold the state's rates along some directions."""
        bench, rng = self.bench, self.random(7)
        image = self.images(self.config.n_truths, rng)
        truths = bench.state, bench.feature
        rows = bench.rows(image)
        lives = [events(rows, first + t[image]) for first, t in zip((REPORTS, FEATURES), truths, strict=True)]
        ended = self.learn([self.birth] * 2, lives, TOLD_TRUTH)
        nobody = np.zeros((len(self.tested), K))
        values: dict[str, Any] = {}
        for i, (weights, truth, first) in enumerate(zip(ended, truths, (REPORTS, FEATURES), strict=True)):
            patterns = bench.task.outcomes[first : first + truth.max() + 1, K:]
            rates = bench.rates(weights, bench.rows(self.tested))[agent.STATE]
            fitted = bench.rates(weights, bench.rows(bench.learned))[agent.STATE]
            basis, part = read_subspace(weights, fitted, K)
            rest, n = np.linalg.svd(basis, full_matrices=True)[0][:, K:], rates.shape[1]
            known, asked, state = truth[bench.learned], truth[self.tested], bench.state[self.tested]

            def told(x: np.ndarray, w: Weights = weights, p: np.ndarray = patterns, t: np.ndarray = asked) -> float:
                return share(read(reported_from(w, x, nobody), p) == t)

            def acted(x: np.ndarray, w: Weights = weights, t: np.ndarray = state) -> float:
                return share(acted_from(w, x).argmax(1) == t)

            drawn = [np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(self.config.n_shuffles)]
            varying = rates - rates.mean(0)
            measured = {
                **{f"told_{name}": value for name, value in held_in_turn(told, rates, basis, drawn).items()},
                **{f"action_told_{name}": value for name, value in held_in_turn(acted, rates, basis, drawn).items()},
                "decodable_from_read": decodable(fitted @ basis, known, rates @ basis, asked),
                "decodable_from_slack": decodable(fitted @ rest, known, rates @ rest, asked),
                "sensitivity_in_read": part,
                "variance_in_read": float(np.square(varying @ basis).sum() / np.square(varying).sum()),
            }
            for name, value in measured.items():
                values.setdefault(name, np.full(len(TOLD), np.nan))[i] = value
        return values


# ------------------------------------------------------------------------------------------ which lives


@dataclass(frozen=True)
class Condition:
    """One agent by one learner."""

    learner: Learner
    seed: int
    rate: float
    role: str = RESULT

    @property
    def name(self) -> str:
        """Name of the run in the recording."""
        rate = f"-rate{self.rate:g}" if self.role == TUNING else ""
        return f"{self.role}-{self.learner.name.replace(', ', '_').replace(' ', '_')}-s{self.seed}{rate}"


def tuning_conditions(config: Config, learner: Learner) -> list[Condition]:
    """Return the lives that choose a learner's rate, the agents of one rate after the other; none if it has one."""
    if len(learner.rates(config)) == 1:
        return []
    seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + config.n_tuning)
    return [Condition(learner, seed, rate, TUNING) for rate in learner.rates(config) for seed in seeds]


def scores(config: Config, learner: Learner, runs: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Mean score at each learning rate; NaN if there was nothing to choose."""
    conditions = tuning_conditions(config, learner)
    if not conditions:
        return np.full(len(learner.rates(config)), np.nan)
    return np.reshape([float(runs[c.name]["score"]) for c in conditions], (-1, config.n_tuning)).mean(1)


def chosen_rate(config: Config, learner: Learner, runs: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the learner's best rate, the smallest of several equally good ones."""
    score = scores(config, learner, runs)
    return learner.rates(config)[0 if np.isnan(score).all() else int(np.argmax(score))]


# ------------------------------------------------------------------------------------------ the recording

_ARM, _CONSULTED = ("chance", "mixture"), ("outcome", "feedback")
_OF_TRIALS = "held-out images, each with every expectation"
AXES = {
    "chance": Variable(("chance",), "1", "probability with which the asker expects the truth in training"),
    "mixture": Variable(("mixture",), "1", "fraction of events in which truth is approved, not what the asker expects"),
    "hop": Variable(("hop",), "1", "hops upstream of the report", "int64"),
    "population": Variable(("population",), "1", "population from whose rates the state is decoded", "str"),
    "goal": Variable(("goal",), "1", "what is approved where nothing but approval is told", "str"),
    "outcome": Variable(("outcome",), "1", "outcome of an action for which the report is consulted", "str"),
    "feedback": Variable(("feedback",), "1", "what is fed back when acting", "str"),
    "told": Variable(("told",), "1", "what is reported, trained on truth, nobody asking", "str"),
}
"""Axes of what is measured of one agent."""
_FOLLOWED = {
    "report_is_state": "fraction of reports that are true",
    "report_is_asker": "fraction of reports that are what the asker expects",
    "report_is_rates": "fraction of reports that are those of the same weights in the rate network",
    "information_state": "information of report and state, given the asker, plug-in estimate",
    "information_asker": "information of report and asker, given the state, plug-in estimate",
    "floor_state": "the same as information_state with reports shuffled within each expectation",
    "floor_asker": "the same as information_asker with reports shuffled within each state",
}


def _unit(name: str) -> str:
    return "bit" if name.startswith(("information", "floor")) else "1"


MEASURES = {
    **{name: Variable(_ARM, _unit(name), f"{text}; {_OF_TRIALS}") for name, text in _FOLLOWED.items()},
    **{
        f"only_{name}": Variable(("goal",), _unit(name), f"{text}; trained by approval and disapproval alone")
        for name, text in _FOLLOWED.items()
    },
    "change": Variable(
        (*_ARM, "hop"), "1", "relative change of the weights by training the report, path of the report"
    ),
    "phase_difference": Variable(
        ("hop",), "1", "the same between two lives with the first mixture and chance that differ in their spike phases"
    ),
    "decoded_before": Variable(("population",), "1", "accuracy of a linear probe of the state, held-out images"),
    "decoded": Variable((*_ARM, "population"), "1", "accuracy of the same probe after the report was trained"),
    "decoded_refitted": Variable(
        _ARM, "1", "accuracy at s1 of a probe fitted after the report was trained, held-out images"
    ),
    "action_right_before": Variable((), "1", "fraction of right actions, held-out images"),
    "action_right": Variable(_ARM, "1", "fraction of right actions after the report was trained"),
    "agreement_before": Variable((), "1", "fraction of trials in which the decoded state is the report"),
    "agreement_after": Variable(_CONSULTED, "1", "the same while consulting, after it; probe fixed before"),
    "came_to_agree": Variable(_CONSULTED, "1", "the same, of the trials that did not agree before"),
    "came_to_agree_new_probe": Variable(_CONSULTED, "1", "the same by a probe of the true state fitted afterwards"),
    "came_to_agree_silent": Variable(_CONSULTED, "1", "the same as came_to_agree with nothing fed back in the test"),
    "action_follows_report": Variable(_CONSULTED, "1", "fraction of these trials in which the action is the report's"),
    "state_still_decoded": Variable(_CONSULTED, "1", "accuracy of the new probe for the true state, all trials"),
    "told_right": Variable(("told",), "1", "fraction of right reports, held-out images, in the rate network"),
    "told_without_read": Variable(("told",), "1", "the same with the directions held that the action reads"),
    "told_without_slack": Variable(("told",), "1", "the same with all other directions held"),
    "told_without_random_few": Variable(("told",), "1", "the same with as many random directions held as are read"),
    "told_without_random_many": Variable(("told",), "1", "the same with as many random directions held as are slack"),
    "action_told_right": Variable(("told",), "1", "fraction of right actions of the same agents, nothing held"),
    "action_told_without_read": Variable(("told",), "1", "the same with the directions held that the action reads"),
    "action_told_without_slack": Variable(("told",), "1", "the same with all other directions held"),
    "action_told_without_random_few": Variable(
        ("told",), "1", "the same with as many random directions held as are read"
    ),
    "action_told_without_random_many": Variable(
        ("told",), "1", "the same with as many random directions held as are slack"
    ),
    "decodable_from_read": Variable(("told",), "1", "accuracy of a linear probe on the directions that are read"),
    "decodable_from_slack": Variable(("told",), "1", "accuracy of a linear probe on all other directions"),
    "sensitivity_in_read": Variable(("told",), "1", "share of the action's squared derivative in the directions read"),
    "variance_in_read": Variable(("told",), "1", "share of the variance of the state's rates in them"),
}
"""What is measured of one agent."""
HELD = ("right", "without_read", "without_random_few", "without_slack", "without_random_many")
"""What is held, in the names of what is right of reports (``told_...``) and of actions (``action_told_...``)."""
SCORE_ROWS = {"score": Variable((), "1", "fraction of approved reports, validation images, mean over both goals")}


def _rows(name: str) -> dict[str, Variable]:
    return SCORE_ROWS if name.startswith(TUNING) else {**AXES, **MEASURES}


ROWS = {
    "learner": Variable(("learner",), "1", "learner", "str"),
    "seed": Variable(("seed",), "1", "seed of agent, events and spike phases", "int64"),
    **AXES,
    **{name: Variable(("learner", "seed", *row.dims), row.units, row.long_name) for name, row in MEASURES.items()},
    "reach": Variable(("learner", "seed", *_ARM), "1", "last hop the change reaches, path of the report (-1: none)"),
    "learning_rate": Variable(("learner",), "1", "learning rate per event"),
}
"""Variables of ``/summary``; NaN where nothing was lived."""
SWEEP_ROWS = {
    "learner": ROWS["learner"],
    "rate_index": Variable(("rate_index",), "1", "index of the learning rate that was tried", "int64"),
    "rate": Variable(("learner", "rate_index"), "1", "learning rate per event that was tried"),
    "score": Variable(("learner", "rate_index"), "1", "score of the learning rate, higher is better, mean over seeds"),
}
"""Variables of ``/learning_rate_sweep``."""


def axes(config: Config) -> dict[str, Any]:
    """Values of the axes."""
    return {
        "chance": np.array(config.chances),
        "mixture": np.array(config.mixtures),
        "hop": np.arange(agent.N_HOPS),
        "population": POPULATIONS,
        "goal": GOALS,
        "outcome": OUTCOMES,
        "feedback": FEEDBACKS,
        "told": TOLD,
    }


def summarise(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the results into labelled arrays."""
    rates = [chosen_rate(config, learner, runs) for learner in LEARNERS]
    lived = [
        [runs[Condition(learner, seed, rate).name] for seed in config.seeds]
        for learner, rate in zip(LEARNERS, rates, strict=True)
    ]
    values: dict[str, Any] = {
        "learner": [learner.name for learner in LEARNERS],
        "seed": np.array(config.seeds),
        "learning_rate": np.array(rates),
        **axes(config),
        **{name: np.array([[run[name] for run in row] for row in lived]) for name in MEASURES},
    }
    floor = [reach.spread(rows) for rows in values["phase_difference"]]
    reached = np.full(values["change"].shape[:-1], np.nan)
    for index in np.ndindex(reached.shape):
        if np.isfinite(values["change"][index]).all():
            reached[index] = reach.reach(values["change"][index], floor[index[0]])
    return values | {"reach": reached}


def swept(config: Config, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the choice of learning rates into labelled arrays."""
    width = max(len(learner.rates(config)) for learner in LEARNERS)
    rate, score = np.full((2, len(LEARNERS), width), np.nan)
    for i, learner in enumerate(LEARNERS):
        tried = learner.rates(config)
        rate[i, : len(tried)], score[i, : len(tried)] = tried, scores(config, learner, runs)
    names = [learner.name for learner in LEARNERS]
    return {"learner": names, "rate_index": np.arange(width), "rate": rate, "score": score}


def run(config: Config, out: Path, *, jobs: int = 2) -> Path:
    """Run the experiment, or go on with it, and return the recording's path.

    Parameters
    ----------
    config : Config
    out : Path
        The HDF5 file.
    jobs : int
        How many agents to let live at once.

    Returns
    -------
    Path
        `out`; the figure lies beside it.
    """
    sources = [Path(__file__), Path(str(agent.__file__)), Path(str(chain.__file__))]
    store = script.open_store(out, schema=SCHEMA, rows=_rows, config=config, sources=sources)
    if store is None:
        return out
    bench = Bench(config)

    def stop() -> None:
        bench.stopped.set()
        end_programs()

    def work(condition: Condition) -> None:
        story = Story(bench, condition.learner, condition.seed, condition.rate, condition.role)
        what = {
            "learner": condition.learner.name,
            "role": condition.role,
            "seed": condition.seed,
            "learning_rate": condition.rate,
        }
        if condition.role == TUNING:
            store.add(condition.name, {"score": story.score()}, what)
        else:
            store.add(condition.name, axes(config) | story.whole(), what)

    with sweep.progress_bar() as bar, ThreadPoolExecutor(max(1, jobs)) as executor:
        ready = bar.add_task("compiling, pretraining", total=1)
        roles = [c for learner in LEARNERS for c in tuning_conditions(config, learner)]
        bench.prepare(sorted({c.seed for c in roles} | set(config.seeds)))
        bar.advance(ready)
        script.live_missing(store, roles, work, executor=executor, bar=bar, label="learning rates", stop=stop)
        lives = [
            Condition(learner, seed, chosen_rate(config, learner, store.runs))
            for seed in config.seeds
            for learner in LEARNERS
        ]
        script.live_missing(store, lives, work, executor=executor, bar=bar, label="agents", stop=stop)

    def fill(file: h5py.File) -> None:
        file.attrs["circuit"] = bench.circuit.to_json()
        recording.write_labelled(file.create_group("summary"), ROWS, summarise(config, store.runs))
        recording.write_labelled(file.create_group("learning_rate_sweep"), SWEEP_ROWS, swept(config, store.runs))

    store.finish("A report trained on approval", fill)
    return out


# ------------------------------------------------------------------------------------------ table and figure


def side(values: np.ndarray, margin: float, *, above: str, below: str) -> str:
    """Say on which side of a margin the whole interval of a mean over seeds lies."""
    if values.size < MIN_SEEDS:
        return f"not decided ({values.size} seed{'s' * (values.size > 1)})"
    low, high = reach.interval(values)
    return above if low > margin else below if high < margin else "not decided"


def percent(values: np.ndarray) -> str:
    """Mean over seeds with its interval, in per cent."""
    if values.size == 1:
        return f"{100 * values.mean():.0f}"
    low, high = reach.interval(values)
    return f"{100 * values.mean():.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """Make the tables that are printed."""
    n = len(summary["seed"])
    seeds = f"mean over {n} seed{'s' * (n > 1)} [95 % interval]"
    followed = Table(title=f"What the report follows, on images held out: {seeds}")
    for column in ("learner", "approved", "is true, %", "is as expected, %", "I(report; state | asker), bit"):
        followed.add_column(column)
    followed.add_column("I(report; asker | state), bit")
    followed.add_column("as in rates, %")
    moved = Table(title=f"What approval changed: {seeds}; probe of the state at s1")
    for column in ("learner", "approved", "reach, hops", "relative change, hop by hop", "probe of before, %"):
        moved.add_column(column)
    moved.add_column("probe fitted anew, %")
    moved.add_column("right actions, %")
    for i, name in enumerate(summary["learner"]):
        before = percent(summary["decoded_before"][i, :, STATE_AT])
        moved.add_row(name, "before", "", "", before, before, percent(summary["action_right_before"][i]))
        change = ", ".join(f"{x:.2g}" for x in reach.spread(summary["phase_difference"][i]))
        moved.add_row("", "floor: other spike phases", "", change, "", "", "")
        for (j, chance), (k, mixture) in product(enumerate(summary["chance"]), enumerate(summary["mixture"])):
            if np.isnan(summary["report_is_state"][i, :, j, k]).all():
                continue
            approved = f"truth in {mixture:.0%}" + (f", asker right in {chance:.0%}" if j else "")
            bits = (str(estimate(summary[f"information_{what}"][i, :, j, k])) for what in ("state", "asker"))
            right = (percent(summary[f"report_is_{what}"][i, :, j, k]) for what in ("state", "asker"))
            in_rates = f"{100 * summary['report_is_rates'][i, :, j, k].mean():.1f}"
            followed.add_row(name if j == k == 0 else "", approved, *right, *bits, in_rates)
            after = (
                percent(values)
                for values in (
                    summary["decoded"][i, :, j, k, STATE_AT],
                    summary["decoded_refitted"][i, :, j, k],
                    summary["action_right"][i, :, j, k],
                )
            )
            change = ", ".join(f"{x:.2g}" for x in summary["change"][i, :, j, k].mean(0))
            moved.add_row("", approved, str(estimate(summary["reach"][i, :, j, k])), change, *after)
        for g, goal in enumerate(summary["goal"]):
            bits = (str(estimate(summary[f"only_information_{what}"][i, :, g])) for what in ("state", "asker"))
            right = (percent(summary[f"only_report_is_{what}"][i, :, g]) for what in ("state", "asker"))
            in_rates = f"{100 * summary['only_report_is_rates'][i, :, g].mean():.1f}"
            followed.add_row("", f"only yes or no: {goal}", *right, *bits, in_rates)
    consulted = Table(
        title=f"The report consulted; of the trials in which the state was not what was reported: {seeds}"
    )
    for column in ("learner", "outcome", "fed back", "state agrees, %", "nothing fed back, %", "new probe, %"):
        consulted.add_column(column)
    consulted.add_column("action follows report, %")
    slack = Table(title=f"Reports of the truth, right in %, some directions of s1 held: {seeds}")
    for column in ("learner", "told", "none held", "those that are read", "as many at random", "all others (slack)"):
        slack.add_column(column)
    slack.add_column("as many at random")
    slack.add_column("decodable from read")
    slack.add_column("decodable from slack")
    acting = Table(title=f"The same agents' actions, right in %, the same directions held: {seeds}")
    for column in ("learner", "told", "none held", "those that are read", "as many at random", "all others (slack)"):
        acting.add_column(column)
    acting.add_column("as many at random")
    acting.add_column("of the derivative, read")
    acting.add_column("of the variance, read")
    for i, name in enumerate(summary["learner"]):
        for (o, outcome), (f, feedback) in product(enumerate(summary["outcome"]), enumerate(summary["feedback"])):
            values = [
                summary[measure][i, :, o, f]
                for measure in (
                    "came_to_agree",
                    "came_to_agree_silent",
                    "came_to_agree_new_probe",
                    "action_follows_report",
                )
            ]
            if not np.isnan(values[0]).all():
                consulted.add_row(name if o == f == 0 else "", outcome, feedback, *map(percent, values))
        for t, told in enumerate(summary["told"]):
            first = name if t == 0 else ""
            read_from = ("decodable_from_read", "decodable_from_slack")
            slack.add_row(
                first, told, *(percent(summary[m][i, :, t]) for m in (*(f"told_{held}" for held in HELD), *read_from))
            )
            shares = ("sensitivity_in_read", "variance_in_read")
            acting.add_row(
                first,
                told,
                *(percent(summary[m][i, :, t]) for m in (*(f"action_told_{held}" for held in HELD), *shares)),
            )
    made = [followed, moved, consulted, slack, acting]
    for table in made:
        table.columns[0].min_width = len("unscreened,")
    return made


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Say what the data favour where the argument holds both answers, and what they say of the claim."""
    said = []
    own, other, reported = (
        list(summary["feedback"]).index(OWN),
        list(summary["feedback"]).index(OTHER),
        list(summary["outcome"]).index(AS_REPORTED),
    )
    for i, name in enumerate(summary["learner"]):
        excess = summary["information_asker"][i, :, 0, 0] - summary["information_state"][i, :, 0, 0]
        verdict = side(excess, 0.0, above="the report follows the asker", below="the report follows the state")
        said.append(
            f"{name}, approved for what the asker expects: {estimate(excess)} bit more of the asker: {verdict}."
        )
        agreed = summary["came_to_agree"][i, :, reported]
        gain = agreed[:, own] - agreed[:, other]
        verdict = side(gain, SHARE_MARGIN, above="the state comes to agree", below="the state does not come to agree")
        said.append(
            f"{name}, acting on what was reported: the state agrees in {estimate(gain)} more of the trials with "
            f"its own report fed back than with that of another trial: {verdict}."
        )
        for t, told in enumerate(summary["told"]):
            loss = summary["told_right"][i, :, t] - summary["told_without_slack"][i, :, t]
            verdict = side(
                loss, ACCURACY_MARGIN, above="slack is used for accurate reports", below="slack is noise to the report"
            )
            said.append(f"{name}, reports of the {told}: {estimate(loss)} fewer are right without slack: {verdict}.")
            for what, prefix in (("reports", "told"), ("actions", "action_told")):
                more = summary[f"{prefix}_without_slack"][i, :, t] - summary[f"{prefix}_without_random_many"][i, :, t]
                more = np.round(more, 9)  # means over random directions are not quite what they are means of
                verdict = side(more, 0.0, above="slack costs less", below="slack costs more")
                said.append(
                    f"  {what}: {estimate(more)} more are right with slack held than with as many random directions: "
                    f"{verdict}."
                )
    return said


def figure(summary: Mapping[str, Any]) -> Figure:
    """Draw what reports follow, what approval changes, and what becomes of a state whose report is consulted."""
    learners, n_seeds = list(summary["learner"]), len(summary["seed"])
    looks = plots.styles(tuple(learners))
    with plots.page(132) as drawn:
        grid = drawn.subplots(2, 3)
        a, b, c, d, e, f = grid.flat
        for axes_, what in ((a, "state"), (b, "asker")):
            given = "asker" if what == "state" else "state"
            for i, look in enumerate(looks):
                bits = summary[f"information_{what}"][i, :, 0]
                line = {"color": look.color, "linestyle": look.line, "marker": look.marker, "label": learners[i]}
                plots.band(axes_, summary["mixture"], bits, **line)
            axes_.axhline(summary[f"floor_{what}"][:, :, 0].mean(), color="0.6", linewidth=0.7, linestyle=":")
            axes_.set_ylim(-0.05, 2.1)
            axes_.set_xlabel("fraction approved for truth (1)")
            axes_.set_ylabel(f"I(report; {what} | {given}) (bit)")
        handles, labels = a.get_legend_handles_labels()
        before = Line2D([], [], linestyle="none", marker="s", color="black", markerfacecolor="white", markersize=4)
        floor_look = Line2D([], [], linestyle=":", color="0.3", marker="o", markerfacecolor="white", linewidth=0.8)
        floor_look.set_markersize(3.5)
        drawn.legend(
            [*handles, before, floor_look],
            [*labels, "before approval (d)", "floor, the learner's marker, open (c)"],
            loc="outside upper center",
            ncols=3,
            handlelength=3.4,
        )
        for i, look in enumerate(looks):
            change = summary["change"][i, :, 0, 0]
            line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
            plots.band(c, summary["hop"], np.where(change > 0, change, np.nan), **line)
            floor = reach.spread(summary["phase_difference"][i])
            at_hop = summary["hop"] + 0.06 * (i - (len(looks) - 1) / 2)
            line = {"color": look.color, "linestyle": ":", "marker": look.marker, "markerfacecolor": "white"}
            c.plot(at_hop, np.where(floor > 0, floor, np.nan), markersize=3.5, linewidth=0.8, **line)
        c.set_yscale("log")
        c.set_ylim(top=1)
        c.yaxis.set_minor_formatter(NullFormatter())
        c.set_xticks(summary["hop"])
        c.set_xlabel("hops upstream of the report")
        c.set_ylabel("relative change of weights (1)")
        _bars(d, summary["decoded_before"][0, :, STATE_AT], -1, "black", "s", face="white")
        for i, look in enumerate(looks):
            _bars(d, summary["decoded"][i, :, 0, 0, STATE_AT], i, look.color, look.marker)
            _bars(d, summary["action_right"][i, :, 0, 0], i + len(looks) + 2, look.color, look.marker)
        _bars(d, summary["action_right_before"][0], len(looks) + 1, "black", "s", face="white")
        middle = (len(looks) - 1) / 2
        d.set_xticks([middle, middle + len(looks) + 2], ["state decoded\nat s1", "action right"])
        d.axhline(25, color="0.6", linewidth=0.7, linestyle=":")
        d.set_ylim(0, 103)
        d.set_ylabel("accuracy (%)")
        at = list(summary["outcome"]).index(AS_REPORTED)
        width = len(looks) + 1
        for g, (measure, k) in enumerate(
            (("came_to_agree", 0), ("came_to_agree", 1), ("came_to_agree", 2), ("action_follows_report", 0))
        ):
            for i, look in enumerate(looks):
                _bars(e, summary[measure][i, :, at, k], g * width + i, look.color, look.marker)
        e.set_xticks(
            [middle + g * width for g in range(4)], ["state:\nown", "state:\nnone", "state:\nother", "action:\nown"]
        )
        e.set_xlabel("what agrees with the report: what was fed back")
        e.set_ylim(-3, 103)
        e.set_ylabel("came to agree (% of trials)")
        block = len(HELD) * (width + 2) + 3
        for t, told in enumerate(summary["told"]):
            for g, measure in enumerate(HELD):
                for i, look in enumerate(looks):
                    x = t * block + g * (width + 2) + 1.6 * i
                    _bars(f, summary[f"told_{measure}"][i, :, t], x, look.color, look.marker)
            ends = [t * block - 1, t * block + (len(HELD) - 1) * (width + 2) + 1.6 * (len(looks) - 1) + 1]
            f.plot(ends, [100 / CHOICES[told]] * 2, color="0.6", linewidth=0.7, linestyle=":")
            f.text(t * block + 2 * (width + 2) + 1.6 * middle, 108, told, ha="center", va="center", fontsize=6)
        groups = [t * block + g * (width + 2) + 1.6 * middle for t in range(len(summary["told"])) for g in range(5)]
        f.set_xticks(groups, list("0rRsS") * len(summary["told"]))
        f.set_xlabel("directions of s1 that are held")
        f.set_ylim(0, 113)
        f.set_yticks(range(0, 101, 20))
        f.set_ylabel("right reports (%)")
        titles = (
            "follows the state",
            "follows the asker",
            "approved: as expected",
            "approved: as expected",
            "acting on what was reported",
            "trained on truth",
        )
        for axes_, name, title in zip(grid.flat, "abcdef", titles, strict=True):
            plots.letter(axes_, name)
            plots.heading(axes_, title)
        plots.note(
            drawn,
            "a, b: dotted, reports shuffled. c: hops that did not change are left out; floor: the same life with "
            "other spike phases, none in rates. d: the probe of before. d, f: dotted, chance. e: of the trials in "
            "which the state was not what was reported. f: 0 nothing held, r the directions that the action reads, s "
            "all others (slack), R and S as many random ones. "
            + (
                "One seed, and therefore no interval."
                if n_seeds == 1
                else f"Mean over {n_seeds} seeds; bars and bands: 95 % bootstrap interval over seeds."
            ),
        )
    return drawn


def _bars(axes_: Axes, values: np.ndarray, x: float, color: str, marker: str, *, face: str = "") -> None:
    """Draw a mean over seeds with its interval, in per cent."""
    low, high = reach.interval(values)
    mean = np.mean(values)
    axes_.errorbar(
        x,
        100 * mean,
        100 * np.array([[max(0, mean - low)], [max(0, high - mean)]]),
        color=color,
        marker=marker,
        markerfacecolor=face or color,
        markersize=3.5,
        capsize=1.5,
        linewidth=0.9,
    )


def show(path: Path) -> None:
    """Print the tables and draw the figure."""
    with h5py.File(path) as file:
        summary = recording.read_labelled(file["summary"], ROWS)
        rates = recording.read_labelled(file["learning_rate_sweep"], SWEEP_ROWS)
    console = script.console()
    for table in tables(summary):
        console.print(table)
    for name, tried, score, chosen in zip(
        rates["learner"], rates["rate"], rates["score"], summary["learning_rate"], strict=True
    ):
        there = tried[np.isfinite(score)]
        if there.size:
            edge = ", on the edge of what was tried" if chosen in (there.min(), there.max()) else ""
            scored = ", ".join(f"{r:g}: {100 * s:.1f}" for r, s in zip(tried, score, strict=True) if np.isfinite(s))
            console.print(f"{name}: learning rate {chosen:g} per event{edge} (score {scored}).", soft_wrap=True)
    for line in sentences(summary):
        console.print(line, soft_wrap=True)
    for written in plots.save(figure(summary), path.with_suffix("")):
        console.print(f"wrote {written}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    return script.command_line(
        argv,
        doc=__doc__,
        name="self_report",
        settings={"": Config(), "quick": QUICK},
        sizes={"quick": "one agent, few events and mixtures, half a minute"},
        work=lambda config, out, jobs: show(run(config, out, jobs=jobs)),
    )


if __name__ == "__main__":
    sys.exit(main())
