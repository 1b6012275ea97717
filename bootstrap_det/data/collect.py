"""What all readers of annotations share: finding pictures, checking boxes, keeping account.

A reader goes through its file item by item. An item that cannot be used raises BadItemError;
the collector turns that into a DataError, or lists it when the caller chose ``skip_bad``.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from bootstrap_det.data.picture import Picture, Skipped
from bootstrap_det.data.tars import TarMember
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import image_size

BORDER_TOLERANCE = 0.01
"""Pixels that a box may pass the border by without being counted: sides are often rounded."""

_OUT = "Correct it, or drop such items with `skip_bad=True`."
_BOM = "\ufeff"
_PIECE = 1 << 20  # bytes
_MAX_SHOWN = 200  # characters of a file name in a message

Corners = tuple[float, float, float, float]


class BadItemError(Exception):
    """An item that cannot be used; it is raised as DataError or recorded, as the caller chose."""


@dataclass
class Entry:
    """A picture whose boxes are being collected.

    Attributes
    ----------
    image_id : int
        Identity in the data set.
    name : str
        Name to show, relative to the folder of the pictures.
    path : Path or None
        The file.
    size : tuple of int
        Height and width in pixels.
    member : TarMember or None
        The file inside an archive, instead of ``path``.
    """

    image_id: int
    name: str
    path: Path | None
    size: tuple[int, int]
    boxes: list[Corners] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ignore: list[bool] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    member: TarMember | None = None

    def add(self, box: Corners, label: str, ignore: bool = False, crowd: bool = False) -> None:
        """Append one box."""
        self.boxes.append(box)
        self.labels.append(label)
        self.ignore.append(ignore)
        self.crowd.append(crowd)

    def picture(self, image_id: int | None = None) -> Picture:
        """Return what was collected, under its own id or another."""
        return Picture(
            self.image_id if image_id is None else image_id,
            self.name,
            np.array(self.boxes, dtype=np.float64),
            np.array(self.labels, dtype=np.str_),
            np.array(self.ignore, dtype=np.bool_),
            np.array(self.crowd, dtype=np.bool_),
            path=self.path,
            size=self.size,
            member=self.member,
        )


class Collector:
    """The account of one reading: what was dropped, and what else the user should know.

    Parameters
    ----------
    path : Path
        The annotations, to be named in every message.
    skip_bad : bool
        List what cannot be used instead of raising for the first.
    """

    def __init__(self, path: Path, skip_bad: bool) -> None:
        self.path = path
        self.skip_bad = skip_bad
        self.skipped: list[Skipped] = []
        self.dropped: Counter[Hashable] = Counter()  # boxes of each picture that was left out
        self.file_names: set[str] = set()
        self.n_past_border = 0

    @contextmanager
    def item(self, where: str, path: Path | None = None) -> Iterator[None]:
        """Turn a BadItemError inside the block into a DataError, or into an entry of the list."""
        try:
            yield
        except BadItemError as bad:
            self.refuse(f"{where} {bad}", path)

    def refuse(self, reason: str, path: Path | None = None) -> None:
        """Raise DataError for an item, or list it as skipped."""
        source = self.path if path is None else path
        if not self.skip_bad:
            raise DataError(f"{source}: {reason}. {_OUT}")
        self.skipped.append(Skipped(str(source), f"{reason}."))

    def claim(self, normal: str, said: str) -> None:
        """Note that a picture is taken; raise BadItemError when it was before."""
        if normal in self.file_names:
            raise BadItemError(f"{said}, which occurs twice")
        self.file_names.add(normal)

    def box(self, corners: Sequence[float], said: str, entry: Entry) -> Corners:
        """Return a box that has an area and touches its picture, else raise BadItemError.

        ``said`` is how the message begins: "has the bbox [1, 2, 3, 4]". A box that runs past the
        border is counted, not clipped.
        """
        x1, y1, x2, y2 = corners
        if not (math.isfinite(x2) and math.isfinite(y2) and x2 > x1 and y2 > y1):
            raise BadItemError(f"{said}, whose width and height are not both positive and finite")
        rows, columns = entry.size
        if x2 <= 0 or y2 <= 0 or x1 >= columns or y1 >= rows:
            raise BadItemError(
                f"{said}, which lies entirely outside its picture {entry.name!r} "
                f"of {columns} x {rows} pixels (width x height)"
            )
        beyond = max(-x1, -y1, x2 - columns, y2 - rows)
        self.n_past_border += beyond > BORDER_TOLERANCE
        return x1, y1, x2, y2

    def record_dropped(self, kind: str) -> None:
        """List how many boxes went with each picture that was left out."""
        for key, number in self.dropped.items():
            if number:
                reason = f"{count(number, 'box', 'boxes')} of {kind} {key}, which was left out."
                self.skipped.append(Skipped(str(self.path), reason))

    def notes(self) -> tuple[str, ...]:
        """Return what the reader kept but the user should know."""
        if not self.n_past_border:
            return ()
        said = count(
            self.n_past_border,
            "box runs past the border of its picture and is",
            "boxes run past the border of their pictures and are",
        )
        return (f"{self.path.name}: {said} kept as annotated.",)


def locate_relative(file_name: str, folder: Path) -> tuple[Path, str]:
    """Return the file of a relative name inside a folder, and the name made normal.

    Raises BadItemError for an absolute name, one that leads out of the folder, or no file.
    """
    normal = os.path.normpath(file_name)
    if is_absolute(file_name):
        raise BadItemError(f"has the absolute file_name {named(file_name)}; it must be relative")
    if normal.split(os.sep)[0] == ".." or ".." in PureWindowsPath(file_name).parts[:1]:
        raise BadItemError(f"has the file_name {named(file_name)}, which leads out of {folder}")
    # The name made normal: "link/../x" is another file where a link leads elsewhere.
    if not os.path.isfile(folder / normal):  # unlike Path.is_file, it never raises
        raise BadItemError(f"has the file_name {named(file_name)}, which is not a file in {folder}")
    return folder / normal, normal


def locate_listed(file_name: str, roots: Sequence[Path], bases: Sequence[Path]) -> tuple[Path, str]:
    """Return the file that a list names, and its name relative to the root that it lies in.

    Parameters
    ----------
    file_name : str
        Relative to one of ``bases``, or absolute; with slashes of either kind.
    roots : sequence of Path
        Folders that pictures may lie in. Whatever is named, nothing outside them is read.
    bases : sequence of Path
        Folders that relative names are looked for in, in this order.

    Raises
    ------
    BadItemError
        When there is no such file, or it lies outside the roots.
    """
    outside = False
    for spelled in dict.fromkeys((file_name, file_name.replace("\\", "/"))):
        for base in bases:
            path = Path(os.path.normpath(os.path.abspath(base) + os.sep + spelled))
            if is_absolute(spelled):
                path = Path(os.path.normpath(spelled))
            inside = [name for root in roots if (name := _relative_to(path, root)) is not None]
            outside |= not inside
            if inside and os.path.isfile(path):  # unlike Path.is_file, it never raises
                return path, inside[0]
    where = " or ".join(str(root) for root in roots)
    if outside and (is_absolute(file_name) or ".." in PureWindowsPath(file_name).parts):
        raise BadItemError(
            f"names the picture {named(file_name)}, which is not a file inside {where}; give the "
            "folder of the pictures with `images_dir` (--images)"
        )
    raise BadItemError(
        f"names the picture {named(file_name)}, which is not a file in {where}; copy it there, or "
        "give the folder of the pictures with `images_dir` (--images)"
    )


def _relative_to(path: Path, root: Path) -> str | None:
    """Return a path's name inside a folder, as spelled or with links followed, or None."""
    inner, outer = str(path), os.path.abspath(root)
    if not _is_inside(inner, outer):
        try:
            inner, outer = os.path.realpath(path), os.path.realpath(root)
        except (OSError, ValueError):  # a null character, or a name that is too long
            return None
    if not _is_inside(inner, outer):
        return None
    return inner[len(outer.rstrip(os.sep)) + 1 :].replace(os.sep, "/")


def _is_inside(inner: str, outer: str) -> bool:
    return inner.startswith(outer.rstrip(os.sep) + os.sep)


def is_absolute(file_name: str) -> bool:
    """Return whether a name is absolute, on this system or on Windows."""
    windows = PureWindowsPath(file_name)
    return bool(PurePosixPath(file_name).is_absolute() or windows.drive or windows.root)


def size_of_file(path: Path, said: str = "names a picture that gives no size") -> tuple[int, int]:
    """Return (height, width) from a picture's header, or raise BadItemError."""
    try:
        return image_size(path)
    except DataError as error:
        why = str(error).rstrip(".")
        raise BadItemError(f"{said}: {why}") from None


def read_bounded(path: Path, max_bytes: int, what: str) -> bytes:
    """Return a file's bytes, or raise DataError saying that ``what`` is wanted."""
    content = bytearray()
    try:
        with path.open("rb") as stream:
            # In pieces: to be asked for all that is allowed, Python would set it aside at once.
            while len(content) <= max_bytes and (piece := stream.read(_PIECE)):
                content += piece
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Give {what}.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder. Give {what}.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the file.") from None
    except ValueError:  # a null character, or one that the file system cannot encode
        raise DataError(f"{str(path)!r}: is not a file name. Check the path.") from None
    if len(content) > max_bytes:
        raise DataError(f"{path}: exceeds the limit of {max_bytes:,} bytes. Split it.")
    return bytes(content)


def read_text(path: Path, max_bytes: int, what: str) -> str:
    """Return a file's text in UTF-8, or raise DataError."""
    try:
        return read_bounded(path, max_bytes, what).decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not text in UTF-8 (byte {error.start}). Give {what}, saved as UTF-8."
        ) from None


def is_number(value: Any) -> bool:
    """Return whether a value is an int or float that a finite float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the floats
        return False


def numbers_of(texts: Sequence[str], said: str) -> list[float]:
    """Return texts as finite floats, or raise BadItemError beginning with ``said``."""
    try:
        values = [math.nan if "_" in text else float(text) for text in texts]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise BadItemError(f"{said}, which is not {len(texts)} finite numbers")
    return values


def flag_of(text: str | None, said: str) -> bool:
    """Return a flag written as 0 or 1, true or false, or left empty; else raise BadItemError."""
    known = {"": False, "0": False, "false": False, "1": True, "true": True}
    value = known.get((text or "").strip().lower())
    if value is None:
        raise BadItemError(f"{said} {shown(text)}, which is neither 0 nor 1")
    return value


def count(number: int, one: str, many: str) -> str:
    """Return a number with its noun in the right form."""
    return f"{number} {one if number == 1 else many}"


def named(file_name: str) -> str:
    """Return a file name for a message, quoted and not too long."""
    text = repr(file_name[: _MAX_SHOWN + 1])
    return text if len(file_name) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...'"


def shown(value: Any) -> str:
    """Return a value for a message, cut to 80 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        return "something huge"
    return text if len(text) <= 80 else text[:77] + "..."
