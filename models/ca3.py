"""Area CA3, scaled down: pyramidal cells that store a run along a track and replay it, forward and backward, in ripples.

After Ecker et al. 2022 (doi:10.7554/eLife.71850). Their code (github.com/KaliLab/ca3net; files of 2018 to 2019, which
carry the digits that the paper's tables round) is the source of every value below unless another is named.

    cell       C dv/dt = g_l (E_l - v) + g_l D exp((v - theta)/D) - w - g_exc (v - E_EXC) - g_inh (v - E_INH)
               tau_w dw/dt = a (v - E_l) - w;    spike at v > theta + 5 D:  v = v_reset, w += b, dead time
    synapse    dg/dt = (x - g)/rise,  dx/dt = -x/decay;    spike, after the delay:  x += norm(rise, decay) weight
    learning   a pair of spikes, post minus pre = s:  weight += w_max a_post exp(-s/tau) for s > 0, a_pre exp(s/tau) else

Pyramidal cells (PC) excite each other and basket cells (PVBC), basket cells inhibit both, mossy fibres drive every PC
with Poisson spikes of its own. Weights between PCs are learned first, from the spikes of place cells on runs along a
track, and then stay. Nothing tells the network when to replay, what, or in which direction.

cell                     PC       PVBC  unit  meaning
-------------------  ---------  --------  ----  --------------------------------------------------
g_l                    4.31476   7.51454  nS    leak
tau_m                  41.7489   15.7734  ms    membrane time constant, C = tau_m g_l
E_l                   -75.1885  -74.7417  mV    rest
v_reset               -29.7387  -64.9919  mV    after a spike
theta                 -24.4256  -57.7092  mV    where the exponential rises
delta                  4.23407   4.58413  mV    and how steeply: D
dead_time              5.96327   1.15623  ms    after a spike
a                    -0.274347   3.05640  nS    adaptation by potential
b                      206.841  0.916099  pA    adaptation by spike
tau_w                  84.9358   178.581  ms    time constant of adaptation

synapse            weight  rise  decay  delay  inputs  sources named in the authors' code
                       nS    ms     ms     ms
-----------------  ------  ----  -----  -----  ------  -----------------------------------------------------------------
PC to PC          learned   1.3    9.5    2.2     800  Guzman et al. 2016, doi:10.1126/science.aaf1836
PC to PVBC           0.85   1.0    4.1    0.9     800  Lee et al. 2014 (CA1); delay Geiger et al. 1997 (dentate gyrus)
PVBC to PC           0.65   0.3    3.3    1.1    37.5  Bartos et al. 2002, doi:10.1073/pnas.192233099
PVBC to PVBC          5.0  0.25    1.2    0.6    37.5  Bartos et al. 2002
mossy fibre to PC   19.15  0.65    5.4      0       1  Vyleta et al. 2016; weight 21.5 with the asymmetric rule

rule         tau    a_post   a_pre  w_max  scale  source
              ms         1       1     nS      1
-----------  ----  -----  ------  -----  -----  --------------------------------------------------------------------------
SYMMETRIC    62.5  0.004   0.004     20   0.62  tau: Mishra et al. 2016, doi:10.1038/ncomms11552; scale: by hand, the authors
ASYMMETRIC     20   0.01   -0.01     40   1.27  the authors' control

parameter         value  unit   meaning                                                  source
----------------  -----  -----  -------------------------------------------------------  ---------------------------------
E_EXC                 0  mV     reversal potential of excitation
E_INH               -70  mV     and of inhibition
MOSSY_RATE           15  Hz     spikes of a mossy fibre
W_START             0.1  nS     weight between PCs before learning
TRACK               300  cm     length of the track
SPEED           32.4357  cm/s   of running
FIELD                30  cm     length of a place field
FIELD_SD          6.971  cm     standard deviation of its Gaussian                       0.146 rad of a track of 2 pi
PLACE_SHARE         0.5  1      of PCs that have a place field
IN_FIELD             20  Hz     rate at the peak of the field and of theta
OUT_OF_FIELD        0.1  Hz     rate of PCs that have no place field
THETA_RHYTHM          7  Hz     rhythm against which spikes precess by half a cycle
SHORTEST_INTERVAL     5  ms     between spikes of a cell while running
N_RUNS               43  1      runs along the track                                     400 s of running
PAUSE                 1  s      between runs                                             chosen; see below
N_PC               1600  cells  the paper has 8000                                       chosen: 0.5 s of one core for 1 s
N_PVBC               60  cells  the paper has 150                                        chosen: more than the 37.5 inputs

Scaled down by keeping the number of inputs and every weight, so that the mean and the variance of what a cell receives
stay; connections are then as many times likelier as there are fewer cells (van Albada et al. 2015,
doi:10.1371/journal.pcbi.1004490, on what that cannot keep: correlations between cells that share inputs). Where there
are fewer cells than inputs, all are connected, and more strongly by what is missing.

Deviations: sizes, as above. A pause between runs: without it the end of the track is followed at once by its start, and
the two are stored as neighbours. Mossy fibres carry their own random numbers, so that one compiled program serves every
seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from brian2 import Hz, Network, NeuronGroup, SpikeMonitor, Synapses, ms, mV, nS, second
from brian2.units.fundamentalunits import Quantity
from scipy import sparse

from bioplastic.chance import MODULUS, draw, uniform
from bioplastic.compiled.build import Program

E_EXC = 0 * mV
E_INH = -70 * mV
MOSSY_RATE = 15 * Hz
W_START = 0.1
TRACK = 300.0
SPEED = 32.4357
FIELD = 30.0
FIELD_SD = 0.146 * TRACK / (2 * np.pi)
PLACE_SHARE = 0.5
IN_FIELD = 20.0
OUT_OF_FIELD = 0.1
THETA_RHYTHM = 7.0
SHORTEST_INTERVAL = 0.005
N_RUNS = 43
PAUSE = 1.0
N_PC = 1600
N_PVBC = 60
DT = 0.1 * ms
FORGOTTEN = 1e-9
"""Trace of a spike below which `learned_weights` leaves it out, to be fast: no weight is off by more than 1e-8 nS."""


@dataclass(frozen=True)
class Cell:
    """An adaptive exponential integrate-and-fire cell, in the units of the table."""

    g_l: float
    tau_m: float
    E_l: float
    v_reset: float
    theta: float
    delta: float
    dead_time: float
    a: float
    b: float
    tau_w: float

    @property
    def namespace(self) -> dict[str, Quantity]:
        """The parameters for Brian2, with units."""
        return {
            "g_l": self.g_l * nS, "C": self.tau_m * ms * self.g_l * nS, "E_l": self.E_l * mV, "v_reset": self.v_reset * mV,
            "theta": self.theta * mV, "delta": self.delta * mV, "a": self.a * nS, "tau_w": self.tau_w * ms,
            "E_EXC": E_EXC, "E_INH": E_INH,
        }


PC = Cell(4.31476, 41.7489, -75.1885, -29.7387, -24.4256, 4.23407, 5.96327, -0.274347, 206.841, 84.9358)
PVBC = Cell(7.51454, 15.7734, -74.7417, -64.9919, -57.7092, 4.58413, 1.15623, 3.05640, 0.916099, 178.581)


@dataclass(frozen=True)
class Synapse:
    """A projection, in the units of the table; a learned weight is 1, to be multiplied."""

    weight: float
    rise: float
    decay: float
    delay: float
    inputs: float

    @property
    def norm(self) -> float:
        """What a spike adds to `x` for a weight of 1: the authors' factor. The peak of `g` is decay/(decay - rise)."""
        peak = self.decay * self.rise / (self.decay - self.rise) * np.log(self.decay / self.rise)
        return float(1 / (np.exp(-peak / self.decay) - np.exp(-peak / self.rise)))


PC_PC = Synapse(1.0, 1.3, 9.5, 2.2, 800)
PC_PVBC = Synapse(0.85, 1.0, 4.1, 0.9, 800)
PVBC_PC = Synapse(0.65, 0.3, 3.3, 1.1, 37.5)
PVBC_PVBC = Synapse(5.0, 0.25, 1.2, 0.6, 37.5)
MOSSY_PC = Synapse(19.15, 0.65, 5.4, 0.0, 1)
MOSSY_ASYMMETRIC = 21.5


@dataclass(frozen=True)
class Rule:
    """Spike-timing-dependent plasticity, all pairs, additive; `tau` in ms, `w_max` in nS.

    `a_post` belongs to spikes of the postsynaptic cell (pre before post), `a_pre` to those of the presynaptic one;
    `scale` multiplies what was learned.
    """

    tau: float
    a_post: float
    a_pre: float
    w_max: float
    scale: float


SYMMETRIC = Rule(62.5, 0.004, 0.004, 20.0, 0.62)
ASYMMETRIC = Rule(20.0, 0.01, -0.01, 40.0, 1.27)

MEMBRANE = """
dv/dt = (g_l*(E_l - v) + g_l*delta*exp((v - theta)/delta) - w - g_exc*(v - E_EXC) - g_inh*(v - E_INH))/C : volt (unless refractory)
dw/dt = (a*(v - E_l) - w)/tau_w : amp
b : amp (shared)
"""
CONDUCTANCE = """
d{g}/dt = ({x} - {g})/({rise}*ms) : siemens
d{x}/dt = -{x}/({decay}*ms) : siemens
"""
MOSSY = """
u : 1            # random number, see bioplastic.chance
due : second     # of the next spike
"""
NEXT_SPIKE = f"{draw('u')}; due += -log{uniform('u')}/MOSSY_RATE"


# ------------------------------------------------------------------------------------------ running along the track


def place_fields(n_pc: int, rng: np.random.Generator) -> np.ndarray:
    """Return the centre of every PC's place field, in cm: rising with the index, NaN for cells that have none."""
    centre = np.full(n_pc, np.nan)
    place_cells = np.sort(rng.choice(n_pc, round(PLACE_SHARE * n_pc), replace=False))
    centre[place_cells] = np.sort(rng.random(len(place_cells))) * TRACK
    return centre


def tuning(centre: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the rates of cells with these centres at these positions (cm), as fractions of the peak: (cell, position)."""
    return np.exp(-((position - centre[:, None]) ** 2) / (2 * FIELD_SD**2))


def exploration(centre: np.ndarray, rng: np.random.Generator, n_runs: int = N_RUNS) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes of PCs on runs from one end of the track to the other: time (s, rising) and cell."""
    duration = TRACK / SPEED
    placed = ~np.isnan(centre)
    times, cells = [], []
    for run in range(n_runs):
        start = run * (duration + PAUSE)
        count = rng.poisson(np.where(placed, IN_FIELD, OUT_OF_FIELD) * duration)
        cell = np.repeat(np.arange(len(centre)), count)
        since = rng.random(len(cell)) * duration
        into_field = SPEED * since - (centre[cell] - FIELD / 2)
        phase = 2 * np.pi * THETA_RHYTHM * (start + since) + np.pi * into_field / FIELD
        modulation = np.exp(-((into_field - FIELD / 2) ** 2) / (2 * FIELD_SD**2)) * np.cos(phase)
        kept = ~placed[cell] | (modulation > rng.random(len(cell)))
        times.append(start + since[kept])
        cells.append(cell[kept])
    time, index = np.concatenate(times), np.concatenate(cells)
    by_cell = np.lexsort((time, index))
    time, index = time[by_cell], index[by_cell]
    too_soon = (np.diff(time, prepend=-np.inf) < SHORTEST_INTERVAL) & (np.diff(index, prepend=-1) == 0)
    time, index = time[~too_soon], index[~too_soon]
    order = np.argsort(time, kind="stable")
    return time[order], index[order]


# ------------------------------------------------------------------------------------------ learning


def learned_weights(time: np.ndarray, cell: np.ndarray, n_pc: int, rule: Rule = SYMMETRIC) -> np.ndarray:
    """Return what `plastic_synapses` between all pairs learn from these spikes, in nS, scaled: (pre, post).

    A reference in NumPy: the weight of a pair depends on no other pair, so that a network which has only some of the
    connections takes its weights from here. Times in s, rising, and no two the same.
    """
    decay = np.exp(-np.diff(time, prepend=0.0) / (1e-3 * rule.tau))
    trace = np.zeros(n_pc)
    if min(rule.a_pre, rule.a_post) >= 0:
        # Weights only grow, so that the upper bound may wait to the end. Row j of the sum: traces at the spikes of j.
        total = np.zeros((n_pc, n_pc))
        for chunk in np.array_split(np.arange(len(time)), len(time) // 2000 + 1):
            traces = np.empty((len(chunk), n_pc))
            for k, spike in enumerate(chunk):
                trace *= decay[spike]
                traces[k] = trace
                trace[cell[spike]] += 1
            mine = sparse.csr_array((np.ones(len(chunk)), (cell[chunk], np.arange(len(chunk)))), (n_pc, len(chunk)))
            total += mine @ traces
        w = np.minimum(W_START + rule.w_max * (rule.a_post * total.T + rule.a_pre * total), rule.w_max)
    else:
        w = np.full((n_pc, n_pc), W_START)
        for i, factor in zip(cell.tolist(), decay.tolist(), strict=True):
            trace *= factor
            recent = np.flatnonzero(trace > FORGOTTEN)
            step = rule.w_max * trace[recent]
            w[i, recent] = (w[i, recent] + rule.a_pre * step).clip(0, rule.w_max)
            w[recent, i] = (w[recent, i] + rule.a_post * step).clip(0, rule.w_max)
            trace[i] += 1
    np.fill_diagonal(w, 0)
    return rule.scale * w


def plastic_synapses(cells: NeuronGroup, rule: Rule = SYMMETRIC) -> Synapses:
    """Return synapses among cells that spike, which learn by a rule; not yet connected, and `weight` not yet set."""
    return Synapses(
        cells,
        cells,
        """
        weight : siemens
        dpre_trace/dt = -pre_trace/tau : siemens (event-driven)
        dpost_trace/dt = -post_trace/tau : siemens (event-driven)
        """,
        on_pre="pre_trace += w_max*a_post; weight = clip(weight + post_trace, 0*siemens, w_max)",
        on_post="post_trace += w_max*a_pre; weight = clip(weight + pre_trace, 0*siemens, w_max)",
        namespace={"tau": rule.tau * ms, "a_post": rule.a_post, "a_pre": rule.a_pre, "w_max": rule.w_max * nS},
        name="plastic",
    )


# ------------------------------------------------------------------------------------------ the network


@dataclass(frozen=True)
class Weights:
    """All weights in nS, each of shape (pre, post); 0 where there is no synapse."""

    pc_pc: np.ndarray
    pc_pvbc: np.ndarray
    pvbc_pc: np.ndarray
    pvbc_pvbc: np.ndarray
    mossy: float = MOSSY_PC.weight


def connections(
    n_pre: int, n_post: int, inputs: float, rng: np.random.Generator, probability: float | None = None
) -> np.ndarray:
    """Return the strength of random connections, 0 where there is none: (pre, post).

    Each is made with the probability that gives a cell so many `inputs` on average, and is then 1. With another
    probability, or with fewer cells than inputs, it is so strong that the mean input stays.
    """
    p = min(1.0, inputs / n_pre) if probability is None else probability
    return (rng.random((n_pre, n_post)) < p) * (inputs / (n_pre * p))


def weights(
    learned: np.ndarray,
    n_pvbc: int,
    rng: np.random.Generator,
    *,
    mossy: float = MOSSY_PC.weight,
    probabilities: tuple[float, float] | None = None,
) -> Weights:
    """Return the weights of a network.

    `learned` is what PCs would have between every pair, in nS (pre, post); `probabilities` are those of connections
    from a PC and from a PVBC, by default what keeps the number of inputs.
    """
    n_pc = len(learned)
    if learned.shape != (n_pc, n_pc):
        raise ValueError(f"learned: shape {learned.shape}; give a square, one row per presynaptic PC.")
    if n_pc < 2 or n_pvbc < 1:
        raise ValueError(f"{n_pc} PCs and {n_pvbc} PVBCs: give 2 PCs and 1 PVBC or more.")
    of_pc, of_pvbc = probabilities or (None, None)
    return Weights(
        pc_pc=learned * ~np.eye(n_pc, dtype=bool) * connections(n_pc, n_pc, PC_PC.inputs, rng, of_pc),
        pc_pvbc=PC_PVBC.weight * connections(n_pc, n_pvbc, PC_PVBC.inputs, rng, of_pc),
        pvbc_pc=PVBC_PC.weight * connections(n_pvbc, n_pc, PVBC_PC.inputs, rng, of_pvbc),
        pvbc_pvbc=PVBC_PVBC.weight * connections(n_pvbc, n_pvbc, PVBC_PVBC.inputs, rng, of_pvbc),
        mossy=mossy,
    )


def shuffled(pc_pc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same synapses with weights exchanged among the inputs of each cell: what was stored is destroyed."""
    w = pc_pc.copy()
    for column in w.T:
        there = np.flatnonzero(column)
        column[there] = rng.permutation(column[there])
    return w


def network(n_pc: int = N_PC, n_pvbc: int = N_PVBC) -> Network:
    """Return the network, with all weights and the adaptation by spikes 0: see `set_up`.

    It holds ``pc``, ``pvbc`` and ``mossy``, synapses named like `Weights` and ``mossy_pc``, and the monitors ``pc_spikes``
    and ``pvbc_spikes``. Synapses lie between all pairs, so that one compiled program serves every choice of connections.
    """
    pc = _cells(
        n_pc, PC, "pc", ("g_rec", "x_rec", PC_PC), ("g_mossy", "x_mossy", MOSSY_PC), ("g_inh", "x_inh", PVBC_PC),
        more="g_exc = g_rec + g_mossy : siemens",
    )
    pvbc = _cells(n_pvbc, PVBC, "pvbc", ("g_exc", "x_exc", PC_PVBC), ("g_inh", "x_inh", PVBC_PVBC))
    mossy = NeuronGroup(
        n_pc, MOSSY, threshold="t >= due", reset=NEXT_SPIKE, namespace={"MOSSY_RATE": MOSSY_RATE}, dt=DT, name="mossy"
    )
    fibres = Synapses(
        mossy, pc, "weight : siemens (shared)", on_pre="x_mossy_post += norm*weight",
        namespace={"norm": MOSSY_PC.norm}, dt=DT, name="mossy_pc",
    )
    fibres.connect(j="i")
    return Network(
        pc, pvbc, mossy, fibres,
        _projection(pc, pc, "x_rec", PC_PC, "pc_pc"), _projection(pc, pvbc, "x_exc", PC_PVBC, "pc_pvbc"),
        _projection(pvbc, pc, "x_inh", PVBC_PC, "pvbc_pc"), _projection(pvbc, pvbc, "x_inh", PVBC_PVBC, "pvbc_pvbc"),
        SpikeMonitor(pc, name="pc_spikes"), SpikeMonitor(pvbc, name="pvbc_spikes"),
    )


RESULTS = {
    "pc_time": ("pc_spikes", "t"),
    "pc": ("pc_spikes", "i"),
    "pvbc_time": ("pvbc_spikes", "t"),
    "pvbc": ("pvbc_spikes", "i"),
}
"""Monitor and variable of what is recorded: times in s, and cells."""


def program(n_pc: int, n_pvbc: int, duration: float) -> Program:
    """Return the network, to be compiled for lives of so many seconds."""
    made = network(n_pc, n_pvbc)
    return Program(made, duration * second, {part.name: part for part in made.objects}, RESULTS)


def _cells(n: int, cell: Cell, name: str, *inputs: tuple[str, str, Synapse], more: str = "") -> NeuronGroup:
    """Cells at rest, with the conductances that these synapses open."""
    conductances = "".join(CONDUCTANCE.format(g=g, x=x, rise=s.rise, decay=s.decay) for g, x, s in inputs)
    group = NeuronGroup(
        n, MEMBRANE + conductances + more, threshold="v > theta + 5*delta", reset="v = v_reset; w += b",
        refractory=cell.dead_time * ms, method="exponential_euler", namespace=cell.namespace, dt=DT, name=name,
    )
    group.v = cell.E_l * mV
    return group


def _projection(source: NeuronGroup, target: NeuronGroup, opened: str, synapse: Synapse, name: str) -> Synapses:
    """Synapses between all pairs."""
    synapses = Synapses(
        source, target, "weight : siemens", on_pre=f"{opened}_post += norm*weight", delay=synapse.delay * ms,
        namespace={"norm": synapse.norm}, dt=DT, name=name,
    )
    synapses.connect()
    return synapses


def start(weights: Weights, seed: int, *, b: float = PC.b) -> dict[tuple[str, str], np.ndarray]:
    """Return what distinguishes one life of the network from another: (object, variable) to values in SI units.

    The seed is that of the mossy fibres; `b`, in pA, the adaptation of PCs by their spikes.
    """
    rng = np.random.default_rng(seed)
    n_pc = len(weights.pc_pc)
    names = ("pc_pc", "pc_pvbc", "pvbc_pc", "pvbc_pvbc")
    return {(name, "weight"): 1e-9 * getattr(weights, name).ravel() for name in names} | {
        ("mossy_pc", "weight"): np.array(1e-9 * weights.mossy),
        ("mossy", "u"): rng.integers(1, MODULUS, n_pc).astype(float),
        ("mossy", "due"): rng.exponential(1 / float(MOSSY_RATE), n_pc),
        ("pc", "b"): np.array(1e-12 * b),
        ("pvbc", "b"): np.array(1e-12 * PVBC.b),
    }


def set_up(network: Network, values: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Give a network that was made and not yet run what `start` returned."""
    for (name, variable), value in values.items():
        network[name].variables[variable].set_value(value)
