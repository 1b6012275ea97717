"""Which tiles cover a large picture: geometry alone, for annotations and for detection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_boxes, check_int, check_size
from bootstrap_det.exceptions import ParameterError


def check_tiling(tile: Any, overlap: Any, owner: str) -> tuple[tuple[int, int], int]:
    """Return size and overlap of tiles, or raise ParameterError.

    Raises
    ------
    ParameterError
        When the size is no (height, width) of at least 16 px, or the overlap not below both.
    """
    size = check_size(tile, "tile", owner, low=16)
    overlap = check_int(overlap, "overlap", owner, low=0)
    if overlap >= min(size):
        raise ParameterError(
            f"The 'overlap' parameter of {owner} must be below the tile's sides, {size[0]}x"
            f"{size[1]} px. Got {overlap} instead. Lower it, or take larger tiles."
        )
    return size, overlap


def tile_boxes(size: tuple[int, int], tile: tuple[int, int], overlap: int) -> NDArray[np.int64]:
    """Return the tiles of a picture, shape (n, 4), xyxy, row after row.

    Parameters
    ----------
    size : (height, width)
        Of the picture, pixels.
    tile : (height, width)
        Of a tile. All tiles have this size, but for a side on which the picture is smaller.
    overlap : int
        Pixels that neighbours share at least; the last of a row or column is moved back to end
        with the picture, and shares more.

    Notes
    -----
    What is at most ``overlap`` high and wide lies whole in at least one tile, wherever it is in
    the picture: neighbours begin at most ``tile - overlap`` apart.
    """
    tile, overlap = check_tiling(tile, overlap, "tile_boxes")
    rows, columns = (_starts(*sides, overlap) for sides in zip(size, tile, strict=True))
    return np.array(
        [
            (x, y, min(x + tile[1], size[1]), min(y + tile[0], size[0]))
            for y in rows
            for x in columns
        ],
        dtype=np.int64,
    )


def owners(tiles: NDArray[np.int64], boxes: ArrayLike) -> NDArray[np.intp]:
    """Return which tile each box belongs to, shape (n,): by its centre, so to exactly one.

    What two tiles share is halved between them; beyond the picture's border, the tile at the
    border owns everything. A box of at most the overlap's size lies whole in its owner, or runs
    past the border of the picture.
    """
    array = check_boxes(boxes)
    columns, rows = (
        np.searchsorted(
            _borders(tiles[:, axis], tiles[:, axis + 2]),
            (array[:, axis] + array[:, axis + 2]) / 2,
            side="right",
        )
        for axis in (0, 1)
    )
    return np.asarray(rows * len(np.unique(tiles[:, 0])) + columns)


def _starts(side: int, extent: int, overlap: int) -> list[int]:
    """Return where tiles begin along one side."""
    if side <= extent:
        return [0]
    step = extent - overlap
    return [*range(0, side - extent, step), side - extent]


def _borders(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the middles of what neighbours share, along one side."""
    begin, end = np.unique(starts), np.unique(ends)
    return np.asarray((begin[1:] + end[:-1]) / 2)
