"""A run folder, read: its summary, its test set, what each round's detector found, judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det.data import Picture
from bootstrap_det.detections import Detections
from bootstrap_det.detector import Detector
from bootstrap_det.evaluation import Evaluations, Matches, evaluate_labels
from bootstrap_det.exceptions import DataError
from bootstrap_det.round_detections import (
    FINAL,
    FOLDER,
    RoundDetections,
    TestSet,
    read_detections,
    read_test_set,
)
from bootstrap_det.runs import SUMMARY_FORMAT

_NEEDED: dict[str, Any] = {
    "version": str, "command": str, "dataset": str, "seed": int, "features": dict,
    "classifier": dict, "windows": dict, "pyramid": dict, "rounds": list, "final": dict,
    "notes": list, "skipped": list, "unreachable_objects": list, "seconds_total": (int, float),
}  # fmt: skip
_NEEDED_OF_ROUNDS: dict[str, Any] = {
    "round": int, "label": str, "n_positives": int, "n_negatives": int, "n_mined": int,
    "seconds": dict,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Stage:
    """A detector of the run, measured on the test pictures.

    Attributes
    ----------
    name : str
        What to call it, such as "round 2".
    found : RoundDetections
        What it found.
    evaluations : Evaluations
        The same, judged by the rules of the run.
    """

    name: str
    found: RoundDetections
    evaluations: Evaluations

    @property
    def labels(self) -> tuple[str, ...]:
        """What the detector looks for."""
        return self.found.labels

    @property
    def matches(self) -> Matches:
        """The judged detections of all labels together."""
        return pooled(self.evaluations)


@dataclass(frozen=True, eq=False)
class Run:
    """What a run folder holds.

    Attributes
    ----------
    path : Path
        The folder.
    summary : dict
        ``summary.json``.
    detector : Detector
        ``model.bdet``.
    test : TestSet or None
        None when the run had no test set, or is older than the files that keep it.
    stages : tuple of Stage
        Round after round; the whole detector last, where it was measured apart.
    """

    path: Path
    summary: dict[str, Any]
    detector: Detector
    test: TestSet | None
    stages: tuple[Stage, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def labels(self) -> tuple[str, ...]:
        """What was trained."""
        return tuple(self.summary["windows"])


def read_run(path: Path, images: Path | None = None) -> Run:
    """Return what a run folder holds.

    Parameters
    ----------
    path : Path
        The folder, as ``train`` writes it.
    images : Path or None, default=None
        Where the test pictures are now; by default where they were.

    Raises
    ------
    DataError, ModelFormatError
        When it is no folder of a finished run, or a file or the model in it is damaged.
    """
    if not path.is_dir():
        raise DataError(f"{path}: is no run folder. Give the folder that train wrote.")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: is no folder. Give that of the test pictures to --images.")
    summary = _summary(path / "summary.json")
    detector = Detector.load(path / "model.bdet")
    test = read_test_set(path)
    if test is not None and images is not None:
        test = _moved(test, images)
    return Run(path, summary, detector, test, _stages(path, test) if test else ())


def pooled(evaluations: Evaluations) -> Matches:
    """Return the judged detections of all labels as if they were of one."""
    every = [each.matches for each in evaluations.by_label.values()]
    scores = np.concatenate([each.scores for each in every])
    order = np.argsort(-scores, kind="stable")

    def joined(name: str) -> Any:
        return np.concatenate([getattr(each, name) for each in every])[order]

    missed = [np.concatenate(parts) for parts in zip(*(m.missed for m in every), strict=True)]
    return Matches(
        scores[order], joined("is_hit"), joined("ignored"), joined("image_index"),
        joined("rank_index"), tuple(missed), sum(each.n_objects for each in every),
        every[0].n_images, joined("object_index"),
    )  # fmt: skip


def _summary(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path.parent}: holds no summary.json, so the run has not ended. Go on with it by "
            "train --resume."
        )
    try:
        summary = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be read as JSON ({error}). Train the run again with --overwrite."
        ) from None
    if not isinstance(summary, dict) or summary.get("format") != SUMMARY_FORMAT:
        raise DataError(
            f"{path}: is no summary of format {SUMMARY_FORMAT}. Train the run again, or take the "
            "version that wrote it."
        )
    wrong = _wrong_fields(summary)
    if wrong:
        raise DataError(
            f"{path}: lacks or garbles {', '.join(map(repr, wrong))}. Train the run again with "
            "--overwrite."
        )
    return summary


def _wrong_fields(summary: dict[str, Any]) -> list[str]:
    """Return the names of what a page needs and a summary has not, or not as it should be."""
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(summary.get(name), kind)]
    if wrong:
        return wrong
    rounds = summary["rounds"]
    if not rounds or not all(isinstance(each, dict) for each in rounds):
        return ["rounds"]
    wrong = [
        name
        for name, kind in _NEEDED_OF_ROUNDS.items()
        if not all(isinstance(each.get(name), kind) for each in rounds)
    ]
    named = [name for name in ("features", "classifier") if "name" not in summary[name]]
    sized = all(isinstance(each, dict) and "size" in each for each in summary["windows"].values())
    listed = [
        name
        for name in ("skipped", "unreachable_objects")
        if not all(isinstance(each, dict) and {"file", "reason"} <= each.keys()
                   for each in summary[name])
    ]  # fmt: skip
    return [*wrong, *named, *([] if sized else ["windows"]), *listed]


def _moved(test: TestSet, images: Path) -> TestSet:
    """Return the test set with its picture files looked for in another folder."""
    pictures = tuple(_found(picture, images) for picture in test.pictures)
    return TestSet(
        test.name, pictures, test.categories, test.groups, test.iou_threshold, test.agreement
    )


def _found(picture: Picture, images: Path) -> Picture:
    assert picture.path is not None  # all pictures of a folder have one
    candidates = (images / picture.name, images / picture.path.name, picture.path)
    path = next((each for each in candidates if each.is_file()), picture.path)
    columns = (picture.boxes, picture.labels, picture.ignore, picture.crowd)
    return Picture(picture.image_id, picture.name, *columns, path=path, size=picture.size)


def _stages(folder: Path, test: TestSet) -> tuple[Stage, ...]:
    """Return what each round's detector found, judged; the final one unless it is the last."""
    paths = (folder / FOLDER).glob("*round_*.json")
    rounds = [read_detections(path, test.pictures) for path in paths]
    rounds.sort(key=lambda found: (found.view, found.round or 0))
    final = folder / FOLDER / FINAL
    if final.is_file():
        whole = read_detections(final, test.pictures)
        if not rounds or not _same(whole.detections, rounds[-1].detections):
            rounds.append(whole)
    names = {
        "views": len({found.view for found in rounds}) > 1,
        "labels": len({found.labels for found in rounds if found.round is not None}) > 1,
    }
    return tuple(Stage(_name(found, **names), found, _judged(found, test)) for found in rounds)


def _judged(found: RoundDetections, test: TestSet) -> Evaluations:
    return evaluate_labels(
        test.pictures,
        found.detections,
        found.labels,
        iou_threshold=test.iou_threshold,
        agreement=test.agreement,
    )


def _name(found: RoundDetections, *, views: bool, labels: bool) -> str:
    if found.round is None:
        return "final detector"
    if labels:
        return f"{', '.join(found.labels)}: round {found.round}"
    return f"template {found.view + 1}, round {found.round}" if views else f"round {found.round}"


def _same(some: Sequence[Detections], others: Sequence[Detections]) -> bool:
    pairs = list(zip(some, others, strict=True))
    return all(
        np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
        and np.array_equal(a.labels, b.labels)
        for a, b in pairs
    )
