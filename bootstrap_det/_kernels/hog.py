"""Histograms of oriented gradients: one pass over the picture, then block normalisation.

Histograms are float32: a cell sums a few hundred magnitudes of at most 361 each, far inside the
24 bits of a float32, and half the memory traffic of float64 is half the time of a level.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _row_gradient(image, row, channel, gradient_x, gradient_y):
    """Fill the central differences of one row; the outermost rows and columns have none."""
    height, width = image.shape[0], image.shape[1]
    gradient_x[0] = 0.0
    gradient_x[width - 1] = 0.0
    for x in range(1, width - 1):
        gradient_x[x] = np.float32(image[row, x + 1, channel]) - np.float32(
            image[row, x - 1, channel]
        )
    if row == 0 or row == height - 1:
        gradient_y[:] = 0.0
        return
    for x in range(width):
        gradient_y[x] = np.float32(image[row + 1, x, channel]) - np.float32(
            image[row - 1, x, channel]
        )


@njit(cache=True, nogil=True)
def _row_strongest_gradient(image, row, scratch, gradient_x, gradient_y):
    """Fill the gradient of the channel that is strongest at each pixel; the first one on ties."""
    _row_gradient(image, row, 0, gradient_x, gradient_y)
    other_x, other_y = scratch[0], scratch[1]
    for channel in range(1, image.shape[2]):
        _row_gradient(image, row, channel, other_x, other_y)
        for x in range(image.shape[1]):
            other = other_x[x] * other_x[x] + other_y[x] * other_y[x]
            if other > gradient_x[x] * gradient_x[x] + gradient_y[x] * gradient_y[x]:
                gradient_x[x] = other_x[x]
                gradient_y[x] = other_y[x]


@njit(cache=True, nogil=True)
def _row_bins(gradient_x, gradient_y, boundaries, signed, magnitude, bins):
    """Fill magnitude and orientation bin of one row, without an arc tangent.

    A gradient folded into the upper half plane lies past the boundary at angle b exactly when
    ``cos(b) gy - sin(b) gx >= 0``, so its bin is the number of boundaries that it lies past.
    """
    width = gradient_x.shape[0]
    zero = np.float32(0.0)
    for x in range(width):
        gx, gy = gradient_x[x], gradient_y[x]
        magnitude[x] = np.sqrt(gx * gx + gy * gy)
        lower = gy < zero or (gy == zero and gx < zero)
        gradient_x[x] = -gx if lower else gx
        gradient_y[x] = -gy if lower else gy
        bins[x] = boundaries.shape[0] + 1 if lower and signed else 0
    for i in range(boundaries.shape[0]):
        cosine, sine = boundaries[i, 0], boundaries[i, 1]
        for x in range(width):
            bins[x] += cosine * gradient_y[x] - sine * gradient_x[x] >= zero


@njit(cache=True, nogil=True)
def _orient_row(image, row, boundaries, signed, scratch, magnitude, bins):
    """Fill gradient magnitude and orientation bin of one row; ``scratch`` is (4, width)."""
    gradient_x, gradient_y = scratch[0], scratch[1]
    if image.shape[2] == 1:
        _row_gradient(image, row, 0, gradient_x, gradient_y)
    else:
        _row_strongest_gradient(image, row, scratch[2:], gradient_x, gradient_y)
    _row_bins(gradient_x, gradient_y, boundaries, signed, magnitude, bins)


@njit(cache=True, nogil=True)
def cell_histograms(image, cell_size, boundaries, signed, out):
    """Fill ``out`` (n_bins, n_cell_rows, n_cell_columns) with mean gradient magnitudes.

    ``image`` is (height, width, n_channels), uint8 or float32; ``boundaries`` (n, 2) float32 are
    cosine and sine of the inner bin boundaries of the upper half plane. Pixels that do not fill
    a cell at the right and at the bottom take part in gradients only.
    """
    _, cell_rows, cell_columns = out.shape
    scratch = np.empty((4, image.shape[1]), np.float32)
    magnitude = np.empty(image.shape[1], np.float32)
    bins = np.empty(image.shape[1], np.int32)
    out[:] = 0.0
    for row in range(cell_rows * cell_size):
        _orient_row(image, row, boundaries, signed, scratch, magnitude, bins)
        cell_row = row // cell_size
        for column in range(cell_columns):
            for x in range(column * cell_size, (column + 1) * cell_size):
                out[bins[x], cell_row, column] += magnitude[x]
    out *= np.float32(1.0 / (cell_size * cell_size))


@njit(cache=True, nogil=True)
def interpolated_histograms(image, cell_size, boundaries, signed, out):
    """Fill ``out`` like :func:`cell_histograms`, each pixel shared by its four nearest cells.

    A pixel's share of a cell falls linearly with its distance from the cell's centre; shares of
    cells outside ``out`` are lost. A row is first shared among columns, then as a whole between
    two rows of cells.
    """
    n_bins, cell_rows, cell_columns = out.shape
    half = cell_size // 2
    n_rows = min(image.shape[0], cell_rows * cell_size + half)
    n_columns = min(image.shape[1], cell_columns * cell_size + half)
    scratch = np.empty((4, image.shape[1]), np.float32)
    magnitude = np.empty(image.shape[1], np.float32)
    bins = np.empty(image.shape[1], np.int32)
    # A spare column on each side takes the shares of cells outside.
    histogram = np.empty((n_bins, cell_columns + 2), np.float32)
    out[:] = 0.0
    for row in range(n_rows):
        _orient_row(image, row, boundaries, signed, scratch, magnitude, bins)
        histogram[:] = 0.0
        for x in range(n_columns):
            position = (x + 0.5) / cell_size + 0.5
            left = int(position)
            right_share = np.float32(position - left) * magnitude[x]
            histogram[bins[x], left] += magnitude[x] - right_share
            histogram[bins[x], left + 1] += right_share
        position = (row + 0.5) / cell_size + 0.5
        lower = int(position)
        lower_share = np.float32(position - lower)
        for b in range(n_bins):
            if lower >= 1:
                for x in range(cell_columns):
                    out[b, lower - 1, x] += histogram[b, x + 1] * (np.float32(1.0) - lower_share)
            if lower < cell_rows:
                for x in range(cell_columns):
                    out[b, lower, x] += histogram[b, x + 1] * lower_share
    out *= np.float32(1.0 / (cell_size * cell_size))


@njit(cache=True, nogil=True)
def normalise_blocks(cells, block_size, epsilon, clip, out):
    """Fill ``out`` (block_size**2 * n_bins, rows, columns) with L2-Hys normalised blocks.

    The channels of a block are ordered as its cell rows, its cell columns, its bins. Each row of
    blocks is worked on as a whole, so that every inner loop runs over neighbouring columns.
    """
    n_bins = cells.shape[0]
    _, rows, columns = out.shape
    energy = np.empty(columns, np.float32)
    scale = np.empty(columns, np.float32)
    one = np.float32(1.0)
    for row in range(rows):
        energy[:] = 0.0
        for i in range(block_size):
            for j in range(block_size):
                for b in range(n_bins):
                    for x in range(columns):
                        value = cells[b, row + i, x + j]
                        energy[x] += value * value
        for x in range(columns):
            scale[x] = one / np.sqrt(energy[x] + epsilon * epsilon)
        energy[:] = 0.0
        for i in range(block_size):
            for j in range(block_size):
                for b in range(n_bins):
                    channel = (i * block_size + j) * n_bins + b
                    for x in range(columns):
                        value = min(cells[b, row + i, x + j] * scale[x], clip)
                        out[channel, row, x] = value
                        energy[x] += value * value
        for x in range(columns):
            scale[x] = one / np.sqrt(energy[x] + epsilon * epsilon)
        for channel in range(out.shape[0]):
            for x in range(columns):
                out[channel, row, x] *= scale[x]
