"""Boxes as offsets from reference boxes, and back.

The offsets of a box are (dx, dy, dw, dh): how far its centre is from the reference's, in the
reference's width and height, and the natural logarithms of its width and height over the
reference's. They do not change when both boxes are moved or made larger together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_boxes
from bootstrap_det.exceptions import DataError

MAX_LOG_SIZE = math.log(1000.0)  # no box is decoded larger or smaller than this by its reference
FARTHEST = 1e300  # no decoded centre or size is beyond it, in pixels

Floats = NDArray[np.float64]


def encode(boxes: ArrayLike, references: ArrayLike) -> Floats:
    """Return the offsets of each box from its reference, shape (n, 4), float64.

    Parameters
    ----------
    boxes, references : array-like of shape (n, 4)
        Boxes, xyxy in pixels, one reference for each box.

    Returns
    -------
    ndarray of shape (n, 4), float64
        dx, dy, dw, dh. :func:`decode` returns the boxes again, but for rounding, as long as
        no side differs from the reference's by more than a factor of 1000.

    Raises
    ------
    DataError
        When a box or a reference has no area, or is not finite, or a box is too far from its
        reference for its offset to be a number.
    ParameterError
        When the two are not arrays of shape (n, 4), xyxy.

    References
    ----------
    R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic
    segmentation", CVPR 2014, appendix C.
    """
    corners, sides = _sized(boxes, "boxes")
    reference_corners, reference_sides = _sized(references, "references")
    _check_lengths("boxes", corners, reference_corners)
    # Differences first: the sum of a large corner and a small half would lose the half.
    with np.errstate(over="ignore"):
        moves = corners - reference_corners + (sides - reference_sides) / 2.0
        shifts = moves / reference_sides
    if not np.isfinite(shifts).all():
        row = int(np.flatnonzero(~np.isfinite(shifts).all(axis=1))[0])
        raise DataError(
            f"Box {row} is too far from its reference, or the reference too small, for an offset "
            f"in the reference's sides, {reference_sides[row].tolist()}. Match boxes to "
            "references that are near."
        )
    return np.concatenate([shifts, np.log(sides) - np.log(reference_sides)], axis=1)


def decode(offsets: ArrayLike, references: ArrayLike) -> Floats:
    """Return the boxes that lie at these offsets from their references: :func:`encode` undone.

    Parameters
    ----------
    offsets : array-like of shape (n, 4)
        dx, dy, dw, dh, any finite numbers. dw and dh are cut at +-log(1000), and centres and
        sizes at 1e300 pixels, so that the boxes are finite too.
    references : array-like of shape (n, 4)
        Boxes with an area, xyxy in pixels, one for each row of ``offsets``.

    Returns
    -------
    ndarray of shape (n, 4), float64
        Boxes, xyxy in pixels.

    Raises
    ------
    DataError
        When an offset is not finite, or a reference has no area.
    ParameterError
        When the two are not arrays of shape (n, 4).
    """
    moves = check_offsets(offsets, "offsets")
    corners, sides = _sized(references, "references")
    _check_lengths("offsets", moves, corners)
    with np.errstate(over="ignore"):
        centres = _cut(corners + sides / 2.0 + moves[:, :2] * sides)
        halves = _cut(sides * np.exp(clip_log_sizes(moves[:, 2:]))) / 2.0
    return np.concatenate([centres - halves, centres + halves], axis=1)


def clip_log_sizes(log_sizes: Floats) -> Floats:
    """Return log sizes cut at +-log(1000), as :func:`decode` uses them."""
    return np.clip(log_sizes, -MAX_LOG_SIZE, MAX_LOG_SIZE)


def check_offsets(values: Any, name: str, n_columns: int = 4) -> Floats:
    """Return rows of ``n_columns`` finite float64, or raise DataError with ``name``."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != n_columns:
        raise DataError(
            f"{name} must be an array of shape (n, {n_columns}). Got shape {array.shape} instead."
        )
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise DataError(f"{name} must be finite. Row {row} is not; drop it first.")
    return array


def _sized(boxes: ArrayLike, name: str) -> tuple[Floats, Floats]:
    """Return the first corners and the sides of boxes that have an area, or raise DataError."""
    array = check_boxes(boxes, name)
    with np.errstate(over="ignore", invalid="ignore"):
        sides = array[:, 2:] - array[:, :2]
    good = ((sides > 0.0) & np.isfinite(sides)).all(axis=1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{name} must have an area and be finite: x1 < x2 and y1 < y2. Row {row} is "
            f"{array[row].tolist()}; drop it first."
        )
    return array[:, :2], sides


def _check_lengths(name: str, rows: Floats, references: Floats) -> None:
    if len(rows) != len(references):
        raise DataError(
            f"There must be one reference for each row of {name}. "
            f"Got {len(references)} references for {len(rows)} rows."
        )


def _cut(values: Floats) -> Floats:
    return np.clip(values, -FARTHEST, FARTHEST)
