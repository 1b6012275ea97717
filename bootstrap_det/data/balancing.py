"""Labels brought closer in number, by pictures that are there several times or not at all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_choice, check_float, check_int
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError, ParameterError

HOW = ("over", "under")


@dataclass(frozen=True)
class Balanced:
    """A balanced data set, and what balancing did.

    Attributes
    ----------
    dataset : Dataset
        Pictures numbered anew from 0. Copies of a picture follow it, with names of their own,
        since annotation files name a picture once.
    before, after : dict of str to int
        Objects of each label, the most numerous before first. Ignored boxes do not count.
    copies : tuple of int
        How often each picture of the original is in it.
    """

    dataset: Dataset
    before: dict[str, int]
    after: dict[str, int]
    copies: tuple[int, ...]

    @property
    def n_added(self) -> int:
        """How many pictures are copies."""
        return sum(max(number - 1, 0) for number in self.copies)

    @property
    def n_left_out(self) -> int:
        """How many pictures of the original are not in it."""
        return sum(number == 0 for number in self.copies)

    def to_dict(self) -> dict[str, Any]:
        """Return counts, ratios and weights, ready for JSON."""
        weights = class_weights(self.before)
        return {
            "pictures": {"before": len(self.copies), "after": len(self.dataset)},
            "added": self.n_added,
            "left_out": self.n_left_out,
            "ratio": {"before": ratio(self.before), "after": ratio(self.after)},
            "labels": {
                label: {"before": number, "after": self.after[label], "weight": weights[label]}
                for label, number in self.before.items()
            },
        }


def count_labels(dataset: Dataset) -> dict[str, int]:
    """Return the objects of each label that has any, the most numerous first."""
    counts = Counter(str(label) for p in dataset.pictures for label in p.labels[p.targets])
    if dataset.crops is not None:
        counts[dataset.crops.label] += len(dataset.crops)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def ratio(counts: dict[str, int]) -> float:
    """Return the number of the most numerous label over that of the rarest; 1 for none."""
    return max(counts.values()) / min(counts.values()) if counts else 1.0


def class_weights(counts: dict[str, int]) -> dict[str, float]:
    """Return a weight for each label, ``n / (n_labels * n_label)``: the same sum for every label.

    Instead of copies: a loss weighted so counts every label alike, at no cost in pictures.
    """
    total = sum(counts.values())
    return {label: total / (len(counts) * number) for label, number in counts.items()}


def balance(
    dataset: Dataset,
    *,
    how: str = "over",
    threshold: float | None = None,
    max_ratio: float = 1.0,
    seed: int = 0,
) -> Balanced:
    """Return the data set with pictures of rare labels repeated, or of frequent ones left out.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures, without crops.
    how : {"over", "under"}, default="over"
        ``"over"`` repeats pictures; ``"under"`` leaves some out.
    threshold : float or None, default=None
        For ``"over"``: labels with a smaller share of the objects are repeated. By default the
        share of the most numerous label, so that all others are.
    max_ratio : float, default=1.0
        For ``"under"``: pictures are left out as long as no label falls below the number of the
        rarest, times this. Larger values keep more pictures.
    seed : int, default=0
        Of what is rounded up, and of the order in which pictures are looked at.

    Returns
    -------
    Balanced
        Pictures without objects stay, once.

    Raises
    ------
    DataError
        When the data set holds crops, or fewer than two labels.
    ParameterError
        When a parameter is out of range, or has no effect with this ``how``.

    Notes
    -----
    ``"over"`` is repeat factor sampling (Gupta, Dollar and Girshick, "LVIS: A Dataset for Large
    Vocabulary Instance Segmentation", CVPR 2019): label c has the factor
    ``r(c) = max(1, sqrt(threshold / f(c)))``, a picture the largest of its labels'. Two departures:
    ``f(c)`` is the share of the objects, not of the pictures, because objects are what a detector
    is trained on; and what is left of a factor after its whole part is rounded at random, but so
    that the pictures that one label decides over make up the right number together. The root makes
    labels closer, not equal: a picture that is there a hundred times teaches little more than one
    that is there ten times.

    ``"under"`` goes through the pictures in random order and leaves out each whose labels are all
    still numerous enough without it. The rarest label loses nothing.
    """
    how = check_choice(how, "how", "balance", HOW)
    seed = check_int(seed, "seed", "balance", low=0)
    before = _checked_counts(dataset)
    rng = np.random.default_rng(seed)
    if how == "over":
        if max_ratio != 1.0:
            raise _without_effect("max_ratio", max_ratio, "over", "under")
        factors = {"": 1.0, **_label_factors(before, threshold)}
        copies = _rounded(_deciding_labels(dataset, factors), factors, rng)
    else:
        if threshold is not None:
            raise _without_effect("threshold", threshold, "under", "over")
        most = check_float(max_ratio, "max_ratio", "balance", low=1.0)
        copies = _kept(dataset, before, math.ceil(min(before.values()) * most), rng)
    balanced = _repeated(dataset, copies)
    return Balanced(balanced, before, count_labels(balanced), tuple(copies.tolist()))


def repeat_factors(dataset: Dataset, *, threshold: float | None = None) -> NDArray[np.float64]:
    """Return the repeat factor of each picture, shape (n_pictures,), at least 1.

    See :func:`balance`; 1 for pictures without objects.

    Raises
    ------
    ParameterError
        When the threshold is no share.
    """
    factors = {"": 1.0, **_label_factors(count_labels(dataset), threshold)}
    return np.array([factors[label] for label in _deciding_labels(dataset, factors)])


def _label_factors(counts: dict[str, int], threshold: float | None) -> dict[str, float]:
    shares = {label: number / sum(counts.values()) for label, number in counts.items()}
    least = max(shares.values(), default=1.0)
    if threshold is not None:
        least = check_float(threshold, "threshold", "balance", low=0.0, high=1.0)
    return {label: max(1.0, math.sqrt(least / share)) for label, share in shares.items()}


def _deciding_labels(dataset: Dataset, factors: dict[str, float]) -> list[str]:
    """Return, of each picture, its label of the largest factor; empty without objects."""
    return [
        max(
            sorted({str(label) for label in picture.labels[picture.targets]}),
            key=lambda label: factors[label],
            default="",
        )
        for picture in dataset.pictures
    ]


def _checked_counts(dataset: Dataset) -> dict[str, int]:
    if dataset.crops is not None:
        raise DataError(
            f"The crops of {dataset.name!r} cannot be balanced. Balance its pictures alone."
        )
    counts = count_labels(dataset)
    if len(counts) < 2:
        raise DataError(
            f"The data set {dataset.name!r} has objects of {len(counts)} label"
            f"{'' if len(counts) == 1 else 's'}, and balancing needs two. Give annotations with "
            "several labels; objects against background are balanced by `train --rounds`."
        )
    return counts


def _without_effect(name: str, value: float, how: str, other: str) -> ParameterError:
    return ParameterError(
        f"The {name!r} parameter of balance has no effect with how={how!r}. Got {value:g}; leave "
        f"it out, or take how={other!r}."
    )


def _rounded(
    deciding: list[str], factors: dict[str, float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return factors as whole numbers: systematic sampling of their fractions, label by label.

    In random order, picture i is rounded up when the running sum of fractions, from a random
    start, passes a whole number at i: each with its own probability, and their total within one.
    """
    labels = np.array(deciding)
    copies = np.ones(len(labels), dtype=np.int64)
    for label in sorted(factors):
        where = rng.permutation(np.flatnonzero(labels == label))
        passed = np.floor((factors[label] % 1.0) * np.arange(len(where) + 1) + rng.random())
        copies[where] = math.floor(factors[label]) + np.diff(passed).astype(np.int64)
    return copies


def _kept(
    dataset: Dataset, counts: dict[str, int], least: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return 1 for pictures to keep, 0 for those that every label can do without."""
    left = Counter(counts)
    floors = {label: min(least, number) for label, number in counts.items()}
    kept = np.ones(len(dataset), dtype=np.int64)
    for index in rng.permutation(len(dataset)):
        picture = dataset.pictures[index]
        inside = Counter(str(label) for label in picture.labels[picture.targets])
        if inside and all(left[label] - n >= floors[label] for label, n in inside.items()):
            left -= inside
            kept[index] = 0
    return kept


def _repeated(dataset: Dataset, copies: NDArray[np.int64]) -> Dataset:
    names = {picture.name for picture in dataset.pictures}
    pictures: list[Picture] = []
    for picture, number in zip(dataset.pictures, copies.tolist(), strict=True):
        own = [picture.name, *_free_names(picture.name, number - 1, names)][:number]
        pictures += [replace(picture, name=name, image_id=len(pictures) + i)
                     for i, name in enumerate(own)]  # fmt: skip
    return replace(dataset, pictures=tuple(pictures))


def _free_names(name: str, number: int, taken: set[str]) -> Sequence[str]:
    """Return names for copies of a picture that no other picture has."""
    path, names, index = PurePosixPath(name), list[str](), 2
    while len(names) < number:
        copy = str(path.with_name(f"{path.stem}_copy{index}{path.suffix}"))
        if copy not in taken:
            taken.add(copy)
            names.append(copy)
        index += 1
    return names
