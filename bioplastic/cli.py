"""The command ``bioplastic``: what recordings hold and say, the ledger of claims; and the audit of a model."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioplastic import __version__
from bioplastic.recording.schema1 import SUMMARY_VARIABLES, Recording, RecordingError, read

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bioplastic.auditing import Report
    from bioplastic.statistics import Estimate
    from bioplastic.verdicts import Comparison, Condition

# matplotlib, rich and SciPy are imported where they are used, so that --help and --version come at once.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0; 2 if a file could not be read or written, or a network not be audited, with the reason on stderr; 1 if an
        audit fails, or if nobody reads the output.
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int | None = arguments.command(arguments)
        sys.stdout.flush()
    except (RecordingError, ModelError) as error:
        print(f"bioplastic: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as head, has seen enough
        # What is still buffered has nowhere to go; without this Python complains when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status or 0


class ModelError(ValueError):
    """A model file that cannot be loaded, or holds no network."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bioplastic",
        description="Look at recorded experiments: how many hops upstream a change reaches; and audit models.",
    )
    parser.add_argument("--version", action="version", version=f"bioplastic {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument("file", metavar="FILE", type=Path, help="the HDF5 file that a script wrote")
        sub.set_defaults(command=command)
        return sub

    add("inspect", _inspect, "say what is in a recording, and how it was made")
    sub = add("compare", _compare, "compare spiking with backprop, hop by hop, and judge the claims")
    sub.add_argument("--csv", metavar="OUT", type=Path, help="also write every estimate to a CSV file")
    sub.add_argument("--replay", metavar="NAME", help="the replay condition (default: off)")
    sub = add("plot", _plot, "draw the figures, as PNG and as PDF")
    sub.add_argument("--out", metavar="PATH", type=Path, help="the first figure, without suffix (default: beside FILE)")
    sub.add_argument("--replay", metavar="NAME", help="the replay condition (default: off)")
    sub = commands.add_parser(
        "audit",
        help="say from how many hops away each plastic weight of a model can be influenced",
        description="Say from how many hops away each plastic weight of a Brian2 model can be influenced. "
        "Exit status: 0 if all networks pass, 1 if one fails, 2 if one cannot be audited.",
    )
    sub.add_argument("file", metavar="FILE", type=Path, help="a Python file that defines network() or networks()")
    sub.add_argument("--event", metavar="MS", type=float, help="length of an event in ms (default: 500)")
    sub.add_argument(
        "--neighbours", metavar="NAME", nargs="+", help="the Synapses that make neighbours (default: the plastic ones)"
    )
    sub.add_argument(
        "--trust", metavar="NAME", nargs="+", default=[], help="network operations and functions to be left out"
    )
    sub.add_argument(
        "--relays",
        metavar="NAME",
        nargs="*",
        help="groups whose synapses make neighbours because only spikes cross them (default: those that declare it, "
        "such as the parts of a hippocampus; without a NAME: none)",
    )
    sub.set_defaults(command=_audit)
    sub = commands.add_parser(
        "claims",
        help="say what the recordings of a folder say about every claim of the argument",
        description="Say what the recordings of a folder say about every claim of the argument; by the criteria of "
        "docs/claims.md. A recording that is missing is a row that says how to make it.",
    )
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", help="holds the recordings, such as data/runs")
    what.add_argument("--list", action="store_true", help="only list the experiments that are read, with their options")
    sub.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        help="also write PATH.md, PATH.html and PATH.csv, with the figures in a folder beside them",
    )
    sub.set_defaults(command=_claims)
    return parser


# ---------------------------------------------------------------------------------------------------
# Tables


def _console() -> Console:
    from rich.console import Console

    # Into a pipe or a file there is no width to fit.
    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(markup=False, highlight=False, emoji=False, width=None if fits else 170)


def _table(title: str, headings: Iterable[str], rows: Iterable[Sequence[str]], caption: str = "") -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


# ---------------------------------------------------------------------------------------------------
# inspect


def _circuit_line(text: str) -> str:
    """A circuit in one line: the populations of a chain in order, or else what there is of it."""
    try:
        circuit = json.loads(text)
        populations = [(p["role"], p["size"]) for p in circuit["populations"]]
        n_projections = len(circuit["projections"])
        names = [p["name"] for p in circuit["populations"]]
        links = {(p["source"], p["target"]) for p in circuit["projections"]}
    except (ValueError, KeyError, TypeError):
        return text if len(text) <= 100 else text[:97] + "..."
    cells = _count(sum(size for _, size in populations), "cell")
    if links != set(pairwise(names)):
        return f"{_count(len(populations), 'population')}, {cells}, {_count(n_projections, 'projection')}"
    parts = []
    for (role, size), group in groupby(populations):
        n = len(list(group))
        parts.append(f"{n} x {size} {role}" if n > 1 else f"{size} {role}")
    return f"chain {' -> '.join(parts)} ({cells}, {_count(n_projections, 'projection')})"


def _chosen_rates(recording: Recording, learner: str) -> set[float]:
    """Rates at which the results were obtained."""
    summary = recording.summary
    if learner in summary.learner and "learning_rate" in summary.variables:
        rates = summary.variables["learning_rate"][summary.learner.index(learner)]
        return {float(rate) for rate in rates.ravel() if not math.isnan(rate)}
    return set()


def _sweep_table(recording: Recording) -> Table | None:
    sweep = recording.sweep
    if sweep is None:
        return None
    rows = []
    for learner, rates, scores in zip(sweep.learner, sweep.rate, sweep.score, strict=True):
        chosen = _chosen_rates(recording, learner)
        cells = [
            f"{rate:g}: {score:.3g}{' *' if any(abs(rate - c) <= 1e-9 * abs(c) for c in chosen) else '  '}"
            for rate, score in zip(rates, scores, strict=True)
            if not math.isnan(rate)
        ]
        rows.append([learner, *cells, *[""] * (len(rates) - len(cells))])
    headings = ["learner", *["rate: score"] * sweep.rate.shape[1]]
    return _table(
        "Learning rates tried",
        headings,
        rows,
        "* the results are given at this rate; a higher score is better",
    )


def _runs_table(recording: Recording) -> Table:
    kinds = {
        "frozen": set(recording.find(arm="frozen", role="result")),
        "learning": set(recording.find(arm="learning", role="result")),
        "learning rate sweep": set(recording.find(role="sweep")),
    }
    rows = []
    for learner in recording.summary.learner:
        names = set(recording.find(learner=learner))
        rows.append([learner, *(str(len(names & kind)) for kind in kinds.values())])
    return _table(f"Runs: {len(recording.runs)}", ["learner", *kinds], rows)


def _measures_table(recording: Recording) -> Table:
    rows = []
    for name, values in recording.summary.variables.items():
        row = SUMMARY_VARIABLES[name]
        n = sum(not math.isnan(value) for value in values.flat)
        rows.append([name, ", ".join(row.dims), row.units, f"{n} of {values.size}", row.long_name])
    table = _table("Summary", ["measure", "axes", "unit", "numbers", "what it is"], rows)
    for column in (1, 4):
        table.columns[column].justify = "left"
    return table


def _inspect(arguments: argparse.Namespace) -> None:
    recording = read(arguments.file)
    console = _console()
    a, summary = recording.attrs, recording.summary
    versions = ", ".join(f"{name} {version}" for name, version in a.versions.items())
    facts = {
        "file": str(recording.path),
        "title": a.title,
        "created": a.created,
        "made with": f"{versions}, Python {a.python}",
        "on": a.platform,
        "commit": a.commit or "(not from a checkout)",
        "seed": str(a.seed),
        "circuit": _circuit_line(a.circuit),
        "learners": "; ".join(summary.learner),
        "event fractions": ", ".join(f"{fraction:g}" for fraction in summary.event_fraction),
        "replay": ", ".join(summary.replay),
        "seeds": ", ".join(str(seed) for seed in summary.seed),
        "hops": f"{summary.hop[0]} to {summary.hop[-1]}" if len(summary.hop) else "none",
    }
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(name, value)
    console.print(grid)
    console.print()
    settings = [[str(name), json.dumps(value, ensure_ascii=False)] for name, value in a.config.items()]
    table = _table("Settings", ["setting", "value"], settings)
    table.columns[1].justify = "left"
    console.print(table, "")
    console.print(_runs_table(recording), "")
    if (sweep := _sweep_table(recording)) is not None:
        console.print(sweep, "")
    console.print(_measures_table(recording))


# ---------------------------------------------------------------------------------------------------
# compare

_REACH = {
    "error_signal_reach": "reach, frozen",
    "reach": "reach, learning",
    "reach_fixed": "at fixed occurrences",
    "reach_matched": "at matched improvement",
    "screening_length": "screening length",
}
_OUTPUT = {
    "improvement": "improvement",
    "rare_gained": "rare accuracy gained",
    "background_lost": "background accuracy lost",
    "rare_error_fall": "fall of rare error",
    "background_error_rise": "rise of background error",
}
_BY_HOP = ("change", "error_signal", "arrival", "alignment", "functional_downstream", "functional_upstream")


def _cell(one: Estimate, n_seeds: int, narrow: bool) -> str:
    text = str(one)
    if 0 < one.n < n_seeds:  # such as an arrival at a hop that some seeds never reach
        text += f" ({one.n}/{n_seeds})"
    return text.replace(" [", "\n[").replace(" (", "\n(") if narrow else text


def _scalar_tables(comparison: Comparison, fraction: float, narrow: bool) -> list[Table]:
    tables = []
    for title, measures in (("Reach and screening length, in hops (-1: none)", _REACH), ("Output", _OUTPUT)):
        rows = []
        for learner in comparison.learner:
            condition = comparison.condition(learner, fraction)
            rows.append([learner, *(_cell(getattr(condition, name), comparison.n_seeds, narrow) for name in measures)])
        tables.append(_table(f"{title}; event fraction {fraction:g}", ["learner", *measures.values()], rows))
    return tables


def _hop_cell(condition: Condition, name: str, k: int, n_seeds: int, narrow: bool) -> str:
    one = getattr(condition, name)[k]
    below = name == "change" and one.n and not one.mean > condition.change_floor[k].mean
    return _cell(one, n_seeds, narrow) + (" †" if below and condition.change_floor[k].n else "")


def _hop_table(comparison: Comparison, fraction: float, name: str, narrow: bool) -> Table:
    from bioplastic.verdicts import LONG_NAMES

    conditions = [comparison.condition(learner, fraction) for learner in comparison.learner]
    rows = [
        [str(hop), *(_hop_cell(c, name, k, comparison.n_seeds, narrow) for c in conditions)]
        for k, hop in enumerate(comparison.hop)
    ]
    long_name = LONG_NAMES[name]
    title = f"{long_name[0].upper()}{long_name[1:]}; event fraction {fraction:g}"
    caption = "† not above the sham floor" if name == "change" else ""
    return _table(title, ["hop", *comparison.learner], rows, caption)


def _verdict_tables(comparison: Comparison) -> list[Table]:
    tables = []
    for claim, verdicts in groupby(comparison.verdicts, key=lambda verdict: verdict.claim):
        rows = []
        group = list(verdicts)
        for v in group:
            fraction = "all" if v.event_fraction is None else f"{v.event_fraction:g}"
            rows.append([v.learner, v.arm, fraction, str(v.value), str(v.value.n), v.outcome, v.note])
        headings = ["learner", "weights", "event fraction", "estimate [95 %]", "seeds", "verdict", ""]
        table = _table(f'"{claim}"', headings, rows, f"estimate: {group[0].quantity}")
        for column in (5, 6):
            table.columns[column].justify = "left"
        table.columns[5].no_wrap = True
        tables.append(table)
    return tables


def _compare(arguments: argparse.Namespace) -> None:
    recording = read(arguments.file)
    if arguments.csv is not None and arguments.csv.resolve() == recording.path.resolve():
        raise RecordingError(f"{arguments.csv} is the recording itself: give another path to --csv.")

    from bioplastic.verdicts import MARGIN, compare

    comparison = compare(recording.summary, replay=arguments.replay)
    console = _console()
    narrow = console.width < 150
    seeds = _count(comparison.n_seeds, "seed")
    console.print(
        f"{recording.attrs.title} ({recording.path})\n"
        f"Means over {seeds} with 95 % bootstrap intervals; replay: {comparison.replay}.\n"
    )
    for fraction in comparison.event_fraction:
        for table in _scalar_tables(comparison, fraction, narrow):
            console.print(table, "")
        for name in _BY_HOP:
            if any(one.n for learner in comparison.learner for one in _by_hop(comparison, learner, fraction, name)):
                console.print(_hop_table(comparison, fraction, name, narrow), "")
    console.print("Verdicts\n", style="bold")
    for table in _verdict_tables(comparison):
        console.print(table, "")
    console.print(
        "A difference is supported if its interval lies above 0, and refuted if it lies below, or holds 0 "
        f"and stays within {MARGIN:g} hops of it. Differences are paired by seed; intervals are not adjusted "
        "for their number."
    )
    if comparison.n_seeds < 5:
        console.print(
            f"From {seeds} a bootstrap interval is too narrow: it describes the seeds at hand more than it "
            "tells of others."
        )
    if arguments.csv is not None:
        _write_csv(arguments.csv, comparison)
        console.print(f"\n{arguments.csv}", soft_wrap=True)


def _by_hop(comparison: Comparison, learner: str, fraction: float, name: str) -> tuple[Estimate, ...]:
    by_hop: tuple[Estimate, ...] = getattr(comparison.condition(learner, fraction), name)
    return by_hop


def _write_csv(path: Path, comparison: Comparison) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(comparison.rows())
    try:
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"{path} could not be written ({error.strerror}): give another path.") from error


# ---------------------------------------------------------------------------------------------------
# plot


def _plot(arguments: argparse.Namespace) -> None:
    recording = read(arguments.file)

    from bioplastic import plots

    # Only the suffix of a recording: the dot of run.v2 is part of the name.
    path = recording.path
    out: Path = arguments.out or (path.with_suffix("") if path.suffix in (".h5", ".hdf5") else path)
    if out.is_dir():
        out = out / path.stem
    if out.suffix.lower() in (".png", ".pdf"):
        out = out.with_suffix("")
    for written in plots.save(plots.reach_figure(recording, replay=arguments.replay), out):
        print(written)
    try:
        front = plots.front_figure(recording, replay=arguments.replay)
    except RecordingError as error:
        if recording.find(arm="learning", role="result"):
            raise
        print(f"bioplastic: no second figure: {error}", file=sys.stderr)
        return
    for written in plots.save(front, out.with_name(f"{out.name}-front")):
        print(written)


# ---------------------------------------------------------------------------------------------------
# audit

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


def _audit(arguments: argparse.Namespace) -> int:
    from brian2 import BrianLogger, ms, prefs

    from bioplastic.auditing import EVENT, AuditError, audit
    from bioplastic.units import UnitError

    BrianLogger.suppress_name("unused_brian_object")  # nothing here will be run
    target = prefs.codegen.target
    prefs.codegen.target = "numpy"  # or making synapses would wait for a compiler
    try:
        model = _model(arguments.file)
        networks = _networks(arguments.file, model)
    finally:
        prefs.codegen.target = target
    console = _console()
    status = 0
    for name, network in networks.items():
        try:
            report = audit(
                network,
                event=EVENT if arguments.event is None else arguments.event * ms,
                neighbours=arguments.neighbours,
                trust=arguments.trust,
                relays=arguments.relays,
                namespace=model,
            )
        except (AuditError, UnitError) as error:
            sys.stdout.flush()
            print(f"bioplastic: {name}: {error}", file=sys.stderr)
            status = 2
            continue
        _print_report(console, name, report)
        status = max(status, 0 if report.passed else 1)
    return status


def _print_report(console: Console, name: str, report: Report) -> None:
    from bioplastic.auditing import VERDICTS

    rows = []
    for weights in _alike(report):
        w = weights[0]
        hops = (w.hops_in_update, w.hops_in_step, w.hops_in_event)
        ends = ", ".join(f"{one.source} -> {one.target}" for one in weights[:3])
        more = f" and {len(weights) - 3} more" if len(weights) > 3 else ""
        rows.append([w.name, ends + more, *("unconnected" if math.isinf(h) else f"{h:g}" for h in hops), w.verdict])
    table = _table(
        f"{name}: {'PASSED, neighbour-only' if report.passed else 'FAILED, not neighbour-only'}",
        ["plastic weight", "from -> to", "in the update", "in a time step", "in an event", "verdict"],
        rows,
        f"Hops from which it can be influenced; an event is {_count(report.n_steps, 'time step')}. "
        f"{_count(len(report.populations), 'population')}; neighbours are joined by {', '.join(report.neighbourhood)}.",
    )
    for column in (1, 5):
        table.columns[column].justify = "left"
    console.print(table)
    for finding in report.findings:
        console.print(f"{finding}\n    ({VERDICTS[finding.verdict]})")
    for modulator in report.modulators:
        console.print(f"global modulator, carries nothing from any cell: {modulator}")
    for note in report.notes:
        console.print(f"note: {note}")
    far = report.farthest
    if far.farthest.links:
        console.print(f"farthest route to {far.name}, {far.source} -> {far.target}, in an event:\n{far.farthest}")
    console.print()


def _alike(report: Report) -> list[list[Any]]:
    """Weights of one variable with the same hops and the same verdict, so that a long chain takes few lines."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for w in report.weights:
        groups.setdefault((w.name, w.hops_in_update, w.hops_in_step, w.hops_in_event, w.verdict), []).append(w)
    return list(groups.values())


# ---------------------------------------------------------------------------------------------------
# claims


def _claims(arguments: argparse.Namespace) -> None:
    from bioplastic.claims import evidence, ledger, render

    if arguments.list:
        for item in evidence.EVIDENCE.values():
            print(item.name, item.options)
        return
    found = ledger.read(arguments.folder)
    console = _console()
    for claim, entries in found.by_claim():
        shown = len(render.HEADINGS) - 2  # the recording and its command stand below, once
        table = _table(
            f"{claim.number}. {claim.text} ({claim.shown_by}): {found.verdict(claim)}",
            render.HEADINGS[:shown],
            [list(render.cells(entry)[:shown]) for entry in entries],
            "\n".join(dict.fromkeys(f"from {entry.path}, made by: {entry.command}" for entry in entries)),
        )
        for column in (1, 3, 5, 6, 7):
            table.columns[column].justify = "left"
        console.print(table, "")
    if arguments.out is not None:
        for path in render.write(found, arguments.out):
            console.print(f"wrote {path}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
