"""The command line of an experiment: every setting an option, with its help from the settings' own documentation."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from bioplastic.cache import CacheError
from bioplastic.recording import RecordingError
from bioplastic.study.learner import StudyError
from bioplastic.study.study import Study

NO_TORCH = "this needs torch, for the backprop twin: pip install 'bioplastic[twin]'"
BAD_USAGE, INTERRUPTED = 2, 130
"""Exit statuses."""


@dataclass(frozen=True)
class Options:
    """What is no setting of an experiment."""

    out: Path | None = None
    """The HDF5 file to make (default: data/runs/NAME.h5, or NAME-SIZE.h5)."""
    jobs: int = 2
    """Lives to simulate at once."""
    record: str = ""
    """What to record of every life beside the measures: weights, spikes, or weights,spikes."""


def main(study: Study[Any], argv: Sequence[str] | None = None) -> int:
    """Read a command line, run the study, and show what came out.

    Parameters
    ----------
    study : Study
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0; 2 for bad usage, input or output, with the reason on stderr; 130 when interrupted.
    """
    try:
        settings, options = parse(study, list(sys.argv[1:] if argv is None else argv))
    except SystemExit as end:  # help, or an option that tyro refuses
        return end.code if isinstance(end.code, int) else BAD_USAGE
    except ValueError as error:  # the settings' own checks
        print(f"{study.name}: {error}", file=sys.stderr)
        return BAD_USAGE
    record = tuple(name for name in options.record.split(",") if name)
    try:
        study.show(study.run(settings, options.out, jobs=options.jobs, record=record))
    except (RecordingError, StudyError, CacheError) as error:
        print(error, file=sys.stderr)
        return BAD_USAGE
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print(f"{study.name}: {NO_TORCH}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        print(
            f"Interrupted. What is done is kept beside {options.out}; the same command goes on from there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def parse(study: Study[Any], arguments: Sequence[str]) -> tuple[Any, Options]:
    """Read settings and options from a command line.

    Parameters
    ----------
    study : Study
    arguments : sequence of str

    Returns
    -------
    tuple of (dataclass, Options)

    Raises
    ------
    SystemExit
        Help was asked for, or an option is unknown or malformed; tyro has said so, with the nearest known one.
    ValueError
        The settings refuse a value.
    """
    sizes = [size for size in study.settings if f"--{size}" in arguments]
    if len(sizes) > 1:
        raise ValueError(f"{' and '.join(f'--{size}' for size in sizes)} exclude each other; give one.")
    size = sizes[0] if sizes else ""
    preset = study.settings[size]
    rest = _with_seeds(["--n-hops" if a == "--hops" else a for a in arguments if a not in (f"--{s}" for s in sizes)])
    command = make_dataclass(
        "Command",
        [
            ("settings", Annotated[type(preset), tyro.conf.arg(name="")], preset),
            ("options", Annotated[Options, tyro.conf.arg(name="")], Options()),
        ],
    )
    given: Any = tyro.cli(
        command, prog=f"{study.name}.py", description=_description(study), args=rest, use_underscores=False
    )
    options: Options = given.options
    if options.out is None:
        name = f"{study.name}{'-' * bool(size)}{size}.h5"
        options = Options(Path("data", "runs", name), options.jobs, options.record)
    return given.settings, options


def _with_seeds(arguments: Sequence[str]) -> list[str]:
    """Read a single number after ``--seeds`` as how many there are, from 0 on."""
    text = "\0".join([*arguments, ""])

    def counted(found: re.Match[str]) -> str:
        return "\0".join(["--seeds", *(str(k) for k in range(int(found[1])))]) + "\0"

    return re.sub(r"--seeds(?:\0|=)(\d+)\0(?!-?\d)", counted, text).split("\0")[:-1]


def _description(study: Study[Any]) -> str:
    sizes = [f"--{size}: {study.running_time.get(size, '')}" for size in study.settings if size]
    default = f"On two cores: {study.running_time.get('', '')}"
    return "\n\n".join([study.title, "; ".join([default, *sizes]), "--seeds N alone means seeds 0 to N - 1."])
