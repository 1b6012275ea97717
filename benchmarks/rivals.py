"""The rival detectors: run in an environment of their own, read back, brought to our boxes.

The environment is made by ``benchmarks/peers/setup.sh``. Every rival's boxes are brought to the
convention of a test set by one constant map, fitted by :func:`fit_map`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data as skimage_data

from bootstrap_det import Dataset, Detections
from bootstrap_det import boxes as box_ops
from bootstrap_det.boxes import SAME_BOX
from bootstrap_det.evaluation import Evaluation, evaluate
from bootstrap_det.evaluation.labels import ground_truth

FOLDER = Path(__file__).parent / "peers"
PEERS = ("haar-alt2", "haar-default", "lbp", "dlib-frontal", "dlib-trained", "yunet")
FIRST_OVERLAP = 0.3  # boxes of another convention overlap little before they are mapped
FINAL_OVERLAP = 0.5
N_FITS = 4
CLIMBING_STEPS = (0.04, 0.02, 0.01)


@dataclass(frozen=True)
class Rival:
    """One rival detector and the settings that it runs with.

    Attributes
    ----------
    name : str
        To show.
    peer : str
        Its name in ``peers/detect.py``.
    arguments : tuple of str
        Further arguments of ``peers/detect.py``.
    """

    name: str
    peer: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """What a rival gave for a list of pictures.

    Attributes
    ----------
    found : dict of int to Detections
        By image id, also of pictures where nothing was found; empty of a run that only timed.
    milliseconds : dict of int to float
        By image id.
    skipped : str or None
        Why it did not run.
    versions : dict
        Of what it is made of.
    """

    found: dict[int, Detections] = field(default_factory=dict)
    milliseconds: dict[int, float] = field(default_factory=dict)
    skipped: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def median_ms(self) -> float:
        """Milliseconds of a picture."""
        return statistics.median(self.milliseconds.values())

    def joined(self, other: Run) -> Run:
        """Return this run with the pictures of another one added."""
        return replace(
            other,
            found={**self.found, **other.found},
            milliseconds={**self.milliseconds, **other.milliseconds},
        )

    def of(self, image_ids: Iterable[int]) -> Run:
        """Return the part of the run that is of these pictures; all of one that was skipped."""
        if self.skipped:
            return self
        wanted = list(image_ids)
        return replace(
            self,
            found={image_id: self.found[image_id] for image_id in wanted},
            milliseconds={image_id: self.milliseconds[image_id] for image_id in wanted},
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the rivals to a program's own."""
    group = parser.add_argument_group("rivals")
    group.add_argument(
        "--peer-python",
        type=Path,
        default=FOLDER / ".venv/bin/python",
        help="Interpreter of the rivals' environment.",
    )
    group.add_argument("--yunet", type=Path, help="YuNet's network (ONNX); without it, skipped.")
    group.add_argument("--dlib-model", type=Path, help="A detector that dlib's trainer made.")
    group.add_argument(
        "--peers", nargs="*", choices=PEERS, default=PEERS, help="Which rivals; none: only ours."
    )


def all_rivals(options: argparse.Namespace, folder: Path) -> list[Rival]:
    """Return the rivals that the options allow; files they need are written into ``folder``."""
    known = [
        Rival("OpenCV Haar frontalface_alt2", "haar-alt2"),
        Rival("OpenCV Haar frontalface_default", "haar-default"),
        Rival("OpenCV LBP frontalface", "lbp", ("--model", str(lbp_cascade(folder)))),
        Rival("dlib frontal HOG", "dlib-frontal"),
        Rival("YuNet (deep)", "yunet", _model(options.yunet)),
    ]
    if options.dlib_model:
        known.append(Rival("dlib, trained on our data", "dlib-trained", _model(options.dlib_model)))
    return [rival for rival in known if rival.peer in options.peers]


def lbp_cascade(folder: Path) -> Path:
    """Write OpenCV's LBP cascade, which scikit-image ships with one tag misspelt, and return it."""
    text = Path(skimage_data.lbp_frontal_face_cascade_filename()).read_text(encoding="utf-8")
    path = folder / "lbpcascade_frontalface.xml"
    path.write_text(text.replace("featuhreParams", "featureParams"), encoding="utf-8")
    return path


def run(
    rival: Rival,
    files: dict[int, Path],
    python: Path,
    *,
    smallest: float | None = None,
    repeat: int | None = None,
) -> Run:
    """Return what a rival finds in pictures, or how long it takes.

    Parameters
    ----------
    rival : Rival
        Whom to run.
    files : dict of int to Path
        Pictures by their ids.
    python : Path
        Interpreter of the rivals' environment.
    smallest : float or None, default=None
        Side of the smallest object in pixels; by default the rival's own limit.
    repeat : int or None, default=None
        Only measure the time, as the median of this many runs.
    """
    if not python.exists():
        return Run(skipped="the rivals' environment is missing; make it with peers/setup.sh")
    with TemporaryDirectory() as folder:
        listed, out = Path(folder) / "pictures.json", Path(folder) / "results.json"
        entries = [{"image_id": i, "file": str(path)} for i, path in files.items()]
        listed.write_text(json.dumps(entries))
        command = [str(python), str(FOLDER / "detect.py"), rival.peer, *rival.arguments]
        command += ["--pictures", str(listed), "--out", str(out)]
        command += ["--min-object-size", str(smallest)] if smallest else []
        command += ["--time-only", "--repeat", str(repeat)] if repeat else []
        subprocess.run(command, check=True, env=one_thread())
        return _read(json.loads(out.read_text()), list(files))


def versions(python: Path) -> dict[str, str]:
    """Return what the rivals' environment holds; nothing where there is none."""
    if not python.exists():
        return {}
    program = f"import json, sys; sys.path.insert(0, {str(FOLDER)!r}); import detect; "
    program += "print(json.dumps(detect.versions()))"
    done = subprocess.run([str(python), "-c", program], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def one_thread() -> dict[str, str]:
    """Return the environment variables of a child that must use one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def fit_map(found: dict[int, Detections], dataset: Dataset) -> tuple[float, ...]:
    """Return the constant map from a rival's boxes to the annotations, see `boxes.relative`.

    It starts at the median over all pairs of an object and the detection that overlaps it most,
    and climbs from there to the greatest average precision. On mit-cmu it is fitted on the test
    pictures themselves: four numbers that only favour the rival, since our own map is fixed
    beforehand.
    """
    best = _median_map(found, dataset)
    best_ap = measure(found, dataset, best).ap
    for step in CLIMBING_STEPS:
        climbing = True
        while climbing:
            climbing = False
            for index, sign in product(range(4), (step, -step)):
                tried = tuple(v + sign * (i == index) for i, v in enumerate(best))
                ap = measure(found, dataset, tried).ap
                if ap > best_ap:
                    best, best_ap, climbing = tried, ap, True
    return tuple(round(value, 4) for value in best)


def measure(
    found: dict[int, Detections], dataset: Dataset, detection_map: tuple[float, ...]
) -> Evaluation:
    """Return how good a rival's detections are, brought to the annotations' convention."""
    truths = [ground_truth(picture, "face") for picture in dataset.pictures]
    mapped = [found[picture.image_id].mapped(detection_map) for picture in dataset.pictures]
    return evaluate(truths, mapped, label="face")


def _median_map(found: dict[int, Detections], dataset: Dataset) -> tuple[float, ...]:
    part = np.array(SAME_BOX)
    for index in range(N_FITS):
        least = FIRST_OVERLAP if index == 0 else FINAL_OVERLAP
        pairs = [
            _relative_parts(picture.boxes[picture.targets], found[picture.image_id], part, least)
            for picture in dataset.pictures
        ]
        parts = np.concatenate(pairs)
        if len(parts) == 0:
            return SAME_BOX
        part = np.median(parts, axis=0)
    return tuple(part.tolist())


def _relative_parts(
    objects: NDArray[np.float64], found: Detections, part: NDArray[np.float64], least: float
) -> NDArray[np.float64]:
    """Return where in its best detection each object lies, shape (n, 4), of those that have one."""
    overlap = box_ops.overlap(objects, found.mapped(tuple(part)).boxes)
    if overlap.size == 0:
        return np.zeros((0, 4))
    paired = overlap.max(axis=1) >= least
    boxes = found.boxes[overlap.argmax(axis=1)[paired]]
    corners, sides = np.tile(boxes[:, :2], 2), np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return np.asarray((objects[paired] - corners) / sides)


def _model(path: Path | None) -> tuple[str, ...]:
    return ("--model", str(path)) if path else ()


def _read(report: dict[str, Any], image_ids: list[int]) -> Run:
    rows: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in image_ids}
    for entry in report.get("results", []):
        rows[entry["image_id"]].append(entry)
    return Run(
        found={image_id: _detections(entries, image_id) for image_id, entries in rows.items()},
        milliseconds={int(key): value for key, value in report.get("milliseconds", {}).items()},
        skipped=report["skipped"],
        versions=report["versions"],
    )


def _detections(entries: list[dict[str, Any]], image_id: int) -> Detections:
    boxes = np.array([entry["bbox"] for entry in entries], dtype=float).reshape(-1, 4)
    scores = np.array([entry["score"] for entry in entries], dtype=float)
    labels = np.full(len(entries), "face")
    return Detections(box_ops.xywh_to_xyxy(boxes), scores, labels, image_id)
