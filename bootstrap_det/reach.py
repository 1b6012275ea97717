"""Objects of a data set that no window of a detector can match, found before training."""

from __future__ import annotations

import numpy as np

from bootstrap_det.channels import Channels, default_channels
from bootstrap_det.data import Dataset
from bootstrap_det.data.check import WARNING, Finding
from bootstrap_det.positives import MIN_OVERLAP
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.windows import Window, check_reach


def unreachable_objects(
    dataset: Dataset,
    window: Window | tuple[int, int],
    *,
    channels: Channels | None = None,
    pyramid: Pyramid | None = None,
) -> tuple[Finding, ...]:
    """Return a finding for each object that no window matches, with the reason.

    Parameters
    ----------
    dataset : Dataset
        Pictures with boxes; those of unknown size are left out.
    window : Window or (height, width)
        The template, in pixels.
    channels : Channels or None, default=None
        The features, by default those of training.
    pyramid : Pyramid or None, default=None
        The scales, by default those of training.
    """
    window = window if isinstance(window, Window) else Window(window)
    channels = default_channels() if channels is None else channels
    pyramid = Pyramid() if pyramid is None else pyramid
    findings = []
    for picture in dataset.pictures:
        where = np.flatnonzero(picture.targets)
        if picture.size is None or not len(where):
            continue
        plans = pyramid.plan(picture.size, channels, [window])
        reach = check_reach(plans, window, channels, picture.boxes[where], min_overlap=MIN_OVERLAP)
        for index, reason in zip(where.tolist(), reach.reasons, strict=True):
            if reason:
                what = f"Box {index} ({picture.labels[index]}) cannot be found: {reason}."
                mend = "Do that, or mark the object as ignored."
                findings.append(Finding(WARNING, "out of reach", picture.name, what, mend, index))
    return tuple(findings)
