"""A life in spikes that diverges: a measure may have an answer to it."""

from dataclasses import dataclass

import pytest
import xarray as xr

from bioplastic.recording import labelled
from bioplastic.spiking import ActivityError
from bioplastic.study import Condition, Study
from bioplastic.study.bench import Ask
from bioplastic.study.summary import by_labels


@dataclass(frozen=True)
class Settings:
    """Settings of a study whose lives diverge at high rates."""

    seeds: tuple[int, ...] = (0,)
    """Seeds."""


class Diverging:
    """A bench that lives numbers: those above 1 diverge."""

    record_spikes = False

    def __init__(self, settings):
        self.settings = settings

    def prepare(self, progress):
        progress(1.0)

    def live(self, lives, progress=None):
        if max(lives) > 1:
            raise ActivityError("population y has diverged.")
        return lives


def answers(bench, condition):
    try:
        (lived,) = yield Ask(bench, (condition["rate"],))
    except ActivityError:
        (lived,) = yield Ask(bench, (0.0,))
    return xr.Dataset({"value": labelled((), lived, "value")})


def has_none(bench, condition):
    (lived,) = yield Ask(bench, (condition["rate"],))
    return xr.Dataset({"value": labelled((), lived, "value")})


def study(measure):
    def plan(bench, settings, runs):
        yield [Condition("tried", {"rate": rate}) for rate in (0.5, 2.0)]

    def summarise(bench, settings, runs):
        return {"summary": by_labels(runs.of("tried"), "rate")}

    nothing = {"tables": lambda recording: (), "figures": lambda recording: {}}
    parts = {"bench": Diverging, "plan": plan, "measure": measure, "summarise": summarise, **nothing}
    return Study("diverging", "Lives that diverge", settings={"": Settings()}, **parts)


def test_a_measure_may_answer_to_it(tmp_path):
    done = study(answers).run("", tmp_path / "x.h5", show_progress=False)
    assert done.summary["value"].values.tolist() == [0.5, 0.0]


def test_else_it_ends_the_study(tmp_path):
    with pytest.raises(ActivityError, match="population y has diverged"):
        study(has_none).run("", tmp_path / "x.h5", show_progress=False)
