"""What a scan gives: detections of one picture, and the windows that they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_boxes
from bootstrap_det.exceptions import ParameterError


@dataclass(frozen=True)
class Detections:
    """Found objects of one picture, by falling score.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
        Objects, xyxy, picture pixels; they may run past the border.
    scores : ndarray of shape (n,), float64
        The classifier's decision value; 0 is its decision surface.
    labels : ndarray of shape (n,), str
        Names of the classes.
    image_id : int or None
        Which picture, when the caller said so.
    """

    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    labels: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    image_id: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", check_boxes(self.boxes))
        if not len(self.boxes) == len(self.scores) == len(self.labels):
            raise ParameterError(
                "boxes, scores and labels of Detections must have one entry each. Got "
                f"{len(self.boxes)}, {len(self.scores)} and {len(self.labels)} instead."
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, which: Any) -> Detections:
        """Return the detections at a slice, a mask or an array of indices."""
        if isinstance(which, int | np.integer):
            which = [which]
        return Detections(self.boxes[which], self.scores[which], self.labels[which], self.image_id)

    def mapped(self, relative: tuple[float, ...]) -> Detections:
        """Return the detections with boxes of another convention, see :func:`boxes.relative`."""
        boxes = box_ops.relative(self.boxes, relative)
        return Detections(boxes, self.scores, self.labels, self.image_id)

    def to_coco(self, category_ids: dict[str, int]) -> list[dict[str, Any]]:
        """Return COCO results, one dict a detection; unknown labels raise KeyError."""
        return [
            {
                "image_id": self.image_id,
                "category_id": category_ids[str(label)],
                "bbox": [round(float(v), 2) for v in box],
                "score": round(float(score), 6),
            }
            for box, score, label in zip(
                box_ops.xyxy_to_xywh(self.boxes), self.scores, self.labels, strict=True
            )
        ]


@dataclass(frozen=True)
class Candidates:
    """All windows of one picture that score at least a threshold, before suppression.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
        Objects' boxes, xyxy, picture pixels.
    scores : ndarray of shape (n,), float64
        Decision values.
    windows : ndarray of shape (n, 4), int64
        Identity of each window: level, row, column, template.
    n_windows : int
        Windows scanned.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    windows: NDArray[np.int64]
    n_windows: int
