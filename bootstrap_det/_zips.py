"""Zip archives from strangers: their directory is bounded before it is read.

``zipfile`` reads the whole directory at once, half a kilobyte of memory an entry, and unpacks
what is compressed by bzip2 or LZMA without a bound, however little of it is asked for.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BYTES_A_MEMBER = 256  # of the directory: 46, and the name
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_END_64, _END_64_BYTES = b"PK\x06\x06", 56
_MAX_COMMENT = 1 << 16


@contextmanager
def open_zip(path: str | os.PathLike[str], max_members: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive to be read.

    Parameters
    ----------
    path : str or path-like
        The archive.
    max_members : int
        Most members that it may have.

    Raises
    ------
    OSError, zipfile.BadZipFile
        When it cannot be read, has more members, or one that is not stored or deflated.
    """
    with open(path, "rb") as stream:
        n_bytes = _directory_bytes(stream)
        if n_bytes > max_members * _BYTES_A_MEMBER:
            raise zipfile.BadZipFile(
                f"its directory of {n_bytes:,} bytes is too large for {max_members:,} members"
            )
        with zipfile.ZipFile(stream) as archive:
            _check_members(archive, max_members)
            yield archive


def _check_members(archive: zipfile.ZipFile, max_members: int) -> None:
    infos = archive.infolist()
    if len(infos) > max_members:
        raise zipfile.BadZipFile(f"{len(infos)} members exceed the limit of {max_members}")
    for info in infos:
        if info.compress_type not in _METHODS:
            raise zipfile.BadZipFile(
                f"the member {info.filename!r:.80} is neither stored nor deflated (method "
                f"{info.compress_type})"
            )


def _directory_bytes(stream: IO[bytes]) -> int:
    """Return how long the directory is, as the record at the end says, where zipfile finds it."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _MAX_COMMENT - _END_BYTES - _LOCATOR_BYTES - _END_64_BYTES, 0))
    tail = stream.read()
    at = len(tail) - _END_BYTES
    if tail[at : at + 4] != _END or tail[-2:] != b"\0\0":  # a comment follows
        at = tail.rfind(_END)
    if at < 0:
        raise zipfile.BadZipFile("File is not a zip file")
    locator = at - _LOCATOR_BYTES
    if locator < 0 or tail[locator : locator + 4] != _LOCATOR:
        return int.from_bytes(tail[at + 12 : at + 16], "little")
    first = locator - _END_64_BYTES
    if first < 0 or tail[first : first + 4] != _END_64:
        raise zipfile.BadZipFile("its directory is not where it should be")
    return int.from_bytes(tail[first + 40 : first + 48], "little")
