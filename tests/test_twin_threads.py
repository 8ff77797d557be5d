"""One thread for torch: given back whatever happens, and nobody's changes while it computes."""

import threading

import pytest

torch = pytest.importorskip("torch")

from bioplastic.twin import one_thread  # noqa: E402 (torch may be absent)


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_it_is_given_back():
    with one_thread():
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_it_is_given_back_after_an_error():
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3


def test_the_last_python_thread_to_leave_gives_it_back():
    inside, leave, seen = threading.Event(), threading.Event(), []

    def beside():
        with one_thread():
            inside.set()
            leave.wait(60)
        seen.append(torch.get_num_threads())

    other = threading.Thread(target=beside)
    other.start()
    assert inside.wait(60)
    with one_thread():
        assert torch.get_num_threads() == 1
    fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))  # gets what the process has
    fresh.start()
    fresh.join()
    leave.set()
    other.join()
    assert seen == [1, 3]
