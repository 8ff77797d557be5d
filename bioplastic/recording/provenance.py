"""How a recording was made: settings, code, versions, machine; and whether two are of the same experiment."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bioplastic.recording.errors import RecordingError
from bioplastic.recording.files import SCHEMA, SCHEMA_VERSION
from bioplastic.recording.labelled import Labels

DECIDE_BITS = ("brian2", "numpy", "scipy", "scikit-learn", "torch")
"""Packages whose versions a number may depend on."""


@dataclass(frozen=True)
class Provenance:
    """How a recording was made.

    Attributes
    ----------
    title : str
    settings : mapping
        As JSON gives them back.
    circuit : str
        As JSON; empty where there is none, or more than one.
    code : str
        `bioplastic.fingerprint.code_of` the model and the measure.
    script, source : str
        Name and text of the file that says what the experiment is.
    created : str
        UTC, ISO 8601; empty until it is written.
    versions : mapping of str to str
        Of the packages that made it.
    python, platform : str
    commit : str
        Of the checkout it was made in, ``-dirty`` if files were changed; empty outside one.
    command : str
        That made it.
    schema_version : int
    """

    title: str
    settings: Mapping[str, Any]
    circuit: str
    code: str
    script: str
    source: str
    created: str
    versions: Mapping[str, str]
    python: str
    platform: str
    commit: str
    command: str
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def here(
        cls, *, title: str, settings: Mapping[str, Any], circuit: str, code: str, script: str, source: str
    ) -> Provenance:
        """Describe what is about to be made, by this process."""
        return cls(
            title=title,
            settings=as_json(settings),
            circuit=circuit,
            code=code,
            script=script,
            source=source,
            created="",
            versions=package_versions(),
            python=platform.python_version(),
            platform=platform.platform(),
            commit=_commit(),
            # Arguments may be bytes that are no text, which no attribute holds.
            command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]).encode(errors="backslashreplace").decode(),
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file; the source is a dataset of its own."""
        return {
            "schema": SCHEMA,
            "schema_version": self.schema_version,
            "complete": 1,
            "title": self.title,
            "settings": json.dumps(dict(self.settings)),
            "circuit": self.circuit,
            "code": self.code,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": json.dumps(dict(self.versions)),
            "python": self.python,
            "platform": self.platform,
            "commit": self.commit,
            "command": self.command,
        }

    @classmethod
    def read(cls, attributes: Mapping[str, Any], script: str, source: str) -> Provenance:
        """Inverse of `attributes`."""
        plain = {name: str(attributes[name]) for name in ("title", "circuit", "code", "created", "python", "platform")}
        return cls(
            **plain,
            settings=json.loads(attributes["settings"]),
            script=script,
            source=source,
            versions=json.loads(attributes["versions"]),
            commit=str(attributes["commit"]),
            command=str(attributes["command"]),
            schema_version=int(attributes["schema_version"]),
        )

    def run_identity(self, kind: str, labels: Labels, grid: tuple[str, ...]) -> str:
        """Hash all that one run depends on.

        Parameters
        ----------
        kind : str
        labels : mapping
            Of the run.
        grid : tuple of str
            Settings that only say which runs there are, and not what is in them.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        settings = {name: value for name, value in self.settings.items() if name not in grid}
        decisive = {name: version for name, version in self.versions.items() if name in DECIDE_BITS}
        python = self.python.rpartition(".")[0]
        made_of = [kind, dict(labels), settings, self.circuit, self.code, decisive, python]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON gives them back, so that they compare equal to recorded ones.

    Parameters
    ----------
    settings : mapping

    Raises
    ------
    RecordingError
        A setting does not go into JSON.
    """
    found = {}
    for name, value in settings.items():
        try:
            found[str(name)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise RecordingError(
                f"the setting {name} = {value!r} does not go into JSON: "
                "use plain finite numbers, strings, lists and dicts."
            ) from error
    return found


def package_versions() -> dict[str, str]:
    """Versions of the packages that a recording may depend on."""
    versions = {}
    for package in ("bioplastic", *DECIDE_BITS, "h5py", "xarray"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _commit() -> str:
    """Commit of the checkout this file is tracked in, with ``-dirty`` if files are changed; or nothing."""
    here = Path(__file__).resolve()
    # A git hook sets these, and they would point git elsewhere.
    hooks = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environment = {name: value for name, value in os.environ.items() if name not in hooks}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, env=environment)
        return done.stdout.strip()

    try:
        # Installed inside somebody else's checkout, the package is not tracked by it.
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], limit: int = 10) -> str:
    """Name the settings that differ.

    Parameters
    ----------
    old, new : mapping
    limit : int, optional
        Most that are named.

    Returns
    -------
    str
        Empty if none does.
    """

    def shown(settings: Mapping[str, Any], name: str) -> str:
        text = json.dumps(settings[name], ensure_ascii=False) if name in settings else "(not there)"
        return text if len(text) <= 60 else text[:57] + "..."

    olds, news = (_flat(dict(settings)) if settings else {} for settings in (old, new))
    names = [name for name in {**olds, **news} if name not in olds or name not in news or olds[name] != news[name]]
    lines = [f"{name}: {shown(olds, name)} -> {shown(news, name)}" for name in names[:limit]]
    if len(names) > limit:
        lines.append(f"and {len(names) - limit} more")
    return ", ".join(lines)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """``{"a": {"b": [1, 2]}}`` as ``{"a.b[0]": 1, "a.b[1]": 2}``."""
    if isinstance(value, dict) and value:
        items = [(f"{name}.{key}" if name else key, item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = [(f"{name}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {name: value}
    return {key: leaf for nested, item in items for key, leaf in _flat(item, nested).items()}
