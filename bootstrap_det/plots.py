"""Pictures for people: boxes drawn on a picture, and contact sheets of crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.detections import Detections
from bootstrap_det.images import to_rgb

GREEN, RED, YELLOW = (60, 210, 90), (235, 70, 60), (250, 200, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BACKGROUND = 32


def draw_detections(
    image: NDArray[Any],
    detections: Detections,
    *,
    color: tuple[int, int, int] = GREEN,
    show_labels: bool | None = None,
) -> NDArray[np.uint8]:
    """Return an RGB copy of a picture with a box and a score for each detection.

    Labels are shown when there are several of them, unless ``show_labels`` says otherwise; where
    there are classes, these. The best detections are drawn last, on top.
    """
    canvas = np.ascontiguousarray(np.clip(to_rgb(image), 0, 255).astype(np.uint8)).copy()
    if show_labels is None:
        show_labels = detections.classes is not None or len(set(detections.labels.tolist())) > 1
    for index in reversed(range(len(detections))):
        score = f"{detections.scores[index]:.2f}"
        text = f"{detections.names[index]} {score}" if show_labels else score
        draw_box(canvas, detections.boxes[index], color, text)
    return canvas


def draw_box(
    canvas: NDArray[np.uint8],
    box: NDArray[np.float64],
    color: tuple[int, int, int],
    text: str = "",
) -> None:
    """Draw one box, and a text above it, into an RGB picture in place.

    Lines and letters grow with the picture, so that they are seen at any size.
    """
    unit = max(min(canvas.shape[:2]) / 480, 0.6)
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), color, max(round(1.5 * unit), 1), cv2.LINE_AA)
    if not text:
        return
    scale = 0.42 * unit
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    top = y1 - height - base if y1 - height - base >= 0 else y2
    left = int(np.clip(x1, 0, max(canvas.shape[1] - width, 0)))
    cv2.rectangle(canvas, (left, top), (left + width, top + height + base), color, -1)
    at = (left, top + height + base // 2)
    cv2.putText(canvas, text, at, _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


def draw_caption(canvas: NDArray[np.uint8], text: str) -> None:
    """Write a line into the upper left corner of an RGB picture in place, light on dark."""
    scale = 0.5 * max(min(canvas.shape[:2]) / 480, 0.6)
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    cv2.rectangle(canvas, (0, 0), (width + base, height + 2 * base), (_BACKGROUND,) * 3, -1)
    at = (base // 2, height + base)
    cv2.putText(canvas, text, at, _FONT, scale, (225, 225, 225), 1, cv2.LINE_AA)


def contact_sheet(
    crops: Sequence[NDArray[Any]],
    captions: Sequence[str],
    *,
    n_columns: int = 12,
    tile: int = 72,
) -> NDArray[np.uint8]:
    """Return RGB crops side by side, each fitted into a square ``tile`` with its caption below.

    Parameters
    ----------
    crops : sequence of ndarray
        Pictures of any size, grey or RGB.
    captions : sequence of str
        One short line each, such as a score.
    n_columns : int, default=12
        Tiles in a row; fewer when there are fewer crops.
    tile : int, default=72
        Side of a tile in pixels.
    """
    gap, line = 4, 14
    n_columns = max(min(n_columns, len(crops)), 1)
    n_rows = max(-(-len(crops) // n_columns), 1)
    height, width = tile + line + gap, tile + gap
    sheet = np.full((n_rows * height + gap, n_columns * width + gap, 3), _BACKGROUND, np.uint8)
    for index, (crop, caption) in enumerate(zip(crops, captions, strict=True)):
        top = gap + index // n_columns * height
        left = gap + index % n_columns * width
        fitted = _fitted(to_rgb(crop), tile)
        dy, dx = (tile - fitted.shape[0]) // 2, (tile - fitted.shape[1]) // 2
        sheet[top + dy : top + dy + fitted.shape[0], left + dx : left + dx + fitted.shape[1]] = (
            fitted
        )
        at = (left + 1, top + tile + line - 4)
        cv2.putText(sheet, caption, at, _FONT, 0.36, (225, 225, 225), 1, cv2.LINE_AA)
    return sheet


def cut_out(image: NDArray[Any], box: NDArray[np.float64]) -> NDArray[Any]:
    """Return the part of a picture under a box, continued by its border where it runs past."""
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    rows = np.clip(np.arange(y1, max(y2, y1 + 1)), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x1, max(x2, x1 + 1)), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def _fitted(crop: NDArray[Any], tile: int) -> NDArray[Any]:
    """Return a crop resized so that its longer side is ``tile``; enlarged without smoothing."""
    factor = tile / max(crop.shape[:2])
    size = (max(round(crop.shape[1] * factor), 1), max(round(crop.shape[0] * factor), 1))
    return cv2.resize(crop, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
