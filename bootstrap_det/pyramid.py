"""The picture at all scales, exactly: every level is resampled from the picture itself.

A *plan* is pure geometry: which levels a picture of some size has. Levels are then made one at a
time, so that memory holds one of them, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.exceptions import ParameterError

MAX_LEVEL_PIXELS = 400_000_000  # one level of one picture; a float32 copy of it takes 1.6 GB


@dataclass(frozen=True)
class LevelPlan:
    """Geometry of one level.

    Attributes
    ----------
    index : int
        Position in the pyramid, 0 for the largest level.
    size : tuple of int
        Height and width of the resampled picture in pixels, without padding.
    scale : tuple of float
        Exact factors (y, x) from picture pixels to level pixels; they differ, because sizes are
        whole pixels.
    padding : int
        Pixels added on each side of the resampled picture.
    cell_size : int
        Pixels from one grid position to the next.
    nominal_scale : float, default=1.0
        The factor asked for, before sizes were rounded to whole pixels.
    """

    index: int
    size: tuple[int, int]
    scale: tuple[float, float]
    padding: int
    cell_size: int
    nominal_scale: float = 1.0

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width in pixels with the padding on both sides."""
        return self.size[0] + 2 * self.padding, self.size[1] + 2 * self.padding


class Extent(Protocol):
    """What the pyramid needs to know of a template's window."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the window in level pixels."""

    @property
    def object_size(self) -> tuple[float, float]:
        """Height and width of the object in it, in level pixels."""


class Pyramid:
    """Which scales of a picture are scanned.

    Parameters
    ----------
    scales_per_octave : int, default=8
        Levels from one size to half that size.
    min_object_size, max_object_size : float or None, default=None
        Smallest and largest height of an object to find, in picture pixels. By default the
        height of the object in the template, and the height of the largest object that fits in
        the picture. A minimum below the template's enlarges the picture (upsampling).
    padding : int, default=8
        Pixels of replicated border round every level, in level pixels, so that objects that
        touch the border of the picture are found.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.
    """

    def __init__(
        self,
        *,
        scales_per_octave: int = 8,
        min_object_size: float | None = None,
        max_object_size: float | None = None,
        padding: int = 8,
    ) -> None:
        self.scales_per_octave = check_int(
            scales_per_octave, "scales_per_octave", "Pyramid", low=1, high=64
        )
        self.min_object_size = _check_object_size(min_object_size, "min_object_size")
        self.max_object_size = _check_object_size(max_object_size, "max_object_size")
        self.padding = check_int(padding, "padding", "Pyramid", low=0, high=1024)
        smallest, largest = self.min_object_size, self.max_object_size
        if smallest is not None and largest is not None and smallest > largest:
            raise ParameterError(
                f"min_object_size ({smallest:g}) must not exceed max_object_size ({largest:g})."
            )

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        names = ("scales_per_octave", "min_object_size", "max_object_size", "padding")
        return {name: getattr(self, name) for name in names}

    def covers(self, object_height: float) -> bool:
        """Return whether objects of this height, in picture pixels, are within the limits."""
        slack = 1.0 + 1e-6
        above = self.min_object_size is None or object_height * slack >= self.min_object_size
        below = self.max_object_size is None or object_height <= self.max_object_size * slack
        return above and below

    def plan(
        self, size: tuple[int, int], channels: Channels, windows: Sequence[Extent]
    ) -> list[LevelPlan]:
        """Return the levels of a picture of ``size`` (height, width), largest first.

        The smallest level is the last that still holds one of the windows.

        Raises
        ------
        ParameterError
            When the largest level would exceed ``MAX_LEVEL_PIXELS``, or the largest object is below
        the smallest.
        """
        heights = [window.object_size[0] for window in windows]
        smallest = self.min_object_size or min(heights)
        largest = self.max_object_size or math.inf
        if largest < smallest:
            raise ParameterError(
                f"max_object_size ({largest:g} px) is below the smallest object that is looked "
                f"for ({smallest:g} px, the template's own). Lower min_object_size, too."
            )
        first = max(heights) / smallest
        levels: list[LevelPlan] = []
        while True:
            factor = first * 2.0 ** (-len(levels) / self.scales_per_octave)
            level = self._level(len(levels), size, factor, channels.cell_size)
            too_large = min(heights) / factor > largest * (1 + 1e-6)
            if too_large or not any(_holds(level, window, channels) for window in windows):
                return levels
            _check_level_pixels(level, size, smallest)
            levels.append(level)

    def _level(self, index: int, size: tuple[int, int], factor: float, cell: int) -> LevelPlan:
        height, width = round(size[0] * factor), round(size[1] * factor)
        scale = (height / size[0], width / size[1])
        return LevelPlan(index, (height, width), scale, self.padding, cell, factor)


def make_level(image: NDArray[Any], plan: LevelPlan) -> NDArray[Any]:
    """Return the picture resampled and padded as planned, of the dtype that came in.

    Smaller levels average areas, larger ones interpolate linearly.
    """
    resampled = image
    if plan.size != image.shape[:2]:
        shrinks = plan.size[0] <= image.shape[0] and plan.size[1] <= image.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resampled = cv2.resize(image, (plan.size[1], plan.size[0]), interpolation=how)
    pad = plan.padding
    return cv2.copyMakeBorder(resampled, pad, pad, pad, pad, cv2.BORDER_REPLICATE)


def iter_levels(
    image: NDArray[Any], plans: list[LevelPlan], channels: Channels
) -> Iterator[tuple[LevelPlan, NDArray[np.float32]]]:
    """Yield each planned level with its channels, float32 (n_channels, rows, columns)."""
    for plan in plans:
        yield plan, channels.compute(make_level(image, plan))


def _check_object_size(value: float | None, name: str) -> float | None:
    return None if value is None else check_float(value, name, "Pyramid", low=1.0, high=1e5)


def _holds(level: LevelPlan, window: Extent, channels: Channels) -> bool:
    """Return whether at least one window fits into a level."""
    grid, template = channels.grid_shape(level.padded_size), channels.grid_shape(window.size)
    return min(level.size) > 0 and grid[0] >= template[0] and grid[1] >= template[1]


def _check_level_pixels(level: LevelPlan, size: tuple[int, int], smallest: float) -> None:
    n_pixels = level.padded_size[0] * level.padded_size[1]
    if n_pixels > MAX_LEVEL_PIXELS:
        raise ParameterError(
            f"A picture of {size[1]}x{size[0]} enlarged for objects of {smallest:g} px would have "
            f"{n_pixels} pixels, more than {MAX_LEVEL_PIXELS}. Raise min_object_size, or cut the "
            "picture into tiles."
        )
