"""What is read out of an agent of models/self_report.py: its state by linear probes, its reports and actions from it.

The directions in the state's rates to which the action is most sensitive are *read*, all others are *slack* (compare the
output-potent and output-null dimensions of Kaufman et al. 2014, doi:10.1038/nn.3643; here from the derivative of the
rate network, not from recorded activity). A direction is *held* if the rates keep their mean along it.

What is chosen here.

parameter           value   unit    meaning                                              source
------------------  ------  ------  ---------------------------------------------------  --------------------------------
POPULATIONS                         from whose rates the state is decoded                all hidden ones
ITERATIONS            2000  1       most steps of fitting a probe                        enough to converge
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from bioplastic_models.self_report import N_CELLS, N_STATES, STATE, World

from bioplastic.cells import phi, phi_slope
from bioplastic.circuit import Weights
from bioplastic.recording import labelled
from bioplastic.statistics import information, information_floor
from bioplastic.study.measure import Measures

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

POPULATIONS = ("s3", "s2", "s1", "a1", "r1")
ITERATIONS = 2000
HELD = {
    "right": "",
    "without_read": "the same with the directions held that the action reads",
    "without_random_few": "the same with as many random directions held as are read",
    "without_slack": "the same with all other directions held",
    "without_random_many": "the same with as many random directions held as are slack",
}
"""What is held."""


def fraction(which: np.ndarray) -> float:
    """Fraction that is true; NaN of nothing."""
    return float(which.mean()) if which.size else float("nan")


# ------------------------------------------------------------------------------------------ the state


def probe(rates: np.ndarray, state: np.ndarray) -> Pipeline:
    """Fit a linear probe of the state to rates (stimulus, cell)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS)).fit(rates, state)


def decodable(rates: np.ndarray, known: np.ndarray, tested: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy, on the rates of tested stimuli, of a linear probe fitted to rates of stimuli with what is known."""
    return fraction(probe(rates, known).predict(tested) == truth)


def probes(world: World, weights: Weights) -> dict[str, Pipeline]:
    """Fit a probe of the state to each population, with nobody asking."""
    rates = world.rates(weights, world.rows(world.learned))
    return {name: probe(rates[name], world.state[world.learned]) for name in POPULATIONS}


def scored(probes_of: Mapping[str, Any], rates: Mapping[str, np.ndarray], state: np.ndarray) -> np.ndarray:
    """Fraction of stimuli of which each population's own probe says the right state, shape (n_populations,)."""
    return np.array([fraction(probes_of[name].predict(rates[name]) == state) for name in POPULATIONS])


def where_the_state_is(
    world: World, weights: Weights, probes_before: Mapping[str, Any], tested: np.ndarray
) -> Measures:
    """Where the state still is, by the probes of the beginning, by one fitted anew, and in the action.

    Parameters
    ----------
    world : World
    weights : Weights
        After the report was trained.
    probes_before : mapping of str to Pipeline
        By population.
    tested : array of int
        Images.
    """
    rates, state = world.rates(weights, world.rows(tested)), world.state[tested]
    fitted = world.rates(weights, world.rows(world.learned))[STATE]
    refitted = decodable(fitted, world.state[world.learned], rates[STATE], state)
    return {
        "decoded": labelled(
            "population",
            scored(probes_before, rates, state),
            "accuracy of the same probe after the report was trained",
        ),
        "decoded_refitted": labelled(
            (), refitted, "accuracy at s1 of a probe fitted after the report was trained, held-out images"
        ),
        "action_right": labelled(
            (),
            fraction(rates["action"].argmax(1) == state),
            "fraction of right actions after the report was trained",
        ),
    }


# ------------------------------------------------------------------------------------------ reports


def follows(
    report: np.ndarray,
    in_rates: np.ndarray,
    state: np.ndarray,
    asker: np.ndarray,
    *,
    n_shuffles: int,
    rng: np.random.Generator,
    where: str,
) -> Measures:
    """What reports follow.

    Parameters
    ----------
    report, in_rates : array of int, shape (n_trials,)
        What is reported, and what the same weights report in the rate network.
    state, asker : array of int, shape (n_trials,)
        What is true, and what the asker expects.
    n_shuffles : int
        For the floor of an information.
    rng : Generator
        Of these.
    where : str
        What is said of all names.
    """
    fractions = {
        "report_is_state": (report == state, "that are true"),
        "report_is_asker": (report == asker, "that are what the asker expects"),
        "report_is_rates": (report == in_rates, "that are those of the same weights in the rate network"),
    }
    found = {
        name: labelled((), fraction(which), f"fraction of reports {what}; {where}")
        for name, (which, what) in fractions.items()
    }
    pairs = {"state": (state, "asker", asker), "asker": (asker, "state", state)}
    for name, (about, given, known) in pairs.items():
        what = f"information of report and {name}, given the {given}, plug-in estimate; {where}"
        found[f"information_{name}"] = labelled((), information(report, about, known), what, "bit")
    for name, (about, given, known) in pairs.items():
        within = "expectation" if given == "asker" else "state"
        what = f"the same as information_{name} with reports shuffled within each {within}; {where}"
        floor = information_floor(report, about, known, n_shuffles, rng)
        found[f"floor_{name}"] = labelled((), floor, what, "bit")
    return found


def agreements(
    answer: np.ndarray,
    state: np.ndarray,
    before: np.ndarray,
    *,
    decoded: np.ndarray,
    silent: np.ndarray,
    refitted: np.ndarray,
    action: np.ndarray,
) -> Measures:
    """Say how a state and an action agree with a report that was consulted.

    Parameters
    ----------
    answer, state : array of int, shape (n_trials,)
        What is reported, and what is true.
    before : array of int, shape (n_trials,)
        State decoded before consulting. Trials in which it is the report already are left out where it says "came to".
    decoded, silent : array of int, shape (n_trials,)
        State decoded by the same probe afterwards, with feedback and with nothing fed back.
    refitted : array of int, shape (n_trials,)
        State decoded by a probe fitted afterwards.
    action : array of int, shape (n_trials,)
        What is then done.
    """
    disagreed = before != answer
    agree, anew, unfed, done = (which == answer for which in (decoded, refitted, silent, action))
    found = {
        "agreement_after": (agree, "the same while consulting, after it; probe fixed before"),
        "came_to_agree": (agree[disagreed], "the same, of the trials that did not agree before"),
        "came_to_agree_new_probe": (anew[disagreed], "the same by a probe of the true state fitted afterwards"),
        "came_to_agree_silent": (unfed[disagreed], "the same as came_to_agree with nothing fed back in the test"),
        "action_follows_report": (done[disagreed], "fraction of these trials in which the action is the report's"),
        "state_still_decoded": (refitted == state, "accuracy of the new probe for the true state, all trials"),
    }
    return {name: labelled((), fraction(which), what) for name, (which, what) in found.items()}


def read(prediction: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Which pattern (pattern, output) each prediction (event, output) is most like, by the largest product."""
    return np.asarray((prediction @ (patterns - patterns.mean(0)).T).argmax(1))


# ------------------------------------------------------------------------------------------ directions of the state


def read_subspace(weights: Weights, state: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Find the directions in the state's rates to which the action is most sensitive.

    Parameters
    ----------
    weights : Weights
    state : array, shape (n_stimuli, n_cells)
        Rates of the state population.
    k : int
        How many directions.

    Returns
    -------
    basis : array, shape (n_cells, k)
        Orthonormal: the leading eigenvectors of the mean of ``J^T J``, J the derivative of the actions by these rates.
    share : float
        Part of the mean squared derivative that lies in them.
    """
    w_in, w_out = weights.forward["s1_to_a1"], weights.forward["a1_to_action"]
    middle = state @ w_in.T + weights.bias["a1"]
    last = phi(middle) @ w_out.T + weights.bias["action"]
    j = phi_slope(last)[:, :, None] * ((phi_slope(middle)[:, None, :] * w_out) @ w_in)
    size, vectors = np.linalg.eigh(np.einsum("nai,naj->ij", j, j))
    return vectors[:, ::-1][:, :k], float(size[::-1][:k].sum() / size.sum())


def random_directions(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draw n orthonormal bases of the state's rates, each of shape (N_CELLS, N_CELLS)."""
    return [np.linalg.qr(rng.standard_normal((N_CELLS, N_CELLS)))[0] for _ in range(n)]


def rest_of(basis: np.ndarray) -> np.ndarray:
    """Orthonormal directions (cell, n_cells - k) that are orthogonal to a basis (cell, k)."""
    return np.asarray(np.linalg.svd(basis, full_matrices=True)[0][:, basis.shape[1] :])


def without(rates: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Hold the components of rates (stimulus, cell) along an orthonormal basis (cell, k) at their mean."""
    varying = rates - rates.mean(0)
    return np.asarray(rates - varying @ basis @ basis.T)


def reported_from(weights: Weights, state: np.ndarray, asker: np.ndarray) -> np.ndarray:
    """Prediction of the report (stimulus, report) from given rates of the state and of the asker."""
    r1 = phi(state @ weights.forward["s1_to_r1"].T + asker @ weights.forward["asker_to_r1"].T + weights.bias["r1"])
    return np.asarray(phi(r1 @ weights.forward["r1_to_report"].T + weights.bias["report"]))


def acted_from(weights: Weights, state: np.ndarray) -> np.ndarray:
    """Action (stimulus, action) from given rates of the state, nothing being fed back."""
    a1 = phi(state @ weights.forward["s1_to_a1"].T + weights.bias["a1"])
    return np.asarray(phi(a1 @ weights.forward["a1_to_action"].T + weights.bias["action"]))


def held_in_turn(
    right: Callable[[np.ndarray], float],
    state: np.ndarray,
    basis: np.ndarray,
    drawn: Sequence[np.ndarray],
    *,
    name: str,
    what: str,
) -> Measures:
    """Say how often something is right with directions of the state's rates held.

    Parameters
    ----------
    right : callable
        From rates (stimulus, cell) to the fraction that is right.
    state : array, shape (n_stimuli, n_cells)
    basis : array, shape (n_cells, k)
        Orthonormal: the directions that are read. All others are slack.
    drawn : sequence of array, shape (n_cells, n_cells)
        Random orthonormal directions; the mean over them is taken.
    name, what : str
        Of the measures, and what is right.

    Returns
    -------
    dict of str to Variable
        With nothing held, and with each of `HELD`.
    """
    k = basis.shape[1]
    found = {
        "right": right(state),
        "without_read": right(without(state, basis)),
        "without_random_few": float(np.mean([right(without(state, q[:, :k])) for q in drawn])),
        "without_slack": right(without(state, rest_of(basis))),
        "without_random_many": float(np.mean([right(without(state, q[:, k:])) for q in drawn])),
    }
    return {f"{name}_{held}": labelled((), value, HELD[held] or what) for held, value in found.items()}


def directions(
    world: World,
    weights: Weights,
    truth: np.ndarray,
    patterns: np.ndarray,
    *,
    tested: np.ndarray,
    drawn: Sequence[np.ndarray],
) -> Measures:
    """Say what directions of the state are for: reports of the truth, actions, decoding.

    Parameters
    ----------
    world : World
    weights : Weights
        Of an agent that was trained to report the truth, nobody asking.
    truth : array of int, shape (n_images,)
        What it reports.
    patterns : array, shape (n_truths, N_STATES)
        Reports of each truth.
    tested : array of int
        Images.
    drawn : sequence of array, shape (n_cells, n_cells)
        Random orthonormal directions.
    """
    rates, fitted = (world.rates(weights, world.rows(images))[STATE] for images in (tested, world.learned))
    basis, part = read_subspace(weights, fitted, N_STATES)
    rest, varying = rest_of(basis), rates - rates.mean(0)
    known, asked, nobody = truth[world.learned], truth[tested], np.zeros((len(tested), N_STATES))

    def told(state: np.ndarray) -> float:
        return fraction(read(reported_from(weights, state, nobody), patterns) == asked)

    def acted(state: np.ndarray) -> float:
        return fraction(acted_from(weights, state).argmax(1) == world.state[tested])

    reports = "fraction of right reports, held-out images, in the rate network"
    actions = "fraction of right actions of the same agents, nothing held"
    shares = {
        "decodable_from_read": (
            decodable(fitted @ basis, known, rates @ basis, asked),
            "accuracy of a linear probe on the directions that are read",
        ),
        "decodable_from_slack": (
            decodable(fitted @ rest, known, rates @ rest, asked),
            "accuracy of a linear probe on all other directions",
        ),
        "sensitivity_in_read": (part, "share of the action's squared derivative in the directions read"),
        "variance_in_read": (
            float(np.square(varying @ basis).sum() / np.square(varying).sum()),
            "share of the variance of the state's rates in them",
        ),
    }
    return {
        **held_in_turn(told, rates, basis, drawn, name="told", what=reports),
        **held_in_turn(acted, rates, basis, drawn, name="action_told", what=actions),
        **{name: labelled((), value, text) for name, (value, text) in shares.items()},
    }
