"""The constant map from the embedded faces' boxes to the squares of caltech-crops.

Run: ``python benchmarks/box_map.py --data-root DIR``. The mean embedded face is laid over the mean
crop of caltech-crops at the scale and shift where the two correlate most; where the crop's square
then lies, in parts of the embedded box, is the map. Training crops only: no test set is read.
Give it to ``bootstrap-det evaluate --box-map``.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data import named

SCALES = np.arange(0.6, 1.05, 0.01)  # embedded pixels in a pixel of caltech-crops
SHIFTS = np.arange(-8.0, 8.0, 0.5)  # embedded pixels
INNER = 13  # pixels from the middle of the crop that are compared


def main() -> None:
    """Print the map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    root = parser.parse_args().data_root
    mine = named.load("faces").train.crops
    theirs = named.load("caltech-crops", data_root=root).train.crops.pixels.mean(axis=0)
    correlation, (scale, x, y) = best_overlay(mine.pixels.mean(axis=0), theirs)
    x1, y1, x2, y2 = mine.object_box
    side = len(theirs) * scale
    square = (x, y, x + side, y + side)
    part = [
        (at - start) / extent
        for at, start, extent in zip(square, (x1, y1) * 2, (x2 - x1, y2 - y1) * 2, strict=True)
    ]
    print(f"correlation {correlation:.3f} at {scale:.2f} px a px, shift {x:.1f}, {y:.1f} px")
    print("--box-map=" + ",".join(f"{value:.2f}" for value in part))


def best_overlay(
    small: NDArray[np.float64], large: NDArray[np.float64]
) -> tuple[float, tuple[float, float, float]]:
    """Return the greatest correlation of two mean faces, and scale and shift at which it is."""
    middle = len(large) / 2
    ys, xs = np.mgrid[0 : len(large), 0 : len(large)] + 0.5
    inner = (abs(xs - middle) < INNER) & (abs(ys - middle) < INNER)
    tries = []
    for scale, x, y in product(SCALES, SHIFTS, SHIFTS):
        at_x, at_y = scale * xs[inner] + x, scale * ys[inner] + y
        inside = (at_x > 0) & (at_x < len(small)) & (at_y > 0) & (at_y < len(small))
        if inside.mean() < 0.75:
            continue
        seen = _interpolated(small, at_x[inside], at_y[inside])
        tries.append((float(np.corrcoef(seen, large[inner][inside])[0, 1]), (scale, x, y)))
    return max(tries)


def _interpolated(
    image: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    grid = [(v - 0.5).astype(np.float32)[None] for v in (x, y)]
    how = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.asarray(cv2.remap(image.astype(np.float32), *grid, **how))[0]


if __name__ == "__main__":
    main()
