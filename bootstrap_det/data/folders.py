"""Data without annotations: folders of pictures that lack the object, and ready-made crops."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bootstrap_det._files import atomic_write
from bootstrap_det._validation import check_bool
from bootstrap_det._zips import open_zip
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Crops, Picture, Skipped
from bootstrap_det.data.shards import is_shards, read_shards
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import image_size, list_images, read_image

MAX_CROPS_BYTES = 1 << 30
"""Most bytes that the crops of one file may take."""

MAX_CROPS_RATIO = 100
"""Most bytes of crops for each byte of the file; pictures come to 4."""

_SMALL = 1 << 20  # bytes that any file may hold

_MEMBER = "crops.npy"
_MAX_MEMBERS = 4096
_PIECE = 1 << 20  # bytes that are unpacked at a time


def read_negatives(
    folder: str | os.PathLike[str], *, name: str | None = None, skip_bad: bool = False
) -> Dataset:
    """Return the pictures of a folder, and of the folders in it, as pictures without the object.

    Parameters
    ----------
    folder : str or path-like
        Pictures that do not show the object anywhere. Or shards of them, see
        :func:`read_annotations`; a folder is one of shards when it holds archives and no pictures.
    name : str, optional
        Name of the data set, by default that of the folder.
    skip_bad : bool, default=False
        List pictures whose header cannot be read in ``skipped``, instead of raising for the first.

    Returns
    -------
    Dataset
        Pictures without boxes, sorted by name, with ids from 0; those of shards in their order.

    Raises
    ------
    DataError
        When the folder is missing or holds no picture, or a picture's header cannot be read, or
        objects are annotated in a picture of a shard. Damage behind the header is found when the
        picture is loaded, and that of a header in a shard.
    """
    skip_bad = check_bool(skip_bad, "skip_bad", "read_negatives")
    top = Path(folder)
    if is_shards(top) and not _has_pictures(top):
        return _of_shards(read_shards(top, name=name, skip_bad=skip_bad), skip_bad)
    pictures: list[Picture] = []
    skipped: list[Skipped] = []
    for path in list_images(top):
        try:
            size = image_size(path)
        except DataError as error:
            if not skip_bad:
                raise
            skipped.append(Skipped(str(path), str(error)))
            continue
        shown = path.relative_to(top).as_posix()
        pictures.append(Picture(len(pictures), shown, path=path, size=size))
    return Dataset(name or top.resolve().name, tuple(pictures), skipped=tuple(skipped))


def _has_pictures(top: Path) -> bool:
    try:
        return bool(os.path.isdir(top) and list_images(top))
    except DataError:
        return False


def _of_shards(dataset: Dataset, skip_bad: bool) -> Dataset:
    """Return a data set whose pictures must have no boxes."""
    kept, skipped = [], list(dataset.skipped)
    for picture in dataset.pictures:
        if not len(picture.boxes):
            kept.append(picture)
            continue
        reason = (
            f"{picture.member}: is given as a negative, but annotated with {len(picture.boxes)} "
            "boxes. Remove it from the negatives, or give the shards as annotations."
        )
        if not skip_bad:
            raise DataError(reason)
        skipped.append(Skipped(picture.name, reason))
    return Dataset(dataset.name, tuple(kept), skipped=tuple(skipped), notes=dataset.notes)


def read_crops(
    path_or_folder: str | os.PathLike[str],
    *,
    label: str = "object",
    object_box: Sequence[float] | None = None,
) -> Dataset:
    """Return positives that come as crops of equal size.

    Parameters
    ----------
    path_or_folder : str or path-like
        An .npz file with an array ``crops``, uint8 of shape (n, height, width) or
        (n, height, width, 3), of at most 1 GiB; or a folder of pictures of one size.
    label : str, default="object"
        Category of all crops.
    object_box : sequence of 4 floats, optional
        Where the object lies in each of them, xyxy, crop pixels; by default the whole crop.

    Returns
    -------
    Dataset
        Without pictures, with ``crops``. Crops from a folder are grey when all pictures are,
        else RGB.

    Raises
    ------
    DataError
        When the file or folder is missing, damaged, or holds something else.
    ParameterError
        When ``object_box`` has no area or lies outside the crop.
    """
    path = Path(path_or_folder)
    pixels = _crops_of_folder(path) if path.is_dir() else _crops_of_file(path)
    box: Any = () if object_box is None else object_box
    return Dataset(path.stem, crops=Crops(pixels, box, label))


def write_crops(dataset: Dataset, path: str | os.PathLike[str]) -> None:
    """Write the crops of a data set as an .npz file that :func:`read_crops` reads.

    Neither label nor object box is in the file; they are given again when it is read.

    Raises
    ------
    DataError
        When the data set has no crops, the name does not end in ``.npz``, or the file cannot be
        written.
    """
    target = Path(path)
    if dataset.crops is None:
        raise DataError(f"{target}: the data set {dataset.name!r} has no crops. Give one that has.")
    if target.suffix.lower() != ".npz":
        raise DataError(f"{target}: crops are written as .npz. End the name in .npz.")
    with atomic_write(target) as stream:
        np.savez_compressed(stream, crops=dataset.crops.pixels)


def _crops_of_folder(folder: Path) -> NDArray[np.uint8]:
    crops: list[NDArray[np.uint8]] = []
    for path in list_images(folder):
        crop = read_image(path, color="rgb")
        if crops and crop.shape != crops[0].shape:
            raise DataError(
                f"{path}: is {crop.shape[1]} x {crop.shape[0]} pixels (width x height), but the "
                f"crops before it are {crops[0].shape[1]} x {crops[0].shape[0]}. "
                "Bring all crops to one size."
            )
        crops.append(crop)
    pixels = np.stack(crops)
    is_grey = (pixels == pixels[..., :1]).all()
    return np.ascontiguousarray(pixels[..., 0]) if is_grey else pixels


def _crops_of_file(path: Path) -> NDArray[np.uint8]:
    try:
        with open_zip(path, _MAX_MEMBERS) as archive:
            if _MEMBER not in archive.namelist():
                raise DataError(
                    f"{path}: holds no array 'crops'. "
                    "Write it with `numpy.savez(path, crops=crops)`."
                )
            with archive.open(_MEMBER) as stream:
                return _read_array(stream, path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Give an .npz file or a folder of crops.") from None
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # zipfile, zlib, struct and numpy each have errors of their own for damaged bytes.
        why = str(error) or type(error).__name__
        raise DataError(
            f"{path}: cannot be read as an .npz file: {why}. Copy or write it again."
        ) from None


def _read_array(stream: IO[bytes], path: Path) -> NDArray[np.uint8]:
    """Return the array in a .npy stream; nothing is allocated before its header is checked."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{path}: has .npy version {version}. Write it again with numpy.savez.")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    _check_header(shape, dtype, path)
    size = math.prod(shape)  # Python ints: a product in numpy could overflow
    if size > MAX_CROPS_BYTES:
        raise DataError(
            f"{path}: 'crops' of shape {shape} exceed the limit of {MAX_CROPS_BYTES:,} bytes. "
            "Split the file."
        )
    if size > MAX_CROPS_RATIO * path.stat().st_size + _SMALL:
        raise DataError(
            f"{path}: 'crops' of shape {shape} are more than {MAX_CROPS_RATIO} times the bytes of "
            "the file, which no pictures are. Write it again with numpy.savez."
        )
    content = np.empty(size, np.uint8)
    if _filled(stream, content) != size or stream.read(1):
        raise DataError(
            f"{path}: 'crops' of shape {shape} need {size} bytes, which are not what is there. "
            "Copy or write it again."
        )
    order: Any = "F" if fortran_order else "C"
    return np.ascontiguousarray(content.reshape(shape, order=order))


def _filled(stream: IO[bytes], content: NDArray[np.uint8]) -> int:
    """Fill an array with the bytes of a stream; return how many there were."""
    n_bytes = 0
    while n_bytes < len(content):
        piece = stream.read(min(_PIECE, len(content) - n_bytes))
        if not piece:
            break
        content[n_bytes : n_bytes + len(piece)] = np.frombuffer(piece, np.uint8)
        n_bytes += len(piece)
    return n_bytes


def _check_header(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> None:
    is_crops = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != np.uint8 or not is_crops or min(shape) < 1:
        raise DataError(
            f"{path}: 'crops' is {dtype!s:.80} of shape {shape!s:.80}. Give uint8 of shape "
            "(n, height, width) or (n, height, width, 3), not empty."
        )
