"""UIUC cars: its data, and the official rule of the data set's own evaluator.

A location is the top left corner (row, column) and the width of a car's window, whose height is
0.4 of its width; the single-scale test has the width 100 throughout. A detection is correct when
it lies in an ellipsoid about the truth with axes of 25% of the true window's height, width and,
in the multi-scale test, width once more for the scale. Of several detections of one car one
counts as correct, the others are false. As in the evaluator, locations are whole pixels and
compared at the windows' centres.

Run: ``python benchmarks/uiuc.py`` recomputes a case worked out by hand.

References
----------
S. Agarwal, A. Awan and D. Roth, "Learning to detect objects in images via a sparse, part-based
representation", PAMI 2004.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import Detector, read_image, write_image

FOLDER = "cars/uiuc"
WIDTH, HEIGHT = 100, 40
ASPECT = 0.4
AXIS_SHARE = 0.25
SCENES = {"single-scale": "test", "multi-scale": "test_multiscale"}
TRUTHS = {"single-scale": "trueLocations.txt", "multi-scale": "trueLocations_Scale.txt"}
# Cars run past the border, so levels are padded by half a car's height, an object that is half
# outside at the top or bottom. Chosen beforehand, not on the test scenes.
PADDING = 20
SMALLEST = 32.0  # height looked for in the multi-scale test, 0.8 of the training windows'


@dataclass(frozen=True)
class Score:
    """Result of one test.

    Attributes
    ----------
    equal_error_recall : float
        Recall where it equals precision, which is where as many detections are accepted as there
        are cars.
    f_measure : float
        Best harmonic mean of recall and precision at any threshold.
    n_cars, n_scenes : int
        Cars to find, and scenes.
    """

    equal_error_recall: float
    f_measure: float
    n_cars: int
    n_scenes: int


def read_locations(path: Path) -> list[NDArray[np.int64]]:
    """Return the (row, column, width) of the cars of each scene, shape (n, 3)."""
    scenes = []
    for line in path.read_text().splitlines():
        groups = re.findall(r"\(([^)]*)\)", line)
        rows = [[int(number) for number in group.split(",")] for group in groups]
        full = [row if len(row) == 3 else [*row, WIDTH] for row in rows]
        if line.strip():
            scenes.append(np.array(full, dtype=np.int64).reshape(-1, 3))
    return scenes


def train(root: Path, options: Sequence[str], out: Path) -> Detector:
    """Train on the 550 car windows, the 500 others and the mirror images of these.

    ``options`` are those of ``bootstrap-det train``; ``out`` is the run's folder.
    """
    images = root / FOLDER / "images"
    crops, negatives = out / "cars.npz", out / "others"
    negatives.mkdir(parents=True)
    cars = [read_image(path, color="grey") for path in sorted(images.glob("train_pos_*"))]
    np.savez(crops, crops=np.stack(cars))
    for path in sorted(images.glob("train_neg_*")):
        pixels = read_image(path, color="grey")
        write_image(negatives / path.name, pixels)
        write_image(negatives / f"{path.stem}_mirrored.png", np.ascontiguousarray(pixels[:, ::-1]))
    command = [sys.executable, "-m", "bootstrap_det", "train", "--crops", str(crops)]
    command += ["--label", "car", "--negatives", str(negatives), "--out", str(out / "run")]
    subprocess.run([*command, *options], check=True, stderr=subprocess.DEVNULL)
    return Detector.load(out / "run" / "model.bdet")


def as_scanned(detector: Detector, test: str) -> Detector:
    """Return the detector with the sizes that a test asks for."""
    if test == "single-scale":
        return detector.replace(min_object_size=HEIGHT, max_object_size=HEIGHT, padding=PADDING)
    return detector.replace(min_object_size=SMALLEST, padding=PADDING)


def evaluate(detector: Detector, root: Path, test: str) -> Score:
    """Return the result of a detector on ``"single-scale"`` or ``"multi-scale"``."""
    truths = read_locations(root / FOLDER / TRUTHS[test])
    scanned = as_scanned(detector, test)
    scores, hits = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for index, truth in enumerate(truths):
        path = root / FOLDER / "images" / f"{SCENES[test]}_{index:03d}.png"
        found = scanned.detect(read_image(path, color="grey"), threshold=scanned.lowest_score)
        locations = to_locations(found.boxes)
        if test == "single-scale":
            locations[:, 2] = WIDTH
        scores.append(found.scores)
        hits.append(match(locations, truth))
    return _score(np.concatenate(scores), np.concatenate(hits), truths)


def to_locations(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (row, column, width) of boxes, xyxy, in whole pixels."""
    return np.rint(np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 2] - boxes[:, 0]], 1)).astype(int)


def match(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which detections of a scene, by falling score, are correct.

    Each takes the first car, in the order of the file, that accepts it and is still free.
    """
    accepted = accepts(found, truth)
    hits = np.zeros(len(found), dtype=bool)
    for index in range(len(found)):
        free = np.flatnonzero(accepted[index])
        if len(free):
            hits[index] = True
            accepted[:, free[0]] = False
    return hits


def accepts(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each detection lies in each car's ellipsoid, shape (n, m)."""
    distance = np.abs(_centres(found)[:, None] - _centres(truth)[None])
    width = truth[:, 2].astype(float)
    axes = AXIS_SHARE * np.stack([ASPECT * width, width, width], axis=1)
    return np.asarray((distance**2 / axes**2).sum(axis=2) <= 1.0)


def _centres(locations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row and column of centres, rounded down as the evaluator does, and the width."""
    row, column, width = locations.T
    centre_row = row + (ASPECT * width / 2).astype(np.int64)
    return np.stack([centre_row, column + width // 2, width], axis=1)


def _score(
    scores: NDArray[np.float64], hits: NDArray[np.bool_], truths: Sequence[NDArray[np.int64]]
) -> Score:
    n_cars = sum(map(len, truths))
    n_hits = np.cumsum(hits[np.argsort(-scores, kind="stable")])
    n_accepted = np.arange(1, len(n_hits) + 1)
    at_equal_error = n_hits[min(n_cars, len(n_hits)) - 1] if len(n_hits) else 0
    # Of recall h / n and precision h / a the harmonic mean is 2 h / (n + a).
    f_measure = (2 * n_hits / (n_cars + n_accepted)).max(initial=0.0)
    return Score(float(at_equal_error / n_cars), float(f_measure), n_cars, len(truths))


def self_check() -> None:
    """Recompute a case worked out by hand.

    About a car at row 60, column 50 of width 100 the axes are 10, 25 and 25 px. A shift of
    (6, 20) px gives 0.36 + 0.64 = 1 and is accepted, one of (6, 21) is not. In the multi-scale
    test a width of 120 about the same centre gives (20 / 25)^2 = 0.64, with 6 rows 1.
    """
    truth = np.array([[60, 50, 100]])
    found = np.array([[66, 70, 100], [66, 71, 100], [60, 50, 100], [56, 40, 120], [62, 40, 120]])
    assert accepts(found, truth)[:, 0].tolist() == [True, False, True, True, True]
    assert not accepts(np.array([[63, 40, 120]]), truth).any()
    assert match(found, truth).tolist() == [True, False, False, False, False]
    near = np.array([[60, 50, 100], [60, 60, 100]])
    assert match(found, near).tolist() == [True, True, False, False, False]
    far = np.array([[60, 50, 100], [160, 50, 100]])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    score = _score(scores, match(found, far), [far, np.empty((0, 3), int)])
    assert score == Score(1 / 2, 2 / 3, 2, 2)


if __name__ == "__main__":
    self_check()
    print("The hand-worked case comes out as it should.")
