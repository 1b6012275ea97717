"""What the rest of the package needs to know of a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class WindowStatistics:
    """What a level's windows are normalised by.

    A window sees a colour minus its own mean, over its own deviation, and a gradient over its own
    mean magnitude; the sums come from integral images.

    Attributes
    ----------
    kinds : ndarray of shape (n_channels,), uint8
        Which of the statistics count for each channel; the last one is the gradient's.
    integral : ndarray of shape (n_kinds, rows + 1, columns + 1), int32
        Integral images of the colours and of the gradient magnitude.
    squares : ndarray of shape (n_kinds - 1, rows + 1, columns + 1), float64
        Integral images of the squared colours.
    scales, noises : ndarray of shape (n_kinds,), float64
        What a deviation or a mean becomes, and what is added to it first.
    """

    kinds: NDArray[np.uint8]
    integral: NDArray[np.int32]
    squares: NDArray[np.float64]
    scales: NDArray[np.float64]
    noises: NDArray[np.float64]


class Channels(Protocol):
    """What the rest of the package needs to know of a feature."""

    @property
    def cell_size(self) -> int:
        """Pixels from one grid position to the next."""

    @property
    def context(self) -> int:
        """Cells round a window that its features depend on."""

    @property
    def color(self) -> str:
        """The pictures that it reads: ``"grey"`` or ``"rgb"``."""

    @property
    def dtype(self) -> DTypeLike:
        """Type of the output, float32 or uint8."""

    @property
    def n_channels(self) -> int:
        """Planes of the output."""

    @property
    def n_window_channels(self) -> int:
        """Channels of a window's features: those of the output, and any that it sees besides."""

    def grid_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of the output for a picture of ``size`` (height, width)."""

    def compute(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the channels of one picture, (n_channels, rows, columns)."""

    def window_statistics(self, values: NDArray[Any]) -> WindowStatistics | None:
        """Return what windows of a level are normalised by; None where they are not."""

    def window_features(
        self,
        values: NDArray[Any],
        shape: tuple[int, int],
        rows: NDArray[Any],
        columns: NDArray[Any],
    ) -> NDArray[Any]:
        """Return feature vectors of windows of ``shape`` at grid positions, (n, n_features)."""

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
