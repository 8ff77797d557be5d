"""A function for Brian2 code by which a compiled network ends its own run."""

from __future__ import annotations

from brian2 import Function

stop_if = Function(lambda condition: condition, arg_units=[1], return_unit=1, stateless=False)
"""``stop_if(condition)`` in Brian2 code: the run ends after this step if the condition is more than 0; returns it.

The only way for a program to end before the time that it was compiled for. Put it into a namespace. In runtime mode it
ends nothing; there a network operation can call ``brian2.stop``.
"""
stop_if.implementations.add_implementation(
    "cpp",
    """
    double stop_if(double condition)
    {
        if (condition > 0) Network::_globally_stopped = true;
        return condition;
    }
    """,
)
