"""Files that are written as a whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bootstrap_det.exceptions import DataError

_PREFIX, _SUFFIX = ".bdet-", ".tmp"
LEFTOVERS = f"{_PREFIX}*{_SUFFIX}"
"""Names of the files that are left where a process was killed while it wrote."""


@contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system refuses while ``target`` is written into one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror}). Check the folder, its permissions "
            "and the space on the disk."
        ) from None


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` that takes its place when the block ends well.

    The bytes are on the disk before the rename, and the rename before the next file, so a crash
    or a loss of power leaves the old file or the new one, and no newer one without it.

    Raises
    ------
    DataError
        When the folder is missing, or the file cannot be written.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        with writing(target):
            handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=target.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)  # mkstemp makes files that nobody else can read
            os.replace(temporary, target)
            _sync_folder(target.parent)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems sync no folders
        pass
    finally:
        os.close(handle)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as stream:
        stream.write(content)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON atomically, indented; NaN is refused."""
    write_bytes(path, json.dumps(value, indent=2, allow_nan=False).encode() + b"\n")
