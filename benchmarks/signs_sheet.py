"""What the drawn traffic signs look like: all classes, random appearances, scenes with boxes.

``python benchmarks/signs_sheet.py OUT`` writes ``classes.png``, ``appearances.png``,
``distractors.png`` and ``scenes.png`` into a folder, and ``signs.jpg``, a smaller one of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det import synth_signs, write_image
from bootstrap_det.data.signs import CLASSES, frequencies
from bootstrap_det.data.signs.distractors import KINDS, Distractor
from bootstrap_det.plots import GREEN, contact_sheet, cut_out, draw_box

Image = NDArray[np.uint8]
GROUND = (92, 110, 96)  # RGB, behind sprites
SURROUNDINGS = 0.15  # of a sign's width, round a cut-out
SCENE = (270, 360)  # height and width that scenes are scaled to


def on_ground(sprite: Image) -> Image:
    """Return a sprite before a plain ground."""
    alpha = sprite[..., 3:] / 255
    return np.rint(sprite[..., :3] + (1 - alpha) * GROUND).astype(np.uint8)


def classes(tile: int = 120) -> Image:
    """Return a sheet of all classes from the front, with their frequencies."""
    captions = [
        f"{kind.name} {share:.0%}" for kind, share in zip(CLASSES, frequencies(), strict=True)
    ]
    sprites = [on_ground(kind.sprite()) for kind in CLASSES]
    return contact_sheet(sprites, captions, n_columns=7, tile=tile)


def distractors(tile: int = 60) -> Image:
    """Return a sheet of things that are not signs of the groups: six of each kind."""
    things = [Distractor(kind, seed) for seed in range(6) for kind in KINDS]
    sprites = [on_ground(thing.sprite()) for thing in things]
    return contact_sheet(sprites, [t.kind[:9] for t in things], n_columns=len(KINDS), tile=tile)


def appearances(n_signs: int = 70, n_columns: int = 14, tile: int = 60) -> Image:
    """Return a sheet of signs as they look in scenes, with their sizes in pixels."""
    crops: list[Image] = []
    captions: list[str] = []
    for picture in synth_signs(n_signs, seed=3, labels="class").pictures:
        for box in picture.boxes:
            margin = SURROUNDINGS * (box[2] - box[0]) * np.array([-1, -1, 1, 1])
            crops.append(cut_out(picture.load("rgb"), box + margin))
            captions.append(f"{(box[2:] - box[:2]).max():.0f} px")
    return contact_sheet(crops[:n_signs], captions[:n_signs], n_columns=n_columns, tile=tile)


def scenes(n_rows: int = 3, n_columns: int = 3, *, part: str = "train", seed: int = 1) -> Image:
    """Return scenes side by side, with their boxes."""
    drawn: list[Image] = []
    for picture in synth_signs(4 * n_rows * n_columns, seed=seed, part=part).pictures:
        if not len(picture.boxes):
            continue
        scale = SCENE[0] / picture.load().shape[0]
        view = np.asarray(
            cv2.resize(picture.load("rgb"), SCENE[::-1], interpolation=cv2.INTER_AREA), np.uint8
        )
        for box, label in zip(picture.boxes, picture.labels, strict=True):
            draw_box(view, box * scale, GREEN, str(label))
        drawn.append(view)
    rows = [np.hstack(drawn[row * n_columns :][:n_columns]) for row in range(n_rows)]
    return np.vstack(rows)


def overview(width: int = 800) -> Image:
    """Return classes, appearances and some scenes in one picture."""
    last_row = slice(-SCENE[0], None)
    parts = [classes(), appearances(42, 14), scenes()[last_row]]
    scaled = [
        cv2.resize(part, (width, round(part.shape[0] * width / part.shape[1])),
                   interpolation=cv2.INTER_AREA)
        for part in parts
    ]  # fmt: skip
    return np.asarray(np.vstack(scaled), np.uint8)


def main() -> None:
    """Write all sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for make in (classes, appearances, distractors, scenes):
        write_image(out / f"{make.__name__}.png", make())
    write_image(out / "signs.jpg", overview())


if __name__ == "__main__":
    main()
