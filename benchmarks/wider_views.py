"""Train a detector of several views for faces in the wild.

Run: ``python benchmarks/wider_views.py --data-root DIR --frontal FILE --out FILE``, then
``python benchmarks/accuracy.py --data-root DIR --sets held-out --wider-model views=FILE``.

The frontal template is that of a model of caltech-crops, its box brought to WIDER FACE's
convention; the others are trained on the faces of every picture of WIDER FACE's training part that
`validation.halves` does not hold out, grouped by likeness. Nothing is chosen on the held-out half.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import validation

from bootstrap_det import BootstrapParams, Dataset, Detector, Jitter, Pyramid, Window, train
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.data import merge, read_negatives
from bootstrap_det.mining import Callback
from bootstrap_det.mining.records import RoundRecord

SIDE = 36  # pixels of the window, as of the frontal template


def main() -> None:
    """Train, join, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--frontal", type=Path, help="A model of caltech-crops to add.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--trees", type=int, default=1024)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    faces, _ = validation.halves(validation.faces_in_the_wild(options.data_root))
    result = train(
        faces,
        negatives=negatives(options.data_root, faces),
        window=wider_window(),
        pyramid=Pyramid(scales_per_octave=6, min_object_size=validation.MIN_SIDE),
        jitter=Jitter(n_copies=2, blur=0.5, pixel_noise=3.0),
        learner=BoostedLearner(n_trees=options.trees),
        n_views=options.views,
        params=BootstrapParams(
            n_rounds=2, n_images_per_round=300, n_negatives_per_round=8000,
            n_negatives_per_image=60, n_jobs=options.jobs,
        ),
        callbacks=[Progress()],
    )  # fmt: skip
    detector = result.detector
    if options.frontal:
        detector = joined(Detector.load(options.frontal), detector)
    detector.save(options.out)
    print(f"{len(detector.templates)} templates in {options.out}")


def wider_window() -> Window:
    """Return the window of caltech-crops, and where WIDER FACE's box lies in it."""
    x1, y1, x2, y2 = (SIDE * share for share in validation.TO_WIDER)
    return Window((SIDE, SIDE), (x1, y1, x2, y2))


def negatives(root: Path, faces: Dataset) -> Dataset:
    """Return pictures without faces, and those with faces, which are mined away from them."""
    scenes = read_negatives(root / "faces/negatives_scenes/images")
    mixed = read_negatives(root / "faces/negatives_mixed/images")
    return merge(merge(scenes, mixed, "negatives"), faces, "negatives")


def joined(frontal: Detector, views: Detector) -> Detector:
    """Return the views with the frontal template in front, all with boxes of one convention."""
    template = replace(frontal.templates[0], window=wider_window(), label=views.labels[0])
    return Detector(
        [template, *views.templates], views.channels, pyramid=views.pyramid, suppression="vote"
    )


class Progress(Callback):
    """Prints each round."""

    def on_round_end(self, record: RoundRecord, state: object) -> None:
        """Print one line."""
        seconds = sum(record.seconds.values())
        print(
            f"view {record.view} round {record.round}: {record.n_positives} positives, "
            f"{record.n_mined} mined, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
