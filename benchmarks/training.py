"""Time and memory of training, against the number of positives and of negative pictures.

Run: ``python benchmarks/training.py --data-root DIR -- --features hog --classifier svm``; what
follows the two dashes goes to ``bootstrap-det train``. Each training is a process of its own, on
crops of caltech-crops and pictures of negatives_scenes. How time and memory grow is told by the
exponent of the power law that fits them best (1: in proportion). dlib's own trainer is measured
on the same annotated photographs as ours, from eighteen faces on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import report
import rivals
import usage
import validation

from bootstrap_det import Dataset, load_dataset
from bootstrap_det.data import Picture, named, write_coco

CROPS = "caltech-crops"
POSITIVES = (500, 1000, 2000, 4000, 6713)
NEGATIVES = (34, 68, 137, 274)
FACES = (18, 72, 288)
LEAST_FACE = 80  # pixels; smaller ones would make dlib enlarge the pictures
DLIB_TRAINER = rivals.FOLDER / "train_dlib.py"


@dataclass(frozen=True)
class Training:
    """One training: what it took, and what its run says of it."""

    used: usage.Usage
    summary: dict[str, Any]

    @property
    def row(self) -> list[object]:
        """Seconds in all, on the processor, of mining and of fitting, and the peak memory."""
        mining, fitting = self._phase("mine"), self._phase("fit")
        return [self.used.seconds, self.used.cpu_seconds, mining, fitting, self.used.peak_mb]

    def _phase(self, name: str) -> float:
        return float(sum(each["seconds"].get(name, 0.0) for each in self.summary["rounds"]))


COLUMNS = ("seconds", "CPU, s", "mining, s", "fitting, s", "peak, MiB")


def main() -> None:
    """Measure, print, and write when asked."""
    options, passed = parse()
    splits = load_dataset(CROPS, data_root=options.data_root)
    crops = splits.train.crops.pixels
    scenes = [picture.path for picture in splits.negatives.pictures]
    common = ["--rounds", str(options.rounds), "--jobs", "1", *passed]
    passed = [*card_options(CROPS), *common]
    with TemporaryDirectory() as name:
        folder = Path(name)
        tables = [
            grown_table("positives", [
                (n, train_on_crops(crops[:n], scenes, passed, folder / f"p{n}"))
                for n in options.positives if n <= len(crops)
            ], f"{len(scenes)} negative pictures"),
            grown_table("negative pictures", [
                (n, train_on_crops(crops, evenly(scenes, n), passed, folder / f"n{n}"))
                for n in options.negatives if n <= len(scenes)
            ], f"{len(crops)} positives"),
        ]  # fmt: skip
        if options.faces:
            tables.append(photographs_table(options, common, folder))
    tables = [table for table in tables if table.rows]
    notes = [
        f"Options of all: `{' '.join(common)}`; with crops also those of the card of {CROPS}.",
        *NOTES,
    ]
    report.publish(
        "training", "Training", tables, notes=notes, rivals=rivals.versions(options.peer_python),
        write=options.write,
    )  # fmt: skip


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and those of ``bootstrap-det train``."""
    own, passed = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, passed = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--positives", type=int, nargs="*", default=POSITIVES)
    parser.add_argument("--negatives", type=int, nargs="*", default=NEGATIVES)
    parser.add_argument("--faces", type=int, nargs="*", default=FACES, help="Against dlib.")
    parser.add_argument("--rounds", type=int, default=2)
    rivals.add_options(parser)
    report.add_options(parser)
    return parser.parse_args(own), passed


def card_options(name: str) -> list[str]:
    """Return the training parameters of a data set's card as options."""
    options = []
    for key, value in named.card(name).defaults.items():
        shown = "x".join(map(str, value)) if isinstance(value, list) else str(value)
        options += ["--" + key.replace("_", "-"), shown]
    return options


def evenly(items: Sequence[Path], count: int) -> list[Path]:
    """Return ``count`` of the items, evenly spread over them."""
    return [items[index] for index in np.linspace(0, len(items) - 1, count).round().astype(int)]


def train_on_crops(
    crops: np.ndarray, scenes: Sequence[Path], passed: Sequence[str], folder: Path
) -> Training:
    """Return the training on some crops and some pictures without faces."""
    negatives = folder / "negatives"
    negatives.mkdir(parents=True)
    for path in scenes:
        os.symlink(path.resolve(), negatives / path.name)
    np.savez(folder / "crops.npz", crops=crops)
    source = ["--crops", str(folder / "crops.npz"), "--label", "face"]
    return train([*source, "--negatives", str(negatives)], passed, folder)


def train(source: Sequence[str], passed: Sequence[str], folder: Path) -> Training:
    """Return a training through the command line, in a process of its own."""
    command = [sys.executable, "-m", "bootstrap_det", "train", *source, *passed]
    command += ["--out", str(folder / "run"), "--json"]
    used = usage.measured(command, env=rivals.one_thread())
    print(f"{folder.name}: {used.seconds:.0f} s, {used.peak_mb:.0f} MiB", file=sys.stderr)
    return Training(used, json.loads(used.stdout))


def grown_table(what: str, trainings: Sequence[tuple[int, Training]], beside: str) -> report.Table:
    """Return the table of trainings of growing size, its last row the exponents."""
    rows: list[list[object]] = [[count, *training.row] for count, training in trainings]
    if len(rows) > 1:
        counts = [row[0] for row in rows]
        columns = [[row[i] for row in rows] for i in range(1, len(COLUMNS) + 1)]
        rows.append(["exponent", *(exponent(counts, values) for values in columns)])
    return report.Table(f"Growing number of {what}, {beside}", (what, *COLUMNS), rows)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent of the power law that fits best, by least squares of logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-3)), 1)[0])


def photographs_table(
    options: argparse.Namespace, passed: Sequence[str], folder: Path
) -> report.Table:
    """Return the table of trainings on annotated photographs, ours and dlib's."""
    rows: list[list[object]] = []
    for n_faces in options.faces:
        place = folder / f"faces {n_faces}"
        place.mkdir()
        photographs = with_faces(options.data_root, n_faces)
        ours = train(write_for_us(photographs, place), passed, place)
        theirs = train_dlib(photographs, options.peer_python, place)
        what = [photographs.n_objects, len(photographs)]
        rows.append([*what, *_costs(ours.used), *_costs(theirs)])
    columns = [f"{who}, {unit}" for who in ("ours", "dlib") for unit in ("s", "CPU s", "MiB")]
    columns = ["faces", "photographs", *columns]
    return report.Table("The same photographs, ours and dlib's trainer", columns, rows)


def with_faces(root: Path, n_faces: int) -> Dataset:
    """Return the first validation photographs that hold so many faces, none of them ignored."""
    full = validation.validation_set(root)
    chosen: list[int] = []
    count = 0
    for index, picture in enumerate(full.pictures):
        if count < n_faces and _all_large(picture):
            chosen.append(index)
            count += len(picture.boxes)
    return full.subset(chosen)


def write_for_us(photographs: Dataset, folder: Path) -> list[str]:
    """Write the annotations, and return the options that name them."""
    write_coco(photographs, folder / "annotations.json")
    images = folder / "images"
    for picture in photographs.pictures:
        (images / picture.name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(picture.path.resolve(), images / picture.name)
    return ["--data", str(folder / "annotations.json"), "--images", str(images)]


def train_dlib(photographs: Dataset, python: Path, folder: Path) -> usage.Usage | None:
    """Return what dlib's trainer took; None without dlib."""
    if not python.exists():
        return None
    entries = [
        {"file": str(picture.path), "boxes": picture.boxes.tolist()}
        for picture in photographs.pictures
    ]
    (folder / "dlib.json").write_text(json.dumps(entries))
    command = [str(python), str(DLIB_TRAINER), "--data", str(folder / "dlib.json")]
    return usage.measured([*command, "--out", str(folder / "dlib.svm")], env=rivals.one_thread())


def _costs(used: usage.Usage | None) -> list[float | None]:
    return [used.seconds, used.cpu_seconds, used.peak_mb] if used else [None, None, None]


def _all_large(picture: Picture) -> bool:
    sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
    return bool(picture.targets.all() and sides.min() >= LEAST_FACE)


NOTES = (
    "One thread. Seconds are those of the whole process, of ours the loading of compiled code "
    "included. CPU seconds hardly depend on what else the machine does.",
    "dlib (C = 5, a window of 80x80 px, mirror images); it mines the photographs that it is given.",
)


if __name__ == "__main__":
    main()
