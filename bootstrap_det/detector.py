"""The detector: one or more templates scanned over one pyramid, then suppression.

It knows nothing of how its templates were trained; it is changed only by making another one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_bool, check_choice, check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.data import Dataset, by_group
from bootstrap_det.detections import Candidates, Detections
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.hierarchy import with_classes
from bootstrap_det.images import check_image, in_color
from bootstrap_det.location import LocationPrior
from bootstrap_det.model_files import pack_parts, unpack_parts
from bootstrap_det.persistence import (
    MAX_MODEL_BYTES,
    damaged,
    model_header,
    read_model,
    write_arrays,
)
from bootstrap_det.pyramid import LevelPlan, Pyramid
from bootstrap_det.scanning import Scanner
from bootstrap_det.scanning import ScoredLevel as ScoredLevel
from bootstrap_det.suppression import SUPPRESSIONS, Suppression
from bootstrap_det.templates import Template as Template  # what a detector is made of
from bootstrap_det.templates import check_classes, check_templates
from bootstrap_det.workers import in_parallel


class Detector:
    """Scan pictures for the objects of one or more templates.

    Parameters
    ----------
    templates : sequence of Template
        What to look for; all are scanned over the same pyramid.
    channels : Channels
        The features that the templates were trained on.
    pyramid : Pyramid or None, default=None
        The scales to scan; by default 8 per octave from the template's own size up.
    threshold : float, default=0.0
        Smallest score of a detection.
    nms_threshold : float, default=0.3
        Largest overlap of two detections of one label.
    nms_kind : {"iou", "min"}, default="iou"
        Overlap by intersection over union, or by the smaller of the two areas.
    suppression : {"nms", "vote", "soft-nms", "fusion"}, default="nms"
        What becomes of windows that overlap, see
        :class:`bootstrap_det.suppression.Suppression`. But for nms the score of a detection is no
        longer that of one window, and the threshold applies to it. What :func:`train` returns of
        boosted trees votes.
    across_labels : bool, default=False
        Suppress a detection, too, that overlaps a better one of another label by more than
        ``nms_threshold``, where objects of two labels never share a place; of soft-nms, labels
        lower each other's scores.
    classes : mapping of str to ClassModel or None, default=None
        A second level: for each label, a group, what tells the classes of the group apart.
    location : LocationPrior or None, default=None
        Where objects are likely: other rows of windows are left out, or scores weighed by it.
    provenance : dict or None, default=None
        Where the detector comes from, JSON-ready; it travels with the model file.

    Raises
    ------
    ParameterError
        When a parameter is out of range, or a template or its classes do not fit the channels.
    """

    def __init__(
        self,
        templates: Sequence[Template],
        channels: Channels,
        *,
        pyramid: Pyramid | None = None,
        threshold: float = 0.0,
        nms_threshold: float = 0.3,
        nms_kind: str = "iou",
        suppression: str = "nms",
        across_labels: bool = False,
        classes: Mapping[str, ClassModel] | None = None,
        location: LocationPrior | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.templates = tuple(templates)
        self.channels = channels
        self.pyramid = pyramid or Pyramid()
        self.threshold = check_float(threshold, "threshold", "Detector")
        self.nms_threshold = check_float(
            nms_threshold, "nms_threshold", "Detector", low=0.0, high=1.0
        )
        self.nms_kind = check_choice(nms_kind, "nms_kind", "Detector", box_ops.OVERLAPS)
        self.suppression = check_choice(suppression, "suppression", "Detector", SUPPRESSIONS)
        self.across_labels = check_bool(across_labels, "across_labels", "Detector")
        self.classes = dict(classes or {})
        self.location = location
        self.provenance = dict(provenance or {})
        self.scanner = Scanner(self.templates, channels, self.pyramid, location)
        check_templates(self.templates, channels)
        check_classes(self.classes, self.templates)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the templates stand for, sorted, each once."""
        return tuple(sorted({template.label for template in self.templates}))

    @property
    def names(self) -> tuple[str, ...]:
        """What detections can be called: the classes, or the labels where there are none."""
        classes = {name for model in self.classes.values() for name in model.labels}
        return tuple(sorted(classes)) or self.labels

    @property
    def lowest_score(self) -> float:
        """The least score worth listing: where the cascades end, the margin of a linear model."""
        return min(template.lowest_score for template in self.templates)

    @property
    def rescores(self) -> bool:
        """Whether scores are no longer the templates' own, so that lower ones may rise."""
        refined = any(t.refinement is not None and t.refinement.rescores for t in self.templates)
        return refined or (self.location is not None and self.location.rescores)

    def of_label(self, label: str) -> Detector:
        """Return the detector of one label's templates alone."""
        templates = [template for template in self.templates if template.label == label]
        classes = {name: model for name, model in self.classes.items() if name == label}
        return self._with(templates, classes=classes)

    def detect(
        self,
        image: NDArray[Any],
        *,
        threshold: float | None = None,
        image_id: int | None = None,
        n_threads: int = 1,
    ) -> Detections:
        """Return the objects in one picture.

        Parameters
        ----------
        image : ndarray of shape (height, width), (height, width, 3) or (height, width, 4)
            Grey, RGB or RGBA, uint8 (0 to 255); float32 of the same range is accepted.
        threshold : float or None, default=None
            Smallest score; by default the detector's own. Below the range that a cascade was
            calibrated for there is a warning, since windows are missing.
        image_id : int or None, default=None
            Copied into the result.
        n_threads : int, default=1
            Threads over levels; they do not change the result.

        Returns
        -------
        Detections
            By falling score, ties by coordinates. A picture too small for the window gives
            none: lower the pyramid's ``min_object_size`` to enlarge it.

        Raises
        ------
        ParameterError
            When the picture or a parameter cannot be used.
        """
        if threshold is not None and (note := self.threshold_note(threshold)):
            warnings.warn(note, UserWarning, stacklevel=2)
        found = self.scan(image, threshold=self.floor(threshold), n_threads=n_threads)
        settled = self.settle(found, threshold=threshold, image_id=image_id)
        return self.classified(image, settled)

    def floor(self, threshold: float | None = None) -> float:
        """Return the least score of windows that bear on detections of a threshold and more."""
        limit = self.threshold if threshold is None else _number(threshold)
        # Where every window counts, it does whatever the threshold, or scores would depend on it.
        every = self._suppression.every_window_counts and self.lowest_score > -np.inf
        return self.lowest_score if every or self.rescores else limit

    def settle(
        self, found: Candidates, *, threshold: float | None = None, image_id: int | None = None
    ) -> Detections:
        """Return the detections of at least a threshold that suppression leaves of candidates.

        The candidates are all of one picture that score at least :meth:`floor`.
        """
        limit = self.threshold if threshold is None else _number(threshold)
        detections = self.suppress(found, image_id=image_id)
        return detections[detections.scores >= limit]

    def classified(self, image: NDArray[Any], detections: Detections) -> Detections:
        """Return detections with the classes of what is in their boxes.

        Without a second level they are returned as they are.

        Parameters
        ----------
        image : ndarray
            The picture that was scanned.
        detections : Detections
            What :meth:`suppress` or :meth:`settle` left.
        """
        if not self.classes:
            return detections
        return with_classes(detections, self.classes, check_image(image, "Detector.detect"))

    def detect_batch(
        self, images: Iterable[NDArray[Any]], *, threshold: float | None = None, n_jobs: int = 1
    ) -> Iterator[Detections]:
        """Yield the detections of each picture in order, ``n_jobs`` pictures at a time.

        Equal to calling :meth:`detect` on each, with ``image_id`` counted from 0.
        """
        numbered = ((image, index) for index, image in enumerate(images))
        return in_parallel(partial(_detected, self, threshold), numbered, n_jobs=n_jobs)

    def scan(
        self, image: NDArray[Any], *, threshold: float | None = None, n_threads: int = 1
    ) -> Candidates:
        """Return every window that scores at least ``threshold``, before suppression."""
        limit = self.threshold if threshold is None else _number(threshold)
        work = partial(self.scanner.candidates, least=limit)
        return Candidates.concatenate(list(self._over_levels(image, work, n_threads)))

    def threshold_note(self, threshold: float) -> str:
        """Return what is missing at a threshold, a sentence; empty where nothing is."""
        linear = all(isinstance(t.model, LinearModel) for t in self.templates)
        if linear or _number(threshold) >= self.lowest_score:
            return ""
        return (
            f"A threshold of {threshold:g} is below {self.lowest_score:g}, the least score that "
            "the cascade was calibrated to let pass: most windows between the two are rejected "
            "unseen. Train with a larger 'keep' to get them."
        )

    def suppress(self, found: Candidates, *, image_id: int | None = None) -> Detections:
        """Return the detections that suppression leaves of the candidates.

        Those of soft-nms are listed down to :attr:`lowest_score` (0 without cascade), or to the
        lowest candidate where that is less; or every window would be a detection.
        """
        listed = self.lowest_score if self.lowest_score > -np.inf else 0.0
        least = min(listed, found.scores.min(initial=np.inf))
        return self._suppression.detections(found, min_score=least, image_id=image_id)

    @property
    def _suppression(self) -> Suppression:
        """How windows become detections."""
        return Suppression(
            self.templates, self.suppression, self.nms_threshold, self.nms_kind, self.across_labels
        )

    def replace(self, **changes: Any) -> Detector:
        """Return the detector with some of its constructor's parameters changed.

        ``min_object_size`` and the other parameters of :class:`Pyramid` are accepted, too.
        """
        return self._with(self.templates, **changes)

    def with_templates(self, templates: Sequence[Template]) -> Detector:
        """Return the detector with other templates, of the same features and labels."""
        return self._with(templates)

    def unrefined(self) -> Detector:
        """Return the detector whose boxes and scores are those of its templates."""
        return self._with([replace(template, refinement=None) for template in self.templates])

    def _with(self, templates: Sequence[Template], **changes: Any) -> Detector:
        known = self.pyramid.get_params()
        of_pyramid = {name: changes.pop(name) for name in list(changes) if name in known}
        if of_pyramid:
            changes["pyramid"] = Pyramid(**{**known, **of_pyramid})
        kept = {name: getattr(self, name) for name in _PARTS}
        kept.update(self._settings())
        return Detector(templates, self.channels, **{**kept, **changes})

    def _settings(self) -> dict[str, Any]:
        """Return what is said of windows that were found, JSON-ready."""
        return {name: getattr(self, name) for name in _SETTINGS}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file, atomically: JSON and plain arrays, nothing pickled.

        Raises
        ------
        DataError
            When the file cannot be written.
        ParameterError
            When it would be larger than :meth:`load` reads.
        """
        parts, arrays = pack_parts(
            self.templates, self.classes, self.channels, self.pyramid, self.location
        )
        header = {**model_header(self.provenance), **parts}
        header["detector"] = self._settings()
        n_bytes = sum(array.nbytes for array in arrays.values())
        if n_bytes > MAX_MODEL_BYTES // 2:  # the header has room, too
            raise ParameterError(
                f"{path}: the model has {n_bytes:,} bytes, more than the {MAX_MODEL_BYTES // 2:,} "
                "that a file may hold. Take smaller windows, or fewer templates or classes."
            )
        write_arrays(path, header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Detector:
        """Return the detector of a model file; its detections are the same, bit for bit.

        Raises
        ------
        ModelFormatError
            When the file is missing, damaged, of another kind, or newer than this package.
        """
        header, arrays = read_model(path)
        try:
            return cls(**unpack_parts(header, arrays))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise damaged(path, str(error) or type(error).__name__) from None

    def plan(self, size: tuple[int, int]) -> list[LevelPlan]:
        """Return the levels that a picture of ``size`` (height, width) is scanned at."""
        return self.scanner.plan(size)

    def iter_scored_levels(
        self, image: NDArray[Any], *, n_threads: int = 1
    ) -> Iterator[ScoredLevel]:
        """Yield the score map of each template over each level, largest level first.

        Scores are those of the templates, before any refinement. Memory holds the channels of one
        level for each thread.
        """
        for level, _ in self._over_levels(image, self.scanner.scored, n_threads):
            yield level

    def _over_levels(self, image: NDArray[Any], work: Any, n_threads: int) -> Iterator[Any]:
        n_threads = check_int(n_threads, "n_threads", "Detector", low=1, high=1024)
        return self.scanner.over_levels(self.prepare(image), work, n_threads)

    def prepare(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the picture as the channels read it: checked, and grey when they are."""
        return in_color(check_image(image, "Detector.detect"), self.channels.color)


_SETTINGS = ("threshold", "nms_threshold", "nms_kind", "suppression", "across_labels")
_PARTS = ("pyramid", "classes", "location", "provenance")


def _detected(
    detector: Detector, threshold: float | None, image: NDArray[Any], image_id: int
) -> Detections:
    return detector.detect(image, threshold=threshold, image_id=image_id)


def _number(threshold: float) -> float:
    """Return a threshold, checked; infinities are allowed."""
    return threshold if threshold == -np.inf else check_float(threshold, "threshold", "scan")


def as_found(dataset: Dataset, detector: Detector) -> Dataset:
    """Return the data set by group where the detector finds groups, and the labels are not."""
    groups, found = set(dataset.groups.values()), set(detector.labels)
    finds_groups = found <= groups and not found <= set(dataset.categories)
    return by_group(dataset) if detector.classes or finds_groups else dataset
