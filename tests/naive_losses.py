"""Obviously right twins of the losses of boxes, in plain Python; they import no kernel."""

import math


def box_loss(kind, predicted, true):
    """Return the loss of two boxes of ordinary size, xyxy."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = predicted, true
    w, h, true_w, true_h = (max(side, 0) for side in (x2 - x1, y2 - y1, u2 - u1, v2 - v1))
    shared = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
    union = w * h + true_w * true_h - shared
    iou = shared / union if union > 0 else 0
    around_w = max(x1, x2, u1, u2) - min(x1, x2, u1, u2)
    around_h = max(y1, y2, v1, v2) - min(y1, y2, v1, v2)
    if kind == "iou":
        return 1 - iou
    if kind == "log-iou":
        return -math.log(max(iou, 1e-6))
    if kind == "giou":
        around = around_w * around_h
        return 1 - iou + ((around - union) / around if around > 0 else 0)
    away = ((x1 + x2) / 2 - (u1 + u2) / 2) ** 2 + ((y1 + y2) / 2 - (v1 + v2) / 2) ** 2
    diagonal = around_w**2 + around_h**2
    diou = 1 - iou + (away / diagonal if diagonal > 0 else 0)
    if kind == "diou":
        return diou
    v = 4 / math.pi**2 * (math.atan2(true_w, true_h) - math.atan2(w, h)) ** 2
    return diou + (v * v / (1 - iou + v) if v > 0 else 0)


def squared(apart):
    return sum(z * z / 2 for z in apart)


def smooth_l1(apart, beta):
    return sum(huber(abs(z), beta) for z in apart)


def huber(size, beta):
    return size**2 / (2 * beta) if size < beta else size - beta / 2


def balanced_l1(apart, alpha, gamma):
    b = math.exp(gamma / alpha) - 1
    total = 0
    for z in map(abs, apart):
        if z < 1:
            total += alpha / b * (b * z + 1) * math.log(b * z + 1) - alpha * z
        else:
            total += gamma * z + gamma / b - alpha
    return total


def uncertain(apart, log_variances):
    pairs = zip(apart, log_variances, strict=True)
    return sum(math.exp(-s) * huber(abs(z), 1) + s / 2 for z, s in pairs)


def bounded_iou(offsets, targets, beta):
    """Return the loss from widths and centres, with a reference of 1 by 1."""
    total = 0
    for axis in range(2):
        shift = abs(offsets[axis] - targets[axis])
        width, true_width = math.exp(offsets[axis + 2]), math.exp(targets[axis + 2])
        by_shift = max(0, (true_width - 2 * shift) / (true_width + 2 * shift))
        by_size = min(width / true_width, true_width / width)
        total += huber(1 - by_shift, beta) + huber(1 - by_size, beta)
    return total


def distribution(logits, positions):
    """Return the loss of four lists of logits; ``positions`` are in units of bins."""
    total = 0
    for row, position in zip(logits, positions, strict=True):
        all_of_them = sum(map(math.exp, row))
        for b, logit in enumerate(row):
            share = max(0, 1 - abs(position - b))
            total -= share * math.log(math.exp(logit) / all_of_them)
    return total
