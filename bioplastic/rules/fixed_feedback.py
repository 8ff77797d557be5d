"""Fixed random feedback: the error relay, but what a cell tells its upstream neighbours has random weights that stay.

    relay   A_pre += z gain fb theta/(rmax tau_a)   at an error spike of the postsynaptic cell; fb random and fixed
    all else, and the code, as in `bioplastic.rules.error_relay`: give these weights to an `ErrorRelay` as its feedback

symbol   Brian2   unit  meaning                                      default from
-------  -------  ----  -------------------------------------------  -------------------------------------------
fb       fb       1     feedback weight, post to pre                 normal, of the size of the forward weights
others as in the error relay

Reads: what the error relay reads. The control for weight transport: nothing tells the feedback weights what the
forward weights are; learning turns the forward weights towards them.

Source: feedback alignment, Lillicrap, Cownden, Tweed and Akerman (2016), doi:10.1038/ncomms13276. Deviations: signed
error spikes of a leaky integrator instead of a rate.
"""

from __future__ import annotations

import numpy as np

from bioplastic.circuit import Circuit, Feedback, Weights


def random_feedback(circuit: Circuit, weights: Weights, seed: int) -> Feedback:
    """Draw feedback weights that know nothing of the forward weights but their size.

    Parameters
    ----------
    circuit : Circuit
    weights : Weights
        Forward weights; of each projection only the root mean square counts.
    seed : int

    Returns
    -------
    Feedback
    """
    # A stream of its own: weights drawn with the same seed must not turn out to be the feedback.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    size = {name: np.sqrt(np.square(w).mean()) for name, w in weights.forward.items()}
    return Feedback({p.name: rng.normal(0, size[p.name], circuit.shape(p)) for p in circuit.projections})
