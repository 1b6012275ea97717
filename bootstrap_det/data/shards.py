"""WebDataset's shards: pictures and their annotations in uncompressed tar archives.

Members that share a name up to its first dot are one sample: ``000017.jpg``, and with it, where
objects are annotated, ``000017.json`` in the words of COCO. Archives are indexed and their JSON is
read; pixels stay where they are until a picture is loaded.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

from bootstrap_det._validation import check_bool
from bootstrap_det.data.collect import (
    BadItemError,
    Collector,
    Entry,
    count,
    is_number,
    shown,
)
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import MAX_SIDE, Picture
from bootstrap_det.data.tars import Archive, TarMember
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import IMAGE_SUFFIXES, MAX_FILE_BYTES, image_size

SUFFIX = ".tar"
MAX_JSON_BYTES = 16 << 20
"""Most bytes that the JSON of one sample may have."""
MAX_SHARDS = 100_000
"""Most archives that braces may stand for."""

FAR_CORNER = "far_corner"
"""Where x2 and y2 are kept to the last bit, beside a ``bbox`` whose sums are rounded otherwise."""

_PACKED = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz)$", re.IGNORECASE)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_ROUNDING = 1e-6  # pixels; a far corner that differs by more is of a box that was edited since
_LABELS = ("category", "category_name")


@dataclass
class _Sample:
    """Members of one archive that share their key."""

    picture: TarMember | None = None
    annotation: TarMember | None = None
    faults: list[str] = field(default_factory=list)


def is_shards(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of shards: an archive, braces over some, a folder of some."""
    text = os.fspath(path)
    if os.path.isdir(text):
        return bool(archives_in(Path(text)))
    name = os.path.basename(text)
    return name.lower().endswith(SUFFIX) or _PACKED.search(name) is not None


def read_shards(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    skip_bad: bool = False,
) -> Dataset:
    """Return the pictures and boxes of WebDataset's shards; no pixels are read.

    Parameters
    ----------
    path : str or path-like
        An uncompressed tar archive, a folder of some (``*.tar``), or several by braces:
        ``train-{000000..000012}.tar``, ``{a,b}.tar``.
    images_dir : None
        Shards hold their pictures; anything else is refused.
    name : str, optional
        Name of the data set, by default that of the archive or folder.
    skip_bad : bool, default=False
        Leave out samples and boxes that cannot be used, and list them in ``skipped``, instead of
        raising for the first. Archives that are damaged are always errors.

    Returns
    -------
    Dataset
        Pictures in the order of the shards and inside them, with ids from 0, named by
        ``file_name``, else by shard and member. A picture without JSON, or with JSON that has no
        ``annotations``, has no boxes.

    Raises
    ------
    DataError
        When an archive cannot be read, is compressed or cut off, or holds no pictures; and, unless
        ``skip_bad``, for what is no plain file, a name or a picture that occurs twice in a sample,
        JSON that cannot be used, and a box that is not four finite numbers, has no area, or lies
        entirely outside its picture.
    ParameterError
        When ``skip_bad`` is of the wrong type.
    """
    skip_bad = check_bool(skip_bad, "skip_bad", "read_shards")
    source = Path(path)
    if images_dir is not None:
        raise DataError(f"{source}: shards hold their pictures. Leave `images_dir` (--images) out.")
    archives = _archives(source)
    reader = _Reader(source, skip_bad)
    for archive in archives:
        reader.add_archive(archive)
    return reader.dataset(name or _own_name(source))


class _Reader(Collector):
    """The state of one reading: what was seen, kept and dropped so far."""

    def __init__(self, path: Path, skip_bad: bool) -> None:
        super().__init__(path, skip_bad)
        self.pictures: list[Picture] = []
        self.groups: dict[str, str | None] = {}
        self.others: Counter[str] = Counter()  # endings of what was passed over
        self.n_foreign = 0  # JSON of other words

    def add_archive(self, archive: Path) -> None:
        with Archive(archive) as tar:
            for key, sample in self._samples(tar, archive).items():
                with self.item(f"the sample {shown(key)}", archive):
                    self._add(sample, tar, archive)

    def dataset(self, name: str) -> Dataset:
        if not self.pictures and not self.skipped:
            raise DataError(
                f"{self.path}: holds no pictures: no member's name goes on with "
                f"{', '.join(IMAGE_SUFFIXES)} after its first dot. Give WebDataset's shards."
            )
        groups = {label: group for label, group in self.groups.items() if group is not None}
        return Dataset(
            name,
            tuple(self.pictures),
            skipped=tuple(self.skipped),
            notes=(*self.notes(), *self._more_notes()),
            groups=groups,
        )

    def _samples(self, tar: Archive, archive: Path) -> dict[str, _Sample]:
        """Return the samples of one archive in the order of their first members."""
        samples: dict[str, _Sample] = {}
        for member in tar.members():
            key, ending = _split(member.name)
            known = ending == ".json" or ending in IMAGE_SUFFIXES
            if not key or not known:
                self.others[ending] += 1
                continue
            if not isinstance(member, TarMember):
                self.refuse(f"the member {shown(member.name)} is {member.kind}", archive)
                continue
            _put(samples.setdefault(key, _Sample()), member, ending)
        return samples

    def _add(self, sample: _Sample, tar: Archive, archive: Path) -> None:
        if sample.faults:
            raise BadItemError(sample.faults[0])
        if sample.picture is None:
            raise BadItemError("has JSON but no picture")
        if sample.picture.n_bytes > MAX_FILE_BYTES:  # it is read as a whole when it is loaded
            raise BadItemError(
                f"has a picture of {sample.picture.n_bytes:,} bytes, of which {MAX_FILE_BYTES:,} "
                "are allowed"
            )
        document = self._document(sample.annotation, tar)
        name = f"{archive.stem}/{_plain(sample.picture.name)}"
        name = _text(document, "file_name", default=name)
        self.claim(os.path.normpath(name), f"has the file_name {name!r}")
        size, annotations = _size(document), _annotations(document)
        if size is None and not annotations:  # its header is read when it is loaded
            self.pictures.append(Picture(len(self.pictures), name, member=sample.picture))
            return
        size = size or _measured(sample.picture)
        entry = Entry(len(self.pictures), name, None, size, member=sample.picture)
        for index, each in enumerate(annotations):
            with self.item(f"{name!r}: annotation {index}", archive):
                self._add_box(each, entry)
        self.pictures.append(entry.picture())

    def _document(self, member: TarMember | None, tar: Archive) -> dict[str, Any]:
        """Return what a sample's JSON says; nothing where it is of other words than COCO's."""
        if member is None:
            return {}
        if member.n_bytes > MAX_JSON_BYTES:
            raise BadItemError(
                f"has JSON of {member.n_bytes:,} bytes, of which {MAX_JSON_BYTES:,} are allowed"
            )
        try:
            document = json.loads(tar.read(member).decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise BadItemError(f"has JSON that cannot be read ({error})") from None
        if not isinstance(document, dict) or "annotations" not in document:
            self.n_foreign += 1
            return {}
        return document

    def _add_box(self, item: Any, entry: Entry) -> None:
        if not isinstance(item, dict):
            raise BadItemError(f"is {shown(item)}, not an object")
        label = self._label(item)
        values = item.get("bbox")
        said = f"has the bbox {shown(values)} (x, y, width, height)"
        if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
            raise BadItemError(f"{said}, which is not 4 finite numbers")
        x1, y1, width, height = map(float, values)
        x2, y2 = _far_corner(item, x1 + width, y1 + height)
        box = self.box((x1, y1, x2, y2), said, entry)
        entry.add(box, label, _flag(item, "ignore"), _flag(item, "iscrowd"))

    def _label(self, item: dict[str, Any]) -> str:
        """Return the category of a box, and note the group that it is said to be of."""
        key = next((key for key in _LABELS if key in item), _LABELS[0])
        label = _text(item, key)
        group = _text(item, "supercategory", default=label)
        known = self.groups.setdefault(label, None if group == label else group)
        if (known or label) != group:
            raise BadItemError(
                f"has the {key} {label!r} in the supercategory {group!r}, which was "
                f"{known or label!r} before"
            )
        return label

    def _more_notes(self) -> Iterator[str]:
        if self.n_foreign:
            said = count(self.n_foreign, "sample has", "samples have")
            yield (
                f"{self.path.name}: {said} JSON without 'annotations': their pictures count as "
                "pictures without objects."
            )
        if self.others:
            said = count(self.others.total(), "member was", "members were")
            endings = ", ".join(shown(each) for each, _ in self.others.most_common(5))
            what = f"passed over, being neither pictures nor JSON ({endings})"
            yield f"{self.path.name}: {said} {what}."


def _put(sample: _Sample, member: TarMember, ending: str) -> None:
    """Put a member into its sample; what is there already is a fault of the sample."""
    kind, what = ("annotation", "JSON") if ending == ".json" else ("picture", "picture")
    there = getattr(sample, kind)
    if there is not None:
        names = f"{shown(there.name)} and {shown(member.name)}"
        sample.faults.append(f"has more than one {what}: {names}")
        return
    setattr(sample, kind, member)


def _split(name: str) -> tuple[str, str]:
    """Return key and ending: the name up to the first dot of its last part, and the rest."""
    folder, slash, last = _plain(name).rpartition("/")
    key, dot, ending = last.partition(".")
    return (f"{folder}{slash}{key}" if key else ""), f"{dot}{ending}".lower()


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _measured(member: TarMember) -> tuple[int, int]:
    try:
        with member.open() as stream:
            return image_size(str(member), stream=stream)
    except DataError as error:
        why = str(error).rstrip(".")
        raise BadItemError(f"has no width or height, and its picture gives none: {why}") from None


def _annotations(document: dict[str, Any]) -> list[Any]:
    value = document.get("annotations", [])
    if not isinstance(value, list):
        raise BadItemError(f"has the annotations {shown(value)}; they must be a list")
    return value


def _size(document: dict[str, Any]) -> tuple[int, int] | None:
    height, width = _side(document, "height"), _side(document, "width")
    return None if height is None or width is None else (height, width)


def _side(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_SIDE:
        raise BadItemError(f"has the {key} {shown(value)}; it must be a positive int")
    return value


def _text(item: dict[str, Any], key: str, *, default: str | None = None) -> str:
    value = item.get(key, default)
    # numpy would cut null characters off the end of a label.
    if not isinstance(value, str) or not value or "\0" in value:
        wanted = "a text, not empty and without null characters"
        raise BadItemError(f"has the {key} {shown(value)}; it must be {wanted}")
    return value


def _far_corner(item: dict[str, Any], x2: float, y2: float) -> tuple[float, float]:
    """Return x2 and y2, to the last bit where they are stated and go with the bbox."""
    stated = item.get(FAR_CORNER)
    if isinstance(stated, list) and len(stated) == 2 and all(map(is_number, stated)):
        fits = abs(stated[0] - x2) <= _ROUNDING and abs(stated[1] - y2) <= _ROUNDING
        return (float(stated[0]), float(stated[1])) if fits else (x2, y2)
    return x2, y2


def _flag(item: dict[str, Any], key: str) -> bool:
    value = item.get(key, 0)
    if not isinstance(value, int | float) or value not in (0, 1):
        raise BadItemError(f"has the {key} {shown(value)}; it must be 0 or 1")
    return bool(value)


def _own_name(source: Path) -> str:
    if os.path.isdir(source):
        return source.resolve().name
    return _BRACES.sub("", source.stem).strip("-_. ") or "shards"


def _archives(source: Path) -> Sequence[Path]:
    """Return the archives that a path stands for, at least one."""
    if os.path.isdir(source):
        found = archives_in(source)
        if not found:
            raise DataError(f"{source}: holds no {SUFFIX} file. Give a folder of shards.")
        return found
    if _BRACES.search(str(source)) and not os.path.exists(source):
        return _expanded(str(source))
    if _PACKED.search(source.name):
        raise DataError(
            f"{source}: is a compressed archive, and single pictures cannot be read out of it. "
            "Decompress it into a .tar; pictures are compressed already."
        )
    return [source]


def archives_in(folder: Path) -> list[Path]:
    """Return the archives of a folder, sorted by name; hidden ones are not finished."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror}). Check its permissions."
        ) from None
    return [folder / n for n in names if n.lower().endswith(SUFFIX) and not n.startswith(".")]


def _expanded(pattern: str) -> list[Path]:
    """Return the names that braces stand for, in the order of their numbers and lists."""
    fixed = _BRACES.split(pattern)[::2]
    choices = [_choices(text, pattern) for text in _BRACES.findall(pattern)]
    names = list(islice(product(*choices), MAX_SHARDS + 1))
    if len(names) > MAX_SHARDS:
        raise DataError(f"{pattern}: stands for more than {MAX_SHARDS:,} archives. Give a folder.")
    return [
        Path(fixed[0] + "".join(a + b for a, b in zip(each, fixed[1:], strict=True)))
        for each in names
    ]


def _choices(text: str, pattern: str) -> Sequence[str]:
    """Return what one pair of braces stands for: ``000..012`` or ``a,b``."""
    numbers = _RANGE.fullmatch(text)
    if numbers is None:
        return text.split(",")
    first, last = numbers.groups()
    if int(last) - int(first) >= MAX_SHARDS or int(last) < int(first):
        raise DataError(
            f"{pattern}: {{{text}}} must count up, at most {MAX_SHARDS:,} archives. Correct it."
        )
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
