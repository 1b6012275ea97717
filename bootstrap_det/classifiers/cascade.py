"""The soft cascade: rejection thresholds from held-out objects.

A constant threshold after every tree would cost an unknown share of the objects. Here the share
is given, and the thresholds follow from objects that no tree was fitted on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float
from bootstrap_det.classifiers.trees import FIRST_TREES, GROUP, NEVER, TreeModel
from bootstrap_det.exceptions import DataError

MIN_CALIBRATION_SAMPLES = 20
SURFACE = 0  # the decision surface
# Share of the random windows that may be left after the first trees, which see all windows anyway;
# later it falls with the square of the trees, so that all others together see a window 0.3 times.
FREE_SHARE = 0.005


def calibrate_cascade(
    model: TreeModel,
    positives: NDArray[np.uint8],
    *,
    keep: float = 0.975,
    background: NDArray[np.uint8] | None = None,
) -> TreeModel:
    """Return the model with rejection thresholds that keep the stated share of objects.

    The objects that may be lost are chosen so that they buy the most. Half of them are those of
    the lowest final scores, which a detector would hardly report. The other half is spent evenly
    over the first 64 trees, which most windows must not outlive: at each look, the threshold is
    as high as the losses allowed so far permit. After that, every threshold is the least running
    score of the objects that are kept.

    The least score of n objects lies above that of one in n + 1 further ones, and far above that
    of one in a light that none of them was seen in. With ``keep=1``, thresholds are therefore as
    low as they may be for free: as long as hardly any of the windows of the ``background`` are
    left, so where objects are told apart with ease.

    No window is rejected whose running score is positive, however much higher those of the
    objects are: so far, it is more likely an object than not.

    Parameters
    ----------
    model : TreeModel
        Its own rejection thresholds do not matter.
    positives : ndarray of shape (n, n_features)
        Objects that the trees were not fitted on.
    keep : float, default=0.975
        Share of them that must pass every tree, in (0, 1].
    background : ndarray of shape (m, n_features) or None, default=None
        Windows drawn at random from pictures, thousands of them; used with ``keep=1``.

    Raises
    ------
    DataError
        When there are fewer than 20 objects.

    References
    ----------
    L. Bourdev and J. Brandt, "Robust Object Detection via Soft Cascade", CVPR 2005 (a budget of
    losses over the stages). C. Zhang and P. Viola, "Multiple-Instance Pruning For Learning
    Efficient Cascade Detectors", NIPS 2007 (losing what would be lost in the end).
    """
    check_float(keep, "keep", "calibrate_cascade", low=1e-6, high=1.0)
    n = len(positives)
    if n < MIN_CALIBRATION_SAMPLES:
        raise DataError(
            f"A cascade needs at least {MIN_CALIBRATION_SAMPLES} held-out objects to calibrate "
            f"its rejection thresholds. Got {n}; give more objects, or raise the share held out "
            "or the number of copies."
        )
    n_lost = int((1.0 - keep) * n + 1e-9)
    scores = model.staged_scores(positives)
    alive = scores[np.argsort(scores[:, -1], kind="stable")[n_lost // 2 :]]
    budget = n_lost - n_lost // 2
    n_first = len(alive)
    bound = np.full(model.n_trees, SURFACE)
    if keep == 1.0 and background is not None and len(background):
        bound = np.minimum(bound, _free(model.staged_scores(background)))
    rejection = np.full(model.n_trees, NEVER, np.int32)
    for tree in _stops(model.n_trees):
        allowed = int(budget * min((tree + 1) / FIRST_TREES, 1.0))
        may_lose = allowed - (n_first - len(alive))
        seen = np.partition(alive[:, tree], may_lose)[may_lose]
        rejection[tree] = min(seen, bound[tree])
        alive = alive[alive[:, tree] >= rejection[tree]]
    return model.with_rejection(rejection)


def _free(scores: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the running scores, one a tree, that hardly any window of the background reaches."""
    n_windows, n_trees = scores.shape
    shares = FREE_SHARE * (FIRST_TREES / np.arange(1, n_trees + 1)) ** 2
    n_left = np.minimum(shares * n_windows, n_windows - 1).astype(int)
    falling = -np.sort(-scores, axis=0)
    return np.asarray(falling[n_left, np.arange(n_trees)], np.int64)


def _stops(n_trees: int) -> list[int]:
    """Return after which trees to look: after every fourth of the first, then after each."""
    n_grouped = min(FIRST_TREES, n_trees) // GROUP * GROUP
    return [*range(GROUP - 1, n_grouped, GROUP), *range(n_grouped, n_trees)]
