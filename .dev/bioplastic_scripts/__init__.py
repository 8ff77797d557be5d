"""Editable installs only: the folder of the experiments under the name it has in the wheel."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "scripts")]
