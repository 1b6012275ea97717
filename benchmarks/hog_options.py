"""What each option of HOG brings: average precision on validation faces.

Run: ``python benchmarks/hog_options.py --data-root DIR``. Trains on every second crop of
caltech-crops with its scenes, three rounds, and measures on 150 pictures of WIDER FACE's training
part (``faces/wider_train``; frontal, sharp, unoccluded faces of 24 px and more count, all others
are ignored). Nothing here touches mit-cmu. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from validation import MIN_SIDE, TO_WIDER, validation_set

from bootstrap_det import BootstrapParams, Dataset, Jitter, Pyramid, evaluate_detector, train
from bootstrap_det.channels import HOG, default_channels
from bootstrap_det.data import Crops, named

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without interpolation": {"interpolate": False},
    "unsigned, 9 orientations": {"signed": False, "n_orientations": 9},
    "18 orientations": {"n_orientations": 18},
    "epsilon 1e-5": {"epsilon": 1e-5},
    "cells of 3 px": {"cell_size": 3},
    "cells of 6 px": {"cell_size": 6},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    splits = named.load("caltech-crops", data_root=arguments.data_root)
    faces = Dataset("half", crops=Crops(splits.train.crops.pixels[::2], label="face"))
    test = validation_set(arguments.data_root)
    print(f"{test.n_objects} faces in {len(test)} pictures\n")
    print("| HOG | weights | AP@0.5 | recall at 0.1 / 1 fp/image | seconds of training |")
    print("|---|---|---|---|---|")
    for name, change in VARIANTS.items():
        result = train(
            faces,
            negatives=splits.negatives,
            window=(36, 36),
            channels=HOG(**{**default_channels().get_params(), **change}),
            pyramid=Pyramid(scales_per_octave=12),
            jitter=Jitter(n_copies=0),
            params=BootstrapParams(n_rounds=3, n_negatives_per_round=10000, n_jobs=arguments.jobs),
        )
        measures = evaluate_detector(
            result.detector.replace(min_object_size=MIN_SIDE),
            test,
            detection_map=TO_WIDER,
            n_jobs=arguments.jobs,
        ).evaluation
        seconds = sum(sum(record.seconds.values()) for record in result.records)
        low, high = measures.recall_at_fppi.values()
        n_weights = result.detector.templates[0].model.weights.size
        recall = f"{low:.3f} / {high:.3f}"
        print(
            f"| {name} | {n_weights} | {measures.ap:.3f} | {recall} | {seconds:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
