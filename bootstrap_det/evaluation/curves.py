"""What follows from sorted, judged detections: precision, recall, false positives, miss rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.exceptions import DataError

# Recalls at which COCO samples the precision.
COCO_RECALLS = np.linspace(0.0, 1.0, 101)

# False positives per picture where Dollar et al. sample the miss rate, and its least value.
LAMR_RATES = np.logspace(-2.0, 0.0, 9)
LAMR_FLOOR = 1e-10


@dataclass(frozen=True, eq=False)
class Matches:
    """All detections of one label in a set of pictures, by falling score, each judged.

    Attributes
    ----------
    scores : ndarray of shape (m,), float64
        Falling; equal scores keep the order of the pictures, then that of the predictions.
    is_hit : ndarray of shape (m,), bool
        The detection is the one matched to an object that counts.
    ignored : ndarray of shape (m,), bool
        The detection is matched to an ignored object or a crowd, and counts neither way.
        What is neither a hit nor ignored is a false positive.
    image_index : ndarray of shape (m,), intp
        Which picture of the sequence.
    rank_index : ndarray of shape (m,), intp
        Index into that picture's predictions, all labels counted.
    missed : tuple of ndarray of shape (k,), intp
        For each picture, the indices of its objects that count and that no detection found.
    n_objects : int
        Objects of the label that count.
    n_images : int
        Pictures, at least one.
    object_index : ndarray of shape (m,), intp
        Index into that picture's objects, all labels counted, of the one that the detection is
        matched to; -1 for none.
    """

    scores: NDArray[np.float64]
    is_hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    image_index: NDArray[np.intp]
    rank_index: NDArray[np.intp]
    missed: tuple[NDArray[np.intp], ...]
    n_objects: int
    n_images: int
    object_index: NDArray[np.intp]


@dataclass(frozen=True)
class WindowMissRate:
    """The miss rate at a rate of false positives per window.

    Attributes
    ----------
    miss_rate : float
        Share of the objects that score below the threshold; NaN without objects.
    threshold : float
        Least score that accepts no more negative windows than allowed.
    is_upper_bound : bool
        The negative scores given were too few to know the threshold; the true threshold and
        the true miss rate are at most these.
    """

    miss_rate: float
    threshold: float
    is_upper_bound: bool


def precision_recall(
    matches: Matches,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return precision, recall and threshold of every operating point, each of shape (k,).

    A point accepts all detections that score at least its threshold; thresholds are the distinct
    scores, falling. Recall is NaN when no object counts.
    """
    n_hits, n_false, thresholds = _operating_points(matches)
    return n_hits / (n_hits + n_false), n_hits / (matches.n_objects or np.nan), thresholds


def average_precision(matches: Matches) -> float:
    """Return COCO's average precision in [0, 1]; NaN when no object counts.

    Precision, made to fall with recall, is averaged over 101 recalls from 0 to 1; 0 where the
    recall is not reached. As in COCO, equal scores are accepted one after the other.
    """
    if matches.n_objects == 0:
        return float("nan")
    n_hits = np.cumsum(matches.is_hit[~matches.ignored])
    precision = n_hits / np.arange(1, len(n_hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    points = np.searchsorted(n_hits / matches.n_objects, COCO_RECALLS)
    return float(envelope[points[points < len(envelope)]].sum() / len(COCO_RECALLS))


def area_under_curve(matches: Matches) -> float:
    """Return the area under the precision-recall curve in [0, 1]; NaN when no object counts.

    Nothing is interpolated: each step of recall counts with the precision that it is reached at.
    The measure of the German Traffic Sign Detection Benchmark.
    """
    precision, recall, _ = precision_recall(matches)
    if matches.n_objects == 0:
        return float("nan")
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def recall_at_false_positives(
    matches: Matches, counts: Iterable[int] = (10, 31, 50, 65, 78, 95, 167)
) -> dict[int, float]:
    """Return, for each count, the recall with at most that many false positives in the whole set.

    Parameters
    ----------
    matches : Matches
        Judged detections.
    counts : iterable of int, default=(10, 31, 50, 65, 78, 95, 167)
        False positives, at least 0. By default those usual for the MIT+CMU faces.

    Returns
    -------
    dict of int to float
        Recall in [0, 1]; NaN when no object counts. Detections of equal score are accepted all
        or not at all; when even the best score brings too many false positives, recall is 0.

    Raises
    ------
    ParameterError
        When a count is not an int or is negative.
    """
    owner = "recall_at_false_positives"
    limits = [check_int(count, "counts", owner, low=0) for count in counts]
    return dict(zip(limits, _recall_within(matches, limits, unit=1), strict=True))


def recall_at_fppi(matches: Matches, rates: Iterable[float] = (0.1, 1.0)) -> dict[float, float]:
    """Return, for each rate, the recall with at most that many false positives per picture.

    Like :func:`recall_at_false_positives`, with ``rates`` per picture, at least 0.

    Raises
    ------
    ParameterError
        When a rate is not a finite number or is negative.
    """
    limits = [check_float(rate, "rates", "recall_at_fppi", low=0.0) for rate in rates]
    return dict(zip(limits, _recall_within(matches, limits, unit=matches.n_images), strict=True))


def recall_at_equal_error(matches: Matches) -> float:
    """Return the recall where it equals the precision; NaN when no object counts.

    That is where as many detections are accepted as there are objects, the best first; of fewer,
    all are accepted. The measure of the UIUC cars.
    """
    is_hit = matches.is_hit[~matches.ignored]
    n_hits = np.count_nonzero(is_hit[: matches.n_objects])
    return float(n_hits / (matches.n_objects or np.nan))


def log_average_miss_rate(matches: Matches) -> float:
    """Return the log-average miss rate in [1e-10, 1]; NaN when no object counts.

    The geometric mean of the miss rate at nine rates of false positives per picture, evenly
    spaced in logarithm from 0.01 to 1 [1]_; each that of the last operating point within the
    rate, or 1 when there is none. Equal scores go together, unlike in the authors' code.

    References
    ----------
    .. [1] P. Dollar, C. Wojek, B. Schiele and P. Perona, "Pedestrian detection: an evaluation of
       the state of the art", PAMI 2012.
    """
    recalls = np.array(_recall_within(matches, LAMR_RATES, unit=matches.n_images))
    return float(np.exp(np.log(np.maximum(1.0 - recalls, LAMR_FLOOR)).mean()))


def false_positives_per_image(matches: Matches, threshold: float = 0.0) -> float:
    """Return the false positives per picture among detections scoring at least ``threshold``."""
    is_false = ~matches.is_hit & ~matches.ignored & (matches.scores >= threshold)
    return float(np.count_nonzero(is_false) / matches.n_images)


def miss_rate_at_fppw(
    negative_scores: ArrayLike,
    n_negative_windows: int,
    object_scores: ArrayLike,
    rate: float = 1e-4,
) -> WindowMissRate:
    """Return the share of objects missed at a rate of false positives per window (FPPW) [1]_.

    Parameters
    ----------
    negative_scores : array-like of shape (n,)
        Finite scores of the negative windows, in any order: of all of them, or only of the top
        part, that is, of every window that scores above some floor.
    n_negative_windows : int
        Negative windows in all, those whose scores are not given included.
    object_scores : array-like of shape (m,)
        Best score over each object's windows; -inf for an object that no window covers.
    rate : float, default=1e-4
        Share of the negative windows that may reach the threshold, in [0, 1].

    Returns
    -------
    WindowMissRate
        With ``is_upper_bound`` set when a part is given that holds no more windows than the rate
        allows. Its threshold is the least score given, or inf; a lower floor tells more.

    Raises
    ------
    ParameterError
        When the rate is outside [0, 1], or there are more scores than negative windows.
    DataError
        When a score is NaN, or a negative's score is infinite.

    References
    ----------
    .. [1] N. Dalal and B. Triggs, "Histograms of oriented gradients for human detection",
       CVPR 2005.
    """
    owner = "miss_rate_at_fppw"
    objects = np.asarray(object_scores, dtype=np.float64)
    negatives = np.sort(np.asarray(negative_scores, dtype=np.float64))[::-1]
    if np.isnan(objects).any() or not np.isfinite(negatives).all():
        raise DataError(
            "object_scores must not be NaN, and negative_scores must be finite. "
            "Drop such windows; give -inf for an object that no window covers."
        )
    low = max(len(negatives), 1)
    n_windows = check_int(n_negative_windows, "n_negative_windows", owner, low=low)
    # The factor forgives a product that is rounded down, such as 0.29 * 100 = 28.999999999999996.
    n_allowed = int(check_float(rate, "rate", owner, low=0.0, high=1.0) * n_windows * (1 + 1e-12))
    is_upper_bound = len(negatives) <= n_allowed and len(negatives) < n_windows
    if is_upper_bound:
        threshold = float(negatives[-1]) if len(negatives) else np.inf
    elif n_allowed < len(negatives):
        threshold = float(np.nextafter(negatives[n_allowed], np.inf))
    else:  # every window may pass; an object that no window covers is missed all the same
        threshold = -float(np.finfo(np.float64).max)
    miss_rate = float((objects < threshold).mean()) if len(objects) else float("nan")
    return WindowMissRate(miss_rate, threshold, is_upper_bound)


def _operating_points(
    matches: Matches,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return hits, false positives and threshold at the last detection of each distinct score."""
    scores = matches.scores[~matches.ignored]
    is_hit = matches.is_hit[~matches.ignored]
    is_last = np.append(scores[1:] < scores[:-1], True)[: len(scores)]
    return np.cumsum(is_hit)[is_last], np.cumsum(~is_hit)[is_last], scores[is_last]


def _recall_within(
    matches: Matches, limits: Sequence[float] | NDArray[np.float64], *, unit: int
) -> list[float]:
    """Return the recall of the last point with at most ``limit`` false positives per ``unit``."""
    n_hits, n_false, _ = _operating_points(matches)
    points = np.searchsorted(n_false / unit, np.asarray(limits), side="right")
    recalls = np.append(0, n_hits)[points] / (matches.n_objects or np.nan)
    return [float(recall) for recall in recalls]
