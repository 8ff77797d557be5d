"""``bioplastic audit``: from how many hops away the weights of a model can be influenced."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from bioplastic.cli.arguments import CommandError, File, Names

if TYPE_CHECKING:
    from rich.console import Console

    from bioplastic.auditing import Report


class ModelError(CommandError):
    """A model file that cannot be loaded, or holds no network."""


_NETWORK = """    def network():
        group = NeuronGroup(...)
        synapses = Synapses(group, group, ...)
        synapses.connect(...)
        return Network(group, synapses)"""
_PLAN = "Define network(), which returns a brian2.Network, or networks(), which returns several by name:\n\n" + _NETWORK


def _model(path: Path) -> dict[str, Any]:
    """Run a model file; what it defines."""
    if not path.is_file():
        raise ModelError(f"{path} is no file; give a Python file that defines network() or networks().")
    spec = importlib.util.spec_from_file_location("bioplastic_audited_model", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} is no Python file (.py). {_PLAN}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{path} could not be run: {type(error).__name__}: {error}") from error
    return vars(module)


def _networks(path: Path, model: Mapping[str, Any]) -> dict[str, Any]:
    """The networks of a model file, by name."""
    name = next((n for n in ("networks", "network") if callable(model.get(n))), None)
    if name is None:
        raise ModelError(f"{path} defines neither network() nor networks(). {_PLAN}")
    try:
        made = model[name]()
    except Exception as error:
        raise ModelError(f"{path}: {name}() failed: {type(error).__name__}: {error}") from error
    if name == "network":
        return {path.stem: made}
    if not isinstance(made, Mapping) or not made:
        raise ModelError(f"{path}: networks() returned {made!r}; it has to return {{name: network}}, one or more.")
    return dict(made)


def audit(
    file: File,
    /,
    *,
    event: Annotated[float | None, arg(metavar="MS", help_behavior_hint="")] = None,
    neighbours: Names = None,
    trust: Names = None,
    relays: Names = None,
) -> int:
    """Say from how many hops away each plastic weight of a Brian2 model can be influenced.

    Exit status: 0 if all networks pass, 1 if one fails, 2 if one cannot be audited.

    Parameters
    ----------
    file : Path
        A Python file that defines network() or networks().
    event : float, optional
        Length of an event in ms (default: 500).
    neighbours : tuple of str, optional
        The Synapses that make neighbours (default: the plastic ones).
    trust : tuple of str, optional
        Network operations and functions to be left out.
    relays : tuple of str, optional
        Groups whose synapses make neighbours because only spikes cross them (default: those that declare it, such as
        the parts of a hippocampus; without a NAME: none).
    """
    from brian2 import BrianLogger, ms, prefs

    from bioplastic import auditing
    from bioplastic.terminal import console
    from bioplastic.units import UnitError

    BrianLogger.suppress_name("unused_brian_object")  # nothing here will be run
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"  # or making synapses would wait for a compiler
    try:
        model = _model(file)
        networks = _networks(file, model)
    finally:
        prefs.codegen.target = target
    out = console()
    status = 0
    for name, network in networks.items():
        try:
            report = auditing.audit(
                network,
                event=auditing.EVENT if event is None else event * ms,
                neighbours=neighbours,
                trust=trust or (),
                relays=relays,
                namespace=model,
            )
        except (auditing.AuditError, UnitError) as error:
            sys.stdout.flush()
            print(f"bioplastic: {name}: {error}", file=sys.stderr)
            status = 2
            continue
        _print_report(out, name, report)
        status = max(status, 0 if report.passed else 1)
    return status


def _print_report(out: Console, name: str, report: Report) -> None:
    from bioplastic.auditing import VERDICTS
    from bioplastic.terminal import count, table

    rows = []
    for weights in _alike(report):
        w = weights[0]
        hops = (w.hops_in_update, w.hops_in_step, w.hops_in_event)
        ends = ", ".join(f"{one.source} -> {one.target}" for one in weights[:3])
        more = f" and {len(weights) - 3} more" if len(weights) > 3 else ""
        rows.append([w.name, ends + more, *("unconnected" if math.isinf(h) else f"{h:g}" for h in hops), w.verdict])
    shown = table(
        f"{name}: {'PASSED, neighbour-only' if report.passed else 'FAILED, not neighbour-only'}",
        ["plastic weight", "from -> to", "in the update", "in a time step", "in an event", "verdict"],
        rows,
        f"Hops from which it can be influenced; an event is {count(report.n_steps, 'time step')}. "
        f"{count(len(report.populations), 'population')}; neighbours are joined by {', '.join(report.neighbourhood)}.",
        left=(0, 1, 5),
    )
    out.print(shown)
    for finding in report.findings:
        out.print(f"{finding}\n    ({VERDICTS[finding.verdict]})")
    for modulator in report.modulators:
        out.print(f"global modulator, carries nothing from any cell: {modulator}")
    for note in report.notes:
        out.print(f"note: {note}")
    far = report.farthest
    if far.farthest.links:
        out.print(f"farthest route to {far.name}, {far.source} -> {far.target}, in an event:\n{far.farthest}")
    out.print()


def _alike(report: Report) -> list[list[Any]]:
    """Weights of one variable with the same hops and the same verdict, so that a long chain takes few lines."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for w in report.weights:
        groups.setdefault((w.name, w.hops_in_update, w.hops_in_step, w.hops_in_event, w.verdict), []).append(w)
    return list(groups.values())
