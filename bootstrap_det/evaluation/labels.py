"""The measures of several labels: each alone, their means, and which is taken for which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from bootstrap_det.data import Picture
from bootstrap_det.evaluation.coco_engine import GroundTruth, PredictionsLike, match
from bootstrap_det.evaluation.confusion import Confusion, confusion
from bootstrap_det.evaluation.curves import average_precision
from bootstrap_det.evaluation.measure import Evaluation, evaluate
from bootstrap_det.exceptions import ParameterError

COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_MEANS = ("ap", "area_under_curve", "recall_at_equal_error", "log_average_miss_rate")
_TABLES = ("recall_at_fppi", "recall_at_false_positives")
_SUMS = ("false_positives_per_image", "n_objects", "n_detections")


@dataclass(frozen=True, eq=False)
class Evaluations:
    """How well the detections of each label agree with the truth.

    Attributes
    ----------
    by_label : dict of str to Evaluation
        Each label's measures.
    confusion : Confusion
        Which label is taken for which, of detections of score 0 and more.
    ap_by_iou : dict of float to float, or None
        See :func:`mean_precisions`, where it was measured.
    """

    by_label: dict[str, Evaluation]
    confusion: Confusion
    ap_by_iou: dict[float, float] | None = None

    @property
    def only(self) -> Evaluation:
        """The measures of the only label.

        Raises
        ------
        ParameterError
            When there are several.
        """
        if len(self.by_label) != 1:
            raise ParameterError(
                f"There are measures of {len(self.by_label)} labels. Take one of 'by_label'."
            )
        return next(iter(self.by_label.values()))

    @property
    def n_objects(self) -> int:
        """Objects of all labels that count."""
        return sum(each.n_objects for each in self.by_label.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the measures of the only label, or means over labels and each label's own.

        Means are of the labels that have objects; false positives and counts are sums.
        """
        own = {label: each.to_dict() for label, each in self.by_label.items()}
        first = next(iter(own.values()))
        overlaps = {} if self.ap_by_iou is None else overlaps_entry(self.ap_by_iou)
        if len(own) == 1:
            return {**first, **overlaps}
        counted = [each for each in own.values() if each["n_objects"]]
        means = {
            **{name: _mean([each[name] for each in counted]) for name in _MEANS},
            **{
                name: {key: _mean([each[name][key] for each in counted]) for key in first[name]}
                for name in _TABLES
            },
            **{name: sum(each[name] or 0 for each in own.values()) for name in _SUMS},
        }
        return {**first, **means, **overlaps, "label": None, "labels": own,
                "confusion": self.confusion.to_dict()}  # fmt: skip


def ground_truth(picture: Picture, label: str) -> GroundTruth:
    """Return a picture's annotations as the evaluation of one label takes them.

    Ignored objects and crowds of every label count neither way for this one.
    """
    keep = (picture.labels == label) | ~picture.targets
    labels = np.full(int(keep.sum()), label)
    return GroundTruth(picture.boxes[keep], labels, picture.ignore[keep], picture.crowd[keep])


def evaluate_labels(
    pictures: Sequence[Picture],
    predictions: Sequence[PredictionsLike],
    labels: Sequence[str],
    *,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
) -> Evaluations:
    """Return the measures of each label; see :func:`bootstrap_det.evaluation.evaluate`."""
    by_label = {
        label: evaluate(
            [ground_truth(picture, label) for picture in pictures],
            predictions,
            label=label,
            iou_threshold=iou_threshold,
            agreement=agreement,
        )
        for label in labels
    }
    truths = [GroundTruth(p.boxes, p.labels, p.ignore, p.crowd) for p in pictures]
    table = confusion(truths, predictions, labels, iou_threshold=iou_threshold, agreement=agreement)
    return Evaluations(by_label, table)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return fmean(known) if known else None


def mean_precisions(
    pictures: Sequence[Picture],
    predictions: Sequence[PredictionsLike],
    labels: Sequence[str],
    *,
    iou_thresholds: Sequence[float] = COCO_THRESHOLDS,
) -> dict[float, float]:
    """Return the average precision at several overlaps, the mean over labels.

    Their mean is COCO's measure of how well boxes lie, AP@[0.5:0.95].

    Parameters
    ----------
    pictures : sequence of Picture
        Annotated.
    predictions : sequence of Predictions
        One entry a picture, in the same order.
    labels : sequence of str
        The classes; those without objects do not count.
    iou_thresholds : sequence of float, default=(0.5, 0.55, ..., 0.95)
        Least intersection over union of a hit.

    Returns
    -------
    dict of float to float
        NaN where no object of any label counts.
    """
    found = {}
    for threshold in iou_thresholds:
        each = [
            average_precision(
                match(
                    [ground_truth(picture, label) for picture in pictures], predictions,
                    label=label, iou_threshold=threshold,
                )
            )
            for label in labels
        ]  # fmt: skip
        known = [ap for ap in each if not math.isnan(ap)]
        found[float(threshold)] = fmean(known) if known else math.nan
    return found


def overlaps_entry(ap_by_iou: Mapping[float, float]) -> dict[str, Any]:
    """Return average precision by overlap, and COCO's mean over overlaps, JSON-ready."""
    known = {f"{iou:g}": None if math.isnan(ap) else ap for iou, ap in ap_by_iou.items()}
    return {"ap_by_iou": known, "ap_50_95": _mean(list(known.values()))}
