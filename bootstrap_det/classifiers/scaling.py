"""Features in the range that a classifier is fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.arrays import empty, parts_of
from bootstrap_det.exceptions import DataError

FEATURE_SCALE = 64.0  # that linear models see bytes in, so that they are about 1


def about_one(features: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """Return features of about 1, for a linear model, and what they were divided by.

    Bytes as they are would need another C.
    """
    if features.dtype != np.uint8:
        return features, 1.0
    return features.astype(np.float32) / np.float32(FEATURE_SCALE), FEATURE_SCALE


def value_scale(features: NDArray[Any]) -> float:
    """Return the factor that brings features to 0 to 255, but for their largest 0.2 %."""
    if features.dtype == np.uint8:
        return 1.0
    top = float(np.quantile(features[:: max(len(features) // 2000, 1)], 0.998))
    return 255.0 / top if top > 0 else 1.0


def to_bytes(features: NDArray[Any], scale: float) -> NDArray[np.uint8]:
    """Return features times ``scale`` as bytes, for trees."""
    if features.dtype == np.uint8:
        return features
    out: NDArray[np.uint8] = empty(features.shape, np.uint8)
    for rows in parts_of(features):
        out[rows] = np.clip(np.floor(features[rows] * scale), 0, 255)
    return out


def require_finite(*features: NDArray[Any]) -> None:
    """Refuse features that are NaN or infinite.

    Raises
    ------
    DataError
        When there are any.
    """
    if not all(np.isfinite(part[rows]).all() for part in features for rows in parts_of(part)):
        raise DataError("The features hold NaN or infinite values. Check the pictures for them.")
