"""Aggregated channel features."""

from __future__ import annotations

import inspect
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._kernels import acf as _kernels
from bootstrap_det._kernels import trees as _window_kernels
from bootstrap_det._validation import check_bool, check_choice, check_float, check_int
from bootstrap_det.channels.base import Normalisation
from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.images import COLORS

_KINDS = {"window": _kernels.ROOTS, "local": _kernels.SUMS, "none": _kernels.MEANS}
NORMALISATIONS = tuple(_KINDS)
_COLOR_GAIN = 40.0  # grey levels per deviation, about a middle of 128
_MAGNITUDE_GAINS = {"window": 96.0, "local": 48.0}  # what the mean magnitude becomes


class ACF:
    """Aggregated channel features of Dollar et al. (2014), as uint8.

    Sums over small blocks of: the grey value (or L, u and v of CIELUV), the gradient magnitude,
    and the magnitude by orientation. Nothing in it needs more than 16-bit integers.

    Parameters
    ----------
    cell_size : {2, 4}, default=2
        Side of a block in pixels ("shrink"); also the stride of the window grid.
    n_orientations : int, default=6
        Directions over 180 degrees.
    normalise : {"window", "local", "none"}, default="window"
        What makes contrast and light count less. ``"window"``: each window sees its own
        colours minus their mean, over their deviation, and its gradients over their mean
        magnitude. ``"local"``: the same by the means round each block, as in Dollar et al.;
        faster to scan, slightly less exact.
    radius : int, default=6
        Of the neighbourhood of ``"local"``, in cells.
    noise : float, default=4.0
        Added to deviations and mean magnitudes, in grey levels, so that the noise of flat
        regions stays small.
    smooth_before, smooth_after : bool, default=False
        Smooth the picture, or the channels, by 1 2 1 in both directions.
    coarser : bool, default=False
        Add the channels of one octave up, of the picture at half its size, brought to the same
        grid: what is round a cell, as feature pyramids fuse their levels. With a window that
        has its object's surroundings in it (``context``), the neighbourhood takes part.
    color : {"grey", "rgb"}, default="grey"
        The pictures that it reads. Of ``"rgb"``, the gradient is that of the strongest of L, u
        and v at each pixel.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.

    References
    ----------
    P. Dollar, R. Appel, S. Belongie and P. Perona, "Fast Feature Pyramids for Object Detection",
    PAMI 2014. T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017 (what
    ``coarser`` is after).
    """

    dtype = np.uint8

    def __init__(
        self,
        *,
        cell_size: int = 2,
        n_orientations: int = 6,
        normalise: str = "window",
        radius: int = 6,
        noise: float = 4.0,
        smooth_before: bool = False,
        smooth_after: bool = False,
        coarser: bool = False,
        color: str = "grey",
    ) -> None:
        self.cell_size = check_int(cell_size, "cell_size", "ACF", low=2, high=4)
        self.n_orientations = check_int(n_orientations, "n_orientations", "ACF", low=1, high=16)
        self.normalise = check_choice(normalise, "normalise", "ACF", NORMALISATIONS)
        self.radius = check_int(radius, "radius", "ACF", low=1, high=64)
        self.noise = check_float(noise, "noise", "ACF", low=0.5, high=255.0)
        self.smooth_before = check_bool(smooth_before, "smooth_before", "ACF")
        self.smooth_after = check_bool(smooth_after, "smooth_after", "ACF")
        self.coarser = check_bool(coarser, "coarser", "ACF")
        self.color = check_choice(color, "color", "ACF", COLORS)
        if self.cell_size == 3:
            raise ParameterError("The 'cell_size' parameter of ACF must be 2 or 4. Got 3 instead.")
        # A block's sum of magnitudes is at most 361 * scale * cell_size**2 < 2**16.
        self._scale = 128 // self.cell_size**2
        angles = np.arange(self.n_orientations) * (np.pi / self.n_orientations)
        self._cosines = np.rint(np.cos(angles) * self._scale).astype(np.int16)
        self._sines = np.rint(np.sin(angles) * self._scale).astype(np.int16)
        self._normalisation = self._by_window() if self.normalise == "window" else None

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        return {name: getattr(self, name) for name in inspect.signature(ACF).parameters}

    @property
    def context(self) -> int:
        """Cells round a window that its features depend on."""
        own = 1 + self.smooth_after + (self.radius if self.normalise == "local" else 0)
        # A cell one octave up is two of ours, and is seen from up to two cells away. An even
        # number keeps the halves of a patch on those of the level.
        return 2 * own + 2 if self.coarser else own

    @property
    def n_colors(self) -> int:
        """Colour planes: 1 or 3."""
        return 1 if self.color == "grey" else 3

    @property
    def n_channels(self) -> int:
        """Colours, magnitude, orientations; those of one octave up behind them."""
        return self._n_own * (2 if self.coarser else 1)

    @property
    def _n_own(self) -> int:
        return self.n_colors + 1 + self.n_orientations

    def grid_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of blocks in a picture of ``size`` (height, width)."""
        return size[0] // self.cell_size, size[1] // self.cell_size

    def compute(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the channels of a picture.

        Parameters
        ----------
        image : ndarray of shape (height, width) or (height, width, 3), uint8 or float32
            Grey or RGB, 0 to 255; float32 is rounded.

        Returns
        -------
        ndarray of shape (n_channels, rows, columns), uint8
            Colours, magnitude, magnitude by orientation.

        Raises
        ------
        ParameterError
            When the shape or dtype is another one.
        """
        planes = self._planes(image)
        own = self._aggregated(planes)
        if not self.coarser:
            return own
        above = self._aggregated(_halved(planes)) if min(planes.shape[1:]) > 1 else own[:, :0]
        return np.concatenate([own, _brought_to(above, own)])

    def _aggregated(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the channels of grey, or of L, u and v."""
        rows, columns = self.grid_shape((planes.shape[1], planes.shape[2]))
        out = np.empty((self._n_own, rows, columns), np.uint8)
        if rows and columns:
            how = (self._cosines, self._sines, self.cell_size, _KINDS[self.normalise])
            if self.normalise == "local":
                sums = np.empty(out.shape, np.uint16)
                _kernels.aggregate(planes, *how, sums)
                self._normalise_locally(sums, out)
            else:
                _kernels.aggregate(planes, *how, out)
            if self.smooth_after:
                for plane in out:
                    plane[:] = _smoothed(plane)
        return out

    @property
    def n_window_channels(self) -> int:
        """Channels of a window's features: as they are, then, where normalised, as it sees them."""
        return self.n_channels * (2 if self.normalise == "window" else 1)

    @property
    def normalisation(self) -> Normalisation | None:
        """How windows are normalised; None where they are not."""
        return self._normalisation

    def window_features(
        self,
        values: NDArray[Any],
        shape: tuple[int, int],
        rows: NDArray[Any],
        columns: NDArray[Any],
    ) -> NDArray[np.uint8]:
        """Return feature vectors of windows of ``shape`` at grid positions, (n, n_features)."""
        plain = gather_windows(values, shape, rows, columns)
        how = self.normalisation
        if how is None:
            return plain
        seen = np.empty_like(plain)
        at = (np.asarray(rows, np.int64), np.asarray(columns, np.int64))
        _window_kernels.gather_normalised(
            values, *at, *shape, how.kinds, how.scales, how.noises, seen
        )
        return np.concatenate([plain, seen], axis=1)

    @property
    def mirror_order(self) -> NDArray[np.intp]:
        """For each of a window's channels, the one that the mirror image shows in its place."""
        first = self.n_colors + 1
        turned = first + -np.arange(self.n_orientations) % self.n_orientations
        order = np.concatenate([np.arange(first), turned])
        n_times = self.n_window_channels // self._n_own
        return np.concatenate([order + self._n_own * time for time in range(n_times)])

    def _by_window(self) -> Normalisation:
        n_colors = self.n_colors
        root = _kernels.ROOT_GAIN * np.sqrt(self.noise) / 2
        kinds = np.minimum(np.arange(self.n_channels) % self._n_own, n_colors)
        return Normalisation(
            kinds.astype(np.uint8),
            np.array([_COLOR_GAIN] * n_colors + [_MAGNITUDE_GAINS["window"]]),
            np.array([2.0 * self.noise] * n_colors + [root]),
        )

    def _normalise_locally(self, sums: NDArray[np.uint16], out: NDArray[np.uint8]) -> None:
        n_colors, area = self.n_colors, self.cell_size**2
        unit = self._scale * area  # of a mean magnitude
        for color in range(n_colors):
            values = sums[color].astype(np.float32)
            _kernels.center_locally(
                sums[color], self._local_mean(values), self._local_mean(values * values),
                np.float32(_COLOR_GAIN), np.float32(2.0 * self.noise * area), out[color],
            )  # fmt: skip
        _kernels.divide_locally(
            sums[n_colors:], self._local_mean(sums[n_colors]),
            np.float32(_MAGNITUDE_GAINS["local"]), np.float32(self.noise * unit), out[n_colors:],
        )  # fmt: skip

    def _local_mean(self, values: NDArray[Any]) -> NDArray[np.float32]:
        side = 2 * self.radius + 1
        border = cv2.BORDER_REPLICATE
        return np.asarray(cv2.boxFilter(values, cv2.CV_32F, (side, side), borderType=border))

    def _planes(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the picture as uint8 planes (n_colors, height, width): grey, or L, u and v."""
        pixels = np.asarray(image)
        wanted = 2 if self.color == "grey" else 3
        known = pixels.dtype in (np.uint8, np.float32) and pixels.ndim == wanted
        if not known or (wanted == 3 and pixels.shape[2] != 3):
            shape = "(height, width)" if wanted == 2 else "(height, width, 3)"
            raise ParameterError(
                f"ACF with color={self.color!r} needs a uint8 or float32 picture of shape {shape}. "
                f"Got {pixels.dtype} of shape {pixels.shape} instead."
            )
        if pixels.dtype != np.uint8:
            pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        if not pixels.size:
            return np.empty((self.n_colors, *pixels.shape[:2]), np.uint8)
        if self.smooth_before:
            pixels = _smoothed(pixels)
        if wanted == 2:
            return np.ascontiguousarray(pixels)[None]
        return np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LUV).transpose(2, 0, 1))


def _halved(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return planes at half their size, by means of 2x2 pixels; an odd last row is left out."""
    height, width = planes.shape[1] // 2, planes.shape[2] // 2
    even = planes[:, : 2 * height, : 2 * width]
    size = (width, height)
    return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in even])


def _brought_to(above: NDArray[np.uint8], own: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return channels of half the resolution on the grid of ``own``, between cells linearly."""
    out = np.zeros_like(own)
    rows, columns = above.shape[1:]
    if not rows or not columns:
        return out
    for plane, target in zip(above, out, strict=True):
        large = cv2.resize(plane, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
        missing = (target.shape[0] - 2 * rows, target.shape[1] - 2 * columns)
        target[:] = np.pad(large, [(0, max(n, 0)) for n in missing], mode="edge")[
            : target.shape[0], : target.shape[1]
        ]
    return out


def _smoothed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(values, (3, 3), 0, borderType=cv2.BORDER_REPLICATE))
