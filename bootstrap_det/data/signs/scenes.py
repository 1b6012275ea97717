"""Scenes: signs and other things before a background, seen through a camera.

:func:`draw_scene` draws all that is random and knows every box; :func:`render` makes the pixels,
at any later time, and always the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data.signs.appearance import (
    MAX_ROLL,
    Figure,
    Placed,
    draw_cover,
    draw_homography,
    draw_look,
    extent,
    moved,
    paint,
    scaled,
)
from bootstrap_det.data.signs.backgrounds import Layer, background, draw_layers
from bootstrap_det.data.signs.classes import CLASSES, SignClass, frequencies
from bootstrap_det.data.signs.distractors import draw_distractor
from bootstrap_det.data.signs.pen import Points

SIZES = ((240, 320), (288, 384), (320, 428), (360, 480))  # height, width
MAX_DISTRACTORS = 6
DISTRACTOR_SIZES = (12.0, 100.0)  # pixels, the longer side
P_POLE = 0.6
MARGIN = 2.0  # pixels, between a sign and the border
GAP = 3.0  # pixels, between two things
_N_TRIES = 200  # places to try for a thing before it is left out


@dataclass(frozen=True)
class Camera:
    """What happens to the whole picture.

    Attributes
    ----------
    gain, gamma : float
        Brightness, and the exponent of its curve.
    cast : tuple of 3 floats
        Factors of red, green and blue.
    noise : float
        Standard deviation of the sensor's noise, grey levels.
    quality : int
        Of the JPEG compression, up to 100; 0 is none.
    """

    gain: float = 1.0
    gamma: float = 1.0
    cast: tuple[float, ...] = (1.0, 1.0, 1.0)
    noise: float = 0.0
    quality: int = 0


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene before it is rendered.

    Attributes
    ----------
    size : tuple of 2 ints
        Height and width, pixels.
    layers : tuple of Layer
        The background.
    poles : tuple of Pole
        Under signs and elsewhere.
    signs : tuple of Placed
        Their figures are :class:`SignClass`.
    distractors : tuple of Placed
        Things that are none.
    camera : Camera
        The rest.
    noise_seed : int
        Of the sensor's noise.
    """

    size: tuple[int, int]
    layers: tuple[Layer, ...]
    poles: tuple[Pole, ...]
    signs: tuple[Placed, ...]
    distractors: tuple[Placed, ...]
    camera: Camera
    noise_seed: int

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes of the signs, shape (n, 4), xyxy, pixel edges."""
        return np.array([sign.box for sign in self.signs]).reshape(-1, 4)

    @property
    def classes(self) -> tuple[SignClass, ...]:
        """What the signs are."""
        return tuple(sign.figure for sign in self.signs if isinstance(sign.figure, SignClass))


@dataclass(frozen=True)
class Pole:
    """A grey post.

    Attributes
    ----------
    x, top, bottom, width : float
        Pixels.
    brightness : float
        0 to 255.
    """

    x: float
    top: float
    bottom: float
    width: float
    brightness: float


def draw_scene(
    rng: np.random.Generator, *, part: str, max_signs: int, sizes: tuple[float, float]
) -> Scene:
    """Return a random scene.

    Parameters
    ----------
    rng : Generator
        Of this scene alone.
    part : {"train", "test"}
        Which background pictures.
    max_signs : int
        The number of signs is anything from 0 to this, equally likely.
    sizes : (smallest, largest)
        Of the signs: the longer side of the box, pixels, log-uniform. The largest must be some
        pixels less than the height of the smallest scene.
    """
    size = SIZES[int(rng.integers(len(SIZES)))]
    n_signs, n_others = rng.integers(0, (max_signs + 1, MAX_DISTRACTORS + 1))
    kinds = rng.choice(len(CLASSES), int(n_signs), p=frequencies())
    figures: list[Figure] = [CLASSES[kind] for kind in kinds]
    figures += [draw_distractor(rng) for _ in range(n_others)]
    limits = [sizes] * int(n_signs) + [DISTRACTOR_SIZES] * int(n_others)
    placed: list[Placed] = []
    for figure, (low, high) in zip(figures, limits, strict=True):
        side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        thing = _place(rng, figure, side, size, placed)
        placed += [thing] if thing is not None else []
    signs = tuple(thing for thing in placed if isinstance(thing.figure, SignClass))
    others = tuple(thing for thing in placed if not isinstance(thing.figure, SignClass))
    poles = tuple(_draw_pole(rng, thing.box, size) for thing in placed if rng.random() < P_POLE)
    layers = draw_layers(rng, part)
    return Scene(size, layers, poles, signs, others, _draw_camera(rng), int(rng.integers(1 << 31)))


def _place(
    rng: np.random.Generator,
    figure: Figure,
    side: float,
    size: tuple[int, int],
    others: list[Placed],
) -> Placed | None:
    """Return a figure at a random place that is free, or None when none was found."""
    is_sign = isinstance(figure, SignClass)
    outline = figure.outline
    view = scaled(draw_homography(rng, max_roll=MAX_ROLL if is_sign else 15.0), outline, side)
    _, _, width, height = extent(view, outline)
    room = np.array([size[1] - width, size[0] - height]) - MARGIN
    taken = np.array([other.box for other in others]).reshape(-1, 4)
    for x, y in rng.uniform(MARGIN, room, (_N_TRIES, 2)):
        box = np.array([x, y, x + width, y + height])
        if _is_free(box, taken):
            return _seen(rng, figure, moved(view, x, y), outline, is_sign)
    return None


def _is_free(box: NDArray[np.float64], taken: NDArray[np.float64]) -> bool:
    left_of, right_of = box[:2] < taken[:, 2:] + GAP, taken[:, :2] < box[2:] + GAP
    return not (left_of & right_of).all(axis=1).any()


def _seen(
    rng: np.random.Generator, figure: Figure, view: Points, outline: Points, is_sign: bool
) -> Placed:
    box = extent(view, outline)
    look = draw_look(rng, float((box[2:] - box[:2]).max()))
    cover = draw_cover(rng, view, outline) if is_sign else None
    return Placed(figure, view, box, look, cover)


def _draw_pole(rng: np.random.Generator, box: NDArray[np.float64], size: tuple[int, int]) -> Pole:
    """Return a post that holds what is in the box, down to the border or not so far."""
    x1, y1, x2, y2 = box
    x, top = (x1 + x2) / 2, (y1 + y2) / 2
    bottom = min(y2 + (y2 - y1) * rng.uniform(0.5, 5.0), size[0])
    width = max(0.06 * (x2 - x1), 1.0)
    return Pole(float(x), float(top), float(bottom), float(width), float(rng.uniform(70, 200)))


def _draw_camera(rng: np.random.Generator) -> Camera:
    cast = rng.uniform(0.88, 1.12, 3)
    return Camera(
        gain=float(rng.uniform(0.65, 1.2)),
        gamma=float(np.exp(rng.uniform(-0.3, 0.3))),
        cast=tuple(cast.tolist()),
        noise=float(7.0 * rng.random() ** 2),
        quality=int(rng.integers(45, 96)),
    )


def render(scene: Scene) -> NDArray[np.uint8]:
    """Return the pixels of a scene, shape (height, width, 3), RGB."""
    return photograph(compose(scene), scene.camera, scene.noise_seed)


def compose(scene: Scene) -> NDArray[np.float32]:
    """Return what the camera sees, shape (height, width, 3), 0 to 255."""
    canvas = background(scene.layers, scene.size)
    for pole in scene.poles:
        _paint_pole(canvas, pole)
    for placed in (*scene.distractors, *scene.signs):
        paint(canvas, placed)
    return canvas


def photograph(canvas: NDArray[np.float32], camera: Camera, seed: int) -> NDArray[np.uint8]:
    """Return a picture of shape (height, width, 3) as a camera stores it."""
    lit = canvas * np.float32(camera.gain / 255) * np.array(camera.cast, np.float32)
    pixels = np.float32(255) * np.clip(lit, 0, 1) ** np.float32(camera.gamma)
    if camera.noise:
        noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32)
        pixels += np.float32(camera.noise) * noise
    stored = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return _compressed(stored, camera.quality) if camera.quality else stored


def _compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    # OpenCV's files are BGR, and chroma is stored at half the resolution: the order matters.
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), options)[1]
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _paint_pole(canvas: NDArray[np.float32], pole: Pole) -> None:
    """Paint a post that is brighter in its middle, with edges of a pixel."""
    rows = slice(max(int(pole.top), 0), int(np.ceil(pole.bottom)))
    offset = abs(np.arange(canvas.shape[1]) + 0.5 - pole.x)
    columns = np.flatnonzero(offset < pole.width / 2 + 0.5)
    alpha = np.clip(pole.width / 2 + 0.5 - offset[columns], 0, 1)[None, :, None]
    shade = pole.brightness * (1.0 - 0.4 * (offset[columns] / (pole.width / 2 + 0.5)) ** 2)
    part = canvas[rows, columns]
    canvas[rows, columns] = part + alpha * (shade[None, :, None] - part)
