"""One file over HTTP: gone on with after a cut, checked, and in place as a whole or not at all.

What came so far is kept in ``NAME.part``, with what the server said of the file beside it, so
that a file that changed meanwhile is not glued to the old half.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import unquote, urlsplit

from bootstrap_det._files import write_json, writing
from bootstrap_det.exceptions import DataError, ParameterError

Progress = Callable[[str, int, int], None]

PAUSES = (1.0, 3.0, 9.0)  # seconds between tries
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_HEX_DIGITS = {"sha256": 64, "md5": 32}
_PASSING = {408, 429, *range(500, 600)}  # answers that a later try may not get
_BROKEN = (OSError, http.client.HTTPException)  # what a connection ends with


@dataclass(frozen=True)
class Download:
    """A file to download, as a card lists it.

    Attributes
    ----------
    url : str
        Where its makers offer it, http or https.
    sha256, md5 : str
        Its checksum; one of them.
    size : int
        In bytes; 0 when unknown.
    unpack_to : str or None
        Folder below the data root that the archive is unpacked into; None keeps the file as it
        is, in the data root.
    holds : tuple of str
        Paths below the data root that are there once it is unpacked, its last ones among them.
    unpacked_size : int
        Most bytes that it may unpack to; 0 allows 100 times its own size.
    """

    url: str
    sha256: str = ""
    md5: str = ""
    size: int = 0
    unpack_to: str | None = None
    holds: tuple[str, ...] = ()
    unpacked_size: int = 0

    def __post_init__(self) -> None:
        kind, value = self.checksum
        wrong = {
            "a url of http or https": urlsplit(self.url).scheme not in ("http", "https"),
            "a url that ends in a file name": not re.fullmatch(r"\w[\w .+-]*", self.file_name),
            "one checksum, sha256 or md5": not re.fullmatch(
                rf"[0-9a-f]{{{_HEX_DIGITS[kind]}}}", value
            )
            or bool(self.sha256 and self.md5),
            "paths inside the data root": not all(
                map(is_inside, (self.unpack_to or ".", *self.holds))
            ),
            "what it holds, where it is unpacked": self.unpack_to is not None and not self.holds,
        }
        for needed, is_wrong in wrong.items():
            if is_wrong:
                raise ParameterError(f"A download needs {needed}. Got {self} instead.")

    @property
    def file_name(self) -> str:
        """The last part of the url."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def checksum(self) -> tuple[str, str]:
        """The kind of the checksum, and the checksum."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)


def is_inside(name: str) -> bool:
    """Tell whether a relative path leads nowhere else, on any system."""
    path = PureWindowsPath(name)  # takes both kinds of slashes for what they may mean
    return bool(name) and not path.drive and not path.root and ".." not in path.parts


def difference(path: Path, entry: Download) -> str:
    """Return in what a file differs from the one that the card means; nothing when it is that."""
    n_bytes = path.stat().st_size
    if entry.size and n_bytes != entry.size:
        return f"it has {n_bytes:,} bytes, and {entry.size:,} are expected"
    kind, expected = entry.checksum
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False))
    if digest.hexdigest() == expected:
        return ""
    return f"its {kind} is {digest.hexdigest()}, and {expected} is expected"


def fetch(
    entry: Download,
    target: Path,
    *,
    progress: Progress | None = None,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Download a file, going on with what an earlier call left, and check it.

    Parameters
    ----------
    entry : Download
        The file.
    target : Path
        Where it is put, once it is complete and right; its folder exists.
    progress : callable, optional
        Called with the name, the bytes that are there and the bytes in all, 0 when unknown.
    pauses : sequence of float, default=PAUSES
        Seconds to wait before each further try.

    Raises
    ------
    DataError
        When the server refuses or cannot be reached, or the file is not the expected one.
    """
    part = _Part(entry, target.with_name(f"{target.name}.part"))
    for pause in (*pauses, None):
        try:
            _go_on(part, progress or (lambda what, n_done, n_total: None))
            break
        except _PassingError as error:
            if pause is None:
                raise DataError(
                    f"{entry.url}: cannot be downloaded ({error}). {part.size:,} bytes are kept; "
                    "run the same command again to go on."
                ) from None
            time.sleep(pause)
        except _RefusedError as error:
            raise DataError(
                f"{entry.url}: {error}. Get the file elsewhere, put it at {target}, and run the "
                "same command again."
            ) from None
    if wrong := difference(part.path, entry):
        part.discard()
        raise DataError(
            f"{entry.url}: what came is not the expected file: {wrong}. It was removed; run the "
            "same command again, and if that gives the same, its makers have changed it."
        )
    with writing(target):
        os.replace(part.path, target)
        part.discard()


class _PassingError(Exception):
    """What another try may overcome."""


class _RefusedError(Exception):
    """What it may not."""


@dataclass
class _Part:
    """What came so far of a file, and what the server said of it when it began."""

    entry: Download
    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        with writing(self.path):
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)

    def begin(self, headers: Any) -> None:
        """Start anew with what the server says of the file."""
        self.discard()
        tag = headers.get("ETag", "")
        if not tag or tag.startswith("W/"):  # weak: does not promise the same bytes
            tag = headers.get("Last-Modified", "")
        write_json(self.note, {"url": self.entry.url, "validator": tag})

    def request_headers(self) -> dict[str, str]:
        """Return what asks for the rest; what cannot be gone on with is discarded."""
        headers = {"User-Agent": "bootstrap-det", "Accept-Encoding": "identity"}
        known = self._read_note()
        if not self.size or known.get("url") != self.entry.url:
            self.discard()
            return headers
        headers["Range"] = f"bytes={self.size}-"
        if known.get("validator"):
            headers["If-Range"] = known["validator"]
        return headers

    def _read_note(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.note.read_bytes()))
        except (OSError, ValueError):
            return {}


def _go_on(part: _Part, progress: Progress) -> None:
    """Fetch what is missing; what a broken connection brought is kept."""
    if part.entry.size and part.size == part.entry.size:
        return  # an earlier call was stopped just before it was checked
    with _answer(part) as response:
        if response is None:
            return
        total = _expected_total(part, response)
        with writing(part.path), part.path.open("ab") as stream:
            n_bytes = stream.tell()
            for chunk in _chunks(response):
                stream.write(chunk)
                n_bytes += len(chunk)
                progress(part.entry.file_name, n_bytes, total)
                if total and n_bytes > total:
                    break  # the check will tell
            stream.flush()
            os.fsync(stream.fileno())
    if total and part.size < total:
        raise _PassingError(f"the connection ended after {part.size:,} of {total:,} bytes")


@contextmanager
def _answer(part: _Part) -> Iterator[Any]:
    """Open the answer that brings the rest of a file; None when nothing is missing."""
    request = urllib.request.Request(part.entry.url, headers=part.request_headers())
    try:
        response = _opener().open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            _refused(part, error)
        yield None
    except urllib.error.URLError as error:
        raise _PassingError(str(error.reason)) from None
    except _BROKEN as error:
        raise _PassingError(str(error) or type(error).__name__) from None
    else:
        with response:
            yield response


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https, and nothing else, also after a redirection."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _refused(part: _Part, error: urllib.error.HTTPError) -> None:
    """Raise what an answer of an error means; return when it means that nothing is missing."""
    said = f"the server answered {error.code} {error.reason}"
    if error.code == 416 and part.size:
        _, _, total = error.headers.get("Content-Range", "").rpartition("/")
        if total == str(part.size):
            return
        part.discard()
        raise _PassingError(said)
    if error.code in _PASSING:
        raise _PassingError(said)
    raise _RefusedError(said)


def _expected_total(part: _Part, response: Any) -> int:
    """Return how long the file will be, 0 when unknown; make it begin where the answer does."""
    headers = response.headers
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None or int(found[1]) != part.size:
            part.discard()
            raise _PassingError("the server sent another part than the one asked for")
        length = found[2]
    elif response.status == 200:  # it knows no parts, or the file is another one by now
        part.begin(headers)
        length = headers.get("Content-Length", "")
    else:
        raise _RefusedError(f"the server answered {response.status} {response.reason}")
    total = int(length) if length.isdecimal() else 0
    if part.entry.size and total and total != part.entry.size:
        part.discard()
        raise _RefusedError(
            f"the server has a file of {total:,} bytes, and {part.entry.size:,} are expected"
        )
    return total or part.entry.size


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield what comes, as soon as it comes."""
    try:
        while chunk := response.read1(_CHUNK):
            yield chunk
    except _BROKEN as error:
        raise _PassingError(str(error) or type(error).__name__) from None
