"""Detections of pictures and frames as files: COCO results, a table, a line of JSON each."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bootstrap_det import boxes as box_ops
from bootstrap_det._files import write_bytes, write_json, writing
from bootstrap_det.data import Skipped
from bootstrap_det.detections import Detections
from bootstrap_det.streaming import FrameDetections

_CLASS_COLUMNS = ("class", "class_probability", "probability")


@dataclass(frozen=True)
class FileDetections:
    """Detections of some pictures and frames.

    Attributes
    ----------
    found : tuple of FrameDetections
        Of each; the ``image_id`` of its detections counts from 1.
    labels : tuple of str
        All labels of the detector, or its classes where it has a second level; a category id is a
        position, from 1.
    skipped : tuple of Skipped, default=()
        Files that could not be read.
    notes : tuple of str, default=()
        What else is to be said, a sentence each.
    """

    found: tuple[FrameDetections, ...]
    labels: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO results with the name of the file, of a frame with #number, added."""
        category_ids = {label: index + 1 for index, label in enumerate(self.labels)}
        return [
            {**entry, "file_name": each.name}
            for each in self.found
            for entry in each.detections.to_coco(category_ids)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return results, categories and what was skipped or is to be said, JSON-ready."""
        return {
            "results": self.to_coco(),
            "images": [
                {"id": each.detections.image_id, "file_name": each.name} for each in self.found
            ],
            "categories": [{"id": i + 1, "name": label} for i, label in enumerate(self.labels)],
            "skipped": [skipped.to_dict() for skipped in self.skipped],
            "notes": list(self.notes),
        }

    def write_coco(self, path: Path) -> None:
        """Write COCO results, a list of detections, atomically."""
        write_json(path, self.to_coco())

    def write_csv(self, path: Path) -> None:
        """Write a table, a detection a row, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        has_classes = any(each.detections.classes is not None for each in self.found)
        more = _CLASS_COLUMNS if has_classes else ()
        writer.writerow(["file", "label", "score", "x", "y", "width", "height", *more])
        writer.writerows(row for each in self.found for row in _rows(each))
        write_bytes(path, text.getvalue().encode())


class JsonLines:
    """A file that takes a line of JSON for each picture or frame, flushed as it comes.

    Used as a context. Unlike all other files it grows while it is written, to be read meanwhile.

    Parameters
    ----------
    path : Path
        The file, replaced when it exists; ``-`` is stdout.

    Raises
    ------
    DataError
        When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_stdout = str(path) == "-"
        with writing(path):
            self._stream: IO[str] = (
                sys.stdout if self.is_stdout else path.open("w", encoding="utf-8")
            )

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if not self.is_stdout:
            with writing(self.path):
                self._stream.close()

    def write(self, found: FrameDetections) -> None:
        """Add a line; on stdout, BrokenPipeError says that nobody reads any more."""
        line = json.dumps(found.to_dict(), allow_nan=False) + "\n"
        if self.is_stdout:
            self._put(line)
        else:
            with writing(self.path):
                self._put(line)

    def _put(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


def lines_of(found: FrameDetections) -> Iterator[str]:
    """Yield a line for each detection, for people."""
    for file, label, score, x, y, width, height, *more in _rows(found):
        said = f", {more[0]} {more[1]}" if more else ""
        yield f"{file}: {label} {score}{said} at x {x} y {y}, {width} x {height} px"


def _rows(found: FrameDetections) -> Iterator[list[str]]:
    detections = found.detections
    boxes = box_ops.xyxy_to_xywh(detections.boxes)
    for index, (box, score) in enumerate(zip(boxes, detections.scores, strict=True)):
        row = [found.name, str(detections.labels[index]), f"{score:.4f}"]
        yield [*row, *(f"{v:.1f}" for v in box), *_class_row(detections, index)]


def _class_row(found: Detections, index: int) -> list[str]:
    """Return class, its probability and that of the label; nothing where there are no classes."""
    columns = (found.class_probabilities, found.probabilities)
    if found.classes is None:
        return []
    shares = [f"{column[index]:.4f}" for column in columns if column is not None]
    return [str(found.classes[index]), *shares]
