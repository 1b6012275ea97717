"""Speed of the compiled parts, one by one; needs pytest-benchmark.

Run: ``python -m pytest benchmarks/test_kernel_speed.py``, alone and not with ``-n``; further
options, such as ``--benchmark-compare``, are those of pytest-benchmark. A new kernel is a new
entry of ``WORK``: a function that prepares the arrays and returns the call to be timed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from threadpoolctl import threadpool_limits

from bootstrap_det import ACF, HOG
from bootstrap_det import boxes as box_ops
from bootstrap_det.classifiers import LinearModel, TreeModel
from bootstrap_det.resample import Octaves

Call = Callable[[], object]
SIZE = (640, 480)  # width, height
WINDOW = (36, 36)
N_BOXES = 2000


def picture() -> NDArray[np.uint8]:
    """Return a grey photograph of 640x480."""
    return cv2.resize(cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2GRAY), SIZE)


def small_cells() -> HOG:
    """Return HOG as faces are trained with: small cells, signed, interpolated."""
    return HOG(cell_size=4, n_orientations=12, signed=True, interpolate=True, epsilon=2.0)


def features(channels: HOG | ACF) -> Call:
    """Return the channels of a picture."""
    image = picture()
    return lambda: channels.compute(image)


def linear_scores() -> Call:
    """Return the scores of all windows of a level."""
    channels = small_cells()
    level = channels.compute(picture())
    shape = (channels.n_channels, *channels.grid_shape(WINDOW))
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = LinearModel(weights, 0.0)
    return lambda: model.score_level(level)


def tree_scores(n_coarse: int) -> Call:
    """Return the scores of all windows of a level, from trees that reject nobody.

    Of ``n_coarse`` of them, four at a time add up in bytes; the others need 16 bits.
    """
    channels = ACF(normalise="none")
    level = channels.compute(picture())
    shape = (channels.n_channels, *channels.grid_shape(WINDOW))
    rng = np.random.default_rng(0)
    nodes = rng.integers(0, np.prod(shape), (64, 3))
    leaves = rng.normal(scale=0.2, size=(64, 4))
    thresholds = rng.integers(1, 255, nodes.shape)
    model = TreeModel.from_floats(nodes, thresholds, leaves, shape, n_coarse=n_coarse)
    return lambda: model.score_level(level)


def smaller() -> Call:
    """Return a picture at a size between two octaves."""
    image = picture()
    return lambda: Octaves(image).resized((350, 467))


def many_boxes() -> NDArray[np.float64]:
    """Return boxes in clusters, as a scan finds them."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(50, 450, (50, 2)).repeat(N_BOXES // 50, axis=0)
    corners = centres + rng.normal(scale=6, size=(N_BOXES, 2))
    return np.concatenate([corners, corners + rng.uniform(30, 60, (N_BOXES, 1))], axis=1)


def suppression(kind: str) -> Call:
    """Return the suppression of many boxes."""
    boxes = many_boxes()
    scores = np.random.default_rng(1).normal(size=len(boxes))
    return lambda: box_ops.nms(boxes, scores, threshold=0.3, kind=kind)


def overlaps() -> Call:
    """Return the overlaps of many boxes with some."""
    boxes = many_boxes()
    return lambda: box_ops.overlap(boxes, boxes[::20])


WORK: dict[str, Callable[[], Call]] = {
    "hog, cells of 8 px": lambda: features(HOG()),
    "hog, cells of 4 px, interpolated": lambda: features(small_cells()),
    "acf, as it is": lambda: features(ACF(normalise="none")),
    "acf, for windows to normalise": lambda: features(ACF()),
    "linear scores": linear_scores,
    "64 trees for all windows, in bytes": lambda: tree_scores(64),
    "64 trees for all windows, in 16 bits": lambda: tree_scores(0),
    "resampling by area": smaller,
    "nms, iou": lambda: suppression("iou"),
    "nms, min": lambda: suppression("min"),
    "overlap matrix": overlaps,
}


@pytest.mark.parametrize("name", WORK)
def test_kernel_speed(benchmark: Callable[[Call], object], name: str) -> None:
    """Time one kernel on one thread; its first call compiles it."""
    cv2.setNumThreads(1)
    call = WORK[name]()
    call()
    with threadpool_limits(1):
        benchmark(call)
