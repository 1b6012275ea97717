"""Crops of what the detector got wrong, and the hardest windows that each round mined."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.evaluation.agreement import AGREEMENTS
from bootstrap_det.report.folder import Run, Stage
from bootstrap_det.report.pixels import Album, crop_of, sheet_uri
from bootstrap_det.report.viewer import missed_objects
from bootstrap_det.round_detections import TestSet

THRESHOLD = 0.0  # the decision surface
MAX_SHEETS = 8


@dataclass(frozen=True)
class Crops:
    """Crops with what to say of each.

    Attributes
    ----------
    tiles : list of dict
        Source, caption and picture's name of each.
    n_all : int
        How many there are in all.
    n_gone : int
        Of those chosen, how many lie in pictures that could not be read.
    """

    tiles: list[dict[str, str]]
    n_all: int
    n_gone: int


def missed_crops(stage: Stage, test: TestSet, album: Album, n_most: int) -> Crops:
    """Return the largest objects that nothing of score 0 and more hit."""
    missed = [
        (picture, index)
        for picture, objects in enumerate(missed_objects(stage, test.pictures, THRESHOLD))
        for index in objects
    ]
    areas = [-_area(test.pictures[p].boxes[i]) for p, i in missed]
    chosen = [missed[k] for k in np.argsort(areas, kind="stable")[:n_most]]
    wanted = [(p, test.pictures[p].boxes[i], _missed_text(stage, test, p, i)) for p, i in chosen]
    return _cut(wanted, "missed", len(missed), test, album)


def false_crops(stage: Stage, test: TestSet, album: Album, n_most: int) -> Crops:
    """Return the false positives that score highest."""
    matches = stage.matches
    false = np.flatnonzero(~matches.is_hit & ~matches.ignored & (matches.scores >= THRESHOLD))
    wanted = []
    for place in false[:n_most]:
        picture, rank = int(matches.image_index[place]), int(matches.rank_index[place])
        found = stage.found.detections[picture]
        label = f"{found.labels[rank]}, " if len(stage.labels) > 1 else ""
        size = _size_text(found.boxes[rank])
        text = f"{label}score {matches.scores[place]:.2f}, {size}"
        wanted.append((picture, found.boxes[rank], text))
    return _cut(wanted, "false", len(false), test, album)


@dataclass(frozen=True)
class Sheets:
    """The contact sheets of the last rounds.

    Attributes
    ----------
    shown : list of dict
        Name, source, size and list of windows of each.
    n_all, n_bad : int
        How many there are in all; how many of the last ones could not be read.
    """

    shown: list[dict[str, Any]]
    n_all: int
    n_bad: int


def hard_negative_sheets(run: Run, quality: int) -> Sheets:
    """Return the contact sheets of the last rounds with their lists."""
    paths = sorted((run.path / "hard_negatives").glob("*round_*.png"), key=_round_of)
    shown = []
    for path in paths[-MAX_SHEETS:]:
        picture = sheet_uri(path, quality)
        if picture is not None:
            source, width, height = picture
            shown.append({
                "name": path.stem.replace("_", " "), "source": source, "width": width,
                "height": height, "rows": _listed(path.with_suffix(".csv")),
            })  # fmt: skip
    return Sheets(shown, len(paths), len(paths[-MAX_SHEETS:]) - len(shown))


def _round_of(path: Path) -> tuple[int, str]:
    number = path.stem.rpartition("_")[2]
    return (int(number) if number.isdigit() else 0), path.stem


def _listed(path: Path) -> list[list[str]]:
    """Return number, picture and score of each window of a sheet; nothing when there is no list."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return [[row["number"], row["file"], row["score"]] for row in rows]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return []


def _cut(
    wanted: list[tuple[int, NDArray[np.float64], str]],
    kind: str,
    n_all: int,
    test: TestSet,
    album: Album,
) -> Crops:
    """Return the crops, picture after picture loaded once, in the order that was asked for."""
    tiles: dict[int, dict[str, str]] = {}
    for place in sorted(range(len(wanted)), key=lambda each: wanted[each][0]):
        index, box, text = wanted[place]
        image = album.load(index)
        if image is not None:
            name = test.pictures[index].name
            tiles[place] = {"source": crop_of(image, box, kind), "caption": text, "name": name}
    return Crops([tiles[place] for place in sorted(tiles)], n_all, len(wanted) - len(tiles))


def _missed_text(stage: Stage, test: TestSet, index: int, target: int) -> str:
    """Return the object's size, and the best score of anything on it."""
    picture, found = test.pictures[index], stage.found.detections[index]
    same = found.labels == picture.labels[target]
    overlap = AGREEMENTS[test.agreement](found.boxes[same], picture.boxes[target : target + 1])
    on = overlap[:, 0] >= test.iou_threshold
    best = f"best score on it {found.scores[same][on].max():.2f}" if on.any() else "nothing on it"
    label = f"{picture.labels[target]}, " if len(stage.labels) > 1 else ""
    return f"{label}{_size_text(picture.boxes[target])}, {best}"


def _size_text(box: NDArray[np.float64]) -> str:
    return f"{box[2] - box[0]:.0f}x{box[3] - box[1]:.0f} px"


def _area(box: NDArray[np.float64]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
