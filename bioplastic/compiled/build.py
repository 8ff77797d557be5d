"""Compile a Brian2 network in a process of its own, and keep the program in the cache."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brian2
import numpy as np
from brian2 import Network, NetworkOperation
from brian2.units.fundamentalunits import Quantity

from bioplastic import cache
from bioplastic.compiled.patches import patch
from bioplastic.compiled.toolchain import (
    COMPILER_FLAGS,
    CompilationError,
    compiler,
    compiler_command,
    processor,
)
from bioplastic.fingerprint import code_of


@dataclass(frozen=True)
class Program:
    """A network to be compiled, and what goes into it and comes out of it.

    Attributes
    ----------
    network : Network
        Not yet run.
    duration : Quantity
        For which it runs.
    objects : mapping of str to object
        Groups, synapses and monitors, by their names in `results` and in the values for `run_binary`; None for what
        this network does not have.
    results : mapping of str to (str, str)
        Object and variable of everything that `run_binary` returns, by name.
    """

    network: Network
    duration: Quantity
    objects: Mapping[str, Any]
    results: Mapping[str, tuple[str, str]]


def compile_network(make: Callable[[], Program], made_of: Sequence[str]) -> Path | None:
    """Compile a network in Brian2's C++ standalone mode, or find the program in the cache.

    Parameters
    ----------
    make : callable
        Returns the network. It is called in a process of its own and is pickled to get there: a function of a module
        that can be imported, or a `functools.partial` of one.
    made_of : sequence of str
        All that the program depends on, such as `bioplastic.fingerprint.code_of` what makes it, and sizes: another
        text, another program. The versions of Brian2 and of the compiler, and the processor, are added here.

    Returns
    -------
    Path or None
        The folder of the program, for `run_binary`; None where there is no compiler.

    Raises
    ------
    CompilationError
        Compiling failed.
    CacheError
        The cache is full, or cannot be written.
    """
    version = compiler()
    if version is None:
        return None
    key = hashlib.sha256(
        "\0".join(
            [*made_of, code_of(_compile_in_child, compile_here), brian2.__version__, version, processor()]
        ).encode()
    ).hexdigest()
    folder = cache.cache_folder() / "models" / key[:16]
    if not (folder / "manifest.json").exists():
        with (
            cache.writing(folder.parent),
            tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as scratch,
        ):
            _compile_in_child(make, scratch)
            try:
                os.rename(scratch, folder)
            except OSError:
                if not (folder / "manifest.json").exists():  # else another process was faster
                    raise
            else:
                Path(scratch).mkdir()  # for TemporaryDirectory to remove
    return folder


def refuse_network_operations(network: Network) -> None:
    """Refuse a network whose Python operations C++ standalone mode would drop without a word.

    Parameters
    ----------
    network : Network
        About to be run in standalone mode.

    Raises
    ------
    CompilationError
        The network holds a network operation; the message names it.
    """
    for part in network.objects:
        if isinstance(part, NetworkOperation):
            raise CompilationError(
                f"network operation {part.name!r} ({part.function.__name__}) cannot be compiled: it is Python, and "
                "C++ standalone mode would silently leave it out. Write it as run_regularly, or use runtime mode."
            )


def _compile_in_child(make: Callable[[], Program], folder: str) -> None:
    """Call `compile_here` in a process of its own: Brian2's standalone device is one per process, maybe the caller's.

    Raises
    ------
    CompilationError
        It failed.
    OSError
        The disk is full.
    """
    code = f"import sys; from {__name__} import compile_here; compile_here(sys.argv[1])"
    child = subprocess.run(
        [sys.executable, "-c", code, folder], input=pickle.dumps(make), capture_output=True, check=False
    )
    if child.returncode:
        said = child.stderr.decode(errors="replace")
        for number in (errno.ENOSPC, errno.EDQUOT):  # in the words of the compiler as in those of Python
            if os.strerror(number) in said:
                raise OSError(number, os.strerror(number))
        raise CompilationError(f"compiling failed: {said.strip()[-2000:]}")


def compile_here(folder: str) -> None:
    """Compile what the pickled function on standard input makes; runs in a child process, which ends if it fails.

    Parameters
    ----------
    folder : str
        An empty folder; afterwards it holds the program and a manifest of its objects and results.
    """
    program_of: Callable[[], Program] = pickle.load(sys.stdin.buffer)
    prefs, directory = brian2.prefs, Path(folder)
    prefs.codegen.cpp.extra_compile_args_gcc = [*prefs.codegen.cpp.extra_compile_args_gcc, *COMPILER_FLAGS]
    prefs.devices.cpp_standalone.openmp_threads = 0  # whatever the user prefers: the patches count on one thread
    brian2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    program = program_of()
    try:
        refuse_network_operations(program.network)
        program.network.run(program.duration, namespace={})
        device = brian2.device
        device.build(directory=folder, compile=False, run=False, with_output=False)
        patch(directory)
    except CompilationError as error:
        sys.exit(str(error))
    make = ["make", f"-j{os.cpu_count() or 1}", f"CXX={compiler_command()}"]
    # The compiler's own temporary files beside the others: if the disk is full, it is this one.
    environment = os.environ | {"TMPDIR": folder}
    made = subprocess.run(make, cwd=folder, env=environment, check=False, stdout=subprocess.DEVNULL)
    if made.returncode:
        sys.exit(made.returncode)  # the compiler has said why
    for leftover in [*directory.rglob("*.o"), *directory.rglob("*.gch")]:
        leftover.unlink()
    results = {}
    for name, (owner, variable) in program.results.items():
        described = program.objects[owner].variables[variable]
        results[name] = {"file": device.get_array_filename(described), "dtype": np.dtype(described.dtype).name}
    objects = {name: owner.name for name, owner in program.objects.items() if owner is not None}
    (directory / "manifest.json").write_text(json.dumps({"objects": objects, "results": results}))
