"""Bioplastic: how many hops upstream a change reaches, in spikes and in backprop.

The public names stand in `__init__.pyi`, one a line. Each is imported when it is first asked for: Brian2 and torch take
seconds to load.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_MODULE_OF = {name.name: line.module for line in _STUB.body if isinstance(line, ast.ImportFrom) for name in line.names}
_MODULES = {
    ast.unparse(line.targets[0]): ast.unparse(line.value) for line in _STUB.body if isinstance(line, ast.Assign)
}
__all__ = list(_MODULE_OF | _MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    from difflib import get_close_matches

    nearest = "".join(f", but {known!r}" for known in get_close_matches(name, __all__, n=1))
    raise AttributeError(
        f"module 'bioplastic' has no attribute {name!r}{nearest}; dir(bioplastic) lists its public names, and a module "
        "is imported by its own: import bioplastic.reach."
    )


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
