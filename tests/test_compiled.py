"""Programs of any network: made once, run many times; patches that fit or fail; a cache that cannot be written."""

import errno
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import brian2
import numpy as np
import pytest
from brian2 import Network, NetworkOperation, NeuronGroup, SpikeMonitor, Synapses, ms, network_operation

from bioplastic.cache import CacheError
from bioplastic.compiled import build, run
from bioplastic.compiled.build import Program, compile_network, refuse_network_operations
from bioplastic.compiled.patches import CLOCKS, DEPENDENCIES, HEADER, PATCHES, QUEUES
from bioplastic.compiled.run import end_programs, run_binary
from bioplastic.compiled.stop import stop_if
from bioplastic.compiled.toolchain import CompilationError, compiler

HERE = Path(__file__).resolve()
FOREVER = 1.0
"""In s: longer than the network is compiled for."""


def network(*, refused: bool = False) -> Program:
    """A source whose phase grows by `step` each ms and spikes at 1, what adds up its spikes, and a slower clock."""
    brian2.defaultclock.dt = 1 * ms
    source = NeuronGroup(
        1,
        "x : 1\nstep : 1\nend : second\nover : 1",
        threshold="x >= 1",
        reset="x -= 1",
        namespace={"stop_if": stop_if},
        name="source",
    )
    source.run_regularly("x += step", when="start")
    source.run_regularly("over = stop_if(int(t >= end))", when="end")
    target = NeuronGroup(2, "v : 1\nslow_steps : 1", name="target")
    target.run_regularly("slow_steps += 1", dt=2 * ms)
    synapses = Synapses(source, target, "w : 1", on_pre="v_post += w", name="synapses")
    synapses.connect()
    spikes = SpikeMonitor(source, name="spikes")
    parts = [source, target, synapses, spikes]
    if refused:
        parts.append(NetworkOperation(lambda: None, name="by_hand"))
    results = {"v": ("target", "v"), "slow_steps": ("target", "slow_steps"), "time": ("spikes", "t")}
    return Program(Network(*parts), 20 * ms, {part.name: part for part in parts}, results)


def values(step: float = 0.25, end: float = FOREVER) -> dict[tuple[str, str], np.ndarray]:
    return {
        ("source", "step"): np.array(step),
        ("source", "end"): np.array(end),
        ("synapses", "w"): np.array([1.0, 10.0]),
    }


@pytest.fixture
def importable(monkeypatch) -> None:
    """The child process finds this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), *sys.path]))


@pytest.fixture
def folder(importable, cache_dir, cpp_compiler) -> Path:
    """The program of the network; ten seconds the first time."""
    return compile_network(network, [HERE.read_text()])


# ------------------------------------------------------------------------------------------ programs


def test_a_program_runs_by_hand_with_values_of_its_own(folder):
    """The phase is 1 after four steps of 0.25, at 3 ms for the first time: 3, 7, 11, 15 and 19 ms."""
    found = run_binary(folder, values())
    np.testing.assert_allclose(found["time"], [0.003, 0.007, 0.011, 0.015, 0.019], atol=1e-9)
    assert found["v"].tolist() == [5, 50]
    assert found["slow_steps"].tolist() == [10, 10]
    assert found["run_time"] >= 0
    other = run_binary(folder, values(step=0.5) | {("synapses", "w"): np.array([2.0, 0.5])})
    assert other["v"].tolist() == [20, 5]


def test_a_program_ends_when_it_says_so(folder):
    found = run_binary(folder, values(end=0.010))
    np.testing.assert_allclose(found["time"], [0.003, 0.007], atol=1e-9)
    assert found["slow_steps"].tolist() == [6, 6]  # at 0, 2, 4, 6, 8 and 10 ms


def test_programs_run_at_once(folder):
    steps = [0.25, 0.5, 0.125, 1.0]
    with ThreadPoolExecutor(len(steps)) as pool:
        found = list(pool.map(lambda step: run_binary(folder, values(step))["v"][0], steps))
    assert found == [5, 10, 2, 20]


def test_a_program_is_kept_and_another_text_is_another_program(folder, monkeypatch):
    found = compiler()
    monkeypatch.setattr(build, "compiler", lambda: found)

    def must_not_run(*arguments, **options):
        raise AssertionError(f"{arguments} was started")

    monkeypatch.setattr(subprocess, "run", must_not_run)
    assert compile_network(network, [HERE.read_text()]) == folder
    with pytest.raises(AssertionError, match="was started"):
        compile_network(network, [HERE.read_text(), "other"])


def test_only_what_runs_is_kept(folder):
    assert {"main", "manifest.json"} <= {path.name for path in folder.iterdir()}
    for pattern in ("*.o", "*.d", "*.gch"):
        assert not list(folder.rglob(pattern))


def test_a_value_that_does_not_exist_is_refused(folder):
    with pytest.raises(CompilationError, match=r"the compiled program failed .*source\.speed"):
        run_binary(folder, {("source", "speed"): np.array(1.0)})


@pytest.fixture
def fake(tmp_path):
    """Return the folder of a program that is a shell script."""

    def folder_of(script: str) -> Path:
        (tmp_path / "main").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "main").chmod(0o755)
        (tmp_path / "manifest.json").write_text('{"objects": {}, "results": {}}')
        return tmp_path

    return folder_of


def test_a_failed_program_says_why(fake):
    with pytest.raises(CompilationError, match=r"the compiled program failed \(exit status 3\): out of memory"):
        run_binary(fake("echo out of memory; exit 3"), {})


def test_programs_can_be_ended(fake):
    folder = fake("exec sleep 60")
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(run_binary, folder, {}) for _ in range(2)]
        begin = time.monotonic()
        while len(run._running) < 2 and time.monotonic() < begin + 20:
            time.sleep(0.01)
        end_programs()
        for one in waiting:
            with pytest.raises(CompilationError, match=r"the compiled program failed \(exit status -9\)"):
                one.result(20)
    assert not run._running


# ------------------------------------------------------------------------------------------ what is refused


def test_network_operations_are_refused():
    """Brian2 drops them from a compiled program without a word."""
    plain = Network(NeuronGroup(1, "v : 1"))
    refuse_network_operations(plain)  # nothing to refuse

    @network_operation(dt=1 * ms, name="reward_by_hand")
    def reward() -> None:
        pass

    plain.add(reward)
    with pytest.raises(CompilationError, match=r"reward_by_hand.*run_regularly"):
        refuse_network_operations(plain)
    with pytest.raises(CompilationError, match="another_one"):
        refuse_network_operations(Network(NetworkOperation(lambda: None, name="another_one")))


def test_what_the_child_refuses_is_said_without_a_traceback(importable, cpp_compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("BIOPLASTIC_CACHE", str(tmp_path))
    message = r"^compiling failed: network operation 'by_hand' .* use runtime mode\.$"
    with pytest.raises(CompilationError, match=message):
        compile_network(partial(network, refused=True), [])
    assert list((tmp_path / "models").iterdir()) == []


def test_a_missing_compiler_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler() is None
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler() is None
    assert compile_network(pytest.fail, []) is None


# ------------------------------------------------------------------------------------------ the cache


@pytest.fixture
def child_says(monkeypatch, tmp_path):
    """Return a function that makes the child process end with a status and a text; the cache is empty."""
    monkeypatch.setenv("BIOPLASTIC_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "compiler", lambda: "g++ 1.0")

    def says(text: str, status: int = 1) -> None:
        done = subprocess.CompletedProcess([], status, b"", text.encode())
        monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: done)

    return says


def test_a_failed_build_says_why_and_leaves_nothing(child_says, tmp_path):
    child_says("internal compiler error")
    with pytest.raises(CompilationError, match=r"^compiling failed: internal compiler error"):
        compile_network(network, [])
    assert list((tmp_path / "models").iterdir()) == []


def test_a_disk_that_fills_up_while_the_child_compiles_is_said(child_says, tmp_path):
    child_says("main.cpp:1: fatal error: error writing to main.s: No space left on device")
    with pytest.raises(CacheError, match=r"/models is full: free some space, .*BIOPLASTIC_CACHE"):
        compile_network(network, [])
    assert list((tmp_path / "models").iterdir()) == []


def fails_with(number: int):
    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.parametrize(
    ("failing", "number", "message"),
    [
        ((tempfile, "mkdtemp"), errno.ENOSPC, "is full: free some space"),
        ((tempfile, "mkdtemp"), errno.EROFS, "is read-only: make it writable"),
        ((os, "rename"), errno.EACCES, "is read-only: make it writable"),
    ],
)
def test_a_cache_that_cannot_be_written_is_said(child_says, monkeypatch, failing, number, message):
    child_says("", 0)
    monkeypatch.setattr(*failing, fails_with(number))
    with pytest.raises(CacheError, match=message):
        compile_network(network, [])


def test_a_cache_under_a_file_is_said(child_says, monkeypatch, tmp_path):
    child_says("", 0)
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIOPLASTIC_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="file/models is no folder, or lies under a file: remove that"):
        compile_network(network, [])


# ------------------------------------------------------------------------------------------ what a program is made of

CODE = '''
"""Of the file."""

LIMIT = 3  # of what
"""Of the constant."""


def double(x):
    """Of the function."""
    # why
    return 2 * x


class Cell:
    """Of the class."""

    EQUATIONS = "v : 1"
'''


# ------------------------------------------------------------------------------------------ patches


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """What Brian2 makes of the network, as it is."""
    folder = tmp_path_factory.mktemp("generated")
    code = """
import sys
import brian2
from test_compiled import network
brian2.set_device("cpp_standalone", directory=sys.argv[1], build_on_run=False)
program = network()
program.network.run(program.duration, namespace={})
brian2.device.build(directory=sys.argv[1], compile=False, run=False)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path])}
    subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, check=True)
    return folder


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_every_patch_fits_what_brian2_generates_and_fails_where_it_does_not_fit(generated, patch):
    source = (generated / patch.file).read_text()
    changed = patch.apply(source)
    assert changed != source
    message = f"the patch '{patch.name}' does not fit {patch.file} as Brian2 {brian2.__version__} generates it; install"
    for other in (changed, source + source, ""):  # it is there already, twice, and not at all
        with pytest.raises(CompilationError, match=re.escape(message)):
            patch.apply(other)


def test_patches_by_hand():
    assert CLOCKS.apply("if (curclocks.find(obj_clock) != curclocks.end())") == (
        "if (fabs(obj_clock->t[0] - t) <= Clock_epsilon)"
    )
    queue = "vector<int32_t>* peek()\n    {\n        all_peek.clear();\n        return &all_peek;\n    }"
    assert QUEUES.apply(queue) == "vector<int32_t>* peek()\n    {\n\t\treturn queue[0]->peek();\n    }"


COMPILE = "%.o : %.cpp makefile\n\t$(CXX) $(CXXFLAGS) $< -o $@\n"
MAKEFILES = {
    "2.9": f"make.deps: $(SRCS) $(H_SRCS)\n\t$(CXX) $(CXXFLAGS) -MM $(SRCS) > make.deps\n\n{COMPILE}",
    "2.11": COMPILE.replace("$<", "-MMD -MP -MF $(@:.o=.d) -MT $@ $<"),
}


@pytest.mark.parametrize("version", MAKEFILES)
def test_makefiles_of_old_and_new_versions_by_hand(version):
    compiling = (
        "precompiled.h.gch : precompiled.h\n"
        "\t$(CXX) $(CXXFLAGS) -x c++-header precompiled.h -o precompiled.h.gch\n\n"
        "%.o : %.cpp makefile precompiled.h.gch\n"
        "\t$(CXX) $(CXXFLAGS) -include precompiled.h $< -o $@\n"
    )
    before = {"2.9": "make.deps: $(SRCS) $(H_SRCS)\n\ttouch make.deps\n\n", "2.11": ""}[version]
    assert HEADER.apply(DEPENDENCIES.apply(MAKEFILES[version])) == before + compiling


def test_a_program_is_made_with_all_patches(folder):
    for patch in PATCHES:
        with pytest.raises(CompilationError, match="does not fit"):  # for it is there
            patch.apply((folder / patch.file).read_text())
