"""The soft cascade: rejection thresholds from held-out objects.

A constant threshold after every tree would cost an unknown share of the objects. Here the share
is given, and the thresholds follow from objects that no tree was fitted on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bootstrap_det._validation import check_float
from bootstrap_det.classifiers.trees import FIRST_TREES, GROUP, NEVER, TreeModel
from bootstrap_det.exceptions import DataError

MIN_CALIBRATION_SAMPLES = 20
FEW_LOST = 2  # objects; where no more may be lost, the sample does not show where they end
SURFACE = 0  # the decision surface
LEAST_SHARE = 1e-3  # of objects below a bound, also where all are to be kept


def calibrate_cascade(
    model: TreeModel,
    positives: NDArray[np.uint8],
    *,
    keep: float = 0.975,
    n_objects: int | None = None,
) -> TreeModel:
    """Return the model with rejection thresholds that keep the stated share of objects.

    The objects that may be lost are chosen so that they buy the most. Half of them are those of
    the lowest final scores, which a detector would hardly report. The other half is spent evenly
    over the first 64 trees, which most windows must not outlive: at each look, the threshold is
    as high as the losses allowed so far permit. After that, every threshold is the least running
    score of the objects that are kept.

    No window is rejected whose running score is positive, however much higher those of the
    objects are: so far, it is more likely an object than not.

    Of few objects, the least score says little: one more falls below the least of 8 with a
    probability of 1 / 9. Where less than two may be lost, thresholds are therefore at most the
    lower end of the prediction interval of one more object, by Student's distribution.

    Parameters
    ----------
    model : TreeModel
        Its own rejection thresholds do not matter.
    positives : ndarray of shape (n, n_features)
        Objects that the trees were not fitted on.
    keep : float, default=0.975
        Share of them that must pass every tree, in (0, 1].
    n_objects : int or None, default=None
        How many objects the positives show, when some show the same; by default one each.

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
    bound = _prediction_bound(scores, keep, n if n_objects is None else n_objects)
    alive = scores[np.argsort(scores[:, -1], kind="stable")[n_lost // 2 :]]
    budget = n_lost - n_lost // 2
    n_first = len(alive)
    rejection = np.full(model.n_trees, NEVER, np.int32)
    for tree in _stops(model.n_trees):
        allowed = int(budget * min((tree + 1) / FIRST_TREES, 1.0))
        may_lose = allowed - (n_first - len(alive))
        seen = np.partition(alive[:, tree], may_lose)[may_lose]
        rejection[tree] = max(min(seen, bound[tree], SURFACE), NEVER)
        alive = alive[alive[:, tree] >= rejection[tree]]
    return model.with_rejection(rejection)


def _prediction_bound(
    scores: NDArray[np.int32], keep: float, n_objects: int
) -> NDArray[np.float64]:
    """Return the running scores that one more object would hardly fall below, one a tree."""
    if (1.0 - keep) * n_objects >= FEW_LOST:
        return np.full(scores.shape[1], np.inf)
    share = max((1.0 - keep) / 2, LEAST_SHARE)
    reach = stdtrit(max(n_objects - 1, 1), 1.0 - share) * np.sqrt(1.0 + 1.0 / n_objects)
    return np.asarray(np.floor(scores.mean(axis=0) - reach * scores.std(axis=0)))


def _stops(n_trees: int) -> list[int]:
    """Return after which trees to look: after every fourth of the first, then after each."""
    n_grouped = min(FIRST_TREES, n_trees) // GROUP * GROUP
    return [*range(GROUP - 1, n_grouped, GROUP), *range(n_grouped, n_trees)]
