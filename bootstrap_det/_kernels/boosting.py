"""Fitting boosted trees: the best split of a node, over histograms of uint8 features."""

from __future__ import annotations

import numpy as np
from numba import njit

N_BINS = 256


@njit(cache=True, nogil=True)
def best_splits(features, candidates, samples, positive, weights, losses, thresholds):
    """Fill for each candidate feature the least loss of a split and its threshold.

    ``features`` is (n_features, n_samples) uint8, a row a feature, so that a histogram reads one
    stretch of memory; ``candidates`` int64 (m,); ``samples`` int32, the node's; ``positive``
    uint8 and ``weights`` float64 (n_samples,); ``losses`` float64 and ``thresholds`` int64 (m,).
    The loss is half of the normaliser Z of Schapire & Singer, the sum over both sides of the root
    of the product of positive and negative weight. Values below the threshold go left; of equal
    losses the lowest threshold wins. A constant feature has threshold 0.
    """
    histogram = np.empty((2, N_BINS), np.float64)
    for j in range(len(candidates)):
        histogram[:] = 0.0
        values = features[candidates[j]]
        for k in range(len(samples)):
            i = samples[k]
            histogram[positive[i], values[i]] += weights[i]
        n_negative, n_positive = histogram[0].sum(), histogram[1].sum()
        left_negative, left_positive = 0.0, 0.0
        losses[j], thresholds[j] = np.inf, 0
        for value in range(N_BINS - 1):
            if histogram[0, value] == 0.0 and histogram[1, value] == 0.0:
                continue
            left_negative += histogram[0, value]
            left_positive += histogram[1, value]
            right_negative = max(n_negative - left_negative, 0.0)
            right_positive = max(n_positive - left_positive, 0.0)
            if right_negative + right_positive <= 0.0:
                break
            loss = np.sqrt(left_negative * left_positive) + np.sqrt(right_negative * right_positive)
            if loss < losses[j]:
                losses[j], thresholds[j] = loss, value + 1


@njit(cache=True, nogil=True)
def descend(values, threshold, node, leaf_of):
    """Send the samples of ``node`` to its children: 2k + 1 below ``threshold``, else 2k + 2.

    ``values`` uint8 (n_samples,), ``leaf_of`` int32 (n_samples,), changed in place.
    """
    for i in range(len(values)):
        if leaf_of[i] == node:
            leaf_of[i] = 2 * node + (1 if values[i] < threshold else 2)
