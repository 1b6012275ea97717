"""Sums of regression trees of fixed depth over rows of numbers."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def sum_of_trees(inputs, features, thresholds, leaves, out):
    """Add to each row of ``out`` (n, n_outputs) the leaves that its inputs reach, a leaf a tree.

    ``inputs`` is (n, n_inputs) float32; ``features`` and ``thresholds`` (n_trees, 2**depth - 1)
    hold each tree's nodes level by level, the children of node i being 2 i + 1 and 2 i + 2;
    ``leaves`` is (n_trees, 2**depth, n_outputs). An input of at most the threshold goes left.
    """
    n_nodes = features.shape[1]
    for row in range(inputs.shape[0]):
        for tree in range(features.shape[0]):
            node = 0
            while node < n_nodes:
                is_right = inputs[row, features[tree, node]] > thresholds[tree, node]
                node = 2 * node + 1 + is_right
            for k in range(out.shape[1]):
                out[row, k] += leaves[tree, node - n_nodes, k]
