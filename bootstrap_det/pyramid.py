"""The picture at all scales.

A *plan* is pure geometry: which levels a picture of some size has. Levels are then made one at a
time, so that memory holds one of them, whatever their number.

By default every level is exact: resampled from the picture, its channels computed. With
``exponents``, only one level an octave is, and the others are its channels resampled and scaled by
the power law of Dollar et al. (2014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.resample import Octaves

MAX_LEVEL_PIXELS = 400_000_000  # one level of one picture; a float32 copy of it takes 1.6 GB
# A level with its channels; more for a large picture, so that a small one takes little.
MAX_LEVEL_BYTES, MAX_LEVEL_BYTES_PER_PIXEL = 1 << 28, 256


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
    base : int or None, default=None
        Index of the exact level that this one is approximated from; None when it is exact.
    """

    index: int
    size: tuple[int, int]
    scale: tuple[float, float]
    padding: int
    cell_size: int
    nominal_scale: float = 1.0
    base: int | None = None

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
    exponents : sequence of float or None, default=None
        One of each channel, as :func:`estimate_exponents` returns them: levels between octaves
        are then approximated, channel c of a level of relative scale s being that of the octave,
        resampled, times ``s ** -exponents[c]``. By default every level is exact.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.

    References
    ----------
    P. Dollar, R. Appel, S. Belongie and P. Perona, "Fast Feature Pyramids for Object Detection",
    PAMI 2014.
    """

    def __init__(
        self,
        *,
        scales_per_octave: int = 8,
        min_object_size: float | None = None,
        max_object_size: float | None = None,
        padding: int = 8,
        exponents: Sequence[float] | None = None,
    ) -> None:
        self.scales_per_octave = check_int(
            scales_per_octave, "scales_per_octave", "Pyramid", low=1, high=64
        )
        self.min_object_size = _check_object_size(min_object_size, "min_object_size")
        self.max_object_size = _check_object_size(max_object_size, "max_object_size")
        self.padding = check_int(padding, "padding", "Pyramid", low=0, high=1024)
        self.exponents = None if exponents is None else tuple(
            check_float(value, "exponents", "Pyramid", low=-10.0, high=10.0) for value in exponents
        )  # fmt: skip
        smallest, largest = self.min_object_size, self.max_object_size
        if smallest is not None and largest is not None and smallest > largest:
            raise ParameterError(
                f"min_object_size ({smallest:g}) must not exceed max_object_size ({largest:g})."
            )

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        names = (
            "scales_per_octave", "min_object_size", "max_object_size", "padding", "exponents"
        )  # fmt: skip
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
            When the largest level would exceed ``MAX_LEVEL_PIXELS``, or with its channels
            ``MAX_LEVEL_BYTES`` and what the picture adds to them, or the largest object is below
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
            _check_level_bytes(level, size, channels)
            levels.append(level)

    def _level(self, index: int, size: tuple[int, int], factor: float, cell: int) -> LevelPlan:
        height, width = round(size[0] * factor), round(size[1] * factor)
        scale = (height / size[0], width / size[1])
        base = index - index % self.scales_per_octave
        approximate = self.exponents is not None and base != index
        return LevelPlan(
            index, (height, width), scale, self.padding, cell, factor, base if approximate else None
        )

    def iter_levels(
        self,
        image: NDArray[Any] | Octaves,
        plans: Sequence[LevelPlan],
        channels: Channels,
        *,
        rows: Mapping[int, tuple[int, int]] | None = None,
    ) -> Iterator[tuple[LevelPlan, NDArray[Any]]]:
        """Yield each of the planned levels of a picture with its channels.

        ``plans`` may be a part of a plan: what an approximated level needs is computed on the way.
        ``rows`` gives, by level, the first row of cells that is needed and the row after the last:
        of exact levels, channels are 0 elsewhere, and no time is spent there.

        Raises
        ------
        ParameterError
            When there are exponents, but not one for each channel.
        """
        octaves = image if isinstance(image, Octaves) else Octaves(image)
        if self.exponents is not None and len(self.exponents) != channels.n_channels:
            raise ParameterError(
                f"The 'exponents' parameter of Pyramid must have one entry for each of the "
                f"{channels.n_channels} channels. Got {len(self.exponents)} instead."
            )
        base: tuple[LevelPlan, NDArray[Any]] | None = None
        for plan in plans:
            if plan.base is None or self.exponents is None:
                level = make_level(octaves, plan)
                if rows is None or self.exponents is not None:  # others are made of all of it
                    values = channels.compute(level)
                else:
                    values = _compute_rows(level, channels, rows[plan.index])
                base = (plan, values)
            else:
                if base is None or base[0].index != plan.base:
                    exact = self._base_of(plan, octaves.image.shape[:2])
                    base = (exact, channels.compute(make_level(octaves, exact)))
                values = _approximated(*base, plan, channels, self.exponents)
            yield plan, values

    def _base_of(self, plan: LevelPlan, size: tuple[int, ...]) -> LevelPlan:
        assert plan.base is not None  # the caller checks
        factor = plan.nominal_scale * 2.0 ** ((plan.index - plan.base) / self.scales_per_octave)
        return self._level(plan.base, (size[0], size[1]), factor, plan.cell_size)


def _compute_rows(level: NDArray[Any], channels: Channels, rows: tuple[int, int]) -> NDArray[Any]:
    """Return a level's channels, computed at some rows of cells, 0 elsewhere."""
    grid, cell = channels.grid_shape((level.shape[0], level.shape[1])), channels.cell_size
    lost = level.shape[0] // cell - grid[0]  # where an entry covers more than a cell
    # Even, so that channels of one octave up have their cells where the whole level has them.
    first = max(rows[0] - channels.context, 0) // 2 * 2
    end = (rows[1] + channels.context + 1) // 2 * 2 + 2 + lost
    part = channels.compute(np.ascontiguousarray(level[first * cell : end * cell]))
    values = np.zeros((len(part), *grid), part.dtype)
    values[:, slice(*rows)] = part[:, rows[0] - first : rows[1] - first]
    return values


def independent_levels(plans: Sequence[LevelPlan]) -> list[list[LevelPlan]]:
    """Return the levels in groups that need nothing of each other, in their order.

    An exact level is a group with those that are approximated from it.
    """
    groups: dict[int, list[LevelPlan]] = {}
    for plan in plans:
        groups.setdefault(plan.index if plan.base is None else plan.base, []).append(plan)
    return list(groups.values())


def make_level(image: NDArray[Any] | Octaves, plan: LevelPlan) -> NDArray[Any]:
    """Return the picture resampled and padded as planned, of the dtype that came in."""
    octaves = image if isinstance(image, Octaves) else Octaves(image)
    pad = plan.padding
    border = cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(octaves.resized(plan.size), pad, pad, pad, pad, border)


def estimate_exponents(
    images: Iterable[NDArray[Any]], channels: Channels, *, n_scales: int = 8
) -> tuple[float, ...]:
    """Return the exponent of the power law of each channel, for :class:`Pyramid`.

    The mean of a channel over a picture made smaller by s is, on average, ``s ** -exponent``
    times that of the picture; the exponent is the least-squares slope over one octave.

    Parameters
    ----------
    images : iterable of ndarray
        Training pictures, of the colour that the channels read.
    channels : Channels
        Features to estimate for.
    n_scales : int, default=8
        Scales of the octave to measure at.

    Raises
    ------
    ParameterError
        When no picture is large enough to be halved.
    """
    scales = 2.0 ** (-np.arange(n_scales + 1) / n_scales)
    ratios = []
    for image in images:
        octaves, size = Octaves(image), image.shape[:2]
        if min(size) < 8 * channels.cell_size:
            continue
        means = np.array([
            channels.compute(octaves.resized((round(size[0] * s), round(size[1] * s))))
            .astype(np.float64).mean(axis=(1, 2))
            for s in scales
        ])  # fmt: skip
        ratios.append(np.log(np.maximum(means, 1e-9)) - np.log(np.maximum(means[0], 1e-9)))
    if not ratios:
        raise ParameterError(
            "estimate_exponents needs at least one picture of "
            f"{8 * channels.cell_size} px and more. Got none; give larger pictures."
        )
    x = np.log(scales)
    return tuple(float(v) for v in -(x @ np.mean(ratios, axis=0)) / (x @ x))


def _approximated(
    base: LevelPlan,
    values: NDArray[Any],
    plan: LevelPlan,
    channels: Channels,
    exponents: Sequence[float],
) -> NDArray[Any]:
    """Return the channels of a level, resampled from those of its octave."""
    rows, columns = channels.grid_shape(plan.padded_size)
    # Centre of a cell -> pixel of the level -> pixel of the base -> centre of a cell.
    matrix = np.zeros((2, 3))
    for axis, (to, of) in enumerate(zip(base.scale[::-1], plan.scale[::-1], strict=True)):
        ratio, cell = to / of, plan.cell_size
        matrix[axis, axis] = ratio
        matrix[axis, 2] = ((0.5 * cell - plan.padding) * ratio + base.padding) / cell - 0.5
    relative = plan.nominal_scale / base.nominal_scale
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    out = np.empty((len(values), rows, columns), values.dtype)
    for plane, source, exponent in zip(out, values, exponents, strict=True):
        warped = cv2.warpAffine(
            source.astype(np.float32), matrix, (columns, rows), flags=flags, borderMode=border
        )
        warped *= relative**-exponent
        plane[:] = np.clip(np.rint(warped), 0, 255) if out.dtype == np.uint8 else warped
    return out


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


def _check_level_bytes(level: LevelPlan, size: tuple[int, int], channels: Channels) -> None:
    rows, columns = channels.grid_shape(level.padded_size)
    n_pixels = level.padded_size[0] * level.padded_size[1]
    n_bytes = (
        4 * n_pixels + channels.n_channels * rows * columns * np.dtype(channels.dtype).itemsize
    )
    limit = MAX_LEVEL_BYTES + MAX_LEVEL_BYTES_PER_PIXEL * size[0] * size[1]
    if n_bytes > limit:
        raise ParameterError(
            f"A level of {level.padded_size[1]}x{level.padded_size[0]} of a picture of "
            f"{size[1]}x{size[0]} would take {n_bytes:,} bytes with its {channels.n_channels} "
            f"channels, more than {limit:,}. Raise min_object_size, or lower the padding or the "
            "number of channels."
        )
