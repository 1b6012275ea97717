"""Traffic signs of the GTSDB: the official measure on a held-out fold, or on the test part.

Run: ``python benchmarks/gtsdb.py --data-root DIR``. Trains on two thirds of the training part
(every third picture is held out, ``--fold`` says which) and prints, for each category, the area
under the precision-recall curve at Jaccard 0.6, seconds of training and milliseconds a picture on
one thread. ``--official`` trains on the whole part and measures on the other, where it is present;
``--grey`` leaves the colours out; ``--classes`` tells the 43 classes apart inside the categories,
and prints how many of the signs that were found have the right one. The options were chosen on
fold 2: report the others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from bootstrap_det import (
    BootstrapParams,
    Dataset,
    Detections,
    Detector,
    Jitter,
    Pyramid,
    load_dataset,
    train,
)
from bootstrap_det.channels import ACF
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.data import by_group
from bootstrap_det.data.gtsdb import CATEGORIES
from bootstrap_det.evaluation import ClassLevel, Evaluations, evaluate_classes, evaluate_labels

N_FOLDS = 3


def main() -> None:
    """Train, measure, print a Markdown table."""
    options = parse()
    train_set, test_set = parts(options)
    start = time.perf_counter()
    detector = train_detector(train_set, options)
    seconds = time.perf_counter() - start
    if options.out:
        detector.save(options.out)
    found, ms = detect(detector, test_set)
    pictures = by_group(test_set).pictures
    measured = evaluate_labels(pictures, found, CATEGORIES, iou_threshold=0.6)
    report(measured, seconds, ms, len(test_set))
    if options.classes:
        report_classes(evaluate_classes(test_set, found, CATEGORIES, iou_threshold=0.6))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), default=0)
    parser.add_argument("--official", action="store_true")
    parser.add_argument("--grey", action="store_true")
    parser.add_argument("--classes", action="store_true")
    parser.add_argument("--out", type=Path, help="Where to save the detector.")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def parts(options: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """Return the pictures to train on and those to measure on."""
    splits = load_dataset("gtsdb", data_root=options.data_root, classes=options.classes)
    assert splits.train is not None
    if options.official:
        if splits.test is None:
            raise SystemExit("The official test part is not there.")
        return splits.train, splits.test
    held_out = np.arange(len(splits.train)) % N_FOLDS == options.fold
    return splits.train.subset(~held_out), splits.train.subset(held_out)


def train_detector(train_set: Dataset, options: argparse.Namespace) -> Detector:
    """Return a detector of the three categories."""
    result = train(
        train_set,
        window=WINDOW,
        channels=ACF(color="grey" if options.grey else "rgb"),
        pyramid=PYRAMID,
        jitter=JITTER,
        learner=LEARNER,
        strategy="hierarchical" if options.classes else None,
        params=replace(PARAMS, n_jobs=options.jobs),
    )
    return result.detector


def detect(detector: Detector, test_set: Dataset) -> tuple[list[Detections], float]:
    """Return what is found in each picture, and the median milliseconds on one thread."""
    found, seconds = [], []
    for picture in test_set.pictures:
        image = picture.load(detector.channels.color)
        start = time.perf_counter()
        found.append(detector.detect(image, threshold=detector.lowest_score))
        seconds.append(time.perf_counter() - start)
    return found, 1e3 * statistics.median(seconds)


def report(measured: Evaluations, seconds: float, ms: float, n_pictures: int) -> None:
    """Print the table."""
    print("| category | signs | area under the curve | recall at 0.1 fp/image | at 1 |")
    print("|---|---|---|---|---|")
    for label, each in measured.by_label.items():
        rates = each.recall_at_fppi
        print(
            f"| {label} | {each.n_objects} | {each.area_under_curve:.4f} | {rates[0.1]:.3f} "
            f"| {rates[1.0]:.3f} |"
        )
    print(f"\n{seconds:.0f} s of training, {ms:.0f} ms a picture (median of {n_pictures})")
    print(measured.confusion.counts)


def report_classes(level: ClassLevel) -> None:
    """Print the second level's measures, and what was taken for what."""
    measures = level.to_dict()
    print("\n| category | signs found | of the right class |\n|---|---|---|")
    for group, each in measures["groups"].items():
        print(f"| {group} | {each['n_found']} | {each['accuracy']:.3f} |")
    print(f"| all | {level.n_found} | {level.accuracy:.3f} |")
    print(f"\nmean AP of the classes {level.mean_ap:.3f}")
    for table in level.confusion.values():
        for row, name in enumerate(table.labels):
            for column, other in enumerate(table.labels):
                if row != column and (n := table.counts[row, column]):
                    print(f"{n} {name} as {other}")


WINDOW = (24, 24)
PYRAMID = Pyramid(scales_per_octave=4, min_object_size=18, max_object_size=140)
JITTER = Jitter(n_copies=8, mirror=False, blur=0.6, pixel_noise=4.0, gain=0.3, light=0.85)
LEARNER = BoostedLearner(n_trees=512, keep=1.0)
PARAMS = BootstrapParams(
    n_rounds=3, n_images_per_round=150, n_negatives_per_round=5000, n_negatives_per_image=60
)


if __name__ == "__main__":
    main()
