"""Drawn crosses in noise as files, and the command line that learns to find them."""

from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner
from PIL import Image

from bootstrap_det.cli import main

SIDE = 28  # of a cross, pixels
FAST = [
    "--n-random-negatives", "200", "--n-negatives-per-round", "200", "--seed", "3", "--rounds", "2",
    "--n-trees", "48", "--n-trees-first", "1", "--depth", "1", "--holdout", "0.4",
    "--n-copies", "4",
]  # fmt: skip
LINEAR = [
    "--n-random-negatives", "200", "--n-negatives-per-round", "200", "--seed", "3", "--rounds", "1",
    "--features", "hog", "--classifier", "svm",
]  # fmt: skip


def noise_picture(rng, size=(96, 112)):
    coarse = rng.integers(40, 200, (size[0] // 8 + 1, size[1] // 8 + 1)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.BICUBIC))
    return np.clip(smooth + rng.normal(0, 6, size), 0, 255).astype(np.uint8)


def draw_cross(image, x, y, side=SIDE):
    third = side // 3
    image[y + third : y + 2 * third, x : x + side] = 250
    image[y : y + side, x + third : x + 2 * third] = 250


def write_set(folder, rng, n_pictures, *, first=0):
    """Write pictures with one or two crosses and their COCO file; return its path."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index in range(first, first + n_pictures):
        picture = noise_picture(rng)
        for x in (8, 64)[: 1 + index % 2]:
            y = int(rng.integers(4, 60))
            draw_cross(picture, x, y)
            box = [x, y, SIDE, SIDE]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": index + 1, "category_id": 1, "bbox": box}
            )
        name = f"{index:02d}.png"
        Image.fromarray(picture).save(folder / "images" / name)
        images.append({"id": index + 1, "file_name": name, "width": 112, "height": 96})
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cross"}],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return path


def write_crosses(top):
    """Write train/, test/ and background/ into a folder, and return it."""
    rng = np.random.default_rng(5)
    write_set(top / "train", rng, 10)
    write_set(top / "test", rng, 6)
    (top / "background").mkdir()
    for index in range(4):
        picture = noise_picture(rng)
        picture[10:20, 10:40] = picture[40:70, 50:60] = 250  # halves of a cross, to be mined
        Image.fromarray(picture).save(top / "background" / f"{index}.jpg")
    return top


def train_arguments(data, out, *more):
    return [
        "train", "--data", data / "train/annotations.json", "--negatives", data / "background",
        "--test-data", data / "test/annotations.json", "--out", out, "--jobs", "1", *FAST, *more,
    ]  # fmt: skip


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
