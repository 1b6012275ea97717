"""Files inside uncompressed tar archives: where they lie, and the bytes of one of them.

The standard library reads the headers; what lies between them is passed over. Nothing that a
header states is believed beyond the file's own length, and names are names only: nothing is ever
unpacked.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Self

from bootstrap_det.exceptions import DataError

MAX_EXTENDED = 1 << 14
"""Most bytes that a member's header is extended by, such as by a long name.

Versions of Python before 3.11.10 and 3.12.6 may need time and memory by the square of them.
"""

_BLOCK = tarfile.BLOCKSIZE
_ALLOWED = MAX_EXTENDED + _BLOCK + 1  # with the header, and one byte that tarfile looks at
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
}


@dataclass(frozen=True, slots=True)
class TarMember:
    """One file inside an archive, by its place.

    Attributes
    ----------
    archive : str
        The archive's file.
    name : str
        The name inside it.
    offset : int
        Of its first byte.
    n_bytes : int
        How long it is.
    header : int
        Checksum of the header before it.
    stamp : tuple of int
        Length and time of the archive when it was indexed, nanoseconds.
    """

    archive: str
    name: str
    offset: int
    n_bytes: int
    header: int
    stamp: tuple[int, int]

    def __str__(self) -> str:
        """Return the archive and the name inside it."""
        name = self.name if self.name.isprintable() else repr(self.name)
        return f"{self.archive}!{name}"

    def read(self) -> bytes:
        """Return its bytes.

        Raises
        ------
        DataError
            When the archive cannot be read, or is another one than was indexed.
        """
        try:
            with self.open() as stream:
                content = stream.read()
        except OSError as error:
            raise _unreadable(self, error) from None
        if len(content) != self.n_bytes:
            raise self._replaced()
        return content

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading alone: a stream that begins and ends where it does.

        Raises
        ------
        DataError
            See :meth:`read`.
        """
        with _open(self.archive) as stream:
            if _stamp(stream) != self.stamp:
                raise self._replaced()
            stream.seek(self.offset - _BLOCK)
            if zlib.crc32(stream.read(_BLOCK)) != self.header:
                raise self._replaced()
            stream.seek(self.offset - _BLOCK)  # tarfile begins with a header
            try:
                yield self._content(stream)
            except tarfile.ReadError:  # it was cut off meanwhile
                raise self._replaced() from None

    def _content(self, stream: IO[bytes]) -> IO[bytes]:
        """Return the member as a stream, of an archive that stands before its header."""
        info = tarfile.TarInfo(self.name)
        info.size, info.offset_data = self.n_bytes, self.offset
        content = tarfile.TarFile(fileobj=stream).extractfile(info)
        assert content is not None  # plain files have some
        return content

    def _replaced(self) -> DataError:
        return DataError(
            f"{self}: the archive was changed after its index was made. Leave archives as they "
            "are while they are used, and start again."
        )


@dataclass(frozen=True)
class OddMember:
    """Something in an archive that is not a plain file.

    Attributes
    ----------
    name : str
        The name inside the archive.
    kind : str
        What it is: "a symbolic link".
    """

    name: str
    kind: str


class Archive:
    """An uncompressed tar archive that is open to be indexed.

    Parameters
    ----------
    path : str or path-like
        The archive.

    Raises
    ------
    DataError
        When it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.archive = os.fspath(path)
        self.stream = _open(path)
        self.stamp = _stamp(self.stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def read(self, member: TarMember) -> bytes:
        """Return the bytes of a member that :meth:`members` gave."""
        return self._read(member.n_bytes, member.offset)

    def members(self) -> Iterator[TarMember | OddMember]:
        """Yield what is in the archive, in its order; folders are left out.

        Only headers are read.

        Raises
        ------
        DataError
            When it cannot be read, is compressed, damaged or cut off, or is no tar archive.
        """
        _refuse_compressed(self.archive, self._read(_BLOCK, 0))
        headers = _Headers(self)
        for info in self._infos(headers):
            if not info.isdir():
                yield self._member(info, headers.last)

    def _infos(self, headers: _Headers) -> Iterator[tarfile.TarInfo]:
        """Yield what the headers say; the last one read is in ``headers``."""
        try:
            # Any, since not all that it has is in its types.
            tar: Any = tarfile.TarFile(fileobj=headers, encoding="utf-8", errors="replace")
            # Of a first one that is damaged, next() may go on to what is behind it.
            info = tar.next() if tar.firstmember else None
            while info is not None:
                if "size" in tar.pax_headers:  # tarfile takes it for the length, not for the end
                    raise self._damaged("a length is stated for all members at once")
                yield info
                headers.left = _ALLOWED
                # Else the one list grows, and each member has a copy of the other.
                tar.members, tar.pax_headers = [], {}
                info = tar.next()
        except DataError:
            raise
        except (tarfile.TarError, ValueError, LookupError, RecursionError):
            raise headers.no_header() from None
        if any(headers.last):  # next() ends without a word at a damaged header, too
            raise headers.no_header()

    def _member(self, info: tarfile.TarInfo, header: bytes) -> TarMember | OddMember:
        # Whatever its records are, none of a sparse file's lengths is that of its content.
        if info.issparse() or any(key.startswith("GNU.sparse.") for key in info.pax_headers):
            return OddMember(info.name, "a sparse file")
        if not info.isreg():
            return OddMember(info.name, _KINDS.get(info.type, f"of the unknown type {info.type!r}"))
        size, start = info.size, info.offset_data
        if size < 0:
            raise self._damaged(f"byte {start - _BLOCK} states a length of {size}")
        if start + size > self.stamp[0]:
            raise self._damaged(f"a member of {size:,} bytes ends behind the file's end")
        return TarMember(self.archive, info.name, start, size, zlib.crc32(header), self.stamp)

    def _read(self, n_bytes: int, start: int) -> bytes:
        try:
            self.stream.seek(start)
            return self.stream.read(n_bytes)
        except OSError as error:
            raise _unreadable(self.archive, error) from None

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"{self.archive}: cannot be read as a tar archive: {why}. Copy or write it again."
        )


class _Headers(io.RawIOBase):
    """An archive as :mod:`tarfile` may see it: bit by bit, and never backwards, so that it ends.

    Attributes
    ----------
    last : bytes
        What was read last, the header of a plain file when :mod:`tarfile` has just found it.
    left : int
        How many bytes more may be read before the next member.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive, self.at, self.last, self.left = archive, 0, b"", _ALLOWED

    def no_header(self) -> DataError:
        return self.archive._damaged(f"byte {self.at - len(self.last)} is no header")

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        # Lengths below zero lead back, and not every version of Python refuses them.
        if not self.at <= offset < self.archive.stamp[0]:
            raise self.archive._damaged("a member ends behind the file's end, or before it begins")
        self.at = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.left:
            raise self.archive._damaged(
                f"before byte {self.at}, a header is extended by {size:,} bytes, of which a "
                f"member may have {MAX_EXTENDED:,} in all"
            )
        self.last = self.archive._read(size, self.at)
        # Cut off between two members, it would pass for whole, and a picture whose annotations
        # come after the cut for one without objects. So zeros at the end are asked for.
        if len(self.last) < size:
            raise self.archive._damaged("it ends without the zeros that an archive ends with")
        self.at += size
        self.left -= size
        return self.last


def _open(archive: str | os.PathLike[str]) -> io.FileIO:
    """Open an archive without a buffer, which would read pictures between headers."""
    try:
        return open(archive, "rb", buffering=0)
    except FileNotFoundError:
        raise DataError(f"{archive}: no such file. Give a tar archive.") from None
    except IsADirectoryError:
        raise DataError(f"{archive}: is a folder. Give a tar archive.") from None
    except OSError as error:
        raise _unreadable(archive, error) from None
    except ValueError:  # a null character, or one that the file system cannot encode
        raise DataError(f"{str(archive)!r}: is not a file name. Check the path.") from None


def _unreadable(what: object, error: OSError) -> DataError:
    return DataError(f"{what}: cannot be read ({error.strerror}). Check the file.")


def _stamp(stream: io.FileIO) -> tuple[int, int]:
    facts = os.fstat(stream.fileno())
    return facts.st_size, facts.st_mtime_ns


def _refuse_compressed(archive: str, block: bytes) -> None:
    for start, kind in _COMPRESSED.items():
        if block.startswith(start):
            raise DataError(
                f"{archive}: is compressed ({kind}), and single pictures cannot be read out of it. "
                "Decompress it into a .tar; pictures are compressed already."
            )
