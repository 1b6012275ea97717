"""UIUC cars: trains on the data set's windows and measures by its official rule.

Run: ``python benchmarks/uiuc.py --data-root DIR [train options]``, which prints the recall at
equal error and the best F-measure of both tests. The rule is
:func:`bootstrap_det.evaluation.agreement.ellipse`.

References
----------
S. Agarwal, A. Awan and D. Roth, "Learning to detect objects in images via a sparse, part-based
representation", PAMI 2004.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bootstrap_det import Detector, load_dataset, read_image, write_image
from bootstrap_det.evaluation import (
    Evaluation,
    Matches,
    evaluate_detector,
    precision_recall,
)

FOLDER = "cars/uiuc/images"
HEIGHT = 40
# Cars run past the border, so levels are padded by half a car's height, an object that is half
# outside at the top or bottom. Chosen beforehand, not on the test scenes.
PADDING = 20
SIZES = {  # smallest and largest height looked for
    "single": (HEIGHT, HEIGHT),
    "multi": (0.8 * HEIGHT, None),
}


def main() -> None:
    """Train, measure, print a line for each test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    options, others = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        detector = train(options.data_root, others, Path(folder))
    for test in SIZES:
        measured = evaluate(detector, options.data_root, test)
        print(
            f"{test}: recall at equal error {measured.recall_at_equal_error:.3f}, best F-measure "
            f"{f_measure(measured.matches):.3f}, {measured.n_objects} cars"
        )


def train(root: Path, options: Sequence[str], out: Path) -> Detector:
    """Train on the 550 car windows, the 500 others and the mirror images of these.

    ``options`` are those of ``bootstrap-det train``; ``out`` is the run's folder.
    """
    images = root / FOLDER
    crops, negatives = out / "cars.npz", out / "others"
    negatives.mkdir(parents=True)
    cars = [read_image(path, color="grey") for path in sorted(images.glob("train_pos_*"))]
    np.savez(crops, crops=np.stack(cars))
    for path in sorted(images.glob("train_neg_*")):
        pixels = read_image(path, color="grey")
        write_image(negatives / path.name, pixels)
        write_image(negatives / f"{path.stem}_mirrored.png", np.ascontiguousarray(pixels[:, ::-1]))
    command = [sys.executable, "-m", "bootstrap_det", "train", "--crops", str(crops)]
    command += ["--label", "car_side", "--negatives", str(negatives), "--out", str(out / "run")]
    subprocess.run([*command, *options], check=True, stderr=subprocess.DEVNULL)
    return Detector.load(out / "run" / "model.bdet")


def evaluate(detector: Detector, root: Path, test: str) -> Evaluation:
    """Return the measures of a detector on the ``"single"`` or ``"multi"`` scale test."""
    splits = load_dataset("uiuc-cars", data_root=root, boxes=test)
    assert splits.test is not None
    smallest, largest = SIZES[test]
    scanned = detector.replace(min_object_size=smallest, max_object_size=largest, padding=PADDING)
    return evaluate_detector(scanned, splits.test, agreement=splits.agreement).evaluation


def f_measure(matches: Matches) -> float:
    """Return the best harmonic mean of recall and precision at any threshold."""
    precision, recall, _ = precision_recall(matches)
    both = np.maximum(precision + recall, 1e-12)
    return float((2 * precision * recall / both).max(initial=0.0))


if __name__ == "__main__":
    main()
