"""The XML of dlib's imglab: one file for all pictures, boxes as top, left, width, height."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from bootstrap_det.data.collect import Entry, flag_of, named, numbers_of, shown
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.listing import ListReader, snapped
from bootstrap_det.data.formats.safe_xml import read_xml, text_of, xml_bytes
from bootstrap_det.data.formats.writing import Plan, Written, exact, write_files
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError

_WHAT = "the XML file of imglab"
_SIDES = ("left", "top", "width", "height")


def read_imglab(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
    label: str = "object",
) -> Dataset:
    """Return the pictures and boxes of an XML file of dlib's imglab.

    Parameters
    ----------
    path : str or path-like
        The XML file.
    images_dir : str or path-like, optional
        Where the pictures lie; by default the folder ``images`` beside the file, or its own.
    name : str, optional
        Name of the data set, by default that of the file.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.
    label : str, default="object"
        Category of boxes without a label.

    Returns
    -------
    Dataset
        Pictures sorted by name, with ids from 0. ``ignore`` of 1 is kept.

    Raises
    ------
    DataError
        When the file is no such XML; and, unless ``skip_bad``, for a missing picture and a box
        that cannot be used.
    """
    source = Path(path)
    root = read_xml(source, _WHAT)
    images = root.find("images")
    if root.tag != "dataset" or images is None:
        raise DataError(f"{source}: is XML, but without <dataset><images>. Give {_WHAT}.")
    reader = _Reader(source, images_dir, skip_bad)
    for index, element in enumerate(images.findall("image")):
        with reader.item(f"image {index} of the list"):
            reader.add_image(element, label)
    return reader.dataset(name)


class _Reader(ListReader):
    """Reads one image element after the other."""

    def add_image(self, element: ElementTree.Element, label: str) -> None:
        file_name = element.get("file", "")
        entry = self.open_picture(file_name)
        for index, box in enumerate(element.findall("box")):
            with self.item(f"box {index} of {named(file_name)}"):
                self._add_box(entry, box, label)

    def _add_box(self, entry: Entry, box: ElementTree.Element, label: str) -> None:
        texts = [box.get(side, "") for side in _SIDES]
        said = f"has {shown(texts)} ({', '.join(_SIDES)})"
        left, top, width, height = numbers_of(texts, said)
        ignore = flag_of(box.get("ignore"), "has the ignore")
        corners = snapped((left, top, left + width, top + height))
        own = label if box.find("label") is None else text_of(box, "label")
        self.add(entry, corners, said, own, ignore)


def write_imglab(plan: Plan) -> Written:
    """Write one XML file."""
    root = ElementTree.Element("dataset")
    ElementTree.SubElement(root, "name").text = plan.path.stem
    images = ElementTree.SubElement(root, "images")
    for picture, _ in plan.named():
        element = ElementTree.SubElement(images, "image", file=plan.shown_path(picture))
        _add_boxes(element, picture)
    write_files({plan.path: xml_bytes(root)})
    notes = (
        *plan.notes_on_flags(ignored="ignored boxes"),
        *plan.notes_on_categories(),
        *plan.note_on_fractions("dlib"),
    )
    return Written("imglab", plan.path, len(plan.dataset), notes)


def _add_boxes(element: ElementTree.Element, picture: Picture) -> None:
    for index, (x1, y1, x2, y2) in enumerate(picture.boxes.tolist()):
        values = {"top": y1, "left": x1, "width": x2 - x1, "height": y2 - y1}
        box = ElementTree.SubElement(
            element, "box", {side: exact(value) for side, value in values.items()}
        )
        if not picture.targets[index]:
            box.set("ignore", "1")
        ElementTree.SubElement(box, "label").text = str(picture.labels[index])
