"""Feature vectors of windows, cut out of a level's channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray


def gather_windows(
    level_channels: NDArray[Any],
    shape: tuple[int, int],
    rows: NDArray[Any],
    columns: NDArray[Any],
) -> NDArray[Any]:
    """Return the feature vectors of windows, shape (n, n_channels * height * width).

    ``shape`` is the template's extent on the grid; the order of the features is channel, row,
    column, that of :class:`~bootstrap_det.classifiers.LinearModel`'s weights.
    """
    planes, *grid = level_channels.shape
    positions = (grid[0] - shape[0] + 1, grid[1] - shape[1] + 1)
    strides = level_channels.strides
    # What sliding_window_view does, without its checks: levels are many, windows on each are few.
    view = as_strided(
        level_channels, (planes, *positions, *shape), (*strides, *strides[1:]), writeable=False
    )
    picked = view[:, rows, columns]  # (n_channels, n, height, width)
    n_features = len(level_channels) * shape[0] * shape[1]
    return np.ascontiguousarray(picked.transpose(1, 0, 2, 3)).reshape(len(rows), n_features)
