"""Objects as feature vectors: the positives of a training, and what was left out of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.class_model import ClassView
from bootstrap_det.data import Crops, Dataset, Picture, Skipped
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import in_color
from bootstrap_det.mining import Callback, Members, Recipe
from bootstrap_det.mining.records import notify
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter, ObjectRows, object_features, with_margin
from bootstrap_det.views import facing
from bootstrap_det.windows import check_reach
from bootstrap_det.workers import in_parallel

MIN_OVERLAP = 0.5  # an annotated object that no window matches this well is not trained on


@dataclass(frozen=True)
class Positives:
    """Feature vectors of the objects, and what was left out.

    Attributes
    ----------
    rows : ObjectRows
        Windows of every object and of its changed copies.
    n_objects : int
        Objects that they were made of.
    unreachable : tuple of Skipped
        Objects that no window can match, each with the reason.
    skipped : tuple of Skipped
        Pictures that could not be read.
    labels : ndarray of shape (n_objects,), str
        What each object is annotated as.
    """

    rows: ObjectRows
    n_objects: int
    unreachable: tuple[Skipped, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    labels: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))


def positive_features(
    dataset: Dataset,
    recipe: Recipe,
    *,
    members: Collection[str] | None = None,
    jitter: Jitter | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    skip_bad: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Positives:
    """Return the feature vectors of all objects of the recipe's label.

    With ``members``, these are the objects of all of those labels.

    An object that no window can match (wrong shape, too small for the pyramid) is left out and
    reported; it would teach the classifier what it can never find.

    Raises
    ------
    DataError
        When nothing remains, or a picture cannot be read and ``skip_bad`` is off.
    """
    dataset.require_positives()
    jitter = jitter or Jitter()
    own = tuple(members or [recipe.label])
    pictures = [(picture,) for picture in dataset.pictures if len(picture.boxes)]
    crops = _parts(dataset.crops)
    of_pictures = partial(_of_picture, recipe, own, jitter, seed, skip_bad)
    of_crops = partial(_of_crops, recipe, jitter, seed)
    results = chain(
        in_parallel(of_pictures, pictures, n_jobs=n_jobs),
        in_parallel(of_crops, crops, n_jobs=n_jobs),
    )
    parts = []
    for n_done, part in enumerate(results, start=1):
        parts.append(part)
        notify(callbacks, "on_progress", "positives", n_done, len(pictures) + len(crops))
    found = Positives(
        _joined([part.rows for part in parts], [part.n_objects for part in parts]),
        sum(part.n_objects for part in parts),
        tuple(skipped for part in parts for skipped in part.unreachable),
        tuple(skipped for part in parts for skipped in part.skipped),
        np.concatenate([np.zeros(0, np.str_), *(part.labels for part in parts)]),
    )
    _require_some(found, dataset)
    return found


def _parts(crops: Crops | None) -> list[tuple[int, Crops]]:
    """Return some crops at a time, with the number of the first."""
    if crops is None:
        return []
    chunks = np.array_split(crops.pixels, max(len(crops) // 256, 1))
    starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])
    return [
        (int(first), replace(crops, pixels=chunk))
        for first, chunk in zip(starts, chunks, strict=False)
    ]


def _of_crops(recipe: Recipe, jitter: Jitter, seed: int, first: int, crops: Crops) -> Positives:
    """Return the positives of some crops, each continued beyond its border."""
    rows = []
    margin = min(min(crops.pixels.shape[1:3]) - 1, max(crops.pixels.shape[1:3]) // 3)
    box = np.array(crops.object_box) + margin
    for index, pixels in enumerate(crops.pixels, start=first):
        image = in_color(with_margin(pixels, margin), recipe.channels.color)
        rng = np.random.default_rng([seed, index])
        rows.append(object_features(image, box, recipe.window, recipe.channels, jitter, rng))
    return replace(_stacked(rows, recipe), labels=np.full(len(rows), crops.label))


def _of_picture(
    recipe: Recipe,
    members: Sequence[str],
    jitter: Jitter,
    seed: int,
    skip_bad: bool,
    picture: Picture,
) -> Positives:
    """Return the positives of one annotated picture."""
    try:
        image = picture.load(recipe.channels.color)
    except DataError as error:
        if not skip_bad:
            raise
        return replace(_stacked([], recipe), skipped=(Skipped(picture.name, str(error)),))
    own = picture.targets & np.isin(picture.labels, members)
    boxes = picture.boxes[own]
    plans = recipe.pyramid.plan(image.shape[:2], recipe.channels, [recipe.window])
    reach = check_reach(plans, recipe.window, recipe.channels, boxes, min_overlap=MIN_OVERLAP)
    rows = []
    for index in np.flatnonzero(reach.reachable):
        rng = np.random.default_rng([seed, picture.image_id, int(index)])
        rows.append(
            object_features(image, boxes[index], recipe.window, recipe.channels, jitter, rng)
        )
    unreachable = tuple(
        Skipped(picture.name, f"box {index}: {reason}")
        for index, reason in enumerate(reach.reasons)
        if reason
    )
    labels = picture.labels[own][reach.reachable]
    return replace(_stacked(rows, recipe), unreachable=unreachable, labels=labels)


def _stacked(rows: list[ObjectRows], recipe: Recipe) -> Positives:
    """Return the positives of some objects, each given with all its copies."""
    nothing = ObjectRows.plain(np.empty((0, recipe.n_features), recipe.channels.dtype))
    return Positives(_joined([nothing, *rows], [0, *([1] * len(rows))]), len(rows))


def _joined(parts: Sequence[ObjectRows], sizes: Sequence[int]) -> ObjectRows:
    """Return the rows of all parts, the objects of each numbered after those before."""
    starts = np.cumsum([0, *sizes])[:-1]
    return ObjectRows(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.objects + n for part, n in zip(parts, starts, strict=True)]),
        np.concatenate([part.ious for part in parts]),
        np.concatenate([part.kinds for part in parts]),
    )


def _require_some(positives: Positives, dataset: Dataset) -> None:
    if positives.n_objects:
        return
    if positives.unreachable:
        first = positives.unreachable[0]
        raise DataError(
            f"None of the {len(positives.unreachable)} objects of {dataset.name!r} can be found "
            f"by any window; the first is in {first.file}, {first.reason}."
        )
    raise DataError(
        f"Data set {dataset.name!r} gave no positives: {len(positives.skipped)} of its pictures "
        "could not be read. Check the files."
    )


def facing_one_way(positives: Positives, recipe: Recipe, jitter: Jitter | None) -> Positives:
    """Return the positives that face one way: of each and its mirror image, one.

    Raises
    ------
    ParameterError
        When there are no mirror images to choose from.
    """
    if jitter is not None and not jitter.mirror:
        raise ParameterError(
            "The 'mirror_pairs' parameter of train chooses between objects and their mirror images,"
            " so the jitter must have mirror=True. Got mirror=False; leave one of the two out."
        )
    sides = facing(positives.rows.features, recipe.template_shape, recipe.channels.mirror_order)
    # Each row is followed by its mirror image, see `object_features`.
    chosen = np.arange(0, len(sides), 2) + sides.reshape(-1, 2).argmax(axis=1)
    return replace(positives, rows=positives.rows.rows(chosen))


def class_members(
    dataset: Dataset, recipe: Recipe, view: ClassView, *, jitter: Jitter, **options: Any
) -> Members:
    """Return the objects of a group as the model of its classes sees them.

    Copies are those of ``jitter``, without what strategies asked for and without mirror images:
    the mirror image of an arrow is of another class.

    Parameters
    ----------
    dataset : Dataset
        Labelled by class.
    recipe : Recipe
        Of the group's template; only objects that its pyramid reaches take part.
    view : ClassView
        What classes are told by.
    jitter : Jitter
        Changed copies.
    **options
        Further ones of :func:`positive_features`.
    """
    members = dataset.members(recipe.label)
    smallest = recipe.pyramid.min_object_size or recipe.window.object_size[0]
    pyramid = Pyramid(**{**recipe.pyramid.get_params(), "min_object_size": smallest,
                         "exponents": None})  # fmt: skip
    finer = replace(recipe, window=view.window, channels=view.channels, pyramid=pyramid)
    upright = replace(jitter, mirror=False, turns=(), n_near=0)
    found = positive_features(dataset, finer, members=members, jitter=upright, **options)
    return Members(found.rows, found.labels, members, view)
