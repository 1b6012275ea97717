"""From a data set to a detector: positives, a fitting window, the loop.

This is the front door for training in Python; the command line calls it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_size
from bootstrap_det.channels import ACF, HOG, Channels
from bootstrap_det.classifiers import BoostedLearner, Learner
from bootstrap_det.data import Crops, Dataset, Picture, Skipped
from bootstrap_det.detector import Detector, Template, in_color
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.mining import BootstrapParams, Callback, Recipe, TrainingState, bootstrap
from bootstrap_det.mining.loop import Evaluate
from bootstrap_det.mining.records import RoundRecord, notify
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter, object_features, with_margin
from bootstrap_det.views import facing, split_views
from bootstrap_det.windows import Window, check_reach

MIN_OVERLAP = 0.5  # an annotated object that no window matches this well is not trained on
DEFAULT_WINDOW_AREA = 40 * 40  # pixels; large enough for details, small enough for fast scans


def default_channels(name: str = "acf", learner: str = "boosted") -> HOG | ACF:
    """Return the features that detectors are trained with unless told otherwise.

    For ``"hog"``: small cells, signed orientations, interpolation and a noise floor of two grey
    levels. For ``"acf"``: blocks of 2 pixels, normalised by the window, or locally for a linear
    classifier. What each brings is measured in ``docs/results.md``.
    """
    if name == "hog":
        return HOG(cell_size=4, n_orientations=12, signed=True, interpolate=True, epsilon=2.0)
    return ACF(normalise="window" if learner == "boosted" else "local")


@dataclass(frozen=True)
class Positives:
    """Feature vectors of the objects, and what was left out.

    Attributes
    ----------
    features : ndarray of shape (n, n_features), of the channels' dtype
        Of every object and of its changed copies.
    objects : ndarray of shape (n,), int
        Which object each row shows.
    n_objects : int
        Objects that they were made of.
    unreachable : tuple of Skipped
        Objects that no window can match, each with the reason.
    skipped : tuple of Skipped
        Pictures that could not be read.
    """

    features: NDArray[Any]
    objects: NDArray[np.intp]
    n_objects: int
    unreachable: tuple[Skipped, ...] = ()
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class TrainingResult:
    """A trained detector and the story of its training.

    Attributes
    ----------
    detector : Detector
        Ready to detect and to save.
    records : tuple of RoundRecord
        One a round.
    positives : Positives
        What it was trained on, and what was left out.
    state : TrainingState
        Everything that another round would need.
    """

    detector: Detector
    records: tuple[RoundRecord, ...]
    positives: Positives
    state: TrainingState


def train(
    dataset: Dataset,
    *,
    negatives: Dataset | None = None,
    label: str | None = None,
    window: Window | tuple[int, int] | None = None,
    context: float = 0.0,
    channels: Channels | None = None,
    pyramid: Pyramid | None = None,
    jitter: Jitter | None = None,
    learner: Learner | None = None,
    n_views: int = 1,
    mirror_pairs: bool = False,
    params: BootstrapParams | None = None,
    evaluate: Evaluate | None = None,
    callbacks: Sequence[Callback] = (),
    states: Sequence[TrainingState] = (),
) -> TrainingResult:
    """Train a detector for one label by bootstrapping.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures, or crops.
    negatives : Dataset or None, default=None
        Pictures to mine; by default those of ``dataset``, away from their objects.
    label : str or None, default=None
        Which category to train; may be left out when there is only one.
    window : Window, (height, width) or None, default=None
        The template's extent in pixels; by default :func:`default_window`.
    context : float, default=0.0
        Surroundings in the default window on each side, as a share of the object's height.
    channels : Channels or None, default=None
        Features; by default :func:`default_channels`.
    pyramid : Pyramid or None, default=None
        Scales; by default 8 per octave from the template's size up.
    jitter : Jitter or None, default=None
        Changed copies of the positives; by default one each, and mirror images.
    learner : Learner or None, default=None
        What fits the template; by default :class:`BoostedLearner`.
    n_views : int, default=1
        Templates; more than one are trained one after the other on groups of like objects, see
        :func:`bootstrap_det.views.split_views`, and scanned together.
    mirror_pairs : bool, default=False
        For objects that face left or right, such as cars from the side: train each template on
        the objects, or their mirror images, that face one way, see
        :func:`bootstrap_det.views.facing`, and scan with its mirror image besides.
    params : BootstrapParams or None, default=None
        Rounds, caps, limits, seed, threads.
    evaluate, callbacks
        See :func:`bootstrap_det.mining.bootstrap`.
    states : sequence of TrainingState, default=()
        Of each view that was begun before: go on from there.

    Returns
    -------
    TrainingResult

    Raises
    ------
    DataError
        When there are no positives or no negatives, no window can match any object, or a
        picture cannot be read.
    ParameterError
        When the parameters do not fit each other or the data.
    """
    params, learner = params or BootstrapParams(), learner or BoostedLearner()
    channels = channels or default_channels("acf", learner.name)
    label = the_label(dataset, label)
    window = as_window(window, dataset, label, channels, context)
    recipe = Recipe(window, channels, pyramid or Pyramid(), label, learner)
    negatives = negatives or dataset
    negatives.require_negatives()
    positives = positive_features(
        dataset,
        recipe,
        jitter=jitter,
        seed=params.seed,
        n_jobs=params.n_jobs,
        skip_bad=params.skip_bad,
        callbacks=callbacks,
    )
    if mirror_pairs:
        positives = _facing_one_way(positives, recipe, jitter)
    groups = split_views(positives.features, n_views, seed=params.seed)
    ended: list[TrainingState] = []
    for view in range(n_views):
        chosen = groups == view
        earlier = [template for state in ended for template in state.templates]
        state = bootstrap(
            positives.features[chosen],
            negatives,
            replace(recipe, view=view),
            objects=positives.objects[chosen],
            params=params,
            whole=partial(_whole, recipe, earlier, mirror_pairs),
            evaluate=evaluate,
            callbacks=callbacks,
            state=states[view] if view < len(states) else None,
        )
        ended.append(state)
    templates = [template for state in ended for template in state.templates]
    records = tuple(record for state in ended for record in state.records)
    detector = _whole(recipe, [], mirror_pairs, templates)
    return TrainingResult(detector, records, positives, ended[-1])


def _whole(
    recipe: Recipe, earlier: Sequence[Template], mirror_pairs: bool, templates: Sequence[Template]
) -> Detector:
    """Return the detector of a view, the views trained before it, and all their mirror images."""
    templates = [*earlier, *templates]
    twins = [template.mirrored(recipe.channels) for template in templates] if mirror_pairs else []
    return recipe.detector([*templates, *twins])


def _facing_one_way(positives: Positives, recipe: Recipe, jitter: Jitter | None) -> Positives:
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
    sides = facing(positives.features, recipe.template_shape, recipe.channels.mirror_order)
    # Each row is followed by its mirror image, see `object_features`.
    chosen = np.arange(0, len(sides), 2) + sides.reshape(-1, 2).argmax(axis=1)
    features, objects = positives.features[chosen], positives.objects[chosen]
    return replace(positives, features=features, objects=objects)


def default_window(
    dataset: Dataset, label: str, channels: Channels, *, context: float = 0.0
) -> Window:
    """Return a window that fits the objects of a data set.

    For crops it is their size, for boxes their median aspect ratio at about 40x40 pixels, or at
    the size of the smaller quarter of the objects where these are smaller; sides are rounded to
    whole cells. With ``context``, as much of the surroundings is in it on each side, as a share
    of the object's height.

    Raises
    ------
    ParameterError
        When context is asked for of crops, whose surroundings are not known.
    """
    check_float(context, "context", "train", low=0.0, high=2.0)
    if dataset.crops is not None:
        if context:
            raise ParameterError(
                f"The 'context' parameter of train must be 0 for crops, which end where they end. "
                f"Got {context:g}; give annotated pictures, or crops that show more."
            )
        height, width = dataset.crops.pixels.shape[1:3]
    else:
        boxes = _target_boxes(dataset, label)
        sides = boxes[:, 2:] - boxes[:, :2]
        aspect = float(np.median(sides[:, 0] / sides[:, 1]))
        area = min(float(DEFAULT_WINDOW_AREA), float(np.percentile(sides.prod(axis=1), 25)))
        height, width = np.sqrt(area / aspect), np.sqrt(area * aspect)
    cell, margin = channels.cell_size, 2.0 * context * height
    rows, columns = (max(round((side + margin) / cell), 3) * cell for side in (height, width))
    if not context:
        return Window((rows, columns))
    x, y = (columns - width) / 2, (rows - height) / 2
    return Window((rows, columns), (x, y, x + width, y + height))


def positive_features(
    dataset: Dataset,
    recipe: Recipe,
    *,
    jitter: Jitter | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    skip_bad: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Positives:
    """Return the feature vectors of all objects of the recipe's label.

    An object that no window can match (wrong shape, too small for the pyramid) is left out and
    reported; it would teach the classifier what it can never find.

    Raises
    ------
    DataError
        When nothing remains, or a picture cannot be read and ``skip_bad`` is off.
    """
    dataset.require_positives()
    jitter = jitter or Jitter()
    work = [
        delayed(_of_picture)(picture, recipe, jitter, seed, skip_bad)
        for picture in dataset.pictures
        if len(picture.boxes)
    ]
    if dataset.crops is not None:
        chunks = np.array_split(np.arange(len(dataset.crops)), max(len(dataset.crops) // 256, 1))
        work += [delayed(_of_crops)(dataset.crops, c, recipe, jitter, seed) for c in chunks]
    results = Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")(work)
    parts = []
    for n_done, part in enumerate(results, start=1):
        parts.append(part)
        notify(callbacks, "on_progress", "positives", n_done, len(work))
    sizes = np.cumsum([0, *(part.n_objects for part in parts)])
    found = Positives(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.objects + n for part, n in zip(parts, sizes[:-1], strict=True)]),
        int(sizes[-1]),
        tuple(skipped for part in parts for skipped in part.unreachable),
        tuple(skipped for part in parts for skipped in part.skipped),
    )
    _require_some(found, dataset)
    return found


def _of_crops(
    crops: Crops, indices: NDArray[np.intp], recipe: Recipe, jitter: Jitter, seed: int
) -> Positives:
    """Return the positives of some crops, each continued beyond its border."""
    rows = []
    margin = min(min(crops.pixels.shape[1:3]) - 1, max(crops.pixels.shape[1:3]) // 3)
    box = np.array(crops.object_box) + margin
    for index in indices:
        image = in_color(with_margin(crops.pixels[index], margin), recipe.channels)
        rng = np.random.default_rng([seed, int(index)])
        rows.append(object_features(image, box, recipe.window, recipe.channels, jitter, rng))
    return _stacked(rows, recipe)


def _of_picture(
    picture: Picture, recipe: Recipe, jitter: Jitter, seed: int, skip_bad: bool
) -> Positives:
    """Return the positives of one annotated picture."""
    try:
        image = picture.load(recipe.channels.color)
    except DataError as error:
        if not skip_bad:
            raise
        return replace(_stacked([], recipe), skipped=(Skipped(picture.name, str(error)),))
    boxes = picture.boxes[picture.targets & (picture.labels == recipe.label)]
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
    return replace(_stacked(rows, recipe), unreachable=unreachable)


def _stacked(rows: list[NDArray[Any]], recipe: Recipe) -> Positives:
    """Return the positives of some objects, each given with all its copies."""
    nothing = np.empty((0, recipe.n_features), recipe.channels.dtype)
    objects = np.repeat(np.arange(len(rows)), [len(copies) for copies in rows])
    return Positives(np.concatenate([nothing, *rows]), objects, len(rows))


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


def the_label(dataset: Dataset, label: str | None) -> str:
    """Return the label to train: the one given, or the only one of the data set.

    Raises
    ------
    DataError
        When there is no object at all.
    ParameterError
        When there are several labels and none was given, or the one given is not there.
    """
    dataset.require_positives()
    present = {str(name) for p in dataset.pictures for name in p.labels[p.targets]}
    if dataset.crops is not None:
        present.add(dataset.crops.label)
    if label is None and len(present) == 1:
        return present.pop()
    if label not in present:
        choices = ", ".join(repr(name) for name in sorted(present))
        raise ParameterError(
            f"The 'label' parameter of train must be one of the labels of {dataset.name!r}: "
            f"{choices}. Got {label!r} instead."
        )
    return label


def as_window(
    window: Window | tuple[int, int] | None,
    dataset: Dataset,
    label: str,
    channels: Channels,
    context: float = 0.0,
) -> Window:
    """Return the window to train: the one given, checked, or :func:`default_window`."""
    if window is None:
        return default_window(dataset, label, channels, context=context)
    if context:
        raise ParameterError(
            f"The 'context' parameter of train makes a window, so it must be 0 where one is given. "
            f"Got {context:g}; give a Window with an object_box instead."
        )
    if not isinstance(window, Window):
        window = Window(check_size(window, "window", "train"))
    if min(channels.grid_shape(window.size)) < 1:
        raise ParameterError(
            f"The 'window' parameter of train must hold at least one block of features. Got "
            f"{window.size}; enlarge it, or take smaller cells."
        )
    return window


def _target_boxes(dataset: Dataset, label: str) -> NDArray[np.float64]:
    parts = [p.boxes[p.targets & (p.labels == label)] for p in dataset.pictures]
    return np.concatenate(parts)
