"""What all writers share: checks, names and copies of pictures, numbers, what was lost."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from bootstrap_det._files import atomic_write, write_bytes
from bootstrap_det.data.collect import count, is_absolute
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError

_DECIMALS = 6  # of a pixel, in text; a round trip keeps 0.01
_NO_LONGER: dict[str, Any] = {"pixels": None, "source": None, "member": None}  # of a copy


@dataclass(frozen=True)
class Written:
    """What a writer wrote, and what its format could not hold.

    Attributes
    ----------
    format : str
        Name of the format.
    path : Path
        What to give to :func:`read_annotations`.
    n_pictures : int
        Pictures written, those without objects included.
    notes : tuple of str
        What was lost or changed, one sentence each.
    """

    format: str
    path: Path
    n_pictures: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A data set that is about to be written, its pictures checked and their names settled.

    Attributes
    ----------
    dataset : Dataset
        What to write.
    path : Path
        The file, or for VOC and YOLO the folder.
    folder : Path
        The folder that everything goes into.
    """

    dataset: Dataset
    path: Path
    folder: Path

    def named(self) -> Iterator[tuple[Picture, str]]:
        """Yield each picture with its name, checked: it must not lead out of the folder."""
        for picture in self.dataset.pictures:
            _check_text(picture.name, "picture name", self.path)
            parts = PurePosixPath(picture.name).parts
            if is_absolute(picture.name) or ".." in parts or "\\" in picture.name or not parts:
                raise DataError(
                    f"{self.path}: the picture {picture.name!r} has a name that is no relative "
                    "path inside a folder. Give it another name."
                )
            for label in dict.fromkeys(picture.labels.tolist()):
                _check_text(label, "label", self.path)
            yield picture, picture.name

    def shown_path(self, picture: Picture) -> str:
        """Return how lists name a picture: relative to the list where it lies below, else by name.

        Other tools look for pictures from the list's folder.
        """
        if picture.path is not None:
            try:
                inner = picture.path.resolve().relative_to(self.folder.resolve())
            except (OSError, ValueError):
                return picture.name
            if inner.as_posix().endswith(picture.name):
                return inner.as_posix()
        return picture.name

    def require_stems(self, suffix: str) -> None:
        """Raise DataError when two pictures would share one annotation file."""
        stems = Counter(str(PurePosixPath(p.name).with_suffix("")) for p in self.dataset.pictures)
        twice = [stem for stem, number in stems.items() if number > 1]
        if twice:
            raise DataError(
                f"{self.path}: {stems[twice[0]]} pictures would share the file "
                f"{twice[0]}.{suffix}. Give each a name that differs before the ending."
            )

    def notes_on_flags(self, *, ignored: str | None) -> tuple[str, ...]:
        """Return what becomes of flags: ``ignored`` names what the format has, None for nothing."""
        n_crowds = sum(int(p.crowd.sum()) for p in self.dataset.pictures)
        n_ignored = self.dataset.n_ignored
        if ignored is None and n_ignored:
            said = count(n_ignored, "ignored box was", "ignored boxes and crowds were")
            lost = f"{said} left out: the format has no place for them."
            return (lost, *self._note_on_hidden())
        if ignored is not None and n_crowds:
            return (f"{count(n_crowds, 'crowd was', 'crowds were')} written as {ignored}.",)
        return ()

    def _note_on_hidden(self) -> tuple[str, ...]:
        """Return a note on pictures that had ignored boxes alone: they will be mined."""
        number = sum(bool(len(p.boxes)) and not p.targets.any() for p in self.dataset.pictures)
        if not number:
            return ()
        said = count(
            number,
            "picture with ignored boxes alone passes for a picture",
            "pictures with ignored boxes alone pass for pictures",
        )
        return (f"{said} without objects now.",)

    def notes_on_categories(self) -> tuple[str, ...]:
        """Return which categories are lost because no box has them."""
        used = {str(label) for p in self.dataset.pictures for label in p.labels}
        lost = [label for label in self.dataset.categories if label not in used]
        if not lost:
            return ()
        named = ", ".join(map(repr, lost[:5])) + (", ..." if len(lost) > 5 else "")
        said = count(len(lost), "category without boxes was", "categories without boxes were")
        return (f"{said} lost: {named}.",)

    def note_on_fractions(self, tool: str) -> tuple[str, ...]:
        """Return how many boxes are not whole pixels, which some tools cannot read."""
        number = sum(
            int((picture.boxes % 1 != 0).any(axis=1).sum()) for picture in self.dataset.pictures
        )
        if not number:
            return ()
        said = count(number, "box has", "boxes have")
        return (f"{said} fractions of pixels, which are read back here but not by {tool}.",)


def make_plan(dataset: Dataset, path: Path, folder: Path) -> Plan:
    """Return the plan of writing, or raise DataError when the data set cannot be written."""
    if dataset.crops is not None:
        raise DataError(
            f"{path}: annotations cannot hold the crops of {dataset.name!r}. "
            "Write the pictures alone, with `dataclasses.replace(dataset, crops=None)`."
        )
    names = Counter(picture.name for picture in dataset.pictures)
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise DataError(
            f"{path}: {names[twice[0]]} pictures of {dataset.name!r} are called {twice[0]!r}. "
            "Give each a name of its own."
        )
    return Plan(dataset, path, folder)


def copy_pictures(plan: Plan, images: Path) -> Plan:
    """Return the plan with its pictures copied into a folder; others are written as PNG.

    Raises
    ------
    DataError
        When another file of the name lies there, or a file cannot be copied.
    """
    pictures = []
    for picture, name in plan.named():
        name = copied_name(picture, name)
        target = images / name
        make_folder(target.parent)
        _copy(picture, target)
        pictures.append(replace(picture, name=name, path=target, **_NO_LONGER))
    return make_plan(replace(plan.dataset, pictures=tuple(pictures)), plan.path, plan.folder)


def _copy(picture: Picture, target: Path) -> None:
    if target.exists():
        if picture.path is not None and target.samefile(picture.path):
            return
        raise DataError(f"{target}: exists already. Give an empty folder.")
    if picture.path is None:
        content = picture.encoded()
        write_bytes(target, as_png(picture) if content is None else content)
        return
    try:
        with picture.path.open("rb") as source, atomic_write(target) as copy:
            shutil.copyfileobj(source, copy)
    except OSError as error:
        raise DataError(
            f"{picture.path}: cannot be copied ({error.strerror}). Check the file."
        ) from None


def copied_name(picture: Picture, name: str) -> str:
    """Return the name of a picture's copy: what is no file yet becomes a PNG."""
    is_file = picture.path is not None or picture.member is not None
    # Another format would change the pixels.
    return name if is_file or name.lower().endswith(".png") else f"{name}.png"


def as_png(picture: Picture) -> bytes:
    """Return the pixels of a picture that is no file as a PNG."""
    pixels = picture.load("rgb") if picture.pixels is None else picture.pixels
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all, and make their folders."""
    for path, content in files.items():
        make_folder(path.parent)
        write_bytes(path, content)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, or raise DataError."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made ({error.strerror}). Check the folder above it."
        ) from None
    except ValueError:  # a null character, or one that the file system cannot encode
        raise DataError(f"{str(folder)!r}: is not a folder name. Check the path.") from None


def exact(value: float) -> str:
    """Return a coordinate as text: whole ones as ints, others to a millionth of a pixel."""
    text = f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _check_text(text: str, what: str, path: Path) -> None:
    """Raise DataError for what text formats cannot hold or readers would trim."""
    bad = any(unicodedata.category(char) in ("Cc", "Cs") or char in "\ufffe\uffff" for char in text)
    if bad or text != text.strip() or not text:
        raise DataError(
            f"{path}: the {what} {text!r} is empty, has outer blanks or control characters, which "
            "only COCO can hold. Rename it, or write COCO."
        )
