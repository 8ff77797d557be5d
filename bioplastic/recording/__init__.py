"""Labelled datasets to one HDF5 file and back; how they were made; finished runs that survive a kill."""

from bioplastic.recording.errors import RecordingError
from bioplastic.recording.labelled import RUN, Labels, labelled, stack, unstack
from bioplastic.recording.provenance import Provenance
from bioplastic.recording.reader import Recording, read
from bioplastic.recording.recorder import Recorder, open_recorder

__all__ = [
    "RUN",
    "Labels",
    "Provenance",
    "Recorder",
    "Recording",
    "RecordingError",
    "labelled",
    "open_recorder",
    "read",
    "stack",
    "unstack",
]
