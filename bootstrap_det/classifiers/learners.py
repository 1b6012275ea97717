"""How a round's samples become a template: the learners that the bootstrapping loop may call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_choice, check_float, check_int
from bootstrap_det.classifiers.boosting import LOSSES, BoostedTrees
from bootstrap_det.classifiers.cascade import calibrate_cascade
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.linear_classifier import LinearClassifier
from bootstrap_det.classifiers.losses import make_loss
from bootstrap_det.classifiers.platt import platt
from bootstrap_det.classifiers.scaling import about_one, require_finite, to_bytes, value_scale
from bootstrap_det.classifiers.svm import choose_c, fit_linear_svm
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.classifiers.trees import FIRST_TREES, MAX_DEPTH, TreeModel

Model = LinearModel | TreeModel

SVM_LOSS = "squared-hinge"
SVM_PULL = 2.0  # slope of that loss at the decision surface
LEAST_HELD_OUT = 5  # objects; with a copy and mirror images, enough windows for a cascade
MARGIN = -1.0  # negatives below it have no loss and no say in a support vector machine


class Learner(Protocol):
    """What the loop needs to know of a classifier's fitting."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def margin(self) -> float:
        """Negatives that score below may be evicted from the cache."""

    def fit(
        self,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        *,
        seed: int,
        n_threads: int,
    ) -> tuple[Model, dict[str, Any]]:
        """Return the round's model, and what to remember of the fit, JSON-ready."""

    def mining_threshold(self, model: Any) -> float:
        """Return the least score that is worth mining."""

    def is_grown(self, round_index: int) -> bool:
        """Return whether later rounds fit nothing larger, so that the loop may converge."""

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""


@dataclass(frozen=True)
class LinearLearner:
    """A linear support vector machine, or another linear model.

    Parameters
    ----------
    C : float or None, default=None
        Inverse strength of regularisation; by default chosen by cross-validation in round 0, and
        once more in round 1, when there are hard negatives to choose by.
    loss : str, default="squared-hinge"
        That of the support vector machine, or another of
        :data:`bootstrap_det.classifiers.losses.LOSSES`. Scores of the others are made log odds on
        the samples, each class with half of the weight: 0 is the decision surface of all losses.
    loss_params : dict or None, default=None
        Parameters of the loss.
    """

    C: float | None = None
    loss: str = SVM_LOSS
    loss_params: dict[str, Any] | None = None
    name = "svm"
    margin = MARGIN

    def __post_init__(self) -> None:
        if self.C is not None:
            check_float(self.C, "C", "LinearLearner", low=1e-8, high=1e8)
        make_loss(self.loss, **(self.loss_params or {}))

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        return asdict(self)

    def fit(
        self,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        *,
        seed: int,
        n_threads: int,
    ) -> tuple[LinearModel, dict[str, Any]]:
        """Return the model of all samples, and the C that it was fitted with."""
        features, labels = samples.stacked()
        features, scale = about_one(features)
        C = self.choose_c(features, labels, round_index, memory, seed)  # noqa: N806
        if self.loss == SVM_LOSS:
            fitted = fit_linear_svm(features, labels, C=C, weights=samples.weights())
        else:
            fitted = self._fit_loss(features, labels, C, samples)
        fitted.coef_ = fitted.coef_ / scale
        return LinearModel.from_estimator(fitted, samples.shape), {"C": C}

    def choose_c(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.bool_],
        round_index: int,
        memory: dict[str, Any],
        seed: int,
    ) -> float:
        """Return the C of a round: given, chosen now, or what was chosen before."""
        before = memory.get("C") if round_index > 1 else None
        known: float | None = before if self.C is None else self.C
        return choose_c(features, labels, seed=seed) if known is None else known

    def mining_threshold(self, model: LinearModel) -> float:
        """Return -1: a window above violates the margin."""
        return MARGIN

    def is_grown(self, round_index: int) -> bool:
        """Return True: the model has one size."""
        return True

    def _fit_loss(
        self, features: NDArray[Any], labels: NDArray[np.bool_], c: float, samples: Samples
    ) -> LinearClassifier:
        """Return a fit with another loss than the support vector machine's.

        C is chosen for that one; where the decision surface is, another loss pulls more or less.
        """
        loss = make_loss(self.loss, **(self.loss_params or {}))
        slopes = [float(loss.gradient(np.zeros(1), np.full(1, y))[0]) for y in (0.0, 1.0)]
        pull = max(np.abs(slopes).mean(), 1e-3)
        fitted = LinearClassifier(
            loss=self.loss, loss_params=self.loss_params, C=c * SVM_PULL / pull
        )
        targets = samples.targets() if loss.soft and self.loss != "logistic" else None
        fitted.fit(features, labels, sample_weight=samples.weights(), targets=targets)
        factor, offset = platt(fitted.decision_function(features), labels)
        fitted.coef_ = factor * fitted.coef_
        fitted.intercept_ = factor * fitted.intercept_ + offset
        return fitted


@dataclass(frozen=True)
class BoostedLearner:
    """Boosted trees with a soft cascade calibrated on held-out objects.

    Parameters
    ----------
    n_trees : int, default=2048
        Most trees of a round.
    n_trees_first : int, default=32
        Trees of round 0; each round has four times as many as the one before, up to ``n_trees``,
        since early rounds only have to find the next negatives.
    depth : int, default=3
        Tests from the root to a leaf, 1 to 5.
    loss : {"logistic", "exponential", "focal", "ghm"}, default="logistic"
        How the weight of a sample grows with its error, see :class:`BoostedTrees`.
    shrinkage : float, default=0.5
        Factor on every leaf.
    feature_share : float, default=0.0625
        Share of the features that each node may choose from.
    first_trees : int, default=64
        How many trees, of a depth of 2 at most, see the channels as they are, which a scan can run
        over all windows at once, before trees may also look at values normalised by the window.
        With 0, all of them may, which is several times as slow to scan.
    keep : float, default=0.975
        Share of the held-out objects that the cascade must not reject. At 1 it also leaves all
        the room that costs no time for objects unlike them, see :func:`calibrate_cascade`.
    mining_keep : float, default=0.995
        The same for rounds that have fewer trees than the last, if it is more: a laxer cascade
        lets more negatives through to be mined.
    hard_positives : float, default=0.0
        How much more an object weighs that the round before missed: its weight is 1 plus this
        times the probability by which it was missed.
    holdout : float, default=0.1
        Share of the objects that no tree is fitted on; the cascade is calibrated on them. It is
        raised, to a half at most, where they would be fewer than 5.
    gamma : float, default=2.0
        How much less an easy sample counts for the loss ``focal``, see :class:`BoostedTrees`.
    positive_share : float, default=0.5
        Share of the whole weight that the objects have at the start, see :class:`BoostedTrees`.
    """

    n_trees: int = 2048
    n_trees_first: int = 32
    depth: int = 3
    loss: str = "logistic"
    shrinkage: float = 0.5
    feature_share: float = 1 / 16
    first_trees: int = FIRST_TREES
    keep: float = 0.975
    mining_keep: float = 0.995
    hard_positives: float = 0.0
    holdout: float = 0.1
    gamma: float = 2.0
    positive_share: float = 0.5
    name = "boosted"
    margin = np.inf

    def __post_init__(self) -> None:
        who = "BoostedLearner"
        check_int(self.n_trees, "n_trees", who, low=1, high=100_000)
        check_int(self.n_trees_first, "n_trees_first", who, low=1, high=100_000)
        check_int(self.depth, "depth", who, low=1, high=MAX_DEPTH)
        check_int(self.first_trees, "first_trees", who, low=0)
        check_choice(self.loss, "loss", who, LOSSES)
        check_float(self.shrinkage, "shrinkage", who, low=1e-3, high=1.0)
        check_float(self.feature_share, "feature_share", who, low=1e-6, high=1.0)
        check_float(self.keep, "keep", who, low=0.5, high=1.0)
        check_float(self.mining_keep, "mining_keep", who, low=0.5, high=1.0)
        check_float(self.hard_positives, "hard_positives", who, low=0.0, high=1000.0)
        check_float(self.holdout, "holdout", who, low=1e-3, high=0.5)
        check_float(self.gamma, "gamma", who, low=0.0, high=10.0)
        check_float(self.positive_share, "positive_share", who, low=1e-6, high=1.0 - 1e-6)

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, JSON-ready."""
        return asdict(self)

    def fit(
        self,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        *,
        seed: int,
        n_threads: int,
    ) -> tuple[TreeModel, dict[str, Any]]:
        """Return the model with its cascade, and how many trees it has.

        Raises
        ------
        DataError
            When too few objects are held out to calibrate by, a class is missing, or a feature
            is not finite.
        """
        held_out, features, labels, scale = self.split(samples, seed)
        n_trees = self.n_trees_of(round_index)
        estimator = self.estimator(samples.n_plain, n_trees, n_threads, seed + round_index)
        estimator.fit(features, labels, self.weights(samples, ~held_out))
        trees = estimator.model_
        model = TreeModel(
            trees.features, trees.thresholds, trees.leaves, trees.unit, samples.shape,
            value_scale=scale,
        )  # fmt: skip
        return self.calibrated(model, samples, held_out, round_index), {"n_trees": n_trees}

    def split(
        self, samples: Samples, seed: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.bool_], float]:
        """Return which positives are held out, and bytes, labels and scale of all other samples.

        Raises
        ------
        DataError
            When a feature is not finite.
        """
        require_finite(samples.positives, samples.negatives)
        held_out = self._held_out(samples.objects, seed)
        features, labels = samples.stacked(~held_out)
        scale = value_scale(features)
        return held_out, to_bytes(features, scale), labels, scale

    def estimator(self, n_plain: int, n_trees: int, n_threads: int, seed: int) -> BoostedTrees:
        """Return the trees to fit, of which the first see the ``n_plain`` first features."""
        return BoostedTrees(
            n_trees=n_trees, depth=self.depth, loss=self.loss, shrinkage=self.shrinkage,
            feature_share=self.feature_share, first_features=n_plain,
            n_first_trees=self.first_trees, n_threads=n_threads, random_state=seed,
            gamma=self.gamma, positive_share=self.positive_share,
        )  # fmt: skip

    def calibrated(
        self, model: TreeModel, samples: Samples, held_out: NDArray[np.bool_], round_index: int
    ) -> TreeModel:
        """Return the model with the cascade that the held-out objects allow."""
        keep = self.keep if self.is_grown(round_index) else max(self.keep, self.mining_keep)
        background = samples.negatives[: samples.n_random]
        return calibrate_cascade(
            model, samples.positives[held_out], keep=keep, background=background
        )

    def mining_threshold(self, model: TreeModel) -> float:
        """Return the least score that the cascade lets pass."""
        return model.lowest_score

    def is_grown(self, round_index: int) -> bool:
        """Return whether the round has all its trees."""
        return self.n_trees_of(round_index) == self.n_trees

    def n_trees_of(self, round_index: int) -> int:
        """Return the number of trees of a round."""
        return min(self.n_trees, self.n_trees_first << 2 * min(round_index, 20))

    def weights(self, samples: Samples, fitted: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Return the weights of the samples that are fitted on, the positives in front."""
        weights = samples.weights(fitted)
        if self.hard_positives and samples.positive_scores is not None:
            # Scores are half the log odds: this is the probability of the other class.
            missed = (1.0 - np.tanh(samples.positive_scores[fitted])) / 2.0
            if weights is None:
                weights = np.ones(len(missed) + len(samples.negatives))
            weights[: len(missed)] *= 1.0 + self.hard_positives * missed
        return weights

    def _held_out(self, objects: NDArray[np.intp], seed: int) -> NDArray[np.bool_]:
        """Return which positives show a held-out object; the same ones in every round."""
        names = np.unique(objects)
        rng = np.random.default_rng([seed, 7])
        # The number of windows must not count: strategies add some, and the objects must stay.
        n_held_out = max(round(self.holdout * len(names)), min(LEAST_HELD_OUT, len(names) // 2))
        return np.isin(objects, rng.permutation(names)[:n_held_out])
