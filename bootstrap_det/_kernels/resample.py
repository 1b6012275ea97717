"""Resampling by area: halves, and the scales between two halves."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def halve(image, out):
    """Fill ``out`` (height // 2, width // 2, n) uint8 with rounded means of 2x2 pixels."""
    n = image.shape[2]
    for y in range(out.shape[0]):
        above, below, into = image[2 * y], image[2 * y + 1], out[y]
        if n == 1:
            for x in range(out.shape[1]):
                total = (
                    np.uint16(above[2 * x, 0]) + np.uint16(above[2 * x + 1, 0])
                    + np.uint16(below[2 * x, 0]) + np.uint16(below[2 * x + 1, 0])
                )  # fmt: skip
                into[x, 0] = np.uint8(np.uint16(total + 2) >> 2)
        else:
            for x in range(out.shape[1]):
                for c in range(n):
                    total = (
                        np.uint16(above[2 * x, c]) + np.uint16(above[2 * x + 1, c])
                        + np.uint16(below[2 * x, c]) + np.uint16(below[2 * x + 1, c])
                    )  # fmt: skip
                    into[x, c] = np.uint8(np.uint16(total + 2) >> 2)


@njit(cache=True, nogil=True)
def average_rows(image, first, weights, out):
    """Fill each row of ``out`` with a weighted mean of three rows of ``image``.

    ``image`` (height, n) and ``out`` (rows, n) uint8; ``first`` int64 (rows,), ``weights`` uint16
    (rows, 3), of sum 256. Rows beyond the last are the last.
    """
    last = image.shape[0] - 1
    n = image.shape[1]
    for y in range(out.shape[0]):
        a = image[min(first[y], last)]
        b = image[min(first[y] + 1, last)]
        c = image[min(first[y] + 2, last)]
        u, v, w = weights[y, 0], weights[y, 1], weights[y, 2]
        into = out[y]
        for x in range(n):
            total = np.uint16(
                np.uint16(a[x]) * u + np.uint16(b[x]) * v + np.uint16(c[x]) * w + np.uint16(128)
            )
            into[x] = np.uint8(total >> 8)
