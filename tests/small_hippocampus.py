"""A hippocampus of three memories, and a network of one's own that has it: for the tests of its cells and lives."""

from dataclasses import dataclass, replace

import numpy as np
from brian2 import EventMonitor, Hz, Network, NeuronGroup, SpikeMonitor, StateMonitor, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.hippocampus.circuit import HippocampalCircuit, build
from bioplastic.hippocampus.equations import HELD, RECALL_EQUATIONS, RECALLED
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay, Target

SMALL = Hippocampus((Target("x"), Target("y", 100 * ms)), "y", n_index=12)
"""Three memories of four index cells, two for each target."""


def changed(**changes) -> Hippocampus:
    return replace(SMALL, **changes)


def memories(n: int, hippocampus: Hippocampus = SMALL, **options) -> Memory:
    """Of four cells of x and two of y."""
    rng = np.random.default_rng(0)
    return Memory.of(hippocampus, {"x": rng.random((n, 4)), "y": rng.random((n, 2))}, **options)


OWN_CELLS = """
world : 1   # what the world makes them do, a fraction of the maximal rate
left : 1    # error spikes yet to be sent
phase : 1
"""


@dataclass(frozen=True)
class Small:
    """Cells that fire as the world or memory says, and send as many error spikes as they are told to."""

    hippocampus: Hippocampus
    cells: NeuronGroup
    circuit: HippocampalCircuit
    network: Network
    spikes: SpikeMonitor
    held: SpikeMonitor
    index: SpikeMonitor
    hold: StateMonitor
    recalls: EventMonitor
    writes: EventMonitor

    @classmethod
    def make(cls, hippocampus: Hippocampus, n_x: int, n_y: int, *, store: bool = True) -> "Small":
        cells = NeuronGroup(
            n_x + n_y,
            OWN_CELLS + RECALL_EQUATIONS,
            threshold="phase >= 1",
            reset="phase -= 1",
            events={"error": "left >= 1"},
            namespace={"rmax": 100 * Hz},
        )
        cells.run_on_event("error", "left -= 1")
        cells.run_regularly(f"phase += (present*world + {HELD}*{RECALLED})*rmax*dt", when="before_thresholds")
        circuit = build(hippocampus, {"x": cells[:n_x], "y": cells[n_x:]}, drive="")
        watchers = (
            SpikeMonitor(cells),
            SpikeMonitor(circuit.salience),
            SpikeMonitor(circuit.index),
            StateMonitor(circuit.salience, "S", record=True),
            EventMonitor(circuit.index, "ignition"),
            EventMonitor(circuit.index, "write"),
        )
        network = Network(cells, *circuit.objects, *watchers)
        if store:
            network.store()
        return cls(hippocampus, cells, circuit, network, *watchers)

    def start(self, memory: Memory | None = None, replay: Replay | None = None, seed: int = 0) -> None:
        self.network.restore()
        for (part, name), value in start_values(self.hippocampus, replay or Replay(), memory, seed=seed).items():
            setattr(self.circuit.parts[part], name, value)

    def run(self, length: Quantity) -> None:
        self.network.run(length, namespace={})

    def live_through(self, rates: np.ndarray, n_errors: int, importance: float = 1, after: Quantity = 600 * ms) -> None:
        """Show something for 200 ms, then be surprised in all cells of y at once, then nothing."""
        self.cells.world, self.cells.present = rates, 1
        self.circuit.salience.importance = importance
        self.run(200 * ms)
        n_x, n_y = (target.N for target in self.circuit.targets)
        self.cells.left[n_x:] = n_errors / n_y
        self.run(n_errors / n_y * ms)
        self.cells.present = 0
        self.run(after)

    def reactivate(self, length: Quantity = 400 * ms) -> None:
        self.circuit.ripples.resting = 1
        self.circuit.ripples.wait = 0 * ms
        self.run(length)

    @property
    def longest(self) -> float:
        """For how long, in s, the event was to be held at most."""
        return float((self.hold.S[0] / second).max())

    @property
    def still_held(self) -> float:
        return float(self.circuit.salience.S[0] / second)

    def n_spikes(self, begin: float, end: float) -> np.ndarray:
        """Of each cell, between two times in ms."""
        time = self.spikes.t / ms
        return np.bincount(self.spikes.i[(time >= begin) & (time < end)], minlength=self.cells.N)
