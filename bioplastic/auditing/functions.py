"""Whether a Python function that equations call may carry something that is not among its arguments."""

from __future__ import annotations

import dis
import inspect
import types
from typing import Any

import numpy as np
from brian2 import (
    Network,
)
from brian2.core.base import BrianObject
from brian2.core.functions import Function
from brian2.core.variables import Variable, VariableView
from brian2.groups.group import VariableOwner
from brian2.units.fundamentalunits import Quantity


def hidden_state(function: Function) -> str:
    """Why a function may carry something that is not among its arguments; empty if it seems not to."""
    pyfunc = getattr(function.pyfunc, "_orig_func", function.pyfunc)
    if not isinstance(pyfunc, types.FunctionType | types.MethodType):
        return "" if isinstance(pyfunc, np.ufunc | types.BuiltinFunctionType) else "is no plain Python function"
    if compiled := [k for k in function.implementations if isinstance(k, str) and k != "numpy"]:
        return f"has code in {compiled[0]} that the audit does not read"
    return _outside(pyfunc, set())


_DOORS = {"eval", "exec", "globals", "locals", "vars", "getattr", "open", "__import__"}
"""Built-in functions through which Python code can get at anything."""


def _outside(function: Any, seen: set[int]) -> str:
    if isinstance(function, types.MethodType):
        return f"is a method of {type(function.__self__).__name__}, which can hold anything"
    function = inspect.unwrap(getattr(function, "_orig_func", function))
    if id(function) in seen or function.__module__.partition(".")[0] in ("numpy", "scipy"):
        return ""
    seen.add(id(function))
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        if any(step.opname == "IMPORT_NAME" for step in dis.get_instructions(code)):
            return "imports a module, which can hold anything"
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    for found, sentence in (
        (_DOORS, "calls {}(), which can get at anything"),
        (vars(function), "keeps {!r} for later"),
    ):
        if used := sorted(names & set(found)):
            return sentence.format(used[0])
    values = {n: function.__globals__[n] for n in names if n in function.__globals__}
    for n, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        values[n] = cell.cell_contents
    values |= {f"default {k}": v for k, v in enumerate(function.__defaults__ or ())}
    values |= dict(function.__kwdefaults__ or {})
    return next((reason for name, value in values.items() if (reason := _holds(name, value, seen))), "")


def _holds(name: str, value: Any, seen: set[int]) -> str:
    """What a value that a function uses may hide."""
    if isinstance(value, types.ModuleType):
        known = value.__name__.partition(".")[0] in ("numpy", "math", "scipy")
        return "" if known else f"uses the module {value.__name__!r}, which can hold anything"
    if isinstance(value, VariableOwner | VariableView | Variable | BrianObject | Network):
        return f"reads {getattr(value, 'name', name)!r} of the network behind the back of its arguments"
    if isinstance(value, types.FunctionType | types.MethodType):
        return _outside(value, seen)
    if isinstance(value, type) and value.__module__ in ("builtins", "numpy"):
        return ""
    harmless = int | float | complex | str | bool | None | types.BuiltinFunctionType | np.ufunc | np.generic
    if isinstance(value, harmless) or (isinstance(value, Quantity) and value.shape == ()):
        return ""
    return f"uses {name!r} ({type(value).__name__}), which can change from outside"
