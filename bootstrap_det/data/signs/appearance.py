"""How a sign looks from the road: turned, lit, faded, blurred, behind leaves.

A :class:`Placed` is drawn from a random generator first, with its exact box, and painted later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data.signs.pen import REACH, SIDE, Points, arc

MAX_TILT = 35.0  # degrees, out of the picture's plane
MAX_ROLL = 6.0  # degrees
MAX_COVERED = 0.2  # of a sign's area, by what stands before it
P_COVERED, P_SHADOW, P_MOTION = 0.2, 0.25, 0.2
DISTANCES = (3.0, 10.0)  # from the camera, in sign units: how strong the perspective is
_MID_GREY = 128.0
_LEAVES = ((58, 84, 40), (84, 102, 52), (96, 82, 56), (62, 58, 54), (120, 120, 116))  # RGB


class Figure(Protocol):
    """Something flat that can be placed, in sign units."""

    @property
    def outline(self) -> Points:
        """The edge of what is opaque, shape (n, 2)."""
        ...

    def sprite(self) -> NDArray[np.uint8]:
        """Return it drawn from the front, see :meth:`Pen.cut_out`."""
        ...


@dataclass(frozen=True)
class Look:
    """Light, wear and lens, of one figure.

    Attributes
    ----------
    gain : float
        Brightness.
    adaptation : float
        How much of the surroundings' brightness it takes on, 0 to 1.
    fade : float
        How far its colours are on the way to grey, 0 to 1.
    gradient : tuple of 2 floats
        Change of brightness from the middle to the right and to the lower border, as a share.
    shadow : tuple of 3 floats
        Direction in radians, offset in half sides, and darkening as a share.
    blur : float
        Standard deviation, pixels.
    motion : tuple of 2 floats
        Length in pixels and direction in radians of the camera's motion.
    """

    gain: float = 1.0
    adaptation: float = 0.0
    fade: float = 0.0
    gradient: tuple[float, float] = (0.0, 0.0)
    shadow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blur: float = 0.0
    motion: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Cover:
    """Something before a sign that hides a part of it: a leaf or a bar.

    Attributes
    ----------
    points : ndarray of shape (n, 2)
        Its polygon, pixels of the picture.
    color : tuple of 3 ints
        RGB.
    """

    points: Points
    color: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Placed:
    """A figure at its place in a picture.

    Attributes
    ----------
    figure : Figure
        What is seen.
    homography : ndarray of shape (3, 3)
        From sign units to pixels of the picture, on pixel edges.
    box : ndarray of shape (4,), float64
        xyxy of its outline in the picture, pixel edges.
    look : Look
        How it is seen.
    cover : Cover or None
        What hides a part of it.
    """

    figure: Figure
    homography: NDArray[np.float64]
    box: NDArray[np.float64]
    look: Look = field(default_factory=Look)
    cover: Cover | None = None


def draw_homography(rng: np.random.Generator, *, max_roll: float = MAX_ROLL) -> Points:
    """Return a random view of the sign's plane, shape (3, 3): turned, mostly about the pole."""
    tilt = np.radians(rng.uniform(0.0, MAX_TILT))
    axis = np.radians(rng.choice([90.0, -90.0]) + rng.normal(0.0, 15.0))
    roll = np.radians(rng.uniform(-max_roll, max_roll))
    distance = rng.uniform(*DISTANCES)
    turned, _ = cv2.Rodrigues(tilt * np.array([np.cos(axis), np.sin(axis), 0.0]))
    rolled, _ = cv2.Rodrigues(np.array([0.0, 0.0, roll]))
    rotation = rolled @ turned
    # The plane's points have z = 0, so the third column of the rotation has no part in it.
    depth = np.array([0.0, 0.0, 1.0]) + np.append(rotation[2, :2] / distance, 0.0)
    return np.stack([np.append(rotation[0, :2], 0), np.append(rotation[1, :2], 0), depth])


def outline_in_picture(homography: Points, outline: Points) -> Points:
    """Return points of the sign's plane where they are in the picture, shape (n, 2)."""
    mapped = np.concatenate([outline, np.ones((len(outline), 1))], axis=1) @ homography.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def extent(homography: Points, outline: Points) -> NDArray[np.float64]:
    """Return the box of an outline in the picture, shape (4,), xyxy."""
    points = outline_in_picture(homography, outline)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def scaled(homography: Points, outline: Points, size: float) -> Points:
    """Return the view with the longer side of the box ``size`` pixels, its corner at (0, 0)."""
    x1, y1, x2, y2 = extent(homography, outline)
    scale = size / max(x2 - x1, y2 - y1)
    return moved(np.diag([scale, scale, 1.0]) @ homography, -x1 * scale, -y1 * scale)


def moved(homography: Points, x: float, y: float) -> Points:
    """Return the view shifted by (x, y) pixels."""
    return np.asarray(np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]) @ homography)


def draw_look(rng: np.random.Generator, size: float) -> Look:
    """Return a random look; small figures are blurred less, in pixels."""
    in_shadow, in_motion = rng.random(2) < (P_SHADOW, P_MOTION)
    direction, offset, darkening = rng.uniform((0, -0.5, 0.3), (2 * np.pi, 0.5, 0.6))
    motion = rng.uniform(1.0, 1.5 + 0.035 * size), rng.uniform(0.0, np.pi)
    return Look(
        gain=float(rng.uniform(0.7, 1.1)),
        adaptation=float(rng.uniform(0.2, 0.7)),
        fade=float(0.45 * rng.random() ** 2),
        gradient=(float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.15, 0.15))),
        shadow=(direction, offset, darkening if in_shadow else 0.0),
        blur=float(rng.uniform(0.25, 0.6 + 0.012 * size)),
        motion=motion if in_motion else (0.0, 0.0),
    )


def draw_cover(rng: np.random.Generator, homography: Points, outline: Points) -> Cover | None:
    """Return, now and then, something that hides at most ``MAX_COVERED`` of the sign."""
    wanted, is_leaf = rng.random() < P_COVERED, rng.random() < 0.6
    share = rng.uniform(0.3, 1.0) * MAX_COVERED
    angle = rng.uniform(0.0, 2 * np.pi)
    color = np.array(_LEAVES[int(rng.integers(len(_LEAVES)))]) + rng.integers(-15, 16)
    edge = outline_in_picture(homography, outline)
    around = edge[int(rng.integers(len(edge)))] * 0.7 + edge.mean(axis=0) * 0.3
    if not wanted:
        return None
    area = share * float(cv2.contourArea(edge.astype(np.float32)))
    longest = float(np.hypot(*(edge.max(axis=0) - edge.min(axis=0))))
    shape = _leaf(area) if is_leaf else _bar(area, longest)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    red, green, blue = (int(v) for v in color)
    return Cover(shape @ rotation + around, (red, green, blue))


def _leaf(area: float) -> Points:
    """Return a pointed oval of an area about (0, 0): two arcs that meet at its ends."""
    radius = np.sqrt(area / (np.pi / 2 - 1))  # of two quarter circles over one chord
    arcs = [arc((0, sign * radius / np.sqrt(2)), radius, sign * -45, sign * -135, n_points=17)
            for sign in (1, -1)]  # fmt: skip
    return np.concatenate([arcs[0], arcs[1][::-1]])


def _bar(area: float, longest: float) -> Points:
    """Return a bar so narrow that no more than ``area`` of it lies within a length."""
    half = area / longest / 2
    ends = 0.65 * longest
    return np.array([(-ends, -half), (ends, -half), (ends, half), (-ends, half)])


def paint(canvas: NDArray[np.float32], placed: Placed) -> None:
    """Paint a figure, and then what covers it, onto a picture of shape (height, width, 3)."""
    points = placed.box.reshape(2, 2)
    if placed.cover is not None:
        points = np.concatenate([points, placed.cover.points])
    spread = 3.0 * placed.look.blur + placed.look.motion[0] / 2 + 1.0
    height, width = canvas.shape[:2]
    x1, y1 = np.clip(np.floor(points.min(axis=0) - spread), 0, (width - 1, height - 1)).astype(int)
    x2, y2 = np.clip(np.ceil(points.max(axis=0) + spread), (x1 + 1, y1 + 1), (width, height))
    part = canvas[y1 : int(y2), x1 : int(x2)]
    layer = _warped(placed, (x1, y1), part.shape[:2])
    layer[..., :3] = _lit(layer, placed, (x1, y1), float(part.mean()))
    if placed.cover is not None:
        _lay_over(layer, placed.cover, (x1, y1))
    layer = _blurred(layer, placed.look)
    part *= 1.0 - layer[..., 3:]
    part += 255.0 * layer[..., :3]


def _warped(placed: Placed, corner: tuple[int, int], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the figure in a part of the picture: RGBA, 0 to 1, colours multiplied by alpha.

    The picture is drawn several times as fine and averaged, so that no stroke is missed and the
    edge is where it belongs to a fraction of a pixel.
    """
    longer = float((placed.box[2:] - placed.box[:2]).max())
    fine = int(np.clip(np.ceil(SIDE / longer), 1, 16))
    per_unit = SIDE / (2 * REACH)
    half = 0.5  # OpenCV counts from the middle of the first pixel
    from_sprite = np.array(
        [[1 / per_unit, 0, half / per_unit - REACH], [0, 1 / per_unit, half / per_unit - REACH],
         [0, 0, 1]]
    )  # fmt: skip
    to_part = np.array(
        [[fine, 0, -corner[0] * fine - half], [0, fine, -corner[1] * fine - half], [0, 0, 1]]
    )
    matrix = to_part @ placed.homography @ from_sprite
    height, width = size[:2]
    drawn = cv2.warpPerspective(
        placed.figure.sprite(), matrix, (width * fine, height * fine), flags=cv2.INTER_LINEAR
    )
    layer = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(layer, np.float32) / np.float32(255)


def _lit(
    layer: NDArray[np.float32], placed: Placed, corner: tuple[int, int], around: float
) -> NDArray[np.float32]:
    """Return the colours of a layer in their light; ``around`` is the surroundings' brightness."""
    look = placed.look
    middle, half = placed.box.reshape(2, 2).mean(axis=0), (placed.box[2:] - placed.box[:2]) / 2
    x = (np.arange(layer.shape[1]) + 0.5 + corner[0] - middle[0])[None, :] / half[0]
    y = (np.arange(layer.shape[0]) + 0.5 + corner[1] - middle[1])[:, None] / half[1]
    light = look.gain * (1.0 + look.adaptation * (around / _MID_GREY - 1.0))
    light = light * (1.0 + look.gradient[0] * x + look.gradient[1] * y)
    direction, offset, darkening = look.shadow
    beyond = x * np.cos(direction) + y * np.sin(direction) - offset
    light = light * (1.0 - darkening * np.clip(0.5 + beyond / 0.1, 0.0, 1.0))
    colors = layer[..., :3]
    faded = colors + look.fade * (colors.mean(axis=-1, keepdims=True) - colors)
    # What reflects light is at most white, and at night still seen.
    return np.asarray(
        np.minimum(faded * np.clip(light, 0.15, 1.2)[..., None], layer[..., 3:]), np.float32
    )


def _lay_over(layer: NDArray[np.float32], cover: Cover, corner: tuple[int, int]) -> None:
    """Lay a cover over a layer, in place."""
    fine, shift = 4, 6
    height, width = layer.shape[:2]
    mask = np.zeros((height * fine, width * fine), np.uint8)
    points = np.rint(((cover.points - corner) * fine - 0.5) * (1 << shift)).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, cv2.LINE_8, shift)
    small = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    alpha = small[..., None] / np.float32(255)
    layer *= 1.0 - alpha
    layer += alpha * np.array([*cover.color, 255], np.float32) / np.float32(255)


def _blurred(layer: NDArray[np.float32], look: Look) -> NDArray[np.float32]:
    if look.motion[0] > 1.0:
        layer = np.asarray(cv2.filter2D(layer, -1, _streak(*look.motion)), np.float32)
    if look.blur > 0.2:  # a pixel is as wide
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), look.blur), np.float32)
    return layer


def _streak(length: float, direction: float) -> NDArray[np.float32]:
    """Return the kernel of a straight motion, of sum 1."""
    half = int(np.ceil(length / 2))
    ys, xs = np.mgrid[-half : half + 1, -half : half + 1]
    along = xs * np.cos(direction) + ys * np.sin(direction)
    across = ys * np.cos(direction) - xs * np.sin(direction)
    kernel = np.clip(length / 2 + 0.5 - abs(along), 0, 1) * np.clip(1 - abs(across), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
