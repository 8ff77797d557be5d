"""Attention, one-shot memory and replay as Brian2 objects, for a circuit of this library or a network of your own.

    salience    S += importance hold_per_error theta    at an error spike of the error source, while the world drives it
                lit when S > ignition; then it fires, and dS/dt = -1, until S = 0: the longer, the greater the surprise
    gates       one cell per target; open while the salience cell fires, or for a set time once the index fires
    attention   one cell per cell of a target; takes its rate from the interval between its partner's last spikes that
                the world drove, or from index cells; while the gate is open it keeps it (recurrent excitation of gain
                1) and drives its partner
    index       assemblies that race and inhibit each other: one at a time. During a hold the weakest memory's assembly
                has a plateau and writes, in one shot, w = what each attention cell has done in the last seconds
    ripples     while resting, now and then, all assemblies race with hazards tag*strength*(1 - tired): the winner fires
                a ripple for each target, one after the other, and the loop holds what is reinstated in between
    recall      an attention cell's spike adds w - w^2/(2 a) to every index cell, a its own activity: the squared
                distance between cue and memory over the cells that are cued

What reaches the cortex is spikes over synapses: onto `recalled` (what to do) and `gated` (whether to do it) of the
targets' cells. There is no learning rule for replay: the cortex learns by its own.

Sources: one-shot writing by plateaus, gated and seconds wide: Bittner et al. (2017), doi:10.1126/science.aan3846, and
Wu and Maass (2025), doi:10.1038/s41467-024-55563-6; graded activity that a loop of gain 1 holds: Seung et al. (2000),
doi:10.1023/A:1008971908649; sharp-wave ripples: Buzsaki (2015), doi:10.1002/hipo.22488; what is tagged awake is what is
replayed: Yang et al. (2024), doi:10.1126/science.adk8261. `docs/hippocampus.md` has the equations, the literature's
ranges beside what is measured here, and the deviations.
"""

from bioplastic.hippocampus.circuit import HippocampalCircuit, build
from bioplastic.hippocampus.equations import (
    BURST_RATE,
    DRIVE,
    HELD,
    OPEN,
    RACE,
    RECALL_EQUATIONS,
    RECALLED,
    SETTLING,
    TAU_GATE,
)
from bioplastic.hippocampus.memory import Memory, start_values
from bioplastic.hippocampus.parameters import Hippocampus, Replay, Target, check_names

__all__ = [
    "BURST_RATE",
    "DRIVE",
    "HELD",
    "OPEN",
    "RACE",
    "RECALLED",
    "RECALL_EQUATIONS",
    "SETTLING",
    "TAU_GATE",
    "HippocampalCircuit",
    "Hippocampus",
    "Memory",
    "Replay",
    "Target",
    "build",
    "check_names",
    "start_values",
]
