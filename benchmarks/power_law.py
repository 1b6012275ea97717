"""What the power law of Dollar et al. (2014) costs and saves, against the exact pyramid.

Run: ``python benchmarks/power_law.py --data-root DIR --model FILE``. Exponents are estimated on the
scenes of caltech-crops; average precision is that on clean faces of WIDER FACE's training part,
milliseconds those of a scan of 640x480 pixels for faces from 40 px on one thread, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
from skimage import data
from validation import MIN_SIDE, TO_WIDER, clean_faces

from bootstrap_det import Detector, evaluate_detector
from bootstrap_det.data import named
from bootstrap_det.pyramid import estimate_exponents

TURNS = 15


def main() -> None:
    """Print the exponents and a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    exact = Detector.load(options.model).replace(min_object_size=MIN_SIDE, exponents=None)
    scenes = named.load("caltech-crops", data_root=options.data_root).negatives.pictures[::5]
    color = exact.channels.color
    exponents = estimate_exponents((p.load(color) for p in scenes), exact.channels)
    print("exponents: " + " ".join(f"{value:.3f}" for value in exponents) + "\n")
    detectors = {"exact": exact, "power law": exact.replace(exponents=exponents)}
    times = milliseconds(list(detectors.values()))
    test = clean_faces(options.data_root)
    print("| pyramid | AP@0.5 | recall at 0.1 / 1 fp per picture | ms |")
    print("|---|---|---|---|")
    for (name, detector), ms in zip(detectors.items(), times, strict=True):
        found = evaluate_detector(detector, test, detection_map=TO_WIDER, n_jobs=2).evaluation
        low, high = found.recall_at_fppi.values()
        print(f"| {name} | {found.ap:.3f} | {low:.3f} / {high:.3f} | {ms:.1f} |")


def milliseconds(detectors: list[Detector]) -> list[float]:
    """Return the median time of a scan of each, taken in turns."""
    image = cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), (640, 480))
    larger = [detector.replace(min_object_size=40.0) for detector in detectors]
    times: list[list[float]] = [[] for _ in larger]
    for _ in range(TURNS + 1):
        for detector, turns in zip(larger, times, strict=True):
            start = time.perf_counter()
            detector.scan(image)
            turns.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(turns[1:]) for turns in times]


if __name__ == "__main__":
    main()
