"""The ledger written out: Markdown, HTML and CSV, with the figures of the experiments."""

from __future__ import annotations

import csv
import html
import io
from itertools import groupby
from pathlib import Path

from PIL import Image

from bioplastic.claims.ledger import Entry, Ledger
from bioplastic.recording import RecordingError

HEADINGS = (
    "learner",
    "measure",
    "effect [95 %]",
    "also asked",
    "seeds",
    "control",
    "verdict",
    "note",
    "recording",
    "made by",
)
FIGURE_WIDTH = 1200
"""Pixels; a figure of the ledger is made smaller, the sharp one lies beside the recording."""
_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:80em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
    "td,th{border-bottom:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}img{max-width:100%}"
)
_HOW = (
    "Means over seeds with 95 % bootstrap intervals. A verdict follows from these numbers by the criteria in "
    "docs/claims.md, which says what of them was written down before the numbers were known, and what was changed "
    "after. Bootstrap intervals of five seeds are narrow: they hold the true mean of normal data in some 83 % of "
    "cases. Where intervals of Student's t, which hold it in 95 %, give another verdict, the note says which. A row of "
    "its own leaves the verdict on its claim alone."
)


def cells(entry: Entry) -> tuple[str, ...]:
    """Texts of a row of the ledger, one for each of `HEADINGS`."""
    row = entry.row
    if row is None:
        measured = ("",) * 6
    else:
        first, *others = row.supports
        asked, controls = (
            "; ".join(dict.fromkeys(f"{c.what}: {c.estimate}" for c in some))
            for some in ([c for c in (*others, *row.refutes) if c.what != first.what], row.controls)
        )
        measured = (row.learner, first.what, str(row.effect), asked or "nothing", str(row.n_seeds), controls or "none")
    return (*measured, entry.verdict, entry.note, entry.path.name, entry.command)


def to_csv(ledger: Ledger) -> str:
    """Every row, with numbers of full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        (
            "claim",
            "text",
            "shown_by",
            "verdict_on_claim",
            "mean",
            "low",
            "high",
            *(h.replace(" ", "_") for h in HEADINGS),
        )
    )
    for claim, entries in ledger.by_claim():
        for entry in entries:
            effect = None if entry.row is None else entry.row.effect
            numbers = ("", "", "") if effect is None else tuple(repr(x) for x in (effect.mean, effect.low, effect.high))
            writer.writerow((claim.number, claim.text, claim.shown_by, ledger.verdict(claim), *numbers, *cells(entry)))
    return out.getvalue()


def to_markdown(ledger: Ledger, figures: dict[str, str]) -> str:
    """Write a summary, then a table and the figures for each claim.

    Parameters
    ----------
    ledger : Ledger
    figures : dict of str to str
        Path of the figure of a recording, by the recording's name.
    """
    lines = ["# The ledger", "", _HOW, "", "| | claim | shown by | verdict |", "|---|---|---|---|"]
    for claim, _ in ledger.by_claim():
        lines.append(f"| {claim.number} | {claim.text} | {claim.shown_by} | **{ledger.verdict(claim)}** |")
    for claim, entries in ledger.by_claim():
        lines += ["", f"## {claim.number}. {claim.text[0].upper()}{claim.text[1:]}: {ledger.verdict(claim)}", ""]
        lines += ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
        lines += ["| " + " | ".join(text.replace("|", "\\|") for text in cells(entry)) + " |" for entry in entries]
        for name, _ in groupby(entries, key=lambda entry: entry.path.stem):
            if name in figures:
                lines += ["", f"![{name}]({figures[name]})"]
    return "\n".join(lines) + "\n"


def to_html(ledger: Ledger, figures: dict[str, str]) -> str:
    """Return the same as `to_markdown`, as a page that needs nothing else but the figures."""

    def row(texts: tuple[str, ...], tag: str = "td") -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"

    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The ledger</title><style>{_STYLE}</style>',
        f"<h1>The ledger</h1><p>{html.escape(_HOW)}</p><table>",
        row(("", "claim", "shown by", "verdict"), "th"),
    ]
    for claim, _ in ledger.by_claim():
        parts.append(row((str(claim.number), claim.text, claim.shown_by, ledger.verdict(claim))))
    parts.append("</table>")
    for claim, entries in ledger.by_claim():
        title = f"{claim.number}. {claim.text[0].upper()}{claim.text[1:]}: {ledger.verdict(claim)}"
        parts += [f"<h2>{html.escape(title)}</h2><table>", row(HEADINGS, "th")]
        parts += [row(cells(entry)) for entry in entries]
        parts.append("</table>")
        for name, _ in groupby(entries, key=lambda entry: entry.path.stem):
            if name in figures:
                parts.append(f'<p><img src="{html.escape(figures[name])}" alt="{html.escape(name)}"></p>')
    return "\n".join(parts) + "\n</html>\n"


def write(ledger: Ledger, out: Path) -> tuple[Path, ...]:
    """Write the ledger as Markdown, HTML and CSV, with the figures that lie beside the recordings.

    Parameters
    ----------
    ledger : Ledger
    out : Path
        Without suffix; the figures go to the folder ``figures`` beside it.

    Returns
    -------
    tuple of Path
        The three files.

    Raises
    ------
    RecordingError
        Something cannot be written.
    """
    figures = {}
    paths = tuple(out.with_name(out.name + suffix) for suffix in (".md", ".html", ".csv"))
    try:
        folder = out.parent / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        for recorded in dict.fromkeys(entry.path for entry in ledger.entries if entry.row is not None):
            source = recorded.with_suffix(".png")
            if source.exists():
                with Image.open(source) as image:
                    image.thumbnail((FIGURE_WIDTH, 10 * FIGURE_WIDTH), Image.Resampling.LANCZOS)
                    # In full colour: a palette merges learners that differ by the colour of a thin line.
                    image.convert("RGB").save(folder / source.name, optimize=True)
                figures[recorded.stem] = f"figures/{source.name}"
        for path, text in zip(
            paths, (to_markdown(ledger, figures), to_html(ledger, figures), to_csv(ledger)), strict=True
        ):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"the ledger cannot be written to {out} ({error}): give another --out.") from error
    return paths
