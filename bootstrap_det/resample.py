"""Making a picture smaller: octaves by averaging 2x2 pixels, sizes between by averaging areas.

The picture is halved as long as it stays larger than what is wanted, and the rest, a factor of
1 to 2, is the mean over the area of each new pixel: rows first, then, transposed, columns. Within
a grey level of OpenCV's INTER_AREA, and several times as fast at factors that are not whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._kernels import resample as _kernels


class Octaves:
    """A picture and its halves, each made when it is first asked for.

    Parameters
    ----------
    image : ndarray of shape (height, width) or (height, width, 3)
        uint8 takes the fast way; other dtypes are resampled by OpenCV.
    """

    def __init__(self, image: NDArray[Any]) -> None:
        self.image = image
        self._halves = [image]

    def resized(self, size: tuple[int, int]) -> NDArray[Any]:
        """Return the picture at ``size`` (height, width), of its own dtype.

        Smaller ones average areas, larger ones are interpolated linearly.
        """
        height, width = self.image.shape[:2]
        if size == (height, width):
            return self.image
        shrinks = size[0] <= height and size[1] <= width
        if self.image.dtype != np.uint8 or not shrinks:
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            return np.asarray(cv2.resize(self.image, size[::-1], interpolation=how))
        octave = self._octave_above(size)
        return _shrunk(self._half(octave), size, (height / 2**octave, width / 2**octave))

    def make_halves(self, smallest: tuple[int, int]) -> None:
        """Make all halves that a picture of this size needs, so that threads may share them."""
        if self.image.dtype == np.uint8:
            self._half(self._octave_above(smallest))

    def _octave_above(self, size: tuple[int, int]) -> int:
        """Return how often the picture can be halved without falling below ``size``."""
        height, width = self.image.shape[:2]
        octave = 0
        while (
            height >> (octave + 1) >= size[0] and width >> (octave + 1) >= size[1] and octave < 30
        ):
            octave += 1
        return octave

    def _half(self, octave: int) -> NDArray[np.uint8]:
        while len(self._halves) <= octave:
            last = self._halves[-1]
            planes = np.ascontiguousarray(last).reshape(*last.shape[:2], -1)
            out = np.empty((planes.shape[0] // 2, planes.shape[1] // 2, planes.shape[2]), np.uint8)
            _kernels.halve(planes, out)
            self._halves.append(out.reshape(*out.shape[:2], *last.shape[2:]))
        return self._halves[octave]


def _shrunk(
    image: NDArray[np.uint8], size: tuple[int, int], extent: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return ``image``, which stands for ``extent`` pixels, at ``size``; factors 1 to 2.

    Halving drops an odd last row; the extent says how long the picture would be with its half.
    """
    if image.shape[:2] == size and extent == size:
        return image
    shrunk: NDArray[Any] = image
    for side in (0, 1):
        out = np.empty((size[side], *shrunk.shape[1:]), np.uint8)
        first, weights = _taps(extent[side], size[side])
        rows = np.ascontiguousarray(shrunk).reshape(len(shrunk), -1)
        _kernels.average_rows(rows, first, weights, out.reshape(size[side], -1))
        shrunk = cv2.transpose(out)
    return shrunk


@lru_cache(maxsize=256)
def _taps(extent: float, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Return the first row and the three weights, of sum 256, of each of ``n`` new rows."""
    edges = np.arange(n + 1) * (extent / n)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    at = first[:, None] + np.arange(3)
    shares = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    shares = np.maximum(shares, 0.0)
    weights = np.rint(256.0 * shares / shares.sum(axis=1, keepdims=True))
    weights[:, 1] += 256.0 - weights.sum(axis=1)  # rounding goes where most of the weight is
    return first, weights.astype(np.uint16)
