"""Traffic signs of the GTSDB: the official measure on a held-out fold, or on the test part.

Run: ``python benchmarks/gtsdb.py --data-root DIR``. Trains on two thirds of the training part
(every third picture is held out, ``--fold`` says which) and prints, for each category, the area
under the precision-recall curve at Jaccard 0.6, seconds of training and milliseconds a picture on
one thread. ``--official`` trains on the whole part and measures on the other, where it is present;
``--grey`` leaves the colours out. The options were chosen on fold 2: report the others.
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
from bootstrap_det.data.gtsdb import CATEGORIES
from bootstrap_det.evaluation import Evaluations, evaluate_labels

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
    measured = evaluate_labels(test_set.pictures, found, CATEGORIES, iou_threshold=0.6)
    report(measured, seconds, ms, len(test_set))


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), default=0)
    parser.add_argument("--official", action="store_true")
    parser.add_argument("--grey", action="store_true")
    parser.add_argument("--out", type=Path, help="Where to save the detector.")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def parts(options: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """Return the pictures to train on and those to measure on."""
    splits = load_dataset("gtsdb", data_root=options.data_root)
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


WINDOW = (24, 24)
PYRAMID = Pyramid(scales_per_octave=4, min_object_size=18, max_object_size=140)
JITTER = Jitter(n_copies=8, mirror=False, blur=0.6, pixel_noise=4.0, gain=0.3, light=0.85)
LEARNER = BoostedLearner(n_trees=512, keep=1.0)
PARAMS = BootstrapParams(
    n_rounds=3, n_images_per_round=150, n_negatives_per_round=5000, n_negatives_per_image=60
)


if __name__ == "__main__":
    main()
