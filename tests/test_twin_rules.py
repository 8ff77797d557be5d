"""How rules infer in the rate twin: against autograd and hand numbers, what is refused, a rule of one's own."""

import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from small_twins import (  # noqa: E402 (torch may be absent)
    LINEAR,
    LOCAL,
    TASK,
    chain,
    graph,
    random_weights,
    rare_life,
    surprised,
    unit_chain,
)

from bioplastic.life import Life  # noqa: E402
from bioplastic.rules import energy  # noqa: E402
from bioplastic.rules.backprop import Backprop  # noqa: E402
from bioplastic.rules.energy import stable_step  # noqa: E402
from bioplastic.rules.latent_equilibrium import LatentEquilibrium  # noqa: E402
from bioplastic.rules.predictive_coding import PredictiveCoding  # noqa: E402
from bioplastic.rules.twin_form import InferenceError, TwinRule  # noqa: E402
from bioplastic.twin import Activation, Networks, live, one_thread  # noqa: E402


@pytest.fixture(autouse=True)
def alone():
    """Small tensors: threads would only wait for each other."""
    with one_thread():
        yield


def test_relaxing_goes_down_the_energy():
    """Against autograd: tanh cells, linear outputs, squared errors."""
    circuit = graph()
    cells = Activation(torch.tanh, lambda v: 1 - torch.tanh(v) ** 2, lambda v: v, torch.ones_like)
    networks, state, outcome = surprised(circuit, 2, 3, activation=cells)
    hidden = ("a", "b", "c")
    rule = PredictiveCoding(steps=6, step_size=0.1)
    steps = list(rule.relax(networks, state, outcome))
    assert len(steps) == 7
    for before, after in pairwise(steps):
        x = {name: before.potential[name].clone().requires_grad_() for name in hidden}
        h = {name: torch.tanh(v) for name, v in x.items()} | {name: state[name] for name in ("left", "right")}
        predicted = {}
        for name in (*hidden, "out", "late"):
            incoming = circuit.incoming(circuit.population(name))
            drive = [h[p.source] @ networks.forward[p.name].mT for p in incoming]
            predicted[name] = sum(drive) + networks.bias[name].unsqueeze(1)
            h[name] = h.get(name, torch.tanh(predicted[name]))  # an error source has no potential of its own
        energy = sum((x[name] - predicted[name]).square().sum() for name in hidden) / 2
        outputs = torch.cat([predicted["out"], predicted["late"]], -1)
        energy = energy + (outcome - outputs).square().sum() / 2
        energy.backward()
        for name in hidden:
            moved = after.potential[name] - before.potential[name]
            np.testing.assert_allclose(moved, -0.1 * x[name].grad, rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(before.delta[name], (x[name] - predicted[name]).detach(), rtol=1e-9, atol=1e-14)
        assert set(before.delta) == {"a", "b", "c", "out", "late"}  # nothing comes back from a dead end


def test_the_error_gets_one_hop_per_step_to_the_bit():
    circuit = chain(6)
    networks, state, outcome = surprised(circuit, 2, 3)
    hops = circuit.population_hops
    for step, inferred in enumerate(PredictiveCoding(steps=6, step_size=0.05).relax(networks, state, outcome)):
        for name, delta in inferred.delta.items():
            assert bool((delta != 0).all()) == (hops[name] <= step), (step, name)
            assert bool((delta != 0).any()) == (hops[name] <= step), (step, name)


@pytest.mark.parametrize("steps", [1, 3])
def test_weights_beyond_the_number_of_steps_stay_to_the_bit(steps):
    circuit = chain(6)
    weights = random_weights(circuit)
    rule = PredictiveCoding(eta=0.1, steps=steps, step_size=0.1)
    (lived,) = live(circuit, TASK, [Life(rare_life(), rule, weights)])
    for projection, hop in zip(circuit.projections, circuit.hops, strict=True):
        same = np.array_equal(lived.weights.forward[projection.name], weights.forward[projection.name])
        assert same == (hop > steps)
        assert (lived.error_signal[:, int(hop)] == 0).all() == (hop > steps)


@pytest.mark.parametrize("circuit", [chain(4), graph(), chain(1)], ids=["chain", "graph", "no hidden population"])
def test_equilibrium_is_where_small_steps_end(circuit):
    networks, state, outcome = surprised(circuit, 3, 2)
    *_, slow = PredictiveCoding(steps=700, step_size=0.15).relax(networks, state, outcome)
    quick = PredictiveCoding().infer(networks, state, outcome)
    assert set(quick.delta) == set(slow.delta)
    for name, delta in quick.delta.items():
        np.testing.assert_allclose(delta, slow.delta[name], rtol=1e-4, atol=1e-5 * float(delta.abs().max()))
        np.testing.assert_allclose(quick.rate[name], slow.rate[name], rtol=1e-4)


def test_equilibrium_of_a_linear_network_is_exact():
    """The errors solve a linear least-squares problem: e = (1 + sum J J^T)^-1 (y - V)."""
    circuit = chain(4)
    networks, state, outcome = surprised(circuit, activation=LINEAR)
    w = {p.source: networks.forward[p.name][0].numpy() for p in circuit.projections}
    to_output = {"p1": w["p1"], "p2": w["p1"] @ w["p2"], "p3": w["p1"] @ w["p2"] @ w["p3"]}
    mistake = (outcome - state["out"])[0, 0].numpy()
    at_source = np.linalg.solve(np.eye(3) + sum(j @ j.T for j in to_output.values()), mistake)
    found = PredictiveCoding().infer(networks, state, outcome).delta
    np.testing.assert_allclose(found["out"][0, 0], at_source, rtol=1e-12)
    for name, j in to_output.items():
        np.testing.assert_allclose(found[name][0, 0], j.T @ at_source, rtol=1e-12)


def test_equilibrium_of_large_weights():
    """Cells are saturated and the energy is not convex: plain Gauss-Newton steps run to and fro."""
    circuit = chain(5)
    networks = Networks.stack(circuit, [random_weights(circuit, seed) for seed in range(4)])
    networks = replace(networks, forward={name: 1.5 * w for name, w in networks.forward.items()})
    state = networks.potentials(torch.tensor(TASK.stimuli).expand(4, -1, -1))
    outcome = torch.tensor(TASK.outcomes).expand(4, -1, -1)
    found = PredictiveCoding().infer(networks, state, outcome)
    for name, delta in networks.deltas(found.potential, outcome - networks.prediction(found.potential)).items():
        np.testing.assert_allclose(found.delta[name], delta, atol=1e-5 * float(delta.abs().max()))


def test_fixed_predictions_make_it_backprop():
    circuit = graph()
    networks, state, outcome = surprised(circuit, 2, 3)
    wanted = Backprop().infer(networks, state, outcome)
    for rule in (
        PredictiveCoding(steps=4, step_size=1.0, fixed_prediction=True),  # the longest path has 4 hops
        PredictiveCoding(fixed_prediction=True),
    ):
        found = rule.infer(networks, state, outcome)
        assert set(found.delta) == set(wanted.delta)
        for name, delta in wanted.delta.items():
            np.testing.assert_allclose(found.delta[name], delta, rtol=1e-12, atol=1e-15)
            np.testing.assert_array_equal(found.rate[name], wanted.rate[name])


def test_stimuli_do_not_interact():
    circuit = graph()
    networks, state, outcome = surprised(circuit, 2, 3)
    for rule in LOCAL:
        together = rule.infer(networks, state, outcome)
        for k in range(3):
            alone = rule.infer(networks, {n: v[:, k : k + 1] for n, v in state.items()}, outcome[:, k : k + 1])
            for name, delta in alone.delta.items():
                np.testing.assert_allclose(together.delta[name][:, k::3], delta, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(together.rate[name][:, k::3], alone.rate[name], rtol=1e-5)


@pytest.mark.parametrize("n_hops", [2, 5, 12])
def test_stable_step_of_a_chain_by_hand(n_hops):
    """The energy's matrix is tridiagonal (-1, 2, -1)."""
    curvature = 2 + 2 * np.cos(np.pi / n_hops)
    assert stable_step(*unit_chain(n_hops)) == pytest.approx([2 / curvature], rel=1e-6)


def test_step_sizes_around_the_stable_one():
    networks, state, outcome = unit_chain(6)
    limit = float(stable_step(networks, state, outcome)[0])
    settled = PredictiveCoding().infer(networks, state, outcome)
    below = PredictiveCoding(steps=400, step_size=0.98 * limit)
    *_, last = below.relax(networks, state, outcome)
    for name, delta in settled.delta.items():
        np.testing.assert_allclose(last.delta[name], delta, rtol=1e-5)
    above = replace(below, step_size=1.1 * limit)
    message = (
        r"step_size = 0.589488 is unstable: the energy rises in step \d+. .* stable below 0.536; give step_size=0.48"
    )
    with pytest.raises(InferenceError, match=message):
        list(above.relax(networks, state, outcome))


def test_a_life_with_an_unstable_step_size_is_refused_at_once():
    circuit, weights = chain(6), [random_weights(chain(6), seed) for seed in (0, 1)]
    schedule = rare_life()
    stimulus, outcome = TASK.stimuli[schedule.stimulus[0]], TASK.outcomes[schedule.outcome[0]]
    networks = Networks.stack(circuit, weights)
    state = networks.potentials(torch.tensor(stimulus).expand(2, 1, -1))
    stable = stable_step(networks, state, torch.tensor(outcome).expand(2, 1, -1))
    seen = []
    rule = PredictiveCoding(eta=0.1, steps=3, step_size=1.0)
    message = (
        f"step_size = 1 is unstable: its errors would grow from step to step. With the weights of network "
        f"{stable.argmin()} predictive coding is stable below {stable.min():.3g}; give step_size="
        f"{0.9 * stable.min():.2g} or less, and more steps."
    )
    with pytest.raises(InferenceError) as caught:
        live(circuit, TASK, [Life(schedule, rule, w) for w in weights], progress=seen.append)
    assert str(caught.value) == message
    assert seen == []
    advised = replace(rule, step_size=float(f"{0.9 * stable.min():.2g}"))
    live(circuit, TASK, [Life(schedule, advised, w) for w in weights])


def test_an_equilibrium_that_is_not_found(monkeypatch):
    monkeypatch.setattr(energy, "MAX_ITERATIONS", 2)
    circuit = chain(5)
    networks, state, outcome = surprised(circuit, 3)
    message = r"predictive coding finds no equilibrium for network \d: after 2 iterations its errors are off by"
    with pytest.raises(InferenceError, match=message):
        PredictiveCoding().infer(networks, state, outcome)


def test_nudging_too_strongly_is_refused():
    networks, state, outcome = unit_chain(4)
    message = (
        "beta = 2 is unstable: in network 0 the error at the error sources grows by a factor of 3 while the outcome is "
        "present. The nudging is too strong for these weights; give beta=0.67 or less."
    )
    # The output follows the nudge, to 2 and then to -2: the error goes 1, 1 - 2, 1 + 2.
    rule = LatentEquilibrium(dt=0.5, duration=1.0, beta=2.0)
    with pytest.raises(InferenceError, match=re.escape(message)):
        rule.infer(networks, state, outcome)


def test_only_predictive_coding_takes_longer_the_deeper_the_circuit():
    """Time constants until the error at the far end is half as large as in the end."""
    hops, step = (3, 6, 12), (0.2, 0.1)
    coding, latent = np.empty((2, 3, 2))
    for (i, n_hops), (j, dt) in product(enumerate(hops), enumerate(step)):
        networks, state, outcome = unit_chain(n_hops)
        far = f"p{n_hops - 1}"
        settled = float(PredictiveCoding().infer(networks, state, outcome).delta[far])
        relaxing = PredictiveCoding(steps=10**4, step_size=dt).relax(networks, state, outcome)
        coding[i, j] = dt * next(k for k, now in enumerate(relaxing) if float(now.delta[far]) > settled / 2)
        nudged = LatentEquilibrium(dt=dt, duration=30 * dt, beta=0.01)
        mismatch = nudged.infer(networks, state, outcome).delta[far].flatten()
        latent[i, j] = dt * next(k for k, now in enumerate(mismatch) if float(now) > float(mismatch[-1]) / 2)
    np.testing.assert_allclose(latent, np.outer(np.array(hops) - 1, step))  # a matter of steps
    np.testing.assert_allclose(coding[:, 0], coding[:, 1], rtol=0.2)  # a matter of time constants
    assert (coding[1:] / coding[:-1] > 2.5).all()  # and it grows faster than the number of hops


def test_the_equilibrium_takes_no_steps():
    networks, state, outcome = unit_chain(2)
    with pytest.raises(ValueError, match="steps = None; relaxing takes small steps to the equilibrium"):
        next(PredictiveCoding().relax(networks, state, outcome))


# ------------------------------------------------------------------------------------------ the form

MINE = """
from dataclasses import dataclass

from bioplastic.rules.twin_form import Inferred, TwinRule


@dataclass(frozen=True)
class DeltaRule(TwinRule):
    \"""Only the weights into the error source learn.\"""

    clip: float = 9.0

    def infer(self, networks, state, outcome):
        error = (outcome - networks.prediction(state)).clamp(-self.clip, self.clip)
        return Inferred(networks.at_sources(error), networks.rates(state), state)
"""
"""A rule as a user writes it: one file, and nothing else anywhere."""


def test_a_rule_of_one_s_own(tmp_path, monkeypatch):
    (tmp_path / "delta_rule.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    import delta_rule  # type: ignore[import-not-found]

    circuit, weights = chain(4), random_weights(chain(4))
    mine, cut = (
        live(circuit, TASK, [Life(rare_life(), rule, weights)])[0]
        for rule in (delta_rule.DeltaRule(eta=0.1), Backprop(eta=0.1, depth=0))
    )
    for name in weights.forward:
        np.testing.assert_array_equal(mine.weights.forward[name], cut.weights.forward[name])
    assert not np.array_equal(mine.weights.forward["p1_to_out"], weights.forward["p1_to_out"])
    assert (mine.error_signal[:, 0] > 0).all() and (mine.error_signal[:, 1:] == 0).all()
    slow, fast = (Life(rare_life(), delta_rule.DeltaRule(eta=eta), weights) for eta in (0.1, 0.2))
    live(circuit, TASK, [slow, fast])  # they infer alike
    with pytest.raises(ValueError, match="cannot be lived at once"):
        live(circuit, TASK, [slow, replace(fast, rule=delta_rule.DeltaRule(eta=0.2, clip=0.1))])


def test_a_rule_without_infer_is_none():
    class Nothing(TwinRule):
        pass

    with pytest.raises(TypeError, match="infer"):
        Nothing()


def test_rules_do_without_torch_until_they_infer():
    code = """
    import sys
    from bioplastic.rules.backprop import Backprop
    from bioplastic.rules.latent_equilibrium import LatentEquilibrium
    from bioplastic.rules.predictive_coding import PredictiveCoding
    print(Backprop(0.1).rates(2), sorted({"torch", "bioplastic.twin"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.strip() == "[0.1 0.1] []", done.stderr
