"""Annotation formats by name: told from a path, read and written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bootstrap_det._validation import check_bool, check_choice, check_int
from bootstrap_det.data.coco import read_coco, write_coco
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.formats.imglab import read_imglab, write_imglab
from bootstrap_det.data.formats.opencv import read_opencv, write_opencv
from bootstrap_det.data.formats.safe_xml import read_xml
from bootstrap_det.data.formats.sharding import SHARD_BYTES, write_shards
from bootstrap_det.data.formats.table import read_csv, write_csv
from bootstrap_det.data.formats.voc import ANNOTATION_FOLDERS, read_voc, write_voc
from bootstrap_det.data.formats.writing import Plan, Written, copy_pictures, make_folder, make_plan
from bootstrap_det.data.formats.yolo import read_yolo, write_yolo
from bootstrap_det.data.formats.yolo_layout import YAML_SUFFIXES
from bootstrap_det.data.shards import archives_in, is_shards, read_shards
from bootstrap_det.exceptions import DataError, ParameterError

_READERS: dict[str, Callable[..., Dataset]] = {
    "coco": read_coco,
    "voc": read_voc,
    "yolo": read_yolo,
    "csv": read_csv,
    "imglab": read_imglab,
    "opencv": read_opencv,
    "shards": read_shards,
}


def _write_coco(plan: Plan) -> Written:
    make_folder(plan.path.parent)
    write_coco(plan.dataset, plan.path)
    return Written("coco", plan.path, len(plan.dataset))


_WRITERS: dict[str, Callable[[Plan], Written]] = {
    "coco": _write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "csv": write_csv,
    "imglab": write_imglab,
    "opencv": write_opencv,
    "shards": write_shards,
}

FORMATS = tuple(_READERS)
"""Names of the annotation formats."""

_LABELLED_BY_CALLER = ("imglab", "opencv")  # they may leave the label open
_FILE_NAMES = {
    "coco": "annotations.json",
    "csv": "annotations.csv",
    "imglab": "annotations.xml",
    "opencv": "info.dat",
}
_BY_SUFFIX = {
    ".json": "coco",
    ".csv": "csv",
    ".tsv": "csv",
    ".dat": "opencv",
    ".info": "opencv",
    ".txt": "opencv",
}
_FORCE = f"Name it with `format` (--data-format, --from), one of {', '.join(FORMATS)}."


def read_annotations(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    name: str | None = None,
    box_key: str | None = None,
    label: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of annotations in any known format.

    Parameters
    ----------
    path : str or path-like
        The file or folder of the annotations.
    images_dir : str or path-like, optional
        Where the pictures lie; by default where the format puts them.
    format : str, optional
        One of ``FORMATS``; by default it is told from the path, see :func:`recognise`.
    name : str, optional
        Name of the data set, by default that of the file or folder.
    box_key : str, optional
        COCO only: which field of an annotation holds its box, by default ``bbox``.
    label : str, optional
        Category of objects whose format names none (OpenCV, and imglab at times), by default
        ``object``. Formats with labels keep their own.
    skip_bad : bool, default=False
        List what cannot be used in ``skipped``, instead of raising for the first.

    Returns
    -------
    Dataset
        COCO: in the order and with the ids of the file. Shards: in their order, with ids from 0.
        All others: sorted by file name, with ids from 0, so that one set of pictures is the same
        data set in each of these formats.

    Raises
    ------
    DataError
        When the format cannot be told, or the annotations cannot be used.
    ParameterError
        When ``format`` is unknown, or ``box_key`` is given for another format than COCO.
    """
    source = Path(path)
    kind = recognise(source) if format is None else _checked(format, "read_annotations")
    options: dict[str, Any] = {"name": name, "skip_bad": skip_bad}
    if kind == "coco":
        options["box_key"] = "bbox" if box_key is None else box_key
    elif box_key is not None:
        raise ParameterError(
            f"The 'box_key' parameter of read_annotations (--test-boxes) is for COCO, and {source} "
            f"is {kind}. Leave it out."
        )
    if kind in _LABELLED_BY_CALLER and label is not None:
        options["label"] = label
    options["skip_bad"] = check_bool(skip_bad, "skip_bad", "read_annotations")
    return _READERS[kind](source, images_dir, **options)


def recognise(path: str | os.PathLike[str]) -> str:
    """Return the format of annotations, one of ``FORMATS``, told from their path.

    Files go by their ending, XML by its root as well. A folder is VOC when it holds
    ``Annotations`` or XML files, YOLO when it holds ``data.yaml``, ``labels`` or
    ``classes.txt``, or lies below ``images``; shards when it holds ``.tar`` files and none of
    these.

    Raises
    ------
    DataError
        When there is no such path, or it could be anything.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix.partition(":")[0] in YAML_SUFFIXES:
        return "yolo"
    if os.path.isdir(source):
        return _of_folder(source)
    if is_shards(source):  # which may be several, by braces
        return "shards"
    if not os.path.exists(source):
        raise DataError(f"{source}: no such file or folder. Give the annotations.")
    if suffix == ".xml":
        return _of_xml(source)
    if suffix not in _BY_SUFFIX:
        raise DataError(f"{source}: is of no known annotation format. {_FORCE}")
    return _BY_SUFFIX[suffix]


def _of_folder(folder: Path) -> str:
    if any((folder / name).is_dir() for name in ANNOTATION_FOLDERS):
        return "voc"
    marks = ("data.yaml", "data.yml", "classes.txt", "labels")
    if any((folder / name).exists() for name in marks):
        return "yolo"
    if next(folder.rglob("*.xml"), None) is not None:
        return "voc"
    if is_shards(folder):
        return "shards"
    if "images" in folder.absolute().parts:
        return "yolo"
    raise DataError(
        f"{folder}: is a folder without Annotations, .xml files, labels or data.yaml. Give the "
        f"annotation file itself, or the format. {_FORCE}"
    )


def _of_xml(path: Path) -> str:
    root = read_xml(path, "annotations")
    if root.tag == "annotation":
        raise DataError(
            f"{path}: is the Pascal VOC annotation of one picture. Give the folder that it is in."
        )
    if root.tag != "dataset":
        raise DataError(f"{path}: is XML with the root <{root.tag}>, no known format. {_FORCE}")
    return "imglab"


def write_annotations(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    format: str,
    copy_images: bool = False,
    shard_bytes: int | None = None,
) -> Written:
    """Write annotations in a format of choice.

    Parameters
    ----------
    dataset : Dataset
        Pictures with boxes, without crops.
    path : str or path-like
        For VOC, YOLO and shards a folder; for the others a file, or a folder for a file of the
        usual name. Folders are made.
    format : str
        One of ``FORMATS``.
    copy_images : bool, default=False
        Copy the pictures, too, into ``images`` (VOC: ``JPEGImages``) beside the annotations.
        Otherwise they stay, and reading needs ``images_dir``, or the annotations beside them.
        Shards hold their pictures anyway, their files as they are.
    shard_bytes : int, optional
        Shards only: most bytes of one, by default 256 MiB; a larger picture has one of its own.

    Returns
    -------
    Written
        Where it is, and in its ``notes`` what the format could not hold.

    Raises
    ------
    DataError
        When the data set holds crops, or names that the format cannot; when annotations are there
        already, or files cannot be written.
    ParameterError
        When a parameter is of the wrong type, the format is unknown, or ``shard_bytes`` is given
        for another format than shards.
    """
    kind = _checked(format, "write_annotations")
    writer = _WRITERS[kind]
    if kind == "shards":
        limit = SHARD_BYTES if shard_bytes is None else shard_bytes
        limit = check_int(limit, "shard_bytes", "write_annotations", low=1)
        writer = partial(write_shards, shard_bytes=limit)
    elif shard_bytes is not None:
        raise ParameterError(
            "The 'shard_bytes' parameter of write_annotations (--shard-bytes) is for shards, and "
            f"not for {kind}. Leave it out."
        )
    copy_images = check_bool(copy_images, "copy_images", "write_annotations")
    target = _target(Path(path), kind)
    is_folder = kind not in _FILE_NAMES
    plan = make_plan(dataset, target, target if is_folder else target.parent)
    _refuse_existing(target, kind)
    if copy_images and kind != "shards":
        plan = copy_pictures(plan, plan.folder / ("JPEGImages" if kind == "voc" else "images"))
    written = writer(plan)
    if dataset.groups and kind not in ("coco", "shards"):
        lost = "the groups of the labels were lost: only COCO and shards have a place for them."
        written = replace(written, notes=(*written.notes, lost))
    return written


def _target(path: Path, kind: str) -> Path:
    if kind not in _FILE_NAMES or (path.suffix and not os.path.isdir(path)):
        return path
    return path / _FILE_NAMES[kind]


def _refuse_existing(target: Path, kind: str) -> None:
    """Raise DataError where older annotations would be mixed with new ones or be lost."""
    older = {"voc": target / "Annotations", "yolo": target / "labels"}.get(kind, target)
    if kind == "shards":
        older = next(iter(archives_in(target)), target / "none") if target.is_dir() else target
    if os.path.lexists(older):
        raise DataError(f"{older}: exists already. Remove it, or write elsewhere.")


def _checked(value: Any, owner: str) -> str:
    return check_choice(value, "format", owner, FORMATS)
