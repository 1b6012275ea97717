"""What the boxes of a data set alone say: classes, sizes, places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.boxes import clip
from bootstrap_det.data import Dataset
from bootstrap_det.data.balancing import count_labels, ratio

QUANTILES = {"min": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
N_CELLS = 16  # of the map of places, along each side
TOUCHES = 1.0  # pixels from the border, or past it
NEAR = 0.25  # of an object's shorter side from the border
SMALL, LARGE = 32.0**2, 96.0**2  # COCO's limits of area, square pixels

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Objects:
    """All objects to be found, in one table, those of pictures of known size.

    Attributes
    ----------
    boxes : ndarray of shape (n, 4), float64
        xyxy, picture pixels.
    labels : ndarray of shape (n,), str
        Of each.
    pictures : ndarray of shape (n,), int
        Position of its picture in the data set.
    indices : ndarray of shape (n,), int
        Position of its box in the picture.
    sizes : ndarray of shape (n, 2), float64
        Height and width of its picture.
    """

    boxes: FloatArray
    labels: NDArray[np.str_]
    pictures: NDArray[np.int64]
    indices: NDArray[np.int64]
    sizes: FloatArray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.boxes)

    @property
    def sides(self) -> FloatArray:
        """Width and height of each, shape (n, 2), pixels."""
        return np.asarray(self.boxes[:, 2:] - self.boxes[:, :2])


@dataclass(frozen=True)
class Classes:
    """How many objects each label has.

    Attributes
    ----------
    objects : dict of str to int
        The most numerous first; labels without objects last, with 0.
    pictures : dict of str to int
        Pictures that show at least one.
    n_ignored : int
        Ignored boxes and crowds, of all labels.
    """

    objects: dict[str, int]
    pictures: dict[str, int]
    n_ignored: int

    @property
    def ratio(self) -> float:
        """Objects of the most numerous label over those of the rarest that has any."""
        return ratio({label: number for label, number in self.objects.items() if number})

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, ready for JSON."""
        fields = {"objects": self.objects, "pictures": self.pictures, "ignored": self.n_ignored}
        return {**fields, "ratio": self.ratio}


@dataclass(frozen=True, eq=False)
class Sizes:
    """How large objects are: the scale imbalance of boxes.

    Attributes
    ----------
    width, height, area, aspect : ndarray of shape (n,), float64
        Pixels, square pixels, and width over height.
    """

    width: FloatArray
    height: FloatArray
    area: FloatArray
    aspect: FloatArray

    @property
    def octaves(self) -> float:
        """How often the size doubles from the 5th to the 95th percentile of the root of area."""
        low, high = np.percentile(np.sqrt(self.area), [5, 95])
        return float(np.log2(high / low))

    @property
    def shares(self) -> dict[str, float]:
        """Shares of COCO's small, medium and large objects: below 32x32, from 96x96 on."""
        small, large = (self.area < SMALL).mean(), (self.area >= LARGE).mean()
        return {"small": float(small), "medium": float(1 - small - large), "large": float(large)}

    def to_dict(self) -> dict[str, Any]:
        """Return quantiles, ready for JSON."""
        names = ("width", "height", "area", "aspect")
        quantiles = {name: quantiles_of(getattr(self, name)) for name in names}
        return {**quantiles, "octaves": self.octaves, "coco_shares": self.shares}


@dataclass(frozen=True, eq=False)
class Places:
    """Where in their pictures objects lie.

    Attributes
    ----------
    coverage : ndarray of shape (16, 16), float64
        How many objects cover each part of the picture, row by row from the top left.
    centres : ndarray of shape (n, 2), float64
        x and y of each centre, as shares of the picture's sides.
    border_distance : ndarray of shape (n,), float64
        From the nearest border, in the object's own shorter sides; below 0 past it.
    touches : ndarray of shape (n,), bool
        Which come within a pixel of the border, or past it.
    aspect : float
        Width over height of the pictures, the median over the objects.
    """

    coverage: FloatArray
    centres: FloatArray
    border_distance: FloatArray
    touches: NDArray[np.bool_]
    aspect: float

    @property
    def thirds(self) -> dict[str, list[float]]:
        """Shares of centres in the left, middle, right third, and in the upper, middle, lower."""
        thirds = np.clip((self.centres * 3).astype(np.int64), 0, 2)
        names = ("left_to_right", "top_to_bottom")
        return {
            name: [float((thirds[:, axis] == third).mean()) for third in range(3)]
            for axis, name in enumerate(names)
        }

    @property
    def shares(self) -> dict[str, float]:
        """Shares of objects that touch the border, and nearer to it than a quarter of a side."""
        near = (self.border_distance < NEAR) | self.touches
        return {"touch_border": float(self.touches.mean()), "near_border": float(near.mean())}

    def to_dict(self) -> dict[str, Any]:
        """Return shares and the map, ready for JSON."""
        share = self.coverage / max(self.coverage.max(), 1e-300)
        return {**self.shares, "thirds": self.thirds, "map": np.round(share, 4).tolist()}


def table_of(dataset: Dataset) -> Objects:
    """Return all objects of pictures of known size as a table."""
    rows = [
        (box, str(label), position, index, picture.size)
        for position, picture in enumerate(dataset.pictures)
        if picture.size is not None
        for index, (box, label, target) in enumerate(
            zip(picture.boxes, picture.labels, picture.targets, strict=True)
        )
        if target
    ]
    boxes, labels, pictures, indices, sizes = zip(*rows, strict=True) if rows else ([],) * 5
    return Objects(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(labels, dtype=np.str_),
        np.array(pictures, dtype=np.int64),
        np.array(indices, dtype=np.int64),
        np.array(sizes, dtype=np.float64).reshape(-1, 2),
    )


def classes_of(dataset: Dataset) -> Classes:
    """Return the counts of a data set's labels."""
    counts = count_labels(dataset)
    objects = {**counts, **{label: 0 for label in dataset.categories if label not in counts}}
    shown = [set(p.labels[p.targets].tolist()) for p in dataset.pictures]
    pictures = {label: sum(label in labels for labels in shown) for label in objects}
    return Classes(objects, pictures, dataset.n_ignored)


def sizes_of(objects: Objects) -> Sizes:
    """Return the sizes of all objects."""
    width, height = objects.sides.T
    return Sizes(width, height, width * height, width / height)


def places_of(objects: Objects) -> Places:
    """Return where objects lie in their pictures."""
    height, width = objects.sizes.T
    extent = np.stack([width, height, width, height], axis=1)
    x1, y1, x2, y2 = objects.boxes.T
    gaps = np.min([x1, y1, width - x2, height - y2], axis=0)
    centres = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2 / extent[:, :2]
    distance = gaps / objects.sides.min(axis=1)
    coverage, aspect = _coverage(objects.boxes / extent), float(np.median(width / height))
    return Places(coverage, centres, distance, gaps <= TOUCHES, aspect)


def quantiles_of(values: FloatArray) -> dict[str, float]:
    """Return minimum, percentiles and maximum."""
    numbers = np.percentile(values, list(QUANTILES.values()))
    return {name: float(v) for name, v in zip(QUANTILES, numbers, strict=True)}


def _coverage(shares: FloatArray) -> FloatArray:
    """Return the sum over objects of the share of each cell that they cover."""
    boxes = clip(shares, (1, 1)) * N_CELLS
    edges = np.arange(N_CELLS, dtype=np.float64)
    along = [
        np.clip(
            np.minimum(boxes[:, axis + 2, None], edges + 1)
            - np.maximum(boxes[:, axis, None], edges),
            0.0, 1.0,
        )
        for axis in (0, 1)
    ]  # fmt: skip
    return np.asarray(along[1].T @ along[0])
