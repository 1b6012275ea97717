"""The second level of a detection: the class of its object inside the group that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.detections import Detections
from bootstrap_det.images import in_color
from bootstrap_det.samples import Jitter, object_features

_AS_IT_IS = Jitter(n_copies=0, mirror=False)


def with_classes(
    detections: Detections, models: Mapping[str, ClassModel], image: NDArray[Any]
) -> Detections:
    """Return detections with the most probable class of each, and the probabilities.

    Parameters
    ----------
    detections : Detections
        Of one picture.
    models : mapping of str to ClassModel
        Of each label.
    image : ndarray of shape (height, width) or (height, width, 3)
        The picture.
    """
    classes = np.zeros(len(detections), dtype=object)
    of_class, of_group = np.zeros(len(detections)), np.zeros(len(detections))
    for label, model in models.items():
        rows = np.flatnonzero(detections.labels == label)
        if not len(rows):
            continue
        assert model.view is not None  # a detector has none without
        shares = model.probabilities(box_features(image, detections.boxes[rows], model.view))
        classes[rows] = np.array(model.labels, dtype=object)[shares.argmax(axis=1)]
        of_class[rows] = shares.max(axis=1)
        of_group[rows] = model.group_probabilities(detections.scores[rows])
    return replace(
        detections,
        classes=np.array(classes.tolist(), dtype=np.str_),
        class_probabilities=of_class,
        probabilities=of_group,
    )


def box_features(image: NDArray[Any], boxes: NDArray[np.float64], view: ClassView) -> NDArray[Any]:
    """Return the features of boxes of a picture, shape (n, n_features), n at least 1."""
    pixels = in_color(image, view.channels.color)
    nothing_is_drawn = np.random.default_rng(0)
    rows = [
        object_features(pixels, box, view.window, view.channels, _AS_IT_IS, nothing_is_drawn)
        for box in boxes
    ]
    return np.concatenate([each.features for each in rows])
