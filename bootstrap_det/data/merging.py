"""Similar labels made one, and labels that are not to be learnt made ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import ParameterError


def merge_labels(
    dataset: Dataset, mapping: Mapping[str, str], *, drop: Collection[str] = ()
) -> Dataset:
    """Return the data set with labels renamed, several to one if need be.

    Parameters
    ----------
    dataset : Dataset
        Pictures or crops.
    mapping : mapping of str to str
        From old labels to new ones; labels that are not in it stay. All are renamed at once: with
        ``{"a": "b", "b": "c"}`` what was ``"a"`` ends as ``"b"``.
    drop : collection of str, default=()
        Labels whose objects become ignored: neither hits nor misses, never trained on, and no
        negatives are mined from them. They keep their label.

    Returns
    -------
    Dataset
        The same pictures, ids and boxes; categories in the old order, each new name where the
        first of its old ones was. It belongs to the group of its old ones where they share one.

    Raises
    ------
    ParameterError
        When a label is not among the categories, is both renamed and dropped, a new name is
        empty, or the label of crops, which cannot be ignored, is dropped.
    """
    _check(dataset, mapping, drop)
    crops = dataset.crops
    return replace(
        dataset,
        pictures=tuple(_relabelled(picture, mapping, drop) for picture in dataset.pictures),
        crops=crops and replace(crops, label=mapping.get(crops.label, crops.label)),
        categories=tuple(dict.fromkeys(mapping.get(each, each) for each in dataset.categories)),
        groups=_groups_of_merged(dataset, mapping),
    )


def by_group(dataset: Dataset) -> Dataset:
    """Return the data set with its groups as labels; labels of no group stay as they are."""
    return merge_labels(dataset, dataset.groups) if dataset.groups else dataset


def _groups_of_merged(dataset: Dataset, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the groups of new labels: that of all the old ones, where they share one."""
    found: dict[str, set[str | None]] = {}
    for label in dataset.categories:
        found.setdefault(mapping.get(label, label), set()).add(dataset.groups.get(label))
    return {
        label: group
        for label, groups in found.items()
        for group in groups
        if len(groups) == 1 and group is not None and group != label
    }


def _check(dataset: Dataset, mapping: Mapping[str, str], drop: Collection[str]) -> None:
    unknown = [label for label in [*mapping, *drop] if label not in dataset.categories]
    if unknown:
        known = ", ".join(map(repr, dataset.categories)) or "none"
        raise ParameterError(
            f"The data set {dataset.name!r} has no label {unknown[0]!r}. Give one of its labels: "
            f"{known}."
        )
    both = [label for label in mapping if label in drop]
    if both:
        raise ParameterError(
            f"The label {both[0]!r} cannot be both renamed and dropped. Choose one of the two."
        )
    empty = [old for old, new in mapping.items() if not isinstance(new, str) or not new.strip()]
    if empty:
        raise ParameterError(
            f"The label {empty[0]!r} must be renamed to a text that is not empty. Got "
            f"{mapping[empty[0]]!r} instead."
        )
    if dataset.crops is not None and dataset.crops.label in drop:
        raise ParameterError(
            f"The label {dataset.crops.label!r} cannot be dropped: crops of {dataset.name!r} have "
            "it, and crops cannot be ignored. Leave the crops out."
        )


def _relabelled(picture: Picture, mapping: Mapping[str, str], drop: Collection[str]) -> Picture:
    labels = [str(label) for label in picture.labels]
    dropped = np.array([label in drop for label in labels], dtype=np.bool_)
    return replace(
        picture,
        labels=np.array([mapping.get(label, label) for label in labels], dtype=np.str_),
        # A crowd is left out of everything as it is; flagged twice, it would be written twice.
        ignore=picture.ignore | (dropped & ~picture.crowd),
    )
