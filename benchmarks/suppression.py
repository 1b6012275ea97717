"""What becomes of windows that overlap: the kinds of suppression on the windows of one scan.

Run: ``python benchmarks/suppression.py --data-root DIR --faces-model FILE --gtsdb-model FILE``.
Scans the held-out half of WIDER FACE (``validation.halves``) with a model of the squares of
``caltech-crops``, and a fold of GTSDB with the model that ``gtsdb.py --out`` made of the other
two, and prints average precision and the milliseconds of suppression for each kind. Parameters
were chosen on fold 2 and on the other half (``--part train``): report the others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import gtsdb
import numpy as np
import validation

from bootstrap_det import Dataset, Detections, Detector
from bootstrap_det.boxes import SAME_BOX
from bootstrap_det.data import Picture, by_group
from bootstrap_det.data.gtsdb import CATEGORIES
from bootstrap_det.detections import Candidates
from bootstrap_det.evaluation import evaluate_labels
from bootstrap_det.suppression import SUPPRESSIONS

OVERLAPS = np.arange(10) * 0.05 + 0.5  # COCO's
OFFICIAL = 0.6  # GTSDB's
N_TIMINGS = 3
Found = dict[str, list[Detections]]
Seconds = dict[str, list[float]]


def main() -> None:
    """Scan, suppress, print a Markdown table for each data set."""
    options = parse()
    if options.faces_model:
        detector = Detector.load(options.faces_model)
        caption = f"WIDER FACE, {options.part} half"
        report(caption, wider_faces(options), ["face"], detector, validation.TO_WIDER)
    if options.gtsdb_model:
        detector = Detector.load(options.gtsdb_model)
        _, signs = gtsdb.parts(options)
        report(f"GTSDB, fold {options.fold}", by_group(signs), CATEGORIES, detector, SAME_BOX)


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--faces-model", type=Path, help="A model trained on caltech-crops.")
    parser.add_argument("--part", choices=["train", "held-out"], default="held-out")
    parser.add_argument("--gtsdb-model", type=Path, help="A model of gtsdb.py for the same fold.")
    parser.add_argument("--fold", type=int, choices=range(gtsdb.N_FOLDS), default=1)
    parser.set_defaults(official=False, classes=False)  # options of gtsdb.py
    return parser.parse_args()


def wider_faces(options: argparse.Namespace) -> Dataset:
    """Return one half of the pictures."""
    train, held_out = validation.halves(validation.faces_in_the_wild(options.data_root))
    return train if options.part == "train" else held_out


def suppressed(
    detector: Detector, dataset: Dataset, detection_map: tuple[float, ...]
) -> tuple[Found, Seconds]:
    """Return what each kind leaves of each picture's windows, and the seconds that it takes."""
    kinds = {kind: detector.replace(suppression=kind) for kind in SUPPRESSIONS}
    found: Found = {kind: [] for kind in kinds}
    seconds: Seconds = {kind: [] for kind in kinds}
    for picture in dataset.pictures:
        windows = detector.scan(
            picture.load(detector.channels.color), threshold=detector.lowest_score
        )
        for kind, each in kinds.items():
            found[kind].append(each.suppress(windows).mapped(detection_map))
            seconds[kind].append(fastest(each, windows))
    return found, seconds


def fastest(detector: Detector, windows: Candidates) -> float:
    """Return the least seconds of a few suppressions: a scan leaves cold caches to the first."""
    seconds = []
    for _ in range(N_TIMINGS):
        start = time.perf_counter()
        detector.suppress(windows)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measures(
    pictures: Sequence[Picture], found: Sequence[Detections], labels: Sequence[str]
) -> list[float]:
    """Return AP at 0.5, at 0.75 and its mean over overlaps; and the area under GTSDB's curve."""

    def mean(name: str, overlap: float) -> float:
        measured = evaluate_labels(pictures, found, labels, iou_threshold=overlap)
        return statistics.fmean(getattr(each, name) for each in measured.by_label.values())

    precisions = [mean("ap", float(overlap)) for overlap in OVERLAPS]
    area = mean("area_under_curve", OFFICIAL)
    return [precisions[0], precisions[5], statistics.fmean(precisions), area]


def report(
    caption: str,
    dataset: Dataset,
    labels: Sequence[str],
    detector: Detector,
    detection_map: tuple[float, ...],
) -> None:
    """Measure all kinds, print their table."""
    found, seconds = suppressed(detector, dataset, detection_map)
    print(f"\n{caption}, {len(dataset)} pictures\n")
    print("| suppression | AP@0.5 | AP@0.75 | AP@[.5:.95] | area at 0.6 | ms a picture |")
    print("|---|---|---|---|---|---|")
    for kind in SUPPRESSIONS:
        cells = " | ".join(f"{v:.3f}" for v in measures(dataset.pictures, found[kind], labels))
        print(f"| {kind} | {cells} | {1e3 * statistics.median(seconds[kind]):.2f} |", flush=True)


if __name__ == "__main__":
    main()
