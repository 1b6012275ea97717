"""Boxes as float64 arrays of shape (n, 4): ``x1, y1, x2, y2`` on pixel edges.

The width of a box is ``x2 - x1`` (no +1), the origin is the top left corner of the picture, and
only this convention is used inside the package; other formats are converted at the border.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._kernels import boxes as _kernels
from bootstrap_det._validation import check_boxes, check_choice, check_float, check_int
from bootstrap_det.exceptions import ParameterError

OVERLAPS = {"iou": False, "min": True}
SAME_BOX = (0.0, 0.0, 1.0, 1.0)  # the part of a box that is the box itself, see `relative`


def area(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return the area of each box, shape (n,), in square pixels; 0 for inverted boxes."""
    array = check_boxes(boxes)
    sides = np.maximum(array[:, 2:] - array[:, :2], 0.0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def overlap(boxes: ArrayLike, others: ArrayLike, *, kind: str = "iou") -> NDArray[np.float64]:
    """Return the overlap of every box with every other box, shape (n, m), in [0, 1].

    Parameters
    ----------
    boxes, others : array-like of shape (n, 4) and (m, 4)
        Boxes, xyxy.
    kind : {"iou", "min"}, default="iou"
        Intersection over union, or intersection over the smaller of the two areas
        (the rule of Dollar's toolbox, which also removes a part found inside a whole).
        Where the denominator is zero the overlap is 0.
    """
    first, second = check_boxes(boxes), check_boxes(others, "others")
    by_smaller = OVERLAPS[check_choice(kind, "kind", "overlap", OVERLAPS)]
    out = np.zeros((len(first), len(second)))
    _kernels.overlap_matrix(first, second, by_smaller, out)
    return out


def paired_overlap(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Return the intersection over union of each box with its partner, shape (n,).

    Parameters
    ----------
    boxes, others : array-like of shape (n, 4)
        Boxes, xyxy; those without area overlap nothing.
    """
    first, second = check_boxes(boxes), check_boxes(others, "others")
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=1)
    total = sum(np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (first, second))
    return np.asarray(shared / np.maximum(total - shared, np.finfo(float).tiny))


def clip(boxes: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes cut to a picture of ``size`` (height, width); boxes outside get no area."""
    height, width = size
    return np.clip(check_boxes(boxes), 0.0, np.array([width, height, width, height], float))


def xywh_to_xyxy(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return COCO's ``x, y, width, height`` as ``x1, y1, x2, y2``."""
    array = check_boxes(boxes)
    return np.concatenate([array[:, :2], array[:, :2] + array[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return ``x1, y1, x2, y2`` as COCO's ``x, y, width, height``."""
    array = check_boxes(boxes)
    return np.concatenate([array[:, :2], array[:, 2:] - array[:, :2]], axis=1)


def relative(boxes: ArrayLike, part: ArrayLike) -> NDArray[np.float64]:
    """Return, of each box, the box that lies in it at ``part``, in units of its own sides.

    ``part`` is ``x1, y1, x2, y2``, so ``(0, 0, 1, 1)`` changes nothing; it may reach beyond.
    It maps the boxes of one annotation convention onto another.
    """
    array, shares = check_boxes(boxes), np.asarray(part, dtype=np.float64)
    sides = np.tile(array[:, 2:] - array[:, :2], 2)
    return np.asarray(np.tile(array[:, :2], 2) + shares * sides)


def score_order(boxes: ArrayLike, scores: ArrayLike) -> NDArray[np.intp]:
    """Return the order of falling score; equal scores are ordered by x1, y1, x2, y2.

    Nothing that follows this order depends on the order in which the boxes came in.
    """
    array, values = check_boxes(boxes), np.asarray(scores, dtype=np.float64)
    return np.lexsort((array[:, 3], array[:, 2], array[:, 1], array[:, 0], -values))


def nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float = 0.5,
    kind: str = "iou",
    max_kept: int | None = None,
) -> NDArray[np.intp]:
    """Return the indices of the boxes that greedy non-maximum suppression keeps.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        Boxes, xyxy.
    scores : array-like of shape (n,)
        Scores of any sign; higher is better.
    threshold : float, default=0.5
        A box is dropped when its overlap with a kept box exceeds this.
    kind : {"iou", "min"}, default="iou"
        The overlap, see :func:`overlap`.
    max_kept : int or None, default=None
        Stop after this many; they are the same as the first of all.

    Returns
    -------
    ndarray of shape (n_kept,), intp
        Indices into ``boxes``, by falling score, ties by coordinates.

    Raises
    ------
    ParameterError
        When scores are not finite or do not match the boxes.
    """
    array, values = _checked(boxes, scores)
    limit = check_float(threshold, "threshold", "nms", low=0.0, high=1.0)
    by_smaller = OVERLAPS[check_choice(kind, "kind", "nms", OVERLAPS)]
    order = score_order(array, values)
    room = len(order) if max_kept is None else check_int(max_kept, "max_kept", "nms", low=0)
    kept = np.empty(min(room, len(order)), dtype=np.int64)
    n_kept = _kernels.greedy_nms(array[order], limit, by_smaller, kept)
    return order[kept[:n_kept]]


def vote(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float = 0.4,
    temperature: float = 6.0,
    hit_gain: float = 1.5,
    usual_hits: float = 8.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each box and score after all that overlap it have voted, to be suppressed by nms.

    A box becomes the weighted mean of its cluster, and its score rises with the logarithm of the
    cluster's size: an object is hit at many positions and scales, an accident at few. The time is
    that of all pairs that overlap from left to right.

    Parameters
    ----------
    boxes, scores : array-like of shape (n, 4) and (n,)
        Boxes, xyxy, and their scores.
    threshold : float, default=0.4
        Boxes of larger overlap (IoU) vote for each other.
    temperature : float, default=6.0
        A neighbour whose score is lower by this weighs 1 / e.
    hit_gain : float, default=1.5
        Added to the score for each factor e in the number of votes, the box's own included.
    usual_hits : float, default=8.0
        The number of votes that leaves a score as it is.

    Returns
    -------
    boxes, scores : ndarray of shape (n, 4) and (n,), float64
        In the order given.

    Raises
    ------
    ParameterError
        When scores are not finite or do not match the boxes.
    """
    array, values = _checked(boxes, scores)
    limit = check_float(threshold, "threshold", "vote", low=0.0, high=1.0)
    check_float(temperature, "temperature", "vote", low=1e-6)
    check_float(hit_gain, "hit_gain", "vote", low=0.0)
    check_float(usual_hits, "usual_hits", "vote", low=1e-6)
    voted, counts = np.empty_like(array), np.empty(len(array), np.int64)
    order, totals = np.argsort(array[:, 0], kind="stable"), np.empty(len(array))
    _kernels.vote(array, values, order, limit, temperature, totals, voted, counts)
    return voted, values + hit_gain * np.log(counts / usual_hits)


def soft_nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    sigma: float = 0.1,
    kind: str = "iou",
    min_score: float | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the boxes that are left when better ones lower the scores of what they overlap.

    Soft-NMS of Bodla et al. 2017, for scores of any sign. The best box is kept; each other loses
    ``scale * overlap**2 / sigma``; then the best of what is left is kept, and so on. Boxes without
    overlap keep their scores, and no score rises.

    Parameters
    ----------
    boxes, scores : array-like of shape (n, 4) and (n,)
        Boxes, xyxy, and their scores.
    scale : float or array-like of shape (n,), default=1.0
        The unit of the scores, or of each box's: what makes odds e times as high.
    sigma : float, default=0.1
        The square of the overlap that costs one ``scale``; less suppresses more.
    kind : {"iou", "min"}, default="iou"
        The overlap, see :func:`overlap`.
    min_score : float or None, default=None
        Boxes whose score falls below are dropped, and lower no others; by default the lowest score
        of all. Raising it leaves the boxes above it as they are.

    Returns
    -------
    kept : ndarray of shape (n_kept,), intp
        Indices into ``boxes``, by falling lowered score, ties by coordinates.
    lowered : ndarray of shape (n_kept,), float64
        Their scores.

    Raises
    ------
    ParameterError
        When scores are not finite or do not match the boxes, or a parameter is out of range.

    Notes
    -----
    The paper multiplies probabilities by ``exp(-overlap**2 / sigma)``. A decision value may be
    negative, and a factor would raise it; but decision values are log odds up to their scale, and
    a factor on the odds is a sum there. The paper's other decay, linear above a threshold, jumps
    there, and is not offered.

    References
    ----------
    Bodla, Singh, Chellappa and Davis, "Soft-NMS: Improving Object Detection With One Line of
    Code", ICCV 2017.
    """
    array, values = _checked(boxes, scores)
    weights = _checked_scale(scale, len(array)) / check_float(sigma, "sigma", "soft_nms", low=1e-6)
    by_smaller = OVERLAPS[check_choice(kind, "kind", "soft_nms", OVERLAPS)]
    lowest = values.min(initial=np.inf)
    least = lowest if min_score is None else check_float(min_score, "min_score", "soft_nms")
    order = np.lexsort(array.T[::-1])  # by coordinates: the kernel takes the first of equal scores
    waiting, kept = np.empty((2, len(order)), dtype=np.int64)
    lowered = np.empty(len(order))
    n_kept = _kernels.soft_nms(
        array[order], values[order], weights[order], by_smaller, least, waiting, lowered, kept
    )
    return order[kept[:n_kept]], lowered[kept[:n_kept]]


def fuse(
    boxes: ArrayLike,
    scores: ArrayLike,
    *,
    threshold: float = 0.3,
    temperature: float = 15.0,
    hit_gain: float = 1.5,
    usual_hits: float = 8.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return one box and score for each cluster of boxes that overlap.

    Weighted boxes fusion of Solovyev et al. 2021, for scores of any sign. By falling score, each
    box joins the cluster whose mean so far it overlaps most, or founds one; the box of a cluster
    is the weighted mean of its members. Two clusters may overlap: suppress them by :func:`nms`.

    Parameters
    ----------
    boxes, scores : array-like of shape (n, 4) and (n,)
        Boxes, xyxy, and their scores.
    threshold : float, default=0.3
        A box joins a cluster when its overlap (IoU) with the mean exceeds this.
    temperature : float, default=15.0
        A member whose score is this much below the best weighs 1 / e.
    hit_gain : float, default=1.5
        Added to the score for each factor e in the number of members.
    usual_hits : float, default=8.0
        The number of members that leaves the best score as it is.

    Returns
    -------
    boxes, scores : ndarray of shape (n_clusters, 4) and (n_clusters,), float64
        Of the clusters, by falling score of the best member.
    sources : ndarray of shape (n_clusters,), intp
        The best member of each, an index into ``boxes`` as given.

    Raises
    ------
    ParameterError
        When scores are not finite or do not match the boxes, or a parameter is out of range.

    Notes
    -----
    The paper weighs boxes by their probabilities, and gives a cluster the mean of them, times the
    share of the models that found it. Scores without bounds are no weights, as they may be
    negative: here their exponential is. And their mean would tell how far down a scan lists its
    windows, as most members are weak: here the score is the best member's, plus
    ``hit_gain * log(members / usual_hits)`` as of :func:`vote`.

    References
    ----------
    Solovyev, Wang and Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object
    detection models", Image and Vision Computing 107, 2021.
    """
    array, values = _checked(boxes, scores)
    limit = check_float(threshold, "threshold", "fuse", low=0.0, high=1.0)
    check_float(temperature, "temperature", "fuse", low=1e-6)
    check_float(hit_gain, "hit_gain", "fuse", low=0.0)
    check_float(usual_hits, "usual_hits", "fuse", low=1e-6)
    order = score_order(array, values)
    counts, founders = np.empty((2, len(order)), dtype=np.int64)
    fused, totals = np.empty_like(array), np.empty(len(order))
    n = _kernels.fuse(
        array[order], values[order], limit, temperature, totals, fused, counts, founders
    )
    sources = order[founders[:n]]
    return fused[:n], values[sources] + hit_gain * np.log(counts[:n] / usual_hits), sources


def _checked_scale(scale: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the scale of each of ``n`` boxes, all positive."""
    scales = np.asarray(scale, dtype=np.float64)
    if scales.shape not in ((), (n,)):
        raise ParameterError(
            f"The 'scale' parameter of soft_nms must be one number, or one for each of the {n} "
            f"boxes. Got shape {scales.shape} instead."
        )
    if not (np.isfinite(scales) & (scales > 0.0)).all():
        raise ParameterError(
            "The 'scale' parameter of soft_nms must be positive and finite. "
            f"Got {scales.min():g} instead."
        )
    return np.broadcast_to(scales, n)


def _checked(
    boxes: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes and scores as arrays of one length, all finite."""
    array, values = check_boxes(boxes), np.asarray(scores, dtype=np.float64)
    if values.shape != (len(array),):
        raise ParameterError(
            f"scores must have shape ({len(array)},), one for each box. Got {values.shape} instead."
        )
    if not np.isfinite(values).all() or not np.isfinite(array).all():
        raise ParameterError(
            "boxes and scores must be finite. Drop rows with NaN or infinity first."
        )
    return array, values
