"""Overlap and greedy suppression of boxes, xyxy float64."""

from __future__ import annotations

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
def greedy_nms(boxes, threshold, by_smaller, keep):
    """Mark in ``keep`` (n,) the boxes, sorted best first, that no kept box suppresses."""
    for i in range(boxes.shape[0]):
        keep[i] = True
        for j in range(i):
            if keep[j] and _overlap(boxes[j], boxes[i], by_smaller) > threshold:
                keep[i] = False
                break
