"""The rate twin: gradients against autograd, batches against single networks, lives event by event, the cache."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bioplastic import twin  # noqa: E402 (torch may be absent)
from bioplastic.cells import phi  # noqa: E402
from bioplastic.circuit import Circuit, CircuitError, Population, Projection, Weights  # noqa: E402
from bioplastic.events import Event, Kind, Schedule, ScheduleError, probes, random_life  # noqa: E402
from bioplastic.rules.backprop import Backprop, reference_update  # noqa: E402
from bioplastic.tasks import random_patterns  # noqa: E402
from bioplastic.twin import Networks, Pretraining, TwinLife, deltas, gradient, live, potentials, predict  # noqa: E402

TASK = random_patterns(6, 8, 3, seed=0)
QUICK = Pretraining(steps=5, batch=4)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chain(n_hops: int, size: int = 8) -> Circuit:
    hidden = [f"p{hop}" for hop in range(n_hops - 1, 0, -1)]
    names = ["senses", *hidden, "out"]
    populations = (
        Population("senses", 8, "input"),
        *(Population(name, size) for name in hidden),
        Population("out", 3, "error source"),
    )
    return Circuit(populations, tuple(Projection(a, b) for a, b in pairwise(names)))


def graph() -> Circuit:
    """Two inputs, a diamond with a short cut, and an error source that projects on to another one."""
    populations = (
        Population("left", 5, "input"),
        Population("right", 3, "input"),
        Population("c", 4),
        Population("a", 6),
        Population("b", 5),
        Population("out", 2, "error source"),
        Population("late", 1, "error source"),
        Population("aside", 2),
    )
    ends = [("left", "a"), ("right", "b"), ("a", "c"), ("b", "c"), ("c", "out"), ("a", "out"), ("out", "late")]
    return Circuit(populations, (*(Projection(*pair) for pair in ends), Projection("c", "aside", plastic=False)))


def random_weights(circuit: Circuit, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return Weights(
        {p.name: rng.normal(0, 0.6, circuit.shape(p)) for p in circuit.projections},
        {p.name: rng.normal(0, 0.3, p.size) for p in circuit.populations if p.role != "input"},
    )


def rare_life(n_events: int = 12, event_fraction: float = 0.25, seed: int = 0) -> Schedule:
    rng = np.random.default_rng(seed)
    return random_life(TASK, event_fraction=event_fraction, n_events=n_events, rng=rng)


def assert_same(a: Weights, b: Weights) -> None:
    """To the bit."""
    for mine, theirs in ((a.forward, b.forward), (a.bias, b.bias)):
        assert set(mine) == set(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


# ------------------------------------------------------------------------------------------ one event


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
    state = potentials(circuit, Networks.stack([weights]), torch.tensor([[[0.4, 0.5]]], dtype=torch.float64))
    assert state["m"].item() == pytest.approx(0.0)  # 0.4 + 2*0.5 - 1.4
    assert state["out"].item() == pytest.approx(0.8)  # 2*phi(0) - 0.4 + 0.2
    prediction = predict(circuit, Networks.stack([weights]), np.array([[0.4, 0.5]]))
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

    networks = Networks.stack([weights])
    state = potentials(circuit, networks, torch.tensor(stimuli)[None])
    found = deltas(circuit, networks, state, -errors[None])
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
        predict(circuit, Networks.stack([random_weights(circuit)]), TASK.stimuli)


# ------------------------------------------------------------------------------------------ lives


def test_a_life_is_the_reference_event_by_event():
    circuit, schedule = chain(4), rare_life()
    rule, weights = Backprop(eta=0.05, depth=2, attenuation=0.8), random_weights(chain(4))
    (lived,) = live(circuit, TASK, [TwinLife(schedule, rule, weights, snapshots=[0, 4])])
    w = [weights.forward[p.name].copy() for p in circuit.projections]
    b = [weights.bias[p.target].copy() for p in circuit.projections]
    for event, (stimulus, outcome) in enumerate(zip(schedule.stimulus, schedule.outcome, strict=True)):
        h = TASK.stimuli[stimulus]
        for a, c in zip(w, b, strict=True):
            h = phi(a @ h + c)
        np.testing.assert_allclose(lived.prediction[event], h, rtol=1e-10)
        changed, moved = reference_update(w, b, TASK.stimuli[stimulus], TASK.outcomes[outcome], rule)
        w = [a + change for a, change in zip(w, changed, strict=True)]
        b = [a + change for a, change in zip(b, moved, strict=True)]
        if event in (0, 4):
            snapshot = lived.snapshots[(0, 4).index(event)]
            for projection, a in zip(circuit.projections, w, strict=True):
                np.testing.assert_allclose(snapshot.forward[projection.name], a, rtol=1e-10)
    for projection, a, c in zip(circuit.projections, w, b, strict=True):
        np.testing.assert_allclose(lived.weights.forward[projection.name], a, rtol=1e-10)
        np.testing.assert_allclose(lived.weights.bias[projection.target], c, rtol=1e-10)
    assert len(lived.snapshots) == 2


def test_many_lives_at_once_are_the_single_ones():
    circuit = graph()
    rules = [Backprop(eta=0.1), Backprop(eta=0.05, depth=0), Backprop(eta=0.2, attenuation=0.3), Backprop()]
    lives = [
        TwinLife(rare_life(seed=k), rule, random_weights(circuit, k), snapshots=[k, 11]) for k, rule in enumerate(rules)
    ]
    for one, life in zip(live(circuit, TASK, lives), lives, strict=True):
        (alone,) = live(circuit, TASK, [life])
        np.testing.assert_allclose(one.prediction, alone.prediction, rtol=1e-12)
        np.testing.assert_allclose(one.error_signal, alone.error_signal, rtol=1e-12)
        for batched, single in zip([*one.snapshots, one.weights], [*alone.snapshots, alone.weights], strict=True):
            for name in single.forward:
                np.testing.assert_allclose(batched.forward[name], single.forward[name], rtol=1e-12, atol=1e-15)


def test_start_weights_are_left_alone():
    circuit = chain(3)
    weights = random_weights(circuit)
    live(circuit, TASK, [TwinLife(rare_life(), Backprop(eta=0.5), weights)])
    assert_same(weights, random_weights(circuit))


def test_sham_probe_and_rest_change_nothing():
    circuit = graph()
    rare = Schedule.of([Event(5, 5, Kind.RARE)] * 3)
    quiet = rare.sham() + probes(np.array([0, 1])) + Schedule.of([Event(kind=Kind.REST, rest=5)])
    weights = random_weights(circuit)
    (lived,) = live(circuit, TASK, [TwinLife(quiet, Backprop(eta=0.5), weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal == 0).all()
    np.testing.assert_array_equal(lived.prediction[0], lived.prediction[2])


def test_frozen_weights_stay():
    weights = random_weights(graph())
    (lived,) = live(graph(), TASK, [TwinLife(rare_life(), Backprop(eta=0.0), weights)])
    assert_same(lived.weights, weights)
    assert (lived.error_signal > 0).all()  # the signal is there all the same


def test_fixed_projections_stay():
    circuit = graph()
    fixed = Circuit(
        circuit.populations,
        tuple(replace(p, plastic=p.name not in ("a_to_c", "c_to_aside")) for p in circuit.projections),
    )
    weights = random_weights(circuit)
    (lived,) = live(fixed, TASK, [TwinLife(rare_life(), Backprop(eta=0.1), weights)])
    same = {name for name, w in weights.forward.items() if np.array_equal(w, lived.weights.forward[name])}
    assert same == {"a_to_c", "c_to_aside"}


def test_backprop_reaches_every_hop_at_the_first_occurrence():
    circuit = chain(12)
    weights = random_weights(circuit)
    background = Event(0, 0)
    schedule = Schedule.of([background, background, Event(5, 5, Kind.RARE)])
    real, sham = (TwinLife(s, Backprop(eta=0.1), weights) for s in (schedule, schedule.sham()))
    with_rare, without = live(circuit, TASK, [real, sham])
    for name in weights.forward:
        assert np.all(with_rare.weights.forward[name] != without.weights.forward[name]), name


def test_truncated_backprop_reaches_no_further_to_the_bit():
    circuit = chain(6)
    weights = random_weights(circuit)
    for depth in (0, 2, 4):
        (lived,) = live(circuit, TASK, [TwinLife(rare_life(), Backprop(eta=0.1, depth=depth), weights)])
        for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
            same = np.array_equal(lived.weights.forward[projection.name], weights.forward[projection.name])
            assert same == (hop > depth), (depth, hop)
            same = np.array_equal(lived.weights.bias[projection.target], weights.bias[projection.target])
            assert same == (hop > depth), (depth, hop)


def test_lives_of_different_lengths_are_refused():
    lives = [TwinLife(rare_life(n), Backprop(), random_weights(chain(2))) for n in (4, 8, 4)]
    message = "lives of [4, 8] events cannot be lived at once; give all the same number of events."
    with pytest.raises(ValueError, match=re.escape(message)):
        live(chain(2), TASK, lives)


@pytest.mark.parametrize(
    ("event", "snapshots", "message"),
    [
        (Event(6, 0), [], "stimulus = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 6), [], "outcome = 6, but the task has 6: give an index from 0 to 5."),
        (Event(0, 0), [1], "snapshots = [1]; give different events, 0 to 0, in rising order."),
        (Event(0, 0), [0, 0], "snapshots = [0, 0]; give different events, 0 to 0, in rising order."),
    ],
)
def test_a_life_that_does_not_fit(event, snapshots, message):
    life = TwinLife(Schedule.of([event]), Backprop(), random_weights(chain(2)), snapshots)
    with pytest.raises(ScheduleError, match=re.escape(message)):
        live(chain(2), TASK, [life])


def test_progress_ends_at_one():
    seen = []
    live(chain(2), TASK, [TwinLife(rare_life(8), Backprop(), random_weights(chain(2)))], progress=seen.append)
    assert seen == [k / 8 for k in range(1, 9)]


# ------------------------------------------------------------------------------------------ pretraining


def test_pretraining_teaches_the_background_and_nothing_else():
    circuit = chain(3, size=16)
    networks = twin.pretrain(circuit, TASK, [0, 1], Pretraining(steps=400, batch=16))
    before = twin.pretrain(circuit, TASK, [0, 1], Pretraining(steps=0))
    error = {}
    for name, weights in (("before", before), ("after", networks)):
        for w in weights:
            w.check(circuit)
        prediction = predict(circuit, Networks.stack(weights), TASK.stimuli)
        error[name] = ((prediction - TASK.outcomes[TASK.label]) ** 2).sum(2)
    assert (error["before"][:, :5].mean(1) > 0.05).all()
    assert (error["after"][:, :5].mean(1) < 0.02).all()
    assert (error["after"][:, 5] > 2 * error["after"][:, :5].mean(1)).all()  # the rare pattern stays a surprise


def test_pretraining_does_not_see_rare_or_held_out_patterns():
    other = random_patterns(6, 8, 3, seed=9)
    held_out = np.array([False, True, False, False, False, False])
    hidden = np.array([False, True, False, False, False, True])  # 5 is rare, 1 held out
    changed = replace(
        TASK,
        held_out=held_out,
        stimuli=np.where(hidden[:, None], other.stimuli, TASK.stimuli),
        outcomes=np.where(hidden[:, None], other.outcomes, TASK.outcomes),
    )
    here = twin.pretrain(chain(3), replace(TASK, held_out=held_out), [0], QUICK)[0]
    there = twin.pretrain(chain(3), changed, [0], QUICK)[0]
    assert_same(here, there)


def test_start_is_orthogonal_and_unsaturated():
    circuit = chain(10)
    (weights,) = twin.pretrain(circuit, TASK, [0], Pretraining(steps=0))
    w = weights.forward["p9_to_p8"]
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(8), atol=1e-5)
    size = [np.linalg.norm(g) for g in gradient(circuit, weights, TASK.stimuli[:1], TASK.outcomes[:1]).values()]
    assert max(size) / min(size) < 20  # backprop's own gradient does not vanish along the chain


def test_each_seed_is_a_network_of_its_own():
    circuit = chain(3)
    first, second = twin.pretrain(circuit, TASK, [3, 4], QUICK)
    (alone,) = twin.pretrain(circuit, TASK, [4], QUICK)
    for name in first.forward:
        assert not np.allclose(first.forward[name], second.forward[name])
        np.testing.assert_allclose(second.forward[name], alone.forward[name], atol=1e-4)


def test_cache_hit_does_not_train_again(tmp_path, monkeypatch):
    circuit = chain(3)
    made = twin.pretrained(circuit, TASK, [0, 1], QUICK, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2

    trained = []
    original = twin.pretrain

    def watched(circuit, task, seeds, settings, **others):
        trained.append((list(seeds), settings))
        return original(circuit, task, seeds, settings, **others)

    # inspect.getsource, which is part of the hash, follows __wrapped__
    watched.__wrapped__ = original
    monkeypatch.setattr(twin, "pretrain", watched)
    again = twin.pretrained(circuit, TASK, [1, 0], QUICK, cache=tmp_path)
    assert trained == []
    assert_same(again[1], made[0])
    assert_same(again[0], made[1])
    twin.pretrained(circuit, TASK, [0, 2], QUICK, cache=tmp_path)
    assert trained == [([2], QUICK)]  # only what is missing
    other = replace(QUICK, noise=0.2)
    twin.pretrained(circuit, TASK, [0], other, cache=tmp_path)
    twin.pretrained(chain(4), TASK, [0], QUICK, cache=tmp_path)
    twin.pretrained(circuit, replace(TASK, held_out=np.arange(6) == 1), [0], QUICK, cache=tmp_path)
    assert trained[1:] == [([0], other), ([0], QUICK), ([0], QUICK)]


def test_a_seed_given_twice_comes_back_twice(tmp_path):
    first, second = twin.pretrained(chain(3), TASK, [0, 0], QUICK, cache=tmp_path)
    assert_same(first, second)
