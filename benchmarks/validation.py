"""Faces of WIDER FACE's training part, for validation: which count, and which are held out.

Run: ``python benchmarks/validation.py --data-root DIR --out validation.json`` writes the validation
set as COCO JSON; its pictures are in ``DIR/faces/wider_train/images``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import Dataset, read_coco, write_annotations
from bootstrap_det.data import Picture

ANNOTATIONS = "faces/wider_train/annotations.json"
N_PICTURES = 150
MIN_SIDE = 24
# From the square of caltech-crops to WIDER FACE's tight boxes; measured on `validation_set`.
TO_WIDER = (0.15, 0.0, 0.85, 0.93)
HARD = ("blur", "pose", "occlusion", "invalid")


def main() -> None:
    """Write the validation set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    chosen = validation_set(options.data_root)
    write_annotations(chosen, options.out, format="coco")
    print(f"{options.out}: {len(chosen)} pictures, {chosen.n_objects} faces")


def validation_set(root: Path) -> Dataset:
    """Return 150 pictures; hard, blurred, posed and small faces are ignored."""
    full = read_coco(root / ANNOTATIONS)
    attributes = _hard_faces(root / ANNOTATIONS)
    pictures = []
    for picture in full.pictures:
        hard = np.array(attributes.get(picture.image_id, []), dtype=bool)
        judged = replace(picture, ignore=picture.ignore | _is_small(picture) | hard)
        if judged.targets.any():
            pictures.append(judged)
    chosen = np.random.default_rng(0).permutation(len(pictures))[:N_PICTURES]
    return replace(full, pictures=tuple(pictures[index] for index in sorted(chosen)))


def clean_faces(root: Path) -> Dataset:
    """Return the pictures that `halves` does not hold out; hard and small faces are ignored."""
    attributes = _hard_faces(root / ANNOTATIONS)
    train, _ = halves(faces_in_the_wild(root))
    judged = [
        replace(p, ignore=p.ignore | np.array(attributes.get(p.image_id, []), dtype=bool))
        for p in train.pictures
    ]
    return replace(train, pictures=tuple(p for p in judged if p.targets.any()))


def faces_in_the_wild(root: Path) -> Dataset:
    """Return all pictures; every face that is not small counts, however hard."""
    full = read_coco(root / ANNOTATIONS)
    pictures = tuple(replace(p, ignore=p.ignore | _is_small(p)) for p in full.pictures)
    return replace(full, pictures=pictures)


def halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Return the half to train on and the half held out.

    Of each event's pictures, sorted by name, every second one is held out, from the second on.
    """
    events: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(dataset)), key=lambda i: dataset.pictures[i].name):
        events[_event(dataset.pictures[index])].append(index)
    train = sorted(index for members in events.values() for index in members[::2])
    held_out = sorted(index for members in events.values() for index in members[1::2])
    return dataset.subset(train), dataset.subset(held_out)


def _hard_faces(path: Path) -> dict[int, list[bool]]:
    """Return, for each picture, which of its boxes are hard by their attributes."""
    hard: dict[int, list[bool]] = defaultdict(list)
    for entry in json.loads(path.read_text())["annotations"]:
        hard[entry["image_id"]].append(any(entry[name] for name in HARD))
    return hard


def _is_small(picture: Picture) -> NDArray[np.bool_]:
    sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
    return np.asarray(sides.min(axis=1, initial=np.inf) < MIN_SIDE)


def _event(picture: Picture) -> str:
    """Return the number that WIDER FACE's file names start with."""
    return picture.name.rpartition("/")[2].partition("_")[0]


if __name__ == "__main__":
    main()
