"""From the windows of one picture that score enough to its detections."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det.detections import Candidates, Detections
from bootstrap_det.templates import Template

SUPPRESSIONS = ("nms", "vote", "soft-nms", "fusion")
MAX_WINDOWS = 50_000
"""Most windows of one label of a picture that vote, are fused or lower each other's scores: the
best, with a warning. The weakest of so many change nothing that anyone looks at."""

MAX_COMPARISONS = 10_000_000_000
"""Most comparisons of non-maximum suppression: of all windows with those that it keeps."""

# Boxes, scores, and which of the candidates each came from.
_Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]


@dataclass(frozen=True)
class Suppression:
    """How the windows of a detector become its detections.

    Attributes
    ----------
    templates : tuple of Template
        What the windows are of.
    kind : {"nms", "vote", "soft-nms", "fusion"}
        ``"nms"``: the best window of those that overlap. ``"vote"``: overlapping windows vote
        first, see :func:`bootstrap_det.boxes.vote`. ``"fusion"``: a cluster of windows becomes one
        box first, see :func:`bootstrap_det.boxes.fuse`. ``"soft-nms"``: a window loses score where
        it overlaps a better one, see :func:`bootstrap_det.boxes.soft_nms`.
    nms_threshold : float
        Largest overlap of two detections of one label; soft-nms has no such limit.
    nms_kind : {"iou", "min"}
        How overlap is measured; votes and clusters go by intersection over union.
    across_labels : bool
        Whether detections of two labels suppress each other, too, or of soft-nms, lower each
        other's scores.
    """

    templates: tuple[Template, ...]
    kind: str
    nms_threshold: float
    nms_kind: str
    across_labels: bool

    @property
    def every_window_counts(self) -> bool:
        """Whether windows below a threshold bear on detections above it.

        Those that vote or are fused do. In soft-nms a score is lowered by windows alone that still
        have the higher one, as in nms these alone suppress.
        """
        return self.kind in ("vote", "fusion")

    def detections(
        self, found: Candidates, *, min_score: float, image_id: int | None = None
    ) -> Detections:
        """Return the detections that candidates leave.

        Parameters
        ----------
        found : Candidates
            Windows of one picture.
        min_score : float
            Of soft-nms: what falls below is dropped.
        image_id : int or None, default=None
            Copied into the result.
        """
        labels = np.array([template.label for template in self.templates])[found.windows[:, 3]]
        parts = [self._of_group(group, found, min_score) for group in self._groups(labels)]
        boxes, scores, sources = map(np.concatenate, zip(_NOTHING, *parts, strict=True))
        if self.across_labels and self.kind != "soft-nms":
            best = self._nms(boxes, scores)
            boxes, scores, sources = boxes[best], scores[best], sources[best]
        order = box_ops.score_order(boxes, scores)
        sources = sources[order]
        spread = None if found.deviations is None else found.deviations[sources]
        return Detections(
            boxes[order], scores[order], labels[sources], image_id, deviations=spread,
            sources=sources,
        )  # fmt: skip

    def _groups(self, labels: NDArray[np.str_]) -> list[NDArray[np.intp]]:
        """Return the candidates of each label, or all where labels lower each other's scores.

        Suppression across labels would drop what soft-nms keeps of one label.
        """
        if self.across_labels and self.kind == "soft-nms":
            return [np.arange(len(labels))]
        return [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def _of_group(self, group: NDArray[np.intp], found: Candidates, min_score: float) -> _Found:
        """Return what is left of some candidates, by the kind of suppression."""
        if self.kind != "nms" and len(group) > MAX_WINDOWS:
            _warn_of_too_many(len(group), f"only the best {MAX_WINDOWS:,} have a say")
            group = np.sort(group[np.argsort(-found.scores[group], kind="stable")[:MAX_WINDOWS]])
        boxes, scores = found.boxes[group], found.scores[group]
        scales = self._scales()[found.windows[group, 3]]
        if self.kind == "soft-nms":
            kept, scores = box_ops.soft_nms(
                boxes, scores, scale=scales, kind=self.nms_kind, min_score=min_score
            )
            return boxes[kept], scores, group[kept]
        if self.kind == "vote":
            boxes, scores = box_ops.vote(boxes, scores, **_gains(scales, 3.5))
        elif self.kind == "fusion":
            boxes, scores, members = box_ops.fuse(boxes, scores, **_gains(scales, 1.4))
            group = group[members]
        best = self._nms(boxes, scores)
        return boxes[best], scores[best], group[best]

    def _scales(self) -> NDArray[np.float64]:
        """Return, for each template, by how much the scores of its label differ at most."""
        scales: dict[str, float] = {}
        for template in self.templates:
            scales[template.label] = max(template.score_scale, scales.get(template.label, 0.0))
        return np.array([scales[template.label] for template in self.templates])

    def _nms(self, boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return which boxes non-maximum suppression leaves."""
        room = MAX_COMPARISONS // max(len(boxes), 1)
        kept = box_ops.nms(
            boxes, scores, threshold=self.nms_threshold, kind=self.nms_kind, max_kept=room
        )
        if len(kept) == room:
            _warn_of_too_many(len(boxes), f"only the best {room:,} detections are listed")
        return kept


_NOTHING: _Found = np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.intp)


def _warn_of_too_many(number: int, what: str) -> None:
    warnings.warn(
        f"{number:,} windows of one label score enough to be detections in one picture: {what}. "
        "Raise the threshold, or cut the picture into tiles.",
        UserWarning,
        stacklevel=2,
    )


def _gains(scales: NDArray[np.float64], sharpness: float) -> dict[str, float]:
    """Return how much overlapping windows of one label count: more where scores differ by more.

    The best counts the more for its box, the larger ``sharpness``.
    """
    scale = float(scales[0])
    return {"temperature": scale / sharpness, "hit_gain": scale / 14.0}
