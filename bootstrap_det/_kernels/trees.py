"""Scoring boosted trees: feature vectors one by one, and all windows of a level.

A tree of depth d is complete: ``2**d - 1`` nodes in heap order (children of node k are 2k + 1 and
2k + 2) and ``2**d`` leaves from left to right. A value below a node's threshold goes left. Leaves
are whole multiples of one unit, so sums are exact: all ways to the score of a window agree.

A level is scored in two parts. Its planes have one row stride, so the window at flat position p
finds the feature of a node at ``p + offset`` in the flattened planes. The first trees run over a
stretch of positions at once, tree by tree: compares of bytes and selects of 16-bit integers, which
the compiler turns into vector instructions. The windows that are still alive then go through the
other trees one by one.

Where windows are normalised, the value of a plane at position p counts, for the window at p0, as
``(value * gains[kind, p0] >> 8) + shifts[kind, p0]``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STRETCH = 4096  # positions at a time: scores and bytes stay in the nearest caches
CHECK_EVERY = 8  # trees between two looks at how many windows are alive


@njit(cache=True, nogil=True)
def partial_scores(samples, features, thresholds, leaves, out):
    """Fill the running score after each tree, in units.

    ``samples`` (n, n_features) uint8; ``features`` int32 and ``thresholds`` uint8, both
    (n_trees, n_nodes); ``leaves`` (n_trees, n_nodes + 1) int16; ``out`` (n, n_trees) int32.
    """
    n_trees, n_nodes = features.shape
    for i in range(samples.shape[0]):
        score = 0
        for tree in range(n_trees):
            node = 0
            while node < n_nodes:
                right = samples[i, features[tree, node]] >= thresholds[tree, node]
                node = 2 * node + 1 + right
            score += leaves[tree, node - n_nodes]
            out[i, tree] = score


@njit(cache=True, nogil=True)
def _add_tree(planes, start, offsets, thresholds, leaves, rejection, reached, scores, alive):
    """Add one tree of any depth to a stretch; ``alive`` turns 0 where a window is rejected.

    ``reached`` (n_nodes, stretch) int16 is scratch: what the subtree of each node gives.
    """
    n_nodes, n = len(offsets), len(scores)
    for node in range(n_nodes - 1, -1, -1):
        values = planes[offsets[node] + start : offsets[node] + start + n]
        threshold = thresholds[node]
        into = reached[node][:n]
        if 2 * node + 1 >= n_nodes:
            low, high = leaves[2 * node + 1 - n_nodes], leaves[2 * node + 2 - n_nodes]
            for x in range(n):
                into[x] = low if values[x] < threshold else high
        else:
            left, right = reached[2 * node + 1][:n], reached[2 * node + 2][:n]
            for x in range(n):
                a, b = left[x], right[x]
                into[x] = a if values[x] < threshold else b
    gives = reached[0][:n]
    for x in range(n):
        score = np.int16(scores[x] + gives[x])
        scores[x] = score
        alive[x] = alive[x] if score >= rejection else 0


@njit(cache=True, nogil=True)
def _add_small_tree(planes, start, offsets, thresholds, leaves, rejection, scores, alive):
    """Do as :func:`_add_tree` for depth 2, in one pass."""
    n = len(scores)
    top = planes[offsets[0] + start : offsets[0] + start + n]
    left = planes[offsets[1] + start : offsets[1] + start + n]
    right = planes[offsets[2] + start : offsets[2] + start + n]
    t0, t1, t2 = thresholds[0], thresholds[1], thresholds[2]
    l0, l1, l2, l3 = leaves[0], leaves[1], leaves[2], leaves[3]
    for x in range(n):
        low = l0 if left[x] < t1 else l1
        high = l2 if right[x] < t2 else l3
        score = np.int16(scores[x] + (low if top[x] < t0 else high))
        scores[x] = score
        alive[x] = alive[x] if score >= rejection else 0


@njit(cache=True, nogil=True)
def _normalise(planes, begin, gains, shifts, out):
    """Fill a stretch of one plane as its windows see it, int16."""
    n = len(out)
    values = planes[begin : begin + n]
    for x in range(n):
        scaled = (np.uint32(np.uint16(values[x]) << 8) * np.uint32(gains[x])) >> 16
        out[x] = np.int16(np.int16(scaled) + shifts[x])


@njit(cache=True, nogil=True)
def _add_normalised_tree(seen, thresholds, leaves, rejection, reached, scores, alive):
    """Do as :func:`_add_tree` for normalised windows: ``seen`` (n_nodes, stretch) int16."""
    n_nodes, n = len(thresholds), len(scores)
    for node in range(n_nodes - 1, -1, -1):
        values, into = seen[node][:n], reached[node][:n]
        threshold = np.int16(thresholds[node])
        if 2 * node + 1 >= n_nodes:
            low, high = leaves[2 * node + 1 - n_nodes], leaves[2 * node + 2 - n_nodes]
            for x in range(n):
                into[x] = low if values[x] < threshold else high
        else:
            left, right = reached[2 * node + 1][:n], reached[2 * node + 2][:n]
            for x in range(n):
                a, b = left[x], right[x]
                into[x] = a if values[x] < threshold else b
    gives = reached[0][:n]
    for x in range(n):
        score = np.int16(scores[x] + gives[x])
        scores[x] = score
        alive[x] = alive[x] if score >= rejection else 0


@njit(cache=True, nogil=True)
def _finish(planes, at, first, offsets, thresholds, leaves, rejection, kinds, gains, shifts, score):
    """Return score and verdict of one window after the trees from ``first`` on, and their number.

    ``kinds`` has no columns where windows are not normalised.
    """
    n_trees, n_nodes = offsets.shape
    normalised = kinds.shape[1] > 0
    for tree in range(first, n_trees):
        node = 0
        while node < n_nodes:
            value = np.int64(planes[at + offsets[tree, node]])
            if normalised:
                kind = kinds[tree, node]
                value = ((value * np.int64(gains[kind, at])) >> 8) + np.int64(shifts[kind, at])
            node = 2 * node + 1 + (value >= thresholds[tree, node])
        score += leaves[tree, node - n_nodes]
        if score < rejection[tree]:
            return score, False, tree + 1 - first
    return score, True, n_trees - first


@njit(cache=True, nogil=True)
def _first_trees(
    planes, start, offsets, thresholds, leaves, rejection, kinds, gains, shifts, n_first, few,
    seen, reached, scores, alive,
):  # fmt: skip
    """Run trees over a stretch until ``n_first`` or few windows are alive; return how many ran."""
    n, n_nodes = len(scores), offsets.shape[1]
    scores[:] = 0
    alive[:] = 1
    tree, n_alive = 0, n
    while tree < n_first and n_alive > few * n:
        until = min(tree + CHECK_EVERY, n_first)
        while tree < until:
            reject = np.int16(min(max(rejection[tree], -32768), 32767))
            if kinds.shape[1]:
                for node in range(n_nodes):
                    kind = kinds[tree, node]
                    _normalise(
                        planes, offsets[tree, node] + start,
                        gains[kind][start : start + n], shifts[kind][start : start + n],
                        seen[node][:n],
                    )  # fmt: skip
                _add_normalised_tree(
                    seen, thresholds[tree], leaves[tree], reject, reached, scores, alive
                )
            elif n_nodes == 3:
                _add_small_tree(
                    planes, start, offsets[tree], thresholds[tree], leaves[tree], reject, scores,
                    alive,
                )  # fmt: skip
            else:
                _add_tree(
                    planes, start, offsets[tree], thresholds[tree], leaves[tree], reject, reached,
                    scores, alive,
                )  # fmt: skip
            tree += 1
        n_alive = 0
        for x in range(n):
            n_alive += alive[x]
    return tree


@njit(cache=True, nogil=True)
def score_rows(
    planes, width, offsets, thresholds, leaves, rejection, kinds, gains, shifts, n_first, few,
    unit, first_row, last_row, out, work,
):  # fmt: skip
    """Fill rows ``first_row <= row < last_row`` of ``out`` with scores; rejected get -inf.

    Parameters are plain arrays: ``planes`` uint8, the flattened channels of ``width`` columns;
    ``offsets`` int64 and ``thresholds`` uint8 (n_trees, n_nodes); ``leaves`` int16 (n_trees,
    n_nodes + 1); ``rejection`` int32 (n_trees,), the least running score after each tree;
    ``kinds`` uint8 (n_trees, n_nodes), ``gains`` uint16 and ``shifts`` int16 (n_kinds, rows *
    width), see the module, or all without columns; ``out`` float32, scores times ``unit``.
    At most ``n_first`` trees run in the first part, which also ends when at most the share
    ``few`` of a stretch is alive. ``work`` (2,) int64 counts windows times trees of either part.
    """
    n_trees, n_nodes = offsets.shape
    n_columns = out.shape[1]
    all_scores, all_alive = np.empty(STRETCH, np.int16), np.empty(STRETCH, np.uint8)
    all_reached = np.empty((n_nodes, STRETCH), np.int16)
    all_seen = np.empty((n_nodes, STRETCH), np.int16)
    last = (last_row - 1) * width + n_columns
    start = first_row * width
    while start < last:
        n = min(STRETCH, last - start)
        scores, alive = all_scores[:n], all_alive[:n]
        done = _first_trees(
            planes, start, offsets, thresholds, leaves, rejection, kinds, gains, shifts, n_first,
            few, all_seen, all_reached, scores, alive,
        )  # fmt: skip
        work[0] += n * done
        row, column = start // width, start % width
        for x in range(n):
            if column < n_columns:
                passed = alive[x] > 0
                score = np.int64(scores[x])
                if passed and done < n_trees:
                    score, passed, n_run = _finish(
                        planes, start + x, done, offsets, thresholds, leaves, rejection, kinds,
                        gains, shifts, score,
                    )  # fmt: skip
                    work[1] += n_run
                out[row, column] = score * unit if passed else -np.inf
            column += 1
            if column == width:
                column = 0
                row += 1
        start += n
