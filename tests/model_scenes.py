"""Pictures of crosses and bars, by whole numbers alone: the same ones with every numpy."""

import numpy as np

SIDE = 24  # of an object, pixels
GROUPS = {f"{group}_{i}": group for group in ("lying", "standing") for i in (1, 2)}


def hashed(index):
    """Return numbers of 0 to 255 that look like chance, one for each index."""
    mixed = np.asarray(index, np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)
    mixed ^= mixed >> np.uint64(15)
    mixed = mixed * np.uint64(2246822519) % np.uint64(1 << 32)
    return ((mixed >> np.uint64(13)) % np.uint64(256)).astype(np.int64)


def noise(seed, size):
    """Return a grey picture of blotches and fine noise."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    blotches = hashed(((rows // 8) * 1000 + columns // 8 + 1) * 7919 + seed * 104729)
    fine = hashed((rows * width + columns + 1) * 31 + seed * 15485863)
    return (60 + blotches * 110 // 255 + fine * 30 // 255).astype(np.uint8)


def draw(image, label, x, y):
    """Draw a cross or a bar into a square of 24 pixels; bars lie or stand, some with a gap."""
    square = np.zeros((SIDE, SIDE), bool)
    square[8:16, 2:22] = True
    if label == "cross":
        square |= square.T
    if label.endswith("2"):
        square[10:14, 5:19] = False
    square = square.T if label.startswith("standing") else square
    image[y : y + SIDE, x : x + SIDE][square] = 240


def scene(seed, labels, size=(80, 112)):
    """Return a picture with an object of each label, left to right, and their boxes."""
    image, boxes = noise(seed, size), []
    share = size[1] // max(len(labels), 1)
    for index, label in enumerate(labels):
        at = hashed([2 * index + 1 + seed * 17, 2 * index + 2 + seed * 17])
        x = index * share + int(at[0]) % (share - SIDE)
        y = int(at[1]) % (size[0] - SIDE)
        draw(image, label, x, y)
        boxes.append([x, y, x + SIDE, y + SIDE])
    return image, boxes


def test_picture():
    """Return what all model files are compared on: each object in two sizes, among others."""
    labels = ["cross", "lying_1", "standing_2", "lying_2", "standing_1"]
    upper, _ = scene(1001, labels, (80, 200))
    lower, _ = scene(1002, labels[::-1][:2], (60, 100))
    return np.concatenate([upper, np.kron(lower, np.ones((2, 2), np.uint8))])


test_picture.__test__ = False  # no test, for pytest
