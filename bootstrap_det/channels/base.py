"""What the rest of the package needs to know of a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class WindowGains:
    """How each window of a level sees the level's channels.

    To the window at flat position p, a value of a channel of kind k counts as
    ``(value * gains[k, p] >> 8) + shifts[k, p]``, clipped to 0 to 255.

    Attributes
    ----------
    kinds : ndarray of shape (n_channels,), uint8
        Which row of the maps each channel uses.
    gains : ndarray of shape (n_kinds, rows * columns), uint16
        Factors, times 256.
    shifts : ndarray of shape (n_kinds, rows * columns), int16
        Added after scaling.
    """

    kinds: NDArray[np.uint8]
    gains: NDArray[np.uint16]
    shifts: NDArray[np.int16]


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

    def grid_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of the output for a picture of ``size`` (height, width)."""

    def compute(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the channels of one picture, (n_channels, rows, columns)."""

    def window_gains(self, values: NDArray[Any], shape: tuple[int, int]) -> WindowGains | None:
        """Return how windows of ``shape`` (cells) see a level's channels; None for as they are."""

    def window_features(
        self, values: NDArray[Any], shape: tuple[int, int], rows: NDArray[Any], columns: NDArray[Any]
    ) -> NDArray[Any]:
        """Return feature vectors of windows of ``shape`` at grid positions, (n, n_features)."""

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
