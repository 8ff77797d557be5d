"""Recordings that the tests agree on: runs with every kind of variable, their values by arithmetic instead of chance.

``python tests/recordings.py data/golden/every_variable-v2.h5`` makes the golden recording of schema 2. It is made once
for a schema, and read ever after.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from bioplastic.recording import Labels, Provenance, Recorder, Recording, RecordingError, labelled, open_recorder, read

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "data" / "golden" / "every_variable-v2.h5"
CIRCUIT = json.dumps({"populations": [{"name": "input", "size": 64}, {"name": "output", "size": 10}]})
SOURCE = "print('Länge')  # of the script\n"


def provenance(**changes) -> Provenance:
    """How the recordings of the tests were made: nothing in it depends on the machine."""
    about = {
        "title": "Every kind of variable",
        "settings": {"seeds": [0, 1, 2], "gain": 0.9, "relay": {"leak": None, "name": "ä"}},
        "circuit": CIRCUIT,
        "code": "c0de" * 16,
        "script": "every_variable.py",
        "source": SOURCE,
        "created": "",
        "versions": {"bioplastic": "0.1.0", "numpy": "2.3.5", "brian2": "2.9.0", "xarray": "2025.10.1"},
        "python": "3.11.7",
        "platform": "Linux",
        "commit": "",
        "command": "recordings.py",
    }
    return Provenance(**(about | changes))


def learning_run(seed: int) -> xr.Dataset:
    """A run of every kind of variable; runs of other seeds are longer, and one has no event at all."""
    n_events, n_hops = (5, 0, 7, 6)[seed % 4], (3, 4, 4, 2)[seed % 4]
    event, hop = np.arange(n_events), np.arange(n_hops)
    change = np.where(hop == 1, np.nan, (event[:, None] + 1) / (hop + 3) + seed)
    return xr.Dataset(
        {
            "change": labelled(("event", "hop"), change, "relative change of the weights"),
            "event_time": labelled("event", event / 8 + seed, "time at which the event begins", "s"),
            "kind": labelled(
                "event", (event % 3).astype("int8"), "kind of event", flags=("background", "rare", "rest")
            ),
            "occurrence": labelled("event", event * 10**12 + seed, "occurrence of the rare event"),
            "cell": labelled("event", (event * 9362).astype("uint16"), "index of the cell"),
            "is_replayed": labelled("event", event % 2 == 0, "whether the event is a replay"),
            "stimulus": labelled("event", np.array(["", "ü", "9 of digits"])[event % 3], "what was shown"),
            "weight": labelled(
                ("post", "pre"), (np.arange(12.0, dtype="float32") / 7 + seed).reshape(3, 4), "weights", "mV"
            ),
            "population": labelled("hop", np.array([f"h{h}" for h in hop]), "population that the weights lead to"),
            "accuracy": labelled((), seed / 4, "accuracy at the end"),
            "has_converged": labelled((), seed != 1, "whether it converged"),
        },
        {"hop": labelled("hop", hop, "hops upstream of the error source")},
    )


def frozen_run(seed: int) -> xr.Dataset:
    """A run that measures less than the others of its kind if its seed is odd."""
    measured = {
        "error_spikes": labelled("hop", np.array([5, 3, 1]) + seed, "error spikes"),
        "is_reached": labelled("hop", np.array([True, False, seed > 0]), "whether the hop is reached"),
        "latency": labelled("hop", [0.5, 1.5, np.inf], "time until error spikes first differ", "ms"),
    }
    if seed % 2:
        del measured["is_reached"], measured["latency"]
    return xr.Dataset(measured, {"hop": labelled("hop", np.arange(3), "hops upstream of the error source")})


def summary() -> xr.Dataset:
    """What was made of the runs."""
    return xr.Dataset(
        {
            "reach": labelled(("learner", "seed"), [[2, -1, 3], [0, 0, 1]], "last hop that the change reaches"),
            "size": labelled(("learner", "hop"), np.arange(8).reshape(2, 4) / 3, "unbiased change"),
        },
        {
            "learner": labelled("learner", ["error relay", "Rückwärts"], "learner"),
            "seed": labelled("seed", [0, 1, 2], "seed"),
        },
    )


RUNS: list[tuple[str, Labels]] = [
    *(
        ("learning", {"learner": "error relay", "event_fraction": 0.1, "seed": seed, "is_sham": seed == 1})
        for seed in range(3)
    ),
    *(("frozen", {"learner": learner, "seed": seed}) for learner in ("error relay", "Rückwärts") for seed in range(2)),
]
MAKE = {"learning": learning_run, "frozen": frozen_run}


def record(out: Path, runs=RUNS, **changes) -> Recording:
    """Record everything above, going on with what is there."""
    recorder = open_recorder(out, provenance(**changes))
    return read(out) if recorder.complete else go_on(recorder, runs)


def go_on(recorder: Recorder, runs=RUNS) -> Recording:
    """Record what is missing."""
    for kind, labels in runs:
        if not recorder.has(kind, labels):
            recorder.add(kind, labels, MAKE[kind](labels["seed"]))
    return recorder.finish(runs, {"summary": summary()}, order=("frozen", "learning"))


def begin(out: Path) -> Path:
    """Record the first two runs, and end there."""
    with open_recorder(out, provenance()) as recorder:
        for kind, labels in RUNS[:2]:
            recorder.add(kind, labels, MAKE[kind](labels["seed"]))
    return out


def finished(out: Path, grid: tuple[str, ...] = ("seeds",), **changes) -> list[bool]:
    """Which of the runs are there for a recording that is made so."""
    with open_recorder(out, provenance(**changes), grid=grid) as recorder:
        return [recorder.has(kind, labels) for kind, labels in RUNS]


def refused(message: str):
    """A recording error that says something."""
    return pytest.raises(RecordingError, match=message)


def names_in(folder: Path) -> list[str]:
    """Files in a folder and below."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(path: Path) -> dict[str, tuple]:
    """Every dataset of a file, its bytes and attributes, without what is a reference to another place in it."""
    found = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            places = {"DIMENSION_LIST", "REFERENCE_LIST"}
            attributes = {key: str(value) for key, value in item.attrs.items() if key not in places}
            found[name] = (item.shape, item.dtype.str, item[()].tobytes(), attributes)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def in_another_process(life: Callable[[], object]) -> int:
    """Run something in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        life()
        os._exit(0)
    except BaseException as error:  # whatever it is, pytest must not go on in here
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(1)


def end_of(child: int) -> int:
    """Wait for a process; returns its status, or the number of the signal that killed it, negative."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    record(Path(sys.argv[1]))
