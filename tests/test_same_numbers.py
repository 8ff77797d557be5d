"""The comparison with the numbers from before the redesign notices what it is for."""

import numpy as np
import pytest
import xarray as xr
from same_numbers.compare import difference, differences

from bioplastic.recording import Provenance, labelled, open_recorder

OLD = np.array([[1.0, np.nan, np.inf], [0.0, -2.0, 3.0]])


def array(values=OLD, dims=("learner", "hop"), learners=("backprop", "error relay")):
    return xr.DataArray(values, dims=dims, coords={"learner": list(learners)})


def test_the_same_is_the_same():
    assert difference(array(), OLD, ["learner", "hop"]) == ""
    assert difference(array(OLD.T, ("hop", "learner")), OLD, ["learner", "hop"]) == ""
    assert difference(array(), OLD[:, None], ["learner", "replay", "hop"]) == ""  # an axis of one label has gone


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (array(OLD + np.array([[0.0], [1e-8]])), "3 of 6 numbers differ"),
        (array(np.nan_to_num(OLD, nan=0.5, posinf=np.inf)), "1 of 6 numbers differ"),
        (array(OLD[:, :2]), "it has shape (2, 2), and had (2, 3)"),
        (array(dims=("learner", "cell")), "it has dimensions ('learner', 'cell')"),
    ],
)
def test_what_differs_is_said(new, problem):
    assert problem in difference(new, OLD, ["learner", "hop"])


def test_an_equilibrium_is_as_exact_as_it_is_searched():
    moved = OLD * (1 + 1e-8)
    equilibrium = array(moved, learners=("predictive coding, equilibrium", "error relay"))
    assert "3 of 6 numbers differ" in difference(array(moved), OLD, ["learner", "hop"])
    assert "2 of 6 numbers differ" in difference(equilibrium, OLD, ["learner", "hop"])  # the other learner's


def test_a_recording_is_held_against_what_is_kept(tmp_path):
    made = Provenance.here(title="", settings={}, circuit="", code="", script="", source="")
    recorder = open_recorder(tmp_path / "empty.h5", made)
    nothing = xr.Dataset({"nothing": labelled("hop", [0.0], "nothing")})
    recorder.finish([], {"summary": nothing})
    assert any("summary/reach is missing" in problem for problem in differences("cascade", tmp_path / "empty.h5"))
