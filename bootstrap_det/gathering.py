"""Windows that boxes are learnt from: what a scan of annotated pictures finds, and its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.data.each import each_picture
from bootstrap_det.detector import Detector
from bootstrap_det.mining.records import Callback, notify
from bootstrap_det.pyramid import LevelPlan
from bootstrap_det.refinement import encode
from bootstrap_det.refinement.params import RefineParams
from bootstrap_det.refinement.samples import BoxSamples, uniform_over_iou
from bootstrap_det.refinement.stages import N_PLACE, Found, Level
from bootstrap_det.scanning import ScoredLevel, surviving
from bootstrap_det.templates import Template
from bootstrap_det.windows import (
    boxes_to_windows,
    window_identities,
    window_positions,
    windows_to_boxes,
)

WINDOWS_OF_OBJECT = 32  # most: large objects must not drown the others
OTHERS_OF_PICTURE = 24  # windows on nothing, for the quality
ON_NOTHING = 0.3  # overlap below which a window shows no object
_REACH = 3  # cells round the nearest window where windows beside an object are looked for


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
    work = partial(_of_picture, detector, params, number)
    results = each_picture(
        work, pictures, range(len(pictures)), n_jobs=params.n_jobs, skip_bad=params.skip_bad
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
    detector: Detector, params: RefineParams, number: int, picture: Picture, index: int
) -> list[tuple[int, BoxSamples]]:
    """Return the windows of one picture that are learnt from, with their template's number."""
    pixels = detector.prepare(picture.load(detector.channels.color))
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
