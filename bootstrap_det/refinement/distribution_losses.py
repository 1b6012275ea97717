"""Losses of models that say not only where a box is, but how sure of it they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bootstrap_det._kernels import offset_losses as _kernels
from bootstrap_det._validation import check_float, check_int
from bootstrap_det.refinement.base import Floats, Scaled, checked_pair
from bootstrap_det.refinement.offsets import check_offsets

MAX_LOG_VARIANCE = 20.0  # a deviation of e^-10 to e^10 scales


@dataclass(frozen=True)
class KL(Scaled):
    """The divergence of a true offset from a predicted normal distribution, far ones tamed.

    The outputs are the four offsets, then a log variance s of each, that of its difference z
    from the true one in scales: the loss is exp(-s) z^2 / 2 + s / 2, and where abs(z) > 1
    exp(-s) (abs(z) - 1/2) + s / 2. It may be negative. Log variances beyond +-20 count as the
    bound, with a gradient of 0.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        What differences of dx, dy, dw and dh are divided by, 1e-6 to 1e6.

    References
    ----------
    Y. He et al., "Bounding Box Regression with Uncertainty for Accurate Object Detection",
    CVPR 2019.
    """

    name: ClassVar[str] = "kl"

    @property
    def n_outputs(self) -> int:
        """Numbers that a model predicts for each box: 8."""
        return 8

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 8)."""
        predicted, true = checked_pair(outputs, targets, 8)
        apart = self.apart(predicted[:, :4], true)
        values, gradients = np.empty(len(true)), np.empty_like(predicted)
        _kernels.uncertain(apart, predicted[:, 4:], MAX_LOG_VARIANCE, values, gradients)
        gradients[:, :4] /= self.scales
        return values, gradients

    def offsets(self, outputs: ArrayLike) -> Floats:
        """Return the offsets that outputs stand for, shape (n, 4): the first four."""
        return check_offsets(outputs, "outputs", 8)[:, :4].copy()

    def deviations(self, outputs: ArrayLike) -> Floats:
        """Return the standard deviations of the offsets, shape (n, 4), in offsets' units."""
        logs = check_offsets(outputs, "outputs", 8)[:, 4:]
        return np.asarray(
            np.exp(np.clip(logs, -MAX_LOG_VARIANCE, MAX_LOG_VARIANCE) / 2.0) * self.scales
        )

    def start(self) -> Floats:
        """Return the outputs of a box that stays as it is, sure to one scale: zeros, (8,)."""
        return np.zeros(8)


@dataclass(frozen=True)
class DistributionFocal(Scaled):
    """The distribution focal loss: the two bins beside the true offset share the cross-entropy.

    The outputs are, of each offset in turn, the logits of ``n_bins`` bins, evenly from -reach to
    +reach scales; the offset is the mean of their softmax. With the true offset between two
    bins, the nearer has the larger share. True offsets beyond the last bin count as it.

    Parameters
    ----------
    scales : tuple of 4 floats, default=(0.1, 0.1, 0.2, 0.2)
        Units of ``reach`` for dx, dy, dw and dh, 1e-6 to 1e6.
    n_bins : int, default=17
        Bins of each offset, 2 to 1000.
    reach : float, default=5.0
        The last bin, in scales, 0.01 to 1000.

    Notes
    -----
    The paper's offsets are distances of the sides from a point, so its bins begin at 0.

    References
    ----------
    X. Li et al., "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for
    Dense Object Detection", NeurIPS 2020.
    """

    n_bins: int = 17
    reach: float = 5.0
    name: ClassVar[str] = "dfl"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int(self.n_bins, "n_bins", "DistributionFocal", low=2, high=1000)
        check_float(self.reach, "reach", "DistributionFocal", low=0.01, high=1000.0)

    @property
    def n_outputs(self) -> int:
        """Numbers that a model predicts for each box: 4 times ``n_bins``."""
        return 4 * self.n_bins

    @property
    def bins(self) -> Floats:
        """The offsets that the bins stand for, shape (4, n_bins)."""
        return np.outer(self.scales, np.linspace(-self.reach, self.reach, self.n_bins))

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, n_outputs)."""
        predicted, true = checked_pair(outputs, targets, self.n_outputs)
        logits = predicted.reshape(-1, 4, self.n_bins)
        values, slopes = np.empty(len(true)), np.empty_like(logits)
        _kernels.distribution(logits, self._positions(true), values, slopes)
        return values, slopes.reshape(predicted.shape)

    def offsets(self, outputs: ArrayLike) -> Floats:
        """Return the offsets that outputs stand for, shape (n, 4): the means over the bins."""
        return np.asarray((self._shares(outputs) * self.bins).sum(axis=2))

    def deviations(self, outputs: ArrayLike) -> Floats:
        """Return the standard deviations of the distributions, shape (n, 4), offsets' units."""
        shares = self._shares(outputs)
        away = self.bins - (shares * self.bins).sum(axis=2, keepdims=True)
        return np.asarray(np.sqrt((shares * away**2).sum(axis=2)))

    def start(self) -> Floats:
        """Return the logits of bins that are equally likely: zeros, shape (n_outputs,)."""
        return np.zeros(self.n_outputs)

    def _positions(self, targets: Floats) -> Floats:
        """Return where the true offsets are among the bins, 0 to n_bins - 1."""
        with np.errstate(over="ignore"):
            shares = np.clip(targets / self.scales / self.reach, -1.0, 1.0)
        return np.asarray((shares + 1.0) / 2.0 * (self.n_bins - 1))

    def _shares(self, outputs: ArrayLike) -> Floats:
        """Return the softmax over the bins, shape (n, 4, n_bins)."""
        logits = check_offsets(outputs, "outputs", self.n_outputs).reshape(-1, 4, self.n_bins)
        with np.errstate(over="ignore"):
            parts = np.exp(logits - logits.max(axis=2, keepdims=True))
        return np.asarray(parts / parts.sum(axis=2, keepdims=True))
