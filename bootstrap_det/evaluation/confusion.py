"""Which label is taken for which: a table of all objects and all detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.evaluation.agreement import AGREEMENTS
from bootstrap_det.evaluation.coco_engine import GroundTruth, PredictionsLike


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often an object of one label was found as which.

    Attributes
    ----------
    labels : tuple of str
        Of the rows and columns, but for the last ones.
    counts : ndarray of shape (n + 1, n + 1), int
        A row is what the object is, a column what it was found as. The last row counts detections
        of nothing, the last column objects that were missed.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return labels and counts, JSON-ready."""
        return {"labels": list(self.labels), "counts": self.counts.tolist()}


def confusion(
    truths: Sequence[GroundTruth],
    predictions: Sequence[PredictionsLike],
    labels: Sequence[str],
    *,
    iou_threshold: float = 0.5,
    threshold: float = 0.0,
    agreement: str = "iou",
) -> Confusion:
    """Return the table of objects and detections of a score of at least ``threshold``.

    Each detection, the best first, takes the free object that it overlaps most, whatever its
    label; what lies on an ignored object or in a crowd counts neither way.

    Parameters
    ----------
    truths, predictions
        One entry a picture, in the same order.
    labels : sequence of str
        Of the rows and columns. Objects of other labels are left out.
    iou_threshold : float, default=0.5
        Least intersection over union of a detection and its object.
    threshold : float, default=0.0
        Least score of a detection that counts.
    agreement : {"iou", "ellipse", "ellipsoid"}, default="iou"
        What is compared with ``iou_threshold``, see :func:`match`.
    """
    known = tuple(labels)
    counts = np.zeros((len(known) + 1, len(known) + 1), np.int64)
    for truth, found in zip(truths, predictions, strict=True):
        counted = (found.scores >= threshold) & np.isin(found.labels, known)
        order = np.flatnonzero(counted)[np.argsort(-found.scores[counted], kind="stable")]
        _count(truth, found.boxes[order], _indices(found.labels[order], known), counts, known,
               iou_threshold, agreement)  # fmt: skip
    return Confusion(known, counts)


def _count(
    truth: GroundTruth,
    boxes: NDArray[np.float64],
    columns: NDArray[np.intp],
    counts: NDArray[np.int64],
    known: tuple[str, ...],
    iou_threshold: float,
    agreement: str,
) -> None:
    """Add one picture's objects and detections, the best detection first."""
    targets = ~(truth.ignore | truth.crowd)
    objects = targets & np.isin(truth.labels, known)
    rows = _indices(truth.labels[objects], known)
    agree = AGREEMENTS[agreement]
    shared = agree(boxes, truth.boxes[objects])
    on_ignored = agree(boxes, truth.boxes[~targets])
    excused = on_ignored.max(axis=1, initial=0.0) >= iou_threshold
    nothing = missed = len(known)
    free = np.ones(len(rows), dtype=bool)
    for overlaps, column, is_excused in zip(shared, columns, excused, strict=True):
        best = int(np.argmax(np.where(free, overlaps, -1.0))) if free.any() else -1
        if best >= 0 and overlaps[best] >= iou_threshold:
            free[best] = False
            counts[rows[best], column] += 1
        elif not is_excused:
            counts[nothing, column] += 1
    np.add.at(counts[:, missed], rows[free], 1)


def _indices(labels: NDArray[np.str_], known: tuple[str, ...]) -> NDArray[np.intp]:
    return np.array([known.index(label) for label in labels.tolist()], dtype=np.intp)
