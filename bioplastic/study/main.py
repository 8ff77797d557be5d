"""The command line of an experiment: every setting an option, with its help from the settings' own documentation."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from bioplastic.cache import CacheError
from bioplastic.recording import RecordingError
from bioplastic.study.learner import StudyError
from bioplastic.study.study import Study
from bioplastic.terminal import nobody_reads

NO_TORCH = "this needs torch, for the backprop twin: pip install 'bioplastic[twin]'"
BAD_USAGE, INTERRUPTED = 2, 130
"""Exit statuses."""
SEEDS = "seeds"
"""Setting that may be given as a number of seeds."""


@dataclass(frozen=True)
class Options:
    """What is no setting of the experiment."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The HDF5 file to make (default: data/runs/NAME.h5, or NAME-SIZE.h5)."""
    jobs: int = 2
    """Lives to simulate at once."""
    record: Annotated[str, tyro.conf.arg(metavar="WHAT", help_behavior_hint="")] = ""
    """What to record of every life beside the measures: weights, spikes, or weights,spikes."""


def main(study: Study[Any], argv: Sequence[str] | None = None, *, prog: str = "") -> int:
    """Read a command line, run the study, and show what came out.

    Parameters
    ----------
    study : Study
    argv : sequence of str, optional
        The arguments; those of the process if not given.
    prog : str, optional
        What the help calls the command, if not by the study's name.

    Returns
    -------
    int
        0; 2 for bad usage, input or output, or without torch where it is needed, with the reason on stderr; 130 when
        interrupted; 1 if nobody reads the output.
    """
    options = Options()
    why: object
    try:
        settings, options = parse(study, list(sys.argv[1:] if argv is None else argv), prog=prog)
        record = tuple(name for name in options.record.replace(" ", "").split(",") if name)
        study.show(study.run(settings, options.out, jobs=options.jobs, record=record))
        sys.stdout.flush()
        return 0
    except SystemExit as end:  # help, or an option that tyro refuses
        return end.code if isinstance(end.code, int) else BAD_USAGE
    except KeyboardInterrupt:
        kept = f"What is done is kept beside {options.out}; the same command goes on from there."
        print(f"Interrupted. {kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return nobody_reads()
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        why = NO_TORCH
    except (RecordingError, StudyError, CacheError) as error:
        why = error
    print(f"{study.name}: {why}", file=sys.stderr)
    return BAD_USAGE


def parse(study: Study[Any], arguments: Sequence[str], *, prog: str = "") -> tuple[Any, Options]:
    """Read settings and options from a command line.

    Parameters
    ----------
    study : Study
    arguments : sequence of str
    prog : str, optional
        What the help calls the command, if not by the study's name.

    Returns
    -------
    tuple of (dataclass, Options)

    Raises
    ------
    SystemExit
        Help was asked for, or an option is unknown or malformed; tyro has said so, and named the nearest known one.
    StudyError
        Two sizes are given, or no seed, or the settings refuse a value.
    """
    sizes = {f"--{size}": size for size in study.settings if size}
    given = [argument for argument in arguments if argument in sizes]
    if len(set(given)) > 1:
        raise StudyError(f"{' and '.join(given)} exclude each other; give one.")
    size = sizes[given[0]] if given else ""
    preset = study.settings[size]
    command = make_dataclass(
        "Command",
        [
            ("experiment", Annotated[type(preset), tyro.conf.arg(name="")], preset),
            ("run", Annotated[Options, tyro.conf.arg(name="")], Options()),
        ],
    )
    rest = [re.sub(r"^--hops(?==|$)", "--n-hops", argument) for argument in arguments if argument not in sizes]
    try:
        read: Any = tyro.cli(
            command,
            prog=prog or f"{study.name}.py",
            description=_description(study),
            args=_with_seeds(rest),
            use_underscores=False,
        )
    except ValueError as error:  # the settings' own checks
        raise StudyError(str(error)) from error
    if getattr(read.experiment, SEEDS, None) == ():
        raise StudyError("--seeds: no seed is given; give how many, 1 or more, or several seeds.")
    out = read.run.out or study.path(size)
    return read.experiment, replace(read.run, out=out)


def _with_seeds(arguments: Sequence[str]) -> list[str]:
    """Read a single number after ``--seeds`` as how many there are, from 0 on."""
    text = "\0".join([*arguments, ""])

    def counted(found: re.Match[str]) -> str:
        return "\0".join([f"--{SEEDS}", *(str(k) for k in range(int(found[1])))]) + "\0"

    return re.sub(rf"--{SEEDS}(?:\0|=)(\d+)\0(?!-?\d)", counted, text).split("\0")[:-1]


def _description(study: Study[Any]) -> str:
    times = {f"--{size}" if size else "default": study.running_time.get(size, "") for size in study.settings}
    sizes = ", ".join(f"{size} ({time})" if time else size for size, time in times.items())
    names = {field.name for field in fields(study.settings[""])}
    hints = [
        "--seeds N alone means seeds 0 to N - 1." if SEEDS in names else "",
        "--hops N is short for --n-hops N." if "n_hops" in names else "",
    ]
    return "\n\n".join([study.title, f"Sizes, and how long they take on two cores: {sizes}.", *filter(None, hints)])
