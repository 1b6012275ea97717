"""Matching of detections to true objects by COCO's own code, and the types that go into it.

This is the only file that knows pycocotools. What it adds to COCO's rules is stated in
:func:`match`: objects that are ignored without being crowds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pycocotools import cocoeval

from bootstrap_det._validation import check_boxes, check_choice, check_float
from bootstrap_det.boxes import xywh_to_xyxy, xyxy_to_xywh
from bootstrap_det.evaluation.agreement import AGREEMENTS
from bootstrap_det.evaluation.curves import Matches
from bootstrap_det.exceptions import DataError, ParameterError

# Only 0 itself must be kept out: there, every box would match objects that it does not touch.
MIN_IOU_THRESHOLD = 1e-6

# pycocotools wants a category and an area range; here one label of every size is evaluated at a
# time. Its own range "all" ends at 1e10 square pixels and ignores whatever lies outside.
_CATEGORY = 1
_EVERY_AREA = (-np.inf, np.inf)

_Annotations = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The true objects of one picture.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
        Objects, xyxy, picture pixels. A box without area is never found.
    labels : ndarray of shape (n,), str
        Names of the classes, of ignored objects and crowds too.
    ignore : ndarray of shape (n,), bool
        Objects that need not be found, and that it is no error to find.
    crowd : ndarray of shape (n,), bool
        Regions of many objects; they are ignored too, and matched by COCO's crowd rule.

    Raises
    ------
    ParameterError, DataError
        When the shapes do not fit each other; when a coordinate is not finite.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.str_]
    ignore: NDArray[np.bool_]
    crowd: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Convert the columns to arrays, and check them."""
        _set_columns(self, labels=np.str_, ignore=np.bool_, crowd=np.bool_)


class PredictionsLike(Protocol):
    """Whatever has the boxes, scores and labels of one picture, as :class:`Predictions` has."""

    @property
    def boxes(self) -> NDArray[Any]:
        """Boxes, shape (n, 4), xyxy."""

    @property
    def scores(self) -> NDArray[Any]:
        """Scores, shape (n,)."""

    @property
    def labels(self) -> NDArray[Any]:
        """Names of the classes, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a detector found in one picture, in any order.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
        Boxes, xyxy, picture pixels.
    scores : ndarray of shape (n,), float64
        Finite scores of any sign; higher is better.
    labels : ndarray of shape (n,), str
        Names of the classes.

    Raises
    ------
    ParameterError, DataError
        When the shapes do not fit each other; when a coordinate or a score is not finite.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.str_]

    def __post_init__(self) -> None:
        """Convert the columns to arrays, and check them."""
        _set_columns(self, scores=np.float64, labels=np.str_)


def match(
    truths: Sequence[GroundTruth],
    predictions: Sequence[PredictionsLike],
    *,
    label: str,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
) -> Matches:
    """Return every detection of ``label``, judged against the true objects of its picture.

    Parameters
    ----------
    truths : sequence of GroundTruth
        One entry a picture, also for pictures without objects.
    predictions : sequence of Predictions
        One entry a picture, in the same order; anything with boxes, scores and labels will do.
    label : str
        The class; objects and detections with other labels, ignored or not, play no part.
    iou_threshold : float, default=0.5
        Least intersection over union of a match, in [1e-6, 1].
    agreement : {"iou", "ellipse", "ellipsoid"}, default="iou"
        What is compared with the threshold instead of intersection over union, such as
        :func:`bootstrap_det.evaluation.agreement.ellipse`.

    Raises
    ------
    ParameterError
        When the threshold is out of range, the agreement unknown, or the two sequences differ in
        length.
    DataError
        When there is no picture, or a score or coordinate is not finite.

    Notes
    -----
    The rules are those of COCO [1]_: by falling score, each detection takes the free object of
    greatest overlap, and an ignored one only when no object that counts is left to it. A crowd
    overlaps by intersection over the detection's area. All detections of a picture are judged.

    pycocotools overwrites an object's ``ignore`` flag by its ``iscrowd`` flag. Here both mean
    something: an ignored object overlaps by intersection over union, like any other, but like a
    crowd it takes any number of detections, and none of them counts.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV 2014.
    """
    threshold = check_float(iou_threshold, "iou_threshold", "match", low=MIN_IOU_THRESHOLD, high=1)
    check_choice(agreement, "agreement", "match", AGREEMENTS)
    if len(truths) != len(predictions):
        raise ParameterError(
            "truths and predictions must have one entry for each picture, empty ones too. "
            f"Got {len(truths)} and {len(predictions)} instead."
        )
    if len(truths) == 0:
        raise DataError("There is no picture to evaluate. Give at least one, if without objects.")
    checked = [Predictions(found.boxes, found.scores, found.labels) for found in predictions]
    engine = _Engine(
        [_annotations(t, label, iscrowd=t.crowd, ignore=t.crowd | t.ignore) for t in truths],
        [_annotations(found, label, score=found.scores) for found in checked],
        threshold,
        agreement,
    )
    engine.evaluate()
    return _collect(engine.evalImgs)


class _Engine(cocoeval.COCOeval):  # type: ignore[misc]
    """COCOeval for one label, one threshold and all detections, which prints nothing."""

    def __init__(
        self, truths: list[_Annotations], found: list[_Annotations], iou: float, agreement: str
    ) -> None:
        super().__init__(iouType="bbox")
        self._agreement = agreement
        self._truths, self._found = truths, found
        self.params.catIds = [_CATEGORY]
        self.params.imgIds = list(range(len(truths)))
        self.params.iouThrs = np.array([iou])
        self.params.maxDets = [max(map(len, found))]

    def _prepare(self) -> None:
        # The parent's would overwrite "ignore" by "iscrowd".
        self._gts = {(i, _CATEGORY): objects for i, objects in enumerate(self._truths)}
        self._dts = {(i, _CATEGORY): found for i, found in enumerate(self._found)}

    def computeIoU(self, image: int, category: int) -> Any:  # noqa: N802  the parent's name
        if self._agreement == "iou":
            return super().computeIoU(image, category)
        found = sorted(self._dts[image, category], key=lambda each: -each["score"])
        boxes, objects = (
            xywh_to_xyxy(np.array([each["bbox"] for each in some]).reshape(-1, 4))
            for some in (found, self._gts[image, category])
        )
        return AGREEMENTS[self._agreement](boxes, objects)

    def evaluate(self) -> None:
        self._prepare()
        keys = [(i, _CATEGORY) for i in self.params.imgIds]
        self.ious = {key: self.computeIoU(*key) for key in keys}
        # To the parent "iscrowd" means two things: overlap by the crowd rule, which is done now,
        # and taking any number of detections, which from here on holds for ignored objects too.
        for truth in (truth for truths in self._truths for truth in truths):
            truth["iscrowd"] = truth["ignore"]
        n_max = self.params.maxDets[-1]
        self.evalImgs = [self.evaluateImg(*key, _EVERY_AREA, n_max) for key in keys]


def _annotations(
    picture: GroundTruth | Predictions, label: str, **columns: NDArray[Any]
) -> _Annotations:
    # Ids are indices plus 1, because pycocotools takes id 0 for "not matched". It asks for an
    # area too, but every area is in range.
    columns = {"bbox": xyxy_to_xywh(picture.boxes), **columns}
    return [
        {"id": i + 1, "area": 0.0} | {name: column[i].tolist() for name, column in columns.items()}
        for i in np.flatnonzero(picture.labels == str(label)).tolist()
    ]


def _collect(results: list[dict[str, Any] | None]) -> Matches:
    # pycocotools gives None for a picture without objects and detections of the label.
    judged = [(i, result) for i, result in enumerate(results) if result is not None]
    scores = _join([r["dtScores"] for _, r in judged], np.float64)
    ignored = _join([r["dtIgnore"][0] for _, r in judged], np.bool_)
    object_index = _join([r["dtMatches"][0] for _, r in judged], np.intp) - 1
    order = np.argsort(-scores, kind="stable")
    return Matches(
        scores=scores[order],
        is_hit=((object_index >= 0) & ~ignored)[order],
        ignored=ignored[order],
        image_index=_join([[i] * len(r["dtIds"]) for i, r in judged], np.intp)[order],
        rank_index=_join([r["dtIds"] for _, r in judged], np.intp)[order] - 1,
        missed=tuple(_missed(result) for result in results),
        n_objects=sum(list(r["gtIgnore"]).count(0) for _, r in judged),
        n_images=len(results),
        object_index=object_index[order],
    )


def _missed(result: dict[str, Any] | None) -> NDArray[np.intp]:
    if result is None:
        return np.zeros(0, dtype=np.intp)
    ids = np.asarray(result["gtIds"], dtype=np.intp)
    return np.sort(ids[(result["gtMatches"][0] == 0) & (result["gtIgnore"] == 0)]) - 1


def _join(parts: list[Any], dtype: DTypeLike) -> NDArray[Any]:
    return np.concatenate([np.zeros(0), *parts]).astype(dtype)


def _set_columns(record: GroundTruth | Predictions, **dtypes: DTypeLike) -> None:
    owner = type(record).__name__
    boxes = check_boxes(record.boxes, f"boxes of {owner}")
    object.__setattr__(record, "boxes", boxes)
    for name, dtype in dtypes.items():
        column = np.asarray(getattr(record, name), dtype=dtype)
        if column.shape != (len(boxes),):
            wanted = f"must have shape ({len(boxes)},), one entry for each box"
            raise ParameterError(f"{name} of {owner} {wanted}. Got {column.shape} instead.")
        object.__setattr__(record, name, column)
    for name in ("boxes", "scores"):
        if not np.isfinite(getattr(record, name, 0.0)).all():
            raise DataError(f"{name} of {owner} must be finite. Drop the NaN or infinite rows.")
