"""Fitting the classes inside a group, with strength and temperature from held-out objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.scaling import FEATURE_SCALE
from bootstrap_det.exceptions import DataError

C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
DEFAULT_C = 1e-2  # where no object can be held out
N_FOLDS = 3
MAX_ITERATIONS = 200
MAX_TEMPERATURE = 20.0


@dataclass(frozen=True)
class ClassFit:
    """How the classes of a group were fitted.

    Attributes
    ----------
    n_objects : dict of str to int
        Of each class that has any.
    C : float
        Inverse strength of the regularisation, of the least loss on held-out objects.
    temperature : float
        What the logits are divided by, of the least loss on held-out objects.
    accuracy : float or None
        Share of held-out windows whose class is found; None where nothing could be held out.
    """

    n_objects: dict[str, int]
    C: float = DEFAULT_C
    temperature: float = 1.0
    accuracy: float | None = None


@dataclass(frozen=True)
class _HeldOut:
    """Logits of windows of objects that the model did not see, and the column of their class."""

    logits: NDArray[np.float64]
    columns: NDArray[np.intp]

    def loss(self, temperature: float = 1.0, doubt: float = 0.0) -> float:
        """Return the mean negative log probability of the true class.

        ``doubt`` is the share of each window that counts for all classes alike.
        """
        logs = log_softmax(self.logits / temperature, axis=1)
        true = logs[np.arange(len(logs)), self.columns]
        return -float(((1.0 - doubt) * true + doubt * logs.mean(axis=1)).mean())


def fit_classes(
    features: NDArray[Any],
    labels: NDArray[np.str_],
    objects: NDArray[np.intp],
    *,
    C: float | None = None,  # noqa: N803 - the name that scikit-learn gave it
    balanced: bool = True,
    seed: int = 0,
) -> tuple[ClassModel, ClassFit]:
    """Return a model that tells classes apart, and how it was fitted.

    Multinomial logistic regression, its C chosen by cross-validation over objects: all windows of
    an object are held out together. The logits' temperature [1]_ is fitted on the same held-out
    windows, one object's worth of doubt added. A class of one object is learnt, but takes no part
    in either choice.

    Parameters
    ----------
    features : ndarray of shape (n, n_features), uint8 or float32
        Windows of objects of one group, all classes.
    labels : ndarray of shape (n,), str
        Their classes.
    objects : ndarray of shape (n,), int
        Which object each window shows; several may show the same, changed.
    C : float or None, default=None
        Inverse strength of the regularisation; by default one of :data:`C_GRID`.
    balanced : bool, default=True
        Every class the same weight, whatever its number of windows.
    seed : int, default=0
        For the folds.

    Raises
    ------
    DataError
        When there is no window, or a feature is not finite.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    """
    if not len(features) or not np.isfinite(features).all():
        what = "NaN or infinite features" if len(features) else "no window of any object"
        raise DataError(f"The classes of a group cannot be learnt: there is {what}. Check the set.")
    # Bytes as they are would need another C.
    scale = FEATURE_SCALE if features.dtype == np.uint8 else 1.0
    scaled = features.astype(np.float32) / np.float32(scale)
    names, columns = np.unique(labels, return_inverse=True)
    counts = {str(n): len(set(objects[labels == n].tolist())) for n in names}
    if len(names) == 1:
        alone = ClassModel(
            (str(names[0]),), np.zeros((1, features.shape[1]), np.float32), np.zeros(1)
        )
        return alone, ClassFit(counts)
    # Sums of several threads would differ from machine to machine.
    with threadpool_limits(limits=1, user_api="blas"):
        folds = _folds(columns, objects, np.random.default_rng([seed, 17]))
        c, held_out = _choose(scaled, columns, folds, (C,) if C else C_GRID, balanced)
        weights, bias = _fit(scaled, columns, c, balanced, len(names))
    temperature = _temperature(held_out, sum(counts.values()))
    model = ClassModel(
        tuple(map(str, names)),
        (weights / (scale * temperature)).astype(np.float32),
        bias / temperature,
    )
    return model, ClassFit(counts, c, temperature, _accuracy(held_out))


def _folds(
    columns: NDArray[np.intp], objects: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the fold of each row: objects of each class dealt out in turn."""
    folds = np.empty(len(objects), np.intp)
    for column in np.unique(columns):
        names = rng.permutation(np.unique(objects[columns == column]))
        for index, name in enumerate(names):
            folds[objects == name] = index % N_FOLDS
    return folds


def _choose(
    features: NDArray[np.float32],
    columns: NDArray[np.intp],
    folds: NDArray[np.intp],
    grid: tuple[float, ...],
    balanced: bool,
) -> tuple[float, _HeldOut | None]:
    """Return the C of the least loss on held-out windows, and these windows' logits."""
    best: tuple[float, _HeldOut | None] = (grid[0] if len(grid) == 1 else DEFAULT_C, None)
    for c in grid:
        parts = list(_held_out(features, columns, folds, c, balanced))
        if not parts:
            return best
        held_out = _HeldOut(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        if best[1] is None or held_out.loss() < best[1].loss():
            best = (c, held_out)
    return best


def _held_out(
    features: NDArray[np.float32],
    columns: NDArray[np.intp],
    folds: NDArray[np.intp],
    c: float,
    balanced: bool,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.intp]]]:
    """Yield logits and classes of each fold's windows, those of classes that the rest has."""
    n_classes = int(columns.max()) + 1
    for fold in range(N_FOLDS):
        rest = folds != fold
        tested = ~rest & np.isin(columns, columns[rest])
        if len(np.unique(columns[rest])) > 1 and tested.any():
            weights, bias = _fit(features[rest], columns[rest], c, balanced, n_classes)
            yield features[tested] @ weights.T + bias, columns[tested]


def _fit(
    features: NDArray[np.float32],
    columns: NDArray[np.intp],
    c: float,
    balanced: bool,
    n_classes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (n_classes, n_features) and biases; classes without rows are never found."""
    estimator = LogisticRegression(
        C=c, class_weight="balanced" if balanced else None, max_iter=MAX_ITERATIONS, tol=1e-3
    )
    with warnings.catch_warnings():
        # The solver stops at its limit with a usable model.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(features, columns)
    coef, intercept = estimator.coef_, estimator.intercept_
    if len(estimator.classes_) == 2:  # one row, for the second class
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.repeat(intercept, 2) * [-0.5, 0.5]
    weights, bias = np.zeros((n_classes, features.shape[1])), np.full(n_classes, -1e3)
    weights[estimator.classes_], bias[estimator.classes_] = coef, intercept
    return weights, bias


def _temperature(held_out: _HeldOut | None, n_objects: int) -> float:
    if held_out is None:
        return 1.0
    # As in Platt's targets: where no held-out object is mistaken, the next one may be.
    doubt, limit = 1.0 / (n_objects + 2.0), np.log(MAX_TEMPERATURE)

    def loss(log: float) -> float:
        return held_out.loss(float(np.exp(log)), doubt)

    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def _accuracy(held_out: _HeldOut | None) -> float | None:
    if held_out is None:
        return None
    return float((held_out.logits.argmax(axis=1) == held_out.columns).mean())
