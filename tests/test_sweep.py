"""Sweeps: every condition is worked on, failures and Ctrl-C end the sweep and lose nothing that is done."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bioplastic import sweep


def test_grid_varies_the_last_axis_fastest():
    assert sweep.grid(a=(1, 2), b="xy") == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_every_condition_is_worked_on_once_and_reported():
    worked, done = [], []
    with ThreadPoolExecutor(2) as executor:
        sweep.run_all(range(20), worked.append, executor, done=done.append)
    assert sorted(worked) == sorted(done) == list(range(20))


def test_a_failure_gives_up_what_was_not_begun():
    worked = []

    def work(condition: int) -> None:
        if condition == 3:
            raise RuntimeError("condition 3 is bad")
        time.sleep(0.001)
        worked.append(condition)

    with ThreadPoolExecutor(1) as executor, pytest.raises(RuntimeError, match="condition 3 is bad"):
        sweep.run_all(range(2_000), work, executor)
    assert worked[:3] == [0, 1, 2]
    assert len(worked) < 1_999


@pytest.mark.filterwarnings("error")
def test_ctrl_c_stops_the_work_in_hand():
    stopped, begun = threading.Event(), threading.Event()

    def work(name: str) -> None:
        if name == "long":
            begun.set()
            assert stopped.wait(10), "nobody stopped the work in hand"
        else:
            assert begun.wait(10)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        sweep.run_all(["long", "short"], work, executor, done=interrupt, stop=stopped.set)
    assert stopped.is_set()
