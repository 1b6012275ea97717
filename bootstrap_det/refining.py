"""Refining a detector: boxes and places learnt from annotated pictures.

The scan and the templates stay what they are; each template gets stages that move the boxes of
its windows, see :mod:`bootstrap_det.refinement.stages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.data import Dataset, Skipped
from bootstrap_det.detector import Detector, as_found
from bootstrap_det.exceptions import DataError
from bootstrap_det.gathering import gather
from bootstrap_det.location import LocationPrior, learn_location
from bootstrap_det.mining.records import Callback
from bootstrap_det.refinement import make_loss
from bootstrap_det.refinement.fitting import fit_linear, target_scales
from bootstrap_det.refinement.overlap_losses import IoU
from bootstrap_det.refinement.params import MIN_WINDOWS, ORDERS, RefineParams
from bootstrap_det.refinement.quality import fit_quality
from bootstrap_det.refinement.samples import BoxSamples, carl_weights
from bootstrap_det.refinement.stages import Refinement, Stage
from bootstrap_det.refinement.tree_fitting import fit_trees
from bootstrap_det.templates import Template
from bootstrap_det.windows import Window


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
