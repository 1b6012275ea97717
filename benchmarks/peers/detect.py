"""Run one rival detector over pictures; a program of the rivals' own environment.

Run: ``.venv/bin/python detect.py PEER --pictures LIST.json --out RESULTS.json``, where the list
holds ``{"image_id", "file"}`` and the results are COCO results with the milliseconds of each
picture. One thread. ``--time-only`` measures the median of ``--repeat`` runs instead.

Boxes are the detector's own. The score of a cascade is the number of raw detections joined into
one, which ranks better than its own weights; that of dlib its margin, listed from -1.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from PIL import Image, ImageOps

Found = tuple[np.ndarray, np.ndarray]  # boxes (n, 4), x y width height, and scores (n,)
Detect = Callable[[np.ndarray], Found]

CASCADES = {
    "haar-alt2": "haarcascade_frontalface_alt2.xml",
    "haar-default": "haarcascade_frontalface_default.xml",
    "lbp": "lbpcascade_frontalface.xml",
}
PEERS = (*CASCADES, "dlib-frontal", "dlib-trained", "yunet")
NEED_MODEL = {
    "lbp": "OpenCV's wheels do not contain the LBP cascade",
    "dlib-trained": "a detector has to be trained first",
    "yunet": "OpenCV's wheels do not contain the network",
}
SCALE_FACTOR = 1.1  # OpenCV's default, from one level of a cascade to the next
JOIN_EPS = 0.2  # OpenCV's own, in joining raw detections
DLIB_WINDOW = 80  # pixels of the side of dlib's window
YUNET_SMALLEST = 10  # pixels of the smallest face that YuNet finds
LOWEST_SCORE = {"accuracy": {"dlib": -1.0, "yunet": 0.02}, "time": {"dlib": 0.0, "yunet": 0.6}}


def main() -> None:
    """Write the results, or the reason why there are none."""
    options = parse()
    reason = why_not(options)
    report: dict[str, Any] = {"peer": options.peer, "versions": versions(), "skipped": reason}
    if not reason:
        cv2.setNumThreads(1)
        detect = make_detector(options)
        pictures = json.loads(options.pictures.read_text())
        work = timed if options.time_only else detected
        report |= work(detect, pictures, options)
    options.out.write_text(json.dumps(report))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--pictures", type=Path, required=True, help="JSON list.")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write.")
    parser.add_argument("--model", type=Path, help="File of a cascade, of dlib, or of YuNet.")
    parser.add_argument("--min-object-size", type=float, default=20.0, help="Side in pixels.")
    parser.add_argument("--upsample", type=int, help="Of dlib; by default from the object size.")
    parser.add_argument("--time-only", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    return parser.parse_args()


def why_not(options: argparse.Namespace) -> str | None:
    """Return why the detector cannot run, or None."""
    if options.model and not options.model.is_file():
        return "the file given with --model does not exist"
    if options.peer in NEED_MODEL and not options.model:
        return f"{NEED_MODEL[options.peer]}; give it with --model"
    return None


def versions() -> dict[str, str]:
    """Return what the detectors are made of."""
    return {"opencv": cv2.__version__, "dlib": dlib.__version__, "numpy": np.__version__}


def make_detector(options: argparse.Namespace) -> Detect:
    """Return the detector as a function of a grey picture."""
    lowest = LOWEST_SCORE["time" if options.time_only else "accuracy"]
    if options.peer in CASCADES:
        return cascade(options.model or shipped_cascade(options.peer), options.min_object_size)
    if options.peer == "yunet":
        return yunet(options.model, options.min_object_size, lowest["yunet"])
    if options.peer == "dlib-frontal":
        model = dlib.get_frontal_face_detector()
    else:
        model = dlib.fhog_object_detector(str(options.model))
    return fhog(model, upsampling(options), lowest["dlib"])


def shipped_cascade(peer: str) -> Path:
    """Return the file of a cascade that OpenCV's wheels contain."""
    return Path(cv2.data.haarcascades) / CASCADES[peer]


def cascade(path: Path, smallest: float) -> Detect:
    """Return a cascade whose score is the number of raw detections joined into one.

    OpenCV drops raw detections that stand alone; listed twice, they are kept.
    """
    model = cv2.CascadeClassifier(str(path))
    side = round(smallest)

    def detect(image: np.ndarray) -> Found:
        raw = model.detectMultiScale(image, SCALE_FACTOR, 0, 0, (side, side))
        twice = [tuple(map(int, box)) for box in raw] * 2
        boxes, counts = cv2.groupRectangles(twice, 1, JOIN_EPS) if twice else ([], [])
        return np.reshape(boxes, (-1, 4)).astype(float), np.ravel(counts) / 2

    return detect


def upsampling(options: argparse.Namespace) -> int:
    """Return how often dlib doubles the picture's size."""
    if options.upsample is not None:
        return int(options.upsample)
    return max(math.ceil(math.log2(DLIB_WINDOW / options.min_object_size) - 1e-9), 0)


def fhog(model: Any, upsample: int, lowest: float) -> Detect:
    """Return a detector of dlib."""

    def detect(image: np.ndarray) -> Found:
        found, scores, _ = model.run(image, upsample, lowest)
        boxes = [(box.left(), box.top(), box.width(), box.height()) for box in found]
        return np.reshape(boxes, (-1, 4)).astype(float), np.array(scores)

    return detect


def yunet(path: Path, smallest: float, lowest: float) -> Detect:
    """Return YuNet, on a picture reduced as far as the smallest face allows."""
    model = cv2.FaceDetectorYN.create(str(path), "", (320, 320), lowest, 0.3, 5000)
    scale = min(YUNET_SMALLEST / smallest, 1.0)

    def detect(image: np.ndarray) -> Found:
        reduced = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        model.setInputSize((reduced.shape[1], reduced.shape[0]))
        rows = model.detect(cv2.cvtColor(reduced, cv2.COLOR_GRAY2BGR))[1]
        rows = np.zeros((0, 15)) if rows is None else rows
        return rows[:, :4] / scale, rows[:, 14]

    return detect


def detected(
    detect: Detect, pictures: list[dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the COCO results of all pictures, and the milliseconds of each."""
    results, milliseconds = [], {}
    for picture in pictures:
        image = read_grey(picture["file"])
        start = time.perf_counter()
        boxes, scores = detect(image)
        milliseconds[picture["image_id"]] = (time.perf_counter() - start) * 1e3
        results += [
            {"image_id": picture["image_id"], "category_id": 1, "bbox": box, "score": score}
            for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)
        ]
    return {"results": results, "milliseconds": milliseconds}


def timed(
    detect: Detect, pictures: list[dict[str, Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the median milliseconds of each picture after one run to warm up."""
    milliseconds = {}
    for picture in pictures:
        image = read_grey(picture["file"])
        detect(image)
        runs = []
        for _ in range(options.repeat):
            start = time.perf_counter()
            detect(image)
            runs.append((time.perf_counter() - start) * 1e3)
        milliseconds[picture["image_id"]] = statistics.median(runs)
    return {"milliseconds": milliseconds}


def read_grey(file: str) -> np.ndarray:
    """Return an upright grey picture."""
    with Image.open(file) as image:
        return np.array(ImageOps.exif_transpose(image).convert("L"))


if __name__ == "__main__":
    main()
