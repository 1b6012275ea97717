"""What the readers of formats without ids share: pictures by name, numbered in that order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bootstrap_det._validation import MAX_LABEL_LENGTH, is_label
from bootstrap_det.data.collect import (
    BadItemError,
    Collector,
    Corners,
    Entry,
    locate_listed,
    named,
    size_of_file,
)
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.exceptions import DataError

SNAP_DIGITS = 4
"""Decimals of a pixel that coordinates are rounded to where a format makes them indirect.

Shares of a side, or a corner plus a width, give 11.999999999 for an annotated 12.
"""


class ListReader(Collector):
    """Collects pictures by name, so that every format of the same pictures gives one data set.

    Parameters
    ----------
    path : Path
        The annotations.
    images_dir : str or path-like or None
        Where the pictures lie; None for the folder ``images`` beside the annotations, or the
        annotations' own folder.
    skip_bad : bool
        List what cannot be used instead of raising for the first.
    """

    def __init__(
        self, path: Path, images_dir: str | os.PathLike[str] | None, skip_bad: bool
    ) -> None:
        super().__init__(path, skip_bad)
        folder = path if os.path.isdir(path) else path.parent
        self.roots = picture_roots(folder, images_dir, path)
        self.bases = list(dict.fromkeys([*self.roots, folder]))
        self.entries: dict[str, Entry] = {}

    def open_picture(self, file_name: str, size: tuple[int, int] | None = None) -> Entry:
        """Return a new entry for a picture that must not have been named before."""
        said = f"names the picture {named(file_name)}"
        path, name = self._located(file_name)
        self.claim(name, said)
        known = size or self._size(path, file_name)
        self.entries[name] = Entry(0, name, path, known)
        return self.entries[name]

    def same_picture(self, file_name: str) -> Entry | None:
        """Return the entry of a picture that may be named many times.

        Returns None, and counts a box, when the picture was left out before.
        """
        if file_name in self.dropped:
            self.dropped[file_name] += 1
            return None
        try:
            path, name = self._located(file_name)
            if name not in self.entries:
                self.entries[name] = Entry(0, name, path, self._size(path, file_name))
            if self.entries[name].path != path:
                other = self.entries[name].path
                raise BadItemError(
                    f"names the picture {named(file_name)}, but {other} is called "
                    f"{named(name)}, too"
                )
        except BadItemError:
            self.dropped[file_name] = 0
            raise
        return self.entries[name]

    def add(
        self, entry: Entry, corners: Sequence[float], said: str, label: str, ignore: bool = False
    ) -> None:
        """Check a box and append it to its picture."""
        entry.add(self.box(corners, said, entry), checked_label(label), ignore)

    def dataset(
        self, name: str | None, categories: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> Dataset:
        """Return what was collected, sorted by name, with ids from 0."""
        self.record_dropped("picture")
        pictures = tuple(
            self.entries[key].picture(index) for index, key in enumerate(sorted(self.entries))
        )
        return Dataset(
            name or own_name(self.path),
            pictures,
            categories=tuple(categories),
            skipped=tuple(self.skipped),
            notes=(*self.notes(), *notes),
        )

    def _located(self, file_name: str) -> tuple[Path, str]:
        if not file_name:
            raise BadItemError("names no picture")
        return locate_listed(file_name, self.roots, self.bases)

    def _size(self, path: Path, file_name: str) -> tuple[int, int]:
        return size_of_file(path, f"names the picture {named(file_name)}, which gives no size")


def picture_roots(
    folder: Path, images_dir: str | os.PathLike[str] | None, source: Path
) -> list[Path]:
    """Return the folders that pictures may lie in: the one given, else ``images`` and ``folder``.

    Raises
    ------
    DataError
        When the folder given is missing.
    """
    if images_dir is None:
        beside = folder / "images"
        return [beside, folder] if beside.is_dir() else [folder]
    given = Path(images_dir)
    if not os.path.isdir(given):  # unlike Path.is_dir, it never raises
        raise DataError(f"{given}: no such folder. Give the folder of the pictures of {source}.")
    return [given]


def own_name(path: Path) -> str:
    """Return the name of a data set that was given none: that of its file or folder."""
    return path.resolve().name if os.path.isdir(path) else path.stem


def checked_label(label: str) -> str:
    """Return a label without outer blanks, or raise BadItemError when nothing is left."""
    label = label.strip()
    if len(label) > MAX_LABEL_LENGTH:  # an array takes the room of the longest for each box
        raise BadItemError(
            f"has a label of {len(label):,} characters, more than {MAX_LABEL_LENGTH}"
        )
    if not is_label(label):
        raise BadItemError("has a box without a label")
    return label


def snapped(corners: Sequence[float]) -> Corners:
    """Return coordinates rounded to 1e-4 px, so that whole pixels come back whole."""
    x1, y1, x2, y2 = (round(value, SNAP_DIGITS) + 0.0 for value in corners)  # no -0.0
    return x1, y1, x2, y2
