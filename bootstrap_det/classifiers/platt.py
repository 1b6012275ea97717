"""Scores as log odds (J. Platt, "Probabilistic outputs for support vector machines", 1999)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression


def platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Return factor and offset that make scores log odds, where both classes weigh the same."""
    unit = max(float(scores.std()), 1e-9)  # scores of any size are fitted alike
    fitted = LogisticRegression(C=1e3, class_weight="balanced").fit(scores[:, None] / unit, labels)
    return float(fitted.coef_[0, 0]) / unit, float(fitted.intercept_[0])


def calibrate(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Return factor and offset that make scores log odds, of outcomes as often as they occur.

    The outcomes are Platt's smoothed targets, so that the probabilities stay short of 0 and 1
    where the scores of hits and misses are apart. Without any outcome, scores are log odds.
    """
    if not len(scores):
        return 1.0, 0.0
    unit = max(float(scores.std()), 1e-9)
    n_hits, n_misses = int(hits.sum()), int((~hits).sum())
    targets = np.where(hits, (n_hits + 1) / (n_hits + 2), 1 / (n_misses + 2))
    rows = np.concatenate([scores, scores])[:, None] / unit
    outcomes = np.repeat([True, False], len(scores))
    weights = np.concatenate([targets, 1.0 - targets])
    fitted = LogisticRegression(C=1e3).fit(rows, outcomes, sample_weight=weights)
    return float(fitted.coef_[0, 0]) / unit, float(fitted.intercept_[0])
