"""The German Traffic Sign Detection Benchmark, in its original layout or as COCO JSON.

References
----------
S. Houben, J. Stallkamp, J. Salmen, M. Schlipsing and C. Igel, "Detection of Traffic Signs in
Real-World Images: The German Traffic Sign Detection Benchmark", IJCNN 2013.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from bootstrap_det.data.coco import read_coco
from bootstrap_det.data.dataset import Dataset
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


def read_gtsdb_coco(annotations: Path, images: Path, *, skip_bad: bool = False) -> Dataset:
    """Return pictures whose boxes are labelled by category, from COCO JSON.

    The file states the category of each class as its ``supercategory``; signs of another are
    ignored.

    Raises
    ------
    DataError
        When the file is not such a file.
    """
    full = read_coco(annotations, images, name="gtsdb", skip_bad=skip_bad)
    entries = json.loads(annotations.read_bytes())["categories"]
    category_of = {entry["name"]: str(entry.get("supercategory", OTHER)) for entry in entries}
    pictures = tuple(
        _by_category(picture, [category_of[str(label)] for label in picture.labels])
        for picture in full.pictures
    )
    return replace(full, pictures=pictures, categories=(*CATEGORIES, OTHER))


def read_gtsdb(folder: Path, part: str) -> Dataset:
    """Return the ``"train"`` or ``"test"`` part of the original layout, labelled by category.

    Parameters
    ----------
    folder : Path
        With ``gt.txt``, lines of ``file;left;top;right;bottom;class``, and 900 pictures, of
        which the first 600 are to train on.
    part : {"train", "test"}
        Which of them.

    Raises
    ------
    DataError
        When a line is not of this form, or a picture is missing.
    """
    boxes = _read_boxes(folder / "gt.txt")
    numbers = range(N_TRAIN) if part == "train" else range(N_TRAIN, N_PICTURES)
    pictures = [_picture(folder, number, boxes[f"{number:05}.ppm"]) for number in numbers]
    return Dataset("gtsdb", tuple(pictures), categories=(*CATEGORIES, OTHER))


def _picture(folder: Path, number: int, rows: list[tuple[list[float], int]]) -> Picture:
    path = folder / f"{number:05}.ppm"
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give the complete benchmark of {N_PICTURES} files.")
    labels = [CATEGORY_OF.get(class_id, OTHER) for _, class_id in rows]
    flags = np.zeros(len(rows), dtype=bool)
    picture = Picture(
        number, path.name, np.array([box for box, _ in rows]).reshape(-1, 4),
        np.array(labels, dtype=np.str_), flags, flags, path=path, size=SIZE,
    )  # fmt: skip
    return _by_category(picture, labels)


def _by_category(picture: Picture, categories: list[str]) -> Picture:
    """Return the picture with these labels; signs of no category are ignored."""
    labels = np.array(categories, dtype=np.str_)
    return replace(picture, labels=labels, ignore=picture.ignore | ~np.isin(labels, CATEGORIES))


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
            entry = ([x1, y1, x2, y2], int(class_id))
        except ValueError:
            raise DataError(
                f"{path}: line {number} is {';'.join(row)!r:.80}, not file;left;top;right;bottom;"
                "class. Copy the file again."
            ) from None
        if not (-math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf):
            raise DataError(
                f"{path}: line {number} has the box {corners}, which has no finite area. Copy the "
                "file again."
            )
        if entry not in found[name]:
            found[name].append(entry)
    return found
