"""The experiments that come with the library: a script for each, installed as `bioplastic_scripts`.

Nothing imports a script. What it is about is read from its text; its study is loaded from its path.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bioplastic.recording import Provenance
    from bioplastic.study import Study

PACKAGE = "bioplastic_scripts"
"""The folder of the scripts, under the name that it has where the library is installed."""
STUDY = "STUDY"
"""What a script calls its study."""


class ExperimentError(ValueError):
    """There is no such experiment, or it cannot be loaded. The message says what to do."""


@dataclass(frozen=True)
class Experiment:
    """A script that comes with the library, as far as its text tells.

    Attributes
    ----------
    name : str
    path : Path
    """

    name: str
    path: Path

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def _documentation(self) -> str:
        return inspect.cleandoc(ast.get_docstring(self._tree) or "")

    @property
    def title(self) -> str:
        """The first sentence of its documentation."""
        return self._documentation.partition("\n")[0]

    @property
    def question(self) -> str:
        """What it asks, in one paragraph."""
        return self._section("Question")

    @property
    def running_time(self) -> str:
        """How long it takes, in words."""
        return self._section("Running time")

    @property
    def has_study(self) -> bool:
        """Whether the script defines a study, or is to be run as it is."""
        return any(STUDY in _assigned(statement) for statement in self._tree.body)

    def says(self, text: str) -> bool:
        """Whether a text stands in the script, as a string of its own."""
        return any(isinstance(node, ast.Constant) and node.value == text for node in ast.walk(self._tree))

    def _section(self, heading: str) -> str:
        found = re.search(rf"^{heading}\n((?: +.*\n?)+)", self._documentation, flags=re.MULTILINE)
        return " ".join(found[1].split()) if found else ""


def _assigned(statement: ast.stmt) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def experiments() -> dict[str, Experiment]:
    """Return all experiments by name, in the order of the alphabet.

    Raises
    ------
    ExperimentError
        The folder of the scripts is not there.
    """
    try:
        folders = list(importlib.import_module(PACKAGE).__path__)
    except ModuleNotFoundError as error:
        raise ExperimentError(
            "the experiments are not installed: pip install bioplastic, or in a checkout pip install -e ."
        ) from error
    paths = sorted(path for folder in folders for path in Path(folder).glob("*.py") if path.stem != "__init__")
    return {path.stem: Experiment(path.stem, path) for path in paths}


def experiment(name: str) -> Experiment:
    """Return an experiment.

    Parameters
    ----------
    name : str

    Raises
    ------
    ExperimentError
        There is none of that name; the message names the nearest one.
    """
    known = experiments()
    if name not in known:
        raise ExperimentError(f"there is no experiment {name!r}; {nearest(name, known)}")
    return known[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was meant, or what they are.

    Parameters
    ----------
    name : str
    known : iterable of str
    """
    names = list(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}."


def load(name: str) -> Study[Any]:
    """Load the study of an experiment.

    Parameters
    ----------
    name : str

    Raises
    ------
    ExperimentError
        There is no such experiment, or its script defines no study.
    """
    found = experiment(name)
    module = sys.modules.get(f"{PACKAGE}.{name}") or _run(found)
    study: Study[Any] | None = getattr(module, STUDY, None)
    if study is None:
        raise ExperimentError(f"{found.path} defines no {STUDY}; give it one, a bioplastic.study.Study.")
    return study


def _run(found: Experiment) -> Any:
    name = f"{PACKAGE}.{found.name}"
    spec = importlib.util.spec_from_file_location(name, found.path)
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def study_of(provenance: Provenance) -> Study[Any] | None:
    """Return the study that made a recording, if it is one of those that come with the library.

    Parameters
    ----------
    provenance : Provenance
        Of the recording: its script names the experiment, or else its title.
    """
    known: Mapping[str, Experiment] = {name: one for name, one in experiments().items() if one.has_study}
    script = Path(provenance.script).stem
    for name in sorted(known, key=lambda name: name != script):
        if (name == script or known[name].says(provenance.title)) and (study := load(name)).title == provenance.title:
            return study
    return None
