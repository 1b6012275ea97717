"""Data sets by name: their cards, and loaders that read them in place."""

from __future__ import annotations

import difflib
import hashlib
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from bootstrap_det.boxes import SAME_BOX
from bootstrap_det.data import benchmarks, embedded, gtsdb
from bootstrap_det.data.coco import read_coco
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.fetching import Download
from bootstrap_det.data.folders import read_crops, read_negatives
from bootstrap_det.data.signs import synth_signs
from bootstrap_det.exceptions import DataError, ParameterError


@dataclass(frozen=True)
class BoxConvention:
    """What the boxes of an annotation field mean.

    Attributes
    ----------
    description : str
        In words.
    from_detection : tuple of float
        The constant map from a detected box to this convention, x1, y1, x2, y2 in units of the
        detected box's sides.
    agreement : str
        What makes a hit in the protocol, see :func:`bootstrap_det.evaluation.match`.
    """

    description: str
    from_detection: tuple[float, ...] = SAME_BOX
    agreement: str = "iou"


@dataclass(frozen=True)
class Card:
    """What is known of a named data set; read from ``datasets/NAME.toml``.

    Attributes
    ----------
    name, title, task, source, licence, box_convention, split, citation : str
        For people.
    use : tuple of str
        Of ``"train"``, ``"negatives"`` and ``"test"``, what it has.
    needs_data_root : bool
        Whether its files are not in the packages.
    files : tuple of str
        Files and folders expected below the data root.
    original : tuple of str
        The same of the layout that its makers distribute, where that is read as well.
    boxes : dict of str to BoxConvention
        Fields of its annotations that hold boxes, the default first.
    defaults : dict
        Training parameters that suit it, by their names on the command line.
    sha256 : dict of str to str
        Of files; one that differs is noted, since published figures may not hold for it.
    iou_threshold : float
        Least intersection over union of a hit in its protocol.
    download : tuple of Download
        What ``dataset download`` fetches, in this order; none where it is to be had by hand only.
    measured : dict
        What was measured on it, and by which command.
    """

    name: str
    title: str
    task: str
    source: str
    licence: str
    box_convention: str
    split: str
    citation: str
    use: tuple[str, ...]
    needs_data_root: bool
    files: tuple[str, ...] = ()
    original: tuple[str, ...] = ()
    boxes: dict[str, BoxConvention] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    iou_threshold: float = 0.5
    download: tuple[Download, ...] = ()
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """A named data set, loaded: the parts that it has.

    Attributes
    ----------
    name : str
        Of the data set.
    train, negatives, test : Dataset or None
        Objects to train on, pictures to mine, pictures to measure on.
    detection_map : tuple of float
        From a detected box to the convention of ``test``, see
        :func:`bootstrap_det.boxes.relative`.
    iou_threshold : float
        Least intersection over union of a hit in the protocol of ``test``.
    agreement : str
        What that protocol takes instead of it, see :func:`bootstrap_det.evaluation.match`.
    """

    name: str
    train: Dataset | None = None
    negatives: Dataset | None = None
    test: Dataset | None = None
    detection_map: tuple[float, ...] = SAME_BOX
    iou_threshold: float = 0.5
    agreement: str = "iou"


def available() -> tuple[str, ...]:
    """Return the names of all data sets."""
    return tuple(sorted(path.stem for path in _cards_folder().glob("*.toml")))


@cache
def card(name: str) -> Card:
    """Return what is known of a data set.

    Raises
    ------
    ParameterError
        When there is none of this name.
    """
    if name not in available():
        close = difflib.get_close_matches(name, available(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        choices = ", ".join(map(repr, available()))
        raise ParameterError(f"The data set must be one of {choices}. Got {name!r} instead.{hint}")
    values = tomllib.loads((_cards_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    values["boxes"] = {
        key: BoxConvention(**{**entry, "from_detection": tuple(entry["from_detection"])})
        for key, entry in values.get("boxes", {}).items()
    }
    values["download"] = tuple(
        Download(**{**entry, "holds": tuple(entry.get("holds", ()))})
        for entry in values.get("download", ())
    )
    lists = {key: tuple(values.get(key, ())) for key in ("use", "files", "original")}
    return Card(**{**values, **lists})


def load(
    name: str,
    *,
    data_root: str | os.PathLike[str] | None = None,
    boxes: str | None = None,
    classes: bool = False,
    skip_bad: bool = False,
) -> Splits:
    """Return a data set by its name, read in place.

    Parameters
    ----------
    name : str
        One of :func:`available`.
    data_root : str or path-like, optional
        Folder that holds the files of all data sets; the embedded ones need none.
    boxes : str, optional
        Which box convention to read, one of the card's ``boxes``; by default its first.
    classes : bool, default=False
        Label by classes, which know their groups (:attr:`Dataset.groups`), instead of by group;
        for those of :data:`WITH_CLASSES`.
    skip_bad : bool, default=False
        Leave out what cannot be read, and list it.

    Raises
    ------
    ParameterError
        When the name or the box convention is unknown, or there are no classes.
    DataError
        When files are missing; the message says which, where they come from, and their licence.
    """
    about = card(name)
    if boxes is not None and boxes not in about.boxes:
        choices = ", ".join(map(repr, about.boxes)) or "none"
        raise ParameterError(
            f"The boxes of {name!r} must be one of {choices}. Got {boxes!r} instead."
        )
    if classes and name not in WITH_CLASSES:
        raise ParameterError(
            f"The data set {name!r} has no classes inside groups. Take one that has, "
            f"{' or '.join(map(repr, WITH_CLASSES))}, or your own COCO file with supercategories."
        )
    root = Path(data_root) if data_root is not None else None
    if about.needs_data_root:
        _require_files(about, root)
    given = (about, root or Path(), boxes or next(iter(about.boxes), ""), skip_bad)
    return _LOADERS[name](*given, **({"classes": True} if classes else {}))


def _faces(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    return Splits(
        about.name, embedded.train_faces(), embedded.negatives(), embedded.held_out_scenes()
    )


def _signs(about: Card, root: Path, boxes: str, skip_bad: bool, *, classes: bool = False) -> Splits:
    labels = "class" if classes else "group"
    return Splits(
        about.name,
        synth_signs(300, seed=1, labels=labels),
        synth_signs(150, seed=2, labels=labels, max_signs=0),
        synth_signs(60, seed=4, labels=labels, part="test"),
    )


def _caltech_crops(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    crops, scenes = (root / file for file in about.files)
    return Splits(
        about.name,
        _noted(read_crops(crops, label="face"), about, root),
        read_negatives(scenes, name="negatives_scenes", skip_bad=skip_bad),
    )


def _mit_cmu(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    annotations, pictures = (root / file for file in about.files)
    test = read_coco(annotations, pictures, name=about.name, box_key=boxes, skip_bad=skip_bad)
    where = about.boxes[boxes].from_detection
    return Splits(about.name, test=_noted(test, about, root), detection_map=where)


def _gtsdb(about: Card, root: Path, boxes: str, skip_bad: bool, *, classes: bool = False) -> Splits:
    if not all((root / file).exists() for file in about.files):
        folder = (root / about.original[0]).parent
        train, test = (gtsdb.read_gtsdb(folder, p, classes=classes) for p in ("train", "test"))
        return Splits(about.name, train, test=test, iou_threshold=about.iou_threshold)
    annotations, images = (root / file for file in about.files)
    train = gtsdb.read_gtsdb_coco(annotations, images, classes=classes, skip_bad=skip_bad)
    splits = Splits(about.name, train, iou_threshold=about.iou_threshold)
    held_back = root / "signs/gtsdb_test"
    if not held_back.is_dir():
        return splits
    parts = (held_back / name for name in ("annotations.json", "images"))
    test = gtsdb.read_gtsdb_coco(*parts, classes=classes, skip_bad=skip_bad)
    return replace(splits, test=test)


def _wider_face(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    splits = Splits(about.name, benchmarks.read_wider(root, "train"))
    if not (root / "WIDER_val").is_dir():
        return splits
    subset = None if boxes == "all" else boxes
    return replace(splits, test=benchmarks.read_wider(root, "val", subset=subset))


def _fddb(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    return Splits(about.name, test=benchmarks.read_fddb(root))


def _gtsrb(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    splits = Splits(about.name, benchmarks.read_gtsrb(root, "train"))
    if not (root / "GTSRB/Final_Test/Images/GT-final_test.csv").is_file():
        return splits
    return replace(splits, test=benchmarks.read_gtsrb(root, "test"))


def _inria_person(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    negatives = read_negatives(root / "INRIAPerson/Train/neg", skip_bad=skip_bad)
    train, test = (benchmarks.read_inria(root, part) for part in ("Train", "Test"))
    return Splits(about.name, train, negatives, test)


def _uiuc_cars(about: Card, root: Path, boxes: str, skip_bad: bool) -> Splits:
    pictures = root / about.files[2]
    test = read_coco(root / about.files[boxes == "multi"], pictures, name=about.name)
    cars, others = benchmarks.read_uiuc_windows(pictures)
    agreement = about.boxes[boxes].agreement
    return Splits(about.name, cars, others, test, agreement=agreement)


WITH_CLASSES = ("gtsdb", "signs")
"""Sets that can be labelled by class instead of by group."""

_LOADERS: dict[str, Callable[..., Splits]] = {
    "faces": _faces,
    "caltech-crops": _caltech_crops,
    "mit-cmu": _mit_cmu,
    "gtsdb": _gtsdb,
    "gtsrb": _gtsrb,
    "wider-face": _wider_face,
    "fddb": _fddb,
    "inria-person": _inria_person,
    "uiuc-cars": _uiuc_cars,
    "signs": _signs,
}


def _require_files(about: Card, root: Path | None) -> None:
    if root is None:
        raise DataError(
            f"The data set {about.name!r} needs --data-root, the folder that holds "
            f"{layout(about)}. {where_from(about)}"
        )
    missing = missing_files(about, root)
    if missing:
        raise DataError(
            f"{root}: lacks {missing[0]}; the data set {about.name!r} is expected there as "
            f"{layout(about)}. {where_from(about, root)}"
        )


def missing_files(about: Card, root: Path) -> tuple[str, ...]:
    """Return what a data root lacks of a data set, in the layout that is looked for first."""
    if about.original and all((root / file).exists() for file in about.original):
        return ()
    return tuple(file for file in about.files if not (root / file).exists())


def layout(about: Card) -> str:
    """Return in words what a data root holds of a data set."""
    instead = f" (or {' and '.join(about.original)})" if about.original else ""
    return " and ".join(about.files) + instead


def where_from(about: Card, root: Path | None = None) -> str:
    """Return in words where a data set is to be had, and under which licence."""
    said = f"It comes from: {about.source}. Licence: {about.licence}."
    if not about.download:
        return said
    verb = f"bootstrap-det dataset download {about.name} --data-root {root or 'FOLDER'}"
    return f"{said} Fetch it with: {verb}"


def _noted(dataset: Dataset, about: Card, root: Path) -> Dataset:
    """Return the data set with a note for each file that is not the card's."""
    notes = [
        f"{file} differs from the file of the card; figures measured on that may not hold"
        for file, expected in about.sha256.items()
        if hashlib.sha256((root / file).read_bytes()).hexdigest() != expected
    ]
    return replace(dataset, notes=(*dataset.notes, *notes))


def _cards_folder() -> Path:
    """Return the cards inside the installed package, or those of the repository."""
    inside = Path(__file__).parent / "cards"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "datasets"
