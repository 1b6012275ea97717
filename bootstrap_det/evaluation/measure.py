"""All measures of one label at one overlap threshold, in one record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bootstrap_det.evaluation import curves
from bootstrap_det.evaluation.coco_engine import GroundTruth, PredictionsLike, match


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well the detections of one label agree with the truth.

    Attributes
    ----------
    label : str
        The class.
    iou_threshold : float
        Least intersection over union of a match.
    agreement : str
        What was taken instead of intersection over union, see :func:`match`.
    ap : float
        COCO's average precision, see :func:`average_precision`.
    area_under_curve : float
        See :func:`area_under_curve`.
    recall_at_fppi : dict of float to float
        Recall at 0.1 and 1 false positives per picture, see :func:`recall_at_fppi`.
    recall_at_false_positives : dict of int to float
        Recall at 10 to 167 false positives, see :func:`recall_at_false_positives`.
    recall_at_equal_error : float
        See :func:`recall_at_equal_error`.
    log_average_miss_rate : float
        See :func:`log_average_miss_rate`.
    false_positives_per_image : float
        At threshold 0, the decision surface of a classifier.
    n_images, n_objects, n_detections : int
        Pictures; objects that count; detections of the label, those that count neither way
        included.
    matches : Matches
        The judged detections that all this was computed from.
    """

    label: str
    iou_threshold: float
    agreement: str
    ap: float
    area_under_curve: float
    recall_at_fppi: dict[float, float]
    recall_at_false_positives: dict[int, float]
    recall_at_equal_error: float
    log_average_miss_rate: float
    false_positives_per_image: float
    n_images: int
    n_objects: int
    n_detections: int
    matches: curves.Matches = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the matches, ready for JSON.

        Keys are strings ("0.1", "1", "10"), and NaN, the measures of a set where no object
        counts, is None.
        """
        values = {name: value for name, value in vars(self).items() if name != "matches"}
        return {name: _to_json(value) for name, value in values.items()}


def evaluate(
    truths: Sequence[GroundTruth],
    predictions: Sequence[PredictionsLike],
    *,
    label: str,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
) -> Evaluation:
    """Return all measures of the detections of ``label``.

    Parameters
    ----------
    truths : sequence of GroundTruth
        One entry a picture, also for pictures without objects.
    predictions : sequence of Predictions
        One entry a picture, in the same order; anything with boxes, scores and labels will do.
    label : str
        The class.
    iou_threshold : float, default=0.5
        Least intersection over union of a match, in [1e-6, 1].
    agreement : {"iou", "ellipse", "ellipsoid"}, default="iou"
        What is compared with the threshold, see :func:`match`.

    Returns
    -------
    Evaluation
        Where no object counts, recalls, miss rate and average precision are NaN; where there
        are objects and nothing is found, average precision and recalls are 0.

    Raises
    ------
    ParameterError
        When the threshold is out of range, or the two sequences differ in length.
    DataError
        When there is no picture, or a score or coordinate is not finite.
    """
    matches = match(truths, predictions, label=label, iou_threshold=iou_threshold,
                    agreement=agreement)  # fmt: skip
    return Evaluation(
        label=label,
        iou_threshold=float(iou_threshold),
        agreement=agreement,
        ap=curves.average_precision(matches),
        area_under_curve=curves.area_under_curve(matches),
        recall_at_fppi=curves.recall_at_fppi(matches),
        recall_at_false_positives=curves.recall_at_false_positives(matches),
        recall_at_equal_error=curves.recall_at_equal_error(matches),
        log_average_miss_rate=curves.log_average_miss_rate(matches),
        false_positives_per_image=curves.false_positives_per_image(matches),
        n_images=matches.n_images,
        n_objects=matches.n_objects,
        n_detections=len(matches.scores),
        matches=matches,
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{key:g}": _to_json(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
