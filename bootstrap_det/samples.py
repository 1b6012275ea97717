"""Training windows as feature vectors: positives with jitter, and random negatives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_bool, check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.windows import Window

COPY, TURNED, NEAR = range(3)  # kinds of windows that are made of an object

MAX_NEAR_IOU = 0.5  # of a window that is no longer the object
MAX_NEAR_SCALE = 1.6


@dataclass(frozen=True)
class Jitter:
    """Random changes of a positive: what the object may look like next time.

    Parameters
    ----------
    n_copies : int, default=1
        Changed copies of every positive, beside the unchanged one.
    mirror : bool, default=True
        Add the mirror image of every positive and of every copy.
    shift : float, default=0.03
        Largest shift, as a share of the object's height.
    scale : float, default=0.05
        Largest change of size, as a share.
    rotation : float, default=6.0
        Largest rotation in degrees.
    gain : float, default=0.2
        Largest change of contrast, as a share.
    light : float, default=0.0
        Largest loss of light, as a share: at 0.8, pixels of a copy are as little as 0.2 of what
        they were, as at dusk.
    blur : float, default=0.0
        Largest standard deviation of a Gaussian blur, in window pixels.
    pixel_noise : float, default=0.0
        Largest standard deviation of Gaussian noise, in grey levels.
    turns : tuple of float, default=()
        Rotations in degrees of one more copy each, for a strategy that chooses among them.
    n_near : int, default=0
        Windows beside every object that agree with it by less than 0.5 (intersection over union),
        for a strategy that takes them for negatives.
    """

    n_copies: int = 1
    mirror: bool = True
    shift: float = 0.03
    scale: float = 0.05
    rotation: float = 6.0
    gain: float = 0.2
    light: float = 0.0
    blur: float = 0.0
    pixel_noise: float = 0.0
    turns: tuple[float, ...] = ()
    n_near: int = 0

    def __post_init__(self) -> None:
        check_int(self.n_copies, "n_copies", "Jitter", low=0, high=1000)
        check_int(self.n_near, "n_near", "Jitter", low=0, high=1000)
        check_bool(self.mirror, "mirror", "Jitter")
        limits = {
            "shift": 1.0, "scale": 0.9, "rotation": 180.0, "gain": 0.95, "light": 0.99,
            "blur": 100.0, "pixel_noise": 255.0,
        }  # fmt: skip
        for name, high in limits.items():
            check_float(getattr(self, name), name, "Jitter", low=0.0, high=high)
        for turn in self.turns:
            check_float(turn, "turns", "Jitter", low=-180.0, high=180.0)


@dataclass(frozen=True)
class ObjectRows:
    """Windows that show objects, a row each in all arrays.

    Attributes
    ----------
    features : ndarray of shape (n, n_features), of the channels' dtype
        Of every object and of its changed copies.
    objects : ndarray of shape (n,), int
        Which object each row shows.
    ious : ndarray of shape (n,), float64
        Intersection over union of the object's box and the one that the window stands for: less
        than 1 for copies that were shifted or scaled.
    kinds : ndarray of shape (n,), uint8
        ``COPY``, or what a strategy asked for: ``TURNED`` (:attr:`Jitter.turns`) or ``NEAR``
        (:attr:`Jitter.n_near`).
    """

    features: NDArray[Any]
    objects: NDArray[np.intp]
    ious: NDArray[np.float64]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def plain(cls, features: NDArray[Any], objects: NDArray[np.intp] | None = None) -> ObjectRows:
        """Return unchanged windows, by default each of an object of its own."""
        n = len(features)
        objects = np.arange(n) if objects is None else objects
        return cls(features, objects, np.ones(n), np.full(n, COPY, np.uint8))

    def rows(self, chosen: NDArray[Any]) -> ObjectRows:
        """Return some of the rows, by index or mask."""
        return ObjectRows(
            self.features[chosen], self.objects[chosen], self.ious[chosen], self.kinds[chosen]
        )


@dataclass(frozen=True)
class _Change:
    """One drawn change, in the units of :class:`Jitter`."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0
    rotation: float = 0.0
    gain: float = 1.0
    light: float = 1.0
    blur: float = 0.0
    pixel_noise: float = 0.0
    seed: int = 0
    kind: int = COPY

    @property
    def iou(self) -> float:
        """Intersection over union of a square and its changed self, rotation left out."""
        sides = [(1.0 + self.scale) / 2.0 - abs(s) for s in (self.shift_x, self.shift_y)]
        both = math.prod(max(min(side, 1.0, self.scale), 0.0) for side in sides)
        return both / (1.0 + self.scale**2 - both)


def draw_changes(jitter: Jitter, rng: np.random.Generator) -> Iterator[_Change]:
    """Yield the identity, its turned copies, then the drawn changes of one object."""
    yield _Change()
    for turn in jitter.turns:
        yield _Change(rotation=turn, kind=TURNED)
    for lowest in np.arange(jitter.n_near) / max(jitter.n_near, 1) * MAX_NEAR_IOU:
        yield _near(lowest, lowest + MAX_NEAR_IOU / jitter.n_near, rng)
    for _ in range(jitter.n_copies):
        dx, dy, scale, rotation, gain = rng.uniform(-1.0, 1.0, 5)
        blur, noise = rng.uniform(0.0, 1.0, 2)
        noise_seed, darkness = int(rng.integers(2**32)), rng.uniform()
        yield _Change(
            dx * jitter.shift,
            dy * jitter.shift,
            (1.0 + jitter.scale) ** scale,
            rotation * jitter.rotation,
            (1.0 + jitter.gain) ** gain,
            1.0 - jitter.light * darkness,
            blur * jitter.blur,
            noise * jitter.pixel_noise,
            noise_seed,
        )


def _near(low: float, high: float, rng: np.random.Generator) -> _Change:
    """Return a shift and a scale that leave an agreement between ``low`` and ``high``."""
    while True:
        dx, dy, scale = rng.uniform(-1.0, 1.0, 3)
        change = _Change(dx, dy, MAX_NEAR_SCALE**scale, kind=NEAR)
        if low <= change.iou < high:
            return change


def object_features(
    image: NDArray[Any],
    box: NDArray[np.float64],
    window: Window,
    channels: Channels,
    jitter: Jitter,
    rng: np.random.Generator,
) -> ObjectRows:
    """Return one object and its changed copies, one row each; the object is number 0.

    Parameters
    ----------
    image : ndarray of shape (height, width) or (height, width, 3)
        The picture, or a crop with its margin.
    box : ndarray of shape (4,)
        The object in it, xyxy; it is warped onto the window's ``object_box``.
    """
    rows = []
    changes = list(draw_changes(jitter, rng))
    for change in changes:
        patch = _warp(image, box, window, channels.context * channels.cell_size, change)
        rows.append(patch_features(patch, window, channels))
        if jitter.mirror:
            rows.append(patch_features(patch[:, ::-1], window, channels))
    each = 2 if jitter.mirror else 1
    ious = np.repeat([change.iou for change in changes], each)
    kinds = np.repeat([change.kind for change in changes], each).astype(np.uint8)
    return ObjectRows(np.concatenate(rows), np.zeros(len(rows), np.intp), ious, kinds)


def patch_features(patch: NDArray[Any], window: Window, channels: Channels) -> NDArray[Any]:
    """Return the features (1, n_features) of a window patch with ``channels.context`` cells round.

    The margin gives the outermost cells the gradients that they have when a scan passes by;
    without it, the classifier would learn the missing ones.
    """
    values = channels.compute(np.ascontiguousarray(patch))
    at = np.full(1, channels.context, dtype=np.intp)
    return channels.window_features(values, channels.grid_shape(window.size), at, at)


def with_margin(crop: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    """Return a crop continued on all sides by odd reflection.

    An even reflection would have no gradient at the seam, and a classifier separates on that
    instead of on the object.
    """
    margin = min(margin, min(crop.shape[:2]) - 1)
    pads = [(margin, margin)] * 2 + [(0, 0)] * (crop.ndim - 2)
    wide = np.pad(crop.astype(np.int16), pads, mode="reflect", reflect_type="odd")
    return np.clip(wide, 0, 255).astype(np.uint8)


def _warp(
    image: NDArray[Any], box: NDArray[np.float64], window: Window, margin: int, change: _Change
) -> NDArray[Any]:
    """Return the window's patch, with ``margin`` pixels round it, of the picture's dtype.

    A large object is warped at twice the window's size and then averaged down, as the pyramid
    averages; interpolated at the final size, it would be less sharp than what a scan sees.
    """
    target = window.object_xyxy + margin
    size = (window.size[1] + 2 * margin, window.size[0] + 2 * margin)
    oversampling = 2 if change.scale * _relative_size(target, box) < 1.0 else 1
    large = (size[0] * oversampling, size[1] * oversampling)
    patch = _warp_onto(image, box, target * oversampling, large, change)
    if oversampling > 1:
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    return _degraded(patch, change)


def _warp_onto(
    image: NDArray[Any],
    box: NDArray[np.float64],
    target: NDArray[np.float64],
    size: tuple[int, int],
    change: _Change,
) -> NDArray[Any]:
    """Return a patch of ``size`` (width, height) in which ``box`` lies on ``target``."""
    factor = change.scale * _relative_size(target, box)
    if factor < 1.0:
        image, box = _shrink(image, box, factor, reach=max(size))
        factor = change.scale * _relative_size(target, box)
    shift = np.array([change.shift_x, change.shift_y]) * (target[3] - target[1])
    turn = math.radians(change.rotation)
    linear = factor * np.array(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    # Boxes lie on pixel edges, warpAffine maps pixel centres: hence the halves.
    offset = _centre(target) - 0.5 + shift - linear @ (_centre(box) - 0.5)
    return cv2.warpAffine(
        image,
        np.column_stack([linear, offset]),
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _shrink(
    image: NDArray[Any], box: NDArray[np.float64], factor: float, reach: int
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the neighbourhood of a box averaged down by ``factor``, and the box in it.

    Averaging areas is what the pyramid does; the warp alone would skip pixels.
    """
    height, width = image.shape[:2]
    x, y = _centre(box)
    radius = reach / factor
    # At least one pixel, also for a box outside the picture: the border goes on from there.
    left, right = int(np.clip(x - radius, 0, width - 1)), int(np.clip(x + radius, 0, width)) + 1
    top, bottom = int(np.clip(y - radius, 0, height - 1)), int(np.clip(y + radius, 0, height)) + 1
    cut = image[top:bottom, left:right]
    new_size = (max(round(cut.shape[1] * factor), 1), max(round(cut.shape[0] * factor), 1))
    small = cv2.resize(cut, new_size, interpolation=cv2.INTER_AREA)
    scale = np.array([new_size[0] / cut.shape[1], new_size[1] / cut.shape[0]])
    return small, (box - np.array([left, top, left, top])) * np.tile(scale, 2)


def _degraded(patch: NDArray[Any], change: _Change) -> NDArray[Any]:
    """Return a patch with the change's light, contrast, blur and noise, as uint8."""
    unchanged = change.gain == change.light == 1.0
    if unchanged and not change.blur and not change.pixel_noise:
        return patch
    mean = float(patch.mean())
    values: NDArray[Any] = (patch.astype(np.float32) - mean) * change.gain + mean
    if change.light != 1.0:
        values = np.clip(values, 0, 255) * change.light
    if change.blur:
        sigma, border = change.blur, cv2.BORDER_REPLICATE
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=border))
    if change.pixel_noise:
        values += np.random.default_rng(change.seed).normal(0.0, change.pixel_noise, values.shape)
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _relative_size(target: NDArray[np.float64], box: NDArray[np.float64]) -> float:
    """Return the factor by which ``box`` grows to the area of ``target``."""
    return math.sqrt(np.prod(target[2:] - target[:2]) / np.prod(box[2:] - box[:2]))


def _centre(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((box[:2] + box[2:]) / 2)
