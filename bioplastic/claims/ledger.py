"""The ledger: what a folder of recordings says about every claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bioplastic.claims.criterion import CLAIMS, NOT_RECORDED, Claim, Row, overall
from bioplastic.claims.evidence import EVIDENCE, Evidence
from bioplastic.recording import RecordingError
from bioplastic.recording import read as read_recording


@dataclass(frozen=True)
class Entry:
    """A row of the ledger.

    Attributes
    ----------
    claim : Claim
    row : Row or None
        None if the recording is missing.
    path : Path
        Of the recording.
    command : str
        What makes it.
    """

    claim: Claim
    row: Row | None
    path: Path
    command: str

    @property
    def verdict(self) -> str:
        """The verdict of the row."""
        return NOT_RECORDED if self.row is None else self.row.verdict

    @property
    def note(self) -> str:
        """What a reader of the verdict should know; how to make a missing recording."""
        if self.row is None:
            return f"run: {self.command}"
        of_t = self.row.verdict_by_t
        few = f"{of_t} by intervals of Student's t" if of_t != self.row.verdict else ""
        return "; ".join(filter(None, ("a row of its own" if self.row.own else "", self.row.note, few)))


@dataclass(frozen=True)
class Ledger:
    """Every claim, with its rows in the order of the claims.

    Attributes
    ----------
    folder : Path
    entries : tuple of Entry
    """

    folder: Path
    entries: tuple[Entry, ...]

    def by_claim(self) -> Iterator[tuple[Claim, tuple[Entry, ...]]]:
        """Yield each claim with its rows."""
        for claim in CLAIMS:
            yield claim, tuple(e for e in self.entries if e.claim == claim)

    def verdict(self, claim: Claim) -> str:
        """Return the verdict on a claim."""
        return overall([e.row for e in self.entries if e.claim == claim])


def read(folder: Path | str, evidence: Mapping[str, Evidence] = EVIDENCE) -> Ledger:
    """Read the recordings of a folder.

    Parameters
    ----------
    folder : Path or str
        Holds ``<script>.h5``, as the scripts leave them in ``data/runs``.
    evidence : mapping of str to Evidence, optional
        What is read.

    Returns
    -------
    Ledger
        A recording that is not there becomes a row for each of its claims that says how to make it.

    Raises
    ------
    RecordingError
        There is no such folder, or a recording is not what its name says, or not complete.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise RecordingError(f"{folder} {what}: give the folder with the recordings, such as data/runs.")
    entries = []
    for item in evidence.values():
        path = folder / f"{item.name}.h5"
        command = item.command(folder)
        if path.exists():
            entries += [Entry(CLAIMS[row.claim - 1], row, path, command) for row in _rows(path, item, command)]
        else:
            entries += [Entry(CLAIMS[number - 1], None, path, command) for number in item.claims]
    return Ledger(folder, tuple(sorted(entries, key=lambda entry: entry.claim.number)))


def _rows(path: Path, item: Evidence, command: str) -> list[Row]:
    try:
        recording = read_recording(path)
    except RecordingError as error:
        raise RecordingError(f"{error} What makes it: {command}") from error
    try:
        return item.rows(recording)
    except (RecordingError, KeyError, IndexError, ValueError) as error:
        what = error.args[0] if error.args else error
        raise RecordingError(
            f"{path} is not what scripts/{item.name}.py records now ({what}); remove it and run: {command}"
        ) from error
