"""What the rest of the package needs to know of a feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class Normalisation:
    """How a window sees its values: by statistics of its own.

    A window sees a colour minus its own mean, over its own deviation, and a gradient over its own
    mean magnitude. The planes that give the statistics are the first of the channels: the colours
    and the gradient magnitude.

    Attributes
    ----------
    kinds : ndarray of shape (n_channels,), uint8
        The plane whose statistics count for each channel.
    scales, noises : ndarray of shape (n_kinds,), float64
        What a deviation or a mean becomes, and what is added to it first.
    """

    kinds: NDArray[np.uint8]
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

    @property
    def normalisation(self) -> Normalisation | None:
        """How windows are normalised; None where they are not."""

    def window_features(
        self,
        values: NDArray[Any],
        shape: tuple[int, int],
        rows: NDArray[Any],
        columns: NDArray[Any],
    ) -> NDArray[Any]:
        """Return feature vectors of windows of ``shape`` at grid positions, (n, n_features)."""

    @property
    def mirror_order(self) -> NDArray[np.intp]:
        """For each of a window's channels, the one that the mirror image shows in its place."""

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
