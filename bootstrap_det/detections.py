"""What a scan gives: detections of one picture, and the windows that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_boxes
from bootstrap_det.exceptions import ParameterError

_OF_CLASSES = ("classes", "class_probabilities", "probabilities")
_OPTIONAL = (*_OF_CLASSES, "deviations", "sources")
_LEAST = 1e-15  # and 1 minus it: probabilities whose log odds are finite


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
    classes : ndarray of shape (n,), str, or None
        Which class of its label's group each is; None where the detector has no second level.
    class_probabilities : ndarray of shape (n,), float64, or None
        Of that class, given that the detection is an object of the group.
    probabilities : ndarray of shape (n,), float64, or None
        That the detection is an object of the group.
    deviations : ndarray of shape (n, 4), float64, or None
        How sure each box is: standard deviations of the x and y of its centre, of its width and
        of its height, in picture pixels, where the refinement predicts them.
    sources : ndarray of shape (n,), int, or None
        Which of a scan's candidates each came from, where it came from one.

    Raises
    ------
    ParameterError
        When a column has not one entry for each box, or some of those of a second level are
        missing.
    """

    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    labels: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    image_id: int | None = None
    classes: NDArray[np.str_] | None = None
    class_probabilities: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float64] | None = None
    deviations: NDArray[np.float64] | None = None
    sources: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", check_boxes(self.boxes))
        if not len(self.boxes) == len(self.scores) == len(self.labels):
            raise ParameterError(
                "boxes, scores and labels of Detections must have one entry each. Got "
                f"{len(self.boxes)}, {len(self.scores)} and {len(self.labels)} instead."
            )
        for name in _OPTIONAL:
            if (column := getattr(self, name)) is not None and len(column) != len(self.boxes):
                raise ParameterError(
                    f"The {name!r} of Detections must have one entry for each of the "
                    f"{len(self.boxes)} boxes. Got {len(column)} instead."
                )
        if len({getattr(self, name) is None for name in _OF_CLASSES}) > 1:
            raise ParameterError(
                f"Detections need all of {', '.join(map(repr, _OF_CLASSES))}, or none. Got some."
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, which: Any) -> Detections:
        """Return the detections at a slice, a mask or an array of indices."""
        if isinstance(which, int | np.integer):
            which = [which]
        columns = {name: getattr(self, name) for name in ("boxes", "scores", "labels", *_OPTIONAL)}
        chosen: dict[str, Any] = {
            name: None if column is None else column[which] for name, column in columns.items()
        }
        return replace(self, **chosen)

    @property
    def names(self) -> NDArray[np.str_]:
        """The most exact name of each: its class, or its label where there are no classes."""
        return self.labels if self.classes is None else self.classes

    @property
    def class_scores(self) -> NDArray[np.float64]:
        """What detections of one class are ranked by, shape (n,).

        The log odds that the detection is an object of the group and of the class; 0 is a
        probability of one half. Without classes, the score.
        """
        if self.class_probabilities is None or self.probabilities is None:
            return self.scores
        both = self.class_probabilities * self.probabilities
        return np.asarray(logit(np.clip(both, _LEAST, 1.0 - _LEAST)))

    def mapped(self, relative: tuple[float, ...]) -> Detections:
        """Return the detections with boxes of another convention, see :func:`boxes.relative`."""
        return replace(self, boxes=box_ops.relative(self.boxes, relative))

    def to_coco(self, category_ids: dict[str, int]) -> list[dict[str, Any]]:
        """Return COCO results, one dict a detection; unknown labels raise KeyError.

        Where there are classes, the category is the class and the score that of the class
        (:attr:`class_scores`); the group, its score and both probabilities are added, and the
        deviations of the box where they are known.
        """
        columns = (box_ops.xyxy_to_xywh(self.boxes), self.class_scores, self.names)
        return [
            {
                "image_id": self.image_id,
                "category_id": category_ids[str(name)],
                "bbox": [round(float(v), 2) for v in box],
                "score": round(float(score), 6),
                **self._group_entry(index),
                **self._deviations_entry(index),
            }
            for index, (box, score, name) in enumerate(zip(*columns, strict=True))
        ]

    def _group_entry(self, index: int) -> dict[str, Any]:
        """Return what is known of a detection's group, empty where there are no classes."""
        if self.class_probabilities is None or self.probabilities is None:
            return {}
        return {
            "group": str(self.labels[index]),
            "group_score": round(float(self.scores[index]), 6),
            "probability": round(float(self.probabilities[index]), 6),
            "class_probability": round(float(self.class_probabilities[index]), 6),
        }

    def _deviations_entry(self, index: int) -> dict[str, Any]:
        """Return how sure a box is, empty where that is not known."""
        if self.deviations is None or not np.isfinite(self.deviations[index]).all():
            return {}
        return {"deviations": [round(float(v), 2) for v in self.deviations[index]]}


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
    deviations : ndarray of shape (n, 4), float64, or None
        See :class:`Detections`.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    windows: NDArray[np.int64]
    n_windows: int
    deviations: NDArray[np.float64] | None = None

    def __getitem__(self, which: NDArray[Any]) -> Candidates:
        """Return the candidates at a mask or an array of indices; the windows scanned stay."""
        spread = None if self.deviations is None else self.deviations[which]
        return Candidates(
            self.boxes[which], self.scores[which], self.windows[which], self.n_windows, spread
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Candidates]) -> Candidates:
        """Return the candidates of all parts, in their order; deviations are NaN where unknown."""
        spread = [part.deviations for part in parts]
        known = any(each is not None for each in spread)
        unknown = [np.full((len(part.scores), 4), np.nan) for part in parts]
        filled = [u if s is None else s for s, u in zip(spread, unknown, strict=True)]
        return cls(
            np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)]),
            np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
            np.concatenate([np.zeros((0, 4), np.int64), *(part.windows for part in parts)]),
            sum(part.n_windows for part in parts),
            np.concatenate(filled) if known else None,
        )
