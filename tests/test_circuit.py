"""Circuits: what is refused and in which words, and hops counted by hand."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from bioplastic.cells import phi
from bioplastic.circuit import (
    Circuit,
    CircuitError,
    Feedback,
    Population,
    Projection,
    Weights,
    orthogonal_weights,
)

SENSES = Population("senses", 3, "input")
MIDDLE = Population("middle", 2)
OUT = Population("out", 1, "error source")


def arrows(*pairs: str) -> tuple[Projection, ...]:
    """Projections from pairs such as "senses>out"."""
    return tuple(Projection(*pair.split(">")) for pair in pairs)


def small() -> Circuit:
    return Circuit((SENSES, MIDDLE, OUT), arrows("senses>middle", "middle>out"))


def branching() -> Circuit:
    r"""senses -> a -> b -> out,  a -> c -> d -> b,  senses -> c,  c -> second; two error sources."""
    populations = (
        SENSES,
        *(Population(name, 2) for name in "dcba"),
        OUT,
        Population("second", 4, "error source"),
    )
    pairs = ("senses>a", "a>b", "b>out", "a>c", "c>d", "d>b", "senses>c", "c>second")
    return Circuit(populations, arrows(*pairs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1a", 2), "population name '1a' is no identifier; use letters, digits and '_'."),
        (("a b", 2), "population name 'a b' is no identifier"),
        ((3, 2), "population name 3 is no identifier"),
        (("a", 0), "population 'a': size = 0; it needs at least 1 cell."),
        (("a", -2), "population 'a': size = -2; it needs at least 1 cell."),
        (("a", 2.0), "population 'a': size = 2.0; it needs at least 1 cell."),
        (("a", True), "population 'a': size = True; it needs at least 1 cell."),
        (("a", 2, "output"), "population 'a': role = 'output'; allowed: hidden, input, error source."),
    ],
)
def test_bad_population(arguments, message):
    with pytest.raises(CircuitError, match=re.escape(message)):
        Population(*arguments)


@pytest.mark.parametrize(
    ("populations", "projections", "message"),
    [
        (
            (SENSES, OUT),
            arrows("senses>nowhere"),
            "projection 'senses' -> 'nowhere' names the unknown population 'nowhere'; known: senses, out.",
        ),
        ((SENSES, OUT), arrows("ghost>out"), "names the unknown population 'ghost'; known: senses, out."),
        ((SENSES, OUT, OUT), arrows("senses>out"), "population 'out' is defined 2 times; rename one of them."),
        ((SENSES, OUT), arrows("senses>out", "senses>out"), "projection 'senses' -> 'out' is defined twice."),
        (
            (SENSES, OUT),
            arrows("out>senses"),
            "projection 'out' -> 'senses' ends in an input population, whose cells fire as the stimulus says; "
            "give the target the role 'hidden'.",
        ),
        (
            (Population("a", 1), Population("a_to_b", 1), Population("b_to_c", 1), Population("c", 1, "error source")),
            arrows("a_to_b>c", "a>b_to_c"),
            "two projections share the name 'a_to_b_to_c'; rename a population.",
        ),
        ((SENSES, MIDDLE), arrows("senses>middle"), "no population has the role 'error source'"),
        ((), (), "no population has the role 'error source'"),
        (
            (SENSES, MIDDLE, OUT),
            arrows("senses>middle", "senses>out"),
            "no path leads from the plastic projection 'senses' -> 'middle' to an error source (out); add one, or "
            "set plastic=False.",
        ),
    ],
)
def test_bad_circuit(populations, projections, message):
    with pytest.raises(CircuitError, match=re.escape(message)):
        Circuit(populations, projections)


def test_a_dead_end_is_allowed_when_it_does_not_learn():
    circuit = Circuit((SENSES, MIDDLE, OUT), (*arrows("senses>out"), Projection("senses", "middle", plastic=False)))
    assert circuit.hops == (0.0, np.inf)
    assert circuit.n_hops == 1


def test_unknown_population_names_the_known_ones():
    with pytest.raises(CircuitError, match=re.escape("there is no population 'mid'; known: senses, middle, out.")):
        small().population("mid")


def test_hops_of_a_chain():
    circuit = small()
    assert circuit.population_hops == {"out": 0, "middle": 1, "senses": 2}
    assert circuit.hops == (1.0, 0.0)  # the weights into the error source are hop 0
    assert circuit.n_hops == 2


def test_hops_of_a_branching_graph_are_shortest_paths():
    circuit = branching()
    # c goes straight to an error source; senses and a reach it through c, d through b only.
    assert circuit.population_hops == {"out": 0, "second": 0, "b": 1, "c": 1, "a": 2, "d": 2, "senses": 2}
    by_name = dict(zip([p.name for p in circuit.projections], circuit.hops, strict=True))
    assert by_name == {
        "senses_to_a": 2,
        "a_to_b": 1,
        "b_to_out": 0,
        "a_to_c": 1,
        "c_to_d": 2,
        "d_to_b": 1,
        "senses_to_c": 1,
        "c_to_second": 0,
    }
    assert circuit.n_hops == 3


def test_hops_of_a_cycle():
    circuit = Circuit((SENSES, MIDDLE, OUT), arrows("senses>middle", "middle>middle", "middle>out", "out>middle"))
    assert circuit.hops == (1, 1, 0, 1)


def test_order_puts_sources_first():
    circuit = branching()
    place = {p.name: k for k, p in enumerate(circuit.order)}
    assert sorted(place) == sorted(p.name for p in circuit.populations)
    assert all(place[p.source] < place[p.target] for p in circuit.projections)


@pytest.mark.parametrize(
    ("pairs", "members"),
    [
        (("senses>middle", "middle>out", "out>middle"), "middle, out"),
        (("senses>middle", "middle>middle", "middle>out"), "middle"),
    ],
)
def test_cycle_where_none_is_allowed(pairs, members):
    circuit = Circuit((SENSES, MIDDLE, OUT), arrows(*pairs))  # as such it is a circuit
    with pytest.raises(CircuitError, match=f"^populations {members} form a cycle where none is allowed"):
        _ = circuit.order


def test_shapes_slices_and_roles():
    circuit = branching()
    assert circuit.n_cells == 3 + 4 * 2 + 1 + 4
    assert circuit.slices["senses"] == slice(0, 3)
    assert circuit.slices["c"] == slice(5, 7)
    assert circuit.slices["second"] == slice(12, 16)
    assert circuit.shape(Projection("c", "second")) == (4, 2)
    assert [p.name for p in circuit.inputs] == ["senses"]
    assert [p.name for p in circuit.error_sources] == ["out", "second"]
    assert [p.name for p in circuit.hidden] == ["d", "c", "b", "a"]
    assert [p.name for p in circuit.incoming(circuit.population("b"))] == ["a_to_b", "d_to_b"]


def test_json_round_trip():
    circuit = Circuit(branching().populations, (*branching().projections, Projection("senses", "b", plastic=False)))
    again = Circuit.from_json(circuit.to_json())
    assert again == circuit
    assert hash(again) == hash(circuit)
    assert json.loads(circuit.to_json())["projections"][-1] == {"source": "senses", "target": "b", "plastic": False}


def test_json_of_numpy_sizes():
    circuit = Circuit((Population("senses", np.int64(3), "input"), OUT), arrows("senses>out"))
    assert Circuit.from_json(circuit.to_json()) == circuit


@pytest.mark.parametrize(
    "text",
    [
        "{bad",
        "{}",
        "[]",
        "null",
        '{"populations": 1, "projections": []}',
        '{"populations": ["a"], "projections": []}',
        '{"populations": [{"name": "a", "size": 2, "colour": 1}], "projections": []}',
        '{"populations": [{"name": "a"}], "projections": []}',
    ],
)
def test_malformed_json(text):
    with pytest.raises(CircuitError, match=r"^this is no circuit as Circuit\.to_json writes it: "):
        Circuit.from_json(text)


def test_json_of_a_circuit_that_cannot_be():
    text = small().to_json().replace('"error source"', '"hidden"')
    with pytest.raises(CircuitError, match="no population has the role 'error source'"):
        Circuit.from_json(text)


def test_weights_check():
    circuit = small()
    forward = {"senses_to_middle": np.zeros((2, 3)), "middle_to_out": np.zeros((1, 2))}
    bias = {"middle": np.zeros(2), "out": np.zeros(1)}
    Weights(forward, bias).check(circuit)
    nan = np.array([[0.0, np.nan]])
    for bad, message in [
        (
            Weights({"middle_to_out": forward["middle_to_out"]}, bias),
            "weights: missing ['senses_to_middle'], unknown [].",
        ),
        (Weights(forward | {"x": nan}, bias), "weights: missing [], unknown ['x']."),
        (Weights(forward, bias | {"senses": np.zeros(3)}), "bias: missing [], unknown ['senses']."),
        (
            Weights(forward | {"middle_to_out": np.zeros((2, 1))}, bias),
            "weights of 'middle_to_out' have shape (2, 1); the circuit needs (1, 2).",
        ),
        (Weights(forward, bias | {"out": np.zeros(2)}), "bias of 'out' have shape (2,); the circuit needs (1,)."),
        (
            Weights(forward | {"middle_to_out": nan}, bias),
            "weights of 'middle_to_out' contain NaN or infinity; give finite numbers.",
        ),
        (Weights(forward, bias | {"out": np.array([np.inf])}), "bias of 'out' contain NaN or infinity"),
    ]:
        with pytest.raises(CircuitError, match=re.escape(message)):
            bad.check(circuit)


FEEDBACK = {"senses_to_middle": np.zeros((2, 3)), "middle_to_out": np.zeros((1, 2))}


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (
            Feedback({"middle_to_out": FEEDBACK["middle_to_out"]}),
            "feedback weights: missing ['senses_to_middle'], unknown [].",
        ),
        (Feedback({}), "feedback weights: missing ['middle_to_out', 'senses_to_middle'], unknown []."),
        (Feedback(FEEDBACK | {"x": np.zeros(1)}), "feedback weights: missing [], unknown ['x']."),
        (
            Feedback(FEEDBACK | {"middle_to_out": np.zeros((2, 1))}),
            "feedback weights of 'middle_to_out' have shape (2, 1); the circuit needs (1, 2).",
        ),
        (
            Feedback(FEEDBACK | {"middle_to_out": np.array([[0.0, np.nan]])}),
            "feedback weights of 'middle_to_out' contain NaN or infinity; give finite numbers.",
        ),
        (
            Feedback(FEEDBACK, {"middle": np.zeros(3)}),
            "apical bias of 'middle' have shape (3,); the circuit needs (2,).",
        ),
        (
            Feedback(FEEDBACK, {"middle": np.array([0.0, -np.inf])}),
            "apical bias of 'middle' contain NaN or infinity; give finite numbers.",
        ),
        (
            Feedback(FEEDBACK, {"out": np.zeros(1), "middle": np.zeros(2), "cortex": np.zeros(2)}),
            "apical bias: unknown ['cortex', 'out']; hidden populations are ['middle'].",
        ),
    ],
)
def test_bad_feedback(feedback, message):
    with pytest.raises(CircuitError) as caught:
        feedback.check(small())
    assert str(caught.value) == message


def test_good_feedback():
    Feedback(FEEDBACK).check(small())
    Feedback(FEEDBACK, {"middle": np.ones(2)}).check(small())
    Feedback({name: np.ones((5, 2)) for name in "abcd"}, {"a": np.ones(2)}).check(branching(), broadcast=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {},
            "a rule that broadcasts needs weights from the error source to every hidden population; give "
            "feedback=random_broadcast(circuit, seed) from bioplastic.rules.broadcast.",
        ),
        ({"a": np.ones((5, 2))}, "feedback weights: missing ['b', 'c', 'd'], unknown []."),
        (
            {name: np.ones((5 if name < "d" else 4, 2)) for name in "abcd"},  # 1 cell of `out` and 4 of `second`
            "feedback weights of 'd' have shape (4, 2); the circuit needs (5, 2).",
        ),
    ],
)
def test_bad_feedback_of_a_rule_that_broadcasts(weights, message):
    with pytest.raises(CircuitError) as caught:
        Feedback(weights).check(branching(), broadcast=True)
    assert str(caught.value) == message


def test_a_circuit_shows_itself_in_a_notebook_in_a_few_lines():
    hidden = [Population(f"h{k}", 4) for k in range(500)]
    populations = [Population("x", 4, "input"), *hidden, Population("y", 2, "error source")]
    long = Circuit(tuple(populations), tuple(Projection(a.name, b.name) for a, b in pairwise(populations)))
    html = long._repr_html_()
    assert len(html) < 5000
    assert "2006 cells, 501 hops" in html
    assert "and 486 more" in html
    short = Circuit((Population("x", 4, "input"), Population("y", 2, "error source")), (Projection("x", "y"),))
    assert "<td>y</td><td>error source</td><td>2</td><td>0</td><td>x</td>" in short._repr_html_()


def test_start_weights_are_orthogonal_and_keep_rates_of_one_half():
    sizes = {"x": 8, "h": 8, "y": 4}
    roles = {"x": "input", "h": "hidden", "y": "error source"}
    populations = tuple(Population(name, n, roles[name]) for name, n in sizes.items())
    circuit = Circuit(populations, arrows("x>h", "h>y"))
    weights = orthogonal_weights(circuit, 3.0, seed=5)
    for projection in circuit.projections:
        w = weights.forward[projection.name]
        np.testing.assert_allclose(w @ w.T, 9 * np.eye(len(w)), atol=1e-12)
        rate = phi(w @ np.full(w.shape[1], 0.5) + weights.bias[projection.target])
        np.testing.assert_allclose(rate, 0.5, atol=1e-12)
    again, other = (orthogonal_weights(circuit, 3.0, seed=s).forward["x_to_h"] for s in (5, 6))
    np.testing.assert_array_equal(weights.forward["x_to_h"], again)
    assert np.abs(weights.forward["x_to_h"] - other).max() > 0.1
