"""Fitting boosted regression trees of boxes with any of the losses.

References
----------
J. H. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics
2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from bootstrap_det.refinement.base import BoxLoss
from bootstrap_det.refinement.fitting import BoxFit, mean_iou, output_units
from bootstrap_det.refinement.regressors import TreeRegressor
from bootstrap_det.refinement.samples import BoxSamples

Floats = NDArray[np.float64]

MAX_TREES = 128
PATIENCE = 16  # trees without better boxes of held-out pictures
DEPTH = 4
RATE = 0.15
ROWS_PER_TREE = 0.5
INPUTS_PER_NODE = 96
MIN_ROWS_PER_LEAF = 12
_STEPS = np.geomspace(0.25, 16.0, 7)  # tried along each tree: gradients have sizes of their own


@dataclass(frozen=True)
class _Tree:
    """A tree of full depth, as :class:`TreeRegressor` has them."""

    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    leaves: Floats


def fit_trees(
    samples: BoxSamples, loss: BoxLoss, weights: Floats, *, n_trees: int = MAX_TREES, seed: int = 0
) -> tuple[TreeRegressor, BoxFit]:
    """Return a sum of regression trees, each fitted to the gradients of those before.

    As many trees as make the boxes of held-out pictures best, then fitted on all windows.

    Parameters
    ----------
    samples : BoxSamples
        Windows with objects.
    loss : BoxLoss
        What is minimised.
    weights : ndarray of shape (n,), float64
        How much each window counts.
    n_trees : int, default=128
        At most.
    seed : int, default=0
        Says which pictures are held out, and draws rows and inputs of each tree.
    """
    out = samples.held_out(seed)
    after = before = None
    if out.any() and not out.all():
        n_trees, after = _best_number(samples, loss, weights, out, n_trees, seed)
        before = float(samples.ious[out].mean())
    trees, _ = _boosted(samples, loss, weights, n_trees, seed)
    fit = BoxFit(len(samples), samples.n_objects, float(n_trees), before, after)
    return _regressor(trees, loss, samples.inputs.shape[1]), fit


def _best_number(
    samples: BoxSamples,
    loss: BoxLoss,
    weights: Floats,
    out: NDArray[np.bool_],
    n_trees: int,
    seed: int,
) -> tuple[int, float]:
    """Return the number of trees that is best for held-out windows, and their overlap then."""
    _, overlaps = _boosted(
        samples.rows(~out), loss, weights[~out], n_trees, seed, samples.rows(out)
    )
    best = int(np.argmax(overlaps))
    return best + 1, overlaps[best]


def _boosted(
    samples: BoxSamples,
    loss: BoxLoss,
    weights: Floats,
    n_trees: int,
    seed: int,
    tested: BoxSamples | None = None,
) -> tuple[list[_Tree], list[float]]:
    """Return the trees, and after each the overlap of the windows tested; stops when it falls."""
    rng = np.random.default_rng([seed, 23])
    units = output_units(loss, samples.targets)
    outputs = np.tile(loss.start(), (len(samples), 1))
    of_tested = None if tested is None else np.tile(loss.start(), (len(tested), 1))
    trees: list[_Tree] = []
    overlaps: list[float] = []
    for _ in range(n_trees):
        tree, gain = _next_tree(samples, loss, weights, outputs, units, rng)
        outputs += gain
        trees.append(tree)
        if tested is None or of_tested is None:
            continue
        of_tested += _regressor([tree], loss, tested.inputs.shape[1]).outputs(tested.inputs)
        of_tested -= loss.start()
        overlaps.append(mean_iou(loss.offsets(of_tested), tested.targets))
        if len(overlaps) - int(np.argmax(overlaps)) > PATIENCE:
            break
    return trees, overlaps


def _next_tree(
    samples: BoxSamples,
    loss: BoxLoss,
    weights: Floats,
    outputs: Floats,
    units: Floats,
    rng: np.random.Generator,
) -> tuple[_Tree, Floats]:
    """Return a tree fitted to the gradients at some rows, and what it adds to all outputs."""
    some = rng.permutation(len(samples))[: max(int(ROWS_PER_TREE * len(samples)), 1)]
    _, slopes = loss.evaluate(outputs[some], samples.targets[some])
    learner = DecisionTreeRegressor(
        max_depth=DEPTH,
        min_samples_leaf=MIN_ROWS_PER_LEAF,
        max_features=min(INPUTS_PER_NODE, samples.inputs.shape[1]),
        random_state=int(rng.integers(2**31)),
    )
    learner.fit(samples.inputs[some], -slopes * units, sample_weight=weights[some])
    added = learner.predict(samples.inputs).reshape(len(samples), -1) * units
    losses = [
        weights[some] @ loss.evaluate(outputs[some] + step * added[some], samples.targets[some])[0]
        for step in _STEPS
    ]
    factor = RATE * float(_STEPS[int(np.argmin(losses))])
    return _complete(learner, units * factor), added * factor


def _complete(learner: DecisionTreeRegressor, units: Floats) -> _Tree:
    """Return scikit-learn's tree with all branches grown to the full depth."""
    tree = learner.tree_
    n_nodes = 2**DEPTH - 1
    features, thresholds = np.zeros(n_nodes, np.int32), np.full(n_nodes, np.inf, np.float32)
    leaves = np.empty((n_nodes + 1, len(units)))
    place = {0: 0}  # node of the full tree -> node of scikit-learn's
    for node in range(2 * n_nodes + 1):
        own = place[node]
        if node >= n_nodes:
            leaves[node - n_nodes] = tree.value[own].ravel() * units
            continue
        is_leaf = tree.children_left[own] < 0
        if not is_leaf:
            features[node], thresholds[node] = tree.feature[own], tree.threshold[own]
        place[2 * node + 1] = own if is_leaf else int(tree.children_left[own])
        place[2 * node + 2] = own if is_leaf else int(tree.children_right[own])
    return _Tree(features, thresholds, leaves)


def _regressor(trees: list[_Tree], loss: BoxLoss, n_inputs: int) -> TreeRegressor:
    return TreeRegressor(
        np.array([tree.features for tree in trees]),
        np.array([tree.thresholds for tree in trees]),
        np.array([tree.leaves for tree in trees], dtype=np.float32),
        loss.start(),
        n_inputs,
    )
