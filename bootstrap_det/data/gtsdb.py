"""The German Traffic Sign Detection Benchmark, in its original layout or as COCO JSON.

References
----------
S. Houben, J. Stallkamp, J. Salmen, M. Schlipsing and C. Igel, "Detection of Traffic Signs in
Real-World Images: The German Traffic Sign Detection Benchmark", IJCNN 2013.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from bootstrap_det.data.coco import read_coco
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.merging import by_group
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError

CATEGORIES = ("prohibitory", "danger", "mandatory")
N_TRAIN = 600  # of the 900 pictures, the first ones
N_PICTURES = 900
SIZE = (800, 1360)

# Of the 43 classes; what is not listed is of no category and counts neither way.
_CLASSES = {
    "prohibitory": (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16),
    "danger": (11, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31),
    "mandatory": (33, 34, 35, 36, 37, 38, 39, 40),
}
CATEGORY_OF = {number: name for name, numbers in _CLASSES.items() for number in numbers}
OTHER = "other"

CLASS_NAMES = (
    "speed limit 20", "speed limit 30", "speed limit 50", "speed limit 60", "speed limit 70",
    "speed limit 80", "restriction ends 80", "speed limit 100", "speed limit 120",
    "no overtaking", "no overtaking (trucks)", "priority at next intersection", "priority road",
    "give way", "stop", "no traffic both ways", "no trucks", "no entry", "danger", "bend left",
    "bend right", "bend", "uneven road", "slippery road", "road narrows", "construction",
    "traffic signal", "pedestrian crossing", "school crossing", "cycles crossing", "snow",
    "animals", "restriction ends", "go right", "go left", "go straight",
    "go right or straight", "go left or straight", "keep right", "keep left", "roundabout",
    "restriction ends (overtaking)", "restriction ends (overtaking (trucks))",
)  # fmt: skip
"""The 43 classes by their number, as the benchmark's ReadMe names them."""
_CLASS_IDS = range(len(CLASS_NAMES))


def read_gtsdb_coco(
    annotations: Path, images: Path, *, classes: bool = False, skip_bad: bool = False
) -> Dataset:
    """Return pictures whose boxes are labelled by category, from COCO JSON.

    The file states the category of each class as its ``supercategory``; signs of another are
    ignored. With ``classes``, the labels are the classes, and the categories their groups.

    Raises
    ------
    DataError
        When the file is not such a file.
    """
    full = read_coco(annotations, images, name="gtsdb", skip_bad=skip_bad)
    # The class "danger" is of the category of the same name, which is no entry of its own.
    lone = {label: OTHER for label in full.categories if label not in {*full.groups, *CATEGORIES}}
    return _ignoring_others(replace(full, groups={**full.groups, **lone}), classes)


def read_gtsdb(folder: Path, part: str, *, classes: bool = False) -> Dataset:
    """Return the ``"train"`` or ``"test"`` part of the original layout, labelled by category.

    Parameters
    ----------
    folder : Path
        With ``gt.txt``, lines of ``file;left;top;right;bottom;class``, and 900 pictures, of
        which the first 600 are to train on.
    part : {"train", "test"}
        Which of them.
    classes : bool, default=False
        Label by the 43 classes of :data:`CLASS_NAMES`, whose groups are the categories.

    Raises
    ------
    DataError
        When a line is not of this form, or a picture is missing.
    """
    boxes = _read_boxes(folder / "gt.txt")
    numbers = range(N_TRAIN) if part == "train" else range(N_TRAIN, N_PICTURES)
    pictures = [_picture(folder, number, boxes[f"{number:05}.ppm"]) for number in numbers]
    groups = {name: CATEGORY_OF.get(number, OTHER) for number, name in enumerate(CLASS_NAMES)}
    full = Dataset("gtsdb", tuple(pictures), categories=CLASS_NAMES, groups=groups)
    return _ignoring_others(full, classes)


def _picture(folder: Path, number: int, rows: list[tuple[list[float], int]]) -> Picture:
    path = folder / f"{number:05}.ppm"
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give the complete benchmark of {N_PICTURES} files.")
    labels = [CLASS_NAMES[class_id] for _, class_id in rows]
    flags = np.zeros(len(rows), dtype=bool)
    return Picture(
        number, path.name, np.array([box for box, _ in rows]).reshape(-1, 4),
        np.array(labels, dtype=np.str_), flags, flags, path=path, size=SIZE,
    )  # fmt: skip


def _ignoring_others(full: Dataset, classes: bool) -> Dataset:
    """Return the data set, labelled by class or category; signs of no category are ignored."""
    others = [label for label, group in full.groups.items() if group not in CATEGORIES]
    pictures = tuple(
        replace(picture, ignore=picture.ignore | np.isin(picture.labels, others))
        for picture in full.pictures
    )
    full = replace(full, pictures=pictures)
    return full if classes else replace(by_group(full), categories=(*CATEGORIES, OTHER))


def _read_boxes(path: Path) -> dict[str, list[tuple[list[float], int]]]:
    """Return boxes and classes by the name of the picture; a line that occurs twice counts once."""
    found: dict[str, list[tuple[list[float], int]]] = defaultdict(list)
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), delimiter=";"))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Copy it again.") from None
    for number, row in enumerate(rows, start=1):
        try:
            name, *corners, class_id = row
            x1, y1, x2, y2 = (float(value) for value in corners)
            entry = ([x1, y1, x2, y2], _CLASS_IDS.index(int(class_id)))
        except ValueError:
            raise DataError(
                f"{path}: line {number} is {';'.join(row)!r:.80}, not file;left;top;right;bottom;"
                f"class with a class of 0 to {_CLASS_IDS[-1]}. Copy the file again."
            ) from None
        if not (-math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf):
            raise DataError(
                f"{path}: line {number} has the box {corners}, which has no finite area. Copy the "
                "file again."
            )
        if entry not in found[name]:
            found[name].append(entry)
    return found
