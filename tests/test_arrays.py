"""Large arrays lie in files beyond a limit on memory, and nothing else depends on it."""

import errno
import gc
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bootstrap_det import arrays
from bootstrap_det.arrays import concatenate, empty, limited_memory
from bootstrap_det.exceptions import DataError, ParameterError

MEGABYTE = 1 << 20


def in_memory(array):
    """Return whether an array owns its memory; a mapped file does not."""
    return array.flags.owndata


def test_arrays_beyond_the_limit_lie_in_files_that_leave_nothing(tmp_path):
    with limited_memory(3 * MEGABYTE, tmp_path):
        first = empty((2, MEGABYTE), np.uint8)
        second = empty((2, MEGABYTE), np.uint8)
        assert (in_memory(first), in_memory(second)) == (True, False)
        second[:] = 7
        assert int(second.sum(dtype=np.int64)) == 14 * MEGABYTE
        assert list(tmp_path.iterdir()) == []
        del first
        gc.collect()
        assert in_memory(empty((2, MEGABYTE), np.uint8))  # there is room again
        assert in_memory(empty((9,), np.float64))  # small ones are not counted
    assert in_memory(empty((8, MEGABYTE), np.uint8))


def test_an_inner_limit_goes_on_counting_when_it_is_the_same(tmp_path):
    with limited_memory(3 * MEGABYTE, tmp_path):
        kept = empty((2, MEGABYTE), np.uint8)
        with limited_memory(3 * MEGABYTE, tmp_path):
            assert not in_memory(empty((2, MEGABYTE), np.uint8))
        with limited_memory(9 * MEGABYTE, tmp_path):
            assert in_memory(empty((2, MEGABYTE), np.uint8))
        assert in_memory(kept)


@pytest.mark.parametrize("limit", [None, 0])
def test_concatenate_is_numpy_s(limit, tmp_path, rng):
    parts = [rng.integers(0, 255, (n, 1000)).astype(np.uint8) for n in (900, 1, 700)]
    with limited_memory(limit, tmp_path):
        np.testing.assert_array_equal(concatenate(parts), np.concatenate(parts))


def test_a_disk_without_room_is_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(arrays.os, "posix_fallocate", full)
    said = "cannot be written .No space left on device.*space on the disk"
    with limited_memory(0, tmp_path), pytest.raises(DataError, match=said):
        empty((2, MEGABYTE), np.uint8)


def test_a_limit_is_a_number():
    with pytest.raises(ParameterError, match=r"'max_memory_bytes'.* Got -1"):
        limited_memory(-1, None).__enter__()


def test_the_limit_does_not_change_the_model(any_toy, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "SMALL", 1)
    for name, limit in (("free", None), ("files", 0)):
        result = any_toy.train(max_memory_bytes=limit, scratch=tmp_path)
        result.detector.save(tmp_path / name)
    assert (tmp_path / "free").read_bytes() == (tmp_path / "files").read_bytes()


# Trains on 190 MB of features in a process that may not take 96 MB more than it has.
BEYOND = """
import json, resource, sys
import numpy as np
from bootstrap_det.channels import ACF
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.mining import BootstrapParams, Recipe, bootstrap
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.windows import Window

def train(n_windows, limit):
    rng = np.random.default_rng(1)
    pictures = tuple(Picture(i, f"{i}.png", pixels=rng.integers(0, 255, (320, 320), np.uint8))
                     for i in range(120))
    learner = BoostedLearner(n_trees=2, n_trees_first=2, depth=1, first_trees=0, holdout=0.4)
    recipe = Recipe(Window((64, 64)), ACF(), Pyramid(), "thing", learner)
    objects = rng.integers(0, 255, (80, recipe.n_features)).astype(recipe.channels.dtype)
    params = BootstrapParams(n_rounds=0, n_random_negatives=n_windows, max_memory_bytes=limit)
    state = bootstrap(objects, Dataset("noise", pictures), recipe, params=params)
    return state.cache.n_bytes

train(500, None)  # all is loaded and compiled
with open("/proc/self/status") as lines:
    data = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, ((data << 10) + (96 << 20), resource.RLIM_INFINITY))
limit = json.loads(sys.argv[1])
try:
    print(json.dumps(train(12_000, limit)))
except MemoryError:
    print(json.dumps("no memory"))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="limits of Linux processes")
@pytest.mark.parametrize("limit", [24 * MEGABYTE, None])
def test_training_on_more_than_there_is_memory(limit):
    done = subprocess.run(
        [sys.executable, "-c", BEYOND, json.dumps(limit)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    if limit is None:
        assert answer == "no memory"
    else:
        assert answer > 96 * MEGABYTE
