"""Train dlib's own detector on what ours is trained on; run by the rivals' environment.

Run: ``.venv/bin/python train_dlib.py --data DATA.json --out MODEL.svm``, where the data are a list
of ``{"file", "boxes"}`` with boxes x1 y1 x2 y2; ``--crops FILE.npz --n-crops N`` adds crops, each
pasted into a picture of its own whose margin continues it by odd reflection. dlib takes whatever
is outside the boxes for negatives. Prints seconds and peak memory as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import dlib
import numpy as np
from PIL import Image, ImageOps

Example = tuple[np.ndarray, list[dlib.rectangle]]


def main() -> None:
    """Train, save, report."""
    options = parse()
    examples = pictures(options.data) if options.data else []
    if options.crops:
        examples += crops(options.crops, options.n_crops)
    start = time.perf_counter()
    model = dlib.train_simple_object_detector(
        *map(list, zip(*examples, strict=True)), settings(options)
    )
    seconds = time.perf_counter() - start
    model.save(str(options.out))
    report = {
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "n_pictures": len(examples),
        "n_objects": sum(len(boxes) for _, boxes in examples),
    }
    print(json.dumps(report))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="JSON list of pictures with boxes.")
    parser.add_argument("--crops", type=Path, help="An .npz file with an array 'crops'.")
    parser.add_argument("--n-crops", type=int, help="How many of them; by default all.")
    parser.add_argument("--out", type=Path, required=True, help="Model file to write.")
    parser.add_argument("--C", type=float, default=5.0)
    parser.add_argument("--window-area", type=int, default=80 * 80, help="In pixels.")
    parser.add_argument("--upsample-limit", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def settings(options: argparse.Namespace) -> dlib.simple_object_detector_training_options:
    """Return dlib's parameters: its defaults but for what was asked."""
    chosen = dlib.simple_object_detector_training_options()
    chosen.C = options.C
    chosen.detection_window_size = options.window_area
    chosen.upsample_limit = options.upsample_limit
    chosen.num_threads = options.threads
    chosen.add_left_right_image_flips = True
    return chosen


def pictures(path: Path) -> list[Example]:
    """Return the pictures of a list, upright and grey, with their boxes."""
    examples = []
    for entry in json.loads(path.read_text()):
        with Image.open(entry["file"]) as image:
            grey = np.array(ImageOps.exif_transpose(image).convert("L"))
        examples.append((grey, [rectangle(box) for box in entry["boxes"]]))
    return examples


def crops(path: Path, count: int | None) -> list[Example]:
    """Return the first crops, each in the middle of a picture of its own."""
    with np.load(path) as archive:
        chosen = archive["crops"][:count]
    height, width = chosen.shape[1:3]
    rows, columns = height // 2, width // 2
    box = rectangle([columns, rows, columns + width, rows + height])
    return [(with_margin(crop, rows, columns), [box]) for crop in chosen]


def with_margin(crop: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return a crop continued by odd reflection, which keeps the gradients at its border."""
    margins = ((rows, rows), (columns, columns))
    wide = np.pad(crop.astype(np.int16), margins, mode="reflect", reflect_type="odd")
    return np.clip(wide, 0, 255).astype(np.uint8)


def rectangle(box: list[float]) -> dlib.rectangle:
    """Return dlib's rectangle, whose right and bottom pixels are inside."""
    left, top, right, bottom = (round(value) for value in box)
    return dlib.rectangle(left, top, right - 1, bottom - 1)


if __name__ == "__main__":
    main()
