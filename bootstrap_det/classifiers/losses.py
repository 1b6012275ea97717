"""Losses of a decision value and their derivatives, for the linear model and for boosted trees.

With a score z, p = sigmoid(z) and p_t is the probability of the right class: p where the target y
is 1, 1 - p where it is 0. The margin m of a sample is z where y is 1 and -z where it is 0. Every
loss is computed from logarithms of p that do not underflow, so scores of any size are safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit as _expit

from bootstrap_det._validation import check_float, make_named
from bootstrap_det.classifiers.gradient_density import (
    MOMENTUM,
    N_BINS,
    check_bins,
    ghm_weights,
)
from bootstrap_det.exceptions import DataError

Floats = NDArray[np.float64]


class Loss(Protocol):
    """What a fit needs to know of a loss."""

    soft: ClassVar[bool]  # whether targets may lie between 0 and 1

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""


@dataclass(frozen=True)
class Hinge:
    """The support vector machine's loss, max(0, 1 - m), with its kink rounded off.

    Within ``smoothing`` of the kink at m = 1 it is the parabola (1 + h - m)^2 / (4 h), h being the
    smoothing, so that it has a gradient everywhere and L-BFGS can be used. It is larger than the
    hinge by at most h / 4.

    Parameters
    ----------
    smoothing : float, default=0.1
        Half the width of the parabola, 0 to 1. With 0 the gradient is a subgradient, 0 at the
        kink, and L-BFGS may stop early.

    References
    ----------
    C. Cortes and V. Vapnik, "Support-Vector Networks", Machine Learning 1995. O. Chapelle,
    "Training a Support Vector Machine in the Primal", Neural Computation 2007.
    """

    smoothing: float = 0.1
    soft: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_float(self.smoothing, "smoothing", "Hinge", low=0.0, high=1.0)

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""
        lack = 1.0 - _margins(*_checked(scores, targets, self))
        return np.where(lack >= self.smoothing, lack, self.smoothing * self._slope(lack) ** 2)

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""
        z, y = _checked(scores, targets, self)
        return (1.0 - 2.0 * y) * self._slope(1.0 - _margins(z, y))

    def _slope(self, lack: Floats) -> Floats:
        if self.smoothing < 1e-9:  # the quotient would overflow
            return (lack > 0.0).astype(np.float64)
        return np.clip((lack / self.smoothing + 1.0) / 2.0, 0.0, 1.0)


@dataclass(frozen=True)
class SquaredHinge:
    """The square of the hinge, max(0, 1 - m)^2, which has a gradient everywhere.

    References
    ----------
    R.-E. Fan et al., "LIBLINEAR: A Library for Large Linear Classification", JMLR 2008.
    """

    soft: ClassVar[bool] = False

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""
        return np.maximum(1.0 - _margins(*_checked(scores, targets, self)), 0.0) ** 2

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""
        z, y = _checked(scores, targets, self)
        return 2.0 * (1.0 - 2.0 * y) * np.maximum(1.0 - _margins(z, y), 0.0)


@dataclass(frozen=True)
class Logistic:
    """The cross-entropy, -y log p - (1 - y) log(1 - p), of hard or soft targets.

    Its gradient is p - y.
    """

    soft: ClassVar[bool] = True

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""
        return _cross_entropy(*_checked(scores, targets, self))

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""
        return _residuals(*_checked(scores, targets, self))


@dataclass(frozen=True)
class Focal:
    """The focal loss, -alpha_t (1 - p_t)^gamma log p_t: easy samples hardly count.

    alpha_t is ``alpha`` for positives and 1 - ``alpha`` for negatives. With gamma 0 and alpha 0.5
    it is half the logistic loss. It is not convex: a fit ends in a minimum that depends on where
    it starts.

    Parameters
    ----------
    gamma : float, default=2.0
        How much less an easy sample counts, 0 to 10.
    alpha : float, default=0.25
        Weight of the positives, 0.001 to 0.999.

    Notes
    -----
    Scores are not calibrated around 0. The paper's ``alpha`` of 0.25 gives positives a third of
    the negatives' weight, which moves the surface where scores are 0 towards the positives, and
    ``gamma`` flattens p near certainty. Objects may well score below 0: choose a detector's
    threshold from its curve, or calibrate it, or take an ``alpha`` of 0.5.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    gamma: float = 2.0
    alpha: float = 0.25
    soft: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_float(self.gamma, "gamma", "Focal", low=0.0, high=10.0)
        check_float(self.alpha, "alpha", "Focal", low=0.001, high=0.999)

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""
        z, y = _checked(scores, targets, self)
        margin = _margins(z, y)
        return self._alphas(y) * _sigmoid(-margin) ** self.gamma * _softplus(-margin)

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""
        z, y = _checked(scores, targets, self)
        margin = _margins(z, y)
        wrong = _sigmoid(-margin)
        slope = self.gamma * _sigmoid(margin) * _softplus(-margin) + wrong
        return (1.0 - 2.0 * y) * self._alphas(y) * wrong**self.gamma * slope

    def _alphas(self, targets: Floats) -> Floats:
        return targets * self.alpha + (1.0 - targets) * (1.0 - self.alpha)


@dataclass(frozen=True)
class QualityFocal:
    """The quality focal loss, abs(y - p)^beta times the cross-entropy, of soft targets.

    The target of a window is its overlap with the object, so that the score ranks windows by how
    well they fit. It is not convex, as :class:`Focal`.

    Parameters
    ----------
    beta : float, default=2.0
        How much less a sample counts whose p is near its target, 1 to 10; below 1 the loss would
        have a cusp there.

    References
    ----------
    X. Li et al., "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for
    Dense Object Detection", NeurIPS 2020.
    """

    beta: float = 2.0
    soft: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_float(self.beta, "beta", "QualityFocal", low=1.0, high=10.0)

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the loss of each sample, shape (n,)."""
        z, y = _checked(scores, targets, self)
        return np.abs(_residuals(z, y)) ** self.beta * _cross_entropy(z, y)

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Floats:
        """Return the derivative of each sample's loss with respect to its score, shape (n,)."""
        z, y = _checked(scores, targets, self)
        residuals = _residuals(z, y)
        size = np.abs(residuals)
        of_factor = self.beta * size ** (self.beta - 1.0) * np.sign(residuals)
        of_p = _sigmoid(z) * _sigmoid(-z)
        return of_factor * of_p * _cross_entropy(z, y) + size**self.beta * residuals


@dataclass(frozen=True)
class GHM:
    """The gradient harmonising loss GHM-C: the logistic loss, weighted by :func:`ghm_weights`.

    The weights depend on the scores of all samples, but are held fixed for a step: the gradient
    is that of the weighted logistic loss, not of the weights.

    Parameters
    ----------
    n_bins : int, default=30
        Bins of the gradient's norm, 1 to 10000.
    momentum : float, default=0.75
        How much of the counts before stays in a step over a batch, 0 to 0.999; it matters only
        where a state is handed on from step to step.

    References
    ----------
    B. Li, Y. Liu and X. Wang, "Gradient Harmonized Single-stage Detector", AAAI 2019.
    """

    n_bins: int = N_BINS
    momentum: float = MOMENTUM
    soft: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_bins(self.n_bins, self.momentum, "GHM")

    def weights(
        self,
        scores: ArrayLike,
        targets: ArrayLike,
        *,
        state: Floats | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Floats, Floats]:
        """Return the weights of the logistic losses, and the state; see :func:`ghm_weights`."""
        norms = np.abs(_residuals(*_checked(scores, targets, self)))
        return ghm_weights(
            norms, n_bins=self.n_bins, momentum=self.momentum, state=state,
            sample_weight=sample_weight,
        )  # fmt: skip

    def value(
        self, scores: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
    ) -> Floats:
        """Return the loss of each sample, with the weights given or those of these scores."""
        z, y = _checked(scores, targets, self)
        fixed = self.weights(z, y)[0] if weights is None else np.asarray(weights, np.float64)
        return fixed * _cross_entropy(z, y)

    def gradient(
        self, scores: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
    ) -> Floats:
        """Return the derivative of each sample's loss, its weight held fixed."""
        z, y = _checked(scores, targets, self)
        fixed = self.weights(z, y)[0] if weights is None else np.asarray(weights, np.float64)
        return fixed * _residuals(z, y)


LOSSES: dict[str, type[Any]] = {
    "hinge": Hinge,
    "squared-hinge": SquaredHinge,
    "logistic": Logistic,
    "focal": Focal,
    "ghm": GHM,
    "qfl": QualityFocal,
}


def make_loss(name: str, **params: Any) -> Any:
    """Return the loss of :data:`LOSSES` that is called ``name``, with its parameters.

    Raises
    ------
    ParameterError
        When there is no such loss, or it has no such parameter, or the value is out of range.
    """
    return make_named(LOSSES, "loss", name, params)


def _checked(scores: ArrayLike, targets: ArrayLike, loss: Loss) -> tuple[Floats, Floats]:
    """Return scores and targets as float64, or raise DataError."""
    z, y = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
    name = type(loss).__name__
    if z.ndim != 1 or z.shape != y.shape:
        raise DataError(
            f"The scores and targets of {name} must be two lists of one length. "
            f"Got shapes {z.shape} and {y.shape}."
        )
    allowed = (y >= 0.0) & (y <= 1.0) if loss.soft else (y == 0.0) | (y == 1.0)
    if not allowed.all():
        wanted = "in [0, 1]" if loss.soft else "0 or 1; 'qfl' and 'logistic' take those between"
        raise DataError(f"The targets of {name} must be {wanted}. Got {y[~allowed][0]:g}.")
    return z, y


def _margins(z: Floats, y: Floats) -> Floats:
    return (2.0 * y - 1.0) * z


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(_expit(z), np.float64)


def _softplus(z: Floats) -> Floats:
    """Return log(1 + exp(z))."""
    return np.asarray(np.logaddexp(0.0, z), np.float64)


def _cross_entropy(z: Floats, y: Floats) -> Floats:
    return y * _softplus(-z) + (1.0 - y) * _softplus(z)


def _residuals(z: Floats, y: Floats) -> Floats:
    """Return p - y, not rounded to 0 where p is within rounding of a hard target."""
    return (1.0 - y) * _sigmoid(z) - y * _sigmoid(-z)
