"""What each option of HOG brings: average precision on validation faces.

Run: ``python benchmarks/hog_options.py --data-root DIR``. Trains on every second crop of
caltech-crops with its scenes, three rounds, and measures on 150 pictures of WIDER FACE's training
part (``faces/wider_train``; frontal, sharp, unoccluded faces of 24 px and more count, all others
are ignored). Nothing here touches mit-cmu. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det import BootstrapParams, Dataset, Jitter, Pyramid, evaluate_detector, train
from bootstrap_det.channels import HOG
from bootstrap_det.data import Crops, named, read_coco
from bootstrap_det.training import default_channels

N_PICTURES = 150
MIN_SIDE = 24
# From the square of the crops to WIDER FACE's tight boxes; measured on this validation set.
TO_WIDER = (0.15, 0.0, 0.85, 0.93)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without interpolation": {"interpolate": False},
    "unsigned, 9 orientations": {"signed": False, "n_orientations": 9},
    "18 orientations": {"n_orientations": 18},
    "epsilon 1e-5": {"epsilon": 1e-5},
    "cells of 3 px": {"cell_size": 3},
    "cells of 6 px": {"cell_size": 6},
}


def validation_set(root: Path) -> Dataset:
    """Return the validation pictures; hard, blurred, posed and small faces are ignored."""
    path = root / "faces/wider_train/annotations.json"
    attributes = {}
    for entry in json.loads(path.read_text())["annotations"]:
        hard = any(entry[name] for name in ("blur", "pose", "occlusion", "invalid"))
        attributes.setdefault(entry["image_id"], []).append(hard)
    full = read_coco(path)
    pictures = []
    for picture in full.pictures:
        small = (picture.boxes[:, 2:] - picture.boxes[:, :2]).min(axis=1, initial=np.inf) < MIN_SIDE
        hard = np.array(attributes.get(picture.image_id, []), dtype=bool)
        judged = replace(picture, ignore=picture.ignore | small | hard)
        if judged.targets.any():
            pictures.append(judged)
    chosen = np.random.default_rng(0).permutation(len(pictures))[:N_PICTURES]
    return replace(full, pictures=tuple(pictures[index] for index in sorted(chosen)))


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
