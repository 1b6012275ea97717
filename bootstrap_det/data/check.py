"""What is wrong with a data set, what would mend it, and a mended copy.

An error makes training or measuring wrong or impossible; a warning is for someone to look at.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det._files import write_bytes
from bootstrap_det._validation import check_int
from bootstrap_det.boxes import clip, overlap
from bootstrap_det.data.collect import BORDER_TOLERANCE, count
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.fingerprints import (
    Fingerprint,
    fingerprint,
    matches_between,
    matches_within,
)
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError
from bootstrap_det.workers import in_parallel

ERROR, WARNING = "error", "warning"

_SAME = 0.999  # overlap of two boxes that are one, but for rounding
_ALIKE = 0.9  # overlap of two boxes that are probably one object


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    severity : {"error", "warning"}
        See the module's docstring.
    kind : str
        A few words, the same for all findings of a kind.
    file : str
        The picture's name, or the annotation file.
    what : str
        What was found.
    mend : str
        What to do about it.
    box : int or None, default=None
        Which box of the picture it is about.
    """

    severity: str
    kind: str
    file: str
    what: str
    mend: str
    box: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Change:
    """One thing that was mended.

    Attributes
    ----------
    file : str
        The picture's name, or the annotation file.
    change : str
        What was done.
    before, after : str
        The box before and after, where it is about one.
    """

    file: str
    change: str
    before: str = ""
    after: str = ""


def check_dataset(
    dataset: Dataset, *, against: Dataset | None = None, n_jobs: int = 1
) -> tuple[Finding, ...]:
    """Return everything that is wrong with a data set; every picture is decoded.

    Parameters
    ----------
    dataset : Dataset
        As read with ``skip_bad=True``: what the reader left out is among the findings.
    against : Dataset or None, default=None
        Another set that must not share pictures with it, such as the test set of a training set.
    n_jobs : int, default=1
        Pictures that are decoded at a time.

    Returns
    -------
    tuple of Finding
        What the reader refused; pictures that cannot be read or differ in size from their
        annotations; boxes that run past the border; boxes annotated twice; pictures that are
        there twice, to the pixel or to the eye; and pictures that are in the other set, too.
    """
    n_jobs = check_int(n_jobs, "n_jobs", "check_dataset", low=1)
    findings = [_of_skipped(each.file, each.reason) for each in dataset.skipped]
    prints = _fingerprints(dataset, n_jobs, findings)
    for picture in dataset.pictures:
        findings += _past_border(picture) + _boxes_twice(picture)
    findings += _pictures_twice(dataset, prints)
    if against is not None:
        findings += _shared(dataset, prints, against, n_jobs)
    return tuple(findings)


def _of_skipped(file: str, reason: str) -> Finding:
    mend = "Correct the annotation, or take the copy of --fix, which leaves it out."
    return Finding(ERROR, "unusable item", file, reason, mend)


def _fingerprints(dataset: Dataset, n_jobs: int, findings: list[Finding]) -> dict[int, Fingerprint]:
    """Return the fingerprints by position, and append what cannot be decoded to the findings."""
    pictures = ((picture,) for picture in dataset.pictures)
    results = list(in_parallel(_load, pictures, n_jobs=n_jobs))
    findings += [each for each in results if isinstance(each, Finding)]
    return {i: each for i, each in enumerate(results) if isinstance(each, Fingerprint)}


def _load(picture: Picture) -> Fingerprint | Finding:
    try:
        return fingerprint(picture.load("rgb"))
    except DataError as error:
        kind = "wrong size" if _size_differs(picture) else "unreadable picture"
        mend = "Replace the file or correct its annotation; --fix leaves the picture out."
        return Finding(ERROR, kind, picture.name, str(error), mend)


def _size_differs(picture: Picture) -> bool:
    try:
        is_file = picture.path is not None or picture.member is not None
        return is_file and replace(picture, size=None).measure() != picture.size
    except DataError:
        return False


def _past_border(picture: Picture) -> list[Finding]:
    if picture.size is None:
        return []
    beyond = np.abs(picture.boxes - clip(picture.boxes, picture.size)).max(axis=1, initial=0.0)
    return [
        Finding(
            WARNING,
            "box past the border",
            picture.name,
            f"Box {index} runs {beyond[index]:.2f} px past the border of the picture.",
            "Draw the visible part only, or let --fix cut it off.",
            index,
        )
        for index in np.flatnonzero(beyond > BORDER_TOLERANCE).tolist()
    ]


def _boxes_twice(picture: Picture) -> list[Finding]:
    """Return the boxes that cover an earlier one of their label: twice the same object."""
    findings = []
    shared = np.triu(overlap(picture.boxes, picture.boxes), 1)
    shared[picture.labels[:, None] != picture.labels[None, :]] = 0.0
    for index in range(len(picture.boxes)):
        best = shared[:, index].max(initial=0.0)
        if best < _ALIKE:
            continue
        earlier = int(shared[:, index].argmax())
        severity, mend = WARNING, "Look whether these are two objects; if not, remove one."
        if best >= _SAME:
            severity, mend = ERROR, "Remove one of the two, as --fix does."
        what = f"Box {index} ({picture.labels[index]}) covers box {earlier} (overlap {best:.2f})."
        findings.append(Finding(severity, "box twice", picture.name, what, mend, index))
    return findings


def _pictures_twice(dataset: Dataset, prints: dict[int, Fingerprint]) -> list[Finding]:
    findings = []
    where = list(prints)
    for match in matches_within(list(prints.values())):
        first, second = (dataset.pictures[where[i]] for i in (match.first, match.second))
        if match.identical:
            continue
        what = f"The picture looks like {first.name}."
        mend = "Keep one of the two, or keep both in the same part of a split."
        findings.append(Finding(WARNING, "picture alike", second.name, what, mend))
    for kept, dropped in _identical(dataset, prints):
        said = "" if _same_annotations(kept, dropped) else " but is annotated differently"
        what = f"The picture has the same pixels as {kept.name}{said}."
        mend = "Remove it, as --fix does; the copy with more boxes stays."
        findings.append(Finding(ERROR, "picture twice", dropped.name, what, mend))
    return findings


def _identical(dataset: Dataset, prints: dict[int, Fingerprint]) -> list[tuple[Picture, Picture]]:
    """Return pairs of pictures with the same pixels: the one to keep, and one to drop."""
    groups: dict[bytes, list[Picture]] = defaultdict(list)
    for index, each in prints.items():
        groups[each.digest].append(dataset.pictures[index])
    pairs = []
    for group in groups.values():
        kept = max(group, key=lambda picture: len(picture.boxes))
        pairs += [(kept, other) for other in group if other is not kept]
    return pairs


def _same_annotations(one: Picture, other: Picture) -> bool:
    fields = ("boxes", "labels", "ignore", "crowd")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


def _shared(
    dataset: Dataset, prints: dict[int, Fingerprint], against: Dataset, n_jobs: int
) -> list[Finding]:
    """Return the pictures that are in the other set, too: results on it would flatter."""
    unread: list[Finding] = []
    theirs = _fingerprints(against, n_jobs, unread)
    # Not by its own name: that may be a picture's of the set that is checked.
    findings = [replace(each, file=f"{against.name}: {each.file}") for each in unread]
    where, other_where = list(prints), list(theirs)
    for match in matches_between(list(theirs.values()), list(prints.values())):
        own = dataset.pictures[where[match.second]]
        other = against.pictures[other_where[match.first]]
        how = "has the same pixels as" if match.identical else "looks like"
        what = f"The picture {how} {other.name} of {against.name}."
        mend = "Take it out of one of the two sets; --fix takes out what is the same."
        severity, kind = (ERROR, "leakage") if match.identical else (WARNING, "leakage alike")
        findings.append(Finding(severity, kind, own.name, what, mend))
    return findings


def mended(dataset: Dataset, findings: Sequence[Finding]) -> tuple[Dataset, tuple[Change, ...]]:
    """Return the data set without what the findings can mend, and the list of changes.

    Pictures that cannot be used, are there twice or in the other set are left out; boxes are cut
    at the border; boxes that are there twice are left out. What only looks alike stays.
    """
    changes = [
        Change(each.file, f"left out by the reader: {each.what}")
        for each in findings
        if each.kind == "unusable item"
    ]
    out = {
        each.file: each.what
        for each in findings
        if each.severity == ERROR and each.box is None and each.kind != "unusable item"
    }
    twice: dict[str, set[int]] = defaultdict(set)
    for each in findings:
        if each.kind == "box twice" and each.severity == ERROR and each.box is not None:
            twice[each.file].add(each.box)
    pictures = []
    for picture in dataset.pictures:
        if picture.name in out:
            boxes = count(len(picture.boxes), "box", "boxes")
            why = f"left out with its {boxes}: {out[picture.name]}"
            changes.append(Change(picture.name, why))
        else:
            pictures.append(_mended_picture(picture, twice[picture.name], changes))
    return replace(dataset, pictures=tuple(pictures), skipped=(), notes=()), tuple(changes)


def write_changes(changes: Sequence[Change], path: Path) -> None:
    """Write a table of changes: file, change, before, after.

    Raises
    ------
    DataError
        When the file cannot be written.
    """
    stream = io.StringIO(newline="")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["file", "change", "before", "after"])
    rows.writerows([each.file, each.change, each.before, each.after] for each in changes)
    write_bytes(path, stream.getvalue().encode("utf-8", errors="backslashreplace"))


def _mended_picture(picture: Picture, twice: set[int], changes: list[Change]) -> Picture:
    """Return a picture with its boxes cut at the border, without those that are there twice."""
    boxes = picture.boxes
    if picture.size is not None:
        cut = clip(boxes, picture.size)
        past = np.abs(boxes - cut).max(axis=1, initial=0.0) > BORDER_TOLERANCE
        boxes = np.where(past[:, None], cut, boxes)
        for index in np.flatnonzero(past).tolist():
            before, after = (_text(each[index]) for each in (picture.boxes, boxes))
            changes.append(Change(picture.name, f"box {index} cut", before, after))
    for index in sorted(twice):
        changes.append(Change(picture.name, f"box {index} left out", _text(picture.boxes[index])))
    keep = np.array([index not in twice for index in range(len(boxes))], dtype=np.bool_)
    return replace(
        picture,
        boxes=boxes[keep],
        labels=picture.labels[keep],
        ignore=picture.ignore[keep],
        crowd=picture.crowd[keep],
    )


def _text(box: Any) -> str:
    return " ".join(f"{value:g}" for value in box)
