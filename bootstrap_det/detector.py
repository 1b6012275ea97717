"""The detector: one or more templates scanned over one pyramid, then suppression.

It knows nothing of how its templates were trained; it is changed only by making another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_boxes, check_choice, check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.images import check_image, to_grey, to_rgb
from bootstrap_det.pyramid import LevelPlan, Pyramid, iter_levels
from bootstrap_det.windows import Window, window_positions, windows_to_boxes


@dataclass(frozen=True)
class Template:
    """A trained model, the window that it looks at, and the label that it stands for."""

    window: Window
    model: LinearModel
    label: str = "object"


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
        return Detections(
            self.boxes[which], self.scores[which], self.labels[which], self.image_id
        )

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


@dataclass(frozen=True)
class ScoredLevel:
    """One template's score map over one level."""

    plan: LevelPlan
    template_index: int
    scores: NDArray[np.float32]


class Detector:
    """Scan pictures for the objects of one or more templates.

    Parameters
    ----------
    templates : sequence of Template
        What to look for; all are scanned over the same pyramid.
    channels : Channels
        The features that the templates were trained on.
    pyramid : Pyramid or None, default=None
        The scales to scan; by default 8 per octave from the template's own size up.
    threshold : float, default=0.0
        Smallest score of a detection.
    nms_threshold : float, default=0.3
        Largest overlap of two detections of one label.
    nms_kind : {"iou", "min"}, default="iou"
        Overlap by intersection over union, or by the smaller of the two areas.

    Raises
    ------
    ParameterError
        When a parameter is out of range, or a template does not fit the channels.
    """

    def __init__(
        self,
        templates: Sequence[Template],
        channels: Channels,
        *,
        pyramid: Pyramid | None = None,
        threshold: float = 0.0,
        nms_threshold: float = 0.3,
        nms_kind: str = "iou",
    ) -> None:
        self.templates = tuple(templates)
        self.channels = channels
        self.pyramid = pyramid or Pyramid()
        self.threshold = check_float(threshold, "threshold", "Detector")
        self.nms_threshold = check_float(
            nms_threshold, "nms_threshold", "Detector", low=0.0, high=1.0
        )
        self.nms_kind = check_choice(nms_kind, "nms_kind", "Detector", box_ops.OVERLAPS)
        _check_templates(self.templates, channels)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the templates stand for, sorted, each once."""
        return tuple(sorted({template.label for template in self.templates}))

    def detect(
        self,
        image: NDArray[Any],
        *,
        threshold: float | None = None,
        image_id: int | None = None,
        n_threads: int = 1,
    ) -> Detections:
        """Return the objects in one picture.

        Parameters
        ----------
        image : ndarray of shape (height, width), (height, width, 3) or (height, width, 4)
            Grey, RGB or RGBA, uint8 (0 to 255); float32 of the same range is accepted.
        threshold : float or None, default=None
            Smallest score; by default the detector's own.
        image_id : int or None, default=None
            Copied into the result.
        n_threads : int, default=1
            Threads over rows of windows; they do not change the result.

        Returns
        -------
        Detections
            By falling score, ties by coordinates. A picture too small for the window gives
            none: lower the pyramid's ``min_object_size`` to enlarge it.

        Raises
        ------
        ParameterError
            When the picture or a parameter cannot be used.
        """
        found = self.scan(image, threshold=threshold, n_threads=n_threads)
        return self.suppress(found, image_id=image_id)

    def detect_batch(
        self, images: Iterable[NDArray[Any]], *, threshold: float | None = None, n_jobs: int = 1
    ) -> Iterator[Detections]:
        """Yield the detections of each picture in order, ``n_jobs`` pictures at a time.

        Equal to calling :meth:`detect` on each, with ``image_id`` counted from 0.
        """
        jobs = (
            delayed(self.detect)(image, threshold=threshold, image_id=index)
            for index, image in enumerate(images)
        )
        return iter(Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")(jobs))

    def scan(
        self, image: NDArray[Any], *, threshold: float | None = None, n_threads: int = 1
    ) -> Candidates:
        """Return every window that scores at least ``threshold``, before suppression."""
        limit = self.threshold if threshold is None else check_float(threshold, "threshold", "scan")
        boxes, scores, windows, n_windows = [np.zeros((0, 4))], [np.zeros(0)], [_NO_WINDOWS], 0
        for level in self.iter_scored_levels(image, n_threads=n_threads):
            n_windows += level.scores.size
            rows, columns = np.nonzero(level.scores >= limit)
            window = self.templates[level.template_index].window
            boxes.append(windows_to_boxes(level.plan, window, rows, columns))
            scores.append(level.scores[rows, columns].astype(np.float64))
            windows.append(
                window_identities(level.plan.index, rows, columns, level.template_index)
            )
        return Candidates(
            np.concatenate(boxes), np.concatenate(scores), np.concatenate(windows), n_windows
        )

    def suppress(self, found: Candidates, *, image_id: int | None = None) -> Detections:
        """Return the detections that non-maximum suppression leaves of the candidates."""
        names = np.array([template.label for template in self.templates])
        labels = names[found.windows[:, 3]]
        kept = [np.zeros(0, dtype=np.intp)]
        for label in self.labels:
            of_label = np.flatnonzero(labels == label)
            best = box_ops.nms(
                found.boxes[of_label],
                found.scores[of_label],
                threshold=self.nms_threshold,
                kind=self.nms_kind,
            )
            kept.append(of_label[best])
        index = np.concatenate(kept)
        index = index[box_ops.score_order(found.boxes[index], found.scores[index])]
        return Detections(found.boxes[index], found.scores[index], labels[index], image_id)

    def plan(self, size: tuple[int, int]) -> list[LevelPlan]:
        """Return the levels that a picture of ``size`` (height, width) is scanned at."""
        windows = [template.window for template in self.templates]
        return self.pyramid.plan(size, self.channels, windows)

    def iter_scored_levels(
        self, image: NDArray[Any], *, n_threads: int = 1
    ) -> Iterator[ScoredLevel]:
        """Yield the score map of each template over each level, largest level first.

        Memory holds one level at a time.
        """
        n_threads = check_int(n_threads, "n_threads", "Detector", low=1, high=1024)
        pixels = self.prepare(image)
        for plan, values in iter_levels(pixels, self.plan(pixels.shape[:2]), self.channels):
            for index, template in enumerate(self.templates):
                covered = self.pyramid.covers(template.window.object_size[0] / plan.nominal_scale)
                if covered and window_positions(plan, template.window, self.channels)[0]:
                    scores = template.model.score_level(values, n_threads=n_threads)
                    yield ScoredLevel(plan, index, scores)

    def prepare(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the picture as the channels read it: checked, and grey when they are."""
        pixels = check_image(image, "Detector.detect")
        return to_grey(pixels) if self.channels.color == "grey" else to_rgb(pixels)


_NO_WINDOWS = np.zeros((0, 4), dtype=np.int64)


def window_identities(
    level: int, rows: NDArray[Any], columns: NDArray[Any], template: int
) -> NDArray[np.int64]:
    """Return (level, row, column, template) of windows of one level, shape (n, 4)."""
    same = np.ones(len(rows), dtype=np.int64)
    return np.stack([level * same, rows, columns, template * same], axis=1)


def _check_templates(templates: tuple[Template, ...], channels: Channels) -> None:
    if not templates:
        raise ParameterError("A Detector needs at least one template. Got none.")
    for index, template in enumerate(templates):
        wanted = (channels.n_channels, *channels.grid_shape(template.window.size))
        if template.model.weights.shape != wanted:
            raise ParameterError(
                f"Template {index} has weights of shape {template.model.weights.shape}, but a "
                f"window of {template.window.size} px has features of shape {wanted}. Train it "
                "with the same channels and window."
            )
