"""What is behind the signs: views of the pictures that scikit-image and scikit-learn bring along.

The training part and the test part have different pictures. Some views are of two pictures, one
above the other; grey ones are tinted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data.embedded import packaged_picture
from bootstrap_det.images import read_image

# Both views of the motorcycle are on one side. The test part has photographs only.
PICTURES = {
    "train": (
        "brick.png", "camera.png", "cell.png", "chelsea.png", "china.jpg", "clock_motion.png",
        "coins.png", "color.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
        "moon.png", "motorcycle_left.png", "motorcycle_right.png", "page.png", "retina.jpg",
        "text.png",
    ),
    "test": ("astronaut.png", "coffee.png", "flower.jpg", "rocket.jpg"),
}  # fmt: skip
# Photographs of things and places are drawn this much more often than textures and scans.
_WEIGHTS = {"chelsea.png": 2.0, "china.jpg": 4.0, "motorcycle_left.png": 2.0,
            "motorcycle_right.png": 2.0, "camera.png": 2.0}  # fmt: skip
P_TWO_LAYERS = 0.35
_ZOOMS = (0.3, 1.0)  # of the largest part that has the scene's shape


@dataclass(frozen=True)
class Layer:
    """A part of a picture, as a scene shows it.

    Attributes
    ----------
    name : str
        File name of the picture.
    zoom, x, y : float
        Size and place of the part, as shares of the largest one and of the room that is left.
    mirrored : bool
        Whether left and right are exchanged.
    dark, light : tuple of 3 floats
        RGB between which a grey picture is tinted.
    horizon : tuple of 2 floats
        Below which height, at the left and at the right border, it hides the layers before it,
        as shares of the scene; (0, 0) is everywhere.
    """

    name: str
    zoom: float
    x: float
    y: float
    mirrored: bool
    dark: tuple[float, ...]
    light: tuple[float, ...]
    horizon: tuple[float, float] = (0.0, 0.0)


def draw_layers(rng: np.random.Generator, part: str) -> tuple[Layer, ...]:
    """Return the layers of a random background, the farthest first."""
    far, near = _draw_layer(rng, part), _draw_layer(rng, part)
    two, height, slope = rng.random(), rng.uniform(0.45, 0.85), rng.uniform(-0.15, 0.15)
    if two >= P_TWO_LAYERS:
        return (far,)
    horizon = (float(height - slope), float(height + slope))
    return far, Layer(**{**vars(near), "horizon": horizon})


def _draw_layer(rng: np.random.Generator, part: str) -> Layer:
    names = PICTURES[part]
    weights = np.array([_WEIGHTS.get(name, 1.0) for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    zoom, x, y = rng.uniform((_ZOOMS[0], 0, 0), (_ZOOMS[1], 1, 1))
    dark, light = rng.uniform(0, 60, 3), rng.uniform(170, 255, 3)
    mirrored = bool(rng.random() < 0.5)
    return Layer(name, zoom, x, y, mirrored, tuple(dark.tolist()), tuple(light.tolist()))


def background(layers: tuple[Layer, ...], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return layers as a picture of shape (height, width, 3), 0 to 255."""
    canvas = _view(layers[0], size)
    for layer in layers[1:]:
        edge = np.linspace(*layer.horizon, size[1]) * size[0]
        rows = np.arange(size[0])[:, None] + 0.5
        alpha = np.clip(rows - edge + 0.5, 0.0, 1.0)[..., None].astype(np.float32)
        canvas += alpha * (_view(layer, size) - canvas)
    return canvas


def _view(layer: Layer, size: tuple[int, int]) -> NDArray[np.float32]:
    image = _read(layer.name)
    height, width = size
    largest = min(image.shape[0] / height, image.shape[1] / width)
    rows, columns = (max(round(side * largest * layer.zoom), 8) for side in size)
    top, left = (
        round((side - extent) * share)
        for side, extent, share in zip(
            image.shape, (rows, columns), (layer.y, layer.x), strict=False
        )
    )
    part = image[top : top + rows, left : left + columns]
    how = cv2.INTER_AREA if rows > height else cv2.INTER_CUBIC
    view = cv2.resize(part[:, ::-1] if layer.mirrored else part, (width, height), interpolation=how)
    pixels = np.asarray(view, np.float32)
    return _tinted(pixels, layer) if pixels.ndim == 2 else pixels


def _tinted(grey: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    share = grey[..., None] / np.float32(255)
    dark, light = np.array(layer.dark), np.array(layer.light)
    return np.asarray(dark + share * (light - dark), np.float32)


@cache
def _read(name: str) -> NDArray[np.uint8]:
    """Return a packaged picture, grey when its colours are; all of them take some 15 MB."""
    pixels = read_image(packaged_picture(name), color="rgb")
    is_grey = (pixels == pixels[..., :1]).all()
    return np.ascontiguousarray(pixels[..., 0]) if is_grey else pixels
