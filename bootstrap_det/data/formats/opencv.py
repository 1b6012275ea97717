"""The annotations of OpenCV's cascade tools: ``info.dat`` with objects, ``bg.txt`` without.

A line of ``info.dat`` is a picture, the number of its objects, and ``x y width height`` of each;
a line of ``bg.txt`` is a picture. Both name pictures from their own folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bootstrap_det.data.collect import BadItemError, Entry, named, numbers_of, read_text, shown
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.listing import ListReader, snapped
from bootstrap_det.data.formats.writing import Plan, Written, exact, write_files

MAX_TEXT_BYTES = 256 << 20
"""Most bytes of one file."""

BACKGROUND = "bg.txt"
"""The file beside ``info.dat`` that lists pictures without objects."""

_WHAT = "an annotation file of OpenCV"
_MAX_NAME_WORDS = 64  # of a file name with blanks


def read_opencv(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
    label: str = "object",
) -> Dataset:
    """Return the pictures and boxes of OpenCV's annotation files.

    Parameters
    ----------
    path : str or path-like
        ``info.dat``, with a ``bg.txt`` beside it read, too; or a ``bg.txt`` alone.
    images_dir : str or path-like, optional
        Where the pictures lie; by default the folder ``images`` beside the file, or its own.
    name : str, optional
        Name of the data set, by default that of the file.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.
    label : str, default="object"
        Category of all objects: the format has none.

    Returns
    -------
    Dataset
        Pictures sorted by name, with ids from 0.

    Raises
    ------
    DataError
        When a file cannot be read; and, unless ``skip_bad``, for a missing picture and a line
        that cannot be used.
    """
    source = Path(path)
    reader = _Reader(source, images_dir, skip_bad)
    background = source.parent / BACKGROUND
    if source.name != BACKGROUND:
        for number, line in _lines(source):
            with reader.item(f"line {number}"):
                reader.add_line(line, label)
    if source.name == BACKGROUND or background.is_file():
        for number, line in _lines(background):
            with reader.item(f"line {number}", background):
                reader.open_picture(line)
    return reader.dataset(name)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not empty, with their numbers."""
    lines = enumerate(read_text(path, MAX_TEXT_BYTES, _WHAT).split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _is_count(text: str, n_after: int) -> bool:
    """Return whether a word is the number of objects whose coordinates are all that follows."""
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) * 4 == n_after


class _Reader(ListReader):
    """Reads one line after the other."""

    def add_line(self, line: str, label: str) -> None:
        file_name, sides = self._split(line)
        entry = self.open_picture(file_name)
        for index in range(0, len(sides), 4):
            with self.item(f"object {index // 4} of {named(file_name)}"):
                self._add_box(entry, sides[index : index + 4], label)

    def _split(self, line: str) -> tuple[str, list[str]]:
        """Return a line's picture, whose name may hold blanks, and its coordinates."""
        words = list(re.finditer(r"\S+", line))
        # Each reading is the index of the word that says how many objects follow.
        readings = [
            index
            for index, word in enumerate(words[1 : _MAX_NAME_WORDS + 1], start=1)
            if _is_count(word.group(), len(words) - index - 1)
        ]
        if not readings:
            raise BadItemError(
                f"is {shown(line)}, which is not a picture, the number of its objects, and four "
                "numbers for each"
            )
        # A name that ends in a number can be read in two ways; then the disk decides.
        names = {index: line[: words[index].start()].rstrip() for index in readings}
        chosen = next((index for index in readings if self._exists(names[index])), readings[0])
        return names[chosen], [each.group() for each in words[chosen + 1 :]]

    def _exists(self, file_name: str) -> bool:
        try:
            self._located(file_name)
        except BadItemError:
            return False
        return True

    def _add_box(self, entry: Entry, texts: Sequence[str], label: str) -> None:
        said = f"has {shown(list(texts))} (x, y, width, height)"
        x, y, width, height = numbers_of(texts, said)
        self.add(entry, snapped((x, y, x + width, y + height)), said, label)


def write_opencv(plan: Plan) -> Written:
    """Write ``info.dat`` and, for pictures without objects, ``bg.txt`` beside it."""
    objects, background = [], []
    for picture, _ in plan.named():
        shown_path = plan.shown_path(picture)
        boxes = picture.boxes[picture.targets].tolist()
        sides = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes]
        numbers = " ".join(exact(value) for box in sides for value in box)
        if boxes:
            objects.append(f"{shown_path} {len(boxes)} {numbers}\n")
        else:
            background.append(f"{shown_path}\n")
    files = {
        plan.path: "".join(objects).encode(),
        plan.path.with_name(BACKGROUND): "".join(background).encode(),
    }
    write_files(files)
    labels = sorted({str(x) for p in plan.dataset.pictures for x in p.labels[p.targets]})
    lost = () if len(labels) < 2 else (f"The labels were lost: {', '.join(labels[:5])}.",)
    renamed = () if len(labels) != 1 else (f"The label was lost: {labels[0]!r}; give it anew.",)
    flags = plan.notes_on_flags(ignored=None)
    notes = (*lost, *renamed, *flags, *plan.note_on_fractions("OpenCV"))
    return Written("opencv", plan.path, len(plan.dataset), notes)
