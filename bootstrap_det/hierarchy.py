"""The second level of a detection: the class of its object inside the group that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.detections import Detections


def with_classes(
    detections: Detections,
    models: Sequence[ClassModel],
    templates: NDArray[np.int64],
    features: Sequence[NDArray[Any]],
) -> Detections:
    """Return detections with the most probable class of each, and the probabilities.

    Parameters
    ----------
    detections : Detections
        Of one picture.
    models : sequence of ClassModel
        Of each template's label.
    templates : ndarray of shape (n,), int64
        Which template found each.
    features : sequence of ndarray of shape (n_of_template, n_features)
        Of the windows that the detections came from, see
        :func:`bootstrap_det.windows.window_features`.
    """
    classes = np.zeros(len(detections), dtype=object)
    of_class, of_group = np.zeros(len(detections)), np.zeros(len(detections))
    for index, (model, own) in enumerate(zip(models, features, strict=True)):
        rows = templates == index
        shares = model.probabilities(own)
        classes[rows] = np.array(model.labels, dtype=object)[shares.argmax(axis=1)]
        of_class[rows] = shares.max(axis=1)
        of_group[rows] = model.group_probabilities(detections.scores[rows])
    return replace(
        detections,
        classes=np.array(classes.tolist(), dtype=np.str_),
        class_probabilities=of_class,
        probabilities=of_group,
    )
