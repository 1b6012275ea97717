"""COCO JSON, the package's own format for annotations.

Boxes are converted here, where they come in and go out: COCO's ``[x, y, width, height]`` outside,
``xyxy`` inside. Nothing is clipped and nothing is dropped unless the caller asks for it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bootstrap_det._files import write_json
from bootstrap_det._validation import MAX_LABEL_LENGTH, check_bool, is_label
from bootstrap_det.boxes import xyxy_to_xywh
from bootstrap_det.data.collect import (
    BadItemError,
    Collector,
    Corners,
    Entry,
    is_number,
    locate_relative,
    named,
    read_bounded,
    shown,
    size_of_file,
)
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import MAX_ID, MAX_SIDE, Picture
from bootstrap_det.exceptions import DataError, ParameterError

MAX_COCO_BYTES = 1 << 30
"""Most bytes of an annotation file; its values take up to twenty times as much in memory."""

_Add = Callable[[dict[str, Any], str], None]
_LISTS = ("images", "annotations", "categories")


def read_coco(
    annotations: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    box_key: str = "bbox",
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of a COCO annotation file.

    Parameters
    ----------
    annotations : str or path-like
        The JSON file, with ``images``, ``annotations`` and ``categories``.
    images_dir : str or path-like, optional
        Where the pictures lie. By default the folder ``images`` beside the JSON file when there
        is one, else the folder of the JSON file.
    name : str, optional
        Name of the data set, by default that of the file.
    box_key : str, default="bbox"
        Which field of an annotation holds its box, as x, y, width, height in pixels.
    skip_bad : bool, default=False
        Leave out pictures and boxes that cannot be used, and list them in ``skipped``, instead of
        raising for the first. Of duplicates the first is kept. The boxes of a picture that is
        left out go with it, counted in one entry. Missing keys and wrong types are always errors.

    Returns
    -------
    Dataset
        Pictures in the order of the file. ``ignore`` and ``iscrowd`` of 1 are kept as flags. A
        box that runs past the border is kept as it is, and counted in ``notes``. A
        ``supercategory`` other than the name is the category's group. Pictures are not decoded;
        where ``width`` or ``height`` is missing, the file's header is read.

    Raises
    ------
    DataError
        When the file cannot be read or a key is missing; and, unless ``skip_bad``, for
        an annotation of an unknown picture or category, an id or file name that occurs twice, a
        picture that is missing or outside ``images_dir``, and a box that is not four finite
        numbers, has no area, or lies entirely outside the picture.
    ParameterError
        When a parameter is of the wrong type.
    """
    skip_bad = check_bool(skip_bad, "skip_bad", "read_coco")
    if not isinstance(box_key, str):
        raise ParameterError(
            f"The 'box_key' parameter of read_coco must be a str. Got {box_key!r} instead."
        )
    path = Path(annotations)
    reader = _Reader(path, _find_images(path, images_dir), box_key, skip_bad)
    return reader.read(_read_document(path), path.stem if name is None else name)


def write_coco(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    supercategories: Mapping[str, str] | None = None,
) -> None:
    """Write the annotations of a data set as COCO JSON, whole or not at all.

    Categories are numbered from 1 in the order of ``dataset.categories``; pictures keep their ids
    and are written by name. The pictures themselves are not copied.

    Parameters
    ----------
    dataset : Dataset
        Pictures without crops.
    path : str or path-like
        The JSON file.
    supercategories : mapping of str to str, optional
        What categories belong to, by their labels; others are written without. By default the
        data set's groups.

    Raises
    ------
    DataError
        When the data set holds crops, which COCO has no place for, or two pictures of one name,
        when the size of a picture is not known and cannot be read, or the file cannot be written.
    """
    target = Path(path)
    if dataset.crops is not None:
        raise DataError(
            f"{target}: COCO JSON cannot hold the crops of {dataset.name!r}. "
            "Write the pictures alone, with `dataclasses.replace(dataset, crops=None)`."
        )
    names = Counter(picture.name for picture in dataset.pictures)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataError(
            f"{target}: {names[twice[0]]} pictures of {dataset.name!r} are called {twice[0]!r}. "
            "Give each a name of its own."
        )
    supercategories = _groups(dataset) if supercategories is None else supercategories
    category_ids = {label: index for index, label in enumerate(dataset.categories, start=1)}
    document = {
        "images": [_image_entry(picture) for picture in dataset.pictures],
        "annotations": _annotation_entries(dataset, category_ids),
        "categories": [
            {"id": index, "name": label, **_supercategory(label, supercategories)}
            for label, index in category_ids.items()
        ],
    }
    write_json(target, document)


def _groups(dataset: Dataset) -> dict[str, str]:
    """Return the groups of a data set, those of labels that are named like their group, too."""
    named_alike = set(dataset.groups.values()) & set(dataset.categories)
    return {**{label: label for label in named_alike}, **dataset.groups}


def _supercategory(label: str, supercategories: Mapping[str, str]) -> dict[str, str]:
    return {"supercategory": supercategories[label]} if label in supercategories else {}


class _Reader(Collector):
    """The state of one reading: what was seen, kept and dropped so far."""

    def __init__(self, path: Path, folder: Path, box_key: str, skip_bad: bool) -> None:
        super().__init__(path, skip_bad)
        self.folder = folder
        self.box_key = box_key
        self.pictures: dict[int, Entry] = {}
        self.categories: dict[int, str] = {}
        self.groups: dict[str, str] = {}
        self.annotation_ids: set[int] = set()

    def read(self, document: dict[str, Any], name: str) -> Dataset:
        lists = {key: self._list(document, key) for key in _LISTS}
        self._each(lists["categories"], "category", self._add_category)
        self._each(lists["images"], "image", self._add_image)
        self._each(lists["annotations"], "annotation", self._add_annotation)
        self.record_dropped("image")
        return Dataset(
            name,
            tuple(entry.picture() for entry in self.pictures.values()),
            categories=tuple(self.categories.values()),
            skipped=tuple(self.skipped),
            notes=self.notes(),
            groups=self.groups,
        )

    def _each(self, items: list[Any], kind: str, add: _Add) -> None:
        for index, item in enumerate(items):
            where = f"{kind} {index} of the list"
            if not isinstance(item, dict):
                raise self._malformed(f"{where} is {shown(item)}", "an object")
            where = f"{kind} {self._id(item, 'id', where)}"
            with self.item(where):
                add(item, where)

    def _add_category(self, item: dict[str, Any], where: str) -> None:
        label = self._text(item, "name", where)
        if not is_label(label):
            wanted = f"a text of at most {MAX_LABEL_LENGTH} characters"
            raise self._malformed(f"{where} has the name {shown(label)}", wanted)
        # Two categories of one name could not be told apart in the results.
        if item["id"] in self.categories or label in self.categories.values():
            raise DataError(
                f"{self.path}: {where} ({shown(label)}) has an id or a name that occurs twice. "
                "Number and name the categories differently."
            )
        self.categories[item["id"]] = label
        group: Any = item.get("supercategory")
        if is_label(group) and group != label:
            self.groups[label] = group

    def _add_image(self, item: dict[str, Any], where: str) -> None:
        file_name = self._text(item, "file_name", where)
        stated = self._side(item, "height", where), self._side(item, "width", where)
        if item["id"] in self.pictures or item["id"] in self.dropped:
            raise BadItemError(f"({named(file_name)}) has an id that occurs twice")
        try:
            path = self._locate(file_name)
            size = _known_size(stated, path)
        except BadItemError:
            self.dropped[item["id"]] = 0
            raise
        self.pictures[item["id"]] = Entry(item["id"], file_name, path, size)

    def _locate(self, file_name: str) -> Path:
        path, normal = locate_relative(file_name, self.folder)
        self.claim(normal, f"has the file_name {named(file_name)}")
        return path

    def _add_annotation(self, item: dict[str, Any], where: str) -> None:
        image_id = self._id(item, "image_id", where)
        category_id = self._id(item, "category_id", where)
        ignore, crowd = self._flag(item, "ignore", where), self._flag(item, "iscrowd", where)
        values = self._value(item, self.box_key, where)
        if image_id in self.dropped:
            self.dropped[image_id] += 1
            return
        if item["id"] in self.annotation_ids:
            raise BadItemError("has an id that occurs twice")
        if image_id not in self.pictures:
            raise BadItemError(f"has the image_id {image_id}, which no image has")
        if category_id not in self.categories:
            raise BadItemError(f"has the category_id {category_id}, which no category has")
        entry = self.pictures[image_id]
        box = self._box(values, entry)
        self.annotation_ids.add(item["id"])
        entry.add(box, self.categories[category_id], ignore, crowd)

    def _box(self, values: Any, entry: Entry) -> Corners:
        said = f"has the {self.box_key} {shown(values)} (x, y, width, height)"
        if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
            raise BadItemError(f"{said}, which is not 4 finite numbers")
        x1, y1, width, height = map(float, values)
        return self.box((x1, y1, x1 + width, y1 + height), said, entry)

    def _list(self, document: dict[str, Any], key: str) -> list[Any]:
        value = self._value(document, key, "the file")
        if not isinstance(value, list):
            raise self._malformed(f"{key!r} is {shown(value)}", "a list")
        return value

    def _value(self, item: dict[str, Any], key: str, where: str) -> Any:
        if key not in item:
            raise DataError(
                f"{self.path}: {where} has no {key!r}. Give a COCO detection file; the field "
                "with the boxes is chosen by `box_key`."
            )
        return item[key]

    def _id(self, item: dict[str, Any], key: str, where: str) -> int:
        value = self._value(item, key, where)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_ID:
            raise self._malformed(f"{where} has the {key} {shown(value)}", "an int of 64 bits")
        return value

    def _text(self, item: dict[str, Any], key: str, where: str) -> str:
        value = self._value(item, key, where)
        # numpy would cut null characters off the end of a label.
        if not isinstance(value, str) or not value or "\0" in value:
            wanted = "a text, not empty and without null characters"
            raise self._malformed(f"{where} has the {key} {shown(value)}", wanted)
        return value

    def _flag(self, item: dict[str, Any], key: str, where: str) -> bool:
        value = item.get(key, 0)
        if not isinstance(value, int | float) or value not in (0, 1):
            raise self._malformed(f"{where} has the {key} {shown(value)}", "0 or 1")
        return bool(value)

    def _side(self, item: dict[str, Any], key: str, where: str) -> int | None:
        value = item.get(key)
        if value is None:
            return None
        is_int = isinstance(value, int) and not isinstance(value, bool)
        if not is_int or not 1 <= value <= MAX_SIDE:
            raise self._malformed(f"{where} has the {key} {shown(value)}", "a positive int")
        return int(value)

    def _malformed(self, said: str, wanted: str) -> DataError:
        return DataError(f"{self.path}: {said}; it must be {wanted}. Correct the file.")


def _read_document(path: Path) -> dict[str, Any]:
    content = read_bounded(path, MAX_COCO_BYTES, "the COCO annotation file")
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({error}). Give a COCO annotation file.") from None
    if not isinstance(document, dict):
        raise DataError(
            f"{path}: is JSON, but {shown(document)} and not an object with {', '.join(_LISTS)}. "
            "Give the annotations, not results."
        )
    return document


def _find_images(path: Path, images_dir: str | os.PathLike[str] | None) -> Path:
    if images_dir is None:
        beside = path.parent / "images"
        return beside if beside.is_dir() else path.parent
    folder = Path(images_dir)
    if not os.path.isdir(folder):  # unlike Path.is_dir, it never raises
        raise DataError(f"{folder}: no such folder. Give the folder of the pictures of {path}.")
    return folder


def _known_size(stated: tuple[int | None, int | None], path: Path) -> tuple[int, int]:
    height, width = stated
    if height is not None and width is not None:
        return height, width
    return size_of_file(path, "has no width or height, and its file gives none")


def _image_entry(picture: Picture) -> dict[str, Any]:
    height, width = picture.measure()
    return {
        "id": picture.image_id,
        "file_name": picture.name,
        "width": width,
        "height": height,
    }


def _annotation_entries(dataset: Dataset, category_ids: dict[str, int]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for picture in dataset.pictures:
        for index, box in enumerate(xyxy_to_xywh(picture.boxes).tolist()):
            entry = {
                "id": len(entries) + 1,
                "image_id": picture.image_id,
                "category_id": category_ids[str(picture.labels[index])],
                "bbox": box,
                "area": box[2] * box[3],
                "ignore": int(picture.ignore[index]),
                "iscrowd": int(picture.crowd[index]),
            }
            entries.append(entry)
    return entries
