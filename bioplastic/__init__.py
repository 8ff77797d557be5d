"""Bioplastic: how many hops upstream a change reaches, in spikes and in backprop."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `bioplastic.audit` when it is first asked for: Brian2 takes seconds to load."""
    if name == "audit":
        return importlib.import_module("bioplastic.audit")  # a module that can be called
    raise AttributeError(f"module 'bioplastic' has no attribute {name!r}")
