"""Fitting a linear support vector machine, with its C chosen by a small cross-validation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from bootstrap_det._validation import check_float
from bootstrap_det.exceptions import DataError

C_GRID = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
N_FOLDS = 3
MAX_CROSS_VALIDATION_SAMPLES = 4000


def fit_linear_svm(
    features: NDArray[np.float32],
    labels: NDArray[np.bool_],
    *,
    C: float | None = None,  # noqa: N803 - the name that scikit-learn gave it
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> LinearSVC:
    """Return a fitted ``LinearSVC``; its ``C`` attribute is the one used.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features), float32
        Feature vectors.
    labels : ndarray of shape (n_samples,), bool
        True for objects.
    C : float or None, default=None
        Inverse strength of regularisation; by default :func:`choose_c`.
    seed : int, default=0
        For the folds of the cross-validation.
    weights : ndarray of shape (n_samples,) or None, default=None
        Of the samples' losses; by default 1.

    Raises
    ------
    DataError
        When one class is missing or a feature is not finite.
    """
    _check_samples(features, labels)
    if C is None:
        C = choose_c(features, labels, seed=seed)  # noqa: N806
    C = check_float(C, "C", "fit_linear_svm", low=1e-8, high=1e8)  # noqa: N806
    return _fit(features, labels, C, weights)


def choose_c(features: NDArray[np.float32], labels: NDArray[np.bool_], *, seed: int = 0) -> float:
    """Return the C of :data:`C_GRID` by stratified cross-validated F1 score.

    F1 judges the decision surface itself. A ranking measure would not do: too small a C ranks
    well and yet puts every score below 0, so the detector finds nothing. The smallest C within
    one standard error of the best wins (Breiman's rule).
    At most :data:`MAX_CROSS_VALIDATION_SAMPLES` samples take part.
    """
    _check_samples(features, labels)
    rng = np.random.default_rng(seed)
    chosen = _stratified_sample(labels, MAX_CROSS_VALIDATION_SAMPLES, rng)
    features, labels = features[chosen], labels[chosen]
    n_folds = int(min(N_FOLDS, labels.sum(), (~labels).sum()))
    if n_folds < 2:
        return 0.01
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=int(rng.integers(2**31)))
    scores = np.array(
        [
            [_fold_score(features, labels, train, test, c) for c in C_GRID]
            for train, test in folds.split(features, labels)
        ]
    )
    mean, error = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(n_folds)
    best = int(mean.argmax())
    return C_GRID[int(np.argmax(mean >= mean[best] - error[best]))]


def _fold_score(
    features: NDArray[Any], labels: NDArray[Any], train: Any, test: Any, c: float
) -> float:
    scores = _fit(features[train], labels[train], c).decision_function(features[test])
    return float(f1_score(labels[test], scores >= 0.0, zero_division=0.0))


def _fit(
    features: NDArray[Any],
    labels: NDArray[Any],
    c: float,
    weights: NDArray[np.float64] | None = None,
) -> LinearSVC:
    estimator = LinearSVC(C=c, dual=False, tol=1e-3)
    with warnings.catch_warnings():
        # The primal solver stops at max_iter with a usable model; a detector's next round
        # refits it anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(features, labels, sample_weight=weights)


def _stratified_sample(
    labels: NDArray[np.bool_], limit: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    if len(labels) <= limit:
        return np.arange(len(labels))
    parts = []
    for value in (False, True):
        of_class = np.flatnonzero(labels == value)
        n_wanted = max(round(limit * len(of_class) / len(labels)), 2)
        parts.append(rng.choice(of_class, min(n_wanted, len(of_class)), replace=False))
    return np.sort(np.concatenate(parts))


def _check_samples(features: NDArray[Any], labels: NDArray[Any]) -> None:
    n_positives = int(np.count_nonzero(labels))
    n_negatives = len(labels) - n_positives
    if not n_positives or not n_negatives:
        raise DataError(
            f"A linear SVM needs positives and negatives. Got {n_positives} positives and "
            f"{n_negatives} negatives; check the annotations and the folder of negatives."
        )
    if not np.isfinite(features).all():
        raise DataError("The features hold NaN or infinite values. Check the pictures for them.")
