"""``bioplastic claims``: the ledger of claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bioplastic.cli.arguments import CommandError, Out


def claims(
    folder: Annotated[Path | None, Positional, arg(metavar="FOLDER", help_behavior_hint="")] = None,
    /,
    *,
    list: bool = False,
    out: Out = None,
) -> None:
    """Say what the recordings of a folder say about every claim of the argument.

    By the criteria of docs/claims.md. A recording that is missing is a row that says how to make it.

    Parameters
    ----------
    folder : Path, optional
        Holds the recordings, such as data/runs.
    list : bool
        Only list the experiments that are read, with their options.
    out : Path, optional
        Also write PATH.md, PATH.html and PATH.csv, with the figures in a folder beside them.
    """
    from bioplastic.claims import evidence, ledger, render

    if list:
        for item in evidence.EVIDENCE.values():
            print(item.name, item.options)
        return
    if folder is None:
        raise CommandError("claims needs a folder of recordings, such as data/runs; or --list.")
    from bioplastic.terminal import console, table

    found = ledger.read(folder)
    screen = console()
    for claim, entries in found.by_claim():
        shown = len(render.HEADINGS) - 2  # the recording and its command stand below, once
        one = table(
            f"{claim.number}. {claim.text} ({claim.shown_by}): {found.verdict(claim)}",
            render.HEADINGS[:shown],
            [render.cells(entry)[:shown] for entry in entries],
            "\n".join(dict.fromkeys(f"from {entry.path}, made by: {entry.command}" for entry in entries)),
            left=(0, 1, 3, 5, 6, 7),
        )
        screen.print(one, "")
    if out is not None:
        for path in render.write(found, out):
            screen.print(f"wrote {path}", soft_wrap=True)
