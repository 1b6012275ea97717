"""YOLO: one text file a picture, with lines ``class cx cy w h`` in shares of the picture's sides.

Lines with six or more coordinates are polygons; their bounding box is taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from bootstrap_det.data.collect import BadItemError, Corners, Entry, numbers_of, read_text, shown
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.listing import ListReader, own_name, snapped
from bootstrap_det.data.formats.writing import Plan, Written, write_files
from bootstrap_det.data.formats.yolo_layout import YAML_SUFFIXES, Layout, find_layout
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError

MAX_LABEL_BYTES = 16 << 20
"""Most bytes of the label file of one picture."""

_DIGITS = 12  # of a share; a picture of 100,000 px needs 10 for a thousandth of a pixel


def read_yolo(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of a YOLO data set.

    Parameters
    ----------
    path : str or path-like
        A ``data.yaml``, whose ``train`` part is read, or ``data.yaml:val`` for another part; or a
        folder with ``images``, ``labels`` and the names in ``data.yaml`` or ``classes.txt``; or a
        folder of pictures such as ``images/val``; or a text file that lists pictures.
    images_dir : str or path-like, optional
        Where the pictures lie, when not where the layout says.
    name : str, optional
        Name of the data set, by default that of the file or folder.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.

    Returns
    -------
    Dataset
        Pictures sorted by name, with ids from 0. A picture without a label file, or with an empty
        one, has no objects. Boxes are rounded to 1e-4 px.

    Raises
    ------
    DataError
        When the layout is not understood, or the names of the classes are missing; and, unless
        ``skip_bad``, for a line or a picture that cannot be used.
    """
    layout = find_layout(Path(path), images_dir)
    reader = _Reader(layout, images_dir, skip_bad)
    for picture in layout.pictures:
        reader.read(picture)
    reader.check_strays()
    names = tuple(dict.fromkeys(layout.names.values()))
    source = layout.source
    # Every data.yaml is called data; its folder has a name.
    shown_name = own_name(source.parent if source.suffix in YAML_SUFFIXES else source)
    return reader.dataset(name or shown_name, names, layout.notes)


class _Reader(ListReader):
    """Reads the label file of one picture after the other."""

    def __init__(
        self, layout: Layout, images_dir: str | os.PathLike[str] | None, skip_bad: bool
    ) -> None:
        super().__init__(layout.source, images_dir, skip_bad)
        self.layout = layout
        self.roots = [layout.images]
        self.bases = [layout.images, layout.source.parent]
        self.labels_read: set[Path] = set()

    def read(self, file_name: str) -> None:
        self.labels_read.add(self._labels_of(file_name))
        with self.item("the list"):
            _, name = self._located(file_name)
            labels = self._labels_of(name)
            self.labels_read.add(labels)
            # Read first: without its labels a picture would pass for one without objects.
            lines = self._lines(labels)
            entry = self.open_picture(file_name)
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    with self.item(f"line {number}", labels):
                        self._add_line(entry, line.split())

    def _labels_of(self, name: str) -> Path:
        stem = os.path.splitext(name)[0]
        return self.layout.labels / f"{stem}.txt"

    def _lines(self, labels: Path) -> list[str]:
        if not os.path.isfile(labels):
            return []
        try:
            return read_text(labels, MAX_LABEL_BYTES, "YOLO labels").split("\n")
        except DataError as error:
            raise BadItemError(
                f"has labels that cannot be read: {str(error).rstrip('.')}"
            ) from None

    def _add_line(self, entry: Entry, tokens: Sequence[str]) -> None:
        said = f"has {shown(' '.join(tokens))}"
        values = numbers_of(tokens, said)
        label = self._label(values[0], tokens[0])
        corners = self._corners(values[1:], said)
        height, width = entry.size
        x1, y1, x2, y2 = corners
        self.add(entry, snapped((x1 * width, y1 * height, x2 * width, y2 * height)), said, label)

    def _label(self, number: float, text: str) -> str:
        names = self.layout.names
        if number != int(number) or int(number) not in names:
            raise BadItemError(
                f"has the class {text}, which is none of the {len(names)} classes; correct it, or "
                "complete the names"
            )
        return names[int(number)]

    def _corners(self, values: Sequence[float], said: str) -> Corners:
        """Return the box of a line in shares of the sides."""
        if self.layout.has_keypoints:
            values = values[:4]
        if len(values) == 4:
            x, y, width, height = values
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
        if len(values) < 6 or len(values) % 2:
            raise BadItemError(
                f"{said}, which is neither a class with 4 numbers nor one with a polygon"
            )
        return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])

    def check_strays(self) -> None:
        """Refuse label files without a picture: what they say would be lost."""
        if self.layout.is_part or self.layout.labels == self.layout.images:
            return
        for path in sorted(self.layout.labels.rglob("*.txt")):
            if path not in self.labels_read and path.name not in ("classes.txt", "train.txt"):
                self.refuse("the label file has no picture of its name", path)


def write_yolo(plan: Plan) -> Written:
    """Write ``labels``, ``train.txt`` and ``data.yaml`` into a folder."""
    plan.require_stems("txt")
    numbers = {label: index for index, label in enumerate(plan.dataset.categories)}
    files = {
        plan.folder / "labels" / Path(name).with_suffix(".txt"): _lines(picture, numbers, plan)
        for picture, name in plan.named()
    }
    # A list rather than a folder: the folder may hold pictures that are not of the data set.
    listing = "".join(f"./{plan.shown_path(picture)}\n" for picture in plan.dataset.pictures)
    files[plan.folder / "train.txt"] = listing.encode()
    document = {
        "path": ".",
        "train": "train.txt",
        "names": {index: label for label, index in numbers.items()},
    }
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    files[plan.folder / "data.yaml"] = text.encode()
    write_files(files)
    notes = plan.notes_on_flags(ignored=None)
    return Written("yolo", plan.folder, len(plan.dataset), notes)


def _lines(picture: Picture, numbers: dict[str, int], plan: Plan) -> bytes:
    height, width = picture.measure()
    lines = []
    for index, (x1, y1, x2, y2) in enumerate(picture.boxes.tolist()):
        if picture.targets[index]:
            shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
            sides = ((x2 - x1) / width, (y2 - y1) / height)
            number = numbers[str(picture.labels[index])]
            lines.append(" ".join([str(number), *(f"{v:.{_DIGITS}f}" for v in shares + sides)]))
    return "".join(line + "\n" for line in lines).encode()
