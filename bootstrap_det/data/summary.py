"""What is in a data set, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from bootstrap_det.data.dataset import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return counts and sizes, ready for JSON.

    Parameters
    ----------
    dataset : Dataset
        Pictures with boxes.

    Returns
    -------
    dict
        ``pictures``, ``pictures_without_objects``, ``objects``, ``ignored``, ``skipped``,
        ``notes``; and under ``labels``, for each label, ``objects``, ``ignored`` and ``height``
        with ``min``, ``median`` and ``max`` in pixels (None without objects).
    """
    return {
        "name": dataset.name,
        "pictures": len(dataset),
        "pictures_without_objects": len(dataset.negatives()),
        "objects": dataset.n_objects,
        "ignored": dataset.n_ignored,
        "labels": {label: _of_label(dataset, label) for label in dataset.categories},
        "skipped": [each.to_dict() for each in dataset.skipped],
        "notes": list(dataset.notes),
    }


def _of_label(dataset: Dataset, label: str) -> dict[str, Any]:
    parts: list[Any] = [np.zeros(0)]
    n_ignored = 0
    for picture in dataset.pictures:
        of_label = picture.labels == label
        boxes = picture.boxes[of_label & picture.targets]
        parts.append(boxes[:, 3] - boxes[:, 1])
        n_ignored += int((of_label & ~picture.targets).sum())
    heights = np.concatenate(parts)
    sizes = None
    if len(heights):
        numbers = (heights.min(), np.median(heights), heights.max())
        sizes = {name: float(v) for name, v in zip(("min", "median", "max"), numbers, strict=True)}
    return {"objects": len(heights), "ignored": n_ignored, "height": sizes}
