"""Labelled arrays: what is refused, how runs are put side by side, and that they come apart again as they were."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from recordings import MAKE, RUNS, refused

from bioplastic.recording import RUN, labelled, stack, unstack
from bioplastic.recording.labelled import check


def one(**variables) -> xr.Dataset:
    """A dataset of vectors over ``hop``."""
    return xr.Dataset({name: labelled("hop", values, name) for name, values in variables.items()})


def stacked(*datasets: xr.Dataset) -> xr.Dataset:
    return stack([({"seed": k}, dataset) for k, dataset in enumerate(datasets)], "learning")


# One array


def test_an_array_gets_its_name_unit_and_codes():
    kind = labelled("event", np.array([0, 2], "int16"), "kind of event", flags=("background", "rare", "rest"))
    assert kind.dims == ("event",)
    assert kind.dtype == "int16"
    assert kind.attrs["units"] == "1"
    assert kind.attrs["long_name"] == "kind of event"
    assert kind.attrs["flag_meanings"] == "background rare rest"
    np.testing.assert_array_equal(kind.attrs["flag_values"], [0, 1, 2])
    assert kind.attrs["flag_values"].dtype == "int16"  # as CF wants it: of the variable's type
    assert labelled(("post", "pre"), np.zeros((2, 3)), "weights", "mV").attrs["units"] == "mV"
    assert labelled((), 3, "number").ndim == 0
    assert labelled("event", [True, False], "shown", flags=("no", "yes")).attrs["flag_values"].dtype == "int8"
    assert labelled("event", [], "none at all", flags=("no", "yes")).attrs["flag_values"].dtype == "int8"


@pytest.mark.parametrize(
    ("arguments", "flags", "message"),
    [
        (("hop", np.zeros((2, 3)), "change"), (), r"'change' has shape \(2, 3\), but its axes are \(hop\)\."),
        ((("hop", "seed"), [1.0], "change"), (), r"'change' has shape \(1,\), but its axes are \(hop, seed\)\."),
        (("hop", [[1.0], [1.0, 2.0]], "change"), (), r"'change' is not an array over \(hop\): "),
        (("event", [0, 3], "kind"), ("a", "b"), r"'kind' holds 0 to 3; the codes are 0 a, 1 b\."),
        (("event", [-1, 0], "kind"), ("a", "b"), r"'kind' holds -1 to 0; the codes are 0 a, 1 b\."),
        (("event", [0.0, 1.0], "kind"), ("a", "b"), "'kind' holds float64, and has flags; give integers or truth"),
        (("event", [0, 1], "kind"), ("a", "not b"), "write each as one word, with _ for a space"),
    ],
)
def test_an_array_that_is_not_what_it_is_called_is_refused(arguments, flags, message):
    with refused(message):
        labelled(*arguments, flags=flags)


# What a reader could not understand


def variable(dims="hop", values=(1.0, 2.0), **attributes) -> xr.Variable:
    return xr.Variable(dims, np.asarray(values), {"units": "1", "long_name": "x"} | attributes)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    TWICE = xr.Dataset({"x": variable(("cell", "cell"), np.ones((2, 2)))})


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            xr.Dataset({"x": ("hop", [1.0])}),
            r"learning: x has no units; make it with bioplastic.recording.labelled\(dims",
        ),
        (xr.Dataset({"x": variable(long_name="")}), "learning: x has no long_name"),
        (xr.Dataset({"x": variable(units=1)}), "learning: x has no units"),
        (xr.Dataset({"x": variable()}, {"hop": [0, 1]}), "learning: hop has no units"),
        (xr.Dataset({"x": variable(values=[1j, 2])}), "learning: x holds complex128; give truth values, integers, flo"),
        (xr.Dataset({"x": variable(values=np.zeros(2, "float16"))}), "x holds float16; give truth values"),
        (xr.Dataset({"x": variable(values=[b"a", b"b"])}), r"x holds \|S1; give"),
        (xr.Dataset({"x": variable(values=np.array(["2020", "2021"], "M8[ns]"))}), r"x holds datetime64\[ns\]; give"),
        (xr.Dataset({"x": variable(values=np.array([{1}, "a"]))}), r"x holds objects \(set\); give numbers"),
        (xr.Dataset({"x": variable(values=np.array([1, "a"], object))}), r"x holds objects \(int\)"),
        (
            xr.Dataset({"x": variable(units="seconds")}),
            "x has the units 'seconds', which xarray reads as times instead",
        ),
        (xr.Dataset({"x": variable(units="days since 2020-01-01")}), "x has the units 'days since 2020-01-01', which"),
        (
            xr.Dataset({"x": variable(_FillValue=-1.0)}),
            "x has the attribute '_FillValue' = -1.0, which would not be re",
        ),
        (xr.Dataset({"x": variable(scale_factor=2.0)}), "x has the attribute 'scale_factor' = 2.0"),
        (xr.Dataset({"x": variable(note={"a": 1})}), "x has the attribute 'note' = {'a': 1}"),
        (xr.Dataset({"x": variable(note=None)}), "x has the attribute 'note' = None"),
        (xr.Dataset({"x": variable(note=True)}), "x has the attribute 'note' = True"),
        (xr.Dataset({"x": variable(note="a\0b")}), "x has the attribute 'note'"),
        (xr.Dataset({"a/b": variable()}), "learning: a variable or dimension is named 'a/b'; start with a letter"),
        (xr.Dataset({"x y": variable()}), "named 'x y'"),
        (xr.Dataset({"": variable()}), "named ''"),
        (xr.Dataset({".x": variable()}), "named '.x'"),
        (xr.Dataset({3: variable()}), "named 3"),
        (xr.Dataset({"x": variable("my hop")}), "named 'my hop'"),
        (
            xr.Dataset({"x": variable("string2")}),
            "learning: the dimension string2 has a name for the characters of text",
        ),
        (TWICE, r"learning: two axes of x have the same name, \('cell', 'cell'\); tell them apart"),
        (
            xr.Dataset({"x": variable("run")}),
            "the name 'run' is that of the runs of a kind, side by side; choose another",
        ),
        (xr.Dataset({"run": variable()}), "the name 'run' is that of the runs"),
        (
            xr.Dataset({"x": variable()}, {"seed": variable((), 1)}),
            "the coordinate seed has 0 axes, not one; make it a",
        ),
        (xr.Dataset({"x": variable()}, {"b": variable(("hop", "c"), np.ones((2, 2)))}), "coordinate b has 2 axes"),
    ],
)
def test_a_dataset_that_would_not_be_read_as_it_is_is_refused(dataset, message):
    with refused(message):
        check(dataset, "learning")


def test_an_index_of_several_levels_is_refused():
    levels = xr.Coordinates.from_pandas_multiindex(pd.MultiIndex.from_product([[0, 1], [0, 1]], names=("a", "b")), "ab")
    dataset = xr.Dataset({"x": variable("ab", np.zeros(4))}, levels)
    for name in ("ab", "a", "b"):
        dataset[name].attrs.update(units="1", long_name=name)
    with refused("learning has an index of several levels, which no file holds; use reset_index"):
        check(dataset, "learning")


@pytest.mark.parametrize(("kind", "labels"), RUNS)
def test_what_can_be_read_is_taken(kind, labels):
    check(MAKE[kind](labels["seed"]), kind)
    texts = pd.Series(["a", "bb"])
    check(xr.Dataset({"x": variable(values=texts)}), "text of pandas")
    check(xr.Dataset({"x": variable(valid_range=[0.0, 1.0], note="n", level=3)}), "attributes")


# Side by side


def test_equal_runs_stand_side_by_side():
    runs = stacked(one(change=[1.0, 2.0]), one(change=[3.0, 4.0]))
    assert runs["change"].dims == (RUN, "hop")
    np.testing.assert_array_equal(runs["change"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(runs["seed"], [0, 1])
    assert runs["change"].attrs == {"units": "1", "long_name": "change"}
    assert runs["seed"].attrs == {"units": "1", "long_name": "seed"}
    assert set(runs.variables) == {"change", "seed"}


@pytest.mark.parametrize(
    ("short", "long", "padded", "dtype"),
    [
        ([1.5], [1.0, np.nan], [1.5, np.nan], "float64"),
        (np.array([1.5], "float32"), np.zeros(2, "float32"), [1.5, np.nan], "float32"),
        ([7], [1, 2], [7, -1], "int64"),
        (np.array([7], "int8"), np.zeros(2, "int8"), [7, -1], "int8"),
        (np.array([7], "uint8"), np.zeros(2, "uint8"), [7, 255], "uint8"),
        (np.array([7], "uint64"), np.zeros(2, "uint64"), [7, 2**64 - 1], "uint64"),
        ([True], [False, True], [1, -1], "int8"),
        (["ü"], ["abc", ""], ["ü", ""], "<U3"),
    ],
)
def test_a_shorter_run_is_padded(short, long, padded, dtype):
    runs = stacked(one(x=short), one(x=long))
    np.testing.assert_array_equal(runs["x"][0], padded)
    np.testing.assert_array_equal(runs["x"][1], long)
    assert runs["x"].dtype == dtype
    np.testing.assert_array_equal(runs["n_hop"], [1, 2])
    assert runs["n_hop"].attrs == {"units": "1", "long_name": "length of hop in this run", "length_of": "hop"}


def test_truth_values_are_padded_only_where_they_must_be():
    assert stacked(one(x=[True]), one(x=[False]))["x"].dtype == bool
    padded = stacked(one(x=[True]), one(x=[]))["x"]
    assert padded.attrs["padded_from"] == "bool"
    np.testing.assert_array_equal(padded, [[1], [-1]])


def test_a_run_that_did_not_measure_something_is_padded_and_says_so():
    runs = stacked(one(x=[1, 2], y=[True, False]), one(x=[3, 4]), one(x=[5, 6], y=[False, False]))
    np.testing.assert_array_equal(runs["y"], [[1, 0], [-1, -1], [0, 0]])
    np.testing.assert_array_equal(runs["has_y"], [True, False, True])
    assert runs["has_y"].attrs["presence_of"] == "y"
    assert "has_x" not in runs
    assert "n_hop" not in runs
    assert set(unstack(runs, 1).data_vars) == {"x"}


def test_numbers_of_different_width_get_the_wider_and_of_nothing_any():
    runs = stacked(one(x=np.array([1], "int8")), one(x=np.array([300], "int16")), one(x=[]))
    assert runs["x"].dtype == "int16"
    np.testing.assert_array_equal(runs["x"], [[1], [300], [-1]])
    assert stacked(one(x=[]), one(x=["a"]))["x"].dtype == "<U1"


def test_text_as_pandas_has_it_is_text():
    names = xr.Dataset({"x": variable(values=np.array(["a", "bcd"], object))})
    assert stacked(names, names)["x"].dtype == "<U3"
    with refused(r"learning: x holds objects \(float\); give numbers, truth values or text"):
        stacked(xr.Dataset({"x": variable(values=np.array(["a", np.nan], object))}))


def test_no_runs_are_no_dataset():
    assert not stack([]).variables


def hops(values, **attributes) -> xr.Dataset:
    hop = xr.Variable("hop", values, {"units": "1", "long_name": "hop"} | attributes)
    return xr.Dataset({"x": labelled("hop", np.zeros(len(values)), "x")}, {"hop": hop})


def test_the_longest_coordinate_is_that_of_all():
    runs = stacked(hops([0.0, np.nan]), hops([0.0, np.nan, 5.0]), hops([0.0]))
    np.testing.assert_array_equal(runs["hop"], [0, np.nan, 5])
    np.testing.assert_array_equal(runs["n_hop"], [2, 3, 1])
    assert runs["hop"].attrs == {"units": "1", "long_name": "hop"}


@pytest.mark.parametrize(
    ("one_run", "another", "message"),
    [
        (
            hops([0, 1]),
            hops([0, 2, 3]),
            r"learning: hop at place 1 is \[1\] in one run and \[2\] in another; make it a var",
        ),
        (hops(["a"]), hops(["b"]), r"hop at place 0 is \['a'\] in one run and \['b'\] in another"),
        (hops([1]), hops([1.0]), r"hop at place 0 is \[1\] in one run and \[1.\] in another"),
        (hops([0]), one(x=[0.0]), "learning: hop has the coordinate hop in one run, and none in another"),
        (one(x=[0.0]), hops([0]), "learning: hop has the coordinate hop in one run, and none in another"),
        (hops([0]), hops([0], units="ms"), "coordinate hop is over hop in units '1' in one run, and over hop in 'ms'"),
        (one(x=[1]), one(x=[1.0]), r"x is int64 over \(hop\) in units '1', 'x' in one run, and float64 over \(hop\)"),
        (one(x=["a"]), one(x=[1]), r"x is <U1 over \(hop\) .* and int64 over"),
        (
            one(x=[1.0]),
            xr.Dataset({"x": labelled(("hop", "seed_of"), [[1.0]], "x")}),
            r"x is float64 over \(hop\) .* and float64 over \(hop, seed_of\)",
        ),
        (one(x=[1.0]), xr.Dataset({"x": labelled("event", [1.0], "x")}), r"over \(hop\) .* over \(event\)"),
        (one(x=[1.0]), xr.Dataset({"x": labelled("hop", [1.0], "x", "ms")}), "in units '1', 'x' .* in units 'ms', 'x'"),
        (one(x=[1.0]), xr.Dataset({"x": labelled("hop", [1.0], "y")}), "in units '1', 'x' .* in units '1', 'y'"),
        (one(x=[1.0]), one(n_hop=[1.0]), "learning: n_hop is a name for what runs have in different lengths"),
        (one(x=[1.0]), one(x=[1.0], has_x=[True]), "learning: has_x is a name for what runs have in different lengths"),
    ],
)
def test_what_is_not_the_same_thing_in_all_runs_is_refused(one_run, another, message):
    with refused(message):
        stacked(one_run, another)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"seed": 1}, {"seed": 1}], r"learning: two runs are labelled {'seed': 1}; give each run labels of its own"),
        ([{"seed": np.nan}, {"seed": np.nan}], "two runs are labelled {'seed': nan}"),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "two runs are labelled {'b': 2, 'a': 1}"),
        ([{"rate": 1}, {"rate": "best"}], "learning: the label rate is int64 in one run and <U4 in another"),
        ([{"rate": 1}, {"rate": True}], "the label rate is int64 in one run and bool in another"),
        ([{"rate": None}], "learning: the label rate is None; give text, a number or a truth value"),
        ([{"rate": [1, 2]}], r"the label rate is \[1, 2\]"),
        ([{"rate": 2**70}], "the label rate is 1180591620717411303424, more than 64 bits; make it text"),
        ([{"my rate": 1}], "a label is named 'my rate'; use letters, digits and _, and not 'run'"),
        ([{"run": 1}], "a label is named 'run'"),
        ([{"hop": 1}], "learning: hop is a label of the runs, and also a variable or dimension in them; rename one"),
        ([{"x": 1}], "learning: x is a label of the runs, and also"),
        ([{"n_hop": 1}], "learning: n_hop is a label of the runs, and also"),
    ],
)
def test_labels_that_do_not_tell_runs_apart_are_refused(labels, message):
    with refused(message):
        stack([(each, one(x=[1.0])) for each in labels], "learning")


def test_labels_are_coordinates_and_one_that_a_run_lacks_is_padded():
    labels = [
        {"seed": np.int64(3), "learner": np.str_("relay"), "rate": 1, "is_sham": np.True_},
        {"seed": 4, "learner": "ü", "rate": 0.5, "epoch": 2, "name": "x"},
    ]
    runs = stack([(each, one(x=[1.0])) for each in labels])
    assert {name: list(runs[name].values) for name in ("seed", "learner", "rate", "epoch", "name", "is_sham")} == {
        "seed": [3, 4],
        "learner": ["relay", "ü"],
        "rate": [1.0, 0.5],
        "epoch": [-1, 2],
        "name": ["", "x"],
        "is_sham": [1, -1],
    }
    assert runs["is_sham"].attrs == {"units": "1", "long_name": "is sham"}
    assert set(runs.coords) == {"seed", "learner", "rate", "epoch", "name", "is_sham"}


# And apart again


@pytest.mark.parametrize("kind", MAKE)
def test_runs_of_every_kind_of_variable_come_apart_as_they_were(kind):
    runs = [(labels, MAKE[kind](labels["seed"])) for one_kind, labels in RUNS if one_kind == kind]
    both = stack(runs, kind)
    for k, (labels, dataset) in enumerate(runs):
        back = unstack(both, k)
        assert {name: back[name].item() for name in labels} == dict(labels)
        xr.testing.assert_identical(back.drop_vars(list(labels)), dataset)
        for name in dataset.variables:
            same_width = back[name].dtype.kind == dataset[name].dtype.kind == "U" or not dataset[name].size
            assert same_width or back[name].dtype == dataset[name].dtype, name


def drawn(random: np.random.Generator) -> list[xr.Dataset]:
    """Runs with axes, lengths, types and missing parts at random; what each variable is, is the same in all."""
    dims = [f"d{k}" for k in range(random.integers(1, 4))]
    scales = {dim: np.sort(random.integers(0, 99, 6)) for dim in dims if random.random() < 0.5}
    values = {
        "float64": lambda shape: np.where(random.random(shape) < 0.2, np.nan, random.normal(size=shape)),
        "float32": lambda shape: random.normal(size=shape).astype("float32"),
        "int64": lambda shape: random.integers(-(2**62), 2**62, shape),
        "int8": lambda shape: random.integers(-128, 128, shape).astype("int8"),
        "uint16": lambda shape: random.integers(0, 2**16, shape).astype("uint16"),
        "bool": lambda shape: random.random(shape) < 0.5,
        "text": lambda shape: random.choice(["", "a", "ü", "long text", " "], shape),
    }
    kinds = [
        (f"v{k}", random.choice(list(values)), [dim for dim in dims if random.random() < 0.6])
        for k in range(random.integers(1, 6))
    ]
    runs = []
    for _ in range(random.integers(1, 6)):
        size = {dim: int(random.integers(0, 5)) if random.random() < 0.7 else 3 for dim in dims}
        data = {
            name: labelled(axes, values[kind](tuple(size[dim] for dim in axes)), name, "mV")
            for name, kind, axes in kinds
            if random.random() < 0.8
        }
        used = {dim for array in data.values() for dim in array.dims}
        coordinates = {dim: labelled(dim, scales[dim][: size[dim]], dim) for dim in scales if dim in used}
        runs.append(xr.Dataset(data, coordinates))
    return runs


@pytest.mark.parametrize("seed", range(60))
def test_random_runs_come_apart_as_they_were(seed):
    runs = drawn(np.random.default_rng(seed))
    both = stacked(*runs)
    for k, dataset in enumerate(runs):
        xr.testing.assert_identical(unstack(both, k).drop_vars("seed"), dataset)


def test_random_runs_are_of_many_kinds():
    """The draws above do have padding, missing variables, scales and nothing at all in them."""
    names = [str(name) for seed in range(60) for name in stacked(*drawn(np.random.default_rng(seed))).variables]
    for pattern in (r"n_d\d", r"has_v\d", r"d\d"):
        assert sum(re.fullmatch(pattern, name) is not None for name in names) > 20, pattern
