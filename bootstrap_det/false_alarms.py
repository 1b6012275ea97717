"""False alarms of any detector, as material for its next training.

What users of deep detectors ask their tools for: where the detector fires on nothing, as crops,
as pictures without objects for the next training, as a sheet to look at, and as a list. Objects
that nobody annotated are at the top of it; :func:`ignore_suspects` moves them to the ignored ones.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._files import write_bytes
from bootstrap_det._validation import check_float, check_int
from bootstrap_det.data import Dataset, Picture, write_coco
from bootstrap_det.data.collect import read_text
from bootstrap_det.detections import Detections
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image
from bootstrap_det.mining.harvest import Forbidden
from bootstrap_det.plots import contact_sheet, cut_out

MAX_LIST_BYTES = 1 << 26
"""Most bytes of a list of suspects."""

COLUMNS = ("number", "image_id", "file", "x1", "y1", "x2", "y2", "score", "label")
SAME_ALARM = 0.5  # intersection over union of two detections of one false alarm
SAME_BOX = 0.999  # of a suspect that was moved before
MIN_BACKGROUND = 64  # pixels; the shorter side of a picture of background
N_SHOWN = 120


@dataclass(frozen=True, eq=False)
class FalseAlarms:
    """Detections on nothing, the highest scores first.

    Attributes
    ----------
    pictures : tuple of Picture
        The picture of each.
    boxes : ndarray of shape (n, 4), float64
        xyxy, picture pixels.
    scores : ndarray of shape (n,), float64
        As the detector gave them.
    labels : ndarray of shape (n,), str
        What each was taken for.
    n_over_limit : int
        False alarms left out by the limits.
    """

    pictures: tuple[Picture, ...]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.str_]
    n_over_limit: int = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.pictures)


def false_alarms(
    dataset: Dataset,
    predictions: Sequence[Detections],
    *,
    threshold: float | None = None,
    max_per_image: int = 20,
    max_total: int = 1000,
) -> FalseAlarms:
    """Return the detections that lie on no annotated object.

    A detection is one when it overlaps no object, of whatever label, by more than 0.3 (IoU), and
    lies by no more than 0.3 of its area in an ignored object or a crowd. Of several on the same
    spot, the best is kept.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures; those without boxes are all background.
    predictions : sequence of Detections
        One entry a picture, in the same order.
    threshold : float or None, default=None
        Least score; by default all are taken.
    max_per_image, max_total : int, default=20, 1000
        Most false alarms of a picture, and in all; those of the highest scores are taken.

    Raises
    ------
    ParameterError
        When a limit is out of range.
    """
    least = -np.inf if threshold is None else check_float(threshold, "threshold", "false_alarms")
    check_int(max_per_image, "max_per_image", "false_alarms", low=1)
    check_int(max_total, "max_total", "false_alarms", low=1)
    parts, pictures, n_left_out = [], [], 0
    for picture, found in zip(dataset.pictures, predictions, strict=True):
        alarms = _of_picture(picture, found[found.scores >= least])
        n_left_out += max(len(alarms) - max_per_image, 0)
        parts.append(alarms[:max_per_image])
        pictures += [picture] * len(parts[-1])
    scores = np.concatenate([np.zeros(0), *(part.scores for part in parts)])
    order = np.argsort(-scores, kind="stable")[:max_total]
    return FalseAlarms(
        tuple(pictures[index] for index in order),
        np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)])[order],
        scores[order],
        np.concatenate([np.zeros(0, np.str_), *(part.labels for part in parts)])[order],
        n_left_out + len(scores) - len(order),
    )


def write_false_alarms(alarms: FalseAlarms, folder: str | os.PathLike[str]) -> None:
    """Write false alarms for people and for the next training.

    ::

        false_alarms.csv             number, picture, box, score, label; the highest scores first
        contact_sheet.png            the first 120 of them
        crops/00001.png              what the detector saw, one a false alarm
        background/images/00001.png  each with its surroundings, where these hold no object
        background/annotations.json  the same as a COCO data set without objects
        background/labels/00001.txt  and as one for YOLO: empty files

    Raises
    ------
    DataError
        When the folder exists and is not empty, or a picture cannot be read.
    """
    out = Path(folder)
    _make_folders(out)
    write_bytes(out / "false_alarms.csv", _table(alarms).encode())
    shown: dict[int, NDArray[Any]] = {}
    backgrounds: dict[int, Picture] = {}
    for number, image in _with_pixels(alarms):
        crop = cut_out(image, alarms.boxes[number])
        if number < N_SHOWN:
            shown[number] = crop
        name = f"{number + 1:05}"
        write_image(out / f"crops/{name}.png", crop)
        background = _surroundings(alarms.pictures[number], alarms.boxes[number], image)
        path = out / f"background/images/{name}.png"
        write_image(path, background)
        write_bytes(out / f"background/labels/{name}.txt", b"")
        backgrounds[number] = Picture(number, path.name, path=path, size=background.shape[:2])
    labels = tuple(sorted(set(alarms.labels.tolist())))
    data = Dataset("background", tuple(backgrounds[n] for n in sorted(backgrounds)), None, labels)
    write_coco(data, out / "background/annotations.json")
    if shown:
        captions = [f"{number + 1}: {alarms.scores[number]:.2f}" for number in sorted(shown)]
        sheet = contact_sheet([shown[number] for number in sorted(shown)], captions)
        write_image(out / "contact_sheet.png", sheet)


def read_suspects(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a list that `write_false_alarms` or a training run wrote.

    Raises
    ------
    DataError
        When the file is not such a list.
    """
    text = read_text(Path(path), MAX_LIST_BYTES, "a list of suspects")
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read ({error}). Give a list of suspects.") from None
    suspects = []
    for index, row in enumerate(rows, start=2):
        try:
            box = [float(row[name]) for name in ("x1", "y1", "x2", "y2")]
            suspect = {"number": int(row["number"]), "file": row["file"], "box": box}
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{path}: line {index} lacks one of {', '.join(COLUMNS[:7])}, or garbles it. Give "
                "the list as it was written."
            ) from None
        if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
            raise DataError(f"{path}: line {index} has a box without area. Give another list.")
        suspects.append(suspect)
    return suspects


def ignore_suspects(
    dataset: Dataset, suspects: Sequence[dict[str, Any]], numbers: Sequence[int], *, label: str
) -> Dataset:
    """Return the data set with suspects added as ignored boxes: objects that nobody annotated.

    Parameters
    ----------
    dataset : Dataset
        Whose pictures the list names.
    suspects : list of dict
        From :func:`read_suspects`.
    numbers : sequence of int
        Which of them.
    label : str
        What they are.

    Raises
    ------
    DataError
        When a number is not in the list, or a picture is not in the data set.
    """
    chosen = {suspect["number"]: suspect for suspect in suspects}
    unknown = sorted(set(numbers) - set(chosen))
    if unknown:
        raise DataError(
            f"There is no suspect number {unknown[0]} in the list of {len(chosen)}. Give numbers "
            "from its first column."
        )
    added: dict[str, list[list[float]]] = {}
    for number in dict.fromkeys(numbers):
        added.setdefault(chosen[number]["file"], []).append(chosen[number]["box"])
    missing = sorted(set(added) - {picture.name for picture in dataset.pictures})
    if missing:
        raise DataError(
            f"The data set {dataset.name!r} has no picture {missing[0]!r}, which the list names. "
            "Give the annotations that the list was made with."
        )
    pictures = tuple(
        _with_ignored(picture, np.array(added[picture.name]), label)
        if picture.name in added
        else picture
        for picture in dataset.pictures
    )
    return replace(dataset, pictures=pictures)


def table_of(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows of :data:`COLUMNS` as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return stream.getvalue()


def _of_picture(picture: Picture, found: Detections) -> Detections:
    targets = picture.targets
    forbidden = Forbidden(picture.boxes[targets], picture.boxes[~targets])
    on_nothing = found[forbidden.allows(found.boxes)]
    return on_nothing[box_ops.nms(on_nothing.boxes, on_nothing.scores, threshold=SAME_ALARM)]


def _with_pixels(alarms: FalseAlarms) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield each alarm's number and its picture, each picture read once."""
    order = sorted(range(len(alarms)), key=lambda index: alarms.pictures[index].image_id)
    image_id: int | None = None
    for number in order:
        picture = alarms.pictures[number]
        if picture.image_id != image_id:
            image_id, image = picture.image_id, picture.load("rgb")
        yield number, image


def _surroundings(
    picture: Picture, box: NDArray[np.float64], image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return a part of a picture about a box without any object in it; at worst the box."""
    height, width = image.shape[:2]
    middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    for factor in (4.0, 3.0, 2.0, 1.5):
        half = np.maximum(factor * sides, MIN_BACKGROUND) / 2
        corners = np.rint(np.concatenate([middle - half, middle + half]))
        part = np.clip(corners, 0, [width, height, width, height])
        empty = (part[:2] >= part[2:]).any()
        if not empty and not (box_ops.overlap(picture.boxes, part[None], kind="min") > 0).any():
            x1, y1, x2, y2 = part.astype(int)
            return np.ascontiguousarray(image[y1:y2, x1:x2])
    return cut_out(image, box)


def _table(alarms: FalseAlarms) -> str:
    return table_of([
        (index + 1, picture.image_id, picture.name, *(f"{v:.2f}" for v in box), f"{score:.6g}",
         label)
        for index, (picture, box, score, label) in enumerate(
            zip(alarms.pictures, alarms.boxes, alarms.scores, alarms.labels, strict=True)
        )
    ])  # fmt: skip


def _make_folders(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: exists already. Give another --out.")
    try:
        for name in ("crops", "background/images", "background/labels"):
            (out / name).mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made ({error.strerror}). Give another --out.") from None


def _with_ignored(picture: Picture, boxes: NDArray[np.float64], label: str) -> Picture:
    """Return the picture with ignored boxes added, but those that it has."""
    known = box_ops.overlap(boxes, picture.boxes).max(axis=1, initial=0.0) > SAME_BOX
    new = boxes[~known]
    flags = np.ones(len(new), dtype=bool)
    return replace(
        picture,
        boxes=np.concatenate([picture.boxes, new]),
        labels=np.concatenate([picture.labels, np.full(len(new), label)]).astype(np.str_),
        ignore=np.concatenate([picture.ignore, flags]),
        crowd=np.concatenate([picture.crowd, ~flags]),
    )
