"""From a data set to a detector: positives, a fitting window, the loop.

This is the front door for training in Python; the command line calls it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_size
from bootstrap_det.arrays import limited_memory
from bootstrap_det.channels import Channels, default_channels
from bootstrap_det.classifiers import BoostedLearner, Learner
from bootstrap_det.data import Dataset
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.imbalance import make_strategy
from bootstrap_det.mining import (
    BootstrapParams,
    Callback,
    Members,
    Recipe,
    Strategy,
    TrainingState,
    bootstrap,
)
from bootstrap_det.mining.loop import Evaluate
from bootstrap_det.mining.records import RoundRecord
from bootstrap_det.positives import Positives, class_members, facing_one_way, positive_features
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.refinement.params import RefineParams
from bootstrap_det.refining import refine
from bootstrap_det.samples import Jitter, ObjectRows
from bootstrap_det.views import split_views
from bootstrap_det.windows import Window

DEFAULT_WINDOW_AREA = 40 * 40  # pixels; large enough for details, small enough for fast scans


@dataclass(frozen=True)
class TrainingResult:
    """A trained detector and the story of its training.

    Attributes
    ----------
    detector : Detector
        Ready to detect and to save.
    records : tuple of RoundRecord
        One a round, template after template.
    positives : dict of str to Positives
        What each label was trained on, and what was left out.
    states : tuple of TrainingState
        Everything that another round would need, one a template.
    classes : dict
        How the classes of each group were fitted, JSON-ready; empty without a second level.
    refinement : dict
        How boxes and places were learnt, see :func:`bootstrap_det.refining.refine`; empty where
        they were not.
    """

    detector: Detector
    records: tuple[RoundRecord, ...]
    positives: dict[str, Positives]
    states: tuple[TrainingState, ...]
    classes: dict[str, Any] = field(default_factory=dict)
    refinement: dict[str, Any] = field(default_factory=dict)


def train(
    dataset: Dataset,
    *,
    negatives: Dataset | None = None,
    labels: str | Sequence[str] | None = None,
    window: Window | tuple[int, int] | None = None,
    context: float = 0.0,
    channels: Channels | None = None,
    pyramid: Pyramid | None = None,
    learner: Learner | None = None,
    strategy: str | Strategy | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a detector by bootstrapping: one template a label, or several.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures, or crops.
    negatives : Dataset or None, default=None
        Pictures to mine; by default those of ``dataset``, away from their objects.
    labels : str, sequence of str or None, default=None
        Which categories to train, each a template of its own, scanned together; by default all.
        Objects of the others are negatives. Of a strategy that trains by group: which groups.
    window : Window, (height, width) or None, default=None
        The templates' extent in pixels; by default :func:`default_window` of each label.
    context : float, default=0.0
        Surroundings in the default window on each side, as a share of the object's height.
    channels : Channels or None, default=None
        Features; by default :func:`default_channels`.
    pyramid : Pyramid or None, default=None
        Scales; by default 8 per octave from the template's size up.
    learner : Learner or None, default=None
        What fits the templates; by default :class:`BoostedLearner`.
    strategy : str, Strategy or None, default=None
        A remedy for imbalance, or its text, see :func:`bootstrap_det.imbalance.make_strategy`; by
        default bootstrapping alone.
    **options
        Further ones of :func:`train_recipes`: jitter, views, parameters of the loop, callbacks.

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
    remedy = make_strategy(strategy)
    learner = remedy.learner(learner or BoostedLearner())
    channels = channels or default_channels("acf", learner.name)
    grouped = remedy.relabelled(dataset)
    recipes = [
        Recipe(
            as_window(window, grouped, label, channels, context),
            channels,
            pyramid or Pyramid(),
            label,
            learner,
        )
        for label in labels_to_train(grouped, labels)
    ]
    return train_recipes(dataset, negatives or dataset, recipes, strategy=remedy, **options)


def train_recipes(
    dataset: Dataset,
    negatives: Dataset,
    recipes: Sequence[Recipe],
    *,
    jitter: Jitter | None = None,
    n_views: int = 1,
    mirror_pairs: bool = False,
    strategy: Strategy | None = None,
    refinement: RefineParams | None = None,
    params: BootstrapParams | None = None,
    evaluate: Evaluate | None = None,
    callbacks: Sequence[Callback] = (),
    states: Sequence[TrainingState] = (),
) -> TrainingResult:
    """Train the templates of one recipe a label, one after the other, and join them.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures, or crops.
    negatives : Dataset
        Pictures to mine.
    recipes : sequence of Recipe
        One a label; all with the same channels and pyramid.
    jitter : Jitter or None, default=None
        Changed copies of the positives; by default one each, and mirror images.
    n_views : int, default=1
        Templates a label; more than one are trained on groups of like objects, see
        :func:`bootstrap_det.views.split_views`.
    mirror_pairs : bool, default=False
        For objects that face left or right, such as cars from the side: train each template on
        the objects, or their mirror images, that face one way, see
        :func:`bootstrap_det.views.facing`, and scan with its mirror image besides.
    strategy : Strategy or None, default=None
        A remedy for imbalance; by default bootstrapping alone. The recipes' learners are those
        that it asked for.
    refinement : RefineParams or None, default=None
        Learn better boxes, or where objects are, once all templates are trained; the data set
        must have annotated pictures.
    params : BootstrapParams or None, default=None
        Rounds, caps, limits, seed, threads.
    evaluate : callable or None, default=None
        Called with the detector of the label that is trained after each of its rounds; what it
        returns goes into the round's record.
    callbacks : sequence of Callback, default=()
        See :func:`bootstrap_det.mining.bootstrap`.
    states : sequence of TrainingState, default=()
        Of each template that was begun before, in order: go on from there.
    """
    params = params or BootstrapParams()
    strategy = strategy or Strategy()
    negatives.require_negatives()
    grouped, negatives = (strategy.relabelled(each) for each in (dataset, negatives))
    jitter = strategy.jitter(jitter or Jitter())
    with limited_memory(params.max_memory_bytes, params.scratch):
        found = {
            recipe.label: _positives(dataset, recipe, strategy, jitter, params, callbacks)
            for recipe in recipes
        }
        positives = found
        if mirror_pairs:
            positives = {r.label: facing_one_way(found[r.label], r, jitter) for r in recipes}
        ended: list[TrainingState] = []
        for recipe, rows in _shares(recipes, positives, strategy, n_views, params.seed):
            state = bootstrap(
                rows,
                negatives,
                recipe,
                strategy=strategy,
                params=params,
                whole=partial(_joined, recipe, tuple(ended), mirror_pairs),
                evaluate=evaluate and partial(_evaluate_label, evaluate, recipe.label),
                callbacks=callbacks,
                state=states[recipe.view] if recipe.view < len(states) else None,
            )
            ended.append(state)
    detector = _joined(recipe, ended[:-1], mirror_pairs, ended[-1].templates)
    told: dict[str, Any] = {}
    if refinement is not None:  # before groups are calibrated, whose scores it may change
        detector, told = refine(detector, grouped, refinement, callbacks=callbacks)
    classes: dict[str, Any] = {}
    if strategy.by_group:
        members = {
            recipe.label: _members(dataset, recipe, strategy, jitter, params, callbacks)
            for recipe in recipes
        }
        detector, classes = strategy.refined(detector, grouped, members, params, callbacks)
    records = tuple(record for state in ended for record in state.records)
    return TrainingResult(detector, records, positives, tuple(ended), classes, told)


def _positives(
    dataset: Dataset,
    recipe: Recipe,
    strategy: Strategy,
    jitter: Jitter,
    params: BootstrapParams,
    callbacks: Sequence[Callback],
) -> Positives:
    members = dataset.members(recipe.label) if strategy.by_group else None
    return positive_features(
        dataset, recipe, members=members, jitter=jitter, seed=params.seed, n_jobs=params.n_jobs,
        skip_bad=params.skip_bad, callbacks=callbacks,
    )  # fmt: skip


def _members(
    dataset: Dataset,
    recipe: Recipe,
    strategy: Strategy,
    jitter: Jitter,
    params: BootstrapParams,
    callbacks: Sequence[Callback],
) -> Members:
    """Return the objects of a label's classes as their model sees them."""
    return class_members(
        dataset, recipe, strategy.class_view(recipe.window), jitter=jitter, seed=params.seed,
        n_jobs=params.n_jobs, skip_bad=params.skip_bad, callbacks=callbacks,
    )  # fmt: skip


def _shares(
    recipes: Sequence[Recipe],
    positives: dict[str, Positives],
    strategy: Strategy,
    n_views: int,
    seed: int,
) -> list[tuple[Recipe, ObjectRows]]:
    """Return recipe and positives of each template: every view of every label."""
    by_label = strategy.balanced({name: each.rows for name, each in positives.items()}, seed)
    shares: list[tuple[Recipe, ObjectRows]] = []
    for recipe in recipes:
        rows = by_label[recipe.label]
        groups = split_views(rows.features, n_views, seed=seed)
        for view in range(n_views):
            shares.append((replace(recipe, view=len(shares)), rows.rows(groups == view)))
    return shares


def _joined(
    recipe: Recipe,
    earlier: Sequence[TrainingState],
    mirror_pairs: bool,
    templates: Sequence[Template],
) -> Detector:
    """Return the detector of templates, of those trained before, and of all mirror images."""
    templates = [*(t for state in earlier for t in state.templates), *templates]
    twins = [template.mirrored(recipe.channels) for template in templates] if mirror_pairs else []
    return recipe.detector([*templates, *twins])


def _evaluate_label(evaluate: Evaluate, label: str, detector: Detector) -> dict[str, Any]:
    return evaluate(detector.of_label(label))


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


def labels_to_train(dataset: Dataset, labels: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the labels to train, sorted: those given, or all that objects of the data set have.

    Raises
    ------
    DataError
        When there is no object at all.
    ParameterError
        When one that was given is not there.
    """
    dataset.require_positives()
    present = {str(name) for p in dataset.pictures for name in p.labels[p.targets]}
    if dataset.crops is not None:
        present.add(dataset.crops.label)
    if labels is None:
        return tuple(sorted(present))
    wanted = {labels} if isinstance(labels, str) else set(labels)
    if not wanted or wanted - present:
        choices = ", ".join(repr(name) for name in sorted(present))
        got = ", ".join(repr(name) for name in sorted(wanted - present)) or "none"
        raise ParameterError(
            f"The 'labels' parameter of train must be of the labels of {dataset.name!r}: "
            f"{choices}. Got {got} instead."
        )
    return tuple(sorted(wanted))


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
