"""The losses of box offsets by name, and those of the IoU family on boxes."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from bootstrap_det._validation import check_choice, make_named
from bootstrap_det.refinement.base import BoxLoss, Floats
from bootstrap_det.refinement.coordinate_losses import L1, L2, BalancedL1, SmoothL1
from bootstrap_det.refinement.distribution_losses import KL, DistributionFocal
from bootstrap_det.refinement.overlap_losses import BoundedIoU, CIoU, DIoU, GIoU, IoU

_CLASSES: tuple[type[Any], ...] = (
    L2, L1, SmoothL1, BalancedL1, KL, IoU, BoundedIoU, GIoU, DIoU, CIoU, DistributionFocal,
)  # fmt: skip
_LOSSES = {loss.name: loss for loss in _CLASSES}
_ON_BOXES = ("iou", "giou", "diou", "ciou")


def available_losses() -> tuple[str, ...]:
    """Return the names that :func:`make_loss` takes."""
    return tuple(_LOSSES)


def make_loss(name: str, **params: Any) -> BoxLoss:
    """Return the loss called ``name``, one of :func:`available_losses`, with its parameters.

    Raises
    ------
    ParameterError
        When there is no such loss, or it has no such parameter, or the value is out of range.
    """
    loss: BoxLoss = make_named(_LOSSES, "box loss", name, params)
    return loss


def box_loss(
    name: str, predicted: ArrayLike, true: ArrayLike, **params: Any
) -> tuple[Floats, Floats]:
    """Return the loss of each pair of boxes, and its gradient by the predicted box.

    Parameters
    ----------
    name : {"iou", "giou", "diou", "ciou"}
        The loss.
    predicted, true : array-like of shape (n, 4)
        Boxes, xyxy in pixels, any finite numbers. A box without width or height, or with its
        corners the wrong way round, has no area, and an overlap of 0 with every box.
    **params
        Parameters of the loss; only ``log`` of ``"iou"``.

    Returns
    -------
    values : ndarray of shape (n,), float64
        Finite, 0 for equal boxes that have an area.
    gradients : ndarray of shape (n, 4), float64
        By x1, y1, x2 and y2, cut at +-1e300. Where sides of the boxes lie on each other it is
        the mean of the gradients on both sides, so 0 for equal boxes.

    Raises
    ------
    DataError
        When a coordinate is not finite, or there are not as many true boxes as predicted ones.
    ParameterError
        When the loss is not of this family, or a parameter is wrong, or boxes are not (n, 4).
    """
    loss = make_named(
        _LOSSES, "box loss", check_choice(name, "name", "box_loss", _ON_BOXES), params
    )
    values, gradients = loss.on_boxes(predicted, true)
    return values, gradients
