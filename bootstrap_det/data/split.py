"""A data set in parts, by picture or by group, with each label spread as asked for."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from bootstrap_det._validation import check_int
from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture
from bootstrap_det.exceptions import DataError, ParameterError

_PICTURES = ""  # the name under which pictures are counted; no label is empty


def split(
    dataset: Dataset, parts: Mapping[str, float], *, seed: int = 0, by_group: str | None = None
) -> dict[str, Dataset]:
    """Return disjoint parts of a data set.

    Parameters
    ----------
    dataset : Dataset
        Pictures, without crops.
    parts : mapping of str to float
        Name and share of each part; the shares add up to 1.
    seed : int, default=0
        Of the shuffling; the same seed gives the same parts.
    by_group : str, optional
        A regular expression that is searched for in picture names; pictures with the same text
        in its first group stay together, such as frames of one video.

    Returns
    -------
    dict of str to Dataset
        Pictures in the order of the data set, with their ids; every part has all categories.

    Raises
    ------
    ParameterError
        When the shares or the expression are no such, or a part would be empty.
    DataError
        When a name has no group, or the data set holds crops.

    Notes
    -----
    Labels are dealt out greedily, the rarest first (Sechidis, Tsoumakas and Vlahavas, "On the
    Stratification of Multi-label Data", ECML PKDD 2011): each group with the label goes to the
    part that lacks it most.
    """
    _check_parts(parts)
    seed = check_int(seed, "seed", "split", low=0)
    if dataset.crops is not None:
        raise DataError(f"The crops of {dataset.name!r} cannot be split. Split its pictures alone.")
    groups = _groups(dataset, by_group)
    if len(groups) < len(parts):
        what = "groups" if by_group is not None else "pictures"
        raise ParameterError(
            f"{dataset.name!r} has {len(groups)} {what}, too few for {len(parts)} parts. "
            "Ask for fewer parts."
        )
    chosen = _dealt(groups, parts, np.random.default_rng(seed))
    split_up = {}
    for name in parts:
        members = {p.image_id for key, part in chosen.items() if part == name for p in groups[key]}
        if not members:
            raise ParameterError(
                f"The part {name!r} of {parts[name]:g} would be empty. Give it a larger share, or "
                "smaller groups."
            )
        split_up[name] = dataset.subset([p.image_id in members for p in dataset.pictures])
    return split_up


def _check_parts(parts: Mapping[str, float]) -> None:
    shares = list(parts.values())
    good = all(isinstance(share, int | float) and 0 < share <= 1 for share in shares)
    if len(shares) < 2 or not good or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ParameterError(
            "The 'parts' parameter of split must be two or more names with positive shares that "
            f"add up to 1, such as train=0.8,test=0.2. Got {dict(parts)} instead."
        )


def _groups(dataset: Dataset, by_group: str | None) -> dict[str, list[Picture]]:
    if by_group is None:
        return {str(index): [picture] for index, picture in enumerate(dataset.pictures)}
    try:
        pattern = re.compile(by_group)
    except re.error as error:
        raise ParameterError(
            f"The 'by_group' parameter of split must be a regular expression. Got {by_group!r} "
            f"instead: {error}."
        ) from None
    if pattern.groups < 1:
        raise ParameterError(
            f"The 'by_group' parameter of split needs a group in brackets. Got {by_group!r} "
            "instead; for names like cam1_0042.jpg give '^([^_]+)_'."
        )
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in dataset.pictures:
        found = pattern.search(picture.name)
        if found is None or found.group(1) is None:
            raise DataError(
                f"{picture.name}: has no group, because {by_group!r} does not match. Give an "
                "expression that matches every name."
            )
        groups[found.group(1)].append(picture)
    return dict(groups)


def _dealt(
    groups: dict[str, list[Picture]], parts: Mapping[str, float], rng: np.random.Generator
) -> dict[str, str]:
    """Return the part of each group."""
    counts = {key: _counted(pictures) for key, pictures in groups.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    lacks = {name: {x: share * n for x, n in total.items()} for name, share in parts.items()}
    shuffled = [list(counts)[index] for index in rng.permutation(len(counts))]
    # Large groups first: small ones can even out what they leave.
    left = sorted(shuffled, key=lambda key: -counts[key][_PICTURES])
    chosen: dict[str, str] = {}
    for label in sorted(total, key=lambda name: (name == _PICTURES, total[name], name)):
        for key in [key for key in left if counts[key][label]]:
            part = max(parts, key=lambda name: (lacks[name][label], lacks[name][_PICTURES]))
            chosen[key] = part
            for counted, number in counts[key].items():
                lacks[part][counted] -= number
        left = [key for key in left if key not in chosen]
    return chosen


def _counted(pictures: list[Picture]) -> Counter[str]:
    """Return how many objects of each label are in a group, and how many pictures."""
    counted = Counter(str(label) for p in pictures for label in p.labels[p.targets])
    counted[_PICTURES] = len(pictures)
    return counted
