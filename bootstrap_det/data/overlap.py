"""Pictures that stand on both sides: annotated with objects, and given as free of them."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture, Skipped
from bootstrap_det.exceptions import DataError


def without_annotated(negatives: Dataset, annotated: Dataset, *, skip_bad: bool = False) -> Dataset:
    """Return the negatives without the pictures that ``annotated`` shows objects in.

    Pictures are compared by their bytes; only files of equal length are read.

    Parameters
    ----------
    negatives : Dataset
        Pictures given as free of objects.
    annotated : Dataset
        Pictures with boxes.
    skip_bad : bool, default=False
        Leave such a picture out and list it, instead of raising.

    Raises
    ------
    DataError
        When there is such a picture and ``skip_bad`` is off: its objects would be mined.
    """
    by_length: dict[int, list[Picture]] = defaultdict(list)
    for picture in annotated.pictures:
        if picture.targets.any() and (length := _length(picture)) is not None:
            by_length[length].append(picture)
    kept, skipped = [], list(negatives.skipped)
    for picture in negatives.pictures:
        twin = None
        if not len(picture.boxes) and (length := _length(picture)) is not None:
            twin = _same_bytes(picture, by_length.get(length, ()))
        if twin is None:
            kept.append(picture)
            continue
        reason = (
            f"{picture.path or picture.member}: is given as a negative, but annotated with "
            f"{int(twin.targets.sum())} objects as {twin.name}. Remove it from the negatives."
        )
        if not skip_bad:
            raise DataError(reason)
        skipped.append(Skipped(picture.name, reason))
    return replace(negatives, pictures=tuple(kept), skipped=tuple(skipped))


def _same_bytes(picture: Picture, others: Iterable[Picture]) -> Picture | None:
    """Return the first of the others whose file holds the same bytes."""
    return next((other for other in others if _digest(other) == _digest(picture)), None)


def _length(picture: Picture) -> int | None:
    """Return how many bytes a picture's file has, None when it is no file."""
    if picture.member is not None:
        return picture.member.n_bytes
    return None if picture.path is None else os.path.getsize(picture.path)


def _digest(picture: Picture) -> bytes:
    if picture.member is not None:
        return hashlib.sha256(picture.member.read()).digest()
    assert picture.path is not None  # the caller asks for files only
    with open(picture.path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
