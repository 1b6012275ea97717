"""What a run keeps of its test: the annotated pictures, and what each round's detector found.

Detections are kept as they were measured, in full precision and in the convention of the
annotations, so whoever judges them again comes to the numbers of the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det._files import write_bytes
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation import ScanEvaluation
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image

FORMAT = 1
MAX_PER_PICTURE = 300  # detections kept of a picture, the best
MAX_ROWS = 200_000  # detections kept in all: of many pictures, fewer of each, but 20 at least
MAX_PICTURES_KEPT = 60  # pictures kept that are no files, so that they can be shown later
TEST_SET = "test_set.json"
FOLDER = "rounds_detections"
PICTURES = "test_pictures"
FINAL = "final.json"

_LEAST = 20  # detections kept of a picture, however many pictures there are
_COLUMNS = ("image_id", "label", "score", "x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class TestSet:
    """The annotated pictures that a run was measured on.

    Attributes
    ----------
    name : str
        Of the data set.
    pictures : tuple of Picture
        Labelled as they were measured; ``path`` is where each was, whether it is there or not.
    categories : tuple of str
        The data set's own labels: what category ids of COCO results count, from 1.
    groups : dict of str to str
        The group of each of these, where they are classes inside groups.
    iou_threshold : float
        Least agreement of a hit.
    agreement : str
        What is compared with it.
    """

    __test__ = False  # it is no test, whatever its name says to pytest

    name: str
    pictures: tuple[Picture, ...]
    categories: tuple[str, ...]
    groups: dict[str, str]
    iou_threshold: float
    agreement: str


@dataclass(frozen=True)
class RoundDetections:
    """What one detector of a run found in the test pictures.

    Attributes
    ----------
    round : int or None
        None for the final detector, where it was measured apart.
    view : int
        Which of several templates the round trained.
    labels : tuple of str
        What the detector looks for.
    detections : tuple of Detections
        One entry a picture of the test set.
    max_per_picture : int
        Most detections kept of a picture.
    n_left_out : int
        Those beyond it, the weakest.
    """

    round: int | None
    view: int
    labels: tuple[str, ...]
    detections: tuple[Detections, ...]
    max_per_picture: int
    n_left_out: int


def spread(n: int, n_wanted: int) -> list[int]:
    """Return ``n_wanted`` of n positions, evenly spaced from first to last; all when fewer."""
    if n <= n_wanted:
        return list(range(n))
    return [index * (n - 1) // max(n_wanted - 1, 1) for index in range(n_wanted)]


def write_test_set(
    scan: ScanEvaluation, test: Dataset, file: Callable[..., Path], *, n_kept: int | None = None
) -> None:
    """Write the annotations of the pictures measured, and those pictures that are no files.

    Parameters
    ----------
    scan : ScanEvaluation
        What was measured.
    test : Dataset
        The data set as it was read, for its categories.
    file : callable
        Returns the path of a file of the run folder, its folder made.
    n_kept : int or None, default=None
        Most pictures to keep that are no files, evenly spaced; by default 60.

    Raises
    ------
    DataError
        When a file cannot be written.
    """
    rules = next(iter(scan.evaluations.by_label.values()))
    pathless = [picture for picture in scan.pictures if picture.path is None]
    limit = MAX_PICTURES_KEPT if n_kept is None else n_kept
    kept = [pathless[index] for index in spread(len(pathless), limit)]
    for picture in kept:
        write_image(file(PICTURES, f"{picture.image_id}.jpg"), picture.load("rgb"))
    document = {
        "format": FORMAT,
        "name": test.name,
        "categories": list(test.categories),
        "groups": dict(test.groups),
        "iou_threshold": rules.iou_threshold,
        "agreement": rules.agreement,
        "pictures": [_picture_entry(picture) for picture in scan.pictures],
    }
    write_bytes(file(TEST_SET), json.dumps(document).encode() + b"\n")


def write_detections(
    path: Path, scan: ScanEvaluation, *, round_index: int | None, view: int = 0
) -> None:
    """Write what one detector found: the best 300 detections of a picture, or 200,000 in all.

    Raises
    ------
    DataError
        When the file cannot be written.
    """
    labels = tuple(scan.evaluations.by_label)
    limit = max(min(MAX_PER_PICTURE, MAX_ROWS // max(len(scan.detections), 1)), _LEAST)
    document = {
        "format": FORMAT,
        "round": round_index,
        "view": view,
        "labels": list(labels),
        "max_per_picture": limit,
        "n_left_out": sum(max(len(each) - limit, 0) for each in scan.detections),
        "columns": list(_COLUMNS),
        "rows": [row for each in scan.detections for row in _rows(each, labels, limit)],
    }
    write_bytes(path, json.dumps(document).encode() + b"\n")


def read_test_set(folder: Path) -> TestSet | None:
    """Return the test set of a run folder; None when the run had none.

    Raises
    ------
    DataError
        When the file is damaged.
    """
    path = folder / TEST_SET
    if not path.is_file():
        return None
    document = _document(path)
    try:
        return TestSet(
            str(document["name"]),
            tuple(_picture(entry, folder) for entry in document["pictures"]),
            tuple(map(str, document["categories"])),
            dict(document["groups"]),
            float(document["iou_threshold"]),
            str(document["agreement"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from None


def read_detections(path: Path, pictures: Sequence[Picture]) -> RoundDetections:
    """Return what one detector found in these pictures.

    Raises
    ------
    DataError
        When the file is damaged, or is of other pictures.
    """
    document = _document(path)
    try:
        labels = tuple(map(str, document["labels"]))
        rows: dict[int, list[list[float]]] = {picture.image_id: [] for picture in pictures}
        for row in document["rows"]:
            rows[row[0]].append(row[1:])
        number = document["round"]
        return RoundDetections(
            None if number is None else int(number),
            int(document["view"]),
            labels,
            tuple(_detections(each, image_id, labels) for image_id, each in rows.items()),
            int(document["max_per_picture"]),
            int(document["n_left_out"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _damaged(path, error) from None


def _picture_entry(picture: Picture) -> dict[str, Any]:
    return {
        "image_id": picture.image_id,
        "name": picture.name,
        "path": None if picture.path is None else str(picture.path.resolve()),
        "size": picture.size,
        "boxes": picture.boxes.tolist(),
        "labels": picture.labels.tolist(),
        "ignore": picture.ignore.tolist(),
        "crowd": picture.crowd.tolist(),
    }


def _picture(entry: dict[str, Any], folder: Path) -> Picture:
    own = folder / PICTURES / f"{int(entry['image_id'])}.jpg"
    size = entry["size"]
    return Picture(
        int(entry["image_id"]),
        str(entry["name"]),
        np.array(entry["boxes"], dtype=np.float64).reshape(-1, 4),
        np.array(entry["labels"], dtype=np.str_),
        np.array(entry["ignore"], dtype=np.bool_),
        np.array(entry["crowd"], dtype=np.bool_),
        path=own if entry["path"] is None else Path(entry["path"]),
        size=None if size is None else (int(size[0]), int(size[1])),
    )


def _rows(found: Detections, labels: tuple[str, ...], limit: int) -> list[list[Any]]:
    best = found[:limit]  # detections are sorted by falling score
    return [
        [found.image_id, labels.index(str(label)), float(score), *box.tolist()]
        for box, score, label in zip(best.boxes, best.scores, best.labels, strict=True)
    ]


def _detections(rows: list[list[float]], image_id: int, labels: tuple[str, ...]) -> Detections:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    if not np.isfinite(table).all():
        raise ValueError("a number is not finite")
    names = np.array([labels[int(index)] for index in table[:, 0]], dtype=np.str_)
    return Detections(table[:, 2:], table[:, 1], names, image_id)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        given = document.get("format") if isinstance(document, dict) else None
        raise DataError(
            f"{path}: is of format {given!r}, not {FORMAT}. Train again, or read it with the "
            "version that wrote it."
        )
    return document


def _damaged(path: Path, error: Exception) -> DataError:
    why = str(error) or type(error).__name__
    return DataError(f"{path}: cannot be read ({why}). Train the run again with --overwrite.")
