"""Networks of the rate twin: potentials by hand, errors and gradients against autograd, what is refused."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from small_twins import TASK, graph, random_weights  # noqa: E402 (torch may be absent)

from bioplastic.cells import phi  # noqa: E402
from bioplastic.circuit import Circuit, CircuitError, Population, Projection, Weights  # noqa: E402
from bioplastic.twin import Networks, gradient, predict  # noqa: E402


def test_potentials_by_hand():
    circuit = Circuit(
        (Population("senses", 2, "input"), Population("m", 1), Population("out", 1, "error source")),
        (Projection("senses", "m"), Projection("m", "out"), Projection("senses", "out")),
    )
    weights = Weights(
        {
            "senses_to_m": np.array([[1.0, 2.0]]),
            "m_to_out": np.array([[2.0]]),
            "senses_to_out": np.array([[-1.0, 0.0]]),
        },
        {"m": np.array([-1.4]), "out": np.array([0.2])},
    )
    state = Networks.stack(circuit, [weights]).potentials(torch.tensor([[[0.4, 0.5]]], dtype=torch.float64))
    assert state["m"].item() == pytest.approx(0.0)  # 0.4 + 2*0.5 - 1.4
    assert state["out"].item() == pytest.approx(0.8)  # 2*phi(0) - 0.4 + 0.2
    prediction = predict(circuit, [weights], np.array([[0.4, 0.5]]))
    assert prediction.shape == (1, 1, 1)
    assert prediction.item() == pytest.approx(0.5 + 0.4 / (1 + 0.8**4) ** 0.25)


def test_deltas_and_gradient_against_autograd():
    circuit, rng = graph(), np.random.default_rng(3)
    weights = random_weights(circuit)
    stimuli, outcomes = rng.random((7, 8)), rng.random((7, 3))
    w = {name: torch.tensor(a, requires_grad=True) for name, a in weights.forward.items()}
    b = {name: torch.tensor(a, requires_grad=True) for name, a in weights.bias.items()}
    v, h = {}, dict(zip(("left", "right"), torch.tensor(stimuli).split([5, 3], dim=1), strict=True))
    for name in ("a", "b", "c", "out", "late"):
        v[name] = b[name] + sum(h[p.source] @ w[p.name].T for p in circuit.incoming(circuit.population(name)))
        v[name].retain_grad()
        h[name] = phi(v[name])
    # Matching loss of both error sources: the derivative of each by its own potential is phi(V) - y.
    errors = torch.cat([h["out"], h["late"]], 1).detach() - torch.tensor(outcomes)
    (errors * torch.cat([v["out"], v["late"]], 1)).sum().backward()

    networks = Networks.stack(circuit, [weights])
    found = networks.deltas(networks.potentials(torch.tensor(stimuli)[None]), -errors[None])
    assert set(found) == {"a", "b", "c", "out", "late"}  # nothing comes back from a dead end
    for name, delta in found.items():
        np.testing.assert_allclose(delta[0].numpy(), -v[name].grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)
    direction = gradient(circuit, weights, stimuli, outcomes)
    assert set(direction) == {p.name for p in circuit.projections if p.target != "aside"}
    for name, change in direction.items():
        np.testing.assert_allclose(change, -w[name].grad.numpy(), rtol=1e-10, atol=1e-14, err_msg=name)


def test_cycle_is_refused():
    populations = (Population("senses", 8, "input"), Population("a", 2), Population("out", 3, "error source"))
    ends = [("senses", "a"), ("a", "a"), ("a", "out")]
    circuit = Circuit(populations, tuple(Projection(*pair) for pair in ends))
    with pytest.raises(CircuitError, match="populations a form a cycle where none is allowed"):
        predict(circuit, [random_weights(circuit)], TASK.stimuli)


def test_rows_put_side_by_side_and_take_apart():
    networks = Networks.stack(graph(), [random_weights(graph())])
    assert networks.hidden.names == ["a", "b", "c"]
    assert networks.learning.names == ["a", "b", "c", "out", "late"]  # no input, and not what leads nowhere
    parts = {name: torch.full((1, 2, size), float(size)) for name, size in zip("abc", (6, 5, 4), strict=True)}
    joined = networks.hidden.join(parts, torch.zeros(1, 2, 1))
    assert joined.shape == (1, 2, 15)
    for name, part in networks.hidden.split(joined).items():
        assert torch.equal(part, parts[name])
