"""What every reader returns and every trainer takes: pictures with boxes, or ready-made crops."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det.data.picture import Crops, Picture, Skipped
from bootstrap_det.exceptions import DataError, ParameterError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures with annotations, or crops, or both, and what the reader has to say about them.

    Attributes
    ----------
    name : str
        Name to show.
    pictures : tuple of Picture
        In a fixed order, with distinct ids.
    crops : Crops or None
        Positives that are not boxes in pictures.
    categories : tuple of str
        All labels that may occur, in the data set's order; by default those that do, sorted.
    skipped : tuple of Skipped
        What the reader left out.
    notes : tuple of str
        What else the reader saw and the user should know.
    groups : mapping of str to str
        Which group each label belongs to, where the labels are classes inside groups, as COCO's
        ``supercategory``; a label that is not in it is a group of its own, or one of the group
        that has its name.

    Raises
    ------
    ParameterError
        When ids occur twice, a label is not among the categories, or a group is of none of them.
    """

    name: str
    pictures: tuple[Picture, ...] = ()
    crops: Crops | None = None
    categories: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ids and labels."""
        for name in ("pictures", "categories", "skipped", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_distinct_ids(self.name, self.pictures)
        used = sorted(_labels_of(self.pictures, self.crops))
        unknown = [label for label in used if label not in self.categories]
        if not self.categories:
            object.__setattr__(self, "categories", tuple(used))
        elif unknown:
            raise ParameterError(
                f"Data set {self.name!r} has boxes of {unknown[0]!r}, which is not one of its "
                "categories. Add it to them."
            )
        object.__setattr__(self, "groups", _checked_groups(self))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    @property
    def n_objects(self) -> int:
        """Objects to be found: target boxes and crops."""
        n_crops = 0 if self.crops is None else len(self.crops)
        return n_crops + sum(int(picture.targets.sum()) for picture in self.pictures)

    @property
    def n_ignored(self) -> int:
        """Boxes that are ignored objects or crowds."""
        return sum(int((~picture.targets).sum()) for picture in self.pictures)

    def members(self, group: str) -> tuple[str, ...]:
        """Return the categories that a group is made of, in their order."""
        return tuple(each for each in self.categories if self.groups.get(each, each) == group)

    def subset(self, indices: ArrayLike) -> Dataset:
        """Return the data set with only these pictures, in this order; everything else stays.

        Parameters
        ----------
        indices : array-like of shape (n,)
            Positions in ``pictures`` (not ids), or a mask of shape (n_pictures,).

        Raises
        ------
        ParameterError
            When they are not ints, out of range, or name a picture twice.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            return replace(self, pictures=())
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise ParameterError(
                "The 'indices' of Dataset.subset must be a list of ints or a mask with one entry "
                f"for each picture. Got {chosen.dtype} of shape {chosen.shape} instead."
            )
        if chosen.min() < 0 or chosen.max() >= len(self):
            raise ParameterError(
                f"The 'indices' of Dataset.subset must be in [0, {len(self) - 1}]. "
                f"Got {chosen.min()} to {chosen.max()} instead."
            )
        return replace(self, pictures=tuple(self.pictures[index] for index in chosen))

    def negatives(self) -> Dataset:
        """Return the pictures without any box, not even an ignored one, and no crops."""
        empty = tuple(picture for picture in self.pictures if not len(picture.boxes))
        return replace(self, pictures=empty, crops=None)

    def require_positives(self) -> None:
        """Raise DataError when there is no object to train on."""
        if self.n_objects == 0:
            raise DataError(
                f"Data set {self.name!r} holds no object to train on ({len(self)} pictures, "
                f"{self.n_ignored} ignored boxes, {self._skipped_text()}). Give annotations with "
                "boxes that are not ignored, or crops."
            )

    def require_negatives(self) -> None:
        """Raise DataError when there is no picture to mine; annotated ones are mined, too."""
        if not self.pictures:
            raise DataError(
                f"Data set {self.name!r} holds no picture to take negatives from "
                f"({self._skipped_text()}). Give a folder of pictures without the object."
            )

    def digest(self) -> str:
        """Return the SHA-256, in hex, of what is in the data set and in which order.

        It covers names, sizes, boxes, labels, flags and groups, the pixels of crops and of
        pictures in memory, and the keys of sources. It does not cover where files lie, nor their
        content.
        """
        total = hashlib.sha256()
        for picture in self.pictures:
            _add_picture(total, picture)
        if self.crops is not None:
            _add(total, ["crops", self.crops.object_box, self.crops.label])
            _add_array(total, self.crops.pixels)
        if self.groups:
            _add(total, ["groups", sorted(self.groups.items())])
        return total.hexdigest()

    def _skipped_text(self) -> str:
        if not self.skipped:
            return "nothing was skipped"
        first = self.skipped[0]
        return f"{len(self.skipped)} items were skipped, the first because: {first.reason}"


def merge(first: Dataset, second: Dataset, name: str) -> Dataset:
    """Return one data set of the pictures and crops of two, with new image ids from 0.

    Raises
    ------
    DataError
        When both have crops, and these differ in shape, object box or label, or a label is of
        another group in each.
    """
    pictures = tuple(
        replace(picture, image_id=index)
        for index, picture in enumerate((*first.pictures, *second.pictures))
    )
    return Dataset(
        name,
        pictures,
        _merge_crops(first, second),
        tuple(dict.fromkeys((*first.categories, *second.categories))),
        first.skipped + second.skipped,
        first.notes + second.notes,
        _merge_groups(first, second),
    )


def _merge_groups(first: Dataset, second: Dataset) -> dict[str, str]:
    for label in first.groups.keys() & second.groups.keys():
        one, other = first.groups[label], second.groups[label]
        if one != other:
            raise DataError(
                f"The label {label!r} is of the group {one!r} in {first.name!r} and of {other!r} "
                f"in {second.name!r}. Give it one group, or two names."
            )
    return {**first.groups, **second.groups}


def _merge_crops(first: Dataset, second: Dataset) -> Crops | None:
    one, other = first.crops, second.crops
    if one is None or other is None:
        return other if one is None else one
    kinds = [(crops.pixels.shape[1:], crops.object_box, crops.label) for crops in (one, other)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"The crops of {first.name!r} (shape, object box, label: {kinds[0]}) and of "
            f"{second.name!r} ({kinds[1]}) cannot be merged. Bring them to one size, object box "
            "and label."
        )
    return replace(one, pixels=np.concatenate([one.pixels, other.pixels]))


def _checked_groups(dataset: Dataset) -> dict[str, str]:
    groups = dict(dataset.groups)
    wrong = [(k, v) for k, v in groups.items() if k not in dataset.categories or not v]
    if wrong:
        label, group = wrong[0]
        raise ParameterError(
            f"The 'groups' of data set {dataset.name!r} must give categories a group's name. Got "
            f"{label!r}: {group!r}; leave it out."
        )
    return {label: group for label, group in groups.items() if group != label}


def _check_distinct_ids(name: str, pictures: tuple[Picture, ...]) -> None:
    seen: set[int] = set()
    for picture in pictures:
        if picture.image_id in seen:
            raise ParameterError(
                f"Data set {name!r} has two pictures with the id {picture.image_id}. "
                "Number them anew, or use `merge`."
            )
        seen.add(picture.image_id)


def _labels_of(pictures: Iterable[Picture], crops: Crops | None) -> set[str]:
    labels = {str(label) for picture in pictures for label in picture.labels}
    return labels if crops is None else labels | {crops.label}


def _add_picture(total: hashlib._Hash, picture: Picture) -> None:
    _add(total, ["picture", picture.name, picture.size, picture.labels.tolist()])
    _add_array(total, picture.boxes)
    _add_array(total, picture.ignore)
    _add_array(total, picture.crowd)
    if picture.pixels is not None:
        _add_array(total, picture.pixels)
    if picture.source is not None:
        _add(total, ["source", picture.source.key])


def _add(total: hashlib._Hash, value: Any) -> None:
    # The length in front keeps two neighbours from being read as one.
    text = json.dumps(value).encode()
    total.update(f"{len(text)}:".encode() + text)


def _add_array(total: hashlib._Hash, array: NDArray[Any]) -> None:
    _add(total, [array.dtype.newbyteorder("<").str, array.shape])
    total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
