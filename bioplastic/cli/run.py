"""``bioplastic run``: the experiments that come with the library."""

from __future__ import annotations

import runpy
import sys

from bioplastic import experiments
from bioplastic.cli.arguments import CommandError


def run(*, list: bool = False) -> int | None:
    """Run an experiment: bioplastic run NAME [OPTIONS]; bioplastic run NAME --help has its options.

    Parameters
    ----------
    list : bool
        Say which experiments there are, what each asks and how long it takes.
    """
    found = experiments.experiments()
    if not list:
        raise CommandError(
            f"run needs the name of an experiment: {', '.join(found)}. bioplastic run --list says what they ask."
        )
    from bioplastic.terminal import console

    out = console()
    for one in found.values():
        out.print(one.name, style="bold")
        for text in (one.question, one.running_time):
            out.print(_indented(text))
    return 0


def _indented(text: str) -> object:
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 4))


def run_experiment(name: str, *options: str) -> int:
    """Run an experiment as its script does.

    Parameters
    ----------
    name : str
    *options : str
        As the script takes them.

    Returns
    -------
    int
        The exit status.
    """
    one = experiments.experiment(name)
    if not one.has_study:  # a script that only prints
        sys.argv = [str(one.path), *options]
        runpy.run_path(str(one.path), run_name="__main__")
        return 0
    return experiments.load(name).main(options, prog=f"bioplastic run {name}")
