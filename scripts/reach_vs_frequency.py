"""Measure how many hops upstream a rare event reaches, in spikes and in backprop.

Question
    A chain has learned the digits 0 to 8; now and then a 9 comes along. How far upstream does its error signal get
    (weights frozen), and how far does change get (weights learning), as a function of how often it comes?
Source
    The argument and the model: docs/model.md; the circuit and its parameters: models/chain.py; what is measured:
    bioplastic/study/reach_study.py.
Command
    python scripts/reach_vs_frequency.py [--quick | --full] [--hops N] [--seeds N] [--out FILE] [--jobs N]
Running time
    On two cores: default 5 minutes, --quick 1 minute, --full 1 hour. It may be interrupted and goes on.
Output
    One HDF5 file (docs/recording.md), two figures beside it as PNG and PDF, a table on the terminal.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bioplastic_models import chain

from bioplastic.circuit import Circuit
from bioplastic.rules.backprop import Backprop
from bioplastic.rules.latent_equilibrium import LatentEquilibrium
from bioplastic.rules.predictive_coding import PredictiveCoding
from bioplastic.study import Learner
from bioplastic.study.reach_study import ReachSettings, reach_study
from bioplastic.tasks import Task, digits


@dataclass(frozen=True)
class Settings(ReachSettings):
    """Settings of the experiment; together with the library's version they determine every number."""

    n_hops: int = chain.N_HOPS
    """Length of the chain, in hops."""
    spiking_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03)
    """Learning rates to choose from, in spikes."""
    backprop_rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Learning rates to choose from, in the twin."""
    truncation: int = 3
    """Last hop that learns in truncated backprop, and the inference steps of predictive coding that is screened."""
    inference_step: float = 0.2
    """Step size of predictive coding."""
    latent_step: float = 0.5
    """Time step of Latent Equilibrium, in units of tau_m."""
    attenuation: float = 0.5
    """Factor per hop on the learning rate of backprop with a falling rate."""


SETTINGS = {
    "": Settings(),
    "quick": Settings(
        event_fractions=(0.03, 0.3),
        seeds=(0, 1),
        n_events=40,
        n_occurrences_frozen=2,
        n_events_frozen=40,
        spiking_rates=(0.001, 0.003),
        backprop_rates=(0.03, 0.1),
        n_probes=10,
    ),
    "full": Settings(
        event_fractions=(0.003, 0.01, 0.03, 0.1, 0.3),
        seeds=tuple(range(10)),
        n_events=1000,
        spiking_rates=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    ),
}


def circuit(settings: Settings) -> Circuit:
    return chain.circuit(settings.n_hops)


def task(settings: Settings) -> Task:
    return digits()


def learners(settings: Settings) -> list[Learner]:
    """Return all learners, in the order of tables and figures."""
    n_hops, depth = settings.n_hops, settings.truncation
    brief, long = chain.timing(n_hops), chain.long_timing(n_hops)
    slow, fast = settings.spiking_rates, settings.backprop_rates
    relaxing = partial(PredictiveCoding, step_size=settings.inference_step)
    # An error travels one hop per time step; the outcome has to stay until it can have passed every hop.
    latent = partial(LatentEquilibrium, dt=settings.latent_step, duration=settings.latent_step * max(12, n_hops))
    return [
        Learner("error relay", partial(chain.screened, n_hops=n_hops), brief, slow),
        Learner("error relay, unscreened", chain.unscreened, long, slow),
        Learner("backprop", Backprop, brief, fast),
        Learner("backprop, truncated", partial(Backprop, depth=depth), brief, fast),
        Learner("backprop, falling rate", partial(Backprop, attenuation=settings.attenuation), brief, fast),
        Learner(f"predictive coding, {depth} steps", partial(relaxing, steps=depth), brief, fast),
        Learner("predictive coding, equilibrium", partial(relaxing, steps=None), brief, fast),
        Learner("latent equilibrium", latent, brief, fast),
    ]


STUDY = reach_study(
    "reach_vs_frequency",
    "How many hops upstream a rare event reaches, per event frequency",
    SETTINGS,
    circuit=circuit,
    task=task,
    learners=learners,
    script=Path(__file__),
    running_time={"": "5 minutes", "quick": "a minute", "full": "an hour"},
)

if __name__ == "__main__":
    sys.exit(STUDY.main())
