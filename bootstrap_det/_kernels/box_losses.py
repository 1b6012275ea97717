"""Losses of a predicted box against the true one, and their gradients, for any finite boxes.

A pair is measured in units of the box around both, along each axis apart: then no product of
sides overflows, and only a ratio that matters to nobody is lost to underflow. A box whose ends
are equal or the wrong way round has no area. Gradients are taken with respect to the sizes of
the pair along an axis, and only then with respect to the box's two ends on it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

IOU, LOG_IOU, GIOU, DIOU, CIOU = range(5)  # kinds of loss
FLOOR = 1e-6  # of the IoU under the logarithm
STEEPEST = 1e300  # where gradients are cut

HUGE, SHRINK = 1e300, 0.0625  # beyond HUGE, differences of coordinates might overflow
UNIT, SIZE, TRUE_SIZE, SHARED, SHIFT = range(5)  # what `_along` returns


@njit(cache=True, nogil=True)
def box_losses(predicted, true, kind, out_values, out_gradients):
    """Fill the loss of each pair (n,) and its gradient by the predicted box (n, 4).

    ``predicted`` and ``true`` are (n, 4) float64, xyxy, finite; ``kind`` is one of ``IOU``,
    ``LOG_IOU``, ``GIOU``, ``DIOU`` and ``CIOU``. Where two ends lie on each other the gradient
    is the mean of those on both sides, so it is 0 for equal boxes; where boxes only touch it is
    that of disjoint ones. It is cut at +-``STEEPEST``.
    """
    for i in range(predicted.shape[0]):
        out_values[i] = _pair(predicted[i], true[i], kind, out_gradients[i])


@njit(cache=True, nogil=True)
def _pair(p, t, kind, out):
    """Return the loss of one pair, and fill ``out`` (4,) with its gradient."""
    zoom = _zoom(p, t)
    x = _along(p[0] * zoom, p[2] * zoom, t[0] * zoom, t[2] * zoom)
    y = _along(p[1] * zoom, p[3] * zoom, t[1] * zoom, t[3] * zoom)
    union, iou = _overlap(x, y)
    distance = _distance(x, y)[0] if kind in (DIOU, CIOU) else 0.0
    turn, alpha = _shape(x, y, iou) if kind == CIOU else (0.0, 0.0)
    for axis in range(2):
        own, other = (x, y) if axis == 0 else (y, x)
        slopes = _slopes(own, other, kind, union, iou, turn if axis == 0 else -turn, alpha)
        first, second = _ends(
            slopes, p[axis] * zoom, p[axis + 2] * zoom, t[axis] * zoom, t[axis + 2] * zoom
        )
        out[axis] = _original(first, own[UNIT], zoom)
        out[axis + 2] = _original(second, own[UNIT], zoom)
    return _value(kind, iou) + _empty(x, y, kind, union) + distance + alpha * _squared_turn(turn)


@njit(cache=True, nogil=True)
def _zoom(p, t):
    """Return a power of 2 by which no sum or difference of the coordinates overflows."""
    for k in range(4):
        if abs(p[k]) > HUGE or abs(t[k]) > HUGE:
            return SHRINK
    return 1.0


@njit(cache=True, nogil=True)
def _along(p1, p2, t1, t2):
    """Return a pair's measures on one axis, in units of the interval around both.

    They are that unit, the predicted and the true size, the size shared, and the way from the
    true centre to the predicted one; all 0 when the four ends are one point.
    """
    unit = max(max(p1, p2), max(t1, t2)) - min(min(p1, p2), min(t1, t2))
    if unit == 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    size, true_size = max(p2 - p1, 0.0) / unit, max(t2 - t1, 0.0) / unit
    shared = max(min(p2, t2) - max(p1, t1), 0.0) / unit
    return unit, size, true_size, shared, ((p1 - t1) + (p2 - t2)) / unit / 2.0


@njit(cache=True, nogil=True)
def _overlap(x, y):
    """Return the area of the union, and the part of it that is shared."""
    shared = x[SHARED] * y[SHARED]
    union = x[SIZE] * y[SIZE] + x[TRUE_SIZE] * y[TRUE_SIZE] - shared
    return union, min(shared / union, 1.0) if union > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _value(kind, iou):
    """Return the part of the loss that depends on the overlap."""
    return -np.log(max(iou, FLOOR)) if kind == LOG_IOU else 1.0 - iou


@njit(cache=True, nogil=True)
def _empty(x, y, kind, union):
    """Return GIoU's penalty: the share of the box around both that neither covers."""
    if kind != GIOU or x[UNIT] == 0.0 or y[UNIT] == 0.0:
        return 0.0
    return max(1.0 - union, 0.0)


@njit(cache=True, nogil=True)
def _aspect(own, other):
    """Return the two units, in units of the longer one."""
    longer = max(own[UNIT], other[UNIT])
    return (own[UNIT] / longer, other[UNIT] / longer) if longer > 0.0 else (0.0, 0.0)


@njit(cache=True, nogil=True)
def _distance(own, other):
    """Return the squared distance of the centres over the squared diagonal, and two slopes.

    These are by the shift and by the size of the box around both, along ``own``.
    """
    a, b = _aspect(own, other)
    diagonal = a * a + b * b
    if diagonal == 0.0:
        return 0.0, 0.0, 0.0
    value = ((a * own[SHIFT]) ** 2 + (b * other[SHIFT]) ** 2) / diagonal
    steep = 2.0 * a * a / diagonal
    return value, steep * own[SHIFT], -steep * value


@njit(cache=True, nogil=True)
def _shape(x, y, iou):
    """Return the angle between the diagonals of the two boxes, and CIoU's alpha."""
    a, b = _aspect(x, y)
    turn = np.arctan2(a * x[TRUE_SIZE], b * y[TRUE_SIZE]) - np.arctan2(a * x[SIZE], b * y[SIZE])
    v = _squared_turn(turn)
    return turn, v / (1.0 - iou + v) if v > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _squared_turn(turn):
    """Return CIoU's v, the squared angle over that of a quarter turn."""
    return (2.0 / np.pi * turn) ** 2


@njit(cache=True, nogil=True)
def _turn_slope(own, other, turn):
    """Return the slope of v by the size of the predicted box along ``own``."""
    a, b = _aspect(own, other)
    longer = max(a * own[SIZE], b * other[SIZE])
    if longer == 0.0:
        return 0.0
    u, v = a * own[SIZE] / longer, b * other[SIZE] / longer
    steep = min(v / (u * u + v * v) / longer, STEEPEST)
    return -8.0 / np.pi**2 * turn * a * steep


@njit(cache=True, nogil=True)
def _overlap_slopes(own, other, union, iou):
    """Return the slopes of the IoU by the predicted size and by the size shared along ``own``.

    Every factor is at most 2, however thin the boxes.
    """
    if own[SHARED] == 0.0 or other[SHARED] == 0.0 or union == 0.0:
        return 0.0, 0.0
    height = other[SHARED] / union
    part = own[SIZE] * other[SIZE] / union
    return -part * (own[SHARED] / own[SIZE]) * height, height * (1.0 + iou)


@njit(cache=True, nogil=True)
def _slopes(own, other, kind, union, iou, turn, alpha):
    """Return the loss's slopes by the size, what is shared, the box around both and the shift."""
    by_iou = alpha * alpha - 1.0
    if kind == LOG_IOU:
        by_iou = -1.0 / iou if iou > FLOOR else 0.0
    by_size, by_shared = _overlap_slopes(own, other, union, iou)
    by_size, by_shared, by_whole, by_shift = by_iou * by_size, by_iou * by_shared, 0.0, 0.0
    if kind == GIOU and other[UNIT] > 0.0:
        by_size, by_shared = by_size - other[SIZE], by_shared + other[SHARED]
        by_whole = union
    if kind in (DIOU, CIOU):
        _, by_shift, by_whole = _distance(own, other)
    if kind == CIOU:
        by_size += alpha * (2.0 - alpha) * _turn_slope(own, other, turn)
    return by_size, by_shared, by_whole, by_shift


@njit(cache=True, nogil=True)
def _ends(slopes, p1, p2, t1, t2):
    """Return the slopes by the predicted box's two ends on an axis, in that axis's unit."""
    by_size, by_shared, by_whole, by_shift = slopes
    first = second = by_shift / 2.0
    if p2 > p1:
        first, second = first - by_size, second + by_size
    if min(p2, t2) > max(p1, t1):
        first -= by_shared * _is_below(t1, p1)
        second += by_shared * _is_below(p2, t2)
    low, high = min(min(p1, p2), min(t1, t2)), max(max(p1, p2), max(t1, t2))
    first += by_whole * _pull(p1, t1, t2, low, high)
    second += by_whole * _pull(p2, t1, t2, low, high)
    return first, second


@njit(cache=True, nogil=True)
def _is_below(a, b):
    """Return 1 where a < b, 0 where a > b, and the mean where they are equal."""
    return 1.0 if a < b else (0.5 if a == b else 0.0)


@njit(cache=True, nogil=True)
def _pull(p, t1, t2, low, high):
    """Return the slope of the interval around both, ``low`` to ``high``, by one of its ends."""
    slope = 0.0
    if p == high:
        slope += _is_below(max(t1, t2), p)
    if p == low:
        slope -= _is_below(p, min(t1, t2))
    return slope


@njit(cache=True, nogil=True)
def _original(slope, unit, zoom):
    """Return a slope in the box's own unit, cut where it would be too steep."""
    if unit == 0.0:
        return 0.0
    return min(max(slope * zoom / unit, -STEEPEST), STEEPEST)
