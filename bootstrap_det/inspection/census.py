"""What a detector's own windows meet in a data set: background, objects, and how well they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.boxes import overlap
from bootstrap_det.channels import Channels
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.inspection.objects import quantiles_of
from bootstrap_det.positives import MIN_OVERLAP
from bootstrap_det.pyramid import LevelPlan, Pyramid
from bootstrap_det.windows import (
    Window,
    boxes_to_windows,
    nearest_windows,
    window_positions,
    windows_to_boxes,
)

IOU_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CAUSES = ("small", "large", "aspect", "grid")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """What a detector looks at: one window a label, over one pyramid.

    Attributes
    ----------
    windows : dict of str to Window
        Of each label.
    channels : Channels
        The features, for their grid of cells.
    pyramid : Pyramid
        The scales.
    """

    windows: dict[str, Window]
    channels: Channels
    pyramid: Pyramid

    def plan(self, size: tuple[int, int]) -> list[LevelPlan]:
        """Return the levels of a picture of ``size`` (height, width)."""
        return self.pyramid.plan(size, self.channels, list(self.windows.values()))

    def levels(self, plans: Sequence[LevelPlan], window: Window) -> list[LevelPlan]:
        """Return those of the levels that a window is scanned on."""
        height = window.object_size[0]
        return [plan for plan in plans if self.pyramid.covers(height / plan.nominal_scale)]

    @property
    def smallest(self) -> float:
        """Height of the smallest object that is looked for, picture pixels."""
        heights = [window.object_size[0] for window in self.windows.values()]
        return float(self.pyramid.min_object_size or min(heights))

    def to_dict(self) -> dict[str, Any]:
        """Return windows, cell size and scales, ready for JSON."""
        windows = {label: list(window.size) for label, window in self.windows.items()}
        scales = self.pyramid.get_params()
        scales.pop("exponents")
        return {"windows": windows, "cell_size": self.channels.cell_size, **scales}


@dataclass(frozen=True)
class Census:
    """All windows of a detector on some pictures.

    Attributes
    ----------
    n_pictures : int
        Pictures counted.
    n_windows : int
        Windows of all levels and labels.
    n_foreground : int
        Those that overlap an object of their label by at least 0.5 (IoU).
    overlap_counts : tuple of 5 ints
        Of these, how many by 0.5 to 0.6, ..., 0.9 to 1.
    """

    n_pictures: int
    n_windows: int
    n_foreground: int
    overlap_counts: tuple[int, ...]

    @property
    def n_background(self) -> int:
        """All other windows; those on ignored boxes are among them."""
        return self.n_windows - self.n_foreground

    @property
    def ratio(self) -> float | None:
        """Background windows to one foreground window; None without any."""
        return self.n_background / self.n_foreground if self.n_foreground else None

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, ready for JSON."""
        bins = zip(IOU_EDGES, IOU_EDGES[1:], self.overlap_counts, strict=False)
        return {
            "pictures": self.n_pictures,
            "windows": self.n_windows,
            "background": self.n_background,
            "foreground": self.n_foreground,
            "ratio": self.ratio,
            "foreground_by_iou": {f"{a:g}-{b:g}": number for a, b, number in bins},
        }


@dataclass(frozen=True, eq=False)
class Fit:
    """How well the best window fits each object.

    Attributes
    ----------
    overlap : ndarray of shape (n,), float64
        Largest IoU with any window of the object's label.
    causes : ndarray of shape (n,), str
        Why it is below 0.5: ``"small"`` (below the smallest window), ``"large"`` (above the
        largest), ``"aspect"`` (no window is so narrow or so wide), ``"grid"`` (between two
        positions or scales, or past the border); empty where it is not.
    files : tuple of str
        Name of each object's picture.
    indices : ndarray of shape (n,), int
        Which box of it.
    """

    overlap: FloatArray
    causes: NDArray[np.str_]
    files: tuple[str, ...]
    indices: NDArray[np.int64]

    @property
    def n_unreachable(self) -> int:
        """Objects that no window overlaps by 0.5: they are not trained on, and not found."""
        return int((self.causes != "").sum())

    def to_dict(self) -> dict[str, Any]:
        """Return quantiles, counts and the objects out of reach, ready for JSON."""
        out = np.flatnonzero(self.causes != "")
        return {
            "objects": len(self.overlap),
            "iou": quantiles_of(self.overlap) if len(self.overlap) else None,
            "unreachable": len(out),
            "causes": {cause: int((self.causes == cause).sum()) for cause in CAUSES},
            "unreachable_objects": [
                {"file": self.files[i], "box": int(self.indices[i]), "cause": str(self.causes[i]),
                 "iou": round(float(self.overlap[i]), 4)}
                for i in out
            ],
        }  # fmt: skip


def census_of(dataset: Dataset, scan: Scan) -> Census:
    """Return the count of all windows of a detector on a data set's pictures, exact."""
    totals: dict[tuple[int, int], int] = {}  # pictures of one size have as many
    n_windows, bins = 0, np.zeros(len(IOU_EDGES) - 1, dtype=np.int64)
    for picture in dataset.pictures:
        assert picture.size is not None  # the caller chooses
        if picture.size not in totals:
            totals[picture.size] = _n_windows(picture.size, scan)
        n_windows += totals[picture.size]
        values = _foreground_overlaps(picture, scan)
        bins += np.histogram(values, IOU_EDGES)[0]
    return Census(len(dataset), n_windows, int(bins.sum()), tuple(bins.tolist()))


def fit_of(dataset: Dataset, scan: Scan) -> Fit:
    """Return how well the best window fits each object of the labels that are looked for."""
    overlaps: list[FloatArray] = [np.zeros(0)]
    causes: list[str] = []
    files: list[str] = []
    indices: list[int] = []
    for picture in dataset.pictures:
        assert picture.size is not None  # the caller chooses
        every = scan.plan(picture.size) if picture.targets.any() else []
        for window, where in _objects_by_label(picture, scan.windows):
            plans = scan.levels(every, window)
            boxes = picture.boxes[where]
            best, _ = nearest_windows(plans, window, scan.channels, boxes)
            overlaps.append(best)
            causes += [
                "" if iou >= MIN_OVERLAP else _cause(box, window, plans)
                for iou, box in zip(best, boxes, strict=True)
            ]
            files += [picture.name] * len(where)
            indices += where.tolist()
    column = np.array(causes, dtype=np.str_)
    return Fit(np.concatenate(overlaps), column, tuple(files), np.array(indices, dtype=np.int64))


def _objects_by_label(
    picture: Picture, windows: Mapping[str, Window]
) -> list[tuple[Window, NDArray[np.intp]]]:
    """Return the window and the positions of its objects, for each label in a picture."""
    found = []
    for label in dict.fromkeys(picture.labels[picture.targets].tolist()):
        if label in windows:
            where = np.flatnonzero(picture.targets & (picture.labels == label))
            found.append((windows[label], where))
    return found


def _n_windows(size: tuple[int, int], scan: Scan) -> int:
    plans = scan.plan(size)
    total = 0
    for window in scan.windows.values():
        for plan in scan.levels(plans, window):
            rows, columns = window_positions(plan, window, scan.channels)
            total += rows * columns
    return total


def _foreground_overlaps(picture: Picture, scan: Scan) -> FloatArray:
    """Return the overlap of every foreground window of a picture with its best object."""
    assert picture.size is not None  # the caller chooses
    parts: list[FloatArray] = [np.zeros(0)]
    plans = scan.plan(picture.size) if picture.targets.any() else []
    for window, where in _objects_by_label(picture, scan.windows):
        for plan in scan.levels(plans, window):
            parts.append(_on_level(plan, window, scan.channels, picture.boxes[where]))
    return np.concatenate(parts)


def _on_level(plan: LevelPlan, window: Window, channels: Channels, boxes: FloatArray) -> FloatArray:
    """Return the overlaps of at least 0.5 of the windows of one level, each window once."""
    n_rows, n_columns = window_positions(plan, window, channels)
    best: dict[int, float] = {}
    exact = np.stack(boxes_to_windows(plan, window, boxes), axis=1)
    scale = np.array(plan.scale)
    size = np.array(window.object_size) / scale  # height and width in the picture
    for box, centre in zip(boxes, exact, strict=True):
        sides = np.array([box[3] - box[1], box[2] - box[0]])
        shared = np.minimum(size, sides).prod()
        if shared < MIN_OVERLAP * (size.prod() + sides.prod() - shared):
            continue  # not even concentric
        # A side of the intersection is at least half of either box's, or its area could not be.
        radius = (size + sides) / 2 - MIN_OVERLAP * np.maximum(size, sides)
        cells = radius * scale / plan.cell_size + 1e-9
        low = np.maximum(np.ceil(centre - cells), 0).astype(np.int64)
        high = np.minimum(np.floor(centre + cells), (n_rows - 1, n_columns - 1)).astype(np.int64)
        rows, columns = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)))
        near = windows_to_boxes(plan, window, rows.ravel(), columns.ravel())
        ious = overlap(near, box[None])[:, 0] if len(near) else np.zeros(0)
        positions = rows.ravel() * n_columns + columns.ravel()
        for position, iou in zip(positions.tolist(), ious.tolist(), strict=True):
            if iou >= MIN_OVERLAP:
                best[position] = max(iou, best.get(position, 0.0))
    return np.array(list(best.values()))


def _cause(box: FloatArray, window: Window, plans: Sequence[LevelPlan]) -> str:
    """Return why no window fits a box."""
    width, height = box[2] - box[0], box[3] - box[1]
    ratio = (width / height) / (window.object_size[1] / window.object_size[0])
    if min(ratio, 1 / ratio) < MIN_OVERLAP:
        return "aspect"
    if not plans:
        return "large"
    area = np.prod(window.object_size)
    if width * height < area / plans[0].nominal_scale ** 2:
        return "small"
    return "large" if width * height > area / plans[-1].nominal_scale ** 2 else "grid"
