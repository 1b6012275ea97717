"""Pascal VOC: one XML file a picture, with corners counted from 1 and the last pixel inclusive.

``xmin = x1 + 1`` and ``xmax = x2``, so a box of VOC from 1 to 10 is 0 to 10 on pixel edges.
"""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from bootstrap_det.data.collect import BadItemError, Entry, count, flag_of, numbers_of, shown
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.listing import ListReader, snapped
from bootstrap_det.data.formats.safe_xml import read_xml, text_of, xml_bytes
from bootstrap_det.data.formats.writing import Plan, Written, exact, write_files
from bootstrap_det.data.picture import MAX_SIDE, Picture
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import IMAGE_SUFFIXES

ANNOTATION_FOLDERS = ("Annotations", "annotations")
"""Where XML files lie below the folder of a data set."""

IMAGE_FOLDERS = ("JPEGImages", "images")
"""Where pictures lie beside them."""

_WHAT = "a Pascal VOC annotation"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(
    folder: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of a folder of Pascal VOC files.

    Parameters
    ----------
    folder : str or path-like
        The folder of the XML files, or the one above that holds ``Annotations``. Folders inside
        are read, too. XML and pictures may lie side by side.
    images_dir : str or path-like, optional
        Where the pictures lie; by default ``JPEGImages`` or ``images`` beside the annotations,
        else the folder of the XML files.
    name : str, optional
        Name of the data set, by default that of the folder.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.

    Returns
    -------
    Dataset
        Pictures sorted by name, with ids from 0. ``difficult`` of 1 is kept as ``ignore``. Where
        an XML file names no picture that is there, the one of the XML's own name is taken, and
        that is noted.

    Raises
    ------
    DataError
        When the folder is missing or holds no XML; and, unless ``skip_bad``, for a file that is
        no such annotation, a missing picture, and a box that cannot be used.
    """
    top = Path(folder)
    if not os.path.isdir(top):  # unlike Path.is_dir, it never raises
        raise DataError(f"{top}: no such folder. Give the folder of the Pascal VOC annotations.")
    annotations = next((top / sub for sub in ANNOTATION_FOLDERS if (top / sub).is_dir()), top)
    files = sorted(path for path in annotations.rglob("*.xml") if path.is_file())
    if not files:
        raise DataError(f"{annotations}: holds no .xml file. Give the folder of the annotations.")
    reader = _Reader(top, annotations, images_dir, skip_bad)
    for path in files:
        reader.read(path)
    return reader.dataset(name, notes=reader.renamed_note())


class _Reader(ListReader):
    """Reads one XML file after the other."""

    def __init__(
        self,
        top: Path,
        annotations: Path,
        images_dir: str | os.PathLike[str] | None,
        skip_bad: bool,
    ) -> None:
        super().__init__(top, images_dir, skip_bad)
        self.annotations = annotations
        self.n_renamed = 0
        if images_dir is None:
            folders = (up / sub for up in (annotations.parent, top) for sub in IMAGE_FOLDERS)
            found = next((path for path in folders if path.is_dir()), annotations)
            self.roots = [found]

    def read(self, path: Path) -> None:
        try:
            root = read_xml(path, _WHAT)
        except DataError as error:
            if not self.skip_bad:
                raise
            self.refuse(str(error).rstrip("."), path)
            return
        with self.item("the file", path):
            if root.tag != "annotation":
                raise BadItemError(f"has the root <{root.tag}>, not <annotation>; give {_WHAT}")
            entry = self._open(root, path)
            for index, element in enumerate(root.findall("object")):
                with self.item(f"object {index}", path):
                    self._add_object(entry, element)

    def _open(self, root: ElementTree.Element, path: Path) -> Entry:
        """Return the entry of the picture that an XML file is about."""
        inner = path.parent.relative_to(self.annotations)
        self.bases = list(dict.fromkeys([*(root / inner for root in self.roots), *self.roots]))
        file_name = text_of(root, "filename")
        size = _stated_size(root)
        own = (path.with_suffix(suffix).name for suffix in IMAGE_SUFFIXES)
        if not self._exists(file_name):
            twins = [twin for each in own for twin in (each, each.upper()) if self._exists(twin)]
            self.n_renamed += bool(twins)
            file_name = twins[0] if twins else file_name
        return self.open_picture(file_name, size)

    def _exists(self, file_name: str) -> bool:
        try:
            self._located(file_name)
        except BadItemError:
            return False
        return True

    def _add_object(self, entry: Entry, element: ElementTree.Element) -> None:
        bounds = element.find("bndbox")
        if bounds is None:
            raise BadItemError("has no <bndbox>")
        texts = [text_of(bounds, side) for side in _SIDES]
        said = f"has the bndbox {shown(texts)} ({', '.join(_SIDES)})"
        xmin, ymin, xmax, ymax = numbers_of(texts, said)
        ignore = flag_of(text_of(element, "difficult"), "has the <difficult>")
        corners = snapped((xmin - 1, ymin - 1, xmax, ymax))
        self.add(entry, corners, said, text_of(element, "name"), ignore)

    def renamed_note(self) -> tuple[str, ...]:
        if not self.n_renamed:
            return ()
        said = count(self.n_renamed, "XML file names", "XML files name")
        taken = "the picture of the XML file's own name was taken"
        return (f"{self.path.name}: {said} no picture that is there; {taken}.",)


def _stated_size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return (height, width) as stated, None when nothing is; some tools write 0 for unknown."""
    size = root.find("size")
    if size is None:
        return None
    texts = [text_of(size, "height"), text_of(size, "width")]
    if not all(texts):
        return None
    said = f"has the size {shown(texts)} (height, width)"
    height, width = numbers_of(texts, said)
    if height == 0 or width == 0:
        return None
    if height != int(height) or width != int(width) or not 0 < min(height, width) <= MAX_SIDE:
        raise BadItemError(f"{said}, which is not two positive ints")
    if max(height, width) > MAX_SIDE:
        raise BadItemError(f"{said}, which no picture has")
    return int(height), int(width)


def write_voc(plan: Plan) -> Written:
    """Write one XML file a picture into ``Annotations``."""
    plan.require_stems("xml")
    files = {
        plan.folder / "Annotations" / Path(name).with_suffix(".xml"): _document(picture, name, plan)
        for picture, name in plan.named()
    }
    write_files(files)
    notes = plan.notes_on_flags(ignored="difficult objects")
    return Written("voc", plan.folder, len(plan.dataset), (*notes, *plan.notes_on_categories()))


def _document(picture: Picture, name: str, plan: Plan) -> bytes:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", name)
    height, width = picture.measure()
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, tag, str(value))
    _add(root, "segmented", "0")
    for index, (x1, y1, x2, y2) in enumerate(picture.boxes.tolist()):
        element = ElementTree.SubElement(root, "object")
        _add(element, "name", str(picture.labels[index]))
        _add(element, "pose", "Unspecified")
        _add(element, "truncated", "0")
        _add(element, "difficult", str(int(not picture.targets[index])))
        bounds = ElementTree.SubElement(element, "bndbox")
        for tag, value in zip(_SIDES, (x1 + 1, y1 + 1, x2, y2), strict=True):
            _add(bounds, tag, exact(value))
    return xml_bytes(root)


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text
