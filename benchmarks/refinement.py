"""What refining the boxes brings, by loss and by method, on faces and on traffic signs.

Run: ``python benchmarks/refinement.py --data-root DIR --faces MODEL MODEL MODEL`` with models of
caltech-crops of several seeds, or ``--gtsdb MODEL MODEL MODEL`` with those that ``gtsdb.py --fold 0
--out``, 1 and 2 write. Faces are learnt on the half of WIDER FACE's training part that
`validation.halves` does not hold out and measured on the other, signs by the folds of `gtsdb.py`.
Prints a Markdown table: means and standard deviations over the models. Refinements of one model
are learnt from the same windows, where they can be, and measured in the same scan. ``--choose``
measures on a quarter of the pictures to learn from, to choose by. ``--time`` prints the time of a
picture with and without the default refinement, in pairs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gtsdb
import numpy as np
import validation
from numpy.typing import NDArray
from wider_views import frontal_template

from bootstrap_det import (
    Dataset,
    Detections,
    Detector,
    RefineParams,
    load_dataset,
    refine,
)
from bootstrap_det.data import by_group
from bootstrap_det.detections import Candidates
from bootstrap_det.evaluation import mean_precisions
from bootstrap_det.gathering import gather
from bootstrap_det.refinement import available_losses

METHODS: dict[str, dict[str, object]] = {
    **{name: {"loss": name} for name in available_losses()},
    "trees, giou": {"loss": "giou", "regressor": "trees"},
    "two stages": {"n_stages": 2},
    "rescore": {"rescore": True},
    "rescore, guided": {"rescore": True, "guided": True},
    "regress, then classify": {"rescore": True, "order": "regress-then-classify"},
    "cascade of two": {"n_stages": 2, "rescore": True},
    "carl": {"weights": "carl"},
    "iou-uniform": {"sampling": "iou-uniform"},
}
NONE = "none"
LOWEST = -np.inf  # every detection is listed


def main() -> None:
    """Learn, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--faces", type=Path, nargs="*", default=[])
    parser.add_argument("--gtsdb", type=Path, nargs="*", default=[])
    parser.add_argument("--only", nargs="*", help="Some of the methods.")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    for name, models, load in (("faces", options.faces, faces), ("gtsdb", options.gtsdb, signs)):
        runs = []
        for seed, model in enumerate(models):
            detector, train, test = load(options.data_root, model, seed)
            if options.choose:
                left_out = np.arange(len(train)) % 4 == 1
                train, test = train.subset(~left_out), train.subset(left_out)
            work = time_default if options.time else measure
            runs.append(work(detector, train, test, seed, options))
        if runs and not options.time:
            print_table(name, runs)


def faces(root: Path, model: Path, seed: int) -> tuple[Detector, Dataset, Dataset]:
    """Return a detector in WIDER FACE's convention of boxes, and the halves."""
    detector = Detector.load(model).with_templates([frontal_template(model)])
    return detector, *validation.halves(validation.faces_in_the_wild(root))


def signs(root: Path, model: Path, seed: int) -> tuple[Detector, Dataset, Dataset]:
    """Return a detector of a fold, and the pictures in and out of it."""
    whole = load_dataset("gtsdb", data_root=root).train
    assert whole is not None
    held_out = np.arange(len(whole)) % gtsdb.N_FOLDS == seed
    pictures = by_group(whole)
    return Detector.load(model), pictures.subset(~held_out), pictures.subset(held_out)


def measure(
    detector: Detector, train: Dataset, test: Dataset, seed: int, options: argparse.Namespace
) -> dict[str, NDArray[np.float64]]:
    """Return AP at ten overlaps of every method, shape (10,) each."""
    base = RefineParams(seed=seed, n_jobs=options.jobs)
    windows = gather(detector, train, base)
    refined = {NONE: detector}
    for name in options.only or METHODS:
        params = replace(base, **METHODS[name])
        shared = windows if params.sampling == "survivors" else None
        start = time.perf_counter()
        refined[name], _ = refine(detector, train, params, windows=shared)
        print(f"seed {seed}: {name}, {time.perf_counter() - start:.0f} s", flush=True)
    found = detect(list(refined.values()), test)
    measured = {}
    for name, each in zip(refined, found, strict=True):
        at = mean_precisions(test.pictures, each, detector.labels)
        measured[name] = np.array(list(at.values()))
        print(f"seed {seed}: {name}: {row(measured[name][None])}", flush=True)
    return measured


def detect(detectors: Sequence[Detector], test: Dataset) -> list[list[Detections]]:
    """Return what each detector finds; they differ in their refinements only."""
    found: list[list[Detections]] = [[] for _ in detectors]
    scanner = detectors[0].scanner
    work = partial(scanner.survivors, least=detectors[0].lowest_score)
    for picture in test.pictures:
        pixels = detectors[0].prepare(picture.load(scanner.channels.color))
        levels = list(scanner.over_levels(pixels, work))
        for detector, own in zip(detectors, found, strict=True):
            candidates = [detector.scanner.settled(*level) for level in levels]
            own.append(detector.settle(Candidates.concatenate(candidates), threshold=LOWEST))
    return found


def time_default(
    detector: Detector, train: Dataset, test: Dataset, seed: int, options: argparse.Namespace
) -> None:
    """Print the median milliseconds of a picture without and with the default, and their ratio."""
    refined, _ = refine(detector, train, RefineParams(seed=seed, n_jobs=options.jobs))
    pairs = []
    for picture in test.pictures:
        image = picture.load(detector.channels.color)
        pairs.append([seconds(each, image) for each in (detector, refined)])
    before, after = np.array(pairs).T
    print(
        f"seed {seed}: {1e3 * np.median(before):.1f} ms without, {1e3 * np.median(after):.1f} "
        f"with; median ratio {np.median(after / before):.3f}, of {len(pairs)} pictures"
    )


def seconds(detector: Detector, image: NDArray[np.uint8]) -> float:
    """Return the least of three times that a detection takes."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        detector.detect(image, threshold=detector.lowest_score)
        times.append(time.perf_counter() - start)
    return min(times)


def print_table(title: str, runs: Sequence[dict[str, NDArray[np.float64]]]) -> None:
    """Print means and deviations over the models, a method a row."""
    print(f"\n| {title} ({len(runs)} models) | AP@0.5 | AP@0.75 | AP@0.9 | AP@[.5:.95] |")
    print("|---|---|---|---|---|")
    for name in runs[0]:
        print(f"| {name} | {row(np.array([run[name] for run in runs]))} |", flush=True)


def row(values: NDArray[np.float64]) -> str:
    """Return means and deviations of AP at 0.5, 0.75 and 0.9, and of the mean over overlaps."""
    columns = [values[:, 0], values[:, 5], values[:, 8], values.mean(axis=1)]
    return " | ".join(cell(column.tolist()) for column in columns)


def cell(values: Sequence[float]) -> str:
    """Return mean and deviation, or the only value."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} +- {statistics.stdev(values):.3f}"


if __name__ == "__main__":
    main()
