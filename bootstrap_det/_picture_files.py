"""Picture files from strangers: opened, and bounded before anything is decoded.

Pillow bounds pixels and compressed texts, but neither the bytes that it reads of a file's head,
nor how often a JPEG goes over its pixels.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path
from typing import IO, Any

from bootstrap_det.exceptions import DataError

MAX_HEAD_BYTES = 1 << 24
"""Most bytes of all that is in a file before its pixels: texts, profiles, tables."""

MAX_WEBP_BYTES = 1 << 27
"""Most bytes of a WebP file, which is read as a whole."""

MAX_SCANS = 64
"""Most times that a JPEG may go over its pixels; progressive ones have about ten."""

_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # in a JPEG, other than restarts
_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
_PIECE = 1 << 20


def open_picture(path: str | os.PathLike[str], max_bytes: int) -> IO[bytes]:
    """Open a picture file, which must be a file on the disk and not too large.

    Raises
    ------
    DataError
        When it cannot be opened, is a folder, a pipe or a device, or exceeds ``max_bytes``.
    """
    try:
        _check_file(os.stat(path), path, max_bytes)
        return Path(path).open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the file.") from None
    except DataError:
        raise
    except ValueError:  # a null character, or one that the file system cannot encode
        raise DataError(f"{str(path)!r}: is not a file name. Check the path.") from None


def _check_file(found: os.stat_result, path: str | os.PathLike[str], max_bytes: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise DataError(f"{path}: is a folder, not a picture. Give a picture file.")
    if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for ever
        raise DataError(f"{path}: is a pipe or a device, not a file. Give a picture file.")
    if found.st_size > max_bytes:
        raise DataError(
            f"{path}: {found.st_size:,} bytes exceed the limit of {max_bytes:,}. Save it as PNG or "
            "JPEG, or scale it down."
        )


class Head:
    """A stream of which only so much may be read until ``limit`` is set to None.

    Pillow asks for as many bytes as a file states; to be asked for gigabytes, Python would set
    them aside at once, however few there are.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._total = limit
        here = stream.tell()
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(here)
        self.limit: int | None = limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes, or raise ValueError when too many were read."""
        left = max(self._size - self._stream.tell(), 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if self.limit is None:
            return self._stream.read(wanted)
        content = self._stream.read(min(wanted, self.limit + 1))
        self.limit -= len(content)
        if self.limit < 0:
            raise ValueError(
                f"what comes before its pixels exceeds {self._total:,} bytes; save it anew, "
                "without texts and profiles"
            )
        return content


def count_scans(stream: IO[bytes]) -> int:
    """Return how often a JPEG goes over its pixels; the stream stays where it is."""
    here = stream.tell()
    stream.seek(0)
    try:
        n_bytes = sum(piece.count(b"\xff\xda") for piece in iter(lambda: stream.read(_PIECE), b""))
        if n_bytes <= MAX_SCANS:  # most are such; other bytes of these two values count, too
            return n_bytes
        stream.seek(0)
        return _count_scans(stream.read())
    finally:
        stream.seek(here)


def _count_scans(data: bytes) -> int:
    n_scans = at = 0
    while found := _MARKER.search(data, at):
        marker, at = data[found.start() + 1], found.end()
        if marker == _END:
            break
        n_scans += marker == _SCAN
        if marker != _START:
            at += int.from_bytes(data[at : at + 2], "big")
    return n_scans


def late_png_exif(stream: IO[bytes]) -> bytes:
    """Return the EXIF data of a PNG wherever it is; many programs put it behind the pixels."""
    here = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return stream.read(length) if length <= MAX_HEAD_BYTES else b""
            if kind == b"IEND":
                break
            stream.seek(length + 4, os.SEEK_CUR)
        return b""
    finally:
        stream.seek(here)


def webp_canvas(start: bytes) -> int:
    """Return the pixels of a WebP's canvas as its first 30 bytes state them, 0 where they do not.

    The decoder sets all of them aside before it says how many there are.
    """
    if start[8:16] != b"WEBPVP8X" or len(start) < 30:
        return 0
    width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
    return width * height
