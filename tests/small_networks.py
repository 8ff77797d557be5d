"""Small networks on which the tests of the rules agree: two cells, a graph, a chain; in Brian2 and in NumPy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from brian2 import EventMonitor, Network, SpikeMonitor, StateMonitor, ms

from bioplastic.cells import CellParameters, phi
from bioplastic.circuit import Circuit, Feedback, Population, Projection, Weights
from bioplastic.rules.broadcast import Broadcast, random_broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay
from bioplastic.rules.form import Outside, Rule, State, reference_step
from bioplastic.spiking.groups import broadcast_group, cell_group, synapse_group
from bioplastic.spiking.network import SpikingCircuit, build, unflat

PARAMETERS = CellParameters()
OF_CELLS = ("V", "A", "x", "P", "E", "bias", "abias")
SYNAPSE = np.array([[0, 0], [1.0, 0]])
"""The one synapse, from cell 0 to cell 1, of the two cells."""

Step = Callable[[Rule, State, Outside], State]


# ------------------------------------------------------------------------------------------ two cells


def state(**changes) -> State:
    """Two cells at rest, without weights, but for `changes`."""
    nothing = {name: np.zeros(2) for name in OF_CELLS} | {"w": np.zeros((2, 2)), "fb": np.zeros((2, 2))}
    return State(**nothing | {name: np.array(value, float) for name, value in changes.items()})


def outside(**changes) -> Outside:
    """Cell 0 free, one hop upstream of cell 1, which is an error source; the synapse between them learns."""
    usual = {"target": [0, 0], "clamp": [0, 0], "predicts": [1, 1], "plastic": SYNAPSE, "hops": [1, 0], "window": 1}
    return Outside(**{name: np.array(value, float) for name, value in (usual | changes).items()})


def two_cells_in_brian2(rule: Rule, before: State, imposed: Outside) -> State:
    cells = cell_group(2, rule)
    synapses = synapse_group(cells, cells, rule)
    synapses.connect(i=0, j=1)
    synapses.w, synapses.plastic = before.w[1, 0], imposed.plastic[1, 0]
    objects = [cells, synapses]
    if rule.code.on_broadcast:
        broadcast = broadcast_group(cells, cells, rule)
        broadcast.connect(i=1, j=0)
        broadcast.b = before.fb[1, 0]
        objects.append(broadcast)
    else:
        synapses.fb = before.fb[1, 0]
    for name in OF_CELLS:
        setattr(cells, name, getattr(before, name))
    for name in ("target", "clamp", "predicts", "hops", "window"):
        if name in cells.variables:
            setattr(cells, name, getattr(imposed, name))
    Network(*objects).run(1 * ms, namespace={})
    fb = broadcast.b if rule.code.on_broadcast else synapses.fb
    after = {name: np.array(getattr(cells, name)[:]) for name in OF_CELLS}
    return State(**after, w=synapses.w[0] * SYNAPSE, fb=fb[0] * SYNAPSE)


def two_cells_in_numpy(rule: Rule, before: State, imposed: Outside) -> State:
    return reference_step(before, rule, PARAMETERS, imposed)[0]


BOTH = (two_cells_in_brian2, two_cells_in_numpy)


def one_error_spike(step: Step, rule: Rule, sign: int, **changes) -> State:
    """Cell 0 fires while cell 1, whose soma the outcome holds, exceeds its threshold.

    Cell 1: err = +-(1 - 1/2), so E = +-(0.96 + 100 Hz 1 ms 0.5) = +-1.01, beyond theta = 1: one error spike.
    """
    before = state(x=[0.5, 0], P=[0.95, 0], E=[0, sign * 0.96], w=0.3 * SYNAPSE, fb=0.4 * SYNAPSE)
    return step(rule, before, outside(target=[0.6, (1 + sign) / 2], clamp=[1, 1], predicts=[0, 1], **changes))


def after_one_error_spike(sign: int) -> dict[str, object]:
    """What that leaves under the error relay with theta = 1, gain = 0.5, eta = 0.1.

    exp(-1/20) = 0.951229425, exp(1/20) - 1 = 0.051271096, exp(1/10) - 1 = 0.105170918.
    """
    return {
        "V": [0, 0.3 * 0.51271096],  # the old weight, times (exp(1/20) - 1)/0.1
        "A": [sign * 0.5 * 0.4 * 1.05170918, 0],  # gain fb theta (exp(1/10) - 1)/0.1
        "x": [0.5 * 0.951229425 + 0.51271096, 0],
        "P": [0.95 + 0.06 - 1, 0.1 * (1 + sign) / 2],
        "E": [0, sign * 0.01],
        "bias": [0, sign * 0.1],
        "abias": [0, 0],
        "w": [[0, 0], [0.3 + sign * 0.1 * 0.475614712, 0]],  # the trace before this step's spike
        "fb": [[0, 0], [0.4, 0]],
    }


def assert_state(found: State, by_hand: Mapping[str, object]) -> None:
    assert set(by_hand) == {*OF_CELLS, "w", "fb"}
    for name, expected in by_hand.items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-8, err_msg=name)


# ------------------------------------------------------------------------------------------ circuits


def graph() -> Circuit:
    """Senses to a and b, both to c, c and a to two error sources; the weights from senses to b do not learn."""
    populations = (
        Population("senses", 5, "input"),
        Population("a", 6),
        Population("b", 4),
        Population("c", 5),
        Population("out", 3, "error source"),
        Population("other", 2, "error source"),
    )
    ends = [("senses", "a"), ("a", "c"), ("b", "c"), ("c", "out"), ("a", "other"), ("a", "b")]
    return Circuit(populations, (*(Projection(*pair) for pair in ends), Projection("senses", "b", plastic=False)))


def chain(names: str, size: int = 6) -> Circuit:
    """One population to a letter, from the input to the error source."""
    roles = ["input", *["hidden"] * (len(names) - 2), "error source"]
    return Circuit(
        tuple(Population(n, size, role) for n, role in zip(names, roles, strict=True)),
        tuple(Projection(a, b) for a, b in pairwise(names)),
    )


def chain_of_hops(n_hops: int, size: int = 16) -> Circuit:
    """From 16 inputs over hidden populations, named by their hops, to 4 outputs."""
    hidden = [f"h{hop}" for hop in range(n_hops - 1, 0, -1)]
    names = ["x", *hidden, "y"]
    populations = (
        Population("x", 16, "input"),
        *(Population(name, size) for name in hidden),
        Population("y", 4, "error source"),
    )
    return Circuit(populations, tuple(Projection(a, b) for a, b in pairwise(names)))


def random_weights(circuit: Circuit, rng: np.random.Generator) -> Weights:
    return Weights(
        {p.name: rng.normal(0, 0.7, circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(0, 0.3, p.size) for p in circuit.populations if p.role != "input"},
    )


def random_feedback_for(rule: Rule, circuit: Circuit, rng: np.random.Generator) -> Feedback:
    """Feedback of the shape that the rule needs; apical biases where the rule is about them."""
    if isinstance(rule, Broadcast):
        return random_broadcast(circuit, int(rng.integers(1000)))
    bias = {p.name: rng.normal(0, 0.3, p.size) for p in circuit.hidden} if isinstance(rule, EquilibriumRelay) else {}
    return Feedback(random_weights(circuit, rng).forward, bias)


def matrix(circuit: Circuit, by_projection: Mapping[str, np.ndarray]) -> np.ndarray:
    """All weights as one matrix (post, pre) over all cells."""
    whole = np.zeros((circuit.n_cells, circuit.n_cells))
    for p in circuit.projections:
        whole[circuit.slices[p.target], circuit.slices[p.source]] = by_projection[p.name]
    return whole


def feedback_matrix(circuit: Circuit, rule: Rule, feedback: Feedback) -> np.ndarray:
    """The same of feedback weights, (sender, receiver)."""
    if not isinstance(rule, Broadcast):
        return matrix(circuit, feedback.weights)
    whole = np.zeros((circuit.n_cells, circuit.n_cells))
    for receiver, weights in feedback.weights.items():
        rows = np.split(weights, np.cumsum([p.size for p in circuit.error_sources])[:-1])
        for sender, block in zip(circuit.error_sources, rows, strict=True):
            whole[circuit.slices[sender.name], circuit.slices[receiver]] = block
    return whole


def set_window(built: SpikingCircuit, value: float) -> None:
    """Say that an outcome is present, to the rules that ask."""
    if "window" in built.cells.variables:
        built.cells.window = value


# ------------------------------------------------------------------------------------------ locality


@dataclass(frozen=True)
class Setting:
    """A chain from s to o, with an outcome present from the start, in which everything can be set before it runs."""

    rule: Rule
    circuit: Circuit
    weights: Weights
    feedback: Feedback
    drive: Mapping[str, float]  # of the apical dendrites of whole populations
    held: tuple[str, ...] = ()  # populations whose somata the outside world holds, and which send no error spikes
    outcome: int = 7  # seed of what the somata are held at

    def course(self, steps: int) -> SimpleNamespace:
        """After every step, (step, ...): changes of weights by projection, of biases by population; who fired."""
        spiking = build(self.circuit, self.rule, self.weights, feedback=self.feedback, seed=5)
        cells, synapses = spiking.cells, spiking.synapses
        rng = np.random.default_rng(7)
        cells.target = rng.random(self.circuit.n_cells)
        cells.E = rng.choice([-0.05, 0.05], self.circuit.n_cells) * cells.predicts[:]
        set_window(spiking, 1)
        for population in self.circuit.error_sources:
            spiking.population(population.name).clamp = 1
            spiking.population(population.name).target = np.random.default_rng(self.outcome).random(population.size)
        for name in self.held:
            spiking.population(name).clamp = 1
            spiking.population(name).predicts = 0
        for name, value in self.drive.items():
            spiking.population(name).abias = value
        start = {name: np.array(getattr(cells, name)[:]) for name in ("bias", "abias")}
        start |= {name: np.array(getattr(synapses, name)[:]) for name in ("w", "fb")}
        by_cell = StateMonitor(cells, ["bias", "abias"], record=True, when="end")
        by_synapse = StateMonitor(synapses, ["w", "fb"], record=True, when="end")
        spikes = SpikeMonitor(cells)
        Network(*spiking.objects, by_cell, by_synapse, spikes).run(steps * ms, namespace={})
        fired = np.zeros((steps, self.circuit.n_cells), bool)
        fired[np.round(spikes.t / ms).astype(int), spikes.i[:]] = True
        moved = {name: getattr(by_cell, name).T - start[name] for name in ("bias", "abias")} | {"fired": fired}
        rows = {name: getattr(by_synapse, name).T - start[name] for name in ("w", "fb")}
        unpacked = {name: [unflat(self.circuit, row) for row in of_step] for name, of_step in rows.items()}
        return SimpleNamespace(
            **{k: {name: array[:, where] for name, where in self.circuit.slices.items()} for k, array in moved.items()},
            **{
                k: {p.name: np.array([row[p.name] for row in of_step]) for p in self.circuit.projections}
                for k, of_step in unpacked.items()
            },
        )

    def perturbed(self, projection: str) -> "Setting":
        """The same with other forward and feedback weights in one projection."""
        other = np.random.default_rng(11).normal(0, 1, self.weights.forward[projection].shape)
        weights = Weights({**self.weights.forward, projection: other}, self.weights.bias)
        feedback = self.feedback
        if not isinstance(self.rule, Broadcast):
            feedback = Feedback({**feedback.weights, projection: other}, feedback.bias)
        return replace(self, weights=weights, feedback=feedback)


def setting(rule: Rule, **options) -> Setting:
    """A chain of five hops with random weights, whose feedback is the forward weights unless the rule broadcasts."""
    circuit = chain("sabcdo")
    weights = random_weights(circuit, np.random.default_rng(2))
    feedback = random_broadcast(circuit, 3) if isinstance(rule, Broadcast) else Feedback(weights.forward)
    return Setting(rule, circuit, weights, feedback, **{"drive": {}, **options})


# ------------------------------------------------------------------------------------------ an outcome


@dataclass(frozen=True)
class Before:
    """Weights, and what the error source predicted before the outcome."""

    weights: Weights
    feedback: Feedback
    prediction: np.ndarray


@dataclass(frozen=True)
class After:
    """The same weights at the end, and how many error spikes each population sent."""

    weights: Weights
    feedback: Feedback
    errors: dict[str, int]


def live_through(
    rule: Rule, outcome: np.ndarray | None, *, circuit: Circuit | None = None, steps: int = 300
) -> tuple[Before, After]:
    """Let a chain of 4 hops settle, then present an outcome (... is the prediction itself, None is no outcome)."""
    circuit = circuit or chain("sabco")
    weights = random_weights(circuit, np.random.default_rng(2))
    feedback = random_broadcast(circuit, 3) if isinstance(rule, Broadcast) else Feedback(weights.forward)
    spiking = build(circuit, rule, weights, feedback=feedback)
    cells, synapses = spiking.cells, spiking.synapses
    spiking.population("s").target = 0.5
    out = spiking.population("o")
    potential = StateMonitor(cells, "V", record=np.arange(circuit.n_cells)[circuit.slices["o"]])
    errors = EventMonitor(cells, "error")
    network = Network(*spiking.objects, potential, errors)
    network.run(300 * ms, namespace={})
    prediction = phi(potential.V[:, 100:]).mean(axis=1)  # single spikes leave a ripple on V
    if outcome is not None:
        out.clamp = 1
        out.target = prediction if outcome is ... else outcome
        set_window(spiking, 1)
    network.run(steps * ms, namespace={})
    bias, abias = np.array(cells.bias[:]), np.array(cells.abias[:])
    after = After(
        Weights(
            unflat(circuit, np.array(synapses.w[:])),
            {p.name: bias[circuit.slices[p.name]] for p in circuit.populations if p.role != "input"},
        ),
        feedback
        if spiking.broadcast is not None
        else Feedback(
            unflat(circuit, np.array(synapses.fb[:])), {p.name: abias[circuit.slices[p.name]] for p in circuit.hidden}
        ),
        {name: int(np.sum(errors.count[where])) for name, where in circuit.slices.items()},
    )
    return Before(weights, feedback, prediction), after


def size_of_change(before: Before, after: After) -> float:
    pairs = [(after.weights.forward[name], w) for name, w in before.weights.forward.items()]
    return float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in pairs)))


def changed_projections(before: Before, after: After) -> set[str]:
    """Projections whose weights, or whose target's biases, are not what they were, to the bit."""
    here, there = before.weights, after.weights
    return {
        name
        for name, w in here.forward.items()
        if not np.array_equal(w, there.forward[name])
        or not np.array_equal(here.bias[name.split("_to_")[1]], there.bias[name.split("_to_")[1]])
    }


def first_difference(here: np.ndarray, there: np.ndarray) -> float:
    """The first step, counted from 1, after which two courses differ; infinite if none does."""
    differ = np.any((here != there).reshape(len(here), -1), axis=1)
    return float(np.argmax(differ)) + 1 if differ.any() else np.inf


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2)))


def orthogonal(circuit: Circuit, seed: int = 0) -> Weights:
    """Weights that pass activity and errors on at about the same size."""
    rng = np.random.default_rng(seed)
    forward, bias = {}, {}
    for p in circuit.projections:
        post, pre = circuit.shape(p)
        q = np.linalg.qr(rng.standard_normal((max(post, pre), max(post, pre))))[0][:post, :pre]
        forward[p.name], bias[p.target] = 2 * q, -q.sum(1)
    return Weights(forward, bias)
