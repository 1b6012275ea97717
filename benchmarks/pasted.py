"""Held-out frontal crops, degraded as in old prints, pasted into held-out pictures without faces.

A second validation set, for what the faces of WIDER FACE do not show: faint, noisy, blurred and
badly lit, but frontal. Composites: the seams are soft, but they are there.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det import Dataset
from bootstrap_det.data import Crops, Picture, merge, named, read_negatives
from bootstrap_det.data.named import Splits

EVERY = 5  # of the crops and of the mixed pictures, this part is held out
PER_PICTURE = 5
SIDES = (30, 90)  # pixels
SEED = 5


def training_part(root: Path) -> Splits:
    """Return caltech-crops and the negatives without what is held out."""
    splits = named.load("caltech-crops", data_root=root)
    assert splits.train is not None
    assert splits.negatives is not None
    crops = splits.train.crops
    assert crops is not None
    keep = np.arange(len(crops)) % EVERY != 0
    train = Dataset("crops", crops=Crops(crops.pixels[keep], label=crops.label))
    mixed = _mixed(root)
    some = mixed.subset(np.arange(len(mixed)) % EVERY != 0)
    return Splits("pasted", train, merge(splits.negatives, some, "negatives"))


def pasted_faces(root: Path) -> Dataset:
    """Return the composites."""
    rng = np.random.default_rng(SEED)
    crops = named.load("caltech-crops", data_root=root).train.crops.pixels[::EVERY]
    faces = iter(np.tile(rng.permutation(len(crops)), 2))
    mixed = _mixed(root)
    pictures = []
    for picture in mixed.subset(np.arange(len(mixed)) % EVERY == 0).pictures:
        scene = picture.load("grey").astype(np.float32)
        boxes = _places(scene.shape, rng)
        for box in boxes:
            _paste(scene, _degraded(crops[next(faces)], rng), box)
        pixels = _as_print(scene, rng)
        pictures.append(
            Picture(
                picture.image_id, picture.name, pixels=pixels, labels=["face"] * len(boxes),
                boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
                ignore=np.zeros(len(boxes), dtype=bool), crowd=np.zeros(len(boxes), dtype=bool),
            )
        )  # fmt: skip
    return Dataset("pasted", tuple(pictures))


def _mixed(root: Path) -> Dataset:
    return read_negatives(root / "faces/negatives_mixed/images")


def _places(shape: tuple[int, ...], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return squares in a picture that do not touch."""
    places: list[tuple[int, ...]] = []
    for _ in range(PER_PICTURE):
        side = int(np.exp(rng.uniform(*np.log(SIDES))))
        if side + 4 > min(shape):
            continue
        x, y = rng.integers(0, shape[1] - side), rng.integers(0, shape[0] - side)
        box = (int(x), int(y), int(x) + side, int(y) + side)
        if all(box[2] < p[0] or p[2] < box[0] or box[3] < p[1] or p[3] < box[1] for p in places):
            places.append(box)
    return places


def _degraded(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a crop of less resolution and contrast, in slanting light, with noise."""
    side = len(crop)
    small = max(int(side * rng.uniform(0.55, 1.0)), 16)
    face = cv2.resize(crop.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
    face = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    face = (face - face.mean()) * rng.uniform(0.25, 1.1) + rng.uniform(70, 180)
    slope = np.linspace(-1, 1, side)
    face += rng.uniform(-30, 30) * slope[None] + rng.uniform(-20, 20) * slope[:, None]
    face += rng.normal(0, rng.uniform(0, 9), face.shape)
    return np.asarray(255 * (np.clip(face, 0, 255) / 255) ** rng.uniform(0.6, 1.6), np.float32)


def _paste(scene: NDArray[np.float32], face: NDArray[np.float32], box: tuple[int, ...]) -> None:
    x1, y1, x2, y2 = box
    side = x2 - x1
    how = cv2.INTER_CUBIC if side > len(face) else cv2.INTER_AREA
    ramp = np.minimum(np.arange(side), np.arange(side)[::-1]) / max(side // 12, 1)
    opacity = np.minimum.outer(np.minimum(ramp, 1), np.minimum(ramp, 1)).astype(np.float32)
    under = scene[y1:y2, x1:x2]
    under += opacity * (cv2.resize(face, (side, side), interpolation=how) - under)


def _as_print(scene: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture with some noise, compressed as JPEG."""
    noisy = scene + rng.normal(0, rng.uniform(0, 4), scene.shape)
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], 0))
