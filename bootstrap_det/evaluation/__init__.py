"""How good a detector is: matching to the truth, and the measures that follow from it."""

from __future__ import annotations

from bootstrap_det.evaluation.coco_engine import (
    GroundTruth,
    Predictions,
    PredictionsLike,
    match,
)
from bootstrap_det.evaluation.confusion import Confusion, confusion
from bootstrap_det.evaluation.curves import (
    Matches,
    WindowMissRate,
    area_under_curve,
    average_precision,
    false_positives_per_image,
    log_average_miss_rate,
    miss_rate_at_fppw,
    precision_recall,
    recall_at_equal_error,
    recall_at_false_positives,
    recall_at_fppi,
)
from bootstrap_det.evaluation.labels import (
    Evaluations,
    evaluate_labels,
    mean_precisions,
    overlaps_entry,
)
from bootstrap_det.evaluation.levels import ClassLevel, evaluate_classes
from bootstrap_det.evaluation.measure import Evaluation, evaluate
from bootstrap_det.evaluation.results import evaluate_results, read_results
from bootstrap_det.evaluation.scan import ScanEvaluation, evaluate_detector

__all__ = [
    "ClassLevel",
    "Confusion",
    "Evaluation",
    "Evaluations",
    "GroundTruth",
    "Matches",
    "Predictions",
    "PredictionsLike",
    "ScanEvaluation",
    "WindowMissRate",
    "area_under_curve",
    "average_precision",
    "confusion",
    "evaluate",
    "evaluate_classes",
    "evaluate_detector",
    "evaluate_labels",
    "evaluate_results",
    "false_positives_per_image",
    "log_average_miss_rate",
    "match",
    "mean_precisions",
    "miss_rate_at_fppw",
    "overlaps_entry",
    "precision_recall",
    "read_results",
    "recall_at_equal_error",
    "recall_at_false_positives",
    "recall_at_fppi",
]
