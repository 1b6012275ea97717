"""Files inside uncompressed tar archives: where they lie, and the bytes of one of them.

An archive is indexed by its headers alone, one of 512 bytes at a time; what lies between them is
passed over. Nothing that a header states is believed beyond the file's own length, and names are
names only: nothing is ever unpacked.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, NamedTuple, Self

from bootstrap_det.exceptions import DataError

MAX_EXTENDED = 1 << 16
"""Most bytes of a header that extends another, such as one with a long name."""

_BLOCK = 512
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
_PASSED_OVER = (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK, tarfile.DIRTYPE)
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
# They have no content, whatever length is stated.
_BODILESS = {*_KINDS, tarfile.DIRTYPE} - {tarfile.GNUTYPE_SPARSE}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
}


class _Header(NamedTuple):
    """What one block says: of which kind the member is, its name and length."""

    kind: bytes
    name: str
    size: int


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
            yield io.BufferedReader(_Part(stream, self.offset, self.n_bytes))

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
        self.at = 0  # always grows, so that a walk ends
        self.fields: dict[str, str] = {}  # what the next header is extended by

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
        while (block := self._header()) is not None:
            header = self._parsed(block)
            if header.kind in _EXTENDED:
                self._extend(header)
            elif header.kind in _PASSED_OVER:
                self._pass_over(header.size)
                self.fields = {} if header.kind == tarfile.DIRTYPE else self.fields
            else:
                yield self._member(header, block)

    def _header(self) -> bytes | None:
        """Return the next header, None at the end."""
        block = self._read(_BLOCK, self.at)
        if self.at == 0:
            _refuse_compressed(self.archive, block)
        # Cut off between two members, it would pass for whole, and a picture whose annotations
        # come after the cut for one without objects. So zeros at the end are asked for.
        if len(block) < _BLOCK:
            raise self._damaged("it ends without the zeros that an archive ends with")
        if not any(block):
            return None
        self.at += _BLOCK
        return block

    def _parsed(self, block: bytes) -> _Header:
        try:
            header = _parsed(block)
        except ValueError:
            raise self._damaged(f"byte {self.at - _BLOCK} is no header") from None
        if header.size < 0:
            raise self._damaged(f"byte {self.at - _BLOCK} states a length of {header.size}")
        return header

    def _extend(self, header: _Header) -> None:
        """Note what a header says of the one after it."""
        if header.size > MAX_EXTENDED:
            raise self._damaged(
                f"byte {self.at - _BLOCK} extends a header by {header.size:,} bytes, of which "
                f"{MAX_EXTENDED:,} are allowed"
            )
        content = self._read(header.size, self.at)
        self._pass_over(header.size)
        if header.kind == tarfile.GNUTYPE_LONGNAME:
            self.fields["path"] = content.rstrip(b"\0").decode("utf-8", "replace")
            return
        try:
            self.fields.update(_records(content))
        except ValueError:
            raise self._damaged("an extended header is malformed") from None

    def _member(self, header: _Header, block: bytes) -> TarMember | OddMember:
        fields, self.fields = self.fields, {}
        name, kind = fields.get("path", header.name), header.kind
        if kind == tarfile.GNUTYPE_SPARSE:
            self._pass_over_maps(block)
        if any(key.startswith("GNU.sparse.") for key in fields):  # the same, in a newer way
            kind = tarfile.GNUTYPE_SPARSE
        size, offset = self._size(fields, header), self.at
        self._pass_over(size)
        if kind not in _PLAIN:
            return OddMember(name, _KINDS.get(kind, f"of the unknown type {kind!r}"))
        return TarMember(self.archive, name, offset, size, zlib.crc32(block), self.stamp)

    def _size(self, fields: dict[str, str], header: _Header) -> int:
        """Return a member's length; a file beyond 8 GiB has it in an extended header."""
        stated = fields.get("size")
        if stated is None or header.kind in _BODILESS:
            return header.size
        if not (stated.isascii() and stated.isdigit() and len(stated) < 20):
            raise self._damaged(f"a header states the length {stated!r:.40}")
        return int(stated)

    def _pass_over(self, n_bytes: int) -> None:
        """Move on to the header behind some content, which must be inside the file."""
        if self.at + n_bytes > self.stamp[0]:
            raise self._damaged(f"a member of {n_bytes:,} bytes ends behind the file's end")
        self.at += -(-n_bytes // _BLOCK) * _BLOCK

    def _pass_over_maps(self, block: bytes) -> None:
        """Move on behind the maps that GNU's sparse files have between header and content."""
        more = block[482]
        while more:
            following = self._read(_BLOCK, self.at)
            if len(following) < _BLOCK:
                raise self._damaged("it ends inside the map of a sparse file")
            self.at += _BLOCK
            more = following[504]

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


class _Part(io.RawIOBase):
    """Part of a stream as a stream of its own."""

    def __init__(self, stream: io.FileIO, start: int, length: int) -> None:
        self.stream, self.start, self.length, self.at = stream, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise ValueError("negative position")
        self.at = base + offset
        return self.at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self.stream.seek(self.start + self.at)
        content = self.stream.read(max(min(len(buffer), self.length - self.at), 0))
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)


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


def _parsed(block: bytes) -> _Header:
    """Return what a header says; ValueError where it is none.

    The standard library's ``TarInfo.frombuf`` reads a dozen more fields, in ten times the time.
    """
    checksum = block[148:156]
    if _number(checksum) != sum(block) - sum(checksum) + 8 * ord(" "):
        raise ValueError("checksum")
    kind, name = block[156:157], _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:  # GNU's own kind has other things there
        name = f"{_text(block[345:500])}/{name}"
    if kind == tarfile.AREGTYPE and name.endswith("/"):  # before there was a kind for folders
        kind = tarfile.DIRTYPE
    return _Header(kind, name, 0 if kind in _BODILESS else _number(block[124:136]))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _number(field: bytes) -> int:
    """Return a number in octal digits, or in GNU's binary where these do not suffice."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    digits = field.partition(b"\0")[0].strip()
    if digits and not digits.isdigit():  # int() takes signs and underscores, too
        raise ValueError("digits")
    return int(digits or b"0", 8)


def _records(content: bytes) -> dict[str, str]:
    """Return the records of a PAX header, ``LENGTH KEY=VALUE`` and a newline each."""
    fields = {}
    while content.strip(b"\0"):
        length, _, _ = content.partition(b" ")
        if len(length) > 5 or not length.isdigit() or not 4 < int(length) <= len(content):
            raise ValueError
        record, content = content[: int(length)], content[int(length) :]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if not equals or record[-1:] != b"\n":
            raise ValueError
        fields[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return fields
