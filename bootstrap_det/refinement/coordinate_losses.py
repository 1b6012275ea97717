"""Losses that sum over the four offsets, each by how far it is from the true one.

With z the difference of an offset from the true one, divided by its scale, each is a function of
z alone. The scales make the four comparable: give the standard deviations of the training set's
own offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bootstrap_det._kernels import offset_losses as _kernels
from bootstrap_det._validation import check_float
from bootstrap_det.refinement.base import Floats, PlainOutputs, Scaled, checked_pair


@dataclass(frozen=True)
class L2(Scaled, PlainOutputs):
    """Half the square, z^2 / 2: far offsets count most.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        What differences of dx, dy, dw and dh are divided by, 1e-6 to 1e6.

    References
    ----------
    R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic
    segmentation", CVPR 2014, appendix C.
    """

    name: ClassVar[str] = "l2"

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4)."""
        apart = self.apart(*checked_pair(outputs, targets, 4))
        values, slopes = np.empty(len(apart)), np.empty_like(apart)
        _kernels.squared(apart, values, slopes)
        return values, slopes / self.scales


@dataclass(frozen=True)
class L1(Scaled, PlainOutputs):
    """The size, abs(z), whose gradient is 0 where the offset is the true one.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        What differences of dx, dy, dw and dh are divided by, 1e-6 to 1e6.
    """

    name: ClassVar[str] = "l1"

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4)."""
        apart = self.apart(*checked_pair(outputs, targets, 4))
        values, slopes = np.empty(len(apart)), np.empty_like(apart)
        _kernels.smooth_l1(apart, 0.0, values, slopes)
        return values, slopes / self.scales


@dataclass(frozen=True)
class SmoothL1(Scaled, PlainOutputs):
    """The size with its kink rounded off: z^2 / (2 beta) below beta, else abs(z) - beta / 2.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        What differences of dx, dy, dw and dh are divided by, 1e-6 to 1e6.
    beta : float, default=1.0
        Where the parabola ends, in scales, 0 to 100; with 0 it is :class:`L1`.

    References
    ----------
    R. Girshick, "Fast R-CNN", ICCV 2015.
    """

    beta: float = 1.0
    name: ClassVar[str] = "smooth-l1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float(self.beta, "beta", "SmoothL1", low=0.0, high=100.0)

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4)."""
        apart = self.apart(*checked_pair(outputs, targets, 4))
        values, slopes = np.empty(len(apart)), np.empty_like(apart)
        _kernels.smooth_l1(apart, float(self.beta), values, slopes)
        return values, slopes / self.scales


@dataclass(frozen=True)
class BalancedL1(Scaled, PlainOutputs):
    """A smooth L1 in which near offsets have more of the gradient.

    The slope is alpha ln(b abs(z) + 1) below 1 and gamma beyond, where alpha ln(b + 1) = gamma.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        What differences of dx, dy, dw and dh are divided by, 1e-6 to 1e6.
    alpha : float, default=0.5
        The smaller, the steeper the slope rises near 0; 0.1 to 10.
    gamma : float, default=1.5
        The slope of far offsets, 0.1 to 10.

    References
    ----------
    J. Pang et al., "Libra R-CNN: Towards Balanced Learning for Object Detection", CVPR 2019.
    """

    alpha: float = 0.5
    gamma: float = 1.5
    name: ClassVar[str] = "balanced-l1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_float(self.alpha, "alpha", "BalancedL1", low=0.1, high=10.0)
        check_float(self.gamma, "gamma", "BalancedL1", low=0.1, high=10.0)

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4)."""
        apart = self.apart(*checked_pair(outputs, targets, 4))
        values, slopes = np.empty(len(apart)), np.empty_like(apart)
        _kernels.balanced_l1(apart, float(self.alpha), float(self.gamma), values, slopes)
        return values, slopes / self.scales
