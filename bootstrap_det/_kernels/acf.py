"""Aggregated channels: one pass over the picture to block sums, then one to bytes."""

from __future__ import annotations

import numpy as np
from numba import njit

SUMS, MEANS, ROOTS = range(3)  # what comes out of a block

# The unit of a block's sum of magnitudes is 1/128 of a grey level in the mean, see ACF.
ROOT_GAIN = np.sqrt(1.5 * 128)  # of a mean magnitude's root: 339 becomes 255
MEAN_SHIFT = np.uint16(5)  # from 128 to 4


@njit(cache=True, nogil=True)
def _row_gradient(plane, row, gradient_x, gradient_y):
    """Fill central differences of one row, int16; at the border they are one-sided."""
    height, width = plane.shape
    n = len(gradient_x)
    here = plane[row]
    above, below = plane[max(row - 1, 0)], plane[min(row + 1, height - 1)]
    for x in range(n):
        gradient_y[x] = np.int16(below[x]) - np.int16(above[x])
    for x in range(1, min(n, width - 1)):
        gradient_x[x] = np.int16(here[x + 1]) - np.int16(here[x - 1])
    gradient_x[0] = np.int16(here[min(1, width - 1)]) - np.int16(here[0])
    if n == width:
        gradient_x[n - 1] = np.int16(here[n - 1]) - np.int16(here[max(n - 2, 0)])


@njit(cache=True, nogil=True)
def _take_stronger(other_x, other_y, gradient_x, gradient_y):
    """Where another plane's gradient is longer, take it; the first one on ties."""
    for x in range(len(gradient_x)):
        new = np.int32(other_x[x]) * other_x[x] + np.int32(other_y[x]) * other_y[x]
        old = np.int32(gradient_x[x]) * gradient_x[x] + np.int32(gradient_y[x]) * gradient_y[x]
        if new > old:
            gradient_x[x], gradient_y[x] = other_x[x], other_y[x]


@njit(cache=True, nogil=True)
def _add_projections(gradient_x, gradient_y, cosines, sines, projections, longest, sums):
    """Add one row's magnitude to ``sums[0]`` and, under its orientation, to ``sums[1:]``."""
    n = len(gradient_x)
    longest[:] = 0
    for k in range(len(cosines)):
        cosine, sine, projection = cosines[k], sines[k], projections[k]
        for x in range(n):
            length = np.int16(abs(np.int16(gradient_x[x] * cosine + gradient_y[x] * sine)))
            projection[x] = length
            longest[x] = max(longest[x], length)
    total = sums[0]
    for x in range(n):
        total[x] += np.uint16(longest[x])
    for k in range(len(cosines)):
        projection, total = projections[k], sums[k + 1]
        for x in range(n):
            total[x] += np.uint16(longest[x] if projection[x] == longest[x] else 0)


@njit(cache=True, nogil=True)
def _sum_blocks(values, block, out):
    """Fill ``out`` with sums of ``block`` neighbours."""
    if block == 2:  # by name: the compiler makes vectors of it
        for x in range(len(out)):
            out[x] = values[2 * x] + values[2 * x + 1]
    else:
        for x in range(len(out)):
            out[x] = 0
            for j in range(block):
                out[x] += values[x * block + j]


@njit(cache=True, nogil=True)
def _to_roots(sums, out):
    """Fill ``out`` uint8 with about ``ROOT_GAIN`` times the root of the mean magnitude.

    The root gives weak gradients the resolution that strong ones do not need. The least of its
    tangents of slopes 1/8 to 1/256 is at most 6 % above it from 6 on, and below that goes to 0;
    it needs shifts and additions only.
    """
    for x in range(len(out)):
        value = sums[x]
        a = min(np.uint16((value >> 3) + 3), np.uint16((value >> 4) + 6))
        b = min(np.uint16((value >> 5) + 12), np.uint16((value >> 6) + 24))
        c = min(np.uint16((value >> 7) + 48), np.uint16((value >> 8) + 96))
        out[x] = min(min(min(a, b), min(c, value)), np.uint16(255))


@njit(cache=True, nogil=True)
def _to_bytes(sums, shift, out):
    """Fill ``out`` uint8 with ``sums >> shift``, clipped."""
    for x in range(len(out)):
        out[x] = min(np.uint16(sums[x] >> shift), np.uint16(255))


@njit(cache=True, nogil=True)
def aggregate(planes, cosines, sines, block, kind, out):
    """Fill block sums of colours, gradient magnitude and magnitude by orientation.

    ``planes`` (n_colors, height, width) uint8; ``cosines`` and ``sines`` int16 (n_orientations,)
    of the directions, scaled so that a block's sum fits into 16 bits; ``out``
    (n_colors + 1 + n_orientations, height // block, width // block). The magnitude is the longest
    projection of the gradient on one of the directions, which needs no square root; a gradient
    half-way between two directions counts for both, so mirror images have mirrored channels.

    ``kind`` says what ``out`` holds: :data:`SUMS`, uint16, or bytes. Of :data:`MEANS`, colours are
    means and magnitudes four times their means, clipped; of :data:`ROOTS`, magnitudes are about
    :data:`ROOT_GAIN` times the roots of their means.
    """
    n_colors = planes.shape[0]
    rows, columns = out.shape[1], out.shape[2]
    n = columns * block
    sums, total = np.empty((out.shape[0], n), np.uint16), np.empty(columns, np.uint16)
    gradient_x, gradient_y = np.empty(n, np.int16), np.empty(n, np.int16)
    other_x, other_y = np.empty(n, np.int16), np.empty(n, np.int16)
    projections, longest = np.empty((len(cosines), n), np.int16), np.empty(n, np.int16)
    area_shift = np.uint16(2 if block == 2 else 4)
    for row in range(rows):
        sums[:] = 0
        for y in range(row * block, (row + 1) * block):
            _row_gradient(planes[0], y, gradient_x, gradient_y)
            for color in range(1, n_colors):
                _row_gradient(planes[color], y, other_x, other_y)
                _take_stronger(other_x, other_y, gradient_x, gradient_y)
            for color in range(n_colors):
                values, into = planes[color, y], sums[color]
                for x in range(n):
                    into[x] += values[x]
            _add_projections(
                gradient_x, gradient_y, cosines, sines, projections, longest, sums[n_colors:]
            )
        for channel in range(out.shape[0]):
            _sum_blocks(sums[channel], block, total)
            if kind == SUMS:
                out[channel, row] = total
            elif channel < n_colors:
                _to_bytes(total, area_shift, out[channel, row])
            elif kind == ROOTS:
                _to_roots(total, out[channel, row])
            else:
                _to_bytes(total, MEAN_SHIFT, out[channel, row])


@njit(cache=True, nogil=True)
def center_locally(sums, means, squares, gain, noise, out):
    """Fill ``out`` (rows, columns) uint8 with ``128 + gain (value - mean) / (deviation + noise)``.

    ``sums`` uint16, ``means`` and ``squares`` float32 the local means of the sums and of their
    squares, all (rows, columns).
    """
    for y in range(sums.shape[0]):
        values, mean, square, into = sums[y], means[y], squares[y], out[y]
        for x in range(sums.shape[1]):
            deviation = np.sqrt(max(square[x] - mean[x] * mean[x], np.float32(0.0)))
            centred = gain * (np.float32(values[x]) - mean[x]) / (deviation + noise)
            value = min(max(np.float32(128.0) + centred, np.float32(0.0)), np.float32(255.0))
            into[x] = np.uint8(np.int32(value))


@njit(cache=True, nogil=True)
def divide_locally(sums, means, gain, noise, out):
    """Fill ``out`` uint8 with ``gain sums / (means + noise)``.

    ``sums`` and ``out`` are (n, rows, columns). ``means`` (rows, columns) are the local
    means of the gradient magnitude: weak and strong edges look alike.
    """
    rows, columns = means.shape
    factors = np.empty(columns, np.float32)
    for y in range(rows):
        for x in range(columns):
            factors[x] = gain / (means[y, x] + noise)
        for channel in range(sums.shape[0]):
            values, into = sums[channel, y], out[channel, y]
            for x in range(columns):
                value = np.float32(values[x]) * factors[x]
                into[x] = np.uint8(np.int32(min(value, np.float32(255.0))))
