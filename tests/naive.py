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
