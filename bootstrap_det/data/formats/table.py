"""CSV: one row a box, ``file,x1,y1,x2,y2,label[,ignore]``, on pixel edges.

A row with empty coordinates is a picture without objects. The names of the columns that other
tools write are known, and the table without a header of RetinaNet is, too.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from bootstrap_det.data.collect import BadItemError, flag_of, numbers_of, read_text, shown
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.listing import ListReader
from bootstrap_det.data.formats.writing import Plan, Written, write_files
from bootstrap_det.exceptions import DataError

MAX_CSV_BYTES = 1 << 28
"""Most bytes of a table."""

_ALIASES = {
    "file": ("file", "filename", "file_name", "image", "image_path", "path", "img", "img_path"),
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
    "label": ("label", "class", "name", "category", "class_name"),
    "ignore": ("ignore", "difficult"),
}
_NEEDED = ("file", "x1", "y1", "x2", "y2", "label")
_SIDES = ("x1", "y1", "x2", "y2")
_COLUMNS = ", ".join(_NEEDED)
_WHAT = f"a table with the columns {_COLUMNS}"


def read_csv(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of a table, separated by commas, semicolons or tabs.

    Parameters
    ----------
    path : str or path-like
        The table, in UTF-8, with a header; or without one, as path, x1, y1, x2, y2, class.
    images_dir : str or path-like, optional
        Where the pictures lie; by default the folder ``images`` beside the table, or its own.
    name : str, optional
        Name of the data set, by default that of the file.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.

    Returns
    -------
    Dataset
        Pictures sorted by name, with ids from 0; boxes in the order of the rows, as they are.

    Raises
    ------
    DataError
        When the file is no such table; and, unless ``skip_bad``, for a missing picture and a row
        that cannot be used.
    """
    source = Path(path)
    text = read_text(source, MAX_CSV_BYTES, _WHAT)
    reader = _Reader(source, images_dir, skip_bad)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        columns: dict[str, int] = {}
        for cells in rows:
            where = f"line {rows.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns, is_header = _columns_of(cells, source)
                if is_header:
                    continue
            with reader.item(where):
                reader.add_row(cells, columns)
    except csv.Error as error:
        raise DataError(f"{source}: is not CSV ({error}). Give {_WHAT}.") from None
    if not columns:
        raise DataError(f"{source}: is empty. Give {_WHAT}.")
    return reader.dataset(name)


class _Reader(ListReader):
    """Reads one row after the other."""

    def add_row(self, cells: Sequence[str], columns: dict[str, int]) -> None:
        if len(cells) <= max(columns[name] for name in _NEEDED):
            raise BadItemError(f"has {len(cells)} cells, too few for the columns {_COLUMNS}")
        row = {name: cells[index].strip() for name, index in columns.items() if index < len(cells)}
        entry = self.same_picture(row["file"])
        texts = [row[side] for side in _SIDES]
        if entry is None or not any([*texts, row["label"]]):
            return
        said = f"has the box {shown(texts)} ({', '.join(_SIDES)})"
        ignore = flag_of(row.get("ignore"), "has the ignore")
        self.add(entry, numbers_of(texts, said), said, row["label"], ignore)


def _delimiter(text: str) -> str:
    """Return what separates the cells of the first line: tables of some countries use others."""
    first = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _columns_of(cells: Sequence[str], source: Path) -> tuple[dict[str, int], bool]:
    """Return where each column is, and whether the first row says so.

    Raises
    ------
    DataError
        When the row is neither a header nor a box.
    """
    header = [cell.strip().lower() for cell in cells]
    found = {
        name: header.index(alias)
        for name, aliases in _ALIASES.items()
        for alias in reversed(aliases)
        if alias in header
    }
    missing = [name for name in _NEEDED if name not in found]
    if not missing:
        return found, True
    if len(cells) == len(_NEEDED) and _is_box(cells[1:5]):
        return dict(zip(_NEEDED, range(len(_NEEDED)), strict=True)), False
    raise DataError(
        f"{source}: the first row, {shown(list(cells))}, has no column {missing[0]!r}. Begin with "
        f"the header {_COLUMNS}."
    )


def _is_box(texts: Sequence[str]) -> bool:
    """Return whether the texts are four numbers, or all empty."""
    try:
        numbers_of(texts, "")
    except BadItemError:
        return not any(text.strip() for text in texts)
    return True


def write_csv(plan: Plan) -> Written:
    """Write a table with a header; coordinates keep every digit."""
    stream = io.StringIO(newline="")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow([*_NEEDED, "ignore"])
    for picture, _ in plan.named():
        file_name = plan.shown_path(picture)
        if not len(picture.boxes):
            rows.writerow([file_name, "", "", "", "", "", ""])
        for index, box in enumerate(picture.boxes.tolist()):
            sides = [repr(value).removesuffix(".0") for value in box]
            ignore = int(not picture.targets[index])
            rows.writerow([file_name, *sides, str(picture.labels[index]), ignore])
    write_files({plan.path: stream.getvalue().encode()})
    notes = (*plan.notes_on_flags(ignored="ignored boxes"), *plan.notes_on_categories())
    return Written("csv", plan.path, len(plan.dataset), notes)
