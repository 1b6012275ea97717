"""Pictures as data URIs: thumbnails, crops of mistakes, contact sheets.

Nothing is loaded twice in a row, and a picture that is gone is remembered, not an error.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bootstrap_det.data import Picture
from bootstrap_det.exceptions import BootstrapDetError
from bootstrap_det.images import read_image
from bootstrap_det.plots import cut_out

TILE = 132  # pixels; side of a crop
CONTEXT = 0.6  # round a crop's box, in its longer side
_LINE = {"missed": (255, 176, 0), "false": (255, 61, 127)}


@dataclass
class Album:
    """The test pictures, loaded when they are asked for.

    Attributes
    ----------
    pictures : sequence of Picture
        All of them.
    gone : dict of int to str
        Which of those asked for could not be read, and why.
    """

    pictures: Sequence[Picture]
    gone: dict[int, str] = field(default_factory=dict)
    _last: tuple[int, NDArray[np.uint8]] | None = None

    def load(self, index: int) -> NDArray[np.uint8] | None:
        """Return a picture as RGB, or None when it is gone or not what was annotated."""
        if index in self.gone:
            return None
        if self._last is None or self._last[0] != index:
            try:
                self._last = (index, self.pictures[index].load("rgb"))
            except BootstrapDetError as error:
                picture = self.pictures[index]  # whose place on this machine is nobody's business
                self.gone[index] = str(error).replace(str(picture.path), picture.name)
                return None
        return self._last[1]


def thumbnail(image: NDArray[np.uint8], side: int) -> str:
    """Return a picture as a JPEG whose longer side is at most ``side``, as a data URI."""
    return jpeg_uri(_fitted(image, min(side / max(image.shape[:2]), 1.0)), 78)


def crop_of(image: NDArray[np.uint8], box: NDArray[np.float64], kind: str) -> str:
    """Return a box with its surroundings, outlined, as a square JPEG in a data URI."""
    x1, y1, x2, y2 = (float(v) for v in box)
    half = max(x2 - x1, y2 - y1, 4.0) * (0.5 + CONTEXT)
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    part = np.concatenate([middle - half, middle + half])
    crop = np.ascontiguousarray(cut_out(image, part))
    factor = TILE / max(crop.shape[:2])
    tile = np.ascontiguousarray(_fitted(crop, factor))
    corners = (np.array([x1, y1, x2, y2]) - np.tile(np.rint(part[:2]), 2)) * factor
    a, b, c, d = (round(float(v)) for v in corners)
    cv2.rectangle(tile, (a, b), (c - 1, d - 1), _LINE[kind], 2, cv2.LINE_AA)
    return jpeg_uri(tile, 80)


def sheet_uri(path: Path, quality: int) -> tuple[str, int, int] | None:
    """Return a contact sheet as a JPEG in a data URI, with width and height; None if unreadable."""
    try:
        image = read_image(path, color="rgb")
    except BootstrapDetError:
        return None
    return jpeg_uri(image, quality), int(image.shape[1]), int(image.shape[0])


def jpeg_uri(image: NDArray[Any], quality: int) -> str:
    """Return an RGB picture as a JPEG in a data URI."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def png_uri(image: NDArray[Any]) -> str:
    """Return an RGB picture as a PNG in a data URI."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _fitted(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    size = (max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
