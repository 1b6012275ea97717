"""Trees that other libraries boosted, as a :class:`TreeModel` to scan with.

A split ``x <= t`` of bytes is ``x < floor(t) + 1``. Splits that send all bytes one way are left
out, and trees are filled up to complete ones, both sides of a new node being the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from bootstrap_det.classifiers.trees import FIRST_TREES, MAX_DEPTH, TreeModel
from bootstrap_det.exceptions import ParameterError

_Leaf = float
_Split = tuple[int, int, Any, Any]  # feature, least byte that goes right, left, right
# What stands at a node: its value, or feature, threshold (x <= t goes left), and both children.
_Read = Callable[[Any], _Leaf | tuple[int, float, Any, Any]]


def trees_from_estimator(estimator: Any, window_shape: tuple[int, int, int]) -> TreeModel:
    """Return the trees of a fitted estimator, without a cascade.

    Scores are those of ``decision_function`` (the raw score of LightGBM), rounded as
    :meth:`TreeModel.from_floats` says. Calibrate them with
    :func:`~bootstrap_det.classifiers.calibrate_cascade` to scan fast.

    Parameters
    ----------
    estimator : GradientBoostingClassifier, HistGradientBoostingClassifier or a LightGBM model
        Binary, its trees at most 5 deep, fitted on feature vectors of windows of uint8 channels
        (of any dtype, from 0 to 255).
    window_shape : tuple of int
        Channels, rows and columns of the window.

    Returns
    -------
    TreeModel

    Raises
    ------
    ParameterError
        When the estimator is another one, not fitted, not binary, of another number of features,
        or has trees that cannot be expressed.
    """
    name = type(estimator).__name__
    kinds: list[tuple[bool, Callable[[Any], _Ensemble]]] = [
        (isinstance(estimator, GradientBoostingClassifier), _of_gradient_boosting),
        (isinstance(estimator, HistGradientBoostingClassifier), _of_histograms),
        (hasattr(estimator, "booster_") or hasattr(estimator, "dump_model"), _of_lightgbm),
    ]
    reader = next((read for matches, read in kinds if matches), None)
    if reader is None or (reader is not _of_lightgbm and not hasattr(estimator, "classes_")):
        raise ParameterError(
            "trees_from_estimator needs a fitted GradientBoostingClassifier, "
            "HistGradientBoostingClassifier or LightGBM model. Got "
            f"{name}{' that is not fitted' * (reader is not None)} instead."
        )
    ensemble = reader(estimator)
    if ensemble.n_features != np.prod(window_shape):
        raise ParameterError(
            f"A window of shape {tuple(window_shape)} has {np.prod(window_shape)} features. Got "
            f"{name} with {ensemble.n_features}; fit it on feature vectors of such windows."
        )
    trees = [_nested(read, root, name) for read, root in ensemble.roots]
    known = ensemble.score_of_zeros
    bias = 0.0 if known is None else known - sum(map(_value_at_zeros, trees))
    return TreeModel.from_floats(*_arrays(trees), window_shape, bias=bias)


def trees_of_classifiers(
    trees: Sequence[DecisionTreeClassifier],
    leaf: Callable[[int, NDArray[np.float64]], float],
    window_shape: tuple[int, int, int],
    *,
    value_scale: float = 1.0,
) -> TreeModel:
    """Return the sum of the leaves of binary decision trees as a model, without a cascade.

    Parameters
    ----------
    trees : sequence of DecisionTreeClassifier
        Fitted on bytes, at most 5 deep.
    leaf : callable
        Returns a leaf's value by the number of the tree and the shares of both classes in it.
    window_shape : tuple of int
        Channels, rows and columns of the window, of which the trees know at least the first.
    value_scale : float, default=1.0
        Factor from features to the bytes.
    """

    def value(index: int, shares: NDArray[np.float64]) -> float:
        return leaf(index, shares / shares.sum())

    nested = [
        _nested(_reader(each.tree_, partial(value, index)), 0, type(each).__name__)
        for index, each in enumerate(trees)
    ]
    arrays = _arrays(nested)
    return TreeModel.from_floats(
        *arrays, window_shape, value_scale=value_scale, n_coarse=FIRST_TREES
    )


@dataclass(frozen=True)
class _Ensemble:
    """Trees as pairs of a reader and a root.

    ``score_of_zeros`` is the score of a sample of zeros, whatever adds to it besides the trees;
    None when nothing does.
    """

    roots: list[tuple[_Read, Any]]
    n_features: int
    score_of_zeros: float | None = None


def _of_gradient_boosting(estimator: Any) -> _Ensemble:
    _require_binary(len(estimator.classes_), estimator)
    init = estimator.init
    if init not in (None, "zero") and not isinstance(init, DummyClassifier):
        raise ParameterError(
            "trees_from_estimator needs trees that start from a constant. Got "
            f"GradientBoostingClassifier with init={type(init).__name__}; leave it out."
        )

    def value(values: NDArray[np.float64]) -> float:
        return float(estimator.learning_rate * values[0])

    trees = [column.tree_ for column in estimator.estimators_[:, 0]]
    return _Ensemble([(_reader(tree, value), 0) for tree in trees], *_of_zeros(estimator))


def _reader(tree: Any, value: Callable[[NDArray[np.float64]], float]) -> _Read:
    """Return the reader of a tree of scikit-learn whose leaves are worth ``value``."""

    def read(node: Any) -> _Leaf | tuple[int, float, Any, Any]:
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left < 0:
            return value(tree.value[node, 0])
        return int(tree.feature[node]), float(tree.threshold[node]), left, right

    return read


def _of_histograms(estimator: Any) -> _Ensemble:
    _require_binary(len(estimator.classes_), estimator)
    if estimator.is_categorical_ is not None:
        raise _categorical(estimator)

    def reader(nodes: Any) -> _Read:
        def read(index: Any) -> _Leaf | tuple[int, float, Any, Any]:
            node = nodes[index]
            if node["is_leaf"]:
                return float(node["value"])
            children = int(node["left"]), int(node["right"])
            return int(node["feature_idx"]), float(node["num_threshold"]), *children

        return read

    trees = [predictors[0].nodes for predictors in estimator._predictors]
    return _Ensemble([(reader(nodes), 0) for nodes in trees], *_of_zeros(estimator))


def _of_lightgbm(estimator: Any) -> _Ensemble:
    dump = getattr(estimator, "booster_", estimator).dump_model()
    _require_binary(2 if dump["num_class"] == 1 else dump["num_class"], estimator)
    if not str(dump.get("objective", "")).startswith("binary") or dump["average_output"]:
        raise ParameterError(
            "trees_from_estimator needs a LightGBM model boosted for binary classification. Got "
            f"objective {dump.get('objective')!r}"
            f"{' of averaged trees' * bool(dump['average_output'])} instead."
        )

    def read(node: Any) -> _Leaf | tuple[int, float, Any, Any]:
        if "split_feature" not in node:
            if "leaf_coeff" in node:
                raise ParameterError(
                    "trees_from_estimator needs leaves that are numbers. Got a LightGBM model "
                    "with linear_tree=True; fit it without."
                )
            return float(node["leaf_value"])
        if node["decision_type"] != "<=":
            raise _categorical(estimator)
        threshold = float(node["threshold"])
        if node["missing_type"] == "Zero" and node["default_left"] != (threshold >= 0):
            raise ParameterError(
                "trees_from_estimator needs zeros that are values like any other. Got a LightGBM "
                "model with zero_as_missing=True; fit it without."
            )
        children = node["left_child"], node["right_child"]
        return int(node["split_feature"]), threshold, *children

    roots = [tree["tree_structure"] for tree in dump["tree_info"]]
    return _Ensemble([(read, root) for root in roots], int(dump["max_feature_idx"]) + 1)


def _of_zeros(estimator: Any) -> tuple[int, float]:
    """Return the number of features and the score of a sample of zeros: they give the bias."""
    n_features = int(estimator.n_features_in_)
    return n_features, float(estimator.decision_function(np.zeros((1, n_features)))[0])


def _require_binary(n_classes: int, estimator: Any) -> None:
    if n_classes != 2:
        raise ParameterError(
            f"trees_from_estimator needs an estimator of 2 classes. Got "
            f"{type(estimator).__name__} of {n_classes}; fit one a class."
        )


def _categorical(estimator: Any) -> ParameterError:
    return ParameterError(
        "trees_from_estimator needs splits by a threshold. Got "
        f"{type(estimator).__name__} with categorical features; fit it without."
    )


def _nested(read: _Read, root: Any, name: str, depth: int = 0) -> _Leaf | _Split:
    """Return the tree below a node, without the splits that send all bytes one way."""
    content = read(root)
    if isinstance(content, float):
        return content
    feature, threshold, left, right = content
    below = int(np.floor(np.clip(threshold, -1.0, 255.0))) + 1
    if below in (0, 256):
        return _nested(read, right if below == 0 else left, name, depth)
    if depth == MAX_DEPTH:
        raise ParameterError(
            f"trees_from_estimator needs trees of at most {MAX_DEPTH} tests. Got {name} with a "
            f"deeper one; fit it with max_depth={MAX_DEPTH}."
        )
    sides = (_nested(read, side, name, depth + 1) for side in (left, right))
    return (feature, below, *sides)  # type: ignore[return-value]  # two of them


def _arrays(
    trees: Sequence[_Leaf | _Split],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return features, thresholds and leaves of the trees, all filled up to one depth."""
    depth = max(1, *map(_depth, trees))
    filled = [_filled(tree, depth) for tree in trees]
    features, thresholds, leaves = (np.array(part) for part in zip(*filled, strict=True))
    return features, thresholds, leaves


def _depth(tree: _Leaf | _Split) -> int:
    return 0 if isinstance(tree, float) else 1 + max(_depth(tree[2]), _depth(tree[3]))


def _value_at_zeros(tree: _Leaf | _Split) -> float:
    while not isinstance(tree, float):
        tree = tree[2]  # every threshold is at least 1
    return tree


def _filled(tree: _Leaf | _Split, depth: int) -> tuple[list[int], list[int], list[Any]]:
    """Return features, thresholds and leaves of the complete tree, level by level."""
    features: list[int] = []
    thresholds: list[int] = []
    level: list[Any] = [tree]
    for _ in range(depth):
        splits = [(0, 0, node, node) if isinstance(node, float) else node for node in level]
        features += [split[0] for split in splits]
        thresholds += [split[1] for split in splits]
        level = [side for split in splits for side in split[2:]]
    return features, thresholds, level
