"""The C++ compiler, and what its programs depend on beside their source."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

COMPILER_FLAGS = ("--param=vect-max-version-for-alias-checks=1000", "-funroll-loops")
"""Without the first, gcc gives up on vectorising loops over more than a few arrays; the second gives some per cent."""
NO_COMPILER = (
    "No C++ compiler (g++ and make) was found, so models run in Brian2's runtime mode, some ten times slower or more; "
    "to compile, install one (Debian: apt install g++ make; macOS: xcode-select --install; conda: cxx-compiler)."
)


class CompilationError(RuntimeError):
    """A network could not be compiled, or its program not be run."""


def compiler() -> str | None:
    """Return the version line of the C++ compiler that Brian2 will call, or None when there is none."""
    command = compiler_command()
    if shutil.which(command.split()[0]) is None or shutil.which("make") is None:
        return None
    version = subprocess.run([*command.split(), "--version"], capture_output=True, text=True, check=False)
    return version.stdout.partition("\n")[0]


def compiler_command() -> str:
    """Return the command that compiles: $CXX, or g++."""
    return os.environ.get("CXX", "g++")


def processor() -> str:
    """What the compiled code may depend on beside the compiler: -march=native compiles for this very processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
