"""Overlap of boxes, xyxy float64, and what makes detections of many that overlap."""

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


@njit(cache=True, nogil=True)
def _position_of_best(scores, waiting):
    """Return where ``waiting`` names the highest score, the first of equal ones."""
    best = 0
    for a in range(1, len(waiting)):
        if scores[waiting[a]] > scores[waiting[best]]:
            best = a
    return best


@njit(cache=True, nogil=True)
def soft_nms(boxes, scores, weights, by_smaller, least, waiting, lowered, kept):
    """Fill ``kept`` with the boxes, best first, that stay at ``least`` and more; return how many.

    The best box that waits is kept, and lowers the score of each that still waits by its weight
    times the square of their overlap. Of equal scores the first box is taken. ``lowered`` (n,)
    gets the scores. ``waiting`` (n,) int64 is scratch; a box that falls below ``least`` leaves it,
    so the time is that of the boxes kept times those that still wait.
    """
    lowered[:] = scores
    n_waiting = n_kept = 0
    for i in range(len(scores)):
        if scores[i] >= least:
            waiting[n_waiting] = i
            n_waiting += 1
    while n_waiting > 0:
        best = waiting[_position_of_best(lowered, waiting[:n_waiting])]
        kept[n_kept] = best
        n_kept += 1
        n_left = 0
        for a in range(n_waiting):
            i = waiting[a]
            shared = _overlap(boxes[best], boxes[i], by_smaller)
            if i != best:
                lowered[i] -= weights[i] * shared * shared
                if lowered[i] >= least:
                    waiting[n_left] = i
                    n_left += 1
        n_waiting = n_left
    return n_kept


@njit(cache=True, nogil=True)
def _nearest(box, others, threshold):
    """Return which other box overlaps this one most, and more than ``threshold``; -1 if none."""
    nearest, most = -1, threshold
    for j in range(len(others)):
        shared = _overlap(others[j], box, False)
        if shared > most:
            nearest, most = j, shared
    return nearest


@njit(cache=True, nogil=True)
def fuse(boxes, scores, threshold, temperature, totals, fused, counts, founders):
    """Fill each cluster's mean box, number of members and best member; return how many there are.

    Boxes come best first. Each joins the cluster whose mean so far it overlaps most, and more than
    ``threshold``, or founds one. A member weighs ``exp((its score - the founder's) /
    temperature)``. ``totals`` (n,) float64 is scratch. The time is that of the boxes times the
    clusters.
    """
    n = 0
    for i in range(len(scores)):
        c = _nearest(boxes[i], fused[:n], threshold)
        if c < 0:
            fused[n] = boxes[i]
            totals[n], counts[n], founders[n] = 1.0, 1, i
            n += 1
        else:
            weight = np.exp((scores[i] - scores[founders[c]]) / temperature)
            totals[c] += weight
            counts[c] += 1
            for k in range(4):
                fused[c, k] += weight / totals[c] * (boxes[i, k] - fused[c, k])
    return n
