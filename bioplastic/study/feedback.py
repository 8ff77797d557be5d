"""Feedback weights that a network begins with: what a `Learner` may be given as its `feedback`."""

from __future__ import annotations

from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.rules.broadcast import random_broadcast
from bioplastic.rules.equilibrium_relay import agreeing_feedback
from bioplastic.rules.fixed_feedback import random_feedback
from bioplastic.tasks import Task


def at_start(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return the forward weights of the start: what later stages of a life begin with, if feedback weights stay.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    task : Task
    seed : int
    """
    return Feedback(weights.forward)


def random(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return random feedback weights along the projections, of the size of the forward ones.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    task : Task
    seed : int
    """
    return random_feedback(circuit, weights, seed)


def broadcast(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return random weights from the error source to every hidden population.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    task : Task
    seed : int
    """
    return random_broadcast(circuit, seed)


def agreeing(circuit: Circuit, weights: Weights, task: Task, seed: int) -> Feedback:
    """Return feedback weights with which both dendrites of every cell agree on the background.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
    task : Task
    seed : int
    """
    background = task.indices(rare=False, held_out=False)
    return agreeing_feedback(circuit, weights, task.stimuli[background])
