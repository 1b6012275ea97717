"""Losses of predicted offsets of a box, and their gradients.

``apart`` is the predicted minus the true offset in the loss's own unit, (n, 4) float64, no larger
than 1e100, so that no square overflows. The loss of a box is the sum over its four offsets.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LOWEST_LOG = -1e100  # of a bin's probability


@njit(cache=True, nogil=True)
def squared(apart, out_values, out_gradients):
    """Fill half the sum of squares (n,), and the slopes by ``apart`` (n, 4)."""
    for i in range(apart.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            out_values[i] += apart[i, k] ** 2 / 2.0
            out_gradients[i, k] = apart[i, k]


@njit(cache=True, nogil=True)
def smooth_l1(apart, beta, out_values, out_gradients):
    """Fill the sum of sizes, rounded off below ``beta`` (n,), and the slopes by ``apart`` (n, 4).

    With ``beta`` 0 it is the plain sum, whose slope is 0 at 0.
    """
    for i in range(apart.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            value, slope = _rounded_off(abs(apart[i, k]), beta)
            out_values[i] += value
            out_gradients[i, k] = slope * np.sign(apart[i, k])


@njit(cache=True, nogil=True)
def _rounded_off(size, beta):
    """Return the smooth L1 of a size, and its slope."""
    if size < beta:
        return size * size / (2.0 * beta), size / beta
    return size - beta / 2.0, 1.0


@njit(cache=True, nogil=True)
def balanced_l1(apart, alpha, gamma, out_values, out_gradients):
    """Fill the balanced L1 (n,), and its slopes by ``apart`` (n, 4)."""
    b = np.expm1(gamma / alpha)  # so that alpha ln(b + 1) = gamma: the slope has no step at 1
    for i in range(apart.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            value, slope = _balanced(abs(apart[i, k]), alpha, gamma, b)
            out_values[i] += value
            out_gradients[i, k] = slope * np.sign(apart[i, k])


@njit(cache=True, nogil=True)
def _balanced(size, alpha, gamma, b):
    """Return the balanced L1 of a size, and its slope."""
    if size >= 1.0:
        return gamma * size + gamma / b - alpha, gamma
    slope = alpha * np.log1p(b * size)
    return slope * (size + 1.0 / b) - alpha * size, slope


@njit(cache=True, nogil=True)
def uncertain(apart, log_variances, bound, out_values, out_gradients):
    """Fill the KL loss (n,), and its slopes by ``apart`` and then by ``log_variances`` (n, 8).

    A log variance (n, 4) beyond +-``bound`` counts as the bound, and has no slope.
    """
    for i in range(apart.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            log_variance = min(max(log_variances[i, k], -bound), bound)
            value, slope = _rounded_off(abs(apart[i, k]), 1.0)
            precision = np.exp(-log_variance)
            out_values[i] += precision * value + log_variance / 2.0
            out_gradients[i, k] = precision * slope * np.sign(apart[i, k])
            inside = abs(log_variances[i, k]) < bound
            out_gradients[i, k + 4] = 0.5 - precision * value if inside else 0.0


@njit(cache=True, nogil=True)
def bounded_iou(offsets, targets, bound, beta, out_values, out_gradients):
    """Fill the bounded IoU loss (n,), and its slopes by ``offsets`` (n, 4).

    True log sizes count as +-``bound`` beyond it.
    """
    for i in range(offsets.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            away = offsets[i, k] - targets[i, k]
            if k < 2:
                smaller = np.exp(-min(max(targets[i, k + 2], -bound), bound))
                lack, steep = _lack_by_shift(abs(away) * smaller)
                steep *= smaller
            else:
                lack, steep = -np.expm1(-abs(away)), np.exp(-abs(away))
            value, slope = _rounded_off(lack, beta)
            out_values[i] += value
            out_gradients[i, k] = slope * steep * np.sign(away)


@njit(cache=True, nogil=True)
def _lack_by_shift(shift):
    """Return 1 minus the best IoU of boxes this far apart, in true widths, and its slope."""
    if shift >= 0.5:
        return 1.0, 0.0
    return 4.0 * shift / (1.0 + 2.0 * shift), 4.0 / (1.0 + 2.0 * shift) ** 2


@njit(cache=True, nogil=True)
def distribution(logits, positions, out_values, out_gradients):
    """Fill the distribution focal loss (n,), and its slopes by ``logits`` (n, 4, n_bins).

    ``positions`` (n, 4) are the targets in units of bins, 0 to n_bins - 1.
    """
    last = logits.shape[2] - 1
    for i in range(logits.shape[0]):
        out_values[i] = 0.0
        for k in range(4):
            left = min(int(positions[i, k]), last - 1)
            right_share = positions[i, k] - left
            highest, log_sum = _log_sum(logits[i, k])
            for b in range(last + 1):
                log_p = max(logits[i, k, b] - highest - log_sum, LOWEST_LOG)
                share = 0.0
                if b == left:
                    share = 1.0 - right_share
                elif b == left + 1:
                    share = right_share
                out_values[i] -= share * log_p
                out_gradients[i, k, b] = np.exp(log_p) - share


@njit(cache=True, nogil=True)
def _log_sum(logits):
    """Return the highest logit, and by how much the log of the summed exponentials is more."""
    highest = logits.max()
    total = 0.0
    for logit in logits:
        total += np.exp(logit - highest)
    return highest, np.log(total)
