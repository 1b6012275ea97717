"""Flat shapes on a square canvas, and the outlines that they are made of.

Everything is in *sign units*: the sign is one unit across, (0, 0) is its middle, x runs to the
right and y down. Angles are in degrees, from the x axis towards the y axis.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE = 256  # of a sprite, pixels
REACH = 0.53  # of a sprite's canvas from its middle, sign units: the sign and a little air
_OVERSAMPLING = 4
_SHIFT = 6  # fractional bits of OpenCV's integer coordinates

Color = tuple[int, int, int]
Points = NDArray[np.float64]


class Pen:
    """A canvas of one colour to draw on, four times as fine as what it returns.

    Parameters
    ----------
    color : tuple of 3 ints
        RGB, 0 to 255.
    """

    def __init__(self, color: Color = (0, 0, 0)) -> None:
        fine = SIDE * _OVERSAMPLING
        self._canvas = np.zeros((fine, fine, 3), np.uint8)
        cv2.rectangle(self._canvas, (0, 0), (fine, fine), color, cv2.FILLED)  # faster than numpy
        self._per_unit = fine / (2 * REACH)

    def fill(self, points: ArrayLike, color: Color) -> None:
        """Fill the polygon of these points, shape (n, 2), sign units."""
        cv2.fillPoly(self._canvas, [self._fixed(points)], color, cv2.LINE_8, _SHIFT)

    def stroke(
        self, points: ArrayLike, width: float, color: Color, *, closed: bool = False
    ) -> None:
        """Draw a line with round ends through points, shape (n, 2); ``width`` in sign units."""
        thickness = max(round(width * self._per_unit), 1)
        fixed = [self._fixed(points)]
        cv2.polylines(self._canvas, fixed, closed, color, thickness, cv2.LINE_8, _SHIFT)

    def cut_out(self, outline: ArrayLike) -> NDArray[np.uint8]:
        """Return what was drawn, opaque inside an outline, averaged over the finer canvas.

        Parameters
        ----------
        outline : array-like of shape (n, 2)
            Sign units.

        Returns
        -------
        ndarray of shape (SIDE, SIDE, 4), uint8
            RGBA; the colours are multiplied by alpha, so that they can be averaged again.
        """
        stencil = np.zeros(self._canvas.shape[:2], np.uint8)
        cv2.fillPoly(stencil, [self._fixed(outline)], 255, cv2.LINE_8, _SHIFT)
        inside = cv2.bitwise_and(self._canvas, self._canvas, mask=stencil)
        layers = [cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                  for fine in (inside, stencil)]  # fmt: skip
        return np.asarray(np.dstack(layers), dtype=np.uint8)

    def _fixed(self, points: ArrayLike) -> NDArray[np.int32]:
        # OpenCV counts from the middle of the first pixel, not from its edge.
        at = (np.asarray(points, np.float64) + REACH) * self._per_unit - 0.5
        return np.rint(at * (1 << _SHIFT)).astype(np.int32)


def arc(
    center: tuple[float, float],
    radius: float | tuple[float, float],
    start: float = 0.0,
    end: float = 360.0,
    *,
    n_points: int = 64,
) -> Points:
    """Return points of an elliptic arc, shape (n_points, 2); ``radius`` may be (x, y)."""
    rx, ry = radius if isinstance(radius, tuple) else (radius, radius)
    angles = np.radians(np.linspace(start, end, n_points))
    return np.stack([center[0] + rx * np.cos(angles), center[1] + ry * np.sin(angles)], axis=1)


def rounded(corners: ArrayLike, radius: float) -> Points:
    """Return the outline of a convex polygon whose corners are rounded, shape (n, 2).

    Parameters
    ----------
    corners : array-like of shape (n, 2)
        In order, so that the inside is on the right of each edge as y runs down.
    radius : float
        Of every corner.
    """
    points = np.asarray(corners, np.float64)
    arcs = []
    for before, here, after in zip(
        np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0), strict=True
    ):
        to_before, to_after = (_unit(other - here) for other in (before, after))
        half_angle = 0.5 * np.arccos(np.clip(to_before @ to_after, -1.0, 1.0))
        center = here + _unit(to_before + to_after) * radius / np.sin(half_angle)
        # The arc runs from the normal of the edge before to the normal of the edge after.
        start = np.degrees(np.arctan2(-to_before[0], to_before[1]))
        span = 180.0 - 2.0 * np.degrees(half_angle)
        arcs.append(
            arc((float(center[0]), float(center[1])), radius, start + 180, start + 180 + span)
        )
    return np.concatenate(arcs)


def regular(n_corners: int, radius: float, *, start: float = -90.0) -> Points:
    """Return the corners of a regular polygon about the middle, shape (n_corners, 2)."""
    return arc((0.0, 0.0), radius, start, start + 360.0, n_points=n_corners + 1)[:-1]


def fitted(points: Points, size: float = 1.0) -> Points:
    """Return points moved to the middle and scaled so that their longer extent is ``size``."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - (low + high) / 2) * (size / (high - low).max()))


def _unit(vector: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(vector / np.hypot(*vector))
