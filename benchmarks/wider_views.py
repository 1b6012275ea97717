"""Train a detector of several views for faces in the wild.

Run: ``python benchmarks/wider_views.py --data-root DIR --frontal FILE --out FILE``, then
``python benchmarks/accuracy.py --data-root DIR --sets held-out --wider-model views=FILE``.

Five templates: the frontal one of a model of caltech-crops, its box brought to WIDER FACE's
convention; a pair for heads that are tilted, trained on the same crops, turned; and a pair for
what these do not find, mostly turned heads and profiles, trained on the faces of WIDER FACE's
training part that the others miss, of those pictures that `validation.halves` does not hold out.
Nothing is chosen on the held-out half. With ``--fold`` a quarter of the other half is left out,
to choose by.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import validation
from numpy.typing import NDArray

from bootstrap_det import (
    BootstrapParams,
    Dataset,
    Detections,
    Detector,
    Jitter,
    Pyramid,
    Window,
    train,
)
from bootstrap_det.boxes import overlap
from bootstrap_det.channels import default_channels
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.data import Crops, Picture, merge, named, read_negatives
from bootstrap_det.detector import Template
from bootstrap_det.mining import Callback
from bootstrap_det.mining.records import RoundRecord
from bootstrap_det.samples import with_margin

SIDE = 36  # pixels of the window, as of the frontal template
TILT = 22.0  # degrees
PYRAMID = Pyramid(scales_per_octave=6, min_object_size=validation.MIN_SIDE)
COPIES = Jitter(blur=0.8, pixel_noise=5.0, gain=0.3)


def main() -> None:
    """Train, join, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--frontal", type=Path, required=True, help="A model of caltech-crops.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", action="store_true", help="Leave a quarter out, to choose by.")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    faces, _ = validation.halves(validation.faces_in_the_wild(options.data_root))
    if options.fold:
        faces, _ = folds(faces)
    params = BootstrapParams(
        n_rounds=3, n_images_per_round=600, n_negatives_per_round=8000, n_negatives_per_image=60,
        n_jobs=options.jobs,
    )  # fmt: skip
    templates = [frontal_template(options.frontal)]
    templates += tilted_pair(options.data_root, params)
    detector = joined(templates)
    detector = joined([*templates, *pair_for_missed(options.data_root, detector, faces, params)])
    detector.save(options.out)
    print(f"{len(detector.templates)} templates in {options.out}")


def folds(faces: Dataset) -> tuple[Dataset, Dataset]:
    """Return three quarters of the pictures and the fourth."""
    left_out = np.arange(len(faces)) % 4 == 1
    return faces.subset(~left_out), faces.subset(left_out)


def wider_window() -> Window:
    """Return the window of caltech-crops, and where WIDER FACE's box lies in it."""
    x1, y1, x2, y2 = (SIDE * share for share in validation.TO_WIDER)
    return Window((SIDE, SIDE), (x1, y1, x2, y2))


def frontal_template(path: Path) -> Template:
    """Return the template of a model of caltech-crops, with WIDER FACE's box."""
    return replace(Detector.load(path).templates[0], window=wider_window(), label="face")


def tilted_pair(root: Path, params: BootstrapParams) -> Sequence[Template]:
    """Return templates for heads tilted to either side, trained on frontal crops, turned."""
    crops = named.load("caltech-crops", data_root=root).train.crops.pixels
    tilted = np.array([turned(crop) for crop in crops])
    object_box = wider_window().object_box
    result = train(
        Dataset("tilted", crops=Crops(tilted, object_box, "face")),
        negatives=without_faces(root),
        window=wider_window(),
        pyramid=PYRAMID,
        jitter=replace(COPIES, mirror=False, rotation=8.0),
        params=params,
        callbacks=[Progress("tilted")],
    )
    (template,) = result.detector.templates
    return template, template.mirrored(result.detector.channels)


def pair_for_missed(
    root: Path, detector: Detector, faces: Dataset, params: BootstrapParams
) -> Sequence[Template]:
    """Return a mirror-symmetric pair of templates trained on the faces that a detector misses.

    Few of them are alike, so the cascade may lose many: one that kept all would let everything
    pass.
    """
    missed = replace(faces, pictures=tuple(only_missed(detector, p) for p in faces.pictures))
    print(f"{missed.n_objects} of {faces.n_objects} faces are missed", flush=True)
    result = train(
        missed,
        negatives=merge(without_faces(root), missed, "negatives"),
        window=wider_window(),
        pyramid=PYRAMID,
        jitter=replace(COPIES, n_copies=8, rotation=10.0),
        learner=BoostedLearner(n_trees=1024, keep=0.7, mining_keep=0.85),
        mirror_pairs=True,
        params=params,
        callbacks=[Progress("missed")],
    )
    return result.detector.templates


def only_missed(detector: Detector, picture: Picture) -> Picture:
    """Return the picture with the faces that a detector finds set to ignore."""
    found: Detections = detector.detect(picture.load("grey"))
    near = overlap(picture.boxes, found.boxes).max(axis=1, initial=0.0) >= 0.5
    return replace(picture, ignore=picture.ignore | near)


def turned(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a crop turned about its middle; what comes in from outside is reflected oddly."""
    margin = SIDE // 3
    wide = with_margin(crop, margin)
    middle = (len(wide) - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), TILT, 1.0)
    border = cv2.BORDER_REPLICATE
    turned_wide = cv2.warpAffine(wide, matrix, wide.shape[::-1], borderMode=border)
    return np.asarray(turned_wide[margin:-margin, margin:-margin])


def without_faces(root: Path) -> Dataset:
    """Return pictures without faces."""
    scenes = read_negatives(root / "faces/negatives_scenes/images")
    return merge(scenes, read_negatives(root / "faces/negatives_mixed/images"), "negatives")


def joined(templates: Sequence[Template]) -> Detector:
    """Return the detector of templates that were trained with the default channels."""
    channels = default_channels()
    return Detector(templates, channels, pyramid=PYRAMID, suppression="vote")


class Progress(Callback):
    """Prints each round."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_round_end(self, record: RoundRecord, state: object) -> None:
        """Print one line."""
        seconds = sum(record.seconds.values())
        print(
            f"{self.name}, round {record.round}: {record.n_positives} positives, "
            f"{record.n_mined} mined, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
