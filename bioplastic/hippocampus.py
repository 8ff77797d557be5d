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

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from brian2 import Clock, Hz, NeuronGroup, Subgroup, Synapses, ms, second
from brian2.units.fundamentalunits import Quantity

from bioplastic.cells import JUMP, CellParameters
from bioplastic.chance import MODULUS, draw, uniform
from bioplastic.circuit import CircuitError
from bioplastic.relays import declare_relay
from bioplastic.units import UnitError, quantity

CONTROL_STEP = 5 * ms
"""Time step of salience cell, gates, ripples and index, to save time: from one spike of a ripple to the next. Attention
cells have that of the cells."""
CONTROL_RATE = 100 * Hz
"""At which the salience cell and the gates fire while they are on."""
BURST_RATE = 200 * Hz
"""At which index cells fire in a ripple: the ripple band of the rat is 150 to 200 Hz (Buzsaki 2015)."""
TAU_LOOP = 10 * ms
"""Of what attention cells hear of index cells: shorter than the shortest ripple, so that a ripple fills the loop."""
TAU_GATE = 10 * ms
TAU_RECALLED = 30 * ms
"""Of what target cells hear of attention cells: about the interval between spikes, so that the drive is smooth."""
TAU_CUE = 1 * second
OPEN = 0.25
"""Trace of its spikes, each of which sets it to 1, above which a gate counts as open: 14 ms after the last one."""
SETTLING = 5 * ms
"""From winning the race to writing; assemblies that were a fraction of a step slower have dropped out by then."""
RACE = 20 * ms
"""Length of the race at the beginning of a ripple."""
HAZARD = 3.0
"""Of the strongest memory in that race: it fires with probability 1 - exp(-3), 95 %, so that few ripples are empty."""
EAGERNESS = 0.5
"""By how much a memory of strength 1 slows its assembly in the race for a plateau: the weakest wins."""
RECALL_EVIDENCE = 0.6
"""Evidence per cell at which a memory is recalled by a cue, in spikes."""
SILENT = 0.05
"""Level below which an attention cell says nothing of a cue: it has not been shown, which is not the same as 0."""
MARGIN = 100 * ms
"""Silence after a reactivation before the next can begin."""

NEVER = 1e9 * second
"""Interval between reactivations where there are none; compiled programs cannot be given infinity."""

RECALL_EQUATIONS = """
recalled : 1   # trace of the attention cell's spikes
opened : 1     # trace of its gate's spikes: over how long the former has added up
gated : 1      # the same, faster: whether the gate is open
present : 1    # 1 while the outside world drives the cell: then memory does not
"""
"""What cells need that are to be targets, beside `rmax` in their namespace."""
# Not differential equations, which would cost as much for all other cells of the group.
_FADE = f"""
recalled = recalled*exp(-dt/({TAU_RECALLED / ms}*ms))
opened = opened*exp(-dt/({TAU_RECALLED / ms}*ms))
gated = gated*exp(-dt/({TAU_GATE / ms}*ms))
"""
HELD = f"(1 - present)*int(gated > {OPEN})"
"""Whether memory drives the soma of such a cell,"""
RECALLED = "recalled/(opened + 1e-9)"
"""and its rate then: unbiased from the first spikes on."""
DRIVE = f"""
target = present*target + {HELD}*{RECALLED}
clamp = clip(1 - predicts + present + {HELD}, 0, 1)
"""
"""How memory drives two-dendrite cells."""

_ATTENTION = """
level : 1                            # what its partner did when the world last drove it, or index cells say
gap : second                         # time since the partner's last spike that the world drove
dgate/dt = -gate/tau_gate : 1
drecalled/dt = -recalled/tau_loop : 1    # spikes of index cells, weighted
ddriven/dt = -driven/tau_loop : 1        # and counted
delig/dt = -elig/tau_elig : 1            # own spikes of the last seconds: what a plateau finds
P : 1
"""
_ATTENTION_STEP = f"""
gap += dt
held = int(gate > {OPEN})
by_index = int(driven > 0.05)
level = by_index*recalled/(driven + 1e-9) + (1 - by_index)*(held*level + (1 - held)*clip(level, 0, 1/(rmax*gap)))
P += held*level*rmax*dt
"""
_ATTENTION_RESET = f"""
P -= 1
elig += {JUMP.format(tau="tau_elig")}
"""
_HEAR = """
level_post += present_pre*(1/(rmax*gap_post) - level_post)
gap_post = gap_post*(1 - present_pre)
"""
_SALIENCE = """
S : second                     # for how long the event will still be held
importance : 1                 # of the event, given from outside
listening : 1                  # 1 while a stimulus is shown whose outcome is yet to come: it drives out the old event
lit : 1
P : 1
"""
_SALIENCE_STEP = """
S = clip(S - dt, 0*second, longest_hold)*(1 - listening)
lit = int(S > ignition*(1 - lit))
P = lit*(P + control_rate*dt) + (1 - lit)*0.5
"""
_GATES = """
T : second                     # for how long it is still open
hold : second                  # for how long a ripple opens it
P : 1
"""
_GATES_STEP = """
T = clip(T - dt, 0*second, inf*second)
P = int(T > 0*second)*(P + control_rate*dt) + int(T <= 0*second)
"""
_RIPPLES = """
wait : second                  # rest until the next reactivation
interval : second              # mean of it; NEVER for no replay
resting : 1                    # 1 while the network rests, given from outside
span : second                  # length of a reactivation
die : 1                        # random number, see bioplastic.chance
dalert/dt = -alert/tau_gate : 1
"""
_RIPPLES_STEP = f"wait -= dt*resting*int(alert < {OPEN})"
_INDEX = """
dstrength/dt = -strength/tau_fade : 1   # of the memory: the weakest is overwritten
dtag/dt = -tag/tau_tag : 1              # for how long the event was held: how likely it is replayed
dtired/dt = -tired/tau_tired : 1        # inhibition of return
dalert/dt = -alert/tau_gate : 1         # whether the salience cell fires: then write, do not recall
dnorm/dt = -norm/tau_elig : 1           # its spikes of the last seconds
dcue/dt = -cue/tau_cue : 1              # evidence that this memory is cued
u : 1                                   # progress in a race
racing : second                         # time left in the race of a ripple
won : 1                                 # how far beyond the line it was; 0 unless its assembly is the active one
rival : 1                               # the same of another assembly that has just got there
mate : 1                                # the same of a cell of its own
quiet : second                          # for how long it is inhibited
plateau : 1
age : second                            # of the plateau
fresh : 1                               # 1 until the plateau has written
since : second                          # age of the reactivation
ripple : second                         # length of its ripple
onset : second                          # when that comes: as its target in the event
bursting : 1
P : 1
die : 1                                 # random number, see bioplastic.chance
span : second (shared)                  # length of a reactivation
head_start : 1 (constant)               # makes the race for a plateau unequal where memories are equally weak
evidence : 1 (constant)                 # for the memory, of one spike of one cell
assembly : integer (constant)
"""
_INDEX_STEP = f"""
held = int(alert > {OPEN})
loses = int(rival > won)*int(rival > mate)
joins = int(mate > rival)*int(won <= 0)
quiet = clip(clip(quiet - dt*(1 - held), 0*second, inf*second), loses*span, inf*second)
plateau = plateau*held*(1 - loses)
since = since + dt + loses*span
won = won*(1 - loses)*clip(plateau + int(since < span), 0, 1)
free = int(quiet <= 0*second)*int(won <= 0)
started = int(racing > 0*second)*(1 - held)
racing = clip(racing - dt, 0*second, inf*second)
u = free*(u + dt*held*(1 + head_start)/(plateau_latency*(1 + eagerness*strength)) + started*dt/race)*(held + started)
u = u + joins*(mate - u)
cue = cue*free*(1 - held)
rival = 0
mate = 0
age += dt
bursting = int(since >= onset)*int(since < onset + ripple)*(1 - held)
P = bursting*(P + burst_rate*dt) + 1 - bursting
"""
_INDEX_EVENTS = {
    "ignition": "u >= 1 or cue >= 1",
    "write": "plateau > 0 and fresh > 0 and age > settling",
}
_ON_IGNITION = f"""
writes = int(alert > {OPEN})
won = clip(u, cue, inf)
plateau = writes
fresh = writes
age = 0*second
since = writes*span
{draw("die")}
ripple = shortest_ripple + {uniform("die")}*(longest_ripple - shortest_ripple)
strength = strength + (1 - writes)*restore*(1 - strength)
tired = tired + (1 - writes)*(1 - tired)
u = 0
cue = 0
"""
_ON_WRITE = """
fresh = 0
tag = 0
strength = 1
tired = 0
"""
_RACE_FOR_RIPPLE = f"""
{draw("die_post")}
u_post = 1 + log({uniform("die_post")})/(hazard*tag_post*strength_post*(1 - tired_post) + 1e-9)
racing_post = race
"""
_COMPETE = """
rival_post = clip(rival_post, int(assembly_pre != assembly_post)*won_pre, inf)
mate_post = clip(mate_post, int(assembly_pre == assembly_post)*won_pre, inf)
"""
_NEXT_RIPPLE = f"""
{draw("die")}
wait = span - log({uniform("die")})*(interval - span)
"""
_SURPRISE = "S_post += importance_post*{worth}*present_pre*hold_per_error"
_TELL = f"""
alert_post = 1
norm_post += {JUMP.format(tau="tau_elig").replace("rmax", "control_rate")}
tag_post += plateau_post*(1 - fresh_post)*tag_step*(1 - tag_post)
"""
_REOPEN = "T_post = int(T_post > 0*second)*T_post + int(T_post <= 0*second)*hold_post"
_ADD_UP = f"recalled_post += {JUMP.format(tau='tau_recalled')}"
_CLAMP = f"""
gated_post = 1
opened_post += {JUMP.format(tau="tau_recalled").replace("rmax", "control_rate")}
"""
_MEMORY = {
    "on_pre": {
        "reinstate": "recalled_post += w\ndriven_post += 1",
        "write": "w = clip(elig_post/(norm_pre + 1e-9), 0, 1)",
    },
    "on_post": {"match": f"cue_pre += evidence_pre*int(level_post > {SILENT})*(w - 0.5*w**2/(level_post + 1e-3))"},
    "on_event": {"reinstate": "spike", "write": "write", "match": "spike"},
}


@dataclass(frozen=True)
class Target:
    """A population that memory can reinstate.

    Attributes
    ----------
    population : str
        Its name. Its cells need `RECALL_EQUATIONS`.
    onset : Quantity
        When it began to take part in the event, which is when a replay of compression 1 reinstates it.
    """

    population: str
    onset: Quantity = field(default_factory=lambda: 0 * ms)

    def __post_init__(self) -> None:
        quantity(f"onset of target {self.population!r}", self.onset, ms, low=0)


@dataclass(frozen=True)
class Hippocampus:
    """Parameters of attention loop, index layer and ripples.

    Attributes
    ----------
    targets : tuple of Target
        What is held, written and reinstated, usually the stimulus and the outcome.
    surprise : str
        Error source whose error spikes make an event salient.
    outcome : Quantity
        For how long a replay reinstates the last target, and with it all others.
    n_index : int
        Number of index cells.
    assembly : int
        Cells of one assembly, a multiple of the number of targets. ``n_index // assembly`` memories fit.
    hold_per_error : Quantity
        For how long an event is held per spike of mismatch at the error source, at importance 1.
    ignition : Quantity
        Least hold: what would be held for less is not held at all.
    longest_hold : Quantity
    plateau_latency : Quantity
        From the beginning of a hold to the plateau of an assembly that holds no memory.
    tau_elig : Quantity
        Time constant of the trace that a plateau finds: how far back it writes.
    tau_fade : Quantity
        Time constant with which a memory's strength fades; each reactivation
    restore : float
        makes good this fraction of what is missing.
    tau_tag : Quantity
        Time constant with which a tag fades.
    tag_hold : Quantity
        Hold after the plateau in which a tag comes to 63 % of its largest.
    tau_tired : Quantity
        Time constant of the inhibition of return.
    ripple : tuple of two Quantities
        Shortest and longest ripple.

    Raises
    ------
    CircuitError
        No target, a target named twice, or an index layer without room for one assembly.
    UnitError
        A parameter has the wrong unit or is out of range.
    """

    targets: tuple[Target, ...]
    surprise: str
    outcome: Quantity = field(default_factory=lambda: 120 * ms)
    n_index: int = 80
    assembly: int = 4
    hold_per_error: Quantity = field(default_factory=lambda: 60 * ms)
    ignition: Quantity = field(default_factory=lambda: 250 * ms)
    longest_hold: Quantity = field(default_factory=lambda: 3 * second)
    plateau_latency: Quantity = field(default_factory=lambda: 200 * ms)
    tau_elig: Quantity = field(default_factory=lambda: 1 * second)
    tau_fade: Quantity = field(default_factory=lambda: 1000 * second)
    restore: float = 0.1
    tau_tag: Quantity = field(default_factory=lambda: 1000 * second)
    tag_hold: Quantity = field(default_factory=lambda: 500 * ms)
    tau_tired: Quantity = field(default_factory=lambda: 5 * second)
    ripple: tuple[Quantity, Quantity] = field(default_factory=lambda: (60 * ms, 120 * ms))

    def __post_init__(self) -> None:
        names = [target.population for target in self.targets]
        if not names or len(set(names)) < len(names):
            raise CircuitError(f"targets = {names}; give at least one population, and each once.")
        if self.assembly < 1 or self.assembly % len(names):
            raise CircuitError(
                f"assembly = {self.assembly} cells for {len(names)} targets; each target needs the same number of "
                f"them: give a multiple of {len(names)}."
            )
        if self.n_index < self.assembly:
            raise CircuitError(
                f"n_index = {self.n_index} index cells have no room for one assembly of {self.assembly} cells, so "
                f"nothing could be remembered; give {self.assembly} or more (n_index // assembly memories fit)."
            )
        for name in ("hold_per_error", "longest_hold", "plateau_latency", "tau_elig", "tag_hold", "tau_tired"):
            quantity(name, getattr(self, name), ms, low=0, open_low=True)
        for name in ("tau_fade", "tau_tag"):
            quantity(name, getattr(self, name), ms, low=0, open_low=True, infinite=True)
        quantity("ignition", self.ignition, ms, low=0)
        quantity("restore", self.restore, 1, low=0, high=1)
        shortest = quantity("ripple[0]", self.ripple[0], ms, low=0, open_low=True)
        longest = quantity("ripple[1]", self.ripple[1], ms, low=shortest)
        quantity("outcome", self.outcome, ms, low=longest)  # else the ripple would open the gate a second time

    @property
    def capacity(self) -> int:
        """How many memories fit."""
        return self.n_index // self.assembly

    def onsets(self, compression: float = 1.0) -> list[Quantity]:
        """When each target is reinstated, from the beginning of a reactivation."""
        first = min(target.onset for target in self.targets)
        return [(target.onset - first) / compression for target in self.targets]

    def span(self, compression: float = 1.0) -> Quantity:
        """How long a reactivation takes, the silence after it included."""
        return max(self.onsets(compression)) + self.outcome + MARGIN

    def check(self, replay: Replay) -> None:
        """Raise `UnitError` or `CircuitError` unless the replay is one that this hippocampus can do."""
        span = self.span(replay.compression)
        if float(replay.rate) * float(span) >= 1:
            raise UnitError(
                f"replay rate = {replay.rate} is more than fits: a reactivation takes {span}; ask for less than "
                f"{1 / span}, or for a compression of more than {replay.compression:g}."
            )
        known = [target.population for target in self.targets]
        for name in replay.only:
            if name not in known:
                raise CircuitError(f"replay of {name!r} only, which is no target; targets: {', '.join(known)}.")

    @property
    def role(self) -> np.ndarray:
        """Which target each index cell serves, shape (n_index,)."""
        return np.arange(self.n_index) % self.assembly // (self.assembly // len(self.targets))


@dataclass(frozen=True)
class Replay:
    """How memories are reactivated while resting.

    Attributes
    ----------
    rate : Quantity
        Reactivations per second of rest; 0 Hz for none.
    compression : float
        By how much a replay is faster than the event, from the onset of the first to that of the last target.
    only : tuple of str
        Targets to reinstate; all of them if empty. A control: the stimulus without its outcome.

    Raises
    ------
    UnitError
        A rate that is negative or in the wrong unit, a compression that is not positive.
    """

    rate: Quantity = field(default_factory=lambda: 0 * Hz)
    compression: float = 1.0
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        quantity("replay rate", self.rate, Hz, low=0)
        quantity("compression", self.compression, 1, low=0, open_low=True)


@dataclass(frozen=True)
class Memory:
    """What the index layer holds.

    Attributes
    ----------
    strength, tag : array, shape (n_index,)
        Of each index cell's memory: 0 for none.
    weights : mapping of str to array, shape (n_index of that target, n_cells)
        From index cells to the attention cells of each target: rates as fractions of the maximal rate.
    """

    strength: np.ndarray
    tag: np.ndarray
    weights: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, hippocampus: Hippocampus, patterns: Mapping[str, np.ndarray], tag: float = 1.0) -> Memory:
        """Make memories of patterns without having lived them.

        Parameters
        ----------
        hippocampus : Hippocampus
        patterns : mapping of str to array, shape (n_memories, n_cells)
            For each target, what is to be reinstated.
        tag : float, optional
            Of each memory.

        Raises
        ------
        CircuitError
            More memories than fit, or a target without patterns or with another number of them.
        """
        missing = [target.population for target in hippocampus.targets if target.population not in patterns]
        if missing:
            raise CircuitError(f"patterns are missing for target {missing[0]!r}; given: {', '.join(patterns)}.")
        n = len(next(iter(patterns.values())))
        if n > hippocampus.capacity:
            raise CircuitError(
                f"{n} memories do not fit a capacity of {hippocampus.capacity}; give fewer, or n_index = "
                f"{n * hippocampus.assembly} or more."
            )
        for target in hippocampus.targets:
            if len(patterns[target.population]) != n:
                raise CircuitError(
                    f"patterns: {len(patterns[target.population])} for target {target.population!r}, {n} for "
                    f"{next(iter(patterns))!r}; give one of each per memory."
                )
        used = np.arange(hippocampus.n_index) // hippocampus.assembly < n
        each = hippocampus.assembly // len(hippocampus.targets)
        rows = {
            target.population: np.zeros((int((hippocampus.role == k).sum()), patterns[target.population].shape[1]))
            for k, target in enumerate(hippocampus.targets)
        }
        for name, weights in rows.items():
            weights[: n * each] = np.repeat(patterns[name], each, axis=0)
        return cls(used.astype(float), tag * used, rows)

    def pattern(self, hippocampus: Hippocampus, population: str) -> np.ndarray:
        """What each memory would reinstate in a target, shape (capacity, n_cells); NaN where there is none."""
        each = hippocampus.assembly // len(hippocampus.targets)
        weights = self.weights[population][: hippocampus.capacity * each]
        mean = weights.reshape(hippocampus.capacity, each, -1).mean(1)
        strength = self.strength[: hippocampus.capacity * hippocampus.assembly : hippocampus.assembly]
        return np.where(strength[:, None] > 0, mean, np.nan)

    def put(self, hippocampus: Hippocampus, k: int, patterns: Mapping[str, np.ndarray], *, tag: float) -> Memory:
        """Return the same with memory `k` replaced, at full strength.

        Parameters
        ----------
        hippocampus : Hippocampus
        k : int
            Which of the ``hippocampus.capacity`` memories.
        patterns : mapping of str to array, shape (n_cells,)
            For each target, what is to be reinstated; the others keep what they have.
        tag : float

        Raises
        ------
        CircuitError
            There is no such memory.
        """
        cells = self._cells(hippocampus, k)
        each = hippocampus.assembly // len(hippocampus.targets)
        weights = dict(self.weights)
        for name, pattern in patterns.items():
            weights[name] = weights[name].copy()
            weights[name][k * each : (k + 1) * each] = pattern
        return Memory(np.where(cells, 1.0, self.strength), np.where(cells, tag, self.tag), weights)

    def without(self, hippocampus: Hippocampus, k: int) -> Memory:
        """Return the same without memory `k`, which then is never reactivated; arguments and errors as of `put`."""
        cells = self._cells(hippocampus, k)
        return replace(self, strength=np.where(cells, 0.0, self.strength), tag=np.where(cells, 0.0, self.tag))

    def _cells(self, hippocampus: Hippocampus, k: int) -> np.ndarray:
        if not 0 <= k < hippocampus.capacity:
            raise CircuitError(f"memory {k} does not exist; there are 0 to {hippocampus.capacity - 1}.")
        return np.arange(hippocampus.n_index) // hippocampus.assembly == k

    def with_pattern(self, population: str, order: np.ndarray) -> Memory:
        """Return the same with the cells of a target in another order, a control.

        Parameters
        ----------
        population : str
        order : array of int, shape (n_cells,) or (n_index of that target, n_cells)
            Which cell's rate each cell gets, for all memories alike or for each index cell.
        """
        weights = self.weights[population]
        shuffled = np.take_along_axis(weights, np.broadcast_to(order, weights.shape), axis=1)
        return replace(self, weights={**self.weights, population: shuffled})


@dataclass(frozen=True)
class HippocampalCircuit:
    """Attention, index layer and ripples as plain Brian2 objects.

    Attributes
    ----------
    attention, salience, gates, ripples, index : NeuronGroup
    memory : tuple of Synapses
        For each target, from its index cells to its attention cells.
    others : tuple of Synapses
        All other synapses.
    targets : tuple of NeuronGroup or Subgroup
        The targets, as they are now told to forget what memory drove them to.
    """

    attention: NeuronGroup
    salience: NeuronGroup
    gates: NeuronGroup
    ripples: NeuronGroup
    index: NeuronGroup
    memory: tuple[Synapses, ...]
    others: tuple[Synapses, ...]
    targets: tuple[NeuronGroup | Subgroup, ...]

    @property
    def objects(self) -> tuple[NeuronGroup | Subgroup | Synapses, ...]:
        """What a ``Network`` needs to hold."""
        groups = (self.attention, self.salience, self.gates, self.ripples, self.index)
        return (*groups, *self.memory, *self.others, *self.targets)

    @property
    def parts(self) -> dict[str, NeuronGroup | Synapses]:
        """The objects by the names that `start_values` gives them."""
        named = {name: getattr(self, name) for name in ("attention", "salience", "gates", "ripples", "index")}
        return named | {f"memory[{k}]": synapses for k, synapses in enumerate(self.memory)}


def start_values(
    hippocampus: Hippocampus, replay: Replay, memory: Memory | None = None, *, seed: int = 0
) -> dict[tuple[str, str], Any]:
    """Everything that distinguishes one hippocampus of the same shape from another.

    Parameters
    ----------
    hippocampus : Hippocampus
    replay : Replay
    memory : Memory, optional
        What it remembers at the start; nothing by default.
    seed : int, optional
        Of the times of reactivations, of which memory is reactivated, and of the lengths of ripples.

    Returns
    -------
    dict
        (part of `HippocampalCircuit`, variable) -> value; the synapses of target k are ``memory[k]``.

    Raises
    ------
    CircuitError, UnitError
        The replay is not possible, or the memory is of another shape.
    """
    hippocampus.check(replay)
    span = hippocampus.span(replay.compression)
    onsets = np.array([float(onset) for onset in hippocampus.onsets(replay.compression)])
    hold = max(onsets) + float(hippocampus.outcome) - onsets
    reinstated = [not replay.only or target.population in replay.only for target in hippocampus.targets]
    interval = 1 / replay.rate if float(replay.rate) else NEVER
    rng = np.random.default_rng(seed)
    values: dict[tuple[str, str], Any] = {
        ("salience", "importance"): 1.0,
        ("gates", "hold"): hold * reinstated * second,
        ("ripples", "interval"): interval,
        ("ripples", "span"): span,
        ("ripples", "wait"): rng.exponential() * interval,
        ("ripples", "die"): float(rng.integers(1, MODULUS)),
        ("index", "die"): rng.integers(1, MODULUS, hippocampus.n_index).astype(float),
        ("index", "onset"): onsets[hippocampus.role] * second,
        ("index", "since"): np.full(hippocampus.n_index, 2) * span,
        ("index", "span"): span,
    }
    if memory is not None:
        _check_memory(hippocampus, memory)
        values |= {("index", "strength"): memory.strength, ("index", "tag"): memory.tag}
        for k, target in enumerate(hippocampus.targets):
            values[f"memory[{k}]", "w"] = memory.weights[target.population].ravel()
    return values


def build(
    hippocampus: Hippocampus,
    populations: Mapping[str, NeuronGroup | Subgroup],
    *,
    parameters: CellParameters | None = None,
    replay: Replay | None = None,
    memory: Memory | None = None,
    drive: str = DRIVE,
    seed: int = 0,
    name: str = "hippocampus",
) -> HippocampalCircuit:
    """Make a hippocampus for cells that exist.

    Parameters
    ----------
    hippocampus : Hippocampus
    populations : mapping of str to NeuronGroup or Subgroup
        At least those that `hippocampus` names. Targets need `RECALL_EQUATIONS`, as cells of
        ``bioplastic.spiking.cell_group(..., recall=True)`` have them. The error source needs an event ``error``.
    parameters : CellParameters, optional
        Only `rmax` counts: the rate that 1 stands for.
    replay : Replay, optional
        None by default.
    memory : Memory, optional
        What it remembers at the start; nothing by default.
    drive : str, optional
        Code that makes a target's cells fire at `RECALLED` while `HELD`, run before each step; the default is for
        two-dendrite cells.
    seed : int, optional
        Of the times of reactivations, of which memory is reactivated, and of the lengths of ripples.
    name : str, optional
        Beginning of the Brian2 names.

    Returns
    -------
    HippocampalCircuit
        Set ``salience.importance`` (1), ``salience.listening`` (0) and ``ripples.resting`` (0) as things happen.

    Raises
    ------
    CircuitError
        A population that does not exist, a target whose cells lack a variable, or a surprise whose cells send no
        error spikes.
    UnitError
        The replay rate is more than fits.
    """
    _check_populations(hippocampus, populations)
    parameters = parameters or CellParameters()
    sizes = [populations[target.population].N for target in hippocampus.targets]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    constants = _constants(hippocampus, parameters)
    control = Clock(CONTROL_STEP, name=f"{name}_clock")

    def group(part: str, n: int, equations: str, step: str, **how: Any) -> NeuronGroup:
        how = {"reset": "P -= 1", "clock": control} | how
        made = NeuronGroup(n, equations, method="exact", namespace=constants, name=f"{name}_{part}", **how)
        made.run_regularly(step, when="before_thresholds", name=f"{name}_{part}_step")
        declare_relay(made)
        return made

    others: list[Synapses] = []

    def synapses(part: str, source: NeuronGroup, target: NeuronGroup, on_pre: str, **how: Any) -> Synapses:
        others.append(Synapses(source, target, on_pre=on_pre, namespace=constants, name=f"{name}_{part}", **how))
        return others[-1]

    fires = {"threshold": "P >= 1", "reset": _ATTENTION_RESET, "clock": None}
    attention = group("attention", int(edges[-1]), _ATTENTION, _ATTENTION_STEP, **fires)
    salience = group("salience", 1, _SALIENCE, _SALIENCE_STEP, threshold="P >= 1 and lit > 0")
    gates = group("gates", len(sizes), _GATES, _GATES_STEP, threshold="P >= 1 and T > 0*second")
    ripples = group("ripples", 1, _RIPPLES, _RIPPLES_STEP, threshold="wait <= 0*second", reset=_NEXT_RIPPLE)
    firing = {"threshold": "P >= 1 and bursting > 0", "events": dict(_INDEX_EVENTS)}
    index = group("index", hippocampus.n_index, _INDEX, _INDEX_STEP, **firing)
    index.run_on_event("ignition", _ON_IGNITION, when="before_synapses")  # others are told `won` in the same step
    index.run_on_event("write", _ON_WRITE)
    index.assembly = np.arange(hippocampus.n_index) // hippocampus.assembly
    index.head_start = "0.02*(1 - 1.0*assembly/capacity)"
    index.evidence = 1 / (RECALL_EVIDENCE * np.array(sizes)[hippocampus.role])

    source = populations[hippocampus.surprise]
    surprise = _SURPRISE.format(worth="theta_pre" if "theta" in source.variables else "1")
    synapses("surprise", source, salience, surprise, on_event={"pre": "error"}).connect()
    synapses("opens", salience, gates, "T_post = clip(T_post, kept_open, inf*second)").connect()
    synapses("rouses", salience, ripples, "alert_post = 1").connect()
    synapses("tells", salience, index, _TELL).connect()
    synapses("sharp_waves", ripples, index, _RACE_FOR_RIPPLE).connect()
    synapses("competes", index, index, _COMPETE, on_event={"pre": "ignition"}).connect("i != j")
    synapses("reopens", index, gates, _REOPEN).connect(i=np.arange(hippocampus.n_index), j=hippocampus.role)
    memories = []
    for k, target in enumerate(hippocampus.targets):
        part, cells, partners = target.population, populations[target.population], attention[edges[k] : edges[k + 1]]
        gate = gates[k : k + 1]
        synapses(f"hears_{part}", cells, partners, _HEAR).connect(j="i")
        synapses(f"drives_{part}", partners, cells, _ADD_UP).connect(j="i")
        synapses(f"gates_{part}", gate, partners, "gate_post = 1").connect()
        synapses(f"clamps_{part}", gate, cells, _CLAMP).connect()
        cells.run_regularly(_FADE + drive, when="before_groups", name=f"{name}_fade_{part}")
        senders = np.flatnonzero(hippocampus.role == k)
        stored = Synapses(index, partners, "w : 1", namespace=constants, name=f"{name}_memory_{part}", **_MEMORY)
        stored.match.order = -2  # first: of what attention cells did before the spikes of this step reached them
        stored.connect(i=np.repeat(senders, sizes[k]), j=np.tile(np.arange(sizes[k]), len(senders)))
        memories.append(stored)
    targets = tuple(populations[target.population] for target in hippocampus.targets)
    built = HippocampalCircuit(attention, salience, gates, ripples, index, tuple(memories), tuple(others), targets)
    for (part, variable), value in start_values(hippocampus, replay or Replay(), memory, seed=seed).items():
        setattr(built.parts[part], variable, value)
    return built


def _check_memory(hippocampus: Hippocampus, memory: Memory) -> None:
    """Raise `CircuitError` unless the memory is of this hippocampus's shape; of cells, only Brian2 knows the number."""
    for name in ("strength", "tag"):
        if getattr(memory, name).shape != (hippocampus.n_index,):
            raise CircuitError(
                f"memory: {name} has shape {getattr(memory, name).shape}, but the hippocampus n_index = "
                f"{hippocampus.n_index}; give a memory of the same hippocampus."
            )
    for k, target in enumerate(hippocampus.targets):
        rows = int((hippocampus.role == k).sum())
        if target.population not in memory.weights or len(memory.weights[target.population]) != rows:
            raise CircuitError(
                f"memory: weights of target {target.population!r} should have {rows} rows, one for each of its index "
                f"cells; given: {', '.join(f'{name} {w.shape}' for name, w in memory.weights.items())}. Give a memory "
                "of the same hippocampus."
            )


def check_names(hippocampus: Hippocampus, populations: Iterable[str]) -> None:
    """Raise `CircuitError` unless all populations that the hippocampus names are among `populations`."""
    known = list(populations)
    wanted = [("target", target.population) for target in hippocampus.targets] + [("surprise", hippocampus.surprise)]
    for role, population in wanted:
        if population not in known:
            raise CircuitError(
                f"{role} {population!r} of the hippocampus does not exist; known populations: {', '.join(known)}."
            )


def _check_populations(hippocampus: Hippocampus, populations: Mapping[str, NeuronGroup | Subgroup]) -> None:
    check_names(hippocampus, populations)
    if "error" not in populations[hippocampus.surprise].events:
        raise CircuitError(
            f"cells of surprise {hippocampus.surprise!r} have no event 'error'; make them with cell_group, or give "
            "their group events={'error': ...}."
        )
    for target in hippocampus.targets:
        for variable in ("recalled", "opened", "gated", "present"):
            if variable not in populations[target.population].variables:
                raise CircuitError(
                    f"cells of target {target.population!r} have no variable {variable!r}; add RECALL_EQUATIONS to "
                    "their equations, or make them with cell_group(..., recall=True)."
                )


def _constants(hippocampus: Hippocampus, parameters: CellParameters) -> dict[str, Any]:
    """Return what the equations refer to."""
    same_name = (
        *("hold_per_error", "ignition", "longest_hold", "plateau_latency", "tau_elig", "tau_fade", "restore"),
        *("tau_tag", "tau_tired"),
    )
    return {
        **{name: getattr(hippocampus, name) for name in same_name},
        "tau_recalled": TAU_RECALLED,
        "tau_gate": TAU_GATE,
        "rmax": parameters.rmax,
        "control_rate": CONTROL_RATE,
        "burst_rate": BURST_RATE,
        "tau_loop": TAU_LOOP,
        "tau_cue": TAU_CUE,
        "settling": SETTLING,
        "race": RACE,
        "hazard": HAZARD / hippocampus.assembly,
        "eagerness": EAGERNESS,
        "shortest_ripple": hippocampus.ripple[0],
        "longest_ripple": hippocampus.ripple[1],
        "tag_step": 1 / float(hippocampus.tag_hold * CONTROL_RATE),
        "kept_open": 1.5 / CONTROL_RATE,
        "capacity": hippocampus.capacity,
    }
