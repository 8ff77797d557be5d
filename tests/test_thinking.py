"""Thinking as learning: what is held, what counts as what happens, and what is lived of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bioplastic_models import association, thinking
from bioplastic_models.thinking import (
    ARMS,
    BESIDE,
    EXPERIENCE,
    FROZEN,
    LOOP,
    OFF,
    ONLY,
    Mind,
    Session,
    ThinkingBench,
    ThinkingSettings,
    held,
    known,
    looks,
)
from brian2 import Hz, ms

from bioplastic.circuit import orthogonal_weights
from bioplastic.events import NO_OUTCOME, Kind
from bioplastic.study import Condition
from bioplastic.study.bench import Ask

N = association.N_CELLS
SETTINGS = ThinkingSettings(seeds=(0, 1), n_tuning=2)


def drive(generator, live):
    """Answer what a measure asks for, and return what it returns."""
    answer = None
    while True:
        try:
            ask = generator.send(answer)
        except StopIteration as end:
            return end.value
        assert isinstance(ask, Ask)
        answer = live(ask.lives)


def a_bench(settings=SETTINGS, n_rows=12):
    bench = ThinkingBench(settings, n_rows)
    bench.start = dict(zip(bench.seeds, bench.starts(lambda done: None), strict=True))
    return bench


def of(bench, name, kind=thinking.RESULT, seed=0, rate=0.1):
    learner = next(one for one in bench.learners if one.name == name)
    return Condition(kind, {"seed": seed, "rate": rate}, learner)


# ------------------------------------------------------------------------------------------ what is lived


def test_what_is_unknown_teaches_nothing():
    a = np.full((2, N), 0.6)
    session = Session(held(a=a), known(c=a), np.array([1, 0]), held(b=a[:1]))
    task, schedule = session.task(), session.schedule()
    assert task.reward[:2] == pytest.approx(np.repeat([[0.0, 1.0]] * 2, N, axis=1))
    assert not task.reward[2:].any()
    assert task.stimuli[0] == pytest.approx(np.repeat([0.6, association.REST], N))
    assert task.stimuli[2] == pytest.approx(np.repeat([association.REST, 0.6], N))
    assert schedule.stimulus.tolist() == [1, 0, 2]
    assert schedule.outcome.tolist() == [1, 0, NO_OUTCOME]
    assert schedule.kind.tolist() == [Kind.BACKGROUND, Kind.BACKGROUND, Kind.PROBE]
    assert replace(session, quiet=True).schedule().outcome.tolist() == [NO_OUTCOME] * 3


def test_nothing_stays_in_its_place_when_exchanged():
    for seed in range(20):
        order = thinking.others(7, np.random.default_rng(seed))
        assert sorted(order) == list(range(7))
        assert (order != np.arange(7)).all()


def test_experience_shows_everything_once_before_anything_comes_again():
    a = np.full((3, N), 0.6)
    session = Session.taught(held(a=a), known(b=a), 4, np.random.default_rng(0))
    assert [sorted(part) for part in np.split(session.order, 4)] == [[0, 1, 2]] * 4
    assert not len(session.probed)


# ------------------------------------------------------------------------------------------ who lives it


def test_branches_have_one_past_and_the_same_order_of_events():
    bench = a_bench()
    condition = of(bench, "error relay")
    young = bench.young(condition)
    branches = bench.branches(young, condition)
    assert [mind.arm for mind in branches] == list(ARMS)
    assert len({mind.n_sessions for mind in branches}) == len(ARMS)
    assert len({mind.rng.random() for mind in branches}) == 1
    assert all(mind.weights is young.weights for mind in branches)
    tuned = bench.branches(young, of(bench, "error relay", "tuning"))
    assert [mind.arm for mind in tuned] == [LOOP]


def test_a_session_is_a_life_of_the_mind_at_its_rate():
    bench = a_bench()
    condition, session = of(bench, "error relay", seed=1), looks(np.full((2, 2 * N), 0.5))
    mind = replace(bench.young(condition), n_sessions=203)
    life, frozen = (bench.session(condition, replace(mind, arm=arm), session) for arm in (LOOP, FROZEN))
    assert life.seed == 1203
    assert life.rule == condition.rule
    assert frozen.rule.eta == 0
    assert life.rule.eta == pytest.approx(0.1 / 12)  # at 100 Hz an outcome of 120 ms has 12 spikes
    assert life.feedback.weights is bench.start[1].forward
    assert life.task.stimuli.shape == (2, 2 * N)
    assert bench.session(of(bench, "backprop"), mind, session).feedback is None


def made_up(lives):
    """What is evoked is what is held; weights grow by 1 where there is an outcome."""
    found = []
    for life in lives:
        learned = (life.schedule.outcome != NO_OUTCOME).any()
        forward = {name: w + learned for name, w in life.weights.forward.items()}
        prediction = life.task.stimuli[life.schedule.stimulus]
        found.append(SimpleNamespace(prediction=prediction, weights=replace(life.weights, forward=forward)))
    return found


def test_nobody_looks_twice_at_the_same_in_spikes():
    bench = a_bench()
    condition = of(bench, "error relay")
    minds = bench.branches(bench.young(condition), condition)[:3]
    asked = []

    def live(lives):
        asked.append(len(lives))
        return made_up(lives)

    one, other = looks(np.full((1, 2 * N), 0.4)), looks(np.full((2, 2 * N), 0.6))
    events = Session(held(a=np.full((2, N), 0.6)), known(c=np.full((2, N), 0.7)), np.arange(2), one.probed)
    evoked = drive(bench.evoked(condition, minds, [one, one, other]), live)
    assert [e.shape for e in evoked] == [(1, 2 * N), (1, 2 * N), (2, 2 * N)]
    assert evoked[0] is evoked[1]
    assert [mind.n_sessions % 100 for mind in minds] == [1, 0, 1]
    drive(bench.evoked(condition, minds, [one, other, other]), live)
    drive(bench.evoked(condition, minds[:2], [events, events]), live)  # the same events are lived by each
    evoked = drive(bench.evoked(condition, minds, [one, one, one]), live)  # their weights are others now
    assert asked == [2, 2, 1]
    assert all((e == 0.4).all() for e in evoked)
    assert (minds[0].weights.forward["a_to_a1"] == bench.start[0].forward["a_to_a1"] + 1).all()
    assert (minds[2].weights.forward["a_to_a1"] == bench.start[0].forward["a_to_a1"]).all()


def test_all_minds_of_the_twin_live_in_step():
    bench = a_bench()
    condition = of(bench, "backprop")
    minds = bench.branches(bench.young(condition), condition)
    asked = []
    drive(
        bench.evoked(condition, minds, [looks(np.full((1, 2 * N), 0.4))] * len(minds)),
        lambda lives: asked.append(len(lives)) or made_up(lives),
    )
    assert asked == [len(ARMS)]


def test_experience_goes_on_only_beside_the_loop_and_alone():
    bench = a_bench()
    condition = of(bench, "backprop")
    minds = bench.branches(bench.young(condition), condition)
    pattern = np.full((1, N), 0.6)
    thought = Session(held(a=pattern), known(c=pattern), np.arange(1), held(a=pattern))
    stretch = Session(held(a=pattern), known(b=pattern), np.arange(1), np.empty((0, 2 * N)))
    evoked = drive(bench.think(condition, minds, [thought] * len(minds), [[stretch] * 2] * len(minds)), made_up)
    grown = {m.arm: m.weights.forward["a_to_a1"][0, 0] - bench.start[0].forward["a_to_a1"][0, 0] for m in minds}
    assert {arm for arm, by in grown.items() if by == pytest.approx(3)} == {BESIDE, ONLY}
    assert {arm for arm, by in grown.items() if by == pytest.approx(1)} == {*ARMS} - {BESIDE, ONLY}
    assert [len(e) for e in evoked] == [1] * len(minds)
    assert OFF in thinking.QUIET
    assert bench.young(condition).arm == EXPERIENCE


def test_backprop_learns_only_what_it_is_told_of():
    pytest.importorskip("torch")
    bench = a_bench()
    condition = of(bench, "backprop")
    a, b = np.random.default_rng(0).uniform(0.2, 0.8, (2, 6, N))
    one = bench.young(condition)
    still = Mind(FROZEN, one.weights, one.rng)
    before = one.weights
    session = Session(held(a=a), known(b=b), np.arange(6), held(a=a))
    evoked = drive(bench.evoked(condition, [one, still], [session, session]), bench.live)
    changed = {k for k, w in one.weights.forward.items() if np.abs(w - before.forward[k]).max() > 1e-9}
    assert changed == {"a_to_a1", "a1_to_b1", "b1_to_B"}
    assert all((w == before.forward[k]).all() for k, w in still.weights.forward.items())
    error = [np.abs(thinking.halves(e)[0] - b).mean() for e in evoked]
    assert error[0] < error[1]


# ------------------------------------------------------------------------------------------ rates


def planned(bench, settings, score):
    """Plan all runs, finishing each with a score; returns them list by list, and as they are then."""
    found, lists = {}, []
    runs = SimpleNamespace(of=lambda kind: [(c, run) for c, run in found.items() if c.kind == kind])
    for batch in thinking.plan(bench, settings, runs):
        lists.append(batch)
        found.update({c: {"score": np.array(score(c))} for c in batch})
    return lists, runs


def test_the_rate_is_chosen_by_what_was_learned():
    bench = a_bench()
    (tuning, results), runs = planned(bench, SETTINGS, lambda c: -abs(c["rate"] - 0.3) + 0.001 * c["seed"])
    assert {c["seed"] for c in tuning} == {100, 101}
    assert {c["rate"] for c in results} == {0.3}
    assert {c["seed"] for c in results} == {0, 1}
    chosen = thinking.chosen(bench, runs)
    assert chosen["learning_rate"].values == pytest.approx([0.3] * 3)
    assert chosen["rate_at_edge"].values.tolist() == [False, False, True]


def test_nothing_is_tried_where_there_is_one_rate():
    settings = ThinkingSettings(seeds=(0,), spiking_rates=(0.1,), backprop_rates=(0.2,))
    bench = a_bench(settings)
    (tuning, results), runs = planned(bench, settings, lambda c: 0.0)
    assert tuning == []
    assert [c["rate"] for c in results] == [0.1, 0.1, 0.2]
    assert not thinking.chosen(bench, runs)["rate_at_edge"].values.any()
    swept = thinking.sweep(bench, settings, runs, {})
    np.testing.assert_allclose(swept["rate"], [[0.1], [0.1], [0.2]])
    assert np.isnan(swept["score"]).all()
    assert swept["tuning_seed"].values.tolist() == [100]


# ------------------------------------------------------------------------------------------ the circuit


def test_circuit_has_a_direct_path_and_one_through_b():
    circuit = association.circuit(4)
    assert circuit.n_hops == association.N_HOPS
    assert [p.name for p in circuit.inputs] == ["a", "b"]
    assert [p.name for p in circuit.error_sources] == ["B", "C"]
    assert dict(zip([p.name for p in circuit.projections], circuit.hops, strict=True)) == {
        **{"a_to_a1": 2, "a1_to_b1": 1, "b1_to_B": 0},
        **{"a1_to_c1": 1, "b_to_b2": 2, "b2_to_c1": 1, "c1_to_C": 0},
    }


def test_start_weights_are_orthogonal_and_keep_rates_of_one_half():
    bench = a_bench()
    weights = bench.start[1]
    for w in weights.forward.values():
        assert w @ w.T == pytest.approx(association.SIZE**2 * np.eye(N))
    into_c1 = weights.forward["a1_to_c1"].sum(1) + weights.forward["b2_to_c1"].sum(1)
    assert weights.bias["c1"] == pytest.approx(-into_c1 / 2)
    again = orthogonal_weights(bench.circuit, association.SIZE, 1)
    assert (weights.forward["a_to_a1"] == again.forward["a_to_a1"]).all()


def test_cells_at_rest_do_not_lock_to_events():
    spikes = float(association.REST * 100 * Hz * (association.timing().event - association.GAP))
    assert abs(spikes - round(spikes)) > 0.05
    assert association.screened().theta > association.unscreened().theta
    assert association.screened().tau_e == 30 * association.timing().event
    assert 120 * ms == association.OUTCOME
