"""A linear classifier with a choice of losses, fitted at once or batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from bootstrap_det._validation import check_choice, check_float, check_int
from bootstrap_det.classifiers.labels import check_weights, encode_labels, seed_of
from bootstrap_det.classifiers.linear_solvers import (
    AveragedDescent,
    Problem,
    Solution,
    descend,
    first_rate,
    harmonise,
    linear_scores,
    minimise,
    one_thread,
)
from bootstrap_det.classifiers.losses import GHM, Logistic, Loss, make_loss
from bootstrap_det.exceptions import DataError, ParameterError

Floats = NDArray[np.float64]

SOLVERS = ("lbfgs", "sgd")


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier with any loss of :data:`~bootstrap_det.classifiers.losses.LOSSES`.

    Minimises ``0.5 * |w|^2 + C * sum(sample_weight * loss)``, which is what ``C`` means to
    scikit-learn's ``LinearSVC`` and ``LogisticRegression``. The intercept is not regularised.

    Parameters
    ----------
    loss : {"squared-hinge", "hinge", "logistic", "focal", "ghm", "qfl"}, default="squared-hinge"
        The loss. ``focal`` and ``qfl`` are not convex: the fit is the minimum that is reached from
        zero. Scores of ``focal`` are not calibrated around 0. The kink of ``hinge`` is rounded
        off. ``ghm`` is fitted again and again, with the mean of the weights that the fits before
        gave rise to, until it is stable; its momentum is for :meth:`step`.
    loss_params : dict or None, default=None
        Parameters of the loss, such as ``{"gamma": 1.0}``.
    C : float, default=1.0
        Inverse strength of regularisation.
    solver : {"lbfgs", "sgd"}, default="lbfgs"
        L-BFGS over all samples, or averaged stochastic gradient descent in batches of 8.
    max_iter : int, default=1000
        Most iterations of L-BFGS, or epochs of the descent; ``ghm`` has as many for each of its
        fits.
    tol : float, default=1e-4
        L-BFGS ends when no entry of the gradient is larger than this times the largest at zero;
        the descent, when two epochs in a row change the objective by less than this, relative
        to that at zero.
    random_state : int, RandomState or None, default=0
        For the order of the samples in the descent.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Labels; the second is the positive one.
    coef_ : ndarray of shape (1, n_features_in_,), float64
        Weights.
    intercept_ : ndarray of shape (1,), float64
        Added to every score.
    n_iter_ : int
        Iterations or epochs of the fit, or steps since.
    converged_ : bool
        Whether the solver ended before ``max_iter``. There is no warning: a model that stopped
        early is usable, and a detector's next round refits it anyway.

    References
    ----------
    D. Liu and J. Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization",
    Mathematical Programming 1989. L. Bottou, "Stochastic Gradient Descent Tricks", 2012.
    """

    _descent: AveragedDescent | None
    _counts: Floats | None  # of ghm

    def __init__(
        self,
        *,
        loss: str = "squared-hinge",
        loss_params: dict[str, Any] | None = None,
        C: float = 1.0,  # noqa: N803 - the name that scikit-learn gave it
        solver: str = "lbfgs",
        max_iter: int = 1000,
        tol: float = 1e-4,
        random_state: Any = 0,
    ) -> None:
        self.loss = loss
        self.loss_params = loss_params
        self.C = C
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        targets: ArrayLike | None = None,
    ) -> Any:
        """Fit the weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. Those of float32 or float64 are not copied; bytes become float32.
        y : array-like of shape (n_samples,)
            Two labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Not negative; a weight of 2 counts as the sample twice.
        targets : array-like of shape (n_samples,) or None, default=None
            Targets between 0 and 1 for the losses that take them (``qfl``, ``logistic``), by
            default 1 for the second label and 0 for the first.

        Raises
        ------
        ParameterError
            When a parameter is out of its range.
        DataError
            When there are other than two labels, or weights or targets are not what they must be.
        ValueError
            When a feature is NaN or infinite, or the shapes do not agree.
        """
        loss = self._checked_loss()
        samples, y = self._checked_samples(X, y)
        name = type(self).__name__
        self.classes_, encoded = encode_labels(y, name)
        weights = check_weights(sample_weight, encoded, name)
        total = float(weights.sum())
        wanted = _checked_targets(targets, encoded, loss)
        problem = Problem(samples, wanted, weights / total, 1.0 / (self.C * total))
        start = np.zeros(samples.shape[1] + 1)
        with one_thread():
            if isinstance(loss, GHM):
                solution = harmonise(problem, loss, start, self._solve, self.tol)
            else:
                solution = self._solve(problem, loss, start, self.tol)
        self._become(solution.vector)
        self.n_iter_, self.converged_ = solution.n_iter, solution.converged
        self._seen, self._descent, self._counts = total, None, None
        return self

    def start_from(
        self,
        coef: ArrayLike,
        intercept: float,
        *,
        classes: ArrayLike = (False, True),
        n_seen: float = 0.0,
    ) -> Any:
        """Take over the weights of another model, for :meth:`step` to go on from.

        Parameters
        ----------
        coef : array-like of n_features numbers
            Weights.
        intercept : float
            Added to every score.
        classes : array-like of shape (2,), default=(False, True)
            Labels, the positive one last.
        n_seen : float, default=0.0
            Weight of the samples that the model was fitted on, see :meth:`step`.

        Raises
        ------
        ParameterError
            When a number is not finite, or there are other than two labels.
        """
        name = type(self).__name__
        vector = np.append(np.ravel(np.asarray(coef, np.float64)), float(intercept))
        labels = np.asarray(classes)
        if len(vector) < 2 or not np.isfinite(vector).all() or labels.shape != (2,):
            raise ParameterError(
                f"{name} needs finite weights and a finite intercept to start from, and two "
                f"labels. Got {vector!r:.60} and {classes!r:.40} instead."
            )
        self.classes_, self.n_features_in_ = labels, len(vector) - 1
        self._become(vector)
        self.n_iter_, self.converged_ = 0, False
        self._seen = check_float(n_seen, "n_seen", name, low=0.0)
        self._descent, self._counts = None, None
        return self

    def step(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        learning_rate: float | None = None,
    ) -> Any:
        """Take one step of averaged stochastic gradient descent, whatever ``solver`` is.

        Starts from the fit, or from :meth:`start_from`, or else from 0 with a batch of both labels.
        Descends along the mean of the batch's losses, each as heavy as ``sample_weight`` says.
        ``C`` refers to the weight of all samples seen so far, those of the fit among them: the
        more were seen, the weaker the regularisation. The model is the average of the steps, in
        which early ones fade. ``ghm`` counts gradients batch by batch, with its momentum.

        Parameters
        ----------
        X, y, sample_weight, targets
            As in :meth:`fit`, but a batch may show one label only.
        learning_rate : float or None, default=None
            Size of the first step; by default one that is stable for features as long as those of
            the first batch.

        Raises
        ------
        ParameterError, DataError, ValueError
            As in :meth:`fit`.
        """
        loss = self._checked_loss()
        is_new = not hasattr(self, "coef_")
        samples, y = self._checked_samples(X, y, reset=is_new)
        encoded = self._encoded(y, is_new)
        weights = _batch_weights(sample_weight, len(encoded))
        wanted = _checked_targets(targets, encoded, loss)
        if is_new:
            self.start_from(np.zeros(samples.shape[1]), 0.0, classes=self.classes_)
        total = float(weights.sum())
        if total > 0.0:
            self._seen += total
            with one_thread():
                self._descend(samples, wanted, weights / total, loss, learning_rate)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the scores, shape (n_samples,); positive ones speak for the second label."""
        check_is_fitted(self)
        samples = _as_floats(validate_data(self, X, reset=False))
        with one_thread():
            return linear_scores(samples, self._vector())

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the label of each sample."""
        check_is_fitted(self)
        return np.asarray(self.classes_[(self.decision_function(X) >= 0.0).astype(int)])

    def __sklearn_tags__(self) -> Any:
        """Say that there are two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _vector(self) -> Floats:
        return np.append(np.ravel(self.coef_), self.intercept_)

    def _become(self, vector: Floats) -> None:
        self.coef_, self.intercept_ = vector[None, :-1].copy(), vector[-1:].copy()

    def _checked_loss(self) -> Loss:
        """Return the loss, all parameters checked."""
        name = type(self).__name__
        if self.loss_params is not None and not isinstance(self.loss_params, dict):
            raise ParameterError(
                f"The 'loss_params' parameter of {name} must be a dict of the loss's parameters "
                f"or None. Got {self.loss_params!r:.60} instead."
            )
        check_float(self.C, "C", name, low=1e-8, high=1e8)
        check_choice(self.solver, "solver", name, SOLVERS)
        check_int(self.max_iter, "max_iter", name, low=1)
        check_float(self.tol, "tol", name, low=0.0, high=1.0)
        loss: Loss = make_loss(self.loss, **(self.loss_params or {}))
        return loss

    def _checked_samples(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        reset: bool = True,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        checked: tuple[NDArray[Any], NDArray[Any]] = validate_data(self, X, y, reset=reset)
        return _as_floats(checked[0]), checked[1]

    def _solve(self, problem: Problem, loss: Loss, start: Floats, tol: float) -> Solution:
        if self.solver == "lbfgs":
            return minimise(problem, loss, start, max_iter=self.max_iter, tol=tol)
        rate = first_rate(problem.features, loss, problem.decay)
        rng = np.random.default_rng(seed_of(self.random_state))
        descent = AveragedDescent(start.copy(), start.copy(), rate)
        return descend(problem, loss, descent, max_iter=self.max_iter, tol=tol, rng=rng)

    def _descend(
        self,
        samples: NDArray[Any],
        targets: Floats,
        weights: Floats,
        loss: Loss,
        learning_rate: float | None,
    ) -> None:
        """Take the step of :meth:`step`."""
        decay = 1.0 / (self.C * self._seen)
        if self._descent is None:
            if learning_rate is None:
                # Harmonised gradients are logistic ones that weigh no more in all.
                shape = Logistic() if isinstance(loss, GHM) else loss
                learning_rate = first_rate(samples, shape, decay)
            check_float(learning_rate, "learning_rate", type(self).__name__, low=0.0)
            self._descent = AveragedDescent(self._vector(), self._vector(), learning_rate)
        scores = linear_scores(samples, self._descent.vector)
        if isinstance(loss, GHM):
            factors, self._counts = loss.weights(
                scores, targets, state=self._counts, sample_weight=weights
            )
            slopes = weights * loss.gradient(scores, targets, factors)
        else:
            slopes = weights * loss.gradient(scores, targets)
        self._descent.step(samples, slopes, decay)
        self._become(self._descent.mean)
        self.n_iter_, self.converged_ = self._descent.n_steps, False

    def _encoded(self, y: NDArray[Any], is_new: bool) -> NDArray[np.intp]:
        """Return which of the two labels each sample of a batch has."""
        name = type(self).__name__
        if is_new:
            self.classes_, encoded = encode_labels(y, name)
            return encoded
        if not np.isin(y, self.classes_).all():
            raise DataError(
                f"{name} goes on with the labels {self.classes_.tolist()}. "
                f"Got {np.unique(y)!r:.60} instead; fit anew, or name them to start_from."
            )
        return np.asarray(y == self.classes_[1]).astype(np.intp)


def _as_floats(features: NDArray[Any]) -> NDArray[Any]:
    """Return features as float32 or float64, as they are if they are either."""
    if features.dtype in (np.float32, np.float64):
        return features
    return features.astype(np.float32 if features.dtype.itemsize <= 2 else np.float64)


def _checked_targets(targets: ArrayLike | None, encoded: NDArray[np.intp], loss: Loss) -> Floats:
    if targets is None:
        return encoded.astype(np.float64)
    wanted = np.asarray(targets, np.float64)
    # The loss refuses what is out of its range, and says so.
    loss.value(np.zeros(len(encoded)), wanted)
    return wanted


def _batch_weights(sample_weight: ArrayLike | None, n: int) -> Floats:
    weights = np.ones(n) if sample_weight is None else np.array(sample_weight, float)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError(
            "The sample weights of LinearClassifier must be finite, not negative, and one a "
            f"sample. Got shape {weights.shape} for {n} samples."
        )
    return weights
