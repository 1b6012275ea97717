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
