"""What every loss of box offsets offers, and what most of them share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.refinement.offsets import check_offsets

Floats = NDArray[np.float64]
SCALES = (0.1, 0.1, 0.2, 0.2)  # the usual deviations of offsets, those of Fast R-CNN
FARTHEST = 1e100  # of a difference in scales: its square and more can still be summed


class BoxLoss(Protocol):
    """What a fit of offsets needs to know of a loss."""

    name: ClassVar[str]

    @property
    def n_outputs(self) -> int:
        """Numbers that a model predicts for each box."""

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, n_outputs).

        ``outputs`` is (n, n_outputs), ``targets`` the true offsets, (n, 4). All must be finite,
        or DataError is raised.
        """

    def offsets(self, outputs: ArrayLike) -> Floats:
        """Return the offsets that outputs stand for, shape (n, 4)."""

    def deviations(self, outputs: ArrayLike) -> Floats | None:
        """Return the predicted standard deviations of the offsets, shape (n, 4), or None."""

    def start(self) -> Floats:
        """Return outputs that a fit may begin from, the same for every box, (n_outputs,)."""


class PlainOutputs:
    """The part of a loss whose outputs are the four offsets themselves."""

    @property
    def n_outputs(self) -> int:
        """Numbers that a model predicts for each box: 4."""
        return 4

    def offsets(self, outputs: ArrayLike) -> Floats:
        """Return the offsets that outputs stand for, shape (n, 4): a copy."""
        return check_offsets(outputs, "outputs").copy()

    def deviations(self, outputs: ArrayLike) -> Floats | None:
        """Return None: nothing is said of how sure the offsets are."""
        return None

    def start(self) -> Floats:
        """Return the outputs of a box that stays as it is: zeros, shape (4,)."""
        return np.zeros(4)


@dataclass(frozen=True)
class Scaled:
    """The part of a loss that measures differences of offsets in ``scales``."""

    scales: tuple[float, float, float, float] = SCALES

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", check_scales(self.scales, type(self).__name__))

    def apart(self, offsets: Floats, targets: Floats) -> Floats:
        """Return offsets minus targets in scales, shape (n, 4), cut at +-1e100."""
        with np.errstate(over="ignore"):
            return np.clip((offsets - targets) / self.scales, -FARTHEST, FARTHEST)


def check_scales(values: Any, owner: str) -> tuple[float, float, float, float]:
    """Return four floats in [1e-6, 1e6], or raise ParameterError."""
    try:
        dx, dy, dw, dh = map(float, values)
    except (TypeError, ValueError):
        raise _wrong_scales(values, owner) from None
    # Not a comparison that NaN would pass.
    if not all(math.isfinite(value) and 1e-6 <= value <= 1e6 for value in (dx, dy, dw, dh)):
        raise _wrong_scales(values, owner)
    return dx, dy, dw, dh


def checked_pair(outputs: ArrayLike, targets: ArrayLike, n_outputs: int) -> tuple[Floats, Floats]:
    """Return outputs (n, n_outputs) and targets (n, 4) as float64, or raise DataError."""
    predicted = check_offsets(outputs, "outputs", n_outputs)
    true = check_offsets(targets, "targets")
    if len(predicted) != len(true):
        raise DataError(
            "There must be one row of targets for each row of outputs. "
            f"Got {len(true)} targets for {len(predicted)} outputs."
        )
    return predicted, true


def _wrong_scales(values: Any, owner: str) -> ParameterError:
    return ParameterError(
        f"The 'scales' parameter of {owner} must be four numbers in [1e-06, 1e+06], for dx, dy, "
        f"dw and dh. Got {values!r:.80} instead."
    )
