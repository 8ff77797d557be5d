"""What has to be known before a model can be built."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from brian2 import ms
from brian2.units.fundamentalunits import Quantity

from bioplastic import hippocampus as hippocampal
from bioplastic.cells import CellParameters
from bioplastic.circuit import Circuit, CircuitError
from bioplastic.hippocampus import Hippocampus
from bioplastic.rules.form import Rule
from bioplastic.tasks import Task


@dataclass(frozen=True)
class ModelSpec:
    """What has to be known to build a model; everything else may differ from life to life.

    Attributes
    ----------
    circuit : Circuit
    rule : Rule
        Only its equations count.
    n_stimuli, n_outcomes : int
        Rows of the tables of stimuli and outcomes.
    n_steps : int
        Longest life, in units of `resolution`.
    resolution : Quantity
        As in `Timing`.
    n_snapshots : int
        Most snapshots of the weights in a life.
    parameters : CellParameters
    dt : Quantity
        Time step.
    record_spikes : bool
        Whether ordinary spikes are recorded.
    restoring : bool
        Whether a life may pull weights back to where they started (`Life.tau_w`).
    hippocampus : Hippocampus, optional
        With it an attention loop holds what is salient, so that salience does not lengthen the outcome itself.

    Raises
    ------
    CircuitError
        The hippocampus names a population that does not exist, or one of the wrong role.
    """

    circuit: Circuit
    rule: Rule
    n_stimuli: int
    n_outcomes: int
    n_steps: int
    resolution: Quantity = field(default_factory=lambda: 10 * ms)
    n_snapshots: int = 12
    parameters: CellParameters = field(default_factory=CellParameters)
    dt: Quantity = field(default_factory=lambda: 1 * ms)
    record_spikes: bool = False
    restoring: bool = False
    hippocampus: Hippocampus | None = None

    def __post_init__(self) -> None:
        if self.hippocampus is None:
            return
        hippocampal.check_names(self.hippocampus, [p.name for p in self.circuit.populations])
        for target in self.hippocampus.targets:
            if self.circuit.population(target.population).role == "hidden":
                raise CircuitError(
                    f"target {target.population!r} of the hippocampus is hidden; memory reinstates what the outside "
                    "world drives: give inputs and error sources."
                )
        if self.circuit.population(self.hippocampus.surprise).role != "error source":
            raise CircuitError(
                f"surprise {self.hippocampus.surprise!r} of the hippocampus is no error source, so nothing would be "
                f"held; give one of {', '.join(p.name for p in self.circuit.error_sources)}."
            )

    @classmethod
    def with_room(
        cls,
        circuit: Circuit,
        rule: Rule,
        task: Task,
        n_steps: float,
        *,
        n_snapshots: int = n_snapshots,
        restoring: bool = restoring,
        hippocampus: Hippocampus | None = None,
    ) -> ModelSpec:
        """Return a spec with room for a task and lives of `n_steps` or more; few sizes, so that few are compiled."""
        capacity = max(2**17, 2 ** int(np.ceil(np.log2(n_steps + 2))))
        sizes = len(task.stimuli), len(task.outcomes), capacity
        return cls(circuit, rule, *sizes, n_snapshots=n_snapshots, restoring=restoring, hippocampus=hippocampus)
