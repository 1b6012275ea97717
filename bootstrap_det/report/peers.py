"""Other detectors to hold a run against: their results on the same pictures, or published points.

Published points are a JSON object::

    {"note": "where they are from",
     "points": [{"recall": 0.91, "false_positives": 31}, {"recall": 0.8, "precision": 0.9}]}

with, beside each recall, the false positives in the whole set, those per picture (``fppi``), or
the precision.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data import Dataset, Picture
from bootstrap_det.data.collect import read_bounded
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation import (
    Matches,
    evaluate_labels,
    precision_recall,
    read_results,
)
from bootstrap_det.evaluation.results import MAX_RESULTS_BYTES
from bootstrap_det.exceptions import DataError
from bootstrap_det.report.folder import Run, pooled
from bootstrap_det.round_detections import TestSet

_BESIDE = ("false_positives", "fppi", "precision")


@dataclass(frozen=True, eq=False)
class Curve:
    """Operating points by falling threshold.

    Attributes
    ----------
    name : str
        Of the detector.
    recall, precision, fppi : ndarray of shape (k,), float64
        Shares, and false positives per picture.
    is_line : bool
        Whether the points are all that there are, so that a line may join them.
    """

    name: str
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    fppi: NDArray[np.float64]
    is_line: bool = True


@dataclass(frozen=True, eq=False)
class Peer:
    """Another detector.

    Attributes
    ----------
    curve : Curve
        What it does on the run's test pictures, or what was published.
    note : str
        Where that comes from.
    ap : float or None
        Average precision by the run's rules; None for published points.
    recall_at_1 : float or None
        Recall at 1 false positive per picture; None for published points.
    """

    curve: Curve
    note: str
    ap: float | None = None
    recall_at_1: float | None = None


def curve_of(name: str, matches: Matches) -> Curve:
    """Return the operating points of judged detections."""
    precision, recall, thresholds = precision_recall(matches)
    false = np.sort(-matches.scores[~matches.is_hit & ~matches.ignored])
    n_false = np.searchsorted(false, -thresholds, side="right")
    return Curve(name, recall, precision, n_false / matches.n_images)


def read_peer(name: str, path: Path, run: Run) -> Peer:
    """Return another detector's results, judged like the run's, or its published points.

    Parameters
    ----------
    name : str
        What to call it.
    path : Path
        COCO results on the run's test pictures, or points, see the module's docstring.
    run : Run
        Whose test set it is held against.

    Raises
    ------
    DataError
        When the run has no test set, or the file is neither.
    """
    if run.test is None or not run.stages:
        raise DataError(f"{run.path}: has no test set that a peer could be measured on. Leave "
                        "--peer out, or train with a test set.")  # fmt: skip
    text = read_bounded(path, MAX_RESULTS_BYTES, "COCO results or published points")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be read as JSON ({error}). Give COCO results or published points."
        ) from None
    if isinstance(content, list):
        return _measured(name, path, run.test, run.stages[-1].labels)
    return _published(name, path, content, run.stages[-1].matches)


def _measured(name: str, path: Path, test: TestSet, labels: tuple[str, ...]) -> Peer:
    # Category ids count the set's own labels, which the run may have measured by group.
    bare = tuple(Picture(each.image_id, each.name, path=each.path) for each in test.pictures)
    found = read_results(path, Dataset(test.name, bare, categories=test.categories))
    evaluations = evaluate_labels(
        test.pictures,
        [_grouped(each, test.groups, labels) for each in found],
        labels,
        iou_threshold=test.iou_threshold,
        agreement=test.agreement,
    )
    own = evaluations.to_dict()
    matches = pooled(evaluations)
    note = f"{len(matches.scores):,} results on the same pictures, judged by the same rules"
    return Peer(curve_of(name, matches), note, own["ap"], own["recall_at_fppi"]["1"])


def _grouped(found: Detections, groups: dict[str, str], labels: tuple[str, ...]) -> Detections:
    names = [name if name in labels else groups.get(name, name) for name in map(str, found.labels)]
    return replace(found, labels=np.array(names, dtype=np.str_))


def _published(name: str, path: Path, content: Any, matches: Matches) -> Peer:
    points = content.get("points") if isinstance(content, dict) else None
    if not isinstance(points, list) or not points:
        raise DataError(
            f"{path}: is neither COCO results (a list) nor an object with 'points'. Give one of "
            "them."
        )
    rows = [_point(path, index, each, matches) for index, each in enumerate(points)]
    recall, precision, fppi = np.array(sorted(rows)).T
    note = str(content.get("note") or "published points, not measured here")[:300]
    return Peer(Curve(name, recall, precision, fppi, is_line=False), note)


def _point(path: Path, index: int, point: Any, matches: Matches) -> tuple[float, float, float]:
    """Return recall, precision and false positives per picture of a published point."""
    beside = [name for name in _BESIDE if isinstance(point, dict) and name in point]
    try:
        recall, value = float(point["recall"]), float(point[beside[0]])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        recall = value = math.nan
    limit = 1.0 if beside == ["precision"] else math.inf
    if len(beside) != 1 or not (0 <= recall <= 1 and 0 <= value <= limit and value < math.inf):
        raise DataError(
            f"{path}: point {index} must have a recall in [0, 1] and one of "
            f"{', '.join(_BESIDE)}. Got {point!r:.80}."
        )
    n_hits = recall * matches.n_objects
    if beside[0] == "precision":
        n_false = n_hits * (1 / value - 1) if value else math.inf
    else:
        n_false = value * (matches.n_images if beside[0] == "fppi" else 1)
    precision = n_hits / (n_hits + n_false) if n_hits + n_false else 1.0
    return recall, precision, n_false / matches.n_images
