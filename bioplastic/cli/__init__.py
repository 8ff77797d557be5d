"""The command ``bioplastic``: run experiments, look at their recordings, judge claims, audit models.

A file for each command. What takes long to load is imported where it is used, so that help comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import tyro
from tyro.extras import subcommand_cli_from_dict

from bioplastic import __version__
from bioplastic.cli.arguments import CommandError
from bioplastic.cli.audit import audit
from bioplastic.cli.claims import claims
from bioplastic.cli.compare import compare
from bioplastic.cli.inspect import inspect
from bioplastic.cli.plot import plot
from bioplastic.cli.run import run, run_experiment
from bioplastic.experiments import ExperimentError, nearest

COMMANDS: dict[str, Callable[..., int | None]] = {
    command.__name__: command for command in (run, inspect, compare, plot, claims, audit)
}
BAD_INPUT = 2
"""Exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0; 2 if the arguments are wrong, a file could not be read or written, a network not be audited, or a package is
        missing, with the reason on stderr; 1 if an audit fails, or if nobody reads the output.
    """
    try:
        status = _command(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except SystemExit as end:  # help, arguments that tyro refuses, or the end of a script
        if not isinstance(end.code, int):
            raise
        return end.code
    except BrokenPipeError:
        from bioplastic.terminal import nobody_reads

        return nobody_reads()
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        print(f"bioplastic: {sentence}", file=sys.stderr)
        return BAD_INPUT
    return status or 0


def _command(arguments: list[str]) -> int | None:
    first, *rest = arguments or [""]
    if first == "--version":
        print(f"bioplastic {__version__}")
        return 0
    if first == "run" and rest and not rest[0].startswith("-"):
        return run_experiment(*rest)  # all that follows is the experiment's own
    if first and first not in COMMANDS and not first.startswith("-"):
        raise CommandError(f"there is no command {first!r}; {nearest(first, COMMANDS)}")
    return subcommand_cli_from_dict(
        COMMANDS,
        prog="bioplastic",
        description="How many hops upstream a change reaches: run the experiments, look at their recordings, audit "
        "models. bioplastic --version says which version this is.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
        use_underscores=False,
    )


def _sentence(error: Exception) -> str | None:
    """What a user is told of an error that is theirs to mend."""
    from bioplastic.recording import RecordingError

    if isinstance(error, RecordingError | ExperimentError | CommandError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        from bioplastic.study.main import NO_TORCH

        return NO_TORCH
    return None
