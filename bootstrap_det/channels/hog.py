"""Histograms of oriented gradients."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._kernels import hog as _kernels
from bootstrap_det._validation import check_bool, check_choice, check_float, check_int
from bootstrap_det.channels.base import Normalisation
from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.images import COLORS


class HOG:
    """Histograms of oriented gradients of Dalal & Triggs (2005).

    With ``channel_axis`` and ``transform_sqrt`` set alike, the output equals
    ``skimage.feature.hog(..., block_norm="L2-Hys", feature_vector=False)`` up to the order of
    the axes; ``signed``, ``interpolate`` and a larger ``epsilon`` go beyond it.

    Parameters
    ----------
    cell_size : int, default=8
        Side of a cell in pixels; also the stride of the window grid.
    block_size : int, default=2
        Side of a normalisation block in cells.
    n_orientations : int, default=9
        Bins over 180 degrees, or over 360 degrees when ``signed``.
    signed : bool, default=False
        Tell a step from dark to bright from one from bright to dark. Needs an even
        ``n_orientations``.
    interpolate : bool, default=False
        Share each pixel among its four nearest cells by distance, as Dalal & Triggs do, so that
        a shift by a pixel changes little. ``skimage.feature.hog`` does not.
    gamma : bool, default=False
        Take the square root of the pixels first; they must not be negative.
    clip : float, default=0.2
        Largest value of a normalised block before it is normalised again (the "Hys" of L2-Hys).
    epsilon : float, default=1e-5
        Added (squared) to the energy of a block, in grey levels of mean gradient magnitude. At
        1e-5 the noise of a flat wall looks like an edge; a few grey levels keep it small. As in
        scikit-image it enters both normalisations, so at 2 the norm of a block is at most 0.45,
        and the best C of a support vector machine larger.
    color : {"grey", "rgb"}, default="grey"
        The pictures that it reads; of ``"rgb"`` the channel with the strongest gradient counts
        at each pixel.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.

    Notes
    -----
    Orientations are assigned by comparing the gradient with the boundaries of the bins, which
    needs no arc tangent, and all loops run along rows, so that they become vector instructions.
    Neither changes the result.

    References
    ----------
    N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
    """

    context = 1
    dtype = np.float32

    def __init__(
        self,
        *,
        cell_size: int = 8,
        block_size: int = 2,
        n_orientations: int = 9,
        signed: bool = False,
        interpolate: bool = False,
        gamma: bool = False,
        clip: float = 0.2,
        epsilon: float = 1e-5,
        color: str = "grey",
    ) -> None:
        self.cell_size = check_int(cell_size, "cell_size", "HOG", low=2, high=64)
        self.block_size = check_int(block_size, "block_size", "HOG", low=1, high=8)
        self.n_orientations = check_int(n_orientations, "n_orientations", "HOG", low=1, high=64)
        self.signed = check_bool(signed, "signed", "HOG")
        self.interpolate = check_bool(interpolate, "interpolate", "HOG")
        self.gamma = check_bool(gamma, "gamma", "HOG")
        self.clip = check_float(clip, "clip", "HOG", low=1e-3, high=1.0)
        self.epsilon = check_float(epsilon, "epsilon", "HOG", low=1e-12, high=1e3)
        self.color = check_choice(color, "color", "HOG", COLORS)
        if self.signed and self.n_orientations % 2:
            raise ParameterError(
                "The 'n_orientations' parameter of HOG must be even when signed=True. "
                f"Got {n_orientations} instead."
            )
        self._boundaries = _bin_boundaries(self.n_orientations // (2 if self.signed else 1))

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        return {name: getattr(self, name) for name in inspect.signature(HOG).parameters}

    @property
    def n_channels(self) -> int:
        """Values of one block."""
        return self.block_size**2 * self.n_orientations

    def grid_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of blocks in a picture of ``size`` (height, width).

        A picture too small for one block has 0 rows or columns.
        """
        rows, columns = (max(side // self.cell_size - self.block_size + 1, 0) for side in size)
        return rows, columns

    def compute(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the normalised blocks of a picture.

        Parameters
        ----------
        image : ndarray of shape (height, width) or (height, width, 3), uint8 or float32
            Any range of values; ``epsilon`` is in the same unit.

        Returns
        -------
        ndarray of shape (n_channels, rows, columns), float32
            Planar blocks; no rows or columns when the picture is smaller than a block.

        Raises
        ------
        ParameterError
            When the shape or dtype is another one, or ``gamma`` meets a negative pixel.
        """
        pixels = self._planes(image)
        rows, columns = self.grid_shape((pixels.shape[0], pixels.shape[1]))
        out = np.empty((self.n_channels, rows, columns), np.float32)
        if rows and columns:
            cells = np.empty(self._cells_shape(rows, columns), np.float32)
            fill = _HISTOGRAMS[self.interpolate]
            fill(pixels, self.cell_size, self._boundaries, self.signed, cells)
            epsilon, clip = np.float32(self.epsilon), np.float32(self.clip)
            _kernels.normalise_blocks(cells, self.block_size, epsilon, clip, out)
        return out

    @property
    def normalisation(self) -> Normalisation | None:
        """None: blocks are normalised already."""
        return None

    @property
    def n_window_channels(self) -> int:
        """Values of one block."""
        return self.n_channels

    @property
    def mirror_order(self) -> NDArray[np.intp]:
        """For each of a window's channels, the one that the mirror image shows in its place."""
        half = self.n_orientations // 2 if self.signed else self.n_orientations
        turned = (half - 1 - np.arange(self.n_orientations)) % self.n_orientations
        channels = np.arange(self.n_channels).reshape(self.block_size, self.block_size, -1)
        return np.asarray(channels[:, ::-1][:, :, turned].ravel())

    def window_features(
        self,
        values: NDArray[Any],
        shape: tuple[int, int],
        rows: NDArray[Any],
        columns: NDArray[Any],
    ) -> NDArray[Any]:
        """Return feature vectors of windows of ``shape`` at grid positions, (n, n_features)."""
        return gather_windows(values, shape, rows, columns)

    def _cells_shape(self, rows: int, columns: int) -> tuple[int, int, int]:
        extra = self.block_size - 1
        return self.n_orientations, rows + extra, columns + extra

    def _planes(self, image: NDArray[Any]) -> NDArray[Any]:
        pixels = np.asarray(image)
        known = pixels.dtype in (np.uint8, np.float32) and pixels.ndim in (2, 3)
        if not known or pixels.shape[2:] == (0,):
            raise ParameterError(
                "HOG needs a uint8 or float32 picture of shape (height, width) or "
                f"(height, width, channels). Got {pixels.dtype} of shape {pixels.shape} instead."
            )
        if self.gamma:
            if pixels.size and pixels.min() < 0:
                raise ParameterError(
                    "HOG with gamma=True needs pixels that are not negative. "
                    f"Got a minimum of {pixels.min():g}; shift the picture or set gamma=False."
                )
            pixels = np.sqrt(pixels, dtype=np.float32)
        return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])


_HISTOGRAMS = {False: _kernels.cell_histograms, True: _kernels.interpolated_histograms}


def _bin_boundaries(n_bins: int) -> NDArray[np.float32]:
    """Return cosine and sine of the boundaries between ``n_bins`` bins of the upper half plane.

    Rounding makes cosine and sine of 45 degrees equal, so that the exact diagonals, frequent in
    uint8 pictures, fall on the same side as they do with ``arctan2``.
    """
    angles = np.arange(1, n_bins) * (np.pi / n_bins)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).round(9).astype(np.float32)
