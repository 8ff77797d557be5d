"""What is read back after a life, and what it says: counts, weights at the snapshots, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from brian2 import second

from bioplastic.circuit import Circuit, Feedback, Weights
from bioplastic.events import Timeline
from bioplastic.life import Life, Lived, SpikeTrain
from bioplastic.spiking.memory import remembered
from bioplastic.spiking.network import unflat
from bioplastic.spiking.spec import ModelSpec

_RESULTS = {
    "V": ("cells", "V"),
    "bias": ("cells", "bias"),
    "abias": ("cells", "abias"),
    "w": ("synapses", "w"),
    "fb": ("synapses", "fb"),
    "unhealthy": ("health", "unhealthy"),
    "activity": ("health", "activity"),
    "error_time": ("errors", "t"),
    "error_cell": ("errors", "i"),
    "error_mismatch": ("errors", "E"),
    "prediction": ("predictions", "prediction"),
    "spike_time": ("spikes", "t"),
    "spike_cell": ("spikes", "i"),
    "ignition_time": ("ignitions", "t"),
    "ignition_cell": ("ignitions", "i"),
    "ignition_u": ("ignitions", "u"),
    "ignition_cue": ("ignitions", "cue"),
    "ignition_alert": ("ignitions", "alert"),
    "written_time": ("writes", "t"),
    "written_cell": ("writes", "i"),
    "index_time": ("index_spikes", "t"),
    "index_cell": ("index_spikes", "i"),
    "strength": ("index", "strength"),
    "tag": ("index", "tag"),
}
_SAME_TIME = 1e-9
"""In s: less than any time step, more than the rounding of times."""


def result_variables(spec: ModelSpec) -> dict[str, tuple[str, str]]:
    """Return what is read back after a life: name here -> (object, variable).

    Parameters
    ----------
    spec : ModelSpec
    """
    absent = set() if spec.record_spikes else {"spikes"}
    absent |= set() if spec.hippocampus else {"ignitions", "writes", "index_spikes", "index"}
    names = {k: v for k, v in _RESULTS.items() if v[0] not in absent}
    n_targets = len(spec.hippocampus.targets) if spec.hippocampus else 0
    names |= {f"memory[{k}]": (f"memory[{k}]", "w") for k in range(n_targets)}
    return names | {f"copy_{k}": ("copies", f"copy_{k}") for k in range(1, spec.n_snapshots + 1)}


def lived(spec: ModelSpec, life: Life, timeline: Timeline, found: Mapping[str, np.ndarray]) -> Lived:
    """Return what a life leaves behind.

    Parameters
    ----------
    spec : ModelSpec
    life : Life
    timeline : Timeline
        Of its schedule.
    found : mapping of str to array
        The `result_variables`, and ``run_time``.
    """
    circuit = spec.circuit
    bias, apical_bias = (
        np.split(found[name], np.cumsum([p.size for p in circuit.populations])[:-1]) for name in ("bias", "abias")
    )
    sampled = found["prediction"].reshape(-1, sum(p.size for p in circuit.error_sources))
    windows = zip(timeline.decision, timeline.look_end, strict=True)
    onset = timeline.onset * float(spec.resolution / second)
    error_spikes = SpikeTrain(
        found["error_time"], found["error_cell"].astype(int), np.sign(found["error_mismatch"]).astype(int)
    )
    copies = [found[f"copy_{k + 1}"] for k in range(len(life.snapshots))]
    return Lived(
        prediction=np.array([sampled[first:last].mean(0) for first, last in windows]),
        error_signal=count_error_spikes(circuit, onset, error_spikes),
        snapshots=snapshot_weights(circuit, life, onset, error_spikes, copies),
        weights=Weights(
            unflat(circuit, found["w"]),
            {p.name: b for p, b in zip(circuit.populations, bias, strict=True) if p.role != "input"},
        ),
        feedback=life.feedback
        if life.feedback is not None and life.rule.code.on_broadcast
        else Feedback(
            unflat(circuit, found["fb"]),
            {p.name: b for p, b in zip(circuit.populations, apical_bias, strict=True) if p.role == "hidden"},
        ),
        onset=onset,
        error_spikes=error_spikes,
        spikes=SpikeTrain(found["spike_time"], found["spike_cell"].astype(int)) if spec.record_spikes else None,
        remembered=None if spec.hippocampus is None else remembered(spec.hippocampus, found),
        run_time=float(found["run_time"]),
    )


def count_error_spikes(circuit: Circuit, onset: np.ndarray, error_spikes: SpikeTrain) -> np.ndarray:
    """Count error spikes by event and hop; those of cells at no hop, from which no weight is reached, are left out.

    Parameters
    ----------
    circuit : Circuit
    onset : array, shape (n_events,)
        Time in s at which each event began.
    error_spikes : SpikeTrain

    Returns
    -------
    array of int, shape (n_events, n_hops)
    """
    event = np.searchsorted(onset, error_spikes.time + _SAME_TIME, side="right") - 1
    hop_of_cell = np.concatenate([np.full(p.size, circuit.population_hops[p.name]) for p in circuit.populations])
    hop = hop_of_cell[error_spikes.cell]
    counted = hop < circuit.n_hops
    counts = np.zeros((len(onset), circuit.n_hops), int)
    np.add.at(counts, (event[counted], hop[counted].astype(int)), 1)
    return counts


def snapshot_weights(
    circuit: Circuit, life: Life, onset: np.ndarray, error_spikes: SpikeTrain, copies: Sequence[np.ndarray]
) -> tuple[Weights, ...]:
    """Return weights and biases at the snapshots.

    Only weights are copied while a life runs, but every error spike moves the bias of its cell by ``eta theta``, and
    nothing else does.

    Parameters
    ----------
    circuit : Circuit
    life : Life
    onset : array, shape (n_events,)
        Time in s at which each event began.
    error_spikes : SpikeTrain
    copies : sequence of array, shape (n_synapses,)
        Forward weights at each snapshot, in the order of `flat`.
    """
    assert error_spikes.sign is not None
    ends, found = np.append(onset, np.inf), []
    for event, row in zip(life.snapshots, copies, strict=True):
        # A snapshot is taken after the error spikes of its step, the first of the next event.
        before = error_spikes.time <= ends[event + 1] + _SAME_TIME
        signs = np.bincount(error_spikes.cell[before], error_spikes.sign[before], minlength=circuit.n_cells)
        step = life.rule.eta * life.rule.theta
        bias = {name: b + step * signs[circuit.slices[name]] for name, b in life.weights.bias.items()}
        found.append(Weights(unflat(circuit, row), bias))
    return tuple(found)
