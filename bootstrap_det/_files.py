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

    The bytes are on the disk before the rename, so a crash leaves the old file or the new one.

    Raises
    ------
    DataError
        When the folder is missing, or the file cannot be written.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        with writing(target):
            handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)  # mkstemp makes files that nobody else can read
            os.replace(temporary, target)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as stream:
        stream.write(content)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON atomically, indented; NaN is refused."""
    write_bytes(path, json.dumps(value, indent=2, allow_nan=False).encode() + b"\n")
