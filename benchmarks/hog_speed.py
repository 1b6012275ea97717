"""Time HOG against scikit-image on one 640x480 picture, in pairs, one thread.

Run: ``python benchmarks/hog_speed.py``. Prints a Markdown table of medians and ratios. Both
sides compute the same numbers (checked to 1e-5 first).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from skimage import data
from skimage.feature import hog
from threadpoolctl import threadpool_limits

from bootstrap_det import HOG

N_PAIRS = 15


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(cell_size: int, n_orientations: int, image: np.ndarray) -> str:
    """Return a table row: medians of both sides and the median of their ratios."""
    ours = HOG(cell_size=cell_size, n_orientations=n_orientations)

    def theirs() -> np.ndarray:
        return hog(
            image,
            orientations=n_orientations,
            pixels_per_cell=(cell_size, cell_size),
            cells_per_block=(2, 2),
            feature_vector=False,
        )

    reference = theirs().transpose(2, 3, 4, 0, 1)
    got = ours.compute(image)
    assert np.abs(got - reference.reshape(got.shape)).max() < 1e-5
    pairs = [(seconds(lambda: ours.compute(image)), seconds(theirs)) for _ in range(N_PAIRS)]
    mine, other = (statistics.median(side) * 1e3 for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return f"| {cell_size} | {n_orientations} | {mine:.2f} | {other:.1f} | {ratio:.0f} |"


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    image = cv2.resize(cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2GRAY), (640, 480))
    print(
        "| cell, px | orientations | ours, ms | scikit-image, ms | ratio |\n|---|---|---|---|---|"
    )
    with threadpool_limits(1):
        for cell_size, n_orientations in ((8, 9), (4, 9), (6, 12)):
            print(compare(cell_size, n_orientations, image))


if __name__ == "__main__":
    main()
