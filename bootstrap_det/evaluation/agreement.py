"""How much a detection and an object agree: what a hit is, by the rule of a benchmark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.boxes import overlap

_CAR_ASPECT = 0.4  # height of a car's window, in its width
_AXIS_SHARE = 0.25

Boxes = NDArray[np.float64]


def ellipse(boxes: Boxes, objects: Boxes) -> NDArray[np.float64]:
    """Return how near detections are to cars by the rule of UIUC's single-scale test.

    Parameters
    ----------
    boxes, objects : ndarray of shape (n, 4) and (m, 4)
        Detections and objects, xyxy, picture pixels.

    Returns
    -------
    ndarray of shape (n, m), float64
        ``1 / (1 + d * d)``, in which d is the distance of the centres in units of an ellipse with
        axes of a quarter of the car's height and width: 0.5 and more within the ellipse. As in the
        official evaluator, a window is 0.4 times as high as wide, and locations are whole pixels.

    References
    ----------
    S. Agarwal, A. Awan and D. Roth, "Learning to detect objects in images via a sparse,
    part-based representation", PAMI 2004.
    """
    return _nearness(boxes, objects, n_axes=2)


def ellipsoid(boxes: Boxes, objects: Boxes) -> NDArray[np.float64]:
    """Return the same by the rule of the multi-scale test, where width is a third coordinate.

    Its axis is a quarter of the car's width; see :func:`ellipse`.
    """
    return _nearness(boxes, objects, n_axes=3)


AGREEMENTS: dict[str, Callable[[Boxes, Boxes], NDArray[np.float64]]] = {
    "iou": overlap,
    "ellipse": ellipse,
    "ellipsoid": ellipsoid,
}


def _nearness(boxes: Boxes, objects: Boxes, *, n_axes: int) -> NDArray[np.float64]:
    found, true = _locations(boxes), _locations(objects)
    width = true[:, 2]
    axes = _AXIS_SHARE * np.stack([_CAR_ASPECT * width, width, width], axis=1)
    shares = (found[:, None, :n_axes] - true[None, :, :n_axes]) / np.maximum(axes, 1e-9)[:, :n_axes]
    return np.asarray(1.0 / (1.0 + (shares**2).sum(axis=2)))


def _locations(boxes: Boxes) -> NDArray[np.float64]:
    """Return row and column of the centres, rounded down as the evaluator does, and widths."""
    left, top, right, _ = boxes.T
    row, column, width = np.rint(top), np.rint(left), np.rint(right - left)
    return np.stack(
        [row + np.floor(_CAR_ASPECT * width / 2), column + np.floor(width / 2), width], axis=1
    )
