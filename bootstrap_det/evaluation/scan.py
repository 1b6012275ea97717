"""Run a detector over annotated pictures and measure it, per picture and per window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_float
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.data.each import each_picture
from bootstrap_det.detections import Candidates, Detections
from bootstrap_det.detector import Detector, as_found
from bootstrap_det.evaluation.agreement import AGREEMENTS
from bootstrap_det.evaluation.coco_engine import GroundTruth
from bootstrap_det.evaluation.curves import WindowMissRate, miss_rate_at_fppw
from bootstrap_det.evaluation.labels import (
    Evaluations,
    evaluate_labels,
    ground_truth,
    mean_precisions,
    overlaps_entry,
)
from bootstrap_det.evaluation.levels import ClassLevel, evaluate_classes
from bootstrap_det.evaluation.measure import Evaluation
from bootstrap_det.exceptions import DataError


@dataclass(frozen=True)
class ScanEvaluation:
    """What a detector does on a test set.

    Attributes
    ----------
    evaluations : Evaluations
        Everything that follows from detections after suppression, of each label.
    windows : WindowMissRate
        Objects missed at 1e-4 false positives per window, before suppression.
    n_windows : int
        Windows scanned.
    ms_per_image : float
        Median milliseconds of a detection, decoding not counted.
    pictures : tuple of Picture
        The pictures that were read, in the order of ``detections``.
    detections : tuple of Detections
        In the box convention of the annotations.
    skipped : tuple of Skipped
        Pictures that could not be read; they count neither way.
    classes : ClassLevel or None
        The second level, of a detector that has one, where the test set knows the classes.
    """

    evaluations: Evaluations
    windows: WindowMissRate
    n_windows: int
    ms_per_image: float
    pictures: tuple[Picture, ...] = field(repr=False)
    detections: tuple[Detections, ...] = field(repr=False)
    skipped: tuple[Skipped, ...] = ()
    classes: ClassLevel | None = None

    @property
    def evaluation(self) -> Evaluation:
        """The measures of the only label."""
        return self.evaluations.only

    @property
    def ap_by_iou(self) -> dict[float, float]:
        """Average precision at overlaps from 0.5 to 0.95, see :func:`mean_precisions`."""
        return mean_precisions(self.pictures, self.detections, tuple(self.evaluations.by_label))

    def to_dict(self) -> dict[str, Any]:
        """Return the measures, JSON-ready."""
        miss_rate = {"rate": self.windows.miss_rate, "is_upper_bound": self.windows.is_upper_bound}
        return {
            **self.evaluations.to_dict(),
            **overlaps_entry(self.ap_by_iou),
            **({} if self.classes is None else {"classes": self.classes.to_dict()}),
            "miss_rate_at_1e-4_fppw": miss_rate if self.evaluations.n_objects else None,
            "n_windows": self.n_windows,
            "ms_per_image": round(self.ms_per_image, 3),
            "skipped": [skipped.to_dict() for skipped in self.skipped],
        }


@dataclass(frozen=True)
class _Rules:
    """What counts, and what is listed."""

    labels: tuple[str, ...]
    iou_threshold: float
    agreement: str
    score_floor: float
    detection_map: tuple[float, ...]


@dataclass(frozen=True)
class _PictureScan:
    """One picture's part: detections, and windows judged one by one."""

    detections: Detections
    negative_scores: NDArray[np.float64]
    object_scores: NDArray[np.float64]
    n_windows: int
    seconds: float


def evaluate_detector(
    detector: Detector,
    dataset: Dataset,
    *,
    labels: str | Sequence[str] | None = None,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
    score_floor: float | None = None,
    detection_map: tuple[float, ...] = box_ops.SAME_BOX,
    n_jobs: int = 1,
    skip_bad: bool = False,
    on_progress: Callable[[int, int], Any] | None = None,
) -> ScanEvaluation:
    """Return how well a detector finds the annotated objects of a data set.

    Parameters
    ----------
    detector : Detector
        What to measure.
    dataset : Dataset
        Annotated pictures; those without objects count for false positives. Where its labels are
        classes of the groups that the detector finds, they are taken by group, and the classes of
        a detector with a second level are measured apart, see :mod:`levels`.
    labels : str, sequence of str or None, default=None
        The classes; by default all of the detector's.
    iou_threshold : float, default=0.5
        Least intersection over union of a hit.
    agreement : {"iou", "ellipse", "ellipsoid"}, default="iou"
        What is compared with the threshold, see :func:`bootstrap_det.evaluation.match`.
    score_floor : float or None, default=None
        Detections below it are not listed; a lower floor lengthens the curves' tails. By default
        the detector's ``lowest_score``.
    detection_map : tuple of float, default=(0, 0, 1, 1)
        The constant map from the detector's boxes to the annotations' convention, see
        :func:`bootstrap_det.boxes.relative`.
    n_jobs : int, default=1
        Pictures at a time.
    skip_bad : bool, default=False
        Go on after a picture that cannot be read, and list it.
    on_progress : callable or None, default=None
        Called with the number of pictures done and of all.

    Raises
    ------
    DataError
        When a picture cannot be read and ``skip_bad`` is off, or none is left.
    """
    iou_threshold = check_float(iou_threshold, "iou_threshold", "evaluate", low=1e-6, high=1.0)
    floor = detector.lowest_score if score_floor is None else score_floor
    wanted = (labels,) if isinstance(labels, str) else tuple(labels or detector.labels)
    rules = _Rules(wanted, iou_threshold, agreement, floor, detection_map)
    fine, dataset = dataset, as_found(dataset, detector)

    scans: list[_PictureScan] = []
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    work = partial(_scan_picture, detector, rules)
    results = each_picture(work, dataset.pictures, n_jobs=n_jobs, skip_bad=skip_bad)
    for index, (picture, result) in enumerate(zip(dataset.pictures, results, strict=True)):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            scans.append(result)
            pictures.append(picture)
        if on_progress:
            on_progress(index + 1, len(dataset))
    measured = _measured(scans, pictures, skipped, rules)
    if not detector.classes or not fine.groups:
        return measured
    kept = {picture.image_id for picture in pictures}
    truth = fine.subset([picture.image_id in kept for picture in fine.pictures])
    classes = evaluate_classes(
        truth, measured.detections, wanted, iou_threshold=iou_threshold, agreement=agreement
    )
    return replace(measured, classes=classes)


def _scan_picture(detector: Detector, rules: _Rules, picture: Picture) -> _PictureScan:
    image = picture.load(detector.channels.color)
    start = time.perf_counter()
    found = detector.scan(image, threshold=rules.score_floor)
    detections = detector.suppress(found, image_id=picture.image_id)
    detections = detector.classified(image, detections)
    seconds = time.perf_counter() - start
    negative, objects = _judge_windows(detector, found, picture, rules)
    mapped = detections.mapped(rules.detection_map)
    return _PictureScan(mapped, negative, objects, found.n_windows, seconds)


def _judge_windows(
    detector: Detector, found: Candidates, picture: Picture, rules: _Rules
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of windows on nothing, and the best score on each object, of all labels."""
    names = np.array([template.label for template in detector.templates])
    boxes = box_ops.relative(found.boxes, rules.detection_map)
    judged = [
        _judge_label(boxes[of_label], found.scores[of_label], ground_truth(picture, label), rules)
        for label in rules.labels
        for of_label in [names[found.windows[:, 3]] == label]
    ]
    negative, objects = zip(*judged, strict=True)
    return np.concatenate(negative), np.concatenate(objects)


def _judge_label(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], truth: GroundTruth, rules: _Rules
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of a label's windows on nothing, and the best score on each object.

    A window is on an object by the overlap that makes a hit; whatever touches an ignored object
    or a crowd that much is neither.
    """
    on = AGREEMENTS[rules.agreement](boxes, truth.boxes) >= rules.iou_threshold
    targets = ~(truth.ignore | truth.crowd)
    best = np.where(on[:, targets], scores[:, None], -np.inf).max(axis=0, initial=-np.inf)
    return scores[~on.any(axis=1)], best


def _measured(
    scans: Sequence[_PictureScan],
    pictures: Sequence[Picture],
    skipped: Sequence[Skipped],
    rules: _Rules,
) -> ScanEvaluation:
    if not scans:
        raise DataError(
            f"There is no test picture to measure on ({len(skipped)} could not be read). Give "
            "annotated pictures."
        )
    detections = tuple(scan.detections for scan in scans)
    n_windows = sum(scan.n_windows for scan in scans)
    return ScanEvaluation(
        evaluate_labels(
            pictures,
            detections,
            rules.labels,
            iou_threshold=rules.iou_threshold,
            agreement=rules.agreement,
        ),
        miss_rate_at_fppw(
            np.concatenate([scan.negative_scores for scan in scans]),
            n_windows,
            np.concatenate([scan.object_scores for scan in scans]),
        ),
        n_windows,
        float(np.median([scan.seconds for scan in scans])) * 1e3,
        tuple(pictures),
        detections,
        tuple(skipped),
    )
