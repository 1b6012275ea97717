"""Losses by how well the predicted box overlaps the true one.

They are computed of boxes decoded in one square of side 1: the overlap of two boxes does not
change with the reference that both are told from. (The diagonals and the angles of DIoU and CIoU
do change with its aspect; give square references to have them in the picture's own.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bootstrap_det._kernels import box_losses as _box_kernels
from bootstrap_det._kernels import offset_losses as _offset_kernels
from bootstrap_det._validation import check_bool, check_boxes, check_float
from bootstrap_det.exceptions import DataError
from bootstrap_det.refinement.base import Floats, PlainOutputs, checked_pair
from bootstrap_det.refinement.offsets import MAX_LOG_SIZE, clip_log_sizes, decode

UNIT_BOX = (-0.5, -0.5, 0.5, 0.5)


class Overlap(PlainOutputs):
    """The part that the losses of the IoU family share: they differ in the kernel's kind."""

    _kind: ClassVar[int]

    @property
    def kind(self) -> int:
        """The kernel's number of the loss."""
        return self._kind

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4).

        A log size beyond +-log(1000), where decoding cuts it, has a gradient of 0.
        """
        predicted, true = checked_pair(outputs, targets, 4)
        square = np.tile(UNIT_BOX, (len(predicted), 1))
        values, by_box = self.on_boxes(decode(predicted, square), decode(true, square))
        return values, _through_decoding(by_box, predicted)

    def on_boxes(self, predicted: ArrayLike, true: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each pair and its gradient by the predicted box; see `box_loss`."""
        boxes = _finite(check_boxes(predicted, "predicted"), "predicted")
        others = _finite(check_boxes(true, "true"), "true")
        if len(boxes) != len(others):
            raise DataError(
                "There must be one true box for each predicted one. "
                f"Got {len(others)} true boxes for {len(boxes)} predicted ones."
            )
        values, gradients = np.empty(len(boxes)), np.empty_like(boxes)
        _box_kernels.box_losses(boxes, others, self.kind, values, gradients)
        return values, gradients


@dataclass(frozen=True)
class IoU(Overlap):
    """One minus the intersection over union, or its negative logarithm.

    Boxes that do not overlap have a loss of 1 and no gradient. The logarithm's IoU has a floor
    of 1e-6, so that loss is 13.8 at most.

    Parameters
    ----------
    log : bool, default=False
        Whether to take -ln IoU, the paper's form, rather than 1 - IoU.

    References
    ----------
    J. Yu et al., "UnitBox: An Advanced Object Detection Network", ACM Multimedia 2016.
    """

    log: bool = False
    name: ClassVar[str] = "iou"

    def __post_init__(self) -> None:
        check_bool(self.log, "log", "IoU")

    @property
    def kind(self) -> int:
        """The kernel's number of the loss."""
        return _box_kernels.LOG_IOU if self.log else _box_kernels.IOU


@dataclass(frozen=True)
class GIoU(Overlap):
    """1 - IoU, and the share of the box around both that neither covers; 0 to 2.

    Where the box around both has no area, the share is 0.

    References
    ----------
    H. Rezatofighi et al., "Generalized Intersection over Union: A Metric and a Loss for Bounding
    Box Regression", CVPR 2019.
    """

    name: ClassVar[str] = "giou"
    _kind: ClassVar[int] = _box_kernels.GIOU


@dataclass(frozen=True)
class DIoU(Overlap):
    """1 - IoU, and the squared distance of the centres over the squared diagonal around both.

    References
    ----------
    Z. Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
    AAAI 2020.
    """

    name: ClassVar[str] = "diou"
    _kind: ClassVar[int] = _box_kernels.DIOU


@dataclass(frozen=True)
class CIoU(Overlap):
    """DIoU, and alpha v, by how much the two aspects differ.

    v = (4 / pi^2) (atan(true width / height) - atan(width / height))^2, and alpha =
    v / (1 - IoU + v), so that it counts more the better the boxes overlap. A box without width
    and height has the angle 0.

    Notes
    -----
    The paper holds alpha fixed in the gradient, and leaves out the factor 1 / (w^2 + h^2) of
    v's. Here the gradient is that of the value in full.

    References
    ----------
    Z. Zheng et al., "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression",
    AAAI 2020.
    """

    name: ClassVar[str] = "ciou"
    _kind: ClassVar[int] = _box_kernels.CIOU


@dataclass(frozen=True)
class BoundedIoU(PlainOutputs):
    """The sum, over the offsets, of the smooth L1 of 1 minus the best IoU that each allows.

    With the other three as they should be, a centre t true widths away allows an IoU of at most
    max(0, (1 - 2 t) / (1 + 2 t)), so beyond half a width there is no gradient; a width that is
    r times the true one allows min(r, 1 / r).

    Parameters
    ----------
    beta : float, default=0.2
        Where the parabola of the smooth L1 ends, 0 to 1; with 0 there is none.

    Notes
    -----
    The paper's smooth L1 ends its parabola at 1, which is ``beta`` 1 up to a constant factor; 0.2
    is the custom of later implementations.

    References
    ----------
    L. Tychsen-Smith and L. Petersson, "Improving Object Localization with Fitness NMS and Bounded
    IoU Loss", CVPR 2018.
    """

    beta: float = 0.2
    name: ClassVar[str] = "bounded-iou"

    def __post_init__(self) -> None:
        check_float(self.beta, "beta", "BoundedIoU", low=0.0, high=1.0)

    def evaluate(self, outputs: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss of each box, shape (n,), and its gradient, shape (n, 4)."""
        predicted, true = checked_pair(outputs, targets, 4)
        values, gradients = np.empty(len(true)), np.empty_like(predicted)
        _offset_kernels.bounded_iou(
            predicted, true, MAX_LOG_SIZE, float(self.beta), values, gradients
        )
        return values, gradients


def _through_decoding(by_box: Floats, offsets: Floats) -> Floats:
    """Return gradients by the offsets, from those by the box decoded in the unit square."""
    log_sizes = offsets[:, 2:]
    halves = np.exp(clip_log_sizes(log_sizes)) / 2.0
    inside = np.abs(log_sizes) < MAX_LOG_SIZE
    by_size = np.where(inside, (by_box[:, 2:] - by_box[:, :2]) * halves, 0.0)
    return np.concatenate([by_box[:, :2] + by_box[:, 2:], by_size], axis=1)


def _finite(boxes: Floats, name: str) -> Floats:
    good = np.isfinite(boxes).all(axis=1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise DataError(f"{name} must be finite. Row {row} is {boxes[row].tolist()}; drop it.")
    return boxes
