"""Data sets of scenes with traffic signs, made on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_choice, check_float, check_int
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture
from bootstrap_det.data.signs.backgrounds import PICTURES
from bootstrap_det.data.signs.classes import CLASSES, GROUPS
from bootstrap_det.data.signs.scenes import Scene, draw_scene, render
from bootstrap_det.exceptions import ParameterError

VERSION = 1
"""Of the drawing; whoever changes what is drawn raises it, so that digests change, too."""

SIGN_SIZES = (16.0, 128.0)
MAX_SIGN_SIZE = 200.0  # pixels; the smallest scene is 240 high
MAX_SIGNS = 4
LABELS = ("group", "class")
NOTE = (
    "composites: drawn signs before pictures of the scikit-image and scikit-learn packages; the "
    "parts 'train' and 'test' share no picture"
)


@dataclass(frozen=True)
class SceneSource:
    """Renders one scene; it keeps what the scene depends on, not the scene.

    Attributes
    ----------
    seed, index : int
        Of the data set, and of the picture in it.
    part : {"train", "test"}
        Which background pictures.
    max_signs : int
        Most signs in it.
    sizes : tuple of 2 floats
        Limits of the signs' longer side, pixels.
    """

    seed: int
    index: int
    part: str = "train"
    max_signs: int = MAX_SIGNS
    sizes: tuple[float, float] = SIGN_SIZES

    @property
    def key(self) -> str:
        """All that the pixels depend on."""
        return f"signs {VERSION}: {self!r}"

    def scene(self) -> Scene:
        """Return the scene, not rendered."""
        parts = tuple(PICTURES)
        rng = np.random.default_rng([self.seed, parts.index(self.part), self.index])
        return draw_scene(rng, part=self.part, max_signs=self.max_signs, sizes=self.sizes)

    def __call__(self) -> NDArray[np.uint8]:
        """Return the pixels, shape (height, width, 3), RGB."""
        return render(self.scene())


def synth_signs(
    n_pictures: int,
    *,
    seed: int = 0,
    labels: str = "group",
    part: str = "train",
    max_signs: int = MAX_SIGNS,
    sizes: tuple[float, float] = SIGN_SIZES,
) -> Dataset:
    """Return scenes with drawn traffic signs, annotated; a picture is rendered when it is loaded.

    Parameters
    ----------
    n_pictures : int
        Scenes of 320x240 to 480x360 pixels. The first of a larger data set are those of a smaller
        one.
    seed : int, default=0
        At least 0. Other seeds, other scenes.
    labels : {"group", "class"}, default="group"
        What the boxes are called: one of three groups (``prohibitory``, ``danger``,
        ``mandatory``), or one of 14 classes, such as ``speed_50``.
    part : {"train", "test"}, default="train"
        Which background pictures; the two parts share none. The scenes of the parts differ with
        the same seed, too.
    max_signs : int, default=4
        A scene has 0 to ``max_signs`` signs, equally likely; with 0, there are negatives only.
    sizes : (float, float), default=(16.0, 128.0)
        The smallest and the largest sign: the longer side of its box in pixels, log-uniform.

    Returns
    -------
    Dataset
        The boxes are those of the signs' outlines, exact, also where something covers a sign.
        Boxes do not overlap each other. All of them are targets. Classes know their groups.

    Raises
    ------
    ParameterError
        When a parameter is out of range.

    Notes
    -----
    The k-th class of :data:`bootstrap_det.data.signs.CLASSES` has a frequency in proportion to
    1/k (Zipf's law): the rarest is 14 times as rare as the most frequent. Things that are not
    signs of the three groups stand in most scenes: discs, boards, blobs, yield and stop signs.
    """
    owner = "synth_signs"
    n_pictures = check_int(n_pictures, "n_pictures", owner, low=1, high=1_000_000)
    seed = check_int(seed, "seed", owner, low=0)
    labels = check_choice(labels, "labels", owner, LABELS)
    part = check_choice(part, "part", owner, PICTURES)
    max_signs = check_int(max_signs, "max_signs", owner, low=0, high=8)
    limits = _checked_sizes(sizes)
    sources = [SceneSource(seed, index, part, max_signs, limits) for index in range(n_pictures)]
    return Dataset(
        f"signs: {part}",
        tuple(_picture(source, labels) for source in sources),
        categories=GROUPS if labels == "group" else tuple(kind.name for kind in CLASSES),
        notes=(NOTE,),
        groups={} if labels == "group" else supercategories("class"),
    )


def supercategories(labels: str = "group") -> dict[str, str]:
    """Return what the labels belong to: classes to groups, groups to ``"traffic sign"``."""
    if labels == "group":
        return dict.fromkeys(GROUPS, "traffic sign")
    return {kind.name: kind.group for kind in CLASSES}


def _picture(source: SceneSource, labels: str) -> Picture:
    scene = source.scene()
    names = [kind.group if labels == "group" else kind.name for kind in scene.classes]
    none = np.zeros(len(names), dtype=bool)
    return Picture(
        source.index,
        f"signs_{source.part}_{source.seed}_{source.index:05d}.png",
        scene.boxes,
        np.array(names, dtype=np.str_),
        none,
        none,
        size=scene.size,
        source=source,
    )


def _checked_sizes(sizes: Any) -> tuple[float, float]:
    try:
        low, high = sizes
    except (TypeError, ValueError):
        low, high = None, None
    wanted = {"low": 8.0, "high": MAX_SIGN_SIZE}
    low, high = (check_float(side, "sizes", "synth_signs", **wanted) for side in (low, high))
    if low > high:
        raise ParameterError(
            "The 'sizes' parameter of synth_signs must be the smallest size and the largest. "
            f"Got ({low:g}, {high:g}) instead; exchange them."
        )
    return low, high
