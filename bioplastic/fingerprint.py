"""What a result is made of: a hash of the code that it comes from, and of nothing else.

From the functions and classes that make a result, every definition that they name is followed, through the modules of
this library, its models and the user's own files; not into installed packages, whose versions stand beside it. Comments
and docstrings do not count, and neither does code that is not named on the way, such as that of a figure.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

SCRIPTS = "bioplastic_scripts"
OURS = ("bioplastic", "bioplastic_models", SCRIPTS)
"""Packages whose code counts wherever they are installed."""


def code_of(*roots: Any) -> str:
    """Hash the code that some functions, classes, objects or modules are made of.

    Parameters
    ----------
    *roots : function, class, module or object
        Of a `functools.partial` its function and arguments count, of a list what is in it, of any other object its
        class, and the fields of a dataclass. A module counts as a whole.

    Returns
    -------
    str
        64 hexadecimal digits. It differs between versions of Python, whose syntax trees differ.
    """
    parts = [f"{_called(module)}.{name}\n{text}" for (module, name), text in definitions(*roots).items()]
    parts += [text for root in roots for text in _typed_in(root)]
    parts.sort()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _called(module: str) -> str:
    """What a module is called here: a script has one name, whether it is run as one or loaded from where it lies."""
    path = _file(module) if module == "__main__" or module.startswith(f"{SCRIPTS}.") else None
    return module if path is None else path.stem


def definitions(*roots: Any) -> dict[tuple[str, str], str]:
    """Return every definition that counts in `code_of`, as text of its syntax tree, by module and name."""
    found: dict[tuple[str, str], str] = {}
    waiting = [place for root in roots for place in _places(root)]
    while waiting:
        module, name = waiting.pop()
        if (module, name) in found or (source := _source(module)) is None:
            continue
        if name not in source.nodes:
            if _source(f"{module}.{name}") is not None:  # a module of a package, named through it
                waiting += [(f"{module}.{name}", inner) for inner in source_names(f"{module}.{name}")]
            continue
        found[module, name] = "\n".join(ast.dump(_bare(node)) for node in source.nodes[name])
        waiting += [place for node in source.nodes[name] for place in _named(node, module)]
    return found


def _typed_in(root: Any) -> Iterator[str]:
    """Source of what was typed into a notebook or an interpreter: there is no file whose names could be followed."""
    if isinstance(root, functools.partial):
        for part in (root.func, *root.args, *root.keywords.values()):
            yield from _typed_in(part)
    elif getattr(root, "__module__", None) == "__main__" and _file("__main__") is None:
        with suppress(OSError, TypeError):
            source = inspect.getsource(root if hasattr(root, "__qualname__") else type(root))
            yield ast.dump(_bare(ast.parse(textwrap.dedent(source))))


def source_names(module: str) -> tuple[str, ...]:
    """Names that a module defines itself."""
    source = _source(module)
    return () if source is None else tuple(source.nodes)


def _places(root: Any) -> Iterator[tuple[str, str]]:
    """Where the code of an object stands: modules and top-level names."""
    if isinstance(root, functools.partial):
        for part in (root.func, *root.args, *root.keywords.values()):
            yield from _places(part)
    elif isinstance(root, list | tuple | Mapping):
        for part in root.values() if isinstance(root, Mapping) else root:
            yield from _places(part)
    elif isinstance(root, ModuleType):
        yield from ((root.__name__, name) for name in source_names(root.__name__))
    elif hasattr(root, "__qualname__") and hasattr(root, "__module__"):
        name = root.__qualname__.partition(".")[0]
        if root.__module__ and name in source_names(root.__module__):
            yield root.__module__, name
        elif root.__module__:  # a lambda, or something made in a call: all of its module
            yield from ((root.__module__, inner) for inner in source_names(root.__module__))
    elif type(root).__module__ != "builtins":
        yield from _places(type(root))
        if is_dataclass(root):
            yield from (place for field in fields(root) for place in _places(getattr(root, field.name)))


@dataclass(frozen=True)
class _Source:
    """A module's top-level definitions by name, and what the names that it imports stand for."""

    package: str
    nodes: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str]]


@functools.cache
def _source(module: str) -> _Source | None:
    """Read a module's source; None if it is not ours."""
    path = _file(module)
    if path is None:
        return None
    nodes: dict[str, list[ast.stmt]] = {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for statement in _flat(tree.body):
        for name in _defines(statement):
            nodes.setdefault(name, []).append(statement)
    imported = _imports(_flat(tree.body), package)
    stub = path.with_suffix(".pyi")  # names that are imported when they are first asked for
    if stub.exists():
        imported |= _imports(_flat(ast.parse(stub.read_text(encoding="utf-8")).body), package)
    return _Source(package, nodes, imported)


def _file(module: str) -> Path | None:
    """Return the file of a module whose code counts, else None."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    if origin is None or not origin.endswith(".py"):
        return None
    path = Path(origin).resolve()
    if module.partition(".")[0] in OURS:
        return path
    # A package may be installed elsewhere than for this environment, which can see those of another.
    if {"site-packages", "dist-packages"} & set(path.parts):
        return None
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    return None if any(path.is_relative_to(folder) for folder in installed) else path


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Top-level statements, those within an `if`, `try` or `with` of the module included."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _flat(child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt))
        else:
            yield statement


def _defines(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        # What is done to an object after it is made, such as adding an implementation to a Brian2 function.
        names = [node.id for node in ast.walk(statement.value.func) if isinstance(node, ast.Name)]
        yield from names[:1]


def _imports(statements: Iterable[ast.AST], package: str) -> dict[str, tuple[str, str]]:
    """What imported names stand for: (module, name), the name empty for a module."""
    found: dict[str, tuple[str, str]] = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0],
                    "",
                )
        elif isinstance(statement, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - statement.level + 1] if statement.level else []
            base = ".".join([*above, *([statement.module] if statement.module else [])])
            for alias in statement.names:
                found[alias.asname or alias.name] = (base, alias.name)
    return found


def _named(node: ast.stmt, module: str) -> Iterator[tuple[str, str]]:
    """Definitions that a statement of a module names, here and in modules that are ours."""
    source = _source(module)
    assert source is not None
    imported = source.imported | _imports(ast.walk(node), source.package)
    for part in ast.walk(node):
        chain = _chain(part)
        if not chain:
            continue
        if chain[0] in source.nodes:
            yield module, chain[0]
        elif chain[0] in imported:
            where, name = imported[chain[0]]
            full, rest = (
                (f"{where}.{name}", chain[1:]) if name and _is_module(where, name) else (where, [name, *chain[1:]])
            )
            rest = [part for part in rest if part]
            while rest and _is_module(full, rest[0]):
                full, rest = f"{full}.{rest[0]}", rest[1:]
            if rest and _source(full) is not None:
                yield _home(full, rest[0])


def _is_module(package: str, name: str) -> bool:
    # Installed, the folder of the models is a package without a file of its own.
    ours = _source(package) is not None or package in OURS
    return ours and name not in source_names(package) and _file(f"{package}.{name}") is not None


def _home(module: str, name: str) -> tuple[str, str]:
    """Follow a name that a module only imports to where it is defined."""
    source = _source(module)
    if source is not None and name not in source.nodes and name in source.imported:
        return _home(*source.imported[name])
    return module, name


def _chain(node: ast.AST) -> list[str]:
    """``a.b.c`` as ``["a", "b", "c"]``; empty for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return [*before, node.attr] if before else []
    return []


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:  # the name that ast asks for
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _bare(node: ast.AST) -> ast.AST:
    """A copy of a syntax tree without docstrings."""
    bare: ast.AST = _WithoutDocstrings().visit(deepcopy(node))
    return bare
