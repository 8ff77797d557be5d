"""What `import bioplastic as bp` hands out: every public name, known to type checkers, under no module's name."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import bioplastic


def test_there_are_public_names() -> None:
    assert {"audit", "digits", "Circuit", "Schedule", "Backprop", "ErrorRelay"} <= set(bioplastic.__all__)


@pytest.mark.parametrize("name", bioplastic.__all__)
def test_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(bioplastic, name)
    assert name in dir(bioplastic)
    if inspect.ismodule(found):
        assert name == "plot"
        assert importlib.import_module("bioplastic.plots") is found
    else:
        assert found.__name__ == name
        assert getattr(importlib.import_module(found.__module__), name) is found


def test_no_public_name_is_a_module() -> None:
    # Importing bioplastic.x sets the attribute x of bioplastic to the module, whatever it was before.
    modules = {module.name for module in pkgutil.iter_modules(bioplastic.__path__)}
    assert "auditing" in modules
    assert not modules & set(bioplastic.__all__)


@pytest.mark.parametrize(("wrong", "nearest"), [("adit", "audit"), ("digit", "digits"), ("schedule", "Schedule")])
def test_unknown_name_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'bioplastic' has no attribute '{wrong}', but '{nearest}'; dir"):
        getattr(bioplastic, wrong)


def test_name_that_is_near_to_none() -> None:
    with pytest.raises(
        AttributeError, match=r"no attribute 'xyz'; dir\(bioplastic\) lists its public names, and a mod"
    ):
        bioplastic.xyz  # noqa: B018
    assert not hasattr(bioplastic, "__path_hooks__")


@pytest.mark.slow
def test_type_checker_knows_the_names_and_no_others(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy comes with the extra 'dev'")
    snippet = tmp_path / "snippet.py"
    lines = ["import bioplastic as bp", *(f"bp.{name}" for name in bioplastic.__all__), "bp.digits().task", "bp.digit"]
    snippet.write_text("\n".join(lines))
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--no-implicit-reexport"]
    report, _, _ = api.run([*options, f"--cache-dir={tmp_path}", str(snippet)])
    complaints = [line for line in report.splitlines() if ": error: " in line]
    assert len(complaints) == 2, report
    assert '"Task" has no attribute "task"' in complaints[0]
    assert 'Module has no attribute "digit"' in complaints[1]
