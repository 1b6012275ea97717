"""Detection on picture files: sources in; COCO results, a table and drawn pictures out."""

from __future__ import annotations

import csv
import glob
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from bootstrap_det import boxes as box_ops
from bootstrap_det._files import write_bytes, write_json
from bootstrap_det.data import Skipped
from bootstrap_det.detections import Detections
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import list_images, read_image, write_image
from bootstrap_det.plots import draw_detections
from bootstrap_det.tiling import default_overlap, detect_tiled

_CLASS_COLUMNS = ("class", "class_probability", "probability")


@dataclass(frozen=True)
class FileDetections:
    """Detections of some files.

    Attributes
    ----------
    files : tuple of Path
        The files read.
    detections : tuple of Detections
        Of each file; ``image_id`` counts from 1.
    labels : tuple of str
        All labels of the detector, or its classes where it has a second level; a category id is a
        position, from 1.
    skipped : tuple of Skipped
        Files that could not be read.
    seconds : float
        Spent in all.
    """

    files: tuple[Path, ...]
    detections: tuple[Detections, ...]
    labels: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    seconds: float

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO results with the name of the file added to each."""
        category_ids = {label: index + 1 for index, label in enumerate(self.labels)}
        return [
            {**entry, "file_name": str(file)}
            for file, found in zip(self.files, self.detections, strict=True)
            for entry in found.to_coco(category_ids)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return results, categories and what was skipped, JSON-ready."""
        return {
            "results": self.to_coco(),
            "images": [
                {"id": found.image_id, "file_name": str(file)}
                for file, found in zip(self.files, self.detections, strict=True)
            ],
            "categories": [{"id": i + 1, "name": label} for i, label in enumerate(self.labels)],
            "skipped": [skipped.to_dict() for skipped in self.skipped],
        }

    def write_coco(self, path: Path) -> None:
        """Write COCO results, a list of detections, atomically."""
        write_json(path, self.to_coco())

    def write_csv(self, path: Path) -> None:
        """Write a table, a detection a row, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        more = _CLASS_COLUMNS if self._has_classes else ()
        writer.writerow(["file", "label", "score", "x", "y", "width", "height", *more])
        writer.writerows(self._rows())
        write_bytes(path, text.getvalue().encode())

    def lines(self) -> Iterator[str]:
        """Yield a line for each detection."""
        for file, label, score, x, y, width, height, *more in self._rows():
            said = f", {more[0]} {more[1]}" if more else ""
            yield f"{file}: {label} {score}{said} at x {x} y {y}, {width} x {height} px"

    def summary(self) -> str:
        """Return one line, and one more for each file that was skipped."""
        n_found = sum(len(found) for found in self.detections)
        n_files = len(self.files)
        lines = [
            f"{n_found} detections in {n_files} pictures, "
            f"{self.seconds / max(n_files, 1) * 1e3:.0f} ms a picture"
        ]
        lines += [f"skipped {skipped.file}: {skipped.reason}" for skipped in self.skipped]
        return "\n".join(lines)

    def _rows(self) -> Iterator[list[str]]:
        for file, found in zip(self.files, self.detections, strict=True):
            boxes = box_ops.xyxy_to_xywh(found.boxes)
            for index, (box, score) in enumerate(zip(boxes, found.scores, strict=True)):
                row = [str(file), str(found.labels[index]), f"{score:.4f}"]
                yield [*row, *(f"{v:.1f}" for v in box), *_class_row(found, index)]

    @property
    def _has_classes(self) -> bool:
        return any(found.classes is not None for found in self.detections)


def _class_row(found: Detections, index: int) -> list[str]:
    """Return class, its probability and that of the label; nothing where there are no classes."""
    columns = (found.class_probabilities, found.probabilities)
    if found.classes is None:
        return []
    shares = [f"{column[index]:.4f}" for column in columns if column is not None]
    return [str(found.classes[index]), *shares]


def expand_sources(sources: Sequence[str]) -> list[Path]:
    """Return the picture files of files, folders and glob patterns, in the order given.

    Raises
    ------
    DataError
        When a source is nothing of these.
    """
    files: list[Path] = []
    for source in sources:
        if os.path.isdir(source):
            files += list_images(source)
        elif os.path.exists(source):
            files.append(Path(source))
        else:
            matches = sorted(glob.glob(source, recursive=True))
            if not matches:
                raise DataError(f"{source}: no such file. Give a file, a folder or a glob.")
            files += [Path(match) for match in matches if not os.path.isdir(match)]
    return list(dict.fromkeys(files))


def detect_files(
    detector: Detector,
    files: Sequence[Path],
    *,
    save_dir: Path | None = None,
    n_jobs: int = 1,
    skip_bad: bool = False,
    tile: tuple[int, int] | None = None,
    tile_overlap: int | None = None,
) -> FileDetections:
    """Return the detections of picture files, ``n_jobs`` of them at a time.

    Parameters
    ----------
    detector : Detector
        What to look for.
    files : sequence of Path
        Pictures; none is held in memory longer than it is worked on.
    save_dir : Path or None, default=None
        Where to write the pictures with boxes drawn, as PNG.
    n_jobs : int, default=1
        Pictures at a time, on threads.
    skip_bad : bool, default=False
        Go on after a file that cannot be read, and list it.
    tile : (height, width) or None, default=None
        Scan pictures that are larger than this in tiles, see
        :func:`bootstrap_det.tiling.detect_tiled`.
    tile_overlap : int or None, default=None
        Pixels that neighbouring tiles share; by default
        :func:`bootstrap_det.tiling.default_overlap`.

    Raises
    ------
    DataError
        When a file cannot be read and ``skip_bad`` is off, or a drawn picture cannot be written.
    ParameterError
        When tiles and their overlap do not fit the detector.
    """
    start = time.perf_counter()
    detect = _tiled(detector, tile, tile_overlap)
    names = _drawn_names(files)
    if save_dir is not None:
        _make_folder(save_dir)

    def work(index: int, file: Path) -> Detections | Skipped:
        try:
            image = read_image(file, color="rgb" if save_dir else detector.channels.color)
        except DataError as error:
            if not skip_bad:
                raise
            return Skipped(str(file), str(error))
        found = detect(image, image_id=index + 1)
        if save_dir is not None:
            write_image(save_dir / names[index], draw_detections(image, found))
        return found

    jobs = (delayed(work)(index, file) for index, file in enumerate(files))
    results = Parallel(n_jobs=n_jobs, backend="threading")(jobs)
    read = [(f, r) for f, r in zip(files, results, strict=True) if isinstance(r, Detections)]
    return FileDetections(
        tuple(file for file, _ in read),
        tuple(found for _, found in read),
        detector.names,
        tuple(result for result in results if isinstance(result, Skipped)),
        time.perf_counter() - start,
    )


def _tiled(
    detector: Detector, tile: tuple[int, int] | None, overlap: int | None
) -> Callable[..., Detections]:
    """Return what detects in a picture: the detector as a whole, or in tiles."""
    if tile is None:
        if overlap is not None:
            raise ParameterError(
                f"A tile overlap of {overlap} px has no effect without tiles. Give their size with "
                "--tile, or leave --tile-overlap out."
            )
        return detector.detect
    shared = default_overlap(detector, tile) if overlap is None else overlap
    return partial(detect_tiled, detector, tile=tile, overlap=shared)


def _drawn_names(files: Sequence[Path]) -> list[str]:
    """Return a distinct PNG name for each file, its own name where possible."""
    taken: set[str] = set()
    names = []
    for file in files:
        name, copy = f"{file.stem}.png", 1
        while name in taken:
            copy += 1
            name = f"{file.stem}_{copy}.png"
        taken.add(name)
        names.append(name)
    return names


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}). Give another.") from None
