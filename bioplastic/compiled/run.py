"""Run a program that `bioplastic.compiled.build` made: as often as you like, several at once."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bioplastic.compiled.toolchain import CompilationError

_running: set[subprocess.Popen[str]] = set()


def run_binary(folder: Path, values: Mapping[tuple[str, str], Any]) -> dict[str, np.ndarray]:
    """Run a network that `compile_network` compiled, from values of its own; several may run at once.

    Brian2's own random numbers differ from run to run; where a run must come out the same again, let the network carry
    the state of its random numbers in a variable, as do the mossy fibres of models/ca3.py.

    Parameters
    ----------
    folder : Path
        As returned by `compile_network`.
    values : mapping of (str, str) to array
        Values of variables at the start, by object and variable, in SI units or with units.

    Returns
    -------
    dict of str to array
        What the program's results name, and ``run_time``, the seconds that it ran.

    Raises
    ------
    CompilationError
        The program failed, or was ended by `end_programs`.
    """
    manifest = json.loads((folder / "manifest.json").read_text())
    with tempfile.TemporaryDirectory(prefix="bioplastic-") as scratch:
        arguments = []
        for (owner, variable), value in values.items():
            name = f"{manifest['objects'].get(owner, owner)}.{variable}"
            array = np.asarray(value, dtype=float)  # a Quantity becomes a number of SI units
            if array.ndim == 0:
                arguments.append(f"{name}={float(array)!r}")
            else:
                path = Path(scratch, f"{owner}.{variable}")
                array.tofile(path)
                arguments.append(f"{name}={path}")
        results = Path(scratch, "results")
        results.mkdir()
        _execute([str(folder / "main"), "--results_dir", f"{results}/", *arguments], folder)
        run_time = np.array(float((results / "last_run_info.txt").read_text().split()[0]))
        return {"run_time": run_time} | {
            name: np.fromfile(results / entry["file"], dtype=entry["dtype"])
            for name, entry in manifest["results"].items()
        }


def end_programs() -> None:
    """End all programs that run, in whatever thread they were started; `run_binary` raises `CompilationError` there."""
    for process in list(_running):
        process.kill()


def _execute(command: Sequence[str], folder: Path) -> None:
    # In a session of its own: Ctrl-C is for us to answer. Brian2's programs would stop early and look finished.
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    _running.add(process)
    try:
        output, _ = process.communicate()
    finally:
        process.kill()  # does nothing to a process that has ended
        _running.discard(process)
    if process.returncode or "rror" in output or "Cannot set" in output:
        raise CompilationError(
            f"the compiled program failed (exit status {process.returncode}): {output.strip()[-500:]}"
        )
