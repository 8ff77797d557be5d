"""Networks that the tests of the audit look at: a chain of four groups, to which each test adds what it smuggles."""

from itertools import pairwise

import brian2 as b2
import numpy as np
import pytest

from bioplastic.auditing import SHORTCUT, AuditError, audit

b2.BrianLogger.suppress_name("unused_brian_object")  # most networks here are never run

CELL = """
dv/dt = (drive + extra - v)/(10*ms) : 1
dx/dt = -x/(20*ms) : 1
drive : 1
"""
STDP = {
    "model": "w : 1\ntrace : 1",
    "on_pre": "v_post += w\nw -= 0.001*x_post",
    "on_post": "w += 0.01*x_pre",
}
NAMES = ("g3", "g2", "g1", "g0")  # g3 -> g2 -> g1 -> g0; g0 is three hops from g3
LINKED = "far : 1 (linked)\nextra = 0.1*far : 1"


class Chain:
    """Four groups of three cells that learn by pair STDP; what a test smuggles in is added to it."""

    def __init__(self, equations="extra = 0 : 1", only=None, n=3, **cell):
        self.groups = {}
        for name in NAMES:
            text = CELL + (equations if only in (None, name) else "extra = 0 : 1")
            options = {"threshold": "v > 1", "reset": "v = 0\nx += 1", "method": "euler"}
            options |= cell if only in (None, name) else {}
            self.groups[name] = b2.NeuronGroup(n, text, name=name, namespace={}, **options)
        self.plastic = [self.join(a, b, name=f"{a}_{b}", **STDP) for a, b in pairwise(NAMES)]
        self.others = []

    def __getitem__(self, name):
        return self.groups[name]

    def join(self, a, b, model="", name="s*", pairs=None, **options):
        synapses = b2.Synapses(self.groups[a], self.groups[b], model, name=name, namespace={}, **options)
        n, m = len(self.groups[a]), len(self.groups[b])
        i, j = (np.repeat(range(n), m), np.tile(range(m), n)) if pairs is None else pairs
        synapses.connect(i=i, j=j)  # faster than a condition, for which code is made
        return synapses

    def add(self, *others):
        self.others += others
        return others[0]

    @property
    def network(self):
        return b2.Network(*self.groups.values(), *self.plastic, *self.others)

    def drive(self, seed=0):
        """Make all cells fire and learn."""
        rng = np.random.default_rng(seed)
        for group in self.groups.values():
            group.drive = 1.1 + rng.random(len(group))
        for synapses in self.plastic:
            synapses.w = 0.3 * rng.random(len(synapses))
        return self


def one_group(n):
    return b2.NeuronGroup(
        n, CELL + "extra = 0 : 1", threshold="v > 1", reset="v = 0", method="euler", name="cells", namespace={}
    )


def into(report, target):
    """The one weight into a population."""
    (weight,) = (w for w in report.weights if w.target == target)
    return weight


def verdicts(report):
    return {w.target: w.verdict for w in report.weights}


def shortcut(chain):
    chain.add(chain.join("g0", "g2", on_pre="v_post += clip(0.1*x_pre, 0, 1)", name="skip"))
    return SHORTCUT, 2, "v_post += clip(0.1*x_pre, 0, 1)"


def fails(match, network, **options):
    with pytest.raises(AuditError, match=match):
        audit(network, **options)
