"""Soft sampling: every sample takes part, but they weigh differently.

Losses of a linear model and of boosted trees are in :mod:`bootstrap_det.classifiers.losses`; here
they are chosen, or turned into weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.classifiers.learners import BoostedLearner, Learner, LinearLearner
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.mining.strategy import Round, Strategy
from bootstrap_det.samples import Jitter


@dataclass(frozen=True)
class ClassWeight(Strategy):
    """Weight the classes: by default ``n / (n_classes * n_c)``, so that each weighs the same.

    Boosted trees start with equal classes anyway, so only weights that are given change them.

    Parameters
    ----------
    positive, negative : float, default=0.0
        Weight of each sample of the class; 0 for the balanced one.
    """

    positive: float = 0.0
    negative: float = 0.0
    name: ClassVar[str] = "class-weight"

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            check_float(getattr(self, side), side, self.name, low=0.0, high=1e6)

    def weights(self, labels: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the weight of each sample, shape (n,)."""
        n, n_positives = len(labels), int(labels.sum())
        positive = self.positive or n / (2 * max(n_positives, 1))
        negative = self.negative or n / (2 * max(n - n_positives, 1))
        return np.where(labels, positive, negative)

    def learner(self, learner: Learner) -> Learner:
        """Return boosted trees with the classes' shares of the weight at the start."""
        if isinstance(learner, BoostedLearner) and self.positive and self.negative:
            share = self.positive / (self.positive + self.negative)
            return replace(learner, positive_share=share)
        return learner

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with their weights."""
        return samples.weighted(self.weights(samples.labels))


@dataclass(frozen=True)
class Focal(Strategy):
    """``-alpha_t (1 - p_t)^gamma log p_t``: what is classified well has hardly a say.

    Parameters
    ----------
    gamma : float, default=2.0
        How fast the say falls with the probability of the right class.
    alpha : float, default=0.25
        Weight of positives, that of negatives being ``1 - alpha``; of a linear model. Boosted
        trees give each class half.

    References
    ----------
    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    gamma: float = 2.0
    alpha: float = 0.25
    name: ClassVar[str] = "focal"

    def __post_init__(self) -> None:
        check_float(self.gamma, "gamma", self.name, low=0.0, high=20.0)
        check_float(self.alpha, "alpha", self.name, low=0.01, high=0.99)

    def learner(self, learner: Learner) -> Learner:
        """Return the learner with this loss."""
        if isinstance(learner, BoostedLearner):
            return replace(learner, loss="focal", gamma=self.gamma)
        linear = as_linear(learner, self.name)
        return replace(linear, loss="focal", loss_params={"gamma": self.gamma, "alpha": self.alpha})


@dataclass(frozen=True)
class Ghm(Strategy):
    """Weigh samples by the inverse density of their gradients: neither the easy mass nor outliers.

    ``g = |p - y|``; ``GD(g)`` is how many samples lie in its bin over the bin's length, and the
    weight ``N / GD(g)``.

    Parameters
    ----------
    n_bins : int, default=30
        Bins of the gradient.
    momentum : float, default=0.0
        Share of the former counts in a bin's count; of a linear model.

    References
    ----------
    B. Li, Y. Liu and X. Wang, "Gradient Harmonized Single-stage Detector", AAAI 2019.
    """

    n_bins: int = 30
    momentum: float = 0.0
    name: ClassVar[str] = "ghm"

    def __post_init__(self) -> None:
        check_int(self.n_bins, "n_bins", self.name, low=2, high=1000)
        check_float(self.momentum, "momentum", self.name, low=0.0, high=0.99)

    def learner(self, learner: Learner) -> Learner:
        """Return the learner with this loss."""
        if isinstance(learner, BoostedLearner):
            return replace(learner, loss="ghm")
        params = {"n_bins": self.n_bins, "momentum": self.momentum}
        return replace(as_linear(learner, self.name), loss="ghm", loss_params=params)


@dataclass(frozen=True)
class Qfl(Strategy):
    """``-|y - p|^beta ((1 - y) log(1 - p) + y log p)`` with y the agreement of the window.

    Parameters
    ----------
    beta : float, default=2.0
        How fast the say of a sample falls as its probability comes close to its agreement.
    n_copies : int, default=4
        Least number of changed copies of a positive, of other agreement than 1.
    shift, scale : float, default=0.0
        Least limits of their change, see :class:`Jitter`; by default those that there are.

    References
    ----------
    X. Li et al., "Generalized Focal Loss", NeurIPS 2020.
    """

    beta: float = 2.0
    n_copies: int = 4
    shift: float = 0.0
    scale: float = 0.0
    name: ClassVar[str] = "qfl"

    def __post_init__(self) -> None:
        check_float(self.beta, "beta", self.name, low=0.0, high=20.0)
        _check_spread(self)

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return a jitter whose copies agree with their object more and less."""
        return spread(jitter, self)

    def learner(self, learner: Learner) -> Learner:
        """Return the linear learner with this loss."""
        linear = as_linear(learner, self.name)
        return replace(linear, loss="qfl", loss_params={"beta": self.beta})


@dataclass(frozen=True)
class Pisa(Strategy):
    """Prime samples: positives that agree best with their object, and the hardest negatives.

    Positives are ranked by agreement within each object, and by it again among those of the same
    rank (IoU-HLR); negatives by score. With the rank r of n, ``u = (n - r) / n`` and the weight is
    ``((1 - beta) u + beta)^gamma``, over its mean in each class.

    Parameters
    ----------
    beta : float, default=0.2
        Weight of the last, before the exponent.
    gamma : float, default=2.0
        How steeply the weight falls.
    n_copies : int, default=4
        Least number of changed copies of a positive, to be ranked.
    shift, scale : float, default=0.0
        Least limits of their change, see :class:`Jitter`; by default those that there are.

    References
    ----------
    Y. Cao, K. Chen, C. C. Loy and D. Lin, "Prime Sample Attention in Object Detection", CVPR 2020.
    """

    beta: float = 0.2
    gamma: float = 2.0
    n_copies: int = 4
    shift: float = 0.0
    scale: float = 0.0
    name: ClassVar[str] = "pisa"

    def __post_init__(self) -> None:
        check_float(self.beta, "beta", self.name, low=0.0, high=1.0)
        check_float(self.gamma, "gamma", self.name, low=0.0, high=20.0)
        _check_spread(self)

    def weights(self, ranks: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the weight of each sample by its rank, 0 for the best, of mean 1."""
        n = max(len(ranks), 1)
        weights = ((1.0 - self.beta) * (n - ranks) / n + self.beta) ** self.gamma
        return np.asarray(weights / weights.mean()) if len(ranks) else weights

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return a jitter whose copies agree with their object more and less."""
        return spread(jitter, self)

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with their weights; of negatives from round 1 on."""
        n = len(samples.positives)
        ious = np.ones(n) if samples.ious is None else samples.ious
        positive = self.weights(hierarchical_ranks(ious, samples.objects))
        negative = np.ones(len(samples.negatives))
        if samples.negative_scores is not None:
            negative = self.weights(ranks_of(samples.negative_scores))
        return samples.weighted(np.concatenate([positive, negative]))


def hierarchical_ranks(values: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rank of each sample: first by its place in its group, then by its value.

    All groups' best come first, among themselves by value, then all second ones, and so on.
    """
    order = np.lexsort((-values, groups))
    sizes = np.unique(groups, return_counts=True)[1]
    places = np.empty(len(values), np.intp)
    places[order] = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else 0
    ranks = np.empty(len(values), np.intp)
    ranks[np.lexsort((-values, places))] = np.arange(len(values))
    return ranks


def ranks_of(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the rank of each value, 0 for the highest."""
    ranks = np.empty(len(values), np.intp)
    ranks[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return ranks


def as_linear(learner: Learner, name: str) -> LinearLearner:
    """Return the learner if it is a linear one.

    Raises
    ------
    ParameterError
        When it is not.
    """
    if not isinstance(learner, LinearLearner):
        raise ParameterError(
            f"The strategy {name!r} changes the loss of a linear model, so it needs the classifier "
            f"'svm'. Got {learner.name!r}; choose 'focal' or 'ghm' for boosted trees."
        )
    return learner


def spread(jitter: Jitter, wanted: Qfl | Pisa) -> Jitter:
    """Return a jitter of at least this many copies and this much change."""
    return replace(
        jitter,
        n_copies=max(jitter.n_copies, wanted.n_copies),
        shift=max(jitter.shift, wanted.shift),
        scale=max(jitter.scale, wanted.scale),
    )


def _check_spread(wanted: Qfl | Pisa) -> None:
    check_int(wanted.n_copies, "n_copies", wanted.name, low=1, high=1000)
    check_float(wanted.shift, "shift", wanted.name, low=0.0, high=0.5)
    check_float(wanted.scale, "scale", wanted.name, low=0.0, high=0.5)
