"""What strategies share: rows of samples moved, added, and scored as probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bootstrap_det.classifiers.platt import platt
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.samples import NEAR


def near_as_negatives(samples: Samples) -> tuple[Samples, NDArray[np.float64]]:
    """Return the samples with the windows beside objects among the negatives.

    The second result is the agreement of each negative with an object: 0 for windows of the
    pictures, which come first.
    """
    kinds, ious = kinds_of(samples), _ious(samples)
    near = kinds == NEAR
    moved = samples.chosen(~near, np.arange(len(samples.negatives)))
    negatives = np.concatenate([moved.negatives, samples.positives[near]])
    agreement = np.concatenate([np.zeros(len(moved.negatives)), ious[near]])
    scores = weights = None
    if samples.negative_scores is not None and samples.positive_scores is not None:
        scores = np.concatenate([samples.negative_scores, samples.positive_scores[near]])
    if moved.negative_weights is not None:
        weights = np.concatenate([moved.negative_weights, np.ones(near.sum())])
    return replace(
        moved, negatives=negatives, negative_scores=scores, negative_weights=weights
    ), agreement


def with_more_positives(samples: Samples, others: Samples) -> Samples:
    """Return the samples with the positives of ``others`` behind their own."""
    names = ("positives", "objects", "positive_scores", "positive_weights", "ious", "kinds")
    pairs = {name: (getattr(samples, name), getattr(others, name)) for name in names}
    joined: dict[str, Any] = {
        name: np.concatenate(pair) for name, pair in pairs.items() if pair[0] is not None
    }
    return replace(samples, **joined)


def probabilities(samples: Samples) -> NDArray[np.float64] | None:
    """Return the probability of each sample to be an object, the positives in front.

    Scores of the round before are calibrated on the samples themselves [1]_, each class with half
    of the weight. None in round 0, which has no scores.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    if samples.positive_scores is None or samples.negative_scores is None:
        return None
    scores = np.concatenate([samples.positive_scores, samples.negative_scores])
    scores = np.where(np.isfinite(scores), scores, 0.0)
    factor, offset = platt(scores, samples.labels)
    return np.asarray(expit(factor * scores + offset))


def kinds_of(samples: Samples) -> NDArray[np.uint8]:
    """Return the kind of each positive; ``COPY`` where none is known."""
    return np.zeros(len(samples.positives), np.uint8) if samples.kinds is None else samples.kinds


def _ious(samples: Samples) -> NDArray[np.float64]:
    return np.ones(len(samples.positives)) if samples.ious is None else samples.ious
