"""What the page's slider shows: judged detections of some test pictures, and totals of all.

Matching goes by falling score, so a higher threshold takes detections away and changes none of
the matches that are left. Detections are judged once, here; the page only compares scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data import Picture
from bootstrap_det.evaluation import Matches
from bootstrap_det.report.folder import Run, Stage
from bootstrap_det.report.pixels import Album, thumbnail
from bootstrap_det.round_detections import TestSet, spread

MAX_STAGES = 12
N_STEPS = 160  # of the slider, at most about
HIT, FALSE, IGNORED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Viewer:
    """The interactive part of a page.

    Attributes
    ----------
    data : dict
        What the script reads, JSON-ready.
    thumbnails : list of dict
        Name, source, width and height of each picture shown.
    chosen : str
        How the pictures were chosen, and which are left out.
    """

    data: dict[str, Any]
    thumbnails: list[dict[str, Any]]
    chosen: str


def make_viewer(run: Run, test: TestSet, album: Album, *, side: int, n_shown: int) -> Viewer:
    """Return what the slider shows.

    Parameters
    ----------
    run : Run
        With at least one stage.
    test : TestSet
        Of the run.
    album : Album
        Its pictures.
    side : int
        Longer side of a thumbnail, pixels.
    n_shown : int
        Most pictures; they are evenly spaced in the test set's order.
    """
    stages = _shown_stages(run.stages)
    wanted = spread(len(test.pictures), n_shown)
    loaded = [(index, album.load(index)) for index in wanted]
    thumbnails, indices = [], []
    for index, image in loaded:
        if image is None:
            continue
        height, width = image.shape[:2]
        thumbnails.append({
            "name": test.pictures[index].name, "source": thumbnail(image, side),
            "width": width, "height": height,
        })  # fmt: skip
        indices.append(index)
    grid = threshold_grid(stages)
    labels = sorted({label for stage in stages for label in stage.labels})
    data = {
        "thresholds": grid,
        "start": int(np.argmin(np.abs(np.array(grid)))),
        "labels": labels,
        "n_pictures": len(test.pictures),
        "stages": [_stage_entry(stage, labels, grid) for stage in stages],
        "pictures": [
            _picture_entry(index, entry, test.pictures[index], stages, labels, grid[0])
            for index, entry in zip(indices, thumbnails, strict=True)
        ],
    }
    said = _chosen(len(indices), len(wanted), len(test.pictures), len(stages), len(run.stages))
    return Viewer(data, thumbnails, said)


def threshold_grid(stages: Sequence[Stage]) -> list[float]:
    """Return round thresholds, 0 among them, from the lowest score of any stage to the highest."""
    scores = np.concatenate([np.zeros(1), *(stage.matches.scores for stage in stages)])
    low, high = float(scores.min()), float(scores.max())
    rough = max(high - low, 1e-3) / N_STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    digits = max(0, -math.floor(math.log10(step)) + 1)
    return [round(number * step, digits) + 0.0 for number in range(first, last + 1)]


def totals_at(matches: Matches, threshold: float) -> tuple[int, int]:
    """Return hits and false positives among detections that score at least a threshold."""
    accepted = matches.scores >= threshold
    n_hits = int(np.count_nonzero(accepted & matches.is_hit))
    n_false = int(np.count_nonzero(accepted & ~matches.is_hit & ~matches.ignored))
    return n_hits, n_false


def judged_rows(
    stage: Stage, picture: Picture, index: int, labels: Sequence[str]
) -> list[list[Any]]:
    """Return a picture's detections by falling score: score, box, verdict, object, label.

    Verdicts are 0 for a hit, 1 for a false positive, 2 for what counts neither way; the object is
    the index of the one that was hit, or -1.
    """
    found = stage.found.detections[index]
    rows = []
    for label, evaluation in stage.evaluations.by_label.items():
        matches = evaluation.matches
        for place in np.flatnonzero(matches.image_index == index):
            rank = int(matches.rank_index[place])
            box = [round(float(v), 1) for v in found.boxes[rank]]
            verdict = HIT if matches.is_hit[place] else FALSE
            verdict = IGNORED if matches.ignored[place] else verdict
            at = int(matches.object_index[place])
            target = int(_judged_against(picture, label)[at]) if verdict == HIT else -1
            score = float(matches.scores[place])
            rows.append([score, *box, verdict, target, labels.index(label)])
    return sorted(rows, key=lambda row: -row[0])


def missed_objects(stage: Stage, pictures: Sequence[Picture], threshold: float) -> list[list[int]]:
    """Return, for each picture, the objects that no detection of at least a threshold hit."""
    found: list[set[int]] = [set() for _ in pictures]
    for label, evaluation in stage.evaluations.by_label.items():
        matches = evaluation.matches
        for place in np.flatnonzero(matches.is_hit & (matches.scores >= threshold)):
            index = int(matches.image_index[place])
            against = _judged_against(pictures[index], label)
            found[index].add(int(against[matches.object_index[place]]))
    return [
        [int(i) for i in np.flatnonzero(counted_objects(picture, stage.labels)) if i not in hit]
        for picture, hit in zip(pictures, found, strict=True)
    ]


def counted_objects(picture: Picture, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which boxes of a picture are objects to be found of one of the labels."""
    return np.asarray(picture.targets & np.isin(picture.labels, list(labels)))


def _judged_against(picture: Picture, label: str) -> NDArray[np.intp]:
    """Return the indices of the boxes that the evaluation of one label takes, in its order."""
    return np.flatnonzero((picture.labels == label) | ~picture.targets)


def _shown_stages(stages: Sequence[Stage]) -> list[Stage]:
    return list(stages) if len(stages) <= MAX_STAGES else list(stages[-MAX_STAGES:])


def _stage_entry(stage: Stage, labels: list[str], grid: list[float]) -> dict[str, Any]:
    totals = [totals_at(stage.matches, threshold) for threshold in grid]
    return {
        "name": stage.name,
        "labels": [labels.index(label) for label in stage.labels],
        "n_objects": stage.matches.n_objects,
        "hits": [hits for hits, _ in totals],
        "false": [false for _, false in totals],
    }


def _picture_entry(
    index: int,
    entry: dict[str, Any],
    picture: Picture,
    stages: Sequence[Stage],
    labels: list[str],
    lowest: float,
) -> dict[str, Any]:
    objects = [
        [*(round(float(v), 1) for v in box), _position(str(label), labels), int(target)]
        for box, label, target in zip(picture.boxes, picture.labels, picture.targets, strict=True)
    ]
    return {
        "name": picture.name,
        "width": entry["width"],
        "height": entry["height"],
        "objects": objects,
        "stages": [
            _at_least(judged_rows(stage, picture, index, labels), lowest) for stage in stages
        ],
    }


def _position(label: str, labels: list[str]) -> int:
    """Return which label it is, or -1 for one that nothing looks for."""
    return labels.index(label) if label in labels else -1


def _at_least(rows: list[list[Any]], threshold: float) -> list[list[Any]]:
    return [row for row in rows if row[0] >= threshold]


def _chosen(n_shown: int, n_wanted: int, n_all: int, n_stages: int, n_every: int) -> str:
    if n_wanted == n_all:
        said = f"All {n_all} test pictures are shown."
    else:
        said = (
            f"{n_wanted} of the {n_all} test pictures are shown: evenly spaced in the order of the "
            "test set, whatever was found in them."
        )
    if n_shown < n_wanted:
        said += f" {n_wanted - n_shown} of them could not be read and are left out."
    if n_stages < n_every:
        said += f" Of {n_every} detectors of the run, the last {n_stages} can be chosen."
    return said
