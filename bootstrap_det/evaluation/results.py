"""COCO results of any detector, measured like our own."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det import boxes as box_ops
from bootstrap_det.data import Dataset
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation.labels import Evaluations, evaluate_labels
from bootstrap_det.exceptions import DataError, ParameterError


def evaluate_results(
    path: str | os.PathLike[str],
    dataset: Dataset,
    *,
    labels: str | Sequence[str] | None = None,
    iou_threshold: float = 0.5,
) -> Evaluations:
    """Return the measures of a COCO results file.

    Parameters
    ----------
    path : str or path-like
        A list of ``{"image_id", "category_id", "bbox", "score"}``. A category id is a position
        in ``dataset.categories``, from 1.
    dataset : Dataset
        The annotated pictures.
    labels : str, sequence of str or None, default=None
        The classes; by default all of the data set's.
    iou_threshold : float, default=0.5
        Least intersection over union of a hit.

    Raises
    ------
    DataError
        When the file is not such a list, or names a picture or category that is not there.
    ParameterError
        When one of ``labels`` is none of the data set's.
    """
    wanted = (labels,) if isinstance(labels, str) else tuple(labels or dataset.categories)
    unknown = [label for label in wanted if label not in dataset.categories]
    if unknown or not wanted:
        choices = ", ".join(map(repr, dataset.categories)) or "none, for it has no category"
        raise ParameterError(
            f"The 'labels' must be of those of {dataset.name!r}: {choices}. Got "
            f"{', '.join(map(repr, unknown)) or 'none'}."
        )
    found = _read(Path(path), dataset)
    predictions = [found[picture.image_id] for picture in dataset.pictures]
    return evaluate_labels(dataset.pictures, predictions, wanted, iou_threshold=iou_threshold)


def _read(path: Path, dataset: Dataset) -> dict[int, Detections]:
    """Return the detections of every picture of the data set, also where there are none."""
    known = {picture.image_id for picture in dataset.pictures}
    rows: dict[int, list[tuple[list[float], float, str]]] = defaultdict(list)
    for index, entry in enumerate(_entries(path)):
        try:
            image_id, category = entry["image_id"], entry["category_id"]
            box, score = [float(v) for v in entry["bbox"]], float(entry["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise _wrong(path, index, f"lacks or garbles {error}") from None
        if image_id not in known:
            raise _wrong(path, index, f"is of image_id {image_id!r}, which is not in the test set")
        if not isinstance(category, int) or not 1 <= category <= len(dataset.categories):
            raise _wrong(path, index, f"has category_id {category!r}, which is none of the set's")
        if len(box) != 4 or not all(map(math.isfinite, [*box, score])):
            raise _wrong(path, index, f"has the bbox {box} and score {score}, not finite numbers")
        rows[image_id].append((box, score, dataset.categories[category - 1]))
    return {image_id: _detections(rows[image_id], image_id) for image_id in known}


def _entries(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}). Give COCO results.") from None
    if not isinstance(entries, list):
        raise DataError(f"{path}: is not a list of detections. Give COCO results.")
    return entries


def _detections(rows: list[tuple[list[float], float, str]], image_id: int) -> Detections:
    boxes = box_ops.xywh_to_xyxy(np.array([box for box, _, _ in rows]).reshape(-1, 4))
    scores = np.array([score for _, score, _ in rows])
    labels = np.array([label for _, _, label in rows], dtype=np.str_)
    return Detections(boxes, scores, labels, image_id)


def _wrong(path: Path, index: int, why: str) -> DataError:
    return DataError(f"{path}: detection {index} {why}. Correct it, or write the results again.")
