"""WebDataset's shards written: a tar archive after another, of a data set's picture files."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from bootstrap_det._files import atomic_write, writing
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.writing import Plan, Written, as_png, copied_name, make_folder
from bootstrap_det.data.picture import Picture
from bootstrap_det.data.shards import FAR_CORNER
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import IMAGE_SUFFIXES

SHARD_BYTES = 256 << 20
"""Most bytes of a shard, unless the caller says otherwise."""

_GROWING = ".shards.growing"
_BLOCK = 512

_Sample = tuple[tuple[str, bytes], ...]  # names and contents of its files


def write_shards(plan: Plan, *, shard_bytes: int = SHARD_BYTES) -> Written:
    """Write ``NAME-000000.tar`` and so on into the plan's folder, all of them or none.

    Files of pictures are copied as they are, others become PNG. Equal input gives equal bytes.
    """
    if not plan.dataset.pictures:
        raise DataError(f"{plan.path}: there are no pictures to write. Give some.")
    stem = _stem(plan.dataset.name)
    with _all_or_none(plan.path) as folder:
        samples = (_sample(index, *each, plan) for index, each in enumerate(plan.named()))
        for number, dealt in groupby(_dealt(samples, shard_bytes), itemgetter(0)):
            _write(folder / f"{stem}-{number:06}.tar", (sample for _, sample in dealt))
    return Written("shards", plan.path, len(plan.dataset), plan.notes_on_categories())


@contextmanager
def _all_or_none(folder: Path) -> Iterator[Path]:
    """Give a folder whose files are moved into the one above it when the block ends well.

    Half of a data set would be read as the whole.
    """
    make_folder(folder)
    growing = folder / _GROWING
    shutil.rmtree(growing, ignore_errors=True)  # of a run that was killed
    make_folder(growing)
    try:
        yield growing
        with writing(folder):
            for name in sorted(os.listdir(growing)):
                os.replace(growing / name, folder / name)
    finally:
        shutil.rmtree(growing, ignore_errors=True)


def _sample(index: int, picture: Picture, name: str, plan: Plan) -> _Sample:
    """Return the files of a picture: its own, and what is annotated in it."""
    content = picture.encoded()
    ending = ".png" if content is None else _ending(picture, plan.path)
    height, width = picture.measure()
    document = {
        "file_name": copied_name(picture, name),
        "width": width,
        "height": height,
        "annotations": list(_annotations(picture, plan.dataset)),
    }
    return (
        (f"{index:08}{ending}", as_png(picture) if content is None else content),
        (f"{index:08}.json", json.dumps(document, allow_nan=False).encode()),
    )


def _ending(picture: Picture, target: Path) -> str:
    file = picture.path or picture.member
    ending = PurePosixPath(str(file)).suffix.lower()
    if ending not in IMAGE_SUFFIXES:
        raise DataError(
            f"{target}: the picture {file} does not end in one of {', '.join(IMAGE_SUFFIXES)}, by "
            "which pictures in shards are known. Rename it."
        )
    return ending


def _annotations(picture: Picture, dataset: Dataset) -> Iterator[dict[str, Any]]:
    for index, (x1, y1, x2, y2) in enumerate(picture.boxes.tolist()):
        label = str(picture.labels[index])
        group = dataset.groups.get(label)
        width, height = x2 - x1, y2 - y1
        # Where the sum is rounded to another number, the last bit of the box would be lost.
        is_exact = (x1 + width, y1 + height) == (x2, y2)
        yield {
            "bbox": [x1, y1, width, height],
            **({} if is_exact else {FAR_CORNER: [x2, y2]}),
            "category": label,
            **({} if group is None else {"supercategory": group}),
            "ignore": int(picture.ignore[index]),
            "iscrowd": int(picture.crowd[index]),
        }


def _dealt(samples: Iterable[_Sample], limit: int) -> Iterator[tuple[int, _Sample]]:
    """Yield each sample with the number of its shard."""
    number, total = 0, 0
    for sample in samples:
        n_bytes = sum(_BLOCK + -(-len(content) // _BLOCK) * _BLOCK for _, content in sample)
        if total and total + n_bytes > limit - tarfile.RECORDSIZE:  # the end is zeros
            number, total = number + 1, 0
        total += n_bytes
        yield number, sample


def _write(path: Path, samples: Iterable[_Sample]) -> None:
    with (
        atomic_write(path) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in (file for sample in samples for file in sample):
            info = tarfile.TarInfo(name)  # without owner and time: equal input, equal bytes
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _stem(name: str) -> str:
    """Return the name of a data set as one for files."""
    plain = "".join(char if char.isalnum() or char in "-_" else "_" for char in name)
    return plain.strip("_")[:80] or "shard"
