"""Boxes that are unlike the others, by stated rules: each is worth a look, and may be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.boxes import overlap
from bootstrap_det.data import Dataset
from bootstrap_det.inspection.objects import Objects

KINDS = ("duplicate", "outside", "tiny", "huge", "aspect")
RULES = {
    "duplicate": "overlaps an earlier box of its label in the picture by 0.9 or more (IoU)",
    "outside": "more than a tenth of its area lies outside the picture",
    "tiny": "smaller than the lower quartile of its label by 3 times the quartiles' distance, in "
    "the logarithm of the root of area; or a side below 4 px",
    "huge": "larger than the upper quartile by as much; or 9 tenths of its picture",
    "aspect": "narrower or wider than the quartiles by as much, in the logarithm of width over "
    "height; or 10 times as long as wide",
}

FENCE = 3.0  # quartile distances; Tukey's "far out"
LEAST_DISTANCE = 0.1  # of quartiles, in logarithms: where all are alike, 10 % is not unlike
MIN_OBJECTS = 8  # fewer of a label have no quartiles worth the name
SAME = 0.9  # overlap of two boxes of one object
BEYOND = 0.1  # of the area outside the picture
MIN_SIDE = 4.0  # pixels
FILLS = 0.9  # of the picture's area
MAX_ASPECT = 10.0

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Outlier:
    """One box that is unlike the others.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    file : str
        Name of its picture.
    picture, box : int
        Position of the picture in the data set, and of the box in the picture.
    label : str
        Of the box.
    xyxy : tuple of 4 floats
        The box, picture pixels.
    what : str
        The number that makes it one.
    """

    kind: str
    file: str
    picture: int
    box: int
    label: str
    xyxy: tuple[float, ...]
    what: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return {**vars(self), "xyxy": [round(value, 2) for value in self.xyxy]}


def outliers_of(dataset: Dataset, objects: Objects) -> tuple[Outlier, ...]:
    """Return the boxes that are unlike the others, by kind, in the order of the pictures.

    A box may be among them under several kinds. The rules are those of ``RULES``.
    """
    found: list[Outlier] = []
    for kind, hits in (
        ("duplicate", _duplicates(objects)),
        ("outside", _outside(objects)),
        *_by_fences(objects),
    ):
        found += [_outlier(dataset, objects, kind, index, what) for index, what in hits]
    return tuple(sorted(found, key=lambda each: (KINDS.index(each.kind), each.picture, each.box)))


Hits = list[tuple[int, str]]


def _outlier(dataset: Dataset, objects: Objects, kind: str, index: int, what: str) -> Outlier:
    position = int(objects.pictures[index])
    return Outlier(
        kind,
        dataset.pictures[position].name,
        position,
        int(objects.indices[index]),
        str(objects.labels[index]),
        tuple(objects.boxes[index].tolist()),
        what,
    )


def _duplicates(objects: Objects) -> Hits:
    hits: Hits = []
    starts = np.flatnonzero(np.diff(objects.pictures, prepend=-1))
    for first, end in zip(starts, [*starts[1:], len(objects)], strict=True):
        shared = np.triu(overlap(objects.boxes[first:end], objects.boxes[first:end]), 1)
        labels = objects.labels[first:end]
        shared[labels[:, None] != labels[None, :]] = 0.0
        best = shared.max(axis=0)
        hits += [(int(first + i), f"IoU {best[i]:.2f}") for i in np.flatnonzero(best >= SAME)]
    return hits


def _outside(objects: Objects) -> Hits:
    height, width = objects.sizes.T
    edges = np.stack([width, height, width, height], axis=1)
    inside = np.clip(objects.boxes, 0.0, edges)
    seen = (inside[:, 2:] - inside[:, :2]).prod(axis=1)
    beyond = 1.0 - seen / objects.sides.prod(axis=1)
    return [(int(i), f"{beyond[i]:.0%} out") for i in np.flatnonzero(beyond > BEYOND)]


def _by_fences(objects: Objects) -> list[tuple[str, Hits]]:
    width, height = objects.sides.T
    size, aspect = np.sqrt(width * height), width / height
    too_small, too_large = _beyond_fences(np.log(size), objects.labels)
    too_narrow, too_wide = _beyond_fences(np.log(aspect), objects.labels)
    long = np.maximum(aspect, 1 / aspect) >= MAX_ASPECT
    fills = width * height >= FILLS * objects.sizes.prod(axis=1)
    tiny = too_small | (objects.sides.min(axis=1) < MIN_SIDE)
    sides = [f"{w:.0f}x{h:.0f}" for w, h in objects.sides]
    return [
        ("tiny", [(int(i), sides[i]) for i in np.flatnonzero(tiny)]),
        ("huge", [(int(i), sides[i]) for i in np.flatnonzero(too_large | fills)]),
        ("aspect", [(int(i), sides[i]) for i in np.flatnonzero(too_narrow | too_wide | long)]),
    ]


def _beyond_fences(
    values: FloatArray, labels: NDArray[np.str_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which values lie below the lower fence of their label, and above the upper one."""
    below, above = np.zeros(len(values), np.bool_), np.zeros(len(values), np.bool_)
    for label in np.unique(labels):
        own = labels == label
        if own.sum() < MIN_OBJECTS:
            continue
        low, high = np.percentile(values[own], [25, 75])
        margin = FENCE * max(high - low, LEAST_DISTANCE)
        below[own] = values[own] < low - margin
        above[own] = values[own] > high + margin
    return below, above
