"""Online hard example mining: no frozen phase, the model changes picture by picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_float, check_int
from bootstrap_det.classifiers.learners import Learner, LinearLearner, Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.linear_classifier import LinearClassifier
from bootstrap_det.classifiers.scaling import FEATURE_SCALE
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.data import Picture
from bootstrap_det.imbalance.soft import as_linear
from bootstrap_det.mining.harvest import Harvest, Windows
from bootstrap_det.mining.pool import Pass, Pool, forbidden_of
from bootstrap_det.mining.strategy import Strategy
from bootstrap_det.samples import COPY
from bootstrap_det.windows import window_features

LOSS = "logistic"
BATCH = 16  # windows of a step, half of them objects
FLOOR = -6.0  # log odds; windows below it have next to no loss


@dataclass(frozen=True)
class OnlineLearner(LinearLearner):
    """A linear model that is fitted once, on random negatives, and from then on goes on learning.

    What it learnt in a pass comes with the samples, see :class:`Ohem`.
    """

    loss: str = LOSS

    def fit(
        self,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        *,
        seed: int,
        n_threads: int,
    ) -> tuple[LinearModel, dict[str, Any]]:
        """Return the model that the pass ended with; in round 0, one fitted on all samples."""
        if isinstance(samples.learnt, LinearModel):
            return samples.learnt, memory
        return super().fit(samples, round_index, memory, seed=seed, n_threads=n_threads)


@dataclass(frozen=True)
class Ohem(Strategy):
    """For each picture score all windows, and learn from those of the largest loss at once.

    Of overlapping windows, whose losses are correlated, the worst one counts. ``k`` of them and as
    many objects are one update of averaged stochastic gradient descent on the logistic loss, in
    steps of 16 windows; the next picture is scanned with the new model. Round 0 fits random
    negatives. Pictures are taken in a random order, one after the other, on one thread.

    Parameters
    ----------
    k : int, default=64
        Most windows of a picture that are learnt from.
    overlap : float, default=0.7
        Windows of larger overlap (IoU) are correlated.
    n_passes : int, default=2
        Passes over all pictures in a round.

    References
    ----------
    A. Shrivastava, A. Gupta and R. Girshick, "Training Region-based Object Detectors with Online
    Hard Example Mining", CVPR 2016.
    """

    k: int = 64
    overlap: float = 0.7
    n_passes: int = 2
    name: ClassVar[str] = "ohem"

    def __post_init__(self) -> None:
        check_int(self.k, "k", self.name, low=1, high=100_000)
        check_float(self.overlap, "overlap", self.name, low=0.0, high=1.0)
        check_int(self.n_passes, "n_passes", self.name, low=1, high=1000)

    def learner(self, learner: Learner) -> Learner:
        """Return the learner that goes on learning."""
        return OnlineLearner(C=as_linear(learner, self.name).C)

    def mine(self, scan: Pass) -> Pool | None:
        """Return what was learnt from, and the model that it led to; None in round 0."""
        if scan.detector is None:
            return None
        descent = _Descent(scan)
        rng = np.random.default_rng([scan.params.seed, scan.index, 17])
        pictures = scan.pictures()

        def work(picture: Picture) -> Harvest:
            harvest, features = self._worst(scan, descent.model, picture)
            descent.learn(features, rng)
            return harvest

        order = np.concatenate([rng.permutation(len(pictures)) for _ in range(self.n_passes)])
        pool = scan.harvest_in_turn(work, [pictures[index] for index in order])
        pool.n_images_left_out = len(scan.negatives.pictures) - len(pictures)
        pool.threshold, pool.scanned, pool.learnt = FLOOR, True, descent.model
        return pool

    def _worst(self, scan: Pass, model: Model, picture: Picture) -> tuple[Harvest, NDArray[Any]]:
        """Return the windows of a picture of the largest losses, not correlated, and features."""
        recipe = scan.recipe
        detector = recipe.detector([recipe.template(model)])
        pixels = detector.prepare(picture.load(recipe.channels.color))
        found = detector.scan(pixels, threshold=FLOOR)
        allowed = np.flatnonzero(forbidden_of(picture, recipe.label).allows(found.boxes))
        boxes, scores = found.boxes[allowed], found.scores[allowed]
        # The loss of a negative rises with its score.
        worst = box_ops.nms(boxes, scores, threshold=self.overlap, max_kept=self.k)
        identities = found.windows[allowed][worst]
        (features,) = window_features(
            pixels, recipe.pyramid, [recipe.window], recipe.channels, identities
        )
        windows = Windows(identities, boxes[worst], scores[worst])
        certain = box_ops.nms(boxes[scores >= 0.0], scores[scores >= 0.0], threshold=0.3)
        return Harvest(windows, found.n_windows, len(certain), len(worst) == self.k), features


class _Descent:
    """A linear model on its way, and the objects that it learns from beside each picture."""

    def __init__(self, scan: Pass) -> None:
        assert scan.detector is not None  # from round 1 on
        model = scan.detector.templates[0].model
        assert isinstance(model, LinearModel)  # the strategy asks for it
        objects = scan.positives.rows(scan.positives.kinds == COPY)
        self.objects = objects.features
        self.shape = scan.recipe.template_shape
        self.scale = FEATURE_SCALE if self.objects.dtype == np.uint8 else 1.0
        n_seen = len(self.objects) + scan.params.n_random_negatives
        self.classifier = LinearClassifier(loss=LOSS, C=_strength(scan), solver="sgd")
        weights = model.weights.ravel().astype(np.float64) * self.scale
        self.classifier.start_from(weights, model.bias, n_seen=float(n_seen))

    @property
    def model(self) -> LinearModel:
        """The model so far."""
        weights = self.classifier.coef_.ravel() / self.scale
        return LinearModel(
            weights.reshape(self.shape).astype(np.float32), float(self.classifier.intercept_[0])
        )

    def learn(self, negatives: NDArray[Any], rng: np.random.Generator) -> None:
        """Take the steps of one picture: its windows in random order, each with an object."""
        objects = self.objects[rng.integers(len(self.objects), size=len(negatives))]
        for rows in _batches(rng.permutation(len(negatives))):
            batch = np.concatenate([objects[rows], negatives[rows]]).astype(np.float32)
            labels = np.arange(len(batch)) < len(rows)
            self.classifier.step(batch / np.float32(self.scale), labels)


def _batches(order: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for first in range(0, len(order), BATCH // 2):
        yield order[first : first + BATCH // 2]


def _strength(scan: Pass) -> float:
    learner = scan.recipe.learner
    return learner.C if isinstance(learner, LinearLearner) and learner.C is not None else 0.1
