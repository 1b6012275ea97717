"""What a round is fitted on: feature vectors of both classes, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.arrays import concatenate


@dataclass(frozen=True)
class Samples:
    """What a round is fitted on.

    Attributes
    ----------
    positives, negatives : ndarray of shape (n, n_features), float32 or uint8
        Feature vectors.
    objects : ndarray of shape (n_positives,), int
        Which object each positive shows; several may show the same, changed.
    shape : tuple of int
        Channels, rows and columns of the window.
    n_plain : int
        How many of the features, from the first, are values of a level as they are, which a scan
        has at hand for all windows at once.
    positive_scores, negative_scores : ndarray of float64 or None, default=None
        By the model of the round before.
    positive_weights, negative_weights : ndarray of float64 or None, default=None
        Of the samples; by default 1.
    ious : ndarray of shape (n_positives,), float64, or None, default=None
        How well each positive agrees with its object; by default 1.
    kinds : ndarray of shape (n_positives,), uint8, or None, default=None
        Of the positives, what a strategy asked for, see :class:`bootstrap_det.samples.ObjectRows`.
    n_random : int, default=0
        How many of the negatives, from the first, were drawn at random.
    learnt : LinearModel, TreeModel or None, default=None
        The model that an online strategy has arrived at while it drew the negatives.
    notes : dict, default={}
        What strategies did to the samples, JSON-ready, for the round's record.
    """

    positives: NDArray[Any]
    objects: NDArray[np.intp]
    negatives: NDArray[Any]
    shape: tuple[int, int, int]
    n_plain: int
    positive_scores: NDArray[np.float64] | None = None
    negative_scores: NDArray[np.float64] | None = None
    positive_weights: NDArray[np.float64] | None = None
    negative_weights: NDArray[np.float64] | None = None
    ious: NDArray[np.float64] | None = None
    kinds: NDArray[np.uint8] | None = None
    n_random: int = 0
    learnt: Any = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Of all samples, the positives in front."""
        return np.arange(len(self.positives) + len(self.negatives)) < len(self.positives)

    def weights(self, keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64] | None:
        """Return the weights of all samples, of the positives only those to keep; None for 1."""
        if self.positive_weights is None and self.negative_weights is None:
            return None
        return _joined(
            self.positive_weights, len(self.positives), self.negative_weights, len(self.negatives),
            keep,
        )  # fmt: skip

    def targets(self, keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return what each sample is worth: a positive its agreement, a negative 0."""
        nothing = np.zeros(len(self.negatives))
        return _joined(self.ious, len(self.positives), nothing, len(nothing), keep)

    def weighted(self, factors: NDArray[np.float64]) -> Samples:
        """Return the samples with their weights times ``factors``, the positives in front."""
        weights = self.weights()
        weights = factors if weights is None else weights * factors
        n = len(self.positives)
        return replace(self, positive_weights=weights[:n], negative_weights=weights[n:])

    def chosen(self, positives: NDArray[Any], negatives: NDArray[Any]) -> Samples:
        """Return some of the samples, by index or mask of either class."""

        def of(values: Any, rows: NDArray[Any]) -> Any:
            return None if values is None else values[rows]

        random = np.arange(len(self.negatives)) < self.n_random
        return replace(
            self,
            positives=self.positives[positives],
            objects=self.objects[positives],
            negatives=self.negatives[negatives],
            positive_scores=of(self.positive_scores, positives),
            negative_scores=of(self.negative_scores, negatives),
            positive_weights=of(self.positive_weights, positives),
            negative_weights=of(self.negative_weights, negatives),
            ious=of(self.ious, positives),
            kinds=of(self.kinds, positives),
            n_random=_leading(random[negatives]),
        )

    def stacked(self, keep: NDArray[np.bool_] | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return all features and labels, of the positives only those to keep."""
        positives = self.positives if keep is None else self.positives[keep]
        features = concatenate([positives, self.negatives])
        return features, np.arange(len(features)) < len(positives)


def _joined(
    positive: NDArray[np.float64] | None,
    n_positives: int,
    negative: NDArray[np.float64] | None,
    n_negatives: int,
    keep: NDArray[np.bool_] | None,
) -> NDArray[np.float64]:
    """Return values of the positives to keep, then of the negatives; 1 where there are none."""
    first = np.ones(n_positives) if positive is None else positive
    second = np.ones(n_negatives) if negative is None else negative
    return np.concatenate([first if keep is None else first[keep], second])


def _leading(flags: NDArray[np.bool_]) -> int:
    """Return how many flags are set before the first that is not."""
    return len(flags) if flags.all() else int(np.argmin(flags))
