"""Pretraining: what it teaches, bits that depend on nothing but the seed, and the cache."""

import errno
import hashlib
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from small_twins import QUICK, TASK, assert_same, chain  # noqa: E402 (torch may be absent)

from bioplastic.cache import CacheError  # noqa: E402
from bioplastic.circuit import Weights  # noqa: E402
from bioplastic.tasks import random_patterns  # noqa: E402
from bioplastic.twin import Pretraining, gradient, predict, pretrain, pretrained, pretraining  # noqa: E402

WIDE = chain(6, size=64)
"""Wide enough for torch to share its work among threads, which rounds differently."""


def bits(weights: Weights) -> str:
    """Hash of all numbers."""
    found = hashlib.sha256()
    for part in (weights.forward, weights.bias):
        for array in part.values():
            found.update(array.tobytes())
    return found.hexdigest()


@pytest.fixture
def torch_as_it_was():
    """Put torch's settings back after a test has changed them."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


def test_pretraining_teaches_the_background_and_nothing_else():
    circuit = chain(3, size=16)
    networks = pretrain(circuit, TASK, [0, 1], Pretraining(steps=400, batch=16))
    before = pretrain(circuit, TASK, [0, 1], Pretraining(steps=0))
    error = {}
    for name, weights in (("before", before), ("after", networks)):
        for w in weights:
            w.check(circuit)
        prediction = predict(circuit, weights, TASK.stimuli)
        error[name] = ((prediction - TASK.outcomes[TASK.label]) ** 2).sum(2)
    assert (error["before"][:, :5].mean(1) > 0.05).all()
    assert (error["after"][:, :5].mean(1) < 0.02).all()
    assert (error["after"][:, 5] > 2 * error["after"][:, :5].mean(1)).all()  # the rare pattern stays a surprise


def test_pretraining_does_not_see_rare_or_held_out_patterns():
    other = random_patterns(6, 8, 3, seed=9)
    held_out = np.array([False, True, False, False, False, False])
    hidden = np.array([False, True, False, False, False, True])  # 5 is rare, 1 held out
    changed = replace(
        TASK,
        held_out=held_out,
        stimuli=np.where(hidden[:, None], other.stimuli, TASK.stimuli),
        outcomes=np.where(hidden[:, None], other.outcomes, TASK.outcomes),
    )
    here = pretrain(chain(3), replace(TASK, held_out=held_out), [0], QUICK)[0]
    there = pretrain(chain(3), changed, [0], QUICK)[0]
    assert_same(here, there)


def test_start_is_orthogonal_and_unsaturated():
    circuit = chain(10)
    (weights,) = pretrain(circuit, TASK, [0], Pretraining(steps=0))
    w = weights.forward["p9_to_p8"]
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(8), atol=1e-5)
    size = [np.linalg.norm(g) for g in gradient(circuit, weights, TASK.stimuli[:1], TASK.outcomes[:1]).values()]
    assert max(size) / min(size) < 20  # backprop's own gradient does not vanish along the chain


def test_each_seed_is_a_network_of_its_own():
    one, other = pretrain(chain(3), TASK, [3, 4], QUICK)
    for name in one.forward:
        assert not np.allclose(one.forward[name], other.forward[name])


# ------------------------------------------------------------------------------------------ bits


def test_bits_depend_on_no_other_seed():
    [alone] = pretrain(WIDE, TASK, [1], QUICK)
    for seeds in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1]):
        beside = dict(zip(seeds, pretrain(WIDE, TASK, seeds, QUICK), strict=True))
        assert bits(beside[1]) == bits(alone), seeds


def test_bits_depend_on_nothing_that_surrounds_the_call(torch_as_it_was, tmp_path):
    """Threads, precision, random numbers and types of the process, in turn."""
    torch.set_num_threads(1)
    [wanted] = pretrain(WIDE, TASK, [1], QUICK)
    for n in (2, 5):
        torch.set_num_threads(n)
        assert bits(pretrain(WIDE, TASK, [1], QUICK)[0]) == bits(wanted), n
        assert bits(pretrained(WIDE, TASK, [1], QUICK, cache=tmp_path / str(n))[0]) == bits(wanted), n
        assert torch.get_num_threads() == n
    for around in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu"), torch.device("meta")):
        with around:
            assert bits(pretrain(WIDE, TASK, [1], QUICK)[0]) == bits(wanted), around
    torch.manual_seed(99)
    torch.set_default_dtype(torch.float64)
    assert bits(pretrain(WIDE, TASK, [1], QUICK)[0]) == bits(wanted)


def test_bits_are_the_same_in_a_fresh_process_and_from_the_cache(tmp_path):
    [made] = pretrained(WIDE, TASK, [1], QUICK, cache=tmp_path)
    [kept] = pretrained(WIDE, TASK, [1], QUICK, cache=tmp_path)
    assert bits(made) == bits(kept)
    code = """
    import torch
    from small_twins import QUICK, TASK
    from test_twin_pretraining import WIDE, bits
    from bioplastic.twin import pretrain

    torch.set_num_threads(2)
    print(bits(pretrain(WIDE, TASK, [1], QUICK)[0]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.stdout.strip() == bits(made), done.stderr


def test_threads_are_given_back_when_it_fails(torch_as_it_was):
    torch.set_num_threads(3)
    with pytest.raises(ZeroDivisionError):
        pretrain(chain(3), TASK, [0], QUICK, progress=lambda done: 1 / 0)
    assert torch.get_num_threads() == 3


# ------------------------------------------------------------------------------------------ cache


def test_cache_hit_does_not_train_again(tmp_path, monkeypatch):
    circuit = chain(3)
    made = pretrained(circuit, TASK, [0, 1], QUICK, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2

    trained = []
    original = pretraining._train

    def watched(circuit, task, seed, settings, progress):
        trained.append((seed, settings))
        return original(circuit, task, seed, settings, progress)

    monkeypatch.setattr(pretraining, "_train", watched)
    again = pretrained(circuit, TASK, [1, 0], QUICK, cache=tmp_path)
    assert trained == []
    assert_same(again[1], made[0])
    assert_same(again[0], made[1])
    pretrained(circuit, TASK, [0, 2], QUICK, cache=tmp_path)
    assert trained == [(2, QUICK)]  # only what is missing
    other = replace(QUICK, noise=0.2)
    pretrained(circuit, TASK, [0], other, cache=tmp_path)
    pretrained(chain(4), TASK, [0], QUICK, cache=tmp_path)
    pretrained(circuit, replace(TASK, held_out=np.arange(6) == 1), [0], QUICK, cache=tmp_path)
    assert trained[1:] == [(0, other), (0, QUICK), (0, QUICK)]
    monkeypatch.setattr(torch, "__version__", "another")
    pretrained(circuit, TASK, [0], QUICK, cache=tmp_path)
    monkeypatch.setattr(pretraining, "code_of", lambda part: "other code")
    pretrained(circuit, TASK, [0], QUICK, cache=tmp_path)
    assert trained[4:] == [(0, QUICK), (0, QUICK)]


def test_a_seed_given_twice_comes_back_twice(tmp_path):
    first, second = pretrained(chain(3), TASK, [0, 0], QUICK, cache=tmp_path)
    assert_same(first, second)


def test_a_cache_that_is_no_folder_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "_train", None)
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"file/weights is no folder, .*BIOPLASTIC_CACHE"):
        pretrained(chain(3), TASK, [0], QUICK, cache=tmp_path / "file" / "weights")


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "is full"), (errno.EROFS, "is read-only")])
def test_a_cache_that_takes_no_more(tmp_path, monkeypatch, number, said):
    def half_written(path, **arrays):
        path.write_bytes(b"PK")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "savez", half_written)
    with pytest.raises(CacheError, match=rf"{said}.*BIOPLASTIC_CACHE"):
        pretrained(chain(3), TASK, [0], QUICK, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing that could be taken for weights
    monkeypatch.undo()
    pretrained(chain(3), TASK, [0], QUICK, cache=tmp_path)


def test_progress_of_pretraining_runs_once_over_all_seeds(tmp_path):
    seen = []
    pretrained(chain(3), TASK, [0, 1], QUICK, cache=tmp_path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[len(seen) // 2 - 1] == pytest.approx(0.5)
    assert seen[-1] == 1
