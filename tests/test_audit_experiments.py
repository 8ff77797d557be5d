"""The audit by experiment: one population alone on a recording of its neighbours, and changes far away."""

import brian2 as b2
import numpy as np
import pytest
from audited_networks import Chain
from brian2 import ms, second

from bioplastic.auditing import AuditError, audit, isolate, perturb, tape

pytestmark = pytest.mark.usefixtures("numpy_target", "little_garbage")


def test_population_alone_learns_the_same_to_the_bit():
    chain = Chain().drive()
    network = chain.network
    before = {s.name: np.array(s.w) for s in chain.plastic}
    found = isolate(network, "g1", duration=60 * ms)
    assert found.passed and found.n_different == 0
    assert found.held == ("g0", "g2") and found.away == ("g3",)
    assert found.n_weights == 9 and found.n_learning == 9
    assert "of 9 weights, 9 of which learned, all the same to the bit" in str(found)
    assert network.t == 0 * second  # left as it was
    for synapses in chain.plastic:
        np.testing.assert_array_equal(synapses.w, before[synapses.name])
    assert audit(network).passed


def test_recording_is_all_that_a_population_alone_hears(monkeypatch):
    record = tape.Tape.record

    def forgetful(tape, number):
        record(tape, number)
        tape.events[-1] = [events[:0] for events in tape.events[-1]]

    monkeypatch.setattr(tape.Tape, "record", forgetful)
    assert isolate(Chain().drive().network, "g1", duration=60 * ms).n_different == 9


def smuggled_link():
    chain = Chain("far : 1 (linked)\nextra = 0.1*far : 1", only="g2").drive()
    chain["g2"].far = b2.linked_var(chain["g0"], "x")
    return chain


def smuggled_shortcut():
    chain = Chain().drive()
    chain.add(chain.join("g0", "g2", on_pre="v_post += 0.1", name="skip"))
    return chain


def smuggled_operation():
    chain = Chain().drive()

    def meddle():
        chain["g2"].v_[:] += 0.01 * chain["g0"].x_[:]

    chain.add(b2.NetworkOperation(meddle))
    return chain


def smuggled_count():
    chain = Chain("extra = 0 : 1\nfar : integer (linked)", only="g2").drive()
    monitor = chain.add(b2.SpikeMonitor(chain["g0"]))
    chain["g2"].far = b2.linked_var(monitor, "count")
    chain["g2"].run_regularly("v += 0.01*far")
    return chain


OTHERS = [pytest.param(f, marks=pytest.mark.slow) for f in (smuggled_shortcut, smuggled_operation, smuggled_count)]


@pytest.mark.parametrize("smuggle", [smuggled_link, *OTHERS])
def test_smuggled_signals_show_when_the_population_is_alone(smuggle):
    found = isolate(smuggle().network, "g2", duration=60 * ms)
    assert found.held == ("g1", "g3") and found.away == ("g0",)
    assert not found.passed
    assert found.n_different > 0 and found.first_difference < 0.06
    assert "different, by up to" in str(found)


@pytest.mark.parametrize("smuggle", [smuggled_link, OTHERS[0]])
def test_change_far_away_shows_only_where_it_is_smuggled(smuggle):
    found = perturb(smuggle().network, "g2", "g0", duration=60 * ms)
    assert not found.passed and found.n_different_unheld > 0


def test_change_far_away_does_not_show_through_neighbours_that_are_held():
    found = perturb(Chain().drive().network, "g0", "g3", duration=60 * ms)
    assert found.passed and found.changed == "g3"
    assert found.n_different_unheld > 0  # the same change does arrive when nobody is held
    assert "with nothing held" in str(found)


def test_noisy_rules_can_be_isolated():
    chain = Chain("extra = rand() : 1 (constant over dt)").drive()
    chain.plastic[1] = chain.join(
        "g2", "g1", "w : 1", on_pre="v_post += w*rand()", on_post="w += 0.01*x_pre*rand()", name="noisy"
    )
    chain.plastic[1].w = 0.2
    found = isolate(chain.network, "g1", duration=60 * ms)
    assert found.passed and found.n_learning == 9


def test_experiments_refuse_what_would_test_nothing():
    network = Chain().network  # no drive, no spikes
    with pytest.raises(AuditError, match=r"no weight of 'g1' changed within 5\. ms, so nothing would be tested"):
        isolate(network, "g1", duration=5 * ms)
    assert network.t == 0 * second
    with pytest.raises(AuditError, match="there is no population 'h'; known: g0, g1, g2, g3"):
        isolate(network, "h")
    with pytest.raises(AuditError, match="population 'g3' has no plastic weight of its own; choose one of g0, g1, g2"):
        isolate(network, "g3")
    with pytest.raises(AuditError, match=r"changed = 'g2' is 'g1' itself or one of its neighbours.*choose one of g3"):
        perturb(Chain().drive().network, "g1", "g2", duration=20 * ms)
    with pytest.raises(ValueError, match="duration = 0 ms"):
        isolate(network, "g1", duration=0 * ms)


def test_network_that_stops_itself():
    chain = Chain().drive()
    chain.add(b2.NetworkOperation(lambda: b2.stop() if np.isnan(chain["g3"].v_[0]) else None))
    with pytest.raises(AuditError, match="something in the network stopped it at t = "):
        isolate(chain.network, "g1", duration=20 * ms)
