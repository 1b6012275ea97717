"""The two levels of a hierarchical detector, measured apart: found by group, named by class.

The first level is measured as any detector, with groups for labels. The second one is measured on
what the first one found: of the detections that are an object of their group, how many have its
class. The average precision of the classes themselves has the errors of both levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data import Dataset
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation.coco_engine import GroundTruth, Predictions
from bootstrap_det.evaluation.confusion import Confusion, confusion
from bootstrap_det.evaluation.labels import ground_truth
from bootstrap_det.evaluation.measure import Evaluation, evaluate


@dataclass(frozen=True, eq=False)
class ClassLevel:
    """How well the classes inside groups are told apart.

    Attributes
    ----------
    confusion : dict of str to Confusion
        Of each group: which of its classes is taken for which, of detections of score 0 and more;
        the last row and column are errors of the first level.
    by_class : dict of str to Evaluation
        Of each class, by :attr:`Detections.class_scores`.
    """

    confusion: dict[str, Confusion]
    by_class: dict[str, Evaluation]

    @property
    def n_found(self) -> int:
        """Detections that are an object of their group."""
        return sum(int(_inside(table).sum()) for table in self.confusion.values())

    @property
    def accuracy(self) -> float:
        """Share of :attr:`n_found` that have its class, too; NaN where there are none."""
        return _share(list(self.confusion.values()))

    @property
    def mean_ap(self) -> float:
        """Mean average precision of the classes that have objects; NaN where none has."""
        known = [each.ap for each in self.by_class.values() if each.n_objects]
        return fmean(known) if known else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the measures, JSON-ready."""
        return {
            "accuracy": _or_none(self.accuracy),
            "n_found": self.n_found,
            "mean_ap": _or_none(self.mean_ap),
            "groups": {
                group: {
                    "accuracy": _or_none(_share([table])),
                    "n_found": int(_inside(table).sum()),
                    "confusion": table.to_dict(),
                }
                for group, table in self.confusion.items()
            },
            "ap": {label: _or_none(each.ap) for label, each in self.by_class.items()},
        }


def evaluate_classes(
    truth: Dataset,
    detections: Sequence[Detections],
    groups: Sequence[str],
    *,
    iou_threshold: float = 0.5,
    agreement: str = "iou",
) -> ClassLevel:
    """Return the measures of the second level.

    Parameters
    ----------
    truth : Dataset
        Pictures labelled by class, and the groups of these.
    detections : sequence of Detections
        With classes, one entry a picture, in the same order.
    groups : sequence of str
        Which groups.
    iou_threshold, agreement
        What makes a hit, see :func:`bootstrap_det.evaluation.evaluate`.
    """
    rules: dict[str, Any] = {"iou_threshold": iou_threshold, "agreement": agreement}
    tables: dict[str, Confusion] = {}
    by_class: dict[str, Evaluation] = {}
    for group in groups:
        own = [_of_group(each, group) for each in detections]
        found = {str(name) for each in own for name in each.labels}
        names = [*truth.members(group), *sorted(found - set(truth.members(group)))]
        whole = [_truth(truth, index, names) for index in range(len(truth))]
        at_scores = [_of_group(each, group, by_class=False) for each in detections]
        tables[group] = confusion(whole, at_scores, names, **rules)
        for name in names:
            truths = [ground_truth(picture, name) for picture in truth.pictures]
            by_class[name] = evaluate(truths, own, label=name, **rules)
    return ClassLevel(tables, by_class)


def _of_group(detections: Detections, group: str, *, by_class: bool = True) -> Predictions:
    """Return a group's detections, labelled by class, with the scores of the class or the group."""
    own = detections[detections.labels == group]
    return Predictions(own.boxes, own.class_scores if by_class else own.scores, own.names)


def _truth(truth: Dataset, index: int, names: Sequence[str]) -> GroundTruth:
    """Return the objects of some classes in a picture, and all that is ignored."""
    picture = truth.pictures[index]
    keep = np.isin(picture.labels, list(names)) | ~picture.targets
    return GroundTruth(
        picture.boxes[keep], picture.labels[keep], picture.ignore[keep], picture.crowd[keep]
    )


def _inside(table: Confusion) -> NDArray[np.int64]:
    """Return the counts of objects that were found."""
    return table.counts[:-1, :-1]


def _share(tables: Sequence[Confusion]) -> float:
    found = sum(int(_inside(table).sum()) for table in tables)
    right = sum(int(np.trace(_inside(table))) for table in tables)
    return right / found if found else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
