"""The layout: who may import whom, what a bare import costs, what lies at the top, what a wheel holds."""

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module imports only from the ones before it. Within a package, which is one entry, files may import each
# other.
# fmt: off
ORDER = (
    "units", "cache", "terminal", "fingerprint", "chance", "circuit", "cells", "rules", "tasks", "events",
    "relays", "hippocampus", "life", "compiled", "spiking", "twin", "living",
    "statistics", "reach", "recording", "estimates", "auditing", "verdicts", "plots", "study", "theory",
    "fits", "comparison", "experiments", "claims", "cli", "__main__",
)
# fmt: on
STRANGERS = {("spiking", "twin"), ("twin", "spiking")}
# Any network can be compiled, not only ours.
ALONE = {"compiled": {"cache", "fingerprint"}}
# Analysis works on recordings and must run where neither simulator is.
SIMULATORS = {"brian2", "torch"}
ANALYSIS = {"recording", "reach", "theory", "plots", "claims"}

TOP_LEVEL = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"),
    *("bioplastic", "models", "scripts", "tests", "data", "docs"),
}


def python_files(folder: Path) -> list[Path]:
    """Every Python file of a folder; none at all means that the check looks in the wrong place."""
    files = sorted(folder.rglob("*.py"))
    assert files, f"no Python file in {folder}"
    return files


def run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for otherwise in child.orelse:
                yield from run_nodes(otherwise)
        else:
            yield from run_nodes(child)


def imported_names(source: str, package: str) -> Iterator[str]:
    """Dotted names that a source imports, wherever in it, relative ones resolved against its package.

    Not what it imports for types alone: nothing is loaded for these, so they are in nobody's way.
    """
    for node in run_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def order_violations(path: str, source: str) -> list[str]:
    """What is wrong with the imports of `path`, given relative to bioplastic/ ("rules/backprop.py")."""
    parts = Path(path).with_suffix("").parts
    me = parts[0]
    if path == "__init__.py":
        return []  # the public names, fetched when they are first used
    if me not in ORDER:
        return [f"{path}: has no place in the import order of tests/test_layout.py"]
    found = []
    for name in imported_names(source, ".".join(("bioplastic", *parts[:-1]))):
        package, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if package in SIMULATORS and me in ANALYSIS:
            found.append(f"{path}: analysis must not import {package}")
        if package != "bioplastic" or other == "__version__" or (other == me and len(parts) > 1):
            continue
        if other not in ORDER:
            found.append(f"{path}: imports {name}; import from the module that defines it")
        elif ORDER.index(other) >= ORDER.index(me):
            found.append(f"{path}: imports {name}, which is not above it in the import order")
        elif (me, other) in STRANGERS:
            found.append(f"{path}: {me} and {other} must not import each other")
        elif other not in ALONE.get(me, ORDER):
            found.append(
                f"{path}: imports {name}; {me} may import nothing of bioplastic but {', '.join(sorted(ALONE[me]))}"
            )
    return found


def script_imports(source: str, scripts: set[str]) -> list[str]:
    """Imports of a script, by whatever name, or of models under a name that exists only in a checkout."""
    roots = {name.partition(".")[0] for name in imported_names(source, "")}
    return sorted(roots & (scripts | {"scripts", "bioplastic_scripts", "models"}))


@pytest.mark.parametrize("path", python_files(ROOT / "bioplastic"), ids=lambda p: p.name)
def test_import_order(path: Path) -> None:
    violations = order_violations(path.relative_to(ROOT / "bioplastic").as_posix(), path.read_text())
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("circuit.py", "from bioplastic.spiking import build", "not above it"),
        ("circuit.py", "from . import cells", "not above it"),
        ("circuit.py", "from .cells import phi", "not above it"),
        ("circuit.py", "import bioplastic.circuit", "not above it"),
        ("circuit.py", "def f():\n    from bioplastic import study", "not above it"),
        ("circuit.py", "from bioplastic import Circuit", "import from the module"),
        ("circuit.py", "import bioplastic", "import from the module"),
        ("circuit.py", "from bioplastic import *", "import from the module"),
        ("rules/broadcast.py", "from ..tasks import digits", "not above it"),
        ("rules/broadcast.py", "from bioplastic.twin import Twin", "not above it"),
        ("twin.py", "from .spiking import build", "must not import each other"),
        ("spiking/models.py", "from ..twin import Twin", "not above it"),
        ("compiled/build.py", "from ..spiking.spec import ModelSpec", "not above it"),
        ("compiled/build.py", "from bioplastic.events import Schedule", "may import nothing of bioplastic but cache"),
        ("rules/backprop.py", "from bioplastic.twin.networks import Networks", "not above it"),
        ("rules/backprop.py", "if TYPE_CHECKING:\n    pass\nelse:\n    from bioplastic import twin", "not above it"),
        ("rules/backprop.py", "if TYPE_CHECKING:\n    pass\nfrom bioplastic import twin", "not above it"),
        ("rules/backprop.py", "if not TYPE_CHECKING:\n    from bioplastic import twin", "not above it"),
        ("rules/backprop.py", "if True:\n    from bioplastic import twin", "not above it"),
        ("twin/living.py", "from ..spiking import build", "must not import each other"),
        ("spiking.py", "from .twin import live", "not above it"),
        ("reach.py", "import torch.nn as nn", "must not import torch"),
        ("theory.py", "from brian2 import ms", "must not import brian2"),
        ("plots/curves.py", "def f():\n    import torch", "must not import torch"),
        ("recording.py", "import brian2", "must not import brian2"),
        ("utils.py", "", "no place in the import order"),
    ],
)
def test_import_order_check_can_fail(path: str, source: str, complaint: str) -> None:
    assert any(complaint in violation for violation in order_violations(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "circuit.py",
            "import numpy as np\nfrom .units import check\nfrom bioplastic import units, __version__",
        ),
        (
            "rules/broadcast.py",
            "from .error_relay import step\nfrom ..cells import phi\nfrom . import error_relay",
        ),
        ("rules/__init__.py", "from .error_relay import ErrorRelay\nfrom bioplastic.cells import phi"),
        ("twin.py", "import torch"),
        ("spiking/models.py", "from .spec import ModelSpec\nfrom bioplastic.compiled.build import compile_network"),
        (
            "compiled/build.py",
            "from bioplastic import cache\nfrom .patches import patch\nfrom ..cache import CacheError",
        ),
        ("rules/backprop.py", "if TYPE_CHECKING:\n    from bioplastic.twin.networks import Networks"),
        ("rules/backprop.py", "class A:\n    if typing.TYPE_CHECKING:\n        from bioplastic import twin"),
        ("twin/living.py", "import torch\nfrom bioplastic.twin.networks import Networks"),
        ("cli.py", "from . import plots, reach"),
        ("__init__.py", "from bioplastic.cli import main"),
    ],
)
def test_import_order_check_can_pass(path: str, source: str) -> None:
    assert order_violations(path, source) == []


def test_nobody_imports_a_script() -> None:
    scripts = {path.stem for path in python_files(ROOT / "scripts")}
    folders = ("bioplastic", "models", "scripts", "tests")
    files = [path for folder in folders for path in python_files(ROOT / folder)]
    found = {str(p.relative_to(ROOT)): script_imports(p.read_text(), scripts) for p in files}
    assert not {path: names for path, names in found.items() if names}


def test_script_check_can_fail() -> None:
    scripts = {"benchmark"}
    assert script_imports("from benchmark import run", scripts) == ["benchmark"]
    assert script_imports("import scripts.benchmark", scripts) == ["scripts"]
    assert script_imports("from bioplastic_scripts.benchmark import run", scripts) == ["bioplastic_scripts"]
    assert script_imports("from models.chain import chain", scripts) == ["models"]
    assert script_imports("from bioplastic_models.chain import chain\nimport numpy", scripts) == []


def test_checks_refuse_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no Python file"):
        python_files(tmp_path)


def test_bare_import_is_light() -> None:
    code = "import sys, bioplastic; dir(bioplastic); print(sorted({'torch', 'brian2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def strays(names: set[str]) -> set[str]:
    """Top-level entries that the layout does not know; names with a dot in front are free."""
    return {name for name in names if not name.startswith(".")} - TOP_LEVEL


def top_level() -> set[str]:
    """Top-level entries, less what git ignores, where this is a git checkout."""
    if not (ROOT / ".git").exists():
        return {path.name for path in ROOT.iterdir()}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.partition("/")[0] for line in listed.splitlines()}
    return {name for name in names if (ROOT / name).exists()}  # a deleted file is listed until the next commit


def test_top_level() -> None:
    entries = top_level()
    assert {"pyproject.toml", "bioplastic", "tests"} <= entries
    assert not strays(entries)


def test_top_level_check_can_fail() -> None:
    assert strays({"bioplastic", ".ci", "utils", "setup.py"}) == {"utils", "setup.py"}


def test_models_are_importable() -> None:
    paths = [path.relative_to(ROOT / "models").with_suffix("") for path in python_files(ROOT / "models")]
    code = "; ".join(f"import bioplastic_models.{'.'.join(path.parts)}" for path in paths)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\n(install with: pip install -e .)"


def test_scripts_are_where_they_are_looked_for() -> None:
    code = "import bioplastic_scripts; print(*bioplastic_scripts.__path__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\n(install with: pip install -e .)"
    assert Path(done.stdout.strip()) == ROOT / "scripts"


def test_wheel_holds_package_models_and_scripts(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling comes with the extra 'dev'")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.relative_to(ROOT).as_posix() for path in python_files(ROOT / "bioplastic")}
    models = [path.relative_to(ROOT / "models").as_posix() for path in python_files(ROOT / "models")]
    expected |= {f"bioplastic_models/{name}" for name in models}
    scripts = {f"bioplastic_scripts/{path.name}" for path in python_files(ROOT / "scripts")}
    assert {name for name in names if name.startswith("bioplastic_scripts/")} == scripts
    assert expected | {"bioplastic/py.typed", "bioplastic/__init__.pyi"} <= names
    folders = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert folders == {"bioplastic", "bioplastic_models", "bioplastic_scripts"}
