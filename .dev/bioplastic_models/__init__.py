"""Editable installs only: makes models/ importable under the name it has in the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "models")]
