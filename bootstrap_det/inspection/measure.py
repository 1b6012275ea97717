"""One call that measures every imbalance of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bootstrap_det._validation import check_int
from bootstrap_det.channels import Channels, default_channels
from bootstrap_det.data import Dataset
from bootstrap_det.exceptions import DataError
from bootstrap_det.inspection.advice import Advice, advise
from bootstrap_det.inspection.census import Census, Fit, Scan, census_of, fit_of
from bootstrap_det.inspection.objects import (
    Classes,
    Places,
    Sizes,
    classes_of,
    places_of,
    sizes_of,
    table_of,
)
from bootstrap_det.inspection.outliers import KINDS, RULES, Outlier, outliers_of
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.training import as_window, labels_to_train
from bootstrap_det.windows import Window


@dataclass(frozen=True)
class Inspection:
    """The imbalances of a data set, measured.

    Attributes
    ----------
    name : str
        Of the data set.
    n_pictures, n_empty, n_objects : int
        Pictures, those without any box, and objects to be found.
    scan : Scan
        The detector whose windows were counted.
    classes : Classes
        Foreground against foreground.
    census : Census
        Background against foreground, on a sample of the pictures.
    sizes : Sizes
        Scale imbalance of the boxes.
    fit : Fit
        Overlap of the best window with each object of the sample.
    places : Places
        Where objects lie.
    outliers : tuple of Outlier
        Boxes that are unlike the others.
    advice : tuple of Advice
        What would mend it, each a command.
    notes : tuple of str
        What was left out or sampled.
    """

    name: str
    n_pictures: int
    n_empty: int
    n_objects: int
    scan: Scan
    classes: Classes
    census: Census
    sizes: Sizes
    fit: Fit
    places: Places
    outliers: tuple[Outlier, ...]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every number, ready for JSON."""
        counts = {kind: sum(each.kind == kind for each in self.outliers) for kind in KINDS}
        return {
            "name": self.name,
            "pictures": self.n_pictures,
            "pictures_without_boxes": self.n_empty,
            "objects": self.n_objects,
            "detector": self.scan.to_dict(),
            "classes": self.classes.to_dict(),
            "background": self.census.to_dict(),
            "sizes": self.sizes.to_dict(),
            "fit": self.fit.to_dict(),
            "places": self.places.to_dict(),
            "outliers": {
                "counts": counts,
                "rules": RULES,
                "boxes": [each.to_dict() for each in self.outliers],
            },
            "advice": [each.to_dict() for each in self.advice],
            "notes": list(self.notes),
        }


def inspect_dataset(
    dataset: Dataset,
    *,
    labels: str | Sequence[str] | None = None,
    window: Window | tuple[int, int] | None = None,
    context: float = 0.0,
    channels: Channels | None = None,
    pyramid: Pyramid | None = None,
    max_pictures: int = 1000,
    seed: int = 0,
) -> Inspection:
    """Return the imbalances of a data set, as a detector with these windows would meet them.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures; no pixels are read. Crops count as objects of their label, and have
        neither size nor place.
    labels, window, context, channels, pyramid : optional
        What the detector looks for, at, with and where: as :func:`bootstrap_det.train` takes them,
        with the same defaults.
    max_pictures : int, default=1000
        Most pictures whose windows are counted; of more, a random sample is. Classes, sizes,
        places and outliers are always those of all.
    seed : int, default=0
        Of the sample.

    Returns
    -------
    Inspection

    Raises
    ------
    DataError
        When there is no object with a box in a picture of known size.
    ParameterError
        When a parameter is out of its range, or a label is not there.

    Notes
    -----
    The kinds of imbalance are those of Oksuz, Cam, Kalkan and Akbas, "Imbalance Problems in
    Object Detection: A Review", PAMI 2021. Windows are counted by geometry: each position of each
    level of the pyramid, once for each label; foreground is what overlaps an object of the label
    by at least 0.5 (IoU).
    """
    max_pictures = check_int(max_pictures, "max_pictures", "inspect_dataset", low=1)
    seed = check_int(seed, "seed", "inspect_dataset", low=0)
    annotated = replace(dataset, crops=None)
    objects = table_of(annotated)
    if not len(objects):
        raise DataError(
            f"The data set {dataset.name!r} has no object with a box in a picture of known size, "
            "so there is nothing to measure. Give annotated pictures; crops have no surroundings."
        )
    scan = _scan(annotated, labels, window, context, channels, pyramid)
    sample, notes = _sampled(annotated, max_pictures, seed)
    classes, sizes, places = classes_of(dataset), sizes_of(objects), places_of(objects)
    census, fit = census_of(sample, scan), fit_of(sample, scan)
    outliers = outliers_of(annotated, objects)
    advice = advise(annotated, scan, classes, census, sizes, fit, places, outliers)
    return Inspection(
        dataset.name,
        len(dataset),
        len(dataset.negatives()),
        dataset.n_objects,
        scan,
        classes,
        census,
        sizes,
        fit,
        places,
        outliers,
        advice,
        (*_note_on_crops(dataset), *notes),
    )


def _scan(
    dataset: Dataset,
    labels: str | Sequence[str] | None,
    window: Window | tuple[int, int] | None,
    context: float,
    channels: Channels | None,
    pyramid: Pyramid | None,
) -> Scan:
    channels = channels or default_channels()
    windows = {
        label: as_window(window, dataset, label, channels, context)
        for label in labels_to_train(dataset, labels)
    }
    return Scan(windows, channels, pyramid or Pyramid())


def _sampled(dataset: Dataset, max_pictures: int, seed: int) -> tuple[Dataset, list[str]]:
    """Return the pictures whose windows are counted, and what to say about the others."""
    known = np.flatnonzero([picture.size is not None for picture in dataset.pictures])
    notes = []
    if len(known) < len(dataset):
        n_unknown = len(dataset) - len(known)
        notes.append(f"{n_unknown} pictures state no size and are left out of all but the classes.")
    if len(known) > max_pictures:
        rng = np.random.default_rng(seed)
        notes.append(
            f"Windows are those of {max_pictures} of {len(known)} pictures, drawn with seed {seed}."
        )
        known = np.sort(rng.choice(known, max_pictures, replace=False))
    return dataset.subset(known), notes


def _note_on_crops(dataset: Dataset) -> list[str]:
    if dataset.crops is None:
        return []
    return [f"{len(dataset.crops)} crops count in the classes alone: they have no surroundings."]
