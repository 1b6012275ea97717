"""What each option of the boosted detector brings: average precision on two validation sets.

Run: ``python benchmarks/boosted_options.py --data-root DIR``. Trains on four fifths of
caltech-crops and of the negatives, and measures on clean faces of WIDER FACE's training part, of
those pictures that `validation.halves` does not hold out, and on `pasted.pasted_faces`. Nothing
here touches mit-cmu. Prints a Markdown table; ``--only NAME`` one row of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pasted
from validation import MIN_SIDE, TO_WIDER, clean_faces

from bootstrap_det import BootstrapParams, Dataset, Detector, Jitter, Pyramid, evaluate_detector
from bootstrap_det import train as train_detector
from bootstrap_det.boxes import SAME_BOX
from bootstrap_det.channels import ACF, default_channels
from bootstrap_det.classifiers import BoostedLearner, LinearLearner
from bootstrap_det.data.named import Splits

JITTER = {"n_copies": 1, "blur": 0.8, "pixel_noise": 5.0, "gain": 0.3}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "depth 2": {"learner": {"depth": 2}},
    "1024 trees": {"learner": {"n_trees": 1024}},
    "every tree may normalise": {"learner": {"first_trees": 0}},
    "shrinkage 0.25": {"learner": {"shrinkage": 0.25}},
    "no copies": {"jitter": {"n_copies": 0}},
    "copies neither blurred nor noisy": {"jitter": {"blur": 0.0, "pixel_noise": 0.0}},
    "copies more blurred and noisy": {"jitter": {"blur": 1.2, "pixel_noise": 8.0}},
    "two copies": {"jitter": {"n_copies": 2}},
    "copies turned by up to 12 degrees": {"jitter": {"rotation": 12.0}},
    "missed objects weigh 4 times": {"learner": {"hard_positives": 3.0}},
    "30,000 windows in the last round": {"params": {"n_negatives_last_round": 30000}},
    "smoothed before": {"channels": {"smooth_before": True}},
    "budget best": {
        "learner": {"n_trees": 4096},
        "jitter": {"n_copies": 2},
        "params": {"n_rounds": 4, "n_negatives_per_round": 15000, "n_random_negatives": 10000},
    },
    "HOG and a linear SVM, no copies": {"svm": {}, "jitter": {"n_copies": 0}},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=VARIANTS, action="append")
    options = parser.parse_args()
    splits = pasted.training_part(options.data_root)
    tests = (
        (clean_faces(options.data_root), TO_WIDER),
        (pasted.pasted_faces(options.data_root), SAME_BOX),
    )
    print("| " + " | ".join(f"{t.n_objects} faces in {len(t)} pictures" for t, _ in tests) + " |\n")
    print("| detector | in the wild: AP@0.5 | pasted: AP@0.5 | seconds of training |")
    print("|---|---|---|---|")
    for name in options.only or VARIANTS:
        detector, seconds = trained(splits, VARIANTS[name], options.jobs)
        scores = [f"{measured(detector, *test, options.jobs):.3f}" for test in tests]
        print(f"| {name} | {' | '.join(scores)} | {seconds:.0f} |", flush=True)


def trained(splits: Splits, change: dict[str, Any], jobs: int) -> tuple[Detector, float]:
    """Return the detector of a variant and the seconds that its rounds took."""
    linear = "svm" in change
    result = train_detector(
        splits.train,
        negatives=splits.negatives,
        window=(36, 36),
        channels=default_channels("hog") if linear else ACF(**change.get("channels", {})),
        pyramid=Pyramid(),
        jitter=Jitter(**{**JITTER, **change.get("jitter", {})}),
        learner=LinearLearner()
        if linear
        else BoostedLearner(**{"keep": 0.995, **change.get("learner", {})}),
        params=BootstrapParams(
            **{
                "n_rounds": 3, "n_negatives_per_round": 8000, "n_negatives_per_image": 60,
                "n_jobs": jobs, **change.get("params", {}),
            }
        ),
    )  # fmt: skip
    return result.detector, sum(sum(record.seconds.values()) for record in result.records)


def measured(
    detector: Detector, test: Dataset, detection_map: tuple[float, ...], jobs: int
) -> float:
    """Return the average precision on one set."""
    found = detector.replace(min_object_size=MIN_SIDE)
    return evaluate_detector(found, test, detection_map=detection_map, n_jobs=jobs).evaluation.ap


if __name__ == "__main__":
    main()
