"""The cache: where it is, and what is said where it cannot be written."""

import errno
import os

import pytest

from bioplastic.cache import CacheError, cache_folder, writing


def test_the_environment_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BIOPLASTIC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("BIOPLASTIC_CACHE", "")
    assert cache_folder().name == "bioplastic"


def test_a_folder_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(CacheError, match=r"file/models is no folder, .*BIOPLASTIC_CACHE"),
        writing(tmp_path / "file/models"),
    ):
        pass


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "is full"), (errno.EROFS, "is read-only")])
def test_a_disk_that_takes_no_more_is_said(tmp_path, number, said):
    with pytest.raises(CacheError, match=rf"{said}.*BIOPLASTIC_CACHE"), writing(tmp_path):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "missing").read_text()
