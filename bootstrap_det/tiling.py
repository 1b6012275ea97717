"""Detection on large pictures, tile by tile, with one suppression over the whole picture.

Windows that fit into what tiles share are scanned in the tiles. Larger ones would be cut by every
tile; they need only the coarse levels of the pyramid, which are small for the whole picture, and
are scanned there. So a tiled scan looks at the same places and sizes as an untiled one, while the
levels that cost memory are those of a tile.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det.detections import Candidates, Detections
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import LevelPlan
from bootstrap_det.tiles import check_tiling, owners, tile_boxes

_OWNER = "detect_tiled"
_SLACK = 1.0 + 1e-6  # the pyramid's own, for sizes that are equal but for rounding


def detect_tiled(
    detector: Detector,
    image: NDArray[Any],
    *,
    tile: tuple[int, int],
    overlap: int | None = None,
    threshold: float | None = None,
    image_id: int | None = None,
    n_threads: int = 1,
) -> Detections:
    """Return the objects in one picture, scanned tile by tile.

    Parameters
    ----------
    detector : Detector
        What to look for.
    image : ndarray of shape (height, width), (height, width, 3) or (height, width, 4)
        As :meth:`Detector.detect` takes it. One that is no larger than a tile is scanned whole.
    tile : (height, width)
        Of a tile, pixels.
    overlap : int or None, default=None
        Pixels that neighbouring tiles share; by default :func:`default_overlap`.
    threshold, image_id, n_threads
        See :meth:`Detector.detect`.

    Returns
    -------
    Detections
        By falling score. They are those of ``detector.detect``, but for the rounding of levels:
        the sides of a level are whole pixels, and its cells begin at the corner of the tile, so a
        window may lie up to half a cell elsewhere and score accordingly.

    Raises
    ------
    ParameterError
        When the overlap is too small for any window, or is not below the tile's sides, or the
        picture or another parameter cannot be used.

    Notes
    -----
    A window counts in one tile alone, the one that its centre belongs to
    (:func:`bootstrap_det.tiles.owners`): there it is whole, and windows that the inner border of a
    tile cuts belong to its neighbour. So none votes twice. Suppression and votes take place once,
    over the whole picture.
    """
    shared = default_overlap(detector, tile) if overlap is None else overlap
    tile, shared = check_tiling(tile, shared, _OWNER)
    limit = _largest_height(detector, shared)
    pixels = detector.prepare(image)
    if pixels.shape[0] <= tile[0] and pixels.shape[1] <= tile[1]:
        return detector.detect(pixels, threshold=threshold, image_id=image_id, n_threads=n_threads)
    if threshold is not None and (note := detector.threshold_note(threshold)):
        warnings.warn(note, UserWarning, stacklevel=2)
    if detector.location is not None:
        raise ParameterError(
            f"A detector with a location prior cannot be used in {_OWNER}: tiles hide where in the "
            "picture a row is. Take it without, detector.replace(location=None) or --no-location."
        )
    least = detector.floor(threshold)
    tiles = tile_boxes((pixels.shape[0], pixels.shape[1]), tile, shared)
    fine = _fine(detector, limit)
    parts = _scan_tiles(fine, pixels, tiles, least, n_threads)
    parts.append(_scan_coarse(detector, pixels, limit, least, n_threads))
    settled = detector.settle(Candidates.concatenate(parts), threshold=threshold, image_id=image_id)
    return detector.classified(pixels, settled)


def default_overlap(detector: Detector, tile: tuple[int, int]) -> int:
    """Return a quarter of the tile's shorter side, or what the smallest window needs if more."""
    tile, _ = check_tiling(tile, 0, _OWNER)
    return max(min(tile) // 4, _smallest_overlap(detector))


def _smallest_overlap(detector: Detector) -> int:
    """Return the least overlap that holds the smallest window of every template."""
    rooms = [_room(detector, template) for template in detector.templates]
    return math.ceil(_smallest_height(detector) * max(rooms))


def _smallest_height(detector: Detector) -> float:
    """Return the height of the smallest object that is looked for, picture pixels."""
    heights = [template.window.object_size[0] for template in detector.templates]
    return detector.pyramid.min_object_size or min(heights)


def _room(detector: Detector, template: Template) -> float:
    """Return the longer side of a window in heights of its object, a cell more on each side.

    The outermost cells look at their neighbours, so that these must be in the tile, too.
    """
    sides = max(template.window.size) + 2 * detector.channels.cell_size
    return sides / template.window.object_size[0]


def _largest_height(detector: Detector, overlap: int) -> float:
    """Return the height of the largest object that is scanned in tiles, picture pixels."""
    needed = _smallest_overlap(detector)
    if overlap < needed:
        raise ParameterError(
            f"The 'overlap' parameter of {_OWNER} must hold the smallest window, {needed} px with "
            f"its surroundings, or tiles would cut objects of every size. Got {overlap} instead. "
            f"Give {needed} or more, about the height of your usual objects times 1.5."
        )
    limit = min(overlap / _room(detector, template) for template in detector.templates)
    return max(limit, _smallest_height(detector))


def _scan_tiles(
    fine: Detector,
    pixels: NDArray[Any],
    tiles: NDArray[np.int64],
    least: float,
    n_threads: int,
) -> list[Candidates]:
    """Return the windows of the objects of ``fine``, each from the tile that owns it."""
    parts = []
    for index, tile in enumerate(tiles):
        found = fine.scan(_cut(pixels, tile), threshold=least, n_threads=n_threads)
        boxes = found.boxes + tile[[0, 1, 0, 1]]
        whole = _window_boxes(fine.templates, boxes, found.windows[:, 3])
        mine = owners(tiles, whole) == index
        parts.append(replace(found, boxes=boxes)[mine])
    return parts


def _fine(detector: Detector, limit: float) -> Detector:
    """Return the detector of objects up to ``limit`` px high."""
    own = detector.pyramid.max_object_size
    return detector.replace(max_object_size=limit if own is None else min(own, limit))


def _cut(pixels: NDArray[Any], tile: NDArray[np.int64]) -> NDArray[Any]:
    x1, y1, x2, y2 = tile.tolist()
    return np.ascontiguousarray(pixels[y1:y2, x1:x2])


def _window_boxes(
    templates: Sequence[Template], boxes: NDArray[np.float64], indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the whole windows, surroundings included, of objects' boxes."""
    whole = boxes.copy()
    for index, template in enumerate(templates):
        x1, y1, _, _ = template.window.object_xyxy
        height, width = template.window.object_size
        rows, columns = template.window.size
        part = (-x1 / width, -y1 / height, (columns - x1) / width, (rows - y1) / height)
        chosen = indices == index
        whole[chosen] = box_ops.relative(boxes[chosen], part)
    return whole


def _scan_coarse(
    detector: Detector, pixels: NDArray[Any], limit: float, least: float, n_threads: int
) -> Candidates:
    """Return the windows of objects above ``limit`` px, from the coarse levels of the whole."""
    own, size = detector.pyramid.max_object_size, (pixels.shape[0], pixels.shape[1])
    if own is not None and own <= limit:
        return Candidates.concatenate([])
    smallest, first = _first_coarse(detector, limit)
    coarse = detector.replace(min_object_size=smallest)
    plans = coarse.plan(size)
    found = coarse.scan(pixels, threshold=least, n_threads=n_threads)
    heights = _heights(coarse, plans, found.windows)
    above = heights > limit * _SLACK
    windows = found.windows[above] + np.array([first, 0, 0, 0])
    return replace(found[above], windows=windows)


def _first_coarse(detector: Detector, limit: float) -> tuple[float, int]:
    """Return the smallest object of the coarse levels, and their first index.

    It is on the grid of the detector's own scales, a level below the limit: templates of other
    heights reach the limit between two levels of the highest one.
    """
    smallest, pyramid = _smallest_height(detector), detector.pyramid
    first = math.floor(math.log2(limit / smallest) * pyramid.scales_per_octave + 1e-6)
    if pyramid.exponents is not None:  # levels are approximated from the first of their octave
        first -= first % pyramid.scales_per_octave
    return smallest * 2.0 ** (first / pyramid.scales_per_octave), first


def _heights(
    detector: Detector, plans: Sequence[LevelPlan], windows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the nominal height of each window's object, picture pixels."""
    scales = np.array([plan.nominal_scale for plan in plans])
    objects = np.array([template.window.object_size[0] for template in detector.templates])
    return np.asarray(objects[windows[:, 3]] / scales[windows[:, 0]])
