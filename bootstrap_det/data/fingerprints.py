"""Which pictures are the same: to the pixel, or to the eye.

A difference hash (64 bits: is each of 8 x 8 areas brighter than its right neighbour) finds
candidates; a thumbnail confirms them, since pictures of little texture share hashes by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bootstrap_det.images import to_grey, to_rgb

MAX_DISTANCE = 4
"""Most of the 64 bits that may differ between two pictures that look the same."""

MIN_CORRELATION = 0.98
"""Least correlation of their thumbnails."""

_SIDE = 32  # of a thumbnail, pixels
_FLAT = 2.0  # grey levels; thumbnails of a smaller deviation show nothing to correlate
_MAX_STRETCH = 1.03  # ratio of two pictures' aspects that scaling to whole pixels can explain


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture to compare it with others.

    Attributes
    ----------
    size : tuple of int
        Height and width in pixels.
    digest : bytes
        SHA-256 of its size and RGB pixels.
    bits : int
        The difference hash.
    thumbnail : ndarray of shape (32, 32), float32
        Grey levels.
    """

    size: tuple[int, int]
    digest: bytes
    bits: int
    thumbnail: NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """Two pictures that are the same.

    Attributes
    ----------
    first, second : int
        Their positions.
    identical : bool
        To the pixel; otherwise to the eye.
    """

    first: int
    second: int
    identical: bool


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of a picture, shape (height, width) or (height, width, 3), uint8."""
    rgb = np.ascontiguousarray(to_rgb(pixels))
    size = (int(rgb.shape[0]), int(rgb.shape[1]))
    digest = hashlib.sha256(f"{size}".encode() + rgb.tobytes()).digest()
    grey = Image.fromarray(to_grey(rgb))
    rows = _scaled(grey, 9, 8)
    brighter = (rows[:, :-1] > rows[:, 1:]).ravel()
    bits = int.from_bytes(np.packbits(brighter).tobytes(), "big")
    return Fingerprint(size, digest, bits, _scaled(grey, _SIDE, _SIDE))


def _scaled(grey: Image.Image, width: int, height: int) -> NDArray[np.float32]:
    small = grey.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def matches_within(prints: Sequence[Fingerprint]) -> tuple[Match, ...]:
    """Return, of each picture that looks like one before it, the match with the first such."""
    return _matches(prints, prints, within=True)


def matches_between(
    prints: Sequence[Fingerprint], others: Sequence[Fingerprint]
) -> tuple[Match, ...]:
    """Return, of each of the others, the match with the first picture that looks like it."""
    return _matches(prints, others, within=False)


def _matches(
    prints: Sequence[Fingerprint], others: Sequence[Fingerprint], *, within: bool
) -> tuple[Match, ...]:
    bits = np.array([each.bits for each in prints], dtype=np.uint64)
    first_of: dict[bytes, int] = {}
    for index, each in enumerate(prints):
        first_of.setdefault(each.digest, index)
    found = []
    for index, other in enumerate(others):
        twin = first_of.get(other.digest, index if within else -1)
        if twin != (index if within else -1):
            found.append(Match(twin, index, True))
            continue
        known = bits[:index] if within else bits
        distance = np.bitwise_count(known ^ np.uint64(other.bits))
        for near in np.flatnonzero(distance <= MAX_DISTANCE).tolist():
            if _looks_like(prints[near], other):
                found.append(Match(near, index, False))
                break
    return tuple(found)


def _looks_like(one: Fingerprint, other: Fingerprint) -> bool:
    """Return whether two thumbnails agree but for light and contrast, and in their aspects."""
    stretch = (one.size[0] * other.size[1]) / (one.size[1] * other.size[0])
    if not 1 / _MAX_STRETCH <= stretch <= _MAX_STRETCH:
        return False
    first, second = (each.thumbnail.astype(np.float64) for each in (one, other))
    deviations: Any = first.std(), second.std()
    if min(deviations) < _FLAT:
        return bool(np.abs(first - second).mean() < _FLAT)
    return bool(np.corrcoef(first.ravel(), second.ravel())[0, 1] >= MIN_CORRELATION)
