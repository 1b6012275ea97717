"""Where the pictures, labels and class names of a YOLO data set lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bootstrap_det._validation import MAX_LABEL_LENGTH, is_label
from bootstrap_det.data.collect import named, read_text, shown
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import list_images

MAX_YAML_BYTES = 96 << 10
"""Most bytes of a data.yaml: a second to parse; a thousand classes take a third of it."""

MAX_LIST_BYTES = 256 << 20
"""Most bytes of a list of pictures."""

YAML_SUFFIXES = (".yaml", ".yml")
_YAML_FILES = ("data.yaml", "data.yml")
_CLASS_FILES = ("classes.txt", "labels/classes.txt", "obj.names")
_LEVELS_UP = 3  # how far above a folder of pictures its class names are looked for
_NO_NAMES = "Write the names of the classes into classes.txt, one a line, or into data.yaml."


@dataclass(frozen=True)
class Layout:
    """A YOLO data set on the disk.

    Attributes
    ----------
    source : Path
        What the user gave.
    images, labels : Path
        The folder of the pictures, and the one that mirrors it with label files.
    pictures : tuple of str
        Names of the pictures, relative to ``images`` or as a list names them.
    names : dict of int to str
        Labels by class number.
    has_keypoints : bool
        Whether key points follow the box in each line.
    is_part : bool
        Whether there may be label files of pictures that are not listed.
    notes : tuple of str
        What the user should know.
    """

    source: Path
    images: Path
    labels: Path
    pictures: tuple[str, ...]
    names: dict[int, str]
    has_keypoints: bool = False
    is_part: bool = False
    notes: tuple[str, ...] = ()


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # yaml has no types
    """Reads every scalar as text, so a class called ``no`` stays one, and takes no aliases.

    Aliases let a small file stand for gigabytes.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases; write their values out")
        return super().compose_node(parent, index)


def find_layout(path: Path, images_dir: str | os.PathLike[str] | None) -> Layout:
    """Return where everything lies.

    Raises
    ------
    DataError
        When it cannot be told.
    """
    source, part = _split_part(path)
    given = None if images_dir is None else _existing(Path(images_dir), source)
    if source.suffix.lower() in YAML_SUFFIXES:
        return _of_yaml(source, part or "train", given)
    if os.path.isfile(source):
        return _of_list(source, source, given, _names_above(source.parent, source), False)
    if not os.path.isdir(source):  # unlike Path.is_dir, it never raises
        raise DataError(f"{source}: no such file or folder. Give data.yaml or the YOLO folder.")
    return _of_folder(source, given)


def _split_part(path: Path) -> tuple[Path, str | None]:
    """Return a path and the part that ``data.yaml:val`` names."""
    head, _, part = path.name.rpartition(":")
    if Path(head).suffix.lower() in YAML_SUFFIXES and not os.path.exists(path):
        return path.with_name(head), part
    return path, None


def _existing(folder: Path, source: Path) -> Path:
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder. Give the folder of the pictures of {source}.")
    return folder


def _of_yaml(source: Path, part: str, given: Path | None) -> Layout:
    document = _read_yaml(source)
    names = _names_of(document.get("names"), source)
    keypoints = "kpt_shape" in document
    base = _base_of(document, source)
    entry = document.get(part)
    if given is not None and not (isinstance(entry, str) and entry.endswith(".txt")):
        return _of_images(source, given, _labels_beside(given, base), names, keypoints)
    if entry is None and (base / "images").is_dir() and part == "train":
        entry = "images"
    if not isinstance(entry, str) or not entry:
        said = "no such part" if entry is None else shown(entry)
        raise DataError(
            f"{source}: {part!r} is {said}; it must be one folder or list of pictures. Correct "
            "it, or give the folder of the pictures itself."
        )
    target = _inside(entry, base, source)
    others = [key for key in ("train", "val", "test") if document.get(key) and key != part]
    notes = tuple(
        f"{source.name}: the part {other!r} was not read; give {source.name}:{other} for it."
        for other in others
    )
    if target.is_file():
        return _of_list(source, target, given, names, keypoints, notes)
    return _of_images(source, target, _labels_beside(target, base), names, keypoints, notes)


def _of_folder(source: Path, given: Path | None) -> Layout:
    """Return the layout of a folder: a whole data set, or pictures of one part."""
    documents = [path for name in _YAML_FILES if (path := source / name).is_file()]
    if documents:
        return _of_yaml(documents[0], "train", given)
    names = _names_above(source, source)
    images = given or (source / "images" if (source / "images").is_dir() else source)
    return _of_images(source, images, _labels_beside(images, source), names, False)


def _of_images(
    source: Path,
    images: Path,
    labels: Path,
    names: dict[int, str],
    keypoints: bool,
    notes: tuple[str, ...] = (),
) -> Layout:
    pictures = tuple(path.relative_to(images).as_posix() for path in list_images(images))
    return Layout(source, images, labels, pictures, names, keypoints, notes=notes)


def _of_list(
    source: Path,
    listing: Path,
    given: Path | None,
    names: dict[int, str],
    keypoints: bool,
    notes: tuple[str, ...] = (),
) -> Layout:
    """Return the layout of a text file that names one picture a line."""
    lines = read_text(listing, MAX_LIST_BYTES, "a list of pictures").split("\n")
    pictures = tuple(line.strip() for line in lines if line.strip())
    base = listing.parent
    images = given or (base / "images" if (base / "images").is_dir() else base)
    labels = _labels_beside(images, base)
    return Layout(source, images, labels, pictures, names, keypoints, True, notes)


def _labels_beside(images: Path, base: Path) -> Path:
    """Return the folder of the labels: ``labels`` for the last ``images`` in the path.

    Where there is none, labels lie beside the pictures.
    """
    parts = list(Path(os.path.abspath(images)).parts)
    for index in range(len(parts) - 1, 0, -1):
        if parts[index] == "images":
            mirrored = Path(*parts[:index], "labels", *parts[index + 1 :])
            if mirrored.is_dir():
                return mirrored
    folders = (images.parent / "labels", base / "labels")
    return next((folder for folder in folders if folder.is_dir()), images)


def _base_of(document: dict[str, Any], source: Path) -> Path:
    """Return the folder that the parts are relative to.

    ``path`` is often that of another machine; then the folder of the file is taken.
    """
    stated = document.get("path")
    if isinstance(stated, str) and stated and "\0" not in stated:
        folder = source.parent / stated
        if os.path.isdir(folder) and not _leads_out(folder, source.parent):
            return folder
    return source.parent


def _leads_out(path: Path, folder: Path) -> bool:
    inner, outer = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return not inner.is_relative_to(outer)


def _inside(entry: str, base: Path, source: Path) -> Path:
    """Return the folder or list that a part names, which must lie inside the data set."""
    trimmed = entry.replace("\\", "/")
    while trimmed.startswith(("../", "./")):  # some tools write ../train/images for train/images
        trimmed = trimmed.partition("/")[2]
    for spelled in (entry, trimmed):
        path = Path(os.path.normpath(base / spelled)) if "\0" not in spelled else base / "-"
        if os.path.exists(path) and not _leads_out(path, source.parent):
            return path
    raise DataError(
        f"{source}: the pictures {named(entry)} are not inside {base}. Correct data.yaml, or give "
        "the folder of the pictures with `images_dir` (--images)."
    )


def _read_yaml(source: Path) -> dict[str, Any]:
    text = read_text(source, MAX_YAML_BYTES, "the data.yaml of a YOLO data set")
    try:
        document = yaml.load(text, _Loader)  # it makes text, lists and dicts only
    except MemoryError:
        raise
    except RecursionError:
        raise DataError(f"{source}: is nested too deeply. Give a YOLO data.yaml.") from None
    except Exception as error:
        # Damaged YAML raises errors of yaml, and types that its scanner forgets to turn into them.
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{source}: is not YAML ({why:.200}). Give a YOLO data.yaml.") from None
    if not isinstance(document, dict) or "names" not in document:
        raise DataError(f"{source}: has no 'names'. {_NO_NAMES}")
    return document


def _names_of(value: Any, source: Path) -> dict[int, str]:
    """Return labels by number, from a list or from a mapping of numbers."""
    pairs: Iterable[tuple[Any, Any]] = []
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    names: dict[int, str] = {}
    for key, label in pairs:
        number = str(key).strip()
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise DataError(f"{source}: the class number {shown(key)} is no int. Correct 'names'.")
        if not isinstance(label, str) or not is_label(label.strip()):
            raise DataError(
                f"{source}: class {number} is called {shown(label)}. Give it a name of at most "
                f"{MAX_LABEL_LENGTH} characters."
            )
        names[int(number)] = label.strip()
    if not isinstance(value, list | dict):
        raise DataError(f"{source}: 'names' is {shown(value)}. {_NO_NAMES}")
    if len(set(names.values())) < len(names):
        raise DataError(f"{source}: two classes are of one name. Name the classes differently.")
    return names


def _names_above(folder: Path, source: Path) -> dict[int, str]:
    """Return the class names of the nearest file, in a folder or above it."""
    for level in [folder, *Path(os.path.abspath(folder)).parents][: _LEVELS_UP + 1]:
        for name in _YAML_FILES:
            if (level / name).is_file():
                return _names_of(_read_yaml(level / name).get("names"), level / name)
        for name in _CLASS_FILES:
            if (level / name).is_file():
                lines = read_text(level / name, MAX_YAML_BYTES, "class names").split("\n")
                named = [line.strip() for line in lines]
                while named and not named[-1]:
                    named.pop()
                return _names_of(named, level / name)
    raise DataError(f"{source}: has no class names. {_NO_NAMES}")
