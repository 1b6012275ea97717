"""The soft cascade: rejection thresholds from held-out objects.

A constant threshold after every tree would cost an unknown share of the objects. Here the share
is given, and the thresholds follow from objects that no tree was fitted on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.exceptions import DataError

MIN_CALIBRATION_SAMPLES = 20


def calibrate_cascade(
    model: TreeModel, positives: NDArray[np.uint8], *, keep: float = 0.995
) -> TreeModel:
    """Return the model with rejection thresholds that keep the stated share of objects.

    Objects may be lost after every tree; how many up to a tree grows with the root of its number,
    so that most of the loss is spent where it saves most trees, at the beginning. At each tree
    the threshold is as high as the loss allowed so far permits.

    Parameters
    ----------
    model : TreeModel
        Its own rejection thresholds do not matter.
    positives : ndarray of shape (n, n_features)
        Objects that the trees were not fitted on.
    keep : float, default=0.995
        Share of them that must pass every tree, in (0, 1].

    Raises
    ------
    DataError
        When there are fewer than 20 objects.

    References
    ----------
    L. Bourdev and J. Brandt, "Robust Object Detection via Soft Cascade", CVPR 2005 (the budget of
    losses over the stages, called rejection distribution vector).
    """
    check_float(keep, "keep", "calibrate_cascade", low=1e-6, high=1.0)
    n = len(positives)
    if n < MIN_CALIBRATION_SAMPLES:
        raise DataError(
            f"A cascade needs at least {MIN_CALIBRATION_SAMPLES} held-out objects to calibrate "
            f"its rejection thresholds. Got {n}; give more objects, or train without a cascade."
        )
    scores = model.staged_scores(positives)
    progress = np.arange(1, model.n_trees + 1) / model.n_trees
    allowed = np.floor((1.0 - keep) * n * np.sqrt(progress) + 1e-9).astype(int)
    alive = np.arange(n)
    rejection = np.empty(model.n_trees, np.int32)
    for tree in range(model.n_trees):
        running = scores[alive, tree]
        may_lose = allowed[tree] - (n - len(alive))
        rejection[tree] = np.partition(running, may_lose)[may_lose]
        alive = alive[running >= rejection[tree]]
    return model.with_rejection(rejection)
