"""Large arrays: in memory up to a limit, in files beyond it."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bootstrap_det._files import writing
from bootstrap_det._validation import check_int

SMALL = 1 << 20  # bytes; arrays below are not counted
_PART_BYTES = 16 << 20


@dataclass
class _Room:
    """How much memory large arrays may take together, and how much those that live do take."""

    limit: int | None = None
    folder: Path | None = None
    used: int = 0
    lock: Lock = field(default_factory=Lock)

    def take(self, n_bytes: int) -> bool:
        """Return whether so many more bytes are within the limit, and count them if so."""
        with self.lock:
            fits = self.limit is None or self.used + n_bytes <= self.limit
            self.used += n_bytes if fits else 0
        return fits

    def give_back(self, n_bytes: int) -> None:
        """Count an array that is gone."""
        with self.lock:
            self.used -= n_bytes


_room = _Room()


@contextmanager
def limited_memory(max_bytes: int | None, folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Let large arrays made inside the block take at most so much memory together.

    Parameters
    ----------
    max_bytes : int or None
        What does not fit lies in files; None for no limit.
    folder : str, path-like or None
        Where these files are made; by default the system's folder for temporary files. They have
        no name, so nothing is left of them when the program ends, however it ends.
    """
    global _room
    if max_bytes is not None:
        check_int(max_bytes, "max_memory_bytes", "limited_memory", low=0)
    before, where = _room, None if folder is None else Path(folder)
    if (max_bytes, where) != (before.limit, before.folder):  # else go on counting
        _room = _Room(max_bytes, where)
    try:
        yield
    finally:
        _room = before


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return a new array, its values not set: in memory where it fits, else in a file.

    Raises
    ------
    DataError
        When the disk has no room for it.
    """
    n_bytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if n_bytes < SMALL:
        return np.empty(shape, dtype)
    room = _room
    if not room.take(n_bytes):
        return _in_file(shape, dtype, n_bytes, room.folder)
    array = np.empty(shape, dtype)
    weakref.finalize(array, room.give_back, n_bytes)
    return array


def concatenate(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the rows of all parts, as numpy does, in an array of :func:`empty`."""
    dtype = np.result_type(*parts)
    out = empty((sum(len(part) for part in parts), *parts[0].shape[1:]), dtype)
    start = 0
    for part in parts:
        copy(part, out[start : start + len(part)])
        start += len(part)
    return out


def copy(source: NDArray[Any], out: NDArray[Any]) -> None:
    """Copy rows, some at a time."""
    for rows in parts_of(source):
        out[rows] = source[rows]


def copy_rows(
    source: NDArray[Any], rows: NDArray[np.intp], out: NDArray[Any], places: NDArray[np.intp]
) -> None:
    """Copy chosen rows to places, some at a time."""
    for part in parts_of(np.broadcast_to(source[:1], (len(rows), *source.shape[1:]))):
        out[places[part]] = source[rows[part]]


def parts_of(array: NDArray[Any], n_bytes: int = _PART_BYTES) -> Iterator[slice]:
    """Yield slices of rows that hold about so many bytes."""
    per_row = max(array.itemsize * int(np.prod(array.shape[1:])), 1)
    step = max(n_bytes // per_row, 1)
    for start in range(0, len(array), step):
        yield slice(start, min(start + step, len(array)))


def _in_file(
    shape: tuple[int, ...], dtype: DTypeLike, n_bytes: int, folder: Path | None
) -> NDArray[Any]:
    """Return an array in a file without a name, for which the disk has room."""
    where = folder or Path(tempfile.gettempdir())
    with writing(where):
        where.mkdir(parents=True, exist_ok=True)
        return _mapped(shape, dtype, n_bytes, where)


def _mapped(shape: tuple[int, ...], dtype: DTypeLike, n_bytes: int, folder: Path) -> NDArray[Any]:
    with tempfile.TemporaryFile(dir=folder) as stream:
        # Room is taken now: to write to a mapping that the disk has no room for ends the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, n_bytes)
        else:
            stream.truncate(n_bytes)
        mapped = mmap.mmap(stream.fileno(), n_bytes)
    return np.frombuffer(mapped, dtype).reshape(shape)
