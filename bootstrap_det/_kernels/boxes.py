"""Overlap and greedy suppression of boxes, xyxy float64."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _overlap(a, b, by_smaller):
    """Return the overlap of two boxes: over the union, or over the smaller area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    shared = width * height
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    whole = min(area_a, area_b) if by_smaller else area_a + area_b - shared
    # Rounding may lift the ratio of two nearly equal boxes just above 1.
    return min(shared / whole, 1.0) if whole > 0.0 else 0.0


@njit(cache=True, nogil=True)
def overlap_matrix(boxes, others, by_smaller, out):
    """Fill ``out`` (n, m) with the overlap of every box with every other box."""
    for i in range(boxes.shape[0]):
        for j in range(others.shape[0]):
            out[i, j] = _overlap(boxes[i], others[j], by_smaller)


@njit(cache=True, nogil=True)
def greedy_nms(boxes, threshold, by_smaller, kept):
    """Fill ``kept`` with the boxes, sorted best first, that no kept box suppresses.

    Returns how many there are; stops when ``kept`` is full. Boxes are compared only with kept
    ones, so the time is that of the boxes times those kept.
    """
    n_kept = 0
    for i in range(boxes.shape[0]):
        if n_kept == kept.shape[0]:
            break
        suppressed = False
        for j in range(n_kept):
            if _overlap(boxes[kept[j]], boxes[i], by_smaller) > threshold:
                suppressed = True
                break
        if not suppressed:
            kept[n_kept] = i
            n_kept += 1
    return n_kept


@njit(cache=True, nogil=True)
def vote(boxes, scores, order, threshold, temperature, totals, out_boxes, out_counts):
    """Fill each box's mean with those that overlap it more than ``threshold``, and their number.

    A neighbour weighs ``exp((its score - score) / temperature)``, at most 1. ``order`` (n,) sorts
    the boxes by their left side, so that a box is compared only with those that begin before it
    ends; ``totals`` (n,) float64 is scratch.
    """
    out_boxes[:] = boxes
    totals[:] = 1.0
    out_counts[:] = 1
    for a in range(len(order)):
        i = order[a]
        for b in range(a + 1, len(order)):
            j = order[b]
            if boxes[j, 0] >= boxes[i, 2]:
                break
            if _overlap(boxes[i], boxes[j], False) > threshold:
                to_i = np.exp(min(scores[j] - scores[i], 0.0) / temperature)
                to_j = np.exp(min(scores[i] - scores[j], 0.0) / temperature)
                totals[i] += to_i
                totals[j] += to_j
                out_counts[i] += 1
                out_counts[j] += 1
                for k in range(4):
                    out_boxes[i, k] += to_i * boxes[j, k]
                    out_boxes[j, k] += to_j * boxes[i, k]
    for i in range(len(order)):
        for k in range(4):
            out_boxes[i, k] /= totals[i]
