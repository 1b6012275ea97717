"""Scoring boosted trees: feature vectors one by one, and all windows of a level.

A tree of depth d is complete: ``2**d - 1`` nodes in heap order (children of node k are 2k + 1 and
2k + 2) and ``2**d`` leaves from left to right. A value below a node's threshold goes left. Leaves
are whole multiples of one unit, so sums are exact: all ways to the score of a window agree.

A level is scored in two parts. Its planes have one row stride, so the window at flat position p
finds the feature of a node at ``p + offset`` in the flattened planes. The first trees run over a
stretch of positions at once, tree by tree: compares and selects that the compiler turns into
vector instructions. Four trees at a time add up in bytes, where their leaves allow it, which holds
twice as many windows in a vector as 16 bits do; whether a window is rejected is looked at after
the four. The windows that are still alive then go through the other trees, whose list grows
shorter.

Trees of the second part may also look at a value as its window sees it, normalised by the window's
own statistics: feature channels from ``len(planes)`` on stand for the same planes, normalised.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STRETCH = 4096  # positions at a time: scores and bytes stay in the nearest caches
GROUP = 4  # first trees that add up in bytes, with one look at the rejection threshold
POSITION, SCORE, GAIN, SHIFT = range(4)  # of a survivor; gain and shift for each kind of plane
DEAD = -(1 << 31)  # a score that no rejection threshold is below, whatever is added to it
A_FEW = 8  # windows that are faster one by one


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
def _add_tree(planes, start, offsets, thresholds, leaves, reached, sums):
    """Add what one tree of any depth gives to a stretch of ``sums``, of the type of the leaves.

    ``reached`` (n_nodes, stretch) of the same type is scratch: what the subtree of a node gives.
    """
    n_nodes, n = len(leaves) - 1, len(sums)
    for node in range(n_nodes - 1, -1, -1):
        values = planes[np.int64(offsets[node]) + start : np.int64(offsets[node]) + start + n]
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
        sums[x] += gives[x]


@njit(cache=True, nogil=True)
def _add_small_tree(planes, start, offsets, thresholds, leaves, sums):
    """Do as :func:`_add_tree` for depth 2, in one pass."""
    n = len(sums)
    top = planes[np.int64(offsets[0]) + start : np.int64(offsets[0]) + start + n]
    left = planes[np.int64(offsets[1]) + start : np.int64(offsets[1]) + start + n]
    right = planes[np.int64(offsets[2]) + start : np.int64(offsets[2]) + start + n]
    t0, t1, t2 = thresholds[0], thresholds[1], thresholds[2]
    l0, l1, l2, l3 = leaves[0], leaves[1], leaves[2], leaves[3]
    for x in range(n):
        low = l0 if left[x] < t1 else l1
        high = l2 if right[x] < t2 else l3
        sums[x] += low if top[x] < t0 else high


@njit(cache=True, nogil=True)
def _settle(sums, unit, rejection, scores, alive):
    """Add a group's bytes, in units, to the scores; ``alive`` turns 0 where one is rejected."""
    for x in range(len(scores)):
        score = np.int16(scores[x] + np.int16(sums[x]) * unit)
        scores[x] = score
        alive[x] = alive[x] if score >= rejection else 0


@njit(cache=True, nogil=True)
def _reject(rejection, scores, alive):
    """Turn ``alive`` 0 where a score is below the threshold."""
    for x in range(len(scores)):
        alive[x] = alive[x] if scores[x] >= rejection else 0


@njit(cache=True, nogil=True)
def _gain_and_shift(total, square, area, is_color, scale, noise):
    """Return how a window sees a plane: ``(value * gain >> 8) + shift``, from exact sums over it.

    A colour is centred on 128 and divided by its deviation, a gradient by its mean.
    """
    mean = total / area
    if not is_color:
        return np.int64(256.0 * scale / (mean + noise) + 0.5), np.int64(0)
    factor = scale / (np.sqrt(max(square / area - mean * mean, 0.0)) + noise)
    return np.int64(256.0 * factor + 0.5), np.int64(np.floor(128.5 - mean * factor))


@njit(cache=True, nogil=True)
def gather_normalised(planes, rows, columns, height, width, kinds, scales, noises, out):
    """Fill the features of windows as they see them: ``out`` (n, n_features) uint8.

    ``planes`` uint8 (n_channels, ...), windows at int64 ``rows`` and ``columns``; ``kinds`` uint8
    (n_channels,): the plane whose statistics count for a channel. ``scales`` and ``noises``
    float64 (n_kinds,); the last kind is the gradient magnitude.
    """
    n_kinds, area = len(scales), np.float64(height * width)
    gains, shifts = np.empty(n_kinds, np.int64), np.empty(n_kinds, np.int64)
    for i in range(len(rows)):
        top, left = rows[i], columns[i]
        for kind in range(n_kinds):
            total, square = np.int64(0), np.int64(0)
            for y in range(top, top + height):
                for x in range(left, left + width):
                    value = np.int64(planes[kind, y, x])
                    total += value
                    square += value * value
            gains[kind], shifts[kind] = _gain_and_shift(
                total, square, area, kind < n_kinds - 1, scales[kind], noises[kind]
            )
        k = 0
        for channel in range(planes.shape[0]):
            gain, shift = gains[kinds[channel]], shifts[kinds[channel]]
            for y in range(top, top + height):
                for x in range(left, left + width):
                    value = ((np.int64(planes[channel, y, x]) * gain) >> 8) + shift
                    out[i, k] = np.uint8(min(max(value, 0), 255))
                    k += 1


@njit(cache=True, nogil=True)
def _move_sums(planes, at, row, height, totals, squares):
    """Move the column sums of windows from row ``at`` down to ``row``; at -1 there are none.

    ``totals`` int32 (n_kinds, width) of the first planes, ``squares`` (n_kinds - 1, width) of the
    colours' squares, over ``height`` rows.
    """
    n_kinds, n_colors = totals.shape[0], squares.shape[0]
    if at < 0 or row - at >= height:
        totals[:] = 0
        squares[:] = 0
        for y in range(row, row + height):
            for kind in range(n_kinds):
                for x in range(totals.shape[1]):
                    totals[kind, x] += np.int32(planes[kind, y, x])
            for color in range(n_colors):
                for x in range(totals.shape[1]):
                    value = np.int32(planes[color, y, x])
                    squares[color, x] += value * value
        return
    for y in range(at, row):
        for kind in range(n_kinds):
            leaving, entering, total = planes[kind, y], planes[kind, y + height], totals[kind]
            for x in range(len(total)):
                total[x] += np.int32(entering[x]) - np.int32(leaving[x])
        for color in range(n_colors):
            leaving, entering, square = planes[color, y], planes[color, y + height], squares[color]
            for x in range(len(square)):
                new, old = np.int32(entering[x]), np.int32(leaving[x])
                square[x] += (new - old) * (new + old)


@njit(cache=True, nogil=True)
def _set_view(totals, squares, column, window, scales, noises, survivors, i):
    """Fill how survivor ``i`` sees each kind of plane, from the column sums."""
    n_kinds, width = len(scales), window[1]
    area = np.float64(window[0] * width)
    for kind in range(n_kinds):
        total, square = np.int64(0), np.int64(0)  # a large window exceeds 32 bits
        for x in range(column, column + width):
            total += totals[kind, x]
        if kind < n_kinds - 1:
            for x in range(column, column + width):
                square += squares[kind, x]
        survivors[i, GAIN + 2 * kind], survivors[i, SHIFT + 2 * kind] = _gain_and_shift(
            np.float64(total), np.float64(square), area, kind < n_kinds - 1, scales[kind],
            noises[kind],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _gather(planes, first, alive, scores, n_columns, window, scales, noises, sums, survivors, n):
    """Append the windows that are alive, from flat position ``first`` on, to the survivors.

    There are ``n`` of them so far. ``sums`` has the column sums, and the row that they are at.
    Returns how many survivors there are.
    """
    totals, squares, summed = sums
    width, n_kinds = planes.shape[2], len(scales)
    for x in range(len(alive)):
        if not alive[x]:
            continue
        row, column = (first + x) // width, (first + x) % width
        if column >= n_columns:
            continue
        survivors[n, POSITION], survivors[n, SCORE] = first + x, scores[x]
        if n_kinds:
            if summed[0] != row:
                _move_sums(planes, summed[0], row, window[0], totals, squares)
                summed[0] = row
            _set_view(totals, squares, column, window, scales, noises, survivors, n)
        survivors[n, GAIN + 2 * n_kinds], survivors[n, SHIFT + 2 * n_kinds] = 256, 0
        n += 1
    return n


@njit(cache=True, nogil=True)
def _close_ranks(survivors, n):
    """Move the survivors of ``n`` that are not :data:`DEAD` to the front; return how many."""
    kept = 0
    for i in range(n):
        if survivors[i, SCORE] > DEAD:
            for k in range(survivors.shape[1]):
                survivors[kept, k] = survivors[i, k]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _together(planes, first, places, shape, thresholds, leaves, rejection, kinds, survivors, n):
    """Run trees from ``first`` on over the first ``n`` survivors, tree by tree.

    The loads of different windows overlap, which is worth it while there are many. Ranks are
    closed when a tenth is dead. Returns the next tree, the survivors left, and windows times trees.

    All of a survivor is in one row of ``survivors`` int32: its flat position, its score, and gain
    and shift of each kind of plane, the last kind standing for values as they are. In arrays of
    their own, stores to one may share the last 12 bits of their addresses with loads from another
    for every survivor, and wait for each other: ten times as slow, on some runs.
    """
    n_trees, n_nodes = thresholds.shape[0], np.uint64(thresholds.shape[1])
    offsets = np.empty(n_nodes, np.uint64)
    work, tree, n_alive = 0, first, n
    while tree < n_trees and n_alive > A_FEW:
        work += n_alive
        least, n_alive = rejection[tree], 0
        _set_offsets(places, tree, shape, offsets)
        for i in range(n):
            at, node = np.uint64(survivors[i, POSITION]), np.uint64(0)
            while node < n_nodes:  # unsigned: no index needs a look at its sign
                k = 2 * np.uint64(kinds[tree, node])
                value = np.int32(planes[at + offsets[node]])
                value = ((value * survivors[i, GAIN + k]) >> 8) + survivors[i, SHIFT + k]
                right = np.uint64(value >= thresholds[tree, node])
                node = np.uint64(2) * node + np.uint64(1) + right
            score = survivors[i, SCORE] + leaves[tree, node - n_nodes]
            passed = score >= least
            survivors[i, SCORE] = score if passed else DEAD
            n_alive += passed
        if n_alive < 0.9 * n:
            n = _close_ranks(survivors, n)
        tree += 1
    return tree, _close_ranks(survivors, n), work


@njit(cache=True, nogil=True)
def _one_by_one(planes, first, places, shape, thresholds, leaves, rejection, kinds, survivors, n):
    """Run the trees from ``first`` on over each survivor; return those left, and their work."""
    n_trees, n_nodes = thresholds.shape[0], np.uint64(thresholds.shape[1])
    work, kept = 0, 0
    for i in range(n):
        at, score, passed = np.uint64(survivors[i, POSITION]), survivors[i, SCORE], True
        tree = first
        while passed and tree < n_trees:
            node = np.uint64(0)
            while node < n_nodes:
                k = 2 * np.uint64(kinds[tree, node])
                value = np.int32(planes[at + _offset(places, tree, node, shape)])
                value = ((value * survivors[i, GAIN + k]) >> 8) + survivors[i, SHIFT + k]
                right = np.uint64(value >= thresholds[tree, node])
                node = np.uint64(2) * node + np.uint64(1) + right
            score += leaves[tree, node - n_nodes]
            passed = score >= rejection[tree]
            tree += 1
        work += tree - first
        if passed:
            survivors[kept, POSITION], survivors[kept, SCORE] = at, score
            kept += 1
    return kept, work


@njit(cache=True, nogil=True)
def _offset(places, tree, node, shape):
    """Return where a node's feature is in the flattened planes, from a window's position.

    ``places`` uint32 (3, n_trees, n_nodes): plane, row and column; ``shape`` height and width.
    """
    row = np.uint64(places[0, tree, node]) * shape[0] + np.uint64(places[1, tree, node])
    return row * shape[1] + np.uint64(places[2, tree, node])


@njit(cache=True, nogil=True)
def _set_offsets(places, tree, shape, out):
    """Fill the offsets of all nodes of a tree."""
    for node in range(len(out)):
        out[node] = _offset(places, tree, node, shape)


@njit(cache=True, nogil=True)
def _first_trees(
    planes, start, places, shape, thresholds, leaves, rejection, small, units, scratch, scores,
    alive,
):  # fmt: skip
    """Run the groups of first trees over a stretch, or fewer if no window stays alive.

    Returns how many trees that were.
    """
    sums, reached, small_reached = scratch
    n, n_nodes, n_small = len(scores), thresholds.shape[1], small.shape[1] - 1
    offsets = np.empty(n_nodes, np.uint64)
    scores[:] = 0
    alive[:] = 1
    n_trees, n_alive = GROUP * len(units), n
    for group in range(len(units)):
        first, until = GROUP * group, GROUP * group + GROUP
        if units[group] > 0:
            sums[:n] = 0
            for tree in range(first, until):
                _set_offsets(places, tree, shape, offsets[:n_small])
                if n_small == 3:
                    _add_small_tree(planes, start, offsets, thresholds[tree], small[tree], sums[:n])
                else:
                    _add_tree(
                        planes, start, offsets, thresholds[tree], small[tree], small_reached,
                        sums[:n],
                    )  # fmt: skip
            _settle(sums[:n], units[group], _clipped(rejection[until - 1]), scores, alive)
        else:
            for tree in range(first, until):
                _set_offsets(places, tree, shape, offsets)
                _add_tree(planes, start, offsets, thresholds[tree], leaves[tree], reached, scores)
                _reject(_clipped(rejection[tree]), scores, alive)
        if group % 2 == 1:
            n_alive = 0
            for x in range(n):
                n_alive += alive[x]
            if n_alive == 0:
                return until
    return n_trees


@njit(cache=True, nogil=True)
def _clipped(threshold):
    return np.int16(min(max(threshold, -32768), 32767))


@njit(cache=True, nogil=True)
def score_rows(
    planes, places, thresholds, leaves, rejection, kinds, window, scales, noises, small, units,
    unit, first_row, last_row, out, work,
):  # fmt: skip
    """Fill rows ``first_row <= row < last_row`` of ``out`` with scores; rejected get -inf.

    Plain arrays: ``planes`` uint8 (n_planes, height, width), contiguous; ``places`` uint32
    (3, n_trees, n_nodes), plane, row and column of the features; ``thresholds`` uint8
    (n_trees, n_nodes); ``leaves`` int16 (n_trees, n_nodes + 1); ``rejection`` int32 (n_trees,),
    the least running score after each tree; ``kinds`` uint8 (n_trees, n_nodes), which of the
    statistics normalise a node, n_kinds: none; ``window`` (2,) int64 the cells of a window;
    ``scales`` and ``noises`` float64 (n_kinds,), none of them where nothing is normalised, of the
    first planes. ``units`` int16, one for each group of first trees, which look at plain values
    only and whose sums fit into 16 bits: what ``small`` int8, the group's leaves, are in; 0 where
    they do not fit into bytes. Where ``small`` has fewer leaves than the trees, the nodes above
    them decide alone. ``out`` float32, scores times ``unit``. ``work`` (2,) int64 counts windows
    times trees of the first part and of the second.
    """
    n_nodes, n_first, n_kinds = thresholds.shape[1], GROUP * len(units), len(scales)
    n_columns, width = out.shape[1], planes.shape[2]
    flat, shape = planes.reshape(planes.size), (np.uint64(planes.shape[1]), np.uint64(width))
    out[first_row:last_row] = -np.inf
    all_scores, all_alive = np.empty(STRETCH, np.int16), np.empty(STRETCH, np.uint8)
    scratch = (
        np.empty(STRETCH, np.int8), np.empty((n_nodes, STRETCH), np.int16),
        np.empty((n_nodes, STRETCH), np.int8),
    )  # fmt: skip
    capacity = 2 * STRETCH
    survivors = np.empty((capacity, GAIN + 2 * (n_kinds + 1)), np.int32)
    sums = (
        np.empty((n_kinds, width), np.int32), np.empty((max(n_kinds - 1, 0), width), np.int32),
        np.full(1, -1),
    )  # fmt: skip
    trees = (places, shape, thresholds, leaves, rejection)
    last = (last_row - 1) * width + n_columns
    start, n_alive = first_row * width, 0
    while start < last:
        n = min(STRETCH, last - start)
        scores, alive = all_scores[:n], all_alive[:n]
        done = _first_trees(flat, start, *trees, small, units, scratch, scores, alive)
        work[0] += n * done
        n_alive = _gather(
            planes,
            start,
            alive,
            scores,
            n_columns,
            window,
            scales,
            noises,
            sums,
            survivors,
            n_alive,
        )
        start += n
        if start >= last or n_alive > capacity - STRETCH:
            tree, n_alive, n_run = _together(flat, n_first, *trees, kinds, survivors, n_alive)
            work[1] += n_run
            n_alive, n_run = _one_by_one(flat, tree, *trees, kinds, survivors, n_alive)
            work[1] += n_run
            for i in range(n_alive):
                at = survivors[i, POSITION]
                out[at // width, at % width] = survivors[i, SCORE] * unit
            n_alive = 0
