"""COCO results of any detector, measured like our own."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det import boxes as box_ops
from bootstrap_det.data import Dataset
from bootstrap_det.data.collect import read_bounded, shown
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation.labels import Evaluations, evaluate_labels, mean_precisions
from bootstrap_det.exceptions import DataError, ParameterError

MAX_RESULTS_BYTES = 1 << 30
"""Most bytes of a results file."""


def evaluate_results(
    path: str | os.PathLike[str],
    dataset: Dataset,
    *,
    labels: str | Sequence[str] | None = None,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
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
    agreement : {"iou", "ellipse", "ellipsoid"}, default="iou"
        What is compared with the threshold, see :func:`bootstrap_det.evaluation.match`.

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
    predictions = read_results(path, dataset)
    measured = evaluate_labels(
        dataset.pictures, predictions, wanted, iou_threshold=iou_threshold, agreement=agreement
    )
    return replace(measured, ap_by_iou=mean_precisions(dataset.pictures, predictions, wanted))


def read_results(path: str | os.PathLike[str], dataset: Dataset) -> list[Detections]:
    """Return the detections of every picture of a data set from a COCO results file.

    Pictures are in the order of the data set, also those where nothing was found. Of a data set
    without categories, such as a folder of negatives, detections of category id 1 are labelled
    ``"1"``.

    Raises
    ------
    DataError
        When the file is not a list of results, or names a picture or category that is not there.
    """
    file = Path(path)
    rows: dict[int, list[tuple[list[float], float, str]]] = {
        picture.image_id: [] for picture in dataset.pictures
    }
    for index, entry in enumerate(_entries(file)):
        try:
            image_id, category = entry["image_id"], entry["category_id"]
            box, score = [float(v) for v in entry["bbox"]], float(entry["score"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _wrong(file, index, f"lacks or garbles {error!s:.80}") from None
        if not isinstance(image_id, int) or image_id not in rows:
            what = f"is of image_id {shown(image_id)}, which is not in the data set"
            raise _wrong(file, index, what)
        if not _is_box(box) or not math.isfinite(score):
            what = f"has the bbox {shown(box)} and score {score}, not a box and finite numbers"
            raise _wrong(file, index, what)
        rows[image_id].append((box, score, _label(file, index, category, dataset)))
    return [_detections(entries, image_id) for image_id, entries in rows.items()]


def _is_box(box: list[float]) -> bool:
    """Return whether a box is x, y, width and height, all of its corners finite."""
    return len(box) == 4 and all(map(math.isfinite, (*box, box[0] + box[2], box[1] + box[3])))


def _label(file: Path, index: int, category: Any, dataset: Dataset) -> str:
    """Return the label of a category id: its position, from 1."""
    known = dataset.categories
    if not isinstance(category, int) or not 1 <= category <= (len(known) or category):
        raise _wrong(file, index, f"has category_id {shown(category)}, which is none of the set's")
    return known[category - 1] if known else str(category)


def _entries(path: Path) -> list[Any]:
    content = read_bounded(path, MAX_RESULTS_BYTES, "COCO results")
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
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
