"""Lives in the rate twin: every step of the loop handles one event of all networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bioplastic.circuit import Circuit, Weights
from bioplastic.events import NO_OUTCOME, OWN_PREDICTION
from bioplastic.life import Life, Lived
from bioplastic.rules.twin_form import Inferred, TwinRule
from bioplastic.tasks import Task
from bioplastic.twin.networks import Networks
from bioplastic.twin.threads import one_thread


def live(
    circuit: Circuit,
    task: Task,
    lives: Sequence[Life],
    *,
    progress: Callable[[float], None] | None = None,
    device: str = "cpu",
) -> list[Lived]:
    """Live many lives at once.

    A replay is an event like any other. In a rest nothing is shown and nothing learned, however long it is. On the CPU
    torch computes with one thread, so that the same lives give the same bits whatever else the process does. What is
    lived beside a life moves it by rounding (and by the tolerance of an equilibrium): where bits matter, live it in the
    same company.

    Parameters
    ----------
    circuit : Circuit
    task : Task
    lives : sequence of Life
        All of the same number of events, by rules of the twin that differ in their learning rates only.
    progress : callable, optional
        Called with the fraction of the events that is done.
    device : str, optional
        Torch device.

    Returns
    -------
    list of Lived

    Raises
    ------
    ValueError
        The lives differ in their number of events or in how they infer, or one asks for what the twin does not have.
    ScheduleError
        A schedule does not fit the task.
    InferenceError
        Inference is unstable, or finds no equilibrium.
    """
    if not lives:
        return []
    rule = _common_rule(lives)
    n_events = len(lives[0].schedule)
    tasks = [task if life.task is None else life.task for life in lives]
    for life, own in zip(lives, tasks, strict=True):
        life.schedule.check(own, life.snapshots)
    told, first_stimulus, first_outcome = _joined(tasks)
    networks = Networks.stack(circuit, [life.weights for life in lives], device=device)
    stimuli = torch.tensor(told.stimuli, device=device)
    outcomes = torch.tensor(told.outcomes, device=device)
    reward = None if told.reward is None else torch.tensor(told.reward, dtype=outcomes.dtype, device=device)
    shown = np.stack([life.schedule.stimulus for life in lives])
    stimulus = torch.tensor(shown + first_stimulus[:, None], device=device)
    resting = torch.tensor(np.stack([life.schedule.resting for life in lives]), device=device)
    happens = np.stack([life.schedule.outcome for life in lives])
    outcome = torch.tensor(np.where(happens < 0, happens, happens + first_outcome[:, None]), device=device)
    outcome = outcome.masked_fill(resting, NO_OUTCOME)
    eta = torch.tensor(np.stack([life.rule.rates(circuit.n_hops) for life in lives]), device=device)
    learns = bool(eta.any())
    hop = {name: int(h) for name, h in circuit.population_hops.items() if np.isfinite(h)}
    predictions = torch.full((len(lives), n_events, outcomes.shape[1]), torch.nan, dtype=torch.float64, device=device)
    signals = torch.zeros(len(lives), n_events, circuit.n_hops, dtype=torch.float64, device=device)
    snapshots: list[list[Weights]] = [[] for _ in lives]
    wanted: dict[int, list[int]] = {}
    for k, life in enumerate(lives):
        for event in life.snapshots:
            wanted.setdefault(int(event), []).append(k)
    checked = False
    with one_thread():
        for event in range(n_events):
            if not resting[:, event].all():
                state = networks.potentials(stimuli[stimulus[:, event], None])
                prediction = networks.prediction(state)
                predictions[:, event] = prediction[:, 0].masked_fill(resting[:, event, None], torch.nan)
                happening = _happening(outcome[:, event], outcomes, reward, prediction)
                if not checked:
                    rule.check(networks, state, happening)
                    checked = True
                inferred = rule.infer(networks, state, happening)
                for name, value in inferred.delta.items():
                    signals[:, event, hop[name]] += value.abs().sum((1, 2))
                if learns:
                    _learn(networks, inferred, eta)
            for k in wanted.get(event, ()):
                snapshots[k].append(networks.weights(k))
            if progress is not None:
                progress((event + 1) / n_events)
    return [
        Lived(
            prediction=predictions[k].cpu().numpy(),
            error_signal=signals[k].cpu().numpy(),
            snapshots=tuple(snapshots[k]),
            weights=networks.weights(k),
        )
        for k in range(len(lives))
    ]


def _joined(tasks: Sequence[Task]) -> tuple[Task, np.ndarray, np.ndarray]:
    """Put the tables of lives below each other; returns where each life's stimuli, and its outcomes, begin."""
    different = list({id(task): task for task in tasks}.values())
    at = {id(task): k for k, task in enumerate(different)}
    first = [
        np.cumsum([0, *(len(table) for table in tables)])[[at[id(task)] for task in tasks]]
        for tables in ([task.stimuli for task in different], [task.outcomes for task in different])
    ]
    if len(different) == 1:
        return different[0], first[0], first[1]
    rewards = [np.ones_like(one.outcomes) if one.reward is None else one.reward for one in different]
    stimuli = np.concatenate([one.stimuli for one in different])
    outcomes = np.concatenate([one.outcomes for one in different])
    joined = replace(
        different[0],
        stimuli=stimuli,
        outcomes=outcomes,
        label=np.concatenate([one.label for one in different]),
        held_out=np.concatenate([one.held_out for one in different]),
        reward=np.concatenate(rewards),
    )
    return joined, first[0], first[1]


def _happening(happens: Tensor, outcomes: Tensor, reward: Tensor | None, prediction: Tensor) -> Tensor:
    """What happens to the error sources, shape (n_networks, 1, n_outputs): their own prediction if nothing else."""
    known = (happens != NO_OUTCOME) & (happens != OWN_PREDICTION)
    told = outcomes[happens.clamp(min=0), None]
    if reward is not None:
        told = prediction + reward[happens.clamp(min=0), None] * (told - prediction)
    return torch.where(known[:, None, None], told, prediction)


def _learn(networks: Networks, inferred: Inferred, eta: Tensor) -> None:
    """Change weights and biases by what a rule has made of an event, at rates `eta` (n_networks, n_hops)."""
    circuit, keep = networks.circuit, inferred.keep
    rates = {name: eta[:, int(circuit.population_hops[name]), None] for name in inferred.delta}
    for projection in circuit.projections:
        if projection.plastic and projection.target in inferred.delta:
            step = rates[projection.target].unsqueeze(2) * inferred.delta[projection.target]
            weights, rate = networks.forward[projection.name], inferred.rate[projection.source]
            if keep is None:
                weights.baddbmm_(step.mT, rate)
            else:
                weights += keep(step.mT @ rate)
    for name, value in inferred.delta.items():
        step = rates[name] * value.sum(1)
        networks.bias[name] += step if keep is None else keep(step)


def _common_rule(lives: Sequence[Life]) -> TwinRule:
    """Return a rule that infers as those of all lives do, if they can be lived at once."""
    for life in lives:
        _check_life(life)
    lengths = sorted({len(life.schedule) for life in lives})
    if len(lengths) > 1:
        raise ValueError(f"lives of {lengths} events cannot be lived at once; give all the same number of events.")
    first: TwinRule = lives[0].rule.inference
    for life in lives:
        if life.rule.inference != first:
            raise ValueError(
                f"lives by {first} and by {life.rule.inference} cannot be lived at once; give lives of one kind of "
                "rule, whose parameters differ in the learning rates only, and call live() once for each kind."
            )
    return first


def _check_life(life: Life) -> None:
    """Raise ValueError if a life asks for what the twin does not have."""
    if not isinstance(life.rule, TwinRule):
        raise ValueError(
            f"rule = {life.rule} is no rule of the rate twin; give one that inherits from "
            "bioplastic.rules.twin_form.TwinRule, such as Backprop(eta=0.03)."
        )
    if life.feedback is not None:
        raise ValueError(
            f"feedback = weights of {', '.join(life.feedback.weights)}: the rate twin has no feedback weights beside "
            "the forward ones; leave it out (None)."
        )
    if np.isfinite(float(life.tau_w)):
        raise ValueError(f"tau_w = {life.tau_w}: nothing pulls the rate twin's weights back; leave it out (infinite).")
    if float(life.replay.rate):
        raise ValueError(
            f"replay rate = {life.replay.rate}: the rate twin has no hippocampus; leave it out (0 Hz), and put replays "
            "into the schedule as events (bioplastic.replay_buffer)."
        )
    if life.memory is not None:
        raise ValueError(
            f"memory = {len(life.memory.strength)} index cells: the rate twin has no hippocampus; leave it out (None)."
        )
