"""The file: what others see in it, that damage anywhere is noticed, and how large and slow it gets."""

import hashlib
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from recordings import CIRCUIT, GOLDEN, MAKE, ROOT, RUNS, SOURCE, provenance, record, refused, summary
from test_readme import DRIVER, fenced_blocks

from bioplastic.recording import files as recording_files
from bioplastic.recording import labelled, open_recorder, read, stack
from bioplastic.recording import provenance as recording_provenance
from bioplastic.recording.provenance import Provenance, as_json, differences


@pytest.fixture
def out(tmp_path) -> Path:
    """A copy of the golden recording."""
    return Path(shutil.copy(GOLDEN, tmp_path / "x.h5"))


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets but the scales of axes that carry no values, which hold nothing."""
    found = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and not item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension"):
            found[name] = item

    file.visititems(visit)
    return found


# Others can read it


def test_xarray_opens_it(out):
    with xr.open_datatree(out) as tree:  # without being told the engine
        assert list(tree.children) == ["summary", "frozen", "learning", "source"]
        reach = tree["summary/reach"]
        assert reach.attrs == {"units": "1", "long_name": "last hop that the change reaches"}
        assert float(reach.sel(learner="Rückwärts", seed=2)) == 1
        learning = tree["learning"].to_dataset()
        assert set(learning.coords) == {"learner", "event_fraction", "seed", "is_sham", "hop"}
        by_label = learning.set_index(run=["learner", "seed"]).sel(learner="error relay", seed=2)
        np.testing.assert_array_equal(by_label["event_time"].values.ravel(), np.arange(7) / 8 + 2)
        assert learning["event_time"].dtype == "float64"  # a number, no time difference
        assert learning["cell"].dtype == "uint16"
        assert learning["is_sham"].dtype == bool
        assert json.loads(tree.attrs["settings"])["gain"] == 0.9
        assert tree["source/script"].item() == SOURCE


def test_h5py_reads_it_without_this_library(out):
    with h5py.File(out) as file:
        learning = file["learning"]
        n_event, n_hop = learning["n_event"][2], learning["n_hop"][2]
        change = learning["change"][2, :n_event, :n_hop]
        np.testing.assert_array_equal(change, MAKE["learning"](2)["change"])
        assert [scale[0].name for scale in learning["change"].dims] == [
            "/learning/run",
            "/learning/event",
            "/learning/hop",
        ]
        assert [b"".join(row).rstrip(b"\0").decode() for row in file["frozen/learner"][:]] == ["error relay"] * 2 + [
            "Rückwärts"
        ] * 2
        assert file.attrs["schema"] == "bioplastic"
        assert file.attrs["schema_version"] == 2
        assert json.loads(file.attrs["versions"])["numpy"] == "2.3.5"
        assert "".join(map(bytes.decode, file["source/file"][0])) == "every_variable.py"


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_prints_it(out):
    done = subprocess.run(["h5dump", "-d", "/learning/change", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "DIMENSION_LIST" in done.stdout


def test_every_dataset_has_a_checksum_a_unit_a_name_and_scales(out):
    with h5py.File(out) as file:
        found = datasets(file)
        assert len(found) == 32
        for name, item in found.items():
            assert item.fletcher32, name
            assert item.dtype.kind in "fiuS", name
            assert item.dtype.kind != "S" or item.dtype.itemsize == 1, name
            assert item.attrs["units"], name
            assert item.attrs["long_name"], name
            assert "_FillValue" not in item.attrs, name
            if item.is_scale:  # of itself; one of text has a second axis, its characters
                continue
            for axis, size in zip(item.dims, item.shape, strict=True):
                assert len(axis) == 1, name
                assert axis[0].shape[0] == size, name
                assert axis[0].parent == item.parent, name


def test_only_large_arrays_are_compressed(tmp_path):
    large = xr.Dataset(
        {"w": labelled(("i", "j"), np.zeros((100, 100)), "weights"), "x": labelled("i", np.ones(100), "x")}
    )
    recording_files.write_datasets(tmp_path / "x.h5", [("g", large)], {})
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["g/w"].compression == "gzip"
        assert file["g/w"].fletcher32
        assert file["g/x"].compression is None
    assert (tmp_path / "x.h5").stat().st_size < 20_000


def test_the_last_line_is_the_checksum_of_the_rest(out):
    content = out.read_bytes()
    rest, line = content[:-73], content[-73:]
    assert line.decode() == f"\nsha256 {hashlib.sha256(rest).hexdigest()}\n"


@pytest.mark.parametrize(
    "values",
    [
        np.array([], "float64"),
        np.array([], "U3"),
        np.array([], bool),
        np.array(["", ""]),
        np.array(["a\nb", " x ", "日本"]),
        np.array([np.nan, np.inf, -0.0, 5e-324]),
        np.array([2**63 - 1, -(2**63)]),
        np.array([2**64 - 1, 0], "uint64"),
        np.array([1.5], ">f8"),
        np.zeros((3, 0, 2)),
        np.zeros((2, 3, 4), order="F")[:, ::2],
    ],
    ids=str,
)
def test_values_of_every_sort_come_back_to_the_bit(tmp_path, values):
    dims = ["i", "j", "k"][: values.ndim]
    dataset = xr.Dataset(
        {
            "x": labelled(dims, values, "x"),
            "y": labelled("i", values[:, 0, 0] if values.ndim > 1 and values.size else np.zeros(len(values)), "y"),
        }
    )
    recorder = open_recorder(tmp_path / "x.h5", provenance())
    recorder.add("k", {"seed": 1}, dataset)
    back = recorder.finish([("k", {"seed": 1})], {"summary": dataset})
    for found in (back["summary"], back.run("k", seed=1)):
        xr.testing.assert_identical(found.drop_vars("seed", errors="ignore"), dataset)
        assert found["x"].dtype.kind == values.dtype.kind
        if values.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found["x"]), np.signbit(values))


def test_a_variable_may_have_the_name_of_an_axis_of_others(tmp_path):
    dataset = xr.Dataset({"hop": labelled("event", [1, 2], "hop"), "x": labelled("hop", [1.0, 2.0, 3.0], "x")})
    recording_files.write_datasets(tmp_path / "x.h5", [("g", dataset)], {})
    groups, attributes = recording_files.read_datasets(tmp_path / "x.h5")
    xr.testing.assert_identical(groups["g"], dataset)
    assert attributes == {}


def test_long_texts_go_into_it(tmp_path):
    changes = {
        "settings": {"seeds": [0], "table": list(range(20_000))},
        "circuit": "c" * 300_000,
        "source": "é" * 300_000,
    }
    made = record(tmp_path / "x.h5", **changes).provenance
    assert {name: getattr(made, name) for name in changes} == changes
    assert record(tmp_path / "y.h5", source="", circuit="", title="").provenance.source == ""


# Damage


def test_a_flipped_bit_of_any_dataset_is_noticed_by_whoever_reads_it(out):
    """HDF5's own checksum, which xarray, h5py and all others look at."""
    content = out.read_bytes()
    places = []
    with h5py.File(out) as file:
        for name, item in datasets(file).items():
            for k in range(item.id.get_num_chunks()):
                chunk = item.id.get_chunk_info(k)
                places.append((name, chunk.byte_offset, chunk.size))
    assert len({name for name, _, _ in places}) == 32
    draw = random.Random(2)
    for name, offset, size in places:
        place = offset + draw.randrange(size)
        out.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
        with h5py.File(out) as file, pytest.raises(OSError, match=r"checksum|filter"):
            file[name][()]
        with refused(
            r"x\.h5 is damaged \(the checksum at its end is that of other bytes: it was damaged, or changed, si"
        ):
            read(out)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes with a bit flipped, a stretch zeroed or taken from elsewhere, cut short or made longer."""
    place, length = draw.randrange(len(content)), draw.choice([1, 8, 64, 512, 4096])
    end = min(place + length, len(content))
    kind = draw.randrange(6)
    if kind < 2:
        return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    if kind == 2:
        return content[:place] + bytes(end - place) + content[end:]
    if kind == 3:
        other = draw.randrange(len(content))
        return content[:place] + content[other : other + end - place] + content[end:]
    if kind == 4:
        return content[:place]
    return content[:place] + draw.randbytes(length) + content[place:]


def test_any_damage_is_a_clear_sentence(out):
    content = out.read_bytes()
    n_damaged = 0
    for seed in range(500):
        changed = damaged(content, random.Random(seed))
        out.write_bytes(changed)
        if changed == content:
            continue
        n_damaged += 1
        with refused(r"x\.h5 (is damaged \(.*\): copy it again, or remove it|is not an HDF5 file: give)"):
            read(out)
    assert n_damaged > 400


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 0.3, 0.9, -74, -73, -72, -1])
def test_a_file_cut_short(out, kept):
    content = out.read_bytes()
    out.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with refused(r"x\.h5 is (damaged \(.*\): copy it again, or|not an HDF5 file)"):
        read(out)


def test_a_file_cut_right_before_its_last_line_says_so(out):
    out.write_bytes(out.read_bytes()[:-73])
    with refused(r"\(the checksum at its end is missing: it was cut short, or changed after it was written\)"):
        read(out)


def test_a_file_with_a_hole_where_its_end_was(out):
    """As a copy that was broken off leaves it: HDF5 would look for the end of a list of strings for ever."""
    content = out.read_bytes()
    for start in range(200, len(content), len(content) // 60):
        out.write_bytes(content[:start] + bytes(len(content) - start))
        with refused(r"x\.h5 is damaged|is an HDF5 file, but not a recording"):
            read(out)


def test_a_file_that_was_changed_is_not_taken_for_the_one_that_was_written(out):
    with h5py.File(out, "r+") as file:
        file["summary/reach"][0, 0] = 9
    with refused(r"x\.h5 is damaged \(the checksum at its end"):
        read(out)


def test_a_file_that_claims_more_than_there_is_does_not_fill_the_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for version in (1, 2):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.attrs.update(schema="bioplastic", schema_version=version, complete=1, config="{}", settings="{}")
            file.create_dataset("summary/x", (10**6, 10**6), "float64", chunks=(1000, 1000))
        with refused(r"x\.h5 is damaged"):
            read(tmp_path / "x.h5")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000


# Other files


def test_missing_unfinished_and_folder(tmp_path):
    with refused(r"x\.h5 does not exist: check the path, or run the script that makes it"):
        read(tmp_path / "x.h5")
    with refused("is a folder: give the HDF5 file of an experiment"):
        read(tmp_path)
    with open_recorder(tmp_path / "x.h5", provenance()) as recorder:
        recorder.add("frozen", {"seed": 0}, MAKE["frozen"](0))
        with refused(r"x\.h5 is not finished: run its script again with the same settings, it goes on where it stop"):
            read(tmp_path / "x.h5")
        (part,) = recorder.folder.glob("*.npz")
        with refused(r"\.npz is one run of an experiment that is not finished: run its script again"):
            read(str(part))


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"learner,reach\n" * 1000, b"PK\3\4" + bytes(100)])
def test_not_hdf5(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with refused(r"x\.h5 is not an HDF5 file: give the file that a script of bioplastic wrote"):
        read(tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, r"is an HDF5 file, but not a recording of bioplastic \(it has no attributes schema = 'bio"),
        ({"schema": "nir"}, "is an HDF5 file, but not a recording"),
        ({"schema": 3}, "is an HDF5 file, but not a recording"),
        (
            {"schema": "bioplastic", "schema_version": 3, "complete": 1},
            "has schema version 3, and this bioplastic reads up to 2",
        ),
        ({"schema": "bioplastic", "schema_version": 2}, "is not complete: remove it and run its script again"),
        ({"schema": "bioplastic", "schema_version": 0, "complete": 1}, "is an HDF5 file, but not"),
        ({"schema": "bioplastic", "schema_version": "x", "complete": 1}, "is damaged"),
        (
            {"schema": "bioplastic", "schema_version": 1, "complete": 1},
            "is one run of an experiment that is not finished",
        ),
    ],
)
def test_other_hdf5_files(tmp_path, attributes, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs.update(attributes)
        file["data"] = [1, 2, 3]
    with refused(message):
        read(tmp_path / "x.h5")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file that nobody may read")
def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "x.h5").write_bytes(b"")

    def fail(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    with refused(r"x\.h5 cannot be read \(Permission denied\): check its permissions"):
        read(tmp_path / "x.h5")


# The golden recording


def test_the_golden_recording_is_read_number_by_number():
    recording = read(GOLDEN)
    xr.testing.assert_identical(recording.summary, summary())
    assert list(recording.groups) == ["summary", "frozen", "learning"]
    for kind, labels in RUNS:
        run = recording.run(kind, **labels)
        expected = MAKE[kind](labels["seed"])
        xr.testing.assert_identical(run.drop_vars(list(labels)), expected)
        for name in expected.variables:
            if expected[name].size and expected[name].dtype.kind != "U":
                assert run[name].dtype == expected[name].dtype, name
    learning = recording["learning"]
    np.testing.assert_array_equal(learning["n_event"], [5, 0, 7])
    np.testing.assert_array_equal(learning["kind"][0], [0, 1, 2, 0, 1, -1, -1])
    np.testing.assert_array_equal(learning["cell"][1], [65535] * 7)
    np.testing.assert_array_equal(learning["is_replayed"][0], [1, 0, 1, 0, 1, -1, -1])
    np.testing.assert_array_equal(recording["frozen"]["has_latency"], [True, False, True, False])
    made = recording.provenance
    assert (made.circuit, made.script, made.source, made.schema_version) == (CIRCUIT, "every_variable.py", SOURCE, 2)
    assert made.settings == provenance().settings
    assert GOLDEN.stat().st_size < 500_000


# Provenance


def test_provenance_says_where_and_by_what_it_is_made(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/scripts/reach.py", "--quick", "\udce4"])
    made = Provenance.here(title="t", settings={"a": (1, 2)}, circuit="", code="c", script="s.py", source="s")
    assert made.settings == {"a": [1, 2]}
    assert made.command == r"reach.py --quick \udce4"
    assert made.versions["numpy"] == np.__version__
    assert made.python == ".".join(map(str, sys.version_info[:3]))
    assert made.attributes["created"].endswith("+00:00")
    back = Provenance.read(made.attributes, "s.py", "s")
    assert back == Provenance(**{**vars(made), "created": back.created})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.int64(1), Path("x"), {1, 2}])
def test_settings_that_do_not_go_into_json_are_named(value):
    with refused(r"the setting gain = .* does not go into JSON: use plain finite numbers, strings, lists and dicts"):
        as_json({"gain": value})


def test_long_differences_are_cut_short():
    old, new = ({str(i): value for i in range(30)} | {"long": str(value) * 500} for value in (0, 1))
    text = differences(old, new)
    assert "and 21 more" in text
    assert len(text) < 500
    assert differences({}, {"a": 1}) == "a: (not there) -> 1"
    assert differences({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}) == "a.b[0].c: 1 -> 2"
    assert differences(old, dict(old)) == ""


def test_commit_is_that_of_the_checkout_the_package_is_in(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
        done = subprocess.run(["git", "-C", tmp_path, *who, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    package = tmp_path / "provenance.py"
    package.write_text("1")
    monkeypatch.setattr(recording_provenance, "__file__", str(package))
    assert recording_provenance._commit() == ""
    git("init", "-q")
    assert recording_provenance._commit() == ""
    git("commit", "-q", "--allow-empty", "-m", "somebody else's checkout")
    assert recording_provenance._commit() == ""
    git("add", "provenance.py")
    git("commit", "-q", "-m", "ours")
    git("tag", "v1")
    assert recording_provenance._commit() == git("rev-parse", "HEAD")
    package.write_text("2")
    assert recording_provenance._commit() == git("rev-parse", "HEAD") + "-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert recording_provenance._commit() == ""


# Large recordings


def test_a_full_recording_is_opened_fast(tmp_path):
    """300 runs of 30 variables and 300 events: one group for each run took xarray 53 s."""
    hop = labelled("hop", np.arange(12), "hop")
    values = {f"v{k}": labelled("event", np.arange(300.0) + k, "v") for k in range(1, 30)}
    measured = xr.Dataset({"v0": labelled(("event", "hop"), np.ones((300, 12)), "v")} | values, {"hop": hop})
    runs = stack([({"learner": f"l{seed % 6}", "seed": seed}, measured) for seed in range(300)])
    groups = [("learning", runs), ("frozen", runs), ("summary", summary())]
    recording_files.write_datasets(tmp_path / "x.h5", groups, provenance().attributes)
    started = time.process_time()
    with xr.open_datatree(tmp_path / "x.h5") as tree:
        assert tree["learning/v29"].shape == (300, 300)
        assert float(tree["frozen/v29"][299, 1]) == 30
    assert time.process_time() - started < 3


MEMORY = """
import sys
from pathlib import Path
import numpy as np, xarray as xr
from recordings import provenance
from bioplastic.recording import labelled, open_recorder, recorder as module

def highest():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

recorder = open_recorder(Path("x.h5"), provenance())
runs = [("big", {"seed": seed}) for seed in range(20)]
for kind, labels in runs:
    weights = np.random.default_rng(labels["seed"]).normal(size=(2, 512, 512))
    recorder.add(kind, labels, xr.Dataset({"w": labelled(("projection", "post", "pre"), weights, "weights")}))
module.read = lambda path: None
xr.Dataset().to_netcdf(engine="h5netcdf")  # imports what it needs
before = highest()
recorder.finish(runs, {})
print(highest() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs to know the memory that a process takes")
def test_the_runs_of_a_kind_are_in_memory_once(tmp_path):
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 75 < float(done.stdout) < 120  # MB; the weights are 80


# The documentation


def test_every_attribute_is_in_the_documentation():
    text = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    assert set(provenance().attributes) <= named
    assert {"n_<dim>", "has_<name>"} <= set(re.findall(r"`([^`\s]+)`", text))
    assert {"length_of", "presence_of", "padded_from"} <= named


def test_code_of_the_documentation_runs(tmp_path):
    """In a fresh interpreter, one block after the other, beside a copy of the golden recordings."""
    text = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    blocks = [(block.line, block.text) for block in fenced_blocks(text) if block.language == "python"]
    assert len(blocks) == 6
    shutil.copytree(GOLDEN.parent, tmp_path / "data" / "golden")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(blocks), cwd=tmp_path, capture_output=True, text=True
    )
    assert json.loads((tmp_path / "done.json").read_text()) == 6, done.stderr
    for line in (
        "[ 2 -1  3]",
        "('run', 'event', 'hop') relative change of the weights [0 1 2]",
        "s ['/learning/run', '/learning/event']",
        "[0.    0.125 0.25  0.375 0.5  ]",
        "['error relay', 'error relay', 'Rückwärts', 'Rückwärts']",
        "('frozen', 'learning') ('learner', 'seed')",
        "[5 6]",
        "1 ('frozen', 'learning', 'tuning')",
    ):
        assert line in done.stdout, done.stdout
