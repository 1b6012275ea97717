"""Refining a detector: boxes and places learnt from annotated pictures.

The scan and the templates stay what they are; each template gets stages that move the boxes of
its windows, see :mod:`bootstrap_det.refinement.stages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_bool, check_choice, check_float, check_int
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.detector import Detector, as_found
from bootstrap_det.exceptions import DataError
from bootstrap_det.location import DEFAULT_MAX_LOST, USES, LocationPrior, learn_location
from bootstrap_det.mining.records import Callback, notify
from bootstrap_det.pyramid import LevelPlan
from bootstrap_det.refinement import encode, make_loss
from bootstrap_det.refinement.fitting import fit_linear, target_scales
from bootstrap_det.refinement.overlap_losses import IoU
from bootstrap_det.refinement.quality import fit_quality
from bootstrap_det.refinement.samples import BoxSamples, carl_weights, uniform_over_iou
from bootstrap_det.refinement.stages import N_PLACE, Found, Level, Refinement, Stage
from bootstrap_det.refinement.tree_fitting import fit_trees
from bootstrap_det.scanning import ScoredLevel, surviving
from bootstrap_det.templates import Template
from bootstrap_det.windows import (
    Window,
    boxes_to_windows,
    window_identities,
    window_positions,
    windows_to_boxes,
)

REGRESSORS = ("linear", "trees")
ORDERS = ("classify-then-regress", "regress-then-classify")
WEIGHTS = ("none", "carl")
SAMPLINGS = ("survivors", "iou-uniform")

IOU_STEP = 0.1  # by which the overlap rises from stage to stage
MIN_WINDOWS = 40  # of a template; with fewer it is left as it is
WINDOWS_OF_OBJECT = 32  # most: large objects must not drown the others
OTHERS_OF_PICTURE = 24  # windows on nothing, for the quality
ON_NOTHING = 0.3  # overlap below which a window shows no object
_REACH = 3  # cells round the nearest window where windows beside an object are looked for


@dataclass(frozen=True)
class RefineParams:
    """How a detector is refined.

    Parameters
    ----------
    loss : str or None, default="smooth-l1"
        One of :func:`bootstrap_det.refinement.available_losses`; with None boxes stay.
    loss_params : mapping, default={}
        Parameters of the loss. ``scales`` are those of the training windows unless given.
    regressor : {"linear", "trees"}, default="linear"
        What predicts the offsets.
    n_stages : int, default=1
        Stages, each for boxes that agree better: the overlap that windows need to be learnt from
        rises by 0.1 a stage, as in Cascade R-CNN.
    rescore : bool, default=False
        Each stage has a classifier of well-placed boxes, too, that changes the score.
    order : {"classify-then-regress", "regress-then-classify"}, default="classify-then-regress"
        Whether that classifier sees the window before its box was moved, or the one nearest to
        the box afterwards.
    weights : {"none", "carl"}, default="none"
        Whether windows of high scores count more in the regression.
    guided : bool, default=False
        Scale the classifier's loss to the size of the regression's.
    sampling : {"survivors", "iou-uniform"}, default="survivors"
        The windows that boxes are learnt from: those that survive the scan, or, in the first
        stage, windows beside objects drawn evenly over their overlap.
    min_iou : float, default=0.5
        Least overlap of a window with its object in the first stage.
    max_windows : int, default=20000
        Most windows of a template; more are left out at random.
    location : {"prune", "rescore", "both"} or None, default=None
        Learn where objects are, too, and leave other windows out, or weigh scores by it; see
        :func:`bootstrap_det.location.learn_location`.
    max_lost : float, default=0.0025
        Largest share of the objects where windows are left out.
    seed : int, default=0
        For all that is drawn.
    n_jobs : int, default=1
        Pictures at a time, on threads; they do not change the result.
    skip_bad : bool, default=False
        Go on after pictures that cannot be read.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.
    """

    loss: str | None = "smooth-l1"
    loss_params: Mapping[str, Any] = field(default_factory=dict)
    regressor: str = "linear"
    n_stages: int = 1
    rescore: bool = False
    order: str = ORDERS[0]
    weights: str = "none"
    guided: bool = False
    sampling: str = "survivors"
    min_iou: float = 0.5
    max_windows: int = 20_000
    location: str | None = None
    max_lost: float = DEFAULT_MAX_LOST
    seed: int = 0
    n_jobs: int = 1
    skip_bad: bool = False

    def __post_init__(self) -> None:
        owner = "RefineParams"
        check_choice(self.regressor, "regressor", owner, REGRESSORS)
        check_int(self.n_stages, "n_stages", owner, low=1, high=4)
        check_choice(self.order, "order", owner, ORDERS)
        check_choice(self.weights, "weights", owner, WEIGHTS)
        check_choice(self.sampling, "sampling", owner, SAMPLINGS)
        check_float(self.min_iou, "min_iou", owner, low=0.3, high=0.9)
        check_int(self.max_windows, "max_windows", owner, low=MIN_WINDOWS)
        check_int(self.seed, "seed", owner, low=0)
        for name in ("rescore", "guided", "skip_bad"):
            check_bool(getattr(self, name), name, owner)
        if self.loss is not None:
            make_loss(self.loss, **self.loss_params)
        if self.location is not None:
            check_choice(self.location, "location", owner, USES)
        check_float(self.max_lost, "max_lost", owner, low=0.0, high=0.5)

    def stage_iou(self, stage: int) -> float:
        """Return the overlap that a stage is for."""
        return min(self.min_iou + IOU_STEP * stage, 0.95)


def refine(
    detector: Detector,
    dataset: Dataset,
    params: RefineParams | None = None,
    *,
    windows: Sequence[BoxSamples] | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[Detector, dict[str, Any]]:
    """Return a refined detector, and how that was learnt.

    Parameters
    ----------
    detector : Detector
        A trained one; an earlier refinement or prior is replaced.
    dataset : Dataset
        Annotated pictures, such as those that it was trained on. Where they are labelled by
        class and the detector finds groups, they are taken by group.
    params : RefineParams or None, default=None
        How.
    windows : sequence of BoxSamples or None, default=None
        What the first stage learns from, as :func:`gather` returns it, to try several ways on the
        same windows; by default it is gathered.
    callbacks : sequence of Callback, default=()
        Told of the progress.

    Returns
    -------
    detector : Detector
        The same templates with refinements. A template of fewer than 40 windows with objects is
        left as it is, and said so.
    told : dict
        JSON-ready. ``"boxes"``: for each template and stage the label, what it was fitted on, and
        the mean overlap of windows of held-out pictures before and after, or why it was skipped.
        ``"skipped"``: pictures that could not be read.
        ``"location"``: the shares of objects lost and of windows scanned, where there is a prior.

    Raises
    ------
    DataError
        When there is no object in a picture, or a picture cannot be read and ``skip_bad`` is off.
    """
    params = params or RefineParams()
    require_objects(dataset, detector.labels)
    dataset = as_found(dataset, detector)
    bare = [replace(template, refinement=None) for template in detector.templates]
    refined, told = detector.with_templates(bare).replace(location=None), dict[str, Any]()
    if params.loss is not None:
        refined, told["boxes"], skipped = _with_boxes(refined, dataset, params, windows, callbacks)
        told["skipped"] = [each.to_dict() for each in skipped]
    if params.location is not None:
        prior = _location(refined, dataset, params)
        refined = refined.replace(location=prior)
        told["location"] = {
            "use": prior.use,
            "share_lost": prior.share_lost,
            "share_windows": prior.share_windows,
        }
    return refined, told


def require_objects(dataset: Dataset, labels: Iterable[str]) -> None:
    """Raise DataError unless a picture of a data set shows an object of one of the labels."""
    own = {*labels, *(name for name, group in dataset.groups.items() if group in set(labels))}
    if not any(own & set(map(str, p.labels[p.targets])) for p in dataset.pictures):
        raise DataError(
            f"Boxes and places are learnt from annotated pictures, and {dataset.name!r} has none "
            f"with an object of {', '.join(map(repr, sorted(labels)))}. Crops are not enough: "
            "give pictures with boxes."
        )


def remapped(detector: Detector, part: Sequence[float]) -> Detector:
    """Return the detector whose boxes are a part of what they were, in their own sides.

    For annotations of another convention, see :func:`bootstrap_det.boxes.relative`: bring the
    boxes near to them, then refine.
    """
    templates = []
    for template in detector.templates:
        box = box_ops.relative([template.window.object_xyxy], part)[0].tolist()
        templates.append(replace(template, window=Window(template.window.size, tuple(box))))
    return detector.with_templates(templates)


def _location(detector: Detector, dataset: Dataset, params: RefineParams) -> LocationPrior:
    assert params.location is not None  # the caller checks
    own = tuple(replace(p, ignore=p.ignore | ~np.isin(p.labels, detector.labels))
                for p in dataset.pictures)  # fmt: skip
    heights = [template.window.object_size[0] for template in detector.templates]
    return learn_location(
        replace(dataset, pictures=own),
        max_lost=params.max_lost,
        use=params.location,
        gain=max(score_unit(template) for template in detector.templates),
        min_object_size=detector.pyramid.min_object_size or min(heights),
        max_object_size=detector.pyramid.max_object_size,
    )


def _with_boxes(
    detector: Detector,
    dataset: Dataset,
    params: RefineParams,
    windows: Sequence[BoxSamples] | None,
    callbacks: Sequence[Callback],
) -> tuple[Detector, list[dict[str, Any]], list[Skipped]]:
    """Return the detector with all its stages, how each was fitted, and bad pictures."""
    refined, told, skipped = detector, list[dict[str, Any]](), list[Skipped]()
    for number in range(params.n_stages):
        samples = windows if windows is not None and number == 0 else None
        if samples is None:
            skipped = []  # they are the same in every pass
            samples = gather(refined, dataset, params, number, skipped=skipped, callbacks=callbacks)
        fitted = [
            _with_stage(template, own, params, number)
            for template, own in zip(refined.templates, samples, strict=True)
        ]
        refined = detector.with_templates([template for template, _ in fitted])
        if params.rescore:
            refined = _rescored(refined, samples, dataset, params, number, callbacks)
        told += [
            {"template": index, "label": template.label, "stage": number, **facts}
            for index, (template, facts) in enumerate(fitted)
        ]
    return refined, told, skipped


def _with_stage(
    template: Template, samples: BoxSamples, params: RefineParams, number: int
) -> tuple[Template, dict[str, Any]]:
    """Return a template with one more stage, and how it was fitted."""
    earlier = _stages(template)
    near = samples.rows(samples.ious >= params.stage_iou(number))
    if len(near) < MIN_WINDOWS or len(earlier) < number:
        reason = f"{len(near)} windows with objects are fewer than {MIN_WINDOWS}"
        return template, {"skipped": reason}
    scales = {"scales": target_scales(near.targets)}
    name = str(params.loss)
    known = scales if hasattr(make_loss(name), "scales") else {}
    loss = make_loss(name, **{**known, **params.loss_params})
    fit_by = fit_linear if params.regressor == "linear" else fit_trees
    regressor, fit = fit_by(near, loss, _weights(template, near, params), seed=params.seed)
    stage = Stage(regressor, loss, classify_after=params.order == ORDERS[1])
    return replace(template, refinement=Refinement((*earlier, stage))), asdict(fit)


def _weights(template: Template, near: BoxSamples, params: RefineParams) -> NDArray[np.float64]:
    if params.weights == "carl":
        return carl_weights(near.scores, scale=score_unit(template))
    return np.ones(len(near))


def _rescored(
    detector: Detector,
    samples: Sequence[BoxSamples],
    dataset: Dataset,
    params: RefineParams,
    number: int,
    callbacks: Sequence[Callback],
) -> Detector:
    """Return the detector whose last stages judge the boxes that they place."""
    after = params.order == ORDERS[1]
    judged = gather(detector, dataset, params, number, callbacks=callbacks) if after else samples
    templates = []
    for template, seen, own in zip(detector.templates, judged, samples, strict=True):
        *earlier, last = _stages(template) or [None]
        if last is None or len(earlier) < number:
            templates.append(template)
            continue
        good = _agreement(last, seen, moved=after) >= params.stage_iou(number)
        box_loss = _mean_loss(last, own, params.stage_iou(number)) if params.guided else None
        quality = fit_quality(seen, good, box_loss=box_loss, seed=params.seed)
        stages = (*earlier, replace(last, quality=quality))
        templates.append(replace(template, refinement=Refinement(stages)))
    return detector.with_templates(templates)


def _stages(template: Template) -> tuple[Stage, ...]:
    return () if template.refinement is None else template.refinement.stages


def _agreement(stage: Stage, samples: BoxSamples, *, moved: bool) -> NDArray[np.float64]:
    """Return the overlap of each box with its object after a stage; 0 on nothing."""
    if moved:  # the windows were gathered after the stage
        return samples.ious
    offsets = stage.loss.offsets(stage.regressor.outputs(samples.inputs))
    overlaps = 1.0 - IoU().evaluate(offsets, samples.targets)[0]
    return np.where(samples.objects >= 0, overlaps, 0.0)


def _mean_loss(stage: Stage, samples: BoxSamples, least: float) -> float:
    near = samples.rows(samples.ious >= least)
    return float(stage.loss.evaluate(stage.regressor.outputs(near.inputs), near.targets)[0].mean())


def score_unit(template: Template) -> float:
    """Return what a factor e in the odds adds to a template's score, about."""
    model = template.model
    return model.score_scale / 3.5 if isinstance(model, TreeModel) else 1.0


def gather(
    detector: Detector,
    dataset: Dataset,
    params: RefineParams,
    number: int = 0,
    *,
    skipped: list[Skipped] | None = None,
    callbacks: Sequence[Callback] = (),
) -> list[BoxSamples]:
    """Return the windows that the next stage of each template is learnt from.

    Parameters
    ----------
    detector : Detector
        With the stages so far.
    dataset : Dataset
        Annotated pictures, labelled as the detector's templates are.
    params : RefineParams
        How.
    number : int, default=0
        Of the stage.
    skipped : list of Skipped or None, default=None
        Pictures that could not be read are added to it.
    callbacks : sequence of Callback, default=()
        Told of the progress.
    """
    pictures = [p for p in dataset.pictures if p.targets.any()]
    results = Parallel(n_jobs=params.n_jobs, backend="threading", return_as="generator")(
        delayed(_of_picture)(detector, picture, index, params, number)
        for index, picture in enumerate(pictures)
    )
    parts: list[list[BoxSamples]] = [[] for _ in detector.templates]
    n_objects = 0
    for n_done, (picture, found) in enumerate(zip(pictures, results, strict=True), start=1):
        notify(callbacks, "on_progress", "refine", n_done, len(pictures))
        if isinstance(found, Skipped):
            if skipped is not None:
                skipped.append(found)
            continue
        for index, samples in found:
            known = np.where(samples.objects >= 0, samples.objects + n_objects, -1)
            parts[index].append(replace(samples, objects=known))
        n_objects += len(picture.boxes)
    return [
        _limited(own, template, detector, params)
        for own, template in zip(parts, detector.templates, strict=True)
    ]


def _limited(
    parts: list[BoxSamples], template: Template, detector: Detector, params: RefineParams
) -> BoxSamples:
    """Return the windows of all pictures, at most as many as allowed."""
    shape = detector.channels.grid_shape(template.window.size)
    n_inputs = detector.channels.n_window_channels * shape[0] * shape[1] + N_PLACE
    samples = BoxSamples.concatenate([BoxSamples.empty(n_inputs), *parts])
    rng = np.random.default_rng([params.seed, 29])
    if len(samples) <= params.max_windows:
        return samples
    return samples.rows(np.sort(rng.permutation(len(samples))[: params.max_windows]))


def _of_picture(
    detector: Detector, picture: Picture, index: int, params: RefineParams, number: int
) -> list[tuple[int, BoxSamples]] | Skipped:
    """Return the windows of one picture that are learnt from, with their template's number."""
    try:
        pixels = detector.prepare(picture.load(detector.channels.color))
    except DataError as error:
        if not params.skip_bad:
            raise
        return Skipped(picture.name, str(error))
    rng = np.random.default_rng([params.seed, 31, index])
    beside = None
    if params.sampling == "iou-uniform" and number == 0:
        beside = _windows_beside(detector, picture, pixels.shape, params.min_iou, rng)
    found: dict[int, list[BoxSamples]] = {}
    for level, values in detector.scanner.over_levels(pixels, detector.scanner.scored):
        template = detector.templates[level.template_index]
        inside = Level(level.plan, template.window, detector.channels, values, level.rows)
        windows = surviving(level, inside, detector.lowest_score)
        samples = _samples(template, inside, windows, picture, index)
        if beside is not None:
            drawn = _samples(template, inside, _drawn(level, inside, beside), picture, index)
            samples = BoxSamples.concatenate([samples.rows(samples.objects < 0), drawn])
        found.setdefault(level.template_index, []).append(samples)
    return [(each, _thinned(BoxSamples.concatenate(own), rng)) for each, own in found.items()]


def _samples(
    template: Template, inside: Level, found: Found, picture: Picture, index: int
) -> BoxSamples:
    """Return windows of a level as the template's next stage sees them, and their objects.

    Windows that lie on what is ignored, or between an object and nothing, are left out.
    """
    if template.refinement is not None:
        found = inside.nearest(template.refinement.refine(inside, found))
    own = np.flatnonzero(picture.targets & (picture.labels == template.label))
    overlaps = box_ops.overlap(found.boxes, picture.boxes)
    others = np.delete(overlaps, own, axis=1).max(axis=1, initial=0.0)
    best = overlaps[:, own].argmax(axis=1) if len(own) else np.zeros(len(overlaps), np.intp)
    ious = overlaps[:, own].max(axis=1, initial=0.0)
    on_object, on_nothing = ious >= ON_NOTHING, np.maximum(ious, others) < ON_NOTHING
    keep = np.flatnonzero((on_object & (ious >= others)) | on_nothing)
    windows = inside.window_boxes(found)
    truth = windows.copy()  # on nothing there is nothing to move to
    objects = np.full(len(ious), -1, np.intp)
    if len(own):
        truth[on_object] = picture.boxes[own[best[on_object]]]
        objects[on_object] = own[best[on_object]]
    samples = BoxSamples(
        inside.inputs(found), encode(truth, windows), ious * on_object, found.scores,
        np.full(len(ious), index, np.intp), objects,
    )  # fmt: skip
    return samples.rows(keep)


def _thinned(samples: BoxSamples, rng: np.random.Generator) -> BoxSamples:
    """Return at most so many windows of each object, and so many on nothing."""
    kept = [np.zeros(0, np.intp)]
    for name in np.unique(samples.objects):
        own = np.flatnonzero(samples.objects == name)
        most = WINDOWS_OF_OBJECT if name >= 0 else OTHERS_OF_PICTURE
        kept.append(rng.permutation(own)[:most])
    return samples.rows(np.sort(np.concatenate(kept)))


def _windows_beside(
    detector: Detector,
    picture: Picture,
    size: tuple[int, ...],
    low: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return windows beside objects, drawn evenly over their overlap: identities, shape (n, 4)."""
    plans = detector.plan((size[0], size[1]))
    drawn = [np.zeros((0, 4), np.int64)]
    for index, template in enumerate(detector.templates):
        own = np.flatnonzero(picture.targets & (picture.labels == template.label))
        boxes = picture.boxes[own]
        parts = [_near(plan, template, detector, boxes, index) for plan in plans]
        identities, ious, objects = (np.concatenate(each) for each in zip(*parts, strict=True))
        drawn.append(identities[uniform_over_iou(ious, objects, WINDOWS_OF_OBJECT, low, rng)])
    return np.concatenate(drawn)


def _near(
    plan: LevelPlan, template: Template, detector: Detector, boxes: NDArray[np.float64], index: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.intp]]:
    """Return a level's windows about each box, their overlap with it, and its number."""
    n_rows, n_columns = window_positions(plan, template.window, detector.channels)
    rows, columns = (
        np.rint(at).astype(np.intp) for at in boxes_to_windows(plan, template.window, boxes)
    )
    steps = np.arange(-_REACH, _REACH + 1)
    shifts = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    rows = (rows[:, None] + shifts[:, 0]).ravel()
    columns = (columns[:, None] + shifts[:, 1]).ravel()
    objects = np.repeat(np.arange(len(boxes)), len(shifts))
    there = (rows >= 0) & (rows < n_rows) & (columns >= 0) & (columns < n_columns)
    rows, columns, objects = rows[there], columns[there], objects[there]
    found = windows_to_boxes(plan, template.window, rows, columns)
    ious = box_ops.paired_overlap(found, boxes[objects])
    return window_identities(plan.index, rows, columns, index), ious, objects


def _drawn(level: ScoredLevel, inside: Level, identities: NDArray[np.int64]) -> Found:
    """Return those of the identified windows that are of this level and template."""
    own = identities[
        (identities[:, 0] == level.plan.index) & (identities[:, 3] == level.template_index)
    ]
    own = own[(own[:, 1] >= level.rows[0]) & (own[:, 1] < level.rows[1])]
    rows, columns = own[:, 1], own[:, 2]
    scores = level.scores[rows - level.first_row, columns].astype(np.float64)
    least = float(level.scores[np.isfinite(level.scores)].min(initial=0.0))
    return inside.found(rows, columns, np.where(np.isfinite(scores), scores, least))
