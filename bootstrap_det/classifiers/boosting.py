"""Real AdaBoost of shallow trees, on features of 256 values."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from bootstrap_det._kernels import boosting as _kernels
from bootstrap_det._validation import check_choice, check_float, check_int
from bootstrap_det.arrays import empty, parts_of
from bootstrap_det.classifiers.labels import check_weights, encode_labels, seed_of
from bootstrap_det.classifiers.losses import GHM, Focal
from bootstrap_det.classifiers.trees import FIRST_DEPTH, FIRST_TREES, MAX_DEPTH, TreeModel
from bootstrap_det.exceptions import DataError

LOSSES = ("exponential", "logistic", "focal", "ghm")
TAIL = 0.002  # share of values at either end that share the outermost bins


Weighting = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


class BoostedTrees(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Real AdaBoost of trees of one small depth.

    Every node takes the split of least loss among a random share of the features; a leaf gives
    half of the logarithm of the ratio of positive to negative weight, times ``shrinkage``.

    Parameters
    ----------
    n_trees : int, default=512
        Trees.
    depth : int, default=2
        Tests from the root to a leaf, 1 to 5.
    loss : {"exponential", "logistic", "focal", "ghm"}, default="exponential"
        How weight grows with the error, as the size of the loss's gradient does: without limit, as
        in AdaBoost, or up to 1, as in logistic regression, so that mislabelled samples do not take
        over. ``focal`` leaves easy samples less than that, and ``ghm`` gives every bin of the
        gradient's norm the same say, so that neither the mass of easy samples nor the outliers
        have much.
    shrinkage : float, default=0.5
        Factor on every leaf; smaller values need more trees and generalise better.
    feature_share : float, default=0.0625
        Share of the features that each node may choose from.
    first_features : int or None, default=None
        The first ``n_first_trees`` may choose among this many first features only, those that a
        scan has at hand for all windows at once, and are grown to a depth of 2 at most. By
        default there are no such trees.
    n_first_trees : int, default=64
        How many trees that holds for.
    trim : float, default=0.01
        Share of the weight that may be left out when splits are sought: samples of least weight
        come last (Friedman et al.'s weight trimming). They still count for the leaves.
    gamma : float, default=2.0
        How much less an easy sample counts for ``focal``, 0 to 10; 0 is ``logistic``. The other
        losses do not know it.
    positive_share : float, default=0.5
        Share of the whole weight that the positive class has at the start. Another share than one
        half moves all scores, by about half the logarithm of its odds.
    n_threads : int, default=1
        Threads over features. They do not change the result.
    random_state : int, RandomState or None, default=0
        For the features of each node.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Labels; the second is the positive one.
    model_ : TreeModel
        The trees, over quantised features.
    offsets_, factors_ : ndarray of shape (n_features_in_,), float64, or None
        A feature x is quantised to ``floor((x - offset) * factor)``, clipped to 0 to 255. None
        for uint8 input, which is taken as it is.

    References
    ----------
    R. Schapire and Y. Singer, "Improved Boosting Algorithms Using Confidence-rated Predictions",
    Machine Learning 1999. J. Friedman, T. Hastie and R. Tibshirani, "Additive Logistic
    Regression", Annals of Statistics 2000. M. Collins, R. Schapire and Y. Singer, "Logistic
    Regression, AdaBoost and Bregman Distances", Machine Learning 2002. L. Mason et al., "Boosting
    Algorithms as Gradient Descent", NIPS 1999 (weights from any loss). P. Dollar et al.,
    "Quickly Boosting Decision Trees", ICML 2013, and "Fast Feature Pyramids for Object Detection",
    PAMI 2014.
    """

    def __init__(
        self,
        *,
        n_trees: int = 512,
        depth: int = 2,
        loss: str = "exponential",
        shrinkage: float = 0.5,
        feature_share: float = 1 / 16,
        first_features: int | None = None,
        n_first_trees: int = FIRST_TREES,
        trim: float = 0.01,
        gamma: float = 2.0,
        positive_share: float = 0.5,
        n_threads: int = 1,
        random_state: Any = 0,
    ) -> None:
        self.n_trees = n_trees
        self.depth = depth
        self.loss = loss
        self.shrinkage = shrinkage
        self.feature_share = feature_share
        self.first_features = first_features
        self.n_first_trees = n_first_trees
        self.trim = trim
        self.gamma = gamma
        self.positive_share = positive_share
        self.n_threads = n_threads
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:  # noqa: N803
        """Fit the trees.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; uint8 are taken as they are, others are quantised to 256 bins each.
        y : array-like of shape (n_samples,)
            Two classes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Not negative. Each class has its share in all, see ``positive_share``, however many
            samples it has.

        Raises
        ------
        ParameterError
            When a parameter is out of its range, such as trees deeper than supported.
        DataError
            When there are other than two classes, or every feature is constant.
        ValueError
            When a feature is NaN or infinite, or the shapes do not agree.
        """
        self._check_parameters()
        checked: tuple[NDArray[Any], NDArray[Any]] = validate_data(self, X, y, dtype=None)
        samples, y = checked
        self.classes_, encoded = encode_labels(y, type(self).__name__)
        weights = _class_weights(encoded, sample_weight, self.positive_share)
        self.offsets_, self.factors_ = _bins(samples)
        rng = np.random.default_rng(seed_of(self.random_state))
        columns = self._columns(samples)
        if (columns.min(axis=1) == columns.max(axis=1)).all():
            raise DataError(
                f"All {len(columns)} features given to BoostedTrees are constant, so nothing can "
                "be learnt from them. Check the pictures and the features."
            )
        self.model_ = _boost(columns, encoded.astype(np.uint8), weights, self, rng)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the scores, shape (n_samples,); positive ones speak for the second class."""
        check_is_fitted(self)
        samples: NDArray[Any] = validate_data(self, X, reset=False, dtype=None)
        return np.asarray(self.model_.decision_function(self._quantise(samples)))

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the label of each sample."""
        check_is_fitted(self)
        return np.asarray(self.classes_[(self.decision_function(X) >= 0.0).astype(int)])

    def __sklearn_tags__(self) -> Any:
        """Say that there are two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def n_choices(self, tree: int, n_features: int) -> int:
        """Return how many of the features, from the first, a tree may choose among."""
        if self.first_features is None or not self._is_first(tree):
            return n_features
        return min(self.first_features, n_features)

    def depth_of(self, tree: int) -> int:
        """Return the depth that a tree is grown to."""
        return min(self.depth, FIRST_DEPTH) if self._is_first(tree) else self.depth

    def _is_first(self, tree: int) -> bool:
        return self.first_features is not None and tree < self.n_first_trees

    def _check_parameters(self) -> None:
        name = type(self).__name__
        check_int(self.n_trees, "n_trees", name, low=1, high=100_000)
        check_int(self.depth, "depth", name, low=1, high=MAX_DEPTH)
        check_choice(self.loss, "loss", name, LOSSES)
        check_float(self.shrinkage, "shrinkage", name, low=1e-3, high=1.0)
        check_float(self.feature_share, "feature_share", name, low=1e-6, high=1.0)
        if self.first_features is not None:
            check_int(self.first_features, "first_features", name, low=1)
        check_int(self.n_first_trees, "n_first_trees", name, low=0)
        check_float(self.trim, "trim", name, low=0.0, high=0.5)
        check_float(self.gamma, "gamma", name, low=0.0, high=10.0)
        check_float(self.positive_share, "positive_share", name, low=1e-6, high=1.0 - 1e-6)
        check_int(self.n_threads, "n_threads", name, low=1, high=1024)

    def _columns(self, X: NDArray[Any]) -> NDArray[np.uint8]:  # noqa: N803
        """Return the quantised features, shape (n_features, n_samples): trees read columns."""
        columns: NDArray[np.uint8] = empty(X.shape[::-1], np.uint8)
        for rows in parts_of(X):
            columns[:, rows] = self._quantise(X[rows]).T
        return columns

    def _quantise(self, X: NDArray[Any]) -> NDArray[np.uint8]:  # noqa: N803
        if self.offsets_ is None or self.factors_ is None:
            return X if X.dtype == np.uint8 else np.clip(X, 0, 255).astype(np.uint8)
        scaled = np.floor((X.astype(np.float64) - self.offsets_) * self.factors_)
        return np.clip(scaled, 0, 255).astype(np.uint8)


def _bins(
    features: NDArray[Any],
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return offset and factor of each feature's bins, None for what is uint8 already."""
    if features.dtype == np.uint8:
        return None, None
    values = features.astype(np.float64)
    low, high = np.quantile(values, [TAIL, 1.0 - TAIL], axis=0)
    narrow = high <= low  # nearly constant: the rare other values still count
    low[narrow], high[narrow] = values.min(axis=0)[narrow], values.max(axis=0)[narrow]
    with np.errstate(divide="ignore", over="ignore"):
        factors = 255.0 / (high - low)
    return low, np.where(np.isfinite(factors), factors, 0.0)


def _class_weights(
    encoded: NDArray[np.intp], sample_weight: ArrayLike | None, positive_share: float
) -> NDArray[np.float64]:
    """Return weights that give each class its share."""
    weights = check_weights(sample_weight, encoded, "BoostedTrees")
    totals = np.bincount(encoded, weights, minlength=2)
    shares = np.array([1.0 - positive_share, positive_share])
    return np.asarray(shares[encoded] * weights / totals[encoded])


def weighting(loss: str, gamma: float) -> Weighting:
    """Return the function that gives the factor of each sample's weight.

    It is the size of the loss's gradient, up to a constant, from how far a sample is on the wrong
    side and what it weighs at the start. Scores s are half the log odds, so p = sigmoid(2 s).
    """
    if loss == "exponential":
        return lambda wrong, _: np.exp(wrong)
    if loss == "logistic":
        # Bounded: samples that are told apart with ease would overflow.
        return lambda wrong, _: 1.0 / (1.0 + np.exp(np.minimum(-2.0 * wrong, 700.0)))
    if loss == "focal":
        # Bounded, or all weights would be 0 where all samples are told apart with ease. The
        # classes' weights are ``positive_share``'s task.
        focal, most = Focal(gamma, alpha=0.5), 600.0 / (1.0 + gamma)
        return lambda wrong, _: -focal.gradient(np.minimum(-2.0 * wrong, most), np.ones_like(wrong))
    return _harmonised


def _harmonised(wrong: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sizes of the gradients of GHM-C; samples are counted by their weights."""
    scores, targets = np.minimum(-2.0 * wrong, 600.0), np.ones_like(wrong)
    ghm = GHM()
    return -ghm.gradient(scores, targets, ghm.weights(scores, targets, sample_weight=weights)[0])


def _boost(
    columns: NDArray[np.uint8],
    positive: NDArray[np.uint8],
    weights: NDArray[np.float64],
    parameters: BoostedTrees,
    rng: np.random.Generator,
) -> TreeModel:
    """Return the trees for features (n_features, n_samples)."""
    trees: list[tuple[Any, Any, Any]] = []
    sign = np.where(positive == 1, -1.0, 1.0)
    factors = weighting(parameters.loss, parameters.gamma)
    running = np.zeros(len(weights))
    smoothing = 1.0 / len(weights)
    with ThreadPoolExecutor(parameters.n_threads) as pool:
        for tree in range(parameters.n_trees):
            current = weights * factors(sign * running, weights)
            current /= current.sum()
            n_nodes = 2 ** parameters.depth_of(tree) - 1
            features, thresholds, leaf_of = _grow(
                columns[: parameters.n_choices(tree, len(columns))], n_nodes, positive, current,
                parameters, rng, pool,
            )  # fmt: skip
            of_leaf = [
                np.bincount(leaf_of - n_nodes, current * side, minlength=n_nodes + 1)
                for side in (positive, 1 - positive)
            ]
            ratio = (of_leaf[0] + smoothing) / (of_leaf[1] + smoothing)
            leaves = parameters.shrinkage * 0.5 * np.log(ratio)
            running += leaves[leaf_of - n_nodes]
            trees.append(_of_depth(parameters.depth, features, thresholds, leaves))
    features, thresholds, leaves = (np.array(part) for part in zip(*trees, strict=True))
    shape = (len(columns), 1, 1)
    return TreeModel.from_floats(features, thresholds, leaves, shape, n_coarse=FIRST_TREES)


def _of_depth(
    depth: int, features: NDArray[np.int32], thresholds: NDArray[np.uint8], leaves: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[Any]]:
    """Return a tree with levels added that decide nothing, up to ``depth``."""
    n_more = 2**depth - len(leaves)
    more = np.zeros(n_more, np.int32)
    return (
        np.concatenate([features, more]),
        np.concatenate([thresholds, more.astype(np.uint8)]),
        np.repeat(leaves, 2**depth // len(leaves)),
    )


def _grow(
    columns: NDArray[np.uint8],
    n_nodes: int,
    positive: NDArray[np.uint8],
    weights: NDArray[np.float64],
    parameters: BoostedTrees,
    rng: np.random.Generator,
    pool: ThreadPoolExecutor,
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]:
    """Return features and thresholds of one tree, and the leaf (a node number) of each sample."""
    features, thresholds = np.zeros(n_nodes, np.int32), np.zeros(n_nodes, np.uint8)
    heavy = _heaviest(weights, parameters.trim)
    node_of = np.zeros(len(weights), np.int32)
    n_candidates = max(round(len(columns) * parameters.feature_share), 1)
    for node in range(n_nodes):
        samples = np.flatnonzero(heavy & (node_of == node)).astype(np.int32)
        # Drawn for every node, also for an empty one: the stream does not depend on the data.
        candidates = rng.choice(len(columns), n_candidates, replace=False)
        features[node], thresholds[node] = _best_split(
            columns, candidates, samples, positive, weights, pool, parameters.n_threads
        )
        _kernels.descend(columns[features[node]], thresholds[node], node, node_of)
    return features, thresholds, node_of


def _best_split(
    columns: NDArray[np.uint8],
    candidates: NDArray[np.int64],
    samples: NDArray[np.int32],
    positive: NDArray[np.uint8],
    weights: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    n_threads: int,
) -> tuple[int, int]:
    """Return feature and threshold of the best split; of equal ones, that of the first candidate.

    Where no feature splits the samples, everything goes right.
    """
    losses, thresholds = np.empty(len(candidates)), np.empty(len(candidates), np.int64)
    jobs = []
    for part in np.array_split(np.arange(len(candidates)), n_threads):
        if len(part):
            cut = slice(int(part[0]), int(part[-1]) + 1)
            arguments = (columns, candidates[cut], samples, positive, weights, losses[cut])
            jobs.append(pool.submit(_kernels.best_splits, *arguments, thresholds[cut]))
    for job in jobs:
        job.result()
    best = int(np.argmin(losses))
    return int(candidates[best]), int(thresholds[best])


def _heaviest(weights: NDArray[np.float64], trim: float) -> NDArray[np.bool_]:
    """Return which samples remain when those of least weight, ``trim`` in all, are left out."""
    order = np.sort(weights)
    dropped = int(np.searchsorted(np.cumsum(order), trim * order.sum(), side="right"))
    return np.asarray(weights >= order[min(dropped, len(order) - 1)])
