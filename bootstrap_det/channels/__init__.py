"""Features of one picture at one scale.

A channel extractor turns a picture into planar channels of shape (n_channels, rows, columns) on a
grid of cells; everything downstream (pyramid, windows, classifiers) knows only the small protocol
:class:`Channels`, so a new kind of feature is one more class in this package.
"""

from __future__ import annotations

from typing import Any

from bootstrap_det._validation import check_choice
from bootstrap_det.channels.acf import ACF
from bootstrap_det.channels.base import Channels, Normalisation
from bootstrap_det.channels.defaults import default_channels
from bootstrap_det.channels.hog import HOG

__all__ = [
    "ACF",
    "EXTRACTORS",
    "HOG",
    "Channels",
    "Normalisation",
    "default_channels",
    "make_channels",
]

EXTRACTORS: dict[str, type[HOG] | type[ACF]] = {"HOG": HOG, "ACF": ACF}


def make_channels(name: str, **parameters: Any) -> Channels:
    """Return the extractor of this name, a key of :data:`EXTRACTORS`."""
    return EXTRACTORS[check_choice(name, "name", "make_channels", EXTRACTORS)](**parameters)
