"""Dense scoring of a level with a linear template."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def score_rows(channels, weights, bias, first_row, last_row, out):
    """Fill rows ``first_row <= row < last_row`` of ``out`` with the scores of all windows.

    ``channels`` is (n_channels, rows, columns) float32, ``weights`` (n_channels, height, width)
    float32, ``out`` (rows - height + 1, columns - width + 1) float32. Bands of rows may be filled
    by different threads; the result does not depend on how they are cut.

    One template row is summed in float32 and these partial sums in float64, so rounding stays
    far below 1e-5 for templates of thousands of weights, at the speed of float32. The inner loop
    runs over windows: it is a vector instruction that needs no reordered sum.
    """
    n_channels, height, width = weights.shape
    n_windows = out.shape[1]
    partial = np.empty(n_windows, np.float32)
    total = np.empty(n_windows, np.float64)
    for row in range(first_row, last_row):
        total[:] = bias
        for i in range(height):
            partial[:] = 0.0
            for channel in range(n_channels):
                values = channels[channel, row + i]
                j = 0
                while j + 4 <= width:
                    w0, w1 = weights[channel, i, j], weights[channel, i, j + 1]
                    w2, w3 = weights[channel, i, j + 2], weights[channel, i, j + 3]
                    for x in range(n_windows):
                        partial[x] += (w0 * values[x + j] + w1 * values[x + j + 1]) + (
                            w2 * values[x + j + 2] + w3 * values[x + j + 3]
                        )
                    j += 4
                while j < width:
                    w0 = weights[channel, i, j]
                    for x in range(n_windows):
                        partial[x] += w0 * values[x + j]
                    j += 1
            for x in range(n_windows):
                total[x] += partial[x]
        for x in range(n_windows):
            out[row, x] = total[x]
