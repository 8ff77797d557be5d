"""Figures as files."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bioplastic.recording import RecordingError


def save(figure: Figure, path: Path | str) -> tuple[Path, Path]:
    """Write a figure as PNG and as PDF.

    Parameters
    ----------
    figure : Figure
    path : Path or str
        Without a suffix; .png or .pdf is taken off. Its folder is made if it is missing.

    Returns
    -------
    png, pdf : Path

    Raises
    ------
    RecordingError
        If they cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in (".png", ".pdf"):
        path = path.with_suffix("")
    png, pdf = (path.with_name(path.name + suffix) for suffix in (".png", ".pdf"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Text stays text in the PDF, and without a date the same data give the same file.
        with mpl.rc_context({"pdf.fonttype": 42}):
            figure.savefig(png, dpi=300)
            figure.savefig(pdf, dpi=300, metadata={"CreationDate": None})
    except OSError as error:
        raise RecordingError(f"the figure {path} could not be written ({error}): give another path.") from error
    return png, pdf
