"""Labels and weights of samples as every estimator of the package takes and refuses them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from bootstrap_det.exceptions import DataError


def encode_labels(y: NDArray[Any], owner: str) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the two labels and, for each sample, which of them it has.

    Raises
    ------
    DataError
        When there are other than two.
    """
    check_classification_targets(y)
    classes, encoded = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise DataError(
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(y)}: {owner} needs samples of 2 classes. Got "
            f"{len(classes)} class{'es' * (len(classes) != 1)}; "
            "check the annotations and the negatives."
        )
    return classes, encoded


def check_weights(
    sample_weight: ArrayLike | None, encoded: NDArray[np.intp], owner: str
) -> NDArray[np.float64]:
    """Return the weights of the samples, float64, by default ones.

    Raises
    ------
    DataError
        When they are not finite, negative, not one a sample, or all zero for one of the labels.
    """
    weights = np.ones(len(encoded)) if sample_weight is None else np.array(sample_weight, float)
    if weights.shape != encoded.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError(
            f"The sample weights of {owner} must be finite, not negative, and one a sample. "
            f"Got shape {weights.shape} for {len(encoded)} samples."
        )
    totals = np.bincount(encoded, weights, minlength=2)
    if (totals <= 0).any():
        raise DataError(
            f"{owner} needs samples of 2 classes with sample weights that are not all zero. "
            f"Got {totals[0]:g} and {totals[1]:g} in all."
        )
    return weights


def seed_of(random_state: Any) -> int | None:
    """Return the seed that scikit-learn's ``random_state`` stands for."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return random_state  # type: ignore[no-any-return]
