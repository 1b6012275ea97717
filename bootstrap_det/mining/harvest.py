"""Negatives out of one picture: random windows for round 0, false positives from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det.channels import Channels
from bootstrap_det.detector import Detector
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.windows import (
    Window,
    window_identities,
    window_positions,
    windows_to_boxes,
)

MAX_OBJECT_OVERLAP = 0.3  # a window that overlaps an object more than this is no negative
DEDUPLICATION_OVERLAP = 0.5  # of two mined windows that overlap more, the harder one stays


@dataclass(frozen=True)
class Forbidden:
    """Where a picture must not be mined: its objects, and regions that say nothing.

    Attributes
    ----------
    objects : ndarray of shape (n, 4), float64
        Windows overlapping one of these by more than 0.3 (IoU) are no negatives.
    regions : ndarray of shape (m, 4), float64
        Ignored objects and crowds: no window may lie in one by more than 0.3 of its own area.
    """

    objects: NDArray[np.float64]
    regions: NDArray[np.float64]

    def allows(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each box, shape (n, 4), whether it may be a negative."""
        allowed = np.ones(len(boxes), dtype=bool)
        for kind, forbidden in (("iou", self.objects), ("min", self.regions)):
            if len(forbidden) and len(boxes):
                overlap = box_ops.overlap(boxes, forbidden, kind=kind)
                allowed &= (overlap <= MAX_OBJECT_OVERLAP).all(axis=1)
        return allowed


@dataclass(frozen=True)
class Windows:
    """Some windows of one picture, a row each in all three arrays.

    Attributes
    ----------
    identities : ndarray of shape (n, 4), int64
        Level, row, column, template.
    boxes : ndarray of shape (n, 4), float64
        Where they are, xyxy, picture pixels.
    scores : ndarray of shape (n,), float64
        Decision values; 0 where there was no model yet.
    """

    identities: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Windows:
        """Return no windows, of the right shapes."""
        return cls(np.empty((0, 4), np.int64), np.empty((0, 4)), np.empty(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Windows]) -> Windows:
        """Return the windows of all parts, in their order."""
        return cls(
            np.concatenate([part.identities for part in parts]),
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )


@dataclass(frozen=True)
class Harvest:
    """What one picture gave.

    Attributes
    ----------
    windows : Windows
        Negatives, hardest first.
    n_windows : int
        Windows scanned, or drawn from.
    n_false_positives : int
        Detections with a score of at least 0.
    capped : bool
        Whether the cap per picture was reached.
    """

    windows: Windows
    n_windows: int
    n_false_positives: int = 0
    capped: bool = False


def harvest_false_positives(
    detector: Detector,
    image: NDArray[Any],
    forbidden: Forbidden,
    *,
    threshold: float,
    limit: int,
) -> Harvest:
    """Return the hardest negatives of a picture, deduplicated, at most ``limit`` of them.

    Features are not kept: those of the few windows that the whole pass leaves are computed once
    more, see :mod:`bootstrap_det.mining.features`.
    """
    found = detector.scan(image, threshold=threshold)
    # Objects go first: suppression must not let an object take its neighbours along.
    allowed = np.flatnonzero(forbidden.allows(found.boxes))
    boxes, scores = found.boxes[allowed], found.scores[allowed]
    false = scores >= 0.0
    certain = box_ops.nms(
        boxes[false], scores[false], threshold=detector.nms_threshold, kind=detector.nms_kind
    )
    keep = box_ops.nms(boxes, scores, threshold=DEDUPLICATION_OVERLAP, max_kept=limit)
    windows = Windows(found.windows[allowed][keep], boxes[keep], scores[keep])
    return Harvest(windows, found.n_windows, len(certain), len(keep) == limit)


def harvest_random(
    size: tuple[int, int],
    pyramid: Pyramid,
    window: Window,
    channels: Channels,
    forbidden: Forbidden,
    *,
    limit: int,
    rng: np.random.Generator,
) -> Harvest:
    """Return up to ``limit`` random windows of a picture of a size, every one equally likely."""
    plans = pyramid.plan(size, channels, [window])
    extents = [window_positions(plan, window, channels) for plan in plans]
    ends = np.cumsum([rows * columns for rows, columns in extents], dtype=np.int64)
    n_windows = int(ends[-1]) if len(ends) else 0
    drawn = np.sort(rng.choice(n_windows, min(limit, n_windows), replace=False))
    level_of = np.searchsorted(ends, drawn, side="right")
    parts = [Windows.empty()]
    for index in np.unique(level_of):
        n_rows, n_columns = extents[index]
        here = drawn[level_of == index] - (ends[index] - n_rows * n_columns)
        rows, columns = np.divmod(here, n_columns)
        boxes = windows_to_boxes(plans[index], window, rows, columns)
        identities = window_identities(int(index), rows, columns, 0)
        allowed = forbidden.allows(boxes)
        parts.append(Windows(identities[allowed], boxes[allowed], np.zeros(int(allowed.sum()))))
    return Harvest(Windows.concatenate(parts), n_windows)
