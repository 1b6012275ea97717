"""One picture with its annotations, or crops that need none.

All three kinds of box lie in ``Picture.boxes``; two flags tell them apart:

* a target (neither flag): an object to be found;
* ``ignore``: an object that counts neither as a hit nor as a miss;
* ``crowd``: a region that holds many objects, as COCO's ``iscrowd``.

Ignored objects and crowds are never trained on, and no negatives are mined from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_boxes, check_choice, check_int, check_size
from bootstrap_det.data.tars import TarMember
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import COLORS, image_size, read_image, to_grey, to_rgb

MAX_ID = (1 << 63) - 1
MAX_SIDE = (1 << 31) - 1


@dataclass(frozen=True)
class Skipped:
    """Something that a reader left out, and why.

    Attributes
    ----------
    file : str
        The picture or annotation file.
    reason : str
        One sentence.
    """

    file: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return the two fields as a dictionary for JSON."""
        return {"file": self.file, "reason": self.reason}


@runtime_checkable
class Source(Protocol):
    """What makes the pixels of a picture each time they are asked for.

    Equal keys must mean equal pixels: a data set's digest covers the key in place of the pixels.
    """

    @property
    def key(self) -> str:
        """All that the pixels depend on."""
        ...

    def __call__(self) -> NDArray[np.uint8]:
        """Return the pixels, shape (height, width) or (height, width, 3)."""
        ...


def _no_boxes() -> NDArray[np.float64]:
    return np.zeros((0, 4))


def _no_labels() -> NDArray[np.str_]:
    return np.zeros(0, dtype=np.str_)


def _no_flags() -> NDArray[np.bool_]:
    return np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, on disk, in memory or made on demand, and what is annotated in it.

    Attributes
    ----------
    image_id : int
        Identity of the picture in its data set.
    name : str
        Name to show, and the ``file_name`` of COCO.
    boxes : ndarray of shape (n, 4), float64
        xyxy on pixel edges of the upright picture; they may run past its border.
    labels : ndarray of shape (n,), str
        Category of each box.
    ignore, crowd : ndarray of shape (n,), bool
        See the module's docstring.
    path : Path or None, default=None
        The picture file.
    pixels : ndarray of shape (height, width) or (height, width, 3), uint8, or None, default=None
        The picture itself.
    size : (height, width) or None, default=None
        In pixels. None when not known before loading; taken from ``pixels`` when those are given,
        and required with a ``source``.
    source : Source or None, default=None
        Makes the pixels when the picture is loaded; nothing is kept.
    member : TarMember or None, default=None
        The picture file inside a tar archive. Exactly one of ``path``, ``pixels``, ``source`` and
        ``member`` is given.

    Raises
    ------
    ParameterError
        When shapes or types do not fit, a box is not finite or has no area, or not exactly one
        of path, pixels, source and member is given.

    Notes
    -----
    The arrays are kept as read-only views or copies.
    """

    image_id: int
    name: str
    boxes: NDArray[np.float64] = field(default_factory=_no_boxes)
    labels: NDArray[np.str_] = field(default_factory=_no_labels)
    ignore: NDArray[np.bool_] = field(default_factory=_no_flags)
    crowd: NDArray[np.bool_] = field(default_factory=_no_flags)
    path: Path | None = None
    pixels: NDArray[np.uint8] | None = None
    size: tuple[int, int] | None = None
    source: Source | None = None
    member: TarMember | None = None

    def __post_init__(self) -> None:
        """Check every field and bring it into its declared type."""
        owner = f"Picture {self.name!r}"
        if not isinstance(self.name, str):
            raise ParameterError(f"The name of a Picture must be a str. Got {self.name!r} instead.")
        low = -MAX_ID - 1
        _set(self, "image_id", check_int(self.image_id, "image_id", owner, low=low, high=MAX_ID))
        _set(self, "boxes", _checked_boxes(self.boxes, owner))
        _set(self, "labels", _column(self.labels, "labels", np.dtype(np.str_), self))
        _set(self, "ignore", _column(self.ignore, "ignore", np.dtype(np.bool_), self))
        _set(self, "crowd", _column(self.crowd, "crowd", np.dtype(np.bool_), self))
        origins = (self.path, self.pixels, self.source, self.member)
        if sum(given is not None for given in origins) != 1:
            raise ParameterError(
                f"{owner} needs a path or pixels, and not both, or a source instead of them, or a "
                "member of an archive."
            )
        if self.path is not None:
            _set(self, "path", Path(self.path))
        if self.size is not None:
            _set(self, "size", check_size(self.size, "size", owner, high=MAX_SIDE))
        if self.pixels is not None:
            self._check_pixels(self.pixels, owner)
        if self.source is not None:
            self._check_source(self.source, owner)
        if not isinstance(self.member, TarMember | None):
            raise ParameterError(
                f"The member of {owner} must be a TarMember. Got {self.member!r:.80} instead."
            )

    def _check_source(self, source: Any, owner: str) -> None:
        if not (isinstance(source, Source) and isinstance(source.key, str)):
            raise ParameterError(
                f"The source of {owner} must be callable and have a `key`, a str. "
                f"Got {source!r:.80} instead."
            )
        if self.size is None:
            raise ParameterError(f"{owner} has a source, so it needs a size, (height, width).")

    def _check_pixels(self, pixels: NDArray[np.uint8], owner: str) -> None:
        _set(self, "pixels", _checked_pixels(pixels, owner, n_leading=0))
        shape = (int(pixels.shape[0]), int(pixels.shape[1]))
        if self.size not in (None, shape):
            raise ParameterError(
                f"{owner} has pixels of (height, width) {shape}, but size {self.size}. "
                "Leave `size` out."
            )
        _set(self, "size", shape)

    @property
    def targets(self) -> NDArray[np.bool_]:
        """Which boxes are objects to be found, shape (n,): neither ignored nor crowds."""
        return ~(self.ignore | self.crowd)

    def load(self, color: str = "grey") -> NDArray[np.uint8]:
        """Return the pixels, upright, as an array of their own.

        Parameters
        ----------
        color : {"grey", "rgb"}, default="grey"
            Shape (height, width), or (height, width, 3).

        Raises
        ------
        DataError
            When the file cannot be read, or is not of the size that the annotations state.
        ParameterError
            When a source makes something else than a picture of the stated size.
        """
        color = check_choice(color, "color", "Picture.load", COLORS)
        if self.path is None and self.member is None:
            made = self._made() if self.pixels is None else self.pixels
            return np.array(to_grey(made) if color == "grey" else to_rgb(made))
        pixels = self._decoded(color)
        if self.size not in (None, pixels.shape[:2]):
            self._refuse_size((pixels.shape[0], pixels.shape[1]))
        return pixels

    def measure(self) -> tuple[int, int]:
        """Return (height, width), from the file's header where ``size`` is not known.

        Raises
        ------
        DataError
            When the header cannot be read.
        """
        if self.size is not None:
            return self.size
        if self.member is None:
            assert self.path is not None  # others know their size, by construction
            return image_size(self.path)
        with self.member.open() as stream:
            return image_size(str(self.member), stream=stream)

    def encoded(self) -> bytes | None:
        """Return the content of the picture's file, as it is; None when there is no file.

        Raises
        ------
        DataError
            When the file cannot be read.
        """
        if self.member is not None:
            return self.member.read()
        if self.path is None:
            return None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read ({error.strerror}). Check the file."
            ) from None

    def _decoded(self, color: str) -> NDArray[np.uint8]:
        if self.member is None:
            assert self.path is not None  # the caller makes the others
            return read_image(self.path, color=color)
        return read_image(str(self.member), color=color, data=self.member.read())

    def _made(self) -> NDArray[np.uint8]:
        assert self.source is not None  # by construction
        pixels = _checked_pixels(self.source(), f"Picture {self.name!r}", n_leading=0)
        if pixels.shape[:2] != self.size:
            raise ParameterError(
                f"The source of Picture {self.name!r} must make pixels of (height, width) "
                f"{self.size}. Got {pixels.shape[:2]} instead."
            )
        return pixels

    def _refuse_size(self, found: tuple[int, int]) -> None:
        assert self.size is not None
        hint = "Correct the sizes, or give the pictures that were annotated."
        if found == self.size[::-1]:
            hint = (
                "It was probably annotated before its EXIF rotation was applied: "
                "remove its EXIF orientation, or annotate it upright."
            )
        raise DataError(
            f"{self.path or self.member}: is {found[1]} x {found[0]} pixels (width x height), but "
            f"its annotations are for {self.size[1]} x {self.size[0]}. {hint}"
        )


@dataclass(frozen=True, eq=False)
class Crops:
    """Positives that come as crops of equal size, rather than as boxes in pictures.

    Attributes
    ----------
    pixels : ndarray of shape (n, height, width) or (n, height, width, 3), uint8
        The crops, grey or RGB, at least one.
    object_box : tuple of 4 floats, default=the whole crop
        Where the object lies in each of them, xyxy, crop pixels.
    label : str, default="object"
        Category of all of them.

    Raises
    ------
    ParameterError
        When the pixels are not such an array, or the box has no area or lies outside the crop.
    """

    pixels: NDArray[np.uint8]
    object_box: tuple[float, ...] = ()
    label: str = "object"

    def __post_init__(self) -> None:
        """Check every field; fill in the object's box."""
        _set(self, "pixels", _checked_pixels(self.pixels, "Crops", n_leading=1))
        if not isinstance(self.label, str) or not self.label:
            raise ParameterError(
                f"The label of Crops must be a str, not empty. Got {self.label!r} instead."
            )
        _set(self, "object_box", _checked_object_box(self.object_box, self.pixels.shape[1:3]))

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.pixels)


def _set(owner: Any, name: str, value: Any) -> None:
    # The way to assign in the __post_init__ of a frozen dataclass.
    object.__setattr__(owner, name, value)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _checked_boxes(boxes: ArrayLike, owner: str) -> NDArray[np.float64]:
    try:
        array = check_boxes(boxes, f"The boxes of {owner}").copy()
    except ParameterError:
        raise
    except (TypeError, ValueError):
        raise ParameterError(f"The boxes of {owner} must be numbers. Got {boxes!r:.80}.") from None
    good = np.isfinite(array).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1)
    if not good.all():
        index = int(np.argmin(good))
        raise ParameterError(
            f"Box {index} of {owner} must be finite, with x2 > x1 and y2 > y1. "
            f"Got {array[index].tolist()} instead. Drop it first."
        )
    return _frozen(array)


def _checked_object_box(value: Any, size: tuple[int, ...]) -> tuple[float, ...]:
    height, width = size
    box = np.array([0, 0, width, height], dtype=np.float64)
    if np.size(value):
        box = _checked_boxes([value], "Crops")[0]
    if box[2:].min() <= 0 or box[0] >= width or box[1] >= height:
        raise ParameterError(
            f"The object_box of Crops must touch the crop of {width} x {height} pixels "
            f"(width x height). Got {box.tolist()} instead."
        )
    return tuple(box.tolist())


def _column(values: Any, name: str, dtype: np.dtype[Any], picture: Picture) -> NDArray[Any]:
    array = np.array(values)
    if array.size == 0:
        array = array.astype(dtype)
    if array.shape != (len(picture.boxes),) or array.dtype.kind != dtype.kind:
        raise ParameterError(
            f"The {name} of Picture {picture.name!r} must be {dtype.type.__name__} of shape "
            f"({len(picture.boxes)},), one for each box. Got {array.dtype} of shape {array.shape}."
        )
    return _frozen(array)


def _checked_pixels(pixels: Any, owner: str, *, n_leading: int) -> NDArray[np.uint8]:
    array = np.asarray(pixels)
    shape = array.shape[n_leading:]
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if array.dtype != np.uint8 or not is_picture or array.size == 0:
        wanted = "(n, height, width" if n_leading else "(height, width"
        raise ParameterError(
            f"The pixels of {owner} must be uint8 of shape {wanted}) or {wanted}, 3), not empty. "
            f"Got {array.dtype} of shape {array.shape} instead."
        )
    return _frozen(array)
