"""Large annotated pictures cut into overlapping tiles, and what becomes of their boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_bool, check_choice, check_float
from bootstrap_det.boxes import area, clip
from bootstrap_det.data.coco import write_coco
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.writing import make_folder
from bootstrap_det.data.picture import Picture, Skipped
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image
from bootstrap_det.tiles import check_tiling, tile_boxes
from bootstrap_det.workers import in_parallel

ANNOTATIONS, IMAGES = "annotations.json", "images"
SUFFIXES = ("png", "jpg")

_LEAST_SIDE = 1.0  # pixels; what a tile shows of a box that is thinner is no region to ignore
_WHOLE = 1.0 - 1e-9  # visible share of a box that is not cut, but for rounding


@dataclass(frozen=True, eq=False)
class TileSource:
    """The pixels of one tile, cut from its picture when they are asked for.

    Attributes
    ----------
    parent : Picture
        Where it is cut from.
    box : tuple of int
        x1, y1, x2, y2, picture pixels.
    """

    parent: Picture
    box: tuple[int, int, int, int]

    @property
    def key(self) -> str:
        """The picture and the place in it."""
        source = self.parent.source
        inner = self.parent.name if source is None else source.key
        return f"tile/{','.join(map(str, self.box))}/{inner}"

    def __call__(self) -> NDArray[np.uint8]:
        """Return the pixels, shape (height, width, 3)."""
        return self.cut(self.parent.load("rgb"))

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the tile of the picture's pixels, when these are there already."""
        x1, y1, x2, y2 = self.box
        return np.ascontiguousarray(pixels[y1:y2, x1:x2])


@dataclass(frozen=True)
class Tiled:
    """Tiles as a data set, and what became of the objects.

    Attributes
    ----------
    dataset : Dataset
        Each tile a picture that is cut out when it is loaded.
    n_pictures, n_objects : int
        Before.
    n_whole : int
        Objects that are whole in at least one tile.
    n_cut : int
        Objects that are in no tile whole, but in at least one as an object.
    n_lost : int
        Objects that are only ignored now: no tile shows enough of them.
    n_boxes : int
        Boxes of objects in all tiles; where tiles overlap, an object is in several.
    n_remains : int
        Remains of objects at the borders of tiles, ignored.
    n_slivers : int
        Remains, also of ignored boxes, less than a pixel thin, left out.
    """

    dataset: Dataset
    n_pictures: int
    n_objects: int
    n_whole: int
    n_cut: int
    n_lost: int
    n_boxes: int
    n_remains: int
    n_slivers: int

    def to_dict(self) -> dict[str, int]:
        """Return the counts, ready for JSON."""
        counts = {name: value for name, value in vars(self).items() if name != "dataset"}
        return {"n_tiles": len(self.dataset), **counts}


def tile(
    dataset: Dataset,
    size: tuple[int, int],
    *,
    overlap: int = 0,
    min_visible: float = 0.5,
    keep_whole: bool = False,
    keep_empty: bool = True,
) -> Tiled:
    """Return the pictures of a data set as overlapping tiles, with their boxes.

    Parameters
    ----------
    dataset : Dataset
        Pictures with boxes, without crops.
    size : (height, width)
        Of a tile, pixels; a picture that is smaller on a side gives tiles as small there.
    overlap : int, default=0
        Pixels that neighbouring tiles share at least. An object of at most this height and width
        is whole in at least one tile.
    min_visible : float, default=0.5
        The least share of an object's area that a tile must show to have the object; of an object
        that runs past the picture's border, the share of what the picture shows of it.
    keep_whole : bool, default=False
        Keep the boxes of objects that a tile cuts as they are, past its border, instead of
        cutting them there.
    keep_empty : bool, default=True
        Keep tiles without any box: background to mine.

    Returns
    -------
    Tiled
        Tiles in the order of the pictures, row by row, numbered from 0 and named after picture
        and place. No pixels are read, but for the size of a picture that states none.

    Raises
    ------
    DataError
        When the data set holds crops, or the size of a picture cannot be read.
    ParameterError
        When a parameter is out of its range.

    Notes
    -----
    Of every object that a tile shows in part, but too little of, the visible rest is an ignored
    box there: it counts neither as an object nor as background. Ignored objects and crowds are
    cut at the tile's border and stay what they are.
    """
    size, overlap = check_tiling(size, overlap, "tile")
    min_visible = check_float(min_visible, "min_visible", "tile", low=1e-6, high=1.0)
    keep_whole = check_bool(keep_whole, "keep_whole", "tile")
    keep_empty = check_bool(keep_empty, "keep_empty", "tile")
    if dataset.crops is not None:
        raise DataError(f"The crops of {dataset.name!r} cannot be cut. Tile its pictures alone.")
    names, counts = set[str](), Counter[str]()
    tiles: list[Picture] = []
    for picture in dataset.pictures:
        shares = np.zeros(int(picture.targets.sum()))  # the most that any tile shows of each
        for box in tile_boxes(picture.measure(), size, overlap):
            part, visible = _cut(picture, box, min_visible, keep_whole, counts)
            shares = np.maximum(shares, visible)
            if keep_empty or len(part.boxes):
                name = _free_name(picture.name, box, names)
                tiles.append(replace(part, image_id=len(tiles), name=name))
        counts["whole"] += int((shares >= _WHOLE).sum())
        counts["lost"] += int((shares < min_visible).sum())
    n_objects = dataset.n_objects
    return Tiled(
        replace(dataset, pictures=tuple(tiles)),
        n_pictures=len(dataset),
        n_objects=n_objects,
        n_whole=counts["whole"],
        n_cut=n_objects - counts["whole"] - counts["lost"],
        n_lost=counts["lost"],
        n_boxes=counts["boxes"],
        n_remains=counts["remains"],
        n_slivers=counts["slivers"],
    )


def write_tiles(
    tiled: Tiled,
    folder: Path,
    *,
    suffix: str = "png",
    n_jobs: int = 1,
    skip_bad: bool = False,
) -> Dataset:
    """Write tiles into ``folder/images`` and their annotations, COCO, beside it.

    Parameters
    ----------
    tiled : Tiled
        What :func:`tile` returned.
    folder : Path
        Is made where it is missing.
    suffix : {"png", "jpg"}, default="png"
        Of the tiles. PNG keeps every pixel; JPEG (quality 95) takes less space.
    n_jobs : int, default=1
        Pictures at a time; memory holds these, each decoded once, and a tile of each.
    skip_bad : bool, default=False
        Leave out the tiles of pictures that cannot be read, and list these.

    Returns
    -------
    Dataset
        What was written.

    Raises
    ------
    DataError
        When a picture cannot be read and ``skip_bad`` is off, ``folder/images`` is a link to
        other pictures, or a file cannot be written.
    """
    check_choice(suffix, "suffix", "write_tiles", SUFFIXES)
    if (folder / IMAGES).is_symlink():
        raise DataError(
            f"{folder / IMAGES}: is a link to other pictures. Remove it, or write elsewhere."
        )
    make_folder(folder / IMAGES)
    work = partial(_write_tiles_of, folder / IMAGES, suffix, skip_bad)
    groups = ((tiles,) for tiles in _by_parent(tiled.dataset))
    written = list(in_parallel(work, groups, n_jobs=n_jobs))
    pictures = [picture for part in written if isinstance(part, list) for picture in part]
    skipped = [part for part in written if isinstance(part, Skipped)]
    dataset = replace(
        tiled.dataset, pictures=tuple(pictures), skipped=(*tiled.dataset.skipped, *skipped)
    )
    write_coco(dataset, folder / ANNOTATIONS)
    return dataset


def _write_tiles_of(
    folder: Path, suffix: str, skip_bad: bool, tiles: Sequence[Picture]
) -> list[Picture] | Skipped:
    """Write the tiles of one picture, decoded once; return them as pictures on disk."""
    parent = _source(tiles[0]).parent
    try:
        pixels = parent.load("rgb")
    except DataError as error:
        if not skip_bad:
            raise
        return Skipped(parent.name, str(error))
    if (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]  # a third of the bytes
    written = []
    for each in tiles:
        name = f"{each.name}.{suffix}"
        write_image(folder / name, _source(each).cut(pixels))
        written.append(replace(each, name=name, path=folder / name, source=None))
    return written


def _by_parent(dataset: Dataset) -> list[list[Picture]]:
    groups: dict[int, list[Picture]] = {}
    for picture in dataset.pictures:
        groups.setdefault(_source(picture).parent.image_id, []).append(picture)
    return list(groups.values())


def _source(picture: Picture) -> TileSource:
    assert isinstance(picture.source, TileSource)  # as `tile` made it
    return picture.source


def _cut(
    picture: Picture,
    box: NDArray[np.int64],
    min_visible: float,
    keep_whole: bool,
    counts: Counter[str],
) -> tuple[Picture, NDArray[np.float64]]:
    """Return a tile, and the share of each object of the picture that it shows."""
    x1, y1, x2, y2 = (int(side) for side in box)
    size, origin = (y2 - y1, x2 - x1), np.array([x1, y1, x1, y1], dtype=np.float64)
    moved = picture.boxes - origin
    seen = clip(moved, size)
    shares = area(seen) / np.maximum(area(clip(picture.boxes, picture.measure())), 1e-300)
    thin = (seen[:, 2:] - seen[:, :2]).min(axis=1, initial=np.inf) < _LEAST_SIDE
    is_object = picture.targets & (shares >= min_visible)
    shown = shares > 0
    remains = picture.targets & shown & ~is_object
    counts["boxes"] += int(is_object.sum())
    counts["remains"] += int((remains & ~thin).sum())
    counts["slivers"] += int((shown & thin & ~is_object).sum())
    # What is not cut keeps its box to the bit, though it may run past the picture's border.
    as_it_was = is_object & (keep_whole | (shares >= _WHOLE))
    boxes = np.where(as_it_was[:, None], moved, seen)
    keep = is_object | (shown & ~thin)
    tile_picture = Picture(
        0,
        picture.name,
        boxes[keep],
        picture.labels[keep],
        (picture.ignore | remains)[keep],
        picture.crowd[keep],
        source=TileSource(picture, (x1, y1, x2, y2)),
        size=size,
    )
    return tile_picture, shares[picture.targets]


def _free_name(name: str, box: Any, taken: set[str]) -> str:
    """Return a name of one level, without ending, for a tile of a picture."""
    stem = "_".join(PurePath(name).with_suffix("").parts).strip("/\\").replace("\\", "_")
    wanted = f"{stem}_y{box[1]:05}_x{box[0]:05}"
    free, copy = wanted, 1
    while free in taken:
        copy += 1
        free = f"{wanted}_{copy}"
    taken.add(free)
    return free
