"""Imbalance among several classes of objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_bool, check_float, check_int
from bootstrap_det.channels import default_channels
from bootstrap_det.classifiers.class_fitting import fit_classes
from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.classifiers.platt import calibrate
from bootstrap_det.data import Dataset, Picture, Skipped, by_group
from bootstrap_det.data.each import each_picture
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import DataError
from bootstrap_det.mining.records import Callback, notify
from bootstrap_det.mining.strategy import Members, Strategy
from bootstrap_det.samples import ObjectRows
from bootstrap_det.windows import Window

if TYPE_CHECKING:
    from bootstrap_det.mining.loop import BootstrapParams

HIT_OVERLAP = 0.5  # a detection in a training picture that agrees this well with an object is it


@dataclass(frozen=True)
class ForegroundBalanced(Strategy):
    """Every class the same chance of being drawn as a positive.

    Each class is trained on the same number of its windows: of frequent ones fewer, drawn at
    random, of rare ones some more than once.

    Parameters
    ----------
    n_positives : int, default=0
        Windows of each class; by default the mean over the classes.

    References
    ----------
    K. Oksuz, B. C. Cam, S. Kalkan and E. Akbas, "Imbalance Problems in Object Detection: A
    Review", PAMI 2020 (online foreground balanced sampling).
    """

    n_positives: int = 0
    name: ClassVar[str] = "foreground-balanced"

    def __post_init__(self) -> None:
        check_int(self.n_positives, "n_positives", self.name, low=0, high=10_000_000)

    def choose(self, n_windows: int, n_wanted: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return ``n_wanted`` indices of a class' windows, ascending, each as often as any other.

        How often two of them are drawn differs by one at most.
        """
        rounds = [rng.permutation(n_windows) for _ in range(-(-n_wanted // n_windows))]
        return np.sort(np.concatenate(rounds)[:n_wanted])

    def balanced(self, positives: dict[str, ObjectRows], seed: int) -> dict[str, ObjectRows]:
        """Return as many windows of each label."""
        mean = round(np.mean([len(rows) for rows in positives.values()]))
        n_wanted = self.n_positives or mean
        rng = np.random.default_rng([seed, 13])
        return {
            label: rows.rows(self.choose(len(rows), n_wanted, rng))
            for label, rows in positives.items()
        }


@dataclass(frozen=True)
class Hierarchical(Strategy):
    """A detector of groups, and the class inside the group from its box.

    Templates are trained for the groups of the labels (:attr:`Dataset.groups`). Then multinomial
    logistic regression tells the classes of a group apart, by histograms of gradients of its
    objects and of their changed copies, mirror images left out. Of a detection they are those of
    its box, cut from the picture at ``side`` pixels: larger than a template, for the details.

    Both levels are calibrated. Scores of a group become probabilities by Platt scaling [1]_ of
    the detections in training pictures, whose objects and negatives the templates have seen: they
    are somewhat too sure. The probabilities of its classes are a softmax, whose temperature is
    fitted on held-out objects [2]_.

    Parameters
    ----------
    C : float, default=0.0
        Inverse strength of the regularisation; 0 for a cross-validated one.
    balance : bool, default=True
        Every class of a group the same weight, whatever its number of objects.
    min_objects : int, default=3
        Classes of fewer objects are reported as rare. They are learnt all the same.
    n_pictures : int, default=200
        Most training pictures to calibrate the groups' scores on, evenly chosen.
    side : int, default=40
        Of a square of the area that objects are brought to, in pixels, 12 to 200.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines", 1999.
    .. [2] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    """

    C: float = 0.0
    balance: bool = True
    min_objects: int = 3
    n_pictures: int = 200
    side: int = 40
    name: ClassVar[str] = "hierarchical"

    def __post_init__(self) -> None:
        check_float(self.C, "C", self.name, low=0.0, high=1e8)
        check_bool(self.balance, "balance", self.name)
        check_int(self.min_objects, "min_objects", self.name, low=0)
        check_int(self.n_pictures, "n_pictures", self.name, low=1)
        check_int(self.side, "side", self.name, low=12, high=200)

    @property
    def by_group(self) -> bool:
        """True: it is what this strategy is about."""
        return True

    def relabelled(self, dataset: Dataset) -> Dataset:
        """Return the data set labelled by group.

        Raises
        ------
        DataError
            When there are objects, but no groups.
        """
        if dataset.n_objects and not dataset.groups:
            raise DataError(
                f"The strategy {self.name!r} needs the group of each label, and the data set "
                f"{dataset.name!r} states none. Give COCO JSON whose categories have a "
                "'supercategory', or Dataset(groups=...)."
            )
        return by_group(dataset)

    def class_view(self, window: Window) -> ClassView:
        """Return a window of the object's aspect, and the usual histograms of gradients."""
        channels = default_channels("hog")
        height, width = window.object_size
        unit = self.side / math.sqrt(height * width) / channels.cell_size
        rows, columns = (max(round(side * unit), 3) for side in (height, width))
        return ClassView(
            Window((rows * channels.cell_size, columns * channels.cell_size)), channels
        )

    def refined(
        self,
        detector: Detector,
        dataset: Dataset,
        members: Mapping[str, Members],
        params: BootstrapParams,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[Detector, dict[str, Any]]:
        """Return the detector with its second level, and how that was fitted, by group."""
        calibration = self._calibration(detector, dataset, params, callbacks)
        models: dict[str, ClassModel] = {}
        told: dict[str, Any] = {}
        for group, own in members.items():
            model, fit = fit_classes(
                own.rows.features, own.labels[own.rows.objects], own.rows.objects,
                C=self.C or None, balanced=self.balance, seed=params.seed,
            )  # fmt: skip
            factor, offset = calibration[group]
            models[group] = replace(model, factor=factor, offset=offset, view=own.view)
            counts = {name: fit.n_objects.get(name, 0) for name in own.classes}
            rare = [name for name, n in counts.items() if n < self.min_objects]
            told[group] = {**asdict(fit), "n_objects": counts, "rare": rare}
        return detector.replace(classes=models), told

    def _calibration(
        self,
        detector: Detector,
        dataset: Dataset,
        params: BootstrapParams,
        callbacks: Sequence[Callback],
    ) -> dict[str, tuple[float, float]]:
        """Return factor and offset of each label's log odds."""
        chosen = dataset.pictures[:: -(-len(dataset) // self.n_pictures)]
        outcomes = each_picture(
            partial(_outcomes, detector), chosen, n_jobs=params.n_jobs, skip_bad=params.skip_bad
        )
        found: dict[str, list[tuple[float, bool]]] = {label: [] for label in detector.labels}
        for index, some in enumerate(outcomes, start=1):
            for label, score, hit in [] if isinstance(some, Skipped) else some:
                found[label].append((score, hit))
            notify(callbacks, "on_progress", "calibrate", index, len(chosen))
        return {
            label: calibrate(
                np.array([score for score, _ in own]), np.array([hit for _, hit in own], bool)
            )
            for label, own in found.items()
        }


def _outcomes(detector: Detector, picture: Picture) -> list[tuple[str, float, bool]]:
    """Return label and score of each detection, and whether it is an object of the label.

    What lies on an ignored object or in a crowd is left out.
    """
    image = picture.load(detector.channels.color)
    found = detector.detect(image, threshold=detector.lowest_score)
    overlaps = box_ops.overlap(found.boxes, picture.boxes)
    same = found.labels[:, None] == picture.labels[None, :]
    hits = (overlaps * (same & picture.targets)).max(axis=1, initial=0.0) >= HIT_OVERLAP
    excused = (overlaps * ~picture.targets).max(axis=1, initial=0.0) >= HIT_OVERLAP
    return [
        (str(label), float(score), bool(hit))
        for label, score, hit, out in zip(found.labels, found.scores, hits, excused, strict=True)
        if hit or not out
    ]
