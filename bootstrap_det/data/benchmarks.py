"""Readers of the layouts in which well-known benchmarks are distributed.

Each returns pictures in the order of its lists, with ids from 0. Boxes without area, which some
of the lists hold, are left out and counted in the notes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.gtsdb import CATEGORIES, CATEGORY_OF, OTHER
from bootstrap_det.data.picture import Crops, Picture
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import read_image

WIDER_SUBSETS = ("easy", "medium", "hard")
_INRIA_BOX = re.compile(r'"(\w+)".*:\s*\((\d+), (\d+)\) - \((\d+), (\d+)\)')


@dataclass
class _Collector:
    """Pictures so far, and the boxes that were left out."""

    name: str
    root: Path
    pictures: list[Picture] = field(default_factory=list)
    n_flat: int = 0

    def add(
        self, path: Path, name: str, boxes: Sequence[Sequence[float]], labels: Sequence[str],
        ignore: Sequence[bool] | None = None,
    ) -> None:  # fmt: skip
        """Add a picture with boxes, xyxy."""
        inside = path.resolve().is_relative_to(self.root.resolve())
        if not inside or not path.is_file():
            raise DataError(
                f"{path}: is no file below {self.root}, but {self.name} lists it. Unpack it again."
            )
        flags = [False] * len(boxes) if ignore is None else ignore
        rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        good = np.isfinite(rows).all(axis=1) & (rows[:, 2:] > rows[:, :2]).all(axis=1)
        self.n_flat += int((~good).sum())
        self.pictures.append(
            Picture(
                len(self.pictures), name, rows[good], np.array(labels, dtype=np.str_)[good],
                np.array(flags, dtype=bool)[good], np.zeros(int(good.sum()), bool), path=path,
            )
        )  # fmt: skip

    def dataset(self, categories: Sequence[str]) -> Dataset:
        """Return what was added."""
        notes = (f"{self.n_flat} boxes without area were left out.",) if self.n_flat else ()
        return Dataset(self.name, tuple(self.pictures), categories=tuple(categories), notes=notes)


def read_wider(root: Path, part: str, *, subset: str | None = None) -> Dataset:
    """Return the ``"train"`` or ``"val"`` part of WIDER FACE.

    Faces marked as invalid are ignored. Of the validation part, ``subset`` takes the official
    choice of faces that count, ``"easy"``, ``"medium"`` or ``"hard"``; the others are ignored.

    References
    ----------
    S. Yang, P. Luo, C. Loy and X. Tang, "WIDER FACE: A Face Detection Benchmark", CVPR 2016.
    """
    listed = root / f"wider_face_split/wider_face_{part}_bbx_gt.txt"
    counted = {} if subset is None else _wider_choice(root, subset)
    found = _Collector("wider-face", root)
    for name, rows in _blocks(listed, n_values=4):
        boxes = [[x, y, x + w, y + h] for x, y, w, h, *_ in rows]
        ignore = [len(row) > 7 and row[7] == 1 for row in rows]
        if subset is not None:
            chosen = counted.get(Path(name).stem, set())
            ignore = [index not in chosen for index in range(len(rows))]
        path = root / f"WIDER_{part}/images" / name
        found.add(path, name, boxes, ["face"] * len(boxes), ignore)
    return found.dataset(["face"])


def _wider_choice(root: Path, subset: str) -> dict[str, set[int]]:
    """Return which faces count, by the name of the picture; from the official evaluation."""
    from scipy.io import loadmat  # of scikit-learn's; slow to import

    path = root / f"eval_tools/ground_truth/wider_{subset}_val.mat"
    try:
        content = loadmat(str(path))
        names, choices = content["file_list"], content["gt_list"]
        return {
            str(name[0][0]): {int(index) - 1 for index in choice[0].ravel()}
            for event_names, event_choices in zip(names, choices, strict=True)
            for name, choice in zip(event_names[0], event_choices[0], strict=True)
        }
    except Exception as error:  # of damaged files, scipy raises what it meets
        raise DataError(
            f"{path}: cannot be read ({error}). Unpack the benchmark's eval_tools there."
        ) from None


def read_fddb(root: Path) -> Dataset:
    """Return the ten folds of FDDB, each face as the box about its ellipse.

    References
    ----------
    V. Jain and E. Learned-Miller, "FDDB: A Benchmark for Face Detection in Unconstrained
    Settings", UMass Amherst, 2010.
    """
    found = _Collector("fddb", root)
    for fold in range(1, 11):
        listed = root / f"FDDB-folds/FDDB-fold-{fold:02}-ellipseList.txt"
        for name, rows in _blocks(listed, n_values=5):
            boxes = [_about_ellipse(*row[:5]) for row in rows]
            path = root / "originalPics" / f"{name}.jpg"
            found.add(path, f"{name}.jpg", boxes, ["face"] * len(boxes))
    return found.dataset(["face"])


def _about_ellipse(major: float, minor: float, angle: float, x: float, y: float) -> list[float]:
    """Return the box about an ellipse of two radii, turned by an angle in radians."""
    width = math.hypot(major * math.cos(angle), minor * math.sin(angle))
    height = math.hypot(major * math.sin(angle), minor * math.cos(angle))
    return [x - width, y - height, x + width, y + height]


def read_gtsrb(root: Path, part: str) -> Dataset:
    """Return the ``"train"`` or ``"test"`` part of GTSRB, labelled by the categories of GTSDB.

    Small pictures of one sign each, with some surroundings; signs of no category are ignored.

    References
    ----------
    J. Stallkamp, M. Schlipsing, J. Salmen and C. Igel, "Man vs. computer: Benchmarking machine
    learning algorithms for traffic sign recognition", Neural Networks 2012.
    """
    lists = {
        "train": sorted((root / "GTSRB/Final_Training/Images").glob("*/GT-*.csv")),
        "test": [root / "GTSRB/Final_Test/Images/GT-final_test.csv"],
    }[part]
    found = _Collector("gtsrb", root)
    for listed in lists:
        for row in _rows(listed, separator=";", n_columns=8):
            name, _, _, *corners, class_id = row
            x1, y1, x2, y2 = (_number(value, listed) for value in corners)
            label = CATEGORY_OF.get(round(_number(class_id, listed)), OTHER)
            box = [x1, y1, x2 + 1, y2 + 1]  # the last pixel is inside
            shown = (listed.parent / name).relative_to(root).as_posix()
            found.add(listed.parent / name, shown, [box], [label], [label == OTHER])
    return found.dataset([*CATEGORIES, OTHER])


def read_inria(root: Path, part: str) -> Dataset:
    """Return the pictures with persons of the ``"Train"`` or ``"Test"`` part of INRIA Person.

    References
    ----------
    N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
    """
    folder = root / "INRIAPerson" / part
    found = _Collector("inria-person", root)
    for listed in sorted((folder / "annotations").glob("*.txt")):
        boxes = [
            [float(x1) - 1, float(y1) - 1, float(x2), float(y2)]  # pixels count from 1
            for _, x1, y1, x2, y2 in _INRIA_BOX.findall(_text(listed))
        ]
        path = next((folder / "pos").glob(f"{listed.stem}.*"), folder / f"pos/{listed.stem}.png")
        found.add(path, path.name, boxes, ["person"] * len(boxes))
    return found.dataset(["person"])


def read_uiuc_windows(folder: Path) -> tuple[Dataset, Dataset]:
    """Return the training windows of UIUC cars: crops of cars, and pictures without any.

    References
    ----------
    S. Agarwal, A. Awan and D. Roth, "Learning to detect objects in images via a sparse,
    part-based representation", PAMI 2004.
    """
    cars = [read_image(path, color="grey") for path in sorted(folder.glob("train_pos_*"))]
    if not cars:
        raise DataError(f"{folder}: holds no train_pos_* pictures. Unpack the benchmark there.")
    others = _Collector("uiuc-cars", folder)
    for path in sorted(folder.glob("train_neg_*")):
        others.add(path, path.name, [], [])
    crops = Dataset("uiuc-cars", crops=Crops(np.stack(cars), label="car_side"))
    return crops, others.dataset(["car_side"])


def _blocks(path: Path, *, n_values: int) -> Iterator[tuple[str, list[list[float]]]]:
    """Yield the name of each picture and its rows of numbers: name, how many, one a line.

    WIDER FACE writes one row of zeros after a 0.
    """
    lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
    position = 0
    while position < len(lines):
        name = lines[position]
        try:
            count = int(lines[position + 1])
            rows = [
                [float(value) for value in line.split()]
                for line in lines[position + 2 : position + 2 + count]
            ]
        except (IndexError, ValueError):
            rows, count = [], -1
        if count < 0 or len(rows) != count or any(len(row) < n_values for row in rows):
            raise DataError(
                f"{path}: does not list {name!r:.80} as a count and as many rows of numbers. "
                "Copy the file again."
            )
        position += 2 + count
        if count == 0 and position < len(lines) and set(lines[position]) <= set("0 "):
            position += 1
        yield name, rows


def _rows(path: Path, *, separator: str, n_columns: int) -> Iterable[list[str]]:
    """Return the rows of a table but for its heading."""
    rows = [line.split(separator) for line in _text(path).splitlines() if line.strip()][1:]
    for number, row in enumerate(rows, start=2):
        if len(row) != n_columns:
            raise DataError(
                f"{path}: line {number} has {len(row)} columns, not {n_columns}. Copy it again."
            )
    return rows


def _number(text: Any, path: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path}: {text!r:.40} is not a number. Copy the file again.")
    return number


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Unpack the benchmark there."
        ) from None
