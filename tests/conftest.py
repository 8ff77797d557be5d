"""What all tests share: where compiled models are kept, and figures without a screen."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Set when pytest starts, before any module of the package is imported, and inherited by subprocesses.
# The cache stays between test runs: compiling the models takes longer than running them.
os.environ.setdefault("BIOPLASTIC_CACHE", str(ROOT / ".cache" / "tests"))
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The folder of compiled models and pretrained weights."""
    path = Path(os.environ["BIOPLASTIC_CACHE"])
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def frozen_garbage() -> None:
    """What is imported is not looked through again each time Brian2 collects garbage, which is before every run."""
    import brian2  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def little_garbage() -> Iterator[None]:
    """The same for what other modules of tests have made before."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def cpp_compiler() -> None:
    """Skip what only compiled lives can show, where nothing compiles them."""
    from bioplastic.compiled.toolchain import compiler

    if compiler() is None:
        pytest.skip("needs compiled lives: no C++ compiler with make was found (the README says how to install one)")


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is not installed."""

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == "torch":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])


@pytest.fixture
def numpy_target(frozen_garbage: None) -> Iterator[None]:
    """Brian2's runtime mode without compiling, at a step of 1 ms."""
    import brian2

    before, dt = brian2.prefs.codegen.target, brian2.defaultclock.dt
    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = 1 * brian2.ms
    yield
    brian2.prefs.codegen.target = before
    brian2.defaultclock.dt = dt
