"""The window grid: from grid positions to boxes in the picture, and back.

A window at (row, column) of a level covers the cells from there on; its *box* is where the
object lies inside it, in picture pixels. These two functions and their inverse are the only place
where the two coordinate systems meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_boxes, check_size
from bootstrap_det.boxes import paired_overlap
from bootstrap_det.channels import Channels
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import LevelPlan, Pyramid

MIN_OBJECT_SIDE = 0.5
"""Least side of the object in a window, in pixels: a level is enlarged by what it is smaller."""

MAX_CORNER = 1 << 16
"""Farthest that a corner of the object may lie from the window's, in pixels."""


@dataclass(frozen=True)
class Window:
    """The template's extent, and where the object lies in it.

    Parameters
    ----------
    size : tuple of int
        Height and width of the window in level pixels.
    object_box : tuple of float or None, default=None
        The object in window pixels, xyxy; it may be smaller than the window (context) or larger.
        By default the whole window.
    """

    size: tuple[int, int]
    object_box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        size = check_size(self.size, "size", "Window", low=4, high=4096)
        box = self.object_box or (0.0, 0.0, float(size[1]), float(size[0]))
        if not _is_object_box(box):
            raise ParameterError(
                "The 'object_box' parameter of Window must be finite x1, y1, x2, y2 with x1 < x2 "
                f"and y1 < y2, sides of at least {MIN_OBJECT_SIDE:g} px, within "
                f"+-{MAX_CORNER:,} px. Got {box!r:.80} instead."
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "object_box", tuple(float(v) for v in box))

    @property
    def object_xyxy(self) -> NDArray[np.float64]:
        """The object's box in window pixels, shape (4,)."""
        return np.array(self.object_box)

    def mirrored(self) -> Window:
        """Return the window of the mirror image."""
        x1, y1, x2, y2 = (float(v) for v in self.object_xyxy)
        return Window(self.size, (self.size[1] - x2, y1, self.size[1] - x1, y2))

    @property
    def object_size(self) -> tuple[float, float]:
        """Height and width of the object in level pixels."""
        x1, y1, x2, y2 = self.object_xyxy
        return float(y2 - y1), float(x2 - x1)


def _is_object_box(box: Sequence[float]) -> bool:
    if len(box) != 4 or not (np.abs(box) <= MAX_CORNER).all():  # NaN does not pass
        return False
    x1, y1, x2, y2 = box
    return bool(min(x2 - x1, y2 - y1) >= MIN_OBJECT_SIDE)


def window_positions(plan: LevelPlan, window: Window, channels: Channels) -> tuple[int, int]:
    """Return how many rows and columns of windows fit into a level; (0, 0) when none does."""
    grid = channels.grid_shape(plan.padded_size)
    template = channels.grid_shape(window.size)
    rows, columns = (side - extent + 1 for side, extent in zip(grid, template, strict=True))
    return (rows, columns) if rows > 0 and columns > 0 else (0, 0)


def windows_to_boxes(
    plan: LevelPlan, window: Window, rows: ArrayLike, columns: ArrayLike
) -> NDArray[np.float64]:
    """Return the objects' boxes of windows at grid positions, shape (n, 4), picture pixels."""
    corners = np.stack([columns, rows, columns, rows], axis=-1).astype(np.float64)
    level_boxes = corners * plan.cell_size - plan.padding + window.object_xyxy
    scale_y, scale_x = plan.scale
    return np.asarray(level_boxes / np.array([scale_x, scale_y, scale_x, scale_y]))


def boxes_to_windows(
    plan: LevelPlan, window: Window, boxes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the grid positions (rows, columns), as floats, whose objects share the boxes' centres.

    The exact inverse of :func:`windows_to_boxes` for boxes of the window's own size.
    """
    array = check_boxes(boxes)
    scale_y, scale_x = plan.scale
    x1, y1, x2, y2 = window.object_xyxy
    centre_x = (array[:, 0] + array[:, 2]) / 2 * scale_x
    centre_y = (array[:, 1] + array[:, 3]) / 2 * scale_y
    columns = (centre_x + plan.padding - (x1 + x2) / 2) / plan.cell_size
    rows = (centre_y + plan.padding - (y1 + y2) / 2) / plan.cell_size
    return rows, columns


def window_identities(
    level: int, rows: NDArray[Any], columns: NDArray[Any], template: int
) -> NDArray[np.int64]:
    """Return (level, row, column, template) of windows of one level, shape (n, 4)."""
    same = np.ones(len(rows), dtype=np.int64)
    return np.stack([level * same, rows, columns, template * same], axis=1)


def window_features(
    pixels: NDArray[Any],
    pyramid: Pyramid,
    windows: Sequence[Window],
    channels: Channels,
    identities: NDArray[np.int64],
) -> list[NDArray[Any]]:
    """Return the features of some windows of one picture; only the levels that hold any are made.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, 3)
        The picture as the channels read it.
    pyramid : Pyramid
        Its scales.
    windows : sequence of Window
        The extent of each template, of all that the picture was scanned with.
    channels : Channels
        The features.
    identities : ndarray of shape (n, 4), int64
        Level, row, column and template of each.

    Returns
    -------
    list of ndarray of shape (n_of_template, n_features), of the channels' dtype
        An array for each template, its rows in the order of the identities.
    """
    shapes = [channels.grid_shape(window.size) for window in windows]
    own = [identities[identities[:, 3] == index] for index in range(len(windows))]
    out = [
        np.empty((len(rows), channels.n_window_channels * shape[0] * shape[1]), channels.dtype)
        for rows, shape in zip(own, shapes, strict=True)
    ]
    plans = pyramid.plan(pixels.shape[:2], channels, windows)
    wanted = [plan for plan in plans if plan.index in identities[:, 0]]
    for plan, values in pyramid.iter_levels(pixels, wanted, channels):
        for rows, shape, features in zip(own, shapes, out, strict=True):
            here = rows[:, 0] == plan.index
            at = rows[here, 1], rows[here, 2]
            features[here] = channels.window_features(values, shape, *at)
    return out


@dataclass(frozen=True)
class Reach:
    """How well the best window of a pyramid matches each annotated box.

    Attributes
    ----------
    overlap : ndarray of shape (n,), float64
        Best intersection over union with any window of any level and template.
    reachable : ndarray of shape (n,), bool
        Whether that is at least the overlap asked for.
    reasons : tuple of str
        For each box why no window matches it, or an empty string.
    """

    overlap: NDArray[np.float64]
    reachable: NDArray[np.bool_]
    reasons: tuple[str, ...]


def nearest_windows(
    plans: Sequence[LevelPlan], window: Window, channels: Channels, boxes: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the best overlap of each box with any window, and (level, row, column) of it.

    Boxes that no level can hold get an overlap of 0 and -1s.
    """
    array = check_boxes(boxes)
    best = np.zeros(len(array))
    where = np.full((len(array), 3), -1, dtype=np.intp)
    for plan in plans:
        limits = window_positions(plan, window, channels)
        if not limits[0]:
            continue
        exact = boxes_to_windows(plan, window, array)
        rows, columns = (
            np.clip(np.rint(at), 0, limit - 1).astype(np.intp)
            for at, limit in zip(exact, limits, strict=True)
        )
        overlap = paired_overlap(windows_to_boxes(plan, window, rows, columns), array)
        better = overlap > best
        best[better] = overlap[better]
        where[better] = np.stack([np.full(len(rows), plan.index), rows, columns], axis=1)[better]
    return best, where


def check_reach(
    plans: Sequence[LevelPlan],
    window: Window,
    channels: Channels,
    boxes: ArrayLike,
    *,
    min_overlap: float = 0.5,
) -> Reach:
    """Return which annotated boxes a window can match, and why the others cannot be found.

    Parameters
    ----------
    plans : sequence of LevelPlan
        The levels of the picture that the boxes lie in.
    window : Window
        The template's extent.
    channels : Channels
        The features, for the grid.
    boxes : array-like of shape (n, 4)
        Annotated boxes, xyxy, picture pixels.
    min_overlap : float, default=0.5
        Intersection over union that counts as a match.
    """
    array = check_boxes(boxes)
    overlap, _ = nearest_windows(plans, window, channels, array)
    reachable = overlap >= min_overlap
    reasons = tuple(
        "" if ok else _why_unreachable(plans, window, box, best, min_overlap)
        for ok, box, best in zip(reachable, array, overlap, strict=True)
    )
    return Reach(overlap, reachable, reasons)


def _why_unreachable(
    plans: Sequence[LevelPlan],
    window: Window,
    box: NDArray[np.float64],
    best: float,
    min_overlap: float,
) -> str:
    width, height = box[2] - box[0], box[3] - box[1]
    size = f"{width:.0f}x{height:.0f} px"
    end = f"best reachable overlap {best:.2f} < {min_overlap:g}"
    if not plans:
        return f"the picture is smaller than the {window.size[1]}x{window.size[0]} window; {end}"
    if min(width, height) <= 0:
        return f"{size} has no area; {end}; drop it"
    ratio = (width / height) / (window.object_size[1] / window.object_size[0])
    if min(ratio, 1 / ratio) < min_overlap:
        template = window.object_size[1] / window.object_size[0]
        return (
            f"{size}, aspect {width / height:.2f} against {template:.2f} of the template; {end}; "
            "change the window's shape or train a second template"
        )
    smallest = window.object_size[0] / plans[0].nominal_scale
    if height < smallest:
        return f"{size} is below the smallest window ({smallest:.0f} px high); {end}; " + (
            "lower min_object_size"
        )
    largest = window.object_size[0] / plans[-1].nominal_scale
    if height > largest:
        return f"{size} is above the largest window ({largest:.0f} px high); {end}; " + (
            "raise max_object_size or the padding"
        )
    return (
        f"{size} lies too far outside the picture or between two window positions; {end}; raise "
        "the padding or scales_per_octave, or take smaller cells"
    )
