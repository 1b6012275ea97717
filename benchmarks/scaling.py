"""Mining throughput with one and two workers of each kind, and what a cluster costs beside threads.

Run: ``python benchmarks/scaling.py --model model.bdet``. One mining pass over the same pictures,
kinds of workers by turns, workers started and warm; pictures travel by path. Medians and ranges.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from endurance import write_pictures

from bootstrap_det import Dataset, Detector, read_negatives
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.mining import BootstrapParams, Recipe
from bootstrap_det.mining.pool import Pass
from bootstrap_det.samples import ObjectRows
from bootstrap_det.workers import on_workers

KINDS = (("threads", 1), ("threads", 2), ("processes", 2), ("dask", 1), ("dask", 2))
MILLION, CLUSTER = 1_000_000, 100


def main() -> None:
    """Print a table and the estimate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    detector = Detector.load(options.model)
    rates: dict[tuple[str, int], list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), options.pictures)
        negatives = read_negatives(folder)
        n_pixels = np.mean([np.prod(picture.size) for picture in negatives.pictures])
        for _ in range(options.repeats):
            for kind, n_jobs in KINDS:
                rates[kind, n_jobs].append(rate(detector, negatives, kind, n_jobs))
    show(rates, options.pictures, float(n_pixels))


def rate(detector: Detector, negatives: Dataset, kind: str, n_jobs: int) -> float:
    """Return the pictures mined in a second."""
    with ExitStack() as stack:
        stack.enter_context(on_workers(kind, n_jobs=n_jobs))
        mined(detector, negatives.subset(np.arange(20)), n_jobs)  # workers have all in memory
        start = time.perf_counter()
        mined(detector, negatives, n_jobs)
        return len(negatives) / (time.perf_counter() - start)


def mined(detector: Detector, negatives: Dataset, n_jobs: int) -> int:
    """Return how many windows one pass finds, after their features were cut."""
    template = detector.templates[0]
    recipe = Recipe(
        template.window, detector.channels, detector.pyramid, template.label, BoostedLearner()
    )
    nothing = ObjectRows.plain(np.zeros((0, recipe.n_features), recipe.channels.dtype))
    scan = Pass(detector, negatives, recipe, BootstrapParams(n_jobs=n_jobs), 1, nothing)
    identities, _ = scan.false_positives().hardest()
    return len(scan.cut(identities).features)


def show(rates: dict[tuple[str, int], list[float]], n_pictures: int, n_pixels: float) -> None:
    """Print the table and the estimate that follows from it."""
    middle = {kind: float(np.median(values)) for kind, values in rates.items()}
    first = middle["threads", 1]
    print(f"{n_pictures} pictures of {n_pixels / 1e3:.0f} thousand pixels on average\n")
    print("| Workers | Pictures a second: median | range | times one thread |")
    print("| --- | --- | --- | --- |")
    for (kind, n_jobs), values in rates.items():
        print(
            f"| {n_jobs} {kind} | {middle[kind, n_jobs]:.1f} | {min(values):.1f} to "
            f"{max(values):.1f} | {middle[kind, n_jobs] / first:.2f} |"
        )
    overhead = 1e3 * (2 / middle["dask", 2] - 2 / middle["threads", 2])
    print(f"\nDask beside threads, two of each: {overhead:+.1f} ms a picture and worker")
    hours = MILLION / (CLUSTER * middle["dask", 1]) / 3600
    print(f"{MILLION:,} such pictures on {CLUSTER} workers: {hours:.1f} hours a round")


if __name__ == "__main__":
    main()
