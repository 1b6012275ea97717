"""What the location prior leaves out, and what is lost by it, on traffic signs.

Run: ``python benchmarks/location.py --data-root DIR --gtsdb MODEL MODEL MODEL`` with the models
that ``gtsdb.py --fold 0 --out``, 1 and 2 write. The prior of each is learnt on the pictures that
its templates were trained on. Printed are, on the held-out ones, the share of windows that are
scanned, the signs that the whole scan finds and the pruned one does not, the area under the curve
with and without, and milliseconds of a picture, in pairs. ``--use rescore`` weighs scores instead.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from refinement import signs

from bootstrap_det import Dataset, Detections, Detector, RefineParams, refine
from bootstrap_det.data.gtsdb import CATEGORIES
from bootstrap_det.evaluation import evaluate_labels

IOU = 0.6  # of a hit, the benchmark's own


def main() -> None:
    """Learn, scan, print a line a fold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--gtsdb", type=Path, nargs="+", required=True)
    parser.add_argument("--use", choices=["prune", "rescore", "both"], default="prune")
    parser.add_argument("--max-lost", type=float, default=RefineParams.max_lost)
    options = parser.parse_args()
    print("| fold | windows | signs | lost | area without | area with | ms without | ms with |")
    print("|---|---|---|---|---|---|---|---|")
    totals = np.zeros(2, int)
    for fold, model in enumerate(options.gtsdb):
        detector, train, test = signs(options.data_root, model, fold)
        params = RefineParams(loss=None, location=options.use, max_lost=options.max_lost)
        pruned, _ = refine(detector, train, params)
        totals += compare(fold, detector, pruned, test)
    print(f"\n{totals[0]} of {totals[1]} signs lost, {totals[0] / totals[1]:.2%}")


def compare(fold: int, whole: Detector, pruned: Detector, test: Dataset) -> NDArray[np.int64]:
    """Print what two detectors do on the held-out pictures; return signs lost and all signs."""
    found: tuple[list[Detections], list[Detections]] = ([], [])
    times: tuple[list[float], list[float]] = ([], [])
    n_windows = [0, 0]
    for picture in test.pictures:
        image = picture.load(whole.channels.color)
        for index, detector in enumerate((whole, pruned)):
            start = time.perf_counter()
            scanned = detector.scan(image, threshold=detector.lowest_score)
            found[index].append(detector.settle(scanned, threshold=detector.lowest_score))
            times[index].append(time.perf_counter() - start)
            n_windows[index] += scanned.n_windows
    areas, misses = zip(*(judge(test, each) for each in found), strict=True)
    ms = [1e3 * float(np.median(each)) for each in times]
    lost, n_signs = len(misses[1] - misses[0]), sum(int(p.targets.sum()) for p in test.pictures)
    print(
        f"| {fold} | {n_windows[1] / n_windows[0]:.3f} | {n_signs} | {lost} | {areas[0]} "
        f"| {areas[1]} | {ms[0]:.0f} | {ms[1]:.0f} |",
        flush=True,
    )
    return np.array([lost, n_signs])


def judge(test: Dataset, found: list[Detections]) -> tuple[str, set[tuple[str, int, int]]]:
    """Return the area of each category, and the signs that are not found: label, picture, box."""
    measured = evaluate_labels(test.pictures, found, CATEGORIES, iou_threshold=IOU).by_label
    areas = " / ".join(f"{each.area_under_curve:.3f}" for each in measured.values())
    missed = {
        (label, picture, int(box))
        for label, each in measured.items()
        for picture, boxes in enumerate(each.matches.missed)
        for box in boxes
    }
    return areas, missed


if __name__ == "__main__":
    main()
