"""Obviously right twins of the kernels, in plain loops; they import nothing of the package."""

import math

import numpy as np


def gradient(image, y, x):
    """Return (gx, gy) at a pixel: central differences, none at the border.

    Of several channels, the strongest counts; the first one on ties.
    """
    height, width, n_channels = image.shape
    best = (0.0, 0.0)
    for c in range(n_channels):
        gx = gy = 0.0
        if 0 < x < width - 1:
            gx = float(image[y, x + 1, c]) - float(image[y, x - 1, c])
        if 0 < y < height - 1:
            gy = float(image[y + 1, x, c]) - float(image[y - 1, x, c])
        if gx * gx + gy * gy > best[0] ** 2 + best[1] ** 2:
            best = (gx, gy)
    return best


def orientation_bin(gx, gy, n_bins, signed):
    """Return the bin of a gradient over 360 degrees if signed, else 180.

    A gradient on the boundary of two bins belongs to the upper one.
    """
    whole = 2 * math.pi if signed else math.pi
    angle = math.atan2(gy, gx) % whole
    return math.floor(angle / (whole / n_bins) + 1e-6) % n_bins


def hog_cells(image, cell_size, n_bins, signed=False):
    """Return mean gradient magnitudes (n_bins, rows, columns); each pixel goes to its own cell."""
    rows, columns = image.shape[0] // cell_size, image.shape[1] // cell_size
    out = np.zeros((n_bins, rows, columns))
    for y in range(rows * cell_size):
        for x in range(columns * cell_size):
            gx, gy = gradient(image, y, x)
            b = orientation_bin(gx, gy, n_bins, signed)
            out[b, y // cell_size, x // cell_size] += math.hypot(gx, gy)
    return out / cell_size**2


def hog_cells_interpolated(image, cell_size, n_bins, signed=False):
    """Return the same with each pixel shared by all cells, falling with distance to the centres."""
    rows, columns = image.shape[0] // cell_size, image.shape[1] // cell_size
    out = np.zeros((n_bins, rows, columns))
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            gx, gy = gradient(image, y, x)
            b = orientation_bin(gx, gy, n_bins, signed)
            for row in range(rows):
                share_y = 1 - abs(y + 0.5 - (row + 0.5) * cell_size) / cell_size
                for column in range(columns):
                    share_x = 1 - abs(x + 0.5 - (column + 0.5) * cell_size) / cell_size
                    share = max(share_x, 0) * max(share_y, 0)
                    out[b, row, column] += share * math.hypot(gx, gy)
    return out / cell_size**2


def l2_hys(cells, block_size, epsilon, clip):
    """Return normalised blocks (block_size**2 * n_bins, rows, columns)."""
    n_bins = len(cells)
    rows, columns = cells.shape[1] - block_size + 1, cells.shape[2] - block_size + 1
    out = np.zeros((block_size**2 * n_bins, max(rows, 0), max(columns, 0)))
    for row in range(rows):
        for column in range(columns):
            block = [
                cells[b, row + i, column + j]
                for i in range(block_size)
                for j in range(block_size)
                for b in range(n_bins)
            ]
            block = np.array(block) / math.sqrt(sum(v * v for v in block) + epsilon**2)
            block = np.minimum(block, clip)
            out[:, row, column] = block / math.sqrt(sum(v * v for v in block) + epsilon**2)
    return out


def score_level(channels, weights, bias):
    """Return the dot product of the template with every window of a level."""
    _, height, width = weights.shape
    rows, columns = channels.shape[1] - height + 1, channels.shape[2] - width + 1
    out = np.zeros((max(rows, 0), max(columns, 0)))
    for row in range(rows):
        for column in range(columns):
            window = channels[:, row : row + height, column : column + width]
            out[row, column] = (window.astype(float) * weights).sum() + bias
    return out


def overlap(a, b, kind="iou"):
    """Return the overlap of two boxes, xyxy; inverted boxes overlap nothing."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    whole = min(areas) if kind == "min" else sum(areas) - width * height
    return width * height / whole if whole > 0 else 0.0


def nms(boxes, scores, threshold, kind="iou"):
    """Return the indices that greedy suppression keeps, best first, ties by coordinates."""
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i], *boxes[i]))
    kept = []
    for i in order:
        if all(overlap(boxes[i], boxes[k], kind) <= threshold for k in kept):
            kept.append(i)
    return kept


def tree_scores(values, features, thresholds, leaves):
    """Return the running scores of one window after each tree, in units."""
    n_nodes, score, out = len(features[0]), 0, []
    for looks_at, below, gives in zip(features, thresholds, leaves, strict=True):
        node = 0
        while node < n_nodes:
            goes_left = int(values[looks_at[node]]) < int(below[node])
            node = 2 * node + (1 if goes_left else 2)
        score += int(gives[node - n_nodes])
        out.append(score)
    return out


def best_split(columns, positive, weights):
    """Return (loss, feature, threshold) of the best split, by trying every one.

    Of equal losses the first feature and the lowest threshold win.
    """
    best = (math.inf, 0, 0)
    for feature, values in enumerate(columns):
        for threshold in range(1, 256):
            left = values < threshold
            if not left.any() or left.all():
                continue
            loss = sum(
                math.sqrt(weights[side & positive].sum() * weights[side & ~positive].sum())
                for side in (left, ~left)
            )
            if loss < best[0] - 1e-12:
                best = (loss, feature, threshold)
    return best


def halved(image):
    """Return means of 2x2 pixels, rounded, halves up."""
    out = np.zeros((image.shape[0] // 2, image.shape[1] // 2), int)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = (int(image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum()) + 2) // 4
    return out


def area_mean(image, size):
    """Return the mean of the picture over the area of each new pixel, not rounded."""
    for axis in (0, 1):
        step = image.shape[axis] / size[axis]
        rows = []
        for k in range(size[axis]):
            start, stop = k * step, (k + 1) * step
            shares = [max(min(stop, i + 1) - max(start, i), 0.0) for i in range(image.shape[axis])]
            rows.append(np.tensordot(shares, image.astype(float), (0, axis)) / step)
        image = np.stack(rows, axis=axis)
    return image


def acf_sums(planes, cell_size, n_orientations):
    """Return block sums of colours, of the gradient magnitude, and of it by orientation.

    ``planes`` is (n_colors, height, width). At the border the differences are one-sided. The
    magnitude is the longest projection on one of the directions, whose unit vectors are rounded
    to whole multiples of ``1 / scale``; it is in those units. All longest directions get it.
    """
    n_colors, height, width = planes.shape
    scale = {2: 32, 4: 8}[cell_size]
    angles = [math.pi * k / n_orientations for k in range(n_orientations)]
    directions = [(round(scale * math.cos(a)), round(scale * math.sin(a))) for a in angles]
    rows, columns = height // cell_size, width // cell_size
    out = np.zeros((n_colors + 1 + n_orientations, rows, columns), int)
    values = planes.astype(int)
    for y in range(rows * cell_size):
        for x in range(columns * cell_size):
            at = (slice(None), y // cell_size, x // cell_size)
            gradients = [
                (
                    p[y, min(x + 1, width - 1)] - p[y, max(x - 1, 0)],
                    p[min(y + 1, height - 1), x] - p[max(y - 1, 0), x],
                )
                for p in values
            ]
            gx, gy = max(gradients, key=lambda g: g[0] ** 2 + g[1] ** 2)
            lengths = [abs(gx * c + gy * s) for c, s in directions]
            votes = [length if length == max(lengths) else 0 for length in lengths]
            out[at] += np.array([*values[:, y, x], max(lengths), *votes])
    return out


def tangent_root(total):
    """Return the least of ``total`` and tangents of ``sqrt(1.5 total)``, slopes 1/8 to 1/256."""
    return min(total, *(total / 2**k + 3 * 2 ** (k - 3) for k in range(3, 9)))


def seen_by_window(window, n_colors, noise):
    """Return a window's channels (n_channels, rows, columns) as it sees them, not rounded.

    Colours: 128 and 40 grey levels a deviation. Gradients, which are about 13.9 times the root of
    a magnitude: 96 times the share of the mean.
    """
    out = window.astype(float)
    mean_root = out[n_colors].mean()
    for channel in range(n_colors):
        deviation = out[channel].std() + 2 * noise
        out[channel] = 128 + 40 * (out[channel] - out[channel].mean()) / deviation
    out[n_colors:] *= 96 / (mean_root + math.sqrt(192 * noise) / 2)
    return np.clip(out, 0, 255)


def vote(boxes, scores, threshold, temperature, hit_gain, usual_hits):
    """Return boxes and scores after all that overlap each one have voted."""
    voted, raised = [], []
    for i, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        near = [
            (other, float(value))
            for j, (other, value) in enumerate(zip(boxes, scores, strict=True))
            if j == i or overlap(box, other, "iou") > threshold
        ]
        weights = [math.exp(min(value - score, 0) / temperature) for _, value in near]
        total = sum(weight * other for weight, (other, _) in zip(weights, near, strict=True))
        voted.append(total / sum(weights))
        raised.append(score + hit_gain * math.log(len(near) / usual_hits))
    return np.array(voted).reshape(-1, 4), np.array(raised)


def soft_nms(boxes, scores, scales, sigma, least, kind="iou"):
    """Return the boxes that soft-nms keeps, best first, ties by coordinates, and their scores."""
    left = {i: float(score) for i, score in enumerate(scores) if score >= least}
    kept = []
    while left:
        best = min(left, key=lambda i: (-left[i], *boxes[i]))
        kept.append((best, left.pop(best)))
        for i in left:
            share = overlap(boxes[best], boxes[i], kind)
            left[i] -= scales[i] / sigma * share * share
        left = {i: score for i, score in left.items() if score >= least}
    return [i for i, _ in kept], [score for _, score in kept]


def fuse(boxes, scores, threshold, temperature, hit_gain, usual_hits):
    """Return the box, the score and the members, best first, of each cluster."""
    clusters, means = [], []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], *boxes[i])):
        shares = [overlap(mean, boxes[i]) for mean in means]
        if max(shares, default=0) > threshold:
            nearest = shares.index(max(shares))
            members = [*clusters[nearest], i]
            weights = [math.exp((scores[k] - scores[members[0]]) / temperature) for k in members]
            clusters[nearest] = members
            means[nearest] = np.average(boxes[members], axis=0, weights=weights)
        else:
            clusters.append([i])
            means.append(boxes[i])
    raised = [
        scores[members[0]] + hit_gain * math.log(len(members) / usual_hits) for members in clusters
    ]
    return np.array(means).reshape(-1, 4), raised, clusters
