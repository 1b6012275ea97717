"""Objects cut out of their pictures: crops of one size, as a folder or an npz."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_choice, check_float, check_size
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.folders import write_crops
from bootstrap_det.data.picture import Crops, Picture
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import COLORS, write_image


@dataclass(frozen=True)
class Cut:
    """One object, cut out.

    Attributes
    ----------
    picture : str
        Name of the picture that shows it.
    index : int
        Of its box in the picture.
    label : str
        Of the box.
    pixels : ndarray of shape (height, width) or (height, width, 3), uint8
        The crop.
    """

    picture: str
    index: int
    label: str
    pixels: NDArray[np.uint8]


def cut_objects(
    dataset: Dataset,
    size: tuple[int, int],
    *,
    margin: float = 0.0,
    label: str | None = None,
    color: str = "rgb",
) -> Iterator[Cut]:
    """Yield the objects of a data set as crops of one size, picture by picture.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures. Ignored boxes and crowds are left out.
    size : (height, width)
        Of the crops in pixels.
    margin : float, default=0.0
        Surroundings on each side, in sides of the object, at most 4.
    label : str or None, default=None
        Whose objects; by default all.
    color : {"rgb", "grey"}, default="rgb"
        Of the crops.

    Yields
    ------
    Cut
        The box is grown about its centre to the shape of the crop, so that nothing is distorted;
        beyond the picture's border its outermost pixels go on.

    Raises
    ------
    ParameterError
        When a parameter is out of range.
    DataError
        When a picture cannot be read.
    """
    size = check_size(size, "size", "cut_objects")
    margin = check_float(margin, "margin", "cut_objects", low=0.0, high=4.0)
    check_choice(color, "color", "cut_objects", COLORS)
    for picture in dataset.pictures:
        chosen = picture.targets if label is None else picture.targets & (picture.labels == label)
        if chosen.any():
            yield from _cut(picture, np.flatnonzero(chosen), size, margin, color)


def write_cuts(
    dataset: Dataset,
    out: str | os.PathLike[str],
    size: tuple[int, int],
    *,
    margin: float = 0.0,
    label: str | None = None,
    color: str = "rgb",
) -> dict[str, int]:
    """Write the objects as an ``.npz`` of crops, or as a folder of pictures for each label.

    Both are what :func:`read_crops` reads; the parameters are those of :func:`cut_objects`.

    Returns
    -------
    dict of str to int
        How many of each label.

    Raises
    ------
    DataError
        When there is no such object, an .npz would hold several labels, or a file is there or
        cannot be written.
    """
    target = Path(out)
    if target.exists():
        raise DataError(f"{target}: exists already. Remove it, or write elsewhere.")
    cuts = cut_objects(dataset, size, margin=margin, label=label, color=color)
    if target.suffix.lower() == ".npz":
        counts = _write_npz(list(cuts), target)
    else:
        counts = {}
        for cut in cuts:
            folder = target / _safe(cut.label)
            folder.mkdir(parents=True, exist_ok=True)
            write_image(folder / f"{_safe(cut.picture)}_{cut.index}.png", cut.pixels)
            counts[cut.label] = counts.get(cut.label, 0) + 1
    if not counts:
        of = "" if label is None else f" of label {label!r}"
        raise DataError(f"The data set {dataset.name!r} has no object{of} to cut out.")
    return counts


def _write_npz(cuts: list[Cut], target: Path) -> dict[str, int]:
    labels = sorted({cut.label for cut in cuts})
    if len(labels) > 1:
        raise DataError(
            f"{target}: an .npz holds crops of one label. Got {', '.join(labels[:5])}; choose one, "
            "or write a folder."
        )
    if cuts:
        crops = Crops(np.stack([cut.pixels for cut in cuts]), label=labels[0])
        write_crops(Dataset(target.stem, crops=crops), target)
    return {label: len(cuts) for label in labels}


def _cut(
    picture: Picture, indices: NDArray[np.intp], size: tuple[int, int], margin: float, color: str
) -> Iterator[Cut]:
    image = picture.load(color)
    height, width = size
    for index in indices:
        x1, y1, x2, y2 = picture.boxes[index]
        scale = max((x2 - x1) / width, (y2 - y1) / height) * (1.0 + 2.0 * margin)
        pixels = _sampled(image, ((x1 + x2) / 2, (y1 + y2) / 2), scale, size)
        yield Cut(picture.name, int(index), str(picture.labels[index]), pixels)


def _sampled(
    image: NDArray[np.uint8], centre: tuple[float, float], scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the crop about a centre; ``scale`` is picture pixels for one of the crop."""
    # Warped at several times the size and averaged down, large objects are not sampled sparsely.
    times = max(round(scale), 1)
    height, width = size[0] * times, size[1] * times
    step = scale / times
    left, top = centre[0] - width * step / 2, centre[1] - height * step / 2
    # Boxes lie on pixel edges, warpAffine maps pixel centres: hence the halves.
    back = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    large = cv2.warpAffine(
        image, back, (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(cv2.resize(large, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _safe(name: str) -> str:
    """Return a name without what file systems mind, such as separators."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "object"
