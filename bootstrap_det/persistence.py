"""The model file.

It is an npz archive of plain arrays and one JSON header; nothing in it is ever
unpickled. The reader believes no size that the file states: every member's declared shape is
checked against limits and against the bytes really there before anything is allocated.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bootstrap_det import __version__
from bootstrap_det._files import atomic_write
from bootstrap_det._zips import open_zip
from bootstrap_det.exceptions import ModelFormatError

MODEL_FORMAT = "bootstrap_det.model"
MODEL_FORMAT_VERSION = 4  # 2: boosted trees; 3: classes inside labels; 4: refinement, location
MAX_MEMBERS = 4096
MAX_ARCHIVE_BYTES = 1 << 30
"""Most bytes that an archive of arrays may unpack to, unless the caller says otherwise."""

MAX_MODEL_BYTES = 1 << 27
"""Most bytes that a model file may unpack to; a large one, of a hundred classes, has a quarter."""

MAX_HEADER_BYTES = 1 << 24
"""Most bytes of a model's JSON header; a list in it may take twenty times its text in memory."""

MAX_NESTING = 64
"""Most levels of lists and objects in a header."""

_DTYPES = {"float32", "float64", "int16", "int32", "int64", "uint8"}
_HEADER = "header"
_MAX_REASON = 400  # characters


def write_arrays(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> None:
    """Write arrays and a JSON header as one npz archive, atomically.

    Equal input gives equal bytes: members are sorted and carry no time of day.
    """
    text = json.dumps(header, sort_keys=True, allow_nan=False).encode()
    members = {_HEADER: np.frombuffer(text, np.uint8), **arrays}
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, np.ascontiguousarray(members[name]), allow_pickle=False)


def read_arrays(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_ARCHIVE_BYTES,
    max_header_bytes: int = MAX_ARCHIVE_BYTES,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays that :func:`write_arrays` wrote.

    Raises
    ------
    ModelFormatError
        When the file is missing, damaged, larger than ``max_bytes`` when unpacked, its header
        larger than ``max_header_bytes``, or holds anything but plain numbers.
    """
    try:
        with open_zip(path, MAX_MEMBERS) as archive:
            arrays = _read_members(archive, Path(path), max_bytes)
    except ModelFormatError:
        raise
    except Exception as error:
        # zipfile, zlib, struct and numpy each have errors of their own for damaged bytes.
        raise damaged(path, str(error) or type(error).__name__) from None
    if _HEADER not in arrays:
        raise damaged(path, "it has no header")
    text = arrays.pop(_HEADER).tobytes()
    if len(text) > max_header_bytes:
        raise damaged(path, f"its header exceeds {max_header_bytes:,} bytes")
    return _parsed(text, path), arrays


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a model file that this version can read.

    Raises
    ------
    ModelFormatError
        When it is missing, damaged, too large, of another kind, or newer than this package.
    """
    header, arrays = read_arrays(path, max_bytes=MAX_MODEL_BYTES, max_header_bytes=MAX_HEADER_BYTES)
    check_format(header, path)
    return header, arrays


def check_format(header: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Raise ModelFormatError unless the header is of a model that this version can read."""
    if header.get("format") != MODEL_FORMAT:
        raise ModelFormatError(
            f"{path}: not a model file (format {header.get('format')!r:.80}, expected "
            f"{MODEL_FORMAT!r}). Give a file written by Detector.save."
        )
    version = header.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged(path, f"its format_version is {version!r}")
    if version > MODEL_FORMAT_VERSION:
        raise ModelFormatError(
            f"{path}: model format {version} is newer than {MODEL_FORMAT_VERSION}, the newest "
            f"that this version reads (it was written by bootstrap_det "
            f"{header.get('package_version')!s:.80}). Update the package."
        )


def model_header(provenance: dict[str, Any]) -> dict[str, Any]:
    """Return the beginning of a model's header: format, versions, provenance."""
    return {
        "format": MODEL_FORMAT,
        "format_version": MODEL_FORMAT_VERSION,
        "package_version": __version__,
        "provenance": provenance,
    }


def damaged(path: str | os.PathLike[str], why: str) -> ModelFormatError:
    """Return the error for a file that cannot be read, to be raised."""
    cut = " ".join(why[:_MAX_REASON].split())  # of what the file says, it may say very much
    return ModelFormatError(
        f"{path}: cannot be read as a model file: {cut.rstrip('.')}. Copy or train it again."
    )


def _parsed(text: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise damaged(path, "its header is not a JSON object")
    level: list[Any] = [header]
    for _ in range(MAX_NESTING):
        level = [child for value in level for child in _children(value)]
    if level:
        raise damaged(path, f"its header is nested more than {MAX_NESTING} levels deep")
    return header


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _read_members(archive: zipfile.ZipFile, path: Path, max_bytes: int) -> dict[str, NDArray[Any]]:
    infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise damaged(path, f"{len(infos)} members of {total} bytes exceed {max_bytes} bytes")
    arrays: dict[str, NDArray[Any]] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename or name in arrays:
            raise damaged(path, f"unexpected member {info.filename!r:.80}")
        with archive.open(info) as member:
            # At most the size that the limit was checked with, whatever the stream holds.
            arrays[name] = _read_array(member.read(info.file_size + 1), path, name)
    return arrays


def _read_array(data: bytes, path: Path, name: str) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): npy.read_array_header_1_0,
        (2, 0): npy.read_array_header_2_0,
    }
    if version not in readers:
        raise damaged(path, f"array {name!r} has npy version {version}")
    shape, _, dtype = readers[version](stream)
    n_items = 1
    for side in shape:  # Python ints: a product in numpy could overflow
        n_items *= side
    if dtype.name not in _DTYPES or dtype.itemsize * n_items != len(data) - stream.tell():
        raise damaged(
            path, f"array {name!r} is {dtype!s:.80} of shape {shape!s:.80}, which its bytes are not"
        )
    stream.seek(0)
    return np.asarray(npy.read_array(stream, allow_pickle=False))
