"""Archives unpacked into a folder and nowhere else, completely or not at all."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from bootstrap_det._files import writing
from bootstrap_det._zips import open_zip
from bootstrap_det.data.fetching import Progress, is_inside
from bootstrap_det.exceptions import DataError

MAX_MEMBERS = 1_000_000
MAX_RATIO = 100  # unpacked bytes for each packed one; pictures come to 4 at most
_CHUNK = 1 << 18
_MAX_READ = 1 << 20  # bytes of a tar at once: of a header, or of a chunk
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,  # zipfile's, of a password or a method that is not known
)


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive; of anything else ``kind`` says what it is."""

    name: str
    kind: str
    open: Callable[[], Any]


def unpack(
    archive: Path, folder: Path, *, max_bytes: int = 0, progress: Progress | None = None
) -> None:
    """Unpack a zip or tar archive into a folder, which appears only when it is complete.

    Parameters
    ----------
    archive : Path
        The archive; its content says of which kind it is.
    folder : Path
        The folder to make.
    max_bytes : int, default=0
        Most bytes that it may unpack to; 0 allows 100 times its own size.
    progress : callable, optional
        Called with the name, the bytes that were unpacked, and 0.

    Raises
    ------
    DataError
        When the archive is damaged or too large, or holds a link or a name that leads out of the
        folder; nothing is left of it then.
    """
    growing = folder.with_name(f"{folder.name}.growing")
    with writing(growing):
        limit = max_bytes or MAX_RATIO * archive.stat().st_size
        if growing.exists():  # of a run that was killed
            shutil.rmtree(growing)
        growing.mkdir()
        try:
            for n_bytes in _fill(growing, archive, limit):
                if progress:
                    progress(f"unpacking {archive.name}", n_bytes, 0)
            os.replace(growing, folder)
        finally:
            shutil.rmtree(growing, ignore_errors=True)


def move_into(source: Path, target: Path) -> None:
    """Move what is in a folder into another; folders that are there are filled.

    A move that was killed can be done again: what was moved is gone from the source.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            move_into(entry, place)
        else:
            os.replace(entry, place)
    source.rmdir()


def _fill(folder: Path, archive: Path, limit: int) -> Iterator[int]:
    """Write all members of an archive below a folder; yield the bytes so far."""
    try:
        with _members(archive) as members:
            yield from _write(members, folder, archive.name, limit)
    except _DAMAGED as error:
        raise DataError(
            f"{archive}: cannot be unpacked ({error}). Remove it, and run the same command again."
        ) from None


class _Tar(tarfile.TarFile):
    """A tar whose headers are bounded: a name or a comment in them may state gigabytes."""

    def __init__(self, name: Any, mode: Any, fileobj: Any, **more: Any) -> None:
        super().__init__(name, mode, cast(IO[bytes], _Sips(fileobj)), **more)


class _Sips:
    """A stream that is read a little at a time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return bytes(self._stream.read(size))


@contextmanager
def _members(archive: Path) -> Iterator[Iterable[_Member]]:
    """Open an archive and list its members one by one."""
    with archive.open("rb") as stream:
        tar = _opened_tar(stream)  # tried first, since a tar may end in a zip
        if tar is not None:
            with tar:
                yield (_Member(m.name, _tar_kind(m), partial(tar.extractfile, m)) for m in tar)
            return
    with open_zip(archive, MAX_MEMBERS) as packed:
        yield (
            _Member(m.filename, _zip_kind(m), partial(packed.open, m)) for m in packed.infolist()
        )


def _opened_tar(stream: IO[bytes]) -> tarfile.TarFile | None:
    try:
        return _Tar.open(fileobj=stream)
    except tarfile.TarError:
        return None


def _tar_kind(member: tarfile.TarInfo) -> str:
    kinds = {"file": member.isreg(), "folder": member.isdir(), "link": member.issym()}
    return next((kind for kind, holds in kinds.items() if holds), "link or device")


def _zip_kind(member: zipfile.ZipInfo) -> str:
    mode = member.external_attr >> 16  # of a Unix system, where one wrote the archive
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if member.is_dir() else "file"


def _write(members: Iterable[_Member], folder: Path, name: str, limit: int) -> Iterator[int]:
    """Write all members below a folder; yield the bytes so far.

    Bytes are counted as they come: what an archive says of its sizes may be wrong on purpose.
    """
    n_bytes = 0
    for index, member in enumerate(members):
        if not is_inside(member.name):
            raise _refusal(name, f"a name that leads out of its folder, {member.name!r:.80}")
        if member.kind not in ("file", "folder"):
            raise _refusal(name, f"a {member.kind}, {member.name!r:.80}")
        if index >= MAX_MEMBERS:
            raise _refusal(name, f"more than {MAX_MEMBERS:,} files")
        path = folder / member.name
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("wb") as target:
            for chunk in _chunks(source):
                n_bytes += len(chunk)
                if n_bytes > limit:
                    raise _refusal(name, f"more than {limit:,} bytes unpacked")
                target.write(chunk)
        yield n_bytes


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _refusal(name: str, what: str) -> DataError:
    return DataError(
        f"{name}: holds {what}, and nothing of it was unpacked. Look into the archive, and unpack "
        "it by hand if you trust it."
    )
